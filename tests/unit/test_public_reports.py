# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Situations that people reported in public, as small meshes in tests/reports, each with what is right."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._forecast.not_judged import judged, not_judged
from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import (
    Ability,
    Selection,
    forecast,
    plan,
    resilience,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Destination, Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.validation import validate
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import Finding
from ansible_collections.meshops.locality.plugins.module_utils._lint.lint import lint
from ansible_collections.meshops.locality.plugins.module_utils._model.place_names import short_names
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot
from ansible_collections.meshops.locality.plugins.module_utils._module.topology_info import assembled
from ansible_collections.meshops.locality.plugins.module_utils._report.prediction_table import prediction_table
from ansible_collections.meshops.locality.plugins.module_utils._source import manifests
from ansible_collections.meshops.locality.plugins.module_utils._source.control_plane import WantedControlPlane
from tests.conftest import ROOT

Json = dict[str, t.Any]


@functools.cache
def mesh(number: str) -> Snapshot:
    """The mesh of the report whose folder begins with this number, as Istio 1.31."""
    (folder,) = (ROOT / "tests" / "reports").glob(f"{number}-*")
    return assembled(None, manifests.read([str(folder)]), WantedControlPlane(version="1.31"), "").snapshot


def findings(number: str) -> list[Finding]:
    return lint(mesh(number))


def ids(number: str) -> set[str]:
    return {finding.id for finding in findings(number)}


def losses(number: str, service: str, loss: str, *faults: str, rate: float = 20) -> list[Json]:
    """One entry for each kind of client of what a loss does."""
    prediction = forecast(
        mesh(number),
        Selection(services=(service,)),
        losses=[loss],
        faults=faults or ("refused",),
        ability=Ability(rate=rate, lose_clients=False),
    )
    assert prediction["rows"]
    return [row["losses"][0] for row in prediction["rows"]]


def test_a_cluster_ip_as_a_dns_endpoint_is_never_removed() -> None:
    for loss in losses("12", "pay.global", "region us-west-2"):
        assert (loss["verdict"], loss["until"], loss["lost_in_the_end"]) == ("dies", "never", 1.0)
        assert loss["failover"]["refused"]["seconds"] is None
    rows = plan(mesh("12"), Selection(services=("pay.global",)))
    assert {row["ejection"]["endpoints"] for row in rows} == {2}
    assert {reason["code"] for row in rows for reason in row["unchecked"]} == {"addresses-of-names"}


def test_hosts_outside_of_kubernetes_are_never_removed() -> None:
    rows = plan(mesh("15"), Selection(services=("bureau.example.com",)))
    assert all([priority["priority"] for priority in row["priorities"]] == [0, 1] for row in rows)
    for loss in losses("15", "bureau.example.com", "pod one.bureau.example.com:443"):
        assert (loss["until"], loss["lost_in_the_end"], loss["readiness_seconds"]) == ("never", 1.0, None)
    by_id = {finding.id: finding for finding in findings("15")}
    assert "for ever" in by_id["ML202"].why
    assert not any("45 to 60 s" in finding.why for finding in by_id.values() if finding.id.startswith("ML2"))


def test_endpoints_that_are_published_unready_are_never_removed() -> None:
    for loss in losses("28", "peers.data", "zone east-a"):
        if loss["verdict"] != "untouched":
            assert (loss["until"], loss["lost_in_the_end"]) == ("never", 1.0)
    assert any(loss["until"] == "never" for loss in losses("28", "peers.data", "zone east-a"))


def test_each_row_speaks_of_its_own_fault() -> None:
    faults = ("gateway_error", "server_error", "refused")
    (loss,) = losses("08b", "hello-00008.apps", "pod hello-00008-assumed-0", *faults)
    assert loss["failover"]["gateway_error"]["ends_by"] == "ejection"
    assert loss["failover"]["server_error"]["ends_by"] == "never"
    assert loss["failover"]["server_error"]["seconds"] is None
    assert loss["failover"]["refused"]["ends_by"] == "ejection"
    prediction = forecast(
        mesh("08b"), Selection(services=("hello-00008.apps",)), losses=["pod hello-00008-assumed-0"], faults=faults
    )
    lines = [line for line in prediction_table(prediction).splitlines() if "server_error" in line]
    assert len(lines) == 1
    for words in (" never ", "for ever", "33.3 %"):
        assert words in lines[0]


@pytest.mark.parametrize("fault", ["gateway_error", "server_error", "hang"])
def test_a_pod_that_accepts_connections_stays_ready_unless_somebody_says_that_its_probe_notices(fault: str) -> None:
    selection = Selection(services=("quotes.shop",), clients=("*/us-west-2a*",))
    asked: Json = {"losses": ["zone us-west-2a"], "faults": [fault]}
    (loss,) = forecast(mesh("04"), selection, **asked)["rows"][0]["losses"]
    assert loss["until"] in ("ejection", "never")
    assert loss["readiness_seconds"] is None
    (loss,) = forecast(mesh("04"), selection, readiness=30.0, **asked)["rows"][0]["losses"]
    assert loss["readiness_seconds"] == [30.0, 30.0]
    assert loss["until"] in ("ejection", "readiness")


def test_a_route_to_one_subset_dies_with_that_subset_and_spills_into_no_other() -> None:
    """05: losing all of v1 is 503 for every request, wherever v2 is."""
    for loss in losses("05", "offers.shop", "pod shop/offers-v1-assumed-0 + pod shop/offers-v1-assumed-1"):
        assert (loss["verdict"], loss["lost_in_the_end"], loss["settled"]["none"]) == ("dies", 1.0, 1.0)
    for loss in losses("05", "offers.shop", "zone east/east-a"):
        assert not any("v2" in name for name in loss["settled"]["pods"])


def test_a_route_to_another_service_dies_with_that_one() -> None:
    """24: the route sends host A to Service B, so that B's zone decides."""
    for loss, verdict in (("zone east/east-a", "untouched"), ("zone east/east-b", "dies")):
        assert {outcome["verdict"] for outcome in losses("24", "orders.shop", loss)} == {verdict}
    prediction = forecast(mesh("24"), Selection(services=("orders.shop",)), losses=["zone east/east-b"])
    assert {destination["name"] for row in prediction["rows"] for destination in row["destinations"]} == {
        "orders-blue.shop:8080"
    }


def test_an_alias_fares_as_its_target_and_only_the_targets_rules_count() -> None:
    """14: the DestinationRule for the alias has no effect."""
    prediction = forecast(mesh("14"), Selection(services=("catalog.front", "catalog.shop")), levels=["zone"])
    by_host: dict[str, list[Json]] = {}
    for row in prediction["rows"]:
        assert [destination["name"] for destination in row["destinations"]] == ["catalog.shop:8080"]
        assert (row["rule"], row["ejection"]) == ("", None)
        by_host.setdefault(row["service"], []).append({"now": row["now"], "losses": row["losses"]})
    alias, target = by_host.values()
    assert alias == target


def hidden(number: str) -> dict[str, str]:
    """What is not judged, by code."""
    return {entry.code: entry.what for entry in not_judged(Planner(mesh(number)))}


@pytest.mark.parametrize("number", ["32b", "29", "31"])
def test_a_mesh_that_nobody_judged_is_not_green(number: str) -> None:
    assert not judged(Planner(mesh(number)))
    assert {finding.severity for finding in findings(number) if finding.id == "ML907"} == {"error"}


def test_without_a_namespace_object_no_client_is_known_and_that_is_said() -> None:
    assert set(hidden("32b")) == {"no-clients", "namespace-missing"}
    assert "helm template prints none" in hidden("32b")["namespace-missing"]


def test_a_rule_in_ambient_mode_without_a_waypoint_is_without_effect() -> None:
    assert {"ML409", "ML906", "ML907"} <= ids("29")
    assert "ambient-without-waypoint" in hidden("29")


def test_a_service_whose_pods_are_unknown_does_not_die() -> None:
    assert "Rollout shop/stock" in hidden("31")["workload-not-read"]
    answer = resilience(mesh("31"), Selection())
    assert not answer["rows"]
    assert not answer["summary"]
    assert [entry["code"] for entry in answer["not_judged"]] == ["service-without-endpoints", "workload-not-read"]
    assert "not judged: Workloads of kinds that are not read: Rollout shop/stock." in prediction_table(answer)
    assert not any("maxEjectionPercent: 100" in finding.fix for finding in findings("31"))


def test_one_cluster_of_a_mesh_makes_findings_uncertain() -> None:
    assert hidden("10b")["other-clusters"].endswith("that are not here: a gateway leads to them.")
    rows = resilience(mesh("10b"), Selection())["unchecked"]
    assert [entry["code"] for entry in rows] == ["other-clusters-missing"]
    by_id = {finding.id: finding for finding in findings("10b")}
    for ident in ("ML102", "ML520"):
        assert by_id[ident].severity == "info"
        assert "other clusters are not here" in by_id[ident].why


def test_the_mesh_config_of_an_operator_counts() -> None:
    assert mesh("22").mesh.config["localityLbSetting"]["distribute"][0]["from"] == "east-a"
    assert any("IstioOperator istio-system/istio" in assumption.text for assumption in mesh("22").assumptions)
    assert "ML903" in ids("22")


def test_nodes_written_by_hand_have_the_labels_of_kubelet() -> None:
    assert not mesh("27").problems
    assert judged(Planner(mesh("27")))
    assert "ML905" not in ids("27")


def test_a_host_that_lacks_its_namespace_gets_that_of_the_service() -> None:
    (reported,) = [finding for finding in findings("01") if finding.id == "ML110"]
    assert reported.fix == "host: ledger.bank.svc.cluster.local"


def test_clients_that_no_from_matches_have_lost_every_order() -> None:
    (reported,) = [finding for finding in findings("04") if finding.id == "ML128"]
    assert "us-east-1/us-east-1b, us-west-2/us-west-2a" in reported.message


def test_a_workload_entry_in_another_namespace_is_named() -> None:
    by_id = {finding.id: finding for finding in findings("07")}
    assert by_id["ML508"].object == "WorkloadEntry default/orders-remote"
    assert by_id["ML508"].fix == "metadata.namespace: shop"
    assert "WorkloadEntry default/orders-remote" in by_id["ML121"].fix


def test_a_rule_for_an_alias_is_to_be_for_its_target() -> None:
    (reported,) = [finding for finding in findings("14") if finding.id == "ML401"]
    assert reported.fix == "host: catalog.shop.svc.cluster.local"


def test_priorities_in_one_locality_are_something_to_fail_over_to() -> None:
    assert "ML520" not in ids("15")


def test_workloads_that_are_pinned_one_to_a_zone_are_spread() -> None:
    assert "ML522" not in ids("16")


def test_enabled_alone_does_nothing_without_outlier_detection() -> None:
    (reported,) = [finding for finding in findings("23") if finding.id == "ML101"]
    assert reported.severity == "error"


def test_three_zones_of_one_name_have_three_names() -> None:
    assert short_names(["r1/z1", "r2/z1", "r3/z1", "r3/z2"]) == {
        "r1/z1": "r1/z1",
        "r2/z1": "r2/z1",
        "r3/z1": "r3/z1",
        "r3/z2": "z2",
    }
    assert short_names(["r1/z1/s", "r1/z2/s", "", "r1//"]) == {
        "r1/z1/s": "z1/s",
        "r1/z2/s": "z2/s",
        "": "",
        "r1//": "r1//",
    }


def test_a_cell_says_how_much_fails_for_how_long_and_for_good() -> None:
    answer = resilience(mesh("12"), Selection(), ability=Ability(rate=20, lose_clients=False))
    text = prediction_table(answer)
    rows = {row["name"]: {entry["loss"]: entry for entry in row["entries"]} for row in answer["rows"]}
    dead = rows["pay.global:80"]["region us-west-2"]
    assert (dead["sign"], dead["for_good"], dead["seconds"], dead["failed_requests"]) == ("✗", 1.0, None, None)
    half = rows["pay.shop:8080"]["zone us-west-2/us-west-2a"]
    # Half of the endpoints, and two retries: (1/2)^3 of what LEAST_REQUEST's previous_hosts predicate leaves.
    assert 0 < half["failing"] < 0.5
    assert half["seconds"] == pytest.approx(47.5)
    assert half["for_good"] == 0
    assert "✗ 100%" in text
    assert "✗ share that fails for good" in text
    assert [group["names"] for group in answer["groups"]][-1] == ["pay.shop:8080"]


def test_a_newer_istio_is_computed_as_the_newest_known_and_marked() -> None:
    for version in ("1.32", "1.40.2"):
        rows = plan(mesh("16"), Selection(), version)
        known = plan(mesh("16"), Selection(), "1.31")
        assert [row["priorities"] for row in rows] == [row["priorities"] for row in known]
        line = ".".join(version.split(".")[:2])
        newer = {"version": line, "computed_as": "1.31"}
        for row in rows:
            assert [(reason["code"], reason["parameters"]) for reason in row["unchecked"]] == [
                ("istio-version-newer", newer)
            ]
        assert not resilience(mesh("16"), Selection(), version=version)["checked"]


@pytest.mark.parametrize(
    "policy",
    [
        {"outlierDetection": {"failurePercentageThreshold": 60}},
        {"loadBalancer": {"backendUtilization": {"weightStabilizationPeriod": "20s"}}},
        {"tls": {"mode": "SIMPLE", "caCertCredentialName": "ca"}},
    ],
)
def test_fields_are_judged_by_the_api_of_the_version_asked_for(policy: Json) -> None:
    spec = {"host": "web.shop.svc.cluster.local", "trafficPolicy": policy}
    assert [verdict.level for verdict in validate("DestinationRule", "shop", spec, "1.32")] == []
    (old,) = validate("DestinationRule", "shop", spec, "1.31")
    assert (old.level, old.message) == ("unknown", "there is no such field before Istio 1.32")


@pytest.mark.parametrize(
    ("field", "value", "version", "marked"),
    [
        ("failurePercentageThreshold", 60, "1.31", False),
        ("failurePercentageThreshold", 60, "1.32", True),
        ("outlierDetectionHttpErrorCodes", [429], "1.31", False),
        ("outlierDetectionHttpErrorCodes", [429], "1.32", True),
    ],
)
def test_a_rule_with_a_field_that_is_not_computed_is_forecast_and_marked(
    field: str, value: t.Any, version: str, marked: bool
) -> None:
    """istiod 1.31 drops the first and ignores the second; 1.32 hands them to Envoy."""
    snapshot = mesh("16")
    rules = []
    for rule in snapshot.destination_rules:
        policy = dict(rule.spec.get("trafficPolicy") or {})
        policy["outlierDetection"] = {**(policy.get("outlierDetection") or {}), field: value}
        rules.append(dataclasses.replace(rule, spec={**rule.spec, "trafficPolicy": policy}))
    assert rules
    changed = dataclasses.replace(snapshot, destination_rules=tuple(rules))
    wanted = [f"outlierDetection.{field}"] if marked else []
    prediction = forecast(changed, Selection(), version=version)
    assert fields_not_computed(resilience(changed, Selection(), version=version)) == wanted
    rows = [row for row in prediction["rows"] if row["rule"]]
    assert rows
    for row in rows:
        assert fields_not_computed(row) == wanted


def fields_not_computed(answer: Json) -> list[str]:
    return [entry["parameters"]["field"] for entry in answer["unchecked"] if entry["code"] == "field-not-computed"]


def test_pods_behind_a_gateway_of_another_network_are_one_endpoint() -> None:
    planner = Planner(mesh("10"))
    (caller,) = (client for client in planner.clients if client.name.startswith("caller"))
    assignment = planner.assignment(caller, Destination("hello.sample.svc.cluster.local", 5000, ""))
    assert assignment is not None
    assert [
        [(member.host, member.weight) for member in group.members if member.behind] for group in assignment.groups
    ] == [
        [("istio-eastwestgateway.istio-system:15443", 3)],
        [],
    ]
    assert [(group.priority, len(group.members)) for group in assignment.groups] == [(1, 1), (0, 3)]
    (reported,) = (finding for finding in findings("10") if finding.id == "ML202")
    assert "of 4 endpoints" in reported.message
    assert "3 in zone jiangsu/nanjing need 75" in reported.message
    assert reported.fix == "maxEjectionPercent: 75"
    assert "taken as one address each: istio-eastwestgateway.istio-system." in hidden("10")["several-networks"]
    assert "known here: net-nj." in hidden("10")["networks-without-gateway"]
    assert "other-clusters" not in hidden("10")


def test_a_gateway_goes_on_as_long_as_something_is_behind_it() -> None:
    plain = dataclasses.replace(mesh("10"), destination_rules=())
    pods = [f"sample/hello-v2-assumed-{number}" for number in range(3)]

    def lost(*losses: t.Any, level: str = "pod") -> Json:
        prediction = forecast(
            plain,
            Selection(services=("hello",), clients=("app=caller",)),
            losses=[[{"level": level, "place": loss} for loss in losses]],
            ability=Ability(lose_clients=False),
        )
        return t.cast("Json", prediction["rows"][0]["losses"][0])

    part = lost(pods[0])
    assert (part["verdict"], part["until"], part["lost_at_first"]) == (
        "survives",
        "readiness",
        pytest.approx(1 / 6, abs=1e-6),
    )
    assert part["failover"]["refused"]["failed_requests"] > 0
    for whole in (lost(*pods), lost("beijing/beijing-1", level="zone")):
        assert whole["lost_at_first"] == pytest.approx(1 / 2)
    gateway = lost("istio-system/istio-eastwestgateway-assumed-0")
    assert (gateway["until"], gateway["lost_at_first"]) == ("never", pytest.approx(1 / 2))
