# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Topology files: what is accepted, and what is said about those that are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshops_sandbox import topology
from meshops_sandbox.errors import TopologyError

PLANE = {"name": "plane", "role": "control-plane"}


def test_the_default_is_the_tutorials_world() -> None:
    world = topology.load(topology.DEFAULT_TOPOLOGY)
    assert world.control_plane.name == "control-plane"
    assert [taint.key for taint in world.control_plane.taints] == ["node-role.kubernetes.io/control-plane"]
    north = {"region": "cn-north-4", "zone": "cn-north-4b"}
    assert world.localities() == {
        "beijing": {**north, "subzone": "beijing"},
        "tianjin": {**north, "subzone": "tianjin"},
        "shenyang": {**north, "subzone": "shenyang"},
        "guangzhou": {"region": "cn-south-1", "zone": "cn-south-1a", "subzone": "guangzhou"},
    }


@pytest.mark.parametrize(
    ("nodes", "sentence"),
    [
        ([], "exactly one node must have the role control-plane, found none"),
        ([{"name": "a"}], "exactly one node must have the role control-plane, found none"),
        ([PLANE, {"name": "b", "role": "control-plane"}], "found plane, b"),
        ([PLANE, {"name": "a"}, {"name": "a"}], "node 'a' is listed twice"),
        ([PLANE, {"name": "a.b"}], "nodes[1] (a.b).name: 'a.b' is not a legal node name"),
        ([PLANE, {"name": "a", "zone": "z"}], "nodes[1] (a): a zone needs a region"),
        ([PLANE, {"name": "a", "region": "r", "subzone": "s"}], "a subzone needs a zone"),
        ([PLANE, {"name": "a", "region": "not legal"}], "nodes[1] (a).region: 'not legal' is not a legal label value"),
        ([PLANE, {"name": "a", "regoin": "r"}], "nodes[1] (a).regoin: this key is not known"),
        ([PLANE, {"name": "a", "role": "boss"}], "nodes[1] (a).role: Input should be 'control-plane' or 'worker'"),
        ([PLANE, {"name": "a", "taints": [{"key": "k", "effect": "Never"}]}], "nodes[1] (a).taints[0].effect"),
        ([PLANE, {"name": "a", "taints": [{"key": "k k", "effect": "NoSchedule"}]}], "'k k' is not a legal taint key"),
        ([PLANE, *({"name": f"n{number}"} for number in range(60))], "at most 60 items"),
    ],
)
def test_a_wrong_file_is_explained(nodes: list[dict[str, object]], sentence: str) -> None:
    with pytest.raises(TopologyError) as caught:
        topology.parse({"nodes": nodes}, "mine.yml")
    assert "mine.yml" in caught.value.sentence
    assert sentence in caught.value.sentence


def test_all_findings_are_told_at_once() -> None:
    with pytest.raises(TopologyError) as caught:
        topology.parse({"nodes": [{"name": "A"}, {"name": "b", "x": 1}]}, "mine.yml")
    assert "nodes[0] (A).name" in caught.value.sentence
    assert caught.value.details == ("nodes[1] (b).x: this key is not known",)


@pytest.mark.parametrize(
    ("text", "sentence"), [("nodes: [", "is not YAML (line 1)"), ("- a", "Input should be a valid")]
)
def test_files_that_are_something_else(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "topology.yml"
    file.write_text(text)
    with pytest.raises(TopologyError) as caught:
        topology.load(file)
    assert sentence in caught.value.sentence


def test_a_missing_file_names_itself(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match="cannot be read: No such file"):
        topology.load(tmp_path / "none.yml")
