# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a build that compile Go programs, and the room they need."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from meshops_sandbox.build import go_programs, toolchain
from meshops_sandbox.build.cache import Cache
from meshops_sandbox.build.commands import Commands
from meshops_sandbox.build.parallel_steps import Task
from meshops_sandbox.build.report import Step
from meshops_sandbox.build.versions import Versions

_MB = 1_000_000
_GO_MB = 300


def space(missing: t.Sequence[go_programs.GoPrograms], cache: Cache, pinned: Versions) -> list[tuple[Path, int]]:
    """(where, bytes) of what compiling `missing` writes."""
    wanted = [(_go_build_cache(), programs.megabytes * _MB) for programs in missing]
    if missing and toolchain.find(cache, pinned.go) is None:
        wanted.append((cache.base, _GO_MB * _MB))
    return wanted


def _go_build_cache() -> Path:
    """Where Go keeps what it compiled, without asking go (which may not be there yet)."""
    chosen = os.environ.get("GOCACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(chosen).expanduser() if chosen else Path(base).expanduser() / "go-build"


def log(cache: Cache, name: str) -> Path:
    """The empty log of a step."""
    path = cache.log(name)
    path.unlink(missing_ok=True)
    return path


def toolchain_task(cache: Cache, pinned: Versions, commands: Commands) -> Task:
    """The step that installs Go."""

    def install(advanced: t.Callable[..., None]) -> None:
        toolchain.install(cache, pinned.go, commands, log(cache, "go"), advanced)

    return Task(Step("go", f"Go {pinned.go.version}", 10), "compile", install)


def tasks(missing: t.Sequence[go_programs.GoPrograms], go: Path, cache: Cache, commands: Commands) -> list[Task]:
    """Download and compile each of `missing`, the downloads next to the compiler."""
    say = t.Callable[..., None]
    steps: list[Task] = []
    counted: dict[str, int] = {}
    for programs in missing:

        def download(advanced: say, programs: go_programs.GoPrograms = programs) -> None:
            output = log(cache, f"{programs.name}-modules")
            counted[programs.name] = go_programs.download(programs, go, commands, output, advanced)

        def compile_(advanced: say, programs: go_programs.GoPrograms = programs) -> None:
            output = log(cache, programs.name)
            go_programs.build(programs, go, cache, commands, output, counted[programs.name], advanced)

        fetched = f"{programs.name}-modules"
        steps.append(Task(Step(fetched, f"{programs.name}: Go modules", 10), "modules", download, ("go",)))
        steps.append(
            Task(
                Step(programs.name, f"{programs.name}: compile", programs.seconds), "compile", compile_, ("go", fetched)
            )
        )
    return steps
