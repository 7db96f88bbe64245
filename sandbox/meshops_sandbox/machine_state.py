# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sandboxes exist on this machine, and what was changed on the machine for all of them.

The registry lives under /run: network namespaces, bridges, cgroups and sysctls do not survive a reboot, and neither
does it.
An entry is written before anything of its sandbox is created, so whatever interrupts `up`, its name and index are
known.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import ipaddress
import json
import os
import subprocess
import time
import typing as t
from pathlib import Path

from meshops_sandbox import cgroups
from meshops_sandbox.errors import BusyError, SandboxError
from meshops_sandbox.layout import KUBELET_ROOT, NETNS_ROOT, RUN_ROOT
from meshops_sandbox.time_limits import stretched

# What five kubelets, containerds and Envoys need, per host; and what kubelet writes without asking (its
# setupKernelTunables).
# minimum None: only remembered, because kubelet is going to change it.
SYSCTLS: dict[str, int | None] = {
    "net.ipv4.ip_forward": 1,
    "fs.inotify.max_user_instances": 1024,
    "fs.inotify.max_user_watches": 131072,
    "vm.overcommit_memory": None,
    "vm.panic_on_oom": None,
    "kernel.panic": None,
    "kernel.panic_on_oops": None,
    "kernel.keys.root_maxkeys": None,
    "kernel.keys.root_maxbytes": None,
}

# Written to by containerd's shims, libcni and kubelet at fixed paths: each sandbox has its own directories mounted
# over these.
FIXED_DIRECTORIES = (
    Path("/run/containerd"),
    Path("/var/lib/cni"),
    KUBELET_ROOT,
    Path("/var/log/containers"),
)

_OURS = (*FIXED_DIRECTORIES, NETNS_ROOT)
_REGISTRY = RUN_ROOT / "registry.json"
_LOCK = RUN_ROOT / "lock"


@dataclasses.dataclass
class Entry:
    """One sandbox: its index (bridge, addresses), its /16 network and its state directory."""

    index: int
    network: str
    state: str


@dataclasses.dataclass
class Registry:
    """sandboxes by name; for the first of them: the original values of the sysctls, the directories that were made
    (those above a state apart), whether /run/netns became a mount point (as `ip netns add` makes it one), the
    controllers that the root of cgroup v2 handed down, and the kernel modules that were loaded (both None when nothing
    is known of them)."""

    sandboxes: dict[str, Entry] = dataclasses.field(default_factory=dict)
    sysctls: dict[str, int] = dataclasses.field(default_factory=dict)
    directories: list[str] = dataclasses.field(default_factory=list)
    state_directories: list[str] = dataclasses.field(default_factory=list)
    mounted_netns: bool = False
    controllers: list[str] | None = None
    modules: list[str] | None = None


