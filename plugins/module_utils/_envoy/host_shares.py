# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The share of requests that each single host of a cluster gets.

Priorities and localities get theirs by locality_shares.py; here it goes on to their hosts, with weights.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import math
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import (
    HostCounts,
    loads_of,
    weighted_localities,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import RANDOM, Settings, Shares
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality

State = t.Literal["healthy", "degraded", "unhealthy", "excluded"]
STATES: tuple[State, ...] = ("healthy", "degraded", "unhealthy", "excluded")


class Host(t.NamedTuple):
    """One host as Envoy holds it. `locality_weight` is that of its priority and locality, 0 when unset."""

    address: str
    priority: int = 0
    locality: Locality = Locality()
    locality_weight: int = 0
    state: State = "healthy"
    weight: int = 1


def host_shares(hosts: t.Sequence[Host], settings: Settings) -> Shares:
    """Return what share of the requests each host gets, with host weights.

    ROUND_ROBIN: in proportion to the weights. LEAST_REQUEST: the same while requests come one at a time. With equal
    weights it is uniform over hosts that answer equally fast.
    RANDOM ignores weights, and takes priority and host from one random number r: the priority that owns r % 100 and of
    its n hosts number r % n, in the order given (Envoy's order: the assignment's, until an update reorders it).
    Source: envoy source/extensions/load_balancing_policies/{round_robin,least_request,random}.
    """
    shares, dead = [0.0] * len(hosts), [0.0] * len(hosts)
    if not hosts:
        return Shares(shares, dead, 1.0)
    members: dict[tuple[int, Locality], list[int]] = {}
    for index, host in enumerate(hosts):
        members.setdefault((host.priority, host.locality), []).append(index)
    groups = list(members.values())
    by_priority = [
        [index for index, host in enumerate(hosts) if host.priority == priority]
        for priority in range(1 + max(host.priority for host in hosts))
    ]
    loads = loads_of(
        [_host_counts(hosts, own) for own in by_priority], settings, [_weights(hosts, own) for own in by_priority]
    )
    states_by_group = [_host_counts(hosts, own) for own in groups]
    locality_weights = [hosts[own[0]].locality_weight for own in groups]
    none = 0.0
    first = 0
    states: tuple[tuple[t.Literal[0, 1], list[int]], ...] = ((0, loads.healthy), (1, loads.degraded))
    for state, percents in states:
        for priority, percent in enumerate(percents):
            residues = range(first, first + percent)
            first += percent
            if not percent:
                continue
            own = by_priority[priority]
            pools = [(own, 1.0)]
            if not loads.panic[priority]:
                pools = [(_in_state(hosts, own, state), 1.0)]
                if settings.locality_weighted:
                    numbers = [number for number, group in enumerate(groups) if hosts[group[0]].priority == priority]
                    pools = [
                        (_in_state(hosts, groups[number], state), part)
                        for number, part in weighted_localities(
                            numbers, states_by_group, locality_weights, state, settings.overprovisioning
                        )
                    ] or pools
            for indexes, part in pools:
                none += _spread(hosts, indexes, part, residues, settings, shares)
    for index, host in enumerate(hosts):
        if host.state in ("unhealthy", "excluded"):
            dead[index] = shares[index]
    return Shares(shares, dead, none)


def _host_counts(hosts: t.Sequence[Host], own: t.Iterable[int]) -> HostCounts:
    return HostCounts(*(sum(hosts[index].state == state for index in own) for state in STATES))


def _weights(hosts: t.Sequence[Host], own: t.Iterable[int]) -> HostCounts:
    return HostCounts(*(sum(hosts[index].weight for index in own if hosts[index].state == state) for state in STATES))


def _in_state(hosts: t.Sequence[Host], own: t.Iterable[int], state: int) -> list[int]:
    return [index for index in own if hosts[index].state == STATES[state]]


def _spread(
    hosts: t.Sequence[Host], own: list[int], part: float, residues: range, settings: Settings, shares: list[float]
) -> float:
    """Add `part` of the load that `residues` (of 100) stand for to the hosts `own`. Returns what found no host."""
    load = part * len(residues) / 100
    if not own:
        return load
    if settings.policy == RANDOM:
        # r % 100 and r % n agree modulo the greatest common divisor; beyond that they are independent.
        number = len(own)
        divisor = math.gcd(100, number)
        per_class = [0] * divisor
        for residue in residues:
            per_class[residue % divisor] += 1
        for position, index in enumerate(own):
            shares[index] += part * per_class[position % divisor] * divisor / (100 * number)
        return 0.0
    whole = sum(hosts[index].weight for index in own)
    for index in own:
        shares[index] += load * hosts[index].weight / whole
    return 0.0
