# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The actions of the controller, as ansible-playbook runs them. No cluster: everything is read from files."""

from __future__ import annotations

import json
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.meshops.locality.plugins.action.mesh_query import with_variables
from tests.conftest import BIN, ROOT, ansible_environment

SHOP = ROOT / "docs" / "examples" / "shop"


@pytest.fixture
def play(tmp_path: Path) -> t.Callable[..., subprocess.CompletedProcess[str]]:
    """Run a playbook of the collection without any setting of Ansible."""

    def run(name: str, *arguments: str, **variables: t.Any) -> subprocess.CompletedProcess[str]:
        environment = ansible_environment(tmp_path / "home")
        for setting in ("ANSIBLE_CONFIG", "ANSIBLE_STDOUT_CALLBACK", "ANSIBLE_CALLBACK_RESULT_FORMAT"):
            environment.pop(setting, None)
        environment["KUBECONFIG"] = str(tmp_path / "nowhere")
        extra = json.dumps(variables)
        command = [str(BIN / "ansible-playbook"), f"meshops.locality.{name}", "--extra-vars", extra, *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    return run


def test_tables_are_printed_unescaped_without_any_setting(play: t.Any) -> None:
    done = play("forecast", forecast_live=False, forecast_manifests=str(SHOP))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("payments.shop:8080") for line in lines), done.stdout
    assert "\\n" not in done.stdout


@pytest.mark.parametrize("playbook", ["lint", "plan", "forecast", "upgrade"])
def test_a_misspelt_variable_is_refused(play: t.Any, playbook: str) -> None:
    done = play(playbook, **{f"{playbook}_manifest": str(SHOP), f"{playbook}_live": False})
    assert done.returncode != 0
    expected = f"There is no variable {playbook}_manifest: did you mean {playbook}_manifests?"
    assert expected in " ".join(done.stdout.split())


@pytest.mark.parametrize("playbook", ["lint", "plan", "forecast", "upgrade"])
def test_a_run_without_a_host_and_without_files_is_refused(play: t.Any, playbook: str) -> None:
    done = play(playbook)
    assert done.returncode != 0
    assert "No host of the inventory is matched, so no cluster is read." in " ".join(done.stdout.split())


@pytest.mark.parametrize("blank", ["", None])
def test_blank_options_are_options_that_are_not_set(play: t.Any, tmp_path: Path, blank: str | None) -> None:
    names = (
        "service",
        "namespace",
        "client",
        "port",
        "rate",
        "losses",
        "width",
        "istio_version",
        "snapshot",
        "revision",
    )
    blanks = {f"forecast_{name}": blank for name in names}
    done = play("forecast", forecast_live=False, forecast_manifests=str(SHOP), forecast_file="out.json", **blanks)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["rows"]) == 6


def test_an_error_is_its_own_sentence_once(play: t.Any) -> None:
    done = play("plan", plan_live=False, plan_manifests=str(SHOP), plan_service="cartt")
    assert done.returncode != 0
    output = done.stdout + done.stderr
    assert "The filter plugin" not in output
    assert "Error while resolving" not in output
    said = " ".join(output.split())
    # With ansible-core 2.19 and later.
    assert "Action failed: There is no Service 'cartt'" in said or '"msg": "There is no Service \'cartt\'' in said, (
        output
    )


