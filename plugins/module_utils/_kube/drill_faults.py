# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults on real targets: what is needed before, how they are put in, seen, and undone.

The undoing knows nothing but what stands in the journal, has patience until a deadline, and may be run twice.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import time
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.faults import DrillFault
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import GONE, RESTORED, Target
from ansible_collections.meshops.locality.plugins.module_utils._drill.target_restoration import TargetRestoration
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    Forbidden,
    LocalityError,
    NotFound,
    NotReady,
    Unauthorized,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube import (
    drill_fault_eviction,
    drill_fault_in_envoy,
    drill_fault_in_network,
    drill_fault_in_process,
    drill_fault_in_service,
    drill_fault_node_loss,
    drill_probe_pods,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_fault_in_envoy import Prepared
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_target_state import (
    WORKLOADS,
    live_pod,
    live_workload,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.exec import run

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Json = dict[str, t.Any]

POLL_SECONDS = 0.5


class FaultSteps(t.NamedTuple):
    """What a fault needs of a cluster; each function gets the cluster, a target and the id of the drill.

    `obstacle` says why the fault cannot be put in or undone, and changes nothing. `inject` puts it in, for at most the
    given seconds where it can end by itself, and returns a sentence; it raises LocalityError. `undo_once` (which is
    also given whether it changed something before) takes one step towards the undoing. `vanished` says who ended the
    fault.
    """

    obstacle: t.Callable[[Cluster, Target, str], str]
    inject: t.Callable[[Cluster, Target, str, float], str]
    undo_once: t.Callable[[Cluster, Target, str, bool], TargetRestoration]
    vanished: t.Callable[[Cluster, Target, str], str]


#: What the fault acts on → its steps, where a file has them.
STEPS: dict[str, FaultSteps] = {
    name: FaultSteps(file.obstacle, file.inject, file.undo_once, file.vanished)
    for name, file in (
        ("process", drill_fault_in_process),
        ("node", drill_fault_eviction),
        ("machine", drill_fault_node_loss),
        ("network", drill_fault_in_network),
        ("service", drill_fault_in_service),
    )
}


class Application(t.NamedTuple):
    """How an application's own faults are reached: curl in a container of a client, and the address on the target."""

    namespace: str
    pod: str
    container: str
    port: int
    path: str


#: What is asked of an application's own fault address.
MODES = {
    "application_error": "mode=status&code=503",
    "application_delay": "mode=delay&ms=2000",
    "application_hang": "mode=hang",
}


def inject(
    cluster: Cluster,
    target: Target,
    fault: DrillFault,
    drill: str,
    seconds: float,
    application: Application | None,
    prepared: Prepared | None,
) -> str:
    """Put the fault in, see it, and return the sentence about it. Raises LocalityError when it is not seen."""
    if fault.acts_on in STEPS:
        return STEPS[fault.acts_on].inject(cluster, target, drill, seconds)
    if fault.acts_on == "workload":
        return _scale_to_zero(cluster, target)
    if fault.acts_on == "application":
        return _break(cluster, target, fault, seconds, t.cast(Application, application))
    return drill_fault_in_envoy.inject(cluster, target, fault, prepared)


def undo(
    cluster: Cluster,
    target: Target,
    fault: DrillFault,
    drill: str,
    until: float,
    application: Application | None = None,
) -> TargetRestoration:
    """Take the fault back and see that it is; try again until the deadline (time.monotonic()).

    Never raises for what passes: the error is in the result.
    """
    why = ""
    changed = False
    while True:
        try:
            if target.kind == drill_probe_pods.KIND:
                done = drill_probe_pods.undo_once(cluster, target, drill)
            elif fault.acts_on in STEPS:
                done = STEPS[fault.acts_on].undo_once(cluster, target, drill, changed)
            elif fault.acts_on == "workload":
                done = _scale_back(cluster, target)
            elif fault.acts_on == "application":
                done = _mend(cluster, target, application)
            else:
                done = drill_fault_in_envoy.undo_once(cluster, target, fault, drill, changed)
            changed = changed or done.changed
            if done.state:
                return TargetRestoration(target, done.state, done.proof, "", done.restarts, changed)
            why = done.error
        except (Forbidden, Unauthorized) as error:
            if time.monotonic() >= until - 1 or isinstance(error, Forbidden):
                return TargetRestoration(target, "", error=str(error), changed=changed)
            why = str(error)
        except (LocalityError, ValueError) as error:
            why = str(error)
        if time.monotonic() >= until:
            return TargetRestoration(target, "", error=f"{target.where} is not back in time. {why}", changed=changed)
        time.sleep(POLL_SECONDS)


def _scale_to_zero(cluster: Cluster, target: Target) -> str:
    item = live_workload(cluster, target)
    if item is None:
        raise NotFound(f"{target.kind} {target.where} was deleted before the fault.", status=404)
    _scale(cluster, target, item, 0)
    return f"{target.kind} {target.where} is scaled from {target.replicas} to 0."


def _scale_back(cluster: Cluster, target: Target) -> TargetRestoration:
    item = live_workload(cluster, target)
    if item is None:
        return TargetRestoration(target, GONE, f"{target.kind} {target.where} was deleted meanwhile.")
    changed = False
    if item["spec"].get("replicas", 1) == 0 and target.replicas:
        item = _scale(cluster, target, item, target.replicas)
        changed = True
    wanted, status = item["spec"].get("replicas", 1), item.get("status") or {}
    if wanted != target.replicas:
        return TargetRestoration(
            target,
            RESTORED,
            f"{target.kind} {target.where} has {wanted} replicas, which somebody else set: left so.",
            changed=changed,
        )
    current = status.get("observedGeneration", 0) >= item["metadata"].get("generation", 0)
    if changed or not current or (status.get("readyReplicas") or 0) < wanted:
        return TargetRestoration(
            target,
            "",
            error=f"{status.get('readyReplicas') or 0} of {wanted} replicas are ready.",
            changed=changed,
        )
    return TargetRestoration(
        target, RESTORED, f"{target.kind} {target.where} has its {wanted} replicas again, all ready."
    )


def _scale(cluster: Cluster, target: Target, item: Json, replicas: int) -> Json:
    body = {"metadata": {"resourceVersion": item["metadata"]["resourceVersion"]}, "spec": {"replicas": replicas}}
    return cluster.merge_patch(WORKLOADS[target.kind], target.name, body, target.namespace)


def _ask(cluster: Cluster, target: Target, way: Application, method: str, query: str = "") -> str:
    host = f"[{target.address}]" if ":" in target.address else target.address
    url = f"http://{host}:{way.port}{way.path}{'?' + query if query else ''}"
    command = ["curl", "-gsS", "-m", "5", "-X", method, "-w", "\n%{http_code}", url]
    done = run(cluster, way.namespace, way.pod, way.container, command, seconds=15)
    body, _newline, code = done.stdout.rpartition("\n")
    if done.code or code != "200":
        raise NotReady(
            f"{method} {way.path} of {target.where} was answered {code or 'with nothing'}:"
            f" {(body or done.stderr).strip()}.",
            do="Does the application offer faults there? See docs/drill.md, Faults of the application.",
        )
    return body


def application_fault(cluster: Cluster, target: Target, way: Application) -> str:
    """Return the mode of the application's own fault, 'none' when it is healthy.

    Raises NotReady when it offers none.
    """
    try:
        return str(json.loads(_ask(cluster, target, way, "GET"))["mode"])
    except (ValueError, KeyError, TypeError) as error:
        raise NotReady(
            f"GET {way.path} of {target.where} is not answered with a JSON object that has a mode.",
            do="See docs/drill.md, Faults of the application.",
        ) from error


def _break(cluster: Cluster, target: Target, fault: DrillFault, seconds: float, way: Application) -> str:
    _ask(cluster, target, way, "POST", f"{MODES[fault.name]}&seconds={max(1, round(seconds))}")
    if application_fault(cluster, target, way) == "none":
        raise NotReady(f"The application of {target.where} accepted the fault, and does not show it.")
    return f"{target.where}: {fault.what}."


def _mend(cluster: Cluster, target: Target, way: Application | None) -> TargetRestoration:
    pod = live_pod(cluster, target)
    if pod is None:
        return TargetRestoration(
            target, GONE, "The pod was deleted or replaced meanwhile; its successor never had the fault."
        )
    if way is None:
        raise NotReady("The journal does not say how to reach the application.")
    changed = application_fault(cluster, target, way) != "none"
    if changed:
        _ask(cluster, target, way, "DELETE")
        return TargetRestoration(target, "", error="The application got the request that ends its fault.", changed=True)
    return TargetRestoration(target, RESTORED, "The application's fault is not there.")
