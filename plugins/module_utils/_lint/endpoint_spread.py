# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ML52x: endpoints that all stand in one place, and single ones.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import functools
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._forecast.endpoint_groups import EndpointGroup
from ansible_collections.meshops.locality.plugins.module_utils._forecast.selectors import short
from ansible_collections.meshops.locality.plugins.module_utils._istio.ambient_mode import is_waypoint_of
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import Case, View, uncertain
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    INFO,
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
    place,
    spread,
    unanswered_cases,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import rule
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import PLACE_LABELS, ZONE_LABEL, Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.object_cache import ObjectCache
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Pod, Service, Workload

_SPREAD = "https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/"
#: How many times the average load of an endpoint is worth a word.
_UNEVEN = 3.0


def ordering(cases: t.Iterable[Case]) -> list[Case]:
    """Return the cases whose localities a DestinationRule puts into an order."""
    return [
        case for case in cases if case.assignment.ordered and case.setting and case.setting.source == "DestinationRule"
    ]


def _ordered_hosts(view: View) -> t.Iterator[tuple[str, list[Case]]]:
    """Yield the hosts with an order of localities, with a case for each client of one port and no subset."""
    for host, cases in view.used_services.items():
        done: set[str] = set()
        for first in ordering(cases):
            subset = first.assignment.destination.subset
            if subset not in done:
                done.add(subset)
                yield (
                    host,
                    [case for case in ordering(cases) if case.assignment.destination == first.assignment.destination],
                )


def _behind_pods(cases: t.Iterable[Case]) -> bool:
    return any(member.pod for case in cases for group in case.assignment.groups for member in group.members)


@rule("ML520", WARNING, "All endpoints are in one locality", issue(33470))
def one_place(view: View) -> t.Iterator[RuleResult]:
    """There is an order of localities, and one locality."""
    for _host, cases in _ordered_hosts(view):
        case = max(cases, key=lambda case: case.total)
        if (
            case.total
            and len(case.localities) == 1
            and all(set(other.localities) == set(case.localities) for other in cases)
        ):
            (where,) = case.localities
            if max(case.priorities for case in cases) > 1:  # failoverPriority orders endpoints of one locality, too
                continue
            if case.service.external and not _behind_pods(cases):
                continue  # where hosts outside of the mesh stand is not in its hands
            yield RuleResult(
                view.setting_place(case),
                f"{'The only endpoint' if case.total == 1 else f'All {case.total} endpoints'} of {destinations(cases)} "
                f"{'is' if case.total == 1 else 'are'} in {place(where)}.",
                f"There is nothing to fail over to: when it is lost, {unanswered_cases(cases)}.",
                "Run endpoints in a second zone or region.",
                clients_of(cases),
                *uncertain(view),
            )


@rule("ML521", INFO, "One endpoint is a whole locality", issue(33470))
def single(view: View) -> t.Iterator[RuleResult]:
    """The loss of one pod, a restart too, moves all requests of its clients to another locality."""
    for _host, cases in _ordered_hosts(view):
        case = max(cases, key=lambda case: len(case.localities))
        alone = sorted(locality for locality, number in case.localities.items() if number == 1)
        if alone and len(case.localities) > 1:
            hit = tuple(client for client in clients_of(cases) if client.locality in alone)
            pods = any(member.pod for group in case.assignment.groups for member in group.members)
            if not hit:
                continue
            yield RuleResult(
                Where(case.service.source),
                f"{listed(place(locality) for locality in alone)} {'have' if len(alone) > 1 else 'has'} one "
                f"endpoint of {destinations([case])} each, of {case.total}.",
                f"{'Each restart of such a pod' if pods else 'Each failure of it'} sends the requests of "
                f"{count(len(hit), 'client')} to another locality.",
                "Two replicas in each locality, and a PodDisruptionBudget."
                if pods
                else "Two endpoints in each locality.",
                hit,
            )


def _workloads(view: View) -> dict[str, tuple[Workload, list[Pod], list[Case]]]:
    """Return the workloads behind Services with an order of localities, with their pods and cases."""
    by_workload: dict[str, tuple[Workload, list[Pod], list[Case]]] = {}
    for _host, cases in _ordered_hosts(view):
        pods = {member.pod for group in cases[0].assignment.groups for member in group.members if member.pod}
        for key in sorted(pods):
            pod = view.snapshot.pod_by_key[key]
            workload = view.snapshot.workload_by_key.get((pod.namespace, pod.workload))
            if workload is not None:
                entry = by_workload.setdefault(
                    f"{workload.kind} {workload.namespace}/{workload.name}", (workload, [], [])
                )
                if pod not in entry[1]:
                    entry[1].append(pod)
                if cases[0] not in entry[2]:
                    entry[2].extend(cases)
    return by_workload


