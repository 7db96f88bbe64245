# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the rules that are easily got wrong decide something in a mesh: what is never met is not tested.

A trap counts where the plan went through it, not where an object merely mentions it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_priorities import matches
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Assignment
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_retries import route

from .compare import Plan

NETWORK = "topology.istio.io/network"

#: What 2,000 meshes of Istio 1.31 have to have met.
EXPECTED = frozenset(
    {
        "CLUSTER_PROVIDED",
        "DRAINING endpoint",
        "DYNAMIC_DNS",
        "EDS",
        "HEALTHY endpoint",
        "LOGICAL_DNS",
        "ORIGINAL_DST",
        "PASSTHROUGH",
        "STRICT_DNS",
        "Sidecar",
        "UNHEALTHY endpoint",
        "UNKNOWN endpoint",
        "WorkloadEntry behind a Service",
        "client without locality",
        "connectionPool of a port",
        "connectionPool of a subset",
        "distribute",
        "distribute beats failoverPriority",
        "distribute empties a locality",
        "distribute for others",
        "ejection without order",
        "empty outlierDetection",
        "endpoints without locality",
        "failover for others",
        "failover to a region",
        "failover without outlierDetection",
        "failoverPriority",
        "failoverPriority and failover",
        "hosts left to chance",
        "internalTrafficPolicy",
        "istiod crashes",
        "istiod crashes of outlierDetection",
        "key=a=b",
        "key=value",
        "label missing on both sides",
        "left to chance",
        "loadBalancer of a port",
        "loadBalancer of a subset",
        "locality off",
        "locality with a hole",
        "merged rules",
        "network first",
        "one address twice",
        "one locality in several priorities",
        "other network first",
        "outlierDetection of a port",
        "outlierDetection of a subset",
        "panic threshold",
        "panic threshold left to Envoy",
        "retries of a VirtualService",
        "retries without previous hosts",
        "rule for some workloads",
        "rule in tier client",
        "rule in tier root",
        "rule in tier service",
        "setting of DestinationRule",
        "setting of meshConfig",
        "setting of trafficDistribution",
        "several routes",
        "socket",
        "tls of a port",
        "tls of a subset",
        "trafficDistribution beaten by a rule",
        "two failovers from one region",
        "two spellings of one locality",
        "unequal weights",
        "unready kept out",
        "wildcard host",
        "zone-aware",
    }
)


def traps(plan: Plan) -> set[str]:
    """Return the traps of a mesh."""
    found = set()
    for told in plan.clients.values():
        if not told.client.locality:
            found.add("client without locality")
        if plan.planner.scopes.of(told.client).sidecar:
            found.add("Sidecar")
        if plan.planner.scopes.uncertain(told.client):
            found.add("hosts left to chance")
        for made in told.assignment.values():
            found.update(_cluster(made))
            found.update(_rule(made))
            found.update(_setting(told.client, made))
            found.update(_endpoints(made))
            way = route(plan.planner, told.client, made)
            if way.source.startswith("VirtualService"):
                found.add("retries of a VirtualService")
            if way.several:
                found.add("several routes")
            if way.retries and not way.retries.previous_hosts:
                found.add("retries without previous hosts")
    return found


def _cluster(made: Assignment) -> t.Iterator[str]:
    yield made.type
    if made.service.resolution == "DYNAMIC_DNS":
        yield "DYNAMIC_DNS"
    if made.crash:
        yield "istiod crashes" + (" of outlierDetection" if made.type == "CLUSTER_PROVIDED" else "")
    if made.chance:
        yield "left to chance"
    if made.service.node_local:
        yield "internalTrafficPolicy"
    if made.cluster_policy.simple == "PASSTHROUGH":
        yield "PASSTHROUGH"
    if made.service.host.startswith("*"):
        yield "wildcard host"
    if made.panic_threshold is None:
        yield "panic threshold left to Envoy"
    elif made.panic_threshold:
        yield "panic threshold"


def _rule(made: Assignment) -> t.Iterator[str]:
    if made.tier:
        yield f"rule in tier {made.tier}"
    if made.entry and len(made.entry.members) > 1:
        yield "merged rules"
    if made.entry and made.entry.first.selector is not None:
        yield "rule for some workloads"
    for block, where in made.policy.origin.items():
        if "portLevelSettings" in where:
            yield f"{block} of a port"
        if where.startswith("subsets"):
            yield f"{block} of a subset"
    if made.policy.outlier_detection == {}:
        yield "empty outlierDetection"
    if made.outlier_detection is not None and made.policy.outlier_detection is None and made.type == "EDS":
        yield "ejection without order"


def _setting(client: Client, made: Assignment) -> t.Iterator[str]:
    setting = made.setting
    if made.traffic_distribution and (setting is None or setting.source == "DestinationRule"):
        yield "trafficDistribution beaten by a rule"
    if setting is None:
        yield "locality off"
        return
    yield f"setting of {setting.source}"
    if setting.zone_aware:
        yield "zone-aware"
    if setting.distribute:
        if setting.failover_priority:
            yield "distribute beats failoverPriority"
        entry = next((one for one in setting.distribute if matches(client.locality, one.origin)), None)
        yield "distribute" if entry else "distribute for others"
        if entry and any(not group.members for group in made.groups):
            yield "distribute empties a locality"
        return
    origins = [one.origin for one in setting.failover]
    regions = {group.locality.region for group in made.groups}
    if not made.ordered:
        if setting.failover or setting.failover_priority:
            yield "failover without outlierDetection"
        return
    if client.locality.region in origins:
        yield "failover to a region"
        if origins.count(client.locality.region) > 1:
            yield "two failovers from one region"
    elif len(regions - {client.locality.region}) > 1:
        yield "failover for others"
    if setting.failover_priority and made.groups:
        yield "failoverPriority"
        yield from _keys(client, made, setting.failover_priority)
        if setting.failover:
            yield "failoverPriority and failover"


def _keys(client: Client, made: Assignment, keys: t.Sequence[str]) -> t.Iterator[str]:
    members = [member for group in made.groups for member in group.members]
    for key in keys:
        name, equals, value = key.partition("=")
        if equals:
            yield "key=value" if "=" not in value else "key=a=b"
        elif name not in client.labels and any(name not in member.labels for member in members):
            yield "label missing on both sides"
    if keys[0] == NETWORK:
        networks = {member.labels.get(NETWORK, "") for member in members}
        yield "network first" if networks == {client.labels.get(NETWORK, "")} else "other network first"
    if len({group.locality for group in made.groups}) < len(made.groups):
        yield "one locality in several priorities"


def _endpoints(made: Assignment) -> t.Iterator[str]:
    if not made.groups:
        return
    members = [member for group in made.groups for member in group.members]
    for group in made.groups:
        place = group.locality
        if not place:
            yield "endpoints without locality"
        if (place.subzone and not place.zone) or (place.zone and not place.region):
            yield "locality with a hole"
    if len({(group.locality, group.priority) for group in made.groups}) < len(made.groups):
        yield "two spellings of one locality"
    if len({member.host for member in members}) < len(members):
        yield "one address twice"
    if len({member.weight for member in members}) > 1:
        yield "unequal weights"
    if any(not member.port for member in members):
        yield "socket"
    for member in members:
        yield f"{member.health} endpoint"
    if made.service.registry == "Kubernetes" and any(member.health == "UNKNOWN" for member in members):
        yield "WorkloadEntry behind a Service"
    if not made.sends_unready:
        yield "unready kept out"
