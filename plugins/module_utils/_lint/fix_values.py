# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that fixes name, computed from the endpoints there are.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier_detection import (
    CONSECUTIVE,
    needed_percent,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import Case
from ansible_collections.meshops.locality.plugins.module_utils._policy.completion import LargestLoss, loss


def survivable(case: Case) -> LargestLoss | None:
    """Return the largest loss that a rule can survive: the widest level at which something is left; None for none."""
    if not case.total:
        return None
    for level in ("region", "zone", "subzone"):
        group = loss(case.localities, level)
        if group.lost < group.total:
            return group
    return None


def ejection_percent(case: Case) -> int:
    """Return the maxEjectionPercent with which Envoy can eject all endpoints of the largest loss that is survivable."""
    group = survivable(case)
    return needed_percent(group.lost, group.total) if group else 100


def outlier_detection(case: Case) -> str:
    """Return an outlierDetection that makes failover work."""
    if not case.total:
        return f"outlierDetection: {{consecutive5xxErrors: {CONSECUTIVE}, maxEjectionPercent: (what one locality has)}}"
    return f"outlierDetection: {{consecutive5xxErrors: {CONSECUTIVE}, maxEjectionPercent: {ejection_percent(case)}}}"
