# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What in a namespace is ours, and what is somebody else's.

Ours is what carries our mark, written by our field manager: a label alone can be copied, and our field manager alone
also stands on objects of others that a drill or a policy has changed.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    ClusterError,
    Forbidden,
    InvalidInput,
    NotFound,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube import (
    drill_fault_in_network,
    drill_fault_in_service,
    drill_journal,
    drill_probe_pods,
    lease,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.access_review import may_list
from ansible_collections.meshops.locality.plugins.module_utils._kube.applied_objects import owns_metadata, writers
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import FIELD_MANAGER
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    LEASE,
    NETWORK_POLICY,
    POD,
    RESOURCE_QUOTA,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.object_counts import count
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_names import object_name

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster, Json

#: What the role workloads writes.
WRITTEN = (DEPLOYMENT, SERVICE, SERVICE_ACCOUNT)
_WITH_OUR_LABEL = {(kind.api_version, kind.kind) for kind in (*WRITTEN, RESOURCE_QUOTA)}
MANAGED_BY = "app.kubernetes.io/managed-by"
_COMPONENT = "app.kubernetes.io/component"
NOT_ADOPTED = "It is not adopted, also when it is equal: delete it there, or choose another name or namespace."
#: What Kubernetes and istiod put into every namespace.
_EVERYWHERE = {
    ("ServiceAccount", "default"),
    ("ConfigMap", "kube-root-ca.crt"),
    ("ConfigMap", "istio-ca-root-cert"),
    ("ConfigMap", "istio-ca-crl"),
}
#: What is made of other objects, or only reports about them.
_DERIVED = {"events", "endpoints", "endpointslices"}
_REPORTS = ("metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io")
#: What a drill makes: its kind, and the label that says so.
_OF_DRILLS = {
    CONFIG_MAP.kind: drill_journal.LABEL,
    POD.kind: drill_probe_pods.LABEL,
    NETWORK_POLICY.kind: drill_fault_in_network.LABEL,
    SERVICE.kind: drill_fault_in_service.LABEL,
}


@dataclass(frozen=True)
class Content:
    """`others`: "Kind name" of what is not ours; `unseen`: resources that could not be listed, so nobody knows."""

    others: list[str]
    unseen: list[str]


def marks(part_of: str) -> dict[str, str]:
    """Return the labels of what the role workloads makes for a Service."""
    return {
        MANAGED_BY: FIELD_MANAGER,
        _COMPONENT: "workloads",
        "app.kubernetes.io/part-of": part_of,
    }


def is_ours(item: Json, labels: t.Mapping[str, str]) -> bool:
    """Whether an object carries the labels, and our field manager has written each of them."""
    live = item["metadata"].get("labels") or {}
    return labels.items() <= live.items() and all(owns_metadata(item, FIELD_MANAGER, "labels", key) for key in labels)


def is_made_by_us(item: Json) -> bool:
    """Whether the role workloads, or the playbook site, made this object: a namespace, or one of the role's kinds."""
    return is_ours(item, {MANAGED_BY: FIELD_MANAGER})


def not_made_by_us(kind: Kind, item: Json) -> str:
    """Return a sentence that says so and names who wrote the object; '' when it was made by us."""
    return "" if is_made_by_us(item) else _whose(kind, item)


def own_objects(cluster: Cluster, namespace: str, part_of: str) -> list[Json]:
    """Return what the role workloads made for a Service: {api_version, kind, name, uid}."""
    labels = marks(part_of)
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    return [
        {
            "api_version": kind.api_version,
            "kind": kind.kind,
            "name": item["metadata"]["name"],
            "uid": item["metadata"]["uid"],
        }
        for kind in WRITTEN
        for item in cluster.list(kind, namespace, labels=selector)
        if is_ours(item, labels)
    ]


def read_wanted(wanted: t.Iterable[str]) -> list[tuple[Kind, str]]:
    """Return kind and name of each "Kind/name". Raises InvalidInput, with its place, for what the role never writes."""
    kinds = {kind.kind: kind for kind in WRITTEN}
    read = []
    for at, (kind, _slash, name) in enumerate(each.partition("/") for each in wanted):
        if kind not in kinds:
            raise InvalidInput(f"wanted[{at}] is no {', '.join(kinds)}.", do="Write it as Kind/name.")
        read.append((kinds[kind], object_name(name, f"The name in wanted[{at}]")))
    return read


def in_the_way(cluster: Cluster, namespace: str, part_of: str, wanted: t.Iterable[tuple[Kind, str]]) -> list[str]:
    """Return a sentence for each of the `wanted` that is there and belongs to somebody else."""
    blocking = []
    for kind, name in wanted:
        item = cluster.get(kind, name, namespace)
        if item is not None and (why := foreign(kind, item, marks(part_of))):
            blocking.append(f"{why} {NOT_ADOPTED}")
    return blocking


def foreign(kind: Kind, item: Json, labels: t.Mapping[str, str]) -> str:
    """Return a sentence when an object is not the role's, with who wrote it; '' when it is.

    `labels` are those of the wanted one.
    What the role made for another Service is shared when both need it (the clients' `sleep`): that is no conflict.
    """
    wanted = {name: value for name, value in labels.items() if name in (MANAGED_BY, _COMPONENT)}
    return "" if wanted and is_ours(item, wanted) else _whose(kind, item)


def _whose(kind: Kind, item: Json) -> str:
    metadata = item["metadata"]
    owners = ", ".join(writers(item)) or "somebody unknown"
    where = f" in namespace {metadata['namespace']}" if metadata.get("namespace") else ""
    return f"{kind.kind} {metadata['name']} exists{where} and is not this role's: it was written by {owners}."


def content(cluster: Cluster, namespace: str) -> Content:
    """Return what of somebody else is in a namespace, of all kinds that the API server knows.

    What objects of the namespace own is not told apart from them; see _goes_with_owners. A failover policy is named,
    too: the role failover_policy takes it away, and gives back what it was written over.
    """
    others: list[str] = []
    unseen: list[str] = []
    may_be_listed = may_list(cluster, namespace)

    def look(kind: Kind) -> tuple[Kind, list[Json] | None]:
        if may_be_listed(kind) is False:
            return kind, None
        try:
            return kind, cluster.list(kind, namespace)
        except Forbidden:
            return kind, None
        except NotFound:
            return kind, []
        except ClusterError as error:
            if error.status == 405:  # nothing that can be listed
                return kind, []
            raise

    kinds = _namespaced(cluster)
    in_namespaces = {(kind.group, kind.kind) for kind in kinds}
    for kind, items in cluster.map(look, kinds):
        if items is None:
            unseen.append(f"{kind.plural}.{kind.group}" if kind.group else kind.plural)
        for item in items or ():
            metadata = item["metadata"]
            known = (kind.kind, metadata["name"]) in _EVERYWHERE
            if not (known or _goes_with_owners(item, in_namespaces) or _goes_along(kind, item)):
                others.append(f"{kind.kind} {metadata['name']}")
    return Content(sorted(set(others)), sorted(unseen))


def content_with_counts(cluster: Cluster, namespace: str) -> Content:
    """Return what of somebody else is in a namespace; what may not be listed is counted, which writes a quota for it.

    See object_counts.py. What is counted is in `others` as "secrets (2)". Quotas are not: that one would count itself.
    """
    inside = content(cluster, namespace)
    if not inside.unseen or inside.others:
        return inside
    resources = [resource for resource in inside.unseen if resource != RESOURCE_QUOTA.plural]
    counted = count(cluster, namespace, resources, {MANAGED_BY: FIELD_MANAGER})
    return Content(
        [f"{resource} ({number})" for resource, number in sorted(counted.items()) if number],
        [resource for resource in inside.unseen if resource not in counted],
    )


def describe(namespace: str, inside: Content) -> str:
    """Return why a namespace is not deleted; '' when nothing in it speaks against that."""
    sentences = []
    if inside.others:
        sentences.append(f"Namespace {namespace} holds {', '.join(inside.others)}, which this collection has not made.")
    if inside.unseen:
        sentences.append(
            f"Nobody knows whether namespace {namespace} holds {', '.join(inside.unseen)}: they may not be listed."
        )
    return " ".join(sentences)


def _goes_along(kind: Kind, item: Json) -> bool:
    """Whether an object may be deleted together with its namespace: the role workloads or a drill made it."""
    if kind.kind in _OF_DRILLS and owns_metadata(item, FIELD_MANAGER, "labels", _OF_DRILLS[kind.kind]):
        return True
    if (kind.kind, item["metadata"]["name"]) == (LEASE.kind, lease.NAME):
        return FIELD_MANAGER in writers(item)
    return (kind.api_version, kind.kind) in _WITH_OUR_LABEL and is_made_by_us(item)


def _goes_with_owners(item: Json, in_namespaces: t.Container[tuple[str, str]]) -> bool:
    """Whether an object goes with its owners: all are of kinds (group and kind) that live in namespaces.

    So they are in this one, and looked at themselves, or gone: then Kubernetes deletes the object without us. An owner
    outside of namespaces, or one that is in every namespace and stays, is somebody else who wants the object. Source:
    Kubernetes documentation, "Owners and Dependents" and "Garbage Collection".
    """
    owners = item["metadata"].get("ownerReferences") or []
    return bool(owners) and all(
        (owner["apiVersion"].rpartition("/")[0], owner["kind"]) in in_namespaces
        and (owner["kind"], owner["name"]) not in _EVERYWHERE
        for owner in owners
    )


def _namespaced(cluster: Cluster) -> list[Kind]:
    """Return every kind that lives in namespaces and can be listed, from the API server's discovery.

    Each in the version its group prefers, or else in another one: Istio has EnvoyFilters in v1alpha3 only.
    """
    groups = cluster.discovery("/apis").get("groups") or []
    offered = [each for group in groups for each in (group["preferredVersion"], *group["versions"])]
    versions = dict.fromkeys(["v1", *(each["groupVersion"] for each in offered)])
    kinds: dict[tuple[str, str], Kind] = {}
    for version in versions:
        if version.startswith(_REPORTS):
            continue
        try:
            answer = cluster.discovery(f"/apis/{version}" if "/" in version else f"/api/{version}")
        except NotFound:
            continue
        for resource in answer.get("resources") or []:
            plural = str(resource.get("name"))
            listed = resource.get("namespaced") and "list" in (resource.get("verbs") or ())
            if listed and "/" not in plural and plural not in _DERIVED:
                kind = Kind(version, str(resource.get("kind")), plural)
                kinds.setdefault((kind.group, plural), kind)
    return list(kinds.values())
