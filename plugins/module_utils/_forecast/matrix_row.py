# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One Service under every loss: what survives, what spills over, what dies, and whether the survivors can carry it.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._forecast.capacity import (
    Capacity,
    growth,
    headroom,
    workloads,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_load import NOTHING, ClientLoad
from ansible_collections.meshops.locality.plugins.module_utils._forecast.endpoint_groups import (
    Carrier,
    EndpointsByLocality,
    carriers,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.expected_failures import FailureEstimates
from ansible_collections.meshops.locality.plugins.module_utils._forecast.loss_grade import lasting_verdict
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import NAMED, Loss, Losses, place_of
from ansible_collections.meshops.locality.plugins.module_utils._forecast.request_errors import RequestError
from ansible_collections.meshops.locality.plugins.module_utils._forecast.routed_outlook import RoutedLoad
from ansible_collections.meshops.locality.plugins.module_utils._forecast.service_under_loss import (
    LossSums,
    ServiceUnderLoss,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import ClientClass, Destination, Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_retries import Route
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Service


@dataclass(frozen=True)
class Row:
    """A Service's port with all its entries, in the order of the matrix' losses."""

    destination: Destination
    service: Service
    endpoints: int
    clients: int
    entries: tuple[ServiceUnderLoss, ...]
    #: Which requests it speaks of, for people; '' for those that no other row of the Service speaks of.
    requests: str = ""
    #: Share of them that fails before anything is lost, and why.
    failing_today: float = 0.0
    errors: tuple[RequestError, ...] = ()


class RequestingClients(t.NamedTuple):
    """A class of clients that asks the Service, and what their Envoys hold of it."""

    kind: ClientClass
    client_load: ClientLoad | RoutedLoad
    way: Route
    errors: tuple[RequestError, ...] = ()
    #: The type of gateways and waypoints that requests of others pass.
    passed: str = ""


def _loads(client: RequestingClients) -> list[ClientLoad]:
    load = client.client_load
    return [load] if isinstance(load, ClientLoad) else [part for part, _share in load.parts]


class _Today(t.NamedTuple):
    """What all members of a class of clients do now. `loads`: what each locality (or cell) gets. `stays`: their
    requests are not fewer when some are lost; of other gateways and waypoints nobody knows whose requests pass them."""

    members: int
    failing: float
    verdict: str
    loads: list[tuple[t.Hashable, float]]
    who: str
    stays: bool


#: Loss → {class of clients: which of its members it takes, by their positions}.
Absent = t.Mapping[Loss, t.Mapping[ClientClass, t.Collection[int]]]


def absent(kinds: t.Iterable[ClientClass], levels: t.Collection[str]) -> Absent:
    """Return which clients every possible loss of these levels takes."""
    by_loss: dict[Loss, dict[ClientClass, t.Collection[int]]] = {}
    for kind in kinds:
        everybody = range(len(kind.members))
        for level in levels:
            if level not in NAMED:  # all members have one locality
                one_of_them = kind.members[0]
                place = place_of(level, one_of_them.locality, one_of_them.key, one_of_them.node)
                by_loss.setdefault(Loss(level, place), {})[kind] = everybody
                continue
            for index, member in enumerate(kind.members):
                own = by_loss.setdefault(Loss(level, place_of(level, member.locality, member.key, member.node)), {})
                own[kind] = [*own.get(kind, ()), index]
    return by_loss


class DestinationUnderLosses:
    """One destination: what is the same for all losses is summed up once, a loss changes only what it touches."""

    def __init__(
        self,
        planner: Planner,
        destination: Destination,
        service: Service,
        some: list[RequestingClients],
        capacity: Capacity,
        estimates: FailureEstimates,
        requests: str = "",
    ) -> None:
        """`requests`: which ones of those to the destination, '' for the default."""
        self.destination, self.service, self.some, self.estimates = destination, service, some, estimates
        self.requests = requests
        self.clients = sum(len(client.kind.members) for client in some)
        self.loads: dict[t.Hashable, float] = {}
        self.lost = 0.0
        self.verdicts: dict[str, int] = {}
        shared = list(dict.fromkeys(client.client_load.common for client in some))
        #: When all clients hold the same endpoints, each locality's in one cell: a loss then takes the same from all.
        self.common = some[0].client_load.common if len(shared) == 1 and some[0].client_load.common.distinct else None
        self.pods: dict[t.Hashable, int] = dict(self.common.healthy.items() if self.common else ())
        #: Otherwise their pods, by cells with equal ones; `cells`: the number of each cell of what clients hold.
        self.carriers: list[tuple[Carrier, ...]] = []
        self.cells: dict[EndpointsByLocality, list[int]] = {}
        self.total = shared[0].total
        if self.common is None:
            self._number(shared)
        self.today = [self._add(client) for client in some]
        per_pod = {place: load / self.pods[place] for place, load in self.loads.items() if self.pods.get(place)}
        self.busiest = max(per_pod.values(), default=0.0) if self.common else self._heaviest(self.loads, ())
        #: The localities with load, those with the busiest pods first.
        self.ranked = sorted(
            ((load, place) for place, load in per_pod.items() if self.loads[place] > NOTHING), reverse=True
        )
        behind = workloads(planner, some[0].client_load.cells)
        self.growth = growth(behind)
        hosts = {load.assignment.service.host for client in some for load in _loads(client)}
        given = capacity.per_pod.get(service.host)
        if given is None and hosts <= capacity.per_pod.keys():
            given = min((capacity.per_pod[host] for host in hosts), default=None)
        sized = headroom(behind)
        self.limit, self.basis = capacity.headroom, "assumed"
        if given is not None and self.busiest:
            self.limit, self.basis = given / (self.busiest * capacity.rate), "given"
        elif given is None and sized is not None:
            self.limit, self.basis = sized, "autoscaler"

    def _number(self, shared: t.Iterable[EndpointsByLocality]) -> None:
        numbers: dict[tuple[Carrier, ...], int] = {}
        for each in shared:
            own = [carriers(*cell) for cell in zip(each.localities, each.counted, strict=True)]
            self.cells[each] = [numbers.setdefault(cell, len(numbers)) for cell in own]
        self.carriers = list(numbers)
        self.total = len({each.spot.pod for own in self.carriers for each in own})

    def _keys(self, client: RequestingClients) -> t.Sequence[t.Hashable]:
        """Return by what the load of each cell of a client is summed up: its locality, or the number of its pods."""
        common = client.client_load.common
        return common.localities if self.common is not None else self.cells[common]

    def _heaviest(self, loads: t.Mapping[t.Hashable, float], losses: Losses) -> float:
        """Return the load of the busiest pod that is left, of loads by the numbers of cells."""
        by_pod: dict[str, float] = {}
        for number, load in loads.items():
            if load > NOTHING:
                own = self.carriers[t.cast(int, number)]
                left = {each.spot.pod: each.weight for each in own if each.weight and not each.lost(losses)}
                whole = sum(left.values())
                for pod, weight in left.items():
                    by_pod[pod] = by_pod.get(pod, 0.0) + load * weight / whole
        return max(by_pod.values(), default=0.0)

    def _add(self, client: RequestingClients) -> _Today:
        members = len(client.kind.members)
        now, keys = client.client_load.now, self._keys(client)
        loads = [(keys[cell], members * share) for cell, share in now.shares.items()]
        for place, load in loads:
            self.loads[place] = self.loads.get(place, 0.0) + load
        failing = now.failing
        verdict = "untouched"  # a loss does nothing more to those who fail today
        self.lost += members * failing
        self.verdicts[verdict] = self.verdicts.get(verdict, 0) + members
        one_of_them = client.kind.representative
        stays = one_of_them.type != "sidecar" and not client.passed
        return _Today(members, failing, verdict, loads, one_of_them.key, stays)

    def row(self, losses: t.Sequence[Losses], absent: Absent) -> Row:
        """Return the row. `absent`: the clients that losses take; empty when they take none."""
        touched = self._touched(sorted({loss.level for joint in losses for loss in joint}))
        positions = {client.kind: index for index, client in enumerate(self.some)}
        none = self._entry((), (), {})
        entries = []
        for joint in losses:
            hit = {index for loss in joint for index in touched.get(loss, ())}
            lost: dict[int, t.Collection[int]] = {}
            for loss in joint:
                for kind, members in absent.get(loss, {}).items():
                    if (index := positions.get(kind)) is not None:
                        lost[index] = members if index not in lost else {*lost[index], *members}
            away = {index: len(members) for index, members in lost.items()}
            if hit or away:
                entries.append(self._entry(joint, hit, away))
            else:
                entries.append(none._replace(losses=joint))
        errors = tuple(dict.fromkeys(error for client in self.some for error in client.errors))
        today = self.lost / self.clients
        return Row(
            self.destination,
            self.service,
            self.total,
            self.clients,
            tuple(entries),
            self.requests,
            today,
            errors,
        )

    def _touched(self, levels: t.Collection[str]) -> dict[Loss, set[int]]:
        """Return loss → the clients (by position) some of whose requests go to what it takes."""
        touched: dict[Loss, set[int]] = {}
        for index, client in enumerate(self.some):
            losses = client.client_load.common.losses(levels)
            for cell, share in client.client_load.now.shares.items():
                if share > NOTHING:
                    for loss in losses[cell]:
                        touched.setdefault(loss, set()).add(index)
        return touched

    def _taken_over(self, away: t.Mapping[int, int]) -> dict[str, float]:
        """Return how many times as much the gateways or waypoints that are left get; 0.0 when none is left."""
        factors: dict[str, float] = {}
        for passed in {self.some[index].passed for index in away} - {""}:
            own = [index for index, client in enumerate(self.some) if client.passed == passed]
            total = sum(self.today[index].members for index in own)
            left = total - sum(away.get(index, 0) for index in own)
            factors[passed] = total / left if left else 0.0
        return factors

    def _entry(self, losses: Losses, hit: t.Collection[int], away: t.Mapping[int, int]) -> ServiceUnderLoss:
        sums = LossSums(dict(self.verdicts), float(self.clients), self.lost, self.lost)
        if self.common is not None:
            sums.gone = {self.common.localities[cell]: count for cell, count in self.common.lost(losses)}
        changed = {*hit, *away}
        factors = self._taken_over(away) if away else {}
        if factors:
            changed.update(index for index, client in enumerate(self.some) if client.passed in factors)
        for index in (*sorted(changed.difference(away)), *sorted(away)):
            now, client = self.today[index], self.some[index]
            factor = factors.get(client.passed, 1.0) if factors else 1.0
            remaining = now.members if now.stays else now.members - away.get(index, 0)
            left = remaining * factor
            sums.verdicts[now.verdict] -= now.members
            sums.lost -= now.members * now.failing
            if not remaining and (not factor or self.common is not None):  # nobody is left who has an outcome
                for place, load in now.loads:
                    sums.loads[place] = sums.loads.get(place, self.loads[place]) - load
            if not factor:  # who asks by them gets no answer
                sums.add_cut_off(now.verdict, now.members, now.failing, now.who)
                continue
            sums.total -= now.members - left
            sums.today -= (now.members - left) * now.failing
            if remaining or self.common is None:
                self._add_outcome(sums, client, now, losses, remaining, left)
        if not sums.total:
            return self._nobody(losses)
        load = self._load(sums.loads, sums.gone, losses)
        return sums.entry(self.destination, losses, load, self.limit, self.growth, self.basis)

    def _add_outcome(
        self, sums: LossSums, client: RequestingClients, now: _Today, losses: Losses, remaining: int, left: float
    ) -> None:
        """Add what `remaining` members of a class meet, who ask as much as `left` of them did."""
        outcome = self.estimates.outcome(client.client_load, client.way, losses)
        expected = self.estimates.of(client.client_load, client.way, outcome, losses)
        stuck = expected.for_good > now.failing + NOTHING and outcome.at_risk > NOTHING
        fate = "dies" if expected.for_good > 1 - NOTHING and stuck else outcome.verdict
        if fate == "dies" and outcome.at_risk > NOTHING and expected.for_good < 1 - NOTHING:
            fate = "survives"  # retries in other priorities answer
        if stuck:
            fate = lasting_verdict(fate, expected.for_good - now.failing)
        if now.failing > 1 - NOTHING:
            fate = now.verdict
        sums.add_verdict(fate, remaining)
        loads, members, keys = sums.loads, now.members, self._keys(client)
        for cell, _place, before, after in outcome.flows:
            key = keys[cell]
            known = loads[key] if key in loads else self.loads.get(key, 0.0)
            loads[key] = known + (left * after - members * before)
        if left:
            sums.add(outcome, expected, left, now.failing)
            sums.add_worst(fate, outcome.gap, now.who)

    def _nobody(self, losses: Losses) -> ServiceUnderLoss:
        """Return the entry of a loss that takes all clients."""
        nothing = (0.0, 0.0, 0.0, 0.0)
        return ServiceUnderLoss(
            self.destination, losses, "untouched", "none", {}, *nothing, self.limit, self.growth, basis=self.basis
        )

    def _load(self, loads: t.Mapping[t.Hashable, float], gone: t.Mapping[t.Hashable, int], losses: Losses) -> float:
        if not self.busiest:
            return 0.0
        if self.common is None:
            return self._heaviest({**self.loads, **loads}, losses) / self.busiest
        heaviest = next((load for load, place in self.ranked if place not in loads and place not in gone), 0.0)
        today, pods = self.loads, self.pods
        for place in {*loads, *gone}:
            load = loads[place] if place in loads else today.get(place, 0.0)
            if load > NOTHING and (left := pods.get(place, 0) - gone.get(place, 0)) > 0:
                heaviest = max(heaviest, load / left)
        return heaviest / self.busiest
