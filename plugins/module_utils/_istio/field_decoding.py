# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What istiod can decode of an object at all, and what it makes of it.

istiod decodes with the legacy jsonpb of github.com/golang/protobuf 1.5 (jsonpb/decode.go), and this does as that does:
numbers may stand in quotes, null is absent, of a oneof the last field applies.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import math
import re
import typing as t
from collections import abc

from ansible_collections.meshops.locality.plugins.module_utils._istio.api_messages import (
    MESSAGES,
    ONE_OF,
    SINCE,
    Enum,
    Map,
    Message,
    Repeated,
    Typed,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.durations import nanoseconds
from ansible_collections.meshops.locality.plugins.module_utils._istio.validation_texts import coded


class Flaw(t.NamedTuple):
    """A field that cannot be decoded (`unknown`: that does not exist). `path` is below the spec."""

    path: str
    message: str
    unknown: bool = False


_RANGES = {"int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1), "uint64": (0, 2**64 - 1)}
_WANTED = {
    "string": "a string", "bool": "true or false", "int32": "a whole number", "uint32": "a whole number, 0 or more",
    "uint64": "a whole number, 0 or more", "double": "a number", "duration": "a duration such as 500ms, 1s or 1m30s",
}  # fmt: skip
#: JSON's numbers; what stands in quotes may have space around it. Source: Go encoding/json.
_INTEGER = re.compile(r"[ \t\r\n]*(-?(?:0|[1-9][0-9]*))[ \t\r\n]*")
_NUMBER = re.compile(r"[ \t\r\n]*(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)[ \t\r\n]*")


def decode(kind: str, spec: t.Any, knows: t.Callable[[str], bool] = lambda _since: True) -> tuple[Typed, list[Flaw]]:
    """Return a spec of a kind in MESSAGES with all values of their types, and what could not be decoded.

    Durations become nanoseconds, enums words. Absent fields and those with a flaw are left out, objects with a flaw are
    empty. Nothing is raised, whatever the spec is. `knows` says whether a field of a line (`1.32`) is there.
    """
    flaws: list[Flaw] = []
    typed = _decode(Message(kind), spec, "", flaws)
    flaws += _too_new(Message(kind), typed, "", knows)
    return (typed if isinstance(typed, dict) else {}), flaws


def _too_new(kind: t.Any, typed: t.Any, path: str, knows: t.Callable[[str], bool]) -> t.Iterator[Flaw]:
    """Take away fields of later lines, and yield that they are unknown."""
    if isinstance(kind, Repeated) and isinstance(typed, list):
        for index, item in enumerate(typed):
            yield from _too_new(kind.inner, item, f"{path}[{index}]", knows)
    if not isinstance(kind, Message) or not isinstance(typed, dict):
        return
    for key, since in SINCE.get(kind.name, {}).items():
        if key in typed and not knows(since):
            del typed[key]
            inner = f"{path}.{key}" if path else key
            yield Flaw(inner, f"there is no such field before Istio {since}", unknown=True)
    for key, inner_kind in MESSAGES[kind.name].items():
        if key in typed:
            yield from _too_new(inner_kind, typed[key], f"{path}.{key}" if path else key, knows)


def _decode(kind: t.Any, value: t.Any, path: str, flaws: list[Flaw]) -> t.Any:
    """Return the typed value; None for a flaw, which is noted."""
    if isinstance(kind, Message):
        return _message(kind.name, value, path, flaws)
    if isinstance(kind, Repeated):
        if not isinstance(value, (list, tuple)):
            return _flaw("a list", value, path, flaws)
        # null in a list is an empty object or the type's zero.
        return [_item(kind.inner, item, f"{path}[{index}]", flaws) for index, item in enumerate(value)]
    if isinstance(kind, Map):
        if not isinstance(value, abc.Mapping):
            return _flaw("an object", value, path, flaws)
        return {str(key): _item(kind.inner, item, f"{path}[{key}]", flaws) for key, item in value.items()}
    if isinstance(kind, Enum):
        return _enum(kind, value, path, flaws)
    return _scalar(kind.name, value, path, flaws)


def _item(kind: t.Any, value: t.Any, path: str, flaws: list[Flaw]) -> t.Any:
    if value is None:
        return zero(kind)
    decoded = _decode(kind, value, path, flaws)
    return zero(kind) if decoded is None else decoded


def zero(kind: t.Any) -> t.Any:
    """Return the value of an absent field of a type."""
    if isinstance(kind, Message):
        return {}
    if isinstance(kind, Enum):
        return kind.words[0]
    return {"string": "", "bool": False, "double": 0.0, "any": None}.get(kind.name, 0)


def _message(name: str, value: t.Any, path: str, flaws: list[Flaw]) -> Typed | None:
    if not isinstance(value, abc.Mapping):
        return t.cast("Typed | None", _flaw("an object", value, path, flaws))
    fields = MESSAGES[name]
    typed: Typed = {}
    for key, kind in fields.items():
        if value.get(key) is not None:
            decoded = _decode(kind, value[key], f"{path}.{key}" if path else key, flaws)
            if decoded is not None:
                typed[key] = decoded
            elif isinstance(kind, Message):
                typed[key] = {}  # it is there, whatever it is
    for names in ONE_OF.get(name, ()):
        for key in [key for key in names if key in typed][:-1]:
            del typed[key]
    for key in value:
        if key not in fields:
            inner = f"{path}.{key}" if path else str(key)
            flaws.append(Flaw(inner, f"there is no such field{_meant(str(key), fields)}", unknown=True))
    return typed


def _meant(key: str, fields: t.Mapping[str, t.Any]) -> str:
    plain = key.replace("_", "").replace("-", "").lower()
    for name in fields:
        if name.lower() == plain:
            return f", {name} is meant"
    near = [name for name in fields if len(plain) > 4 and (plain in name.lower() or name.lower() in plain)]
    return f", perhaps {near[0]} is meant" if near else f"; there are {', '.join(fields)}"


def _enum(kind: Enum, value: t.Any, path: str, flaws: list[Flaw]) -> t.Any:
    if isinstance(value, str) and value in kind.words:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31:
        return kind.words[value] if 0 <= value < len(kind.words) else value
    return _flaw(f"one of {', '.join(kind.words)}", value, path, flaws)


def _scalar(kind: str, value: t.Any, path: str, flaws: list[Flaw]) -> t.Any:
    decoded: t.Any = None
    if kind == "any":
        return value
    if kind == "string":
        decoded = value if isinstance(value, str) else None
    elif kind == "bool":
        decoded = value if isinstance(value, bool) else None
    elif kind == "duration":
        decoded = nanoseconds(value)
    elif kind == "double":
        decoded = _double(value)
    else:
        decoded = _whole(value, *_RANGES[kind])
    return _flaw(_WANTED[kind], value, path, flaws) if decoded is None else decoded


def _whole(value: t.Any, least: int, most: int) -> int | None:
    if isinstance(value, str):
        if value.strip(" \t\r\n") == "null":
            return 0
        match = _INTEGER.fullmatch(value) if len(value) <= 40 else None
        # Go reads -0 as a number that may be negative, or not at all.
        value = int(match[1]) if match and not (match[1] == "-0" and least == 0) else None
    elif isinstance(value, float) and value.is_integer():
        value = int(value)  # 10.0 in YAML is 10 in JSON
    fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    return t.cast(int, value) if fits else None


def _double(value: t.Any) -> float | None:
    if isinstance(value, str):
        if value in ("NaN", "Infinity", "-Infinity"):
            return float(value)
        if value.strip(" \t\r\n") == "null":
            return 0.0
        match = _NUMBER.fullmatch(value) if len(value) <= 400 else None
        value = json.loads(match[1]) if match else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _flaw(wanted: str, value: t.Any, path: str, flaws: list[Flaw]) -> None:
    text = shown(value)
    code = "type"
    if wanted.startswith("a duration"):
        code = "type-duration"
    elif wanted.startswith("a whole number"):
        code = "type-negative" if text[:1] == "-" and text[1:].isdigit() else "type-number"
    flaws.append(Flaw(path, coded(code, wanted, text)))


def shown(value: t.Any) -> str:
    """Return a value for a message: JSON where it is one, at most 60 characters, nested parts not written out."""
    if isinstance(value, str):
        text = json.dumps(value[:80], ensure_ascii=False)
    elif isinstance(value, abc.Mapping):
        text = f"an object with {len(value)} fields"
    elif isinstance(value, (list, tuple)):
        text = f"a list of {len(value)}"
    elif value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, int) and abs(value) > 10**30:
        text = "a very large number"
    else:
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
