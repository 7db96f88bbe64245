# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module gives a task of Ansible what it gives the other tests, which run it without Ansible."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from tests.conftest import ROOT

ACTIONS = {path.stem for path in (ROOT / "plugins" / "action").glob("*.py")}
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py") if path.stem not in ACTIONS)
NODES = {"nodes": {"tianjin": {"region": "r", "zone": "z", "subzone": "s"}}}
#: What Ansible adds or takes away, and what differs from call to call.
OTHER = {"action", "exception", "invocation", "deprecations", "snapshot", "ignore_errors"}
GOOD: dict[str, dict[str, t.Any]] = {
    "failover_policy": {"namespace": "default", "service_host": "nobody.default.svc.cluster.local"},
    "node_topology": NODES,
    "topology_info": {"live": False, "definitions": [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}]},
    "workloads_info": {"namespace": "kube-system"},
}


def returned(result: dict[str, t.Any]) -> dict[str, t.Any]:
    return {key: value for key, value in result.items() if key not in OTHER and not key.startswith("_ansible")}


@pytest.fixture
def as_tasks(run_playbook: t.Any) -> t.Callable[..., dict[str, dict[str, t.Any]]]:
    """Module → what a task of Ansible gets, with Ansible's own way to send a module (without tests/interpreter)."""

    def run(given: dict[str, dict[str, t.Any]], *, check: bool = False) -> dict[str, dict[str, t.Any]]:
        tasks = [
            {"name": module, f"meshops.locality.{module}": params, "check_mode": check, "ignore_errors": True}
            for module, params in given.items()
        ]
        done = run_playbook([{"hosts": "all", "gather_facts": False, "tasks": tasks}], env={"PYTHONPATH": ""})
        return {module: returned(done.results(module)[0]) for module in given}

    return run


def test_bad_arguments(run_module: t.Any, as_tasks: t.Any, kubeconfig: Path) -> None:
    wrong = {module: {"kubeconfig": str(kubeconfig), "no_such_option": 1} for module in MODULES}
    direct = {module: run_module(module, params=params) for module, params in wrong.items()}
    assert all(result["failed"] for result in direct.values())
    assert {module: returned(result) for module, result in direct.items()} == as_tasks(wrong)


def test_results(run_module: t.Any, as_tasks: t.Any, kubeconfig: Path) -> None:
    given = {module: {"kubeconfig": str(kubeconfig), **params} for module, params in GOOD.items()}
    direct = {module: run_module(module, check=True, params=params) for module, params in given.items()}
    assert not [result for result in direct.values() if result.get("failed")]
    assert {module: returned(result) for module, result in direct.items()} == as_tasks(given, check=True)


def test_an_error_of_the_cluster(run_module: t.Any, as_tasks: t.Any, tmp_path: Path) -> None:
    given = {"node_topology": {"kubeconfig": str(tmp_path / "nowhere"), **NODES}}
    direct = run_module("node_topology", params=given["node_topology"])
    assert direct["failed"]
    assert {"node_topology": returned(direct)} == as_tasks(given)
