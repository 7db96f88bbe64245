# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An assignment as EDS sends it, and the hosts that Envoy makes of it: what the model is given in the comparisons."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.host_shares import (
    STATES,
    Host,
    State,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import LocalityHosts
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality

#: EDS health_status → state of the host, when nothing else (ejection, health checks) says worse.
#: Source: envoy source/common/upstream/upstream_impl.cc, HostImplBase::setEdsHealthStatus, excludeBasedOnHealthFlag.
EDS_STATES: t.Mapping[str, State] = {
    "UNKNOWN": "healthy",
    "HEALTHY": "healthy",
    "DEGRADED": "degraded",
    "UNHEALTHY": "unhealthy",
    "TIMEOUT": "unhealthy",
    "DRAINING": "excluded",
}


class LbEndpoint(t.NamedTuple):
    """One endpoint as EDS sends it. `address` is any text that tells two of them apart."""

    address: str
    state: State = "healthy"
    weight: int = 1


class LocalityLbEndpoints(t.NamedTuple):
    """One entry of a ClusterLoadAssignment. `locality` None: the message is absent, and then `weight` means nothing."""

    endpoints: t.Sequence[LbEndpoint]
    locality: Locality | None = Locality()
    priority: int = 0
    weight: int | None = None


def assignment(entries: t.Iterable[LocalityLbEndpoints]) -> list[Host]:
    """Return the hosts that Envoy makes of the entries of one EDS answer, in their order.

    Of equal addresses the first in the list counts, whatever its priority. Entries with the same priority and locality
    are one locality; the last weight that is given counts for all of it.
    Source: envoy source/extensions/clusters/eds/eds.cc, updateLocalityEndpoints; upstream_impl.cc,
    PriorityStateManager::initializePriorityFor. (A STATIC cluster keeps equal addresses.)
    """
    listed = list(entries)
    weights: dict[tuple[int, Locality], int] = {}
    for entry in listed:
        if entry.locality is not None and entry.weight:
            weights[entry.priority, entry.locality] = entry.weight
    hosts: list[Host] = []
    seen: set[str] = set()
    for entry in listed:
        locality = entry.locality or Locality()
        weight = weights.get((entry.priority, locality), 0)
        for endpoint in entry.endpoints:
            if endpoint.address not in seen:
                seen.add(endpoint.address)
                hosts.append(Host(endpoint.address, entry.priority, locality, weight, endpoint.state, endpoint.weight))
    return hosts


def locality_hosts(hosts: t.Iterable[Host]) -> dict[tuple[int, Locality], LocalityHosts]:
    """Count the hosts of each priority and locality, in the order of their first host, for locality_shares."""
    hosts_by_locality: dict[tuple[int, Locality], list[int]] = {}
    weights: dict[tuple[int, Locality], int] = {}
    for host in hosts:
        key = (host.priority, host.locality)
        weights[key] = host.locality_weight
        hosts_by_locality.setdefault(key, [0, 0, 0, 0])[STATES.index(host.state)] += 1
    return {key: LocalityHosts(key[0], weights[key] or None, *numbers) for key, numbers in hosts_by_locality.items()}
