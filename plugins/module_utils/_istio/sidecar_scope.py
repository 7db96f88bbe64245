# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Services a client knows: exportTo and Sidecar resources.

Source: istio 1.31 pilot/pkg/model/push_context.go (initServiceRegistry, servicesExportedToNamespace,
IsServiceVisible, initSidecarScopes, getSidecarScope) and sidecar.go (convertIstioListenerToWrapper, selectServices,
appendSidecarServices).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections import abc
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._istio import gateway_api_gateways
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_backends import is_gateway_api
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import covers, overlaps, resolve
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items, mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import Semantics
from ansible_collections.meshops.locality.plugins.module_utils._istio.virtual_services import effective, exports
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_objects import PROTOCOLS
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import (
    Config,
    Json,
    Port,
    Service,
    Snapshot,
)

PUBLIC = frozenset({"*"})
#: A client without a Sidecar resource knows everything that is exported to its namespace.
EVERYTHING: Json = {"egress": [{"hosts": ["*/*"]}]}


@dataclass
class _Hosts:
    """What an egress listener imports of one namespace (or of `*`)."""

    wanted: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)

    def takes(self, host: str) -> bool:
        return any(covers(pattern, host) for pattern in self.wanted)

    def excludes(self, host: str) -> bool:
        return any(covers(pattern, host) for pattern in self.excluded)


@dataclass(frozen=True)
class Scope:
    """The Services of one kind of client, by host, with the ports it may use. `sidecar` is the resource's name."""

    services: t.Mapping[str, Service]
    sidecar: str = ""


