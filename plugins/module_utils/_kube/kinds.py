# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds this collection reads or writes. Constants, so that no discovery is needed.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from urllib.parse import quote

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput


class Kind(t.NamedTuple):
    """One resource of the API server: where it lives and how it is called."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the REST path of the collection, of one object or of its subresource.

        None means all namespaces, or all objects. An empty name does not: it raises InvalidInput, as does an object of
        a namespaced kind without a namespace, so that no request reaches further than it was meant to.
        """
        parts = ["/apis" if self.group else "/api", self.api_version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", self._segment(namespace, "namespace")]
        elif self.namespaced and name is not None:
            raise InvalidInput(f"{self.kind} {name!r} was asked for without its namespace.")
        parts.append(self.plural)
        parts += [self._segment(part, "name") for part in (name, subresource) if part is not None]
        return "/".join(parts)

    def _segment(self, text: str, what: str) -> str:
        if not text.strip() or text in (".", ".."):
            raise InvalidInput(f"The {what} of a {self.kind} is {text!r}, which names nothing.", do="Give its name.")
        return quote(text, safe="")


NODE = Kind("v1", "Node", "nodes", namespaced=False)
NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
POD = Kind("v1", "Pod", "pods")
EVENT = Kind("v1", "Event", "events")
SERVICE = Kind("v1", "Service", "services")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")
RESOURCE_QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
STATEFUL_SET = Kind("apps/v1", "StatefulSet", "statefulsets")
DAEMON_SET = Kind("apps/v1", "DaemonSet", "daemonsets")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
INGRESS = Kind("networking.k8s.io/v1", "Ingress", "ingresses")
INGRESS_CLASS = Kind("networking.k8s.io/v1", "IngressClass", "ingressclasses", namespaced=False)
REPLICA_SET = Kind("apps/v1", "ReplicaSet", "replicasets")
AUTOSCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
ENDPOINT_SLICE = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
MUTATING_WEBHOOK = Kind(
    "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", namespaced=False
)
DESTINATION_RULE = Kind("networking.istio.io/v1", "DestinationRule", "destinationrules")
VIRTUAL_SERVICE = Kind("networking.istio.io/v1", "VirtualService", "virtualservices")
SERVICE_ENTRY = Kind("networking.istio.io/v1", "ServiceEntry", "serviceentries")
WORKLOAD_ENTRY = Kind("networking.istio.io/v1", "WorkloadEntry", "workloadentries")
SIDECAR = Kind("networking.istio.io/v1", "Sidecar", "sidecars")
GATEWAY = Kind("networking.istio.io/v1", "Gateway", "gateways")
PEER_AUTHENTICATION = Kind("security.istio.io/v1", "PeerAuthentication", "peerauthentications")
HTTP_ROUTE = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
GRPC_ROUTE = Kind("gateway.networking.k8s.io/v1", "GRPCRoute", "grpcroutes")
TCP_ROUTE = Kind("gateway.networking.k8s.io/v1", "TCPRoute", "tcproutes")
TLS_ROUTE = Kind("gateway.networking.k8s.io/v1", "TLSRoute", "tlsroutes")
KUBERNETES_GATEWAY = Kind("gateway.networking.k8s.io/v1", "Gateway", "gateways")
GATEWAY_CLASS = Kind("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses", namespaced=False)
REFERENCE_GRANT = Kind("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", "referencegrants")
#: What releases of the Gateway API before v1.5 (TLSRoute) and v1.6 (TCPRoute) serve.
OLDER_VERSIONS = {
    TCP_ROUTE: TCP_ROUTE._replace(api_version="gateway.networking.k8s.io/v1alpha2"),
    TLS_ROUTE: TLS_ROUTE._replace(api_version="gateway.networking.k8s.io/v1alpha2"),
}
