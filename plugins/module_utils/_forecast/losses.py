# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be lost: a pod, a node, a subzone, a zone or a region, or two of them.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import functools
import itertools
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio.endpoints import HEALTHY, UNKNOWN
from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_priorities import Member, Spot
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Service

LEVELS = ("pod", "node", "subzone", "zone", "region")
#: Levels whose places do not say in which locality they are.
NAMED = ("pod", "node")


class Loss(t.NamedTuple):
    """One place that goes dark. `place` is `namespace/name` of a pod, a node's name, or the locality's parts."""

    level: str
    place: str

    def __str__(self) -> str:
        return f"{self.level} {self.place}"


Losses = tuple[Loss, ...]


def place_of(level: str, locality: Locality, pod: str, node: str) -> str:
    """Return where an endpoint or a client is at a level; '' when that is not known."""
    if level == "pod":
        return pod
    if level == "node":
        return node
    return places(locality)[level]


@functools.lru_cache(maxsize=4096)
def places(locality: Locality) -> dict[str, str]:
    """Return {subzone, zone, region} of a locality, as a Loss names them; '' for a part that it has not."""
    region, zone, subzone = locality
    return {
        "region": region,
        "zone": f"{region}/{zone}" if zone else "",
        "subzone": f"{region}/{zone}/{subzone}" if subzone else "",
    }


def takes(loss: Loss, locality: Locality, member: Member) -> bool:
    """Whether a loss takes an endpoint away."""
    if member.behind:
        return unreachable((loss,), member)
    return place_of(loss.level, locality, member.pod or member.host, member.node) == loss.place


def unreachable(losses: Losses, gateway: Member) -> bool:
    """Whether losses take a gateway into another network away, or all that it leads to."""
    return any(all(any(_at(loss, spot) for loss in losses) for spot in spots) for spots in gateway.behind)


def behind_lost(losses: Losses, gateway: Member) -> float:
    """Return which part (0 to 1) of the endpoints behind a gateway into another network losses take."""
    spots = gateway.behind[0]
    return sum(any(_at(loss, spot) for loss in losses) for spot in spots) / len(spots)


def _at(loss: Loss, spot: Spot) -> bool:
    return place_of(loss.level, *spot) == loss.place


def takes_client(loss: Loss, client: Client) -> bool:
    """Whether a loss takes a client away."""
    return place_of(loss.level, client.locality, client.key, client.node) == loss.place


def without_istiod(planner: Planner, listed: t.Iterable[Losses]) -> list[Losses]:
    """Return those of the losses that take every istiod whose pod is known; none where no such pod is."""
    pods = [pod for pod in planner.snapshot.pods if pod.labels.get("app") == "istiod"]
    spots = [(Locality.parse(planner.places.locality(pod)), pod.key, pod.node) for pod in pods]
    return [joint for joint in listed if _all_lost(joint, spots)]


def taking_all_pods(planner: Planner, services: t.Iterable[Service], listed: t.Sequence[Losses]) -> list[Losses]:
    """Return those of the losses that take all ready pods of each Service."""
    left = list(listed)
    for service in services:
        ready = (endpoint for endpoint in planner.endpoints.known(service) if endpoint.health in (HEALTHY, UNKNOWN))
        spots = {(Locality.parse(endpoint.locality), endpoint.pod, endpoint.node) for endpoint in ready}
        left = [joint for joint in left if _all_lost(joint, spots) and all(pod for _place, pod, _node in spots)]
    return left


def _all_lost(joint: Losses, spots: t.Collection[tuple[Locality, str, str]]) -> bool:
    return bool(spots) and all(any(place_of(loss.level, *spot) == loss.place for loss in joint) for spot in spots)


def all_losses(planner: Planner, levels: t.Sequence[str]) -> list[Loss]:
    """Return every place of these levels that holds an endpoint or a client, level by level in the order given."""
    unknown = [level for level in levels if level not in LEVELS]
    if unknown:
        raise InvalidInput(f"There is no level {unknown[0]!r}.", do=f"The levels are {', '.join(LEVELS)}.")
    known = [endpoint for service in planner.snapshot.services for endpoint in planner.endpoints.known(service)]
    localities = {Locality.parse(text) for text in {endpoint.locality for endpoint in known}}
    localities |= {client.locality for client in planner.clients}
    losses: list[Loss] = []
    for level in levels:
        if level == "pod":
            own = {endpoint.pod for endpoint in known}
        elif level == "node":
            own = {endpoint.node for endpoint in known} | {client.node for client in planner.clients}
        else:
            own = {places(locality)[level] for locality in localities}
        losses += [Loss(level, place) for place in sorted(own - {""})]
    return losses


def pairs(losses: t.Sequence[Loss]) -> list[Losses]:
    """Return every two of the losses that do not contain each other."""
    return [pair for pair in itertools.combinations(losses, 2) if not _contains(*pair) and not _contains(*pair[::-1])]


def _contains(outer: Loss, inner: Loss) -> bool:
    if outer.level in NAMED or inner.level in NAMED:
        return outer == inner
    return outer.place == inner.place or inner.place.startswith(outer.place + "/")
