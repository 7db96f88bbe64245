# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make test`: no lane can stop the others, no report counts as success by being broken, no setting leaks in."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from testrun import runner, steps
from testrun.count import count


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(steps, "LOGS", tmp_path)
    return tmp_path


class Silent:
    def begun(self, outcome: runner.Outcome) -> None:
        pass

    def ended(self, outcome: runner.Outcome) -> None:
        pass


def step(name: str, *command: str, **more: t.Any) -> steps.Step:
    return steps.Step(name, command or (sys.executable, "-c", ""), **{"lane": "files", **more})


def test_a_step_that_cannot_even_start_fails_and_nobody_waits_for_it() -> None:
    run = runner.Run(
        [
            step("broken", "/nowhere/program", lane="cluster"),
            step("next", lane="cluster"),
            step("needs", lane="drill", needs=("broken",)),
            step("free"),
        ],
        Silent(),
    )
    run.run()
    states = {outcome.step.name: outcome.state.name for outcome in run.outcomes}
    assert states == {"broken": "FAILED", "next": "PASSED", "needs": "NOT_RUN", "free": "PASSED"}
    assert run.outcomes[0].why.startswith("FileNotFoundError")
    assert [outcome.tally.failed for outcome in run.outcomes] == [1, 0, 1, 0]


def test_lanes_run_at_once_and_the_steps_of_one_after_each_other(tmp_path: Path) -> None:
    """A step tells when it begins and ends; the first of each lane waits for all lanes to have begun."""
    log_file = tmp_path / "events"
    code = """if True:
        import pathlib, sys, time
        with open(sys.argv[1], "a") as events:
            events.write("<")
        while pathlib.Path(sys.argv[1]).read_text().count("<") < int(sys.argv[2]):
            time.sleep(0.01)
        time.sleep(0.2)
        with open(sys.argv[1], "a") as events:
            events.write(">")
    """
    lanes: tuple[steps.Lane, ...] = ("cluster", "drill", "files", "drill", "cluster")
    command = (sys.executable, "-c", code, str(log_file), "3")
    run = runner.Run(
        [step(f"{lane}-{number}", *command, lane=lane, limit=60) for number, lane in enumerate(lanes)], Silent()
    )
    run.run()
    assert [outcome.state.name for outcome in run.outcomes] == ["PASSED"] * 5
    text = log_file.read_text()
    open_now = [text[: end + 1].count("<") - text[: end + 1].count(">") for end in range(10)]
    assert max(open_now) == 3
    assert open_now[-1] == 0


def test_drills_story_and_examples_wait_for_each_other() -> None:
    lanes = {each.name: each.lane for each in steps.all_steps()}
    assert {lanes[name] for name in ("drill", "story", "examples")} == {"drill"}


@pytest.mark.parametrize(
    ("lanes", "nice"),
    [(("cluster", "drill", "files"), (5, 0, 10)), (("cluster", "files"), (0, 10)), (("files",), (0,))],
)
def test_a_lane_leaves_the_processors_to_those_whose_timing_matters_more(
    lanes: tuple[steps.Lane, ...], nice: tuple[int, ...], tmp_path: Path
) -> None:
    code = "import os, pathlib, sys, time; time.sleep(0.2); pathlib.Path(sys.argv[1]).write_text(str(os.nice(0)))"
    command = (sys.executable, "-c", code)
    runner.Run([step(lane, *command, str(tmp_path / lane), lane=lane) for lane in lanes], Silent()).run()
    assert [int((tmp_path / lane).read_text()) for lane in lanes] == [min(19, os.nice(0) + more) for more in nice]


def test_needs_are_in_the_same_lane_or_in_one_that_begins_earlier() -> None:
    """Or a lane would wait for one that waits for its end."""
    everything = steps.all_steps()
    place = {each.name: number for number, each in enumerate(everything)}
    lanes = list(dict.fromkeys(each.lane for each in everything))
    for each in everything:
        for need in each.needs:
            assert place[need] < place[each.name], each.name
            assert lanes.index(everything[place[need]].lane) <= lanes.index(each.lane), each.name


@pytest.mark.parametrize("text", ["", "<testsuites><testcase name='a'/>"])
def test_half_a_report_is_a_failed_test(text: str) -> None:
    half = step("half", count=steps.Count.JUNIT)
    half.reports.mkdir(parents=True)
    (half.reports / "a.xml").write_text("<testsuites><testcase name='good'/></testsuites>")
    (half.reports / "b.xml").write_text(text)
    tally = count(half, 0)
    assert (tally.passed, tally.failed) == (1, 1)
    assert "b.xml is not a whole report" in tally.names[0]


def test_a_failed_test_is_named_with_its_reason() -> None:
    """The log may be gone when somebody reads the last lines of a pipeline."""
    failed = step("failed", count=steps.Count.JUNIT)
    failed.reports.mkdir(parents=True)
    report = """<testsuites><testcase classname='tests.a' name='test_b'>
      <failure message='assert 1 == 2&#10;[+1 more line; full report in element text]'>def test_b():
>    assert f() == 2
E    assert 1 == 2
E     + where 1 = f()

tests/a.py:7: AssertionError</failure></testcase>
      <testcase name='test_c'><error message='{long}'/></testcase></testsuites>"""
    (failed.reports / "a.xml").write_text(report.replace("{long}", 400 * "x" + 1000 * "y" + 800 * "z"))
    first, second = count(failed, 1).names
    assert first == "tests.a::test_b: tests/a.py:7: AssertionError: assert 1 == 2 + where 1 = f()"
    assert second == f"test_c: {400 * 'x'} … {800 * 'z'}"


def test_each_integration_test_is_in_one_of_the_two_steps() -> None:
    expressions = [
        each.command[each.command.index("-m") + 1] for each in steps.all_steps() if each.name.startswith("integration")
    ]
    assert expressions == ["not soak and not alone", "alone and not soak"]


def test_the_callers_settings_stay_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    outside = {
        "KUBECONFIG": "/mine",
        "K8S_AUTH_CONTEXT": "mine",
        "ANSIBLE_STDOUT_CALLBACK": "minimal",
        "MESHOPS_SANDBOX_NAME": "mine",
        "MESHOPS_SANDBOX_NETWORK": "10.1.0.0/16",
        "MESHOPS_TEST_KUBECONFIG": "/mine",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for name, value in outside.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("MESHOPS_SANDBOX_CACHE", "/cache")
    inside = runner.environment()
    assert not set(outside) & set(inside)
    assert inside["LC_ALL"] == "C.UTF-8"
    assert inside["MESHOPS_SANDBOX_CACHE"] == "/cache"


def test_git_reads_a_clone_that_belongs_to_someone_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Somebody")
    # What git's own tests use to stand for another owner.
    environment = {**runner.environment(), "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    command = ["git", "-C", str(steps.ROOT), "ls-files", "Makefile"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Makefile\n"), done.stderr
    name = subprocess.run(["git", "config", "user.name"], env=environment, capture_output=True, text=True, check=False)
    assert name.stdout == "Somebody\n"


def test_the_sandboxes_of_the_tests_are_fresh_and_never_a_persons() -> None:
    ups = [each.command for each in steps.all_steps() if "up" in each.command]
    assert {command[1:-1] for command in ups} == {("up", "--fresh", "--name")}
    assert [command[-1] for command in ups] == ["test", "drill", "story", "examples"]
