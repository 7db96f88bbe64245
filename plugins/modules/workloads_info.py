#!/usr/bin/python
# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: workloads_info
short_description: Report, or wait for, injected and ready workloads, and what is in the way
version_added: 0.1.0
description:
  - Reads the Deployments of a namespace, their pods, the nodes and Istio's sidecar injectors, and says in one sentence
    each what is wrong. It names the label or taint that keeps a pod from every node, images that cannot be had,
    containers that keep ending, pods that are refused (quota), failing readiness, and why a pod has no sidecar.
  - Can wait until all is well.
  - Can be asked before anything is deployed whether every location has a node and whether pods would get a sidecar.
author:
  - meshops.locality contributors (@meshops)
extends_documentation_fragment:
  - meshops.locality.auth
  - meshops.locality.api_timeout
  - meshops.locality.attributes
  - meshops.locality.attributes.info
options:
  namespace:
    description: The namespace of the workloads. It need not exist yet.
    type: str
    required: true
  deployments:
    description: Names of the Deployments to look at. Without it, all of the namespace. An empty list means none.
    type: list
    elements: str
  require_injection:
    description: Whether a pod without a sidecar is a problem.
    type: bool
    default: true
  revision:
    description:
      - The Istio revision or tag whose injector is to be used, as in the label C(istio.io/rev) of the namespace.
      - Without it, the namespace's own labels apply, and C(istio-injection=enabled) when it has none.
    type: str
  locations:
    description: Values of O(location_label) for each of which there must be a node.
    type: list
    elements: str
  location_label:
    description: The label of nodes that O(locations) are values of.
    type: str
    default: topology.istio.io/subzone
  tolerations:
    description: Tolerations that pods in O(locations) will have, spelled as in a pod.
    type: list
    elements: dict
  part_of:
    description:
      - Name of the Service whose workloads the role C(workloads) made. Makes RV(own) be returned.
    type: str
  wanted:
    description:
      - What is about to be written for O(part_of), each as C(Kind/name) with the kinds V(Deployment), V(Service) and
        V(ServiceAccount). What is there and belongs to somebody else is one of RV(obstacles), also when it is equal.
    type: list
    elements: str
  look_for_others:
    description:
      - Look through all kinds of objects in the namespace for what this collection has not written. Makes RV(others)
        and RV(others_unseen) be filled. Only in a namespace that the role C(workloads) made; one of somebody else is
        never deleted, so nothing in it needs to be seen.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until all workloads are ready. The module fails with RV(problems) when they are not in time, or
        as soon as waiting is of no use.
    type: bool
    default: false
  wait_timeout:
    description: How long to wait, in seconds.
    type: int
    default: 120
seealso:
  - module: kubernetes.core.k8s_info
"""

EXAMPLES = r"""
- name: Wait for all workloads of the namespace
  meshops.locality.workloads_info:
    namespace: sample
    wait: true

- name: Can the tutorial be deployed here?
  meshops.locality.workloads_info:
    namespace: sample
    deployments: []
    locations: [beijing, tianjin, shenyang]
  register: answer
  failed_when: answer.obstacles | length > 0
"""

RETURN = r"""
own:
  description:
    - What the role C(workloads) made for O(part_of), with C(api_version), C(kind), C(name) and C(uid). That is what
      carries its labels and was written by its field manager.
  returned: always
  type: list
  elements: dict
others:
  description:
    - With O(look_for_others), what else is in the namespace, each as kind and name. What only objects of the namespace
      own, what drills leave, and what Kubernetes and istiod put into every namespace, is left out. The rules of a
      failover policy are not, nor is what an object outside of namespaces owns.
  returned: always
  type: list
  elements: str
others_unseen:
  description: With O(look_for_others), the resources that may not be listed, so nobody knows.
  returned: always
  type: list
  elements: str
ready:
  description: Whether there is no problem and every workload is rolled out.
  type: bool
  returned: success, and when waiting has failed
problems:
  description: Problems, one sentence each.
  type: list
  elements: str
  returned: success, and when waiting has failed
  sample: ["Pod web-x: Unschedulable: No node has the label topology.istio.io/subzone=beijing."]
obstacles:
  description:
    - The problems that keep workloads from being deployed (no injector, a location without a node, namespace
      terminating).
  type: list
  elements: str
  returned: success, and when waiting has failed
namespace:
  description:
    - The namespace with its C(name), C(phase) (V(Active), V(Terminating) or V(absent)), C(labels), C(annotations) and
      C(uid), and with C(ours) - whether the role C(workloads) or the playbook C(site) made it. That is, it has their
      label, and the field manager C(meshops.locality) has written that.
  type: dict
  returned: success, and when waiting has failed
mesh:
  description: Whether Istio is C(installed), and its C(injectors) with C(name) and C(revision).
  type: dict
  returned: success, and when waiting has failed
injection:
  description: Whether injection is C(enabled) for the namespace as it is now, and the C(problem) if not.
  type: dict
  returned: success, and when waiting has failed
locations:
  description: For each of O(locations) its C(name), the names of its C(nodes), and the C(problem) when there are none.
  type: list
  elements: dict
  returned: success, and when waiting has failed
workloads:
  description: The Deployments.
  type: list
  elements: dict
  returned: success, and when waiting has failed
  contains:
    name:
      description: Name of the Deployment.
      type: str
    desired:
      description: Number of pods wanted.
      type: int
    ready_replicas:
      description: Number of pods ready.
      type: int
    ready:
      description: Whether it is rolled out, and no pod has a problem.
      type: bool
    injected:
      description: Number of pods with a sidecar.
      type: int
    problem:
      description: What the Deployment itself says is wrong. Empty when nothing is.
      type: str
    pods:
      description: Its pods, with C(name), C(node), C(locality), C(address), C(ready), C(injected) and C(problem).
      type: list
      elements: dict
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
        from ansible_collections.meshops.locality.plugins.module_utils._module.workloads_info import workloads_info

        return workloads_info(cluster, params, module)

    run_module(
        body,
        {
            "namespace": {"type": "str", "required": True},
            "deployments": {"type": "list", "elements": "str"},
            "require_injection": {"type": "bool", "default": True},
            "revision": {"type": "str"},
            "locations": {"type": "list", "elements": "str"},
            "location_label": {"type": "str", "default": "topology.istio.io/subzone"},
            "tolerations": {"type": "list", "elements": "dict"},
            "part_of": {"type": "str"},
            "wanted": {"type": "list", "elements": "str"},
            "look_for_others": {"type": "bool", "default": False},
            "wait": {"type": "bool", "default": False},
            "wait_timeout": {"type": "int", "default": 120},
        },
    )


if __name__ == "__main__":
    main()
