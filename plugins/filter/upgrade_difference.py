# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: upgrade_difference
short_description: What changes for whom when the same mesh runs under another version of Istio
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Computes the plan of a mesh for two versions of Istio and returns what differs, for which clients, and why.
positional: to_version, from_version
options:
  from_version:
    description: The version before, for example V(1.30). Without it that of the snapshot.
    type: str
  to_version:
    description: The version after, for example V(1.31).
    type: str
    required: true
extends_documentation_fragment:
  - meshops.locality.snapshot_input
seealso:
  - plugin: meshops.locality.locality_plan
    plugin_type: filter
  - plugin: meshops.locality.prediction_table
    plugin_type: filter
"""

EXAMPLES = r"""
- name: What will the upgrade change
  ansible.builtin.debug:
    msg: "{{ difference | meshops.locality.prediction_table }}"
  vars:
    difference: "{{ mesh.snapshot | meshops.locality.upgrade_difference('1.31') }}"
"""

RETURN = r"""
_value:
  description: What changes, for whom.
  type: dict
  contains:
    kind:
      description: V(upgrade).
      type: str
    from_version:
      description: The version before.
      type: str
    to_version:
      description: The version after.
      type: str
    clients:
      description: Number of all clients.
      type: int
    changes:
      description: The differences.
      type: list
      elements: dict
      contains:
        name:
          description: The destination, short, for people.
          type: str
        service:
          description: Host of the Service.
          type: str
        port:
          description: Port of the Service.
          type: int
        subset:
          description: Subset; empty for the whole Service.
          type: str
        cluster:
          description: Name of Envoy's cluster.
          type: str
        what:
          description: What differs, for example V(priorities) or V(panic threshold).
          type: str
        before:
          description: The value before.
          type: raw
        after:
          description: The value after.
          type: raw
        why:
          description: The change of Istio that causes it.
          type: str
        clients:
          description: Number of clients.
          type: int
        pods:
          description: The clients, C(namespace/name).
          type: list
          elements: str
        where:
          description: Where they are.
          type: list
          elements: dict
          contains:
            namespace:
              description: Namespace of the clients.
              type: str
            locality:
              description: Locality of the clients.
              type: str
            clients:
              description: Number of clients.
              type: int
    assumptions:
      description: What was assumed.
      type: list
      elements: dict
      contains:
        code:
          description: Which assumption it is, for programs.
          type: str
        text:
          description: The same as a sentence.
          type: str
        parameters:
          description: What the sentence is made of, by name.
          type: dict
    checked:
      description: False where no oracle has confirmed what is computed.
      type: bool
    unchecked:
      description: What is not confirmed, and why.
      type: list
      elements: dict
      contains:
        code:
          description: Which of the codes of docs/codes.md, for programs.
          type: str
        text:
          description: The same as a sentence.
          type: str
        parameters:
          description: What the sentence is made of, by name.
          type: dict
"""

import typing as t

from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_queries import filter_answer


def upgrade_difference(snapshot: t.Any, *values: t.Any, **options: t.Any) -> dict[str, t.Any]:
    """Compare two versions; see DOCUMENTATION."""
    answer: dict[str, t.Any] = filter_answer(
        "meshops.locality.upgrade_difference", "upgrade", snapshot, ("to_version", "from_version"), values, options
    )
    return answer


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"upgrade_difference": upgrade_difference}
