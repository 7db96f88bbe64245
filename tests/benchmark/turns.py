# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What commands cost, run in turns: their ratio says something on any machine, however busy; seconds do not."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import click

#: Runs argv[2:] and writes what it cost as JSON to the file descriptor argv[1]. A small process, because Linux carries
#: the peak of a parent's memory over vfork and exec into the child's ru_maxrss (linux fs/exec.c, exec_mmap:
#: setmax_mm_hiwater_rss of the memory that is left behind).
_MEASURING = """
import json, os, resource, subprocess, sys, time
begun = time.monotonic()
try:
    status, why = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL).returncode, ""
except OSError as error:
    status, why = -1, str(error)
seconds = time.monotonic() - begun
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
told = {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss * 1024}
with open(int(sys.argv[1]), "w") as pipe:
    json.dump({"cost": told, "status": status, "why": why}, pipe)
"""


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one run: seconds by the clock, seconds of processor, bytes of memory of its largest process at its peak."""

    seconds: float
    cpu: float
    memory: int


def measure(
    command: t.Sequence[str], environment: t.Mapping[str, str] | None = None, question: Path | None = None
) -> Cost:
    """Run `command` and return what it cost; its output is thrown away. Raises click.ClickException when it fails.

    `environment` is added to this process' own; `question`: what it reads from stdin (nothing).

    Linux reports for a child its own peak (ru_maxrss) and that of the largest process it waited for, at least the
    memory of the process that started it: that of a bare Python.
    """
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as said, open(reading) as answer, open(question or os.devnull) as asked:
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _MEASURING, str(writing), *command],
                stdin=asked,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env={**os.environ, **(environment or {})},
                pass_fds=[writing],
            )
        finally:
            os.close(writing)
        text = answer.read()
        process.wait()
        measured = json.loads(text) if text else {"status": process.returncode, "why": ""}
        if measured["status"]:
            said.seek(0)
            why = measured["why"] or said.read().decode(errors="replace")[-2000:]
            raise click.ClickException(f"{' '.join(command)} ended with {measured['status']}:\n{why}")
    return Cost(**measured["cost"])


def in_turns(
    runs: t.Sequence[t.Callable[[], Cost]], rounds: int, progress: t.Callable[[int, tuple[Cost, ...]], None]
) -> list[tuple[Cost, ...]]:
    """Return what each of the runs cost in each round, after one round that does not count. Who begins changes with
    every round: what grows slower or faster meanwhile is the same for all."""
    results = []
    for number in range(rounds + 1):
        order = [(number + 1 + index) % len(runs) for index in range(len(runs))]
        costs = {index: runs[index]() for index in order}
        turn = tuple(costs[index] for index in range(len(runs)))
        if number:
            results.append(turn)
            progress(number, turn)
    return results


def summary(rounds: t.Sequence[tuple[Cost, ...]], other: int = 1) -> dict[str, dict[str, float]]:
    """Return for seconds, cpu and memory of the first run (base) and of run number `other`: the medians of both, and of
    the ratio other / base in one round the median, the lowest and the highest."""
    summaries = {}
    for what in ("seconds", "cpu", "memory"):
        bases, others = ([getattr(costs[side], what) for costs in rounds] for side in (0, other))
        ratios = [other / base for base, other in zip(bases, others, strict=True)]
        summaries[what] = {
            "base": statistics.median(bases),
            "other": statistics.median(others),
            "ratio": statistics.median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
        }
    return summaries
