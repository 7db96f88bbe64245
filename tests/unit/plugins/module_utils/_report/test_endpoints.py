# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.locality.plugins.filter.endpoints_table import endpoints_table

HERE = {
    "cluster": "outbound|5000||helloworld.sample.svc.cluster.local",
    "address": "10.0.0.1:5000",
    "pod": "helloworld-tianjin-1",
    "locality": "cn-north-4/cn-north-4b/tianjin",
    "priority": 0,
    "weight": 1,
    "health": "unhealthy",
    "health_reasons": ["failed_outlier_check"],
    "counters": {"rq_total": 7, "rq_error": 2},
}
THERE = {**HERE, "address": "10.0.0.2:5000", "priority": 1, "health": "healthy", "health_reasons": [], "pod": None}


def client(**more: t.Any) -> dict[str, t.Any]:
    return {"pod": "sleep-1", "locality": "cn-north-4/cn-north-4b/tianjin", "problem": None, **more}


def test_endpoints_are_ordered_by_priority_and_show_why_they_are_unhealthy() -> None:
    title, cluster, heading, rule, first, second = endpoints_table([client(endpoints=[THERE, HERE])]).splitlines()
    assert title == "sleep-1 in cn-north-4/cn-north-4b/tianjin"
    assert cluster == HERE["cluster"]
    assert heading.split()[:2] == ["priority", "locality"]
    assert set(rule) == {"─", " "}
    assert first.split()[0] == "0"
    assert "unhealthy (failed_outlier_check)" in first
    assert second.split()[0] == "1"
    assert second.split()[3] == "-"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (client(endpoints=[]), "no endpoints"),
        (client(problem="it has no sidecar"), "it has no sidecar"),
        (client(locality="", endpoints=[]), "no locality"),
    ],
)
def test_clients_without_endpoints_say_why(given: dict[str, t.Any], text: str) -> None:
    assert text in endpoints_table([given])


@pytest.mark.parametrize("value", [["x"], [{}], "text", None, {"pod": "x"}])
def test_what_is_no_list_of_clients_is_refused(value: t.Any) -> None:
    with pytest.raises(AnsibleFilterError, match="endpoints_table"):
        endpoints_table(value)
