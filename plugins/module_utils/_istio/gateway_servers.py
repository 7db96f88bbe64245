# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of a gateway's pod: those of all Gateways for it that are not in conflict with an older one.

Source: istio 1.31 pilot/pkg/model/gateway.go (mergeGateways, resolvePorts, gatewayRDSRouteName, CheckDuplicates) and
push_context.go (mergeGateways, filterStrictGatewayMerging).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import functools
import typing as t
from collections import abc

from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_gateways import (
    GATEWAY_SERVICE,
    MANAGED,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items, mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Config, Service

_HTTP = frozenset(("HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY"))
AUTO_PASSTHROUGH = "AUTO_PASSTHROUGH"
_PASSED_THROUGH = frozenset(("PASSTHROUGH", AUTO_PASSTHROUGH))
_NO_TRANSLATION = "experimental.istio.io/disable-gateway-port-translation"


class Server(t.NamedTuple):
    """One server of a Gateway. HTTP servers with one `route_name` share their virtual hosts.

    `port` is what the Gateway says, `listened` what the pod listens on; `tls` is its mode, '' without TLS; `hosts` may
    be `namespace/host`.
    """

    route_name: str
    port: int
    listened: int
    protocol: str
    bind: str
    gateway: str
    hosts: tuple[str, ...]
    tls: str = ""
    redirects: bool = False

    @property
    def plain_http(self) -> bool:
        """Whether its protocol is HTTP without TLS."""
        return self.protocol in _HTTP

    @property
    def passed_through(self) -> bool:
        """Whether it sends TLS on without ending it."""
        return self.tls in _PASSED_THROUGH

    @property
    def http(self) -> bool:
        """Whether a gateway looks into its requests."""
        return self.plain_http or (self.protocol == "HTTPS" and not self.passed_through)

    @property
    def listener(self) -> tuple[int, str, str]:
        """What its listener is told apart by: (port, protocol, bind)."""
        return self.listened, self.protocol, self.bind


class GatewayServers:
    """The servers of the gateways of a snapshot."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner

    @functools.cached_property
    def _services(self) -> dict[str, list[tuple[Service, dict[str, int]]]]:
        """Of each gateway's pod its Services, the oldest first, with the numbers in the pod of named ports.

        A Service without a port in the pod is none of its: istiod knows a proxy's Services by their ports.
        """
        pods = {client.key for client in self._planner.clients if client.type == "router"}
        by_pod: dict[str, list[tuple[Service, dict[str, int]]]] = {}
        for service in sorted(self._planner.snapshot.services, key=lambda service: (service.created, service.host)):
            if service.registry == "Kubernetes":
                own = (endpoint for endpoint in reversed(service.endpoints) if endpoint.pod in pods and endpoint.ports)
                seen = {endpoint.pod: endpoint for endpoint in own}
                for pod, endpoint in seen.items():
                    by_pod.setdefault(pod, []).append((service, dict(endpoint.ports)))
        return by_pod

    @functools.cached_property
    def _outside(self) -> frozenset[str]:
        """The addresses of WorkloadEntries and of ServiceEntries' endpoints."""
        snapshot = self._planner.snapshot
        entries = (endpoint for service in snapshot.services for endpoint in service.endpoints if not endpoint.pod)
        return frozenset([*(entry.address for entry in entries), *(entry.address for entry in snapshot.unselected)])

    def shares_address(self, client: Client) -> bool:
        """Whether a WorkloadEntry or a ServiceEntry's endpoint has the address of a gateway's pod.

        istiod takes the Services of that one for the pod's own then, and which Gateways are for the pod is not
        computed. Source: istio 1.31 pilot/pkg/serviceregistry/kube/controller/controller.go, GetProxyServiceTargets.
        """
        pod = self._planner.snapshot.pod_by_key.get(client.key)
        return client.type == "router" and pod is not None and not self._outside.isdisjoint(pod.addresses)

    def selected(self, client: Client) -> list[Config]:
        """Return the Gateways for a gateway's pod, the oldest first."""
        if client.type != "router":
            return []
        gateways = []
        for gateway in self._planner.scopes.gateways:
            if GATEWAY_SERVICE in gateway.annotations:
                if self._own_services(client, gateway):
                    gateways.append(gateway)
                continue
            selector = mapping(gateway.spec.get("selector")) or {}
            if all(client.labels.get(str(name)) == str(value) for name, value in selector.items()):
                gateways.append(gateway)
        managed = {config.namespace for config in gateways if config.annotations.get(MANAGED)}
        if managed and self._planner.semantics.strict_gateway_merging:
            return [
                config for config in gateways if GATEWAY_SERVICE in config.annotations or config.namespace in managed
            ]
        return gateways

    def _own_services(self, client: Client, gateway: Config) -> list[tuple[Service, dict[str, int]]]:
        """Return the Services of a pod that a Gateway of the Gateway API is for."""
        wanted = gateway.annotations[GATEWAY_SERVICE].split(",")
        known = self._services.get(client.key, ())
        return [entry for entry in known if entry[0].host in wanted and entry[0].namespace == gateway.namespace]

    def _targets(self, client: Client, gateway: Config, port: int) -> list[int]:
        """Return the numbers of a Service's port in a gateway's pod."""
        direct = GATEWAY_SERVICE in gateway.annotations
        targets: dict[int, None] = {}
        for service, ports in self._own_services(client, gateway) if direct else self._services.get(client.key, ()):
            if not direct and _NO_TRANSLATION in service.labels:
                continue
            for service_port in service.ports:
                if service_port.number == port and service_port.name in ports:
                    if not direct:
                        return [ports[service_port.name]]
                    targets[ports[service_port.name]] = None
        return list(targets) if direct else [port]

    def of(self, client: Client) -> list[Server]:
        """Return the servers that istiod does not leave out, in the order of their listeners."""
        listeners: dict[tuple[int, str, str], list[Server]] = {}
        plain: dict[int, Server] = {}
        routed: set[str] = set()
        of_tls: dict[int, dict[str, str]] = {}
        ports: set[int] = set()
        for gateway in self.selected(client):
            for given in items(gateway.spec.get("servers")):
                if not isinstance(given, abc.Mapping):
                    continue
                number_of = number((mapping(given.get("port")) or {}).get("number"))
                for listened in self._targets(client, gateway, number_of):
                    server = _server(given, gateway, number_of, listened)
                    if server.tls and not free_hosts(server.hosts, server.bind, of_tls.setdefault(listened, {})):
                        continue
                    if _fits(server, plain.get(listened), listened in ports, routed):
                        ports.add(listened)
                        current = plain.get(listened)
                        shared = current is not None and current.bind == server.bind
                        if not shared and (server.plain_http or not server.tls):
                            plain[listened] = server
                        if server.http:
                            routed.add(server.route_name)
                        place = current.listener if shared and current else server.listener
                        listeners.setdefault(place, []).append(server)
        return [server for some in listeners.values() for server in some]


def _fits(server: Server, current: Server | None, taken: bool, routed: t.Container[str]) -> bool:
    """Whether a server may be added to those of its port. `current`: the newest one without TLS there."""
    if not taken:
        return True
    if current is not None and current.bind == server.bind:
        return current.plain_http and server.plain_http
    if current is None and server.http and server.tls and not server.plain_http:
        return server.route_name not in routed
    return True


def free_hosts(hosts: t.Sequence[str], bind: str, taken: dict[str, str]) -> bool:
    """Whether nobody has any of these hosts on an address; they are taken then. Source: CheckDuplicates."""
    if any(taken.get(host) == bind for host in hosts):
        return False
    taken.update(dict.fromkeys(hosts, bind))
    return True


def _server(given: t.Mapping[str, t.Any], gateway: Config, number_of: int, listened: int) -> Server:
    port, tls = mapping(given.get("port")) or {}, mapping(given.get("tls"))
    bind, protocol = str(given.get("bind") or ""), str(port.get("protocol") or "").upper()
    suffix = f".{bind}" if bind else ""
    name = ""
    mode = "" if tls is None else str(tls.get("mode") or "PASSTHROUGH")
    if protocol in _HTTP:
        name = f"http.{listened}{suffix}"
    elif protocol == "HTTPS" and mode not in _PASSED_THROUGH:
        name = f"https.{number_of}.{port.get('name') or ''}.{gateway.name}.{gateway.namespace}{suffix}"
    return Server(
        name,
        number_of,
        listened,
        protocol,
        bind,
        str(gateway),
        tuple(_without_dot(str(host), gateway.namespace) for host in items(given.get("hosts"))),
        mode,
        tls is not None and tls.get("httpsRedirect") is True,
    )


def _without_dot(host: str, namespace: str) -> str:
    """Source: model/gateway.go, sanitizeServerHostNamespace."""
    place, slash, name = host.partition("/")
    if not slash:
        return host
    return f"{namespace}/{name}" if place == "." else name if place == "*" else host
