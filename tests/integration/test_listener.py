# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""listener_drain against real sidecars, native and classic."""

from __future__ import annotations

import time
import typing as t

import pytest

from .mesh import CLIENT, Mesh

Json = dict[str, t.Any]
VISIT = {"label_selector": "app=sleep", "path": "/hello"}
WHERE = "app=helloworld,version=guangzhou"


@pytest.fixture
def drain(run_module: t.Any, kubeconfig: t.Any, mesh: Mesh) -> t.Callable[..., Json]:
    def call(state: str = "drained", check: bool = False, **params: t.Any) -> Json:
        where = {"namespace": mesh.namespace, "lock_namespace": mesh.namespace}
        given = {**where, "state": state, "kubeconfig": str(kubeconfig), **params}
        return t.cast(Json, run_module("listener_drain", check=check, params=given))

    return call


@pytest.fixture
def server(mesh: Mesh) -> t.Iterator[str]:
    """The name of a pod that is replaced after the test: kubelet restarts one pod's sidecar later and later."""
    yield mesh.name(WHERE)
    before = {pod["metadata"]["name"] for pod in mesh.get("pods", "-l", WHERE)["items"]}
    mesh.kubectl("-n", mesh.namespace, "delete", "pod", "-l", WHERE, "--wait=true")
    # The Deployment still calls the deleted pod available for a moment, and the new one may not be there yet.
    until = time.monotonic() + 60
    while not (after := {pod["metadata"]["name"] for pod in mesh.get("pods", "-l", WHERE)["items"]} - before):
        assert time.monotonic() < until, "the pod is not replaced"
        time.sleep(0.2)
    mesh.kubectl("-n", mesh.namespace, "wait", "--for=condition=Ready", "--timeout=60s", *(f"pod/{p}" for p in after))


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


@pytest.mark.parametrize(("kind", "says"), [("Pod", "restartPolicy is Never"), ("Job", "It belongs to Job/once")])
def test_what_could_not_be_undone_is_not_drained(drain: t.Any, mesh: Mesh, kind: str, says: str) -> None:
    container = {**CLIENT, "imagePullPolicy": "IfNotPresent"}
    metadata = {"labels": {"app": "once"}, "annotations": {"sidecar.istio.io/nativeSidecar": "false"}}
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    if kind == "Pod":
        mesh.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "once", **metadata}, "spec": pod})
    else:
        template = {"template": {"metadata": metadata, "spec": pod}}
        mesh.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": template})
    try:
        until = time.monotonic() + 60
        while not mesh.get("pods", "-l", "app=once")["items"] and time.monotonic() < until:
            time.sleep(0.2)
        name = mesh.name("app=once")
        mesh.kubectl("-n", mesh.namespace, "wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
        refused = drain(pods=[name])
        assert refused["failed"]
        assert "could not be undone" in refused["msg"]
        assert says in refused["msg"]
        assert stopped(mesh, name) == 0
    finally:
        mesh.kubectl("-n", mesh.namespace, "delete", kind.lower(), "once", "--wait=true", "--ignore-not-found")


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"reset": True}])
def test_a_restore_outlives_faults(drain: t.Any, mesh: Mesh, server: str, fault_proxy: t.Any, fault: Json) -> None:
    """Every kind of request of it fails five times; the request to end the sidecar gets lost as well."""
    through = str(fault_proxy.kubeconfig)
    assert drain(label_selector=WHERE, inbound_only=True)["changed"]
    for method, path in [
        ("GET", r"/pods\?"),
        ("GET", "/exec.*stats"),
        ("GET", "/exec.*quitquitquit"),
        ("GET", "/pods/[^/]+$"),
    ]:
        fault_proxy.add(method, path, times=5 if "quit" not in path else 1, **fault)
    back = drain("restored", label_selector=WHERE, kubeconfig=through)
    assert (back.get("failed", False), back["changed"], stopped(mesh, server)) == (False, True, 0), back


