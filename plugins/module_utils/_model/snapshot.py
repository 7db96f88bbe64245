# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh as istiod sees it, reduced to what decides where requests go. Everything is computed from one Snapshot.

Only in memory: what is saved are the objects it was made of (_istio/snapshot_document.py).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._model.assumptions import Assumption
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.not_judged import NotJudged
from ansible_collections.meshops.locality.plugins.module_utils._model.problems import Problem

Json = dict[str, t.Any]
Labels = t.Mapping[str, str]

#: Seconds between two tries of a readiness probe, and failures in a row that make a pod unready.
ReadinessProbe = tuple[int, int]
#: Source: istio 1.31 manifests/charts/istio-control/istio-discovery/values.yaml.
INJECTED_PROBE = (15, 4)
#: What istiod calls the cluster it runs in when nobody names it.
CLUSTER = "Kubernetes"
#: What the names of Services end with when istiod has no other `--domain`.
DOMAIN = "cluster.local"


@dataclass(frozen=True, slots=True)
class Node:
    """A node; `taints` are `key=value:effect`."""

    name: str
    labels: Labels = field(default_factory=dict)
    ready: bool = True
    unschedulable: bool = False
    taints: tuple[str, ...] = ()

    @property
    def locality(self) -> Locality:
        """Where its labels place it."""
        return Locality.from_node_labels(self.labels)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace; of its annotations only `networking.istio.io/traffic-distribution` is read."""

    name: str
    labels: Labels = field(default_factory=dict)
    traffic_distribution: str = ""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod. `proxy` is what its Envoy is: sidecar, router (gateway), waypoint, or '' without one.

    `workload` is `Kind/name` of what it belongs to; `cpu` (millicores) and `memory` (bytes) are the sum of its
    requests, 0 when there are none; `cpu_limit` is the sum of its limits, 0 when a container has none.
    `assumed`: it exists only as the replica of a manifest.
    """

    namespace: str
    name: str
    node: str = ""
    labels: Labels = field(default_factory=dict)
    addresses: tuple[str, ...] = ()
    proxy: str = ""
    ready: bool = True
    revision: str = ""
    workload: str = ""
    host_network: bool = False
    self_discovery: bool = False
    cpu: int = 0
    memory: int = 0
    assumed: bool = False
    cpu_limit: int = 0
    #: ISTIO_META_NETWORK of its Envoy: the network it is in as a client.
    network: str = ""
    #: What keeps connections of its own away from its Envoy, for people; '' for nothing.
    past_envoy: str = ""
    probe: ReadinessProbe | None = INJECTED_PROBE

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a Service. `protocol` is Istio's: HTTP, HTTP2, GRPC, TCP, TLS, UDP, … or '' when Istio finds it out."""

    name: str
    number: int
    protocol: str = ""

    @property
    def may_be_http(self) -> bool:
        """Whether Istio routes it as HTTP, always or when the first bytes look like it."""
        return self.protocol in ("", "HTTP", "HTTP2", "HTTP_PROXY", "GRPC", "GRPCWeb")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address behind a Service. `ports` are (name of the Service's port, number).

    `ready`, `serving`, `terminating` are the conditions of its EndpointSlice, None where absent. Behind a Pod, `pod` is
    its `namespace/name`; labels and locality are the pod's. `locality` (istiod's string, verbatim), `labels` and
    `weight` are those of a ServiceEntry's or WorkloadEntry's endpoint. `network` is the network it names. `own_host`:
    the host of a ServiceEntry without endpoints; it has no labels, not even those that istiod gives to all others.
    """

    address: str
    ports: tuple[tuple[str, int], ...]
    pod: str = ""
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None
    locality: str = ""
    labels: Labels = field(default_factory=dict)
    weight: int = 1
    network: str = ""
    own_host: bool = False
    #: `Kind namespace/name` it was read from.
    source: str = ""
    #: Whether it takes Istio's mutual TLS, as a ServiceEntry or WorkloadEntry says it.
    mutual_tls: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """A Kubernetes Service (`registry` Kubernetes) or one host of a ServiceEntry (External).

    `resolution`: ClientSideLB, DNS, DNS_ROUND_ROBIN, DYNAMIC_DNS, Passthrough (headless, NONE) or Alias (ExternalName).
    `traffic_distribution` is '' (any), PreferSameZone or PreferSameNode as its own field or annotation says, or
    `unknown` for a value that istiod does not know; the namespace's annotation is not in it.
    `source` is the `Kind namespace/name` it was read from; `created` its creationTimestamp.
    """

    host: str
    namespace: str
    registry: str = "Kubernetes"
    resolution: str = "ClientSideLB"
    ports: tuple[Port, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    labels: Labels = field(default_factory=dict)
    selector: Labels = field(default_factory=dict)
    export_to: tuple[str, ...] = ()
    traffic_distribution: str = ""
    node_local: bool = False
    publish_not_ready: bool = False
    external: bool = False
    logical_dns: bool = False
    created: str = ""
    source: str = ""
    #: The host that an ExternalName Service stands for.
    alias_for: str = ""
    #: The addresses of its load balancer and its externalIPs. A Service of type LoadBalancer that was never applied has
    #: `name.namespace` in their place.
    outside_addresses: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """(host, namespace): what istiod tells services apart by."""
        return self.host, self.namespace


@dataclass(frozen=True, slots=True)
class Config:
    """An object whose spec stays as it was written: DestinationRule, VirtualService, Sidecar, Gateway, a route.

    `domain` is that of the cluster, which completes the names of hosts, as in istiod's Meta of a config.
    """

    namespace: str
    name: str
    spec: Json
    created: str = ""
    labels: Labels = field(default_factory=dict)
    annotations: Labels = field(default_factory=dict)
    domain: str = DOMAIN

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Unselected:
    """A WorkloadEntry that nothing in its namespace selects; `locality` is its field of that name."""

    namespace: str
    name: str
    labels: Labels = field(default_factory=dict)
    locality: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment, StatefulSet, DaemonSet or ReplicaSet of its own, as far as resilience depends on it.

    `spread` are the hard or soft constraints that keep its pods apart (topologySpreadConstraints, pod anti-affinity):
    (topology key, largest difference of replicas or 0). `maximum` is the HorizontalPodAutoscaler's maxReplicas,
    `cpu_target` the percent of the requested CPU that it keeps its pods at, both 0 without one.
    """

    kind: str
    namespace: str
    name: str
    replicas: int = 1
    labels: Labels = field(default_factory=dict)
    spread: tuple[tuple[str, int], ...] = ()
    minimum: int = 0
    maximum: int = 0
    cpu_target: int = 0
    #: Labels of places that a node must have for its pods (nodeSelector and required node affinity).
    pinned: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """`Kind/name`, as Pod.workload has it."""
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Mesh:
    """The control plane: its version, its mesh config (Istio's own field names) and istiod's feature variables."""

    version: str = ""
    revision: str = ""
    config: Json = field(default_factory=dict)
    features: t.Mapping[str, str] = field(default_factory=dict)
    #: Networks of the mesh when there is more than one, and whether other clusters' endpoints are missing here.
    remote_clusters: tuple[str, ...] = ()
    #: meshNetworks: network → {endpoints, gateways}.
    networks: Json = field(default_factory=dict)

    @property
    def root_namespace(self) -> str:
        """Where rules for the whole mesh live."""
        return str(self.config.get("rootNamespace") or "istio-system")


