# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What istiod says about VirtualServices, ServiceEntries, WorkloadEntries and Sidecars, where requests depend on it.

Of a VirtualService: hosts, destinations, weights, retries, timeouts, exportTo. Of a Sidecar: what its egress listeners
import, and whom it is for. ServiceEntries and WorkloadEntries whole, but for warnings about protocols.
Source: istio 1.31 pkg/config/validation/validation.go and virtualservice.go; the messages are istiod's.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio import value_validation
from ansible_collections.meshops.locality.plugins.module_utils._istio.api_messages import Typed
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import overlaps
from ansible_collections.meshops.locality.plugins.module_utils._istio.validation_texts import coded
from ansible_collections.meshops.locality.plugins.module_utils._istio.validation_verdict import (
    Said,
    Verdict,
    error,
    warning,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.value_validation import quoted
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import Semantics
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_objects import PROTOCOLS

_RETRY_ON = frozenset(
    [
        *(
            "5xx",
            "gateway-error",
            "reset",
            "reset-before-request",
            "connect-failure",
            "retriable-4xx",
            "refused-stream",
        ),
        *("retriable-status-codes", "retriable-headers", "envoy-ratelimited", "http3-post-connect-failure"),
        *("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"),
    ]
)
#: The status codes that have a name in Go's net/http.
_STATUS = frozenset(
    [
        *(*range(100, 104), *range(200, 209), 226, *range(300, 306), 307, 308),
        *(*range(400, 419), *range(421, 427), 428, 429, 431, 451, *range(500, 509), 510, 511),
    ]
)

#: Protocols whose requests name their host.
_NAMED_HOSTS = ("HTTP", "HTTP2", "HTTP_PROXY", "GRPC", "GRPCWeb", "HTTPS", "TLS")


def virtual_service(namespace: str, spec: Typed, _known: Semantics) -> Said:
    """Say what istiod says about a decoded VirtualService."""
    hosts = spec.get("hosts", [])
    if not hosts:
        for name, text in (("gateways", "gateways"), ("tls", "tls route"), ("tcp", "tcp route")):
            if spec.get(name):
                yield from error(name, f"delegate virtual service must have no {text} specified")
    to_gateway = bool(spec.get("gateways")) and "mesh" not in spec["gateways"]
    legal = True
    for index, host in enumerate(hosts):
        wrong = "" if value_validation.is_ip(host) else value_validation.wildcard_domain(host)
        if not wrong and host == "*" and not to_gateway:
            wrong = "wildcard host * is not allowed for virtual services bound to the mesh gateway"
        legal = legal and not wrong
        yield from error(f"hosts[{index}]", wrong)
    for index, host in enumerate(hosts if legal else ()):
        for other in hosts[index + 1 :]:
            if overlaps(host, other):
                yield from error(f"hosts[{index}]", f"duplicate hosts in virtual service: {host} & {other}")
    if not any(spec.get(name) for name in ("http", "tcp", "tls")):
        yield from error("http", "http, tcp or tls must be provided in virtual service")
    for index, route in enumerate(spec.get("http", ())):
        yield from _http(route, f"http[{index}]", delegate=not hosts)
    for kind in ("tls", "tcp"):
        for index, route in enumerate(spec.get(kind, ())):
            if not route.get("route"):
                yield from error(f"{kind}[{index}].route", f"{kind.upper()} route is required")
            yield from _destinations(route.get("route", ()), f"{kind}[{index}].route")
    for place, wrong in value_validation.export_to(namespace, spec.get("exportTo", ())):
        yield from error("exportTo" if place is None else f"exportTo[{place}]", wrong)


def _http(route: Typed, path: str, *, delegate: bool) -> Said:
    answers = route.get("redirect") is not None or route.get("directResponse") is not None
    if route.get("delegate") is not None and not delegate:
        if "route" in route:
            yield from error(f"{path}.route", f"root HTTP route {route.get('name', '')} must not specify route")
    elif not answers and not route.get("route"):
        yield from error(f"{path}.route", "HTTP route, redirect or direct_response is required")
    elif answers and route.get("route"):
        kind = "redirect" if route.get("redirect") is not None else "direct_response"
        yield from error(f"{path}.route", f"HTTP route cannot contain both route and {kind}")
    if "mirror" in route:
        yield from _destination(route["mirror"], f"{path}.mirror")
    if "retries" in route:
        yield from retries(route["retries"], f"{path}.retries")
    yield from _destinations(route.get("route", ()), f"{path}.route")
    if "timeout" in route:
        yield from error(f"{path}.timeout", value_validation.duration(route["timeout"]))


def retries(policy: Typed, path: str) -> Said:
    """Say what istiod says about the decoded retries of a route."""
    attempts = policy.get("attempts", 0)
    if attempts < 0:
        yield from error(f"{path}.attempts", coded("attempts-negative"))
    if not attempts and ("perTryTimeout" in policy or policy.get("retryOn") or "retryRemoteLocalities" in policy):
        yield from error(f"{path}.attempts", coded("attempts-zero"))
    if "perTryTimeout" in policy:
        yield from error(f"{path}.perTryTimeout", value_validation.duration(policy["perTryTimeout"]))
    for word in policy["retryOn"].split(",") if policy.get("retryOn") else ():
        if word not in _RETRY_ON and not _named_status(word):
            yield from error(f"{path}.retryOn", f"{quoted(word)} is not a valid retryOn policy")
    if "backoff" in policy:
        yield from error(f"{path}.backoff", value_validation.duration(policy["backoff"]))


def _named_status(word: str) -> bool:
    digits = word[1:] if word[:1] in ("+", "-") else word
    return digits.isascii() and digits.isdigit() and len(digits) < 20 and int(word) in _STATUS


def _destinations(routes: t.Sequence[Typed], path: str) -> Said:
    for index, route in enumerate(routes):
        where = f"{path}[{index}]"
        if "destination" not in route:
            yield from error(f"{where}.destination", "destination is required")
        else:
            yield from _destination(route["destination"], f"{where}.destination")
        if route.get("weight", 0) < 0:
            yield from error(f"{where}.weight", f"weight {route['weight']} < 0")
    if len(routes) > 1 and not sum(route.get("weight", 0) for route in routes):
        yield from error(path, "total destination weight = 0")


def _destination(destination: Typed, path: str) -> Said:
    host = destination.get("host", "")
    wrong = f"invalid destination host {host}" if host == "*" else value_validation.wildcard_domain(host)
    yield from error(f"{path}.host", wrong)
    if destination.get("subset"):
        yield from error(f"{path}.subset", value_validation.subset_name(destination["subset"]))
    if "port" in destination:
        yield from error(f"{path}.port.number", value_validation.port(destination["port"].get("number", 0)))


def _selector(selector: Typed | None) -> tuple[list[Verdict], bool]:
    """Return the errors of a workloadSelector, and whether it is one without labels."""
    if selector is None:
        return [], False
    labels = selector.get("labels", {})
    verdicts: list[Verdict] = []
    for key, value in labels.items():
        pair, where = quoted(f"{key}={value}"), f"workloadSelector.labels[{key}]"
        if not key:
            verdicts += error(where, f"empty key is not supported in selector: {pair}")
        if "*" in key or "*" in value:
            verdicts += error(where, f"wildcard is not supported in selector: {pair}")
    return verdicts, not labels


def service_entry(namespace: str, spec: Typed, _known: Semantics) -> Said:
    """Say what istiod says about a decoded ServiceEntry, without warnings about addresses and ports."""
    wrong, unlabelled = _selector(spec.get("workloadSelector"))
    if wrong:
        yield from wrong
        return
    if unlabelled:
        message = (
            "service entry: workload selector specified without labels, will be applied to all services in namespace"
        )
        yield from warning("workloadSelector", message)
    hosts, endpoints, resolution = spec.get("hosts", []), spec.get("endpoints", []), spec.get("resolution", "NONE")
    if "workloadSelector" in spec and endpoints:
        yield from error("endpoints", "only one of WorkloadSelector or Endpoints is allowed in Service Entry")
    if not hosts:
        yield from error("hosts", "service entry must have at least one host")
    for index, host in enumerate(hosts):
        yield from error(
            f"hosts[{index}]", f"invalid host {host}" if host == "*" else value_validation.wildcard_domain(host)
        )
        if host != "*" and resolution != "DYNAMIC_DNS":
            yield from warning(f"hosts[{index}]", value_validation.partial_wildcard(host))
    yield from _ports(spec.get("ports", ()))
    names = {port.get("name", "") for port in spec.get("ports", ())}
    if resolution == "NONE":
        if endpoints:
            yield from error("endpoints", "no endpoints should be provided for resolution type none")
        if "workloadSelector" in spec:
            message = "workloadSelector should not be set when resolution mode is NONE"
            yield from warning("workloadSelector", message)
    elif resolution == "STATIC":
        for index, endpoint in enumerate(endpoints):
            yield from _workload(endpoint, f"endpoints[{index}]", names, fqdn=False)
    elif resolution in ("DNS", "DNS_ROUND_ROBIN"):
        yield from _dns(resolution, hosts, endpoints, names)
    elif resolution == "DYNAMIC_DNS":
        yield from _dynamic(spec, hosts, endpoints)
    else:
        yield from error("resolution", "unsupported resolution type ")
    plain = [
        port for port in spec.get("ports", ()) if PROTOCOLS.get(port.get("protocol", "").lower()) not in _NAMED_HOSTS
    ]
    if resolution != "NONE" and len(hosts) > 1 and plain:
        yield from error("hosts", "multiple hosts provided with non-HTTP, non-TLS ports")
    for place, why in value_validation.export_to(namespace, spec.get("exportTo", ()), service_entry=True):
        yield from error("exportTo" if place is None else f"exportTo[{place}]", why)


def _ports(ports: t.Sequence[Typed]) -> Said:
    names: set[str] = set()
    numbers: set[int] = set()
    for index, port in enumerate(ports):
        path, name, number = f"ports[{index}]", port.get("name", ""), port.get("number", 0)
        if name in names:
            yield from error(f"{path}.name", f"service entry port name {quoted(name)} already defined")
        if number in numbers:
            yield from error(f"{path}.number", f"service entry port {number} already defined")
        names.add(name)
        numbers.add(number)
        if port.get("targetPort"):
            yield from error(f"{path}.targetPort", value_validation.port(port["targetPort"]))
        yield from error(f"{path}.name", "" if value_validation.dns_label(name) else f"invalid port name: {name}")
        protocol = port.get("protocol", "")
        if protocol and protocol.lower() not in PROTOCOLS:
            yield from error(f"{path}.protocol", f"unsupported protocol: {protocol}")
        yield from error(f"{path}.number", value_validation.port(number))


def _endpoint_ports(ports: t.Mapping[str, int], path: str, names: t.Collection[str] | None) -> Said:
    for name, number in ports.items():
        where = f"{path}.ports[{name}]"
        if names is not None and name not in names:
            yield from error(where, f"endpoint port {number} is not defined by the service entry")
        yield from error(where, "" if value_validation.dns_label(name) else f"invalid port name: {name}")
        yield from error(where, value_validation.port(number))


def _dns(resolution: str, hosts: t.Sequence[str], endpoints: t.Sequence[Typed], names: t.Collection[str]) -> Said:
    message = "hosts must be FQDN or contain only prefix wildcards if no endpoints are provided for resolution mode"
    for index, host in enumerate(hosts if not endpoints else ()):
        if wrong := value_validation.fqdn(host):
            yield from error(f"hosts[{index}]", f"{message} {resolution}, {wrong}")
            break
    if resolution == "DNS_ROUND_ROBIN" and len(endpoints) > 1:
        yield from error("endpoints", f"there must only be 0 or 1 endpoint for resolution mode {resolution}")
    for index, endpoint in enumerate(endpoints):
        path, address = f"endpoints[{index}]", endpoint.get("address", "")
        if not value_validation.is_ip(address) and value_validation.fqdn(address):
            message = f"endpoint address {quoted(address)} is not a valid FQDN or an IP address"
            yield from error(f"{path}.address", message)
        for key, wrong in value_validation.labels(endpoint.get("labels", {})):
            yield from error(f"{path}.labels[{key}]", wrong)
        yield from _endpoint_ports(endpoint.get("ports", {}), path, names)


def _dynamic(spec: Typed, hosts: t.Sequence[str], endpoints: t.Sequence[Typed]) -> Said:
    if not hosts:
        yield from error("hosts", "at least one wildcard host must be provided for resolution type DYNAMIC_DNS")
    for index, host in enumerate(hosts):
        if not host.startswith("*"):
            yield from error(f"hosts[{index}]", "host must be wildcarded for resolution mode DYNAMIC_DNS")
    for name, reason in (
        ("addresses", "HTTP route domains will only be generatedfrom the hosts field values"),
        ("endpoints", "Destination IP address determined from hostsfield values"),
    ):
        if spec.get(name):
            yield from error(name, f"{name} cannot be set for resolution type DYNAMIC_DNS. {reason}")
    for index, port in enumerate(spec.get("ports", ())):
        if PROTOCOLS.get(port.get("protocol", "").lower()) not in ("HTTP", "TLS", "GRPC", "HTTP2"):
            message = "only HTTP, TLS, GRPC, and HTTP2 protocols are supported for resolution type DYNAMIC_DNS"
            yield from error(f"ports[{index}].protocol", message)


def workload_entry(_namespace: str, spec: Typed, _known: Semantics) -> Said:
    """Say what istiod says about a decoded WorkloadEntry."""
    return _workload(spec, "", None, fqdn=True)


def _workload(entry: Typed, path: str, names: t.Collection[str] | None, *, fqdn: bool) -> Said:
    address, ports = entry.get("address", ""), entry.get("ports", {})
    base = f"{path}." if path else ""
    if not address:
        if not entry.get("network"):
            yield from error(f"{base}address", "address is required")
            return
        yield from warning(f"{base}address", f"address is unset with network {quoted(entry['network'])}")
    unix = address.startswith("unix://")
    if unix:
        socket = address.removeprefix("unix://")
        if not socket:
            yield from error(f"{base}address", "unix address must not be empty")
        elif not socket.startswith("@") and (socket.endswith("/") or not socket.startswith("/")):
            yield from error(f"{base}address", f"{socket} is not an absolute path to a file")
        if ports:
            yield from error(f"{base}ports", f"unix endpoint {address} must not include ports")
        if names is not None and len(names) != 1:
            yield from error(f"{base}address", "exactly 1 service port required for unix endpoints")
    elif address and not value_validation.is_ip(address):
        if not fqdn:
            yield from error(f"{base}address", f"endpoint address {quoted(address)} is not a valid IP address")
        elif value_validation.fqdn(address):
            message = f"endpoint address {quoted(address)} is not a valid FQDN or an IP address"
            yield from error(f"{base}address", message)
    yield from _endpoint_ports(ports, path, names) if path else _bare(_endpoint_ports(ports, path, names))
    for key, wrong in value_validation.labels(entry.get("labels", {})):
        yield from error(f"{base}labels[{key}]", wrong)


def _bare(said: Said) -> Said:
    return (verdict._replace(path=verdict.path.removeprefix(".")) for verdict in said)


def sidecar(namespace: str, spec: Typed, known: Semantics) -> Said:
    """Say what istiod says about a decoded Sidecar, of its egress listeners only hosts and ports without a number."""
    wrong, unlabelled = _selector(spec.get("workloadSelector"))
    if wrong:
        yield from wrong
        return
    egress = spec.get("egress", [])
    given = [spec.get(name) for name in ("outboundTrafficPolicy", "inboundConnectionPool")]
    if not egress and not spec.get("ingress") and not any(field is not None for field in given):
        yield from error("egress", "sidecar: empty configuration provided")
        return
    if unlabelled:
        message = "sidecar: workload selector specified without labels, will be applied to all services in namespace"
        yield from warning("workloadSelector", message)
    for index, listener in enumerate(egress):
        path = f"egress[{index}]"
        if "port" not in listener and index < len(egress) - 1:
            message = "sidecar: the egress listener with empty port should be the last listener in the list"
            yield from error(f"{path}.port", message)
        if not listener.get("hosts"):
            yield from error(f"{path}.hosts", "sidecar: egress listener must contain at least one host")
        port = listener.get("port")
        if port is not None and not port.get("number") and not str(listener.get("bind", "")).startswith("unix://"):
            yield from error(f"{path}.port", "sidecar: ports with 0 value must have a unix domain socket bind address")
        yield from _egress_hosts(namespace, listener.get("hosts", ()), f"{path}.hosts", known)


def _egress_hosts(namespace: str, hosts: t.Sequence[str], path: str, semantics: Semantics) -> Said:
    known: dict[str, set[str]] = {}
    for index, entry in enumerate(hosts):
        place, slash, name = entry.partition("/")
        where = f"{path}[{index}]"
        excludes = semantics.egress_exclusion and place.startswith("~")
        if slash and not excludes:
            named = known.setdefault(namespace if place == "." else place, set())
            if (name in named or "*" in named) if name != "*" else named:
                yield from warning(where, f"duplicated egress host: {entry}")
            named.add(name)
        for message in _egress_host(place, slash, name, semantics.egress_exclusion):
            yield from error(where, message)
    if "*" in known.get("*", ()) and len(known) != 1:
        yield from warning(path, "`*/*` host select all resources, no other hosts can be added")


def _egress_host(place: str, slash: str, name: str, exclusion: bool) -> t.Iterator[str]:
    if not slash:
        yield "host must be of form namespace/dnsName"
        return
    if not place or not name:
        yield "config namespace and dnsName in host entry cannot be empty"
    # 1.31: `~namespace/host` leaves something out; before that `~` alone stands for no namespace.
    plain = place.removeprefix("~") if exclusion else place
    if plain not in ("*", ".", "" if exclusion else "~") and not value_validation.dns_label(plain):
        yield f"invalid namespace value {quoted(place)} in sidecar"
    if name != "*" and "." not in name:
        yield "short names (non FQDN) are not allowed"
    if wrong := value_validation.wildcard_domain(name):
        yield wrong
        if not value_validation.is_ip(name):
            yield wrong
    yield from filter(None, [value_validation.partial_wildcard(name)])


Rule = t.Callable[[str, Typed, Semantics], Said]
KINDS: t.Mapping[str, Rule] = {
    "VirtualService": virtual_service,
    "ServiceEntry": service_entry,
    "WorkloadEntry": workload_entry,
    "Sidecar": sidecar,
}
