# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Kubernetes and Istio on one Linux machine: every node a network namespace with its own containerd, kubelet
and kube-proxy."""

from __future__ import annotations

__version__ = "0.1.0"
