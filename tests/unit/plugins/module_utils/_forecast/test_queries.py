# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan, forecast, matrix and upgrade of the tutorial's mesh, as data and as text."""

from __future__ import annotations

import copy
import dataclasses
import json
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import Fault
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._forecast.expected_probe import Watch
from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import (
    Ability,
    Selection,
    forecast,
    plan,
    resilience,
    upgrade_difference,
)
from ansible_collections.meshops.locality.plugins.module_utils._report.prediction_table import prediction_table
from tests.unit.plugins.module_utils._forecast.tutorial_mesh import (
    BEIJING,
    ENOUGH,
    GUANGZHOU,
    HOST,
    RETRIES,
    SHENYANG,
    TIANJIN,
    rule,
    snapshot,
)

LOCAL = Selection(clients=("sleep-tianjin",))


def order(row: dict[str, t.Any]) -> dict[int, list[str]]:
    return {
        priority["priority"]: [place["locality"] for place in priority["localities"]] for priority in row["priorities"]
    }


def test_without_a_rule_all_places_are_alike_and_the_plan_says_why() -> None:
    (row,) = plan(snapshot(), LOCAL)
    assert order(row) == {0: [BEIJING, SHENYANG, TIANJIN, GUANGZHOU]}
    assert (row["rule"], row["tier"], row["ordered"], row["ejection"]) == ("", "", False, None)
    assert row["setting"] == {"source": "meshConfig", "kind": "default", "applies": False}
    assert "There is no outlierDetection, so istiod gives all endpoints one priority." in row["why"]
    assert row["client"]["pods"] == ["sleep-tianjin"]


def test_the_rule_as_written_orders_places_and_can_eject_nobody() -> None:
    (row,) = plan(snapshot(rule()), LOCAL)
    assert order(row) == {0: [TIANJIN], 1: [BEIJING, SHENYANG], 2: [GUANGZHOU]}
    assert (row["rule"], row["tier"], row["setting"]["kind"]) == ("sample/helloworld", "client", "failover")
    ejection = row["ejection"]
    assert (ejection["endpoints"], ejection["percent"], ejection["ejectable"], ejection["needed"]) == (4, 10, 0, 25)
    assert row["max_requests_per_connection"] == 1
    assert row["checked"]
    text = prediction_table([row])
    assert "of 4 endpoints at most 0 can be ejected at a time. All endpoints of P0 need 25 %." in text
    assert "P1        cn-north-4/cn-north-4b/beijing" in text


def test_an_unready_endpoint_is_counted_apart() -> None:
    (row,) = plan(snapshot(rule(), ready={"beijing", "shenyang", "guangzhou"}), LOCAL)
    (place,) = row["priorities"][0]["localities"]
    assert (place["endpoints"], place["healthy"]) == (1, 0)
    assert "1, 1 not ready" in prediction_table([row])


def test_a_line_that_no_oracle_checked_is_marked() -> None:
    (row,) = plan(snapshot(rule()), LOCAL, "1.28")
    assert not row["checked"]
    assert [(reason["code"], reason["parameters"]) for reason in row["unchecked"]] == [
        ("istio-version-not-compared", {"version": "1.28"})
    ]
    assert "not checked: Istio 1.28" in prediction_table([row])


def forecast_row(mesh: t.Any, loss: t.Any, **more: t.Any) -> dict[str, t.Any]:
    prediction = forecast(mesh, LOCAL, losses=[loss], ability=Ability(rate=20), **more)
    json.dumps(prediction)
    (row,) = prediction["rows"]
    return t.cast(dict[str, t.Any], row["losses"][0])


def test_the_rule_as_written_waits_for_readiness() -> None:
    row = forecast_row(snapshot(rule()), "pod helloworld-tianjin-0", faults=["drained"], watch=Watch(20, 5, 80))
    assert (row["verdict"], row["until"], row["can_be_ejected"]) == ("spills", "readiness", False)
    assert row["lost_at_first"] == 1.0
    course = row["failover"]["drained"]
    assert course["seconds_between"] == [45, 60]
    assert course["failed_requests_between"] == [900, 1200]
    assert course["failed_requests"] == 1050
    assert row["settled"]["localities"] == {BEIJING: 0.5, SHENYANG: 0.5}
    assert row["probe"]["sent"] == 1600
    assert row["probe"]["failed_between"] == [900, 1200]
    assert row["probe"]["outage_between"] == [45, 60]
    assert row["probe"]["by_locality"] == {TIANJIN: 100, BEIJING: 225, SHENYANG: 225}
    assert row["probe"]["by_locality_between"] == {TIANJIN: [100, 100], BEIJING: [150, 300], SHENYANG: [150, 300]}


