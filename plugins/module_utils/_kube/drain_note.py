# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What listener_drain writes on a pod before it drains its sidecar: who drains it, when, and which process.

It is an annotation of the pod, so it goes when the pod goes. A person on another machine finds it with kubectl, and
restores what it names (option annotated_pods).

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

DRAIN_ANNOTATION = "meshops.locality/listener-drain"


@dataclass(frozen=True)
class DrainNote:
    """`restarts` is how often the sidecar had restarted: a process that was started later was not drained.

    `graceful`: until such a drain is over, nothing but this note shows it. `sent`: Envoy has accepted a graceful one;
    the note is written before it is sent.
    """

    by: str
    at: str
    restarts: int
    graceful: bool
    sent: bool = False

    @classmethod
    def parse(cls, annotation: str) -> DrainNote | None:
        """Read the annotation; None for an empty one, and for one that this collection did not write."""
        try:
            fields = json.loads(annotation or "null")
            by, at, restarts = str(fields["by"]), str(fields["at"]), int(fields["restarts"])
            return cls(by, at, restarts, bool(fields["graceful"]), fields.get("sent") is True)
        except (ValueError, TypeError, KeyError):
            return None

    def text(self) -> str:
        """Return it as the annotation has it."""
        return json.dumps(asdict(self))
