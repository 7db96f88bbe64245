# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pods that a workload of a manifest would have, and the EndpointSlices of the Services that select them.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import Reading
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_objects import (
    ASSUMED,
    SERVICE_NAME,
    Object,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.sidecar_injection import (
    INJECT,
    NAMESPACE_LABEL,
    PAST_ENVOY,
    PROBE_ANNOTATIONS,
    PROXY_CONTAINER,
    REVISION_LABEL,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Json, Labels

TEMPLATES = "inject.istio.io/templates"
_COPIED = (INJECT, *PAST_ENVOY, *PROBE_ANNOTATIONS)
#: Source: istio 1.31 pkg/kube/inject/inject.go, IgnoredNamespaces.
NEVER_INJECTED = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")


@dataclass(frozen=True)
class Template:
    """What a workload's pods have in common. `kind` and `name` are those of the workload ('' for a bare Pod)."""

    namespace: str
    kind: str
    name: str
    labels: Labels
    annotations: Labels
    spec: Object


def revision_injected(template: Template, namespace: Labels) -> str:
    """Return the revision whose injector puts a proxy into such a pod of a namespace with these labels, '' for none.

    The label of the pod wins over its annotation; `istio-injection` of the namespace wins over `istio.io/rev`.
    Source: istio 1.31 manifests/charts/istio-control/istio-discovery/templates/mutatingwebhook.yaml and
    pkg/kube/inject/inject.go, injectRequired.
    """
    if template.spec.get("hostNetwork") is True or template.namespace in NEVER_INJECTED:
        return ""
    if template.labels.get(INJECT) == "false":
        return ""
    if INJECT not in template.labels and template.annotations.get(INJECT) == "false":
        return ""
    own, revision = namespace.get(NAMESPACE_LABEL), namespace.get(REVISION_LABEL)
    if own is not None:
        return "default" if own == "enabled" else ""
    if revision is not None:
        return revision
    named = template.labels.get(REVISION_LABEL, "")
    return named or ("default" if template.labels.get(INJECT) == "true" else "")


def pod_of(template: Template, name: str, node: str, address: str, namespace: Labels) -> Json:
    """Return a replica as a Pod that runs and is ready, with its proxy when it would get one."""
    revision = revision_injected(template, namespace)
    reading = Reading.silent()
    containers = [dict(container) for _path, container in reading.mappings(template.spec.get("containers"), "")]
    init = [dict(container) for _path, container in reading.mappings(template.spec.get("initContainers"), "")]
    metadata: Json = {"namespace": template.namespace, "name": name, "labels": dict(template.labels)}
    copied = {name: text for name, text in template.annotations.items() if name in _COPIED}
    metadata["annotations"] = {ASSUMED: "true", **copied}
    if revision:
        # As the injector does; a gateway's own container istio-proxy is filled in.
        gateway = "gateway" in template.annotations.get(TEMPLATES, "")
        proxy = next(
            (container for container in (*containers, *init) if container.get("name") == PROXY_CONTAINER), None
        )
        if proxy is None:
            containers.append(proxy := {"name": PROXY_CONTAINER})
        if not proxy.get("args"):
            proxy["args"] = ["proxy", "router" if gateway else "sidecar"]
        metadata["annotations"][REVISION_LABEL] = revision
    if template.kind:
        metadata["ownerReferences"] = [{"kind": template.kind, "name": template.name, "controller": True}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "nodeName": node,
            "hostNetwork": template.spec.get("hostNetwork") is True,
            "containers": containers,
            "initContainers": init,
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "podIP": address,
            "podIPs": [{"ip": address}],
        },
    }


class Selectable(t.NamedTuple):
    """A pod that Services may select."""

    namespace: str
    name: str
    labels: Labels
    address: str
    ready: bool
    spec: Object


def slices_of(service: Object, pods: t.Iterable[Selectable], first: int = 0) -> list[Json]:
    """Return the EndpointSlices of a Service (with a namespace and a name) for pods of its namespace.

    Their names end with numbers from `first` on. A named target port is looked up in each pod; a pod that has none is
    left out of that port.
    Source: Kubernetes pkg/controller/endpointslice, podEndpointsPerPort; pkg/api/v1/pod, FindPort.
    """
    reading = Reading.silent()
    metadata = reading.mapping(service.get("metadata"), "")
    spec = reading.mapping(service.get("spec"), "")
    selector = reading.labels(spec.get("selector"), "")
    if not selector or spec.get("type") == "ExternalName":
        return []
    always = spec.get("publishNotReadyAddresses") is True
    wanted = [port for _path, port in reading.mappings(spec.get("ports"), "")]
    by_ports: dict[tuple[tuple[str, int], ...], list[Json]] = {}
    for pod in pods:
        if not pod.address or any(pod.labels.get(key) != value for key, value in selector.items()):
            continue
        resolved = ((reading.text(port.get("name"), ""), _target(port, pod.spec)) for port in wanted)
        ports = tuple((name, number) for name, number in resolved if number is not None)
        if wanted and not ports:
            continue
        by_ports.setdefault(ports, []).append(
            {
                "addresses": [pod.address],
                "conditions": {"ready": pod.ready or always, "serving": pod.ready, "terminating": False},
                "targetRef": {"kind": "Pod", "namespace": pod.namespace, "name": pod.name},
            }
        )
    name = reading.text(metadata.get("name"), "")
    return [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "namespace": reading.text(metadata.get("namespace"), ""),
                "name": f"{name}-assumed-{number}",
                "labels": {SERVICE_NAME: name},
            },
            "addressType": "IPv6" if ":" in endpoints[0]["addresses"][0] else "IPv4",
            "ports": [{"name": port, "port": target} for port, target in ports],
            "endpoints": endpoints,
        }
        for number, (ports, endpoints) in enumerate(sorted(by_ports.items()), first)
    ]


def _target(port: t.Mapping[str, t.Any], spec: Object) -> int | None:
    """Return the number of a Service's port in a pod, None when the pod has no port of that name."""
    reading = Reading.silent()
    target = port.get("targetPort")
    if isinstance(target, int) and not isinstance(target, bool):
        return target or reading.number(port.get("port"), "")
    if not isinstance(target, str) or not target:
        return reading.number(port.get("port"), "")
    protocol = port.get("protocol") or "TCP"
    containers = [container for _path, container in reading.mappings(spec.get("containers"), "")]
    containers += [
        container
        for _path, container in reading.mappings(spec.get("initContainers"), "")
        if container.get("restartPolicy") == "Always"
    ]
    for container in containers:
        for _path, container_port in reading.mappings(container.get("ports"), ""):
            if container_port.get("name") == target and (container_port.get("protocol") or "TCP") == protocol:
                return reading.number(container_port.get("containerPort"), "")
    return None
