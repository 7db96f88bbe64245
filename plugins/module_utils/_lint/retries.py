# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ML22x: retries that stay where the lost endpoints are.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import math
import typing as t
from collections import abc

from ansible_collections.meshops.locality.plugins.module_utils._envoy.retries import ISTIO_ATTEMPTS
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_retries import Route, route
from ansible_collections.meshops.locality.plugins.module_utils._istio.sidecar_scope import port_of
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import mapping
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import Case, View
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    INFO,
    ISTIO,
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
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.patches import steps
from ansible_collections.meshops.locality.plugins.module_utils._lint.routes import route_place
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import rule
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Json

#: For so many hosts a fix writes VirtualServices.
_MOST = 10
_RETRIES = f"{ISTIO}/virtual-service/#HTTPRetry"


def _routes(view: View) -> t.Iterator[tuple[Case, Route]]:
    """Yield the cases whose requests are HTTP, with the first route of their clients."""
    for case in view.used:
        port = port_of(case.service, case.assignment.destination.port)
        if port is not None and port.may_be_http and case.total:
            yield case, route(view.planner, case.kinds[0].representative, case.assignment)


def _place(view: View, case: Case, way: Route) -> Where:
    """Return where the retries of a route stand, or the rule next to which they could."""
    written = route_place(way.source)
    if written is not None:
        return written.below("retries") if written.object.startswith("VirtualService ") else written
    return view.rule_place(case)._replace(path="spec.host")


def _added(view: View, cases: t.Iterable[Case]) -> tuple[FieldChange, ...]:
    """Return the VirtualServices that make retries go elsewhere, for hosts without any; nothing when they are many."""
    taken = {str(virtual) for virtual in view.snapshot.virtual_services}
    services = {case.service.host: case.service for case in cases if not case.assignment.destination.subset}
    changes = []
    for host, service in sorted(services.items()):
        name = service.source.rpartition("/")[2] or host.split(".")[0]
        if f"{service.namespace}/{name}" in taken:
            name += "-retries"
        route: Json = {"retries": _policy(), "route": [{"destination": {"host": host}}]}
        spec: Json = {"hosts": [host], "http": [route]}
        changes.append(FieldChange(f"VirtualService {service.namespace}/{name}", "spec", spec))
    return tuple(changes) if len(changes) <= _MOST else ()


def _policy() -> Json:
    return {"attempts": ISTIO_ATTEMPTS, "retryRemoteLocalities": True}


def _retries_written(view: View, where: Where) -> bool:
    """Whether the route of a VirtualService says anything about retries; else its defaults apply."""
    config = next(
        (virtual for virtual in view.snapshot.virtual_services if f"VirtualService {virtual}" == where.object), None
    )
    given: t.Any = dict(config.spec) if config else {}
    for step in steps(where.path.removeprefix("spec.")):
        given = given[step] if isinstance(step, int) else (mapping(given) or {}).get(step)
    return isinstance(given, abc.Mapping)


def _elsewhere(view: View, where: Where, cases: t.Sequence[Case]) -> tuple[str, tuple[FieldChange, ...]]:
    """Return how retries get to other localities: (fix, patch)."""
    policy = f"{{attempts: {ISTIO_ATTEMPTS}, retryRemoteLocalities: true}}"
    kind = where.object.partition(" ")[0]
    if kind in ("HTTPRoute", "GRPCRoute"):
        return f"A VirtualService with retries: {policy} instead of this {kind}, which has no field for it", ()
    if kind != "VirtualService":
        return f"Add a VirtualService for the host with retries: {policy}", _added(view, cases)
    if _retries_written(view, where):
        return "retryRemoteLocalities: true", (FieldChange(where.object, f"{where.path}.retryRemoteLocalities", True),)
    return f"retries: {policy}", (FieldChange(where.object, where.path, _policy()),)


@rule("ML220", WARNING, "Retries stay in the lost locality", issue(45668))
def stay(view: View) -> t.Iterator[RuleResult]:
    """Without retryRemoteLocalities a retry goes to the same priority as the request that failed."""
    by_place: dict[Where, list[tuple[Case, Route]]] = {}
    for case, way in _routes(view):
        own = case.setting is not None and case.setting.source == "DestinationRule"
        if (
            own
            and case.assignment.ordered
            and case.priorities > 1
            and way.retries
            and not way.retries.remote_localities
        ):
            by_place.setdefault(_place(view, case, way), []).append((case, way))
    for where, pairs in by_place.items():
        case, way = min(pairs, key=lambda pair: _first(pair[0]))
        cases = [judged for judged, _way in pairs]
        attempts = way.retries.attempts if way.retries else 0
        virtual = where.object.startswith("VirtualService ")
        fix, patch = _elsewhere(view, where, cases)
        yield RuleResult(
            where.below("retryRemoteLocalities") if virtual else where,
            f"A retry of a request to {destinations(cases)} stays in the nearest priority, which has "
            f"{count(_first(case), 'endpoint')} of {case.total} for clients in "
            f"{case.kinds[0].representative.locality or 'no locality'} ({way.source}).",
            f"While these are lost and not ejected yet, all {attempts} retries of a request fail as well.",
            fix,
            clients_of(cases),
            patch=patch,
        )


def _first(case: Case) -> int:
    return sum(len(group.members) for group in case.assignment.groups if group.priority == 0)


