# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTPRoutes and GRPCRoutes of the Gateway API, as VirtualServices: for Services and ServiceEntries inside the mesh,
and for listeners of Gateways.

istiod makes the same of them. Source: istio 1.31 pilot/pkg/config/kube/gateway/route_collections.go
(HTTPRouteCollection, GRPCRouteCollection, mergeHTTPRoutes) and conversion.go (convertHTTPRoute, convertGRPCRoute,
sortHTTPRoutes).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.durations import parse_duration
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_backends import (
    SEMANTICS,
    RefusedRoute,
    destination_of,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_gateways import SUFFIX, Listener
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_parents import (
    MESH,
    Permitted,
    parents,
    permitted_backends,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_source import RouteSource
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items, mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Config, Json, Snapshot

Part = t.Mapping[str, t.Any]

_HTTP_FILTERS = frozenset(
    ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "RequestMirror", "URLRewrite", "CORS")
)
_GRPC_FILTERS = frozenset(("RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror"))
#: What is tried again as soon as a rule says anything about retries.
_RETRIED = ("connect-failure", "refused-stream", "unavailable", "cancelled")


def virtual_services(snapshot: Snapshot, listeners: t.Sequence[Listener], no_backends_status: int) -> list[Config]:
    """Return the VirtualServices that istiod makes of a snapshot's HTTPRoutes and GRPCRoutes."""
    by_key: dict[str, list[tuple[tuple[str, str, str], Config]]] = {}
    conversions: tuple[tuple[str, t.Callable[..., t.Iterator[Json]], tuple[Config, ...]], ...] = (
        ("HTTPRoute", functools.partial(_http, no_backends_status=no_backends_status), snapshot.http_routes),
        ("GRPCRoute", _grpc, snapshot.grpc_routes),
    )
    for kind, convert, routes in conversions:
        for route in routes:
            for count, (key, host, gateway, http) in enumerate(_bound(route, kind, convert, snapshot, listeners)):
                spec = {"hosts": [host], "gateways": [gateway], "http": http}
                name, annotations = key.replace("/", "~"), dict(SEMANTICS)
                config = dataclasses.replace(route, name=name, spec=spec, labels={}, annotations=annotations)
                age = (route.created, route.namespace, f"{route.name}~{count}~{SUFFIX}")
                by_key.setdefault(key, []).append((age, config))
    configs = []
    for some in by_key.values():
        some.sort(key=lambda entry: entry[0])
        first = some[0][1]
        http = [rule for _age, virtual in some for rule in virtual.spec["http"]]
        spec = {**first.spec, "http": _sorted(http)}
        configs.append(dataclasses.replace(first, spec=spec))
    return configs


def _bound(
    route: Config,
    kind: str,
    convert: t.Callable[..., t.Iterator[Json]],
    snapshot: Snapshot,
    listeners: t.Sequence[Listener],
) -> t.Iterator[tuple[str, str, str, list[Json]]]:
    """Yield (key of what is merged, host, gateway, rules) of the parents of a route."""
    rules: dict[bool, list[Json]] = {}
    for parent in parents(route, kind, snapshot, listeners):
        inside = parent.gateway == MESH
        if inside not in rules:
            try:
                rules[inside] = list(convert(route, permitted_backends(route, kind, snapshot, parent)))
            except RefusedRoute:
                rules[inside] = []
        own = [_on_port(rule, parent.port) for rule in rules[inside]] if parent.port else rules[inside]
        if not own:
            continue
        if parent.listener is None:
            place = f"{route.namespace}/{parent.port}" if parent.port else route.namespace
            for host in parent.hosts:
                yield f"{place}/{host}", host, MESH, _sorted(own)
        else:
            for host in [str(hostname) for hostname in items(route.spec.get("hostnames"))] or ["*"]:
                if parent.allows(host):
                    yield f"{parent.gateway}/{host}", host, parent.gateway, _sorted(own)


def _on_port(rule: Json, port: int) -> Json:
    return {**rule, "match": [{**match, "port": port} for match in rule.get("match") or [{}]]}


def _http(route: Config, permitted: Permitted, no_backends_status: int) -> t.Iterator[Json]:
    for position, given in enumerate(items(route.spec.get("rules"))):
        rule = mapping(given) or {}
        for match in items(rule.get("matches")) or [None]:
            translated = _named(rule, route, "HTTPRoute", position)
            if match is not None:
                translated["match"] = [_http_match(mapping(match) or {})]
            _filters(rule, translated, route, _HTTP_FILTERS, permitted)
            _retries(rule, translated)
            _backends(rule, translated, route, permitted)
            if "directResponse" in translated and not items(rule.get("backendRefs")):
                translated["directResponse"] = {"status": no_backends_status}
            yield translated


def _grpc(route: Config, permitted: Permitted) -> t.Iterator[Json]:
    for position, given in enumerate(items(route.spec.get("rules"))):
        rule = mapping(given) or {}
        for match in items(rule.get("matches")) or [None]:
            translated = _named(rule, route, "GRPCRoute", position)
            if match is not None:
                translated["match"] = [_grpc_match(mapping(match) or {})]
            _filters(rule, translated, route, _GRPC_FILTERS, permitted)
            _backends(rule, translated, route, permitted)
            yield translated


def _named(rule: Part, route: Config, kind: str, position: int) -> Json:
    """Return a rule with its name in Envoy, and `source`: where a person finds it."""
    return {
        "name": str(rule.get("name") or f"{route.namespace}.{route.name}.{position}"),
        "source": RouteSource.of(kind, route, f"rules[{position}]"),
    }


def _http_match(given: Part) -> Json:
    match: Json = {}
    path = mapping(given.get("path"))
    kind, value = str((path or {}).get("type") or "PathPrefix"), str((path or {}).get("value") or "/")
    if kind == "PathPrefix":
        match["uri"] = {"prefix": value if value == "/" else value.removesuffix("/")}
    elif kind in ("Exact", "RegularExpression"):
        match["uri"] = {"exact" if kind == "Exact" else "regex": value}
    else:
        raise RefusedRoute
    for field, name in (("headers", "headers"), ("queryParams", "queryParams")):
        if texts := _texts(given.get(field)):
            match[name] = texts
    if given.get("method"):
        match["method"] = {"exact": str(given["method"])}
    return match


def _grpc_match(given: Part) -> Json:
    match: Json = {}
    method_match = mapping(given.get("method"))
    if method_match is not None:
        service, method = method_match.get("service"), method_match.get("method")
        kind = str(method_match.get("type") or "Exact")
        if (service is None and method is None) or kind not in ("Exact", "RegularExpression"):
            raise RefusedRoute
        if kind == "RegularExpression" and method is None:
            match["uri"] = {"regex": f"/{service}/.+"}
        elif service is None:
            match["uri"] = {"regex": f"/[^/]+/{method}"}
        elif method is None:
            match["uri"] = {"prefix": f"/{service}/"}
        else:
            match["uri"] = {"exact" if kind == "Exact" else "regex": f"/{service}/{method}"}
    if texts := _texts(given.get("headers")):
        match["headers"] = texts
    return match


def _texts(given: t.Any) -> Json:
    matches: Json = {}
    for entry in items(given):
        match = mapping(entry) or {}
        kind = str(match.get("type") or "Exact")
        if kind not in ("Exact", "RegularExpression"):
            raise RefusedRoute
        matches[str(match.get("name") or "")] = {"exact" if kind == "Exact" else "regex": str(match.get("value") or "")}
    return matches


def _filters(rule: Part, translated: Json, route: Config, known: frozenset[str], permitted: Permitted) -> None:
    mirrors = []
    for entry in items(rule.get("filters")):
        route_filter = mapping(entry) or {}
        kind = route_filter.get("type")
        if kind not in known:
            raise RefusedRoute
        if kind == "RequestRedirect":
            translated["redirect"] = {
                "redirectCode": number((mapping(route_filter.get("requestRedirect")) or {}).get("statusCode"), 302)
            }
        elif kind == "RequestMirror":
            mirror = mapping(route_filter.get("requestMirror")) or {}
            destination, exists = destination_of(mapping(mirror.get("backendRef")) or {}, route, permitted)
            if exists:
                mirrors.append({"destination": destination, "percentage": {"value": _mirrored(mirror)}})
    if mirrors:
        translated["mirrors"] = mirrors


def _mirrored(mirror: Part) -> float:
    fraction = mapping(mirror.get("fraction"))
    if fraction is not None:
        return 100 * number(fraction.get("numerator")) / (number(fraction.get("denominator")) or 100)
    return float(number(mirror.get("percent"), 100))


def _retries(rule: Part, translated: Json) -> None:
    retry = mapping(rule.get("retry"))
    if retry is not None:
        attempts = number(retry.get("attempts"), 2)
        codes = [str(number(code)) for code in items(retry.get("codes"))]
        translated["retries"] = {"attempts": attempts}
        if attempts:
            translated["retries"]["retryOn"] = ",".join([*_RETRIED, *codes])
    limits = mapping(rule.get("timeouts")) or {}
    if parse_duration(limits.get("request")):
        translated["timeout"] = limits["request"]
    if parse_duration(limits.get("backendRequest")):
        if "retries" in translated:
            translated["retries"]["perTryTimeout"] = limits["backendRequest"]
        else:
            translated["timeout"] = limits["backendRequest"]


def _backends(rule: Part, translated: Json, route: Config, permitted: Permitted) -> None:
    given = [mapping(backendref) or {} for backendref in items(rule.get("backendRefs"))]
    weights = [number(backend.get("weight"), 1) for backend in given]
    if not sum(weights) and "redirect" not in translated:
        translated["directResponse"] = {"status": 500}
        return
    wanted = [(backend, weight) for backend, weight in zip(given, weights, strict=True) if weight]
    translated["route"] = [
        {"destination": destination_of(backend, route, permitted)[0], "weight": weight if len(wanted) > 1 else 0}
        for backend, weight in wanted
    ]


def _sorted(rules: t.Sequence[Json]) -> list[Json]:
    """Return rules as the Gateway API orders them: exact paths first, longer ones, a method, headers, query."""
    return sorted(rules, key=functools.cmp_to_key(_before))


def _before(rule: Json, other: Json) -> int:
    if not rule.get("match") or not other.get("match"):
        return bool(other.get("match")) - bool(rule.get("match"))
    left, right = _rank(rule["match"][0]), _rank(other["match"][0])
    return (left < right) - (left > right)


def _rank(match: Part) -> tuple[int, int, bool, int, int]:
    uri = mapping(match.get("uri")) or {}
    kind = next((name for name in ("exact", "prefix", "regex") if name in uri), "")
    rank = {"exact": 3, "prefix": 2, "regex": 1}.get(kind, -1)
    return (
        rank,
        len(str(uri[kind])) if kind else 0,
        match.get("method") is not None,
        len(match.get("headers") or ()),
        len(match.get("queryParams") or ()),
    )
