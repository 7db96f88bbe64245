# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses

from ansible_collections.meshops.locality.plugins.module_utils._envoy.access_log import AccessLogEntry
from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import EnvoyEndpoint
from ansible_collections.meshops.locality.plugins.module_utils._envoy.probe_statistics import Answer
from ansible_collections.meshops.locality.plugins.module_utils._envoy.witnesses import (
    Growth,
    Log,
    Statements,
    WitnessVerdict,
    compare,
    growth,
)

CLUSTER = "outbound|5000||web.shop.svc.cluster.local"
A, B = "10.0.0.1:5000", "10.0.0.2:5000"
PODS = {A: "web-a", B: "web-b"}


def entry(index: int, host: str = A, code: int = 200, flags: str = "") -> AccessLogEntry:
    start = f"2026-11-23T00:00:{index:02d}.000Z"
    return AccessLogEntry(f"run-{index}", host, CLUSTER, code, flags, 3, start, "/")


def grown(address: str, success: int, error: int = 0, partial: bool = False) -> Growth:
    counters = {"rq_success": success, "rq_error": error, "rq_total": success + error, "cx_connect_fail": 0}
    return Growth(address, "r/z", counters, partial)


def story(**changes) -> Statements:
    """Two requests, answered by web-a and web-b, and everybody agrees."""
    statements = Statements(
        answers=[Answer(0, 0.0, 200, 0, 0.01, "web-a"), Answer(1, 0.1, 200, 0, 0.01, "web-b")],
        grown=[grown(A, 1), grown(B, 1)],
        log=Log({0: entry(0, A), 1: entry(1, B)}),
        pods=PODS,
    )
    return dataclasses.replace(statements, **changes)


def test_three_witnesses_agree():
    assert compare(story()) == WitnessVerdict()


def test_counters_that_missed_a_request():
    verdict = compare(story(grown=[grown(A, 1), grown(B, 0)]))
    assert verdict.disagreements == ["Envoy counted 0 successes at web-b, the access log 1."]


def test_counters_with_a_request_nobody_knows():
    verdict = compare(story(grown=[grown(A, 2), grown(B, 1)]))
    assert verdict.disagreements == ["Envoy counted 2 successes at web-a, the access log only 1."]


def test_requests_of_others_are_not_a_contradiction():
    log = Log({0: entry(0, A), 1: entry(1, B)}, foreign=[entry(7, A), entry(8, A)])
    verdict = compare(story(grown=[grown(A, 3), grown(B, 1)], log=log))
    assert verdict.disagreements == []
    assert verdict.notes == ["2 requests of others went through the same sidecar to the same endpoints."]


def test_requests_at_the_edge_of_the_readings_may_be_in_or_out():
    log = Log({0: entry(0, A), 1: entry(1, B)}, edge=[entry(9, A)])
    for successes in (1, 2):
        assert compare(story(grown=[grown(A, successes), grown(B, 1)], log=log)).disagreements == []
    assert compare(story(grown=[grown(A, 3), grown(B, 1)], log=log)).disagreements


def test_the_log_names_another_pod_than_the_answer():
    verdict = compare(story(log=Log({0: entry(0, B), 1: entry(1, B)}), grown=None))
    assert len(verdict.disagreements) == 1
    assert "requests 0; the first: answer web-a, log web-b" in verdict.disagreements[0]


def test_an_address_of_an_unknown_pod_contradicts_nobody():
    log = Log({0: entry(0, "10.9.9.9:5000"), 1: entry(1, B)})
    verdict = compare(story(log=log, grown=[grown(B, 1)]))
    assert verdict.disagreements == []
    assert verdict.notes == ["1 answers came from endpoints whose counters were not read."]


def test_the_log_has_another_status():
    log = Log({0: entry(0, A, code=503), 1: entry(1, B)})
    verdict = compare(story(log=log, grown=None))
    assert "1 requests have another status" in verdict.disagreements[0]
    assert "client 200, log 503" in verdict.disagreements[0]


def test_an_answered_request_is_missing_from_the_log():
    verdict = compare(story(log=Log({0: entry(0, A)}), grown=None))
    assert "1 answered requests are not in the access log (requests 1)" in verdict.disagreements[0]


