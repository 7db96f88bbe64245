# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and kubeconfigs of a sandbox, made by kubeadm as for any other cluster."""

from __future__ import annotations

import base64
import concurrent.futures
import subprocess
from pathlib import Path

import yaml

from meshops_sandbox import templating
from meshops_sandbox.errors import BootError
from meshops_sandbox.layout import Layout

# Cluster-wide: what the control plane's own components and people use.
_PEOPLE = "admin"


def create(layout: Layout, kubeadm: Path, kubernetes_version: str) -> None:
    """Write `pki/` and `kubeconfigs/` below the sandbox's state, and the kubeconfig for people. Raises BootError
    with kubeadm's words."""
    config = layout.state / "kubeadm.yaml"
    templating.write(config, "kubeadm.yaml.j2", layout=layout, kubernetes_version=kubernetes_version)
    directory = layout.state / "kubeconfigs"
    directory.mkdir(parents=True, exist_ok=True)
    _run(kubeadm, "init", "phase", "certs", "all", "--config", str(config))

    def user(target: str, client: str, *organizations: str) -> None:
        orgs = [f"--org={organization}" for organization in organizations]
        text = _run(kubeadm, "kubeconfig", "user", "--config", str(config), f"--client-name={client}", *orgs)
        content = yaml.safe_load(text)
        _name_after(content, layout.context if target == _PEOPLE else client)
        _write_private(directory / f"{target}.conf", yaml.safe_dump(content))

    wanted: list[tuple[str, ...]] = [
        (_PEOPLE, "kubernetes-admin", "kubeadm:cluster-admins"),
        ("super-admin", "kubernetes-super-admin", "system:masters"),
        ("controller-manager", "system:kube-controller-manager"),
        ("scheduler", "system:kube-scheduler"),
        ("kube-proxy", "system:kube-proxy"),
        *((f"kubelet-{node.name}", f"system:node:{node.name}", "system:nodes") for node in layout.nodes),
    ]
    with concurrent.futures.ThreadPoolExecutor(max_workers=3) as pool:
        for done in [pool.submit(user, *each) for each in wanted]:
            done.result()
    _extract_client(directory / "super-admin.conf", layout.pki)
    _write_private(layout.kubeconfig, (directory / f"{_PEOPLE}.conf").read_text(encoding="utf-8"))


def _run(kubeadm: Path, *arguments: str) -> str:
    done = subprocess.run([str(kubeadm), *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise BootError(
            f"kubeadm {' '.join(arguments[:4])} failed.",
            "This is a bug of the sandbox.",
            done.stderr.strip().splitlines()[-10:],
        )
    return done.stdout


def _name_after(content: dict[str, list[dict[str, object]]] | dict[str, object], name: str) -> None:
    """Cluster, user and context get names that two sandboxes do not share: their kubeconfigs can be merged."""
    for section in ("clusters", "users", "contexts"):
        entry = content[section][0]  # type: ignore[index]
        entry["name"] = name
        if section == "contexts":
            entry["context"].update(cluster=name, user=name)
    content["current-context"] = name  # type: ignore[assignment]


def _extract_client(kubeconfig: Path, directory: Path) -> None:
    """The client certificate and key of `kubeconfig` as files: what a plain HTTPS client needs."""
    user = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))["users"][0]["user"]
    pair = base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"])
    _write_private(directory / "super-admin.pem", pair.decode("ascii"))


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
