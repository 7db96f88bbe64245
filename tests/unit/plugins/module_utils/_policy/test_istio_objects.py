# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options become Istio's objects, and what istiod would refuse is refused with the option's path."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio.durations import parse_duration
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent import OPTIONS, Intent, camel
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent_validation import check, problems
from ansible_collections.meshops.locality.plugins.module_utils._policy.istio_objects import (
    destination_rule,
    virtual_service,
)


def intent(**options: t.Any) -> Intent:
    return Intent.from_options(
        {"namespace": "sample", "service_host": "helloworld.sample.svc.cluster.local", **options}
    )


TUTORIAL: dict[str, t.Any] = {
    "max_requests_per_connection": 1,
    "load_balancer": "ROUND_ROBIN",
    "failover": [{"from": "cn-north-4", "to": "cn-south-1"}],
    "outlier_detection": {"consecutive_5xx_errors": 1, "interval": "1s", "base_ejection_time": "1m"},
}


def test_the_tutorials_rule_exactly_as_written() -> None:
    assert destination_rule(intent(**TUTORIAL)) == {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "helloworld", "namespace": "sample"},
        "spec": {
            "host": "helloworld.sample.svc.cluster.local",
            "trafficPolicy": {
                "connectionPool": {"http": {"maxRequestsPerConnection": 1}},
                "loadBalancer": {
                    "simple": "ROUND_ROBIN",
                    "localityLbSetting": {"enabled": True, "failover": [{"from": "cn-north-4", "to": "cn-south-1"}]},
                },
                "outlierDetection": {"consecutive5xxErrors": 1, "interval": "1s", "baseEjectionTime": "1m"},
            },
        },
    }


def test_no_virtual_service_unless_retries_are_wanted() -> None:
    assert virtual_service(intent(**TUTORIAL)) is None
    assert virtual_service(intent(retry_remote_localities=False)) is None


def test_a_virtual_service_always_has_attempts_because_istio_reads_none_as_off() -> None:
    route = virtual_service(intent(retry_remote_localities=True))
    assert route is not None
    assert route["spec"]["http"][0]["retries"] == {"attempts": 2, "retryRemoteLocalities": True}
    assert route["metadata"]["annotations"] == {"meshops.locality/destination-rule": "helloworld"}


def test_retries_in_full() -> None:
    route = virtual_service(
        intent(
            virtual_service_name="other",
            export_to=["."],
            retries={"attempts": 5, "per_try_timeout": "500ms", "retry_on": "5xx"},
        )
    )
    assert route is not None
    assert route["metadata"]["name"] == "other"
    assert route["spec"]["exportTo"] == ["."]
    assert route["spec"]["http"][0]["retries"] == {"attempts": 5, "perTryTimeout": "500ms", "retryOn": "5xx"}


def test_raw_fields_stand_next_to_typed_ones() -> None:
    rule = destination_rule(
        intent(
            **TUTORIAL,
            traffic_policy={
                "connectionPool": {"http": {"http2MaxRequests": 10}},
                "outlierDetection": {"consecutiveGatewayErrors": 3},
            },
        )
    )["spec"]["trafficPolicy"]
    assert rule["connectionPool"]["http"] == {"http2MaxRequests": 10, "maxRequestsPerConnection": 1}
    assert rule["outlierDetection"]["consecutiveGatewayErrors"] == 3
    assert rule["outlierDetection"]["interval"] == "1s"


def test_the_raw_input_is_not_changed() -> None:
    raw: dict[str, t.Any] = {"connectionPool": {"http": {}}}
    destination_rule(intent(traffic_policy=raw, **TUTORIAL))
    assert raw == {"connectionPool": {"http": {}}}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            {"outlierDetection": {"interval": "2s"}},
            "traffic_policy.outlierDetection.interval is also given as outlier_",
        ),
        ({"loadBalancer": {"simple": "RANDOM"}}, "traffic_policy.loadBalancer.simple is also given as load_balancer"),
        ({"loadBalancer": "RANDOM"}, "traffic_policy.loadBalancer must be a dictionary, because load_balancer"),
    ],
)
def test_one_field_given_twice_is_an_error(raw: dict[str, t.Any], expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected):
        destination_rule(intent(**TUTORIAL, traffic_policy=raw))


def test_names_of_suboptions_are_istios() -> None:
    assert [camel(name) for name in OPTIONS["outlier_detection"]["options"]] == [
        "consecutive5xxErrors",
        "consecutiveGatewayErrors",
        "consecutiveLocalOriginFailures",
        "splitExternalLocalOriginErrors",
        "interval",
        "baseEjectionTime",
        "maxEjectionPercent",
        "minHealthPercent",
    ]


def test_a_good_intent_has_no_problems() -> None:
    check(intent(**TUTORIAL))
    check(
        intent(
            distribute=[
                {"from": "us/z1/*", "to": {"us/z1/*": 80, "us/z2/*": 20}},
                {"from": "us/z2/*", "to": {"us/z2": 100}},
            ]
        )
    )
    check(intent(failover_priority=["topology.istio.io/network", "app=x"], export_to=[".", "other"]))


