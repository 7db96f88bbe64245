# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VirtualServices that istiod works with: names completed, delegates merged into their roots, Gateway API routes.

Source: istio 1.31 pilot/pkg/model/virtualservice_controller.go (mergeVirtualServices) and virtualservice.go
(ResolveVirtualServiceShortnames, MergeHTTPRoutes, hasConflict, stringMatchConflict).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections import abc

from ansible_collections.meshops.locality.plugins.module_utils._istio import (
    gateway_api_connections,
    gateway_api_routes,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_gateways import Listener
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_parents import MESH
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import resolve
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_source import RouteSource
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items, mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import Semantics
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Config, Json, Snapshot

Part = t.Mapping[str, t.Any]

#: What a delegate takes from its root where it does not say it itself.
_INHERITED = (
    "rewrite",
    "directResponse",
    "timeout",
    "retries",
    "fault",
    "mirror",
    "mirrorPercent",
    "mirror_percent",
    "mirrorPercentage",
    "corsPolicy",
    "mirrors",
    "headers",
)
_TEXTS = ("uri", "scheme", "method", "authority")
_NAMED_TEXTS = ("headers", "withoutHeaders", "queryParams")


def effective(snapshot: Snapshot, listeners: t.Sequence[Listener], semantics: Semantics) -> tuple[Config, ...]:
    """Return the VirtualServices of a snapshot as istiod has them, the oldest first.

    Hosts of the rules, of destinations and of gateways are whole names. Delegates are in their roots; those nobody
    delegates to are gone. Routes of the Gateway API come as VirtualServices, marked by gateway_api_backends.SEMANTICS.
    """
    default = exports(snapshot.mesh.config.get("defaultVirtualServiceExportTo")) or frozenset("*")
    resolved = [_resolved(virtual) for virtual in snapshot.virtual_services]
    delegates = {
        (virtual.namespace, virtual.name): virtual for virtual in resolved if not items(virtual.spec.get("hosts"))
    }
    roots = [_merged(virtual, delegates, default) for virtual in resolved if items(virtual.spec.get("hosts"))]
    return tuple(
        sorted(
            [
                *roots,
                *gateway_api_routes.virtual_services(snapshot, listeners, semantics.no_backends_status),
                *gateway_api_connections.virtual_services(snapshot, listeners),
            ],
            key=lambda config: (config.created, config.name, config.namespace),
        )
    )


def exports(value: t.Any) -> frozenset[str]:
    """Return the namespaces of an exportTo; nothing when it is absent or empty."""
    return (
        frozenset(str(namespace) for namespace in items(value)) if value is not None and items(value) else frozenset()
    )


def gateways(route: Config) -> list[str]:
    """Return the gateways a VirtualService is for, `mesh` when it names none."""
    return [str(gateway) for gateway in items(route.spec.get("gateways"))] or [MESH]


def hosts(route: Config) -> list[str]:
    """Return the hosts of a VirtualService of `effective`, in small letters."""
    return [str(host).lower() for host in items(route.spec.get("hosts"))]


def _gateway(name: t.Any, namespace: str) -> str:
    """Source: istio 1.31 pilot/pkg/model/gateway.go, resolveGatewayName."""
    text = str(name)
    if text == MESH or (text.count("/") == 1 and not text.startswith("./")):
        return text
    if text.startswith("./"):
        return f"{namespace}/{text[2:]}"
    if "." in text:
        parts = text.split(".")
        return f"{parts[1]}/{parts[0]}"
    return f"{namespace}/{text}"


def _resolved(config: Config) -> Config:
    namespace = config.namespace

    def destination(value: t.Any) -> t.Any:
        if not isinstance(value, abc.Mapping):
            return value
        return {**value, "host": resolve(str(value.get("host") or ""), namespace, config.domain)}

    def target(value: t.Any) -> t.Any:
        if not isinstance(value, abc.Mapping):
            return value
        return {**value, "destination": destination(value["destination"])} if "destination" in value else value

    def match(value: t.Any) -> t.Any:
        if not isinstance(value, abc.Mapping) or not items(value.get("gateways")):
            return value
        return {**value, "gateways": [_gateway(gateway, namespace) for gateway in items(value["gateways"])]}

    def rule(value: t.Any) -> t.Any:
        if not isinstance(value, abc.Mapping):
            return value
        changed = dict(value)
        for name, change in (("route", target), ("mirrors", target), ("match", match)):
            if items(changed.get(name)):
                changed[name] = [change(part) for part in items(changed[name])]
        if changed.get("mirror") is not None:
            changed["mirror"] = destination(changed["mirror"])
        return changed

    spec = dict(config.spec)
    if items(spec.get("hosts")):
        spec["hosts"] = [resolve(str(host), namespace, config.domain) for host in items(spec["hosts"])]
    if items(spec.get("gateways")):
        spec["gateways"] = [_gateway(gateway, namespace) for gateway in items(spec["gateways"])]
    for name in ("http", "tcp", "tls"):
        if items(spec.get(name)):
            spec[name] = [rule(entry) for entry in items(spec[name])]
    return dataclasses.replace(config, spec=spec)


def _merged(root: Config, delegates: t.Mapping[tuple[str, str], Config], default: frozenset[str]) -> Config:
    given = [mapping(entry) or {} for entry in items(root.spec.get("http"))]
    if not any(mapping(rule.get("delegate")) is not None for rule in given):
        return root
    http: list[Part] = []
    for index, rule in enumerate(given):
        reference = mapping(rule.get("delegate"))
        if reference is None:
            # The routes of delegates before it change its place in the list, not where it is written.
            http.append({**rule, "source": RouteSource.of("VirtualService", root, f"http[{index}]")})
            continue
        delegate = delegates.get((str(reference.get("namespace") or root.namespace), str(reference.get("name") or "")))
        if delegate is None:
            continue
        seen = exports(delegate.spec.get("exportTo")) or default
        if "*" in seen or root.namespace in seen or ("." in seen and delegate.namespace == root.namespace):
            http += _inherited(rule, delegate)
    return dataclasses.replace(root, spec={**root.spec, "http": http})


def _inherited(root: Part, delegate: Config) -> t.Iterator[Json]:
    for index, given in enumerate(items(delegate.spec.get("http"))):
        rule = mapping(given) or {}
        matches = _matches(
            [mapping(match) or {} for match in items(root.get("match"))],
            [mapping(match) or {} for match in items(rule.get("match"))],
        )
        if matches is None:
            continue
        merged = dict(rule)
        if matches:
            merged["match"] = matches
        merged["name"] = _joined(root.get("name"), rule.get("name"))
        merged["source"] = RouteSource.of("VirtualService", delegate, f"http[{index}]")
        for name in _INHERITED:
            if merged.get(name) is None and root.get(name) is not None:
                merged[name] = root[name]
        yield merged


def _joined(outer: t.Any, inner: t.Any) -> str:
    return "-".join(str(name) for name in (outer, inner) if name)


def _matches(root: list[Part], delegate: list[Part]) -> list[Json] | None:
    """Return the merged matches, none for everything; None when they contradict each other."""
    if not root or not delegate:
        return [dict(match) for match in delegate or root]
    merged: list[Json] = []
    for inner in delegate:
        fitting = [outer for outer in root if not _contradict(outer, inner)]
        if not fitting:
            return None
        merged += [_match(outer, inner) for outer in fitting]
    return merged


def _match(root: Part, delegate: Part) -> Json:
    merged = dict(delegate)
    merged["name"] = _joined(root.get("name"), delegate.get("name"))
    for name in (*_TEXTS, "port", "sourceNamespace", "gateways", "statPrefix"):
        if not merged.get(name) and root.get(name):
            merged[name] = root[name]
    for name in (*_NAMED_TEXTS, "sourceLabels"):
        both = {**(mapping(root.get(name)) or {}), **(mapping(delegate.get(name)) or {})}
        if both:
            merged[name] = both
    return merged


def _contradict(root: Part, leaf: Part) -> bool:
    if any(_texts_contradict(root.get(name), leaf.get(name)) for name in _TEXTS):
        return True
    for name in _NAMED_TEXTS:
        outer = mapping(root.get(name)) or {}
        if any(_texts_contradict(outer.get(key), inner) for key, inner in (mapping(leaf.get(name)) or {}).items()):
            return True
    if (root.get("ignoreUriCase") is True) != (leaf.get("ignoreUriCase") is True):
        return True
    ports = number(root.get("port")), number(leaf.get("port"))
    if all(ports) and ports[0] != ports[1]:
        return True
    if root.get("sourceNamespace") and leaf.get("sourceNamespace") != root["sourceNamespace"]:
        return True
    labels = mapping(root.get("sourceLabels")) or {}
    if any(key in labels and labels[key] != value for key, value in (mapping(leaf.get("sourceLabels")) or {}).items()):
        return True
    outer_gateways, inner_gateways = items(root.get("gateways")), items(leaf.get("gateways"))
    if outer_gateways and inner_gateways:
        return len(outer_gateways) < len(inner_gateways) or not set(inner_gateways) <= set(outer_gateways)
    return False


def _texts_contradict(outer: t.Any, inner: t.Any) -> bool:
    root, leaf = mapping(outer), mapping(inner)
    if root is None or leaf is None:
        return False
    if (root.get("regex") and any(leaf.get(kind) for kind in ("regex", "prefix", "exact"))) or (
        leaf.get("regex") and any(root.get(kind) for kind in ("regex", "prefix", "exact"))
    ):
        return True
    if root.get("exact"):
        return bool(leaf.get("prefix")) or leaf.get("exact") != root["exact"]
    if root.get("prefix"):
        for kind in ("prefix", "exact"):
            if leaf.get(kind):
                return not str(leaf[kind]).startswith(str(root["prefix"]))
    return True
