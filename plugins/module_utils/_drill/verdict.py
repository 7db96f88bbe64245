# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Did the drill succeed? Explicit criteria, and the outcome that follows from them.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.phases import (
    FAILED,
    INTERRUPTED,
    SUCCEEDED,
    Ended,
)

Json = t.Mapping[str, t.Any]

#: A probe on a busy machine comes late: so far a prediction may be missed, as a share and as a number of requests.
TOLERANCE, REQUESTS, SECONDS = 0.2, 5.0, 2.0


class SuccessCriteria(t.NamedTuple):
    """What has to be true. None: not asked for. Times are seconds, `error_budget` a share of all requests."""

    error_budget: float
    time_to_shift: float | None = None
    time_to_restore: float | None = None
    prediction: bool = False


class Criterion(t.NamedTuple):
    """One criterion. `passed` None: it could not be judged, which is not a pass."""

    name: str
    wanted: str
    observed: str
    passed: bool | None

    def as_dict(self) -> dict[str, t.Any]:
        """Return it as plain values."""
        return self._asdict()


def judge(
    wanted: SuccessCriteria,
    measured: Json,
    prediction: Json | None,
    restored: bool,
    unexpected: int,
    planned: float | None = None,
) -> list[Criterion]:
    """Return every criterion with what was observed.

    `measured` and `prediction` are those of the drill document, `unexpected` the number of differences of the snapshot
    that the undoing does not explain. `planned`: how many requests the rate makes while the fault lasts. A client that
    is too slow for its rate sends fewer, and as many fewer fail.
    """
    sent, failed = measured["requests"], measured["failed"]
    ratio = measured["failed_ratio"]
    criteria = [
        Criterion(
            "load",
            "requests while the fault lasted",
            f"{measured['requests_during']} of {sent}",
            measured["requests_during"] > 0,
        ),
        Criterion(
            "error_budget",
            f"at most {100 * wanted.error_budget:g} % of the requests fail",
            "nothing was sent" if ratio is None else f"{failed} of {sent} ({100 * ratio:.2f} %)",
            None if ratio is None else ratio <= wanted.error_budget,
        ),
    ]
    if wanted.time_to_shift is not None:
        took = measured["time_to_shift"]
        criteria.append(
            Criterion(
                "time_to_shift",
                f"traffic is elsewhere within {wanted.time_to_shift:g} s",
                "not while the fault lasted" if took is None else f"{took:.1f} s",
                took is not None and took <= wanted.time_to_shift,
            )
        )
    if wanted.prediction:
        criteria += list(_prediction(measured, prediction, planned))
    criteria.append(
        Criterion(
            "restored",
            "everything is as before",
            ("restored" if restored else "not restored") + (f", {unexpected} differences" if unexpected else ""),
            restored and not unexpected,
        )
    )
    if wanted.time_to_restore is not None:
        took = measured["time_to_restore"]
        criteria.append(
            Criterion(
                "time_to_restore",
                f"everything is back within {wanted.time_to_restore:g} s",
                "not seen" if took is None else f"{took:.1f} s",
                took is not None and took <= wanted.time_to_restore,
            )
        )
    return criteria


def _prediction(measured: Json, prediction: Json | None, planned: float | None) -> t.Iterator[Criterion]:
    if prediction is None:
        yield Criterion("prediction", "the prediction is met", "there is no prediction", None)
        return
    least, most = (float(value) for value in prediction["failed_between"])
    sent = min(1.0, measured["requests_during"] / planned) if planned else 1.0
    low = max(0.0, least * (1 - TOLERANCE) * sent - REQUESTS)
    high = most * (1 + TOLERANCE) + REQUESTS
    failed = measured["failed"]
    slow = f", of which {100 * sent:.0f} % could be sent" if sent < 1 - TOLERANCE / 2 else ""
    yield Criterion(
        "prediction_failed_requests",
        f"{least:.0f} to {most:.0f} failed requests were predicted{slow} ({low:.0f} to {high:.0f} with tolerance)",
        f"{failed}",
        low <= failed <= high,
    )
    took = measured["time_to_shift"]
    slowest = prediction["seconds_between"][1]
    if slowest is None:
        yield Criterion(
            "prediction_time_to_shift",
            "it was predicted that the traffic does not shift",
            "it did not" if took is None else f"it did after {took:.1f} s",
            took is None,
        )
        return
    limit = float(slowest) * (1 + TOLERANCE) + SECONDS
    # The fault came at some time between sending it and the last Envoy's answer; the prediction counts from there.
    answered = measured.get("time_to_inject") or 0.0
    # Said where it matters: a shift within the limit needs no excuse.
    late = took is not None and took > limit and answered
    slow = f" after it was sent; every Envoy had answered after {answered:.1f} s" if late else ""
    yield Criterion(
        "prediction_time_to_shift",
        f"a shift within {float(slowest):.1f} s was predicted ({limit:.1f} s with tolerance)",
        "not while the fault lasted" if took is None else f"{took:.1f} s{slow}",
        took is not None and took - answered <= limit,
    )


def outcome(ended: Ended | None, criteria: t.Sequence[Criterion], scope: str, measured: Json) -> tuple[str, str]:
    """Return (outcome, reason). `ended`: why the drill was cut short, None when it ran to its end.

    What is not restored is a failure, whatever else was seen. A drill that was cut short never succeeds.
    """
    against = [criterion for criterion in criteria if not criterion.passed]
    summary = (
        f"Losing {scope} cost {measured['failed']} of {measured['requests']} requests"
        if measured["requests"]
        else f"Losing {scope} was not observed"
    )
    shift = measured["time_to_shift"]
    if shift is not None:
        summary += f"; the traffic was elsewhere after {shift:.1f} s"
    if any(criterion.name == "restored" and not criterion.passed for criterion in against):
        missing = next(criterion for criterion in against if criterion.name == "restored")
        cut = f" {ended.reason}" if ended else ""
        return FAILED, f"Not everything is as before: {missing.observed}. {summary}.{cut}"
    if ended is not None:
        return ended.outcome, f"{ended.reason} {summary}. Everything is back."
    unknown = [criterion for criterion in against if criterion.passed is None or criterion.name == "load"]
    if unknown:
        return INTERRUPTED, f"Not judged: {_list(unknown)}. {summary}. Everything is back."
    if against:
        return FAILED, f"{summary}. Not met: {_list(against)}. Everything is back."
    return SUCCEEDED, f"{summary}. Everything is back."


def _list(criteria: t.Iterable[Criterion]) -> str:
    return "; ".join(f"{criterion.wanted} (observed: {criterion.observed})" for criterion in criteria)
