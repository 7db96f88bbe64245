# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base image's root file system: a shell, curl and iptables from Debian, a few tens of megabytes.

Packages are extracted, not installed, so what their maintainer scripts would do and a container needs is done here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import typing as t
from pathlib import Path

from meshops_sandbox.build.artifacts import BuildError
from meshops_sandbox.build.cache import Cache, key
from meshops_sandbox.build.commands import Commands
from meshops_sandbox.build.versions import Base

_HOOKS = Path("/usr/share/mmdebstrap/hooks/merged-usr")
_UNUSED = (
    "usr/share/doc/*",
    "usr/share/man/*",
    "usr/share/locale/*",
    "usr/share/info/*",
    "usr/lib/*/gconv/*",
    "usr/share/lintian/*",
)
_USERS = (
    # name, id, home; curl_user and istio-proxy as in the images they stand for
    ("root", 0, "/root"),
    ("curl_user", 100, "/home/curl_user"),
    ("istio-proxy", 1337, "/var/lib/istio"),
    ("nobody", 65534, "/nonexistent"),
)


def entry(cache: Cache, base: Base) -> Path:
    """Where the root file system is in the cache, as rootfs.tar."""
    return cache.entry("base", key(base.suite, *base.packages, Path(__file__)))


def build(cache: Cache, base: Base, commands: Commands, log: Path, on_line: t.Callable[[str], None]) -> Path:
    """Make rootfs.tar. Needs root, mmdebstrap and Debian's archive."""
    final = entry(cache, base)
    with cache.making(final) as scratch:
        tree = scratch / "rootfs"
        hooks = [f"--hook-dir={_HOOKS}"] if _HOOKS.is_dir() else []
        commands.run_with_network(
            [
                "mmdebstrap",
                "--mode=root",
                "--variant=extract",
                "--format=directory",
                "--skip=output/mknod",
                *hooks,
                *(f"--dpkgopt=path-exclude=/{pattern}" for pattern in _UNUSED),
                f"--include={','.join(base.packages)}",
                base.suite,
                tree,
            ],
            what="making the base image from Debian packages",
            # mmdebstrap wants an empty place.
            again=lambda: shutil.rmtree(tree, ignore_errors=True),
            log=log,
            env={"TMPDIR": str(scratch)},
            on_line=on_line,
        )
        finish(tree, log)
        commands.run(["ldconfig", "-r", tree], what="making the base image's library cache", log=log)
        tar: list[str | Path] = [
            "tar",
            "--create",
            "--file",
            scratch / "rootfs.tar",
            "--sort=name",
            "--numeric-owner",
            "--mtime=@0",
            "--directory",
            tree,
            ".",
        ]
        commands.run(tar, what="packing the base image", log=log)
        shutil.rmtree(tree)
    return final


def finish(tree: Path, log: Path) -> None:
    """Users, busybox applets, the iptables alternatives and the certificate bundle; and no caches of apt."""
    for directory in (
        "etc",
        "root",
        "home/curl_user",
        "proc",
        "sys",
        "dev",
        "run",
        "var/lib/istio/data",
        "usr/local/bin",
        "etc/ssl/certs",
    ):
        (tree / directory).mkdir(parents=True, exist_ok=True)
    for directory in ("tmp", "var/tmp"):
        (tree / directory).mkdir(parents=True, exist_ok=True)
        (tree / directory).chmod(0o1777)
    _write(tree / "etc/passwd", [f"{name}:x:{number}:{number}::{home}:/bin/sh" for name, number, home in _USERS])
    _write(tree / "etc/group", [f"{name}:x:{number}:" for name, number, _home in _USERS])
    _write(tree / "etc/nsswitch.conf", ["passwd: files", "group: files", "hosts: files dns"])
    os.chown(tree / "var/lib/istio/data", 1337, 1337)
    os.chown(tree / "home/curl_user", 100, 100)

    busybox = tree / "usr/bin/busybox"
    if not busybox.exists():
        raise BuildError(f"Debian's busybox-static did not bring {busybox.relative_to(tree)}; see {log}.", log)
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if not any(
            (tree / place / applet).is_symlink() or (tree / place / applet).exists()
            for place in ("usr/bin", "usr/sbin")
        ):
            (tree / "usr/bin" / applet).symlink_to("busybox")

    # Debian's default alternative is nft; istio-init looks for the plain names.
    for family in ("iptables", "ip6tables"):
        for program in ("", "-save", "-restore"):
            link = tree / "usr/sbin" / f"{family}{program}"
            if not link.is_symlink():
                link.symlink_to(f"{family}-nft{program}")

    certificates = sorted((tree / "usr/share/ca-certificates").rglob("*.crt"))
    (tree / "etc/ssl/certs/ca-certificates.crt").write_bytes(b"".join(path.read_bytes() for path in certificates))
    for leftover in ("var/lib/apt", "var/cache/apt", "var/lib/dpkg", "var/log/apt", "var/cache/ldconfig"):
        shutil.rmtree(tree / leftover, ignore_errors=True)


def _write(path: Path, lines: t.Sequence[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
