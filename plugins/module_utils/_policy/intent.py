# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user wants to happen, as options in snake_case, and where each of them stands in Istio's objects.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.meshops.locality.plugins.module_utils._model.plain_values import plain

Json = dict[str, t.Any]
Path = tuple[str, ...]

SIMPLE = ("LEAST_REQUEST", "PASSTHROUGH", "RANDOM", "ROUND_ROBIN", "UNSPECIFIED")
LEVELS = ("subzone", "zone", "region")

#: The options that describe a policy, as an argument spec: the module and the filters read the same ones.
OPTIONS: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str"},
    "namespace": {"type": "str", "required": True},
    "service_host": {"type": "str"},
    "failover": {
        "type": "list",
        "elements": "dict",
        "options": {"from": {"type": "str", "required": True}, "to": {"type": "str", "required": True}},
    },
    "failover_priority": {"type": "list", "elements": "str"},
    "distribute": {
        "type": "list",
        "elements": "dict",
        "options": {"from": {"type": "str", "required": True}, "to": {"type": "dict", "required": True}},
    },
    "outlier_detection": {
        "type": "dict",
        "options": {
            "consecutive_5xx_errors": {"type": "int"},
            "consecutive_gateway_errors": {"type": "int"},
            "consecutive_local_origin_failures": {"type": "int"},
            "split_external_local_origin_errors": {"type": "bool"},
            "interval": {"type": "str"},
            "base_ejection_time": {"type": "str"},
            "max_ejection_percent": {"type": "int"},
            "min_health_percent": {"type": "int"},
        },
    },
    "load_balancer": {"type": "str", "choices": list(SIMPLE)},
    "max_requests_per_connection": {"type": "int"},
    "traffic_policy": {"type": "dict"},
    "subsets": {"type": "list", "elements": "dict"},
    "export_to": {"type": "list", "elements": "str"},
    "complete": {"type": "bool", "default": False},
    "survive": {"type": "str", "choices": list(LEVELS)},
    "retry_remote_localities": {"type": "bool"},
    "retries": {
        "type": "dict",
        "options": {
            "attempts": {"type": "int"},
            "per_try_timeout": {"type": "str"},
            "retry_on": {"type": "str"},
        },
    },
    "virtual_service_name": {"type": "str"},
}


@dataclass(frozen=True)
class Intent:
    """One failover policy; what was not given is None or empty. Fields are options; `host` is service_host."""

    name: str
    namespace: str
    host: str
    failover: tuple[Json, ...] = ()
    failover_priority: tuple[str, ...] = ()
    distribute: tuple[Json, ...] = ()
    outlier_detection: t.Mapping[str, t.Any] = field(default_factory=dict)
    load_balancer: str | None = None
    max_requests_per_connection: int | None = None
    traffic_policy: t.Mapping[str, t.Any] = field(default_factory=dict)
    subsets: tuple[Json, ...] = ()
    export_to: tuple[str, ...] = ()
    complete: bool = False
    survive: str | None = None
    retry_remote_localities: bool | None = None
    retries: t.Mapping[str, t.Any] = field(default_factory=dict)
    virtual_service_name: str = ""

    @classmethod
    def from_options(cls, options: t.Mapping[str, t.Any]) -> Intent:
        """Read options of the shape of OPTIONS; None counts as not given, unknown names are left alone.

        `name` and `virtual_service_name` default to the first part of `service_host` and to `name`.
        """
        given = {name: plain(value) for name, value in options.items() if name in OPTIONS and value is not None}
        # Not `host`: that is the API server, among the options of every module.
        given["host"] = given.pop("service_host", "")
        given["name"] = given.get("name") or given["host"].split(".")[0]
        given["virtual_service_name"] = given.get("virtual_service_name") or given["name"]
        for name in ("failover", "failover_priority", "distribute", "subsets", "export_to"):
            given[name] = tuple(given.get(name) or ())
        for name in ("outlier_detection", "retries"):
            given[name] = {key: value for key, value in (given.get(name) or {}).items() if value is not None}
        return cls(**given)

    @property
    def has_locality(self) -> bool:
        """Whether an order or a share of localities was asked for."""
        return bool(self.failover or self.failover_priority or self.distribute)

    @property
    def wants_virtual_service(self) -> bool:
        """Whether retries were asked for; these live in a VirtualService."""
        return bool(self.retries or self.retry_remote_localities)

    def with_outlier_detection(self, **more: t.Any) -> Intent:
        """Return a copy with more keys in `outlier_detection`."""
        return replace(self, outlier_detection={**self.outlier_detection, **more})


def camel(name: str) -> str:
    """`consecutive_5xx_errors` -> `consecutive5xxErrors`."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


#: Where an option stands below trafficPolicy.
LOCALITY: Path = ("loadBalancer", "localityLbSetting")
OUTLIER: Path = ("outlierDetection",)
MAX_REQUESTS: Path = ("connectionPool", "http", "maxRequestsPerConnection")


def settings(intent: Intent) -> t.Iterator[tuple[str, Path, t.Any]]:
    """Yield (option, path below trafficPolicy, value) of everything the typed options set."""
    if intent.max_requests_per_connection is not None:
        yield "max_requests_per_connection", MAX_REQUESTS, intent.max_requests_per_connection
    if intent.load_balancer:
        yield "load_balancer", ("loadBalancer", "simple"), intent.load_balancer
    if intent.has_locality:
        option = "failover" if intent.failover else "failover_priority" if intent.failover_priority else "distribute"
        yield option, (*LOCALITY, "enabled"), True
    if intent.failover:
        yield "failover", (*LOCALITY, "failover"), [dict(entry) for entry in intent.failover]
    if intent.failover_priority:
        yield "failover_priority", (*LOCALITY, "failoverPriority"), list(intent.failover_priority)
    if intent.distribute:
        yield "distribute", (*LOCALITY, "distribute"), [dict(entry) for entry in intent.distribute]
    for name, value in intent.outlier_detection.items():
        yield f"outlier_detection.{name}", (*OUTLIER, camel(name)), value
