# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which endpoints of a Service istiod sends, and how they are grouped before a client's locality is looked at.

Source: istio 1.31 pilot/pkg/xds/endpoints/endpoint_builder.go (BuildClusterLoadAssignment, generate,
filterIstioEndpoint) and pilot/pkg/serviceregistry/kube/controller/endpointslice.go (endpointHealthStatus).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import is_ip
from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_priorities import (
    Group,
    Groups,
    Member,
    Placement,
    Spot,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.network_gateways import (
    MOST,
    TLS_MODE_LABEL,
    NetworkGateway,
    NetworkView,
    directly,
    reachable,
    scaled,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import PodLocalities, augmented
from ansible_collections.meshops.locality.plugins.module_utils._istio.sidecar_scope import age
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import NETWORK_LABEL, Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import (
    Endpoint,
    Labels,
    Port,
    Service,
    Snapshot,
)

PERSISTENT_SESSION_LABEL = "istio.io/persistent-session"
PERSISTENT_SESSION_HEADER_LABEL = "istio.io/persistent-session-header"
DRAINING_LABEL = "istio.io/draining"

HEALTHY, UNHEALTHY, DRAINING, TERMINATING, UNKNOWN = "HEALTHY", "UNHEALTHY", "DRAINING", "TERMINATING", "UNKNOWN"


def health(endpoint: Endpoint, persistent_sessions: bool) -> str:
    """Return an endpoint's health as istiod reads the conditions of its EndpointSlice.

    `persistent_sessions`: the Service has them. Not ready with `terminating` absent is terminating.
    """
    if endpoint.ready is None or endpoint.ready:
        return HEALTHY
    if persistent_sessions and endpoint.serving is not False and endpoint.terminating is not False:
        return DRAINING
    return UNHEALTHY if endpoint.terminating is False else TERMINATING


def is_healthy(member: Member) -> bool:
    """Whether Envoy takes an endpoint for healthy, by the health that istiod sends."""
    return member.health not in (UNHEALTHY, DRAINING)


@dataclass(frozen=True, slots=True)
class KnownEndpoint:
    """One endpoint as istiod holds it, before it is sent to anybody."""

    locality: str
    health: str
    labels: Labels
    node: str
    draining: bool
    address: str
    weight: int
    pod: str
    ports: tuple[tuple[str, int], ...]
    source: str
    #: For an endpoint of a ServiceEntry, the entry's own port numbers, in the order of `ports`.
    entry_ports: tuple[int, ...] = ()
    network: str = ""
    #: Whether it takes Istio's mutual TLS, without which no gateway leads to it.
    mutual_tls: bool = False


def _is_sent(endpoint: KnownEndpoint, unready: bool, persistent: bool) -> bool:
    """Whether istiod sends an endpoint at all. `unready`: those that are not ready, too; `persistent`: those that
    drain, for sessions."""
    if endpoint.health == TERMINATING or (endpoint.health == UNHEALTHY and not unready):
        return False
    return persistent or not endpoint.draining


class Endpoints:
    """The endpoints of a snapshot's Services. Those of one host and namespace belong together."""

    def __init__(self, snapshot: Snapshot, places: PodLocalities) -> None:
        self._snapshot = snapshot
        self._places = places
        features = snapshot.mesh.features
        self._session = features.get("PILOT_PERSISTENT_SESSION_LABEL", PERSISTENT_SESSION_LABEL)
        self._header = features.get("PILOT_PERSISTENT_SESSION_HEADER_LABEL", PERSISTENT_SESSION_HEADER_LABEL)
        self._draining = features.get("PILOT_DRAINING_LABEL", DRAINING_LABEL)
        self._services: dict[tuple[str, str], list[Service]] = {}
        for service in sorted(
            snapshot.services, key=lambda service: (service.registry != "Kubernetes", service.created, service.source)
        ):
            self._services.setdefault(service.key, []).append(service)
        self._known: dict[tuple[str, str], list[KnownEndpoint]] = {}
        self._groups: dict[tuple[t.Any, ...], Groups] = {}
        self._placements: dict[tuple[Locality, ...], Placement] = {}

    def persistent(self, service: Service) -> bool:
        """Whether draining endpoints are still sent, for sessions."""
        return bool(self._session and service.labels.get(self._session))

    def _keeps_draining(self, service: Service) -> bool:
        return self.persistent(service) or bool(self._header and service.labels.get(self._header))

    def known(self, service: Service) -> list[KnownEndpoint]:
        """Return all endpoints behind a Service's host and namespace, in istiod's order of registries."""
        if service.key not in self._known:
            endpoints: list[KnownEndpoint] = []
            taken: set[int] = set()
            for registered in self._services.get(service.key, []):
                keeps = self._keeps_draining(registered)
                numbers = {port.name: port.number for port in registered.ports}
                for endpoint in registered.endpoints:
                    ports = endpoint.ports
                    if registered.resolution == "DNS_ROUND_ROBIN":
                        # Only the first endpoint of a port is used, whichever ServiceEntry it is of.
                        ports = tuple(port for port in ports if numbers.get(port[0]) not in taken)
                        if not ports:
                            continue
                    own: tuple[int, ...] = ()
                    if registered.registry == "External":
                        own = tuple(numbers.get(name, 0) for name, _number in ports)
                        taken.update(own)
                    endpoints.append(self._of(endpoint, ports, own, keeps))
            self._known[service.key] = endpoints
        return self._known[service.key]

    def per_locality(self, service: Service) -> Counter[Locality]:
        """Return how many endpoints a Service has in each locality: those that are sent, now or once they are ready.

        A pod that stands in several EndpointSlices (dual-stack) is one.
        """
        placed = {
            endpoint.pod or endpoint.address: Locality.parse(endpoint.locality)
            for endpoint in self.known(service)
            if _is_sent(endpoint, unready=True, persistent=self.persistent(service))
        }
        return Counter(placed.values())

    def _of(
        self, endpoint: Endpoint, ports: tuple[tuple[str, int], ...], entry_ports: tuple[int, ...], keeps: bool
    ) -> KnownEndpoint:
        pod = self._snapshot.pod_by_key.get(endpoint.pod) if endpoint.pod else None
        from_slice = endpoint.source.startswith("EndpointSlice ")
        state = health(endpoint, keeps) if from_slice else HEALTHY if pod is not None else UNKNOWN
        if pod is not None:
            labels: Labels = self._places.labels(pod)
            locality, node, network = self._places.locality(pod), pod.node, labels.get(NETWORK_LABEL, "")
            # Source: istio 1.31 pilot/pkg/serviceregistry/kube/conversion.go, PodTLSMode. The injector sets the label.
            injected = "istio" if pod.assumed and pod.proxy else ""
            mutual_tls = labels.get(TLS_MODE_LABEL, injected) == "istio"
        else:
            mutual_tls = endpoint.mutual_tls
            # istiod's registry of ServiceEntries does not know the system namespace's network.
            # Source: istio 1.31 pilot/pkg/bootstrap/servicecontroller.go, initServiceControllers.
            network = self._places.networks.of(endpoint.address, {}) if from_slice else endpoint.network
            locality, node = self._places.of_entry(endpoint), ""
            labels = (
                {} if endpoint.own_host else augmented(endpoint.labels, locality, "", self._snapshot.cluster, network)
            )
        draining = bool(self._draining and labels.get(self._draining))
        return KnownEndpoint(
            locality,
            state,
            labels,
            node,
            draining or state == DRAINING,
            endpoint.address,
            max(endpoint.weight, 1),
            endpoint.pod,
            ports,
            endpoint.source,
            entry_ports,
            network,
            mutual_tls,
        )

    def _at(self, service: Service, port: Port, inline: bool) -> t.Iterator[tuple[KnownEndpoint, int]]:
        """Yield the endpoints of a port, each with its number there.

        EDS goes by the port's name. CDS (`inline`) goes by the number that a ServiceEntry's own port has, and for
        endpoints of Kubernetes by the names that the youngest of the Services with this host gives to it.
        Source: istio 1.31 pilot/pkg/model/endpointshards.go, CopyEndpoints; push_context.go, initServiceRegistry.
        """
        services = self._services.get(service.key, [])
        if not inline or len(services) == 1:
            for endpoint in self.known(service):
                for name, number in endpoint.ports:
                    if name == port.name:
                        yield endpoint, number
            return
        for other in sorted(services, key=age, reverse=True):
            names = {own.name for own in other.ports if own.number == port.number}
            matching = [
                (endpoint, number)
                for endpoint in self.known(service)
                if names
                for index, (name, number) in enumerate(endpoint.ports)
                if (endpoint.entry_ports[index] == port.number if endpoint.entry_ports else name in names)
            ]
            if matching:
                yield from matching
                return

    def groups(
        self,
        service: Service,
        port: Port,
        subset: Labels | None,
        *,
        unready: bool,
        node: str | None,
        inline: bool = False,
        view: NetworkView | None = None,
    ) -> Groups:
        """Return the endpoints that are sent for a port, by locality, all with priority 0.

        `subset`: only endpoints with these labels; `unready`: unready ones are sent too; `node`: only those on this
        node (internalTrafficPolicy Local), None for all; `inline`: for a DNS cluster, where names are addresses too;
        `view`: by which addresses endpoints of other networks are reached, None where there is no gateway to any.
        """
        chosen = tuple(sorted(subset.items())) if subset else ()
        key = (service.key, self.persistent(service), port.name, port.number, chosen, unready, node, inline, view)
        if key not in self._groups:
            self._groups[key] = self._grouped(service, port, chosen, unready, node, inline, view)
        return self._groups[key]

    def unfiltered(self, service: Service, port: Port, subset: Labels | None) -> int:
        """Return how many endpoints a DNS cluster's port has before any filter: its labels come from all of them."""
        wanted = tuple((subset or {}).items())
        return sum(
            all(endpoint.labels.get(k) == v for k, v in wanted) for endpoint, _number in self._at(service, port, True)
        )

    def _grouped(
        self,
        service: Service,
        port: Port,
        subset: tuple[tuple[str, str], ...],
        unready: bool,
        node: str | None,
        inline: bool,
        view: NetworkView | None,
    ) -> Groups:
        persistent = self.persistent(service)
        by_locality: dict[str, list[tuple[KnownEndpoint, Member]]] = {}
        for endpoint, number in self._at(service, port, inline):
            if not _is_sent(endpoint, unready, persistent):
                continue
            if node is not None and endpoint.node != node:
                continue
            if subset and any(endpoint.labels.get(name) != value for name, value in subset):
                continue
            if not (inline or number == 0 or is_ip(endpoint.address) or (view is not None and not endpoint.address)):
                continue
            state = DRAINING if endpoint.draining else endpoint.health
            member = Member(
                endpoint.address, number, state, endpoint.weight, endpoint.labels, endpoint.pod, endpoint.node
            )
            by_locality.setdefault(endpoint.locality, []).append((endpoint, member))
        listed = sorted(by_locality.items())
        if view is not None:
            split = [(Locality.parse(locality), self._by_network(some, view)) for locality, some in listed]
            groups = [
                Group(place, 0, sum(member.weight for member in members) & MOST, members)
                for place, members in self._with_places(split)
            ]
            return Groups.of(groups, self._placements)
        groups = [
            Group(
                Locality.parse(locality),
                0,
                min(sum(member.weight for _one, member in some), MOST),
                tuple([member for _one, member in some]),
            )
            for locality, some in listed
        ]
        return Groups.of(groups, self._placements)

    def _by_network(
        self, some: t.Sequence[tuple[KnownEndpoint, Member]], view: NetworkView
    ) -> tuple[list[Member], dict[NetworkGateway, tuple[int, list[Spot]]]]:
        """Return a locality's endpoints that a client reaches directly, and the gateways that stand for the others.

        Source: istio 1.31 pilot/pkg/xds/endpoints/ep_filters.go, EndpointsByNetworkFilter.
        """
        networks, cluster = self._places.networks, self._snapshot.cluster
        direct: list[Member] = []
        by_gateway: dict[NetworkGateway, tuple[int, list[Spot]]] = {}
        for endpoint, member in some:
            gateways = networks.reaching(endpoint.network, cluster, sidecar=view.sidecar)
            weight = scaled(member.weight, networks.scale)
            if directly(endpoint.network, view, gateways):
                if member.address and member.port:  # a socket has no host, and is left out
                    direct.append(member._replace(weight=weight))
                continue
            usable = reachable(gateways, view.families)
            if not usable or not (endpoint.mutual_tls and view.mutual_tls):
                continue
            for gateway in usable:
                before, spots = by_gateway.setdefault(gateway, (0, []))
                spots.append(Spot(Locality.parse(endpoint.locality), member.pod or member.host, member.node))
                by_gateway[gateway] = ((before + weight // len(usable)) & MOST, spots)
        return direct, by_gateway

    def _with_places(
        self, split: t.Sequence[tuple[Locality, tuple[list[Member], dict[NetworkGateway, tuple[int, list[Spot]]]]]]
    ) -> t.Iterator[tuple[Locality, tuple[Member, ...]]]:
        """Yield (locality, its endpoints, gateways among them); a gateway knows all that it leads to."""
        behind: dict[NetworkGateway, list[Spot]] = {}
        for _place, (_direct, by_gateway) in split:
            for gateway, (_weight, spots) in by_gateway.items():
                behind.setdefault(gateway, []).extend(spots)
        for place, (direct, by_gateway) in split:
            members = list(direct)
            for gateway in sorted(by_gateway):
                labels = augmented({}, "", "", gateway.cluster, gateway.network)
                own = self._spots(gateway)
                sets = (tuple(behind[gateway]), *((own,) if own else ()))
                weight = by_gateway[gateway][0] or 1
                members.append(Member(gateway.address, gateway.port, UNKNOWN, weight, labels, behind=sets))
            yield place, tuple(members)

    def _spots(self, gateway: NetworkGateway) -> tuple[Spot, ...]:
        """Return where a gateway's own pods are; nothing when they are not known."""
        service = next(iter(self._services.get(gateway.service, ())), None)
        if service is None:
            return ()
        known = [endpoint for endpoint in self.known(service) if endpoint.health in (HEALTHY, UNKNOWN)]
        spots = (
            Spot(Locality.parse(endpoint.locality), endpoint.pod or endpoint.address, endpoint.node)
            for endpoint in known
        )
        return tuple(dict.fromkeys(spots))
