# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads of priorities and localities: what Envoy 1.36 to 1.40 did, measured, and what must hold for every input."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import (
    ClusterHosts,
    HostCounts,
    LocalityHosts,
    LostHosts,
    locality_shares,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import Settings, priority_loads
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput

Counts = tuple[int, int, int, int]


def ok(healthy: int, total: int) -> Counts:
    return healthy, 0, total - healthy, 0


def loads(priorities: t.Sequence[Counts], threshold: int, overprovisioning: int = 140) -> tuple[list[int], list[bool]]:
    """The load of each priority, healthy and degraded together, and which are in panic."""
    healthy, degraded, unhealthy, excluded = zip(*priorities, strict=True)
    counted = [sum(three) for three in zip(healthy, degraded, unhealthy, strict=True)]
    hosts = [sum(two) for two in zip(counted, excluded, strict=True)]
    result = priority_loads(healthy, degraded, counted, hosts, overprovisioning, threshold)
    return [sum(two) for two in zip(result.healthy, result.degraded, strict=True)], result.panic


# Each row was measured with 20,000 requests on Envoy 1.38.3 and 8,000 on 1.36.4, 1.37.0, 1.40.0.
MEASURED: list[tuple[str, list[Counts], list[int], list[int], list[bool]]] = [
    ("P0 at 98 %", [ok(7, 10), ok(10, 10)], [98, 2], [98, 2], [False, False]),
    ("5 of 7 are enough", [ok(5, 7), ok(5, 5)], [100, 0], [100, 0], [False, False]),
    ("three levels", [ok(2, 5), ok(5, 5), ok(5, 5)], [56, 44, 0], [56, 44, 0], [False] * 3),
    ("46.67 is 46", [ok(1, 3), ok(1, 3), ok(3, 3)], [46, 46, 8], [46, 46, 8], [False] * 3),
    ("rounding goes first", [ok(1, 5)] * 3, [34, 33, 33], [34, 33, 33], [True] * 3),
    ("an empty middle", [ok(1, 3), ok(0, 3), ok(1, 3)], [50, 0, 50], [34, 33, 33], [True] * 3),
    ("total panic by hosts", [ok(0, 2), ok(1, 7)], [0, 100], [23, 77], [True, True]),
    ("one priority in panic", [ok(1, 10), ok(6, 10)], [15, 85], [15, 85], [True, False]),
    ("1, 2, 3 of 10", [ok(1, 10), ok(2, 10), ok(3, 10)], [17, 33, 50], [34, 33, 33], [True] * 3),
    ("degraded", [(1, 1, 8, 0), (1, 2, 7, 0), (1, 0, 9, 0)], [35, 49, 16], [34, 33, 33], [True] * 3),
    ("degraded gets none", [(2, 3, 0, 0), ok(5, 5)], [56, 44], [56, 44], [False, False]),
    ("nothing is left", [ok(0, 5), ok(0, 5)], [100, 0], [50, 50], [True, True]),
    ("draining hosts do not count", [(3, 0, 0, 2), ok(5, 5)], [100, 0], [100, 0], [False, False]),
    ("unhealthy hosts count", [ok(3, 5), ok(5, 5)], [84, 16], [84, 16], [False, False]),
    ("P1 does not exist", [ok(1, 3), (0, 0, 0, 0), ok(3, 3)], [46, 0, 54], [46, 0, 54], [False] * 3),
]


@pytest.mark.parametrize(("priorities", "without", "with_panic", "panic"), [row[1:] for row in MEASURED])
def test_the_loads_that_were_measured(
    priorities: list[Counts], without: list[int], with_panic: list[int], panic: list[bool]
) -> None:
    assert loads(priorities, 0) == (without, [False] * len(priorities))
    assert loads(priorities, 50) == (with_panic, panic)


def test_another_overprovisioning_factor_that_was_measured() -> None:
    assert loads([ok(9, 10), ok(10, 10)], 0, 100) == ([90, 10], [False, False])


def test_degraded_and_healthy_loads_apart() -> None:
    result = priority_loads([1, 1, 1], [1, 2, 0], [10, 10, 10], [10, 10, 10], 140, 0)
    assert (result.healthy, result.degraded) == ([19, 16, 16], [16, 33, 0])


def test_a_single_priority_panics_only_below_the_threshold() -> None:
    group = LocalityHosts(0, None, healthy=1, unhealthy=9)
    panicking = locality_shares([group], Settings(panic_threshold=50))
    assert (panicking.shares, panicking.none) == ([1.0], 0.0)
    assert panicking.dead == pytest.approx([0.9])
    assert locality_shares([group], Settings(panic_threshold=0)).dead == [0.0]


def test_panic_sends_requests_to_draining_hosts() -> None:
    draining = LocalityHosts(0, None, excluded=5)
    assert locality_shares([draining], Settings()) == ([1.0], [1.0], 0.0)
    assert locality_shares([draining], Settings(panic_threshold=0)) == ([0.0], [0.0], 1.0)


