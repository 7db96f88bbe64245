# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Envoy shares the requests to one cluster over its priorities.
Localities of a priority: locality_shares.py; single hosts: host_shares.py.

The rules are Envoy's (1.36 to 1.40 alike): source/extensions/load_balancing_policies/common/load_balancer_impl.cc
(distributeLoad, recalculatePerPriorityState, recalculatePerPriorityPanic, recalculateLoadInTotalPanic, hostSourceToUse)
and locality_wrr.cc (effectiveLocalityWeight). tests/differential/test_envoy.py compares them with the real Envoy.

Not covered: zone-aware routing, subsets, slow start, hashing load balancers, retries.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput

ROUND_ROBIN = "ROUND_ROBIN"
LEAST_REQUEST = "LEAST_REQUEST"
RANDOM = "RANDOM"
POLICIES = (ROUND_ROBIN, LEAST_REQUEST, RANDOM)

#: Source: envoy source/common/upstream/upstream_impl.h, kDefaultOverProvisioningFactor.
OVERPROVISIONING = 140
#: What Envoy takes without healthy_panic_threshold. Istio sets 0 with outlierDetection. Same file, cluster.proto.
PANIC_THRESHOLD = 50.0


@dataclass(frozen=True)
class Settings:
    """What of a cluster decides where its requests go.

    `panic_threshold`: percent, of which Envoy uses the whole part (`threshold`); 0 is no panic at all.
    `locality_weighted`: whether the cluster has locality_weighted_lb_config; without it locality weights mean nothing.
    `overprovisioning`: percent. `weighted_priority_health`: a priority's health is that of host weights, not of hosts.
    Raises InvalidInput when a value is out of its range or the policy is another one.
    """

    panic_threshold: float = PANIC_THRESHOLD
    locality_weighted: bool = False
    overprovisioning: int = OVERPROVISIONING
    policy: str = LEAST_REQUEST
    weighted_priority_health: bool = False
    #: The threshold as Envoy has it. Its conversion cuts instead of rounding: 29 % becomes 28, 57 % becomes 56.
    #: Source: envoy source/common/protobuf/utility.cc, ProtobufPercentHelper::convertPercent.
    threshold: int = field(init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.panic_threshold <= 100:
            raise InvalidInput(f"The panic threshold must be from 0 to 100 percent, not {self.panic_threshold}.")
        if self.overprovisioning < 1:
            raise InvalidInput(f"The overprovisioning factor must be at least 1, not {self.overprovisioning}.")
        if self.policy not in POLICIES:
            raise InvalidInput(
                f"The load balancing policy {self.policy} cannot be predicted, only {', '.join(POLICIES)}."
            )
        object.__setattr__(self, "threshold", int(100 * (self.panic_threshold / 100.0)))


#: The sums of the weights of the healthy, the degraded and the counted hosts, each by priority.
WeightSums = tuple[t.Sequence[int], t.Sequence[int], t.Sequence[int]]


class Loads(t.NamedTuple):
    """Percent per priority; all together are 100. A priority in `panic` sends its load to all of its hosts."""

    healthy: list[int]
    degraded: list[int]
    panic: list[bool]


class Shares(t.NamedTuple):
    """Shares of all requests, 0 to 1, in the order of the groups (or hosts) given; together with `none` they are 1.

    `dead` is the part of each share that goes to unhealthy and excluded hosts, which only happens in panic. `none` is
    the share that Envoy answers itself with 503 "no healthy upstream".
    """

    shares: list[float]
    dead: list[float]
    none: float


def priority_loads(
    healthy: t.Sequence[int],
    degraded: t.Sequence[int],
    counted: t.Sequence[int],
    hosts: t.Sequence[int],
    overprovisioning: int = OVERPROVISIONING,
    threshold: int = 50,
    weights: WeightSums | None = None,
) -> Loads:
    """Return the load of each priority, from its numbers of hosts: `counted` are all but the excluded, `hosts` all.

    `threshold` is whole percent. `weights`: with weighted_priority_health, the sums of the weights of the healthy,
    degraded and counted hosts. All divisions are of whole numbers. There must be at least one priority.
    """
    size = len(hosts)
    parts_healthy, parts_degraded, wholes = (healthy, degraded, counted) if weights is None else weights
    available_healthy, available_degraded = [0] * size, [0] * size
    available = 0
    for priority in range(size):
        if counted[priority]:
            whole = wholes[priority]
            got = overprovisioning * parts_healthy[priority] // whole
            available_healthy[priority] = got = got if got < 100 else 100  # min() is five times slower
            available += got
            if parts_degraded[priority]:
                got = overprovisioning * parts_degraded[priority] // whole
                available_degraded[priority] = got = got if got < 100 else 100
                available += got
    available = min(100, available)
    load_healthy, load_degraded, panic = [0] * size, [0] * size, [False] * size
    if available:
        left = 100
        for loads, availables in ((load_healthy, available_healthy), (load_degraded, available_degraded)):
            for priority in range(size):
                if part := availables[priority]:
                    got = part * 100 // available
                    loads[priority] = got = got if got < left else left
                    left -= got
            if not left:
                break
        else:  # only rounding leaves something
            first = next((priority for priority in range(size) if available_healthy[priority]), None)
            if first is not None:
                load_healthy[first] += left
            else:
                load_degraded[next(priority for priority in range(size) if available_degraded[priority])] += left
    if threshold and available < 100:
        panic = [
            not count or 100.0 * part / count + 100.0 * other / count < threshold
            for part, other, count in zip(healthy, degraded, counted, strict=True)
        ]
        if all(panic):
            return Loads(_by_hosts(hosts), [0] * size, panic)
    if not available:
        load_healthy[0] = 100
    return Loads(load_healthy, load_degraded, panic)


def _by_hosts(hosts: t.Sequence[int]) -> list[int]:
    """Total panic: by numbers of hosts, the excluded included; what rounding leaves goes to the first with any."""
    total = sum(hosts)
    if not total:
        return [100] + [0] * (len(hosts) - 1)
    loads = [100 * count // total for count in hosts]
    loads[next(priority for priority, count in enumerate(hosts) if count)] += 100 - sum(loads)
    return loads
