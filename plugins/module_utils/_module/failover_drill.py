# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of failover_drill: break a place on purpose, watch, put everything back whatever happens, and judge.

One process owns requests, fault and undoing. What is to be undone is written to the cluster before it is done.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import calendar
import getpass
import json
import os
import platform
import re
import signal
import socket
import threading
import time
import typing as t
import uuid
from dataclasses import replace
from pathlib import Path
from types import FrameType

from ansible_collections.meshops.locality.plugins.module_utils._drill import gate, measurements, verdict
from ansible_collections.meshops.locality.plugins.module_utils._drill.attribution import (
    EVENTS,
    Shift,
    TrafficReading,
    first,
    shifts,
)
from ansible_collections.meshops.locality.plugins.module_utils._drill.faults import DrillFault, fault_named
from ansible_collections.meshops.locality.plugins.module_utils._drill.gate import CONSENT, CONSENT_LABEL, DAYS, Facts
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import (
    CLOSED,
    GONE,
    INJECTED,
    INJECTING,
    JournalRecord,
    Target,
)
from ansible_collections.meshops.locality.plugins.module_utils._drill.measurements import Moments, Sample
from ansible_collections.meshops.locality.plugins.module_utils._drill.phases import (
    FAILED,
    INTERRUPTED,
    PENDING,
    REFUSED,
    SUCCEEDED,
    Ended,
    Event,
)
from ansible_collections.meshops.locality.plugins.module_utils._drill.prediction import Asked, overload, predict
from ansible_collections.meshops.locality.plugins.module_utils._drill.scope import Candidate, Step, steps
from ansible_collections.meshops.locality.plugins.module_utils._drill.snapshot_difference import Difference, differences
from ansible_collections.meshops.locality.plugins.module_utils._drill.verdict import Criterion, Wanted
from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import EnvoyEndpoint
from ansible_collections.meshops.locality.plugins.module_utils._envoy.probe_statistics import percentile
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    Conflict,
    DrillEnded,
    Forbidden,
    InvalidInput,
    LocalityError,
    NotFound,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.expected_probe import Watch
