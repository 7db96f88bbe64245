# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the steps of a build: several lanes at once, each step after the ones it needs, all of them ended by the
first failure."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import threading
import time
import typing as t
from concurrent import futures

from meshops_sandbox.build.artifacts import BuildError
from meshops_sandbox.build.commands import Commands, Interrupted
from meshops_sandbox.build.report import Report, Step


@dataclasses.dataclass(frozen=True)
class Task:
    """A step and what it does. Tasks of one lane run one after the other in the order given; `needs` are keys of steps
    that have to be done first (keys that are not part of this build count as done)."""

    step: Step
    lane: str
    action: t.Callable[[t.Callable[..., None]], None]
    needs: tuple[str, ...] = ()


def execute(
    tasks: t.Sequence[Task], commands: Commands, report: Report, clock: t.Callable[[], float] = time.monotonic
) -> None:
    """Run all tasks. Raises the first error after everything else has been ended; KeyboardInterrupt and SIGTERM end
    everything as well."""
    done = {task.step.key: threading.Event() for task in tasks}
    broken = threading.Event()
    errors: list[BaseException] = []

    def lane(own: t.Sequence[Task]) -> None:
        for task in own:
            for need in task.needs:
                while need in done and not done[need].wait(0.2):
                    if broken.is_set():
                        return
            if broken.is_set():
                return
            key = task.step.key
            begin = clock()
            try:
                report.started(key)
                task.action(lambda detail, fraction=None, key=key: report.advanced(key, detail, fraction))
                report.finished(key, clock() - begin)
            except Interrupted:
                return
            except BaseException as error:  # carried to the caller's thread
                errors.append(error)
                broken.set()
                report.failed(key, str(error))
                commands.stop()
                return
            done[key].set()

    names = list(dict.fromkeys(task.lane for task in tasks))
    if not names:
        return
    with _termination_as_exception(), futures.ThreadPoolExecutor(len(names), thread_name_prefix="build") as pool:
        running = [pool.submit(lane, [task for task in tasks if task.lane == name]) for name in names]
        # Futures, not Thread.join: a join that a signal interrupts takes its thread for ended.
        try:
            futures.wait(running)
        except BaseException:
            broken.set()
            commands.stop()
            futures.wait(running)
            raise
    for lane_ended in running:
        lane_ended.result()
    if errors:
        error = errors[0]
        if isinstance(error, OSError):
            raise BuildError(
                f"The build failed: {error.strerror or error}{f' ({error.filename})' if error.filename else ''}."
            ) from error
        raise error


@contextlib.contextmanager
def _termination_as_exception() -> t.Iterator[None]:
    """SIGTERM raises SystemExit(143) inside the block, so that programs are ended and half-made things removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(_number: int, _frame: object) -> None:
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
