# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a container in /k8s.io is, from recorded texts of /proc: only what certainly is a sandbox's is taken away."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshops_sandbox import leftovers

ID = "3f" * 32
POD = "9a" * 32
STATE = "/var/lib/somebody/meshops-locality/default"
NODE = f"{STATE}/nodes/tianjin/containerd"
SNAPSHOTS = "io.containerd.snapshotter.v1.overlayfs/snapshots"
V1 = f"9:name=systemd:/k8s.io/{ID}\n8:pids:/k8s.io/{ID}\n4:memory:/k8s.io/{ID}\n0::/k8s.io/{ID}\n"
V2 = f"0::/k8s.io/{ID}\n"


def mountinfo(root: str = NODE, resolv: str = NODE, deleted: bool = True) -> str:
    gone = "//deleted" if deleted else ""
    overlay = f"lowerdir={root}/{SNAPSHOTS}/1/fs,upperdir={root}/{SNAPSHOTS}/24/fs,workdir={root}/{SNAPSHOTS}/24/work"
    file = f"{resolv}/io.containerd.grpc.v1.cri/sandboxes/{POD}/resolv.conf{gone}"
    return f"""\
811 703 0:98 / / rw,relatime - overlay overlay rw,{overlay}
812 811 0:101 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
820 811 254:0 {file} /etc/resolv.conf rw,relatime - ext4 /dev/vda rw
"""


@pytest.mark.parametrize("cgroup", [V1, V2])
@pytest.mark.parametrize("deleted", [True, False])
def test_a_container_of_a_sandbox_names_its_state(cgroup: str, deleted: bool) -> None:
    assert leftovers.state_of(cgroup, mountinfo(deleted=deleted)) == Path(STATE)


def test_the_state_may_be_on_a_file_system_of_its_own() -> None:
    """mountinfo names the mounted part from that file system's root on: /root is a mount point."""
    assert leftovers.state_of(V2, mountinfo(resolv=NODE.removeprefix("/root"))) == Path(STATE)


@pytest.mark.parametrize(
    ("cgroup", "mounts"),
    [
        ("0::/meshops-sandbox/default/daemons\n", mountinfo()),
        ("0::/system.slice/containerd.service\n", mountinfo()),
        (f"0::/kubepods/burstable/pod1/{ID}\n", mountinfo()),
        (f"0::/k8s.io/{ID}/below\n", mountinfo()),
        # A foreign containerd, kubelet, or one whose root was moved.
        (V2, mountinfo(root="/var/lib/containerd", resolv="/var/lib/containerd")),
        (V2, mountinfo(root="/data/nodes/containerd", resolv="/data/nodes/containerd")),
        # Only one of the two mounts is a sandbox's, or they are of two.
        (V2, mountinfo(root="/var/lib/containerd")),
        (V2, mountinfo(resolv="/var/lib/containerd")),
        (V2, mountinfo(resolv=NODE.replace("tianjin", "beijing"))),
        (V2, mountinfo(resolv=NODE.replace("default", "other"))),
        (V2, ""),
        ("", ""),
    ],
)
def test_what_is_not_certain_is_nobodys(cgroup: str, mounts: str) -> None:
    assert leftovers.state_of(cgroup, mounts) is None
