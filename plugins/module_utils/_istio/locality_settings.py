# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which locality setting applies to a Service, and whether it puts localities into an order.

Source: istio 1.31 pilot/pkg/networking/core/loadbalancer/loadbalancer.go (GetEffectiveLbSetting, ApplyToCluster) and
1.30 of the same file (GetLocalityLbSetting); pilot/pkg/model/service.go (SupportsUnhealthyEndpoints).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import abc
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import Part, Policy, items, mapping
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import Semantics
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import (
    HOSTNAME_LABEL,
    NETWORK_LABEL,
    REGION_LABEL,
    SUBZONE_LABEL,
    ZONE_LABEL,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Mesh, Service

#: What istiod makes of trafficDistribution.
DISTRIBUTION_KEYS = {
    "PreferSameZone": (NETWORK_LABEL, REGION_LABEL, ZONE_LABEL),
    "PreferSameNode": (NETWORK_LABEL, REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL, HOSTNAME_LABEL),
}


class Failover(t.NamedTuple):
    """One entry of `failover`."""

    origin: str
    to: str


class Distribute(t.NamedTuple):
    """One entry of `distribute`; `to` are (locality or pattern, weight) as written."""

    origin: str
    to: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Setting:
    """The one locality setting that applies.

    `source`: DestinationRule, trafficDistribution, meshConfig. `zone_aware`: it is a zoneAwareLbSetting.
    `forced`: it applies without outlierDetection. `enabled` is false only for a zone-aware setting that is off.
    """

    source: str
    failover: tuple[Failover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    distribute: tuple[Distribute, ...] = ()
    forced: bool = False
    zone_aware: bool = False
    enabled: bool = True

    @property
    def weighted(self) -> bool:
        """Whether it has anything that makes istiod switch locality weights on, once it applies."""
        return bool(self.failover or self.failover_priority)

    def applies(self, outlier_detection: bool) -> bool:
        """Whether it puts localities into an order; `outlier_detection`: the policy has it.

        Source: istio 1.31 pilot/pkg/networking/core/loadbalancer/loadbalancer.go, ApplyLocalityLoadBalancer.
        """
        return outlier_detection or self.forced


def effective(policy: Policy, service: Service, distribution: str, mesh: Mesh, semantics: Semantics) -> Setting | None:
    """Return the setting for a Service under a resolved policy; None when locality load balancing is off.

    `distribution` is the Service's effective trafficDistribution (see `traffic_distribution`). A setting applies as a
    whole, never field by field: the rule's, else trafficDistribution's, else the mesh's.
    """
    if semantics.zone_aware and policy.zone_aware_lb is not None:
        return _zone_aware(policy.zone_aware_lb, "DestinationRule")
    if policy.locality_lb is not None:
        return _locality(policy.locality_lb, "DestinationRule")
    if distribution in DISTRIBUTION_KEYS:
        return Setting("trafficDistribution", failover_priority=DISTRIBUTION_KEYS[distribution], forced=True)
    given = mapping(mesh.config.get("zoneAwareLbSetting"))
    if semantics.zone_aware and given is not None:
        return _zone_aware(given, "meshConfig")
    # istiod's DefaultMeshConfig has `enabled: true`, which a mesh config without the block keeps.
    given = mapping(mesh.config.get("localityLbSetting"))
    return _locality({"enabled": True} if given is None else given, "meshConfig")


def _locality(given: Part, source: str) -> Setting | None:
    if given.get("enabled") is False:
        return None
    return Setting(
        source,
        _failover(given),
        tuple(str(key) for key in items(given.get("failoverPriority"))),
        tuple(
            Distribute(
                str(entry.get("from") or ""),
                tuple((str(to), _weight(weight)) for to, weight in (mapping(entry.get("to")) or {}).items()),
            )
            for entry in items(given.get("distribute"))
            if isinstance(entry, abc.Mapping)
        ),
    )


def _zone_aware(given: Part, source: str) -> Setting:
    enabled = given.get("enabled") is not False
    return Setting(
        source,
        _failover(given),
        tuple(str(key) for key in items(given.get("failoverPriority"))),
        forced=enabled,
        zone_aware=True,
        enabled=enabled,
    )


def _failover(given: Part) -> tuple[Failover, ...]:
    return tuple(
        Failover(str(entry.get("from") or ""), str(entry.get("to") or ""))
        for entry in items(given.get("failover"))
        if isinstance(entry, abc.Mapping)
    )


def _weight(value: t.Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def traffic_distribution(service: Service, namespace: str, semantics: Semantics) -> str:
    """Return a Service's effective trafficDistribution: '' (any), PreferSameZone or PreferSameNode.

    `namespace` is what the annotation of its namespace says; it applies since 1.30, and only when the Service itself
    says nothing: an annotation without meaning on the Service ends the search.
    """
    if service.traffic_distribution:
        return service.traffic_distribution if service.traffic_distribution in DISTRIBUTION_KEYS else ""
    if semantics.namespace_distribution and namespace in DISTRIBUTION_KEYS:
        return namespace
    return ""


@dataclass(frozen=True)
class Unready:
    """How unready endpoints are treated: `forced` (always sent), `sent` (unless minHealthPercent keeps them out)."""

    forced: bool
    sent: bool


def unready(distribution: str, mesh: Mesh, semantics: Semantics) -> Unready:
    """Return whether istiod sends unready endpoints of a Service with this trafficDistribution."""
    features = mesh.features
    forced = distribution != "" or _on(features.get("PILOT_SEND_UNHEALTHY_ENDPOINTS"))
    auto = semantics.auto_send_unhealthy and _on(features.get("PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS", "true"))
    return Unready(forced, forced or auto)


def always_weighted(mesh: Mesh) -> bool:
    """Whether istiod switches locality weights on in every cluster."""
    return _on(mesh.features.get("ENABLE_LOCALITY_WEIGHTED_LB_CONFIG"))


def enhanced_merge(mesh: Mesh) -> bool:
    """Whether istiod looks at exportTo when it merges DestinationRules."""
    return _on(mesh.features.get("ENABLE_ENHANCED_DESTINATIONRULE_MERGE", "true"))


def headless_eds(mesh: Mesh) -> bool:
    """Whether istiod sends the endpoints of headless Services to sidecars, too."""
    return _on(mesh.features.get("PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES"))


def _on(value: str | None) -> bool:
    # Source: Go strconv.ParseBool, which istio's env package uses.
    return value in ("1", "t", "T", "TRUE", "true", "True")
