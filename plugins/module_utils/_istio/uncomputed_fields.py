# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of rules that newer lines of istiod act on and that are not computed, and those that this line ignores.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import abc

from ansible_collections.meshops.locality.plugins.module_utils._istio.api_messages import EFFECT_SINCE, SINCE
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import Semantics

_MESSAGES = {
    "outlierDetection": "OutlierDetection",
    "loadBalancer": "LoadBalancerSettings",
    "tls": "ClientTLSSettings",
}


class LateField(t.NamedTuple):
    """A field of a rule: `path` to it in what was looked at, `name` with its block, the line `since` which it acts."""

    path: str
    name: str
    since: str


def not_computed(part: t.Any, semantics: Semantics) -> list[LateField]:
    """Return the fields in a rule's spec (or a part of it) that this line acts on, and that are not computed."""
    late = [*_late(SINCE, part, ""), *_late(EFFECT_SINCE, part, "")]
    return [field for field in late if semantics.knows(field.since)]


def without_effect(part: t.Any, semantics: Semantics) -> list[LateField]:
    """Return the fields in a rule's spec that this line accepts and does nothing with."""
    return [field for field in _late(EFFECT_SINCE, part, "") if not semantics.knows(field.since)]


def _late(table: t.Mapping[str, t.Mapping[str, str]], part: t.Any, path: str) -> t.Iterator[LateField]:
    if isinstance(part, (list, tuple)):
        for index, item in enumerate(part):
            yield from _late(table, item, f"{path}[{index}]")
    if not isinstance(part, abc.Mapping):
        return
    for key, value in part.items():
        inner = f"{path}.{key}" if path else str(key)
        if isinstance(value, abc.Mapping):
            for name, since in table.get(_MESSAGES.get(str(key), ""), {}).items():
                if name in value:
                    yield LateField(f"{inner}.{name}", f"{key}.{name}", since)
        yield from _late(table, value, inner)
