# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small meshes written by hand, for tests whose answers are known from elsewhere."""

from __future__ import annotations

import typing as t

Json = dict[str, t.Any]

#: The tutorial's nodes.
PLACES = {
    "beijing": "cn-north-4/cn-north-4b/beijing",
    "tianjin": "cn-north-4/cn-north-4b/tianjin",
    "shenyang": "cn-north-4/cn-north-4b/shenyang",
    "guangzhou": "cn-south-1/cn-south-1a/guangzhou",
}
HOST = "helloworld.sample.svc.cluster.local"
CLUSTER = f"outbound|5000||{HOST}"
OUTLIER = {"consecutive5xxErrors": 1, "interval": "1s", "baseEjectionTime": "1m"}


def node(name: str, locality: str) -> Json:
    """A node in region/zone/subzone."""
    names = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone")
    labels = {key: value for key, value in zip(names, locality.split("/"), strict=False) if value}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def pod(name: str, on: str, address: str, namespace: str = "sample", **labels: str) -> Json:
    """A ready pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": on},
        "status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def service(name: str = "helloworld", namespace: str = "sample", **spec: t.Any) -> Json:
    """A Service with the port 5000."""
    ports = [{"name": "http", "port": 5000, "targetPort": 5000, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": "10.96.0.10", "selector": {"app": name}, "ports": ports, **spec},
    }


def endpoint_slice(pods: t.Iterable[Json], unready: t.Collection[str] = (), of: str = "helloworld") -> Json:
    """What the endpoint slice controller writes for these pods."""
    pods = list(pods)
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{of}-abcde",
            "namespace": pods[0]["metadata"]["namespace"],
            "labels": {"kubernetes.io/service-name": of},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 5000, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [server_pod["status"]["podIP"]],
                "conditions": {
                    "ready": server_pod["metadata"]["name"] not in unready,
                    "serving": server_pod["metadata"]["name"] not in unready,
                    "terminating": False,
                },
                "nodeName": server_pod["spec"]["nodeName"],
                "targetRef": {
                    "kind": "Pod",
                    "name": server_pod["metadata"]["name"],
                    "namespace": server_pod["metadata"]["namespace"],
                },
            }
            for server_pod in pods
        ],
    }


def istio(kind: str, name: str, spec: Json, namespace: str = "sample", created: str | None = None) -> Json:
    """One of Istio's objects."""
    metadata: Json = {"name": name, "namespace": namespace}
    if created:
        metadata["creationTimestamp"] = created
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def rule(name: str = "helloworld", host: str = HOST, namespace: str = "sample", **more: t.Any) -> Json:
    """A DestinationRule; `more` is the spec's, `created` the metadata's."""
    created = more.pop("created", None)
    return istio("DestinationRule", name, {"host": host, **more}, namespace, created)


def policy(setting: Json | None = None, **more: t.Any) -> Json:
    """A trafficPolicy with a localityLbSetting; `outlier` is its outlierDetection (None: without one)."""
    outlier = more.pop("outlier", OUTLIER)
    spec: Json = dict(more)
    if setting is not None:
        spec["loadBalancer"] = {"localityLbSetting": setting}
    if outlier is not None:
        spec["outlierDetection"] = outlier
    return spec


def tutorial(*extra: Json, unready: t.Collection[str] = (), mesh: Json | None = None, **spec: t.Any) -> Json:
    """The tutorial's mesh: a pod of helloworld and a client in each of the four places."""
    servers = [
        pod(f"hello-{place}", place, f"10.0.0.{number}", app="helloworld", version=place)
        for number, place in enumerate(PLACES, 1)
    ]
    clients = [pod(f"sleep-{place}", place, f"10.0.1.{number}", app="sleep") for number, place in enumerate(PLACES, 1)]
    return {
        "objects": [
            *(node(place, locality) for place, locality in PLACES.items()),
            *servers,
            *clients,
            service(**spec),
            endpoint_slice(servers, unready),
            *extra,
        ],
        "mesh": mesh or {},
        "clients": [{"name": place, "namespace": "sample", "pod": f"sleep-{place}"} for place in PLACES],
    }


def entry(endpoints: t.Sequence[Json], *extra: Json, client: Json | None = None, resolution: str = "STATIC") -> Json:
    """A ServiceEntry with these endpoints, and a client that is no pod, in region1/zone1/subzone1."""
    spec = {
        "hosts": ["db.example.com"],
        "ports": [{"number": 5000, "name": "http", "protocol": "HTTP"}],
        "resolution": resolution,
        "location": "MESH_INTERNAL",
        "endpoints": list(endpoints),
    }
    asks = {"name": "client", "namespace": "sample", "locality": "region1/zone1/subzone1", **(client or {})}
    return {"objects": [istio("ServiceEntry", "db", spec), *extra], "mesh": {}, "clients": [asks]}


def cluster(answer: Json, client: int | str = 0, name: str = CLUSTER) -> Json:
    """The cluster of one client, by the client's place in the list or by name."""
    assert not answer["error"], answer["error"]
    clients = answer["clients"]
    of_client = clients[client] if isinstance(client, int) else next(each for each in clients if each["name"] == client)
    return t.cast(Json, next(received for received in of_client["clusters"] if received["name"] == name))


def priorities(dump: Json) -> dict[str, int]:
    """{address without port: priority}."""
    return {
        endpoint["address"].rsplit(":", 1)[0]: group["priority"]
        for group in dump["groups"]
        for endpoint in group["endpoints"]
    }
