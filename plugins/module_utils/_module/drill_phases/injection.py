# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the lock to the fault: the lock is taken, the journal written, the fault put in.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.faults import in_order
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import (
    INJECTED,
    INJECTING,
    JournalRecord,
    Target,
)
from ansible_collections.meshops.locality.plugins.module_utils._drill.phases import REFUSED, Ended
from ansible_collections.meshops.locality.plugins.module_utils._drill.scope import Step
from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_journal, lease
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_fault_in_envoy import Prepared, prepare
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_faults import inject
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_targets import ServicePods
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_timers import start_timer
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_watch import LockGuard
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.drill_run import DrillRun
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.network_enforcement import (
    check_enforcement,
)
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.observation import check

#: So long the API server is asked again for a single step of putting a fault in.
STEP_SECONDS = 5.0
#: What the undoing is given on top of its own time until the journal is taken for left behind.
MARGIN_SECONDS = 60
#: So many commands wait at most: each is an open connection.
MOST_WAITING = 200


def take_lock(drill: DrillRun) -> None:
    """Take the mesh's lock. Raises Ended when drills are stopped or another one is not restored."""
    drill.begin("lock", f"Lease {drill.params['lock_namespace']}/{lease.NAME}")
    lock = lease.acquire(drill.cluster, drill.params["lock_namespace"], drill.holder)
    drill.guard = LockGuard(drill.cluster, lock)
    if lock.stop:
        lease.release(drill.cluster, lock)
        raise Ended(REFUSED, f"Drills are stopped: {lock.stop}.")
    # Another drill may have ended between the gate and the lock, and left something behind.
    others = drill_journal.find(
        drill.cluster, [t.cast(ServicePods, drill.service_pods).namespace], state="open"
    ).journals
    if others:
        lease.release(drill.cluster, lock)
        raise Ended(REFUSED, f"The drill {others[0].name} is not restored.")
    drill.guard.start()


def give_lock_back(drill: DrillRun) -> None:
    """Renew the lock no more, and free it."""
    drill.guard.end()
    try:
        lease.release(drill.cluster, drill.guard.lease)
    except LocalityError as error:
        drill.add_finding("warning", f"The lock was not given back: {error}", "It is free when 15 s have passed.")


def new_record(drill: DrillRun) -> JournalRecord:
    """Return the first version of the journal."""
    params, behind = drill.params, t.cast(ServicePods, drill.service_pods)
    return JournalRecord(
        drill.id,
        drill.holder,
        params["title"] or f"{drill.scopes_text()} is lost",
        behind.namespace,
        behind.service,
        drill.fault.name,
        tuple(step.asked for step in drill.steps),
        drill.started,
        drill_journal.later(drill.seconds_to_undoing() + params["restore_timeout"] + MARGIN_SECONDS),
        (*drill.targets, *drill.probe_targets),
        undo=drill.fault.undo,
        reach=drill.application._asdict() if drill.application else None,
        ends_itself=drill.fault.ends_itself if drill.timers or not drill.fault.timer else "",
        lock=f"{params['lock_namespace']}/{lease.NAME}",
        prediction={
            name: drill.prediction[name] for name in ("failed_requests", "failed_between", "seconds_between", "until")
        }
        if drill.prediction
        else None,
    )


def inject_step(drill: DrillRun, index: int, step: Step) -> None:
    """Write down what is going to be changed, start the timers, then change it."""
    if index:
        drill.begin("inject", step.asked)
    targets = [target for target in drill.record.targets if target.step == index]
    wanted = {target.uid: INJECTING for target in targets}
    check(drill)
    drill.write(drill.record.marked(wanted), "inject", f"{drill.fault.name} comes to {step.asked}.")
    with _prepared(drill, targets) as prepared:
        if drill.timers:
            brief = drill.cluster.until(time.monotonic() + STEP_SECONDS)
            seconds = drill.params["dead_mans_switch"]
            timers = drill.cluster.map(
                lambda target: (target.uid, start_timer(brief, target, seconds, drill.id, drill.fault)), targets
            )
            drill.write(drill.record.timed(dict(timers)), "inject", f"Timers of {seconds} s run in every istio-proxy.")
        check(drill)
        targets = [target for target in drill.record.targets if target.step == index]
        lasts = drill.seconds_to_undoing() + drill.params["restore_timeout"]
        for group in in_order([target.kind for target in targets], drill.fault.order):
            _inject_at_once(drill, [targets[number] for number in group], lasts, prepared)
    if drill.fault.acts_on == "network":
        check_enforcement(drill, targets)
    drill.write(drill.record.marked({target.uid: INJECTED for target in targets}), "inject", "The fault is seen.")
    drill.target_guard.watch(
        [target for target in drill.record.targets if target.state == INJECTED and target.step >= 0]
    )


@contextlib.contextmanager
def _prepared(drill: DrillRun, targets: t.Sequence[Target]) -> t.Iterator[dict[str, Prepared]]:
    """Start the commands that wait, by the UIDs of their targets; those that did not begin are ended without effect."""
    prepared: dict[str, Prepared] = {}
    brief = drill.cluster.until(time.monotonic() + STEP_SECONDS)

    def start(target: Target) -> None:
        command = prepare(brief, target, drill.fault)
        if command is not None:
            prepared[target.uid] = command

    try:
        if drill.fault.admin:
            drill.cluster.map(start, targets[:MOST_WAITING])
        yield prepared
    finally:
        for command in prepared.values():
            command.leave()


def _inject_at_once(
    drill: DrillRun, targets: t.Sequence[Target], lasts: float, prepared: t.Mapping[str, Prepared]
) -> None:
    """Put the fault into these targets, at one moment where their commands wait."""
    brief = drill.cluster.until(time.monotonic() + STEP_SECONDS)
    first = drill.moments.injected is None
    if first:
        drill.moments = drill.moments._replace(injected=drill.now())
        drill.watch.mark()
    for target in targets:
        if target.uid in prepared:
            prepared[target.uid].begin()
    for text in drill.cluster.map(
        lambda target: inject(brief, target, drill.fault, drill.id, lasts, drill.application, prepared.get(target.uid)),
        targets,
    ):
        drill.add_event("fault", text)
    if first and drill.fault.admin:
        now = time.monotonic()
        answered = [prepared[target.uid].answered or now if target.uid in prepared else now for target in targets]
        drill.moments = drill.moments._replace(answered=max(answered, default=now) - drill.zero)
