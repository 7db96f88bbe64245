# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._envoy.endpoint_differences import endpoint_differences
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput


def client_with(*endpoints: tuple[str, int, str], problem: str = "") -> list[dict]:
    rows = [
        {"locality": locality, "priority": priority, "health": health, "health_reasons": ["why"], "address": "a:1"}
        for locality, priority, health in endpoints
    ]
    return [{"namespace": "shop", "pod": "c", "problem": problem, "endpoints": rows}]


A0, B1 = ("r/a", 0, "healthy"), ("r/b", 1, "healthy")


def test_what_is_expected_is_no_difference():
    assert endpoint_differences(client_with(A0, B1), {"r/a": 0, "r/b": 1}, ["r/a", "r/b"]) == []
    assert endpoint_differences(client_with(A0, B1)) == []


@pytest.mark.parametrize(
    ("endpoints", "says"),
    [
        ([A0, ("r/b", 2, "healthy")], "shop/c holds priority 2 for r/b; 1 was expected."),
        ([A0, B1, ("r/b", 2, "healthy")], "shop/c holds priority 1, 2 for r/b; 1 was expected."),
        ([A0], "shop/c holds no endpoint in r/b; priority 1 was expected."),
        ([A0, B1, ("", 3, "healthy")], "shop/c holds endpoints in no locality (priority 3); none were expected."),
    ],
)
def test_priorities_that_differ(endpoints, says):
    assert endpoint_differences(client_with(*endpoints), {"r/a": 0, "r/b": 1}) == [says]


def test_health_that_differs():
    sick = client_with(("r/a", 0, "unhealthy"), B1)
    assert endpoint_differences(sick, None, ["r/a", "r/c"]) == [
        "shop/c holds a:1 in r/a as unhealthy (why).",
        "shop/c holds no endpoint in r/c, which should be healthy.",
    ]


def test_a_client_that_could_not_be_asked():
    assert endpoint_differences(client_with(problem="No sidecar.")) == ["shop/c: No sidecar."]
    assert endpoint_differences(client_with()) == ["shop/c holds no endpoint."]


@pytest.mark.parametrize("wrong", [["x"], [{}], [{"pod": "c"}]])
def test_something_else_than_clients(wrong):
    with pytest.raises(InvalidInput, match="Cannot compare"):
        endpoint_differences(wrong)


def test_a_priority_that_is_no_number():
    with pytest.raises(InvalidInput, match="Cannot compare"):
        endpoint_differences(client_with(A0), {"r/a": "first"})
