# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill in a process of its own, which tests follow, signal and kill."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from tests import module_process
from tests.conftest import COLLECTIONS, ROOT, SINCE_2_19, ansible_environment

Json = dict[str, t.Any]


class DrillProcess:
    """failover_drill as Ansible's wrapper starts it: arguments on stdin, the result on stdout."""

    def __init__(self, params: t.Mapping[str, t.Any], folder: Path, module: str = "failover_drill") -> None:
        folder.mkdir(parents=True)
        self.progress = folder / "progress.jsonl"
        self.progress.touch()
        own = {"_ansible_remote_tmp": str(folder / "tmp"), **SINCE_2_19}
        environment = ansible_environment(folder)
        environment["PYTHONPATH"] = str(COLLECTIONS)
        given = {**params, "progress": str(self.progress)} if module == "failover_drill" else dict(params)
        self._out = (folder / "stdout").open("w+", encoding="utf-8")
        self._err = (folder / "stderr").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"{module_process.PLUGINS}.{module}"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=self._out,
            stderr=self._err,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": {**given, **own}}))
        self.process.stdin.close()

    @property
    def events(self) -> list[Json]:
        """What it has told until now."""
        lines = map(json.loads, self.progress.read_text(encoding="utf-8").splitlines())
        return [line for line in lines if "kind" in line]

    def wait_for(self, kind: str, phase: str = "", seconds: float = 60) -> Json:
        """Wait until an event of this kind (and phase) was told, and return it."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for event in self.events:
                if event["kind"] == kind and phase in ("", event["phase"]):
                    return event
            assert self.process.poll() is None, f"it ended: {self.output()}"
            time.sleep(0.05)
        raise AssertionError(f"no event {kind}: {self.events}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the drill's process."""
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """End it the hard way, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)

    def output(self) -> str:
        """Return what it printed."""
        return "".join(Path(file.name).read_text(encoding="utf-8") for file in (self._out, self._err))

    def result(self, seconds: float = 300) -> Json:
        """Wait for the end and return the result."""
        self.process.wait(timeout=seconds)
        text = Path(self._out.name).read_text(encoding="utf-8").strip()
        assert text.startswith("{"), self.output()
        return t.cast(Json, json.loads(text))
