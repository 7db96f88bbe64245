# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes that are seldom seen: what is printed of them is right, and nothing of them is cleared that fails."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._forecast.not_judged import not_judged
from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import (
    Ability,
    Selection,
    forecast,
    resilience,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._report.prediction_table import prediction_table

from .test_gateway_requests import istio, mesh, pod, route, service

Json = dict[str, t.Any]


def rows_and_text(*objects: Json) -> tuple[dict[str, Json], str]:
    """Return the rows of the client by the class of requests, with what the loss of z1 does; and the text."""
    prediction = forecast(
        mesh(*objects),
        Selection(services=("web",), clients=("client-1",)),
        losses=["zone r/z1"],
        ability=Ability(rate=10, lose_clients=False),
    )
    return {row["requests"]: {**row, "loss": row["losses"][0]} for row in prediction["rows"]}, prediction_table(
        prediction
    )


def test_a_delegate_with_weights_and_a_subset_that_there_is_not() -> None:
    root = {"match": [{"uri": {"prefix": "/x"}}], "delegate": {"name": "part"}}
    rows, text = rows_and_text(
        istio("VirtualService", "shop", "root", {"hosts": ["web"], "http": [root, route(("web", "v1", 100))]}),
        istio("VirtualService", "shop", "part", {"http": [route(("web", "v9", 40), ("web", "v2", 60))]}),
    )
    assert rows[""]["loss"]["lost_in_the_end"] == 1.0
    assert (rows["uri prefix /x"]["now"]["none"], rows["uri prefix /x"]["loss"]["lost_in_the_end"]) == (0.4, 0.4)
    assert "(subset v9), which there is not: Envoy answers 503" in text


def test_a_redirect_is_no_error() -> None:
    rules = [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/old"}}],
            "filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 301}}],
        },
        {"backendRefs": [{"name": "web", "port": 80}]},
    ]
    spec = {"parentRefs": [{"group": "", "kind": "Service", "name": "web"}], "rules": rules}
    metadata = {"name": "redirect", "namespace": "shop"}
    kind = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata}
    rows, text = rows_and_text({**kind, "spec": spec})
    assert rows["uri prefix /old"]["answered_by_envoy"] == 1
    assert "Envoy answers all of them itself" in text
    assert "503" not in text


def test_a_mirror_to_nowhere_costs_nothing() -> None:
    http = route(("web", "v2", 100), mirror={"host": "nowhere.shop.svc.cluster.local"})
    rows, _text = rows_and_text(istio("VirtualService", "shop", "way", {"hosts": ["web"], "http": [http]}))
    assert (rows[""]["now"]["none"], rows[""]["loss"]["verdict"]) == (0.0, "untouched")


def test_a_header_that_leads_to_a_lost_version() -> None:
    http = [route(("web", "v1", 100), match=[{"headers": {"canary": {"exact": "1"}}}]), route(("web", "v2", 100))]
    rows, _text = rows_and_text(istio("VirtualService", "shop", "way", {"hosts": ["web"], "http": http}))
    assert (rows[""]["loss"]["verdict"], rows["header canary"]["loss"]["verdict"]) == ("untouched", "dies")


def test_two_values_of_a_header_are_two_rows_with_names_of_their_own() -> None:
    """In one row the matrix would print a mean of two fates, which nobody meets."""

    def canary(value: str, version: str) -> Json:
        return route(("web", version, 100), match=[{"headers": {"canary": {"exact": value}}}])

    ways = {"hosts": ["web"], "http": [canary("1", "v1"), canary("2", "v2"), route(("web", "", 100))]}
    virtual = istio("VirtualService", "shop", "way", ways)
    rows, _text = rows_and_text(virtual)
    assert set(rows) == {"", "header canary, http[0]", "header canary, http[1]"}
    verdicts = [rows[f"header canary, http[{number}]"]["loss"]["verdict"] for number in range(2)]
    assert verdicts == ["dies", "untouched"]
    matrix = resilience(
        mesh(virtual), Selection(services=("web",)), losses=["zone r/z1"], ability=Ability(lose_clients=False)
    )
    assert {row["name"]: row["entries"][0]["for_good"] for row in matrix["rows"]} == {
        "web.shop:80": 0.0,
        "web.shop:80 [header canary, http[0]]": 1.0,
        "web.shop:80 [header canary, http[1]]": 0.0,
    }


