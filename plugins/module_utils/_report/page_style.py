# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The style of the pages: phone first, light and dark by the reader's setting, grey on paper.

Places have the Okabe-Ito colours, which colour-blind people tell apart; failures are darker (brighter in the dark) than
all of them. Text has a contrast of 4.5 or more (WCAG 2.2 AA) in both. A Python file, because Ansible takes only these
along with a module. Private to this collection: it may change at any time.
"""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--page:#fff;--panel:#f5f7f9;--ink:#1a1f26;--ink-2:#505a66;--line:#cdd5de;--link:#0a58a8;
--good:#0b6b3a;--good-bg:#e4f4ea;--bad:#a4001d;--bad-bg:#fdeaec;--warn:#7a4a00;--warn-bg:#fdf1dc;--calm:#3d4854;
--calm-bg:#eceff3;--failed:#a4001d;--band:#eef1f4;--band-fault:#f6e3cf;--others:#8b949e;
--p0:#0072b2;--p1:#e69f00;--p2:#009e73;--p3:#56b4e9;--p4:#cc79a7;--p5:#8a6fc0;--p6:#a08a4a}
@media (prefers-color-scheme:dark){:root{--page:#12161b;--panel:#1b2128;--ink:#e8ecf1;--ink-2:#a9b4c0;--line:#3a4450;
--link:#7db8f5;--good:#6fd69a;--good-bg:#12301f;--bad:#ff8f8f;--bad-bg:#3c161b;--warn:#f0c070;--warn-bg:#362710;
--calm:#c2ccd6;--calm-bg:#262e37;--failed:#ff6b6b;--band:#1d242c;--band-fault:#3a2d1c;--others:#7d8792;
--p0:#3d9bdc;--p1:#e6a92a;--p2:#22b58c;--p3:#8accf2;--p4:#d98fb8;--p5:#a893d8;--p6:#bba766}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
main,header,footer{max-width:1100px;margin:0 auto;padding:0 1rem}
header{padding-top:1.25rem}
h1{font-size:1.05rem;font-weight:600;margin:0;color:var(--ink-2)}
h2{font-size:1.3rem;line-height:1.25;margin:2.75rem 0 .75rem;padding-top:.75rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.5rem 0 .5rem}
p{margin:.5rem 0;max-width:75ch}
a{color:var(--link)}
a:focus-visible,button:focus-visible,summary:focus-visible,input:focus-visible,select:focus-visible,[tabindex]:focus-visible
{outline:3px solid var(--link);outline-offset:2px}
small,.small{font-size:.875rem;color:var(--ink-2)}
.verdict{border-left:.5rem solid var(--tone);background:var(--tone-bg);padding:1rem 1.25rem;margin:.75rem 0 1rem;
border-radius:0 .5rem .5rem 0}
.verdict .word{display:flex;align-items:center;gap:.6rem;font-size:1.75rem;font-weight:700;line-height:1.2;color:var(--tone);margin:0}
.verdict .word svg{width:1.9rem;height:1.9rem;flex:none}
.verdict p{font-size:1.1rem;margin:.5rem 0 0}
.good{--tone:var(--good);--tone-bg:var(--good-bg)}.bad{--tone:var(--bad);--tone-bg:var(--bad-bg)}
.warn{--tone:var(--warn);--tone-bg:var(--warn-bg)}.calm{--tone:var(--calm);--tone-bg:var(--calm-bg)}
.tiles{display:grid;grid-template-columns:repeat(2,1fr);gap:.75rem;padding:0;margin:0;list-style:none}
.tiles li{border:1px solid var(--line);border-top:.25rem solid var(--tone);border-radius:.5rem;padding:.75rem .9rem;background:var(--page)}
.tiles .label{font-size:.875rem;color:var(--ink-2);display:block}
.tiles .value{font-size:1.5rem;font-weight:650;line-height:1.3;display:block}
.tiles .state{color:var(--tone);font-weight:600;font-size:.875rem;display:block}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;list-style:none;padding:0;margin:1rem 0 0;font-size:.9375rem}
nav a{display:inline-block;padding:.2rem 0}
figure{margin:1rem 0}
figure svg{width:100%;height:auto;display:block}
figcaption{color:var(--ink-2);font-size:.9375rem;max-width:90ch;margin-bottom:.5rem}
.wide{display:none}.narrow{display:block}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;list-style:none;padding:0;margin:.5rem 0;font-size:.9375rem}
.legend li{display:flex;align-items:center;gap:.45rem}
.key{width:.9rem;height:.9rem;border-radius:.15rem;flex:none;display:inline-block}
.readout{min-height:1.6em;font-size:.9375rem;margin:.25rem 0;color:var(--ink)}
.chart{position:relative}
.cursor{position:absolute;top:0;bottom:0;width:1px;background:var(--ink);pointer-events:none;display:none}
.marks{list-style:none;padding:0;margin:.75rem 0;display:grid;gap:.3rem}
.marks li{display:grid;grid-template-columns:1.6rem 5.6rem 1fr;gap:.6rem;align-items:baseline}
.marks .no{background:var(--ink);color:var(--page);border-radius:50%;width:1.5rem;height:1.5rem;display:inline-grid;
place-items:center;font-size:.8125rem;font-weight:700}
.marks .at{text-align:right;font-weight:600}
.clients{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,270px),1fr));gap:.5rem 1.25rem;list-style:none;padding:0}
.clients li{min-width:0}
.clients strong{font-weight:600;font-size:.9375rem}
.clients svg{width:100%;height:auto;display:block}
.scroll{overflow-x:auto;margin:.5rem 0}
table{border-collapse:collapse;width:100%;font-size:.9375rem}
caption{text-align:left;color:var(--ink-2);padding:.25rem 0}
th,td{text-align:left;vertical-align:top;padding:.45rem .75rem .45rem 0;border-bottom:1px solid var(--line);overflow-wrap:break-word}
th{font-weight:600}
thead th{color:var(--ink-2);font-size:.875rem}
td.number,th.number{text-align:right;white-space:nowrap}
.track{position:relative;height:1.25rem;min-width:8rem;background:var(--panel);border:1px solid var(--line);border-radius:.25rem}
.track .range{position:absolute;top:0;bottom:0;background:var(--p3);opacity:.55;min-width:3px}
.track .point{position:absolute;top:-.2rem;bottom:-.2rem;width:.3rem;margin-left:-.15rem;background:var(--ink);border-radius:.1rem}
.tag{display:inline-block;border:1px solid var(--tone);color:var(--tone);background:var(--tone-bg);border-radius:1rem;padding:0 .6rem;
font-size:.875rem;font-weight:600;white-space:nowrap}
.stages{display:grid;gap:1rem}
.stage>h3{margin-top:.5rem}
.region,.zone,.subzone{border:1px solid var(--line);border-radius:.5rem;padding:.5rem .6rem;margin:.4rem 0}
.region{background:var(--panel)}.zone{background:var(--page)}
.subzone{border-left:.4rem solid var(--colour,var(--line));margin:.35rem 0}
.name{font-weight:600;font-size:.9375rem}
.level{color:var(--ink-2);font-size:.8125rem}
.dots{display:flex;flex-wrap:wrap;gap:.25rem;margin:.25rem 0 0}
.dot{width:1.05rem;height:1.05rem;flex:none}
.share{display:flex;height:1rem;border-radius:.2rem;overflow:hidden;background:var(--panel);min-width:6rem;border:1px solid var(--line)}
.share span{display:block;height:100%}
.finding{border-left:.35rem solid var(--tone);padding:.25rem 0 .25rem 1rem;margin:1rem 0}
.finding h3{margin:.25rem 0}
pre{background:var(--panel);border:1px solid var(--line);border-radius:.4rem;padding:.75rem;overflow:auto;font-size:.875rem;line-height:1.45;
white-space:pre-wrap;margin:.5rem 0}
code{font-family:ui-monospace,"SFMono-Regular",Consolas,monospace;font-size:.9em}
.copy{position:relative}
button{font:inherit;font-size:.875rem;border:1px solid var(--line);background:var(--page);color:var(--ink);border-radius:.35rem;padding:.3rem .7rem;
min-height:28px;cursor:pointer}
.copy button{position:absolute;top:.4rem;right:.4rem}
details{margin:.5rem 0}
summary{cursor:pointer;padding:.3rem 0;color:var(--link)}
dl{display:grid;grid-template-columns:1fr;gap:.1rem 1.5rem;margin:.75rem 0}
dt{color:var(--ink-2);font-size:.875rem}
dd{margin:0 0 .5rem}
footer{margin-top:3rem;padding-bottom:2rem;border-top:1px solid var(--line);padding-top:1rem}
.vh{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.note{background:var(--warn-bg);color:var(--ink);border-left:.35rem solid var(--warn);padding:.5rem .9rem;margin:.75rem 0;max-width:none}
@media (min-width:720px){
.wide{display:block}.narrow{display:none}
.tiles{grid-template-columns:repeat(4,1fr)}
.stages{grid-template-columns:repeat(3,1fr)}
dl{grid-template-columns:repeat(2,1fr)}
dl>div{min-width:0}}
@media print{@page{size:A4;margin:14mm}
:root{--page:#fff;--panel:#f4f4f4;--ink:#000;--ink-2:#333;--line:#999;--link:#000;--good:#000;--good-bg:#fff;--bad:#000;--bad-bg:#fff;
--warn:#000;--warn-bg:#fff;--calm:#000;--calm-bg:#fff;--failed:#000;--band:#f4f4f4;--band-fault:#e2e2e2;--others:#eee;
--p0:#4d4d4d;--p1:#c9c9c9;--p2:#8c8c8c;--p3:#e3e3e3;--p4:#6b6b6b;--p5:#b0b0b0;--p6:#9a9a9a}
body{font-size:10.5pt}
main,header,footer{max-width:none;padding:0}
nav,button,.readout,.screen{display:none}
.key,.track .range,.track .point,.share span,.subzone,.grid td{print-color-adjust:exact;-webkit-print-color-adjust:exact}
h2,h3{break-after:avoid}figure,.tiles li,.finding,.region,tr{break-inside:avoid}
details::details-content{content-visibility:visible;block-size:auto}}
"""
