# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client's Envoy retries, and how long it waits: of the route that its requests to a destination take.

Source: istio 1.31 pilot/pkg/networking/core/route/route.go (applyHTTPRouteDestination, BuildDefaultHTTPOutboundRoute).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import CONNECT_TIMEOUT
from ansible_collections.meshops.locality.plugins.module_utils._envoy.retries import Retries
from ansible_collections.meshops.locality.plugins.module_utils._istio.durations import parse_duration
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Assignment, Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.routes import EnvoyRoute, Routes, retry_policy
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import mapping


@dataclass(frozen=True)
class Route:
    """How requests to a destination are sent. `retries` None: none; `timeout` in seconds, None: no end.

    `source` says where it was written; `several`: other routes to the same destination say something else. `http`:
    whether they are requests; otherwise they are connections that Envoy forwards as they are.
    """

    retries: Retries | None
    timeout: float | None
    source: str
    several: bool = False
    http: bool = True


def as_sent(envoy_route: EnvoyRoute) -> Route:
    """Return how the requests (or connections) of one of Envoy's routes are sent."""
    return Route(envoy_route.retries, envoy_route.timeout, envoy_route.source, http=envoy_route.protocol == "http")


def route(planner: Planner, client: Client, assignment: Assignment, routes: Routes | None = None) -> Route:
    """Return how requests for a destination's own host and port get there; those of the default route, if none does.

    `routes`: those of the planner, when they are at hand.
    """
    destination = assignment.destination
    http_routes = (routes or Routes(planner)).http(client, destination.host, destination.port)
    if http_routes is None:
        return Route(None, None, "the port is not HTTP, nothing is retried", http=False)
    own = [http_route for http_route in http_routes if any(to == destination for to, _share in http_route.shares)]
    if not own:
        default = mapping(planner.snapshot.mesh.config.get("defaultHttpRetryPolicy"))
        source = "meshConfig.defaultHttpRetryPolicy" if default else "Istio's default"
        return Route(retry_policy(default, hashed=False), None, source)
    settings = [(http_route.retries, http_route.timeout) for http_route in own]
    return Route(*settings[0], own[0].source, any(other != settings[0] for other in settings[1:]))


def connect_timeout(planner: Planner, assignment: Assignment) -> float:
    """Return after how many seconds Envoy gives up a connection to an endpoint."""
    tcp = mapping((assignment.cluster_policy.connection_pool or {}).get("tcp")) or {}
    own = parse_duration(tcp.get("connectTimeout"))
    mesh = parse_duration(planner.snapshot.mesh.config.get("connectTimeout"))
    return own or mesh or CONNECT_TIMEOUT
