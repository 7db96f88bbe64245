# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that enter by a Gateway of the Gateway API, and connections: TCPRoute, TLSRoute, servers of TCP and TLS.

That routes are istiod's is compared in tests/differential; here is what a forecast makes of them.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._forecast.not_judged import not_judged
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_deployments import deployed
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import unique
from ansible_collections.meshops.locality.plugins.module_utils._model.field_filter import relevant_fields
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Mesh, Snapshot

from .test_gateway_requests import istio, mesh, pod, rows, service

Json = dict[str, t.Any]
GROUP = "gateway.networking.k8s.io"


def api(kind: str, namespace: str, name: str, spec: Json) -> Json:
    metadata = {"name": name, "namespace": namespace}
    item = {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata, "spec": spec}
    return t.cast("Json", relevant_fields(item))


def gateway(*listeners: Json, name: str = "public", **spec: t.Any) -> Json:
    """A Gateway in the namespace `in`; its pod is ingress-1."""
    given = listeners or ({"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": ANYWHERE},)
    return api("Gateway", "in", name, {"gatewayClassName": "istio", "listeners": list(given), **spec})


ANYWHERE = {"namespaces": {"from": "All"}}
#: What istiod makes for the Gateway.
PODS = service("public-istio", "in", [pod("ingress-1", "in", "z1", "10.3.0.1", "router")])
WEB2 = service("web2", "shop", [pod("web-2", "shop", "z2", "10.1.0.2", version="v2")])
PARENT = {"name": "public", "namespace": "in"}


def backend(name: str, weight: int = 1, port: int = 80, **more: t.Any) -> Json:
    return {"name": name, "port": port, "weight": weight, **more}


def http_route(*backends: Json, namespace: str = "shop", **spec: t.Any) -> Json:
    rules = [{"backendRefs": list(backends)}]
    return api("HTTPRoute", namespace, "web", {"parentRefs": [PARENT], "rules": rules, **spec})


def codes(snapshot: Snapshot) -> dict[str, str]:
    return {entry.code: entry.what for entry in not_judged(Planner(snapshot))}


def test_requests_that_enter_by_a_gateway_of_the_gateway_api_take_its_routes() -> None:
    route = http_route(backend("web", 3), backend("web2", 1), hostnames=["shop.example.com"])
    snapshot = mesh(*PODS, *WEB2, gateway(), route)
    by_name = rows(snapshot, "zone r/z2", "ingress-1")
    assert set(by_name) == {"shop.example.com:80"}
    row = by_name["shop.example.com:80"]
    assert [(destination["name"], destination["share"]) for destination in row["destinations"]] == [
        ("web.shop:80", 0.75),
        ("web2.shop:80", 0.25),
    ]
    # web has an endpoint in each zone, web2 only one in z2.
    assert row["loss"]["lost_in_the_end"] == 0.25
    assert "gateway-without-pods" not in codes(snapshot)


def test_a_listener_takes_only_routes_of_namespaces_that_it_allows() -> None:
    own = {"name": "http", "port": 80, "protocol": "HTTP"}
    assert not rows(mesh(*PODS, gateway(own), http_route(backend("web"))), "zone r/z2", "ingress-1")


def test_a_backend_of_another_namespace_needs_a_grant() -> None:
    route = http_route(backend("web", namespace="shop"), namespace="in")
    denied = rows(mesh(*PODS, gateway(), route), "zone r/z2", "ingress-1")["*:80"]
    assert denied["loss"]["lost_in_the_end"] == 1.0
    origin = [{"group": GROUP, "kind": "HTTPRoute", "namespace": "in"}]
    grant = api("ReferenceGrant", "shop", "entry", {"from": origin, "to": [{"group": "", "kind": "Service"}]})
    allowed = rows(mesh(*PODS, gateway(), route, grant), "zone r/z2", "ingress-1")["*:80"]
    assert allowed["loss"]["lost_in_the_end"] == 0.0


def tcp(objects: list[Json]) -> list[Json]:
    for item in objects:
        for port in item.get("spec", {}).get("ports") or item.get("ports") or []:
            port["name"] = "tcp"
    return objects


def test_a_tcp_route_splits_connections_of_the_mesh() -> None:
    web = [pod("web-1", "shop", "z1", "10.1.0.1")]
    db = tcp(service("db", "shop", web, 5432))
    spare = tcp(service("spare", "shop", [pod("web-2", "shop", "z2", "10.1.0.2", version="v2")], 5432))
    parent = {"group": "", "kind": "Service", "name": "db", "port": 5432}
    rules = [{"backendRefs": [backend("db", 9, 5432), backend("spare", 1, 5432)]}]
    route = api("TCPRoute", "shop", "db", {"parentRefs": [parent], "rules": rules})
    row = rows(mesh(*db, *spare, route), "zone r/z2", "client-1")["db.shop:5432"]
    assert [(destination["name"], destination["share"]) for destination in row["destinations"]] == [
        ("db.shop:5432", 0.9),
        ("spare.shop:5432", 0.1),
    ]
    assert round(row["loss"]["lost_in_the_end"], 9) == 0.1


PASSED_ON = {"port": {"number": 443, "name": "tls", "protocol": "TLS"}, "tls": {"mode": "PASSTHROUGH"}}


def test_tls_that_a_gateway_passes_on_goes_where_its_route_says() -> None:
    server = {**PASSED_ON, "hosts": ["shop.example.com"]}
    own = istio("Gateway", "in", "public", {"selector": {"app": "ingress"}, "servers": [server]})
    match = [{"sniHosts": ["shop.example.com"], "port": 443}]
    entry = {
        "match": match,
        "route": [{"destination": {"host": "web2.shop.svc.cluster.local", "port": {"number": 80}}}],
    }
    spec = {"hosts": ["shop.example.com"], "gateways": ["in/public"], "tls": [entry]}
    snapshot = mesh(*WEB2, own, istio("VirtualService", "shop", "web", spec))
    row = rows(snapshot, "zone r/z2", "ingress-1")["shop.example.com:443"]
    assert [destination["name"] for destination in row["destinations"]] == ["web2.shop:80"]
    assert row["loss"]["lost_in_the_end"] == 1.0


