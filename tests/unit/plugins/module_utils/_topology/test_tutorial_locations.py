# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.filter.tutorial_locations import tutorial_locations
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._topology import tutorial_locations as locations


def node(name: str, *, labels: dict[str, str] | None = None, ready: bool = True, **spec: t.Any) -> dict[str, t.Any]:
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def placed(name: str, region: str, zone: str) -> dict[str, t.Any]:
    return node(name, labels={"topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone})


CONTROL_PLANE = node("cp", taints=[{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}])


def test_unplaced_workers_get_the_tutorials_names() -> None:
    chosen = tutorial_locations([CONTROL_PLANE, *(node(name) for name in "dcba")])
    assert chosen["nodes"]["b"] == {"region": "cn-north-4", "zone": "cn-north-4b", "subzone": "tianjin"}
    assert (chosen["region"], chosen["beyond"], chosen["local"]) == ("cn-north-4", "cn-south-1", "tianjin")
    assert chosen["neighbours"] == ["beijing", "shenyang"]
    assert chosen["remote"] == ["guangzhou"]
    assert "cp" not in chosen["nodes"]


def test_what_a_cloud_provider_labelled_is_taken_as_it_is() -> None:
    nodes = [placed("n1", "eu-west", "a"), placed("n2", "eu-west", "b"), placed("n3", "eu-north", "a"), node("n4")]
    nodes[0]["metadata"]["labels"]["kubernetes.io/hostname"] = "host-1"
    chosen = tutorial_locations(nodes)
    assert (chosen["nodes"], chosen["labels"]) == ({}, {})
    assert chosen["location_label"] == "kubernetes.io/hostname"
    assert (chosen["local"], chosen["neighbours"], chosen["remote"]) == ("host-1", ["n2"], ["n3"])
    assert chosen["locality"] == {"host-1": "eu-west/a", "n2": "eu-west/b", "n3": "eu-north/a"}
    assert chosen["scope"] == "zone eu-west/a"
    assert any(sentence.startswith("Node n4: no region or no zone") for sentence in chosen["left_out"])


def test_nodes_of_one_zone_are_one_place_unless_subzones_are_asked_for() -> None:
    nodes = [placed(name, "eu", "a") for name in ("n1", "n2")]
    chosen = tutorial_locations(nodes)
    assert not chosen["plays"]
    assert chosen["nodes"] == {}
    assert chosen["loss"] == "node n1 + node n2"
    assert any("Node n2: in a locality that another node stands for" in sentence for sentence in chosen["left_out"])
    asked = tutorial_locations(nodes, None, True)
    assert asked["plays"]
    assert asked["nodes"] == {name: {"region": "eu", "zone": "a", "subzone": name} for name in ("n1", "n2")}
    assert asked["labels"] == {labelled["metadata"]["name"]: labelled["metadata"]["labels"] for labelled in nodes}
    assert (asked["location_label"], asked["scope"]) == ("topology.istio.io/subzone", "subzone eu/a/n1")


def test_a_subzone_that_is_there_is_not_written_again() -> None:
    nodes = [placed(name, "eu", "a") for name in ("n1", "n2")]
    nodes[0]["metadata"]["labels"]["topology.istio.io/subzone"] = "rack"
    chosen = tutorial_locations(nodes, None, True)
    assert list(chosen["nodes"]) == ["n2"]
    assert chosen["locality"] == {"rack": "eu/a/rack", "n2": "eu/a/n2"}


def test_a_zone_around_a_subzone_is_no_place_of_its_own() -> None:
    """Its scope would hold the subzone, too."""
    nodes = [placed(name, "eu", "a") for name in ("n1", "n2")]
    nodes[1]["metadata"]["labels"]["topology.istio.io/subzone"] = "rack"
    assert tutorial_locations(nodes)["locality"] == {"n2": "eu/a/rack"}


def test_two_regions_of_one_place_fail_over_to_each_other_and_leave_section_4_out() -> None:
    chosen = tutorial_locations([placed("n1", "r1", "z"), placed("n2", "r2", "z")])
    assert chosen["plays"]
    assert (chosen["neighbours"], chosen["fallback"]) == ([], ["n2"])
    assert any("section 3.5 is this loss already" in sentence for sentence in chosen["left_out"])


def test_a_large_cluster_plays_with_three_places_and_one_beyond_zones_in_turn() -> None:
    nodes = [placed(f"n{zone}", "eu", zone) for zone in "abcd"] + [placed(f"u{zone}", "us", zone) for zone in "ab"]
    chosen = tutorial_locations(nodes)
    assert list(chosen["locality"]) == ["na", "nb", "nc", "ua"]
    assert "Nodes nd, ub: three places and one beyond are enough." in chosen["left_out"]
    same = [placed(name, "eu", name[0]) for name in ("a1", "a2", "a3", "b1")]
    assert list(tutorial_locations(same, None, True)["locality"]) == ["a1", "b1", "a2"]


def test_one_region_is_enough_but_has_no_beyond() -> None:
    chosen = tutorial_locations([placed("n1", "eu", "a"), placed("n2", "eu", "b")])
    assert chosen["beyond"] == ""
    assert chosen["remote"] == []
    assert any("all places lie in eu" in sentence for sentence in chosen["left_out"])


@pytest.mark.parametrize(("names", "beyond"), [("ab", ""), ("abc", "cn-south-1")])
def test_two_or_three_nodes_play_as_many_places(names: str, beyond: str) -> None:
    chosen = tutorial_locations([node(name) for name in names])
    assert (chosen["local"], chosen["neighbours"], chosen["beyond"]) == ("tianjin", ["beijing"], beyond)
    assert sorted(chosen["nodes"]) == list(names)


@pytest.mark.parametrize("labels", [{"topology.kubernetes.io/region": "eu"}, {"topology.istio.io/subzone": "rack"}])
def test_nobodys_labels_are_overwritten_by_the_tutorials_names(labels: dict[str, str]) -> None:
    chosen = tutorial_locations([node("a", labels=labels), node("b"), node("c")])
    assert (chosen["plays"], chosen["nodes"]) == (False, {})
    assert any("set node_topology_nodes" in sentence for sentence in chosen["left_out"])


@pytest.mark.parametrize("entry", [node("a"), placed("a", "eu", "z")])
def test_one_node_plays_nothing_and_says_why(entry: dict[str, t.Any]) -> None:
    chosen = tutorial_locations([CONTROL_PLANE, entry])
    assert (chosen["plays"], chosen["nodes"], chosen["loss"]) == (False, {}, "node a")
    assert "there is nowhere to fail over to" in chosen["left_out"][0]
    assert chosen["left_out"][-1] == "Node cp: it takes no pods: cordoned, tainted or not Ready."


def test_labels_that_are_put_back_first_are_judged_as_they_will_be() -> None:
    left = [placed("a", "cn-north-4", "cn-north-4b"), placed("b", "cn-north-4", "cn-north-4b")]
    chosen = tutorial_locations(left, None, False, {"a": {}, "b": {}})
    assert sorted(chosen["nodes"]) == ["a", "b"]
    assert chosen["labels"] == {"a": {}, "b": {}}


def test_a_map_decides() -> None:
    wanted = {name: {"region": "r", "zone": "z", "subzone": name} for name in ("x", "y")}
    assert tutorial_locations([], wanted)["nodes"] == wanted


@pytest.mark.parametrize(
    ("nodes", "wanted", "text"),
    [
        ([node("a", unschedulable=True), node("b", ready=False)], None, "this cluster has none: a, b"),
        ([], {"a": {"region": "r", "zone": "z", "subzone": "s"}}, "at least two places, node_topology_nodes has 1"),
        ([], {"a": {"region": "r", "zone": "z"}}, "node a needs region, zone and subzone"),
        (
            [],
            {"a": {"region": "r", "zone": "z", "subzone": "s"}, "b": {"region": "r", "zone": "y", "subzone": "s"}},
            "Subzone s lies in r/z/s and, on node b, in r/y/s",
        ),
    ],
)
def test_too_few_or_ambiguous_places_are_refused(nodes: t.Any, wanted: t.Any, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        locations.tutorial_locations(nodes, wanted)
