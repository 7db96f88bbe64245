# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The template of assessment.html, in Jinja2. Private to this collection: it may change at any time."""

from __future__ import annotations

from ansible_collections.meshops.locality.plugins.module_utils._report.page_template import HEAD

STYLE = """
.grid{border-collapse:separate;border-spacing:2px}
@media (max-width:719px){.grid .word{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.grid td.cell{position:relative}.grid tbody th{min-width:7rem!important}.grid th,.grid td{padding:.35rem .25rem!important}}
.grid th,.grid td{border:0;padding:.35rem .5rem}
.grid tbody th{font-weight:600;min-width:11rem;max-width:22rem}
.grid td.cell{background:var(--cell);color:var(--cell-ink);border-radius:.25rem;text-align:center;font-weight:600;white-space:nowrap;
font-size:.875rem}
.grid details{font-weight:400;margin:0}.grid summary{font-weight:600;padding:.15rem 0}
.grid ul{margin:.25rem 0;padding-left:1.1rem}
.g0{--cell:var(--panel);--cell-ink:var(--ink-2)}.g1{--cell:#d7ecdf;--cell-ink:#0b4a28}.g2{--cell:#fbe7b2;--cell-ink:#5a3d00}
.g3{--cell:#f7cf9a;--cell-ink:#5a2f00}.g4{--cell:#e98f6f;--cell-ink:#3a0d00}.g5{--cell:#8e0f28;--cell-ink:#fff}.g6{--cell:#3d0610;--cell-ink:#fff}
@media (prefers-color-scheme:dark){.g1{--cell:#17402a;--cell-ink:#b9ebcd}.g2{--cell:#4f3f12;--cell-ink:#fbe3a4}
.g3{--cell:#6a4416;--cell-ink:#ffdcae}.g4{--cell:#94432a;--cell-ink:#fff}.g5{--cell:#f0708a;--cell-ink:#2a0008}.g6{--cell:#ffd0d8;--cell-ink:#2a0008}}
@media print{.grid td.cell{border:1px solid #000;--cell:#fff;--cell-ink:#000}.g4.cell,.g5.cell,.g6.cell{font-weight:800;--cell:#ddd!important}}
.filters{display:flex;flex-wrap:wrap;gap:.75rem 1rem;align-items:end;margin:.75rem 0}
.filters label{display:grid;font-size:.875rem;color:var(--ink-2)}
.filters input,.filters select{font:inherit;padding:.35rem .5rem;border:1px solid var(--ink-2);border-radius:.35rem;background:var(--page);
color:var(--ink);min-height:2.4rem;max-width:100%}
.fixes{padding-left:1.4rem}.fixes li{margin:.75rem 0}
.beside{display:grid;gap:0 2rem}
@media (min-width:900px){.beside{grid-template-columns:2fr 1fr}}
"""

