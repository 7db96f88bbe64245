# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classes of requests. That routes are istiod's is compared in tests/differential; here is what people see of them."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_source import RouteSource
from ansible_collections.meshops.locality.plugins.module_utils._istio.routes import RequestClass, Routes
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_document import (
    SnapshotDocument,
    read,
    write,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.field_filter import relevant_fields
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Mesh

Json = dict[str, t.Any]

HOST = "web.a.svc.cluster.local"
SECRET = "a-token-that-nobody-may-read"


def thing(kind: str, name: str, spec: Json, namespace: str = "a", **metadata: t.Any) -> Json:
    groups = {"Pod": "v1", "Service": "v1", "HTTPRoute": "gateway.networking.k8s.io/v1"}
    version = groups.get(kind, "networking.istio.io/v1")
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": spec,
    }


def service(name: str, port: str = "http", namespace: str = "a") -> Json:
    return thing("Service", name, {"clusterIP": "10.0.0.1", "ports": [{"name": port, "port": 80}]}, namespace)


def route(*http: Json, name: str = "web", hosts: t.Sequence[str] = ("web",), **spec: t.Any) -> Json:
    return thing("VirtualService", name, {"hosts": list(hosts), "http": list(http), **spec})


def to(host: str = "web", subset: str = "", weight: int | None = None) -> Json:
    target: Json = {"destination": {"host": host, **({"subset": subset} if subset else {})}}
    return target if weight is None else {**target, "weight": weight}


CLIENT = thing("Pod", "client", {"containers": [{"name": "istio-proxy"}]}, labels={"app": "client"})
CLIENT["status"] = {"podIP": "10.9.0.1", "phase": "Running"}
BASE = [CLIENT, service("web"), service("other"), service("far", namespace="b"), service("db", "tcp-db")]


def met(*objects: Json, host: str = HOST, config: Json | None = None) -> list[RequestClass]:
    """What the client meets, after the snapshot was written and read again."""
    mesh = Mesh(version="1.31", config=config or {})
    items = tuple(relevant_fields(item) for item in (*BASE, *objects))
    document = write(SnapshotDocument(control_plane=mesh, items=items))
    assert SECRET not in str(document)
    snapshot = read(document).snapshot
    planner = Planner(snapshot)
    return Routes(planner).classes(planner.clients[0], host, 80)


def ways(classes: t.Sequence[RequestClass]) -> list[tuple[str, dict[str, float] | tuple[str, int]]]:
    """(which requests, {destination: share} or what Envoy answers)."""
    recorded: list[tuple[str, dict[str, float] | tuple[str, int]]] = []
    for request_class in classes:
        shares = {
            f"{to.host.partition('.svc')[0]}{'/' + to.subset if to.subset else ''}": share
            for to, share in request_class.route.shares
        }
        recorded.append(
            (
                " or ".join(map(str, request_class.matches)),
                shares or (request_class.route.answer, request_class.route.status),
            )
        )
    return recorded


def test_without_a_route_all_requests_go_to_the_host() -> None:
    (only,) = met()
    assert ways([only]) == [("", {"web.a": 1.0})]
    assert (only.route.source, only.route.retries and only.route.retries.attempts) == ("Istio's default", 2)


def test_a_canary() -> None:
    (only,) = met(route({"route": [to(subset="v1", weight=70), to(subset="v2", weight=30)]}))
    assert ways([only]) == [("", {"web.a/v1": 0.7, "web.a/v2": 0.3})]
    assert only.route.source == "VirtualService a/web http[0]"


def test_where_a_route_is_written_is_no_field_of_it() -> None:
    """Istio knows no field `source` of a route: whoever writes one does not say where the route is."""
    (only,) = met(route({"route": [to()], "source": "VirtualService b/other http[7]"}))
    source = only.route.source
    assert isinstance(source, RouteSource)
    assert (source, source.object, source.field) == ("VirtualService a/web http[0]", "VirtualService a/web", "http[0]")


def test_classes_of_requests_the_default_one_first_without_values_of_headers() -> None:
    fate = met(
        route(
            {"match": [{"headers": {"authorization": {"exact": SECRET}}}], "route": [to("other")]},
            {
                "match": [{"uri": {"prefix": "/x"}}, {"uri": {"exact": "/y"}, "method": {"exact": "GET"}}],
                "route": [to("far.b")],
            },
            {"match": [{"queryParams": {"key": {"regex": SECRET}}}], "directResponse": {"status": 418}},
            {"route": [to()]},
            {"route": [to("other")]},
        )
    )
    assert ways(fate) == [
        ("", {"web.a": 1.0}),
        ("header authorization", {"other.a": 1.0}),
        ("uri prefix /x or uri exact /y, method", {"far.b": 1.0}),
        ("query key", ("direct response", 418)),
    ]


def test_a_class_with_the_fate_of_the_default_is_none_of_its_own() -> None:
    fate = met(route({"match": [{"uri": {"prefix": "/x"}}], "route": [to()]}, {"route": [to()]}))
    assert ways(fate) == [("", {"web.a": 1.0})]


