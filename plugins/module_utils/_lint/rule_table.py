# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of lint rules. docs/lint.md has a section for each rule.

Pure. Private to this collection: it may change at any time; ids of rules stay what they are.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._lint.context import View
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import RuleResult

Check = t.Callable[[View], t.Iterator[RuleResult]]


@dataclass(frozen=True)
class LintRule:
    """One thing that lint looks for. `id` never changes its meaning; `link` is Istio's document or issue about it."""

    id: str
    severity: str
    title: str
    link: str
    check: Check


RULES: dict[str, LintRule] = {}


def rule(ident: str, severity: str, title: str, link: str) -> t.Callable[[Check], Check]:
    """Enter a function into the table of rules."""

    def enter(check: Check) -> Check:
        if ident in RULES:
            raise ValueError(f"There are two rules {ident}.")
        RULES[ident] = LintRule(ident, severity, title, link, check)
        return check

    return enter
