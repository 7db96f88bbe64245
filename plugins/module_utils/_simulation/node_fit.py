# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes a pod may run on, and which label or taint stands in the way.

Source: Kubernetes documentation, "Assigning Pods to Nodes" and "Taints and Tolerations".
Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._model.label_selector import (
    requirement_met,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.name_lists import first_names

Json = t.Mapping[str, t.Any]

#: More nodes than this are counted, not named.
NAMED = 8


def placement_obstacle(spec: Json, nodes: t.Sequence[Json]) -> str:
    """Return which label is missing, or which taint not tolerated, so that no node takes a pod with this PodSpec.

    '' when labels and taints leave it a node; then only resources and the like can be in the way.
    """
    fitting = [node for node in nodes if not _unmet(spec, node)]
    if not fitting:
        unmet = {tuple(_unmet(spec, node)) for node in nodes} or {("any node",)}
        wanted = " or ".join(sorted({" and ".join(reasons) for reasons in unmet}))
        return f"No node has {wanted}. {_labels_of(spec, nodes)}".strip()
    closed = {_name(node): taints for node in fitting if (taints := _untolerated(spec, node))}
    if len(closed) < len(fitting):
        return ""
    listed = "; ".join(f"{name}: {', '.join(taints)}" for name, taints in sorted(closed.items())[:NAMED])
    return f"Every node with the wanted labels has a taint that the pod does not tolerate ({listed})."


def fitting_nodes(spec: Json, nodes: t.Sequence[Json]) -> list[str]:
    """Return the names of the nodes whose labels and taints allow a pod with this PodSpec."""
    return sorted(_name(node) for node in nodes if not _unmet(spec, node) and not _untolerated(spec, node))


def _terms(spec: Json) -> list[Json]:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    return t.cast("list[Json]", required.get("nodeSelectorTerms") or [])


def _unmet(spec: Json, node: Json) -> list[str]:
    """Return what the node lacks: of the affinity's terms the one that comes closest, and of the nodeSelector."""
    labels = node["metadata"].get("labels") or {}
    missing = [
        f"the label {key}={value}"
        for key, value in (spec.get("nodeSelector") or {}).items()
        if labels.get(key) != value
    ]
    terms = _terms(spec)
    if terms:
        candidates: list[list[str]] = [_unmet_term(term, labels, _name(node)) for term in terms]
        missing += sorted(candidates, key=len)[0]
    return missing


def _unmet_term(term: Json, labels: t.Mapping[str, str], name: str) -> list[str]:
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return ["a nodeSelectorTerm that is not empty"]
    unmet = [_shown(requirement) for requirement in expressions if not requirement_met(requirement, labels)]
    return unmet + [
        f"{field['key']} {field['operator']} {field.get('values')}"
        for field in fields
        if not requirement_met(field, {"metadata.name": name})
    ]


def _shown(requirement: Json) -> str:
    key, values = requirement["key"], requirement.get("values") or []
    if requirement["operator"] == "In" and len(values) == 1:
        return f"the label {key}={values[0]}"
    return f"the label {key} {requirement['operator']} {', '.join(values)}".rstrip()


def _labels_of(spec: Json, nodes: t.Sequence[Json]) -> str:
    """Return what the nodes have instead, for the keys that the pod asks for."""
    keys = dict.fromkeys(
        [*(spec.get("nodeSelector") or {})]
        + [expression["key"] for term in _terms(spec) for expression in term.get("matchExpressions") or []]
    )
    sentences = []
    for key in keys:
        having: dict[str, list[str]] = {}
        for node in nodes:
            value = (node["metadata"].get("labels") or {}).get(key)
            having.setdefault("absent" if value is None else f"'{value}'", []).append(_name(node))
        sentences.append(
            f"{key} is " + ", ".join(f"{value} on {_names(names)}" for value, names in sorted(having.items()))
        )
    return f"{'; '.join(sentences)}." if nodes and sentences else ""


def _untolerated(spec: Json, node: Json) -> list[str]:
    return [
        f"{taint['key']}{'=' + taint['value'] if taint.get('value') else ''}:{taint['effect']}"
        for taint in (node.get("spec") or {}).get("taints") or []
        if taint["effect"] in ("NoSchedule", "NoExecute")
        and not any(_tolerates(toleration, taint) for toleration in spec.get("tolerations") or [])
    ]


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if not toleration.get("key"):
        return toleration.get("operator") == "Exists"
    if toleration["key"] != taint["key"]:
        return False
    return toleration.get("operator") == "Exists" or (toleration.get("value") or "") == (taint.get("value") or "")


def _name(node: Json) -> str:
    return t.cast(str, node["metadata"]["name"])


def _names(names: t.Sequence[str]) -> str:
    return first_names(sorted(names), NAMED)
