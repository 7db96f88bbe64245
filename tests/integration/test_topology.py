# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""topology_info against a real mesh, compared with what kubectl says."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from .mesh import PLACES, Mesh

Json = dict[str, t.Any]


@pytest.fixture
def info(run_module: t.Any, kubeconfig: Path) -> t.Callable[..., Json]:
    def call(**params: t.Any) -> Json:
        return t.cast(Json, run_module("topology_info", params={"kubeconfig": str(kubeconfig), **params}))

    return call


def names(kubectl: t.Any, kind: str, *more: str) -> set[str]:
    found = kubectl("get", kind, *(more or ("--all-namespaces",)), "-o", "json")["items"]
    return {
        "/".join(part for part in (item["metadata"].get("namespace"), item["metadata"]["name"]) if part)
        for item in found
    }


def test_the_live_mesh_is_what_kubectl_sees(info: t.Any, kubectl: t.Any, mesh: Mesh) -> None:
    result = info()
    assert not result.get("failed"), result
    assert (result["problems"], result["assumptions"]) == ([], [])
    snapshot = result["snapshot"]
    assert snapshot["sources"][0].startswith("the API server https://")
    assert {node["name"] for node in snapshot["nodes"]} == names(kubectl, "nodes")
    pods = {f"{pod['namespace']}/{pod['name']}": pod for pod in snapshot["pods"]}
    assert set(pods) == names(kubectl, "pods")
    services = {service["source"].removeprefix("Service "): service for service in snapshot["services"]}
    assert set(services) == names(kubectl, "services")
    assert {f"{one['namespace']}/{one['name']}" for one in snapshot["destination_rules"]} == names(
        kubectl, "destinationrules"
    )
    # Each address of each EndpointSlice of the mesh's Service, with its pod and conditions.
    slices = mesh.get("endpointslices", "-l", "kubernetes.io/service-name=helloworld")["items"]
    wanted = {
        (address, f"{mesh.namespace}/{endpoint['targetRef']['name']}", endpoint["conditions"]["ready"])
        for item in slices
        for endpoint in item["endpoints"]
        for address in endpoint["addresses"]
    }
    held = services[f"{mesh.namespace}/helloworld"]["endpoints"]
    assert {(one["address"], one["pod"], one["ready"]) for one in held} == wanted
    assert len(held) == 3
    istiod = kubectl("get", "deployment", "istiod", "-n", "istio-system", "-o", "json")
    image = istiod["spec"]["template"]["spec"]["containers"][0]["image"]
    assert snapshot["mesh"]["version"] == image.rpartition(":")[2]
    assert snapshot["mesh"]["revision"] == "default"


def test_the_clients_have_the_place_that_their_pods_name(info: t.Any, mesh: Mesh) -> None:
    clients = {c["pod"].rsplit("-", 2)[0]: c for c in info()["clients"] if c["namespace"] == mesh.namespace}
    assert {name: client["locality"] for name, client in clients.items()} == {
        "sleep": PLACES["tianjin"],
        **{f"helloworld-{place}": PLACES[place] for place in PLACES},
    }
    assert {client["type"] for client in clients.values()} == {"sidecar"}
    assert clients["sleep"]["node"] == mesh.pod("app=sleep")["spec"]["nodeName"]
