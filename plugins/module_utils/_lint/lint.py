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
    delegates,
    distribute,
    endpoint_spread,
    failing_routes,
    failover,
    failover_priority,
    injection,
    localities,
    mutual_tls,
    outlier_detection,
    precedence,
    retries,
    routes,
    unused_routes,
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
    RuleResult,
    Suppression,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.patches import patched
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import RULES, LintRule
from ansible_collections.meshops.locality.plugins.module_utils._lint.suppressions import (
    OWN,
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
    injection,
    failover,
    failover_priority,
    endpoint_spread,
    retries,
    mutual_tls,
    routes,
    failing_routes,
    delegates,
    unused_routes,
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
    asked = _LintOptions(version, next_version, suppress, observed, sources or {})
    findings = _with_working_patches(snapshot, _findings(snapshot, asked), asked)
    wanted = SEVERITIES[: SEVERITIES.index(min_severity) + 1]
    return sorted((finding for finding in findings if finding.severity in wanted), key=_order)


class _LintOptions(t.NamedTuple):
    version: str
    next_version: str | None
    suppress: t.Any
    observed: Observed
    sources: t.Mapping[str, str]


def _findings(snapshot: Snapshot, asked: _LintOptions) -> list[Finding]:
    planner = Planner(snapshot, asked.version)
    following = _following(planner.semantics.version) if asked.next_version is None else asked.next_version
    view = View(planner, observed=asked.observed, next_version=semantics(following).version if following else "")
    suppressions = [*from_option(asked.suppress), *from_annotations(view)]
    view.suppressions = suppressions
    findings = [
        _finding(rule, problem, suppressions, asked.sources)
        for rule in all_rules().values()
        if rule.id not in OWN
        for problem in _once(rule.check(view))
    ]
    view.unused_suppressions = [
        suppression
        for suppression in suppressions
        if not suppression.wrong and not any(suppression.covers(finding.id, finding.object) for finding in findings)
    ]
    for ident in OWN:
        findings += [_finding(RULES[ident], problem, [], asked.sources) for problem in _once(RULES[ident].check(view))]
    return findings


#: So many findings of one rule are tried one by one when they cannot be fixed together, and so often more is added.
_SINGLY, _ROUNDS = 10, 3
#: In a mesh with more Services than this, so many of those alike are tried, and so many kinds.
_MANY, _SAMPLE, _KINDS = 40, 2, 20


def _with_working_patches(snapshot: Snapshot, findings: list[Finding], asked: _LintOptions) -> list[Finding]:
    """Return the findings; a patch stays only if the finding goes with it and no other as grave comes.

    All patches are tried together first, then those of one rule, then each by itself. What such a fix brings to light
    (a failover that works at last, and ejects too few) is mended with it, if that can be done by a patch, too.
    """
    with_patch = [finding for finding in findings if finding.patch and not finding.suppressed]
    if len(snapshot.services) > _MANY:
        return _tried_apart(snapshot, findings, asked)
    by_rule: dict[str, list[Finding]] = {}
    for finding in with_patch:
        by_rule.setdefault(finding.id, []).append(finding)
    tried: dict[int, Finding] = {}
    if with_patch and _settles(snapshot, with_patch, findings, asked):
        tried = {id(finding): finding for finding in with_patch}
    else:
        for own in by_rule.values():
            if len(own) > 1 and _settles(snapshot, own, findings, asked):
                tried |= {id(finding): finding for finding in own}
            else:
                tried |= {id(finding): _completed(snapshot, finding, findings, asked) for finding in own[:_SINGLY]}
    return [
        tried.get(id(finding), dataclasses.replace(finding, patch=()) if finding.patch else finding)
        for finding in findings
    ]


def _tried_apart(snapshot: Snapshot, findings: list[Finding], asked: _LintOptions) -> list[Finding]:
    """Return the findings of a large mesh: of patches alike two are tried, each with the Services it is about alone."""
    alike: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        if finding.patch and not finding.suppressed:
            alike.setdefault((finding.id, finding.severity, finding.field, finding.fix), []).append(finding)
    tried: dict[int, Finding] = {}
    for own in list(alike.values())[:_KINDS]:
        sample = [_apart(snapshot, finding, asked) for finding in own[:_SAMPLE]]
        tried |= {id(finding): completed for finding, completed in zip(own, sample, strict=False)}
        if all(completed.patch == finding.patch for finding, completed in zip(own, sample, strict=False)):
            tried |= {id(finding): finding for finding in own}
    return [
        tried.get(id(finding), dataclasses.replace(finding, patch=()) if finding.patch else finding)
        for finding in findings
    ]


def _apart(snapshot: Snapshot, finding: Finding, asked: _LintOptions) -> Finding:
    """Return a finding as _completed does, in a mesh of the Services that it and its patch are about."""
    hosts = {
        host
        for name in (finding.object, *(change.object for change in finding.patch))
        for host in _hosts(snapshot, name)
    }
    hosts |= {
        str(host) for change in finding.patch if change.field == "spec" for host in items(change.value.get("hosts"))
    }
    services = tuple(
        service
        for service in snapshot.services
        if service.source == finding.object or any(covers(host, service.host) for host in hosts)
    )
    if not services or len(services) > _MANY:
        return dataclasses.replace(finding, patch=())
    part = dataclasses.replace(snapshot, services=services)
    findings = _findings(part, asked)
    if _place(finding) not in {_place(other) for other in findings}:
        return dataclasses.replace(finding, patch=())
    return _completed(part, finding, findings, asked)


def _hosts(snapshot: Snapshot, name: str) -> t.Iterator[str]:
    """Yield the hosts that a DestinationRule is for, or that a VirtualService is for and leads to."""
    for config in snapshot.destination_rules:
        if name == f"DestinationRule {config}":
            yield Rule.from_config(config).host
    for config in snapshot.virtual_services:
        if name == f"VirtualService {config}":
            yield from (resolve(str(host), config.namespace, config.domain) for host in items(config.spec.get("hosts")))
            yield from destinations(config, config.namespace)


def _completed(snapshot: Snapshot, finding: Finding, findings: t.Sequence[Finding], asked: _LintOptions) -> Finding:
    """Return a finding with a patch that settles it, all that it brings to light included; else without any."""
    changes, more = finding.patch, dict[str, str]()
    for _round in range(_ROUNDS):
        after = _after(snapshot, changes, asked)
        if after is None or _place(finding) in {_place(other) for other in after}:
            break
        new = _worse([finding], findings, after)
        if not new:
            fix = "; then ".join([finding.fix.rstrip("."), *more.values()])
            return dataclasses.replace(finding, patch=changes, fix=fix if more else finding.fix)
        if any(not other.patch for other in new):
            break
        more |= {other.id: f"{other.fix.rstrip('.')} ({other.id})" for other in new}
        changes = _joined([*changes, *(change for other in new for change in other.patch)])
    return dataclasses.replace(
        finding,
        patch=(),
        fix=f"{finding.fix.rstrip('.')}. That alone is not enough: it leaves this finding, or brings another.",
    )


def _joined(changes: t.Iterable[FieldChange]) -> tuple[FieldChange, ...]:
    return tuple({(change.object, change.field): change for change in changes}.values())


def _after(snapshot: Snapshot, changes: t.Sequence[FieldChange], asked: _LintOptions) -> list[Finding] | None:
    try:
        return _findings(patched(snapshot, changes), asked)
    except InvalidInput:
        return None


def _worse(some: t.Sequence[Finding], findings: t.Sequence[Finding], after: t.Sequence[Finding]) -> list[Finding]:
    """Return what is new and as grave as one of these findings."""
    known = {_place(finding) for finding in findings}
    least = max(SEVERITIES.index(finding.severity) for finding in some)
    return [
        finding for finding in after if _place(finding) not in known and SEVERITIES.index(finding.severity) <= least
    ]


def _settles(snapshot: Snapshot, some: t.Sequence[Finding], findings: t.Sequence[Finding], asked: _LintOptions) -> bool:
    """Whether the findings are gone with their patches, and nothing as grave as the least of them is new."""
    after = _after(snapshot, _joined(change for finding in some for change in finding.patch), asked)
    if after is None or _worse(some, findings, after):
        return False
    left = {_place(finding) for finding in after}
    return not any(_place(finding) in left for finding in some)


def _place(finding: Finding) -> tuple[str, str, str]:
    return finding.id, finding.object, finding.field


def _following(version: str) -> str:
    known = list(VERSIONS)
    if version not in known:
        return ""
    position = known.index(version) + 1
    return known[position] if position < len(known) else ""


def _order(finding: Finding) -> tuple[t.Any, ...]:
    return (SEVERITIES.index(finding.severity), finding.id, finding.object, finding.field, finding.message)


def _once(problems: t.Iterable[RuleResult]) -> t.Iterator[RuleResult]:
    """Join what says the same of the same field: its clients together."""
    joined: dict[tuple[str, str, str], RuleResult] = {}
    for problem in problems:
        key = (problem.where.object, problem.where.path, problem.message)
        clients = {client.key: client for client in (*joined.get(key, problem).clients, *problem.clients)}
        joined[key] = joined.get(key, problem)._replace(clients=tuple(clients[name] for name in sorted(clients)))
    yield from joined.values()


def _finding(
    rule: LintRule, problem: RuleResult, suppressions: t.Iterable[Suppression], sources: t.Mapping[str, str]
) -> Finding:
    name, path = problem.where
    reason = next((suppression.reason for suppression in suppressions if suppression.covers(rule.id, name)), "")
    return Finding(
        rule.id,
        problem.severity or rule.severity,
        rule.title,
        name,
        path,
        problem.message,
        f"{problem.doubt} {problem.why}" if problem.doubt else problem.why,
        problem.fix,
        rule.link,
        len(problem.clients),
        tuple(client.key for client in problem.clients[:NAMED]),
        sources.get(name, ""),
        reason,
        problem.patch,
    )
