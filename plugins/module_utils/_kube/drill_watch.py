# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes on beside a drill: its lock is renewed, and targets, clients and bystanders are looked at.

Each looks in a thread of its own; the drill asks them what they have seen. None of them decides anything.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import threading
import time
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.failover_mechanism import TrafficReading
from ansible_collections.meshops.locality.plugins.module_utils._drill.faults import DrillFault
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import Target
from ansible_collections.meshops.locality.plugins.module_utils._errors import ClusterError, LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._kube import lease
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_faults import (
    STEPS,
    Application,
    application_fault,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_target_state import (
    container_of,
    live_workload,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_timers import renew_timer
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import POD
from ansible_collections.meshops.locality.plugins.module_utils._kube.lease import Lease, LeaseLost
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import Proxy, read_endpoints

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import EnvoyEndpoint
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

RENEW_SECONDS = 1.0
#: A renewal that takes longer is trouble with the API server.
SILENCE_SECONDS = 2.0
#: So many commands in containers are run at a time, whatever there is to look at.
EXECS = 8
#: So many commands a second are spent on clients and bystanders.
RATE = 10.0


def join_if_begun(thread: threading.Thread, seconds: float) -> None:
    """Wait for the end of a thread, at most so long; not for one that a drill did not come to start."""
    if thread.is_alive():
        thread.join(timeout=seconds)


class LockGuard:
    """Renews the lock once a second; `trouble()` says what is wrong with it, or with the API server."""

    def __init__(self, cluster: Cluster, lock: Lease) -> None:
        self.lease = lock
        self._cluster = cluster
        self._begun: float | None = None
        self._problem: tuple[str, str] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lock", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def trouble(self) -> tuple[str, str] | None:
        """Return (kind, sentence): `stop`, `lock` or `api_trouble`; None when all is well."""
        if self._problem is not None:
            return self._problem
        begun = self._begun
        if begun is not None and time.monotonic() - begun > SILENCE_SECONDS:
            return "api_trouble", f"The API server has not answered for {time.monotonic() - begun:.1f} s."
        return None

    def end(self) -> None:
        """Renew no more."""
        self._stop.set()
        join_if_begun(self._thread, SILENCE_SECONDS)

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_SECONDS):
            self._begun = self._begun or time.monotonic()
            try:
                self.lease = lease.renew(self._cluster, self.lease)
            except LeaseLost as error:
                self._problem = "lock", str(error)
                return
            except ClusterError:
                continue  # Not answered yet: trouble() counts the time, and the next try may succeed.
            self._begun = None
            if self.lease.stop:
                self._problem = "stop", f"Drills were stopped: {self.lease.stop}."
                return


class TargetGuard:
    """Looks whether the fault is still where it was put, and gives the dead-man's switches signs of life."""

    def __init__(
        self, cluster: Cluster, fault: DrillFault, drill: str, timer_seconds: int, application: Application | None
    ) -> None:
        self.vanished = ""
        self._cluster, self._fault, self._drill, self._application = cluster, fault, drill, application
        self._renewal = max(1.0, timer_seconds / 4)
        self._targets: tuple[Target, ...] = ()
        self._renewed = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="targets", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def watch(self, targets: t.Sequence[Target]) -> None:
        """Look at these from now on (none: at nothing). Waits until a look that is under way has ended."""
        with self._lock:
            self._targets = tuple(targets)
            self._renewed = time.monotonic()

    def end(self) -> None:
        """Look no more."""
        self._stop.set()
        join_if_begun(self._thread, 5)

    def _look(self) -> None:
        while not self._stop.wait(RENEW_SECONDS):
            with self._lock:
                if not self._targets or self.vanished:
                    continue
                try:
                    self.vanished = self._gone()
                except LocalityError:
                    continue  # What cannot be asked is not known to be gone; the lock's guard sees a silent API server.

    def _gone(self) -> str:
        steps = STEPS.get(self._fault.acts_on)
        if steps is not None:
            return next(
                filter(None, (steps.vanished(self._cluster, target, self._drill) for target in self._targets)), ""
            )
        if self._fault.acts_on == "workload":
            return next(filter(None, map(self._scaled, self._targets)), "")
        namespace = self._targets[0].namespace
        pods = {pod["metadata"]["uid"]: pod for pod in self._cluster.list(POD, namespace)}
        for target in self._targets:
            pod = pods.get(target.uid)
            if pod is None or pod["metadata"].get("deletionTimestamp"):
                return f"Pod {target.where} was deleted or replaced."
            if self._fault.acts_on == "proxy" and container_of(pod) != target.container:
                return f"The fault at {target.where} vanished: somebody restarted its istio-proxy."
        if time.monotonic() < self._renewed + self._renewal:
            return ""
        answers = self._cluster.map(self._renew, self._targets, workers=EXECS)
        self._renewed = time.monotonic()
        return next(filter(None, answers), "")

    def _renew(self, target: Target) -> str:
        if self._fault.acts_on == "application" and self._application is not None:
            if application_fault(self._cluster, target, self._application) == "none":
                return f"The fault of the application at {target.where} vanished: somebody ended it."
        elif target.timer and not renew_timer(self._cluster, target, self._drill):
            return f"The fault at {target.where} vanished: its timer is not there any more."
        return ""

    def _scaled(self, target: Target) -> str:
        item = live_workload(self._cluster, target)
        if item is None:
            return f"{target.kind} {target.where} was deleted."
        wanted = item["spec"].get("replicas", 1)
        return f"{target.kind} {target.where} was scaled to {wanted} by somebody else." if wanted else ""


class EnvoyWatch:
    """Reads what the Envoys of clients and bystanders hold, one after the other, never more than RATE a second."""

    def __init__(
        self, cluster: Cluster, clients: t.Sequence[Proxy], pattern: str, zero: float, *, pause: float = 0.5
    ) -> None:
        self._pause = pause
        self._own: dict[str, list[TrafficReading]] = {}
        self._marks = 0
        self._periods: dict[str, int] = {}
        self.errors: dict[str, str] = {}
        self._cluster, self._clients, self._pattern, self._zero = cluster, tuple(clients), pattern, zero
        self._wanted: t.Callable[[EnvoyEndpoint, str], bool] = lambda _endpoint, _namespace: True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="Envoys", daemon=True)

    def only(self, wanted: t.Callable[[EnvoyEndpoint, str], bool]) -> EnvoyWatch:
        """Keep only endpoints for which `wanted(endpoint, namespace of the client)` is true."""
        self._wanted = wanted
        return self

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._stop.set()
        join_if_begun(self._thread, 10)

    @property
    def readings(self) -> list[TrafficReading]:
        """Every reading that differs from the one before it, and the last of each period between two marks."""
        return [reading for own in self._own.values() for reading in list(own)]

    def mark(self) -> None:
        """Begin a new period: the last readings of the one before stay as they are."""
        self._marks += 1

    def look(self) -> list[TrafficReading]:
        """Look once, at every client, and return what was read."""
        period = self._marks
        answers = self._cluster.map(self._read, self._clients, workers=EXECS)
        taken = [reading for reading in answers if reading is not None]
        for reading in taken:
            own = self._own.setdefault(reading.client, [])
            if len(own) > 1 and period == self._periods.get(reading.client) and _same(own[-1], own[-2], reading):
                own[-1] = reading
            else:
                own.append(reading)
            self._periods[reading.client] = period
        return taken

    def _read(self, client: Proxy) -> TrafficReading | None:
        try:
            endpoints = read_endpoints(self._cluster, client, self._pattern)
        except LocalityError as error:
            self.errors[client.where] = error.what
            return None
        self.errors.pop(client.where, None)
        wanted = tuple(endpoint for endpoint in endpoints if self._wanted(endpoint, client.namespace))
        return TrafficReading(time.monotonic() - self._zero, client.where, wanted)

    def _look(self) -> None:
        pause = max(self._pause, len(self._clients) / RATE)
        while not self._stop.wait(pause):
            self.look()


def _same(*readings: TrafficReading) -> bool:
    """Whether readings show the same endpoints in the same health; counters may differ."""
    return (
        len(
            {
                tuple((endpoint.address, endpoint.priority, endpoint.health_reasons) for endpoint in each.endpoints)
                for each in readings
            }
        )
        == 1
    )
