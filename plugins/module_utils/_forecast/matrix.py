# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services × losses: what survives, what spills over, what dies, and whether the survivors can carry it.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._forecast.held import NOTHING, Held, Outcome
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import Loss, Losses, takes_client
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import (
    Assignment,
    ClientClass,
    Destination,
    Planner,
)
from ansible_collections.meshops.locality.plugins.module_utils._topology.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._topology.model import Service

VERDICTS = ("untouched", "survives", "spills", "dies")
GAPS = ("none", "ejection", "readiness", "never")

#: A pod is assumed to carry this many times what the busiest pod carries now, when nobody says what it can.
HEADROOM = 2.0


@dataclass(frozen=True)
class Capacity:
    """What pods can carry. `per_pod`: requests per second by Service host (glob patterns are not read here).

    `headroom`: how many times the busiest pod's load of today, where nothing is given. `rate`: requests per second of
    one client, needed to compare with `per_pod`.
    """

    headroom: float = HEADROOM
    rate: float = 1.0
    per_pod: t.Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """One Service (port, subset) under one loss.

    `verdict` and `gap` are the worst over the clients that are left; `clients` how many of them have which verdict.
    `at_risk`: share of all requests that go to lost endpoints at first; `lost`: share that fails in the end; `moved`:
    share that other localities answer than before. `load`: the busiest surviving pod's load, as a multiple of the
    busiest pod's load of today; `limit` what it may be; `growth` what autoscaling may still add to the pods.
    """

    destination: Destination
    losses: Losses
    verdict: str
    gap: str
    clients: t.Mapping[str, int]
    at_risk: float
    lost: float
    moved: float
    load: float
    limit: float
    growth: float
    worst: str = ""

    @property
    def overloaded(self) -> bool:
        """Whether the survivors cannot carry it, with all the pods autoscaling may add."""
        return self.load > self.limit * self.growth + NOTHING

    @property
    def sign(self) -> str:
        """One character for the matrix."""
        if self.verdict == "dies":
            return "✗"
        if self.gap == "readiness":
            return "!"
        if self.overloaded:
            return "▲"
        return {"untouched": "·", "survives": "✓", "spills": "→"}[self.verdict]


@dataclass(frozen=True)
class Row:
    """A Service's port with all its entries, in the order of the matrix' losses."""

    destination: Destination
    service: Service
    endpoints: int
    clients: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Matrix:
    """Services × losses. `skipped` names what has no row, with the reason."""

    losses: tuple[Losses, ...]
    rows: tuple[Row, ...]
    skipped: tuple[tuple[str, str], ...] = ()


class _Client(t.NamedTuple):
    kind: ClientClass
    held: Held


def matrix(
    planner: Planner,
    losses: t.Sequence[Losses],
    *,
    capacity: Capacity | None = None,
    services: t.Callable[[Service], bool] = lambda _service: True,
    clients: t.Callable[[ClientClass], bool] = lambda _kind: True,
    subsets: bool = False,
) -> Matrix:
    """Compute the matrix for the chosen Services and clients; `subsets`: one row for each subset, too."""
    capacity = capacity or Capacity()
    held: dict[int, Held] = {}
    asked: dict[Destination, tuple[Service, list[_Client]]] = {}
    skipped: dict[str, str] = {}
    for kind in planner.classes:
        if not clients(kind):
            continue
        for destination in planner.destinations(kind.one):
            if destination.subset and not subsets:
                continue
            made = planner.assignment(kind.one, destination)
            if made is None or not services(made.service):
                continue
            reason = _unfit(made)
            if reason:
                skipped[destination.cluster] = reason
                continue
            if id(made) not in held:
                held[id(made)] = Held(made)
            asked.setdefault(destination, (made.service, []))[1].append(_Client(kind, held[id(made)]))
    rows = [
        _row(planner, destination, service, some, losses, capacity)
        for destination, (service, some) in sorted(asked.items(), key=lambda item: item[0])
    ]
    return Matrix(tuple(losses), tuple(rows), tuple(sorted(skipped.items())))


def _unfit(made: Assignment) -> str:
    if made.crash:
        return "istiod of this version crashes because of it"
    if made.type not in ("EDS", "STRICT_DNS", "LOGICAL_DNS"):
        return f"{made.type}: clients choose the address themselves, Envoy does not balance"
    return ""


def _row(
    planner: Planner,
    destination: Destination,
    service: Service,
    some: list[_Client],
    losses: t.Sequence[Losses],
    capacity: Capacity,
) -> Row:
    before = _loads(some)
    pods: Counter[Locality] = Counter()
    for client in some[:1]:
        for cell in client.held.cells:
            pods[cell.locality] += cell.hosts.healthy
    for client in some[1:]:
        for cell in client.held.cells:
            if cell.locality not in pods:
                pods[cell.locality] = cell.hosts.healthy
    growth = _growth(planner, some[0].held)
    busiest = max((load / pods[place] for place, load in before.items() if pods[place]), default=0.0)
    limit = capacity.headroom
    given = capacity.per_pod.get(service.host)
    if given is not None and busiest:
        limit = given / (busiest * capacity.rate)
    touching = _touching(some, losses)
    number = sum(len(client.kind.members) for client in some)
    none = _nothing(destination, some, number, limit, growth)
    entries = [
        _entry(destination, some, one, before, pods, busiest, limit, growth)
        if one in touching
        else Entry(**{**none, "losses": one})
        for one in losses
    ]
    return Row(destination, service, some[0].held.total, number, tuple(entries))


