# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of users: from the access log as they saw them, from counters as attempts."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._drill.failover_mechanism import TrafficReading
from ansible_collections.meshops.locality.plugins.module_utils._drill.user_requests import (
    from_counters,
    from_log,
    is_about,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.access_log import AccessLogEntry
from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import parse_clusters

HOST = "web.shop.svc.cluster.local"
ENTRY = AccessLogEntry("id", "10.0.0.1:8080", f"outbound|80||{HOST}", 200, "", 1500, "1970-01-02T00:00:10.250Z", "/")


def test_a_request_of_the_log() -> None:
    sample = from_log(ENTRY, 3, 86400.0, {"10.0.0.1": "web-1"})
    assert sample is not None
    assert (sample.client, sample.t, sample.seconds, sample.code, sample.pod) == (3, 10.25, 1.5, 200, "web-1")
    assert from_log(dataclasses.replace(ENTRY, start_time="-"), 3, 0.0, {}) is None


@pytest.mark.parametrize(
    ("code", "ok"), [(200, True), (404, True), (499, True), (500, False), (503, False), (0, False)]
)
def test_what_a_user_asks_wrong_is_no_failure_of_the_service(code: int, ok: bool) -> None:
    sample = from_log(dataclasses.replace(ENTRY, response_code=code), 0, 0.0, {})
    assert sample is not None
    assert sample.ok is ok


@pytest.mark.parametrize(
    ("cluster", "about"),
    [
        (f"outbound|80||{HOST}", True),
        (f"outbound|80|v1|{HOST}", True),
        (f"outbound|81||{HOST}", False),
        (f"inbound|80||{HOST}", False),
        ("outbound|80||web.other.svc.cluster.local", False),
        ("PassthroughCluster", False),
    ],
)
def test_which_requests_are_about_the_service(cluster: str, about: bool) -> None:
    assert is_about(dataclasses.replace(ENTRY, upstream_cluster=cluster), HOST, 80) is about


def reading(t: float, success: int, error: int) -> TrafficReading:
    stats = [{"name": "rq_success", "value": str(success)}, {"name": "rq_error", "value": str(error)}]
    host = {"address": {"socket_address": {"address": "10.0.0.1", "port_value": 80}}, "stats": stats}
    document = {"cluster_statuses": [{"name": f"outbound|80||{HOST}", "host_statuses": [host]}]}
    return TrafficReading(t, "shop/a", tuple(parse_clusters(document)))


def test_attempts_between_two_readings() -> None:
    requests = from_counters(reading(1, 100, 7), reading(2, 103, 9), 0, {"10.0.0.1": "web-1"})
    assert [(user_request.t, user_request.code, user_request.pod) for user_request in requests] == [
        (2, 200, "web-1")
    ] * 3 + [(2, 503, "web-1")] * 2
    assert from_counters(reading(1, 100, 7), reading(2, 1, 0), 0, {}) == [], "a restarted Envoy began again"
