# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes and drills next to each other, as text a person reads at a glance.

Pure: takes results of the modules traffic_probe and failover_drill, returns text. Private to this collection: it may
change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.probe_statistics import outage
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._report.table import columns

Probe = t.Mapping[str, t.Any]

#: The label of what was predicted, below what was measured.
PREDICTED = "  predicted"
FAILED = "✗"
SILENT = "·"
SHARED = "*"


def side_by_side(runs: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """Return a table with one column per run, and below it one line per run with one sign per second.

    `runs` are mappings with `title` (str) and either `probe` (a result of traffic_probe) or `drill` (the document of a
    drill, see drill_schema.py). They may have `prediction`, what locality_forecast returns as `probe` of a loss: it
    stands below what was measured. Raises InvalidInput when a run is not of that shape.
    """
    if not runs:
        raise InvalidInput("There is no probe to show.", do="Give a list of {title, probe}.")
    probes = []
    for index, run in enumerate(runs):
        given = [run[key] for key in ("probe", "drill") if run.get(key) is not None] if _titled(run) else []
        if len(given) != 1 or not isinstance(given[0], t.Mapping):
            raise InvalidInput(
                f"Run {index} needs the keys title and probe, or title and drill.",
                do="Give results of traffic_probe, or the drill that failover_drill returns.",
            )
        if run.get("prediction") is not None and not isinstance(run["prediction"], t.Mapping):
            raise InvalidInput(f"The prediction of run {index} is no dictionary.", do=_PREDICTION)
        probes.append(given[0] if run.get("probe") is not None else probe_of_drill(given[0], str(run["title"])))
    try:
        predictions = [_predicted(run.get("prediction")) for run in runs]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"This is no prediction: {type(error).__name__} {error}.", do=_PREDICTION) from error
    titles = [str(run["title"]) for run in runs]
    rows = [
        ["", *titles],
        ["requests", *(str(probe["sent"]) for probe in probes)],
        ["failed", *(_failed(probe) for probe in probes)],
        *_below(predictions, "failed"),
        ["outage", *(_seconds(probe.get("outage")) for probe in probes)],
        *_below(predictions, "outage"),
        ["failed with", *(_counts_text(_failures(probe)) for probe in probes)],
        *_answers(probes, predictions),
        ["p50 / p99", *(_latency(probe) for probe in probes)],
        ["witnesses", *("agree" if probe.get("agree") else "DISAGREE" for probe in probes)],
    ]
    return "\n".join([*columns(rows), "", *_strips(titles, probes)])


def probe_of_drill(drill: t.Mapping[str, t.Any], title: str) -> dict[str, t.Any]:
    """Return what the clients of a drill saw, in the shape of a result of traffic_probe.

    `drill` is a drill's document. Who answered and the latency (while the fault lasted) are of the time until the
    undoing began, as the forecast is; requests, failures, outage and the timeline are of the whole drill. Raises
    InvalidInput when the drill measured nothing.
    """
    try:
        measured, columns_of = drill["measured"], drill["samples"]["columns"]
        if measured is None:
            raise InvalidInput(f"The drill {title!r} measured nothing: {drill['reason']}", do="Show drills that ran.")
        samples = [dict(zip(columns_of, row, strict=True)) for row in drill["samples"]["rows"]]
        ended, witnesses = drill["fault"]["ended_t"], measured["witnesses"]
        by_locality: dict[str, int] = {}
        for sample in samples:
            answered = sample["requests"] - sample["failed"]
            if answered and (ended is None or sample["second"] < int(ended)):
                by_locality[sample["place"]] = by_locality.get(sample["place"], 0) + answered
        seconds = _seconds_of(samples)
        return {
            "sent": measured["requests"],
            "failed_requests": measured["failed"],
            "outage": outage(seconds),
            "by_locality": by_locality,
            "by_code": measured["by_code"],
            "by_flag": measured["by_flag"],
            "latency": measured["latency_ms"]["during"],
            "timeline": seconds,
            "agree": bool(witnesses["probe"] and witnesses["counters"] and not witnesses["disagreements"]),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"{title!r} is no drill: {type(error).__name__} {error}.", do="Give the drill that failover_drill returns."
        ) from error


