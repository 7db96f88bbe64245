# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For each rule a mesh in which it fires, and a near one in which it must not."""

from __future__ import annotations

import typing as t
from types import MappingProxyType

from tests.unit.plugins.module_utils._lint.meshes import (
    REGION,
    SUBZONE,
    ZONE,
    Json,
    endpoint_slice,
    istio,
    mesh,
    node,
    pod,
    read,
    rule,
    service,
)

HOST = "web.shop.svc.cluster.local"
EJECT = "outlierDetection: {consecutive5xxErrors: 5, maxEjectionPercent: 67}"
WRONG_DISTRIBUTION = {"networking.istio.io/traffic-distribution": "Sometimes"}


class Case(t.NamedTuple):
    """`field` and `words` are parts of what the finding says; `version`, `mesh` and `options` are for both meshes."""

    fires: list[t.Any]
    clean: list[t.Any]
    field: str
    words: str
    version: str = "1.31"
    mesh: t.Mapping[str, t.Any] = MappingProxyType({})
    options: t.Mapping[str, t.Any] = MappingProxyType({})


def locality(setting: str, outlier: str = EJECT, **more: t.Any) -> Json:
    """Return a rule for shop/web with a localityLbSetting."""
    policy = {"loadBalancer": {"localityLbSetting": read(setting)}, **(read(f"{{{outlier}}}") if outlier else {})}
    return rule({"host": HOST, "trafficPolicy": policy, **more.pop("spec", {})}, **more)


def failover(text: str, outlier: str = EJECT, **more: t.Any) -> Json:
    return locality(f"{{failover: {text}}}", outlier, **more)


def policy(text: str, **more: t.Any) -> Json:
    return rule({"host": HOST, "trafficPolicy": read(text), **more.pop("spec", {})}, **more)


def web(*objects: Json, places: t.Mapping[str, int] | None = None, **more: t.Any) -> list[Json]:
    return mesh(places, {"r1/z1/s1": "shop"} if places else None, *objects, **more)


#: Nothing injects sidecars there.
SHOP = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}


def dns(*localities: str, resolution: str = "DNS") -> Json:
    endpoints = [{"address": f"{number}.example.com", "locality": place} for number, place in enumerate(localities)]
    spec = {
        "hosts": ["api.example.com"],
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "resolution": resolution,
        **({"endpoints": endpoints} if resolution != "DYNAMIC_DNS" else {}),
    }
    return istio("ServiceEntry", "api", "shop", spec)


def api(setting: str, outlier: str = EJECT, **more: t.Any) -> Json:
    settings = locality(setting, outlier, name="api", **more)
    settings["spec"]["host"] = "api.example.com"
    return settings


def timed(timeout: str, tries: str = "{attempts: 2, perTryTimeout: 2s}") -> Json:
    """Return a route with this timeout and two retries, of 2 s each if nothing else is said."""
    settings = retries(tries)
    settings["spec"]["http"][0]["timeout"] = timeout
    return settings


def routed(subset: str) -> Json:
    """Return a route that leads all requests to one subset."""
    route = {"destination": {"host": HOST, "subset": subset}}
    return istio("VirtualService", "web", "shop", {"hosts": [HOST], "http": [{"route": [route]}]})


def aborted(status: int, **more: Json) -> Json:
    """Return a route that answers half of the requests to /pay itself."""
    fault = {"abort": {"percentage": {"value": 50}, "httpStatus": status}, **more}
    route = [{"destination": {"host": HOST}}]
    pay = {"match": [{"uri": {"prefix": "/pay"}}], "fault": fault, "route": route}
    return istio("VirtualService", "web", "shop", {"hosts": [HOST], "http": [pay, {"route": route}]})


def elsewhere() -> Json:
    """Return a route that leads all requests to another Service."""
    return istio(
        "VirtualService",
        "web",
        "shop",
        {"hosts": [HOST], "http": [{"route": [{"destination": {"host": "other.shop.svc.cluster.local"}}]}]},
    )


def delegated(*parts: Json, name: str = "pay", namespace: str = "pay") -> list[Json]:
    """Return a root in shop that delegates /pay to a VirtualService of namespace pay, and these."""
    pay = {"match": [{"uri": {"prefix": "/pay"}}], "delegate": {"name": name, "namespace": namespace}}
    spec = {"hosts": [HOST], "http": [pay, {"route": [{"destination": {"host": HOST}}]}]}
    return [istio("VirtualService", "root", "shop", spec), *parts]


def delegate(**more: t.Any) -> Json:
    return istio("VirtualService", "pay", "pay", {"http": [{"route": [{"destination": {"host": HOST}}]}], **more})


def http_route(*rules: Json) -> Json:
    """Return an HTTPRoute for the Service web."""
    parents = [{"group": "", "kind": "Service", "name": "web"}]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"parentRefs": parents, "rules": list(rules)},
    }


#: A rule that does something with requests and leads them nowhere.
FILTER_ONLY: Json = {
    "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}]
}


