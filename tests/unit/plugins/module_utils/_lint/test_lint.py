# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tutorial's rule is explained before anyone drills; suppressions; one finding for many clients; garbage."""

from __future__ import annotations

import random
import typing as t

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import Finding
from ansible_collections.meshops.locality.plugins.module_utils._lint.lint import lint
from ansible_collections.meshops.locality.plugins.module_utils._model.field_filter import relevant_fields
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Mesh
from tests.differential.broken_objects import MISTAKES, generate, mistaken
from tests.differential.meshes import generate as generate_mesh
from tests.differential.missing_fields import with_missing_fields
from tests.unit.plugins.module_utils._lint.cases import failover, web
from tests.unit.plugins.module_utils._lint.meshes import (
    COMPLETED,
    RETRIES,
    TUTORIAL_RULE,
    findings,
    ids,
    istio,
    mesh,
    node,
    pod,
    rule,
    snapshot,
    tutorial,
)

IGNORE = "meshops.locality/lint-ignore"


def grave(reported: t.Iterable[Finding]) -> list[Finding]:
    return [finding for finding in reported if finding.severity != "info"]


def test_the_tutorials_rule_explains_the_55_seconds() -> None:
    reported = findings(tutorial())
    assert {finding.id for finding in grave(reported)} == {"ML202", "ML220"}
    first = reported[0]
    assert (first.id, first.severity, first.object) == ("ML202", "error", "DestinationRule sample/helloworld")
    assert first.field == "spec.trafficPolicy.outlierDetection.maxEjectionPercent"
    assert "Envoy's 10 % of 4 endpoints of helloworld.sample allows 0 ejections" in first.message
    assert "1 in subzone cn-north-4/cn-north-4b/beijing needs 25" in first.message
    assert "3 in region cn-north-4 need 75" in first.message
    assert "100 % of a client's requests go to lost endpoints until their readiness probes fail" in first.why
    assert "45 to 60 s" in first.why
    assert "about 1050 requests of a client with 20 a second" in first.why
    assert first.fix == "maxEjectionPercent: 75"
    assert first.clients == 6
    assert "ML210" in ids(reported), "maxRequestsPerConnection: 1 is a setting for demonstrations"


def test_the_completed_rule_is_clean() -> None:
    reported = findings(tutorial(TUTORIAL_RULE, istio("VirtualService", "helloworld", "sample", RETRIES), **COMPLETED))
    assert grave(reported) == []


def test_what_is_missing_of_the_completed_rule_is_found_alone() -> None:
    assert {grave_finding.id for grave_finding in grave(findings(tutorial(**COMPLETED)))} == {"ML220"}
    few = {"maxEjectionPercent": 50}
    routes = istio("VirtualService", "helloworld", "sample", RETRIES)
    (finding,) = grave(findings(tutorial(TUTORIAL_RULE, routes, **few)))
    assert finding.id == "ML203"
    assert "allows 2 ejections (3 in zone cn-north-4/cn-north-4b need 75" in finding.message


def test_one_finding_for_many_ports_and_clients() -> None:
    places = {"r1/z1/s1": 2, "r1/z2/s2": 2, "r2/z3/s3": 2}
    clients = {f"r1/z1/c{number}": "shop" for number in range(30)}
    objects = mesh(
        places, clients, failover("[{from: r1, to: r2}]", "outlierDetection: {}"), ports=(80, 81, 82, 83, 84)
    )
    (reported,) = [finding for finding in findings(objects) if finding.id == "ML202"]
    assert reported.clients == 30
    assert (
        "web.shop (ports 80, 81, 82, 83 and 1 more)" in reported.message
        or "ports 80, 81, 82, 83, 84" in reported.message
    )
    assert len(reported.named) == 5


def test_the_order_is_always_the_same() -> None:
    objects = [*tutorial(), *web(failover("[{from: r1, to: r9}]", ""))]
    shuffled = list(objects)
    random.Random(1).shuffle(shuffled)
    first, second = findings(objects), findings(shuffled)
    assert first == second
    order = [("error", "warning", "info").index(finding.severity) for finding in first]
    assert order == sorted(order)


def test_less_grave_ones_can_be_left_out() -> None:
    objects = tutorial()
    assert {finding.severity for finding in findings(objects)} == {"error", "warning", "info"}
    assert {finding.severity for finding in findings(objects, min_severity="warning")} == {"error", "warning"}
    assert {finding.severity for finding in findings(objects, min_severity="error")} == {"error"}
    with pytest.raises(InvalidInput, match="min_severity: 'fatal' is not one of error, warning, info"):
        findings(objects, min_severity="fatal")


def test_suppressed_by_annotation() -> None:
    objects = tutorial()
    objects[-1]["metadata"]["annotations"] = {IGNORE: "ML202: the pods are restarted anyway; ML220: no HTTP retries"}
    objects = [relevant_fields(item) for item in objects]
    by_id = {finding.id: finding for finding in findings(objects)}
    assert by_id["ML202"].suppressed == "the pods are restarted anyway"
    assert by_id["ML220"].suppressed == "no HTTP retries"
    assert by_id["ML210"].suppressed == ""
    assert not {"ML910", "ML911"} & set(by_id)


@pytest.mark.parametrize(
    ("pattern", "suppressed"),
    [
        ("DestinationRule sample/helloworld", True),
        ("DestinationRule sample/*", True),
        ("*", True),
        (None, True),
        ("DestinationRule other/*", False),
        ("Service *", False),
    ],
)
def test_suppressed_by_option(pattern: str | None, suppressed: bool) -> None:
    wish = {"id": "ML202", "reason": "known", **({"object": pattern} if pattern else {})}
    reported = findings(tutorial(), suppress=[wish])
    assert [finding.suppressed for finding in reported if finding.id == "ML202"] == ["known" if suppressed else ""]
    assert ("ML911" in ids(reported)) is not suppressed