def _nothing(
    destination: Destination, some: list[_Client], number: int, limit: float, growth: float
) -> dict[str, t.Any]:
    """Return an entry for a loss that no client's traffic meets."""
    lost = [client.held.now.none + sum(client.held.now.dead) for client in some]
    dead = bool(lost) and min(lost) > 1 - NOTHING
    return {
        "destination": destination,
        "losses": (),
        "verdict": "dies" if dead else "untouched",
        "gap": "never" if dead else "none",
        "clients": {"dies" if dead else "untouched": number},
        "at_risk": 0.0,
        "lost": sum(lost) / len(lost) if lost else 0.0,
        "moved": 0.0,
        "load": 1.0,
        "limit": limit,
        "growth": growth,
    }


def _touching(some: list[_Client], losses: t.Sequence[Losses]) -> set[Losses]:
    """Return the losses that take an endpoint with traffic, or a client, of this destination away."""
    levels = {loss.level for one in losses for loss in one}
    busy: set[Loss] = set()
    for held in {id(client.held): client.held for client in some}.values():
        shares = held.now.shares
        for level in levels:
            for place, hit in held.places(level).items():
                if any(shares[number] > NOTHING for number, _count in hit):
                    busy.add(Loss(level, place))
    return {one for one in losses if any(loss in busy for loss in one)}


def _loads(some: list[_Client]) -> dict[Locality, float]:
    loads: dict[Locality, float] = {}
    for client in some:
        number = len(client.kind.members)
        for cell, share in zip(client.held.cells, client.held.now.shares, strict=True):
            if share:
                loads[cell.locality] = loads.get(cell.locality, 0.0) + number * share
    return loads


def _growth(planner: Planner, held: Held) -> float:
    """Return how many times more pods the autoscalers of the workloads behind a destination may make."""
    keys = {
        (pod.namespace, pod.workload)
        for cell in held.cells
        for member in cell.members
        if member.pod and (pod := planner.snapshot.pod_by_key.get(member.pod)) is not None and pod.workload
    }
    if not keys:
        return 1.0
    found = {(one.namespace, one.key): one for one in planner.snapshot.workloads}
    ratios = []
    for key in keys:
        workload = found.get(key)
        if workload is None or not workload.maximum or not workload.replicas:
            return 1.0
        ratios.append(max(1.0, workload.maximum / workload.replicas))
    return min(ratios)


def _entry(
    destination: Destination,
    some: list[_Client],
    losses: Losses,
    before: t.Mapping[Locality, float],
    pods: t.Mapping[Locality, int],
    busiest: float,
    limit: float,
    growth: float,
) -> Entry:
    loads = dict(before)
    verdicts: Counter[str] = Counter()
    worst: tuple[int, int, str] = (-1, -1, "")
    at_risk = lost = moved = 0.0
    total = 0
    gone_by_place: dict[Locality, int] = {}
    for client in some:
        held = client.held
        outcome = held.outcome(losses)
        members = client.kind.members
        number = len(members)
        if any(loss.level in ("node", "pod") for loss in losses):
            number -= sum(any(takes_client(loss, one) for loss in losses) for one in members)
        elif any(takes_client(loss, client.kind.one) for loss in losses):
            number = 0
        for cell, old, new, gone in zip(held.cells, outcome.before, outcome.shares, outcome.gone, strict=True):
            if old or new:
                loads[cell.locality] = loads.get(cell.locality, 0.0) + number * new - len(members) * old
            if gone:
                gone_by_place[cell.locality] = max(gone_by_place.get(cell.locality, 0), gone)
        if not number:
            continue
        total += number
        verdicts[outcome.verdict] += number
        at_risk += number * outcome.at_risk
        lost += number * outcome.lost
        moved += number * _moved(held, outcome)
        rank = (VERDICTS.index(outcome.verdict), GAPS.index(outcome.gap), client.kind.one.key)
        worst = max(worst, rank, key=lambda one: one[:2])
    if not total:
        return Entry(destination, losses, "untouched", "none", {}, 0.0, 0.0, 0.0, 0.0, limit, growth)
    heaviest = max(
        (
            load / (pods[place] - gone_by_place.get(place, 0))
            for place, load in loads.items()
            if load > NOTHING and pods.get(place, 0) > gone_by_place.get(place, 0)
        ),
        default=0.0,
    )
    return Entry(
        destination,
        losses,
        VERDICTS[worst[0]],
        GAPS[worst[1]],
        dict(verdicts),
        at_risk / total,
        lost / total,
        moved / total,
        heaviest / busiest if busiest else 0.0,
        limit,
        growth,
        worst[2],
    )


def _moved(held: Held, outcome: Outcome) -> float:
    old: dict[Locality, float] = {}
    new: dict[Locality, float] = {}
    for cell, before, after in zip(held.cells, outcome.before, outcome.shares, strict=True):
        old[cell.locality] = old.get(cell.locality, 0.0) + before
        new[cell.locality] = new.get(cell.locality, 0.0) + after
    return sum(max(0.0, share - old.get(place, 0.0)) for place, share in new.items())
