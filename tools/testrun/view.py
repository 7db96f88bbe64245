# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show a run: live on a terminal, plain lines with a sign of life everywhere else, a table at the end."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import typing as t

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from testrun.runner import Outcome, Run, State
from testrun.steps import LOGS, ROOT

SIGN_OF_LIFE = 30  # seconds
TAIL = 60  # lines of a failed step's log
_DURATIONS = LOGS.parent / "durations.json"
_STYLE = {State.PASSED: "green", State.FAILED: "bold red", State.NOT_RUN: "red", State.RUNNING: "cyan"}


def clock(seconds: float) -> str:
    """Return seconds as 4.2 s or 3:07."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class View:
    """Tells a person what a run is doing. `verbose` shows the whole output of every step when it ends."""

    def __init__(self, *, verbose: bool) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.verbose = verbose
        self._begun = time.monotonic()
        self._usual: dict[str, float] = {}
        with contextlib.suppress(OSError, ValueError):
            self._usual = json.loads(_DURATIONS.read_text(encoding="utf-8"))

    def begun(self, outcome: Outcome) -> None:
        """A step has begun."""
        if not self.console.is_terminal:
            usual = self._usual.get(outcome.step.name)
            self._line(f"begins  {outcome.step.name}" + (f" (last time {clock(usual)})" if usual else ""))

    def ended(self, outcome: Outcome) -> None:
        """A step has ended, or will not run; its output is shown when it failed."""
        step, tally = outcome.step, outcome.tally
        counted = f", {tally.passed} passed, {tally.failed} failed" if tally.passed + tally.failed > 1 else ""
        reason = f": {outcome.why}" if outcome.why else ""
        self._line(
            f"{outcome.state.value}  {step.name} ({clock(outcome.seconds)}{counted}){reason}", _STYLE[outcome.state]
        )
        if outcome.state is State.FAILED or (self.verbose and outcome.state is State.PASSED):
            lines = step.log.read_text(encoding="utf-8", errors="replace").splitlines()
            shown = lines if self.verbose else lines[-TAIL:]
            for line in shown:
                self.console.print(Text(f"    {line}"))
            if len(shown) < len(lines):
                self.console.print(Text(f"    … all {len(lines)} lines: {step.log.relative_to(ROOT)}"))
        if outcome.state is State.PASSED:
            self._usual[step.name] = round(outcome.seconds, 1)

    def _line(self, text: str, style: str = "") -> None:
        self.console.print(Text(f"[{clock(time.monotonic() - self._begun):>7}] {text}", style=style))

    @contextlib.contextmanager
    def watching(self, run: Run) -> t.Iterator[None]:
        """Show what is running until the run ends."""
        if self.console.is_terminal:
            with Live(
                get_renderable=lambda: self._now(run), console=self.console, refresh_per_second=2, transient=True
            ):
                yield
            return
        done = threading.Event()

        def signs() -> None:
            while not done.wait(SIGN_OF_LIFE):
                for outcome in run.outcomes:
                    if outcome.state is State.RUNNING:
                        self._line(
                            f"running {outcome.step.name} {clock(outcome.elapsed())}: {outcome.last_line()[:140]}"
                        )

        thread = threading.Thread(target=signs, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _now(self, run: Run) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for outcome in run.outcomes:
            if outcome.state is State.RUNNING:
                line = Text(outcome.last_line(), style="dim", no_wrap=True, overflow="ellipsis")
                table.add_row(Text(outcome.step.name, style="cyan"), clock(outcome.elapsed()), line)
        ended = sum(outcome.state not in (State.WAITING, State.RUNNING) for outcome in run.outcomes)
        waiting = [outcome.step.name for outcome in run.outcomes if outcome.state is State.WAITING]
        status = f"{clock(time.monotonic() - self._begun)} · {ended} of {len(run.outcomes)} steps ended"
        status += f" · {self._left(run)}" if self._usual else ""
        status += f" · then {', '.join(waiting)}" if waiting else ""
        status += " · stopping, please wait" if run.interrupted else ""
        return Group(table, Text(status, style="bold", no_wrap=True, overflow="ellipsis"))

    def _left(self, run: Run) -> str:
        lanes: dict[str, float] = {}
        for outcome in run.outcomes:
            if outcome.state in (State.WAITING, State.RUNNING):
                usual = self._usual.get(outcome.step.name, 0.0)
                lanes[outcome.step.lane] = lanes.get(outcome.step.lane, 0.0) + max(0.0, usual - outcome.elapsed())
        return f"about {clock(max(lanes.values(), default=0.0))} left"

    def close(self, run: Run) -> None:
        """Print the table of all steps, what failed with its log, and the count as the last line."""
        LOGS.mkdir(parents=True, exist_ok=True)
        _DURATIONS.write_text(json.dumps(self._usual, indent=1, sort_keys=True), encoding="utf-8")
        table = Table(box=None, padding=(0, 2), header_style="bold")
        for title in ("step", "result"):
            table.add_column(title)
        for title in ("passed", "failed", "time", "processor"):
            table.add_column(title, justify="right")
        for outcome in run.outcomes:
            tally = outcome.tally
            table.add_row(
                outcome.step.name,
                Text(outcome.state.value, style=_STYLE.get(outcome.state, "")),
                str(tally.passed or ""),
                str(tally.failed or ""),
                clock(outcome.seconds) if outcome.seconds else "",
                clock(outcome.processor) if outcome.processor else "",
            )
        self.console.print()
        self.console.print(table)
        self.console.print(f"\nin all {clock(time.monotonic() - self._begun)}")
        for outcome in run.outcomes:
            if outcome.tally.failed:
                log = f" (log: {outcome.step.log.relative_to(ROOT)})" if outcome.state is State.FAILED else ""
                self.console.print(Text(f"failed: {outcome.step.name}: {outcome.why}{log}", style="red"))
                for name in outcome.tally.names[:40]:
                    self.console.print(Text(f"    {name}"))
        passed = sum(outcome.tally.passed for outcome in run.outcomes)
        failed = sum(outcome.tally.failed for outcome in run.outcomes)
        self.console.print(f"{passed} passed, {failed} failed")
