# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts for which requests enter by a gateway, and the routes that they meet there.

Source: istio 1.31 pilot/pkg/networking/core/gateway.go (buildGatewayHTTPRouteConfig), pilot/pkg/model/gateway.go
(mergeGateways, gatewayRDSRouteName) and push_context.go (VirtualServicesForGateway).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import covers, most_specific
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
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

_HTTP = frozenset(("HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY"))
_PASSED_THROUGH = frozenset(("PASSTHROUGH", "AUTO_PASSTHROUGH"))


class _Server(t.NamedTuple):
    """One HTTP server of a Gateway. Those with one `route_name` share their virtual hosts."""

    route_name: str
    port: int
    gateway: str
    hosts: tuple[str, ...]
    redirects: bool


class GatewayHost(t.NamedTuple):
    """A host and port that a gateway takes requests for. `routes` are in Envoy's order; `gateway` is `namespace/name`.

    `route_name` is Envoy's name of the route configuration.
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
        self._gateways = sorted(planner.snapshot.gateways, key=lambda one: (one.created, one.name, one.namespace))
        self._known: dict[str, list[GatewayHost]] = {}

    def selected(self, client: Client) -> list[Config]:
        """Return the Gateways for a gateway's pod, the oldest first."""
        if client.type != "router":
            return []
        found = []
        for one in self._gateways:
            selector = mapping(one.spec.get("selector")) or {}
            if all(client.labels.get(str(name)) == str(value) for name, value in selector.items()):
                found.append(one)
        return found

    def of(self, client: Client) -> list[GatewayHost]:
        """Return the hosts that a gateway's pod takes HTTP requests for, by route name and host."""
        if client.key not in self._known:
            self._known[client.key] = list(self._hosts(client))
        return self._known[client.key]

    def host(self, client: Client, name: str, port: int) -> GatewayHost | None:
        """Return what a gateway's pod does with requests for a host on a port: the exact host first, else a wildcard.

        Source: envoy source/common/router/config_impl.cc, findVirtualHost.
        """
        by_host = {one.host: one for one in self.of(client) if one.port == port}
        return by_host.get(name.lower()) or most_specific(by_host, name)

    def unfollowed(self, client: Client) -> list[str]:
        """Return the servers of a gateway's pod that pass connections on: by TLS or TCP, without looking into them.

        Those between networks are not among them: they lead to what a client of another network asks for.
        """
        return [
            f"{gateway}:{number((mapping(server.get('port')) or {}).get('number'))}"
            for gateway in self.selected(client)
            for server in _servers(gateway)
            if not _is_http(server) and (mapping(server.get("tls")) or {}).get("mode") != "AUTO_PASSTHROUGH"
        ]

    def _hosts(self, client: Client) -> t.Iterator[GatewayHost]:
        by_name: dict[str, list[_Server]] = {}
        for server in self._http_servers(client):
            by_name.setdefault(server.route_name, []).append(server)
        for name in sorted(by_name):
            found: dict[str, tuple[_Server, list[EnvoyRoute]]] = {}
            redirected: set[str] = set()
            made: dict[tuple[str, str], list[EnvoyRoute]] = {}
            for server in by_name[name]:
                for virtual in self._virtual_services(client, server.gateway):
                    own = _named_for(server.hosts, virtual.namespace)
                    both = _intersection(own, hosts(virtual))
                    if not both:
                        continue
                    key = (server.gateway, str(virtual))
                    if key not in made:
                        made[key] = list(self._routes.of_gateway(virtual, client, server.port, server.gateway))
                    if not made[key]:
                        continue
                    for host in both:
                        found.setdefault(host.lower(), (server, []))[1].extend(made[key])
                        if server.redirects:
                            redirected.add(host.lower())
                if server.redirects:
                    for host in server.hosts:
                        found.setdefault(host.lower(), (server, []))
                        redirected.add(host.lower())
            for host, (server, routes) in sorted(found.items()):
                source = f"Gateway {server.gateway} (httpsRedirect)"
                answer = EnvoyRoute(Match(), answer=REDIRECT, status=301, source=source)
                ordered = [answer] if host in redirected else sorted(routes, key=lambda one: one.match.takes_all)
                yield GatewayHost(name, host, server.port, server.gateway, tuple(ordered))

    def _http_servers(self, client: Client) -> t.Iterator[_Server]:
        """Yield the servers that istiod does not leave out: of those that share a port and are in conflict, the first.

        Source: mergeGateways.
        """
        plain: dict[tuple[int, str], bool] = {}
        named: set[str] = set()
        of_tls: dict[int, set[str]] = {}
        for gateway in self.selected(client):
            for server in _servers(gateway):
                port = mapping(server.get("port")) or {}
                number_of, bind = number(port.get("number")), str(server.get("bind") or "")
                resolved = self._target(client, number_of)
                secured = mapping(server.get("tls")) is not None
                own = [_without_dot(str(host), gateway.namespace) for host in items(server.get("hosts"))]
                if secured:
                    taken = of_tls.setdefault(resolved, set())
                    if any(host in taken for host in own):
                        continue
                    taken.update(own)
                http, suffix = _is_http(server), f".{bind}" if bind else ""
                if str(port.get("protocol") or "").upper() in _HTTP:
                    if not plain.setdefault((resolved, bind), http):
                        continue
                    name = f"http.{resolved}{suffix}"
                elif http:
                    name = f"https.{number_of}.{port.get('name') or ''}.{gateway.name}.{gateway.namespace}{suffix}"
                    if name in named:
                        continue
                    named.add(name)
                else:
                    if not secured:
                        plain.setdefault((resolved, bind), False)
                    continue
                redirects = (mapping(server.get("tls")) or {}).get("httpsRedirect") is True
                yield _Server(name, number_of, str(gateway), tuple(own), redirects)

    def _target(self, client: Client, port: int) -> int:
        """Return the number of a Service's port in a gateway's pod. Source: model/gateway.go, resolvePorts."""
        for service in self._planner.snapshot.services:
            if service.registry != "Kubernetes":
                continue
            name = next((one.name for one in service.ports if one.number == port), None)
            for endpoint in service.endpoints if name is not None else ():
                if endpoint.pod == client.key:
                    return next((target for called, target in endpoint.ports if called == name), port)
        return port

    def _virtual_services(self, client: Client, gateway: str) -> list[Config]:
        return [one for one in self._planner.scopes.gateway_routes(client.namespace) if gateway in gateways(one)]


