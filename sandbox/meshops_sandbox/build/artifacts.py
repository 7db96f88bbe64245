# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a finished build hands to the sandbox, and the one error a build raises."""

from __future__ import annotations

import dataclasses
from pathlib import Path


class BuildError(Exception):
    """The build cannot go on. The text is one sentence for the user; `log` is the file with the whole output, if there
    is one."""

    def __init__(self, sentence: str, log: Path | None = None) -> None:
        super().__init__(sentence)
        self.log = log


@dataclasses.dataclass(frozen=True)
class Artifacts:
    """Everything a node or a control plane is started from. All paths are read-only for their users and shared by all
    sandboxes.

    kubernetes: directory with etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy,
        kubectl, kubeadm
    istio: directory with istioctl, pilot-agent, pilot-discovery
    image_store: a containerd root directory; its namespace k8s.io holds all images, imported and unpacked (overlayfs).
        A node takes a copy with `build.copy_image_store(artifacts.image_store, target)`: hard links, only the databases
        are real copies.
    images: role (pause, coredns, pilot, proxyv2, helloworld, curl) -> image reference
    istio_line: the line that was asked for, "1.31"
    istio_version: what pilot says of itself, "1.31.0"; also the tag of the pilot and proxyv2 images
    istio_hub: the hub of the pilot and proxyv2 images
    kubernetes_version: "v1.35.3"
    """

    kubernetes: Path
    istio: Path
    image_store: Path
    images: dict[str, str]
    istio_line: str
    istio_version: str
    istio_hub: str
    kubernetes_version: str
