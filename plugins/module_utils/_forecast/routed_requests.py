# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which classes of requests a client sends to a host and port, and where the route of each leads them.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import dataclasses
import functools
import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._forecast.request_errors import (
    RequestError,
    request_error,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.cluster_type import WITH_LOCALITIES, has_cluster
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_hosts import GatewayHosts
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Assignment, Destination, Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.routes import (
    BLACK_HOLE,
    DIRECT,
    NO_ROUTE,
    PASSTHROUGH,
    REDIRECT,
    RESOLVED_BY_NAME,
    EnvoyRoute,
    Match,
    RequestClass,
    Routes,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.sidecar_scope import port_of
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Service
from ansible_collections.meshops.locality.plugins.module_utils._model.unchecked import Unchecked, unchecked

#: From this status on an answer is a failure.
FAILED = 400
#: The registry of the Service that stands for a host which only a VirtualService has.
ONLY_ROUTED = "VirtualService"


class Onward(t.NamedTuple):
    """What requests meet behind pods of a gateway that hold the same and are in one place. `gateways`: all of them."""

    gateways: tuple[Client, ...]
    requests: Requests


class Part(t.NamedTuple):
    """The requests of a class that go to one destination. `share` is that of all requests of the class.

    `onward`: where the destination's pods are gateways that send them on, what they meet behind which of them.
    """

    assignment: Assignment
    share: float
    onward: tuple[Onward, ...] = ()


@dataclass(frozen=True)
class Requests:
    """One class of a client's requests to a host and port.

    `matches` say which ones, nothing: all that no other class takes. `route` None: whatever leads there.
    `failing` is the share that Envoy itself answers with an error (no such cluster, an abort, a direct response, no
    route), for the reasons in `errors`; `answered` the share that it answers without one (a redirect, a direct
    response). `unfit`: why nothing can be said about them. `unfollowed`: what of their way is not followed.
    `which`: which requests they are, for people; '' for the default.
    """

    destination: Destination
    service: Service
    matches: tuple[Match, ...]
    route: EnvoyRoute | None
    parts: tuple[Part, ...]
    failing: float = 0.0
    answered: float = 0.0
    errors: tuple[RequestError, ...] = ()
    unfit: Unchecked | None = None
    unfollowed: tuple[Unchecked, ...] = ()
    which: str = ""

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
            requests = _requests(planner, client, entry, Destination(gateway_host.host, gateway_host.port, ""), kind)
            yield _followed(planner, ways, requests)


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
        entry = Service(host, virtual.namespace, registry=ONLY_ROUTED, source=f"VirtualService {virtual}")
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


def _followed(
    planner: Planner, ways: GatewayHosts | None, requests: Requests, passed: frozenset[str] = frozenset()
) -> Requests:
    """Return requests with what they meet at the gateways on their way. `passed`: those that they have passed."""
    if ways is None:
        return requests
    parts: list[Part] = []
    not_followed: list[Unchecked] = []
    for part in requests.parts:
        onward, unfollowed = _onward(planner, ways, requests, part, passed)
        parts.append(part._replace(onward=onward))
        not_followed += unfollowed
    return dataclasses.replace(
        requests, parts=tuple(parts), unfollowed=tuple(dict.fromkeys((*requests.unfollowed, *not_followed)))
    )


def _onward(
    planner: Planner, ways: GatewayHosts, requests: Requests, part: Part, passed: frozenset[str]
) -> tuple[tuple[Onward, ...], list[Unchecked]]:
    """Return what a part of the requests meets at the gateways that it goes to, and what is not followed of it.

    Pods that have no route for the host answer with an error; when none of them has one, nothing is followed.
    """
    pods = dict.fromkeys(member.pod for group in part.assignment.groups for member in group.members)
    by_key = {client.key: client for client in planner.clients if client.type == "router"}
    clients = [by_key[pod] for pod in pods if pod in by_key]
    if not any(map(ways.selected, clients)) or part.assignment.destination.host == requests.destination.host:
        return (), []  # whoever asks for a gateway by its own name asks for nothing behind it
    host, port = requests.destination.host, part.assignment.destination.port
    name = f"{part.assignment.destination.host}:{port}"
    by_place: dict[t.Hashable, list[Client]] = {}
    for client in clients:
        key = (client.namespace, client.locality, client.network, tuple(sorted(client.labels.items())))
        by_place.setdefault(key, []).append(client)
    nowhere = unchecked("host-not-at-gateway", gateway=name, host=host)
    onward: list[Onward] = []
    not_followed = [nowhere] if len(clients) < len(pods) else []
    entries = [ways.host(alike[0], host, port) if ways.selected(alike[0]) else None for alike in by_place.values()]
    if name in passed or not any(entries):
        return (), [nowhere]
    for alike, entry in zip(by_place.values(), entries, strict=True):
        if entry is None:
            error = request_error("no-route")
            failing = Requests(requests.destination, requests.service, (), None, (), failing=1.0, errors=(error,))
            onward.append(Onward(tuple(alike), failing))
            not_followed.append(nowhere)
            continue
        kinds = entry.classes
        service = Service(host, entry.gateway.partition("/")[0], source=f"Gateway {entry.gateway}")
        behind = _requests(planner, alike[0], service, requests.destination, kinds[0])
        behind = _followed(planner, ways, behind, passed | {name})
        not_followed += behind.unfollowed
        if behind.unfit:
            return (), [*not_followed, behind.unfit]
        onward.append(Onward(tuple(alike), behind))
        if len(kinds) > 1:
            not_followed.append(unchecked("some-requests-at-gateway", gateway=name, host=host))
    return tuple(onward), not_followed


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
        return Requests(destination, service, kind.matches, way, (), unfit=nowhere, which=kind.name)
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
        return Requests(destination, service, kind.matches, way, (), failing, answered, tuple(errors), which=kind.name)
    parts = []
    unfollowed: list[Unchecked] = []
    for to, share in way.shares if left > 0 else ():
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
        kind.name,
    )
