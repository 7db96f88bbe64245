# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Debian packages a sandbox needs, installed only when a program is missing."""

from __future__ import annotations

import os
import shutil
import typing as t
from pathlib import Path

from meshops_sandbox.build.artifacts import BuildError
from meshops_sandbox.build.commands import CommandFailed, Commands

# Program (or file) -> Debian package. Programs, not packages, are looked for: who has them from elsewhere needs no
# Debian.
RUNTIME: t.Mapping[str, str] = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "/usr/lib/cni/portmap": "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "ethtool": "ethtool",
    "socat": "socat",
}
BUILD: t.Mapping[str, str] = {
    "mmdebstrap": "mmdebstrap",
    "buildah": "buildah",
}
#: Only where NetworkPolicies are enforced.
POLICIES: t.Mapping[str, str] = {"ipset": "ipset"}
_PAUSE = 10.0  # seconds
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def present(program: str) -> bool:
    """Whether a program is on PATH or in an sbin directory, or a file exists."""
    if program.startswith("/"):
        return Path(program).exists()
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN])
    return shutil.which(program, path=path) is not None


def missing(*groups: t.Mapping[str, str]) -> list[str]:
    """The packages whose programs are not there, sorted."""
    return sorted({package for group in groups for program, package in group.items() if not present(program)})


def install(packages: t.Sequence[str], commands: Commands, log: Path, on_line: t.Callable[[str], None]) -> None:
    """apt-get install what is missing. Raises BuildError when this is not a Debian, or not root, or apt-get fails."""
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise BuildError(
            f"These programs are missing and there is no apt-get to install them: {names} (Debian's package names); "
            "install them and run it again."
        )
    if os.geteuid() != 0:
        raise BuildError(
            f"These Debian packages are missing: {names}; run 'apt-get install {names}' as root and run it again."
        )
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3"]
    # A package list that cannot be refreshed is no reason to stop: the packages may be in the old one.
    try:
        _unlocked(commands, commands.run, [*apt, "update"], what="reading Debian's package lists", log=log, say=on_line)
    except BuildError:
        on_line("the package lists could not be refreshed, trying with the old ones")
    _unlocked(
        commands,
        commands.run_with_network,
        [*apt, "install", "--yes", "--no-install-recommends", *packages],
        what=f"installing the Debian packages {names}",
        log=log,
        say=on_line,
    )
    if "containerd" in packages:
        _stop_service("containerd", commands, log, on_line)
    left = [package for package in missing(RUNTIME, BUILD, POLICIES) if package in packages]
    if left:
        raise BuildError(f"apt-get installed {' '.join(left)}, but the programs are still not found; see {log}.", log)


def _stop_service(name: str, commands: Commands, log: Path, on_line: t.Callable[[str], None]) -> None:
    """Stop and disable a service that apt has just installed and Debian starts at once: every node of a sandbox runs
    its own. Nothing to do where systemd does not run."""
    if not Path("/run/systemd/system").is_dir():
        return
    on_line(f"the service {name} is not needed: it is stopped and disabled")
    try:
        commands.run(["systemctl", "disable", "--now", f"{name}.service"], what=f"stopping the service {name}", log=log)
    except CommandFailed as error:  # it is of no use, but it is not in the way either
        on_line(str(error))


def _unlocked(
    commands: Commands,
    run: t.Callable[..., object],
    argv: t.Sequence[str],
    *,
    what: str,
    log: Path,
    say: t.Callable[[str], None],
) -> None:
    """DPkg::Lock::Timeout waits for dpkg's lock; for those of the package lists and the archive apt-get does not."""
    for pause in (_PAUSE, _PAUSE, None):
        try:
            run(argv, what=what, log=log, env={"DEBIAN_FRONTEND": "noninteractive"}, on_line=say)
            return
        except CommandFailed as error:
            if pause is None or "Could not get lock" not in str(error):
                raise
            say("another apt-get is at work, waiting for it")
            commands.pause(pause)
