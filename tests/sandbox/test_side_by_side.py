# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two sandboxes at once: pods of one reach those of the other, and one goes without touching its neighbour."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import typing as t
import uuid
from pathlib import Path

import pytest

from meshops_sandbox import cgroups, network
from meshops_sandbox.layout import CGROUP_ROOT, RUN_ROOT
from tests.sandbox.conftest import SMALL, Command


@pytest.fixture(scope="module")
def neighbour(sandbox: Command, small: str) -> t.Iterator[str]:
    """A second one. Its name begins with the first one's: nothing may be found by such a prefix. Its state is deep in
    the file system: no path of a socket may depend on where that is."""
    name = f"{small}-{uuid.uuid4().hex[:4]}"
    deep = Path(sandbox.environment["MESHOPS_SANDBOX_STATE"]) / "a-long-way" / ("down-" * 12)
    try:
        sandbox.with_state_in(deep).works("up", "--name", name, "--topology", str(SMALL), "--no-istio")
        yield name
    finally:
        sandbox("down", "--name", name)
        with contextlib.suppress(OSError):
            deep.parent.rmdir()


def test_both_are_listed_with_networks_of_their_own(sandbox: Command, small: str, neighbour: str) -> None:
    rows = [line.split() for line in sandbox.works("list").splitlines()]
    mine = {row[0]: row[1:3] for row in rows if row[0] in (small, neighbour)}
    assert {state for state, _ in mine.values()} == {"running"}
    assert mine[small][1] != mine[neighbour][1]


def test_pods_of_one_reach_the_other(sandbox: Command, small: str, neighbour: str) -> None:
    address = sandbox.works(
        "kubectl",
        "--name",
        neighbour,
        "-n",
        "kube-system",
        "get",
        "pods",
        "-l",
        "k8s-app=kube-dns",
        "-o",
        "jsonpath={.items[0].status.podIP}",
    )
    ask = (
        "import sys, urllib.request as u; direct = u.build_opener(u.ProxyHandler({}));"
        "print(direct.open(sys.argv[1], timeout=20).read().decode())"
    )
    url = f"http://{address}:8181/ready"
    out = sandbox.works("shell", "--name", small, "west", "--", sys.executable, "-c", ask, url).strip()
    assert out == "OK"


def test_one_goes_and_the_other_does_not_notice(sandbox: Command, small: str, neighbour: str) -> None:
    before = cgroups.processes(f"{CGROUP_ROOT}/{small}")
    links = network.links(f"{CGROUP_ROOT}:{small}")
    sandbox.works("down", "--name", neighbour)
    assert cgroups.processes(f"{CGROUP_ROOT}/{small}") >= before
    assert network.links(f"{CGROUP_ROOT}:{small}") == links
    assert sandbox.status(small)["state"] == "running"
    assert all(sandbox.status(small)["nodes"].values())
    assert sandbox.status(neighbour)["state"] == "absent"
    assert not cgroups.processes(f"{CGROUP_ROOT}/{neighbour}")
    assert not network.namespaces(neighbour)
    assert not network.links(f"{CGROUP_ROOT}:{neighbour}")
    assert not (RUN_ROOT / neighbour).exists()
    listed = subprocess.run(
        ["find", "/sys/fs/cgroup", "-path", f"*{neighbour}*"], capture_output=True, text=True, check=False
    )
    assert listed.stdout == ""
    assert neighbour not in Path("/proc/self/mountinfo").read_text()
