# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan against what clients hold, and a forecast against what a probe counts: every difference has its sentence."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._forecast.forecast_against_probe import (
    bounds,
    forecast_differences,
    takes,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.plan_against_envoy import plan_differences
from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import Selection, forecast, plan
from tests.unit.plugins.module_utils._forecast.tutorial_mesh import (
    BEIJING,
    CLUSTER,
    GUANGZHOU,
    HOST,
    SHENYANG,
    TIANJIN,
    rule,
    snapshot,
)

Json = dict[str, t.Any]

MESH = snapshot(rule())


def endpoint(number: int, locality: str, priority: int, **more: t.Any) -> Json:
    return {
        "cluster": CLUSTER,
        "host": HOST,
        "port": 5000,
        "subset": "",
        "address": f"10.0.{number}.1:5000",
        "locality": locality,
        "priority": priority,
        "weight": 1,
        "health": "healthy",
        "health_reasons": [],
        "excluded": False,
        **more,
    }


def client(**more: t.Any) -> Json:
    """The client in tianjin as it should be."""
    settings = {
        "lb_policy": "ROUND_ROBIN",
        "locality_weighted": True,
        "panic_threshold": 0.0,
        "outlier_detection": {"consecutive_5xx": 1},
        "max_requests_per_connection": 1,
        "locality_weights": [{"locality": TIANJIN, "priority": 0, "weight": 1}],
    }
    return {
        "namespace": "sample",
        "pod": "sleep-tianjin",
        "locality": TIANJIN,
        "problem": "",
        "endpoints": [
            endpoint(0, TIANJIN, 0),
            endpoint(1, BEIJING, 1),
            endpoint(2, SHENYANG, 1),
            endpoint(3, GUANGZHOU, 2),
        ],
        "clusters": {CLUSTER: settings},
        **more,
    }


@pytest.mark.parametrize("planned", [MESH, plan(MESH, Selection())], ids=["snapshot", "rows"])
def test_what_is_equal_has_no_differences(planned: t.Any) -> None:
    assert plan_differences(planned, [client()]) == []


def test_an_ejected_endpoint_is_no_difference() -> None:
    seen = client()
    seen["endpoints"][0] |= {"health": "unhealthy", "health_reasons": ["failed_outlier_check"]}
    assert plan_differences(MESH, [seen]) == []


@pytest.mark.parametrize(
    ("where", "value", "snapshot_says", "rows_say"),
    [
        (("endpoints", 0, "priority"), 1, "has priority 1, the plan says priority 0.", None),
        (("endpoints", 3, "locality"), TIANJIN, f"{GUANGZHOU} has no endpoint, the plan says priority 2.", None),
        (("endpoints", 1, "weight"), 3, "10.0.1.1:5000 has weight 3, the plan says 1.", ""),
        (
            ("endpoints", 1, "health_reasons"),
            ["failed_eds_health"],
            "10.0.1.1:5000 is not ready, the plan says ready.",
            "0 of 1 endpoints are ready, the plan says 1.",
        ),
        (
            ("endpoints", 1, "address"),
            "10.9.9.9:5000",
            "10.0.1.1:5000 is missing.",
            "",
        ),
        (("clusters", CLUSTER, "lb_policy"), "LEAST_REQUEST", "lb_policy is LEAST_REQUEST, the plan says ROUND", ""),
        (("clusters", CLUSTER, "locality_weighted"), False, "locality_weighted is False, the plan says True", ""),
        (("clusters", CLUSTER, "panic_threshold"), None, "panic_threshold is not set, the plan says 0.0", ""),
        (
            ("clusters", CLUSTER, "outlier_detection"),
            {"max_ejection_percent": 50},
            "max_ejection_percent is 50, the plan says 10",
            "",
        ),
        (("clusters", CLUSTER, "outlier_detection"), None, "max_ejection_percent is not set, the plan says 10", ""),
        (
            ("clusters", CLUSTER, "locality_weights"),
            [{"locality": TIANJIN, "priority": 0, "weight": 7}],
            f"{TIANJIN} has locality weight 7, the plan says 1.",
            None,
        ),
    ],
)
def test_each_difference_has_its_sentence(
    where: tuple[t.Any, ...], value: t.Any, snapshot_says: str, rows_say: str | None
) -> None:
    seen = client()
    place: t.Any = seen
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = value
    differences = plan_differences(MESH, [seen])
    assert any(snapshot_says in sentence for sentence in differences), differences
    assert all(sentence.startswith(f"sample/sleep-tianjin, {CLUSTER}: ") for sentence in differences)
    rows = plan_differences(plan(MESH, Selection()), [seen])
    wanted = snapshot_says if rows_say is None else rows_say
    assert (rows == []) if wanted == "" else any(wanted in sentence for sentence in rows)


