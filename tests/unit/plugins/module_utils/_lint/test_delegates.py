# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way in which a delegate's routes do not get into its root."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import INFO, Finding
from ansible_collections.meshops.locality.plugins.module_utils._lint.lint import lint
from ansible_collections.meshops.locality.plugins.module_utils._model.assumptions import assumption
from tests.unit.plugins.module_utils._lint.cases import HOST, delegate, delegated, web
from tests.unit.plugins.module_utils._lint.meshes import Json, findings, snapshot

ROUTE: Json = {"route": [{"destination": {"host": HOST}}]}


def not_delegated(objects: list[Json], **more: t.Any) -> list[Finding]:
    return [finding for finding in findings(web(*objects), **more) if finding.id == "ML236"]


@pytest.mark.parametrize(
    ("objects", "field", "words", "fix"),
    [
        (delegated(), "delegate.name", "There is no VirtualService pay/pay.", "Correct the name"),
        (delegated(delegate(), name="pays"), "delegate.name", "There is no VirtualService pay/pays.", "name: pay"),
        # Without a namespace it is the root's.
        (delegated(delegate(), namespace=""), "delegate.name", "There is no VirtualService shop/pay.", "Correct"),
        (
            delegated(delegate(hosts=["pay.example.com"])),
            "delegate.name",
            "has hosts of its own, pay.example.com: it is no delegate.",
            "without hosts",
        ),
        (
            delegated(delegate(exportTo=["other"])),
            "delegate",
            "its exportTo leaves it out.",
            "exportTo: [other, shop] in VirtualService pay/pay",
        ),
        (
            delegated(delegate(http=[{**ROUTE, "match": [{"uri": {"prefix": "/other"}}]}])),
            "delegate",
            "they contradict each other.",
            "narrower than the root's",
        ),
    ],
)
def test_a_delegate_that_does_not_get_there(objects: list[Json], field: str, words: str, fix: str) -> None:
    (finding,) = not_delegated(objects)
    assert (finding.object, finding.field) == ("VirtualService shop/root", f"spec.http[0].{field}")
    assert words in finding.message
    assert fix in finding.fix


def test_one_that_the_mesh_config_hides() -> None:
    hidden = {"defaultVirtualServiceExportTo": ["."]}
    (finding,) = not_delegated(delegated(delegate()), mesh_config=hidden)
    assert "defaultVirtualServiceExportTo of the mesh config leaves it out" in finding.message
    assert [change.value for change in finding.patch] == [[".", "shop"]]
    assert not_delegated(delegated(delegate(exportTo=["*"])), mesh_config=hidden) == []


@pytest.mark.parametrize("narrower", [{}, {"match": [{"uri": {"prefix": "/pay/now"}}]}])
def test_one_that_gets_there(narrower: Json) -> None:
    assert not_delegated(delegated(delegate(http=[{**ROUTE, **narrower}]))) == []


def test_where_only_some_namespaces_were_read_it_may_be_elsewhere() -> None:
    mesh = snapshot(web(*delegated()))
    some = (assumption("some-namespaces-read", namespaces="shop"),)
    (finding,) = [entry for entry in lint(dataclasses.replace(mesh, assumptions=some)) if entry.id == "ML236"]
    assert finding.severity == INFO
    assert "it may be in another one" in finding.why
