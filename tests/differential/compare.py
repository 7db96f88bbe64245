# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What we compute for a mesh, in the oracle's own form, and in what the two differ."""

from __future__ import annotations

import itertools
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.retries import Retries
from ansible_collections.meshops.locality.plugins.module_utils._istio.control_plane import discovered
from ansible_collections.meshops.locality.plugins.module_utils._istio.durations import parse_duration
from ansible_collections.meshops.locality.plugins.module_utils._istio.envoy_outlier_detection import (
    envoy_outlier_detection,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_hosts import GatewayHosts
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_servers import GatewayServers
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Assignment, Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_retries import connect_timeout, route
from ansible_collections.meshops.locality.plugins.module_utils._istio.routes import (
    BLACK_HOLE,
    DIRECT,
    PASSTHROUGH,
    REDIRECT,
    RESOLVED_BY_NAME,
    EnvoyRoute,
    Routes,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Mesh

from .envoy.outlier_message import parse_outlier_detection

Json = dict[str, t.Any]

#: The type of clusters that resolve whatever name a request asks for.
DYNAMIC = "envoy.clusters.dynamic_forward_proxy"


class Told(t.NamedTuple):
    """What we say one client is told: cluster → assignment."""

    client: Client
    assignment: dict[str, Assignment]


class Plan:
    """Our answer for a mesh; without clients in namespaces that no discoverySelector selects: istiod does not see them.

    version: "1.31"; features: istiod's feature variables.
    """

    def __init__(self, mesh: Json, version: str, features: t.Mapping[str, str] | None = None) -> None:
        networks = (mesh.get("networks") or {}).get("networks") or {}
        told = Mesh(version=version, config=mesh["mesh"], features=features or {}, networks=networks)
        self.planner = Planner(build(discovered(mesh["objects"], told, [])[0], mesh=told))
        self.routes = Routes(self.planner)
        self.gateway_hosts = GatewayHosts(self.planner, self.routes)
        #: `Service namespace/name` → its address.
        self.addresses = {
            f"Service {one['metadata'].get('namespace', 'default')}/{one['metadata']['name']}": one["spec"]["clusterIP"]
            for one in mesh["objects"]
            if one["kind"] == "Service" and one["spec"].get("clusterIP") not in (None, "", "None")
        }
        #: How many hosts and ports had their routes compared.
        self.compared_routes = 0
        by_key = {client.key: client for client in self.planner.clients}
        asked = {one["name"]: f"{one['namespace']}/{one['pod']}" for one in mesh["clients"]}
        unseen = "discoverySelectors" in mesh["mesh"]
        self.clients = {name: self._told(by_key[key]) for name, key in asked.items() if key in by_key or not unseen}

    def _told(self, client: Client) -> Told:
        found = ((one, self.planner.assignment(client, one)) for one in self.planner.destinations(client))
        return Told(client, {destination.cluster: made for destination, made in found if made is not None})


def _retried(retries: Retries | None) -> Json | None:
    """Return a retry policy as istiod writes it; status codes are only a word there."""
    if retries is None:
        return None
    words = [word.strip() for word in retries.retry_on.split(",")]
    named = [word for word in words if not word.isdigit()]
    if len(named) < len(words) and "retriable-status-codes" not in named:
        named.append("retriable-status-codes")
    return {
        "num_retries": retries.attempts,
        "retry_on": ",".join(named),
        "previous_hosts": retries.previous_hosts,
        "remote_localities": retries.remote_localities,
    }


def _shown(place: Locality) -> str:
    """As istiod writes it: up to the first empty part behind the region (util.go, LocalityToString)."""
    if not place.zone:
        return place.region
    return "/".join((place.region, place.zone, place.subzone) if place.subzone else (place.region, place.zone))


def _cluster(planner: Planner, made: Assignment) -> Json:
    zone = made.setting if made.setting and made.setting.zone_aware else None
    return {
        "type": made.type,
        "rule": str(made.rule) if made.rule else "",
        "lb_policy": made.lb_policy,
        "locality_weighted": made.locality_weighted,
        "zone_aware": zone is not None,
        "panic_threshold": made.panic_threshold,
        "outlier_detection": envoy_outlier_detection(made.outlier_detection),
        "max_requests_per_connection": made.max_requests_per_connection or None,
        "connect_timeout": connect_timeout(planner, made),
        "groups": [
            {
                "locality": (group.locality.region, group.locality.zone, group.locality.subzone),
                "priority": group.priority,
                "weight": group.weight,
                "endpoints": sorted((member.host, member.health, member.weight) for member in group.members),
            }
            for group in made.groups
        ],
    }


def _routes(routes: t.Iterable[Json]) -> dict[str, list[Json | None]]:
    """Return cluster → the policies of the routes by which requests for the cluster's own host and port reach it."""
    found: dict[str, list[Json | None]] = {}
    for one in routes:
        _outbound, port, _subset, host = one["cluster"].split("|")
        if one["virtual_host"] == f"{host}:{port}" and one["route"].rpartition(":")[2] == port:
            policy = {
                "num_retries": one["num_retries"],
                "retry_on": one["retry_on"].lstrip(","),
                "previous_hosts": "envoy.retry_host_predicates.previous_hosts" in one["retry_host_predicate"],
                "remote_localities": one["retry_priority"] is not None,
            }
            # A route without a policy and one whose retries are off look alike.
            found.setdefault(one["cluster"], []).append(policy if one["num_retries"] is not None else None)
    return found


def _seen(cluster: Json) -> Json:
    return {
        "type": "CLUSTER_PROVIDED" if cluster["type"] == DYNAMIC else cluster["type"],
        "rule": cluster["rule"],
        "lb_policy": cluster["lb_policy"],
        "locality_weighted": cluster["locality_weighted"],
        "zone_aware": cluster["zone_aware"] is not None,
        "panic_threshold": cluster["panic_threshold"],
        "outlier_detection": parse_outlier_detection(cluster["outlier_detection"]),
        "max_requests_per_connection": cluster["max_requests_per_connection"],
        "connect_timeout": parse_duration(cluster["connect_timeout"]),
        "groups": [
            {
                "locality": (group["region"], group["zone"], group["sub_zone"]),
                "priority": group["priority"],
                "weight": group["weight"] or 0,  # none where the gateways of networks leave no endpoint
                "endpoints": sorted(
                    (one["address"].removeprefix("unix:"), one["health"], one["weight"]) for one in group["endpoints"]
                ),
            }
            for group in cluster["groups"] or ()
        ],
    }


def differences(plan: Plan, answer: Json) -> list[str]:
    """Return in what our plan differs from the oracle's answer, one sentence each; nothing when they agree.

    Left out is what istiod itself decides by chance: overlapping keys of distribute, and hosts that are defined several
    times in a way that depends on what is read or asked first (Scopes.uncertain). Retries are compared where the answer
    has them, for the routes by which requests for a cluster's own host and port reach it.
    """
    if not answer.get("clients"):
        return [f"istiod: error: {answer['error']}"]
    return [
        f"{client['name']}: {what}"
        for client in answer["clients"]
        if client["name"] in plan.clients
        for what in _of_client(plan, plan.clients[client["name"]], client)
    ]


def kind(difference: str) -> str:
    """Return what a difference is about, without whom it concerns and how."""
    parts = difference.split(": ")
    return parts[2] if len(parts) > 3 else parts[1].rpartition("|")[2].partition(" ")[2] or parts[1][:20]


def _of_client(plan: Plan, ours: Told, theirs: Json) -> t.Iterator[str]:
    planner = plan.planner
    place = _shown(ours.client.locality)
    if place != theirs["locality"]:
        yield f"locality: ours {place!r}, istiod {theirs['locality']!r}"
    seen = {cluster["name"]: cluster for cluster in theirs["clusters"]}
    routes = _routes(theirs.get("retries") or ())
    if theirs.get("error") and "panic" not in theirs["error"]:
        yield f"istiod: error: {theirs['error']}"
    # The oracle goes on without the Services that istiod dies of.
    dead = {name.rpartition("|")[2] for name, cluster in seen.items() if cluster.get("panic")}
    dying = {made.destination.host for made in ours.assignment.values() if made.crash}
    uncertain = planner.scopes.uncertain(ours.client)
    for host in sorted((dead ^ dying) - uncertain):
        yield f"{host}: crash: only {'istiod dies' if host in dead else 'our plan says so'}"
    uncertain |= dead | dying
    for name in sorted({*ours.assignment, *seen}):
        made = ours.assignment.get(name)
        if name.rpartition("|")[2] in uncertain:
            continue
        if made is None or name not in seen:
            yield f"{name} is only in {'istiod' if made is None else 'our plan'}"
            continue
        one, other = _cluster(planner, made), _seen(seen[name])
        if not made.chance:
            yield from (f"{name}: {field}: {told_by}" for field, told_by in _fields(one, other))
        if name in routes:
            way = route(planner, ours.client, made, plan.routes)
            policy = _retried(way.retries)
            if policy != routes[name][0] or (not way.several and any(one != policy for one in routes[name])):
                yield f"{name}: retries: ours {policy!r}, istiod {routes[name]!r}"
    yield from _differing_routes(plan, ours, theirs, uncertain)
    yield from _differing_chains(plan, ours, theirs)
    # not_judged says of such a gateway that its Gateways are not known.
    if not GatewayServers(planner).shares_address(ours.client):
        yield from _differing_gateway_hosts(plan, ours, theirs, uncertain)
        yield from _differing_gateway_chains(plan, ours, theirs)


def _ours_route(route: EnvoyRoute) -> Json:
    """Return a route of ours in the form of the oracle's."""
    retries = route.retries if route.targets else None
    total = sum(target.weight for target in route.targets) or 1
    return {
        "match": (route.match.path, route.match.headers, route.match.query, len(route.match.claims)),
        "clusters": [
            (to.cluster if to.host else "UnknownService", round(weight / total, 9)) for to, weight in route.targets
        ],
        "redirect": route.status if route.answer == REDIRECT else 0,
        "direct": route.status if route.answer == DIRECT else 0,
        "missing": route.missing if not route.answer else 0,
        "timeout": route.timeout or 0.0,
        "retries": _retried(retries),
        "per_try": (retries.per_try_timeout or 0.0) if retries else 0.0,
        "fault": tuple(round(value, 9) for value in route.fault),
        "mirrors": [(to.cluster, round(share, 9)) for to, share in route.mirrors],
    }


def _their_route(one: Json) -> Json:
    total = sum(cluster["weight"] for cluster in one["clusters"]) or 1
    retry = one["retry"]
    policy = {
        "num_retries": retry["num_retries"],
        "retry_on": retry["retry_on"].lstrip(","),
        "previous_hosts": "envoy.retry_host_predicates.previous_hosts" in (retry["retry_host_predicate"] or ()),
        "remote_localities": retry["retry_priority"] is not None,
    }
    return {
        "match": ((one["path"], one["text"]), tuple(one["headers"]), tuple(one["query"]), one["claims"]),
        "clusters": [(cluster["cluster"], round(cluster["weight"] / total, 9)) for cluster in one["clusters"]],
        "redirect": one["redirect"],
        "direct": one["direct"],
        "missing": one["missing"],
        "timeout": one["timeout"],
        "retries": policy if retry["num_retries"] is not None else None,
        "per_try": one["per_try"],
        "fault": tuple(round(one[name], 9) for name in ("abort", "abort_status", "delayed", "delay")),
        "mirrors": [(mirror["cluster"], round(mirror["weight"], 9)) for mirror in one["mirrors"]],
    }


def _served(routes: t.Sequence[Json], host: str, port: int) -> list[Json] | None:
    """Return istiod's routes for a host and port: of the virtual host with the host among its domains, None without.

    A port whose protocol Envoy finds out has a configuration of its own, whose only virtual host takes every name.
    """
    own = [one for one in routes if one["configuration"] == f"{host}:{port}"]
    shared = [one for one in routes if one["configuration"] == str(port)]
    named = [one for one in own if one["virtual_host"] == f"{host}:{port}"] or [
        one for one in shared if host in one["domains"] and one["virtual_host"].rpartition(":")[2] == str(port)
    ]
    if named:
        return named
    return [] if own or shared else None


def _differing_routes(plan: Plan, ours: Told, theirs: Json, uncertain: t.Collection[str]) -> t.Iterator[str]:
    """Compare what requests to each host and port meet; of a sidecar only, gateways have other hosts."""
    if ours.client.type != "sidecar" or "routes" not in theirs:
        return
    unlisted = plan.routes.unlisted(ours.client)
    clusters = [] if unlisted.answer == BLACK_HOLE else _our_targets(unlisted)
    for one in theirs["routes"]:
        if one["virtual_host"] in CATCHING:
            plan.compared_routes += 1
            other = _their_route(one)
            theirs_of_it = {"clusters": other["clusters"], "direct": other["direct"]}
            yield from _unequal("unlisted hosts", [{"clusters": clusters, "direct": unlisted.status}], [theirs_of_it])
    for host, service in plan.planner.scope(ours.client).services.items():
        for port in service.ports:
            # An HTTP proxy has one configuration for all ports.
            proxied = plan.planner.scopes.listen_port(ours.client, port.number) == 0
            if proxied or host in uncertain or port.protocol == "UDP" or host.startswith("*"):
                continue
            seen = _served(theirs["routes"], host, port.number)
            found = plan.routes.http(ours.client, host, port.number)
            if seen is None:
                continue
            plan.compared_routes += 1
            told = [_ours_route(one) for one in found or () if one != unlisted]
            yield from _unequal(f"{host}:{port.number}", told, [_their_route(one) for one in seen])


def _unequal(where: str, told: t.Sequence[Json], other: t.Sequence[Json]) -> t.Iterator[str]:
    """Say in what the first route differs that does."""
    for one, two in itertools.zip_longest(told, other):
        if one is None or two is None:
            only = "istiod" if one is None else "our plan"
            yield f"{where}: route is only in {only}: {one or two}"
            return
        if one != two:
            name = next(name for name in one if one[name] != two[name])
            yield f"{where}: route {name}: ours {one[name]!r}, istiod {two[name]!r}"
            return


def _differing_gateway_hosts(plan: Plan, ours: Told, theirs: Json, uncertain: t.Collection[str]) -> t.Iterator[str]:
    """Compare what requests for each host meet that enter by a gateway.

    A destination without a port means the only one that its Service has for the gateway, or else the server's. Which it
    is, is chance where the gateway knows the Service by chance: these ports are alike then, all others are compared.
    """
    if ours.client.type != "router" or "routes" not in theirs:
        return
    http = (one for one in plan.gateway_hosts.of(ours.client) if one.routes and one.routes[0].protocol == "http")
    found = {(one.route_name, one.host): one for one in http}
    seen: dict[tuple[str, str], list[Json]] = {}
    for one in theirs["routes"]:
        for domain in one["domains"]:
            seen.setdefault((one["configuration"], domain), []).append(one)
    redirected = {key for key, one in found.items() if any("httpsRedirect" in each.source for each in one.routes)}
    known = [one for one in plan.planner.snapshot.services if one.host in uncertain]
    for key in sorted({*found, *seen} - redirected):
        plan.compared_routes += 1
        told = [_ours_route(one) for one in found[key].routes] if key in found else []
        other = [_their_route(one) for one in seen.get(key, ())]
        own = found[key].port if key in found else 0
        alike = {(one.host, port) for one in known for port in (own, *(each.number for each in one.ports))}
        for each in (*told, *other):
            for name in ("clusters", "mirrors"):
                each[name] = [(_by_chance(cluster, alike), share) for cluster, share in each[name]]
        yield from _unequal(" ".join(key), told, other)


def _by_chance(cluster: str, alike: t.Collection[tuple[str, int]]) -> str:
    """Return the name of a cluster, with one word for all ports that are alike."""
    direction, port, subset, host = cluster.split("|") if cluster.count("|") == 3 else ("", "0", "", cluster)
    return f"{direction}|by chance|{subset}|{host}" if (host, int(port)) in alike else cluster


Targets = list[tuple[str, float]]


#: istiod's virtual hosts for requests to hosts that a client does not know.
CATCHING = ("allow_any", "allow_any_dynamic_dns", "block_all")
#: Where requests go that are for no host that a client knows.
UNLISTED = {
    PASSTHROUGH: "PassthroughCluster",
    RESOLVED_BY_NAME: "AllowAnyDynamicDNSCluster",
    BLACK_HOLE: "BlackHoleCluster",
}


def _our_targets(route: EnvoyRoute) -> Targets:
    if route.answer in UNLISTED:
        return [(UNLISTED[route.answer], 1.0)]
    total = sum(target.weight for target in route.targets) or 1
    return [(to.cluster if to.host else "UnknownService", round(weight / total, 9)) for to, weight in route.targets]


def _their_targets(chain: Json) -> Targets:
    total = sum(one["weight"] for one in chain["clusters"]) or 1
    return [(one["cluster"], round(one["weight"] / total, 9)) for one in chain["clusters"]]


def _differing_chains(plan: Plan, ours: Told, theirs: Json) -> t.Iterator[str]:
    """Compare where a sidecar's connections to the address of a Service go, on ports that are not HTTP."""
    if ours.client.type != "sidecar" or "chains" not in theirs:
        return
    seen: dict[str, list[Json]] = {}
    for one in theirs["chains"]:
        seen.setdefault(one["configuration"], []).append(one)
    for host, service in plan.planner.scope(ours.client).services.items():
        address = plan.addresses.get(service.source, "")
        for port in service.ports if address else ():
            listener = f"{address}_{port.number}"
            if port.may_be_http or port.protocol == "UDP" or listener not in seen:
                continue
            plan.compared_routes += 1
            told = [
                (sorted(one.match.path[1].split()) if one.match.path[0] == "server name" else [], _our_targets(one))
                for one in plan.routes.connections(ours.client, host, port.number)
            ]
            told = [([] if "*" in names else names, targets) for names, targets in told]
            other = [(sorted(one["domains"]), _their_targets(one)) for one in seen[listener]]
            if told != other:
                yield f"{host}:{port.number}: chains: ours {told!r}, istiod {other!r}"


def _differing_gateway_chains(plan: Plan, ours: Told, theirs: Json) -> t.Iterator[str]:
    """Compare where connections go that enter by a gateway which does not look into them."""
    if ours.client.type != "router" or "chains" not in theirs:
        return
    told: dict[tuple[str, str], list[Targets]] = {}
    for one in plan.gateway_hosts.of(ours.client):
        if one.routes and one.routes[0].protocol != "http":
            told.setdefault((one.route_name, one.host), []).append(_our_targets(one.routes[0]))
    seen: dict[tuple[str, str], list[Targets]] = {}
    for chain in theirs["chains"]:
        for name in chain["domains"] or ["*"]:
            seen.setdefault((chain["configuration"], name), []).append(_their_targets(chain))
    for key in sorted({*told, *seen}):
        plan.compared_routes += 1
        if told.get(key) != seen.get(key):
            yield f"{' '.join(key)}: chains: ours {told.get(key)!r}, istiod {seen.get(key)!r}"


def _fields(one: Json, other: Json) -> t.Iterator[tuple[str, str]]:
    for field in one:
        if one[field] != other[field]:
            yield field, f"ours {one[field]!r}, istiod {other[field]!r}"
