# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: locality_plan
short_description: What istiod tells each client about each Service, computed from a snapshot
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Computes, without a cluster, which rule and setting apply to each kind of client and each Service, port and subset,
    and which priorities, weights and endpoints follow, with the reasons.
  - It decides as istiod of the given version does; generated meshes are compared with istiod's own code.
positional: service, namespace, client
options:
  subset:
    description:
      - Only this subset; an empty text is the whole Service without subsets. Without it both.
    type: str
extends_documentation_fragment:
  - meshops.locality.snapshot_input
  - meshops.locality.snapshot_input.version
  - meshops.locality.selection
seealso:
  - module: meshops.locality.topology_info
  - plugin: meshops.locality.plan_differences
    plugin_type: filter
  - plugin: meshops.locality.prediction_table
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Read the mesh
  meshops.locality.topology_info:
  register: mesh

- name: What would the clients in tianjin be told about helloworld
  ansible.builtin.debug:
    msg: "{{ mesh.snapshot | meshops.locality.locality_plan(service='helloworld', client='*/tianjin')
      | meshops.locality.prediction_table }}"

- name: Every client has its own locality first
  ansible.builtin.assert:
    that: item.priorities[0].localities | map(attribute='locality') | unique == [item.client.locality]
  loop: "{{ mesh.snapshot | meshops.locality.locality_plan(service='helloworld') }}"
"""

RETURN = r"""
_value:
  description:
    - One dictionary for each kind of client (same namespace, type, locality and labels that matter) and destination.
    - C(client) is C(namespace), C(type), C(locality), C(labels) (those that some rule looks at), C(clients) (how
      many) and C(pods) (the names of the first). The destination is C(service), C(namespace), C(port), C(subset),
      C(cluster), and C(name) for people.
    - C(rule) is the DestinationRule that counts, C(rules) all that istiod merges, C(tier) where it was found
      (V(client), V(service) or V(root) namespace); C(setting) has C(source), C(kind) and whether it C(applies).
    - C(priorities) is a list of C(priority) and C(localities), each with C(locality), C(weight), C(endpoints),
      C(healthy) and C(pods). C(ejection) is the arithmetic of C(maxEjectionPercent). C(why) are the reasons, one
      sentence each.
    - Further C(type), C(ordered), C(locality_weighted), C(lb_policy), C(panic_threshold) (percent),
      C(outlier_detection) (as written), C(sends_unready), C(max_requests_per_connection), C(retries),
      C(connect_timeout), C(istio_version).
    - C(chance) is true when istiod's own answer differs from push to push, C(crash) when istiod crashes because of it.
    - C(checked) is false where no oracle has confirmed what is computed; C(unchecked) says in sentences what.
  type: list
  elements: dict
"""

import typing as t

from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_queries import filter_answer


def locality_plan(snapshot: t.Any, *values: t.Any, **options: t.Any) -> list[dict[str, t.Any]]:
    """Compute a plan; see DOCUMENTATION."""
    answer: list[dict[str, t.Any]] = filter_answer(
        "meshops.locality.locality_plan", "plan", snapshot, ("service", "namespace", "client"), values, options
    )
    return answer


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"locality_plan": locality_plan}
