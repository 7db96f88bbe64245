# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""extensions/awx, without AWX: what its rules are is written here, and awx.awx configures a stand-in for its API."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml

from tests import awx_job
from tests.awx_job import AWX, PROJECT
from tests.conftest import BIN, ROOT, ansible_environment
from tests.package.awx_api import Awx, Refused, Server, check_survey

#: What AWX reads as a playbook (awx/main/utils/ansible.py, valid_playbook_re): one line like this in a YAML file.
LISTED = re.compile(r"^\s*?-?\s*?(?:hosts|include|import_playbook):\s*?.*?$")
MINE = {
    "locality_image": "registry.example/ee:0.1.0",
    "locality_project_url": "https://git.example/mesh/locality.git",
    "locality_wait_for_project": False,
}


@pytest.fixture(scope="session")
def configuration() -> dict[str, t.Any]:
    return awx_job.configuration()


def listed() -> set[str]:
    """The playbooks that AWX offers for the project."""
    files = [path for path in PROJECT.glob("**/*.y*ml") if not {"roles", "tasks"} & set(path.parts)]
    return {
        str(path.relative_to(PROJECT))
        for path in files
        if any(LISTED.match(line) for line in path.read_text(encoding="utf-8").splitlines())
    }


def test_awx_lists_the_playbooks_of_the_templates_and_nothing_else(configuration: dict[str, t.Any]) -> None:
    used = {template["playbook"] for template in configuration["controller_templates"]}
    assert used <= listed()
    assert {name.removesuffix(".yml") for name in listed()} <= {
        path.stem for path in (ROOT / "playbooks").glob("*.yml")
    }


def test_every_play_runs_where_ansible_does() -> None:
    for path in [*(ROOT / "playbooks").glob("*.yml"), *PROJECT.glob("*.yml")]:
        for play in yaml.safe_load(path.read_text(encoding="utf-8")):
            if isinstance(play, dict) and "hosts" in play:
                assert play.get("connection") == "local", f"{path.name}: {play['name']}"


def known_variables(playbook: str) -> set[str]:
    """Every variable that a playbook or its role names."""
    text = (ROOT / "playbooks" / playbook).read_text(encoding="utf-8")
    roles = re.findall(r"meshops\.locality\.(\w+)", text)
    specs = [ROOT / "roles" / role / "meta" / "argument_specs.yml" for role in roles]
    text += "".join(path.read_text(encoding="utf-8") for path in specs if path.is_file())
    return set(re.findall(r"\b[a-z][a-z0-9]*_\w+", text))


def test_a_survey_asks_only_for_what_its_playbook_reads(configuration: dict[str, t.Any]) -> None:
    asked = 0
    for template in configuration["controller_templates"]:
        variables = {question["variable"] for question in template.get("survey_spec", {}).get("spec", ())}
        assert variables <= known_variables(template["playbook"]), template["name"]
        asked += len(variables)
    assert asked > 10


def choices(playbook: str) -> dict[str, list[str]]:
    """The choices of the variables of a playbook's roles."""
    text = (ROOT / "playbooks" / playbook).read_text(encoding="utf-8")
    choices_by_name: dict[str, list[str]] = {}
    for role in set(re.findall(r"(?:role|name): meshops\.locality\.(\w+)", text)):
        path = ROOT / "roles" / role / "meta" / "argument_specs.yml"
        options = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
        choices_by_name |= {name: option["choices"] for name, option in options.items() if "choices" in option}
    return choices_by_name


def test_a_survey_offers_only_what_the_role_takes(configuration: dict[str, t.Any]) -> None:
    known = {
        name: taken
        for template in configuration["controller_templates"]
        for name, taken in choices(template["playbook"]).items()
    }
    compared = []
    for each in [*configuration["controller_templates"], *configuration["controller_workflows"]]:
        for question in each.get("survey_spec", {}).get("spec", ()):
            if question["variable"] in known:
                assert set(question["choices"]) <= set(known[question["variable"]]), question["variable"]
                compared.append(question["variable"])
    assert "failover_drill_fault" in compared


def test_workflows_and_schedules_name_templates_that_exist(configuration: dict[str, t.Any]) -> None:
    templates = {each["name"] for kind in ("templates", "workflows") for each in configuration[f"controller_{kind}"]}
    for workflow in configuration["controller_workflows"]:
        nodes = {node["identifier"] for node in workflow["workflow_nodes"]}
        for node in workflow["workflow_nodes"]:
            if node["unified_job_template"]["type"] == "job_template":
                assert node["unified_job_template"]["name"] in templates
            for following in node.get("related", {}).values():
                assert {each["identifier"] for each in following} <= nodes
    for schedule in configuration["controller_schedules"]:
        assert schedule["unified_job_template"] in templates


def configure(server: Server, home: Path) -> subprocess.CompletedProcess[str]:
    environment = ansible_environment(home, {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "PYTHONPATH": ""})
    environment |= {"CONTROLLER_HOST": server.url, "CONTROLLER_OAUTH_TOKEN": "secret"}
    command = [str(BIN / "ansible-playbook"), "-e", json.dumps(MINE), str(AWX / "configure.yml")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)


def everything(awx: Awx) -> t.Any:
    """Return a copy of all that the stand-in stores."""
    return copy.deepcopy((awx.objects, awx.surveys, awx.related))


def test_awx_is_configured_and_a_second_time_nothing_changes(configuration: dict[str, t.Any], tmp_path: Path) -> None:
    with Server() as server:
        awx = server.awx
        runs = [configure(server, tmp_path / "first")]
        before, sent = everything(awx), len(server.requests)
        runs.append(configure(server, tmp_path / "second"))
        after = everything(awx)
        written = [request for request in server.requests[sent:] if not request.startswith("GET ")]
    for done in runs:
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    first, second = (json.loads(done.stdout)["stats"]["localhost"] for done in runs)
    assert first["changed"] >= 10
    assert written == []
    assert after == before
    assert second["changed"] == 0
    for kind, collection in (
        ("templates", "job_templates"),
        ("workflows", "workflow_job_templates"),
        ("schedules", "schedules"),
    ):
        names = {each["name"] for each in awx.objects[collection].values()}
        assert names == {each["name"] for each in configuration[f"controller_{kind}"]}
    assert awx.surveys
    assert any(key[2] == "success_nodes" and ids for key, ids in awx.related.items())


@pytest.mark.parametrize(("type_", "default"), [("integer", "30"), ("float", 20), ("text", 1)])
def test_the_stand_in_refuses_a_default_of_another_type(type_: str, default: t.Any) -> None:
    question = {"variable": "a", "question_name": "a", "required": True, "type": type_, "default": default}
    with pytest.raises(Refused, match="the default of a is expected to be"):
        check_survey({"name": "", "description": "", "spec": [question]})


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": "a", "playbok": "lint.yml"}, "required"),
        ({"name": "a", "project": 99, "playbook": "lint.yml", "inventory": 99}, "does not exist"),
    ],
)
def test_the_stand_in_refuses_what_awx_refuses(fields: dict[str, t.Any], wrong: str) -> None:
    with pytest.raises(Refused, match=wrong):
        Awx().add("job_templates", fields)


def test_the_stand_in_refuses_a_field_that_does_not_exist() -> None:
    with pytest.raises(Refused, match="has no field colour"):
        Awx().add("organizations", {"name": "a", "colour": "red"})
