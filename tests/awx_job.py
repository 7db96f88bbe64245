# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job template of extensions/awx as AWX runs it: ansible-runner in a folder of its own.

What AWX does was read in its sources: awx/main/models/mixins.py (_update_unified_job_kwargs: extra variables of the
template, then the survey's defaults, then the answers), awx/main/tasks/jobs.py (the private data folder) and
awx/main/tasks/callback.py (artifacts are the statistics of the last event).
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import typing as t
from pathlib import Path

import yaml

from tests.conftest import ROOT
from tests.installed import ExecutionEnvironment, environment

Json = dict[str, t.Any]
AWX = ROOT / "extensions" / "awx"
PROJECT = AWX / "project"


class Unsafe(yaml.SafeLoader):
    """Reads Ansible's tag for text that is no template."""


Unsafe.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


def configuration() -> Json:
    """Return the content of configuration.yml."""
    return dict(yaml.load((AWX / "configuration.yml").read_text(encoding="utf-8"), Loader=Unsafe))  # noqa: S506


def templates() -> dict[str, Json]:
    """Return the job templates by name."""
    return {each["name"]: each for each in configuration()["controller_templates"]}


def survey_defaults(template: Json) -> dict[str, str]:
    """Return what a person sends who changes nothing in the form, all of it as text, blank where nothing is."""
    return {each["variable"]: str(each.get("default", "")) for each in template.get("survey_spec", {}).get("spec", ())}


@dataclasses.dataclass(frozen=True)
class Job:
    """What AWX knows of a job that has ended."""

    rc: int
    output: str
    events: str = dataclasses.field(repr=False)
    artifacts: Json = dataclasses.field(default_factory=dict)


def run(
    template: Json,
    image: ExecutionEnvironment,
    folder: Path,
    *,
    answers: t.Mapping[str, t.Any],
    hosts: t.Mapping[str, Json],
    credential: t.Mapping[str, str],
    files: t.Mapping[str, Path] = {},
) -> Job:
    """Run a template's playbook. `answers` are sent at launch, `files` are in the project next to the playbooks."""
    project = folder / "project"
    shutil.copytree(PROJECT, project)
    for name, path in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, project / name)
    for part in ("inventory", "env"):
        (folder / part).mkdir()
    (inventory,) = configuration()["controller_inventories"]
    inventory = {"all": {"hosts": dict(hosts), "vars": inventory["variables"]}}
    (folder / "inventory" / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
    variables = {**template.get("extra_vars", {}), **answers}
    (folder / "env" / "extravars").write_text(json.dumps(variables), encoding="utf-8")
    given = {**credential, "ANSIBLE_COLLECTIONS_PATH": str(image.collections)}
    (folder / "env" / "envvars").write_text(json.dumps(given), encoding="utf-8")
    done = subprocess.run(
        [str(image.programs / "ansible-runner"), "run", str(folder), "-p", template["playbook"], "--ident", "job"],
        env=environment(image.programs, folder / "home"),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    texts = [path.read_text(encoding="utf-8") for path in (folder / "artifacts" / "job" / "job_events").glob("*.json")]
    last = [event for event in map(json.loads, texts) if event["event"] == "playbook_on_stats"]
    artifacts = last[0]["event_data"].get("artifact_data", {}) if last else {}
    return Job(done.returncode, done.stdout, "".join(texts), artifacts)
