# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a client's requests to a host and a port: of every destination of their route, by weight.

Envoy draws the destination once for each request; retries stay with it. So every number of a route is the sum of its
destinations' numbers. Source: envoy source/common/router/config_impl.cc, WeightedClusterEntry.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import Phase, Transition
from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import GroupShares, LostHosts
from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_forecast import (
    Between,
    FaultForecast,
    Forecast,
    Outlook,
    Question,
    Spread,
    outlook,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_load import (
    GAPS,
    NOTHING,
    VERDICTS,
    ClientLoad,
    ClientLoads,
    Flow,
    Outcome,
    moved,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.endpoint_groups import (
    CountedEndpoints,
    EndpointGroup,
    EndpointsByLocality,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import Losses
from ansible_collections.meshops.locality.plugins.module_utils._forecast.request_errors import (
    RequestError,
    request_error,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.cluster_type import WITH_LOCALITIES, has_cluster
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_hosts import GatewayHosts
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Assignment, Destination, Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_retries import Route, as_sent, route
from ansible_collections.meshops.locality.plugins.module_utils._istio.routes import (
    BLACK_HOLE,
    DIRECT,
    NO_ROUTE,
    PASSTHROUGH,
    REDIRECT,
    RESOLVED_BY_NAME,
    EnvoyRoute,
    RequestClass,
    Routes,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.sidecar_scope import port_of
from ansible_collections.meshops.locality.plugins.module_utils._model.assumptions import Assumption, assumption
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Service
from ansible_collections.meshops.locality.plugins.module_utils._model.unchecked import Unchecked, unchecked

#: From this status on an answer is a failure.
FAILED = 400
#: What is the source of a host that no Service has, before the name of its VirtualService.
ONLY_ROUTED = "VirtualService"


class Part(t.NamedTuple):
    """The requests of a class that go to one destination. `share` is that of all requests of the class.

    `onward`: where the destination's pods are gateways that send them on, what they meet there, by kind of gateway:
    (its pod, its requests, the share of the part's requests that it takes).
    """

    assignment: Assignment
    share: float
    onward: tuple[tuple[Client, Requests, float], ...] = ()


@dataclass(frozen=True)
class Requests:
    """One class of a client's requests to a host and port.

    `matches` say which ones, nothing: all that no other class takes. `route` None: whatever leads there.
    `failing` is the share that Envoy itself answers
    with an error (no such cluster, an abort, a direct response, no route), for the reasons in `errors`; `answered` the
    share that it answers without one (a redirect, a direct response). `unfit`: why nothing can be said about them.
    `unfollowed`: what of their way is not followed.
    """

    destination: Destination
    service: Service
    matches: tuple[str, ...]
    route: EnvoyRoute | None
    parts: tuple[Part, ...]
    failing: float = 0.0
    answered: float = 0.0
    errors: tuple[RequestError, ...] = ()
    unfit: Unchecked | None = None
    unfollowed: tuple[Unchecked, ...] = ()

    @property
    def which(self) -> str:
        """Which requests they are, for people; '' for the default."""
        return " or ".join(self.matches)

    @property
    def protocol(self) -> str:
        """What clients speak: `http`, or `tcp` for connections that Envoy forwards as they are, TLS among them."""
        if self.route is not None:
            return "http" if self.route.protocol == "http" else "tcp"
        port = port_of(self.service, self.destination.port)
        return "tcp" if port is not None and not port.may_be_http else "http"

    @property
    def plain(self) -> bool:
        """Whether all of them go to the cluster of the host itself."""
        return len(self.parts) == 1 and self.parts[0].assignment.destination == self.destination and not self.failing


def unfit(assignment: Assignment) -> Unchecked | None:
    """Return why nothing can be said about where requests go; None when it can."""
    if assignment.crash:
        return unchecked("istiod-crashes")
    if assignment.type not in WITH_LOCALITIES:
        return unchecked("not-balanced", type=assignment.type)
    return None


def _unfit_part(part: Part, why: Unchecked) -> Unchecked:
    """Return what `unfit` says of all requests of an assignment, said of the part of a class that goes there."""
    assignment, percent = part.assignment, f"{100 * part.share:.3g}"
    host = assignment.destination.host
    if why.code == "istiod-crashes":
        return unchecked("some-requests-istiod-crashes", percent=percent, host=host)
    return unchecked("some-requests-not-balanced", percent=percent, host=host, type=assignment.type)


def client_requests(
    planner: Planner,
    routes: Routes,
    client: Client,
    services: t.Callable[[Service], bool],
    port: int = 0,
    subset: str | None = "",
) -> t.Iterator[Requests]:
    """Yield the classes of a client's requests to the Services that are wanted.

    `port` 0: every one. `subset`: '' for requests to hosts, which take routes; a name for those that reach that subset,
    whatever leads them there; None for both.
    """
    ways = GatewayHosts(planner, routes)
    entered = bool(ways.selected(client))
    if entered and subset in ("", None):
        yield from _entering(planner, client, ways, services, port)
    if client.type == "sidecar" and not entered and subset in ("", None):
        yield from _unlisted(planner, routes, client, ways, services, port)
    for service in planner.scope(client).services.values():
        if not services(service):
            continue
        if subset in ("", None) and not entered:
            for service_port in service.ports:
                if port in (0, service_port.number) and (
                    service.resolution == "Alias" or has_cluster(service, service_port)
                ):
                    yield from requests_of(planner, routes, client, service, service_port.number)
        if subset != "":
            for destination in planner.subsets(client, service):
                if port in (0, destination.port) and subset in (None, destination.subset):
                    assignment = planner.assignment(client, destination)
                    if assignment is not None:
                        yield alone(planner, assignment, service)


def requests_of(planner: Planner, routes: Routes, client: Client, service: Service, port: int) -> list[Requests]:
    """Return the classes of a client's requests to a Service's port, the default one first.

    Of a gateway without a Gateway that is known, or of a waypoint: its requests to the Service's own cluster, whatever
    leads there.
    """
    destination = Destination(service.host, port, "")
    if client.type != "sidecar":
        assignment = planner.assignment(client, destination)
        return [alone(planner, assignment, service)] if assignment else []
    ways = GatewayHosts(planner, routes) if planner.scopes.gateways else None
    return [
        _followed(planner, ways, _requests(planner, client, service, destination, request_class))
        for request_class in routes.classes(client, service.host, port)
    ]


def _entering(
    planner: Planner, client: Client, ways: GatewayHosts, services: t.Callable[[Service], bool], port: int
) -> t.Iterator[Requests]:
    """Yield the classes of requests that enter by a gateway's pod and lead to a Service that is wanted."""
    wanted = _Wanted(planner, client, services, port)
    for gateway_host in ways.of(client):
        for kind in gateway_host.classes:
            if not wanted.takes(kind, gateway_host.port):
                continue
            entry = Service(
                gateway_host.host, gateway_host.gateway.partition("/")[0], source=f"Gateway {gateway_host.gateway}"
            )
            yield _requests(planner, client, entry, Destination(gateway_host.host, gateway_host.port, ""), kind)


def _unlisted(
    planner: Planner,
    routes: Routes,
    client: Client,
    ways: GatewayHosts,
    services: t.Callable[[Service], bool],
    port: int,
) -> t.Iterator[Requests]:
    """Yield the classes of a sidecar's requests to hosts that only a VirtualService has, and that lead to a Service."""
    wanted = _Wanted(planner, client, services, port)
    for host, listened, virtual in routes.unlisted_hosts(client):
        entry = Service(host, virtual.namespace, source=f"{ONLY_ROUTED} {virtual}")
        for kind in routes.classes(client, host, listened):
            if wanted.takes(kind, listened):
                requests = _requests(planner, client, entry, Destination(host, listened, ""), kind)
                yield _followed(planner, ways, requests)


class _Wanted:
    """Which classes of requests are wanted: those that lead to a wanted Service, all when every Service is wanted."""

    def __init__(self, planner: Planner, client: Client, services: t.Callable[[Service], bool], port: int) -> None:
        self._known, self._services, self._port = planner.scope(client).services, services, port

    @functools.cached_property
    def _everything(self) -> bool:
        return all(map(self._services, self._known.values()))

    def takes(self, kind: RequestClass, port: int) -> bool:
        """Whether the requests of a class are wanted, which are sent to a port."""
        targets = [to for to, _share in kind.route.shares]
        wanted = [to for to in targets if to.host in self._known and self._services(self._known[to.host])]
        return bool(wanted or self._everything) and self._port in (0, port, *(to.port for to in wanted))


def _followed(planner: Planner, ways: GatewayHosts | None, requests: Requests) -> Requests:
    """Return a sidecar's requests with what they meet at the gateways on their way."""
    if ways is None:
        return requests
    parts: list[Part] = []
    not_followed: list[Unchecked] = []
    for part in requests.parts:
        onward, unfollowed = _onward(planner, ways, requests, part)
        parts.append(part._replace(onward=onward))
        not_followed += unfollowed
    return dataclasses.replace(
        requests, parts=tuple(parts), unfollowed=tuple(dict.fromkeys((*requests.unfollowed, *not_followed)))
    )


def _onward(
    planner: Planner, ways: GatewayHosts, requests: Requests, part: Part
) -> tuple[tuple[tuple[Client, Requests, float], ...], list[Unchecked]]:
    """Return what a part of the requests meets at the gateways that it goes to, and what is not followed of it.

    The pods of the first priority stand for all of the gateway's.
    """
    groups = [group for group in part.assignment.groups if group.members]
    first = min((group.priority for group in groups), default=0)
    pods = [member.pod for group in groups if group.priority == first for member in group.members]
    by_key = {client.key: client for client in planner.clients if client.type == "router"}
    clients = [by_key[pod] for pod in pods if pod in by_key and ways.selected(by_key[pod])]
    if not clients or part.assignment.destination.host == requests.destination.host:
        return (), []  # whoever asks for a gateway by its own name asks for nothing behind it
    host, port = requests.destination.host, part.assignment.destination.port
    by_place: dict[t.Hashable, tuple[Client, int]] = {}
    for client in clients:
        key = (client.namespace, client.locality, client.network, tuple(sorted(client.labels.items())))
        by_place[key] = (client, by_place.get(key, (client, 0))[1] + 1)
    onward, not_followed = [], []
    for client, number in by_place.values():
        entry = ways.host(client, host, port)
        name = f"{part.assignment.destination.host}:{port}"
        if entry is None:
            not_followed.append(unchecked("host-not-at-gateway", gateway=name, host=host))
            continue
        kinds = entry.classes
        service = Service(host, entry.gateway.partition("/")[0], source=f"Gateway {entry.gateway}")
        onward.append(
            (client, _requests(planner, client, service, requests.destination, kinds[0]), number / len(clients))
        )
        if len(kinds) > 1:
            not_followed.append(unchecked("some-requests-at-gateway", gateway=name, host=host))
    return (() if len(onward) < len(by_place) else tuple(onward)), not_followed


def alone(planner: Planner, assignment: Assignment, service: Service) -> Requests:
    """Return requests that all go to one destination."""
    refusal = _refused_tls(planner, assignment)
    if isinstance(refusal, RequestError):
        return Requests(assignment.destination, service, (), None, (), failing=1.0, errors=(refusal,))
    return Requests(
        assignment.destination,
        service,
        (),
        None,
        (Part(assignment, 1.0),),
        unfit=unfit(assignment),
        unfollowed=(refusal,) if refusal else (),
    )


def _refused_tls(planner: Planner, assignment: Assignment) -> RequestError | Unchecked | None:
    """Return what becomes of requests whose TLS endpoints refuse; None when all take it.

    An error, when all of them refuse; what is not judged, when some do.
    """
    tls, host = assignment.cluster_policy.tls, assignment.destination.host
    refusal = planner.mutual_tls.refused(tls, assignment.groups)
    if refusal is None:
        return None
    setting = refusal.setting
    if assignment.rule and tls is not None:
        setting = f"DestinationRule {assignment.rule}: {setting}"
    if refusal.by_all:
        return request_error(
            "endpoints-cannot-end-mutual-tls" if refusal.mutual else "endpoints-need-mutual-tls",
            setting=setting,
            host=host,
        )
    return unchecked(
        "some-endpoints-cannot-end-mutual-tls" if refusal.mutual else "some-endpoints-need-mutual-tls",
        setting=setting,
        refusing=len(refusal.members),
        endpoints=refusal.total,
        host=host,
    )


def _requests(
    planner: Planner, client: Client, service: Service, destination: Destination, kind: RequestClass
) -> Requests:
    way = kind.route
    failing = answered = 0.0
    errors: list[RequestError] = []
    if way.fault.abort:
        if way.fault.status and way.fault.status < FAILED:
            answered = way.fault.abort
        else:
            failing = way.fault.abort
            errors.append(request_error("route-aborts", route=way.source, percent=100 * failing))
    left = 1.0 - way.fault.abort
    if way.answer in (PASSTHROUGH, RESOLVED_BY_NAME):
        nowhere = unchecked("passed-through") if way.answer == PASSTHROUGH else unchecked("resolved-by-name")
        return Requests(destination, service, kind.matches, way, (), unfit=nowhere)
    if way.answer:
        good = way.answer == REDIRECT or (way.answer == DIRECT and way.status < FAILED)
        if good:
            answered += left
        else:
            failing += left
            errors.append(
                {
                    DIRECT: request_error("route-answers", route=way.source, status=way.status),
                    NO_ROUTE: request_error("no-route"),
                    BLACK_HOLE: request_error("registry-only", setting=way.source),
                }[way.answer]
            )
        return Requests(destination, service, kind.matches, way, (), failing, answered, tuple(errors))
    parts = []
    unfollowed: list[Unchecked] = []
    for to, share in way.shares:
        assignment = planner.assignment(client, to)
        if assignment is not None:
            refusal = _refused_tls(planner, assignment)
            if isinstance(refusal, RequestError):
                failing += left * share
                errors.append(refusal)
                continue
            if refusal:
                unfollowed.append(refusal)
            parts.append(Part(assignment, left * share))
            continue
        failing += left * share
        name = f"{to.host}:{to.port}" + (f" (subset {to.subset})" if to.subset else "")
        errors.append(
            request_error("no-such-cluster", route=way.source, destination=name, status=way.missing)
            if way.protocol == "http"
            else request_error("no-such-tcp-cluster", route=way.source, destination=name)
        )
    if not way.targets:
        failing = 1.0
        errors.append(request_error("no-destination", route=way.source))
    fitting = [part for part in parts if not unfit(part.assignment)]
    for part in parts if fitting else ():
        if why := unfit(part.assignment):
            # The rest of the requests is judged all the same.
            answered += part.share
            unfollowed.append(_unfit_part(part, why))
    none_fits = None if fitting else next((why for part in parts if (why := unfit(part.assignment))), None)
    return Requests(
        destination,
        service,
        kind.matches,
        way,
        tuple(fitting or parts),
        failing,
        answered,
        tuple(errors),
        none_fits,
        tuple(unfollowed),
    )


class RoutedLoad:
    """What one client's Envoy holds for all destinations of a class of requests; it is used like a ClientLoad."""

    def __init__(self, parts: t.Sequence[tuple[ClientLoad, float]], failing: float) -> None:
        """`parts` are (what Envoy holds, share of the requests)."""
        self.parts = list(parts)
        self.failing = failing
        self._first: list[int] = []
        localities: list[Locality] = []
        counted: list[CountedEndpoints] = []
        for load, _share in self.parts:
            self._first.append(len(localities))
            localities += load.common.localities
            counted += load.common.counted
        self.common = EndpointsByLocality(localities, counted)
        self.total = sum(load.total for load, _share in self.parts)
        self._outcomes: dict[Losses, Outcome] = {}

    @functools.cached_property
    def cells(self) -> list[EndpointGroup]:
        """The cells of all destinations, one after the other."""
        return [cell for load, _share in self.parts for cell in load.cells]

    @functools.cached_property
    def now(self) -> GroupShares:
        """The shares of the cells as everything is now."""
        shares: dict[int, float] = {}
        dead: dict[int, float] = {}
        none = self.failing
        for first, (load, share) in zip(self._first, self.parts, strict=True):
            shares.update({first + cell: share * part for cell, part in load.now.shares.items()})
            dead.update({first + cell: share * part for cell, part in load.now.dead.items()})
            none += share * load.now.none
        return GroupShares(shares, dead, none)

    def outcome(self, losses: Losses) -> Outcome:
        """Return what a loss does to the requests, with connections refused."""
        if losses not in self._outcomes:
            outcomes = [(load.outcome(losses), share) for load, share in self.parts]
            self._outcomes[losses] = combined(outcomes, self._first, self.failing)
        return self._outcomes[losses]


def route_of(planner: Planner, routes: Routes, client: Client, requests: Requests) -> Route:
    """Return how a class of requests is sent: its own route, or that of the Service's host where none is known."""
    if requests.route is not None or not requests.parts:
        return as_sent(requests.route) if requests.route else Route(None, None, "")
    return route(planner, client, requests.parts[0].assignment, routes)


def load_of(requests: Requests, loads: ClientLoads) -> ClientLoad | RoutedLoad:
    """Return what Envoy holds for a class of requests."""
    if len(requests.parts) == 1 and requests.parts[0].share > 1 - NOTHING:
        return loads.of(requests.parts[0].assignment)
    return RoutedLoad([(loads.of(part.assignment), part.share) for part in requests.parts], requests.failing)


def combined(outcomes: t.Sequence[tuple[Outcome, float]], first: t.Sequence[int], failing: float) -> Outcome:
    """Return the outcome for all requests of (outcome, share) of their destinations; `first`: each one's first cell."""
    flows: list[Flow] = []
    gone: list[LostHosts] = []
    at_risk = stuck = 0.0
    lost = failing
    worst = [0]
    gap = 0
    for start, (outcome, share) in zip(first, outcomes, strict=True):
        flows += [
            Flow(start + cell, place, share * before, share * after) for cell, place, before, after in outcome.flows
        ]
        gone += [LostHosts(start + cell, number) for cell, number in outcome.gone]
        at_risk, lost, stuck = (
            at_risk + share * outcome.at_risk,
            lost + share * outcome.lost,
            stuck + share * outcome.stuck,
        )
        if outcome.at_risk > NOTHING:
            worst.append(VERDICTS.index("dies_in_part" if outcome.verdict == "dies" else outcome.verdict))
            gap = max(gap, GAPS.index(outcome.gap))
    verdict, way = VERDICTS[max(worst)], GAPS[gap]
    if lost > 1 - NOTHING:
        verdict, way, lost = "dies", "never", 1.0
    return Outcome(verdict, way, at_risk, lost, tuple(flows), moved(flows), tuple(gone), stuck=stuck)


def routed_outlook(
    planner: Planner, client: Client, requests: Requests, losses: t.Sequence[Losses], question: Question
) -> tuple[Spread, tuple[Forecast, ...], tuple[Assumption, ...]]:
    """Return (where requests go now, what each loss does to them, the assumptions) of a class of requests."""
    seen: list[tuple[Outlook, float]] = []
    for part in requests.parts:
        own = Question(question.rate * part.share, question.faults, question.readiness)
        way = as_sent(requests.route) if requests.route else None
        hop = outlook(planner, client, part.assignment, losses, own, way)
        if part.onward:
            hop = _with_onward(planner, hop, part, losses, own)
        seen.append((hop, part.share))
    if len(seen) == 1 and seen[0][1] > 1 - NOTHING:
        return seen[0][0].now, seen[0][0].forecasts, seen[0][0].assumptions
    now = _spread([(hop_outlook.now, share) for hop_outlook, share in seen], requests.failing)
    forecasts = tuple(
        Forecast(
            lost,
            {
                fault.name.lower(): _fault(
                    [(hop_outlook.forecasts[index].faults[fault.name.lower()], share) for hop_outlook, share in seen],
                    requests.failing,
                    question.rate,
                )
                for fault in question.faults
            },
        )
        for index, lost in enumerate(losses)
    )
    sentences = [sentence for hop_outlook, _share in seen for sentence in hop_outlook.assumptions]
    return now, forecasts, tuple(dict.fromkeys(sentences))


def _with_onward(planner: Planner, hop: Outlook, part: Part, losses: t.Sequence[Losses], question: Question) -> Outlook:
    """Return the outlook of requests that take two hops: those that fail on either of them fail."""
    behind = []
    for client, requests, share in part.onward:
        own = Question(question.rate * share, question.faults, question.readiness)
        behind.append((routed_outlook(planner, client, requests, losses, own), share))
    now = _in_turn(hop.now, _spread([(onward[0], share) for onward, share in behind], 0.0))
    forecasts = []
    for index, first in enumerate(hop.forecasts):
        faults = {}
        for name, fault in first.faults.items():
            second = _fault([(onward[1][index].faults[name], share) for onward, share in behind], 0.0, question.rate)
            faults[name] = _both(fault, second, question.rate)
        forecasts.append(Forecast(first.losses, faults))
    sentences = [sentence for onward, _share in behind for sentence in onward[2]]
    name = f"{part.assignment.destination.host}:{part.assignment.destination.port}"
    sentences.append(assumption("gateway-on-the-way", gateway=name))
    return dataclasses.replace(
        hop, now=now, forecasts=tuple(forecasts), assumptions=tuple(dict.fromkeys((*hop.assumptions, *sentences)))
    )


def _in_turn(first: Spread, second: Spread) -> Spread:
    """Return where requests end that take two hops: what the first lets through ends where the second sends it."""
    through = 1.0 - first.none - first.dead
    dead = {name: through * share for name, share in second.dead_by_locality.items()}
    for name, share in first.dead_by_locality.items():
        dead[name] = dead.get(name, 0.0) + share
    return Spread(
        {name: through * share for name, share in second.by_locality.items()},
        {name: through * share for name, share in second.by_endpoint.items()},
        first.none + through * second.none,
        sum(dead.values()),
        dead,
    )


def _both(first: FaultForecast, second: FaultForecast, rate: float) -> FaultForecast:
    """Return the forecast of requests that take two hops, of one fault."""

    def either(share: float, other: float) -> float:
        return share + other - share * other

    earlier, later = first.outcome, second.outcome
    verdict = max(earlier.verdict, later.verdict, key=VERDICTS.index)
    lost = either(earlier.lost, later.lost)
    if lost > 1 - NOTHING:
        verdict = "dies"
    outcome = later._replace(
        verdict=verdict,
        gap=max(earlier.gap, later.gap, key=GAPS.index),
        at_risk=either(earlier.at_risk, later.at_risk),
        lost=lost,
        stuck=either(earlier.stuck, later.stuck),
    )
    times = [hop.readiness for hop in (first, second) if hop.readiness is not None]
    readiness = Between(min(each.least for each in times), max(each.most for each in times)) if times else None
    settled = _in_turn(first.settled, second.settled)
    if first.transition is None and second.transition is None:
        return FaultForecast(outcome, settled, readiness=readiness)

    def course(index: int) -> Transition:
        chosen = []
        for hop in (first, second):
            way = hop.transition if index == 0 or hop.bounds is None else hop.bounds[index - 1]
            chosen.append((way, 1.0, hop.lost))
        return together(chosen, 0.0, rate, in_turn=True)

    expected, least, most = course(0), course(1), course(2)
    return FaultForecast(outcome, settled, expected, readiness, (least, most) if least[:2] != most[:2] else None)


def _spread(spreads: t.Iterable[tuple[Spread, float]], failing: float) -> Spread:
    by_locality: dict[str, float] = {}
    by_endpoint: dict[str, float] = {}
    dead: dict[str, float] = {}
    none = failing
    for spread, share in spreads:
        none += share * spread.none
        for totals, given in (
            (by_locality, spread.by_locality),
            (by_endpoint, spread.by_endpoint),
            (dead, spread.dead_by_locality),
        ):
            for name, part in given.items():
                totals[name] = totals.get(name, 0.0) + share * part
    return Spread(by_locality, by_endpoint, none, sum(dead.values()), dead)


def _fault(faults: t.Sequence[tuple[FaultForecast, float]], failing: float, rate: float) -> FaultForecast:
    cells = [0]
    for fault, _share in faults:
        cells.append(cells[-1] + 1 + max((flow.cell for flow in fault.outcome.flows), default=0))
    outcome = combined([(fault.outcome, share) for fault, share in faults], cells[:-1], failing)
    settled = _spread([(fault.settled, share) for fault, share in faults], failing)
    times = [fault.readiness for fault, _share in faults if fault.readiness is not None]
    readiness = Between(min(time.least for time in times), max(time.most for time in times)) if times else None
    if all(fault.transition is None for fault, _share in faults):
        return FaultForecast(outcome, settled, readiness=readiness)

    def course(index: int) -> Transition:
        chosen = []
        for fault, share in faults:
            either = fault.transition if index == 0 or fault.bounds is None else fault.bounds[index - 1]
            chosen.append((either, share, fault.lost))
        return together(chosen, failing, rate)

    expected, least, most = course(0), course(1), course(2)
    bounds = (least, most) if least[:2] != most[:2] else None
    return FaultForecast(outcome, settled, expected, readiness, bounds, parts=tuple(faults), failing=failing)


class _Span(t.NamedTuple):
    """A phase of one destination on the time line. `failing` is the share of all requests, `failed` for a second."""

    start: float
    end: float
    failing: float
    failed: float
    what: str


def together(
    transitions: t.Sequence[tuple[Transition | None, float, float]],
    failing: float,
    rate: float,
    *,
    in_turn: bool = False,
) -> Transition:
    """Return the transition of all requests of (transition, share, share of them that fails for good) by destination.

    `failing` is the share that fails whatever is lost; `rate` are requests per second of all of them. `in_turn`: every
    request takes all of the destinations, one after the other.
    """
    spans: list[_Span] = []
    moments: list[Phase] = []
    assumptions: list[Assumption] = []
    at_first = for_good = failing
    if failing:
        spans.append(_Span(0.0, math.inf, failing, rate * failing, "for ever: the route itself fails them"))
    ends = 0
    for course, share, lost in transitions:
        if course is None:
            at_first, for_good = at_first + share * lost, for_good + share * lost
            if lost > NOTHING:
                spans.append(_Span(0.0, math.inf, share * lost, rate * share * lost, "for ever: no endpoint is left"))
            continue
        at_first, for_good = at_first + share * course.at_first, for_good + share * course.for_good
        ends = max(ends, GAPS.index(course.ends_by))
        assumptions += course.assumptions
        start = 0.0
        for phase in course.phases:
            if phase.seconds == 0:
                moments.append(phase._replace(failing=share * phase.failing))
                continue
            end = math.inf if phase.seconds is None else start + phase.seconds
            pace = phase.failed / phase.seconds if phase.failed is not None and phase.seconds else None
            own = rate * share * phase.failing if pace is None else pace
            spans.append(_Span(start, end, share * phase.failing, own, phase.what))
            start = end
    if in_turn:
        at_first = 1 - math.prod(
            1 - (lost if course is None else course.at_first) for course, _share, lost in transitions
        )
        for_good = 1 - math.prod(
            1 - (lost if course is None else course.for_good) for course, _share, lost in transitions
        )
    phases = [*_phases(spans, in_turn), *moments]
    ever = all(phase.seconds is not None for phase in phases)
    return Transition(
        sum(phase.failed or 0.0 for phase in phases) if ever else None,
        sum(phase.seconds or 0.0 for phase in phases) if ever else None,
        ever,
        tuple(phases),
        tuple(dict.fromkeys(assumptions)),
        GAPS[ends] if ends else "never",
        at_first,
        for_good,
    )


def _phases(spans: t.Sequence[_Span], in_turn: bool) -> list[Phase]:
    times = sorted({time for span in spans for time in (span.start, span.end)})
    phases: list[Phase] = []
    for start, end in itertools.pairwise(times):
        active = [span for span in spans if span.start <= start and span.end >= end]
        if not active:
            continue
        what = max(active, key=lambda span: span.failing).what
        share = whole = sum(span.failing for span in active)
        if in_turn:
            share = 1 - math.prod(1 - span.failing for span in active)
        endless = math.isinf(end)
        phases.append(
            Phase(
                what,
                None if endless else end - start,
                share,
                None
                if endless
                else (end - start) * sum(span.failed for span in active) * (share / whole if whole else 1),
            )
        )
    return phases
