# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pods are in ambient mode, where ztunnel takes their connections, and which Services have a waypoint.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Pod, Service, Snapshot

DATAPLANE_MODE = "istio.io/dataplane-mode"
USE_WAYPOINT = "istio.io/use-waypoint"


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


def has_waypoint(snapshot: Snapshot, service: Service) -> bool:
    """Whether requests to a Service pass a waypoint: it or its namespace names one, and not none."""
    namespace = snapshot.namespace_by_name.get(service.namespace)
    own = service.labels.get(USE_WAYPOINT)
    name = own if own is not None else namespace.labels.get(USE_WAYPOINT, "") if namespace else ""
    return bool(name) and name != "none"
