# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Envoy's admin interface answers: `/clusters` (JSON and text), `/config_dump` of one cluster, `/stats`.

Proto3 JSON leaves out every default value and writes 64-bit numbers as strings, so nothing here may rely on a key.
Source: envoy source/server/admin/clusters_handler.cc, api/envoy/admin/v3/clusters.proto.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import functools
import json
import re
import sys
import typing as t
from collections import abc
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality

Json = t.Mapping[str, t.Any]

COUNTERS = ("cx_connect_fail", "cx_total", "rq_error", "rq_success", "rq_timeout", "rq_total")
GAUGES = ("cx_active", "rq_active", "rq_pending_active")

#: Key of the JSON form → flag of the text form. Source: envoy source/common/upstream/host_utility.cc.
FLAGS = {
    "failed_active_health_check": "failed_active_hc",
    "failed_outlier_check": "failed_outlier_check",
    "failed_active_degraded_check": "degraded_active_hc",
    "failed_degraded_outlier_detection": "degraded_outlier_detection",
    "pending_dynamic_removal": "pending_dynamic_removal",
    "pending_active_hc": "pending_active_hc",
    "excluded_via_immediate_hc_fail": "excluded_via_immediate_hc_fail",
    "active_hc_timeout": "active_hc_timeout",
}
EDS_FLAGS = {
    "UNHEALTHY": "failed_eds_health",
    "TIMEOUT": "failed_eds_health",
    "DRAINING": "eds_status_draining",
    "DEGRADED": "degraded_eds_health",
}
_DECODE = json.JSONDecoder().raw_decode
_STATUSES = re.compile(r'\s*\{\s*"cluster_statuses"\s*:\s*\[\s*')
_NEXT = re.compile(r"\s*,\s*(?=\{)")
_END = re.compile(r"\s*\]\s*\}\s*\Z")
EXCLUDING = {"eds_status_draining", "pending_active_hc", "excluded_via_immediate_hc_fail"}
FAILING = {"failed_active_hc", "failed_outlier_check", "failed_eds_health"}
DEGRADING = {"degraded_active_hc", "degraded_outlier_detection", "degraded_eds_health"}

TEXT_KEYS = (*COUNTERS, *GAUGES, "hostname", "health_flags", "weight", "region", "zone", "sub_zone", "priority")
_TEXT_HOST = re.compile(rf"(?P<cluster>.+?)::(?P<address>.+)::(?P<key>{'|'.join(TEXT_KEYS)})::(?P<value>.*)")
_TEXT_LINE = re.compile(r".+?::.+::.*")


@dataclass(frozen=True)
class ClusterName:
    """The four parts of a name that istiod gives a cluster; of another name only `host`, holding all of it."""

    direction: str = ""
    port: int | None = None
    subset: str = ""
    host: str = ""

    @classmethod
    @functools.lru_cache(maxsize=10_000)
    def parse(cls, name: str) -> ClusterName:
        """Read `outbound|5000||helloworld.sample.svc.cluster.local` (and the `_.` form used behind gateways).

        Source: istio pilot/pkg/model/push_context.go, BuildSubsetKey, BuildDNSSrvSubsetKey.
        """
        parts = name.split("|") if "|" in name else name.split("_.", 3)
        if (
            len(parts) != 4
            or parts[0] not in ("outbound", "inbound", "inbound-vip")
            or not parts[1].strip("_").isdigit()
        ):
            return cls(host=name)
        port, subset = parts[1].strip("_"), parts[2].strip("_")
        return cls(parts[0], int(port), subset, parts[3])


def host_matches(wanted: str, host: str, namespace: str) -> bool:
    """Return whether `wanted` (`name`, `name.namespace`, `name.namespace.svc` or the full name) means `host`.

    A bare name is looked for in `namespace`, as istiod does for a rule's host.
    """
    if wanted == host:
        return True
    labels, have = wanted.split("."), host.split(".")
    if len(have) < 4 or have[2] != "svc":
        return False
    if len(labels) == 1:
        return have[:2] == [wanted, namespace]
    return len(labels) <= 3 and have[: len(labels)] == labels


