# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison with istiod can fail: each rule broken on purpose is noticed within a few hundred meshes.

The meshes are asked once; every mutant is judged by the same answers. Where a mutant is not noticed, the generator does
not get to the place where it matters.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._istio import (
    destination_rules,
    endpoints,
    gateway_api_connections,
    gateway_api_gateways,
    gateway_api_parents,
    gateway_api_routes,
    gateway_hosts,
    gateway_servers,
    host_names,
    locality_priorities,
    locality_settings,
    plan,
    proxy_locality,
    routes,
    sidecar_scope,
    traffic_policy,
    versions,
    virtual_services,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from tests.differential import campaign, compare
from tests.differential.oracle import Oracle

Json = dict[str, t.Any]
Patch = pytest.MonkeyPatch
Mutant = t.Callable[[Patch], None]

FIRST, MESHES = 77_000_000, 900
REGRESSIONS = Path(__file__).parent / "regressions"


@pytest.fixture(scope="module")
def answered(oracle: t.Callable[..., Oracle]) -> list[tuple[Json, Json]]:
    """Meshes with istiod's answers, about which we are right."""
    meshes = [campaign.mesh_of(FIRST + number, "1.31") for number in range(MESHES)]
    meshes += [
        record["mesh"]
        for record in (json.loads(path.read_text(encoding="utf-8")) for path in sorted(REGRESSIONS.glob("*.json")))
        if not record["features"] and "1.31" in record["istio"]
    ]
    answers = oracle("1.31").ask(meshes)
    return [pair for pair in zip(meshes, answers, strict=True) if not pair[1]["error"].startswith("mesh:")]


def noticed(answered: list[tuple[Json, Json]], version: str = "1.31") -> int | None:
    """Return after how many meshes a difference was found."""
    for number, (mesh, answer) in enumerate(answered, 1):
        if campaign.judge(mesh, answer, version, {})[0]:
            return number
    return None


def test_without_a_mutant_there_is_no_difference(answered: list[tuple[Json, Json]]) -> None:
    assert noticed(answered) is None


def semantics(**wrong: bool) -> Mutant:
    """Another release's way for one thing."""

    def mutate(patch: Patch) -> None:
        right = versions.VERSIONS["1.31"]
        patch.setattr(versions, "VERSIONS", {"1.31": dataclasses.replace(right, **wrong)})

    return mutate


def replaced(module: t.Any, name: str, make: t.Callable[[t.Any], t.Any]) -> Mutant:
    """A function or method, made from the right one."""
    return lambda patch: patch.setattr(module, name, make(getattr(module, name)))


def not_compacted(_right: t.Any) -> t.Any:
    return list


def rounded_down(right: t.Any) -> t.Any:
    def distribute(
        client: Locality, groups: t.Sequence[locality_priorities.Group], entries: t.Any
    ) -> list[locality_priorities.Group]:
        entry = next((split for split in entries if locality_priorities.matches(client, split.origin)), None)
        assigned = right(client, groups, entries)
        if entry is None:
            return assigned
        before = {index: group.weight for index, group in enumerate(groups)}
        return [
            group if group.weight == before[index] or group.weight < 2 else group._replace(weight=group.weight - 1)
            for index, group in enumerate(assigned)
        ]

    return distribute


def last_from(right: t.Any) -> t.Any:
    return lambda client, groups, entries: right(client, groups, tuple(reversed(entries)))


def missing_differs(right: t.Any) -> t.Any:
    def rank(wanted: t.Any, names: t.Any, labels: t.Any, network: bool) -> int:
        changed = {name: value or "nobody has this" for name, value in wanted.items()}
        return right(changed, names, labels, network)

    return rank


def every_match_counts(_right: t.Any) -> t.Any:
    def rank(wanted: t.Any, names: t.Any, labels: t.Any, network: bool) -> int:
        return sum(wanted[name] != labels.get(name, "") for name in names)

    return rank


def value_ignored(right: t.Any) -> t.Any:
    return lambda labels, groups, keys, sem: right(labels, groups, [key.split("=")[0] for key in keys], sem)


def by_field(_right: t.Any) -> t.Any:
    def overlay(base: t.Any, subset: t.Any, port: int, path: str) -> t.Any:
        own, _port = traffic_policy._port_level(subset, port, path)
        merged = dict(base or {})
        for name, (block, where) in (own or {}).items():
            merged[name] = ({**merged.get(name, ({}, ""))[0], **block}, where)
        return merged

    return overlay


def port_level_adds(right: t.Any) -> t.Any:
    def port_level(given: t.Any, port: int, path: str) -> t.Any:
        blocks, own = right(given, port, path)
        return ({**traffic_policy._blocks(given, path), **(blocks or {})}, own) if own else (blocks, own)

    return port_level


def youngest_first(_right: t.Any) -> t.Any:
    return lambda rule: (rule.selector is None, "".join(chr(255 - ord(c)) for c in rule.created), rule.name)


def no_tier(name: str) -> t.Callable[[t.Any], t.Any]:
    def make(right: t.Any) -> t.Any:
        def find(self: t.Any, host: str, owner: str, client: str) -> t.Any:
            at_host = right(self, host, owner, client)
            return destination_rules._NONE if at_host.tier == name else at_host

        return find

    return make


def own_namespace_last(right: t.Any) -> t.Any:
    def find(self: t.Any, host: str, owner: str, client: str) -> t.Any:
        entries = host_names.most_specific(self._exported.get(owner, {}), host) or []
        seen = [e for e in entries if not e.first.export_to or e.first.export_to & {"*", client}]
        return destination_rules.VisibleRules(tuple(seen), "service") if seen else right(self, host, owner, client)

    return find


def headless_has_endpoints(right: t.Any) -> t.Any:
    return lambda service, client, _headless: right(service, client, True)


def always_one(_right: t.Any) -> t.Any:
    return lambda outlier, forced, sends: 0.0


def field_loses(right: t.Any) -> t.Any:
    def locality(labels: t.Any, node: t.Any, sem: t.Any) -> str:
        return right({}, node, sem) or right(labels, None, sem)

    return locality


def terminating_is_unhealthy(right: t.Any) -> t.Any:
    def health(endpoint: t.Any, persistent_sessions: bool) -> str:
        healthy_state = right(endpoint, persistent_sessions)
        return endpoints.UNHEALTHY if healthy_state == endpoints.TERMINATING else healthy_state

    return health


def never_crashes(_right: t.Any) -> t.Any:
    return lambda *_arguments: False


def counters_kept(right: t.Any) -> t.Any:
    def detection(block: t.Any) -> t.Any:
        return right(block and {key: value for key, value in block.items() if value != 0})

    return detection


def _unforced(setting: locality_settings.Setting | None) -> locality_settings.Setting | None:
    return setting and dataclasses.replace(setting, forced=False)


MUTANTS: dict[str, Mutant] = {
    "priorities are not compacted": replaced(locality_priorities, "_compact", not_compacted),
    "weights are rounded down": replaced(locality_priorities, "distribute", rounded_down),
    "the last failover of a region counts": replaced(locality_priorities, "failover", last_from),
    "the last distribute that matches counts": replaced(locality_priorities, "distribute", last_from),
    "a label missing on both sides differs": replaced(locality_priorities, "_rank", missing_differs),
    "the number of matching labels counts": replaced(locality_priorities, "_rank", every_match_counts),
    "key=value is key": replaced(locality_priorities, "failover_priority", value_ignored),
    "network first is required, as in 1.30": semantics(network_preferred=False),
    "zoneAwareLbSetting is ignored, as in 1.30": semantics(zone_aware=False),
    "unready endpoints are left out, as in 1.30": semantics(auto_send_unhealthy=False),
    "defaultTrafficPolicy is ignored, as in 1.30": semantics(default_traffic_policy=False),
    "a Sidecar leaves nothing out, as in 1.30": semantics(egress_exclusion=False),
    "namespaces have no trafficDistribution, as in 1.29": semantics(namespace_distribution=False),
    "DNS clusters have no failoverPriority, as in 1.29": semantics(dns_failover_priority=False),
    "only istio-locality counts, as in 1.28": semantics(locality_label=False),
    "subsets are merged field by field": replaced(traffic_policy, "_overlay", by_field),
    "portLevelSettings add to the policy": replaced(traffic_policy, "_port_level", port_level_adds),
    "of rules for a host the youngest counts": replaced(destination_rules, "order", youngest_first),
    "rules of the client's namespace do not count": replaced(destination_rules.Rules, "_find", no_tier("client")),
    "rules of the root namespace do not count": replaced(destination_rules.Rules, "_find", no_tier("root")),
    "the Service's namespace comes first": replaced(destination_rules.Rules, "_find", own_namespace_last),
    "headless Services have endpoints": replaced(plan, "discovery_type", headless_has_endpoints),
    "the panic threshold is always 0": replaced(plan, "panic_threshold", always_one),
    "a node's labels come before the pod's": replaced(proxy_locality, "pod_locality", field_loses),
    "terminating endpoints are unhealthy": replaced(endpoints, "health", terminating_is_unhealthy),
    "istiod survives failoverPriority on DNS": replaced(plan.Planner, "_crashes", never_crashes),
    "outlier counters of 0 are absent": replaced(compare, "envoy_outlier_detection", counters_kept),
    "every client knows every Service": replaced(
        sidecar_scope.Scopes, "_exported", lambda _right: lambda self, _namespace: self._services
    ),
    "an empty outlierDetection is none": replaced(
        traffic_policy.Policy,
        "__init__",
        lambda right: (
            lambda self, pool=None, lb=None, od=None, tls=None, origin=None: right(
                self, pool, lb, od or None, tls, origin or {}
            )
        ),
    ),
    "trafficDistribution needs outlierDetection": replaced(
        plan, "effective", lambda right: lambda *given: _unforced(right(*given))
    ),
    "every route can match": replaced(routes, "_applies", lambda _right: lambda *_given: True),
    "the oldest VirtualService counts": replaced(sidecar_scope.Scopes, "_reach", lambda _right: lambda *_given: 0),
    "a hash does not change retries": replaced(routes.Routes, "hashed", lambda _right: lambda *_given: False),
    "subsets of routes are ignored": replaced(
        routes, "_destination", lambda right: lambda *given: right(*given)._replace(subset="")
    ),
    "delegates are not merged": replaced(virtual_services, "_merged", lambda _right: lambda root, *_given: root),
    "a rule without backends answers 404, as in 1.30": semantics(no_backends_status=404),
    "a route of a gateway needs no ReferenceGrant": replaced(
        gateway_api_routes, "permitted_backends", lambda _right: lambda *_given: lambda _reference: True
    ),
    "listeners take routes of every namespace": replaced(
        gateway_api_gateways, "_namespaces", lambda _right: lambda *_given: ["*"]
    ),
    "a more exact listener takes nothing from another": replaced(
        gateway_api_parents.RouteParent, "allows", lambda _right: lambda *_given: True
    ),
    "a gateway listens on the port of its Service": replaced(
        gateway_servers.GatewayServers, "_targets", lambda _right: lambda _self, _client, _gateway, port: [port]
    ),
    "a Gateway is for every gateway's pod": replaced(
        gateway_servers.GatewayServers, "selected", lambda _right: lambda self, _client: self._planner.scopes.gateways
    ),
    "servers are never in conflict": replaced(gateway_servers, "_fits", lambda _right: lambda *_given: True),
    "a gateway's routes of TLS fit every server": replaced(
        gateway_hosts, "_bound", lambda _right: lambda *_given: True
    ),
    "the same names of TLS may come twice": replaced(gateway_hosts, "free_hosts", lambda _right: lambda *_given: True),
    "TLSRoutes are for every name": replaced(
        gateway_api_connections, "_narrowed", lambda _right: lambda rule, _host: rule
    ),
    "connections take the routes of requests": replaced(
        sidecar_scope.Scopes,
        "connection_routes",
        lambda _right: lambda self, client, _host, port: self.routes(client, port),
    ),
    "discoverySelectors are ignored": replaced(
        compare, "discovered", lambda _right: lambda objects, *_more: (list(objects), ())
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_is_noticed(name: str, answered: list[tuple[Json, Json]], monkeypatch: Patch) -> None:
    MUTANTS[name](monkeypatch)
    assert noticed(answered) is not None, f"{MESHES} meshes do not notice that {name}"
