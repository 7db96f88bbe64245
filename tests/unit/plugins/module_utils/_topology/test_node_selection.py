# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._topology.node_selection import (
    NodeRule,
    read_nodes,
    read_rules,
    select,
)

LIVE = {"bj-1": {"rack": "1"}, "bj-2": {"rack": "2"}, "gz-1": {"rack": "1"}}


def test_names_and_rules_together() -> None:
    rules = read_rules(
        [
            {"name_pattern": "bj-*", "match_labels": None, "region": "north", "zone": None, "subzone": None},
            {"name_pattern": None, "match_labels": {"rack": 1}, "subzone": "rack-1"},
            {"name_pattern": "sh-*", "region": "east"},
        ]
    )
    selection = select(LIVE, read_nodes({"gz-1": {"region": "south", "zone": 7}}), rules)
    assert selection.nodes == {
        "bj-1": {"region": "north", "subzone": "rack-1"},
        "bj-2": {"region": "north"},
        "gz-1": {"region": "south", "zone": "7", "subzone": "rack-1"},
    }
    assert selection.unmatched == ("rules[2]",)


def test_overlap_is_fine_as_long_as_all_agree() -> None:
    rules = [NodeRule("rules[0]", "bj-*", {}, {"zone": "a"}), NodeRule("rules[1]", "*-1", {}, {"zone": "a"})]
    assert select(LIVE, {"bj-1": {"zone": "a"}}, rules).nodes["bj-1"] == {"zone": "a"}
    rules.append(NodeRule("rules[2]", "bj-1", {}, {"zone": "b"}))
    with pytest.raises(InvalidInput, match=r"Node bj-1: rules\[0\] wants zone 'a', but rules\[2\] wants 'b'\."):
        select(LIVE, {}, rules)


def test_unknown_names() -> None:
    with pytest.raises(InvalidInput, match="There is no node bj-3 in the cluster; close to it: bj-") as caught:
        select(LIVE, {"bj-3": {"zone": "a"}, "bj-1": {"zone": "a"}}, [])
    assert caught.value.details == {"unknown_nodes": ["bj-3"]}
    with pytest.raises(InvalidInput, match="there are: bj-1, bj-2, gz-1"):
        select(LIVE, {"completely-different": {"zone": "a"}}, [])
    with pytest.raises(InvalidInput, match="there are: none"):
        select({}, {"a": {"zone": "a"}}, [])


@pytest.mark.parametrize("given", [None, {}, "r/z/s", ["r"], {"region": None}, {"rack": "1"}])
def test_places_that_say_nothing(given: object) -> None:
    with pytest.raises(InvalidInput, match=r"^nodes\[n\]"):
        read_nodes({"n": given})


def test_without_values_no_field_means_all() -> None:
    assert set(read_nodes({"n": None}, values=False)["n"]) == {"region", "zone", "subzone"}
    assert set(read_nodes({"n": {"zone": None}}, values=False)["n"]) == {"zone"}
    # Different values do not matter when labels are only removed or restored.
    rules = read_rules([{"name_pattern": "*", "zone": "a"}, {"name_pattern": "bj-*", "zone": "b"}], values=False)
    assert set(select(LIVE, {}, rules).nodes) == set(LIVE)


def test_rule_needs_a_description() -> None:
    with pytest.raises(InvalidInput, match=r"rules\[1\] has neither name_pattern nor match_labels"):
        read_rules([{"name_pattern": "*", "zone": "a"}, {"zone": "b"}])


@pytest.mark.parametrize("values", [True, False])
@pytest.mark.parametrize("name", ["", " ", "Bj-1", "bj_1", "a/b", ".."])
def test_what_cannot_be_a_name_is_no_node_that_is_gone(name: str, values: bool) -> None:
    with pytest.raises(InvalidInput, match=rf"^The name of nodes\[{name}\] is "):
        read_nodes({"bj-1": {"zone": "a"}, name: {"zone": "a"}}, values=values)


@pytest.mark.parametrize("blank", ["", " "])
@pytest.mark.parametrize("match_labels", [None, {"rack": "1"}])
def test_a_blank_pattern_does_not_mean_every_name(blank: str, match_labels: dict[str, str] | None) -> None:
    with pytest.raises(InvalidInput, match=r"^rules\[0\]\.name_pattern is blank\. Leave it out"):
        read_rules([{"name_pattern": blank, "match_labels": match_labels, "zone": "a"}])
