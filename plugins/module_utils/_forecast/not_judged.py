# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a prediction does not speak of, although it is part of the mesh: clients, Services, objects.

Pure. Private to this collection: it may change at any time; the codes stay.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._forecast.selectors import short
from ansible_collections.meshops.locality.plugins.module_utils._istio.ambient_mode import in_ambient
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_gateways import SUFFIX, of_istio
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_hosts import GatewayHosts
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_servers import GatewayServers
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.routes import (
    BLACK_HOLE,
    PASSTHROUGH,
    RESOLVED_BY_NAME,
    Routes,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items, mapping
from ansible_collections.meshops.locality.plugins.module_utils._model.field_filter import GATEWAY_API
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import NETWORK_LABEL
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import (
    Config,
    Json,
    NotJudged,
    Service,
    Snapshot,
)

#: Resolutions whose clusters have no endpoints of their own.
_NEVER_ANY = ("Alias", "Passthrough", "DYNAMIC_DNS")
#: How many names one entry has.
NAMED = 5


def names(listed: t.Iterable[str]) -> str:
    """Return the names, the first few of many."""
    unique = list(dict.fromkeys(listed))
    more = f" and {len(unique) - NAMED} more" if len(unique) > NAMED else ""
    return ", ".join(unique[:NAMED]) + more


def not_judged(planner: Planner) -> list[NotJudged]:
    """Return what is not judged, what hides most first: clients, then Services, then objects.

    Codes: no-clients, namespace-missing, ambient, ambient-without-waypoint, other-clusters,
    networks-without-gateway, several-networks, gateway-class, gateway-routes, gateway-address, gateway-without-pods,
    service-without-endpoints, service-without-clients, unreadable, and those of Snapshot.not_judged (what was passed over when it was read).
    """
    snapshot = planner.snapshot
    unjudged: list[NotJudged] = []
    if not planner.clients:
        unjudged.append(
            NotJudged(
                "no-clients",
                "No client is known: no pod here has an Envoy.",
                "everything: priorities, failover and losses are those of clients",
                len(snapshot.pods),
            )
        )
    unjudged += _missing_namespaces(snapshot)
    unjudged += _ambient(snapshot)
    unjudged += _other_clusters(snapshot)
    unjudged += _several_networks(planner)
    if empty := without_endpoints(planner):
        known = names(short(service.host) for service in empty)
        unjudged.append(
            NotJudged(
                "service-without-endpoints",
                f"{_count(len(empty), 'Service')} without any endpoint here: {known}.",
                "what becomes of requests to them",
                len(empty),
            )
        )
    unjudged += _without_clients(planner)
    unjudged += _gateways(planner)
    if snapshot.problems:
        unjudged.append(
            NotJudged(
                "unreadable",
                f"{_count(len(snapshot.problems), 'object or field', 'objects or fields')} could not be read.",
                "what depends on them; problems names them",
                len(snapshot.problems),
            )
        )
    return [*unjudged, *snapshot.not_judged]


def as_json(listed: t.Iterable[NotJudged]) -> list[Json]:
    """Return [{code, what, hides, count}]."""
    return [{"code": entry.code, "what": entry.what, "hides": entry.hides, "count": entry.count} for entry in listed]


def judged(planner: Planner) -> bool:
    """Whether a prediction of this mesh says anything at all: some client and some endpoint are known."""
    return bool(planner.clients) and any(service.endpoints for service in planner.snapshot.services)


def _count(number: int, singular: str, many: str = "") -> str:
    return f"{number} {singular if number == 1 else many or singular + 's'}"


def without_endpoints(planner: Planner) -> list[Service]:
    """Return the Services that have no endpoint at all, ready or not; those that never have any are left out."""
    balanced = (service for service in planner.snapshot.services if service.resolution not in _NEVER_ANY)
    return [service for service in balanced if service.ports and not planner.endpoints.known(service)]


#: What an Envoy does with requests to hosts that it does not know, and with connections.
_UNLISTED = {
    BLACK_HOLE: "refuses requests to them: 502, and connections end at once",
    PASSTHROUGH: "passes requests to them on to the address that was asked for, without localities and mutual TLS",
    RESOLVED_BY_NAME: "sends requests to them where DNS says, without localities and mutual TLS",
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
            proxy = f"sends requests to them to {', '.join(to.host for to, _share in unlisted.shares)}"
            fates[f"{_UNLISTED.get(unlisted.answer, proxy)} ({unlisted.source})"] = None
    unknown = [service for service in planner.snapshot.services if service.ports and service.host not in known]
    if known and unknown:
        listed = names(short(service.host) for service in unknown)
        envoys = f" Envoy {names(fates)}." if fates else ""
        yield NotJudged(
            "service-without-clients",
            f"{_count(len(unknown), 'Service')} that no client here knows: {listed}.{envoys}",
            "what a loss does to requests to them",
            len(unknown),
        )


def _missing_namespaces(snapshot: Snapshot) -> t.Iterator[NotJudged]:
    """Pods that were put in for manifests get a sidecar by their Namespace's labels, which must be known for that."""
    known = set(snapshot.namespace_by_name)
    missing: dict[str, int] = {}
    for pod in snapshot.pods:
        if pod.assumed and not pod.proxy and pod.namespace not in known:
            missing[pod.namespace] = missing.get(pod.namespace, 0) + 1
    if missing:
        plural = "s" if len(missing) > 1 else ""
        yield NotJudged(
            "namespace-missing",
            f"Nothing says whether pods of namespace{plural} {names(sorted(missing))} get a sidecar: no Namespace "
            "object is given (helm template prints none).",
            f"{_count(sum(missing.values()), 'pod')} that may be clients",
            sum(missing.values()),
        )


def _ambient(snapshot: Snapshot) -> t.Iterator[NotJudged]:
    pods = [pod for pod in snapshot.pods if in_ambient(snapshot, pod)]
    if not pods:
        return
    where = names(sorted({pod.namespace for pod in pods}))
    if any(pod.proxy == "waypoint" for pod in snapshot.pods):
        yield NotJudged(
            "ambient",
            f"{_count(len(pods), 'pod')} of {where} are in ambient mode: their own requests take ztunnel, and a "
            "waypoint where a Service has one.",
            "them as clients; only the waypoints' view is judged",
            len(pods),
        )
    else:
        yield NotJudged(
            "ambient-without-waypoint",
            f"{_count(len(pods), 'pod')} of {where} are in ambient mode, without a waypoint: ztunnel reads no "
            "DestinationRule, so none has an effect on their requests.",
            "them as clients",
            len(pods),
        )


def gateways_between_networks(snapshot: Snapshot) -> list[Service]:
    """Return the Services of gateways that other networks' clients come in by."""
    own = (service for service in snapshot.services if service.registry == "Kubernetes")
    return [
        service
        for service in own
        if service.labels.get("istio") == "eastwestgateway" or NETWORK_LABEL in service.labels
    ]


def other_clusters(snapshot: Snapshot) -> bool:
    """Whether the mesh has clusters or networks whose endpoints are not here.

    istiod names them (meshNetworks), or a gateway to other networks is here and all pods are on one network.
    """
    if snapshot.mesh.remote_clusters:
        return True
    if not gateways_between_networks(snapshot):
        return False
    return len({pod.labels[NETWORK_LABEL] for pod in snapshot.pods if NETWORK_LABEL in pod.labels}) < 2


def _other_clusters(snapshot: Snapshot) -> t.Iterator[NotJudged]:
    if other_clusters(snapshot):
        remote = snapshot.mesh.remote_clusters
        where = f"the clusters {names(remote)}" if remote else "other clusters, to which a gateway leads,"
        yield NotJudged(
            "other-clusters",
            f"The mesh has endpoints in {where} that are not here.",
            "endpoints to fail over to, and clients of theirs: findings about missing endpoints may be wrong",
            len(remote) or 1,
        )


def _gateways(planner: Planner) -> t.Iterator[NotJudged]:
    """Say which ways into the mesh by a gateway are not followed."""
    snapshot = planner.snapshot
    foreign = [gateway for gateway in snapshot.api_gateways if not of_istio(gateway, snapshot)]
    if other := [gateway for gateway in foreign if gateway.spec.get("gatewayClassName") not in _NOT_FOR_ENTERING]:
        others = names(f"{gateway} (class {gateway.spec.get('gatewayClassName')})" for gateway in other)
        yield NotJudged(
            "gateway-class",
            f"Gateways of a class that is not Istio's, as far as GatewayClasses are known here: {others}.",
            "requests that enter by them",
            len(other),
        )
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
        yield NotJudged(
            "gateway-routes",
            f"Routes of a Gateway that is not here, or of a ListenerSet: {names(lost)}.",
            "requests that enter by it",
            len(lost),
        )
    ways = GatewayServers(planner)
    if shared := [client for client in planner.clients if ways.shares_address(client)]:
        yield NotJudged(
            "gateway-address",
            f"A WorkloadEntry or ServiceEntry has the address of a gateway's pod: {names(pod.key for pod in shared)}.",
            "which Gateways are for these pods, because istiod takes the Services of that entry for theirs",
            len(shared),
        )
    served = {_written(gateway) for client in planner.clients for gateway in ways.selected(client)}
    if without := sorted({_written(gateway) for gateway in planner.scopes.gateways} - served):
        yield NotJudged(
            "gateway-without-pods",
            f"{_count(len(without), 'Gateway')} without any pod here: {names(without)}.",
            "requests that enter by them",
            len(without),
        )


#: Gateways of these classes are no way into the mesh.
_NOT_FOR_ENTERING = ("istio-waypoint", "istio-remote", "istio-east-west")


def _unknown_parent(reference: t.Mapping[str, t.Any], namespace: str, known: set[str]) -> bool:
    kind = reference.get("kind", "Gateway")
    if reference.get("group", GATEWAY_API) != GATEWAY_API or kind not in ("Gateway", "ListenerSet"):
        return False
    return kind == "ListenerSet" or f"{reference.get('namespace') or namespace}/{reference.get('name')}" not in known


def _written(gateway: Config) -> str:
    """Return `namespace/name` of a Gateway as people wrote it."""
    return str(gateway).partition(f"~{SUFFIX}~")[0]


def _several_networks(planner: Planner) -> t.Iterator[NotJudged]:
    """Say which endpoints stand behind gateways, and which would if their gateway's address were known."""
    snapshot, networks = planner.snapshot, planner.places.networks
    within = {planner.places.labels(pod).get(NETWORK_LABEL, "") for pod in snapshot.pods} - {""}
    if len(within) < 2 or not (networks.several or gateways_between_networks(snapshot)):
        return
    gateways: dict[str, list[str]] = {}
    for gateway in networks.gateways:
        gateways.setdefault(gateway.network, []).append(gateway.address)
    if without := sorted(within - set(gateways)):
        reached = "reached directly" if networks.several else "reached directly, as if there were one network"
        yield NotJudged(
            "networks-without-gateway",
            f"No address of a gateway into {_count(len(without), 'network')} ({names(without)}) is known here: pods of "
            f"{'it' if len(without) == 1 else 'them'} count as {reached}.",
            "how clients of other networks reach them, how many endpoints these hold, and the maxEjectionPercent that "
            "follows",
            len(without),
        )
    if networks.several:
        known = {f"{service.host.partition('.')[0]}.{service.namespace}" for service in snapshot.services}
        assumed = [address for some in gateways.values() for address in some if address in known]
        note = f" The address of {names(assumed)} is not known, and is taken as one." if assumed else ""
        yield NotJudged(
            "several-networks",
            f"Pods are on {len(within)} networks ({names(sorted(within))}): clients reach those of other networks by "
            f"{_count(sum(map(len, gateways.values())), 'gateway address', 'gateway addresses')}, each of which is one "
            f"endpoint to them.{note}",
            "how a gateway shares requests among the endpoints behind it, and PeerAuthentications that switch off the "
            "mutual TLS without which no gateway leads to an endpoint",
            len(within),
        )
