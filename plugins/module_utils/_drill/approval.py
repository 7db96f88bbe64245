# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The approval of a second person for a drill whose fault nobody but a hand can end.

The namespace's owner asks for it with the consent `with-approval`. It is an annotation on the Namespace, written by
somebody who may change that object; whoever drills may not, which is asked of the API server. So two rights are needed.
That two credentials are two persons, Kubernetes does not know; who wrote the annotation stands in its audit log only.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t

#: The annotation of a Namespace that approves one drill: `TOKEN until TIME`.
ANNOTATION = "meshops.locality/drill-approval"
_FORM = re.compile(r"([0-9a-f]{12}) until (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")


def token(namespace: str, service: str, fault: str, asked: t.Sequence[str], duration: int) -> str:
    """Return what stands for one drill: another scope, fault or duration needs another approval."""
    text = json.dumps([namespace, service, fault, list(asked), duration])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def problem(annotation: str, wanted: str, now: str) -> str:
    """Return why the annotation does not approve the drill with this token, '' when it does.

    `now` is UTC, `2026-11-26T16:40:00Z`: such texts sort as their times do.
    """
    if not annotation:
        return "Nobody has approved this drill."
    match = _FORM.fullmatch(annotation.strip())
    if match is None:
        return f"The approval {annotation!r} is not of the form `TOKEN until TIME`, TIME as in {now}."
    if match[1] != wanted:
        return f"The approval is for another drill ({match[1]}; this one is {wanted})."
    return f"The approval ended at {match[2]}." if now >= match[2] else ""


def command(namespace: str, wanted: str) -> str:
    """Return how a second person approves a drill for the time that they choose."""
    return f"kubectl annotate namespace {namespace} --overwrite '{ANNOTATION}={wanted} until 2026-01-31T18:00:00Z'"
