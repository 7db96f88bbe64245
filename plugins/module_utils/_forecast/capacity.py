# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pods behind a Service can carry: given, from their autoscalers, or assumed.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._forecast.endpoint_groups import EndpointGroup
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Pod, Workload

#: A pod is assumed to carry this many times what the busiest pod carries now, when nobody says what it can.
HEADROOM = 2.0


@dataclass(frozen=True)
class Capacity:
    """What pods can carry. `per_pod`: requests per second by Service host (glob patterns are not read here).

    `headroom`: how many times the busiest pod's load of today, where neither is given nor an autoscaler says how busy
    pods are. `rate`: requests per second of one client, needed to compare with `per_pod`.
    """

    headroom: float = HEADROOM
    rate: float = 1.0
    per_pod: t.Mapping[str, float] = field(default_factory=dict)


class PodOfWorkload(t.NamedTuple):
    """A workload (None: not known) and one of its pods."""

    workload: Workload | None
    pod: Pod


def workloads(planner: Planner, cells: t.Iterable[EndpointGroup]) -> list[PodOfWorkload]:
    """Return the workloads behind a destination, each with one of its pods; None for pods of none that is known."""
    pods: dict[tuple[str, str], Pod] = {}
    for cell in cells:
        for member in cell.members:
            if member.pod and (pod := planner.snapshot.pod_by_key.get(member.pod)) is not None and pod.workload:
                pods.setdefault((pod.namespace, pod.workload), pod)
    return [PodOfWorkload(planner.snapshot.workload_by_key.get(key), pod) for key, pod in pods.items()]


def growth(behind: t.Sequence[PodOfWorkload]) -> float:
    """Return how many times more pods the autoscalers may make."""
    if any(workload is None or not workload.maximum or not workload.replicas for workload, _pod in behind):
        return 1.0
    return min((max(1.0, workload.maximum / workload.replicas) for workload, _pod in behind if workload), default=1.0)


def headroom(behind: t.Sequence[PodOfWorkload]) -> float | None:
    """Return how many times today's load a pod can carry where autoscalers keep all pods at a percent of their CPU.

    A pod uses `cpu_target` percent of what it requests, and may use its limit, or what it requests without one.
    """
    ratios = []
    for workload, pod in behind:
        if workload is None or not workload.cpu_target or not pod.cpu:
            return None
        ratios.append((pod.cpu_limit or pod.cpu) / (pod.cpu * workload.cpu_target / 100))
    return min(ratios, default=None)