def test_requests_that_no_route_takes() -> None:
    fate = met(route({"match": [{"uri": {"prefix": "/x"}}], "route": [to()]}))
    assert ways(fate) == [("", ("no route", 404)), ("uri prefix /x", {"web.a": 1.0})]


@pytest.mark.parametrize(
    ("match", "taken"),
    [
        ({"sourceLabels": {"app": "client"}}, True),
        ({"sourceLabels": {"app": "server"}}, False),
        ({"sourceNamespace": "b"}, False),
        ({"port": 81}, False),
        ({"gateways": ["mesh"]}, True),
        ({"gateways": ["edge"]}, False),
    ],
)
def test_matches_that_are_known_before_any_request(match: Json, taken: bool) -> None:
    fate = met(route({"match": [match], "route": [to("other")]}, {"route": [to()]}))
    assert ways(fate) == [("", {"other.a" if taken else "web.a": 1.0})]


def test_a_redirect_a_fault_and_the_time_limit() -> None:
    (only,) = met(route({"redirect": {"authority": "elsewhere"}}))
    assert ways([only]) == [("", ("redirect", 301))]
    fault = {"abort": {"httpStatus": 503, "percentage": {"value": 25}}, "delay": {"fixedDelay": "2s"}}
    (only,) = met(route({"route": [to()], "timeout": "3s", "fault": fault}))
    assert only.route.timeout == 3.0
    assert tuple(only.route.fault) == (0.25, 503, 0.0, 2.0), "a delay without a percentage delays nobody"


