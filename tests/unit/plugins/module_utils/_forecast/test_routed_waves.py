# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ejections that end while somebody watches cost requests again, whichever routes the requests take."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._forecast.expected_probe import Watch
from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import (
    Ability,
    Selection,
    forecast,
    resilience,
)

from .test_gateway_requests import istio, mesh, route

Json = dict[str, t.Any]
SHORT = {"consecutive5xxErrors": 1, "interval": "1s", "baseEjectionTime": "3s", "maxEjectionPercent": 100}
RULE = istio("DestinationRule", "shop", "detect", {"host": "web", "trafficPolicy": {"outlierDetection": SHORT}})


def failed(http: list[Json], seconds: float) -> float:
    """The failed requests that a probe of the client should count when the pods of z1 answer 503."""
    way = istio("VirtualService", "shop", "way", {"hosts": ["web"], "http": http})
    prediction = forecast(
        mesh(RULE, way),
        Selection(services=("web",), clients=("client-1",)),
        losses=["zone r/z1"],
        faults=["gateway_error"],
        ability=Ability(rate=20, lose_clients=False),
        watch=Watch(20, 0, seconds),
    )
    return float(prediction["rows"][0]["losses"][0]["probe"]["failed_requests"])


def test_waves_of_requests_to_several_destinations() -> None:
    none: Json = {"attempts": 0}
    whole = [failed([route(("web", "", 100), retries=none)], seconds) for seconds in (2, 14)]
    assert whole[1] > whole[0] + 4
    # Two halves of the same requests meet the same waves, each at half of the pace.
    halves = [route(("web", "", 50), ("egress.out.svc.cluster.local", "", 50), retries=none)]
    part = [failed(halves, seconds) for seconds in (2, 14)]
    assert part[1] > part[0] + 2
    # A part that fails anyway fails in addition.
    aborted = route(("web", "", 100), retries=none, fault={"abort": {"httpStatus": 503, "percentage": {"value": 30}}})
    assert failed([aborted], 14) == pytest.approx(0.3 * 20 * 14 + 0.7 * whole[1], rel=0.25)


@pytest.mark.parametrize(("least", "ends", "grade"), [(70, "readiness", "long"), (30, "ejection", "short")])
def test_a_panic_goes_on_asking_those_that_were_ejected(least: int, ends: str, grade: str) -> None:
    detection = {**SHORT, "baseEjectionTime": "30s", "minHealthPercent": least}
    policy = {"loadBalancer": {"localityLbSetting": {"enabled": False}}, "outlierDetection": detection}
    rule = istio("DestinationRule", "shop", "detect", {"host": "web", "trafficPolicy": policy})
    way = istio(
        "VirtualService", "shop", "way", {"hosts": ["web"], "http": [route(("web", "", 100), retries={"attempts": 0})]}
    )
    result = resilience(
        mesh(rule, way),
        Selection(services=("web",), clients=("client-1",)),
        losses=["zone r/z1"],
        ability=Ability(rate=20, lose_clients=False, headroom=4),
    )
    (row,) = result["rows"]
    (cell,) = row["entries"]
    assert (cell["until"], cell["grade"]) == (ends, grade)
    # Half of the requests, until Kubernetes takes the lost pod out of its endpoints.
    assert cell["failed_requests"] == pytest.approx(20 * cell["seconds"] / 2, rel=0.1) or least == 30
    assert bool(result["summary"]) is (least == 70)
