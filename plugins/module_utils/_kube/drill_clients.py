# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests from clients while a drill runs: one open loop per client, noted as they are answered.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import math
import re
import threading
import time
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.measurements import Sample
from ansible_collections.meshops.locality.plugins.module_utils._envoy.access_log import AccessLogEntry, parse_access_log
from ansible_collections.meshops.locality.plugins.module_utils._errors import ClusterError, LocalityError, NotReady
from ansible_collections.meshops.locality.plugins.module_utils._kube.exec import Session, lacks_program
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import POD
from ansible_collections.meshops.locality.plugins.module_utils._kube.request_loop import LOOP
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import PROXY, Proxy

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

#: A client that reports nothing for so long after a request was due, and its time to answer, is taken for lost.
SILENCE_SECONDS = 5.0
MAX_SECONDS = 6 * 3600.0
#: A client that starts a request so long after it was due does not ask what it was to ask.
LATE_SECONDS = 30.0
#: Besides those that may wait for their time limit, so many requests of a client are open at most: each is a process
#: in somebody's container.
OPEN_REQUESTS = 20


class Request(t.NamedTuple):
    """What every client asks, how often a second, and how long it waits for an answer."""

    url: str
    rate: float
    timeout: float
    pattern: re.Pattern[str] | None


class ClientProbe:
    """One client's requests. `samples` grows while it runs; `broken` says why it ended before `end`.

    A client without processor time starts requests late; `late` is by how many seconds at most. A request belongs to
    the time at which it was sent: what was due before the fault and sent in it was lost to the fault.
    """

    def __init__(
        self, cluster: Cluster, index: int, proxy: Proxy, container: str, request: Request, run: str, clock: float
    ) -> None:
        self.index = index
        self.proxy = proxy
        self.container = container
        self.samples: list[Sample] = []
        self.numbers: list[int] = []
        self.broken = ""
        self.late = 0.0
        self.ready = threading.Event()
        self.run = f"{run}-{index}"
        self._cluster = cluster
        self._request = request
        self._clock = clock
        self._due: list[float] = []
        self._answered_at = time.monotonic()
        self._stop = threading.Event()
        self._most_open = math.ceil(request.rate * (request.timeout + 1)) + OPEN_REQUESTS
        self._thread = threading.Thread(target=self._read, name=f"probe of {proxy.where}", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def end(self, seconds: float) -> None:
        """Ask no more and wait for the last answers, at most so long."""
        self._stop.set()
        if self._thread.is_alive():  # not where the drill ended before it began
            self._thread.join(timeout=seconds)

    def stalled(self) -> str:
        """Return why the client has to be taken for lost, '' while it answers."""
        if self.broken:
            return self.broken
        if self.late > LATE_SECONDS:
            return (
                f"{self.proxy.where} starts requests {self.late:.0f} s late: it has too little processor time for"
                f" {self._request.rate:g} a second."
            )
        now = time.monotonic()
        waiting = len(self._due) - len(self.samples)
        silent = now - max(self._answered_at, self._due[0] if self._due else now)
        if waiting and silent > self._request.timeout + SILENCE_SECONDS:
            return f"{self.proxy.where} has reported nothing for {silent:.0f} s."
        return ""

    def slowness(self) -> str:
        """Return by how much requests came later than they were due, '' up to a second."""
        if self.late <= 1.0:
            return ""
        return (
            f"{self.proxy.where} sent requests up to {self.late:.1f} s late: it had too little processor time for"
            f" {self._request.rate:g} a second."
        )

    def _read(self) -> None:
        request = self._request
        command = ["sh", "-c", LOOP, "sh", self.run, f"{request.timeout:g}", request.url]
        ticker = threading.Thread(target=self._tick, name=f"ticker of {self.proxy.where}", daemon=True)
        until = time.monotonic() + MAX_SECONDS
        try:
            with Session(self._cluster, self.proxy.namespace, self.proxy.pod, self.container, command) as self._session:
                for line in self._session.lines(until):
                    if line == "ready":
                        ticker.start()
                        self.ready.set()
                    elif line == "no-curl":
                        raise NotReady(f"Container {self.container} of {self.proxy.where} has no curl.")
                    else:
                        self._take(line)
            if not self._stop.is_set():
                self.broken = f"The requests of {self.proxy.where} ended by themselves."
        except LocalityError as error:
            if not self._stop.is_set():
                reason = error.what
                if isinstance(error, ClusterError) and lacks_program(error):
                    reason = f"Container {self.container} of {self.proxy.where} has no shell."
                self.broken = reason
        finally:
            self._stop.set()
            self.ready.set()

    def _tick(self) -> None:
        start = time.monotonic()
        index = 0
        try:
            while not self._stop.wait(max(0.0, start + index / self._request.rate - time.monotonic())):
                start += self._wait_for_room()
                self._due.append(time.monotonic())
                self._session.write(f"{index}\n")
                index += 1
            self._session.write("end\n")
        except LocalityError as error:
            if not self._stop.is_set():
                self.broken = self.broken or error.what

    def _wait_for_room(self) -> float:
        """Wait while the client has as many requests open as it may have; return for how many seconds."""
        begun = time.monotonic()
        while len(self._due) - len(self.samples) >= self._most_open and not self._stop.wait(0.02):
            self.late = max(self.late, time.monotonic() - begun)
        return time.monotonic() - begun

    def _take(self, line: str) -> None:
        index, curl, code, seconds, body = (line + "    ").split(" ", 4)
        try:
            number = int(index)
            match = self._request.pattern.search(body) if self._request.pattern else None
            pod = (match.groupdict().get("pod") or match.group(1) or "") if match else ""
            due, took = self._due[number], float(seconds)
            sent = max(due, time.monotonic() - took)
            sample = Sample(self.index, sent - self._clock, took, int(code), int(curl), pod.strip())
        except (ValueError, IndexError) as error:
            raise NotReady(f"{self.proxy.where} answered something that is not a result: {line[:200]!r}.") from error
        self._answered_at = time.monotonic()
        self.late = max(self.late, sent - due)
        self.samples.append(sample)
        self.numbers.append(number)


def logged(cluster: Cluster, probe: ClientProbe, seconds: float) -> tuple[dict[int, AccessLogEntry], str]:
    """Return the access log's entries of a probe's requests by number, or why there are none."""
    query = {"container": PROXY, "sinceSeconds": int(seconds) + 5, "limitBytes": 64 * 1024 * 1024}
    try:
        text = cluster.text("get", POD.path(probe.proxy.namespace, probe.proxy.pod, "log"), query=query)
    except ClusterError as error:
        return {}, f"The log of istio-proxy of {probe.proxy.where} cannot be read. {error}"
    entries: dict[int, AccessLogEntry] = {}
    for entry in parse_access_log(text):
        run, _dash, number = entry.request_id.rpartition("-")
        if run == probe.run and number.isdigit():
            entries[int(number)] = entry
    return (
        entries,
        "" if entries else f"The access log of {probe.proxy.where} is off, filtered, or lacks the request id.",
    )