def test_a_second_endpoint_that_is_not_planned() -> None:
    seen = client()
    seen["endpoints"].append(endpoint(8, BEIJING, 1))
    assert "10.0.8.1:5000 is not in the plan." in plan_differences(MESH, [seen])[0]
    assert "2 endpoints, the plan says 1." in plan_differences(plan(MESH, Selection()), [seen])[0]


def test_a_subset_that_is_not_held() -> None:
    subsets = rule()
    subsets["spec"]["subsets"] = [{"name": "all", "labels": {"app": "helloworld"}}]
    assert f"holds nothing of outbound|5000|all|{HOST}; the plan has P0 {TIANJIN}" in str(
        plan_differences(snapshot(subsets), [client()])
    )


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"pod": "nobody"}, "sample/nobody is no client in the snapshot."),
        ({"endpoints": []}, "sample/sleep-tianjin holds no endpoint."),
        ({"endpoints": [], "problem": "It is gone."}, "sample/sleep-tianjin: It is gone."),
    ],
)
def test_a_client_that_cannot_be_compared(more: Json, says: str) -> None:
    assert plan_differences(MESH, [client(**more)]) == [says]


def test_rows_about_other_clients() -> None:
    rows = plan(MESH, Selection(clients=("sleep-beijing",)))
    assert "The plan says nothing about sample/sleep-tianjin" in plan_differences(rows, [client()])[0]


@pytest.mark.parametrize("clients", [[{}], ["x"], [None], [client(endpoints=[3])]])
def test_what_are_no_clients_is_refused(clients: t.Any) -> None:
    with pytest.raises(InvalidInput, match="Cannot compare"):
        plan_differences(MESH, clients)


# Forecasts.

FORECAST = forecast(MESH, Selection(clients=("sleep-tianjin",)), losses=["pod helloworld-tianjin-0"])


def probe(by_locality: t.Mapping[str, int], failed: int = 0, **more: t.Any) -> Json:
    pods = {f"helloworld-{place.rpartition('/')[2]}-0": count for place, count in by_locality.items()}
    return {
        "sent": sum(by_locality.values()) + failed,
        "failed_requests": failed,
        "by_locality": dict(by_locality),
        "by_pod": pods,
        "client": {"namespace": "sample", "pod": "sleep-tianjin", "locality": TIANJIN},
        **more,
    }


def test_a_probe_as_forecast() -> None:
    assert forecast_differences(FORECAST, probe({TIANJIN: 60})) == []
    settled = probe({BEIJING: 52, SHENYANG: 48})
    assert forecast_differences(FORECAST, settled, "pod sample/helloworld-tianjin-0") == []
    assert forecast_differences(FORECAST, settled, "pod helloworld-tianjin-0") == []


@pytest.mark.parametrize(
    ("seen", "loss", "says"),
    [
        (probe({TIANJIN: 59, BEIJING: 1}), "", f"1 of 60 requests were answered by {BEIJING}; 0.0 % were forecast"),
        (probe({TIANJIN: 59}, 1), "", "1 of 60 requests failed; 0.0 % were forecast, which is 0 to 0"),
        (
            probe({TIANJIN: 57}, 3, failure_reasons={"status 503": 2, "no complete answer: timed out (curl 28)": 1}),
            "",
            "3 of 60 requests failed (2 × status 503, 1 × no complete answer: timed out (curl 28)); 0.0 %",
        ),
        (
            probe({BEIJING: 80, SHENYANG: 20}),
            "pod helloworld-tianjin-0",
            f"80 of 100 requests were answered by {BEIJING}; 50.0 % were forecast, which is 32 to 68",
        ),
    ],
)
def test_a_probe_that_is_too_far_off(seen: Json, loss: str, says: str) -> None:
    differences = forecast_differences(FORECAST, seen, loss)
    assert any(says in sentence for sentence in differences), differences


def test_one_row_is_needed() -> None:
    both = forecast(MESH, Selection(), levels=["zone"])
    assert forecast_differences(both, probe({TIANJIN: 60})) == []
    with pytest.raises(InvalidInput, match="2 rows for the client of the probe, one is needed"):
        forecast_differences(both, probe({TIANJIN: 60}, client={}))
    doubled = copy.deepcopy(both)
    doubled["rows"] += both["rows"]
    with pytest.raises(InvalidInput, match="Ask locality_forecast for one service"):
        forecast_differences(doubled, probe({TIANJIN: 60}))


