# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What report.html says about a drill: its words, numbers and tables, ready for the template.

Every function takes the document of a drill (see drill_schema.py) and returns plain values. Nothing is judged here
that the drill did not judge, but what places got once traffic had shifted, which is held against the prediction.
Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._forecast.forecast_against_probe import LEVEL, bounds
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_charts import (
    COLOURS,
    OTHERS,
    Band,
    Mark,
    bucketed,
    colours,
)
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_timeline import Timeline, TimelineSample
from ansible_collections.meshops.locality.plugins.module_utils._report.forecast import short_places

Drill = t.Mapping[str, t.Any]
Json = dict[str, t.Any]

#: Outcome → (sign, tone, what the word means).
OUTCOMES = {
    "SUCCEEDED": ("check", "good", "Everything that was asked for was met."),
    "FAILED": ("cross", "bad", "Something that was asked for was not met."),
    "INTERRUPTED": ("pause", "warn", "The drill was ended early; nothing is proven."),
    "PENDING": ("dots", "calm", "Nothing was broken."),
    "CAPACITY_CHECK_FAILED": ("up", "warn", "Nothing was broken: the survivors could not have carried the load."),
    "REFUSED": ("bar", "warn", "Nothing was broken: the gate refused."),
}
MECHANISMS = {
    "ejection": "Ejection: Envoy's outlier detection took the endpoint out.",
    "eds_health": "EDS health: istiod reported the endpoint to the client as unhealthy.",
    "eds_removal": "EDS removal: istiod took the endpoint out of the client's list.",
    "retry": "Retry: requests were tried again elsewhere, the endpoint stayed in the list.",
    "none": "Nothing moved it.",
}
STAGES = ("before", "during", "after")
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
#: More marks, clients, endpoints, rows than these are counted, not shown.
MARKS, CLIENTS, DOTS, ROWS, BUCKETS = 20, 12, 60, 60, 60
#: Beyond this many requests the exact test would take long; its bounds for so many are wider than need be.
TESTED = 20_000


def place_names(drill: Drill) -> list[str]:
    """Return all places of a drill in the order of their colours: those with endpoints first, then by name."""
    held = [str(one["place"]) for one in drill["places"]]
    told = {str(one["place"]) for stage in STAGES for one in drill["endpoints"][stage]}
    told |= {str(row[drill["samples"]["columns"].index("place")]) for row in drill["samples"]["rows"]}
    return [*dict.fromkeys(held), *sorted(told - set(held))]


def outcome(drill: Drill) -> Json:
    """Return word, sign, tone, sentence and what the word means."""
    sign, tone, meaning = OUTCOMES[drill["outcome"]]
    if drill["check_mode"]:
        meaning = f"Check mode: nothing was broken. {'' if drill['outcome'] == 'PENDING' else meaning}".strip()
    word = str(drill["outcome"]).replace("_", " ").lower()
    return {"word": word.capitalize(), "sign": sign, "tone": tone, "sentence": drill["reason"], "meaning": meaning}


def tiles(drill: Drill) -> list[Json]:
    """Return the four numbers of the first screen: failed requests, time to shift, prediction, restore."""
    measured, criteria = drill["measured"], {one["name"]: one for one in drill["criteria"]}
    none = "not measured"
    failed = f"{measured['failed']:,} of {measured['requests']:,}" if measured and measured["requests"] else none
    shift = measured.get("time_to_shift") if measured else None
    restore = drill["restore"]
    wanted = _together([one for one in drill["criteria"] if one["name"].startswith("prediction")])
    return [
        _tile("Failed requests", failed, criteria.get("error_budget")),
        _tile(
            "Time to shift",
            "did not shift" if measured and shift is None else seconds(shift) or none,
            criteria.get("time_to_shift"),
        ),
        _tile(
            "Prediction",
            _STATES.get(wanted.get("passed"), ("? not judged", ""))[0][2:],
            wanted or None,
            said=f"wanted: {wanted['wanted']}; seen: {wanted['observed']}" if wanted else "",
        ),
        _restored(drill, restore, criteria.get("restored")),
    ]


_STATES: dict[t.Any, tuple[str, str]] = {True: ("✓ met", "good"), False: ("✗ not met", "bad")}


