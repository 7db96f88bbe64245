# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated objects of the Gateway API: Gateways with the Services of their pods, routes of four kinds, grants."""

from __future__ import annotations

import typing as t

from .mesh_choices import Dice, Json

GROUP = "gateway.networking.k8s.io"
HOSTNAMES = ("www.example.com", "*.example.com", "*.com", "web.a.svc.cluster.local", "*.local", "api.example.com")
KINDS = ("HTTPRoute", "HTTPRoute", "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute")
VERSIONS = {"TCPRoute": "v1alpha2", "ReferenceGrant": "v1beta1"}


class ApiObjects:
    """Makes them. `address()` gives an unused address."""

    def __init__(self, dice: Dice, address: t.Callable[[], str]) -> None:
        self.dice, self.chance, self.pick = dice, dice.chance, dice.pick
        self.address = address
        self.objects: list[Json] = []
        self.gateways: list[Json] = []

    def make(self, clients: list[Json], objects: list[Json], hosts: list[str]) -> list[Json]:
        """Return the objects for a mesh with these clients, objects and hosts."""
        for number in range(self.pick((0, 0, 0, 1, 1, 2))):
            self.gateway(f"entry-{number}", clients, objects)
        services = [host for host in hosts if host.endswith(".svc.cluster.local")]
        if services:
            for number in range(self.pick((1, 2, 3) if self.gateways else (0, 0, 0, 1, 2))):
                self.route(f"api-{number}", services)
            if self.gateways and self.chance(0.3):
                self.grant()
        return self.objects

    def add(self, kind: str, namespace: str, name: str, spec: Json) -> Json:
        """Add an object, and return it."""
        metadata = {"name": name, "namespace": namespace, "creationTimestamp": self.dice.created()}
        item = {"apiVersion": f"{GROUP}/{VERSIONS.get(kind, 'v1')}", "kind": kind, "metadata": metadata, "spec": spec}
        self.objects.append(item)
        return item

    def gateway(self, name: str, clients: list[Json], objects: list[Json]) -> None:
        """Add a Gateway, and most of the time the Service of its pods."""
        chance, pick = self.chance, self.pick
        namespaces = [client["namespace"] for client in clients if client["type"] == "router"] or ["a", "istio-system"]
        namespace = pick(namespaces)
        listeners = [self.listener(f"l{number}") for number in range(pick((1, 1, 2, 3, 4)))]
        spec: Json = {"gatewayClassName": pick(("istio",) * 8 + ("istio-waypoint", "other")), "listeners": listeners}
        service = f"{name}-{spec['gatewayClassName']}"
        if chance(0.15):
            service = "by-hand"
            value = pick((service, f"{service}.{namespace}.svc.cluster.local"))
            spec["addresses"] = [{"type": "Hostname", "value": value}]
        elif chance(0.1):
            spec["addresses"] = [{"type": "IPAddress", "value": "192.0.2.7"}]
        gateway_object = self.add("Gateway", namespace, name, spec)
        if spec["gatewayClassName"] == "other" and chance(0.7):
            controller = pick(("istio.io/gateway-controller", "example.com/controller"))
            metadata = {"name": "other"}
            kind = {"apiVersion": f"{GROUP}/v1", "kind": "GatewayClass"}
            self.objects.append({**kind, "metadata": metadata, "spec": {"controllerName": controller}})
        if chance(0.1):
            service = "renamed"
            gateway_object["metadata"]["annotations"] = {"gateway.istio.io/name-override": service}
        self.gateways.append(gateway_object)
        taken = any(item["kind"] == "Service" and item["metadata"]["name"] == service for item in self.objects)
        if chance(0.9) and not taken:
            self.service(service, namespace, sorted({listener["port"] for listener in listeners}), clients, objects)

    def listener(self, name: str) -> Json:
        """Return a listener."""
        chance, pick = self.chance, self.pick
        protocol = pick(("HTTP", "HTTP", "HTTP", "HTTPS", "TLS", "TCP", "TCP", "UDP"))
        port = 443 if protocol in ("HTTPS", "TLS") and chance(0.8) else pick((80, 80, 81))
        listener: Json = {"name": name, "port": port, "protocol": protocol}
        if protocol in ("HTTPS", "TLS"):
            mode = pick(("Terminate", "Passthrough")) if protocol == "TLS" else "Terminate"
            listener["tls"] = {"mode": mode}
            if mode == "Terminate":
                option = pick(("ISTIO_SIMPLE", "ISTIO_MUTUAL"))
                listener["tls"]["options"] = {"gateway.istio.io/tls-terminate-mode": option}
        if protocol not in ("TCP", "UDP") and chance(0.5):
            listener["hostname"] = pick(HOSTNAMES)
        source = pick(("All", "All", "Same", "Selector", ""))
        if source:
            listener["allowedRoutes"] = {"namespaces": {"from": source}}
            if source == "Selector":
                wanted = pick(({"mesh": "yes"}, {"kubernetes.io/metadata.name": "a"}, {"mesh": "no"}))
                listener["allowedRoutes"]["namespaces"]["selector"] = {"matchLabels": wanted}
        if chance(0.1):
            kinds = [{"group": GROUP, "kind": pick(KINDS)}]
            listener.setdefault("allowedRoutes", {})["kinds"] = kinds
        return listener

    def service(self, name: str, namespace: str, numbers: list[int], clients: list[Json], objects: list[Json]) -> None:
        """Add the Service of a Gateway's pods, with its EndpointSlice as Kubernetes would write it."""
        numbers = [number for number in numbers if self.chance(0.95)] or [80]
        shifted = self.chance(0.5)
        ports = [
            {
                "name": f"p{number}",
                "port": number,
                "targetPort": number + 8000 if shifted else number,
                "protocol": "TCP",
            }
            for number in numbers
        ]
        spec: Json = {
            "type": "LoadBalancer",
            "clusterIP": self.address(),
            "ports": ports,
            "selector": {"app": "client"},
        }
        metadata = {"name": name, "namespace": namespace, "creationTimestamp": self.dice.created()}
        self.objects.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        own = {client["pod"] for client in clients if client["namespace"] == namespace}
        endpoints = [
            {
                "addresses": [pod["status"]["podIP"]],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"], "namespace": namespace},
            }
            for pod in objects
            if pod["kind"] == "Pod" and pod["metadata"]["namespace"] == namespace and pod["metadata"]["name"] in own
        ]
        labels = {"kubernetes.io/service-name": name}
        self.objects.append(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": f"{name}-0", "namespace": namespace, "labels": labels},
                "addressType": "IPv4",
                "endpoints": endpoints,
                "ports": [{"name": port["name"], "port": port["targetPort"], "protocol": "TCP"} for port in ports],
            }
        )

    def route(self, name: str, services: list[str]) -> None:
        """Add a route for a Service or Gateways."""
        chance, pick = self.chance, self.pick
        kind = pick(KINDS)
        namespace = pick(("a", "a", "b"))
        rules = [self.rule(kind, services) for _n in range(pick((1, 1, 2, 3) if kind in KINDS[:4] else (1, 1, 1, 2)))]
        spec: Json = {"parentRefs": [], "rules": rules}
        for _n in range(pick((1, 1, 1, 2))):
            if self.gateways and chance(0.7):
                gateway = pick(self.gateways)
                parent: Json = {"name": gateway["metadata"]["name"], "namespace": gateway["metadata"]["namespace"]}
                if chance(0.15):
                    parent["sectionName"] = pick(("l0", "l1"))
                if chance(0.1):
                    parent["port"] = pick((80, 443))
            else:
                host, place = pick(services).split(".")[:2]
                parent = {"group": "", "kind": "Service", "name": host, "namespace": place}
                if chance(0.2):
                    parent["port"] = pick((80, 81))
            if parent not in spec["parentRefs"]:
                spec["parentRefs"].append(parent)
        if kind != "TCPRoute" and self.gateways and chance(0.7):
            spec["hostnames"] = self.dice.several(HOSTNAMES, 1, 2)
        self.add(kind, namespace, name, spec)

    def rule(self, kind: str, services: list[str]) -> Json:
        """Return a rule of a route."""
        chance, pick = self.chance, self.pick
        backends = []
        for _m in range(pick((0, 1, 1, 2))):
            host, namespace = pick(services).split(".")[:2]
            backend: Json = {"name": host, "namespace": namespace, "port": pick((80, 81)), "weight": pick((0, 1, 9))}
            if chance(0.3):
                del backend["namespace"]
            backends.append(backend)
        rule: Json = {"backendRefs": backends}
        if kind == "HTTPRoute":
            if chance(0.6):
                path = {"type": pick(("PathPrefix", "Exact")), "value": pick(("/", "/x", "/x/y"))}
                rule["matches"] = [{"path": path}]
                if chance(0.4):
                    rule["matches"][0]["headers"] = [{"name": "x", "value": "1", "type": "Exact"}]
            if chance(0.3):
                rule["retry"] = {"attempts": pick((0, 1, 3)), "codes": [503]}
            if chance(0.2):
                rule["timeouts"] = {"request": "3s", "backendRequest": "1s"}
        elif kind == "GRPCRoute" and chance(0.5):
            rule["matches"] = [{"method": {"service": "s", "method": "m", "type": "Exact"}}]
        return rule

    def grant(self) -> None:
        """Allow some routes to name Services of another namespace."""
        pick = self.pick
        origin = [{"group": GROUP, "kind": kind, "namespace": pick(("a", "b"))} for kind in sorted(set(KINDS))]
        target: Json = {"group": "", "kind": "Service"}
        if self.chance(0.3):
            target["name"] = pick(("web", "api"))
        self.add("ReferenceGrant", pick(("a", "b")), "grant", {"from": origin, "to": [target]})