def test_a_part_that_envoy_does_not_balance_hides_nothing_of_the_rest() -> None:
    outside = {"hosts": ["ext.example.com"], "resolution": "NONE"}
    ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
    http = [route(("ext.example.com", "", 30), ("web", "v1", 70))]
    rows, text = rows_and_text(
        istio("ServiceEntry", "shop", "outside", {**outside, "ports": ports}),
        istio("VirtualService", "shop", "way", {"hosts": ["web"], "http": http}),
    )
    assert (rows[""]["loss"]["verdict"], rows[""]["loss"]["lost_in_the_end"]) == ("dies_in_part", 0.7)
    assert not rows[""]["checked"]
    (part,) = rows[""]["unchecked"]
    assert part["code"] == "some-requests-not-balanced"
    assert part["parameters"] == {"percent": "30", "host": "ext.example.com", "type": "ORIGINAL_DST"}
    assert "What becomes of 30 % of them, to ext.example.com, is not judged" in text


@pytest.mark.parametrize(
    ("policy", "fate"),
    [
        ({"mode": "REGISTRY_ONLY"}, "it answers 502 and ends connections"),
        ({"mode": "ALLOW_ANY"}, "it passes them on to the address that was asked for"),
        (
            {"mode": "ALLOW_ANY", "egressProxy": {"host": "egress.out.svc.cluster.local", "port": {"number": 80}}},
            "it sends them to egress.out.svc.cluster.local",
        ),
    ],
)
def test_a_service_that_no_sidecar_imports_is_named_with_what_becomes_of_requests(policy: Json, fate: str) -> None:
    """The matrix has no row of it, so that no Service is hurt by a loss must not be all that it says."""
    spec = {"egress": [{"hosts": ["out/*"]}], "outboundTrafficPolicy": policy}
    snapshot = mesh(istio("Sidecar", "shop", "default", spec))
    sidecars = tuple(pod for pod in snapshot.pods if pod.proxy != "router")
    planner = Planner(dataclasses.replace(snapshot, pods=sidecars))
    named = {entry.code: entry for entry in not_judged(planner)}
    unknown = named["service-without-clients"]
    assert "web.shop" in unknown.parameters["services"]
    assert fate in unknown.parameters["fate"]
    assert "(Sidecar shop/default outboundTrafficPolicy)" in unknown.parameters["fate"]
    assert "egress.out" not in unknown.parameters["services"]


def test_services_that_some_client_knows_are_not_named() -> None:
    assert "service-without-clients" not in {entry.code for entry in not_judged(Planner(mesh()))}


def test_a_limit_of_retries_is_not_passed_over() -> None:
    pool = {"http": {"maxRetries": 1}}
    rows, text = rows_and_text(
        istio("DestinationRule", "shop", "pool", {"host": "web", "trafficPolicy": {"connectionPool": pool}})
    )
    assert [entry["code"] for entry in rows[""]["unchecked"]] == ["retries-limited"]
    assert "connectionPool.http.maxRetries is 1" in text


def test_the_matrix_says_why_a_service_is_not_in_it() -> None:
    (headless,) = [item for item in service("db", "shop", []) if item["kind"] == "Service"]
    headless["spec"]["clusterIP"] = "None"
    matrix = resilience(mesh(headless), Selection(), losses=["zone r/z1"])
    assert "Not predicted: db.shop:80: " in prediction_table(matrix)
    (skipped,) = matrix["skipped"]
    assert f": {skipped['text']}." in prediction_table(matrix)


def headless(*zones: str) -> list[Json]:
    """A headless Service with a pod without sidecar in each of these zones."""
    pods = [pod(f"db-{number}", "shop", zone, f"10.7.0.{number}", "") for number, zone in enumerate(zones, 1)]
    for each in pods:
        each["spec"]["containers"] = []
    named, slices = service("db", "shop", pods)
    named["spec"]["clusterIP"] = "None"
    return [*pods, named, slices]


