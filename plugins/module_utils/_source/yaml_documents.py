# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML and JSON texts as kubectl reads them, with bounds, and with the line of what is wrong.

PyYAML scans and parses; the values are put together here, because its own constructors make dates of timestamps and
numbers of `12:30`, take the last of two equal keys without a word, and follow nesting and aliases without a bound.
Source of the scalars: gopkg.in/yaml.v2 resolve.go, which kubectl's sigs.k8s.io/yaml uses.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput

# Ansible loads every module_utils file without third-party libraries; topology_info says that it is missing.
with contextlib.suppress(ImportError):
    import yaml

    _LOADER: t.Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: Deeper nesting is nothing that Kubernetes would take.
MAX_DEPTH = 200
#: What libyaml 0.2.6 and later says before it gives the events of a nesting of more than 1000 (its scanner.c).
_LIBYAML_TOO_DEEP = "exceeded maximum nesting depth"
#: Characters of one text of YAML; JSON is read a hundred times faster.
MAX_YAML = 32 * 1024 * 1024
#: How many values all aliases of a text may stand for together.
MAX_ALIASED = 1_000_000

_INT = re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONSTANTS: dict[str, t.Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE", "y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "n", "N", "no", "No", "NO", "off", "Off", "OFF"), False),
}
_TEMPLATE = re.compile(r"\{\{|\{%")
_SURROGATE = re.compile(r"\\u[dD][89abAB]")


class Duplicate(t.NamedTuple):
    """A key that stands twice in one object; the last one applies. `line` is 0 where it is not known."""

    key: str
    line: int


def documents(
    text: str, source: str, duplicates: list[Duplicate] | None = None, lines: list[int] | None = None
) -> t.Iterator[t.Any]:
    """Yield the documents of a text that is YAML or JSON, empty ones left out.

    Raises InvalidInput with `source`, line and column for what is neither, for a template that is not rendered, for
    too deep a nesting and for too many values. Keys that stand twice are appended to `duplicates`, and, for YAML, the
    line that each document begins in (from 1 on) to `lines`.
    """
    twice = duplicates if duplicates is not None else []
    if text.lstrip("\ufeff \t\r\n").startswith(("{", "[")):
        read = _json(text, twice)
        if read is not None:
            yield from read
            return
    if len(text) > MAX_YAML:
        raise InvalidInput(
            f"{source} has more than {MAX_YAML // 2**20} MiB of YAML, which takes too long to read.",
            do="Give it as JSON (kubectl get -o json), or only those objects that belong to the mesh.",
        )
    yield from _Yaml(source, text, twice, lines if lines is not None else [])


