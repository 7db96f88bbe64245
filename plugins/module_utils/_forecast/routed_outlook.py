# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several destinations of one route add up to: shares, failures and their course, now and under each loss.

Envoy draws the destination once for each request; retries stay with it. So every number of a route is the sum of its
destinations' numbers. Source: envoy source/common/router/config_impl.cc, WeightedClusterEntry.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import Phase, Transition
from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import GroupShares, LostHosts
from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_forecast import (
    Between,
    FaultForecast,
    Forecast,
    Outlook,
    Question,
    Spread,
    outlook,
)
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
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import Losses, takes_client
from ansible_collections.meshops.locality.plugins.module_utils._forecast.routed_requests import Part, Requests
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_retries import Route, as_sent, route
from ansible_collections.meshops.locality.plugins.module_utils._istio.routes import Routes
from ansible_collections.meshops.locality.plugins.module_utils._model.assumptions import Assumption, assumption
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality


class RoutedLoad:
    """What one client's Envoy holds for all destinations of a class of requests; it is used like a ClientLoad."""

    def __init__(self, parts: t.Sequence[tuple[ClientLoad, float]], failing: float) -> None:
        """`parts` are (what Envoy holds, share of the requests)."""
        self.parts = list(parts)
        self.failing = failing
        self._first: list[int] = []
        localities: list[Locality] = []
        counted: list[CountedEndpoints] = []
        for load, _share in self.parts:
            self._first.append(len(localities))
            localities += load.common.localities
            counted += load.common.counted
        self.common = EndpointsByLocality(localities, counted)
        self.total = sum(load.total for load, _share in self.parts)
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

    def outcome(self, losses: Losses, of_part: t.Callable[[ClientLoad, float], Outcome] | None = None) -> Outcome:
        """Return what a loss does to the requests.

        `of_part`: what it does to those of one destination, the same for every loss; None: connections are refused.
        """
        if losses not in self._outcomes:
            outcomes = [
                (of_part(load, share) if of_part else load.outcome(losses), share) for load, share in self.parts
            ]
            self._outcomes[losses] = combined(outcomes, self._first, self.failing)
        return self._outcomes[losses]


def route_of(planner: Planner, routes: Routes, client: Client, requests: Requests) -> Route:
    """Return how a class of requests is sent: its own route, or that of the Service's host where none is known."""
    if requests.route is not None or not requests.parts:
        return as_sent(requests.route) if requests.route else Route(None, None, "")
    return route(planner, client, requests.parts[0].assignment, routes)


def load_of(requests: Requests, loads: ClientLoads) -> ClientLoad | RoutedLoad:
    """Return what Envoy holds for a class of requests."""
    if len(requests.parts) == 1 and requests.parts[0].share > 1 - NOTHING:
        return loads.of(requests.parts[0].assignment)
    return RoutedLoad([(loads.of(part.assignment), part.share) for part in requests.parts], requests.failing)


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


def routed_outlook(
    planner: Planner, client: Client, requests: Requests, losses: t.Sequence[Losses], question: Question
) -> tuple[Spread, tuple[Forecast, ...], tuple[Assumption, ...]]:
    """Return (where requests go now, what each loss does to them, the assumptions) of a class of requests."""
    seen: list[tuple[Outlook, float]] = []
    for part in requests.parts:
        own = Question(question.rate * part.share, question.faults, question.readiness)
        way = as_sent(requests.route) if requests.route else None
        hop = outlook(planner, client, part.assignment, losses, own, way)
        if part.onward:
            hop = _with_onward(planner, hop, part, losses, own)
        seen.append((hop, part.share))
    if len(seen) == 1 and seen[0][1] > 1 - NOTHING:
        return seen[0][0].now, seen[0][0].forecasts, seen[0][0].assumptions
    now = _spread([(hop_outlook.now, share) for hop_outlook, share in seen], requests.failing)
    forecasts = tuple(
        Forecast(
            lost,
            {
                fault.name.lower(): _fault(
                    [(hop_outlook.forecasts[index].faults[fault.name.lower()], share) for hop_outlook, share in seen],
                    requests.failing,
                    question.rate,
                )
                for fault in question.faults
            },
        )
        for index, lost in enumerate(losses)
    )
    sentences = [sentence for hop_outlook, _share in seen for sentence in hop_outlook.assumptions]
    return now, forecasts, tuple(dict.fromkeys(sentences))


