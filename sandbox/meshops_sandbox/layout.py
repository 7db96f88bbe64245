# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every name, path and address of a sandbox, derived from its name, its index and its topology.

Nothing is ever searched for by a pattern that another sandbox or another tool could match: what belongs to a sandbox
is known from here, before it is created.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import os
import re
from pathlib import Path

from meshops_sandbox.errors import PreflightError, SandboxError
from meshops_sandbox.topology import Topology

RUN_ROOT = Path("/run/meshops-sandbox")
NETNS_ROOT = Path("/run/netns")
KUBELET_ROOT = Path("/var/lib/kubelet")
CGROUP_ROOT = "meshops-sandbox"
BRIDGE_PREFIX = "meshops"
MAX_SANDBOXES = 16
_FIRST_NETWORK = (
    160  # 10.160.0.0/16 … 10.175.0.0/16: away from the usual defaults of kubeadm, kind, k3s, Calico and Docker
)

_NAME = re.compile(r"^[a-z0-9]([-a-z0-9]{0,18}[a-z0-9])?$")


def check_name(name: str) -> str:
    """Return `name` if a sandbox can have it, else raise PreflightError."""
    if not _NAME.match(name):
        raise PreflightError(
            f"{name!r} cannot be the name of a sandbox.",
            "Use lower case letters, digits and '-', at most 20 characters, no '-' at the ends.",
        )
    return name


def state_root() -> Path:
    """Where the states of all sandboxes of this user are: MESHOPS_SANDBOX_STATE, or the XDG state directory."""
    own = os.environ.get("MESHOPS_SANDBOX_STATE")
    if own:
        return Path(own).absolute()
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "meshops-locality"


def network_of(index: int) -> ipaddress.IPv4Network:
    """The /16 a sandbox with this index gets when none is asked for."""
    return ipaddress.IPv4Network(f"10.{_FIRST_NETWORK + index}.0.0/16")


def bridge_of(index: int) -> str:
    return f"{BRIDGE_PREFIX}{index}"


@dataclasses.dataclass(frozen=True)
class NodeLayout:
    """One node: its number (from 1), its network namespace and link on the bridge, its address and pod subnet, its
    directories. Its pods are in its cgroup."""

    name: str
    role: str
    number: int
    namespace: str
    link: str
    address: ipaddress.IPv4Address
    pods: ipaddress.IPv4Network
    directory: Path
    runtime: Path
    cgroup: str

    @property
    def namespace_path(self) -> Path:
        return NETNS_ROOT / self.namespace

    @property
    def containerd_socket(self) -> Path:
        return self.runtime / "containerd.sock"

    @property
    def kubelet_root(self) -> Path:
        """In the sandbox's own /var/lib/kubelet, which is in its state directory, and not there by its own path:
        kubelet makes sockets in it, and the path of a socket has at most 107 characters (sun_path, unix(7))."""
        return KUBELET_ROOT / "nodes" / self.name


@dataclasses.dataclass(frozen=True)
class Layout:
    """One sandbox. `network` is a /16: nodes in its first /24, pods in the .64.0/18 (a /24 each node), services in
    the upper /17."""

    name: str
    index: int
    network: ipaddress.IPv4Network
    topology: Topology
    state: Path

    @property
    def node_network(self) -> ipaddress.IPv4Network:
        return next(self.network.subnets(new_prefix=24))

    @property
    def pod_network(self) -> ipaddress.IPv4Network:
        return list(self.network.subnets(new_prefix=18))[1]

    @property
    def service_network(self) -> ipaddress.IPv4Network:
        return list(self.network.subnets(new_prefix=17))[1]

    @property
    def gateway(self) -> ipaddress.IPv4Address:
        return self.node_network[1]

    @property
    def dns(self) -> ipaddress.IPv4Address:
        return self.service_network[10]

    @property
    def bridge(self) -> str:
        return bridge_of(self.index)

    @property
    def alias(self) -> str:
        """What the bridge and the links carry as ifalias, so that they can be told from others'."""
        return f"meshops-sandbox:{self.name}"

    @property
    def cgroup(self) -> str:
        return f"{CGROUP_ROOT}/{self.name}"

    @property
    def runtime(self) -> Path:
        return RUN_ROOT / self.name

    @property
    def supervisor_socket(self) -> Path:
        return self.runtime / "supervisor.sock"

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def audit_policy(self) -> Path:
        return self.state / "audit-policy.yaml"

    @property
    def audit_log(self) -> Path:
        """What people and workloads asked of the API server; older parts stand next to it (audit-<time>.log)."""
        return self.state / "audit" / "audit.log"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def context(self) -> str:
        return f"meshops-{self.name}"

    @property
    def api_server(self) -> str:
        return f"https://{self.control_plane.address}:6443"

    @functools.cached_property
    def nodes(self) -> tuple[NodeLayout, ...]:
        pods = list(self.pod_network.subnets(new_prefix=24))
        return tuple(
            NodeLayout(
                name=node.name,
                role=node.role,
                number=number,
                namespace=f"ms-{self.name}.{node.name}",
                link=f"{self.bridge}-{number}",
                address=self.node_network[10 + number],
                pods=pods[number],
                directory=self.state / "nodes" / node.name,
                runtime=self.runtime / node.name,
                cgroup=f"{self.cgroup}/nodes/{node.name}",
            )
            for number, node in enumerate(self.topology.nodes, start=1)
        )

    @property
    def control_plane(self) -> NodeLayout:
        return next(node for node in self.nodes if node.role == "control-plane")

    def node(self, name: str) -> NodeLayout:
        """The node called `name`; SandboxError, which names those that there are, when there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        known = ", ".join(node.name for node in self.nodes)
        raise SandboxError(f"The sandbox {self.name!r} has no node {name!r}.", f"It has: {known}.")
