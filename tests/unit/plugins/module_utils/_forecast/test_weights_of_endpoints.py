# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints of a STATIC ServiceEntry with weights: what fails follows the weights, and not the number of endpoints.

Envoy 1.38 played the same: 90 % without retries, 26 to 33 % with Istio's. tests/differential has two of these cases.
"""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import (
    Ability,
    Selection,
    forecast,
    resilience,
)

from .test_gateway_requests import istio, mesh

Json = dict[str, t.Any]


def entry(*weights: int) -> Json:
    """Endpoints in the zones z1, z2, … with these weights."""
    endpoints = [
        {"address": f"192.0.2.{number}", "weight": weight, "locality": f"r/z{number}"}
        for number, weight in enumerate(weights, 1)
    ]
    ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
    spec = {"hosts": ["db.example.com"], "ports": ports, "resolution": "STATIC", "endpoints": endpoints}
    return istio("ServiceEntry", "shop", "db", spec)


def retries(attempts: int) -> Json:
    """The route to them, with so many retries."""
    http = [{"route": [{"destination": {"host": "db.example.com"}}], "retries": {"attempts": attempts}}]
    return istio("VirtualService", "shop", "db", {"hosts": ["db.example.com"], "http": http})


@pytest.mark.parametrize(
    ("weights", "attempts", "expected", "verdict"),
    [
        ((9, 1), 0, 0.9, "dies_in_part"),
        ((1, 9), 0, 0.1, "dies_in_part"),
        ((9, 1), 2, 0.9 * (0.9**6) ** 2, "dies_in_part"),
        ((1, 9), 2, 0.1 * (0.1**6) ** 2, "survives"),
        ((1, 1), 0, 0.5, "dies_in_part"),
    ],
)
def test_the_share_that_fails_for_good(weights: tuple[int, ...], attempts: int, expected: float, verdict: str) -> None:
    snapshot = mesh(entry(*weights), retries(attempts))
    ability = Ability(lose_clients=False)
    (row,) = forecast(
        snapshot, Selection(clients=("client-1",), services=("db.example.com",)), losses=["zone r/z1"], ability=ability
    )["rows"]
    (loss,) = row["losses"]
    assert loss["lost_in_the_end"] == pytest.approx(expected, abs=1e-6)
    assert loss["lost_at_first"] == pytest.approx(weights[0] / sum(weights))
    assert loss["verdict"] == verdict
    (fault,) = loss["failover"].values()
    assert fault["failing_for_good"] == pytest.approx(expected, abs=1e-6)
    assert ("equal-weights" in {each["code"] for each in fault["assumptions"]}) == (weights[0] == weights[1])
    matrix = resilience(
        snapshot, Selection(clients=("client-1",), services=("db.example.com",)), losses=["zone r/z1"], ability=ability
    )
    (cell,) = matrix["rows"][0]["entries"]
    assert (cell["for_good"], cell["verdict"]) == (pytest.approx(expected, abs=1e-6), verdict)
