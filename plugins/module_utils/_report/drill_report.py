# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.html: one drill on one page, for the engineer, the manager and the auditor.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._report import (
    drill_audit_controls,
    drill_formatting,
    drill_places_view,
    drill_summary,
    drill_timeline_view,
)
from ansible_collections.meshops.locality.plugins.module_utils._report.chart_svg import Draw, Drawing, drawing
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_charts import (
    Mark,
    client_chart,
    requests_chart,
)
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_page_template import TEMPLATE
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_timeline import (
    Timeline,
    samples,
    timeline,
)
from ansible_collections.meshops.locality.plugins.module_utils._report.page_script import COMMON, TIMELINE
from ansible_collections.meshops.locality.plugins.module_utils._report.page_style import STYLE
from ansible_collections.meshops.locality.plugins.module_utils._report.page_template import page

Drill = t.Mapping[str, t.Any]

#: Widths of the timeline's plot in pixels, for screens and paper, and for phones.
WIDTHS = {"wide": 990, "narrow": 290}
#: How many events the page lists; journal.jsonl has all.
EVENTS = 200


def drill_report(
    drill: Drill, draw: Draw, *, hashes: t.Mapping[str, str] | None = None, removed: int = 0
) -> tuple[str, list[str]]:
    """Return the page, and sentences about what is missing in it.

    `draw` draws Vega-Lite specifications; where it raises a LocalityError, tables stand for charts and a note says so.
    `hashes`: SHA-256 of the other files by name; `removed`: how many credentials were taken out. Raises InvalidInput
    when the samples are not what their columns say.
    """
    listed = samples(drill)
    traffic = timeline(listed)
    places = drill_formatting.place_names(drill)
    marks, marked = drill_timeline_view.events(drill)
    own_clients = drill_timeline_view.clients(drill, traffic)
    notes = []
    charts: dict[str, Drawing] = {}
    client_charts: dict[int, Drawing] = {}
    if listed:
        try:
            charts, client_charts = _drawn(drill, draw, traffic, places, marks, own_clients)
        except LocalityError as error:
            notes.append(f"The charts are missing, tables stand for them. {error}")
    measured = drill["measured"] or {}
    request = drill["environment"].get("request")
    stages = drill_places_view.stages(drill, places)
    values = {
        "drill": drill,
        "sections": drill_audit_controls.SECTIONS,
        "notes": notes,
        "outcome": drill_summary.outcome(drill),
        "tiles": drill_summary.tiles(drill),
        "measured": bool(listed),
        "timeline_words": drill_timeline_view.timeline_words(drill, traffic),
        "legend": drill_timeline_view.legend(drill, places),
        "charts": charts,
        "client_charts": client_charts,
        "bands": drill_timeline_view.bands(drill),
        "zero": drill["fault"].get("injected_t") or 0.0,
        "since": drill_formatting.since,
        "marks": marked,
        "clients": own_clients,
        "second_table": drill_timeline_view.second_table(drill, traffic, places),
        "second_data": drill_timeline_view.second_data(drill, traffic, places) if listed else "null",
        "phases": drill_summary.phases(drill),
        "all_events": drill["events"][:EVENTS],
        "predicted": drill_places_view.predicted(drill, listed, places),
        "stages": stages,
        "any_endpoints": any(stage["known"] for stage in stages),
        "states": drill_places_view.STATES,
        "shares": drill_places_view.shares(drill, listed, places),
        "mechanisms": drill_summary.mechanisms(drill),
        "bystanders": measured.get("bystanders"),
        "witnesses": measured.get("witnesses"),
        "proof": drill_summary.proof(drill),
        "environment": drill_summary.environment(drill),
        "request": json.dumps(request, indent=2, ensure_ascii=False) if request else "",
        "removed": removed,
        "hashes": hashes or {},
        "controls": drill_audit_controls.controls(drill),
    }
    word = str(drill["outcome"]).replace("_", " ").lower()
    return page(TEMPLATE, f"Drill {word}: {drill['title']}", STYLE, COMMON + TIMELINE, values), notes


def _drawn(
    drill: Drill,
    draw: Draw,
    traffic: Timeline,
    places: t.Sequence[str],
    marks: t.Sequence[Mark],
    clients: t.Sequence[t.Mapping[str, t.Any]],
) -> tuple[dict[str, Drawing], dict[int, Drawing]]:
    zero = float(drill["fault"].get("injected_t") or 0.0)
    bands = drill_timeline_view.bands(drill)
    highest = max(own[0] for by_second in traffic.clients.values() for own in by_second.values())
    wanted = [requests_chart(traffic, places, bands, marks, zero=zero, width=width) for width in WIDTHS.values()]
    shown = [client["index"] for client in clients[: drill_formatting.CLIENTS]]
    wanted += [
        client_chart(traffic.clients.get(index, {}), traffic.first, traffic.last, zero=zero, highest=highest)
        for index in shown
    ]
    drawn = [drawing(svg, chart["width"]) for svg, chart in zip(draw(wanted), wanted, strict=True)]
    return dict(zip(WIDTHS, drawn, strict=False)), dict(zip(shown, drawn[len(WIDTHS) :], strict=True))
