# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that enter by a gateway, and requests that leave the mesh by one on their way: both hops decide."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import (
    Ability,
    Selection,
    forecast,
    resilience,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Mesh, Snapshot
from ansible_collections.meshops.locality.plugins.module_utils._report.prediction_table import prediction_table

Json = dict[str, t.Any]
ZONES = ("z1", "z2")


def pod(name: str, namespace: str, zone: str, address: str, proxy: str = "sidecar", version: str = "v1") -> Json:
    labels = {"app": name.partition("-")[0], "version": version}
    container = {"name": "istio-proxy", "args": ["proxy", proxy]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": f"node-{zone}", "containers": [container]},
        "status": {"podIP": address, "podIPs": [{"ip": address}], "conditions": [{"type": "Ready", "status": "True"}]},
    }


def service(name: str, namespace: str, pods: list[Json], port: int = 80) -> list[Json]:
    ports = [{"name": "http", "port": port}]
    metadata = {"name": name, "namespace": namespace}
    endpoints = [
        {
            "addresses": [server_pod["status"]["podIP"]],
            "conditions": {"ready": True},
            "targetRef": {"kind": "Pod", "namespace": namespace, "name": server_pod["metadata"]["name"]},
        }
        for server_pod in pods
    ]
    label = {"kubernetes.io/service-name": name}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"clusterIP": "10.0.0.1", "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": label},
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{"name": "http", "port": 8080}],
        },
    ]


def istio(kind: str, namespace: str, name: str, spec: Json) -> Json:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def mesh(*more: Json) -> Snapshot:
    """Two zones: a client and web v1 in z1, web v2 in z2; an ingress in z1; two egress gateways, one in each zone."""
    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": f"node-{zone}",
                "labels": {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": zone},
            },
        }
        for zone in ZONES
    ]
    web = [pod("web-1", "shop", "z1", "10.1.0.1"), pod("web-2", "shop", "z2", "10.1.0.2", version="v2")]
    egress = [pod(f"egress-{zone}", "out", zone, f"10.2.0.{index}", "router") for index, zone in enumerate(ZONES, 1)]
    ingress = [pod("ingress-1", "in", "z1", "10.3.0.1", "router")]
    subsets = [{"name": version, "labels": {"version": version}} for version in ("v1", "v2")]
    return build(
        [
            *nodes,
            *web,
            *egress,
            *ingress,
            pod("client-1", "shop", "z1", "10.4.0.1"),
            *service("web", "shop", web),
            *service("egress", "out", egress),
            *service("ingress", "in", ingress),
            istio("DestinationRule", "shop", "web", {"host": "web", "subsets": subsets}),
            *more,
        ],
        mesh=Mesh(version="1.31"),
    )


def route(*shares: tuple[str, str, int], **more: t.Any) -> Json:
    targets = [
        {"destination": {"host": host, **({"subset": subset} if subset else {})}, "weight": weight}
        for host, subset, weight in shares
    ]
    return {"route": targets, **more}


INGRESS = istio(
    "Gateway",
    "in",
    "public",
    {
        "selector": {"app": "ingress"},
        "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["shop.example.com"]}],
    },
)
WEB = istio(
    "VirtualService",
    "shop",
    "web",
    {
        "hosts": ["shop.example.com"],
        "gateways": ["in/public"],
        "http": [
            route(("web", "v2", 100), match=[{"uri": {"prefix": "/new"}}]),
            route(("web", "v1", 80), ("web", "v2", 20)),
        ],
    },
)


def rows(snapshot: Snapshot, loss: str, client: str) -> dict[str, Json]:
    """Requests → row, with what this loss does as `loss`."""
    prediction = forecast(
        snapshot, Selection(clients=(client,)), losses=[loss], ability=Ability(rate=10, lose_clients=False)
    )
    return {row["name"]: {**row, "loss": row["losses"][0]} for row in prediction["rows"]}


