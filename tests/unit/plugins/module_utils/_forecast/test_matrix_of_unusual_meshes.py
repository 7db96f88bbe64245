# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The matrix of meshes that are seldom seen: it clears nothing that fails, and leaves nothing out without a word."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import (
    Ability,
    Selection,
    forecast,
    resilience,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Mesh, Snapshot
from ansible_collections.meshops.locality.plugins.module_utils._report.prediction_table import prediction_table

from .test_gateway_requests import INGRESS, istio, mesh, pod, route, service

Json = dict[str, t.Any]

EXTERNAL, SHOP = "ext.example.com", "shop.example.com"
WEB = "web.shop.svc.cluster.local"
API = "gateway.networking.k8s.io/v1"


def matrix(snapshot: Snapshot, *losses: str, services: tuple[str, ...] = ("web",), lose_clients: bool = False) -> Json:
    ability = Ability(rate=10, lose_clients=lose_clients)
    return resilience(snapshot, Selection(services=services), losses=losses or ["zone r/z1"], ability=ability)


def node(name: str, zone: str) -> Json:
    labels = {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": zone}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def server(name: str, zone: str, address: str) -> Json:
    plain = pod(name, "shop", zone, address)
    plain["spec"]["containers"] = [{"name": "app"}]
    return plain


def snapshot_of(*objects: Json) -> Snapshot:
    return build([node("node-z1", "z1"), node("node-z2", "z2"), *objects], mesh=Mesh(version="1.31"))


def gateway(namespace: str, name: str, app: str, host: str, port: int = 80) -> Json:
    ports = {"number": port, "name": "http", "protocol": "HTTP"}
    servers = [{"port": ports, "hosts": [host]}]
    return istio("Gateway", namespace, name, {"selector": {"app": app}, "servers": servers})


def entering(name: str, by: str, host: str, to: str) -> Json:
    return istio("VirtualService", "shop", name, {"hosts": [host], "gateways": [by], "http": [route((to, "", 100))]})


def codes(sentences: t.Iterable[Json]) -> set[str]:
    return {str(sentence["code"]) for sentence in sentences}


def test_a_destination_without_endpoints_hides_no_other() -> None:
    http = [
        route(("web", "v1", 99), ("empty", "", 1), match=[{"uri": {"prefix": "/pay"}}]),
        route(("web", "", 100)),
    ]
    way = istio("VirtualService", "shop", "way", {"hosts": ["web"], "http": http})
    result = matrix(mesh(*service("empty", "shop", []), way))
    verdicts = {row["requests"]: row["entries"][0]["verdict"] for row in result["rows"]}
    assert verdicts == {"": "survives", "uri prefix /pay": "dies"}


def test_requests_behind_an_egress_gateway_are_no_survivors() -> None:
    """The gateway survives, and what it leads to does not: the matrix has no row for both hops, and says so."""
    egress = [pod(f"egress-{zone}", "out", zone, f"10.2.0.{index}", "router") for index, zone in ((1, "z1"), (2, "z2"))]
    to_gateway = route(("egress8.out.svc.cluster.local", "", 100), match=[{"gateways": ["mesh"]}])
    to_gateway["route"][0]["destination"]["port"] = {"number": 8080}
    onward = route((WEB, "v1", 100), match=[{"gateways": ["out/eg"]}])
    spec = {"hosts": [EXTERNAL], "gateways": ["mesh", "out/eg"], "http": [to_gateway, onward]}
    result = matrix(
        mesh(
            gateway("out", "eg", "egress", EXTERNAL, 8080),
            istio("VirtualService", "shop", "way", spec),
            *service("egress8", "out", egress, 8080),
        ),
        services=("web", "egress8"),
    )
    (skipped,) = result["skipped"]
    assert (skipped["name"], skipped["code"]) == (f"{EXTERNAL}:80", "two-hops")
    (behind,) = [row for row in result["rows"] if row["name"] == f"{EXTERNAL}:8080"]
    assert behind["entries"][0]["verdict"] == "dies"


def test_what_is_not_checked_behind_a_gateway_is_said() -> None:
    """The second hop ends at a name of DNS: its addresses are not known, in the row of those who ask for it, too."""
    to_gateway = route(("egress.out.svc.cluster.local", "", 100), match=[{"gateways": ["mesh"]}])
    onward = route((EXTERNAL, "", 100), match=[{"gateways": ["out/eg"]}])
    spec = {"hosts": [EXTERNAL], "gateways": ["mesh", "out/eg"], "http": [to_gateway, onward]}
    ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
    snapshot = mesh(
        gateway("out", "eg", "egress", EXTERNAL),
        istio("VirtualService", "shop", "way", spec),
        istio("ServiceEntry", "shop", "ext", {"hosts": [EXTERNAL], "ports": ports, "resolution": "DNS"}),
    )
    prediction = forecast(snapshot, Selection(clients=("client-1",)), losses=["zone r/z1"])
    (row,) = [row for row in prediction["rows"] if row["service"] == EXTERNAL]
    assert codes(row["unchecked"]) == {"addresses-of-names"}
    assert not row["checked"]


def test_a_forecast_follows_requests_from_one_gateway_to_the_next() -> None:
    http = [
        route(("egress.out.svc.cluster.local", "", 100), match=[{"gateways": ["in/public"]}]),
        route((WEB, "v1", 100), match=[{"gateways": ["out/eg"]}]),
    ]
    spec = {"hosts": [SHOP], "gateways": ["in/public", "out/eg"], "http": http}
    snapshot = mesh(
        INGRESS,
        gateway("out", "eg", "egress", SHOP),
        istio("VirtualService", "shop", "way", spec),
        pod("ingress-2", "in", "z2", "10.3.0.2", "router"),
    )
    selection = Selection(services=("egress",), clients=("ingress-2",))
    prediction = forecast(snapshot, selection, losses=["zone r/z1"], ability=Ability(rate=10, lose_clients=False))
    (row,) = [row for row in prediction["rows"] if row["service"] == SHOP]
    assert row["losses"][0]["verdict"] == "dies"


def test_a_gateway_of_another_gateway_takes_nothing_over() -> None:
    pods = [server("web-1", "z1", "10.1.0.1"), server("web-2", "z2", "10.1.0.2")]
    result = matrix(
        snapshot_of(
            *pods,
            *service("web", "shop", pods),
            *service("api", "shop", pods),
            pod("inga-1", "in", "z1", "10.3.0.1", "router"),
            pod("ingb-1", "partner", "z2", "10.3.0.2", "router"),
            gateway("in", "public", "inga", "*"),
            gateway("partner", "partner", "ingb", "*"),
            entering("a", "in/public", "*", WEB),
            entering("b", "partner/partner", "*", "api.shop.svc.cluster.local"),
        ),
        services=(),
    )
    (row,) = result["rows"]
    assert row["entries"][0]["clients"] == {"dies": 1, "survives": 1}


@pytest.mark.parametrize(("ready", "verdict"), [("True", "survives"), ("False", "dies")])
def test_a_gateway_that_is_not_ready_takes_nothing_over(ready: str, verdict: str) -> None:
    pods = [server("web-1", "z1", "10.1.0.1"), server("web-2", "z2", "10.1.0.2")]
    other = pod("ingress-2", "in", "z2", "10.3.0.2", "router")
    other["status"]["conditions"] = [{"type": "Ready", "status": ready}]
    way = entering("way", "in/public", SHOP, WEB)
    first = pod("ingress-1", "in", "z1", "10.3.0.1", "router")
    result = matrix(snapshot_of(*pods, *service("web", "shop", pods), first, other, INGRESS, way))
    (row,) = result["rows"]
    assert row["entries"][0]["verdict"] == verdict
    assert ("unready-gateways" in codes(result["unchecked"])) == (verdict == "dies")


def test_what_is_not_followed_is_not_called_checked() -> None:
    database = [server("db-1", "z1", "10.7.0.1")]
    headless = service("db", "shop", database)
    headless[0]["spec"]["clusterIP"] = "None"
    way = istio("VirtualService", "shop", "way", {"hosts": ["web"], "http": [route(("web", "", 50), ("db", "", 50))]})
    result = matrix(mesh(*database, *headless, way))
    assert not result["checked"]
    assert codes(result["unchecked"]) == {"some-requests-not-balanced"}


def test_a_client_is_lost_once() -> None:
    """With its node and as a pod: another client of its place is left, and what it asks for fails."""
    pods = [server("web-1", "z2", "10.1.0.1")]
    other = pod("client-2", "shop", "z1", "10.4.0.2")
    other["spec"]["nodeName"] = "node-z1b"
    result = matrix(
        snapshot_of(
            node("node-z1b", "z1"),
            *pods,
            *service("web", "shop", pods),
            pod("client-1", "shop", "z1", "10.4.0.1"),
            other,
        ),
        "node node-z1 + pod shop/client-1 + pod shop/web-1",
        lose_clients=True,
    )
    (row,) = result["rows"]
    assert row["entries"][0]["clients"] == {"dies": 1}


def test_routes_of_waypoints_are_not_judged() -> None:
    waypoints = [pod(f"waypoint-{index}", "shop", f"z{index}", f"10.9.0.{index}", "waypoint") for index in (1, 2)]
    for waypoint in waypoints:
        waypoint["metadata"]["labels"]["gateway.networking.k8s.io/gateway-name"] = "waypoint"
    labels = {"istio.io/dataplane-mode": "ambient", "istio.io/use-waypoint": "waypoint"}
    spec = {
        "parentRefs": [{"group": "", "kind": "Service", "name": "web"}],
        "rules": [{"backendRefs": [{"name": "web-one", "port": 80}]}],
    }
    pods = [server("web-1", "z1", "10.1.0.1"), server("web-2", "z2", "10.1.0.2")]
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}},
        *(*waypoints, *pods, *service("web", "shop", pods), *service("web-one", "shop", pods[:1])),
        *service("waypoint", "shop", waypoints),
    ]
    way = {"apiVersion": API, "kind": "HTTPRoute", "metadata": {"name": "way", "namespace": "shop"}, "spec": spec}
    assert "waypoint-routes" not in codes(matrix(snapshot_of(*objects))["not_judged"])
    assert "waypoint-routes" in codes(matrix(snapshot_of(*objects, way))["not_judged"])


