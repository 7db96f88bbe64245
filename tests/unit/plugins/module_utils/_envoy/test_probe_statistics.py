# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._envoy.probe_statistics import (
    Answer,
    outage,
    percentile,
    tally,
    timeline,
)


def answers(*rows: tuple[float, int]) -> list[Answer]:
    return [Answer(index, sent, code, 0, 0.01, "p", "r/z") for index, (sent, code) in enumerate(rows)]


@pytest.mark.parametrize(
    ("code", "curl", "ok", "outcome"),
    [
        (200, 0, True, "200"),
        (302, 0, True, "302"),
        (404, 0, False, "404"),
        (503, 0, False, "503"),
        (0, 7, False, "curl 7"),
        (200, 28, False, "curl 28"),  # the status came, the rest of the answer did not
    ],
)
def test_what_counts_as_success(code, curl, ok, outcome):
    answer = Answer(0, 0.0, code, curl, 0.1)
    assert (answer.ok, answer.outcome) == (ok, outcome)


def test_counts_do_not_depend_on_the_order_of_arrival():
    given = answers((0.0, 200), (0.5, 503), (1.0, 200), (1.5, 503))
    counted = tally(given[::-1])
    assert counted == tally(given)
    assert (counted["sent"], counted["succeeded"], counted["failed_requests"]) == (4, 2, 2)
    assert (counted["first_failure"], counted["last_failure"]) == (0.5, 1.5)
    assert counted["by_locality"] == {"r/z": 2}  # a failed request was answered by nobody
    assert counted["by_code"] == {"200": 2, "503": 2}


def test_without_a_success_there_is_no_latency():
    counted = tally(answers((0.0, 503)))
    assert counted["latency"] == {"min": None, "p50": None, "p90": None, "p99": None, "max": None}
    assert counted["outage"] == 1


def test_without_a_failure_there_is_no_time_of_one():
    counted = tally(answers((0.0, 200)))
    assert (counted["first_failure"], counted["last_failure"], counted["outage"]) == (None, None, 0)


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 5), (90, 9), (99, 10), (100, 10)])
def test_percentiles_are_values_that_were_measured(percent, value):
    assert percentile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], percent) == value


def test_timeline_has_every_second():
    lines = timeline(answers((0.0, 200), (0.999, 503), (3.0, 200)))
    assert [(line["second"], line["sent"], line["failed"]) for line in lines] == [
        (0, 2, 1),
        (1, 0, 0),
        (2, 0, 0),
        (3, 1, 0),
    ]


@pytest.mark.parametrize(
    ("seconds", "longest"),
    [
        ([], 0),
        ([(1, 0)], 0),
        ([(1, 1)], 1),
        ([(5, 1), (5, 0), (5, 5), (5, 1)], 2),
        ([(1, 1), (0, 0), (1, 1), (1, 0)], 2),  # nothing due in the middle: neither counted nor the end
        ([(1, 0), (0, 0), (1, 1)], 1),
    ],
)
def test_outage_is_the_longest_run_of_seconds_with_a_failure(seconds, longest):
    assert outage({"sent": sent, "failed": failed} for sent, failed in seconds) == longest
