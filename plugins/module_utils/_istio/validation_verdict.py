# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One thing that istiod's validation says.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.validation_texts import CodedText


class Verdict(t.NamedTuple):
    """`level`: error and type (the object is refused), unknown (a field that does not exist), warning, or chance.

    `path` is below the spec; `message` istiod's words, for type and unknown ours. `chance`: the same object is refused
    or not from one try to the next.
    """

    level: str
    path: str
    message: str

    @property
    def code(self) -> str:
        """The code of the message (_istio/validation_texts.py), '' when no code looks at it."""
        return self.message.code if isinstance(self.message, CodedText) else ""

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters of the message, when it has a code."""
        return self.message.parameters if isinstance(self.message, CodedText) else ()

    @property
    def refused(self) -> bool:
        """Whether istiod always refuses the object because of this."""
        return self.level in ("error", "type")


Said = t.Iterator[Verdict]


def error(path: str, message: str) -> Said:
    """Yield an error, unless the message is empty."""
    if message:
        yield Verdict("error", path, message)


def warning(path: str, message: str) -> Said:
    """Yield a warning, unless the message is empty."""
    if message:
        yield Verdict("warning", path, message)


def at(path: str, said: Said) -> Said:
    """Put a path in front of what is said about a part."""
    for verdict in said:
        yield verdict._replace(path=f"{path}.{verdict.path}" if verdict.path else path)
