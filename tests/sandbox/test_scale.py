# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fake nodes and pods in the small sandbox: exactly what is asked for, as the real controllers see it, and all of it
goes again."""

from __future__ import annotations

import collections
import os
import signal
import typing as t

import psutil
import pytest

from meshops_sandbox import fake_objects
from meshops_sandbox.layout import RUN_ROOT
from tests.sandbox.conftest import Command
from tests.sandbox.test_running import kubectl, process, until

FEWER = ("--pods", "30", "--services", "3", "--regions", "2")
REAL = {"control-plane": True, "east": True, "west": True}


def scale(sandbox: Command, name: str, nodes: int, *options: str) -> str:
    done = sandbox("scale", "--name", name, "--nodes", str(nodes), *options, timeout=1200)  # it may have to build KWOK
    assert done.returncode == 0, done.stderr
    return done.stderr


def all_fake(sandbox: Command, name: str, kind: str) -> list[dict[str, t.Any]]:
    return kubectl(sandbox, name, "get", kind, "-A", "-l", fake_objects.SELECTOR)["items"]


@pytest.fixture(scope="module")
def scaled(sandbox: Command, small: str) -> t.Iterator[str]:
    """The small sandbox with 20 fake nodes and 60 fake pods of 6 services."""
    scale(sandbox, small, 20, "--pods", "60", "--services", "6")
    yield small
    sandbox("scale", "--name", small, "--nodes", "0")


def test_nodes_are_ready_and_in_their_places(sandbox: Command, scaled: str) -> None:
    nodes = all_fake(sandbox, scaled, "nodes")
    assert len(nodes) == 20
    for node in nodes:
        ready = [each["status"] for each in node["status"]["conditions"] if each["type"] == "Ready"]
        assert ready == ["True"], node["metadata"]["name"]
    wanted = fake_objects.nodes(fake_objects.Scale(20, 60, 6))
    for node in nodes:
        labels = wanted[node["metadata"]["name"]]["metadata"]["labels"]
        assert labels.items() <= node["metadata"]["labels"].items()


def test_endpoints_are_made_by_the_real_controller_and_say_where_they_are(sandbox: Command, scaled: str) -> None:
    slices = all_fake(sandbox, scaled, "endpointslices")
    makers = {each["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] for each in slices}
    assert makers == {"endpointslice-controller.k8s.io"}
    assert fake_objects.ready_endpoints(slices) == 60
    endpoints = [endpoint for each in slices for endpoint in each["endpoints"]]
    assert len({endpoint["addresses"][0] for endpoint in endpoints}) == 60
    zones = {node["metadata"]["name"]: node["metadata"]["labels"] for node in all_fake(sandbox, scaled, "nodes")}
    for endpoint in endpoints:
        assert endpoint["zone"] == zones[endpoint["nodeName"]]["topology.kubernetes.io/zone"]
    behind = collections.Counter(each["metadata"]["labels"]["kubernetes.io/service-name"] for each in slices)
    assert len(behind) == 6


def test_real_nodes_are_what_the_sandbox_tells_of(sandbox: Command, scaled: str) -> None:
    status = sandbox.status(scaled)
    assert status["state"] == "running"
    assert status["nodes"] == REAL
    assert status["fake"] == {"nodes": 20, "pods": 60, "services": 6}
    assert status["processes"]["kwok"] == "RUNNING"
    assert "is up already" in sandbox("up", "--name", scaled).stderr


def test_real_pods_stay_off_the_fake_nodes(sandbox: Command, scaled: str) -> None:
    kube = ("kubectl", "--name", scaled, "-n", "default")
    image = ("--image=docker.io/curlimages/curl:latest", "--image-pull-policy=Never")
    try:
        sandbox.works(*kube, "run", "real", *image, "--command", "--", "sleep", "infinity")
        sandbox.works(*kube, "wait", "pod", "real", "--for=condition=Ready", "--timeout=120s")
        assert kubectl(sandbox, scaled, "get", "pod", "real")["spec"]["nodeName"] in REAL
    finally:
        sandbox.works(*kube, "delete", "pod", "real", "--force", "--grace-period=0", "--ignore-not-found")


def test_the_same_numbers_again_change_nothing(sandbox: Command, scaled: str) -> None:
    def picture() -> set[object]:
        kinds = ("nodes", "pods", "services")
        return {item["metadata"]["uid"] for kind in kinds for item in all_fake(sandbox, scaled, kind)} | {
            process(scaled, f"[^ ]*/{program}") for program in ("kwok", "kube-controller-manager", "kubelet")
        }

    before = picture()
    assert 0 not in before
    scale(sandbox, scaled, 20, "--pods", "60", "--services", "6")
    assert picture() == before


def test_kwok_comes_back_with_a_killed_supervisor_and_other_numbers_are_reached(sandbox: Command, scaled: str) -> None:
    os.kill(int((RUN_ROOT / scaled / "supervisord.pid").read_text()), signal.SIGKILL)
    until(lambda: sandbox.status(scaled)["state"] == "broken")
    sandbox.works("up", "--name", scaled)
    until(lambda: sandbox.status(scaled)["processes"].get("kwok") == "RUNNING")
    scale(sandbox, scaled, 12, *FEWER)
    assert len(all_fake(sandbox, scaled, "nodes")) == 12
    assert len(all_fake(sandbox, scaled, "pods")) == 30
    assert len(all_fake(sandbox, scaled, "services")) == 3
    assert len(all_fake(sandbox, scaled, "namespaces")) == 3
    regions = {
        node["metadata"]["labels"]["topology.kubernetes.io/region"] for node in all_fake(sandbox, scaled, "nodes")
    }
    assert regions == {"region-1", "region-2"}


def test_what_has_the_name_of_a_fake_node_is_told(sandbox: Command, scaled: str) -> None:
    before = len(all_fake(sandbox, scaled, "nodes"))
    sandbox.works("kubectl", "--name", scaled, "label", "node", "fake-0", f"{fake_objects.LABEL}-")
    try:
        done = sandbox("scale", "--name", scaled, "--nodes", str(before), *FEWER)
        assert done.returncode == 1
        assert "refuses the Node fake-0: nodes" in done.stderr
        assert "already exists" in done.stderr
    finally:
        sandbox.works("kubectl", "--name", scaled, "label", "node", "fake-0", f"{fake_objects.LABEL}=true")


def test_numbers_that_do_not_fit_change_nothing(sandbox: Command, scaled: str) -> None:
    done = sandbox("scale", "--name", scaled, "--nodes", "2", "--pods", "1000")
    assert done.returncode == 3
    assert "--pods 1000 is not possible: it must be from 0 to 500" in done.stderr
    gone = sandbox("scale", "--name", "t-nowhere", "--nodes", "2")
    assert gone.returncode == 5
    assert "There is no running sandbox 't-nowhere'" in gone.stderr


def test_nothing_fake_is_left(sandbox: Command, scaled: str) -> None:
    scale(sandbox, scaled, 0)
    for kind in ("nodes", "namespaces", "pods", "services", "endpointslices"):
        assert all_fake(sandbox, scaled, kind) == [], kind
    assert {each["metadata"]["name"] for each in kubectl(sandbox, scaled, "get", "nodes")["items"]} == set(REAL)
    status = sandbox.status(scaled)
    assert status["fake"] == {}
    assert "kwok" not in status["processes"]
    assert process(scaled, "[^ ]*/kwok") == 0
    # Silent nodes are noticed as early as before.
    manager = psutil.Process(process(scaled, "[^ ]*/kube-controller-manager"))
    assert "--node-monitor-grace-period=50s" in manager.cmdline()
