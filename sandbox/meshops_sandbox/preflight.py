# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Can this machine run this sandbox? Answered before anything is changed, one sentence for each thing that is in the
way."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

from meshops_sandbox import cgroups, machine_state, network, nodes
from meshops_sandbox.errors import PreflightError
from meshops_sandbox.layout import CGROUP_ROOT, MAX_SANDBOXES, bridge_of, network_of

# command -> Debian package
COMMANDS = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
}
STATE_BYTES = 2 * 1024**3
MEMORY_BYTES = 3 * 1024**3
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
# CAP_SYS_ADMIN and CAP_NET_ADMIN: numbers of linux/capability.h
_CAPABILITIES = {"CAP_SYS_ADMIN": 21, "CAP_NET_ADMIN": 12}


@dataclasses.dataclass(frozen=True)
class Host:
    """What matters of this machine. installer: the build can install Debian packages here, so missing programs are
    not in the way."""

    platform: str
    user: int
    capabilities: int
    commands: t.Collection[str]
    cni: Path | None
    controllers: t.Collection[str]
    kernel_missing: t.Sequence[str]
    free_bytes: int
    memory_bytes: int
    state: Path
    installer: bool = False

    @property
    def complete(self) -> bool:
        """Whether every program is there already."""
        return not set(COMMANDS).difference(self.commands) and self.cni is not None


def look(state: Path) -> Host:
    """Look at this machine; changes nothing. The kernel is probed only where that is possible (Linux, root)."""
    linux = sys.platform == "linux"
    root = linux and os.geteuid() == 0
    commands = {name for name in COMMANDS if shutil.which(name)}
    return Host(
        platform=sys.platform,
        user=os.geteuid(),
        capabilities=_capabilities() if linux else 0,
        commands=commands,
        cni=nodes.cni_directory(),
        controllers=cgroups.controllers() if linux else (),
        kernel_missing=_probe() if root and {"unshare", "iptables"} <= commands else (),
        free_bytes=_free(state),
        memory_bytes=_memory() if linux else 0,
        state=state,
        installer=root and shutil.which("apt-get") is not None,
    )


def _free(state: Path) -> int:
    """Bytes that are free where `state` will be: it need not exist yet, nor the directory that holds all states, which
    goes with the last sandbox, at any moment."""
    for path in (state, *state.parents):
        with contextlib.suppress(FileNotFoundError):
            return shutil.disk_usage(path).free
    raise AssertionError("there is always a root directory")


def is_privileged() -> bool:
    """Whether the checks that need to look closer can be made at all."""
    return sys.platform == "linux" and os.geteuid() == 0


def require_root() -> None:
    """Raise PreflightError unless this is Linux and root: for commands that take away instead of making."""
    if sys.platform != "linux":
        raise PreflightError(f"The sandbox needs Linux, this is {sys.platform}.", "Run it where the sandbox is.")
    if os.geteuid() != 0:
        raise PreflightError("A sandbox belongs to root: only root can change it.", "Run it with sudo.")


def own_links(name: str) -> list[str]:
    """Links of an earlier run of the same sandbox: their addresses are not somebody else's."""
    return network.links(f"{CGROUP_ROOT}:{name}")


def check(host: Host) -> None:
    """Raise PreflightError with everything that is in the way: the first as the sentence, the others as details."""
    problems = list(_problems(host))
    if problems:
        sentence, remedy = problems[0]
        raise PreflightError(sentence, remedy, [f"{other} {what}" for other, what in problems[1:]])


