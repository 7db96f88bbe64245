# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._drill.failover_mechanism import TrafficReading, shifts
from ansible_collections.meshops.locality.plugins.module_utils._drill.measurements import (
    Moments,
    Sample,
    failed_back,
    measured,
    rows,
    shifted,
)
from ansible_collections.meshops.locality.plugins.module_utils._drill.phases import Ended
from ansible_collections.meshops.locality.plugins.module_utils._drill.snapshot_difference import differences
from ansible_collections.meshops.locality.plugins.module_utils._drill.verdict import SuccessCriteria, judge, outcome
from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import EnvoyEndpoint

LOST = {"shop/a"}
MOMENTS = Moments(injected=5.0, undone=25.0, restored=28.0)


def asked(start: float, end: float, pod: str, code: int = 200, step: float = 0.1) -> list[Sample]:
    count = round((end - start) / step)
    return [Sample(0, start + index * step, 0.01, code, 0, pod, f"r/z/{pod[-1]}") for index in range(count)]


def test_nobody_notices() -> None:
    samples = [*asked(0, 5, "shop/a"), *asked(5, 28, "shop/b"), *asked(28, 30, "shop/a")]
    times = measured(samples, MOMENTS, LOST)
    assert (times["requests"], times["failed"], times["time_to_shift"]) == (300, 0, 0.0)
    assert times["by_place"]["before"] == {"r/z/a": 50}
    assert times["by_place"]["during"] == {"r/z/b": 200}
    assert times["failed_back_t"] == 28.0
    assert times["time_to_restore"] == 3.0


def test_failures_until_it_shifts() -> None:
    samples = [*asked(0, 5, "shop/a"), *asked(5, 12, "shop/a", 503), *asked(12, 25, "shop/b")]
    times = measured(samples, MOMENTS, LOST)
    assert times["failed"] == 70
    assert times["first_error_t"] == pytest.approx(5.01)
    assert times["time_to_shift"] == pytest.approx(6.91)
    assert times["failed_by_place"] == {"r/z/a": 70}
    assert times["failed_back_t"] is None


def test_a_relapse_does_not_move_the_shift() -> None:
    samples = [*asked(5, 15, "shop/b"), *asked(15, 16, "shop/a", 503), *asked(16, 25, "shop/b")]
    assert shifted(samples, MOMENTS, LOST) == 5.0


@pytest.mark.parametrize(
    "samples",
    [
        [],
        asked(0, 5, "shop/a"),
        asked(5, 25, "shop/a"),  # the lost pod still answers
        asked(5, 25, "shop/b", 503),
        [*asked(5, 23, "shop/a", 503), *asked(23, 25, "shop/b")],  # too short to tell
    ],
)
def test_no_shift(samples: list[Sample]) -> None:
    assert shifted(samples, MOMENTS, LOST) is None


def test_back_only_when_every_pod_that_answered_answers_again() -> None:
    samples = [*asked(0, 2, "shop/a"), *asked(2, 5, "shop/c"), *asked(28, 29, "shop/a")]
    assert failed_back(samples, MOMENTS, {"shop/a", "shop/c"}) is None
    assert failed_back(samples, MOMENTS, {"shop/a"}) == 28.0
    assert failed_back(asked(0, 5, "shop/b"), MOMENTS, LOST) is None, "it never answered, so nothing is known"


def test_rows() -> None:
    samples = [Sample(0, 1.2, 0.010, 200, 0, "p", "x"), Sample(0, 1.9, 0.030, 200, 0, "p", "x")]
    samples.append(Sample(1, 1.5, 5.0, 0, 28))
    assert rows(samples) == [[1, 0, "x", "200", "", 2, 0, 10.0, 30.0], [1, 1, "", "curl 28", "", 1, 1, 5000.0, 5000.0]]


def endpoint(*flags: str, errors: int = 0) -> EnvoyEndpoint:
    name = "outbound|80||cart.shop.svc.cluster.local"
    return EnvoyEndpoint(name, "10.0.0.1:80", health_reasons=flags, counters={"rq_error": errors})


@pytest.mark.parametrize(
    ("during", "mechanism", "moment"),
    [
        ([[endpoint()], [endpoint("failed_outlier_check")], [endpoint("failed_eds_health")]], "ejection", 7.0),
        ([[endpoint("failed_eds_health")], []], "eds_health", 6.0),
        ([[endpoint()], [], []], "eds_removal", 7.0),
        ([[endpoint(errors=3)]], "retry", None),
        ([[endpoint(errors=2)]], "none", None),
    ],
)
def test_what_moved_the_traffic(during: list[list[EnvoyEndpoint]], mechanism: str, moment: float | None) -> None:
    readings = [TrafficReading(1.0, "c", (endpoint(errors=2),))]
    readings += [TrafficReading(6.0 + index, "c", tuple(endpoints)) for index, endpoints in enumerate(during)]
    (moves,) = shifts(readings, {"10.0.0.1", "10.0.0.9"}, 5.0, 20.0)
    assert (moves.mechanism, moves.t) == (mechanism, moment)


def seen(**changes: t.Any) -> dict[str, t.Any]:
    good = {
        "requests": 300,
        "requests_during": 200,
        "failed": 0,
        "failed_ratio": 0.0,
        "time_to_shift": 0.4,
        "time_to_restore": 4.0,
    }
    return {**good, **changes}


PREDICTION = {"failed_between": [0.0, 10.0], "seconds_between": [0.1, 1.0]}
EVERYTHING = SuccessCriteria(0.01, 5.0, 30.0, True)


