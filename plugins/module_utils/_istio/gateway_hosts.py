# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts for which requests and connections enter by a gateway, and the routes that they meet there.

Source: istio 1.31 pilot/pkg/networking/core/gateway.go (buildGatewayHTTPRouteConfig, createGatewayTCPFilterChainOpts,
buildGatewayNetworkFiltersFromTCPRoutes, buildGatewayNetworkFiltersFromTLSRoutes, pickMatchingGatewayHosts) and
push_context.go (VirtualServicesForGateway).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_connections import PARENTS
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_servers import (
    AUTO_PASSTHROUGH,
    GatewayServers,
    Server,
    free_hosts,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import (
    intersection,
    most_specific,
    overlaps,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Destination, Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_source import source_of
from ansible_collections.meshops.locality.plugins.module_utils._istio.routes import (
    REDIRECT,
    EnvoyRoute,
    Match,
    RequestClass,
    Routes,
    classes,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items, mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._istio.virtual_services import gateways, hosts
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Config

Part = t.Mapping[str, t.Any]

#: In the name of a listener without a bind address of its own.
_ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - a name of Envoy's, nothing listens here


class GatewayHost(t.NamedTuple):
    """A host and port that a gateway takes requests for. `routes` are in Envoy's order; `gateway` is `namespace/name`.

    `route_name` is Envoy's name of the route configuration; of connections, which are told apart by the server's name
    in TLS (`*`: all others), that of the listener.
    """

    route_name: str
    host: str
    port: int
    gateway: str
    routes: tuple[EnvoyRoute, ...]

    @property
    def classes(self) -> list[RequestClass]:
        """What requests for it meet, the default first."""
        return classes(self.routes)


class GatewayHosts:
    """What requests meet that enter by the gateways of a snapshot."""

    def __init__(self, planner: Planner, routes: Routes) -> None:
        self._planner = planner
        self._routes = routes
        self._servers = GatewayServers(planner)
        self._known: dict[str, list[GatewayHost]] = {}

    def selected(self, client: Client) -> list[Config]:
        """Return the Gateways for a gateway's pod, the oldest first."""
        return self._servers.selected(client)

    def of(self, client: Client) -> list[GatewayHost]:
        """Return the hosts that a gateway's pod takes requests and connections for; HTTP by route name and host."""
        if client.key not in self._known:
            servers = self._servers.of(client)
            self._known[client.key] = [*self._requests(client, servers), *self._connections(client, servers)]
        return self._known[client.key]

    def destinations(self, client: Client) -> set[Destination] | None:
        """Return where requests may go that enter by a gateway's pod, copies included; None when that is not known.

        It is not where no Gateway is known, nor where one leads to whatever a client of another network asks for.
        """
        if not self.selected(client) or any(server.tls == AUTO_PASSTHROUGH for server in self._servers.of(client)):
            return None
        routes = [route for gateway_host in self.of(client) for route in gateway_host.routes]
        copies = {mirror for route in routes for mirror, _share in route.mirrors}
        return copies | {target.destination for route in routes for target in route.targets}

    def host(self, client: Client, name: str, port: int) -> GatewayHost | None:
        """Return what a gateway's pod does with requests for a host on a port: the exact host first, else a wildcard.

        Source: envoy source/common/router/config_impl.cc, findVirtualHost.
        """
        by_host = {gateway_host.host: gateway_host for gateway_host in self.of(client) if gateway_host.port == port}
        return by_host.get(name.lower()) or most_specific(by_host, name)

    def _requests(self, client: Client, servers: t.Sequence[Server]) -> t.Iterator[GatewayHost]:
        by_name: dict[str, list[Server]] = {}
        for server in servers:
            if server.http:
                by_name.setdefault(server.route_name, []).append(server)
        for name in sorted(by_name):
            by_host: dict[str, tuple[Server, list[EnvoyRoute]]] = {}
            redirected: set[str] = set()
            by_virtual: dict[tuple[str, str], list[EnvoyRoute]] = {}
            for server in by_name[name]:
                for virtual in self._virtual_services(client, server.gateway):
                    own = _named_for(server.hosts, virtual.namespace)
                    both = intersection(own, hosts(virtual))
                    if not both:
                        continue
                    key = (server.gateway, str(virtual))
                    if key not in by_virtual:
                        by_virtual[key] = list(self._routes.of_gateway(virtual, client, server.port, server.gateway))
                    if not by_virtual[key]:
                        continue
                    for host in both:
                        by_host.setdefault(host.lower(), (server, []))[1].extend(by_virtual[key])
                        if server.redirects:
                            redirected.add(host.lower())
                if server.redirects:
                    for host in server.hosts:
                        by_host.setdefault(host.lower(), (server, []))
                        redirected.add(host.lower())
            for host, (server, routes) in sorted(by_host.items()):
                source = f"Gateway {server.gateway} (httpsRedirect)"
                answer = EnvoyRoute(Match(), answer=REDIRECT, status=301, source=source)
                ordered = [answer] if host in redirected else sorted(routes, key=lambda route: route.match.takes_all)
                yield GatewayHost(name, host, server.port, server.gateway, tuple(ordered))

    def _connections(self, client: Client, servers: t.Sequence[Server]) -> t.Iterator[GatewayHost]:
        """Yield what becomes of connections that a gateway does not look into, by the server's name in TLS.

        Those between networks are not among them: they lead to what a client of another network asks for.
        """
        taken: dict[int, dict[str, str]] = {}
        for server in servers:
            if server.http or server.tls == AUTO_PASSTHROUGH:
                continue
            if server.passed_through:
                chains = self._passed_through(client, server, taken.setdefault(server.listened, {}))
            else:
                chains = self._ended(client, server)
            for names, route in chains:
                for name in ["*"] if not names or "*" in names else sorted(names):
                    listener = f"{server.bind or _ANY_ADDRESS}_{server.listened}"
                    yield GatewayHost(listener, name, server.port, server.gateway, (route,))

    def _ended(self, client: Client, server: Server) -> t.Iterator[tuple[list[str], EnvoyRoute]]:
        """Yield (names, route) of a server of TCP, or of TLS that ends there: the first route that fits."""
        names = list(dict.fromkeys(host.rpartition("/")[2] for host in server.hosts)) if server.tls else []
        for virtual in self._virtual_services(client, server.gateway):
            if not _bound(server, virtual):
                continue
            of_tls_route = virtual.annotations.get(PARENTS, "").startswith("TLSRoute/")
            for kind in ("tcp", "tls") if of_tls_route else ("tcp",):
                for index, given in enumerate(items(virtual.spec.get(kind))):
                    entry = mapping(given) or {}
                    matches = [mapping(match) or {} for match in items(entry.get("match"))]
                    if not matches and kind == "tcp":
                        matches = [{}]
                    if items(entry.get("route")) and any(_enters(match, server) for match in matches):
                        source = source_of(entry, virtual, f"{kind}[{index}]")
                        yield names, self._routes.connection(entry, client, server.port, source, "tcp")
                        return

    def _passed_through(
        self, client: Client, server: Server, taken: dict[str, str]
    ) -> t.Iterator[tuple[list[str], EnvoyRoute]]:
        """Yield (names, route) of a server that passes TLS on; `taken` are the names that older ones have."""
        for virtual in self._virtual_services(client, server.gateway):
            if not _bound(server, virtual):
                continue
            for index, given in enumerate(items(virtual.spec.get("tls"))):
                entry = mapping(given) or {}
                for match in (mapping(item) or {} for item in items(entry.get("match"))):
                    names = [str(name) for name in items(match.get("sniHosts"))]
                    if items(entry.get("route")) and _enters(match, server) and free_hosts(names, server.bind, taken):
                        source = source_of(entry, virtual, f"tls[{index}]")
                        yield names, self._routes.connection(entry, client, server.port, source, "tls")

    def _virtual_services(self, client: Client, gateway: str) -> list[Config]:
        return [route for route in self._planner.scopes.gateway_routes(client.namespace) if gateway in gateways(route)]


def _bound(server: Server, virtual: Config) -> bool:
    """Whether a server of TCP or TLS has one of a VirtualService's hosts. Source: pickMatchingGatewayHosts."""
    own = [host.rpartition("/") for host in server.hosts]
    names = [name for place, _slash, name in own if place in ("", virtual.namespace)]
    return any(overlaps(name, host) for name in names for host in hosts(virtual))


def _enters(match: Part, server: Server) -> bool:
    """Source: l4SingleMatch."""
    named = items(match.get("gateways"))
    return number(match.get("port")) in (0, server.port) and (not named or server.gateway in named)


def _named_for(given: t.Iterable[str], namespace: str) -> list[str]:
    """Source: istio 1.31 pkg/config/host/names.go, NamesForNamespace."""
    names = []
    for host in given:
        place, slash, name = host.partition("/")
        if not slash:
            names.append(host)
        elif place in (namespace, "*"):
            names.append(name)
    return names
