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

import contextlib
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import Conflict, LocalityError

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster, Json
    from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import Kind

#: How often an object is read again when somebody (the Deployment controller) writes it meanwhile.
ATTEMPTS = 10


#: In the details of an error: the object it is about was written already, by an earlier request than the failed one.
BEGUN = "begun"


@contextlib.contextmanager
def requests_of_one_object() -> t.Iterator[list[str]]:
    """Give a list for the requests that have written an object; mark an error that comes after the first of them.

    So nobody says of an object that was created, or put back half, that nothing was changed.
    """
    written: list[str] = []
    try:
        yield written
    except LocalityError as error:
        if written:
            error.details[BEGUN] = True
        raise


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


def owns_metadata(live: Json, manager: str, field: str, key: str) -> bool:
    """Return whether a field manager has written a label or annotation: `field` is "labels" or "annotations".

    Source: Kubernetes documentation, "Server-Side Apply", on metadata.managedFields.
    """
    return any(
        f"f:{key}" in (((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get(f"f:{field}") or {})
        for entry in live["metadata"].get("managedFields") or []
        if _is_by(entry, manager)
    )


def writers(live: Json) -> list[str]:
    """Return the field managers of an object, sorted; not who only reports in its status."""
    entries = live["metadata"].get("managedFields") or []
    return sorted({str(entry.get("manager")) for entry in entries if entry.get("subresource") != "status"})


def _is_by(entry: Json, manager: str) -> bool:
    return entry.get("manager") == manager and not entry.get("subresource")
