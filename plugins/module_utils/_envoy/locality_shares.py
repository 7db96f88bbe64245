# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares of localities: what of a cluster's requests each group of hosts of one priority and locality gets.

The loads of priorities are those of priority_load.py, the rules Envoy's: see there. Single hosts: host_shares.py.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import (
    Loads,
    Settings,
    Shares,
    WeightSums,
    priority_loads,
)


class LocalityHosts(t.NamedTuple):
    """The hosts of one locality in one priority, as Envoy holds them. All have the same weight.

    `weight`: the locality's; None or 0 is unset. Each host is in one state only: `excluded` are the DRAINING hosts (and
    those that wait for their first health check), which Envoy leaves out of the health of the priority.
    """

    priority: int
    weight: int | None
    healthy: int = 0
    degraded: int = 0
    unhealthy: int = 0
    excluded: int = 0


class GroupShares(t.NamedTuple):
    """Shares, see there, of those groups only that get any: index of the group → share, in the order of the groups."""

    shares: dict[int, float]
    dead: dict[int, float]
    none: float

    @property
    def failing(self) -> float:
        """The share of all requests that fails."""
        return self.none + sum(self.dead.values())


class LostHosts(t.NamedTuple):
    """How many healthy hosts of which group (by position) are dead."""

    group: int
    hosts: int


class HostCounts(t.NamedTuple):
    """How many hosts a group has by their state, see LocalityHosts."""

    healthy: int = 0
    degraded: int = 0
    unhealthy: int = 0
    excluded: int = 0


class ClusterHosts:
    """The groups of hosts of a cluster, each of one priority and locality. Of any loss only what it takes is counted.

    No two groups may have the same priority and locality (see _forecast/endpoint_groups.py, which merges them).
    """

    def __init__(
        self,
        priorities: tuple[int, ...],
        hosts: t.Sequence[HostCounts],
        weights: t.Sequence[int | None],
        settings: Settings,
    ) -> None:
        """Takes priority, hosts and locality weight of each group."""
        self.priorities, self.hosts, self.weights, self.settings = priorities, hosts, weights, settings
        #: The groups of each priority, by position.
        self._own = _by_priority(priorities)
        self._sums: list[HostCounts | None] = [None] * len(self._own)

    def _sum(self, priority: int) -> HostCounts:
        totals = self._sums[priority]
        if totals is None:
            totals = self._sums[priority] = _total(self.hosts, self._own[priority])
        return totals

    def shares(self, lost: t.Sequence[LostHosts] = (), *, removed: bool = True) -> GroupShares:
        """Return what share of the requests each group of hosts gets when these hosts are known to be dead.

        `lost`: at most one of each group. `removed`: they are not there any more; otherwise they are unhealthy.
        Of RANDOM this is the mean over all orders of the hosts; host_shares is exact. No groups: everything is `none`.
        """
        if not self.priorities:
            return GroupShares({}, {}, 1.0)
        hosts, touched = self.hosts, set()
        if lost:
            hosts = list(hosts)
            for index, count in lost:
                good, partly, bad, out = hosts[index]
                hosts[index] = HostCounts(good - count, partly, bad if removed else bad + count, out)
                touched.add(self.priorities[index])
        shares: dict[int, float] = {}
        sums = []
        # The usual cases, first and fast: one priority takes everything, and those before it nothing.
        for priority, own in enumerate(self._own):
            totals = _total(hosts, own) if priority in touched else self._sum(priority)
            good, partly, bad, _out = totals
            if good and self.settings.overprovisioning * good >= 100 * (good + partly + bad):
                return GroupShares(shares, {}, self._eligible(hosts, priority, 0, 1.0, good, shares))
            sums.append(totals)
            if good or partly:
                break
        for priority in range(len(sums), len(self._own)):
            sums.append(_total(hosts, self._own[priority]) if priority in touched else self._sum(priority))
        return self._spread(hosts, sums)

    def _spread(self, hosts: t.Sequence[HostCounts], sums: t.Sequence[HostCounts]) -> GroupShares:
        """Return the shares by the loads of all priorities. `sums`: hosts by priority."""
        healthy, degraded = [total.healthy for total in sums], [total.degraded for total in sums]
        loads = loads_of(sums, self.settings)
        shares: dict[int, float] = {}
        dead: dict[int, float] = {}
        none = 0.0
        for priority, (load, other, panic) in enumerate(zip(*loads, strict=True)):
            if panic:
                if load or other:
                    none += self._all_hosts(hosts, priority, (load + other) / 100, sum(sums[priority]), shares, dead)
                continue
            if load:
                none += self._eligible(hosts, priority, 0, load / 100, healthy[priority], shares)
            if other:
                none += self._eligible(hosts, priority, 1, other / 100, degraded[priority], shares)
        return GroupShares(dict(sorted(shares.items())), dict(sorted(dead.items())), none)

    def _all_hosts(
        self,
        hosts: t.Sequence[HostCounts],
        priority: int,
        load: float,
        total: int,
        shares: dict[int, float],
        dead: dict[int, float],
    ) -> float:
        """Panic: all hosts of the priority alike, locality weights ignored. Returns the load that found no host."""
        if not total:
            return load
        for index in self._own[priority]:
            _good, _partly, bad, out = hosts[index]
            if own := sum(hosts[index]):
                shares[index] = load * own / total
            if bad or out:
                dead[index] = load * (bad + out) / total
        return 0.0

    def _eligible(
        self,
        hosts: t.Sequence[HostCounts],
        priority: int,
        state: t.Literal[0, 1],
        load: float,
        total: int,
        shares: dict[int, float],
    ) -> float:
        """Add the load of the priority to its healthy (`state` 0) or degraded (1) hosts, of which there are `total`.

        Returns the load that found no host.
        """
        if not total:
            return load
        if self.settings.locality_weighted:
            own = self._own[priority]
            weighted = weighted_localities(own, hosts, self.weights, state, self.settings.overprovisioning)
            for index, part in weighted:
                shares[index] = shares.get(index, 0.0) + load * part
            if weighted:
                return 0.0
        for index in self._own[priority]:
            if part := hosts[index][state]:
                shares[index] = shares.get(index, 0.0) + load * part / total
        return 0.0


