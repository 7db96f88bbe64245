# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

from ansible_collections.meshops.locality.plugins.module_utils._envoy.access_log import (
    count_upstreams,
    parse_access_log,
)

LOG = (Path(__file__).parent / "samples" / "access-log.txt").read_text(encoding="utf-8")


def test_real_lines_in_both_formats():
    entries = {entry.request_id: entry for entry in parse_access_log(LOG)}
    good = entries["probe-9c58a9965898-0"]
    assert (good.response_code, good.response_flags, good.upstream_host) == (200, "", "10.244.12.4:5000")
    assert good.upstream_cluster == "outbound|5000||helloworld.sample.svc.cluster.local"
    assert good.start_time == "2026-11-23T00:44:20.110Z"
    assert entries["probe-9c58a9965898-1"].response_flags == "URX,UF"
    assert entries["probe-9c58a9965898-2"].duration_ms == 5000
    assert entries["probe-9c58a9965898-3"].upstream_host == "10.244.11.3:5000"
    assert entries["probe-9c58a9965898-3"].response_flags == ""


def test_a_request_without_upstream_and_a_tcp_connection():
    entries = {entry.request_id: entry for entry in parse_access_log(LOG)}
    assert entries["d5b5ab8a-70a0-9d6b-a2a1-5a9c2b6d1c11"].upstream_host == ""
    assert entries[""].upstream_host == "10.96.0.1:443"


def test_other_lines_are_left_out():
    noise = 'info Envoy proxy is ready\n{"level":"info","msg":"x"}\n{broken\n\n[not a time] "GET / HTTP/1.1" 200\n'
    assert parse_access_log(noise) == []
    assert len(parse_access_log(LOG)) == 6


def test_a_log_with_the_kubelets_timestamps():
    line = "2026-11-23T00:44:20.110123456Z " + LOG.splitlines()[1]
    assert parse_access_log(line)[0].request_id == "probe-9c58a9965898-0"


def test_counts():
    requests_by_upstream = count_upstreams(
        entry for entry in parse_access_log(LOG) if entry.request_id.startswith("probe-")
    )
    assert requests_by_upstream["requests"] == 4
    assert requests_by_upstream["by_upstream_host"] == {"10.244.11.3:5000": 1, "10.244.12.4:5000": 3}
    assert requests_by_upstream["by_code"] == {"0": 1, "200": 2, "503": 1}
    assert requests_by_upstream["by_flag"] == {"-": 2, "DC": 1, "URX,UF": 1}
