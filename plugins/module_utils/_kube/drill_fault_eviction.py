# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault evict: the nodes of the pods are cordoned, then the pods are evicted; a node is uncordoned afterwards.

A node that was cordoned before stays so. An annotation says which cordon is the drill's own.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import GONE, RESTORED, Target
from ansible_collections.meshops.locality.plugins.module_utils._drill.target_restoration import TargetRestoration
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    ClusterError,
    Conflict,
    Forbidden,
    NotFound,
    NotReady,
    Unauthorized,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_target_state import (
    WORKLOADS,
    live_node,
    live_pod,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import NODE, POD
from ansible_collections.meshops.locality.plugins.module_utils._model.workload_problems import is_ready

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Json = dict[str, t.Any]

#: On a Node: which drill cordoned it.
ANNOTATION = "meshops.locality/cordoned-by"
#: How often a node is read and judged again when somebody else writes it meanwhile: its kubelet reports there, too.
ATTEMPTS = 10
#: Who makes a pod again after its eviction, somewhere else.
MAKERS = ("Deployment", "StatefulSet", "ReplicaSet")


def obstacle(cluster: Cluster, target: Target, drill: str) -> str:
    """Return why a node cannot be cordoned or a pod not be evicted, '' when both can. Asks, and changes nothing."""
    if target.kind == "Node":
        node = live_node(cluster, target)
        if node is None:
            return f"Node {target.name} was deleted."
        mark = (node["metadata"].get("annotations") or {}).get(ANNOTATION)
        if mark:
            return f"Node {target.name} was cordoned by the drill {mark}: run the playbook meshops.locality.restore."
        try:
            _cordon(cluster, target, drill, dry_run=True)
        except NotReady as error:
            return str(error)
        return ""
    if target.workload.partition("/")[0] not in MAKERS:
        owner = target.workload or "nobody"
        return f"Pod {target.where} belongs to {owner}: nobody would make it again elsewhere."
    try:
        _evict(cluster, target, dry_run=True)
    except (Forbidden, Unauthorized):
        raise
    except ClusterError as error:
        return f"Pod {target.where} may not be evicted: {error.what}"
    return ""


def inject(cluster: Cluster, target: Target, drill: str, _seconds: float) -> str:
    """Cordon the node, or evict the pod. Raises NotReady when the pod is another one."""
    if target.kind == "Node":
        _cordon(cluster, target, drill)
        return f"Node {target.name} takes no new pods."
    try:
        _evict(cluster, target)
    except (NotFound, Conflict) as error:
        raise NotReady(f"Pod {target.where} was deleted or replaced before the fault. {error.what}") from error
    return f"{target.where}: evicted from {target.node}."


def undo_once(cluster: Cluster, target: Target, drill: str, _changed: bool) -> TargetRestoration:
    """Uncordon the node when the cordon is the drill's own; of a pod, see whether its workload is whole again."""
    if target.kind == "Node":
        return _uncordon(cluster, target, drill)
    pod = cluster.get(POD, target.name, target.namespace)
    if pod is not None and pod["metadata"].get("uid") == target.uid:
        if live_pod(cluster, target) is None:
            return TargetRestoration(target, "", error="The evicted pod has not ended yet.")
        if not is_ready(pod):
            return TargetRestoration(target, "", error="The pod is not ready yet.")
        return TargetRestoration(target, RESTORED, "The pod was not evicted, and is ready.")
    kind, _slash, name = target.workload.partition("/")
    item = cluster.get(WORKLOADS[kind], name, target.namespace) if kind in WORKLOADS else None
    if item is None:
        return TargetRestoration(
            target, GONE, f"The pod was evicted. Whether {target.workload} made it again was not looked at."
        )
    wanted, ready = item["spec"].get("replicas", 1), (item.get("status") or {}).get("readyReplicas") or 0
    if ready < wanted:
        return TargetRestoration(target, "", error=f"{target.workload} has {ready} of {wanted} replicas ready.")
    return TargetRestoration(
        target, GONE, f"The pod was evicted; {target.workload} has all {wanted} replicas ready again."
    )


def vanished(cluster: Cluster, target: Target, drill: str) -> str:
    """Return who ended the fault: somebody who uncordoned the node; '' while it lasts."""
    if target.kind != "Node":
        return ""
    node = live_node(cluster, target)
    if node is None:
        return f"Node {target.name} was deleted."
    return "" if _is_ours(node, drill) else f"Node {target.name} was uncordoned by somebody else."


def _is_ours(node: Json, drill: str) -> bool:
    marks = node["metadata"].get("annotations") or {}
    return bool(node["spec"].get("unschedulable")) and marks.get(ANNOTATION) == drill


def _uncordon(cluster: Cluster, target: Target, drill: str) -> TargetRestoration:
    node = live_node(cluster, target)
    if node is None:
        return TargetRestoration(target, GONE, f"Node {target.name} was deleted meanwhile.")
    if (node["metadata"].get("annotations") or {}).get(ANNOTATION) == drill:
        # Changed meanwhile: a Conflict, and the next step looks at it again.
        _write(cluster, node, None, False)
        return TargetRestoration(target, "", error="The node was uncordoned.", changed=True)
    if node["spec"].get("unschedulable"):
        return TargetRestoration(target, RESTORED, f"Node {target.name} is cordoned by somebody else: left so.")
    return TargetRestoration(target, RESTORED, f"Node {target.name} takes new pods.")


def _cordon(cluster: Cluster, target: Target, drill: str, *, dry_run: bool = False) -> None:
    """Cordon the node as it was read; when somebody writes it meanwhile, look at it again.

    Raises NotReady when it is gone, when somebody else has cordoned it since the drill looked (that cordon would be
    undone with the drill's), or when somebody keeps writing it.
    """
    for _attempt in range(ATTEMPTS):
        node = live_node(cluster, target)
        if node is None:
            raise NotReady(f"Node {target.name} was deleted before the fault.")
        if _is_ours(node, drill):
            return  # The answer to an earlier try got lost.
        if node["spec"].get("unschedulable"):
            raise NotReady(f"Node {target.name} was cordoned by somebody else before the fault: left so.")
        try:
            _write(cluster, node, drill, True, dry_run=dry_run)
        except Conflict:
            continue
        return
    raise NotReady(f"Somebody else keeps writing node {target.name}: it was not cordoned.")


def _write(cluster: Cluster, node: Json, mark: str | None, cordoned: bool, *, dry_run: bool = False) -> None:
    guard = {key: node["metadata"][key] for key in ("uid", "resourceVersion")}
    body = {
        "metadata": {**guard, "annotations": {ANNOTATION: mark}},
        "spec": {"unschedulable": cordoned or None},
    }
    cluster.merge_patch(NODE, node["metadata"]["name"], body, dry_run=dry_run)


def _evict(cluster: Cluster, target: Target, *, dry_run: bool = False) -> None:
    """Evict a pod (policy/v1): the API server refuses with 429 what a PodDisruptionBudget does not allow."""
    options: Json = {"preconditions": {"uid": target.uid}}
    if dry_run:
        options["dryRun"] = ["All"]
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": target.name, "namespace": target.namespace},
        "deleteOptions": options,
    }
    cluster.request("create", "POST", POD.path(target.namespace, target.name, "eviction"), body=body)
