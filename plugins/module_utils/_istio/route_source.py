# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a route is written: a text for people, with its parts for code.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t


class RouteSource(str):
    """`VirtualService shop/web http[0]`: the `object` (`Kind namespace/name`) and the `field` of its spec.

    Routes that are Istio's own, or a setting's, have a plain text as their source.
    """

    object: str
    field: str

    @classmethod
    def of(cls, kind: str, name: t.Any, field: str) -> RouteSource:
        """Return the source of an entry of an object; `name` prints as `namespace/name`."""
        source = cls(f"{kind} {name} {field}")
        source.object, source.field = f"{kind} {name}", field
        return source


def source_of(entry: t.Mapping[str, t.Any], virtual: t.Any, field: str) -> RouteSource:
    """Return where an entry of a VirtualService is written: where it came from, else in the VirtualService itself."""
    source = entry.get("source")
    return source if isinstance(source, RouteSource) else RouteSource.of("VirtualService", virtual, field)
