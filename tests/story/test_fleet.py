# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same plays on several clusters at once: a second sandbox, with other nodes, next to the cluster under test."""

from __future__ import annotations

import subprocess
import typing as t
import uuid
from pathlib import Path

import pytest
import yaml

from tests.conftest import BIN, ROOT, PlaybookRun

SMALL = ROOT / "sandbox" / "topologies" / "small.yml"


def sandbox(*arguments: str) -> str:
    done = subprocess.run(
        [str(BIN / "meshops-sandbox"), *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def other() -> t.Iterator[dict[str, t.Any]]:
    """A small sandbox of its own; its inventory variables."""
    name = f"fleet-{uuid.uuid4().hex[:4]}"
    try:
        sandbox("up", "--name", name, "--topology", str(SMALL))
        inventory = yaml.safe_load(sandbox("inventory", "--name", name))
        yield inventory["all"]["hosts"][name]
    finally:
        sandbox("down", "--name", name)


def test_each_cluster_gets_its_own_labels_and_workloads(
    run_playbook: t.Callable[..., PlaybookRun], kubeconfig: Path, other: dict[str, t.Any]
) -> None:
    places = {name: {**place, "subzone": name} for name, place in other["node_topology_nodes"].items()}
    hosts = {
        "big": {
            "kubeconfig": str(kubeconfig),
            "node_topology_nodes": {"shenyang": {"region": "r", "zone": "z", "subzone": "shenyang"}},
            "workloads_locations": ["shenyang"],
        },
        "small": {**other, "node_topology_nodes": places, "workloads_locations": list(places)},
    }
    workloads = {"workloads_namespace": "fleet", "failover_policy_name": "none", "failover_policy_namespace": "fleet"}
    verify = {
        "failover_verify_namespace": "fleet",
        "failover_verify_clients": "app=sleep",
        "failover_verify_host": "helloworld.fleet.svc.cluster.local",
        "failover_verify_url": "http://helloworld.fleet:5000/hello",
        "failover_verify_requests": 20,
    }
    try:
        for playbook in ("label", "deploy", "verify"):
            run = run_playbook(playbook, hosts=hosts, **workloads, **verify)
            assert run.rc == 0, run.failures()
            assert set(run.stats) == {"big", "small"}
        again = run_playbook("deploy", hosts=hosts, **workloads)
        assert again.rc == 0, again.failures()
        assert again.changed == 0
    finally:
        gone = run_playbook("teardown", hosts=hosts, **workloads)
    assert gone.rc == 0, gone.failures()


def test_one_cluster_that_is_away_does_not_stop_the_others(
    run_playbook: t.Callable[..., PlaybookRun], tmp_path: Path, other: dict[str, t.Any]
) -> None:
    hosts = {"away": {**other, "kubeconfig": str(tmp_path / "nowhere")}, "small": other}
    run = run_playbook("label", hosts=hosts)
    assert run.stats["away"]["failures"] == 1
    assert run.stats["small"]["failures"] == 0
    assert run_playbook("label", hosts={"small": other}, node_topology_state="previous").rc == 0
