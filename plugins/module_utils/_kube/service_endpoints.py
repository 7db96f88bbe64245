# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many endpoints a host has, and where: as istiod would place them.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.meshops.locality.plugins.module_utils._errors import Forbidden
from ansible_collections.meshops.locality.plugins.module_utils._istio.destination_rules import ROOT_NAMESPACE
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import resolve, service_namespace
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import ENDPOINT_SLICE, NODE, POD, SERVICE
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent import Intent, Json

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster


class Found(t.NamedTuple):
    """The endpoints of a host now. `http`: it has a port that Istio treats as HTTP, or finds out by itself."""

    counts: Counter[Locality] | None
    http: bool
    notes: list[str]


def find_endpoints(cluster: Cluster, intent: Intent) -> Found:
    """Count the endpoints of the intent's host per locality, as istiod would place them."""
    host = resolve(intent.host, intent.namespace)
    namespace = service_namespace(host)
    if namespace is None:
        return Found(
            None, True, [f"host {intent.host} is not the name of one Kubernetes Service."] if intent.complete else []
        )
    name = host.split(".")[0]
    try:
        service = cluster.get(SERVICE, name, namespace)
        if service is None:
            return Found(None, True, [f"There is no Service {namespace}/{name} now."])
        slices = cluster.list(ENDPOINT_SLICE, namespace, labels=f"kubernetes.io/service-name={name}")
        places = _places(cluster, namespace, slices, service["spec"].get("selector") or {})
    except Forbidden as error:
        if intent.complete:
            raise
        return Found(None, True, [f"The endpoints of host {intent.host} were not looked at: {error}"])
    notes: list[str] = []
    if intent.namespace not in (namespace, ROOT_NAMESPACE):
        notes.append(
            f"DestinationRule {intent.namespace}/{intent.name} counts for clients in namespace {intent.namespace} "
            f"only: it is neither in the namespace of Service {namespace}/{name} nor in {ROOT_NAMESPACE}."
        )
    if service["spec"].get("clusterIP") == "None":
        notes.append(
            f"Service {namespace}/{name} is headless: sidecars connect to the address they are given, and localities "
            "do not count."
        )
    http = any(_may_be_http(port) for port in service["spec"].get("ports") or [])
    if not http and intent.wants_virtual_service:
        notes.append(f"Service {namespace}/{name} has no HTTP port: retries do nothing for it.")
    elif not http and intent.complete:
        notes.append(f"Service {namespace}/{name} has no HTTP port: retries in other localities are left out.")
    return Found(places, http, notes)


def _may_be_http(port: t.Mapping[str, t.Any]) -> bool:
    """Whether Istio routes a port as HTTP. A port without a known prefix is HTTP when its first bytes look like it.

    Source: istio 1.31 pkg/config/kube/conversion.go, ConvertProtocol.
    """
    if port.get("protocol", "TCP") != "TCP":
        return False
    told = str(port.get("appProtocol") or port.get("name") or "").lower().removeprefix("kubernetes.io/")
    return told.split("-")[0] not in ("tcp", "tls", "https", "mongo", "mysql", "redis", "udp") and port.get(
        "port"
    ) not in (25, 3306, 9093)


def _places(cluster: Cluster, namespace: str, slices: list[Json], selector: t.Mapping[str, str]) -> Counter[Locality]:
    endpoints: dict[str, tuple[str, str]] = {}
    for entry in (endpoint for piece in slices for endpoint in piece.get("endpoints") or []):
        if (entry.get("conditions") or {}).get("terminating"):
            continue
        target = entry.get("targetRef") or {}
        pod = target.get("name", "") if target.get("kind") == "Pod" else ""
        # A pod of a dual-stack Service stands in two slices.
        endpoints[pod or entry["addresses"][0]] = (pod, entry.get("nodeName") or "")
    if not endpoints:
        return Counter()
    labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    pods = {item["metadata"]["name"]: item for item in cluster.list(POD, namespace, labels=labels or None)}
    names = sorted({node for _pod, node in endpoints.values() if node})
    nodes = {item["metadata"]["name"]: item for item in cluster.map(lambda n: cluster.get(NODE, n), names) if item}
    counts: Counter[Locality] = Counter()
    for pod, node in endpoints.values():
        if pod not in pods:
            # istiod places only pods.
            counts[Locality()] += 1
            continue
        node_labels = nodes.get(node, {}).get("metadata", {}).get("labels") or {}
        counts[Locality.of_pod(pods[pod]["metadata"].get("labels") or {}, node_labels)] += 1
    return counts
