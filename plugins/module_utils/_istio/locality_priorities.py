# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Priorities and weights of localities: istiod's algorithm, for one client and one cluster.

Source: istio 1.31 pilot/pkg/networking/core/loadbalancer/loadbalancer.go.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_settings import (
    Distribute,
    Failover,
    Setting,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import Semantics
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import NETWORK_LABEL, Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Labels


class Spot(t.NamedTuple):
    """Where an endpoint is: its locality, its pod (or address) and its node ('' when not known)."""

    locality: Locality
    pod: str
    node: str


class Member(t.NamedTuple):
    """One endpoint as istiod sends it. `health` is one of those of endpoints.py."""

    address: str
    port: int
    health: str
    weight: int
    labels: Labels
    pod: str = ""
    node: str = ""
    #: Of a gateway into another network: sets of places, and when all of one set are lost, it leads nowhere.
    behind: tuple[tuple[Spot, ...], ...] = ()

    @property
    def host(self) -> str:
        """`ip:port` (`[ip6]:port`, the path of a socket) as Envoy writes it."""
        if not self.port:
            return self.address
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class Group(t.NamedTuple):
    """One LocalityLbEndpoints: a locality's endpoints of one priority. `weight` is the locality weight as sent."""

    locality: Locality
    priority: int
    weight: int
    members: tuple[Member, ...]


class Placement:
    """Where the groups of a cluster are, in their order. Clusters with equal ones share what clients make of them."""

    def __init__(self, localities: tuple[Locality, ...]) -> None:
        self.localities = localities
        #: (rule with what of the client it looks at, priorities before) → priorities.
        self.ranks: dict[tuple[t.Any, ...], tuple[int, ...]] = {}


class Groups(tuple[Group, ...]):
    """The groups of one cluster.

    Clients differ mostly in the priorities they give to the groups that all of them get (`base`): what two of them
    make alike is one object.
    """

    base: Groups
    placement: Placement
    priorities: tuple[int, ...]
    _ranked: dict[tuple[int, ...], Groups]
    _groups_by_priority: list[_GroupByPriority]

    @classmethod
    def of(cls, groups: t.Iterable[Group], placements: dict[tuple[Locality, ...], Placement] | None = None) -> Groups:
        """Return groups as they are for every client. `placements` are those so far; an equal one is taken."""
        arranged = cls(groups)
        localities = tuple([group.locality for group in arranged])
        if placements is None:
            arranged.placement = Placement(localities)
        else:
            arranged.placement = placements.setdefault(localities, Placement(localities))
        arranged.base = arranged
        arranged.priorities = tuple([group.priority for group in arranged])
        arranged._ranked = {arranged.priorities: arranged}
        arranged._groups_by_priority = [_GroupByPriority(group) for group in arranged]
        return arranged

    def ranked(self, priorities: tuple[int, ...]) -> Groups:
        """Return the groups with these priorities."""
        base = self.base
        ranked = base._ranked.get(priorities)
        if ranked is None:
            ranked = Groups(
                [ways[priority] for ways, priority in zip(base._groups_by_priority, priorities, strict=True)]
            )
            ranked.base, ranked.placement, ranked.priorities = base, self.placement, priorities
            base._ranked[priorities] = ranked
        return ranked


class _GroupByPriority(dict[int, Group]):
    """A group by the priority it is given."""

    def __init__(self, group: Group) -> None:
        super().__init__({group.priority: group})
        self.group = group

    def __missing__(self, priority: int) -> Group:
        group = self[priority] = self.group._replace(priority=priority)
        return group


def matches(locality: Locality, pattern: str) -> bool:
    """Whether a place matches a `from` or `to` of distribute. Source: util.go, LocalityMatch."""
    region, zone, subzone = (*pattern.split("/"), "", "")[:3]
    return (
        region in ("*", locality.region) and zone in ("*", "", locality.zone) and subzone in ("*", "", locality.subzone)
    )


def distance(client: Locality, endpoint: Locality) -> int:
    """Return 0 for the same subzone, 1 zone, 2 region, 3 beyond. Source: util.go, LbPriority."""
    if client.region != endpoint.region:
        return 3
    if client.zone != endpoint.zone:
        return 2
    return 0 if client.subzone == endpoint.subzone else 1


def _compact(raw: t.Sequence[int]) -> list[int]:
    dense = {value: position for position, value in enumerate(sorted(set(raw)))}
    return [dense[value] for value in raw]


def _with(groups: t.Sequence[Group], rule: tuple[t.Any, ...], step: t.Callable[[Locality], int], steps: int) -> Groups:
    """Return groups ordered by their priority, and within it by `step` of their place, of which there are `steps`.

    `rule` is all that decides `step`: where it is the same again, the order of the same places is known.
    """
    own = groups if isinstance(groups, Groups) else Groups.of(groups)
    known, key = own.placement.ranks, (*rule, own.priorities)
    ranks = known.get(key)
    if ranks is None:
        raw = [group.priority * steps + step(group.locality) for group in own]
        ranks = known[key] = tuple(_compact(raw))
    return own.ranked(ranks)


def failover(client: Locality, groups: t.Sequence[Group], entries: t.Sequence[Failover]) -> t.Sequence[Group]:
    """Order groups by distance; of the regions beyond, the `to` of the first entry for the client's region is next.

    The steps within a priority are 0 to 3 for the distance, and 4 for regions beyond that are not the `to`: five, so
    that priority * 5 + step never puts a place before one of a lower priority.

    Source: istio 1.31 pilot/pkg/networking/core/loadbalancer/loadbalancer.go.
    """
    target = next((entry.to for entry in entries if entry.origin == client.region), None)

    def step(place: Locality) -> int:
        far = distance(client, place)
        return 4 if far == 3 and target is not None and place.region != target else far

    return _with(groups, ("failover", client, target), step, 5)


def zone_aware(client: Locality, groups: t.Sequence[Group], entries: t.Sequence[Failover]) -> t.Sequence[Group]:
    """Order groups by region only (1.31): the client's, then the `to` of its first entry, then the others."""
    target = next((entry.to for entry in entries if entry.origin == client.region), None)

    def step(place: Locality) -> int:
        return 0 if place.region == client.region else 1 if target is not None and place.region == target else 2

    return _with(groups, ("zone-aware", client.region, target), step, 3)


def failover_priority(
    labels: Labels, groups: t.Sequence[Group], keys: t.Sequence[str], semantics: Semantics
) -> t.Sequence[Group]:
    """Split groups by how many of the keys match, in order: the first key that differs decides.

    A key is a label, or `label=value` to compare with that value instead of the client's. A label that both lack
    matches. With topology.istio.io/network as the first key, 1.31 goes on behind a mismatch of it.
    """
    if not labels or not groups:
        return groups
    names = [key.split("=")[0] for key in keys]
    wanted = {name: labels.get(name, "") for name in names}
    for key in keys:
        parts = key.split("=")
        if len(parts) == 2:
            wanted[parts[0]] = parts[1]
    count = len(keys)
    network = semantics.network_preferred and count > 0 and keys[0] == NETWORK_LABEL
    split: list[Group] = []
    for group in groups:
        parts_by_rank: dict[int, list[Member]] = {}
        for member in group.members:
            rank = _rank(wanted, names, member.labels, network)
            parts_by_rank.setdefault(rank, []).append(member)
        for rank in sorted(parts_by_rank):
            members = tuple(parts_by_rank[rank])
            split.append(Group(group.locality, rank, sum(member.weight for member in members) & 0xFFFFFFFF, members))
    own = Groups.of(split)
    return own.ranked(tuple(_compact(own.priorities)))


def _rank(wanted: t.Mapping[str, str], names: t.Sequence[str], labels: Labels, network: bool) -> int:
    count, adjust = len(names), 0
    for position, name in enumerate(names):
        if wanted[name] != labels.get(name, ""):
            if position == 0 and network:
                adjust = count
                continue
            return count - position + adjust
    return adjust


def distribute(client: Locality, groups: t.Sequence[Group], entries: t.Sequence[Distribute]) -> t.Sequence[Group]:
    """Give groups the weights of the first entry whose `from` the client matches; the rest lose their endpoints.

    istiod goes through `to` in random order; where two of its keys match one locality the result is a matter of chance
    (see `ambiguous`). Here it is the written order.
    """
    entry = next((entry for entry in entries if matches(client, entry.origin)), None)
    if entry is None:
        return groups
    weights: dict[int, int] = {}
    left = set(range(len(groups)))
    for pattern, weight in entry.to:
        hit = [index for index in sorted(left) if matches(groups[index].locality, pattern)]
        left -= set(hit)
        # A locality whose endpoints no gateway leads to has no weight, which istiod takes for 1.
        own = {index: groups[index].weight if groups[index].members else 1 for index in hit}
        total = sum(own.values()) & 0xFFFFFFFF
        for index in hit:
            # uint32 arithmetic, then a float division rounded up.
            share = ((own[index] * weight) & 0xFFFFFFFF) / total if total else 0.0
            if share > 0:
                weights[index] = -int(-share // 1)
    return [
        Group(group.locality, group.priority, weights.get(index, group.weight), () if index in left else group.members)
        for index, group in enumerate(groups)
    ]


def ambiguous(groups: t.Iterable[Group], entry: Distribute) -> bool:
    """Whether some locality matches two keys of `to`, so that istiod's answer depends on chance."""
    return any(sum(matches(group.locality, pattern) for pattern, _weight in entry.to) > 1 for group in groups)


def arrange(
    client: Locality,
    labels: Labels,
    groups: t.Sequence[Group],
    setting: Setting | None,
    enabled: bool,
    semantics: Semantics,
    *,
    failover_priority_applies: bool = True,
) -> tuple[Group, ...]:
    """Return the groups with the priorities and weights that a client gets.

    `enabled`: the policy has outlierDetection. `failover_priority_applies`: false where istiod does not look at labels
    (DNS clusters before 1.30 and their subsets).
    """
    arranged = _arranged(client, labels, groups, setting, enabled, semantics, failover_priority_applies)
    return arranged if isinstance(arranged, tuple) else tuple(arranged)


def _arranged(
    client: Locality,
    labels: Labels,
    groups: t.Sequence[Group],
    setting: Setting | None,
    enabled: bool,
    semantics: Semantics,
    failover_priority_applies: bool,
) -> t.Sequence[Group]:
    if setting is None or not setting.enabled:
        return groups
    keys = setting.failover_priority
    if setting.zone_aware:
        if keys and failover_priority_applies:
            groups = failover_priority(labels, groups, keys, semantics)
        return zone_aware(client, groups, setting.failover)
    if setting.distribute:
        return distribute(client, groups, setting.distribute)
    if not setting.applies(enabled):
        return groups
    if keys:
        if failover_priority_applies:
            groups = failover_priority(labels, groups, keys, semantics)
        return failover(client, groups, setting.failover) if setting.failover else groups
    return failover(client, groups, setting.failover)
