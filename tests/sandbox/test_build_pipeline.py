# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a line needs, what is missing, what is said before anything is changed; and prune."""

from __future__ import annotations

import collections
import io
import os
import platform
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest

from meshops_sandbox.build import go_programs, packages, pipeline, versions
from meshops_sandbox.build.artifacts import BuildError
from meshops_sandbox.build.cache import Cache
from meshops_sandbox.build.commands import Commands
from meshops_sandbox.build.report import PlainReport


def quiet() -> PlainReport:
    return PlainReport(io.StringIO())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("MESHOPS_SANDBOX_CACHE", str(tmp_path / "cache"))
    return Cache()


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of sandbox/go that a test may change."""
    copy = tmp_path / "go"
    shutil.copytree(versions.GO_SOURCES, copy)
    monkeypatch.setattr(go_programs, "GO_SOURCES", copy)
    return copy


def pretend_built(line: str) -> None:
    for entry in pipeline.Line(line).entries():
        entry.mkdir(parents=True, exist_ok=True)


def test_nothing_is_missing_once_every_entry_is_there(cache: Cache) -> None:
    assert not pipeline.is_built("1.31")
    assert pipeline.needed_bytes("1.31") > 5_000_000_000
    pretend_built("1.31")
    assert pipeline.is_built("1.31")
    assert pipeline.needed_bytes("1.31") == 0
    assert pipeline.missing_space("1.31") is None
    pipeline.Line("1.31").envoy.rmdir()
    assert not pipeline.is_built("1.31")
    assert 0 < pipeline.needed_bytes("1.31") < 1_000_000_000


def test_built_line_is_found_without_a_step_or_a_program(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_built("1.31")
    stream = io.StringIO()

    def no_program(*_: object, **__: object) -> t.NoReturn:
        pytest.fail("nothing had to be run")

    monkeypatch.setattr(subprocess, "Popen", no_program)
    artifacts = pipeline.ensure("1.31", report=PlainReport(stream))
    assert stream.getvalue() == ""
    assert artifacts == pipeline.ensure(report=quiet())
    assert artifacts.kubernetes.is_relative_to(cache.entries)
    assert set(artifacts.images) == {"pause", "coredns", "pilot", "proxyv2", "helloworld", "curl"}
    assert artifacts.images["helloworld"] == "docker.io/istio/examples-helloworld-v1:latest"
    assert artifacts.images["curl"] == "docker.io/curlimages/curl:latest"
    assert artifacts.images["pilot"] == f"{artifacts.istio_hub}/pilot:{artifacts.istio_version}"


def test_lines_share_what_is_the_same(cache: Cache) -> None:
    line, other = pipeline.Line("1.31"), pipeline.Line("1.30")
    assert set(line.entries()) & set(other.entries()) == {
        line.kubernetes.entry(cache),
        line.coredns.entry(cache),
        line.helloworld.entry(cache),
        line.base,
    }


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ("kubernetes/go.sum", {"kubernetes"}),
        ("istio-1.31/go.mod", {"istio-1.31", "images-1.31"}),
        ("coredns/main.go", {"coredns", "images-1.31"}),
        ("helloworld/fault.go", {"helloworld", "images-1.31"}),
        ("helloworld/helloworld_test.go", set()),
        ("istio-1.30/go.mod", set()),
    ],
)
def test_change_of_an_input_rebuilds_that_and_what_stands_on_it(
    cache: Cache, sources: Path, changed: str, names: set[str]
) -> None:
    before = pipeline.Line("1.31").entries()
    with (sources / changed).open("a") as file:
        file.write("\n// changed\n")
    new = set(pipeline.Line("1.31").entries()) - set(before)
    assert {path.name.rpartition("-")[0] for path in new} == names


def test_linker_stamps_are_part_of_the_key(cache: Cache) -> None:
    pinned = versions.current()
    other = pinned.model_copy(update={"kubernetes": pinned.kubernetes.model_copy(update={"version": "v1.35.4"})})
    assert go_programs.kubernetes(pinned).entry(cache) != go_programs.kubernetes(other).entry(cache)


def test_missing_checkout_is_explained(cache: Cache, sources: Path) -> None:
    (sources / "coredns" / "go.mod").unlink()
    with pytest.raises(BuildError, match=r"coredns/go\.mod is missing: run the sandbox from a checkout"):
        pipeline.is_built("1.31")


def test_no_space_is_said_before_anything_is_made(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**10, 9 * 10**9, 10**9))
    sentence = pipeline.missing_space("1.31")
    assert sentence is not None
    assert "but only 1.0 GB are free" in sentence
    with pytest.raises(BuildError, match=r"Building needs up to \d+\.\d GB on the file system of .* only 1\.0 GB"):
        pipeline.ensure("1.31", report=quiet())
    assert not cache.base.exists()


def test_other_machines_and_users_are_refused_before_anything_is_made(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(platform, "machine", lambda: "aarch64")
        with pytest.raises(BuildError, match=r"for Linux on x86_64 only .* this is Linux on aarch64"):
            pipeline.ensure("1.31", report=quiet())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BuildError, match="needs root"):
        pipeline.ensure("1.31", report=quiet())
    assert not cache.base.exists()


def test_what_a_killed_build_left_is_removed_by_the_next_one(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    left = cache.work / "images-1.31-0123.abc"
    mounted = left / "making" / "mnt"
    mounted.mkdir(parents=True)
    runtime = Path("/run") / f"{pipeline._runtime_prefix(cache)}.left"
    runtime.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mounted], check=True)
    try:
        pretend_built("1.31")
        pipeline.Line("1.31").envoy.rmdir()
        monkeypatch.setattr(pipeline, "execute", lambda *_arguments: None)
        stream = io.StringIO()
        pipeline.ensure("1.31", report=PlainReport(stream))
        assert "removing what an interrupted build left" in stream.getvalue()
        assert str(mounted) not in Path("/proc/self/mountinfo").read_text()
        assert not left.exists()
        assert not runtime.exists()
    finally:
        subprocess.run(["umount", mounted], check=False, capture_output=True)
        shutil.rmtree(runtime, ignore_errors=True)


def test_prune_removes_what_no_line_uses_and_only_that(cache: Cache) -> None:
    pretend_built("1.31")
    pretend_built("1.30")
    old = cache.entries / "kubernetes-0000000000000000"
    old.mkdir()
    (old / "kubelet").write_bytes(b"x" * 8192)
    removed, freed = pipeline.prune()
    assert removed == [old.name]
    assert freed == 8192
    assert pipeline.is_built("1.31")
    assert pipeline.is_built("1.30")
    removed, _freed = pipeline.prune(keep=["1.31"])
    assert {name.rpartition("-")[0] for name in removed} == {"istio-1.30", "images-1.30", "envoy-1.38.3"}
    assert pipeline.is_built("1.31")


def test_missing_programs_name_their_package_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(packages, "_SBIN", ())
    group = {"containerd": "containerd", "ctr": "containerd", "/usr/lib/cni/nothing": "cni", "/proc/self": "proc"}
    assert packages.missing(group) == ["cni", "containerd"]
    (tmp_path / "containerd").touch(mode=0o755)
    (tmp_path / "ctr").touch(mode=0o755)
    assert packages.missing(group) == ["cni"]


def test_packages_that_cannot_be_installed_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BuildError, match="run 'apt-get install buildah runc' as root and run it again"):
        packages.install(["buildah", "runc"], Commands(), tmp_path / "log", lambda _line: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"there is no apt-get to install them: buildah runc"):
        packages.install(["buildah", "runc"], Commands(), tmp_path / "log", lambda _line: None)


def test_apt_get_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text(
        '#!/bin/sh\necho "$@"\ncase "$*" in *install*) echo "E: Unable to locate package buildah"; exit 100;; esac\n'
    )
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(BuildError, match=r"installing the Debian packages buildah .*Unable to locate package buildah"):
        packages.install(["buildah"], Commands(), tmp_path / "log", lambda _line: None)
    assert "--no-install-recommends buildah" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(("refusals", "works"), [(1, True), (9, False)])
def test_another_apt_get_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refusals: int, works: bool
) -> None:
    program = tmp_path / "apt-get"
    program.write_text(
        f"""#!/bin/sh