def _together(criteria: t.Sequence[t.Mapping[str, t.Any]]) -> Json:
    """Return several criteria as one, which passed when all did; {} when there are none."""
    if not criteria:
        return {}
    results = [one["passed"] for one in criteria]
    worst = [one for one in criteria if one["passed"] is not True] or criteria
    return {
        "passed": False if False in results else None if None in results else True,
        "wanted": "; ".join(str(one["wanted"]) for one in worst),
        "observed": "; ".join(str(one["observed"]) for one in worst),
    }


def _tile(label: str, value: str, criterion: t.Mapping[str, t.Any] | None, said: str = "") -> Json:
    state, tone = _STATES.get(criterion["passed"] if criterion else None, ("? not judged", "calm"))
    if criterion is None:
        return {"label": label, "value": value, "state": "– no target was set", "tone": "calm", "said": said}
    said = said or f"wanted: {criterion['wanted']}"
    return {"label": label, "value": value, "state": state, "tone": tone, "said": said}


def _restored(drill: Drill, restore: t.Any, criterion: t.Any) -> Json:
    label = "Everything back"
    if restore is None:
        touched = drill["fault"].get("injected_t") is not None
        if touched:
            return {
                "label": label,
                "value": "not known",
                "state": "✗ not proven",
                "tone": "bad",
                "said": "run the restore playbook",
            }
        return {"label": label, "value": "untouched", "state": "✓ nothing was changed", "tone": "good", "said": ""}
    compared = restore.get("snapshot")
    wrong = [one for one in compared["differences"] if not one["expected"]] if compared else []
    if not restore["done"] or wrong or (criterion and criterion["passed"] is False):
        said = f"{len(wrong)} unexpected differences" if wrong else "run the restore playbook"
        return {"label": label, "value": "no", "state": "✗ not restored", "tone": "bad", "said": said}
    if compared is None:
        return {
            "label": label,
            "value": "yes",
            "state": "? not proven",
            "tone": "warn",
            "said": "no comparison was made",
        }
    return {
        "label": label,
        "value": "yes",
        "state": "✓ proven",
        "tone": "good",
        "said": f"{compared['compared']:,} objects compared, in {seconds(restore.get('seconds')) or 'unknown time'}",
    }


def seconds(value: float | None) -> str:
    """Return seconds as people read them; '' for None."""
    if value is None:
        return ""
    return f"{value:.0f} s" if value >= 100 else f"{value:.3g} s" if value >= 1 else f"{value:.2g} s"


def bands(drill: Drill) -> list[Band]:
    """Return the stretches of time that the chart shades: before, fault, restore, after."""
    begin, end = drill["fault"].get("injected_t"), drill["fault"].get("ended_t")
    whole = float(drill["seconds"])
    if begin is None:
        return [Band("nothing broken", 0, whole)]
    measured = drill["measured"] or {}
    ended = whole if end is None else float(end)
    back = measured.get("restored_t")
    found = [Band("before", 0, begin), Band("fault", begin, ended, fault=True)]
    if end is not None:
        restored = whole if back is None else max(ended, float(back))
        found += [Band("restore", ended, restored), Band("after", restored, whole)]
    return [one for one in found if one.end > one.begin]


def events(drill: Drill) -> tuple[list[Mark], list[Json]]:
    """Return the numbered marks of the chart, and for each number its time since the fault, name and words."""
    zero = drill["fault"].get("injected_t") or 0.0
    marks: list[Mark] = []
    told: list[Json] = []
    for one in sorted(drill["events"], key=lambda event: event["t"]):
        if one["kind"] in MARKED and len(marks) < MARKS:
            marks.append(Mark(len(marks) + 1, one["t"]))
            told.append(
                {
                    "number": len(marks),
                    "at": since(one["t"] - zero),
                    "name": MARKED[one["kind"]],
                    "message": "" if one["message"].casefold() == MARKED[one["kind"]].casefold() else one["message"],
                }
            )
    return marks, told


def since(value: float) -> str:
    """Return seconds since the fault, with a sign."""
    return f"{'−' if value < 0 else '+'}{abs(value):.1f} s"


