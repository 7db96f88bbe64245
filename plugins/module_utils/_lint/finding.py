# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lint finds: a finding, the object and field it is about, its severity, and what suppresses it.

Pure. Private to this collection: it may change at any time; ids of rules stay what they are.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client

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


@dataclass(frozen=True)
class FieldChange:
    """A field of an object (`Kind namespace/name`) and the value it is to have; None takes it out.

    An object that is not there is made. `field` is a path as in Where.
    """

    object: str
    field: str
    value: t.Any = None


class RuleResult(t.NamedTuple):
    """What a rule finds at one place: `message` what is the case, `why` what it does, with numbers, `fix` what helps.

    `patch` is the fix as changes, where it is one; lint() tries it before it is offered. `clients` are those whose
    requests it concerns. `severity`: when it is not that of the rule; `doubt`: why it may be wrong.
    """

    where: Where
    message: str
    why: str = ""
    fix: str = ""
    clients: tuple[Client, ...] = ()
    severity: str = ""
    doubt: str = ""
    patch: tuple[FieldChange, ...] = ()


@dataclass(frozen=True)
class Suppression:
    """Findings with this id for an object (a glob) are suppressed, because of `reason`.

    `where` is where it was written, `wrong` why it suppresses nothing.
    """

    id: str
    object: str
    reason: str
    where: Where
    wrong: str = ""

    def covers(self, ident: str, name: str) -> bool:
        """Whether it is for a finding."""
        return not self.wrong and self.id == ident and fnmatchcase(name, self.object)


@dataclass(frozen=True)
class Finding:
    """A RuleResult with the rule that found it. `suppressed` is the reason somebody gave for living with it.

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
    #: The fix as changes that were tried: with them the finding is gone, and none that is as grave is new.
    patch: tuple[FieldChange, ...] = ()
