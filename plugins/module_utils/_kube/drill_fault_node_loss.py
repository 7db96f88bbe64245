# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault node_loss: the machine under a node vanishes, with everything on it.

No API of Kubernetes does that. An agent outside of the cluster does, where there is one, as an annotation of the Node
asks for; the sandbox has one. It ends the stop by itself after the seconds that stand in the annotation.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import math
import time
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.gate import CONSENT, CONSENT_LABEL
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import GONE, RESTORED, Target
from ansible_collections.meshops.locality.plugins.module_utils._drill.target_restoration import TargetRestoration
from ansible_collections.meshops.locality.plugins.module_utils._errors import Conflict, NotReady
from ansible_collections.meshops.locality.plugins.module_utils._kube.applied_objects import ATTEMPTS
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_target_state import (
    live_node,
    live_pod,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import NAMESPACE, NODE, POD
from ansible_collections.meshops.locality.plugins.module_utils._model.workload_problems import is_ready

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Json = dict[str, t.Any]

#: On a Node: which agent stops it; who asks for a stop, and for how many seconds; who has stopped it, until when. The
#: agent writes the first and the last, and takes the last two off when the node is back.
OFFERED = "meshops.locality/node-stop-offered-by"
ASKED = "meshops.locality/node-stop"
STOPPED = "meshops.locality/node-stopped"
#: So long the agent has to stop a node.
SEEN_SECONDS = 15.0
#: Whose pods belong to the node: they are lost with every node, and nobody asks for them elsewhere.
OF_NODE = ("DaemonSet", "Node")


def obstacle(cluster: Cluster, target: Target, drill: str) -> str:
    """Return why a node cannot be stopped, '' when it can. Asks, and changes nothing."""
    if target.kind != "Node":
        return "" if live_pod(cluster, target) is not None else f"Pod {target.where} was deleted."
    try:
        _stop(cluster, target, {"by": drill}, dry_run=True)
    except NotReady as error:
        return str(error)
    return _others(cluster, target)


def _others(cluster: Cluster, target: Target) -> str:
    """Say whose pods would be lost with the node although their namespaces do not allow drills."""
    pods = cluster.list(POD, fields=f"spec.nodeName={target.name}")
    others: dict[str, str] = {}
    for pod in pods:
        metadata, phase = pod["metadata"], (pod.get("status") or {}).get("phase")
        owners = {owner["kind"] for owner in metadata.get("ownerReferences") or ()}
        ends = metadata.get("deletionTimestamp") or phase in ("Succeeded", "Failed")
        if metadata["namespace"] != target.part and not ends and not owners & set(OF_NODE):
            others.setdefault(metadata["namespace"], metadata["name"])
    for namespace, name in sorted(others.items()):
        item = cluster.get(NAMESPACE, namespace) or {"metadata": {}}
        if (item["metadata"].get("labels") or {}).get(CONSENT_LABEL) != CONSENT:
            return (
                f"Node {target.name} also runs {namespace}/{name}, whose namespace does not allow drills"
                f" ({CONSENT_LABEL}={CONSENT})."
            )
    return ""


def inject(cluster: Cluster, target: Target, drill: str, seconds: float) -> str:
    """Ask for the stop of a node and see it. Raises NotReady when nobody does it; pods are lost with their nodes."""
    if target.kind != "Node":
        return f"{target.where}: lost with {target.node}."
    _stop(cluster, target, {"by": drill, "seconds": math.ceil(seconds)})
    until = time.monotonic() + SEEN_SECONDS
    while _by(live_node(cluster, target), STOPPED) != drill:
        if time.monotonic() >= until:
            raise NotReady(f"Node {target.name} is not stopped after {SEEN_SECONDS:.0f} s: does its agent run?")
        time.sleep(0.2)
    return f"Node {target.name} is stopped."


def undo_once(cluster: Cluster, target: Target, drill: str, _changed: bool) -> TargetRestoration:
    """Ask for no stop any more, and see that the node, or the pod, is back."""
    if target.kind != "Node":
        pod = live_pod(cluster, target)
        if pod is None:
            return TargetRestoration(target, GONE, "Kubernetes deleted or replaced the pod of the lost node meanwhile.")
        if not is_ready(pod):
            return TargetRestoration(target, "", error="The pod is not ready yet.")
        return TargetRestoration(target, RESTORED, "Same pod, ready.")
    node = live_node(cluster, target)
    if node is None:
        return TargetRestoration(target, GONE, f"Node {target.name} was deleted meanwhile.")
    if _by(node, ASKED) == drill:
        _ask(cluster, node, None)
        return TargetRestoration(target, "", error="No stop is asked for any more.", changed=True)
    if ASKED in _annotations(node):
        return TargetRestoration(target, RESTORED, f"Node {target.name} is stopped by somebody else: left so.")
    if STOPPED in _annotations(node):
        return TargetRestoration(target, "", error="Its agent has not started the node yet.")
    if not is_ready(node):
        return TargetRestoration(target, "", error=f"Node {target.name} is not Ready yet.")
    return TargetRestoration(target, RESTORED, f"Node {target.name} is Ready, and nobody asks for its stop.")


def vanished(cluster: Cluster, target: Target, drill: str) -> str:
    """Return who ended the fault, '' while it lasts. That Kubernetes deletes pods of a lost node is part of it."""
    if target.kind != "Node":
        return ""
    node = live_node(cluster, target)
    if node is None:
        return f"Node {target.name} was deleted."
    lasts = _by(node, ASKED) == drill and _by(node, STOPPED) == drill
    return "" if lasts else f"Node {target.name} was started by somebody else."


def _annotations(node: Json) -> Json:
    return t.cast(Json, node["metadata"].get("annotations") or {})


def _by(node: Json | None, annotation: str) -> str:
    """Return who asks for a stop, or has stopped the node; '' for nobody."""
    try:
        return str(json.loads(_annotations(node or {"metadata": {}})[annotation])["by"])
    except (KeyError, ValueError, TypeError):
        return ""


def _stop(cluster: Cluster, target: Target, wanted: Json, *, dry_run: bool = False) -> None:
    """Ask for the stop of the node as it was read; when somebody writes it meanwhile, look at it again.

    Raises NotReady when it is gone or offered by nobody, when somebody else has stopped it (his stop would be undone
    with the drill's), or when somebody keeps writing it.
    """
    for _attempt in range(ATTEMPTS):
        node = live_node(cluster, target)
        if node is None:
            raise NotReady(f"Node {target.name} was deleted or replaced before the fault.")
        marks = _annotations(node)
        if OFFERED not in marks:
            raise NotReady(
                f"Node {target.name} cannot be stopped: no agent offers it (annotation {OFFERED}), as the sandbox's"
                " does."
            )
        if _by(node, ASKED) == wanted["by"]:
            return  # The answer to an earlier try got lost.
        if ASKED in marks or STOPPED in marks:
            raise NotReady(
                f"Node {target.name} is stopped already: start it, or run the playbook meshops.locality.restore."
            )
        try:
            _ask(cluster, node, wanted, dry_run=dry_run)
        except Conflict:
            continue
        return
    raise NotReady(f"Somebody else keeps writing node {target.name}: it was not stopped.")


def _ask(cluster: Cluster, node: Json, wanted: Json | None, *, dry_run: bool = False) -> None:
    guard = {key: node["metadata"][key] for key in ("uid", "resourceVersion")}
    body = {"metadata": {**guard, "annotations": {ASKED: None if wanted is None else json.dumps(wanted)}}}
    cluster.merge_patch(NODE, node["metadata"]["name"], body, dry_run=dry_run)