@pytest.mark.parametrize(
    ("given", "seen", "loss", "says"),
    [
        ({}, {}, "", "Cannot compare"),
        (FORECAST, {}, "", "Cannot compare"),
        (FORECAST, probe({TIANJIN: 1}), "zone x", "no loss 'zone x'. It has: pod sample/helloworld-tianjin-0"),
    ],
)
def test_something_else_is_refused(given: Json, seen: Json, loss: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        forecast_differences(given, seen, loss)


def test_a_level_is_a_probability() -> None:
    with pytest.raises(InvalidInput, match="level is 5"):
        forecast_differences(FORECAST, probe({TIANJIN: 1}), level=5)


@pytest.mark.parametrize(
    ("total", "share", "level", "expected"),
    [
        # scipy.stats.binom.interval(0.99, n, p) and the exact tails around it.
        (100, 0.5, 0.01, (37, 63)),
        (20, 0.1, 0.05, (0, 5)),
        (0, 0.5, 0.01, (0, 0)),
        (50, 0.0, 0.01, (0, 0)),
        (50, 1.0, 0.01, (50, 50)),
        (50, 1e-9, 0.01, (0, 0)),
    ],
)
def test_bounds_of_a_binomial_number(total: int, share: float, level: float, expected: tuple[int, int]) -> None:
    assert bounds(total, share, level) == expected


def match(path: str = "prefix /", **names: t.Any) -> Json:
    """A match as a row of a forecast has it."""
    how, _space, text = path.partition(" ")
    empty: Json = {"headers": [], "query": [], "claims": []}
    return {"path": {"type": how, "value": text}, **empty, **names}


@pytest.mark.parametrize(
    ("matches", "url", "taken"),
    [
        ([match("prefix /new")], "http://web/new/cart", True),
        ([match("prefix /new")], "http://web/old", False),
        ([match("prefix /new")], "http://web/newer", None),  # of a VirtualService it does, of the Gateway API not
        ([match("exact /new")], "http://web/new?x=1", True),
        ([match("regex /v[0-9]+/.*")], "http://web/v2/cart", True),
        ([match("regex /this or that, too.*")], "http://web/this or that, too", True),
        ([match("regex [")], "http://web/", None),
        ([match(headers=["end-user"])], "http://web/", False),
        ([match(headers=["-end-user"])], "http://web/", True),
        ([match(headers=["user-agent"])], "http://web/", None),
        ([match("prefix /a", headers=["x"]), match("prefix /b")], "http://web/b", True),
        ([match("prefix /a", headers=[":method"])], "http://web/a", None),
        ([match("prefix /a", headers=[":method"])], "http://web/b", False),
        ([match(query=["canary"])], "http://web/?canary=1", None),
        ([match(query=["canary"])], "http://web/", False),
        ([match(claims=["iss"])], "http://web/", False),
        ([match(claims=["-iss"])], "http://web/", True),
        ([], "http://web/", None),
    ],
)
def test_which_class_of_requests_takes_a_probe(matches: list[Json], url: str, taken: bool | None) -> None:
    assert takes(matches, url) is taken


def test_a_probe_is_compared_with_the_class_that_it_belongs_to() -> None:
    (row,) = FORECAST["rows"]
    new = {"requests": "uri prefix /new", "matches": [match("prefix /new")]}
    other = {**row, **new, "now": {**row["now"], "localities": {"x/y/z": 1.0}, "pods": {}}}
    both = {**FORECAST, "rows": [row, other]}
    assert forecast_differences(both, probe({TIANJIN: 60}, url="http://web/")) == []
    assert forecast_differences(both, probe({TIANJIN: 60}, url="http://web/new/1")) != []
    assert forecast_differences(both, probe({"x/y/z": 60}, url="http://web/new/1", by_pod={})) == []
    assert forecast_differences(both, probe({TIANJIN: 60}, url="http://web/new/1"), requests="") == []
    unknown = {**FORECAST, "rows": [row, {**other, "requests": "method", "matches": [match(headers=[":method"])]}]}
    with pytest.raises(InvalidInput, match="among those with method"):
        forecast_differences(unknown, probe({TIANJIN: 60}, url="http://web/"))
