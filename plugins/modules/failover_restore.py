#!/usr/bin/python
# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failover_restore
short_description: Put back what drills left, and stop drills
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Finds the open journals of drills in the namespaces that are named, or in all that it may read, undoes what stands
    in them and was not proven to be back, proves it, and closes the journals.
  - Acts on nothing that does not stand in a journal. Objects that were replaced meanwhile are left alone.
  - May be run from any machine, as often as one likes, and while a drill still runs, which then ends as interrupted.
  - Drills that do not end by themselves need it when their process is gone; run it with O(expired) from a schedule.
extends_documentation_fragment:
  - meshops.locality.auth
  - meshops.locality.api_timeout
  - meshops.locality.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  drills:
    description: Ids of drills. Default is every open one of the namespaces. An empty list is refused.
    type: list
    elements: str
  namespaces:
    description: Only these namespaces. Exactly one of O(namespaces) and O(all_namespaces) is needed.
    type: list
    elements: str
  all_namespaces:
    description: Every namespace that may be read.
    type: bool
    default: false
  expired:
    description: Only drills that no process works on any more, by the time that stands in their journal.
    type: bool
    default: false
  wait_timeout:
    description: Seconds until everything has to be back; it is tried again and again until then.
    type: int
    default: 180
  stop:
    description:
      - A reason to stop drills. Every drill of the mesh that runs ends within two seconds and is put back, and none
        begins until an empty text is given here.
      - Without it, drills are neither stopped nor allowed again.
    type: str
  lock_namespace:
    description: Namespace of the Lease that one drill of the mesh holds at a time. Only O(stop) needs it.
    type: str
    default: istio-system
seealso:
  - module: meshops.locality.failover_drill
  - module: meshops.locality.failover_drill_info
"""

EXAMPLES = r"""
- name: Put back whatever any drill left
  meshops.locality.failover_restore:
    all_namespaces: true

- name: Stop every drill
  meshops.locality.failover_restore:
    all_namespaces: true
    stop: the shop has an incident

- name: Drills may run again
  meshops.locality.failover_restore:
    all_namespaces: true
    stop: ''
"""

RETURN = r"""
drills:
  description: One entry for each journal that was looked at.
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
    title:
      description: What it was called.
      type: str
    holder:
      description: Who ran it.
      type: str
    started:
      description: When it began.
      type: str
    closed:
      description: Whether nothing of it is left to restore.
      type: bool
    error:
      description: Why not.
      type: str
    targets:
      description: What became of each target that was not proven to be back.
      type: list
      elements: dict
unread:
  description: Where could not be looked for journals, and why.
  returned: always
  type: list
  elements: str
stopped:
  description: The reason for which drills are stopped; empty when they are not. Null when O(stop) was not given.
  returned: always
  type: str
"""

from ansible_collections.meshops.locality.plugins.module_utils._module_runner import run_module


def main() -> None:
    from ansible_collections.meshops.locality.plugins.module_utils._module.failover_restore import failover_restore

    run_module(
        failover_restore,
        {
            "drills": {"type": "list", "elements": "str"},
            "namespaces": {"type": "list", "elements": "str"},
            "all_namespaces": {"type": "bool", "default": False},
            "expired": {"type": "bool", "default": False},
            "wait_timeout": {"type": "int", "default": 180},
            "stop": {"type": "str"},
            "lock_namespace": {"type": "str", "default": "istio-system"},
        },
    )


if __name__ == "__main__":
    main()
