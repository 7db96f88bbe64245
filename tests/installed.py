# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: the collection as it is published, the built tarball installed where nothing of this checkout is."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
import sysconfig
import tarfile
import typing as t
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, WORK

sys.path.insert(0, str(ROOT / "tools"))

from built_tarball import built
from testrun.venvs import venv

USERS = ("ANSIBLE_", "K8S_AUTH_", "KUBECONFIG", "PYTHON", "VIRTUAL_ENV", "MESHOPS_")
#: The version that docs/install.md was written with.
BUILDER = "ansible-builder==3.2.0"


@pytest.fixture(scope="session")
def tarball() -> Path:
    """The tarball of this checkout, built now unless no file has changed since a step before this one built it."""
    return built()


@pytest.fixture(scope="session")
def unpacked(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection's folder, as the tarball has it."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(tarball) as archive:
        # Debian 12's Python 3.11.2 has no `filter="data"` yet, which refuses what leads out of the folder.
        for member in archive.getmembers():
            assert member.isreg() or member.isdir(), f"{member.name} is neither a file nor a folder"
            assert not {"/", ".."}.intersection(Path(member.name).parts), member.name
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def controller() -> Path:
    """The bin folder of a virtual environment with what `pip install ansible kubernetes` brings and nothing else. It is
    made once: what the tests install goes into a home of their own.

    The package `ansible` has 500 MB of other collections: ansible-core is installed, and of the collections only
    kubernetes.core, at the place where that package has it. tools/versions.py gives an environment of its own with
    another ansible-core and Python: $MESHOPS_TEST_CONTROLLER.
    """
    if other := os.environ.get("MESHOPS_TEST_CONTROLLER"):
        return Path(other)
    binaries = venv(WORK / "controller", ["ansible-core", "kubernetes"])
    ours = Path(sysconfig.get_paths()["purelib"]) / "ansible_collections" / "kubernetes"
    (packages,) = binaries.parent.glob("lib/python*/site-packages")
    (packages / "ansible_collections").mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):  # an earlier run, or a step next to this one, was faster
        (packages / "ansible_collections" / "kubernetes").symlink_to(ours)
    return binaries


@dataclasses.dataclass(frozen=True)
class ExecutionEnvironment:
    """What the image of extensions/awx/project/execution-environment.yml would hold: programs, and collections."""

    programs: Path
    collections: Path
    packages: tuple[str, ...]


@pytest.fixture(scope="session")
def execution_environment(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> ExecutionEnvironment:
    """An execution environment as far as it goes without a registry: the Python packages that ansible-builder finds in
    the built tarball and in kubernetes.core, in a virtual environment of their own.
    """
    folder = tmp_path_factory.mktemp("execution-environment") / "ansible_collections"
    (folder / "meshops").mkdir(parents=True)
    (folder / "meshops" / "locality").symlink_to(unpacked)
    ours = Path(sysconfig.get_paths()["purelib"]) / "ansible_collections" / "kubernetes" / "core"
    (folder / "kubernetes" / "core").mkdir(parents=True)
    for each in ours.iterdir():
        (folder / "kubernetes" / "core" / each.name).symlink_to(each)
    builder = venv(WORK / "ansible-builder", [BUILDER])
    requirements = folder.parent / "requirements.txt"
    introspect = [str(builder / "ansible-builder"), "introspect", str(folder.parent), "--write-pip", str(requirements)]
    done = subprocess.run(introspect, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = [line.split("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines()]
    packages = sorted({line for line in wanted if line})
    definition = yaml.safe_load((ROOT / "extensions/awx/project/execution-environment.yml").read_text(encoding="utf-8"))
    programs = [definition["dependencies"][name]["package_pip"] for name in ("ansible_core", "ansible_runner")]
    return ExecutionEnvironment(
        venv(WORK / "execution-environment", [*programs, *packages]), folder.parent, tuple(packages)
    )


class Shell(t.Protocol):
    """`shell("ansible-playbook …", rc=0)` returns what the command printed, errors included."""

    def __call__(
        self, command: str, *, rc: int = 0, timeout: float = 600, env: t.Mapping[str, str] | None = None
    ) -> str: ...


def environment(binaries: Path, home: Path) -> dict[str, str]:
    """Return the environment of somebody who has nothing but this virtual environment."""
    home.mkdir(parents=True, exist_ok=True)
    own = {name: value for name, value in os.environ.items() if not name.startswith(USERS)}
    return {
        **own,
        "HOME": str(home),
        "PATH": f"{binaries}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
    }


@pytest.fixture(scope="session")
def installed(controller: Path, tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of somebody who installed the tarball in that virtual environment, as the README says."""
    home = tmp_path_factory.mktemp("home")
    done = subprocess.run(
        [str(controller / "ansible-galaxy"), "collection", "install", "--offline", str(tarball)],
        env=environment(controller, home),
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return home


@pytest.fixture
def shell(controller: Path, installed: Path, tmp_path: Path) -> Shell:
    """Run a command line in an empty folder, as that person."""

    def run(command: str, *, rc: int = 0, timeout: float = 600, env: t.Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            env={**environment(controller, installed), **(env or {})},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == rc, f"$ {command}\nexit code {done.returncode}\n{done.stdout}"
        return done.stdout

    return run