def read() -> Registry:
    """The registry as it is now; empty when no sandbox exists.

    Of one that another version wrote, or that is damaged, only what can be understood is taken: a sandbox without an
    entry is still found by its name (`leftovers`), and its index is taken as long as its bridge is there."""
    try:
        data = json.loads(_REGISTRY.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return Registry()
    registry = Registry()
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
        registry.sysctls = {key: int(value) for key, value in data["sysctls"].items() if key in SYSCTLS}
    with contextlib.suppress(KeyError, TypeError):
        registry.directories = [str(path) for path in data["directories"] if Path(path) in _OURS]
    with contextlib.suppress(KeyError, TypeError):
        registry.state_directories = [str(path) for path in data["state_directories"] if Path(path).is_absolute()]
    with contextlib.suppress(KeyError, TypeError):
        registry.controllers = [str(name) for name in data["controllers"]]
    with contextlib.suppress(KeyError, TypeError):
        registry.modules = [str(name) for name in data["modules"]]
    with contextlib.suppress(AttributeError):
        registry.mounted_netns = bool(data.get("mounted_netns", False))
    with contextlib.suppress(AttributeError, KeyError, TypeError):
        for name, entry in data["sandboxes"].items():
            with contextlib.suppress(KeyError, TypeError, ValueError):
                network = str(ipaddress.IPv4Network(entry["network"]))
                registry.sandboxes[name] = Entry(int(entry["index"]), network, str(entry["state"]))
    return registry


def leftovers() -> set[str]:
    """Names of sandboxes that have runtime files, whether the registry knows them or not."""
    return {path.name for path in RUN_ROOT.glob("*") if path.is_dir()}


@contextlib.contextmanager
def changing() -> t.Iterator[Registry]:
    """Read the registry under its lock; write it back at the end (without an exception). When the last sandbox has
    gone, the machine gets its sysctls and directories back and nothing stays in /run."""
    with _file_lock(_LOCK, wait=30.0, what="the registry"):
        registry = read()
        yield registry
        if registry.sandboxes:
            _write(registry)
        else:
            _give_back(registry)
            _REGISTRY.unlink(missing_ok=True)  # the directory goes with the last lock in it


def prepare_machine(registry: Registry, state: Path) -> None:
    """Remember the sysctls and make the directories that the first sandbox needs. Call it inside `changing`.
    Directories above `state`, where the sandbox will write, are remembered as well when they are not there yet.

    The registry is written before anything is changed: an interruption in between loses nothing."""
    for key in SYSCTLS:
        value = _sysctl(key)
        if value is not None:
            registry.sysctls.setdefault(key, value)
    if not _is_mount_point(NETNS_ROOT):
        registry.mounted_netns = True
    for directories, changed in ((_OURS, registry.directories), (state.parents, registry.state_directories)):
        changed += [str(path) for path in directories if not path.exists() and str(path) not in changed]
    if registry.controllers is None:
        registry.controllers = cgroups.enabled_at_root()
    if registry.modules is None:
        registry.modules = sorted(_modules())
    _write(registry)
    for key, minimum in SYSCTLS.items():
        value = _sysctl(key)
        if minimum is not None and value is not None and value < minimum:
            try:
                _sysctl_path(key).write_text(str(minimum), encoding="ascii")
            except OSError as error:
                raise SandboxError(
                    f"The sysctl {key} is {value} and cannot be raised to {minimum}: {error.strerror}.",
                    f"Set it where it can be: sysctl -w {key}={minimum}.",
                ) from error
    for directory in FIXED_DIRECTORIES:
        directory.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def working_on(name: str, what: str) -> t.Iterator[None]:
    """Only one command changes a sandbox at a time. Raises BusyError, naming the other command's process, when one
    does already.

    The lock is freed by the kernel when its holder dies, however it dies."""
    with _file_lock(RUN_ROOT / f"{name}.lock", wait=0.0, what=f"the sandbox {name!r}", note=what):
        yield


def _write(registry: Registry) -> None:
    RUN_ROOT.mkdir(parents=True, exist_ok=True)
    fresh = _REGISTRY.with_suffix(".new")
    fresh.write_text(json.dumps(dataclasses.asdict(registry), indent=1), encoding="utf-8")
    fresh.replace(_REGISTRY)


def _give_back(registry: Registry) -> None:
    for key, value in registry.sysctls.items():
        if _sysctl(key) != value:
            _sysctl_path(key).write_text(str(value), encoding="ascii")
    if registry.mounted_netns and _is_mount_point(NETNS_ROOT) and not any(NETNS_ROOT.iterdir()):
        subprocess.run(["umount", str(NETNS_ROOT)], check=False, capture_output=True)
    if registry.controllers is not None:
        cgroups.disable_at_root(registry.controllers)
    changed = (*registry.directories, *registry.state_directories)
    for directory in sorted(changed, key=lambda path: -path.count("/")):  # the innermost first
        with contextlib.suppress(OSError):  # not empty: something else uses it by now
            Path(directory).rmdir()


def modules_loaded_since(registry: Registry) -> list[str]:
    """The kernel modules that are loaded now and were not when the first sandbox came, sorted."""
    return sorted(_modules().difference(registry.modules)) if registry.modules is not None else []


def _modules() -> set[str]:
    try:
        return {line.split()[0] for line in Path("/proc/modules").read_text(encoding="utf-8").splitlines()}
    except OSError:
        return set()


def _is_mount_point(path: Path) -> bool:
    """Also for a directory that is bound onto itself, which os.path.ismount does not see."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return any(line.split(" ")[4] == str(path) for line in lines)


def _sysctl_path(key: str) -> Path:
    return Path("/proc/sys") / key.replace(".", "/")


def _sysctl(key: str) -> int | None:
    try:
        return int(_sysctl_path(key).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _file_lock(path: Path, *, wait: float, what: str, note: str = "") -> t.Iterator[None]:
    deadline = time.monotonic() + stretched(wait)
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue  # the last sandbox went and took the directory with it between the two lines above
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(handle, 200, 0).decode("utf-8", "replace")
            os.close(handle)
            if time.monotonic() >= deadline:
                raise BusyError(
                    f"Another command is working on {what}: {holder or 'unknown'}.", "Wait until it is done."
                ) from error
            time.sleep(0.05)
            continue
        try:
            current = os.stat(path).st_ino
        except FileNotFoundError:
            current = -1
        if current == os.fstat(handle).st_ino:
            break
        os.close(handle)  # the holder before us removed the file; a lock on a removed file protects nothing
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{note} (process {os.getpid()})".strip().encode(), 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        with contextlib.suppress(OSError):
            path.parent.rmdir()
        os.close(handle)
