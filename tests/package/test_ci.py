# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of docs/ci.md, on good and on bad manifests, from the built tarball in an empty virtual environment."""

from __future__ import annotations

import json
import shutil
import typing as t
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from tests.conftest import ROOT
from tests.documents import blocks
from tests.installed import Shell

#: What the fixtures did already, or programs that these tests do not have.
DONE = ("pip install ", "ansible-galaxy ", "kubectl ")
EXAMPLES = ROOT / "docs" / "examples" / "tutorial"


def snippets() -> dict[str, t.Any]:
    texts = blocks((ROOT / "docs" / "ci.md").read_text(encoding="utf-8"), "yaml")
    return {text.splitlines()[0].removeprefix("# "): yaml.safe_load(text) for text in texts}


def commands() -> list[tuple[str, str]]:
    """(file, command) of everything that a snippet runs and the fixtures did not."""
    named_lines = []
    for name, snippet in snippets().items():
        for job in [*snippet.get("jobs", {}).values(), *([snippet["locality"]] if "locality" in snippet else [])]:
            lines = [*job.get("script", ()), *(step["run"] for step in job.get("steps", ()) if "run" in step)]
            named_lines += [(name, line) for line in lines if not line.startswith(DONE)]
    hook = snippets()[".pre-commit-config.yaml"]["repos"][0]["hooks"][0]
    offered = {
        each["id"]: each for each in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    }
    named_lines.append(("pre-commit", " ".join([offered[hook["id"]]["entry"], *hook["args"]])))
    return named_lines


def lay_out(folder: Path, rule: str) -> None:
    (folder / "manifests").mkdir()
    (folder / "clusters" / "production").mkdir(parents=True)
    for name in ("mesh", rule):
        shutil.copy(EXAMPLES / f"{name}.yml", folder / "manifests")
        with (folder / "rendered.yml").open("a", encoding="utf-8") as file:
            file.write((EXAMPLES / f"{name}.yml").read_text(encoding="utf-8"))
    application = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": "shop"},
        "spec": {},
    }
    (folder / "clusters" / "production" / "shop.yml").write_text(yaml.safe_dump(application), encoding="utf-8")


def test_every_snippet_has_a_command() -> None:
    assert {name for name, _command in commands()} >= {*snippets()} - {".pre-commit-config.yaml"}


@pytest.mark.parametrize(("name", "command"), commands())
def test_a_bad_rule_fails_the_build_and_the_end_says_what_to_do(
    shell: Shell, tmp_path: Path, name: str, command: str
) -> None:
    lay_out(tmp_path, "as-written")
    printed = shell(command, rc=2)
    assert "fix: maxEjectionPercent: 75" in printed
    end = printed[printed.rindex("fatal: ") :]
    assert "ML202" in end
    assert "Each is printed above with its fix." in end
    for written in tmp_path.glob("locality.*"):
        assert "ML202" in written.read_text(encoding="utf-8"), name


def test_a_good_rule_passes_and_writes_the_reports(shell: Shell, tmp_path: Path) -> None:
    lay_out(tmp_path, "completed")
    (command,) = (command for name, command in commands() if name == ".gitlab-ci.yml")
    shell(command)
    problems = json.loads((tmp_path / "locality.json").read_text(encoding="utf-8"))
    assert all(set(each) == {"description", "check_name", "fingerprint", "severity", "location"} for each in problems)
    assert not [each for each in problems if each["severity"] == "critical"]
    assert int(ElementTree.parse(tmp_path / "locality.xml").getroot()[0].get("failures", "1")) == 0
