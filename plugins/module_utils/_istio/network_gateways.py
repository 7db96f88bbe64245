# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of a mesh, and the gateways by which a client reaches endpoints of another network.

Source: istio 1.31 pilot/pkg/xds/endpoints/ep_filters.go (EndpointsByNetworkFilter),
pilot/pkg/serviceregistry/kube/controller/network.go and pilot/pkg/model/network.go.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import functools
import ipaddress
import math
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import is_ip
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items, mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import NETWORK_LABEL
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Labels, Service, Snapshot

#: The label of a gateway's Service that names another port than PORT for connections with mutual TLS.
GATEWAY_PORT_LABEL = "networking.istio.io/gatewayPort"
PORT = 15443
HBONE_PORT = 15008
#: The label by which an endpoint says that it takes Istio's mutual TLS; the injector sets it.
TLS_MODE_LABEL = "security.istio.io/tlsMode"
MOST = 0xFFFFFFFF


class NetworkGateway(t.NamedTuple):
    """One address that leads into a network. `cluster` '' is any; `port` 0: none that takes mutual TLS.

    `service` is (host, namespace) of the Service it was read from; ('', ''): meshNetworks.
    """

    address: str
    port: int
    network: str
    cluster: str
    service: tuple[str, str] = ("", "")


class NetworkView(t.NamedTuple):
    """What of a client and of a policy decides by which address an endpoint of another network is reached.

    `families` are the IP versions of the client's addresses; `mutual_tls`: no rule switches mutual TLS off.
    """

    network: str
    sidecar: bool
    families: tuple[int, ...]
    mutual_tls: bool


class Networks:
    """The networks of a snapshot: of each endpoint its own, and the gateways into each."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        system = snapshot.namespace_by_name.get(snapshot.mesh.root_namespace)
        self.of_system_namespace = system.labels.get(NETWORK_LABEL, "") if system else ""
        self._given = {str(name): mapping(network) or {} for name, network in snapshot.mesh.networks.items()}
        self._of_registry = next((name for name, network in self._given.items() if self._from_registry(network)), "")
        # istiod resolves names of load balancers itself; here a name stands for one address.
        gateways = [*self._of_mesh_networks(), *self._of_services()]
        self._index = _Index({gateway[:4]: gateway for gateway in reversed(gateways)}.values())

    @property
    def several(self) -> bool:
        """Whether a gateway into any network is known; without one every endpoint is reached directly."""
        return bool(self._index.by_network)

    @property
    def gateways(self) -> list[NetworkGateway]:
        """All gateways, by network and address."""
        return [gateway for name in sorted(self._index.by_network) for gateway in self._index.by_network[name]]

    @functools.cached_property
    def gateway_services(self) -> list[Service]:
        """The Services of Kubernetes by which other networks' clients come in."""
        own = (service for service in self._snapshot.services if service.registry == "Kubernetes")
        return [service for service in own if is_gateway_between_networks(service.labels)]

    @functools.cached_property
    def other_clusters(self) -> bool:
        """Whether the mesh has clusters or networks whose endpoints are not here.

        istiod names them (meshNetworks), or a gateway to other networks is here and all pods are on one network.
        """
        if self._snapshot.mesh.remote_clusters:
            return True
        if not self.gateway_services:
            return False
        return len({pod.labels[NETWORK_LABEL] for pod in self._snapshot.pods if NETWORK_LABEL in pod.labels}) < 2

    def of(self, address: str, labels: Labels) -> str:
        """Return the network of an endpoint of Kubernetes; '' when nothing names one.

        Source: istio 1.31 pilot/pkg/serviceregistry/kube/controller/controller.go, Network.
        """
        return labels.get(NETWORK_LABEL, "") or self.of_system_namespace or self._of_registry or self._of_cidr(address)

    def reaching(self, network: str, cluster: str, *, sidecar: bool) -> list[NetworkGateway]:
        """Return the gateways that requests to a network's endpoints in a cluster may take.

        Source: ep_filters.go, selectNetworkGateways.
        """
        index = self._index
        gateways = index.by_cluster.get((network, cluster)) or index.by_network.get(network, [])
        return [gateway for gateway in gateways if gateway.port] if sidecar else gateways

    @property
    def scale(self) -> int:
        """By what istiod multiplies every weight, so that gateways can share one."""
        return self._index.scale

    def _from_registry(self, network: t.Mapping[str, t.Any]) -> bool:
        given = (mapping(entry) or {} for entry in items(network.get("endpoints")))
        return any(entry.get("fromRegistry") == self._snapshot.cluster for entry in given)

    def _of_cidr(self, address: str) -> str:
        if not self._ranges or not is_ip(address):
            return ""
        place = ipaddress.ip_address(address)
        hit = [(net.prefixlen, name) for net, name in self._ranges if net.version == place.version and place in net]
        return min(hit)[1] if hit else ""

    @functools.cached_property
    def _ranges(self) -> list[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, str]]:
        ranges = []
        for name, network in self._given.items():
            for entry in items(network.get("endpoints")):
                try:
                    ranges.append((ipaddress.ip_network(str((mapping(entry) or {})["fromCidr"]), strict=False), name))
                except (KeyError, ValueError):
                    continue
        return ranges

    def _of_mesh_networks(self) -> t.Iterator[NetworkGateway]:
        for name, network in self._given.items():
            for entry in items(network.get("gateways")):
                gateway = mapping(entry) or {}
                if gateway.get("address"):
                    yield NetworkGateway(str(gateway["address"]), number(gateway.get("port")), name, "")

    def _of_services(self) -> t.Iterator[NetworkGateway]:
        named: dict[str, list[tuple[str, int]]] = {}
        for name, settings in self._given.items():
            if name == self._of_registry:
                for entry in (mapping(entry) or {} for entry in items(settings.get("gateways"))):
                    if host := str(entry.get("registryServiceName") or ""):
                        named.setdefault(host, []).append((name, number(entry.get("port"))))
        for service in self._snapshot.services:
            if service.registry != "Kubernetes":
                continue
            labelled = service.labels.get(NETWORK_LABEL)
            for network, port in _labelled(service) if labelled else named.get(service.host, []):
                for address in service.outside_addresses:
                    yield NetworkGateway(address, port, network, self._snapshot.cluster, service.key)


