# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image store: a containerd root directory with every image imported and unpacked once, so that no node has to.

A node works on a copy made of hard links. That is sound because containerd never writes into blobs and committed
snapshots; what it does write, its databases, is copied for real.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

import tenacity

from meshops_sandbox.build.artifacts import BuildError
from meshops_sandbox.build.commands import Commands
from meshops_sandbox.time_limits import stretched

NAMESPACE = "k8s.io"
_CRI_LABEL = "io.cri-containerd.image=managed"
_DATABASES = "*.db"


def containerd_config(root: Path, state: Path) -> dict[str, t.Any]:
    """containerd's configuration (version 2) for filling or looking at a store: the CRI plugin is on because it is what
    marks images as the kubelet's; nothing outside `root` and `state` is written."""
    return {
        "version": 2,
        "root": str(root),
        "state": str(state / "state"),
        "disabled_plugins": [
            f"io.containerd.{name}"
            for name in (
                "snapshotter.v1.aufs",
                "snapshotter.v1.btrfs",
                "snapshotter.v1.devmapper",
                "snapshotter.v1.native",
                "snapshotter.v1.zfs",
                "tracing.processor.v1.otlp",
            )
        ],
        "grpc": {"address": str(state / "containerd.sock")},
        "ttrpc": {"address": str(state / "containerd.ttrpc.sock")},
        "plugins": {
            "io.containerd.internal.v1.opt": {"path": str(state / "opt")},
            "io.containerd.grpc.v1.cri": {
                "restrict_oom_score_adj": True,
                "cni": {"conf_dir": str(state / "cni"), "bin_dir": str(state / "cni")},
            },
        },
    }


def to_toml(table: t.Mapping[str, t.Any], path: tuple[str, ...] = ()) -> str:
    """TOML of nested tables of strings, whole numbers, booleans and lists of strings (JSON spells these values the same
    way)."""
    own = [f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, dict)]
    text = (f"[{'.'.join(json.dumps(part) for part in path)}]\n" if path else "") + "".join(line + "\n" for line in own)
    return text + "".join(to_toml(value, (*path, key)) for key, value in table.items() if isinstance(value, dict))


@contextlib.contextmanager
def containerd(root: Path, runtime_prefix: str, commands: Commands, log: Path) -> t.Iterator[list[str]]:
    """A containerd on `root` for as long as the block lasts; gives the ctr command for its namespace k8s.io.

    Its sockets are in a directory below /run named by `runtime_prefix`: a socket's path may have 107 bytes, a cache's
    is longer."""
    state = Path(tempfile.mkdtemp(prefix=f"{runtime_prefix}.", dir="/run"))
    process: subprocess.Popen[bytes] | None = None
    try:
        config = state / "config.toml"
        config.write_text(to_toml(containerd_config(root, state)), encoding="utf-8")
        root.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = commands.spawn(["containerd", "--config", config], stdout=output)
        ctr = ["ctr", "--address", str(state / "containerd.sock"), "--namespace", NAMESPACE]
        _wait_until_it_answers(process, ctr, log)
        yield ctr
    finally:
        if process is not None:
            _end(process)
            commands.ended(process)
        unmount_below(state)
        unmount_below(root)
        shutil.rmtree(state, ignore_errors=True)


def _wait_until_it_answers(process: subprocess.Popen[bytes], ctr: t.Sequence[str], log: Path) -> None:
    def answers() -> bool:
        if process.poll() is not None:
            raise BuildError(
                f"containerd ended with status {process.returncode} while the image store was being made; see {log}.",
                log,
            )
        return subprocess.run([*ctr, "version"], capture_output=True, check=False).returncode == 0

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda up: not up),
        stop=tenacity.stop_after_delay(stretched(30)),
        wait=tenacity.wait_fixed(0.1),
    )
    try:
        retrying(answers)
    except tenacity.RetryError:
        raise BuildError(
            f"containerd did not answer within {stretched(30):.0f} s while the image store was being made; see {log}.",
            log,
        ) from None


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=stretched(10))
            return


def unmount_below(directory: Path) -> None:
    """Unmount everything mounted below `directory`, the innermost first."""
    prefix = f"{directory}/"
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        points = [line.split()[4].encode().decode("unicode_escape") for line in table]
    for point in sorted((point for point in points if point.startswith(prefix)), reverse=True):
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)


def fill(
    root: Path,
    archives: t.Sequence[Path],
    references: t.Collection[str],
    runtime_prefix: str,
    commands: Commands,
    log: Path,
    progress: t.Callable[[str, float | None], None],
) -> None:
    """Import and unpack the archives into the containerd root `root`; afterwards every reference is there and known to
    CRI."""
    with containerd(root, runtime_prefix, commands, log) as ctr:
        plugins = subprocess.run([*ctr, "plugins", "list"], capture_output=True, text=True, check=False).stdout
        if not any(
            line.split()[:2] == ["io.containerd.snapshotter.v1", "overlayfs"] and line.rstrip().endswith("ok")
            for line in plugins.splitlines()
        ):
            raise BuildError(
                f"containerd cannot use overlayfs below {root}: put the cache on ext4 or xfs (MESHOPS_SANDBOX_CACHE); "
                f"see {log}.",
                log,
            )
        for number, archive in enumerate(archives):
            progress(f"importing {archive.stem}", number / len(archives))
            commands.run(
                [*ctr, "images", "import", archive], what=f"importing {archive.name} into the image store", log=log
            )
        absent = set(references)
        deadline = time.monotonic() + stretched(20)
        while absent and time.monotonic() < deadline:
            listed = subprocess.run(
                [*ctr, "images", "list"], capture_output=True, text=True, check=True
            ).stdout.splitlines()
            absent = {
                name
                for name in references
                if not any(line.split()[0] == name and _CRI_LABEL in line for line in listed if line)
            }
            if absent:
                time.sleep(0.1)
        if absent:
            raise BuildError(f"containerd did not take over the images {', '.join(sorted(absent))}; see {log}.", log)
    # Every containerd names itself by this file, and makes it when it is not there: nodes must not share one.
    (root / "io.containerd.grpc.v1.introspection" / "uuid").unlink(missing_ok=True)


def copy_image_store(source: Path, target: Path) -> None:
    """Give a node its containerd root directory `target` (must not exist; its parent must). Files are hard links to
    `source`, the databases are copies; on another file system everything is copied. It appears by one rename."""
    if target.exists():
        raise BuildError(f"The image store cannot be copied to {target}: it already exists.")
    partial = target.with_name(f"{target.name}.partial")
    # Two bind mounts of one file system have the same device and still cannot be linked across (EXDEV): cp tells.
    same = source.stat().st_dev == target.parent.stat().st_dev
    done = _copy(source, partial, "--link" if same else "--reflink=auto")
    if done.returncode and same:
        same = False
        done = _copy(source, partial, "--reflink=auto")
    if done.returncode:
        shutil.rmtree(partial, ignore_errors=True)
        raise BuildError(
            f"The image store could not be copied to {target}: "
            f"{done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}."
        )
    if same:
        for database in partial.glob(f"*/{_DATABASES}"):
            fresh = database.with_suffix(".copy")
            shutil.copy2(database, fresh)
            fresh.replace(database)
    partial.rename(target)


def _copy(source: Path, partial: Path, how: str) -> subprocess.CompletedProcess[str]:
    shutil.rmtree(partial, ignore_errors=True)
    return subprocess.run(["cp", "--archive", how, source, partial], capture_output=True, text=True, check=False)
