# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many objects there are of kinds that may not be listed: a ResourceQuota counts them, and shows nothing else.

So whoever deletes a namespace needs no right to read the Secrets in it. Source: Kubernetes documentation, "Resource
Quotas", "Quota on object count"; kubernetes pkg/controller/resourcequota/resource_quota_controller.go,
syncResourceQuota: `status.used` has what was counted, and nothing for what the controller does not know.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import Conflict, Forbidden
from ansible_collections.meshops.locality.plugins.module_utils._kube.applied_objects import owns_metadata
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import FIELD_MANAGER
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import RESOURCE_QUOTA

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster, Json

NAME = "meshops-locality-count"
#: So much that the quota limits nobody.
_UNLIMITED = "1000000000"
#: The controller counts within a second; of kinds that are new to it within half a minute.
WAIT_SECONDS, POLL_SECONDS = 40.0, 0.5


def count(cluster: Cluster, namespace: str, resources: t.Sequence[str], labels: t.Mapping[str, str]) -> dict[str, int]:
    """Return the number of objects of each resource ("secrets", "roles.rbac.authorization.k8s.io") in a namespace.

    A resource that nobody has counted in time is missing, and all are when no quota may be made, or somebody else has
    one of this name. The quota has the `labels`, and is deleted in the end; one that a killed run left is replaced.
    """
    keys = {f"count/{resource}": resource for resource in resources}
    body: Json = {
        "metadata": {"name": NAME, "namespace": namespace, "labels": dict(labels)},
        "spec": {"hard": dict.fromkeys(keys, _UNLIMITED)},
    }
    uid = _create(cluster, body)
    if not uid:
        return {}
    try:
        used = _wait(cluster, namespace, uid, keys)
    finally:
        cluster.delete(RESOURCE_QUOTA, NAME, namespace, uid=uid)
    return {resource: int(used[key]) for key, resource in keys.items() if str(used.get(key, "")).isdigit()}


def _create(cluster: Cluster, body: Json) -> str:
    """Create the quota and return its UID; '' when that may not be, or somebody else has one of its name."""
    namespace, labels = body["metadata"]["namespace"], body["metadata"]["labels"]
    for _attempt in range(2):
        try:
            return str(cluster.create(RESOURCE_QUOTA, body)["metadata"]["uid"])
        except Forbidden:
            return ""
        except Conflict:
            left = cluster.get(RESOURCE_QUOTA, NAME, namespace)
            if left is not None:
                if not all(owns_metadata(left, FIELD_MANAGER, "labels", label) for label in labels):
                    return ""
                cluster.delete(RESOURCE_QUOTA, NAME, namespace, uid=left["metadata"]["uid"])
    return ""


def _wait(cluster: Cluster, namespace: str, uid: str, keys: t.Collection[str]) -> Json:
    until = time.monotonic() + WAIT_SECONDS
    while True:
        live = cluster.get(RESOURCE_QUOTA, NAME, namespace)
        if live is None or live["metadata"]["uid"] != uid:
            return {}
        used: Json = (live.get("status") or {}).get("used") or {}
        if set(keys) <= set(used) or time.monotonic() >= until:
            return used
        time.sleep(POLL_SECONDS)
