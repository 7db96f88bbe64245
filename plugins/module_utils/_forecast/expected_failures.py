# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a client's requests fails because of a loss, for how long, and for good: one field of the matrix.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import ClientModel as Sender
from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import Fault, failure_of
from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_forecast import (
    course_of,
    readiness_of,
    sending,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_load import NOTHING, ClientLoad, Outcome
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import Losses
from ansible_collections.meshops.locality.plugins.module_utils._forecast.routed_outlook import RoutedLoad
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_retries import Route
from ansible_collections.meshops.locality.plugins.module_utils._model.object_cache import ObjectCache

H = t.TypeVar("H", bound=t.Hashable)


class ExpectedFailures(t.NamedTuple):
    """Of one client: `failed` expected requests until it settles (None: no end), `seconds` until then (None: never).

    `at_first` and `for_good` are shares of its requests that fail right after the loss and in the end, with retries.
    """

    failed: float | None
    seconds: float | None
    at_first: float
    for_good: float


HARMLESS = ExpectedFailures(0.0, 0.0, 0.0, 0.0)


class FailureEstimates:
    """The expected failures of losses; of clients that hold equal numbers of endpoints they are computed once.

    `fault` is what becomes of the lost endpoints; `readiness`: after how many seconds Kubernetes takes them out, None:
    as their probes say.
    """

    def __init__(
        self, planner: Planner, rate: float, fault: Fault = Fault.REFUSED, readiness: float | None = None
    ) -> None:
        self._planner, self._rate, self._fault, self._readiness = planner, rate, fault, readiness
        self._plain = fault is Fault.REFUSED and readiness is None
        self._senders: ObjectCache[tuple[Sender, int]] = ObjectCache()
        self._hosts: ObjectCache[int] = ObjectCache()
        self._numbers: dict[t.Hashable, int] = {}
        self._known: dict[tuple[t.Any, ...], ExpectedFailures] = {}
        self._direct: ObjectCache[ExpectedFailures] = ObjectCache()
        #: After how many seconds, at least, ejected endpoints that are still broken are tried again; None: never.
        self.tried_again: float | None = None

    def outcome(self, load: ClientLoad | RoutedLoad, way: Route, losses: Losses) -> Outcome:
        """Return what a loss does to the requests of a client that are sent in this way."""
        if self._plain:
            return load.outcome(losses)
        if isinstance(load, RoutedLoad):
            return load.outcome(losses, lambda part, share: self._outcome(part, way, losses, share))
        return self._outcome(load, way, losses)

    def _outcome(self, client_load: ClientLoad, way: Route, losses: Losses, share: float = 1.0) -> Outcome:
        if self._plain:
            return client_load.outcome(losses)
        sender, _alike = self._sender(client_load, way, share)
        failure, probed = failure_of(self._fault, sender), self._readiness is not None
        return client_load.outcome(losses, self._fault, failure, probed=probed)

    def of(self, load: ClientLoad | RoutedLoad, way: Route, outcome: Outcome, losses: Losses) -> ExpectedFailures:
        """Return what fails because of a loss with this outcome."""
        if outcome.at_risk < NOTHING:
            return HARMLESS
        if isinstance(load, RoutedLoad):
            return self._routed(load, way, losses)
        return self._direct.once(
            lambda: self._of_client(load, way, outcome, losses),
            (way, outcome),
            {loss.level for loss in losses} == {"pod"},
            *load.lost_probes(losses),
        )

    def _routed(self, load: RoutedLoad, way: Route, losses: Losses) -> ExpectedFailures:
        """Return the sum over the destinations of a route; what fails whatever is lost is in the shares only."""
        failed: float | None = 0.0
        seconds: float | None = 0.0
        at_first = for_good = load.failing
        for client_load, share in load.parts:
            outcome = self._outcome(client_load, way, losses, share)
            if outcome.at_risk < NOTHING:
                at_first, for_good = at_first + share * outcome.lost, for_good + share * outcome.lost
                continue
            failures = self._of_client(client_load, way, outcome, losses, share)
            failed = None if failed is None or failures.failed is None else failed + failures.failed
            seconds = None if seconds is None or failures.seconds is None else max(seconds, failures.seconds)
            at_first, for_good = at_first + share * failures.at_first, for_good + share * failures.for_good
        return ExpectedFailures(failed, seconds, at_first, for_good)

    def _of_client(
        self, client_load: ClientLoad, way: Route, outcome: Outcome, losses: Losses, share: float = 1.0
    ) -> ExpectedFailures:
        sender, alike = self._sender(client_load, way, share)
        common = client_load.common
        hosts = self._hosts.once(lambda: self._numbered(common.hosts)[1], (common,))
        readiness = readiness_of(client_load, losses, outcome, self._fault, self._readiness)
        seconds = None if readiness is None else readiness.mean
        layout = (hosts, client_load.priorities, client_load.weights)
        known: tuple[t.Any, ...] = (layout, outcome.gone, outcome.staying, outcome.removal, alike, seconds)
        if not common.uniform:
            known += (outcome.at_risk, outcome.stuck)
        if known not in self._known:
            course = course_of(client_load, outcome, self._fault, sender, seconds)
            if course.ends_by == "ejection" and sender.detection is not None:
                again = sender.detection.ejection_seconds(1)[0]
                if seconds is None or again < seconds:
                    self.tried_again = again if self.tried_again is None else min(again, self.tried_again)
            self._known[known] = ExpectedFailures(
                course.expected_failed_requests, course.seconds_until_shifted, course.at_first, course.for_good
            )
        return self._known[known]

    def _sender(self, client_load: ClientLoad, way: Route, share: float) -> tuple[Sender, int]:
        return self._senders.once(
            lambda: self._numbered(sending(self._planner, client_load, way, self._rate * share)),
            (client_load.settings, client_load.assignment.cluster_policy, way),
            share,
        )

    def _numbered(self, value: H) -> tuple[H, int]:
        """Return a value with a number that equal ones share: it is compared quicker than what it stands for."""
        return value, self._numbers.setdefault(value, len(self._numbers))
