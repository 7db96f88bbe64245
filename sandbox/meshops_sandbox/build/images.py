# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of a sandbox, made with buildah in a storage of their own and written as docker archives."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

from meshops_sandbox.build.commands import Commands
from meshops_sandbox.build.versions import Istio

HUB = "localhost/istio"
ISTIO_BOOTSTRAP = "tools/packaging/common/envoy_bootstrap.json"
_CURL_ENTRYPOINT = """#!/bin/sh
# As in curlimages/curl: "curl" may be left out.
if [ "${1#-}" != "$1" ] || [ -z "$(command -v "$1")" ]; then set -- curl "$@"; fi
exec "$@"
"""


@dataclasses.dataclass(frozen=True)
class Copied:
    """A file of this machine at a place in the image."""

    source: Path
    target: str


@dataclasses.dataclass(frozen=True)
class Image:
    """One image: `base` is the role of the image below it, None for an empty one."""

    role: str
    reference: str
    base: str | None
    files: tuple[Copied, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    workdir: str = "/"


@dataclasses.dataclass(frozen=True)
class Parts:
    """The directories and files images are made of."""

    rootfs: Path
    istio: Path
    bootstrap: Path
    envoy: Path
    coredns: Path
    helloworld: Path


def references(istio: Istio, coredns_version: str) -> dict[str, str]:
    """Role -> reference. The application images are named as in the tutorial."""
    return {
        "pause": "localhost/pause:1",
        "coredns": f"localhost/coredns:{coredns_version}",
        "pilot": f"{HUB}/pilot:{istio.version}",
        "proxyv2": f"{HUB}/proxyv2:{istio.version}",
        "helloworld": "docker.io/istio/examples-helloworld-v1:latest",
        "curl": "docker.io/curlimages/curl:latest",
    }


def images(parts: Parts, istio: Istio, coredns_version: str, scratch: Path, busybox: Path) -> list[Image]:
    """All images, the ones others stand on first. Small files they need are written to `scratch`; `busybox` is a static
    one."""
    names = references(istio, coredns_version)
    entrypoint = scratch / "curl-entrypoint.sh"
    entrypoint.write_text(_CURL_ENTRYPOINT, encoding="utf-8")
    return [
        Image("base", "localhost/base:1", None),
        # A process that only waits holds a pod's namespaces.
        Image(
            "pause", names["pause"], None, files=(Copied(busybox, "/bin/sleep"),), entrypoint=("/bin/sleep", "infinity")
        ),
        Image(
            "coredns",
            names["coredns"],
            "base",
            files=(Copied(parts.coredns / "coredns", "/coredns"),),
            entrypoint=("/coredns",),
        ),
        Image(
            "pilot",
            names["pilot"],
            "base",
            files=(Copied(parts.istio / "pilot-discovery", "/usr/local/bin/pilot-discovery"),),
            entrypoint=("/usr/local/bin/pilot-discovery",),
            user="1337:1337",
        ),
        Image(
            "proxyv2",
            names["proxyv2"],
            "base",
            files=(
                Copied(parts.istio / "pilot-agent", "/usr/local/bin/pilot-agent"),
                Copied(parts.envoy / "envoy", "/usr/local/bin/envoy"),
                Copied(parts.bootstrap, "/var/lib/istio/envoy/envoy_bootstrap_tmpl.json"),
            ),
            entrypoint=("/usr/local/bin/pilot-agent",),
            environment=(("ISTIO_META_ISTIO_PROXY_SHA", "sandbox"), ("ISTIO_META_ISTIO_VERSION", istio.version)),
        ),
        Image(
            "helloworld",
            names["helloworld"],
            "base",
            files=(Copied(parts.helloworld / "helloworld", "/helloworld"),),
            entrypoint=("/helloworld",),
        ),
        Image(
            "curl",
            names["curl"],
            "base",
            files=(Copied(entrypoint, "/entrypoint.sh"),),
            entrypoint=("/entrypoint.sh",),
            command=("curl",),
            workdir="/home/curl_user",
        ),
    ]


class Buildah:
    """buildah with storage, run files and policy below `scratch`: the user's own images and settings are neither read
    nor touched."""

    def __init__(self, scratch: Path, commands: Commands, log: Path) -> None:
        self._scratch = scratch
        self._commands = commands
        self._log = log
        self._policy = scratch / "policy.json"
        self._policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}), encoding="utf-8")
        self._registries = scratch / "registries.conf"
        self._registries.write_text("unqualified-search-registries = []\n", encoding="utf-8")
        (scratch / "tmp").mkdir()

    def call(self, what: str, command: str, *arguments: str | Path) -> str:
        """Run one buildah command and return the last line it printed."""
        policy: list[str | Path] = ["--signature-policy", self._policy] if command in ("from", "commit") else []
        said = self._commands.run(
            [
                "buildah",
                f"--root={self._scratch / 'root'}",
                f"--runroot={self._scratch / 'run'}",
                "--storage-driver=vfs",
                f"--registries-conf={self._registries}",
                command,
                *policy,
                *arguments,
            ],
            what=what,
            log=self._log,
            env={"BUILDAH_ISOLATION": "chroot", "TMPDIR": str(self._scratch / "tmp"), "STORAGE_OPTS": ""},
        )
        return said[-1].strip() if said else ""

    def build(self, image: Image, below: str | None, rootfs: Path, archive: Path | None) -> None:
        """Make one image on top of the reference `below` (None: of nothing) and write it to `archive`, its layers
        uncompressed: they are read once, on this machine. Without an archive it stays in the storage, for others to
        stand on, and gets `rootfs`."""
        what = f"building the image {image.reference}"
        container = self.call(what, "from", "--pull-never", below or "scratch")
        if archive is None:
            self.call(what, "add", "--quiet", container, rootfs, "/")
        for file in image.files:
            mode = "0644" if file.target.endswith(".json") else "0755"
            self.call(what, "copy", "--quiet", "--chown", "0:0", "--chmod", mode, container, file.source, file.target)
        settings: list[str] = ["--workingdir", image.workdir]
        if image.entrypoint:
            settings += ["--entrypoint", json.dumps(list(image.entrypoint))]
        if image.command:
            settings += ["--cmd", json.dumps(list(image.command))]
        if image.user:
            settings += ["--user", image.user]
        for name, value in (
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            *image.environment,
        ):
            settings += ["--env", f"{name}={value}"]
        self.call(what, "config", *settings, container)
        target = f"docker-archive:{archive}:{image.reference}" if archive else image.reference
        self.call(what, "commit", "--quiet", "--rm", "--timestamp", "0", container, target)


def build(
    wanted: t.Sequence[Image],
    rootfs: Path,
    scratch: Path,
    commands: Commands,
    log: Path,
    progress: t.Callable[[str, float | None], None],
) -> list[Path]:
    """Build all images below `scratch` and return their archives, without that of the bare base."""
    buildah = Buildah(scratch, commands, log)
    by_role = {image.role: image.reference for image in wanted}
    archives = []
    for number, image in enumerate(wanted):
        progress(image.reference, number / len(wanted))
        archive = None if image.role == "base" else scratch / f"{image.role}.tar"
        buildah.build(image, by_role[image.base] if image.base else None, rootfs, archive)
        if archive:
            archives.append(archive)
    return archives
