# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals to a drill, and the end of the process that started it.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import os
import signal
import threading
import typing as t
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Signals, and the end of the process that started this one, noted instead of obeyed: the undoing comes first."""

    def __init__(self) -> None:
        self.reason = ""
        self._parent = os.getppid()
        self._before: dict[int, t.Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_unused: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.reason = self.reason or f"{signal.Signals(number).name} came."

    def look(self) -> str:
        """Return why the drill has to end, '' when it may go on."""
        if not self.reason and os.getppid() != self._parent:
            self.reason = "The process that started the drill has ended."
        return self.reason
