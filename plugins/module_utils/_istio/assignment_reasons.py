# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a client gets what it gets: the rule that applies, the setting, and what switches it on or off, in sentences.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.cluster_type import WITH_LOCALITIES
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import covers
from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_priorities import ambiguous, matches
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Assignment, Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.sidecar_scope import port_of
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import mapping
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality

_TIERS = {
    "client": "it is in the clients' namespace, which goes before any other",
    "service": "it is in the Service's namespace, and there is none in the clients'",
    "root": "it is in the root namespace, and there is none in the clients' or the Service's",
}


def why(planner: Planner, client: Client, assignment: Assignment) -> list[str]:
    """Return the reasons for an assignment, in the order in which istiod decides."""
    return [
        *_type(planner, client, assignment),
        *_rule(planner, client, assignment),
        *_blocks(assignment),
        *_setting(client, assignment),
        *_endpoints(assignment),
    ]


def _type(planner: Planner, client: Client, assignment: Assignment) -> t.Iterator[str]:
    if assignment.destination.host in planner.scopes.uncertain(client):
        yield (
            f"{assignment.destination.host} is defined several times, and which definition applies to this client "
            "depends on "
            "what istiod happens to read or to be asked first."
        )
    if assignment.type == "ORIGINAL_DST":
        reason = (
            "loadBalancer.simple is PASSTHROUGH"
            if assignment.cluster_policy.simple == "PASSTHROUGH"
            else "the Service is headless (or has resolution NONE)"
        )
        sentence = f"{reason[0].upper()}{reason[1:]}"
        yield f"{sentence}: Envoy connects to the address the client asked for, localities have no effect."
    elif assignment.type in ("STRICT_DNS", "LOGICAL_DNS"):
        yield f"Its addresses are resolved by Envoy ({assignment.type}); priorities are part of the cluster itself."
    if assignment.crash and assignment.type == "CLUSTER_PROVIDED":
        yield "outlierDetection for a ServiceEntry with resolution DYNAMIC_DNS makes istiod crash."
    elif assignment.crash:
        yield (
            "failoverPriority on a DNS ServiceEntry with several localities (or filtered endpoints) makes istiod crash "
            "(istio issue 61857)."
        )
    if assignment.service.node_local:
        yield "internalTrafficPolicy is Local: only endpoints on the client's own node are sent."


def _rule(planner: Planner, client: Client, assignment: Assignment) -> t.Iterator[str]:
    entry = assignment.entry
    host = assignment.destination.host
    if entry is None:
        hidden = _hidden(planner, client, host)
        yield f"No DestinationRule applies to clients in namespace {client.namespace}{hidden}."
        return
    yield f"DestinationRule {entry.first} applies to {entry.first.host}: {_TIERS[assignment.tier]}."
    if entry.first.selector is not None:
        yield "It is made for workloads with the labels " + ", ".join(f"{k}={v}" for k, v in entry.first.selector) + "."
    if len(entry.members) > 1:
        others = ", ".join(str(rule) for rule in entry.members[1:])
        yield f"istiod merges it with {others}" + (
            f": the whole trafficPolicy is that of {entry.policy}, the oldest that has one."
            if entry.policy
            else "; none has a trafficPolicy."
        )


def _hidden(planner: Planner, client: Client, host: str) -> str:
    """Name rules for the host that these clients do not see."""
    unseen = [
        f"{rule.namespace}/{rule.name}"
        for rule in planner.snapshot.destination_rules
        if covers(str(rule.spec.get("host") or ""), host) and rule.namespace != client.namespace
    ]
    return f" ({', '.join(unseen)} is not visible to them)" if unseen else ""


