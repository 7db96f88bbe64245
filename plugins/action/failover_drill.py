# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module failover_drill and shows, while it runs, one line per event.

A module can only answer when it has ended. So it appends its events to a file, which is followed here; that works where
the module runs on the controller (connection local, as with clusters as hosts). Elsewhere the lines come at the end.
"""

from __future__ import annotations

import json
import os
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
        ended = threading.Event()
        follower = threading.Thread(
            target=_follow, args=(Path(own), self._inventory_name(task_vars), ended), name="events", daemon=True
        )
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
        finally:
            ended.set()
            if own:
                follower.join(timeout=2)
                Path(own).unlink(missing_ok=True)
                _shown(result).pop("progress", None)
        return result

    @staticmethod
    def _inventory_name(task_vars: dict[str, t.Any] | None) -> str:
        return str((task_vars or {}).get("inventory_hostname") or "")


def _shown(result: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the module's arguments as the result tells them: the file is nobody's business."""
    return t.cast("dict[str, t.Any]", (result.get("invocation") or {}).get("module_args") or {})


def _follow(path: Path, host: str, ended: threading.Event) -> None:
    display = Display()
    rest = ""
    with path.open(encoding="utf-8") as file:
        while True:
            last = ended.is_set()
            rest += file.read()
            *lines, rest = rest.split("\n")
            for line in lines:
                display.display(f"{host}: {json.loads(line)['line']}")
            if last:
                return
            ended.wait(SECONDS)
