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
from collections import deque

from ansible_collections.meshops.locality.plugins.module_utils._drill.measurements import Sample
from ansible_collections.meshops.locality.plugins.module_utils._envoy.access_log import AccessLogEntry, parse_access_log
from ansible_collections.meshops.locality.plugins.module_utils._errors import ClusterError, LocalityError, NotReady
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_watch import join_if_begun
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
#: The requests of so many seconds are asked by one curl while all is well. When they do not come back in time, the
#: client asks on without waiting for it, so late; what it still asks of them is asked besides.
SECONDS_OF_ONE_CURL = 2.0
SECONDS_OF_ONE_REPORT = 0.4
TIME_TO_REPORT = 0.3
#: The request loop cuts bodies at this length; a shell is slow with longer ones.
LONG_BODY = 300


class Request(t.NamedTuple):
    """What every client asks, how often a second, and how long it waits for an answer."""

    url: str
    rate: float
    timeout: float
    pattern: re.Pattern[str] | None


class ClientProbe:
    """One client's requests. `samples` grows while it runs; `broken` says why it ended before `end`.

    Requests are sent when they are due, whether those before are answered or not. While answers come well before the
    next request is due, one curl asks several; it would wait for a slow answer, so then each has a curl of its own.

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
        #: When each request was due that has no answer yet; inf: it is asked besides, whenever its curl gets to it.
        self._due: dict[int, float] = {}
        self._first_due = 0.0
        #: How many requests a curl is to ask, by the first one's number.
        self._counts: dict[int, int] = {}
        #: When the requests were due that a curl was to ask and will not.
        self._unasked: list[float] = []
        self._answered_at = time.monotonic()
        self._stop = threading.Event()
        #: Around what changes the requests that are due: an answer must not come between looking and writing.
        self._lock = threading.Lock()
        #: How many requests one curl asks, and how many of their answers it reports at once.
        self._several = 1
        self._reported_at_once = math.ceil(request.rate * SECONDS_OF_ONE_REPORT)
        #: Answers that came at once: how many, then those that were read.
        self._group: list[str] = []
        #: Whether a curl that was to ask several waits for an answer.
        self._waits = False
        #: Of the newest answers: for how many seconds they were waited for, and how late their requests began.
        self._newest: deque[tuple[float, float]] = deque(maxlen=max(1, math.ceil(request.rate * SECONDS_OF_ONE_CURL)))
        self._most_open = math.ceil(request.rate * (request.timeout + 1)) + OPEN_REQUESTS
        self._thread = threading.Thread(target=self._read, name=f"probe of {proxy.where}", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def end(self, seconds: float) -> None:
        """Ask no more and wait for the last answers, at most so long."""
        self._stop.set()
        join_if_begun(self._thread, seconds)

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
        silent = now - max(self._answered_at, self._first_due)
        if self._open(now) and silent > self._request.timeout + SILENCE_SECONDS:
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
        rate = f"{max(1, round(60 * request.rate))}"
        quoted = request.url.replace("\\", "\\\\").replace('"', '\\"')
        command = [
            "sh",
            "-c",
            LOOP,
            "sh",
            self.run,
            f"{request.timeout:g}",
            request.url,
            rate,
            quoted,
            f"{self._reported_at_once}",
        ]
        ticker = threading.Thread(target=self._tick, name=f"ticker of {self.proxy.where}", daemon=True)
        until = time.monotonic() + MAX_SECONDS
        try:
            with Session(self._cluster, self.proxy.namespace, self.proxy.pod, self.container, command) as self._session:
                for line in self._session.lines(until):
                    if line.startswith("ready"):
                        self._several = self._newest.maxlen or 1 if line == "ready for several" else 1
                        ticker.start()
                        self.ready.set()
                    elif line == "no-curl":
                        raise NotReady(f"Container {self.container} of {self.proxy.where} has no curl.")
                    else:
                        self._report(line)
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

    def _open(self, now: float) -> int:
        """Return how many requests are due and have no answer."""
        return sum(due <= now for due in list(self._due.values()))

    def _prompt(self) -> bool:
        """Whether one curl could ask all of the newest requests in their time.

        Where a curl begins later than it then waits, the client has too little processor time, and more curls would
        need more of it.
        """
        waited = sum(seconds for seconds, late in tuple(self._newest) if seconds > late)
        return waited < 0.9 * len(self._newest) / self._request.rate or not self._newest

    def _tick(self) -> None:
        due = self._first_due = time.monotonic()
        number = 0
        try:
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                due += self._wait_for_room()
                begun = time.monotonic()
                if self._several > 1 and self._prompt() and not (self._waits and self._due):
                    count, self._waits, self._unasked = self._several, False, []
                    self._counts[number] = count
                    self._due |= {number + place: begun + place / self._request.rate for place in range(count)}
                    self._session.write(f"{number} {count}\n")
                    due = self._await_prompt_answers(count, begun)
                else:
                    count = 1
                    self._due[number] = begun
                    self._session.write(f"{number}\n")
                    due += 1 / self._request.rate
                number += count
            self._session.write("end\n")
        except LocalityError as error:
            if not self._stop.is_set():
                self.broken = self.broken or error.what
        except Exception as error:  # or nobody would learn that this client asks no more
            self.broken = self.broken or f"{self.proxy.where} asks no more: {type(error).__name__}: {error}"
            raise

    def _await_prompt_answers(self, count: int, begun: float) -> float:
        """Return when the next request is due that no curl asks in its time: after these, or earlier."""
        due = begun
        for place in range(1, count + 1):
            due = begun + place / self._request.rate
            if self._stop.wait(max(0.0, due - time.monotonic())):
                break
            missed = self._missed(time.monotonic())
            if missed is not None:
                self._waits = True
                with self._lock:
                    self._due |= {number: math.inf for number, when in self._due.items() if when >= missed}
                return missed
        return due

    def _missed(self, now: float) -> float | None:
        """Return when the first request was due that a curl should have asked by now and did not."""
        if self._unasked:
            missed = min(self._unasked)
            self._unasked = []
            return missed
        interval = 1 / self._request.rate
        latest = max((late for _waited, late in tuple(self._newest)), default=0.0)
        patience = TIME_TO_REPORT + self._reported_at_once * interval + 2 * latest
        oldest = min(list(self._due.values()), default=math.inf)
        return oldest + interval if oldest + interval + patience < now else None

    def _wait_for_room(self) -> float:
        """Wait while the client has as many requests open as it may have; return for how many seconds."""
        begun = time.monotonic()
        while self._open(time.monotonic()) >= self._most_open and not self._stop.wait(0.02):
            self.late = max(self.late, time.monotonic() - begun)
        return time.monotonic() - begun

    def _report(self, line: str) -> None:
        """Note what a line of the request loop says; several answers once the last of them is there."""
        with self._lock:
            self._note(line)

    def _note(self, line: str) -> None:
        word, _space, number = line.partition(" ")
        if self._group:
            self._group.append(line)
            if len(self._group) <= int(self._group[0]):
                return
            following = math.inf
            for answer in reversed(self._group[1:]):
                following = self._take(answer, following)
            self._group = []
        elif word == "several" and number.isdigit():
            self._group = [number]
        elif word == "ended" and number.isdigit():
            first = int(number)
            left = self._due.keys() & set(range(first, first + self._counts.pop(first, 0)))
            dues = [self._due.pop(each) for each in left]
            self._unasked += [due for due in dues if due < math.inf]
        else:
            self._take(line)

    def _take(self, line: str, following: float = math.inf) -> float:
        """Note an answer; return when its request was sent. `following`: when its curl sent the next one."""
        index, curl, code, seconds, body = (line + "    ").split(" ", 4)
        try:
            number = int(index)
            match = self._request.pattern.search(body) if self._request.pattern else None
            pod = (match.groupdict().get("pod") or match.group(1) or "") if match else ""
            due, took = self._due[number], float(seconds)
            del self._due[number]
            sent = min(time.monotonic() - took, following - max(took, 1 / self._request.rate))
            due = sent if due == math.inf else due
            sent = max(due, sent)
            sample = Sample(self.index, sent - self._clock, took, int(code), int(curl), pod.strip())
        except (ValueError, KeyError) as error:
            raise NotReady(f"{self.proxy.where} answered something that is not a result: {line[:200]!r}.") from error
        self._answered_at = time.monotonic()
        well = sample.curl == 0 and len(body) < LONG_BODY
        self._newest.append((took if well else math.inf, sent - due))
        self.late = max(self.late, sent - due)
        self.samples.append(sample)
        self.numbers.append(number)
        return sent


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
