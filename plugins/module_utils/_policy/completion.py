# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule needs so that it survives the loss it is made for, and what would silently do nothing.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, replace

from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier_detection import (
    CONSECUTIVE,
    MAX_EJECTION_PERCENT,
    OutlierDetection,
    ejectable,
    needed_percent,
)
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio.envoy_outlier_detection import (
    envoy_outlier_detection,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent import (
    LEVELS,
    LOCALITY,
    OUTLIER,
    Intent,
    Json,
)
from ansible_collections.meshops.locality.plugins.module_utils._policy.istio_objects import traffic_policy

EndpointCounts = t.Mapping[Locality, int]


class Completed(t.NamedTuple):
    """One field that was filled in. `field` is its path below the object, `why` a sentence."""

    field: str
    value: t.Any
    why: str


@dataclass(frozen=True)
class LargestLoss:
    """The largest group of endpoints that one loss at a level takes away."""

    level: str
    place: str
    lost: int
    total: int

    @property
    def percent(self) -> int:
        """The maxEjectionPercent that lets Envoy eject all of them."""
        return needed_percent(self.lost, self.total)

    def __str__(self) -> str:
        return f"{self.lost} of {self.total} endpoints are in {self.level} {self.place or '(without labels)'}"


def loss(endpoints: EndpointCounts, level: str) -> LargestLoss:
    """Return the largest loss at a level. Raises InvalidInput when there are no endpoints."""
    groups: Counter[str] = Counter()
    depth = 3 - LEVELS.index(level)
    for locality, number in endpoints.items():
        groups["/".join((locality.region, locality.zone, locality.subzone)[:depth]).rstrip("/")] += number
    if not sum(groups.values()):
        raise InvalidInput("There are no endpoints to compute with.")
    place, lost = max(groups.items(), key=lambda item: (item[1], item[0]))
    return LargestLoss(level, place, lost, sum(groups.values()))


def level_to_survive(intent: Intent, endpoints: EndpointCounts) -> str:
    """Return `survive`; when it is not given: region for a failover between regions, else the widest that differs."""
    if intent.survive:
        return intent.survive
    if intent.failover:
        return "region"
    for level in ("region", "zone"):
        group = loss(endpoints, level)
        if group.lost < group.total:
            return level
    return "subzone"


def complete(intent: Intent, endpoints: EndpointCounts, *, http: bool = True) -> tuple[Intent, list[Completed]]:
    """Fill what was left out so that the rule survives. `endpoints` are those of the host per locality.

    `http`: whether the host has a port whose requests can be retried. Given options stay as they are.
    Raises InvalidInput when there are no endpoints, or when all of them would be lost together.
    """
    policy = traffic_policy(intent)
    given = _below(policy, OUTLIER)
    done: list[Completed] = []
    base = "DestinationRule.spec.trafficPolicy.outlierDetection"
    if not given:
        intent = intent.with_outlier_detection(consecutive_5xx_errors=CONSECUTIVE)
        why = "Without outlierDetection istiod gives all endpoints one priority and Envoy ejects none: no failover."
        done.append(Completed(f"{base}.consecutive5xxErrors", CONSECUTIVE, why))
    if not given.get("maxEjectionPercent"):
        group = loss(endpoints, level_to_survive(intent, endpoints))
        if group.lost == group.total:
            raise InvalidInput(
                f"No rule can survive: all {group} for host {intent.host}.",
                do=f"Run endpoints outside of it, or set survive to something smaller than {group.level}.",
            )
        intent = intent.with_outlier_detection(max_ejection_percent=group.percent)
        why = (
            f"{group}; Envoy ejects a host only while at most this share of all hosts is ejected, and its default of "
            f"{MAX_EJECTION_PERCENT} % allows {ejectable(group.total)}."
        )
        done.append(Completed(f"{base}.maxEjectionPercent", group.percent, why))
    if intent.retry_remote_localities is None and http:
        intent = replace(intent, retry_remote_localities=True)
        why = "A request that fails before its host is ejected is tried again in the next locality, instead of failing."
        done.append(Completed("VirtualService.spec.http[0].retries.retryRemoteLocalities", True, why))
    return intent, done


def warnings(intent: Intent, endpoints: EndpointCounts | None) -> t.Iterator[str]:
    """Yield what istiod accepts without a word although it does nothing, or does less than it says.

    `endpoints` None: they are not known.
    """
    policy = traffic_policy(intent)
    locality, outlier = _below(policy, LOCALITY), _below(policy, OUTLIER)
    simple = _below(policy, ("loadBalancer",)).get("simple")
    if locality and simple == "PASSTHROUGH":
        yield "load_balancer PASSTHROUGH takes all endpoints out of the cluster: localities mean nothing with it."
    if (locality.get("failover") or locality.get("failoverPriority")) and not outlier:
        yield "failover does nothing without outlier_detection: istiod orders localities only when it is set."
    if locality.get("distribute") and locality.get("failoverPriority"):
        yield "failover_priority does nothing next to distribute, which wins."
    seen: list[str] = []
    for index, entry in enumerate(locality.get("failover") or []):
        if entry.get("from") in seen:
            yield f"failover[{index}] does nothing: only the first entry with from {entry.get('from')} applies."
        seen.append(entry.get("from"))
    if intent.host.count(".") == 1 and not intent.host.startswith("*"):
        name, namespace = intent.host.split(".")
        yield (
            f"service_host {intent.host} is not completed by Istio, because it has a dot: for the Service {name} of "
            f"namespace {namespace} write {name}.{namespace}.svc.cluster.local."
        )
    detection = envoy_outlier_detection(outlier or None)
    if detection and not detection.ejecting_failures:
        yield "outlier_detection ejects no endpoint: consecutive_5xx_errors is 0 and consecutive_gateway_errors is off."
    if endpoints is not None:
        yield from _about_endpoints(intent, endpoints, locality, outlier)


def _about_endpoints(intent: Intent, endpoints: EndpointCounts, locality: Json, outlier: Json) -> t.Iterator[str]:
    if not sum(endpoints.values()):
        yield f"host {intent.host} has no endpoints now."
        return
    regions = {place.region for place in endpoints}
    for index, entry in enumerate(locality.get("failover") or []):
        for side in ("from", "to"):
            if entry.get(side) not in regions:
                effect = "there is nothing to fail over to" if side == "to" else "its clients always use other regions"
                yield (
                    f"failover[{index}].{side}: host {intent.host} has no endpoint in region {entry.get(side)} now "
                    f"(it has some in {', '.join(sorted(regions - {''})) or 'no region at all'}): {effect}."
                )
    if Locality() in endpoints:
        number = endpoints[Locality()]
        yield f"{number} endpoints of host {intent.host} have no locality: their nodes carry no topology labels."
    if not outlier:
        return
    group = loss(endpoints, level_to_survive(intent, endpoints))
    detection = envoy_outlier_detection(outlier) or OutlierDetection()
    if detection.max_ejection_percent < group.percent:
        given = (
            f"max_ejection_percent {detection.max_ejection_percent}"
            if outlier.get("maxEjectionPercent")
            else f"max_ejection_percent is not set, so Envoy's {MAX_EJECTION_PERCENT} %"
        )
        allowed = detection.ejectable(group.total)
        yield (
            f"{given} allows {allowed} of {group.total} endpoints to be ejected, but {group}: at least {group.percent} "
            "is needed, or requests keep failing until the pods are no longer ready."
        )
    left = 100 * (group.total - group.lost) // group.total
    if outlier.get("minHealthPercent", 0) > left:
        yield (
            f"min_health_percent {outlier['minHealthPercent']}: when {group.level} {group.place} is lost {left} % are "
            "left, and Envoy then sends requests to all endpoints, the lost ones included."
        )


def _below(policy: Json, path: tuple[str, ...]) -> Json:
    value: t.Any = policy
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