def _json(text: str, duplicates: list[Duplicate]) -> list[t.Any] | None:
    """Return the JSON values that follow each other in a text; None when it is no JSON (it may be YAML)."""

    def pairs(given: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
        mapping = dict(given)
        if len(mapping) != len(given):
            often = Counter(name for name, _value in given)
            duplicates.extend(Duplicate(name, 0) for name, number in often.items() if number > 1)
        return mapping

    decoder = json.JSONDecoder(object_pairs_hook=pairs, parse_float=_float, parse_constant=_no_constant)
    values = []
    text = text.lstrip("\ufeff \t\r\n")
    at = 0
    try:
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            values.append(value)
            rest = re.compile(r"\s*").match(text, at)
            at = rest.end() if rest else at
        if _SURROGATE.search(text):
            json.dumps(values, ensure_ascii=False).encode()  # fails for half a character; YAML then says where
    except (ValueError, RecursionError):
        duplicates.clear()
        return None
    return values


def _float(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _no_constant(name: str) -> t.NoReturn:
    raise ValueError(f"{name} is not JSON")


class _Value(t.NamedTuple):
    value: t.Any
    size: int
    depth: int


@dataclass
class _Open:
    """A list or an object that is being read: how many values, and how deep, aliases as what they stand for."""

    value: list[t.Any] | dict[str, t.Any]
    anchor: str | None
    key: str | None = None
    size: int = 1
    depth: int = 1
    merges: list[t.Any] = field(default_factory=list)


class _Yaml:
    """Reads the documents of one text."""

    def __init__(self, source: str, text: str, duplicates: list[Duplicate], lines: list[int]) -> None:
        self._source = source
        self._text = text
        self._duplicates = duplicates
        self._lines = lines

    def __iter__(self) -> t.Iterator[t.Any]:
        try:
            yield from self._documents()
        except yaml.MarkedYAMLError as error:
            if error.problem == _LIBYAML_TOO_DEEP:
                raise self._wrong(f"nested deeper than {MAX_DEPTH} levels", error.problem_mark) from error
            raise self._wrong(f"not YAML: {error.problem or error.context}", error.problem_mark) from error
        except yaml.YAMLError as error:
            raise InvalidInput(f"{self._source} is not YAML: {str(error).splitlines()[0]}.") from error

    def _documents(self) -> t.Iterator[t.Any]:
        stack: list[_Open] = []
        anchors: dict[str, _Value] = {}
        document: list[t.Any] = []
        aliased = begins = 0
        for event in yaml.parse(self._text, Loader=_LOADER):
            if isinstance(event, yaml.DocumentStartEvent):
                anchors, document, begins = {}, [], 0
            elif isinstance(event, yaml.DocumentEndEvent):
                if document and document[0] is not None:
                    self._lines.append(begins)
                    yield document[0]
            elif isinstance(event, yaml.CollectionStartEvent):
                if event.start_mark is not None:
                    begins = begins or event.start_mark.line + 1
                if len(stack) >= MAX_DEPTH:
                    raise self._wrong(f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
                stack.append(_Open({} if isinstance(event, yaml.MappingStartEvent) else [], event.anchor))
            elif isinstance(event, (yaml.ScalarEvent, yaml.AliasEvent, yaml.CollectionEndEvent)):
                if isinstance(event, yaml.AliasEvent):
                    if event.anchor not in anchors:
                        raise self._wrong(f"there is no anchor {event.anchor} before this alias", event.start_mark)
                    given = anchors[event.anchor]
                    aliased += given.size
                    if aliased > MAX_ALIASED or len(stack) + given.depth > MAX_DEPTH:
                        raise self._wrong(
                            f"the aliases stand for more than {MAX_ALIASED} values, or nest deeper than {MAX_DEPTH} "
                            "levels",
                            event.start_mark,
                        )
                elif isinstance(event, yaml.ScalarEvent):
                    given, anchor = _Value(self._scalar(event), 1, 0), event.anchor
                    anchors.update({anchor: given} if anchor else {})
                else:
                    closed = stack.pop()
                    given = _Value(self._merged(closed, event.start_mark), closed.size, closed.depth)
                    anchors.update({closed.anchor: given} if closed.anchor else {})
                if stack:
                    self._put(stack[-1], given, event)
                else:
                    document.append(given.value)

    def _put(self, parent: _Open, given: _Value, event: t.Any) -> None:
        parent.size += given.size
        parent.depth = max(parent.depth, given.depth + 1)
        value = given.value
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif parent.key is None:
            parent.key = self._key(value, event)
        elif parent.key == "<<":
            parent.merges += value if isinstance(value, list) else [value]
            parent.key = None
        else:
            if parent.key in parent.value:
                self._duplicates.append(Duplicate(parent.key, event.start_mark.line + 1))
            parent.value[parent.key] = value
            parent.key = None

    def _key(self, value: t.Any, event: t.Any) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (int, float)):
            return str(value)
        if value is None:
            return "null"
        raise self._wrong("the key of an object is an object or a list", event.start_mark)

    def _merged(self, closed: _Open, mark: t.Any) -> t.Any:
        if not closed.merges or not isinstance(closed.value, dict):
            return closed.value
        merged: dict[str, t.Any] = {}
        for merge in reversed(closed.merges):
            if not isinstance(merge, dict):
                raise self._wrong("`<<` takes an object or a list of objects", mark)
            merged |= merge
        return merged | closed.value

    def _scalar(self, event: t.Any) -> t.Any:
        value: str = event.value
        tag = event.tag
        if tag is not None and tag.startswith("!") and tag != "!":
            raise self._wrong(f"the tag {tag} means nothing to Kubernetes", event.start_mark)
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise self._wrong("there is half a character (a surrogate)", event.start_mark) from None
        if not event.implicit[0] or tag not in (None, "!"):
            # Quoted, a block, or with a tag of YAML's own.
            return value
        return plain(value)

    def _wrong(self, what: str, mark: t.Any) -> InvalidInput:
        """Return the error; where a template is not rendered, that is what is wrong."""
        line = mark.line if mark is not None else 0
        column = mark.column + 1 if mark is not None else 0
        lines = self._text.splitlines()
        template = next(
            (
                number
                for number in (line, *range(len(lines)))
                if number < len(lines) and _TEMPLATE.search(lines[number])
            ),
            None,
        )
        if template is not None:
            shown = lines[template].strip()[:60]
            return InvalidInput(
                f"{self._source}:{template + 1}: this is a template that is not rendered: {shown}",
                do="Render it first (helm template, or Ansible's template) and give what comes out.",
            )
        return InvalidInput(f"{self._source}:{line + 1}:{column}: {what}.")


def plain(value: str) -> t.Any:
    """Return what a scalar without quotes means: null, true or false, a number, else text."""
    if value in _CONSTANTS:
        return _CONSTANTS[value]
    if value[0] not in "+-.0123456789":
        return value
    if _INT.fullmatch(value) and len(value) < 4000:
        return _integer(value.replace("_", ""), value)
    if _FLOAT.fullmatch(value):
        return _float(value)
    return value


def _integer(digits: str, value: str) -> int | float | str:
    sign = -1 if digits.startswith("-") else 1
    body = digits.lstrip("+-")
    bases = {"0b": 2, "0o": 8, "0x": 16}
    try:
        if body[:2] in bases:
            return sign * int(body[2:], bases[body[:2]])
        return sign * int(body, 8 if len(body) > 1 and body.startswith("0") else 10)
    except ValueError:
        return _float(value) if _FLOAT.fullmatch(value) else value  # 08 is no octal number


def too_deep(value: t.Any) -> bool:
    """Whether something parsed is nested deeper than MAX_DEPTH; JSON's own reader goes much deeper."""
    level: list[t.Any] = [value]
    for _depth in range(MAX_DEPTH + 1):
        level = [
            inner
            for container in level
            if isinstance(container, (dict, list))
            for inner in (container.values() if isinstance(container, dict) else container)
        ]
        if not level:
            return False
    return True
