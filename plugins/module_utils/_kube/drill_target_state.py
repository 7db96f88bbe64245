# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live object behind a target of a drill, and what of it a fault changes.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import Target
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import (
    DEPLOYMENT,
    NODE,
    POD,
    STATEFUL_SET,
    Kind,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import PROXY

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Json = dict[str, t.Any]

#: The workloads whose replicas can be read and set.
WORKLOADS: dict[str, Kind] = {"Deployment": DEPLOYMENT, "StatefulSet": STATEFUL_SET}


def container_state(pod: Json, container: str) -> Json:
    """Return the status of a container of a Pod object, {} when there is none."""
    status = pod.get("status") or {}
    states = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    return next((state for state in states if state["name"] == container), {})


def container_of(pod: Json, container: str = PROXY) -> str:
    """Return the id of a pod's container, istio-proxy's unless named; '' when it has none."""
    return str(container_state(pod, container).get("containerID") or "")


def live_pod(cluster: Cluster, target: Target) -> Json | None:
    """Return the recorded pod, None when it is gone, going, or another one has its name."""
    pod = cluster.get(POD, target.name, target.namespace)
    if pod is None or pod["metadata"].get("uid") != target.uid or pod["metadata"].get("deletionTimestamp"):
        return None
    return pod


def live_node(cluster: Cluster, target: Target) -> Json | None:
    """Return the recorded node, None when it is gone or another one has its name."""
    node = cluster.get(NODE, target.name)
    return node if node is not None and node["metadata"].get("uid") == target.uid else None


def live_workload(cluster: Cluster, target: Target) -> Json | None:
    """Return the recorded workload, None when it is gone or another one has its name."""
    item = cluster.get(WORKLOADS[target.kind], target.name, target.namespace)
    return item if item is not None and item["metadata"].get("uid") == target.uid else None
