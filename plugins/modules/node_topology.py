#!/usr/bin/python
# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_topology
short_description: Set or restore the topology labels of many nodes at once
version_added: 0.1.0
description:
  - Sets C(topology.kubernetes.io/region), C(topology.kubernetes.io/zone) and C(topology.istio.io/subzone) of all given
    nodes in one task, in parallel. From these labels istiod takes the locality of every endpoint.
  - What was there before is remembered in the annotation C(meshops.locality/node-topology) of each node, so that
    O(state=previous) restores it later, from any machine.
  - Everything is planned and checked before the first node is written. Every write is guarded by the version of the
    node that was planned with, so that no change of somebody else gets lost.
author:
  - meshops.locality contributors (@meshops)
extends_documentation_fragment:
  - meshops.locality.auth
  - meshops.locality.api_timeout
  - meshops.locality.attributes
attributes:
  check_mode:
    support: full
    details: The API server checks every write (dry run).
  diff_mode:
    support: full
    details: Shows the topology labels of the nodes whose labels differ, and nothing else.
  idempotent:
    support: full
options:
  nodes:
    description:
      - The places of single nodes. The keys are names of nodes, the values dictionaries with V(region), V(zone) and
        V(subzone), each optional. A field that is left out is left alone.
      - With O(state=absent) and O(state=previous) the fields only say which labels are meant. No field means all three.
      - A name that no node has is an error.
    type: dict
  rules:
    description:
      - The places of nodes that are described by their name or labels. A node may match several rules, and may be
        named in O(nodes) as well, as long as all of them want the same.
      - A rule that matches no node is reported as a warning and in RV(unmatched_rules).
    type: list
    elements: dict
    suboptions:
      name_pattern:
        description:
          - Glob that the name of the node must match, for example V(bj-*). One of this and O(rules[].match_labels) is
            required.
        type: str
      match_labels:
        description: Labels that the node must have, with their values.
        type: dict
      region:
        description: Value of C(topology.kubernetes.io/region).
        type: str
      zone:
        description: Value of C(topology.kubernetes.io/zone).
        type: str
      subzone:
        description: Value of C(topology.istio.io/subzone).
        type: str
  state:
    description:
      - V(present) sets the labels.
      - V(absent) removes the labels.
      - V(previous) gives the labels back what they had before this module changed them for the first time. A label
        that did not exist is removed. A label that somebody else changed meanwhile, or owns now (managedFields), stays,
        and is reported in RV(not_restored).
        Without O(nodes) and O(rules) all nodes of the cluster are meant that this module has changed.
    type: str
    choices: [present, absent, previous]
    default: present
  overwrite_foreign:
    description:
      - Whether a region or zone is changed or removed that this module did not set.
      - Cloud providers set these labels, and schedulers and volumes depend on them. Therefore a different value is
        refused, with the name of its owner, and no node is changed. The subzone is only used by Istio and is always
        changed.
    type: bool
    default: false
  notify_istiod:
    description:
      - Whether istiod is made to read the changed labels. It does not do so on its own until the endpoints change.
      - The EndpointSlices with endpoints on the changed nodes get the annotation C(meshops.locality/nodes-relabelled),
        and no others. With O(state=previous) the annotation is taken away again; a slice without it gets it for a
        moment.
      - If a run is interrupted between the labels and the notice, the next run with O(notify_istiod=true) makes up for
        it.
    type: bool
    default: false
  notify_namespaces:
    description:
      - Only notify for Services in these namespaces. With O(notify_istiod=true) exactly one of O(notify_namespaces) and
        O(notify_all_namespaces) is needed.
    type: list
    elements: str
  notify_all_namespaces:
    description:
      - Notify for the Services of all namespaces that have endpoints on the changed nodes.
      - It is the one option of this collection that writes in all namespaces. What it writes there is an annotation of
        EndpointSlices of these Services, and nothing else; what is asked for with other options for all namespaces is
        only read, or restored.
    type: bool
    default: false
  verify_notice:
    description:
      - Clients whose Envoys are asked afterwards, again and again, until they hold the endpoints on the nodes that are
        meant in the localities of now. All ready pods of a selector are asked. The module fails when one does not hold
        them in time. Not in check mode.
      - Without it, with O(notify_istiod=true), up to three sidecars are chosen in the namespaces of the Services that
        istiod was told of, where the user may run commands in pods, and have 30 seconds. When they go on holding
        old localities, the module fails, and the next run notifies again. Where nobody can be asked, RV(not_verified)
        and a warning say so.
      - It needs the verbs C(create) and C(get) on C(pods/exec) in the clients' namespace. Without them nothing is
        tried, and nothing is verified.
    type: dict
    suboptions:
      namespace:
        description: Namespace of the clients.
        type: str
        required: true
      pod:
        description: Name of the client.
        type: str
      label_selector:
        description: Label selector of the clients.
        type: str
      wait_timeout:
        description: Seconds to wait until every client holds the localities of now.
        type: int
        default: 30
