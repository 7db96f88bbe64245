# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh of any size for benchmarks, as the objects that a cluster would hold: the same numbers make the same mesh."""

from __future__ import annotations

import typing as t

Json = dict[str, t.Any]

REGIONS, ZONES, SUBZONES = 3, 3, 4
PLACES = REGIONS * ZONES * SUBZONES


def place(number: int) -> tuple[str, str, str]:
    """Return region, zone and subzone number `number` of the 36 there are."""
    region, rest = divmod(number % PLACES, ZONES * SUBZONES)
    zone, subzone = divmod(rest, SUBZONES)
    return f"region-{region}", f"zone-{region}{zone}", f"subzone-{region}{zone}{subzone}"


def mesh(
    services: int = 200, endpoints: int = 5000, clients: int = 1000, nodes: int = 360, localities: int = 36
) -> Json:
    """Return {"objects", "mesh", "clients"}: every Service has its share of the endpoints and a failover rule.

    `localities`: in so many of them, spread evenly, there are clients; a divisor of 36, as 36 is of `nodes`.
    """
    objects: list[Json] = []
    for number in range(nodes):
        region, zone, subzone = place(number)
        labels = {
            "topology.kubernetes.io/region": region,
            "topology.kubernetes.io/zone": zone,
            "topology.istio.io/subzone": subzone,
        }
        objects.append({"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{number}", "labels": labels}})
    objects += [_namespace("shop"), _namespace("istio-system")]
    each = endpoints // services
    for service in range(services):
        name = f"service-{service}"
        pods = [_pod(f"{name}-{number}", {"app": name}, service * each + number, nodes) for number in range(each)]
        objects += pods
        objects += [_service(name, service), _slice(name, pods), _rule(name)]
    asked = []
    for number in range(clients):
        serial = services * each + number
        turn, chosen = divmod(serial, localities)
        node = turn * PLACES + chosen * (PLACES // localities)
        pod = _pod(f"client-{number}", {"app": "client"}, serial, nodes)
        pod["spec"]["nodeName"] = f"node-{node % nodes}"
        pod["spec"]["containers"].append({"name": "istio-proxy", "args": ["proxy", "sidecar"]})
        objects.append(pod)
        asked.append(
            {
                "name": pod["metadata"]["name"],
                "namespace": "shop",
                "pod": pod["metadata"]["name"],
                "type": "sidecar",
                "metadata": {"NODE_NAME": pod["spec"]["nodeName"]},
            }
        )
    return {"objects": objects, "mesh": {}, "clients": asked}


def _namespace(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {}}}


def _pod(name: str, labels: Json, serial: int, nodes: int) -> Json:
    address = f"10.{serial // 62500}.{serial // 250 % 250}.{serial % 250 + 1}"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"nodeName": f"node-{serial % nodes}", "containers": [{"name": "app", "image": "app"}]},
        "status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def _service(name: str, number: int) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "clusterIP": f"10.96.{number // 250}.{number % 250 + 1}",
            "selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
        },
    }


def _slice(name: str, pods: list[Json]) -> Json:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [pod["status"]["podIP"]],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "targetRef": {"kind": "Pod", "namespace": "shop", "name": pod["metadata"]["name"]},
            }
            for pod in pods
        ],
    }


def _rule(name: str) -> Json:
    policy = {
        "loadBalancer": {"localityLbSetting": {"failover": [{"from": "region-0", "to": "region-1"}]}},
        "outlierDetection": {"consecutive5xxErrors": 5, "maxEjectionPercent": 50},
    }
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"host": f"{name}.shop.svc.cluster.local", "trafficPolicy": policy},
    }
