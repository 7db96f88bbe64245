# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timeline of report.html: bands, marks, legend, clients and the tables behind the chart.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._report.drill_charts import (
    COLOURS,
    OTHERS,
    Band,
    Mark,
    bucketed,
    colours,
)
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_formatting import since
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_timeline import Timeline
from ansible_collections.meshops.locality.plugins.module_utils._report.forecast import short_places

Drill = t.Mapping[str, t.Any]
Json = dict[str, t.Any]

#: More marks than these are counted, not shown; so many rows has the table at most.
MARKS, BUCKETS = 20, 60


#: Events that the chart marks; others stand in the list of all events.
MARKED = {
    "fault": "Fault",
    "first_error": "First error",
    "first_ejection": "First ejection",
    "first_eds_health": "First unhealthy by EDS",
    "first_eds_removal": "First removed by EDS",
    "first_success_elsewhere": "First success elsewhere",
    "all_shifted": "All shifted",
    "abort": "Abort",
    "signal": "Signal",
    "api_trouble": "API server trouble",
    "restored": "Restored",
    "failed_back": "Failed back",
}


def bands(drill: Drill) -> list[Band]:
    """Return the stretches of time that the chart shades: before, fault, restore, after."""
    begin, end = drill["fault"].get("injected_t"), drill["fault"].get("ended_t")
    whole = float(drill["seconds"])
    if begin is None:
        return [Band("nothing broken", 0, whole)]
    measured = drill["measured"] or {}
    ended = whole if end is None else float(end)
    back = measured.get("restored_t")
    spans = [Band("before", 0, begin), Band("fault", begin, ended, fault=True)]
    if end is not None:
        restored = whole if back is None else max(ended, float(back))
        spans += [Band("restore", ended, restored), Band("after", restored, whole)]
    return [span for span in spans if span.end > span.begin]


def events(drill: Drill) -> tuple[list[Mark], list[Json]]:
    """Return the numbered marks of the chart, and for each number its time since the fault, name and words."""
    zero = drill["fault"].get("injected_t") or 0.0
    marks: list[Mark] = []
    described: list[Json] = []
    for drill_event in sorted(drill["events"], key=lambda event: event["t"]):
        if drill_event["kind"] in MARKED and len(marks) < MARKS:
            marks.append(Mark(len(marks) + 1, drill_event["t"]))
            described.append(
                {
                    "number": len(marks),
                    "at": since(drill_event["t"] - zero),
                    "name": MARKED[drill_event["kind"]],
                    "message": ""
                    if drill_event["message"].casefold() == MARKED[drill_event["kind"]].casefold()
                    else drill_event["message"],
                }
            )
    return marks, described


def legend(drill: Drill, places: t.Sequence[str]) -> list[Json]:
    """Return the places with their colours."""
    names, palette = short_places(places), colours(places)
    entries = [
        {"name": names[place], "place": place or "no locality", "colour": palette[place]} for place in places[:COLOURS]
    ]
    if len(places) > COLOURS:
        entries.append(
            {
                "name": f"{OTHERS} ({len(places) - COLOURS})",
                "place": f"{OTHERS} ({len(places) - COLOURS})",
                "colour": "var(--others)",
            }
        )
    return entries


def timeline_words(drill: Drill, traffic: Timeline) -> str:
    """Return the chart in a few sentences, which is its text alternative."""
    if not traffic.clients:
        return "No request was measured."
    failing = sorted(traffic.failed)
    zero = drill["fault"].get("injected_t")
    sent = sum(own[0] for by_second in traffic.clients.values() for own in by_second.values())
    failed = sum(traffic.failed.values())
    span = traffic.last - traffic.first + 1
    clients = len(traffic.clients)
    words = f"{sent:,} requests of {clients} client{'s' if clients != 1 else ''} in {span:,} s, "
    words += f"{sent / span:.0f} a second. "
    if not failed:
        words += "None failed."
    else:
        words += f"{failed:,} failed, in {len(failing)} second{'s' if len(failing) != 1 else ''}"
        words += (
            f", from {since(failing[0] - zero)} to {since(failing[-1] + 1 - zero)} after the fault."
            if zero is not None
            else "."
        )
    if zero is not None and traffic.first >= zero:
        words += " Nothing was measured before the fault."
    return words


def second_table(drill: Drill, traffic: Timeline, places: t.Sequence[str]) -> Json:
    """Return the chart as a table of at most BUCKETS rows: requests per second by place, and failed ones."""
    if not traffic.clients:
        return {"columns": [], "rows": [], "step": 1}
    step = -(-(traffic.last - traffic.first + 1) // BUCKETS)
    names = short_places(places)
    shown = [*places[:COLOURS], *([OTHERS] if len(places) > COLOURS else [])]
    zero = drill["fault"].get("injected_t") or 0
    rows = []
    for second, by_place, failed in bucketed(traffic, places, step):
        rows.append(
            {
                "at": since(second - zero),
                "failed": _rate(failed),
                "cells": [_rate(by_place.get(place, 0)) for place in shown],
            }
        )
    return {"columns": [names.get(place, place) for place in shown], "rows": rows, "step": step}


def _rate(value: float) -> str:
    return f"{value:.4g}" if value else "–"


def second_data(drill: Drill, traffic: Timeline, places: t.Sequence[str]) -> str:
    """Return JSON for the script that shows one second's numbers; `<` is escaped, as it stands in a page."""
    names = short_places(places)
    shown = [*places[:COLOURS], *([OTHERS] if len(places) > COLOURS else [])]
    rows = bucketed(traffic, places, 1)
    data = {
        "first": traffic.first,
        "zero": int(drill["fault"].get("injected_t") or traffic.first),
        "places": [names.get(place, place) for place in shown],
        "answered": [[round(by_place.get(place, 0)) for _second, by_place, _failed in rows] for place in shown],
        "failed": [round(failed) for _second, _by_place, failed in rows],
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def clients(drill: Drill, traffic: Timeline) -> list[Json]:
    """Return the clients, those with most failures first, each with its numbers and its shift."""
    rows = []
    moved: dict[str, list[float]] = {}
    for shift in drill["shifts"]:
        if shift.get("t") is not None and shift["mechanism"] != "none":
            moved.setdefault(shift["client"], []).append(shift["t"])
    zero = drill["fault"].get("injected_t") or 0.0
    for index, client in enumerate(drill["load"]["clients"]):
        own = traffic.clients.get(index, {})
        last = max(moved.get(client["name"], ()), default=None)
        rows.append(
            {
                "index": index,
                "name": client["name"],
                "place": client["place"] or "no locality",
                "sent": sum(numbers[0] for numbers in own.values()),
                "failed": sum(numbers[1] for numbers in own.values()),
                "shifted": since(last - zero) if last is not None else "",
            }
        )
    return sorted(rows, key=lambda row: (-row["failed"], not row["shifted"], row["index"]))
