# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking back goes on after a failure."""

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
            "node_topology_notify_all_namespaces": True,
            "workloads_namespace": "drill",
        }
    }


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