@dataclass(frozen=True)
class EnvoyEndpoint:
    """One host of one cluster as Envoy holds it.

    `address` is written as in the access log's UPSTREAM_HOST: `ip:port`, `[ip6]:port`, `envoy://listener/endpoint` or a
    pipe's path. `health_reasons` are Envoy's flags in the spelling of `/clusters`, none when healthy. `excluded` hosts
    are not in a priority's denominator. `counters` are never reset while the host is there: subtract two readings.
    """

    cluster: str
    address: str
    hostname: str = ""
    locality: Locality = field(default_factory=Locality)
    priority: int = 0
    weight: int = 1
    health_reasons: tuple[str, ...] = ()
    counters: t.Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> ClusterName:
        """The parts of the cluster's name."""
        return ClusterName.parse(self.cluster)

    @property
    def ip(self) -> str:
        """The address without its port; an internal address names the pod behind it."""
        return ip_of(self.address)

    @property
    def excluded(self) -> bool:
        """Whether Envoy leaves the host out when it computes how healthy its priority is."""
        return bool(EXCLUDING & set(self.health_reasons))

    @property
    def health(self) -> str:
        """`healthy`, `degraded` or `unhealthy`, as the load balancer sees the host.

        Source: envoy source/common/upstream/upstream_impl.cc, HostImpl::coarseHealth and excludeBasedOnHealthFlag.
        """
        reasons = set(self.health_reasons)
        if reasons & (EXCLUDING | FAILING):
            return "unhealthy"
        return "degraded" if reasons & DEGRADING else "healthy"

    def as_dict(self) -> dict[str, t.Any]:
        """Return the endpoint as plain values, as modules and filters return it."""
        name = self.name
        return {
            "cluster": self.cluster,
            "direction": name.direction,
            "host": name.host,
            "port": name.port,
            "subset": name.subset,
            "address": self.address,
            "hostname": self.hostname,
            "locality": str(self.locality),
            "priority": self.priority,
            "weight": self.weight,
            "health": self.health,
            "health_reasons": list(self.health_reasons),
            "excluded": self.excluded,
            "counters": dict(self.counters),
        }


def ip_of(address: str) -> str:
    """Return the IP of `ip:port`, `[ip6]:port` or `envoy://listener/ip:port`; anything else comes back whole."""
    tail = address.rpartition("/")[2] if address.startswith("envoy://") else address
    host, colon, port = tail.rpartition(":")
    return host.strip("[]") if colon and port.isdigit() else tail


def parse_clusters(answer: str | Json) -> list[EnvoyEndpoint]:
    """Return the endpoints of a `/clusters` answer, in Envoy's order, from its JSON (text or parsed) or its text form.

    Raises InvalidInput when it is neither.
    """
    if isinstance(answer, abc.Mapping):
        return _from_json(answer)
    if not isinstance(answer, str):
        raise InvalidInput(
            f"Not an answer of Envoy's /clusters: expected text or a dictionary, got {type(answer).__name__}."
        )
    if answer.lstrip().startswith("{"):
        try:
            return [endpoint for part in _parts(answer) for endpoint in _from_json(part)]
        except ValueError as error:
            raise InvalidInput(f"Not an answer of Envoy's /clusters?format=json: {error}.") from error
    return _from_text(answer)


def _parts(answer: str) -> t.Iterator[Json]:
    """Yield an answer cluster by cluster: as a whole, one of a large mesh is a hundred megabytes of objects.

    Raises ValueError when it is no JSON.
    """
    begin = _STATUSES.match(answer)
    if begin is None:
        yield json.loads(answer)
        return
    at = begin.end()
    while answer[at : at + 1] == "{":
        status, at = _DECODE(answer, at)
        yield {"cluster_statuses": [status]}
        more = _NEXT.match(answer, at)
        if more is None:
            break
        at = more.end()
    if not _END.match(answer, at):
        raise ValueError(f"it breaks off at character {at}")


def _from_json(answer: Json) -> list[EnvoyEndpoint]:
    if answer and "cluster_statuses" not in answer:
        raise InvalidInput("Not an answer of Envoy's /clusters?format=json: it has no key cluster_statuses.")
    try:
        return [
            _host(str(status.get("name", "")), host)
            for status in answer.get("cluster_statuses") or ()
            for host in status.get("host_statuses") or ()
        ]
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidInput(f"Not an answer of Envoy's /clusters?format=json: {error}.") from error


def _host(cluster: str, host: Json) -> EnvoyEndpoint:
    status = host.get("health_status") or {}
    reasons = [flag for key, flag in FLAGS.items() if status.get(key)]
    if (eds := EDS_FLAGS.get(str(status.get("eds_health_status")))) is not None:
        reasons.append(eds)
    place = host.get("locality") or {}
    stats = {sys.intern(str(stat.get("name"))): int(stat.get("value") or 0) for stat in host.get("stats") or ()}
    return EnvoyEndpoint(
        cluster=cluster,
        address=address_of(host.get("address") or {}),
        hostname=str(host.get("hostname") or ""),
        locality=Locality(
            str(place.get("region") or ""), str(place.get("zone") or ""), str(place.get("sub_zone") or "")
        ),
        priority=int(host.get("priority") or 0),
        weight=int(host.get("weight") or 0),
        health_reasons=tuple(reasons),
        counters=stats,
    )


