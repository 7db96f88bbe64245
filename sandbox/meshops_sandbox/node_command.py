# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command inside of a node: its network, and the mounts of the sandbox."""

from __future__ import annotations

import os
import typing as t

from meshops_sandbox import cgroups, outputs
from meshops_sandbox.build import Artifacts
from meshops_sandbox.errors import NotRunningError
from meshops_sandbox.layout import Layout
from meshops_sandbox.processes import Supervisor


def enter_node(layout: Layout, artifacts: Artifacts, name: str, command: t.Sequence[str]) -> t.NoReturn:
    """Become `command` (a shell when empty) on the node `name`. It joins the sandbox's cgroup, so that `down` ends
    it too."""
    node = layout.node(name)
    supervisor = Supervisor(layout).pid()
    if supervisor is None:
        raise NotRunningError(f"supervisord of {layout.name!r} does not run.", "Repair it: meshops-sandbox up.")
    cgroups.make(f"{layout.cgroup}/shell").write_text(str(os.getpid()), encoding="ascii")
    environment = {
        **os.environ,
        **outputs.environment(layout, artifacts),
        "CONTAINERD_ADDRESS": str(node.containerd_socket),
        "CONTAINERD_NAMESPACE": "k8s.io",
        "debian_chroot": f"{layout.name}:{name}",  # Debian's bash shows it in the prompt
    }
    wanted = list(command[1:] if command[:1] == ("--",) else command) or [os.environ.get("SHELL", "/bin/sh")]
    arguments = [
        f"--net={node.namespace_path}",
        f"--mount=/proc/{supervisor}/ns/mnt",
        f"--wd={os.getcwd()}",
        "--",
        *wanted,
    ]
    os.execvpe("nsenter", ["nsenter", *arguments], environment)
