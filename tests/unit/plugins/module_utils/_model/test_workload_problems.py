# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._model.workload_problems import (
    deployment_problem,
    pod_problem,
    rolled_out,
)

Json = dict[str, t.Any]


def pod(*statuses: Json, spec: Json | None = None, **status: t.Any) -> Json:
    return {"spec": {"containers": [], **(spec or {})}, "status": {"containerStatuses": list(statuses), **status}}


def container(name: str = "main", *, ready: bool = False, last: Json | None = None, **state: Json) -> Json:
    ended = {"lastState": {"terminated": last}} if last else {}
    return {"name": name, "image": "image:1", "ready": ready, "restartCount": 3, "state": state, **ended}


def condition(kind: str, status: str, **more: str) -> Json:
    return {"type": kind, "status": status, **more}


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (pod(conditions=[condition("Ready", "True")]), ""),
        (pod(conditions=[condition("PodScheduled", "False", message="no room")]), "Unschedulable: no room"),
        (pod(phase="Failed", reason="Evicted", message="disk"), "It has ended (Failed): Evicted disk."),
        (pod(phase="Succeeded"), "It has ended (Succeeded)."),
        (
            pod(container(waiting={"reason": "ImagePullBackOff", "message": "no such tag"})),
            "The image image:1 of container main cannot be had (ImagePullBackOff): no such tag.",
        ),
        (
            pod(container(waiting={"reason": "CrashLoopBackOff"}, last={"exitCode": 137, "reason": "OOMKilled"})),
            "Container main keeps ending (exit code 137, OOMKilled, 3 restarts). See its log.",
        ),
        (
            pod(container(waiting={"reason": "CreateContainerConfigError", "message": "no secret x"})),
            "Container main cannot be started (CreateContainerConfigError): no secret x.",
        ),
        (
            pod(container(terminated={"exitCode": 2, "reason": "Error"})),
            "Container main has ended with exit code 2 (Error).",
        ),
        (pod(container(waiting={"reason": "ContainerCreating"})), "Still being started (EVENT)."),
        (pod(), "Still being started (EVENT)."),
        (pod(container(running={})), "Running, but the readiness of main fails (EVENT)."),
        (
            pod(container(ready=True, running={}), spec={"readinessGates": [{"conditionType": "gate"}]}),
            "Not ready: readiness gate gate (EVENT).",
        ),
        (
            pod(
                container(ready=True, running={}),
                initContainerStatuses=[container("istio-proxy", running={}), container("istio-init", terminated={})],
                spec={"initContainers": [{"name": "istio-proxy", "restartPolicy": "Always"}, {"name": "istio-init"}]},
            ),
            "Running, but the readiness of istio-proxy fails (EVENT).",
        ),
    ],
)
def test_pods(item: Json, message: str) -> None:
    assert pod_problem(item, lambda _spec: "", "EVENT") == message


def test_own_reason_before_the_schedulers() -> None:
    item = pod(conditions=[condition("PodScheduled", "False", message="0/5 nodes are available")])
    assert pod_problem(item, lambda _spec: "No node has the label a=1.") == "Unschedulable: No node has the label a=1."


def deployment(**status: int) -> Json:
    return {"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status}


FULL = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}


@pytest.mark.parametrize("less", ["observedGeneration", "updatedReplicas", "readyReplicas", "availableReplicas"])
def test_rolled_out(less: str) -> None:
    assert rolled_out(deployment(**FULL))
    assert not rolled_out(deployment(**{**FULL, less: 1}))
    assert not rolled_out(deployment(**{**FULL, "replicas": 3})), "a pod of the old template is left"


def test_refused_pods() -> None:
    failure = condition("ReplicaFailure", "True", reason="FailedCreate", message="exceeded quota")
    assert deployment_problem({"status": {"conditions": [failure]}}) == (
        "Pods cannot be created (FailedCreate): exceeded quota."
    )
    assert deployment_problem({"status": {"conditions": [{**failure, "status": "False"}]}}) == ""
    assert deployment_problem({}) == ""