class Scopes:
    """The Services of a snapshot by who may see them."""

    def __init__(self, snapshot: Snapshot, semantics: Semantics) -> None:
        self._semantics = semantics
        self._root = snapshot.mesh.root_namespace
        config = snapshot.mesh.config
        self._default = exports(config.get("defaultServiceExportTo")) or PUBLIC
        self._default_routes = exports(config.get("defaultVirtualServiceExportTo")) or PUBLIC
        self._services = sorted(snapshot.services, key=age)
        self._by_age: dict[str, list[Service]] = {}
        self._by_host: dict[str, dict[str, Service]] = {}
        for service in self._services:
            self._by_age.setdefault(service.host, []).append(service)
            named = self._by_host.setdefault(service.host, {})
            known = named.get(service.namespace)
            if known is None or (known.registry != "Kubernetes" and service.registry == "Kubernetes"):
                named[service.namespace] = service
        self._sidecars = _ordered_sidecars(snapshot.sidecars)
        self._root_sidecar = next(
            (sidecar for sidecar in self._sidecars if sidecar.namespace == self._root and _selector(sidecar) is None),
            None,
        )
        self.listeners = gateway_api_gateways.listeners(snapshot, semantics)
        #: Istio's own Gateways and those that istiod makes of the Gateway API's, the oldest first.
        self.gateways = sorted(
            [*snapshot.gateways, *(listener.config for listener in self.listeners if listener.programmed)],
            key=lambda gateway: (gateway.created, gateway.name, gateway.namespace),
        )
        #: All VirtualServices, those that istiod makes of routes of the Gateway API, too, the oldest first.
        self.all_routes = effective(snapshot, self.listeners, semantics)
        self._known: dict[tuple[str, str], Scope] = {}
        self._uncertain: dict[str, frozenset[str]] = {}
        self._twins = frozenset(_twins(self._services))
        self._routed: dict[tuple[str, str, int], list[Config]] = {}
        self._registries: dict[tuple[str, str, int], dict[str, Service]] = {}

    def of(self, client: Client) -> Scope:
        """Return the scope of a client. Gateways and waypoints know all Services exported to their namespace."""
        sidecar = self.sidecar(client) if client.type == "sidecar" else None
        key = (client.namespace, "gateway" if client.type != "sidecar" else str(sidecar) if sidecar else "")
        if key not in self._known:
            if client.type == "sidecar":
                self._known[key] = self._scope(client.namespace, sidecar)
            else:
                added = _Added()
                for service in self._exported(client.namespace):
                    added.append(service)
                self._known[key] = Scope(added.services)
        return self._known[key]

    def uncertain(self, client: Client) -> frozenset[str]:
        """Return the hosts for which the Service that a client knows is a matter of chance.

        istiod gives a gateway the scope of sidecars without Sidecar resource when it has made that one already, so that
        it depends on who connected before. Of ServiceEntries with one host, namespace and age any may come first.
        """
        if client.type == "sidecar" or self._root_sidecar is not None:
            return self._twins
        if client.namespace not in self._uncertain:
            own, other = self.of(client).services, self._scope(client.namespace, None).services
            hosts = {host for host in {*own, *other} if own.get(host) != other.get(host)}
            self._uncertain[client.namespace] = self._twins | hosts
        return self._uncertain[client.namespace]

    def sidecar(self, client: Client) -> Config | None:
        """Return the Sidecar resource of a sidecar; None when there is none."""
        for sidecar in self._sidecars:
            if sidecar.namespace == client.namespace:
                selector = _selector(sidecar)
                if selector is None or all(client.labels.get(k) == v for k, v in selector.items()):
                    return sidecar
        return self._root_sidecar

    def routes(self, client: Client, port: int) -> list[Config]:
        """Return the VirtualServices that a client's requests to a port go through, in istiod's order.

        Those private to its namespace first, then those exported to it by name, then the public ones; the oldest first.
        Of a gateway: those exported to its namespace that name a gateway; which of them is its own is not known here.
        """
        if client.type != "sidecar":
            return [
                route for route in self.all_routes if self._exports_route(route, client.namespace) and _gateways(route)
            ]
        sidecar = self.sidecar(client)
        key = (client.namespace, str(sidecar) if sidecar else "", port)
        if key not in self._routed:
            listener = _listener_of(sidecar.spec if sidecar else EVERYTHING, port)
            some = self._selected_routes(client.namespace, self._hosts(listener, client.namespace)) if listener else ()
            self._routed[key] = sorted(some, key=lambda route: self._reach(route, client.namespace))
        return self._routed[key]

    def connection_routes(self, client: Client, host: str, port: int) -> list[Config]:
        """Return the VirtualServices that a sidecar's connections to a host and port go through, in istiod's order.

        Unlike those of requests, they are of the first listener that knows the host and does not listen as HTTP.
        Source: istio 1.31 pilot/pkg/networking/core/listener.go, buildSidecarOutboundListeners.
        """
        sidecar = self.sidecar(client)
        listeners = _listeners(sidecar.spec if sidecar else EVERYTHING)
        if len(listeners) < 2:
            return self.routes(client, port)
        for listener in (listener for listener in listeners if _takes_connections(listener, port)):
            hosts = self._hosts(listener, client.namespace)
            if any(known.host == host and port_of(known, port) for known in self._selected(client.namespace, hosts, 0)):
                some = self._selected_routes(client.namespace, hosts)
                return sorted(some, key=lambda route: self._reach(route, client.namespace))
        return []

    def gateway_routes(self, namespace: str) -> list[Config]:
        """Return the VirtualServices that a gateway of a namespace may use, in istiod's order."""
        some = (route for route in self.all_routes if self._exports_route(route, namespace))
        return sorted(some, key=lambda route: self._reach(route, namespace))

    def visible_in(self, place: str, namespace: str) -> dict[str, Service]:
        """Return the Services of a namespace by host that are exported to another one."""
        hosts = {service.host for service in self._services if service.namespace == place}
        own = {host: self._by_host[host][place] for host in hosts}
        return {host: service for host, service in own.items() if self.visible(service, namespace)}

    def registry(self, client: Client, port: int) -> t.Mapping[str, Service]:
        """Return the Services by host that a sidecar's routes for a port know: of several with one host the youngest.

        A Service that only a VirtualService leads to has a cluster, and is not among them.
        Source: istio 1.31 pilot/pkg/networking/core/httproute.go, BuildSidecarOutboundVirtualHosts (servicesByName).
        """
        sidecar = self.sidecar(client) if client.type == "sidecar" else None
        key = (client.namespace, str(sidecar) if sidecar else "", port)
        if key not in self._registries:
            listener = _listener_of(sidecar.spec if sidecar else EVERYTHING, port)
            hosts = self._hosts(listener, client.namespace) if listener else {}
            anything = self.listen_port(client, port) == 0
            # A listener's own port decides which Services it knows before one of several with a host is chosen.
            some = self._selected(client.namespace, hosts, _listener_port(listener) if listener else 0)
            self._registries[key] = {service.host: service for service in some if anything or port_of(service, port)}
        return self._registries[key]

    def listen_port(self, client: Client, port: int) -> int:
        """Return the port that matches of routes are compared with: 0 where a sidecar listens as an HTTP proxy.

        Source: istio 1.31 pilot/pkg/networking/core/httproute.go, BuildSidecarOutboundVirtualHosts.
        """
        listener = self._listener(client, port) if client.type == "sidecar" else None
        given = mapping(listener.get("port")) if listener else None
        return _listener_port(listener) if listener and given else port

    def http_ports(self, client: Client) -> list[int]:
        """Return the ports where a sidecar listens for HTTP to any address, whoever is asked for.

        Left out is what is not known of a Service without a protocol: where it has no address, it is such a port, too.
        Source: istio 1.31 pilot/pkg/networking/core/listener.go, buildSidecarOutboundListeners,
        buildSidecarOutboundHTTPListenerOpts (rdsName).
        """
        ports = {port.number for service in self.of(client).services.values() for port in service.ports}
        return sorted(port for port in ports if self._listens_for_http(client, port))

    def _listens_for_http(self, client: Client, port: int) -> bool:
        listening = [service for service in self.registry(client, port).values() if service.resolution != "Alias"]
        given = mapping((self._listener(client, port) or {}).get("port"))
        if self.listen_port(client, port) != port or not listening:
            return False
        if given is not None:
            return _is_http(PROTOCOLS.get(str(given.get("protocol") or "").lower(), ""))
        own = (port_of(service, port) for service in listening)
        return any(known is not None and _is_http(known.protocol) for known in own)

    def _listener(self, client: Client, port: int) -> t.Mapping[str, t.Any] | None:
        sidecar = self.sidecar(client)
        return _listener_of(sidecar.spec if sidecar else EVERYTHING, port)

    def selector_labels(self) -> set[str]:
        """Return the labels that Sidecar resources choose workloads by."""
        return {name for sidecar in self._sidecars for name in _selector(sidecar) or {}}

    def visible(self, service: Service, namespace: str) -> bool:
        """Whether a Service is exported to a namespace."""
        seen = exports(service.export_to) or self._default
        own = service.namespace == namespace
        return "*" in seen or (own and "." in seen) or namespace in seen

    def _exported(self, namespace: str) -> list[Service]:
        private, public = [], []
        for service in self._services:
            seen = exports(service.export_to) or self._default
            if "*" in seen:
                public.append(service)
            elif "~" not in seen and (
                namespace in seen or (service.namespace == namespace and bool(seen & {".", service.namespace}))
            ):
                private.append(service)
        return private + public

    def _scope(self, namespace: str, sidecar: Config | None) -> Scope:
        listeners = _listeners(sidecar.spec if sidecar else EVERYTHING)
        added = _Added()
        for listener in listeners:
            port = _listener_port(listener)
            hosts = self._hosts(listener, namespace)
            for service in self._selected(namespace, hosts, port):
                added.append(service)
            for route in self._selected_routes(namespace, hosts):
                for host, ports in destinations(route, namespace).items():
                    service_or_none = self._pick(host, namespace)
                    if service_or_none is not None:
                        trimmed = _ports(service_or_none, {port} if port else ports - {0} if 0 not in ports else set())
                        if trimmed is not None:
                            added.append(trimmed)
        return Scope(added.services, str(sidecar) if sidecar else "")

    def _hosts(self, listener: t.Mapping[str, t.Any], namespace: str) -> dict[str, _Hosts]:
        by_namespace: dict[str, _Hosts] = {}
        for entry in items(listener.get("hosts")):
            if not isinstance(entry, str) or entry.count("/") != 1:
                continue
            place, name = entry.split("/")
            excluded = self._semantics.egress_exclusion and place.startswith("~")
            if excluded:
                place = place.removeprefix("~") or "*"
            place = namespace if place == "." else place
            hosts = by_namespace.setdefault(place, _Hosts())
            (hosts.excluded if excluded else hosts.wanted).append(name)
        return by_namespace

    def _selected(self, namespace: str, hosts: t.Mapping[str, _Hosts], port: int) -> list[Service]:
        everywhere = hosts.get("*")
        exact = not everywhere and not any(name.startswith("*") for host in hosts.values() for name in host.wanted)
        candidates = self._exported(namespace)
        if exact and self._semantics.egress_exclusion:
            # 1.31 looks exact hosts up directly: of two Services with one host and namespace it finds one.
            candidates = [
                candidate
                for candidate in candidates
                if self._by_host[candidate.host].get(candidate.namespace) is candidate
            ]
        imported = []
        for service in candidates:
            own = hosts.get(service.namespace)
            if (own and own.excludes(service.host)) or (everywhere and everywhere.excludes(service.host)):
                continue
            if (own and own.takes(service.host)) or (everywhere and everywhere.takes(service.host)):
                trimmed = _ports(service, {port} if port else set())
                if trimmed is not None:
                    imported.append(trimmed)
        chosen: dict[str, tuple[str, bool]] = {}
        for service in imported:
            is_kubernetes = service.registry == "Kubernetes"
            known = chosen.get(service.host)
            if known is None or service.namespace == namespace:
                chosen[service.host] = (service.namespace, is_kubernetes)
            elif not known[1] and is_kubernetes and known[0] != namespace:
                chosen[service.host] = (service.namespace, True)
        return [service for service in imported if chosen[service.host][0] == service.namespace]

    def _selected_routes(self, namespace: str, hosts: t.Mapping[str, _Hosts]) -> t.Iterator[Config]:
        for route in self.all_routes:
            if not self.route_visible(route, namespace):
                continue
            names = [resolve(str(host), route.namespace, route.domain) for host in items(route.spec.get("hosts"))]
            near = [egress for egress in (hosts.get(route.namespace), hosts.get("*")) if egress]
            names = [name for name in names if not any(egress.excludes(name) for egress in near)]
            fits = covers if is_gateway_api(route) else overlaps
            if any(fits(wanted, name) for egress in near for wanted in egress.wanted for name in names):
                yield route

    def route_visible(self, route: Config, namespace: str) -> bool:
        """Whether a VirtualService is for sidecars and exported to a namespace."""
        gateways = _gateways(route)
        return (not gateways or "mesh" in gateways) and self._exports_route(route, namespace)

    def _reach(self, route: Config, namespace: str) -> tuple[int, bool]:
        """Source: istio 1.31 pilot/pkg/model/virtualservice.go, SelectVirtualServices."""
        own = route.namespace == namespace
        public = "*" in (exports(route.spec.get("exportTo")) or self._default_routes)
        return 2 if public else 0 if own else 1, not (own and is_gateway_api(route))

    def _exports_route(self, route: Config, namespace: str) -> bool:
        seen = exports(route.spec.get("exportTo")) or self._default_routes
        if "*" in seen:
            return True
        return "~" not in seen and (
            namespace in seen or (route.namespace == namespace and bool(seen & {".", namespace}))
        )

    def _pick(self, host: str, namespace: str) -> Service | None:
        named = self._by_host.get(host, {})
        if namespace in named:
            return named[namespace]
        seen = [service for service in named.values() if self.visible(service, namespace)]
        kubernetes = [service for service in seen if service.registry == "Kubernetes"]
        return kubernetes[0] if kubernetes else min(seen, key=age, default=None)


