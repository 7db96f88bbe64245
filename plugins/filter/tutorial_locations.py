# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: tutorial_locations
short_description: Choose the nodes that play the tutorial
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Chooses a home region with a local place and its neighbours, and a region beyond, from the nodes of a cluster that
    take pods, as far as there are so many. It says what a small cluster leaves out.
  - Nodes that carry a region and a zone are taken as they are, one of each locality, and get no label. Only where no
    node carries a topology label, up to four nodes get the tutorial's names.
options:
  _input:
    description: Node objects, as C(kubernetes.core.k8s_info) returns them.
    type: list
    elements: dict
    required: true
  wanted:
    description: A map of node names to C(region), C(zone) and C(subzone) that decides instead.
    type: dict
  subzones:
    description: Give nodes with a region and a zone but no subzone their own name as subzone, so that each is a place.
    type: bool
    default: false
  before:
    description: A map of node names to topology labels, which the nodes are given back before the tutorial begins.
    type: dict
"""

EXAMPLES = r"""
- name: Read the nodes
  kubernetes.core.k8s_info:
    kind: Node
  register: found

- name: Choose
  ansible.builtin.set_fact:
    places: "{{ found.resources | meshops.locality.tutorial_locations(node_topology_nodes | default({})) }}"
"""

RETURN = r"""
_value:
  description:
    - C(plays) (whether there are two places), C(nodes) (the map to label), C(region), C(beyond) (empty when there is
      only one region), C(local), C(neighbours) and C(remote) (locations), C(fallback) (the locations that answer when
      the local one is lost), C(locality) (location to locality), C(location_label) (the node label with the location),
      C(scope) (the local place as a scope of a drill), C(loss) (all nodes that take pods, as one loss),
      C(labels) (node to the topology labels it carries now), C(left_out) (what is not shown or not used, and why).
  type: dict
"""

import typing as t
from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._topology import tutorial_locations as locations


def tutorial_locations(
    value: t.Any, wanted: t.Any = None, subzones: bool = False, before: t.Any = None
) -> dict[str, t.Any]:
    """Choose the nodes that play the tutorial; see DOCUMENTATION."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
        raise AnsibleFilterError(
            f"meshops.locality.tutorial_locations needs a list of nodes, got {type(value).__name__}"
        )
    for name, location in (("wanted", wanted), ("before", before)):
        if location is not None and not isinstance(location, Mapping):
            raise AnsibleFilterError(
                f"meshops.locality.tutorial_locations: {name} is a {type(location).__name__}, not a map"
            )
    try:
        return locations.tutorial_locations(value, wanted, bool(subzones), before)
    except LocalityError as error:
        raise AnsibleFilterError(f"meshops.locality.tutorial_locations: {error}") from error


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"tutorial_locations": tutorial_locations}
