#!/usr/bin/python
# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: workloads
short_description: Write and delete the objects of the role workloads, and touch nobody else's
version_added: 0.1.0
description:
  - The role C(workloads) writes its objects with this module. What is not there is created, so an object that somebody
    else makes at the same time is a conflict with its owner's name, also when it is equal. What the role made before is
    applied (server-side apply), by its UID.
  - An object is the role's own when it has the role's labels, and the field manager C(meshops.locality) has written
    them. A label that somebody has copied is none.
  - Only such an object is deleted, and by its UID, so another one of its name stays. A namespace is deleted only when
    nothing of anybody else's is in it, of all kinds that the API server knows. Kinds that may not be listed, such as
    Secrets, are counted by a ResourceQuota that is there for that moment (not in check mode); when that may not be
    made, the namespace stays.
  - Give what M(meshops.locality.workloads_info) has found to be the role's own.
  - A namespace that is there already gets labels from a field manager of their own, C(meshops.locality:injection), so
    they can be taken back.
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
  state:
    description:
      - V(present) writes O(definitions), V(absent) deletes O(objects).
      - V(labelled) gives O(namespace) those of O(labels) that it has not, V(unlabelled) takes them back. What they were
        written over by force comes back with its owner; what somebody else has changed since stays.
    type: str
    choices: [present, absent, labelled, unlabelled]
    default: present
  definitions:
    description:
      - The objects, written in this order - Namespace, Deployment, Service and ServiceAccount. All but the Namespace
        name their namespace. Required with O(state=present).
    type: list
    elements: dict
  objects:
    description:
      - The objects to delete, in this order, as M(meshops.locality.workloads_info) returns them in RV(ignore:own).
        Required with O(state=absent). What is not there any more is no error.
    type: list
    elements: dict
    suboptions:
      api_version:
        description: Its group and version.
        type: str
        required: true
      kind:
        description: Namespace, Deployment, Service or ServiceAccount.
        type: str
        required: true
      name:
        description: Its name.
        type: str
        required: true
      uid:
        description: Its UID. Another object of this name is a conflict, and stays.
        type: str
        required: true
  namespace:
    description: Where O(objects) are; a Namespace is in none. Or the namespace that is labelled.
    type: str
  labels:
    description:
      - The labels of O(state=labelled). A label that is there with another value is somebody else's - a conflict with
        the owner's name.
    type: dict
  force_conflicts:
    description:
      - Whether O(labels) of somebody else are taken over. What they were is written down in the annotation
        C(meshops.locality/previous-labels) of the namespace, in the same request.
    type: bool
    default: false
  wait:
    description: Whether to wait until O(objects) are gone.
    type: bool
    default: true
  wait_timeout:
    description: How long to wait for that, in seconds.
    type: int
    default: 120
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

- name: A namespace that is there, for the injector of a revision
  meshops.locality.workloads:
    state: labelled
    namespace: sample
    labels:
      istio.io/rev: canary

- name: Look at what the role has made for a Service
  meshops.locality.workloads_info:
    namespace: sample
    part_of: helloworld
    require_injection: false
  register: workloads_of_the_role

- name: Delete just that
  meshops.locality.workloads:
    state: absent
    namespace: sample
    objects: "{{ workloads_of_the_role.own }}"
"""

RETURN = r"""
written:
  description: Which objects were created or changed, as C(Kind name). A failure has those written before it.
  returned: with O(state=present)
  type: list
  elements: str
not_written:
  description: Which objects were not, after a failure. One that was created and not finished is in RV(written), too.
  returned: failure
  type: list
  elements: str
deleted:
  description: Which objects were deleted, as C(Kind name). A failure has those deleted before it.
  returned: with O(state=absent)
  type: list
  elements: str
conflicts:
  description: The labels of somebody else that are in the way, as C(manager), C(field), C(live) and C(wanted).
  returned: on failure because of a conflict, with O(state=labelled)
  type: list
  elements: dict
others:
  description: What is in the namespace that stays, each as kind and name; of what may not be listed the number.
  returned: on failure because of that
  type: list
  elements: str
others_unseen:
  description: The resources in the namespace that stays that may not be listed.
  returned: on failure because of that
  type: list
  elements: str
not_deleted:
  description: Which objects were not, after a failure. Those that are only not gone yet are in RV(deleted).
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

    text = {"type": "str", "required": True}
    run_module(
        body,
        {
            "state": {"type": "str", "choices": ["present", "absent", "labelled", "unlabelled"], "default": "present"},
            "definitions": {"type": "list", "elements": "dict"},
            "objects": {
                "type": "list",
                "elements": "dict",
                "options": {"api_version": text, "kind": text, "name": text, "uid": text},
            },
            "namespace": {"type": "str"},
            "labels": {"type": "dict"},
            "force_conflicts": {"type": "bool", "default": False},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 120},
        },
        required_if=[
            ("state", "present", ["definitions"]),
            ("state", "absent", ["objects"]),
            ("state", "labelled", ["namespace", "labels"]),
            ("state", "unlabelled", ["namespace"]),
        ],
    )


if __name__ == "__main__":
    main()
