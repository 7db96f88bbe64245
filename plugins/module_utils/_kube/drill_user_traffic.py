# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests that users' clients send while a drill runs: read from their Envoys, none of them ours.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import threading
import time
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill import user_requests
from ansible_collections.meshops.locality.plugins.module_utils._drill.failover_mechanism import TrafficReading
from ansible_collections.meshops.locality.plugins.module_utils._drill.measurements import Sample
from ansible_collections.meshops.locality.plugins.module_utils._envoy.access_log import AccessLogEntry, parse_access_log
from ansible_collections.meshops.locality.plugins.module_utils._errors import ClusterError, LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_watch import join_if_begun
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import POD
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import PROXY, Proxy, read_endpoints

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import EnvoyEndpoint
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

#: A client whose Envoy could not be read for so long is taken for lost.
SILENCE_SECONDS = 10.0
#: Envoy writes its log at the latest after a second.
FLUSH_SECONDS = 2.0
#: So many readings a second are spent on all clients together.
RATE = 10.0
#: A node's clock may differ by this; more is reported, because the log dates requests by it.
CLOCK_SECONDS = 3.0


class Watched(t.NamedTuple):
    """Whose requests are read: host as Istio writes it, port, RE2 and test for its clusters, IP → name of the pod."""

    host: str
    port: int
    pattern: str
    wants: t.Callable[[EnvoyEndpoint, str], bool]
    pods: t.Mapping[str, str]


class UserTraffic:
    """One client's requests to a Service. `samples` grows while it runs; `by_log` says where they come from."""

    def __init__(
        self, cluster: Cluster, index: int, proxy: Proxy, watched: Watched, by_log: bool, zero: float, clients: int
    ) -> None:
        self.index, self.proxy, self.by_log = index, proxy, by_log
        self.samples: list[Sample] = []
        self.ready = threading.Event()
        #: How many seconds the youngest entry of the log is old, or ahead of us (negative), at least.
        self.delay: float | None = None
        self._cluster, self._watched, self._zero = cluster, watched, zero
        self._wall = time.time() - (time.monotonic() - zero)
        self._from = time.monotonic() - zero
        self._pause = max(1.0, clients / RATE)
        self._seen: set[tuple[str, str, str]] = set()
        self._before: TrafficReading | None = None
        self._read_at = time.monotonic()
        self._why = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name=f"traffic of {proxy.where}", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()
        self.ready.set()

    def end(self, _seconds: float) -> None:
        """Read a last time, what Envoy has not written yet, too, and no more."""
        if self.by_log:
            self._stop.wait(FLUSH_SECONDS)
        self._stop.set()
        join_if_begun(self._thread, SILENCE_SECONDS)
        self._once()

    def stalled(self) -> str:
        """Return why the client has to be taken for lost, '' while its Envoy can be read."""
        silent = time.monotonic() - self._read_at
        return f"{self.proxy.where} cannot be read for {silent:.0f} s: {self._why}" if silent > SILENCE_SECONDS else ""

    def slowness(self) -> str:
        """Return '': what users send is never late."""
        return ""

    def clock(self) -> str:
        """Return by how much the clock of the client's node differs from ours, '' when it does not matter."""
        if self.delay is None or -1.0 <= self.delay <= CLOCK_SECONDS:
            return ""
        return (
            f"The access log of {self.proxy.where} is {self.delay:.1f} s behind our clock: its requests are dated by"
            " the node's."
        )

    def _look(self) -> None:
        self._once()
        while not self._stop.wait(self._pause):
            self._once()

    def _once(self) -> None:
        try:
            if self.by_log:
                self._read_log()
            else:
                self._read_counters()
        except LocalityError as error:
            self._why = error.what
            return
        self._read_at = time.monotonic()

    def _read_log(self) -> None:
        seconds = int(time.monotonic() - self._read_at + self._pause + FLUSH_SECONDS) + 3
        for entry in log_of(self._cluster, self.proxy, seconds, self._watched):
            sample = user_requests.from_log(entry, self.index, self._wall, self._watched.pods)
            key = (entry.request_id, entry.start_time, entry.upstream_host)
            if sample is None or key in self._seen or sample.t < self._from:
                continue
            self._seen.add(key)
            delay = time.monotonic() - self._zero - sample.t - sample.seconds
            self.delay = delay if self.delay is None else min(self.delay, delay)
            self.samples.append(sample)

    def _read_counters(self) -> None:
        now = counters_of(self._cluster, self.proxy, self._watched, self._zero)
        if self._before is not None:
            self.samples += user_requests.from_counters(self._before, now, self.index, self._watched.pods)
        self._before = now


def log_of(cluster: Cluster, proxy: Proxy, seconds: int, watched: Watched) -> list[AccessLogEntry]:
    """Return the access log's entries of the last seconds that are about the Service. Raises ClusterError."""
    query = {"container": PROXY, "sinceSeconds": seconds, "limitBytes": 64 * 1024 * 1024}
    text = cluster.text("get", POD.path(proxy.namespace, proxy.pod, "log"), query=query)
    return [entry for entry in parse_access_log(text) if user_requests.is_about(entry, watched.host, watched.port)]


def counters_of(cluster: Cluster, proxy: Proxy, watched: Watched, zero: float) -> TrafficReading:
    """Return the endpoints of the Service as a client's Envoy has them, with their counters."""
    endpoints = read_endpoints(cluster, proxy, watched.pattern)
    own = tuple(endpoint for endpoint in endpoints if watched.wants(endpoint, proxy.namespace))
    return TrafficReading(time.monotonic() - zero, proxy.where, own)


def rate_of(cluster: Cluster, proxy: Proxy, watched: Watched, seconds: int) -> tuple[float, bool]:
    """Return (requests a second to the Service, whether the access log has them), looked at for some seconds.

    Raises ClusterError when the Envoy cannot be read.
    """
    begun = time.monotonic()
    before = counters_of(cluster, proxy, watched, begun)
    time.sleep(seconds)
    try:
        entries = log_of(cluster, proxy, seconds + 1, watched)
    except ClusterError:
        entries = []  # Without the log there are the counters.
    if entries:
        return len(entries) / (seconds + 1), True
    after = counters_of(cluster, proxy, watched, begun)
    return len(user_requests.from_counters(before, after, 0, {})) / max(0.1, after.t - before.t), False