@pytest.mark.parametrize(
    ("zones", "dies_with"),
    [
        (("z2", "z2"), ["zone r/z2", "region r"]),
        (("z1", "z2"), ["region r"]),
        # The client is lost with them, so nobody asks.
        (("z1",), []),
        ((), []),
    ],
)
def test_a_headless_service_dies_with_the_last_of_its_pods(zones: tuple[str, ...], dies_with: list[str]) -> None:
    """Whoever chooses the endpoint: where none is left, nobody answers."""
    asked = Selection(services=("db",), clients=("client-1",))
    losses = ["zone r/z1", "zone r/z2", "region r"]
    ability = Ability(lose_clients=zones == ("z1",))
    matrix = resilience(mesh(*headless(*zones)), asked, losses=losses, ability=ability)
    (skipped,) = matrix["skipped"]
    assert (skipped["code"], skipped["dies_with"]) == ("not-balanced", dies_with)
    assert [loss["loss"] for loss in matrix["summary"] if loss["dies"] == ["db.shop:80"]] == dies_with
    text = prediction_table(matrix)
    assert ("Without any of its pods all requests fail for good" in text) is bool(dies_with)
    assert all(f"{loss}: 1 Service dies (db.shop:80)." in text for loss in dies_with)
    seen = forecast(mesh(*headless(*zones)), asked, losses=losses, ability=Ability(lose_clients=False))
    (skipped,) = seen["skipped"]
    assert ("fail for good" in prediction_table(seen)) is bool(skipped["dies_with"]) is bool(zones)


def test_endpoints_that_are_no_pods_are_not_lost_with_any() -> None:
    _db, named, slices = headless("z2")
    for endpoint in slices["endpoints"]:
        del endpoint["targetRef"]
    slices["endpoints"][0]["addresses"] = ["192.0.2.7"]
    matrix = resilience(mesh(named, slices), Selection(services=("db",), clients=("client-1",)), losses=["region r"])
    assert [skipped["dies_with"] for skipped in matrix["skipped"]] == [[]]


@pytest.mark.parametrize(("zones", "lost"), [(("z1",), True), (("z1", "z2"), False), ((), False)])
def test_without_any_istiod_nothing_is_removed(zones: tuple[str, ...], lost: bool) -> None:
    istiods = [pod(f"istiod-{zone}", "istio-system", zone, f"10.8.0.{number}") for number, zone in enumerate(zones, 1)]
    matrix = resilience(mesh(*istiods), Selection(services=("web",)), losses=["zone r/z1"])
    rows, text = rows_and_text(*istiods)
    said = [entry["parameters"]["losses"] for entry in matrix["unchecked"] if entry["code"] == "istiod-lost"]
    assert (said, rows[""]["checked"]) == (["zone r/z1"] if lost else [], not lost)
    assert ("Every istiod known here is lost with zone r/z1" in text) is lost


def test_an_object_that_istiod_refuses_is_not_taken_for_granted() -> None:
    policy = {"outlierDetection": {"consecutive5xxErrors": 1, "interval": 5}}
    refused = istio("DestinationRule", "shop", "refused", {"host": "web", "trafficPolicy": policy})
    entry = istio(
        "ServiceEntry",
        "shop",
        "entry",
        {"hosts": ["a.example"], "resolution": "NONE", "endpoints": [{"address": "192.0.2.1"}]},
    )
    said = {each.code: each.parameters for each in not_judged(Planner(mesh(refused, entry)))}
    assert said["refused"] == {"objects": "DestinationRule shop/refused, ServiceEntry shop/entry"}
    assert "refused" not in {each.code for each in not_judged(Planner(mesh()))}


def test_clients_of_one_place_whose_labels_take_other_routes() -> None:
    """A match of the client's own labels: each of them is judged by its own route, whoever is named first."""
    http = [route(("web", "v1", 100), match=[{"sourceLabels": {"version": "v2"}}]), route(("web", "v2", 100))]
    prediction = forecast(
        mesh(
            pod("client-2", "shop", "z1", "10.4.0.2", version="v2"),
            istio("VirtualService", "shop", "way", {"hosts": ["web"], "http": http}),
        ),
        Selection(services=("web",), clients=("client-*",)),
        losses=["zone r/z1"],
        ability=Ability(rate=10, lose_clients=False),
    )
    verdicts = {pod: row["losses"][0]["verdict"] for row in prediction["rows"] for pod in row["client"]["pods"]}
    assert verdicts == {"client-1": "untouched", "client-2": "dies"}
