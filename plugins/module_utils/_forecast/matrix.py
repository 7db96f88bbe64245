# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services × losses: what survives, what spills over, what dies, and whether the survivors can carry it.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections import Counter
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._forecast.capacity import (
    Capacity,
    growth,
    headroom,
    workloads,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.held import NOTHING, Held, Known, Outcome
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import Loss, Losses, place_of
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


@dataclass(frozen=True)
class Entry:
    """One Service (port, subset) under one loss.

    `verdict` and `gap` are the worst over the clients that are left; `clients` how many of them have which verdict.
    `at_risk`: share of all requests that go to lost endpoints at first; `lost`: share that fails in the end; `moved`:
    share that other localities answer than before. `load`: the busiest surviving pod's load, as a multiple of the
    busiest pod's load of today; `limit` what it may be, known from `basis` (given, autoscaler, or assumed); `growth`
    what autoscaling may still add to the pods.
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
    basis: str = "assumed"

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
    clients: t.Sequence[ClientClass] | None = None,
    port: int = 0,
    subset: str | None = "",
    lose_clients: bool = True,
) -> Matrix:
    """Compute the matrix for the chosen Services and clients.

    `clients`: classes with those members that count, None for all. `port` 0: every one. `subset`: '' for whole
    Services, a name for that subset, None for both. `lose_clients`: clients in a lost place ask no more; otherwise
    only endpoints are lost, as when servers are drained.
    """
    capacity = capacity or Capacity()
    known = Known()
    held: dict[int, Held] = {}
    asked: dict[Destination, tuple[Service, list[_Client]]] = {}
    skipped: dict[str, str] = {}
    for kind in planner.classes if clients is None else clients:
        for destination in planner.destinations(kind.one):
            if (port and destination.port != port) or (subset is not None and destination.subset != subset):
                continue
            if not services(planner.scope(kind.one).services[destination.host]):
                continue
            made = planner.assignment(kind.one, destination)
            if made is None:
                continue
            reason = unfit(made)
            if reason:
                skipped[destination.cluster] = reason
                continue
            if id(made) not in held:
                held[id(made)] = Held(made, known)
            asked.setdefault(destination, (made.service, []))[1].append(_Client(kind, held[id(made)]))
    rows = [
        _Row(planner, destination, service, some, capacity).row(losses, lose_clients)
        for destination, (service, some) in sorted(asked.items(), key=lambda item: item[0])
    ]
    return Matrix(tuple(losses), tuple(rows), tuple(sorted(skipped.items())))


def unfit(made: Assignment) -> str:
    """Return why nothing can be said about where requests go; '' when it can."""
    if made.crash:
        return "istiod of this version crashes because of it"
    if made.type not in ("EDS", "STRICT_DNS", "LOGICAL_DNS"):
        return f"{made.type}: clients choose the address themselves, Envoy does not balance"
    return ""


class _Row:
    """One destination: what is the same for all losses is summed up once, a loss changes only what it touches."""

    def __init__(
        self, planner: Planner, destination: Destination, service: Service, some: list[_Client], capacity: Capacity
    ) -> None:
        self.destination, self.service, self.some = destination, service, some
        self.clients = sum(len(client.kind.members) for client in some)
        self.pods: dict[Locality, int] = {}
        self.loads: dict[Locality, float] = {}
        self.lost = 0.0
        self.verdicts: Counter[str] = Counter()
        self.counted: set[tuple[int, ...]] = set()
        for client in some:
            self._add(client)
        per_pod = [load / self.pods[place] for place, load in self.loads.items() if self.pods.get(place)]
        self.busiest = max(per_pod, default=0.0)
        behind = workloads(planner, some[0].held)
        self.growth = growth(behind)
        given, sized = capacity.per_pod.get(service.host), headroom(behind)
        self.limit, self.basis = capacity.headroom, "assumed"
        if given is not None and self.busiest:
            self.limit, self.basis = given / (self.busiest * capacity.rate), "given"
        elif given is None and sized is not None:
            self.limit, self.basis = sized, "autoscaler"

    def _add(self, client: _Client) -> None:
        number = len(client.kind.members)
        held, now = client.held, client.held.now
        for cell, share in zip(held.cells, now.shares, strict=True):
            if share:
                self.loads[cell.locality] = self.loads.get(cell.locality, 0.0) + number * share
        # Most clients hold the same endpoints, in another order.
        if held.members not in self.counted:
            self.counted.add(held.members)
            counts: dict[Locality, int] = {}
            for cell in held.cells:
                counts[cell.locality] = counts.get(cell.locality, 0) + cell.hosts.healthy
            for place, count in counts.items():
                self.pods[place] = max(self.pods.get(place, 0), count)
        lost = now.none + sum(now.dead)
        self.lost += number * lost
        self.verdicts["dies" if lost > 1 - NOTHING else "untouched"] += number

    def row(self, losses: t.Sequence[Losses], lose_clients: bool) -> Row:
        levels = {loss.level for one in losses for loss in one}
        touched = self._touched(levels)
        absent = self._absent(levels) if lose_clients else {}
        none = self._entry((), (), {})
        entries = []
        for one in losses:
            hit = sorted({index for loss in one for index in touched.get(loss, ())})
            away: dict[int, int] = {}
            for loss in one:
                for index, number in absent.get(loss, {}).items():
                    away[index] = max(away.get(index, 0), number)
            if hit or away:
                entries.append(self._entry(one, hit, away))
            else:
                entries.append(dataclasses.replace(none, losses=one))
        total = self.some[0].held.total
        return Row(self.destination, self.service, total, self.clients, tuple(entries))

    def _touched(self, levels: t.Collection[str]) -> dict[Loss, list[int]]:
        """Return loss → the clients (by position) some of whose requests go to what it takes."""
        found: dict[Loss, list[int]] = {}
        for index, client in enumerate(self.some):
            for level in levels:
                for place in client.held.busy_places(level):
                    found.setdefault(Loss(level, place), []).append(index)
        return found

    def _absent(self, levels: t.Collection[str]) -> dict[Loss, dict[int, int]]:
        """Return loss → {position of a client class: how many of its members it takes}."""
        found: dict[Loss, dict[int, int]] = {}
        for index, client in enumerate(self.some):
            members = client.kind.members
            for level in levels:
                if level in ("node", "pod"):
                    for member in members:
                        loss = Loss(level, place_of(level, member.locality, member.key, member.node))
                        own = found.setdefault(loss, {})
                        own[index] = own.get(index, 0) + 1
                else:
                    loss = Loss(level, place_of(level, members[0].locality, "", ""))
                    found.setdefault(loss, {})[index] = len(members)
        return found

    def _entry(self, losses: Losses, hit: t.Sequence[int], away: t.Mapping[int, int]) -> Entry:
        verdicts = Counter(self.verdicts)
        loads = dict(self.loads) if losses else self.loads
        gone: dict[Locality, int] = {}
        total, at_risk, lost, moved = self.clients, 0.0, self.lost, 0.0
        rank, worst = (-1, -1), ""
        for index in sorted({*hit, *away}):
            client = self.some[index]
            held, members = client.held, len(client.kind.members)
            left = members - away.get(index, 0)
            now = held.now
            alive = now.none + sum(now.dead)
            verdicts["dies" if alive > 1 - NOTHING else "untouched"] -= members
            total -= members - left
            lost -= members * alive
            outcome = held.outcome(losses)
            verdicts[outcome.verdict] += left
            for number in outcome.busy:
                place = held.cells[number].locality
                change = left * outcome.shares[number] - members * outcome.before[number]
                loads[place] = loads.get(place, 0.0) + change
                if taken := outcome.gone[number]:
                    gone[place] = max(gone.get(place, 0), taken)
            if not left:
                continue
            at_risk += left * outcome.at_risk
            lost += left * outcome.lost
            moved += left * _moved(held, outcome)
            own = (VERDICTS.index(outcome.verdict), GAPS.index(outcome.gap))
            if own > rank:
                rank, worst = own, client.kind.one.key
        if not total:
            return Entry(
                self.destination,
                losses,
                "untouched",
                "none",
                {},
                0.0,
                0.0,
                0.0,
                0.0,
                self.limit,
                self.growth,
                basis=self.basis,
            )
        verdict = max((name for name, number in verdicts.items() if number > 0), key=VERDICTS.index)
        gap = GAPS[rank[1]] if rank[1] >= 0 else "never" if verdict == "dies" else "none"
        return Entry(
            self.destination,
            losses,
            verdict,
            gap,
            {name: number for name, number in verdicts.items() if number > 0},
            at_risk / total,
            max(0.0, lost / total),
            moved / total,
            self._load(loads, gone),
            self.limit,
            self.growth,
            worst,
            self.basis,
        )

    def _load(self, loads: t.Mapping[Locality, float], gone: t.Mapping[Locality, int]) -> float:
        if not self.busiest:
            return 0.0
        heaviest = 0.0
        for place, load in loads.items():
            left = self.pods.get(place, 0) - gone.get(place, 0)
            if load > NOTHING and left > 0:
                heaviest = max(heaviest, load / left)
        return heaviest / self.busiest


def _moved(held: Held, outcome: Outcome) -> float:
    old: dict[Locality, float] = {}
    new: dict[Locality, float] = {}
    for number in outcome.busy:
        place = held.cells[number].locality
        old[place] = old.get(place, 0.0) + outcome.before[number]
        new[place] = new.get(place, 0.0) + outcome.shares[number]
    return sum(max(0.0, share - old.get(place, 0.0)) for place, share in new.items())
