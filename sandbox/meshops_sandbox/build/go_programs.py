# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs built from Go modules: download what is needed, compile, and keep the binaries."""

from __future__ import annotations

import dataclasses
import platform
import shutil
import tempfile
import typing as t
from pathlib import Path

from meshops_sandbox.build.artifacts import BuildError
from meshops_sandbox.build.cache import Cache, key
from meshops_sandbox.build.commands import Commands
from meshops_sandbox.build.toolchain import environment
from meshops_sandbox.build.versions import GO_SOURCES, ORACLE_SOURCES, Versions

Progress = t.Callable[[str, float | None], None]


@dataclasses.dataclass(frozen=True)
class GoPrograms:
    """Programs that one Go module builds together.

    directory: below sandbox/go; pattern: what go builds there ("tool": everything its go.mod names as a tool)
    modfile: a go.mod of another name, next to its .sum; tags: build constraints that hold
    stamps: linker variables; renamed: names go gives -> names they get; programs: what must come out
    files: (module, path in it) of what is kept next to the programs
    seconds, megabytes: of a build from nothing on two cores, Go's own caches included (for plan and space check)
    """

    name: str
    directory: Path
    pattern: str
    programs: tuple[str, ...]
    stamps: tuple[tuple[str, str], ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    modfile: str = "go.mod"
    tags: tuple[str, ...] = ()
    seconds: float = 60.0
    megabytes: int = 500

    def selection(self) -> list[str]:
        """The flags that decide which modules and files are compiled."""
        modfile = [] if self.modfile == "go.mod" else [f"-modfile={self.modfile}"]
        return [*modfile, *(["-tags", ",".join(self.tags)] if self.tags else [])]

    def flags(self) -> list[str]:
        """The flags that decide what comes out."""
        stamps = "".join(f" -X {variable}={value}" for variable, value in self.stamps)
        return [*self.selection(), "-trimpath", "-buildvcs=false", "-ldflags", "-s -w" + stamps]

    def sources(self) -> list[Path]:
        """go.mod, go.sum and the module's own code without its tests."""
        modules = (self.modfile, self.modfile.removesuffix(".mod") + ".sum")
        return sorted(
            path
            for path in self.directory.rglob("*")
            if path.name in modules or (path.suffix in (".go", ".s") and not path.name.endswith("_test.go"))
        )

    def entry(self, cache: Cache) -> Path:
        """Where the programs are in the cache, whether built or not."""
        if not (self.directory / self.modfile).exists():
            raise BuildError(
                f"{self.directory / self.modfile} is missing: run the sandbox from a checkout of the project."
            )
        file_names = (str(self.files),) if self.files else ()
        digest = key(
            platform.machine(),
            self.pattern,
            *self.flags(),
            *self.programs,
            str(self.renamed),
            *file_names,
            *self.sources(),
        )
        return cache.entry(self.name, digest)


def kubernetes(versions: Versions) -> GoPrograms:
    """The control plane, the node programs and etcd."""
    version = versions.kubernetes.version
    major, minor = version.removeprefix("v").split(".")[:2]
    stamp = "k8s.io/component-base/version."
    return GoPrograms(
        name="kubernetes",
        directory=GO_SOURCES / "kubernetes",
        pattern="tool",
        programs=(
            "etcd",
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
            "kubectl",
            "kubeadm",
        ),
        stamps=((stamp + "gitVersion", version), (stamp + "gitMajor", major), (stamp + "gitMinor", minor)),
        renamed=(("server", "etcd"),),
        seconds=250,
        megabytes=4200,
    )


def istio(versions: Versions, line: str) -> GoPrograms:
    """istioctl, pilot-agent and pilot-discovery of one line."""
    version = versions.istio[line].version
    stamp = "istio.io/istio/pkg/version."
    return GoPrograms(
        name=f"istio-{line}",
        directory=GO_SOURCES / f"istio-{line}",
        pattern="tool",
        programs=("istioctl", "pilot-agent", "pilot-discovery"),
        stamps=((stamp + "buildVersion", version), (stamp + "buildTag", version)),
        seconds=230,
        megabytes=4000,
    )


def coredns(versions: Versions) -> GoPrograms:
    """CoreDNS with the plugins of go/coredns/main.go."""
    return GoPrograms(
        name="coredns", directory=GO_SOURCES / "coredns", pattern=".", programs=("coredns",), seconds=40, megabytes=400
    )


def helloworld() -> GoPrograms:
    """The tutorial's application."""
    return GoPrograms(
        name="helloworld",
        directory=GO_SOURCES / "helloworld",
        pattern=".",
        programs=("helloworld",),
        seconds=15,
        megabytes=150,
    )


def kwok() -> GoPrograms:
    """KWOK, with the stages that its own releases run with: a node is Ready at once and tells so every ten minutes, a
    pod runs and goes at once."""
    stages = (
        "node/fast/node-initialize",
        "node/heartbeat-with-lease/node-heartbeat-with-lease",
        *("pod/fast/pod-ready", "pod/fast/pod-complete", "pod/fast/pod-delete"),
    )
    return GoPrograms(
        name="kwok",
        directory=GO_SOURCES / "kwok",
        pattern="tool",
        programs=("kwok",),
        files=tuple(("sigs.k8s.io/kwok", f"kustomize/stage/{stage}.yaml") for stage in stages),
        seconds=90,
        megabytes=1200,
    )


def kube_router() -> GoPrograms:
    """kube-router, of which only the part runs that enforces NetworkPolicies, with iptables and ipset: its own
    statements of nftables would need more of the kernel."""
    return GoPrograms(
        name="kube-router",
        directory=GO_SOURCES / "kube-router",
        pattern="tool",
        programs=("kube-router",),
        seconds=150,
        megabytes=2500,
    )


def oracle(versions: Versions, line: str) -> GoPrograms:
    """istiod's own code as the judge of the tests, on one line: one set of sources, one go.mod a line. Its versions are
    those of go/istio-<line>/go.mod, so that most is compiled already where the line's programs were built."""
    default = line == versions.default_line
    return GoPrograms(
        name=f"istiod-oracle-{line}",
        directory=ORACLE_SOURCES,
        pattern=".",
        programs=("istiod-oracle",),
        stamps=(("main.istioVersion", versions.istio[line].version),),
        files=(("istio.io/istio", "manifests/charts/base/files/crd-all.gen.yaml"),),
        modfile="go.mod" if default else f"go-{line}.mod",
        tags=() if default else (f"istio{line.replace('.', '')}",),
        seconds=240,
        megabytes=4000,
    )


def download(programs: GoPrograms, go: Path, commands: Commands, log: Path, progress: Progress) -> int:
    """Bring the modules that the programs are compiled from into Go's module cache. Returns how many packages will be
    compiled."""
    packages = 0

    def on_line(line: str) -> None:
        nonlocal packages
        if line.startswith("go: downloading "):
            progress(line.removeprefix("go: downloading "), None)
        elif line and " " not in line:
            packages += 1

    commands.run_with_network(
        [go, "list", "-deps", *programs.selection(), programs.pattern],
        what=f"downloading the Go modules of {programs.name}",
        log=log,
        cwd=programs.directory,
        env=environment(),
        on_line=on_line,
    )
    return packages


def build(
    programs: GoPrograms, go: Path, cache: Cache, commands: Commands, log: Path, packages: int, progress: Progress
) -> Path:
    """Compile the programs into the cache and return their directory. `packages` is what `download` counted, for the
    progress."""
    final = programs.entry(cache)
    compiled = 0

    def on_line(line: str) -> None:
        nonlocal compiled
        if line and " " not in line:
            compiled += 1
            progress(line, min(compiled / packages, 0.99) if packages else None)

    # Not in /tmp, which may be small and in memory; what a killed build leaves here is removed by the next one.
    with (
        cache.making(final) as scratch,
        tempfile.TemporaryDirectory(prefix="go-build.", dir=cache.work, ignore_cleanup_errors=True) as temporary,
    ):
        commands.run(
            [go, "build", "-v", *programs.flags(), "-o", f"{scratch}/", programs.pattern],
            what=f"compiling {programs.name}",
            log=log,
            cwd=programs.directory,
            env={**environment(), "GOTMPDIR": temporary},
            on_line=on_line,
            # What -v names one by one is progress; an error has spaces.
            telling=lambda line: " " in line,
        )
        for given, wanted in programs.renamed:
            (scratch / given).rename(scratch / wanted)
        for module, path in programs.files:
            shutil.copy(module_directory(programs, module, go, commands, log) / path, scratch)
        absent = [name for name in programs.programs if not (scratch / name).is_file()]
        if absent:
            raise BuildError(f"Compiling {programs.name} did not make {', '.join(absent)}; see {log}.", log)
    return final


def module_directory(programs: GoPrograms, module: str, go: Path, commands: Commands, log: Path) -> Path:
    """Where Go's module cache has the unpacked `module`, downloading it if need be."""
    said = commands.run_with_network(
        [go, "mod", "download", f"-modfile={programs.modfile}", "-json", module],
        what=f"downloading the Go module {module}",
        log=log,
        cwd=programs.directory,
        env=environment(),
    )
    directory = next((line.split('"')[3] for line in said if line.strip().startswith('"Dir":')), None)
    if directory is None:
        raise BuildError(f"Go does not say where its module {module} is; see {log}.", log)
    return Path(directory)
