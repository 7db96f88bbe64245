# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of manifests on top of a saved snapshot, which holds no objects any more but what was read from them.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import (
    Json,
    Namespace,
    Node,
    Pod,
    Service,
    Snapshot,
)
from ansible_collections.meshops.locality.plugins.module_utils._simulation import replica_placement

Record = t.TypeVar("Record")


def on_top(base: Snapshot, given: t.Sequence[Json], domain: str = "cluster.local") -> Snapshot:
    """Return a saved snapshot with the objects of manifests, which replace those with the same kind and name.

    Pods of new workloads are placed on the nodes of both (_simulation/replica_placement.py), and Services of the
    snapshot that select them get them as endpoints. ServiceEntries of manifests select only
    among pods and WorkloadEntries of manifests.
    """
    there = _objects(base)
    placed = replica_placement.place(given, [*there, *given])
    built = build([*there, *given, *placed.objects], mesh=base.mesh, assumed_pods=placed.pods, domain=domain)
    new = {_key(item) for item in (*given, *placed.objects)}

    def laid(
        old: t.Iterable[Record], over: t.Iterable[Record], key: t.Callable[[Record], tuple[str, str, str]]
    ) -> tuple[Record, ...]:
        result = {key(one): one for one in old}
        result.update({key(one): one for one in over if key(one) in new or key(one) not in result})
        return tuple(result[name] for name in sorted(result))

    return dataclasses.replace(
        base,
        nodes=laid(base.nodes, built.nodes, lambda one: ("Node", "", one.name)),
        namespaces=laid(base.namespaces, built.namespaces, lambda one: ("Namespace", "", one.name)),
        pods=laid(base.pods, built.pods, lambda one: ("Pod", one.namespace, one.name)),
        workloads=laid(base.workloads, built.workloads, lambda one: (one.kind, one.namespace, one.name)),
        services=_services(base, built, new),
        destination_rules=laid(
            base.destination_rules, built.destination_rules, lambda one: ("DestinationRule", one.namespace, one.name)
        ),
        virtual_services=laid(
            base.virtual_services, built.virtual_services, lambda one: ("VirtualService", one.namespace, one.name)
        ),
        sidecars=laid(base.sidecars, built.sidecars, lambda one: ("Sidecar", one.namespace, one.name)),
        problems=(*base.problems, *placed.problems, *built.problems),
        assumptions=(*base.assumptions, *placed.assumptions),
    )


def _key(item: t.Mapping[str, t.Any]) -> tuple[str, str, str]:
    metadata = item.get("metadata")
    metadata = metadata if isinstance(metadata, t.Mapping) else {}
    return str(item.get("kind") or ""), str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def _services(base: Snapshot, built: Snapshot, new: t.Collection[tuple[str, str, str]]) -> tuple[Service, ...]:
    held = {(one.host, one.source): one for one in base.services}
    replaced = {source for _host, source in held if _source_key(source) in new}
    result = {key: one for key, one in held.items() if key[1] not in replaced}
    for one in built.services:
        key = (one.host, one.source)
        old = held.get(key)
        if old is None:
            result[key] = one
        elif key[1] in replaced:
            keeps = not one.endpoints and one.selector == old.selector
            result[key] = dataclasses.replace(one, endpoints=old.endpoints) if keeps else one
        else:
            result[key] = dataclasses.replace(old, endpoints=(*old.endpoints, *one.endpoints))
    return tuple(sorted(result.values(), key=lambda one: (one.host, one.namespace, one.registry, one.source)))


def _source_key(source: str) -> tuple[str, str, str]:
    kind, _space, rest = source.partition(" ")
    namespace, _slash, name = rest.partition("/")
    return kind, namespace, name


def _objects(base: Snapshot) -> list[Json]:
    """Return nodes, namespaces, pods and Services of a snapshot as objects, as far as placing and selecting need."""
    return [
        *map(_node, base.nodes),
        *map(_namespace, base.namespaces),
        *map(_pod, base.pods),
        *(_service(one) for one in base.services if one.registry == "Kubernetes" and one.selector),
    ]


def _node(node: Node) -> Json:
    taints = []
    for one in node.taints:
        pair, _colon, effect = one.rpartition(":")
        key, _equals, value = pair.partition("=")
        taints.append({"key": key, "value": value, "effect": effect})
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": dict(node.labels)},
        "spec": {"unschedulable": node.unschedulable, "taints": taints},
        "status": {"conditions": [{"type": "Ready", "status": str(node.ready)}]},
    }


def _namespace(namespace: Namespace) -> Json:
    metadata = {"name": namespace.name, "labels": dict(namespace.labels)}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _pod(pod: Pod) -> Json:
    metadata: Json = {"namespace": pod.namespace, "name": pod.name, "labels": dict(pod.labels)}
    if pod.workload:
        kind, _slash, name = pod.workload.partition("/")
        metadata["ownerReferences"] = [{"kind": kind, "name": name, "controller": True}]
    addresses = list(pod.addresses)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": pod.node},
        "status": {
            "podIP": addresses[0] if addresses else "",
            "podIPs": [{"ip": one} for one in addresses],
            "conditions": [{"type": "Ready", "status": str(pod.ready)}],
        },
    }


def _service(service: Service) -> Json:
    """Target ports are not in a snapshot, but its endpoints have them."""
    targets = {name: number for endpoint in service.endpoints for name, number in endpoint.ports}
    _kind, namespace, name = _source_key(service.source)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "selector": dict(service.selector),
            "clusterIP": "None" if service.resolution == "Passthrough" else "",
            "ports": [
                {
                    "name": port.name,
                    "port": port.number,
                    "targetPort": targets.get(port.name, port.number),
                    "protocol": "UDP" if port.protocol == "UDP" else "TCP",
                }
                for port in service.ports
            ],
        },
    }
