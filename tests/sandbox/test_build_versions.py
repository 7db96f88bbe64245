# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""versions.toml: well-formed, the same as go.mod says, and explained when it is not; Go's own version."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from meshops_sandbox.build import toolchain, versions
from meshops_sandbox.build.artifacts import BuildError


def required(module: str) -> dict[str, str]:
    """Module -> version of a go.mod of ours, as go reads it."""
    go = toolchain.on_path(versions.current().go.minimum)
    assert go is not None
    said = subprocess.run(
        [go, "mod", "edit", "-json"], cwd=versions.GO_SOURCES / module, capture_output=True, text=True, check=True
    ).stdout
    return {entry["Path"]: entry["Version"] for entry in json.loads(said)["Require"]}


def test_versions_are_what_the_go_modules_pin() -> None:
    pinned = versions.current()
    kubernetes = required("kubernetes")
    assert kubernetes["k8s.io/kubernetes"] == pinned.kubernetes.version
    assert kubernetes["go.etcd.io/etcd/server/v3"] == pinned.kubernetes.etcd
    assert required("coredns")["github.com/coredns/coredns"] == pinned.coredns.version
    assert required("kube-router")["github.com/cloudnativelabs/kube-router/v2"] == pinned.kube_router.version
    for line, istio in pinned.istio.items():
        assert required(f"istio-{line}")["istio.io/istio"] == istio.module
        assert istio.version.startswith(f"{line}.")
        assert istio.envoy in pinned.envoy


def test_pinned_go_is_new_enough_for_every_module() -> None:
    pinned = versions.current().go
    minimum = toolchain.parse_version(pinned.minimum)
    installed = toolchain.parse_version(pinned.version)
    assert minimum is not None
    assert installed is not None
    assert installed >= minimum
    for module in versions.GO_SOURCES.glob("*/go.mod"):
        wanted = next(line for line in module.read_text().splitlines() if line.startswith("go "))
        asked = toolchain.parse_version(wanted.removeprefix("go "))
        assert asked is not None
        assert asked <= minimum, module


def test_default_line_comes_first_and_unknown_lines_are_refused_by_name() -> None:
    assert versions.lines() == ["1.31", "1.30"]
    with pytest.raises(BuildError, match=r"There is no Istio line 1\.12: choose one of 1\.31, 1\.30\."):
        versions.istio_line("1.12")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("[coredns]", "[coredns"), "is not valid TOML"),
        (('version = "v1.35.3"', 'verison = "v1.35.3"'), "kubernetes.version: Field required"),
        (('etcd = "v3.6.5"', "etcd = 3"), "kubernetes.etcd: Input should be a valid string"),
        (("[coredns]", '[coredns]\nplugin = "x"'), "coredns.plugin: Extra inputs are not permitted"),
    ],
)
def test_broken_versions_file_is_explained(tmp_path: Path, change: tuple[str, str], sentence: str) -> None:
    path = tmp_path / "versions.toml"
    text = versions.VERSIONS.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(BuildError) as error:
        versions.read(path)
    assert sentence in str(error.value)
    assert str(path) in str(error.value)


def test_missing_versions_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="is missing: run the sandbox from a checkout"):
        versions.read(tmp_path / "versions.toml")


@pytest.mark.parametrize(
    ("said", "parsed"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("1.26.0", (1, 26, 0)),
        ("go version go1.27 linux/amd64", (1, 27, 0)),
        ("go version devel linux/amd64", None),
    ],
)
def test_go_versions(said: str, parsed: tuple[int, int, int] | None) -> None:
    assert toolchain.parse_version(said) == parsed


def fake_go(directory: Path, version: str) -> None:
    directory.mkdir()
    (directory / "go").write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n")
    (directory / "go").chmod(0o755)


def test_go_that_is_too_old_or_missing_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_go(tmp_path / "old", "1.19.8")
    fake_go(tmp_path / "new", "1.26.1")
    monkeypatch.setenv("PATH", str(tmp_path / "old"))
    assert toolchain.on_path("1.26.0") is None
    monkeypatch.setenv("PATH", str(tmp_path / "new"))
    assert toolchain.on_path("1.26.0") == tmp_path / "new" / "go"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert toolchain.on_path("1.26.0") is None
