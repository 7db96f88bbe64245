# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The course of ejections after a loss: which of them the load balancer knows of, and for how long.

The first ejection reaches the load balancer at once. Each that follows within the cluster manager's merge window
(update_merge_window, 1 s) of the last update is held back, with all that join it, for the length of a window. An
ejection updates every priority, so one in any of them opens the window for all.
Source: envoy source/common/upstream/cluster_manager_impl.cc (scheduleUpdate, applyUpdates) and upstream_impl.cc
(ClusterImplBase::reloadHealthyHostsHelper).

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import functools
import math
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import (
    LocalityHosts,
    locality_shares,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import ROUND_ROBIN, Settings
from ansible_collections.meshops.locality.plugins.module_utils._envoy.retries import Pick, Retries, outcome

#: What is less likely than this does not happen.
_NEGLIGIBLE = 1e-12


class State(t.NamedTuple):
    """A part of the course: where tries go, and how many seconds it lasts on average (chance of happening included).

    `retry`: where retries go, when the first failure ends the state; None: where tries go.
    """

    kind: t.Literal["first", "window", "wait"]
    pick: Pick
    seconds: float
    retry: Pick | None = None


class Course(t.NamedTuple):
    """The states in order, and where tries go after them."""

    states: list[State]
    last: Pick


def course(
    groups: t.Sequence[LocalityHosts],
    lost: t.Sequence[int],
    *,
    ejectable: int,
    errors: int,
    rate: float,
    settings: Settings,
    retries: Retries | None,
    merge_window: float,
) -> Course:
    """Return the course of ejections when `lost[i]` healthy hosts of `groups[i]` fail every try.

    At most `ejectable` hosts are ejected, each after `errors` failures in a row; `rate` is in requests per second.
    The load balancer gets to know of ejections priority by priority, as traffic reaches them. Tries fall on hosts at
    random (in turn with ROUND_ROBIN); what a host has failed before the state began is not counted.
    """
    order = sorted(
        (index for index, group in enumerate(groups) for _host in range(lost[index])),
        key=lambda index: groups[index].priority,
    )[:ejectable]
    ejected = [0] * len(groups)
    states: list[State] = []
    chances = [1.0] + [0.0] * len(order)  # of being, at some time, where so many ejections are known
    pick, shares = _pick(groups, lost, ejected, settings)
    for known, index in enumerate(order):
        hidden = [gone - out for gone, out in zip(lost, ejected, strict=True)]
        # In a panic hosts that are ejected already are tried, too.
        dead = [share if hosts else 0.0 for share, hosts in zip(shares, hidden, strict=True)]
        ejected[index] += 1
        following = _pick(groups, lost, ejected, settings)
        retry = following[0] if errors == 1 else None
        part = rate * sum(dead) / sum(shares) if sum(dead) else 0.0
        flow = part * outcome(pick, retries, retry)[1]
        if not flow:
            break
        if chances[known] < _NEGLIGIBLE:
            pick, shares = following
            continue
        wait = tries_until_first(_in_reach(dead, hidden, groups), errors, settings.policy == ROUND_ROBIN) / flow
        if not known:
            states.append(State("first", pick, wait, retry))
            further = [1.0]
        else:
            tries = part * outcome(pick, retries)[1] * merge_window
            each = [tries * share / sum(dead) / max(1, hosts) for share, hosts in zip(dead, hidden, strict=True)]
            none = math.prod(_below(errors, mean) ** hosts for hosts, mean in zip(hidden, each, strict=True))
            others = [hosts - (at == index) for at, hosts in enumerate(hidden)]
            more = _sum_of(map(ejections_within, others, [errors] * len(each), each))
            further = [none, *((1 - none) * chance for chance in more)]
            # An ejection within the window of the last update is held back for a window of its own. Hosts that have
            # failed as often as the one that was ejected before are ejected right behind it.
            fresh = errors == 1 or groups[index].priority != groups[order[known - 1]].priority
            held_back = max(0.0, wait - none * (merge_window + wait)) if merge_window and fresh else 0.0
            states.append(State("window", pick, chances[known] * (merge_window + held_back)))
            states.append(State("wait", pick, chances[known] * none * wait, retry))
        for number, chance in enumerate(further):
            chances[min(len(order), known + max(1, number))] += chances[known] * chance
        pick, shares = following
    return Course(_lasting(states), pick)


def _lasting(states: t.Sequence[State]) -> list[State]:
    """Return the states that take any time."""
    return [state for state in states if state.seconds]


def _in_reach(dead: t.Sequence[float], hidden: t.Sequence[int], groups: t.Sequence[LocalityHosts]) -> int:
    """Return how many hidden hosts share the tries of the first priority that has any."""
    first = min(group.priority for group, share in zip(groups, dead, strict=True) if share)
    return sum(
        hosts for group, share, hosts in zip(groups, dead, hidden, strict=True) if share and group.priority == first
    )


def _sum_of(numbers: t.Iterable[t.Sequence[float]]) -> list[float]:
    """Return the chances of the sum of independent numbers; what hardly ever happens is left out."""
    total = [1.0]
    for chances in numbers:
        likely = [(number, chance) for number, chance in enumerate(chances) if chance > _NEGLIGIBLE]
        result = [0.0] * (len(total) + len(chances) - 1)
        for number, chance in enumerate(total):
            if chance > _NEGLIGIBLE:
                for other, another in likely:
                    result[number + other] += chance * another
        total = result
    return total


def pick_of(
    groups: t.Sequence[LocalityHosts], lost: t.Sequence[int], ejected: t.Sequence[int], settings: Settings
) -> Pick:
    """Return where a try goes while the load balancer knows of `ejected[i]` of the `lost[i]` hosts of `groups[i]`."""
    return _pick(groups, lost, ejected, settings)[0]


def _pick(
    groups: t.Sequence[LocalityHosts], lost: t.Sequence[int], ejected: t.Sequence[int], settings: Settings
) -> tuple[Pick, list[float]]:
    """Return what pick_of returns, and for each group the share of tries that reach a dead host of it."""
    known = _known(groups, lost, ejected)
    shares, none, panics = _dead_by_group(known, settings)
    dead = sum(shares)
    # A panic picks from hosts that are known to be dead, too.
    hosts = [hidden + group.unhealthy * panic for (group, hidden), panic in zip(known, panics, strict=True)]
    tried = min((group.priority for (group, _hidden), some in zip(known, hosts, strict=True) if some), default=None)
    away, nobody = dead, none
    if tried is not None:
        others, nobody, _panics = _dead_by_group([entry for entry in known if entry[0].priority != tried], settings)
        away = sum(others)
    # No other priority left: previous_priorities falls back to the usual loads.
    return Pick(dead, none, max(1, sum(hosts)), dead if nobody else away), shares


def _known(
    groups: t.Sequence[LocalityHosts], lost: t.Sequence[int], ejected: t.Sequence[int]
) -> list[tuple[LocalityHosts, int]]:
    """Return the groups as the load balancer sees them, each with the number of its hosts that are dead unseen."""
    return [
        (
            group._replace(healthy=group.healthy - out, unhealthy=group.unhealthy + out) if out else group,
            gone - out,
        )
        for group, gone, out in zip(groups, lost, ejected, strict=True)
    ]


def _dead_by_group(
    known: t.Sequence[tuple[LocalityHosts, int]], settings: Settings
) -> tuple[list[float], float, list[bool]]:
    """Return for each group the share of tries that reach a dead host of it, the share that finds no host, and for
    each group whether hosts known to be dead are tried.

    `known`: with numbers of hosts that are dead unseen.
    """
    shares = locality_shares([group for group, _hidden in known], settings)
    dead = list(shares.dead)
    for index, ((group, hidden), share, gone) in enumerate(zip(known, shares.shares, shares.dead, strict=True)):
        if hidden:
            dead[index] += (share - gone) * hidden / (group.healthy + group.degraded)
    return dead, shares.none, [gone > 0 for gone in shares.dead]


def ejections_within(hosts: int, errors: int, mean: float) -> list[float]:
    """Return the chance of 0, 1, … `hosts` ejections while each of the hosts fails `mean` times on average."""
    none_of_one = _below(errors, mean)
    if none_of_one <= 0.0:
        return [0.0] * hosts + [1.0]
    if none_of_one >= 1.0:
        return [1.0] + [0.0] * hosts
    # By logarithms: with a thousand hosts the coefficients do not fit into a float.
    out, stays = math.log1p(-none_of_one), math.log(none_of_one)
    whole = math.lgamma(hosts + 1)
    return [
        math.exp(whole - math.lgamma(more + 1) - math.lgamma(hosts - more + 1) + more * out + (hosts - more) * stays)
        for more in range(hosts + 1)
    ]


@functools.lru_cache(maxsize=1024)
def tries_until_first(hosts: int, errors: int, in_turn: bool = False) -> float:
    """Return how many failing tries it takes on average until one of the hosts (at least one) has had `errors`."""
    if errors == 1 or hosts == 1:
        return float(errors)
    if in_turn:
        return (errors - 1.0) * hosts + 1
    # The integral of the chance that none is there yet, by the trapezoidal rule; at 0 that chance is 1.
    step, at, total = errors / 200, 0.0, 0.0
    none_yet = 1.0
    while none_yet > 1e-9:
        at += step
        following = _below(errors, at) ** hosts
        total += (none_yet + following) / 2 * step
        none_yet = following
    return total * hosts


def _below(errors: int, mean: float) -> float:
    """Return the chance that a Poisson number with this mean is below `errors`."""
    term = total = math.exp(-mean)
    for count in range(1, errors):
        term *= mean / count
        total += term
    return min(1.0, total)