seealso:
  - module: meshops.locality.endpoints_info
"""

EXAMPLES = r"""
- name: Say where the nodes of the tutorial are
  meshops.locality.node_topology:
    nodes:
      beijing: {region: cn-north-4, zone: cn-north-4b, subzone: beijing}
      tianjin: {region: cn-north-4, zone: cn-north-4b, subzone: tianjin}
      shenyang: {region: cn-north-4, zone: cn-north-4b, subzone: shenyang}
      guangzhou: {region: cn-south-1, zone: cn-south-1a, subzone: guangzhou}
    notify_istiod: true
    notify_all_namespaces: true

- name: Give a subzone to every node of a rack, by name and by label
  meshops.locality.node_topology:
    rules:
      - {name_pattern: bj-r12-*, subzone: rack-12}
      - {match_labels: {example.com/rack: "13"}, subzone: rack-13}

- name: Restore what was there before, on all nodes
  meshops.locality.node_topology:
    state: previous
    notify_istiod: true
    notify_all_namespaces: true
"""

RETURN = r"""
nodes:
  description: All nodes that were meant, sorted by name.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name of the node.
      type: str
    changed:
      description: Whether the node was (or would be) changed.
      type: bool
    before:
      description: Locality before, as C(region/zone/subzone) without empty parts at the end.
      type: str
    after:
      description: Locality after.
      type: str
  sample:
    - {name: beijing, changed: true, before: "", after: cn-north-4/cn-north-4b/beijing}
changed_nodes:
  description: Names of the nodes that were (or would be) changed. On failure, those that were written before it.
  type: list
  elements: str
  returned: always, unless there is no usable cluster configuration
  sample: [beijing]
failed_nodes:
  description: The nodes that could not be written, each with its error.
  type: list
  elements: dict
  returned: when some nodes could not be written
not_restored:
  description:
    - Labels that O(state=previous) did not restore, because somebody else has changed them or owns them. Each has
      C(node), C(label), its C(value) now, the one that was C(set) by this module, the one C(before) that, and the
      field managers that are its C(owners).
  type: list
  elements: dict
  returned: success
  sample: []
refused:
  description: For each label that belongs to somebody else, node, label, value, owner and wanted value.
  type: list
  elements: str
  returned: when the change is refused
endpoints_verified:
  description:
    - How many endpoints on the nodes the clients of O(verify_notice), or those that were chosen, hold in the localities
      of now. 0 means that the clients of O(verify_notice) hold none there. None when nothing was verified, and in check
      mode.
  type: int
  returned: success
not_verified:
  description:
    - Why nobody knows whether clients hold the localities of now; a warning says it, too. Empty when it was verified,
      when istiod had nothing to be told, and in check mode.
  type: str
  returned: success
services_notified:
  description: The Services, as C(namespace/name), for which istiod was (or would be) made to read the localities again.
  type: list
  elements: str
  returned: success, and when not all could be notified
  sample: [sample/helloworld]
sidecars_on_changed_nodes:
  description:
    - Pods with a sidecar, as C(namespace/name), on the nodes about which istiod was notified. Their endpoints are up to
      date, but as clients they keep their old locality until they reconnect to istiod or are restarted.
    - Empty, with a warning, when pods may not be listed.
  type: list
  elements: str
  returned: success
missing_nodes:
  description:
    - With O(state=absent) and O(state=previous), nodes that were named and are not there any more. They keep the others
      from nothing. With O(state=present) such a name is an error, before anything is written.
  returned: success
  type: list
  elements: str
unmatched_rules:
  description: The rules that matched no node, by their place in O(rules).
  type: list
  elements: str
  returned: success
  sample: ["rules[1]"]
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
        from ansible_collections.meshops.locality.plugins.module_utils._module.node_topology import node_topology

        return node_topology(cluster, params, module)

    run_module(
        body,
        {
            "nodes": {"type": "dict"},
            "rules": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "name_pattern": {"type": "str"},
                    "match_labels": {"type": "dict"},
                    "region": {"type": "str"},
                    "zone": {"type": "str"},
                    "subzone": {"type": "str"},
                },
            },
            "state": {"type": "str", "choices": ["present", "absent", "previous"], "default": "present"},
            "overwrite_foreign": {"type": "bool", "default": False},
            "notify_istiod": {"type": "bool", "default": False},
            "notify_namespaces": {"type": "list", "elements": "str"},
            "notify_all_namespaces": {"type": "bool", "default": False},
            "verify_notice": {
                "type": "dict",
                "options": {
                    "namespace": {"type": "str", "required": True},
                    "pod": {"type": "str"},
                    "label_selector": {"type": "str"},
                    "wait_timeout": {"type": "int", "default": 30},
                },
            },
        },
        required_if=[("state", "present", ("nodes", "rules"), True), ("state", "absent", ("nodes", "rules"), True)],
    )


if __name__ == "__main__":
    main()
