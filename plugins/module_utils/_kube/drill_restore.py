# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts back what a journal names, from any machine, as often as it takes.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import replace
from functools import partial

from ansible_collections.meshops.locality.plugins.module_utils._drill.faults import fault_named, in_order
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import CLOSED, JournalRecord, Target
from ansible_collections.meshops.locality.plugins.module_utils._drill.target_restoration import TargetRestoration
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    Forbidden,
    LocalityError,
    NotFound,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_journal
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_faults import Application, undo
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_journal import JournalChanged, Stored

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

RETRY_SECONDS = 1.0

Result = t.TypeVar("Result")


def patiently(action: t.Callable[[], Result], until: float) -> Result:
    """Do something until it succeeds or the deadline (time.monotonic()) has passed; then its last error is raised.

    What does not pass by waiting (forbidden, taken by somebody else) is raised at once.
    """
    while True:
        try:
            return action()
        except (Forbidden, JournalChanged, NotFound):
            raise
        except LocalityError:
            if time.monotonic() >= until:
                raise
        time.sleep(RETRY_SECONDS)


def undo_targets(
    cluster: Cluster, record: JournalRecord, targets: t.Sequence[Target], until: float
) -> list[TargetRestoration]:
    """Undo the fault at the given targets of a journal, all at the same time, or kind after kind."""
    fault = fault_named(record.fault)
    way = Application(**record.reach) if record.reach else None
    patient = cluster.until(until)
    undone: list[TargetRestoration] = []
    for group in in_order([target.kind for target in targets], fault.undo_order):
        own = [targets[index] for index in group]
        undone += cluster.map(lambda target: undo(patient, target, fault, record.id, until, way), own)
    return undone


def settled(record: JournalRecord, undone: t.Sequence[TargetRestoration], phase: str) -> JournalRecord:
    """Return a journal in which is written what became of its targets."""
    marked = record.marked({entry.target.uid: entry.state for entry in undone if entry.state})
    words = "; ".join(f"{entry.target.where}: {entry.proof or entry.error}" for entry in undone)
    return marked.noted(drill_journal.now(), phase, f"Undoing: {words}")


def save_restoration(
    cluster: Cluster, stored: Stored, undone: t.Sequence[TargetRestoration], until: float, writer: str
) -> Stored:
    """Write into a journal what became of its targets; close it when nothing is left to put back.

    Raises LocalityError when the journal cannot be written.
    """
    while True:
        if stored.record is None:
            raise AssertionError("a journal that was saved can be read")
        record = settled(stored.record, undone, "restore")
        if not record.unsettled():
            result = record.result or {
                "outcome": "INTERRUPTED",
                "reason": f"The drill did not end itself; {writer} restored it.",
            }
            record = replace(record, state=CLOSED, result=result)
        try:
            return patiently(partial(drill_journal.save, cluster, stored, record, writer), until)
        except JournalChanged:
            again = drill_journal.get(cluster, stored.namespace, stored.name)
            if again is None or again.record is None or time.monotonic() >= until:
                raise
            if not again.open:
                return again
            stored = again