def test_the_threshold_is_cut_not_rounded() -> None:
    """2 of 7 are 28.57 %: below 29, but Envoy's conversion makes 28 of 29 (measured, 1.38.3 and 1.39.3)."""
    group = LocalityHosts(0, None, healthy=2, unhealthy=5)
    assert Settings(panic_threshold=29).threshold == 28
    assert locality_shares([group], Settings(panic_threshold=29)).dead == [0.0]
    assert locality_shares([group], Settings(panic_threshold=30)).dead == pytest.approx([5 / 7])
    assert Settings(panic_threshold=50.9).threshold == 50


def test_a_health_below_one_percent_is_none() -> None:
    """140 * 1 // 200 is 0: with P1 at 1 of 200 and P0 gone, everything is answered by 503."""
    gone, thin = LocalityHosts(0, None, unhealthy=2), LocalityHosts(1, None, healthy=1, unhealthy=199)
    assert locality_shares([gone, thin], Settings(panic_threshold=0)).none == 1.0
    assert locality_shares([thin._replace(priority=0)], Settings(panic_threshold=0)).shares == [1.0]


# Section 2 of the measurements: shares of localities inside priorities. (groups, settings, shares)
W = Settings(panic_threshold=0, locality_weighted=True)
LOCALITIES: list[tuple[str, list[LocalityHosts], Settings, list[float]]] = [
    (
        "weights, but weighting off",
        [LocalityHosts(0, 70, 2), LocalityHosts(0, 20, 4), LocalityHosts(0, 10, 6)],
        Settings(panic_threshold=0),
        [16.67, 33.33, 50],
    ),
    ("on", [LocalityHosts(0, 70, 2), LocalityHosts(0, 20, 4), LocalityHosts(0, 10, 6)], W, [70, 20, 10]),
    (
        "all unset",
        [LocalityHosts(0, None, 2), LocalityHosts(0, None, 4), LocalityHosts(0, None, 6)],
        W,
        [16.67, 33.33, 50],
    ),
    ("one unset", [LocalityHosts(0, 1, 2), LocalityHosts(0, 1, 2), LocalityHosts(0, None, 2)], W, [50, 50, 0]),
    ("5 of 10", [LocalityHosts(0, 50, 5, 0, 5), LocalityHosts(0, 50, 10)], W, [41.18, 58.82]),
    ("8 of 10", [LocalityHosts(0, 50, 8, 0, 2), LocalityHosts(0, 50, 10)], W, [50, 50]),
    ("1 of 10, 3 of 10", [LocalityHosts(0, 80, 1, 0, 9), LocalityHosts(0, 20, 3, 0, 7)], W, [57.14, 42.86]),
    (
        "panic ignores weights",
        [LocalityHosts(0, 80, 1, 0, 9), LocalityHosts(0, 20, 3, 0, 7)],
        Settings(panic_threshold=50, locality_weighted=True),
        [50, 50],
    ),
    (
        "one locality gone",
        [LocalityHosts(0, 70, 0, 0, 5), LocalityHosts(0, 20, 5), LocalityHosts(0, 10, 5)],
        W,
        [0, 66.67, 33.33],
    ),
    (
        "two priorities",
        [LocalityHosts(0, 4, 1, 0, 3), LocalityHosts(0, 4, 2, 0, 2), LocalityHosts(1, 1, 2), LocalityHosts(1, 3, 2)],
        W,
        [17.33, 34.67, 12, 36],
    ),
    (
        "still enough in P0",
        [LocalityHosts(0, 3, 3), LocalityHosts(0, 1, 0, 0, 1), LocalityHosts(1, 1, 3)],
        W,
        [100, 0, 0],
    ),
    ("degraded", [LocalityHosts(0, 1, 0, 3, 0), LocalityHosts(0, 1, 0, 1, 2)], W, [68.18, 31.82]),
]


@pytest.mark.parametrize(("groups", "settings", "percent"), [row[1:] for row in LOCALITIES])
def test_the_localities_that_were_measured(
    groups: list[LocalityHosts], settings: Settings, percent: list[float]
) -> None:
    shares = locality_shares(groups, settings)
    assert [100 * share for share in shares.shares] == pytest.approx(percent, abs=0.005)
    assert shares.none == 0


def test_draining_hosts_are_no_part_of_the_health_of_localities_either() -> None:
    draining, reserve = LocalityHosts(0, 1, 3, 0, 0, 2), LocalityHosts(1, 1, 5)
    assert locality_shares([draining, reserve], Settings(0)).shares == [1.0, 0.0]
    assert locality_shares([LocalityHosts(0, 1, 3, 0, 2), reserve], Settings(0)).shares == [0.84, 0.16]
    other = LocalityHosts(0, 1, 5)
    assert locality_shares([LocalityHosts(0, 1, 3, 0, 0, 2), other], W).shares == [0.5, 0.5]


def test_no_hosts_at_all() -> None:
    assert locality_shares([], Settings()) == ([], [], 1.0)
    assert locality_shares([LocalityHosts(1, 5)], Settings()).none == 1.0


