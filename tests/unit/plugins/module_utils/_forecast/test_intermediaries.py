# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gateways and waypoints: requests of others pass them, so a loss of all of them is one of the Services behind them."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._forecast.not_judged import not_judged
from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import (
    Ability,
    Selection,
    forecast,
    plan,
    resilience,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._lint.lint import lint
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


def owned(item: Json) -> Json:
    item["metadata"]["ownerReferences"] = [{"kind": "StatefulSet", "name": "owner", "controller": True}]
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
    return [owned(pod(f"ingress-{at}", "in", zone, f"10.3.0.{at}", "router")) for at, zone in enumerate(zones, 1)]


def waypoints(*zones: str, name: str = "waypoint") -> list[Json]:
    return [
        labelled(owned(pod(f"{name}-{index}", "shop", zone, f"10.4.{len(name)}.{index}", "waypoint")), **{NAME: name})
        for index, zone in enumerate(zones, 1)
    ]


def dies(snapshot: Snapshot, *, lose_clients: bool, rows: tuple[str, ...] = ("web.shop:80",)) -> dict[str, list[str]]:
    """Loss → which rows die."""
    answer = resilience(snapshot, Selection(), levels=("zone", "region"), ability=Ability(lose_clients=lose_clients))
    assert tuple(row["name"] for row in answer["rows"]) == rows
    return {entry["loss"]: entry["dies"] for entry in answer["summary"] if entry["dies"]}


def test_gateways_of_one_namespace_are_told_apart_by_their_labels() -> None:
    other = pod("internal-1", "in", "a", "10.3.0.9", "router")
    assert [len(kind.members) for kind in Planner(mesh(INGRESS, *gateways("a", "a"), other)).classes] == [2, 1]


AMBIENT = namespace("shop", **{"istio.io/dataplane-mode": "ambient", "istio.io/use-waypoint": "waypoint"})
BY_GATEWAY = ("shop.example.com:80",)


@pytest.mark.parametrize("lose_clients", [False, True])
def test_the_loss_of_all_waypoints_of_a_service_is_its_loss(lose_clients: bool) -> None:
    single = dies(mesh(AMBIENT, *waypoints("a")), lose_clients=lose_clients)
    assert single == {"zone eu/a": ["web.shop:80"], "region eu": ["web.shop:80"]}
    both = dies(mesh(AMBIENT, *waypoints("a", "b")), lose_clients=lose_clients)
    assert both == {"region eu": ["web.shop:80"]}
    assert dies(mesh(AMBIENT, *waypoints("a", "c")), lose_clients=lose_clients) == {}


def test_only_its_own_waypoint_is_a_services_way() -> None:
    other = mesh(AMBIENT, *waypoints("a", "c"), *waypoints("b", name="other"))
    assert dies(other, lose_clients=True) == {}
    without = mesh(namespace("shop", **{"istio.io/dataplane-mode": "ambient"}), *waypoints("a"))
    assert dies(without, lose_clients=True) == {}
    elsewhere = {"istio.io/use-waypoint": "waypoint", "istio.io/use-waypoint-namespace": "infra"}
    assert dies(mesh(namespace("shop", **elsewhere), *waypoints("a")), lose_clients=True) == {}


@pytest.mark.parametrize("lose_clients", [False, True])
def test_the_loss_of_all_gateways_of_a_host_is_its_loss(lose_clients: bool) -> None:
    single = dies(mesh(INGRESS, WEB, *gateways("a")), lose_clients=lose_clients, rows=BY_GATEWAY)
    assert single == {"zone eu/a": [*BY_GATEWAY], "region eu": [*BY_GATEWAY]}
    both = dies(mesh(INGRESS, WEB, *gateways("a", "b")), lose_clients=lose_clients, rows=BY_GATEWAY)
    assert both == {"region eu": [*BY_GATEWAY]}
    assert dies(mesh(INGRESS, WEB, *gateways("a", "c")), lose_clients=lose_clients, rows=BY_GATEWAY) == {}


def test_gateways_that_are_left_take_over_what_the_lost_ones_had() -> None:
    """Two thirds of the requests come by eu; those by us take their place, and all of them go to the endpoint in us."""
    snapshot = mesh(INGRESS, WEB, *gateways("a", "b", "c"))
    (row,) = resilience(snapshot, Selection(), levels=("region",), ability=Ability(lose_clients=True))["rows"]
    eu, us = row["entries"]
    assert (eu["clients"], eu["verdict"], eu["load"]) == ({"untouched": 1}, "untouched", 3.0)
    assert (us["clients"], us["load"]) == ({"untouched": 2}, 1.5)


def test_several_pods_lost_at_once_are_all_of_a_gateways_pods() -> None:
    snapshot = mesh(INGRESS, WEB, *gateways("a", "a"))
    both, single = ["pod in/ingress-1", "pod in/ingress-2"], ["pod in/ingress-1"]
    (row,) = resilience(snapshot, Selection(), losses=[both, single])["rows"]
    assert [entry["verdict"] for entry in row["entries"]] == ["dies", "untouched"]


def test_sidecars_go_on_without_a_gateway() -> None:
    sidecar = pod("client-1", "shop", "c", "10.5.0.1")
    rows = ("shop.example.com:80", "web.shop:80")
    lost = dies(mesh(INGRESS, WEB, *gateways("a"), sidecar), lose_clients=True, rows=rows)
    assert lost["zone eu/a"] == [*BY_GATEWAY]


def test_a_gateway_without_a_gateway_that_is_known_goes_on() -> None:
    """Nobody knows whether any request of others passes it: a loss neither stops its requests nor kills the Service."""
    assert dies(mesh(*gateways("a")), lose_clients=True) == {}


def test_that_gateways_are_lost_is_an_assumption_where_there_are_any() -> None:
    def codes(snapshot: Snapshot) -> list[str]:
        return [entry["code"] for entry in resilience(snapshot, Selection())["assumptions"]]

    assert "intermediaries-lost" in codes(mesh(INGRESS, WEB, *gateways("a")))
    assert "intermediaries-lost" not in codes(mesh(pod("client-1", "shop", "c", "10.5.0.1")))


def findings(snapshot: Snapshot) -> list[tuple[str, str]]:
    """Message and reason of ML523."""
    return [(finding.message, finding.why) for finding in lint(snapshot) if finding.id == "ML523"]


def test_lint_names_a_waypoint_in_one_place() -> None:
    without_owner = waypoints("b", name="other")
    del without_owner[0]["metadata"]["ownerReferences"]
    ((message, why),) = findings(mesh(AMBIENT, *waypoints("a", "a")))
    assert message == "2 pods of the waypoint, all in eu/a."
    assert why == "When it is lost, nothing from ambient pods reaches web.shop, wherever their endpoints are."
    assert not findings(mesh(AMBIENT, *waypoints("a", "c")))
    assert not findings(mesh(AMBIENT, *waypoints("a", "c"), *without_owner))


def test_lint_names_a_gateway_in_one_of_several_regions() -> None:
    ((message, why),) = findings(mesh(INGRESS, WEB, *gateways("a", "b")))
    assert message == "2 pods of the gateway, all in eu."
    assert why == "When it is lost, nothing from outside reaches web.shop, wherever their endpoints are."
    assert not findings(mesh(INGRESS, WEB, *gateways("a", "c")))
    ((message, why),) = findings(mesh(INGRESS, WEB, *gateways("a")))
    assert (message, why.endswith("; other networks see the gateway as one endpoint.")) == (
        "1 pod of the gateway, all in eu/a.",
        True,
    )
    ((message, _why),) = findings(mesh(AMBIENT, *waypoints("a", "b")))
    assert message == "2 pods of the waypoint, all in eu."


def test_gateways_that_ask_the_waypoint_are_not_checked() -> None:
    def codes(*more: Json) -> tuple[set[str], set[str]]:
        """What is not judged, and what of the gateway's rows is not checked."""
        snapshot = mesh(INGRESS, WEB, *gateways("a"), *more)
        rows = plan(snapshot, Selection(clients=("ingress-1",)))
        said = {entry["text"] for row in rows for entry in row["unchecked"]}
        forecasts = forecast(snapshot, Selection(clients=("ingress-1",)))["rows"]
        assert said == {entry["text"] for row in forecasts for entry in row["unchecked"]}
        return {entry.what for entry in not_judged(Planner(snapshot)) if entry.code == "ingress-waypoint"}, said

    use = {"istio.io/use-waypoint": "waypoint", "istio.io/ingress-use-waypoint": "true"}
    hidden, said = codes(namespace("shop", **use))
    assert hidden == {
        "Gateways send requests to the waypoint of these Services (istio.io/ingress-use-waypoint): web.shop."
    }
    assert said == {"istiod sends gateways the endpoints of the waypoint shop/waypoint instead."}
    assert codes(namespace("shop", **{**use, "istio.io/ingress-use-waypoint": "false"})) == (set(), set())
    assert codes(namespace("shop", **{"istio.io/ingress-use-waypoint": "true"})) == (set(), set())
    without_gateways = mesh(namespace("shop", **use), pod("client-1", "shop", "c", "10.5.0.1"))
    assert "ingress-waypoint" not in {entry.code for entry in not_judged(Planner(without_gateways))}
    assert not any(row["unchecked"] for row in plan(without_gateways, Selection()))
