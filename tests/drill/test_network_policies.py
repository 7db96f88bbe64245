# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault network_deny where something enforces NetworkPolicies: kube-router, on every node of the sandbox.

From then on the sandbox enforces them, which no other test of `make soak` minds.
"""

from __future__ import annotations

import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from tests.integration.mesh import Mesh

from .conftest import TIANJIN, View

pytestmark = pytest.mark.soak
Json = dict[str, t.Any]


@pytest.fixture(scope="module")
def enforced(kubeconfig: Path) -> None:
    """The sandbox, whose name is that of the directory of its kubeconfig, enforces NetworkPolicies."""
    command = [sys.executable, "-m", "meshops_sandbox", "network-policies", "--name", kubeconfig.parent.name]
    subprocess.run(command, check=True)


@pytest.mark.usefixtures("enforced")
def test_denied_pods_are_ejected_and_the_network_comes_back(drill: t.Any, mesh: Mesh, view: View, fresh: str) -> None:
    before = view.state()
    options = {"accept_manual_restore": True, "error_budget": 1.0, "duration": 30, "rate": 10, "timeout": 3}
    done = drill(fault="network_deny", accept=["prediction"], expect_prediction=False, **options)
    assert done["outcome"] == "SUCCEEDED", done.get("msg", done["reason"])
    assert mesh.name(TIANJIN) == fresh
    assert mesh.get("networkpolicies")["items"] == []
    assert {shift["mechanism"] for shift in done["drill"]["shifts"]} == {"ejection"}
    # The policy is gone, the pods are as they were.
    assert {target["state"] for target in done["drill"]["restore"]["pods"]} == {"gone", "restored"}
    view.equals(before)
    assert view.journals() == []
