# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated meshes: small ones, weighted toward what is easily got wrong.

A mesh is what the oracle reads: {"objects": […], "mesh": {…}, "clients": […]}. The same random numbers make the same
mesh. A plain `random.Random` and not Hypothesis, because Hypothesis draws a mesh a hundred times slower than istiod
answers; what Hypothesis would do with a failure is done by shrink.py.
"""

from __future__ import annotations

import typing as t
from random import Random

Json = dict[str, t.Any]

REGIONS, ZONES, SUBZONES = ("r1", "r2", "r3"), ("z1", "z2"), ("s1", "s2", "")
NAMESPACES = ("a", "b", "istio-system")
REGION, ZONE, SUBZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"
KEYS = (
    REGION,
    ZONE,
    SUBZONE,
    "topology.istio.io/network",
    "topology.istio.io/cluster",
    "kubernetes.io/hostname",
    "version",
    "tier",
    "misspelt",
    "version=v1",
    "tier=gold=x",
    f"{REGION}=r2",
    "topology.istio.io/network=n1",
    "tier=",
)
DISTRIBUTIONS = ("PreferSameZone", "PreferSameNode", "PreferClose", "prefersamezone", "Anything", "")


def generate(random: Random, *, zone_aware: bool = True) -> Json:
    """Return a mesh. `zone_aware`: with the settings that only Istio 1.31 and later know."""
    return _Mesh(random, zone_aware).make()


class _Mesh:
    def __init__(self, random: Random, zone_aware: bool) -> None:
        self.random = random
        self.zone_aware = zone_aware
        self.objects: list[Json] = []
        self.clients: list[Json] = []
        self.pods: list[Json] = []
        self.hosts: list[str] = []
        self.serial = 0

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def pick(self, options: t.Sequence[t.Any]) -> t.Any:
        return self.random.choice(options)

    def created(self) -> str:
        """Few moments, so that equal ages are common."""
        return f"2026-01-0{self.random.randint(1, 4)}T00:00:00Z"

    def make(self) -> Json:
        nodes = [self.node(f"n{number}") for number in range(self.random.randint(1, 5))]
        self.objects += nodes
        for name in NAMESPACES:
            self.objects.append(self.namespace(name))
        for number in range(self.random.randint(0, 7)):
            self.pods.append(self.pod(f"web-{number}", self.pick(("a", "a", "a", "b")), nodes))
        self.objects += self.pods
        for number in range(self.random.randint(1, 3)):
            self.client(f"client-{number}", nodes)
        for number in range(self.pick((1, 1, 1, 2, 2, 3))):
            self.service(("web", "api", "db")[number])
        for number in range(self.pick((0, 0, 0, 1, 1, 2))):
            self.service_entry(f"entry-{number}")
        for number in range(self.pick((0, 1, 1, 1, 2, 2, 3, 4))):
            self.rule(f"rule-{number}")
        for number in range(self.pick((0, 0, 0, 0, 1, 2))):
            self.sidecar(f"sidecar-{number}")
        for number in range(self.pick((0, 0, 0, 0, 0, 1))):
            self.route(f"route-{number}")
        return {"objects": self.objects, "mesh": self.mesh(), "clients": self.clients}

    def topology(self) -> Json:
        labels: Json = {}
        if self.chance(0.85):
            legacy = self.chance(0.1)
            labels["failure-domain.beta.kubernetes.io/region" if legacy else REGION] = self.pick(REGIONS)
        if self.chance(0.85):
            legacy = self.chance(0.1)
            labels["failure-domain.beta.kubernetes.io/zone" if legacy else ZONE] = self.pick(ZONES)
        if self.chance(0.7):
            labels[SUBZONE] = self.pick(SUBZONES)
        if self.chance(0.05):
            labels[REGION] = ""
        return labels

    def node(self, name: str) -> Json:
        labels = {} if self.chance(0.08) else self.topology()
        return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}

    def namespace(self, name: str) -> Json:
        metadata: Json = {"name": name, "labels": {}}
        if self.chance(0.1):
            metadata["annotations"] = {"networking.istio.io/traffic-distribution": self.pick(DISTRIBUTIONS)}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}

    def address(self) -> str:
        self.serial += 1
        return f"10.{self.serial // 250}.0.{self.serial % 250 + 1}"

    def pod(self, name: str, namespace: str, nodes: list[Json], app: str = "web") -> Json:
        labels = {"app": app, "version": self.pick(("v1", "v2"))}
        if self.chance(0.4):
            labels["tier"] = self.pick(("gold", "iron"))
        if self.chance(0.12):
            value = self.pick(("r1.z1.s1", "r2.z2", "r3", "r1..s1", "a.b.c.d", ""))
            labels[self.pick(("topology.istio.io/locality", "istio-locality"))] = value
            if self.chance(0.2):
                labels["istio-locality"] = self.pick(("r2.z1.s2", "r1"))
        if self.chance(0.05):
            labels[self.pick((REGION, ZONE, SUBZONE))] = self.pick(("r1", "z1", "s1"))
        if self.chance(0.05):
            labels["istio.io/draining"] = "true"
        node = self.pick(nodes)["metadata"]["name"] if self.chance(0.95) else "gone"
        address = self.address()
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"nodeName": node, "containers": [{"name": "app", "image": "app"}]},
            "status": {
                "phase": "Running",
                "podIP": address,
                "podIPs": [{"ip": address}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }

    def client(self, name: str, nodes: list[Json]) -> None:
        kind = "router" if self.chance(0.15) else "sidecar"
        pod = self.pod(name, self.pick(("a", "a", "b", "istio-system")), nodes, "client")
        container = {"name": "istio-proxy", "image": "proxyv2", "args": ["proxy", kind]}
        pod["spec"]["containers"].append(container)
        self.objects.append(pod)
        node = pod["spec"]["nodeName"]
        self.clients.append(
            {
                "name": name,
                "namespace": pod["metadata"]["namespace"],
                "pod": name,
                "type": kind,
                "metadata": {"NODE_NAME": node},
            }
        )

    def service(self, name: str) -> None:
        namespace = self.pick(("a", "a", "b"))
        ports: list[Json] = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
        if self.chance(0.3):
            ports.append({"name": self.pick(("tcp-x", "grpc", "x")), "port": 81, "targetPort": 8081, "protocol": "TCP"})
        if self.chance(0.05):
            ports.append({"name": "dns", "port": 82, "targetPort": 8082, "protocol": "UDP"})
        spec: Json = {"clusterIP": f"10.96.0.{len(self.hosts) + 1}", "ports": ports, "selector": {"app": "web"}}
        metadata: Json = {
            "name": name,
            "namespace": namespace,
            "creationTimestamp": self.created(),
            "labels": {},
            "annotations": {},
        }
        if self.chance(0.08):
            spec["clusterIP"] = "None"
        if self.chance(0.12):
            spec["trafficDistribution"] = self.pick(("PreferClose", "PreferSameZone", "PreferSameNode", "Nonsense"))
        if self.chance(0.1):
            metadata["annotations"]["networking.istio.io/traffic-distribution"] = self.pick(DISTRIBUTIONS)
        if self.chance(0.06):
            spec["internalTrafficPolicy"] = "Local"
        if self.chance(0.12):
            exports = self.pick((".", "*", "b", "a, b", "~", "a,*", ".,istio-system"))
            metadata["annotations"]["networking.istio.io/exportTo"] = exports
        if self.chance(0.06):
            metadata["labels"]["istio.io/persistent-session"] = "cookie"
        if self.chance(0.04):
            metadata["labels"]["istio.io/persistent-session-header"] = "x"
        if self.chance(0.03):
            spec = {"type": "ExternalName", "externalName": "example.com", "ports": ports}
        self.objects.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        self.hosts.append(f"{name}.{namespace}.svc.cluster.local")
        if spec.get("type") == "ExternalName":
            return
        chosen = [pod for pod in self.pods if pod["metadata"]["namespace"] == namespace and self.chance(0.9)]
        cut = self.random.randint(0, len(chosen)) if self.chance(0.2) else len(chosen)
        for number, some in enumerate((chosen[:cut], chosen[cut:])):
            if some or number == 0:
                self.slice(f"{name}-{number}", name, namespace, some, ports)

    def slice(self, name: str, service: str, namespace: str, pods: list[Json], ports: list[Json]) -> None:
        endpoints: list[Json] = []
        for pod in pods:
            reference = {"kind": "Pod", "name": pod["metadata"]["name"], "namespace": namespace}
            entry: Json = {"addresses": [pod["status"]["podIP"]], "targetRef": reference}
            if self.chance(0.9):
                entry["conditions"] = self.conditions()
            if self.chance(0.04):
                entry["targetRef"]["name"] = "missing"
            if self.chance(0.04):
                del entry["targetRef"]
            endpoints.append(entry)
        if self.chance(0.08):
            endpoints.append({"addresses": [self.address()], "conditions": {"ready": True}})
        if endpoints and self.chance(0.03):
            endpoints.append(dict(endpoints[0]))
        self.objects.append(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "labels": {"kubernetes.io/service-name": service},
                },
                "addressType": "IPv4",
                "endpoints": endpoints,
                "ports": [
                    {"name": port["name"], "port": port["targetPort"], "protocol": port["protocol"]} for port in ports
                ],
            }
        )

    def conditions(self) -> Json:
        if self.chance(0.7):
            return {"ready": True, "serving": True, "terminating": False}
        given: Json = {"ready": self.pick((True, False, False, False, None))}
        for name in ("serving", "terminating"):
            if self.chance(0.8):
                given[name] = self.chance(0.5)
        return {key: value for key, value in given.items() if value is not None}

    def locality(self) -> str:
        return str(
            self.pick(
                (
                    "r1",
                    "r1/z1",
                    "r1/z1/s1",
                    "r1/z1/s2",
                    "r1/z2",
                    "r2/z1/s1",
                    "r2",
                    "r3/z2/s1",
                    "r1/z1/",
                    "r1//s1",
                    "",
                    "r1/z1/s1/x",
                )
            )
        )

    def workload(self, dns: bool) -> Json:
        entry: Json = {"address": f"host-{self.random.randint(0, 5)}.example.com" if dns else self.address()}
        if self.chance(0.75):
            entry["locality"] = self.locality()
        entry["labels"] = {"app": "vm", "version": self.pick(("v1", "v2"))}
        if self.chance(0.1):
            entry["labels"]["istio-locality"] = "r2.z2.s2"
        if self.chance(0.3):
            entry["weight"] = self.pick((1, 2, 5, 10))
        if self.chance(0.1):
            entry["ports"] = {"http": 9090}
        if self.chance(0.04):
            entry["labels"]["istio.io/draining"] = "yes"
        return entry

    def service_entry(self, name: str) -> None:
        namespace = self.pick(("a", "b"))
        resolution = self.pick(("STATIC", "STATIC", "STATIC", "DNS", "DNS", "DNS_ROUND_ROBIN", "NONE"))
        dns = resolution.startswith("DNS")
        host = f"{name}.example.com"
        if self.chance(0.1) and self.hosts:
            host = self.pick(self.hosts)
        ports: list[Json] = [{"name": "http", "number": 80, "protocol": "HTTP"}]
        if self.chance(0.2):
            ports[0]["targetPort"] = 8080
        if self.chance(0.2):
            ports.append({"name": "tls", "number": 443, "protocol": "TLS"})
        spec: Json = {"hosts": [host], "ports": ports, "resolution": resolution, "location": "MESH_INTERNAL"}
        if self.chance(0.3):
            spec["location"] = "MESH_EXTERNAL"
        if self.chance(0.15):
            spec["exportTo"] = self.pick(
                (
                    [
                        ".",
                    ],
                    ["*"],
                    ["a"],
                    ["b", "istio-system"],
                    ["~"],
                )
            )
        metadata: Json = {"name": name, "namespace": namespace, "creationTimestamp": self.created(), "labels": {}}
        if self.chance(0.1):
            metadata["annotations"] = {"networking.istio.io/traffic-distribution": self.pick(DISTRIBUTIONS)}
        if self.chance(0.05):
            metadata.setdefault("annotations", {})["istio.io/connect-strategy"] = "RACE_FIRST_TCP_CONNECT"
        if resolution != "NONE":
            if self.chance(0.25):
                spec["workloadSelector"] = {"labels": {"app": self.pick(("vm", "web"))}}
                for number in range(self.random.randint(0, 3)):
                    self.workload_entry(f"{name}-vm-{number}", namespace, dns)
            elif not (dns and self.chance(0.2)):
                count = 1 if resolution == "DNS_ROUND_ROBIN" else self.random.randint(0 if not dns else 1, 5)
                spec["endpoints"] = [self.workload(dns) for _number in range(count)]
        self.objects.append(
            {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": metadata, "spec": spec}
        )
        self.hosts.append(host)

    def workload_entry(self, name: str, namespace: str, dns: bool) -> None:
        self.objects.append(
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "WorkloadEntry",
                "metadata": {"name": name, "namespace": namespace, "labels": {}},
                "spec": self.workload(dns and self.chance(0.5)),
            }
        )

    def host(self, namespace: str) -> str:
        host = str(self.pick(self.hosts))
        if self.chance(0.12) and host.endswith(".svc.cluster.local"):
            return host.partition(".")[0]
        if self.chance(0.2):
            return str(
                self.pick(
                    (
                        "*.a.svc.cluster.local",
                        "*.svc.cluster.local",
                        "*.local",
                        "*.b.svc.cluster.local",
                        "*.example.com",
                        "*",
                    )
                )
            )
        return host

    def exports(self) -> list[str]:
        return list(self.pick(([], [], ["*"], ["."], ["a"], ["b"], ["a", "b"], [".", "b"], ["istio-system"])))

    def rule(self, name: str) -> None:
        namespace = self.pick(("a", "a", "a", "b", "istio-system"))
        spec: Json = {"host": self.host(namespace)}
        if self.chance(0.92):
            spec["trafficPolicy"] = self.policy(ports=True)
        if self.chance(0.25):
            spec["subsets"] = [self.subset(one) for one in self.pick((["v1"], ["v1", "v2"], ["v2"]))]
        if self.chance(0.35):
            spec["exportTo"] = self.exports()
        if self.chance(0.12):
            labels = self.pick(({"app": "client"}, {"version": "v1"}, {"app": "nobody"}, {}))
            spec["workloadSelector"] = {"matchLabels": labels} if labels or self.chance(0.5) else {}
            spec.pop("exportTo", None)
        metadata = {"name": name, "namespace": namespace, "creationTimestamp": self.created()}
        self.objects.append(
            {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": metadata, "spec": spec}
        )

    def subset(self, name: str) -> Json:
        subset: Json = {"name": name, "labels": {"version": name}}
        if self.chance(0.1):
            subset["labels"] = {}
        if self.chance(0.5):
            subset["trafficPolicy"] = self.policy(ports=True)
        return subset

    def policy(self, *, ports: bool = False) -> Json:
        policy: Json = {}
        if self.chance(0.7):
            policy["loadBalancer"] = self.load_balancer()
        if self.chance(0.7):
            policy["outlierDetection"] = self.outlier_detection()
        if self.chance(0.2):
            policy["connectionPool"] = {"http": {"maxRequestsPerConnection": self.pick((0, 1, 10))}}
        if self.chance(0.1):
            policy["tls"] = {"mode": self.pick(("DISABLE", "ISTIO_MUTUAL"))}
        if ports and self.chance(0.15):
            levels = [
                {"port": {"number": self.pick((80, 81, 443))}, **self.policy()}
                for _n in range(self.random.randint(1, 2))
            ]
            policy["portLevelSettings"] = levels
        return policy

    def load_balancer(self) -> Json:
        balancer: Json = {}
        if self.chance(0.3):
            balancer["simple"] = self.pick(("LEAST_REQUEST", "ROUND_ROBIN", "RANDOM", "UNSPECIFIED", "PASSTHROUGH"))
        elif self.chance(0.08):
            balancer["consistentHash"] = self.pick(
                ({"httpHeaderName": "x"}, {"useSourceIp": True, "maglev": {}}, {"httpHeaderName": "x", "ringHash": {}})
            )
        if self.zone_aware and self.chance(0.1):
            balancer["zoneAwareLbSetting"] = self.zone_aware_setting()
        elif self.chance(0.75):
            balancer["localityLbSetting"] = self.locality_setting()
        return balancer

    def failover(self) -> list[Json]:
        return [
            {"from": self.pick(REGIONS), "to": self.pick((*REGIONS, "r9"))} for _n in range(self.random.randint(1, 3))
        ]

    def keys(self) -> list[str]:
        if self.chance(0.35):
            return list(
                self.pick((["topology.istio.io/network", REGION, ZONE], [REGION, ZONE], [REGION, ZONE, SUBZONE]))
            )
        return [self.pick(KEYS) for _n in range(self.random.randint(1, 4))]

    def locality_setting(self) -> Json:
        setting: Json = {}
        kind = self.random.random()
        if kind < 0.3:
            setting["failover"] = self.failover()
        elif kind < 0.6:
            setting["failoverPriority"] = self.keys()
            if self.chance(0.3):
                setting["failover"] = self.failover()
        elif kind < 0.85:
            setting["distribute"] = [self.distribution() for _n in range(self.random.randint(1, 2))]
            if self.chance(0.15):
                setting["failoverPriority"] = self.keys()
            if self.chance(0.1):
                setting["failover"] = self.failover()
        if self.chance(0.25):
            setting["enabled"] = self.chance(0.6)
        return setting

    def distribution(self) -> Json:
        origin = self.pick(("*", "r1/*", "r1/z1/*", "r1", "r1/z1/s1", "r2/*", "r2", "r1/z1", "us-*"))
        choices = ("r1/*", "r1/z1/*", "r1/z1/s1", "r1/z1/s2", "r1/z2/*", "r2/*", "r2/z1/*", "r3", "*", "r9/*", "us-*")
        targets = self.random.sample(choices, self.random.randint(1, 3))
        cuts = sorted(self.random.sample(range(1, 100), len(targets) - 1))
        weights = [high - low for low, high in zip([0, *cuts], [*cuts, 100], strict=True)]
        return {"from": origin, "to": dict(zip(targets, weights, strict=True))}

    def zone_aware_setting(self) -> Json:
        setting: Json = {}
        if self.chance(0.4):
            setting["failover"] = self.failover()
        if self.chance(0.3):
            setting["failoverPriority"] = [self.pick(("version", "tier", "topology.istio.io/network"))]
        if self.chance(0.3):
            setting["enabled"] = self.chance(0.6)
        if self.chance(0.3):
            setting["minClusterSize"] = self.pick((0, 3, 6))
        return setting

    def outlier_detection(self) -> Json:
        if self.chance(0.15):
            return {}
        block: Json = {}
        for name in ("consecutive5xxErrors", "consecutiveGatewayErrors"):
            if self.chance(0.5):
                block[name] = self.pick((0, 1, 5, 7))
        if self.chance(0.2):
            block["splitExternalLocalOriginErrors"] = True
        if self.chance(0.2):
            block["consecutiveLocalOriginFailures"] = self.pick((0, 1, 5))
        if self.chance(0.4):
            block["interval"] = self.pick(("1s", "10s", "1m"))
        if self.chance(0.4):
            block["baseEjectionTime"] = self.pick(("30s", "1m", "3m"))
        if self.chance(0.4):
            block["maxEjectionPercent"] = self.pick((0, 10, 34, 50, 100))
        if self.chance(0.25):
            block["minHealthPercent"] = self.pick((0, 1, 50, 100))
        return block

    def sidecar(self, name: str) -> None:
        namespace = self.pick(("a", "b", "istio-system"))
        hosts = ("*/*", "./*", "a/*", "b/*", "istio-system/*", "*/web.a.svc.cluster.local", "a/web.a.svc.cluster.local")
        more = (
            "*/*.example.com",
            "b/*.svc.cluster.local",
            "~a/*",
            "~*/web.a.svc.cluster.local",
            "nonsense",
            "*/entry-0.example.com",
        )
        listeners: list[Json] = []
        for _number in range(self.random.randint(1, 2)):
            listener: Json = {"hosts": [self.pick(hosts + more) for _n in range(self.random.randint(1, 3))]}
            if self.chance(0.2):
                listener["port"] = {"number": self.pick((80, 81)), "protocol": "HTTP", "name": "p"}
            listeners.append(listener)
        spec: Json = {"egress": listeners}
        if self.chance(0.3):
            spec["workloadSelector"] = {"labels": self.pick(({"app": "client"}, {"version": "v2"}, {"app": "x"}))}
        metadata = {"name": name, "namespace": namespace, "creationTimestamp": self.created()}
        self.objects.append(
            {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": metadata, "spec": spec}
        )

    def route(self, name: str) -> None:
        namespace = self.pick(("a", "b"))
        host = self.host(namespace)
        destination: Json = {"host": self.pick(self.hosts)}
        if self.chance(0.4):
            destination["port"] = {"number": self.pick((80, 81))}
        http: Json = {"route": [{"destination": destination}]}
        if self.chance(0.5):
            http["retries"] = {"attempts": self.pick((0, 1, 3)), "retryRemoteLocalities": self.chance(0.5)}
        metadata = {"name": name, "namespace": namespace, "creationTimestamp": self.created()}
        spec: Json = {"hosts": [host], "http": [http]}
        if self.chance(0.3):
            spec["exportTo"] = self.exports()
        self.objects.append(
            {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": spec}
        )

    def mesh(self) -> Json:
        config: Json = {}
        if self.chance(0.2):
            config["localityLbSetting"] = self.locality_setting()
        if self.zone_aware and self.chance(0.06):
            config["zoneAwareLbSetting"] = self.zone_aware_setting()
        if self.zone_aware and self.chance(0.08):
            config["defaultTrafficPolicy"] = {"outlierDetection": self.outlier_detection()}
        if self.chance(0.06):
            config["defaultDestinationRuleExportTo"] = [self.pick((".", "*"))]
        if self.chance(0.06):
            config["defaultServiceExportTo"] = [self.pick((".", "*", "b"))]
        return config
