# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client's Envoy retries, and how long it waits: of the route that its requests to a destination take.

Source: istio 1.31 pilot/pkg/networking/core/route/retry/retry.go (ConvertPolicy) and route.go
(applyHTTPRouteDestination, BuildDefaultHTTPOutboundRoute).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._envoy.retry import Retries
from ansible_collections.meshops.locality.plugins.module_utils._istio.durations import parse_duration
from ansible_collections.meshops.locality.plugins.module_utils._istio.hosts import most_specific, resolve
from ansible_collections.meshops.locality.plugins.module_utils._istio.places import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Assignment, Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.policy import items, mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._topology.model import Config

#: The connectTimeout of Istio's mesh config when nothing else is said. Source: pkg/config/mesh/mesh.go.
CONNECT_TIMEOUT = 10.0

Part = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Route:
    """How requests to a destination are sent. `retries` None: none; `timeout` in seconds, None: no end.

    `source` says where it was written; `several`: other routes to the same destination say something else.
    """

    retries: Retries | None
    timeout: float | None
    source: str
    several: bool = False


def route(planner: Planner, client: Client, made: Assignment) -> Route:
    """Return the route of a client to a destination: of the VirtualService for its host, else the default one."""
    destination, service = made.destination, made.service
    port = next((one for one in service.ports if one.number == destination.port), None)
    if port is None or not port.may_be_http:
        return Route(None, None, "the port is not HTTP, nothing is retried")
    default = mapping(planner.snapshot.mesh.config.get("defaultHttpRetryPolicy"))
    virtual = _virtual_service(planner.scopes.routes(client), destination.host)
    found = list(_routes_to(virtual, made)) if virtual else []
    if virtual is None or not found:
        source = "meshConfig.defaultHttpRetryPolicy" if default else "Istio's default"
        return Route(_retries(default, hashed=False), None, source)
    hashed = made.cluster_policy.consistent_hash is not None
    read = [_read(entry, default, hashed) for _index, entry in found]
    index = found[0][0]
    return Route(
        read[0][0], read[0][1], f"VirtualService {virtual} http[{index}]", any(other != read[0] for other in read[1:])
    )


def _virtual_service(routes: t.Iterable[Config], host: str) -> Config | None:
    index: dict[str, Config] = {}
    for one in routes:
        for given in items(one.spec.get("hosts")):
            index.setdefault(resolve(str(given), one.namespace), one)
    return most_specific(index, host)


def _routes_to(virtual: Config, made: Assignment) -> t.Iterator[tuple[int, Part]]:
    for index, entry in enumerate(items(virtual.spec.get("http"))):
        for one in items((mapping(entry) or {}).get("route")):
            target = mapping((mapping(one) or {}).get("destination")) or {}
            host = resolve(str(target.get("host") or ""), virtual.namespace)
            port = number((mapping(target.get("port")) or {}).get("number"))
            same = host == made.destination.host and str(target.get("subset") or "") == made.destination.subset
            if same and port in (0, made.destination.port):
                yield index, entry
                break


def _read(entry: Part, default: Part | None, hashed: bool) -> tuple[Retries | None, float | None]:
    given = mapping(entry.get("retries"))
    alone = len(items(entry.get("route"))) == 1
    retries = _retries(default if given is None else given, hashed=hashed and alone)
    return retries, parse_duration(entry.get("timeout")) or None


def _retries(given: Part | None, *, hashed: bool) -> Retries | None:
    if given is None:
        return Retries(previous_hosts=not hashed)
    attempts = number(given.get("attempts"))
    if attempts <= 0:
        return None
    values: dict[str, t.Any] = {"attempts": attempts, "previous_hosts": not hashed}
    if given.get("retryOn"):
        values["retry_on"] = str(given["retryOn"])
    if isinstance(given.get("retryIgnorePreviousHosts"), bool):
        values["previous_hosts"] = given["retryIgnorePreviousHosts"]
    values["remote_localities"] = given.get("retryRemoteLocalities") is True
    values["per_try_timeout"] = parse_duration(given.get("perTryTimeout")) or None
    return Retries(**values)


def connect_timeout(planner: Planner, made: Assignment) -> float:
    """Return after how many seconds Envoy gives up a connection to an endpoint."""
    tcp = mapping((made.cluster_policy.connection_pool or {}).get("tcp")) or {}
    own = parse_duration(tcp.get("connectTimeout"))
    mesh = parse_duration(planner.snapshot.mesh.config.get("connectTimeout"))
    return own or mesh or CONNECT_TIMEOUT