def test_a_request_the_client_gave_up_may_be_in_the_log_or_not_and_counted_or_not():
    gave_up = [Answer(0, 0.0, 0, 28, 5.0), Answer(1, 0.1, 200, 0, 0.01, "web-b")]
    for log in (Log({1: entry(1, B)}), Log({0: entry(0, A, 0, "DC"), 1: entry(1, B)})):
        for successes in (0, 1):
            assert (
                compare(story(answers=gave_up, log=log, grown=[grown(A, successes), grown(B, 1)])).disagreements == []
            )


def test_retries_are_told_and_are_no_contradiction():
    verdict = compare(story(grown=[grown(A, 1, error=3), grown(B, 1)]))
    assert verdict == WitnessVerdict(
        [], ["Envoy retried: besides the requests that failed, 3 attempts failed at an endpoint."]
    )


def test_failed_requests_need_an_error_at_an_endpoint():
    answers = [Answer(0, 0.0, 503, 0, 0.01), Answer(1, 0.1, 200, 0, 0.01, "web-b")]
    log = Log({0: entry(0, A, 503, "UF"), 1: entry(1, B)})
    assert compare(story(answers=answers, log=log, grown=[grown(A, 0, 1), grown(B, 1)])).disagreements == []
    verdict = compare(story(answers=answers, log=log, grown=[grown(A, 0, 0), grown(B, 1)]))
    assert verdict.disagreements == [
        "The access log has 1 requests that failed at an endpoint, Envoy's counters only 0 errors."
    ]


def test_a_request_without_upstream_is_in_no_counter():
    answers = [Answer(0, 0.0, 503, 0, 0.01), Answer(1, 0.1, 200, 0, 0.01, "web-b")]
    log = Log({0: entry(0, "", 503, "UH"), 1: entry(1, B)})
    assert compare(story(answers=answers, log=log, grown=[grown(A, 0), grown(B, 1)])) == WitnessVerdict()


def test_without_the_log_fewer_counted_successes_are_a_contradiction_more_are_not():
    assert compare(story(log=None)) == WitnessVerdict()
    fewer = compare(story(log=None, grown=[grown(A, 1), grown(B, 0)]))
    assert fewer.disagreements == ["Envoy counted 0 successes at web-b, the client 1."]
    more = compare(story(log=None, grown=[grown(A, 5), grown(B, 1)]))
    assert more.disagreements == []
    assert "cannot be told apart" in more.notes[0]


def test_without_the_log_and_without_names_only_the_totals_count():
    nameless = [Answer(0, 0.0, 200, 0, 0.01), Answer(1, 0.1, 200, 0, 0.01)]
    assert compare(story(answers=nameless, log=None, grown=[grown(A, 2), grown(B, 0)])) == WitnessVerdict()
    verdict = compare(story(answers=nameless, log=None, grown=[grown(A, 1), grown(B, 0)]))
    assert verdict.disagreements == ["Envoy counted 1 successes at all endpoints together, the client 2."]


def test_a_restarted_endpoint_gives_a_lower_bound():
    verdict = compare(story(grown=[grown(A, 0, partial=True), grown(B, 1)]))
    assert verdict.disagreements == []
    assert "lower bounds" in verdict.notes[0]


def test_traffic_past_the_mesh_is_told():
    past = dataclasses.replace(entry(0, A), upstream_cluster="PassthroughCluster")
    verdict = compare(story(log=Log({0: past, 1: entry(1, B)}), grown=None))
    assert "PassthroughCluster" in verdict.notes[0]


def endpoint(address: str, success: int, cluster: str = CLUSTER) -> EnvoyEndpoint:
    return EnvoyEndpoint(cluster, address, counters={"rq_success": success, "rq_total": success})


def test_growth_subtracts_and_sums_subsets():
    subset = CLUSTER.replace("||", "|v1|")
    before = [endpoint(A, 10), endpoint(A, 1, subset)]
    after = [endpoint(A, 12), endpoint(A, 4, subset)]
    (reading,) = growth(before, after)
    assert (reading.address, reading.counters["rq_success"], reading.partial) == (A, 5, False)


def test_growth_of_endpoints_that_come_go_and_start_anew():
    before = [endpoint(A, 10), endpoint(B, 10)]
    after = [endpoint(A, 3), endpoint("10.0.0.3:5000", 2)]
    by_address = {
        reading.address: (reading.counters["rq_success"], reading.partial) for reading in growth(before, after)
    }
    assert by_address == {A: (3, True), B: (0, True), "10.0.0.3:5000": (2, False)}
