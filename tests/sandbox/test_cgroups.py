# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cgroup v1, v2 and both, from recorded mount tables and made-up directories; what this kernel itself can show is shown
on it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import typing as t
import uuid
from pathlib import Path

import pytest

from meshops_sandbox import cgroups
from meshops_sandbox.errors import SandboxError
from tests.sandbox.conftest import ROOT

# Debian 12 and 13 with systemd; a container host with both; one with v1 only.
V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = """\
33 32 0:29 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,xattr,name=systemd
36 32 0:32 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,cpu,cpuacct
40 32 0:36 / /sys/fs/cgroup/pids rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,pids
"""
BOTH = f"{V1}34 32 0:30 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
OTHERS = "24 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n25 24 0:23 / /proc rw - proc proc rw\n"


@pytest.mark.parametrize(
    ("table", "points"),
    [
        (V2, [""]),
        (V1, ["systemd", "cpu,cpuacct", "pids"]),
        (BOTH, ["systemd", "cpu,cpuacct", "pids", "unified"]),
        (V2 + V2, [""]),
        ("", []),
    ],
)
def test_the_hierarchies_of_a_mount_table(table: str, points: list[str]) -> None:
    assert cgroups.mounted(OTHERS + table) == [Path("/sys/fs/cgroup") / point for point in points]


