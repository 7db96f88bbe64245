# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of failover_restore: put back what the journals of drills name.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import os
import socket
import time
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import JournalRecord
from ansible_collections.meshops.locality.plugins.module_utils._drill.target_restoration import TargetRestoration
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    ClusterError,
    Forbidden,
    InvalidInput,
    LocalityError,
    NotFound,
    NotReady,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_journal, lease
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_journal import Stored
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_restore import (
    patiently,
    save_restoration,
    undo_targets,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_names import chosen_namespaces

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Params = t.Mapping[str, t.Any]
Json = dict[str, t.Any]


def failover_restore(cluster: Cluster, params: Params, module: AnsibleModule) -> Json:
    """Restore every open journal that is meant; see the module's documentation.

    Raises NotReady, with the outcome of every drill in the details, when one is not back; Forbidden when no journal may
    be read at all.
    """
    if not 1 <= params["wait_timeout"] <= 3600:
        raise InvalidInput(f"wait_timeout is {params['wait_timeout']}; it must be 1 to 3600 seconds.")
    namespaces = chosen_namespaces(params)
    if params["drills"] == []:
        raise InvalidInput("drills is empty.", do="Name the drills, or leave it out for every open one.")
    until = time.monotonic() + params["wait_timeout"]
    check = module.check_mode
    stopped, changed = None, False
    if params["stop"] is not None:
        place, stopped = params["lock_namespace"], params["stop"].strip()
        reason = stopped
        changed = patiently(lambda: lease.set_stop(cluster, place, reason, dry_run=check), until)
    try:
        result = _restore_all(cluster, params, namespaces, until, check=check)
    except LocalityError as error:
        if changed and not check:
            error.details = {**error.details, "changed": True}
        raise
    return {**result, "changed": changed or result["changed"], "stopped": stopped}


def _restore_all(
    cluster: Cluster, params: Params, namespaces: t.Sequence[str] | None, until: float, *, check: bool
) -> Json:
    listing = patiently(lambda: drill_journal.find(cluster, namespaces, state="open"), until)
    if listing.unread and not listing.journals and len(listing.unread) == len(namespaces or [""]):
        raise Forbidden(
            f"No journal may be read. {' '.join(listing.unread)}",
            do="Grant the verb list on configmaps, or name the namespaces.",
            status=403,
        )
    wanted = [journal for journal in listing.journals if _meant(journal, params)]
    missing = set(params["drills"] or ()) - {
        journal.name.removeprefix("meshops-drill-") for journal in listing.journals
    }
    if missing:
        raise NotFound(
            f"There is no open journal of drill {', '.join(sorted(missing))}.",
            do="It is restored already, or is in a namespace that may not be read: see failover_drill_info.",
            status=404,
        )
    writer = f"restore by {socket.gethostname()} (pid {os.getpid()})"
    results = [_journal_entry(entry) if check else _restored(cluster, entry, until, writer) for entry in wanted]
    changes = [entry.pop("changed") for entry in results]
    result: Json = {
        "changed": any(changes),
        "drills": results,
        "unread": listing.unread,
    }
    if open_ones := [result for result in results if not result["closed"] and not check]:
        raise NotReady(
            f"{len(open_ones)} of {len(results)} drills are not restored. "
            + " ".join(f"{entry['namespace']}/{entry['id']}: {entry['error']}" for entry in open_ones),
            do="Run it again: what is done is found done.",
            **result,
        )
    return result


def _meant(stored: Stored, params: Params) -> bool:
    if params["drills"] and stored.name.removeprefix("meshops-drill-") not in params["drills"]:
        return False
    return not params["expired"] or (stored.record is not None and stored.record.expired(drill_journal.now()))


def _journal_entry(stored: Stored, undone: t.Sequence[TargetRestoration] = (), error: str = "") -> Json:
    record: JournalRecord | None = stored.record
    return {
        "id": stored.name.removeprefix("meshops-drill-"),
        "namespace": stored.namespace,
        "title": record.title if record else "",
        "holder": record.holder if record else "",
        "started": record.started if record else "",
        "closed": not stored.open,
        "error": error or stored.problem,
        "targets": [each.as_dict() for each in undone]
        or [{"pod": each.where, "state": each.state} for each in (record.unsettled() if record else ())],
        "changed": any(each.changed for each in undone) or (stored.open and stored.record is not None),
    }


def _restored(cluster: Cluster, stored: Stored, until: float, writer: str) -> Json:
    if stored.record is None:
        return _journal_entry(stored)
    undone: list[TargetRestoration] = []
    try:
        undone = undo_targets(cluster, stored.record, stored.record.unsettled(), until)
        after = save_restoration(cluster, stored, undone, until, writer)
    except LocalityError as error:
        # Of a journal whose writing nobody answered it is not known.
        changed = any(each.changed for each in undone) or (isinstance(error, ClusterError) and error.unheard)
        return _journal_entry(stored, undone, str(error)) | {"changed": changed}
    wrong = " ".join(each.error for each in undone if not each.state)
    return _journal_entry(after, undone, wrong) | {"changed": True}
