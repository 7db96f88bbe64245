# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateways and waypoints: requests of others pass them, so a loss of all of them is one of the Services behind them."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import Ability, Selection, resilience
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Mesh, Snapshot

from .test_gateway_requests import INGRESS, istio, pod, route, service

Json = dict[str, t.Any]
PLACES = {"a": "eu", "b": "eu", "c": "us"}
NAME = "gateway.networking.k8s.io/gateway-name"


def labelled(item: Json, **labels: str) -> Json:
    item["metadata"]["labels"] = {**item["metadata"].get("labels", {}), **labels}
    return item


def without_envoy(name: str, zone: str, address: str) -> Json:
    item = pod(name, "shop", zone, address)
    item["spec"]["containers"] = [{"name": "app", "image": "app"}]
    return item


def namespace(name: str, **labels: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def mesh(*more: Json) -> Snapshot:
    """The Service web in two zones of eu and in us, without any sidecar but those of `more`."""
    nodes = [
        labelled(
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{zone}"}},
            **{"topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone},
        )
        for zone, region in PLACES.items()
    ]
    web = [without_envoy(f"web-{zone}", zone, f"10.1.0.{index}") for index, zone in enumerate(PLACES, 1)]
    rule = {
        "host": "web",
        "trafficPolicy": {
            "outlierDetection": {"consecutive5xxErrors": 5, "interval": "5s", "maxEjectionPercent": 100},
            "loadBalancer": {"localityLbSetting": {"failover": [{"from": "eu", "to": "us"}]}},
        },
    }
    objects = [*nodes, *web, *service("web", "shop", web), istio("DestinationRule", "shop", "web", rule), *more]
    return build(objects, mesh=Mesh(version="1.31"))


WEB = istio(
    "VirtualService",
    "shop",
    "web",
    {"hosts": ["shop.example.com"], "gateways": ["in/public"], "http": [route(("web", "", 100))]},
)


def gateways(*zones: str) -> list[Json]:
    return [pod(f"ingress-{index}", "in", zone, f"10.3.0.{index}", "router") for index, zone in enumerate(zones, 1)]


def waypoints(*zones: str, name: str = "waypoint") -> list[Json]:
    return [
        labelled(pod(f"{name}-{index}", "shop", zone, f"10.4.{len(name)}.{index}", "waypoint"), **{NAME: name})
        for index, zone in enumerate(zones, 1)
    ]


def dies(snapshot: Snapshot, *, lose_clients: bool, rows: tuple[str, ...] = ("web.shop:80",)) -> dict[str, list[str]]:
    """Loss → which rows die."""
    answer = resilience(snapshot, Selection(), levels=("zone", "region"), ability=Ability(lose_clients=lose_clients))
    assert tuple(row["name"] for row in answer["rows"]) == rows
    return {entry["loss"]: entry["dies"] for entry in answer["summary"]}


def test_gateways_of_one_namespace_are_told_apart_by_their_labels() -> None:
    other = pod("internal-1", "in", "a", "10.3.0.9", "router")
    assert [len(kind.members) for kind in Planner(mesh(INGRESS, *gateways("a", "a"), other)).classes] == [2, 1]