class _Added:
    """Services by host; a second one with the same host is merged or left out."""

    def __init__(self) -> None:
        self.services: dict[str, Service] = {}

    def append(self, service: Service) -> None:
        known = self.services.get(service.host)
        if known is None:
            self.services[service.host] = service
        elif known is service or (known.registry == "Kubernetes" and service.registry != "Kubernetes"):
            return
        elif known.registry != "Kubernetes" and service.registry == "Kubernetes":
            self.services[service.host] = service
        elif known.ports != service.ports and _mergeable(known, service):
            numbers = {port.number for port in known.ports}
            more = tuple(port for port in service.ports if port.number not in numbers)
            self.services[service.host] = dataclasses.replace(known, ports=known.ports + more)


def _twins(services: t.Iterable[Service]) -> t.Iterator[str]:
    """Yield the hosts that several unequal ServiceEntries of one namespace and age have.

    Source: istio 1.31 push_context.go, SortServicesByCreationTime, whose input comes from Go maps.
    """
    known: dict[tuple[str, str, str], Service] = {}
    for service in services:
        if service.registry == "External":
            plain = dataclasses.replace(service, source="", endpoints=())
            if known.setdefault((service.host, service.namespace, service.created), plain) != plain:
                yield service.host


def _mergeable(first: Service, other: Service) -> bool:
    def traits(service: Service) -> tuple[t.Any, ...]:
        return (
            service.namespace,
            service.resolution,
            service.registry,
            dict(service.labels),
            dict(service.selector),
            frozenset(service.export_to),
        )

    return traits(first) == traits(other)