@functools.lru_cache(maxsize=1024)
def _by_priority(priorities: tuple[int, ...]) -> list[list[int]]:
    positions: list[list[int]] = [[] for _position in range(1 + max(priorities, default=-1))]
    for index, priority in enumerate(priorities):
        positions[priority].append(index)
    return positions


def _total(hosts: t.Sequence[HostCounts], own: t.Iterable[int]) -> HostCounts:
    good = partly = bad = out = 0
    for index in own:
        states = hosts[index]
        good += states[0]
        partly += states[1]
        bad += states[2]
        out += states[3]
    return HostCounts(good, partly, bad, out)


def loads_of(hosts: t.Sequence[HostCounts], settings: Settings, weights: t.Sequence[HostCounts] | None = None) -> Loads:
    """Return the load of each priority from its numbers of hosts.

    `weights`: the sums of their weights, which take the place of the numbers with weighted_priority_health.
    """
    return priority_loads(
        *_columns(hosts),
        [sum(group) for group in hosts],
        settings.overprovisioning,
        settings.threshold,
        _columns(weights) if weights and settings.weighted_priority_health else None,
    )


def _columns(sums: t.Sequence[HostCounts]) -> WeightSums:
    """Return how many are healthy, degraded, and not excluded, each by priority."""
    return (
        [total.healthy for total in sums],
        [total.degraded for total in sums],
        [total.healthy + total.degraded + total.unhealthy for total in sums],
    )


def weighted_localities(
    own: t.Iterable[int],
    hosts: t.Sequence[HostCounts],
    weights: t.Sequence[int | None],
    state: t.Literal[0, 1],
    factor: int,
) -> list[tuple[int, float]]:
    """Return (group, its part of the priority's load) for the groups `own` of one priority, by locality weight.

    `state`: 0 for the load of healthy hosts, 1 for that of degraded ones; `factor`: overprovisioning. Empty when no
    group with such hosts has a weight: then weights mean nothing.
    Source: locality_wrr.cc, effectiveLocalityWeight.
    """
    weighted = []
    whole = 0.0
    for index in own:
        if (part := hosts[index][state]) and (weight := weights[index]):
            counted = sum(hosts[index][:3])
            effective = weight if factor * part >= 100 * counted else weight * factor * part / (100 * counted)
            weighted.append((index, effective))
            whole += effective
    return [(index, effective / whole) for index, effective in weighted]


def locality_shares(groups: t.Sequence[LocalityHosts], settings: Settings) -> Shares:
    """Return what share of the requests each group of hosts gets, see ClusterHosts."""
    states = [HostCounts(*group[2:]) for group in groups]
    weights = [group.weight for group in groups]
    busy = ClusterHosts(tuple([group.priority for group in groups]), states, weights, settings).shares()
    places = range(len(groups))
    return Shares(
        [busy.shares.get(index, 0.0) for index in places], [busy.dead.get(index, 0.0) for index in places], busy.none
    )
