# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: rbac
short_description: The least Roles and ClusterRoles for what one wants to do
version_added: 0.1.0
author:
  - meshops.locality contributors (@meshops)
description:
  - Makes the manifests that let a user do what is asked for, and no more. What can be granted in a namespace is.
  - C(pods/exec), which V(verify), V(drill) and V(drain) need to ask Envoy, is a shell in every pod of the namespace,
    with all that its containers can read (Secrets, tokens, files) and reach. Grant it as you would grant that.
options:
  _input:
    description:
      - The actions, one or several of V(label) (labels of nodes, and istiod's notice), V(deploy) (servers and clients
        of the role C(workloads) in a namespace that is there), V(deploy_namespace) (the same in a namespace that the
        role makes, and leaves when it takes its workloads back), V(apply) (failover policy), V(verify) (endpoints and
        requests),
        V(predict) (plan, lint, forecast of the whole mesh), V(drill) (drills with every fault, their history and
        restoration), V(node_loss) (on top of V(drill) for that fault), V(drain) (drain and restore sidecars),
        V(publish) (reports in a ConfigMap, C(publish_config_map)), V(preview) (what the tutorial would change) and
        V(site) (the tutorial's playbook C(site)).
      - V(site) and V(deploy_namespace) make their namespace, so a Role cannot be there before. All is in the
        ClusterRole, with C(pods/exec) and the deletion of namespaces for V(site). They are for a cluster to try things
        on.
    type: list
    elements: str
    required: true
  namespaces:
    description: Namespaces of the workloads.
    type: list
    elements: str
    default: []
  name:
    description: Name of all roles and bindings.
    type: str
    default: meshops-locality
  control_plane_namespace:
    description: Namespace of istiod.
    type: str
    default: istio-system
  service_account:
    description: Who gets the rights, as C(namespace/name). Default is nobody, and no bindings are made.
    type: str
"""

EXAMPLES = r"""
- name: What somebody needs who writes policies for shop and looks whether they work
  ansible.builtin.debug:
    msg: "{{ ['apply', 'verify'] | meshops.locality.rbac(namespaces=['shop'], service_account='ci/meshops') }}"

- name: Grant it
  kubernetes.core.k8s:
    definition: "{{ ['label'] | meshops.locality.rbac(namespaces=['shop'], service_account='ci/meshops') }}"
"""

RETURN = r"""
_value:
  description: Manifests of ClusterRole, ClusterRoleBinding, Role and RoleBinding.
  type: list
  elements: dict
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._model.least_rights import least_rights
from ansible_collections.meshops.locality.plugins.module_utils._model.plain_values import plain


def rbac(
    actions: t.Any,
    namespaces: t.Any = (),
    name: t.Any = "meshops-locality",
    control_plane_namespace: t.Any = "istio-system",
    service_account: t.Any = None,
) -> list[dict[str, t.Any]]:
    """Check types and call the pure function."""
    for option, value in (("_input", actions), ("namespaces", namespaces)):
        if isinstance(value, str) or not isinstance(value, t.Sequence):
            raise AnsibleFilterError(f"meshops.locality.rbac: {option} must be a list, not {type(value).__name__}")
    try:
        return least_rights(
            [plain(action) for action in actions],
            [plain(namespace) for namespace in namespaces],
            name=plain(name),
            control_plane_namespace=plain(control_plane_namespace),
            service_account=plain(service_account),
        )
    except LocalityError as error:
        raise AnsibleFilterError(f"meshops.locality.rbac: {error}") from error


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Name → filter."""
        return {"rbac": rbac}
