# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Envoy's retries: which failures are tried again, where, and what share of requests fails all the same.

Source: envoy source/common/router/retry_state_impl.cc (wouldRetryFromHeaders, wouldRetryFromReset);
source/extensions/retry/{host/previous_hosts,priority/previous_priorities}.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier_detection import LOCAL_ORIGIN, Failure

#: What Istio 1.31 retries where no policy is set. It names no status code, so a 503 of the upstream is not retried.
#: Source: istio pilot/pkg/networking/core/route/retry/retry.go, defaultRetryOn.
ISTIO_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
ISTIO_ATTEMPTS = 2
#: `update_frequency` of previous_priorities, as Istio sets it: the second retry leaves the tried priorities out.
UPDATE_FREQUENCY = 2

_CONNECT = frozenset({Failure.REFUSED, Failure.CONNECT_TIMEOUT})
_STATUS = {Failure.GATEWAY_ERROR: 503, Failure.SERVER_ERROR: 500}
_RETRIED: t.Mapping[str, frozenset[Failure]] = {
    "connect-failure": _CONNECT,
    "reset": LOCAL_ORIGIN,
    "reset-before-request": _CONNECT,
    "gateway-error": LOCAL_ORIGIN | {Failure.GATEWAY_ERROR},
    "5xx": LOCAL_ORIGIN | {Failure.GATEWAY_ERROR, Failure.SERVER_ERROR},
}


@dataclass(frozen=True)
class Retries:
    """The retry policy of a route. `attempts` are the retries, besides the first try.

    `retry_on`: Envoy's words and status codes, with commas, as in a VirtualService. `previous_hosts`: a retry picks
    again, up to `host_selection_attempts` times, when it lands on a host that was tried. `remote_localities`: Istio's
    retryRemoteLocalities. `per_try_timeout` in seconds.
    """

    attempts: int = ISTIO_ATTEMPTS
    retry_on: str = ISTIO_RETRY_ON
    previous_hosts: bool = True
    remote_localities: bool = False
    host_selection_attempts: int = 5
    per_try_timeout: float | None = None

    def covers(self, failure: Failure, status: int | None = None) -> bool:
        """Return whether a failure is tried again. `status`: the upstream's, when that is an answer (503, 500).

        The end of the route's timeout is never: then there is no time left. (A per-try timeout is a TIMEOUT.)
        """
        words = [word.strip() for word in self.retry_on.split(",")]
        if str(status or _STATUS.get(failure)) in words and failure in _STATUS:
            return True
        return any(failure in _RETRIED.get(word, ()) for word in words)


class Pick(t.NamedTuple):
    """Where one try goes: to dead hosts that look alive, or nowhere (503 "no healthy upstream"); the rest succeeds.

    `hosts` is the number of those dead hosts. `elsewhere` is the dead share when their priorities are left out.
    """

    dead: float
    nowhere: float = 0.0
    hosts: int = 1
    elsewhere: float = 0.0


def outcome(first: Pick, retries: Retries | None, later: Pick | None = None) -> tuple[float, float]:
    """Return the share of requests that fail, and how many dead hosts one request tries on average.

    `retries` None: the failure is not retried. `later`: where retries go, when it has changed since the first try.
    """
    failing, tries = first.nowhere, first.dead
    going_on = first.dead  # the share of requests whose tries so far have all found a dead host
    later = later or first
    for tried in range(1, 1 + (retries.attempts if retries else 0)):
        dead = _dead_again(later, t.cast(Retries, retries), tried)
        failing += going_on * later.nowhere
        going_on *= dead
        tries += going_on
    return min(1.0, failing + going_on), tries


def _dead_again(pick: Pick, retries: Retries, tried: int) -> float:
    """Return the chance that a retry finds a dead host, after `tried` of them."""
    if retries.remote_localities and tried >= UPDATE_FREQUENCY:
        return pick.elsewhere
    if not retries.previous_hosts or not pick.dead:
        return pick.dead
    again = pick.dead * min(tried, pick.hosts) / pick.hosts
    if again >= 1:
        return 1.0
    # Picks until one is not among the tried; the last one is taken whatever it is.
    settled = (1 - again ** (1 + retries.host_selection_attempts)) / (1 - again)
    return max(0.0, 1 - (1 - pick.dead) * settled)
