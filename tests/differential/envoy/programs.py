# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs: Envoy's release binary from the sandbox's cache, and Debian's h2load, which sends the requests.

h2load was chosen by measurement: it makes Envoy work least per request (0.18 ms against 0.25 ms of a pipelining Python
client, both on a busy machine), sends an exact number to a list of addresses in turn, and logs each request.
"""

from __future__ import annotations

from pathlib import Path

from meshops_sandbox.build import envoy, packages, versions
from meshops_sandbox.build.cache import Cache
from meshops_sandbox.build.commands import Commands

H2LOAD = {"h2load": "nghttp2-client"}


def _quiet(_line: str) -> None:
    """Nobody reads the installers' lines; they are in the log."""


def known_versions() -> list[str]:
    """The versions of Envoy that a sandbox can run, the newest first."""
    return sorted(versions.current().envoy, key=lambda text: [int(part) for part in text.split(".")], reverse=True)


def envoy_binary(version: str) -> Path:
    """Return the program, downloaded into the cache when it is not there. Raises BuildError when it cannot be had."""
    pinned = versions.current().envoy[version]
    cache = Cache()
    entry = envoy.entry(cache, version, pinned)
    if not entry.is_dir():
        with cache.locked(lambda: None):
            if not entry.is_dir():
                envoy.fetch(cache, version, pinned, Commands(), cache.log(f"envoy-{version}"), _quiet)
    return entry / "envoy"


def h2load() -> str:
    """Return the program's name, its Debian package installed when it is missing. Raises BuildError."""
    if wanted := packages.missing(H2LOAD):
        packages.install(wanted, Commands(), Cache().log("h2load"), _quiet)
    return "h2load"