@rule("ML221", INFO, "retryRemoteLocalities without priorities", issue(45668))
def nowhere_else(view: View) -> t.Iterator[RuleResult]:
    """There is one priority only, so there is no other one to retry in."""
    by_place: dict[Where, list[Case]] = {}
    for case, way in _routes(view):
        if way.retries and way.retries.remote_localities and case.priorities == 1 and len(case.localities) > 1:
            by_place.setdefault(_place(view, case, way).below("retryRemoteLocalities"), []).append(case)
    for where, cases in by_place.items():
        yield RuleResult(
            where,
            f"All {count(cases[0].total, 'endpoint')} of {destinations(cases)} have one priority, so "
            "retryRemoteLocalities does nothing.",
            "Localities get priorities by failover together with outlierDetection, or by trafficDistribution.",
            "Add localityLbSetting and outlierDetection to the DestinationRule, or leave retryRemoteLocalities out.",
            clients_of(cases),
            patch=(FieldChange(where.object, where.path),) if where.object.startswith("VirtualService ") else (),
        )


@rule("ML222", WARNING, "Nothing is retried", _RETRIES)
def none(view: View) -> t.Iterator[RuleResult]:
    """Retries are switched off for a Service with failover."""
    by_place: dict[Where, list[Case]] = {}
    for case, way in _routes(view):
        own = case.setting is not None and case.setting.source == "DestinationRule"
        if own and case.assignment.ordered and case.priorities > 1 and way.retries is None:
            where = (
                view.mesh_config.below("defaultHttpRetryPolicy")
                if way.source.startswith("mesh")
                else _place(view, case, way)
            )
            by_place.setdefault(where.below("attempts"), []).append(case)
    for where, cases in by_place.items():
        yield RuleResult(
            where,
            f"Requests to {destinations(cases)} are not retried.",
            "Each request that meets a lost endpoint before its ejection fails, although others are healthy.",
            f"retries: {{attempts: {ISTIO_ATTEMPTS}, retryRemoteLocalities: true}}",
            clients_of(cases),
            patch=(FieldChange(where.object, where.path.removesuffix(".attempts"), _policy()),)
            if where.object.startswith("VirtualService ")
            else (),
        )


@rule("ML224", INFO, "A try that hangs takes the whole timeout", _RETRIES)
def hangs(view: View) -> t.Iterator[RuleResult]:
    """A route has a timeout and retries, and no perTryTimeout: when a try hangs, none of the retries begins."""
    by_place: dict[Where, list[tuple[Case, Route]]] = {}
    for case, way in _routes(view):
        where = _place(view, case, way)
        endless = way.timeout and way.retries and not way.retries.per_try_timeout
        if endless and case.total > 1 and where.object.startswith("VirtualService "):
            by_place.setdefault(where, []).append((case, way))
    for where, pairs in by_place.items():
        way, cases = pairs[0][1], [case for case, _way in pairs]
        if way.retries is None or not way.timeout:
            continue
        share = f"{1000 * way.timeout / (way.retries.attempts + 1):.0f}ms"
        yield RuleResult(
            where.below("perTryTimeout"),
            f"timeout is {way.timeout:g} s, and perTryTimeout is not set: a try to {destinations(cases)} that hangs "
            "takes all of it.",
            f"None of the {count(way.retries.attempts, 'retry', 'retries')} begins then; only tries that fail at once "
            "are repeated.",
            f"perTryTimeout: {share}",
            clients_of(cases),
            patch=(FieldChange(where.object, f"{where.path}.perTryTimeout", share),)
            if _retries_written(view, where)
            else (FieldChange(where.object, where.path, {"attempts": way.retries.attempts, "perTryTimeout": share}),),
        )


@rule("ML223", WARNING, "The timeout ends before the retries", _RETRIES)
def too_short(view: View) -> t.Iterator[RuleResult]:
    """A route's timeout is shorter than its tries may take, so the last of them never begin."""
    by_place: dict[Where, list[tuple[Case, Route]]] = {}
    for case, way in _routes(view):
        if not way.timeout or way.retries is None or not way.retries.per_try_timeout:
            continue
        if way.timeout < way.retries.per_try_timeout * (way.retries.attempts + 1):
            by_place.setdefault(_place(view, case, way), []).append((case, way))
    for where, pairs in by_place.items():
        way, cases = pairs[0][1], [case for case, _way in pairs]
        retries = way.retries
        if retries is None or not way.timeout or not retries.per_try_timeout:
            continue
        begun = max(0, math.ceil(way.timeout / retries.per_try_timeout) - 1)
        needed = retries.per_try_timeout * (retries.attempts + 1)
        yield RuleResult(
            Where(where.object, f"{where.path.rpartition('.')[0]}.timeout"),
            f"timeout is {way.timeout:g} s, and {count(retries.attempts + 1, 'try', 'tries')} of "
            f"{retries.per_try_timeout:g} s each take {needed:g} s.",
            f"When tries to {destinations(cases)} hang, only {begun} of {count(retries.attempts, 'retry', 'retries')} "
            "begin before the request has failed.",
            f"timeout: {needed:g}s",
            clients_of(cases),
            patch=(FieldChange(where.object, f"{where.path.rpartition('.')[0]}.timeout", f"{needed:g}s"),)
            if where.object.startswith("VirtualService ")
            else (),
        )
