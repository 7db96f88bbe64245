# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of one target when its fault was taken back.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import RESTORED, Target

Json = dict[str, t.Any]


@dataclass(frozen=True)
class TargetRestoration:
    """What became of one target: `state` is one of the journal's, or '' when it is not back (`error` says why)."""

    target: Target
    state: str
    proof: str = ""
    error: str = ""
    restarts: int = 0
    changed: bool = False

    def as_dict(self) -> Json:
        """Return it as plain values."""
        return {
            "pod": self.target.where,
            "kind": self.target.kind,
            "state": self.state,
            "uid_same": self.state == RESTORED,
            "restarts": self.restarts,
            "changed": self.changed,
            "proof": self.proof,
            "error": self.error,
        }
