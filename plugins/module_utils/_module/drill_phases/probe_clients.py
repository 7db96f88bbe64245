# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of the drill's own: written down, made, used instead of the named ones, and removed.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import time

from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import INJECTED, INJECTING, Target
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput, LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_journal, drill_probe_pods
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_preflight import DrillClient
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_restore import (
    patiently,
    settled,
    undo_targets,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_watch import EnvoyWatch
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.drill_run import DrillRun
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.observation import (
    check_signs_of_life,
)

#: How long a probe client lives that nobody removes, on top of the drill's own time.
SPARE_SECONDS = 600


def choose_probe_clients(drill: DrillRun) -> None:
    """Choose one of the named clients for each place, and ask whether a pod may be made next to each.

    Raises InvalidInput for a fault that needs a client with curl, ClusterError when the API server refuses a pod.
    """
    if drill.fault.acts_on in ("application", "network"):
        raise InvalidInput(
            f"The fault {drill.fault.name} is put in with a client's own curl: a client of the drill's comes too late.",
            do="Name clients with curl and use load: probe, or choose another fault.",
        )
    drill.clients = list({client.place: client for client in drill.clients}.values())
    drill.probe_targets = [
        drill_probe_pods.target_of(client.proxy, client.place, drill.id, index)
        for index, client in enumerate(drill.clients)
    ]
    for target, client in zip(drill.probe_targets, drill.clients, strict=True):
        _create(drill, target, client, dry_run=True)


def make_probe_clients(drill: DrillRun) -> None:
    """Make the pods that the journal names, and let them ask from now on. Raises Ended or LocalityError."""
    if not drill.probe_targets:
        return
    wanted = {target.uid: INJECTING for target in drill.probe_targets}
    drill.write(drill.record.marked(wanted), "journal", f"{len(wanted)} probe client(s) come.")
    for target, client in zip(drill.probe_targets, drill.clients, strict=True):
        _create(drill, target, client)
    until = time.monotonic() + drill_probe_pods.READY_SECONDS
    created = []
    for target, client in zip(drill.probe_targets, drill.clients, strict=True):
        proxy = drill_probe_pods.await_ready(drill.cluster, target, until, lambda: check_signs_of_life(drill))
        created.append(DrillClient(proxy, drill_probe_pods.CONTAINER, client.place))
        drill.add_event("phase", f"probe client {target.where} is ready")
    drill.write(drill.record.marked(dict.fromkeys(wanted, INJECTED)), "journal", "The probe clients are ready.")
    drill.clients = created
    drill.watch = EnvoyWatch(
        drill.cluster, [client.proxy for client in created], drill.question.pattern(), drill.zero
    ).only(drill.question.wants)
    drill.watch.look()


def remove_probe_clients(drill: DrillRun) -> None:
    """Remove the pods, when nothing is asked any more. What is left is reported, and stays open in the journal."""
    if drill.stored is None or drill.stored.record is None:
        return
    own = [entry for entry in drill.record.unsettled() if entry.step == drill_probe_pods.STEP]
    if not own:
        return
    until = time.monotonic() + drill.params["restore_timeout"]
    undone = undo_targets(drill.cluster, drill.record, own, until)
    for entry in undone:
        drill.undone[entry.target.uid] = entry
        drill.add_event("restored" if entry.state else "abort", entry.proof or entry.error, pod=entry.target.where)
    stored, record = drill.stored, settled(drill.record, undone, "proof")
    try:
        drill.stored = patiently(lambda: drill_journal.save(drill.cluster, stored, record, drill.holder), until)
    except LocalityError as error:
        drill.add_finding("error", f"The journal could not be written: {error}", "Run the playbook restore once more.")


def _create(drill: DrillRun, target: Target, client: DrillClient, *, dry_run: bool = False) -> None:
    seconds = int(drill.seconds_to_undoing() + 2 * drill.params["restore_timeout"]) + SPARE_SECONDS
    image = drill.params["probe_image"]
    drill_probe_pods.create(drill.cluster, target, client.proxy, image, drill.id, seconds, dry_run=dry_run)
