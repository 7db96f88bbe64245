# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One setting that stretches every time limit of the sandbox, for slow machines: MESHOPS_SANDBOX_PATIENCE."""

from __future__ import annotations

import math
import os

from meshops_sandbox.errors import PreflightError

VARIABLE = "MESHOPS_SANDBOX_PATIENCE"


def factor() -> float:
    """How many times longer than usual the sandbox waits: the value of MESHOPS_SANDBOX_PATIENCE, 1 when it is not set.
    Raises PreflightError when it is not a number from 1 to 1000."""
    text = os.environ.get(VARIABLE) or "1"
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 1 <= number <= 1000:
        raise PreflightError(
            f"{VARIABLE} is {text!r}, not a number from 1 to 1000.",
            "It says how many times longer than usual the sandbox waits; 10 suits an emulated machine.",
        )
    return number


def stretched(seconds: float) -> float:
    """A time limit in seconds, on this machine. Raises PreflightError as `factor` does."""
    return seconds * factor()