def age(service: Service) -> tuple[str, str, str]:
    """Return what istiod sorts Services by, the oldest first. Source: push_context.go, SortServicesByCreationTime."""
    name = service.source.rpartition("/")[2] if service.registry == "Kubernetes" else service.host
    return (service.created, name, service.namespace)


def _ports(service: Service, wanted: set[int]) -> Service | None:
    """Return a Service with only the wanted ports (none wanted: all), None when it has none of them."""
    if not wanted:
        return service
    ports = tuple(port for port in service.ports if port.number in wanted)
    if not ports:
        return None
    return service if len(ports) == len(service.ports) else dataclasses.replace(service, ports=ports)


def _gateways(route: Config) -> list[str]:
    return [str(gateway) for gateway in items(route.spec.get("gateways"))]


def _listeners(spec: t.Mapping[str, t.Any]) -> list[t.Mapping[str, t.Any]]:
    return [listener for listener in items(spec.get("egress")) if isinstance(listener, abc.Mapping)] or EVERYTHING[
        "egress"
    ]


def _listener_of(spec: t.Mapping[str, t.Any], port: int) -> t.Mapping[str, t.Any] | None:
    """Return the egress listener for a port: the first with that port or without any.

    Source: istio 1.31 pilot/pkg/model/sidecar.go, GetEgressListenerForRDS.
    """
    for listener in _listeners(spec):
        given = mapping(listener.get("port"))
        if given is None or number(given.get("number")) == port:
            return listener
    return None


