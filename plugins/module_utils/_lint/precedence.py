# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ML4xx: rules that clients never see, or of which only a part applies.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._forecast.selectors import short
from ansible_collections.meshops.locality.plugins.module_utils._istio.ambient_mode import in_ambient, waypoint_of
from ansible_collections.meshops.locality.plugins.module_utils._istio.destination_rules import MergedRule, Rule
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import covers
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import BlockOrigin, items, mapping
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import Case, View
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    ERROR,
    ISTIO,
    PRECEDENCE,
    WARNING,
    FieldChange,
    RuleResult,
    Where,
    issue,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding_texts import (
    clients_of,
    count,
    destinations,
    listed,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import rule

#: What failover is made of.
_FAILOVER = ("outlierDetection", "localityLbSetting", "zoneAwareLbSetting")


def failover_parts(policy: t.Any) -> list[str]:
    """Return which parts of failover a policy has, subsets and ports left aside."""
    given = mapping(policy) or {}
    balancer = mapping(given.get("loadBalancer")) or {}
    return [
        name for name in _FAILOVER if mapping(given.get(name)) is not None or mapping(balancer.get(name)) is not None
    ]


def _used(view: View) -> set[str]:
    """Return the rules of which something applies to some client."""
    used: set[str] = set()
    for entry in view.merged:
        used |= {str(destination_rule) for destination_rule in (entry.first, entry.policy) if destination_rule}
        used |= {str(destination_rule) for destination_rule, _subset in entry.subsets.values()}
        used |= {str(member) for member in entry.members if not member.has_policy and not member.subsets}
    return used


@rule("ML401", ERROR, "A rule that applies to no client", PRECEDENCE)
def unseen(view: View) -> t.Iterator[RuleResult]:
    """Nobody sees it: wrong namespace, exportTo, workloadSelector, another rule, or a Sidecar."""
    used = _used(view)
    merged = {str(member) for entry in view.merged for member in entry.members}
    for destination_rule in view.rules.values():
        cases = [case for host, some in view.services.items() if covers(destination_rule.host, host) for case in some]
        known = [service for service in view.snapshot.services if covers(destination_rule.host, service.host)]
        if (
            str(destination_rule) in used
            or str(destination_rule) in merged
            or not known
            or not (destination_rule.has_policy or destination_rule.subsets)
            or not view.planner.clients
        ):
            continue
        reason, path, fix, patch = _why_unseen(view, destination_rule, cases)
        parts = failover_parts(destination_rule.policy)
        lost = f" Its {' and '.join(parts)} do nothing." if parts else ""
        yield RuleResult(
            view.place(destination_rule, path),
            f"The rule applies to none of the {count(len(view.planner.clients), 'client')}: {reason}.",
            f"{listed(short(service.host) for service in known)} {'are' if len(known) > 1 else 'is'} "
            f"used without it.{lost}",
            fix,
            clients_of(cases),
            patch=patch,
        )


def _why_unseen(view: View, destination_rule: Rule, cases: list[Case]) -> tuple[str, str, str, tuple[FieldChange, ...]]:
    """Return the reason, the field that it comes from, a fix, and the fix as changes."""
    name = f"DestinationRule {destination_rule}"
    everywhere = (FieldChange(name, "spec.exportTo", ["*"]),)
    clients = clients_of(cases)
    alias = next(
        (some for some in view.snapshot.services if some.alias_for and covers(destination_rule.host, some.host)), None
    )
    if not cases and alias is not None:
        reason = (
            f"{short(alias.host)} is an ExternalName Service, an alias of {alias.alias_for}; only rules for that apply"
        )
        return reason, "host", f"host: {alias.alias_for}", (FieldChange(name, "spec.host", alias.alias_for),)
    if not cases:
        return (
            "no client knows the Service (exportTo of it, or Sidecar resources)",
            "host",
            "Export the Service to its clients.",
            (),
        )
    root = view.snapshot.mesh.root_namespace
    owners = {case.service.namespace for case in cases}
    near = [client for client in clients if client.namespace == destination_rule.namespace]
    if destination_rule.selector is not None:
        matching = [
            client
            for client in near
            if all(client.labels.get(key) == value for key, value in destination_rule.selector)
        ]
        if not matching:
            labels = ", ".join(f"{key}={value}" for key, value in destination_rule.selector) or "(none)"
            reason = f"no client in namespace {destination_rule.namespace} ({len(near)}) has the labels {labels}"
            return (
                reason,
                "workloadSelector",
                "Correct the labels; a rule with workloadSelector applies in its own namespace only.",
                (),
            )
    if destination_rule.namespace not in owners and destination_rule.namespace != root and not near:
        reason = (
            f"it is in namespace {destination_rule.namespace}, which is neither that of a client, nor of the Service "
            f"({listed(sorted(owners))}), nor {root}"
        )
        owner = sorted(owners)[0]
        move = (FieldChange(name, "metadata.namespace", owner),) if len(owners) == 1 else ()
        return reason, "host", f"metadata.namespace: {owner}", move
    seen = [client for client in clients if destination_rule.local or client.namespace != destination_rule.namespace]
    exported = not destination_rule.private() and (
        not destination_rule.export_to
        or bool(destination_rule.export_to & ({"*"} | {client.namespace for client in clients}))
    )
    if (not near or not destination_rule.local) and not exported:
        reason = (
            f"exportTo is {sorted(destination_rule.export_to)}, and its clients are in "
            f"{listed(sorted({client.namespace for client in clients}))}"
        )
        return reason, "exportTo", 'exportTo: ["*"]', everywhere
    winners = sorted(
        {str(case.assignment.entry.policy or case.assignment.entry.first) for case in cases if case.assignment.entry}
        - {str(destination_rule)}
    )
    if winners:
        return (
            f"DestinationRule {listed(winners)} applies instead to its {count(len(seen), 'client')}",
            "host",
            "Put both into one rule.",
            (),
        )
    return (
        f"its exportTo {sorted(destination_rule.export_to)} and namespace {destination_rule.namespace} match no client",
        "exportTo",
        'exportTo: ["*"]',
        everywhere,
    )


@rule("ML409", ERROR, "A rule without effect in ambient mode", "https://istio.io/latest/docs/ambient/usage/waypoint/")
def ambient(view: View) -> t.Iterator[RuleResult]:
    """ztunnel reads no DestinationRule: without a waypoint for the Service, requests of ambient pods know no rule."""
    pods = [pod for pod in view.snapshot.pods if in_ambient(view.snapshot, pod)]
    for destination_rule in view.rules.values() if pods else ():
        hit = [
            service
            for service in view.snapshot.services
            if covers(destination_rule.host, service.host) and not waypoint_of(view.snapshot, service)
        ]
        if (
            hit
            and (destination_rule.has_policy or destination_rule.subsets)
            and not any(destination_rule in entry.members for entry in view.merged)
        ):
            near = {pod.namespace for pod in pods}
            yield RuleResult(
                view.place(destination_rule),
                f"{count(len(pods), 'pod')} in {listed(sorted(near))} are in ambient mode, and "
                f"{listed(short(service.host) for service in hit)} has no waypoint: the rule has no effect on them.",
                "ztunnel prefers localities by trafficDistribution of the Service only, and ejects nothing.",
                f"Deploy a waypoint and label the namespace istio.io/use-waypoint, or set trafficDistribution of "
                f"{short(hit[0].host)}.",
            )


@rule("ML402", ERROR, "trafficPolicy of a younger rule is lost", issue(33147))
def merged_away(view: View) -> t.Iterator[RuleResult]:
    """istiod merges rules for one host, and takes the whole trafficPolicy of the oldest that has one."""
    done: set[str] = set()
    for entry in view.merged:
        for member in entry.members:
            if entry.policy is None or member == entry.policy or not member.has_policy or str(member) in done:
                continue
            if any(other.policy == member for other in view.merged):
                continue
            done.add(str(member))
            cases = [case for case in view.cases if case.assignment.entry is entry]
            lost = failover_parts(member.policy)
            winning = failover_parts(entry.policy.policy)
            yield RuleResult(
                view.place(member, "trafficPolicy"),
                f"The trafficPolicy does not apply to {destinations(cases)}: DestinationRule "
                f"{entry.policy} is for the same host, and istiod takes the whole trafficPolicy of "
                "the oldest.",
                f"Lost: {', '.join(lost) or 'all its settings'}. The one that applies has "
                f"{', '.join(winning) or 'no part of failover'}.",
                f"Put both into DestinationRule {entry.policy}.",
                clients_of(cases),
            )


@rule("ML403", WARNING, "Some clients do not see the failover", issue(33024))
def partly_unseen(view: View) -> t.Iterator[RuleResult]:
    """A rule with failover applies to some clients; others (a gateway, another namespace) get none."""
    for host, cases in view.services.items():
        with_rule = [
            case
            for case in cases
            if case.assignment.entry
            and case.assignment.entry.policy
            and failover_parts(case.assignment.entry.policy.policy)
        ]
        without = [case for case in cases if case.assignment.entry is None]
        if not with_rule or not without:
            continue
        destination_rule = t.cast(Rule, t.cast(MergedRule, with_rule[0].assignment.entry).policy)
        blind = clients_of(without)
        gateways = sorted({client.key for client in blind if client.type == "router"})
        names = sorted({client.namespace for client in blind})
        among = f", among them the gateway {gateways[0]}" if gateways else ""
        selected = destination_rule.selector is not None
        yield RuleResult(
            view.place(destination_rule, "workloadSelector" if selected else "exportTo"),
            f"{len(blind)} of {count(len(blind) + len(clients_of(with_rule)), 'client')} of "
            f"{short(host)} get no rule: those in {listed(names)}{among}.",
            "For them there is neither an order of localities nor ejection: "
            f"{count(without[0].total, 'endpoint')} in one priority.",
            "A second rule without workloadSelector for the others." if selected else 'exportTo: ["*"]',
            blind,
            patch=() if selected else (FieldChange(f"DestinationRule {destination_rule}", "spec.exportTo", ["*"]),),
        )


@rule("ML404", WARNING, "A rule of the clients hides the Service owner's failover", issue(14817))
def hidden(view: View) -> t.Iterator[RuleResult]:
    """Any rule in the client's namespace, even for a wildcard, goes before the one in the Service's namespace."""
    by_place: dict[Where, tuple[list[Case], Rule]] = {}
    for case in view.cases:
        entry = case.assignment.entry
        if entry is None or case.assignment.tier != "client" or entry.first.namespace == case.service.namespace:
            continue
        mine = failover_parts(entry.traffic_policy)
        below = view.planner.rules.find(case.service.host, case.service.namespace, "\0")
        for other in below.entries:
            lost = [name for name in failover_parts(other.traffic_policy) if name not in mine]
            if lost and other.policy:
                by_place.setdefault(view.place(entry.policy or entry.first, "host"), ([], other.policy))[0].append(case)
    for where, (cases, loser) in by_place.items():
        yield RuleResult(
            where,
            f"This rule hides DestinationRule {loser} from the clients in its namespace, and has no "
            f"{' and no '.join(failover_parts(loser.policy))}: requests to {destinations(cases)} have "
            "no failover there.",
            "The owner's rule applies to "
            f"{count(len(view.planner.clients) - len(clients_of(cases)), 'other client')} at most.",
            "Give this rule the owner's outlierDetection and localityLbSetting, or a narrower host.",
            clients_of(cases),
        )


@rule("ML405", ERROR, "portLevelSettings replace the failover", issue(39444))
def port_replaces(view: View) -> t.Iterator[RuleResult]:
    """Settings of a port replace all four blocks, also with nothing."""
    yield from _replaced(view, lambda origin: origin.by == "rule" and origin.of_port)


@rule("ML406", ERROR, "A subset replaces the failover", f"{ISTIO}/destination-rule/#Subset")
def subset_replaces(view: View) -> t.Iterator[RuleResult]:
    """loadBalancer and outlierDetection of a subset replace the rule's own, as a whole."""
    yield from _replaced(view, lambda origin: origin.by == "subset")


def _replaced(view: View, at: t.Callable[[BlockOrigin], bool]) -> t.Iterator[RuleResult]:
    by_place: dict[tuple[Where, str], list[Case]] = {}
    for case in view.cases:
        entry = case.assignment.entry
        whole = failover_parts(entry.traffic_policy) if entry else []
        if entry is None or not whole:
            continue
        policy = case.assignment.policy
        left = {
            "outlierDetection": policy.outlier_detection,
            "localityLbSetting": policy.locality_lb,
            "zoneAwareLbSetting": policy.zone_aware_lb,
        }
        lost = [name for name in whole if left[name] is None]
        if case.assignment.destination.subset and "localityLbSetting" in lost and policy.zone_aware_lb is not None:
            lost.remove("localityLbSetting")
        where = _replacing(view, case, at) if lost else None
        if where:
            by_place.setdefault((where, " and ".join(lost)), []).append(case)
    for (where, parts), cases in by_place.items():
        case = cases[0]
        effect = (
            f"All {count(case.total, 'endpoint')} have one priority"
            if not case.assignment.ordered
            else f"What orders the {count(case.total, 'endpoint')} is the mesh's setting, not the rule's"
        )
        yield RuleResult(
            where,
            f"The rule's {parts} does not apply to {destinations(cases)}: these settings replace it.",
            f"{effect}; Envoy ejects {'none of them' if case.client_load.detection is None else 'lost endpoints'}.",
            f"Repeat {parts} here.",
            clients_of(cases),
            patch=_repeated(where, case, parts.split(" and ")),
        )


def _repeated(where: Where, case: Case, parts: t.Sequence[str]) -> tuple[FieldChange, ...]:
    """Return the changes that repeat parts of the rule's own trafficPolicy in settings that replace it."""
    whole = mapping(case.assignment.entry.traffic_policy if case.assignment.entry else None) or {}
    balancer = mapping(whole.get("loadBalancer")) or {}
    changes = []
    for name in parts:
        value = whole.get(name) if name in whole else balancer.get(name)
        path = name if name in whole else f"loadBalancer.{name}"
        changes.append(FieldChange(where.object, f"{where.path}.{path}", value))
    return tuple(changes)


def _replacing(view: View, case: Case, at: t.Callable[[BlockOrigin], bool]) -> Where | None:
    """Return the settings of a port or subset that replace the rule's; None when they are no such settings."""
    entry, assignment = case.assignment.entry, case.assignment
    if entry is None or entry.policy is None:
        return None
    for origin in assignment.policy.origin.values():
        if at(origin):
            return view.origin_place(entry, origin)
    return None


@rule("ML407", WARNING, "A rule for some workloads leaves the others without any", issue(57719))
def selector_hides(view: View) -> t.Iterator[RuleResult]:
    """In the clients' namespace there are only rules with workloadSelector: who matches none gets no rule at all."""
    by_place: dict[Where, tuple[list[Case], list[Client], str]] = {}
    for case in view.cases:
        if case.assignment.entry is not None:
            continue
        for kind in case.kinds:
            service = case.service
            seen = view.planner.rules.find(service.host, service.namespace, kind.representative.namespace)
            below = view.planner.rules.find(service.host, service.namespace, "\0")
            if seen.tier == "client" and seen.entries and below.entries:
                where = view.place(seen.entries[0].first, "workloadSelector")
                cases, clients, _hidden = by_place.setdefault(where, ([], [], str(below.entries[0].first)))
                cases.append(case)
                clients += kind.members
    for where, (cases, clients, lost) in by_place.items():
        unique = tuple({client.key: client for client in clients}.values())
        yield RuleResult(
            where,
            f"{count(len(unique), 'client')} in the rule's namespace have other labels and get no "
            f"rule for {destinations(cases)} at all, not even DestinationRule {lost}.",
            "istiod stops its search at the first namespace that has any rule for the host.",
            "Add a rule without workloadSelector to this namespace.",
            unique,
        )


@rule("ML408", ERROR, "A rule for some workloads swallows the one for all", issue(58322))
def swallowed(view: View) -> t.Iterator[RuleResult]:
    """A rule without workloadSelector and with exportTo ["."] is merged into the one with it, and gone for others."""
    for destination_rule in view.rules.values():
        if destination_rule.selector is not None or not destination_rule.has_policy:
            continue
        inside = [
            entry for entry in view.merged if destination_rule in entry.members and entry.first.selector is not None
        ]
        own = [entry for entry in view.merged if destination_rule in (entry.first, entry.policy)]
        if inside and not [entry for entry in own if entry.first.selector is None]:
            cases = [case for case in view.cases if case.assignment.entry in inside]
            yield RuleResult(
                view.place(destination_rule, "exportTo"),
                f"istiod merges the rule into DestinationRule {inside[0].first}, which is for some "
                "workloads only, because both have the same exportTo.",
                "For clients without those labels there is no rule; the trafficPolicy that applies is "
                f"that of {inside[0].policy}.",
                'Leave exportTo out, or write exportTo: ["*"].',
                clients_of(cases),
                patch=(FieldChange(f"DestinationRule {destination_rule}", "spec.exportTo", ["*"]),),
            )


def at_each_setting(view: View, name: str) -> t.Iterator[Where]:
    """Yield every place of a rule or of the mesh config at which a locality setting with this name stands."""
    if mapping(view.snapshot.mesh.config.get(name)) is not None:
        yield view.mesh_config.below(name)
    for config in view.snapshot.destination_rules:
        policies = [("trafficPolicy", config.spec.get("trafficPolicy"))]
        for index, subset in enumerate(items(config.spec.get("subsets"))):
            policies.append((f"subsets[{index}].trafficPolicy", (mapping(subset) or {}).get("trafficPolicy")))
        for path, policy in policies:
            ports = items((mapping(policy) or {}).get("portLevelSettings"))
            blocks = [(path, policy), *((f"{path}.portLevelSettings[{i}]", setting) for i, setting in enumerate(ports))]
            for place, block in blocks:
                balancer = mapping((mapping(block) or {}).get("loadBalancer")) or {}
                if mapping(balancer.get(name)) is not None:
                    yield Where(f"DestinationRule {config}", f"spec.{place}.loadBalancer.{name}")
