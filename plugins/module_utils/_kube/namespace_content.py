# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What in a namespace is ours, and what is somebody else's.

Ours is what carries our labels *and* our field manager: labels alone can be copied, and server-side apply adopts an
equal object of somebody else without a conflict.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._errors import ClusterError, Forbidden, NotFound
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import FIELD_MANAGER
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import (
    DEPLOYMENT,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
)

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster, Json

#: What the role workloads writes.
WRITTEN = (DEPLOYMENT, SERVICE, SERVICE_ACCOUNT)
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


def is_marked(namespace: Json | None) -> bool:
    """Whether a namespace is there and says that the role workloads made it."""
    return namespace is not None and (namespace["metadata"].get("labels") or {}).get(MANAGED_BY) == FIELD_MANAGER


def is_ours(item: Json, labels: t.Mapping[str, str]) -> bool:
    """Whether an object carries the labels and was written by our field manager."""
    metadata = item["metadata"]
    return labels.items() <= (metadata.get("labels") or {}).items() and FIELD_MANAGER in _managers(item)


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


def in_the_way(cluster: Cluster, namespace: str, part_of: str, wanted: t.Iterable[str]) -> list[str]:
    """Return a sentence for each of the `wanted` ("Kind/name") that is there and belongs to somebody else."""
    kinds = {kind.kind: kind for kind in WRITTEN}
    blocking = []
    for kind, _slash, name in (each.partition("/") for each in wanted):
        item = cluster.get(kinds[kind], name, namespace)
        if item is not None and (why := foreign(kinds[kind], item, marks(part_of))):
            blocking.append(f"{why} {NOT_ADOPTED}")
    return blocking


def foreign(kind: Kind, item: Json, labels: t.Mapping[str, str]) -> str:
    """Return a sentence when an object is not the role's, with who wrote it; '' when it is.

    `labels` are those of the wanted one.
    What the role made for another Service is shared when both need it (the clients' `sleep`): that is no conflict.
    """
    metadata = item["metadata"]
    wanted = {name: value for name, value in labels.items() if name in (MANAGED_BY, _COMPONENT)}
    if wanted and is_ours(item, wanted):
        return ""
    owners = ", ".join(sorted(_managers(item))) or "somebody unknown"
    where = f" in namespace {metadata['namespace']}" if metadata.get("namespace") else ""
    return f"{kind.kind} {metadata['name']} exists{where} and is not this role's: it was written by {owners}."


def content(cluster: Cluster, namespace: str) -> Content:
    """Return what of somebody else is in a namespace, of all kinds that the API server knows.

    What another object owns goes with that one and is not told apart from it.
    """
    others: list[str] = []
    unseen: list[str] = []

    def look(kind: Kind) -> tuple[Kind, list[Json] | None]:
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

    for kind, items in cluster.map(look, _namespaced(cluster)):
        if items is None:
            unseen.append(f"{kind.plural}.{kind.group}" if kind.group else kind.plural)
        for item in items or ():
            metadata = item["metadata"]
            known = (kind.kind, metadata["name"]) in _EVERYWHERE
            if not known and not metadata.get("ownerReferences") and not _written_by_us(item):
                others.append(f"{kind.kind} {metadata['name']}")
    return Content(sorted(set(others)), sorted(unseen))


def _written_by_us(item: Json) -> bool:
    return any(manager.partition(":")[0] == FIELD_MANAGER for manager in _managers(item))


def _managers(item: Json) -> set[str]:
    """Return who wrote an object; not who only reports in its status."""
    return {
        str(entry.get("manager"))
        for entry in item["metadata"].get("managedFields") or []
        if entry.get("subresource") != "status"
    }


def _namespaced(cluster: Cluster) -> list[Kind]:
    """Return every kind that lives in namespaces and can be listed, from the API server's discovery."""
    groups = cluster.discovery("/apis").get("groups") or []
    versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
    kinds: dict[str, Kind] = {}
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
                kinds[f"{version}/{plural}"] = Kind(version, str(resource.get("kind")), plural)
    return list(kinds.values())