def _listener_port(listener: t.Mapping[str, t.Any]) -> int:
    port = mapping(listener.get("port")) or {}
    return 0 if str(port.get("protocol") or "").lower() == "http_proxy" else number(port.get("number"))


def _takes_connections(listener: t.Mapping[str, t.Any], port: int) -> bool:
    """Whether connections to a port that are not HTTP may enter by a Sidecar's listener."""
    given = mapping(listener.get("port"))
    if given is None:
        return True
    protocol = PROTOCOLS.get(str(given.get("protocol") or "").lower(), "")
    return number(given.get("number")) == port and not (protocol and Port("", port, protocol).may_be_http)


def _is_http(protocol: str) -> bool:
    return bool(protocol) and Port("", 0, protocol).may_be_http


def _selector(sidecar: Config) -> dict[str, str] | None:
    given = sidecar.spec.get("workloadSelector")
    if given is None:
        return None
    labels = mapping((mapping(given) or {}).get("labels")) or {}
    return {str(key): str(value) for key, value in labels.items()}


def _ordered_sidecars(sidecars: t.Iterable[Config]) -> list[Config]:
    """Those for some workloads first, then the oldest."""
    return sorted(
        sidecars, key=lambda sidecar: (_selector(sidecar) is None, sidecar.created, sidecar.name, sidecar.namespace)
    )


def destinations(route: Config, namespace: str) -> dict[str, set[int]]:
    """Return host → ports that a VirtualService sends clients of a namespace to; port 0 stands for all.

    Source: istio 1.31 pilot/pkg/model/push_context.go, virtualServiceDestinationsFilteredBySourceNamespace.
    """
    by_host: dict[str, set[int]] = {}

    def add(value: t.Any) -> None:
        destination = mapping(value)
        if destination is not None and isinstance(destination.get("host"), str):
            port = mapping(destination.get("port"))
            host = resolve(destination["host"], route.namespace, route.domain)
            by_host.setdefault(host, set()).add(number(port.get("number")) if port else 0)

    for entry in items(route.spec.get("http")):
        if not isinstance(entry, abc.Mapping) or not _from_namespace(entry, namespace):
            continue
        for target in items(entry.get("route")):
            add((mapping(target) or {}).get("destination"))
        add(entry.get("mirror"))
        for mirror in items(entry.get("mirrors")):
            add((mapping(mirror) or {}).get("destination"))
    for kind in ("tcp", "tls"):
        for entry in items(route.spec.get(kind)):
            for target in items((mapping(entry) or {}).get("route")):
                add((mapping(target) or {}).get("destination"))
    return by_host


def _from_namespace(entry: t.Mapping[str, t.Any], namespace: str) -> bool:
    matched = True
    for match in items(entry.get("match")):
        wanted = (mapping(match) or {}).get("sourceNamespace")
        if wanted:
            if wanted == namespace:
                return True
            matched = False
    return matched


def port_of(service: Service, wanted: int) -> Port | None:
    """Return a Service's port by its number. One of UDP is none, also where one of TCP has the same number.

    Source: istio 1.31 pilot/pkg/model/service.go, PortList.GetByPort.
    """
    return next((port for port in service.ports if port.number == wanted and port.protocol != "UDP"), None)
