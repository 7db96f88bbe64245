# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Outlier detection: every number here was measured on Envoy 1.36.4 to 1.40.0."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier_detection import (
    Failure,
    OutlierDetection,
    ejectable,
    needed_percent,
)
from tests.differential.envoy.outlier_message import parse_outlier_detection


@pytest.mark.parametrize(
    ("hosts", "default", "always_one", "of_34", "of_50", "of_67", "of_100"),
    [
        (1, 0, 1, 0, 0, 0, 1),
        (2, 0, 1, 0, 1, 1, 2),
        (3, 0, 1, 1, 1, 2, 3),
        (4, 0, 1, 1, 2, 2, 4),
        (10, 1, 1, 3, 5, 6, 10),
        (20, 2, 2, 6, 10, 13, 20),
    ],
)
def test_how_many_can_be_ejected(
    hosts: int, default: int, always_one: int, of_34: int, of_50: int, of_67: int, of_100: int
) -> None:
    assert ejectable(hosts) == default
    assert ejectable(hosts, always_eject_one_host=True) == always_one
    assert [ejectable(hosts, percent) for percent in (34, 50, 67, 100)] == [of_34, of_50, of_67, of_100]


def test_limits_beyond_the_range() -> None:
    assert ejectable(7, 250) == 7
    assert ejectable(0, 100, always_eject_one_host=True) == 0


@given(st.integers(1, 300), st.integers(0, 100))
def test_ejectable_is_envoys_own_comparison(hosts: int, percent: int) -> None:
    ejected = 0
    while ejected < hosts and 100.0 * (ejected + 1) / hosts <= percent:
        ejected += 1
    assert ejectable(hosts, percent) == ejected


@given(st.integers(1, 300).flatmap(lambda total: st.tuples(st.integers(1, total), st.just(total))))
def test_the_needed_percent_is_the_smallest_that_is_enough(numbers: tuple[int, int]) -> None:
    hosts, total = numbers
    percent = needed_percent(hosts, total)
    assert ejectable(total, percent) >= hosts
    assert ejectable(total, percent - 1) < hosts


GATEWAY_1 = OutlierDetection(
    enforcing_consecutive_5xx=0, consecutive_gateway_failure=1, enforcing_consecutive_gateway_failure=100
)
SPLIT = {"split_external_local_origin_errors": True}
NOT_5XX = {"enforcing_consecutive_5xx": 0}
DETECTORS = {
    "5xx": OutlierDetection(consecutive_5xx=1),
    "gateway": GATEWAY_1,
    "split local": OutlierDetection(consecutive_local_origin_failure=1, **SPLIT, **NOT_5XX),
    "split 5xx": OutlierDetection(consecutive_5xx=1, enforcing_consecutive_local_origin_failure=0, **SPLIT),
    "split gateway": OutlierDetection(
        consecutive_gateway_failure=1,
        enforcing_consecutive_gateway_failure=100,
        enforcing_consecutive_local_origin_failure=0,
        **SPLIT,
        **NOT_5XX,
    ),
}


@pytest.mark.parametrize(
    ("failure", "ejected_by"),
    [
        (Failure.SERVER_ERROR, {"5xx", "split 5xx"}),
        (Failure.GATEWAY_ERROR, {"5xx", "gateway", "split 5xx", "split gateway"}),
        (Failure.REFUSED, {"5xx", "gateway", "split local"}),
        (Failure.RESET, {"5xx", "gateway", "split local"}),
        (Failure.CONNECT_TIMEOUT, {"5xx", "gateway", "split local"}),
        (Failure.TIMEOUT, {"5xx", "gateway", "split local"}),
    ],
)
def test_which_failures_eject_with_a_threshold_of_1(failure: Failure, ejected_by: set[str]) -> None:
    numbers = {name: detection.errors_to_eject(failure) for name, detection in DETECTORS.items()}
    assert {name for name, number in numbers.items() if number == 1} == ejected_by
    assert {name for name, number in numbers.items() if number is None} == set(DETECTORS) - ejected_by


