# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes objects, read as istiod reads them: nodes, namespaces, pods, Services, EndpointSlices, workloads.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import math
import re
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import MAPPING, Reading
from ansible_collections.meshops.locality.plugins.module_utils._model.label_selector import (
    read_selector,
    selector_matches,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import (
    PLACE_LABELS,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.sidecar_injection import (
    INJECT,
    PAST_ENVOY,
    PROBE_ANNOTATIONS,
    proxy_container,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import (
    DOMAIN,
    INJECTED_PROBE,
    Endpoint,
    Labels,
    Namespace,
    Node,
    Pod,
    Port,
    ReadinessProbe,
    Service,
    Workload,
)

Object = t.Mapping[str, t.Any]

TRAFFIC_DISTRIBUTION = "networking.istio.io/traffic-distribution"
EXPORT_TO = "networking.istio.io/exportTo"
SERVICE_NAME = "kubernetes.io/service-name"
#: On pods that do not exist, but were put in for the replicas of manifests.
ASSUMED = "meshops.locality/assumed"

#: What an Envoy of Istio can be. Source: istio 1.31 pilot/cmd/pilot-agent, `proxy sidecar|router|waypoint`.
PROXY_TYPES = ("sidecar", "router", "waypoint")

#: What istiod understands of trafficDistribution. PreferClose is the older name of PreferSameZone.
#: Source: istio 1.31 pilot/pkg/model/service.go, GetTrafficDistribution.
DISTRIBUTIONS = {
    "prefersamezone": "PreferSameZone",
    "preferclose": "PreferSameZone",
    "prefersamenode": "PreferSameNode",
}

#: Source: istio 1.31 pkg/config/protocol/instance.go, Parse.
PROTOCOLS = {
    "tcp": "TCP",
    "udp": "UDP",
    "grpc": "GRPC",
    "grpc-web": "GRPCWeb",
    "http": "HTTP",
    "http_proxy": "HTTP_PROXY",
    "http2": "HTTP2",
    "https": "HTTPS",
    "tls": "TLS",
    "mongo": "Mongo",
    "redis": "Redis",
    "mysql": "MySQL",
}
#: Ports that are TCP unless something says otherwise: SMTP, DNS, MySQL, MongoDB.
#: Source: istio 1.31 pkg/config/kube/conversion.go, wellKnownPorts.
WELL_KNOWN_TCP = (25, 53, 3306, 27017)
_APP_PROTOCOLS = {"kubernetes.io/h2c": "HTTP2", "kubernetes.io/ws": "HTTP", "kubernetes.io/wss": "HTTPS"}

_QUANTITY = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)")
_FACTORS = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip


def node(item: Object, reading: Reading) -> Node:
    """Read a Node."""
    metadata = reading.mapping(item.get("metadata"), "metadata")
    spec = reading.mapping(item.get("spec"), "spec")
    conditions = reading.mappings(reading.mapping(item.get("status"), "status").get("conditions"), "status.conditions")
    statuses = [condition.get("status") for _path, condition in conditions if condition.get("type") == "Ready"]
    taints = tuple(
        f"{taint.get('key', '')}={taint.get('value') or ''}:{taint.get('effect', '')}"
        for _path, taint in reading.mappings(spec.get("taints"), "spec.taints")
    )
    return Node(
        reading.text(metadata.get("name"), "metadata.name"),
        reading.labels(metadata.get("labels"), "metadata.labels"),
        not statuses or statuses[-1] == "True",
        bool(reading.flag(spec.get("unschedulable"), "spec.unschedulable")),
        taints,
    )


def namespace(item: Object, reading: Reading) -> Namespace:
    """Read a Namespace."""
    metadata = reading.mapping(item.get("metadata"), "metadata")
    annotations = reading.labels(metadata.get("annotations"), "metadata.annotations")
    return Namespace(
        reading.text(metadata.get("name"), "metadata.name"),
        reading.labels(metadata.get("labels"), "metadata.labels"),
        annotated_distribution(annotations),
    )


def annotated_distribution(annotations: t.Mapping[str, str]) -> str:
    """Return the annotation's value as istiod reads it: '' when absent or empty, `unknown` when it has no meaning."""
    value = annotations.get(TRAFFIC_DISTRIBUTION, "")
    return DISTRIBUTIONS.get(value.lower(), "unknown") if value else ""


def ended(item: Object) -> bool:
    """Whether a Pod has come to its end, so that istiod does not look at it any more."""
    status = item.get("status")
    return isinstance(status, MAPPING) and status.get("phase") in ("Succeeded", "Failed")


def pod(item: Object, reading: Reading) -> Pod:
    """Read a Pod. The sidecar is found among containers and init containers (native sidecars)."""
    metadata = reading.mapping(item.get("metadata"), "metadata")
    spec = reading.mapping(item.get("spec"), "spec")
    status = reading.mapping(item.get("status"), "status")
    labels = reading.labels(metadata.get("labels"), "metadata.labels")
    containers = [
        container
        for part in ("containers", "initContainers")
        for _path, container in reading.mappings(spec.get(part), f"spec.{part}")
        if part == "containers" or container.get("restartPolicy") == "Always"
    ]
    envoy = proxy_container(spec)
    proxy = envoy.container if envoy else None
    conditions = reading.mappings(status.get("conditions"), "status.conditions")
    ready = [condition.get("status") for _path, condition in conditions if condition.get("type") == "Ready"]
    addresses = [
        reading.text(entry.get("ip"), f"{path}.ip")
        for path, entry in reading.mappings(status.get("podIPs"), "status.podIPs")
    ]
    single = reading.text(status.get("podIP"), "status.podIP")
    return Pod(
        reading.text(metadata.get("namespace"), "metadata.namespace"),
        reading.text(metadata.get("name"), "metadata.name"),
        reading.text(spec.get("nodeName"), "spec.nodeName"),
        labels,
        tuple(address for address in addresses if address) or ((single,) if single else ()),
        _proxy_type(proxy, reading) if proxy else "",
        not ready or ready[-1] == "True",
        _revision(metadata, labels),
        workload_of(metadata, reading),
        bool(reading.flag(spec.get("hostNetwork"), "spec.hostNetwork")),
        proxy is not None and _variable(proxy, "ISTIO_META_ENABLE_SELF_DISCOVERY").lower() == "true",
        sum(_request(container, "cpu", 1000) for container in containers),
        sum(_request(container, "memory", 1) for container in containers),
        assumed=_is_assumed(metadata),
        cpu_limit=_limit(containers, "cpu", 1000),
        network=_variable(proxy, "ISTIO_META_NETWORK") if proxy is not None else "",
        past_envoy=_past_envoy(metadata) if proxy is not None else "",
        probe=_readiness_probe(metadata, proxy, containers),
    )


def _readiness_probe(metadata: Object, proxy: Object | None, containers: t.Sequence[Object]) -> ReadinessProbe | None:
    """Return the sidecar's readiness probe, without one the application's own that takes the least time.

    Source: istio 1.31 manifests/charts/istio-control/istio-discovery/files/injection-template.yaml.
    """
    annotations, labels = (Reading.silent().mapping(metadata.get(name), "") for name in ("annotations", "labels"))
    if proxy is not None:
        port, *times = (annotations.get(name) for name in PROBE_ANNOTATIONS)
        if given := _probe(proxy):
            return given
        if str(port) != "0":
            return _times(times, INJECTED_PROBE)
    elif "false" not in (annotations.get(INJECT), labels.get(INJECT)):
        return INJECTED_PROBE  # nothing says that it will have no sidecar
    return min(filter(None, map(_probe, containers)), key=math.prod, default=None)


def _probe(container: Object) -> ReadinessProbe | None:
    probe = container.get("readinessProbe")
    if not isinstance(probe, MAPPING):
        return None
    return _times([probe.get("periodSeconds"), probe.get("failureThreshold")], (10, 3))  # Kubernetes' defaults


def _times(given: t.Sequence[t.Any], usual: tuple[int, int]) -> tuple[int, int]:
    period, failures = (int(text) if text.isdecimal() and len(text) < 10 else 0 for text in map(str, given))
    return period or usual[0], failures or usual[1]


def _revision(metadata: Object, labels: t.Mapping[str, str]) -> str:
    """Return the revision that the injector wrote down as an annotation, else the one that the pod asks for."""
    annotations = metadata.get("annotations")
    annotation = annotations.get("istio.io/rev") if isinstance(annotations, MAPPING) else None
    return annotation if isinstance(annotation, str) and annotation else labels.get("istio.io/rev", "")


def _past_envoy(metadata: Object) -> str:
    """Return what keeps a pod's own connections away from its Envoy: `excludeOutboundPorts 3306`.

    The injector writes these annotations, too, with values that keep nothing away. Source: istio 1.31
    manifests/charts/istio-control/istio-discovery/files/injection-template.yaml.
    """
    annotations = metadata.get("annotations")
    given = annotations if isinstance(annotations, MAPPING) else {}
    return ", ".join(
        f"{name.rpartition('/')[2]} {str(given[name]).strip()}"
        for name, everything in PAST_ENVOY.items()
        if name in given and str(given[name]).strip() not in everything
    )


def _is_assumed(metadata: Object) -> bool:
    annotations = metadata.get("annotations")
    return isinstance(annotations, MAPPING) and annotations.get(ASSUMED) == "true"


def _proxy_type(container: Object, reading: Reading) -> str:
    args = [arg for arg in reading.items(container.get("args"), "args") if isinstance(arg, str)]
    return next((arg for arg in args if arg in PROXY_TYPES), "sidecar")


def _variable(container: Object, name: str) -> str:
    entries = container.get("env")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, MAPPING) and entry.get("name") == name:
            return str(entry.get("value") or "")
    return ""


def workload_of(metadata: Object, reading: Reading) -> str:
    """Return `Kind/name` of what a pod belongs to, the Deployment for a pod of its ReplicaSets; '' for nobody's."""
    for path, owner in reading.mappings(metadata.get("ownerReferences"), "metadata.ownerReferences"):
        if owner.get("controller"):
            kind = reading.text(owner.get("kind"), f"{path}.kind")
            name = reading.text(owner.get("name"), f"{path}.name")
            labels = metadata.get("labels")
            digest = labels.get("pod-template-hash") if isinstance(labels, MAPPING) else None
            if kind == "ReplicaSet" and digest and name.endswith(f"-{digest}"):
                return f"Deployment/{name.removesuffix(f'-{digest}')}"
            return f"{kind}/{name}"
    return ""


def _request(container: Object, resource: str, unit: int, part: str = "requests") -> int:
    resources = container.get("resources")
    quantities = resources.get(part) if isinstance(resources, MAPPING) else None
    return round(quantity(quantities.get(resource)) * unit) if isinstance(quantities, MAPPING) else 0


def _limit(containers: t.Sequence[Object], resource: str, unit: int) -> int:
    limits = [_request(container, resource, unit, "limits") for container in containers]
    return sum(limits) if all(limits) else 0


def quantity(value: t.Any) -> float:
    """Return a Kubernetes quantity (`250m`, `1.5Gi`, 2) as a number; 0 when it is none.

    Source: Kubernetes documentation, "Quantity".
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) and abs(value) < 1e300 else 0.0
    match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match or match[2] not in _FACTORS:
        return 0.0
    try:
        number = float(match[1]) * _FACTORS[match[2]]
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def port_protocol(name: str, number: int, protocol: str, app_protocol: str | None) -> str:
    """Return the protocol that istiod takes a Service's port for; '' when it looks at the first bytes.

    Source: istio 1.31 pkg/config/kube/conversion.go, ConvertProtocol.
    """
    if protocol == "UDP":
        return "UDP"
    spelled = name
    if app_protocol is not None:
        if app_protocol in _APP_PROTOCOLS:
            return _APP_PROTOCOLS[app_protocol]
        spelled = app_protocol
    if spelled[:8].lower() == "grpc-web":
        return "GRPCWeb"
    known_protocol = PROTOCOLS.get(spelled.partition("-")[0].lower(), "")
    return "TCP" if not known_protocol and number in WELL_KNOWN_TCP else known_protocol


def service(item: Object, reading: Reading, domain: str = DOMAIN) -> Service:
    """Read a Kubernetes Service, without its endpoints.

    Source: istio 1.31 pilot/pkg/serviceregistry/kube/conversion.go, ConvertService.
    """
    metadata = reading.mapping(item.get("metadata"), "metadata")
    spec = reading.mapping(item.get("spec"), "spec")
    annotations = reading.labels(metadata.get("annotations"), "metadata.annotations")
    name = reading.text(metadata.get("name"), "metadata.name")
    place = reading.text(metadata.get("namespace"), "metadata.namespace")
    resolution = "ClientSideLB"
    external = spec.get("type") == "ExternalName" and bool(spec.get("externalName"))
    if external:
        resolution = "Alias"
    if spec.get("clusterIP") == "None":
        resolution = "Passthrough"
    ports = []
    for path, port in reading.mappings(spec.get("ports"), "spec.ports"):
        number = reading.number(port.get("port"), f"{path}.port")
        called = reading.text(port.get("name"), f"{path}.name")
        app = port.get("appProtocol")
        transport = reading.text(port.get("protocol"), f"{path}.protocol")
        ports.append(
            Port(called, number, port_protocol(called, number, transport, app if isinstance(app, str) else None))
        )
    wanted = spec.get("trafficDistribution")
    known = {"PreferClose": "PreferSameZone", "PreferSameZone": "PreferSameZone", "PreferSameNode": "PreferSameNode"}
    distribution = known.get(wanted, "") if isinstance(wanted, str) else ""
    return Service(
        f"{name}.{place}.svc.{domain}",
        place,
        "Kubernetes",
        resolution,
        tuple(ports),
        (),
        reading.labels(metadata.get("labels"), "metadata.labels"),
        reading.labels(spec.get("selector"), "spec.selector"),
        tuple(entry.strip() for entry in annotations[EXPORT_TO].split(",")) if annotations.get(EXPORT_TO) else (),
        distribution or annotated_distribution(annotations),
        spec.get("internalTrafficPolicy") == "Local",
        bool(reading.flag(spec.get("publishNotReadyAddresses"), "spec.publishNotReadyAddresses")),
        external,
        False,
        reading.text(metadata.get("creationTimestamp"), "metadata.creationTimestamp"),
        f"Service {place}/{name}",
        reading.text(spec.get("externalName"), "spec.externalName") if external else "",
        tuple(_outside_addresses(item, reading, f"{name}.{place}")),
    )


def _outside_addresses(item: Object, reading: Reading, name: str) -> t.Iterator[str]:
    """Yield the addresses by which a Service is reached from other networks, as istiod reads them.

    A Service without a status was never applied: its load balancer has an address that nobody knows yet.
    Source: istio 1.31 pilot/pkg/serviceregistry/kube/conversion.go, ConvertService.
    """
    spec = reading.mapping(item.get("spec"), "spec")
    if spec.get("type") == "LoadBalancer":
        if "status" not in item:
            yield name
        status = reading.mapping(item.get("status"), "status")
        balancer = reading.mapping(status.get("loadBalancer"), "status.loadBalancer")
        for path, ingress in reading.mappings(balancer.get("ingress"), "status.loadBalancer.ingress"):
            addresses = [reading.text(ingress.get(field), f"{path}.{field}") for field in ("ip", "hostname")]
            if address := next(filter(None, addresses), ""):
                yield address
    yield from reading.texts(spec.get("externalIPs"), "spec.externalIPs")


def slice_service(item: Object) -> tuple[str, str]:
    """Return (namespace, name) of the Service that an EndpointSlice belongs to; the name is '' when it has none."""
    metadata = item.get("metadata")
    metadata = metadata if isinstance(metadata, MAPPING) else {}
    labels = metadata.get("labels")
    name = labels.get(SERVICE_NAME) if isinstance(labels, MAPPING) else ""
    return str(metadata.get("namespace") or ""), name if isinstance(name, str) else ""


def slice_endpoints(
    item: Object, reading: Reading, pods: t.Container[str], by_address: t.Mapping[tuple[str, str], str]
) -> t.Iterator[Endpoint]:
    """Yield the endpoints of an EndpointSlice: one for each address.

    `pods` are the `namespace/name` there are; `by_address` has them by (namespace, address).

    An endpoint that refers to a pod which does not exist is left out, as istiod does; one without a reference has
    neither labels nor locality, unless a pod of the namespace has its address.
    Source: istio 1.31 pilot/pkg/serviceregistry/kube/controller/endpointslice.go, updateEndpointCacheForSlice, getPod.
    """
    if item.get("addressType") == "FQDN":
        return
    metadata = reading.mapping(item.get("metadata"), "metadata")
    place = reading.text(metadata.get("namespace"), "metadata.namespace")
    source = f"EndpointSlice {place}/{reading.text(metadata.get('name'), 'metadata.name')}"
    ports = tuple(
        (reading.text(port.get("name"), f"{path}.name"), reading.number(port.get("port"), f"{path}.port"))
        for path, port in reading.mappings(item.get("ports"), "ports")
    )
    for path, entry in reading.mappings(item.get("endpoints"), "endpoints"):
        conditions = reading.mapping(entry.get("conditions"), f"{path}.conditions")
        ready, serving, terminating = (
            reading.flag(conditions.get(name), f"{path}.conditions.{name}")
            for name in ("ready", "serving", "terminating")
        )
        target = reading.mapping(entry.get("targetRef"), f"{path}.targetRef")
        for address in reading.texts(entry.get("addresses"), f"{path}.addresses"):
            behind = ""
            if target.get("kind") == "Pod":
                behind = f"{target.get('namespace') or ''}/{target.get('name') or ''}"
                if behind not in pods:
                    continue
            else:
                behind = by_address.get((place, address), "")
            yield Endpoint(address, ports, behind, ready, serving, terminating, source=source)


def workload(item: Object, reading: Reading) -> Workload:
    """Read a Deployment, StatefulSet, DaemonSet or ReplicaSet; a HorizontalPodAutoscaler is added by `scaling`."""
    metadata = reading.mapping(item.get("metadata"), "metadata")
    spec = reading.mapping(item.get("spec"), "spec")
    template = reading.mapping(spec.get("template"), "spec.template")
    inner = reading.mapping(template.get("spec"), "spec.template.spec")
    metadata_of_pods = reading.mapping(template.get("metadata"), "spec.template.metadata")
    labels = reading.labels(metadata_of_pods.get("labels"), "spec.template.metadata.labels")
    return Workload(
        reading.text(item.get("kind"), "kind"),
        reading.text(metadata.get("namespace"), "metadata.namespace"),
        reading.text(metadata.get("name"), "metadata.name"),
        reading.number(spec.get("replicas"), "spec.replicas", 1),
        labels,
        tuple(dict.fromkeys(_spread(inner, labels, reading))),
        pinned=tuple(dict.fromkeys(_pinned(inner, reading))),
    )


def _pinned(spec: Object, reading: Reading) -> t.Iterator[str]:
    """Yield `label=value,…` of each label of places that the pods' nodes must have one of these values of."""
    base = "spec.template.spec"
    for key, value in reading.mapping(spec.get("nodeSelector"), f"{base}.nodeSelector").items():
        if key in PLACE_LABELS:
            yield f"{key}={value}"
    affinity = reading.mapping(spec.get("affinity"), f"{base}.affinity")
    node = reading.mapping(affinity.get("nodeAffinity"), f"{base}.affinity.nodeAffinity")
    required = reading.mapping(node.get("requiredDuringSchedulingIgnoredDuringExecution"), "")
    terms = list(reading.mappings(required.get("nodeSelectorTerms"), ""))
    for _path, term in terms if len(terms) == 1 else ():
        for _inner, expression in reading.mappings(term.get("matchExpressions"), ""):
            if expression.get("key") in PLACE_LABELS and expression.get("operator") == "In":
                yield f"{expression['key']}={','.join(map(str, reading.items(expression.get('values'), '')))}"


def _spread(spec: Object, labels: Labels, reading: Reading) -> t.Iterator[tuple[str, int]]:
    """Yield (topology key, largest difference of replicas, 0 for a wish) of each constraint about pods with `labels`.

    One that does not match the pods themselves keeps nothing apart: the scheduler counts other pods, or none.
    Source: Kubernetes 1.35 pkg/scheduler/framework/plugins/podtopologyspread/filtering.go, Filter.
    """
    base = "spec.template.spec"
    where = f"{base}.affinity.podAntiAffinity"
    anti = reading.mapping(reading.mapping(spec.get("affinity"), f"{base}.affinity").get("podAntiAffinity"), where)
    hard, soft = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
    path = f"{base}.topologySpreadConstraints"
    terms = [*reading.mappings(spec.get("topologySpreadConstraints"), path)]
    terms += reading.mappings(anti.get(hard), f"{where}.{hard}")
    for path, term in reading.mappings(anti.get(soft), f"{where}.{soft}"):
        terms.append((path, reading.mapping(term.get("podAffinityTerm"), f"{path}.podAffinityTerm")))
    for path, term in terms:
        # The scheduler of manifests notes what is wrong with a selector.
        if selector_matches(read_selector(term.get("labelSelector"), Reading.silent(), ""), labels):
            skew = reading.number(term.get("maxSkew"), f"{path}.maxSkew")
            wish = term.get("whenUnsatisfiable") == "ScheduleAnyway"
            yield reading.text(term.get("topologyKey"), f"{path}.topologyKey"), 0 if wish else skew


class Scaling(t.NamedTuple):
    """What a HorizontalPodAutoscaler does with which workload (`Kind/name`). `cpu_target` in percent, 0 for none."""

    namespace: str
    workload: str
    minimum: int
    maximum: int
    cpu_target: int


def scaling(item: Object, reading: Reading) -> Scaling:
    """Read a HorizontalPodAutoscaler (autoscaling/v1 or v2)."""
    metadata = reading.mapping(item.get("metadata"), "metadata")
    spec = reading.mapping(item.get("spec"), "spec")
    target = reading.mapping(spec.get("scaleTargetRef"), "spec.scaleTargetRef")
    cpu = reading.number(spec.get("targetCPUUtilizationPercentage"), "spec.targetCPUUtilizationPercentage")
    for path, metric in reading.mappings(spec.get("metrics"), "spec.metrics"):
        resource = reading.mapping(metric.get("resource"), f"{path}.resource")
        if resource.get("name") == "cpu":
            wanted = reading.mapping(resource.get("target"), f"{path}.resource.target")
            cpu = reading.number(wanted.get("averageUtilization"), f"{path}.resource.target.averageUtilization")
    return Scaling(
        reading.text(metadata.get("namespace"), "metadata.namespace"),
        f"{target.get('kind') or ''}/{target.get('name') or ''}",
        reading.number(spec.get("minReplicas"), "spec.minReplicas", 1),
        reading.number(spec.get("maxReplicas"), "spec.maxReplicas"),
        cpu,
    )
