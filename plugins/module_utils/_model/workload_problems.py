# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a pod or a Deployment is not what it should be, in one sentence.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

Json = t.Mapping[str, t.Any]

IMAGE = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
)
HARMLESS = ("ContainerCreating", "PodInitializing")


def is_ready(item: Json) -> bool:
    """Whether the condition Ready of a Pod or a Node object is true."""
    return _condition(item, "Ready").get("status") == "True"


def pod_problem(pod: Json, placement: t.Callable[[Json], str], event: str = "") -> str:
    """Return why a pod is not ready; '' when it is.

    `placement` says which label or taint keeps a PodSpec from every node ('' when none does). `event` is the message of
    the pod's newest warning, for what the status does not say (no network, failed probes).
    """
    if is_ready(pod):
        return ""
    status = pod.get("status") or {}
    if status.get("phase") in ("Failed", "Succeeded"):
        said = f"{status.get('reason', '')} {status.get('message', '')}".strip()
        return f"It has ended ({status['phase']}){': ' if said else ''}{said}."
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        said = scheduled.get("message", "")
        why = placement(pod["spec"])
        if why:
            return f"Unschedulable: {why}"
        return f"Unschedulable: {said or scheduled.get('reason', 'no reason given')}"
    init = [(container, True) for container in status.get("initContainerStatuses") or []]
    main = [(container, False) for container in status.get("containerStatuses") or []]
    for container, _init in init + main:
        problem = _container_problem(container, pod)
        if problem:
            return problem
    # A native sidecar is an init container that keeps running; a plain one ends.
    natives = {c["name"] for c in pod["spec"].get("initContainers") or [] if c.get("restartPolicy") == "Always"}
    waiting = [c["name"] for c, is_init in init + main if not c.get("ready") and (not is_init or c["name"] in natives)]
    running = [c["name"] for c, _i in init + main if c["name"] in waiting and "running" in (c.get("state") or {})]
    detail = f" ({event})" if event else ""
    if running:
        return f"Running, but the readiness of {', '.join(running)} fails{detail}."
    if waiting or not main:
        return f"Still being started{detail}."
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or []]
    missing = [gate for gate in gates if _condition(pod, gate).get("status") != "True"]
    return f"Not ready{': readiness gate ' + ', '.join(missing) if missing else ''}{detail}."


def deployment_problem(deployment: Json) -> str:
    """Return what the Deployment itself says is wrong (quota, refused pods, no progress); ''."""
    conditions = (deployment.get("status") or {}).get("conditions") or []
    by_type = {condition["type"]: condition for condition in conditions}
    failure = by_type.get("ReplicaFailure")
    if failure and failure["status"] == "True":
        return f"Pods cannot be created ({failure.get('reason')}): {failure.get('message')}."
    return ""


def rolled_out(deployment: Json) -> bool:
    """Whether all pods of the current template are there and available, and none of an older one."""
    status = deployment.get("status") or {}
    desired = deployment["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return False
    numbers = [status.get(key) or 0 for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")]
    return numbers == [desired] * 4


def _container_problem(container: Json, pod: Json) -> str:
    name, state = container["name"], container.get("state") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    last = (container.get("lastState") or {}).get("terminated") or {}
    reason = waiting.get("reason", "")
    if reason in IMAGE:
        return (
            f"The image {container.get('image')} of container {name} cannot be had ({reason}): "
            f"{waiting.get('message', '')}."
        )
    if reason == "CrashLoopBackOff":
        code = last.get("exitCode")
        signal = f", {last['reason']}" if last.get("reason") not in (None, "Error") else ""
        said = f": {last['message'].strip()}" if last.get("message") else ""
        restarts = container.get("restartCount")
        return f"Container {name} keeps ending (exit code {code}{signal}, {restarts} restarts){said}. See its log."
    if reason and reason not in HARMLESS:
        return f"Container {name} cannot be started ({reason}): {waiting.get('message', '')}."
    if ended and ended.get("exitCode"):
        return f"Container {name} has ended with exit code {ended['exitCode']} ({ended.get('reason', '')})."
    return ""


def _condition(pod: Json, kind: str) -> Json:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == kind), {})
