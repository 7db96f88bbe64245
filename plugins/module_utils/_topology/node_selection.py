# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes are meant: by name, or by rules over names and labels.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import difflib
import typing as t
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_names import object_name
from ansible_collections.meshops.locality.plugins.module_utils._topology.node_labels import LABELS, Labels, check_value

#: Field (region, zone, subzone) → value.
Fields = t.Mapping[str, str]


@dataclass(frozen=True)
class NodeRule:
    """The nodes whose name matches the glob and whose labels include all of `match_labels` belong to one place."""

    where: str
    name_pattern: str = "*"
    match_labels: Labels = field(default_factory=dict)
    fields: Fields = field(default_factory=dict)

    def matches(self, name: str, labels: Labels) -> bool:
        return fnmatchcase(name, self.name_pattern) and all(
            labels.get(key) == value for key, value in self.match_labels.items()
        )


@dataclass(frozen=True)
class NodeSelection:
    """`fields` per selected node, the rules (by their place in the list) that no node matches, and the nodes that are
    not there any more.
    """

    nodes: t.Mapping[str, Fields]
    unmatched: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


def read_nodes(nodes: t.Mapping[str, t.Any], values: bool = True) -> dict[str, Fields]:
    """Check the option `nodes`: node name → {region, zone, subzone}, each optional.

    With `values` off (state absent and previous) the fields are only named: values are ignored, no field means all.
    Raises InvalidInput with the node and the field, also for what cannot be a node's name.
    """
    return {
        object_name(str(name), f"The name of nodes[{name}]"): _fields(f"nodes[{name}]", given, values)
        for name, given in nodes.items()
    }


def read_rules(rules: t.Sequence[t.Mapping[str, t.Any]], values: bool = True) -> list[NodeRule]:
    """Check the option `rules`: a list of {name_pattern, match_labels, region, zone, subzone}.

    Raises InvalidInput with the place in the list and the field, also for a blank name_pattern.
    """
    node_rules = []
    for index, given in enumerate(rules):
        where = f"rules[{index}]"
        pattern = given.get("name_pattern")
        if pattern is not None and not pattern.strip():
            raise InvalidInput(f"{where}.name_pattern is blank.", do="Leave it out, or use '*' for every node.")
        if not pattern and not given.get("match_labels"):
            raise InvalidInput(
                f"{where} has neither name_pattern nor match_labels.", do="Use name_pattern '*' for every node."
            )
        fields = _fields(where, {key: given[key] for key in LABELS if given.get(key) is not None}, values)
        labels = {str(key): str(value) for key, value in (given.get("match_labels") or {}).items()}
        node_rules.append(NodeRule(where, pattern or "*", labels, fields))
    return node_rules


def _fields(where: str, given: object, values: bool) -> dict[str, str]:
    if given is None and not values:
        given = {}
    if not isinstance(given, t.Mapping):
        raise InvalidInput(
            f"{where} is {given!r}.", do="Write a dictionary with region, zone and subzone (each optional)."
        )
    unknown = sorted(str(key) for key in given if key not in LABELS)
    if unknown:
        raise InvalidInput(
            f"{where} has the unknown field {', '.join(unknown)}.", do="Known are region, zone and subzone."
        )
    if not values:
        return dict.fromkeys(given or LABELS, "")
    fields = {key: check_value(value, f"{where}.{key}") for key, value in given.items() if value is not None}
    if not fields:
        raise InvalidInput(f"{where} names no region, zone or subzone.", do="Give at least one of them.")
    return fields


def select(
    live: t.Mapping[str, Labels],
    nodes: t.Mapping[str, Fields],
    rules: t.Sequence[NodeRule],
    *,
    may_be_gone: bool = False,
) -> NodeSelection:
    """Return the fields each node shall get. `live` holds the labels of all nodes of the cluster.

    `may_be_gone`: nodes that are not there are left out (`gone`), instead of an error: what takes labels away has
    nothing to do for a node that an autoscaler has removed.

    Raises InvalidInput for a name that no node has (with names that come close), and when two sources want different
    values for the same field of a node.
    """
    unknown = [name for name in nodes if name not in live]
    if unknown and not may_be_gone:
        raise InvalidInput("; ".join(_unknown(name, live) for name in unknown) + ".", unknown_nodes=unknown)
    sources = [(f"nodes[{name}]", name, fields) for name, fields in nodes.items() if name in live]
    unmatched = []
    for rule in rules:
        matching = [name for name, labels in live.items() if rule.matches(name, labels)]
        sources += [(rule.where, name, rule.fields) for name in matching]
        if not matching:
            unmatched.append(rule.where)
    chosen: dict[str, dict[str, str]] = {}
    origin: dict[tuple[str, str], str] = {}
    for where, name, fields in sources:
        place = chosen.setdefault(name, {})
        for key, value in fields.items():
            if place.setdefault(key, value) != value:
                raise InvalidInput(
                    f"Node {name}: {origin[name, key]} wants {key} {place[key]!r}, but {where} wants {value!r}.",
                    do="Narrow one of them, so that every field of a node has one value.",
                )
            origin.setdefault((name, key), where)
    return NodeSelection(chosen, tuple(unmatched), tuple(unknown))


def _unknown(name: str, live: t.Mapping[str, Labels]) -> str:
    close = difflib.get_close_matches(name, live, n=3)
    if close:
        return f"There is no node {name} in the cluster; close to it: {', '.join(close)}"
    some = sorted(live)[:10]
    return (
        f"There is no node {name} in the cluster; there are: "
        f"{', '.join(some) or 'none'}{' …' if len(live) > 10 else ''}"
    )
