# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cgroups of a sandbox: every one of its processes is in one, those in pods included, so they are found and ended
by the sandbox's name alone.

Works with cgroup v1 (every hierarchy), v2, and both mounted (hybrid).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import typing as t
from pathlib import Path

from meshops_sandbox.errors import SandboxError
from meshops_sandbox.time_limits import stretched

# Where a v1 host keeps the daemons; containers are put into all hierarchies by runc.
_TRACKING = ("pids", "freezer", "systemd", "memory")
# What kubelet asks of the cgroup it puts pods into, on v2 (Kubernetes 1.35, pkg/kubelet/cm/cgroup_manager_linux.go).
_POD_CONTROLLERS = ("cpu", "cpuset", "hugetlb", "memory", "pids")


def hierarchies() -> list[Path]:
    """Mount points of all cgroup file systems of this machine, v1 and v2."""
    return mounted(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))


def mounted(mountinfo: str) -> list[Path]:
    """Mount points of all cgroup file systems in a text like that of /proc/self/mountinfo."""
    mounts: list[Path] = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        if right.split(" ", 1)[0] in ("cgroup", "cgroup2"):
            point = Path(left.split(" ")[4].replace("\\040", " "))
            if point not in mounts:
                mounts.append(point)
    return mounts


def controllers() -> set[str]:
    """Names of the controllers this kernel offers, v1 or v2."""
    names: set[str] = set()
    for point in hierarchies():
        listed = point / "cgroup.controllers"
        if listed.exists():
            names.update(listed.read_text(encoding="ascii").split())
        names.update(point.name.split(","))
    return names


def tracking() -> Path:
    """The hierarchy the daemons of a sandbox are put into."""
    points = hierarchies()
    for point in points:
        if (point / "cgroup.controllers").exists() and len(points) == 1:
            return point
    for wanted in _TRACKING:
        for point in points:
            if wanted in point.name.split(","):
                return point
    return points[0]


def make(cgroup: str) -> Path:
    """Create `cgroup` (a path below the root) where daemons are tracked; return the file a process joins by writing
    its id."""
    directory = tracking() / cgroup
    directory.mkdir(parents=True, exist_ok=True)
    return directory / "cgroup.procs"


def make_for_pods(cgroup: str) -> None:
    """Create `cgroup` in every hierarchy, ready to be a kubelet's `cgroupRoot`: kubelet makes only what is below it.

    v2 hands controllers down only where it is asked to; v1's cpuset lets nobody in before it has processors and memory
    nodes. Where both are mounted, kubelet takes its controllers from v1. Raises SandboxError when v2 refuses a
    controller that the parent has."""
    points = hierarchies()
    for point in points:
        directory = point
        for part in ("", *Path(cgroup).parts):
            directory /= part
            directory.mkdir(exist_ok=True)
            if not is_unified(point):
                _inherit_cpuset(directory)
            elif len(points) == 1:
                enable(directory, _POD_CONTROLLERS)


def is_unified(directory: Path) -> bool:
    """Whether a directory is in a cgroup v2 file system."""
    return (directory / "cgroup.controllers").exists()


def enable(directory: Path, wanted: t.Iterable[str]) -> None:
    """Let the children of a v2 cgroup have those of the `wanted` controllers that it has itself. Raises SandboxError
    when the kernel refuses."""
    present = _words(directory / "cgroup.controllers")
    already = _words(directory / "cgroup.subtree_control")
    for controller in wanted:
        if controller not in present or controller in already:
            continue
        try:
            (directory / "cgroup.subtree_control").write_text(f"+{controller}", encoding="ascii")
        except OSError as error:
            raise SandboxError(
                f"The cgroup controller {controller} cannot be enabled below {directory}: {error.strerror}.",
                "Processes directly in that cgroup are the usual reason: move them into a cgroup below it.",
            ) from error


def enabled_at_root() -> list[str]:
    """The controllers that the root of the v2 hierarchy hands down, sorted; [] without v2."""
    return sorted({name for point in hierarchies() for name in _words(point / "cgroup.subtree_control")})


def disable_at_root(keep: t.Collection[str]) -> list[str]:
    """Take back what was enabled at the root of the v2 hierarchy since it handed down only `keep`: runc enables every
    controller there is. Returns what was taken back; what a cgroup of others uses by now stays."""
    taken: list[str] = []
    for point in hierarchies():
        for controller in _words(point / "cgroup.subtree_control"):
            if controller not in keep:
                with contextlib.suppress(OSError):
                    (point / "cgroup.subtree_control").write_text(f"-{controller}", encoding="ascii")
                    taken.append(controller)
    return sorted(taken)


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []


