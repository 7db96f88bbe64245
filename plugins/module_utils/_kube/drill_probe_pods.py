# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that a drill brings along, where there are none with shell and curl: a pod each, for its time.

Each stands in the journal before it is made, and is removed as every other change is undone. A pod that is forgotten
ends by itself, by its activeDeadlineSeconds.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import Target
from ansible_collections.meshops.locality.plugins.module_utils._drill.target_restoration import TargetRestoration
from ansible_collections.meshops.locality.plugins.module_utils._errors import NotReady
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_target_state import create_own, delete_own
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import POD
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import Proxy
from ansible_collections.meshops.locality.plugins.module_utils._model.workload_problems import is_ready

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Json = dict[str, t.Any]

KIND = "ProbePod"
#: These are undone after everything else, when nothing is asked any more.
STEP = -1
CONTAINER = "probe"
#: On the pod: the drill that made it.
LABEL = "meshops.locality/probe-of"
#: What places a client, and says which control plane it has; nothing that a Service could select.
COPIED = ("topology.istio.io/locality", "istio-locality", "istio.io/rev", "topology.istio.io/network")
READY_SECONDS = 90.0


def target_of(proxy: Proxy, place: str, drill: str, index: int) -> Target:
    """Return the target that stands for a client next to another one, in the same namespace and on the same node."""
    name = f"meshops-drill-{drill}-{index}"
    return Target(proxy.namespace, name, f"{KIND} {name}", KIND, node=proxy.node, place=place, step=STEP)


def create(
    cluster: Cluster, target: Target, beside: Proxy, image: str, drill: str, seconds: int, *, dry_run: bool = False
) -> None:
    """Make the pod. Raises ClusterError when the API server refuses it."""
    labels = {name: beside.labels[name] for name in COPIED if name in beside.labels}
    body = {
        "metadata": {
            "name": target.name,
            "namespace": target.namespace,
            "labels": {**labels, "sidecar.istio.io/inject": "true"},
        },
        "spec": {
            "nodeName": target.node,
            "activeDeadlineSeconds": seconds,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": CONTAINER,
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "infinity"],
                    "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "capabilities": {"drop": ["ALL"]},
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                }
            ],
        },
    }
    create_own(cluster, POD, body, LABEL, drill, dry_run=dry_run)


def await_ready(cluster: Cluster, target: Target, until: float, alive: t.Callable[[], None]) -> Proxy:
    """Wait until the pod is ready, calling `alive` (which may raise), and return it. Raises NotReady.

    `until` is on the clock of time.monotonic().
    """
    while True:
        alive()
        pod = cluster.get(POD, target.name, target.namespace)
        if pod is None:
            raise NotReady(f"The probe client {target.where} was deleted by somebody else.")
        proxy = Proxy.of(pod)
        if is_ready(pod):
            if proxy.problem:
                raise NotReady(f"The probe client {target.where} is not in the mesh: {proxy.problem}")
            return proxy
        if time.monotonic() >= until:
            status = pod.get("status") or {}
            waiting = [
                (container.get("state") or {}).get("waiting") or {}
                for container in (
                    *(status.get("initContainerStatuses") or ()),
                    *(status.get("containerStatuses") or ()),
                )
            ]
            why = "; ".join(f"{state.get('reason')} {state.get('message', '')}".strip() for state in waiting if state)
            raise NotReady(f"The probe client {target.where} is not ready in {READY_SECONDS:.0f} s. {why}".strip())
        time.sleep(0.5)


def undo_once(cluster: Cluster, target: Target, drill: str) -> TargetRestoration:
    """Delete the pod, and see that it is gone."""
    return delete_own(cluster, POD, target, LABEL, drill)
