# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read objects that may be anything: what does not fit is noted with its path, and read as absent.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import collections.abc
import typing as t
from collections import abc

from ansible_collections.meshops.locality.plugins.module_utils._model.problems import Problem, problem

Anything = t.Any
_NOTHING: t.Mapping[str, t.Any] = {}
#: What isinstance asks for. dict first: what an API server sends is nothing else, and asking for an abstract class
#: takes ten times as long.
MAPPING = (dict, collections.abc.Mapping)


def whole_number(value: Anything) -> int | None:
    """Return a whole number as protobuf's JSON writes it (also as digits in a string), None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.lstrip("-").isdecimal() and value.isascii():
        return int(value)
    return None


class Reading:
    """Reads the fields of one object; `where` names it in the problems, which are appended to `problems`."""

    def __init__(self, where: str, problems: list[Problem]) -> None:
        self.where = where
        self.problems = problems

    @classmethod
    def silent(cls) -> Reading:
        """Return a reader whose problems nobody sees: another reading of the same object reports them."""
        return cls("", [])

    def wrong(self, path: str, code: str, **parameters: object) -> None:
        """Note a problem with a field; see problems.TEXTS."""
        self.problems.append(problem(code, self.where, path, **parameters))

    def mapping(self, value: Anything, path: str) -> t.Mapping[str, t.Any]:
        """Return an object; an absent or wrong one is empty."""
        if isinstance(value, MAPPING):
            return value
        if value is not None:
            self._expected("an object", value, path)
        return _NOTHING

    def items(self, value: Anything, path: str) -> t.Sequence[t.Any]:
        """Return a list; an absent or wrong one is empty."""
        if isinstance(value, (list, tuple)):
            return value
        if value is not None:
            self._expected("a list", value, path)
        return ()

    def mappings(self, value: Anything, path: str) -> t.Iterator[tuple[str, t.Mapping[str, t.Any]]]:
        """Yield (path, object) for each object of a list; other items are noted and left out."""
        for index, item in enumerate(self.items(value, path)):
            inner = f"{path}[{index}]"
            if isinstance(item, MAPPING):
                yield inner, item
            else:
                self._expected("an object", item, inner)

    def text(self, value: Anything, path: str, default: str = "") -> str:
        """Return a string; an absent or wrong one is `default`."""
        if isinstance(value, str):
            return value
        if value is not None:
            self._expected("a string", value, path)
        return default

    def texts(self, value: Anything, path: str) -> tuple[str, ...]:
        """Return a list of strings without what is none."""
        strings = []
        for index, item in enumerate(self.items(value, path)):
            if isinstance(item, str):
                strings.append(item)
            else:
                self._expected("a string", item, f"{path}[{index}]")
        return tuple(strings)

    def labels(self, value: Anything, path: str) -> dict[str, str]:
        """Return an object whose values are strings, without those that are not."""
        given = self.mapping(value, path)
        labels = {}
        for key, item in given.items():
            if isinstance(item, str) and isinstance(key, str):
                labels[key] = item
            else:
                self._expected("a string", item if isinstance(key, str) else key, f"{path}[{key}]")
        return labels

    def number(self, value: Anything, path: str, default: int = 0) -> int:
        """Return a whole number. A string of digits is read as the number that it means, and noted.

        The API server refuses it: no Go integer takes it, and no schema of a CustomResourceDefinition.
        """
        number = whole_number(value)
        if value is not None and (number is None or isinstance(value, str)):
            self._expected("a whole number", value, path)
        return default if number is None else number

    def flag(self, value: Anything, path: str) -> bool | None:
        """Return true or false, None when absent or wrong."""
        if isinstance(value, bool):
            return value
        if value is not None:
            self._expected("true or false", value, path)
        return None

    def _expected(self, wanted: str, value: Anything, path: str) -> None:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        self.wrong(path, "unexpected-type", wanted=wanted, value=shown)


def name_of(item: Anything, position: int) -> str:
    """Return `Kind namespace/name` of an object for messages, whatever is missing of it."""
    if not isinstance(item, MAPPING):
        return f"object {position}"
    metadata = item.get("metadata")
    metadata = metadata if isinstance(metadata, abc.Mapping) else {}
    namespace, name = metadata.get("namespace"), metadata.get("name")
    kind = item.get("kind") if isinstance(item.get("kind"), str) else "object"
    if not isinstance(name, str) or not name:
        return f"{kind} {position} (without a name)"
    return f"{kind} {namespace}/{name}" if isinstance(namespace, str) and namespace else f"{kind} {name}"


def labels_of(item: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Return the labels of an object as the API server has it; those of another type than text are left out."""
    reading = Reading.silent()
    return reading.labels(reading.mapping(item.get("metadata"), "").get("labels"), "")
