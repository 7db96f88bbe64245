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
{%- macro dot(endpoint) -%}
<svg class="dot" viewBox="0 0 16 16" aria-hidden="true"><title>{{ endpoint.title }}</title><use href="#e-{{ endpoint.state }}"/>
{%- if endpoint.target %}<use href="#e-target"/>{% endif %}</svg>
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
{%- for tile in tiles %}
<li class="{{ tile.tone }}"><span class="label">{{ tile.label }}</span> <span class="value">{{ tile.value }}</span>
<span class="state">{{ tile.state }}</span> <span class="small">{{ tile.said }}</span></li>
{%- endfor %}
</ul>
</section>
<nav aria-label="Sections"><ul>
{%- for id, title in sections.items() if id != "verdict" %}<li><a href="#{{ id }}">{{ title }}</a></li>{% endfor -%}
</ul></nav>
{%- for note in notes %}<p class="note" role="note">{{ note }}</p>{% endfor %}
</header>
<main>
<h2 id="timeline">Timeline</h2>
{%- if measured %}
<figure>
<figcaption>{{ timeline_words }} Areas are answered requests by place, failed ones stand in front.</figcaption>
<ul class="legend">
<li><span class="key" style="background:var(--failed)"></span>failed</li>
{%- for key in legend %}<li><span class="key" style="background:{{ key.colour }}"></span><span>{{ key.name }}
<small>{{ key.place if key.place != key.name }}</small></span></li>{% endfor %}
</ul>
{%- if charts %}
{%- for kind, chart in charts.items() %}
<div class="chart {{ kind }}" data-left="{{ chart.left }}" data-plot="{{ chart.plot }}" data-size="{{ chart.width }}"
{%- if kind == "wide" %} tabindex="0" role="img" aria-label="Requests over time. Arrow keys choose a second, its numbers are said below."
{% else %} role="img" aria-label="Requests over time"{% endif %}>{{ chart.svg | safe }}<span class="cursor"></span>
</div>
{%- endfor %}
<p class="readout screen" id="readout" role="status"></p>
{%- endif %}
</figure>
<ul class="legend small">
{%- for band in bands %}<li>{{ band.name }}: {{ since(band.begin - zero) }} to {{ since(band.end - zero) }}</li>
{% endfor -%}
</ul>
{%- else %}
<p>Nothing was measured.</p>
{%- endif %}
{%- if marks %}
<h3>What happened</h3>
<ol class="marks">
{%- for mark in marks %}<li><span class="no">{{ mark.number }}</span><span class="at">{{ mark.at }}</span>
<span><strong>{{ mark.name }}</strong> {{ mark.message }}</span></li>{% endfor %}
</ol>
{%- endif %}
{%- if clients and measured %}
<h3>Each client</h3>
{%- if client_charts %}
<ul class="clients">
{%- for client in clients if client.index in client_charts %}
<li><strong>{{ client.name }}</strong> <small>{{ client.place }}</small><br>
<small>{{ "{:,}".format(client.sent) }} requests,
{{ "{:,}".format(client.failed) }} failed{{ ", elsewhere at " ~ client.shifted if client.shifted }}</small>{{ client_charts[client.index].svg | safe }}
</li>
{%- endfor %}
</ul>
{%- endif %}
<details{{ " open" if clients | length <= 6 and not client_charts }}><summary>All
{{ clients | length }} clients as a table</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Clients"><table><thead><tr><th scope="col">Client</th>
<th scope="col">Place</th><th scope="col" class="number">Requests</th><th scope="col" class="number">Failed</th>
<th scope="col" class="number">Elsewhere at</th></tr></thead><tbody>
{%- for client in clients %}<tr><td>{{ client.name }}</td><td>{{ client.place }}</td><td
class="number">{{ "{:,}".format(client.sent) }}</td><td class="number">{{ "{:,}".format(client.failed) }}</td><td
class="number">{{ client.shifted or "–" }}</td></tr>{% endfor %}
</tbody></table></div></details>
<details{{ " open" if not charts }}>
<summary>Requests per second as a table{{ " (" ~ second_table.step ~ " s a row)" if second_table.step > 1 }}</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Requests per second"><table><thead><tr>
<th scope="col">Since the fault</th><th scope="col" class="number">failed</th>{% for column in second_table.columns %}
<th scope="col" class="number">{{ column }}</th>{% endfor %}</tr></thead><tbody>
{%- for row in second_table.rows %}<tr><th scope="row">{{ row.at }}</th><td class="number">{{ row.failed }}</td>
{% for cell in row.cells %}<td class="number">{{ cell }}</td>{% endfor %}</tr>{% endfor %}
</tbody></table></div></details>
{%- endif %}
<details><summary>All phases and events</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Phases"><table><caption>Phases</caption><thead><tr>
<th scope="col">Phase</th><th scope="col" class="number">Began at</th><th scope="col" class="number">Took</th>
<th scope="col">Outcome</th></tr></thead><tbody>
{%- for phase in phases %}<tr><th scope="row">{{ phase.name }}</th><td class="number">{{ phase.begin }}</td><td
class="number">{{ phase.lasted }}</td><td>{{ phase.outcome }}</td></tr>{% endfor %}
</tbody></table></div>
<div class="scroll" tabindex="0" role="region" aria-label="Events"><table><caption>Events,
{{ all_events | length }} of {{ drill.events | length }}; all are in journal.jsonl</caption><thead><tr><th scope="col"
class="number">At</th><th scope="col">Phase</th><th scope="col">What</th></tr></thead><tbody>
{%- for event in all_events %}<tr><td class="number">{{ "%.1f" | format(event.t) }} s</td><td>{{ event.phase }}</td>
<td>{{ event.message }}</td></tr>{% endfor %}
</tbody></table></div></details>

