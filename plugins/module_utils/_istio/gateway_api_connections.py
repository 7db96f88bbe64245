# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TCPRoutes and TLSRoutes of the Gateway API, as the VirtualServices that istiod makes of them.

Source: istio 1.31 pilot/pkg/config/kube/gateway/route_collections.go (TCPRouteCollection, TLSRouteCollection) and
conversion.go (convertTCPRoute, convertTLSRoute, buildTCPDestination, augmentTCPPortMatch, augmentTLSPortMatch,
compatibleRoutesForHost, constrainTLSRoutesToListenerHost).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_backends import (
    SEMANTICS,
    RefusedRoute,
    destination_of,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_gateways import (
    SUFFIX,
    Listener,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_parents import (
    MESH,
    Permitted,
    RouteParent,
    parents,
    permitted_backends,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import intersection, overlaps
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_source import RouteSource
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items, mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Config, Json, Snapshot

#: The annotation that names the route of which istiod made a VirtualService.
PARENTS = "internal.istio.io/parents"
#: Where istiod sends connections that no backend may get: a cluster that there is not.
_NOWHERE = {"host": "internal.cluster.local", "subset": "zero-weight", "port": {"number": 65535}}


def virtual_services(snapshot: Snapshot, listeners: t.Sequence[Listener]) -> list[Config]:
    """Return the VirtualServices of a snapshot's TCPRoutes and TLSRoutes."""
    configs: list[Config] = []
    for kind, field, routes in (("TCPRoute", "tcp", snapshot.tcp_routes), ("TLSRoute", "tls", snapshot.tls_routes)):
        for route in routes:
            attached: list[tuple[RouteParent, str, list[Json]]] = []
            rules: dict[bool, list[Json]] = {}
            for parent in parents(route, kind, snapshot, listeners):
                inside = parent.gateway == MESH
                if inside not in rules:
                    rules[inside] = _rules(route, kind, permitted_backends(route, kind, snapshot, parent))
                bound = _tls if field == "tls" else _tcp
                attached += [(parent, host, own) for host, own in bound(route, parent, rules[inside])]
            for count, (parent, host, own) in enumerate(attached):
                spec = {"hosts": [host], "gateways": [parent.gateway], field: own}
                annotations = {**SEMANTICS, PARENTS: f"{kind}/{route.name}.{route.namespace}"}
                name = f"{route.name}~{field}~{count}~{SUFFIX}"
                configs.append(Config(route.namespace, name, spec, route.created, {}, annotations, route.domain))
    return configs


def _rules(route: Config, kind: str, permitted: Permitted) -> list[Json]:
    """Return the rules of a route, nothing when istiod refuses one of them."""
    rules = []
    for position, given in enumerate(items(route.spec.get("rules"))):
        backends = [mapping(backendref) or {} for backendref in items((mapping(given) or {}).get("backendRefs"))]
        rule: Json = {"source": RouteSource.of(kind, route, f"rules[{position}]")}
        wanted = [(backend, weight) for backend in backends if (weight := number(backend.get("weight"), 1))]
        if not wanted:
            rule["route"] = [{"destination": _NOWHERE, "weight": 0}]
        else:
            try:
                rule["route"] = [
                    {
                        "destination": destination_of(backend, route, permitted)[0],
                        "weight": weight if len(wanted) > 1 else 0,
                    }
                    for backend, weight in wanted
                ]
            except RefusedRoute:
                return []
            if kind == "TLSRoute":
                names = [str(hostname) for hostname in items(route.spec.get("hostnames"))] or ["*"]
                rule["match"] = [{"sniHosts": names}]
        rules.append(rule)
    return rules


def _tcp(_route: Config, parent: RouteParent, rules: list[Json]) -> t.Iterator[tuple[str, list[Json]]]:
    """Yield (host, rules) of the VirtualServices for one parent."""
    if parent.listener is not None:
        yield "*", rules
    else:
        own = [{**rule, "match": [{"port": parent.port}]} for rule in rules] if parent.port else rules
        for host in parent.hosts:
            yield host, own


def _tls(route: Config, parent: RouteParent, rules: list[Json]) -> t.Iterator[tuple[str, list[Json]]]:
    """Yield (host, rules) of the VirtualServices for one parent."""
    if parent.listener is None:
        for host in parent.hosts:
            yield host, [_for_host(rule, host, parent) for rule in rules]
        return
    hosts = [str(hostname) for hostname in items(route.spec.get("hostnames"))] or ["*"]
    if own := parent.listener.hostname:
        hosts = intersection(hosts, [own])
        rules = [narrowed for narrowed in (_narrowed(rule, own) for rule in rules) if narrowed is not None]
    for host in hosts:
        yield host, rules


def _for_host(rule: Json, host: str, parent: RouteParent) -> Json:
    if "match" not in rule:
        return rule
    names = rule["match"][0]["sniHosts"]
    names = list(parent.hosts) if names == ["*"] else names
    if len(names) > 1:
        names = [name for name in names if overlaps(host, name)]
    return {**rule, "match": [{"sniHosts": names, **({"port": parent.port} if parent.port else {})}]}


def _narrowed(rule: Json, hostname: str) -> Json | None:
    if "match" not in rule:
        return rule
    names = intersection(rule["match"][0]["sniHosts"], [hostname])
    return {**rule, "match": [{"sniHosts": names}]} if names else None
