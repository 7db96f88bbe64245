# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""failover_drill on a real mesh: what it proves, what it refuses, and that everything is as before."""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t

import pytest

from tests.integration.fault_proxy import FaultProxy
from tests.integration.mesh import BARE, SERVER, Mesh, deployment, pod_template, rule

from .conftest import View

Json = dict[str, t.Any]


def refused(result: Json) -> list[str]:
    """Return the rules that speak against a drill."""
    return [gate_rule["rule"] for gate_rule in result["drill"]["gate"] if not gate_rule["passed"]]


def test_losing_a_place_is_proven(
    drill: t.Any, run_module: t.Any, options: Json, view: View, fresh: str, mesh: Mesh
) -> None:
    before = view.state()
    done = drill(max_time_to_shift=5, failback_timeout=60)
    assert done["outcome"] == "SUCCEEDED", done["msg"] if "msg" in done else done["reason"]
    seen = done["drill"]
    assert [phase["name"] for phase in seen["phases"]][:7] == [
        "preflight", "snapshot", "prediction", "gate", "lock", "journal", "inject",
    ]  # fmt: skip
    places = {
        part: {place.rpartition("/")[2] for place in seen["measured"]["by_place"][part]} for part in ("before", "after")
    }
    # On a busy machine a request that was due before the fault may be answered after it.
    assert "tianjin" in places["before"]
    assert "tianjin" in places["after"], "the lost pod answers again"
    assert seen["measured"]["failed_back_t"] >= seen["fault"]["ended_t"]
    (shift,) = seen["shifts"]
    assert shift["mechanism"] == "ejection"
    assert 0 < seen["measured"]["time_to_inject"] < seen["fault"]["seconds"], "Envoy's answer was heard meanwhile"
    (pod,) = seen["restore"]["pods"]
    assert (pod["uid_same"], pod["restarts"], pod["changed"]) == (True, 1, True)
    expected = [
        difference["field"] for difference in seen["restore"]["snapshot"]["differences"] if difference["expected"]
    ]
    assert expected == ["restarts of istio-proxy"]
    assert (view.stopped(fresh), view.timers(fresh)) == (0, 0)
    view.equals(before)
    where = {"namespaces": [options["namespace"]], "lock_namespace": options["namespace"]}
    info = run_module("failover_drill_info", params={**where, "kubeconfig": options["kubeconfig"]})
    assert [past_drill["outcome"] for past_drill in info["drills"]] == ["SUCCEEDED"]
    assert [covered["proven"] for covered in info["coverage"]] == [True], info["coverage"]
    assert (info["to_restore"], info["lock"]["holder"]) == ([], "")
    assert options["namespace"] in info["consenting_namespaces"]
    (never,) = info["never_drilled"]
    assert never["service"] == "helloworld"
    assert [loss for loss in never["losses"] if "beijing" in loss]
    assert not [loss for loss in never["losses"] if "tianjin" in loss]
    mesh.apply(rule(maxEjectionPercent=90, baseEjectionTime="15s"))
    try:
        (entry,) = run_module("failover_drill_info", params={**where, "kubeconfig": options["kubeconfig"]})["coverage"]
    finally:
        mesh.apply(rule(maxEjectionPercent=100, baseEjectionTime="15s"))
    assert (entry["proven"], entry["changed_since"]) == (False, [f"DestinationRule {mesh.namespace}/helloworld"])


def test_check_mode_says_what_would_happen_and_writes_nothing(drill: t.Any, view: View, fresh: str, mesh: Mesh) -> None:
    before = view.state()
    done = drill(check=True)
    assert (done["outcome"], done["changed"]) == ("PENDING", True)
    assert "0 to 0 failed requests predicted" in done["reason"]
    assert fresh in done["reason"]
    assert view.state() == before
    assert (view.journals(), view.journals("closed")) == ([], [])
    assert mesh.get("leases")["items"] == []


