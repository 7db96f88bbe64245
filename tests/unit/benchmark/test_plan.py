# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of plan and matrix measures what it says; and how their work grows, in numbers of things done."""

from __future__ import annotations

import collections
import json
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._envoy import (
    ejection_course,
    failover_time,
    locality_shares,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast import (
    client_load,
    matrix_row,
    service_under_loss,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio import endpoints, plan, snapshot_builder
from tests.benchmark import meshes, plan_process
from tests.benchmark.plan import SCALES, Scaled, comparison, growth, one_core, one_of_each_locality, planned, scaled
from tests.benchmark.plan import write as write_mesh
from tests.benchmark.turns import Cost, summary

#: Every Service has two endpoints in each of the 36 localities.
SERVICES, EACH = 4, 72


def places(mesh: meshes.Json) -> list[tuple[str, str, str]]:
    return [meshes.place(int(client["metadata"]["NODE_NAME"].removeprefix("node-"))) for client in mesh["clients"]]


@pytest.mark.parametrize("number", [9, 18, 36])
def test_clients_are_in_so_many_localities_of_all_regions(number: int) -> None:
    mesh = meshes.mesh(SERVICES, SERVICES * EACH, clients=120, localities=number)
    assert len(set(places(mesh))) == number
    assert len({region for region, _zone, _subzone in places(mesh)}) == meshes.REGIONS
    by_name = {item["metadata"]["name"]: item for item in mesh["objects"] if item["kind"] == "Pod"}
    assert all(
        by_name[client["pod"]]["spec"]["nodeName"] == client["metadata"]["NODE_NAME"] for client in mesh["clients"]
    )


def test_one_client_of_each_locality_asks_the_oracle() -> None:
    mesh = meshes.mesh(SERVICES, SERVICES * EACH, clients=120)
    question = one_of_each_locality(mesh)
    assert sorted(places(question)) == sorted(set(places(mesh)))
    assert question["objects"] == mesh["objects"]


def test_plan_and_matrix_run_in_a_process_of_their_own(tmp_path: Path) -> None:
    mesh = write_mesh(meshes.mesh(SERVICES, SERVICES * EACH, clients=72), tmp_path / "mesh.json")
    assert mesh.read_text().count("\n") == 1  # the oracle takes one question a line
    cost, counted = planned(mesh, "matrix")
    assert counted[:3] == (SERVICES * meshes.PLACES, SERVICES, 36 + 9 + 3)
    assert 0 < counted.plan < counted.cpu < cost.cpu
    _cost, alone = planned(mesh, "plan")
    assert alone[:3] == (SERVICES * meshes.PLACES, 0, 0)


def test_one_core_is_given_back() -> None:
    before = os.sched_getaffinity(0)
    with one_core():
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_a_scale_is_told_as_ratios_to_its_first_value() -> None:
    points = scaled((10, 20), [(Cost(1, 1, 1), Cost(1, 2, 1)), (Cost(1, 2, 1), Cost(1, 8, 1)), (Cost(1, 4, 1),) * 2])
    assert points == [Scaled(10, 2, 1, 1, 1), Scaled(20, 4, 2, 1, 4)]
    assert list(growth({"clients": [*points, Scaled(4000, 12.5, 1.25, 1.2, 1.3)]}, 3))[-1].split() == [
        *("clients", "4,000", "12.50", "1.25", "1.20–1.30")
    ]


def test_the_comparison_names_both_sides() -> None:
    rounds = [(Cost(1, 2, 50_000_000), Cost(1, 1, 25_000_000), Cost(1, 6, 100_000_000))]
    summaries = {"plan": summary(rounds, 1), "matrix": summary(rounds, 2), "inside": {"plan": 0.5, "cpu": 1.5}}
    lines = list(comparison(summaries, 1))
    assert lines[2].split() == ["plan,", "s", "cpu", "2.00", "1.00", "0.50", "0.50–0.50"]
    assert lines[-2].split()[-4:] == ["50.00", "100.00", "2.00", "2.00–2.00"]
    assert "plan 0.50 s, plan and matrix 1.50 s" in lines[-1]
    json.dumps(summaries)


def test_scales_begin_with_the_smallest() -> None:
    assert all(list(values) == sorted(values) for _argument, values in SCALES.values())


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., collections.Counter[str]]:
    """Return how often what costs time is done for a mesh."""
    calls: collections.Counter[str] = collections.Counter()

    def count(owner: t.Any, name: str, as_name: str) -> None:
        right = getattr(owner, name)

        def counting(*given: t.Any, **named: t.Any) -> t.Any:
            calls[as_name] += 1
            return right(*given, **named)

        monkeypatch.setattr(owner, name, counting)

    count(endpoints.Endpoints, "_of", "endpoints read")
    count(plan, "arrange", "orders of localities")
    count(locality_shares.ClusterHosts, "shares", "shares")
    count(locality_shares, "priority_loads", "loads of priorities")
    for module in (ejection_course, failover_time):
        count(module, "locality_shares", "shares of courses")
    count(matrix_row.DestinationUnderLosses, "_add", "classes of clients")
    count(service_under_loss, "ServiceUnderLoss", "entries")
    count(client_load, "ClientLoad", "held")

    def done(**mesh: int) -> collections.Counter[str]:
        calls.clear()
        numbers = {"services": SERVICES, "endpoints": SERVICES * EACH, "clients": 144, **mesh}
        plan_process.work(snapshot_builder.build(meshes.mesh(**numbers)["objects"]), whole=True)
        return collections.Counter(calls)

    return done


Work = t.Callable[..., collections.Counter[str]]


def test_more_clients_in_the_same_localities_are_no_more_work(work: Work) -> None:
    few, many = work(clients=72), work(clients=576)
    assert few == many
    assert few["orders of localities"] == few["classes of clients"] == SERVICES * meshes.PLACES


def test_clients_with_equal_orders_are_computed_once(work: Work) -> None:
    # A Service's four endpoints are the subzones of one zone: clients are in one of these, or all in the same position.
    counted = work(endpoints=4 * SERVICES)
    assert counted["classes of clients"] == SERVICES * meshes.PLACES
    assert counted["held"] == SERVICES * 5
    assert counted["shares"] - counted["shares of courses"] < 3 * counted["held"]
    # How much fails until a loss settles: one course of ejections for the clients that share an order.
    assert counted["shares of courses"] < 2 * counted["held"], counted


def test_work_grows_with_the_localities_of_clients(work: Work) -> None:
    small, middle, large = (work(localities=number) for number in (9, 18, 36))
    assert [size["orders of localities"] for size in (small, middle, large)] == [SERVICES * n for n in (9, 18, 36)]
    for what in small:
        assert middle[what] <= 2 * small[what], what
        assert large[what] <= 4 * small[what], what


def test_work_grows_with_endpoints_only_where_each_is_read(work: Work) -> None:
    small, large = work(), work(endpoints=4 * SERVICES * EACH)
    assert large.pop("endpoints read") == 4 * small.pop("endpoints read") == 4 * SERVICES * EACH
    assert small == large


def test_work_grows_with_services(work: Work) -> None:
    small, large = work(), work(services=3 * SERVICES, endpoints=3 * SERVICES * EACH)
    assert {what: 3 * number for what, number in small.items()} == large
