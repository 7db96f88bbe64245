# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is everything as it was? The state of objects before and after a drill, compared field by field.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

#: `Kind namespace/name` → field → value.
State = t.Mapping[str, t.Mapping[str, str]]
ABSENT = "(absent)"


class Difference(t.NamedTuple):
    """One field that is not as before. `expected`: the undoing itself makes it so (a sidecar was restarted)."""

    object: str
    field: str
    before: str
    after: str
    expected: bool

    def as_dict(self) -> dict[str, t.Any]:
        """Return it as plain values."""
        return self._asdict()


def differences(before: State, after: State, expected: t.Collection[tuple[str, str]] = ()) -> list[Difference]:
    """Return every field that differs, of all objects of either state; `expected` are (object, field)."""
    differing = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            presence = (ABSENT, "present") if old is None else ("present", ABSENT)
            differing.append(Difference(name, "", *presence, (name, "") in expected))
            continue
        for field in sorted({*old, *new}):
            was, now = old.get(field, ABSENT), new.get(field, ABSENT)
            if was != now:
                differing.append(Difference(name, field, was, now, (name, field) in expected))
    return differing
