# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scaled sandbox holds: fake nodes, their pods and the pods' services, as objects of the Kubernetes API.

Names say everything: a pod's name has its service and its node in it, so what is missing and what is too much is found
by comparing names.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from meshops_sandbox.errors import PreflightError

# On every fake object; services hand it on to their EndpointSlices (endpointslice controller, setEndpointSliceLabels).
LABEL = "meshops-sandbox/fake"
SELECTOR = f"{LABEL}=true"
# By it KWOK knows its nodes; also the key of their taint: the scheduler must not send real pods to them.
NODE_ANNOTATION = "kwok.x-k8s.io/node"
_PREFIX = "fake"
# Addresses that nobody routes: RFC 2544 (benchmarking) for the nodes, RFC 6598 for the pods, a /24 for each node.
_NODE_NETWORK = ipaddress.IPv4Network("198.18.0.0/15")
_POD_NETWORK = ipaddress.IPv4Network("100.64.0.0/10")
MAX_NODES = 10_000
MAX_SERVICES = 20_000
PODS_PER_NODE = 250

Object = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Scale:
    """How many of what. The nodes are spread over regions × zones × subzones, the pods over the nodes, the services
    over the namespaces. All 0: nothing fake at all. Raises PreflightError when the numbers do not fit together."""

    nodes: int
    pods: int = 0
    services: int = 0
    namespaces: int = 10
    regions: int = 3
    zones: int = 3
    subzones: int = 4

    def __post_init__(self) -> None:
        for name, value, most in (
            ("nodes", self.nodes, MAX_NODES),
            ("pods", self.pods, self.nodes * PODS_PER_NODE),
            ("services", self.services, min(MAX_SERVICES, self.pods)),
        ):
            if not 0 <= value <= most:
                raise PreflightError(f"--{name} {value} is not possible: it must be from 0 to {most}.", _RULES)
        for name in ("namespaces", "regions", "zones", "subzones"):
            if not 1 <= getattr(self, name) <= 100:
                raise PreflightError(f"--{name} {getattr(self, name)} is not possible: it must be from 1 to 100.")
        if self.pods and not self.services:
            raise PreflightError("--services 0 is not possible with pods: every pod belongs to a service.", _RULES)

    @property
    def empty(self) -> bool:
        return not self.nodes

    def bytes(self) -> int:
        """About how much memory the API server, etcd, KWOK and istiod together take for it."""
        return (self.pods * 300 + self.nodes * 200) * 1024


_RULES = f"A node takes up to {PODS_PER_NODE} pods, and a service has at least one pod."


def namespaces(scale: Scale) -> dict[str, Object]:
    """{name: Namespace}"""
    if not scale.pods:
        return {}
    names = [f"{_PREFIX}-{number}" for number in range(min(scale.namespaces, scale.services))]
    return {name: {"apiVersion": "v1", "kind": "Namespace", "metadata": _metadata(name)} for name in names}


def nodes(scale: Scale) -> dict[str, Object]:
    """{name: Node}, Ready already. Neighbours in number are far from each other in place."""
    return {_node_name(number): _node(scale, number) for number in range(scale.nodes)}


def services(scale: Scale) -> dict[str, Object]:
    """{namespace/name: Service}"""
    objects = {}
    for number in range(scale.services):
        name, namespace = f"{_PREFIX}-{number}", _namespace_of(scale, number)
        labels = {
            "app": name,
            "service.kubernetes.io/service-proxy-name": "none",  # kube-proxy lets it be: no traffic could arrive
        }
        objects[f"{namespace}/{name}"] = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _metadata(name, namespace, labels),
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        }
    return objects


def pods(scale: Scale) -> dict[str, Object]:
    """{namespace/name: Pod}: those of one service on nodes next to each other in number, so in many places."""
    objects = {}
    for number in range(scale.pods):
        service, position = number % scale.services, number // scale.services
        node = (service * -(-scale.pods // scale.services) + position) % scale.nodes
        app, namespace = f"{_PREFIX}-{service}", _namespace_of(scale, service)
        name = f"{app}-{position}-on-{node}"
        objects[f"{namespace}/{name}"] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": _metadata(name, namespace, {"app": app}),
            "spec": {
                "nodeName": _node_name(node),
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {"name": "app", "image": "fake.invalid/app:1", "ports": [{"name": "http", "containerPort": 8080}]}
                ],
            },
        }
    return objects


def ready_endpoints(slices: t.Iterable[Object]) -> int:
    """The number of ready endpoints in EndpointSlices."""
    return sum(
        endpoint.get("conditions", {}).get("ready") is True for each in slices for endpoint in each["endpoints"] or ()
    )


def _node(scale: Scale, number: int) -> Object:
    name = _node_name(number)
    region = number % scale.regions
    zone = number // scale.regions % scale.zones
    subzone = number // (scale.regions * scale.zones) % scale.subzones
    labels = {
        "type": "kwok",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/region": f"region-{region + 1}",
        "topology.kubernetes.io/zone": f"region-{region + 1}-zone-{zone + 1}",
        "topology.istio.io/subzone": f"subzone-{subzone + 1}",
    }
    pods_here = ipaddress.IPv4Network((int(_POD_NETWORK.network_address) + number * 256, 24))
    room = {"cpu": "32", "memory": "256Gi", "pods": str(PODS_PER_NODE)}
    addresses = {"InternalIP": str(_NODE_NETWORK[number + 1]), "Hostname": name}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {**_metadata(name, None, labels), "annotations": {NODE_ANNOTATION: _PREFIX}},
        "spec": {
            "podCIDR": str(pods_here),
            "podCIDRs": [str(pods_here)],
            "taints": [{"key": NODE_ANNOTATION, "value": _PREFIX, "effect": "NoSchedule"}],
        },
        "status": {
            "addresses": [{"type": kind, "address": address} for kind, address in addresses.items()],
            "capacity": room,
            "allocatable": room,
        },
    }


def _node_name(number: int) -> str:
    return f"{_PREFIX}-{number}"


def _namespace_of(scale: Scale, service: int) -> str:
    return f"{_PREFIX}-{service % scale.namespaces}"


def _metadata(name: str, namespace: str | None = None, labels: t.Mapping[str, str] | None = None) -> Object:
    where = {"namespace": namespace} if namespace else {}
    return {"name": name, **where, "labels": {LABEL: "true", **(labels or {})}}