def test_a_probe_that_ends_before_readiness_sees_the_failures_until_then() -> None:
    row = forecast_row(snapshot(rule()), "pod helloworld-tianjin-0", faults=["drained"], watch=Watch(20, 5, 30))
    assert row["probe"] == {
        "sent": 600,
        "failed_requests": 500,
        "failed_between": [500, 500],
        "outage": 25,
        "outage_between": [25, 25],
        "by_locality": {TIANJIN: 100, BEIJING: 0, SHENYANG: 0},
        "by_locality_between": {TIANJIN: [100, 100], BEIJING: [0, 0], SHENYANG: [0, 0]},
    }


def test_the_completed_rule_loses_nearly_nothing() -> None:
    mesh = snapshot(rule(ENOUGH), RETRIES)
    row = forecast_row(mesh, "pod helloworld-tianjin-0", faults=["drained"], watch=Watch(20, 5, 80))
    assert row["until"] == "ejection"
    assert row["failover"]["drained"]["failed_requests"] < 1
    assert row["probe"]["failed_requests"] < 1
    assert row["probe"]["outage"] == 0


def test_a_loss_says_whether_it_takes_the_clients_too() -> None:
    assert forecast_row(snapshot(rule()), "subzone tianjin")["clients_lost"] == 1
    assert forecast_row(snapshot(rule()), "pod helloworld-tianjin-0")["clients_lost"] == 0


def test_what_a_virtual_service_retries_and_for_how_long_is_checked() -> None:
    prediction = forecast(snapshot(rule(), RETRIES), LOCAL, levels=["region"])
    assert prediction["checked"]
    limited = copy.deepcopy(RETRIES)
    limited["spec"]["http"][0]["timeout"] = "3s"
    prediction = forecast(snapshot(rule(), limited), LOCAL, levels=["region"])
    assert prediction["checked"]
    assert prediction["rows"][0]["retries"]["timeout"] == 3.0
    assert prediction["rows"][0]["route"] == "VirtualService sample/helloworld http[0]"


def test_without_outlier_detection_a_blackhole_waits_for_readiness_and_hashing_is_not_checked() -> None:
    policy = {"loadBalancer": {"consistentHash": {"httpHeaderName": "user"}}}
    hashed = {**rule(), "spec": {"host": "helloworld", "trafficPolicy": policy}}
    prediction = forecast(snapshot(hashed), LOCAL, levels=["zone"], faults=["blackhole", "refused"])
    (row,) = prediction["rows"]
    assert ("hashing-policy", {"policy": "RING_HASH"}) in [
        (reason["code"], reason["parameters"]) for reason in row["unchecked"]
    ]
    assert row["losses"][0]["until"] == "readiness"
    assert set(row["losses"][0]["failover"]) == {"blackhole", "refused"}
    assert "not checked: The shares of RING_HASH" in prediction_table(prediction)


def signs(matrix: dict[str, t.Any]) -> dict[str, str]:
    (row,) = matrix["rows"]
    return {entry["loss"]: entry["sign"] for entry in row["entries"]}


def test_the_matrix_of_the_rule_as_written_and_of_the_completed_one() -> None:
    region = "region cn-north-4"
    written = resilience(snapshot(rule()), Selection(), ability=Ability(lose_clients=False))
    assert signs(written)[region] == "!"
    assert written["summary"][-1]["loss"] in (region, f"subzone {TIANJIN}", "zone cn-north-4/cn-north-4b")
    completed = resilience(snapshot(rule(ENOUGH)), Selection(), ability=Ability(lose_clients=False))
    assert signs(completed)[region] == "→"
    assert signs(completed)[f"subzone {SHENYANG}"] == "·"
    assert completed["summary"] == []
    text = prediction_table(completed)
    assert "The Service neither dies nor waits nor is overloaded" in text
    assert "→ spills into others" in text
    assert "✗" not in text


@pytest.mark.parametrize(("ejected", "seconds"), [("30s", ["30"]), ("90s", [])])
def test_the_matrix_says_when_lost_endpoints_are_tried_again(ejected: str, seconds: list[str]) -> None:
    """An ejection of 90 s outlasts readiness, which takes the lost endpoints out: there is no second wave."""
    staying = Ability(lose_clients=False)
    mesh = snapshot(rule({**ENOUGH, "baseEjectionTime": ejected}))
    for given in (mesh, snapshot(rule())):
        assumed = resilience(given, Selection(), ability=staying)["assumptions"]
        said = [each["parameters"]["seconds"] for each in assumed if each["code"] == "tried-again-after-ejection"]
        assert said == (seconds if given is mesh else [])  # the rule as written ejects nobody


def test_clients_that_are_lost_ask_no_more() -> None:
    assert signs(resilience(snapshot(rule()), Selection()))["region cn-north-4"] == "-"


def test_what_dies_is_told_in_a_sentence() -> None:
    matrix = resilience(snapshot(rule()), Selection(), losses=["region cn-north-4 + region cn-south-1"],
                        ability=Ability(lose_clients=False))  # fmt: skip
    assert signs(matrix) == {"region cn-north-4 + region cn-south-1": "✗"}
    assert "1 Service dies (helloworld.sample:5000)" in prediction_table(matrix)


def test_every_two_places() -> None:
    staying = Ability(lose_clients=False)
    matrix = resilience(snapshot(rule(ENOUGH)), Selection(), levels=["subzone"], both=True, ability=staying)
    assert len(matrix["losses"]) == 4 + 6
    assert "at once" in prediction_table(matrix)


def scaler(place: str, **more: t.Any) -> list[dict[str, t.Any]]:
    name = f"helloworld-{place}"
    target = {"kind": "StatefulSet", "name": name}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": name, "namespace": "sample"},
            "spec": {"replicas": 1, "template": {}},
        },
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name, "namespace": "sample"},
            "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 1, "metrics": [metric], **more},
        },
    ]


@pytest.mark.parametrize(
    ("more", "ability", "limit", "basis", "growth"),
    [
        ([], Ability(headroom=1.5), 1.5, "assumed", 1),
        # 300m of limit over half of 100m requested.
        (["hpa"], Ability(), 6.0, "autoscaler", 1),
        (["hpa", 3], Ability(), 6.0, "autoscaler", 3),
        # Two clients with 20 requests a second, each on a pod of its own.
        (["hpa"], Ability({"helloworld": 30.0}, rate=20), 1.5, "given", 1),
    ],
)
def test_what_a_pod_can_carry(more: list[t.Any], ability: Ability, limit: float, basis: str, growth: float) -> None:
    most = more[1] if len(more) > 1 else 1
    scalers = [
        item for place in ("tianjin", "beijing", "shenyang", "guangzhou") for item in scaler(place, maxReplicas=most)
    ]
    mesh = snapshot(rule(ENOUGH), *(scalers if more else []))
    matrix = resilience(mesh, Selection(), ability=ability._replace(lose_clients=False))
    entry = matrix["rows"][0]["entries"][0]
    assert (entry["limit"], entry["limit_from"], entry["growth"]) == (limit, basis, growth)
    busy = next(
        matrix_entry for matrix_entry in matrix["rows"][0]["entries"] if matrix_entry["loss"] == "region cn-north-4"
    )
    assert busy["load"] == 2.0  # both clients on the one pod in the south
    assert busy["overloaded"] == (limit * growth < 2)
    # Who asks only for some clients learns what all of them make of the survivors.
    some = resilience(mesh, LOCAL, ability=ability._replace(lose_clients=False))["rows"][0]["entries"]
    (same,) = (each for each in some if each["loss"] == busy["loss"])
    assert sum(same["clients"].values()) == 1
    assert {key: same[key] for key in ("load", "limit", "overloaded")} == {
        key: busy[key] for key in ("load", "limit", "overloaded")
    }


def test_chosen_clients_that_are_all_lost_are_in_no_overload() -> None:
    """The others go on, two of them on one pod: no matter of those that ask no more."""
    mesh = snapshot(rule(ENOUGH))
    (row,) = resilience(mesh, LOCAL, losses=["subzone tianjin"], ability=Ability(headroom=0.1))["rows"]
    (entry,) = row["entries"]
    assert (entry["sign"], entry["clients"], entry["load"], entry["overloaded"]) == ("-", {}, 0.0, False)


def test_an_upgrade_says_what_changes_for_whom() -> None:
    difference = upgrade_difference(snapshot(rule(), version="1.30.2", ready={"beijing"}), "", "1.31")
    assert (difference["from_version"], difference["to_version"], difference["checked"]) == ("1.30", "1.31", True)
    kinds = {change["what"]: change for change in difference["changes"]}
    assert kinds["unready endpoints"]["pods"] == ["sample/sleep-beijing", "sample/sleep-tianjin"]
    places = [{"namespace": "sample", "locality": place, "clients": 1} for place in (BEIJING, TIANJIN)]
    assert kinds["unready endpoints"]["where"] == places
    text = prediction_table(difference)
    assert "Istio 1.30 → 1.31: 1 Service and 2 of 2 clients are concerned." in text
    assert "left out → sent for 2 clients" in text
    assert "    before  P0: cn-north-4/cn-north-4b/beijing" in text


def test_an_upgrade_without_a_difference() -> None:
    difference = upgrade_difference(snapshot(rule(), version="1.31.0"), "", "1.31")
    assert difference["changes"] == []
    assert prediction_table(difference) == "Istio 1.31 → 1.31: nothing changes for any of 2 clients."


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"faults": ["fire"]}, "no fault 'fire'"),
        ({"faults": []}, "No fault is given"),
        ({"levels": ["planet"]}, "no level 'planet'"),
        ({"version": "1.12"}, "'1.12' is not among the versions"),
        ({"ability": Ability({"cart": 3})}, "no Service 'cart'"),
    ],
)
def test_bad_questions_have_clear_answers(options: dict[str, t.Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        forecast(snapshot(rule()), LOCAL, **options)


def test_nothing_to_lose_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="no client and no endpoint is known here"):
        resilience(type(snapshot())(), Selection())
    mesh = snapshot(rule())
    unlabelled = tuple(dataclasses.replace(node, labels={}) for node in mesh.nodes)
    with pytest.raises(InvalidInput, match="Label the nodes"):
        resilience(dataclasses.replace(mesh, nodes=unlabelled), Selection())


CANARY = copy.deepcopy(RETRIES)
CANARY["spec"]["http"][0]["route"] = [
    {"destination": {"host": HOST, "subset": "owner"}, "weight": 70},
    {"destination": {"host": HOST}, "weight": 30},
]


@pytest.mark.parametrize("routes", [RETRIES, CANARY], ids=["one destination", "a canary"])
@pytest.mark.parametrize("readiness", [None, 30.0])
@pytest.mark.parametrize("fault", [fault.name.lower() for fault in Fault])
def test_the_matrix_of_a_fault_is_what_the_forecast_of_that_fault_says(
    fault: str, readiness: float | None, routes: dict[str, t.Any]
) -> None:
    written = rule(ENOUGH)
    written["spec"]["subsets"] = [{"name": "owner", "labels": {"app": "helloworld"}}]
    mesh = snapshot(written, routes)
    asked: dict[str, t.Any] = {"levels": ["subzone"], "faults": [fault], "readiness": readiness}
    asked["ability"] = Ability(rate=20.0, lose_clients=False)
    whole = resilience(mesh, LOCAL, **asked)
    assert whole["fault"]["name"] == fault
    assert (Fault[fault.upper()].value in prediction_table(whole)) == (fault != "refused")
    (row,) = [row for row in whole["rows"] if not row["errors"]]
    (single,) = forecast(mesh, LOCAL, **asked)["rows"]
    assert len(row["entries"]) == len(single["losses"]) == 4
    for entry, loss in zip(row["entries"], single["losses"], strict=True):
        assert entry["loss"] == loss["loss"]
        course = loss["failover"].get(fault)
        assert (entry["verdict"], entry["until"]) == (loss["verdict"], loss["until"])
        assert entry["lost_at_first"] == pytest.approx(loss["lost_at_first"])
        if course:
            assert entry["failing"] == pytest.approx(course["failing_at_first"])
            assert entry["for_good"] == pytest.approx(course["failing_for_good"])
            assert entry["failed_requests"] == course["failed_requests"]
            assert entry["seconds"] == course["seconds"]
