# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ML12x: distribute, which is no failover.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_priorities import matches
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import Part, mapping
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import Case, View, uncertain
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    ERROR,
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
    place,
    spread,
    unanswered_cases,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import rule
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality


def _distributing(view: View) -> t.Iterator[tuple[Where, list[Case]]]:
    wanted = (case for case in view.cases if case.setting and case.setting.distribute)
    yield from view.by_place(wanted).items()


def _chosen(view: View, case: Case) -> tuple[int, Part] | None:
    """Return the entry of distribute for the clients of a case; None when none is for them."""
    own = case.kinds[0].representative.locality
    return next(
        (entry for entry in view.entries(case, "distribute") if matches(own, str(entry[1].get("from") or ""))), None
    )


def _to(entry: Part) -> dict[str, t.Any]:
    return {str(key): value for key, value in (mapping(entry.get("to")) or {}).items()}


@rule("ML120", WARNING, "distribute leaves out localities that have endpoints", issue(33470))
def leaves_out(view: View) -> t.Iterator[RuleResult]:
    """A locality that no `to` matches loses all its endpoints, even when nothing else is left."""
    for where, cases in _distributing(view):
        done: dict[int, tuple[Case, dict[Locality, int], list[Case]]] = {}
        for case in cases:
            entry = _chosen(view, case)
            if entry is None or not case.with_localities or not case.total:
                continue
            dropped = {
                group.locality: view.endpoints_in(case.service, group.locality)
                for group in case.assignment.groups
                if not group.members
            }
            if dropped:
                best, _old, hit = done.setdefault(entry[0], (case, dropped, []))
                hit.append(case)
                if len(dropped) > len(done[entry[0]][1]):
                    done[entry[0]] = (best, dropped, hit)
        for index, (case, dropped, hit) in done.items():
            left = listed(place(locality) for locality in sorted(case.localities))
            yield RuleResult(
                where.below(f"distribute[{index}].to"),
                f"{spread(dropped)}: these endpoints of {destinations(hit)} get nothing from clients "
                f"in {place(case.kinds[0].representative.locality)}, not even when {left} is lost.",
                f"distribute is no failover: if the {count(case.total, 'endpoint')} it names are "
                f"lost, {unanswered_cases(hit)}.",
                "Give every locality that may take over a weight of at least 1, or use failover instead of distribute.",
                clients_of(hit),
            )


@rule("ML128", WARNING, "Clients that distribute leaves without an order", LOCALITY_SETTING)
def without_order(view: View) -> t.Iterator[RuleResult]:
    """No `from` matches these clients, and a setting with distribute orders localities for nobody else."""
    for where, cases in _distributing(view):
        left = [
            case
            for case in cases
            if _chosen(view, case) is None
            and case.with_localities
            and len(case.localities) > 1
            and case.assignment.outlier_detection is not None
        ]
        if left and not view.wide(where):
            case = left[0]
            places = sorted({client.locality for client in clients_of(left)})
            yield RuleResult(
                where.below("distribute"),
                f"No `from` matches {count(len(clients_of(left)), 'client')} in "
                f"{listed(place(locality) for locality in places)}: for them all {count(case.total, 'endpoint')} of "
                f"{destinations(left)} have one priority.",
                "A setting with distribute has no failover for the others either, although outlierDetection is there: "
                f"their requests go everywhere alike ({spread(case.localities)}).",
                f"Add an entry for them: {{from: {_any_of(places[0])}, to: {{…}}}}",
                clients_of(left),
            )


def _any_of(locality: Locality) -> str:
    return f"{locality.region}/{locality.zone}/*" if locality.zone else f"{locality.region}/*"


@rule("ML121", ERROR, "distribute leaves no endpoint at all", issue(59202))
def leaves_nothing(view: View) -> t.Iterator[RuleResult]:
    """No `to` matches any endpoint: nobody answers."""
    for where, cases in _distributing(view):
        for case in cases:
            entry = _chosen(view, case)
            if entry is None or not case.with_localities or case.total or not case.assignment.groups:
                continue
            known = {
                group.locality: view.endpoints_in(case.service, group.locality) for group in case.assignment.groups
            }
            yield RuleResult(
                where.below(f"distribute[{entry[0]}].to"),
                f"No key of `to` ({listed(_to(entry[1]))}) matches an endpoint of "
                f"{destinations([case])}: it has {spread(known)}.",
                f"Of {count(len(clients_of([case])), 'client')} in {place(case.kinds[0].representative.locality)} "
                f"{unanswered_cases([case])}.",
                _missing_endpoints(view, case, entry[1], known),
                clients_of([case]),
                *uncertain(view),
            )
            break


def _missing_endpoints(view: View, case: Case, entry: Part, known: t.Iterable[Locality]) -> str:
    """Return how the wish of the entry comes true: an endpoint that is meant and not selected, or others."""
    wanted = listed(_to(entry))
    for workload_entry in view.snapshot.unselected:
        selector = case.service.selector
        where = view.planner.places.of_entry(workload_entry)
        fits = any(matches(Locality.parse(where), key) for key in _to(entry))
        if fits and selector and all(workload_entry.labels.get(key) == value for key, value in selector.items()):
            return (
                f"WorkloadEntry {workload_entry.namespace}/{workload_entry.name} is in {where}, "
                "but a ServiceEntry selects in its own "
                f"namespace only: metadata.namespace: {case.service.namespace}"
            )
    return f"Run endpoints in {wanted}, or name localities that have some: {_example(known)}"


