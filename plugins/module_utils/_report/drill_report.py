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
from ansible_collections.meshops.locality.plugins.module_utils._report import drill_view as view
from ansible_collections.meshops.locality.plugins.module_utils._report.drawing import Draw, Drawing, drawing
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
    found = timeline(listed)
    places = view.place_names(drill)
    marks, told = view.events(drill)
    own_clients = view.clients(drill, found)
    notes = []
    charts: dict[str, Drawing] = {}
    client_charts: dict[int, Drawing] = {}
    if listed:
        try:
            charts, client_charts = _drawn(drill, draw, found, places, marks, own_clients)
        except LocalityError as error:
            notes.append(f"The charts are missing, tables stand for them. {error}")
    measured = drill["measured"] or {}
    request = drill["environment"].get("request")
    stages = view.stages(drill, places)
    values = {
        "drill": drill,
        "sections": view.SECTIONS,
        "notes": notes,
        "outcome": view.outcome(drill),
        "tiles": view.tiles(drill),
        "measured": bool(listed),
        "timeline_words": view.timeline_words(drill, found),
        "legend": view.legend(drill, places),
        "charts": charts,
        "client_charts": client_charts,
        "bands": view.bands(drill),
        "zero": drill["fault"].get("injected_t") or 0.0,
        "since": view.since,
        "marks": told,
        "clients": own_clients,
        "second_table": view.second_table(drill, found, places),
        "second_data": view.second_data(drill, found, places) if listed else "null",
        "phases": view.phases(drill),
        "all_events": drill["events"][:EVENTS],
        "predicted": view.predicted(drill, listed, places),
        "stages": stages,
        "any_endpoints": any(stage["known"] for stage in stages),
        "states": view.STATES,
        "shares": view.shares(drill, listed, places),
        "mechanisms": view.mechanisms(drill),
        "bystanders": measured.get("bystanders"),
        "witnesses": measured.get("witnesses"),
        "proof": view.proof(drill),
        "environment": view.environment(drill),
        "request": json.dumps(request, indent=2, ensure_ascii=False) if request else "",
        "removed": removed,
        "hashes": hashes or {},
        "controls": view.controls(drill),
    }
    word = str(drill["outcome"]).replace("_", " ").lower()
    return page(TEMPLATE, f"Drill {word}: {drill['title']}", STYLE, COMMON + TIMELINE, values), notes


def _drawn(
    drill: Drill,
    draw: Draw,
    found: Timeline,
    places: t.Sequence[str],
    marks: t.Sequence[Mark],
    clients: t.Sequence[t.Mapping[str, t.Any]],
) -> tuple[dict[str, Drawing], dict[int, Drawing]]:
    zero = float(drill["fault"].get("injected_t") or 0.0)
    bands = view.bands(drill)
    highest = max(own[0] for by_second in found.clients.values() for own in by_second.values())
    wanted = [requests_chart(found, places, bands, marks, zero=zero, width=width) for width in WIDTHS.values()]
    shown = [one["index"] for one in clients[: view.CLIENTS]]
    wanted += [
        client_chart(found.clients.get(index, {}), found.first, found.last, zero=zero, highest=highest)
        for index in shown
    ]
    drawn = [drawing(svg, one["width"]) for svg, one in zip(draw(wanted), wanted, strict=True)]
    return dict(zip(WIDTHS, drawn, strict=False)), dict(zip(shown, drawn[len(WIDTHS) :], strict=True))
