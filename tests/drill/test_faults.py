# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault on a real mesh: what it does, what finds it out, and that it leaves nothing behind, also after SIGKILL."""

from __future__ import annotations

import time
import typing as t
from collections import Counter

import pytest

from tests.integration.fault_proxy import FaultProxy
from tests.integration.mesh import Mesh

from .conftest import TIANJIN, View
from .drill_process import DrillProcess

Json = dict[str, t.Any]
STOPPED = "meshops.locality/node-stopped"
JOURNAL = "/configmaps/meshops-drill-"
BY_HAND: Json = {"accept_manual_restore": True, "expect_prediction": False}


def cordoned(mesh: Mesh) -> list[str]:
    """Return the nodes that take no new pods."""
    return [item["metadata"]["name"] for item in mesh.get("nodes")["items"] if item["spec"].get("unschedulable")]


@pytest.fixture
def same(mesh: Mesh) -> t.Iterator[str]:
    """The name of tianjin's pod; no sidecar is restarted, so it stays. Journals and lock are gone after the test."""
    yield mesh.name(TIANJIN)
    mesh.kubectl("-n", mesh.namespace, "delete", "configmap", "-l", "meshops.locality/drill", "--wait=true")
    mesh.kubectl("-n", mesh.namespace, "delete", "lease", "meshops-drill", "--ignore-not-found")


def test_the_process_is_killed_and_comes_back(drill: t.Any, mesh: Mesh, fresh: str) -> None:
    before = mesh.get("pod", fresh)
    done = drill(fault="process_kill", accept=["prediction"], expect_prediction=False, error_budget=0.5)
    assert done["outcome"] == "SUCCEEDED", done.get("msg", done["reason"])
    after = mesh.get("pod", fresh)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    (state,) = after["status"]["containerStatuses"]
    assert state["restartCount"] == 1
    (pod,) = done["drill"]["restore"]["pods"]
    assert (pod["state"], pod["restarts"]) == ("restored", 1)


def wait_for_one_process(mesh: Mesh, container: str, seconds: float = 90) -> None:
    """Wait until a client has no request of an earlier drill open any more: each is a process until its time limit."""
    pod = mesh.name(f"app={container}")
    # A process that has ended and whose parent never asks for it is a zombie: it stays, and is none any more.
    names = "grep -L '^State:.Z' /proc/[0-9]*/status 2>/dev/null | xargs grep -h '^Name:' 2>/dev/null; true"
    until = time.monotonic() + seconds
    while True:
        shown = mesh.kubectl("-n", mesh.namespace, "exec", pod, "-c", container, "--", "sh", "-c", names)
        living = [line.split()[-1] for line in str(shown).splitlines()]
        others = sorted((Counter(living) - Counter([container, "sh", "xargs", "grep"])).elements())
        if not others:
            return
        assert time.monotonic() < until, others
        time.sleep(1)


def test_a_process_that_cannot_be_killed_is_refused(drill: t.Any, mesh: Mesh, view: View) -> None:
    """sleep, the only process of its container, handles no signal. It has a zombie, which cannot be killed either."""
    pod = mesh.name("app=sleep")
    # The orphan's parent is the container's first process, and sleep asks for no child.
    mesh.kubectl("-n", mesh.namespace, "exec", pod, "-c", "sleep", "--", "sh", "-c", "(sleep 0.1 &)")
    wait_for_one_process(mesh, "sleep")
    service = {"ports": [{"port": 80, "name": "http"}], "selector": {"app": "sleep"}}
    mesh.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "sleep"}, "spec": service})
    try:
        mesh.wait_for_endpoint("sleep", pod)
        done = drill(service="sleep", scope=["pod " + pod], fault="process_kill",
                     clients=[{"label_selector": "version=beijing"}])  # fmt: skip
    finally:
        mesh.kubectl("-n", mesh.namespace, "delete", "service", "sleep")
    assert done["outcome"] == "REFUSED"
    assert "handles none of" in done["msg"]
    assert view.journals() == []


@pytest.mark.soak
def test_a_lost_node_comes_back_when_everything_of_ours_is_gone(
    start: t.Any, restore: t.Any, mesh: Mesh, view: View, apart: tuple[str, str], fault_proxy: FaultProxy
) -> None:
    """The agent has its own clock. The restoration finds it done and closes the journal.

    Somebody writes the node just before the drill's dry run, and before the drill asks for the stop.
    """
    node, _pod = apart
    before = view.state()
    times = iter(range(2))
    label = ("label", "--overwrite", "node", node)
    fault_proxy.add("PATCH", f"/nodes/{node}", times=2, before=lambda: mesh.kubectl(*label, f"theirs={next(times)}"))
    through = str(fault_proxy.kubeconfig)
    process: DrillProcess = start(
        service="apart", fault="node_loss", duration=3, restore_timeout=10, kubeconfig=through
    )
    process.wait_for("fault")
    process.kill()
    assert STOPPED in mesh.get("node", node)["metadata"]["annotations"]
    until = time.monotonic() + 120
    while STOPPED in mesh.get("node", node)["metadata"]["annotations"]:
        assert time.monotonic() < until, "the agent does not start the node"
        time.sleep(1)
    (journal,) = view.journals()
    assert [drill["closed"] for drill in restore()["drills"]] == [True], journal
    view.equals(before)
    mesh.kubectl("label", "node", node, "theirs-")
    assert next(times, None) is None