def _example(known: t.Iterable[Locality]) -> str:
    named = sorted(str(locality) for locality in known if locality)
    return f"to: {{{named[0]}: 100}}" if named else "Give the endpoints a locality."


@rule("ML122", WARNING, "distribute from where no client is", LOCALITY_SETTING)
def from_nobody(view: View) -> t.Iterator[RuleResult]:
    """`from` matches no client."""
    for where, cases in _distributing(view):
        places = {client.locality for client in clients_of(cases)}
        for index, entry in view.entries(cases[0], "distribute"):
            origin = str(entry.get("from") or "")
            if not any(matches(locality, origin) for locality in places):
                partial = "*" in origin and origin.rsplit("/", maxsplit=1)[-1] != "*"
                yield RuleResult(
                    where.below(f"distribute[{index}].from"),
                    f"{origin or '(empty)'} matches none of the "
                    f"{count(len(places), 'locality', 'localities')} of clients: "
                    f"{listed(place(locality) for locality in sorted(places))}."
                    + (" Istio compares a * that is not a whole part letter by letter." if partial else ""),
                    "The entry does nothing; its clients send requests everywhere.",
                    "Write a locality of clients, with * only as the whole last part.",
                )


@rule("ML123", WARNING, "distribute to where no endpoint is", LOCALITY_SETTING)
def to_nothing(view: View) -> t.Iterator[RuleResult]:
    """A key of `to` matches no endpoint of the Service."""
    for where, cases in _distributing(view):
        seen = [case for case in cases if case.with_localities and case.total]
        for index, entry in view.entries(cases[0], "distribute"):
            given = _to(entry)
            concerned = [case for case in seen if (chosen := _chosen(view, case)) and chosen[0] == index]
            for key, weight in given.items():
                empty = [
                    case
                    for case in concerned
                    if not any(matches(group.locality, key) for group in case.assignment.groups)
                ]
                if not empty or (view.wide(where) and len(empty) < len(concerned)):
                    continue
                partial = "*" in key and key.split("/")[-1] != "*"
                others = sum(value for name, value in given.items() if name != key and isinstance(value, int))
                yield RuleResult(
                    where.below(f"distribute[{index}].to[{key}]"),
                    f"{key} matches no endpoint of {destinations(empty)}, which has {spread(empty[0].localities)}."
                    + (" Istio compares a * that is not a whole part letter by letter." if partial else ""),
                    f"Its {weight} % go to the other keys, in proportion to their {others}.",
                    "Correct the locality, or give its weight to the others.",
                    clients_of(empty),
                )


@rule("ML124", ERROR, "Keys of distribute overlap", LOCALITY_SETTING)
def ambiguous(view: View) -> t.Iterator[RuleResult]:
    """istiod goes through `to` in random order, so its answer differs from push to push."""
    for name, said in view.verdicts:
        if said.level == "chance":
            yield RuleResult(
                Where(name, f"spec.{said.path}"),
                f"istiod nondeterministically refuses or accepts the rule: {said.message}.",
                "Once accepted, the weights of the endpoints that two keys match differ from push to push.",
                "Write keys of which none contains another.",
            )


@rule("ML125", ERROR, "Weights of distribute are not 100 together", LOCALITY_SETTING)
def weights(view: View) -> t.Iterator[RuleResult]:
    """istiod refuses the rule."""
    for name, said in view.verdicts:
        if said.code in ("weight-sum", "weight-range"):
            yield RuleResult(
                Where(name, f"spec.{said.path}"),
                f"istiod refuses the rule: {said.message}.",
                "Each weight is 1 to 100 percent, and those of one `to` are 100 together.",
                "Change the weights so that they are 100 together.",
            )


@rule("ML126", ERROR, "distribute next to failover", LOCALITY_SETTING)
def both(view: View) -> t.Iterator[RuleResult]:
    """istiod refuses the two together."""
    for name, said in view.verdicts:
        if said.code == "distribute-and-failover":
            yield RuleResult(
                Where(name, f"spec.{said.path}"),
                f"istiod refuses the rule: {said.message}.",
                "distribute gives weights and no order, failover an order; a Service has one of them.",
                "Keep one of the two.",
            )


@rule("ML127", WARNING, "failoverPriority next to distribute", issue(33470))
def priority_lost(view: View) -> t.Iterator[RuleResult]:
    """distribute wins without a word."""
    for where, cases in _distributing(view):
        lost = [case for case in cases if case.setting and case.setting.failover_priority]
        if lost:
            yield RuleResult(
                where.below("failoverPriority"),
                f"failoverPriority does nothing for {destinations(lost)}: distribute stands next to it and wins.",
                f"All endpoints that distribute names have one priority: {spread(lost[0].localities)}.",
                "Leave failoverPriority out, or distribute when an order is meant.",
                clients_of(lost),
                patch=(FieldChange(where.object, f"{where.path}.failoverPriority"),)
                if where.object.startswith("DestinationRule ")
                else (),
            )
