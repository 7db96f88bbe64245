# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill knows and reports while it passes through its phases.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
import time
import typing as t
import uuid

from ansible_collections.meshops.locality.plugins.module_utils._drill import gate
from ansible_collections.meshops.locality.plugins.module_utils._drill.failover_mechanism import Shift
from ansible_collections.meshops.locality.plugins.module_utils._drill.faults import DrillFault, fault_named
from ansible_collections.meshops.locality.plugins.module_utils._drill.gate import Facts
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import JournalRecord, Target
from ansible_collections.meshops.locality.plugins.module_utils._drill.measurements import Moments, Sample
from ansible_collections.meshops.locality.plugins.module_utils._drill.phases import Ended, Event
from ansible_collections.meshops.locality.plugins.module_utils._drill.scope import Candidate, Step
from ansible_collections.meshops.locality.plugins.module_utils._drill.snapshot_difference import Difference
from ansible_collections.meshops.locality.plugins.module_utils._drill.target_restoration import TargetRestoration
from ansible_collections.meshops.locality.plugins.module_utils._drill.verdict import Criterion
from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_journal
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_clients import ClientProbe
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_faults import Application
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_journal import Stored
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_preflight import DrillClient
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_restore import patiently
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_targets import ServicePods
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_user_traffic import UserTraffic, Watched
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_watch import (
    EnvoyWatch,
    LockGuard,
    TargetGuard,
)
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.interruption import Interruption
from ansible_collections.meshops.locality.plugins.module_utils._module.endpoints_info import ClusterQuery

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster
    from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot

Params = t.Mapping[str, t.Any]
Json = dict[str, t.Any]


