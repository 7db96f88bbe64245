# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything is put back, and proven to be.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill import measurements
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import GONE
from ansible_collections.meshops.locality.plugins.module_utils._drill.phases import INTERRUPTED, Ended
from ansible_collections.meshops.locality.plugins.module_utils._drill.snapshot_difference import Difference, differences
from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_journal
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_journal import JournalChanged, Stored
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_restore import (
    patiently,
    settled,
    undo_targets,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_target_state import WORKLOADS
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_targets import ServicePods, state_of
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.drill_run import DrillRun
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.observation import (
    collect_samples,
    show_progress,
)

#: A drill that was interrupted waits so long for endpoints to be ready again, so that its proof is one.
SETTLE_SECONDS = 15.0


def put_back(drill: DrillRun) -> None:
    """Undo everything, the last step of a cascade first."""
    drill.target_guard.watch(())
    drill.begin("restore", "everything is put back")
    until = time.monotonic() + drill.params["restore_timeout"]
    drill.moments = drill.moments._replace(undone=drill.now())
    drill.watch.mark()
    record = drill.record
    for index in reversed(range(len(drill.steps))):
        own = [entry for entry in record.unsettled() if entry.step == index]
        for target in undo_targets(drill.cluster, record, own, until):
            drill.undone[target.target.uid] = target
            drill.add_event(
                "restored" if target.state else "abort", target.proof or target.error, pod=target.target.where
            )
    record = settled(record, list(drill.undone.values()), "restore")
    if not [entry for entry in record.unsettled() if entry.step >= 0]:
        drill.moments = drill.moments._replace(restored=drill.now())
    try:
        stored = t.cast(Stored, drill.stored)
        drill.stored = patiently(lambda: drill_journal.save(drill.cluster, stored, record, drill.holder), until)
    except JournalChanged as error:
        note_foreign_restoration(drill, error)
    except LocalityError as error:
        drill.add_finding("error", f"The journal could not be written: {error}", "Run the playbook restore once more.")


def note_foreign_restoration(drill: DrillRun, error: LocalityError) -> None:
    """Somebody else restores this drill: what was seen proves nothing."""
    if drill.ended is None:
        drill.ended = Ended(INTERRUPTED, f"Somebody else restored the drill. {error.what}")
    stored = drill_journal.get(drill.cluster, drill.record.namespace, drill_journal.name_of(drill.id))
    if stored is not None and stored.record is not None:
        drill.stored = stored


def prove(drill: DrillRun) -> None:
    """Compare with the state before until nothing differs, and wait until the lost pods answer again."""
    drill.begin("proof", "is everything as before?")
    behind = t.cast(ServicePods, drill.service_pods)
    begun = time.monotonic()
    expected = expected_differences(drill)
    while True:
        wait_seconds = drill.params["restore_timeout"]
        if drill.interruption.look():
            wait_seconds = min(wait_seconds, SETTLE_SECONDS)
        try:
            after = state_of(drill.cluster, behind.namespace, drill.unread)
        except LocalityError as error:
            drill.add_finding("error", f"The state after the drill could not be read: {error}", "")
            drill.compared = 0
            return
        drill.compared = len({*drill.before, *after})
        drill.differences = differences(drill.before, after, expected)
        if not unexpected_differences(drill) or time.monotonic() >= begun + wait_seconds or is_hopeless(drill):
            break
        time.sleep(1)
    for difference in unexpected_differences(drill):
        drill.add_event(
            "finding", f"{difference.object} {difference.field}: {difference.before} before, {difference.after} now"
        )
    if drill.moments.injected is not None and drill.ended is None:
        await_failback(drill)


def is_hopeless(drill: DrillRun) -> bool:
    """Whether waiting for the state before is of no use: a target is not back."""
    return any(not entry.state for entry in drill.undone.values())


def await_failback(drill: DrillRun) -> None:
    """Wait until the lost pods answer again, at most failback_timeout."""
    until = time.monotonic() + drill.params["failback_timeout"]
    while time.monotonic() < until and not drill.interruption.look() and not drill.guard.trouble():
        collect_samples(drill)
        back = measurements.failed_back(drill.samples, drill.moments, lost_names(drill))
        if back is not None:
            drill.add_event(
                "failed_back", f"the lost pods answer again, {back - (drill.moments.restored or 0):.1f} s after"
            )
            return
        show_progress(drill)
        time.sleep(0.5)


def lost_names(drill: DrillRun) -> set[str]:
    """Return `namespace/name` of the pods that are lost."""
    return {target.where for target in drill.lost}


def expected_differences(drill: DrillRun) -> set[tuple[str, str]]:
    """Return the differences that the undoing itself makes: (object, field)."""
    expected: set[tuple[str, str]] = set()
    for lost_pod in drill.lost:
        name = f"Pod {lost_pod.where}"
        expected.add((name, "restarts of istio-proxy"))
        # A successor has another name, or the same when a StatefulSet has made it.
        restarts = [field for field in drill.before.get(name, ()) if field.startswith("restarts of ")]
        replaced = {(name, field) for field in ("", "uid", "address", "node", *restarts)}
        for undone in drill.undone.values():
            target = undone.target
            if target.kind == "Pod" and target.where == lost_pod.where:
                expected |= {(name, f"restarts of {target.part}")} | (replaced if undone.state == GONE else set())
            elif target.kind in WORKLOADS and target.workload == lost_pod.workload:
                expected |= replaced
    return expected


def unexpected_differences(drill: DrillRun) -> list[Difference]:
    """Return differences of what the drill touched that the undoing does not explain."""
    behind = t.cast(ServicePods, drill.service_pods)
    gone = any(
        entry.target.kind in WORKLOADS or (entry.target.kind == "Pod" and entry.state == GONE)
        for entry in drill.undone.values()
    )
    touched = {f"Pod {target.where}" for target in drill.lost}
    touched |= {f"{target.kind} {target.where}" for target in drill.targets}
    touched |= {
        f"{target.workload.replace('/', ' ' + target.namespace + '/', 1)}" for target in drill.lost if target.workload
    }
    touched.add(f"Service {behind.namespace}/{behind.service}")
    unexpected = [
        difference for difference in drill.differences if not difference.expected and difference.object in touched
    ]
    slices = [
        difference
        for difference in drill.differences
        if difference.object.startswith(f"EndpointSlice {behind.namespace}/{behind.service}-") and not gone
    ]
    return [*unexpected, *slices]