@pytest.mark.parametrize(
    ("params", "rule_id", "says"),
    [
        ({"scope": ["label_selector app=helloworld"]}, "last_place", "nothing would be left that answers"),
        ({"max_pods": 1, "scope": ["region cn-north-4"]}, "limits", "max_pods is 1"),
        ({"blocked_windows": [{}]}, "blocked_windows", "blocked window"),
        ({"path": "/nothing"}, "steady_state", "got 404, 404, 404"),
        ({"fault": "scale_to_zero", "error_budget": 1.0}, "dead_mans_switch", "accept_manual_restore: true"),
        ({"spare_pods": 1}, "capacity", "beijing would carry most with 1 endpoint(s)"),
    ],
)
def test_the_gate(drill: t.Any, view: View, fresh: str, params: Json, rule_id: str, says: str) -> None:
    done = drill(**params)
    outcome = "CAPACITY_CHECK_FAILED" if rule_id == "capacity" else "REFUSED"
    assert (done["outcome"], done["failed"], done["changed"]) == (outcome, True, False)
    assert rule_id in refused(done)
    assert says in done["msg"]
    assert view.stopped(fresh) == 0
    assert view.journals() == []


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"service": "nothing"}, "There is no Service"),
        ({"scope": ["subzone nowhere"]}, "has no endpoint in subzone nowhere"),
        ({"clients": [{"label_selector": "app=nobody"}]}, "app=nobody"),
        ({"clients": [{"label_selector": "app=sleep", "container": "x"}]}, "has no container x"),
        ({"duration": 0}, "duration is 0"),
        ({"accept": ["last_place"]}, "'last_place' cannot be accepted"),
        ({"fault": "application_error", "fault_path": "/nothing"}, "answered 404"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_touched(drill: t.Any, view: View, params: Json, says: str) -> None:
    done = drill(**params)
    assert (done["outcome"], done["changed"]) == ("REFUSED", False), done
    assert says in done["msg"]
    assert view.journals() == []


def test_a_client_without_curl_cannot_ask(drill: t.Any, mesh: Mesh, view: View, fresh: str) -> None:
    with_sidecar: Json = {**BARE, "metadata": {"name": "bare", "labels": {"app": "bare"}}}
    mesh.apply(with_sidecar)
    mesh.kubectl("-n", mesh.namespace, "wait", "pod/bare", "--for=condition=Ready", "--timeout=90s")
    try:
        done = drill(clients=[{"pod": "bare"}])
    finally:
        mesh.kubectl("-n", mesh.namespace, "delete", "pod", "bare", "--wait=true")
    assert done["outcome"] == "REFUSED"
    assert "has no curl" in done["msg"]
    assert view.stopped(fresh) == 0


def test_without_consent(drill: t.Any, mesh: Mesh, fresh: str) -> None:
    mesh.kubectl("label", "namespace", mesh.namespace, "meshops.locality/drills-")
    try:
        done = drill()
        assert refused(done) == ["consent"]
        assert f"kubectl label namespace {mesh.namespace} meshops.locality/drills=allowed" in done["msg"]
        assert drill(check=True, allowed_namespaces=[mesh.namespace])["outcome"] == "PENDING"
    finally:
        mesh.kubectl("label", "namespace", mesh.namespace, "meshops.locality/drills=allowed")


def test_the_tutorial_as_written_fails(drill: t.Any, mesh: Mesh, view: View, fresh: str) -> None:
    """Without maxEjectionPercent nobody is ejected: requests fail until Kubernetes notices, which a drain shows."""
    before = view.state()
    mesh.apply(rule(baseEjectionTime="15s"))
    try:
        blocked = drill()
        assert {"lint", "error_budget"} <= set(refused(blocked)), blocked["msg"]
        done = drill(
            fault="drain", duration=75, error_budget=1.0, max_time_to_shift=10, accept=["lint"], timeout=2, rate=5
        )
    finally:
        mesh.apply(rule(maxEjectionPercent=100, baseEjectionTime="15s"))
    assert done["outcome"] == "FAILED", done["reason"]
    seen = done["drill"]["measured"]
    assert 35 < seen["time_to_shift"] < 70, done["reason"]
    assert seen["failed"] > 150
    assert {shift["mechanism"] for shift in done["drill"]["shifts"]} == {"eds_health"}
    assert any("maxEjectionPercent" in finding["what"] for finding in done["drill"]["findings"])
    view.equals(before)


def test_two_drills_race(start: t.Any, view: View, fresh: str) -> None:
    """The second begins when the first has begun to watch: two processors that start it would show in its requests."""
    before = view.state()
    first = start(duration=30)
    first.wait_for("phase", "observe")
    second = start(scope=["subzone beijing"])
    results = [first.result(), second.result()]
    assert [result["outcome"] for result in results] == ["SUCCEEDED", "REFUSED"], [
        result["reason"] for result in results
    ]
    assert "has the lock of this mesh (Lease" in results[1]["reason"]
    view.equals(before)


def test_somebody_restores_in_the_middle(limited: str, start: t.Any, restore: t.Any, view: View, fresh: str) -> None:
    before = view.state()
    process = start(duration=60, kubeconfig=limited, lock_namespace="istio-system")
    process.wait_for("phase", "observe")
    done = restore()
    assert [(drill["closed"], drill["error"]) for drill in done["drills"]] == [(True, "")], done
    result = process.result()
    assert result["outcome"] == "INTERRUPTED", result["reason"]
    view.equals(before)
    assert view.journals() == []


def test_the_target_is_deleted(start: t.Any, mesh: Mesh, view: View, fresh: str) -> None:
    process = start(duration=60)
    process.wait_for("phase", "observe")
    mesh.kubectl("-n", mesh.namespace, "delete", "pod", fresh, "--wait=false")
    result = process.result()
    assert result["outcome"] == "INTERRUPTED", result["reason"]
    assert "deleted or replaced" in result["reason"]
    assert result["drill"]["restore"]["pods"][0]["state"] == "gone"
    assert view.journals() == []


def test_the_client_is_deleted(start: t.Any, mesh: Mesh, view: View, fresh: str) -> None:
    process = start(duration=60)
    process.wait_for("phase", "observe")
    mesh.kubectl("-n", mesh.namespace, "delete", "pod", "-l", "app=sleep", "--wait=true", "--grace-period=1")
    mesh.kubectl("-n", mesh.namespace, "wait", "deployment/sleep", "--for=condition=Available", "--timeout=90s")
    result = process.result()
    assert result["outcome"] == "INTERRUPTED", result["reason"]
    assert "does not ask any more" in result["reason"]
    assert (view.stopped(fresh), view.timers(fresh), view.journals()) == (0, 0, [])


def test_a_bystander_has_errors(start: t.Any, mesh: Mesh, view: View, fresh: str) -> None:
    """beijing asks guangzhou, which the drill does not touch and whose application fails: the drill ends at once."""
    before = view.state()
    victim = {"ports": [{"port": 5000, "name": "http"}], "selector": {"version": "guangzhou"}}
    mesh.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "victim"}, "spec": victim})
    ask = ("-n", mesh.namespace, "exec", mesh.name("version=beijing"), "-c", "helloworld", "--", "sh", "-c")
    fault = "http://" + mesh.pod("version=guangzhou")["status"]["podIP"] + ":5000/fault"
    process = start(duration=60)
    try:
        process.wait_for("phase", "observe")
        mesh.kubectl(*ask, f"curl -sS -X POST '{fault}?mode=status&code=503&seconds=60'")
        mesh.kubectl(*ask, "for i in 1 2 3 4 5 6 7 8 9 10; do curl -s http://victim:5000/hello; done; exit 0")
        result = process.result()
    finally:
        mesh.kubectl(*ask, f"curl -sS -X DELETE '{fault}'")
        mesh.kubectl("-n", mesh.namespace, "delete", "service", "victim")
    assert result["outcome"] == "FAILED", result["reason"]
    assert "Bystanders are hurt" in result["reason"]
    assert "victim" in result["reason"]
    assert result["drill"]["fault"]["ended_t"] - result["drill"]["fault"]["injected_t"] < 50
    view.equals(before)
    assert view.journals() == []


