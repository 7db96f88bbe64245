# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fails while hosts stay broken: each time when their ejection ends they are tried, and ejected, again.

A simulation of single requests and hosts, because hosts that come back at the same tick meet the merge window: the
first one is back at once, the others (and all new ejections, of whatever priority) only at the window's end. A wave
therefore costs more than the first failover. Source: envoy source/common/upstream/outlier_detection_impl.cc
(checkHostForUneject, ejectHost), cluster_manager_impl.cc (scheduleUpdate), upstream_impl.cc
(ClusterImplBase::reloadHealthyHostsHelper: each ejection updates all priorities).

Pure: the random numbers are those of a seed, and own, because a pure room draws no others.
Private to this collection: it may change at any time.
"""

from __future__ import annotations

import itertools
import math
import typing as t
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import (
    LocalityHosts,
    locality_shares,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier_detection import OutlierDetection
from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import Settings
from ansible_collections.meshops.locality.plugins.module_utils._envoy.retries import Retries

#: So many requests are simulated in all, in at least LEAST and at most MOST runs.
REQUESTS, LEAST, MOST = 40_000, 6, 24


@dataclass(frozen=True)
class Broken:
    """Hosts of one client's cluster that fail every try: `lost[i]` of `groups[i]`; `staying[i]` are never removed.

    `errors`: failures in a row until one is ejected. `retries` None: this failure is not retried.
    """

    groups: tuple[LocalityHosts, ...]
    lost: tuple[int, ...]
    staying: tuple[int, ...]
    detection: OutlierDetection
    errors: int
    settings: Settings
    retries: Retries | None
    merge_window: float


class FailedRequests(t.NamedTuple):
    """Failed requests, and seconds in which at least one failed: means over the runs, and the range of the runs."""

    failed: float
    outage: float
    least: float
    most: float


class _Chance:
    """Numbers from 0 to 1 in an order that a seed decides: Knuth's 64-bit linear congruential generator (MMIX)."""

    def __init__(self, seed: int) -> None:
        self._state = seed
        for _number in range(4):
            self.random()

    def random(self) -> float:
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self._state >> 11) / 2**53


@dataclass(eq=False)
class _Host:
    group: int
    priority: int
    staying: bool
    failures: int = 0
    backoff: int = 0
    ejected_at: float | None = None
    #: Whether the load balancer takes it for healthy.
    seen: bool = True
    removed: bool = False


@dataclass
class _Update:
    last: float = -math.inf
    timer: float | None = None