def phases(drill: Drill) -> list[Json]:
    """Return the phases with begin, duration and outcome."""
    return [{**one, "begin": f"{one['t']:.1f} s", "lasted": seconds(one["seconds"])} for one in drill["phases"]]


def legend(drill: Drill, places: t.Sequence[str]) -> list[Json]:
    """Return the places with their colours."""
    names, palette = short_places(places), colours(places)
    told = [
        {"name": names[place], "place": place or "no locality", "colour": palette[place]} for place in places[:COLOURS]
    ]
    if len(places) > COLOURS:
        told.append(
            {
                "name": f"{OTHERS} ({len(places) - COLOURS})",
                "place": f"{OTHERS} ({len(places) - COLOURS})",
                "colour": "var(--others)",
            }
        )
    return told


def timeline_words(drill: Drill, found: Timeline) -> str:
    """Return the chart in a few sentences, which is its text alternative."""
    if not found.clients:
        return "No request was measured."
    failing = sorted(found.failed)
    zero = drill["fault"].get("injected_t")
    sent = sum(own[0] for by_second in found.clients.values() for own in by_second.values())
    failed = sum(found.failed.values())
    span = found.last - found.first + 1
    clients = len(found.clients)
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
    if zero is not None and found.first >= zero:
        words += " Nothing was measured before the fault."
    return words


