# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Was somebody hurt who has nothing to do with the drill? By how much the error counters of their Envoys grew.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.failover_mechanism import TrafficReading

Json = dict[str, t.Any]

#: Fewer errors than these are nobody's harm: every mesh has some.
FEWEST_ERRORS = 5


def hurt(readings: t.Sequence[TrafficReading]) -> Json:
    """Return {watched, requests, errors, hurt}: what the counters grew by, and a sentence per endpoint with errors.

    `readings` are of bystanders only, with no endpoint that is lost; the first of each client is its state before.
    Counters of an endpoint that came meanwhile began at 0.
    """
    answer: Json = {"watched": 0, "requests": 0, "errors": 0, "hurt": []}
    own: dict[str, list[TrafficReading]] = {}
    for reading in sorted(readings, key=lambda reading: reading.t):
        own.setdefault(reading.client, []).append(reading)
    for client, mine in sorted(own.items()):
        before = {(endpoint.cluster, endpoint.address): endpoint.counters for endpoint in mine[0].endpoints}
        answer["watched"] += 1
        for endpoint in mine[-1].endpoints:
            then = before.get((endpoint.cluster, endpoint.address), {})
            grown = {
                name: max(0, endpoint.counters.get(name, 0) - then.get(name, 0))
                for name in ("rq_total", "rq_error", "cx_connect_fail")
            }
            errors = grown["rq_error"] + grown["cx_connect_fail"]
            answer["requests"] += grown["rq_total"]
            answer["errors"] += errors
            if errors:
                answer["hurt"].append(f"{client}: {errors} errors at {endpoint.address} of {endpoint.name.host}")
    return answer


def beyond(seen: Json, budget: float) -> str:
    """Return why bystanders have more errors than a share `budget` of their requests allows, '' when they have not."""
    errors, requests = seen["errors"], seen["requests"]
    if errors < FEWEST_ERRORS or errors <= budget * requests:
        return ""
    return (
        f"Bystanders are hurt: {errors} errors with {requests} requests, where {100 * budget:g} % may fail."
        f" {'; '.join(seen['hurt'][:3])}."
    )
