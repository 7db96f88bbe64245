#!/usr/bin/python
# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_object
short_description: Read Namespaces, Nodes and ConfigMaps, publish a ConfigMap
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - What the playbooks of this collection need besides its other modules, with their patience (O(api_timeout)) and with
    credentials hidden in all output, which C(kubernetes.core.k8s) has not.
  - V(present) writes the data of a ConfigMap. One that somebody else made, without the label
    C(app.kubernetes.io/managed-by=meshops.locality), is left alone.
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
  kind:
    description: Kind of the object.
    type: str
    choices: [Namespace, Node, ConfigMap]
    required: true
  name:
    description: Its name. Without it all Namespaces or Nodes are read.
    type: str
  namespace:
    description: Its namespace, for V(ConfigMap).
    type: str
  state:
    description:
      - V(read) changes nothing, and finds nothing where there is none.
      - V(present) is for a V(ConfigMap), and needs O(data).
    type: str
    choices: [read, present]
    default: read
  data:
    description: Texts that the ConfigMap shall have. Others in it stay.
    type: dict
seealso:
  - module: meshops.locality.workloads
"""

EXAMPLES = r"""
- name: Every node
  meshops.locality.cluster_object:
    kind: Node
  register: nodes

- name: Publish a report
  meshops.locality.cluster_object:
    kind: ConfigMap
    namespace: shop
    name: locality-reports
    state: present
    data: {report.txt: All is well.}
"""

RETURN = r"""
resources:
  description:
    - The objects, as the API server has them. With O(state=present) the one that was written, without its data.
  type: list
  elements: dict
  returned: success
"""

from ansible_collections.meshops.locality.plugins.module_utils._module_runner import run_module


def main() -> None:
    from ansible_collections.meshops.locality.plugins.module_utils._module.cluster_object import cluster_object

    run_module(
        cluster_object,
        {
            "kind": {"type": "str", "choices": ["Namespace", "Node", "ConfigMap"], "required": True},
            "name": {"type": "str"},
            "namespace": {"type": "str"},
            "state": {"type": "str", "choices": ["read", "present"], "default": "read"},
            "data": {"type": "dict"},
        },
        required_if=[("kind", "ConfigMap", ["namespace", "name"])],
    )


if __name__ == "__main__":
    main()
