# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What we compute for a mesh, in the oracle's own form, and in what the two differ."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier import OutlierDetection
from ansible_collections.meshops.locality.plugins.module_utils._istio.control_plane import discovered
from ansible_collections.meshops.locality.plugins.module_utils._istio.outlier import outlier_detection
from ansible_collections.meshops.locality.plugins.module_utils._istio.places import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Assignment, Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot import build
from ansible_collections.meshops.locality.plugins.module_utils._topology.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._topology.model import Mesh

Json = dict[str, t.Any]

#: The type of clusters that resolve whatever name a request asks for.
DYNAMIC = "envoy.clusters.dynamic_forward_proxy"


def planner(mesh: Json, version: str, features: t.Mapping[str, str] | None = None) -> Planner:
    """Return the planner of a generated mesh."""
    told = Mesh(version=version, config=mesh["mesh"], features=features or {})
    return Planner(build(discovered(mesh["objects"], told, [])[0], mesh=told))


def prediction(mesh: Json, version: str, features: t.Mapping[str, str] | None = None) -> Json:
    """Return {client name: {"locality": …, "clusters": {name: cluster}}}, without clients that istiod does not see."""
    plan = planner(mesh, version, features)
    by_key = {client.key: client for client in plan.clients}
    asked = {one["name"]: f"{one['namespace']}/{one['pod']}" for one in mesh["clients"]}
    return {name: _client(plan, by_key[key]) for name, key in asked.items() if key in by_key}


def _client(plan: Planner, client: Client) -> Json:
    clusters = {}
    for destination in plan.destinations(client):
        made = plan.assignment(client, destination)
        if made is not None:
            clusters[destination.cluster] = _cluster(made)
    return {"locality": _shown(client.locality), "clusters": clusters, "uncertain": plan.scopes.uncertain(client)}


def _shown(place: Locality) -> str:
    """As istiod writes it: up to the first empty part behind the region (util.go, LocalityToString)."""
    if not place.zone:
        return place.region
    return "/".join((place.region, place.zone, place.subzone) if place.subzone else (place.region, place.zone))


def _cluster(made: Assignment) -> Json:
    zone = made.setting if made.setting and made.setting.zone_aware else None
    return {
        "type": made.type,
        "rule": str(made.rule) if made.rule else "",
        "lb_policy": made.lb_policy,
        "locality_weighted": made.locality_weighted,
        "zone_aware": zone is not None,
        "panic_threshold": made.panic_threshold,
        "outlier_detection": outlier_detection(made.outlier_detection),
        "max_requests_per_connection": made.max_requests_per_connection or None,
        "crash": made.crash,
        "chance": made.chance,
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


def observed(answer: Json) -> Json:
    """Return the oracle's answer in the same form."""
    return {
        client["name"]: {
            "locality": client["locality"],
            "clusters": {cluster["name"]: _seen(cluster) for cluster in client["clusters"]},
        }
        for client in answer["clients"]
    }


def _seen(cluster: Json) -> Json:
    return {
        "type": "CLUSTER_PROVIDED" if cluster["type"] == DYNAMIC else cluster["type"],
        "rule": cluster["rule"],
        "lb_policy": cluster["lb_policy"],
        "locality_weighted": cluster["locality_weighted"],
        "zone_aware": cluster["zone_aware"] is not None,
        "panic_threshold": cluster["panic_threshold"],
        "outlier_detection": OutlierDetection.parse(cluster["outlier_detection"]),
        "max_requests_per_connection": cluster["max_requests_per_connection"],
        "crash": bool(cluster.get("panic")),
        "chance": False,
        "groups": [
            {
                "locality": (group["region"], group["zone"], group["sub_zone"]),
                "priority": group["priority"],
                "weight": group["weight"],
                "endpoints": sorted(
                    (one["address"].removeprefix("unix:"), one["health"], one["weight"]) for one in group["endpoints"]
                ),
            }
            for group in cluster["groups"] or ()
        ],
    }


def differences(mesh: Json, answer: Json, version: str, features: t.Mapping[str, str] | None = None) -> list[str]:
    """Return in what our prediction differs from the oracle's answer, one sentence each; nothing when they agree.

    Left out is what istiod itself decides by chance (overlapping keys of distribute).
    """
    ours = prediction(mesh, version, features)
    if answer.get("error"):
        crashes = any(cluster["crash"] for client in ours.values() for cluster in client["clusters"].values())
        return [] if crashes and "panic" in answer["error"] else [f"istiod: {answer['error']}"]
    theirs = observed(answer)
    found = []
    for name, told in theirs.items():
        if name not in ours:  # in a namespace that no discoverySelector selects
            continue
        mine = ours[name]
        if mine["locality"] != told["locality"]:
            found.append(f"{name}: locality {mine['locality']!r}, istiod has {told['locality']!r}")
        for cluster in sorted({*mine["clusters"], *told["clusters"]}):
            one, other = mine["clusters"].get(cluster), told["clusters"].get(cluster)
            if cluster.rpartition("|")[2] in mine["uncertain"]:
                continue
            if one is None or other is None:
                found.append(f"{name}: {cluster} is only in {'istiod' if one is None else 'our plan'}")
            elif one["chance"] or (one["crash"] and other["crash"]):
                continue
            else:
                found += [f"{name}: {cluster}: {field}: {told_by}" for field, told_by in _fields(one, other)]
    return found


def _fields(one: Json, other: Json) -> t.Iterator[tuple[str, str]]:
    for field in one:
        if one[field] != other[field]:
            yield field, f"ours {one[field]!r}, istiod {other[field]!r}"
