# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of the README is run as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import typing as t
from pathlib import Path

import pytest

from tests.conftest import ROOT, ansible_environment

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
#: The two commands: tools/run_tests.py and .ci/run run them, a test inside them cannot.
OURSELVES = ("make demo", "make test")


def blocks(language: str) -> list[str]:
    return [found["text"] for found in BLOCK.finditer(README) if found["language"] == language]


def files() -> dict[str, str]:
    """Return the files among the examples by the name in their first comment."""
    named = {}
    for text in [*blocks("yaml"), *blocks("ini")]:
        first = text.splitlines()[0]
        assert re.fullmatch(r"# [\w.-]+\.(yml|cfg)", first), f"This example does not say which file it is: {first}"
        named[first[2:]] = text
    return named


def commands() -> list[str]:
    lines = [line for text in blocks("console") for line in text.splitlines()]
    assert all(line.startswith("$ ") for line in lines), "a console block holds only commands"
    return [line[2:] for line in lines if line[2:] not in OURSELVES]


@pytest.fixture
def run(tmp_path: Path, kubeconfig: Path) -> t.Callable[[str], str]:
    for name, text in files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    environment = ansible_environment(
        tmp_path / "home", {"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default", "PYTHONPATH": ""}
    )
    environment["KUBECONFIG"] = str(kubeconfig)
    environment["ANSIBLE_CONFIG"] = str(tmp_path / "ansible.cfg")

    def shell(command: str) -> str:
        words = shlex.split(command)
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return shell


def test_the_commands_of_the_readme_work_in_their_order(run: t.Callable[[str], str]) -> None:
    told = commands()
    assert told, "the README shows no command"
    *steps, teardown = told
    assert teardown.endswith("meshops.locality.teardown")
    try:
        for command in steps:
            run(command)
        looked = run("ansible-playbook -i inventory.yml look.yml")
    finally:
        run(teardown)
    assert "priority" in looked
    assert "tianjin" in looked


def test_the_links_of_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!http)([^)#]+)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_two_commands_are_there() -> None:
    assert all(f"$ {command}\n" in README for command in OURSELVES)
    assert os.access(ROOT / "Makefile", os.R_OK)
