# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services × losses: what survives, what spills over, what dies, and whether the survivors can carry it.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import Fault
from ansible_collections.meshops.locality.plugins.module_utils._forecast.capacity import Capacity
from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_load import ClientLoads
from ansible_collections.meshops.locality.plugins.module_utils._forecast.expected_failures import FailureEstimates
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import (
    Losses,
    takes_client,
    taking_all_pods,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.matrix_row import (
    DestinationUnderLosses,
    RequestingClients,
    Row,
    absent,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.removal import headless_hosts
from ansible_collections.meshops.locality.plugins.module_utils._forecast.routed_outlook import load_of, route_of
from ansible_collections.meshops.locality.plugins.module_utils._forecast.routed_requests import (
    Requests,
    client_requests,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.ambient_mode import is_waypoint_of
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_hosts import GatewayHosts
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import ClientClass, Destination, Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_retries import Route
from ansible_collections.meshops.locality.plugins.module_utils._istio.routes import Routes
from ansible_collections.meshops.locality.plugins.module_utils._model.object_cache import ObjectCache
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Service
from ansible_collections.meshops.locality.plugins.module_utils._model.unchecked import Unchecked, unchecked


@dataclass(frozen=True)
class Matrix:
    """Services × losses. `skipped` names what has no row, with the reason and the losses that all of it fails with.

    `tried_again`: after so many seconds some lost endpoints are tried again and cost requests that are in no entry.
    """

    losses: tuple[Losses, ...]
    rows: tuple[Row, ...]
    skipped: tuple[tuple[Destination, Unchecked, tuple[Losses, ...]], ...] = ()
    tried_again: float | None = None
    #: What of the rows' requests is not followed.
    unfollowed: tuple[Unchecked, ...] = ()


def matrix(
    planner: Planner,
    losses: t.Sequence[Losses],
    *,
    capacity: Capacity | None = None,
    services: t.Callable[[Service], bool] = lambda _service: True,
    clients: t.Sequence[ClientClass] | None = None,
    port: int = 0,
    subset: str | None = "",
    lose_clients: bool = True,
    rate: float = 20.0,
    fault: Fault = Fault.REFUSED,
    readiness: float | None = None,
) -> Matrix:
    """Compute the matrix for the chosen Services and clients.

    `clients`: classes with those members that are asked for, None for all. `port` 0: every one. `subset`: '' for whole
    Services, a name for that subset, None for both. `lose_clients`: clients in a lost place ask no more; otherwise
    only endpoints are lost, as when servers are drained. Gateways and waypoints are lost either way. `rate`: requests
    per second of each client. `fault`: what becomes of the lost endpoints. `readiness`: after how many seconds
    Kubernetes takes them out, None: as their probes say.
    """
    capacity = capacity or Capacity()
    loads = ClientLoads(headless_hosts(planner.snapshot), planner.snapshot.other_probes)
    routes = Routes(planner)
    ways: ObjectCache[Route] = ObjectCache()
    ways_in = GatewayHosts(planner, routes)
    by_destination: dict[tuple[Destination, str], tuple[Service, list[RequestingClients]]] = {}
    skipped: dict[Destination, list[tuple[ClientClass, Requests]]] = {}
    kinds, unready = _serving(planner, planner.classes if clients is None else clients)
    unfollowed: dict[Unchecked, None] = dict.fromkeys([unchecked("unready-gateways", pods=unready)] if unready else [])
    for kind in kinds:
        asked = client_requests(planner, routes, kind.representative, services, port, subset)
        for requests in map(_without_second_hop, asked):
            if requests.unfit:
                skipped.setdefault(requests.destination, []).append((kind, requests))
                continue
            targets = [part.assignment.service for part in requests.parts]
            if targets and not any(map(planner.endpoints.known, targets)):
                continue  # said by not_judged: it may have pods all the same
            unfollowed.update(dict.fromkeys(requests.unfollowed))
            key = (requests.destination, requests.which)
            by_destination.setdefault(key, (requests.service, []))[1].append(
                RequestingClients(
                    kind,
                    load_of(requests, loads),
                    ways.once(
                        functools.partial(route_of, planner, routes, kind.representative, requests),
                        (requests.route,) if requests.route else (requests,),
                    ),
                    requests.errors,
                    _passed(planner, ways_in, kind.representative, requests.service),
                )
            )
    estimates = FailureEstimates(planner, rate, fault, readiness)
    levels = {loss.level for joint in losses for loss in joint}
    away = absent([kind for kind in kinds if lose_clients or kind.representative.type != "sidecar"], levels)
    rows = [
        DestinationUnderLosses(planner, destination, service, some, capacity, estimates, which).row(losses, away)
        for (destination, which), (service, some) in sorted(by_destination.items(), key=lambda item: item[0])
    ]
    left_out = [
        (to, t.cast(Unchecked, some[-1][1].unfit), tuple(_dies_with(planner, some, losses, lose_clients)))
        for to, some in sorted(skipped.items(), key=lambda item: item[0])
    ]
    return Matrix(tuple(losses), tuple(rows), tuple(left_out), estimates.tried_again, tuple(unfollowed))


def _without_second_hop(requests: Requests) -> Requests:
    """Return requests whose second hop is not followed here as unfit."""
    if not any(part.onward for part in requests.parts):
        return requests
    return replace(requests, unfit=unchecked("two-hops"))


def _serving(planner: Planner, kinds: t.Iterable[ClientClass]) -> tuple[list[ClientClass], str]:
    """Return the classes without gateways and waypoints whose pods are not ready: nobody's requests pass them. And the
    names of those pods."""
    serving, unready = [], []
    for kind in kinds:
        known = [(member, planner.snapshot.pod_by_key.get(member.key)) for member in kind.members]
        away = [member for member, pod in known if member.type != "sidecar" and pod is not None and not pod.ready]
        unready += [member.key for member in away]
        members = tuple([member for member in kind.members if member not in away]) if away else kind.members
        if members:
            serving.append(ClientClass(members[0], members) if away else kind)
    return serving, ", ".join(sorted(unready))


def _dies_with(
    planner: Planner, some: list[tuple[ClientClass, Requests]], losses: t.Sequence[Losses], lose_clients: bool
) -> t.Iterator[Losses]:
    """Yield the losses that take all pods, so that nobody answers whoever chooses the endpoint."""
    if any(requests.answered or not requests.parts for _kind, requests in some):
        return
    targets = [part.assignment.service for _kind, requests in some for part in requests.parts]
    for joint in taking_all_pods(planner, {service.key: service for service in targets}.values(), losses):
        clients = (client for kind, _requests in some for client in kind.members)
        if not lose_clients or not all(any(takes_client(loss, client) for loss in joint) for client in clients):
            yield joint


def with_load_of(judged: Matrix, everybody: Matrix) -> Matrix:
    """Return the matrix of some clients with the load that the requests of all make: endpoints serve all of them."""
    entries = {(row.destination, row.requests): row.entries for row in everybody.rows}

    def loaded(row: Row) -> Row:
        pairs = zip(row.entries, entries[row.destination, row.requests], strict=True)
        return replace(row, entries=tuple(entry.with_load_of(whole) for entry, whole in pairs))

    return replace(judged, rows=tuple(loaded(row) for row in judged.rows))


def _passed(planner: Planner, ways: GatewayHosts, client: Client, service: Service) -> str:
    """Return what requests of others are known to pass on their way to a Service with a client, which is one of its
    pods: its Gateways, or a waypoint. Others of the same take over from it."""
    if client.type == "waypoint" and is_waypoint_of(planner.snapshot, client, service):
        return client.type
    return " ".join(sorted(map(str, ways.selected(client))))
