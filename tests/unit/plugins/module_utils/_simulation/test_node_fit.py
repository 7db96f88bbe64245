# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._model.label_selector import (
    requirement_met,
    selector_matches,
)
from ansible_collections.meshops.locality.plugins.module_utils._simulation.node_fit import (
    fitting_nodes,
    placement_obstacle,
)

Json = dict[str, t.Any]
SUBZONE = "topology.istio.io/subzone"


def node(name: str, labels: Json | None = None, *taints: Json) -> Json:
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": {"taints": list(taints)}}


def affinity(*terms: Json) -> Json:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"affinity": {"nodeAffinity": required}}


def wants(key: str, *values: str, operator: str = "In") -> Json:
    return {"key": key, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("requirement", "met"),
    [
        (wants("a", "1", "2"), True),
        (wants("a", "3"), False),
        (wants("b", "1"), False),
        (wants("a", "1", operator="NotIn"), False),
        (wants("b", "1", operator="NotIn"), True),
        (wants("a", operator="Exists"), True),
        (wants("b", operator="Exists"), False),
        (wants("a", operator="DoesNotExist"), False),
        (wants("b", operator="DoesNotExist"), True),
        (wants("n", "9", operator="Gt"), True),
        (wants("n", "10", operator="Gt"), False),
        (wants("n", "11", operator="Lt"), True),
        (wants("a", "0", operator="Lt"), False),
        (wants("word", "0", operator="Gt"), False),
        (wants("a", "1", operator="Invented"), False),
    ],
)
def test_requirements(requirement: Json, met: bool) -> None:
    assert requirement_met(requirement, {"a": "1", "n": "10", "word": "x"}) is met


def test_label_selector() -> None:
    selector = {"matchLabels": {"a": "1"}, "matchExpressions": [wants("b", operator="DoesNotExist")]}
    assert selector_matches(selector, {"a": "1"})
    assert not selector_matches(selector, {"a": "1", "b": "2"})
    assert not selector_matches(selector, {})
    assert selector_matches({}, {"any": "thing"})
    assert selector_matches(None, {})


def test_missing_label_names_what_the_nodes_have() -> None:
    nodes = [node("n1", {SUBZONE: "beijing"}), node("n2"), node("n3")]
    spec = affinity({"matchExpressions": [wants(SUBZONE, "wuhan")]})
    assert placement_obstacle(spec, nodes) == (
        f"No node has the label {SUBZONE}=wuhan. {SUBZONE} is 'beijing' on n1, absent on n2, n3."
    )
    assert placement_obstacle(affinity({"matchExpressions": [wants(SUBZONE, "beijing")]}), nodes) == ""


def test_terms_are_alternatives_and_expressions_are_not() -> None:
    nodes = [node("n1", {"a": "1"}), node("n2", {"b": "2"})]
    both = affinity({"matchExpressions": [wants("a", "1"), wants("b", "2")]})
    assert placement_obstacle(both, nodes).startswith("No node has the label a=1 or the label b=2.")
    assert fitting_nodes(
        affinity({"matchExpressions": [wants("a", "1")]}, {"matchExpressions": [wants("b", "2")]}), nodes
    ) == [
        "n1",
        "n2",
    ]
    # Each node lacks something of its own when the nodeSelector counts as well.
    assert fitting_nodes({**affinity({"matchExpressions": [wants("a", "1")]}), "nodeSelector": {"b": "2"}}, nodes) == []
    assert fitting_nodes(affinity({}), nodes) == [], "an empty term matches nothing"
    field = {"key": "metadata.name", "operator": "In", "values": ["n2"]}
    assert fitting_nodes(affinity({"matchFields": [field]}), nodes) == ["n2"]


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({}, False),
        ({"operator": "Exists"}, True),
        ({"effect": "NoSchedule"}, False),
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "operator": "Equal", "value": "w"}, False),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_taints(toleration: Json, tolerated: bool) -> None:
    nodes = [node("n1", {}, {"key": "k", "value": "v", "effect": "NoSchedule"})]
    said = placement_obstacle({"tolerations": [toleration] if toleration else []}, nodes)
    assert said == ("" if tolerated else said)
    assert (not said) is tolerated
    if not tolerated:
        assert "has a taint that the pod does not tolerate (n1: k=v:NoSchedule)" in said


def test_only_binding_taints_count_and_one_open_node_is_enough() -> None:
    soft = node("soft", {}, {"key": "k", "effect": "PreferNoSchedule"})
    hard = node("hard", {}, {"key": "k", "effect": "NoExecute"})
    assert fitting_nodes({}, [soft, hard]) == ["soft"]
    assert placement_obstacle({}, [soft, hard]) == ""


def test_many_nodes_are_counted() -> None:
    said = placement_obstacle({"nodeSelector": {"a": "1"}}, [node(f"n{number:02}") for number in range(20)])
    assert said.endswith("a is absent on n00, n01, n02, n03, n04, n05, n06, n07 and 12 more.")


def test_empty_cluster() -> None:
    assert placement_obstacle({"nodeSelector": {"a": "1"}}, []).startswith("No node has ")
