# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The course of ejections after a loss: which of them the load balancer knows of, and for how long.

The first ejection of a priority reaches the load balancer at once, all further ones within the cluster manager's merge
window (update_merge_window, 1 s) only at its end. So from each number of known ejections to the next it takes a window,
and then the wait for the next ejection when the window brought none.
Source: envoy source/common/upstream/cluster_manager_impl.cc (scheduleUpdate, applyUpdates).

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
    Priorities come one after the other, as traffic reaches them. Tries fall on hosts at random (in turn with
    ROUND_ROBIN); what a host has failed before the state began is not counted.
    """
    ejected = [0] * len(groups)
    states: list[State] = []
    left = ejectable
    for priority in sorted({group.priority for group in groups}):
        own = [index for index, group in enumerate(groups) if group.priority == priority and lost[index]]
        number = sum(lost[index] for index in own)
        reach = min(number, left)
        left -= reach
        chances = [1.0] + [0.0] * reach  # of being, at some time, where so many of these are known to be ejected
        for known in range(reach):
            pick = pick_of(groups, lost, ejected, settings)
            ejected[next(index for index in own if ejected[index] < lost[index])] += 1
            retry = pick_of(groups, lost, ejected, settings) if errors == 1 else None
            flow = rate * outcome(pick, retries, retry)[1]
            if not flow:
                return Course(states, pick)
            hidden = number - known
            wait = tries_until_first(hidden, errors, settings.policy == ROUND_ROBIN) / flow
            if not known:
                states.append(State("wait" if states else "first", pick, wait, retry))
                further = [1.0]
            else:
                mean = rate * outcome(pick, retries)[1] / hidden * merge_window
                further = ejections_within(hidden, errors, mean)
                states.append(State("window", pick, chances[known] * merge_window))
                states.append(State("wait", pick, chances[known] * further[0] * wait, retry))
            for more, chance in enumerate(further):
                chances[min(reach, known + max(1, more))] += chances[known] * chance
        if reach < number:
            break
    return Course([state for state in states if state.seconds], pick_of(groups, lost, ejected, settings))


def pick_of(
    groups: t.Sequence[LocalityHosts], lost: t.Sequence[int], ejected: t.Sequence[int], settings: Settings
) -> Pick:
    """Return where a try goes while the load balancer knows of `ejected[i]` of the `lost[i]` hosts of `groups[i]`."""
    known = [
        (group._replace(healthy=group.healthy - out, unhealthy=group.unhealthy + out), gone - out)
        for group, gone, out in zip(groups, lost, ejected, strict=True)
    ]
    dead, none = _dead(known, settings)
    tried = min((group.priority for group, hidden in known if hidden), default=None)
    away, nobody = _dead([entry for entry in known if entry[0].priority != tried], settings)
    # No other priority left: previous_priorities falls back to the usual loads.
    return Pick(dead, none, max(1, sum(hidden for _group, hidden in known)), dead if nobody else away)


def _dead(known: t.Sequence[tuple[LocalityHosts, int]], settings: Settings) -> tuple[float, float]:
    """Return the share of tries that reach a dead host, and the share that finds none. With numbers of hidden dead."""
    shares = locality_shares([group for group, _hidden in known], settings)
    dead = sum(shares.dead)
    for (group, hidden), share, gone in zip(known, shares.shares, shares.dead, strict=True):
        if hidden:
            dead += (share - gone) * hidden / (group.healthy + group.degraded)
    return dead, shares.none


def ejections_within(hosts: int, errors: int, mean: float) -> list[float]:
    """Return the chance of 0, 1, … `hosts` ejections while each of the hosts fails `mean` times on average."""
    each = 1 - _below(errors, mean)
    return [math.comb(hosts, more) * each**more * (1 - each) ** (hosts - more) for more in range(hosts + 1)]


@functools.lru_cache(maxsize=1024)
def tries_until_first(hosts: int, errors: int, in_turn: bool = False) -> float:
    """Return how many failing tries it takes on average until one of the hosts has had `errors` of them."""
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
