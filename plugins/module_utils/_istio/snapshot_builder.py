# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes and Istio objects, from an API server or from files, made into one Snapshot.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t
from collections import defaultdict

from ansible_collections.meshops.locality.plugins.module_utils._istio import service_entries
from ansible_collections.meshops.locality.plugins.module_utils._model import kubernetes_objects
from ansible_collections.meshops.locality.plugins.module_utils._model.assumptions import Assumption
from ansible_collections.meshops.locality.plugins.module_utils._model.field_filter import (
    GATEWAY_API,
    LINT_IGNORE,
    NAME_OVERRIDE,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import MAPPING, Reading, name_of
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_objects import Object
from ansible_collections.meshops.locality.plugins.module_utils._model.problems import Problem, problem
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import (
    CLUSTER,
    DOMAIN,
    Config,
    Endpoint,
    Mesh,
    Pod,
    Service,
    Snapshot,
    Unselected,
    Workload,
)

Read = t.TypeVar("Read")

#: (group, kind) of what is read, in whatever version; others are passed over.
KINDS = {
    ("", "Node"),
    ("", "Namespace"),
    ("", "Pod"),
    ("", "Service"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("networking.istio.io", "DestinationRule"),
    ("networking.istio.io", "VirtualService"),
    ("networking.istio.io", "ServiceEntry"),
    ("networking.istio.io", "WorkloadEntry"),
    ("networking.istio.io", "Sidecar"),
    ("networking.istio.io", "Gateway"),
    ("security.istio.io", "PeerAuthentication"),
    ("gateway.networking.k8s.io", "HTTPRoute"),
    ("gateway.networking.k8s.io", "GRPCRoute"),
    ("gateway.networking.k8s.io", "TCPRoute"),
    ("gateway.networking.k8s.io", "TLSRoute"),
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
    ("gateway.networking.k8s.io", "ReferenceGrant"),
}


#: istiod's own name for the Gateway of the Gateway API, beside Istio's Gateway.
KUBERNETES_GATEWAY = "KubernetesGateway"


#: How versions of all these kinds are written.
VERSION = re.compile(r"v\d+((alpha|beta)\d+)?")


def kind_of(item: t.Any) -> str:
    """Return the kind of an object when it is one of KINDS, else ''; KUBERNETES_GATEWAY for that of the Gateway API."""
    if not isinstance(item, MAPPING):
        return ""
    version, kind = item.get("apiVersion"), item.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str):
        return ""
    group, _slash, number = version.rpartition("/")
    if not VERSION.fullmatch(number):
        return ""
    if (group, kind) == (GATEWAY_API, "Gateway"):
        return KUBERNETES_GATEWAY
    return kind if (group, kind) in KINDS else ""


class _Objects:
    """Objects by kind; of two with the same kind, namespace and name the later one is taken."""

    def __init__(self, objects: t.Iterable[t.Any], problems: list[Problem]) -> None:
        self._problems = problems
        self._by_kind: dict[str, dict[tuple[str, str], tuple[Object, str]]] = defaultdict(dict)
        for position, item in enumerate(objects):
            kind = kind_of(item)
            if not kind:
                continue
            where = name_of(item, position)
            metadata = item.get("metadata")
            name = metadata.get("name") if isinstance(metadata, MAPPING) else None
            if not isinstance(name, str) or not name:
                problems.append(problem("missing-name", where, "metadata.name"))
                continue
            namespace = metadata.get("namespace")
            key = (namespace if isinstance(namespace, str) else "", name)
            self._by_kind[kind].pop(key, None)
            self._by_kind[kind][key] = (item, where)

    def all(self) -> list[Object]:
        """Return all objects, sorted by kind, namespace and name."""
        return [self._by_kind[kind][key][0] for kind in sorted(self._by_kind) for key in sorted(self._by_kind[kind])]

    def read(self, kind: str, reader: t.Callable[[Object, Reading], Read]) -> list[Read]:
        """Read all objects of a kind."""
        return [reader(item, Reading(where, self._problems)) for item, where in self._by_kind[kind].values()]

    def raw(self, kind: str) -> t.Iterator[tuple[Object, Reading]]:
        """Yield all objects of a kind, each with what reads it."""
        for item, where in self._by_kind[kind].values():
            yield item, Reading(where, self._problems)


def unique(objects: t.Iterable[t.Any]) -> list[Object]:
    """Return those objects that `build` reads: of KINDS, with a name, of two with one name the later; sorted."""
    return _Objects(objects, []).all()


def build(
    objects: t.Iterable[t.Any],
    *,
    mesh: Mesh | None = None,
    cluster: str = CLUSTER,
    taken: str = "",
    sources: t.Sequence[str] = (),
    assumptions: t.Sequence[Assumption] = (),
    domain: str = DOMAIN,
) -> Snapshot:
    """Return the Snapshot of these objects (parsed JSON or YAML).

    Whatever cannot be read becomes one of its `problems` and is left out.
    """
    problems: list[Problem] = []
    reader = _Objects(objects, problems)
    mesh = mesh or Mesh()
    pods = {
        pod.key: pod
        for pod in (
            kubernetes_objects.pod(item, reading)
            for item, reading in reader.raw("Pod")
            if not kubernetes_objects.ended(item)
        )
    }
    selectable = _selectable(reader, pods)
    services = _kubernetes_services(reader, pods, selectable, domain) + _entries(reader, selectable)
    return Snapshot(
        cluster=cluster,
        domain=domain,
        taken=taken,
        sources=tuple(sources),
        mesh=mesh,
        nodes=tuple(sorted(reader.read("Node", kubernetes_objects.node), key=lambda node: node.name)),
        namespaces=tuple(
            sorted(reader.read("Namespace", kubernetes_objects.namespace), key=lambda namespace: namespace.name)
        ),
        pods=tuple(sorted(pods.values(), key=lambda pod: pod.key)),
        workloads=_workloads(reader),
        services=tuple(
            sorted(services, key=lambda service: (service.host, service.namespace, service.registry, service.source))
        ),
        destination_rules=_configs(reader, "DestinationRule", domain),
        virtual_services=_configs(reader, "VirtualService", domain),
        http_routes=_configs(reader, "HTTPRoute", domain),
        grpc_routes=_configs(reader, "GRPCRoute", domain),
        tcp_routes=_configs(reader, "TCPRoute", domain),
        tls_routes=_configs(reader, "TLSRoute", domain),
        sidecars=_configs(reader, "Sidecar", domain),
        service_entries=_configs(reader, "ServiceEntry", domain),
        workload_entries=_configs(reader, "WorkloadEntry", domain),
        gateways=_configs(reader, "Gateway", domain),
        api_gateways=_configs(reader, KUBERNETES_GATEWAY, domain),
        gateway_classes=_configs(reader, "GatewayClass", domain),
        reference_grants=_configs(reader, "ReferenceGrant", domain),
        peer_authentications=_configs(reader, "PeerAuthentication", domain),
        problems=tuple(dict.fromkeys(problems)),
        assumptions=tuple(assumptions),
        unselected=_unselected(services, selectable),
    )


def _unselected(
    services: t.Iterable[Service], selectable: t.Mapping[str, list[service_entries.SelectableWorkload]]
) -> tuple[Unselected, ...]:
    """Return the WorkloadEntries that are an endpoint of nothing."""
    used = {endpoint.source for service in services for endpoint in service.endpoints}
    return tuple(
        Unselected(workload.namespace, workload.name, workload.labels, workload.locality, workload.address)
        for listed in selectable.values()
        for workload in listed
        if not workload.pod and workload.source not in used
    )


def _configs(reader: _Objects, kind: str, domain: str) -> tuple[Config, ...]:
    configs = []
    for item, reading in reader.raw(kind):
        metadata = reading.mapping(item.get("metadata"), "metadata")
        configs.append(
            Config(
                reading.text(metadata.get("namespace"), "metadata.namespace", "default"),
                reading.text(metadata.get("name"), "metadata.name"),
                dict(reading.mapping(item.get("spec"), "spec")),
                reading.text(metadata.get("creationTimestamp"), "metadata.creationTimestamp"),
                reading.labels(metadata.get("labels"), "metadata.labels"),
                _annotations(metadata.get("annotations")),
                domain,
            )
        )
    return tuple(sorted(configs, key=str))


def _annotations(given: t.Any) -> dict[str, str]:
    """Return what somebody looks at later (_lint/suppressions.py, gateway_api_gateways.py)."""
    written = given if isinstance(given, MAPPING) else {}
    return {name: value for name in (LINT_IGNORE, NAME_OVERRIDE) if isinstance(value := written.get(name), str)}


def _workloads(reader: _Objects) -> tuple[Workload, ...]:
    workloads = [
        workload
        for kind in ("Deployment", "StatefulSet", "DaemonSet")
        for workload in reader.read(kind, kubernetes_objects.workload)
    ]
    by_workload = {
        (scaling.namespace, scaling.workload): scaling
        for scaling in reader.read("HorizontalPodAutoscaler", kubernetes_objects.scaling)
    }
    scaled = (
        dataclasses.replace(
            workload, minimum=autoscaler.minimum, maximum=autoscaler.maximum, cpu_target=autoscaler.cpu_target
        )
        if (autoscaler := by_workload.get((workload.namespace, workload.key)))
        else workload
        for workload in workloads
    )
    return tuple(sorted(scaled, key=lambda entry: (entry.namespace, entry.key)))


def _selectable(reader: _Objects, pods: t.Mapping[str, Pod]) -> dict[str, list[service_entries.SelectableWorkload]]:
    """Return what selectors of ServiceEntries choose from, by namespace: ready pods first, then WorkloadEntries."""
    chosen: dict[str, list[service_entries.SelectableWorkload]] = defaultdict(list)
    for item, reading in reader.raw("Pod") if _selects(reader) else ():
        metadata = reading.mapping(item.get("metadata"), "metadata")
        pod = pods.get(f"{metadata.get('namespace') or ''}/{metadata.get('name') or ''}")
        if pod and pod.ready and pod.addresses and not metadata.get("deletionTimestamp"):
            ports = dict(reversed(list(_container_ports(item, reading))))
            workload = service_entries.SelectableWorkload(
                pod.namespace, pod.name, pod.addresses[0], pod.labels, ports=ports, pod=pod.key
            )
            chosen[pod.namespace].append(workload)
    for workloads in chosen.values():
        workloads.sort(key=lambda candidate: candidate.name)
    for entry in sorted(
        reader.read("WorkloadEntry", service_entries.workload_entry),
        key=lambda candidate: (candidate.namespace, candidate.name),
    ):
        chosen[entry.namespace].append(entry)
    return chosen


def _selects(reader: _Objects) -> bool:
    """Whether any ServiceEntry chooses its endpoints by labels."""
    specs = (item.get("spec") for item, _reading in reader.raw("ServiceEntry"))
    return any(isinstance(spec, MAPPING) and spec.get("workloadSelector") is not None for spec in specs)


def _container_ports(item: Object, reading: Reading) -> t.Iterator[tuple[str, int]]:
    spec = reading.mapping(item.get("spec"), "spec")
    for _path, container in reading.mappings(spec.get("containers"), "spec.containers"):
        for path, port in reading.mappings(container.get("ports"), "ports"):
            name = port.get("name")
            if isinstance(name, str) and name and port.get("protocol", "TCP") == "TCP":
                yield name, reading.number(port.get("containerPort"), f"{path}.containerPort")


def _kubernetes_services(
    reader: _Objects,
    pods: t.Mapping[str, Pod],
    selectable: t.Mapping[str, list[service_entries.SelectableWorkload]],
    domain: str,
) -> list[Service]:
    # Source: istio 1.31 pilot/pkg/serviceregistry/kube/controller/pod.go, onEvent: what ends has no address any more.
    ending = {
        f"{metadata.get('namespace') or ''}/{metadata.get('name') or ''}"
        for item, _reading in reader.raw("Pod")
        if isinstance(metadata := item.get("metadata"), MAPPING) and metadata.get("deletionTimestamp")
    }
    by_address = {
        (pod.namespace, pod.addresses[0]): pod.key
        for pod in pods.values()
        if pod.addresses and pod.ready and pod.key not in ending
    }
    endpoints: dict[tuple[str, str], list[Endpoint]] = defaultdict(list)
    for item, reading in reader.raw("EndpointSlice"):
        key = kubernetes_objects.slice_service(item)
        if key[1]:
            endpoints[key] += kubernetes_objects.slice_endpoints(item, reading, pods, by_address)
    services = []
    for item, reading in reader.raw("Service"):
        service = kubernetes_objects.service(item, reading, domain)
        name = service.source.rpartition("/")[2]
        service_endpoints = _once(endpoints.get((service.namespace, name), []))
        service_endpoints += _selected_entries(item, reading, service, selectable.get(service.namespace, []))
        services.append(dataclasses.replace(service, endpoints=tuple(service_endpoints)))
    return services


def _once(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Leave out what stands in two slices: the same address and port name.

    Source: istio 1.31 pilot/pkg/serviceregistry/kube/controller/endpointslice.go, endpointSliceCache.get.
    """
    seen: set[tuple[str, str]] = set()
    distinct = []
    for endpoint in endpoints:
        ports = tuple(port for port in endpoint.ports if (endpoint.address, port[0]) not in seen)
        seen.update((endpoint.address, name) for name, _number in ports)
        if ports == endpoint.ports:
            distinct.append(endpoint)
        elif ports:
            distinct.append(dataclasses.replace(endpoint, ports=ports))
    return distinct


def _selected_entries(
    item: Object, reading: Reading, service: Service, selectable: list[service_entries.SelectableWorkload]
) -> list[Endpoint]:
    """Return the WorkloadEntries that a Kubernetes Service selects.

    Source: istio 1.31 pilot/pkg/serviceregistry/kube/controller/controller.go, serviceInstancesFromWorkloadInstances.
    """
    if service.resolution != "ClientSideLB" or not service.selector:
        return []
    spec = reading.mapping(item.get("spec"), "spec")
    targets = {
        reading.number(port.get("port"), f"{path}.port"): port.get("targetPort")
        for path, port in reading.mappings(spec.get("ports"), "spec.ports")
    }
    endpoints = []
    for workload in selectable:
        if (
            workload.pod
            or workload.dns
            or not workload.labels
            or not service_entries.selected(service.selector, workload.labels)
        ):
            continue
        ports = []
        for port in service.ports:
            target = targets.get(port.number)
            own = workload.ports or {}
            if isinstance(target, int) and target > 0:
                ports.append((port.name, own.get(port.name) or target))
            elif not isinstance(target, str) or not target:
                ports.append((port.name, port.number))
            elif own.get(target):
                ports.append((port.name, own[target]))
        if ports:
            plain = service_entries.endpoint_of(workload, (), workload.source)
            endpoints.append(dataclasses.replace(plain, ports=tuple(ports)))
    return endpoints


def _entries(reader: _Objects, selectable: t.Mapping[str, list[service_entries.SelectableWorkload]]) -> list[Service]:
    services = []
    for item, reading in reader.raw("ServiceEntry"):
        entry = service_entries.service_entry(item, reading)
        for service in entry.services:
            choice = selectable.get(service.namespace, [])
            endpoints = service_entries.endpoints_of(entry, service, choice)
            services.append(dataclasses.replace(service, endpoints=endpoints))
    return services
