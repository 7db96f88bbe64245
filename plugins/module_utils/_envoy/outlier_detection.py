# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Outlier detection as Envoy has it: how many hosts can be ejected, by which failures, and for how long.

Source: envoy source/common/upstream/outlier_detection_impl.cc (ejectHost, putHttpResponseCode,
putResultNoLocalExternalSplit, putResultWithLocalExternalSplit, checkHostForUneject, onIntervalTimer), and
api/envoy/config/cluster/v3/outlier_detection.proto. Success rate and failure percentage, which Istio turns off, are not
covered.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

#: What Envoy takes when the field is absent. Istio leaves it out when `maxEjectionPercent` is 0 or absent.
MAX_EJECTION_PERCENT = 10
#: The same of consecutive_5xx, consecutive_gateway_failure and consecutive_local_origin_failure.
CONSECUTIVE = 5
MAX_EJECTION_TIME = 300.0


class Failure(enum.Enum):
    """What can happen to one request, as the client's Envoy sees it."""

    REFUSED = "connection refused"
    CONNECT_TIMEOUT = "connect timeout"
    RESET = "reset or closed before the response"
    TIMEOUT = "route or per-try timeout"
    GATEWAY_ERROR = "502, 503 or 504"
    SERVER_ERROR = "another 5xx"


#: No response from the upstream: without split_external_local_origin_errors Envoy counts these as 503 and 504.
LOCAL_ORIGIN = frozenset({Failure.REFUSED, Failure.CONNECT_TIMEOUT, Failure.RESET, Failure.TIMEOUT})
#: Before these a connection stood, and that alone is a success of local origin.
AFTER_CONNECT = frozenset({Failure.RESET, Failure.TIMEOUT})


@dataclass(frozen=True)
class OutlierDetection:
    """envoy.config.cluster.v3.OutlierDetection with its defaults. Times are seconds, `enforcing_*` are percent."""

    consecutive_5xx: int = CONSECUTIVE
    enforcing_consecutive_5xx: int = 100
    consecutive_gateway_failure: int = CONSECUTIVE
    enforcing_consecutive_gateway_failure: int = 0
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failure: int = CONSECUTIVE
    enforcing_consecutive_local_origin_failure: int = 100
    interval: float = 10.0
    base_ejection_time: float = 30.0
    max_ejection_time: float | None = None
    max_ejection_time_jitter: float = 0.0
    max_ejection_percent: int = MAX_EJECTION_PERCENT
    always_eject_one_host: bool = False

    @property
    def longest_ejection(self) -> float:
        """The limit of one ejection's time: max_ejection_time, by default 300 s or base_ejection_time if longer."""
        if self.max_ejection_time is not None:
            return self.max_ejection_time
        return max(MAX_EJECTION_TIME, self.base_ejection_time)

    def ejectable(self, hosts: int) -> int:
        """Return how many of the cluster's hosts can be ejected at the same time."""
        return ejectable(hosts, self.max_ejection_percent, self.always_eject_one_host)

    def errors_to_eject(self, failure: Failure) -> int | None:
        """Return after how many such failures in a row a host is ejected; None: never, however many.

        A detector applies when it is enforced at all (Istio: 100 percent or 0), and the first one to reach its number
        ejects. In a row means that the host answered nothing else in between, to this Envoy (to this worker of it).
        Of HTTP/1.1 and HTTP/2: there a connection that stood resets consecutive_local_origin_failure.
        """
        split = self.split_external_local_origin_errors
        numbers = []
        if failure in LOCAL_ORIGIN and split:
            if failure not in AFTER_CONNECT or self.consecutive_local_origin_failure == 1:
                numbers = [(self.consecutive_local_origin_failure, self.enforcing_consecutive_local_origin_failure)]
        else:
            numbers = [(self.consecutive_5xx, self.enforcing_consecutive_5xx)]
            if failure is not Failure.SERVER_ERROR:
                numbers.append((self.consecutive_gateway_failure, self.enforcing_consecutive_gateway_failure))
        # Envoy ejects when the count equals the number, so 0 is never reached.
        return min((number for number, percent in numbers if number and percent), default=None)

    @property
    def ejecting_failures(self) -> tuple[Failure, ...]:
        """The failures that eject a host, if enough of them come in a row; none when all counters are off."""
        return tuple(failure for failure in Failure if self.errors_to_eject(failure) is not None)

    def ejection_seconds(self, count: int) -> tuple[float, float]:
        """Return how long an ejection lasts, at least and at most, when the host's counter is `count` (the first: 1).

        It ends at the first tick of `interval` after its time.
        """
        least = min(self.base_ejection_time * count, self.longest_ejection)
        return least, least + self.interval + self.max_ejection_time_jitter


def ejectable(hosts: int, percent: int = MAX_EJECTION_PERCENT, always_eject_one_host: bool = False) -> int:
    """Return how many of `hosts` (of the whole cluster, all priorities) Envoy ejects at most at the same time.

    It ejects one more while 100 * (ejected + 1) / hosts does not exceed `percent`: none of fewer than ten hosts at the
    default of 10 %.
    """
    allowed = min(100, percent) * hosts // 100
    return max(allowed, min(hosts, 1)) if always_eject_one_host else allowed


def needed_percent(hosts: int, total: int) -> int:
    """Return the smallest max_ejection_percent with which `hosts` of `total` can all be ejected. `total` is not 0."""
    return -(-100 * hosts // total)
