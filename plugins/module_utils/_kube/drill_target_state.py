# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live object behind a target of a drill, what of it a fault changes, and objects that only the drill has.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import GONE, RESTORED, Target
from ansible_collections.meshops.locality.plugins.module_utils._drill.target_restoration import TargetRestoration
from ansible_collections.meshops.locality.plugins.module_utils._errors import Conflict
from ansible_collections.meshops.locality.plugins.module_utils._kube.applied_objects import owns_metadata
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import FIELD_MANAGER
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


def label_of(item: Json, name: str) -> str:
    """Return a label of an object, '' when it has none of this name."""
    return str((item["metadata"].get("labels") or {}).get(name) or "")


def _is_own(item: Json, label: str, drill: str) -> bool:
    """Whether an object has the label of the drill, and our field manager wrote it there."""
    return label_of(item, label) == drill and owns_metadata(item, FIELD_MANAGER, "labels", label)


def create_own(cluster: Cluster, kind: Kind, body: Json, label: str, drill: str, *, dry_run: bool = False) -> None:
    """Create an object of the drill's own, with a label that says so. Raises ClusterError when it is refused."""
    metadata = body["metadata"]
    labels = {**(metadata.get("labels") or {}), label: drill}
    try:
        cluster.create(kind, {**body, "metadata": {**metadata, "labels": labels}}, dry_run=dry_run)
    except Conflict:
        # The answer to the first try may have been lost: then it is there, and ours.
        live = cluster.get(kind, metadata["name"], metadata["namespace"])
        if live is None or not _is_own(live, label, drill):
            raise


def delete_own(cluster: Cluster, kind: Kind, target: Target, label: str, drill: str) -> TargetRestoration:
    """Take one step towards an object of the drill's own being gone."""
    live = cluster.get(kind, target.name, target.namespace)
    if live is None:
        return TargetRestoration(target, GONE, f"{kind.kind} {target.where} is gone.")
    if not _is_own(live, label, drill):
        return TargetRestoration(target, RESTORED, f"{kind.kind} {target.where} is somebody else's: left so.")
    if live["metadata"].get("deletionTimestamp"):
        return TargetRestoration(target, "", error=f"{kind.kind} {target.where} has not ended yet.")
    cluster.delete(kind, target.name, target.namespace, uid=live["metadata"]["uid"])
    return TargetRestoration(target, "", error=f"{kind.kind} {target.where} is being removed.", changed=True)
