# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""istiod's words for what its validation finds, where code looks at what was found: by a stable code, never by words.

Source: istio 1.31 pkg/config/validation/validation.go and agent/validation.go.

Pure. Private to this collection: it may change at any time; the codes stay.
"""

from __future__ import annotations

import typing as t

#: Code → istiod's words (for `type-…` ours), with the parameters in their order.
TEXTS: t.Mapping[str, str] = {
    "type": "expected {0}, got {1}",
    "type-duration": "expected {0}, got {1}",
    "type-number": "expected {0}, got {1}",
    "type-negative": "expected {0}, got {1}",
    "domain-missing": "empty domain name not allowed",
    "domain-too-long": "domain name {0} too long (max 255)",
    "domain-invalid": "domain name {0} invalid ({1})",
    "duration-too-short": "duration must be greater than 1ms",
    "duration-too-precise": "only durations to ms precision are supported",
    "negative": "{0} must be non-negative",
    "percentage-range": "percentage {0} is not in range 0..100",
    "errors-deprecated": (
        "outlier detection consecutive errors is deprecated, use consecutiveGatewayErrors or consecutive5xxErrors "
        "instead"
    ),
    "local-origin-not-split": (
        "outlier detection consecutive local origin failures is specified, but split external local origin errors is "
        "set to false"
    ),
    "subset-name-missing": "subset name cannot be empty",
    "subset-twice": "duplicate subset names: {0}",
    "export-public-and-other": "cannot have both public (*) and non-public exportTo values for a resource",
    "export-twice": "duplicate entries in exportTo for entry {0}",
    "export-own-twice": "duplicate entries in exportTo: . and current namespace {0}",
    "distribute-and-failover": "can not simultaneously specify 'distribute' and 'failover'",
    "failover-and-topology-key": (
        "can not simultaneously set 'failover' and topology label '{0}' in 'failover_priority'"
    ),
    "failover-same-region": "locality lb failover settings must specify different regions",
    "failover-not-region": "locality lb failover only specify region",
    "failover-wildcard": "locality lb failover region should not contain '*' wildcard",
    "zone-aware-topology-key": (
        "'failover_priority' for zone aware lb must not use topology label '{0}'; region- and zone-level routing are "
        "handled automatically"
    ),
    "zone-aware-same-region": "zone aware lb failover settings must specify different regions",
    "zone-aware-not-region": (
        "zone aware lb failover only specifies region; zone and subzone failover are handled automatically"
    ),
    "zone-aware-wildcard": "zone aware lb failover region should not contain '*' wildcard",
    "failover-without-outlier-detection": "outlier detection policy must be provided for failover",
    "weight-range": "locality weight must be in range [1, 100]",
    "weight-sum": "total locality weight {0} != 100",
    "locality-wildcard": "locality {0} wildcard '*' number can not exceed 1 and must be in the end",
    "locality-empty-part": "locality {0} must not contain empty region/zone/subzone info",
    "locality-overlap": "locality {0} overlap with previous specified ones",
    "attempts-negative": "attempts cannot be negative",
    "attempts-zero": "http retry policy configured when attempts are set to 0 (disabled)",
}


#: Behind `failover-` and `zone-aware-`: what else than two different regions stands there.
NOT_A_REGION = ("same-region", "not-region", "wildcard")


class CodedText(str):
    """A text of TEXTS with its `code` and the parameters that stand in it."""

    __slots__ = ("code", "parameters")
    code: str
    parameters: tuple[str, ...]


def coded(code: str, *parameters: t.Any) -> CodedText:
    """Return istiod's words for a code of TEXTS, as a text that keeps code and parameters."""
    shown = tuple(map(str, parameters))
    text = CodedText(TEXTS[code].format(*shown))
    text.code, text.parameters = code, shown
    return text
