# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a prediction does not speak of, although it is part of the mesh: clients, Services, objects.

Pure. Private to this collection: it may change at any time; the codes stay.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._forecast.selectors import short
from ansible_collections.meshops.locality.plugins.module_utils._istio.ambient_mode import (
    entered_by_waypoint,
    in_ambient,
    waypoint_of,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.cluster_type import has_cluster
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_backends import (
    RefusedRoute,
    destination_of,
    is_gateway_api,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_gateways import (
    SUFFIX,
    WAYPOINT_CLASS,
    of_istio,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_parents import (
    MESH,
    PARENTS_IN_THE_MESH,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_hosts import GatewayHosts
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_servers import GatewayServers
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import covers
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.routes import (
    BLACK_HOLE,
    PASSTHROUGH,
    RESOLVED_BY_NAME,
    Routes,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items, mapping
from ansible_collections.meshops.locality.plugins.module_utils._istio.validation import refused_and_unknown
from ansible_collections.meshops.locality.plugins.module_utils._istio.virtual_services import gateways, hosts
from ansible_collections.meshops.locality.plugins.module_utils._model.field_filter import GATEWAY_API
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import NETWORK_LABEL
from ansible_collections.meshops.locality.plugins.module_utils._model.name_lists import first_names
from ansible_collections.meshops.locality.plugins.module_utils._model.not_judged import NotJudged, unjudged
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Config, Json, Service, Snapshot

#: Resolutions whose clusters have no endpoints of their own.
_NEVER_ANY = ("Alias", "Passthrough", "DYNAMIC_DNS")
#: How many names one entry has.
NAMED = 5


def _names(listed: t.Iterable[str]) -> str:
    return first_names(dict.fromkeys(listed), NAMED)


def not_judged(planner: Planner) -> list[NotJudged]:
    """Return what is not judged, what hides most first: clients, then Services, then objects.

    Its codes are those of _model/not_judged.py; what was passed over when it was read comes last.
    """
    snapshot = planner.snapshot
    entries: list[NotJudged] = []
    if not planner.clients:
        entries.append(unjudged("no-clients", len(snapshot.pods)))
    entries += _missing_namespaces(snapshot)
    entries += _ambient(snapshot)
    entering = [service for service in snapshot.services if entered_by_waypoint(snapshot, service)]
    if entering and any(client.type == "router" for client in planner.clients):
        services = _names(short(service.host) for service in entering)
        entries.append(unjudged("ingress-waypoint", len(entering), services=services))
    entries += _waypoint_routes(planner)
    entries += _past_envoy(snapshot)
    unknown = [
        f"{short(service.host)}:{port.number}"
        for service in snapshot.services
        for port in service.ports
        if port.may_be_http and not port.protocol and has_cluster(service, port)
    ]
    if unknown:
        entries.append(unjudged("port-without-protocol", len(unknown), ports=_names(unknown)))
    entries += _other_clusters(planner)
    entries += _several_networks(planner)
    if empty := without_endpoints(planner):
        services = _names(short(service.host) for service in empty)
        entries.append(unjudged("service-without-endpoints", len(empty), services=services))
    entries += _without_clients(planner)
    entries += _hosts_without_service(planner)
    entries += _gateways(planner)
    refused, fields = refused_and_unknown(snapshot, planner.semantics.version)
    if refused:
        entries.append(unjudged("refused", len(refused), objects=_names(refused)))
    if fields:
        entries.append(unjudged("unknown-field", len(fields), fields=_names(fields)))
    homeless = [problem.where for problem in snapshot.problems if problem.code == "no-node-for-replicas"]
    if homeless:
        entries.append(unjudged("replicas-without-node", len(homeless), workloads=_names(homeless)))
    if unread := len(snapshot.problems) - len(homeless):
        entries.append(unjudged("unreadable", unread, problems=unread))
    return [*entries, *snapshot.not_judged]


def as_json(listed: t.Iterable[NotJudged]) -> list[Json]:
    """Return [{code, what, hides, count, parameters}]."""
    return [entry.as_json() for entry in listed]


def judged(planner: Planner) -> bool:
    """Whether a prediction of this mesh says anything at all: some client and some endpoint are known."""
    return bool(planner.clients) and any(service.endpoints for service in planner.snapshot.services)


def without_endpoints(planner: Planner) -> list[Service]:
    """Return the Services that have no endpoint at all, ready or not; those that never have any are left out."""
    balanced = (service for service in planner.snapshot.services if service.resolution not in _NEVER_ANY)
    return [service for service in balanced if service.ports and not planner.endpoints.known(service)]


#: What an Envoy does with requests to hosts that it does not know, and with connections.
_UNLISTED = {
    BLACK_HOLE: "it answers 502 and ends connections",
    PASSTHROUGH: "it passes them on to the address that was asked for, without localities and mutual TLS",
    RESOLVED_BY_NAME: "it sends them where DNS says, without localities and mutual TLS",
}


def _without_clients(planner: Planner) -> t.Iterator[NotJudged]:
    """Say which Services no client knows, because no Sidecar imports them or they are exported to none of them."""
    routes = Routes(planner)
    ways = GatewayHosts(planner, routes)
    known: set[str] = set()
    fates: dict[str, None] = {}
    for kind in planner.classes:
        client = kind.representative
        if ways.selected(client):
            entered = (requests.route for host in ways.of(client) for requests in host.classes)
            known.update(to.host for envoy_route in entered for to, _share in envoy_route.shares)
            continue
        known.update(planner.scope(client).services)
        if client.type == "sidecar":
            unlisted = routes.unlisted(client)
            proxy = f"it sends them to {', '.join(to.host for to, _share in unlisted.shares)}"
            fates[f"{_UNLISTED.get(unlisted.answer, proxy)} ({unlisted.source})"] = None
    unknown = [service for service in planner.snapshot.services if service.ports and service.host not in known]
    if known and unknown:
        services = _names(short(service.host) for service in unknown)
        fate = _names(fates) or "not known, no sidecar is here"
        yield unjudged("service-without-clients", len(unknown), services=services, fate=fate)


def _waypoint_routes(planner: Planner) -> t.Iterator[NotJudged]:
    """Say which routes waypoints have for the Services that they are for."""
    if not any(client.type == "waypoint" for client in planner.clients):
        return
    entered = [service.host for service in planner.snapshot.services if waypoint_of(planner.snapshot, service)]
    routed = [
        str(route)
        for route in planner.scopes.all_routes
        if any(covers(name, host) for name in hosts(route) for host in entered)
    ]
    if routed:
        yield unjudged("waypoint-routes", len(routed), routes=_names(routed))


def _hosts_without_service(planner: Planner) -> t.Iterator[NotJudged]:
    """Say for which hosts of VirtualServices for sidecars there is neither a Service nor a row."""
    routed = (route for route in planner.scopes.all_routes if MESH in gateways(route) and not is_gateway_api(route))
    known = {service.host.lower() for service in planner.snapshot.services}
    named = dict.fromkeys(name for route in routed for name in hosts(route) if name not in known)
    without = [name for name in named if not any(covers(name, host) for host in known)]
    if not without:
        return
    routes, ways = Routes(planner), GatewayHosts(planner, Routes(planner))
    sidecars = (kind.representative for kind in planner.classes if kind.representative.type == "sidecar")
    judged_hosts = {
        host
        for client in sidecars
        if not ways.selected(client)
        for host, _port, _route in routes.unlisted_hosts(client)
    }
    if left := [name for name in without if name not in judged_hosts]:
        yield unjudged("host-without-service", len(left), hosts=_names(short(name) for name in left))


def _missing_namespaces(snapshot: Snapshot) -> t.Iterator[NotJudged]:
    """Pods that were put in for manifests get a sidecar by their Namespace's labels, which must be known for that."""
    known = set(snapshot.namespace_by_name)
    missing: dict[str, int] = {}
    for pod in snapshot.pods:
        if pod.assumed and not pod.proxy and pod.namespace not in known:
            missing[pod.namespace] = missing.get(pod.namespace, 0) + 1
    if missing:
        pods = sum(missing.values())
        yield unjudged("namespace-missing", pods, namespaces=_names(sorted(missing)), pods=pods)


def _past_envoy(snapshot: Snapshot) -> t.Iterator[NotJudged]:
    pods = [pod for pod in snapshot.pods if pod.past_envoy and pod.proxy == "sidecar"]
    if pods:
        names = (
            f"{pod.workload.replace('/', f' {pod.namespace}/', 1) if pod.workload else f'Pod {pod.key}'} "
            f"({pod.past_envoy})"
            for pod in pods
        )
        yield unjudged("past-envoy", len(pods), pods=_names(names))


def _ambient(snapshot: Snapshot) -> t.Iterator[NotJudged]:
    pods = [pod for pod in snapshot.pods if in_ambient(snapshot, pod)]
    if not pods:
        return
    namespaces = _names(sorted({pod.namespace for pod in pods}))
    if any(pod.proxy == "waypoint" for pod in snapshot.pods):
        yield unjudged("ambient", len(pods), namespaces=namespaces, pods=len(pods))
    else:
        yield unjudged("ambient-without-waypoint", len(pods), namespaces=namespaces, pods=len(pods))


def _other_clusters(planner: Planner) -> t.Iterator[NotJudged]:
    if planner.places.networks.other_clusters:
        remote = planner.snapshot.mesh.remote_clusters
        yield unjudged("other-clusters", len(remote) or 1, clusters=_names(remote) or "a gateway leads to them")


def _gateways(planner: Planner) -> t.Iterator[NotJudged]:
    """Say which ways into the mesh by a gateway are not followed."""
    snapshot = planner.snapshot
    foreign = [gateway for gateway in snapshot.api_gateways if not of_istio(gateway, snapshot)]
    if other := [gateway for gateway in foreign if gateway.spec.get("gatewayClassName") not in _NOT_FOR_ENTERING]:
        others = _names(f"{gateway} (class {gateway.spec.get('gatewayClassName')})" for gateway in other)
        yield unjudged("gateway-class", len(other), gateways=others)
    known = {str(gateway) for gateway in snapshot.api_gateways}
    lost = [
        f"{kind} {route}"
        for kind, listed in snapshot.api_routes.items()
        for route in listed
        if any(
            _unknown_parent(mapping(parentref) or {}, route.namespace, known)
            for parentref in items(route.spec.get("parentRefs"))
        )
    ]
    if lost:
        yield unjudged("gateway-routes", len(lost), routes=_names(lost))
    backends = [
        f"{backend.get('kind')} {backend.get('namespace') or route.namespace}/{backend.get('name')} of {kind} {route}"
        for kind, listed in snapshot.api_routes.items()
        for route in listed
        for rule in items(route.spec.get("rules"))
        for reference in items((mapping(rule) or {}).get("backendRefs"))
        if (backend := mapping(reference) or {}) and not _is_read(backend, route)
    ]
    if backends := list(dict.fromkeys(backends)):
        yield unjudged("backend-not-read", len(backends), backends=_names(backends))
    ways = GatewayServers(planner)
    if shared := [client for client in planner.clients if ways.shares_address(client)]:
        yield unjudged("gateway-address", len(shared), pods=_names(pod.key for pod in shared))
    served = {_written(gateway) for client in planner.clients for gateway in ways.selected(client)}
    if without := sorted({_written(gateway) for gateway in planner.scopes.gateways} - served):
        yield unjudged("gateway-without-pods", len(without), gateways=_names(without))


def _is_read(backend: t.Mapping[str, t.Any], route: Config) -> bool:
    """Whether a route's backend is of a kind that istiod is known to make a destination of."""
    try:
        return destination_of(backend, route, lambda _reference: True)[1]
    except RefusedRoute:
        return True


#: Gateways of these classes are no way into the mesh.
_NOT_FOR_ENTERING = (WAYPOINT_CLASS, "istio-remote", "istio-east-west")


def _unknown_parent(reference: t.Mapping[str, t.Any], namespace: str, known: set[str]) -> bool:
    group, kind = str(reference.get("group", GATEWAY_API)), str(reference.get("kind", "Gateway"))
    if (group, kind) in PARENTS_IN_THE_MESH:
        return False
    gateway = f"{reference.get('namespace') or namespace}/{reference.get('name')}"
    return (group, kind) != (GATEWAY_API, "Gateway") or gateway not in known


def _written(gateway: Config) -> str:
    """Return `namespace/name` of a Gateway as people wrote it."""
    return str(gateway).partition(f"~{SUFFIX}~")[0]


def _several_networks(planner: Planner) -> t.Iterator[NotJudged]:
    """Say which endpoints stand behind gateways, and which would if their gateway's address were known."""
    snapshot, networks = planner.snapshot, planner.places.networks
    within = {planner.places.labels(pod).get(NETWORK_LABEL, "") for pod in snapshot.pods} - {""}
    if len(within) < 2 or not (networks.several or networks.gateway_services):
        return
    gateways: dict[str, list[str]] = {}
    for gateway in networks.gateways:
        gateways.setdefault(gateway.network, []).append(gateway.address)
    if without := sorted(within - set(gateways)):
        yield unjudged("networks-without-gateway", len(without), networks=_names(without))
    if networks.several:
        known = {f"{service.host.partition('.')[0]}.{service.namespace}" for service in snapshot.services}
        assumed = [address for some in gateways.values() for address in some if address in known]
        yield unjudged(
            "several-networks",
            len(within),
            networks=_names(sorted(within)),
            addresses=sum(map(len, gateways.values())),
            assumed=_names(assumed) or "none",
        )