@pytest.mark.parametrize(
    ("options", "field", "expected"),
    [
        ({"service_host": ""}, "service_host", "is missing"),
        ({"service_host": "a b"}, "service_host", "not a DNS name"),
        ({"service_host": "a.*.b"}, "service_host", "not a DNS name"),
        ({"service_host": "*.local"}, "name", "none can be made of the host"),
        ({"service_host": "A.sample"}, "name", "'A' is not a legal object name"),
        ({"service_host": "a_b.sample"}, "service_host", "not a DNS name"),
        ({"name": "Upper"}, "name", "not a legal object name"),
        ({"virtual_service_name": "a_b"}, "virtual_service_name", "not a legal object name"),
        ({"namespace": "a.b"}, "namespace", "not a legal namespace name"),
        ({"failover": [{"from": "a", "to": "a"}]}, "failover[0].to", "the same region as from"),
        ({"failover": [{"from": "a/b", "to": "c"}]}, "failover[0].from", "must be a region only"),
        ({"failover": [{"from": "a", "to": "c*"}]}, "failover[0].to", "must not contain a '*'"),
        ({"failover": [{"from": "a", "to": "b"}, {"from": "c", "to": ""}]}, "failover[1].to", "is empty"),
        (
            {"failover": [{"from": "a", "to": "b"}], "distribute": [{"from": "a", "to": {"b": 100}}]},
            "failover",
            "cannot stand next to distribute",
        ),
        (
            {"failover": [{"from": "a", "to": "b"}], "failover_priority": ["x", "topology.kubernetes.io/zone"]},
            "failover_priority[1]",
            "cannot stand next to failover",
        ),
        ({"failover_priority": [""]}, "failover_priority[0]", "is empty"),
        ({"distribute": [{"from": "a", "to": {"a": 60, "b": 30}}]}, "distribute[0].to", "add up to 90"),
        ({"distribute": [{"from": "a", "to": {"a": 100, "b": 0}}]}, "distribute[0].to[b]", "is not a weight"),
        ({"distribute": [{"from": "a", "to": {"a": "many"}}]}, "distribute[0].to[a]", "not a whole number"),
        ({"distribute": [{"from": "a", "to": {"a": 50, "a/b": 50}}]}, "distribute[0].to[a/b]", "overlaps with 'a'"),
        ({"distribute": [{"from": "us-*", "to": {"a": 100}}]}, "distribute[0].from", "only be the whole last part"),
        ({"distribute": [{"from": "a//c", "to": {"a": 100}}]}, "distribute[0].from", "is not region/zone/subzone"),
        (
            {"distribute": [{"from": "a/*", "to": {"a": 100}}, {"from": "a/b", "to": {"a": 100}}]},
            "distribute[1].from",
            "overlaps with 'a/*' of distribute[0].from",
        ),
        ({"outlier_detection": {"interval": "1d"}}, "outlier_detection.interval", "not a duration such as"),
        ({"outlier_detection": {"interval": "0s"}}, "outlier_detection.interval", "at least 1ms"),
        (
            {"outlier_detection": {"base_ejection_time": "1.5ms"}},
            "outlier_detection.base_ejection_time",
            "more precise than a millisecond",
        ),
        (
            {"outlier_detection": {"max_ejection_percent": 101}},
            "outlier_detection.max_ejection_percent",
            "101 is not a",
        ),
        ({"outlier_detection": {"min_health_percent": -1}}, "outlier_detection.min_health_percent", "-1 is not a"),
        (
            {"outlier_detection": {"consecutive_5xx_errors": -1}},
            "outlier_detection.consecutive_5xx_errors",
            "must not be negative",
        ),
        (
            {"outlier_detection": {"consecutive_local_origin_failures": 1}},
            "outlier_detection.consecutive_local_origin_failures",
            "needs split_external_local_origin_errors",
        ),
        ({"retries": {"attempts": 0}}, "retries.attempts", "must be at least 1"),
        ({"retries": {"per_try_timeout": "x"}}, "retries.per_try_timeout", "not a duration"),
        (
            {"name": "a", "service_host": "*.a", "retries": {"attempts": 1}},
            "service_host",
            "cannot route to a wildcard",
        ),
        ({"max_requests_per_connection": -1}, "max_requests_per_connection", "must not be negative"),
        ({"subsets": [{"name": "v1"}, {"name": "v1"}]}, "subsets[1].name", "'v1' is given twice"),
        ({"subsets": [{}]}, "subsets[0].name", "is missing"),
        ({"subsets": [{"name": "v1", "trafficPolicy": {}}]}, "subsets[0].trafficPolicy", "at least one field"),
        ({"subsets": [{"name": "v1", "labels": ["x"]}]}, "subsets[0].labels", "expected an object, got a list"),
        ({"retries": {"retry_on": "sometimes"}}, "retries.retry_on", "is not a valid retryOn policy"),
        (
            {"traffic_policy": {"loadBalancer": {"consistentHash": {"maglev": {"tableSize": 4}}}}},
            "traffic_policy.loadBalancer.consistentHash.maglev.tableSize",
            "must be a prime number",
        ),
        ({"traffic_policy": {"tls": {"mode": "NEVER"}}}, "traffic_policy.tls.mode", "expected one of DISABLE, SIMPLE"),
        ({"export_to": ["*", "a"]}, "export_to", "cannot stand next to"),
        ({"export_to": ["a", "a"]}, "export_to[1]", "given twice"),
        ({"export_to": [".", "sample"]}, "export_to[1]", "'sample' is given twice"),
    ],
)
def test_each_problem_names_its_field(options: dict[str, t.Any], field: str, expected: str) -> None:
    complaints = list(problems(intent(**options)))
    assert [(path, expected in text) for path, text in complaints] == [(field, True)], complaints


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        check(intent(failover=[{"from": "a", "to": "a"}], outlier_detection={"interval": "1d"}))
    assert [problem["field"] for problem in caught.value.details["problems"]] == [
        "failover[0].to",
        "outlier_detection.interval",
    ]
    assert "failover[0].to: is the same region" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1m30s", 90),
        ("500ms", 0.5),
        ("1.5h", 5400),
        ("2us", 2e-6),
        ("", None),
        ("1", None),
        ("s", None),
        ("1s x", None),
    ],
)
def test_durations_are_gos(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds
