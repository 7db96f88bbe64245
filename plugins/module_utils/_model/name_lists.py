# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many names in one sentence.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t


def first_names(names: t.Iterable[str], most: int, others: str = "more") -> str:
    """Return the first `most` names with commas, and how many `others` there are: `a, b and 3 more`."""
    listed = list(names)
    rest = f" and {len(listed) - most} {others}" if len(listed) > most else ""
    return ", ".join(listed[:most]) + rest
