# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""listener_drain against real sidecars, native and classic."""

from __future__ import annotations

import typing as t

import pytest

from .mesh import CLIENT, Mesh

Json = dict[str, t.Any]
VISIT = {"label_selector": "app=sleep", "path": "/hello"}


@pytest.fixture
def drain(run_module: t.Any, kubeconfig: t.Any, mesh: Mesh) -> t.Callable[..., Json]:
    def call(state: str = "drained", check: bool = False, **params: t.Any) -> Json:
        given = {"namespace": mesh.namespace, "state": state, "kubeconfig": str(kubeconfig), **params}
        return t.cast(Json, run_module("listener_drain", check=check, params=given))

    return call


def stopped(mesh: Mesh, pod: str) -> int:
    enter = ("-n", mesh.namespace, "exec", pod, "-c", "istio-proxy", "--", "pilot-agent", "request", "GET")
    text = mesh.kubectl(*enter, "stats?filter=listener_stopped")
    return int(text.split(": ")[1])


def restarts(pod: Json) -> dict[str, int]:
    status = pod["status"]
    states = [*status["containerStatuses"], *status.get("initContainerStatuses", [])]
    return {state["name"]: state["restartCount"] for state in states if state["name"] != "istio-init"}


@pytest.mark.parametrize(("place", "kind"), [("tianjin", "native"), ("beijing", "classic")])
def test_there_and_back(drain: t.Any, mesh: Mesh, place: str, kind: str) -> None:
    labels = f"app=helloworld,version={place}"
    before = mesh.pod(labels)
    name = before["metadata"]["name"]

    planned = drain(check=True, label_selector=labels)
    assert planned["changed"]
    assert stopped(mesh, name) == 0

    done = drain(label_selector=labels, inbound_only=True, verify_from=VISIT)
    (pod,) = done["pods"]
    assert (done["changed"], pod["sidecar"], pod["verified"]) == (True, kind, True), done
    assert pod["listeners_stopped"] == stopped(mesh, name) == 1
    assert done["diff"] == {"before": {name: "listening"}, "after": {name: "listeners stopped"}}
    assert drain(label_selector=labels, inbound_only=True)["changed"] is False

    full = drain(label_selector=labels)
    assert full["changed"], "a drain of the inbound listeners is not yet one of all"
    assert full["pods"][0]["listeners_stopped"] == stopped(mesh, name) > 1
    assert drain(label_selector=labels)["changed"] is False

    back = drain("restored", label_selector=labels, verify_from=VISIT)
    assert (back["changed"], back["pods"][0]["verified"]) == (True, True), back
    after = mesh.pod(labels)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["podIP"] == before["status"]["podIP"]
    was, now = restarts(before), restarts(after)
    assert now == {**was, "istio-proxy": was["istio-proxy"] + 1}
    assert stopped(mesh, name) == 0
    assert drain("restored", label_selector=labels)["changed"] is False


def test_a_service_keeps_a_ready_pod(drain: t.Any, mesh: Mesh) -> None:
    refused = drain(label_selector="app=helloworld")
    assert refused["failed"]
    assert f"every ready pod of Service {mesh.namespace}/helloworld" in refused["msg"]
    assert [stopped(mesh, pod["metadata"]["name"]) for pod in mesh.get("pods", "-l", "app=helloworld")["items"]] == [
        0
    ] * 3


def test_a_job_whose_sidecar_would_not_come_back_is_not_restored(drain: t.Any, mesh: Mesh) -> None:
    container = {**CLIENT, "imagePullPolicy": "IfNotPresent"}
    annotations = {"sidecar.istio.io/nativeSidecar": "false"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "job", "labels": {"app": "job"}, "annotations": annotations},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]},
    }
    mesh.apply(pod)
    mesh.kubectl("-n", mesh.namespace, "wait", "pod/job", "--for=condition=Ready", "--timeout=60s")
    assert drain(pods=["job"])["changed"]
    refused = drain("restored", pods=["job"])
    assert refused["failed"]
    assert "restartPolicy is Never" in refused["msg"]
    assert mesh.get("pod", "job")["status"]["phase"] == "Running"
    mesh.kubectl("-n", mesh.namespace, "delete", "pod", "job", "--wait=false")


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({}, "Neither pods nor label_selector"),
        ({"label_selector": "app=plain"}, "no Istio sidecar"),
        ({"pods": ["nobody"]}, "Pod nobody does not exist"),
        ({"label_selector": "app=sleep", "verify_from": {"path": "/"}}, "exactly one of"),
        (
            {"label_selector": "app=sleep", "allow_all": True, "verify_from": {**VISIT, "path": "x"}},
            "start with a slash",
        ),
    ],
)
def test_bad_input(drain: t.Any, mesh: Mesh, params: Json, says: str) -> None:
    result = drain(**params)
    assert result["failed"]
    assert says in result["msg"]