@dataclass(frozen=True)
class Snapshot:
    """A mesh at one moment. `taken` is an ISO time or ''; `sources` say where it was read from, one sentence each.

    `problems` are objects or fields that could not be read: what depends on them is missing here.
    `assumptions` say what was put in for what the sources do not say (replicas of manifests, …).
    """

    cluster: str = CLUSTER
    domain: str = DOMAIN
    taken: str = ""
    sources: tuple[str, ...] = ()
    mesh: Mesh = Mesh()
    nodes: tuple[Node, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    pods: tuple[Pod, ...] = ()
    workloads: tuple[Workload, ...] = ()
    services: tuple[Service, ...] = ()
    destination_rules: tuple[Config, ...] = ()
    virtual_services: tuple[Config, ...] = ()
    http_routes: tuple[Config, ...] = ()
    grpc_routes: tuple[Config, ...] = ()
    tcp_routes: tuple[Config, ...] = ()
    tls_routes: tuple[Config, ...] = ()
    sidecars: tuple[Config, ...] = ()
    service_entries: tuple[Config, ...] = ()
    workload_entries: tuple[Config, ...] = ()
    gateways: tuple[Config, ...] = ()
    #: Gateways and GatewayClasses of the Gateway API, and what allows references into other namespaces.
    api_gateways: tuple[Config, ...] = ()
    gateway_classes: tuple[Config, ...] = ()
    reference_grants: tuple[Config, ...] = ()
    peer_authentications: tuple[Config, ...] = ()
    problems: tuple[Problem, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    #: What was passed over when it was read.
    not_judged: tuple[NotJudged, ...] = ()
    #: WorkloadEntries that no ServiceEntry and no Service selects.
    unselected: tuple[Unselected, ...] = ()

    @property
    def api_routes(self) -> dict[str, tuple[Config, ...]]:
        """The routes of the Gateway API, by kind."""
        return {
            "HTTPRoute": self.http_routes,
            "GRPCRoute": self.grpc_routes,
            "TCPRoute": self.tcp_routes,
            "TLSRoute": self.tls_routes,
        }

    @functools.cached_property
    def pod_by_key(self) -> dict[str, Pod]:
        """`namespace/name` → Pod."""
        return {pod.key: pod for pod in self.pods}

    @functools.cached_property
    def node_by_name(self) -> dict[str, Node]:
        """Name → Node."""
        return {node.name: node for node in self.nodes}

    @functools.cached_property
    def namespace_by_name(self) -> dict[str, Namespace]:
        """Name → Namespace."""
        return {namespace.name: namespace for namespace in self.namespaces}

    @functools.cached_property
    def workload_by_key(self) -> dict[tuple[str, str], Workload]:
        """(namespace, `Kind/name`) → Workload."""
        return {(workload.namespace, workload.key): workload for workload in self.workloads}

    @functools.cached_property
    def other_probes(self) -> dict[str, ReadinessProbe | None]:
        """`namespace/name` → probe (None: it has none), of pods whose probe is not that of injected sidecars."""
        return {pod.key: pod.probe for pod in self.pods if pod.probe != INJECTED_PROBE}
