# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command of the README that needs no cluster, from the built tarball in an empty virtual environment.

The live ones: tests/examples/test_readme.py.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.documents import commands, missing, shown
from tests.installed import Shell

README = (ROOT / "README.md").read_text(encoding="utf-8")
LOOK = (
    "ansible-playbook -i localhost, look.yml -e namespace=sample -e client=app=sleep -e service=helloworld -e port=5000"
)
#: What the fixtures do instead, or tests/examples, or .ci/run.
ELSEWHERE = {
    # The fixture `controller`: the same programs and kubernetes.core without the other 500 MB of `ansible`.
    "python3 -m venv mesh && . mesh/bin/activate",
    "pip install ansible kubernetes",
    # Galaxy cannot be reached by the tests: the fixture `installed` runs the line for a tarball.
    "ansible-galaxy collection install meshops.locality",
    "ansible-galaxy collection install --offline meshops-locality-0.1.0.tar.gz",
    # tests/examples/test_readme.py
    "ansible-playbook -i localhost, meshops.locality.assess",
    LOOK,
    # The two commands: tools/run_tests.py and .ci/run run them, a test inside them cannot.
    "make demo",
    "make test",
}
FOLDER = "cd ~/.ansible/collections/ansible_collections/meshops/locality"
LINT = "ansible-playbook meshops.locality.lint -e lint_manifests=manifests/"


def test_every_command_is_run_by_some_test() -> None:
    assert set(commands(README)) == ELSEWHERE | {FOLDER, LINT}


def test_the_name_of_the_tarball_is_the_one_that_is_built(tarball: Path) -> None:
    assert f"install --offline {tarball.name}" in README


@pytest.mark.parametrize(("rule", "rc"), [("completed", 0), ("as-written", 2)])
def test_a_folder_is_linted(shell: Shell, tmp_path: Path, rule: str, rc: int) -> None:
    (tmp_path / "manifests").mkdir()
    for name in ("mesh", rule):
        shutil.copy(ROOT / "docs" / "examples" / "tutorial" / f"{name}.yml", tmp_path / "manifests")
    assert ("ML202" in shell(LINT, rc=rc)) == (rc == 2)


@pytest.mark.parametrize(("command", "lines"), shown(README))
def test_a_command_prints_what_the_readme_shows(shell: Shell, command: str, lines: list[str]) -> None:
    printed = shell(f"{FOLDER} && {{ {command} || test $? = 2; }}")
    assert missing(lines, printed.splitlines()) == [], printed
