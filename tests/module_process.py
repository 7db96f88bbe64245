# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One module in one process, forked from one that has imported already what all modules import: most of the time of a
module that is started anew goes into that. The process is clean otherwise: no module ever ran in it."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import multiprocessing
import os
import sys
import typing as t
from pathlib import Path

PLUGINS = "ansible_collections.meshops.locality.plugins.modules"

#: What is read while these are imported: a module that gets it needs an interpreter of its own.
AT_IMPORT = frozenset(("KUBECONFIG", "PYTHONPATH"))


@dataclasses.dataclass(frozen=True)
class Done:
    """How a module ended: its exit code (negative: the signal) and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def _perform(name: str, environment: dict[str, str], folder: str, streams: t.Sequence[str]) -> None:
    for number, (path, flags) in enumerate(
        zip(streams, (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT), strict=True)
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process lives
    sys.argv = [name]  # or Ansible takes the first argument for the input
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    try:
        importlib.import_module(f"{PLUGINS}.{name}").main()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()


def run(name: str, arguments: t.Any, environment: dict[str, str], cwd: Path, scratch: Path, timeout: float) -> Done:
    """Run a module of this collection; `arguments` is what Ansible's wrapper sends it. Raises TimeoutError."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    number = len(list(scratch.glob("module-*.in")))
    streams = [str(scratch / f"module-{number}.{end}") for end in ("in", "out", "err")]
    Path(streams[0]).write_text(json.dumps(arguments, default=str), encoding="utf-8")
    process = context.Process(target=_perform, args=(name, environment, str(cwd), streams))
    process.start()
    process.join(timeout)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"{name} did not end within {timeout:.0f} s")
    told = (Path(path).read_text(encoding="utf-8") if Path(path).exists() else "" for path in streams[1:])
    return Done(process.exitcode, *told)
