# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of cluster_object: what playbooks read and write themselves, with the client of all other modules.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import Conflict, InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import contains
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import CONFIG_MAP, NAMESPACE, NODE
from ansible_collections.meshops.locality.plugins.module_utils._kube.namespace_content import is_ours

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Json = dict[str, t.Any]

KINDS = {kind.kind: kind for kind in (NAMESPACE, NODE, CONFIG_MAP)}
MANAGED_BY, OURS = "app.kubernetes.io/managed-by", "meshops.locality"
#: How often a ConfigMap is read and judged again when somebody else writes it meanwhile.
ATTEMPTS = 4


def cluster_object(cluster: Cluster, params: t.Mapping[str, t.Any], module: AnsibleModule) -> Json:
    """Read objects, or publish a ConfigMap; see the module's documentation.

    Raises InvalidInput for options that do not fit the kind, Conflict for a ConfigMap of somebody else, or one that
    others keep writing.
    """
    kind = KINDS[params["kind"]]
    if bool(params["namespace"]) != kind.namespaced:
        raise InvalidInput(f"namespace is for ConfigMaps only, and kind is {kind.kind}.", do="Leave it out.")
    writes = params["state"] == "present"
    if writes and kind is not CONFIG_MAP:
        raise InvalidInput(f"A {kind.kind} is only read.", do="Leave out state=present.")
    if (params["data"] is not None) != writes:
        raise InvalidInput(
            f"data {'is missing' if writes else 'has no meaning'} with state={params['state']}.",
            do="See the documentation of state.",
        )
    if writes:
        changed, written = _published(cluster, params, module.check_mode)
        # Not its data: that is what was given, and long.
        return {"changed": changed, "resources": [{key: value for key, value in written.items() if key != "data"}]}
    if params["name"] is None:
        return {"changed": False, "resources": cluster.list(kind)}
    live = cluster.get(kind, params["name"], params["namespace"])
    return {"changed": False, "resources": [] if live is None else [live]}


def _published(cluster: Cluster, params: t.Mapping[str, t.Any], dry_run: bool) -> tuple[bool, Json]:
    name, namespace = params["name"], params["namespace"]
    data = {key: str(value) for key, value in params["data"].items()}
    for _attempt in range(ATTEMPTS):
        live = cluster.get(CONFIG_MAP, name, namespace)
        if live is not None and not is_ours(live, {MANAGED_BY: OURS}):
            raise Conflict(
                f"ConfigMap {namespace}/{name} is somebody else's (it has no label {MANAGED_BY}: {OURS} that this"
                f" collection wrote): nothing was written.",
                do="Name another one.",
                status=409,
            )
        try:
            if live is None:
                metadata = {"name": name, "namespace": namespace, "labels": {MANAGED_BY: OURS}}
                return True, cluster.create(CONFIG_MAP, {"metadata": metadata, "data": data}, dry_run=dry_run)
            if contains(live, {"data": data}):
                return False, live
            # So that it is the one that was looked at, and still ours.
            guard = {key: live["metadata"][key] for key in ("uid", "resourceVersion")}
            body: Json = {"metadata": guard, "data": data}
            return True, cluster.merge_patch(CONFIG_MAP, name, body, namespace, dry_run=dry_run)
        except Conflict as error:
            last = error
    raise last
