# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters to judge: made from a seed, with weight on what is easily predicted wrong."""

from __future__ import annotations

import json
import random
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.meshops.locality.plugins.module_utils._envoy.host_shares import Host, State
from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import (
    LEAST_REQUEST,
    POLICIES,
    RANDOM,
    ROUND_ROBIN,
    Settings,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality

from .load_assignment import EDS_STATES, LbEndpoint, LocalityLbEndpoints, assignment
from .process import Json

PLACES = (Locality("r1", "z1"), Locality("r1", "z2"), Locality("r1", "z2", "s"), Locality("r2", "z3"))
_STATUSES = {state: [name for name, of in EDS_STATES.items() if of == state] for state in set(EDS_STATES.values())}


@dataclass(frozen=True)
class Case:
    """One cluster: what is sent for it, and what was aimed at. `eds`: by EDS, else as a STATIC cluster."""

    name: str
    kind: str
    entries: tuple[LocalityLbEndpoints, ...]
    settings: Settings
    eds: bool = False

    @property
    def hosts(self) -> list[Host]:
        """What Envoy should hold."""
        return assignment(self.entries)

    @property
    def one_at_a_time(self) -> bool:
        """Whether requests must come one at a time for the forecast to be exact."""
        weights = {endpoint.weight for entry in self.entries for endpoint in entry.endpoints}
        return self.settings.policy == LEAST_REQUEST and len(weights) > 1


def cases(number: int, seed: int) -> list[Case]:
    """Return so many cases; the same for the same seed, and a longer list begins like a shorter one."""
    generated = []
    for index in range(number):
        source = random.Random(f"{seed}/{index}")
        kind = source.choices(list(_KINDS), [weight for weight, _maker in _KINDS.values()])[0]
        generated.append(_KINDS[kind][1](source, f"c{index}", kind))
    return generated


def _settings(source: random.Random, **given: t.Any) -> Settings:
    drawn: dict[str, t.Any] = {
        "panic_threshold": source.choice([0, 0, 25, 50, 100]),
        "locality_weighted": source.random() < 0.5,
        "overprovisioning": source.choice([100, 120, 140, 140, 140, 200]),
        "policy": source.choice([LEAST_REQUEST, LEAST_REQUEST, ROUND_ROBIN, ROUND_ROBIN, RANDOM]),
        "weighted_priority_health": source.random() < 0.15,
    }
    return Settings(**{**drawn, **given})


_PROFILES: t.Sequence[t.Mapping[State, int]] = (
    {"healthy": 1},
    {"healthy": 8, "unhealthy": 2},
    {"healthy": 3, "unhealthy": 7},
    {"unhealthy": 1},
    {"healthy": 1, "degraded": 1, "unhealthy": 2},
    {"healthy": 1, "excluded": 1},
    {"healthy": 2, "degraded": 2, "unhealthy": 2, "excluded": 2},
    {"unhealthy": 1, "excluded": 2},
)


class _Addresses:
    """Addresses of one cluster: 127.<20…>.<…>.<…>, each once."""

    def __init__(self) -> None:
        self.used = 0

    def next(self) -> str:
        self.used += 1
        return f"127.20.{self.used // 200}.{self.used % 200 + 1}"


def _endpoints(
    source: random.Random, addresses: _Addresses, number: int, profile: t.Mapping[State, int], weights: t.Sequence[int]
) -> tuple[LbEndpoint, ...]:
    states = source.choices(list(profile), list(profile.values()), k=number)
    return tuple(LbEndpoint(addresses.next(), state, source.choice(weights)) for state in states)


def _anything(source: random.Random, name: str, kind: str) -> Case:
    addresses = _Addresses()
    weights = source.choice([(1,), (1,), (1, 2, 5)])
    unset = source.random() < 0.2
    entries = []
    priorities = source.sample(range(4), source.randint(1, 3)) if source.random() < 0.1 else range(source.randint(1, 4))
    for priority in priorities:
        profile = source.choice(_PROFILES)
        for place in source.sample(PLACES, source.randint(1, 3)):
            weight = None if unset else source.choice([None, 1, 2, 5, 10, 70])
            number = source.choice([0, 1, 1, 2, 3, 4, 5, 7, 8])
            entries.append(
                LocalityLbEndpoints(_endpoints(source, addresses, number, profile, weights), place, priority, weight)
            )
    source.shuffle(entries)
    return Case(name, kind, tuple(entries), _settings(source))


def _level(addresses: _Addresses, priority: int, *numbers: int) -> LocalityLbEndpoints:
    """One locality with so many healthy, degraded, unhealthy and excluded hosts."""
    states: tuple[State, ...] = ("healthy", "degraded", "unhealthy", "excluded")
    endpoints = [
        LbEndpoint(addresses.next(), state)
        for state, number in zip(states, numbers, strict=False)
        for _one in range(number)
    ]
    return LocalityLbEndpoints(tuple(endpoints), PLACES[0], priority, 1)


def _rounding(source: random.Random, name: str, kind: str) -> Case:
    """Thin priorities, so that cutting to whole percents leaves a remainder for the first."""
    addresses = _Addresses()
    levels = [
        _level(addresses, priority, source.choice([0, 1, 1, 1]), source.choice([0, 0, 1]), source.choice([5, 6, 7]))
        for priority in range(source.randint(3, 4))
    ]
    return Case(name, kind, tuple(levels), _settings(source, panic_threshold=source.choice([0, 0, 0, 10])))


def _boundary(source: random.Random, name: str, kind: str) -> Case:
    """Health that is just enough, or just not: 5 of 7 at 140, 3 of 6 at 200, 5 of 6 at 120, one less."""
    addresses = _Addresses()
    healthy, total, factor = source.choice([(5, 7, 140), (3, 6, 200), (5, 6, 120), (4, 4, 100), (7, 10, 140)])
    healthy -= source.choice([0, 1])
    levels = [_level(addresses, 0, healthy, 0, total - healthy), _level(addresses, 1, 4)]
    return Case(name, kind, tuple(levels), _settings(source, overprovisioning=factor))


def _panic(source: random.Random, name: str, kind: str) -> Case:
    """Exactly at a panic threshold, or one host below; thresholds that Envoy's conversion cuts (29, 57, 58)."""
    addresses = _Addresses()
    healthy, total, threshold = source.choice(
        [(1, 4, 25), (2, 4, 50), (1, 8, 25), (2, 7, 29), (4, 7, 57), (4, 7, 58), (1, 3, 50), (0, 3, 50)]
    )
    levels = [_level(addresses, 0, healthy, 0, total - healthy)]
    if source.random() < 0.5:
        levels.append(_level(addresses, 1, source.choice([0, 1]), 0, source.choice([4, 6]), source.choice([0, 2])))
    return Case(name, kind, tuple(levels), _settings(source, panic_threshold=threshold, overprovisioning=100))


def _draining(source: random.Random, name: str, kind: str) -> Case:
    """DRAINING hosts, which do not count, but get requests in panic."""
    addresses = _Addresses()
    levels = [_level(addresses, 0, 3, 0, source.choice([0, 1]), source.choice([2, 3])), _level(addresses, 1, 3)]
    if source.random() < 0.4:
        levels = [_level(addresses, 0, 0, 0, source.choice([0, 2]), 3)]
    return Case(name, kind, tuple(levels), _settings(source))


def _merged(source: random.Random, name: str, kind: str) -> Case:
    """By EDS: one locality in several entries, without a Locality message, addresses that are there twice."""
    addresses = _Addresses()
    entries = []
    places = source.choice([(PLACES[0], PLACES[1]), (PLACES[0], PLACES[1], Locality(), None)])
    for _entry in range(source.randint(3, 6)):
        profile = source.choice([_PROFILES[0], _PROFILES[0], *_PROFILES[1:6]])
        endpoints = _endpoints(source, addresses, source.randint(1, 4), profile, (1,))
        place, weight = source.choice(places), source.choice([None, 1, 3, 10])
        entries.append(LocalityLbEndpoints(endpoints, place, source.choice([0, 0, 0, 1]), weight))
    for _copy in range(source.randint(1, 3)):
        origin, target = source.choice(entries), source.randrange(len(entries))
        copied = LbEndpoint(source.choice(origin.endpoints).address, source.choice(["healthy", "unhealthy"]))
        at = source.randint(0, len(entries[target].endpoints))
        listed = [*entries[target].endpoints[:at], copied, *entries[target].endpoints[at:]]
        entries[target] = entries[target]._replace(endpoints=tuple(listed))
    settings = _settings(source, locality_weighted=source.random() < 0.8, policy=source.choice(POLICIES))
    return Case(name, kind, tuple(entries), settings, eds=True)


def _empty(source: random.Random, name: str, kind: str) -> Case:
    """No endpoint, or none that may be used."""
    addresses = _Addresses()
    levels = [_level(addresses, 0), _level(addresses, 1)] if source.random() < 0.5 else [_level(addresses, 0, 0, 0, 3)]
    return Case(name, kind, tuple(levels), _settings(source, panic_threshold=source.choice([0, 0, 50])))


_Maker = t.Callable[[random.Random, str, str], Case]
_KINDS: t.Mapping[str, tuple[int, _Maker]] = {
    "anything": (50, _anything),
    "rounding": (12, _rounding),
    "boundary": (8, _boundary),
    "panic": (8, _panic),
    "draining": (8, _draining),
    "merged": (11, _merged),
    "empty": (3, _empty),
}


def cluster(case: Case, port: int, folder: Path) -> Json:
    """Return the cluster's configuration; that of its EDS goes into a file of `folder`."""
    load_assignment: Json = {
        "cluster_name": case.name,
        "endpoints": [_locality_entry(entry, port, index) for index, entry in enumerate(case.entries)],
        "policy": {
            "overprovisioning_factor": case.settings.overprovisioning,
            "weighted_priority_health": case.settings.weighted_priority_health,
        },
    }
    common: Json = {"healthy_panic_threshold": {"value": case.settings.panic_threshold}}
    if case.settings.locality_weighted:
        common["locality_weighted_lb_config"] = {}
    message: Json = {
        "name": case.name,
        "lb_policy": case.settings.policy,
        "connect_timeout": "5s",
        "common_lb_config": common,
    }
    if not case.eds:
        return {**message, "type": "STATIC", "load_assignment": load_assignment}
    path = folder / f"{case.name}.json"
    kind = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
    write_json(path, {"version_info": "1", "resources": [{"@type": kind, **load_assignment}]})
    source = {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}
    return {**message, "type": "EDS", "eds_cluster_config": {"eds_config": source}}


def _locality_entry(entry: LocalityLbEndpoints, port: int, index: int) -> Json:
    group: Json = {"priority": entry.priority, "lb_endpoints": []}
    if entry.locality is not None:
        place = entry.locality
        group["locality"] = {"region": place.region, "zone": place.zone, "sub_zone": place.subzone}
    if entry.weight:
        group["load_balancing_weight"] = entry.weight
    for number, endpoint in enumerate(entry.endpoints):
        statuses = sorted(_STATUSES[endpoint.state])
        group["lb_endpoints"].append(
            {
                "endpoint": {"address": {"socket_address": {"address": endpoint.address, "port_value": port}}},
                "health_status": statuses[(number + index) % len(statuses)],
                "load_balancing_weight": endpoint.weight,
            }
        )
    return group


def write_json(path: Path, value: Json) -> None:
    """Write a file that Envoy may be watching: it appears whole."""
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps(value), encoding="utf-8")
    scratch.rename(path)
