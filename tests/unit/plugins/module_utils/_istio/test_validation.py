# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Broken objects: the field's path is named, and nothing raises. Whether istiod says the same: tests/differential."""

from __future__ import annotations

import random
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.meshops.locality.plugins.module_utils._istio.api_messages import MESSAGES
from ansible_collections.meshops.locality.plugins.module_utils._istio.durations import nanoseconds
from ansible_collections.meshops.locality.plugins.module_utils._istio.validation import validate
from tests.differential.broken_objects import (
    GOOD,
    LB,
    LOCALITY,
    MISTAKES,
    OUTLIER,
    ROUTES,
    RULE,
    SIDECAR,
    generate,
    mistaken,
)

KINDS = (*GOOD,)
#: (kind, path in the table's notation, value, level, path, words)
CASES: tuple[tuple[str, str, t.Any, str, str, str], ...] = (
    (RULE, "host", "a..b", "error", "host", "invalid"),
    (RULE, "host", 7, "type", "host", "expected a string, got 7"),
    (RULE, "trafficpolicy", {}, "unknown", "trafficpolicy", "trafficPolicy is meant"),
    (RULE, OUTLIER, "yes", "type", "trafficPolicy.outlierDetection", 'expected an object, got "yes"'),
    (
        RULE,
        f"{OUTLIER}.maxEjectionPercent",
        101,
        "error",
        "trafficPolicy.outlierDetection.maxEjectionPercent",
        "101 is not",
    ),
    (RULE, f"{OUTLIER}.interval", "1d", "type", "trafficPolicy.outlierDetection.interval", "expected a duration"),
    (
        RULE,
        f"{OUTLIER}.consecutiveErrors",
        5,
        "warning",
        "trafficPolicy.outlierDetection.consecutiveErrors",
        "deprecated",
    ),
    (
        RULE,
        f"{OUTLIER}.consecutiveLocalOriginFailures",
        1,
        "error",
        "trafficPolicy.outlierDetection.consecutiveLocalOriginFailures",
        "split external local origin errors is set to false",
    ),
    (
        RULE,
        f"{LOCALITY}.failover",
        [{"from": "a", "to": "b"}, {"from": "a/b", "to": "c"}],
        "error",
        "trafficPolicy.loadBalancer.localityLbSetting.failover[1].from",
        "only specify region",
    ),
    (
        RULE,
        f"{LOCALITY}.distribute",
        [{"from": "a", "to": {"a/*": 50, "a/b": 50}}],
        "chance",
        "trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to[a/b]",
        "overlap",
    ),
    (
        RULE,
        f"{LOCALITY}.distribute",
        [{"from": "a", "to": {"a": 60, "b": 30}}],
        "error",
        "trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to",
        "total locality weight 90 != 100",
    ),
    (RULE, f"{LB}.simple", "FAIR", "type", "trafficPolicy.loadBalancer.simple", "expected one of UNSPECIFIED"),
    (RULE, "subsets.1.name", "v1", "error", "subsets[1].name", "duplicate subset names: v1"),
    (RULE, "exportTo", ["*", "a"], "error", "exportTo", "cannot have both public"),
    (RULE, "workloadSelector", {}, "warning", "workloadSelector", "without labels"),
    (ROUTES, "http.0.retries", {"retryRemoteLocalities": True}, "error", "http[0].retries.attempts", "set to 0"),
    (SIDECAR, "egress.0.hosts.0", "web", "error", "egress[0].hosts[0]", "must be of form namespace/dnsName"),
)


@pytest.mark.parametrize(("kind", "where", "value", "level", "path", "words"), CASES)
def test_the_field_is_named(kind: str, where: str, value: t.Any, level: str, path: str, words: str) -> None:
    said = validate(kind, "a", mistaken((kind, where, ()), value)["spec"])
    assert [(verdict.level, verdict.path) for verdict in said] == [(level, path)], said
    assert words in said[0].message


@pytest.mark.parametrize("kind", KINDS)
def test_good_objects_are_good(kind: str) -> None:
    assert validate(kind, "a", GOOD[kind]) == []


def test_what_cannot_be_read_is_not_called_missing() -> None:
    """An outlierDetection of a wrong type is one problem, and not the lack of one as well."""
    setting = {"loadBalancer": {"localityLbSetting": {"failover": [{"from": "a", "to": "b"}]}}, "outlierDetection": []}
    said = validate("DestinationRule", "a", {"host": "x", "trafficPolicy": setting})
    assert [verdict.path for verdict in said] == ["trafficPolicy.outlierDetection"]


def test_istio_1_30_knows_no_zone_aware_setting() -> None:
    both = {"host": "x", "trafficPolicy": {"loadBalancer": {"localityLbSetting": {}, "zoneAwareLbSetting": {}}}}
    assert [verdict.level for verdict in validate("DestinationRule", "a", both, "1.31")] == ["error"]
    assert validate("DestinationRule", "a", both, "1.30") == []


FIELDS = sorted(MESSAGES["TrafficPolicy"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.integers() | st.sampled_from(FIELDS), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.sampled_from(KINDS), ANYTHING)
def test_garbage_never_raises(kind: str, spec: t.Any) -> None:
    for verdict in validate(kind, "a", spec):
        assert verdict.message


@given(st.integers(0, 10**9))
def test_generated_objects_never_raise(seed: int) -> None:
    item = generate(random.Random(seed))
    for verdict in validate(item["kind"], "a", item["spec"], "1.30"):
        assert verdict.message


def test_every_kind_of_mistake_can_be_made() -> None:
    assert all(mistaken(mistake, value)["spec"] is not None for mistake in MISTAKES for value in mistake[2])


def test_deep_nesting() -> None:
    value: t.Any = {}
    for _depth in range(5000):
        value = {"trafficPolicy": value}
    assert validate("DestinationRule", "a", value)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.5h", 5400 * 10**9),
        ("-1s", -(10**9)),
        ("0", 0),
        (".5s", 5 * 10**8),
        ("1.s", 10**9),
        (".s", None),
        ("1", None),
        ("3000000h", None),
        ("9" * 5000 + "s", None),
        ("1μs", 1000),
    ],
)
def test_durations_are_gos(text: str, number: int | None) -> None:
    assert nanoseconds(text) == number