def _inherit_cpuset(directory: Path) -> None:
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (directory / name).exists() and not (directory / name).read_text(encoding="ascii").strip():
            (directory / name).write_text((directory.parent / name).read_text(encoding="ascii"), encoding="ascii")


@contextlib.contextmanager
def joined(cgroup: str) -> t.Iterator[None]:
    """Be in `cgroup` while the block runs: should this process be killed, its children are found and ended like the
    daemons."""
    before = _own_directory()
    entrance = make(cgroup)
    entrance.write_text(str(os.getpid()), encoding="ascii")
    try:
        yield
    finally:
        _return_to(before)
        with contextlib.suppress(OSError):
            entrance.parent.rmdir()


def _return_to(directory: Path) -> None:
    """Join `directory`, or the nearest cgroup above it that takes processes: systemd removes a scope as soon as its
    last process has left, and v2 takes no process where controllers are handed down, but for its root."""
    root = tracking()
    for place in (directory, *directory.parents):
        try:
            (place / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
            return
        except OSError:
            if place == root:
                raise


def _own_directory() -> Path:
    """Where this process is, in the hierarchy that tracks daemons."""
    point = tracking()
    unified = (point / "cgroup.controllers").exists()
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, names, path = line.split(":", 2)
        if (not names and unified) or point.name in (name.removeprefix("name=") for name in names.split(",")):
            inside = point / path.lstrip("/")
            return inside if inside.is_dir() else point
    return point


def processes(cgroup: str) -> set[int]:
    """Ids of all processes in `cgroup` and below, in any hierarchy."""
    pids: set[int] = set()
    for directory in _directories(cgroup):
        with contextlib.suppress(OSError, ValueError):
            pids.update(int(pid) for pid in (directory / "cgroup.procs").read_text(encoding="ascii").split())
    pids.discard(0)  # a process outside of our pid namespace: nothing we could do to it
    return pids


def end(cgroup: str, *, first: t.Iterable[int] = (), keep: t.Collection[int] = (), limit: float = 10.0) -> int:
    """Kill everything in `cgroup` but `keep`: `first` before the rest (a supervisor would start the others again).
    Returns how many processes were killed; raises SandboxError when some do not end within `limit` seconds
    (stretched)."""
    alive = processes(cgroup)
    for pid in first:
        if pid in alive:
            _kill(pid)
    killed: set[int] = set()
    deadline = time.monotonic() + stretched(limit)
    while alive := {pid for pid in processes(cgroup).difference(keep) if not is_zombie(pid)}:
        for pid in alive:
            _kill(pid)
        killed |= alive
        if time.monotonic() > deadline:
            listed = ", ".join(str(pid) for pid in sorted(alive)[:10])
            raise SandboxError(
                f"{len(alive)} processes of the cgroup {cgroup} do not end although they were killed: {listed}.",
                "They hang in the kernel (see /proc/<pid>/stack); try again, or reboot.",
            )
        time.sleep(0.02)
    return len(killed)


def remove(cgroup: str, *, limit: float = 5.0) -> None:
    """Remove the directories of `cgroup` in every hierarchy, and its parent when that has become empty.

    A process that joins only now (forked by a killed `up`) is ended as well."""
    deadline = time.monotonic() + stretched(limit)
    while left := _directories(cgroup):
        end(cgroup)
        for directory in reversed(left):  # children come after their parents
            with contextlib.suppress(OSError):
                directory.rmdir()
        if time.monotonic() > deadline:
            raise SandboxError(
                f"The cgroup {left[0]} cannot be removed: it is still in use.", "Run `meshops-sandbox down` again."
            )
        if left := _directories(cgroup):
            time.sleep(0.02)
    for point in hierarchies():
        with contextlib.suppress(OSError):
            (point / cgroup).parent.rmdir()


def _directories(cgroup: str) -> list[Path]:
    directories: list[Path] = []
    for point in hierarchies():
        for directory, _, _ in os.walk(point / cgroup):
            directories.append(Path(directory))
    return directories


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def is_zombie(pid: int) -> bool:
    """Whether a process has ended already, and only its parent has not looked yet (or it is gone altogether)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return True
