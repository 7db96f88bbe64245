# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One page of a list, read item by item: the objects of a page never stand in memory together.

Own code: the standard library's json has no such reader, and a collection brings no library (ijson) to its users.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import re
import typing as t

_DECODE = json.JSONDecoder().raw_decode
_SPACE = re.compile(r"[ \t\n\r]*")
#: How the lists of Kubernetes' own kinds begin; those of custom resources end with their metadata.
_HEAD = re.compile(rb'\{"kind":"\w+","apiVersion":"[\w./]+","metadata":(\{[^{}]*\})')
_HEAD_LENGTH = 4096
#: Who owns which field, about a third of every object. Outside of texts there is no bracket in it.
_MANAGED_FIELDS = re.compile(rb',"managedFields":\[[^"\[\]]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"\[\]]*)*\]')


def continue_token(page: bytes) -> str | None:
    """Return the token of the next page, '' for the last page, None when only reading the whole page can tell."""
    head = _HEAD.match(page[:_HEAD_LENGTH])
    if not head:
        return None
    try:
        token = json.loads(head[1]).get("continue", "")
    except ValueError:
        return None
    return token if isinstance(token, str) else None


class Page:
    """A page's items, one after the other, and the `token` of the next page once they have been read.

    `lean`: managed fields are cut out before anything is read.
    """

    def __init__(self, data: bytes, lean: bool = False) -> None:
        self._text = (_MANAGED_FIELDS.sub(b"", data) if lean else data).decode("utf-8")
        self.token = ""

    def __iter__(self) -> t.Iterator[t.Any]:
        """Yield the items. Raises ValueError when the page is not the JSON of a list: without `items` it is not."""
        text, at = self._text, self._expect(0, "{")
        if text[at : at + 1] == "}":
            raise ValueError("no items")
        is_list = False
        while True:
            name, at = _DECODE(text, at)
            at = self._expect(at, ":")
            is_list = is_list or name == "items"
            if name == "items" and text[at : at + 1] == "[":
                at = self._expect(at, "[")
                more = text[at : at + 1] != "]"
                while more:
                    item, at = _DECODE(text, at)
                    yield item
                    at = self._skip(at)
                    more = text[at : at + 1] == ","
                    at = self._expect(at, ",") if more else at
                at = self._expect(at, "]")
            else:
                value, at = _DECODE(text, at)
                if name == "metadata" and isinstance(value, dict):
                    token = value.get("continue")
                    self.token = token if isinstance(token, str) else ""
            at = self._skip(at)
            if text[at : at + 1] == "}":
                if not is_list:
                    raise ValueError("no items")
                return
            at = self._expect(at, ",")

    def _skip(self, at: int) -> int:
        space = _SPACE.match(self._text, at)
        return space.end() if space else at

    def _expect(self, at: int, sign: str) -> int:
        at = self._skip(at)
        if self._text[at : at + 1] != sign:
            raise ValueError(f"expected {sign!r} at character {at}")
        return self._skip(at + 1)