def _servers(gateway: Config) -> list[t.Mapping[str, t.Any]]:
    return [one for one in items(gateway.spec.get("servers")) if isinstance(one, t.Mapping)]


def _is_http(server: t.Mapping[str, t.Any]) -> bool:
    """Whether a gateway looks into the requests of a server."""
    protocol = str((mapping(server.get("port")) or {}).get("protocol") or "").upper()
    mode = str((mapping(server.get("tls")) or {}).get("mode") or "")
    return protocol in _HTTP or (protocol == "HTTPS" and mode not in _PASSED_THROUGH)


def _without_dot(host: str, namespace: str) -> str:
    """Source: model/gateway.go, sanitizeServerHostNamespace."""
    place, slash, name = host.partition("/")
    if not slash:
        return host
    return f"{namespace}/{name}" if place == "." else name if place == "*" else host


def _named_for(given: t.Iterable[str], namespace: str) -> list[str]:
    """Source: istio 1.31 pkg/config/host/names.go, NamesForNamespace."""
    found = []
    for host in given:
        place, slash, name = host.partition("/")
        if not slash:
            found.append(host)
        elif place in (namespace, "*"):
            found.append(name)
    return found


def _intersection(own: t.Iterable[str], other: t.Sequence[str]) -> list[str]:
    """Source: istio 1.31 pkg/config/host/names.go, Intersection."""
    found: dict[str, None] = {}
    for one in own:
        for two in other:
            if covers(two, one):
                found.setdefault(one)
            elif covers(one, two):
                found.setdefault(two)
    return list(found)