host_numbers = st.integers(0, 8)
groups_of_hosts = st.lists(
    st.builds(
        LocalityHosts,
        st.integers(0, 3),
        st.sampled_from([None, 0, 1, 2, 5, 10, 70]),
        host_numbers,
        host_numbers,
        host_numbers,
        host_numbers,
    ),
    min_size=1,
    max_size=8,
)
all_settings = st.builds(
    Settings,
    panic_threshold=st.sampled_from([0, 1, 25, 29, 50, 100]),
    locality_weighted=st.booleans(),
    overprovisioning=st.sampled_from([100, 120, 140, 200]),
)


@given(groups_of_hosts, all_settings)
def test_shares_are_shares(groups: list[LocalityHosts], settings: Settings) -> None:
    shares = locality_shares(groups, settings)
    assert sum(shares.shares) + shares.none == pytest.approx(1, abs=1e-12)
    assert all(0 <= dead <= share <= 1 + 1e-12 for share, dead in zip(shares.shares, shares.dead, strict=True))
    for group, share in zip(groups, shares.shares, strict=True):
        assert share == 0 or sum(group[2:]) > 0


@given(
    st.lists(st.tuples(host_numbers, host_numbers, host_numbers, host_numbers), min_size=1, max_size=5),
    st.integers(0, 100),
)
def test_loads_are_whole_percent_and_together_100(priorities: list[Counts], threshold: int) -> None:
    healthy, degraded, unhealthy, excluded = zip(*priorities, strict=True)
    counted = [sum(three) for three in zip(healthy, degraded, unhealthy, strict=True)]
    hosts = [sum(two) for two in zip(counted, excluded, strict=True)]
    result = priority_loads(healthy, degraded, counted, hosts, 140, threshold)
    assert all(isinstance(load, int) and load >= 0 for load in result.healthy + result.degraded)
    assert sum(result.healthy) + sum(result.degraded) == 100


@given(groups_of_hosts, all_settings.filter(lambda settings: settings.threshold == 0), st.data())
def test_a_lost_host_never_raises_the_load_of_its_own_priority_over_earlier_ones(
    groups: list[LocalityHosts], settings: Settings, data: st.DataObject
) -> None:
    """Healthy → unhealthy takes load from the priority, except that whole percents are handed out to the first."""
    index = data.draw(st.integers(0, len(groups) - 1))
    if not groups[index].healthy:
        groups[index] = groups[index]._replace(healthy=1)
    lost = list(groups)
    lost[index] = lost[index]._replace(healthy=lost[index].healthy - 1, unhealthy=lost[index].unhealthy + 1)

    def of_priorities(groups: list[LocalityHosts]) -> dict[int, float]:
        shares = locality_shares(groups, settings)
        return {
            priority: sum(share for group, share in zip(groups, shares.shares, strict=True) if group[0] == priority)
            for priority in range(4)
        }

    before, after = of_priorities(groups), of_priorities(lost)
    rounding = 0.01 * 2 * 4  # at most one percent for each of the eight loads
    assert after[groups[index].priority] <= before[groups[index].priority] + rounding + 1e-9


@given(groups_of_hosts, all_settings)
def test_without_panic_nothing_goes_to_dead_hosts(groups: list[LocalityHosts], settings: Settings) -> None:
    calm = Settings(0, settings.locality_weighted, settings.overprovisioning)
    assert not any(locality_shares(groups, calm).dead)


def test_a_policy_that_cannot_be_predicted() -> None:
    with pytest.raises(InvalidInput, match="RING_HASH cannot be predicted"):
        Settings(policy="RING_HASH")
    with pytest.raises(InvalidInput, match="from 0 to 100 percent, not 101"):
        Settings(panic_threshold=101)


def test_an_impossible_factor() -> None:
    with pytest.raises(InvalidInput, match="at least 1, not 0"):
        Settings(overprovisioning=0)


@given(groups_of_hosts, all_settings, st.data())
def test_a_loss_is_what_the_cluster_without_these_hosts_would_be(
    groups: list[LocalityHosts], settings: Settings, data: st.DataObject
) -> None:
    """In whatever order losses are asked for: what was counted before one is not what counts after it."""
    hosts = [HostCounts(*group[2:]) for group in groups]
    cluster = ClusterHosts(
        tuple(group.priority for group in groups), hosts, [group.weight for group in groups], settings
    )
    for removed in (True, False, True):
        lost = [
            LostHosts(index, count)
            for index, group in enumerate(groups)
            if (count := data.draw(st.integers(0, group.healthy), label=f"lost of {index}"))
        ]
        left = list(groups)
        for index, count in lost:
            own = left[index]
            unhealthy = own.unhealthy + (0 if removed else count)
            left[index] = own._replace(healthy=own.healthy - count, unhealthy=unhealthy)
        shares, wanted = cluster.shares(lost, removed=removed), locality_shares(left, settings)
        assert shares.none == wanted.none
        assert shares.shares == {index: share for index, share in enumerate(wanted.shares) if share}
        assert shares.dead == {index: share for index, share in enumerate(wanted.dead) if share}
        assert list(shares.shares) == sorted(shares.shares)
