# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What documents show below a command is what the command prints. No cluster: these commands need none."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._forecast.forecast_against_probe import (
    forecast_differences,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import Ability, Selection, forecast
from ansible_collections.meshops.locality.plugins.module_utils._module.topology_info import assembled
from ansible_collections.meshops.locality.plugins.module_utils._source import manifests
from ansible_collections.meshops.locality.plugins.module_utils._source.control_plane import WantedControlPlane
from tests.conftest import ROOT, ansible_environment

BLOCK = re.compile(r"^```text\n\$ (?P<command>ansible-playbook [^\n]*)\n(?P<shown>.*?)^```$", re.MULTILINE | re.DOTALL)
CHINESE = ROOT / "README.zh-CN.md"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = [
    (path.name, block["command"], block["shown"])
    for path in DOCUMENTS
    for block in BLOCK.finditer(path.read_text(encoding="utf-8"))
]


def printed(result: t.Mapping[str, t.Any]) -> list[str]:
    """Return the lines of every message of a run, as ansible.posix.json gives it."""
    lines: list[str] = []
    for play in result["plays"]:
        for task in play["tasks"]:
            for host in task["hosts"].values():
                for said in (host.get("text", ""), host.get("msg", "")):
                    lines += said.splitlines() if isinstance(said, str) else [str(line) for line in said]
    return [line.rstrip() for line in lines]


def missing(shown: t.Sequence[str], lines: t.Sequence[str]) -> list[str]:
    """Return what of `shown` is not in `lines` in the same order; `…` alone stands for lines left out."""
    rest = iter(lines)
    return [line for line in shown if line.strip() not in ("", "…") and line not in rest]


def test_documents_show_what_needs_no_cluster() -> None:
    assert {document for document, _command, _shown in EXAMPLES} >= {"README.md", "predict.md"}


@pytest.mark.parametrize(("document", "command", "shown"), EXAMPLES)
def test_a_command_prints_what_the_document_shows(document: str, command: str, shown: str, tmp_path: Path) -> None:
    environment = ansible_environment(tmp_path / "home")
    environment["KUBECONFIG"] = str(tmp_path / "nowhere")
    done = subprocess.run(
        shlex.split(command), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    lines = printed(json.loads(done.stdout))
    assert missing(shown.splitlines(), lines) == [], "\n".join([document, *lines])


def test_a_line_that_is_not_printed_is_noticed() -> None:
    assert missing(["a", "…", "d"], ["a", "b", "d"]) == []
    assert missing(["a", "x", "d"], ["a", "b", "d"]) == ["x", "d"]
    assert missing(["d", "a"], ["a", "d"]) == ["a"]


def structure(document: str) -> list[str]:
    """Return what the README has in every language: levels of headings, links, pictures, code, rows of tables."""
    parts = re.finditer(r"```\w+\n.*?^```$|^#+ |\]\([^)]+\)|^\|", document, re.MULTILINE | re.DOTALL)
    return [each[0] for each in parts if "README" not in each[0]]


def test_the_readme_is_the_same_in_chinese() -> None:
    english, chinese = (path.read_text(encoding="utf-8") for path in (ROOT / "README.md", CHINESE))
    assert structure(chinese) == structure(english)
    assert len(re.findall(r"[\u4e00-\u9fff]", chinese)) > 500


def test_a_readme_with_another_command_is_noticed() -> None:
    assert structure("## a\n```console\n$ b\n```\n") != structure("## a\n```console\n$ c\n```\n")


def shares(cell: str) -> dict[str, int]:
    """Return the percentages of a cell by zone; those that fail have no name."""
    return {zone: int(percent) for zone, percent in re.findall(r"(?:(eu-\w) )?(\d+) %", cell)}


@pytest.mark.parametrize("document", ["README.md", "README.zh-CN.md", "docs/predict.md"])
def test_the_canary_is_forecast_as_shown_and_was_observed_so(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]* \| (eu-\w \d+ %[^|]*) \| (eu-\w \d+ %[^|]*) \|$", text, re.MULTILINE)
    mesh = manifests.read([str(ROOT / "docs" / "examples" / "canary")])
    wanted = Selection(("cart.shop",), clients=("web-*",))
    predicted = forecast(
        assembled(None, mesh, WantedControlPlane(version="1.31"), "").snapshot,
        wanted,
        losses=["zone eu/eu-a", "zone eu/eu-c"],
        faults=("drained",),
        ability=Ability(lose_clients=False),
    )
    (row,) = predicted["rows"]
    states = [("", row["now"]), *((loss["loss"], loss["settled"]) for loss in row["losses"])]
    for (loss, state), (shown, seen) in zip(states, rows, strict=True):
        expected = {place.rpartition("/")[2]: round(100 * share) for place, share in state["localities"].items()}
        lost = round(100 * state["none"])
        assert shares(shown) == (expected | {"": lost} if lost else expected)
        answered = {f"eu/{zone}": 2 * percent for zone, percent in shares(seen).items()}
        probe = {"sent": 200, "failed_requests": answered.pop("eu/", 0), "by_locality": answered, "by_pod": {}}
        assert forecast_differences(predicted, probe, loss) == []
        assert not loss or forecast_differences(predicted, probe) != []


PARTS = sorted(
    {file.stem for kind in ("modules", "filter") for file in (ROOT / "plugins" / kind).glob("*.py")}
    | {folder.name for folder in (ROOT / "roles").iterdir() if folder.is_dir()}
    | {file.stem for file in (ROOT / "playbooks").glob("*.yml")}
)


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_readme_names_every_module_filter_role_and_playbook(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    assert [part for part in PARTS if f"`{part}`" not in text] == []


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_readme_names_no_part_that_does_not_exist(readme: str) -> None:
    """Of the words in code in the last section, each with an underscore is a part of the collection."""
    text = (ROOT / readme).read_text(encoding="utf-8")
    listed = re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text[text.index("`node_topology`") :])
    assert sorted(set(listed) - set(PARTS)) == []


def test_the_tests_that_prove_a_promise_are_there() -> None:
    """The table of docs/development.md: after file::name the names that follow are of the same file."""
    text = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    file, named = Path(), 0
    for path, name in re.findall(r"`(?:(tests/[\w/]+\.py)::)?(test_\w+)`", text):
        file = ROOT / path if path else file
        assert f"def {name}(" in file.read_text(encoding="utf-8"), (file, name)
        named += 1
    assert named > 25
