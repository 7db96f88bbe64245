# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command tells while it works: live lines on a terminal, plain lines with times elsewhere, nothing when
quiet."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import typing as t

import rich.console
import rich.live
import rich.spinner
import rich.table
import rich.text

from meshops_sandbox.build.report import Step


class Progress:
    """Steps of one command, shown while they run, with their times (seconds) kept in `times`.

    It is also the Report of a build. All methods may be called from any thread."""

    def __init__(self, *, quiet: bool = False, stream: t.TextIO | None = None) -> None:
        self._console = rich.console.Console(file=stream or sys.stderr, highlight=False)
        self._quiet = quiet
        self._begin = time.monotonic()
        self._lock = threading.RLock()
        self._running: dict[str, tuple[str, float, str]] = {}
        self._steps: dict[str, Step] = {}
        self._spoken: dict[str, float] = {}
        self._live: rich.live.Live | None = None
        self.times: dict[str, float] = {}

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._begin

    def __enter__(self) -> Progress:
        if self._console.is_terminal and not self._quiet:
            self._live = rich.live.Live(
                get_renderable=self._picture, console=self._console, transient=True, refresh_per_second=8
            )
            self._live.__enter__()
        return self

    def __exit__(self, *exc: t.Any) -> None:
        if self._live:
            self._live.__exit__(*exc)
            self._live = None

    @contextlib.contextmanager
    def step(self, title: str) -> t.Iterator[None]:
        """Show `title` while the block runs, and its time when it is done."""
        self._start(title, title)
        try:
            yield
        except BaseException:
            self._end(title, "failed")
            raise
        self._end(title, "done")

    def detail(self, title: str, text: str) -> None:
        """What a running step waits for right now."""
        with self._lock:
            if title in self._running and self._running[title][2] != text:
                name, begun, _ = self._running[title]
                self._running[title] = (name, begun, text)
                if not self._live and time.monotonic() - self._spoken.get(title, begun) > 5:
                    self._spoken[title] = time.monotonic()
                    self._say(f"{name}: {text}")

    def note(self, text: str) -> None:
        """One line for people."""
        self._say(text)

    def planned(self, steps: t.Sequence[Step]) -> None:
        self._steps = {step.key: step for step in steps}
        if steps:
            total = sum(step.estimate for step in steps) / 60
            self._say(
                f"{len(steps)} parts to build, about {total:.0f} min on two cores: "
                + ", ".join(step.title for step in steps)
            )

    def started(self, key: str) -> None:
        step = self._steps.get(key)
        self._start(key, step.title if step else key)

    def advanced(self, key: str, detail: str, fraction: float | None = None) -> None:
        self.detail(key, detail if fraction is None else f"{fraction:.0%} {detail}")

    def finished(self, key: str, seconds: float) -> None:
        self._end(key, "done")

    def skipped(self, key: str, reason: str) -> None:
        with self._lock:
            self._running.pop(key, None)
        self._say(f"{self._title(key)}: not needed, {reason}")

    def failed(self, key: str, reason: str) -> None:
        self._end(key, f"failed, {reason}")

    def _title(self, key: str) -> str:
        return self._steps[key].title if key in self._steps else key

    def _start(self, key: str, title: str) -> None:
        with self._lock:
            self._running[key] = (title, time.monotonic(), "")

    def _end(self, key: str, how: str) -> None:
        with self._lock:
            if key not in self._running:
                return
            title, begun, _ = self._running.pop(key)
            spent = time.monotonic() - begun
            self.times[title] = round(spent, 2)
            self._say(f"{title}: {how} in {spent:.1f} s")

    def _say(self, text: str) -> None:
        if not self._quiet:
            with self._lock:
                self._console.print(f"[{self.elapsed:6.1f} s] {text}", markup=False, soft_wrap=True)

    def _picture(self) -> rich.table.Table:
        picture = rich.table.Table.grid(padding=(0, 1))
        now = time.monotonic()
        with self._lock:
            for title, begun, detail in self._running.values():
                picture.add_row(
                    rich.spinner.Spinner("dots"),
                    rich.text.Text(f"{title} {now - begun:.0f} s"),
                    rich.text.Text(detail, style="dim"),
                )
        return picture
