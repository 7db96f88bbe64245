# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of failover_drill_info: what drills have shown, and what of them is still to be restored.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.coverage import coverage, drill
from ansible_collections.meshops.locality.plugins.module_utils._drill.gate import CONSENT_LABEL, CONSENTS
from ansible_collections.meshops.locality.plugins.module_utils._errors import Forbidden, LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_journal, lease
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_targets import state_of
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import NAMESPACE

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Params = t.Mapping[str, t.Any]
Json = dict[str, t.Any]


def failover_drill_info(cluster: Cluster, params: Params, module: AnsibleModule) -> Json:
    """Return {drills, coverage, to_restore, lock, consenting_namespaces, unread}; see the module's documentation.

    Raises Forbidden when no journal may be read at all.
    """
    found = drill_journal.find(cluster, params["namespaces"])
    if found.unread and len(found.unread) == len(params["namespaces"] or [""]):
        raise Forbidden(
            f"No journal may be read. {' '.join(found.unread)}",
            do="Grant the verb list on configmaps, or name the namespaces.",
            status=403,
        )
    unread = [*found.unread, *(one.problem for one in found.journals if one.problem)]
    records = [one.record for one in found.journals if one.record is not None]
    digests: dict[str, str] = {}
    for namespace in sorted({one.namespace for one in records}):
        state = state_of(cluster, namespace, unread)
        digests |= {name: fields["spec"] for name, fields in state.items() if "spec" in fields}
    drills = [drill(one) for one in sorted(records, key=lambda one: one.started, reverse=True)]
    return {
        "changed": False,
        "drills": drills,
        "coverage": coverage(records, digests),
        "to_restore": [
            {"id": one["id"], "namespace": one["namespace"], "title": one["title"], "targets": one["unsettled"]}
            for one in drills
            if one["open"]
        ]
        + [
            {"id": one.name, "namespace": one.namespace, "title": "", "targets": []}
            for one in found.journals
            if one.record is None
        ],
        "lock": _lock(cluster, params["lock_namespace"], unread),
        "consenting_namespaces": _consenting(cluster, unread),
        "unread": unread,
    }


def _lock(cluster: Cluster, namespace: str, unread: list[str]) -> Json | None:
    try:
        held = lease.read(cluster, namespace)
    except LocalityError as error:
        unread.append(f"The lock was not looked at: {error}")
        return None
    return {
        "holder": held.holder if held else "",
        "renewed": held.renewed if held else "",
        "stopped": held.stop if held else "",
    }


def _consenting(cluster: Cluster, unread: list[str]) -> list[str]:
    try:
        found = cluster.list(NAMESPACE, labels=f"{CONSENT_LABEL} in ({','.join(CONSENTS)})")
    except Forbidden as error:
        unread.append(f"Which namespaces allow drills was not looked at: {error}")
        return []
    return sorted(one["metadata"]["name"] for one in found)
