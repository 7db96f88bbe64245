# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings that somebody has decided to live with: who says so gives a reason.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import abc

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import View
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    ERROR,
    INFO,
    RuleResult,
    Suppression,
    Where,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import RULES, rule
from ansible_collections.meshops.locality.plugins.module_utils._model.field_filter import LINT_IGNORE

_DOCUMENT = "https://github.com/meshops/locality/blob/main/docs/lint.md#suppressions"
#: What suppressions say about themselves cannot be suppressed.
OWN = ("ML910", "ML911")
OPTION = "option suppress"


def from_option(given: t.Any) -> list[Suppression]:
    """Read the option: a list of {id, object, reason}; `object` is a glob of `Kind namespace/name`, * without it.

    Raises InvalidInput with the path of what is no such list.
    """
    if not isinstance(given, (list, tuple)):
        raise InvalidInput(f"suppress: expected a list, got {type(given).__name__}.")
    suppressions = []
    for index, entry in enumerate(given):
        if not isinstance(entry, abc.Mapping):
            raise InvalidInput(f"suppress[{index}]: expected {{id, object, reason}}, got {type(entry).__name__}.")
        unknown = sorted(str(key) for key in entry if key not in ("id", "object", "reason"))
        if unknown:
            raise InvalidInput(f"suppress[{index}].{unknown[0]}: there is no such key, only id, object and reason.")
        values = {}
        for key, default in (("id", ""), ("object", "*"), ("reason", "")):
            value = entry.get(key)
            if value is not None and not isinstance(value, str):
                raise InvalidInput(f"suppress[{index}].{key}: expected a string, got {type(value).__name__}.")
            values[key] = (value or default).strip()
        where = Where(OPTION, f"suppress[{index}]")
        suppressions.append(_checked(values["id"], values["object"], values["reason"], where))
    return suppressions


def from_annotations(view: View) -> list[Suppression]:
    """Read the annotations of the objects that istiod validates: `ML201: reason; ML520: reason`."""
    suppressions = []
    for kind, config in view.istio_objects:
        name = f"{kind} {config}"
        for part in config.annotations.get(LINT_IGNORE, "").split(";"):
            if part.strip():
                ident, _colon, reason = part.partition(":")
                where = Where(name, f"metadata.annotations[{LINT_IGNORE}]")
                suppressions.append(_checked(ident.strip(), _literal(name), reason.strip(), where))
    return suppressions


def _literal(name: str) -> str:
    """Return a glob that matches this name only."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)


def _checked(ident: str, name: str, reason: str, where: Where) -> Suppression:
    wrong = ""
    if ident not in RULES:
        wrong = f"there is no rule {ident or '(empty)'}"
    elif ident in OWN:
        wrong = f"{ident} is about suppressions and cannot be suppressed"
    elif not any(sign.isalnum() for sign in reason):
        wrong = f"{ident} has no reason"
    return Suppression(ident, name, reason, where, wrong)


@rule("ML910", ERROR, "A suppression without a reason", _DOCUMENT)
def without_reason(view: View) -> t.Iterator[RuleResult]:
    """It suppresses nothing."""
    for suppression in view.suppressions:
        if suppression.wrong:
            yield RuleResult(
                suppression.where,
                f"The suppression does nothing: {suppression.wrong}.",
                "Whoever reads it later has to know why somebody accepts the finding.",
                f"{suppression.id or 'ML202'}: why it is all right here",
            )


@rule("ML911", INFO, "A suppression that suppresses nothing", _DOCUMENT)
def unused(view: View) -> t.Iterator[RuleResult]:
    """What it was for has gone."""
    for suppression in view.unused_suppressions:
        about = "" if suppression.where.object != OPTION else f" for {suppression.object}"
        yield RuleResult(
            suppression.where,
            f"There is no finding {suppression.id}{about} (any more).",
            "It would hide the next one.",
            "Remove the suppression.",
        )
