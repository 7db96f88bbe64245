# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What plan_process.py tells plan.py. A file of its own, for plan.py runs where the collection cannot be imported."""

from __future__ import annotations

import typing as t


class Counted(t.NamedTuple):
    """How much was computed, and its seconds of processor: `cpu` of the plan and the matrix, `plan` of the plan alone.

    `assignments` of all classes of clients; `rows` and `losses` of the matrix.
    """

    assignments: int
    rows: int
    losses: int
    plan: float
    cpu: float