def second_table(drill: Drill, found: Timeline, places: t.Sequence[str]) -> Json:
    """Return the chart as a table of at most BUCKETS rows: requests per second by place, and failed ones."""
    if not found.clients:
        return {"columns": [], "rows": [], "step": 1}
    step = -(-(found.last - found.first + 1) // BUCKETS)
    names = short_places(places)
    shown = [*places[:COLOURS], *([OTHERS] if len(places) > COLOURS else [])]
    zero = drill["fault"].get("injected_t") or 0
    rows = []
    for second, by_place, failed in bucketed(found, places, step):
        rows.append(
            {
                "at": since(second - zero),
                "failed": _rate(failed),
                "cells": [_rate(by_place.get(one, 0)) for one in shown],
            }
        )
    return {"columns": [names.get(one, one) for one in shown], "rows": rows, "step": step}


def _rate(value: float) -> str:
    return f"{value:.4g}" if value else "–"


def second_data(drill: Drill, found: Timeline, places: t.Sequence[str]) -> str:
    """Return JSON for the script that shows one second's numbers; `<` is escaped, as it stands in a page."""
    names = short_places(places)
    shown = [*places[:COLOURS], *([OTHERS] if len(places) > COLOURS else [])]
    rows = bucketed(found, places, 1)
    data = {
        "first": found.first,
        "zero": int(drill["fault"].get("injected_t") or found.first),
        "places": [names.get(one, one) for one in shown],
        "answered": [[round(by_place.get(one, 0)) for _second, by_place, _failed in rows] for one in shown],
        "failed": [round(failed) for _second, _by_place, failed in rows],
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def clients(drill: Drill, found: Timeline) -> list[Json]:
    """Return the clients, those with most failures first, each with its numbers and its shift."""
    told = []
    moved: dict[str, list[float]] = {}
    for one in drill["shifts"]:
        if one.get("t") is not None and one["mechanism"] != "none":
            moved.setdefault(one["client"], []).append(one["t"])
    zero = drill["fault"].get("injected_t") or 0.0
    for index, client in enumerate(drill["load"]["clients"]):
        own = found.clients.get(index, {})
        last = max(moved.get(client["name"], ()), default=None)
        told.append(
            {
                "index": index,
                "name": client["name"],
                "place": client["place"] or "no locality",
                "sent": sum(one[0] for one in own.values()),
                "failed": sum(one[1] for one in own.values()),
                "shifted": since(last - zero) if last is not None else "",
            }
        )
    return sorted(told, key=lambda one: (-one["failed"], not one["shifted"], one["index"]))


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
    counts = _settled(drill, listed)
    total = sum(counts.values())
    names = short_places(places)
    compared = [place for place in places if shares.get(place) or counts.get(place)]
    for place in compared:
        share = min(1.0, max(0.0, float(shares.get(place, 0.0))))
        if total:
            tested = min(total, TESTED)
            low, high = (number / tested for number in bounds(tested, share, LEVEL / len(compared)))
        else:
            low = high = share
        rows.append(
            _interval(
                f"Answered by {names[place]}", low, high, counts.get(place, 0) / total if total else None, percent, 1.0
            )
        )
    wrong = [row for row in rows if row["inside"] is False]
    unseen = [row for row in rows if row["inside"] is None]
    if wrong:
        words = (
            "Outside of what was predicted: "
            + "; ".join(f"{one['name'].lower()} {one['seen']} instead of {one['range']}" for one in wrong)
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
        "assumptions": prediction.get("assumptions") or [],
        "unchecked": prediction.get("unchecked") or [],
    }


def _settled(drill: Drill, listed: t.Sequence[TimelineSample]) -> dict[str, int]:
    """Return answers by place in the whole seconds between all shifted and the end of the fault."""
    shifted = (drill["measured"] or {}).get("all_shifted_t")
    if shifted is None:
        return {}
    end = drill["fault"].get("ended_t")
    end = drill["seconds"] if end is None else end
    found: dict[str, int] = {}
    for one in listed:
        if one.second >= shifted and one.second + 1 <= end and one.requests > one.failed:
            found[one.place] = found.get(one.place, 0) + one.requests - one.failed
    return found


def percent(share: float | None) -> str:
    """Return a share as percent; '' for None."""
    return "" if share is None else f"{100 * share:.3g} %"


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
    targets = {f"{one['namespace']}/{one['name']}" for one in drill["scope"]["pods"]}
    ever: dict[str, Json] = {}
    for stage in STAGES:
        for one in drill["endpoints"][stage]:
            ever.setdefault(str(one["address"]), {"pod": one.get("pod") or "", "place": one["place"]})
    told = []
    for stage in STAGES:
        if not drill["endpoints"][stage]:
            told.append({"name": stage, "regions": [], "known": False})
            continue
        states = _states(drill["endpoints"][stage])
        by_place: dict[str, list[Json]] = {}
        for address, one in sorted(ever.items()):
            state = states.get(address, ("gone", ""))
            target = one["pod"] in targets
            by_place.setdefault(str(one["place"]), []).append(
                {"state": state[0], "target": target, "title": f"{one['pod'] or address}: {STATES[state[0]]}{state[1]}"}
            )
        told.append({"name": stage, "regions": _nested(by_place, palette, len(ever) <= DOTS), "known": True})
    return told


STATES = {"healthy": "healthy", "ejected": "ejected", "not_ready": "not ready", "gone": "removed"}


def _states(listed: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, tuple[str, str]]:
    """Return for each address the worst that a client holds of it, and how many do."""
    held: dict[str, list[str]] = {}
    for one in listed:
        flags = one.get("flags") or []
        state = (
            "ejected" if "failed_outlier_check" in flags else "healthy" if one["health"] == "healthy" else "not_ready"
        )
        held.setdefault(str(one["address"]), []).append(state)
    found: dict[str, tuple[str, str]] = {}
    for address, states in held.items():
        worst = next(state for state in ("not_ready", "ejected", "healthy") if state in states)
        number = states.count(worst)
        found[address] = (worst, f" for {number} of {len(states)} clients" if number < len(states) else "")
    return found


def _nested(by_place: t.Mapping[str, list[Json]], palette: t.Mapping[str, str], dots: bool) -> list[Json]:
    regions: dict[str, dict[str, list[Json]]] = {}
    for place, endpoints in sorted(by_place.items()):
        region, _slash, rest = place.partition("/")
        zone, _slash, subzone = rest.partition("/")
        counted = {state: sum(one["state"] == state for one in endpoints) for state in STATES}
        words = ", ".join(f"{number} {STATES[state]}" for state, number in counted.items() if number)
        targets = sum(one["target"] for one in endpoints)
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
    counts: dict[int, dict[str, dict[str, int]]] = {}
    for one in listed:
        good = one.requests - one.failed
        if good:
            early = begin is None or one.second < begin
            stage = "before" if early else "during" if end is None or one.second < end else "after"
            by_place = counts.setdefault(one.client, {}).setdefault(stage, {})
            by_place[one.place] = by_place.get(one.place, 0) + good
    lost = {one["place"] for one in drill["scope"]["pods"]}
    order = sorted(counts, key=lambda index: (drill["load"]["clients"][index]["place"] not in lost, index))
    told = []
    for index in order[:CLIENTS]:
        cells = []
        for stage in STAGES:
            by_place = counts[index].get(stage, {})
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
        told.append({"name": client["name"], "place": client["place"] or "no locality", "cells": cells})
    return told


def mechanisms(drill: Drill) -> Json:
    """Return what moved the traffic: how often each mechanism, and the evidence of each shift (ROWS at most)."""
    counted: dict[str, int] = {}
    for one in drill["shifts"]:
        counted[one["mechanism"]] = counted.get(one["mechanism"], 0) + 1
    zero = drill["fault"].get("injected_t") or 0.0
    rows = [
        {
            "at": "" if one.get("t") is None else since(one["t"] - zero),
            "client": one["client"],
            "endpoint": one.get("pod") or one.get("address") or "",
            "mechanism": one["mechanism"].replace("_", " "),
            "evidence": one["evidence"],
        }
        for one in sorted(drill["shifts"], key=lambda one: (one.get("t") is None, one.get("t") or 0))
    ]
    return {
        "counts": [{"number": counted[name], "words": words} for name, words in MECHANISMS.items() if name in counted],
        "rows": rows[:ROWS],
        "more": max(0, len(rows) - ROWS),
    }


def proof(drill: Drill) -> Json | None:
    """Return the proof of restore: pods, and how the state after differs from the state before (ROWS at most each)."""
    restore = drill["restore"]
    if restore is None:
        return None
    compared = restore.get("snapshot")
    differences = sorted(compared["differences"], key=lambda one: one["expected"]) if compared else []
    pods = sorted(restore.get("pods") or [], key=lambda one: not one.get("error"))
    return {
        "done": restore["done"],
        "seconds": seconds(restore.get("seconds")),
        "compared": compared["compared"] if compared else None,
        "unexpected": sum(not one["expected"] for one in differences),
        "expected": sum(bool(one["expected"]) for one in differences),
        "differences": differences[:ROWS],
        "more_differences": max(0, len(differences) - ROWS),
        "pods": pods[:ROWS],
        "more_pods": max(0, len(pods) - ROWS),
    }


ENVIRONMENT = (
    ("collection", "Collection meshops.locality"),
    ("kubernetes", "Kubernetes"),
    ("istio", "Istio"),
    ("envoy", "Envoy"),
    ("ansible", "ansible-core"),
    ("python", "Python"),
    ("server", "API server"),
    ("awx_job", "AWX job"),
)


def environment(drill: Drill) -> list[tuple[str, str]]:
    """Return names and values: versions, who, from where, approvals, what a person gave as references."""
    given = drill["environment"]
    told = [("Drill", drill["id"]), ("Run by", drill["holder"])]
    told += [("Approved by", ", ".join(given.get("approvals") or []) or "no approval was asked for")]
    told += [(label, str(given[name])) for name, label in ENVIRONMENT if given.get(name)]
    scope, fault = drill["scope"], drill["fault"]
    told += [
        (
            "Service",
            f"{scope['namespace']}/{scope['service']}" + (f", port {scope['port']}" if scope.get("port") else ""),
        ),
        ("Scope", "; ".join(scope["asked"]) or "none"),
        ("Fault", f"{fault['name']}" + (f" for {seconds(fault['seconds'])}" if fault["seconds"] is not None else "")),
        ("Undo", fault["undo"]),
        ("Ends by itself", fault["ends_itself"] or "no"),
        ("Load", _load(drill)),
    ]
    references = drill.get("references") or {}
    for name, label in (
        ("ticket", "Ticket"),
        ("function", "Business function"),
        ("rto_seconds", "Recovery time objective"),
        ("owner", "Owner of the findings"),
        ("due", "Findings due"),
        ("third_parties", "Third parties"),
        ("note", "Note"),
    ):
        value = references.get(name)
        if value:
            told.append(
                (
                    label,
                    f"{value:g} s"
                    if name == "rto_seconds"
                    else ", ".join(value)
                    if isinstance(value, list)
                    else str(value),
                )
            )
    return [(str(label), str(value)) for label, value in told]


def _load(drill: Drill) -> str:
    load = drill["load"]
    number = len(load["clients"])
    clients = f"{number} client{'s' if number != 1 else ''}"
    if load["kind"] == "users":
        return f"only the users' own, read from the counters of {clients}"
    return f"{load['rate']:g} requests a second of each of {clients}" if load.get("rate") else f"a probe in {clients}"


class Control(t.NamedTuple):
    """What auditors ask for, where they ask for it, and the sections of the report that are evidence for it."""

    asked: str
    sources: str
    sections: tuple[str, ...]
    there: t.Callable[[Drill], bool]


def _given(name: str) -> t.Callable[[Drill], bool]:
    return lambda drill: bool((drill.get("references") or {}).get(name))


def _measured(drill: Drill) -> bool:
    return bool(drill["measured"] and drill["measured"]["requests"])


RTS = "RTS (EU) 2024/1774 Art. 25"
CONTROLS = (
    Control(
        "A unique identity, dates, duration, systems in scope",
        f"{RTS}; NIST SP 800-84",
        ("environment", "verdict"),
        lambda _drill: True,
    ),
    Control(
        "The scenario and how it was brought about",
        f"DORA Art. 24–25; {RTS}; ISO 22301 8.5",
        ("environment",),
        lambda _drill: True,
    ),
    Control(
        "The business function it matters to", f"{RTS} (business impact analysis)", ("environment",), _given("function")
    ),
    Control(
        "Objectives, assumptions, expected results",
        f"{RTS}; ISO 22301 8.5; NIST SP 800-84",
        ("prediction", "criteria"),
        lambda drill: drill["prediction"] is not None,
    ),
    Control(
        "Approval and safeguards before the start",
        "DORA Art. 24; NIST SP 800-84",
        ("criteria", "environment"),
        lambda drill: bool(drill["gate"]),
    ),
    Control(
        "Switchover to redundant capacity", "DORA Art. 11(6); " + RTS, ("timeline", "places", "mechanism"), _measured
    ),
    Control(
        "What was done, step by step",
        f"{RTS}; NIST SP 800-84",
        ("timeline",),
        lambda drill: bool(drill["events"] or drill["journal"]),
    ),
    Control(
        "Actual recovery time against the objective",
        "SOC 2 A1.3; NIST SP 800-53 CP-4",
        ("verdict", "timeline"),
        lambda drill: _measured(drill) and _given("rto_seconds")(drill),
    ),
    Control("Deviations, analysed", f"{RTS}; ISO 22301 8.5; SOC 2 CC7.5", ("prediction", "findings"), _measured),
    Control(
        "Actions, with owner and date",
        f"{RTS}; ISO 22301 8.5; NIST SP 800-84",
        ("findings", "environment"),
        lambda drill: _given("owner")(drill) and _given("due")(drill),
    ),
    Control(
        "Return to normal operation",
        "SOC 2 CC7.5; NIST SP 800-53 CP-4",
        ("restore",),
        lambda drill: drill["restore"] is not None and bool(drill["restore"].get("snapshot")),
    ),
    Control("Comparison with the last test", "ISO 22301 8.5", ("criteria",), lambda drill: bool(drill.get("previous"))),
    Control("Integrity of the records", "good practice", ("integrity",), lambda _drill: True),
)
SECTIONS = {
    "verdict": "Verdict",
    "timeline": "Timeline",
    "prediction": "Prediction",
    "places": "Places",
    "mechanism": "What moved the traffic",
    "findings": "Findings",
    "criteria": "Criteria and gate",
    "restore": "Proof of restore",
    "environment": "Environment",
    "integrity": "Files and hashes",
    "auditors": "For auditors",
}


def controls(drill: Drill) -> list[Json]:
    """Return what auditors ask for, with the sections that show it, and whether this drill has it."""
    return [
        {
            "asked": one.asked,
            "sources": one.sources,
            "sections": [{"id": name, "title": SECTIONS[name]} for name in one.sections],
            "there": one.there(drill),
        }
        for one in CONTROLS
    ]
