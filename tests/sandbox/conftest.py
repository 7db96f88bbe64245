# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sandboxes for the tests of the sandbox: small ones with names of their own, next to whatever else runs on this
machine."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
import typing as t
import uuid
from pathlib import Path

import psutil
import pytest

from meshops_sandbox import cgroups
from meshops_sandbox.layout import CGROUP_ROOT
from meshops_sandbox.topology import TOPOLOGIES

ROOT = Path(__file__).resolve().parents[2]
SMALL = TOPOLOGIES / "small.yml"


@dataclasses.dataclass(frozen=True)
class Command:
    """`meshops-sandbox` as a user types it; `prefix` puts it onto another machine (namespaces of its own)."""

    environment: dict[str, str]
    prefix: tuple[str, ...] = ()

    def __call__(self, *arguments: str, timeout: float = 600, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it. Its own limits (a minute and a half for a step of `up`) come first, and say more than `timeout`."""
        try:
            return subprocess.run(
                self.line(*arguments),
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            said = b"".join(filter(None, (error.stdout, error.stderr))).decode("utf-8", "replace")
            pytest.fail(f"{arguments} did not end within {timeout:.0f} s; until then it said:\n{said}")

    def with_state_in(self, state: Path) -> Command:
        """The same, with another state directory."""
        return dataclasses.replace(self, environment={**self.environment, "MESHOPS_SANDBOX_STATE": str(state)})

    def line(self, *arguments: str) -> list[str]:
        return [*self.prefix, sys.executable, "-m", "meshops_sandbox", *arguments]

    def works(self, *arguments: str) -> str:
        """Standard output of a command that must succeed."""
        done = self(*arguments)
        assert done.returncode == 0, f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def status(self, name: str) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", json.loads(self("status", "--name", name, "--json").stdout))


def _environment(state: Path) -> dict[str, str]:
    users = ("MESHOPS_SANDBOX_NAME", "MESHOPS_SANDBOX_NETWORK", "K8S_AUTH_", "KUBE")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(users)}
    return {**kept, "MESHOPS_SANDBOX_STATE": str(state), "COLUMNS": "200"}


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> t.Callable[[str], None]:
    """Print what was measured: for people, never to be asserted."""

    def told(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n    {text}\n")

    return told


@pytest.fixture(scope="session")
def state_root() -> t.Iterator[Path]:
    """On the disk of the project, as image stores are hard-linked."""
    root = ROOT / ".work" / "sandbox-tests" / uuid.uuid4().hex[:8]
    root.mkdir(parents=True)
    yield root
    with contextlib.suppress(OSError):
        root.rmdir()


@pytest.fixture(scope="session")
def sandbox(state_root: Path) -> Command:
    """The command on this machine, with a state directory of the tests."""
    return Command(_environment(state_root))


@pytest.fixture(scope="session")
def small(sandbox: Command) -> t.Iterator[str]:
    """Name of a running sandbox of three nodes with Istio."""
    name = f"t-{uuid.uuid4().hex[:6]}"
    try:
        sandbox.works("up", "--name", name, "--topology", str(SMALL))
        yield name
    finally:
        sandbox("down", "--name", name)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Machine]:
    """A machine to compare before and after, on which nobody else works."""
    with _machine(ROOT / ".work" / "sandbox-tests" / f"m{uuid.uuid4().hex[:7]}") as made:
        yield made


@dataclasses.dataclass(frozen=True)
class Machine:
    """Network and mounts of its own, an empty /run: what is different afterwards was left by the sandbox and by
    nobody else."""

    holder: int
    state: Path

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("nsenter", f"--target={self.holder}", "--net", "--mount", f"--wd={ROOT}", "--")

    @property
    def sandbox(self) -> Command:
        return Command(_environment(self.state), self.prefix)

    def run(self, *command: str) -> str:
        return subprocess.run([*self.prefix, *command], check=True, capture_output=True, text=True).stdout

    def picture(self, name: str) -> dict[str, set[str]]:
        """Everything a sandbox could leave behind. Cgroups and processes are the host's: only those of `name`."""
        firewall = self.run("sh", "-c", "iptables-save; ip6tables-save").splitlines()
        return {
            "links": set(self.run("ip", "-brief", "link").split("\n")),
            "addresses and routes": set(self.run("ip", "route", "show", "table", "all").split("\n")),
            "firewall rules": {line for line in firewall if line.startswith(("-A", "-P"))},
            "mounts": {line.split(" ")[4] for line in self.run("cat", "/proc/self/mountinfo").splitlines()},
            "files": set(self.run("find", "/run", "/var/log", "/var/lib/cni", "/var/lib/kubelet").split("\n")),
            "state": set(self.run("find", str(self.state.parent), "-path", f"{self.state}*").split("\n")),
            # os.walk does not mind that cgroups of others come and go while it looks; find does.
            "cgroups": {path for path, *_ in os.walk("/sys/fs/cgroup") if f"/meshops-sandbox/{name}" in path},
            "processes": {line for line in map(_line, psutil.pids()) if name in line},
            "sysctls": set(self.run("sh", "-c", f"cd /proc/sys; grep --with-filename '' {_SYSCTLS}").split("\n")),
        }


_SYSCTLS = "fs/inotify/* net/ipv4/ip_forward vm/overcommit_memory vm/panic_on_oom kernel/panic* kernel/keys/root_*"


def _line(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""  # it ended in between


@contextlib.contextmanager
def _machine(state: Path) -> t.Iterator[Machine]:
    holder = subprocess.Popen(
        ["unshare", "--net", "--mount", "--propagation", "private", "--", "sleep", "infinity"], stdin=subprocess.DEVNULL
    )
    made_here: list[Path] = []
    try:
        deadline = time.monotonic() + 10
        while os.readlink(f"/proc/{holder.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        state.parent.mkdir(parents=True, exist_ok=True)
        made = Machine(holder.pid, state)
        made.run("sh", "-c", "umount --recursive --lazy /run/netns || true")
        made.run("mount", "-t", "tmpfs", "none", "/run")
        made.run("mkdir", "/run/mount")  # umount's own
        made.run("mount", "-t", "tmpfs", "none", "/var/log")
        for directory in (Path("/var/lib/cni"), Path("/var/lib/kubelet")):  # mount points must exist on the host
            if not directory.exists():
                directory.mkdir()
                made_here.append(directory)
            made.run("mount", "-t", "tmpfs", "none", str(directory))
        made.run("ip", "link", "set", "lo", "up")
        made.run("iptables", "-P", "FORWARD", "DROP")  # as Docker leaves it
        made.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")
        yield made
    finally:
        for left in state.glob("*"):  # only when a test failed
            cgroups.end(f"{CGROUP_ROOT}/{left.name}")
            cgroups.remove(f"{CGROUP_ROOT}/{left.name}")
        holder.kill()
        holder.wait()
        shutil.rmtree(state, ignore_errors=True)
        for directory in made_here:
            with contextlib.suppress(OSError):  # somebody else uses it by now
                directory.rmdir()
