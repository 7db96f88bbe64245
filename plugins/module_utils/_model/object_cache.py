# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that are computed once for the same objects.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

V = t.TypeVar("V")
T = t.TypeVar("T")


class ObjectCache(t.Generic[V]):
    """Values by the objects they are computed from: by these objects themselves, not by objects equal to them.

    A Service, an assignment or a tuple of endpoints would have to be compared field by field, which costs more than
    most of what is computed from it. The cache keeps the objects: as long as it is there, no other object gets their
    ids.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[t.Any, ...], t.Any] = {}
        self._objects: list[object] = []

    def once(self, compute: t.Callable[[], V], objects: tuple[object, ...], *values: t.Hashable) -> V:
        """Return what `compute` returned first for these objects, in this order, together with equal `values`."""
        key = (*map(id, objects), *values)
        value: t.Any = self._values.get(key, self)
        if value is not self:
            known: V = value
            return known
        self._objects += objects
        computed = self._values[key] = compute()
        return computed

    def values(self) -> t.Iterable[V]:
        """Return all values, in the order in which they were computed."""
        return self._values.values()


def distinct(objects: t.Iterable[T]) -> list[T]:
    """Return each object once, in order; objects that are equal but not the same stay."""
    return list({id(object_): object_ for object_ in objects}.values())
