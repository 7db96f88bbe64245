# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A blank variable that says what is read is refused by every playbook that reads manifests: it means no clusters."""

from __future__ import annotations

import json
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.meshops.locality.plugins.action.known_variables import blank_inputs, wrong_config_map
from tests.conftest import ROOT, ansible_environment

Json = dict[str, t.Any]


@pytest.mark.parametrize("blank", ["", " ", ",", " , ", None, [], ["", " "], {}])
@pytest.mark.parametrize("what", ["manifests", "snapshot", "definitions"])
def test_a_blank_input_is_refused(what: str, blank: t.Any) -> None:
    (sentence,) = blank_inputs("lint_", {f"lint_{what}": blank})
    assert sentence.startswith(f"lint_{what} is blank.")
    assert blank_inputs("lint_", {f"lint_{what}": blank, "lint_live": " "}) == [sentence]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"lint_manifests": "", "lint_live": "true"},
        {"lint_manifests": [], "lint_live": False},
        {"lint_manifests": "a,"},
        {"lint_manifests": ["", "a"]},
        {"lint_definitions": [{"kind": "Service"}]},
        {"plan_manifests": ""},
    ],
)
def test_an_input_that_is_not_blank_or_has_its_word_is_not(variables: Json) -> None:
    assert blank_inputs("lint_", variables) == []


@pytest.mark.parametrize("value", ["ns/", "/name", "name", "a/b/c", " /x", "NS/name", "a/..", 3, ["a/b"]])
def test_where_reports_are_published_is_a_namespace_and_a_name(value: t.Any) -> None:
    (sentence,) = wrong_config_map(value)
    assert "has to be NAMESPACE/NAME" in sentence


def test_a_blank_config_map_publishes_nothing() -> None:
    assert [wrong_config_map(value) for value in ("", " ", None, "shop/reports")] == [[]] * 4


@pytest.mark.parametrize(
    ("playbook", "variables"),
    [
        ("lint", {"lint_manifests": ""}),
        ("plan", {"plan_snapshot": ""}),
        ("forecast", {"forecast_manifests": " "}),
        ("assess", {"assess_manifests": "{{ nothing }}", "nothing": ""}),
        ("upgrade", {"upgrade_to": "1.31", "upgrade_definitions": []}),
    ],
)
def test_a_playbook_ends_before_it_reads_a_cluster(playbook: str, variables: Json, tmp_path: Path) -> None:
    environment = ansible_environment(tmp_path / "home")
    environment["KUBECONFIG"] = str(tmp_path / "nowhere")
    command = ["ansible-playbook", "-i", "cluster,", f"meshops.locality.{playbook}", "-e", json.dumps(variables)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode != 0
    assert f"{playbook}_" in done.stdout
    assert " is blank. Give it a value" in done.stdout
    assert "nowhere" not in done.stdout


@pytest.mark.parametrize("playbook", ["lint", "forecast", "assess", "drill"])
def test_where_reports_go_is_looked_at_before_anything_else(playbook: str, tmp_path: Path) -> None:
    environment = ansible_environment(tmp_path / "home")
    environment["KUBECONFIG"] = str(tmp_path / "nowhere")
    given = json.dumps({"publish_config_map": "shop/"})
    command = ["ansible-playbook", "-i", "cluster,", f"meshops.locality.{playbook}", "-e", given]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode != 0
    assert "publish_config_map is 'shop/', and has to be NAMESPACE/NAME. The name is empty." in done.stdout, done.stdout
    assert "nowhere" not in done.stdout