def test_a_tls_route_of_a_gateway_is_followed() -> None:
    listener = {
        "name": "tls",
        "port": 443,
        "protocol": "TLS",
        "tls": {"mode": "Passthrough"},
        "hostname": "*.example.com",
        "allowedRoutes": ANYWHERE,
    }
    rules = [{"backendRefs": [backend("web2")]}]
    spec = {"parentRefs": [PARENT], "hostnames": ["shop.example.com"], "rules": rules}
    pods = service("public-istio", "in", [pod("ingress-1", "in", "z1", "10.3.0.1", "router")], 443)
    snapshot = mesh(*pods, *WEB2, gateway(listener), api("TLSRoute", "shop", "web", spec))
    row = rows(snapshot, "zone r/z2", "ingress-1")["shop.example.com:443"]
    assert [destination["name"] for destination in row["destinations"]] == ["web2.shop:80"]


def test_a_client_that_asks_for_a_tls_host_meets_the_route_of_its_own_name() -> None:
    server = service("web", "shop", [pod("web-1", "shop", "z1", "10.1.0.1")], 443)
    for item in server:
        for port in item.get("spec", {}).get("ports") or item.get("ports") or []:
            port["name"] = "tls"
    target = {"destination": {"host": "web2.shop.svc.cluster.local", "port": {"number": 80}}}
    entry = {"match": [{"sniHosts": ["web.shop.svc.cluster.local"]}], "route": [target]}
    virtual = istio("VirtualService", "shop", "web", {"hosts": ["web"], "tls": [entry]})
    row = rows(mesh(*server, *WEB2, virtual), "zone r/z2", "client-1")["web.shop:443"]
    assert [destination["name"] for destination in row["destinations"]] == ["web2.shop:80"]


EXPERIMENTAL = {"group": "gateway.networking.x-k8s.io", "kind": "XListenerSet", "name": "more"}


def test_what_is_not_followed_of_gateways_is_said() -> None:
    snapshot = mesh(
        gateway(),
        api("Gateway", "in", "foreign", {"gatewayClassName": "nginx", "listeners": []}),
        api("HTTPRoute", "shop", "astray", {"parentRefs": [{"name": "gone"}], "rules": []}),
        api("HTTPRoute", "shop", "apart", {"parentRefs": [EXPERIMENTAL], "rules": []}),
        api("HTTPRoute", "shop", "inside", {"parentRefs": [{"group": "", "kind": "Service", "name": "web"}]}),
    )
    seen_codes = codes(snapshot)
    assert "in/foreign (class nginx)" in seen_codes["gateway-class"]
    assert all(f"HTTPRoute shop/{name}" in seen_codes["gateway-routes"] for name in ("astray", "apart"))
    assert "inside" not in seen_codes["gateway-routes"]
    assert "in/public" in seen_codes["gateway-without-pods"]


def test_a_gateway_whose_address_an_entry_has_is_named() -> None:
    """istiod takes the Services of the WorkloadEntry for the pod's own, and the Gateway is for no pod then."""
    machine = istio("WorkloadEntry", "shop", "machine", {"address": "10.3.0.1"})
    assert "in/ingress-1" in codes(mesh(*PODS, gateway(), machine))["gateway-address"]
    machine["spec"]["address"] = "10.3.0.9"
    assert "gateway-address" not in codes(mesh(*PODS, gateway(), machine))


def test_istiod_deploys_the_pods_of_a_gateway_in_manifests() -> None:
    wanted = gateway()
    deployments, objects = deployed([wanted], [wanted], Mesh(version="1.31"))
    assert [(item["kind"], item["metadata"]["name"]) for item in deployments] == [
        ("Deployment", "public-istio"),
        ("Service", "public-istio"),
    ]
    assert [entry.code for entry in objects] == ["gateway-deployed"]
    assert deployed([wanted], [wanted, *deployments], Mesh(version="1.31")) == ([], [])
    by_hand = gateway(addresses=[{"type": "Hostname", "value": "ingress"}])
    assert deployed([by_hand], [by_hand], Mesh(version="1.31")) == ([], [])


def test_istiod_deploys_the_pods_of_a_waypoint_in_manifests() -> None:
    wanted = api("Gateway", "shop", "wp", {"gatewayClassName": "istio-waypoint", "listeners": [{"port": 15008}]})
    deployments, objects = deployed([wanted], [wanted], Mesh(version="1.31"))
    deployment, own_service = deployments
    assert [item["metadata"]["name"] for item in deployments] == ["wp", "wp"]
    template = deployment["spec"]["template"]
    assert template["metadata"]["labels"] == {"gateway.networking.k8s.io/gateway-name": "wp"}
    assert template["spec"]["containers"][0]["args"] == ["proxy", "waypoint"]
    assert own_service["spec"]["type"] == "ClusterIP"
    assert [port["port"] for port in own_service["spec"]["ports"]] == [15021, 15008]
    assert [entry.code for entry in objects] == ["gateway-deployed"]
    assert deployed([wanted], [wanted, *deployments], Mesh(version="1.31")) == ([], [])


def test_gateways_of_both_kinds_with_one_name_are_two_objects() -> None:
    own = istio("Gateway", "in", "public", {"selector": {"app": "ingress"}, "servers": []})
    assert len(unique([own, gateway()])) == 2
    assert "listeners" in gateway()["spec"]
