# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The places of a drill in report.html: prediction next to observation, endpoints before, during and after, shares.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._forecast.forecast_against_probe import LEVEL, bounds
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_charts import (
    colours,
)
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_formatting import (
    CLIENTS,
    STAGES,
    percent,
    seconds,
)
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_timeline import TimelineSample
from ansible_collections.meshops.locality.plugins.module_utils._report.forecast import short_places

Drill = t.Mapping[str, t.Any]
Json = dict[str, t.Any]

#: With more endpoints than these they are counted, not shown.
DOTS = 60


#: Beyond this many requests the exact test would take long; its bounds for so many are wider than need be.
TESTED = 20_000


def predicted(drill: Drill, listed: t.Sequence[TimelineSample], places: t.Sequence[str]) -> Json | None:
    """Return prediction against observation: an interval and a point for each of failures, time to shift, and places.

    Places are compared over the whole seconds after all was shifted and before the fault ended. Their intervals are
    those of the binomial distribution, at a level of 0.001 for all together.
    """
    prediction, measured = drill["prediction"], drill["measured"]
    if prediction is None:
        return None
    rows = []
    low, high = prediction["failed_between"]
    seen = measured["failed"] if measured and measured["requests"] else None
    rows.append(_interval("Failed requests", low, high, seen, str))
    low, high = prediction["seconds_between"]
    seen = measured.get("time_to_shift") if measured else None
    rows.append(_interval("Time to shift", low, high, seen, seconds))
    shares: t.Mapping[str, float] = prediction["by_place_after"]
    answered = _settled(drill, listed)
    total = sum(answered.values())
    names = short_places(places)
    compared = [place for place in places if shares.get(place) or answered.get(place)]
    for place in compared:
        share = min(1.0, max(0.0, float(shares.get(place, 0.0))))
        if total:
            tested = min(total, TESTED)
            low, high = (number / tested for number in bounds(tested, share, LEVEL / len(compared)))
        else:
            low = high = share
        rows.append(
            _interval(
                f"Answered by {names[place]}",
                low,
                high,
                answered.get(place, 0) / total if total else None,
                percent,
                1.0,
            )
        )
    wrong = [row for row in rows if row["inside"] is False]
    unseen = [row for row in rows if row["inside"] is None]
    if wrong:
        words = (
            "Outside of what was predicted: "
            + "; ".join(f"{row['name'].lower()} {row['seen']} instead of {row['range']}" for row in wrong)
            + "."
        )
    else:
        words = (
            f"{len(rows) - len(unseen)} of {len(rows)} numbers were seen, and are as predicted."
            if len(unseen) < len(rows)
            else "Nothing was seen to hold against the prediction."
        )
    if wrong and unseen:
        words += f" {len(unseen)} of {len(rows)} could not be compared."
    return {
        "rows": rows,
        "sentence": words,
        "settled": total,
        "loss": prediction.get("loss", ""),
        "verdict": prediction["verdict"],
        "capacity": prediction.get("capacity"),
        "assumptions": [sentence["text"] for sentence in prediction.get("assumptions") or ()],
        "unchecked": [
            sentence["text"] for sentence in (*(prediction.get("unchecked") or ()), *(prediction.get("problems") or ()))
        ],
    }


def _settled(drill: Drill, listed: t.Sequence[TimelineSample]) -> dict[str, int]:
    """Return answers by place in the whole seconds between all shifted and the end of the fault."""
    shifted = (drill["measured"] or {}).get("all_shifted_t")
    if shifted is None:
        return {}
    end = drill["fault"].get("ended_t")
    end = drill["seconds"] if end is None else end
    by_place: dict[str, int] = {}
    for sample in listed:
        if sample.second >= shifted and sample.second + 1 <= end and sample.requests > sample.failed:
            by_place[sample.place] = by_place.get(sample.place, 0) + sample.requests - sample.failed
    return by_place


def _interval(
    name: str,
    low: float | None,
    high: float | None,
    seen: float | None,
    show: t.Callable[[t.Any], str],
    most: float = 0,
) -> Json:
    low = 0.0 if low is None else low
    top = most or 1.2 * max(low, high or 0, seen or 0, 1e-9)
    end = top if high is None else high
    inside = None if seen is None else low - 1e-9 <= seen <= (end + 1e-9 if high is not None else float("inf"))
    to = "no end" if high is None else show(high)
    return {
        "name": name,
        "range": show(high) if high is not None and show(low) == show(high) else f"{show(low)} to {to}",
        "seen": "not seen" if seen is None else show(seen),
        "inside": inside,
        "left": round(100 * min(low, top) / top, 2),
        "width": round(100 * (min(end, top) - min(low, top)) / top, 2),
        "point": None if seen is None else round(100 * min(seen, top) / top, 2),
    }


