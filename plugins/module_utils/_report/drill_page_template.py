# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The template of report.html, in Jinja2, which ansible-core brings.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

from ansible_collections.meshops.locality.plugins.module_utils._report.page_template import HEAD, SIGNS

TEMPLATE = (
    HEAD
    + SIGNS
    + """
{%- macro dot(one) -%}
<svg class="dot" viewBox="0 0 16 16" aria-hidden="true"><title>{{ one.title }}</title><use href="#e-{{ one.state }}"/>
{%- if one.target %}<use href="#e-target"/>{% endif %}</svg>
{%- endmacro %}
<svg width="0" height="0" style="position:absolute" aria-hidden="true" focusable="false"><defs>
<symbol id="e-healthy" viewBox="0 0 16 16"><circle cx="8" cy="8" r="4.5" fill="var(--good)"/></symbol>
<symbol id="e-ejected" viewBox="0 0 16 16"><path d="M4 4l8 8M12 4l-8 8" stroke="var(--failed)"
stroke-width="2.6"/></symbol>
<symbol id="e-not_ready" viewBox="0 0 16 16"><circle cx="8" cy="8" r="4" fill="none" stroke="var(--warn)"
stroke-width="2.2"/></symbol>
<symbol id="e-gone" viewBox="0 0 16 16"><path d="M4 8h8" stroke="var(--ink-2)" stroke-width="2.4"/></symbol>
<symbol id="e-target" viewBox="0 0 16 16"><rect x=".75" y=".75" width="14.5" height="14.5" rx="2.5" fill="none"
stroke="var(--ink)" stroke-width="1.3"/></symbol>
</defs></svg>
<header>
<h1>Drill: {{ drill.title }}</h1>
<p class="small">{{ drill.scope.namespace }}/{{ drill.scope.service }} ·
<time datetime="{{ drill.started }}">{{ drill.started | utc }}</time> · {{ "%.0f" | format(drill.seconds) }} s ·
{{ drill.holder }}</p>
<section id="verdict" aria-label="Verdict">
<div class="verdict {{ outcome.tone }}">
<p class="word">{{ sign(outcome.sign) }}{{ outcome.word }}</p>
<p>{{ outcome.sentence }}</p>
<p class="small">{{ outcome.meaning }}</p>
</div>
<ul class="tiles">
{%- for one in tiles %}
<li class="{{ one.tone }}"><span class="label">{{ one.label }}</span> <span class="value">{{ one.value }}</span>
<span class="state">{{ one.state }}</span> <span class="small">{{ one.said }}</span></li>
{%- endfor %}
</ul>
</section>
<nav aria-label="Sections"><ul>
{%- for id, title in sections.items() if id != "verdict" %}<li><a href="#{{ id }}">{{ title }}</a></li>{% endfor -%}
</ul></nav>
{%- for one in notes %}<p class="note" role="note">{{ one }}</p>{% endfor %}
</header>
<main>
<h2 id="timeline">Timeline</h2>
{%- if measured %}
<figure>
<figcaption>{{ timeline_words }} Areas are answered requests by place, failed ones stand in front.</figcaption>
<ul class="legend">
<li><span class="key" style="background:var(--failed)"></span>failed</li>
{%- for one in legend %}<li><span class="key" style="background:{{ one.colour }}"></span><span>{{ one.name }}
<small>{{ one.place if one.place != one.name }}</small></span></li>{% endfor %}
</ul>
{%- if charts %}
{%- for kind, one in charts.items() %}
<div class="chart {{ kind }}" data-left="{{ one.left }}" data-plot="{{ one.plot }}" data-size="{{ one.width }}"
{%- if kind == "wide" %} tabindex="0" role="img" aria-label="Requests over time. Arrow keys choose a second, its numbers are said below."
{% else %} role="img" aria-label="Requests over time"{% endif %}>{{ one.svg | safe }}<span class="cursor"></span>
</div>
{%- endfor %}
<p class="readout screen" id="readout" role="status"></p>
{%- endif %}
</figure>
<ul class="legend small">
{%- for one in bands %}<li>{{ one.name }}: {{ since(one.begin - zero) }} to {{ since(one.end - zero) }}</li>
{% endfor -%}
</ul>
{%- else %}
<p>Nothing was measured.</p>
{%- endif %}
{%- if marks %}
<h3>What happened</h3>
<ol class="marks">
{%- for one in marks %}<li><span class="no">{{ one.number }}</span><span class="at">{{ one.at }}</span>
<span><strong>{{ one.name }}</strong> {{ one.message }}</span></li>{% endfor %}
</ol>
{%- endif %}
{%- if clients and measured %}
<h3>Each client</h3>
{%- if client_charts %}
<ul class="clients">
{%- for one in clients if one.index in client_charts %}
<li><strong>{{ one.name }}</strong> <small>{{ one.place }}</small><br>
<small>{{ "{:,}".format(one.sent) }} requests,
{{ "{:,}".format(one.failed) }} failed{{ ", elsewhere at " ~ one.shifted if one.shifted }}</small>{{ client_charts[one.index].svg | safe }}
</li>
{%- endfor %}
</ul>
{%- endif %}
<details{{ " open" if clients | length <= 6 and not client_charts }}><summary>All
{{ clients | length }} clients as a table</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Clients"><table><thead><tr><th scope="col">Client</th>
<th scope="col">Place</th><th scope="col" class="number">Requests</th><th scope="col" class="number">Failed</th>
<th scope="col" class="number">Elsewhere at</th></tr></thead><tbody>
{%- for one in clients %}<tr><td>{{ one.name }}</td><td>{{ one.place }}</td><td
class="number">{{ "{:,}".format(one.sent) }}</td><td class="number">{{ "{:,}".format(one.failed) }}</td><td
class="number">{{ one.shifted or "–" }}</td></tr>{% endfor %}
</tbody></table></div></details>
<details{{ " open" if not charts }}>
<summary>Requests per second as a table{{ " (" ~ second_table.step ~ " s a row)" if second_table.step > 1 }}</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Requests per second"><table><thead><tr>
<th scope="col">Since the fault</th><th scope="col" class="number">failed</th>{% for one in second_table.columns %}
<th scope="col" class="number">{{ one }}</th>{% endfor %}</tr></thead><tbody>
{%- for row in second_table.rows %}<tr><th scope="row">{{ row.at }}</th><td class="number">{{ row.failed }}</td>
{% for cell in row.cells %}<td class="number">{{ cell }}</td>{% endfor %}</tr>{% endfor %}
</tbody></table></div></details>
{%- endif %}
<details><summary>All phases and events</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Phases"><table><caption>Phases</caption><thead><tr>
<th scope="col">Phase</th><th scope="col" class="number">Began at</th><th scope="col" class="number">Took</th>
<th scope="col">Outcome</th></tr></thead><tbody>
{%- for one in phases %}<tr><th scope="row">{{ one.name }}</th><td class="number">{{ one.begin }}</td><td
class="number">{{ one.lasted }}</td><td>{{ one.outcome }}</td></tr>{% endfor %}
</tbody></table></div>
<div class="scroll" tabindex="0" role="region" aria-label="Events"><table><caption>Events,
{{ all_events | length }} of {{ drill.events | length }}; all are in journal.jsonl</caption><thead><tr><th scope="col"
class="number">At</th><th scope="col">Phase</th><th scope="col">What</th></tr></thead><tbody>
{%- for one in all_events %}<tr><td class="number">{{ "%.1f" | format(one.t) }} s</td><td>{{ one.phase }}</td>
<td>{{ one.message }}</td></tr>{% endfor %}
</tbody></table></div></details>

<h2 id="prediction">Prediction and what was seen</h2>
{%- if predicted %}
<p>{{ predicted.sentence }}</p>
<div class="scroll" tabindex="0" role="region" aria-label="Prediction and what was seen"><table>
<caption>Predicted for {{ predicted.loss or "the loss" }}: {{ predicted.verdict }}. Places:
{{ "{:,}".format(predicted.settled) }} answers between the shift and the end of the fault.</caption>
<thead><tr><th scope="col">What</th><th scope="col">Predicted</th><th scope="col">Seen</th><th scope="col">Agrees</th>
<th scope="col"><span class="vh">Picture</span></th></tr></thead><tbody>
{%- for one in predicted.rows %}
<tr><th scope="row">{{ one.name }}</th><td>{{ one.range }}</td><td>{{ one.seen }}</td>
<td><span class="tag
{{ {true: "good", false: "bad"}.get(one.inside, "calm") }}">{{ {true: "✓ yes", false: "✗ no"}.get(one.inside, "? not seen") }}</span></td>
<td><div class="track" aria-hidden="true"><span class="range"
style="left:{{ one.left }}%;width:{{ one.width }}%"></span>{% if one.point is not none %}<span class="point"
style="left:{{ one.point }}%"></span>{% endif %}</div></td></tr>
{%- endfor %}
</tbody></table></div>
{%- if predicted.capacity and predicted.capacity.load is not none %}
<p>The busiest survivor was expected to carry ×{{ "%.2g" | format(predicted.capacity.load) }}
of today's load
{{- " of ×%.2g that it can" | format(predicted.capacity.limit) if predicted.capacity.limit is not none }}
{{- ": more than it can" if predicted.capacity.overloaded }}.</p>
{%- endif %}
{%- if predicted.assumptions or predicted.unchecked %}
<details><summary>What the prediction assumes, and what it does not look at</summary><ul>
{%- for one in predicted.assumptions %}<li>{{ one }}</li>{% endfor %}{% for one in predicted.unchecked %}
<li>Not checked: {{ one }}</li>{% endfor %}
</ul></details>
{%- endif %}
{%- else %}<p>There was no prediction.</p>{% endif %}

<h2 id="places">Places before, during and after</h2>
{%- if any_endpoints %}
<ul class="legend small">
{%- for state, words in states.items() %}<li>{{ dot({"state": state, "title": words, "target": false}) }} {{ words }}
</li>{% endfor %}<li>{{ dot({"state": "healthy", "title": "target", "target": true}) }} target of the fault</li>
</ul>
<div class="stages">
{%- for stage in stages %}
<div class="stage"><h3>{{ stage.name | capitalize }}</h3>
{%- if not stage.known %}<p class="small">Not looked at.</p>{% endif %}
{%- for region in stage.regions %}
<div class="region"><span class="level">region</span> <span class="name">{{ region.name }}</span>
{%- for zone in region.zones %}
<div class="zone"><span class="level">zone</span> <span class="name">{{ zone.name }}</span>
{%- for one in zone.subzones %}
<div class="subzone" style="--colour:{{ one.colour }}"><span class="name">{{ one.name }}</span> <span
class="small">{{ one.words }}{{ " · %d targets" | format(one.targets) if one.targets > 1 }}{{ " · target" if one.targets == 1 }}</span>
{%- if one.dots %}<div class="dots">{% for each in one.dots %}{{ dot(each) }}{% endfor %}</div>{% endif %}</div>
{%- endfor %}</div>
{%- endfor %}</div>
{%- endfor %}</div>
{%- endfor %}
</div>
{%- else %}
<div class="scroll" tabindex="0" role="region" aria-label="Places"><table><thead><tr><th scope="col">Place</th>
<th scope="col" class="number">Ready endpoints before</th><th scope="col" class="number">of them targets</th>
</tr></thead><tbody>
{%- for one in drill.places %}<tr><th scope="row">{{ one.place or "no locality" }}</th><td
class="number">{{ one.endpoints }}</td><td class="number">{{ one.targets }}</td></tr>{% endfor %}
</tbody></table></div>
{%- endif %}
{%- if shares %}
<h3>Who answered each client</h3>
<div class="scroll" tabindex="0" role="region" aria-label="Who answered each client"><table>
<caption>Answered requests{{ ";
the %d clients nearest to the fault" | format(shares | length) if shares | length < clients | length }}</caption>
<thead><tr><th scope="col">Client</th><th scope="col">Before</th><th scope="col">During</th><th scope="col">After</th>
</tr></thead><tbody>
{%- for row in shares %}<tr><th scope="row">{{ row.name }}<br><small>{{ row.place }}</small></th>
{%- for cell in row.cells %}<td>{% if cell.parts %}<div class="share" aria-hidden="true">{% for part in cell.parts %}
<span style="width:{{ part.width }}%;background:{{ part.colour }}"></span>{% endfor %}</div><span class="small">
{% for part in cell.parts %}{{ part.name }} {{ part.share }}{{ ", " if not loop.last }}{% endfor %}</span>{% else %}
<span class="small">no answer</span>{% endif %}</td>{% endfor %}</tr>{% endfor %}
</tbody></table></div>
{%- endif %}

<h2 id="mechanism">What moved the traffic</h2>
{%- if mechanisms.shifts %}
<ul>{% for mechanism in mechanisms.shifts %}<li><strong>{{ "{:,}".format(mechanism.number) }}×</strong> {{ mechanism.words }}</li>
{% endfor %}</ul>
<details{{ " open" if mechanisms.rows | length <= 8 }}><summary>Evidence of each shift</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Evidence of each shift"><table>{% if mechanisms.more %}
<caption>{{ mechanisms.more }} more are in drill.json</caption>{% endif %}<thead><tr><th scope="col"
class="number">At</th><th scope="col">Client</th><th scope="col">Endpoint</th><th scope="col">Mechanism</th>
<th scope="col">Evidence</th></tr></thead><tbody>
{%- for one in mechanisms.rows %}<tr><td class="number">{{ one.at or "–" }}</td><td>{{ one.client }}</td>
<td>{{ one.endpoint }}</td><td>{{ one.mechanism }}</td><td>{{ one.evidence }}</td></tr>{% endfor %}
</tbody></table></div></details>
{%- else %}<p>No shift was seen.</p>{% endif %}
{%- if bystanders %}
<p>Bystanders: {{ bystanders.watched or 0 }} watched, {{ "{:,}".format(bystanders.errors or 0) }} errors in
{{ "{:,}".format(bystanders.requests or 0) }} requests.
{%- for one in bystanders.hurt or [] %} {{ one }}.{% endfor %}
{% for one in bystanders.unavailable or [] %} Not watched: {{ one }}.{% endfor %}</p>
{%- endif %}
{%- if witnesses %}
<p>Witnesses: the probe's own answers
{{ {true: "agree", false: "were not there"}.get(witnesses.probe, "were not asked for") }}; Envoy's counters
{{ {true: "agree", false: "were not there"}.get(witnesses.counters, "were not asked for") }}.
{%- for one in witnesses.disagreements or [] %} Disagreement: {{ one }}.{% endfor %}
{% for one in witnesses.unavailable or [] %} Not available: {{ one }}.{% endfor %}</p>
{%- endif %}

<h2 id="findings">Findings</h2>
{%- for one in drill.findings %}
<article class="finding {{ {"error": "bad", "warning": "warn"}.get(one.severity, "calm") }}"><h3><span
class="tag">{{ one.severity }}</span> {{ one.what }}</h3>
{%- if one.do %}<p>{{ one.do }}</p>{% endif %}
{%- if one.fix %}<div class="copy"><pre tabindex="0"><code>{{ one.fix }}</code></pre></div>{% endif %}</article>
{%- else %}<p>None.</p>{% endfor %}

<h2 id="criteria">Criteria and gate</h2>
{%- macro passed(one) %}<span class="tag
{{ {true: "good", false: "bad"}.get(one, "calm") }}">{{ {true: "✓ passed", false: "✗ not passed"}.get(one, "? not judged") }}</span>{% endmacro %}
{%- if drill.criteria %}
<div class="scroll" tabindex="0" role="region" aria-label="Criteria"><table><caption>What had to be met</caption>
<thead><tr><th scope="col">Criterion</th><th scope="col">Wanted</th><th scope="col">Seen</th>
<th scope="col">Result</th></tr></thead><tbody>
{%- for one in drill.criteria %}<tr><th scope="row">{{ one.name | replace("_", " ") }}</th><td>{{ one.wanted }}</td>
<td>{{ one.observed }}</td><td>{{ passed(one.passed) }}</td></tr>{% endfor %}
</tbody></table></div>
{%- else %}<p>No criterion was judged.</p>{% endif %}
{%- if drill.gate %}
<div class="scroll" tabindex="0" role="region" aria-label="Gate"><table>
<caption>What the gate looked at before anything was touched</caption><thead><tr><th scope="col">Rule</th>
<th scope="col">What was found</th><th scope="col">Result</th></tr></thead><tbody>
{%- for one in drill.gate %}<tr><th scope="row">{{ one.rule | replace("_", " ") }}</th><td>{{ one.what }}
{% if one.do %} <small>{{ one.do }}</small>{% endif %}</td><td>{{ passed(one.passed) }}</td></tr>{% endfor %}
</tbody></table></div>
{%- else %}<p>The gate was not reached.</p>{% endif %}
{%- if drill.previous %}
<p>The drill before, {{ drill.previous.id }}:
{{ drill.previous.outcome | replace("_", " ") | lower }}
{%- if drill.previous.failed_ratio is number %}{{ ", %.3g %% failed" | format(100 * drill.previous.failed_ratio) }}{% endif %}
{%- if drill.previous.time_to_shift is number %}
{{- ", elsewhere after %.3g s" | format(drill.previous.time_to_shift) }}{% endif %}.</p>
{%- endif %}

<h2 id="restore">Proof of restore</h2>
{%- if proof %}
<p>{{ "Everything that was changed is undone" if proof.done
else "NOT everything that was changed is undone: run the restore playbook" }}{{ ", in " ~ proof.seconds if proof.seconds }}.
{%- if proof.compared is none %} The state after was not compared with the state before.{% else %}
{{ "{:,}".format(proof.compared) }} objects were compared with what they were before:
{{ proof.unexpected }} unexpected differences, {{ proof.expected }} that the undo itself makes.{% endif %}</p>
{%- if proof.differences %}
<div class="scroll" tabindex="0" role="region" aria-label="Differences"><table>{% if proof.more_differences %}
<caption>{{ proof.more_differences }} more are in drill.json</caption>{% endif %}<thead><tr>
<th scope="col">Object</th><th scope="col">Field</th><th scope="col">Before</th><th scope="col">After</th>
<th scope="col">Expected</th></tr></thead><tbody>
{%- for one in proof.differences %}<tr><td>{{ one.object }}</td><td>{{ one.field }}</td><td>{{ one.before }}</td>
<td>{{ one.after }}</td><td><span class="tag
{{ "calm" if one.expected else "bad" }}">{{ "yes" if one.expected else "✗ no" }}</span></td></tr>{% endfor %}
</tbody></table></div>
{%- endif %}
{%- if proof.pods %}
<details{{ " open" if proof.pods | length <= 6 }}><summary>Each target</summary><div
class="scroll" tabindex="0" role="region" aria-label="Targets"><table>{% if proof.more_pods %}
<caption>{{ proof.more_pods }} more are in drill.json</caption>{% endif %}<thead><tr><th scope="col">Pod</th>
<th scope="col">Same pod</th><th scope="col">Proof</th></tr></thead><tbody>
{%- for one in proof.pods %}<tr><td>{{ one.pod }}</td>
<td>{{ {true: "yes", false: "no, replaced"}.get(one.uid_same, "not known") }}</td><td>{% if one.error %}<span
class="tag bad">✗</span> {{ one.error }}{% else %}{{ one.proof }}{% endif %}</td></tr>{% endfor %}
</tbody></table></div></details>
{%- endif %}
{%- else %}
<p>{{ "Nothing was changed, so nothing had to be restored." if drill.fault.injected_t is not number
else "Nothing is known about the restore: run the restore playbook." }}</p>
{% endif %}

<h2 id="environment">Environment</h2>
<dl>{% for label, value in environment %}<div><dt>{{ label }}</dt><dd>{{ value }}</dd></div>{% endfor %}
<div><dt>Began</dt><dd><time datetime="{{ drill.started }}">{{ drill.started | utc }}</time></dd></div>
<div><dt>Ended</dt><dd><time datetime="{{ drill.ended }}">{{ drill.ended | utc }}</time></dd></div></dl>
{%- if drill.environment.repeat %}<h3>The command that repeats it</h3><div
class="copy"><pre tabindex="0"><code>{{ drill.environment.repeat }}</code></pre></div>{% endif %}
{%- if request %}<details>
<summary>All options as they were given</summary><pre tabindex="0"><code>{{ request }}</code></pre></details>
{% endif %}
{%- if removed %}<p>{{ removed }} value{{ "s" if removed != 1 }} that looked like a credential
{{ "were" if removed != 1 else "was" }} removed.</p>{% endif %}

<h2 id="integrity">Files and hashes</h2>
<p>This report was made from <code>drill.json</code>. <code>manifest.sha256</code> has the hash of every file of the folder, this one included;
check it with <code>sha256sum --check manifest.sha256</code>. Each line of <code>journal.jsonl</code> holds the hash of the line before.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Hashes"><table><thead><tr><th scope="col">File</th>
<th scope="col">SHA-256</th></tr></thead><tbody>
{%- for name, hash in hashes.items() %}<tr><th scope="row">{{ name }}</th><td><code>{{ hash }}</code></td></tr>
{% endfor %}
</tbody></table></div>

<h2 id="auditors">For auditors</h2>
<p>What is asked for in drills, and where in this report there is evidence for it. This is no statement of compliance.</p>
<div class="scroll" tabindex="0" role="region" aria-label="For auditors"><table><thead><tr>
<th scope="col">Asked for</th><th scope="col">By</th><th scope="col">Section</th><th scope="col">In this report</th>
</tr></thead><tbody>
{%- for one in controls %}<tr><th scope="row">{{ one.asked }}</th><td>{{ one.sources }}</td><td>
{% for each in one.sections %}<a href="#{{ each.id }}">{{ each.title }}</a>{{ ", " if not loop.last }}
{% endfor %}</td><td><span class="tag
{{ "good" if one.there else "calm" }}">{{ "✓ yes" if one.there else "– not given" }}</span></td></tr>{% endfor %}
</tbody></table></div>
<p class="small">Not in here: loss of data (a drill moves requests, it breaks no storage), and how people reacted.</p>
</main>
<footer
class="small">Made by meshops.locality{{ " " ~ drill.environment.collection if drill.environment.collection }} from drill
{{ drill.id }}.</footer>
{%- if measured %}<script type="application/json" id="seconds">{{ second_data | safe }}</script>{% endif %}
<script>{{ script | safe }}</script>
</body></html>
"""
)
