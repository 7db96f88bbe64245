# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tutorial's mesh as a snapshot: helloworld in four places of two regions, and clients in two of them."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_document import SnapshotDocument
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Mesh, Snapshot

Json = dict[str, t.Any]

PLACES = {
    "tianjin": ("cn-north-4", "cn-north-4b", "tianjin"),
    "beijing": ("cn-north-4", "cn-north-4b", "beijing"),
    "shenyang": ("cn-north-4", "cn-north-4b", "shenyang"),
    "guangzhou": ("cn-south-1", "cn-south-1a", "guangzhou"),
}
TIANJIN, BEIJING, SHENYANG, GUANGZHOU = ("/".join(parts) for parts in PLACES.values())
HOST = "helloworld.sample.svc.cluster.local"
CLUSTER = f"outbound|5000||{HOST}"


def rule(outlier: Json | None = None, **balancer: t.Any) -> Json:
    """The tutorial's DestinationRule; `outlier` completes its outlier detection, `balancer` its localityLbSetting."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "helloworld", "namespace": "sample"},
        "spec": {
            "host": HOST,
            "trafficPolicy": {
                "connectionPool": {"http": {"maxRequestsPerConnection": 1}},
                "loadBalancer": {
                    "simple": "ROUND_ROBIN",
                    "localityLbSetting": balancer or {"failover": [{"from": "cn-north-4", "to": "cn-south-1"}]},
                },
                "outlierDetection": {
                    "consecutive5xxErrors": 1,
                    "interval": "1s",
                    "baseEjectionTime": "1m",
                    **(outlier or {}),
                },
            },
        },
    }


#: The rule that does not lose requests: retries in other localities, and enough ejections.
ENOUGH: Json = {"maxEjectionPercent": 75}
RETRIES: Json = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "helloworld", "namespace": "sample"},
    "spec": {
        "hosts": [HOST],
        "http": [
            {
                "route": [{"destination": {"host": HOST}}],
                "retries": {"attempts": 3, "retryOn": "connect-failure,5xx", "retryRemoteLocalities": True},
            }
        ],
    },
}


def objects(ready: t.Container[str] = tuple(PLACES), replicas: t.Mapping[str, int] | None = None) -> list[Json]:
    """Return nodes, pods, Service and EndpointSlice; servers of places not in `ready` are not ready."""
    items: list[Json] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sample"}}]
    endpoints: list[Json] = []
    for number, (place, (region, zone, subzone)) in enumerate(PLACES.items()):
        labels = {
            "topology.kubernetes.io/region": region,
            "topology.kubernetes.io/zone": zone,
            "topology.istio.io/subzone": subzone,
        }
        items.append({"apiVersion": "v1", "kind": "Node", "metadata": {"name": place, "labels": labels}})
        for copy in range((replicas or {}).get(place, 1)):
            name, address = f"helloworld-{place}-{copy}", f"10.0.{number}.{copy + 1}"
            items.append(pod(name, "helloworld", place, address, ready=place in ready, owner=f"helloworld-{place}"))
            condition = {"ready": place in ready, "serving": place in ready, "terminating": False}
            reference = {"kind": "Pod", "namespace": "sample", "name": name}
            endpoints.append({"addresses": [address], "conditions": condition, "targetRef": reference})
    items += [
        pod(f"sleep-{place}", "sleep", place, f"10.1.0.{index}") for index, place in enumerate(("tianjin", "beijing"))
    ]
    return [
        *items,
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "helloworld", "namespace": "sample"},
            "spec": {"ports": [{"name": "http", "port": 5000}], "selector": {"app": "helloworld"}},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "helloworld-1",
                "namespace": "sample",
                "labels": {"kubernetes.io/service-name": "helloworld"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 5000}],
            "endpoints": endpoints,
        },
    ]


def pod(name: str, app: str, node: str, address: str, *, ready: bool = True, owner: str = "") -> Json:
    owners = [{"kind": "StatefulSet", "name": owner, "controller": True}] if owner else []
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "sample", "labels": {"app": app}, "ownerReferences": owners},
        "spec": {
            "nodeName": node,
            "containers": [
                {"name": app, "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "300m"}}},
                *([] if app == "helloworld" else [{"name": "istio-proxy", "args": ["proxy", "sidecar"]}]),
            ],
        },
        "status": {
            "phase": "Running",
            "podIP": address,
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def document(*more: Json, version: str = "1.31.0", config: Json | None = None, **places: t.Any) -> SnapshotDocument:
    """Return the mesh with these further objects."""
    return SnapshotDocument(control_plane=Mesh(version=version, config=config or {}), items=(*objects(**places), *more))


def snapshot(*more: Json, version: str = "1.31.0", config: Json | None = None, **places: t.Any) -> Snapshot:
    """Return the same as istiod sees it."""
    return document(*more, version=version, config=config, **places).snapshot
