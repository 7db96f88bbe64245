# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Envoy holds of an assignment, and shares of single hosts: measured cases, and an independent predictor."""

from __future__ import annotations

import math
import typing as t
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.meshops.locality.plugins.module_utils._envoy.host_shares import (
    STATES,
    Host,
    host_shares,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import locality_shares
from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import (
    LEAST_REQUEST,
    RANDOM,
    ROUND_ROBIN,
    Settings,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from tests.differential.envoy.load_assignment import (
    LbEndpoint,
    LocalityLbEndpoints,
    assignment,
    locality_hosts,
)

A, B, C = Locality("r", "a"), Locality("r", "b"), Locality("r", "c")


def endpoints(*addresses: str) -> list[LbEndpoint]:
    return [LbEndpoint(address) for address in addresses]


def test_entries_with_one_locality_are_one_and_the_last_weight_counts() -> None:
    """istiod groups by text: `r/a/` and `r/a` become two entries with one Locality."""
    hosts = assignment(
        [
            LocalityLbEndpoints(endpoints("1", "2"), A, 0, 2),
            LocalityLbEndpoints(endpoints("3"), A, 0, 1),
            LocalityLbEndpoints(endpoints("4"), B, 0, 3),
        ]
    )
    assert [host.locality_weight for host in hosts] == [1, 1, 1, 3]
    shares = locality_shares(list(locality_hosts(hosts).values()), Settings(0, locality_weighted=True))
    assert shares.shares == pytest.approx([0.25, 0.75])


def test_a_later_entry_without_weight_leaves_the_earlier_one() -> None:
    hosts = assignment([LocalityLbEndpoints(endpoints("1"), A, 0, 2), LocalityLbEndpoints(endpoints("2"), A)])
    assert [host.locality_weight for host in hosts] == [2, 2]


def test_a_weight_without_a_locality_is_ignored_and_the_empty_locality_is_one() -> None:
    hosts = assignment(
        [LocalityLbEndpoints(endpoints("1"), None, 0, 5), LocalityLbEndpoints(endpoints("2"), Locality(), 0, 7)]
    )
    assert [host.locality_weight for host in hosts] == [7, 7]
    assert assignment([LocalityLbEndpoints(endpoints("1"), None, 0, 5)])[0].locality_weight == 0


def test_of_equal_addresses_the_first_in_the_list_counts_whatever_its_priority() -> None:
    hosts = assignment(
        [
            LocalityLbEndpoints([LbEndpoint("1", "unhealthy")], A, 1),
            LocalityLbEndpoints(endpoints("1", "2"), A, 0),
            LocalityLbEndpoints(endpoints("2", "2"), B, 0),
        ]
    )
    assert [(host.address, host.priority, host.state) for host in hosts] == [("1", 1, "unhealthy"), ("2", 0, "healthy")]


def test_the_same_locality_in_two_priorities_has_two_weights() -> None:
    hosts = assignment([LocalityLbEndpoints(endpoints("1"), A, 0, 2), LocalityLbEndpoints(endpoints("2"), A, 1, 3)])
    assert list(locality_hosts(hosts)) == [(0, A), (1, A)]
    assert [group.weight for group in locality_hosts(hosts).values()] == [2, 3]


def weighted(*weights: int, locality: Locality = A, locality_weight: int = 0) -> list[Host]:
    return [Host(str(weight), 0, locality, locality_weight, "healthy", weight) for weight in weights]


# Measured on 1.38.3: shares in percent, tolerance in points.
HOST_WEIGHTS: list[tuple[list[Host], Settings, list[float], float]] = [
    (weighted(1, 2, 5), Settings(policy=ROUND_ROBIN), [12.5, 25.0, 62.5], 0.05),
    (weighted(1, 2, 5), Settings(policy=RANDOM), [33.3, 33.3, 33.3], 0.05),
    (weighted(1, 2, 5), Settings(policy=LEAST_REQUEST), [12.5, 25.0, 62.5], 0.05),
    (
        weighted(1, 9, locality=A, locality_weight=1) + weighted(5, 1, locality=B, locality_weight=3),
        Settings(policy=ROUND_ROBIN, locality_weighted=True),
        [2.5, 22.5, 62.5, 12.5],
        0.05,
    ),
]


@pytest.mark.parametrize(("hosts", "settings", "percent", "tolerance"), HOST_WEIGHTS)
def test_the_host_weights_that_were_measured(
    hosts: list[Host], settings: Settings, percent: list[float], tolerance: float
) -> None:
    assert [100 * share for share in host_shares(hosts, settings).shares] == pytest.approx(percent, abs=tolerance)


def level(priority: int, healthy: int, total: int) -> list[Host]:
    return [
        Host(f"{priority}.{index}", priority, state="healthy" if index < healthy else "unhealthy")
        for index in range(total)
    ]


def test_random_takes_priority_and_host_from_one_number() -> None:
    """P0 10 of 20 (70 %): P1's hosts 1-10 got 0.84-1.17 % each, 11-20 1.74-2.15 % (1.36.4, 1.38.3, 1.40.0)."""
    shares = host_shares(level(0, 10, 20) + level(1, 20, 20), Settings(policy=RANDOM))
    assert shares.shares[:10] == pytest.approx([0.07] * 10)
    assert shares.shares[20:30] == pytest.approx([0.01] * 10)
    assert shares.shares[30:] == pytest.approx([0.02] * 10)


@given(st.integers(0, 100), st.integers(1, 60), st.integers(0, 60))
def test_randoms_closed_form_is_what_counting_gives(first: int, healthy: int, unhealthy: int) -> None:
    """#{x in 0..L-1: low <= x % 100 < high and x % n == j} / L, with L the least common multiple of 100 and n."""
    hosts = level(0, first, 100) + level(1, healthy, healthy + unhealthy) + level(2, 1, 1)
    settings = Settings(0, overprovisioning=100, policy=RANDOM)
    low, high = first, min(100, first + 100 * healthy // (healthy + unhealthy))
    whole = math.lcm(100, healthy)
    counted = [sum(low <= x % 100 < high for x in range(j, whole, healthy)) / whole for j in range(healthy)]
    assert host_shares(hosts, settings).shares[100 : 100 + healthy] == pytest.approx(counted, abs=1e-12)


def test_weighted_priority_health() -> None:
    p0 = [Host("big", weight=9)] + [Host(str(n), state="unhealthy") for n in range(3)]
    hosts = p0 + [Host(f"p1-{n}", 1) for n in range(4)]
    settings = Settings(policy=ROUND_ROBIN, panic_threshold=0, weighted_priority_health=True)
    assert host_shares(hosts, settings).shares[0] == 1.0
    plain = Settings(policy=ROUND_ROBIN, panic_threshold=0)
    assert host_shares(hosts, plain).shares[0] == pytest.approx(0.35)


states = st.sampled_from(STATES)
entries = st.lists(
    st.builds(
        LocalityLbEndpoints,
        st.lists(st.builds(LbEndpoint, st.integers(0, 40).map(str), states, st.sampled_from([1, 2, 5])), max_size=8),
        st.sampled_from([A, B, C, Locality(), None]),
        st.integers(0, 3),
        st.sampled_from([None, 1, 2, 5, 10, 70]),
    ),
    max_size=8,
)
all_settings = st.builds(
    Settings,
    panic_threshold=st.sampled_from([0, 25, 50, 100]),
    locality_weighted=st.booleans(),
    overprovisioning=st.sampled_from([100, 120, 140, 200]),
    policy=st.sampled_from([ROUND_ROBIN, LEAST_REQUEST, RANDOM]),
    weighted_priority_health=st.booleans(),
)


@given(entries, all_settings)
def test_hosts_and_counts_tell_the_same(sent: list[LocalityLbEndpoints], settings: Settings) -> None:
    """With equal weights, counting is enough. RANDOM's order of hosts is left out: counts do not know it."""
    hosts = [host._replace(weight=1) for host in assignment(sent)]
    settings = Settings(settings.panic_threshold, settings.locality_weighted, settings.overprovisioning)
    groups = locality_hosts(hosts)
    by_counts, by_hosts = locality_shares(list(groups.values()), settings), host_shares(hosts, settings)
    assert by_hosts.none == pytest.approx(by_counts.none, abs=1e-12)
    for index, key in enumerate(groups):
        own = [n for n, host in enumerate(hosts) if (host.priority, host.locality) == key]
        assert sum(by_hosts.shares[n] for n in own) == pytest.approx(by_counts.shares[index], abs=1e-12)
        assert sum(by_hosts.dead[n] for n in own) == pytest.approx(by_counts.dead[index], abs=1e-12)


@given(entries, all_settings)
def test_shares_of_hosts_are_shares(sent: list[LocalityLbEndpoints], settings: Settings) -> None:
    shares = host_shares(assignment(sent), settings)
    assert sum(shares.shares) + shares.none == pytest.approx(1, abs=1e-9)
    assert all(0 <= dead <= share for share, dead in zip(shares.shares, shares.dead, strict=True))


@given(entries, all_settings)
def test_the_predictor_that_was_measured_first_says_the_same(
    sent: list[LocalityLbEndpoints], settings: Settings
) -> None:
    """Another implementation, which matched 280 random configurations on four versions of Envoy."""
    hosts = assignment(sent)
    shares = host_shares(hosts, settings)
    if settings.policy == RANDOM:  # it knows nothing of the common random number: compare priorities
        keys: list[t.Any] = [host.priority for host in hosts]
    else:
        keys = [host.address for host in hosts]
    ours: dict[t.Any, float] = defaultdict(float)
    theirs: dict[t.Any, float] = defaultdict(float)
    for key, share in zip(keys, shares.shares, strict=True):
        ours[key] += share
    expected: dict[str | None, float] = reference(hosts, settings) if hosts else {None: 1.0}
    for key, host in zip(keys, hosts, strict=True):
        theirs[key] += expected.get(host.address, 0.0)
    assert ours == pytest.approx(theirs, abs=1e-9)
    assert shares.none == pytest.approx(expected.get(None, 0.0), abs=1e-9)


def reference(hosts: list[Host], settings: Settings) -> dict[str | None, float]:
    """Share of each address; None is 503. Written from Envoy's source before the code under test, in another shape."""
    size = max(host.priority for host in hosts) + 1
    out: dict[str | None, float] = defaultdict(float)

    def pick(priority: int, *wanted: str) -> list[Host]:
        return [host for host in hosts if host.priority == priority and host.state in wanted]

    def amount(some: list[Host]) -> int:
        return sum(host.weight for host in some) if settings.weighted_priority_health else len(some)

    def available(priority: int, state: str) -> int:
        counted = pick(priority, "healthy", "degraded", "unhealthy")
        return min(100, settings.overprovisioning * amount(pick(priority, state)) // amount(counted)) if counted else 0

    healthy = [available(priority, "healthy") for priority in range(size)]
    degraded = [available(priority, "degraded") for priority in range(size)]
    norm = min(100, sum(healthy) + sum(degraded))
    loads: dict[tuple[str, int], int] = defaultdict(int)
    left = 100
    for state, part in (("healthy", healthy), ("degraded", degraded)):
        for priority in range(size):
            loads[state, priority] = min(left, part[priority] * 100 // norm) if norm else 0
            left -= loads[state, priority]
    if left and norm:
        first = [("healthy", p) for p in range(size) if healthy[p]] + [
            ("degraded", p) for p in range(size) if degraded[p]
        ]
        loads[first[0]] += left
    panic = []
    for priority in range(size):
        counted = pick(priority, "healthy", "degraded", "unhealthy")
        percent = 100.0 * len(pick(priority, "healthy", "degraded")) / len(counted) if counted else 0.0
        panic.append(norm != 100 and percent < settings.panic_threshold)
    if not norm and settings.panic_threshold == 0:
        loads = defaultdict(int, {("healthy", 0): 100})
    elif all(panic):
        loads = defaultdict(int)
        for priority in range(size):
            loads["healthy", priority] = 100 * len(pick(priority, *STATES)) // len(hosts)
        loads["healthy", min(host.priority for host in hosts)] += 100 - sum(loads.values())

    def spread(load: float, some: list[Host]) -> None:
        if not some:
            out[None] += load
        weights = [1 if settings.policy == RANDOM else host.weight for host in some]
        for host, weight in zip(some, weights, strict=True):
            out[host.address] += load * weight / sum(weights)

    for (state, priority), percent in loads.items():
        if panic[priority]:
            spread(percent / 100, pick(priority, *STATES))
            continue
        eligible = pick(priority, state)
        effective = {}
        for locality in {host.locality for host in pick(priority, *STATES)}:
            own = [host for host in pick(priority, *STATES) if host.locality == locality]
            counted = [host for host in own if host.state != "excluded"]
            if counted:
                ratio = settings.overprovisioning / 100 * sum(host.state == state for host in own) / len(counted)
                effective[locality] = own[0].locality_weight * min(1.0, ratio)
        if settings.locality_weighted and sum(effective.values()) > 0:
            for locality, weight in effective.items():
                if weight:
                    share = percent / 100 * weight / sum(effective.values())
                    spread(share, [host for host in eligible if host.locality == locality])
        elif percent:
            spread(percent / 100, eligible)
    return out
