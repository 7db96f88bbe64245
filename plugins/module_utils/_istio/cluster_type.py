# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kind of cluster istiod makes of a Service's port: its discovery type, load balancing policy and panic threshold.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import Policy, mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Port, Service

#: loadBalancer.simple → Envoy's policy. Source: istio 1.31 cluster_traffic_policy.go, applyLoadBalancer.
_SIMPLE = {"RANDOM": "RANDOM", "ROUND_ROBIN": "ROUND_ROBIN", "PASSTHROUGH": "CLUSTER_PROVIDED"}

#: The types of clusters whose endpoints Envoy gets by locality, so that istiod can order and weight localities.
#: Source: istio 1.31 pilot/pkg/networking/core/cluster_traffic_policy.go (applyLoadBalancer, clusters with a
#: LoadAssignment) and pilot/pkg/xds/endpoints/endpoint_builder.go (EDS).
WITH_LOCALITIES = ("EDS", "STRICT_DNS", "LOGICAL_DNS")


def dynamic(service: Service) -> bool:
    """Whether Envoy resolves the very name that a request asks for (resolution DYNAMIC_DNS, a wildcard as host)."""
    return service.resolution == "DYNAMIC_DNS" and service.host.startswith("*")


def has_cluster(service: Service, port: Port) -> bool:
    """Whether istiod makes clusters of a port. Source: istio 1.31 core/cluster.go, buildOutboundClusters."""
    return port.protocol in ("HTTP", "TLS", "GRPC", "HTTP2") if dynamic(service) else port.protocol != "UDP"


def discovery_type(service: Service, client: Client, headless: bool) -> str:
    """Return Envoy's discovery type of a Service's cluster, before loadBalancer.simple PASSTHROUGH makes it another.

    `headless`: istiod sends sidecars the endpoints of headless Services (see headless_eds).

    Source: istio 1.31 pilot/pkg/networking/core/cluster.go, convertResolution.
    """
    if service.resolution == "DYNAMIC_DNS":
        return "CLUSTER_PROVIDED"
    if service.resolution == "DNS":
        return "LOGICAL_DNS" if service.logical_dns else "STRICT_DNS"
    if service.resolution == "DNS_ROUND_ROBIN":
        return "LOGICAL_DNS"
    if service.resolution == "Passthrough" and client.type != "router":
        return "EDS" if headless and service.registry == "Kubernetes" else "ORIGINAL_DST"
    return "EDS"


def panic_threshold(outlier: t.Mapping[str, t.Any] | None, forced: bool, sends_unready: bool) -> float | None:
    """Return healthy_panic_threshold in percent, None when istiod leaves it to Envoy (50).

    Source: istio 1.31 cluster_traffic_policy.go, applyOutlierDetection and applyLoadBalancer.
    """
    if outlier is not None:
        return 0.0 if forced else float(number(outlier.get("minHealthPercent")))
    return 0.0 if sends_unready else None


def lb_policy(policy: Policy, kind: str) -> str:
    """Return Envoy's load balancing policy. Source: istio 1.31 cluster_traffic_policy.go, applyLoadBalancer."""
    if kind in ("ORIGINAL_DST", "CLUSTER_PROVIDED"):
        return "CLUSTER_PROVIDED"
    hashed = policy.consistent_hash
    if hashed is not None:
        return "MAGLEV" if mapping(hashed.get("maglev")) is not None else "RING_HASH"
    return _SIMPLE.get(policy.simple, "LEAST_REQUEST")
