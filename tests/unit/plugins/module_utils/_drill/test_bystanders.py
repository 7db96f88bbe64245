# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bystanders: what their counters grew by, and when that ends a drill."""

from __future__ import annotations

from ansible_collections.meshops.locality.plugins.module_utils._drill.bystanders import beyond, hurt
from ansible_collections.meshops.locality.plugins.module_utils._drill.failover_mechanism import TrafficReading
from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import (
    EnvoyEndpoint,
    parse_clusters,
)

HOST = "outbound|80||shop.web.svc.cluster.local"


def reading(t: float, client: str, address: str, total: int, errors: int) -> TrafficReading:
    host = {
        "address": {"socket_address": {"address": address, "port_value": 80}},
        "stats": [{"name": "rq_total", "value": str(total)}, {"name": "rq_error", "value": str(errors)}],
        "health_status": {"eds_health_status": "HEALTHY"},
    }
    document = {"cluster_statuses": [{"name": HOST, "host_statuses": [host]}]}
    endpoints: list[EnvoyEndpoint] = parse_clusters(document)
    return TrafficReading(t, client, tuple(endpoints))


def test_only_what_grew_counts() -> None:
    seen = hurt([reading(1, "web/a", "10.0.0.1", 100, 40), reading(9, "web/a", "10.0.0.1", 130, 46)])
    assert (seen["watched"], seen["requests"], seen["errors"]) == (1, 30, 6)
    assert seen["hurt"] == ["web/a: 6 errors at 10.0.0.1:80 of shop.web.svc.cluster.local"]


def test_an_envoy_that_was_restarted_counts_from_nothing() -> None:
    seen = hurt([reading(1, "web/a", "10.0.0.1", 100, 40), reading(9, "web/a", "10.0.0.1", 3, 0)])
    assert (seen["requests"], seen["errors"], seen["hurt"]) == (0, 0, [])


def test_a_drill_ends_when_more_fails_than_may() -> None:
    seen = hurt([reading(1, "web/a", "10.0.0.1", 0, 0), reading(9, "web/a", "10.0.0.1", 100, 6)])
    assert "6 errors with 100 requests, where 1 % may fail" in beyond(seen, 0.01)
    assert beyond(seen, 0.06) == ""


def test_a_few_errors_end_nothing() -> None:
    seen = hurt([reading(1, "web/a", "10.0.0.1", 0, 0), reading(9, "web/a", "10.0.0.1", 10, 4)])
    assert beyond(seen, 0.0) == ""
