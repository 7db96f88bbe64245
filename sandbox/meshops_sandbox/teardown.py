# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes a sandbox away, however much of it exists: a running one, one whose `up` was killed, one from before a
reboot."""

from __future__ import annotations

import concurrent.futures
import contextlib
import shutil
import subprocess
from pathlib import Path

from meshops_sandbox import cgroups, network, record, registry
from meshops_sandbox.layout import CGROUP_ROOT, RUN_ROOT, bridge_of
from meshops_sandbox.progress import Progress


def exists(name: str, state: Path) -> bool:
    """Whether anything of the sandbox `name` is there: its entry, state, processes, namespaces, links or runtime
    files."""
    cgroup = f"{CGROUP_ROOT}/{name}"
    return (
        name in registry.read().sandboxes
        or state.exists()
        or (RUN_ROOT / name).exists()
        or bool(network.namespaces(name))
        or any((point / cgroup).exists() for point in cgroups.hierarchies())
        or bool(network.links(f"{CGROUP_ROOT}:{name}"))
    )


def remove(name: str, state: Path, progress: Progress) -> None:
    """Remove everything of `name`: processes, cgroups, namespaces, bridge, runtime files, state. Works on names
    alone."""
    kept = record.read(state)
    if kept:
        kept.phase = "stopping"
        kept.write(state)
    cgroup = f"{CGROUP_ROOT}/{name}"
    runtime = RUN_ROOT / name
    with progress.step("ending processes"):
        cgroups.end(cgroup, first=_supervisor(runtime))
        cgroups.remove(cgroup)
    with progress.step("removing network and files"), concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        entry = registry.read().sandboxes.get(name)
        bridge = bridge_of(entry.index) if entry else None
        links = pool.submit(network.remove, name, f"{CGROUP_ROOT}:{name}", bridge)
        files = pool.submit(_remove_tree, state)
        links.result()
        files.result()
        _remove_tree(runtime)
    with registry.changing() as known:
        known.sandboxes.pop(name, None)
        known.directories += [path for path in (kept.directories if kept else []) if path not in known.directories]
        # The last state gone: the directory as well, but not that of an `up` that has said where it will write.
        if not any(Path(other.state).parent == state.parent for other in known.sandboxes.values()):
            with contextlib.suppress(OSError):
                state.parent.rmdir()


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
    shutil.rmtree(path)