case "$*" in *install*) ;; *) exit 100 ;; esac
echo x >> {tmp_path}/tries
test "$(wc -l < {tmp_path}/tries)" -gt {refusals} && exit 0
echo "E: Could not get lock /var/cache/apt/archives/lock. It is held by process 1 (apt-get)"
exit 100
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(packages, "_PAUSE", 0.01)
    monkeypatch.setattr(packages, "missing", lambda *_: [])
    said: list[str] = []
    if works:
        packages.install(["buildah"], Commands(), tmp_path / "log", said.append)
    else:
        with pytest.raises(BuildError, match="Could not get lock"):
            packages.install(["buildah"], Commands(), tmp_path / "log", said.append)
    assert len((tmp_path / "tries").read_text().split()) == (2 if works else 3)
    assert "another apt-get is at work, waiting for it" in said
    assert "the package lists could not be refreshed, trying with the old ones" in said


def test_go_compiles_in_the_cache_and_not_in_tmp(cache: Cache, tmp_path: Path) -> None:
    """An interrupted build leaves /tmp as it was; what it leaves in the cache goes with the next build."""
    go = tmp_path / "go-that-compiles"
    go.write_text(
        "#!/bin/sh\nset -e\nwhile [ $# -gt 0 ]; do case $1 in -o) shift; out=$1;; esac; shift; done\n"
        f"mkdir $GOTMPDIR/go-build1; echo $GOTMPDIR > {tmp_path}/where; echo x > $out/helloworld\n"
    )
    go.chmod(0o755)
    built = go_programs.build(
        go_programs.helloworld(), go, cache, Commands(), tmp_path / "log", 1, lambda _line, _share: None
    )
    assert (built / "helloworld").is_file()
    where = Path((tmp_path / "where").read_text().strip())
    assert where.parent == cache.work
    assert list(cache.work.iterdir()) == []
