# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One module in one process, forked from one that has imported already what all modules import: most of the time of a
module that is started anew goes into that. The process is clean otherwise: no module ever ran in it.

`run` is for a module that a test runs itself, `address` for those that Ansible sends: tests/interpreter asks there.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import importlib
import json
import multiprocessing
import os
import runpy
import socket
import sys
import tempfile
import threading
import typing as t
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

PLUGINS = "ansible_collections.meshops.locality.plugins.modules"

#: How many seconds a module waits for an answer, where a test has less patience than a user.
SILENCE = "MESHOPS_TEST_SECONDS_OF_SILENCE"

#: What is read while these are imported: a module that gets it needs an interpreter of its own.
AT_IMPORT = frozenset(("KUBECONFIG", "PYTHONPATH"))


@dataclasses.dataclass(frozen=True)
class Done:
    """How a module ended: its exit code (negative: the signal) and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


@functools.cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    return context


def _become(arguments: list[str], environment: dict[str, str], folder: str, streams: t.Sequence[str]) -> None:
    write = os.O_WRONLY | os.O_CREAT
    for number, (path, flags) in enumerate(zip(streams, (os.O_RDONLY, write, write), strict=True)):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process lives
    sys.argv = arguments
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)


def _module(name: str, environment: dict[str, str], folder: str, streams: t.Sequence[str]) -> None:
    _become([name], environment, folder, streams)  # more arguments, and Ansible takes the first one for the input
    module = importlib.import_module(f"{PLUGINS}.{name}")
    if SILENCE in environment:
        rooms = "ansible_collections.meshops.locality.plugins.module_utils._kube"
        importlib.import_module(f"{rooms}.client").READ_SECONDS = float(environment[SILENCE])  # type: ignore[attr-defined]
        importlib.import_module(f"{rooms}.exec").CONNECT_SECONDS = float(environment[SILENCE])  # type: ignore[attr-defined]
    module.main()


def _script(arguments: list[str], environment: dict[str, str], folder: str, streams: t.Sequence[str]) -> None:
    _become(arguments, environment, folder, streams)
    runpy.run_path(arguments[0], run_name="__main__")


def run(
    name: str,
    arguments: t.Any,
    environment: dict[str, str],
    cwd: Path,
    scratch: Path,
    timeout: float,
    *,
    started: t.Callable[[int], object] | None = None,
) -> Done:
    """Run a module of this collection; `arguments` is what Ansible's wrapper sends it. `started` gets the id of its
    process. Raises TimeoutError."""
    folder = Path(tempfile.mkdtemp(prefix="module-", dir=scratch))
    streams = [str(folder / name) for name in ("stdin", "stdout", "stderr")]
    Path(streams[0]).write_text(json.dumps(arguments, default=str), encoding="utf-8")
    process = _context().Process(target=_module, args=(name, environment, str(cwd), streams))
    process.start()
    if started:
        started(t.cast(int, process.pid))
    process.join(timeout)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"{name} did not end within {timeout:.0f} s")
    text = (Path(path).read_text(encoding="utf-8") if Path(path).exists() else "" for path in streams[1:])
    return Done(process.exitcode, *text)


@functools.cache
def address() -> str:
    """The socket at which this process runs Python scripts for others, as long as it lives."""
    folder = tempfile.TemporaryDirectory(prefix="modules-")
    atexit.register(folder.cleanup)
    path = str(Path(folder.name) / "socket")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    return path


def _accept(listener: socket.socket) -> None:
    while True:
        connection = listener.accept()[0]
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    """Run what one client asks for with its arguments, environment, folder and streams; answer with the exit code."""
    with connection, connection.makefile("r", encoding="utf-8") as asked, contextlib.suppress(OSError):
        wanted = json.loads(asked.readline())
        streams = [f"/proc/{wanted['pid']}/fd/{number}" for number in range(3)]
        process: ForkServerProcess = _context().Process(
            target=_script, args=(wanted["argv"], wanted["environment"], wanted["folder"], streams)
        )
        process.start()
        process.join()
        connection.sendall(str(process.exitcode).encode())
