# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ServiceEntries and WorkloadEntries, read as istiod reads them: as Services with endpoints.

Source: istio 1.31 pilot/pkg/serviceregistry/serviceentry/conversion.go.
Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import is_ip
from ansible_collections.meshops.locality.plugins.module_utils._istio.network_gateways import TLS_MODE_LABEL
from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import Reading
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_objects import (
    PROTOCOLS,
    Object,
    annotated_distribution,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Endpoint, Labels, Port, Service

RESOLUTIONS = {
    "NONE": "Passthrough",
    "STATIC": "ClientSideLB",
    "DNS": "DNS",
    "DNS_ROUND_ROBIN": "DNS_ROUND_ROBIN",
    "DYNAMIC_DNS": "DYNAMIC_DNS",
}
_RESOLUTION_NUMBERS = ("NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS")
#: How a DNS cluster connects: the annotation's value that makes it LOGICAL_DNS.
#: Source: istio 1.31 pilot/pkg/model/service.go, GetDNSConnectStrategy; cluster.go, convertResolution.
DNS_CONNECT_STRATEGY = "istio.io/connect-strategy"


@dataclass(frozen=True)
class SelectableWorkload:
    """One address outside or inside of Kubernetes that ServiceEntries (and Services) may select by its labels.

    `locality` is its field of that name, `ports` are its own numbers by port name; `dns`: its address is a name or a
    socket, for DNS ServiceEntries only.
    """

    namespace: str
    name: str
    address: str
    labels: Labels
    locality: str = ""
    weight: int = 1
    network: str = ""
    ports: t.Mapping[str, int] | None = None
    dns: bool = False
    pod: str = ""
    #: Whether it takes Istio's mutual TLS.
    mutual_tls: bool = False

    @property
    def source(self) -> str:
        """What it was read from."""
        return f"Pod {self.pod}" if self.pod else f"WorkloadEntry {self.namespace}/{self.name}"


@dataclass(frozen=True)
class ServiceEntryHosts:
    """A ServiceEntry: its Services (one for each host) without endpoints, and what their endpoints are made of."""

    services: tuple[Service, ...]
    ports: tuple[tuple[str, int, int], ...]
    endpoints: tuple[SelectableWorkload, ...]
    selector: Labels | None


def workload_entry(item: Object, reading: Reading) -> SelectableWorkload:
    """Read a WorkloadEntry; labels of its metadata win over those of its spec."""
    metadata = reading.mapping(item.get("metadata"), "metadata")
    spec = reading.mapping(item.get("spec"), "spec")
    labels = reading.labels(spec.get("labels"), "spec.labels")
    labels |= reading.labels(metadata.get("labels"), "metadata.labels")
    return _workload(
        spec,
        reading,
        "spec",
        labels,
        reading.text(metadata.get("namespace"), "metadata.namespace"),
        reading.text(metadata.get("name"), "metadata.name"),
    )


def _workload(
    spec: Object, reading: Reading, path: str, labels: Labels, namespace: str, name: str
) -> SelectableWorkload:
    address = reading.text(spec.get("address"), f"{path}.address")
    given = reading.mapping(spec.get("ports"), f"{path}.ports")
    ports = {str(key): reading.number(value, f"{path}.ports[{key}]") for key, value in given.items()}
    return SelectableWorkload(
        namespace,
        name,
        address,
        labels,
        reading.text(spec.get("locality"), f"{path}.locality"),
        reading.number(spec.get("weight"), f"{path}.weight", 0) or 1,
        reading.text(spec.get("network"), f"{path}.network"),
        ports,
        address.startswith("unix://") or (bool(address) and not is_ip(address)),
        # Source: conversion.go, getTLSModeFromWorkloadEntry.
        mutual_tls=labels[TLS_MODE_LABEL] == "istio" if TLS_MODE_LABEL in labels else bool(spec.get("serviceAccount")),
    )


def service_entry(item: Object, reading: Reading) -> ServiceEntryHosts:
    """Read a ServiceEntry."""
    metadata = reading.mapping(item.get("metadata"), "metadata")
    spec = reading.mapping(item.get("spec"), "spec")
    namespace = reading.text(metadata.get("namespace"), "metadata.namespace")
    name = reading.text(metadata.get("name"), "metadata.name")
    annotations = reading.labels(metadata.get("annotations"), "metadata.annotations")
    resolution = spec.get("resolution")
    if isinstance(resolution, int) and 0 <= resolution < len(_RESOLUTION_NUMBERS):
        resolution = _RESOLUTION_NUMBERS[resolution]
    resolution = reading.text(resolution, "spec.resolution", "NONE")
    if resolution not in RESOLUTIONS:
        reading.wrong("spec.resolution", "unknown-resolution", value=repr(resolution), known=", ".join(RESOLUTIONS))
        resolution = "NONE"
    ports = []
    for path, port in reading.mappings(spec.get("ports"), "spec.ports"):
        number = reading.number(port.get("number"), f"{path}.number")
        ports.append(
            (
                Port(
                    reading.text(port.get("name"), f"{path}.name"),
                    number,
                    PROTOCOLS.get(reading.text(port.get("protocol"), f"{path}.protocol").lower(), ""),
                ),
                reading.number(port.get("targetPort"), f"{path}.targetPort"),
            )
        )
    given = spec.get("workloadSelector")
    selector = None
    if given is not None:
        labels = reading.mapping(given, "spec.workloadSelector").get("labels")
        selector = reading.labels(labels, "spec.workloadSelector.labels")
    endpoints = [
        _workload(
            endpoint,
            reading,
            path,
            reading.labels(endpoint.get("labels"), f"{path}.labels"),
            namespace,
            f"{name}-{index}",
        )
        for index, (path, endpoint) in enumerate(reading.mappings(spec.get("endpoints"), "spec.endpoints"))
    ]
    hosts = reading.texts(spec.get("hosts"), "spec.hosts")
    template = Service(
        "",
        namespace,
        "External",
        RESOLUTIONS[resolution],
        tuple(port for port, _target in ports),
        (),
        reading.labels(metadata.get("labels"), "metadata.labels"),
        selector or {},
        reading.texts(spec.get("exportTo"), "spec.exportTo"),
        annotated_distribution(annotations),
        external=spec.get("location", "MESH_EXTERNAL") in ("MESH_EXTERNAL", 0),
        logical_dns=annotations.get(DNS_CONNECT_STRATEGY, "").upper() == "RACE_FIRST_TCP_CONNECT",
        created=reading.text(metadata.get("creationTimestamp"), "metadata.creationTimestamp"),
        source=f"ServiceEntry {namespace}/{name}",
    )
    services = tuple(dataclasses.replace(template, host=host) for host in hosts)
    return ServiceEntryHosts(
        services, tuple((port.name, port.number, target) for port, target in ports), tuple(endpoints), selector
    )


def endpoints_of(
    entry: ServiceEntryHosts, service: Service, selectable: t.Iterable[SelectableWorkload]
) -> tuple[Endpoint, ...]:
    """Return the endpoints of one host of a ServiceEntry; `selectable` are the workloads of its namespace, in order.

    A DNS ServiceEntry without endpoints and selector has its own host as the one endpoint, without a locality.
    Source: istio 1.31 pilot/pkg/serviceregistry/serviceentry/conversion.go, convertServiceEntryToInstances.
    """
    dns = service.resolution in ("DNS", "DNS_ROUND_ROBIN")
    if entry.selector is not None:
        chosen = [
            workload
            for workload in selectable
            if selected(entry.selector, workload.labels) and (dns or not workload.dns) and workload.address
        ]
    elif not entry.endpoints and dns:
        numbers = tuple((name, target or number) for name, number, target in entry.ports)
        return (Endpoint(service.host, numbers, own_host=True, source=service.source),)
    else:
        chosen = list(entry.endpoints)
    return tuple(
        endpoint_of(endpoint, entry.ports, endpoint.source if entry.selector else service.source) for endpoint in chosen
    )


def selected(selector: Labels, labels: Labels) -> bool:
    """Whether all labels of a selector are among the labels."""
    return all(labels.get(key) == value for key, value in selector.items())


def endpoint_of(workload: SelectableWorkload, ports: t.Iterable[tuple[str, int, int]], source: str) -> Endpoint:
    """Return a workload as an endpoint of a Service with these ports (name, number, target port or 0).

    Its own port of that name wins over the target port, that over the number; a socket has port 0.
    """
    unix = workload.address.startswith("unix://")
    own = workload.ports or {}
    numbers = tuple((name, 0 if unix else (own.get(name) or target or number)) for name, number, target in ports)
    return Endpoint(
        workload.address.removeprefix("unix://"),
        numbers,
        workload.pod,
        locality=workload.locality,
        labels=workload.labels,
        weight=workload.weight,
        network=workload.network,
        source=source,
        mutual_tls=workload.mutual_tls,
    )