from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_journal, lease
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_clients import ClientProbe, Request, logged
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_faults import (
    Application,
    Undone,
    inject,
    start_timer,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_journal import Stored, Taken
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_preflight import (
    DrillClient,
    answers,
    check_application,
    check_targets,
    clients_of,
    credential_seconds,
    targets_of,
    without_timer,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_restore import (
    patiently,
    settled,
    undo_targets,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_targets import Behind, read_behind, state_of
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_watch import (
    EnvoyWatch,
    LockGuard,
    TargetGuard,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import NAMESPACE, POD
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import Proxy
from ansible_collections.meshops.locality.plugins.module_utils._lint.lint import lint
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_report import write_evidence
from ansible_collections.meshops.locality.plugins.module_utils._module.endpoints_info import ClusterQuery
from ansible_collections.meshops.locality.plugins.module_utils._module.topology_info import assembled
from ansible_collections.meshops.locality.plugins.module_utils._source import live_objects, manifests
from ansible_collections.meshops.locality.plugins.module_utils._source.control_plane import (
    WantedControlPlane as ControlPlane,
)

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster
    from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot

Params = t.Mapping[str, t.Any]
Json = dict[str, t.Any]

SCHEMA = "meshops.locality/drill/v1"
TICK_SECONDS = 0.1
PROGRESS_SECONDS = 5.0
#: A latency is judged over the requests of so many seconds.
RECENT_SECONDS = 5.0
#: So long the API server is asked again for a single step of putting a fault in.
STEP_SECONDS = 5.0
#: What the undoing is given on top of its own time until the journal counts as left behind.
MARGIN_SECONDS = 60
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


#: A drill that was interrupted waits so long for endpoints to be ready again, so that its proof is one.
SETTLE_SECONDS = 15.0


class Interruption:
    """Signals, and the end of the process that started this one, noted instead of obeyed: the undoing comes first."""

    def __init__(self) -> None:
        self.reason = ""
        self._parent = os.getppid()
        self._before: dict[int, t.Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_unused: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.reason = self.reason or f"{signal.Signals(number).name} came."

    def look(self) -> str:
        """Return why the drill has to end, '' when it may go on."""
        if not self.reason and os.getppid() != self._parent:
            self.reason = "The process that started the drill has ended."
        return self.reason


class Drill:
    """One drill. `run()` takes it through its phases and returns the document (see docs/drill.md)."""

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
        self.behind: Behind | None = None
        self.steps: list[Step] = []
        self.targets: list[Target] = []
        self.clients: list[DrillClient] = []
        self.gate: list[gate.Result] = []
        self.prediction: Json | None = None
        self.mesh: Snapshot | None = None
        self.before: dict[str, dict[str, str]] = {}
        self.differences: list[Difference] = []
        self.compared = 0
        self.unread: list[str] = []
        self.undone: dict[str, Undone] = {}
        self.stored: Stored | None = None
        self.probes: list[ClientProbe] = []
        self.samples: list[Sample] = []
        self.moments = Moments()
        self.shifts: list[Shift] = []
        self.criteria: list[Criterion] = []
        self.views: dict[str, list[Json]] = {}
        self.witnesses: Json = {"probe": False, "counters": False, "disagreements": [], "unavailable": []}
        self.bystanders: Json = {"watched": 0, "requests": 0, "errors": 0, "hurt": [], "unavailable": []}
        self.changed = False
        self._tell_at = 0.0
        self._told = 0

    # What is told while it runs.

    def now(self) -> float:
        """Seconds since the drill began."""
        return time.monotonic() - self.zero

    def tell(self, kind: str, message: str, **more: str) -> None:
        """Note an event, and show its line."""
        event = Event(self.now(), self.phase, kind, message, **more)
        self.events.append(event)
        self._show(event)

    def _show(self, event: Event) -> None:
        self._append({**event.as_dict(), "line": event.line()})

    def _append(self, line: Json, *, create: bool = False) -> None:
        """Append a line to the file that is followed. One that was removed meanwhile is followed by nobody."""
        if not self.params["progress"]:
            return
        try:
            flags = os.O_WRONLY | os.O_APPEND | (os.O_CREAT if create else 0)
            handle = os.open(self.params["progress"], flags, 0o600)
            try:
                os.write(handle, (json.dumps(line) + "\n").encode())
            finally:
                os.close(handle)
        except OSError:
            return  # Nobody can see it then: no reason to stop between fault and undoing.

    def begin(self, name: str, message: str = "") -> None:
        """Enter a phase."""
        self._end_phase("done")
        self.phase = name
        self.phases.append({"name": name, "t": round(self.now(), 3), "seconds": 0.0, "outcome": "done"})
        if message:
            self.tell("phase", message)

    def _end_phase(self, outcome: str) -> None:
        if self.phases and "ended" not in self.phases[-1]:
            last = self.phases[-1]
            last |= {"seconds": round(self.now() - last["t"], 3), "outcome": outcome, "ended": True}

    # The phases.

    def run(self) -> Json:
        """Take the drill through its phases. Everything that goes wrong is in the document."""
        with Interruption() as self.interruption:
            self._append({"pid": os.getpid()}, create=True)
            try:
                self._prepare()
                if self.check_mode:
                    raise Ended(PENDING, self._would(), "phase")
                self._lock()
            except Ended as ended:
                self.ended = ended
            except LocalityError as error:
                self.ended = Ended(REFUSED, str(error))
            if self.ended is not None:
                self._end_phase("done" if self.ended.outcome == PENDING else "failed")
                self.tell("phase" if self.check_mode else "abort", self.ended.reason)
                return self.document(self.ended.outcome, self.ended.reason)
            try:
                self._break_and_mend()
            finally:
                self._unlock()
            return self._verdict()

    def _prepare(self) -> None:
        params = self.params
        self.begin("preflight", f"Service {params['namespace']}/{params['service']}, fault {self.fault.name}")
        self._options()
        behind = self.behind = read_behind(self.cluster, params["namespace"], params["service"], params["port"])
        self.steps = steps(params["scope"], behind.candidates, params["cascade"])
        self.targets = targets_of(self.steps, self.fault, behind, self.cluster)
        self.clients = clients_of(self.cluster, behind, params["clients"], {pod.uid for pod in self.lost})
        proxies = check_targets(self.cluster, self.fault, self.targets, behind)
        manual = without_timer(self.cluster, self.fault, proxies)
        self.timers = self.fault.timer and not manual
        if self.fault.acts_on == "application":
            check_application(self.cluster, self.targets, t.cast(Application, self.application))
        self._permissions()
        self.tell("phase", f"{len(self.targets)} target(s): {', '.join(one.where for one in self.targets[:5])}")
        self._alive()
        silent = [text for text in self.cluster.map(self._answers, self.clients) if text]
        self.begin("snapshot", "the state that has to come back is read")
        self.before = state_of(self.cluster, behind.namespace, self.unread)
        self.watch = EnvoyWatch(
            self.cluster, [one.proxy for one in self.clients], self._question.pattern(), self.zero
        ).only(self._question.wants)
        readings = self.watch.look()
        self.views["before"] = self._view(readings)
        self.witnesses["counters"] = bool(readings)
        self.witnesses["unavailable"] += [f"{name}: {why}" for name, why in self.watch.errors.items()]
        silent += [f"The Envoy of {name} cannot be read: {why}" for name, why in self.watch.errors.items()]
        silent += self._unhealthy(readings)
        self._alive()
        self.begin("prediction")
        missing = self._predict()
        self._alive()
        self.begin("gate")
        self._gate(silent, manual, missing)

    def _options(self) -> None:
        params = self.params
        for name, least, most in (
            ("duration", 1, 3600),
            ("lead", 1, 600),
            ("dead_mans_switch", 5, 3600),
            ("restore_timeout", 10, 3600),
            ("failback_timeout", 0, 3600),
            ("max_pods", 1, 1000),
            ("max_places", 1, 1000),
        ):
            if not least <= params[name] <= most:
                raise InvalidInput(f"{name} is {params[name]}; it must be {least} to {most}.")
        if not 0 < params["rate"] <= 100:
            raise InvalidInput(f"rate is {params['rate']} per second; it must be more than 0 and at most 100.")
        if not 0 < params["timeout"] <= 60:
            raise InvalidInput(f"timeout is {params['timeout']} seconds; it must be more than 0 and at most 60.")
        if not 0 <= params["error_budget"] <= 1:
            raise InvalidInput(f"error_budget is {params['error_budget']}; it is a share, from 0 to 1.")
        unknown = set(params["accept"]) - set(gate.ACCEPTABLE)
        if unknown:
            raise InvalidInput(
                f"accept: {sorted(unknown)[0]!r} cannot be accepted.", do=f"Only {', '.join(gate.ACCEPTABLE)} can."
            )
        try:
            self.pattern = re.compile(params["answer_pattern"]) if params["answer_pattern"] else None
        except re.error as error:
            raise InvalidInput(f"answer_pattern is not a regular expression: {error}.") from error
        if self.pattern is not None and not self.pattern.groups:
            raise InvalidInput("answer_pattern has no group.", do="Put the pod's name into parentheses.")
        left, needed = (
            credential_seconds(self.cluster, params["kubeconfig"]),
            self._seconds() + params["restore_timeout"],
        )
        if left is not None and left < needed:
            raise InvalidInput(
                f"The bearer token is valid for {left:.0f} s more; the drill and its undoing may take {needed:.0f} s.",
                do="Use one that lives longer, or a kubeconfig that renews it.",
            )

    def _seconds(self) -> float:
        """How long it takes from now until the undoing begins, at most."""
        return float(self.params["lead"] + self.params["duration"] * max(1, len(self.steps)))

    @property
    def lost(self) -> list[Candidate]:
        """The pods that are lost, whatever the fault acts on."""
        return [pod for step in self.steps for pod in step.pods]

    @property
    def url(self) -> str:
        """What clients ask."""
        behind, params = t.cast(Behind, self.behind), self.params
        return str(params["url"] or f"http://{behind.service}.{behind.namespace}:{behind.port}{params['path']}")

    @property
    def application(self) -> Application | None:
        """How the faults of the application are reached."""
        if self.fault.acts_on != "application":
            return None
        client, behind = self.clients[0], t.cast(Behind, self.behind)
        port = self.params["fault_port"] or behind.target_port or behind.port
        return Application(client.proxy.namespace, client.proxy.pod, client.container, port, self.params["fault_path"])

    @property
    def _question(self) -> ClusterQuery:
        behind = t.cast(Behind, self.behind)
        return ClusterQuery(behind.host, behind.port, "")

    def _answers(self, client: DrillClient) -> str:
        return answers(self.cluster, client, self.url, self.params["timeout"])

    def _permissions(self) -> None:
        """Ask the API server whether lock and journal may be written, without writing them."""
        lease.acquire(self.cluster, self.params["lock_namespace"], self.holder, dry_run=True)
        drill_journal.create(self.cluster, self._record(), self.holder, dry_run=True)

    def _unhealthy(self, readings: t.Sequence[TrafficReading]) -> list[str]:
        """Say which endpoints no client's Envoy holds as healthy, or does not hold at all."""
        ready = {one.address: one for one in t.cast(Behind, self.behind).candidates if one.ready}
        told = []
        for reading in readings:
            held = {one.ip: one for one in reading.endpoints}
            bad = [ready[ip].where for ip in ready if ip in held and held[ip].health != "healthy"]
            if not held:
                told.append(f"The Envoy of {reading.client} holds no endpoint of {self.params['service']}.")
            elif bad:
                told.append(f"The Envoy of {reading.client} does not hold {', '.join(bad[:3])} as healthy.")
        return told

    def _predict(self) -> str:
        """Compute the prediction; return why there is none, '' when there is one."""
        if not self.fault.forecast:
            self.tell("phase", f"{self.fault.name} cannot be predicted: no forecast knows it")
            return f"What {self.fault.name} costs cannot be predicted."
        params, behind = self.params, t.cast(Behind, self.behind)
        namespaces = sorted({behind.namespace, *(one.proxy.namespace for one in self.clients)})
        wanted = ControlPlane(params["control_plane_namespace"], params["revision"], params["istio_version"])
        try:
            live = live_objects.read(self.cluster, wanted, namespaces)
            nothing = manifests.Manifests()
            self.mesh = assembled(live, nothing, wanted, self.started).snapshot
            watch = Watch(params["rate"], params["lead"], self._seconds())
            names = [(one.proxy.where, one.place) for one in self.clients]
            asked = Asked(behind.host, behind.port, names, [one.where for one in self.lost], watch)
            self.prediction = predict(self.mesh, asked, self.fault, params["istio_version"] or "")
        except LocalityError as error:
            return f"The loss cannot be predicted: {error.what}"
        self.prediction["unchecked"] += [str(problem) for problem in self.mesh.problems]
        found = self.prediction
        worst = found["seconds_between"][1]
        self.tell(
            "phase",
            f"{found['failed_between'][0]:.0f} to {found['failed_between'][1]:.0f} failed requests, the traffic is"
            f" elsewhere {'never' if worst is None else f'within {worst:.1f} s'} (by {found['until']})",
        )
        return ""

    def _gate(self, silent: t.Sequence[str], manual: t.Sequence[str], missing: str) -> None:
        params, behind = self.params, t.cast(Behind, self.behind)
        held = lease.read(self.cluster, params["lock_namespace"])
        journals = drill_journal.find(self.cluster, state="open")
        if journals.unread:
            journals = drill_journal.find(self.cluster, [behind.namespace], state="open")
        self._facts = Facts(
            now=_time(),
            namespace=behind.namespace,
            service=behind.service,
            endpoints=[gate.GatedEndpoint(one.uid, one.place) for one in behind.candidates if one.ready],
            targets=frozenset(one.uid for one in self.lost),
            consent=behind.namespace in params["allowed_namespaces"] or self._consent(behind.namespace),
            max_pods=params["max_pods"],
            max_places=params["max_places"],
            windows=params["blocked_windows"],
            stop=held.stop if held else "",
            open_journals=[f"{one.namespace}/{one.name}" for one in journals.journals],
            unreadable_journals=" ".join(journals.unread),
            lint_errors=self._lint_errors(),
            predicted_failed=self._predicted_failed(),
            requests=self._requests(),
            error_budget=params["error_budget"],
            prediction_error=missing,
            overload=overload(self.prediction),
            unhealthy=silent,
            irreversible=manual,
            accept_manual_restore=params["accept_manual_restore"],
            accept=frozenset(params["accept"]),
        )
        self.gate = gate.judge(self._facts)
        for one in self.gate:
            if not one.passed:
                self.tell("finding", f"{one.rule}: {one.what} {'(accepted)' if one.accepted else one.do}")
        against = gate.refusal(self.gate)
        if against:
            raise Ended(*against)
        self.tell("phase", f"all {len(self.gate)} rules let the drill begin")

    def _requests(self) -> float:
        return float(self.params["rate"] * self._seconds() * len(self.clients))

    def _predicted_failed(self) -> float | None:
        if self.prediction is None:
            return 0.0
        if self.prediction["seconds_between"][1] is None and self.prediction["until"] == "never":
            return None
        return float(self.prediction["failed_requests"])

    def _consent(self, namespace: str) -> bool:
        item = self.cluster.get(NAMESPACE, namespace)
        return ((item or {}).get("metadata", {}).get("labels") or {}).get(CONSENT_LABEL) == CONSENT

    def _lint_errors(self) -> list[str]:
        """Return the lint's errors about rules for this Service."""
        if self.mesh is None:
            return []
        behind = t.cast(Behind, self.behind)
        rules = {
            f"{kind} {one}"
            for kind, configs in (
                ("DestinationRule", self.mesh.destination_rules),
                ("VirtualService", self.mesh.virtual_services),
            )
            for one in configs
            if behind.service in str(one.spec.get("host") or one.spec.get("hosts"))
        }
        rules.add(f"Service {behind.namespace}/{behind.service}")
        found = lint(self.mesh, min_severity="error")
        return [f"{one.id} {one.object}: {one.message}" for one in found if one.object in rules and not one.suppressed]

    def _would(self) -> str:
        pods = ", ".join(one.where for one in self.targets[:5])
        cost = "not predicted"
        if self.prediction is not None:
            cost = "{:.0f} to {:.0f} failed requests predicted".format(*self.prediction["failed_between"])
        return (
            f"Would lose {self._asked()} ({self.fault.name} at {pods}) for {self.params['duration']} s and put it back:"
            f" {cost} of {self._requests():.0f}. Nothing was changed (check mode)."
        )

    def _asked(self) -> str:
        return ", then ".join(step.asked for step in self.steps)

    def _lock(self) -> None:
        self.begin("lock", f"Lease {self.params['lock_namespace']}/{lease.NAME}")
        held = lease.acquire(self.cluster, self.params["lock_namespace"], self.holder)
        self.guard = LockGuard(self.cluster, held)
        if held.stop:
            lease.release(self.cluster, held)
            raise Ended(REFUSED, f"Drills are stopped: {held.stop}.")
        # Another drill may have ended between the gate and the lock, and left something behind.
        others = drill_journal.find(self.cluster, [t.cast(Behind, self.behind).namespace], state="open").journals
        if others:
            lease.release(self.cluster, held)
            raise Ended(REFUSED, f"The drill {others[0].name} is not restored.")
        self.guard.start()

    def _unlock(self) -> None:
        self.guard.end()
        try:
            lease.release(self.cluster, self.guard.lease)
        except LocalityError as error:
            self._find("warning", f"The lock was not given back: {error}", "It is free when 15 s have passed.")

    def _record(self) -> JournalRecord:
        params, behind = self.params, t.cast(Behind, self.behind)
        return JournalRecord(
            self.id,
            self.holder,
            params["title"] or f"{self._asked()} is lost",
            behind.namespace,
            behind.service,
            self.fault.name,
            tuple(step.asked for step in self.steps),
            self.started,
            drill_journal.later(self._seconds() + params["restore_timeout"] + MARGIN_SECONDS),
            tuple(self.targets),
            undo=self.fault.undo,
            reach=self.application._asdict() if self.application else None,
            ends_itself=self.fault.ends_itself if self.timers or self.fault.acts_on == "application" else "",
            lock=f"{params['lock_namespace']}/{lease.NAME}",
            prediction={
                name: self.prediction[name]
                for name in ("failed_requests", "failed_between", "seconds_between", "until")
            }
            if self.prediction
            else None,
        )

    timers = False

    def _write(self, record: JournalRecord, phase: str, what: str, *, until: float | None = None) -> None:
        """Write the journal; with a deadline again and again. Raises Taken when somebody else wrote it."""
        stored = t.cast(Stored, self.stored)
        noted = record.noted(drill_journal.now(), phase, what)
        if until is None:
            self.stored = drill_journal.save(self.cluster, stored, noted, self.holder)
        else:
            self.stored = patiently(lambda: drill_journal.save(self.cluster, stored, noted, self.holder), until)

    @property
    def record(self) -> JournalRecord:
        """The journal as it was written last."""
        return t.cast(JournalRecord, t.cast(Stored, self.stored).record)

    def _break_and_mend(self) -> None:
        """Everything from the journal to the proof. Whatever happens in between, the undoing follows."""
        params = self.params
        try:
            self.begin("journal", f"ConfigMap {params['namespace']}/{drill_journal.name_of(self.id)}")
            record = self._record().noted(drill_journal.now(), "journal", "The drill begins.")
            self.stored = drill_journal.create(self.cluster, record, self.holder)
            self.changed = True
            self._start_watching()
            for index, step in enumerate(self.steps):
                self._inject(index, step)
                self.begin("observe", f"{params['duration']} s")
                self._wait(params["duration"])
        except Ended as ended:
            self._cut(ended)
        except LocalityError as error:
            self._cut(Ended(INTERRUPTED, f"{error}"))
        try:
            if self.stored is not None:
                self._restore()
                self._proof()
        finally:
            self._stop_watching()

    def _cut(self, ended: Ended) -> None:
        self.ended = ended
        self._end_phase("aborted")
        self.tell(ended.kind, ended.reason)

    def _start_watching(self) -> None:
        params = self.params
        self.target_guard = TargetGuard(self.cluster, self.fault, self.id, params["dead_mans_switch"], self.application)
        self.target_guard.start()
        self.watch.start()
        self.bystander_watch = EnvoyWatch(self.cluster, self._bystanders(), "", self.zero).only(self._elsewhere)
        self.bystander_watch.look()
        request = Request(self.url, params["rate"], params["timeout"], self.pattern)
        self.probes = [
            ClientProbe(self.cluster, index, one.proxy, one.container, request, self.id, self.zero)
            for index, one in enumerate(self.clients)
        ]
        for probe in self.probes:
            probe.start()
        for probe in self.probes:
            probe.ready.wait(15)
        self.begin("inject", f"{params['lead']} s of requests before the fault")
        self._wait(params["lead"])
        sent = [one for probe in self.probes for one in list(probe.samples)]
        failed = [one for one in sent if not one.ok]
        if not sent:
            raise Ended(INTERRUPTED, f"No request was answered within {params['lead']} s; nothing was broken.")
        if len(failed) > params["error_budget"] * len(sent) and "error_budget" not in params["accept"]:
            raise Ended(
                INTERRUPTED,
                f"No steady state: {len(failed)} of {len(sent)} requests failed before the fault; nothing was broken.",
            )

    def _bystanders(self) -> list[Proxy]:
        """Return other members of the namespace whose errors are watched: at most ten."""
        taken = {one.uid for one in self.lost} | {one.proxy.uid for one in self.clients}
        behind = t.cast(Behind, self.behind)
        found = [Proxy.of(pod) for pod in self.cluster.list(POD, behind.namespace)]
        return [one for one in found if one.kind and one.ready and not one.problem and one.uid not in taken][:10]

    def _elsewhere(self, endpoint: EnvoyEndpoint, _namespace: str) -> bool:
        """Whether an endpoint has nothing to do with what is lost."""
        lost = {one.address for one in self.lost}
        return endpoint.name.direction == "outbound" and endpoint.ip not in lost

    def _alive(self) -> None:
        """Raise Ended when a signal came before anything was touched."""
        if reason := self.interruption.look():
            raise Ended(INTERRUPTED, reason, "signal")

    def _wait(self, seconds: float) -> None:
        """Wait, and look all the while whether the drill may go on. Raises Ended when it may not."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._check()
            self._progress()
            time.sleep(min(TICK_SECONDS, max(0.0, until - time.monotonic())))
        self._check()

    def _check(self) -> None:
        """Raise Ended with the reason when the drill must not go on."""
        if reason := self.interruption.look():
            raise Ended(INTERRUPTED, reason, "signal")
        if trouble := self.guard.trouble():
            kind, reason = trouble
            raise Ended(INTERRUPTED, reason, "api_trouble" if kind == "api_trouble" else "abort")
        if self.target_guard.vanished:
            raise Ended(INTERRUPTED, self.target_guard.vanished)
        for probe in self.probes:
            if stalled := probe.stalled():
                raise Ended(INTERRUPTED, f"A client does not ask any more. {stalled}")
        self._budget()

    def _budget(self) -> None:
        """Raise Ended when more has failed than may, or answers take too long."""
        samples = [one for probe in self.probes for one in list(probe.samples)]
        failed = sum(not one.ok for one in samples)
        allowed = self.params["error_budget"] * self._requests()
        if failed > allowed:
            raise Ended(
                FAILED, f"The error budget is used up: {failed} requests failed, {allowed:.0f} of the drill's may."
            )
        limit = self.params["max_latency"]
        recent = sorted(1000 * one.seconds for one in samples if one.ok and one.t >= self.now() - RECENT_SECONDS)
        if limit and len(recent) >= 10:
            slow = percentile(recent, 99)
            if slow > limit:
                raise Ended(FAILED, f"Answers take too long: p99 is {slow:.0f} ms, max_latency {limit} ms.")

    def _progress(self) -> None:
        """Show once in PROGRESS_SECONDS how many requests went where."""
        if time.monotonic() < self._tell_at:
            return
        self._tell_at = time.monotonic() + PROGRESS_SECONDS
        samples = [one for probe in self.probes for one in list(probe.samples)]
        recent = samples if len(samples) < 1 else [one for one in samples if one.t >= self.now() - PROGRESS_SECONDS]
        failed = sum(not one.ok for one in recent)
        where: dict[str, int] = {}
        pods = self._pods()
        for one in recent:
            if one.ok:
                name = pods.get(one.pod, ("", ""))[1].rpartition("/")[2] or "unknown"
                where[name] = where.get(name, 0) + 1
        told = ", ".join(f"{name} {count}" for name, count in sorted(where.items()))
        self.tell(
            "progress", f"{len(recent) / PROGRESS_SECONDS:.1f} requests/s, {failed} failed; {told or 'no answer'}"
        )

    def _pods(self) -> dict[str, tuple[str, str]]:
        """Return {name of a pod: (namespace/name, place)} of everything behind the Service."""
        behind = t.cast(Behind, self.behind)
        return {one.name: (one.where, one.place) for one in behind.candidates}

    def _inject(self, index: int, step: Step) -> None:
        """Write down what is going to be changed, start the timers, then change it."""
        if index:
            self.begin("inject", step.asked)
        brief = self.cluster.until(time.monotonic() + STEP_SECONDS)
        targets = [one for one in self.record.targets if one.step == index]
        wanted = {one.uid: INJECTING for one in targets}
        self._check()
        self._write(self.record.marked(wanted), "inject", f"{self.fault.name} comes to {step.asked}.")
        if self.timers:
            seconds = self.params["dead_mans_switch"]
            found = self.cluster.map(
                lambda one: (one.uid, start_timer(brief, one, seconds, self.id, self.fault)), targets
            )
            self._write(self.record.timed(dict(found)), "inject", f"Timers of {seconds} s run in every istio-proxy.")
        self._check()
        brief = self.cluster.until(time.monotonic() + STEP_SECONDS)
        targets = [one for one in self.record.targets if one.step == index]
        if self.moments.injected is None:
            self.moments = self.moments._replace(injected=self.now())
            self.watch.mark()
        lasts = self._seconds() + self.params["restore_timeout"]
        for text in self.cluster.map(lambda one: inject(brief, one, self.fault, lasts, self.application), targets):
            self.tell("fault", text)
        self._write(self.record.marked({one.uid: INJECTED for one in targets}), "inject", "The fault is seen.")
        self.target_guard.watch([one for one in self.record.targets if one.state == INJECTED])

    def _restore(self) -> None:
        """Undo everything, the last step of a cascade first."""
        self.target_guard.watch(())
        self.begin("restore", "everything is put back")
        until = time.monotonic() + self.params["restore_timeout"]
        self.moments = self.moments._replace(undone=self.now())
        self.watch.mark()
        record = self.record
        for index in reversed(range(len(self.steps))):
            own = [one for one in record.unsettled() if one.step == index]
            for one in undo_targets(self.cluster, record, own, until):
                self.undone[one.target.uid] = one
                self.tell("restored" if one.state else "abort", one.proof or one.error, pod=one.target.where)
        record = settled(record, list(self.undone.values()), "restore")
        if not record.unsettled():
            self.moments = self.moments._replace(restored=self.now())
        try:
            stored = t.cast(Stored, self.stored)
            self.stored = patiently(lambda: drill_journal.save(self.cluster, stored, record, self.holder), until)
        except Taken as error:
            self._foreign(error)
        except LocalityError as error:
            self._find("error", f"The journal could not be written: {error}", "Run the playbook restore once more.")

    def _foreign(self, error: LocalityError) -> None:
        """Somebody else restores this drill: nothing of what was seen counts."""
        if self.ended is None:
            self.ended = Ended(INTERRUPTED, f"Somebody else restored the drill. {error.what}")
        found = drill_journal.get(self.cluster, self.record.namespace, drill_journal.name_of(self.id))
        if found is not None and found.record is not None:
            self.stored = found

    def _proof(self) -> None:
        """Compare with the state before until nothing differs, and wait until the lost pods answer again."""
        self.begin("proof", "is everything as before?")
        behind = t.cast(Behind, self.behind)
        begun = time.monotonic()
        expected = self._expected()
        while True:
            patience = self.params["restore_timeout"]
            if self.interruption.look():
                patience = min(patience, SETTLE_SECONDS)
            try:
                after = state_of(self.cluster, behind.namespace, self.unread)
            except LocalityError as error:
                self._find("error", f"The state after the drill could not be read: {error}", "")
                self.compared = 0
                return
            self.compared = len({*self.before, *after})
            self.differences = differences(self.before, after, expected)
            if not self._unexpected() or time.monotonic() >= begun + patience or self._hopeless():
                break
            time.sleep(1)
        for one in self._unexpected():
            self.tell("finding", f"{one.object} {one.field}: {one.before} before, {one.after} now")
        if self.moments.injected is not None and self.ended is None:
            self._await_failback()

    def _hopeless(self) -> bool:
        return any(not one.state for one in self.undone.values())

    def _await_failback(self) -> None:
        until = time.monotonic() + self.params["failback_timeout"]
        while time.monotonic() < until and not self.interruption.look() and not self.guard.trouble():
            self._collect()
            back = measurements.failed_back(self.samples, self.moments, self._lost_names())
            if back is not None:
                self.tell(
                    "failed_back", f"the lost pods answer again, {back - (self.moments.restored or 0):.1f} s after"
                )
                return
            self._progress()
            time.sleep(0.5)

    def _lost_names(self) -> set[str]:
        return {one.where for one in self.lost}

    def _expected(self) -> set[tuple[str, str]]:
        """Return the differences that the undoing itself makes: (object, field)."""
        found: set[tuple[str, str]] = set()
        for one in self.lost:
            name = f"Pod {one.where}"
            found.add((name, "restarts of istio-proxy"))
            gone = any(
                undone.state == GONE or undone.target.kind != "Pod"
                for undone in self.undone.values()
                if undone.target.where == one.where or undone.target.workload == one.workload
            )
            if gone:
                found.add((name, ""))
        return found

    def _unexpected(self) -> list[Difference]:
        """Return differences of what the drill touched that the undoing does not explain."""
        behind = t.cast(Behind, self.behind)
        gone = any(one.state == GONE or one.target.kind != "Pod" for one in self.undone.values())
        touched = {f"Pod {one.where}" for one in self.lost}
        touched |= {f"{one.kind} {one.where}" for one in self.targets}
        touched |= {f"{one.workload.replace('/', ' ' + one.namespace + '/', 1)}" for one in self.lost if one.workload}
        touched.add(f"Service {behind.namespace}/{behind.service}")
        found = [one for one in self.differences if not one.expected and one.object in touched]
        slices = [
            one
            for one in self.differences
            if one.object.startswith(f"EndpointSlice {behind.namespace}/{behind.service}-") and not gone
        ]
        return [*found, *slices]

    def _stop_watching(self) -> None:
        for ending in ("target_guard", "watch", "bystander_watch"):
            one = getattr(self, ending, None)
            if one is None:
                continue
            if ending != "target_guard":
                one.look()
            if ending != "bystander_watch":
                one.end()
        for probe in self.probes:
            probe.end(self.params["timeout"] + 3)
        self._collect()

    def _collect(self) -> None:
        """Say of every request who answered it, as far as the answer itself says so."""
        pods = self._pods()
        self.samples = []
        for probe in self.probes:
            for one in list(probe.samples):
                where, place = pods.get(one.pod, (one.pod, ""))
                self.samples.append(one._replace(pod=where, place=place))

    def _read_logs(self) -> None:
        """Add response flags, and who answered where the answer does not say it, from the access logs."""
        behind = t.cast(Behind, self.behind)
        by_address = {one.address: one for one in behind.candidates}
        self.samples = []
        pods = self._pods()
        for probe in self.probes:
            entries, why = logged(self.cluster, probe, self.now())
            if why:
                self.witnesses["unavailable"].append(why)
            for one, number in zip(list(probe.samples), list(probe.numbers), strict=False):
                where, place = pods.get(one.pod, (one.pod, ""))
                entry = entries.get(number)
                flag = entry.response_flags if entry else ""
                known = by_address.get(entry.upstream_host.rpartition(":")[0].strip("[]")) if entry else None
                if known is not None and where and known.where != where and one.ok:
                    text = f"An answer names {where}, the access log of {probe.proxy.where} {known.where}."
                    if text not in self.witnesses["disagreements"]:
                        self.witnesses["disagreements"].append(text)
                if known is not None and (not where or not place):
                    where, place = known.where, known.place
                self.samples.append(one._replace(pod=where, place=place, flag=flag))
        self.samples.sort(key=lambda one: one.t)

    def _verdict(self) -> Json:
        self.begin("verdict")
        self._read_logs()
        lost = self._lost_names()
        self.witnesses["probe"] = bool(self.samples)
        self.measured = measurements.measured(self.samples, self.moments, lost)
        self._attribute()
        self._judge_bystanders()
        unexpected = len(self._unexpected())
        restored = self.stored is None or (
            not self.record.unsettled() and (self.compared > 0 or self.moments.injected is None)
        )
        params = self.params
        wanted = Wanted(
            params["error_budget"],
            params["max_time_to_shift"],
            params["max_time_to_restore"],
            params["expect_prediction"],
        )
        self.criteria = verdict.judge(wanted, self.measured, self.prediction, restored, unexpected)
        outcome, reason = verdict.outcome(self.ended, self.criteria, self._asked(), self.measured)
        if self.ended is not None and self.moments.injected is None and restored and not unexpected:
            outcome, reason = self.ended.outcome, f"{self.ended.reason} Nothing was broken."
        self._explain()
        self._close(outcome, reason, restored)
        self.tell("phase", f"{outcome}: {reason}")
        self._end_phase("done")
        return self.document(outcome, reason)

    def _attribute(self) -> None:
        injected, undone = self.moments.injected, self.moments.undone
        if injected is None or undone is None:
            return
        addresses = {one.address for one in self.lost if one.address}
        self.shifts = shifts(self.watch.readings, addresses, injected, undone)
        for mechanism, moment in first(self.shifts).items():
            one = next(each for each in self.shifts if each.mechanism == mechanism and each.t == moment)
            self.events.append(
                Event(moment, "observe", EVENTS[mechanism], f"{one.evidence} at {one.client}", client=one.client)
            )
        for name in ("first_error", "first_success_elsewhere", "all_shifted"):
            at = self.measured[f"{name}_t"]
            if at is not None:
                self.events.append(Event(at, "observe", name, name.replace("_", " ")))
        self.events.sort(key=lambda event: event.t)
        self.measured["first_ejection_t"] = first(self.shifts).get("ejection")
        moments = [one.t for one in self.shifts if one.t is not None]
        self.measured["time_to_detect"] = round(min(moments) - injected, 3) if moments else None
        readings = self.watch.readings
        self.views["during"] = self._view([one for one in readings if injected <= one.t <= undone])
        self.views["after"] = self._view([one for one in readings if one.t > undone])

    def _judge_bystanders(self) -> None:
        watch = getattr(self, "bystander_watch", None)
        if watch is None:
            return
        self.bystanders["unavailable"] = [f"{name}: {why}" for name, why in watch.errors.items()]
        for client in {one.client for one in watch.readings}:
            own = [one for one in watch.readings if one.client == client]
            before = {(one.cluster, one.address): one.counters for one in own[0].endpoints}
            self.bystanders["watched"] += 1
            for one in own[-1].endpoints:
                then = before.get((one.cluster, one.address), {})
                grown = {
                    name: max(0, one.counters.get(name, 0) - then.get(name, 0))
                    for name in ("rq_total", "rq_error", "cx_connect_fail")
                }
                self.bystanders["requests"] += grown["rq_total"]
                errors = grown["rq_error"] + grown["cx_connect_fail"]
                if errors:
                    self.bystanders["errors"] += errors
                    self.bystanders["hurt"].append(f"{client}: {errors} errors at {one.address} of {one.name.host}")

    def _explain(self) -> None:
        """Turn what the gate, the prediction and the witnesses say into findings."""
        for one in self.gate:
            if not one.passed:
                self._find("warning", f"{one.rule} was accepted: {one.what}", one.do)
        if self.prediction and not self.prediction["can_be_ejected"] and self.fault.forecast == "drained":
            self._find(
                "error",
                "Envoy may not eject the lost endpoints: maxEjectionPercent is over all endpoints of the Service.",
                "Set outlierDetection.maxEjectionPercent: 100, or let failover_policy complete the rule.",
            )
        if relapses := self._relapses():
            self._find(
                "warning",
                f"{len(relapses)} requests failed from {relapses[0].t - (self.moments.injected or 0):.1f} s after the"
                " fault on, when the traffic had been elsewhere already: Envoy tries an ejected endpoint again after"
                " baseEjectionTime, and a retry does not leave its priority.",
                "Let failover_policy complete the rule (retryRemoteLocalities), or lengthen baseEjectionTime.",
            )
        for text in self.witnesses["disagreements"]:
            self._find("warning", text, "")
        for text in self.bystanders["hurt"]:
            self._find("warning", f"A bystander had errors: {text}", "See whether the drill made them.")

    def _relapses(self) -> list[Sample]:
        """Return the requests that failed while the fault lasted, after the traffic had been elsewhere."""
        shifted = self.measured["all_shifted_t"]
        return [
            one
            for one in self.samples
            if shifted is not None
            and not one.ok
            and one.t > shifted
            and measurements.period(one, self.moments) == "during"
        ]

    def _find(self, severity: str, what: str, do: str, fix: str = "") -> None:
        self.findings.append({"severity": severity, "what": what, "do": do, "fix": fix})

    def _close(self, outcome: str, reason: str, restored: bool) -> None:
        """Close the journal when nothing is left to restore."""
        if self.stored is None or not self.stored.open:
            return
        until = time.monotonic() + self.params["restore_timeout"]
        result = {
            "outcome": outcome,
            "reason": reason,
            "ended": drill_journal.now(),
            "requests": self.measured["requests"],
            "failed": self.measured["failed"],
            "time_to_shift": self.measured["time_to_shift"],
            "rules": self._rules(),
        }
        record = replace(self.record, result=result)
        if not record.unsettled():
            record = replace(record, state=CLOSED)
        try:
            self._write(record, "verdict", outcome, until=until)
            drill_journal.prune(self.cluster, self.record.namespace)
        except Taken as error:
            self._foreign(error)
        except (Conflict, NotFound, Forbidden, LocalityError) as error:
            self._find("error", f"The journal was not closed: {error}", "Run the playbook meshops.locality.restore.")

    def _rules(self) -> dict[str, str]:
        """Return the digests of what the proof rests on, so that it can be seen later whether it still holds."""
        behind = t.cast(Behind, self.behind)
        kinds = ("Service ", "DestinationRule ", "VirtualService ", "Deployment ", "StatefulSet ")
        own = {one.workload.replace("/", f" {one.namespace}/", 1) for one in behind.candidates if one.workload}
        return {
            name: fields["spec"]
            for name, fields in self.before.items()
            if name.startswith(kinds) and (not name.startswith(("Deployment", "StatefulSet")) or name in own)
        }

    # The document.

    def _view(self, readings: t.Sequence[TrafficReading]) -> list[Json]:
        """Return what the clients' Envoys held last, one entry for each client and endpoint."""
        behind = t.cast(Behind, self.behind)
        by_address = {one.address: one for one in behind.candidates}
        last = {one.client: one for one in sorted(readings, key=lambda one: one.t)}
        return [
            {
                "client": client,
                "address": endpoint.address,
                "pod": by_address[endpoint.ip].where if endpoint.ip in by_address else "",
                "place": str(endpoint.locality),
                "priority": endpoint.priority,
                "health": endpoint.health,
                "flags": list(endpoint.health_reasons),
            }
            for client, reading in sorted(last.items())
            for endpoint in reading.endpoints
        ]

    def document(self, outcome: str, reason: str) -> Json:
        """Return the drill document: plain values, the same whatever the outcome."""
        params, behind = self.params, self.behind
        injected = self.moments.injected
        seen = getattr(self, "measured", None)
        places: dict[str, list[int]] = {}
        lost = {one.uid for one in self.lost}
        for one in behind.candidates if behind else ():
            if one.ready:
                count = places.setdefault(one.place, [0, 0])
                count[0] += 1
                count[1] += one.uid in lost
        timer = {
            "seconds": params["dead_mans_switch"],
            "armed": self.timers and injected is not None,
            "reason": "" if self.timers else "The fault does not need it, or the targets cannot run it.",
        }
        return {
            "schema": SCHEMA,
            "id": self.id,
            "title": params["title"] or (f"{self._asked()} is lost" if self.steps else "nothing is lost"),
            "outcome": outcome,
            "reason": reason,
            "check_mode": self.check_mode,
            "started": self.started,
            "ended": drill_journal.now(),
            "seconds": round(self.now(), 3),
            "holder": self.holder,
            "phases": [{key: value for key, value in one.items() if key != "ended"} for one in self.phases],
            "events": [one.as_dict() for one in self.events],
            "fault": {
                "name": self.fault.name,
                "what": self.fault.what,
                "undo": self.fault.undo,
                "ends_itself": self.fault.ends_itself,
                "detection": list(self.fault.detection),
                "seconds": params["duration"],
                "injected_t": _rounded(injected),
                "ended_t": _rounded(self.moments.undone if injected is not None else None),
                "dead_mans_switch": timer,
            },
            "load": {
                "kind": "probe",
                "url": self.url if behind else params["url"] or "",
                "rate": params["rate"],
                "clients": [
                    {"name": one.proxy.where, "place": one.place, "node": one.proxy.node} for one in self.clients
                ],
            },
            "scope": {
                "namespace": params["namespace"],
                "service": params["service"],
                "host": behind.host if behind else "",
                "port": behind.port if behind else params["port"],
                "asked": [step.asked for step in self.steps],
                "steps": [{"asked": one.asked, "pods": [pod.where for pod in one.pods]} for one in self.steps],
                "pods": [
                    {
                        "namespace": pod.namespace,
                        "name": pod.name,
                        "uid": pod.uid,
                        "address": pod.address,
                        "node": pod.node,
                        "place": pod.place,
                        "workload": pod.workload,
                        "step": index,
                    }
                    for index, step in enumerate(self.steps)
                    for pod in step.pods
                ],
            },
            "places": [
                {"place": place, "endpoints": count[0], "targets": count[1]} for place, count in sorted(places.items())
            ],
            "prediction": self.prediction,
            "samples": {"columns": list(measurements.COLUMNS), "rows": measurements.rows(self.samples)},
            "measured": {**seen, "witnesses": self.witnesses, "bystanders": self.bystanders} if seen else None,
            "shifts": [self._shift(one) for one in self.shifts],
            "endpoints": {name: self.views.get(name, []) for name in ("before", "during", "after")},
            "criteria": [one.as_dict() for one in self.criteria],
            "gate": [one.as_dict() for one in self.gate],
            "restore": self._restored(),
            "environment": self._environment(),
            "findings": self.findings,
            "journal": self._journal(),
        }

    def _shift(self, one: Shift) -> Json:
        pod = next((each for each in self.lost if each.address == one.address), None)
        return {
            "client": one.client,
            "pod": pod.where if pod else "",
            "address": one.address,
            "place": pod.place if pod else "",
            "mechanism": one.mechanism,
            "t": _rounded(one.t),
            "evidence": one.evidence,
        }

    def _restored(self) -> Json | None:
        if self.stored is None:
            return None
        undone, restored = self.moments.undone, self.moments.restored
        touched = self._unexpected()
        return {
            "done": not self.record.unsettled(),
            "seconds": _rounded(restored - undone if restored is not None and undone is not None else None),
            "pods": [one.as_dict() for one in self.undone.values()],
            "snapshot": {
                "compared": self.compared,
                "unread": self.unread,
                "differences": [{**one.as_dict(), "ours": one in touched} for one in self.differences],
            },
        }

    def _environment(self) -> Json:
        mesh = self.mesh
        return {
            "collection": _collection_version(),
            "kubernetes": _kubernetes_version(self.cluster),
            "istio": mesh.mesh.version if mesh else "",
            "server": self.cluster.server,
            "python": platform.python_version(),
            "holder": self.holder,
            "approvals": [],
            "awx_job": os.environ.get("JOB_ID", "") if "AWX_HOST" in os.environ else "",
            "request": {name: value for name, value in self.params.items() if name in REQUEST},
        }

    def _journal(self) -> list[Json]:
        if self.stored is None or self.stored.record is None:
            return []
        return [
            {"t": _since(self.started, one.time), "time": one.time, "phase": one.phase, "what": one.what}
            for one in self.stored.record.entries
        ]


#: The options that say what was asked for; none of them is secret.
REQUEST = (
    "namespace", "service", "port", "scope", "cascade", "fault", "duration", "lead", "clients", "url", "path", "rate",
    "timeout", "error_budget", "max_time_to_shift", "max_time_to_restore", "max_latency", "expect_prediction", "accept",
    "accept_manual_restore", "dead_mans_switch", "max_pods", "max_places", "allowed_namespaces", "blocked_windows",
    "restore_timeout", "failback_timeout", "title",
)  # fmt: skip


def failover_drill(cluster: Cluster, params: Params, module: AnsibleModule) -> Json:
    """Run a drill and return {changed, outcome, reason, drill, evidence}.

    Raises DrillEnded, with the same in its details, unless it succeeded or is pending (check mode).
    """
    drill = Drill(cluster, params, module.check_mode)
    document = drill.run()
    outcome = document["outcome"]
    result: Json = {
        "changed": drill.changed or outcome == PENDING,
        "outcome": outcome,
        "reason": document["reason"],
        "evidence": _evidence(document, Path(params["evidence"]).expanduser()) if params["evidence"] else [],
        "drill": document,
    }
    if outcome not in (SUCCEEDED, PENDING):
        raise DrillEnded(f"{outcome}: {document['reason']}", **result)
    return result


def _evidence(document: Json, folder: Path) -> list[str]:
    """Write the evidence of a drill; a failure is told in the result, and hides nothing."""
    own = folder / document["id"]
    try:
        written = write_evidence(document, own)
    except LocalityError as error:
        document["findings"].append(
            {"severity": "error", "what": f"No evidence was written: {error.what}", "do": error.do, "fix": ""}
        )
        return []
    return [str(own / name) for name in written.files]


def _since(start: str, moment: str) -> float:
    """Return the seconds between two times of a journal."""
    first, last = (
        calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) + float(text[19:-1]) for text in (start, moment)
    )
    return round(last - first, 3)


def _time() -> gate.Time:
    now = time.gmtime()
    return gate.Time(DAYS[now.tm_wday], time.strftime("%Y-%m-%d", now), time.strftime("%H:%M", now))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())  # A container's user need not have a name.


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _collection_version() -> str:
    """Return the version in the collection's own MANIFEST.json or galaxy.yml, '' when neither is there."""
    root = Path(__file__).resolve().parents[3]
    for name, pattern in (("MANIFEST.json", r'"version":\s*"([^"]+)"'), ("galaxy.yml", r"(?m)^version:\s*(\S+)")):
        try:
            found = re.search(pattern, (root / name).read_text(encoding="utf-8"))
        except OSError:
            continue
        if found:
            return found[1]
    return ""


def _kubernetes_version(cluster: Cluster) -> str:
    try:
        return str(cluster.request("get", "GET", "/version").get("gitVersion") or "")
    except LocalityError:
        return ""