def test_a_restore_outlives_a_closed_port(drain: t.Any, mesh: Mesh, server: str, fault_proxy: t.Any) -> None:
    assert drain(label_selector=WHERE, inbound_only=True)["changed"]
    fault_proxy.add("GET", "/exec.*quitquitquit", times=1, before=lambda: fault_proxy.shut(20))
    back = drain("restored", label_selector=WHERE, kubeconfig=str(fault_proxy.kubeconfig))
    assert (back.get("failed", False), back["changed"], stopped(mesh, server)) == (False, True, 0), back


def test_credentials_that_expire_and_are_renewed(drain: t.Any, mesh: Mesh, server: str, fault_proxy: t.Any) -> None:
    assert drain(label_selector=WHERE, inbound_only=True)["changed"]
    fault_proxy.add("*", "/pods/", times=12, status=401)
    back = drain("restored", label_selector=WHERE, kubeconfig=str(fault_proxy.kubeconfig))
    assert (back.get("failed", False), back["changed"], stopped(mesh, server)) == (False, True, 0), back


@pytest.mark.parametrize("option", ["namespace", "label_selector", "pods"])
def test_a_blank_option_is_nobody(drain: t.Any, mesh: Mesh, option: str) -> None:
    given: Json = {"label_selector": "version=guangzhou"} if option == "namespace" else {}
    refused = drain(**{**given, option: [""] if option == "pods" else ""})
    assert refused["failed"]
    assert "is empty" in refused["msg"] or "Exactly one" in refused["msg"], refused
    assert stopped(mesh, mesh.name(WHERE)) == 0


@pytest.mark.parametrize("blank", ["", " "])
def test_a_blank_field_of_a_form_restores_nothing(run_playbook: t.Any, kubeconfig: t.Any, blank: str) -> None:
    run = run_playbook("restore", kubeconfig=kubeconfig, restore_namespace=blank)
    assert run.rc != 0
    assert any("Say which namespace" in failure for failure in run.failures()), run.failures()


def test_everything_everywhere_is_restored_when_asked_for(drain: t.Any, mesh: Mesh, server: str) -> None:
    assert drain(label_selector=WHERE, inbound_only=True)["changed"]
    back = drain("restored", namespace=None, all_namespaces=True, label_selector=WHERE)
    assert (back.get("failed", False), back["changed"], stopped(mesh, server)) == (False, True, 0), back
    refused = drain(namespace=None, all_namespaces=True, label_selector=WHERE)
    assert "for restoring only" in refused["msg"]


def test_what_is_needed_to_restore_is_on_the_pod_before_the_drain(
    drain: t.Any, mesh: Mesh, server: str, fault_proxy: t.Any, run_playbook: t.Any, kubeconfig: t.Any
) -> None:
    """When the drain is sent, the note is there; somebody on another machine restores what it names."""

    def look() -> None:
        seen.append(mesh.pod(WHERE)["metadata"]["annotations"].get("meshops.locality/listener-drain", ""))

    seen: list[str] = []
    fault_proxy.add("GET", "/exec.*drain_listeners", times=1, before=look)
    assert drain(label_selector=WHERE, inbound_only=True, kubeconfig=str(fault_proxy.kubeconfig))["changed"]
    (note,) = seen
    assert '"by": "listener_drain by ' in note
    assert mesh.get("lease", "meshops-drill")["spec"].get("holderIdentity") is None
    everywhere = {"restore_all_namespaces": True, "restore_annotated_pods": True}
    done = run_playbook("restore", kubeconfig=kubeconfig, **everywhere)
    assert stopped(mesh, server) == 0, done
    assert "meshops.locality/listener-drain" not in mesh.pod(WHERE)["metadata"]["annotations"]


