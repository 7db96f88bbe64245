# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client's Envoy retries, and how long it waits: of the route that its requests to a destination take.

Source: istio 1.31 pilot/pkg/networking/core/route/retry/retry.go (ConvertPolicy) and route.go
(applyHTTPRouteDestination, BuildDefaultHTTPOutboundRoute).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._envoy.retries import Retries
from ansible_collections.meshops.locality.plugins.module_utils._istio.durations import parse_duration
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import most_specific, resolve
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Assignment, Destination, Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.sidecar_scope import port_of
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items, mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Config

#: The connectTimeout of Istio's mesh config when nothing else is said. Source: pkg/config/mesh/mesh.go.
CONNECT_TIMEOUT = 10.0

Part = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Route:
    """How requests to a destination are sent. `retries` None: none; `timeout` in seconds, None: no end.

    `source` says where it was written; `several`: other routes to the same destination say something else.
    """

    retries: Retries | None
    timeout: float | None
    source: str
    several: bool = False


def route(planner: Planner, client: Client, made: Assignment) -> Route:
    """Return the route of a client to a destination: of the VirtualService for its host, else the default one."""
    destination = made.destination
    port = port_of(planner.scopes.routed(client, made.service, destination.port), destination.port)
    listened = planner.scopes.listen_port(client, destination.port)
    virtual = _virtual_service(planner.scopes.routes(client, destination.port), destination, client, listened)
    if port is None or not port.may_be_http:
        # On port 80 a VirtualService makes routes for a host that no Service of the listener has.
        unlisted = destination.port == 80 and not planner.scopes.listed(client, destination.host, destination.port)
        if virtual is None or not unlisted or destination.host not in _hosts(virtual):
            return Route(None, None, "the port is not HTTP, nothing is retried")
    default = mapping(planner.snapshot.mesh.config.get("defaultHttpRetryPolicy"))
    found = list(_routes_to(virtual, made, client, listened)) if virtual else []
    if virtual is None or not found:
        source = "meshConfig.defaultHttpRetryPolicy" if default else "Istio's default"
        return Route(_retries(default, hashed=False), None, source)
    read = [_read(entry, default, _hashed(target, made)) for _index, entry, target in found]
    index = found[0][0]
    return Route(
        read[0][0], read[0][1], f"VirtualService {virtual} http[{index}]", any(other != read[0] for other in read[1:])
    )


def _virtual_service(
    routes: t.Iterable[Config], destination: Destination, client: Client, listened: int
) -> Config | None:
    """Return the VirtualService for a host: of the exact ones the oldest with a route that may match, else a wildcard.

    Source: istio 1.31 route.go, buildSidecarVirtualHostsForVirtualService; sidecar.go,
    computeWildcardHostVirtualServiceIndex.
    """
    exact: list[Config] = []
    wild: dict[str, Config] = {}
    for one in routes:
        for host in _hosts(one):
            if host == destination.host:
                exact.append(one)
            elif host.startswith("*"):
                wild.setdefault(host, one)
    chosen = exact or [one for one in [most_specific(wild, destination.host)] if one]
    for one in chosen:
        if any(_matches(mapping(entry) or {}, client, listened) for entry in items(one.spec.get("http"))):
            return one
    return None


def _hosts(virtual: Config) -> list[str]:
    return [resolve(str(given), virtual.namespace) for given in items(virtual.spec.get("hosts"))]


def _matches(entry: Part, client: Client, port: int) -> list[Part]:
    """Return the matches of a route that can apply to a client at all; a route without any has one for everything."""
    given = [mapping(match) or {} for match in items(entry.get("match"))] or [{}]
    return [match for match in given if _may_match(match, client, port)]


def _routes_to(virtual: Config, made: Assignment, client: Client, listened: int) -> t.Iterator[tuple[int, Part, Part]]:
    """Yield (position, route, its destination) for the routes to a destination that a client's requests may take.

    Source: istio 1.31 route.go, BuildHTTPRoutesForVirtualService, TranslateRoute, applyHTTPRouteDestination.
    """
    for index, one in enumerate(items(virtual.spec.get("http"))):
        entry = mapping(one) or {}
        taken = _matches(entry, client, listened)
        if not taken:
            continue
        targets = [mapping(target) or {} for target in items(entry.get("route"))]
        for target in targets:
            to = mapping(target.get("destination")) or {}
            if len(targets) > 1 and not number(target.get("weight")):
                continue
            if _leads_to(to, virtual.namespace, made):
                yield index, entry, to
                break
        if any(_takes_all(match) for match in taken):
            return


