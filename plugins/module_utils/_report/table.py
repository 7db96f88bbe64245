# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text tables.

Pure. Own ten lines because a collection brings no library to the controller for this alone.
Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t


def columns(rows: t.Sequence[t.Sequence[str]]) -> list[str]:
    """Return the rows as lines with aligned columns; the first row is the heading and gets a rule below it."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "  ".join("─" * width for width in widths), *lines[1:]]