def test_an_eviction_that_a_budget_forbids_is_refused(drill: t.Any, mesh: Mesh, same: str) -> None:
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"version": "tianjin"}}}
    mesh.apply({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "one"}, "spec": spec})
    try:
        mesh.kubectl("-n", mesh.namespace, "wait", "pdb/one", "--for=jsonpath={.status.currentHealthy}=1")
        done = drill(fault="evict", **BY_HAND)
    finally:
        mesh.kubectl("-n", mesh.namespace, "delete", "pdb", "one")
    assert done["outcome"] == "REFUSED"
    assert "disruption budget" in done["msg"]
    assert cordoned(mesh) == []


@pytest.mark.soak
def test_an_application_that_never_answers(drill: t.Any, view: View, fresh: str) -> None:
    before = view.state()
    # Without a timeout Envoy waits for ever: it is the clients that give up.
    options = {"accept": ["error_budget"], "expect_prediction": False, "error_budget": 1.0, "timeout": 1}
    done = drill(fault="application_hang", **options)
    assert done["outcome"] == "SUCCEEDED", done.get("msg", done["reason"])
    assert done["drill"]["measured"]["by_code"]["curl 28"] > 5
    view.equals(before)


def test_answers_that_take_too_long_end_a_drill(drill: t.Any, view: View, fresh: str) -> None:
    before = view.state()
    options = {"accept": ["prediction"], "expect_prediction": False, "max_latency": 1500, "duration": 60}
    done = drill(fault="application_delay", **options)
    assert done["outcome"] == "FAILED", done.get("msg", done["reason"])
    assert "Answers take too long" in done["msg"]
    view.equals(before)


def test_an_evacuated_sidecar_goes_on_to_serve(start: t.Any, mesh: Mesh, view: View, same: str) -> None:
    """Until its clients know that it has left they ask it, and a sidecar that no Service selects answers 503: seen
    are its inbound cluster, which stays, and that no client is shown the Service that it stays for."""
    before = view.state()
    process = start(fault="evacuate", duration=20, **BY_HAND)
    enter = ("-c", "istio-proxy", "--", "pilot-agent", "request", "GET", "clusters")

    def clusters(pod: str) -> set[str]:
        lines = str(mesh.kubectl("-n", mesh.namespace, "exec", pod, *enter)).splitlines()
        return {line.partition("::")[0] for line in lines}

    client = mesh.name("app=sleep")
    address = mesh.pod(TIANJIN)["status"]["podIP"]
    until = time.monotonic() + 90
    while address in str(mesh.get("endpointslices", "-l", "kubernetes.io/service-name=helloworld")):
        assert time.monotonic() < until, process.output()
        time.sleep(0.3)
    for _each in range(5):
        assert "inbound|5000||" in clusters(same)
        time.sleep(0.5)
    (own,) = (name for name in view.state() if name.startswith("Service/meshops-drill-"))
    assert not [name for name in clusters(client) if own.partition("/")[2] in name]
    done = process.result()
    assert (done["outcome"], done["drill"]["measured"]["failed"]) == ("SUCCEEDED", 0), done["msg"]
    view.equals(before)


#: Fault → the request before which the drill is killed: (method, path, how many come before). `make soak` has more.
KILLED = {
    "evacuate": ("PATCH", JOURNAL, 1),
    "evict": ("POST", "/eviction", 1),
    "network_deny": ("POST", "/networkpolicies", 1),
}


@pytest.mark.parametrize(
    "fault",
    ["evacuate", pytest.param("evict", marks=pytest.mark.soak), pytest.param("network_deny", marks=pytest.mark.soak)],
)
def test_sigkill_and_a_restoration(
    fault: str,
    start: t.Any,
    restore: t.Any,
    mesh: Mesh,
    view: View,
    same: str,
    fault_proxy: FaultProxy,
) -> None:
    before = view.state()
    processes: list[DrillProcess] = []
    moments: list[str] = []
    method, path, times = KILLED[fault]

    def kill() -> None:
        moments.append(fault)
        processes[0].kill()

    fault_proxy.add(method, path, times=times)
    fault_proxy.add(method, path, times=1, before=kill)
    processes.append(start(kubeconfig=str(fault_proxy.kubeconfig), duration=3, fault=fault, **BY_HAND))
    processes[0].process.wait(timeout=120)
    assert moments, (fault_proxy.seen[-30:], processes[0].output())
    assert len(view.journals()) == 1
    done = restore()
    assert [drill["closed"] for drill in done["drills"]] == [True], done
    assert cordoned(mesh) == []
    assert mesh.get("networkpolicies")["items"] == []
    if fault in ("evacuate", "network_deny"):
        view.equals(before)
    mesh.kubectl("-n", mesh.namespace, "wait", "deployment", "--all", "--for=condition=Available", "--timeout=90s")
    assert mesh.get("pods", "-l", "meshops.locality/serving")["items"] == []
    assert restore()["drills"] == []
