# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was really built: versions stamped, images that run, a store whose copies are cheap and independent.

Builds whatever of the default line is not in the cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import typing as t
import uuid
from pathlib import Path

import pytest

from meshops_sandbox import build
from meshops_sandbox.build import image_store, images, pipeline, toolchain, versions
from meshops_sandbox.build.cache import Cache
from meshops_sandbox.build.commands import Commands


@pytest.fixture(scope="session")
def artifacts() -> build.Artifacts:
    return build.ensure(report=build.PlainReport())


def said(*argv: str | Path) -> str:
    done = subprocess.run([str(part) for part in argv], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout + done.stderr


def test_programs_say_the_pinned_versions(artifacts: build.Artifacts) -> None:
    pinned = versions.current()
    for program in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"):
        assert said(artifacts.kubernetes / program, "--version").strip() == f"Kubernetes {pinned.kubernetes.version}"
    assert pinned.kubernetes.version in said(artifacts.kubernetes / "kubectl", "version", "--client")
    assert said(artifacts.kubernetes / "kubeadm", "version", "-o", "short").strip() == pinned.kubernetes.version
    assert f"etcd Version: {pinned.kubernetes.etcd.removeprefix('v')}" in said(
        artifacts.kubernetes / "etcd", "--version"
    )
    assert artifacts.istio_version in said(artifacts.istio / "istioctl", "version", "--remote=false")
    for program in ("pilot-agent", "pilot-discovery"):
        assert f'Version:"{artifacts.istio_version}"' in said(artifacts.istio / program, "version")


def test_programs_are_static(artifacts: build.Artifacts) -> None:
    for program in [*artifacts.kubernetes.iterdir(), *artifacts.istio.iterdir()]:
        with program.open("rb") as file:
            assert b"/lib64/ld-linux" not in file.read(4096), program


@pytest.mark.usefixtures("artifacts")
def test_helloworld_passes_its_own_tests() -> None:
    go = toolchain.find(Cache(), versions.current().go)
    assert go is not None, "building the artifacts needed a Go"
    for command in ("vet", "test"):
        done = subprocess.run(
            [go, command, "./..."],
            cwd=versions.GO_SOURCES / "helloworld",
            env={**os.environ, **toolchain.environment()},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_containerd_configuration_is_toml_and_stays_in_its_directories(tmp_path: Path) -> None:
    config = image_store.containerd_config(tmp_path / "root", tmp_path / "state")
    assert tomllib.loads(image_store.to_toml(config)) == config
    written = {value for value in _strings(config) if value.startswith("/")}
    assert written
    assert all(value.startswith(str(tmp_path)) for value in written)


def _strings(value: object) -> set[str]:
    if isinstance(value, dict):
        return set().union(*(_strings(part) for part in value.values()))
    return {value} if isinstance(value, str) else set()


def test_copy_links_the_blobs_and_copies_the_databases(artifacts: build.Artifacts) -> None:
    target = artifacts.image_store.parent / f"copy-{uuid.uuid4().hex[:8]}"
    try:
        image_store.copy_image_store(artifacts.image_store, target)
        files = [path for path in artifacts.image_store.rglob("*") if path.is_file() and not path.is_symlink()]
        databases = [path for path in files if path.suffix == ".db"]
        assert len(databases) == 2
        for path in files:
            copy = target / path.relative_to(artifacts.image_store)
            assert copy.stat().st_size == path.stat().st_size
            assert copy.samefile(path) == (path not in databases), path
        assert not target.with_name(f"{target.name}.partial").exists()
    finally:
        subprocess.run(["rm", "-rf", str(target)], check=True)


def test_copy_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        image_store.copy_image_store(tmp_path / "nowhere", tmp_path / "node")
    (tmp_path / "source").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "something").touch()
    with pytest.raises(build.BuildError, match="already exists"):
        image_store.copy_image_store(tmp_path / "source", tmp_path / "target")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_copy_between_two_bind_mounts_of_one_file_system(tmp_path: Path) -> None:
    """One device, and still no hard links: as in containers whose cache and state are two volumes."""
    database = tmp_path / "cache" / "store" / "io.containerd.metadata.v1.bolt" / "meta.db"
    database.parent.mkdir(parents=True)
    database.write_text("database")
    (tmp_path / "state").mkdir()
    code = (
        "import pathlib, sys; from meshops_sandbox.build import image_store; root = pathlib.Path(sys.argv[1]);"
        "image_store.copy_image_store(root / 'cache' / 'store', root / 'state' / 'node')"
    )
    script = 'mount --bind "$1/cache" "$1/cache"; mount --bind "$1/state" "$1/state"; exec "$2" -c "$3" "$1"'
    said("unshare", "--mount", "--", "sh", "-euc", script, "sh", tmp_path, sys.executable, code)
    copy = tmp_path / "state" / "node" / database.relative_to(tmp_path / "cache" / "store")
    assert copy.read_text() == "database"
    assert not copy.samefile(database)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["node"]


@pytest.fixture
def cgroups_as_before() -> t.Iterator[None]:
    """ctr puts its containers below a cgroup k8s.io and leaves that behind: remove it where it was not there before."""

    def container_groups() -> set[Path]:
        root = Path("/sys/fs/cgroup")
        return {*root.glob("k8s.io"), *root.glob("*/k8s.io")}

    before = container_groups()
    yield
    for group in container_groups() - before:
        group.rmdir()


@pytest.mark.usefixtures("cgroups_as_before")
def test_images_of_a_copied_store_run_and_the_original_does_not_change(
    artifacts: build.Artifacts, tmp_path: Path
) -> None:
    before = {path: path.lstat().st_mtime_ns for path in artifacts.image_store.rglob("*")}
    node = tmp_path / "node"
    image_store.copy_image_store(artifacts.image_store, node)
    with image_store.containerd(node, "meshops-locality-test", Commands(), tmp_path / "log") as ctr:
        listed = said(*ctr, "images", "list", "-q").split()
        assert set(artifacts.images.values()) <= set(listed)
        assert "localhost/base:1" not in listed

        def run(role: str, *command: str) -> str:
            name = f"test-{uuid.uuid4().hex[:12]}"
            log = tmp_path / f"{name}.log"
            # By the shim: ctr itself loses the output of a container that ends before it has opened its pipes.
            said(*ctr, "run", "--rm", f"--log-uri=file://{log}", artifacts.images[role], name, *command)
            return log.read_text(encoding="utf-8")

        assert "curl_user" in run(
            "curl", "/bin/sh", "-c", "cat /etc/passwd; timeout 1 /bin/sleep infinity; test $? = 143"
        )
        assert run("curl", "/entrypoint.sh", "--version").startswith("curl ")
        assert "(nf_tables)" in run("proxyv2", "iptables", "--version")
        assert f"/{versions.istio_line(artifacts.istio_line).envoy}/" in run(
            "proxyv2", "/usr/local/bin/envoy", "--version"
        )
        assert artifacts.istio_version in run("pilot", "/usr/local/bin/pilot-discovery", "version")
        assert "CoreDNS-" in run("coredns", "/coredns", "-version")
        plugins = run("coredns", "/coredns", "-plugins").split()
        assert {"cache", "errors", "forward", "health", "kubernetes", "loop", "ready", "reload"} <= set(plugins)
        answer = run("helloworld", "/bin/sh", "-c", "/helloworld & sleep 0.5; curl -s localhost:5000/hello")
        assert "Hello version: v1, instance: " in answer
        run("helloworld", "/bin/sh", "-c", "echo written > /etc/passwd")
        run("pause", "/bin/sleep", "0")
    subprocess.run(["rm", "-rf", str(node)], check=True)
    assert {path: path.lstat().st_mtime_ns for path in artifacts.image_store.rglob("*")} == before
    assert not list(Path("/run").glob("meshops-locality-test.*"))
    assert str(node) not in Path("/proc/self/mountinfo").read_text()


def test_corefile_with_every_linked_plugin_is_accepted(artifacts: build.Artifacts, tmp_path: Path) -> None:
    """The order of directives is our own: a plugin left out of it would be unknown to the Corefile."""
    coredns = pipeline.Line(artifacts.istio_line).coredns.entry(Cache()) / "coredns"
    corefile = tmp_path / "Corefile"
    corefile.write_text(
        "example.:0 {\n errors\n health 127.0.0.1:0\n ready 127.0.0.1:0\n cache 5\n loop\n reload\n"
        " hosts {\n  192.0.2.7 web.example\n }\n forward . 127.0.0.1:9\n}\n"
    )
    server = subprocess.Popen([coredns, "-conf", corefile], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        text = ""
        for line in server.stdout:
            text += line
            if line.startswith("CoreDNS-"):
                break
        assert "CoreDNS-" in text, text
        assert "Unknown directive" not in text
    finally:
        server.kill()
        server.wait()


def test_references_carry_the_istio_version() -> None:
    istio = versions.istio_line("1.30")
    names = images.references(istio, "v1.14.1")
    assert names["pilot"] == f"localhost/istio/pilot:{istio.version}"
    assert names["proxyv2"] == f"localhost/istio/proxyv2:{istio.version}"
