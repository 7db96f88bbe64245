# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simple drill: what it refuses, what it leaves behind, and that taking back goes on after a failure."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from tests.conftest import Kubectl, PlaybookRun

PLACES = {"tianjin": {"region": "r", "zone": "z", "subzone": "tianjin"}}


@pytest.fixture
def hosts(kubeconfig: Path) -> dict[str, dict[str, t.Any]]:
    return {
        "sandbox": {
            "kubeconfig": str(kubeconfig),
            "node_topology_nodes": PLACES,
            "workloads_namespace": "drill",
            "workloads_locations": ["tianjin"],
            "drill_namespace": "drill",
            "drill_client": "app=sleep",
            "drill_targets": "app=helloworld",
            "drill_url": "http://helloworld.drill:5000/hello",
        }
    }


@pytest.fixture
def placed(run_playbook: t.Callable[..., PlaybookRun], hosts: dict[str, dict[str, t.Any]]) -> t.Iterator[None]:
    policy = {"failover_policy_name": "none", "failover_policy_namespace": "drill"}
    try:
        for playbook in ("label", "deploy"):
            run = run_playbook(playbook, hosts=hosts)
            assert run.rc == 0, run.failures()
        yield
    finally:
        gone = run_playbook("teardown", hosts=hosts, **policy)
    assert gone.rc == 0, gone.failures()


def stopped(kubectl: Kubectl) -> list[str]:
    """Return what each target's Envoy says about its stopped listeners."""
    pods = kubectl("get", "pods", "-n", "drill", "-l", "app=helloworld", "-o", "json")["items"]
    ask = ("-c", "istio-proxy", "--", "pilot-agent", "request", "GET", "stats?filter=listener_stopped")
    return [kubectl("exec", "-n", "drill", pod["metadata"]["name"], *ask) for pod in pods]


@pytest.mark.usefixtures("placed")
def test_nothing_is_drained_when_nobody_can_ask(
    run_playbook: t.Callable[..., PlaybookRun], hosts: dict[str, dict[str, t.Any]], kubectl: Kubectl
) -> None:
    run = run_playbook("drill", hosts=hosts, drill_client="app=nobody")
    assert run.rc != 0
    assert any("app=nobody" in failure for failure in run.failures())
    assert run.changed == 0
    assert stopped(kubectl) == ["listener_manager.listener_stopped: 0"]


def test_teardown_takes_back_the_labels_although_the_policy_fails(
    run_playbook: t.Callable[..., PlaybookRun], hosts: dict[str, dict[str, t.Any]], kubectl: Kubectl
) -> None:
    before = kubectl("get", "node", "tianjin", "-o", "json")["metadata"]["labels"]
    assert run_playbook("label", hosts=hosts).rc == 0
    try:
        assert kubectl("get", "node", "tianjin", "-o", "json")["metadata"]["labels"] != before
        run = run_playbook("teardown", hosts=hosts)
        assert run.rc != 0
        assert any("failover_policy_namespace" in failure for failure in run.failures())
        assert kubectl("get", "node", "tianjin", "-o", "json")["metadata"]["labels"] == before
    finally:
        run_playbook("label", hosts=hosts, node_topology_state="previous")
