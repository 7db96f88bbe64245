# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The evidence folder as the module writes and checks it."""

from __future__ import annotations

import json
import os
import subprocess
import typing as t
from pathlib import Path

import pytest

from tests.unit.plugins.module_utils._report.drill_documents import drill

Run = t.Callable[..., dict[str, t.Any]]


@pytest.fixture
def given(tmp_path: Path) -> Path:
    path = tmp_path / "evidence" / "drill.json"
    path.parent.mkdir()
    path.write_text(json.dumps(drill()), encoding="utf-8")
    return path


def test_a_folder_is_written_once_and_verified(run_module: Run, given: Path) -> None:
    assert run_module("drill_report", check=True, path=str(given))["changed"]
    assert [path.name for path in given.parent.iterdir()] == ["drill.json"]
    first = run_module("drill_report", path=str(given))
    assert first["changed"]
    assert first["outcome"] == "SUCCEEDED"
    assert sorted(first["files"]) == sorted(path.name for path in given.parent.iterdir())
    assert "warnings" not in first
    assert "<svg viewBox" in (given.parent / "report.html").read_text(encoding="utf-8").partition("<main>")[2]
    subprocess.run(["sha256sum", "--check", "--strict", "manifest.sha256"], cwd=given.parent, check=True)
    assert not run_module("drill_report", path=str(given.parent))["changed"]
    assert not run_module("drill_report", path=str(given.parent), state="verified")["changed"]


def test_a_changed_file_is_no_evidence(run_module: Run, given: Path) -> None:
    run_module("drill_report", path=str(given))
    journal = given.parent / "journal.jsonl"
    journal.write_text(journal.read_text(encoding="utf-8").replace("Timers armed", "No timers"), encoding="utf-8")
    failed = run_module("drill_report", path=str(given.parent), state="verified")
    assert failed["failed"]
    assert failed["problems"] == [
        "journal.jsonl was changed after the drill.",
        "journal.jsonl: line 4 does not follow from the line before.",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "is no JSON"), ("{}", "has no schema"), ("[]", "has to be of type object")],
)
def test_what_is_no_drill_is_refused(run_module: Run, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "evidence" / "drill.json"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    failed = run_module("drill_report", path=str(path))
    assert failed["failed"]
    assert said in failed["msg"]
    assert [each.name for each in path.parent.iterdir()] == ["drill.json"]


@pytest.mark.parametrize("state", ["written", "verified"])
@pytest.mark.parametrize("special", ["a FIFO", "a device", "MiB more are read"])
def test_what_is_no_file_or_too_large_is_a_sentence(run_module: Run, given: Path, state: str, special: str) -> None:
    """A FIFO is not waited for, a device is not read, and neither is a file that no drill writes."""
    given.unlink()
    if special == "a FIFO":
        os.mkfifo(given)
    elif special == "a device":
        given.symlink_to("/dev/zero")
    else:
        with given.open("wb") as file:
            file.truncate(2**40)
    failed = run_module("drill_report", path=str(given.parent), state=state, timeout=20)
    assert failed["failed"]
    assert special in failed["msg"]
    assert "Traceback" not in failed["msg"]


def test_a_missing_file_is_named(run_module: Run, tmp_path: Path) -> None:
    failed = run_module("drill_report", path=str(tmp_path / "nothing.json"))
    assert failed["failed"]
    assert "nothing.json cannot be read" in failed["msg"]
    failed = run_module("drill_report", path=str(tmp_path), state="verified")
    assert "no manifest.sha256" in failed["msg"]