TEMPLATE = (
    HEAD
    + """
{%- macro cell(entry) -%}
<td class="cell g{{ entry.grade }}">{{ grades[entry.grade][0] }}{% if entry.grade
%} <span class="word">{{ grades[entry.grade][1] }}</span>{% endif %}{% if entry.share %}
{{ percent(entry.share) }}{% endif %}</td>
{%- endmacro %}
<header>
<h1>Assessment: what survives what</h1>
<p class="small">{{ "{:,}".format(assessed.services) }} Services, Istio {{ assessed.istio_version }}
{%- if assessed.taken %} · read <time datetime="{{ assessed.taken }}">{{ assessed.taken | utc }}</time>{% endif %} · nothing was changed</p>
<section id="verdict" aria-label="In one sentence">
<div class="verdict {{ tone }}"><p>{{ assessed.sentence }}</p></div>
<ul class="tiles">
{%- for grade, grade_tile in shown_grades %}
<li class="{{ grade_tile.tone }}"><span class="label">{{ grade_tile.sign }} {{ grade_tile.word }}</span>
<span class="value">{{ "{:,}".format(grade_tile.number) }}</span> <span class="small">{{ grade_tile.meaning }}</span></li>
{%- endfor %}
</ul>
</section>
</header>
<main>
<div class="beside">
<section aria-labelledby="fixes"><h2 id="fixes">What helps most</h2>
{%- if assessed.fixes %}
<ol class="fixes">
{%- for fix in assessed.fixes %}
<li><strong>{{ fix.title }}</strong>{% if fix.id %} <small>({{ fix.id }})</small>{% endif %}<br>
{{ fix.services }} Service{{ "s" if fix.services != 1 }} that lose{{ "s" if fix.services == 1 }} something:
{{ fix.names | join(", ") }}{{ " …" if fix.services > fix.names | length }}.
<details><summary>Why, and what to change</summary><p>{{ fix.message }} {{ fix.why }}</p>
<div class="copy"><pre tabindex="0"><code># {{ fix.object }}{{ ", " ~ fix.field if fix.field }}
{{ fix.fix }}</code></pre></div>
{%- if fix.link %}<p class="small">See <span>{{ fix.link }}</span></p>{% endif %}</details></li>
{%- endfor %}
</ol>
{%- else %}<p>No finding explains a loss of requests.</p>{% endif %}
</section>
<section aria-labelledby="not-judged"><h2 id="not-judged">Not judged</h2>
<ul>{% for sentence in assessed.not_judged %}<li>{{ sentence }}</li>{% endfor %}</ul></section>
</div>
<h2 id="map">Services and losses, worst first</h2>
<p>Each cell is the worst loss of its kind: one pod, one subzone, one zone, one region. The share is that of all clients'
requests that fail at first.</p>
<ul class="legend small">
{%- for sign, word, meaning in grades %}<li><span class="key g{{ loop.index0 }}" style="background:var(--cell)"></span>
{{ sign }} {{ word }}: {{ meaning }}</li>{% endfor %}
</ul>
<div class="filters screen" id="filters" hidden>
<label>Service <input id="search" type="search" autocomplete="off"></label>
<label>Namespace <select id="namespace"><option value="">all</option>
{%- for namespace in namespaces %}<option>{{ namespace }}</option>{% endfor %}</select></label>
<label>Grade <select id="grade"><option value="0">all</option>
{%- for sign, word, meaning in grades %}{% if loop.index0 > 1 %}
<option value="{{ loop.index0 }}">{{ word }}{{ " or worse" if not loop.last }}</option>{% endif %}{% endfor %}</select></label>
</div>
<p class="small" id="shown" role="status">{% if rest %}The worst {{ rows | length }} of {{ "{:,}".format(assessed.services) }}
Services.{% endif %}</p>
<div class="scroll" tabindex="0" role="region" aria-label="Services and losses"><table class="grid" id="grid">
<thead><tr><th scope="col">Service</th>{% for level in assessed.levels %}<th scope="col">{{ level }}</th>{% endfor %}</tr></thead>
<tbody>
{%- for row in rows %}
<tr><th scope="row"><details><summary>{{ row.name }}</summary><ul>
{%- for entry in row.cells %}{% if entry.grade %}<li>{{ entry.reason }}{% if entry.hurt > 1 %} {{ entry.hurt }} of {{ entry.of }} such losses hurt.
{%- endif %}</li>{% endif %}{% endfor %}
{%- for finding in row.findings %}<li>{{ finding.title }} ({{ finding.id }}): <code>{{ finding.fix or finding.object }}</code></li>{% endfor %}
</ul></details></th>{% for entry in row.cells %}{{ cell(entry) }}{% endfor %}</tr>
{%- else %}<tr><td colspan="{{ 1 + assessed.levels | length }}">No Service could be judged.</td></tr>
{%- endfor %}
</tbody></table></div>
<p><button type="button" id="more" class="screen" hidden>Show 200 more</button></p>
{%- if assessed.losses %}
<h2 id="losses">Losses, worst first</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Losses"><table><thead><tr><th scope="col">Lost</th>
<th scope="col" class="number">Gone</th><th scope="col" class="number">Lose requests</th>
<th scope="col" class="number">Overloaded</th><th scope="col">Which</th></tr></thead><tbody>
{%- for loss in assessed.losses[:20] %}<tr><th scope="row">{{ loss.name }}</th><td class="number">{{ loss.gone | length }}</td>
<td class="number">{{ loss.losing | length }}</td><td class="number">{{ loss.overloaded | length }}</td>
<td>{{ (loss.gone + loss.losing + loss.overloaded)[:4] | join(", ") }}
{{- " …" if loss.gone | length + loss.losing | length + loss.overloaded | length > 4 }}</td></tr>{% endfor %}
</tbody></table></div>
{%- endif %}
<h2 id="assumptions">What it assumes</h2>
<ul>{% for assumption in assessed.assumptions %}<li>{{ assumption.text }}</li>{% endfor %}</ul>
</main>
<footer class="small">Made by meshops.locality. A prediction, not a drill: what is broken on purpose is proven.</footer>
<script type="application/json" id="data">{{ data | safe }}</script>
<script>{{ script | safe }}</script>
</body></html>
"""
)