def _with_onward(planner: Planner, hop: Outlook, part: Part, losses: t.Sequence[Losses], question: Question) -> Outlook:
    """Return the outlook of requests that take two hops: those that fail on either of them fail.

    Which gateways they pass is what the first hop makes of its endpoints: now, and after each loss.
    """
    assumed = dict.fromkeys(hop.assumptions)

    @functools.cache
    def behind(number: int, share: float, lost: tuple[Losses, ...]) -> tuple[Spread, tuple[Forecast, ...]]:
        onward, own = part.onward[number], dataclasses.replace(question, rate=question.rate * share)
        now, forecasts, sentences = routed_outlook(planner, onward.gateways[0], onward.requests, lost, own)
        assumed.update(dict.fromkeys(sentences))
        return now, forecasts

    first_hop = passing(hop.now, part)
    reached = _spread([(behind(number, share, ())[0], share) for number, share in first_hop], 0.0)
    now = _in_turn(hop.now, reached if first_hop else _NOWHERE)
    forecasts = []
    for first in hop.forecasts:
        faults = {}
        for name, fault in first.faults.items():
            settled = passing(fault.settled, part, first.losses)
            each = [(behind(*way, (first.losses,))[1][0].faults[name], way[1]) for way in settled]
            second = _fault(each, 0.0, question.rate) if each else FaultForecast(_NOBODY, _NOWHERE)
            faults[name] = _both(fault, second, question.rate, now.none + now.dead)
        forecasts.append(Forecast(first.losses, faults))
    name = f"{part.assignment.destination.host}:{part.assignment.destination.port}"
    assumed[assumption("gateway-on-the-way", gateway=name)] = None
    return dataclasses.replace(hop, now=now, forecasts=tuple(forecasts), assumptions=tuple(assumed))


#: What becomes of requests that no gateway takes.
_NOWHERE, _NOBODY = Spread({}, {}, 1.0), Outcome("dies", "never", 0.0, 1.0, ())


def passing(spread: Spread, part: Part, losses: Losses = ()) -> list[tuple[int, float]]:
    """Return (number, share) of the part's `onward` that requests pass which are not lost on the first hop.

    `spread`: where the first hop sends them. Gateways that `losses` take let nothing pass.
    """
    each = [
        sum(
            spread.by_endpoint.get(gateway.key.rpartition("/")[2], 0.0)
            for gateway in onward.gateways
            if not any(takes_client(loss, gateway) for loss in losses)
        )
        for onward in part.onward
    ]
    whole = sum(each)
    return [(number, round(share / whole, 9)) for number, share in enumerate(each) if share > NOTHING]


def _in_turn(first: Spread, second: Spread) -> Spread:
    """Return where requests end that take two hops: what the first lets through ends where the second sends it."""
    through = 1.0 - first.none - first.dead
    dead = {name: through * share for name, share in second.dead_by_locality.items()}
    for name, share in first.dead_by_locality.items():
        dead[name] = dead.get(name, 0.0) + share
    return Spread(
        {name: through * share for name, share in second.by_locality.items()},
        {name: through * share for name, share in second.by_endpoint.items()},
        first.none + through * second.none,
        sum(dead.values()),
        dead,
    )


def _both(first: FaultForecast, second: FaultForecast, rate: float, today: float) -> FaultForecast:
    """Return the forecast of requests that take two hops, of one fault. `today`: the share that fails before it."""

    def either(share: float, other: float) -> float:
        return share + other - share * other

    earlier, later = first.outcome, second.outcome
    verdict = max(earlier.verdict, later.verdict, key=VERDICTS.index)
    lost = either(earlier.lost, later.lost)
    if lost > 1 - NOTHING:
        verdict = "dies"
    outcome = later._replace(
        verdict=verdict,
        gap=max(earlier.gap, later.gap, key=GAPS.index),
        at_risk=either(earlier.at_risk, later.at_risk),
        lost=lost,
        stuck=max(either(earlier.stuck, later.stuck), lost - today),
    )
    times = [hop.readiness for hop in (first, second) if hop.readiness is not None]
    readiness = Between(min(each.least for each in times), max(each.most for each in times)) if times else None
    settled = _in_turn(first.settled, second.settled)
    if first.transition is None and second.transition is None:
        return FaultForecast(outcome, settled, readiness=readiness)

    def course(index: int) -> Transition:
        chosen = []
        for hop in (first, second):
            way = hop.transition if index == 0 or hop.bounds is None else hop.bounds[index - 1]
            chosen.append((way, 1.0, hop.lost))
        return together(chosen, 0.0, rate, in_turn=True)

    expected, least, most = course(0), course(1), course(2)
    return FaultForecast(outcome, settled, expected, readiness, (least, most) if least[:2] != most[:2] else None)


def _spread(spreads: t.Iterable[tuple[Spread, float]], failing: float) -> Spread:
    by_locality: dict[str, float] = {}
    by_endpoint: dict[str, float] = {}
    dead: dict[str, float] = {}
    none = failing
    for spread, share in spreads:
        none += share * spread.none
        for totals, given in (
            (by_locality, spread.by_locality),
            (by_endpoint, spread.by_endpoint),
            (dead, spread.dead_by_locality),
        ):
            for name, part in given.items():
                totals[name] = totals.get(name, 0.0) + share * part
    return Spread(by_locality, by_endpoint, none, sum(dead.values()), dead)


