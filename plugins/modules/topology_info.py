#!/usr/bin/python
# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: topology_info
short_description: One snapshot of a mesh, live, from manifests, or both
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Reads everything that decides where the requests of a mesh go, and returns it as one snapshot, a JSON document with
    a schema and a version. It can be saved, and be read again without any cluster.
  - In it are nodes, namespaces, pods, workloads, Services with their endpoints, ServiceEntries, DestinationRules,
    VirtualServices, Sidecars, and of the control plane its version, the mesh config and the feature variables that
    matter.
  - Not in it are Secrets, environments of containers, annotations that istiod does not look at, headers that routes
    set, and the parts of the mesh config that do not decide where requests go.
  - Only C(get) and C(list) are used. A kind that may not be read becomes a sentence in RV(problems), which names the
    missing verb and what is missing in the snapshot because of it. Only when neither pods nor Services may be read
    the module fails.
  - Manifests can be the whole mesh (O(live=false)) or replace objects of a live one. An object of a manifest
    replaces the live object with the same kind, namespace and name; everything else stays as it is.
  - Deployments, StatefulSets and DaemonSets of manifests that have no pods get them, placed on the nodes as the
    scheduler would spread them, and Services get endpoints for these pods. All of these are named in
    RV(assumptions).
extends_documentation_fragment:
  - meshops.locality.auth
  - meshops.locality.api_timeout
  - meshops.locality.attributes
attributes:
  check_mode:
    support: full
    details: The file O(path) is not written.
  diff_mode:
    support: none
  idempotent:
    support: full
    details: A file O(path) that differs only in the time stays as it is.
options:
  live:
    description:
      - Whether to read a cluster. When false neither a cluster nor the Python library C(kubernetes) is needed.
    type: bool
    default: true
  manifests:
    description:
      - Files and folders with Kubernetes objects. Of a folder all files that end with C(.yaml), C(.yml) or C(.json)
        are read, in the order of their names, in subfolders too; names that begin with a dot are left out.
      - They are plain YAML or JSON, as C(helm template), C(kubectl kustomize) or C(kubectl get -o yaml) print them.
        A template that is not rendered is an error with its line. What is no Kubernetes object (C(values.yaml),
        C(Chart.yaml)) is passed over.
      - A file that O(path) wrote before stands for a whole mesh; it needs O(live=false). Other manifests lie on top of
        it.
    type: list
    elements: path
    default: []
  definitions:
    description:
      - Kubernetes objects, as if they stood in a file after all O(manifests).
    type: list
    elements: dict
    default: []
  default_namespace:
    description:
      - Namespace of objects in O(manifests) and O(definitions) that name none.
    type: str
    default: default
  namespaces:
    description:
      - Read only these namespaces of the cluster, which needs no rights on the others, and the rules in the mesh's
        root namespace. Services, endpoints and clients of other namespaces are missing then.
      - Nodes belong to no namespace; without the right to list them localities come from labels of pods only.
      - With O(live=true) exactly one of O(namespaces) and O(all_namespaces) is needed.
    type: list
    elements: str
  all_namespaces:
    description:
      - Read the whole mesh, all namespaces of the cluster.
    type: bool
    default: false
  control_plane_namespace:
    description:
      - Namespace of istiod.
    type: str
    default: istio-system
  revision:
    description:
      - Revision of the istiod whose settings apply.
      - "Default: the only revision, or of several the one called V(default)."
    type: str
  istio_version:
    description:
      - Version of Istio whose decisions are wanted, when it is not the one of the istiod that was found.
    type: str
  path:
    description:
      - Save the snapshot in this file. A new file can be read by its owner only; one that exists keeps its mode.
      - It has one object in each line, so that two snapshots can be compared with C(diff).
    type: path
  return_snapshot:
    description:
      - Whether to return RV(snapshot) and RV(clients). For a large mesh the file may be enough.
    type: bool
    default: true
seealso:
  - module: meshops.locality.endpoints_info
  - module: meshops.locality.workloads_info
"""

EXAMPLES = r"""
- name: The mesh as it is, saved for later
  meshops.locality.topology_info:
    all_namespaces: true
    path: mesh.json
  register: topology

- name: Which clients have no locality
  ansible.builtin.debug:
    msg: "{{ topology.clients | rejectattr('locality') | map(attribute='pod') }}"

- name: The mesh as it would be with other rules
  meshops.locality.topology_info:
    all_namespaces: true
    manifests: [rules/]
  register: planned

- name: A chart that is not installed anywhere yet, on the nodes of a file
  meshops.locality.topology_info:
    live: false
    manifests:
      - nodes.yaml
      - rendered.yaml   # helm template … > rendered.yaml
    default_namespace: shop
    istio_version: "1.31"

- name: Only what a team may see
  meshops.locality.topology_info:
    namespaces: [shop]
