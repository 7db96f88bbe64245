# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of workloads: write objects of the role workloads, and adopt nobody else's.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import Conflict, InvalidInput, LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._kube.applied_objects import owned_as_applied
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import FIELD_MANAGER
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import NAMESPACE, Kind
from ansible_collections.meshops.locality.plugins.module_utils._kube.namespace_content import (
    NOT_ADOPTED,
    WRITTEN,
    foreign,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_names import (
    namespace_name,
    object_name,
)

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster, Json

_OF_THE_SERVER = ("managedFields", "resourceVersion", "generation")


def workloads(cluster: Cluster, params: t.Mapping[str, t.Any], module: AnsibleModule) -> Json:
    """Write the objects in their order; see the module's documentation.

    Raises InvalidInput for a definition that is none of the role's, and the error of the first object that is not
    written (Conflict: somebody else's), with `changed`, `written` and `not_written` in the details.
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
            written = [] if module.check_mode else changed
            raise type(error)(
                f"{error.what} Written before: {', '.join(written) or 'nothing'}.",
                do=error.do,
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


def _read(definition: t.Any, where: str) -> tuple[Kind, Json]:
    kinds = {(kind.api_version, kind.kind): kind for kind in (NAMESPACE, *WRITTEN)}
    kind = kinds.get((definition.get("apiVersion"), definition.get("kind")))
    metadata = definition.get("metadata")
    if kind is None or not isinstance(metadata, dict):
        raise InvalidInput(
            f"{where} is no {', '.join(entry.kind for entry in kinds.values())} with metadata.",
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
            if dry_run:
                return {}, _plain(live)
    if why := foreign(kind, live, body["metadata"].get("labels") or {}):
        raise Conflict(why, do=NOT_ADOPTED, status=409)
    if not dry_run:
        live = owned_as_applied(cluster, kind, live, FIELD_MANAGER)
    guarded = {**body, "metadata": {**body["metadata"], "uid": live["metadata"]["uid"]}}
    return old, _plain(cluster.apply(kind, guarded, dry_run=dry_run))


def _plain(item: Json | None) -> Json:
    if item is None:
        return {}
    metadata = {key: value for key, value in item["metadata"].items() if key not in _OF_THE_SERVER}
    return {**{key: value for key, value in item.items() if key != "status"}, "metadata": metadata}
