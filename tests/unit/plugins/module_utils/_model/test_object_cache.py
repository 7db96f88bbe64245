# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values are computed once for the same objects, and objects that are only equal are told apart."""

from __future__ import annotations

import functools

from ansible_collections.meshops.locality.plugins.module_utils._model.object_cache import ObjectCache, distinct


def test_equal_objects_are_not_the_same_object() -> None:
    first, second = [1], [1]
    asked = (first, second, first)
    cache: ObjectCache[int] = ObjectCache()
    computed = [cache.once(functools.partial(int, number), (item,)) for number, item in enumerate(asked)]
    assert computed == [0, 1, 0]
    assert list(cache.values()) == [0, 1]
    assert [item is other for item, other in zip(distinct([first, second, first]), (first, second), strict=True)] == [
        True,
        True,
    ]


def test_an_object_nobody_else_keeps_does_not_lend_its_id_to_the_next() -> None:
    cache: ObjectCache[int] = ObjectCache()
    computed = [cache.once(functools.partial(int, number), ([number],)) for number in range(100)]
    assert computed == list(range(100))


def test_the_values_are_part_of_the_key_and_none_is_a_value() -> None:
    cache: ObjectCache[str | None] = ObjectCache()
    thing = object()
    calls: list[str] = []

    def compute() -> None:
        calls.append("computed")

    assert [cache.once(compute, (thing,), port) for port in (80, 443, 80)] == [None, None, None]
    assert len(calls) == 2
