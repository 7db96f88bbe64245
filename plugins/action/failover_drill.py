# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module failover_drill and shows, while it runs, one line per event.

A module can only answer when it has ended. So it appends its events to a file, which is followed here; that works where
the module runs on the controller (connection local, as with clusters as hosts). Elsewhere the lines come at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
import threading
import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

SECONDS = 0.3


class ActionModule(ActionBase):
    """The action of the tasks that call failover_drill."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module; return its result."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        given = dict(self._task.args)
        own = ""
        if not given.get("progress") and self._connection.transport == "local" and not self._task.async_val:
            handle, own = tempfile.mkstemp(prefix="failover-drill-", suffix=".jsonl")
            os.close(handle)
            given["progress"] = own
        follower = Follower(Path(own), str((task_vars or {}).get("inventory_hostname") or ""))
        if own:
            follower.start()
        try:
            result.update(
                self._execute_module(
                    module_name="meshops.locality.failover_drill",
                    module_args=given,
                    task_vars=task_vars,
                    wrap_async=bool(self._task.async_val),
                )
            )
            follower.module_ended = True
        finally:
            if own:
                # Without a result the task was cut short (its timeout, an interruption): the module is to put all back.
                follower.end()
                Path(own).unlink(missing_ok=True)
                _shown(result).pop("progress", None)
        return result


def _shown(result: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the module's arguments as the result tells them: the file is nobody's business."""
    return t.cast("dict[str, t.Any]", (result.get("invocation") or {}).get("module_args") or {})


class Follower(threading.Thread):
    """Shows the lines of a file as they come, and ends the module when nobody waits for it any more."""

    def __init__(self, path: Path, host: str) -> None:
        super().__init__(name="events", daemon=True)
        self.module_ended = False
        self._path, self._host = path, host
        self._ended = threading.Event()
        self._parent = os.getppid()
        self._pid = 0
        self._rest = ""

    def end(self) -> None:
        """Show what is left; a module without a result gets SIGTERM, on which it puts everything back."""
        self._ended.set()
        self.join(timeout=2)
        if not self.module_ended:
            self._terminate()

    def run(self) -> None:
        """Follow the file."""
        with self._path.open(encoding="utf-8") as file:
            while True:
                last = self._ended.is_set()
                self._take(file.read())
                if last:
                    return
                if os.getppid() != self._parent:
                    # ansible-playbook was killed; this process, its worker, does not hear of it otherwise.
                    self._terminate()
                    return
                self._ended.wait(SECONDS)

    def _take(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in map(json.loads, lines):
            if "pid" in line and "line" not in line:
                self._pid = int(line["pid"])
            else:
                Display().display(f"{self._host}: {line['line']}")

    def _terminate(self) -> None:
        if self._pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._pid, signal.SIGTERM)