def of_protocol(block: str) -> Json:
    """Return a VirtualService with one block of routes."""
    return istio(
        "VirtualService", "web", "shop", {"hosts": [HOST], block: [{"route": [{"destination": {"host": HOST}}]}]}
    )


def retries(text: str) -> Json:
    route = {"destination": {"host": HOST}}
    return istio(
        "VirtualService", "web", "shop", {"hosts": [HOST], "http": [{"retries": read(text), "route": [route]}]}
    )


FAR = failover("[{from: r1, to: r2}]")
WARM = policy(f"{{loadBalancer: {{warmup: {{duration: 60s}}, localityLbSetting: {{enabled: true}}}}, {EJECT}}}")
#: A rule with two subsets and nothing else.
SUBSETS = rule({"host": HOST, "subsets": [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")]})
PRIORITY = "{failoverPriority: [%s]}"
AMBIENT: Json = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "shop", "labels": {"istio.io/dataplane-mode": "ambient"}},
}
OUTSIDE: Json = {"address": "10.9.0.9", "labels": {"app": "orders"}, "locality": "r2/z3"}
SELECTING = istio(
    "ServiceEntry",
    "orders",
    "shop",
    {
        "hosts": ["orders.example.com"],
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "resolution": "STATIC",
        "workloadSelector": {"labels": {"app": "orders"}},
    },
)
OTHER = pod("other-0", "shop", "n0", "10.3.0.1", "", app="other", owner="other")
OTHER_PODS = [OTHER, endpoint_slice("other", "shop", [OTHER])]
V1 = pod("web-v1", "shop", "n0", "10.0.1.1", "", app="web", version="v1", owner="web-v1")
ONE_V1 = [
    V1,
    {
        **endpoint_slice("web", "shop", [V1]),
        "metadata": {"name": "web-2", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
    },
]
ONLY_R1 = {"r1/z1/s1": 2, "r1/z2/s2": 2}
THREE_REGIONS = {"r1/z1/s1": 2, "r2/z2/s2": 2, "r3/z3/s3": 2}
MOVED = [
    {
        "pod": "client-0",
        "namespace": "shop",
        "locality": "r1/z1/s1",
        "endpoints": [{"address": "10.0.0.1:80", "locality": "r9/z9/s9"}],
    }
]
FRESH = [
    {
        "pod": "client-0",
        "namespace": "shop",
        "locality": "r1/z1/s1",
        "endpoints": [{"address": "10.0.0.1:80", "locality": "r1/z1/s1"}],
    }
]


def workload(replicas: int, **spec: t.Any) -> Json:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app"}], **spec}}
    metadata = {"name": "web", "namespace": "shop"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"replicas": replicas, "template": template},
    }


def even(**more: t.Any) -> Json:
    """Return a constraint that spreads the pods of `workload` over zones."""
    constraint = {"topologyKey": ZONE, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
    return {"topologySpreadConstraints": [{**constraint, "labelSelector": {"matchLabels": {"app": "web"}}, **more}]}


SPREAD = even()


def gateways(*nodes: str) -> list[Json]:
    return [
        pod(f"gw-{number}", "edge", name, f"10.2.0.{number + 1}", "router", app="gw", owner="gw")
        for number, name in enumerate(nodes)
    ]


def relabelled(name: str, **labels: str) -> list[t.Any]:
    """Return the mesh with other labels on a node."""
    objects = web(FAR)
    return [
        {**item, "metadata": {**item["metadata"], "labels": labels}}
        if item["kind"] == "Node" and item["metadata"]["name"] == name
        else item
        for item in objects
    ]


def without_node(name: str) -> list[t.Any]:
    return [item for item in web(FAR) if not (item["kind"] == "Node" and item["metadata"]["name"] == name)]


STATIC = istio(
    "ServiceEntry",
    "api",
    "shop",
    {
        "hosts": ["api.example.com"],
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "resolution": "STATIC",
        "endpoints": [{"address": "10.9.0.1", "locality": "r1/z1"}, {"address": "10.9.0.2"}],
    },
)
PLACED = istio(
    "ServiceEntry",
    "api",
    "shop",
    {
        **STATIC["spec"],
        "endpoints": [{"address": "10.9.0.1", "locality": "r1/z1"}, {"address": "10.9.0.2", "locality": "r2/z3"}],
    },
)
OLDER, YOUNGER = {"creationTimestamp": "2026-01-01T00:00:00Z"}, {"creationTimestamp": "2026-02-01T00:00:00Z"}
SELECTED = {"workloadSelector": {"matchLabels": {"app": "other"}}}

CASES: t.Mapping[str, Case] = {
    "ML101": Case(
        web(failover("[{from: r1, to: r2}]", "")),
        web(FAR),
        "localityLbSetting",
        "all 6 endpoints in 3 localities one priority",
    ),
    "ML102": Case(
        web(failover("[{from: r1, to: r9}]")),
        web(FAR),
        "failover[0].to",
        "no endpoint in region r9: it has 4 in r1, 2 in r2",
    ),
    "ML103": Case(
        web(failover("[{from: r7, to: r2}]")),
        web(FAR),
        "failover[0].from",
        "is in region r7: the 2 clients are in r1, r2",
    ),
    "ML104": Case(
        web(failover("[{from: r1, to: r2}, {from: r1, to: r2}]")),
        web(failover("[{from: r1, to: r2}, {from: r2, to: r1}]")),
        "failover[1].from",
        "failover[1] (r1 to r2) has no effect",
    ),
    "ML105": Case(
        mesh(THREE_REGIONS, None, failover("[{from: r2, to: r1}]")),
        mesh(THREE_REGIONS, None, failover("[{from: r2, to: r1}, {from: r1, to: r3}]")),
        "failover",
        "the regions r2, r3 share one priority",
    ),
    "ML106": Case(
        web(failover("[{from: r1/z1, to: r2}]")),
        web(FAR),
        "failover[0].from",
        "locality lb failover only specify region",
    ),
    "ML107": Case(
        web(policy("{loadBalancer: {simple: PASSTHROUGH, localityLbSetting: {failover: [{from: r1, to: r2}]}}}")),
        web(policy("{loadBalancer: {simple: RANDOM, localityLbSetting: {failover: [{from: r1, to: r2}]}}}")),
        "loadBalancer.simple",
        "simple is PASSTHROUGH",
    ),
    "ML108": Case(
        web(dns("r1/z1", "r2/z3"), api(PRIORITY % REGION)),
        web(dns("r1/z1", "r2/z3"), api("{failover: [{from: r1, to: r2}]}")),
        "failoverPriority",
        "crash",
    ),
    "ML109": Case(
        web(dns("r1/z1", "r2/z3"), api(PRIORITY % REGION)),
        web(dns("r1/z1", "r2/z3"), api("{failover: [{from: r1, to: r2}]}")),
        "failoverPriority",
        "does not look at failoverPriority",
        version="1.29",
    ),
    "ML110": Case(
        web(rule({"host": "web.shop", "trafficPolicy": {"outlierDetection": {}}})),
        web(rule({"host": "web", "trafficPolicy": {"outlierDetection": {}}})),
        "spec.host",
        "Only a name without a dot is completed",
    ),
    "ML111": Case(
        web(policy(f"{{{EJECT}}}")),
        web(policy(f"{{{EJECT}, loadBalancer: {{localityLbSetting: {{enabled: false}}}}}}")),
        "outlierDetection",
        "nearest of 3 localities: 2 in r1/z1/s1",
    ),
    "ML112": Case(
        web(policy(f"{{{EJECT}, loadBalancer: {{consistentHash: {{httpHeaderName: x}}}}}}")),
        web(
            policy(
                f"{{{EJECT}, loadBalancer: "
                "{consistentHash: {useSourceIp: true}, localityLbSetting: {enabled: false}}}"
            )
        ),
        "outlierDetection",
        "works inside of one locality only",
    ),
    "ML120": Case(
        web(locality("{distribute: [{from: r1/*, to: {'r1/*': 100}}]}")),
        web(locality("{distribute: [{from: r1/*, to: {'r1/*': 99, 'r2/*': 1}}]}")),
        "distribute[0].to",
        "2 in r2/z3/s3: these endpoints",
    ),
    "ML121": Case(
        web(locality("{distribute: [{from: r1/*, to: {r9: 100}}]}")),
        web(locality("{distribute: [{from: r1/*, to: {r1: 100}}]}")),
        "distribute[0].to",
        "matches an endpoint",
    ),
    "ML128": Case(
        web(locality("{distribute: [{from: r1/z1/*, to: {r1: 100}}]}")),
        web(locality("{distribute: [{from: r1/*, to: {r1: 100}}, {from: r2/*, to: {r2: 100}}]}")),
        "distribute",
        "No `from` matches 1 client in r2/z3/s3",
    ),
    "ML122": Case(
        web(locality("{distribute: [{from: us-*, to: {r1: 100}}]}")),
        web(locality("{distribute: [{from: r1/*, to: {r1: 100}}]}")),
        "distribute[0].from",
        "letter by letter",
    ),
    "ML123": Case(
        web(locality("{distribute: [{from: r1/*, to: {r1: 60, r2: 10, r3: 30}}]}")),
        web(locality("{distribute: [{from: r1/*, to: {r1: 60, r2: 40}}]}")),
        "distribute[0].to[r3]",
        "r3 matches no endpoint",
    ),
    "ML124": Case(
        web(locality("{distribute: [{from: r1/*, to: {'r1/*': 60, r1/z1: 40}}]}")),
        web(locality("{distribute: [{from: r1/*, to: {r1/z2: 60, r1/z1: 40}}]}")),
        "distribute[0].to[r1/z1]",
        "istiod nondeterministically refuses or accepts the rule",
    ),
    "ML125": Case(
        web(locality("{distribute: [{from: r1/*, to: {r1: 60, r2: 30}}]}")),
        web(locality("{distribute: [{from: r1/*, to: {r1: 70, r2: 30}}]}")),
        "distribute[0].to",
        "total locality weight 90 != 100",
    ),
    "ML126": Case(
        web(locality("{distribute: [{from: r1, to: {r1: 100}}], failover: [{from: r1, to: r2}]}")),
        web(FAR),
        "failover",
        "can not simultaneously",
    ),
    "ML127": Case(
        web(locality("{distribute: [{from: r1, to: {r1: 50, r2: 50}}], failoverPriority: [x]}")),
        web(locality("{distribute: [{from: r1, to: {r1: 50, r2: 50}}]}")),
        "failoverPriority",
        "distribute stands next to it and wins",
    ),
    "ML201": Case(
        web(failover("[{from: r1, to: r2}]", "outlierDetection: {consecutive5xxErrors: 0}")),
        web(
            failover("[{from: r1, to: r2}]", "outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 1}")
        ),
        "consecutive5xxErrors",
        "No failure ever ejects",
    ),
    "ML202": Case(
        web(failover("[{from: r1, to: r2}]", "outlierDetection: {}")),
        web(failover("[{from: r1, to: r2}]", "outlierDetection: {maxEjectionPercent: 17}")),
        "maxEjectionPercent",
        "Envoy's 10 % of 6 endpoints of web.shop allows 0 ejections",
    ),
    "ML203": Case(
        web(failover("[{from: r1, to: r2}]", "outlierDetection: {maxEjectionPercent: 20}")),
        web(FAR),
        "maxEjectionPercent",
        "maxEjectionPercent 20 of 6 endpoints of web.shop allows 1 ejection (2 in subzone r1/z1/s1 need 34",
    ),
    "ML204": Case(
        web(
            failover("[{from: r1, to: r2}]", "outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 1}")
        ),
        web(FAR),
        "outlierDetection",
        "another 5xx",
    ),
    "ML205": Case(
        web(locality("{enabled: false}", "outlierDetection: {maxEjectionPercent: 67, minHealthPercent: 50}")),
        web(locality("{enabled: false}", "outlierDetection: {maxEjectionPercent: 67, minHealthPercent: 30}")),
        "minHealthPercent",
        "33 % of the 6 endpoints of web.shop are left",
    ),
    "ML206": Case(
        web(failover("[{from: r1, to: r2}]", "")),
        web(FAR),
        "localityLbSetting",
        "defaultTrafficPolicy: Envoy ejects",
        mesh={"defaultTrafficPolicy": {"outlierDetection": {"consecutive5xxErrors": 5}}},
    ),
    "ML207": Case(
        web(failover("[{from: r1, to: r2}]", "outlierDetection: {consecutiveErrors: 7, maxEjectionPercent: 67}")),
        web(FAR),
        "consecutiveErrors",
        "does nothing any more",
    ),
    "ML210": Case(
        web(policy("{connectionPool: {http: {maxRequestsPerConnection: 1}}}")),
        web(policy("{connectionPool: {http: {maxRequestsPerConnection: 100}}}")),
        "maxRequestsPerConnection",
        "opens a new connection",
    ),
    "ML211": Case(
        web(failover("[{from: r1, to: r2}]", "outlierDetection: {consecutive5xxErrors: 1, maxEjectionPercent: 67}")),
        web(FAR),
        "consecutive5xxErrors",
        "for 30 s",
    ),
    "ML213": Case(
        web(policy("{outlierDetection: {outlierDetectionHttpErrorCodes: [429], maxEjectionPercent: 67}}")),
        web(policy("{outlierDetection: {maxEjectionPercent: 67}}")),
        "spec.trafficPolicy.outlierDetection.outlierDetectionHttpErrorCodes",
        "outlierDetection.outlierDetectionHttpErrorCodes has no effect before Istio 1.32.",
    ),
    "ML214": Case(
        web(policy("{outlierDetection: {failurePercentageThreshold: 60, maxEjectionPercent: 67}}")),
        web(policy("{outlierDetection: {maxEjectionPercent: 67}}")),
        "spec.trafficPolicy.outlierDetection.failurePercentageThreshold",
        "outlierDetection.failurePercentageThreshold (since Istio 1.32) is not computed.",
        version="1.32",
    ),
    "ML220": Case(
        web(FAR),
        web(FAR, retries("{attempts: 2, retryRemoteLocalities: true}")),
        "spec.host",
        "which has 2 endpoints of 6",
    ),
    "ML221": Case(
        web(retries("{attempts: 2, retryRemoteLocalities: true}")),
        web(FAR, retries("{attempts: 2, retryRemoteLocalities: true}")),
        "http[0].retries.retryRemoteLocalities",
        "All 6 endpoints of web.shop have one priority",
    ),
    "ML222": Case(
        web(FAR, retries("{attempts: 0}")),
        web(FAR, retries("{attempts: 1}")),
        "http[0].retries.attempts",
        "are not retried",
    ),
    "ML223": Case(
        web(timed("3s")),
        web(timed("6s")),
        "timeout",
        "timeout is 3 s, and 3 tries of 2 s each take 6 s",
    ),
    "ML212": Case(
        web(WARM, places={"r1/z1/s1": 1, "r1/z2/s2": 2}),
        web(WARM, places={"r1/z1/s1": 2, "r1/z2/s2": 2}),
        "loadBalancer.warmup",
        "one endpoint of 3 is the whole nearest priority",
    ),
    "ML224": Case(
        web(timed("3s", "{attempts: 2}")),
        web(timed("6s")),
        "retries.perTryTimeout",
        "timeout is 3 s, and perTryTimeout is not set",
    ),
    "ML230": Case(
        web(SUBSETS, routed("v11"), labels={"version": "v1"}),
        web(SUBSETS, routed("v1"), labels={"version": "v1"}),
        "spec.http[0].route[0].destination.subset",
        "leads to subset v11 of web.shop, which no DestinationRule has: the subsets are v1, v2.",
    ),
    "ML231": Case(
        [*web(SUBSETS, routed("v1"), labels={"version": "v2"}), *ONE_V1],
        [*web(SUBSETS, routed("v2"), labels={"version": "v2"}), *ONE_V1],
        "spec.http[0].route",
        "All requests to web.shop go to web.shop (port 80; subset v1), whose 1 endpoint is in r1/z1.",
    ),
    "ML232": Case(
        web(FAR, service("other", "shop"), *OTHER_PODS, elsewhere()),
        web(FAR, service("other", "shop"), *OTHER_PODS),
        "spec.host",
        "leads those for web.shop to other.shop.",
    ),
    "ML233": Case(
        web(SUBSETS, routed("v1"), labels={"version": "v2"}),
        web(SUBSETS, routed("v2"), labels={"version": "v2"}),
        "spec.http[0].route",
        "leads to subset v1 of web.shop, whose labels none of 6 endpoints has.",
    ),
    "ML234": Case(
        web(aborted(503)),
        web(aborted(200)),
        "spec.http[0].fault",
        "The route aborts 50 % of its requests with 503.",
    ),
    "ML235": Case(
        web(policy("{tls: {mode: ISTIO_MUTUAL}, outlierDetection: {maxEjectionPercent: 100}}"), SHOP),
        web(policy("{tls: {mode: DISABLE}, outlierDetection: {maxEjectionPercent: 100}}"), SHOP),
        "spec.trafficPolicy.tls.mode",
        "All 6 endpoints of web.shop refuse every request: tls.mode ISTIO_MUTUAL sends mutual TLS, which the pods",
    ),
    "ML236": Case(
        web(*delegated(delegate(exportTo=["."]))),
        web(*delegated(delegate(exportTo=[".", "shop"]))),
        "spec.http[0].delegate",
        "VirtualService pay/pay is not exported to namespace shop: its exportTo leaves it out.",
    ),
    "ML237": Case(
        web(delegate()),
        web(*delegated(delegate())),
        "spec.hosts",
        "VirtualService pay/pay has no hosts, and none with hosts delegates to it.",
    ),
    "ML238": Case(
        web(of_protocol("tcp")),
        web(of_protocol("http")),
        "spec.tcp",
        "Routes under tcp are for ports that speak TCP without TLS; web.shop:80 speaks HTTP.",
    ),
    "ML239": Case(
        web(http_route(FILTER_ONLY)),
        web(http_route({**FILTER_ONLY, "backendRefs": [{"name": "web", "port": 80}]})),
        "spec.rules[0]",
        "The rule has no backend for requests for web.shop:80, and no redirect: Envoy answers 500.",
    ),
    "ML301": Case(
        web(locality(PRIORITY % "topology.kubernetes.io/regoin")),
        web(locality(PRIORITY % REGION)),
        "failoverPriority[0]",
        "No client (2) and no endpoint (6)",
    ),
    "ML302": Case(
        web(locality(PRIORITY % "app=a=b")),
        web(locality(PRIORITY % "app=web")),
        "failoverPriority[0]",
        "is read as app",
    ),
    "ML303": Case(
        web(locality(PRIORITY % f"{REGION}, version"), labels={"version": "v1"}),
        web(locality(PRIORITY % f"{REGION}, app"), labels={"version": "v1"}),
        "failoverPriority[1]",
        "6 of 6 endpoints of web.shop have the label version, but no client has it",
    ),
    "ML304": Case(
        web(locality(PRIORITY % f"{ZONE}, {REGION}")),
        web(locality(PRIORITY % f"{REGION}, {ZONE}")),
        "failoverPriority[0]",
        "stands before topology.kubernetes.io/region",
    ),
    "ML305": Case(
        mesh({"r1/a": 2, "r2/a": 2}, {"r1/a": "shop"}, locality(PRIORITY % ZONE)),
        mesh({"r1/a": 2, "r2/b": 2}, {"r1/a": "shop"}, locality(PRIORITY % ZONE)),
        "failoverPriority[0]",
        "Zone a is in several regions (r1, r2)",
    ),
    "ML306": Case(
        web(locality(PRIORITY % "app=web")),
        web(locality(PRIORITY % REGION)),
        "failoverPriority",
        "All 6 endpoints of web.shop have one priority for every client",
    ),
    "ML310": Case(
        web(locality("{enabled: false}"), service_spec={"trafficDistribution": "PreferSameZone"}),
        web(service_spec={"trafficDistribution": "PreferSameZone"}),
        "localityLbSetting",
        "trafficDistribution PreferSameZone of web.shop does not apply",
    ),
    "ML311": Case(
        web(service_spec={"annotations": WRONG_DISTRIBUTION}),
        web(service_spec={"annotations": {"networking.istio.io/traffic-distribution": "PreferClose"}}),
        "metadata.annotations[networking.istio.io/traffic-distribution]",
        "means nothing to istiod",
    ),
    "ML312": Case(
        web(policy(f"{{{EJECT}, loadBalancer: {{zoneAwareLbSetting: {{}}}}}}")),
        web(policy(f"{{{EJECT}, loadBalancer: {{zoneAwareLbSetting: {{enabled: false}}}}}}")),
        "zoneAwareLbSetting",
        "2 of 2 clients of web.shop run without ISTIO_META_ENABLE_SELF_DISCOVERY",
    ),
    "ML313": Case(
        web(locality(f"{{failover: [{{from: r1, to: r2}}], failoverPriority: [{ZONE}]}}")),
        web(locality("{failover: [{from: r1, to: r2}], failoverPriority: [app]}")),
        "failoverPriority[0]",
        "can not simultaneously set 'failover' and topology label",
    ),
    "ML401": Case(
        web({**FAR, "metadata": {"name": "web", "namespace": "elsewhere"}}),
        web(FAR),
        "spec.host",
        "neither that of a client, nor of the Service (shop), nor istio-system",
    ),
    "ML402": Case(
        web(
            policy("{tls: {mode: ISTIO_MUTUAL}}", name="a", **OLDER),
            failover("[{from: r1, to: r2}]", name="b", **YOUNGER),
        ),
        web(
            rule({"host": HOST, "subsets": []}, name="a", **OLDER),
            failover("[{from: r1, to: r2}]", name="b", **YOUNGER),
        ),
        "spec.trafficPolicy",
        "DestinationRule shop/a is for the same host",
    ),
    "ML403": Case(
        [*web(failover("[{from: r1, to: r2}]", spec={"exportTo": ["."]})), *gateways("n0")],
        [*web(FAR), *gateways("n0")],
        "spec.exportTo",
        "1 of 3 clients of web.shop get no rule: those in edge, among them the gateway edge/gw-0",
    ),
    "ML404": Case(
        mesh(None, {"r1/z1/s1": "app"}, FAR, rule({"host": "*.local", "trafficPolicy": {"tls": {}}}, "mtls", "app")),
        mesh(None, {"r1/z1/s1": "app"}, FAR, rule({"host": "*.com", "trafficPolicy": {"tls": {}}}, "mtls", "app")),
        "spec.host",
        "This rule hides DestinationRule shop/web",
    ),
    "ML405": Case(
        web(
            policy(
                f"{{{EJECT}, loadBalancer: {{localityLbSetting: {{failover: [{{from: r1, to: r2}}]}}}}, "
                "portLevelSettings: [{port: {number: 80}, tls: {mode: ISTIO_MUTUAL}}]}"
            )
        ),
        web(
            policy(
                f"{{{EJECT}, loadBalancer: {{localityLbSetting: {{failover: [{{from: r1, to: r2}}]}}}}, "
                "portLevelSettings: [{port: {number: 81}, tls: {mode: ISTIO_MUTUAL}}]}"
            )
        ),
        "portLevelSettings[0]",
        "outlierDetection and localityLbSetting does not apply to web.shop",
    ),
    "ML406": Case(
        web(
            failover(
                "[{from: r1, to: r2}]",
                spec={"subsets": [{"name": "v1", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}]},
            )
        ),
        web(
            failover(
                "[{from: r1, to: r2}]",
                spec={"subsets": [{"name": "v1", "trafficPolicy": {"outlierDetection": {"maxEjectionPercent": 67}}}]},
            )
        ),
        "subsets[0].trafficPolicy",
        "localityLbSetting does not apply to web.shop (port 80; subset v1)",
    ),
    "ML407": Case(
        mesh(
            None,
            {"r1/z1/s1": "app"},
            FAR,
            rule({"host": HOST, "trafficPolicy": {"tls": {}}, **SELECTED}, "some", "app"),
        ),
        mesh(
            None,
            {"r1/z1/s1": "app"},
            FAR,
            rule({"host": HOST, "trafficPolicy": {"tls": {}}, **SELECTED}, "some", "app"),
            rule({"host": HOST, "trafficPolicy": {"tls": {}}}, "all", "app"),
        ),
        "workloadSelector",
        "get no rule for web.shop at all, not even DestinationRule shop/web",
    ),
    "ML408": Case(
        web(
            rule(
                {"host": HOST, "trafficPolicy": {"tls": {}}, "workloadSelector": {"matchLabels": {"app": "client"}}},
                "some",
            ),
            failover("[{from: r1, to: r2}]", name="all", spec={"exportTo": ["."]}),
        ),
        web(
            rule(
                {"host": HOST, "trafficPolicy": {"tls": {}}, "workloadSelector": {"matchLabels": {"app": "client"}}},
                "some",
            ),
            failover("[{from: r1, to: r2}]", name="all"),
        ),
        "exportTo",
        "istiod merges the rule into DestinationRule shop/some",
    ),
    "ML501": Case(
        relabelled("n0"), web(FAR), f"metadata.labels[{REGION}]", "1 client and 2 endpoints on n0 are nowhere"
    ),
    "ML502": Case(without_node("n0"), web(FAR), "", "1 client in namespace shop have no region"),
    "ML409": Case(
        mesh(None, {}, FAR, AMBIENT),
        mesh(None, {}, FAR, {**AMBIENT, "metadata": {"name": "shop", "labels": {}}}),
        "spec",
        "6 pods in shop are in ambient mode, and web.shop has no waypoint",
    ),
    "ML508": Case(
        web(istio("WorkloadEntry", "outside", "other", OUTSIDE), SELECTING),
        web(istio("WorkloadEntry", "outside", "shop", OUTSIDE), SELECTING),
        "metadata.namespace",
        "ServiceEntry shop/orders would select it",
    ),
    "ML509": Case(
        web(SELECTING),
        web(istio("WorkloadEntry", "outside", "shop", OUTSIDE), SELECTING),
        "spec.workloadSelector",
        "orders.example.com has no endpoint",
    ),
    "ML510": Case(
        web(pod("web-other", "shop", "n0", "10.0.0.99", "", app="web", owner="web-other")),
        web(pod("web-other", "shop", "n0", "10.0.0.99", "", app="other", owner="web-other")),
        "spec.ports",
        "1 of 7 pods that the selector of web.shop.svc.cluster.local takes are no endpoint of port 80: "
        "Deployment/web-other.",
    ),
    "ML511": Case(
        mesh(None, {}, FAR, {**AMBIENT, "metadata": {"name": "shop", "labels": {"istio-injection": "enable"}}}),
        mesh(None, {}, FAR, {**AMBIENT, "metadata": {"name": "shop", "labels": {"istio-injection": "enabled"}}}),
        "metadata.labels[istio-injection]",
        "Namespace shop has the label istio-injection=enable; no injector answers for that value.",
    ),
    "ML503": Case(
        web(STATIC, api("{failover: [{from: r1, to: r2}]}")),
        web(PLACED, api("{failover: [{from: r1, to: r2}]}")),
        "spec.endpoints",
        "1 of 2 endpoints of api.example.com have no locality: 10.9.0.2",
    ),
    "ML504": Case(
        relabelled("n0", **{REGION: "r1", ZONE: "z1", "failure-domain.beta.kubernetes.io/zone": "old"}),
        relabelled("n0", **{REGION: "r1", ZONE: "z1", "failure-domain.beta.kubernetes.io/zone": "z1"}),
        "metadata.labels[failure-domain.beta.kubernetes.io/zone]",
        "Istio takes the latter",
    ),
    "ML505": Case(
        web(FAR, labels={"istio-locality": "r7.z7"}),
        web(FAR),
        "spec.template.metadata.labels",
        "with the label r7.z7 are taken to be in r7/z7",
    ),
    "ML506": Case(
        [*web(FAR), node("bare", ""), pod("odd", "shop", "bare", "10.3.0.1", **{REGION: "r1"})],
        [*web(FAR), node("full", "r1/z1/s1"), pod("odd", "shop", "full", "10.3.0.1", **{REGION: "r1"})],
        f"metadata.labels[{REGION}]",
        "As a client the pod is in r1, as an endpoint in no locality",
    ),
    "ML507": Case(
        web(FAR), web(FAR), "", "has the endpoint in r9/z9/s9, but its labels say r1/z1/s1", options={"observed": MOVED}
    ),
    "ML520": Case(
        mesh({"r1/z1/s1": 3}, None, locality("{enabled: true}")),
        mesh(ONLY_R1, None, locality("{enabled: true}")),
        "localityLbSetting",
        "All 3 endpoints of web.shop are in r1/z1/s1",
    ),
    "ML521": Case(
        mesh({"r1/z1/s1": 1, "r1/z2/s2": 2}, None, locality("{enabled: true}")),
        mesh({"r1/z1/s1": 2, "r1/z2/s2": 2}, None, locality("{enabled: true}")),
        "",
        "r1/z1/s1 has one endpoint of web.shop",
    ),
    "ML522": Case(
        web(FAR, workload(6)),
        web(FAR, workload(6, **SPREAD)),
        "topologySpreadConstraints",
        "Nothing keeps the 6 replicas",
    ),
    "ML523": Case(
        [*web(FAR), *gateways("n0")],
        [*web(FAR), *gateways("n0", "n2")],
        "spec.replicas",
        "1 pod of the gateway, all in r1/z1/s1",
    ),
    "ML524": Case(
        web(FAR, service_spec={"internalTrafficPolicy": "Local"}),
        web(FAR),
        "spec.internalTrafficPolicy",
        "of 6 endpoints a client sees those on its node",
    ),
    "ML525": Case(
        mesh({"r1/z1/s1": 1, "r2/z3/s3": 9}, {"r1/z1/s1": "shop"}, FAR),
        mesh({"r1/z1/s1": 5, "r2/z3/s3": 5}, {"r1/z1/s1": "shop", "r2/z3/s3": "shop"}, FAR),
        "",
        "an endpoint in r1/z1/s1 gets 10.0 times the average",
    ),
    "ML601": Case(
        web(
            locality(PRIORITY % f"topology.istio.io/network, {REGION}, {ZONE}"),
            labels={"topology.istio.io/network": "n9"},
        ),
        web(FAR),
        "priorities",
        "With Istio 1.31 priorities of web.shop changes",
        version="1.30",
    ),
    "ML602": Case(web(), web(), "unready endpoints", "left out now, then sent", version="1.30"),
    "ML603": Case(
        web(dns("r1/z1", "r2/z3"), api(PRIORITY % REGION)),
        web(dns("r1/z1", "r2/z3"), api("{failover: [{from: r1, to: r2}]}")),
        "istiod",
        "works now, then crashes",
        version="1.29",
    ),
    "ML604": Case(
        web(policy(f"{{{EJECT}, loadBalancer: {{zoneAwareLbSetting: {{}}}}}}")),
        web(FAR),
        "zoneAwareLbSetting",
        "does not know zoneAwareLbSetting",
        version="1.30",
    ),
    "ML605": Case(
        web(FAR, labels={"topology.istio.io/locality": "r1.z1"}),
        web(FAR),
        "metadata.labels[topology.istio.io/locality]",
        "6 pods have the label",
        version="1.28",
    ),
    "ML606": Case(
        relabelled("n0", **{"failure-domain.beta.kubernetes.io/region": "r1", SUBZONE: "s1"}),
        web(FAR),
        "metadata.labels[failure-domain.beta.kubernetes.io/region]",
        "1 node (n0) have",
    ),
    "ML901": Case(
        web(policy("{outlierDetection: {maxEjectionPercent: 101}}")),
        web(FAR),
        "maxEjectionPercent",
        "percentage 101 is not in range",
    ),
    "ML902": Case(
        web(policy(f"{{{EJECT}}}", spec={"workloadSelector": {}})),
        web(policy(f"{{{EJECT}}}")),
        "workloadSelector",
        "workload selector specified without labels",
    ),
    "ML903": Case(
        web(policy("{outlierdetection: {}}")), web(FAR), "trafficPolicy.outlierdetection", "outlierDetection is meant"
    ),
    "ML904": Case(
        web(policy("{outlierDetection: []}")), web(FAR), "trafficPolicy.outlierDetection", "expected an object"
    ),
    "ML905": Case(
        [*web(FAR), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "labels": 7}}],
        web(FAR),
        "metadata.labels",
        "Expected an object, got 7",
    ),
    "ML906": Case(
        [*web(FAR), service("lonely", "shop", 80)],
        web(FAR),
        "",
        "Services without any endpoint here: lonely.shop.",
    ),
    "ML907": Case(mesh(None, {}, FAR), web(FAR), "", "No client is known here (6 pods, 1 Service)."),
    "ML910": Case(
        web(failover("[{from: r1, to: r2}]", annotations={"meshops.locality/lint-ignore": "ML220: "})),
        web(failover("[{from: r1, to: r2}]", annotations={"meshops.locality/lint-ignore": "ML220: not ours"})),
        "metadata.annotations[meshops.locality/lint-ignore]",
        "ML220 has no reason",
    ),
    "ML911": Case(
        web(failover("[{from: r1, to: r2}]", annotations={"meshops.locality/lint-ignore": "ML202: was once"})),
        web(failover("[{from: r1, to: r2}]", annotations={"meshops.locality/lint-ignore": "ML220: not ours"})),
        "metadata.annotations[meshops.locality/lint-ignore]",
        "There is no finding ML202",
    ),
}
#: What the second mesh of a case is given instead of `options` and `version`.
CLEAN_OPTIONS: t.Mapping[str, Json] = {"ML507": {"observed": FRESH}}
CLEAN_VERSION: t.Mapping[str, str] = {"ML602": "1.31"}
