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


def test_what_a_cloud_provider_labelled_is_kept() -> None:
    nodes = [placed("n1", "eu-west", "a"), placed("n2", "eu-west", "b"), placed("n3", "eu-north", "a"), node("n4")]
    chosen = tutorial_locations(nodes)
    assert chosen["nodes"]["n2"] == {"region": "eu-west", "zone": "b", "subzone": "n2"}
    assert chosen["local"] == "n1"
    assert chosen["neighbours"] == ["n2"]
    assert chosen["remote"] == ["n3"]
    assert chosen["locality"]["n3"] == "eu-north/a/n3"
    assert chosen["labels"]["n1"] == nodes[0]["metadata"]["labels"]
    assert "n4" not in chosen["labels"]


def test_one_region_is_enough_but_has_no_beyond() -> None:
    chosen = tutorial_locations([placed("n1", "eu", "a"), placed("n2", "eu", "b")])
    assert chosen["beyond"] == ""
    assert chosen["remote"] == []


@pytest.mark.parametrize(("names", "neighbours"), [("ab", ["beijing"]), ("abc", ["beijing", "shenyang"])])
def test_two_or_three_nodes_play_without_a_region_beyond(names: str, neighbours: list[str]) -> None:
    chosen = tutorial_locations([node(name) for name in names])
    assert (chosen["local"], chosen["neighbours"], chosen["beyond"]) == ("tianjin", neighbours, "")


def test_a_map_decides() -> None:
    wanted = {name: {"region": "r", "zone": "z", "subzone": name} for name in ("x", "y")}
    assert tutorial_locations([], wanted)["nodes"] == wanted


@pytest.mark.parametrize(
    ("nodes", "wanted", "text"),
    [
        ([node("a")], None, "needs 2 nodes that take pods, this cluster has 1: a"),
        ([node("a", unschedulable=True), node("b", ready=False)], None, "has 0: none"),
        ([placed("a", "r1", "z"), placed("b", "r2", "z")], None, "a region with at least two places"),
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
