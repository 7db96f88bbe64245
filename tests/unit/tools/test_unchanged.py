# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make test` again on the same files: only what files alone decide is left out, and only when it passed on these."""

from __future__ import annotations

import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from testrun import runner, steps, unchanged

GOOD = (sys.executable, "-c", "")
BAD = (sys.executable, "-c", "raise SystemExit(1)")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one file of each kind."""
    root = tmp_path / "checkout"
    root.mkdir()
    for name, text in (("tracked", "1"), ("ignored", "1"), (".gitignore", "ignored\n")):
        (root / name).write_text(text, encoding="utf-8")
    for command in (["init", "--quiet"], ["add", "tracked", ".gitignore"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    monkeypatch.setattr(steps, "LOGS", tmp_path / "logs")
    for module in (unchanged, runner):
        monkeypatch.setattr(module, "ROOT", root)
    monkeypatch.setattr(unchanged, "BIN", root / ".venv" / "bin")
    return root


class Silent:
    def begun(self, outcome: runner.Outcome) -> None:
        pass

    def ended(self, outcome: runner.Outcome) -> None:
        pass


@pytest.fixture
def run(checkout: Path, tmp_path: Path) -> t.Callable[..., dict[str, str]]:
    """Run one step of each kind, and tell what became of it."""

    def once(command: tuple[str, ...] = GOOD) -> dict[str, str]:
        chosen = [
            steps.Step("checks", command, "files"),
            steps.Step("prepares", command, "files", steps.Count.NOTHING),
            steps.Step("cluster", command, "cluster"),
        ]
        done = runner.Run(chosen, Silent(), unchanged.Memory(tmp_path / "passed.json"))
        done.run()
        return {outcome.step.name: outcome.state.value for outcome in done.outcomes}

    return once


def test_only_checks_of_files_are_left_out(run: t.Callable[..., dict[str, str]], checkout: Path) -> None:
    assert run() == {"checks": "passed", "prepares": "passed", "cluster": "passed"}
    assert run() == {"checks": "unchanged", "prepares": "passed", "cluster": "passed"}
    (checkout / "ignored").write_text("2", encoding="utf-8")
    assert run()["checks"] == "unchanged"


@pytest.mark.parametrize("name", ["tracked", "new", ".venv/.stamp-dev"])
def test_another_file_is_noticed(run: t.Callable[..., dict[str, str]], checkout: Path, name: str) -> None:
    run()
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("2", encoding="utf-8")
    assert run()["checks"] == "passed"
    assert run()["checks"] == "unchanged"


def test_a_deleted_file_and_one_that_may_be_executed_now_are_noticed(
    run: t.Callable[..., dict[str, str]], checkout: Path
) -> None:
    run()
    (checkout / "tracked").chmod(0o755)
    assert run()["checks"] == "passed"
    (checkout / "tracked").unlink()
    assert run()["checks"] == "passed"


def test_what_failed_runs_again_although_it_had_passed(run: t.Callable[..., dict[str, str]], checkout: Path) -> None:
    run()
    assert run(BAD)["checks"] == "FAILED", "another command is another step"
    assert run(BAD)["checks"] == "FAILED"
    assert run()["checks"] == "passed"


def test_what_passed_while_somebody_wrote_is_not_remembered(
    run: t.Callable[..., dict[str, str]], checkout: Path
) -> None:
    writes = (sys.executable, "-c", f"open({str(checkout / 'tracked')!r}, 'a').write('x')")
    assert run(writes)["checks"] == "passed"
    assert run(writes)["checks"] == "passed"


def test_half_a_memory_is_none(run: t.Callable[..., dict[str, str]], tmp_path: Path) -> None:
    run()
    (tmp_path / "passed.json").write_text('{"checks": {"files":', encoding="utf-8")
    assert run()["checks"] == "passed"


@pytest.mark.parametrize(("environment", "wanted"), [({}, False), ({"CI": "true"}, True), ({"FRESH": "0"}, False)])
def test_everything_when_it_is_asked_for(environment: dict[str, str], wanted: bool) -> None:
    assert unchanged.everything_wanted(environment) is wanted
