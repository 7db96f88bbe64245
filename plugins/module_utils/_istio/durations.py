# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations as Istio's objects have them: Go's notation.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: t.Any) -> float | None:
    """Return the seconds of a Go duration (`1m30s`), or None when it is none."""
    if not isinstance(text, str):
        return None
    total, position = 0.0, 0
    for match in _DURATION.finditer(text):
        if match.start() != position:
            return None
        total += float(match[1]) * _SECONDS[match[2]]
        position = match.end()
    return total if position == len(text) and text else None
