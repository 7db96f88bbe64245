# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One line for each thing that a result does not speak of.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t


def not_judged_line(one: t.Mapping[str, t.Any]) -> str:
    """Return the line of an entry {code, what, hides, count}."""
    return f"not judged: {one['what']} Hidden: {one['hides']}."