def test_the_oldest_of_several_for_one_host_and_only_where_exported() -> None:
    other = route({"route": [to("other")]}, name="b")
    older = route({"route": [to("far.b")]}, name="z")
    other["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    older["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    assert ways(met(other, older)) == [("", {"far.b": 1.0})]
    older["spec"]["exportTo"] = ["b"]
    assert ways(met(other, older)) == [("", {"other.a": 1.0})]


def test_delegates() -> None:
    root = route({"match": [{"uri": {"prefix": "/x"}}], "delegate": {"name": "part"}}, {"route": [to()]})
    part = thing(
        "VirtualService",
        "part",
        {
            "http": [
                {"match": [{"uri": {"prefix": "/x/y"}}], "route": [to("other")]},
                {"match": [{"uri": {"prefix": "/z"}}], "route": [to("far.b")]},
                {"route": [to("other")], "timeout": "1s"},
            ]
        },
    )
    fate = met(root, part)
    assert ways(fate) == [
        ("", {"web.a": 1.0}),
        ("uri prefix /x/y", {"other.a": 1.0}),
        ("uri prefix /x", {"other.a": 1.0}),
    ]
    assert fate[2].route.source == "VirtualService a/part http[2]"


def test_routes_of_the_gateway_api() -> None:
    rules = [
        {"backendRefs": [{"name": "web", "port": 80, "weight": 9}, {"name": "other", "port": 80, "weight": 1}]},
        {
            "matches": [{"path": {"value": "/x"}, "headers": [{"name": "token", "value": SECRET}]}],
            "backendRefs": [{"name": "other", "port": 80}],
        },
        {"matches": [{"path": {"value": "/none"}}], "backendRefs": []},
    ]
    parent = {"group": "", "kind": "Service", "name": "web"}
    fate = met(thing("HTTPRoute", "web", {"parentRefs": [parent], "rules": rules}))
    assert ways(fate) == [
        ("", {"web.a": 0.9, "other.a": 0.1}),
        ("uri prefix /none", ("direct response", 500)),
        ("uri prefix /x, header token", {"other.a": 1.0}),
    ]
    assert fate[0].route.source == "HTTPRoute a/web rules[0]"
    assert fate[0].route.missing == 500
    assert ways(met(thing("HTTPRoute", "web", {"parentRefs": [{"name": "edge"}], "rules": rules}))) == [
        ("", {"web.a": 1.0})
    ]


def test_an_alias_is_its_target_with_the_targets_routes() -> None:
    alias = thing(
        "Service", "nick", {"type": "ExternalName", "externalName": HOST, "ports": [{"name": "http", "port": 80}]}
    )
    nick = "nick.a.svc.cluster.local"
    assert ways(met(alias, host=nick)) == [("", {"web.a": 1.0})]
    assert ways(met(alias, route({"route": [to("other")]}), host=nick)) == [("", {"other.a": 1.0})]
    assert ways(met(alias, route({"route": [to("nick")]}))) == [("", {"web.a": 1.0})]


def test_connections_that_are_not_http() -> None:
    db = "db.a.svc.cluster.local"
    assert ways(met(host=db)) == [("", {"db.a": 1.0})]
    tcp = thing(
        "VirtualService", "db", {"hosts": ["db"], "tcp": [{"route": [to("db", weight=1), to("far.b", weight=3)]}]}
    )
    assert ways(met(tcp, host=db)) == [("", {"db.a": 0.25, "far.b": 0.75})]


def test_a_host_that_no_route_has() -> None:
    limited = thing("Sidecar", "default", {"egress": [{"hosts": ["./other.a.svc.cluster.local"]}]})
    assert ways(met(limited)) == [("", ("passthrough", 0))]
    only = {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}
    assert ways(met(limited, config=only)) == [("", ("refused", 502))]


def limited(policy: Json | None, hosts: str = "./other.a.svc.cluster.local") -> Json:
    """A Sidecar that imports only some hosts."""
    own = {} if policy is None else {"outboundTrafficPolicy": policy}
    return thing("Sidecar", "default", {"egress": [{"hosts": [hosts]}], **own})


def test_a_wildcard_that_is_for_an_http_service_makes_routes_for_a_host_that_is_not_imported() -> None:
    """Port 81 is that of an HTTP Service of the listener, which only the wildcard names."""
    ports = [{"name": "http", "port": 81}]
    near = thing("Service", "near", {"clusterIP": "10.0.0.3", "ports": ports})
    objects = [limited(None, "./near.a.svc.cluster.local"), near]
    for wide, answer in (("*.a.svc.cluster.local", {"near.a": 1.0}), ("*.b.svc.cluster.local", ("passthrough", 0))):
        routes = [*objects, route({"route": [to("near")]}, hosts=["outside.example.com", wide])]
        snapshot = read(write(SnapshotDocument(control_plane=Mesh(version="1.31"), items=(*BASE, *routes)))).snapshot
        planner = Planner(snapshot)
        classes = Routes(planner).classes(planner.clients[0], "outside.example.com", 81)
        assert ways(classes) == [("", answer)]


OTHER = {"host": "other.a.svc.cluster.local", "port": {"number": 80}}


@pytest.mark.parametrize(
    ("policy", "mesh", "expected"),
    [
        ({"mode": "ALLOW_ANY"}, "REGISTRY_ONLY", ("passthrough", 0)),
        ({"mode": "REGISTRY_ONLY"}, "ALLOW_ANY", ("refused", 502)),
        ({}, "ALLOW_ANY", ("refused", 502)),
        (None, "REGISTRY_ONLY", ("refused", 502)),
        (None, "ALLOW_ANY_DYNAMIC_DNS", ("resolved by name", 0)),
        (None, 1, ("passthrough", 0)),
        ({"mode": "ALLOW_ANY", "egressProxy": OTHER}, "REGISTRY_ONLY", {"other.a": 1.0}),
        ({"mode": "REGISTRY_ONLY", "egressProxy": OTHER}, "ALLOW_ANY", ("refused", 502)),
    ],
)
def test_a_sidecar_says_what_becomes_of_hosts_that_it_does_not_import(
    policy: Json | None, mesh: t.Any, expected: t.Any
) -> None:
    config = {"outboundTrafficPolicy": {"mode": mesh}}
    (only,) = met(limited(policy), config=config)
    assert ways([only]) == [("", expected)]
    assert only.route.retries is None
    assert only.route.source == (
        "meshConfig.outboundTrafficPolicy" if policy is None else "Sidecar a/default outboundTrafficPolicy"
    )


def test_connections_to_a_host_that_a_sidecar_does_not_import() -> None:
    dynamic = {"outboundTrafficPolicy": {"mode": "ALLOW_ANY_DYNAMIC_DNS"}}
    for policy, config, expected in (
        (None, dynamic, ("passthrough", 0)),
        ({"mode": "ALLOW_ANY", "egressProxy": OTHER}, {}, {"other.a": 1.0}),
        ({"mode": "REGISTRY_ONLY"}, {}, ("refused", 502)),
    ):
        mesh = Mesh(version="1.31", config=config)
        snapshot = read(write(SnapshotDocument(control_plane=mesh, items=(*BASE, limited(policy))))).snapshot
        planner = Planner(snapshot)
        (route,) = Routes(planner).connections(planner.clients[0], "db.a.svc.cluster.local", 80)
        assert ways([RequestClass((), route)]) == [("", expected)]


@pytest.mark.parametrize("kind", ["VirtualService", "HTTPRoute"])
def test_short_names_end_with_the_domain_of_the_cluster(kind: str) -> None:
    """istiod's `--domain`; another one is as good as cluster.local."""
    backend = {"name": "other", "port": 80}
    parent = {"group": "", "kind": "Service", "name": "web"}
    routing = (
        route({"route": [to("other", "v1")]})
        if kind == "VirtualService"
        else thing("HTTPRoute", "web", {"parentRefs": [parent], "rules": [{"backendRefs": [backend]}]})
    )
    rule = {"host": "other", "subsets": [{"name": "v1", "labels": {}}], "trafficPolicy": {"tls": {"mode": "DISABLE"}}}
    items = tuple(relevant_fields(item) for item in (*BASE, routing, thing("DestinationRule", "other", rule)))
    document = write(SnapshotDocument(domain="corp.example", control_plane=Mesh(version="1.31"), items=items))
    planner = Planner(read(document).snapshot)
    (met_by_all,) = Routes(planner).classes(planner.clients[0], "web.a.svc.corp.example", 80)
    ((destination, share),) = met_by_all.route.shares
    assert (destination.host, share) == ("other.a.svc.corp.example", 1.0)
    assignment = planner.assignment(planner.clients[0], destination)
    assert assignment is not None
    assert assignment.entry is not None
