# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The versions that are tried, those that docs/install.md speaks of, and what the collection allows."""

from __future__ import annotations

import re
import sys

import pytest
import versions
import yaml

from tests.conftest import ROOT

ROW = re.compile(r"^\| (2\.\d+)[^|]*\|(.*)\|$", re.MULTILINE)


def documented() -> dict[str, dict[str, str]]:
    """{ansible-core: {Python: what is said of this pair}}."""
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    head = next(line for line in text.splitlines() if line.startswith("| ansible-core |"))
    pythons = re.findall(r"3\.\d+", head)
    rows = {core: [cell.strip() for cell in cells.split("|")] for core, cells in ROW.findall(text)}
    return {core: dict(zip(pythons, cells, strict=True)) for core, cells in rows.items()}


def test_the_table_has_every_pair_that_is_tried_and_no_other() -> None:
    pairs = {(core, python) for core, row in documented().items() for python, said in row.items() if said != "–"}
    assert pairs == {(each.core, each.python) for each in versions.CONTROLLERS}


def test_the_collection_asks_for_the_oldest_that_is_tried() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    assert runtime["requires_ansible"] == f">={versions.OLDEST.core}.0"
    dependencies = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["dependencies"]
    assert dependencies["kubernetes.core"] == f">={versions.OLDEST.kubernetes_core}.0.0"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("2.18/3.12", ["2.18 3.12"]), ("2.16", ["2.16 3.10", "2.16 3.11", "2.16 3.12"]), ("2.16/3.14", []), ("3", [])],
)
def test_what_a_name_stands_for(name: str, expected: list[str]) -> None:
    assert [f"{each.core} {each.python}" for each in versions.named(name)] == expected


def test_a_python_that_is_not_here_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    missing = versions.Controller("2.21", "3.99", "6")
    assert versions.available([missing]) == []
    assert "NOT TRIED, there is no Python 3.99 on PATH" in capsys.readouterr().out


def test_the_quick_part_looks_no_further_than_the_first_that_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    missing = versions.Controller("2.16", "3.99", "6")
    here = versions.Controller("2.19", f"{sys.version_info.major}.{sys.version_info.minor}", "6")
    assert versions.available([missing, here, missing], first=True) == [here]
    assert capsys.readouterr().out.count("NOT TRIED") == 1
