# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault network_deny: a NetworkPolicy lets nothing in to the pods that have the drill's label.

Whether anything enforces it is seen by trying (`_module/drill_phases/injection.py`).
Source: Kubernetes documentation, "Network Policies", "Default deny all ingress traffic".

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import GONE, RESTORED, Target
from ansible_collections.meshops.locality.plugins.module_utils._drill.target_restoration import TargetRestoration
from ansible_collections.meshops.locality.plugins.module_utils._errors import NotReady
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_target_state import (
    create_own,
    delete_own,
    label_of,
    live_pod,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import NETWORK_POLICY, POD
from ansible_collections.meshops.locality.plugins.module_utils._model.workload_problems import is_ready

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Json = dict[str, t.Any]

#: On a pod: the drill that denies it its network.
LABEL = "meshops.locality/network-denied-by"


def obstacle(cluster: Cluster, target: Target, drill: str) -> str:
    """Return why policy or label cannot be written, '' when they can. Asks, and changes nothing."""
    if target.kind == "NetworkPolicy":
        _create(cluster, target, drill, dry_run=True)
        return ""
    pod = live_pod(cluster, target)
    if pod is None:
        return f"Pod {target.where} was deleted."
    if by := label_of(pod, LABEL):
        return f"Pod {target.where} is denied its network by the drill {by}: run meshops.locality.restore."
    _mark(cluster, target, drill, dry_run=True)
    return ""


def inject(cluster: Cluster, target: Target, drill: str, _seconds: float) -> str:
    """Create the policy, or give the pod the label that it selects. Raises NotReady when the pod is another one."""
    if target.kind == "NetworkPolicy":
        _create(cluster, target, drill)
        return f"NetworkPolicy {target.where} denies the pods with {LABEL}={drill} everything that comes in."
    if live_pod(cluster, target) is None:
        raise NotReady(f"Pod {target.where} was deleted or replaced before the fault.")
    _mark(cluster, target, drill)
    return f"{target.where}: nothing is let in."


def undo_once(cluster: Cluster, target: Target, drill: str, _changed: bool) -> TargetRestoration:
    """Delete the policy, or take the label off the pod, and see that it is gone."""
    if target.kind == "NetworkPolicy":
        return delete_own(cluster, NETWORK_POLICY, target, LABEL, drill)
    pod = live_pod(cluster, target)
    if pod is None:
        return TargetRestoration(
            target, GONE, "The pod was deleted or replaced meanwhile; its successor never had the fault."
        )
    if label_of(pod, LABEL) == drill:
        _mark(cluster, target, None)
        return TargetRestoration(target, "", error="The label was taken off.", changed=True)
    if not is_ready(pod):
        return TargetRestoration(target, "", error="The pod is not ready yet.")
    return TargetRestoration(target, RESTORED, "Same pod, ready, and no policy of the drill selects it.")


def vanished(cluster: Cluster, target: Target, drill: str) -> str:
    """Return who ended the fault, '' while it lasts."""
    if target.kind == "NetworkPolicy":
        live = cluster.get(NETWORK_POLICY, target.name, target.namespace)
        return "" if live is not None else f"NetworkPolicy {target.where} was deleted by somebody else."
    pod = live_pod(cluster, target)
    if pod is None:
        return f"Pod {target.where} was deleted or replaced."
    return "" if label_of(pod, LABEL) == drill else f"The label that denies {target.where} its network was taken off."


def _mark(cluster: Cluster, target: Target, drill: str | None, *, dry_run: bool = False) -> None:
    body = {"metadata": {"uid": target.uid, "labels": {LABEL: drill}}}
    cluster.merge_patch(POD, target.name, body, target.namespace, dry_run=dry_run)


def _create(cluster: Cluster, target: Target, drill: str, *, dry_run: bool = False) -> None:
    body = {
        "metadata": {"name": target.name, "namespace": target.namespace},
        "spec": {"podSelector": {"matchLabels": {LABEL: drill}}, "policyTypes": ["Ingress"]},
    }
    create_own(cluster, NETWORK_POLICY, body, LABEL, drill, dry_run=dry_run)
