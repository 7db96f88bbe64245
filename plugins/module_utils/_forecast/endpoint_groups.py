# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoints of a destination by priority and locality, as Envoy holds them, and what of that many clients share.

Clients of one destination mostly hold the same endpoints and differ in priorities only. So what does not depend on
priorities (counts, where endpoints are, what a loss takes) is worked out once for all of them.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import (
    HostCounts,
    LocalityHosts,
    LostHosts,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier_detection import OutlierDetection
from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import (
    PANIC_THRESHOLD,
    POLICIES,
    ROUND_ROBIN,
    Settings,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import (
    NAMED,
    Loss,
    Losses,
    behind_lost,
    place_of,
    places,
    takes,
    unreachable,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.removal import Removal
from ansible_collections.meshops.locality.plugins.module_utils._istio.endpoints import DRAINING, UNHEALTHY, is_healthy
from ansible_collections.meshops.locality.plugins.module_utils._istio.envoy_outlier_detection import (
    envoy_outlier_detection,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_priorities import (
    Group,
    Groups,
    Member,
    Spot,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Assignment
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.object_cache import ObjectCache
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import ReadinessProbe


class EndpointGroup(t.NamedTuple):
    """A cell: the endpoints of one locality in one priority, as Envoy holds them. Its number is its position."""

    priority: int
    locality: Locality
    hosts: LocalityHosts
    members: tuple[Member, ...]


class CountedEndpoints(t.NamedTuple):
    """The endpoints of a cell with their numbers by state, whatever its priority. `uniform`: all weigh the same."""

    members: tuple[Member, ...]
    hosts: HostCounts
    uniform: bool


def takes_any(losses: Losses, locality: Locality, member: Member) -> bool:
    """Whether the losses together take an endpoint away."""
    if member.behind:
        return unreachable(losses, member)
    return any(takes(loss, locality, member) for loss in losses)


class _At(t.NamedTuple):
    """The places of one level. `cells`: place → {cell by position: how many healthy endpoints it has there}; `places`:
    those of each cell."""

    cells: dict[str, dict[int, int]]
    places: list[list[str]]


class EndpointsByLocality:
    """What clients have in common that hold the same endpoints by locality. Cells are told by their position."""

    def __init__(self, localities: t.Sequence[Locality], counted: t.Sequence[CountedEndpoints]) -> None:
        self.localities = tuple(localities)
        self.counted = tuple(counted)
        self.hosts = tuple(group.hosts for group in self.counted)
        #: Whether every cell is a locality of its own.
        self.distinct = len(set(self.localities)) == len(self.localities)
        self.total = sum(len(group.members) for group in self.counted)
        #: Whether all endpoints weigh the same, so that counting them is enough.
        self.uniform = all(group.uniform for group in self.counted) and (
            len({group.members[0].weight for group in self.counted}) <= 1
        )
        #: The cells with gateways into other networks among their endpoints.
        self.with_gateways = [
            cell for cell, group in enumerate(self.counted) if any(member.behind for member in group.members)
        ]
        self._at: dict[str, _At] = {}
        self._lost: dict[Losses, tuple[LostHosts, ...]] = {}
        self._losses: dict[tuple[str, ...], list[list[Loss]]] = {}
        self._removals: dict[t.Hashable, list[list[Removal]]] = {}

    @functools.cached_property
    def healthy(self) -> dict[Locality, int]:
        """How many healthy endpoints there are in each locality."""
        by_locality: dict[Locality, int] = {}
        for locality, group in zip(self.localities, self.counted, strict=True):
            by_locality[locality] = by_locality.get(locality, 0) + group.hosts.healthy
        return by_locality

    def removals(self, key: t.Hashable, of: t.Callable[[Member], Removal]) -> list[list[Removal]]:
        """Return for each cell what takes its endpoints out, one entry where it is the same for all of them.

        `key`: what `of` depends on besides the endpoint.
        """
        if key not in self._removals:
            listed = [[of(member) for member in group.members] for group in self.counted]
            self._removals[key] = [own[:1] if len(set(own)) <= 1 else own for own in listed]
        return self._removals[key]

    def places(self, level: str) -> list[list[str]]:
        """Return for each cell at which places of a level it has endpoints, healthy or not."""
        return self._level(level).places

    def losses(self, levels: t.Collection[str]) -> list[list[Loss]]:
        """Return for each cell the losses of these levels that take endpoints of it, healthy or not."""
        key = tuple(levels)
        if key not in self._losses:
            by_level = [(level, self.places(level)) for level in levels]
            self._losses[key] = [
                [Loss(level, place) for level, listed in by_level for place in listed[cell]]
                for cell in range(len(self.localities))
            ]
        return self._losses[key]

    def lost(self, losses: Losses) -> tuple[LostHosts, ...]:
        """Return how many healthy endpoints of each cell are lost, in the order of the cells; only where some are."""
        if losses not in self._lost:
            self._lost[losses] = tuple([LostHosts(cell, count) for cell, count in self._lost_hosts(losses) if count])
        return self._lost[losses]

    def behind_gateways(self, losses: Losses) -> dict[int, float]:
        """Return which part of a cell's endpoints is lost behind gateways that still lead somewhere; only above 0."""
        parts: dict[int, float] = {}
        for cell in self.with_gateways:
            members = self.counted[cell].members
            weight = sum(member.weight for member in members if is_healthy(member))
            lost = sum(
                member.weight * behind_lost(losses, member)
                for member in members
                if member.behind and is_healthy(member) and not unreachable(losses, member)
            )
            if lost:
                parts[cell] = lost / weight
        return parts

    def _lost_hosts(self, losses: Losses) -> list[tuple[int, int]]:
        hits = [self._level(loss.level).cells.get(loss.place, {}) for loss in losses]
        if self.with_gateways:
            cells = sorted({cell for hit in hits for cell in hit} | set(self.with_gateways))
            return [
                (
                    cell,
                    sum(
                        is_healthy(member) and takes_any(losses, self.localities[cell], member)
                        for member in self.counted[cell].members
                    ),
                )
                for cell in cells
            ]
        if len(hits) == 1:
            return list(hits[0].items())
        taken = []
        for cell in sorted(set().union(*hits)):
            numbers = [hit[cell] for hit in hits if cell in hit]
            if len(numbers) > 1:  # an endpoint that several losses take is lost once
                place, members = self.localities[cell], self.counted[cell].members
                numbers = [sum(is_healthy(member) and takes_any(losses, place, member) for member in members)]
            taken.append((cell, numbers[0]))
        return taken

    def _level(self, level: str) -> _At:
        if level not in self._at:
            at = self._at[level] = _At({}, [])
            for cell, (locality, group) in enumerate(zip(self.localities, self.counted, strict=True)):
                own: dict[str, int] = {}
                for spot in (spot for member in group.members for spots in member.behind for spot in spots):
                    own.setdefault(place_of(level, *spot), 0)
                if level in NAMED:
                    for member in (member for member in group.members if not member.behind):
                        place = place_of(level, locality, member.pod or member.host, member.node)
                        own[place] = own.get(place, 0) + is_healthy(member)
                else:
                    own[places(locality)[level]] = group.hosts.healthy
                for place, count in own.items():
                    at.cells.setdefault(place, {})[cell] = count
                at.places.append([place for place in own if place])
        return self._at[level]


class Layout(t.NamedTuple):
    """The cells of one client: what they hold, and the priority and locality weight (None: none) of each."""

    common: EndpointsByLocality
    priorities: tuple[int, ...]
    weights: tuple[int | None, ...]

    def cells(self) -> list[EndpointGroup]:
        """Return them one by one."""
        listed = zip(self.priorities, self.weights, self.common.localities, self.common.counted, strict=True)
        return [
            EndpointGroup(priority, locality, LocalityHosts(priority, weight, *group.hosts), group.members)
            for priority, weight, locality, group in listed
        ]


class SharedLayouts:
    """What is the same for many clients of one plan: cells, what they have in common, settings, outlier detection."""

    def __init__(
        self, headless: t.Collection[str] = (), probes: t.Mapping[str, ReadinessProbe | None] | None = None
    ) -> None:
        #: The hosts of headless Services: names that resolve to the addresses of pods.
        self.headless = headless
        #: The snapshot's other_probes.
        self.probes = probes or {}
        self._counted: ObjectCache[CountedEndpoints] = ObjectCache()
        self._common: ObjectCache[tuple[EndpointsByLocality, bool]] = ObjectCache()
        self._distinct: ObjectCache[Layout | None] = ObjectCache()
        self._settings: dict[tuple[t.Any, ...], Settings] = {}
        self._detections: ObjectCache[OutlierDetection | None] = ObjectCache()

    def settings(self, assignment: Assignment) -> Settings:
        """Return what Envoy balances by; hashing policies are computed as round robin."""
        key = (assignment.panic_threshold, assignment.locality_weighted, assignment.lb_policy)
        if key not in self._settings:
            self._settings[key] = Settings(
                panic_threshold=PANIC_THRESHOLD if assignment.panic_threshold is None else assignment.panic_threshold,
                locality_weighted=assignment.locality_weighted,
                policy=assignment.lb_policy if assignment.lb_policy in POLICIES else ROUND_ROBIN,
            )
        return self._settings[key]

    def detection(self, assignment: Assignment) -> OutlierDetection | None:
        """Return Envoy's outlier detection."""
        return self._detections.once(
            lambda: envoy_outlier_detection(assignment.outlier_detection), (assignment.cluster_policy,)
        )

    def layout(self, groups: tuple[Group, ...]) -> Layout:
        """Return the cells that Envoy makes of the groups: equal addresses once, equal priority and locality together.

        Source: see _envoy/host_shares.py, which does the same for single hosts.
        """
        if isinstance(groups, Groups):
            distinct = self._distinct.once(lambda: self._of_distinct(groups), (groups.base,))
            if distinct is not None:
                return Layout(distinct.common, groups.priorities, distinct.weights)
        filled = [group for group in groups if group.members]
        common, doubled = self._in_common(filled)
        if doubled or len({group[:2] for group in groups}) < len(groups):
            return self._merged(groups, doubled)
        return _layout(common, filled)

    def _of_distinct(self, groups: Groups) -> Layout | None:
        """Return the cells when each group is a locality of its own, so that whatever priorities merge none of them."""
        if not all(group.members for group in groups):
            return None
        common, doubled = self._in_common(groups)
        return _layout(common, groups) if common.distinct and not doubled else None

    def _in_common(self, filled: t.Sequence[Group]) -> tuple[EndpointsByLocality, bool]:
        """Return what clients have in common that hold these groups, and whether an address is in there twice."""
        return self._common.once(
            lambda: self._endpoints_by_locality(filled), tuple([group.members for group in filled])
        )

    def _endpoints_by_locality(self, filled: t.Sequence[Group]) -> tuple[EndpointsByLocality, bool]:
        hosts = [member.host for group in filled for member in group.members]
        counted = [self._counted.once(functools.partial(_counted, group.members), (group.members,)) for group in filled]
        return EndpointsByLocality([group.locality for group in filled], counted), len(set(hosts)) < len(hosts)

    def _merged(self, groups: t.Sequence[Group], doubled: bool) -> Layout:
        weights: dict[tuple[int, Locality], int] = {}
        for group in groups:
            if group.weight:
                weights[group.priority, group.locality] = group.weight
        members: dict[tuple[int, Locality], tuple[Member, ...]] = {}
        seen: set[str] = set()
        for group in groups:
            own = group.members
            if doubled:
                first: dict[str, Member] = {}
                for member in own:
                    if member.host not in seen:
                        first.setdefault(member.host, member)
                own = tuple(first.values())
                seen.update(first)
            if group.members:
                place = (group.priority, group.locality)
                members[place] = members[place] + own if place in members else own
        counted = {place: _counted(own) for place, own in members.items() if own}
        common = EndpointsByLocality([locality for _priority, locality in counted], list(counted.values()))
        return Layout(
            common, tuple([priority for priority, _locality in counted]), tuple([weights.get(key) for key in counted])
        )


class Carrier(t.NamedTuple):
    """A pod (or an address without one) that answers requests. `weight`: within its cell, 0 for an unhealthy one."""

    spot: Spot
    weight: float

    def lost(self, losses: Losses) -> bool:
        """Whether losses take it."""
        return any(place_of(loss.level, *self.spot) == loss.place for loss in losses)


def carriers(locality: Locality, group: CountedEndpoints) -> tuple[Carrier, ...]:
    """Return what carries the requests of a cell: its endpoints, of gateways to other networks the pods behind them."""
    weights: dict[Spot, float] = {}
    for member in group.members:
        spots = member.behind[0] if member.behind else (Spot(locality, member.pod or member.host, member.node),)
        for spot in spots:
            weights[spot] = weights.get(spot, 0.0) + member.weight / len(spots) * is_healthy(member)
    return tuple(Carrier(*each) for each in weights.items())


def _layout(common: EndpointsByLocality, groups: t.Sequence[Group]) -> Layout:
    return Layout(
        common, tuple([group.priority for group in groups]), tuple([group.weight or None for group in groups])
    )


def _counted(members: tuple[Member, ...]) -> CountedEndpoints:
    bad = sum(member.health == UNHEALTHY for member in members)
    out = sum(member.health == DRAINING for member in members)
    hosts = HostCounts(len(members) - bad - out, 0, bad, out)
    return CountedEndpoints(members, hosts, all(member.weight == members[0].weight for member in members))