class DrillRun:
    """What one drill was asked, knows, and has reported. The functions of the phases fill it in."""

    timers = False
    guard: LockGuard
    target_guard: TargetGuard
    watch: EnvoyWatch
    bystander_watch: EnvoyWatch
    pattern: re.Pattern[str] | None
    measured: Json
    facts: Facts

    def __init__(self, cluster: Cluster, params: Params, check_mode: bool) -> None:
        self.cluster, self.params, self.check_mode = cluster, params, check_mode
        self.fault: DrillFault = fault_named(params["fault"])
        self.zero = time.monotonic()
        self.started = drill_journal.now()
        self.id = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:6]}"
        self.holder = f"{_user()}@{socket.gethostname()} (pid {os.getpid()}, drill {self.id})"
        self.phase = ""
        self.phases: list[Json] = []
        self.events: list[Event] = []
        self.findings: list[Json] = []
        self.ended: Ended | None = None
        self.service_pods: ServicePods | None = None
        self.steps: list[Step] = []
        self.targets: list[Target] = []
        self.clients: list[DrillClient] = []
        #: Clients that the drill makes itself.
        self.probe_targets: list[Target] = []
        self.gate: list[gate.Result] = []
        self.prediction: Json | None = None
        self.mesh: Snapshot | None = None
        self.before: dict[str, dict[str, str]] = {}
        self.differences: list[Difference] = []
        self.compared = 0
        self.unread: list[str] = []
        self.undone: dict[str, TargetRestoration] = {}
        self.stored: Stored | None = None
        self.probes: list[ClientProbe | UserTraffic] = []
        #: Requests a second of each client, and which clients' access logs have them, where users send them.
        self.user_rate = 0.0
        self.logging: set[str] = set()
        self.samples: list[Sample] = []
        self.moments = Moments()
        self.shifts: list[Shift] = []
        self.criteria: list[Criterion] = []
        self.views: dict[str, list[Json]] = {}
        self.witnesses: Json = {"probe": False, "counters": False, "disagreements": [], "unavailable": []}
        self.bystanders: Json = {"watched": 0, "requests": 0, "errors": 0, "hurt": [], "unavailable": []}
        self.changed = False
        self.approvals: list[str] = []
        self.progress_due = 0.0
        self.bystanders_due = 0.0
        self.interruption = Interruption()

    def now(self) -> float:
        """Seconds since the drill began."""
        return time.monotonic() - self.zero

    def add_event(self, kind: str, message: str, **more: str) -> None:
        """Add an event, and write its line to the file that is followed."""
        event = Event(self.now(), self.phase, kind, message, **more)
        self.events.append(event)
        self._show(event)

    def _show(self, event: Event) -> None:
        self.append({**event.as_dict(), "line": event.line()})

    def append(self, line: Json, *, create: bool = False) -> None:
        """Append a line to the file that is followed. One that was removed meanwhile is followed by nobody."""
        if not self.params["progress"]:
            return
        try:
            # O_NONBLOCK: a FIFO would wait for a reader, between fault and undoing.
            flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | (os.O_CREAT if create else 0)
            handle = os.open(self.params["progress"], flags, 0o600)
            try:
                os.write(handle, (json.dumps(self.cluster.masked(line)) + "\n").encode())
            finally:
                os.close(handle)
        except OSError:
            return  # Nobody can see it then: no reason to stop between fault and undoing.

    def begin(self, name: str, message: str = "") -> None:
        """Enter a phase."""
        self.end_phase("done")
        self.phase = name
        self.phases.append({"name": name, "t": round(self.now(), 3), "seconds": 0.0, "outcome": "done"})
        if message:
            self.add_event("phase", message)

    def end_phase(self, outcome: str) -> None:
        """Note how the current phase ended."""
        if self.phases and "ended" not in self.phases[-1]:
            last = self.phases[-1]
            last |= {"seconds": round(self.now() - last["t"], 3), "outcome": outcome, "ended": True}

    def seconds_to_undoing(self) -> float:
        """How long it takes from now until the undoing begins, at most."""
        return float(self.params["lead"] + self.params["duration"] * max(1, len(self.steps)))

    @property
    def lost(self) -> list[Candidate]:
        """The pods that are lost, whatever the fault acts on."""
        return [pod for step in self.steps for pod in step.pods]

    @property
    def lost_nodes(self) -> list[str]:
        """The nodes that are lost with everything on them."""
        return [target.name for target in self.targets if target.kind == "Node" and self.fault.acts_on == "machine"]

    @property
    def rate(self) -> float:
        """Requests a second of each client: as asked for, or as users send them."""
        return self.user_rate if self.params["load"] == "users" else float(self.params["rate"])

    @property
    def watched(self) -> Watched:
        """Whose requests are read where users send them."""
        behind = t.cast(ServicePods, self.service_pods)
        pods = {candidate.address: candidate.name for candidate in behind.candidates}
        return Watched(behind.host, behind.port, self.question.pattern(), self.question.wants, pods)

    @property
    def url(self) -> str:
        """What clients ask."""
        behind, params = t.cast(ServicePods, self.service_pods), self.params
        return str(params["url"] or f"http://{behind.service}.{behind.namespace}:{behind.port}{params['path']}")

    @property
    def application(self) -> Application | None:
        """How the faults of the application are reached."""
        if self.fault.acts_on != "application":
            return None
        client, behind = self.clients[0], t.cast(ServicePods, self.service_pods)
        port = self.params["fault_port"] or behind.target_port or behind.port
        return Application(client.proxy.namespace, client.proxy.pod, client.container, port, self.params["fault_path"])

    @property
    def question(self) -> ClusterQuery:
        """Which of an Envoy's clusters belong to the Service."""
        behind = t.cast(ServicePods, self.service_pods)
        return ClusterQuery(behind.host, behind.port, "")

    @property
    def record(self) -> JournalRecord:
        """The journal as it was written last."""
        return t.cast(JournalRecord, t.cast(Stored, self.stored).record)

    def write(self, record: JournalRecord, phase: str, what: str, *, until: float | None = None) -> None:
        """Write the journal; with a deadline again and again. Raises JournalChanged when somebody else wrote it."""
        stored = t.cast(Stored, self.stored)
        noted = record.noted(drill_journal.now(), phase, what)
        if until is None:
            self.stored = drill_journal.save(self.cluster, stored, noted, self.holder)
        else:
            self.stored = patiently(lambda: drill_journal.save(self.cluster, stored, noted, self.holder), until)

    def request_count(self) -> float:
        """How many requests all clients together will have sent."""
        return self.rate * self.seconds_to_undoing() * len(self.clients)

    def scopes_text(self) -> str:
        """The scopes as they were asked for, in one text."""
        return ", then ".join(step.asked for step in self.steps)

    def scope_list(self) -> list[str]:
        """The scopes as they were asked for, one by one."""
        return [step.asked for step in self.steps]

    def add_finding(self, severity: str, what: str, do: str, fix: str = "") -> None:
        """Add a finding to the document: `severity` is error, warning or info."""
        self.findings.append({"severity": severity, "what": what, "do": do, "fix": fix})


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())  # A container's user need not have a name.
