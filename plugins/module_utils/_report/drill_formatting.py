# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words and numbers that all parts of report.html have in common.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

Drill = t.Mapping[str, t.Any]

#: More clients and rows than these are counted, not shown.
CLIENTS, ROWS = 12, 60


STAGES = ("before", "during", "after")


def place_names(drill: Drill) -> list[str]:
    """Return all places of a drill in the order of their colours: those with endpoints first, then by name."""
    listed = [str(place["place"]) for place in drill["places"]]
    seen = {str(endpoint["place"]) for stage in STAGES for endpoint in drill["endpoints"][stage]}
    seen |= {str(row[drill["samples"]["columns"].index("place")]) for row in drill["samples"]["rows"]}
    return [*dict.fromkeys(listed), *sorted(seen - set(listed))]


def seconds(value: float | None) -> str:
    """Return seconds as people read them; '' for None."""
    if value is None:
        return ""
    return f"{value:.0f} s" if value >= 100 else f"{value:.3g} s" if value >= 1 else f"{value:.2g} s"


def since(value: float) -> str:
    """Return seconds since the fault, with a sign."""
    return f"{'−' if value < 0 else '+'}{abs(value):.1f} s"


def percent(share: float | None) -> str:
    """Return a share as percent; '' for None."""
    return "" if share is None else f"{100 * share:.3g} %"
