# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ML2xx: outlierDetection that ejects nobody, or too few.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import Transition
from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier_detection import (
    CONSECUTIVE,
    MAX_EJECTION_PERCENT,
    Failure,
    needed_percent,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_forecast import (
    POD_READINESS,
    Question,
    outlook,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import Loss
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._istio.uncomputed_fields import (
    not_computed,
    without_effect,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import Case, View
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    ERROR,
    INFO,
    ISTIO,
    OUTLIER_DETECTION,
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
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.fix_values import ejection_percent
from ansible_collections.meshops.locality.plugins.module_utils._lint.patches import steps
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import rule

#: Requests per second of the client in examples.
RATE = 20
READINESS = f"{POD_READINESS.least:g} to {POD_READINESS.most:g} s"


def _detecting(view: View) -> t.Iterator[tuple[Where, list[Case]]]:
    """Yield the places of outlierDetection and the cases with several endpoints to which it applies."""
    by_place: dict[Where, list[Case]] = {}
    for case in view.cases:
        where = view.block(case, "outlierDetection", cluster=True)
        if where and case.client_load.detection and case.with_localities and not case.assignment.crash:
            by_place.setdefault(where, []).append(case)
    yield from by_place.items()


@rule("ML201", ERROR, "outlierDetection without any detector", OUTLIER_DETECTION)
def no_detector(view: View) -> t.Iterator[RuleResult]:
    """All counters are off: no failure, however often, ejects an endpoint."""
    for where, cases in _detecting(view):
        detection = cases[0].client_load.detection
        if detection and not detection.ejecting_failures:
            enough = max([ejection_percent(case) for case in cases])
            yield RuleResult(
                where.below("consecutive5xxErrors"),
                f"No failure ever ejects an endpoint of {destinations(cases)}: consecutive5xxErrors is 0 and "
                "consecutiveGatewayErrors is off.",
                f"When an endpoint is lost, requests to it fail until Kubernetes takes it out, {READINESS} later.",
                f"consecutive5xxErrors: {CONSECUTIVE}, and maxEjectionPercent: {enough}",
                clients_of(cases),
                patch=(
                    FieldChange(where.object, f"{where.path}.consecutive5xxErrors", CONSECUTIVE),
                    FieldChange(where.object, f"{where.path}.maxEjectionPercent", enough),
                ),
            )


@rule("ML202", ERROR, "maxEjectionPercent allows no ejection at all", issue(34605))
def no_ejection(view: View) -> t.Iterator[RuleResult]:
    """The percentage of all endpoints of the Service is less than one endpoint."""
    for where, cases in _detecting(view):
        stuck = [case for case in cases if _works(case) and case.client_load.total > 1 and not _budget(case)]
        if stuck:
            yield _too_little(view, where, stuck)


@rule("ML203", WARNING, "maxEjectionPercent is too small for a locality", issue(34605))
def too_few(view: View) -> t.Iterator[RuleResult]:
    """Envoy can eject some, but not all endpoints of a locality that is lost."""
    for where, cases in _detecting(view):
        short = [case for case in cases if _works(case) and _budget(case) and case.waiting]
        if short:
            yield _too_little(view, where, short)


def _works(case: Case) -> bool:
    return case.client_load.detection is not None and bool(case.client_load.detection.ejecting_failures)


def _budget(case: Case) -> int:
    detection = case.client_load.detection
    return detection.ejectable(case.client_load.total) if detection else 0


def _costs(view: View, case: Case) -> bool:
    """Whether a loss costs requests: retries elsewhere may answer all of them. Without any loss to judge it may."""
    waiting = case.waiting or _first_endpoint(case)
    course = _course(view, case, waiting[0]) if waiting else None
    return course is None or not course.ever or (course.expected_failed_requests or 0.0) >= 1


def _first_endpoint(case: Case) -> tuple[Loss, ...]:
    """Return the loss of one endpoint that gets requests: for those that are in no place that could be lost."""
    busy = (case.client_load.cells[number] for number, share in case.client_load.now.shares.items() if share)
    return tuple(Loss("pod", member.pod or member.host) for cell in busy for member in cell.members[:1])[:1]


def _course(view: View, case: Case, loss: Loss) -> Transition | None:
    client = case.kinds[0].representative
    predicted = outlook(view.planner, client, case.legal, [(loss,)], Question(rate=RATE, readiness=POD_READINESS.mean))
    return predicted.forecasts[0].first.transition


def _too_little(view: View, where: Where, cases: list[Case]) -> RuleResult:
    # Clients of several networks hold different numbers of endpoints: the rule has to do for all of them.
    case = max(cases, key=lambda case: (_needed(case), len(case.waiting), -_budget(case), case.total))
    total = case.client_load.total
    block = mapping(case.assignment.outlier_detection) or {}
    given = number(block.get("maxEjectionPercent"))
    said = (
        f"maxEjectionPercent {given}"
        if given > 0
        else f"maxEjectionPercent is not set, and Envoy's {MAX_EJECTION_PERCENT} %"
    )
    waiting = case.waiting
    gone = {loss: sum(number for _cell, number in case.client_load.outcome((loss,)).gone) for loss in waiting}
    needs = [
        f"{number} in {loss} need{'s' if number == 1 else ''} {needed_percent(number, total)}"
        for loss, number in gone.items()
    ]
    hint = f" ({listed(needs)})" if needs else ""
    fix = _needed(case)
    return RuleResult(
        where.below("maxEjectionPercent"),
        f"{said} of {count(total, 'endpoint')} of {destinations(cases)} allows "
        f"{count(_budget(case), 'ejection')}{hint}.",
        _until_readiness(view, case, waiting),
        f"maxEjectionPercent: {fix}",
        clients_of(cases),
        "" if any(_costs(view, case) for case in cases) else WARNING,
        patch=(FieldChange(where.object, f"{where.path}.maxEjectionPercent", fix),),
    )


def _needed(case: Case) -> int:
    """Return the maxEjectionPercent with which each loss that now waits for Kubernetes ends by ejections."""
    lost = (sum(number for _cell, number in case.client_load.outcome((loss,)).gone) for loss in case.waiting)
    return max([ejection_percent(case), *(needed_percent(number, case.client_load.total) for number in lost)])


def _until_readiness(view: View, case: Case, waiting: t.Sequence[Loss]) -> str:
    """Say what happens after the first of the losses, until the lost endpoints are taken out, if ever."""
    waiting = waiting or _first_endpoint(case)
    if not waiting:
        return f"Lost endpoints get requests until Kubernetes takes them out, {READINESS} later."
    loss = waiting[0]
    outcome = case.client_load.outcome((loss,))
    course = _course(view, case, loss)
    if course is not None and not course.ever and outcome.staying:
        return (
            f"When {loss} is lost, {percent(course.for_good)} of a client's requests fail for ever: nothing takes "
            "these endpoints out, because they are no pods with a readiness that Kubernetes watches."
        )
    if not _costs(view, case):
        return (
            f"When {loss} is lost, {percent(outcome.at_risk)} of a client's requests meet a lost endpoint first, for "
            f"{READINESS}; retries elsewhere answer them. Failures that are not retried go on."
        )
    failed = course.expected_failed_requests if course else None
    until = f": about {failed:.0f} requests of a client with {RATE} a second" if failed and failed >= 0.5 else ""
    return (
        f"When {loss} is lost, {percent(outcome.at_risk)} of a client's requests go to lost endpoints "
        "until their readiness probes fail and "
        f"Kubernetes takes them out: {READINESS} with the sidecar's probe (4 failures, every 15 s){until}."
    )


@rule("ML204", INFO, "Some failures eject nobody", OUTLIER_DETECTION)
def blind(view: View) -> t.Iterator[RuleResult]:
    """A detector is off, so that one kind of failure is never noticed."""
    for where, cases in _detecting(view):
        detection = cases[0].client_load.detection
        if not detection:
            continue
        seen = detection.ejecting_failures
        missing = [failure.value for failure in Failure if failure not in seen]
        if seen and missing:
            yield RuleResult(
                where,
                f"These failures never eject an endpoint of {destinations(cases)}: {'; '.join(missing)}.",
                "An endpoint that fails in this way keeps its share of requests for as long as "
                "Kubernetes calls it ready.",
                f"consecutive5xxErrors: {CONSECUTIVE}",
                clients_of(cases),
                patch=(FieldChange(where.object, f"{where.path}.consecutive5xxErrors", CONSECUTIVE),),
            )


@rule("ML205", WARNING, "minHealthPercent sends requests to lost endpoints", issue(20135))
def panics(view: View) -> t.Iterator[RuleResult]:
    """Below minHealthPercent Envoy ignores health: requests go back to what was lost."""
    for where, cases in _detecting(view):
        worst: tuple[float, Loss, Case] | None = None
        hit = []
        for case in cases:
            if not case.assignment.panic_threshold:
                continue
            for loss in case.losses:
                gone = case.client_load.common.lost((loss,))
                dead = sum(case.client_load.after(gone, removed=False).dead.values()) if gone else 0.0
                if dead > 1e-9:
                    hit.append(case)
                    if worst is None or dead > worst[0]:
                        worst = (dead, loss, case)
        if worst:
            dead, loss, case = worst
            lost = sum(number for _cell, number in case.client_load.common.lost((loss,)))
            left = 100 * (case.client_load.total - lost) // case.client_load.total
            yield RuleResult(
                where.below("minHealthPercent"),
                f"minHealthPercent {case.assignment.panic_threshold:g}: when {loss} is lost, {left} % of "
                f"the {count(case.client_load.total, 'endpoint')} of {destinations(hit)} are left, and Envoy "
                "then sends requests to all of them.",
                f"{percent(dead)} of the requests of a client in "
                f"{case.kinds[0].representative.locality or 'no locality'} go to lost endpoints, although "
                f"{case.client_load.total - lost} healthy endpoints are there.",
                f"minHealthPercent: 0 (or at most {left})",
                clients_of(hit),
                patch=(FieldChange(where.object, f"{where.path}.minHealthPercent", 0),),
            )


@rule("ML206", WARNING, "Ejection without an order of localities", f"{ISTIO}/destination-rule/#OutlierDetection")
def ejects_only(view: View) -> t.Iterator[RuleResult]:
    """The mesh's defaultTrafficPolicy ejects, but does not order localities."""
    ejecting: list[Case] = []
    for case in view.cases:
        origin = case.assignment.cluster_policy.origin.get("outlierDetection")
        default = origin is not None and origin.by == "mesh"
        setting = case.setting
        wants = setting is not None and setting.weighted and not setting.distribute and not setting.forced
        if default and wants and case.assignment.type == "EDS" and not case.assignment.ordered:
            ejecting.append(case)
    for where, cases in view.by_place(ejecting).items():
        yield RuleResult(
            where,
            f"outlierDetection of {destinations(cases)} comes from the mesh's defaultTrafficPolicy: Envoy ejects, but "
            "istiod does not order localities because of it.",
            f"All {count(cases[0].total, 'endpoint')} have one priority; the failover of this setting does nothing.",
            "Write outlierDetection into the DestinationRule.",
            clients_of(cases),
        )


@rule("ML207", WARNING, "consecutiveErrors is ignored", OUTLIER_DETECTION)
def consecutive_errors(view: View) -> t.Iterator[RuleResult]:
    """istiod takes no notice of the old field."""
    for name, said in view.verdicts:
        if said.code == "errors-deprecated":
            here = Where(name, f"spec.{said.path}")
            old = _errors_written(view, here)
            yield RuleResult(
                here,
                "consecutiveErrors does nothing any more: what ejects an endpoint is consecutive5xxErrors.",
                "Without that, Envoy's default applies: 5 failures in a row.",
                f"consecutive5xxErrors: {old}, instead of consecutiveErrors"
                if old
                else "Rename it to consecutive5xxErrors.",
                patch=(
                    FieldChange(name, f"{here.path.removesuffix('.consecutiveErrors')}.consecutive5xxErrors", old),
                    FieldChange(name, f"{here.path.removesuffix('.consecutiveErrors')}.consecutiveErrors"),
                )
                if old
                else (),
            )


def _errors_written(view: View, where: Where) -> int:
    """Return the value of a rule's consecutiveErrors; 0 when it is not found or is no number above 0."""
    block: t.Any = next(
        (
            dict(destination_rule.spec)
            for destination_rule in view.snapshot.destination_rules
            if f"DestinationRule {destination_rule}" == where.object
        ),
        {},
    )
    for step in steps(where.path.removeprefix("spec.").removesuffix(".consecutiveErrors")):
        if isinstance(step, int):
            block = block[step] if isinstance(block, (list, tuple)) and step < len(block) else None
        else:
            block = (mapping(block) or {}).get(step)
    return number((mapping(block) or {}).get("consecutiveErrors"))


@rule(
    "ML210",
    INFO,
    "maxRequestsPerConnection 1 is for demonstrations",
    f"{ISTIO}/destination-rule/#ConnectionPoolSettings-HTTPSettings",
)
def demo_connections(view: View) -> t.Iterator[RuleResult]:
    """Every request opens a connection of its own."""
    for where, cases in _written(view, "connectionPool").items():
        if all(case.assignment.max_requests_per_connection == 1 for case in cases):
            yield RuleResult(
                where.below("http.maxRequestsPerConnection"),
                f"Every request to {destinations(cases)} opens a new connection, with a TLS handshake of its own.",
                "The tutorials set it so that a drained listener is noticed at once; what it costs "
                "grows with the requests.",
                "Leave maxRequestsPerConnection out.",
                clients_of(cases),
                patch=(FieldChange(where.object, f"{where.path}.http.maxRequestsPerConnection"),),
            )


@rule("ML211", INFO, "One error ejects an endpoint", OUTLIER_DETECTION)
def demo_errors(view: View) -> t.Iterator[RuleResult]:
    """A single 5xx is enough, also from a healthy endpoint."""
    for where, cases in _detecting(view):
        detection = cases[0].client_load.detection
        case = max(cases, key=lambda case: case.total)
        if detection and detection.errors_to_eject(Failure.SERVER_ERROR) == 1 and _budget(case):
            yield RuleResult(
                where.below("consecutive5xxErrors"),
                f"One single 5xx takes an endpoint of {destinations(cases)} away from a client for "
                f"{detection.base_ejection_time:g} s.",
                "An endpoint with one error in 1,000 requests is ejected every 50 s by a client that "
                f"sends it {RATE} a second; up to {_budget(case)} of {count(case.total, 'endpoint')} "
                "at a time.",
                f"consecutive5xxErrors: {CONSECUTIVE}",
                clients_of(cases),
                patch=(FieldChange(where.object, f"{where.path}.consecutive5xxErrors", CONSECUTIVE),),
            )


@rule(
    "ML212",
    WARNING,
    "Warm-up that locality defeats",
    "https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/slow_start",
)
def cold(view: View) -> t.Iterator[RuleResult]:
    """A new endpoint's weight grows against the others of its priority; alone there, it gets everything at once."""
    by_place: dict[Where, list[Case]] = {}
    for case in view.used:
        block = view.block(case, "loadBalancer")
        balancer = case.assignment.policy.load_balancer or {}
        name = next((name for name in ("warmup", "warmupDurationSecs") if balancer.get(name)), "")
        nearest = sum(len(group.members) for group in case.assignment.groups if group.priority == 0)
        if block and name and case.assignment.ordered and nearest == 1 and case.total > 1:
            by_place.setdefault(block.below(name), []).append(case)
    for where, cases in by_place.items():
        clients = clients_of(cases)
        yield RuleResult(
            where,
            f"For {count(len(clients), 'client')} of {destinations(cases)} one endpoint of {cases[0].total} is the "
            "whole nearest priority, so it is never warmed up.",
            "Warm-up is a weight against the other endpoints of the priority: a new pod there gets all requests of "
            "these clients at once.",
            "Two replicas in each locality.",
            clients,
        )


def _written(view: View, block: str) -> dict[Where, list[Case]]:
    by_place: dict[Where, list[Case]] = {}
    for case in view.cases:
        where = view.block(case, block)
        if where:
            by_place.setdefault(where, []).append(case)
    return by_place


@rule("ML213", WARNING, "A field that this Istio does nothing with", OUTLIER_DETECTION)
def ignored_field(view: View) -> t.Iterator[RuleResult]:
    """The API has it, and istiod of this line does not look at it."""
    for config in view.snapshot.destination_rules:
        for field in without_effect(config.spec, view.planner.semantics):
            place = Where(f"DestinationRule {config}", f"spec.{field.path}")
            yield RuleResult(
                place,
                f"{field.name} has no effect before Istio {field.since}.",
                f"istiod {view.version} accepts it and tells Envoy nothing of it: 5xx answers are what ejects.",
                f"Upgrade to {field.since}, or take it out.",
                patch=(FieldChange(place.object, place.path, None),),
            )


@rule("ML214", INFO, "A field that is not computed", OUTLIER_DETECTION)
def uncomputed(view: View) -> t.Iterator[RuleResult]:
    """What newer lines make of it is in no finding and in no forecast."""
    for config in view.snapshot.destination_rules:
        for field in not_computed(config.spec, view.planner.semantics):
            yield RuleResult(
                Where(f"DestinationRule {config}", f"spec.{field.path}"),
                f"{field.name} (since Istio {field.since}) is not computed.",
                "Findings and forecasts say what is without it: which failures eject an endpoint, and where requests "
                "go, may differ.",
                "Try it on the mesh: a drill measures what it does.",
            )
