# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The execution environment as far as it goes without a registry. What runs in it: test_awx_jobs.py."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

from tests.awx_job import PROJECT
from tests.conftest import WORK
from tests.installed import ExecutionEnvironment


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_build_context_can_be_made(execution_environment: ExecutionEnvironment, tmp_path: Path) -> None:
    builder = WORK / "ansible-builder" / "bin" / "ansible-builder"
    create = [str(builder), "create", "--file", str(PROJECT / "execution-environment.yml")]
    run([*create, "--context", str(tmp_path / "context"), "--output-filename", "Containerfile"])
    assert "ansible-runner" in (tmp_path / "context" / "Containerfile").read_text(encoding="utf-8")
    wanted = yaml.safe_load((tmp_path / "context" / "_build" / "requirements.yml").read_text(encoding="utf-8"))
    assert {each["name"] for each in wanted["collections"]} == {"meshops.locality", "kubernetes.core"}


def test_it_gets_what_reports_and_charts_need(execution_environment: ExecutionEnvironment) -> None:
    names = {package.split(">")[0].split("=")[0] for package in execution_environment.packages}
    assert names >= {"kubernetes", "vl-convert-python"}
    run([str(execution_environment.programs / "python"), "-c", "import kubernetes, vl_convert"])
