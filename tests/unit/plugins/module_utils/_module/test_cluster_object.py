# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks read and write themselves: whose ConfigMap it is, and which options fit which kind."""

from __future__ import annotations

import types
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import Conflict, InvalidInput, NotFound
from ansible_collections.meshops.locality.plugins.module_utils._module.cluster_object import cluster_object

Json = dict[str, t.Any]
OURS = {"app.kubernetes.io/managed-by": "meshops.locality"}
DEFAULTS: Json = {"name": "x", "namespace": None, "state": "present", "labels": None, "data": None}


class Objects:
    """One object of each name; `written` is what was sent."""

    def __init__(self, **objects: Json) -> None:
        self.objects = objects
        self.written: list[Json] = []

    def get(self, _kind: t.Any, name: str, _namespace: str | None = None) -> Json | None:
        return self.objects.get(name)

    def list(self, _kind: t.Any) -> list[Json]:
        return [*self.objects.values()]

    def create(self, _kind: t.Any, body: Json, *, dry_run: bool) -> Json:
        self.written += [] if dry_run else [body]
        return body

    def merge_patch(self, _kind: t.Any, _name: str, body: Json, *_namespace: str, dry_run: bool) -> Json:
        return self.create(None, body, dry_run=dry_run)


def run(objects: Objects, *, check_mode: bool = False, **params: t.Any) -> Json:
    module: t.Any = types.SimpleNamespace(check_mode=check_mode)
    return cluster_object(t.cast(t.Any, objects), {**DEFAULTS, **params}, module)


def test_reading() -> None:
    node = {"metadata": {"name": "x"}}
    objects = Objects(x=node)
    assert run(objects, kind="Node", state="read", name=None) == {"changed": False, "resources": [node]}
    assert run(objects, kind="Node", state="read")["resources"] == [node]
    assert run(objects, kind="Namespace", state="read", name="y")["resources"] == []
    assert objects.written == []


def test_labels_of_a_namespace() -> None:
    live = {"metadata": {"name": "x", "uid": "u", "labels": {"a": "1", "b": "2"}}}
    objects = Objects(x=live)
    assert not run(objects, kind="Namespace", labels={"a": "1", "c": None})["changed"]
    assert run(objects, kind="Namespace", labels={"b": None}, check_mode=True)["changed"]
    assert objects.written == []
    assert run(objects, kind="Namespace", labels={"b": None})["changed"]
    assert objects.written == [{"metadata": {"uid": "u", "labels": {"b": None}}}]
    assert run(Objects(x={"metadata": {"uid": "u"}}), kind="Namespace", labels={"a": "1"})["changed"]
    with pytest.raises(NotFound, match="Namespace y does not exist"):
        run(objects, kind="Namespace", name="y", labels={"a": "1"})


def test_a_config_map_of_somebody_else_is_left_alone() -> None:
    where = {"kind": "ConfigMap", "namespace": "shop", "data": {"a": "1"}}
    objects = Objects()
    assert run(objects, **where) == {"changed": True, "resources": [{"metadata": objects.written[0]["metadata"]}]}
    assert objects.written[0]["metadata"]["labels"] == OURS
    written: Json = {"f:metadata": {"f:labels": {f"f:{name}": {} for name in OURS}}}
    by_us = {"uid": "u", "labels": OURS, "managedFields": [{"manager": "meshops.locality", "fieldsV1": written}]}
    ours = Objects(x={"metadata": by_us, "data": {"a": "0", "b": "2"}})
    assert run(ours, **where)["changed"]
    assert ours.written == [{"metadata": {"uid": "u"}, "data": {"a": "1"}}]
    ours.objects["x"]["data"]["a"] = "1"
    assert not run(ours, **where)["changed"]
    by_others = {**by_us, "managedFields": [{"manager": "helm", "fieldsV1": written}]}
    for metadata in ({"uid": "u"}, by_others):
        theirs = Objects(x={"metadata": metadata, "data": {"a": "1"}})
        with pytest.raises(Conflict, match="ConfigMap shop/x is somebody else's"):
            run(theirs, **where)
        assert theirs.written == []


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "Node"},
        {"kind": "Node", "labels": {}},
        {"kind": "Namespace"},
        {"kind": "Namespace", "labels": {}, "data": {}},
        {"kind": "Namespace", "labels": {}, "state": "read"},
        {"kind": "Namespace", "labels": {}, "namespace": "shop"},
        {"kind": "ConfigMap", "data": {}},
        {"kind": "ConfigMap", "namespace": "shop", "labels": {}},
    ],
)
def test_options_that_do_not_fit_the_kind(given: Json) -> None:
    objects = Objects(x={"metadata": {"uid": "u"}})
    with pytest.raises(InvalidInput):
        run(objects, **given)
    assert objects.written == []
