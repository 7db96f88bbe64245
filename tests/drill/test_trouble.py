# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trouble in the middle of a drill, larger losses, and a canary's routes: the mesh is as before, every time."""

from __future__ import annotations

import time
import typing as t

import pytest

from tests.integration.fault_proxy import FaultProxy
from tests.integration.mesh import PLACES, Mesh, rule

from .conftest import View, replace

Json = dict[str, t.Any]


@pytest.fixture
def fresh_region(fresh: str, mesh: Mesh) -> t.Iterator[None]:
    """Tianjin's and beijing's pods are replaced after the test."""
    yield
    replace(mesh, "app=helloworld,version=beijing")


def test_a_region_is_lost_while_the_api_server_is_busy(
    drill: t.Any, view: View, fresh_region: None, fault_proxy: FaultProxy
) -> None:
    """Single answers 429 at every kind of request of a drill: they are asked again, and the drill goes on."""
    before = view.state()
    paths = ("/configmaps/meshops-drill-", "/leases/", "drain_listeners", "=quitquitquit", "/endpointslices", "/log")
    busy = [fault_proxy.add("*", path, status=429, times=2, headers={"Retry-After": "0"}) for path in paths]
    done = drill(
        scope=["region cn-north-4"],
        kubeconfig=str(fault_proxy.kubeconfig),
        error_budget=0.3,
        accept=["capacity"],
        expect_prediction=False,
    )
    assert done["outcome"] == "SUCCEEDED", done["reason"]
    assert [event.path for event in busy if event.times] == [], "every kind of request met it"
    assert PLACES["guangzhou"] in done["drill"]["measured"]["by_place"]["during"]
    assert {pod["place"] for pod in done["drill"]["scope"]["pods"]} == {PLACES["tianjin"], PLACES["beijing"]}
    view.equals(before)
    assert view.journals() == []


def test_the_credentials_are_refused_in_the_middle(
    start: t.Any, view: View, fresh: str, fault_proxy: FaultProxy
) -> None:
    """401 to everything for 8 s: nobody can hold the lock meanwhile. All is put back as soon as they are accepted."""
    before = view.state()
    process = start(kubeconfig=str(fault_proxy.kubeconfig), duration=60)
    process.wait_for("phase", "observe")
    trouble = fault_proxy.add("*", ".", status=401)
    process.wait_for("phase", "restore")
    time.sleep(6)
    trouble.times = 0
    result = process.result()
    assert result["outcome"] == "INTERRUPTED", result["reason"]
    view.equals(before)
    assert (view.stopped(fresh), view.timers(fresh), view.journals()) == (0, 0, [])


def test_nobody_answers_that_the_journal_is_written(
    start: t.Any, restore: t.Any, view: View, fault_proxy: FaultProxy
) -> None:
    """It may be there: the drill touches nothing, says that something may have changed, and restore closes it."""
    before = view.state()
    fault_proxy.add("POST", "/configmaps$", lost=True)
    result = start(kubeconfig=str(fault_proxy.kubeconfig), api_timeout=5).result()
    assert (result.get("outcome"), result.get("changed")) == ("INTERRUPTED", True), str(result)[:6000]
    assert "Run failover_restore" in result["reason"]
    view.equals(before)
    assert len(view.journals()) == 1
    assert restore()["changed"]
    assert view.journals() == []


def lease_holder(mesh: Mesh, holder: str) -> None:
    """Write somebody into the lock."""
    patch = f'{{"spec":{{"holderIdentity":"{holder}"}}}}'
    mesh.kubectl("-n", mesh.namespace, "patch", "lease", "meshops-drill", "--type=merge", "-p", patch)


def test_the_lock_is_lost_in_the_middle(start: t.Any, mesh: Mesh, view: View, fresh: str) -> None:
    before = view.state()
    process = start(duration=60)
    process.wait_for("phase", "observe")
    lease_holder(mesh, "somebody else")
    result = process.result()
    assert result["outcome"] == "INTERRUPTED", result["reason"]
    assert "somebody else" in result["reason"]
    view.equals(before)
    assert (view.stopped(fresh), view.journals()) == (0, [])
    assert mesh.get("lease", "meshops-drill")["spec"]["holderIdentity"] == "somebody else", "it is not ours to free"


