# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries out what a sandbox needs of the kernel, in namespaces of its own that vanish with this process.

Run as `unshare --net --mount python -m meshops_sandbox.kernel_probe`; prints a JSON list of what is missing.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import typing as t
from pathlib import Path

from pyroute2 import IPRoute


def missing() -> list[str]:
    """Names of the features that do not work here."""
    lacking: list[str] = []
    for name, probe in (("overlayfs", _overlay), ("bridge and veth links", _links), ("iptables with NAT", _iptables)):
        try:
            probe()
        except Exception as error:  # whatever goes wrong, the feature cannot be used
            lacking.append(f"{name} ({_reason(error)})")
    return lacking


def _overlay() -> None:
    with tempfile.TemporaryDirectory() as base:
        _run("mount", "-t", "tmpfs", "none", base)
        for part in ("lower", "upper", "work", "merged"):
            (Path(base) / part).mkdir()
        options = f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"
        try:
            _run("mount", "-t", "overlay", "overlay", "-o", options, f"{base}/merged")
        finally:
            _run("umount", "-l", base)


def _links() -> None:
    with IPRoute() as here:
        here.link("add", ifname="probe0", kind="bridge")
        here.link("add", ifname="probe1", kind="veth", peer={"ifname": "probe2"})
        here.link("set", index=here.link_lookup(ifname="probe1")[0], master=here.link_lookup(ifname="probe0")[0])


def _iptables() -> None:
    # As kube-proxy and istio-init write them.
    _run("iptables", "-w", "-t", "nat", "-N", "PROBE")
    for rule in (
        (
            "PROBE",
            "-m",
            "statistic",
            "--mode",
            "random",
            "--probability",
            "0.5",
            "-m",
            "comment",
            "--comment",
            "x",
            "-j",
            "RETURN",
        ),
        ("PROBE", "-p", "tcp", "-j", "DNAT", "--to-destination", "192.0.2.1:80"),
        ("OUTPUT", "-p", "tcp", "-m", "owner", "--uid-owner", "1337", "-j", "RETURN"),
        ("OUTPUT", "-p", "tcp", "-j", "REDIRECT", "--to-ports", "15001"),
    ):
        _run("iptables", "-w", "-t", "nat", "-A", *rule)
    _run("iptables", "-w", "-A", "INPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def _reason(error: Exception) -> str:
    said: t.Any = getattr(error, "stderr", None)
    return str(said or error).strip().splitlines()[-1]


if __name__ == "__main__":
    print(json.dumps(missing()))