@pytest.mark.parametrize(
    ("changes", "restored", "unexpected", "expected", "says"),
    [
        ({}, True, 0, "SUCCEEDED", "cost 0 of 300 requests; the traffic was elsewhere after 0.4 s"),
        ({"failed": 30, "failed_ratio": 0.1}, True, 0, "FAILED", "at most 1 % of the requests fail"),
        ({"time_to_shift": None}, True, 0, "FAILED", "not while the fault lasted"),
        ({"time_to_restore": 31.0}, True, 0, "FAILED", "everything is back within 30 s"),
        ({}, False, 0, "FAILED", "Not everything is as before: not restored"),
        ({}, True, 2, "FAILED", "restored, 2 differences"),
        ({"requests": 0, "requests_during": 0, "failed_ratio": None}, True, 0, "INTERRUPTED", "was not observed"),
        ({"requests_during": 0}, True, 0, "INTERRUPTED", "Not judged: requests while the fault lasted"),
    ],
)
def test_outcomes(changes: t.Any, restored: bool, unexpected: int, expected: str, says: str) -> None:
    numbers = seen(**changes)
    criteria = judge(EVERYTHING, numbers, PREDICTION, restored, unexpected)
    verdict, reason = outcome(None, criteria, "zone a", numbers)
    assert (verdict, says in reason) == (expected, True), reason


def test_without_a_prediction_a_drill_that_expects_one_does_not_succeed() -> None:
    criteria = judge(EVERYTHING, seen(), None, True, 0)
    assert outcome(None, criteria, "zone a", seen())[0] == "INTERRUPTED"
    assert outcome(None, judge(SuccessCriteria(0.01), seen(), None, True, 0), "zone a", seen())[0] == "SUCCEEDED"


@pytest.mark.parametrize(("shift", "expected"), [(4.8, "SUCCEEDED"), (5.0, "FAILED")])
def test_a_prediction_counts_from_the_fault_and_not_from_sending_it(shift: float, expected: str) -> None:
    """Predicted is 1 s, with tolerance 3.2 s; the commands of a busy machine were answered after 1.7 s."""
    numbers = seen(time_to_shift=shift, time_to_inject=1.7)
    criteria = judge(SuccessCriteria(0.01, prediction=True), numbers, PREDICTION, True, 0)
    assert outcome(None, criteria, "zone a", numbers)[0] == expected
    assert "after it was sent; every Envoy had answered after 1.7 s" in criteria[-2].observed
    (shortly,) = (
        each.observed
        for each in judge(
            SuccessCriteria(0.01, prediction=True), seen(time_to_shift=3.3, time_to_inject=0.2), PREDICTION, True, 0
        )
        if each.name == "prediction_time_to_shift"
    )
    assert "every Envoy had answered after 0.2 s" in shortly, "nothing passes beyond the limit without a word"
    slow = judge(SuccessCriteria(0.01, 4.0, prediction=True), numbers, PREDICTION, True, 0)
    assert "time_to_shift" in {each.name for each in slow if not each.passed}, "the user's own limit is as strict"


def test_cut_short_it_never_succeeds_and_not_restored_is_worse() -> None:
    cut = Ended("INTERRUPTED", "SIGTERM came.")
    good = judge(EVERYTHING, seen(), PREDICTION, True, 0)
    verdict, reason = outcome(cut, good, "zone a", seen())
    assert verdict == "INTERRUPTED"
    assert reason.startswith("SIGTERM came. Losing zone a cost 0 of 300 requests;")
    assert reason.endswith("Everything is back.")
    assert outcome(cut, judge(EVERYTHING, seen(), PREDICTION, False, 0), "zone a", seen())[0] == "FAILED"


def test_it_was_predicted_that_the_traffic_does_not_shift() -> None:
    never = {"failed_between": [100.0, 200.0], "seconds_between": [None, None]}
    wanted = SuccessCriteria(1.0, prediction=True)
    good = seen(failed=150, failed_ratio=0.5, time_to_shift=None)
    assert outcome(None, judge(wanted, good, never, True, 0), "a", good)[0] == "SUCCEEDED"
    better = seen(failed=150, failed_ratio=0.5)
    assert outcome(None, judge(wanted, better, never, True, 0), "a", better)[0] == "FAILED"


def test_fewer_requests_than_planned_fail_less_often() -> None:
    many = {"failed_between": [900.0, 1200.0], "seconds_between": [45.0, 60.0]}
    wanted = SuccessCriteria(1.0, prediction=True)
    slow = seen(requests=800, requests_during=600, failed=450, failed_ratio=0.56, time_to_shift=50.0)
    judged = judge(wanted, slow, many, True, 0, 1200.0)
    assert outcome(None, judged, "a", slow)[0] == "SUCCEEDED"
    assert any("of which 50 % could be sent" in criterion.wanted for criterion in judged)
    assert outcome(None, judge(wanted, slow, many, True, 0), "a", slow)[0] == "FAILED"
    slow["failed"] = 300
    assert outcome(None, judge(wanted, slow, many, True, 0, 1200.0), "a", slow)[0] == "FAILED"


def test_differences() -> None:
    before = {"Pod a/x": {"uid": "1", "restarts": "0"}, "Pod a/y": {"uid": "2"}}
    after = {"Pod a/x": {"uid": "1", "restarts": "1"}, "Pod a/z": {"uid": "3"}}
    changes = differences(before, after, {("Pod a/x", "restarts")})
    assert [
        (difference.object, difference.field, difference.before, difference.after, difference.expected)
        for difference in changes
    ] == [
        ("Pod a/x", "restarts", "0", "1", True),
        ("Pod a/y", "", "present", "(absent)", False),
        ("Pod a/z", "", "(absent)", "present", False),
    ]
    assert differences(before, before) == []
