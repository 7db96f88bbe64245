# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Envoys hold for a class of requests: several destinations of a route, and the hop behind a gateway on the way.

Envoy draws the destination once for each request; retries stay with it. So every number of a route is the sum of its
destinations' numbers. Source: envoy source/common/router/config_impl.cc, WeightedClusterEntry.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import GroupShares, LostHosts
from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_load import (
    GAPS,
    NOTHING,
    VERDICTS,
    ClientLoad,
    ClientLoads,
    Flow,
    Outcome,
    moved,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.endpoint_groups import (
    CountedEndpoints,
    EndpointGroup,
    EndpointsByLocality,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import Losses
from ansible_collections.meshops.locality.plugins.module_utils._forecast.routed_requests import Part, Requests
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_retries import Route, as_sent, route
from ansible_collections.meshops.locality.plugins.module_utils._istio.routes import Routes
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality

#: What a loss does to the requests that take one hop: (what Envoy holds, the way they are sent there, their share).
OfHop: t.TypeAlias = "t.Callable[[Load, Route | None, float], Outcome]"


class RoutedLoad:
    """What one client's Envoy holds for all destinations of a class of requests; it is used like a ClientLoad."""

    def __init__(self, parts: t.Sequence[tuple[Load, float]], failing: float, ways: t.Sequence[Route] = ()) -> None:
        """`parts` are (what Envoy holds, share of the requests). `ways`: how each is sent, where it is not the client
        that sends them."""
        self.parts = list(parts)
        self.failing = failing
        self.ways: t.Sequence[Route | None] = ways or [None] * len(self.parts)
        self._first: list[int] = []
        localities: list[Locality] = []
        counted: list[CountedEndpoints] = []
        for load, _share in self.parts:
            self._first.append(len(localities))
            localities += load.common.localities
            counted += load.common.counted
        self.common = EndpointsByLocality(localities, counted)
        #: How many endpoints there are: several ways may lead to one.
        self.total = len({member.host for group in counted for member in group.members})
        self._outcomes: dict[Losses, Outcome] = {}

    @functools.cached_property
    def cells(self) -> list[EndpointGroup]:
        """The cells of all destinations, one after the other."""
        return [cell for load, _share in self.parts for cell in load.cells]

    @functools.cached_property
    def now(self) -> GroupShares:
        """The shares of the cells as everything is now."""
        shares: dict[int, float] = {}
        dead: dict[int, float] = {}
        none = self.failing
        for first, (load, share) in zip(self._first, self.parts, strict=True):
            shares.update({first + cell: share * part for cell, part in load.now.shares.items()})
            dead.update({first + cell: share * part for cell, part in load.now.dead.items()})
            none += share * load.now.none
        return GroupShares(shares, dead, none)

    @property
    def first_hops(self) -> list[ClientLoad]:
        """What is held of the gateways that some of the requests pass."""
        return [hop for load, _share in self.parts for hop in load.first_hops]

    def outcome(self, losses: Losses, of_hop: OfHop | None = None) -> Outcome:
        """Return what a loss does to the requests.

        `of_hop`: what it does to those of one hop, the same for every loss; None: connections are refused.
        """
        if losses not in self._outcomes:
            outcomes = [
                (of_hop(load, way, share) if of_hop else load.outcome(losses), share)
                for (load, share), way in zip(self.parts, self.ways, strict=True)
            ]
            self._outcomes[losses] = combined(outcomes, self._first, self.failing)
        return self._outcomes[losses]


class OnwardLoad:
    """What Envoys hold for requests that take two hops: a client's of gateways, these of what is behind them.

    It is used like a ClientLoad. Its endpoints, and what they get, are those behind the gateways.
    """

    def __init__(self, first: ClientLoad, second: RoutedLoad) -> None:
        self.first, self.second = first, second
        self.common, self.total = second.common, second.total

    @property
    def cells(self) -> list[EndpointGroup]:
        """The cells of all destinations behind the gateways."""
        return self.second.cells

    @property
    def first_hops(self) -> list[ClientLoad]:
        """What is held of the gateways."""
        return [self.first, *self.second.first_hops]

    @functools.cached_property
    def now(self) -> GroupShares:
        """The shares of the cells behind the gateways as everything is now."""
        through, now = 1.0 - self.first.now.failing, self.second.now
        shares = {cell: through * share for cell, share in now.shares.items()}
        dead = {cell: through * share for cell, share in now.dead.items()}
        return GroupShares(shares, dead, self.first.now.failing + through * now.none)

    def outcome(self, losses: Losses, of_hop: OfHop | None = None) -> Outcome:
        """Return what a loss does to the requests; `of_hop` as for a RoutedLoad."""
        first = of_hop(self.first, None, 1.0) if of_hop else self.first.outcome(losses)
        return in_turn(first, self.second.outcome(losses, of_hop))


Load: t.TypeAlias = ClientLoad | RoutedLoad | OnwardLoad


def in_turn(earlier: Outcome, later: Outcome) -> Outcome:
    """Return the outcome of requests that take two hops: those fail that fail on either; flows are of the second."""
    lost = either(earlier.lost, later.lost)
    return later._replace(
        verdict="dies" if lost > 1 - NOTHING else max(earlier.verdict, later.verdict, key=VERDICTS.index),
        gap=max(earlier.gap, later.gap, key=GAPS.index),
        at_risk=either(earlier.at_risk, later.at_risk),
        lost=lost,
        stuck=either(earlier.stuck, later.stuck),
    )


def either(share: float, other: float) -> float:
    """Return the share of requests that fail when these shares fail of two hops."""
    return share + other - share * other


def route_of(planner: Planner, routes: Routes, client: Client, requests: Requests) -> Route:
    """Return how a class of requests is sent: its own route, or that of the Service's host where none is known."""
    if requests.route is not None or not requests.parts:
        return as_sent(requests.route) if requests.route else Route(None, None, "")
    return route(planner, client, requests.parts[0].assignment, routes)


def load_of(planner: Planner, routes: Routes, requests: Requests, loads: ClientLoads) -> Load:
    """Return what Envoys hold for a class of requests."""
    parts = [(_part_load(planner, routes, part, loads), part.share) for part in requests.parts]
    if len(parts) == 1 and parts[0][1] > 1 - NOTHING:
        return parts[0][0]
    return RoutedLoad(parts, requests.failing)


def _part_load(planner: Planner, routes: Routes, part: Part, loads: ClientLoads) -> ClientLoad | OnwardLoad:
    first = loads.of(part.assignment)
    if not part.onward:
        return first
    behind = [(load_of(planner, routes, requests, loads), share) for _gateway, requests, share in part.onward]
    ways = [route_of(planner, routes, gateway, requests) for gateway, requests, _share in part.onward]
    return OnwardLoad(first, RoutedLoad(behind, 0.0, ways))


def combined(outcomes: t.Sequence[tuple[Outcome, float]], first: t.Sequence[int], failing: float) -> Outcome:
    """Return the outcome for all requests of (outcome, share) of their destinations; `first`: each one's first cell."""
    flows: list[Flow] = []
    gone: list[LostHosts] = []
    at_risk = stuck = 0.0
    lost = failing
    worst = [0]
    gap = 0
    for start, (outcome, share) in zip(first, outcomes, strict=True):
        flows += [
            Flow(start + cell, place, share * before, share * after) for cell, place, before, after in outcome.flows
        ]
        gone += [LostHosts(start + cell, number) for cell, number in outcome.gone]
        at_risk, lost, stuck = (
            at_risk + share * outcome.at_risk,
            lost + share * outcome.lost,
            stuck + share * outcome.stuck,
        )
        if outcome.at_risk > NOTHING:
            worst.append(VERDICTS.index("dies_in_part" if outcome.verdict == "dies" else outcome.verdict))
            gap = max(gap, GAPS.index(outcome.gap))
    verdict, way = VERDICTS[max(worst)], GAPS[gap]
    if lost > 1 - NOTHING:
        verdict, way, lost = "dies", "never", 1.0
    return Outcome(verdict, way, at_risk, lost, tuple(flows), moved(flows), tuple(gone), stuck=stuck)
