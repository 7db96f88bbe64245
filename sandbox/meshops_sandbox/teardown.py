# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes a sandbox away, however much of it exists: a running one, one whose `up` was killed, one from before a
reboot."""

from __future__ import annotations

import concurrent.futures
import shutil
import subprocess
from pathlib import Path

from meshops_sandbox import cgroups, leftovers, machine_state, network, sandbox_state
from meshops_sandbox.errors import PreflightError
from meshops_sandbox.layout import CGROUP_ROOT, RUN_ROOT, bridge_of
from meshops_sandbox.progress import Progress


def exists(name: str, state: Path) -> bool:
    """Whether anything of the sandbox `name` is there: its entry, state, processes, namespaces, links or runtime
    files. A directory in the place of its state that is nobody's counts as well: see `check_state`."""
    cgroup = f"{CGROUP_ROOT}/{name}"
    return (
        name in machine_state.read().sandboxes
        or state.exists()
        or (RUN_ROOT / name).exists()
        or bool(network.namespaces(name))
        or any((point / cgroup).exists() for point in cgroups.hierarchies())
        or bool(network.links(f"{CGROUP_ROOT}:{name}"))
    )


def check_state(name: str, state: Path) -> None:
    """Raise PreflightError when `state` exists and nothing says that it was made for the sandbox `name`: neither its
    own record, nor the registry, which is written before the directory is made."""
    entry = machine_state.read().sandboxes.get(name)
    if state.exists() and not sandbox_state.is_of(state, name) and not (entry and Path(entry.state) == state):
        raise PreflightError(
            f"{state} exists and has no record ({sandbox_state.FILE}) of a sandbox {name!r}: it is not touched.",
            "Give another --name or another MESHOPS_SANDBOX_STATE, or remove it yourself when you know what it is.",
        )


def remove(name: str, state: Path, progress: Progress) -> None:
    """Remove everything of `name`: processes, cgroups, namespaces, bridge, runtime files, state. Works on names
    alone. Raises PreflightError, before anything is removed, when the state directory is not the sandbox's."""
    check_state(name, state)
    record = sandbox_state.read(state)
    if record:
        record.phase = "stopping"
        record.write(state)
    cgroup = f"{CGROUP_ROOT}/{name}"
    runtime = RUN_ROOT / name
    with progress.step("ending processes"):
        cgroups.end(cgroup, first=_supervisor(runtime))
        cgroups.remove(cgroup)
        leftovers.remove_of(state, runtime)
    with progress.step("removing network and files"), concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        entry = machine_state.read().sandboxes.get(name)
        bridge = bridge_of(entry.index) if entry else None
        links = pool.submit(network.remove, name, f"{CGROUP_ROOT}:{name}", bridge)
        files = pool.submit(_remove_tree, state)
        links.result()
        files.result()
        _remove_tree(runtime)
    with machine_state.changing() as known:
        known.sandboxes.pop(name, None)
        last = not known.sandboxes
        if record:
            known.directories += [path for path in record.directories if path not in known.directories]
            known.state_directories += [
                path for path in record.state_directories if path not in known.state_directories
            ]
    stay = machine_state.modules_loaded_since(known) if last else []
    if stay:
        progress.note(f"kernel modules loaded since the first `up` stay, with their sysctls: {', '.join(stay)}")


def remove_leftovers(progress: Progress) -> None:
    """Remove what earlier versions of the sandbox left of sandboxes that are gone."""
    removed = leftovers.remove_orphans()
    if removed.processes or removed.cgroups:
        progress.note(
            f"earlier versions had left {removed.processes} processes of pods and {removed.cgroups} cgroups: gone"
        )


def _supervisor(runtime: Path) -> list[int]:
    try:
        return [int((runtime / "supervisord.pid").read_text(encoding="ascii"))]
    except (OSError, ValueError):
        return []


def _remove_tree(path: Path) -> None:
    """As fast as the disk can: image stores are tens of thousands of links, and every node has its own."""
    if not path.exists():
        return
    parts = [part for part in (path / "nodes").glob("*") if part.is_dir()]
    running = [subprocess.Popen(["rm", "-rf", "--one-file-system", "--", str(part)]) for part in parts]
    for process in running:
        process.wait()
    for part in path.iterdir():
        if part.name == sandbox_state.FILE:
            continue  # the last to go: without it nobody knows whose the rest is
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part)
        else:
            part.unlink()
    shutil.rmtree(path)
