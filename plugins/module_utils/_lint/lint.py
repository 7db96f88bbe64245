# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at a mesh with all rules, and return what they find.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio.destination_rules import Rule
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import covers, resolve
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.sidecar_scope import destinations
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import VERSIONS, semantics
from ansible_collections.meshops.locality.plugins.module_utils._lint import (
    distribute,
    endpoint_spread,
    failing_routes,
    failover,
    failover_priority,
    localities,
    mutual_tls,
    outlier_detection,
    precedence,
    retries,
    routes,
    upgrade,
    validation,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import Observed, View
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    INFO,
    NAMED,
    SEVERITIES,
    FieldChange,
    Finding,
    Found,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.patches import patched
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
    mutual_tls,
    routes,
    failing_routes,
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
    asked = _Asked(version, next_version, suppress, observed, sources or {})
    found = _tried(snapshot, _found(snapshot, asked), asked)
    wanted = SEVERITIES[: SEVERITIES.index(min_severity) + 1]
    return sorted((one for one in found if one.severity in wanted), key=_order)


class _Asked(t.NamedTuple):
    version: str
    next_version: str | None
    suppress: t.Any
    observed: Observed
    sources: t.Mapping[str, str]


def _found(snapshot: Snapshot, asked: _Asked) -> list[Finding]:
    planner = Planner(snapshot, asked.version)
    following = _following(planner.semantics.version) if asked.next_version is None else asked.next_version
    view = View(planner, observed=asked.observed, next_version=semantics(following).version if following else "")
    suppressions = [*from_option(asked.suppress), *from_annotations(view)]
    view.memory["suppressions"] = suppressions
    found = [
        _finding(rule, told, suppressions, asked.sources)
        for rule in all_rules().values()
        if rule.id not in OWN
        for told in _once(rule.check(view))
    ]
    view.memory["unused"] = [
        suppression
        for suppression in suppressions
        if not suppression.wrong and not any(suppression.covers(finding.id, finding.object) for finding in found)
    ]
    for ident in OWN:
        found += [_finding(RULES[ident], told, [], asked.sources) for told in _once(RULES[ident].check(view))]
    return found


#: So many findings of one rule are tried one by one when they cannot be fixed together, and so often more is added.
_SINGLY, _ROUNDS = 10, 3
#: In a mesh with more Services than this, so many of those alike are tried, and so many kinds.
_MANY, _SAMPLE, _KINDS = 40, 2, 20


def _tried(snapshot: Snapshot, found: list[Finding], asked: _Asked) -> list[Finding]:
    """Return the findings; a patch stays only if the finding goes with it and no other as grave comes.

    All patches are tried together first, then those of one rule, then each by itself. What such a fix brings to light
    (a failover that works at last, and ejects too few) is mended with it, if that can be done by a patch, too.
    """
    with_patch = [one for one in found if one.patch and not one.suppressed]
    if len(snapshot.services) > _MANY:
        return _tried_apart(snapshot, found, asked)
    by_rule: dict[str, list[Finding]] = {}
    for one in with_patch:
        by_rule.setdefault(one.id, []).append(one)
    told: dict[int, Finding] = {}
    if with_patch and _settles(snapshot, with_patch, found, asked):
        told = {id(one): one for one in with_patch}
    else:
        for own in by_rule.values():
            if len(own) > 1 and _settles(snapshot, own, found, asked):
                told |= {id(one): one for one in own}
            else:
                told |= {id(one): _completed(snapshot, one, found, asked) for one in own[:_SINGLY]}
    return [told.get(id(one), dataclasses.replace(one, patch=()) if one.patch else one) for one in found]


def _tried_apart(snapshot: Snapshot, found: list[Finding], asked: _Asked) -> list[Finding]:
    """Return the findings of a large mesh: of patches alike two are tried, each with the Services it is about alone."""
    alike: dict[tuple[str, ...], list[Finding]] = {}
    for one in found:
        if one.patch and not one.suppressed:
            alike.setdefault((one.id, one.severity, one.field, one.fix), []).append(one)
    told: dict[int, Finding] = {}
    for own in list(alike.values())[:_KINDS]:
        sample = [_apart(snapshot, one, asked) for one in own[:_SAMPLE]]
        told |= {id(one): made for one, made in zip(own, sample, strict=False)}
        if all(made.patch == one.patch for one, made in zip(own, sample, strict=False)):
            told |= {id(one): one for one in own}
    return [told.get(id(one), dataclasses.replace(one, patch=()) if one.patch else one) for one in found]


def _apart(snapshot: Snapshot, one: Finding, asked: _Asked) -> Finding:
    """Return a finding as _completed does, in a mesh of the Services that it and its patch are about."""
    hosts = {host for name in (one.object, *(change.object for change in one.patch)) for host in _hosts(snapshot, name)}
    hosts |= {str(host) for change in one.patch if change.field == "spec" for host in items(change.value.get("hosts"))}
    services = tuple(
        service
        for service in snapshot.services
        if service.source == one.object or any(covers(host, service.host) for host in hosts)
    )
    if not services or len(services) > _MANY:
        return dataclasses.replace(one, patch=())
    part = dataclasses.replace(snapshot, services=services)
    found = _found(part, asked)
    if _place(one) not in {_place(other) for other in found}:
        return dataclasses.replace(one, patch=())
    return _completed(part, one, found, asked)


def _hosts(snapshot: Snapshot, name: str) -> t.Iterator[str]:
    """Yield the hosts that a DestinationRule is for, or that a VirtualService is for and leads to."""
    for config in snapshot.destination_rules:
        if name == f"DestinationRule {config}":
            yield Rule.from_config(config).host
    for config in snapshot.virtual_services:
        if name == f"VirtualService {config}":
            yield from (resolve(str(host), config.namespace) for host in items(config.spec.get("hosts")))
            yield from destinations(config, config.namespace)


def _completed(snapshot: Snapshot, one: Finding, found: t.Sequence[Finding], asked: _Asked) -> Finding:
    """Return a finding with a patch that settles it, all that it brings to light included; else without any."""
    changes, more = one.patch, dict[str, str]()
    for _round in range(_ROUNDS):
        after = _after(snapshot, changes, asked)
        if after is None or _place(one) in {_place(other) for other in after}:
            break
        new = _worse([one], found, after)
        if not new:
            fix = "; then ".join([one.fix.rstrip("."), *more.values()])
            return dataclasses.replace(one, patch=changes, fix=fix if more else one.fix)
        if any(not other.patch for other in new):
            break
        more |= {other.id: f"{other.fix.rstrip('.')} ({other.id})" for other in new}
        changes = _joined([*changes, *(change for other in new for change in other.patch)])
    return dataclasses.replace(
        one,
        patch=(),
        fix=f"{one.fix.rstrip('.')}. That alone is not enough: it leaves this finding, or brings another.",
    )


def _joined(changes: t.Iterable[FieldChange]) -> tuple[FieldChange, ...]:
    return tuple({(change.object, change.field): change for change in changes}.values())


def _after(snapshot: Snapshot, changes: t.Sequence[FieldChange], asked: _Asked) -> list[Finding] | None:
    try:
        return _found(patched(snapshot, changes), asked)
    except InvalidInput:
        return None


def _worse(some: t.Sequence[Finding], found: t.Sequence[Finding], after: t.Sequence[Finding]) -> list[Finding]:
    """Return what is new and as grave as one of these findings."""
    known = {_place(one) for one in found}
    least = max(SEVERITIES.index(one.severity) for one in some)
    return [one for one in after if _place(one) not in known and SEVERITIES.index(one.severity) <= least]


def _settles(snapshot: Snapshot, some: t.Sequence[Finding], found: t.Sequence[Finding], asked: _Asked) -> bool:
    """Whether the findings are gone with their patches, and nothing as grave as the least of them is new."""
    after = _after(snapshot, _joined(change for one in some for change in one.patch), asked)
    if after is None or _worse(some, found, after):
        return False
    left = {_place(one) for one in after}
    return not any(_place(one) in left for one in some)


def _place(one: Finding) -> tuple[str, str, str]:
    return one.id, one.object, one.field


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
    reason = next((suppression.reason for suppression in suppressions if suppression.covers(rule.id, name)), "")
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
        found.patch,
    )
