# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that are created, never adopted, and applied to (server-side apply) from then on.

Server-side apply alone writes into an object that somebody else has made since it was looked for. So what is not there
is created; then its fields are owned as if it had been applied, because a later apply takes away only what an apply
owns.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import Conflict

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster, Json
    from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import Kind

#: How often an object is read again when somebody (the Deployment controller) writes it meanwhile.
ATTEMPTS = 10


def owned_as_applied(cluster: Cluster, kind: Kind, live: Json, manager: str) -> Json:
    """Return the object with the fields of its creation by `manager` owned as if it had been applied.

    `live`: the object as the API server has it. An object that was applied once stays as it is: what of it is owned by
    an update then is a drill's, which puts it back itself. Raises Conflict when somebody keeps writing it, and the
    client's other errors. Source: Kubernetes, client-go/util/csaupgrade/upgrade.go, which does the same for objects of
    client-side apply.
    """
    name, namespace = live["metadata"]["name"], live["metadata"].get("namespace")
    for attempt in range(ATTEMPTS):
        entries = live["metadata"].get("managedFields") or []
        if {entry.get("operation") for entry in entries if _is_by(entry, manager)} != {"Update"}:
            return live
        owned = [{**entry, "operation": "Apply"} if _is_by(entry, manager) else entry for entry in entries]
        guard = {"resourceVersion": live["metadata"]["resourceVersion"], "managedFields": owned}
        try:
            return cluster.merge_patch(kind, name, {"metadata": guard}, namespace, manager=manager)
        except Conflict:
            existing = cluster.get(kind, name, namespace)
            if existing is None or attempt == ATTEMPTS - 1:
                raise
            live = existing
    raise RuntimeError("unreachable: the last attempt returns or raises")


def written_by(live: Json, manager: str) -> bool:
    """Return whether a field manager owns anything of an object."""
    return any(_is_by(entry, manager) for entry in live["metadata"].get("managedFields") or [])


def _is_by(entry: Json, manager: str) -> bool:
    return entry.get("manager") == manager and not entry.get("subresource")
