# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes while somebody works on them: objects that are not there yet, nodes with some of their labels, empty fields.

What the generator makes is nearly whole. A live mesh is not: another playbook may label its nodes at this moment.
"""

from __future__ import annotations

import copy
import typing as t
from random import Random

Json = dict[str, t.Any]

#: Without them there is no object.
_IDENTITY = frozenset(("apiVersion", "kind", "metadata", "name", "namespace"))
#: What stands in place of a value.
_EMPTY: dict[type, tuple[t.Any, ...]] = {
    str: ("", None),
    int: (0, -1, 10**6, None),
    float: (0.0, -1.0, None),
    bool: (None,),
    list: ([], None),
    dict: ({}, None),
}


def with_missing_fields(random: Random, objects: t.Iterable[Json]) -> list[Json]:
    """Return copies of objects: of none, few or most nodes labels are missing, of the others fields, or they are."""
    labels, gone, fields = random.choice((0, 0.3, 0.6, 0.9)), random.choice((0, 0, 0.1)), random.choice((0, 0.02, 0.1))
    left = [copy.deepcopy(item) for item in objects if random.random() >= gone]
    for item in left:
        own = item["metadata"].get("labels") or {}
        for key in list(own) if item["kind"] == "Node" else ():
            if random.random() < labels:
                del own[key]
        _thin(random, item, fields)
    return left


def _thin(random: Random, value: t.Any, share: float) -> None:
    for inner in value if isinstance(value, list) else ():
        _thin(random, inner, share)
    for key in list(value) if isinstance(value, dict) else ():
        if key in _IDENTITY or random.random() >= share:
            _thin(random, value[key], share)
        elif random.random() < 0.5:
            del value[key]
        else:
            value[key] = random.choice(_EMPTY.get(type(value[key]), (None,)))
