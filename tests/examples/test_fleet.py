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

from tests.conftest import BIN, ROOT, Kubectl, PlaybookRun

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
        yield inventory["sandboxes"]["hosts"][name]
    finally:
        sandbox("down", "--name", name)


Subzones = t.Callable[[], dict[str, dict[str, str]]]


@pytest.fixture
def subzones(kubectl: Kubectl, kubeconfig: Path, other: dict[str, t.Any]) -> Subzones:
    """Ask both clusters which subzone their nodes carry (nodes without one are left out)."""

    def ask() -> dict[str, dict[str, str]]:
        states = {}
        for cluster, path in (("big", str(kubeconfig)), ("small", other["kubeconfig"])):
            nodes = kubectl("--kubeconfig", path, "get", "nodes", "-o", "json")["items"]
            carried = {node["metadata"]["name"]: node["metadata"]["labels"] for node in nodes}
            states[cluster] = {
                name: label["topology.istio.io/subzone"]
                for name, label in carried.items()
                if "topology.istio.io/subzone" in label
            }
        return states

    return ask


def test_each_cluster_gets_its_own_labels_workloads_and_drill(
    run_playbook: t.Callable[..., PlaybookRun], kubeconfig: Path, other: dict[str, t.Any], subzones: Subzones
) -> None:
    small = {name: {**place, "subzone": name} for name, place in other["node_topology_nodes"].items()}
    big = {name: {"region": "r", "zone": "z", "subzone": name} for name in ("tianjin", "shenyang")}
    hosts: dict[str, dict[str, t.Any]] = {}
    for name, path, places, seconds in (
        ("big", str(kubeconfig), big, 8),
        ("small", other["kubeconfig"], small, 14),
    ):
        here = next(iter(places))
        hosts[name] = {
            "kubeconfig": path,
            "node_topology_nodes": places,
            "node_topology_notify_all_namespaces": True,
            "workloads_locations": list(places),
            "failover_drill_scope": f"subzone {here}",
            "failover_drill_clients": f"app=sleep,location={here}",
            "failover_drill_duration": seconds,
        }
    workloads: dict[str, t.Any] = {"workloads_namespace": "fleet"}
    policy: dict[str, t.Any] = {
        "failover_policy_name": "helloworld",
        "failover_policy_namespace": "fleet",
        "failover_policy_host": "helloworld.fleet.svc.cluster.local",
        "failover_policy_max_requests_per_connection": 1,
        "failover_policy_outlier_detection": {"consecutive_5xx_errors": 1, "max_ejection_percent": 100},
    }
    drilled: dict[str, t.Any] = {
        "failover_drill_namespace": "fleet",
        "failover_drill_service": "helloworld",
        "failover_drill_path": "/hello",
        "failover_drill_allowed_namespaces": "fleet",
    }
    verify: dict[str, t.Any] = {
        "failover_verify_namespace": "fleet",
        "failover_verify_clients": "app=sleep",
        "failover_verify_host": policy["failover_policy_host"],
        "failover_verify_url": "http://helloworld.fleet:5000/hello",
        "failover_verify_requests": 20,
    }
    before = subzones()
    try:
        for playbook in ("label", "deploy", "verify", "apply"):
            run = run_playbook(playbook, hosts=hosts, **workloads, **verify, **policy)
            assert run.rc == 0, run.failures()
            # localhost is the play that looks at the names of variables.
            assert set(run.stats) - {"localhost"} == {"big", "small"}
            states = {
                name: {**before[name], **{node: node for node in hosts[name]["workloads_locations"]}} for name in hosts
            }
            assert subzones() == states
        again = run_playbook("deploy", hosts=hosts, **workloads)
        assert again.rc == 0, again.failures()
        assert again.changed == 0
        drill = run_playbook("drill", hosts=hosts, **drilled)
        assert drill.rc == 0, drill.failures()
        for name, host in hosts.items():
            (result,) = drill.results("Drill", name)
            assert result["outcome"] == "SUCCEEDED"
            seen = result["drill"]
            assert seen["fault"]["seconds"] == host["failover_drill_duration"]
            answered = {place.rpartition("/")[2] for part in seen["measured"]["by_place"].values() for place in part}
            assert answered == set(host["workloads_locations"])
        # A location that leaves the list takes its workloads along.
        gone = {name: host["workloads_locations"].pop() for name, host in hosts.items()}
        fewer = run_playbook("deploy", hosts=hosts, **workloads)
        assert fewer.rc == 0, fewer.failures()
        for name, place in gone.items():
            (removed,) = fewer.results("Remove the Deployments of locations that left the list", name)
            assert set(removed["deleted"]) == {f"Deployment helloworld-{place}", f"Deployment sleep-{place}"}
    finally:
        taken_back = run_playbook("teardown", hosts=hosts, **workloads, **policy)
    assert taken_back.rc == 0, taken_back.failures()
    assert subzones() == before


def test_two_contexts_of_one_kubeconfig_are_two_clusters(
    run_playbook: t.Callable[..., PlaybookRun],
    kubeconfig: Path,
    other: dict[str, t.Any],
    subzones: Subzones,
    tmp_path: Path,
) -> None:
    both: dict[str, t.Any] = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}
    for name, path in (("big", kubeconfig), ("small", Path(other["kubeconfig"]))):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        both["clusters"].append({**document["clusters"][0], "name": name})
        both["users"].append({**document["users"][0], "name": name})
        both["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
    merged = tmp_path / "both"
    merged.write_text(yaml.safe_dump(both), encoding="utf-8")
    hosts: dict[str, dict[str, t.Any]] = {
        "first": {"kubeconfig": str(merged), "context": "big", "node_topology_nodes": {"tianjin": {"subzone": "a"}}},
        "second": {
            "kubeconfig": str(merged),
            "kubeconfig_context": "small",
            "node_topology_nodes": {"east": {"subzone": "b"}},
        },
    }
    for host in hosts.values():
        host["node_topology_notify_all_namespaces"] = True
    before = subzones()
    try:
        run = run_playbook("label", hosts=hosts)
        assert run.rc == 0, run.failures()
        now = subzones()
        assert (now["big"]["tianjin"], now["small"]["east"]) == ("a", "b")
    finally:
        back = run_playbook("label", hosts=hosts, node_topology_state="previous")
    assert back.rc == 0, back.failures()
    assert subzones() == before


def test_one_cluster_that_is_away_does_not_stop_the_others(
    run_playbook: t.Callable[..., PlaybookRun], tmp_path: Path, other: dict[str, t.Any]
) -> None:
    hosts = {"away": {**other, "kubeconfig": str(tmp_path / "nowhere")}, "small": other}
    run = run_playbook("label", hosts=hosts)
    assert run.stats["away"]["failures"] == 1
    assert run.stats["small"]["failures"] == 0
    assert run_playbook("label", hosts={"small": other}, node_topology_state="previous").rc == 0