def _problems(host: Host) -> t.Iterator[tuple[str, str]]:
    if host.platform != "linux":
        yield f"The sandbox needs Linux, this is {host.platform}.", "Run it in a Linux virtual machine."
        return
    if host.user != 0:
        yield "The sandbox needs root: it makes network namespaces, mounts and cgroups.", "Run it with sudo."
        return
    lacking = [name for name, bit in _CAPABILITIES.items() if not host.capabilities >> bit & 1]
    if lacking:
        yield (
            f"This root may not do what the sandbox needs: {' and '.join(lacking)} are missing.",
            "Run it outside of the container, or in a privileged one.",
        )
        return
    absent = [name for name in COMMANDS if name not in host.commands]
    if absent and not host.installer:
        packages = " ".join(sorted({COMMANDS[name] for name in absent}))
        yield f"Not installed: {', '.join(absent)}.", f"Install them: apt-get install {packages}."
    if host.cni is None and not host.installer:
        searched = " or ".join(str(path) for path in nodes.CNI_DIRECTORIES)
        yield (
            f"The CNI plugins {', '.join(nodes.CNI_PLUGINS)} are not in {searched}.",
            "Install them: apt-get install containernetworking-plugins.",
        )
    missing = [name for name in _CONTROLLERS if name not in host.controllers]
    if missing:
        yield (
            f"The kernel offers no cgroup controller {', '.join(missing)}.",
            "Mount the cgroup file system, or boot with cgroups enabled.",
        )
    for feature in host.kernel_missing:
        yield f"The kernel cannot do {feature}.", "Load its module (modprobe), or use a kernel that has it."
    if host.free_bytes < STATE_BYTES:
        yield (
            (
                f"Only {_giga(host.free_bytes)} are free in {host.state}, where the state goes; "
                f"{_giga(STATE_BYTES)} are needed."
            ),
            "Make room, or choose another place with MESHOPS_SANDBOX_STATE.",
        )
    if host.memory_bytes < MEMORY_BYTES:
        yield (
            f"Only {_giga(host.memory_bytes)} of memory are available, {_giga(MEMORY_BYTES)} are needed.",
            "End something, take down another sandbox (meshops-sandbox list), or use a smaller topology.",
        )


def check_memory(needed: int, what: str) -> None:
    """Raise PreflightError unless so many bytes of memory are available."""
    available = _memory()
    if available < needed:
        raise PreflightError(
            f"Only {_giga(available)} of memory are available, {what} need about {_giga(needed)}.",
            "End something, take down another sandbox (meshops-sandbox list), or ask for less.",
        )


def check_network(wanted: str, *, ignore: t.Collection[str] = ()) -> ipaddress.IPv4Network:
    """The network the user asked for, when it is a free private /16. Raises PreflightError otherwise."""
    try:
        asked = ipaddress.IPv4Network(wanted)
    except ValueError as error:
        raise PreflightError(
            f"--network {wanted} is not an IPv4 network: {error}.", "Give one like 10.42.0.0/16."
        ) from error
    if asked.prefixlen != 16:
        raise PreflightError(
            f"--network {wanted} is a /{asked.prefixlen}, the sandbox needs a /16.", "Give one like 10.42.0.0/16."
        )
    used = network.overlapping(asked, ignore=ignore)
    if used:
        raise PreflightError(
            f"The network {asked} is already in use on this machine: {used}.",
            "Give another one with --network, or none.",
        )
    return asked


def free_index(
    taken: machine_state.Registry, wanted: ipaddress.IPv4Network | None = None
) -> tuple[int, ipaddress.IPv4Network]:
    """The lowest index no sandbox and no link of this machine uses, and its network. Raises PreflightError when
    there is none."""
    links = network.link_names()
    indexes = {entry.index for entry in taken.sandboxes.values()}
    networks = [ipaddress.IPv4Network(entry.network) for entry in taken.sandboxes.values()]
    clash: str | None = None
    for index in range(MAX_SANDBOXES):
        if index in indexes or bridge_of(index) in links:
            continue
        chosen = wanted or network_of(index)
        if any(chosen.overlaps(other) for other in networks):
            clash = f"{chosen} belongs to another sandbox"
            continue
        used = network.overlapping(chosen)
        if used is None:
            return index, chosen
        clash = f"{chosen} overlaps {used}"
    raise PreflightError(
        f"No network is free for another sandbox{f' (the last one tried: {clash})' if clash else ''}.",
        "Give a free /16 with --network, or take down a sandbox (meshops-sandbox list).",
    )


def _probe() -> list[str]:
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--", sys.executable, "-m", "meshops_sandbox.kernel_probe"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return [f"network and mount namespaces ({said[0]})"]
    return t.cast("list[str]", json.loads(done.stdout))


def _capabilities() -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _memory() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _giga(number: int) -> str:
    return f"{number / 1024**3:.1f} GiB"
