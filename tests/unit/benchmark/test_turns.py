# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmarks measure what they say, in turns, and sum it up rightly."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import click
import pytest

from tests.benchmark.turns import Cost, in_turns, measure, summary

MB = 1024 * 1024


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def test_memory_of_one_command_is_measured_whatever_ran_before_it() -> None:
    large = measure(python(f"x = b'x' * {200 * MB}"))
    small = measure(python("pass"))
    assert large.memory > 200 * MB > 100 * MB > small.memory


def test_memory_of_whoever_measures_does_not_count() -> None:
    ballast = bytearray(b"x") * (300 * MB)
    small = measure(python("pass"))
    assert len(ballast) > 200 * MB > 100 * MB > small.memory


def test_memory_of_a_child_of_the_command_counts() -> None:
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', 'x = b\"x\" * {200 * MB}'])"
    assert measure(python(child)).memory > 200 * MB


def test_waiting_takes_time_and_no_processor() -> None:
    waiting = measure(python("import time; time.sleep(0.5)"))
    assert waiting.seconds >= 0.5
    working = measure(python("sum(range(20_000_000))"))
    assert working.cpu > waiting.cpu


def test_a_command_that_fails_is_told_with_its_own_words() -> None:
    with pytest.raises(click.ClickException, match="ended with 3:\nno cluster"):
        measure(python("import sys; sys.stderr.write('no cluster'); sys.exit(3)"))


def test_a_command_that_a_signal_ends_has_failed() -> None:
    with pytest.raises(click.ClickException, match="ended with -9:"):
        measure(python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))


def test_a_command_that_does_not_exist_is_told() -> None:
    with pytest.raises(click.ClickException, match=r"(?s)no-such-command.* ended with .*No such file"):
        measure(["no-such-command"])


def test_the_command_sees_the_environment_it_is_given() -> None:
    measure(python("import os; assert os.environ['PYTHONPATH'] == 'here'"), {"PYTHONPATH": "here"})


def test_both_run_in_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []

    def run(name: str, seconds: float) -> Cost:
        order.append(name)
        return Cost(seconds, 1, 1)

    seen: list[int] = []
    pairs = in_turns([lambda: run("a", 1), lambda: run("b", 2)], 3, lambda number, _costs: seen.append(number))
    assert "".join(order) == "baabbaab"
    assert seen == [1, 2, 3]
    assert [(cost.seconds, two.seconds) for cost, two in pairs] == [(1, 2)] * 3


def test_each_of_several_begins_once() -> None:
    order: list[str] = []

    def run(name: str) -> Cost:
        order.append(name)
        return Cost(ord(name), 1, 1)

    rounds = in_turns([functools.partial(run, name) for name in "abc"], 3, lambda _number, _costs: None)
    assert "".join(order) == "bca" + "cab" + "abc" + "bca"
    assert [[chr(int(cost.seconds)) for cost in costs] for costs in rounds] == [["a", "b", "c"]] * 3


def test_the_ratio_is_that_of_one_round_not_that_of_the_medians() -> None:
    pairs = [
        (Cost(1, 1, 100), Cost(2, 1, 50)),
        (Cost(10, 1, 100), Cost(5, 1, 50)),
        (Cost(4, 1, 100), Cost(4, 1, 50)),
    ]
    summaries = summary(pairs)
    assert summaries["seconds"] == {"base": 4, "other": 4, "ratio": 1, "lowest": 0.5, "highest": 2}
    assert summaries["memory"]["ratio"] == 0.5


def test_any_run_is_compared_with_the_first() -> None:
    rounds = [(Cost(1, 2, 1), Cost(1, 1, 1), Cost(1, 6, 1))]
    assert summary(rounds, 2)["cpu"] == {"base": 2, "other": 6, "ratio": 3, "lowest": 3, "highest": 3}


def test_a_command_reads_its_question(tmp_path: Path) -> None:
    (tmp_path / "question").write_text("asked")
    measure(python("import sys; assert sys.stdin.read() == 'asked'"), question=tmp_path / "question")
    measure(python("import sys; assert sys.stdin.read() == ''"))
