# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at a mesh with all rules, and return what they find.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import VERSIONS, semantics
from ansible_collections.meshops.locality.plugins.module_utils._lint import (
    distribute,
    endpoint_spread,
    failover,
    failover_priority,
    localities,
    outlier_detection,
    precedence,
    retries,
    upgrade,
    validation,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import Observed, View
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    INFO,
    NAMED,
    SEVERITIES,
    Finding,
    Found,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import RULES, LintRule
from ansible_collections.meshops.locality.plugins.module_utils._lint.suppressions import (
    OWN,
    Suppression,
    from_annotations,
    from_option,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot

#: Each has entered its rules into RULES when it was imported.
TOPICS = (
    validation,
    distribute,
    outlier_detection,
    localities,
    failover,
    failover_priority,
    endpoint_spread,
    retries,
    upgrade,
    precedence,
)


def all_rules() -> dict[str, LintRule]:
    """Return every rule by its id, in the order of ids."""
    return dict(sorted(RULES.items()))


def lint(
    snapshot: Snapshot,
    *,
    version: str = "",
    next_version: str | None = None,
    min_severity: str = INFO,
    suppress: t.Any = (),
    observed: Observed = (),
    sources: t.Mapping[str, str] | None = None,
) -> list[Finding]:
    """Return the findings, the gravest first, then by id, object and field; suppressed ones are among them.

    `version`: Istio's, when it is not the snapshot's. `next_version`: the one that is compared with, '' for none, None
    for the line after this one. `suppress`: see suppress.from_option. `observed`: the clients of endpoints_info.
    `sources` has the file (and line) of objects by `Kind namespace/name`.
    Raises InvalidInput for options that are not understood; a mesh never makes it raise.
    """
    if min_severity not in SEVERITIES:
        raise InvalidInput(f"min_severity: {min_severity!r} is not one of {', '.join(SEVERITIES)}.")
    planner = Planner(snapshot, version)
    following = _following(planner.semantics.version) if next_version is None else next_version
    view = View(planner, observed=observed, next_version=semantics(following).version if following else "")
    suppressions = [*from_option(suppress), *from_annotations(view)]
    view.memory["suppressions"] = suppressions
    found = [
        _finding(one, told, suppressions, sources or {})
        for one in all_rules().values()
        if one.id not in OWN
        for told in _once(one.check(view))
    ]
    view.memory["unused"] = [
        one
        for one in suppressions
        if not one.wrong and not any(one.covers(finding.id, finding.object) for finding in found)
    ]
    for ident in OWN:
        found += [_finding(RULES[ident], told, [], sources or {}) for told in _once(RULES[ident].check(view))]
    wanted = SEVERITIES[: SEVERITIES.index(min_severity) + 1]
    return sorted((one for one in found if one.severity in wanted), key=_order)


def _following(version: str) -> str:
    known = list(VERSIONS)
    if version not in known:
        return ""
    position = known.index(version) + 1
    return known[position] if position < len(known) else ""


def _order(one: Finding) -> tuple[t.Any, ...]:
    return (SEVERITIES.index(one.severity), one.id, one.object, one.field, one.message)


def _once(found: t.Iterable[Found]) -> t.Iterator[Found]:
    """Join what says the same of the same field: its clients together."""
    joined: dict[tuple[str, str, str], Found] = {}
    for one in found:
        key = (one.where.object, one.where.path, one.message)
        clients = {client.key: client for client in (*joined.get(key, one).clients, *one.clients)}
        joined[key] = joined.get(key, one)._replace(clients=tuple(clients[name] for name in sorted(clients)))
    yield from joined.values()


def _finding(
    rule: LintRule, found: Found, suppressions: t.Iterable[Suppression], sources: t.Mapping[str, str]
) -> Finding:
    name, path = found.where
    reason = next((one.reason for one in suppressions if one.covers(rule.id, name)), "")
    return Finding(
        rule.id,
        found.severity or rule.severity,
        rule.title,
        name,
        path,
        found.message,
        f"{found.doubt} {found.why}" if found.doubt else found.why,
        found.fix,
        rule.link,
        len(found.clients),
        tuple(client.key for client in found.clients[:NAMED]),
        sources.get(name, ""),
        reason,
    )
