# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The execution environment as far as it goes without a registry, and AWX's jobs in what it would install.

ansible-builder writes the build context and says which Python packages the collections need. These are installed in a
new virtual environment with ansible-core and ansible-runner. The job templates that need no cluster run there as AWX
runs them: answers of the survey as text, blank ones included, credentials as environment.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.installed import CONSTRAINTS, environment
from tests.package.test_awx import PROJECT, Unsafe

CONFIGURATION = yaml.load((ROOT / "extensions/awx/configuration.yml").read_text(encoding="utf-8"), Loader=Unsafe)  # noqa: S506
#: What makes a template run without a cluster: the answer of somebody who lints a folder, a saved mesh for the rest.
OFFLINE = {
    "lint": {"lint_manifests": "manifests"},
    "forecast": {"forecast_snapshot": "mesh.json"},
    "plan": {"plan_snapshot": "mesh.json"},
    "upgrade": {"upgrade_snapshot": "mesh.json", "upgrade_to": "1.30"},
}


def run(command: list[str | Path], **more: t.Any) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


def pip(binaries: Path, *arguments: str | Path) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--constraint", CONSTRAINTS]
    run([binaries / "python", "-m", "pip", "install", *quiet, *arguments])


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("builder") / "venv"
    run([sys.executable, "-m", "venv", folder])
    pip(folder / "bin", "ansible-builder==3.2.0")
    return folder / "bin"


@pytest.fixture(scope="session")
def image(builder: Path, controller: Path, installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with what the image would have."""
    folder = tmp_path_factory.mktemp("image")
    collections = folder / "collections" / "ansible_collections"
    collections.mkdir(parents=True)
    (collections / "meshops").symlink_to(installed / ".ansible" / "collections" / "ansible_collections" / "meshops")
    (collections / "kubernetes").symlink_to(next(controller.parent.glob("lib/*/site-packages/ansible_collections/*")))
    run([builder / "ansible-builder", "introspect", "--write-pip", folder / "needed.txt", folder / "collections"])
    needed = (folder / "needed.txt").read_text(encoding="utf-8")
    for line in (ROOT / "meta" / "ee-requirements.txt").read_text(encoding="utf-8").split():
        assert line in needed
    run([sys.executable, "-m", "venv", folder / "venv"])
    pip(folder / "venv" / "bin", "ansible-core", "ansible-runner==2.4.3", "--requirement", folder / "needed.txt")
    return folder / "venv" / "bin"


def test_the_build_context_can_be_made(builder: Path, tmp_path: Path) -> None:
    command: list[str | Path] = [builder / "ansible-builder", "create", "--file", PROJECT / "execution-environment.yml"]
    run([*command, "--context", tmp_path / "context", "--output-filename", "Containerfile"])
    assert "ansible-runner" in (tmp_path / "context" / "Containerfile").read_text(encoding="utf-8")
    wanted = yaml.safe_load((tmp_path / "context" / "_build" / "requirements.yml").read_text(encoding="utf-8"))
    assert {each["name"] for each in wanted["collections"]} == {"meshops.locality", "kubernetes.core"}


def answers(template: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The survey of a template as AWX hands it over when nobody changes anything: text, blank where nothing stands."""
    return {question["variable"]: question["default"] for question in template["survey_spec"]["spec"]}


@pytest.mark.parametrize("playbook", sorted(OFFLINE))
def test_a_job_runs_as_awx_runs_it(playbook: str, image: Path, installed: Path, tmp_path: Path) -> None:
    (template,) = (each for each in CONFIGURATION["controller_templates"] if each["playbook"] == f"{playbook}.yml")
    given = answers(template)
    assert "" in given.values()
    shutil.copytree(PROJECT, tmp_path / "project")
    manifests = tmp_path / "project" / "manifests"
    manifests.mkdir()
    for name in ("mesh", "completed"):
        shutil.copy(ROOT / "docs" / "examples" / "tutorial" / f"{name}.yml", manifests)
    shutil.copy(manifests / "mesh.yml", tmp_path / "project" / "mesh.json")  # JSON is YAML, so YAML is read as well
    for folder in ("env", "inventory"):
        (tmp_path / folder).mkdir()
    (tmp_path / "env" / "extravars").write_text(json.dumps({**given, **OFFLINE[playbook]}), encoding="utf-8")
    # What the credential type Kubeconfig sets. There is no cluster, and none is asked.
    (tmp_path / "env" / "envvars").write_text(json.dumps({"K8S_AUTH_KUBECONFIG": "/nowhere"}), encoding="utf-8")
    (tmp_path / "inventory" / "hosts").write_text("production\n", encoding="utf-8")
    variables = environment(image, installed)
    variables["ANSIBLE_COLLECTIONS_PATH"] = str(image.parent.parent / "collections")
    command = [image / "ansible-runner", "run", tmp_path, "--playbook", f"{playbook}.yml", "--ident", "1"]
    printed = run(command, env=variables, cwd=tmp_path)
    assert "no hosts matched" not in printed
    events = [
        json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "artifacts/1/job_events").glob("*.json")
    ]
    assert events
    if playbook in ("lint", "forecast"):
        artifacts = [
            event["event_data"]["artifact_data"] for event in events if event["event_data"].get("artifact_data")
        ]
        assert f"locality_{playbook}" in json.dumps(artifacts)
