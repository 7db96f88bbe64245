# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sandboxes for the tests of the sandbox: small ones with names of their own, next to whatever else runs on this
machine."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
import typing as t
import uuid
from pathlib import Path

import psutil
import pytest

from meshops_sandbox import cgroups, machine_state
from meshops_sandbox.build import cache
from meshops_sandbox.time_limits import stretched
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
                timeout=stretched(timeout),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            said = b"".join(filter(None, (error.stdout, error.stderr))).decode("utf-8", "replace")
            pytest.fail(f"{arguments} did not end within {stretched(timeout):.0f} s; until then it said:\n{said}")

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
    own = {key: value for key, value in os.environ.items() if not key.startswith(users)}
    return {**own, "MESHOPS_SANDBOX_STATE": str(state), "COLUMNS": "200"}


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> t.Callable[[str], None]:
    """Print what was measured: for people, never to be asserted."""

    def report(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n    {text}\n")

    return report


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
def machine() -> t.Iterator[Machine]:
    """A machine to compare before and after, on which nobody else works."""
    with _machine(f"m{uuid.uuid4().hex[:7]}") as container:
        yield container


@dataclasses.dataclass(frozen=True)
class Machine:
    """Processes, cgroups, network, mounts and a home directory of its own, an empty /run: what is different afterwards
    was left by the sandbox and by nobody else, whatever else runs on the host. Only the kernel's global sysctls are
    the host's.

    holder: process id, on the host, of its process 1. cgroup: its root cgroup, in every hierarchy of the host."""

    holder: int
    cgroup: str
    home: Path

    @property
    def state(self) -> Path:
        """Where the sandboxes' states are by default."""
        return self.home / ".local" / "state" / "meshops-locality"

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("sh", str(self.home.parent / "enter"))

    @property
    def sandbox(self) -> Command:
        environment = {key: value for key, value in _environment(self.state).items() if not key.startswith("XDG_")}
        del environment["MESHOPS_SANDBOX_STATE"]
        # What is built is the host's; all else that goes by a home directory is seen.
        return Command({**environment, "MESHOPS_SANDBOX_CACHE": str(cache.root()), "HOME": str(self.home)}, self.prefix)

    def run(self, *command: str) -> str:
        return subprocess.run([*self.prefix, *command], check=True, capture_output=True, text=True).stdout

    def popen(self, *arguments: str) -> tuple[subprocess.Popen[str], int]:
        """Start `meshops-sandbox` and do not wait: the process that waits for it here, and its own id on the host."""
        process = subprocess.Popen(
            self.sandbox.line(*arguments),
            env=self.sandbox.environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 10
        while not (inside := [each for each in psutil.Process(process.pid).children() if _is_in(each.pid, self)]):
            assert time.monotonic() < deadline, "nothing was started in the machine"
            time.sleep(0.01)
        return process, inside[0].pid

    def processes(self) -> set[int]:
        """All processes of the machine, by their ids on the host, without those that have ended and wait for their
        parent."""
        return {pid for pid in psutil.pids() if _is_in(pid, self) and not cgroups.is_zombie(pid)}

    def picture(self) -> dict[str, set[str]]:
        """Everything a sandbox could leave behind, by what it is."""
        pids = self.processes()
        mounts = self.run("cat", "/proc/self/mountinfo").splitlines()
        firewall = self.run("sh", "-c", "iptables-save; ip6tables-save").splitlines()
        return {
            "links": _lines(self.run("ip", "-oneline", "link")),
            "addresses": _lines(self.run("ip", "-oneline", "address")),
            "routes": {line for version in ("-4", "-6") for line in _lines(self.run("ip", version, *_ROUTES))},
            "rules": {line for version in ("-4", "-6") for line in _lines(self.run("ip", version, "rule"))},
            "firewall rules": {line.partition(" [")[0] for line in firewall if line.startswith(("-A", ":"))},
            "mounts": {f"{line.split(' ')[3:5]} {line.partition(' - ')[2]}" for line in mounts},
            "processes": {f"{pid}: {_command(pid)}" for pid in pids},
            "namespaces": {namespace for pid in pids for namespace in _namespaces(pid)},
            "cgroups": {path for point in cgroups.hierarchies() for path, *_ in os.walk(point / self.cgroup)},
            "files": _lines(self.run("find", *filter(os.path.isdir, _FOLDERS), str(self.home), "-ignore_readdir_race")),
            "sandboxes of the host": {"some"} if machine_state.read().sandboxes else set(),
            "sysctls": {line for line in self.run(*_SYSCTLS).splitlines() if not _NOT_SETTINGS.match(line)},
        }


_FOLDERS = ("/run", "/var/log", "/var/lib/cni", "/var/lib/kubelet")
_ROUTES = ("route", "show", "table", "all")
_SYSCTLS = ("sh", "-c", "find /proc/sys -type f -perm -200 -exec grep --with-filename --no-messages '' {} + || true")
# Counters, caches and random numbers; those of single links come and go with these; and, as long as the kernel has not
# loaded conntrack, what comes with it and stays (the README says so).
_NOT_SETTINGS = re.compile(
    r"/proc/sys/(fs/binfmt_misc/|kernel/(random/|ns_last_pid|sched_domain/)|vm/(stat_refresh|compact_memory|drop_caches)"
    r"|net/ipv[46]/route/flush|net/ipv[46]/(conf|neigh)/(?!all/|default/)"
    + ("" if Path("/proc/sys/net/netfilter").exists() else r"|net/netfilter/|net/nf_conntrack_max")
    + ("" if Path("/proc/sys/net/bridge").exists() else r"|net/bridge/")
    + ")"
)


_NS_GET_PARENT = 0xB702  # ioctl_ns(2)


def _is_in(pid: int, machine: Machine) -> bool:
    """Whether a process is in the machine's process namespace, or in one below: every pod has one."""
    try:
        wanted = os.stat(f"/proc/{machine.holder}/ns/pid").st_ino
        handle = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY)
    except OSError:
        return False  # it ended in between
    while True:
        try:
            if os.fstat(handle).st_ino == wanted:
                return True
            above = fcntl.ioctl(handle, _NS_GET_PARENT)
        except OSError:
            return False  # the one above is this process's own, or not to be seen from it
        finally:
            os.close(handle)
        handle = above


def _lines(text: str) -> set[str]:
    return {line.strip() for line in text.splitlines() if line.strip()}


def _command(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return "(ended)"


def _namespaces(pid: int) -> t.Iterator[str]:
    for kind in ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts"):
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/{pid}/ns/{kind}")


# Process 1 of the machine. Whoever loses its parent becomes its child; the kernel takes those that end at once.
_INIT = "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nwhile True: signal.pause()"


@contextlib.contextmanager
def _machine(name: str) -> t.Iterator[Machine]:
    base = ROOT / ".work" / "sandbox-tests" / name
    home = base / "home"
    home.mkdir(parents=True)
    root = f"meshops-machine-{name}"
    leaves = _make_cgroups(root)
    # The cgroup in which `unshare` makes the namespace becomes the machine's root.
    join = "".join(f"echo $$ > '{leaf.parent}/cgroup.procs'\n" for leaf in leaves)
    starter = subprocess.Popen(
        [
            *("sh", "-euc", f'{join}exec unshare "$@"', "sh", "--net", "--mount", "--pid", "--cgroup", "--ipc"),
            *("--fork", "--kill-child", "--propagation", "private", "--", sys.executable, "-c", _INIT),
        ],
        stdin=subprocess.DEVNULL,
    )
    made_here: list[Path] = []
    try:
        deadline = time.monotonic() + 10
        while not (inside := psutil.Process(starter.pid).children()):
            assert time.monotonic() < deadline, "unshare made no machine"
            time.sleep(0.02)
        holder = inside[0].pid
        for leaf in leaves:
            for pid in (holder, starter.pid):
                (leaf / "cgroup.procs").write_text(str(pid))
        cgroups.make_for_pods(root)  # only now: on v2 what hands down controllers may hold no process
        enter = "".join(f"echo $$ > '{leaf}/cgroup.procs'\n" for leaf in leaves)
        namespaces = f"--target={holder} --net --mount --pid --cgroup --ipc"
        (base / "enter").write_text(f"set -eu\n{enter}exec nsenter {namespaces} --wd='{ROOT}' -- \"$@\"\n")
        container = Machine(holder, root, home)
        container.run("mount", "-t", "proc", "proc", "/proc")
        _mount_cgroups(container)
        container.run("sh", "-c", "umount --recursive --lazy /run/netns || true")
        container.run("mount", "-t", "tmpfs", "none", "/run")
        container.run("mkdir", "/run/mount")  # umount's own
        container.run("mount", "-t", "tmpfs", "none", "/var/log")
        for directory in (Path("/var/lib/cni"), Path("/var/lib/kubelet")):  # mount points must exist on the host
            if not directory.exists():
                directory.mkdir()
                made_here.append(directory)
            container.run("mount", "-t", "tmpfs", "none", str(directory))
        container.run("ip", "link", "set", "lo", "up")
        container.run("iptables", "-P", "FORWARD", "DROP")  # as Docker leaves it
        container.run("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")
        yield container
    finally:
        starter.kill()  # with it process 1, and with that all others
        starter.wait()
        cgroups.end(root)
        cgroups.remove(root)
        shutil.rmtree(base, ignore_errors=True)
        for directory in made_here:
            with contextlib.suppress(OSError):  # somebody else uses it by now
                directory.rmdir()


def _make_cgroups(root: str) -> list[Path]:
    """The root cgroup of a machine in every hierarchy, and in it the one of its processes: on v2 only a leaf may hold
    any. Returns the leaves."""
    leaves = [point / root / "init" for point in cgroups.hierarchies()]
    for leaf in leaves:
        for directory in (leaf.parent, leaf):
            directory.mkdir()
            for file in ("cpuset.cpus", "cpuset.mems"):  # v1 lets nobody in before they are set
                if (directory / file).exists() and not cgroups.is_unified(directory):
                    (directory / file).write_text((directory.parent / file).read_text())
    return leaves


def _mount_cgroups(machine: Machine) -> None:
    """The same hierarchies at the same places, but from the machine's own root cgroup on."""
    messages = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ")
        if kind in ("cgroup", "cgroup2"):
            messages.append((left.split(" ")[4], kind, [word for word in options.split(",") if word not in _COMMON]))
    machine.run("umount", "--recursive", "--lazy", "/sys/fs/cgroup")
    if len(messages) > 1:
        machine.run("mount", "-t", "tmpfs", "none", "/sys/fs/cgroup")
    for point, kind, controllers in messages:
        machine.run("mkdir", "-p", point)
        words = ["none", *controllers] if any(word.startswith("name=") for word in controllers) else controllers
        chosen = ("-o", ",".join(words)) if kind == "cgroup" else ()
        machine.run("mount", "-t", kind, *chosen, "none", point)


_COMMON = ("rw", "ro", "xattr", "nsdelegate", "memory_recursiveprot", "clone_children")
