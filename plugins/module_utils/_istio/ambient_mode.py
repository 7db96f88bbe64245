# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pods are in ambient mode, where ztunnel takes their connections, and which Services have a waypoint.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_deployments import GATEWAY_NAME
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Pod, Service, Snapshot

DATAPLANE_MODE = "istio.io/dataplane-mode"
USE_WAYPOINT = "istio.io/use-waypoint"
INGRESS_USE_WAYPOINT = "istio.io/ingress-use-waypoint"


def in_ambient(snapshot: Snapshot, pod: Pod) -> bool:
    """Whether a pod's connections are taken by ztunnel: it says so, or its namespace does and it does not say `none`.

    Source: istio 1.31 cni/pkg/util/enablement_selector.go, Matches; manifests/charts/istio-cni/values.yaml,
    ambient.enablementSelectors.
    """
    if pod.proxy or pod.host_network:
        return False
    own = pod.labels.get(DATAPLANE_MODE)
    namespace = snapshot.namespace_by_name.get(pod.namespace)
    inherited = namespace is not None and namespace.labels.get(DATAPLANE_MODE) == "ambient"
    return own == "ambient" or (inherited and own != "none")


def _labels(snapshot: Snapshot, service: Service, name: str) -> t.Mapping[str, str]:
    """Return the labels of a Service if a name is among them, else of its namespace."""
    namespace = snapshot.namespace_by_name.get(service.namespace)
    return service.labels if name in service.labels or not namespace else namespace.labels


def waypoint_of(snapshot: Snapshot, service: Service) -> str:
    """Return `namespace/name` of the waypoint that a Service, or else its namespace, names; '' without one.

    Source: istio 1.31 pilot/pkg/serviceregistry/ambient/waypoints.go, fetchWaypointForTarget and GetUseWaypoint.
    """
    labels = _labels(snapshot, service, USE_WAYPOINT)
    name = labels.get(USE_WAYPOINT, "none") or "none"
    return "" if name == "none" else f"{labels.get(f'{USE_WAYPOINT}-namespace', service.namespace)}/{name}"


def entered_by_waypoint(snapshot: Snapshot, service: Service) -> str:
    """Return the waypoint whose endpoints istiod sends gateways in place of a Service's, '' for none.

    Source: istio 1.31 pilot/pkg/serviceregistry/ambient/services.go, ingressUseWaypointFromLabels, and
    pilot/pkg/xds/endpoints/endpoint_builder.go, findServiceWaypoint.
    """
    wanted = _labels(snapshot, service, INGRESS_USE_WAYPOINT).get(INGRESS_USE_WAYPOINT, "")
    return waypoint_of(snapshot, service) if wanted.lower() in ("1", "t", "true") else ""


def is_waypoint_of(snapshot: Snapshot, proxy: Client | Pod, service: Service) -> bool:
    """Whether a proxy is of a Service's waypoint; istiod writes the waypoint's name on its pods."""
    return waypoint_of(snapshot, service) == f"{proxy.namespace}/{proxy.labels.get(GATEWAY_NAME)}"
