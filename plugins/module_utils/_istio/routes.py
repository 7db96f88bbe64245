# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routes that a sidecar's requests to a host and a port meet, in Envoy's order, and the classes they make.

Source: istio 1.31 pilot/pkg/networking/core/httproute.go (BuildSidecarOutboundVirtualHosts), core/route/route.go
(BuildSidecarVirtualHostWrapper, BuildHTTPRoutesForVirtualService, TranslateRoute, TranslateRouteMatch,
IsCatchAllRoute, GetDestinationCluster), core/tls.go (buildSidecarOutboundTCPFilterChainOpts,
buildSidecarOutboundTLSFilterChainOpts) and core/route/retry/retry.go (ConvertPolicy).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import abc

from ansible_collections.meshops.locality.plugins.module_utils._envoy.retries import Retries
from ansible_collections.meshops.locality.plugins.module_utils._istio.durations import parse_duration
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_backends import is_gateway_api
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_parents import MESH
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import covers, most_specific, overlaps
from ansible_collections.meshops.locality.plugins.module_utils._istio.outbound_traffic_policy import (
    DYNAMIC_DNS,
    REGISTRY_ONLY,
    outbound_traffic_policy,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Destination, Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_source import source_of
from ansible_collections.meshops.locality.plugins.module_utils._istio.sidecar_scope import port_of
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items, mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._istio.virtual_services import gateways, hosts
from ansible_collections.meshops.locality.plugins.module_utils._model.object_cache import ObjectCache
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Config, Service

Part = t.Mapping[str, t.Any]

#: What Envoy answers without any endpoint.
DIRECT, REDIRECT, NO_ROUTE, PASSTHROUGH, RESOLVED_BY_NAME, BLACK_HOLE = (
    "direct response",
    "redirect",
    "no route",
    "passthrough",
    "resolved by name",
    "refused",
)
_CLAIMS = "@request.auth.claims"


class RouteTarget(t.NamedTuple):
    """Where a part of the requests of a route goes. `weight` is relative to those of the route's other targets.

    The host is '' where the route names something that istiod does not know.
    """

    destination: Destination
    weight: int


class Match(t.NamedTuple):
    """What requests a route takes: `path` is (prefix, exact or regex; text), the others are names only.

    `headers` are sorted; `:method`, `:authority` and `:scheme` are among them; `-` stands before those that must not
    be there. `claims` are those of a JSON web token.
    """

    path: tuple[str, str] = ("prefix", "/")
    headers: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()

    @property
    def takes_all(self) -> bool:
        """Whether no request gets past it."""
        everything = self.path in (("prefix", "/"), ("regex", ".*"))
        return everything and not (self.headers or self.query or self.claims)

    def __str__(self) -> str:
        """For people, without any value of a header: `uri prefix /x, header end-user`."""
        uri = "uri " if self.path[0] in ("prefix", "exact", "regex") else ""
        conditions = [] if self.path == ("prefix", "/") else [f"{uri}{self.path[0]} {self.path[1]}"]
        for name in self.headers:
            if name.startswith(":"):
                conditions.append(name[1:])
            else:
                conditions.append(f"without header {name[1:]}" if name.startswith("-") else f"header {name}")
        conditions += [f"query {name}" for name in self.query]
        return ", ".join([*conditions, *(f"claim {name}" for name in self.claims)])


class HttpFault(t.NamedTuple):
    """What a route does to requests on purpose: shares (0 to 1), the status of an abort, seconds of a delay."""

    abort: float = 0.0
    status: int = 0
    delayed: float = 0.0
    delay: float = 0.0


class EnvoyRoute(t.NamedTuple):
    """One route as Envoy has it: the first whose match takes a request decides.

    `answer`: '' for one with targets, else what Envoy answers itself (DIRECT, REDIRECT, NO_ROUTE, BLACK_HOLE) or where
    it sends requests without any endpoint (PASSTHROUGH: the address that the client asked for, RESOLVED_BY_NAME: that
    of the host's name), with `status`. `missing`: what a request gets whose cluster there is not. `timeout` in seconds,
    None: no end. `mirrors` are (destination, share of the requests). `source`: where it is written, for people.
    """

    match: Match
    targets: tuple[RouteTarget, ...] = ()
    answer: str = ""
    status: int = 0
    retries: Retries | None = None
    timeout: float | None = None
    fault: HttpFault = HttpFault()
    mirrors: tuple[tuple[Destination, float], ...] = ()
    missing: int = 503
    source: str = ""
    protocol: str = "http"

    @property
    def shares(self) -> list[tuple[Destination, float]]:
        """The targets with their shares of the requests, equal ones together."""
        if len(self.targets) == 1:
            return [(self.targets[0].destination, 1.0 if self.targets[0].weight else 0.0)]
        total = sum(target.weight for target in self.targets)
        shares: dict[Destination, float] = {}
        for target in self.targets:
            shares[target.destination] = shares.get(target.destination, 0.0) + (target.weight / total if total else 0.0)
        return list(shares.items())


class RequestClass(t.NamedTuple):
    """Requests with one fate. `matches` say which ones; the default, all that no other class takes, has none.

    `name` says it for people: no two classes of a host have the same, that of the default is ''.
    """

    matches: tuple[Match, ...]
    route: EnvoyRoute
    name: str = ""


def classes(routes: t.Sequence[EnvoyRoute]) -> list[RequestClass]:
    """Return the classes of requests that routes make, the default one first; those with one fate together."""
    if routes and routes[0].match.takes_all:
        return [RequestClass((), routes[0])]
    default = EnvoyRoute(Match(), answer=NO_ROUTE, status=404, source="no route takes them")
    others: dict[EnvoyRoute, list[EnvoyRoute]] = {}
    for route in routes:
        if route.match.takes_all:
            default = route
            break
        others.setdefault(_fate(route), []).append(route)
    others.pop(_fate(default), None)
    request_classes = [RequestClass((), default)]
    for some in others.values():
        request_classes.append(RequestClass(tuple(dict.fromkeys(route.match for route in some)), some[0]))
    return _named(request_classes)


def _named(kinds: t.Sequence[RequestClass]) -> list[RequestClass]:
    """Name classes by what they match. Values of headers are not shown: where that makes two alike, by their routes."""
    texts = [" or ".join(dict.fromkeys(map(str, kind.matches))) for kind in kinds]
    names = texts
    for part in ("field", "object"):
        if len(set(names)) < len(names):
            where = [getattr(kind.route.source, part, "") for kind in kinds]
            names = [
                f"{name}, {place}" if texts.count(text) > 1 else name
                for name, text, place in zip(names, texts, where, strict=True)
            ]
    return [kind._replace(name=name) for kind, name in zip(kinds, names, strict=True)]


def _fate(route: EnvoyRoute) -> EnvoyRoute:
    return route._replace(match=Match(), source="", mirrors=())


class Routes:
    """The routes of a planner's sidecars."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._scopes = planner.scopes
        config = planner.snapshot.mesh.config
        #: By a list of routes: its VirtualServices by host, and by wildcard.
        self._indexed: ObjectCache[tuple[dict[str, list[Config]], dict[str, Config]]] = ObjectCache()
        self._default_retries = mapping(config.get("defaultHttpRetryPolicy"))
        self._defaults: dict[tuple[str, int], EnvoyRoute] = {}
        self._labels = sorted(planner.relevant_labels)
        self._classes: dict[tuple[t.Any, ...], list[RequestClass]] = {}
        own = (route for route in self._scopes.all_routes if MESH in gateways(route) and not is_gateway_api(route))
        #: The hosts of VirtualServices of sidecars that are no names of the cluster, in order.
        self.outside = sorted({name for route in own for name in hosts(route) if ".svc." not in name})

    def classes(self, client: Client, host: str, port: int) -> list[RequestClass]:
        """Return what a client's requests to a host and port meet: of HTTP, else of connections. Default first."""
        # A client's place and addresses decide about endpoints, not about routes.
        labels = [client.labels.get(name) for name in self._labels]
        key = (client.type, client.namespace, *labels, host, port)
        if key not in self._classes:
            routes = self.http(client, host, port)
            if routes is None:
                routes = _routes_of_server_name(host, self.connections(client, host, port))
            self._classes[key] = classes(routes)
        return self._classes[key]

    def http(self, client: Client, host: str, port: int) -> list[EnvoyRoute] | None:
        """Return the HTTP routes for a host; None when the port's listener does not speak HTTP for it."""
        registry = self._scopes.registry(client, port)
        service = registry.get(host)
        given = port_of(service, port) if service else None
        listened = self._scopes.listen_port(client, port)
        if service is not None and given is not None and not given.may_be_http:
            return None
        virtual = self.virtual_service(client, host, port)
        if service is None:
            if virtual is None or host not in hosts(virtual):
                known = self._scopes.of(client).services.get(host)
                own = port_of(known, port) if known else None
                return None if own and not own.may_be_http else [self.unlisted(client)]
        elif virtual is None and service.resolution == "Alias":
            concrete = self._concrete(service, registry)
            return self.http(client, concrete, port) if concrete else [self.unlisted(client)]
        if virtual is not None:
            return list(self._translated(virtual, client, registry, listened, listened))
        return [self._default(host, port)]

    def _default(self, host: str, port: int) -> EnvoyRoute:
        """Return the route to a Service that no VirtualService is for."""
        if (host, port) not in self._defaults:
            self._defaults[host, port] = EnvoyRoute(
                Match(),
                (RouteTarget(Destination(host, port, ""), 1),),
                retries=retry_policy(self._default_retries, hashed=False),
                source="meshConfig.defaultHttpRetryPolicy" if self._default_retries else "Istio's default",
            )
        return self._defaults[host, port]

    def unlisted(self, client: Client, protocol: str = "http") -> EnvoyRoute:
        """Return what a sidecar's requests meet whose host is none of the Services and routes that it knows."""
        policy = outbound_traffic_policy(self._scopes.sidecar(client), self._planner.snapshot.mesh.config)
        if policy.egress_proxy is not None:
            to = (RouteTarget(policy.egress_proxy, 1),)
            return EnvoyRoute(Match(), to, source=policy.source, protocol=protocol)
        answer, status = PASSTHROUGH, 0
        if policy.mode == REGISTRY_ONLY:
            answer, status = BLACK_HOLE, 502
        elif policy.mode == DYNAMIC_DNS and protocol == "http":
            answer = RESOLVED_BY_NAME
        return EnvoyRoute(Match(), answer=answer, status=status, source=policy.source, protocol=protocol)

    def _concrete(self, service: Service, registry: t.Mapping[str, Service]) -> str:
        """Return the host of the Service that an alias stands for; '' when there is none.

        Source: istio 1.31 pilot/pkg/model/push_context.go, resolveServiceAliases.
        """
        seen: set[str] = set()
        target: Service | None = service
        while target is not None and target.resolution == "Alias" and target.host not in seen:
            seen.add(target.host)
            target = registry.get(target.alias_for)
        return target.host if target is not None and target.resolution != "Alias" else ""

    def virtual_service(self, client: Client, host: str, port: int) -> Config | None:
        """Return the VirtualService for a host: of the exact ones the first that may match, else a wildcard's.

        Source: route.go, buildSidecarVirtualHostsForVirtualService; istio 1.31 pilot/pkg/model/sidecar.go,
        computeWildcardHostVirtualServiceIndex.
        """
        listened = self._scopes.listen_port(client, port)
        service = self._scopes.registry(client, port).get(host)
        routes = self._scopes.routes(client, port)
        by_host, wild = self._indexed.once(lambda: _index(routes), (routes,))
        exact = by_host.get(host.lower(), [])
        chosen = exact or [virtual for virtual in [most_specific(wild, host)] if virtual]
        if service is None and host.startswith("*"):
            chosen = [route for route in routes if host in hosts(route)]
        for virtual in chosen:
            # A route of the Gateway API needs a Service, and to be in its namespace or in the client's.
            if is_gateway_api(virtual) and (
                not exact or service is None or virtual.namespace not in (service.namespace, client.namespace)
            ):
                continue
            if service is None and not self._makes_routes_for_unlisted_hosts(virtual, client, port, by_host, wild):
                continue
            for entry in items(virtual.spec.get("http")):
                if any(_applies(match, client, listened) for match in _matches(mapping(entry) or {})):
                    return virtual
        return None

    def _makes_routes_for_unlisted_hosts(
        self,
        virtual: Config,
        client: Client,
        port: int,
        by_host: t.Mapping[str, list[Config]],
        wild: t.Mapping[str, Config],
    ) -> bool:
        """Whether a VirtualService makes routes for hosts that no Service of the port's listener has.

        It does on port 80, and wherever it makes routes for the HTTP port of a Service of that listener: one that it
        names, or that is its own among the VirtualServices with wildcards (`wild`) and that none names (`by_host`).
        Source: istio 1.31 pilot/pkg/networking/core/route/route.go, buildSidecarVirtualHostsForVirtualService,
        separateVSHostsAndServices.
        """
        if self._scopes.listen_port(client, port) == 80:
            return True
        registry = self._scopes.registry(client, port)
        names = [name for name in hosts(virtual) if name in registry]
        wide = [name for name in hosts(virtual) if name.startswith("*") and not is_gateway_api(virtual)]
        if wide:
            covered = (host for host in registry if any(covers(name, host) for name in wide))
            names += [host for host in covered if host not in by_host and most_specific(wild, host) is virtual]
        ports = (port_of(registry[name], port) for name in names)
        return any(given is not None and given.may_be_http for given in ports)

    def unlisted_hosts(self, client: Client) -> t.Iterator[tuple[str, int, Config]]:
        """Yield (host, port, VirtualService) of the routes that a sidecar has for hosts of no Service of the port.

        Names of the cluster are left out: without a Service, DNS knows none of them.
        Source: route.go, separateVSHostsAndServices.
        """
        for port in self._scopes.http_ports(client) if self.outside else ():
            registry = self._scopes.registry(client, port)
            for name in self.outside:
                wild = name.startswith("*")
                # Of two wildcards either may be the wider one (istio 1.31 pkg/config/host/name.go, Matches).
                if name in registry or (wild and any(covers(name, host) or covers(host, name) for host in registry)):
                    continue
                virtual = self.virtual_service(client, name, port)
                if virtual is not None and name in hosts(virtual):
                    yield name, port, virtual

    def of_gateway(self, virtual: Config, client: Client, port: int, gateway: str) -> t.Iterator[EnvoyRoute]:
        """Yield the routes that a VirtualService makes for requests that enter by a Gateway (`namespace/name`).

        A Service in the VirtualService's own namespace comes before the one that the gateway's pod knows.
        Source: istio 1.31 pilot/pkg/networking/core/gateway.go, buildNameToServiceMapForHTTPRoutes.
        """
        own = self._scopes.visible_in(virtual.namespace, client.namespace)
        registry = {**self._scopes.of(client).services, **own}
        yield from self._translated(virtual, client, registry, port, port, gateway)

    def _translated(
        self,
        virtual: Config,
        client: Client,
        registry: t.Mapping[str, Service],
        listened: int,
        port: int,
        gateway: str = "",
    ) -> t.Iterator[EnvoyRoute]:
        for index, rule in enumerate(items(virtual.spec.get("http"))):
            entry = mapping(rule) or {}
            source = source_of(entry, virtual, f"http[{index}]")
            for match in _matches(entry):
                if not _applies(match, client, listened, gateway):
                    continue
                route = self._route(entry, client, registry, 0 if gateway else listened, port)._replace(
                    match=_match(match), source=source, missing=500 if is_gateway_api(virtual) else 503
                )
                yield route
                if route.match.takes_all:
                    return

    def _route(
        self, entry: Part, client: Client, registry: t.Mapping[str, Service], listened: int, port: int
    ) -> EnvoyRoute:
        fault = _fault(mapping(entry.get("fault")) or {})
        redirect, direct = mapping(entry.get("redirect")), mapping(entry.get("directResponse"))
        if redirect is not None:
            code = number(redirect.get("redirectCode")) or number(redirect.get("statusCode")) or 301
            return EnvoyRoute(Match(), answer=REDIRECT, status=code, fault=fault)
        if direct is not None:
            return EnvoyRoute(Match(), answer=DIRECT, status=number(direct.get("status")), fault=fault)
        given = [mapping(target) or {} for target in items(entry.get("route"))]
        alone = len(given) == 1
        targets = tuple(
            RouteTarget(
                _destination(mapping(target.get("destination")) or {}, registry, listened, port), 1 if alone else weight
            )
            for target in given
            if (weight := max(0, number(target.get("weight")))) or alone
        )
        policy = mapping(entry.get("retries"))
        hashed = alone and self.hashed(client, mapping(given[0].get("destination")) or {})
        return EnvoyRoute(
            Match(),
            targets,
            retries=retry_policy(self._default_retries if policy is None else policy, hashed=hashed),
            timeout=parse_duration(entry.get("timeout")) or None,
            fault=fault,
            mirrors=tuple(_mirrors(entry, registry, listened, port)),
        )

    def hashed(self, client: Client, target: Part) -> bool:
        """Whether a route's requests are hashed. Unlike a cluster's policy, blocks are looked through one by one.

        Source: route.go, HashForHTTPDestination.
        """
        service = self._scopes.of(client).services.get(str(target.get("host") or ""))
        entry = self._planner.rule_entry(service, client) if service else None
        if entry is None:
            return False
        port = number((mapping(target.get("port")) or {}).get("number"))
        policies = [mapping(entry.traffic_policy) or {}]
        subset = str(target.get("subset") or "")
        if subset in entry.subsets:
            policies.append(mapping(entry.subsets[subset][1].get("trafficPolicy")) or {})
        for policy in policies:
            own = [level for level in items(policy.get("portLevelSettings")) if isinstance(level, abc.Mapping)]
            level = next(
                (
                    setting
                    for setting in own
                    if port and number((mapping(setting.get("port")) or {}).get("number")) == port
                ),
                {},
            )
            for block in (policy, level):
                if mapping((mapping(block.get("loadBalancer")) or {}).get("consistentHash")) is not None:
                    return True
        return False

    def connections(self, client: Client, host: str, port: int) -> list[EnvoyRoute]:
        """Return where connections to a host and port that are not HTTP go; those by server name first."""
        services = self._scopes.of(client).services
        service = services.get(host)
        given = port_of(service, port) if service else None
        if service is None or given is None:
            return [self.unlisted(client, "tcp")]
        if service.resolution == "Alias":
            concrete = self._concrete(service, services)
            return self.connections(client, concrete, port) if concrete else [self.unlisted(client, "tcp")]
        kind = "tls" if given.protocol in ("TLS", "HTTPS") else "tcp"
        known = self._scopes.connection_routes(client, host, port)
        routes = [route for route in known if any(overlaps(name, host) for name in hosts(route))]
        chains = list(self._by_name(routes, client, port) if kind == "tls" else self._plain(routes, client, port))
        if kind == "tls" and chains:
            if not any(chain.match.takes_all for chain in chains):
                # Source: core/listener.go, buildListenerFromEntry (DefaultFilterChain).
                chains.append(self.unlisted(client, kind))
            # Envoy takes the chain without a server name only when none with one fits, wherever it is written; istiod
            # leaves the last of several. Source: core/listener.go, buildListenerFromEntry (isMatchAll).
            by_name = [chain for chain in chains if not chain.match.takes_all]
            chains = [*by_name, [chain for chain in chains if chain.match.takes_all][-1]]
        elif not any(chain.match.takes_all for chain in chains):
            source = "the port is not HTTP, nothing is retried"
            chains.append(
                EnvoyRoute(Match(), (RouteTarget(Destination(host, port, ""), 1),), source=source, protocol=kind)
            )
        return chains

    def _plain(self, routes: t.Iterable[Config], client: Client, port: int) -> t.Iterator[EnvoyRoute]:
        for route in routes:
            for index, given in enumerate(items(route.spec.get("tcp"))):
                entry = mapping(given) or {}
                if not items(entry.get("route")):
                    continue
                source = source_of(entry, route, f"tcp[{index}]")
                connection = self.connection(entry, client, port, source, "tcp")
                if not items(entry.get("match")):
                    yield connection
                    return
                subnets: list[str] = []
                for match in (mapping(match) or {} for match in items(entry.get("match"))):
                    if _takes_connection(match, client, port):
                        own = [str(subnet) for subnet in items(match.get("destinationSubnets"))]
                        if not own:
                            yield connection
                            return
                        subnets += own
                if subnets:
                    yield connection._replace(match=Match(("subnet", " ".join(subnets))))

    def _by_name(self, routes: t.Iterable[Config], client: Client, port: int) -> t.Iterator[EnvoyRoute]:
        seen: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
        for route in routes:
            for index, given in enumerate(items(route.spec.get("tls"))):
                entry = mapping(given) or {}
                if not items(entry.get("route")):
                    continue
                for match in (mapping(match) or {} for match in items(entry.get("match"))):
                    if not _takes_connection(match, client, port):
                        continue
                    names = tuple(str(name) for name in items(match.get("sniHosts")))
                    key = (names, tuple(str(subnet) for subnet in items(match.get("destinationSubnets"))))
                    if key not in seen:
                        seen.add(key)
                        source = source_of(entry, route, f"tls[{index}]")
                        yield self.connection(entry, client, port, source, "tls")._replace(
                            match=Match() if not names or "*" in names else Match(("server name", " ".join(names)))
                        )

    def connection(self, entry: Part, client: Client, port: int, source: str, kind: str) -> EnvoyRoute:
        """Return the route of connections to a port, from an entry of a VirtualService's tcp or tls.

        Source: istio 1.31 pilot/pkg/networking/core/networkfilter.go, buildOutboundNetworkFilters.
        """
        services = self._scopes.of(client).services
        given = [mapping(target) or {} for target in items(entry.get("route"))]
        alone = len(given) == 1
        targets = tuple(
            RouteTarget(
                _destination(mapping(target.get("destination")) or {}, services, 0, port), 1 if alone else weight
            )
            for target in given
            if (weight := max(0, number(target.get("weight")))) or alone
        )
        return EnvoyRoute(Match(), targets, source=source, protocol=kind)


def _routes_of_server_name(host: str, routes: list[EnvoyRoute]) -> list[EnvoyRoute]:
    """Return the routes of connections with that one as the default whose server name is the host that is asked for."""
    by_name: dict[str, EnvoyRoute] = {}
    for route in routes:
        for name in route.match.path[1].split() if route.match.path[0] == "server name" else ():
            by_name.setdefault(name, route)
    own = most_specific(by_name, host)
    if own is None:
        return routes
    return [*(route for route in routes if route is not own and not route.match.takes_all), own._replace(match=Match())]


def _destination(target: Part, services: t.Mapping[str, Service], listened: int, port: int = 0) -> Destination:
    """Return the cluster of a destination.

    With `listened` 0 (a gateway, an HTTP proxy) a Service's only port comes before `port`; an HTTP proxy has none, and
    the cluster of port 0 does not exist.

    Source: route.go, GetDestinationCluster.
    """
    host = str(target.get("host") or "")
    if not host:
        return Destination("", 0, "")
    service = services.get(host)
    given = mapping(target.get("port"))
    port = listened or port
    if given is not None:
        port = number(given.get("number"))
    elif service is not None and listened == 0 and len(service.ports) == 1:
        port = service.ports[0].number
    if service is not None and service.alias_for:
        host = service.alias_for
    return Destination(host, port, str(target.get("subset") or ""))


def _matches(entry: Part) -> list[Part]:
    """Return the matches of a route; one without any has one for everything."""
    return [mapping(match) or {} for match in items(entry.get("match"))] or [{}]


def _applies(match: Part, client: Client, port: int, gateway: str = "") -> bool:
    """Whether a match can apply to a client at all; `port` is the one listened on, `gateway` what requests enter by.

    Source: route.go, TranslateRoute, sourceMatchHTTP.
    """
    if number(match.get("port")) not in (0, port):
        return False
    names = items(match.get("gateways"))
    if names:
        return gateway in names if gateway else client.type != "sidecar" or "mesh" in names
    labels = mapping(match.get("sourceLabels")) or {}
    if any(client.labels.get(str(name)) != str(value) for name, value in labels.items()):
        return False
    return not match.get("sourceNamespace") or match["sourceNamespace"] == client.namespace


def _takes_connection(match: Part, client: Client, port: int) -> bool:
    """Source: core/tls.go, matchTCP, matchTLS."""
    names = items(match.get("gateways"))
    if names and "mesh" not in names:
        return False
    labels = mapping(match.get("sourceLabels")) or {}
    if any(client.labels.get(str(name)) != str(value) for name, value in labels.items()):
        return False
    if number(match.get("port")) not in (0, port):
        return False
    return not match.get("sourceNamespace") or match["sourceNamespace"] == client.namespace


def _match(match: Part) -> Match:
    """Source: route.go, TranslateRouteMatch."""
    uri = mapping(match.get("uri")) or {}
    kind = next((name for name in ("exact", "prefix", "regex") if name in uri), "")
    headers: list[str] = []
    claims: list[str] = []
    for field, sign in (("headers", ""), ("withoutHeaders", "-")):
        for name in mapping(match.get(field)) or {}:
            (claims if str(name).startswith(_CLAIMS) else headers).append(f"{sign}{name}")
    for name in ("method", "authority", "scheme"):
        if mapping(match.get(name)) is not None:
            headers.append(f":{name}")
    return Match(
        (kind, str(uri[kind])) if kind else ("prefix", "/"),
        tuple(sorted(headers)),
        tuple(sorted(str(name) for name in mapping(match.get("queryParams")) or {})),
        tuple(sorted(claims)),
    )


def _percent(given: t.Any, old: t.Any, default: float) -> float:
    percentage = mapping(given)
    if percentage is not None:
        value = percentage.get("value")
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0
    return float(number(old)) if old is not None else default


def _fault(given: Part) -> HttpFault:
    """Source: route.go, TranslateFault. An abort or a delay without a percentage is none."""
    abort, delay = mapping(given.get("abort")), mapping(given.get("delay"))
    fault = HttpFault()
    if abort is not None:
        share = _percent(abort.get("percentage"), None, 0.0) / 100
        fault = fault._replace(abort=share, status=number(abort.get("httpStatus")))
    if delay is not None:
        share = _percent(delay.get("percentage"), delay.get("percent"), 0.0) / 100
        fault = fault._replace(delayed=share, delay=parse_duration(delay.get("fixedDelay")) or 0.0)
    return fault


def _mirrors(
    entry: Part, registry: t.Mapping[str, Service], listened: int, port: int
) -> t.Iterator[tuple[Destination, float]]:
    """Source: route.go, MirrorPercent, MirrorPercentByPolicy."""
    single = mapping(entry.get("mirror"))
    if single is not None:
        share = _percent(entry.get("mirrorPercentage"), entry.get("mirrorPercent"), 100.0) / 100
        if share:
            yield _destination(single, registry, listened, port), share
    for policy in (mapping(mirror) or {} for mirror in items(entry.get("mirrors"))):
        share = _percent(policy.get("percentage"), None, 100.0) / 100
        target = mapping(policy.get("destination"))
        if share and target is not None:
            yield _destination(target, registry, listened, port), share


def retry_policy(given: Part | None, *, hashed: bool) -> Retries | None:
    """Return a route's retry policy of `retries` as written; None: nothing is retried.

    Source: istio 1.31 pilot/pkg/networking/core/route/retry/retry.go, ConvertPolicy.
    """
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


def _index(routes: list[Config]) -> tuple[dict[str, list[Config]], dict[str, Config]]:
    """Return the VirtualServices of a listener by host, and the first one of each wildcard."""
    by_host: dict[str, list[Config]] = {}
    wild: dict[str, Config] = {}
    for route in routes:
        for name in hosts(route):
            if name.startswith("*"):
                wild.setdefault(name, route)
            else:
                by_host.setdefault(name, []).append(route)
    return by_host, wild
