# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs a build runs: their output, their failure in one sentence, their end."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from meshops_sandbox.build.commands import CommandFailed, Commands, Interrupted, explain


def alive(pid: str) -> bool:
    """Whether a process runs; a zombie that init has not reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("line", "sentence", "network"),
    [
        ("write /x/y.a: no space left on device", "No space is left on the device while compiling kubernetes", False),
        (
            'go: k8s.io/api@v0.35.3: Get "https://host/x": dial tcp: lookup host: no such host',
            "The network failed while compiling kubernetes: go: k8s.io/api@v0.35.3",
            True,
        ),
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError(...)'",
            "The network failed while compiling kubernetes",
            True,
        ),
        (
            "ERROR: Could not find a version that satisfies the requirement x==1 (from versions: none)",
            "The network failed while compiling kubernetes: ERROR: Could not find a version",
            True,
        ),
        ("E: Temporary failure resolving 'mirror'", "The network failed while compiling kubernetes", True),
        (
            "# k8s.io/pkg/x\npkg/x/x.go:10:2: undefined: y",
            "Failed while compiling kubernetes (exit status 1): # k8s.io/pkg/x | pkg/x/x.go:10:2: undefined: y",
            False,
        ),
        ("", "Failed while compiling kubernetes (exit status 1): no output", False),
    ],
)
def test_failure_becomes_one_sentence(line: str, sentence: str, network: bool) -> None:
    error = explain("compiling kubernetes", line.split("\n"), Path("/logs/k.log"), 1)
    assert str(error).startswith(sentence)
    assert "/logs/k.log" in str(error)
    assert "\n" not in str(error)
    assert error.network is network


def test_killed_program_is_told_apart() -> None:
    error = explain("compiling kubernetes", ["..."], Path("/k.log"), -9)
    assert "lack of memory" in str(error)


def test_output_goes_line_by_line_to_the_caller_and_whole_to_the_log(tmp_path: Path) -> None:
    log, seen = tmp_path / "log", list[str]()
    tail = Commands().run(
        ["sh", "-c", "echo one; echo two >&2; echo three"], what="saying", log=log, on_line=seen.append, keep=2
    )
    assert seen == ["one", "two", "three"]
    assert tail == ["two", "three"]
    assert log.read_text().endswith("one\ntwo\nthree\n")
    assert "echo one" in log.read_text().splitlines()[0]


def test_only_telling_lines_are_quoted(tmp_path: Path) -> None:
    script = "echo x.go:1: bad; seq 1000; exit 1"
    with pytest.raises(CommandFailed, match=r"\(exit status 1\): x.go:1: bad \(log"):
        Commands().run(
            ["sh", "-c", script], what="compiling", log=tmp_path / "log", telling=lambda line: " " in line, keep=5
        )


def test_network_is_tried_three_times_and_other_failures_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands()
    monkeypatch.setattr(commands, "pause", lambda _seconds: None)
    count = tmp_path / "count"
    with pytest.raises(CommandFailed, match="network failed while fetching"):
        commands.run_with_network(
            ["sh", "-c", f"echo x >> {count}; echo dial tcp: i/o timeout; exit 1"],
            what="fetching",
            log=tmp_path / "log",
        )
    assert len(count.read_text().split()) == 3
    with pytest.raises(CommandFailed, match=r"Failed while fetching \(exit status 3\): broken"):
        commands.run_with_network(
            ["sh", "-c", f"echo x >> {count}; echo broken; exit 3"], what="fetching", log=tmp_path / "log"
        )
    assert len(count.read_text().split()) == 4


def test_way_is_cleared_before_another_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands, cleared = Commands(), list[str]()
    monkeypatch.setattr(commands, "pause", lambda _seconds: None)
    place = tmp_path / "place"

    def clear() -> None:
        cleared.append("cleared")
        place.rmdir()

    script = f"mkdir {place} || exit 9; echo could not connect to mirror; exit 1"
    with pytest.raises(CommandFailed, match="network failed while fetching"):
        commands.run_with_network(["sh", "-c", script], what="fetching", log=tmp_path / "log", again=clear)
    assert cleared == ["cleared", "cleared"]


def test_network_that_comes_back_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands()
    monkeypatch.setattr(commands, "pause", lambda _seconds: None)
    flag = tmp_path / "flag"
    script = f"test -e {flag} && echo fetched && exit 0; touch {flag}; echo connection refused; exit 1"
    assert commands.run_with_network(["sh", "-c", script], what="fetching", log=tmp_path / "log") == ["fetched"]


def test_stop_ends_a_program_with_its_children_and_lets_nothing_start(tmp_path: Path) -> None:
    commands, outcome = Commands(), []
    child = tmp_path / "child"

    def work() -> None:
        try:
            commands.run(["sh", "-c", f"sleep 60 & echo $! > {child}; wait"], what="waiting", log=tmp_path / "log")
        except BaseException as error:
            outcome.append(type(error))

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 5
    while not (child.exists() and child.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    commands.stop()
    thread.join(5)
    assert outcome == [Interrupted]
    deadline = time.monotonic() + 5
    while alive(child.read_text().strip()):
        assert time.monotonic() < deadline, "a grandchild outlived the build"
        time.sleep(0.02)
    with pytest.raises(Interrupted):
        commands.run(["true"], what="starting", log=tmp_path / "log")
