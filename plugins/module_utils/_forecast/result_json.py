# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON forms of plans, outlooks, matrices and upgrades: what filters return and files hold.

Pure. Private to this collection: it may change at any time; docs/predict.md describes the forms.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import Transition
from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier_detection import (
    Failure,
    needed_percent,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import PANIC_THRESHOLD, POLICIES
from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_forecast import (
    Between,
    FaultForecast,
    Forecast,
    Spread,
    outlook,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_load import NOTHING
from ansible_collections.meshops.locality.plugins.module_utils._forecast.loss_grade import loss_grade
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import Loss, Losses, takes_client
from ansible_collections.meshops.locality.plugins.module_utils._forecast.matrix_row import Row
from ansible_collections.meshops.locality.plugins.module_utils._forecast.routed_outlook import passing
from ansible_collections.meshops.locality.plugins.module_utils._forecast.routed_requests import (
    Part,
    Requests,
    requests_of,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.selectors import short
from ansible_collections.meshops.locality.plugins.module_utils._forecast.service_under_loss import ServiceUnderLoss
from ansible_collections.meshops.locality.plugins.module_utils._forecast.upgrade_difference import Change
from ansible_collections.meshops.locality.plugins.module_utils._istio.ambient_mode import entered_by_waypoint
from ansible_collections.meshops.locality.plugins.module_utils._istio.assignment_reasons import why
from ansible_collections.meshops.locality.plugins.module_utils._istio.endpoints import is_healthy
from ansible_collections.meshops.locality.plugins.module_utils._istio.envoy_outlier_detection import (
    envoy_outlier_detection,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import is_ip
from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_priorities import Group, matches
from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_settings import Setting
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import (
    Assignment,
    ClientClass,
    Destination,
    Planner,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_retries import (
    Route,
    as_sent,
    connect_timeout,
    route,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.routes import Match, Routes
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._istio.uncomputed_fields import not_computed
from ansible_collections.meshops.locality.plugins.module_utils._model.coded_sentence import as_json
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import (
    CLUSTER_LABEL,
    PLACE_LABELS,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.object_cache import ObjectCache
from ansible_collections.meshops.locality.plugins.module_utils._model.place_names import short_names
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Json, Service
from ansible_collections.meshops.locality.plugins.module_utils._model.unchecked import Unchecked, unchecked

#: How many pods of a class of clients are named.
SHOWN = 5
_OF_PLACE = (*PLACE_LABELS, CLUSTER_LABEL)


def client_class(planner: Planner, kind: ClientClass) -> Json:
    """Return who the clients are: {namespace, type, locality, labels, clients, pods}.

    `labels` are those of them that some rule looks at, `pods` the names of the first few of `clients` pods.
    """
    client = kind.representative
    names = sorted(planner.relevant_labels - set(_OF_PLACE))
    return {
        "namespace": client.namespace,
        "type": client.type,
        "locality": str(client.locality),
        "labels": {name: client.labels[name] for name in names if name in client.labels},
        "clients": len(kind.members),
        "pods": [member.name for member in kind.members[:SHOWN]],
    }


def named(destination: Destination, service: Service | None = None, which: str = "") -> Json:
    """Return {name, service, namespace, port, subset, cluster} of a destination; `name` is short, for people.

    `which`: which requests to it are meant; it is in the name, and in `requests` of what has a Service.
    """
    name = f"{short(destination.host)}:{destination.port}"
    if destination.subset:
        name = f"{name} ({destination.subset})"
    cluster = {
        "name": f"{name} [{which}]" if which else name,
        "service": destination.host,
        "port": destination.port,
        "subset": destination.subset,
        "cluster": destination.cluster,
    }
    return cluster if service is None else {**cluster, "namespace": service.namespace, "requests": which}


def plan_row(
    planner: Planner, kind: ClientClass, assignment: Assignment, who: Json, groups: ObjectCache[Json], routes: Routes
) -> Json:
    """Return the assignment of a class of clients for one destination, and its reasons.

    `who`: the class' own form; `groups` keeps what is the same for many clients.
    """
    destination, not_checked = assignment.destination, as_json(unchecked_plan(planner, kind.representative, assignment))
    way = route(planner, kind.representative, assignment, routes)
    some = (
        []
        if destination.subset
        else requests_of(planner, routes, kind.representative, assignment.service, destination.port)
    )
    return {
        "client": who,
        **_cluster(assignment),
        "requests": [_requests(requests) for requests in some],
        "type": assignment.type,
        "rule": str(assignment.rule) if assignment.rule else "",
        "rules": [str(rule) for rule in assignment.entry.members] if assignment.entry else [],
        "tier": assignment.tier,
        "setting": setting(kind, assignment),
        "ordered": assignment.ordered,
        "priorities": _priorities(assignment, groups),
        "locality_weighted": assignment.locality_weighted,
        "lb_policy": assignment.lb_policy,
        "panic_threshold": PANIC_THRESHOLD if assignment.panic_threshold is None else assignment.panic_threshold,
        "outlier_detection": assignment.outlier_detection,
        "ejection": ejection(assignment),
        "sends_unready": assignment.sends_unready,
        "max_requests_per_connection": assignment.max_requests_per_connection,
        "retries": retries(way),
        "connect_timeout": connect_timeout(planner, assignment),
        "why": why(planner, kind.representative, assignment),
        "chance": assignment.chance,
        "crash": assignment.crash,
        "istio_version": planner.semantics.version,
        "checked": not not_checked,
        "unchecked": not_checked,
    }


def _cluster(assignment: Assignment) -> Json:
    return {
        name: value for name, value in named(assignment.destination, assignment.service).items() if name != "requests"
    }


def _requests(requests: Requests) -> Json:
    """Return where a class of requests to a host and port goes."""
    return {
        "which": requests.which,
        "route": requests.route.source if requests.route else "",
        "destinations": [
            {"name": named(part.assignment.destination)["name"], "share": round(part.share, 6)}
            for part in requests.parts
        ],
        "errors": as_json(requests.errors or ([requests.unfit] if requests.unfit else [])),
    }


def setting(kind: ClientClass, assignment: Assignment) -> Json:
    """Return the locality setting that applies: {source, kind, applies}; source and kind are '' when there is none."""
    chosen = assignment.setting
    if chosen is None:
        return {"source": "", "kind": "", "applies": False}
    applies = assignment.ordered or any(
        matches(kind.representative.locality, entry.origin) for entry in chosen.distribute
    )
    return {"source": chosen.source, "kind": _kind(chosen), "applies": applies}


def _kind(chosen: Setting) -> str:
    if chosen.zone_aware:
        return "zoneAwareLbSetting"
    if chosen.distribute:
        return "distribute"
    parts = [
        name for name, given in (("failoverPriority", chosen.failover_priority), ("failover", chosen.failover)) if given
    ]
    return " and ".join(parts) or "default"


def _priorities(assignment: Assignment, known: ObjectCache[Json]) -> list[Json]:
    by_priority: dict[int, list[Json]] = {}
    for group in assignment.groups:
        if group.members:
            by_priority.setdefault(group.priority, []).append(
                {"locality": str(group.locality), "weight": group.weight, **_members(group, known)}
            )
    return [{"priority": priority, "localities": places} for priority, places in sorted(by_priority.items())]


def _members(group: Group, known: ObjectCache[Json]) -> Json:
    members = group.members
    return known.once(
        lambda: {
            "endpoints": len(members),
            "healthy": sum(is_healthy(member) for member in members),
            "pods": [member.pod.rpartition("/")[2] or member.host for member in members],
        },
        (members,),
    )


def ejection(assignment: Assignment) -> Json | None:
    """Return the arithmetic of maxEjectionPercent; None without outlierDetection.

    `percent` is what Envoy uses, `ejectable` how many of all `endpoints` can be ejected at a time, `needed` the percent
    that lets all endpoints of the first priority be ejected, `errors` how many refused connections it takes.
    """
    detection = envoy_outlier_detection(assignment.outlier_detection)
    if detection is None:
        return None
    members = [group for group in assignment.groups if group.members]
    total = sum(len(group.members) for group in members)
    first = min((group.priority for group in members), default=0)
    own = sum(len(group.members) for group in members if group.priority == first)
    percent, ejectable = detection.max_ejection_percent, detection.ejectable(total)
    is_set = number((assignment.outlier_detection or {}).get("maxEjectionPercent")) > 0
    limit = f"is {percent}" if is_set else f"is not set, Envoy's default of {percent} % applies"
    return {
        "endpoints": total,
        "percent": percent,
        "ejectable": ejectable,
        "needed": needed_percent(own, total) if total else 0,
        "errors": detection.errors_to_eject(Failure.REFUSED),
        "why": f"maxEjectionPercent {limit}: of {total} endpoints at most {ejectable} can be ejected at a time.",
    }


def retries(way: Route) -> Json:
    """Return what is retried, `attempts` 0 for nothing, and where that is written."""
    retry = way.retries
    return {
        "attempts": retry.attempts if retry else 0,
        "retry_on": retry.retry_on if retry else "",
        "remote_localities": bool(retry and retry.remote_localities),
        "per_try_timeout": retry.per_try_timeout if retry else None,
        "timeout": way.timeout,
        "source": way.source,
    }


def skipped(destination: Destination, why: Unchecked, dies_with: t.Iterable[Losses]) -> Json:
    """Return {name, service, port, subset, cluster, code, text, parameters, dies_with} of what is not predicted."""
    return {**named(destination), **why.as_json(), "dies_with": list(map(loss_name, dies_with))}


def unchecked_mesh(planner: Planner) -> t.Iterator[Unchecked]:
    """Yield what is not checked or not known of everything that is said about a mesh."""
    if planner.semantics.unchecked:
        yield planner.semantics.unchecked
    if planner.places.networks.other_clusters:
        yield unchecked("other-clusters-missing")


def unchecked_plan(planner: Planner, client: Client, assignment: Assignment) -> t.Iterator[Unchecked]:
    """Yield what no oracle has checked of a plan's row, or what cannot be known."""
    yield from unchecked_mesh(planner)
    if assignment.chance:
        yield unchecked("istiod-by-chance")
    waypoint = entered_by_waypoint(planner.snapshot, assignment.service)
    if waypoint and client.type == "router" and assignment.type == "EDS":
        yield unchecked("endpoints-of-waypoint", waypoint=waypoint)
    if assignment.type == "STRICT_DNS" and any(
        not is_ip(member.address) for group in assignment.groups for member in group.members
    ):
        yield unchecked("addresses-of-names")


def _unchecked_requests(planner: Planner, client: Client, requests: Requests) -> t.Iterator[Unchecked]:
    """Yield what is not checked of all destinations of requests, behind gateways on their way, too."""
    for part in sorted(requests.parts, key=lambda part: -part.share):
        yield from unchecked_plan(planner, client, part.assignment)
        yield from _unchecked_shares(planner, part.assignment)
        for onward in part.onward:
            yield from _unchecked_requests(planner, onward.gateways[0], onward.requests)


def _unchecked_shares(planner: Planner, assignment: Assignment) -> t.Iterator[Unchecked]:
    """Yield what no comparison with Envoy has checked of the shares within a cluster, and of its ejections."""
    if assignment.lb_policy not in POLICIES:
        yield unchecked("hashing-policy", policy=assignment.lb_policy)
    if assignment.setting is not None and assignment.setting.zone_aware and assignment.setting.enabled:
        yield unchecked("zone-aware-routing")
    policy = assignment.cluster_policy
    if limit := (mapping((policy.connection_pool or {}).get("http")) or {}).get("maxRetries"):
        yield unchecked("retries-limited", number=limit)
    blocks = {"outlierDetection": policy.outlier_detection, "loadBalancer": policy.load_balancer, "tls": policy.tls}
    yield from _fields_not_computed(planner, blocks)


def _fields_not_computed(planner: Planner, part: t.Any) -> t.Iterator[Unchecked]:
    for field in not_computed(part, planner.semantics):
        yield unchecked("field-not-computed", field=field.name, since=field.since)


def unchecked_matrix(planner: Planner) -> t.Iterator[Unchecked]:
    """Yield what is not checked of a matrix: of the mesh, and of the fields of its rules."""
    yield from unchecked_mesh(planner)
    rules = [rule.spec for rule in planner.snapshot.destination_rules]
    yield from _fields_not_computed(planner, [*rules, planner.snapshot.mesh.config.get("defaultTrafficPolicy")])


def requests_row(planner: Planner, kind: ClientClass, requests: Requests, now: Spread) -> Json:
    """Return what a class of requests meets now, for a row of a forecast.

    `destinations` are those of its route with their shares, the largest first; `rule`, `setting` and `ejection` beside
    them are those of the first. `requests` says which ones the row speaks of, '' for all that no other row of the
    client and the Service speaks of; `matches` says it for programs. `errors` are what Envoy itself answers with an
    error, and why.
    """
    hops = sorted(requests.parts, key=lambda part: -part.share)
    first = hops[0].assignment if hops else None
    sentences = [*_unchecked_requests(planner, kind.representative, requests)]
    way = Route(None, None, "")
    if requests.route is not None:
        way = as_sent(requests.route)
    elif first:
        way = route(planner, kind.representative, first)
        sentences += [unchecked("one-of-several-routes")] if way.several else []
    not_checked = as_json([*sentences, *requests.unfollowed])
    return {
        **named(requests.destination, requests.service, requests.which),
        "matches": [_match(match) for match in requests.matches],
        "protocol": requests.protocol,
        "destinations": [
            {
                **_cluster(part.assignment),
                "share": round(part.share, 6),
                "rule": str(part.assignment.rule) if part.assignment.rule else "",
                "setting": setting(kind, part.assignment),
                "ejection": ejection(part.assignment),
                "onward": _onward(planner, kind.representative, part),
            }
            for part in hops
        ],
        "route": way.source,
        "errors": as_json(requests.errors),
        "answered_by_envoy": round(requests.answered, 6),
        "rule": str(first.rule) if first and first.rule else "",
        "setting": setting(kind, first) if first else {"source": "", "kind": "", "applies": False},
        "ejection": ejection(first) if first else None,
        "retries": retries(way),
        "now": spread(now),
        "checked": not not_checked,
        "unchecked": not_checked,
    }


def _onward(planner: Planner, client: Client, part: Part) -> list[Json]:
    """Return what the requests of a part meet behind the gateways that they pass now."""
    if not part.onward:
        return []
    return [
        {
            "gateway": part.onward[number].gateways[0].key,
            "share": round(share, 6),
            **_requests(part.onward[number].requests),
        }
        for number, share in passing(outlook(planner, client, part.assignment, ()).now, part)
    ]


def _match(match: Match) -> Json:
    """Return {path: {type, value}, headers, query, claims}: names, behind a `-` what must not be there."""
    path = {"type": match.path[0], "value": match.path[1]}
    return {"path": path, "headers": [*match.headers], "query": [*match.query], "claims": [*match.claims]}


def loss_name(losses: Losses) -> str:
    """Return `zone r1/z1`, several joined by ` + `; many pods of one kind as their number."""
    if len(losses) > 3 and len({loss.level for loss in losses}) == 1:
        return f"{len(losses)} {losses[0].level}s, {losses[0].place} …"
    return " + ".join(str(loss) for loss in losses)


def loss_data(losses: Losses) -> list[Json]:
    """Return [{level, place}]."""
    return [_loss(loss) for loss in losses]


def _loss(loss: Loss) -> Json:
    return {"level": loss.level, "place": loss.place}


def spread(shares: Spread) -> Json:
    """Return the shares by locality and by pod (or address), and what nobody answers."""
    return {
        "localities": {name: round(share, 6) for name, share in shares.by_locality.items()},
        "pods": {name: round(share, 6) for name, share in shares.by_endpoint.items()},
        "none": round(shares.none, 6),
        "dead": round(shares.dead, 6),
    }


def forecast(predicted: Forecast, capacity: ServiceUnderLoss | None, kind: ClientClass, today: float = 0.0) -> Json:
    """Return what a loss does to the requests of clients. `capacity`: the same loss for all clients together.

    `today`: the share that fails before anything is lost.

    `failover` has an entry for each fault; what stands beside it is that of the first fault.
    """
    first = predicted.first
    return {
        "loss": loss_name(predicted.losses),
        "losses": loss_data(predicted.losses),
        "grade": _grade(first, capacity, today),
        "verdict": first.verdict,
        "until": first.ends_by,
        "can_be_ejected": first.ends_by in ("none", "ejection"),
        "lost_at_first": round(first.outcome.at_risk, 6),
        "lost_in_the_end": round(first.lost, 6),
        "clients_lost": sum(any(takes_client(loss, member) for loss in predicted.losses) for member in kind.members),
        "settled": spread(first.settled),
        "readiness_seconds": between(first.readiness) if first.readiness else None,
        "failover": {name: _fault(own) for name, own in predicted.faults.items() if own.transition},
        "capacity": load(capacity) if capacity else None,
    }


def _grade(predicted: FaultForecast, capacity: ServiceUnderLoss | None, today: float) -> str:
    course = predicted.transition
    return loss_grade(
        predicted.verdict,
        predicted.ends_by,
        failing=course.at_first - today if course else 0.0,
        failed=course.expected_failed_requests if course and today < NOTHING else None,
        for_good=(course.for_good if course else predicted.lost) - today,
        overloaded=capacity is not None and capacity.overloaded,
        today=today,
    )


def _fault(predicted: FaultForecast) -> Json:
    return {
        "verdict": predicted.verdict,
        "ends_by": predicted.ends_by,
        "lost_in_the_end": round(predicted.lost, 6),
        "settled": spread(predicted.settled),
        "readiness_seconds": between(predicted.readiness) if predicted.readiness else None,
        **(transition(predicted.transition, predicted.bounds) if predicted.transition else {}),
    }


def between(bounds: Between) -> list[float]:
    """Return [least, most]."""
    return [bounds.least, bounds.most]


def transition(expected: Transition, bounds: tuple[Transition, Transition] | None) -> Json:
    """Return expected failed requests and seconds with their bounds; None where the failures do not end."""
    least, most = bounds or (expected, expected)
    return {
        "ends": expected.ever,
        "failing_at_first": round(expected.at_first, 6),
        "failing_for_good": round(expected.for_good, 6),
        "failed_requests": _rounded(expected.expected_failed_requests),
        "failed_requests_between": [
            _rounded(least.expected_failed_requests),
            _rounded(most.expected_failed_requests),
        ],
        "seconds": _rounded(expected.seconds_until_shifted),
        "seconds_between": [_rounded(least.seconds_until_shifted), _rounded(most.seconds_until_shifted)],
        "phases": [
            {
                "what": phase.what,
                "seconds": _rounded(phase.seconds),
                "failing": round(phase.failing, 6),
                "failed_requests": _rounded(phase.failed),
            }
            for phase in expected.phases
        ],
        "assumptions": [assumption.as_json() for assumption in expected.assumptions],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def load(entry: ServiceUnderLoss) -> Json:
    """Return the busiest survivor's load, as a multiple of today's busiest pod, and what it may be."""
    return {
        "load": round(entry.load, 4),
        "limit": round(entry.limit, 4),
        "limit_from": entry.basis,
        "growth": round(entry.growth, 4),
        "overloaded": entry.overloaded,
    }


def matrix_row(row: Row) -> Json:
    """Return a row of the matrix; its entries are in the order of the matrix' losses."""
    return {
        **named(row.destination, row.service, row.requests),
        "endpoints": row.endpoints,
        "clients": row.clients,
        "failing_today": round(row.failing_today, 6),
        "errors": as_json(row.errors),
        "entries": [matrix_entry(entry) for entry in row.entries],
    }


def matrix_groups(rows: t.Sequence[Row]) -> list[Json]:
    """Return equal rows together, the worst first: [{name, names, rows: positions}]."""
    groups: dict[tuple[t.Any, ...], list[int]] = {}
    names = [named(row.destination, which=row.requests)["name"] for row in rows]
    for index, row in enumerate(rows):
        key: tuple[t.Any, ...] = (round(row.failing_today, 3),)
        key += tuple((entry.sign, *_cell(entry), entry.overloaded) for entry in row.entries)
        groups.setdefault(key, []).append(index)
    worst = sorted(
        groups.values(), key=lambda own: (max(entry.badness for entry in rows[own[0]].entries), len(own)), reverse=True
    )
    return [
        {
            "name": names[own[0]] if len(own) == 1 else f"{len(own)} Services alike",
            "names": [names[index] for index in own],
            "rows": own,
        }
        for own in worst
    ]


def _cell(entry: ServiceUnderLoss) -> tuple[float | None, ...]:
    """Return the numbers of an entry as exactly as they are shown."""
    return (
        None if entry.seconds is None else round(entry.seconds, 1),
        round(entry.failing, 3),
        round(entry.for_good, 3),
        None if entry.failed is None else float(f"{entry.failed:.2g}"),
    )


def loss_names(listed: t.Sequence[Losses]) -> list[str]:
    """Return a short name for each loss of a table; no two places of one level have the same."""
    levels: dict[str, set[str]] = {}
    for losses in listed:
        for loss in losses:
            levels.setdefault(loss.level, set()).add(loss.place)
    names = {level: short_names(places) for level, places in levels.items()}
    return [" + ".join(names[loss.level][loss.place] for loss in losses) for losses in listed]


def matrix_entry(entry: ServiceUnderLoss) -> Json:
    """Return one entry of the matrix."""
    return {
        "loss": loss_name(entry.losses),
        "sign": entry.sign,
        "grade": entry.grade,
        "verdict": entry.verdict,
        "until": entry.gap,
        "failing": round(entry.failing, 6),
        "seconds": _rounded(entry.seconds),
        "for_good": round(entry.for_good, 6),
        "failed_requests": _rounded(entry.failed),
        "lost_at_first": round(entry.at_risk, 6),
        "lost_in_the_end": round(entry.lost, 6),
        "moved": round(entry.moved, 6),
        **load(entry),
        "clients": dict(entry.clients),
        "worst_client": entry.worst,
    }


def change(difference: Change, clients: t.Mapping[str, tuple[str, str]]) -> Json:
    """Return one difference of an upgrade. `clients`: key of a client → (namespace, locality)."""
    counted: dict[tuple[str, str], int] = {}
    for key in difference.clients:
        counted[clients[key]] = counted.get(clients[key], 0) + 1
    return {
        **named(difference.destination),
        "what": difference.field,
        "before": difference.before,
        "after": difference.after,
        "why": difference.why,
        "clients": len(difference.clients),
        "pods": list(difference.clients),
        "where": [
            {"namespace": namespace, "locality": locality, "clients": number}
            for (namespace, locality), number in sorted(counted.items())
        ],
    }
