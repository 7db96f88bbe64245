# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build tells while it runs, and the plain-text way to show it.

Steps run in parallel (downloads next to compiling), so every method may be called from any thread.
"""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
import typing as t

import humanize


@dataclasses.dataclass(frozen=True)
class Step:
    """One piece of work of a build: `key` names it in later calls, `title` is for people, `estimate` is what it took on
    two cores from nothing, in seconds."""

    key: str
    title: str
    estimate: float


class Report(t.Protocol):
    """Where a build says what it does. Calls for one key come in the order: planned, started, advanced*, finished or
    failed; or planned, skipped."""

    def planned(self, steps: t.Sequence[Step]) -> None:
        """Everything this build will have to do, in order, before the first step starts. May be empty."""

    def started(self, key: str) -> None:
        """The step begins now."""

    def advanced(self, key: str, detail: str, fraction: float | None = None) -> None:
        """The step is at `detail` (a package, a file); `fraction` 0..1 of it is done, None when nobody can know."""

    def finished(self, key: str, seconds: float) -> None:
        """The step is done after `seconds`."""

    def skipped(self, key: str, reason: str) -> None:
        """The step turned out not to be needed."""

    def failed(self, key: str, reason: str) -> None:
        """The step failed; the error itself is raised by the build."""

    def note(self, text: str) -> None:
        """One line for people that belongs to no step (waiting for another build, cleaning up after a killed one)."""


class PlainReport:
    """Plain log lines, for a pipe, a file or a CI log: one line when a step starts or ends, and a sign of life every
    `interval` seconds."""

    def __init__(
        self,
        stream: t.TextIO | None = None,
        interval: float = 15.0,
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream or sys.stderr
        self._interval = interval
        self._clock = clock
        self._begin = clock()
        self._lock = threading.Lock()
        self._steps: dict[str, Step] = {}
        self._begun: dict[str, float] = {}
        self._spoken: dict[str, float] = {}
        self._done: set[str] = set()

    def planned(self, steps: t.Sequence[Step]) -> None:
        with self._lock:
            self._begin = self._clock()
            self._steps = {step.key: step for step in steps}
            if steps:
                total = humanize.precisedelta(round(sum(step.estimate for step in steps)), minimum_unit="seconds")
                self._say(
                    f"{len(steps)} steps to build, about {total} of work on two cores: "
                    + ", ".join(s.title for s in steps)
                )

    def started(self, key: str) -> None:
        with self._lock:
            self._begun[key] = self._spoken[key] = self._clock()
            step = self._steps.get(key)
            about = f" (about {step.estimate:.0f} s)" if step else ""
            self._say(f"{self._title(key)}: started{about}")

    def advanced(self, key: str, detail: str, fraction: float | None = None) -> None:
        with self._lock:
            now = self._clock()
            if now - self._spoken.get(key, 0.0) < self._interval:
                return
            self._spoken[key] = now
            share = "" if fraction is None else f"{fraction:4.0%} "
            spent = now - self._begun.get(key, now)
            self._say(f"{self._title(key)}: {share}{detail} ({spent:.0f} s so far)")

    def finished(self, key: str, seconds: float) -> None:
        with self._lock:
            self._done.add(key)
            left = [step.title for step in self._steps.values() if step.key not in self._done]
            rest = f"; left: {', '.join(left)}" if left else ""
            self._say(f"{self._title(key)}: done in {seconds:.1f} s{rest}")

    def skipped(self, key: str, reason: str) -> None:
        with self._lock:
            self._done.add(key)
            self._say(f"{self._title(key)}: skipped, {reason}")

    def failed(self, key: str, reason: str) -> None:
        with self._lock:
            self._say(f"{self._title(key)}: FAILED, {reason}")

    def note(self, text: str) -> None:
        with self._lock:
            self._say(text)

    def _title(self, key: str) -> str:
        step = self._steps.get(key)
        return step.title if step else key

    def _say(self, text: str) -> None:
        print(f"[{self._clock() - self._begin:6.1f} s] {text}", file=self._stream, flush=True)
