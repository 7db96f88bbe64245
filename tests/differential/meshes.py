# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated meshes: small ones, weighted toward what is easily got wrong.

A mesh is what the oracle reads: {"objects": […], "mesh": {…}, "clients": […]}. The same random numbers make the same
mesh. A plain `random.Random` and not Hypothesis, because Hypothesis draws a mesh a hundred times slower than istiod
answers; what Hypothesis would do with a failure is done by shrink.py.

Not generated: several clusters, waypoints, EnvoyFilters.
"""

from __future__ import annotations

import typing as t
from random import Random

from .api_objects import ApiObjects
from .external_services import External
from .mesh_choices import (
    DISTRIBUTIONS,
    NAMESPACES,
    NETWORK,
    REGION,
    REGIONS,
    SUBZONE,
    SUBZONES,
    ZONE,
    ZONES,
    Dice,
    Json,
    istio,
)
from .policies import Policies

#: Wildcards of rules and routes.
WIDE = ("*.a.svc.cluster.local", "*.svc.cluster.local", "*.local", "*.b.svc.cluster.local", "*.example.com", "*")
EGRESS = (
    "*/*",
    "*/*",
    "./*",
    "a/*",
    "b/*",
    "istio-system/*",
    "*/web.a.svc.cluster.local",
    "a/web.a.svc.cluster.local",
    "*/*.example.com",
    "b/*.svc.cluster.local",
    "./*.a.svc.cluster.local",
    "~a/*",
    "~*/web.a.svc.cluster.local",
    "~./*",
    "~/*",
    "nonsense",
    "*/entry-0.example.com",
)


def generate(random: Random, *, zone_aware: bool = True) -> Json:
    """Return a mesh. `zone_aware`: with the settings that only Istio 1.31 and later know."""
    return _Mesh(Dice(random), zone_aware).make()


class _Mesh:
    def __init__(self, dice: Dice, zone_aware: bool) -> None:
        self.dice, self.chance, self.pick = dice, dice.chance, dice.pick
        self.objects: list[Json] = []
        self.clients: list[Json] = []
        self.pods: list[Json] = []
        self.hosts: list[str] = []
        self.addresses: list[str] = []
        self.policies = Policies(dice, zone_aware)
        self.external = External(dice, self.address, self.addresses)

    def make(self) -> Json:
        random = self.dice.random
        nodes = [self.node(f"n{number}") for number in range(self.pick((1, 3, 4, 5, 6, 7)))]
        self.objects += [*nodes, *(self.namespace(name) for name in NAMESPACES)]
        for number in range(self.pick((0, 1, 3, 5, 6, 7, 8, 10))):
            self.pods.append(self.pod(f"web-{number}", self.pick(("a", "a", "a", "b")), nodes))
        self.objects += self.pods
        for number in range(random.randint(1, 3)):
            self.client(f"client-{number}", nodes)
        for number in range(self.pick((0, 0, 0, 0, 1, 2))):
            self.objects.append(self.external.workload_entry(f"machine-{number}", self.pick(("a", "b"))))
        for _number in range(self.pick((1, 1, 1, 2, 2, 3))):
            self.service()
        for number in range(self.pick((0, 0, 0, 1, 1, 2))):
            items = self.external.service_entry(f"entry-{number}", self.hosts)
            self.objects += items
            self.hosts += items[-1]["spec"]["hosts"]
        for number in range(self.pick((0, 1, 1, 2, 2, 2, 3, 4))):
            self.rule(f"rule-{number}")
        for number in range(self.pick((0, 0, 0, 0, 1, 2))):
            self.sidecar(f"sidecar-{number}")
        for number in range(self.pick((0, 0, 0, 1, 1, 2))):
            self.route(f"route-{number}")
        self.objects += ApiObjects(self.dice, self.address).make(self.clients, self.objects, self.hosts)
        for number in range(self.pick((0, 0, 0, 0, 1))):
            self.delegation(f"root-{number}")
        config = self.policies.mesh()
        networks = self.networks() if self.chance(0.2) else {}
        for number in range(self.pick((0, 0, 0, 1, 2))):
            self.gateway(f"way-{number}")
        self.outbound_policies(config)
        if "discoverySelectors" in config:
            self.objects = list(filter(self.seen, self.objects))
        self.hosts_without_service()
        mesh: Json = {"objects": self.objects, "mesh": config, "clients": self.clients}
        return {**mesh, "networks": networks} if networks else mesh

    def hosts_without_service(self) -> None:
        """Let some VirtualServices be for a host that nothing else knows, too, or only for that."""
        for item in self.objects:
            if item["kind"] == "VirtualService" and item["spec"].get("hosts") and self.chance(0.2):
                own = item["spec"]["hosts"] if self.chance(0.5) else []
                item["spec"]["hosts"] = list(dict.fromkeys([*own, self.pick(("old.example.org", "*.example.org"))]))

    def outbound_policies(self, config: Json) -> None:
        """Let the mesh and some Sidecars say what becomes of requests to hosts that a client does not know."""
        chance, pick = self.chance, self.pick
        modes = ("REGISTRY_ONLY", "ALLOW_ANY", *(["ALLOW_ANY_DYNAMIC_DNS"] if self.policies.zone_aware else []))
        if chance(0.1):
            config["outboundTrafficPolicy"] = pick(({"mode": pick(modes)}, {"mode": pick(modes)}, {}))
        for sidecar in (item for item in self.objects if item["kind"] == "Sidecar" and chance(0.4)):
            policy: Json = pick(({}, {"mode": "REGISTRY_ONLY"}, {"mode": "ALLOW_ANY"}, {"mode": "ALLOW_ANY"}))
            if chance(0.5):
                policy = {**policy, "egressProxy": {"host": pick(self.hosts), "port": {"number": 80}}}
                if chance(0.3):
                    policy["egressProxy"]["subset"] = pick(("v1", "v2"))
                if chance(0.2):
                    del policy["egressProxy"]["port"]
            sidecar["spec"]["outboundTrafficPolicy"] = policy

    def gateway(self, name: str) -> None:
        """Add a Gateway, and let some VirtualServices be bound to it."""
        chance, pick = self.chance, self.pick
        namespace = pick(("a", "b", "istio-system"))
        domains = (
            "*",
            "*.local",
            "*.example.com",
            "web.a.svc.cluster.local",
            "api.a.svc.cluster.local",
            "www.example.com",
        )
        servers = []
        for number in range(pick((1, 1, 2, 3))):
            protocol = pick(("HTTP", "HTTP", "HTTP", "HTTP2", "GRPC", "HTTPS", "TCP", "TLS"))
            port = pick((80, 80, 81)) if protocol not in ("HTTPS", "TLS") else 443
            server: Json = {"port": {"number": port, "name": f"p{number}", "protocol": protocol}}
            prefix = ("", "", "", "*/", "./", "a/", "b/")
            taken = (f"{pick(prefix)}{pick(domains)}" for _n in range(pick((1, 1, 2))))
            # istiod dies of a host after */*.
            server["hosts"] = list(dict.fromkeys("*" if host == "*/*" else host for host in taken))
            if protocol in ("HTTPS", "TLS"):
                server["tls"] = {"mode": pick(("SIMPLE", "SIMPLE", "PASSTHROUGH")), "credentialName": "c"}
            elif protocol == "HTTP" and chance(0.1):
                server["tls"] = {"httpsRedirect": True}
            servers.append(server)
        spec: Json = {"servers": servers}
        if chance(0.9):
            spec["selector"] = pick(({"app": "client"}, {"app": "client"}, {"version": "v1"}, {"app": "x"}))
        self.objects.append(istio("Gateway", namespace, name, spec, creationTimestamp=self.dice.created()))
        for item in self.objects:
            if item["kind"] == "VirtualService" and item["spec"].get("hosts") and chance(0.6):
                own = name if item["metadata"]["namespace"] == namespace and chance(0.5) else f"{namespace}/{name}"
                item["spec"]["gateways"] = list(pick(([own], [own], ["mesh", own])))
                for entry in (entry for kind in ("http", "tcp", "tls") for entry in item["spec"].get(kind) or []):
                    for match in entry.get("match") or []:
                        if chance(0.1):
                            match["gateways"] = list(pick(([own], ["mesh"])))

    def networks(self) -> Json:
        """Put what there is into two networks, with gateways between them, and return the meshNetworks."""
        chance, pick = self.chance, self.pick
        clients = {client["pod"]: client["metadata"] for client in self.clients}
        for item in self.objects:
            metadata, spec = item["metadata"], item.get("spec") or {}
            if item["kind"] == "Pod":
                if chance(0.7):
                    metadata["labels"][NETWORK] = pick(("n1", "n1", "n2"))
                if chance(0.85):
                    metadata["labels"]["security.istio.io/tlsMode"] = pick(("istio", "istio", "istio", "disabled"))
                if metadata["name"] in clients and chance(0.8):
                    network = pick(("n1", "n1", "n2", "n3"))
                    spec["containers"][-1]["env"] = [{"name": "ISTIO_META_NETWORK", "value": network}]
                    clients[metadata["name"]]["NETWORK"] = network
            elif item["kind"] == "WorkloadEntry" and chance(0.4):
                spec["serviceAccount"] = "machine"
            elif item["kind"] == "DestinationRule" and chance(0.15):
                policies = [spec.setdefault("trafficPolicy", {})] + [
                    subset.setdefault("trafficPolicy", {}) for subset in spec.get("subsets") or [] if chance(0.5)
                ]
                for policy in policies:
                    policy["tls"] = {"mode": pick(("DISABLE", "ISTIO_MUTUAL", "SIMPLE"))}
        for number in range(pick((0, 1, 1, 2))):
            self.network_gateway(f"gateway-{number}")
        return self.mesh_networks() if chance(0.4) else {}

    def network_gateway(self, name: str) -> None:
        """Add a Service that leads into a network."""
        chance, pick = self.chance, self.pick
        labels = {NETWORK: pick(("n1", "n2", "n2"))} if chance(0.9) else {}
        port = pick((15443, 15443, 15443, 15008, 80))
        if chance(0.1):
            labels["networking.istio.io/gatewayPort"] = pick(("80", "x"))
        ports = [{"name": "tls", "port": port, "protocol": "TCP"}]
        spec: Json = {"type": "LoadBalancer", "clusterIP": self.address(), "ports": ports}
        if chance(0.1):
            spec["externalIPs"] = [self.address()]
        ingress = [{"ip": self.address()} for _n in range(pick((0, 1, 1, 1, 2, 3)))]
        metadata = {"name": name, "namespace": "istio-system", "labels": labels}
        item = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
        self.objects.append({**item, "status": {"loadBalancer": {"ingress": ingress}}})

    def mesh_networks(self) -> Json:
        """Return meshNetworks: endpoints by registry and by address, gateways by address and by Service."""
        pick, networks = self.pick, {}
        home = pick(("n1", "n2", "n3", ""))
        ranges = ["10.0.0.0/24", "10.0.0.0/28", "10.0.0.8/29"]  # of one range that two have istiod takes either
        self.dice.random.shuffle(ranges)
        for name, own in zip(("n1", "n2", "n3"), ranges, strict=True):
            endpoints = [{"fromRegistry": "Kubernetes" if name == home else "other"}]
            if self.chance(0.3):
                endpoints.append({"fromCidr": own})
            gateways: list[Json] = []
            if self.chance(0.4):
                gateways.append({"address": f"192.0.2.{pick((1, 2, 3))}", "port": pick((15443, 443))})
            if self.chance(0.3):
                service = f"gateway-{pick((0, 1))}.istio-system.svc.cluster.local"
                gateways.append({"registryServiceName": service, "port": 15443})
            networks[name] = {"endpoints": endpoints, "gateways": gateways}
        return {"networks": networks}

    def seen(self, item: Json) -> bool:
        """Whether istiod's store has an object: the oracle's own store would not look at discoverySelectors."""
        namespaces = {
            namespace_object["metadata"]["name"]: namespace_object
            for namespace_object in self.objects
            if namespace_object["kind"] == "Namespace"
        }
        if not item["apiVersion"].startswith(("networking.istio.io/", "gateway.networking.k8s.io/")):
            return True
        if "namespace" not in item["metadata"]:
            return True  # a GatewayClass
        return "mesh" in namespaces[item["metadata"]["namespace"]]["metadata"]["labels"]

    def node(self, name: str) -> Json:
        labels: Json = {}
        for label, legacy, probability, values in (
            (REGION, "failure-domain.beta.kubernetes.io/region", 0.93, REGIONS),
            (ZONE, "failure-domain.beta.kubernetes.io/zone", 0.85, ZONES),
            (SUBZONE, SUBZONE, 0.7, SUBZONES),
        ):
            if self.chance(probability):
                labels[legacy if self.chance(0.1) else label] = self.pick(values)
        if self.chance(0.04):
            labels[REGION] = ""
        if self.chance(0.05):
            labels = {}
        return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}

    def namespace(self, name: str) -> Json:
        metadata: Json = {"name": name, "labels": {}}
        if self.chance(0.1):
            metadata["annotations"] = {"networking.istio.io/traffic-distribution": self.pick(DISTRIBUTIONS)}
        if self.chance(0.8):
            metadata["labels"]["mesh"] = "yes"  # for discoverySelectors
        if self.chance(0.06):
            metadata["labels"][NETWORK] = self.pick(("n1", "n2"))
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}

    def address(self) -> str:
        serial = len(self.addresses) + 1
        address = f"10.{serial // 250}.0.{serial % 250 + 1}"
        self.addresses.append(address)
        return address

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
        if self.chance(0.06):
            labels["istio.io/draining"] = "true"
        if self.chance(0.05):
            labels[NETWORK] = self.pick(("n1", "n2"))
        node = self.pick(nodes)["metadata"]["name"] if self.chance(0.95) else "gone"
        address = self.address()
        container: Json = {"name": "app", "image": "app"}
        if self.chance(0.2):
            container["ports"] = [{"name": "http", "containerPort": 9000, "protocol": "TCP"}]
        metadata: Json = {"name": name, "namespace": namespace, "labels": labels}
        status: Json = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        if app == "web":
            if self.chance(0.08):
                status["conditions"][0]["status"] = self.pick(("False", "Unknown"))
            if self.chance(0.03):
                status["phase"] = "Failed"  # not Succeeded: Kubernetes takes those out of EndpointSlices
            if self.chance(0.04):
                metadata["deletionTimestamp"] = "2026-01-05T00:00:00Z"
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"nodeName": node, "containers": [container]},
            "status": status,
        }

    def client(self, name: str, nodes: list[Json]) -> None:
        kind = "router" if self.chance(0.2) else "sidecar"
        pod = self.pod(name, self.pick(("a", "a", "b", "istio-system")), nodes, "client")
        pod["spec"]["containers"].append({"name": "istio-proxy", "image": "proxyv2", "args": ["proxy", kind]})
        self.objects.append(pod)
        self.clients.append(
            {
                "name": name,
                "namespace": pod["metadata"]["namespace"],
                "pod": name,
                "type": kind,
                "metadata": {"NODE_NAME": pod["spec"]["nodeName"]},
            }
        )

    def service(self) -> None:
        name, namespace = self.pick(("web", "web", "api", "db")), self.pick(("a", "a", "a", "b"))
        host = f"{name}.{namespace}.svc.cluster.local"
        if host in self.hosts:
            return
        ports = self.service_ports()
        spec: Json = {"clusterIP": f"10.96.0.{len(self.hosts) + 1}", "ports": ports, "selector": {"app": "web"}}
        labels: Json = {}
        annotations: Json = {}
        if self.chance(0.1):
            spec["clusterIP"] = "None"
        if self.chance(0.12):
            spec["trafficDistribution"] = self.pick(("PreferClose", "PreferSameZone", "PreferSameNode", "Nonsense"))
        if self.chance(0.1):
            annotations["networking.istio.io/traffic-distribution"] = self.pick(DISTRIBUTIONS)
        if self.chance(0.06):
            spec["internalTrafficPolicy"] = "Local"
        if self.chance(0.06):
            spec["publishNotReadyAddresses"] = True
        if self.chance(0.12):
            exports = self.pick((".", "*", "b", "a, b", "~", "a,*", ".,istio-system"))
            annotations["networking.istio.io/exportTo"] = exports
        if self.chance(0.1):
            labels["istio.io/persistent-session"] = "cookie"
        if self.chance(0.05):
            labels["istio.io/persistent-session-header"] = "x"
        if self.chance(0.03):
            spec = {"type": "ExternalName", "externalName": "example.com", "ports": ports}
        metadata = {
            "name": name,
            "namespace": namespace,
            "creationTimestamp": self.dice.created(),
            "labels": labels,
            "annotations": annotations,
        }
        self.objects.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        self.hosts.append(host)
        if spec.get("type") == "ExternalName":
            return
        chosen = [pod for pod in self.pods if pod["metadata"]["namespace"] == namespace and self.chance(0.9)]
        cut = self.dice.random.randint(0, len(chosen)) if self.chance(0.2) else len(chosen)
        for number, some in enumerate((chosen[:cut], chosen[cut:])):
            if some or number == 0:
                self.slice(f"{name}-{number}", name, namespace, some, ports)

    def service_ports(self) -> list[Json]:
        first = self.pick(("http", "http", "http", "http-web", "grpc", "h", ""))
        ports: list[Json] = [{"name": first, "port": 80, "targetPort": 8080, "protocol": "TCP"}]
        if first and self.chance(0.3):
            named = self.pick(("tcp-x", "tcp-x", "tls", "https", "grpc", "x"))
            ports.append({"name": named, "port": 81, "targetPort": 8081, "protocol": "TCP"})
            if ports[1]["name"] == first:
                ports[1]["name"] = "x"
        if first and self.chance(0.05):
            ports.append({"name": "dns", "port": 82, "targetPort": 8082, "protocol": "UDP"})
        if self.chance(0.08):
            ports[0]["appProtocol"] = self.pick(("http", "tcp", "kubernetes.io/h2c", "weird"))
        if self.chance(0.1):
            ports[0]["targetPort"] = "http"
        return ports

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
        metadata = {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": service}}
        self.objects.append(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": metadata,
                "addressType": "IPv4",
                "endpoints": endpoints,
                "ports": [
                    {
                        "name": port["name"],
                        "port": 8080 if port["targetPort"] == "http" else port["targetPort"],
                        "protocol": port["protocol"],
                    }
                    for port in ports
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

    def host(self) -> str:
        """Return a host of a rule or a route: one there is, short perhaps, or a wildcard."""
        host = str(self.pick(self.hosts))
        if self.chance(0.12) and host.endswith(".svc.cluster.local"):
            return host.partition(".")[0]
        return str(self.pick(WIDE)) if self.chance(0.2) else host

    def rule(self, name: str) -> None:
        namespace = self.pick(("a", "a", "a", "b", "istio-system"))
        spec = self.policies.rule(self.host())
        self.objects.append(istio("DestinationRule", namespace, name, spec, creationTimestamp=self.dice.created()))

    def sidecar(self, name: str) -> None:
        namespace = self.pick(("a", "b", "istio-system"))
        own = [f"*/{host}" for host in self.hosts]
        # The last one may be for all ports, the others may not.
        ports = self.dice.random.sample((80, 81), self.pick((0, 0, 0, 1, 2)))
        listeners: list[Json] = [{"port": {"number": port, "protocol": "HTTP", "name": f"p{port}"}} for port in ports]
        if not ports or self.chance(0.8):
            listeners.append({})
        if ports and self.chance(0.1):
            listeners[0]["port"]["protocol"] = "HTTP_PROXY"
        for listener in listeners:
            listener["hosts"] = self.dice.several((*EGRESS, *own), 1, 3)
        spec: Json = {"egress": listeners}
        if self.chance(0.3):
            spec["workloadSelector"] = {"labels": self.pick(({"app": "client"}, {"version": "v2"}, {"app": "x"}))}
        self.objects.append(istio("Sidecar", namespace, name, spec, creationTimestamp=self.dice.created()))

    def route(self, name: str) -> None:
        hosts = [self.host()] if self.chance(0.85) else [self.host(), self.host()]
        http = [self.http(hosts[0]) for _n in range(self.pick((1, 1, 2, 3)))]
        spec: Json = {"hosts": list(dict.fromkeys(hosts)), "http": http}
        if self.chance(0.3):
            spec["exportTo"] = self.dice.exports()
        if self.chance(0.1):
            spec["gateways"] = self.pick((["mesh"], ["a/gateway"], ["mesh", "a/gateway"]))
        if self.chance(0.1):
            del spec["http"]
            spec.update(self.connection_routes(hosts[0]))
        namespace = self.pick(("a", "b"))
        self.objects.append(istio("VirtualService", namespace, name, spec, creationTimestamp=self.dice.created()))

    def connection_routes(self, own: str) -> Json:
        """Return `tcp` or `tls` of a VirtualService."""
        pick = self.pick
        entries: list[Json] = []
        for _n in range(pick((1, 1, 2))):
            entry: Json = {"route": [{"destination": self.destination(own)} for _m in range(pick((1, 1, 2)))]}
            if len(entry["route"]) == 2:
                entry["route"][0]["weight"] = weight = pick((0, 10, 50))
                entry["route"][1]["weight"] = 100 - weight
            entries.append(entry)
        if self.chance(0.5):
            for entry in entries:
                names = pick((["*"], [own], ["*.example.com"], ["www.example.com", "web.a.svc.cluster.local"]))
                entry["match"] = [{"sniHosts": names, **pick(({}, {}, {"port": 443}, {"port": 81}))}]
            return {"tls": entries}
        for entry in entries:
            if self.chance(0.7):
                entry["match"] = [pick(({"port": 80}, {"port": 81}, {"sourceLabels": {"version": "v1"}}))]
        return {"tcp": entries}

    def answer(self) -> Json:
        """Return what a route does without a destination, or to requests on their way there."""
        pick = self.pick
        return dict(
            pick(
                (
                    {"redirect": {"authority": "elsewhere", "redirectCode": pick((301, 302, 308))}},
                    {"directResponse": {"status": pick((200, 418, 503))}},
                    {"fault": {"abort": {"httpStatus": 503, "percentage": {"value": pick((5, 25, 100))}}}},
                    {"fault": {"delay": {"fixedDelay": "2s", "percentage": {"value": 10}}}},
                )
            )
        )

    def delegation(self, name: str) -> None:
        """Add a VirtualService that delegates, and one that answers for it."""
        host = self.host()
        root = {"match": [{"uri": {"prefix": "/x"}}], "delegate": {"name": f"{name}-part"}}
        part: Json = {"http": [self.http(host), {**self.http(host), "match": [{"uri": {"prefix": "/x/y"}}]}]}
        if self.chance(0.3):
            part["exportTo"] = self.dice.exports()
        http = [root, {"route": [{"destination": self.destination(host)}], **self.answer()}]
        for rule_name, spec in ((name, {"hosts": [host], "http": http}), (f"{name}-part", part)):
            self.objects.append(istio("VirtualService", "a", rule_name, spec, creationTimestamp=self.dice.created()))

    def destination(self, own: str) -> Json:
        """Return a destination, most of the time the host that is asked for."""
        host = own if self.chance(0.6) and not own.startswith("*") else self.pick(self.hosts)
        destination: Json = {"host": host if not host.startswith("*") else "www.example.com"}
        if self.chance(0.4):
            destination["port"] = {"number": self.pick((80, 81))}
        if self.chance(0.25):
            destination["subset"] = self.pick(("v1", "v2"))
        return destination

    def http(self, own: str) -> Json:
        count = self.pick((1, 1, 1, 2))
        http: Json = {"route": [{"destination": self.destination(own)} for _n in range(count)]}
        if count == 2:
            http["route"][0]["weight"] = weight = self.pick((10, 50, 90))
            http["route"][1]["weight"] = 100 - weight
        if self.chance(0.5):
            http["retries"] = self.policies.retries()
        if self.chance(0.2):
            http["timeout"] = self.pick(("1s", "0s"))
        if self.chance(0.25):
            match: t.Any = self.pick(
                ({"uri": {"prefix": "/x"}}, {"sourceNamespace": "a"}, {"sourceLabels": {"version": "v1"}}, {"port": 80})
            )
            http["match"] = [match]
        if self.chance(0.1):
            http["mirror"] = self.destination(own)
        return http
