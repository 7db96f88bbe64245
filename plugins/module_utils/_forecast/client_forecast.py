# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a client's requests go now, and during and after a loss: shares by locality and pod, failures and time.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import (
    Client as Sender,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import Fault, Transition, transition
from ansible_collections.meshops.locality.plugins.module_utils._envoy.host_shares import host_shares
from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import Lost
from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_load import Held, Outcome
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import Losses
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Assignment, Destination, Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_retries import Route, connect_timeout, route


class Between(t.NamedTuple):
    """A time in seconds that is not known better than this."""

    least: float
    most: float

    @property
    def mean(self) -> float:
        """The middle: every time in between is as likely as another."""
        return (self.least + self.most) / 2


#: How long it takes until Kubernetes takes lost endpoints out. A sidecar's readiness probe has to fail 4 times, one
#: every 15 s, and the loss falls somewhere between two of them (istio 1.31
#: manifests/charts/istio-control/istio-discovery/values.yaml, readinessFailureThreshold and readinessPeriodSeconds).
POD_READINESS = Between(45.0, 60.0)
#: A node counts as gone 50 s after its last sign of life, of which there is one every 10 s; that is looked at every 5 s
#: (Kubernetes 1.35 kube-controller-manager, node-monitor-grace-period and node-monitor-period; kubelet, its Lease).
NODE_READINESS = Between(40.0, 55.0)


@dataclass(frozen=True)
class Question:
    """What a forecast is asked for besides the losses. `rate`: requests per second of each single client.

    `readiness`: seconds until Kubernetes takes lost endpoints out; None: POD_READINESS or NODE_READINESS, as a mean.
    """

    rate: float = 20.0
    faults: tuple[Fault, ...] = (Fault.REFUSED,)
    readiness: float | None = None


@dataclass(frozen=True)
class Spread:
    """Shares of all requests, by locality and by endpoint (`pod` or address); `none` gets 503 from Envoy itself.

    `dead` is the part of the shares that goes to endpoints which cannot answer (in panic only).
    """

    by_locality: t.Mapping[str, float]
    by_endpoint: t.Mapping[str, float]
    none: float
    dead: float = 0.0


@dataclass(frozen=True)
class Forecast:
    """What one loss does to one client's requests to one destination.

    `transitions` are the expected ones by fault (its name in small letters); `bounds` are those with the shortest and
    the longest `readiness`, for faults where that makes a difference.
    """

    losses: Losses
    outcome: Outcome
    settled: Spread
    transitions: t.Mapping[str, Transition]
    readiness: Between
    bounds: t.Mapping[str, tuple[Transition, Transition]] = field(default_factory=dict)


@dataclass(frozen=True)
class Outlook:
    """All forecasts of one client and destination. `assumptions` hold for all of them."""

    client: Client
    destination: Destination
    assignment: Assignment
    route: Route
    now: Spread
    forecasts: tuple[Forecast, ...]
    assumptions: tuple[str, ...] = field(default=())


def outlook(
    planner: Planner, client: Client, made: Assignment, losses: t.Sequence[Losses], question: Question | None = None
) -> Outlook:
    """Return where the requests of a client go now and under each of the losses."""
    question = question or Question()
    held = Held(made)
    way = route(planner, client, made)
    return Outlook(
        client,
        made.destination,
        made,
        way,
        _spread(held, (), False, ()),
        tuple(_forecast(planner, held, way, one, question) for one in losses),
        tuple(_assumptions(planner, held, way)),
    )


def _spread(held: Held, gone: t.Sequence[Lost], removed: bool, losses: Losses) -> Spread:
    names = {
        member.host: member.pod.rpartition("/")[2] if member.pod else member.host
        for cell in held.cells
        for member in cell.members
    }
    hosts = [host for listed in held.hosts(gone, removed, losses) for host in listed]
    found = host_shares(hosts, held.settings)
    by_locality: dict[str, float] = {}
    by_endpoint: dict[str, float] = {}
    for host, share in zip(hosts, found.shares, strict=True):
        if share:
            place = str(host.locality)
            by_locality[place] = by_locality.get(place, 0.0) + share
            by_endpoint[names[host.address]] = by_endpoint.get(names[host.address], 0.0) + share
    return Spread(by_locality, by_endpoint, found.none, sum(found.dead))


def _forecast(planner: Planner, held: Held, way: Route, losses: Losses, question: Question) -> Forecast:
    outcome = held.outcome(losses)
    removed = not held.made.sends_unready
    settled = _spread(held, outcome.gone, removed, losses)
    only_pods = all(loss.level == "pod" for loss in losses)
    readiness = POD_READINESS if only_pods else NODE_READINESS
    if question.readiness is not None:
        readiness = Between(question.readiness, question.readiness)
    transitions, bounds = {}, {}
    if outcome.at_risk:
        sender = Sender(
            rate=question.rate,
            settings=held.settings,
            detection=held.detection,
            retries=way.retries,
            connect_timeout=connect_timeout(planner, held.made),
            route_timeout=way.timeout,
        )
        counts = dict(outcome.gone)
        lost = [counts.get(number, 0) for number in range(len(held.cells))]
        for fault in question.faults:
            expected, least, most = (
                transition([cell.hosts for cell in held.cells], lost, fault, sender, readiness_seconds=seconds)
                for seconds in (readiness.mean, readiness.least, readiness.most)
            )
            name = fault.name.lower()
            transitions[name] = expected
            if least[:2] != most[:2]:
                bounds[name] = (least, most)
    return Forecast(losses, outcome, settled, transitions, readiness, bounds)


def _assumptions(planner: Planner, held: Held, way: Route) -> t.Iterator[str]:
    made = held.made
    yield "Endpoints of one locality answer equally fast, and every client keeps asking as it does now."
    if not held.predictable:
        yield f"{made.lb_policy} sends requests with one key to one endpoint: shares are means over many keys."
    if made.setting is not None and made.setting.zone_aware and made.setting.enabled:
        yield (
            "Zone-aware routing inside a priority is Envoy's own and depends on how many clients are in each zone: "
            "shares within a region are those without it."
        )
    if not held.common.uniform and made.lb_policy == "LEAST_REQUEST":
        yield "Weights of endpoints differ: LEAST_REQUEST keeps to them only while requests come one at a time."
    if way.several:
        yield f"Several routes lead there and retry differently; {way.source} is taken."
    if not planner.semantics.checked:
        yield (
            f"Istio {planner.semantics.version} was not compared with its own istiod; it is taken as "
            "the nearest compared version with the documented differences."
        )
    yield from planner.snapshot.assumptions
