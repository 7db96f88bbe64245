# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for the repository as a whole."""

from __future__ import annotations

import ast
import re
import typing as t
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

PLUGINS = ROOT / "plugins" / "module_utils"
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
#: Rooms that only compute: no Ansible, no Kubernetes, no input or output, no clock.
PURE = ("_model", "_simulation", "_topology", "_istio", "_envoy", "_forecast", "_lint", "_policy", "_drill", "_report")
OURS = "ansible_collections.meshops.locality.plugins.module_utils."
#: What pure code may import; anything else has to be thought about first.
HARMLESS = {
    *(
        "__future__",
        "collections",
        "dataclasses",
        "difflib",
        "enum",
        "fnmatch",
        "functools",
        "hashlib",
        "ipaddress",
        "itertools",
    ),
    *("json", "math", "operator", "re", "statistics", "string", "textwrap", "types", "typing", "urllib.parse"),
    # For timegm: seconds of a moment that stands in a text. It reads no clock.
    "calendar",
    # Only written, never read.
    "xml.etree.ElementTree",
    # Pages and tables are text: io for StringIO, Jinja2 with templates that are part of the code, hashes of the text.
    *("base64", "csv", "hashlib", "io", "jinja2"),
    # For sys.intern: the labels of thousands of pods are few texts.
    "sys",
}
DOORS = {"open", "input", "print", "exec", "eval", "__import__"}


def imported(tree: ast.AST) -> set[str]:
    """Full names of the imported modules, wherever in the file the import stands."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("file", sorted(file for room in PURE for file in (PLUGINS / room).glob("**/*.py")), ids=str)
def test_pure_rooms_import_nothing_that_acts(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    pure = tuple(f"{OURS}{room}" for room in (*PURE, "_errors"))
    for name in imported(tree):
        allowed = name in HARMLESS or name.removesuffix(".abc") in HARMLESS
        assert allowed or name.startswith(tuple(f"{room}." for room in pure)) or name in pure, name
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & DOORS


def test_there_are_files_in_every_pure_room() -> None:
    for room in PURE:
        assert list((PLUGINS / room).glob("*.py")), room


def test_no_two_classes_have_one_name() -> None:
    """A name that stands for two things makes the reader look up which one is meant."""
    files: dict[str, list[str]] = {}
    for file in sorted(PLUGINS.glob("**/*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                files.setdefault(node.name, []).append(str(file.relative_to(PLUGINS)))
    assert {name: defining for name, defining in files.items() if len(defining) > 1} == {}
    assert len(files) > 100


FOLDERS = (ROOT / "plugins", ROOT / "sandbox" / "meshops_sandbox", ROOT / "tests", ROOT / "tools")
#: Words that say nothing of what a variable is; docs/style.md has what to write instead.
VAGUE = {"found", "told", "one", "held", "made", "kept", "counts"}


def test_no_variable_has_a_name_that_says_nothing() -> None:
    wrong = []
    for file in sorted(path for folder in FOLDERS for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.arg) and node.arg in VAGUE:
                wrong.append(f"{file.relative_to(ROOT)}:{node.lineno} {node.arg}")
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in VAGUE:
                wrong.append(f"{file.relative_to(ROOT)}:{node.lineno} {node.id}")
    assert wrong == []


def test_no_variable_of_a_template_has_a_name_that_says_nothing() -> None:
    wrong = []
    files = sorted((PLUGINS / "_report").glob("*_template.py"))
    for file in files:
        text = file.read_text(encoding="utf-8")
        names = [name for loop in re.findall(r"{%-?\s*for\s+(.+?)\s+in\s", text) for name in loop.split(", ")]
        names += [name for macro in re.findall(r"{%-?\s*macro\s+\w+\((.*?)\)", text) for name in macro.split(", ")]
        names += re.findall(r"{{-?\s*(\w+)[.\[]", text)
        assert len(names) > 5 or file.stem == "page_template", file.name
        wrong += [f"{file.name} {name}" for name in names if name in VAGUE]
    assert files
    assert wrong == []


#: In the name of a truth value, "counts" stands for "applies", "takes effect" or "matches".
COUNTS = {"count", "counts", "counting"}


def _truth_values(tree: ast.AST) -> t.Iterator[tuple[int, str]]:
    """Yield (line, name) of each parameter, field and function whose annotation says that it is a bool."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            line, name, kind = node.lineno, node.arg, node.annotation
        elif isinstance(node, ast.AnnAssign):
            line, name, kind = node.lineno, ast.unparse(node.target), node.annotation
        elif isinstance(node, ast.FunctionDef):
            line, name, kind = node.lineno, node.name, node.returns
        else:
            continue
        if isinstance(kind, ast.Name) and kind.id == "bool":
            yield line, name


def test_no_truth_value_counts() -> None:
    wrong = []
    for file in sorted(path for folder in FOLDERS for path in folder.rglob("*.py")):
        for line, name in _truth_values(ast.parse(file.read_text(encoding="utf-8"))):
            if COUNTS & set(re.split(r"\W|_", name)):
                wrong.append(f"{file.relative_to(ROOT)}:{line} {name}")
    assert wrong == []


def test_what_the_architecture_says_where_to_look_exists() -> None:
    """docs/architecture.md answers questions with files; each row has one, and each module's body is among them."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("## Where to look")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+\?) \| (.+) \|$", table, re.MULTILINE)
    assert len(rows) >= 25
    named = []
    for question, cell in rows:
        file_names = re.findall(r"`(_\w+(?:/\w+)*\.py)`", cell)
        assert file_names, f"no file for: {question}"
        named += file_names
    assert [name for name in named if not (PLUGINS / name).is_file()] == []
    bodies = {f"_module/{file.name}" for file in (PLUGINS / "_module").glob("*.py") if file.name != "__init__.py"}
    assert bodies - set(named) == set()
    assert len({question for question, _cell in rows}) == len(rows)


def test_playbooks_and_roles_reach_a_cluster_with_our_own_client_only() -> None:
    """kubernetes.core does not try again, and prints what a library says, tokens included."""
    folders = (ROOT / "playbooks", ROOT / "roles")
    files = sorted(path for folder in folders for path in folder.rglob("*.yml"))
    task = re.compile(r"^[\s-]*(kubernetes\.core|community\.kubernetes|community\.okd)\.\w+:", re.MULTILINE)
    assert [str(path.relative_to(ROOT)) for path in files if task.search(path.read_text(encoding="utf-8"))] == []
    assert task.search("- name: x\n  kubernetes.core.k8s_info:\n")


@pytest.mark.parametrize("role", ROLES)
def test_every_role_says_what_it_takes_and_is_tried_out(role: str) -> None:
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    assert specs["argument_specs"]["main"]["short_description"]
    defaults = ROOT / "roles" / role / "defaults" / "main.yml"
    if defaults.exists():
        known = set(yaml.safe_load(defaults.read_text(encoding="utf-8")) or {})
        assert known <= set(specs["argument_specs"]["main"]["options"]), "a default that no argument documents"
    scenario = ROOT / "extensions" / "molecule" / role
    for name in ("molecule.yml", "converge.yml", "verify.yml"):
        assert (scenario / name).is_file(), f"{role} has no {name} in {scenario.relative_to(ROOT)}"
    assert role in (scenario / "converge.yml").read_text(encoding="utf-8")
