# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether labels satisfy a selector of Kubernetes.

Source: Kubernetes 1.35 apimachinery pkg/apis/meta/v1/helpers.go (LabelSelectorAsSelector) and pkg/labels/selector.go.
Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

Json = t.Mapping[str, t.Any]


def requirement_met(requirement: Json, labels: t.Mapping[str, str]) -> bool:
    """Whether labels satisfy one {key, operator, values} of a node selector or of a label selector."""
    key, values = requirement["key"], requirement.get("values") or []
    live = labels.get(key)
    match requirement["operator"]:
        case "In":
            return live in values
        case "NotIn":
            return live not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "Gt" | "Lt" as operator:
            try:
                left, right = int(labels.get(key, "")), int(values[0])
            except (ValueError, IndexError):
                return False
            return left > right if operator == "Gt" else left < right
    return False


def selector_matches(selector: Json | None, labels: t.Mapping[str, str]) -> bool:
    """Whether labels satisfy a LabelSelector; an empty one matches everything."""
    selector = selector or {}
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items()) and all(
        requirement_met(requirement, labels) for requirement in selector.get("matchExpressions") or []
    )
