# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoints that a host has in a cluster now, as istiod places them.

The objects are listed here; what istiod makes of them is asked of _istio.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.meshops.locality.plugins.module_utils._errors import Forbidden
from ansible_collections.meshops.locality.plugins.module_utils._istio.destination_rules import ROOT_NAMESPACE
from ansible_collections.meshops.locality.plugins.module_utils._istio.endpoints import Endpoints
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import resolve, service_namespace
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import PodLocalities
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._kube.istiod_version import semantics_for
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import (
    ENDPOINT_SLICE,
    NODE,
    POD,
    SERVICE,
    Kind,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_objects import SERVICE_NAME
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.sidecar_injection import cluster_domain
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import DOMAIN
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent import Intent, Json

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster


class ServiceEndpoints(t.NamedTuple):
    """The endpoints of a host per locality, None when they could not be looked at.

    `http`: it has a port that Istio treats as HTTP, always or when the first bytes look like it. `domain`: of the
    cluster's Services, as the sidecars of these pods know it.
    """

    per_locality: Counter[Locality] | None
    http: bool
    notes: list[str]
    domain: str = DOMAIN


def find_endpoints(cluster: Cluster, intent: Intent) -> ServiceEndpoints:
    """Return the endpoints of the intent's host in each locality, and notes on what the policy does for them."""
    host = resolve(intent.host, intent.namespace, DOMAIN)
    namespace = service_namespace(host)
    if namespace is None:
        notes = [f"host {intent.host} is not the name of one Kubernetes Service."] if intent.complete else []
        return ServiceEndpoints(None, True, notes)
    name = host.split(".")[0]
    try:
        manifest = cluster.get(SERVICE, name, namespace)
        if manifest is None:
            return ServiceEndpoints(None, True, [f"There is no Service {namespace}/{name} now."])
        objects, pods = _objects(cluster, manifest, name, namespace)
        semantics, note = semantics_for(cluster, pods)
    except Forbidden as error:
        if intent.complete:
            raise
        return ServiceEndpoints(None, True, [f"The endpoints of host {intent.host} were not looked at: {error}"])
    snapshot = build(objects)
    (service,) = snapshot.services
    notes = [note] if note else []
    if intent.namespace not in (namespace, ROOT_NAMESPACE):
        notes.append(
            f"DestinationRule {intent.namespace}/{intent.name} applies to clients in namespace {intent.namespace} "
            f"only: it is neither in the namespace of Service {namespace}/{name} nor in {ROOT_NAMESPACE}."
        )
    if service.resolution == "Passthrough":
        notes.append(
            f"Service {namespace}/{name} is headless: sidecars connect to the address that the client chose, and "
            "localities have no effect."
        )
    http = any(port.may_be_http for port in service.ports)
    if not http and intent.wants_virtual_service:
        notes.append(f"Service {namespace}/{name} has no HTTP port: retries do nothing for it.")
    elif not http and intent.complete:
        notes.append(f"Service {namespace}/{name} has no HTTP port: retries in other localities are left out.")
    endpoints = Endpoints(snapshot, PodLocalities(snapshot, semantics))
    return ServiceEndpoints(endpoints.per_locality(service), http, notes, cluster_domain(pods) or DOMAIN)


def _objects(cluster: Cluster, service: Json, name: str, namespace: str) -> tuple[list[Json], list[Json]]:
    """Return the Service with its EndpointSlices, the pods behind it and their nodes; and the pods alone."""
    slices = cluster.list(ENDPOINT_SLICE, namespace, labels=f"{SERVICE_NAME}={name}")
    pods: list[Json] = []
    nodes: list[Json] = []
    if any(piece.get("endpoints") for piece in slices):
        selector = (service.get("spec") or {}).get("selector") or {}
        labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        pods = cluster.list(POD, namespace, labels=labels or None)
        endpoints = [endpoint for piece in slices for endpoint in piece.get("endpoints") or []]
        behind = {(endpoint.get("targetRef") or {}).get("name") for endpoint in endpoints}
        addresses = {address for endpoint in endpoints for address in endpoint.get("addresses") or []}
        pods = [
            pod
            for pod in pods
            if pod["metadata"]["name"] in behind or (pod.get("status") or {}).get("podIP") in addresses
        ]
        names = sorted({node for pod in pods if (node := (pod.get("spec") or {}).get("nodeName"))})
        nodes = [node for node in cluster.map(lambda node: cluster.get(NODE, node), names) if node]
    listed: tuple[tuple[Kind, list[Json]], ...] = (
        (SERVICE, [service]),
        (ENDPOINT_SLICE, slices),
        (POD, pods),
        (NODE, nodes),
    )
    # Items of a list do not say what they are.
    objects = [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for kind, items in listed for item in items]
    return objects, pods
