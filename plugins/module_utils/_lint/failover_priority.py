# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ML3xx: failoverPriority, trafficDistribution and zone-aware settings that order less than they seem to.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import difflib
import itertools
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_settings import (
    DISTRIBUTION_KEYS,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import Case, View
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    ERROR,
    ISTIO,
    LOCALITY_SETTING,
    WARNING,
    FieldChange,
    RuleResult,
    Where,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding_texts import (
    clients_of,
    count,
    destinations,
    listed,
    place,
    spread,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import rule
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_objects import TRAFFIC_DISTRIBUTION
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import (
    CLUSTER_LABEL,
    HOSTNAME_LABEL,
    NETWORK_LABEL,
    REGION_LABEL,
    SUBZONE_LABEL,
    ZONE_LABEL,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.object_cache import distinct

#: From the widest place to the narrowest.
_NESTED = (NETWORK_LABEL, CLUSTER_LABEL, REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL, HOSTNAME_LABEL)
_PRIORITY = LOCALITY_SETTING


def _ordering(view: View) -> t.Iterator[tuple[Where, list[Case], tuple[str, ...]]]:
    """Yield the places of failoverPriority that applies, the cases it orders, and its keys as written."""
    wanted = (
        case
        for case in view.cases
        if case.setting
        and case.setting.failover_priority
        and case.setting.source != "trafficDistribution"
        and not case.setting.distribute
        and case.with_localities
    )
    for where, cases in view.by_place(wanted).items():
        setting = cases[0].setting
        yield where.below("failoverPriority"), cases, setting.failover_priority if setting else ()


def _written(where: Where, value: t.Any) -> tuple[FieldChange, ...]:
    """Return the change of a DestinationRule's field; nothing for other objects."""
    return (FieldChange(where.object, where.path, value),) if where.object.startswith("DestinationRule ") else ()


def _having(cases: t.Iterable[Case], name: str) -> tuple[int, int, int, int]:
    """Return how many clients there are and have a label, and how many endpoints there are and have it."""
    clients = clients_of(cases)
    members = distinct(member for case in cases for group in case.assignment.groups for member in group.members)
    return (
        len(clients),
        sum(name in client.labels for client in clients),
        len(members),
        sum(name in member.labels for member in members),
    )


@rule("ML301", WARNING, "A label of failoverPriority that nobody has", _PRIORITY)
def unknown_label(view: View) -> t.Iterator[RuleResult]:
    """A label that both sides lack matches: a misspelt one does nothing, without a word."""
    for where, cases, keys in _ordering(view):
        for index, key in enumerate(keys):
            name = key.split("=")[0]
            clients, with_it, endpoints, having = _having(cases, name)
            if endpoints and not with_it and not having and "=" not in key:
                near = [match for match in difflib.get_close_matches(name, _NESTED, 1, 0.9) if match not in keys]
                yield RuleResult(
                    Where(where.object, f"{where.path}[{index}]"),
                    f"No client ({clients}) and no endpoint ({endpoints}) of {destinations(cases)} "
                    f"has the label {name or '(empty)'}.",
                    "A label that both lack is equal, so the key makes no difference between endpoints.",
                    near[0] if near else f"Correct the name; labels of places are {listed(_NESTED[2:])}.",
                    clients_of(cases),
                    patch=_written(Where(where.object, f"{where.path}[{index}]"), near[0]) if near else (),
                )


@rule("ML302", WARNING, "A key with two equals signs", _PRIORITY)
def two_signs(view: View) -> t.Iterator[RuleResult]:
    """Of `key=a=b` istiod takes the name only, and compares with the client's own label."""
    for where, cases, keys in _ordering(view):
        for index, key in enumerate(keys):
            if key.count("=") > 1:
                name = key.split("=")[0]
                yield RuleResult(
                    Where(where.object, f"{where.path}[{index}]"),
                    f"{key} is read as {name}: istiod takes a value only when there is exactly one equals sign.",
                    f"Endpoints of {destinations(cases)} are compared with the client's own label {name}.",
                    f"{name}={key.split('=')[1]}",
                    clients_of(cases),
                    patch=_written(Where(where.object, f"{where.path}[{index}]"), f"{name}={key.split('=')[1]}"),
                )


@rule("ML303", WARNING, "A label that only one side has", _PRIORITY)
def one_sided(view: View) -> t.Iterator[RuleResult]:
    """Endpoints have the label and clients do not, or the other way round: everything differs."""
    for where, cases, keys in _ordering(view):
        for index, key in enumerate(keys):
            name = key.split("=")[0]
            clients, with_it, endpoints, having = _having(cases, name)
            if "=" in key or not endpoints or not clients or (with_it > 0) == (having > 0):
                continue
            who, lacking = ("endpoint", "client") if having else ("client", "endpoint")
            number = f"{having} of {endpoints}" if having else f"{with_it} of {clients}"
            yield RuleResult(
                Where(where.object, f"{where.path}[{index}]"),
                f"{number} {who}s of {destinations(cases)} have the label {name}, but no {lacking} has it.",
                "The key differs for every endpoint with the label, so the keys behind it make no difference there.",
                f"Label the {lacking}s as well, or compare with a value: {name}=…",
                clients_of(cases),
            )


@rule("ML304", WARNING, "A narrower label before a wider one", _PRIORITY)
def narrow_first(view: View) -> t.Iterator[RuleResult]:
    """The first key that differs decides: another subzone of the own zone ranks as low as another region."""
    for where, cases, keys in _ordering(view):
        names = [key.split("=")[0] for key in keys]
        nested = [
            (index, _NESTED.index(name))
            for index, name in enumerate(names)
            if name in _NESTED and "=" not in keys[index]
        ]
        wrong = next(((nearer, other) for nearer, other in itertools.pairwise(nested) if nearer[1] > other[1]), None)
        if wrong is None:
            continue
        (early, _rank), (late, _other) = wrong
        case = max(cases, key=lambda case: len(case.localities))
        # Of the labels of places among them the widest first; the others stay where they are.
        ranked = sorted((keys[index] for index, _rank in nested), key=_NESTED.index)
        sorted_keys = [
            ranked.pop(0) if name in _NESTED and "=" not in keys[i] else keys[i] for i, name in enumerate(names)
        ]
        yield RuleResult(
            Where(where.object, f"{where.path}[{early}]"),
            f"{names[early]} stands before {names[late]}: the first key that differs decides, so "
            f"{names[late]} makes no difference where {names[early]} differs.",
            f"{destinations([case])} has {spread(case.localities)}; for a client in "
            f"{place(case.kinds[0].representative.locality)} they make "
            f"{count(case.priorities, 'priority', 'priorities')}.",
            f"failoverPriority: [{', '.join(sorted_keys)}]",
            clients_of(cases),
            patch=_written(where, sorted_keys),
        )


@rule("ML305", WARNING, "Zones are compared without their regions", _PRIORITY)
def zone_alone(view: View) -> t.Iterator[RuleResult]:
    """Zones with one name in two regions are equal when the region is not compared before."""
    for where, cases, keys in _ordering(view):
        names = [key.split("=")[0] for key in keys]
        if ZONE_LABEL not in keys or REGION_LABEL in names[: names.index(ZONE_LABEL)]:
            continue
        regions: dict[str, set[str]] = {}
        for case in cases:
            for locality in case.localities:
                regions.setdefault(locality.zone, set()).add(locality.region)
        same = sorted(zone for zone, where_it_is in regions.items() if zone and len(where_it_is) > 1)
        if same:
            rest = [key for key in keys if key != REGION_LABEL]
            wider = [*rest[: rest.index(ZONE_LABEL)], REGION_LABEL, *rest[rest.index(ZONE_LABEL) :]]
            yield RuleResult(
                Where(where.object, f"{where.path}[{names.index(ZONE_LABEL)}]"),
                f"Zone {listed(same)} is in several regions ({listed(sorted(regions[same[0]]))}), and "
                f"{REGION_LABEL} does not stand before {ZONE_LABEL}.",
                f"Requests to {destinations(cases)} go to another region as if it were the own zone.",
                f"failoverPriority: [{', '.join(wider)}]",
                clients_of(cases),
                patch=_written(where, wider),
            )


@rule("ML306", WARNING, "failoverPriority orders nothing", _PRIORITY)
def orders_nothing(view: View) -> t.Iterator[RuleResult]:
    """All endpoints are equal for every client, although they are in several localities."""
    for where, cases, keys in _ordering(view):
        ordered = [case for case in cases if case.assignment.ordered and len(case.localities) > 1]
        if ordered and all(case.priorities == 1 for case in ordered):
            case = ordered[0]
            yield RuleResult(
                where,
                f"All {count(case.total, 'endpoint')} of {destinations(ordered)} have one priority "
                f"for every client: {spread(case.localities)}.",
                f"No client and endpoint differ in {listed(keys)}; without failoverPriority "
                "localities would be ordered by distance.",
                f"failoverPriority: [{REGION_LABEL}, {ZONE_LABEL}]",
                clients_of(ordered),
                patch=_written(where, [REGION_LABEL, ZONE_LABEL]),
            )


@rule(
    "ML310",
    WARNING,
    "A rule takes trafficDistribution away",
    "https://istio.io/latest/docs/reference/config/annotations/",
)
def distribution_hidden(view: View) -> t.Iterator[RuleResult]:
    """A localityLbSetting of a rule goes before the Service's trafficDistribution, also when it is switched off."""
    by_place: dict[Where, list[Case]] = {}
    for case in view.cases:
        assignment = case.assignment
        block = view.block(case, "loadBalancer")
        setting = (
            assignment.policy.locality_lb
            if assignment.policy.zone_aware_lb is None
            else assignment.policy.zone_aware_lb
        )
        if assignment.traffic_distribution in DISTRIBUTION_KEYS and setting is not None and block:
            name = "localityLbSetting" if assignment.policy.zone_aware_lb is None else "zoneAwareLbSetting"
            by_place.setdefault(block.below(name), []).append(case)
    for where, cases in by_place.items():
        case = cases[0]
        off = (case.assignment.policy.locality_lb or {}).get("enabled") is False
        weighed = (
            "is switched off" if off else "has an order of its own" if case.assignment.ordered else "orders nothing"
        )
        yield RuleResult(
            where,
            f"trafficDistribution {case.assignment.traffic_distribution} of {destinations(cases)} does not "
            f"apply: this setting wins, and it {weighed}.",
            f"{spread(case.localities)} make {count(case.priorities, 'priority', 'priorities')} for a "
            f"client in {place(case.kinds[0].representative.locality)}.",
            "Leave the setting out, or trafficDistribution.",
            clients_of(cases),
        )


@rule(
    "ML311",
    WARNING,
    "trafficDistribution with an unknown value",
    "https://istio.io/latest/docs/reference/config/annotations/",
)
def distribution_unknown(view: View) -> t.Iterator[RuleResult]:
    """istiod takes an unknown value of the annotation for any, and does not look at the namespace's."""
    for service in view.snapshot.services:
        if service.traffic_distribution == "unknown":
            yield RuleResult(
                Where(service.source, f"metadata.annotations[{TRAFFIC_DISTRIBUTION}]"),
                f"The value of {TRAFFIC_DISTRIBUTION} means nothing to istiod, so {service.host} has no preference.",
                f"Its {count(len(service.endpoints), 'endpoint')} get requests from everywhere, and "
                "the namespace's annotation does not apply.",
                "PreferSameZone or PreferSameNode",
            )


@rule(
    "ML312",
    WARNING,
    "Zone-aware balancing without self-discovery",
    f"{ISTIO}/destination-rule/#ZoneAwareLoadBalancerSetting",
)
def no_self_discovery(view: View) -> t.Iterator[RuleResult]:
    """Envoy balances between zones only when it knows its own cluster, which a proxy has to be started for."""
    wanted = (case for case in view.cases if case.setting and case.setting.zone_aware and case.setting.enabled)
    for where, cases in view.by_place(wanted).items():
        clients = clients_of(cases)
        without = tuple(client for client in clients if not client.self_discovery)
        if without:
            yield RuleResult(
                where,
                f"{len(without)} of {count(len(clients), 'client')} of {destinations(cases)} run "
                "without ISTIO_META_ENABLE_SELF_DISCOVERY.",
                "They prefer their region, but not their zone: Envoy's zone-aware routing needs to "
                "know its own cluster.",
                'proxyMetadata: {ISTIO_META_ENABLE_SELF_DISCOVERY: "true"}',
                without,
            )


@rule("ML313", ERROR, "failoverPriority that istiod refuses", LOCALITY_SETTING)
def refused(view: View) -> t.Iterator[RuleResult]:
    """Topology labels next to failover, or in a zone-aware setting."""
    for name, said in view.verdicts:
        if said.code in ("failover-and-topology-key", "zone-aware-topology-key"):
            yield RuleResult(
                Where(name, f"spec.{said.path}"),
                f"istiod refuses the rule: {said.message}.",
                "failover orders by region, zone and subzone already.",
                "Leave the label out, or failover.",
            )
