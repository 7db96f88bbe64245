# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: failover_rules
short_description: Turn a list of regions into failover rules
version_added: 0.1.0
author:
  - meshops.locality contributors (@meshops)
description:
  - Makes the list of C(from) and C(to) that the option O(meshops.locality.failover_policy#module:failover) takes.
  - Istio needs one entry for each region, because only the first entry with the same C(from) applies.
options:
  _input:
    description:
      - The places, in the order of preference. A list of regions, of localities (C(region/zone/subzone)) or of
        dictionaries with C(region); or a dictionary with such dictionaries as values, for example the option
        O(meshops.locality.node_topology#module:nodes); or a dictionary with localities as keys.
      - Each region is taken once, however many places are in it. Fewer than two regions make no rules.
    type: raw
    required: true
  shape:
    description:
      - With V(ring) each region fails over to the next one, and the last one to the first.
      - With V(primary) all fail over to the first region, and that one to the second.
    type: str
    choices: [ring, primary]
    default: ring
  prefer:
    description:
      - Exceptions. The keys are regions, the values the regions they fail over to.
    type: dict
"""

EXAMPLES = r"""
- name: Each region fails over to the next one
  ansible.builtin.debug:
    msg: "{{ ['cn-north-4', 'cn-south-1'] | meshops.locality.failover_rules }}"
    # [{"from": "cn-north-4", "to": "cn-south-1"}, {"from": "cn-south-1", "to": "cn-north-4"}]

- name: All fail over to the first region, except one
  ansible.builtin.debug:
    msg: "{{ regions | meshops.locality.failover_rules(shape='primary', prefer={'cn-east-3': 'cn-south-1'}) }}"
  vars:
    regions: [cn-north-4, cn-south-1, cn-east-3]
"""

RETURN = r"""
_value:
  description: One rule for each region, with C(from) and C(to).
  type: list
  elements: dict
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._model.plain_values import plain
from ansible_collections.meshops.locality.plugins.module_utils._policy.failover_rules import failover_rules


def failover_rules_filter(places: t.Any, *, shape: t.Any = "ring", prefer: t.Any = None) -> list[dict[str, str]]:
    """Check types and call the pure function."""
    if prefer is not None and not isinstance(prefer, t.Mapping):
        raise AnsibleFilterError(
            f"meshops.locality.failover_rules: prefer must be a dictionary, not {type(prefer).__name__}"
        )
    try:
        return failover_rules(places, shape=plain(shape), prefer=prefer)
    except LocalityError as error:
        raise AnsibleFilterError(f"meshops.locality.failover_rules: {error}") from error


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"failover_rules": failover_rules_filter}
