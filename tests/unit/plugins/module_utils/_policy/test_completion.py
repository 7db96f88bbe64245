# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is completed, with the number it must have, and what is warned of."""

from __future__ import annotations

import re
import typing as t
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._policy import completion
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent import Intent
from ansible_collections.meshops.locality.plugins.module_utils._policy.istio_objects import traffic_policy

TUTORIAL = {
    Locality("cn-north-4", "cn-north-4b", "beijing"): 1,
    Locality("cn-north-4", "cn-north-4b", "tianjin"): 1,
    Locality("cn-north-4", "cn-north-4b", "shenyang"): 1,
    Locality("cn-south-1", "cn-south-1a", "guangzhou"): 1,
}


def intent(**options: t.Any) -> Intent:
    return Intent.from_options({"namespace": "sample", "service_host": "h.sample.svc.cluster.local", **options})


FAILOVER = [{"from": "cn-north-4", "to": "cn-south-1"}]
OUTLIER = {"consecutive_5xx_errors": 1}


@pytest.mark.parametrize(("level", "percent"), [("subzone", 25), ("zone", 75), ("region", 75)])
def test_the_percent_for_each_level_of_the_tutorial(level: str, percent: int) -> None:
    assert completion.loss(TUTORIAL, level).percent == percent


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.integers(1, 40)), min_size=1, max_size=8))
def test_the_percent_is_the_smallest_that_lets_envoy_eject_all_of_the_group(places: list[tuple[str, str, int]]) -> None:
    endpoint_numbers = {Locality(region, zone, str(i)): number for i, (region, zone, number) in enumerate(places)}
    loss = completion.loss(endpoint_numbers, "zone")
    assert Fraction(100 * loss.lost, loss.total) <= loss.percent
    assert Fraction(100 * loss.lost, loss.total) > loss.percent - 1


def test_the_rule_of_the_tutorial_completed() -> None:
    done, completed = completion.complete(intent(failover=FAILOVER, outlier_detection=OUTLIER), TUTORIAL)
    assert traffic_policy(done)["outlierDetection"] == {"consecutive5xxErrors": 1, "maxEjectionPercent": 75}
    assert done.retry_remote_localities is True
    assert [(entry.field.rpartition(".")[2], entry.value) for entry in completed] == [
        ("maxEjectionPercent", 75),
        ("retryRemoteLocalities", True),
    ]
    assert "3 of 4 endpoints are in region cn-north-4" in completed[0].why


def test_what_is_given_stays() -> None:
    given_all = intent(outlier_detection={"max_ejection_percent": 10}, retry_remote_localities=False)
    assert completion.complete(given_all, TUTORIAL) == (given_all, [])
    raw = intent(traffic_policy={"outlierDetection": {"maxEjectionPercent": 50}}, retry_remote_localities=False)
    assert completion.complete(raw, TUTORIAL) == (raw, [])


def test_no_outlier_detection_at_all_is_completed_with_envoys_default() -> None:
    done, completed = completion.complete(intent(failover=FAILOVER), TUTORIAL)
    assert traffic_policy(done)["outlierDetection"] == {"consecutive5xxErrors": 5, "maxEjectionPercent": 75}
    assert completed[0].field.endswith("consecutive5xxErrors")


def test_retries_are_left_out_for_a_host_without_http() -> None:
    done, completed = completion.complete(intent(outlier_detection=OUTLIER), TUTORIAL, http=False)
    assert done.retry_remote_localities is None
    assert len(completed) == 1


def test_survive_defaults_to_the_widest_level_that_differs() -> None:
    one_region = {Locality("r", "a", "1"): 1, Locality("r", "b", "1"): 3}
    one_zone = {Locality("r", "a", "1"): 1, Locality("r", "a", "2"): 2}
    assert completion.level_to_survive(intent(), TUTORIAL) == "region"
    assert completion.level_to_survive(intent(), one_region) == "zone"
    assert completion.level_to_survive(intent(), one_zone) == "subzone"
    assert completion.level_to_survive(intent(failover=FAILOVER), one_zone) == "region"
    assert completion.level_to_survive(intent(survive="zone"), TUTORIAL) == "zone"