def test_a_drain_that_is_refused_leaves_the_note_of_the_drain_before(
    drain: t.Any, mesh: Mesh, server: str, fault_proxy: t.Any
) -> None:
    """Kubelet or somebody else writes the pod meanwhile, too: it is looked at again."""

    def annotations() -> Json:
        return t.cast(Json, mesh.pod(WHERE)["metadata"]["annotations"])

    assert drain(label_selector=WHERE, inbound_only=True)["changed"]
    before = annotations()
    assert "meshops.locality/listener-drain" in before
    label = ("-n", mesh.namespace, "label", "--overwrite", "pod", server, "theirs=1")
    fault_proxy.add("PATCH", f"/pods/{server}", times=1, before=lambda: mesh.kubectl(*label))
    fault_proxy.add("GET", "/exec.*drain_listeners", times=1, status=403)
    refused = drain(label_selector=WHERE, kubeconfig=str(fault_proxy.kubeconfig))
    assert (refused.get("error"), annotations()) == ("Forbidden", before), refused
    assert drain("restored", annotated_pods=True)["changed"]
    assert (stopped(mesh, server), "meshops.locality/listener-drain" in annotations()) == (0, False)


def test_a_client_that_is_not_there_keeps_nothing_from_being_restored(drain: t.Any, mesh: Mesh, server: str) -> None:
    assert drain(label_selector=WHERE, inbound_only=True)["changed"]
    back = drain("restored", label_selector=WHERE, verify_from={"label_selector": "app=slep"})
    assert back["failed"]
    assert "not verified. No running pod" in back["msg"]
    assert "app=slep" in back["msg"]
    (pod,) = back["pods"]
    assert (back["changed"], pod["changed"], pod["error"], pod["verified"]) == (True, True, "", None)
    assert stopped(mesh, server) == 0
    assert back["diff"] == {"before": {server: "listeners stopped"}, "after": {server: "listening"}}


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"label_selector": "app=sleep", "verify_from": VISIT}, "declares no port"),
        ({"label_selector": WHERE, "verify_from": {"pod": "bare"}}, "has no curl"),
        ({"label_selector": WHERE, "verify_from": {"label_selector": "app=slep"}}, "app=slep"),
    ],
)
def test_what_could_not_be_verified_is_not_drained(
    drain: t.Any, mesh: Mesh, bare: str, params: Json, says: str
) -> None:
    refused = drain(inbound_only=True, **params)
    assert refused["failed"]
    assert says in refused["msg"]
    assert stopped(mesh, mesh.name(params["label_selector"])) == 0


def test_an_error_after_the_drain_keeps_what_was_done(drain: t.Any, mesh: Mesh, server: str) -> None:
    # Port 15020 of the agent is not Envoy's: it goes on answering.
    visit = {"label_selector": "app=plain", "port": 15020, "path": "/healthz/ready"}
    done = drain(label_selector=WHERE, inbound_only=True, verify_from=visit)
    assert done["failed"]
    assert "The listeners are stopped, but" in done["msg"]
    (pod,) = done["pods"]
    assert (done["changed"], pod["changed"], pod["listeners_stopped"], stopped(mesh, server)) == (True, True, 1, 1)
    assert done["diff"]["after"] == {server: "listeners stopped"}


def test_a_lost_answer_is_a_drain_nevertheless(drain: t.Any, mesh: Mesh, server: str, fault_proxy: t.Any) -> None:
    """First the request does not get through; then it does, but its answer does not."""
    through = str(fault_proxy.kubeconfig)
    fault_proxy.add("GET", "/exec.*drain_listeners", times=1, status=500)
    failed = drain(label_selector=WHERE, inbound_only=True, kubeconfig=through, api_timeout=0)
    assert failed["failed"]
    assert (failed["changed"], failed["pods"][0]["changed"], stopped(mesh, server)) == (False, False, 0)

    enter = ("-n", mesh.namespace, "exec", server, "-c", "istio-proxy", "--", "pilot-agent", "request", "POST")

    def send() -> None:
        mesh.kubectl(*enter, "drain_listeners?inboundonly")

    fault_proxy.add("GET", "/exec.*drain_listeners", times=1, before=send, status=500)
    done = drain(label_selector=WHERE, inbound_only=True, kubeconfig=through)
    assert (done["changed"], done["pods"][0]["error"], stopped(mesh, server)) == (True, "", 1), done


