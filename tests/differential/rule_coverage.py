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
    names = set()
    for client in plan.clients.values():
        if not client.client.locality:
            names.add("client without locality")
        if plan.planner.scopes.of(client.client).sidecar:
            names.add("Sidecar")
        if plan.planner.scopes.uncertain(client.client):
            names.add("hosts left to chance")
        for assignment in client.assignment.values():
            names.update(_cluster(assignment))
            names.update(_rule(assignment))
            names.update(_setting(client.client, assignment))
            names.update(_endpoints(assignment))
            way = route(plan.planner, client.client, assignment)
            if way.source.startswith("VirtualService"):
                names.add("retries of a VirtualService")
            if way.several:
                names.add("several routes")
            if way.retries and not way.retries.previous_hosts:
                names.add("retries without previous hosts")
    return names


def _cluster(assignment: Assignment) -> t.Iterator[str]:
    yield assignment.type
    if assignment.service.resolution == "DYNAMIC_DNS":
        yield "DYNAMIC_DNS"
    if assignment.crash:
        yield "istiod crashes" + (" of outlierDetection" if assignment.type == "CLUSTER_PROVIDED" else "")
    if assignment.chance:
        yield "left to chance"
    if assignment.service.node_local:
        yield "internalTrafficPolicy"
    if assignment.cluster_policy.simple == "PASSTHROUGH":
        yield "PASSTHROUGH"
    if assignment.service.host.startswith("*"):
        yield "wildcard host"
    if assignment.panic_threshold is None:
        yield "panic threshold left to Envoy"
    elif assignment.panic_threshold:
        yield "panic threshold"


def _rule(assignment: Assignment) -> t.Iterator[str]:
    if assignment.tier:
        yield f"rule in tier {assignment.tier}"
    if assignment.entry and len(assignment.entry.members) > 1:
        yield "merged rules"
    if assignment.entry and assignment.entry.first.selector is not None:
        yield "rule for some workloads"
    for block, where in assignment.policy.origin.items():
        if where.of_port:
            yield f"{block} of a port"
        if where.by == "subset":
            yield f"{block} of a subset"
    if assignment.policy.outlier_detection == {}:
        yield "empty outlierDetection"
    if (
        assignment.outlier_detection is not None
        and assignment.policy.outlier_detection is None
        and assignment.type == "EDS"
    ):
        yield "ejection without order"


def _setting(client: Client, assignment: Assignment) -> t.Iterator[str]:
    setting = assignment.setting
    if assignment.traffic_distribution and (setting is None or setting.source == "DestinationRule"):
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
        entry = next((split for split in setting.distribute if matches(client.locality, split.origin)), None)
        yield "distribute" if entry else "distribute for others"
        if entry and any(not group.members for group in assignment.groups):
            yield "distribute empties a locality"
        return
    origins = [order.origin for order in setting.failover]
    regions = {group.locality.region for group in assignment.groups}
    if not assignment.ordered:
        if setting.failover or setting.failover_priority:
            yield "failover without outlierDetection"
        return
    if client.locality.region in origins:
        yield "failover to a region"
        if origins.count(client.locality.region) > 1:
            yield "two failovers from one region"
    elif len(regions - {client.locality.region}) > 1:
        yield "failover for others"
    if setting.failover_priority and assignment.groups:
        yield "failoverPriority"
        yield from _keys(client, assignment, setting.failover_priority)
        if setting.failover:
            yield "failoverPriority and failover"


def _keys(client: Client, assignment: Assignment, keys: t.Sequence[str]) -> t.Iterator[str]:
    members = [member for group in assignment.groups for member in group.members]
    for key in keys:
        name, equals, value = key.partition("=")
        if equals:
            yield "key=value" if "=" not in value else "key=a=b"
        elif name not in client.labels and any(name not in member.labels for member in members):
            yield "label missing on both sides"
    if keys[0] == NETWORK:
        networks = {member.labels.get(NETWORK, "") for member in members}
        yield "network first" if networks == {client.labels.get(NETWORK, "")} else "other network first"
    if len({group.locality for group in assignment.groups}) < len(assignment.groups):
        yield "one locality in several priorities"


def _endpoints(assignment: Assignment) -> t.Iterator[str]:
    if not assignment.groups:
        return
    members = [member for group in assignment.groups for member in group.members]
    for group in assignment.groups:
        place = group.locality
        if not place:
            yield "endpoints without locality"
        if (place.subzone and not place.zone) or (place.zone and not place.region):
            yield "locality with a hole"
    if len({(group.locality, group.priority) for group in assignment.groups}) < len(assignment.groups):
        yield "two spellings of one locality"
    if len({member.host for member in members}) < len(members):
        yield "one address twice"
    if len({member.weight for member in members}) > 1:
        yield "unequal weights"
    if any(not member.port for member in members):
        yield "socket"
    for member in members:
        yield f"{member.health} endpoint"
    if assignment.service.registry == "Kubernetes" and any(member.health == "UNKNOWN" for member in members):
        yield "WorkloadEntry behind a Service"
    if not assignment.sends_unready:
        yield "unready kept out"
