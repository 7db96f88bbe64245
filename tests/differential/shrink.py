# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a mesh that shows a difference as small as it can be while it still shows one.

Everything is JSON, so it is enough to leave out one list item or one field after the other, the largest first.
"""

from __future__ import annotations

import copy
import json
import typing as t

Json = dict[str, t.Any]
Path = tuple[str | int, ...]

#: Without these an object is not that object any more.
_KEPT = {
    "apiVersion", "kind", "name", "namespace", "pod", "type", "metadata", "spec", "status", "hosts", "host", "address",
    "addresses", "number", "resolution",
}  # fmt: skip


def shrink(mesh: Json, still_differs: t.Callable[[list[Json]], list[bool]], *, batch: int = 24) -> Json:
    """Return a smaller mesh for which `still_differs` is true, too; it is asked for several meshes at a time."""
    current = mesh
    changed = True
    while changed:
        changed = False
        start = 0
        while True:
            # Whole objects go first, then their fields; what could not go is not tried again in this round.
            paths = sorted(_paths(current), key=lambda path: (len(path), path[:1] != ("objects",)))
            some = paths[start : start + batch]
            if not some:
                break
            smaller = [_without(current, path) for path in some]
            position = next((index for index, answer in enumerate(still_differs(smaller)) if answer), None)
            if position is None:
                start += batch
            else:
                current, changed = smaller[position], True
                start += position
    return current


def _paths(value: t.Any, path: Path = ()) -> t.Iterator[Path]:
    if isinstance(value, dict):
        for key, item in value.items():
            if path and key not in _KEPT:
                yield (*path, key)
            if key != "status":
                yield from _paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield (*path, index)
            yield from _paths(item, (*path, index))


def _without(mesh: Json, path: Path) -> Json:
    copied = copy.deepcopy(mesh)
    parent: t.Any = copied
    for step in path[:-1]:
        parent = parent[step]
    del parent[path[-1]]
    return copied


def readable(mesh: Json) -> str:
    """Return a mesh as text, one object a line."""
    lines = [json.dumps(item) for item in mesh["objects"]]
    return "\n".join([*lines, f"mesh: {json.dumps(mesh['mesh'])}", f"clients: {json.dumps(mesh['clients'])}"])
