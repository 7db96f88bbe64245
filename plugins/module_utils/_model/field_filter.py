# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields of an object that the readers of _model/kubernetes_objects.py and _istio look at, and nothing else.

A list of thousands of pods is cut down to this while it is read, so it never stands in memory as a whole; and what is
not named here (environment, annotations, commands, volumes, headers that rules set) cannot get into a snapshot.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import hashlib
import sys
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_objects import (
    ASSUMED,
    EXPORT_TO,
    PROXY_TYPES,
    TRAFFIC_DISTRIBUTION,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.sidecar_injection import (
    PAST_ENVOY,
    PROBE_ANNOTATIONS,
    PROXY_CONTAINER,
)

#: Findings of locality_lint that are to be suppressed, with reasons: `ML202: reason; ML521: reason`.
LINT_IGNORE = "meshops.locality/lint-ignore"
GATEWAY_API = "gateway.networking.k8s.io"
#: Options of the TLS of a listener of the Gateway API, and what a Gateway calls its Deployment and Service.
TLS_TERMINATE_MODE = "gateway.istio.io/tls-terminate-mode"
LISTENER_MODE = "gateway.istio.io/listener-protocol"
NAME_OVERRIDE = "gateway.istio.io/name-override"
#: The annotations that istiod or the injector looks at where the readers do, and our own.
ANNOTATIONS = (
    TRAFFIC_DISTRIBUTION,
    EXPORT_TO,
    "istio.io/connect-strategy",
    "sidecar.istio.io/inject",
    "inject.istio.io/templates",
    "istio.io/rev",
    NAME_OVERRIDE,
    LINT_IGNORE,
    ASSUMED,
    *PAST_ENVOY,
    *PROBE_ANNOTATIONS,
)
#: The only variables of containers that stay, with their values.
VARIABLES = ("ISTIO_META_ENABLE_SELF_DISCOVERY", "ISTIO_META_NETWORK")


def relevant_fields(item: t.Any) -> t.Any:
    """Return an object of the Kubernetes API with only those fields that are read; other kinds and values as they are.

    Only dictionaries are objects here, as what reads JSON and YAML makes them. Fields of a wrong type stay, so that the
    readers can say what is wrong with them. Parts of the given object are shared with the result, not copied.
    """
    if not isinstance(item, dict):
        return item
    cut = _KINDS.get(item.get("kind")) if isinstance(item.get("kind"), str) else None
    return cut(item) if cut else item


Cut = t.Callable[[t.Any], t.Any]


def _whole(value: t.Any) -> t.Any:
    return value


def _fields(**fields: Cut) -> Cut:
    """Keep these fields of an object, each cut by its own function."""
    wanted = tuple(fields.items())

    def cut(value: t.Any) -> t.Any:
        if not isinstance(value, dict):
            return value
        return {name: inner(value[name]) for name, inner in wanted if name in value}

    return cut


def _only(*names: str) -> Cut:
    return _fields(**dict.fromkeys(names, _whole))


def _but(**fields: Cut | None) -> Cut:
    """Keep all fields of an object except those that are None here; the others named here are cut."""

    def cut(value: t.Any) -> t.Any:
        if not isinstance(value, dict):
            return value
        left = {}
        for name, inner in value.items():
            with_name = fields.get(name, _whole) if isinstance(name, str) else _whole
            if with_name is not None:
                left[name] = with_name(inner)
        return left

    return cut


def _each(inner: Cut) -> Cut:
    def cut(value: t.Any) -> t.Any:
        return [inner(item) for item in value] if isinstance(value, (list, tuple)) else value

    return cut


def _labels(value: t.Any) -> t.Any:
    """Share the texts: most labels of a mesh stand on very many objects."""
    if not isinstance(value, dict):
        return value
    return {_shared(name): _shared(text) for name, text in value.items()}


def _shared(value: t.Any) -> t.Any:
    return sys.intern(str(value)) if isinstance(value, str) else value


def _annotations(value: t.Any) -> t.Any:
    """Keep those that are looked at, and what is no text: the readers say so."""
    if not isinstance(value, dict):
        return value
    return {name: text for name, text in value.items() if name in ANNOTATIONS or not isinstance(text, str)}


def _variables(value: t.Any) -> t.Any:
    if not isinstance(value, (list, tuple)):
        return value
    return [
        {"name": variable["name"], "value": variable.get("value")}
        for variable in value
        if isinstance(variable, dict) and variable.get("name") in VARIABLES
    ]


def _resources(value: t.Any) -> t.Any:
    if not isinstance(value, dict):
        return {}
    return {name: value[name] for name in ("requests", "limits") if name in value}


def _object(**fields: Cut) -> Cut:
    return _fields(apiVersion=_whole, kind=_whole, **fields)


_METADATA = _fields(
    name=_whole,
    namespace=_whole,
    labels=_labels,
    annotations=_annotations,
    creationTimestamp=_whole,
)
_POD_METADATA = _fields(
    name=_whole,
    namespace=_whole,
    labels=_labels,
    annotations=_annotations,
    deletionTimestamp=_whole,
    ownerReferences=_each(_only("kind", "name", "controller")),
)
_CONTAINER = _fields(
    name=_whole,
    args=_whole,
    env=_variables,
    ports=_each(_only("name", "containerPort", "protocol")),
    readinessProbe=_only("periodSeconds", "failureThreshold"),
    resources=_resources,
    restartPolicy=_whole,
)


def _container(value: t.Any) -> t.Any:
    """Of arguments, keep what says which type the proxy is: others may be credentials."""
    left = _CONTAINER(value)
    if isinstance(left, dict) and isinstance(args := left.pop("args", None), (list, tuple)):
        types = [arg for arg in args if isinstance(arg, str) and arg in PROXY_TYPES]
        if types and left.get("name") == PROXY_CONTAINER:
            left["args"] = types
    return left


_CONTAINERS = _each(_container)
_CONDITIONS = _each(_only("type", "status"))
_PLACING = dict.fromkeys(
    ("nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "nodeName", "hostNetwork"),
    _whole,
)
_POD_SPEC = _fields(
    nodeName=_whole,
    hostNetwork=_whole,
    containers=_CONTAINERS,
    initContainers=_CONTAINERS,
)
_POD_STATUS = _fields(phase=_whole, conditions=_CONDITIONS, podIP=_whole, podIPs=_each(_only("ip")))
_RUNNING_POD = _object(metadata=_POD_METADATA, spec=_POD_SPEC, status=_POD_STATUS)
_NEW_POD = _object(
    metadata=_POD_METADATA,
    spec=_fields(containers=_CONTAINERS, initContainers=_CONTAINERS, **_PLACING),
    status=_POD_STATUS,
)


def _pod(value: t.Any) -> t.Any:
    """Of a pod that has no address yet, keep what decides where it will be."""
    status = value.get("status")
    return (_RUNNING_POD if isinstance(status, dict) and status.get("podIP") else _NEW_POD)(value)


_TEMPLATE = _fields(
    metadata=_fields(labels=_labels, annotations=_annotations),
    spec=_fields(containers=_CONTAINERS, initContainers=_CONTAINERS, **_PLACING),
)
_WORKLOAD = _object(metadata=_METADATA, spec=_fields(replicas=_whole, template=_TEMPLATE))
_CONFIG = _object(metadata=_METADATA, spec=_whole)


def _digest(value: t.Any) -> t.Any:
    """Return a digest, equal for equal texts: what headers and cookies hold is nobody's business."""
    if not isinstance(value, str) or value in ("", ".*", "*") or value.startswith("sha256:"):
        return value
    return f"sha256:{hashlib.sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _secret_texts(value: t.Any) -> t.Any:
    """Cut {name: {exact, prefix or regex: text}} down to names, kinds, and digests of the texts."""
    if not isinstance(value, dict):
        return value
    return {
        name: {kind: _digest(text) for kind, text in data.items()} if isinstance(data, dict) else None
        for name, data in value.items()
    }


#: What a route sets on requests and responses does not decide where they go, and may be a credential. So may be what
#: it asks of their headers and queries: these are replaced by digests.
_MATCH = _but(headers=_secret_texts, withoutHeaders=_secret_texts, queryParams=_secret_texts)
_ROUTE = _but(
    headers=None,
    match=_each(_MATCH),
    route=_each(_but(headers=None)),
    directResponse=_but(body=None),
    rewrite=None,
    corsPolicy=None,
)
_API_MATCH = _but(headers=_each(_but(value=_digest)), queryParams=_each(_but(value=_digest)))
_API_FILTER = _fields(
    type=_whole,
    requestMirror=_whole,
    requestRedirect=_only("statusCode"),
)
_API_RULE = _fields(
    name=_whole,
    matches=_each(_API_MATCH),
    filters=_each(_API_FILTER),
    backendRefs=_each(_but(filters=_each(_only("type")))),
    timeouts=_whole,
    retry=_whole,
)
_API_ROUTE = _object(metadata=_METADATA, spec=_fields(parentRefs=_whole, hostnames=_whole, rules=_each(_API_RULE)))
_ISTIO_GATEWAY = _object(
    metadata=_METADATA,
    spec=_fields(
        selector=_whole,
        servers=_each(_fields(name=_whole, port=_whole, hosts=_whole, bind=_whole, tls=_only("mode", "httpsRedirect"))),
    ),
)
_API_GATEWAY = _object(
    metadata=_METADATA,
    spec=_fields(
        gatewayClassName=_whole,
        addresses=_whole,
        listeners=_each(
            _fields(
                name=_whole,
                port=_whole,
                protocol=_whole,
                hostname=_whole,
                allowedRoutes=_whole,
                tls=_fields(mode=_whole, options=_only(TLS_TERMINATE_MODE, LISTENER_MODE)),
            )
        ),
    ),
)


def _gateway(value: t.Any) -> t.Any:
    """Istio and the Gateway API have a kind of this name each."""
    return (_API_GATEWAY if str(value.get("apiVersion")).startswith(f"{GATEWAY_API}/") else _ISTIO_GATEWAY)(value)


_KINDS: dict[t.Any, Cut] = {
    "Node": _object(
        metadata=_METADATA,
        spec=_only("unschedulable", "taints"),
        status=_fields(conditions=_CONDITIONS),
    ),
    "Namespace": _object(metadata=_METADATA),
    "Pod": _pod,
    "Service": _object(
        metadata=_METADATA,
        spec=_only(
            *("type", "externalName", "clusterIP", "ports", "selector", "trafficDistribution"),
            *("internalTrafficPolicy", "publishNotReadyAddresses", "externalIPs"),
        ),
        status=_fields(loadBalancer=_fields(ingress=_each(_only("ip", "hostname")))),
    ),
    "EndpointSlice": _object(
        metadata=_METADATA,
        addressType=_whole,
        ports=_each(_only("name", "port")),
        endpoints=_each(_fields(addresses=_whole, conditions=_whole, targetRef=_only("kind", "namespace", "name"))),
    ),
    "Deployment": _WORKLOAD,
    "StatefulSet": _WORKLOAD,
    "DaemonSet": _WORKLOAD,
    "HorizontalPodAutoscaler": _object(
        metadata=_METADATA,
        spec=_only("scaleTargetRef", "minReplicas", "maxReplicas", "metrics", "targetCPUUtilizationPercentage"),
    ),
    "DestinationRule": _CONFIG,
    "VirtualService": _object(metadata=_METADATA, spec=_but(http=_each(_ROUTE))),
    "HTTPRoute": _API_ROUTE,
    "GRPCRoute": _API_ROUTE,
    "TCPRoute": _API_ROUTE,
    "TLSRoute": _API_ROUTE,
    "GatewayClass": _object(metadata=_METADATA, spec=_only("controllerName")),
    "ReferenceGrant": _CONFIG,
    "ServiceEntry": _CONFIG,
    "WorkloadEntry": _CONFIG,
    "Sidecar": _CONFIG,
    "PeerAuthentication": _object(metadata=_METADATA, spec=_only("selector", "mtls", "portLevelMtls")),
    "Gateway": _gateway,
}
