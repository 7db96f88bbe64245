# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether labels satisfy a selector of Kubernetes.

Source: Kubernetes 1.35 apimachinery pkg/apis/meta/v1/helpers.go (LabelSelectorAsSelector) and pkg/labels/selector.go.
Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import Reading

Json = t.Mapping[str, t.Any]
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")


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


def read_requirements(given: t.Any, reading: Reading, path: str) -> list[dict[str, t.Any]]:
    """Read the requirements of a node selector or label selector; what cannot be read is noted and left out."""
    requirements = []
    for inner, expression in reading.mappings(given, path):
        key, operator = expression.get("key"), expression.get("operator")
        if isinstance(key, str) and operator in _OPERATORS:
            requirements.append(
                {"key": key, "operator": operator, "values": list(reading.texts(expression.get("values"), inner))}
            )
        else:
            reading.wrong(inner, "unknown-requirement", operators=", ".join(_OPERATORS))
    return requirements


def read_selector(given: t.Any, reading: Reading, path: str) -> dict[str, t.Any]:
    """Read the labelSelector of a constraint on pods; without one it matches none of them, an empty one all.

    Source: Kubernetes 1.35 apimachinery pkg/apis/meta/v1/helpers.go, LabelSelectorAsSelector.
    """
    if given is None:
        return {"matchLabels": {}, "matchExpressions": [{"key": "", "operator": "In"}]}
    selector = reading.mapping(given, path)
    return {
        "matchLabels": reading.labels(selector.get("matchLabels"), f"{path}.matchLabels"),
        "matchExpressions": read_requirements(selector.get("matchExpressions"), reading, f"{path}.matchExpressions"),
    }