@dataclass
class _Run:
    broken: Broken
    chance: _Chance
    hosts: list[_Host] = field(default_factory=list)
    update: _Update = field(default_factory=_Update)
    picks: dict[tuple[t.Any, ...], tuple[list[float], float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for index, (group, lost, staying) in enumerate(
            zip(self.broken.groups, self.broken.lost, self.broken.staying, strict=True)
        ):
            self.hosts += [_Host(index, group.priority, number < staying) for number in range(lost)]
        self.total = sum(sum(group[2:]) for group in self.broken.groups)

    def change(self, now: float) -> None:
        """A host was ejected or is back: update the load balancer of all priorities now, or when the window ends."""
        if now - self.update.last > self.broken.merge_window:
            self.apply(now)
        elif self.update.timer is None:
            self.update.timer = now + self.broken.merge_window

    def apply(self, now: float) -> None:
        for host in self.hosts:
            host.seen = host.ejected_at is None and not host.removed
        self.update = _Update(now)

    def timers(self, now: float) -> None:
        if self.update.timer is not None and self.update.timer <= now:
            self.apply(self.update.timer)

    def tick(self, now: float) -> None:
        """Outlier detection's interval: ejections that are over end; a host that is not ejected forgets one."""
        detection = self.broken.detection
        for host in self.hosts:
            if host.ejected_at is None:
                host.backoff = max(0, host.backoff - 1)
            elif now - host.ejected_at >= detection.ejection_seconds(host.backoff)[0]:
                host.ejected_at, host.failures = None, 0
                self.change(now)

    def fail(self, host: _Host, now: float) -> None:
        if host.ejected_at is not None:
            return
        host.failures += 1
        ejected = sum(other.ejected_at is not None for other in self.hosts)
        if host.failures >= self.broken.errors and ejected < self.broken.detection.ejectable(self.total):
            host.ejected_at, host.failures = now, 0
            host.backoff += 1
            self.change(now)

    def shares(self, without: frozenset[int]) -> tuple[list[float], float]:
        """Return what share of tries each group gets, and what finds no host; `without` these priorities."""
        seen = [0] * len(self.broken.groups)
        gone = [0] * len(self.broken.groups)
        for host in self.hosts:
            seen[host.group] += host.seen
            gone[host.group] += host.removed
        key = (*seen, *gone, without)
        if key not in self.picks:
            groups = []
            for index, group in enumerate(self.broken.groups):
                hidden = self.broken.lost[index] - seen[index] - gone[index]
                healthy = group.healthy - self.broken.lost[index] + seen[index]
                state = group._replace(healthy=healthy, unhealthy=group.unhealthy + hidden)
                if group.priority in without:
                    state = state._replace(
                        healthy=0, degraded=0, unhealthy=state.healthy + state.degraded + state.unhealthy
                    )
                groups.append(state)
            result = locality_shares(groups, self.broken.settings)
            self.picks[key] = (list(result.shares), result.none)
        return self.picks[key]

    def attempt(self, without: frozenset[int], tried: t.Collection[_Host]) -> tuple[bool, _Host | None]:
        """Return whether a try is answered, and the broken host that it met."""
        shares, none = self.shares(without)
        if none > 1 - 1e-9 and without:
            shares, none = self.shares(frozenset())
        host: _Host | None = None
        for _again in range(5 if tried else 1):
            drawn = self.chance.random()
            group = next((index for index, end in enumerate(itertools.accumulate(shares)) if drawn < end), None)
            if group is None:
                return False, None
            dead = [host for host in self.hosts if host.group == group and host.seen]
            sound = self.broken.groups[group].healthy - self.broken.lost[group]
            number = int(self.chance.random() * max(1, len(dead) + sound))
            if number >= len(dead):
                return True, None
            host = dead[number]
            if host not in tried:
                break
        return False, host

    def request(self, now: float) -> bool:
        """Send one request; return whether it is answered."""
        retries = self.broken.retries
        tried: set[_Host] = set()
        without: frozenset[int] = frozenset()
        for _number in range(1 + (retries.attempts if retries else 0)):
            answered, host = self.attempt(without, tried if retries and retries.previous_hosts else ())
            if answered:
                return True
            if host is None:
                return False
            self.fail(host, now)
            tried.add(host)
            if retries and retries.remote_localities:
                without = without | {host.priority}
        return False


def waves(broken: Broken, rate: float, seconds: float, readiness: float | None, seed: int = 1) -> FailedRequests:
    """Return what fails of `rate` requests a second within so many seconds after the fault.

    `readiness`: after which time the lost hosts (but those that stay) are removed; None: never.
    """
    number = max(1, round(rate * seconds))
    runs = max(LEAST, min(MOST, REQUESTS // number))
    results = [_one_run(broken, rate, number, readiness, _Chance(seed * 1000 + run)) for run in range(runs)]
    failed = [failures for failures, _outage in results]
    return FailedRequests(sum(failed) / runs, sum(outage for _one_, outage in results) / runs, min(failed), max(failed))


def _one_run(broken: Broken, rate: float, number: int, readiness: float | None, chance: _Chance) -> tuple[int, int]:
    run = _Run(broken, chance)
    interval = broken.detection.interval
    tick = chance.random() * interval
    offset = chance.random() / rate
    failed, bad = 0, set()
    for index in range(number):
        now = offset + index / rate
        while tick <= now:
            run.timers(tick)
            run.tick(tick)
            tick += interval
        run.timers(now)
        if readiness is not None and now >= readiness:
            readiness = None
            for host in run.hosts:
                host.removed = not host.staying
                host.seen = host.seen and host.staying
        if not run.request(now):
            failed += 1
            bad.add(int(now))
    return failed, len(bad)
