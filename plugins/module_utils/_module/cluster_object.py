# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of cluster_object: what playbooks read and write themselves, with the client of all other modules.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import Conflict, InvalidInput, NotFound
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import contains
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import CONFIG_MAP, NAMESPACE, NODE
from ansible_collections.meshops.locality.plugins.module_utils._kube.namespace_content import is_ours

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Json = dict[str, t.Any]

KINDS = {kind.kind: kind for kind in (NAMESPACE, NODE, CONFIG_MAP)}
MANAGED_BY, OURS = "app.kubernetes.io/managed-by", "meshops.locality"
#: What `present` writes of a kind.
CONTENT = {"Namespace": "labels", "ConfigMap": "data"}


def cluster_object(cluster: Cluster, params: t.Mapping[str, t.Any], module: AnsibleModule) -> Json:
    """Read objects, or write one; see the module's documentation.

    Raises InvalidInput for options that do not fit the kind, NotFound for a Namespace that is not there, Conflict for a
    ConfigMap of somebody else.
    """
    kind = KINDS[params["kind"]]
    if bool(params["namespace"]) != kind.namespaced:
        raise InvalidInput(f"namespace is for ConfigMaps only, and kind is {kind.kind}.", do="Leave it out.")
    wanted = CONTENT.get(kind.kind) if params["state"] == "present" else None
    for option in ("labels", "data"):
        if (params[option] is not None) != (option == wanted):
            raise InvalidInput(
                f"{option} {'is missing' if option == wanted else 'has no meaning'} for a {kind.kind} with"
                f" state={params['state']}.",
                do="See the documentation of state.",
            )
    if params["state"] == "read":
        if params["name"] is None:
            return {"changed": False, "resources": cluster.list(kind)}
        live = cluster.get(kind, params["name"], params["namespace"])
        return {"changed": False, "resources": [] if live is None else [live]}
    if wanted is None:
        raise InvalidInput(f"A {kind.kind} is only read.", do="Leave out state=present.")
    write = _labelled if kind is NAMESPACE else _published
    changed, written = write(cluster, params, module.check_mode)
    # Not its data: that is what was given, and long.
    return {"changed": changed, "resources": [{key: value for key, value in written.items() if key != "data"}]}


def _labelled(cluster: Cluster, params: t.Mapping[str, t.Any], dry_run: bool) -> tuple[bool, Json]:
    name = params["name"]
    live = cluster.get(NAMESPACE, name)
    if live is None:
        raise NotFound(f"Namespace {name} does not exist.", do="Create it first.", status=404)
    body = {"metadata": {"uid": live["metadata"]["uid"], "labels": params["labels"]}}
    if contains({"metadata": {"labels": {}, **live["metadata"]}}, body):
        return False, live
    return True, cluster.merge_patch(NAMESPACE, name, body, dry_run=dry_run)


def _published(cluster: Cluster, params: t.Mapping[str, t.Any], dry_run: bool) -> tuple[bool, Json]:
    name, namespace = params["name"], params["namespace"]
    data = {key: str(value) for key, value in params["data"].items()}
    live = cluster.get(CONFIG_MAP, name, namespace)
    if live is None:
        metadata = {"name": name, "namespace": namespace, "labels": {MANAGED_BY: OURS}}
        return True, cluster.create(CONFIG_MAP, {"metadata": metadata, "data": data}, dry_run=dry_run)
    if not is_ours(live, {MANAGED_BY: OURS}):
        raise Conflict(
            f"ConfigMap {namespace}/{name} is somebody else's (it has no label {MANAGED_BY}: {OURS} that this"
            f" collection wrote): nothing was written.",
            do="Name another one.",
            status=409,
        )
    # By its UID, so that it is the one that was looked at.
    body: Json = {"metadata": {"uid": live["metadata"]["uid"]}, "data": data}
    if contains(live, body):
        return False, live
    return True, cluster.merge_patch(CONFIG_MAP, name, body, namespace, dry_run=dry_run)
