# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the steps: lanes next to each other, each command in its own process group so that none is left behind."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import os
import shutil
import signal
import subprocess
import threading
import time
import typing as t

import psutil

from testrun.count import Tally, count
from testrun.steps import BIN, COLLECTIONS, NICE, ROOT, WORK, Lane, Step

#: Seconds a command gets after each signal to end by itself; a sandbox that is coming up cleans up on the first.
GRACE = ((signal.SIGINT, 30.0), (signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))

#: Settings of the caller's that no step may see: a test must never reach the cluster that he happens to work on.
#: And many images of containers forbid Python to keep what it has compiled: half of the time of a process that starts.
_USERS = (
    *("ANSIBLE_", "K8S_AUTH_", "KUBECONFIG", "MESHOPS_SANDBOX_NAME", "MESHOPS_SANDBOX_NETWORK", "MESHOPS_TEST_"),
    "PYTHONDONTWRITEBYTECODE",
)


class State(enum.Enum):
    """What became of a step."""

    WAITING = "waiting"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "FAILED"
    NOT_RUN = "NOT RUN"


@dataclasses.dataclass
class Outcome:
    """One step while and after it runs; `why` is set when it failed.

    `seconds` is how long it took, `processor` the seconds of processor that its command and what that waited for used:
    not those of a sandbox, which lives on.
    """

    step: Step
    state: State = State.WAITING
    begun: float = 0.0
    seconds: float = 0.0
    processor: float = 0.0
    tally: Tally = dataclasses.field(default_factory=Tally)
    why: str = ""

    def elapsed(self) -> float:
        """Seconds so far, or in all."""
        return time.monotonic() - self.begun if self.state is State.RUNNING else self.seconds

    def last_line(self) -> str:
        """The newest line of the step's log."""
        with contextlib.suppress(OSError), self.step.log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 2000))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
            return next((line for line in reversed(lines) if line), "")
        return ""


class Watcher(t.Protocol):
    """Who is told when a step begins or ends."""

    def begun(self, outcome: Outcome) -> None: ...

    def ended(self, outcome: Outcome) -> None: ...


class Run:
    """All chosen steps, their processes and their outcomes."""

    def __init__(self, steps: t.Sequence[Step], watcher: Watcher) -> None:
        self.outcomes = [Outcome(step) for step in steps]
        self._by_name = {outcome.step.name: outcome for outcome in self.outcomes}
        self._watcher = watcher
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        #: Lane → the kubeconfig of the sandbox that was brought up in it last.
        self._clusters: dict[str, str] = {}
        self._lanes = list(dict.fromkeys(step.lane for step in steps))

    @property
    def interrupted(self) -> bool:
        """Whether stop() was called."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """End all commands; returns at once, run() returns when the last one is gone."""
        self._stopping.set()

    def run(self) -> None:
        """Run all steps; returns when every lane has ended."""
        threads = [threading.Thread(target=self._lane, args=(lane,)) for lane in self._lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _lane(self, lane: Lane) -> None:
        for outcome in self.outcomes:
            if outcome.step.lane == lane:
                self._one(outcome)
                with self._changed:
                    self._changed.notify_all()

    def _one(self, outcome: Outcome) -> None:
        needed = [self._by_name[name] for name in outcome.step.needs if name in self._by_name]
        with self._changed:
            while not self.interrupted and any(other.state in (State.WAITING, State.RUNNING) for other in needed):
                self._changed.wait(0.5)
        missing = [other.step.name for other in needed if other.state is not State.PASSED]
        if self.interrupted or missing:
            outcome.state = State.NOT_RUN
            outcome.why = "interrupted" if self.interrupted else f"needs {', '.join(missing)}"
            outcome.tally = Tally(0, 1, (f"{outcome.step.name} ({outcome.why})",))
        else:
            outcome.begun = time.monotonic()
            outcome.state = State.RUNNING
            self._watcher.begun(outcome)
            try:
                self._perform(outcome)
            except Exception as error:  # or the lane would end here, and those who need this step wait for ever
                outcome.why = f"{type(error).__name__}: {error}"
                outcome.tally = Tally(outcome.tally.passed, 1, (f"{outcome.step.name} ({outcome.why})",))
                outcome.seconds = time.monotonic() - outcome.begun
                outcome.state = State.FAILED
        with contextlib.suppress(OSError):  # its log cannot be shown: what became of the step is known all the same
            self._watcher.ended(outcome)

    def _perform(self, outcome: Outcome) -> None:
        returncode = self._execute(outcome)
        outcome.seconds = time.monotonic() - outcome.begun
        outcome.tally = count(outcome.step, returncode)
        state = State.FAILED if outcome.tally.failed else State.PASSED
        if state is State.FAILED and not outcome.why:
            outcome.why = f"exit code {returncode}" if returncode else "its report"
        if state is State.PASSED and outcome.step.sandbox:
            self._find_cluster(outcome.step)
        outcome.state = state

    def _execute(self, outcome: Outcome) -> int:
        step = outcome.step
        shutil.rmtree(step.reports, ignore_errors=True)
        step.reports.mkdir(parents=True)
        with step.log.open("wb") as log:
            process = subprocess.Popen(
                step.command,
                cwd=ROOT,
                env={**environment(), "MESHOPS_TEST_KUBECONFIG": self._clusters.get(step.lane, ""), **step.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
            if self._is_beside(step.lane):
                with contextlib.suppress(ProcessLookupError):
                    os.setpriority(os.PRIO_PGRP, process.pid, os.nice(0) + NICE[step.lane])
            end = time.monotonic() + step.limit
            while not _ended(process):
                if self._stopping.wait(0.2):
                    outcome.why = "interrupted"
                    break
                if time.monotonic() > end:
                    outcome.why = f"did not end within {step.limit} s"
                    break
            outcome.processor = _processor(process)
            end_group(process)
        return process.returncode if not outcome.why else (process.returncode or 1)

    def _is_beside(self, lane: Lane) -> bool:
        """Whether a lane runs whose timing matters more than that of `lane`."""
        return any(NICE[other] < NICE[lane] for other in self._lanes)

    def _find_cluster(self, step: Step) -> None:
        command = [str(BIN / "meshops-sandbox"), "kubeconfig", "--name", step.sandbox]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        if not done.returncode:
            self._clusters[step.lane] = done.stdout.strip()


def environment() -> dict[str, str]:
    """Return the environment of every step: .venv first on PATH, this checkout as the collection, no user settings."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_USERS)}
    # A clone may belong to someone else than the one who tests it: git would refuse to read it.
    number = int(own.get("GIT_CONFIG_COUNT") or 0)
    return {
        **own,
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_HOME": str(WORK / "ansible"),
        f"GIT_CONFIG_KEY_{number}": "safe.directory",
        f"GIT_CONFIG_VALUE_{number}": str(ROOT),
        "GIT_CONFIG_COUNT": str(number + 1),
        # Ansible refuses to start in a locale that is not UTF-8, or that this machine does not have.
        "LC_ALL": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
    }


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process has ended; it stays what it is, so that its times can still be read."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _processor(process: subprocess.Popen[bytes]) -> float:
    """Return the seconds of processor of a process that runs or has just ended, and of those it has waited for."""
    used = psutil.Process(process.pid).cpu_times()
    return float(used.user + used.system + used.children_user + used.children_system)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a process and its group, politely first."""
    for number, seconds in GRACE if process.poll() is None else GRACE[1:]:
        if not _group_lives(process):
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        end = time.monotonic() + seconds
        while time.monotonic() < end and _group_lives(process):
            time.sleep(0.1)
    process.wait()


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True