def test_a_suppression_needs_a_reason_and_a_rule() -> None:
    wishes = [
        {"id": "ML202"},
        {"id": "ML202", "reason": " - "},
        {"id": "ML000", "reason": "x"},
        {"id": "ML910", "reason": "x"},
    ]
    reported = findings(tutorial(), suppress=wishes)
    assert [finding.suppressed for finding in reported if finding.id == "ML202"] == [""]
    by_field = {finding.field: finding.message for finding in reported if finding.id == "ML910"}
    assert by_field == {
        "suppress[0]": "The suppression does nothing: ML202 has no reason.",
        "suppress[1]": "The suppression does nothing: ML202 has no reason.",
        "suppress[2]": "The suppression does nothing: there is no rule ML000.",
        "suppress[3]": "The suppression does nothing: ML910 is about suppressions and cannot be suppressed.",
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ML202", "suppress: expected a list, got str"),
        (["ML202"], r"suppress\[0\]: expected {id, object, reason}, got str"),
        ([{"id": 7}], r"suppress\[0\].id: expected a string, got int"),
        ([{"rule": "ML202"}], r"suppress\[0\].rule: there is no such key"),
    ],
)
def test_bad_suppressions_are_named(given: t.Any, expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected):
        findings(tutorial(), suppress=given)


def test_the_version_that_is_asked_for_counts() -> None:
    objects = web(rule({"host": "web", "trafficPolicy": {"loadBalancer": {"zoneAwareLbSetting": {}}}}))
    assert "ML604" not in ids(findings(objects))
    assert "ML604" in ids(lint(snapshot(objects), version="1.30"))
    with pytest.raises(InvalidInput, match=r"2\.0"):
        lint(snapshot(objects), version="2.0")
    assert "ML602" not in ids(lint(snapshot(objects), version="1.30", next_version=""))


def test_sources_are_named() -> None:
    name = "DestinationRule sample/helloworld"
    reported = lint(snapshot(tutorial()), sources={name: "rules.yaml:7"})
    assert {finding.source for finding in reported if finding.object == name} == {"rules.yaml:7"}
    assert {finding.source for finding in reported if finding.object != name} == {""}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("host", "trafficPolicy", "loadBalancer", "localityLbSetting", "outlierDetection", "failover"),
                    *("distribute", "failoverPriority", "from", "to", "subsets", "name", "portLevelSettings", "port"),
                    *("number", "exportTo", "workloadSelector", "matchLabels", "enabled", "zoneAwareLbSetting", "http"),
                    *("retries", "attempts", "route", "egress", "hosts", "simple", "x"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANYTHING, ANYTHING, ANYTHING)
def test_garbage_in_specs_is_a_finding_and_no_traceback(value: t.Any, policy: t.Any, other: t.Any) -> None:
    objects = web(
        {**rule({}), "spec": value},
        rule({"host": "web", "trafficPolicy": policy}, "second"),
        rule(
            {
                "host": "web",
                "trafficPolicy": {"loadBalancer": {"localityLbSetting": other}, "outlierDetection": policy},
            },
            "third",
        ),
        {**istio("VirtualService", "web", "shop", {}), "spec": other},
        {**istio("Sidecar", "web", "shop", {}), "spec": value},
    )
    for finding in findings(objects, mesh_config={"localityLbSetting": policy, "defaultTrafficPolicy": other}):
        assert finding.message
        assert finding.object


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_broken_rules_are_findings(seed: int) -> None:
    """What istiod refuses is at least one error with a path, whatever else lint says of it."""
    item = generate(random.Random(seed))
    assert isinstance(findings([*web(), item]), list)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake[0]}-{mistake[1]}")
def test_every_kind_of_mistake(mistake: tuple[str, str, tuple[t.Any, ...]]) -> None:
    for value in mistake[2]:
        assert isinstance(findings([*web(), mistaken(mistake, value)]), list)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
@example(25952)  # A route that stands after one with a delegate of two routes.
def test_generated_meshes(seed: int) -> None:
    """The meshes that istiod judges in tests/differential: nothing raises, whatever the version."""
    generated = generate_mesh(random.Random(seed))
    for version in ("1.31", "1.29"):
        lint(build(generated["objects"], mesh=Mesh(version=version, config=generated["mesh"])))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
@example(515)  # A node with a zone and no region, and no node with a region.
def test_meshes_with_missing_fields(seed: int) -> None:
    chance = random.Random(seed)
    generated = generate_mesh(chance)
    objects = with_missing_fields(chance, generated["objects"])
    lint(build(objects, mesh=Mesh(version="1.31", config=generated["mesh"])))


def test_one_node_has_a_zone_and_none_has_a_region() -> None:
    """What a mesh is while somebody labels its nodes: the region is missing, not the zone of the others."""
    pods = [pod("istiod", "istio-system", "n1", "10.9.0.1", ""), pod("other", "istio-system", "n0", "10.9.0.2", "")]
    reported = [finding for finding in findings([node("n0", "/z1"), node("n1", ""), *pods]) if finding.id != "ML907"]
    assert [(finding.id, finding.object) for finding in reported] == [("ML504", "Node n0")]


@settings(max_examples=40, deadline=None)
@given(st.lists(ANYTHING, max_size=4), ANYTHING)
def test_garbage_as_objects(objects: list[t.Any], observed: t.Any) -> None:
    seen = [item for item in objects if isinstance(item, dict)]
    findings([*web(), *objects, observed], observed=seen)


def test_deep_nesting() -> None:
    value: t.Any = {}
    for _depth in range(400):
        value = {"trafficPolicy": value}
    assert "ML903" in ids(findings([*web(), rule({"host": "web", **value})]))
