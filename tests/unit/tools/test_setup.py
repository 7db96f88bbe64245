# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The set-up says what this user or machine cannot do before it downloads anything."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import typing as t

import pytest
import setup

from meshops_sandbox import preflight
from tests.conftest import ROOT


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would have been installed; nothing is."""
    called: list[str] = []
    monkeypatch.setattr(setup, "is_ready", lambda which: False)
    monkeypatch.setattr(setup, "install", called.append)
    monkeypatch.setattr(setup, "link_collection", lambda: None)
    return called


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, user: int = 0, memory: int = 8 * 1024**3) -> str:
    """Run setup.py as `user` on a machine with so many bytes of memory; returns what it ended with."""
    monkeypatch.setattr(sys, "argv", ["setup.py", *arguments])
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(setup, "memory", lambda: memory)
    try:
        setup.main()
    except SystemExit as error:
        return str(error.code)
    return ""


@pytest.mark.parametrize("purpose", ["sandbox", "root"])
def test_a_user_is_stopped_before_anything_is_downloaded(
    monkeypatch: pytest.MonkeyPatch, downloads: list[str], purpose: str
) -> None:
    said = run(monkeypatch, "dev", purpose, user=1000)
    assert "needs root" in said
    assert "sudo" in said
    assert downloads == []


def test_too_little_memory_is_said_before_anything_is_downloaded(
    monkeypatch: pytest.MonkeyPatch, downloads: list[str]
) -> None:
    said = run(monkeypatch, "dev", "sandbox", memory=2 * 1024**3)
    assert "has 2.0 GiB of memory, the sandbox needs 3.0 GiB" in said
    assert downloads == []


@pytest.mark.parametrize(
    ("arguments", "user", "memory"),
    [(("dev",), 1000, 1024**3), (("run", "root"), 0, 1024**3), (("run", "sandbox"), 0, 3 * 1024**3)],
)
def test_what_can_be_done_is_done(
    monkeypatch: pytest.MonkeyPatch, downloads: list[str], arguments: tuple[str, ...], user: int, memory: int
) -> None:
    assert run(monkeypatch, *arguments, user=user, memory=memory) == ""
    assert downloads == [arguments[0]]


def test_an_unknown_purpose_is_refused(monkeypatch: pytest.MonkeyPatch, downloads: list[str]) -> None:
    assert "unknown purpose 'mesh'; known: root, sandbox" in run(monkeypatch, "dev", "mesh")
    assert downloads == []


def test_the_memory_is_what_the_sandbox_asks_for() -> None:
    assert preflight.MEMORY_BYTES == setup.SANDBOX_MEMORY


def test_this_machine_has_memory() -> None:
    assert setup.memory() > 0


#: Targets that bring a sandbox up or build one, by what tools/setup.py is asked before.
NEEDS: dict[str, str] = {
    **dict.fromkeys(("test", "molecule", "integration", "story", "sandbox-test", "differential"), "dev sandbox"),
    **dict.fromkeys(("unit", "lint", "sanity", "setup", "oracle", "oracle-envoy"), "dev"),
    "sandbox": "run sandbox",
    "sandbox-down": "run root",
}


@pytest.mark.parametrize(("target", "wanted"), NEEDS.items())
def test_make_asks_for_what_a_target_needs(target: str, wanted: str) -> None:
    recipe = t.cast("re.Match[str]", re.search(rf"^{target}: ##.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE))[1]
    assert f"$(SETUP) {wanted}\n" in recipe


MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_root_installs_the_missing_venv_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's python3-minimal, as on a fresh Debian 13."""
    calls: list[tuple[str, ...]] = []

    def apt_get(_title: str, *arguments: str) -> tuple[int, str]:
        calls.append(arguments)
        return 0, ""

    monkeypatch.setattr(setup, "apt_get", apt_get)
    monkeypatch.setattr(shutil, "which", lambda _program: "/usr/bin/apt-get")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    setup.install_venv_module()
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    assert calls == [("update",), ("install", "--yes", "--no-install-recommends", package)]


def test_make_takes_the_python_that_is_named_or_one_that_can_make_a_virtual_environment() -> None:
    def set_up(*named: str) -> str:
        return subprocess.run(
            ["make", "-n", "unit", *named], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.splitlines()[0]

    assert set_up("PYTHON=/named/python") == "/named/python tools/setup.py dev"
    python, *rest = set_up().split()
    assert rest == ["tools/setup.py", "dev"]
    code = "import ensurepip, sys; print(sys.version_info >= (3, 11))"
    assert subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"