"""

RETURN = r"""
snapshot:
  description: The snapshot, a Kubernetes List that kubectl reads as well. Filters of this collection take it.
  returned: with O(return_snapshot)
  type: dict
  contains:
    schema:
      description: Name and version of its form; C(docs/schemas/snapshot.v1.json) describes it.
      type: str
    apiVersion:
      description: Always C(v1).
      type: str
    kind:
      description: Always C(List).
      type: str
    cluster:
      description: What istiod calls the cluster, when it is not C(Kubernetes).
      type: str
    domain:
      description: The domain of the cluster's Services, when it is not C(cluster.local).
      type: str
    taken:
      description: When it was taken.
      type: str
    sources:
      description: What it was read from, one sentence each.
      type: list
      elements: str
    control_plane:
      description: C(version), C(revision), C(config) (the mesh config), C(features) (variables of istiod),
        C(remote_clusters) and C(networks) (meshNetworks), each unless it is empty.
      type: dict
    problems:
      description: What could not be read, each with C(code) and C(parameters) (for programs), C(where),
        C(path) and C(message).
      type: list
      elements: dict
    assumptions:
      description: What was put in for what the sources do not say, as RV(assumptions).
      type: list
      elements: dict
    items:
      description: The objects, with the fields that decide where requests go. Pods that were put in for the replicas of
        manifests have the annotation C(meshops.locality/assumed).
      type: list
      elements: dict
clients:
  description: Every proxy, by namespace and name, as istiod sees it.
  returned: with O(return_snapshot)
  type: list
  elements: dict
  contains:
    pod:
      description: Name of its pod.
      type: str
    namespace:
      description: Namespace of its pod.
      type: str
    type:
      description: V(sidecar), V(router) (a gateway) or V(waypoint).
      type: str
    locality:
      description: Its locality as C(region/zone/subzone); empty when it has none.
      type: str
    labels:
      description: Those of its labels that some rule or setting looks at.
      type: dict
    node:
      description: Its node.
      type: str
    revision:
      description: Revision of Istio that its pod names.
      type: str
files:
  description:
    - Where the objects of O(manifests) stand, V(path:line) by V(Kind namespace/name).
    - The option O(meshops.locality.locality_lint#filter:sources) takes it.
  returned: when O(manifests) have objects that are read
  type: dict
  sample:
    DestinationRule shop/cart: /build/rules/cart.yaml:12
summary:
  description:
    - How many there are of each kind, and the version of Istio.
    - C(localities) has for each locality (empty for none) the numbers of its nodes, pods, clients and endpoints.
  returned: success
  type: dict
  sample:
    cluster: Kubernetes
    clients: 4
    istio_version: 1.31.0
    localities:
      cn-north-4/cn-north-4b/beijing: {clients: 1, endpoints: 1, nodes: 1, pods: 1}
    nodes: 5
    pods: 9
judged:
  description: Whether anything can be predicted here. It cannot without a client or without an endpoint.
  returned: success
  type: bool
not_judged:
  description: What is part of the mesh and is not judged, with what that hides.
  returned: success
  type: list
  elements: dict
  contains:
    code:
      description: Says the same to programs, such as V(no-clients), V(workload-not-read) or V(file-passed-over).
      type: str
    what:
      description: What it is, a sentence.
      type: str
    hides:
      description: What nothing is said about because of it.
      type: str
    count:
      description: How many of them there are.
      type: int
    parameters:
      description: What both texts are made of, by name.
      type: dict
problems:
  description:
    - What could not be read and what is missing because of it, one sentence each, at most 200.
    - All of them are in C(snapshot.problems).
  returned: success
  type: list
  elements: dict
  contains:
    code:
      description: What is wrong, for programs.
      type: str
    where:
      description: The object, as C(Kind namespace/name), or what else could not be read.
      type: str
    path:
      description: The field in it; empty for the whole object.
      type: str
    text:
      description: The same as a sentence, with object and field.
      type: str
    parameters:
      description: What the sentence is made of, by name.
      type: dict
assumptions:
  description: Assumptions made where the input was silent (pods of manifests, version of Istio, …).
  returned: success
  type: list
  elements: dict
  contains:
    code:
      description: Which assumption it is, for programs.
      type: str
    text:
      description: The same as a sentence.
      type: str
    parameters:
      description: What the sentence is made of, by name.
      type: dict
path:
  description: The file the snapshot is in.
  returned: with O(path)
  type: str
"""

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._module_runner import run_anywhere

#: The action mesh_query checks what it is given by it, too.
ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "live": {"type": "bool", "default": True},
    "manifests": {"type": "list", "elements": "path", "default": []},
    "definitions": {"type": "list", "elements": "dict", "default": []},
    "default_namespace": {"type": "str", "default": "default"},
    "namespaces": {"type": "list", "elements": "str"},
    "all_namespaces": {"type": "bool", "default": False},
    "control_plane_namespace": {"type": "str", "default": "istio-system"},
    "revision": {"type": "str"},
    "istio_version": {"type": "str"},
    "path": {"type": "path"},
    "return_snapshot": {"type": "bool", "default": True},
}


def main() -> None:
    from ansible_collections.meshops.locality.plugins.module_utils._module.topology_info import topology_info

    run_anywhere(topology_info, ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