def _leads_to(target: Part, namespace: str, made: Assignment) -> bool:
    host = resolve(str(target.get("host") or ""), namespace)
    port = number((mapping(target.get("port")) or {}).get("number"))
    same = host == made.destination.host and str(target.get("subset") or "") == made.destination.subset
    return same and port in (0, made.destination.port)


def _may_match(match: Part, client: Client, port: int) -> bool:
    """Whether a match can apply to a client at all; `port` is the one listened on.

    Source: istio 1.31 route.go, TranslateRoute, sourceMatchHTTP.
    """
    if number(match.get("port")) not in (0, port):
        return False
    gateways = items(match.get("gateways"))
    if gateways:
        return client.type != "sidecar" or "mesh" in gateways
    labels = mapping(match.get("sourceLabels")) or {}
    if any(client.labels.get(str(name)) != str(value) for name, value in labels.items()):
        return False
    return not match.get("sourceNamespace") or match["sourceNamespace"] == client.namespace


def _takes_all(match: Part) -> bool:
    """Whether no request gets past a match. Source: route.go, IsCatchAllRoute."""
    uri = mapping(match.get("uri"))
    everything = uri is None or uri.get("prefix") == "/" or uri.get("regex") == ".*"
    other = ("scheme", "method", "authority", "headers", "withoutHeaders", "queryParams")
    return everything and not any(match.get(name) for name in other)


def _hashed(target: Part, made: Assignment) -> bool:
    """Whether a route's requests are hashed. Unlike a cluster's policy, blocks are looked through one by one.

    Source: istio 1.31 route.go, HashForHTTPDestination.
    """
    if made.entry is None:
        return False
    port = number((mapping(target.get("port")) or {}).get("number"))
    policies = [mapping(made.entry.traffic_policy) or {}]
    if made.destination.subset:
        policies.append(mapping(made.entry.subsets[made.destination.subset][1].get("trafficPolicy")) or {})
    for policy in policies:
        own = [one for one in items(policy.get("portLevelSettings")) if isinstance(one, t.Mapping)]
        level = next(
            (one for one in own if port and number((mapping(one.get("port")) or {}).get("number")) == port), {}
        )
        for block in (policy, level):
            if mapping((mapping(block.get("loadBalancer")) or {}).get("consistentHash")) is not None:
                return True
    return False


def _read(entry: Part, default: Part | None, hashed: bool) -> tuple[Retries | None, float | None]:
    given = mapping(entry.get("retries"))
    alone = len(items(entry.get("route"))) == 1
    retries = _retries(default if given is None else given, hashed=hashed and alone)
    return retries, parse_duration(entry.get("timeout")) or None


def _retries(given: Part | None, *, hashed: bool) -> Retries | None:
    if given is None:
        return Retries(previous_hosts=not hashed)
    attempts = number(given.get("attempts"))
    if attempts <= 0:
        return None
    values: dict[str, t.Any] = {"attempts": attempts, "previous_hosts": not hashed}
    if given.get("retryOn"):
        values["retry_on"] = str(given["retryOn"])
    if isinstance(given.get("retryIgnorePreviousHosts"), bool):
        values["previous_hosts"] = given["retryIgnorePreviousHosts"]
    values["remote_localities"] = given.get("retryRemoteLocalities") is True
    values["per_try_timeout"] = parse_duration(given.get("perTryTimeout")) or None
    return Retries(**values)


def connect_timeout(planner: Planner, made: Assignment) -> float:
    """Return after how many seconds Envoy gives up a connection to an endpoint."""
    tcp = mapping((made.cluster_policy.connection_pool or {}).get("tcp")) or {}
    own = parse_duration(tcp.get("connectTimeout"))
    mesh = parse_duration(planner.snapshot.mesh.config.get("connectTimeout"))
    return own or mesh or CONNECT_TIMEOUT
