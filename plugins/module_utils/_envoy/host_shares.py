# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The share of requests that each single host of a cluster gets.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import math
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import (
    RANDOM,
    Settings,
    Shares,
    priority_loads,
)
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
    size = 1 + max(host.priority for host in hosts)
    counts = {state: [0] * size for state in STATES}
    weights = {state: [0] * size for state in STATES}
    for host in hosts:
        counts[host.state][host.priority] += 1
        weights[host.state][host.priority] += host.weight
    counted = _add(counts["healthy"], counts["degraded"], counts["unhealthy"])
    loads = priority_loads(
        counts["healthy"],
        counts["degraded"],
        counted,
        _add(counted, counts["excluded"]),
        settings.overprovisioning,
        settings.threshold,
        (weights["healthy"], weights["degraded"], _add(weights["healthy"], weights["degraded"], weights["unhealthy"]))
        if settings.weighted_priority_health
        else None,
    )
    none = 0.0
    first = 0
    for state, percents in (("healthy", loads.healthy), ("degraded", loads.degraded)):
        for priority, percent in enumerate(percents):
            residues = range(first, first + percent)
            first += percent
            if not percent:
                continue
            own = [index for index, host in enumerate(hosts) if host.priority == priority]
            if loads.panic[priority]:
                parts = [(own, 1.0)]
            else:
                own = [index for index in own if hosts[index].state == state]
                parts = _localities(hosts, own, settings) if own and settings.locality_weighted else [(own, 1.0)]
            for indexes, part in parts:
                none += _spread(hosts, indexes, part, residues, settings, shares)
    for index, host in enumerate(hosts):
        if host.state in ("unhealthy", "excluded"):
            dead[index] = shares[index]
    return Shares(shares, dead, none)


def _add(*numbers: t.Sequence[int]) -> list[int]:
    return [sum(column) for column in zip(*numbers, strict=True)]


def _localities(hosts: t.Sequence[Host], own: list[int], settings: Settings) -> list[tuple[list[int], float]]:
    """Return the eligible hosts of one priority by locality, each with its part of the priority's load."""
    groups: dict[Locality, list[int]] = {}
    for index in own:
        groups.setdefault(hosts[index].locality, []).append(index)
    effective = []
    for locality, indexes in groups.items():
        priority, weight = hosts[indexes[0]].priority, hosts[indexes[0]].locality_weight
        counted = sum(
            host.priority == priority and host.locality == locality and host.state != "excluded" for host in hosts
        )
        effective.append(weight * min(1.0, settings.overprovisioning / 100 * len(indexes) / counted))
    whole = sum(effective)
    if not whole:
        return [(own, 1.0)]
    return [(indexes, part / whole) for indexes, part in zip(groups.values(), effective, strict=True) if part]


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