<h2 id="prediction">Prediction and what was seen</h2>
{%- if predicted %}
<p>{{ predicted.sentence }}</p>
<div class="scroll" tabindex="0" role="region" aria-label="Prediction and what was seen"><table>
<caption>Predicted for {{ predicted.loss or "the loss" }}: {{ predicted.verdict }}. Places:
{{ "{:,}".format(predicted.settled) }} answers between the shift and the end of the fault.</caption>
<thead><tr><th scope="col">What</th><th scope="col">Predicted</th><th scope="col">Seen</th><th scope="col">Agrees</th>
<th scope="col"><span class="vh">Picture</span></th></tr></thead><tbody>
{%- for row in predicted.rows %}
<tr><th scope="row">{{ row.name }}</th><td>{{ row.range }}</td><td>{{ row.seen }}</td>
<td><span class="tag
{{ {true: "good", false: "bad"}.get(row.inside, "calm") }}">{{ {true: "✓ yes", false: "✗ no"}.get(row.inside, "? not seen") }}</span></td>
<td><div class="track" aria-hidden="true"><span class="range"
style="left:{{ row.left }}%;width:{{ row.width }}%"></span>{% if row.point is not none %}<span class="point"
style="left:{{ row.point }}%"></span>{% endif %}</div></td></tr>
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
{%- for sentence in predicted.assumptions %}<li>{{ sentence }}</li>{% endfor %}{% for sentence in predicted.unchecked %}
<li>Not checked: {{ sentence }}</li>{% endfor %}
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
{%- for subzone in zone.subzones %}
<div class="subzone" style="--colour:{{ subzone.colour }}"><span class="name">{{ subzone.name }}</span> <span
class="small">{{ subzone.words }}{{ " · %d targets" | format(subzone.targets) if subzone.targets > 1 }}{{ " · target" if subzone.targets == 1 }}</span>
{%- if subzone.dots %}<div class="dots">{% for each in subzone.dots %}{{ dot(each) }}{% endfor %}</div>{% endif %}</div>
{%- endfor %}</div>
{%- endfor %}</div>
{%- endfor %}</div>
{%- endfor %}
</div>
{%- else %}
<div class="scroll" tabindex="0" role="region" aria-label="Places"><table><thead><tr><th scope="col">Place</th>
<th scope="col" class="number">Ready endpoints before</th><th scope="col" class="number">of them targets</th>
</tr></thead><tbody>
{%- for place in drill.places %}<tr><th scope="row">{{ place.place or "no locality" }}</th><td
class="number">{{ place.endpoints }}</td><td class="number">{{ place.targets }}</td></tr>{% endfor %}
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
{%- for shift in mechanisms.rows %}<tr><td class="number">{{ shift.at or "–" }}</td><td>{{ shift.client }}</td>
<td>{{ shift.endpoint }}</td><td>{{ shift.mechanism }}</td><td>{{ shift.evidence }}</td></tr>{% endfor %}
</tbody></table></div></details>
{%- else %}<p>No shift was seen.</p>{% endif %}
{%- if bystanders %}
<p>Bystanders: {{ bystanders.watched or 0 }} watched, {{ "{:,}".format(bystanders.errors or 0) }} errors in
{{ "{:,}".format(bystanders.requests or 0) }} requests.
{%- for sentence in bystanders.hurt or [] %} {{ sentence }}.{% endfor %}
{% for sentence in bystanders.unavailable or [] %} Not watched: {{ sentence }}.{% endfor %}</p>
{%- endif %}
{%- if witnesses %}
<p>Witnesses: the probe's own answers
{{ {true: "agree", false: "were not there"}.get(witnesses.probe, "were not asked for") }}; Envoy's counters
{{ {true: "agree", false: "were not there"}.get(witnesses.counters, "were not asked for") }}.
{%- for sentence in witnesses.disagreements or [] %} Disagreement: {{ sentence }}.{% endfor %}
{% for sentence in witnesses.unavailable or [] %} Not available: {{ sentence }}.{% endfor %}</p>
{%- endif %}

