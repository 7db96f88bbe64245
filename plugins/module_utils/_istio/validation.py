# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What istiod's webhook says about an object before it takes effect: errors, with which it is refused, and warnings.

Source: istio 1.31 pkg/config/validation/validation.go; the messages are istiod's, the fields' paths are ours, because
istiod names none. tests/differential/test_validation.py compares the answers with istiod's own.
Not covered: certificates from ConfigMaps (credentialName configmap://…), annotations that only tests of Istio use.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import math
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio import value_validation
from ansible_collections.meshops.locality.plugins.module_utils._istio.api_messages import Typed
from ansible_collections.meshops.locality.plugins.module_utils._istio.field_decoding import decode
from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_validation import locality_lb, zone_aware
from ansible_collections.meshops.locality.plugins.module_utils._istio.routing_validation import KINDS
from ansible_collections.meshops.locality.plugins.module_utils._istio.validation_texts import coded
from ansible_collections.meshops.locality.plugins.module_utils._istio.validation_verdict import (
    Said,
    Verdict,
    at,
    error,
    warning,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.value_validation import quoted
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import Semantics, semantics
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Config, Snapshot

_BLOCKS = ("outlierDetection", "connectionPool", "loadBalancer", "tls")
_POLICY = (*_BLOCKS, "portLevelSettings", "tunnel", "proxyProtocol", "retryBudget")
#: The largest table that Envoy's Maglev takes.
_MAGLEV = 5_000_011


def validate(kind: str, namespace: str, spec: t.Any, version: str = "") -> list[Verdict]:
    """Return what istiod of a version says about the spec of a DestinationRule, VirtualService, ServiceEntry, …

    istiod refuses an object with fields that it cannot decode without a look at the others; here they are looked at.
    Of other kinds than DestinationRule only what decides where requests go is. Never raises for a spec, whatever it is;
    raises InvalidInput for a version that is not known.
    """
    known = semantics(version)
    typed, flaws = decode(kind, spec, known.knows)
    broken = [Verdict("unknown" if flaw.unknown else "type", flaw.path, flaw.message) for flaw in flaws]
    said = (
        destination_rule(namespace, typed, known) if kind == "DestinationRule" else KINDS[kind](namespace, typed, known)
    )
    # What cannot be decoded is left out above, and that it is missing or zero says nothing.
    wrong = [flaw.path for flaw in flaws if not flaw.unknown]
    return [*broken, *(verdict for verdict in said if not any(_about(verdict.path, path) for path in wrong))]


def validated(snapshot: Snapshot) -> t.Iterator[tuple[str, Config]]:
    """Yield (kind, object) of what istiod's webhook looks at before the API server takes it."""
    yield from (("DestinationRule", config) for config in snapshot.destination_rules)
    yield from (("VirtualService", config) for config in snapshot.virtual_services)
    yield from (("Sidecar", config) for config in snapshot.sidecars)
    yield from (("ServiceEntry", config) for config in snapshot.service_entries)
    yield from (("WorkloadEntry", config) for config in snapshot.workload_entries)


def refused_and_unknown(snapshot: Snapshot, version: str) -> tuple[list[str], list[str]]:
    """Return the objects (`Kind namespace/name`) that istiod refuses, and the fields it does not know."""
    refused, unknown = [], []
    for kind, config in validated(snapshot):
        verdicts = validate(kind, config.namespace, config.spec, version)
        if any(said.level in ("error", "type") for said in verdicts):
            refused.append(f"{kind} {config}")
        unknown += [f"{kind} {config} spec.{said.path}" for said in verdicts if said.level == "unknown"]
    return refused, unknown


def _about(path: str, flaw: str) -> bool:
    """Whether one path leads to the other."""
    short, long = sorted((path, flaw), key=len)
    return long.startswith(short) and (not short or long[len(short) :][:1] in ("", ".", "["))


def destination_rule(namespace: str, rule: Typed, known: Semantics) -> Said:
    """Say what istiod says about a decoded DestinationRule."""
    yield from error("host", value_validation.wildcard_domain(rule.get("host", "")))
    if "trafficPolicy" in rule:
        yield from _traffic_policy(rule["trafficPolicy"], "trafficPolicy", known)
    names: set[str] = set()
    for index, subset in enumerate(rule.get("subsets", ())):
        path, name = f"subsets[{index}]", subset.get("name", "")
        if name in names:
            yield from error(f"{path}.name", coded("subset-twice", name))
        names.add(name)
        yield from error(f"{path}.name", value_validation.subset_name(name))
        for key, wrong in value_validation.labels(subset.get("labels", {})):
            yield from error(f"{path}.labels[{key}]", wrong)
        if "trafficPolicy" in subset:
            # istiod drops the warnings of subsets and ports.
            yield from _errors(_traffic_policy(subset["trafficPolicy"], f"{path}.trafficPolicy", known))
    selector = rule.get("workloadSelector")
    for place, wrong in value_validation.export_to(namespace, rule.get("exportTo", ()), selector=selector is not None):
        yield from error("exportTo" if place is None else f"exportTo[{place}]", wrong)
    if selector is not None:
        labels = selector.get("matchLabels", {})
        for key, value in labels.items():
            where = f"workloadSelector.matchLabels[{key}]"
            if not key:
                yield from error(where, f"empty key is not supported in selector: {quoted(f'{key}={value}')}")
            if "*" in key or "*" in value:
                yield from error(where, f"wildcard is not supported in selector: {quoted(f'{key}={value}')}")
        if not labels:
            yield from warning("workloadSelector", "workload selector specified without labels")


def _errors(said: Said) -> Said:
    return (verdict for verdict in said if verdict.level != "warning")


def _traffic_policy(policy: Typed, path: str, known: Semantics) -> Said:
    # An empty list of ports is none.
    if not any(name in policy and policy[name] != [] for name in _POLICY):
        yield from error(path, "traffic policy must have at least one field")
        return
    if "tunnel" in policy and "proxyProtocol" in policy:
        yield from error(f"{path}.tunnel", "tunnel and proxyProtocol must not be set together")
        return
    yield from _blocks(policy, path, known)
    for index, settings in enumerate(policy.get("portLevelSettings", ())):
        inner = f"{path}.portLevelSettings[{index}]"
        if "port" not in settings:
            yield from error(f"{inner}.port", "portTrafficPolicy must have valid port")
        if not any(name in settings for name in _BLOCKS):
            yield from error(inner, "port traffic policy must have at least one field")
        else:
            yield from _errors(_blocks(settings, inner, known))
    if "tunnel" in policy:
        yield from _tunnel(policy["tunnel"], f"{path}.tunnel")
    version = policy.get("proxyProtocol", {}).get("version", "V1")
    if isinstance(version, int):
        yield from error(f"{path}.proxyProtocol.version", f"proxy protocol version is invalid: {version}")


def _blocks(policy: Typed, path: str, known: Semantics) -> Said:
    outlier = policy.get("outlierDetection")
    if outlier is not None:
        yield from outlier_detection(outlier, f"{path}.outlierDetection")
    if "connectionPool" in policy:
        yield from connection_pool(policy["connectionPool"], f"{path}.connectionPool", known)
    if "loadBalancer" in policy:
        yield from _load_balancer(policy["loadBalancer"], f"{path}.loadBalancer", outlier is not None, known)
    if "tls" in policy:
        yield from _tls(policy["tls"], f"{path}.tls")


def _tunnel(tunnel: Typed, path: str) -> Said:
    if tunnel.get("protocol", "") not in ("", "CONNECT", "POST"):
        yield from error(f"{path}.protocol", 'tunnel protocol must be "CONNECT" or "POST"')
    host = tunnel.get("targetHost", "")
    wrong = value_validation.fqdn(host)
    if wrong and not value_validation.is_ip(host):
        message = f"tunnel target host must be valid FQDN or IP address: {wrong}; {host} is not a valid IP"
        yield from error(f"{path}.targetHost", message)
    wrong = value_validation.port(tunnel.get("targetPort", 0))
    yield from error(f"{path}.targetPort", wrong and f"tunnel target port is invalid: {wrong}")


def outlier_detection(outlier: Typed, path: str) -> Said:
    """Say what istiod says about a decoded outlierDetection."""
    yield from _durations(outlier, path, "baseEjectionTime")
    if outlier.get("consecutiveErrors"):
        yield from warning(f"{path}.consecutiveErrors", coded("errors-deprecated"))
    if outlier.get("consecutiveLocalOriginFailures") and not outlier.get("splitExternalLocalOriginErrors"):
        yield from error(f"{path}.consecutiveLocalOriginFailures", coded("local-origin-not-split"))
    yield from _durations(outlier, path, "interval")
    for name in ("maxEjectionPercent", "minHealthPercent"):
        yield from error(f"{path}.{name}", value_validation.percent(outlier.get(name, 0)))


def _durations(block: Typed, path: str, *names: str) -> Said:
    for name in names:
        if name in block:
            yield from error(f"{path}.{name}", value_validation.duration(block[name]))


def connection_pool(pool: Typed, path: str, known: Semantics) -> Said:
    """Say what istiod says about a decoded connectionPool."""
    http, tcp = pool.get("http"), pool.get("tcp")
    if http is None and tcp is None:
        yield from error(path, "connection pool must have at least one field")
    if http is not None:
        for name, words in (
            ("http1MaxPendingRequests", "http1 max pending requests"),
            ("http2MaxRequests", "http2 max requests"),
            ("maxRequestsPerConnection", "max requests per connection"),
            ("maxRetries", "max retries"),
            ("maxConcurrentStreams", "max concurrent streams"),
        ):
            if http.get(name, 0) < 0:
                yield from error(f"{path}.http.{name}", coded("negative", words))
        yield from _durations(http, f"{path}.http", "idleTimeout")
        if http.get("h2UpgradePolicy") == "UPGRADE" and http.get("useClientProtocol"):
            message = "use client protocol must not be true when H2UpgradePolicy is UPGRADE"
            yield from error(f"{path}.http.useClientProtocol", message)
        if known.zone_aware and "http2KeepAlive" in http:
            for name in ("interval", "timeout"):
                where = f"{path}.http.http2KeepAlive"
                if name not in http["http2KeepAlive"]:
                    yield from error(f"{where}.{name}", f"http2 keepalive {name} is required")
                yield from _durations(http["http2KeepAlive"], where, name)
    if tcp is not None:
        if tcp.get("maxConnections", 0) < 0:
            yield from error(f"{path}.tcp.maxConnections", coded("negative", "max connections"))
        yield from _durations(tcp, f"{path}.tcp", "connectTimeout", "maxConnectionDuration")
        # Less than a millisecond is none at all.
        if abs(tcp.get("idleTimeout", 0)) >= 1_000_000:
            yield from _durations(tcp, f"{path}.tcp", "idleTimeout")
        yield from _durations(tcp.get("tcpKeepalive", {}), f"{path}.tcp.tcpKeepalive", "time", "interval")


def _load_balancer(balancer: Typed, path: str, outlier: bool, known: Semantics) -> Said:
    if "consistentHash" in balancer:
        yield from _consistent_hash(balancer["consistentHash"], f"{path}.consistentHash")
    zone = balancer.get("zoneAwareLbSetting") if known.zone_aware else None
    if zone is not None and "localityLbSetting" in balancer:
        message = "only one of localityLbSetting and zoneAwareLbSetting can be set"
        yield from error(f"{path}.zoneAwareLbSetting", message)
    if "localityLbSetting" in balancer:
        yield from at(f"{path}.localityLbSetting", locality_lb(balancer["localityLbSetting"], outlier=outlier))
    if zone is not None:
        yield from at(f"{path}.zoneAwareLbSetting", zone_aware(zone, outlier=outlier))
    warm = balancer.get("warmup")
    if warm is not None:
        if "duration" not in warm:
            yield from error(f"{path}.warmup.duration", "duration is required")
        yield from _durations(warm, f"{path}.warmup", "duration")
        if warm.get("minimumPercent", 0) > 100:
            message = "minimumPercent value should be less than or equal to 100"
            yield from error(f"{path}.warmup.minimumPercent", message)
        message = "aggression should be greater than 0" if known.zone_aware else _AGGRESSION_130
        if "aggression" in warm and _too_small(warm["aggression"], known):
            yield from error(f"{path}.warmup.aggression", message)


_AGGRESSION_130 = "aggression should be greater than or equal to 1"


def _too_small(aggression: float, known: Semantics) -> bool:
    return aggression <= 0 if known.zone_aware else aggression < 1


def _consistent_hash(hashed: Typed, path: str) -> Said:
    cookie = hashed.get("httpCookie")
    if cookie is not None:
        if not cookie.get("name"):
            yield from error(f"{path}.httpCookie.name", "name required for HttpCookie")
        names: set[str] = set()
        for index, attribute in enumerate(cookie.get("attributes", ())):
            where, name = f"{path}.httpCookie.attributes[{index}].name", attribute.get("name", "")
            if not name:
                yield from error(where, "cookie attribute name cannot be empty")
            elif name in names:
                yield from error(where, f"duplicate cookie attribute name: {name}")
            names.add(name)
    if hashed.get("minimumRingSize"):
        where = f"{path}.minimumRingSize"
        message = "is deprecated, use ConsistentHashLB's RingHash configuration instead"
        yield from warning(where, f"consistent hash MinimumRingSize {message}")
        if "ringHash" in hashed or "maglev" in hashed:
            yield from error(where, "only one of MinimumRingSize or Maglev/Ringhash can be specified")
    if "maglev" in hashed:
        size, where = hashed["maglev"].get("tableSize", 0), f"{path}.maglev.tableSize"
        if not size:
            yield from error(where, "tableSize must be set for maglev")
        if size >= _MAGLEV:
            yield from error(where, "tableSize must be less than 5000011 for maglev")
        if not _prime(size):
            yield from error(where, "tableSize must be a prime number for maglev")


def _prime(number: int) -> bool:
    if 0 < number < 4:
        return True
    # Much larger ones are refused anyway; whether they are primes would take long to find out.
    return number % 2 == 1 and (
        number > 1000 * _MAGLEV or all(number % factor for factor in range(3, math.isqrt(number) + 1, 2))
    )


def _tls(tls: Typed, path: str) -> Said:
    mode, credential = tls.get("mode", "DISABLE"), tls.get("credentialName", "")
    if tls.get("insecureSkipVerify"):
        names = bool(tls.get("subjectAltNames"))
        if mode == "SIMPLE" and (tls.get("caCertificates") or credential or names):
            message = "CaCertificates or CredentialName or SubjectAltNames when InsecureSkipVerify is set true"
            yield from error(f"{path}.insecureSkipVerify", f"cannot specify {message}")
        if mode == "MUTUAL" and (tls.get("caCertificates") or names):
            message = "CaCertificates or SubjectAltNames when InsecureSkipVerify is set true"
            yield from error(f"{path}.insecureSkipVerify", f"cannot specify {message}")
    if mode in ("SIMPLE", "MUTUAL") and credential:
        if any(tls.get(name) for name in ("clientCertificate", "caCertificates", "privateKey", "caCrl")):
            message = "cannot specify client certificates or CA certificate or CA CRL If credentialName is set"
            yield from error(f"{path}.credentialName", message)
    elif mode == "MUTUAL":
        for name, words in (("clientCertificate", "client certificate"), ("privateKey", "private key")):
            if not tls.get(name):
                yield from error(f"{path}.{name}", f"{words} required for mutual tls")