def test_text_of_a_survey_is_read_as_what_it_means(play: t.Any, tmp_path: Path) -> None:
    done = play(
        "forecast",
        forecast_live="false",
        forecast_manifests=str(SHOP),
        forecast_rate="5",
        forecast_pairs="false",
        forecast_port="8080",
        forecast_losses="zone eu-west-1a, zone eu-west-1b",
        forecast_file="out.json",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [len(row["losses"]) for row in written["forecast"]["rows"]][:1] == [2]


def test_check_mode_writes_no_file(play: t.Any, tmp_path: Path) -> None:
    arguments = {"plan_live": False, "plan_manifests": str(SHOP), "plan_file": "plan.json"}
    done = play("plan", "--check", **arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=1" in done.stdout
    assert not (tmp_path / "plan.json").exists()
    assert "changed=1" in play("plan", **arguments).stdout
    assert "changed=0" in play("plan", **arguments).stdout


def test_programs_get_the_text_in_the_result(play: t.Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment = {**ansible_environment(tmp_path / "home"), "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    command = [str(BIN / "ansible-playbook"), "meshops.locality.plan", "-e", f"plan_live=false plan_manifests={SHOP}"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    result = json.loads(done.stdout)["plays"][-1]["tasks"][-1]["hosts"]["localhost"]
    assert "cart.shop:8080" in result["text"]


def test_nothing_asked_is_an_error(run_playbook: t.Any) -> None:
    task = {"name": "ask", "meshops.locality.mesh_query": {"live": False, "manifests": str(SHOP), "questions": {}}}
    result = run_playbook([{"hosts": "all", "gather_facts": False, "tasks": [task]}]).results()[0]
    assert "questions is empty, so nothing would be judged" in result["msg"]


@pytest.mark.parametrize(
    ("playbook", "variables", "says"),
    [
        ("forecast", {"port": 9999}, "No Service was judged"),
        ("plan", {"port": 9999}, "Nothing is planned"),
        ("plan", {"subset": "nowhere"}, "Nothing is planned"),
        ("upgrade", {"to": "1.31"}, "The version of this mesh is not known"),
        ("upgrade", {"from": "1.31", "to": "1.99"}, "What Istio 1.99 changes is not known here"),
    ],
)
def test_an_answer_about_nothing_is_not_green(
    play: t.Any, playbook: str, variables: dict[str, t.Any], says: str
) -> None:
    given = {"live": False, "manifests": str(SHOP), **variables}
    done = play(playbook, **{f"{playbook}_{name}": value for name, value in given.items()})
    assert done.returncode != 0, done.stdout
    assert says in " ".join(done.stdout.split())


def test_places_without_labels_are_not_judged(play: t.Any, tmp_path: Path) -> None:
    for file in SHOP.glob("*.yml"):
        text = file.read_text(encoding="utf-8").replace("topology.kubernetes.io/", "somewhere.example/")
        (tmp_path / file.name).write_text(text, encoding="utf-8")
    done = play("assess", assess_live=False, assess_manifests=str(tmp_path))
    assert done.returncode != 0, done.stdout
    assert "No loss of a zone or region could be judged" in done.stdout
    assert "None of" not in done.stdout


def test_names_of_others_do_not_control_the_terminal(play: t.Any, tmp_path: Path) -> None:
    rule = (SHOP.parent / "tutorial" / "as-written.yml").read_text(encoding="utf-8")
    (tmp_path / "rule.yml").write_text(rule.replace("name: helloworld", 'name: "a\\e[31mb"', 1), encoding="utf-8")
    mesh = SHOP.parent / "tutorial" / "mesh.yml"
    done = play("lint", lint_manifests=[str(mesh), str(tmp_path / "rule.yml")])
    assert "a\\x1b[31mb" in done.stdout, done.stdout
    assert "\x1b[31mb" not in done.stdout


def test_errors_name_the_variable_that_was_set() -> None:
    variables = {"prefix": "upgrade_", "to_version": "upgrade_to"}
    assert with_variables("to_version is missing.", variables) == "upgrade_to is missing."
    assert with_variables("width must be a whole number.", {"prefix": "plan_"}) == "plan_width must be a whole number."
    assert with_variables("There is no Service 'x'.", {"prefix": "plan_"}) == "There is no Service 'x'."
    assert with_variables("width is wrong.", None) == "width is wrong."


def test_a_number_that_is_none_is_told_with_its_variable(play: t.Any) -> None:
    done = play("lint", lint_manifests=str(SHOP), lint_fail_on="grave")
    assert done.returncode != 0
    assert "lint_fail_on is 'grave', but must be one of" in " ".join(done.stdout.split())


def test_a_loss_that_ansible_cut_is_told_as_json(play: t.Any) -> None:
    done = play("forecast", forecast_live=False, forecast_manifests=str(SHOP), forecast_losses="zone")
    assert done.returncode != 0
    output = " ".join(done.stdout.split())
    assert "losses[0]: 'zone' is no loss" in output
    assert """-e '{"forecast_losses": ["zone r1/z1"]}'""" in output


def test_the_report_of_no_drill_is_refused_in_a_sentence(play: t.Any) -> None:
    done = play("report")
    assert done.returncode != 0
    assert "report_drill is not set: the drill.json" in " ".join((done.stdout + done.stderr).split())


def test_a_version_that_is_not_known_is_said_by_lint(play: t.Any) -> None:
    done = play("lint", lint_manifests=str(SHOP), lint_istio_version="1.99", lint_fail_on="never")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1.99" in done.stdout
    assert "assumed:" in done.stdout


def test_a_blank_item_is_not_the_folder_one_is_in(play: t.Any, tmp_path: Path) -> None:
    (tmp_path / "other.yml").write_text("kind: [\n")
    done = play("lint", lint_manifests=[str(SHOP), ""])
    assert done.returncode != 0
    assert "manifests[1] is blank." in " ".join(done.stdout.split())
    assert "other.yml" not in done.stdout


@pytest.mark.parametrize("playbook", ["lint", "plan", "forecast", "assess"])
def test_files_are_judged_whatever_limit_leaves_of_the_hosts(play: t.Any, tmp_path: Path, playbook: str) -> None:
    """Where the limit leaves localhost out, too: nothing that was asked for may be skipped in silence."""
    (tmp_path / "hosts.yml").write_text("all: {hosts: {east: , west: }}\n")
    limited = ("--inventory", "hosts.yml", "--limit", "west")
    options = {f"{playbook}_live": False, f"{playbook}_manifests": [str(SHOP / "nothing-like-this")]}
    done = play(playbook, *limited, **options)
    assert done.returncode != 0, done.stdout
    assert "nothing-like-this" in done.stdout
