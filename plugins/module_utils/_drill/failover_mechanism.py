# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What moved the traffic away from a lost endpoint, from what the client's Envoy held.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import EnvoyEndpoint

EJECTION, EDS_HEALTH, EDS_REMOVAL, RETRY, NONE = "ejection", "eds_health", "eds_removal", "retry", "none"
#: Envoy's flag → the mechanism that set it.
FLAGS = {
    "failed_outlier_check": EJECTION,
    "failed_eds_health": EDS_HEALTH,
    "eds_status_draining": EDS_HEALTH,
    "pending_dynamic_removal": EDS_REMOVAL,
}
#: What the event of each mechanism's first sight is called.
EVENTS = {EJECTION: "first_ejection", EDS_HEALTH: "first_eds_health", EDS_REMOVAL: "first_eds_removal"}


class TrafficReading(t.NamedTuple):
    """What one client's Envoy held `t` seconds after the drill began."""

    t: float
    client: str
    endpoints: tuple[EnvoyEndpoint, ...]


class Shift(t.NamedTuple):
    """How one client's requests left one lost endpoint. `t` None: no reading shows it."""

    client: str
    address: str
    mechanism: str
    t: float | None
    evidence: str


def shifts(
    readings: t.Sequence[TrafficReading], addresses: t.Collection[str], injected: float, undone: float
) -> list[Shift]:
    """Return a Shift for each client and lost address (IP) that the client's Envoy held before the fault.

    The first sight of a flag, or of the address being gone, decides. Without one it is a retry when the endpoint's
    errors grew while the fault lasted, else nothing.
    """
    outcomes = []
    for client in dict.fromkeys(reading.client for reading in readings):
        own = sorted((reading for reading in readings if reading.client == client), key=lambda reading: reading.t)
        before = [reading for reading in own if reading.t < injected]
        during = [reading for reading in own if injected <= reading.t <= undone]
        known = {endpoint.ip for endpoint in (before or own)[-1 if before else 0].endpoints} & set(addresses)
        for address in sorted(known):
            outcomes.append(_shift(client, address, before[-1] if before else None, during))
    return outcomes


def _shift(client: str, address: str, before: TrafficReading | None, during: t.Sequence[TrafficReading]) -> Shift:
    for reading in during:
        mine = [endpoint for endpoint in reading.endpoints if endpoint.ip == address]
        if not mine:
            return Shift(client, address, EDS_REMOVAL, reading.t, "the address left /clusters")
        for endpoint in mine:
            for flag in endpoint.health_reasons:
                if flag in FLAGS:
                    return Shift(client, address, FLAGS[flag], reading.t, f"{flag} in /clusters")
    grown = _errors(during[-1], address) - _errors(before, address) if during else 0
    if grown > 0:
        return Shift(client, address, RETRY, None, f"{grown} attempts failed there and nothing took it out")
    return Shift(client, address, NONE, None, "no flag, no removal and no failed attempt in /clusters")


def _errors(reading: TrafficReading | None, address: str) -> int:
    if reading is None:
        return 0
    return sum(
        endpoint.counters.get("rq_error", 0) + endpoint.counters.get("cx_connect_fail", 0)
        for endpoint in reading.endpoints
        if endpoint.ip == address
    )


def first(observed: t.Iterable[Shift]) -> dict[str, float]:
    """Return mechanism → when any client showed it first."""
    moments: dict[str, float] = {}
    for shift in observed:
        if shift.t is not None:
            moments[shift.mechanism] = min(shift.t, moments.get(shift.mechanism, shift.t))
    return moments
