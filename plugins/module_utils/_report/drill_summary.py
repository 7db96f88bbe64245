# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What report.html says first and last about a drill: outcome, tiles, phases, mechanisms, proof, environment.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._report.drill_formatting import ROWS, seconds, since

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


def outcome(drill: Drill) -> Json:
    """Return word, sign, tone, sentence and what the word means."""
    sign, tone, meaning = OUTCOMES[drill["outcome"]]
    if drill["check_mode"]:
        meaning = f"Check mode: nothing was broken. {'' if drill['outcome'] == 'PENDING' else meaning}".strip()
    word = str(drill["outcome"]).replace("_", " ").lower()
    return {"word": word.capitalize(), "sign": sign, "tone": tone, "sentence": drill["reason"], "meaning": meaning}


def tiles(drill: Drill) -> list[Json]:
    """Return the four numbers of the first screen: failed requests, time to shift, prediction, restore."""
    measured, criteria = drill["measured"], {criterion["name"]: criterion for criterion in drill["criteria"]}
    none = "not measured"
    failed = f"{measured['failed']:,} of {measured['requests']:,}" if measured and measured["requests"] else none
    shift = measured.get("time_to_shift") if measured else None
    restore = drill["restore"]
    wanted = _together([criterion for criterion in drill["criteria"] if criterion["name"].startswith("prediction")])
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
    results = [criterion["passed"] for criterion in criteria]
    worst = [criterion for criterion in criteria if criterion["passed"] is not True] or criteria
    return {
        "passed": False if False in results else None if None in results else True,
        "wanted": "; ".join(str(criterion["wanted"]) for criterion in worst),
        "observed": "; ".join(str(criterion["observed"]) for criterion in worst),
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
    wrong = [difference for difference in compared["differences"] if not difference["expected"]] if compared else []
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


def phases(drill: Drill) -> list[Json]:
    """Return the phases with begin, duration and outcome."""
    return [{**phase, "begin": f"{phase['t']:.1f} s", "lasted": seconds(phase["seconds"])} for phase in drill["phases"]]


def mechanisms(drill: Drill) -> Json:
    """Return what moved the traffic: how often each mechanism, and the evidence of each shift (ROWS at most)."""
    counted: dict[str, int] = {}
    for shift in drill["shifts"]:
        counted[shift["mechanism"]] = counted.get(shift["mechanism"], 0) + 1
    zero = drill["fault"].get("injected_t") or 0.0
    rows = [
        {
            "at": "" if shift.get("t") is None else since(shift["t"] - zero),
            "client": shift["client"],
            "endpoint": shift.get("pod") or shift.get("address") or "",
            "mechanism": shift["mechanism"].replace("_", " "),
            "evidence": shift["evidence"],
        }
        for shift in sorted(drill["shifts"], key=lambda shift: (shift.get("t") is None, shift.get("t") or 0))
    ]
    return {
        "shifts": [{"number": counted[name], "words": words} for name, words in MECHANISMS.items() if name in counted],
        "rows": rows[:ROWS],
        "more": max(0, len(rows) - ROWS),
    }


def proof(drill: Drill) -> Json | None:
    """Return the proof of restore: pods, and how the state after differs from the state before (ROWS at most each)."""
    restore = drill["restore"]
    if restore is None:
        return None
    compared = restore.get("snapshot")
    differences = sorted(compared["differences"], key=lambda difference: difference["expected"]) if compared else []
    pods = sorted(restore.get("pods") or [], key=lambda pod: not pod.get("error"))
    return {
        "done": restore["done"],
        "seconds": seconds(restore.get("seconds")),
        "compared": compared["compared"] if compared else None,
        "unexpected": sum(not difference["expected"] for difference in differences),
        "expected": sum(bool(difference["expected"]) for difference in differences),
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
    lines = [("Drill", drill["id"]), ("Run by", drill["holder"])]
    lines += [("Approved by", ", ".join(given.get("approvals") or []) or "no approval was asked for")]
    lines += [(label, str(given[name])) for name, label in ENVIRONMENT if given.get(name)]
    scope, fault = drill["scope"], drill["fault"]
    lines += [
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
            lines.append(
                (
                    label,
                    f"{value:g} s"
                    if name == "rto_seconds"
                    else ", ".join(value)
                    if isinstance(value, list)
                    else str(value),
                )
            )
    return [(str(label), str(value)) for label, value in lines]


def _load(drill: Drill) -> str:
    load = drill["load"]
    number = len(load["clients"])
    clients = f"{number} client{'s' if number != 1 else ''}"
    if load["kind"] == "users":
        return f"only the users' own, read from the Envoys of {clients}"
    if load["kind"] == "injected":
        clients += " that the drill brought along"
    return f"{load['rate']:g} requests a second of each of {clients}" if load.get("rate") else f"a probe in {clients}"
