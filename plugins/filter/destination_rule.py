# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: destination_rule
short_description: Render the DestinationRule of a failover policy
version_added: 0.1.0
author:
  - meshops.locality contributors (@meshops)
description:
  - Returns the DestinationRule that M(meshops.locality.failover_policy) would write, for repositories that a GitOps
    controller applies.
  - Checks the options as the module does, but reads no cluster. It knows nothing of other rules or endpoints.
options:
  _input:
    description:
      - The policy, with the options of M(meshops.locality.failover_policy) from C(name) to C(virtual_service_name).
    type: dict
    required: true
  endpoints:
    description:
      - Numbers of endpoints by locality. Needed when the policy has V(complete=true).
      - RV(meshops.locality.failover_policy#module:endpoints) has this shape.
    type: dict
"""

EXAMPLES = r"""
- name: Write the manifest into a repository
  ansible.builtin.copy:
    content: "{{ policy | meshops.locality.destination_rule(endpoints=endpoints) | to_nice_yaml }}"
    dest: apps/helloworld/destination_rule.yaml
    mode: "0644"
  vars:
    policy:
      namespace: sample
      service_host: helloworld.sample.svc.cluster.local
      failover: "{{ ['cn-north-4', 'cn-south-1'] | meshops.locality.failover_rules }}"
      complete: true
    endpoints:
      cn-north-4/cn-north-4b/beijing: 2
      cn-south-1/cn-south-1a/guangzhou: 2
"""

RETURN = r"""
_value:
  description: The DestinationRule.
  type: dict
"""

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._policy.istio_objects import destination_rule
from ansible_collections.meshops.locality.plugins.plugin_utils._policy import rendered


def destination_rule_filter(policy: t.Any, *, endpoints: t.Any = None) -> dict[str, t.Any]:
    """Render the DestinationRule of a policy; see DOCUMENTATION."""
    return rendered("meshops.locality.destination_rule", destination_rule, policy, endpoints)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"destination_rule": destination_rule_filter}
