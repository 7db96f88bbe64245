# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON form of frozen dataclasses: written, read with the path of what is wrong, and described by a JSON schema.

All three follow the types of the fields, so that they cannot drift apart. A field that has its default is left out of
the JSON. Own code, because a collection brings no library (pydantic, cattrs) to its users' controllers.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import types
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput

Json = dict[str, t.Any]
Record = t.TypeVar("Record")
_SCALARS = (str, int, float, type(None))


class _Field(t.NamedTuple):
    name: str
    kind: t.Any
    default: t.Any
    required: bool


@functools.cache
def _fields(record: type) -> tuple[_Field, ...]:
    hints = t.get_type_hints(record)
    fields = []
    for field in dataclasses.fields(record):
        default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        required = default is dataclasses.MISSING
        fields.append(_Field(field.name, hints[field.name], None if required else default, required))
    return tuple(fields)


def to_json(value: t.Any) -> t.Any:
    """Return plain dictionaries, lists and scalars; fields that have their default are left out."""
    # By far most values of a large mesh are texts, then labels: they are looked at first.
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, (dict, collections.abc.Mapping)):
        return {key: item if isinstance(item, str) else to_json(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {}
        for field in _fields(type(value)):
            content = getattr(value, field.name)
            if field.required or content != field.default:
                plain[field.name] = to_json(content)
        return plain
    return value


def from_json(record: type[Record], value: t.Any, path: str = "") -> Record:
    """Read what to_json wrote. Raises InvalidInput with the path of the first thing that does not fit."""
    return t.cast(Record, _read(record, value, path))


def _read(kind: t.Any, value: t.Any, path: str) -> t.Any:
    if kind is t.Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _record(t.cast(type, kind), value, path)
    origin, inner = t.get_origin(kind), t.get_args(kind)
    if origin in (t.Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        return _read(next(member for member in inner if member is not type(None)), value, path)
    if origin is tuple:
        return _tuple(inner, value, path)
    if origin in (dict, collections.abc.Mapping):
        _expect(isinstance(value, collections.abc.Mapping), "an object", value, path)
        for key in value:
            _expect(isinstance(key, str), "an object whose keys are strings", key, path)
        return {key: _read(inner[1], item, f"{path}.{key}") for key, item in value.items()}
    if kind is int:
        _expect(isinstance(value, int) and not isinstance(value, bool), "a whole number", value, path)
    elif kind is float:
        _expect(isinstance(value, (int, float)) and not isinstance(value, bool), "a number", value, path)
    else:
        _expect(isinstance(value, kind), {str: "a string", bool: "true or false"}.get(kind, str(kind)), value, path)
    return value


def _tuple(inner: tuple[t.Any, ...], value: t.Any, path: str) -> tuple[t.Any, ...]:
    _expect(isinstance(value, (list, tuple)), "a list", value, path)
    if len(inner) == 2 and inner[1] is Ellipsis:
        return tuple(_read(inner[0], item, f"{path}[{index}]") for index, item in enumerate(value))
    _expect(len(value) == len(inner), f"a list of {len(inner)}", value, path)
    return tuple(_read(member, item, f"{path}[{i}]") for i, (member, item) in enumerate(zip(inner, value, strict=True)))


def _record(record: type, value: t.Any, path: str) -> t.Any:
    _expect(isinstance(value, collections.abc.Mapping), "an object", value, path)
    fields = {field.name: field for field in _fields(record)}
    unknown = next((str(key) for key in value if key not in fields), None)
    if unknown is not None:
        raise InvalidInput(
            f"{path or 'document'}: there is no field {unknown!r}.", do=f"The fields are {', '.join(fields)}."
        )
    given = {}
    for name, field in fields.items():
        if name in value:
            given[name] = _read(field.kind, value[name], f"{path}.{name}" if path else name)
        elif field.required:
            raise InvalidInput(f"{path or 'document'}: the field {name!r} is missing.")
    return record(**given)


def _expect(fits: bool, wanted: str, value: t.Any, path: str) -> None:
    if not fits:
        shown = repr(value)
        raise InvalidInput(
            f"{path or 'document'}: expected {wanted}, got {shown if len(shown) <= 60 else shown[:57] + '...'}."
        )


def describe(record: type) -> tuple[Json, dict[str, Json]]:
    """Return the JSON schema of a dataclass, and those of the dataclasses in it by name (for `$defs`)."""
    definitions: dict[str, Json] = {}
    root = _describe(record, definitions)
    body = definitions.pop(root["$ref"].rpartition("/")[2])
    return body, definitions


def _describe(kind: t.Any, definitions: dict[str, Json]) -> Json:
    if kind is t.Any:
        return {}
    if dataclasses.is_dataclass(kind):
        record = t.cast(type, kind)
        if record.__name__ not in definitions:
            definitions[record.__name__] = {}
            fields = _fields(record)
            definitions[record.__name__] = {
                "type": "object",
                "description": " ".join((record.__doc__ or "").split()),
                "additionalProperties": False,
                "properties": {field.name: _describe(field.kind, definitions) for field in fields},
                "required": [field.name for field in fields if field.required],
            }
        return {"$ref": f"#/$defs/{record.__name__}"}
    origin, inner = t.get_origin(kind), t.get_args(kind)
    if origin in (t.Union, types.UnionType):
        return {"anyOf": [_describe(member, definitions) for member in inner]}
    if origin is tuple:
        if len(inner) == 2 and inner[1] is Ellipsis:
            return {"type": "array", "items": _describe(inner[0], definitions)}
        described = [_describe(member, definitions) for member in inner]
        return {"type": "array", "prefixItems": described, "minItems": len(inner), "maxItems": len(inner)}
    if origin in (dict, collections.abc.Mapping):
        return {"type": "object", "additionalProperties": _describe(inner[1], definitions)}
    return {"type": {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}[kind]}