def _blocks(assignment: Assignment) -> t.Iterator[str]:
    policy, entry = assignment.policy, assignment.entry
    whole = mapping(entry.traffic_policy) if entry and entry.traffic_policy else None
    for block, title in (("outlierDetection", "outlierDetection"), ("loadBalancer", "loadBalancer")):
        origin = policy.origin.get(block)
        if origin and (origin.by != "rule" or origin.of_port):
            yield f"{title} is that of {origin}, which replaces the rule's own."
        elif not origin and whole and block in whole and "portLevelSettings" in whole:
            yield (
                f"portLevelSettings for port {assignment.destination.port} replace the rule's {title} with nothing: it "
                "does not apply to this port."
            )
    origin = assignment.cluster_policy.origin.get("outlierDetection")
    if origin and origin.by == "mesh" and assignment.type == "EDS":
        yield (
            "outlierDetection comes from the mesh's defaultTrafficPolicy, which istiod puts into clusters only: Envoy "
            "ejects, but istiod does not order localities because of it."
        )


def _setting(client: Client, assignment: Assignment) -> t.Iterator[str]:
    setting = assignment.setting
    if setting is None:
        off = (assignment.policy.locality_lb or {}).get("enabled") is False
        yield "Locality load balancing is off" + (
            ": localityLbSetting.enabled is false in the rule." if off else " in the mesh config."
        )
        return
    named = {
        "DestinationRule": "The rule's " + ("zoneAwareLbSetting" if setting.zone_aware else "localityLbSetting"),
        "trafficDistribution": f"trafficDistribution {assignment.traffic_distribution} of the Service or its namespace",
        "meshConfig": "The mesh's " + ("zoneAwareLbSetting" if setting.zone_aware else "localityLbSetting"),
    }[setting.source]
    if setting.zone_aware:
        yield (
            f"{named} applies: endpoints are ordered by region, and Envoy balances between zones itself."
            if setting.enabled
            else f"{named} applies, and is switched off."
        )
    elif setting.distribute:
        entry = next(
            (distribute for distribute in setting.distribute if matches(client.locality, distribute.origin)), None
        )
        if entry is None:
            yield f"{named} applies with distribute, but no `from` matches {_place(client.locality)}: no order."
        else:
            yield (
                f"{named} applies: distribute from {entry.origin} gives weights; localities that no `to` "
                "matches get nothing, and there is no failover."
            )
        if entry is not None and ambiguous(assignment.groups, entry):
            yield "Two keys of distribute match one locality: istiod's answer differs from push to push."
    elif not assignment.ordered:
        wanted = setting.failover or setting.failover_priority
        if wanted:
            yield f"{named} has failover, but there is no outlierDetection, so it does nothing."
        else:
            yield "There is no outlierDetection, so istiod gives all endpoints one priority."
    else:
        yield f"{named} applies; " + (
            "it needs no outlierDetection." if setting.forced else "outlierDetection activates its priorities."
        )
        yield from _order(client, assignment)


def _order(client: Client, assignment: Assignment) -> t.Iterator[str]:
    setting = assignment.setting
    if setting is None:
        return
    if setting.failover_priority:
        yield (
            "Endpoints are ordered by the labels "
            + ", ".join(setting.failover_priority)
            + ": the first that differs decides."
        )
    if not client.locality:
        yield "The client has no locality: every endpoint with a region is equally far away."
    elif not setting.failover_priority or setting.failover:
        target = next((entry.to for entry in setting.failover if entry.origin == client.locality.region), None)
        if target is not None:
            yield f"Of the regions beyond {client.locality.region}, {target} comes first."
        elif setting.failover:
            yield f"No failover entry is for region {client.locality.region}: all regions beyond it are equal."


def _endpoints(assignment: Assignment) -> t.Iterator[str]:
    if assignment.type in WITH_LOCALITIES and not any(group.members for group in assignment.groups):
        port = port_of(assignment.service, assignment.destination.port)
        fate = "every request gets 503" if port is None or port.may_be_http else "every connection is closed at once"
        yield f"istiod sends no endpoint: {fate}."
    if assignment.panic_threshold is None:
        yield "The panic threshold is Envoy's 50 %: below that it sends requests to unhealthy endpoints, too."
    elif assignment.panic_threshold > 0:
        threshold = assignment.panic_threshold
        yield f"minHealthPercent {threshold:g}: below that Envoy sends requests to unhealthy endpoints, too."


def _place(locality: Locality) -> str:
    return str(locality) or "a client without locality"
