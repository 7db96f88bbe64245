# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests of users, who ask without us: from the access log of their Envoy, or from its counters.

The log has every request as the user saw it. Without one there are only the counters of endpoints, and those are of
attempts: one that a retry made good elsewhere is a failure in them, and what Envoy answers itself is not in them.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import calendar
import re
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.failover_mechanism import TrafficReading
from ansible_collections.meshops.locality.plugins.module_utils._drill.measurements import Sample
from ansible_collections.meshops.locality.plugins.module_utils._envoy.access_log import AccessLogEntry
from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import ClusterName

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?Z")


def is_about(entry: AccessLogEntry, host: str, port: int) -> bool:
    """Whether a request went to a port of a Service, whatever the subset."""
    name = ClusterName.parse(entry.upstream_cluster)
    return (name.direction, name.port, name.host) == ("outbound", port, host)


def began(entry: AccessLogEntry) -> float | None:
    """Return when a request began, in seconds since 1970; None where the log does not say."""
    match = _TIME.fullmatch(entry.start_time)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(match[index]) for index in range(1, 7))
    return calendar.timegm((year, month, day, hour, minute, second)) + float(match[7] or 0)


def from_log(entry: AccessLogEntry, client: int, zero: float, pods: t.Mapping[str, str]) -> Sample | None:
    """Return a request of the log; `zero` is the drill's beginning in seconds since 1970, `pods` IP → name."""
    start = began(entry)
    if start is None:
        return None
    address = entry.upstream_host.rpartition(":")[0].strip("[]")
    return Sample(
        client,
        start - zero,
        (entry.duration_ms or 0) / 1000,
        entry.response_code,
        pod=pods.get(address, ""),
        flag=entry.response_flags,
        of_user=True,
    )


def from_counters(
    before: TrafficReading, after: TrafficReading, client: int, pods: t.Mapping[str, str]
) -> list[Sample]:
    """Return a Sample for each attempt between two readings, dated by the second one.

    The counters show neither the status nor how long it took: 200 stands for an answer, 503 for none or a 5xx.
    """
    known = {(endpoint.cluster, endpoint.address): endpoint.counters for endpoint in before.endpoints}
    samples: list[Sample] = []
    for endpoint in after.endpoints:
        then = known.get((endpoint.cluster, endpoint.address), {})
        for name, code in (("rq_success", 200), ("rq_error", 503)):
            count = max(0, endpoint.counters.get(name, 0) - then.get(name, 0))
            samples += [Sample(client, after.t, 0.0, code, pod=pods.get(endpoint.ip, ""), of_user=True)] * count
    return samples