def test_what_cannot_survive_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"all 2 of 2 endpoints are in region r .*something smaller than region"):
        completion.complete(intent(survive="region"), {Locality("r", "a"): 1, Locality("r", "b"): 1})
    with pytest.raises(InvalidInput, match="no endpoints"):
        completion.complete(intent(), {})


@pytest.mark.parametrize(
    ("options", "numbers", "expected"),
    [
        ({"failover": FAILOVER}, None, "failover does nothing without outlier_detection"),
        ({"failover_priority": ["app"]}, None, "failover does nothing without outlier_detection"),
        (
            {"failover": [*FAILOVER, {"from": "cn-north-4", "to": "x"}], "outlier_detection": OUTLIER},
            None,
            r"failover\[1\] does nothing: only the first entry with from cn-north-4 applies",
        ),
        (
            {
                "distribute": [{"from": "a", "to": {"a": 100}}],
                "failover_priority": ["app"],
                "outlier_detection": OUTLIER,
            },
            None,
            "failover_priority does nothing next to distribute",
        ),
        (
            {"load_balancer": "PASSTHROUGH", "failover": FAILOVER, "outlier_detection": OUTLIER},
            None,
            "PASSTHROUGH takes all endpoints out",
        ),
        ({"service_host": "h.sample", "outlier_detection": OUTLIER}, None, "write h.sample.svc.cluster.local"),
        ({"outlier_detection": {"consecutive_5xx_errors": 0}}, None, "ejects no endpoint"),
        (
            {"outlier_detection": {"consecutive_5xx_errors": 0, "consecutive_gateway_errors": 0}},
            None,
            "ejects no endpoint",
        ),
        (
            {"failover": FAILOVER, "outlier_detection": OUTLIER},
            TUTORIAL,
            "Envoy's 10 % allows 0 of 4 endpoints to be ejected, but 3 of 4 .* at least 75 is needed",
        ),
        (
            {"outlier_detection": {"max_ejection_percent": 24}, "survive": "subzone"},
            TUTORIAL,
            "max_ejection_percent 24 allows 0 of 4 .* at least 25",
        ),
        (
            {"outlier_detection": {"max_ejection_percent": 75, "min_health_percent": 30}},
            TUTORIAL,
            "min_health_percent 30: when region cn-north-4 is lost 25 % are left",
        ),
        (
            {"failover": [{"from": "cn-north-4", "to": "mars"}], "outlier_detection": {"max_ejection_percent": 75}},
            TUTORIAL,
            r"failover\[0\].to: host .* has no endpoint in region mars now \(it has some in cn-north-4, cn-south-1\)",
        ),
        ({"outlier_detection": OUTLIER}, {}, "has no endpoints now"),
        (
            {"outlier_detection": {"max_ejection_percent": 100}},
            {Locality(): 2},
            "2 endpoints of host .* have no locality",
        ),
    ],
)
def test_each_warning(options: dict[str, t.Any], numbers: completion.EndpointCounts | None, expected: str) -> None:
    complaints = list(completion.warnings(intent(**options), numbers))
    assert len(complaints) == 1, complaints
    assert re.search(expected, complaints[0]), complaints


def test_a_good_rule_has_no_warnings() -> None:
    done, _told = completion.complete(intent(failover=FAILOVER), TUTORIAL)
    assert list(completion.warnings(done, TUTORIAL)) == []


def test_errors_of_local_origin_eject_when_they_are_split_from_the_others() -> None:
    """Envoy counts them apart, five in a row by default: such a rule does eject."""
    split = {"consecutive_5xx_errors": 0, "split_external_local_origin_errors": True}
    assert not [
        text for text in completion.warnings(intent(outlier_detection=split), None) if "ejects no endpoint" in text
    ]
