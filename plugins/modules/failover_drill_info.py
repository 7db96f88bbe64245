#!/usr/bin/python
# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failover_drill_info
short_description: What drills have shown, and what of them is still to be restored
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Reads the journals of drills, which stay in the cluster (the newest 20 of each namespace).
  - For each Service, loss and fault says whether it is proven, since when, and what has changed since, so that the
    proof no longer holds.
extends_documentation_fragment:
  - meshops.locality.auth
  - meshops.locality.api_timeout
  - meshops.locality.attributes
  - meshops.locality.attributes.info
options:
  namespaces:
    description: Only these namespaces. Exactly one of O(namespaces) and O(all_namespaces) is needed.
    type: list
    elements: str
  all_namespaces:
    description: Every namespace that may be read.
    type: bool
    default: false
  lock_namespace:
    description: Namespace of the Lease that one drill of the mesh holds at a time.
    type: str
    default: istio-system
seealso:
  - module: meshops.locality.failover_drill
  - module: meshops.locality.failover_restore
"""

EXAMPLES = r"""
- name: What is proven
  meshops.locality.failover_drill_info:
    all_namespaces: true
  register: drills

- name: Nothing is left to restore
  ansible.builtin.assert:
    that: drills.to_restore | length == 0
"""

RETURN = r"""
drills:
  description: Every drill that the cluster remembers, the newest first.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Id of the drill.
      type: str
    namespace:
      description: Its namespace.
      type: str
    service:
      description: The Service whose endpoints were lost.
      type: str
    losses:
      description: What was lost, in words.
      type: list
      elements: str
    fault:
      description: How it was lost.
      type: str
    outcome:
      description: As in M(meshops.locality.failover_drill); V(PENDING) while it runs, or when its process is gone.
      type: str
    open:
      description: Whether something of it may be left to restore.
      type: bool
coverage:
  description: One entry for each Service, loss and fault that was judged; the newest judgement applies.
  returned: always
  type: list
  elements: dict
  contains:
    proven:
      description: Whether it succeeded, and nothing that the proof rests on has changed since.
      type: bool
    when:
      description: When that was.
      type: str
    seconds_ago:
      description: How long ago that was.
      type: int
    changed_since:
      description:
        - What has changed since - the Service, its rules, the workloads behind it, and the places of its endpoints.
      type: list
      elements: str
never_drilled:
  description:
    - Losses of one place that nobody has drilled, of Services in namespaces that allow drills, whose endpoints are in
      more than one place.
  returned: always
  type: list
  elements: dict
  contains:
    namespace:
      description: The namespace of the Service.
      type: str
    service:
      description: Its name.
      type: str
    losses:
      description: As a scope names them, C(zone r1/z1).
      type: list
      elements: str
to_restore:
  description: Drills with something to restore.
  returned: always
  type: list
  elements: dict
lock:
  description: Who drills now (C(holder)), since when nothing was heard (C(renewed)), and why drills are C(stopped).
  returned: always
  type: dict
consenting_namespaces:
  description: Namespaces that allow drills by their label.
  returned: always
  type: list
  elements: str
unread:
  description: What could not be looked at, and why.
  returned: always
  type: list
  elements: str
"""

from ansible_collections.meshops.locality.plugins.module_utils._module_runner import run_module


def main() -> None:
    from ansible_collections.meshops.locality.plugins.module_utils._module.failover_drill_info import (
        failover_drill_info,
    )

    run_module(
        failover_drill_info,
        {
            "namespaces": {"type": "list", "elements": "str"},
            "all_namespaces": {"type": "bool", "default": False},
            "lock_namespace": {"type": "str", "default": "istio-system"},
        },
    )


if __name__ == "__main__":
    main()
