# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A finding, and the table of rules that make them. docs/lint.md has a section for each rule.

Pure. Private to this collection: it may change at any time; ids of rules stay what they are.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._istio.places import Client

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._lint.view import View

ERROR, WARNING, INFO = "error", "warning", "info"
#: The gravest first.
SEVERITIES = (ERROR, WARNING, INFO)
#: How many clients of a finding are named.
NAMED = 5

ISTIO = "https://istio.io/latest/docs/reference/config/networking"
LOCALITY_SETTING = f"{ISTIO}/destination-rule/#LocalityLoadBalancerSetting"
OUTLIER_DETECTION = f"{ISTIO}/destination-rule/#OutlierDetection"
PRECEDENCE = "https://istio.io/latest/docs/ops/best-practices/traffic-management/#cross-namespace-configuration"


def issue(number: int) -> str:
    """Return the address of an issue of Istio."""
    return f"https://github.com/istio/istio/issues/{number}"


class Where(t.NamedTuple):
    """An object (`Kind namespace/name`) and the path of a field in it."""

    object: str
    path: str = ""

    def below(self, path: str) -> Where:
        """Return a field below this one."""
        return Where(self.object, f"{self.path}.{path}" if self.path else path)


class Found(t.NamedTuple):
    """What a rule finds at one place: `message` what is the case and `why` what it does, with numbers; `fix` a value.

    `clients` are those whose requests it concerns.
    """

    where: Where
    message: str
    why: str = ""
    fix: str = ""
    clients: tuple[Client, ...] = ()


@dataclass(frozen=True)
class Finding:
    """A Found with the rule that found it. `suppressed` is the reason somebody gave for living with it.

    `clients` is the number of clients concerned, `named` the `namespace/name` of the first few. `source` is the file
    (and line) that the object was read from, where that is known.
    """

    id: str
    severity: str
    title: str
    object: str
    field: str
    message: str
    why: str = ""
    fix: str = ""
    link: str = ""
    clients: int = 0
    named: tuple[str, ...] = ()
    source: str = ""
    suppressed: str = ""


Check = t.Callable[["View"], t.Iterator[Found]]


@dataclass(frozen=True)
class Rule:
    """One thing that lint looks for. `id` never changes its meaning; `link` is Istio's document or issue about it."""

    id: str
    severity: str
    title: str
    link: str
    check: Check


RULES: dict[str, Rule] = {}


def rule(ident: str, severity: str, title: str, link: str) -> t.Callable[[Check], Check]:
    """Enter a function into the table of rules."""

    def enter(check: Check) -> Check:
        if ident in RULES:
            raise ValueError(f"There are two rules {ident}.")
        RULES[ident] = Rule(ident, severity, title, link, check)
        return check

    return enter