def _seconds_of(samples: t.Sequence[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return one entry for each second from a drill's first request to its last, as traffic_probe does."""
    if not samples:
        return []
    first = min(sample["second"] for sample in samples)
    last = max(sample["second"] for sample in samples)
    seconds: list[dict[str, t.Any]] = [
        {"second": second, "sent": 0, "failed": 0, "by_locality": {}} for second in range(last - first + 1)
    ]
    for sample in samples:
        second = seconds[sample["second"] - first]
        second["sent"] += sample["requests"]
        second["failed"] += sample["failed"]
        if answered := sample["requests"] - sample["failed"]:
            second["by_locality"][sample["place"]] = second["by_locality"].get(sample["place"], 0) + answered
    return seconds


def _titled(run: t.Any) -> bool:
    return isinstance(run, t.Mapping) and "title" in run


def _failures(probe: Probe) -> dict[str, int]:
    codes = {code: count for code, count in (probe.get("by_code") or {}).items() if not str(code).startswith("2")}
    flags = {flag: count for flag, count in (probe.get("by_flag") or {}).items() if flag not in ("-", "")}
    return {**codes, **flags}


def _failed(probe: Probe) -> str:
    sent, failed = int(probe["sent"]), int(probe["failed_requests"])
    return f"{failed} ({100 * failed / sent:.1f} %)" if failed and sent else str(failed)


def _seconds(value: t.Any) -> str:
    return "-" if value is None else f"{value:g} s"


def _latency(probe: Probe) -> str:
    latency = probe.get("latency") or {}
    return " / ".join(f"{latency[key]:.0f} ms" if latency.get(key) is not None else "-" for key in ("p50", "p99"))


def _predicted(given: t.Mapping[str, t.Any] | None) -> dict[str, str]:
    """Return the texts of a prediction: `failed`, `outage`, and one for each locality."""
    if given is None:
        return {}
    texts = {
        "failed": _about(given["failed_requests"], given["failed_between"]),
        "outage": f"{_about(given['outage'], given['outage_between'])} s",
    }
    for place, number in given["by_locality"].items():
        texts[place] = _about(number, given["by_locality_between"][place])
    return texts


def _about(value: float, between: t.Sequence[float]) -> str:
    low, high = (round(limit) for limit in between)
    return f"{low} to {high}" if low != high else str(round(value))


def _below(predictions: t.Sequence[t.Mapping[str, str]], what: str) -> list[list[str]]:
    """Return the row of what was predicted, if anything was."""
    if not any(predictions):
        return []
    return [[PREDICTED, *(texts.get(what, "0" if texts else "") for texts in predictions)]]


def _answers(probes: list[Probe], predictions: t.Sequence[t.Mapping[str, str]]) -> list[list[str]]:
    """Return a row for each locality that answered in any probe or should have, the busiest first."""
    totals: dict[str, int] = {}
    for probe in probes:
        for locality, count in (probe.get("by_locality") or {}).items():
            totals[locality] = totals.get(locality, 0) + int(count)
    for texts in predictions:
        for name in texts.keys() - {"failed", "outage"}:
            totals.setdefault(name, 0)
    rows = []
    for locality in sorted(totals, key=lambda locality: (-totals[locality], locality)):
        answers = (str((probe.get("by_locality") or {}).get(locality, "-")) for probe in probes)
        rows += [[f"from {_place(locality)}", *answers], *_below(predictions, locality)]
    return rows


def _counts_text(answered: t.Mapping[str, t.Any]) -> str:
    ordered = sorted(answered.items(), key=lambda entry: (-int(entry[1]), str(entry[0])))
    return "; ".join(f"{name} ×{count}" for name, count in ordered) or "-"


def _place(locality: str) -> str:
    """Return the most precise part of `region/zone/subzone`."""
    return next((part for part in reversed(str(locality).split("/")) if part), "unknown")


def _strips(titles: list[str], probes: list[Probe]) -> list[str]:
    width = max(len(title) for title in titles)
    seconds = max((len(probe.get("timeline") or []) for probe in probes), default=0)
    scale = "".join(str(second).ljust(10) for second in range(0, seconds, 10))
    places = sorted({_place(name) for probe in probes for name in (probe.get("by_locality") or {})})
    signs = _signs(places)
    legend = ", ".join(
        [*(f"{sign} {place}" for place, sign in signs.items()), f"{SHARED} several", f"{FAILED} failures"]
    )
    lines = [f"one sign a second: {legend}", f"{'':{width}}  {scale.rstrip()}"]
    lines += [f"{title:{width}}  {_strip(probe, signs)}" for title, probe in zip(titles, probes, strict=True)]
    return lines


def _signs(places: t.Sequence[str]) -> dict[str, str]:
    """Give each place a letter of its own name, a digit where all its letters are taken."""
    signs: dict[str, str] = {}
    for number, place in enumerate(places):
        free = [letter for letter in place if letter.isalnum() and letter not in signs.values()]
        signs[place] = free[0] if free else str(number % 10)
    return signs


def _strip(probe: Probe, signs: t.Mapping[str, str]) -> str:
    strip = ""
    for second in probe.get("timeline") or []:
        answered = [_place(name) for name, count in (second.get("by_locality") or {}).items() if count]
        if second.get("failed"):
            strip += FAILED
        elif not answered:
            strip += SILENT
        else:
            strip += signs.get(answered[0], "?") if len(answered) == 1 else SHARED
    return strip


_PREDICTION = "Give what locality_forecast returned as probe of a loss (its option watch)."
