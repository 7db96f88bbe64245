# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of failover_drill_info: what drills have shown, and what of them is still to be restored.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.coverage import (
    coverage,
    drill,
    never_drilled,
    places_digest,
    places_key,
)
from ansible_collections.meshops.locality.plugins.module_utils._drill.gate import CONSENT_LABEL, CONSENTS
from ansible_collections.meshops.locality.plugins.module_utils._errors import Forbidden, LocalityError, NotFound
from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_journal, lease
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_targets import (
    ServicePods,
    read_service_pods,
    state_of,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import NAMESPACE, SERVICE
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_names import chosen_namespaces

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Params = t.Mapping[str, t.Any]
Json = dict[str, t.Any]


def failover_drill_info(cluster: Cluster, params: Params, module: AnsibleModule) -> Json:
    """Return the history, what is proven, what never was, and what is to be restored; see the module's documentation.

    Raises Forbidden when no journal may be read at all, InvalidInput when it is not said of which namespaces.
    """
    namespaces = chosen_namespaces(params)
    stored = drill_journal.find(cluster, namespaces)
    if stored.unread and len(stored.unread) == len(namespaces or [""]):
        raise Forbidden(
            f"No journal may be read. {' '.join(stored.unread)}",
            do="Grant the verb list on configmaps, or name the namespaces.",
            status=403,
        )
    unread = [*stored.unread, *(journal.problem for journal in stored.journals if journal.problem)]
    records = [journal.record for journal in stored.journals if journal.record is not None]
    digests: dict[str, str] = {}
    for namespace in sorted({record.namespace for record in records}):
        state = state_of(cluster, namespace, unread)
        digests |= {name: fields["spec"] for name, fields in state.items() if "spec" in fields}
    consenting = _consenting(cluster, unread)
    wanted = {(record.namespace, record.service) for record in records}
    wanted |= _services(cluster, [name for name in consenting if name in (namespaces or [name])], unread)
    services = _endpoints(cluster, sorted(wanted), unread)
    digests |= {
        places_key(service.namespace, service.service): places_digest(service.candidates) for service in services
    }
    covered = coverage(records, digests, drill_journal.now())
    drills = [drill(record) for record in sorted(records, key=lambda record: record.started, reverse=True)]
    return {
        "changed": False,
        "drills": drills,
        "coverage": covered,
        "never_drilled": [
            {"namespace": service.namespace, "service": service.service, "losses": losses}
            for service in services
            if service.namespace in consenting
            and (losses := never_drilled(service.namespace, service.service, service.candidates, covered))
        ],
        "to_restore": [
            {"id": entry["id"], "namespace": entry["namespace"], "title": entry["title"], "targets": entry["unsettled"]}
            for entry in drills
            if entry["open"]
        ]
        + [
            {"id": journal.name, "namespace": journal.namespace, "title": "", "targets": []}
            for journal in stored.journals
            if journal.record is None
        ],
        "lock": _lock(cluster, params["lock_namespace"], unread),
        "consenting_namespaces": consenting,
        "unread": unread,
    }


def _lock(cluster: Cluster, namespace: str, unread: list[str]) -> Json | None:
    try:
        lock = lease.read(cluster, namespace)
    except LocalityError as error:
        unread.append(f"The lock was not looked at: {error}")
        return None
    return {
        "holder": lock.holder if lock else "",
        "renewed": lock.renewed if lock else "",
        "stopped": lock.stop if lock else "",
    }


def _services(cluster: Cluster, namespaces: t.Sequence[str], unread: list[str]) -> set[tuple[str, str]]:
    """Return (namespace, name) of the Services with a selector and a TCP port."""
    named = set()
    for namespace in namespaces:
        try:
            items = cluster.list(SERVICE, namespace)
        except Forbidden as error:
            unread.append(f"Which Services of {namespace} were never drilled was not looked at: {error.what}")
            continue
        for item in items:
            spec = item["spec"]
            if spec.get("selector") and any(port.get("protocol", "TCP") == "TCP" for port in spec.get("ports") or ()):
                named.add((namespace, item["metadata"]["name"]))
    return named


def _endpoints(cluster: Cluster, services: t.Sequence[tuple[str, str]], unread: list[str]) -> list[ServicePods]:
    """Return the Services with their endpoints and places; those that cannot be read are in `unread`."""

    def look(service: tuple[str, str]) -> ServicePods | str:
        try:
            return read_service_pods(cluster, *service, None)
        except NotFound:
            return ""  # It is gone, and its digests say so.
        except LocalityError as error:
            return f"The places of Service {'/'.join(service)} were not looked at: {error.what}"

    answers = cluster.map(look, services)
    unread += [answer for answer in answers if isinstance(answer, str) and answer]
    return [answer for answer in answers if isinstance(answer, ServicePods)]


def _consenting(cluster: Cluster, unread: list[str]) -> list[str]:
    try:
        namespaces = cluster.list(NAMESPACE, labels=f"{CONSENT_LABEL} in ({','.join(CONSENTS)})")
    except Forbidden as error:
        unread.append(f"Which namespaces allow drills was not looked at: {error}")
        return []
    return sorted(namespace["metadata"]["name"] for namespace in namespaces)
