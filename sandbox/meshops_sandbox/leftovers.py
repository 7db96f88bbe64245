# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What earlier versions of the sandbox left on a machine: they put containers into /k8s.io, where `down` did not look.

Other containerds use /k8s.io as well. So a process is taken for a sandbox's only when two of its own mounts, made by
containerd, both come from the state directory of one sandbox: its root file system and its /etc/resolv.conf.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import re
import signal
import time
import typing as t
from pathlib import Path

from meshops_sandbox import cgroups
from meshops_sandbox.errors import SandboxError
from meshops_sandbox.layout import RUN_ROOT
from meshops_sandbox.time_limits import stretched

_CGROUP = "k8s.io"
_TASKS = "io.containerd.runtime.v2.task"
_IN_CGROUP = re.compile(r"^\d+:[^:]*:/k8s\.io/(?P<id>[0-9a-f]{64})$", re.MULTILINE)
_ID = re.compile(r"[0-9a-f]{64}")
# The layouts of containerd's overlayfs snapshotter and of its CRI plugin below the root that nodes.py gives it.
_ROOT = re.compile(
    r"[, ]upperdir=(?P<state>/[^,]+)/nodes/(?P<node>[^/,]+)/containerd"
    r"/io\.containerd\.snapshotter\.v1\.overlayfs/snapshots/\d+/fs(?:,|$)"
)
_RESOLV = re.compile(
    r"^(?P<state>/.+)/nodes/(?P<node>[^/]+)/containerd/io\.containerd\.grpc\.v1\.cri/sandboxes/[0-9a-f]{64}"
    r"/resolv\.conf(?://deleted)?$"
)


@dataclasses.dataclass(frozen=True)
class Removed:
    """How many processes were ended and how many cgroup directories were removed."""

    processes: int
    cgroups: int


def state_of(cgroup: str, mountinfo: str) -> Path | None:
    """The state directory of the sandbox that a process outside of a sandbox's cgroup belongs to, None when it is
    nobody's or somebody else's. cgroup, mountinfo: the texts of /proc/<pid>/cgroup and /proc/<pid>/mountinfo."""
    if not _IN_CGROUP.search(cgroup):
        return None
    root = resolv = None
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5:
            continue
        if fields[4] == "/" and right.startswith("overlay "):
            root = _ROOT.search(right)
        elif fields[4] == "/etc/resolv.conf":
            resolv = _RESOLV.match(fields[3])
    # The second is relative to the file system it is in, the first is not.
    if root and resolv and root["node"] == resolv["node"] and root["state"].endswith(resolv["state"]):
        return Path(root["state"])
    return None


def remove_of(state: Path, runtime: Path) -> Removed:
    """End the containers that an earlier version started for the sandbox with this state and runtime directory, and
    remove their cgroups. Its daemons must have ended already, or they would start the containers again."""
    identifiers = {path.name for path in runtime.glob(f"*/containerd/{_TASKS}/k8s.io/*")}
    return _remove(lambda of_state: of_state == state, identifiers)


def remove_orphans() -> Removed:
    """End the containers of sandboxes whose state directory is gone, and shims whose sandbox is gone; remove their
    cgroups, and the empty ones in /k8s.io that no containerd of this machine knows."""
    shims = _end(_orphaned_shims)
    removed = _remove(lambda of_state: not of_state.exists(), set())
    known = _known_to_containerds()
    unknown = {path.name for path in _cgroup_directories()} - known
    empty = {identifier for identifier in unknown if not cgroups.processes(f"{_CGROUP}/{identifier}")}
    return Removed(removed.processes + shims, removed.cgroups + _remove_cgroups(empty))


def _remove(ours: t.Callable[[Path], bool], identifiers: set[str]) -> Removed:
    def processes() -> set[int]:
        pids = set()
        for pid in _pids():
            cgroup = _text(pid, "cgroup")
            state = state_of(cgroup, _text(pid, "mountinfo")) if f":/{_CGROUP}/" in cgroup else None
            if state and ours(state):
                pids.add(pid)
                identifiers.update(match["id"] for match in _IN_CGROUP.finditer(cgroup))
        return pids

    ended = _end(processes)
    return Removed(ended, _remove_cgroups(identifiers))


def _end(find: t.Callable[[], set[int]]) -> int:
    """Kill what `find` finds until it finds nothing more."""
    killed: set[int] = set()
    deadline = time.monotonic() + stretched(10)
    while alive := {pid for pid in find() if not cgroups.is_zombie(pid)}:
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed |= alive
        if time.monotonic() > deadline:
            raise SandboxError(
                f"{len(alive)} processes that an earlier version left do not end although they were killed: "
                f"{', '.join(map(str, sorted(alive)[:10]))}.",
                "They hang in the kernel (see /proc/<pid>/stack); try again, or reboot.",
            )
        time.sleep(0.02)
    return len(killed)


def _remove_cgroups(identifiers: t.Collection[str]) -> int:
    """Remove the directories of /k8s.io with these names, in every hierarchy, but for those with processes."""
    removed = 0
    deadline = time.monotonic() + stretched(5)
    while left := [path for path in _cgroup_directories() if path.name in identifiers]:
        for directory in left:
            for path, *_ in os.walk(directory, topdown=False):
                # The kernel refuses while a killed process is still on its way out.
                with contextlib.suppress(OSError):
                    os.rmdir(path)
                    removed += 1
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    if removed:
        for point in cgroups.hierarchies():
            with contextlib.suppress(OSError):
                (point / _CGROUP).rmdir()
    return removed


def _cgroup_directories() -> list[Path]:
    return [
        path
        for point in cgroups.hierarchies()
        for path in (point / _CGROUP).glob("*")
        if path.is_dir() and _ID.fullmatch(path.name)
    ]


def _shims() -> t.Iterator[tuple[int, list[str]]]:
    """Process id and arguments of every containerd-shim of this machine."""
    for pid in _pids():
        arguments = _text(pid, "cmdline").split("\0")
        if Path(arguments[0]).name.startswith("containerd-shim"):
            yield pid, arguments


def _orphaned_shims() -> set[int]:
    """Shims that were started by a containerd of a sandbox that has no runtime directory any more."""
    shims = set()
    for pid, arguments in _shims():
        addresses = [Path(value) for flag, value in itertools.pairwise(arguments) if flag == "-address"]
        for address in addresses:
            runtime = next((parent for parent in address.parents if parent.parent == RUN_ROOT), None)
            if runtime and not runtime.exists():
                shims.add(pid)
    return shims


def _known_to_containerds() -> set[str]:
    """Ids of all containers of all containerds: a shim's working directory is the one of its container, next to those
    of the others."""
    known: set[str] = set()
    for pid, arguments in _shims():
        known.update(word for word in arguments if _ID.fullmatch(word))
        with contextlib.suppress(OSError):
            bundle = Path(os.readlink(f"/proc/{pid}/cwd"))
            known.update(os.listdir(f"/proc/{pid}/root{bundle.parent}"))
    return known


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _text(pid: int, file: str) -> str:
    try:
        return Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""  # it ended in between
