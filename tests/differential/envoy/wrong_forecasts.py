# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forecasts that are wrong on purpose: if the comparison accepted them, it would prove nothing."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from unittest import mock

from ansible_collections.meshops.locality.plugins.module_utils._envoy import locality_shares as module
from ansible_collections.meshops.locality.plugins.module_utils._envoy.host_shares import Host, host_shares
from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import (
    LEAST_REQUEST,
    RANDOM,
    Loads,
    Settings,
    Shares,
    priority_loads,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality

from .cases import Case

Model = t.Callable[[Case], Shares]


def right(case: Case) -> Shares:
    """The forecast under test."""
    return host_shares(case.hosts, case.settings)


def _with(change: t.Callable[[Settings], Settings]) -> Model:
    return lambda case: host_shares(case.hosts, change(case.settings))


def _hosts(change: t.Callable[[Case], list[Host]]) -> Model:
    return lambda case: host_shares(change(case), case.settings)


def _loads(wrong: t.Callable[..., Loads]) -> Model:
    def model(case: Case) -> Shares:
        with mock.patch.object(module, "priority_loads", wrong):
            return host_shares(case.hosts, case.settings)

    return model


def _round(*arguments: t.Any) -> Loads:
    """Loads rounded to the nearest percent instead of cut, what is over taken from the first."""
    result = priority_loads(*arguments)
    healthy, degraded, counted, _hosts, factor = arguments[:5]
    availables = [
        [min(100, factor * part // whole) if whole else 0 for part, whole in zip(parts, counted, strict=True)]
        for parts in (healthy, degraded)
    ]
    available = min(100, sum(map(sum, availables)))
    if any(result.panic) or not available:
        return result
    left = 100
    rounded: list[list[int]] = []
    for kind in availables:
        loads = []
        for part in kind:
            loads.append(min(left, round(part * 100 / available)))
            left -= loads[-1]
        rounded.append(loads)
    first = next((kind, index) for kind in (0, 1) for index, part in enumerate(availables[kind]) if part)
    rounded[first[0]][first[1]] += left
    return Loads(rounded[0], rounded[1], result.panic)


def _always_panic(*arguments: t.Any) -> Loads:
    """Each priority below the threshold panics, however healthy the others are."""
    loads = priority_loads(*arguments)
    healthy, degraded, counted, _hosts, _factor, threshold = arguments[:6]
    panic = [
        bool(threshold) and (not count or 100 * (part + other) / count < threshold)
        for part, other, count in zip(healthy, degraded, counted, strict=True)
    ]
    return loads if all(panic) else loads._replace(panic=panic)


def _by_share_in_panic(*arguments: t.Any) -> Loads:
    """Total panic keeps the loads that health gives."""
    loads = priority_loads(*arguments)
    if not all(loads.panic):
        return loads
    calm = priority_loads(*(*arguments[:5], 0, *arguments[6:]))
    return calm._replace(panic=loads.panic)


def _first_weight(case: Case) -> list[Host]:
    """Of several entries for one locality the first weight counts."""
    weights: dict[tuple[int, Locality], int] = {}
    for entry in case.entries:
        if entry.locality is not None and entry.weight:
            weights.setdefault((entry.priority, entry.locality), entry.weight)
    return [host._replace(locality_weight=weights.get((host.priority, host.locality), 0)) for host in case.hosts]


def _exact_threshold(case: Case) -> Shares:
    """29 % is 29."""
    settings = replace(case.settings)
    object.__setattr__(settings, "threshold", round(settings.panic_threshold))
    return host_shares(case.hosts, settings)


WRONG: t.Mapping[str, Model] = {
    "overprovisioning factor 1.5 instead of 1.4": _with(
        lambda settings: replace(settings, overprovisioning=150) if settings.overprovisioning == 140 else settings
    ),
    "loads rounded instead of cut": _loads(_round),
    "DRAINING hosts count as unhealthy": _hosts(
        lambda case: [host._replace(state="unhealthy") if host.state == "excluded" else host for host in case.hosts]
    ),
    "degraded hosts are healthy": _hosts(
        lambda case: [host._replace(state="healthy") if host.state == "degraded" else host for host in case.hosts]
    ),
    "locality weights ignored": _with(lambda settings: replace(settings, locality_weighted=False)),
    "locality weights always on": _with(lambda settings: replace(settings, locality_weighted=True)),
    "no panic": _with(lambda settings: replace(settings, panic_threshold=0)),
    "panic whatever the other priorities have": _loads(_always_panic),
    "loads by health in total panic": _loads(_by_share_in_panic),
    "panic threshold 29 is not cut to 28": _exact_threshold,
    "RANDOM draws priority and host apart": _with(
        lambda settings: replace(settings, policy=LEAST_REQUEST) if settings.policy == RANDOM else settings
    ),
    "host weights ignored": _hosts(lambda case: [host._replace(weight=1) for host in case.hosts]),
    "the first weight of a locality counts": _hosts(_first_weight),
}
