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
extends_documentation_fragment:
  - meshops.locality.snapshot_input
  - meshops.locality.snapshot_input.version
  - meshops.locality.selection
  - meshops.locality.losses
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

from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_queries import filter_answer


def resilience_matrix(snapshot: t.Any, *values: t.Any, **options: t.Any) -> dict[str, t.Any]:
    """Compute a matrix; see DOCUMENTATION."""
    answer: dict[str, t.Any] = filter_answer(
        "meshops.locality.resilience_matrix", "matrix", snapshot, ("service", "namespace", "client"), values, options
    )
    return answer


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"resilience_matrix": resilience_matrix}
