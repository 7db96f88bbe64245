# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short names of places for tables: the last part, or as many parts as it takes to be the only one.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import Counter


def short_names(places: t.Iterable[str]) -> dict[str, str]:
    """Return for each place (parts with `/` between them) the shortest end of its name that no other place has.

    Zones called z1 in three regions are r1/z1, r2/z1 and r3/z1.
    """
    left = set(places)
    most = max((place.count("/") for place in left), default=0) + 1
    every = sorted(left)
    names: dict[str, str] = {}
    for number in range(1, most + 1):
        ends = Counter(_end(place, number) for place in every)
        for place in sorted(left):
            end = _end(place, number)
            if (ends[end] == 1 and end.strip("/")) or number > place.count("/"):
                names[place] = end
                left.discard(place)
    return names


def _end(place: str, number: int) -> str:
    return "/".join(place.split("/")[-number:])