def test_a_person_stops_it(start: t.Any, restore: t.Any, drill: t.Any, view: View, fresh: str) -> None:
    before = view.state()
    process = start(duration=60)
    process.wait_for("phase", "observe")
    # The restoration that comes along has nothing else to do: it waits for no one.
    thread = threading.Thread(target=lambda: restore(stop="the shop has an incident", drills=None, expired=True))
    thread.start()
    result = process.result()
    thread.join()
    assert result["outcome"] == "INTERRUPTED"
    assert "the shop has an incident" in result["reason"]
    view.equals(before)
    # The endpoint is still ejected for a while, which speaks against a drill, too.
    assert refused(drill())[0] == "stop_switch"
    assert restore(stop="")["changed"]
    assert "stop_switch" not in refused(drill(check=True))


def test_the_api_server_is_gone_during_the_restoration(
    start: t.Any, view: View, fresh: str, fault_proxy: FaultProxy
) -> None:
    """60 s without it: the drill has patience."""
    before = view.state()
    process = start(kubeconfig=str(fault_proxy.kubeconfig), duration=4)
    process.wait_for("phase", "observe")
    trouble = fault_proxy.add("*", ".", status=503)
    time.sleep(60)
    trouble.times = 0
    result = process.result()
    assert result["outcome"] == "INTERRUPTED", result["reason"]
    assert "has not answered" in result["reason"]
    view.equals(before)
    assert (view.stopped(fresh), view.timers(fresh), view.journals()) == (0, 0, [])


