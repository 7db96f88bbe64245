# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What looks like a credential is taken out of a document before it becomes evidence.

Nothing in a drill needs a credential; this is the second line of defence, for what people write into options.
Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t

REMOVED = "(removed: it looked like a credential)"
#: Names of fields whose text is never shown, whatever it is.
_NAMES = re.compile(
    r"(pass(word|wd|phrase)|secret|token|authorization|cookie|api[-_]?key|private[-_]?key|client[-_]?key([-_]data)?"
    r"|credential|bearer|basic[-_]?auth)s?$",
    re.IGNORECASE,
)
_VALUES = (
    # PEM blocks of keys; certificates are public.
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL),
    # JSON Web Tokens, which ServiceAccounts have.
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*"),
    re.compile(r"\b(sha256~[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|glpat-[A-Za-z0-9_-]{16,}|AKIA[A-Z0-9]{16})"),
    re.compile(r"(?<=\bbearer )[A-Za-z0-9._~+/=-]{6,}|(?<=\bbasic )[A-Za-z0-9+/=]{8,}", re.IGNORECASE),
    # user:password@ of an address.
    re.compile(r"(?<=://)[^\s/@:]+:[^\s/@]+(?=@)"),
    # password=…, token: … in a command line or a query.
    re.compile(
        r"(?<![A-Za-z0-9])((?:[a-z0-9]+[-_])*(?:password|passwd|passphrase|secret|token|api[-_]?key|client[-_]?key[-_]data)"
        r"[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&}]+",
        re.IGNORECASE,
    ),
)


def without_credentials(value: t.Any) -> tuple[t.Any, int]:
    """Return plain JSON values with what looks like a credential replaced, and how many times that was."""
    number = 0
    harmless: set[str] = set()

    def replaced(match: re.Match[str]) -> str:
        nonlocal number
        if match.group().endswith(REMOVED):
            return match.group()
        number += 1
        return (match.group(1) if match.re is _VALUES[-1] else "") + REMOVED

    def clean(part: t.Any) -> t.Any:
        nonlocal number
        if isinstance(part, str):
            if part in harmless:
                return part
            given = part
            for pattern in _VALUES:
                part = pattern.sub(replaced, part)
            if part == given:
                harmless.add(part)
            return part
        if part is None or isinstance(part, (int, float)):
            return part
        if isinstance(part, t.Mapping):
            cleaned = {}
            for name, inner in part.items():
                secret = isinstance(inner, str) and inner not in ("", REMOVED) and _NAMES.search(str(name))
                number += bool(secret)
                cleaned[clean(name) if isinstance(name, str) else name] = REMOVED if secret else clean(inner)
            return cleaned
        if isinstance(part, (list, tuple)):
            return [clean(inner) for inner in part]
        return part

    return clean(value), number