<h2 id="findings">Findings</h2>
{%- for finding in drill.findings %}
<article class="finding {{ {"error": "bad", "warning": "warn"}.get(finding.severity, "calm") }}"><h3><span
class="tag">{{ finding.severity }}</span> {{ finding.what }}</h3>
{%- if finding.do %}<p>{{ finding.do }}</p>{% endif %}
{%- if finding.fix %}<div class="copy"><pre tabindex="0"><code>{{ finding.fix }}</code></pre></div>{% endif %}</article>
{%- else %}<p>None.</p>{% endfor %}

<h2 id="criteria">Criteria and gate</h2>
{%- macro passed(answer) %}<span class="tag
{{ {true: "good", false: "bad"}.get(answer, "calm") }}">{{ {true: "✓ passed", false: "✗ not passed"}.get(answer, "? not judged") }}</span>{% endmacro %}
{%- if drill.criteria %}
<div class="scroll" tabindex="0" role="region" aria-label="Criteria"><table><caption>What had to be met</caption>
<thead><tr><th scope="col">Criterion</th><th scope="col">Wanted</th><th scope="col">Seen</th>
<th scope="col">Result</th></tr></thead><tbody>
{%- for criterion in drill.criteria %}<tr><th scope="row">{{ criterion.name | replace("_", " ") }}</th><td>{{ criterion.wanted }}</td>
<td>{{ criterion.observed }}</td><td>{{ passed(criterion.passed) }}</td></tr>{% endfor %}
</tbody></table></div>
{%- else %}<p>No criterion was judged.</p>{% endif %}
{%- if drill.gate %}
<div class="scroll" tabindex="0" role="region" aria-label="Gate"><table>
<caption>What the gate looked at before anything was touched</caption><thead><tr><th scope="col">Rule</th>
<th scope="col">What was found</th><th scope="col">Result</th></tr></thead><tbody>
{%- for rule in drill.gate %}<tr><th scope="row">{{ rule.rule | replace("_", " ") }}</th><td>{{ rule.what }}
{% if rule.do %} <small>{{ rule.do }}</small>{% endif %}</td><td>{{ passed(rule.passed) }}</td></tr>{% endfor %}
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
{%- for difference in proof.differences %}<tr><td>{{ difference.object }}</td><td>{{ difference.field }}</td><td>{{ difference.before }}</td>
<td>{{ difference.after }}</td><td><span class="tag
{{ "calm" if difference.expected else "bad" }}">{{ "yes" if difference.expected else "✗ no" }}</span></td></tr>{% endfor %}
</tbody></table></div>
{%- endif %}
{%- if proof.pods %}
<details{{ " open" if proof.pods | length <= 6 }}><summary>Each target</summary><div
class="scroll" tabindex="0" role="region" aria-label="Targets"><table>{% if proof.more_pods %}
<caption>{{ proof.more_pods }} more are in drill.json</caption>{% endif %}<thead><tr><th scope="col">Pod</th>
<th scope="col">Same pod</th><th scope="col">Proof</th></tr></thead><tbody>
{%- for pod in proof.pods %}<tr><td>{{ pod.pod }}</td>
<td>{{ {true: "yes", false: "no, replaced"}.get(pod.uid_same, "not known") }}</td><td>{% if pod.error %}<span
class="tag bad">✗</span> {{ pod.error }}{% else %}{{ pod.proof }}{% endif %}</td></tr>{% endfor %}
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
{%- for control in controls %}<tr><th scope="row">{{ control.asked }}</th><td>{{ control.sources }}</td><td>
{% for each in control.sections %}<a href="#{{ each.id }}">{{ each.title }}</a>{{ ", " if not loop.last }}
{% endfor %}</td><td><span class="tag
{{ "good" if control.there else "calm" }}">{{ "✓ yes" if control.there else "– not given" }}</span></td></tr>{% endfor %}
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