def _labelled(service: Service) -> list[tuple[str, int]]:
    """Return (network, port for mutual TLS, 0 for none) of a Service whose label makes it a gateway.

    Source: network.go, getGatewayDetails.
    """
    network = service.labels[NETWORK_LABEL]
    given = service.labels.get(GATEWAY_PORT_LABEL, "")
    port = int(given) if given.isascii() and given.isdigit() else PORT
    numbers = {port.number for port in service.ports}
    if port in numbers:
        return [(network, port)]
    return [(network, 0)] if HBONE_PORT in numbers else []


class _Index:
    def __init__(self, gateways: t.Iterable[NetworkGateway]) -> None:
        self.by_network: dict[str, list[NetworkGateway]] = {}
        self.by_cluster: dict[tuple[str, str], list[NetworkGateway]] = {}
        for gateway in sorted(gateways):
            self.by_network.setdefault(gateway.network, []).append(gateway)
            self.by_cluster.setdefault((gateway.network, gateway.cluster), []).append(gateway)
        self.scale = math.lcm(*(len(some) for some in (*self.by_network.values(), *self.by_cluster.values())))


def reachable(gateways: t.Sequence[NetworkGateway], families: tuple[int, ...]) -> list[NetworkGateway]:
    """Return the gateways whose address a client of these IP versions can connect to.

    Source: ep_filters.go, filterGatewaysByIPFamily.
    """
    if len(families) != 1:
        return list(gateways)
    # A name stands for addresses that istiod resolves; those are of the network's own family.
    return [gateway for gateway in gateways if not is_ip(gateway.address) or _version(gateway.address) in families]


def _version(address: str) -> int:
    place = ipaddress.ip_address(address)
    if isinstance(place, ipaddress.IPv6Address) and place.ipv4_mapped:
        return 4
    return place.version


def ip_families(addresses: t.Iterable[str]) -> tuple[int, ...]:
    """Return the IP versions of addresses, each once."""
    return tuple(sorted({ipaddress.ip_address(address).version for address in addresses if is_ip(address)}))


def directly(network: str, view: NetworkView, gateways: t.Sequence[NetworkGateway]) -> bool:
    """Whether a client connects to an endpoint itself: both are in one network, or no gateway is known.

    Source: ep_filters.go, EndpointsByNetworkFilter (forceGateway) and model/context.go, InNetwork.
    """
    if not view.network and network and gateways:
        return False
    return not gateways or not network or not view.network or network == view.network


def is_gateway_between_networks(labels: Labels) -> bool:
    """Whether a Service with these labels is one by which other networks' clients come in.

    Source: istio 1.31 samples/multicluster/gen-eastwest-gateway.sh, which sets both labels; istiod reads the second.
    """
    return labels.get("istio") == "eastwestgateway" or NETWORK_LABEL in labels


def scaled(weight: int, scale: int) -> int:
    """Return an endpoint's weight among those of gateways. Source: ep_filters.go, scaleEndpointLBWeight."""
    return weight * scale if weight < MOST // scale else MOST
