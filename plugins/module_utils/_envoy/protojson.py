# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Protobuf messages as JSON: both spellings of a field, and durations.

istiod's debug answers and istioctl write `maxEjectionPercent`, Envoy's `/config_dump` writes `max_ejection_percent`.
Wrapped numbers (UInt32Value) are plain numbers, 64-bit ones strings, durations "1.5s", defaults are left out.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput

Json = t.Mapping[str, t.Any]


def camel(name: str) -> str:
    """Return the lowerCamelCase spelling of a field: `max_ejection_percent` → `maxEjectionPercent`."""
    first, *others = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in others)


def get(message: Json, name: str) -> t.Any:
    """Return a field in either spelling; None when it is absent (or null)."""
    value = message.get(name)
    return message.get(camel(name)) if value is None else value


def message(parent: Json, name: str, what: str) -> Json | None:
    """Return a field that is a message; None when it is absent. Raises InvalidInput when it is something else."""
    value = get(parent, name)
    if value is None or isinstance(value, t.Mapping):
        return value
    raise InvalidInput(f"{what}: {name} must be a message, got {value!r}.")


def number(message: Json, name: str, what: str, *, most: int = 2**32 - 1) -> int | None:
    """Return a field that is a whole number from 0 to `most`; None when it is absent. Raises InvalidInput."""
    value = get(message, name)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise InvalidInput(f"{what}: {name} must be a whole number from 0 to {most}, got {value!r}.")
    return value


def seconds(message: Json, name: str, what: str) -> float | None:
    """Return a field that is a duration ("30s", "0.250s") in seconds; None when it is absent. Raises InvalidInput."""
    value = get(message, name)
    if value is None:
        return None
    digits = value[:-1] if isinstance(value, str) and value.endswith("s") else ""
    if not digits.isascii() or not digits.replace(".", "", 1).isdigit():
        raise InvalidInput(f'{what}: {name} must be a duration like "30s" or "0.250s", got {value!r}.')
    return float(digits)


def flag(message: Json, name: str, what: str) -> bool:
    """Return a field that is true or false; False when it is absent. Raises InvalidInput when it is something else."""
    value = get(message, name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise InvalidInput(f"{what}: {name} must be true or false, got {value!r}.")