def _fault(faults: t.Sequence[tuple[FaultForecast, float]], failing: float, rate: float) -> FaultForecast:
    cells = [0]
    for fault, _share in faults:
        cells.append(cells[-1] + 1 + max((flow.cell for flow in fault.outcome.flows), default=0))
    outcome = combined([(fault.outcome, share) for fault, share in faults], cells[:-1], failing)
    settled = _spread([(fault.settled, share) for fault, share in faults], failing)
    times = [fault.readiness for fault, _share in faults if fault.readiness is not None]
    readiness = Between(min(time.least for time in times), max(time.most for time in times)) if times else None
    if all(fault.transition is None for fault, _share in faults):
        return FaultForecast(outcome, settled, readiness=readiness)

    def course(index: int) -> Transition:
        chosen = []
        for fault, share in faults:
            either = fault.transition if index == 0 or fault.bounds is None else fault.bounds[index - 1]
            chosen.append((either, share, fault.lost))
        return together(chosen, failing, rate)

    expected, least, most = course(0), course(1), course(2)
    bounds = (least, most) if least[:2] != most[:2] else None
    return FaultForecast(outcome, settled, expected, readiness, bounds, parts=tuple(faults), failing=failing)


class _Span(t.NamedTuple):
    """A phase of one destination on the time line. `failing` is the share of all requests, `failed` for a second."""

    start: float
    end: float
    failing: float
    failed: float
    what: str


def together(
    transitions: t.Sequence[tuple[Transition | None, float, float]],
    failing: float,
    rate: float,
    *,
    in_turn: bool = False,
) -> Transition:
    """Return the transition of all requests of (transition, share, share of them that fails for good) by destination.

    `failing` is the share that fails whatever is lost; `rate` are requests per second of all of them. `in_turn`: every
    request takes all of the destinations, one after the other.
    """
    spans: list[_Span] = []
    moments: list[Phase] = []
    assumptions: list[Assumption] = []
    at_first = for_good = failing
    if failing:
        spans.append(_Span(0.0, math.inf, failing, rate * failing, "for ever: the route itself fails them"))
    ends = 0
    for course, share, lost in transitions:
        if course is None:
            at_first, for_good = at_first + share * lost, for_good + share * lost
            if lost > NOTHING:
                spans.append(_Span(0.0, math.inf, share * lost, rate * share * lost, "for ever: no endpoint is left"))
            continue
        at_first, for_good = at_first + share * course.at_first, for_good + share * course.for_good
        ends = max(ends, GAPS.index(course.ends_by))
        assumptions += course.assumptions
        start = 0.0
        for phase in course.phases:
            if phase.seconds == 0:
                moments.append(phase._replace(failing=share * phase.failing))
                continue
            end = math.inf if phase.seconds is None else start + phase.seconds
            pace = phase.failed / phase.seconds if phase.failed is not None and phase.seconds else None
            own = rate * share * phase.failing if pace is None else pace
            spans.append(_Span(start, end, share * phase.failing, own, phase.what))
            start = end
    if in_turn:
        at_first = 1 - math.prod(
            1 - (lost if course is None else course.at_first) for course, _share, lost in transitions
        )
        for_good = 1 - math.prod(
            1 - (lost if course is None else course.for_good) for course, _share, lost in transitions
        )
    phases = [*_phases(spans, in_turn), *moments]
    ever = all(phase.seconds is not None for phase in phases)
    return Transition(
        sum(phase.failed or 0.0 for phase in phases) if ever else None,
        sum(phase.seconds or 0.0 for phase in phases) if ever else None,
        ever,
        tuple(phases),
        tuple(dict.fromkeys(assumptions)),
        GAPS[ends] if ends else "never",
        at_first,
        for_good,
    )


def _phases(spans: t.Sequence[_Span], in_turn: bool) -> list[Phase]:
    times = sorted({time for span in spans for time in (span.start, span.end)})
    phases: list[Phase] = []
    for start, end in itertools.pairwise(times):
        active = [span for span in spans if span.start <= start and span.end >= end]
        if not active:
            continue
        what = max(active, key=lambda span: span.failing).what
        share = whole = sum(span.failing for span in active)
        if in_turn:
            share = 1 - math.prod(1 - span.failing for span in active)
        endless = math.isinf(end)
        phases.append(
            Phase(
                what,
                None if endless else end - start,
                share,
                None
                if endless
                else (end - start) * sum(span.failed for span in active) * (share / whole if whole else 1),
            )
        )
    return phases
