# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What results do not speak of, although it is part of the mesh, by code: its sentences are made here only.

Programs look at codes. A code stays as it is once it was released; a sentence may be put better.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._model.coded_sentence import filled

#: Code → what is not judged; parameters are in braces.
TEXTS: t.Mapping[str, str] = {
    # What a mesh lacks.
    "no-clients": "No client is known: no pod here has an Envoy.",
    "namespace-missing": "Nothing says whether pods of these namespaces get a sidecar: {namespaces}. No Namespace "
    "object is given (helm template prints none).",
    "ambient": "Pods of {namespaces} are in ambient mode ({pods} in all): their own requests take ztunnel, and a "
    "waypoint where a Service has one.",
    "ambient-without-waypoint": "Pods of {namespaces} are in ambient mode ({pods} in all), without a waypoint: "
    "ztunnel reads no DestinationRule, so none has an effect on their requests.",
    "ingress-waypoint": "Gateways send requests to the waypoint of these Services (istio.io/ingress-use-waypoint): "
    "{services}.",
    "other-clusters": "The mesh has endpoints in other clusters that are not here: {clusters}.",
    "networks-without-gateway": "No address of a gateway into these networks is known here: {networks}. Their pods "
    "are taken to be reached directly.",
    "waypoint-routes": "Routes for Services that have a waypoint: {routes}.",
    "port-without-protocol": "Ports without a protocol, in their name or as appProtocol: {ports}. What is sent there "
    "is taken for HTTP.",
    "past-envoy": "Pods that keep connections of their own away from their Envoy: {pods}.",
    "several-networks": "Pods are on several networks ({networks}): clients reach those of other networks by "
    "{addresses} addresses of gateways, each of which is one endpoint to them. Not known, and taken as one address "
    "each: {assumed}.",
    "service-without-endpoints": "Services without any endpoint here: {services}.",
    "service-without-clients": "Services that no client here knows: {services}. What an Envoy does with requests to "
    "them: {fate}.",
    "host-without-service": "VirtualServices for hosts that no Service and no ServiceEntry has: {hosts}. A sidecar has "
    "routes for such a host on port 80 and on HTTP ports of Services that the same VirtualService names, where it "
    "listens for HTTP; no client here has one, or DNS knows no such name of the cluster.",
    "gateway-class": "Gateways of a class that is not Istio's, as far as GatewayClasses are known here: {gateways}.",
    "gateway-routes": "Routes of a Gateway that is not here, of a ListenerSet, or of another kind of parent that is "
    "not read: {routes}.",
    "backend-not-read": "Backends of routes, of a kind that is not read: {backends}.",
    "gateway-address": "A WorkloadEntry or ServiceEntry has the address of a gateway's pod: {pods}.",
    "gateway-without-pods": "Gateways without any pod here: {gateways}.",
    "refused": "Objects that istiod refuses, taken to be there all the same: {objects}.",
    "unknown-field": "Fields that this version of Istio does not know: {fields}.",
    "replicas-without-node": "Workloads of which no node here takes all replicas: {workloads}.",
    "unreadable": "Objects or fields that could not be read: {problems}.",
    # What was passed over when it was read.
    "workload-not-read": "Workloads of kinds that are not read: {workloads}.",
    "object-misspelt": "Objects whose apiVersion or kind is missing or misspelt: {objects}.",
    "kind-not-read": "{kind} is not read: {objects}.",
    "no-object": "Documents that are no Kubernetes objects, in {files}.",
    "file-passed-over": "Files with another suffix than .yaml, .yml or .json: {files}.",
    "no-file": "No files that can be read (a FIFO, a device, a link to nowhere): {files}.",
    "kustomization": "Kustomizations that were not applied, in {folders}.",
    "patch-passed-over": "Patches of kustomizations, which are parts of objects: {files}.",
}

#: Code → what nothing is said about because of it, of the same parameters.
HIDDEN: t.Mapping[str, str] = {
    "no-clients": "everything: priorities, failover and losses are those of clients",
    "namespace-missing": "which of their pods are clients ({pods} may be)",
    "ambient": "them as clients; only the waypoints' view is judged",
    "ambient-without-waypoint": "them as clients",
    "ingress-waypoint": "these requests",
    "other-clusters": "endpoints to fail over to, and clients of theirs: findings about missing endpoints may be wrong",
    "networks-without-gateway": "how clients of other networks reach them, how many endpoints these have, and the "
    "maxEjectionPercent that follows",
    "waypoint-routes": "where the waypoint sends requests: they are taken to reach the Service's own endpoints",
    "port-without-protocol": "connections that are not HTTP: they take TCP routes, and nothing of them is retried",
    "past-envoy": "what becomes of these connections: no route, no order of localities and no ejection is for them, "
    "although rows count them",
    "several-networks": "how a gateway shares requests among the endpoints behind it, and PeerAuthentications that "
    "switch off the mutual TLS without which no gateway leads to an endpoint",
    "service-without-endpoints": "what becomes of requests to them",
    "service-without-clients": "what a loss does to requests to them",
    "host-without-service": "what becomes of requests to them",
    "gateway-class": "requests that enter by them",
    "gateway-routes": "requests that enter by it",
    "backend-not-read": "what becomes of requests to them: they are taken to get 500, as istiod lets its Envoys answer "
    "for a kind that it does not know",
    "gateway-address": "which Gateways are for these pods, because istiod takes the Services of that entry for theirs",
    "gateway-without-pods": "requests that enter by them",
    "refused": "what the mesh does without them, which is what it will do",
    "unknown-field": "what they are meant to do",
    "replicas-without-node": "the other replicas, as clients and as endpoints; problems says why",
    "unreadable": "what depends on them; problems names them",
    "workload-not-read": "their pods ({pods}) as clients, and as endpoints of Services: {services}",
    "object-misspelt": "whatever they are meant to be",
    "kind-not-read": "{effect}",
    "no-object": "what they are rendered to",
    "file-passed-over": "their objects",
    "no-file": "what it means",
    "kustomization": "what they add, patch and rename",
    "patch-passed-over": "what they change",
}


@dataclass(frozen=True, slots=True)
class NotJudged:
    """Something that is part of the mesh and is not judged: `what` it is (a sentence), what it `hides`, and how many.

    `code` and `parameters`, of which both texts are made, say the same to programs.
    """

    code: str
    what: str
    hides: str
    count: int = 1
    parameters: t.Mapping[str, str] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.code, self.what, self.hides))

    def as_json(self) -> dict[str, t.Any]:
        """Return {code, what, hides, count, parameters}."""
        return {
            "code": self.code,
            "what": self.what,
            "hides": self.hides,
            "count": self.count,
            "parameters": dict(self.parameters),
        }


def unjudged(code: str, number: int, **parameters: object) -> NotJudged:
    """Return what is not judged, and how many of it; its code is in TEXTS, and so are the names of its parameters."""
    what, texts = filled(TEXTS[code], parameters)
    return NotJudged(code, what, HIDDEN[code].format(**texts), number, texts)
