# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: plan_differences
short_description: Compare a plan with what clients' Envoys hold
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Says in what the clients that M(meshops.locality.endpoints_info) returned hold something else than planned -
    endpoints, their localities, priorities, weights and readiness, and with its option C(include_settings) the
    weights of localities and the settings of clusters.
  - Ejections are not compared, they are Envoy's own. Clusters whose addresses Envoy resolves itself are left out.
  - An Envoy learns of a change some time later; try again for a few seconds.
positional: clients, istio_version
options:
  _input:
    description:
      - The snapshot, as for P(meshops.locality.locality_plan#filter), taken at the same time; or what that filter
        returned, which knows numbers of endpoints, but not their addresses.
    type: raw
    required: true
  clients:
    description: The value RV(meshops.locality.endpoints_info#module:clients).
    type: list
    elements: dict
    required: true
  istio_version:
    description:
      - Version of Istio whose decisions are wanted, for example V(1.30). In quotes, because YAML makes V(1.3) of it.
      - Without it the version in the snapshot applies.
    type: str
seealso:
  - plugin: meshops.locality.endpoint_differences
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Read the mesh
  meshops.locality.topology_info:
    all_namespaces: true
  register: mesh

- name: Read what the clients hold
  meshops.locality.endpoints_info:
    namespace: sample
    label_selector: app=sleep
    include_settings: true
  register: held

- name: They hold what istiod should tell them
  ansible.builtin.assert:
    that: differences | length == 0
    fail_msg: "{{ differences | join(' ') }}"
  vars:
    differences: "{{ mesh.snapshot | meshops.locality.plan_differences(held.clients) }}"
"""

RETURN = r"""
_value:
  description: One sentence for each difference; empty when there is none.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_queries import answered, read_snapshot
from ansible_collections.meshops.locality.plugins.plugin_utils._option_readers import text

_NAME = "meshops.locality.plan_differences"


def plan_differences(plan: t.Any, clients: t.Any = None, istio_version: t.Any = None) -> list[str]:
    """Compare a plan with clients; see DOCUMENTATION."""
    from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
    from ansible_collections.meshops.locality.plugins.module_utils._forecast import plan_against_envoy
    from ansible_collections.meshops.locality.plugins.module_utils._model.plain_values import plain

    def ask() -> list[str]:
        if not isinstance(clients, (list, tuple)):
            raise InvalidInput(
                f"clients must be a list, not {type(clients).__name__}.", do="Give endpoints_info's clients."
            )
        rows = isinstance(plan, (list, tuple))
        wanted = plain(plan) if rows else read_snapshot(plan)
        return plan_against_envoy.plan_differences(wanted, plain(clients), text("istio_version", istio_version or ""))

    return answered(_NAME, ask)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"plan_differences": plan_differences}