@pytest.mark.parametrize(("name", "said"), [("", True), ("http", False), ("tcp", False)])
def test_what_is_sent_to_a_port_without_a_protocol_is_not_known(name: str, said: bool) -> None:
    pods = [server("db-1", "z1", "10.1.0.1")]
    database = service("db", "shop", pods, 5432)
    for listed in (item["spec"]["ports"] if "spec" in item else item["ports"] for item in database):
        listed[0]["name"] = name
    result = matrix(snapshot_of(*pods, *database, pod("client-1", "shop", "z1", "10.4.0.1")), services=("db",))
    assert ("port-without-protocol" in codes(result["not_judged"])) == said


def test_a_row_says_whether_any_of_its_clients_is_left() -> None:
    other = pod("client-2", "shop", "z2", "10.4.0.2")
    selection = Selection(services=("web",), clients=("client-*",))
    losses = ["zone r/z1", "pod shop/client-1 + pod shop/web-1"]
    text = prediction_table(forecast(mesh(other), selection, losses=losses, ability=Ability(rate=10)))
    assert "** this loss also takes out all of these clients; the row is what they would meet." in text
    assert "* this loss also takes out some of these clients" not in text


def canary(spread: t.Sequence[str]) -> Snapshot:
    """Half of the requests go to v1, half to v2, all pods in one zone; `spread`: the node of each pod."""
    pods = [pod(f"web-{number}", "shop", "z1", f"10.1.0.{number}") for number in range(1, len(spread) + 1)]
    for number, (each, on) in enumerate(zip(pods, spread, strict=True)):
        each["spec"] = {"nodeName": on, "containers": [{"name": "app"}]}
        each["metadata"]["labels"]["version"] = f"v{number % 2 + 1}"
    subsets = [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")]
    return snapshot_of(
        node("node-other", "z1"),
        *(*pods, *service("web", "shop", pods), pod("client-1", "shop", "z2", "10.4.0.1")),
        istio("DestinationRule", "shop", "web", {"host": WEB, "subsets": subsets}),
        istio("VirtualService", "shop", "way", {"hosts": [WEB], "http": [route((WEB, "v1", 50), (WEB, "v2", 50))]}),
    )


def test_what_is_left_of_both_versions_carries_all() -> None:
    """Four of six pods are lost, two of each version: those that are left get three times as much."""
    (row,) = matrix(canary(["node-z1"] * 4 + ["node-other"] * 2), "node node-z1")["rows"]
    assert (row["endpoints"], row["entries"][0]["load"], row["entries"][0]["overloaded"]) == (6, 3.0, True)


def test_one_pod_behind_two_ports_is_one() -> None:
    """A route shares requests over two Services of the same four pods, of which three are lost."""
    pods = [server(f"web-{number}", "z1", f"10.1.0.{number}") for number in range(1, 5)]
    admin = service("adm", "shop", pods)
    admin[1]["ports"][0]["port"] = 8081
    snapshot = snapshot_of(
        *(*pods, *service("web", "shop", pods), *admin, pod("client-1", "shop", "z2", "10.4.0.1")),
        istio("VirtualService", "shop", "way", {"hosts": [WEB], "http": [route((WEB, "", 50), ("adm", "", 50))]}),
    )
    losses = " + ".join(f"pod shop/web-{number}" for number in (1, 2, 3))
    (row,) = matrix(snapshot, losses)["rows"]
    assert (row["endpoints"], row["entries"][0]["load"]) == (4, 4.0)


@pytest.mark.parametrize("name", ["web", "other"])
def test_what_pods_can_carry_counts_wherever_they_are_asked(name: str) -> None:
    """Who asks for another host reaches the pods of web all the same: 15 requests a second where they carry 12."""
    pods = [server("web-1", "z1", "10.1.0.1"), server("web-2", "z2", "10.1.0.2")]
    snapshot = snapshot_of(
        *(*pods, *service("web", "shop", pods), *service("other", "shop", [])),
        pod("client-1", "shop", "z2", "10.4.0.1"),
        istio("VirtualService", "shop", "way", {"hosts": ["other"], "http": [route((WEB, "", 100))]}),
    )
    ability = Ability(rate=15, per_pod={"web": 12}, lose_clients=False)
    result = resilience(snapshot, Selection(services=(name,)), losses=["zone r/z1"], ability=ability)
    (row,) = result["rows"]
    assert (row["entries"][0]["limit_from"], row["entries"][0]["overloaded"]) == ("given", True)


def test_retries_elsewhere_answer_what_weighted_routes_lose() -> None:
    """Every endpoint of the first zone fails, no try is repeated there: nobody dies of it."""
    pods = [server("web-1", "z2", "10.1.0.1"), server("web-2", "z1", "10.1.0.2"), server("web-3", "z1", "10.1.0.3")]
    policy = {"outlierDetection": {"consecutive5xxErrors": 5}}
    retries = {"attempts": 3, "retryOn": "5xx,connect-failure", "retryRemoteLocalities": True}
    ways = [route((WEB, "", 50), ("web2", "", 50), retries=retries)]
    snapshot = snapshot_of(
        *(*pods, *service("web", "shop", pods), *service("web2", "shop", pods)),
        pod("client-1", "shop", "z1", "10.4.0.1"),
        *(istio("DestinationRule", "shop", name, {"host": name, "trafficPolicy": policy}) for name in ("web", "web2")),
        istio("VirtualService", "shop", "way", {"hosts": [WEB], "http": ways}),
    )
    asked: Json = {"losses": ["zone r/z1"], "faults": ["server_error"]}
    ability = Ability(rate=10, lose_clients=False)
    (row,) = resilience(snapshot, Selection(services=("web",)), ability=ability, **asked)["rows"]
    (own,) = forecast(snapshot, Selection(services=("web",)), ability=ability, **asked)["rows"]
    assert row["entries"][0]["for_good"] == 0.0
    assert row["entries"][0]["verdict"] == own["losses"][0]["verdict"] != "dies"


def test_pods_that_only_their_own_node_reaches_carry_it_alone() -> None:
    """internalTrafficPolicy Local: two of three pods of one node are lost, and no other node's pods help it."""
    nodes = [node(f"node-{number}", "z1") for number in range(4)]
    pods, clients = [], []
    for number in range(4):
        pods += [server(f"web-{number}-{each}", "z1", f"10.1.{number}.{each}") for each in (1, 2, 3)]
        clients.append(pod(f"client-{number}", "shop", "z1", f"10.4.0.{number + 1}"))
        for each in (*pods[-3:], clients[-1]):
            each["spec"]["nodeName"] = f"node-{number}"
    local = service("web", "shop", pods)
    local[0]["spec"]["internalTrafficPolicy"] = "Local"
    for endpoint, each in zip(local[1]["endpoints"], pods, strict=True):
        endpoint["nodeName"] = each["spec"]["nodeName"]
    (row,) = matrix(snapshot_of(*nodes, *pods, *clients, *local), "pod shop/web-0-1 + pod shop/web-0-2")["rows"]
    assert (row["endpoints"], row["entries"][0]["load"], row["entries"][0]["overloaded"]) == (12, 3.0, True)


def test_pods_behind_the_gateway_of_another_network_are_those_that_carry() -> None:
    """A client in net2 reaches the three pods of net1 by a gateway: what is left of them carries its requests, too."""

    def placed(each: Json, network: str) -> Json:
        labels = {"topology.istio.io/network": network, "security.istio.io/tlsMode": "istio"}
        each["metadata"]["labels"] |= labels
        for container in each["spec"]["containers"]:
            container["env"] = [{"name": "ISTIO_META_NETWORK", "value": network}]
        return each

    pods = [placed(server(f"web-{number}", "z1", f"10.1.0.{number}"), "net1") for number in (1, 2, 3)]
    clients = [
        placed(pod(f"client-{index}", "shop", f"z{index}", f"10.4.0.{index}"), f"net{index}") for index in (1, 2)
    ]
    networks = {
        f"net{index}": {
            "endpoints": [{"fromCidr": f"192.168.{index}.0/24"}],
            "gateways": [{"address": f"172.0.0.{index}", "port": 15443}],
        }
        for index in (1, 2)
    }
    snapshot = build(
        [node("node-z1", "z1"), node("node-z2", "z2"), *pods, *service("web", "shop", pods), *clients],
        mesh=Mesh(version="1.31", networks=networks),
    )
    (row,) = matrix(snapshot, "pod shop/web-1 + pod shop/web-2")["rows"]
    assert (row["endpoints"], row["entries"][0]["load"]) == (3, 3.0)


def test_a_capacity_of_one_destination_is_none_of_the_others() -> None:
    """1 % of the requests go to pods that carry much: that says nothing of those that get 99 %."""
    pods = {
        name: [server(f"{name}-{zone}", zone, f"10.{net}.0.{zone[1]}") for zone in ("z1", "z2")]
        for name, net in (("web", 1), ("big", 5))
    }
    snapshot = snapshot_of(
        *(*pods["web"], *service("web", "shop", pods["web"]), *pods["big"], *service("big", "shop", pods["big"])),
        pod("client-1", "shop", "z2", "10.4.0.1"),
        istio("VirtualService", "shop", "way", {"hosts": [WEB], "http": [route((WEB, "", 99), ("big", "", 1))]}),
    )
    ability = Ability(rate=10, per_pod={"big": 1000}, lose_clients=False, headroom=1.5)
    (row,) = resilience(snapshot, Selection(services=("web",)), losses=["zone r/z1"], ability=ability)["rows"]
    assert (row["entries"][0]["limit_from"], row["entries"][0]["overloaded"]) == ("assumed", True)
