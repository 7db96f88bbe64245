# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Priorities and weights of localities: istiod's algorithm, for one client and one cluster.

Source: istio 1.31 pilot/pkg/networking/core/loadbalancer/loadbalancer.go.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.settings import (
    NETWORK_LABEL,
    Distribute,
    Failover,
    Setting,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import Semantics
from ansible_collections.meshops.locality.plugins.module_utils._topology.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._topology.model import Labels


class Member(t.NamedTuple):
    """One endpoint as istiod sends it. `health` is HEALTHY, UNHEALTHY or DRAINING; `key` tells it apart."""

    address: str
    port: int
    health: str
    weight: int
    labels: Labels
    pod: str = ""
    node: str = ""

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


class Groups(tuple[Group, ...]):
    """The groups of one cluster before a client's place counts.

    Clients differ only in the priorities they give them, so whatever two of them give alike is one object.
    """

    def __init__(self, groups: t.Iterable[Group]) -> None:
        """Takes what tuple takes."""
        self._known: dict[tuple[int, ...], tuple[Group, ...]] = {}
        self._made = [{group.priority: group} for group in self]

    def ranked(self, priorities: tuple[int, ...]) -> tuple[Group, ...]:
        """Return the groups with these priorities."""
        found = self._known.get(priorities)
        if found is None:
            found = self._known[priorities] = tuple(map(self._with, range(len(self)), priorities))
        return found

    def _with(self, index: int, priority: int) -> Group:
        made = self._made[index]
        if priority not in made:
            group = self[index]
            made[priority] = Group(group.locality, priority, group.weight, group.members)
        return made[priority]


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


def _with(groups: t.Sequence[Group], raw: t.Sequence[int]) -> t.Sequence[Group]:
    known = groups if isinstance(groups, Groups) else Groups(groups)
    return known.ranked(tuple(_compact(raw)))


def failover(client: Locality, groups: t.Sequence[Group], entries: t.Sequence[Failover]) -> t.Sequence[Group]:
    """Order groups by distance; of the regions beyond, the `to` of the first entry for the client's region is next."""
    target = next((entry.to for entry in entries if entry.origin == client.region), None)
    raw = []
    for group in groups:
        step = distance(client, group.locality)
        if step == 3 and target is not None and group.locality.region != target:
            step = 4
        raw.append(group.priority * 5 + step)
    return _with(groups, raw)


def zone_aware(client: Locality, groups: t.Sequence[Group], entries: t.Sequence[Failover]) -> t.Sequence[Group]:
    """Order groups by region only (1.31): the client's, then the `to` of its first entry, then the others."""
    target = next((entry.to for entry in entries if entry.origin == client.region), None)
    raw = []
    for group in groups:
        region = group.locality.region
        step = 0 if region == client.region else 1 if target is not None and region == target else 2
        raw.append(group.priority * 3 + step)
    return _with(groups, raw)


def failover_priority(
    labels: Labels, groups: t.Sequence[Group], keys: t.Sequence[str], semantics: Semantics
) -> t.Sequence[Group]:
    """Split groups by how many of the keys match, in order: the first key that differs decides.

    A key is a label, or `label=value` to compare with that value instead of the client's. A label that both lack
    matches. With topology.istio.io/network as the first key, 1.31 goes on behind a mismatch of it.
    """
    if not labels or not groups:
        return list(groups)
    names = [key.split("=")[0] for key in keys]
    wanted = {name: labels.get(name, "") for name in names}
    for key in keys:
        parts = key.split("=")
        if len(parts) == 2:
            wanted[parts[0]] = parts[1]
    count = len(keys)
    network = semantics.network_preferred and count > 0 and keys[0] == NETWORK_LABEL
    split: list[Group] = []
    known: dict[int, int] = {}
    for group in groups:
        parts_by_rank: dict[int, list[Member]] = {}
        for member in group.members:
            # Endpoints of one workload share their labels' mapping.
            rank = known.get(id(member.labels))
            if rank is None:
                rank = known[id(member.labels)] = _rank(wanted, names, member.labels, network)
            parts_by_rank.setdefault(rank, []).append(member)
        for rank in sorted(parts_by_rank):
            members = tuple(parts_by_rank[rank])
            split.append(Group(group.locality, rank, sum(member.weight for member in members) & 0xFFFFFFFF, members))
    return _with(split, [group.priority for group in split])


def _rank(wanted: t.Mapping[str, str], names: t.Sequence[str], labels: Labels, network: bool) -> int:
    count, adjust = len(names), 0
    for position, name in enumerate(names):
        if wanted[name] != labels.get(name, ""):
            if position == 0 and network:
                adjust = count
                continue
            return count - position + adjust
    return adjust


def distribute(client: Locality, groups: t.Sequence[Group], entries: t.Sequence[Distribute]) -> list[Group]:
    """Give groups the weights of the first entry whose `from` the client matches; the rest lose their endpoints.

    istiod goes through `to` in random order; where two of its keys match one locality the result is a matter of chance
    (see `ambiguous`). Here it is the written order.
    """
    entry = next((one for one in entries if matches(client, one.origin)), None)
    if entry is None:
        return list(groups)
    weights: dict[int, int] = {}
    left = set(range(len(groups)))
    for pattern, weight in entry.to:
        hit = [index for index in sorted(left) if matches(groups[index].locality, pattern)]
        left -= set(hit)
        total = sum(groups[index].weight for index in hit) & 0xFFFFFFFF
        for index in hit:
            # uint32 arithmetic, then a float division rounded up.
            share = ((groups[index].weight * weight) & 0xFFFFFFFF) / total if total else 0.0
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
    failover_priority_counts: bool = True,
) -> t.Sequence[Group]:
    """Return the groups with the priorities and weights that a client gets.

    `enabled`: the policy has outlierDetection. `failover_priority_counts`: false where istiod does not look at labels
    (DNS clusters before 1.30 and their subsets).
    """
    if setting is None or not setting.enabled:
        return list(groups)
    keys = setting.failover_priority
    if setting.zone_aware:
        if keys and failover_priority_counts:
            groups = failover_priority(labels, groups, keys, semantics)
        return zone_aware(client, groups, setting.failover)
    if setting.distribute:
        return distribute(client, groups, setting.distribute)
    if not (enabled or setting.forced):
        return list(groups)
    if keys:
        if failover_priority_counts:
            groups = failover_priority(labels, groups, keys, semantics)
        return failover(client, groups, setting.failover) if setting.failover else list(groups)
    return failover(client, groups, setting.failover)
