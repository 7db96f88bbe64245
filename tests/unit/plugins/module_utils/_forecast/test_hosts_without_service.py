# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to a host that only a VirtualService has: a row where istiod has routes for it, else a line that says so."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import (
    Ability,
    Selection,
    forecast,
    resilience,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import View

from .test_gateway_requests import istio, mesh

Json = dict[str, t.Any]
#: Of the web's versions, v1 is in z1 only.
LOST = ["zone r/z1"]


def only_routed(*hosts: str, **more: t.Any) -> Json:
    """A VirtualService that leads hosts to the version of the web that is in z1 only."""
    destination = {"host": "web.shop.svc.cluster.local", "subset": "v1", "port": {"number": 80}}
    return istio(
        "VirtualService",
        "shop",
        "old",
        {"hosts": list(hosts), "http": [{"route": [{"destination": destination}]}], **more},
    )


def rows(*objects: Json, **more: t.Any) -> tuple[dict[str, Json], Json]:
    """Name → row of the client, and the whole answer."""
    answer = forecast(
        mesh(*objects),
        Selection(clients=("client-1",), **more),
        losses=LOST,
        ability=Ability(rate=10, lose_clients=False),
    )
    return {row["name"]: row for row in answer["rows"]}, answer


def codes(entries: list[Json]) -> dict[str, Json]:
    return {entry["code"]: entry for entry in entries}


def test_the_clusters_of_its_destinations_decide() -> None:
    by_name, answer = rows(only_routed("old.example.org"))
    assert by_name["old.example.org:80"]["losses"][0]["lost_in_the_end"] == 1.0
    assert by_name["web.shop:80"]["losses"][0]["lost_in_the_end"] == 0.0
    assert codes(answer["assumptions"])["host-without-service"]["parameters"] == {"hosts": "old.example.org:80"}
    assert "host-without-service" not in codes(answer["not_judged"])


def test_the_matrix_has_the_row_and_counts_it_among_the_dying() -> None:
    selection = Selection(clients=("client-1",))
    answer = resilience(mesh(only_routed("*.example.org")), selection, losses=LOST, ability=Ability(lose_clients=False))
    assert {"*.example.org:80"} <= {row["name"] for row in answer["rows"]}
    assert "*.example.org:80" in answer["summary"][0]["dies"]
    assert "host-without-service" in codes(answer["assumptions"])


def test_it_comes_with_the_service_that_it_leads_to() -> None:
    assert "old.example.org:80" in rows(only_routed("old.example.org"), services=("web",))[0]
    assert "old.example.org:80" not in rows(only_routed("old.example.org"), services=("egress",))[0]


@pytest.mark.parametrize(
    ("virtual", "named"),
    [
        (only_routed("web-old"), "web-old.shop"),  # DNS knows no such name, no request reaches the route
        (only_routed("old.example.org", exportTo=["out"]), "old.example.org"),
        (
            istio(
                "VirtualService",
                "shop",
                "old",
                {"hosts": ["old.example.org"], "tcp": [{"route": [{"destination": {"host": "web"}}]}]},
            ),
            "old.example.org",
        ),
    ],
)
def test_where_no_client_has_routes_for_it_a_line_says_so(virtual: Json, named: str) -> None:
    by_name, answer = rows(virtual)
    assert set(by_name) == {"web.shop:80", "egress.out:80", "ingress.in:80"}
    assert codes(answer["not_judged"])["host-without-service"]["parameters"] == {"hosts": named}


def test_hosts_of_gateways_and_of_services_are_none_of_it() -> None:
    for virtual in (only_routed("old.example.org", gateways=["in/public"]), only_routed("web"), only_routed("*")):
        answer = rows(virtual)[1]
        assert "host-without-service" not in codes(answer["not_judged"])
        assert "host-without-service" not in codes(answer["assumptions"])


def test_lint_knows_the_subset_that_such_a_host_leads_to() -> None:
    view = View(Planner(mesh(only_routed("old.example.org"))))
    reached = {
        case.assignment.destination.subset
        for case in view.used
        if any(kind.representative.type == "sidecar" for kind in case.kinds)
    }
    assert reached == {"", "v1"}


def test_a_service_entry_for_another_port_is_no_other_host() -> None:
    ports = [{"number": 443, "name": "tls", "protocol": "TLS"}]
    spec = {"hosts": ["old.example.org"], "ports": ports, "resolution": "NONE"}
    by_name, answer = rows(istio("ServiceEntry", "shop", "old", spec), only_routed("old.example.org"))
    assert by_name["old.example.org:80"]["losses"][0]["lost_in_the_end"] == 1.0
    assert codes(answer["assumptions"])["host-without-service"]["parameters"] == {"hosts": "old.example.org:80"}
