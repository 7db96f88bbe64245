# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How bad a loss is for requests, in one word: the same for matrix, forecast and assessment.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_load import NOTHING

#: From what harms least to what harms most.
LOSS_GRADES = ("untouched", "carries on", "short", "overload", "long", "gone", "fails today")
UNTOUCHED, CARRIES_ON, SHORT, OVERLOAD, LONG, GONE, FAILS_TODAY = LOSS_GRADES
#: A smaller share of requests makes no difference.
LITTLE = 0.0005
#: What the summary of a matrix calls the state of today.
NOTHING_LOST = "nothing"
#: What ends an outage later than ejection does, if anything.
_LATE = ("removal", "readiness", "dns", "never")


def lasting_verdict(verdict: str, failing: float) -> str:
    """Return a verdict of client_load when the loss makes this share of the requests fail for good."""
    return "dies_in_part" if verdict in ("survives", "spills") and failing >= LITTLE else verdict


def loss_grade(
    verdict: str,
    ends_by: str,
    *,
    failing: float,
    failed: float | None,
    for_good: float,
    overloaded: bool = False,
    today: float = 0.0,
) -> str:
    """Return one of LOSS_GRADES.

    `failing` and `for_good` are the shares of requests that fail right after the loss and for good, with retries, and
    beyond `today`, the share that fails before anything is lost. `failed`: how many requests of a client that makes,
    None: without end. `verdict` and `ends_by` as in client_load.
    """
    costs = failing >= LITTLE and (failed is None or failed >= LITTLE)
    if today > 1 - NOTHING:
        return FAILS_TODAY
    if verdict in ("dies", "dies_in_part") or for_good >= LITTLE:
        return GONE
    if costs and ends_by in _LATE:
        return LONG
    if overloaded:
        return OVERLOAD
    if costs and ends_by != "none":
        return SHORT
    return UNTOUCHED if verdict == "untouched" else CARRIES_ON