@rule("ML522", WARNING, "Nothing keeps the replicas in several zones", _SPREAD)
def not_spread(view: View) -> t.Iterator[RuleResult]:
    """No constraint keeps the replicas in different zones, or their autoscaler may take them out of some."""
    zones = {(node.locality.region, node.locality.zone) for node in view.snapshot.nodes if node.locality.zone}
    for name, (workload, pods, cases) in sorted(_workloads(view).items()):
        replicas = max(workload.replicas, workload.minimum)
        here = {_zone_of(view, pod) for pod in pods}
        if workload.kind == "DaemonSet" or len(zones) < 2 or any(_zones(case) - here for case in cases):
            continue
        if 0 < workload.minimum < len(here):
            yield RuleResult(
                Where(name, "spec.replicas"),
                f"Its autoscaler may shrink it to {count(workload.minimum, 'replica')}; now it is in "
                f"{count(len(here), 'zone')}.",
                f"{destinations(cases)} then has nothing in {len(here) - workload.minimum} of them; forecasts are for "
                "the replicas of now.",
                f"minReplicas: {len(here)} in its HorizontalPodAutoscaler.",
                clients_of(cases),
                INFO if workload.minimum > 1 else "",
            )
        if replicas < 2 or any(key in PLACE_LABELS and skew < replicas for key, skew in workload.spread):
            continue
        now = Counter(Locality.parse(view.planner.places.locality(pod)) for pod in pods)
        if workload.pinned:
            yield RuleResult(
                Where(name, "spec.template.spec"),
                f"Its pods must run where {listed(workload.pinned)}: now {spread(now)}.",
                f"{destinations(cases)} has nothing left when that is lost.",
                "A second workload behind the Service in another zone, or pods that may run in several zones.",
                clients_of(cases),
            )
            continue
        together = {(locality.region, locality.zone) for locality in now}
        yield RuleResult(
            Where(name, "spec.template.spec.topologySpreadConstraints"),
            f"Nothing keeps the {count(replicas, 'replica')} in different ones of "
            f"{count(len(zones), 'zone')}: now {spread(now)}.",
            "The scheduler may put all of them into one "
            f"zone{', as it has done' if len(together) == 1 else ' at their next start'}; then "
            f"{destinations(cases)} has nothing left when it is lost.",
            f"topologySpreadConstraints: [{{maxSkew: 1, topologyKey: {ZONE_LABEL}, whenUnsatisfiable: "
            f"DoNotSchedule, labelSelector: {{matchLabels: {_labels(workload)}}}}}]",
            clients_of(cases),
        )


def _zone_of(view: View, pod: Pod) -> tuple[str, str]:
    locality = Locality.parse(view.planner.places.locality(pod))
    return locality.region, locality.zone


def _zones(case: Case) -> set[tuple[str, str]]:
    """Return the zones in which a Service has endpoints, of whatever workload."""
    return {(locality.region, locality.zone) for locality in case.localities}


def _labels(workload: Workload) -> str:
    """Return all labels of its pods: fewer would count those of another workload of the Service, too."""
    return f"{{{', '.join(f'{name}: {value}' for name, value in sorted(workload.labels.items()))}}}"


