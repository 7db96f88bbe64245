# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences have codes: each code that the plugins name has a text with the parameters that it gets."""

from __future__ import annotations

import ast
import json
import re
import string
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.meshops.locality.plugins.module_utils._forecast import request_errors
from ansible_collections.meshops.locality.plugins.module_utils._model import (
    assumptions,
    not_judged,
    problems,
    unchecked,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.coded_sentence import as_json
from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_queries import ask
from tests.conftest import BIN, ROOT, ansible_environment
from tests.unit.plugins.module_utils._forecast.tutorial_mesh import rule, snapshot

#: Function that makes a sentence → its table.
TABLES: t.Mapping[str, t.Mapping[str, str]] = {
    "assumption": assumptions.TEXTS,
    "problem": problems.TEXTS,
    "request_error": request_errors.TEXTS,
    "unchecked": unchecked.TEXTS,
    "unjudged": {code: f"{what} {not_judged.HIDDEN[code]}" for code, what in not_judged.TEXTS.items()},
}


def _named(function: str) -> t.Iterator[tuple[str, frozenset[str]]]:
    """Yield (code, names of its parameters) of each call of a function that makes a sentence of a code."""
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name not in (function, "wrong" if function == "problem" else ""):
                continue
            codes = [
                constant.value
                for argument in node.args
                for constant in ast.walk(argument)
                if isinstance(constant, ast.Constant)
            ]
            given = frozenset(str(keyword.arg) for keyword in node.keywords if keyword.arg)
            yield from ((str(code), given) for code in codes if any(code in table for table in TABLES.values()))


@pytest.mark.parametrize("function", TABLES)
def test_each_code_is_used_with_the_parameters_of_its_text(function: str) -> None:
    table = TABLES[function]
    used = set(_named(function))
    assert {code for code, _given in used} == set(table)
    wanted = {
        code: {name for _text, name, _spec, _kind in string.Formatter().parse(table[code]) if name} for code in table
    }
    assert [(code, set(given), wanted[code]) for code, given in used if given != wanted[code]] == []


def test_an_assumption_says_the_same_to_programs_and_to_people() -> None:
    entry = assumptions.assumption("merge-window", seconds=1.0)
    assert entry.as_json() == {
        "code": "merge-window",
        "text": "The merge window is 1 s; no other update of the cluster opened one just before.",
        "parameters": {"seconds": "1"},
    }
    assert len(as_json([entry, assumptions.assumption("merge-window", seconds=1.0)])) == 1


def test_a_version_that_is_not_compared_is_assumed_with_its_parameters() -> None:
    forecast = ask("forecast", snapshot(rule()), {"istio_version": "1.28"})
    assumed = [entry for entry in forecast["assumptions"] if entry["code"] == "istio-version-not-compared"]
    assert [entry["parameters"] for entry in assumed] == [{"version": "1.28"}]


def test_a_problem_names_object_and_field_in_its_text() -> None:
    entry = problems.problem("missing-name", "Pod shop/[0]", "metadata.name")
    assert entry.as_json() == {
        "code": "missing-name",
        "where": "Pod shop/[0]",
        "path": "metadata.name",
        "text": "Pod shop/[0]: metadata.name: is missing, so the object is left out",
        "parameters": {},
    }
    twice = problems.problem("key-twice", "shop.yml:3", key="spec")
    assert (twice.code, twice.parameters) == ("key-twice", {"key": "spec"})


def test_what_is_not_judged_says_the_same_to_programs_and_to_people() -> None:
    entry = not_judged.unjudged("kind-not-read", 2, kind="EnvoyFilter", objects="EnvoyFilter a/b", effect="changes")
    assert entry.as_json() == {
        "code": "kind-not-read",
        "what": "EnvoyFilter is not read: EnvoyFilter a/b.",
        "hides": "changes",
        "count": 2,
        "parameters": {"kind": "EnvoyFilter", "objects": "EnvoyFilter a/b", "effect": "changes"},
    }


@pytest.mark.parametrize(
    ("function", "title"), [("assumption", "Assumptions"), ("problem", "Problems"), ("request_error", "Errors")]
)
def test_the_codes_are_documented(function: str, title: str) -> None:
    assert _documented(title) == TABLES[function]


def test_the_codes_of_what_is_not_judged_are_documented() -> None:
    assert _documented("Not judged") == {
        code: f"{what} | {not_judged.HIDDEN[code]}" for code, what in not_judged.TEXTS.items()
    }


def test_the_codes_of_what_is_not_checked_and_not_predicted_are_documented() -> None:
    skipped = _documented("Not predicted")
    assert {"istiod-crashes", "passed-through"} <= set(skipped)
    assert {**_documented("Not checked"), **skipped} == unchecked.TEXTS


def test_the_example_of_the_document_looks_at_codes(tmp_path: Path) -> None:
    """It passes for a compared version of Istio, and fails for another one."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / "codes.md").read_text(encoding="utf-8"), re.M | re.S)
    (tasks,) = [yaml.safe_load(block) for block in blocks]
    compared, old = (ask("forecast", snapshot(rule()), {"istio_version": version}) for version in ("1.31", "1.28"))
    refused = {"ansible.builtin.assert": {"that": "ansible_failed_result.assertion is search('not-compared')"}}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [
            *({**task, "vars": {"forecast": compared}} for task in tasks),
            {"block": [*tasks, {"ansible.builtin.meta": "end_host"}], "vars": {"forecast": old}, "rescue": [refused]},
            {"ansible.builtin.debug": {"msg": "the old version was refused"}},
        ],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    done = subprocess.run(
        [str(BIN / "ansible-playbook"), "play.yml"],
        cwd=tmp_path,
        env=ansible_environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the old version was refused" in done.stdout


def _documented(title: str) -> dict[str, str]:
    """Return code → sentence of a section's table in docs/codes.md."""
    text = (ROOT / "docs" / "codes.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", section, re.MULTILINE))