@pytest.fixture
def stateful_set(mesh: Mesh) -> t.Iterator[None]:
    """One more server in guangzhou, a StatefulSet's."""
    labels = {"app": "helloworld", "version": "stateful"}
    item = deployment("stateful", labels, pod_template(labels, SERVER, "guangzhou"))
    mesh.apply({**item, "kind": "StatefulSet"})
    ready = "--for=jsonpath={.status.readyReplicas}=1"
    mesh.kubectl("-n", mesh.namespace, "wait", "statefulset/stateful", ready, "--timeout=90s")
    mesh.wait_for_endpoint("helloworld", "stateful-0")
    yield
    mesh.kubectl("-n", mesh.namespace, "delete", "statefulset", "stateful", "--wait=true")
    mesh.kubectl("-n", mesh.namespace, "wait", "pod/stateful-0", "--for=delete", "--timeout=90s")


@pytest.mark.parametrize(("kind", "name"), [("deployment", "helloworld-guangzhou"), ("statefulset", "stateful")])
@pytest.mark.usefixtures("stateful_set")
def test_a_scaled_workload_comes_back(limited: str, drill: t.Any, mesh: Mesh, view: View, kind: str, name: str) -> None:
    options: Json = {"accept_manual_restore": True, "expect_prediction": False, "error_budget": 0.2}
    options |= {"kubeconfig": limited, "lock_namespace": "istio-system"}
    workload = {"deployment": "Deployment", "statefulset": "StatefulSet"}[kind]
    done = drill(fault="scale_to_zero", scope=[f"workload {workload}/{name}"], **options)
    assert done["outcome"] == "SUCCEEDED", done.get("msg", done["reason"])
    assert mesh.get(kind, name)["status"]["readyReplicas"] == 1
    assert view.journals() == []


def test_an_application_that_fails_by_its_own_hand(drill: t.Any, view: View, fresh: str) -> None:
    before = view.state()
    done = drill(fault="application_error", expect_prediction=False, error_budget=0.5)
    assert done["outcome"] == "SUCCEEDED", done["reason"]
    assert {shift["mechanism"] for shift in done["drill"]["shifts"]} == {"ejection"}
    view.equals(before)


def test_a_cascade_and_back(drill: t.Any, mesh: Mesh, view: View, fresh: str) -> None:
    before = view.state()
    scope = ["subzone tianjin", "subzone beijing"]
    done = drill(scope=scope, cascade=True, duration=6, error_budget=0.3, expect_prediction=False)
    assert done["outcome"] == "SUCCEEDED", done["reason"]
    answered = {place.rpartition("/")[2] for place in done["drill"]["measured"]["by_place"]["during"]}
    assert answered >= {"beijing", "guangzhou"}
    restored = [event["pod"] for event in done["drill"]["events"] if event["kind"] == "restored"]
    assert [target.split("helloworld-")[1].split("-")[0] for target in restored] == ["beijing", "tianjin"]
    view.equals(before)


