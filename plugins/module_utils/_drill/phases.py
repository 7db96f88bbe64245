# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The phases of a drill, and how it can end.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

Json = dict[str, t.Any]

#: In this order. Nothing is written to the cluster before LOCK, nothing is broken before INJECT.
PHASES = (
    "preflight",
    "snapshot",
    "prediction",
    "gate",
    "lock",
    "journal",
    "inject",
    "observe",
    "restore",
    "proof",
    "verdict",
)

#: Words of AWS ARC's practice runs, plus REFUSED. INTERRUPTED is neither success nor failure: the question stays open.
SUCCEEDED = "SUCCEEDED"
FAILED = "FAILED"
INTERRUPTED = "INTERRUPTED"
PENDING = "PENDING"
CAPACITY_CHECK_FAILED = "CAPACITY_CHECK_FAILED"
REFUSED = "REFUSED"
OUTCOMES = (SUCCEEDED, FAILED, INTERRUPTED, PENDING, CAPACITY_CHECK_FAILED, REFUSED)


class Ended(Exception):
    """The drill ends here. `outcome` is one of OUTCOMES, `reason` a sentence, `kind` what to call the event."""

    def __init__(self, outcome: str, reason: str, kind: str = "abort") -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason
        self.kind = kind


class Event(t.NamedTuple):
    """Something that happened `t` seconds after the drill started. Places and pods are '' where there is none."""

    t: float
    phase: str
    kind: str
    message: str
    client: str = ""
    place: str = ""
    pod: str = ""

    def as_dict(self) -> Json:
        """Return it as plain values."""
        return {**self._asdict(), "t": round(self.t, 3)}

    def line(self) -> str:
        """Return the one line that a person reads while the drill runs."""
        return f"{self.t:7.1f} s  {self.phase:<10} {self.message}"
