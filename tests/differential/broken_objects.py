# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of Istio with something wrong in them: a table of kinds of mistakes, and random garbage.

A mistake is (kind of the object, path, values): one of the values stands at that path, which is made if it is absent.
"""

from __future__ import annotations

import copy
import itertools
import re
import typing as t
from random import Random

Json = dict[str, t.Any]
Values = tuple[t.Any, ...]

RULE, ROUTES, ENTRY, WORKLOAD, SIDECAR = "DestinationRule", "VirtualService", "ServiceEntry", "WorkloadEntry", "Sidecar"
REGION, ZONE, SUBZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"
POLICY, PORT, SUBSET = "trafficPolicy", "trafficPolicy.portLevelSettings.0", "subsets.0.trafficPolicy"
LB = f"{POLICY}.loadBalancer"
LOCALITY = f"{LB}.localityLbSetting"
ZONE_AWARE = f"{LB}.zoneAwareLbSetting"
OUTLIER = f"{POLICY}.outlierDetection"
POOL = f"{POLICY}.connectionPool"
TLS = f"{POLICY}.tls"
HASH = f"{LB}.consistentHash"

GOOD: t.Mapping[str, Json] = {
    RULE: {
        "host": "web.a.svc.cluster.local",
        "trafficPolicy": {
            "outlierDetection": {"consecutive5xxErrors": 5, "interval": "10s", "maxEjectionPercent": 50},
            "portLevelSettings": [{"port": {"number": 80}, "outlierDetection": {}}],
        },
        "subsets": [{"name": "v1", "labels": {"version": "v1"}}, {"name": "v2", "labels": {"version": "v2"}}],
    },
    ROUTES: {
        "hosts": ["web.a.svc.cluster.local"],
        "http": [
            {
                "retries": {"attempts": 2},
                "route": [{"destination": {"host": "web", "port": {"number": 80}}, "weight": 100}],
            }
        ],
    },
    ENTRY: {
        "hosts": ["api.example.com"],
        "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}],
        "resolution": "STATIC",
        "endpoints": [{"address": "10.0.0.1", "locality": "r1/z1"}],
    },
    WORKLOAD: {"address": "10.0.0.1", "labels": {"app": "x"}, "locality": "r1/z1"},
    SIDECAR: {"egress": [{"hosts": ["./*", "istio-system/*"]}]},
}

NO_OBJECT: Values = ("text", 7, True, ["x"])
NO_LIST: Values = ("text", 7, {"a": 1}, False)
NO_TEXT: Values = (7, True, ["x"], {"a": 1}, 1.5)
NO_NUMBER: Values = ("ten", "", "1e2", 1.5, [1], {"a": 1}, True, "0x1", " 5", "5 ", "null", "+5", "-0")
NO_COUNT: Values = (*NO_NUMBER, -1, "-1", 2**32, str(2**32))
NO_INT32: Values = (*NO_NUMBER, 2**31, -(2**31) - 1)
NO_FLAG: Values = ("true", 1, "yes", [], {})
NO_DURATION: Values = (
    "1",
    "1d",
    "s",
    "",
    "1s x",
    5,
    1.5,
    True,
    {"seconds": 1},
    "1.s",
    ".5s",
    "1,5s",
    "9999999h",
    "--1s",
    "1 s",
)
ODD_DURATION: Values = (
    "0s",
    "0",
    "-1s",
    "1us",
    "0.5ms",
    "1.5ms",
    "1ms",
    "1.0005s",
    "1h1m1s",
    "+2s",
    "1µs",
    "999999ns",
    "1.1s",
)
NO_HOST: Values = (
    "",
    "a..b",
    "-a",
    "a-",
    "a_b",
    "a b",
    "*a",
    "a*",
    "*.*",
    "a.*.b",
    "x" * 64,
    f"{'a.' * 130}b",
    "1.2.3.4",
    "*-a.b",
)
HOSTS: Values = (*NO_HOST, "*", "*.local", "A.B", "a.", "a.1", "ü.de", "*.", ".a", "1", "::1", "a.b.")
LOCALITIES: Values = (
    "",
    "a",
    "a/b",
    "a/b/c",
    "a/*",
    "a/b/*",
    "*",
    "a//c",
    "a/",
    "/a",
    "us-*",
    "a/*/c",
    "*/*",
    "**",
    "a/b/c/d",
    "*a",
)
KEYS: Values = (
    "",
    "x",
    "a=b",
    "a=b=c",
    REGION,
    ZONE,
    SUBZONE,
    f"{REGION}=x",
    "topology.istio.io/network",
    "kubernetes.io/hostname",
)
EXPORTS: Values = (
    ["*"], ["."], ["a"], ["*", "a"], [".", "a"], ["a", "a"], ["b", "b"], ["~"], ["*", "~"], [""], ["A_b"], [".", "."],
    ["*", "*"], ["b"], ["a.b"], ["~", "b"], [], [".", "b"], ["x" * 64],
)  # fmt: skip
BAD_LABELS: Values = (
    {"": "x"}, {"a": "-"}, {"-a": "x"}, {"a/b": "x"}, {"a/b/c": "x"}, {"x" * 64: "y"}, {f"{'a' * 254}/b": "x"},
    {"a": "x y"}, {"a b": "x"}, {"a": 1}, {"a.b/c_d": "X.1"}, {"/a": "x"}, {"a": ""}, {"a": "*"}, {"*": "a"},
)  # fmt: skip
FAILOVERS: Values = (
    [{"from": "a", "to": "a"}], [{"from": "a/b", "to": "c"}], [{"from": "a", "to": "c/d"}], [{"from": "*", "to": "c"}],
    [{"from": "a", "to": "c*"}], [{"from": "a"}], [{"to": "a"}], [{}], [{"from": "", "to": ""}],
    [{"from": "a", "to": "b"}], [{"from": "a", "to": "b"}, {"from": "a", "to": "c"}], [{"from": "*/", "to": "*/"}],
    [None], ["a"], [], [{"from": "a", "to": "b", "weight": 1}], [{"from": 1, "to": "b"}],
)  # fmt: skip
DISTRIBUTIONS: Values = (
    [{"from": "a/*", "to": {"a/z1/*": 80, "a/z2/*": 20}}], [{"from": "a", "to": {"a": 100}}],
    [{"from": "a", "to": {"a": 60, "b": 30}}], [{"from": "a", "to": {"a": 0, "b": 100}}], [{"from": "a", "to": {}}],
    [{"from": "a"}], [{"to": {"a": 100}}], [{"from": "a", "to": {"a": 101}}], [{"from": "a", "to": {"a": -1}}],
    [{"from": "a", "to": {"a": "100"}}], [{"from": "a", "to": {"a": "all"}}], [{"from": "a", "to": {"a": 99.5}}],
    [{"from": "a", "to": {"a": 50, "a/b": 50}}], [{"from": "a", "to": {"a/*": 50, "a/b": 50}}],
    [{"from": "a", "to": {"a/b/*": 50, "a/b/c": 50}}], [{"from": "a", "to": {"*": 50, "a": 50}}],
    [{"from": "a", "to": {"us-*": 50, "us-east": 50}}], [{"from": "a", "to": {"a": 50, "a/": 50}}],
    [{"from": "a", "to": {"a": 100}}, {"from": "a", "to": {"a": 100}}],
    [{"from": "*", "to": {"a": 100}}, {"from": "b", "to": {"a": 100}}],
    [{"from": "b", "to": {"a": 100}}, {"from": "*", "to": {"a": 100}}],
    [{"from": "a/b", "to": {"a": 100}}, {"from": "a/*", "to": {"a": 100}}],
    [{"from": "a/*", "to": {"a": 100}}, {"from": "a/b", "to": {"a": 100}}],
    [{"from": "a/b/c", "to": {"a": 100}}, {"from": "a/b/c", "to": {"a": 100}}],
    [{"from": "a/b/c", "to": {"a": 100}}, {"from": "a/b", "to": {"a": 100}}],
    [{"from": "a/b/*", "to": {"a": 100}}, {"from": "a/b/c", "to": {"a": 100}}],
    [{"from": "*", "to": {"a": 100}}, {"from": "a//", "to": {"a": 100}}],
    [{"from": "a", "to": {"a": 100}}, {"from": "a//", "to": {"a": 100}}], [None], ["a"], [{}], [],
)  # fmt: skip

MISTAKES: tuple[tuple[str, str, tuple[t.Any, ...]], ...] = (
    (RULE, "host", HOSTS),
    (RULE, "host", NO_TEXT),
    (RULE, "hots", ("web",)),
    (RULE, "exportTo", EXPORTS),
    (RULE, "exportTo", NO_LIST),
    (RULE, "exportTo.0", NO_TEXT),
    (RULE, "workloadSelector", ({}, {"matchLabels": {}}, {"labels": {"a": "b"}}, *NO_OBJECT)),
    (RULE, "workloadSelector.matchLabels", (*BAD_LABELS, {"a*": "b"}, {"a": "b*"})),
    (RULE, POLICY, ({}, None, *NO_OBJECT)),
    (RULE, f"{POLICY}.outlierdetection", ({},)),
    (RULE, f"{POLICY}.localityLbSetting", ({},)),
    (RULE, f"{POLICY}.tunnel", ({}, {"targetHost": "a", "targetPort": 1}, {"protocol": "GET"}, *NO_OBJECT)),
    (RULE, f"{POLICY}.tunnel.targetHost", HOSTS),
    (RULE, f"{POLICY}.tunnel.targetPort", (0, 65536, 80, *NO_COUNT)),
    (RULE, f"{POLICY}.proxyProtocol.version", ("V1", "V2", "V3", 1, 2, -1, True, 2**40, 1.5, [])),
    (RULE, f"{POLICY}.retryBudget.percent", (20, "20", 1.5, "1.5", "NaN", *NO_NUMBER)),
    (RULE, f"{POLICY}.retryBudget.budgetInterval", (*NO_DURATION, *ODD_DURATION)),
    (RULE, OUTLIER, ({}, None, *NO_OBJECT)),
    (RULE, f"{OUTLIER}.maxEjectionPercent", (101, -1, 0, 100, *NO_INT32)),
    (RULE, f"{OUTLIER}.minHealthPercent", (101, -1, 0, 100, *NO_INT32)),
    (RULE, f"{OUTLIER}.consecutive5xxErrors", (0, 5, *NO_COUNT)),
    (RULE, f"{OUTLIER}.consecutiveGatewayErrors", (0, 5, *NO_COUNT)),
    (RULE, f"{OUTLIER}.consecutiveErrors", (0, 5, -1, *NO_INT32)),
    (RULE, f"{OUTLIER}.consecutiveLocalOriginFailures", (0, 5, *NO_COUNT)),
    (RULE, f"{OUTLIER}.splitExternalLocalOriginErrors", (True, False, *NO_FLAG)),
    (RULE, f"{OUTLIER}.interval", NO_DURATION),
    (RULE, f"{OUTLIER}.interval", ODD_DURATION),
    (RULE, f"{OUTLIER}.baseEjectionTime", NO_DURATION),
    (RULE, f"{OUTLIER}.baseEjectionTime", ODD_DURATION),
    (RULE, f"{OUTLIER}.outlierDetectionHttpErrorCodes", ([500], [-1], ["500"], 500)),
    (RULE, f"{OUTLIER}.always_eject_one_host", (True,)),
    (RULE, POOL, ({}, None, *NO_OBJECT)),
    (RULE, f"{POOL}.http", ({}, *NO_OBJECT)),
    (RULE, f"{POOL}.http.maxRequestsPerConnection", (-1, 0, 1, *NO_INT32)),
    (RULE, f"{POOL}.http.http1MaxPendingRequests", (-1, 0, *NO_INT32)),
    (RULE, f"{POOL}.http.http2MaxRequests", (-1, 0, *NO_INT32)),
    (RULE, f"{POOL}.http.maxRetries", (-1, 0, *NO_INT32)),
    (RULE, f"{POOL}.http.maxConcurrentStreams", (-1, 0)),
    (RULE, f"{POOL}.http.idleTimeout", (*NO_DURATION, *ODD_DURATION)),
    (RULE, f"{POOL}.http", ({"h2UpgradePolicy": "UPGRADE", "useClientProtocol": True}, {"h2UpgradePolicy": "NEVER"})),
    (RULE, f"{POOL}.http.http2KeepAlive", ({}, {"interval": "1s"}, {"interval": "0s", "timeout": "1us"}, *NO_OBJECT)),
    (RULE, f"{POOL}.tcp", ({}, *NO_OBJECT)),
    (RULE, f"{POOL}.tcp.maxConnections", (-1, 0, *NO_INT32)),
    (RULE, f"{POOL}.tcp.connectTimeout", (*NO_DURATION, *ODD_DURATION)),
    (RULE, f"{POOL}.tcp.idleTimeout", (*NO_DURATION, *ODD_DURATION)),
    (RULE, f"{POOL}.tcp.maxConnectionDuration", ODD_DURATION),
    (RULE, f"{POOL}.tcp.tcpKeepalive", ({"time": "0s"}, {"interval": "1us"}, {"probes": -1}, {"time": "1s"})),
    (RULE, LB, ({}, None, *NO_OBJECT)),
    (RULE, f"{LB}.simple", ("RANDOM", "FAIR", "LEAST_CONN", "PASSTHROUGH", 3, 9, -1, "", True, [])),
    (RULE, LB, ({"simple": "RANDOM", "consistentHash": {"maglev": {}}}, {"simple": "RANDOM", "consistentHash": {}})),
    (RULE, f"{HASH}.httpCookie", ({}, {"name": "x"}, {"name": "x", "ttl": "0s"}, {"name": "x", "ttl": "1d"})),
    (RULE, f"{HASH}.httpCookie", ({"name": "x", "attributes": [{"name": "a"}, {"name": "a"}]},)),
    (RULE, f"{HASH}.httpCookie", ({"name": "x", "attributes": [{}, {"name": ""}]}, {"attributes": [None]})),
    (RULE, HASH, ({"httpCookie": {}, "useSourceIp": True}, {"useSourceIp": "yes"}, {"httpHeaderName": 1})),
    (RULE, f"{HASH}.minimumRingSize", (1024, 0, -1, "5", "x")),
    (RULE, HASH, ({"minimumRingSize": 1, "ringHash": {}}, {"minimumRingSize": 1, "maglev": {"tableSize": 7}})),
    (RULE, f"{HASH}.maglev.tableSize", (0, 1, 2, 3, 4, 9, 65537, 5000011, 5000013, 4999999, -1, "65537", 2**65)),
    (RULE, f"{LB}.warmup", ({}, {"duration": "1s"}, {"duration": "0s"}, {"duration": "x"}, *NO_OBJECT)),
    (RULE, f"{LB}.warmup", ({"duration": "1s", "minimumPercent": 101}, {"duration": "1s", "minimumPercent": -1})),
    (RULE, f"{LB}.warmup", tuple({"duration": "1s", "aggression": a} for a in (0, 0.5, 1, -1, "x", "NaN", "2"))),
    (RULE, f"{LB}.warmupDurationSecs", (*NO_DURATION, *ODD_DURATION)),
    (RULE, LOCALITY, ({}, None, {"enabled": False}, *NO_OBJECT)),
    (RULE, f"{LOCALITY}.enabled", NO_FLAG),
    (RULE, f"{LOCALITY}.failover", FAILOVERS),
    (RULE, f"{LOCALITY}.failover", NO_LIST),
    (RULE, f"{LOCALITY}.failoverPriority", tuple([label] for label in KEYS)),
    (RULE, f"{LOCALITY}.failoverPriority", NO_LIST),
    (RULE, f"{LOCALITY}.failoverPriority.0", NO_TEXT),
    (
        RULE,
        LOCALITY,
        tuple({"failover": [{"from": "a", "to": "b"}], "failoverPriority": ["x", label]} for label in KEYS),
    ),
    (RULE, LOCALITY, tuple({"failover": [], "failoverPriority": [label]} for label in KEYS)),
    (RULE, f"{LOCALITY}.distribute", DISTRIBUTIONS),
    (RULE, f"{LOCALITY}.distribute", NO_LIST),
    (RULE, f"{LOCALITY}.distribute", tuple([{"from": place, "to": {"a": 100}}] for place in LOCALITIES)),
    (RULE, f"{LOCALITY}.distribute", tuple([{"from": "a", "to": {place: 100}}] for place in LOCALITIES)),
    (
        RULE,
        f"{LOCALITY}.distribute",
        tuple([{"from": "a", "to": target}] for target in (*NO_OBJECT, {"a": None, "b": 100})),
    ),
    (RULE, LOCALITY, ({"distribute": [{"from": "a", "to": {"a": 1}}], "failover": [{"from": "a", "to": "b"}]},)),
    (RULE, LOCALITY, ({"distribute": [{"from": "a", "to": {"a": 100}}], "failoverPriority": ["x"]},)),
    (RULE, LOCALITY, ({"distribute": [], "failover": [{"from": "a", "to": "b"}]}, {"failover": None})),
    (RULE, f"{LOCALITY}.failoverpriority", (["x"],)),
    (RULE, f"{LOCALITY}.mode", ("FAILOVER",)),
    (RULE, ZONE_AWARE, ({}, {"enabled": False}, {"enabled": "x"}, *NO_OBJECT)),
    (RULE, f"{ZONE_AWARE}.failover", FAILOVERS),
    (RULE, f"{ZONE_AWARE}.failoverPriority", tuple([label] for label in KEYS)),
    (RULE, f"{ZONE_AWARE}.minClusterSize", NO_COUNT),
    (RULE, LB, ({"localityLbSetting": {}, "zoneAwareLbSetting": {}},)),
    (RULE, POLICY, ({"loadBalancer": {"localityLbSetting": {"failover": [{"from": "a", "to": "b"}]}}},)),
    (RULE, POLICY, ({"loadBalancer": {"localityLbSetting": {"failoverPriority": ["x"]}}},)),
    (RULE, POLICY, ({"loadBalancer": {"zoneAwareLbSetting": {"failoverPriority": ["x"]}}},)),
    (RULE, SUBSET, ({"loadBalancer": {"localityLbSetting": {"failover": [{"from": "a", "to": "b"}]}}},)),
    (RULE, TLS, ({}, {"mode": "MUTUAL"}, {"mode": "SIMPLE"}, {"mode": "NEVER"}, {"mode": 2}, {"mode": 7}, *NO_OBJECT)),
    (RULE, TLS, ({"mode": "MUTUAL", "clientCertificate": "a"}, {"mode": "MUTUAL", "privateKey": "a"})),
    (RULE, TLS, ({"mode": "SIMPLE", "credentialName": "a", "caCertificates": "b"},)),
    (RULE, TLS, ({"mode": "MUTUAL", "credentialName": "a"}, {"mode": "MUTUAL", "credentialName": "a", "caCrl": "b"})),
    (RULE, TLS, ({"mode": "SIMPLE", "insecureSkipVerify": True, "caCertificates": "b"},)),
    (RULE, TLS, ({"mode": "SIMPLE", "insecureSkipVerify": True, "credentialName": "b"},)),
    (RULE, TLS, ({"mode": "MUTUAL", "insecureSkipVerify": True, "subjectAltNames": ["b"], "credentialName": "x"},)),
    (RULE, f"{POLICY}.portLevelSettings", ([], [{}], [None], [{"port": {"number": 80}}], *NO_LIST)),
    (RULE, f"{PORT}.port", ({}, None, {"name": "http"}, {"number": 0}, {"number": -1}, {"number": "80"}, *NO_OBJECT)),
    (RULE, PORT, ({"outlierDetection": {}}, {"port": {"number": 80}, "tls": {}})),
    (RULE, PORT, ({"port": {"number": 1}, "tunnel": {}},)),
    (RULE, f"{PORT}.outlierDetection.maxEjectionPercent", (101, -1, "x")),
    (RULE, f"{PORT}.outlierDetection.consecutiveErrors", (1, "x")),
    (RULE, f"{PORT}.loadBalancer.localityLbSetting.failover", FAILOVERS),
    (RULE, f"{PORT}.loadBalancer.localityLbSetting.distribute", DISTRIBUTIONS),
    (RULE, "subsets", ([], [None], [{}], [{"name": "a"}, {"name": "a"}], *NO_LIST)),
    (RULE, "subsets.0.name", ("", "v2", "a_b", "a.b", "x" * 64, "UP", "-a", "*", *NO_TEXT)),
    (RULE, "subsets.0.labels", (*BAD_LABELS, None, *NO_OBJECT)),
    (RULE, SUBSET, ({}, None, *NO_OBJECT)),
    (RULE, f"{SUBSET}.outlierDetection.interval", (*NO_DURATION, *ODD_DURATION)),
    (RULE, f"{SUBSET}.outlierDetection.consecutiveErrors", (1,)),
    (RULE, f"{SUBSET}.loadBalancer.localityLbSetting.distribute", DISTRIBUTIONS),
    (RULE, f"{SUBSET}.portLevelSettings", ([{}], [{"port": {"number": 80}, "outlierDetection": {"interval": "x"}}])),
    (ROUTES, "hosts", ([], ["*"], ["a", "a"], ["a.b", "*.b"], ["*.b", "*.c"], [None], *NO_LIST)),
    (ROUTES, "hosts.0", HOSTS),
    (ROUTES, "hosts.0", NO_TEXT),
    (ROUTES, "exportTo", EXPORTS),
    (ROUTES, "http", ([], None, [{}], [None], *NO_LIST)),
    (ROUTES, "http.0.retries", ({}, None, {"attempts": 0}, {"attempts": 0, "retryRemoteLocalities": True}, *NO_OBJECT)),
    (ROUTES, "http.0.retries", ({"retryRemoteLocalities": False}, {"retryOn": "5xx"}, {"perTryTimeout": "1s"})),
    (ROUTES, "http.0.retries.attempts", (-1, 0, 3, *NO_INT32)),
    (ROUTES, "http.0.retries.perTryTimeout", (*NO_DURATION, *ODD_DURATION)),
    (ROUTES, "http.0.retries.backoff", ODD_DURATION),
    (ROUTES, "http.0.retries.retryRemoteLocalities", NO_FLAG),
    (ROUTES, "http.0.retries.retryOn", ("5xx", "5xx,reset", "5xx, reset", "503", "299", "+503", "x", "", ",", 503)),
    (ROUTES, "http.0.retries.retryRemoteLocality", (True,)),
    (ROUTES, "http.0.timeout", (*NO_DURATION, *ODD_DURATION)),
    (ROUTES, "http.0.route", ([], None, [{}], [{"destination": {}}], [None], *NO_LIST)),
    (ROUTES, "http.0.route.0.weight", (-1, 0, 1, *NO_INT32)),
    (ROUTES, "http.0.route", ([{"destination": {"host": "a"}}, {"destination": {"host": "b"}}],)),
    (ROUTES, "http.0.route.0.destination.host", HOSTS),
    (ROUTES, "http.0.route.0.destination.subset", ("", "a_b", "v1", "x" * 64, *NO_TEXT)),
    (ROUTES, "http.0.route.0.destination.port", ({}, {"number": 0}, {"number": 65536}, {"name": "http"}, *NO_OBJECT)),
    (ROUTES, "tcp", ([{}], [{"route": [{"destination": {"host": "a"}}]}], [{"route": [{}]}], *NO_LIST)),
    (ENTRY, "hosts", ([], ["*"], ["a", "b"], [""], *NO_LIST)),
    (ENTRY, "hosts.0", HOSTS),
    (ENTRY, "exportTo", EXPORTS),
    (ENTRY, "ports", ([], [{}], [{"number": 0, "name": "x"}], [{"number": 1, "name": "A_"}], *NO_LIST)),
    (ENTRY, "ports", ([{"number": 1, "name": "x"}, {"number": 1, "name": "x"}],)),
    (ENTRY, "ports.0.protocol", ("", "tcp", "HTTP", "nothing", *NO_TEXT)),
    (ENTRY, "ports.0.targetPort", (0, 65536, *NO_COUNT)),
    (ENTRY, "resolution", ("NONE", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS", "dns", 1, 9, True)),
    (ENTRY, "endpoints", ([], [{}], [None], [{"network": "n"}], [{"address": "a"}, {"address": "b"}], *NO_LIST)),
    (ENTRY, "endpoints.0.address", (*HOSTS, "unix://", "unix:///a", "unix://a", "unix:///a/", "unix://@a")),
    (ENTRY, "endpoints.0.locality", ("", "a", "a/b/c/d", "*", *NO_TEXT)),
    (ENTRY, "endpoints.0.weight", NO_COUNT),
    (ENTRY, "endpoints.0.ports", ({"tls": 1}, {"x": 1}, {"tls": 0}, {"tls": "x"}, *NO_OBJECT)),
    (ENTRY, "endpoints.0.labels", BAD_LABELS),
    (ENTRY, "workloadSelector", ({}, {"labels": {"a": "b"}}, {"labels": {"a": "*"}}, {"labels": {"": "x"}})),
    (WORKLOAD, "address", (*HOSTS, "unix:///a", None)),
    (WORKLOAD, "weight", NO_COUNT),
    (WORKLOAD, "labels", BAD_LABELS),
    (SIDECAR, "egress", ([], [{}], [None], [{"hosts": []}], [{"hosts": ["./*"]}, {"hosts": ["./*"]}], *NO_LIST)),
    (SIDECAR, "egress.0.hosts", (["*/*", "a/*"], ["./a.b", "./a.b"], ["./*", "./a.b"], ["a/a.b", "./a.b"])),
    (SIDECAR, "egress.0.hosts.0", ("*", "a", "/a.b", "a/", "A_/a.b", "a/b", "./*", "~/*", "~a/*", "*/*", "a/*.b")),
    (SIDECAR, "workloadSelector", ({}, {"labels": {}}, {"labels": {"a": "*"}}, *NO_OBJECT)),
)  # fmt: skip


def mistaken(mistake: tuple[str, str, tuple[t.Any, ...]], value: t.Any) -> Json:
    """Return a good object with a value of a mistake put in."""
    kind, path, _values = mistake
    return _object(kind, put(copy.deepcopy(GOOD[kind]), path, value))


def put(spec: Json, path: str, value: t.Any) -> Json:
    """Put a value at a path; what is missing on the way is made."""
    where: t.Any = spec
    steps: list[t.Any] = [int(step) if re.fullmatch("[0-9]+", step) else step for step in path.split(".")]
    for step, following in itertools.pairwise(steps):
        container: t.Any = [] if isinstance(following, int) else {}
        if isinstance(where, list):
            while len(where) <= step:
                where.append(copy.deepcopy(container))
        elif not isinstance(where.get(step), (dict, list)):
            where[step] = container
        where = where[step]
    if isinstance(where, list):
        where[steps[-1] :] = [value, *where[steps[-1] + 1 :]]
    else:
        where[steps[-1]] = value
    return spec


def _object(kind: str, spec: t.Any) -> Json:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": {"name": "x", "namespace": "a"},
        "spec": spec,
    }


def generate(random: Random) -> Json:
    """Return an object with one to four things wrong, one of them perhaps garbage."""
    kind = random.choice((RULE, RULE, RULE, RULE, ROUTES, ENTRY, SIDECAR, WORKLOAD))
    spec = copy.deepcopy(GOOD[kind])
    for _time in range(random.choice((1, 1, 2, 2, 3, 4))):
        _kind, path, values = random.choice([mistake for mistake in MISTAKES if mistake[0] == kind])
        try:
            put(spec, path, copy.deepcopy(random.choice(values)))
        except (AttributeError, TypeError, IndexError):
            continue  # an earlier mistake stands in the way
    if random.random() < 0.2:
        _spoil(random, spec)
    return _object(kind, spec)


def _spoil(random: Random, spec: Json) -> None:
    """Put garbage at a random place."""
    places: list[tuple[t.Any, t.Any]] = []
    pending: list[t.Any] = [spec]
    while pending:
        item = pending.pop()
        keys = list(item) if isinstance(item, dict) else list(range(len(item)))
        for key in keys:
            places.append((item, key))
            if isinstance(item[key], (dict, list)):
                pending.append(item[key])
    if places:
        where, key = random.choice(places)
        where[key] = garbage(random)


def garbage(random: Random, depth: int = 3) -> t.Any:
    """Return anything that JSON can say, but no whole float: YAML's 10.0 is 10 on its way to istiod."""
    if depth and random.random() < 0.4:
        size = random.randint(0, 3)
        if random.random() < 0.5:
            return [garbage(random, depth - 1) for _number in range(size)]
        return {
            random.choice(("a", "host", "from", "to", "port", "ü")): garbage(random, depth - 1) for _n in range(size)
        }
    return random.choice((None, True, False, 0, 1, -1, 2**63, 1.5, "", "x", "1s", "*", "a/b", "\u0000", "ü" * 40, "5"))
