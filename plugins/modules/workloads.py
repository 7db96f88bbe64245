#!/usr/bin/python
# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: workloads
short_description: Write the objects of the role workloads, and adopt nobody else's
version_added: 0.1.0
description:
  - The role C(workloads) writes its objects with this module. What is not there is created, so an object that somebody
    else makes at the same time is a conflict with its owner's name, also when it is equal. What the role made before is
    applied (server-side apply), by its UID.
  - An object is the role's own when it has the role's labels and was written by the field manager
    C(meshops.locality).
author:
  - meshops.locality contributors (@meshops)
extends_documentation_fragment:
  - meshops.locality.auth
  - meshops.locality.api_timeout
  - meshops.locality.attributes
attributes:
  check_mode:
    support: full
    details: The API server is asked to check all objects (dry run).
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  definitions:
    description:
      - The objects, written in this order - Namespace, Deployment, Service and ServiceAccount. All but the Namespace
        name their namespace.
    type: list
    elements: dict
    required: true
seealso:
  - module: meshops.locality.workloads_info
"""

EXAMPLES = r"""
- name: A namespace that nobody else has made
  meshops.locality.workloads:
    definitions:
      - apiVersion: v1
        kind: Namespace
        metadata:
          name: sample
          labels:
            app.kubernetes.io/managed-by: meshops.locality
            istio-injection: enabled
"""

RETURN = r"""
written:
  description: Which objects were created or changed, as C(Kind name). A failure has those written before it.
  returned: always
  type: list
  elements: str
not_written:
  description: Which objects were not, after a failure.
  returned: failure
  type: list
  elements: str
"""

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._module_runner import run_module

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster


def main() -> None:
    """Run the module."""

    def body(cluster: Cluster, params: t.Mapping[str, t.Any], module: AnsibleModule) -> dict[str, t.Any]:
        # Imported here, so that a missing Python library is reported by run_module.
        from ansible_collections.meshops.locality.plugins.module_utils._module.workloads import workloads

        return workloads(cluster, params, module)

    run_module(body, {"definitions": {"type": "list", "elements": "dict", "required": True}})


if __name__ == "__main__":
    main()
