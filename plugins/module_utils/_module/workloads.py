# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of workloads: write and delete objects of the role workloads, and label a namespace that is there already.

What is somebody else's is not touched.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    Conflict,
    InvalidInput,
    LocalityError,
    NotReady,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.applied_objects import (
    BEGUN,
    owned_as_applied,
    requests_of_one_object,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import FIELD_MANAGER
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import NAMESPACE, Kind
from ansible_collections.meshops.locality.plugins.module_utils._kube.namespace_content import (
    NOT_ADOPTED,
    WRITTEN,
    content,
    content_with_counts,
    describe,
    foreign,
    not_made_by_us,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.namespace_labels import (
    add_labels,
    take_labels_back,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_names import (
    namespace_name,
    object_name,
)

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster, Json

_OF_THE_SERVER = ("managedFields", "resourceVersion", "generation")
_POLL_SECONDS = 0.5


def workloads(cluster: Cluster, params: t.Mapping[str, t.Any], module: AnsibleModule) -> Json:
    """Write or delete the objects in their order, or label a namespace; see the module's documentation."""
    if params["state"] == "absent":
        return _delete_all(cluster, params, module)
    if params["state"] in ("labelled", "unlabelled"):
        return _label(cluster, params, module)
    return _write_all(cluster, params, module)


def _label(cluster: Cluster, params: t.Mapping[str, t.Any], module: AnsibleModule) -> Json:
    """Give the namespace its labels, or take them back; see _kube/namespace_labels.py for what is a conflict."""
    name = namespace_name(params["namespace"], "namespace")
    try:
        if params["state"] == "labelled":
            wanted = {key: str(value) for key, value in params["labels"].items()}
            before, after = add_labels(
                cluster, name, wanted, force=params["force_conflicts"], dry_run=module.check_mode
            )
        else:
            before, after = take_labels_back(cluster, name, dry_run=module.check_mode)
    except LocalityError as error:
        error.details["changed"] = error.details.pop(BEGUN, False)
        raise
    result: Json = {"changed": before != after}
    if module._diff:
        result["diff"] = {"before": {"labels": before}, "after": {"labels": after}}
    return result


def _write_all(cluster: Cluster, params: t.Mapping[str, t.Any], module: AnsibleModule) -> Json:
    """Write the objects in their order.

    Raises InvalidInput for a definition that is none of the role's, and the error of the first object that is not
    written (Conflict: somebody else's), with `changed`, `written` and `not_written` in the details. An object that was
    created, and could not be finished, is in both.
    """
    wanted = [_read(definition, f"definitions[{at}]") for at, definition in enumerate(params["definitions"])]
    names = [_name(kind, body) for kind, body in wanted]
    before: list[Json] = []
    after: list[Json] = []
    changed: list[str] = []
    for at, (kind, body) in enumerate(wanted):
        try:
            old, new = _write(cluster, kind, body, module.check_mode)
        except LocalityError as error:
            begun = [names[at]] if error.details.pop(BEGUN, False) else []
            written = [] if module.check_mode else changed + begun
            raise type(error)(
                f"{error.what} Written before: {', '.join(written) or 'nothing'}.",
                do=f"{error.do} A second run finishes.".strip() if begun else error.do,
                **{**error.details, "changed": bool(written), "written": written, "not_written": names[at:]},
            ) from error
        before.append(old)
        after.append(new)
        changed += [names[at]] if old != new else []
    result: Json = {"changed": bool(changed), "written": changed}
    if module._diff:
        result["diff"] = {
            side: {name: item for name, item in zip(names, items, strict=True) if name in changed and item}
            for side, items in (("before", before), ("after", after))
        }
    return result


def _delete_all(cluster: Cluster, params: t.Mapping[str, t.Any], module: AnsibleModule) -> Json:
    """Delete the objects by their UIDs, and wait until they are gone.

    Raises InvalidInput for what is none of the role's kinds, NotReady for what is not gone in time, and the error of
    the first object that is not deleted (Conflict: another one of its name, one that was not made by us, or a namespace
    that holds what is somebody else's), with `changed`, `deleted` and `not_deleted` in the details.
    """
    asked = [_own(entry, params["namespace"], f"objects[{at}]") for at, entry in enumerate(params["objects"])]
    names = [f"{kind.kind} {name}" for kind, name, _namespace, _uid in asked]
    deleted: list[str] = []
    for at, (kind, name, namespace, uid) in enumerate(asked):
        try:
            if _delete(cluster, kind, name, namespace, uid, module.check_mode):
                deleted.append(names[at])
        except LocalityError as error:
            gone = [] if module.check_mode else deleted
            raise type(error)(
                f"{names[at]} was not deleted. {error.what} Deleted before: {', '.join(gone) or 'nothing'}.",
                do=error.do,
                **{**error.details, "changed": bool(gone), "deleted": gone, "not_deleted": names[at:]},
            ) from error
    if params["wait"] and not module.check_mode:
        try:
            _wait_until_gone(cluster, asked, params["wait_timeout"])
        except LocalityError as error:
            done = {"changed": bool(deleted), "deleted": deleted, "not_deleted": []}
            raise type(error)(error.what, do=error.do, **{**error.details, **done}) from error
    result: Json = {"changed": bool(deleted), "deleted": deleted}
    if module._diff:
        result["diff"] = {"before": dict.fromkeys(deleted, "present"), "after": {}}
    return result


def _delete(cluster: Cluster, kind: Kind, name: str, namespace: str | None, uid: str, dry_run: bool) -> bool:
    """Delete one object; False when it was not there. Raises Conflict for one that is not to be deleted."""
    live = cluster.get(kind, name, namespace)
    if live is None:
        return False
    if live["metadata"].get("uid") != uid:
        raise _another_one(f"{kind.kind} {name} has another UID than what was looked at.")
    if live["metadata"].get("deletionTimestamp"):
        return False  # It goes already: nothing is left to decide.
    if why := not_made_by_us(kind, live):
        raise Conflict(why, do="It stays. Whoever made it deletes it.", status=409)
    if kind is NAMESPACE:
        inside = content(cluster, name) if dry_run else content_with_counts(cluster, name)
        if why := describe(name, inside):
            raise Conflict(
                why,
                do="The namespace stays. Take that away, or grant to list it, and run again; or delete it by hand.",
                status=409,
                others=inside.others,
                others_unseen=inside.unseen,
            )
    try:
        return cluster.delete(kind, name, namespace, uid=uid, dry_run=dry_run)
    except Conflict as error:
        raise _another_one(error.what) from error


def _another_one(why: str) -> Conflict:
    return Conflict(
        why,
        do="Look again with workloads_info: what has another UID is not what was looked at, and stays.",
        status=409,
    )


def _wait_until_gone(cluster: Cluster, asked: t.Sequence[tuple[Kind, str, str | None, str]], seconds: float) -> None:
    until = time.monotonic() + seconds
    for kind, name, namespace, uid in asked:
        while (live := cluster.get(kind, name, namespace)) is not None and live["metadata"]["uid"] == uid:
            if time.monotonic() >= until:
                raise NotReady(
                    f"{kind.kind} {name} is being deleted, and still there after {seconds} s.",
                    do="See its finalizers and conditions; run again to go on waiting.",
                )
            time.sleep(_POLL_SECONDS)


_KINDS = {(kind.api_version, kind.kind): kind for kind in (NAMESPACE, *WRITTEN)}


def _own(entry: Json, in_namespace: str | None, where: str) -> tuple[Kind, str, str | None, str]:
    """Return kind, name, namespace and UID of an object that is to be deleted."""
    kind = _KINDS.get((entry["api_version"], entry["kind"]))
    if kind is None:
        raise InvalidInput(
            f"{where} is no {', '.join(known.kind for known in _KINDS.values())}.",
            do="Give what workloads_info returns as `own`, or the namespace.",
        )
    name = object_name(entry["name"], f"{where}.name")
    if not entry["uid"].strip():
        raise InvalidInput(f"{where}.uid is blank.", do="Give the UID of the object that was looked at.")
    namespace = None if kind is NAMESPACE else namespace_name(in_namespace, "namespace")
    return kind, name, namespace, entry["uid"]


def _read(definition: t.Any, where: str) -> tuple[Kind, Json]:
    kind = _KINDS.get((definition.get("apiVersion"), definition.get("kind")))
    metadata = definition.get("metadata")
    if kind is None or not isinstance(metadata, dict):
        raise InvalidInput(
            f"{where} is no {', '.join(known.kind for known in _KINDS.values())} with metadata.",
            do="Give what the role workloads writes.",
        )
    object_name(metadata.get("name"), f"{where}.metadata.name")
    if kind is not NAMESPACE:
        namespace_name(metadata.get("namespace"), f"{where}.metadata.namespace")
    return kind, definition


def _name(kind: Kind, body: Json) -> str:
    return f"{kind.kind} {body['metadata']['name']}"


def _write(cluster: Cluster, kind: Kind, body: Json, dry_run: bool) -> tuple[Json, Json]:
    """Return the object before ({}: there was none) and after, without what the API server keeps about it.

    What is not there is created (see _kube/applied_objects.py). What is there is applied to by its UID, so that it is
    no other one of its name.
    """
    name, namespace = body["metadata"]["name"], body["metadata"].get("namespace")
    live = cluster.get(kind, name, namespace)
    old = _plain(live)
    if live is None:
        try:
            live = cluster.create(kind, body, dry_run=dry_run)
        except Conflict:
            live = cluster.get(kind, name, namespace)
            if live is None:
                raise
        else:
            return {}, _plain(live if dry_run else _finish(cluster, kind, body, live))
    if why := foreign(kind, live, body["metadata"].get("labels") or {}):
        raise Conflict(why, do=NOT_ADOPTED, status=409)
    if not dry_run:
        live = owned_as_applied(cluster, kind, live, FIELD_MANAGER)
    return old, _plain(cluster.apply(kind, _guarded(body, live), dry_run=dry_run))


def _finish(cluster: Cluster, kind: Kind, body: Json, created: Json) -> Json:
    """Own what was created as if it had been applied; see owned_as_applied. `created` may be somebody else's after all.

    Raises Conflict for that, and marks the errors of what follows our own creation; see requests_of_one_object.
    """
    if why := foreign(kind, created, body["metadata"].get("labels") or {}):
        raise Conflict(why, do=NOT_ADOPTED, status=409)
    with requests_of_one_object() as written:
        written.append("create")
        live = owned_as_applied(cluster, kind, created, FIELD_MANAGER)
        return cluster.apply(kind, _guarded(body, live))


def _guarded(body: Json, live: Json) -> Json:
    return {**body, "metadata": {**body["metadata"], "uid": live["metadata"]["uid"]}}


def _plain(item: Json | None) -> Json:
    if item is None:
        return {}
    metadata = {key: value for key, value in item["metadata"].items() if key not in _OF_THE_SERVER}
    return {**{key: value for key, value in item.items() if key != "status"}, "metadata": metadata}