def address_of(address: Json) -> str:
    """Return one of Envoy's address messages as it writes it in text."""
    if socket := address.get("socket_address"):
        ip = str(socket.get("address") or "")
        return f"[{ip}]:{socket.get('port_value', 0)}" if ":" in ip else f"{ip}:{socket.get('port_value', 0)}"
    if internal := address.get("envoy_internal_address"):
        return f"envoy://{internal.get('server_listener_name', '')}/{internal.get('endpoint_id', '')}"
    return str((address.get("pipe") or {}).get("path") or "")


def _from_text(answer: str) -> list[EnvoyEndpoint]:
    hosts: dict[tuple[str, str], dict[str, str]] = {}
    known = False
    for line in answer.splitlines():
        if match := _TEXT_HOST.fullmatch(line.strip()):
            hosts.setdefault((match["cluster"], match["address"]), {})[match["key"]] = match["value"]
        known = known or bool(_TEXT_LINE.fullmatch(line.strip()))
    if answer.strip() and not known:
        raise InvalidInput("Not an answer of Envoy's /clusters: no line has the form cluster::address::key::value.")
    endpoints = []
    for (cluster, address), values in hosts.items():
        if "health_flags" not in values:  # circuit breaker and outlier lines of the cluster look alike
            continue
        flags = values["health_flags"]
        endpoints.append(
            EnvoyEndpoint(
                cluster=cluster,
                address=address,
                hostname=values.get("hostname", ""),
                locality=Locality(values.get("region", ""), values.get("zone", ""), values.get("sub_zone", "")),
                priority=int(values.get("priority") or 0),
                weight=int(values.get("weight") or 0),
                health_reasons=() if flags == "healthy" else tuple(flag for flag in flags.split("/") if flag),
                counters={key: int(values[key]) for key in (*COUNTERS, *GAUGES) if values.get(key)},
            )
        )
    return endpoints


def parse_stats(text: str) -> dict[str, int]:
    """Return name → value of the counters and gauges in a text answer of `/stats` (histograms are left out)."""
    stats = {}
    for line in text.splitlines():
        name, colon, value = line.rpartition(": ")
        if colon and value.strip().lstrip("-").isdigit():
            stats[name.strip()] = int(value)
    return stats


def parse_settings(answer: str | Json) -> dict[str, dict[str, t.Any]]:
    """Return per cluster what decides its failover, from `/config_dump?resource=dynamic_active_clusters`.

    `outlier_detection` and `panic_threshold` (percent) are None when Envoy has none of its own.
    """
    dump = json.loads(answer) if isinstance(answer, str) else answer
    settings = {}
    for config in dump.get("configs") or ():
        cluster = config.get("cluster") or {}
        common = cluster.get("common_lb_config") or {}
        panic = common.get("healthy_panic_threshold")
        http = (cluster.get("typed_extension_protocol_options") or {}).values()
        per_connection = [
            (options.get("common_http_protocol_options") or {}).get("max_requests_per_connection") for options in http
        ]
        settings[str(cluster.get("name", ""))] = {
            "lb_policy": str(cluster.get("lb_policy") or "ROUND_ROBIN"),
            "locality_weighted": "locality_weighted_lb_config" in common,
            "panic_threshold": None if panic is None else float(panic.get("value") or 0),
            "outlier_detection": cluster.get("outlier_detection"),
            "max_requests_per_connection": next((int(value) for value in per_connection if value), None),
        }
    return settings


def parse_locality_weights(answer: str | Json) -> dict[str, dict[tuple[str, int], int]]:
    """Return {cluster: {(locality, priority): weight}} of `/config_dump?include_eds` (dynamic_endpoint_configs).

    The weight is listed even where locality weighting is off; 0 means unset.
    """
    dump = json.loads(answer) if isinstance(answer, str) else answer
    weights: dict[str, dict[tuple[str, int], int]] = {}
    for config in dump.get("configs") or ():
        assignment = config.get("endpoint_config") or {}
        own = weights.setdefault(str(assignment.get("cluster_name", "")), {})
        for group in assignment.get("endpoints") or ():
            place = group.get("locality") or {}
            locality = Locality(place.get("region", ""), place.get("zone", ""), place.get("sub_zone", ""))
            own[str(locality), int(group.get("priority") or 0)] = int(group.get("load_balancing_weight") or 0)
    return weights