def test_pods_drained_inbound_only_do_not_count_as_remaining(drain: t.Any, mesh: Mesh, server: str) -> None:
    """They stay ready. Then the whole namespace is restored, without a word about which pods."""
    others = "version in (beijing,guangzhou)"
    assert drain(label_selector=others, inbound_only=True)["changed"]
    try:
        last = mesh.name("app=helloworld,version=tianjin")
        refused = drain(pods=[last], inbound_only=True)
        assert refused["failed"]
        assert f"every ready pod of Service {mesh.namespace}/helloworld: {last} (the others" in refused["msg"]
        assert stopped(mesh, last) == 0
        assert drain(label_selector=others, inbound_only=True)["changed"] is False
    finally:
        back = drain("restored", all_pods=True)
    assert back["changed"], back
    assert sum(pod["changed"] for pod in back["pods"]) == 2


def test_a_namespace_is_restored_although_another_pod_is_broken(drain: t.Any, mesh: Mesh, server: str) -> None:
    broken = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "broken", "labels": {"app": "broken"}},
        "spec": {"terminationGracePeriodSeconds": 0, "nodeSelector": {"no": "such"}, "containers": [CLIENT]},
    }
    mesh.apply(broken)
    try:
        assert drain(label_selector=WHERE, inbound_only=True)["changed"]
        back = drain("restored", all_pods=True, wait_timeout=60)
        assert (back.get("failed", False), back["changed"]) == (False, True), back
        pods = {pod["pod"]: pod for pod in back["pods"]}
        assert "not scheduled" in pods["broken"]["note"]
        assert (pods["broken"]["error"], pods[server]["changed"]) == ("", True)
        assert stopped(mesh, server) == 0
        named = drain("restored", pods=["broken"])
        assert named["failed"]
        assert "not scheduled" in named["msg"]
    finally:
        mesh.kubectl("-n", mesh.namespace, "delete", "pod", "broken", "--wait=false")


def test_a_graceful_drain(drain: t.Any, mesh: Mesh, server: str) -> None:
    sent = drain(label_selector=WHERE, graceful=True, wait_timeout=2)
    (pod,) = sent["pods"]
    assert (sent["changed"], pod["error"], pod["listeners_stopped"]) == (True, "", 0), sent
    assert "accepted the graceful drain" in pod["proof"]
    assert sent["diff"]["after"] == {server: "draining gracefully"}
    again = drain(label_selector=WHERE, graceful=True, wait_timeout=2)
    assert (again["changed"], "is not over" in again["pods"][0]["proof"]) == (False, True), again
    # Istio's drain time is 45 seconds: then the listeners do stop.
    until = time.monotonic() + 90
    while not stopped(mesh, server) and time.monotonic() < until:
        time.sleep(2)
    assert drain(label_selector=WHERE, graceful=True)["changed"] is False
    assert stopped(mesh, server) > 1


def test_a_graceful_drain_that_is_not_over_is_restored(drain: t.Any, mesh: Mesh, server: str) -> None:
    assert drain(label_selector=WHERE, graceful=True, wait_timeout=1)["changed"]
    back = drain("restored", label_selector=WHERE)
    assert (back.get("failed", False), back["changed"]) == (False, True), back
    time.sleep(50)  # Longer than the drain would have taken.
    assert stopped(mesh, server) == 0
    assert "meshops.locality/listener-drain" not in mesh.pod(WHERE)["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({}, "Exactly one of pods, label_selector, all_pods and annotated_pods"),
        ({"all_pods": True}, "all_pods is for restoring only"),
        ({"annotated_pods": True}, "annotated_pods is for restoring only"),
        ({"state": "restored"}, "Exactly one of pods, label_selector, all_pods and annotated_pods"),
        ({"state": "restored", "pods": []}, "Exactly one of pods, label_selector, all_pods and annotated_pods"),
        ({"state": "restored", "label_selector": ""}, "label_selector"),
        ({"state": "restored", "label_selector": "app=sleep", "all_pods": True}, "Exactly one of pods"),
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
