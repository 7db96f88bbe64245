# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a traffic probe is expected to see that runs while something is lost.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.ejection_waves import Broken, waves
from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import Transition
from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_forecast import (
    FaultForecast,
    Forecast,
    Spread,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Json


class Watch(t.NamedTuple):
    """A probe: requests per second, seconds before the loss, and seconds in all."""

    rate: float
    lead: float
    seconds: float


class _Failing(t.NamedTuple):
    failed: float
    outage: float


def expected_probe(now: Spread, forecast: Forecast, fault: str, watch: Watch) -> Json:
    """Return what a probe should count: {sent, failed_requests, outage, by_locality}, each also as `…_between`.

    `outage` are the seconds in which at least one request is expected to fail. Answers during the failover are given
    to the places that answer in the end. The numbers are expected values, rounded to what a probe can count.
    """
    own = forecast.faults[fault]
    during = _during(own, watch)
    middle, low, high = (_expected_counts(now, own, failing, watch) for failing in during)
    return {
        "sent": round(watch.rate * watch.seconds),
        **middle,
        "failed_between": [low["failed_requests"], high["failed_requests"]],
        "outage_between": [low["outage"], high["outage"]],
        "by_locality_between": {
            place: sorted((low["by_locality"][place], high["by_locality"][place])) for place in middle["by_locality"]
        },
    }


def _during(own: FaultForecast, watch: Watch) -> list[_Failing]:
    """Return the failures after the loss on average, at least and at most; of several destinations all together."""
    left = watch.seconds - watch.lead
    if own.parts:
        listed = [
            _during(part, watch._replace(rate=watch.rate * share))
            if part.transition is not None
            else [_Failing(watch.rate * share * part.lost * left, left if part.lost else 0.0)] * 3
            for part, share in own.parts
        ]
        anyway = watch.rate * own.failing * left
        return [
            _Failing(
                sum(failing[index].failed for failing in listed) + anyway,
                max(failing[index].outage for failing in listed),
            )
            for index in range(3)
        ]
    if own.broken is not None and left > own.broken.detection.ejection_seconds(1)[0]:
        return _with_waves(own, own.broken, watch)
    bounds = own.bounds or (own.transition, own.transition)
    return [_failing(course, watch) for course in (own.transition, *bounds)]


def _with_waves(own: FaultForecast, broken: Broken, watch: Watch) -> list[_Failing]:
    """Return the failures on average, at least and at most, with the waves after the ends of ejections."""
    times = (own.readiness.mean, own.readiness.least, own.readiness.most) if own.readiness else (None,)
    broken_waves = [waves(broken, watch.rate, watch.seconds - watch.lead, time) for time in dict.fromkeys(times)]
    least, most = min(broken_waves, key=lambda wave: wave.least), max(broken_waves, key=lambda wave: wave.most)
    outage = [wave.outage for wave in broken_waves]
    return [
        _Failing(broken_waves[0].failed, broken_waves[0].outage),
        _Failing(least.least, min(outage)),
        _Failing(most.most, max(outage)),
    ]


def _expected_counts(now: Spread, forecast: FaultForecast, during: _Failing, watch: Watch) -> Json:
    before, settled = watch.rate * watch.lead, forecast.settled
    left = max(0.0, watch.rate * watch.seconds - before - during.failed)
    lost = before * (now.none + now.dead)
    if forecast.transition is None:
        lost += left * (settled.none + settled.dead)
    # What fails after the loss is in the transition already: the rest is answered.
    answered = 1.0 if forecast.transition is None else 1 - settled.none - settled.dead
    by_locality: dict[str, float] = {}
    for part, number in ((now, before), (settled, left / answered if answered else 0.0)):
        for place, share in part.by_locality.items():
            alive = share - part.dead_by_locality.get(place, 0.0)
            by_locality[place] = by_locality.get(place, 0.0) + number * alive
    return {
        "failed_requests": round(during.failed + lost, 1),
        "outage": round(during.outage, 1),
        "by_locality": {place: round(number) for place, number in by_locality.items()},
    }


def _failing(course: Transition | None, watch: Watch) -> _Failing:
    """Return the failures until the end of the probe, and how long there is at least one a second."""
    failed = outage = 0.0
    left = watch.seconds - watch.lead
    for phase in course.phases if course else ():
        seconds = left if phase.seconds is None else min(left, phase.seconds)
        part = seconds / phase.seconds if phase.seconds else 1.0
        own = watch.rate * phase.failing * seconds if phase.failed is None else phase.failed * part
        if phase.failing * watch.rate >= 1 and own >= 1:
            outage += seconds
        failed += own
        left -= seconds
    return _Failing(failed, outage)
