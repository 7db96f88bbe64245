# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes a lost endpoint out of service discovery: Kubernetes' readiness, DNS, or nothing.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import Fault
from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_priorities import Member
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Service, Snapshot

#: `readiness`: the pod's Ready condition turns false and its endpoint with it. `dns`: a name stops resolving to it.
Removal = t.Literal["readiness", "dns", "never"]

#: The server accepts connections and answers (or waits), so the sidecar's readiness probe goes on succeeding. Whether
#: the application's own probe notices is not known.
STAYS_READY = frozenset({Fault.GATEWAY_ERROR, Fault.SERVER_ERROR, Fault.HANG})


def headless_hosts(snapshot: Snapshot) -> frozenset[str]:
    """Return the hosts of headless Services of Kubernetes: their names resolve to the addresses of ready pods."""
    return frozenset(
        service.host
        for service in snapshot.services
        if service.registry == "Kubernetes" and service.resolution == "Passthrough"
    )


def removal(
    service: Service, member: Member, fault: Fault, headless: t.Collection[str] = (), *, probed: bool = False
) -> Removal:
    """Return what takes this endpoint of a Service out of service discovery after a fault.

    `probed`: somebody says that a readiness probe notices the fault. Nothing removes an endpoint without a pod: hosts
    outside of Kubernetes, WorkloadEntries, EndpointSlices that refer to no pod, names that resolve to a ClusterIP (the
    address of the Service stays whatever its pods do). With publishNotReadyAddresses an endpoint is ready as long as
    its pod exists.
    Source: Kubernetes 1.35 staging/src/k8s.io/endpointslice/utils.go, podToEndpoint.
    """
    if not member.pod:
        return "dns" if member.host.rpartition(":")[0] in headless and fault not in STAYS_READY else "never"
    if service.publish_not_ready:
        return "never"
    return "never" if fault in STAYS_READY and not probed else "readiness"
