# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The job templates that need no cluster, run by ansible-runner in the packages of the execution environment."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from tests.awx_job import run, survey_defaults, templates
from tests.conftest import ROOT
from tests.installed import ExecutionEnvironment

TUTORIAL = ROOT / "docs" / "examples" / "tutorial"
#: A credential for a cluster that does not answer: these jobs ask none.
NOWHERE = {"K8S_AUTH_HOST": "https://127.0.0.1:1", "K8S_AUTH_API_KEY": "s3cr3t-t0k3n", "K8S_AUTH_VERIFY_SSL": "False"}
CLUSTER: dict[str, dict[str, t.Any]] = {"production": {}}
MESH = {"manifests/mesh.yml": TUTORIAL / "mesh.yml"}


def answered(name: str, **more: str) -> dict[str, str]:
    return {**survey_defaults(templates()[name]), **more}


def test_lint_of_the_project_fails_and_says_how_many(
    execution_environment: ExecutionEnvironment, tmp_path: Path
) -> None:
    job = run(
        templates()["Locality: lint"],
        execution_environment,
        tmp_path,
        answers=answered("Locality: lint", lint_manifests="manifests", lint_live="false"),
        hosts=CLUSTER,
        credential=NOWHERE,
        files={**MESH, "manifests/rule.yml": TUTORIAL / "as-written.yml"},
    )
    assert job.rc == 2
    assert "fix: maxEjectionPercent: 75" in job.output
    assert job.artifacts["locality_lint"]["localhost"]["lint"]["error"] == 1
    assert "s3cr3t-t0k3n" not in job.output + job.events


@pytest.mark.parametrize(
    ("name", "prefix", "artifact"),
    [
        ("Locality: forecast", "forecast", "at_risk"),
        ("Locality: assess", "assess", "sentence"),
        ("Locality: plan", "plan", None),
        ("Locality: upgrade", "upgrade", "changes"),
    ],
)
def test_what_is_read_from_files_needs_no_cluster(
    execution_environment: ExecutionEnvironment, tmp_path: Path, name: str, prefix: str, artifact: str | None
) -> None:
    offline = {f"{prefix}_live": "false", f"{prefix}_manifests": "manifests"}
    offline |= {"upgrade_from": "1.30"} if prefix == "upgrade" else {}
    job = run(
        templates()[name],
        execution_environment,
        tmp_path,
        answers=answered(name, **offline),
        hosts=CLUSTER,
        credential=NOWHERE,
        files={**MESH, "manifests/rule.yml": TUTORIAL / "completed.yml"},
    )
    assert job.rc == 0, job.output
    assert "s3cr3t-t0k3n" not in job.output + job.events
    assert "helloworld" in job.output
    if artifact:
        assert f"'{artifact}'" in repr(job.artifacts), job.artifacts
