# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a failover takes and how many requests it costs: a model, with every assumption said.

What decides is not outlier detection's interval but Envoy's merge window (see ejection_course.py). The model's numbers
are compared with the real Envoy by tests/differential/test_envoy.py.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import enum
import math
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.meshops.locality.plugins.module_utils._envoy.ejection_course import Course, course, pick_of
from ansible_collections.meshops.locality.plugins.module_utils._envoy.ejection_waves import Broken
from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import (
    LocalityHosts,
    locality_shares,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier_detection import Failure, OutlierDetection
from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import Settings
from ansible_collections.meshops.locality.plugins.module_utils._envoy.retries import Retries, outcome
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._model.assumptions import Assumption, assumption

#: Envoy's update_merge_window in seconds; istiod sets none.
MERGE_WINDOW = 1.0
#: The connectTimeout of Istio's mesh config when it is not set, in seconds. Source: istio 1.31 pkg/config/mesh/mesh.go.
CONNECT_TIMEOUT = 10.0


class Fault(enum.Enum):
    """What becomes of the lost endpoints."""

    REFUSED = "connections are refused"
    DRAINED = "the listeners are drained"
    RESET = "connections are reset before a response"
    GATEWAY_ERROR = "every answer is 503"
    SERVER_ERROR = "every answer is 500"
    BLACKHOLE = "packets vanish"
    HANG = "requests are accepted and never answered"
    REMOVED = "endpoints leave service discovery while they still answer"


_FAST = {
    Fault.REFUSED: Failure.REFUSED,
    Fault.DRAINED: Failure.REFUSED,
    Fault.RESET: Failure.RESET,
    Fault.GATEWAY_ERROR: Failure.GATEWAY_ERROR,
    Fault.SERVER_ERROR: Failure.SERVER_ERROR,
}


@dataclass(frozen=True)
class ClientModel:
    """What one client's Envoy has for the cluster. Times are seconds, `rate` is its own requests per second.

    `route_timeout` None: off, as Istio leaves it. `warm_connections`: HTTP/1.1 connections that stood to the lost
    endpoints, of interest for a BLACKHOLE only. `http`: whether it reads requests; otherwise it forwards connections,
    and the rate is of these. Raises InvalidInput for a rate that is not above 0.
    """

    rate: float
    settings: Settings = field(default_factory=lambda: Settings(panic_threshold=0))
    detection: OutlierDetection | None = None
    retries: Retries | None = None
    connect_timeout: float = CONNECT_TIMEOUT
    route_timeout: float | None = None
    merge_window: float = MERGE_WINDOW
    warm_connections: int = 0
    http: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise InvalidInput(f"The rate must be above 0 requests per second, not {self.rate}.")


class Phase(t.NamedTuple):
    """A part of the transition: expected seconds, share of the requests that fail, expected failures. None: no end."""

    what: str
    seconds: float | None
    failing: float
    failed: float | None


class Transition(t.NamedTuple):
    """From the fault until no request is sent to a lost endpoint any more. The numbers are expected values.

    `ever`: whether the failures end at all; if not, the two numbers are None and the last phase says what goes on.
    `ends_by`: what ends them: removal, ejection, readiness, dns, or never. `at_first` is the share of requests that
    fails right after the fault, `for_good` the share that goes on failing; both with retries.
    """

    expected_failed_requests: float | None
    seconds_until_shifted: float | None
    ever: bool
    phases: tuple[Phase, ...]
    assumptions: tuple[Assumption, ...]
    ends_by: str = "never"
    at_first: float = 0.0
    for_good: float = 0.0


#: Of a connection that Envoy forwards, a failure that comes after it stood is none: that it came about is a success.
#: Source: envoy source/common/tcp_proxy/tcp_proxy.cc, onUpstreamConnection and onConnectTimeout (LocalOrigin…).
_ONLY_CONNECTING = frozenset({Failure.REFUSED, Failure.CONNECT_TIMEOUT})


class _Mode(t.NamedTuple):
    """How a try on a lost endpoint ends: as what failure, after how many seconds (both None: never).

    `retries` None: this failure is not tried again.
    """

    failure: Failure | None
    seconds: float | None = None
    retries: Retries | None = None


def transition(
    groups: t.Sequence[LocalityHosts],
    lost: t.Sequence[int],
    fault: Fault,
    client: ClientModel,
    *,
    readiness_seconds: float | None = None,
    staying: t.Sequence[int] = (),
    removed_by: str = "readiness",
    weighed: tuple[float, float] | None = None,
) -> Transition:
    """Return what a client sees when `lost[i]` of the healthy hosts of `groups[i]` have the fault from time 0 on.

    `readiness_seconds`: after which time the lost endpoints are taken out of service discovery, by `removed_by`; None:
    never (or nobody knows). With Fault.REMOVED that is all there is. `staying[i]` of the lost hosts are not taken out
    even then. `weighed`: which share of tries finds lost hosts at first, and in the end, where weights of hosts differ;
    how long ejections take is computed from the numbers of hosts all the same.
    Raises InvalidInput when more hosts of a group are lost than are healthy.
    """
    if len(groups) != len(lost):
        raise InvalidInput(f"{len(groups)} groups of hosts need as many numbers of lost hosts, not {len(lost)}.")
    for group, gone in zip(groups, lost, strict=True):
        if not 0 <= gone <= group.healthy:
            raise InvalidInput(f"Of {group} at most the {group.healthy} healthy hosts can be lost, not {gone}.")
    stay = list(staying) or [0] * len(groups)
    shifted_after: float | None = None
    at_first = 0.0
    if fault is Fault.REMOVED:
        phases, mode, errors = (
            [Phase("until the endpoints are removed", readiness_seconds, 0.0, 0.0)],
            _Mode(None),
            None,
        )
        shifted, failing = readiness_seconds is not None, 0.0
    else:
        mode = _mode(fault, client)
        errors = client.detection.errors_to_eject(mode.failure) if client.detection and mode.failure else None
        request_course = _course(groups, lost, mode, errors, client)
        if weighed is not None:
            request_course = _weighed(request_course, weighed[0])
        phases = _phases(request_course, mode, client)
        at_first = outcome(
            request_course.states[0].pick if request_course.states else request_course.last, mode.retries
        )[0]
        if fault is Fault.BLACKHOLE and client.warm_connections:
            phases.append(Phase("connections that stood before", 0.0, 1.0, float(client.warm_connections)))
        shifted, failing = request_course.last.dead == 0, outcome(request_course.last, mode.retries)[0]
        if shifted:
            shifted_after = sum(phase.seconds or 0.0 for phase in phases)
        if readiness_seconds is not None:
            phases = _until(readiness_seconds, phases, shifted, failing, client.rate)
        elif failing:
            phases.append(Phase("for ever: no further endpoint can be ejected", None, failing, None))
    if readiness_seconds is not None:
        rest = [
            group._replace(healthy=group.healthy - gone + remaining)
            for group, gone, remaining in zip(groups, lost, stay, strict=True)
        ]
        if any(stay):
            after = _course(rest, stay, mode, errors, client).last
            if weighed is not None:
                after = after._replace(dead=weighed[1])
            shifted, failing = after.dead == 0, outcome(after, mode.retries)[0]
            if failing:
                phases.append(Phase("for ever: some endpoints are neither ejected nor removed", None, failing, None))
        else:
            shifted = True
            failing = locality_shares(rest, client.settings).none
            if failing:
                phases.append(Phase("for ever: no endpoint is left", None, failing, None))
    ever = shifted and not failing
    seconds = sum(phase.seconds or 0.0 for phase in phases)
    if fault is Fault.REMOVED:
        ends = "removal"
    elif not ever:
        ends = "never"
    elif shifted_after is not None and (readiness_seconds is None or shifted_after <= readiness_seconds):
        ends = "ejection"
    else:
        ends = removed_by
    return Transition(
        sum(phase.failed or 0.0 for phase in phases) if ever else None,
        seconds if ever else None,
        ever,
        tuple(phases),
        tuple(_assumptions(fault, client, mode, errors, readiness_seconds, any(stay), weighed is None)),
        ends,
        at_first,
        failing,
    )


def failure_of(fault: Fault, client: ClientModel) -> Failure | None:
    """Return as what failure a client's Envoy sees a fault; None: as none (a request waits, or its host is removed)."""
    return None if fault is Fault.REMOVED else _mode(fault, client).failure


def broken_hosts(
    groups: t.Sequence[LocalityHosts],
    lost: t.Sequence[int],
    staying: t.Sequence[int],
    fault: Fault,
    client: ClientModel,
) -> Broken | None:
    """Return what ejection_waves wants of a fault; None where nothing is ejected, or where failing takes time."""
    mode = _mode(fault, client) if fault is not Fault.REMOVED else _Mode(None)
    if mode.failure is None or mode.seconds or client.detection is None:
        return None
    errors = client.detection.errors_to_eject(mode.failure)
    if errors is None or not client.detection.ejectable(sum(sum(group[2:]) for group in groups)):
        return None
    return Broken(
        tuple(groups),
        tuple(lost),
        tuple(staying),
        client.detection,
        errors,
        client.settings,
        mode.retries,
        client.merge_window,
    )


def _mode(fault: Fault, client: ClientModel) -> _Mode:
    retries = client.retries
    if fault in _FAST:
        failure = _FAST[fault]
        if not client.http and failure not in _ONLY_CONNECTING:
            return _Mode(None)
        return _Mode(failure, 0.0, retries if retries and retries.covers(failure) else None)
    ends = [("route", client.route_timeout), ("try", retries.per_try_timeout if retries else None)]
    if fault is Fault.BLACKHOLE:
        ends.append(("connect", client.connect_timeout))
    given = [(seconds, what) for what, seconds in ends if seconds]
    if not given:
        return _Mode(None)
    seconds, what = min(given)
    failure = Failure.CONNECT_TIMEOUT if what == "connect" else Failure.TIMEOUT
    if what == "route" or retries is None or not retries.covers(failure):
        return _Mode(failure, seconds)
    if what == "try" and client.route_timeout:  # only tries that begin before the route's time is over
        retries = replace(retries, attempts=min(retries.attempts, math.ceil(client.route_timeout / seconds) - 1))
    return _Mode(failure, seconds, retries)


def _course(
    groups: t.Sequence[LocalityHosts], lost: t.Sequence[int], mode: _Mode, errors: int | None, client: ClientModel
) -> Course:
    if errors is None or client.detection is None:
        return Course([], pick_of(groups, lost, [0] * len(groups), client.settings))
    return course(
        groups,
        lost,
        ejectable=client.detection.ejectable(sum(sum(group[2:]) for group in groups)),
        errors=errors,
        rate=client.rate,
        settings=client.settings,
        retries=mode.retries,
        merge_window=client.merge_window,
    )


def _weighed(request_course: Course, dead: float) -> Course:
    """Return a course in which so many tries find a dead host before any is ejected."""
    if not request_course.states:
        return request_course._replace(last=request_course.last._replace(dead=dead))
    first, *others = request_course.states
    return request_course._replace(states=[first._replace(pick=first.pick._replace(dead=dead)), *others])


def _phases(request_course: Course, mode: _Mode, client: ClientModel) -> list[Phase]:
    """Return the course's states summed up by kind, with the requests that fail in each."""
    if not request_course.states:
        return []
    slow = mode.seconds or 0.0
    first = request_course.states[0]
    second = next((state.pick for state in request_course.states if state.kind == "window"), request_course.last)
    sums = {"until the first endpoint is ejected": [slow, 0.0]}
    if slow:
        # All that wait for the first connection fail with it, and their retries meet the state that begins then.
        sums["until the first endpoint is ejected"][1] = (
            slow * client.rate * outcome(first.pick, mode.retries, second)[0]
        )
    names = {
        "first": "until the first endpoint is ejected",
        "window": "further ejections held back by the merge window",
        "wait": "until further endpoints are ejected",
    }
    for state in request_course.states:
        failing = outcome(state.pick, mode.retries, state.retry)[0]
        if slow and mode.retries:
            # Tries that take so long that the last one falls behind the end of this state do not fail.
            failing *= max(0.0, 1 - slow * mode.retries.attempts / state.seconds)
        entry = sums.setdefault(names[state.kind], [0.0, 0.0])
        entry[0] += state.seconds
        entry[1] += state.seconds * client.rate * failing
    return [Phase(what, seconds, failed / seconds / client.rate, failed) for what, (seconds, failed) in sums.items()]


def _until(end: float, phases: list[Phase], shifted: bool, failing: float, rate: float) -> list[Phase]:
    """Cut the phases at the time when Kubernetes has removed the endpoints, or go on until then."""
    cut: list[Phase] = []
    left = end
    for phase in phases:
        seconds = phase.seconds or 0.0
        part = min(1.0, left / seconds) if seconds else 1.0
        cut.append(Phase(phase.what, seconds * part, phase.failing, (phase.failed or 0.0) * part))
        left -= seconds * part
    if failing and not shifted and left > 0:
        cut.append(Phase("until Kubernetes takes the endpoints out", left, failing, left * rate * failing))
    return cut


def _assumptions(
    fault: Fault,
    client: ClientModel,
    mode: _Mode,
    errors: int | None,
    readiness: float | None,
    some_stay: bool,
    equal_weights: bool,
) -> t.Iterator[Assumption]:
    if fault is Fault.REMOVED:
        yield assumption("removed-endpoints-answer")
        yield assumption("no-merge-window")
        return
    yield assumption("fault-at-once")
    yield assumption("rate-of-one-client", rate=client.rate)
    if equal_weights:
        yield assumption("equal-weights")
    if client.detection is None:
        yield assumption("no-outlier-detection")
    elif errors is None:
        waiting = (
            "nothing fails, requests wait" if client.http else "connections come about, what they carry is not read"
        )
        seen = mode.failure.value if mode.failure else waiting
        yield assumption("failure-not-ejected", failure=seen)
    else:
        yield assumption("failures-in-a-row", errors=errors)
        yield assumption("merge-window", seconds=client.merge_window)
        yield assumption("tried-again-after-ejection", seconds=client.detection.ejection_seconds(1)[0])
    if client.retries is None:
        yield assumption("no-retries")
    elif mode.retries is None:
        yield assumption("failure-not-retried", retry_on=client.retries.retry_on)
    else:
        where = ", from the second on in other priorities" if mode.retries.remote_localities else ""
        yield assumption("retries", attempts=mode.retries.attempts, where=where)
        yield assumption("retries-not-limited")
    if fault is Fault.DRAINED:
        yield assumption("new-connections")
    if fault is Fault.BLACKHOLE:
        yield assumption("waiting-requests-fail")
        if mode.retries:
            yield assumption("late-retries")
        if not client.route_timeout:
            yield assumption("no-route-timeout")
    if readiness is None:
        yield assumption("never-removed")
    else:
        yield assumption("some-removed" if some_stay else "all-removed", seconds=readiness)
