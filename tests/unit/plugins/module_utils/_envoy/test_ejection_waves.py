# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that stay broken are tried again: what was measured with the real Envoy, 20 requests a second for 14 s."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._envoy.ejection_waves import Broken, waves
from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import (
    ClientModel,
    Fault,
    broken_hosts,
    transition,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import LocalityHosts
from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier_detection import OutlierDetection
from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import Settings
from ansible_collections.meshops.locality.plugins.module_utils._envoy.retries import Retries

RATE, SECONDS = 20, 14


def broken(hosts: int, errors: int = 1, retries: Retries | None = None, percent: int = 100) -> Broken | None:
    """P0 with so many hosts, all lost for good, and P1 with three; ejections of 3 s, looked at every second."""
    detection = OutlierDetection(consecutive_5xx=errors, interval=1, base_ejection_time=3, max_ejection_percent=percent)
    client = ClientModel(RATE, Settings(panic_threshold=0), detection, retries)
    groups = [LocalityHosts(0, None, hosts), LocalityHosts(1, None, 3)]
    return broken_hosts(groups, [hosts, 0], [hosts, 0], Fault.REFUSED, client)


@pytest.mark.parametrize(
    ("hosts", "errors", "retries", "measured"),
    [(1, 1, None, 41), (3, 1, None, 80), (3, 1, Retries(), 19), (3, 5, None, 105)],
)
def test_waves_cost_what_was_measured(hosts: int, errors: int, retries: Retries | None, measured: int) -> None:
    """One replicate each: the number has to be among those of the runs, with 10 % to spare."""
    case = broken(hosts, errors, retries)
    assert case is not None
    ejections = waves(case, RATE, SECONDS, None)
    assert ejections.least * 0.9 <= measured <= ejections.most * 1.1
    assert ejections.least <= ejections.failed <= ejections.most


def test_without_time_for_a_wave_it_is_the_first_failover() -> None:
    case = broken(3)
    assert case is not None
    detection = OutlierDetection(consecutive_5xx=1, max_ejection_percent=100)
    groups = [LocalityHosts(0, None, 3), LocalityHosts(1, None, 3)]
    first = transition(groups, [3, 0], Fault.REFUSED, ClientModel(RATE, Settings(panic_threshold=0), detection))
    ejections = waves(case, RATE, 2.9, None)
    assert ejections.failed == pytest.approx(first.expected_failed_requests, rel=0.15)


def test_removal_ends_the_waves() -> None:
    case = broken(1)
    assert case is not None
    never, soon = waves(case, RATE, SECONDS, None), waves(replace(case, staying=(0, 0)), RATE, SECONDS, 2.0)
    assert soon.failed < never.failed / 4


def test_what_is_never_ejected_has_no_waves() -> None:
    assert broken(3, percent=10) is None


def test_the_same_question_has_the_same_answer() -> None:
    case = broken(3, retries=Retries(remote_localities=True))
    assert case is not None
    assert waves(case, RATE, SECONDS, None) == waves(case, RATE, SECONDS, None)
    assert waves(case, RATE, SECONDS, None).failed < 2