@pytest.fixture
def log_off(mesh: Mesh) -> t.Iterator[None]:
    """The client's Envoy writes no access log, as where a mesh has none."""
    spec = {
        "selector": {"matchLabels": {"app": "sleep"}},
        "accessLogging": [{"providers": [{"name": "envoy"}], "disabled": True}],
    }
    mesh.apply({"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "metadata": {"name": "off"}, "spec": spec})
    try:
        wait_for_loggers(mesh, some=False)
        yield
    finally:
        mesh.kubectl("-n", mesh.namespace, "delete", "telemetry", "off")
        wait_for_loggers(mesh, some=True)


def wait_for_loggers(mesh: Mesh, some: bool) -> None:
    """Wait until the client's Envoy has access logs, or none."""
    enter = ("-n", mesh.namespace, "exec", mesh.name("app=sleep"), "-c", "istio-proxy", "--", "pilot-agent", "request")
    until = time.monotonic() + 60
    while ("access_loggers" in mesh.kubectl(*enter, "GET", "config_dump?resource=dynamic_listeners")) != some:
        assert time.monotonic() < until, "istiod does not change the access logs"
        time.sleep(0.3)


@contextlib.contextmanager
def user_of(mesh: Mesh) -> t.Iterator[None]:
    """A user in the client, who asks about ten times a second."""
    request = "curl -s -o /dev/null -m 20 http://helloworld:5000/hello"
    loop = f"i=0; while [ $i -lt 700 ]; do {request}; i=$((i+1)); sleep 0.1; done"
    ask = ("-n", mesh.namespace, "exec", mesh.name("app=sleep"), "-c", "sleep", "--", "sh", "-c")
    user = threading.Thread(target=lambda: mesh.kubectl(*ask, f"({loop}) >/dev/null 2>&1 & echo $! >/tmp/user"))
    user.start()
    try:
        yield
    finally:
        mesh.kubectl(*ask, "kill $(cat /tmp/user); exit 0")
        user.join()


def test_only_the_requests_of_users(drill: t.Any, mesh: Mesh, view: View, fresh: str) -> None:
    """No request of ours: those that the client sends anyway are read from its Envoy's access log."""
    before = view.state()
    quiet = drill(load="users")
    assert "no requests of users to watch" in quiet["msg"]
    with user_of(mesh):
        done = drill(load="users", lead=5, expect_prediction=False, failback_timeout=30)
    assert done["outcome"] == "SUCCEEDED", done.get("msg", done["reason"])
    seen = done["drill"]["measured"]
    assert seen["requests"] > 20
    assert set(seen["by_place"]["before"]) == {"cn-north-4/cn-north-4b/tianjin"}
    assert "cn-north-4/cn-north-4b/beijing" in seen["by_place"]["during"]
    assert seen["witnesses"]["unavailable"] == []
    assert done["drill"]["load"]["kind"] == "users"
    view.equals(before)


@pytest.mark.soak
def test_requests_of_users_without_an_access_log(
    log_off: None, drill: t.Any, mesh: Mesh, view: View, fresh: str
) -> None:
    """Read are the counters of endpoints, which show attempts: those at the lost pod that a retry made good, too."""
    before = view.state()
    with user_of(mesh):
        done = drill(load="users", lead=5, expect_prediction=False, error_budget=0.3)
    assert done["outcome"] == "SUCCEEDED", done.get("msg", done["reason"])
    seen = done["drill"]["measured"]
    assert seen["requests"] > 20
    assert set(seen["by_place"]["before"]) == {"cn-north-4/cn-north-4b/tianjin"}
    assert "cn-north-4/cn-north-4b/beijing" in seen["by_place"]["during"]
    assert seen["by_code"].get("503", 0) > 0
    assert any("The access log of" in why and "is off" in why for why in seen["witnesses"]["unavailable"])
    view.equals(before)


@pytest.fixture
def without_curl(mesh: Mesh) -> t.Iterator[Json]:
    """A client in tianjin without curl: the options that let a drill bring its own."""
    labels = {"app": "bare", "topology.istio.io/locality": "cn-north-4.cn-north-4b.tianjin"}
    mesh.apply({**BARE, "metadata": {"name": "bare", "labels": labels}})
    mesh.kubectl("-n", mesh.namespace, "wait", "pod/bare", "--for=condition=Ready", "--timeout=90s")
    yield {"clients": [{"pod": "bare"}], "load": "injected"}
    mesh.kubectl("-n", mesh.namespace, "delete", "pod", "bare", "--wait=true")


def test_clients_that_the_drill_brings_along(
    limited: str, without_curl: Json, drill: t.Any, mesh: Mesh, view: View, fresh: str
) -> None:
    before = view.state()
    done = drill(**without_curl, kubeconfig=limited, lock_namespace="istio-system")
    assert done["outcome"] == "SUCCEEDED", done.get("msg", done["reason"])
    (client,) = done["drill"]["load"]["clients"]
    assert client["name"].startswith(f"{mesh.namespace}/meshops-drill-")
    assert client["place"] == "cn-north-4/cn-north-4b/tianjin"
    assert {shift["mechanism"] for shift in done["drill"]["shifts"]} == {"ejection"}
    assert mesh.get("pods", "-l", "meshops.locality/probe-of")["items"] == []
    view.equals(before)
    assert view.journals() == []


def test_sigkill_and_a_client_that_the_drill_brought_along(
    without_curl: Json, start: t.Any, restore: t.Any, mesh: Mesh, view: View, fresh: str
) -> None:
    before = view.state()
    process = start(**without_curl)
    process.wait_for("progress", "inject")
    process.kill()
    (pod,) = mesh.get("pods", "-l", "meshops.locality/probe-of")["items"]
    assert pod["spec"]["activeDeadlineSeconds"] > 600, "it ends by itself when nobody restores"
    done = restore()
    assert [drill["closed"] for drill in done["drills"]] == [True], done
    assert mesh.get("pods", "-l", "meshops.locality/probe-of")["items"] == []
    view.equals(before)
