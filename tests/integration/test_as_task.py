# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module gives a task of Ansible what it gives the other tests, which run it without Ansible."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from tests.conftest import ROOT

MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
NODES = {"nodes": {"tianjin": {"region": "r", "zone": "z", "subzone": "s"}}}
#: What Ansible adds or takes away, and what differs from call to call.
OTHER = {"action", "exception", "invocation", "deprecations", "snapshot"}
GOOD: dict[str, dict[str, t.Any]] = {
    "failover_policy": {"namespace": "default", "service_host": "nobody.default.svc.cluster.local"},
    "node_topology": NODES,
    "topology_info": {"live": False, "definitions": [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}]},
    "workloads_info": {"namespace": "kube-system"},
}


def told(result: dict[str, t.Any]) -> dict[str, t.Any]:
    return {key: value for key, value in result.items() if key not in OTHER and not key.startswith("_ansible")}


@pytest.mark.parametrize("module", MODULES)
def test_bad_arguments(run_module: t.Any, kubeconfig: Path, module: str) -> None:
    wrong = {"kubeconfig": str(kubeconfig), "no_such_option": 1}
    direct = run_module(module, params=wrong)
    assert direct["failed"]
    assert told(direct) == told(run_module(f"meshops.locality.{module}", params=wrong))


@pytest.mark.parametrize("module", GOOD)
def test_results(run_module: t.Any, kubeconfig: Path, module: str) -> None:
    given = {"kubeconfig": str(kubeconfig), **GOOD[module]}
    direct = run_module(module, check=True, params=given)
    assert not direct.get("failed"), direct
    assert told(direct) == told(run_module(f"meshops.locality.{module}", check=True, params=given))


def test_an_error_of_the_cluster(run_module: t.Any, tmp_path: Path) -> None:
    given = {"kubeconfig": str(tmp_path / "nowhere"), **NODES}
    direct = run_module("node_topology", params=given)
    assert direct["failed"]
    assert told(direct) == told(run_module("meshops.locality.node_topology", params=given))
