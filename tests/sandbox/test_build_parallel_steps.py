# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lanes: order, needs, the first failure, interruption; and how the plain report tells of it."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import textwrap
import threading
import time
import typing as t
from pathlib import Path

import psutil
import pytest

from meshops_sandbox.build import versions
from meshops_sandbox.build.artifacts import BuildError
from meshops_sandbox.build.commands import Commands
from meshops_sandbox.build.parallel_steps import Task, execute
from meshops_sandbox.build.report import PlainReport, Step


def alive(pid: str) -> bool:
    """Whether a process runs; a zombie that init has not reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def quiet() -> PlainReport:
    return PlainReport(io.StringIO())


def task(key: str, lane: str, action: t.Callable[[], object], *needs: str) -> Task:
    return Task(Step(key, key, 1), lane, lambda _advanced: t.cast(None, action()), needs)


def test_lanes_run_at_once_and_needs_are_kept() -> None:
    order: list[str] = []
    both = threading.Barrier(2, timeout=5)

    def meet(name: str) -> None:
        both.wait()
        order.append(name)

    execute(
        [
            task("a", "one", lambda: meet("a")),
            task("b", "two", lambda: meet("b")),
            task("last", "three", lambda: order.append("last"), "a", "b", "built-long-ago"),
            task("after", "three", lambda: order.append("after")),
        ],
        Commands(),
        quiet(),
    )
    assert sorted(order[:2]) == ["a", "b"]
    assert order[2:] == ["last", "after"]


def test_first_failure_ends_the_programs_of_other_lanes_and_is_raised(tmp_path: Path) -> None:
    commands, ran = Commands(), []

    def fail() -> None:
        time.sleep(0.2)
        raise BuildError("The wheel is broken.")

    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(BuildError, match="The wheel is broken"):
        execute(
            [
                task("long", "one", lambda: commands.run(["sleep", "60"], what="x", log=tmp_path / "log")),
                task("next", "one", lambda: ran.append("next")),
                task("bad", "two", fail),
                task("needs-bad", "three", lambda: ran.append("needs-bad"), "bad"),
            ],
            commands,
            quiet(),
        )
    assert set(psutil.Process().children(recursive=True)) <= before, "the long one was not ended"
    assert ran == []


def test_full_disk_in_our_own_code_is_a_sentence_too() -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device", "/cache/x")

    with pytest.raises(BuildError, match=r"The build failed: No space left on device \(/cache/x\)\."):
        execute([task("a", "one", fail)], Commands(), quiet())


_BUILD = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from meshops_sandbox.build.cache import Cache
    from meshops_sandbox.build.commands import Commands
    from meshops_sandbox.build.parallel_steps import Task, execute
    from meshops_sandbox.build.report import PlainReport, Step
    cache, commands = Cache(Path(sys.argv[1])), Commands()
    def make(_advanced):
        with cache.making(cache.entry("thing", "1")) as scratch:
            commands.run(["sh", "-c", "sleep 300 & echo $! > $0.part; mv $0.part $0; wait", sys.argv[2]],
                         what="making", log=cache.log("thing"))
    execute([Task(Step("thing", "thing", 1), "one", make)], commands, PlainReport())
    """
)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_interrupted_build_leaves_no_process_and_nothing_half_made(tmp_path: Path, number: int, status: int) -> None:
    child = tmp_path / "child"
    build = subprocess.Popen(
        [sys.executable, "-c", _BUILD, str(tmp_path / "cache"), str(child)],
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": str(versions.SANDBOX), "PATH": "/usr/bin:/bin"},
    )
    try:
        deadline = time.monotonic() + 10
        while not child.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        build.send_signal(number)
        assert build.wait(timeout=15) == status
    finally:
        build.kill()
    deadline = time.monotonic() + 5
    while alive(child.read_text().strip()):
        assert time.monotonic() < deadline, "a program outlived its build"
        time.sleep(0.02)
    assert list((tmp_path / "cache" / "work").iterdir()) == []
    assert list((tmp_path / "cache" / "entries").iterdir()) == []


def test_plain_report_says_what_is_built_how_long_and_what_is_left() -> None:
    stream, now = io.StringIO(), [0.0]
    report = PlainReport(stream, interval=10, clock=lambda: now[0])
    report.planned([Step("a", "Go", 10), Step("b", "Istio", 230)])
    report.started("b")
    report.advanced("b", "pkg/one", 0.1)
    now[0] = 12
    report.advanced("b", "pkg/two", 0.5)
    now[0] = 20
    report.finished("b", 20.0)
    report.skipped("a", "it is there")
    text = stream.getvalue()
    assert "2 steps to build, about 4 minutes of work on two cores: Go, Istio" in text
    assert "Istio: started (about 230 s)" in text
    assert "pkg/one" not in text
    assert "[  12.0 s] Istio:  50% pkg/two (12 s so far)" in text
    assert "[  20.0 s] Istio: done in 20.0 s; left: Go" in text
    assert "Go: skipped, it is there" in text
