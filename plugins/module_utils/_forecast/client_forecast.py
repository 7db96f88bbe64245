# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a client's requests go now, and during and after a loss: shares by locality and pod, failures and time.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._envoy.ejection_waves import Broken
from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import (
    ClientModel as Sender,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import (
    Fault,
    Phase,
    Transition,
    broken_hosts,
    failure_of,
    transition,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.host_shares import host_shares
from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import LostHosts
from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_load import NOTHING, ClientLoad, Outcome
from ansible_collections.meshops.locality.plugins.module_utils._forecast.endpoint_groups import SharedLayouts
from ansible_collections.meshops.locality.plugins.module_utils._forecast.loss_grade import lasting_verdict
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import Losses
from ansible_collections.meshops.locality.plugins.module_utils._forecast.removal import headless_hosts
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Assignment, Destination, Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_retries import Route, connect_timeout, route
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._model.assumptions import Assumption, assumed, assumption
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import INJECTED_PROBE


class Between(t.NamedTuple):
    """A time in seconds that is not known better than this."""

    least: float
    most: float

    @property
    def mean(self) -> float:
        """The middle: every time in between is as likely as another."""
        return (self.least + self.most) / 2


def _noticed_by(probes: t.Sequence[tuple[int, int]]) -> Between:
    """Return after which time the last of these probes has failed: the loss falls somewhere between two tries."""
    return Between(
        float(max(period * (failures - 1) for period, failures in probes)), float(max(map(math.prod, probes)))
    )


#: How long it takes until Kubernetes takes lost endpoints out.
POD_READINESS = _noticed_by([INJECTED_PROBE])
#: Kubernetes takes a node for gone 50 s after its last sign of life. It gives one every 10 s; they are looked at every
#: 5 s (Kubernetes 1.35 kube-controller-manager, node-monitor-grace-period and node-monitor-period; kubelet, its Lease).
NODE_READINESS = Between(40.0, 55.0)
#: How much longer a name resolves to addresses that are gone: up to the TTL of CoreDNS as kubeadm sets it up, after
#: which Envoy asks again (istiod sets respect_dns_ttl).
DNS_TTL = 30.0
#: What a DestinationRule's connectionPool limits; maxRetries is the assumption `retries-not-limited`.
_LIMITS = {"tcp": ("maxConnections",), "http": ("http1MaxPendingRequests", "http2MaxRequests")}


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

    `dead` is the part of the shares that goes to endpoints which cannot answer (in panic, or when nothing takes them
    out), `dead_by_locality` the same by locality.
    """

    by_locality: t.Mapping[str, float]
    by_endpoint: t.Mapping[str, float]
    none: float
    dead: float = 0.0
    dead_by_locality: t.Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FaultForecast:
    """What one fault of lost endpoints does to one client's requests.

    `transition` is None when nothing is at risk; `bounds` are those with the shortest and the longest `readiness`, when
    that makes a difference. `readiness` is None when nothing takes the endpoints out.
    """

    outcome: Outcome
    settled: Spread
    transition: Transition | None = None
    readiness: Between | None = None
    bounds: tuple[Transition, Transition] | None = None
    #: What ejection_waves wants to know; None when no host is ejected, or when failing takes time.
    broken: Broken | None = None
    #: Of requests to several destinations the forecast of each, with its share; `failing`: the share that fails anyway.
    parts: tuple[tuple[FaultForecast, float], ...] = ()
    failing: float = 0.0

    @property
    def lost(self) -> float:
        """The share of requests that fails in the end, with retries."""
        return self.transition.for_good if self.transition else self.outcome.lost

    @property
    def ends_by(self) -> str:
        """What ends the failures: none, removal, ejection, readiness, dns or never."""
        return self.transition.ends_by if self.transition else self.outcome.gap

    @property
    def verdict(self) -> str:
        """untouched, survives, spills, dies_in_part or dies."""
        if self.lost > 1 - NOTHING:
            return "dies"
        # Retries in other priorities answer where it dies otherwise.
        verdict = "survives" if self.outcome.verdict == "dies" else self.outcome.verdict
        return lasting_verdict(verdict, self.lost - (self.outcome.lost - self.outcome.stuck))


@dataclass(frozen=True)
class Forecast:
    """What one loss does to one client's requests to one destination, by fault (its name in small letters)."""

    losses: Losses
    faults: t.Mapping[str, FaultForecast]

    @property
    def first(self) -> FaultForecast:
        """That of the first fault asked for."""
        return next(iter(self.faults.values()))


@dataclass(frozen=True)
class Outlook:
    """All forecasts of one client and destination. `assumptions` hold for all of them."""

    client: Client
    destination: Destination
    assignment: Assignment
    route: Route
    now: Spread
    forecasts: tuple[Forecast, ...]
    assumptions: tuple[Assumption, ...] = field(default=())


def outlook(
    planner: Planner,
    client: Client,
    assignment: Assignment,
    losses: t.Sequence[Losses],
    question: Question | None = None,
    way: Route | None = None,
) -> Outlook:
    """Return where the requests of a client go now and under each of the losses.

    `way`: the route that leads them there; None: that of the destination's own host.
    """
    question = question or Question()
    client_load = ClientLoad(assignment, SharedLayouts(headless_hosts(planner.snapshot), planner.snapshot.other_probes))
    way = way or route(planner, client, assignment)
    return Outlook(
        client,
        assignment.destination,
        assignment,
        way,
        _spread(client_load),
        tuple(_forecast(planner, client_load, way, loss, question) for loss in losses),
        tuple(_assumptions(planner, client_load, way)),
    )


def _spread(client_load: ClientLoad, outcome: Outcome | None = None, losses: Losses = ()) -> Spread:
    """Return the shares of now, or those that settle after a loss."""
    unhealthy: tuple[LostHosts, ...] = ()
    removed: tuple[LostHosts, ...] = ()
    hidden: t.Mapping[int, float] = {}
    if outcome is not None:
        unhealthy, removed, hidden = outcome.unhealthy, outcome.removed, outcome.dead
    names = {
        member.host: member.pod.rpartition("/")[2] if member.pod else member.host
        for cell in client_load.cells
        for member in cell.members
    }
    listed = client_load.hosts(unhealthy, removed, losses)
    hosts = [host for own in listed for host in own]
    group_shares = host_shares(hosts, client_load.settings)
    by_locality: dict[str, float] = {}
    by_endpoint: dict[str, float] = {}
    dead: dict[str, float] = {}
    for host, share, gone in zip(hosts, group_shares.shares, group_shares.dead, strict=True):
        place = str(host.locality)
        if share:
            by_locality[place] = by_locality.get(place, 0.0) + share
            by_endpoint[names[host.address]] = by_endpoint.get(names[host.address], 0.0) + share
        if gone:
            dead[place] = dead.get(place, 0.0) + gone
    for cell, share in hidden.items():
        place = str(client_load.cells[cell].locality)
        dead[place] = dead.get(place, 0.0) + share
    return Spread(by_locality, by_endpoint, group_shares.none, sum(dead.values()), dead)


def _forecast(planner: Planner, client_load: ClientLoad, way: Route, losses: Losses, question: Question) -> Forecast:
    sender = sending(planner, client_load, way, question.rate)
    return Forecast(
        losses, {fault.name.lower(): _fault(client_load, sender, losses, fault, question) for fault in question.faults}
    )


def sending(planner: Planner, client_load: ClientLoad, way: Route, rate: float) -> Sender:
    """Return what one client's Envoy has for the cluster, for failover_time."""
    return Sender(
        rate=rate,
        settings=client_load.settings,
        detection=client_load.detection,
        retries=way.retries,
        connect_timeout=connect_timeout(planner, client_load.assignment),
        route_timeout=way.timeout,
        http=way.http,
    )


def readiness_of(
    client_load: ClientLoad, losses: Losses, outcome: Outcome, fault: Fault, given: float | None = None
) -> Between | None:
    """Return after which time the lost endpoints are taken out of service discovery; None: never.

    `given`: what somebody says about the readiness probes.
    """
    if fault is not Fault.REMOVED and outcome.removal == "never":
        return None
    pods = all(loss.level == "pod" for loss in losses)
    readiness = _noticed_by(client_load.lost_probes(losses)) if pods else NODE_READINESS
    if given is not None:
        readiness = Between(given, given)
    return Between(readiness.least, readiness.most + DNS_TTL) if outcome.removal == "dns" else readiness


def _fault(client_load: ClientLoad, sender: Sender, losses: Losses, fault: Fault, question: Question) -> FaultForecast:
    probed = question.readiness is not None
    outcome = client_load.outcome(losses, fault, failure_of(fault, sender), probed=probed)
    settled = _spread(client_load, outcome, losses)
    readiness = readiness_of(client_load, losses, outcome, fault, question.readiness)
    if not outcome.at_risk:
        return FaultForecast(outcome, settled, readiness=readiness)
    if not outcome.gone:
        return _behind_gateway(outcome, settled, readiness, question.rate)
    gone_by_cell, staying, cells = dict(outcome.gone), dict(outcome.staying), client_load.cells
    broken = broken_hosts(
        [cell.hosts for cell in cells],
        [gone_by_cell.get(cell, 0) for cell in range(len(cells))],
        [staying.get(cell, 0) for cell in range(len(cells))],
        fault,
        sender,
    )
    if readiness is None:
        return FaultForecast(outcome, settled, course_of(client_load, outcome, fault, sender, None), broken=broken)
    times = dict.fromkeys((readiness.mean, readiness.least, readiness.most))
    by_time = {seconds: course_of(client_load, outcome, fault, sender, seconds) for seconds in times}
    least, most = by_time[readiness.least], by_time[readiness.most]
    bounds = (least, most) if least[:2] != most[:2] else None
    return FaultForecast(outcome, settled, by_time[readiness.mean], readiness, bounds, broken)


def _behind_gateway(outcome: Outcome, settled: Spread, readiness: Between | None, rate: float) -> FaultForecast:
    """Return the forecast where only endpoints behind a gateway into another network are lost.

    The gateway chooses among them by connections, and answers for them; whether a retry finds another one is not known.
    """
    seconds = readiness or POD_READINESS

    def course(time: float) -> Transition:
        phase = Phase(
            "until the endpoints behind the gateway are removed", time, outcome.at_risk, rate * outcome.at_risk * time
        )
        assumed = (assumption("gateway-until-removed"),)
        return Transition(phase.failed, time, True, (phase,), assumed, "readiness", outcome.at_risk, outcome.lost)

    bounds = (course(seconds.least), course(seconds.most)) if seconds.least != seconds.most else None
    return FaultForecast(outcome, settled, course(seconds.mean), seconds, bounds)


def course_of(
    client_load: ClientLoad, outcome: Outcome, fault: Fault, sender: Sender, readiness: float | None
) -> Transition:
    """Return how long a loss with this outcome costs requests, and how many."""
    gone_by_cell, staying = dict(outcome.gone), dict(outcome.staying)
    cells = range(len(client_load.cells))
    return transition(
        [cell.hosts for cell in client_load.cells],
        [gone_by_cell.get(cell, 0) for cell in cells],
        fault,
        sender,
        readiness_seconds=readiness,
        staying=[staying.get(cell, 0) for cell in cells],
        removed_by=outcome.removal,
        weighed=None if client_load.common.uniform else (outcome.at_risk, outcome.stuck),
    )


def _pool_limits(assignment: Assignment) -> list[str]:
    """Return the limits of the connection pool beyond which Envoy answers requests itself: `tcp.maxConnections 1`."""
    pool = assignment.cluster_policy.connection_pool or {}
    return [
        f"{block}.{name} {limit}"
        for block, names in _LIMITS.items()
        for name in names
        if (limit := number((mapping(pool.get(block)) or {}).get(name)))
    ]


def _assumptions(planner: Planner, client_load: ClientLoad, way: Route) -> t.Iterator[Assumption]:
    assignment = client_load.assignment
    yield assumption("steady-clients")
    if not client_load.predictable:
        yield assumption("hashing-policy", policy=assignment.lb_policy)
    if assignment.setting is not None and assignment.setting.zone_aware and assignment.setting.enabled:
        yield assumption("zone-aware-routing")
    if not client_load.common.uniform and assignment.lb_policy == "LEAST_REQUEST":
        yield assumption("weights-differ")
    if limits := _pool_limits(assignment):
        yield assumption("connection-pool-limits", fields=", ".join(limits))
    if way.several:
        yield assumption("one-of-several-routes", route=way.source)
    if planner.semantics.unchecked:
        yield assumed(planner.semantics.unchecked)
    yield from planner.snapshot.assumptions
