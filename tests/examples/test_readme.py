# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of the README and of docs/own-cluster.md on a real mesh, from the tarball in an empty environment."""

from __future__ import annotations

import os
import re
import typing as t
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.documents import commands, files
from tests.installed import Shell

README = (ROOT / "README.md").read_text(encoding="utf-8")
OWN = (ROOT / "docs" / "own-cluster.md").read_text(encoding="utf-8")
#: The names that readers replace by their own, and those of the sandbox.
NODES = {"node-1": "beijing", "node-2": "tianjin", "node-3": "shenyang", "node-4": "guangzhou"}


@pytest.fixture
def run(shell: Shell, tmp_path: Path, kubeconfig: Path) -> t.Callable[[str], str]:
    for name, text in {**files(README), **files(OWN)}.items():
        written = re.sub("|".join(NODES), lambda match: NODES[match[0]], text)
        (tmp_path / name).write_text(written, encoding="utf-8")
    return lambda command: shell(command, env={"KUBECONFIG": str(kubeconfig)})


def test_the_way_on_ones_own_cluster_works_in_its_order(run: t.Callable[[str], str]) -> None:
    *steps, teardown = commands(OWN)
    assert steps
    assert teardown.endswith("meshops.locality.teardown")
    live = [command for command in commands(README) if command.startswith("ansible-playbook -i localhost, ")]
    assert len(live) == 2
    try:
        for command in steps:
            run(command)
        seen = [run(command) for command in live]
    finally:
        run(teardown)
    assert "helloworld" in seen[0]
    assert "priority" in seen[1]
    assert "rack-2" in seen[1]


def test_the_two_commands_are_there() -> None:
    assert all(f"$ {command}\n" in README for command in ("make demo", "make test"))
    assert os.access(ROOT / "Makefile", os.R_OK)
