# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields of Istio's objects and their types.

Source: istio.io/api 1.31 networking/v1alpha3/*.proto. What does not decide where requests go (headers, matches, CORS,
…) is of the type ANY.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

Typed = dict[str, t.Any]


class Scalar(t.NamedTuple):
    """A type of one value: string, bool, int32, uint32, uint64, double, duration, or whatever (any)."""

    name: str


class Enum(t.NamedTuple):
    """One of some words; their position is their number, which may stand in their place."""

    words: tuple[str, ...]


class Message(t.NamedTuple):
    """An object of the type with this name in MESSAGES."""

    name: str


class Repeated(t.NamedTuple):
    """A list."""

    inner: t.Any


class Map(t.NamedTuple):
    """An object whose keys are free."""

    inner: t.Any


STRING, BOOL, DURATION, ANY = Scalar("string"), Scalar("bool"), Scalar("duration"), Scalar("any")
INT32, UINT32, UINT64, DOUBLE = Scalar("int32"), Scalar("uint32"), Scalar("uint64"), Scalar("double")
_BLOCKS: Typed = {
    "loadBalancer": Message("LoadBalancerSettings"),
    "connectionPool": Message("ConnectionPoolSettings"),
    "outlierDetection": Message("OutlierDetection"),
    "tls": Message("ClientTLSSettings"),
}
_ROUTES = Repeated(Message("RouteDestination"))
_FAILOVER = Repeated(Message("Failover"))

MESSAGES: t.Mapping[str, Typed] = {
    "DestinationRule": {
        "host": STRING,
        "trafficPolicy": Message("TrafficPolicy"),
        "subsets": Repeated(Message("Subset")),
        "exportTo": Repeated(STRING),
        "workloadSelector": Message("MatchLabels"),
    },
    "MatchLabels": {"matchLabels": Map(STRING)},
    "TrafficPolicy": {
        **_BLOCKS,
        "portLevelSettings": Repeated(Message("PortTrafficPolicy")),
        "tunnel": Message("TunnelSettings"),
        "proxyProtocol": Message("ProxyProtocol"),
        "retryBudget": Message("RetryBudget"),
    },
    "PortTrafficPolicy": {"port": Message("PortSelector"), **_BLOCKS},
    "PortSelector": {"number": UINT32},
    "TunnelSettings": {"protocol": STRING, "targetHost": STRING, "targetPort": UINT32},
    "ProxyProtocol": {"version": Enum(("V1", "V2"))},
    "RetryBudget": {"percent": DOUBLE, "minRetryConcurrency": UINT32, "budgetInterval": DURATION},
    "Subset": {"name": STRING, "labels": Map(STRING), "trafficPolicy": Message("TrafficPolicy")},
    "LoadBalancerSettings": {
        "simple": Enum(("UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST")),
        "consistentHash": Message("ConsistentHashLB"),
        "localityLbSetting": Message("LocalityLoadBalancerSetting"),
        "zoneAwareLbSetting": Message("ZoneAwareLoadBalancerSetting"),
        "warmupDurationSecs": DURATION,
        "warmup": Message("WarmupConfiguration"),
        "backendUtilization": Message("BackendUtilizationLB"),
    },
    "BackendUtilizationLB": {
        "weightStabilizationPeriod": DURATION,
        "weightExpirationPeriod": DURATION,
        "weightUpdatePeriod": DURATION,
        "errorUtilizationPenaltyPercent": UINT32,
        "metricNamesForComputingUtilization": Repeated(STRING),
    },
    "ConsistentHashLB": {
        "httpHeaderName": STRING,
        "httpCookie": Message("HTTPCookie"),
        "useSourceIp": BOOL,
        "httpQueryParameterName": STRING,
        "ringHash": Message("RingHash"),
        "maglev": Message("MagLev"),
        "minimumRingSize": UINT64,
    },
    "HTTPCookie": {
        "name": STRING,
        "path": STRING,
        "ttl": DURATION,
        "attributes": Repeated(Message("CookieAttribute")),
    },
    "CookieAttribute": {"name": STRING, "value": STRING},
    "RingHash": {"minimumRingSize": UINT64},
    "MagLev": {"tableSize": UINT64},
    "WarmupConfiguration": {"duration": DURATION, "minimumPercent": DOUBLE, "aggression": DOUBLE},
    "LocalityLoadBalancerSetting": {
        "distribute": Repeated(Message("Distribute")),
        "failover": _FAILOVER,
        "failoverPriority": Repeated(STRING),
        "enabled": BOOL,
    },
    "Distribute": {"from": STRING, "to": Map(UINT32)},
    "Failover": {"from": STRING, "to": STRING},
    "ZoneAwareLoadBalancerSetting": {
        "enabled": BOOL,
        "failover": _FAILOVER,
        "failoverPriority": Repeated(STRING),
        "minClusterSize": UINT32,
    },
    "ConnectionPoolSettings": {"tcp": Message("TCPSettings"), "http": Message("HTTPSettings")},
    "TCPSettings": {
        "maxConnections": INT32,
        "connectTimeout": DURATION,
        "tcpKeepalive": Message("TcpKeepalive"),
        "maxConnectionDuration": DURATION,
        "idleTimeout": DURATION,
    },
    "TcpKeepalive": {"probes": UINT32, "time": DURATION, "interval": DURATION},
    "HTTPSettings": {
        "http1MaxPendingRequests": INT32,
        "http2MaxRequests": INT32,
        "maxRequestsPerConnection": INT32,
        "maxRetries": INT32,
        "idleTimeout": DURATION,
        "h2UpgradePolicy": Enum(("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE")),
        "useClientProtocol": BOOL,
        "maxConcurrentStreams": INT32,
        "http2KeepAlive": Message("ConnectionKeepalive"),
    },
    "ConnectionKeepalive": {"interval": DURATION, "timeout": DURATION},
    "OutlierDetection": {
        "consecutiveErrors": INT32,
        "splitExternalLocalOriginErrors": BOOL,
        "consecutiveLocalOriginFailures": UINT32,
        "consecutiveGatewayErrors": UINT32,
        "consecutive5xxErrors": UINT32,
        "interval": DURATION,
        "baseEjectionTime": DURATION,
        "maxEjectionPercent": INT32,
        "minHealthPercent": INT32,
        "outlierDetectionHttpErrorCodes": Repeated(UINT32),
        "failurePercentageThreshold": UINT32,
    },
    "ClientTLSSettings": {
        "caCertCredentialName": STRING,
        "mode": Enum(("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL")),
        "clientCertificate": STRING,
        "privateKey": STRING,
        "caCertificates": STRING,
        "credentialName": STRING,
        "subjectAltNames": Repeated(STRING),
        "sni": STRING,
        "insecureSkipVerify": BOOL,
        "caCrl": STRING,
    },
    "VirtualService": {
        "hosts": Repeated(STRING),
        "gateways": Repeated(STRING),
        "http": Repeated(Message("HTTPRoute")),
        "tls": Repeated(Message("TLSRoute")),
        "tcp": Repeated(Message("TCPRoute")),
        "exportTo": Repeated(STRING),
    },
    "HTTPRoute": {
        **dict.fromkeys(
            ("redirect", "directResponse", "delegate", "rewrite", "fault", "mirrors", "mirrorPercent"), ANY
        ),
        **dict.fromkeys(("mirrorPercentage", "corsPolicy", "headers"), ANY),
        "name": STRING,
        "match": Repeated(Message("HTTPMatchRequest")),
        "route": Repeated(Message("HTTPRouteDestination")),
        "timeout": DURATION,
        "retries": Message("HTTPRetry"),
        "mirror": Message("Destination"),
    },
    "HTTPMatchRequest": {
        **dict.fromkeys(
            ("uri", "scheme", "method", "authority", "headers", "queryParams", "withoutHeaders", "statPrefix"), ANY
        ),
        **dict.fromkeys(("name", "ignoreUriCase", "sourceLabels", "gateways"), ANY),
        "port": UINT32,
        "sourceNamespace": STRING,
    },
    "HTTPRouteDestination": {"destination": Message("Destination"), "weight": INT32, "headers": ANY},
    "RouteDestination": {"destination": Message("Destination"), "weight": INT32},
    "TLSRoute": {"match": ANY, "route": _ROUTES},
    "TCPRoute": {"match": ANY, "route": _ROUTES},
    "Destination": {"host": STRING, "subset": STRING, "port": Message("PortSelector")},
    "HTTPRetry": {
        "attempts": INT32,
        "perTryTimeout": DURATION,
        "retryOn": STRING,
        "retryRemoteLocalities": BOOL,
        "retryIgnorePreviousHosts": BOOL,
        "backoff": DURATION,
    },
    "Sidecar": {
        "workloadSelector": Message("SelectorLabels"),
        "ingress": ANY,
        "egress": Repeated(Message("IstioEgressListener")),
        "inboundConnectionPool": ANY,
        "outboundTrafficPolicy": ANY,
    },
    "SelectorLabels": {"labels": Map(STRING)},
    "IstioEgressListener": {
        "port": Message("SidecarPort"),
        "bind": STRING,
        "captureMode": Enum(("DEFAULT", "IPTABLES", "NONE")),
        "hosts": Repeated(STRING),
    },
    "SidecarPort": {"number": UINT32, "protocol": STRING, "name": STRING, "targetPort": UINT32},
    "ServiceEntry": {
        "hosts": Repeated(STRING),
        "addresses": Repeated(STRING),
        "ports": Repeated(Message("ServicePort")),
        "location": Enum(("MESH_EXTERNAL", "MESH_INTERNAL")),
        "resolution": Enum(("NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS")),
        "endpoints": Repeated(Message("WorkloadEntry")),
        "workloadSelector": Message("SelectorLabels"),
        "exportTo": Repeated(STRING),
        "subjectAltNames": Repeated(STRING),
    },
    "ServicePort": {"number": UINT32, "protocol": STRING, "name": STRING, "targetPort": UINT32},
    "WorkloadEntry": {
        "address": STRING,
        "ports": Map(UINT32),
        "labels": Map(STRING),
        "network": STRING,
        "locality": STRING,
        "weight": UINT32,
        "serviceAccount": STRING,
    },
}
#: Of these fields at most one applies: the last in the order of the table.
ONE_OF: t.Mapping[str, tuple[tuple[str, ...], ...]] = {
    "LoadBalancerSettings": (("simple", "consistentHash", "backendUtilization"),),
    "ConsistentHashLB": (
        ("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"),
        ("ringHash", "maglev"),
    ),
}

#: Fields that came with a later line than the oldest known, by message: name → line.
#: Source: istio.io/api v1.32.0 networking/v1alpha3/destination_rule.proto.
SINCE: t.Mapping[str, t.Mapping[str, str]] = {
    "LoadBalancerSettings": {"backendUtilization": "1.32"},
    "OutlierDetection": {"failurePercentageThreshold": "1.32"},
    "ClientTLSSettings": {"caCertCredentialName": "1.32"},
}

#: Fields that an older line accepts and does nothing with, by message: name → the line from which on istiod acts on it.
#: Source: istio pilot/pkg/networking/core/cluster_traffic_policy.go, applyOutlierDetectionErrorCodes, which 1.31 lacks.
EFFECT_SINCE: t.Mapping[str, t.Mapping[str, str]] = {
    "OutlierDetection": {"outlierDetectionHttpErrorCodes": "1.32"},
}
