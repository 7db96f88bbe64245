# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What istiod makes of a rule's outlierDetection for Envoy.

Source: istio 1.31 pilot/pkg/networking/core/cluster_traffic_policy.go, applyOutlierDetection.
Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier_detection import OutlierDetection
from ansible_collections.meshops.locality.plugins.module_utils._istio.durations import parse_duration
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import number


def envoy_outlier_detection(block: t.Mapping[str, t.Any] | None) -> OutlierDetection | None:
    """Return Envoy's outlier detection for an Istio block, as written in a rule; None for none.

    A counter that is 0 is switched off; one that is absent has Envoy's default. maxEjectionPercent 0 is as good as
    absent, `consecutiveErrors` is ignored, and localOriginFailures apply only with splitExternalLocalOriginErrors.
    """
    if block is None:
        return None
    values: dict[str, t.Any] = {}
    for field, name in (
        ("consecutive5xxErrors", "consecutive_5xx"),
        ("consecutiveGatewayErrors", "consecutive_gateway_failure"),
    ):
        if block.get(field) is not None:
            count = number(block[field])
            values[name] = count
            values[f"enforcing_{name}"] = 100 if count > 0 else 0
    if block.get("splitExternalLocalOriginErrors") is True:
        values["split_external_local_origin_errors"] = True
        local = number(block.get("consecutiveLocalOriginFailures"))
        if local > 0:
            values["consecutive_local_origin_failure"] = local
    for field, name in (("interval", "interval"), ("baseEjectionTime", "base_ejection_time")):
        seconds = parse_duration(block.get(field))
        if seconds is not None:
            values[name] = seconds
    percent = number(block.get("maxEjectionPercent"))
    if percent > 0:
        values["max_ejection_percent"] = percent
    return OutlierDetection(**values)
