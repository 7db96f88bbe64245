# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running sandbox hands to others: an inventory, shell variables, the map of its nodes."""

from __future__ import annotations

import os
import shlex
import typing as t

import yaml

from meshops_sandbox.build import Artifacts
from meshops_sandbox.layout import Layout


def inventory(layouts: t.Sequence[Layout]) -> str:
    """An Ansible inventory (YAML) in which every sandbox is one host of the group `sandboxes`, as every host of this
    collection is a cluster.

    Host variables: kubeconfig (path), node_topology_nodes {node: {region, zone, subzone}}, and that all namespaces of
    the sandbox may be notified of new labels."""
    hosts = {
        layout.name: {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "kubeconfig": str(layout.kubeconfig),
            "node_topology_nodes": layout.topology.localities(),
            "node_topology_notify_all_namespaces": True,
        }
        for layout in layouts
    }
    return yaml.safe_dump({"sandboxes": {"hosts": hosts}}, sort_keys=False, allow_unicode=True)


def environment(layout: Layout, artifacts: Artifacts) -> dict[str, str]:
    """KUBECONFIG, K8S_AUTH_KUBECONFIG and a PATH on which the sandbox's kubectl and istioctl come first."""
    path = os.pathsep.join([str(artifacts.kubernetes), str(artifacts.istio), os.environ.get("PATH", "")])
    return {"KUBECONFIG": str(layout.kubeconfig), "K8S_AUTH_KUBECONFIG": str(layout.kubeconfig), "PATH": path}


def exports(layout: Layout, artifacts: Artifacts) -> str:
    """`environment` as lines for `eval "$(meshops-sandbox env)"`."""
    return "".join(f"export {key}={shlex.quote(value)}\n" for key, value in environment(layout, artifacts).items())