def stages(drill: Drill, places: t.Sequence[str]) -> list[Json]:
    """Return the places before, during and after: regions with zones with subzones with endpoints and their states."""
    palette = colours(places)
    targets = {f"{pod['namespace']}/{pod['name']}" for pod in drill["scope"]["pods"]}
    ever: dict[str, Json] = {}
    for stage in STAGES:
        for endpoint in drill["endpoints"][stage]:
            ever.setdefault(str(endpoint["address"]), {"pod": endpoint.get("pod") or "", "place": endpoint["place"]})
    drawn = []
    for stage in STAGES:
        if not drill["endpoints"][stage]:
            drawn.append({"name": stage, "regions": [], "known": False})
            continue
        states = _states(drill["endpoints"][stage])
        by_place: dict[str, list[Json]] = {}
        for address, endpoint in sorted(ever.items()):
            state = states.get(address, ("gone", ""))
            target = endpoint["pod"] in targets
            by_place.setdefault(str(endpoint["place"]), []).append(
                {
                    "state": state[0],
                    "target": target,
                    "title": f"{endpoint['pod'] or address}: {STATES[state[0]]}{state[1]}",
                }
            )
        drawn.append({"name": stage, "regions": _nested(by_place, palette, len(ever) <= DOTS), "known": True})
    return drawn


STATES = {"healthy": "healthy", "ejected": "ejected", "not_ready": "not ready", "gone": "removed"}


def _states(listed: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, tuple[str, str]]:
    """Return for each address the worst that a client holds of it, and how many do."""
    by_address: dict[str, list[str]] = {}
    for endpoint in listed:
        flags = endpoint.get("flags") or []
        state = (
            "ejected"
            if "failed_outlier_check" in flags
            else "healthy"
            if endpoint["health"] == "healthy"
            else "not_ready"
        )
        by_address.setdefault(str(endpoint["address"]), []).append(state)
    worst_by_address: dict[str, tuple[str, str]] = {}
    for address, states in by_address.items():
        worst = next(state for state in ("not_ready", "ejected", "healthy") if state in states)
        number = states.count(worst)
        worst_by_address[address] = (worst, f" for {number} of {len(states)} clients" if number < len(states) else "")
    return worst_by_address


def _nested(by_place: t.Mapping[str, list[Json]], palette: t.Mapping[str, str], dots: bool) -> list[Json]:
    regions: dict[str, dict[str, list[Json]]] = {}
    for place, endpoints in sorted(by_place.items()):
        region, _slash, rest = place.partition("/")
        zone, _slash, subzone = rest.partition("/")
        counted = {state: sum(endpoint["state"] == state for endpoint in endpoints) for state in STATES}
        words = ", ".join(f"{number} {STATES[state]}" for state, number in counted.items() if number)
        targets = sum(endpoint["target"] for endpoint in endpoints)
        regions.setdefault(region or "no region", {}).setdefault(zone or "no zone", []).append(
            {
                "name": subzone or "no subzone",
                "colour": palette.get(place, "var(--others)"),
                "words": words,
                "targets": targets,
                "dots": endpoints if dots else [],
            }
        )
    return [
        {"name": region, "zones": [{"name": zone, "subzones": some} for zone, some in zones.items()]}
        for region, zones in regions.items()
    ]


def shares(drill: Drill, listed: t.Sequence[TimelineSample], places: t.Sequence[str]) -> list[Json]:
    """Return for each client (CLIENTS at most, those near the fault first) the share of each place in each stage."""
    begin, end = drill["fault"].get("injected_t"), drill["fault"].get("ended_t")
    palette, names = colours(places), short_places(places)
    numbers: dict[int, dict[str, dict[str, int]]] = {}
    for sample in listed:
        good = sample.requests - sample.failed
        if good:
            early = begin is None or sample.second < begin
            stage = "before" if early else "during" if end is None or sample.second < end else "after"
            by_place = numbers.setdefault(sample.client, {}).setdefault(stage, {})
            by_place[sample.place] = by_place.get(sample.place, 0) + good
    lost = {pod["place"] for pod in drill["scope"]["pods"]}
    order = sorted(numbers, key=lambda index: (drill["load"]["clients"][index]["place"] not in lost, index))
    shown = []
    for index in order[:CLIENTS]:
        cells = []
        for stage in STAGES:
            by_place = numbers[index].get(stage, {})
            total = sum(by_place.values())
            parts = [
                {
                    "name": names[place],
                    "share": percent(by_place[place] / total),
                    "width": round(100 * by_place[place] / total, 2),
                    "colour": palette[place],
                }
                for place in places
                if by_place.get(place)
            ]
            cells.append({"stage": stage, "parts": parts})
        client = drill["load"]["clients"][index]
        shown.append({"name": client["name"], "place": client["place"] or "no locality", "cells": cells})
    return shown
