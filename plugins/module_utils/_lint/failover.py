# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ML1xx: failover, and what keeps it from doing anything.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import difflib
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier_detection import CONSECUTIVE
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import covers
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import Part
from ansible_collections.meshops.locality.plugins.module_utils._istio.validation_texts import NOT_A_REGION
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import Case, View, uncertain
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    ERROR,
    INFO,
    ISTIO,
    LOCALITY_SETTING,
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
    percent,
    regions,
    spread,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.fix_values import (
    ejection_percent,
    outlier_detection,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import rule


def region(entry: Part, side: str) -> str:
    """Return the `from` or `to` of an entry."""
    return str(entry.get(side) or "")


@rule("ML101", ERROR, "Failover without outlierDetection", issue(48084))
def without_outlier(view: View) -> t.Iterator[RuleResult]:
    """failover and failoverPriority do nothing without outlierDetection in the policy that applies."""

    def idle(case: Case) -> bool:
        setting = case.setting
        # A rule's own setting asks for an order, `enabled: true` alone, too; the mesh's is on by default.
        asked = setting is not None and (setting.weighted or setting.source == "DestinationRule")
        wanted = asked and setting is not None and not setting.distribute and setting.enabled
        return wanted and not case.assignment.ordered and case.with_localities

    for where, cases in view.by_place(filter(idle, view.cases)).items():
        case = max(cases, key=lambda case: (len(case.localities), case.total))
        local, whose = _local_share(case)
        why = (
            f"Clients in {whose} send {percent(local)} of their requests there, and go on with lost endpoints."
            if whose
            else ""
        )
        yield RuleResult(
            where,
            f"Failover does nothing for {destinations(cases)}: there is no outlierDetection, so istiod gives "
            + (
                f"all {count(case.total, 'endpoint')} in {count(len(case.localities), 'locality', 'localities')} "
                if case.total
                else "all endpoints (none is known here) "
            )
            + "one priority and Envoy ejects none.",
            why or "Requests go to all localities alike, and on to lost endpoints.",
            f"Add next to loadBalancer: {outlier_detection(case)}",
            clients_of(cases),
            patch=_with_outlier_detection(where, cases),
        )


def _with_outlier_detection(where: Where, cases: t.Sequence[Case]) -> tuple[FieldChange, ...]:
    """Return the change that writes outlierDetection next to the loadBalancer of a DestinationRule."""
    block, separator, _name = where.path.rpartition(".loadBalancer.")
    if not separator or not where.object.startswith("DestinationRule ") or not any(case.total for case in cases):
        return ()
    enough = max(ejection_percent(case) for case in cases if case.total)
    value = {"consecutive5xxErrors": CONSECUTIVE, "maxEjectionPercent": enough}
    return (FieldChange(where.object, f"{block}.outlierDetection", value),)


def _local_share(case: Case) -> tuple[float, str]:
    """Return the share of its own locality that a client gets now, and which locality that is."""
    for kind in case.kinds:
        own = kind.representative.locality
        if case.total and case.localities.get(own, 0) < case.total and own:
            shares = case.client_load.now.shares.items()
            return sum(share for cell, share in shares if case.client_load.cells[cell].locality == own), str(own)
    return 0.0, ""


def _ordering(view: View) -> t.Iterator[tuple[Where, list[Case]]]:
    """Yield the places of settings with failover that apply, and their cases."""
    wanted = (case for case in view.cases if case.setting and case.setting.failover and not case.setting.distribute)
    yield from view.by_place(wanted).items()


@rule("ML102", ERROR, "failover to a region without endpoints", LOCALITY_SETTING)
def to_nowhere(view: View) -> t.Iterator[RuleResult]:
    """`to` names a region in which the Service has no endpoint."""
    for where, cases in _ordering(view):
        seen = [case for case in cases if case.with_localities and case.total]
        for index, entry in view.entries(cases[0], "failover"):
            target, origin = region(entry, "to"), region(entry, "from")
            empty = [case for case in seen if all(locality.region != target for locality in case.localities)]
            # A setting for many Services may well name regions that some of them are not in.
            if not empty or (view.wide(where) and len(empty) < len(seen)):
                continue
            case = empty[0]
            hit = tuple(client for client in clients_of(empty) if client.locality.region == origin)
            possible = listed(sorted({locality.region for locality in case.localities} - {origin, ""}))
            yield RuleResult(
                where.below(f"failover[{index}].to"),
                f"{destinations(empty)} has no endpoint in region {target or '(empty)'}: it has "
                f"{regions(case.localities)}.",
                f"When {origin} is lost, its {count(len(hit), 'client')} go to all other regions alike, or nowhere.",
                f"Name one of {possible or 'the regions that get endpoints'}.",
                hit,
                *uncertain(view),
            )


@rule("ML103", WARNING, "failover from a region without clients", LOCALITY_SETTING)
def from_nobody(view: View) -> t.Iterator[RuleResult]:
    """`from` names a region that no client is in."""
    for where, cases in _ordering(view):
        clients = clients_of(cases)
        known = {client.locality.region for client in clients}
        for index, entry in view.entries(cases[0], "failover"):
            origin = region(entry, "from")
            if clients and origin not in known:
                yield RuleResult(
                    where.below(f"failover[{index}].from"),
                    f"No client of {destinations(cases)} is in region {origin or '(empty)'}: the "
                    f"{count(len(clients), 'client')} are in {listed(sorted(name or 'no region' for name in known))}.",
                    "The entry does nothing now; a misspelt region looks the same.",
                    f"Correct the region, or leave failover[{index}] out.",
                    patch=_without(where.below(f"failover[{index}]")),
                )


@rule("ML104", WARNING, "Several failover entries from one region", LOCALITY_SETTING)
def twice(view: View) -> t.Iterator[RuleResult]:
    """Only the first entry with a `from` applies."""
    for where, cases in _ordering(view):
        first: dict[str, tuple[int, str]] = {}
        for index, entry in view.entries(cases[0], "failover"):
            origin, target = region(entry, "from"), region(entry, "to")
            if origin not in first:
                first[origin] = (index, target)
                continue
            known, preferred = first[origin]
            yield RuleResult(
                where.below(f"failover[{index}].from"),
                f"failover[{index}] ({origin} to {target}) has no effect: failover[{known}] is for {origin} "
                "already, and only "
                "the first entry applies.",
                f"Clients in {origin} go to {preferred} next, and to all further regions alike after that.",
                f"Leave failover[{index}] out; for a longer order use failoverPriority.",
                tuple(client for client in clients_of(cases) if client.locality.region == origin),
                patch=_without(where.below(f"failover[{index}]")),
            )


def _without(where: Where) -> tuple[FieldChange, ...]:
    """Return the change that takes something out of a DestinationRule; nothing for other objects."""
    return (FieldChange(where.object, where.path),) if where.object.startswith("DestinationRule ") else ()


@rule("ML105", INFO, "Regions without a failover entry are all alike", issue(22669))
def unordered_regions(view: View) -> t.Iterator[RuleResult]:
    """A client's region has no entry, and several regions beyond it have endpoints."""
    for where, cases in _ordering(view):
        for case in cases:
            entries = case.setting.failover if case.setting else ()
            named = {entry.origin for entry in entries}
            alone = [
                k.representative
                for k in case.kinds
                if k.representative.locality.region and k.representative.locality.region not in named
            ]
            if not case.assignment.ordered or not alone or view.wide(where):
                continue
            own = alone[0].locality.region
            beyond = sorted({locality.region for locality in case.localities} - {own})
            if len(beyond) > 1:
                yield RuleResult(
                    where.below("failover"),
                    f"No entry is from {own}: for its clients the regions {listed(beyond)} share one priority.",
                    "When their own region is lost, requests go to all of these by number of endpoints.",
                    f"failover: [{{from: {own}, to: {beyond[0]}}}]",
                    tuple(client for client in clients_of(cases) if client.locality.region == own),
                )
                break


@rule("ML106", ERROR, "failover between something else than regions", issue(37850))
def not_regions(view: View) -> t.Iterator[RuleResult]:
    """istiod refuses zones, wildcards and equal regions in failover."""
    for name, said in view.verdicts:
        if said.code.removeprefix("failover-").removeprefix("zone-aware-") in NOT_A_REGION:
            yield RuleResult(
                Where(name, f"spec.{said.path}"),
                f"istiod refuses the rule: {said.message}.",
                "failover orders regions; subzones and zones of the client's own region fail over by themselves, and "
                "other orders are made with failoverPriority.",
                "Write two different regions, such as {from: us-east, to: us-west}.",
            )


@rule(
    "ML107",
    WARNING,
    "Localities have no effect for this Service",
    f"{ISTIO}/destination-rule/#LoadBalancerSettings-SimpleLB",
)
def unbalanced(view: View) -> t.Iterator[RuleResult]:
    """PASSTHROUGH, headless Services and the like have no endpoints that could be ordered."""
    by_place: dict[tuple[Where, bool], list[Case]] = {}
    for case in view.cases:
        policy = case.assignment.cluster_policy
        asks = case.assignment.policy.locality_lb or case.assignment.policy.zone_aware_lb
        block = view.block(case, "loadBalancer")
        if case.with_localities or not asks or not block or asks.get("enabled") is False:
            continue
        passthrough = policy.simple == "PASSTHROUGH"
        where = block.below("simple" if passthrough else "localityLbSetting")
        if not passthrough and view.wide(where):
            continue
        by_place.setdefault((where, passthrough), []).append(case)
    for (where, passthrough), cases in by_place.items():
        reason = (
            "simple is PASSTHROUGH" if passthrough else "the Service is headless or has resolution NONE or DYNAMIC_DNS"
        )
        yield RuleResult(
            where,
            f"The locality setting does nothing for {destinations(cases)}: {reason}.",
            "Envoy connects to the address that the client asked for (ORIGINAL_DST); it has no "
            "priorities and no choice.",
            "Leave PASSTHROUGH out." if passthrough else "Send requests to a Service with a cluster IP.",
            clients_of(cases),
        )


@rule("ML108", ERROR, "failoverPriority on a DNS ServiceEntry crashes istiod", issue(61857))
def crashes(view: View) -> t.Iterator[RuleResult]:
    """istiod of this version reads behind the end of a list and does not come up again."""
    by_place: dict[Where, list[Case]] = {}
    for case in view.cases:
        if case.assignment.crash:
            inline = case.with_localities
            where = (
                view.setting_place(case).below("failoverPriority")
                if inline
                else view.block(case, "outlierDetection", cluster=True)
            )
            by_place.setdefault(where or view.rule_place(case), []).append(case)
    for where, cases in by_place.items():
        dynamic = cases[0].service.resolution == "DYNAMIC_DNS"
        what = (
            "outlierDetection for a host with resolution DYNAMIC_DNS"
            if dynamic
            else "failoverPriority for endpoints in several localities (or filtered ones) of a DNS ServiceEntry"
        )
        places = len({endpoint.locality for case in cases for endpoint in view.planner.endpoints.known(case.service)})
        yield RuleResult(
            where,
            f"{what} makes istiod {view.version} crash, again and again: {destinations(cases)} has "
            f"endpoints in {count(places, 'locality', 'localities')}.",
            "Without istiod no proxy of the mesh gets any update, and no new pod a certificate.",
            "Use failover instead of failoverPriority, or resolution STATIC."
            if not dynamic
            else "Leave outlierDetection out for this host.",
            clients_of(cases),
        )


@rule("ML109", WARNING, "failoverPriority does nothing for this DNS host", issue(58674))
def ignored_on_dns(view: View) -> t.Iterator[RuleResult]:
    """Before 1.30, for subsets and on waypoints istiod does not look at labels of DNS endpoints."""

    def ignored(case: Case) -> bool:
        setting = case.setting
        if case.assignment.type not in ("STRICT_DNS", "LOGICAL_DNS") or not setting or not case.assignment.ordered:
            return False
        waypoint = all(kind.representative.type == "waypoint" for kind in case.kinds)
        old = not view.planner.semantics.dns_failover_priority
        return bool(setting.failover_priority) and (old or waypoint or bool(case.assignment.destination.subset))

    for where, cases in view.by_place(filter(ignored, view.cases)).items():
        yield RuleResult(
            where.below("failoverPriority"),
            f"istiod {view.version} does not look at failoverPriority for {destinations(cases)}, "
            "which Envoy resolves by DNS.",
            f"All {count(cases[0].total, 'endpoint')} have one priority.",
            "Use failover, or resolution STATIC.",
            clients_of(cases),
        )


@rule("ML110", WARNING, "A rule for a host that does not exist", f"{ISTIO}/destination-rule/#DestinationRule-host")
def no_such_host(view: View) -> t.Iterator[RuleResult]:
    """No Service and no ServiceEntry has the rule's host."""
    hosts = {service.host for service in view.snapshot.services}
    for (namespace, name), destination_rule in sorted(view.rules.items()):
        if not destination_rule.host or not hosts or any(covers(destination_rule.host, host) for host in hosts):
            continue
        written = str(view.config[namespace, name].spec.get("host") or "")
        meant = sorted(
            (host for host in hosts if _same_service(written, host, namespace)),
            key=lambda host: (host.split(".")[1:2] != [namespace], host),
        )
        hint = ""
        if written.count(".") and meant:
            hint = " Only a name without a dot is completed by Istio."
        yield RuleResult(
            view.place(destination_rule, "host"),
            f"No Service or ServiceEntry has the host {destination_rule.host}, so the rule has no effect.{hint}",
            "The host that is known here is another one."
            if len(hosts) == 1
            else f"The {len(hosts)} hosts known here are others.",
            _host_fix(destination_rule.host, written, meant, hosts),
            patch=(FieldChange(f"DestinationRule {destination_rule}", "spec.host", meant[0]),)
            if len(meant) == 1
            else (),
        )


def _host_fix(host: str, written: str, meant: t.Sequence[str], hosts: t.Collection[str]) -> str:
    if meant:
        return f"host: {meant[0]}" if len(meant) == 1 else f"Write the host that is meant: {listed(meant)}."
    near = difflib.get_close_matches(host, sorted(hosts), n=3)
    hint = f" Near: {listed(near)}." if near else ""
    if written == host:
        return f"The name is complete: correct it, or add the Service or ServiceEntry.{hint}"
    return f"Correct the name, which is completed to {host}, or add the Service.{hint}"


def _same_service(written: str, host: str, namespace: str) -> bool:
    parts, full = written.split("."), host.split(".")
    if len(parts) > 2 and parts[1] == "svc":  # the namespace is left out
        return full[:1] == parts[:1] and full[2 : 1 + len(parts)] == parts[1:]
    if len(parts) > 1:
        return full[: len(parts)] == parts
    return full[0] == parts[0] and full[1:2] != [namespace]


@rule("ML111", INFO, "outlierDetection orders localities, too", issue(39477))
def pinned(view: View) -> t.Iterator[RuleResult]:
    """The mesh's setting is on by default: with outlierDetection all requests stay in the client's locality."""
    for where, cases in _pinned(view).items():
        if not any(case.assignment.cluster_policy.consistent_hash for case in cases):
            case = max(cases, key=lambda case: len(case.localities))
            yield RuleResult(
                where,
                f"With outlierDetection clients of {destinations(cases)} send everything to the "
                f"nearest of {count(len(case.localities), 'locality', 'localities')}: "
                f"{spread(case.localities)}.",
                "The mesh's localityLbSetting is on by default, and outlierDetection activates its priorities.",
                "If requests are to go everywhere: loadBalancer: {localityLbSetting: {enabled: false}}",
                clients_of(cases),
            )


@rule("ML112", WARNING, "outlierDetection breaks consistent hashing across localities", issue(41674))
def pinned_hash(view: View) -> t.Iterator[RuleResult]:
    """One key goes to another endpoint from each locality."""
    for where, cases in _pinned(view).items():
        hashed = [case for case in cases if case.assignment.cluster_policy.consistent_hash]
        if hashed:
            case = max(hashed, key=lambda candidate: len(candidate.localities))
            yield RuleResult(
                where,
                f"consistentHash of {destinations(hashed)} works inside of one locality only: "
                f"outlierDetection orders the {count(len(case.localities), 'locality', 'localities')} "
                f"({spread(case.localities)}).",
                f"One key meets up to {len(case.localities)} different endpoints, one for each place of a client.",
                "loadBalancer: {localityLbSetting: {enabled: false}}",
                clients_of(hashed),
            )


def _pinned(view: View) -> dict[Where, list[Case]]:
    by_place: dict[Where, list[Case]] = {}
    for case in view.cases:
        setting, where = case.setting, view.block(case, "outlierDetection")
        own = setting is not None and setting.source == "meshConfig" and not setting.weighted and not setting.zone_aware
        if own and where and case.assignment.ordered and len(case.localities) > 1 and case.priorities > 1:
            by_place.setdefault(where, []).append(case)
    return by_place
