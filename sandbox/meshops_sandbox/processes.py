# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a sandbox, kept alive by supervisord (PyPI `supervisor`) and told what to do over its unix socket.

supervisord and everything below it has its own mount namespace, in which the directories that containerd's shims,
libcni and kubelet
write to at fixed paths are the sandbox's own. All mounts of all containers vanish with the last process.
"""

from __future__ import annotations

import dataclasses
import http.client
import os
import subprocess
import sys
import time
import typing as t
import xmlrpc.client
from pathlib import Path

from supervisor.xmlrpc import SupervisorTransport

from meshops_sandbox import cgroups, sandbox_state, templating
from meshops_sandbox.errors import BootError, SandboxError
from meshops_sandbox.layout import Layout, NodeLayout
from meshops_sandbox.machine_state import FIXED_DIRECTORIES
from meshops_sandbox.time_limits import stretched

_CONNECTION = (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError)


@dataclasses.dataclass(frozen=True)
class Program:
    """One supervised process: its name, the node in whose network it runs, its command, and the signal it is stopped
    with."""

    name: str
    node: NodeLayout
    command: tuple[str, ...]
    stop_signal: str = "TERM"


@dataclasses.dataclass(frozen=True)
class ProgramState:
    """How supervisord sees a program: RUNNING, STARTING, BACKOFF, FATAL, STOPPED, EXITED; `since` in seconds since
    the epoch."""

    name: str
    state: str
    pid: int
    since: int
    detail: str


class Supervisor:
    """supervisord of one sandbox."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    @property
    def _proxy(self) -> t.Any:
        """A new one each time: its connection is of no use any more after one failed call, and belongs to one
        thread."""
        transport = SupervisorTransport(None, None, f"unix://{self._layout.supervisor_socket}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)

    def relaunch(self, programs: t.Sequence[Program]) -> None:
        """Start supervisord again after it was killed, and all programs anew. Containers go on: their shims are left
        alone, and
        the new processes join the shims' mount namespace. Raises BootError if supervisord does not answer."""
        daemons = f"{self._layout.cgroup}/daemons"
        shims = {pid for pid in cgroups.processes(daemons) if _command(pid) == "containerd-shim"}
        cgroups.end(daemons, keep=shims)
        self.launch(programs, into=min(shims, default=None))
        self.start(*(program.name for program in programs))

    def change(self, programs: t.Sequence[Program]) -> list[str]:
        """Make `programs` all that supervisord runs: what is new or has another command is started, what is not among
        them ends, the others go on. Returns the names of those that were started or ended."""
        self._configure(programs)
        proxy = self._proxy
        try:
            added, changed, removed = proxy.supervisor.reloadConfig()[0]
            for name in (*changed, *removed):
                proxy.supervisor.stopProcessGroup(name)
                proxy.supervisor.removeProcessGroup(name)
            for name in (*added, *changed):
                proxy.supervisor.addProcessGroup(name)
                proxy.supervisor.startProcess(name, False)
        except (*_CONNECTION, xmlrpc.client.Fault) as error:
            raise SandboxError(
                f"supervisord of {self._layout.name!r} does not take its new programs: {error}.",
                f"Repair it: meshops-sandbox up --name {self._layout.name}.",
            ) from error
        return [*added, *changed, *removed]

    def _configure(self, programs: t.Sequence[Program]) -> Path:
        configuration = self._layout.state / "supervisord.conf"
        templating.write(configuration, "supervisord.conf.j2", layout=self._layout, programs=programs)
        return configuration

    def launch(self, programs: t.Sequence[Program], *, into: int | None = None) -> None:
        """Start supervisord, in its own session, cgroup and mount namespace (that of the process `into`, when
        given); no program runs yet. Raises BootError if it does not answer."""
        layout = self._layout
        layout.logs.mkdir(parents=True, exist_ok=True)
        layout.runtime.mkdir(parents=True, exist_ok=True)
        own = [(layout.state / "host" / str(path).strip("/").replace("/", "-"), path) for path in FIXED_DIRECTORIES]
        own[0] = (
            layout.runtime / "containerd",
            own[0][1],
        )  # sockets of the shims: on the file system of /run, as they are short-lived
        for source, _ in own:
            source.mkdir(parents=True, exist_ok=True)
        configuration = self._configure(programs)
        # Here, so that a sandbox that an earlier version made has it, too, when it is repaired.
        templating.write(layout.audit_policy, "audit-policy.yaml.j2")
        script = layout.state / "supervisord.sh"
        templating.write(
            script,
            "supervisord.sh.j2",
            cgroup=cgroups.make(f"{layout.cgroup}/daemons"),
            mounts=own if into is None else [],
            record=layout.state / sandbox_state.FILE,
            command=[sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(configuration)],
        )
        namespace = (
            ["unshare", "--mount", "--propagation", "slave"]
            if into is None
            else ["nsenter", f"--mount=/proc/{into}/ns/mnt"]
        )
        with open(layout.logs / "supervisord.out", "wb") as log:
            started = subprocess.Popen(
                [*namespace, "--", "sh", str(script)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env={key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "PYTHONPATH")},
            )
        deadline = time.monotonic() + stretched(15)
        while not self.answers():
            if started.poll() is not None or time.monotonic() > deadline:
                raise BootError(
                    "supervisord does not start.",
                    f"See {layout.logs}/supervisord.out and supervisord.log.",
                    tail(layout.logs / "supervisord.out", 5) + tail(layout.logs / "supervisord.log", 5),
                )
            time.sleep(0.03)

    def answers(self) -> bool:
        """Whether supervisord is there."""
        try:
            self._proxy.supervisor.getState()
        except _CONNECTION:
            return False
        return True

    def pid(self) -> int | None:
        """Process id of supervisord, None when it does not run."""
        try:
            return int(self._proxy.supervisor.getPID())
        except _CONNECTION:
            return None

    def start(self, *names: str) -> None:
        """Start programs and do not wait for them."""
        for name in names:
            self._proxy.supervisor.startProcess(name, False)

    def states(self) -> dict[str, ProgramState]:
        """All programs by name; {} when supervisord does not run."""
        try:
            listed = self._proxy.supervisor.getAllProcessInfo()
        except _CONNECTION:
            return {}
        return {
            each["name"]: ProgramState(
                each["name"], each["statename"], each["pid"], each["start"], each["spawnerr"] or each["description"]
            )
            for each in listed
        }


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def tail(path: Path, lines: int) -> list[str]:
    """The last `lines` lines of a log, [] when there is none."""
    try:
        with open(path, "rb") as log:
            log.seek(max(0, path.stat().st_size - 64 * 1024))
            return log.read().decode("utf-8", "replace").splitlines()[-lines:]
    except OSError:
        return []
