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
        settings = Mesh(version=version, config=mesh["mesh"], features=features or {}, networks=networks)
        self.planner = Planner(build(discovered(mesh["objects"], settings, [])[0], mesh=settings))
        self.routes = Routes(self.planner)
        self.gateway_hosts = GatewayHosts(self.planner, self.routes)
        #: `Service namespace/name` → its address.
        self.addresses = {
            f"Service {item['metadata'].get('namespace', 'default')}/{item['metadata']['name']}": item["spec"][
                "clusterIP"
            ]
            for item in mesh["objects"]
            if item["kind"] == "Service" and item["spec"].get("clusterIP") not in (None, "", "None")
        }
        #: How many hosts and ports had their routes compared.
        self.compared_routes = 0
        # The first of a class answers for all of it, as in forecasts: a class holds only clients with equal answers.
        by_key = {client.key: kind.representative for kind in self.planner.classes for client in kind.members}
        asked = {client["name"]: f"{client['namespace']}/{client['pod']}" for client in mesh["clients"]}
        unseen = "discoverySelectors" in mesh["mesh"]
        self.clients = {name: self._told(by_key[key]) for name, key in asked.items() if key in by_key or not unseen}

    def _told(self, client: Client) -> Told:
        assignments = (
            (destination, self.planner.assignment(client, destination))
            for destination in self.planner.destinations(client)
        )
        return Told(
            client,
            {destination.cluster: assignment for destination, assignment in assignments if assignment is not None},
        )


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


def _cluster(planner: Planner, assignment: Assignment) -> Json:
    zone = assignment.setting if assignment.setting and assignment.setting.zone_aware else None
    return {
        "type": assignment.type,
        "rule": str(assignment.rule) if assignment.rule else "",
        "lb_policy": assignment.lb_policy,
        "locality_weighted": assignment.locality_weighted,
        "zone_aware": zone is not None,
        "panic_threshold": assignment.panic_threshold,
        "outlier_detection": envoy_outlier_detection(assignment.outlier_detection),
        "max_requests_per_connection": assignment.max_requests_per_connection or None,
        "connect_timeout": connect_timeout(planner, assignment),
        "groups": [
            {
                "locality": (group.locality.region, group.locality.zone, group.locality.subzone),
                "priority": group.priority,
                "weight": group.weight,
                "endpoints": sorted((member.host, member.health, member.weight) for member in group.members),
            }
            for group in assignment.groups
        ],
    }


def _routes(routes: t.Iterable[Json]) -> dict[str, list[Json | None]]:
    """Return cluster → the policies of the routes by which requests for the cluster's own host and port reach it."""
    by_host: dict[str, list[Json | None]] = {}
    for seen_route in routes:
        _outbound, port, _subset, host = seen_route["cluster"].split("|")
        if seen_route["virtual_host"] == f"{host}:{port}" and seen_route["route"].rpartition(":")[2] == port:
            policy = {
                "num_retries": seen_route["num_retries"],
                "retry_on": seen_route["retry_on"].lstrip(","),
                "previous_hosts": "envoy.retry_host_predicates.previous_hosts" in seen_route["retry_host_predicate"],
                "remote_localities": seen_route["retry_priority"] is not None,
            }
            # A route without a policy and one whose retries are off look alike.
            by_host.setdefault(seen_route["cluster"], []).append(
                policy if seen_route["num_retries"] is not None else None
            )
    return by_host


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
                    (endpoint["address"].removeprefix("unix:"), endpoint["health"], endpoint["weight"])
                    for endpoint in group["endpoints"]
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
    dying = {assigned.destination.host for assigned in ours.assignment.values() if assigned.crash}
    uncertain = planner.scopes.uncertain(ours.client)
    for host in sorted((dead ^ dying) - uncertain):
        yield f"{host}: crash: only {'istiod dies' if host in dead else 'our plan says so'}"
    uncertain |= dead | dying
    for name in sorted({*ours.assignment, *seen}):
        assignment = ours.assignment.get(name)
        if name.rpartition("|")[2] in uncertain:
            continue
        if assignment is None or name not in seen:
            yield f"{name} is only in {'istiod' if assignment is None else 'our plan'}"
            continue
        computed, other = _cluster(planner, assignment), _seen(seen[name])
        if not assignment.chance:
            yield from (f"{name}: {field}: {told_by}" for field, told_by in _fields(computed, other))
        if name in routes:
            way = route(planner, ours.client, assignment, plan.routes)
            policy = _retried(way.retries)
            if policy != routes[name][0] or (
                not way.several and any(configuration != policy for configuration in routes[name])
            ):
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


