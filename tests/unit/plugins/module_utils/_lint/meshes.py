# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small meshes, written in a few lines."""

from __future__ import annotations

import typing as t

import yaml

from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import Finding
from ansible_collections.meshops.locality.plugins.module_utils._lint.lint import lint
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Mesh, Snapshot

Json = dict[str, t.Any]
REGION, ZONE, SUBZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"

#: The tutorial's places: name of the subzone → locality.
TUTORIAL = {
    "beijing": "cn-north-4/cn-north-4b/beijing",
    "tianjin": "cn-north-4/cn-north-4b/tianjin",
    "shenyang": "cn-north-4/cn-north-4b/shenyang",
    "guangzhou": "cn-south-1/cn-south-1a/guangzhou",
}
#: The tutorial's rule, letter by letter.
TUTORIAL_RULE = """
host: helloworld.sample.svc.cluster.local
trafficPolicy:
  connectionPool:
    http:
      maxRequestsPerConnection: 1
  loadBalancer:
    simple: ROUND_ROBIN
    localityLbSetting:
      enabled: true
      failover:
      - from: cn-north-4
        to: cn-south-1
  outlierDetection:
    consecutive5xxErrors: 1
    interval: 1s
    baseEjectionTime: 1m
"""
COMPLETED = {"maxEjectionPercent": 75}
RETRIES = """
hosts: [helloworld.sample.svc.cluster.local]
http:
- retries: {attempts: 2, retryRemoteLocalities: true}
  route: [{destination: {host: helloworld.sample.svc.cluster.local}}]
"""


def read(text: str | Json) -> Json:
    return yaml.safe_load(text) if isinstance(text, str) else text


def meta(name: str, namespace: str | None = None, **more: t.Any) -> Json:
    return {"name": name, **({"namespace": namespace} if namespace else {}), **more}


def node(name: str, locality: str, **labels: str) -> Json:
    parts = zip((REGION, ZONE, SUBZONE), locality.split("/"), strict=False)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": meta(name, labels={**{key: value for key, value in parts if value}, **labels}),
    }


def pod(name: str, namespace: str, on: str, address: str, proxy: str = "sidecar", **labels: str) -> Json:
    containers: list[Json] = [{"name": "app"}]
    if proxy:
        containers.append({"name": "istio-proxy", "args": ["proxy", proxy]})
    owner = labels.pop("owner", "")
    owners = [{"kind": "ReplicaSet", "name": f"{owner}-x", "controller": True}] if owner else []
    if owner:
        labels["pod-template-hash"] = "x"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta(name, namespace, labels=labels, ownerReferences=owners),
        "spec": {"nodeName": on, "containers": containers},
        "status": {"podIP": address, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def service(name: str, namespace: str, *ports: int, **spec: t.Any) -> Json:
    listed = [{"name": f"http-{port}", "port": port} for port in ports or (80,)]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(name, namespace, annotations=spec.pop("annotations", {})),
        "spec": {"clusterIP": "10.96.0.1", "ports": listed, "selector": {"app": name}, **spec},
    }


def endpoint_slice(name: str, namespace: str, pods: list[Json], *ports: int) -> Json:
    endpoints = [
        {
            "addresses": [server_pod["status"]["podIP"]],
            "conditions": {"ready": True},
            "targetRef": {
                "kind": "Pod",
                "namespace": server_pod["metadata"]["namespace"],
                "name": server_pod["metadata"]["name"],
            },
        }
        for server_pod in pods
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": meta(f"{name}-1", namespace, labels={"kubernetes.io/service-name": name}),
        "addressType": "IPv4",
        "ports": [{"name": f"http-{port}", "port": port} for port in ports or (80,)],
        "endpoints": endpoints,
    }


def istio(kind: str, name: str, namespace: str, spec: str | Json, **metadata: t.Any) -> Json:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": meta(name, namespace, **metadata),
        "spec": read(spec),
    }


def rule(spec: str | Json, name: str = "web", namespace: str = "shop", **metadata: t.Any) -> Json:
    return istio("DestinationRule", name, namespace, spec, **metadata)


def mesh(
    places: t.Mapping[str, int] | None = None,
    clients: t.Mapping[str, str] | None = None,
    *objects: Json,
    ports: tuple[int, ...] = (80,),
    service_spec: Json | None = None,
    labels: t.Mapping[str, str] | None = None,
) -> list[Json]:
    """Return a mesh: Service shop/web with so many endpoints in each locality, and clients by their locality.

    `clients`: locality → namespace of one client there. Each locality has a node of its own.
    """
    places = {"r1/z1/s1": 2, "r1/z2/s2": 2, "r2/z3/s3": 2} if places is None else places
    clients = {"r1/z1/s1": "shop", "r2/z3/s3": "shop"} if clients is None else clients
    localities = list(dict.fromkeys([*places, *clients]))
    nodes = {locality: f"n{number}" for number, locality in enumerate(localities)}
    items = [node(name, locality) for locality, name in nodes.items()]
    behind: list[Json] = []
    for locality, number in places.items():
        for _one in range(number):
            address = f"10.0.0.{len(behind) + 1}"
            behind.append(
                pod(
                    f"web-{len(behind)}", "shop", nodes[locality], address, "", app="web", owner="web", **(labels or {})
                )
            )
    items += behind
    for number, (locality, namespace) in enumerate(clients.items()):
        items.append(pod(f"client-{number}", namespace, nodes[locality], f"10.1.0.{number + 1}", app="client"))
    items += [service("web", "shop", *ports, **(service_spec or {})), endpoint_slice("web", "shop", behind, *ports)]
    return [*items, *objects]


def tutorial(spec: str | Json = TUTORIAL_RULE, *objects: Json, **outlier: t.Any) -> list[Json]:
    """Return the tutorial's mesh: a helloworld in each place, sleep in two of them, and the rule."""
    given = read(spec)
    if outlier:
        given["trafficPolicy"]["outlierDetection"] |= outlier
    items = [node(name, locality) for name, locality in TUTORIAL.items()]
    behind = [
        pod(f"helloworld-{name}", "sample", name, f"10.0.0.{number}", app="helloworld", owner=f"helloworld-{name}")
        for number, name in enumerate(TUTORIAL, 1)
    ]
    sleeps = [
        pod(f"sleep-{name}", "sample", name, f"10.1.0.{number}", app="sleep")
        for number, name in enumerate(("tianjin", "beijing"), 1)
    ]
    return [
        *items,
        *behind,
        *sleeps,
        service("helloworld", "sample", 5000),
        endpoint_slice("helloworld", "sample", behind, 5000),
        rule(given, "helloworld", "sample"),
        *objects,
    ]


def snapshot(objects: list[t.Any], version: str = "1.31", **mesh_config: t.Any) -> Snapshot:
    return build(objects, mesh=Mesh(version=version, config=mesh_config))


def findings(
    objects: list[t.Any], version: str = "1.31", *, mesh_config: t.Mapping[str, t.Any] | None = None, **options: t.Any
) -> list[Finding]:
    return lint(snapshot(objects, version, **dict(mesh_config or {})), **options)


def ids(reported: t.Iterable[Finding]) -> set[str]:
    return {finding.id for finding in reported}