@rule("ML523", WARNING, "A gateway stands in one place", issue(13361))
def gateways(view: View) -> t.Iterator[RuleResult]:
    """All requests from outside, or from ambient pods, pass pods that one loss takes away; what is behind is in more
    places, or in more regions."""
    behind: dict[str, tuple[Service, set[Locality]]] = {}
    for host, cases in _ordered_hosts(view):
        places = behind.setdefault(host, (cases[0].service, set()))[1]
        places.update(locality for case in cases for locality in case.localities)
    grouped: dict[tuple[str, str], list[Pod]] = {}
    for pod in view.snapshot.pods:
        if pod.proxy in ("router", "waypoint"):
            grouped.setdefault((pod.namespace, pod.workload or f"Pod/{pod.name}"), []).append(pod)
    for (namespace, workload), pods in sorted(grouped.items()):
        gateway = pods[0].proxy == "router"
        others = "; other networks see the gateway as one endpoint"
        own = [known for known in behind.values() if gateway or is_waypoint_of(view.snapshot, pods[0], known[0])]
        where = {Locality.parse(view.planner.places.locality(pod)) for pod in pods}
        if regional := len(where) > 1:
            where = {Locality(locality.region) for locality in where}
        several = sorted(
            short(service.host)
            for service, places in own
            if len({locality.region for locality in places} if regional else places) > 1
        )
        if not several or len(where) > 1:
            continue
        (only,) = where
        kind, _slash, name = workload.partition("/")
        yield RuleResult(
            Where(f"{kind} {namespace}/{name}", "spec.replicas"),
            f"{count(len(pods), 'pod')} of the {'gateway' if gateway else 'waypoint'}, all in {place(only)}.",
            f"When it is lost, nothing from {'outside' if gateway else 'ambient pods'} reaches {listed(several)}, "
            f"wherever their endpoints are{others if gateway and not regional else ''}.",
            f"Two or more replicas, spread over {'regions' if regional else 'zones'}.",
            tuple(view.planner.places.client(pod) for pod in pods),
        )


@rule(
    "ML524",
    WARNING,
    "Requests stay on their node",
    "https://kubernetes.io/docs/concepts/services-networking/service-traffic-policy/",
)
def node_local(view: View) -> t.Iterator[RuleResult]:
    """internalTrafficPolicy Local leaves a client nothing but the endpoints on its own node."""
    for _host, cases in view.used_services.items():
        ordered = [case for case in ordering(cases) if case.service.node_local]
        if not ordered:
            continue
        empty = [case for case in ordered if not case.total]
        known = len(view.planner.endpoints.known(ordered[0].service))
        yield RuleResult(
            Where(ordered[0].service.source, "spec.internalTrafficPolicy"),
            f"internalTrafficPolicy is Local, so failover does nothing for {destinations(ordered)}: "
            f"of {count(known, 'endpoint')} a client sees those on its node.",
            f"{count(len(clients_of(empty)), 'client')} have none on their node now"
            + (f": of theirs {unanswered_cases(empty)}." if empty else "."),
            "internalTrafficPolicy: Cluster",
            clients_of(ordered),
            patch=(FieldChange(ordered[0].service.source, "spec.internalTrafficPolicy", "Cluster"),),
        )


@dataclass
class _Load:
    """What each endpoint of a group gets, in clients' shares."""

    group: EndpointGroup
    each: float = 0.0


@rule("ML525", INFO, "Clients and endpoints are not where each other are", issue(50727))
def uneven(view: View) -> t.Iterator[RuleResult]:
    """Pinned to their locality, many clients may meet few endpoints, and load alone never makes Envoy spill over."""
    for _host, cases in _ordered_hosts(view):
        # All endpoints of one cell get the same.
        loads: ObjectCache[_Load] = ObjectCache()
        clients = clients_of(cases)
        for case in cases:
            number = sum(len(kind.members) for kind in case.kinds)
            for position, cell in enumerate(case.client_load.cells):
                share = case.client_load.now.shares.get(position, 0.0)
                load = loads.once(functools.partial(_Load, cell), (cell.members,))
                load.each += share * number / len(cell.members)
        # failoverPriority makes cells of its own for each client, of the same endpoints.
        gets: dict[tuple[Locality, int], float] = defaultdict(float)
        for load in loads.values():
            for member in load.group.members:
                gets[load.group.locality, id(member)] += load.each
        total = len(gets)
        if total < 2 or not clients:
            continue
        most, here = max((each, locality) for (locality, _member), each in gets.items())
        average = sum(gets.values()) / total
        if average and most >= _UNEVEN * average:
            near = [client for client in clients if client.locality == here]
            yield RuleResult(
                Where(cases[0].service.source),
                f"If all clients send alike, an endpoint in {place(here)} gets {most / average:.1f} "
                f"times the average of {destinations(cases)}: {percent(most / len(clients))} of all "
                "requests.",
                f"{len(near)} of {count(len(clients), 'client')} are there, and "
                f"{cases[0].localities[here]} of {count(total, 'endpoint')}. Load without failures "
                "never spills over.",
                f"More endpoints in {place(here)}, or distribute.",
                clients,
            )
