# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is lost, and what the survivors can carry."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  subset:
    description: "Only this subset of the Services. Default: the whole Services."
    type: str
  losses:
    description:
      - What is lost, one text for each loss, C(level place). Levels are V(pod), V(node), V(subzone), V(zone) and
        V(region). A place is V(namespace/name) of a pod, a node's name, or the parts of a locality
        (V(zone cn-north-4/cn-north-4b)); its last part is enough where that is unique. A glob is everything that
        matches, lost together.
      - Several places lost at once are a list, or are written with C( + ) between them.
    type: list
    elements: raw
  levels:
    description:
      - Every single place of these levels is lost, one after the other, in addition to O(losses).
      - When neither is set, V(subzone), V(zone) and V(region).
    type: list
    elements: str
  pairs:
    description: Every two of the places are lost together, too.
    type: bool
    default: false
  rate:
    description: Requests per second of each client.
    type: float
    default: 20.0
  capacity:
    description:
      - Requests per second that one pod of a Service can answer, by Service (names as in O(service)).
      - Where it is not set and an autoscaler keeps the pods at a percentage of their requested CPU, that and the
        limits of the pods determine what they can carry.
    type: dict
    default: {}
  headroom:
    description: Where neither is known, a pod is assumed to carry this many times what the busiest one carries now.
    type: float
    default: 2.0
  lose_clients:
    description:
      - Whether the clients in a lost place go down, too, and send no load. When false only endpoints are lost, as when
        servers are drained.
      - Gateways and waypoints are lost either way.
    type: bool
    default: true
"""

    FAULT = r"""
options:
  faults:
    description:
      - What becomes of the lost endpoints, one or several of V(refused), V(drained), V(reset), V(gateway_error),
        V(server_error), V(blackhole), V(hang) and V(removed). The matrix is that of the first.
    type: list
    elements: str
    default: [refused]
  readiness_seconds:
    description:
      - After how many seconds Kubernetes takes lost endpoints out. Without it 45 to 60 s for pods (a sidecar's
        readiness probe) and 40 to 55 s for all else (a node that gives no sign of life).
    type: float
"""