def test_requests_that_enter_by_a_gateway_take_its_routes() -> None:
    by_name = rows(mesh(INGRESS, WEB), "zone r/z1", "ingress-1")
    assert set(by_name) == {"shop.example.com:80", "shop.example.com:80 [uri prefix /new]"}
    default, new = by_name["shop.example.com:80"], by_name["shop.example.com:80 [uri prefix /new]"]
    assert [(destination["name"], destination["share"]) for destination in default["destinations"]] == [
        ("web.shop:80 (v1)", 0.8),
        ("web.shop:80 (v2)", 0.2),
    ]
    assert (default["loss"]["lost_at_first"], default["loss"]["lost_in_the_end"]) == (0.8, 0.8)
    assert (new["loss"]["verdict"], new["loss"]["lost_in_the_end"]) == ("untouched", 0.0)


def test_a_gateway_that_no_route_is_bound_to_takes_no_requests() -> None:
    assert not rows_of_clients(mesh(INGRESS), "ingress-1")


def rows_of_clients(snapshot: Snapshot, client: str) -> list[Json]:
    return t.cast("list[Json]", forecast(snapshot, Selection(clients=(client,)))["rows"])


def outside(protocol: str = "HTTP") -> list[Json]:
    """An outside host in z1 only, which the mesh reaches by the egress gateways."""
    host = "pay.example.com"
    tls = {"tls": {"mode": "PASSTHROUGH"}} if protocol == "TLS" else {}
    server = {"port": {"number": 80, "name": "p", "protocol": protocol}, "hosts": [host], **tls}
    return [
        istio(
            "ServiceEntry",
            "out",
            "pay",
            {
                "hosts": [host],
                "location": "MESH_EXTERNAL",
                "resolution": "STATIC",
                "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
                "endpoints": [{"address": "192.0.2.1", "locality": "r/z1"}],
            },
        ),
        istio("Gateway", "out", "egress", {"selector": {"app": "egress"}, "servers": [server]}),
        istio(
            "VirtualService",
            "out",
            "pay",
            {
                "hosts": [host],
                "gateways": ["mesh", "out/egress"],
                "http": [
                    route(("egress.out.svc.cluster.local", "", 100), match=[{"gateways": ["mesh"]}]),
                    route((host, "", 100), match=[{"gateways": ["out/egress"]}]),
                ],
            },
        ),
    ]


def test_what_a_gateway_on_the_way_does_next_decides_too() -> None:
    snapshot = mesh(*outside())
    row = rows(snapshot, "zone r/z2", "client-1")["pay.example.com:80"]
    (destination,) = row["destinations"]
    assert destination["name"] == "egress.out:80"
    assert [hop["destinations"][0]["name"] for hop in destination["onward"]] == ["pay.example.com:80"] * 2
    # One of two gateways is lost: half of the requests fail until it is removed, and none for good.
    assert (row["loss"]["lost_at_first"], row["loss"]["lost_in_the_end"]) == (0.5, 0.0)
    assert row["now"]["localities"] == {"r/z1": 1.0}
    # The only endpoint behind the gateways is lost: no gateway in z2 helps.
    lost = rows(snapshot, "zone r/z1", "client-1")["pay.example.com:80"]["loss"]
    assert (lost["verdict"], lost["until"], lost["lost_in_the_end"]) == ("dies", "never", 1.0)
    (matrix_row,) = (
        forecast_row
        for forecast_row in resilience(snapshot, Selection(services=("pay.example.com",)), losses=["zone r/z1"])["rows"]
        if forecast_row["name"] == "pay.example.com:80"
    )
    assert (matrix_row["entries"][0]["worst_client"], matrix_row["entries"][0]["sign"]) == ("out/egress-z2", "✗")


def test_a_gateway_that_does_not_look_into_requests_is_said_to_be_not_followed() -> None:
    row = rows(mesh(*outside("TLS")), "zone r/z1", "client-1")["pay.example.com:80"]
    assert not row["checked"]
    (missing,) = row["unchecked"]
    assert missing["code"] == "host-not-at-gateway"
    assert missing["parameters"]["host"] == "pay.example.com"
    assert "not followed" in prediction_table(
        forecast(mesh(*outside("TLS")), Selection(clients=("client-1",)), losses=["zone r/z1"])
    )
