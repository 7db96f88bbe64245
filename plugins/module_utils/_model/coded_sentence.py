# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sentence with a code: the code and the parameters are for programs, the text is for people.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass


@dataclass(frozen=True)
class CodedSentence:
    """A sentence of a table: `text` is made of the table's text for `code` and of `parameters`."""

    code: str
    text: str
    parameters: t.Mapping[str, str]

    def __hash__(self) -> int:
        return hash((self.code, self.text))

    def as_json(self) -> dict[str, t.Any]:
        """Return {code, text, parameters}."""
        return {"code": self.code, "text": self.text, "parameters": dict(self.parameters)}


def filled(template: str, parameters: t.Mapping[str, object]) -> tuple[str, dict[str, str]]:
    """Return (text, parameters as texts) of a table's text with its parameters in braces; 1.0 is written as 1."""
    texts = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in parameters.items()}
    return template.format(**texts), texts


def as_json(sentences: t.Iterable[CodedSentence]) -> list[dict[str, t.Any]]:
    """Return [{code, text, parameters}], each sentence once, in their order."""
    return [sentence.as_json() for sentence in dict.fromkeys(sentences)]
