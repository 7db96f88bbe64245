#!/usr/bin/python
# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: known_variables
short_description: Refuse variables that nothing reads, and plays that match no host
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Ansible ignores a variable whose name is misspelt, and a play that matches no host ends without an error. A check
    that did nothing must not be green, so the playbooks of this collection begin with this task.
  - Looks at the variables of all hosts of the inventory.
  - Refuses a blank C(…manifests), C(…snapshot) or C(…definitions) among O(names), unless C(…live) is set.
  - Refuses a C(publish_config_map) that is neither blank nor C(NAMESPACE/NAME).
  - This is an action of the controller. It runs nothing on the host.
options:
  prefix:
    description: Prefix of the playbook's own variables.
    type: str
    default: ''
  names:
    description: All variables with O(prefix) that the playbook reads.
    type: list
    elements: str
    default: []
  roles:
    description: Roles of this collection, whose variables begin with their names.
    type: list
    elements: str
    default: []
  required:
    description: Variables that have to be set, each with a sentence that says to what.
    type: dict
    default: {}
  matched_hosts:
    description: The hosts of the play that follows. An empty list is an error.
    type: list
    elements: str
attributes:
  action:
    description: Has an action plugin on the controller.
    support: full
  check_mode:
    description: Can run in C(check_mode) and return what would change, without changing anything.
    support: full
    details: It changes nothing.
  diff_mode:
    description: Returns what changed (or would change) as a diff.
    support: none
"""

EXAMPLES = r"""
- name: No variable is misspelt
  meshops.locality.known_variables:
    prefix: plan_
    names: [plan_service, plan_manifests]
    matched_hosts: "{{ query('ansible.builtin.inventory_hostnames', 'all') }}"
"""

RETURN = r"""
"""