def test_a_holder_that_is_gone_is_waited_out(drill: t.Any, mesh: Mesh, view: View, fresh: str) -> None:
    """Its Lease is seen unchanged for all of its 15 s; then the lock is free."""
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "meshops-drill"},
        "spec": {
            "holderIdentity": "a machine that burnt down",
            "leaseDurationSeconds": 15,
            "renewTime": "2026-01-01T00:00:00.000000Z",
        },
    }
    mesh.apply(lease)
    begun = time.monotonic()
    done = drill(check=True)
    assert done["outcome"] == "PENDING", done["msg"]
    assert time.monotonic() - begun >= 15
    assert mesh.get("lease", "meshops-drill")["spec"]["holderIdentity"] == "a machine that burnt down"


def canary(percent: int) -> list[Json]:
    """Subsets `stable` (beijing) and `canary` (tianjin alone), and a route that sends so much to the canary."""
    with_subsets = rule(maxEjectionPercent=100, baseEjectionTime="15s")
    with_subsets["spec"]["subsets"] = [
        {"name": "stable", "labels": {"version": "beijing"}},
        {"name": "canary", "labels": {"version": "tianjin"}},
    ]
    route = [
        {"destination": {"host": "helloworld", "subset": "stable"}, "weight": 100 - percent},
        {"destination": {"host": "helloworld", "subset": "canary"}, "weight": percent},
    ]
    service = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "canary"},
        "spec": {"hosts": ["helloworld"], "http": [{"route": route}]},
    }
    return [with_subsets, service]


@pytest.fixture
def routes(mesh: Mesh) -> t.Iterator[None]:
    """A canary with half of the requests, as long as the test runs."""
    mesh.apply(*canary(50))
    yield
    mesh.kubectl("-n", mesh.namespace, "delete", "virtualservice", "canary")
    # Subsets that left the manifest would stay with a patch.
    mesh.kubectl("-n", mesh.namespace, "delete", "destinationrule", "helloworld")
    mesh.apply(rule(maxEjectionPercent=100, baseEjectionTime="15s"))


def test_a_canary_that_is_alone_is_not_drilled_as_if_it_were_not(
    drill: t.Any, view: View, fresh: str, routes: None
) -> None:
    """Half of the requests are for the canary: losing it loses them, whatever other endpoints the Service has."""
    before = view.state()
    refused = drill(check=True)
    assert refused["outcome"] == "REFUSED", refused
    assert "error_budget" in [gate_rule["rule"] for gate_rule in refused["drill"]["gate"] if not gate_rule["passed"]], (
        refused["msg"]
    )
    done = drill(error_budget=1.0, max_time_to_shift=3, accept=["lint", "error_budget", "capacity"])
    assert done["outcome"] == "FAILED", done
    seen = done["drill"]["measured"]
    assert seen["failed"] > 0
    view.equals(before)
    assert view.journals() == []


@pytest.fixture
def scaled(mesh: Mesh, request: pytest.FixtureRequest) -> t.Iterator[int]:
    """So many replicas in each place."""
    count = int(request.param)
    names = [f"deployment/helloworld-{place}" for place in PLACES]
    wait = ("-n", mesh.namespace, "rollout", "status", "--timeout=180s")
    mesh.kubectl("-n", mesh.namespace, "scale", *names, f"--replicas={count}")
    for name in names:
        mesh.kubectl(*wait, name)
    yield count
    mesh.kubectl("-n", mesh.namespace, "scale", *names, "--replicas=1")
    until = time.monotonic() + 120
    while len(mesh.get("pods", "-l", "app=helloworld")["items"]) > len(PLACES) and time.monotonic() < until:
        time.sleep(0.5)
    replace(mesh, "app=helloworld,version=tianjin")


@pytest.mark.soak
@pytest.mark.parametrize("scaled", [2, 5], indirect=True)
def test_a_place_with_several_replicas(drill: t.Any, mesh: Mesh, view: View, scaled: int) -> None:
    before = view.state()
    done = drill(error_budget=0.05, expect_prediction=False)
    assert done["outcome"] == "SUCCEEDED", done["reason"]
    assert len(done["drill"]["scope"]["pods"]) == scaled
    assert {shift["mechanism"] for shift in done["drill"]["shifts"]} == {"ejection"}
    assert len(done["drill"]["shifts"]) == scaled
    view.equals(before, 120)
    assert view.journals() == []
    mesh.kubectl("-n", mesh.namespace, "delete", "configmap", "-l", "meshops.locality/drill", "--wait=true")
