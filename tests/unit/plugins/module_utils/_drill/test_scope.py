# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._drill.scope import Candidate, steps
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput


def pod(name: str, place: str, ready: bool = True, workload: str = "") -> Candidate:
    labels = {"app": "cart", "version": name.rpartition("-")[0]}
    return Candidate("shop", name, f"uid-{name}", "10.0.0.1", f"node-{name}", place, workload, ready, labels)


PODS = (
    pod("a-0", "r1/z1/s1", workload="Deployment/a"),
    pod("a-1", "r1/z1/s1", ready=False, workload="Deployment/a"),
    pod("b-0", "r1/z1/s2", workload="Deployment/b"),
    pod("c-0", "r1/z2/s1", workload="Deployment/c"),
    pod("d-0", "r2/z1/s1", workload="Deployment/d"),
)


@pytest.mark.parametrize(
    ("scope", "names", "asked"),
    [
        ({"subzone": "r1/z1/s1"}, ["a-0"], "subzone r1/z1/s1"),
        ({"subzone": "s2"}, ["b-0"], "subzone r1/z1/s2"),
        ({"zone": "z2"}, ["c-0"], "zone r1/z2"),
        ({"zone": "r1/z1"}, ["a-0", "b-0"], "zone r1/z1"),
        ("zone r1/z1", ["a-0", "b-0"], "zone r1/z1"),
        ({"region": "r1"}, ["a-0", "b-0", "c-0"], "region r1"),
        ({"pod": "d-0"}, ["d-0"], "pod d-0"),
        ({"node": "node-c-0"}, ["c-0"], "node node-c-0"),
        ({"workload": "Deployment/b"}, ["b-0"], "workload Deployment/b"),
        ({"label_selector": "app=cart,version=b"}, ["b-0"], "label_selector app=cart,version=b"),
    ],
)
def test_one_scope(scope: t.Any, names: list[str], asked: str) -> None:
    (step,) = steps([scope], PODS, False)
    assert ([target.name for target in step.pods], step.asked) == (names, asked)


def test_several_at_once_and_one_after_the_other() -> None:
    asked: list[t.Any] = [{"subzone": "s2"}, {"zone": "r1/z1"}]
    (together,) = steps(asked, PODS, False)
    assert [target.name for target in together.pods] == ["b-0", "a-0"]
    assert together.asked == "subzone r1/z1/s2 + zone r1/z1"
    assert [[target.name for target in step.pods] for step in steps(asked, PODS, True)] == [["b-0"], ["a-0"]]


@pytest.mark.parametrize(
    ("asked", "cascade", "says"),
    [
        ([], False, "scope is empty"),
        ([["zone", "r1"]], False, "Write a level and a place"),
        (["r1/z1"], False, "exactly one of"),
        ([{}], False, r"scope\[0\] has the keys \(none\)"),
        ([{"zone": "z1", "pod": "a-0"}], False, "exactly one of"),
        ([{"subzone": "s1"}], False, "is one of r1/z1/s1, r1/z2/s1, r2/z1/s1"),
        ([{"zone": "z1"}], False, "is one of r1/z1, r2/z1"),
        ([{"pod": "a-1"}], False, "none of the 1 endpoints in pod a-1 is ready"),
        ([{"subzone": "r1/z1/s3"}], False, "It has: .*r1/z1/s2"),
        ([{"zone": "r1/z1"}, {"pod": "a-0"}], True, "takes nothing away"),
        ([{"label_selector": "app in (cart)"}], False, "not of the form key=value"),
    ],
)
def test_a_scope_that_is_none(asked: t.Any, cascade: bool, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        steps(asked, PODS, cascade)


@pytest.mark.parametrize(
    "blank",
    ["", " ", "subzone", "subzone ", "zone  ", {"zone": ""}, {"zone": " "}, {}, "label_selector", "label_selector ,"],
)
def test_a_scope_that_a_form_left_blank_takes_nothing_away(blank: t.Any) -> None:
    with pytest.raises(InvalidInput):
        steps([blank], PODS, False)
