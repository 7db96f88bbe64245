# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations as Istio's objects have them: Go's notation.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t

_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_MOST = 2**63 - 1
_LONGEST = 200


def nanoseconds(text: t.Any) -> int | None:
    """Return a Go duration (`1m30s`, `-2h`, `0`) in nanoseconds, or None when it is none or does not fit into int64.

    Source: Go time.ParseDuration, which istiod reads durations with.
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        return None
    negative = text[:1] == "-"
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    total, position = 0, 0
    for match in _PART.finditer(rest):
        whole, fraction = match[1], match[2] or ""
        if match.start() != position or not (whole or fraction):
            return None
        # Go cuts the fraction to whole nanoseconds.
        total += int(whole or "0") * _NANOSECONDS[match[3]]
        total += int(fraction[:18] or "0") * _NANOSECONDS[match[3]] // 10 ** len(fraction[:18])
        position = match.end()
    if position != len(rest) or not rest or total > _MOST:
        return None
    return -total if negative else total


def parse_duration(text: t.Any) -> float | None:
    """Return the seconds of a Go duration (`1m30s`), or None when it is none."""
    nanos = nanoseconds(text)
    return None if nanos is None else nanos / 1e9