class Tree:
    """Directories in the place of cgroup file systems. `written` is what was written to which file, in order."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.written: list[tuple[str, str]] = []
        self.refused: set[str] = set()
        self.points: list[Path] = []
        monkeypatch.setattr(cgroups, "hierarchies", lambda: self.points)
        # Bound to the path, as the method it stands for.
        monkeypatch.setattr(Path, "write_text", lambda path, text, **_: self._write(path, text))

    def _write(self, path: Path, text: str) -> int:
        self.written.append((str(path.relative_to(self.root)), text))
        if text in self.refused:
            raise OSError(16, "Device or resource busy")
        with open(path, "w", encoding="utf-8") as file:
            return file.write(text)

    def mount(self, point: str, **files: str) -> Path:
        directory = self.root / point
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name.replace("_", ".", 1)).write_bytes(text.encode())
        self.points.append(directory)
        return directory


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    return Tree(tmp_path, monkeypatch)


DEBIAN = "cpuset cpu io memory hugetlb pids rdma misc"
SYSTEMD = "cpu memory pids"


def test_on_v2_a_node_gets_the_controllers_kubelet_asks_for(tree: Tree) -> None:
    tree.mount("v2", cgroup_controllers=DEBIAN, cgroup_subtree_control=SYSTEMD)
    cgroups.make_for_pods("meshops-sandbox/one")
    assert (tree.root / "v2/meshops-sandbox/one").is_dir()
    # Not those that systemd has enabled already, and not those that kubelet does not use. The made-up directories below
    # have no controllers, as the kernel would give them.
    assert tree.written == [("v2/cgroup.subtree_control", "+cpuset"), ("v2/cgroup.subtree_control", "+hugetlb")]


def test_on_v2_the_controllers_go_down_every_level(tree: Tree) -> None:
    tree.mount("v2", cgroup_controllers="cpu", cgroup_subtree_control="")
    for level in ("a", "a/b"):
        directory = tree.root / "v2" / level
        directory.mkdir()
        (directory / "cgroup.controllers").write_bytes(b"cpu memory")
    cgroups.make_for_pods("a/b")
    assert tree.written == [
        ("v2/cgroup.subtree_control", "+cpu"),
        ("v2/a/cgroup.subtree_control", "+cpu"),
        ("v2/a/cgroup.subtree_control", "+memory"),
        ("v2/a/b/cgroup.subtree_control", "+cpu"),
        ("v2/a/b/cgroup.subtree_control", "+memory"),
    ]


def test_a_controller_that_v2_refuses_is_named(tree: Tree) -> None:
    tree.mount("v2", cgroup_controllers=DEBIAN, cgroup_subtree_control="")
    tree.refused.add("+memory")
    with pytest.raises(SandboxError, match=r"controller memory cannot be enabled below .*v2: Device or resource busy"):
        cgroups.make_for_pods("one")


def test_on_v1_the_cpuset_is_that_of_the_parent(tree: Tree) -> None:
    tree.mount("pids")
    tree.mount("cpuset", cpuset_cpus="0-1\n", cpuset_mems="0\n")
    child = tree.root / "cpuset" / "one"
    child.mkdir()
    for name in ("cpuset.cpus", "cpuset.mems"):
        (child / name).write_bytes(b"\n")  # as the kernel makes them
    cgroups.make_for_pods("one")
    assert (tree.root / "pids/one").is_dir()
    assert tree.written == [("cpuset/one/cpuset.cpus", "0-1\n"), ("cpuset/one/cpuset.mems", "0\n")]


def test_where_both_are_mounted_v2_is_left_as_it_is(tree: Tree) -> None:
    tree.mount("pids")
    tree.mount("unified", cgroup_controllers="hugetlb", cgroup_subtree_control="")
    cgroups.make_for_pods("one")
    assert (tree.root / "unified/one").is_dir()
    assert tree.written == []


def test_what_runc_enabled_at_the_root_is_taken_back(tree: Tree) -> None:
    tree.mount("v2", cgroup_controllers=DEBIAN, cgroup_subtree_control=DEBIAN)
    tree.refused.add("-misc")  # somebody else's cgroup uses it by now
    assert cgroups.enabled_at_root() == sorted(DEBIAN.split())
    assert cgroups.disable_at_root(SYSTEMD.split()) == ["cpuset", "hugetlb", "io", "rdma"]
    assert [text for _, text in tree.written] == ["-cpuset", "-io", "-hugetlb", "-rdma", "-misc"]


def test_without_v2_nothing_is_taken_back(tree: Tree) -> None:
    tree.mount("pids")
    assert cgroups.enabled_at_root() == []
    assert cgroups.disable_at_root([]) == []
    assert tree.written == []


@pytest.mark.parametrize(
    ("gone", "refusing", "place"),
    [
        ((), (), "system.slice/run.scope"),
        # systemd removes a scope with its last process; v2 takes none where controllers are handed down.
        (("system.slice/run.scope",), (), "system.slice"),
        (("system.slice/run.scope",), ("system.slice",), ""),
    ],
)
def test_the_way_back_leads_to_the_nearest_cgroup_that_takes_processes(
    tree: Tree, gone: t.Sequence[str], refusing: t.Sequence[str], place: str
) -> None:
    root = tree.mount("v2", cgroup_controllers="", cgroup_subtree_control="", cgroup_procs="")
    for part in ("system.slice", "system.slice/run.scope"):
        if part not in gone:
            (root / part).mkdir()
        if part in refusing:
            (root / part / "cgroup.procs").mkdir()  # cannot be written to
    cgroups._return_to(root / "system.slice/run.scope")
    assert (root / place / "cgroup.procs").read_text().isdigit()


def test_a_scope_that_goes_while_up_runs_is_no_error() -> None:
    """On this kernel: a process leaves its cgroup for the sandbox's, the empty one goes, the process comes back."""
    name = f"meshops-test-{uuid.uuid4().hex[:8]}"
    script = f"""
import os
from pathlib import Path
from meshops_sandbox import cgroups
scope = cgroups.make("{name}/run.scope").parent
(scope / "cgroup.procs").write_text(str(os.getpid()))
with cgroups.joined("{name}/sandbox"):
    scope.rmdir()
point = cgroups.tracking()
print(any(line.endswith(":/{name}") for line in Path("/proc/self/cgroup").read_text().splitlines()))
"""
    try:
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT / "sandbox", capture_output=True, text=True, check=False
        )
    finally:
        with contextlib.suppress(OSError):
            (cgroups.tracking() / name).rmdir()
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "True"
