# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated ServiceEntries and WorkloadEntries: endpoints that say themselves where they are and what they weigh."""

from __future__ import annotations

import typing as t

from .mesh_choices import DISTRIBUTIONS, Dice, Json, istio

LOCALITIES = (
    "r1", "r1/z1", "r1/z1/s1", "r1/z1/s1", "r1/z1/s2", "r1/z2", "r1/z2/s1", "r2/z1/s1", "r2/z2", "r2", "r3/z2/s1",
    "r1/z1/", "r1//s1", "", "r1/z1/s1/x",
)  # fmt: skip
RESOLUTIONS = ("STATIC", "STATIC", "STATIC", "STATIC", "DNS", "DNS", "DNS_ROUND_ROBIN", "NONE", "DYNAMIC_DNS")
#: Without DYNAMIC_DNS, which only wildcard hosts may have, and DNS, which they may not.
WILD_RESOLUTIONS = ("NONE", "STATIC", "DYNAMIC_DNS")


class External:
    """Makes ServiceEntries. `address` gives a new address, `known` are those there are already."""

    def __init__(self, dice: Dice, address: t.Callable[[], str], known: list[str]) -> None:
        self.dice = dice
        self.address = address
        self.known = known

    def workload(self, dns: bool) -> Json:
        """Return an endpoint of a ServiceEntry, or the spec of a WorkloadEntry."""
        chance, pick = self.dice.chance, self.dice.pick
        entry: Json = {"address": f"host-{self.dice.random.randint(0, 5)}.example.com" if dns else self._address()}
        if chance(0.8):
            entry["locality"] = pick(LOCALITIES)
        entry["labels"] = {"app": pick(("vm", "vm", "web")), "version": pick(("v1", "v2"))}
        if chance(0.1):
            entry["labels"]["istio-locality"] = "r2.z2.s2"
        if chance(0.1):
            entry["labels"]["topology.istio.io/locality"] = pick(("r3.z1", "", "r1"))
        if chance(0.4):
            entry["weight"] = pick((0, 1, 2, 5, 10, 128))
        elif chance(0.03):
            entry["weight"] = 100_000_000
        if chance(0.1):
            entry["ports"] = {"http": 9090}
        if chance(0.08):
            entry["network"] = pick(("n1", "n2"))
        if chance(0.05):
            entry["labels"]["istio.io/draining"] = "yes"
        if not dns and chance(0.03):
            entry["address"] = f"unix:///run/{self.dice.random.randint(0, 2)}.sock"
            entry.pop("ports", None)
        return entry

    def _address(self) -> str:
        if self.known and self.dice.chance(0.1):
            return str(self.dice.pick(self.known))
        if self.dice.chance(0.04):
            return f"2001:db8::{self.dice.random.randint(1, 3)}"
        return self.address()

    def workload_entry(self, name: str, namespace: str, *, dns: bool = False) -> Json:
        """Return a WorkloadEntry; labels of its metadata count, too."""
        labels = {"app": self.dice.pick(("web", "vm"))} if self.dice.chance(0.2) else {}
        return istio("WorkloadEntry", namespace, name, self.workload(dns), labels=labels)

    def service_entry(self, name: str, known_hosts: t.Sequence[str]) -> list[Json]:
        """Return a ServiceEntry, with the WorkloadEntries that it may select."""
        dice, chance, pick = self.dice, self.dice.chance, self.dice.pick
        namespace = pick(("a", "a", "b"))
        resolution = pick(RESOLUTIONS)
        hosts = [f"{name}.example.com"]
        if resolution == "DYNAMIC_DNS" or chance(0.12):
            hosts = [pick(("*.example.com", "*.wild.example.com"))]
            resolution = resolution if resolution in WILD_RESOLUTIONS else pick(WILD_RESOLUTIONS)
        elif chance(0.2) and known_hosts:
            hosts = [pick(known_hosts)]
            if hosts[0].startswith("*"):
                resolution = pick(WILD_RESOLUTIONS)
        elif chance(0.12):
            hosts.append(f"{name}.other.example.com")
        dns = resolution in ("DNS", "DNS_ROUND_ROBIN")
        ports: list[Json] = [{"name": "http", "number": 80, "protocol": pick(("HTTP", "HTTP", "GRPC"))}]
        if chance(0.2):
            ports[0]["targetPort"] = 8080
        if chance(0.25):
            ports.append({"name": "tls", "number": 443, "protocol": pick(("TLS", "HTTPS", "TCP"))})
        if chance(0.05):
            ports.append({"name": "dns", "number": 53, "protocol": "UDP"})
        location = "MESH_EXTERNAL" if chance(0.3) else "MESH_INTERNAL"
        spec: Json = {"hosts": hosts, "ports": ports, "resolution": resolution, "location": location}
        if chance(0.15):
            spec["exportTo"] = pick((["."], ["*"], ["a"], ["b", "istio-system"], ["~"]))
        metadata: Json = {"creationTimestamp": dice.created(), "labels": {}, "annotations": {}}
        if chance(0.1):
            metadata["annotations"]["networking.istio.io/traffic-distribution"] = pick(DISTRIBUTIONS)
        if chance(0.08):
            metadata["annotations"]["istio.io/connect-strategy"] = pick(("RACE_FIRST_TCP_CONNECT", "DEFAULT"))
        if chance(0.08):
            metadata["labels"]["istio.io/persistent-session"] = "cookie"
        generated = []
        if resolution not in ("NONE", "DYNAMIC_DNS"):
            if chance(0.3):
                spec["workloadSelector"] = {"labels": {"app": pick(("vm", "web"))}}
                for number in range(dice.random.randint(0, 3)):
                    generated.append(self.workload_entry(f"{name}-vm-{number}", namespace, dns=dns and chance(0.5)))
            elif not (dns and chance(0.2)):
                count = 1 if resolution == "DNS_ROUND_ROBIN" else pick((1 if dns else 0, 1, 2, 3, 5, 6, 7))
                spec["endpoints"] = [self.workload(dns) for _number in range(count)]
        return [*generated, istio("ServiceEntry", namespace, name, spec, **metadata)]
