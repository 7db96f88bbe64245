# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pods behind a Service as a drill sees them, and the state of a namespace that a drill must put back.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._drill.scope import Candidate
from ansible_collections.meshops.locality.plugins.module_utils._errors import Forbidden, InvalidInput, NotFound
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import resolve
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import (
    pod_client_locality,
    pod_locality,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import Semantics
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_target_state import container_of
from ansible_collections.meshops.locality.plugins.module_utils._kube.istiod_version import semantics_for
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import (
    DEPLOYMENT,
    DESTINATION_RULE,
    ENDPOINT_SLICE,
    POD,
    SERVICE,
    STATEFUL_SET,
    VIRTUAL_SERVICE,
    Kind,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import Proxy, read_node_labels
from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import Reading
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_objects import (
    SERVICE_NAME,
    workload_of,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.sidecar_injection import cluster_domain
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import DOMAIN

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Json = dict[str, t.Any]

#: What must be as before. Pods are compared in more detail.
COMPARED = (SERVICE, ENDPOINT_SLICE, DEPLOYMENT, STATEFUL_SET, DESTINATION_RULE, VIRTUAL_SERVICE)


@dataclass(frozen=True)
class ServicePods:
    """A Service, its pods and their places. `pods` are the Pod objects by uid; `target_port` a number or None."""

    namespace: str
    service: str
    port: int
    target_port: int | None
    selector: str
    candidates: tuple[Candidate, ...]
    pods: t.Mapping[str, Json]
    node_labels: t.Mapping[str, t.Mapping[str, str]]
    semantics: Semantics

    @property
    def host(self) -> str:
        """The host as Istio writes it; without any sidecar under the default domain."""
        return resolve(self.service, self.namespace, cluster_domain(self.pods.values()) or DOMAIN)

    def client_place(self, proxy: Proxy) -> str:
        """Return where istiod places a pod as a client."""
        return str(pod_client_locality(proxy.labels, self.node_labels.get(proxy.node), self.semantics))


def read_service_pods(cluster: Cluster, namespace: str, name: str, port: int | None) -> ServicePods:
    """Read a Service and the pods that its EndpointSlices name.

    Raises NotFound without such a Service, InvalidInput for one without a selector, a port that it has not, or nodes
    that may not be listed: without their labels there are no places.
    """
    service = cluster.get(SERVICE, name, namespace)
    if service is None:
        raise NotFound(
            f"There is no Service {namespace}/{name}.", do="Check the options namespace and service.", status=404
        )
    spec = service["spec"]
    selector = spec.get("selector") or {}
    if not selector:
        raise InvalidInput(f"Service {namespace}/{name} has no selector: its endpoints are nobody's pods.")
    ports = [given for given in spec.get("ports") or () if given.get("protocol", "TCP") == "TCP"]
    chosen = next((given for given in ports if port in (None, given["port"])), None)
    if chosen is None:
        known = ", ".join(str(given["port"]) for given in ports)
        raise InvalidInput(f"Service {namespace}/{name} has no TCP port {port}.", do=f"It has {known or 'none'}.")
    labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    pods = {pod["metadata"]["uid"]: pod for pod in cluster.list(POD, namespace, labels=labels)}
    nodes = read_node_labels(cluster)
    if not nodes:
        raise InvalidInput(
            "No node may be listed, or there is none: where endpoints are cannot be known.",
            do="Grant the verb list on nodes.",
        )
    ready: dict[str, bool] = {}
    for piece in cluster.list(ENDPOINT_SLICE, namespace, labels=f"{SERVICE_NAME}={name}"):
        for endpoint in piece.get("endpoints") or ():
            uid = (endpoint.get("targetRef") or {}).get("uid", "")
            conditions = endpoint.get("conditions") or {}
            ready[uid] = ready.get(uid, False) or (
                conditions.get("ready", True) is not False and not conditions.get("terminating")
            )
    semantics, _note = semantics_for(cluster, list(pods.values()))
    candidates = tuple(
        candidate(pods[uid], nodes, semantics, is_ready) for uid, is_ready in ready.items() if uid in pods
    )
    target = chosen.get("targetPort", chosen["port"])
    return ServicePods(
        namespace,
        name,
        chosen["port"],
        target if isinstance(target, int) else None,
        labels,
        tuple(sorted(candidates, key=lambda target_pod: target_pod.name)),
        pods,
        nodes,
        semantics,
    )


def candidate(pod: Json, nodes: t.Mapping[str, t.Mapping[str, str]], semantics: Semantics, ready: bool) -> Candidate:
    """Return a pod as a drill chooses among them."""
    proxy = Proxy.of(pod)
    return Candidate(
        proxy.namespace,
        proxy.pod,
        proxy.uid,
        proxy.address,
        proxy.node,
        str(Locality.parse(pod_locality(proxy.labels, nodes.get(proxy.node), semantics))),
        workload_of(pod["metadata"], Reading.silent()),
        ready,
        proxy.labels,
        proxy.restarts,
        container_of(pod),
    )


def state_of(cluster: Cluster, namespace: str, unread: list[str]) -> dict[str, dict[str, str]]:
    """Return what of a namespace has to be as before: `Kind namespace/name` → field → value.

    Specs and metadata as digests; of pods also readiness, address, node and the restarts of every container. Kinds
    that may not be listed are added to `unread`.
    """
    states: dict[str, dict[str, str]] = {}
    for kind in COMPARED:
        for item in _listed(cluster, kind, namespace, unread):
            states[_name(kind, item)] = _reduced(kind, item)
    for item in _listed(cluster, POD, namespace, unread):
        if not item["metadata"].get("deletionTimestamp"):
            states[_name(POD, item)] = _pod(item)
    return states


def _listed(cluster: Cluster, kind: Kind, namespace: str, unread: list[str]) -> list[Json]:
    try:
        return cluster.list(kind, namespace)
    except (Forbidden, NotFound) as error:
        note = f"{kind.kind} objects of {namespace} were not compared: {error.what}"
        if note not in unread:
            unread.append(note)
        return []


def _name(kind: Kind, item: Json) -> str:
    metadata = item["metadata"]
    return f"{kind.kind} {metadata['namespace']}/{metadata['name']}"


def _reduced(kind: Kind, item: Json) -> dict[str, str]:
    metadata = item["metadata"]
    fields = {"uid": metadata.get("uid", ""), "labels": _digest(metadata.get("labels"))}
    if kind is ENDPOINT_SLICE:
        endpoints = [
            [
                endpoint.get("addresses"),
                endpoint.get("conditions"),
                endpoint.get("nodeName"),
                (endpoint.get("targetRef") or {}).get("uid"),
            ]
            for endpoint in item.get("endpoints") or ()
        ]
        return {**fields, "endpoints": _digest(sorted(endpoints, key=json.dumps))}
    if kind in (DEPLOYMENT, STATEFUL_SET):
        fields["replicas"] = str(item["spec"].get("replicas", 1))
        fields["ready"] = str((item.get("status") or {}).get("readyReplicas") or 0)
    return {**fields, "spec": _digest(item.get("spec"))}


def _pod(item: Json) -> dict[str, str]:
    metadata, status = item["metadata"], item.get("status") or {}
    states = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions") or ()}
    return {
        "uid": metadata.get("uid", ""),
        "labels": _digest(metadata.get("labels")),
        "node": (item.get("spec") or {}).get("nodeName") or "",
        "address": status.get("podIP") or "",
        "ready": conditions.get("Ready", ""),
        **{f"restarts of {state['name']}": str(state.get("restartCount") or 0) for state in states},
    }


def _digest(value: t.Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