def _their_route(configured: Json) -> Json:
    total = sum(cluster["weight"] for cluster in configured["clusters"]) or 1
    retry = configured["retry"]
    policy = {
        "num_retries": retry["num_retries"],
        "retry_on": retry["retry_on"].lstrip(","),
        "previous_hosts": "envoy.retry_host_predicates.previous_hosts" in (retry["retry_host_predicate"] or ()),
        "remote_localities": retry["retry_priority"] is not None,
    }
    return {
        "match": (
            (configured["path"], configured["text"]),
            tuple(configured["headers"]),
            tuple(configured["query"]),
            configured["claims"],
        ),
        "clusters": [(cluster["cluster"], round(cluster["weight"] / total, 9)) for cluster in configured["clusters"]],
        "redirect": configured["redirect"],
        "direct": configured["direct"],
        "missing": configured["missing"],
        "timeout": configured["timeout"],
        "retries": policy if retry["num_retries"] is not None else None,
        "per_try": configured["per_try"],
        "fault": tuple(round(configured[name], 9) for name in ("abort", "abort_status", "delayed", "delay")),
        "mirrors": [(mirror["cluster"], round(mirror["weight"], 9)) for mirror in configured["mirrors"]],
    }


def _served(routes: t.Sequence[Json], host: str, port: int) -> list[Json] | None:
    """Return istiod's routes for a host and port: of the virtual host with the host among its domains, None without.

    A port whose protocol Envoy finds out has a configuration of its own, whose only virtual host takes every name.
    """
    own = [seen_route for seen_route in routes if seen_route["configuration"] == f"{host}:{port}"]
    shared = [seen_route for seen_route in routes if seen_route["configuration"] == str(port)]
    named = [configured for configured in own if configured["virtual_host"] == f"{host}:{port}"] or [
        configured
        for configured in shared
        if host in configured["domains"] and configured["virtual_host"].rpartition(":")[2] == str(port)
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
    for seen_route in theirs["routes"]:
        if seen_route["virtual_host"] in CATCHING:
            plan.compared_routes += 1
            other = _their_route(seen_route)
            theirs_of_it = {"clusters": other["clusters"], "direct": other["direct"]}
            yield from _unequal("unlisted hosts", [{"clusters": clusters, "direct": unlisted.status}], [theirs_of_it])
    yield from _differing_unlisted_hosts(plan, ours, theirs, uncertain)
    for host, service in plan.planner.scope(ours.client).services.items():
        for port in service.ports:
            # An HTTP proxy has one configuration for all ports.
            proxied = plan.planner.scopes.listen_port(ours.client, port.number) == 0
            if proxied or host in uncertain or port.protocol == "UDP" or host.startswith("*"):
                continue
            seen = _served(theirs["routes"], host, port.number)
            http_routes = plan.routes.http(ours.client, host, port.number)
            if seen is None:
                continue
            plan.compared_routes += 1
            computed = [
                _ours_route(computed_route) for computed_route in http_routes or () if computed_route != unlisted
            ]
            yield from _unequal(f"{host}:{port.number}", computed, [_their_route(seen_route) for seen_route in seen])


def _differing_unlisted_hosts(plan: Plan, ours: Told, theirs: Json, uncertain: t.Collection[str]) -> t.Iterator[str]:
    """Compare the routes for hosts that no Service of a port has, where a sidecar listens for HTTP to any address.

    Not names of the cluster, and not where a Service is there by chance.
    """
    scopes = plan.planner.scopes
    heard = set(scopes.http_ports(ours.client))
    computed = {(host, port) for host, port, _virtual in plan.routes.unlisted_hosts(ours.client)}
    seen: dict[tuple[str, int], list[Json]] = {}
    for seen_route in theirs["routes"]:
        port = seen_route["configuration"]
        if seen_route["virtual_host"] in CATCHING or not port.isdecimal() or int(port) not in heard:
            continue
        host = seen_route["virtual_host"].rpartition(":")[0]
        if ".svc." not in host and host not in scopes.registry(ours.client, int(port)):
            seen.setdefault((host, int(port)), []).append(seen_route)
    for host, port in sorted({*computed, *seen}):
        if host in uncertain:
            continue
        plan.compared_routes += 1
        routes = plan.routes.http(ours.client, host, port) or () if (host, port) in computed else ()
        other = [_their_route(seen_route) for seen_route in seen.get((host, port), ())]
        yield from _unequal(f"unlisted {host}:{port}", [_ours_route(each) for each in routes], other)


def _unequal(where: str, computed: t.Sequence[Json], other: t.Sequence[Json]) -> t.Iterator[str]:
    """Say in what the first route differs that does."""
    for first, two in itertools.zip_longest(computed, other):
        if first is None or two is None:
            only = "istiod" if first is None else "our plan"
            yield f"{where}: route is only in {only}: {first or two}"
            return
        if first != two:
            name = next(name for name in first if first[name] != two[name])
            yield f"{where}: route {name}: ours {first[name]!r}, istiod {two[name]!r}"
            return


def _differing_gateway_hosts(plan: Plan, ours: Told, theirs: Json, uncertain: t.Collection[str]) -> t.Iterator[str]:
    """Compare what requests for each host meet that enter by a gateway.

    A destination without a port means the only one that its Service has for the gateway, or else the server's, and one
    that is an alias means what that stands for. Which it is, is chance where the gateway knows the Service by chance:
    these ports and names are alike then, all others are compared.
    """
    if ours.client.type != "router" or "routes" not in theirs:
        return
    http = (
        gateway_host
        for gateway_host in plan.gateway_hosts.of(ours.client)
        if gateway_host.routes and gateway_host.routes[0].protocol == "http"
    )
    by_host = {(entry.route_name, entry.host): entry for entry in http}
    seen: dict[tuple[str, str], list[Json]] = {}
    for seen_route in theirs["routes"]:
        for domain in seen_route["domains"]:
            seen.setdefault((seen_route["configuration"], domain), []).append(seen_route)
    redirected = {key for key, entry in by_host.items() if any("httpsRedirect" in each.source for each in entry.routes)}
    known = [service for service in plan.planner.snapshot.services if service.host in uncertain]
    for key in sorted({*by_host, *seen} - redirected):
        plan.compared_routes += 1
        computed = [_ours_route(computed_route) for computed_route in by_host[key].routes] if key in by_host else []
        other = [_their_route(seen_route) for seen_route in seen.get(key, ())]
        own = by_host[key].port if key in by_host else 0
        alike = {
            (name, port): service.host
            for service in known
            for name in filter(None, (service.host, service.alias_for))
            for port in (own, *(each.number for each in service.ports))
        }
        for each in (*computed, *other):
            for name in ("clusters", "mirrors"):
                each[name] = [(_by_chance(cluster, alike), share) for cluster, share in each[name]]
            if each["retries"] and any(cluster.rpartition("|")[2] in uncertain for cluster, _share in each["clusters"]):
                # Whether the Service's rule hashes is known with the Service only.
                each["retries"]["previous_hosts"] = None
        yield from _unequal(" ".join(key), computed, other)


def _by_chance(cluster: str, alike: t.Mapping[tuple[str, int], str]) -> str:
    """Return the name of a cluster, with one word for all ports that are alike, and one host for all names."""
    direction, port, subset, host = cluster.split("|") if cluster.count("|") == 3 else ("", "0", "", cluster)
    same = alike.get((host, int(port)))
    return f"{direction}|by chance|{subset}|{same}" if same else cluster


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
    total = sum(cluster["weight"] for cluster in chain["clusters"]) or 1
    return [(cluster["cluster"], round(cluster["weight"] / total, 9)) for cluster in chain["clusters"]]


def _differing_chains(plan: Plan, ours: Told, theirs: Json) -> t.Iterator[str]:
    """Compare where a sidecar's connections to the address of a Service go, on ports that are not HTTP."""
    if ours.client.type != "sidecar" or "chains" not in theirs:
        return
    seen: dict[str, list[Json]] = {}
    for chain in theirs["chains"]:
        seen.setdefault(chain["configuration"], []).append(chain)
    for host, service in plan.planner.scope(ours.client).services.items():
        address = plan.addresses.get(service.source, "")
        for port in service.ports if address else ():
            listener = f"{address}_{port.number}"
            if port.may_be_http or port.protocol == "UDP" or listener not in seen:
                continue
            plan.compared_routes += 1
            chains = [
                (
                    sorted(connection.match.path[1].split()) if connection.match.path[0] == "server name" else [],
                    _our_targets(connection),
                )
                for connection in plan.routes.connections(ours.client, host, port.number)
            ]
            chains = [([] if "*" in names else names, targets) for names, targets in chains]
            other = [(sorted(chain["domains"]), _their_targets(chain)) for chain in seen[listener]]
            if chains != other:
                yield f"{host}:{port.number}: chains: ours {chains!r}, istiod {other!r}"


def _differing_gateway_chains(plan: Plan, ours: Told, theirs: Json) -> t.Iterator[str]:
    """Compare where connections go that enter by a gateway which does not look into them."""
    if ours.client.type != "router" or "chains" not in theirs:
        return
    chains: dict[tuple[str, str], list[Targets]] = {}
    for gateway_host in plan.gateway_hosts.of(ours.client):
        if gateway_host.routes and gateway_host.routes[0].protocol != "http":
            chains.setdefault((gateway_host.route_name, gateway_host.host), []).append(
                _our_targets(gateway_host.routes[0])
            )
    seen: dict[tuple[str, str], list[Targets]] = {}
    for chain in theirs["chains"]:
        for name in chain["domains"] or ["*"]:
            seen.setdefault((chain["configuration"], name), []).append(_their_targets(chain))
    for key in sorted({*chains, *seen}):
        plan.compared_routes += 1
        if chains.get(key) != seen.get(key):
            yield f"{' '.join(key)}: chains: ours {chains.get(key)!r}, istiod {seen.get(key)!r}"


def _fields(entry: Json, other: Json) -> t.Iterator[tuple[str, str]]:
    for field in entry:
        if entry[field] != other[field]:
            yield field, f"ours {entry[field]!r}, istiod {other[field]!r}"
