# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: resilience_matrix
short_description: Services and losses, and what survives, what spills over, what dies
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Computes, without a cluster, for each Service and each loss the worst that happens to any client that is left, and
    whether the survivors can carry the load.
  - P(meshops.locality.prediction_table#filter) prints it so that it can be read at a glance.
positional: service, namespace, client
options:
  _input:
    description:
      - The snapshot that M(meshops.locality.topology_info) returned, its whole result, or the text of the file it
        saved. For a large mesh the text is by far the fastest.
    type: raw
    required: true
  service:
    description:
      - Only these Services, a name or a list of them. Each is a host, C(name.namespace), C(name), or a glob of these.
      - Without it all.
    type: raw
  namespace:
    description: Only Services of this namespace.
    type: str
  client:
    description:
      - Only these clients, a text or a list of them. A text with C(=) is a label selector (V(app=sleep,version!=v1));
        any other is C(namespace/pod), a pod's name, a locality, or a glob of these.
      - Without it all.
    type: raw
  port:
    description: Only this port of the Services.
    type: int
  subset:
    description: Only this subset of the Services. Without it the whole Services.
    type: str
  losses:
    description:
      - What is lost, one text for each loss, C(level place). Levels are V(pod), V(node), V(subzone), V(zone) and
        V(region). A place is V(namespace/name) of a pod, a node's name, or the parts of a locality
        (V(zone cn-north-4/cn-north-4b)); its last part is enough where that is unique. A glob is everything that
        matches, lost together.
      - Several at once are a list, or are written with C( + ) between them.
    type: list
    elements: raw
  levels:
    description:
      - Every single place of these levels is lost, one after the other, in addition to O(losses).
      - When neither is given, V(subzone), V(zone) and V(region).
    type: list
    elements: str
  pairs:
    description: Every two of the places are lost together, too.
    type: bool
    default: false
  rate:
    description: Requests per second of each client.
    type: float
    default: 1.0
  capacity:
    description:
      - Requests per second that one pod of a Service can answer, by Service (names as in O(service)).
      - Where it is not given and an autoscaler keeps the pods at a percent of their requested CPU, that and the
        limits of the pods say what they can carry.
    type: dict
    default: {}
  headroom:
    description: Where neither is known, a pod is assumed to carry this many times what the busiest one carries now.
    type: float
    default: 2.0
  lose_clients:
    description:
      - Whether the clients in a lost place are lost, too, and ask no more, so that their requests load nobody. When
        false only endpoints are lost, as when servers are drained.
    type: bool
    default: true
  istio_version:
    description:
      - Version of Istio whose decisions are wanted, for example V(1.30). In quotes, because YAML makes V(1.3) of it.
      - Without it the version in the snapshot counts.
    type: str
seealso:
  - plugin: meshops.locality.locality_forecast
    plugin_type: filter
  - plugin: meshops.locality.prediction_table
    plugin_type: filter
"""

EXAMPLES = r"""
- name: The matrix
  ansible.builtin.debug:
    msg: "{{ mesh.snapshot | meshops.locality.resilience_matrix | meshops.locality.prediction_table }}"

- name: No Service of the shop dies with a zone, and none waits for Kubernetes
  ansible.builtin.assert:
    that: matrix.summary | length == 0
    fail_msg: "{{ matrix | meshops.locality.prediction_table }}"
  vars:
    matrix: "{{ mesh.snapshot | meshops.locality.resilience_matrix(namespace='shop', levels=['zone']) }}"
"""

RETURN = r"""
_value:
  description:
    - C(losses), each with its name C(loss) and its C(losses) (C(level) and C(place)), and C(rows), one for each
      Service and port, with C(name), C(service), C(port), C(endpoints), C(clients) and C(entries) in the order of the
      losses.
    - Each entry has C(verdict) and C(until) as in P(meshops.locality.locality_forecast#filter), both the worst over
      the clients that are left; C(sign), its character in the table; C(lost_at_first), C(lost_in_the_end) and
      C(moved) (answered by other localities than before) as shares of all requests; C(load), C(limit), C(limit_from),
      C(growth) and C(overloaded); C(clients), how many have which verdict; C(worst_client).
    - C(summary) has for each loss that hurts the Services that C(dies) with it, C(waits) for Kubernetes' readiness,
      or are C(overloaded). C(assumptions) hold for everything, C(skipped) is what cannot be predicted.
    - C(checked) is false where no oracle has confirmed what is computed; C(unchecked) says in sentences what.
  type: dict
"""

import typing as t

from ansible_collections.meshops.locality.plugins.plugin_utils._snapshot import (
    answered,
    flag,
    number,
    read_snapshot,
    text,
    texts,
)

_NAME = "meshops.locality.resilience_matrix"


def resilience_matrix(
    snapshot: t.Any,
    service: t.Any = None,
    namespace: t.Any = None,
    client: t.Any = None,
    *,
    port: t.Any = None,
    subset: t.Any = None,
    losses: t.Any = None,
    levels: t.Any = None,
    pairs: t.Any = False,
    rate: t.Any = 1.0,
    capacity: t.Any = None,
    headroom: t.Any = 2.0,
    lose_clients: t.Any = True,
    istio_version: t.Any = None,
) -> dict[str, t.Any]:
    """Compute a matrix; see DOCUMENTATION."""
    from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import Selection, resilience
    from ansible_collections.meshops.locality.plugins.plugin_utils._losses import ability, listed

    def ask() -> dict[str, t.Any]:
        return resilience(
            read_snapshot(snapshot),
            Selection(
                texts("service", service),
                text("namespace", namespace),
                texts("client", client),
                int(number("port", port or 0)),
                text("subset", subset),
            ),
            losses=listed(losses),
            levels=texts("levels", levels),
            both=flag("pairs", pairs),
            ability=ability(rate, capacity, headroom, lose_clients),
            version=text("istio_version", istio_version),
        )

    return answered(_NAME, ask)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"resilience_matrix": resilience_matrix}