@pytest.mark.parametrize(
    ("failures", "split_local", "split_5xx", "no_split", "gateway"),
    [
        ((Failure.REFUSED, Failure.CONNECT_TIMEOUT), 5, None, 5, 5),
        ((Failure.RESET, Failure.TIMEOUT), None, None, 5, 5),
        ((Failure.GATEWAY_ERROR,), None, 5, 5, 5),
        ((Failure.SERVER_ERROR,), None, 5, 5, None),
    ],
)
def test_which_failures_eject_with_a_threshold_of_5(
    failures: tuple[Failure, ...], split_local: int | None, split_5xx: int | None, no_split: int, gateway: int | None
) -> None:
    for failure in failures:
        assert OutlierDetection(**SPLIT, **NOT_5XX).errors_to_eject(failure) == split_local
        only_5xx = OutlierDetection(enforcing_consecutive_local_origin_failure=0, **SPLIT)
        assert only_5xx.errors_to_eject(failure) == split_5xx
        assert OutlierDetection().errors_to_eject(failure) == no_split
        only_gateway = OutlierDetection(enforcing_consecutive_gateway_failure=100, **NOT_5XX)
        assert only_gateway.errors_to_eject(failure) == gateway


def test_the_first_detector_to_reach_its_number_ejects() -> None:
    both = OutlierDetection(consecutive_5xx=7, consecutive_gateway_failure=3, enforcing_consecutive_gateway_failure=100)
    assert both.errors_to_eject(Failure.GATEWAY_ERROR) == 3
    assert both.errors_to_eject(Failure.SERVER_ERROR) == 7


def test_a_threshold_of_0_is_never_reached() -> None:
    """What Istio sends for `consecutive5xxErrors: 0`."""
    assert OutlierDetection(consecutive_5xx=0, enforcing_consecutive_5xx=0).errors_to_eject(Failure.REFUSED) is None


@pytest.mark.parametrize(
    ("detection", "observed"),
    [
        (OutlierDetection(interval=1, base_ejection_time=2), [2.96, 5.00, 6.95, 8.99]),
        (OutlierDetection(interval=0.2, base_ejection_time=1, max_ejection_time=3), [1.15, 2.15, 3.18, 3.15, 3.19]),
        (OutlierDetection(interval=5, base_ejection_time=1), [4.96, 4.97, 4.98, 4.98]),
    ],
)
def test_how_long_ejections_last(detection: OutlierDetection, observed: list[float]) -> None:
    for count, seconds in enumerate(observed, 1):
        least, most = detection.ejection_seconds(count)
        assert least <= seconds <= most + 0.05


def test_the_longest_ejection() -> None:
    assert OutlierDetection().longest_ejection == 300
    assert OutlierDetection(base_ejection_time=400).longest_ejection == 400
    assert OutlierDetection(max_ejection_time=60).longest_ejection == 60


def test_parsing_both_spellings() -> None:
    expected = OutlierDetection(
        consecutive_5xx=1,
        enforcing_consecutive_5xx=100,
        interval=1,
        base_ejection_time=60,
        max_ejection_percent=75,
        consecutive_gateway_failure=0,
    )
    snake = {
        "consecutive_5xx": 1,
        "enforcing_consecutive_5xx": 100,
        "enforcing_success_rate": 0,
        "consecutive_gateway_failure": 0,
        "interval": "1s",
        "base_ejection_time": "60s",
        "max_ejection_percent": 75,
    }
    camel = {
        "consecutive5xx": 1,
        "enforcingConsecutive5xx": 100,
        "enforcingSuccessRate": 0,
        "consecutiveGatewayFailure": 0,
        "interval": "1.000s",
        "baseEjectionTime": "60s",
        "maxEjectionPercent": 75,
    }
    assert parse_outlier_detection(snake) == parse_outlier_detection(camel) == expected


def test_parsing_nothing_and_an_empty_message() -> None:
    assert parse_outlier_detection(None) is None
    assert parse_outlier_detection({}) == OutlierDetection()
