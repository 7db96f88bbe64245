# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The execution environment as far as it goes without a registry: ansible-builder writes the build context."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from tests.installed import CONSTRAINTS
from tests.package.test_awx import PROJECT


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_the_build_context_can_be_made(tmp_path: Path) -> None:
    binaries = tmp_path / "venv" / "bin"
    run([sys.executable, "-m", "venv", str(binaries.parent)])
    pip = [str(binaries / "python"), "-m", "pip", "install", "--quiet", "--constraint", str(CONSTRAINTS)]
    run([*pip, "ansible-builder==3.2.0"])
    create = [str(binaries / "ansible-builder"), "create", "--file", str(PROJECT / "execution-environment.yml")]
    run([*create, "--context", str(tmp_path / "context"), "--output-filename", "Containerfile"])
    assert "ansible-runner" in (tmp_path / "context" / "Containerfile").read_text(encoding="utf-8")
    wanted = yaml.safe_load((tmp_path / "context" / "_build" / "requirements.yml").read_text(encoding="utf-8"))
    assert {each["name"] for each in wanted["collections"]} == {"meshops.locality", "kubernetes.core"}
