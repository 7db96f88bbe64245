# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the README and of docs/own-cluster.md on a real mesh, from the tarball in an empty environment, and
on the same mesh job templates of extensions/awx."""

from __future__ import annotations

import os
import re
import typing as t
from pathlib import Path

import pytest
import yaml

from tests import awx_job
from tests.conftest import ROOT, Kubectl
from tests.documents import commands, files
from tests.examples.awx_jobs import EVERY, Job, Jobs
from tests.installed import ExecutionEnvironment, Shell

README = (ROOT / "README.md").read_text(encoding="utf-8")
OWN = (ROOT / "docs" / "own-cluster.md").read_text(encoding="utf-8")
#: The names that readers replace by their own, and those of the sandbox.
NODES = {"node-1": "beijing", "node-2": "tianjin", "node-3": "shenyang", "node-4": "guangzhou"}


def own_files() -> dict[str, str]:
    """The files of the two documents, with the sandbox's names."""
    return {
        name: re.sub("|".join(NODES), lambda match: NODES[match[0]], text)
        for name, text in {**files(README), **files(OWN)}.items()
    }


@pytest.fixture
def run(shell: Shell, tmp_path: Path, kubeconfig: Path) -> t.Callable[[str], str]:
    for name, text in own_files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return lambda command: shell(command, env={"KUBECONFIG": str(kubeconfig)})


@pytest.fixture
def awx_jobs(execution_environment: ExecutionEnvironment, tmp_path: Path, kubeconfig: Path) -> Jobs:
    variables = yaml.safe_load(own_files()["locality.yml"])["all"]["vars"]
    return Jobs(execution_environment, tmp_path, kubeconfig, variables)


def test_each_job_template_is_run() -> None:
    assert {name for name, *_ in EVERY} == set(awx_job.templates())


@pytest.mark.parametrize("jobs", [(), pytest.param(EVERY, marks=pytest.mark.soak)], ids=["without jobs", "every job"])
def test_the_way_on_ones_own_cluster_works_in_its_order_and_job_templates_on_it(
    run: t.Callable[[str], str], jobs: tuple[Job, ...], kubectl: Kubectl, request: pytest.FixtureRequest
) -> None:
    *steps, teardown = commands(OWN)
    assert steps
    assert teardown.endswith("meshops.locality.teardown")
    live = [command for command in commands(README) if command.startswith("ansible-playbook -i localhost, ")]
    assert len(live) == 2
    try:
        for command in steps:
            run(command)
        seen = [run(command) for command in live]
        # tools/versions.py runs this with other versions of Ansible; the execution environment is the same each time.
        if jobs and not os.environ.get("MESHOPS_TEST_CONTROLLER"):
            awx_jobs: Jobs = request.getfixturevalue("awx_jobs")
            awx_jobs.succeed(jobs, kubectl)
            awx_jobs.forecast_with_a_token(kubectl)
    finally:
        run(teardown)
    assert "helloworld" in seen[0]
    assert "priority" in seen[1]
    assert "rack-2" in seen[1]


def test_the_two_commands_are_there() -> None:
    assert all(f"$ {command}\n" in README for command in ("make demo", "make test"))
    assert os.access(ROOT / "Makefile", os.R_OK)
