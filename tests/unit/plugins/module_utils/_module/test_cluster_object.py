# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks read and write themselves: whose ConfigMap it is, and which options fit which kind."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import Conflict, InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import CONFIG_MAP, NAMESPACE, NODE, Kind
from ansible_collections.meshops.locality.plugins.module_utils._module.cluster_object import cluster_object
from tests.unit.plugins.module_utils.cluster_in_memory import ClusterInMemory, module, owned

Json = dict[str, t.Any]
OURS = {"app.kubernetes.io/managed-by": "meshops.locality"}
DEFAULTS: Json = {"name": "x", "namespace": None, "state": "present", "data": None}
PUBLISH: Json = {"kind": "ConfigMap", "namespace": "shop", "data": {"a": "1"}}


def run(cluster: ClusterInMemory, *, check_mode: bool = False, **params: t.Any) -> Json:
    return cluster_object(t.cast(t.Any, cluster), {**DEFAULTS, **params}, module(check_mode=check_mode))


def config_map(writer: str = "meshops.locality", labels: Json = OURS, **data: str) -> tuple[Kind, Json]:
    metadata = {"name": "x", "namespace": "shop", "uid": "u", "labels": labels}
    return CONFIG_MAP, owned({"metadata": metadata, "data": data}, writer)


def somebody_writes(cluster: ClusterInMemory, item: tuple[Kind, Json]) -> t.Callable[[], None]:
    def write() -> None:
        cluster.put(*item)

    return write


def test_reading() -> None:
    cluster = ClusterInMemory((NODE, {"metadata": {"name": "x"}}))
    (node,) = cluster.list(NODE)
    assert run(cluster, kind="Node", state="read", name=None) == {"changed": False, "resources": [node]}
    assert run(cluster, kind="Node", state="read")["resources"] == [node]
    assert run(cluster, kind="Namespace", state="read", name="y")["resources"] == []
    assert cluster.writes == []


def test_a_config_map_of_somebody_else_is_left_alone() -> None:
    cluster = ClusterInMemory()
    assert run(cluster, **PUBLISH, check_mode=True)["changed"]
    (written,) = run(cluster, **PUBLISH)["resources"]
    assert (written["metadata"]["labels"], written.get("data")) == (OURS, None)
    ours = ClusterInMemory(config_map(a="0", b="2"))
    version = ours.list(CONFIG_MAP)[0]["metadata"]["resourceVersion"]
    assert run(ours, **PUBLISH)["changed"]
    ((_method, _kind, body),) = ours.writes
    assert (body["metadata"]["uid"], body["metadata"]["resourceVersion"]) == ("u", version)
    assert ours.list(CONFIG_MAP)[0]["data"] == {"a": "1", "b": "2"}
    assert not run(ours, **PUBLISH)["changed"]
    for theirs in (config_map(labels={}, a="1"), config_map("helm", a="1")):
        cluster = ClusterInMemory(theirs)
        with pytest.raises(Conflict, match="ConfigMap shop/x is somebody else's"):
            run(cluster, **PUBLISH)
        assert cluster.writes == []


def test_what_is_written_in_between_is_judged_again() -> None:
    """A second report goes next to the first one; what is not ours any more stays; it ends."""
    for before in ([], [config_map(b="2")]):
        cluster = ClusterInMemory(*before)
        cluster.meanwhile = [somebody_writes(cluster, config_map(c="3"))]
        assert run(cluster, **PUBLISH)["changed"]
        assert cluster.list(CONFIG_MAP)[0]["data"] == {"a": "1", "c": "3"}
        cluster.meanwhile = [somebody_writes(cluster, config_map("helm", c="4"))]
        with pytest.raises(Conflict, match="somebody else's"):
            run(cluster, **{**PUBLISH, "data": {"a": "2"}})
        assert cluster.list(CONFIG_MAP)[0]["data"] == {"c": "4"}
    cluster = ClusterInMemory(config_map())
    cluster.meanwhile = [somebody_writes(cluster, config_map())] * 9
    with pytest.raises(Conflict, match="has another resourceVersion"):
        run(cluster, **PUBLISH)


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "Node"},
        {"kind": "Node", "data": {}},
        {"kind": "Namespace", "data": {}},
        {"kind": "Namespace", "state": "read", "data": {}},
        {"kind": "Namespace", "state": "read", "namespace": "shop"},
        {"kind": "ConfigMap", "data": {}},
        {"kind": "ConfigMap", "namespace": "shop"},
    ],
)
def test_options_that_do_not_fit_the_kind(given: Json) -> None:
    cluster = ClusterInMemory(config_map(), (NAMESPACE, {"metadata": {"name": "x"}}))
    with pytest.raises(InvalidInput):
        run(cluster, **given)
    assert cluster.writes == []
