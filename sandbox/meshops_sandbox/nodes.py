# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes and the control plane: their configuration files and the commands of their processes."""

from __future__ import annotations

import shutil
import sys
import typing as t
from pathlib import Path

from meshops_sandbox import cgroups, node_agent, templating
from meshops_sandbox.build import Artifacts, copy_image_store
from meshops_sandbox.fake_objects import NODE_ANNOTATION
from meshops_sandbox.layout import Layout, NodeLayout
from meshops_sandbox.processes import Program
from meshops_sandbox.time_limits import stretched

CNI_DIRECTORIES = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
CNI_PLUGINS = ("ptp", "host-local", "portmap", "loopback")
# How long the controller manager takes a silent node for Ready. KWOK's nodes tell of themselves every ten minutes, as
# in clusters that KWOK's own kwokctl makes: leases of a thousand nodes, renewed in time for it, keep a core busy.
_GRACE, _FAKE_GRACE = 50, 3600  # seconds; the first is Kubernetes' own default since 1.32


def cni_directory() -> Path | None:
    """Where all CNI plugins a node needs are, None when they are not installed."""
    return next((path for path in CNI_DIRECTORIES if all((path / name).exists() for name in CNI_PLUGINS)), None)


def prepare(layout: Layout, node: NodeLayout, artifacts: Artifacts) -> None:
    """Configuration files, cgroup and image store of one node."""
    cgroups.make_for_pods(node.cgroup)
    values = {
        "layout": layout,
        "node": node,
        "pause": artifacts.images["pause"],
        "cni": cni_directory(),
        "request_seconds": round(stretched(120)),
        "taints": layout.topology.nodes[node.number - 1].taints,
    }
    for template, target in (
        ("containerd.toml.j2", "containerd.toml"),
        ("cni.conflist.j2", "cni/10-ptp.conflist"),
        ("kubelet.yaml.j2", "kubelet.yaml"),
        ("kube-proxy.yaml.j2", "kube-proxy.yaml"),
    ):
        templating.write(node.directory / target, template, **values)
    (node.directory / "resolv.conf").write_text(f"nameserver {layout.gateway}\n", encoding="utf-8")
    node.runtime.mkdir(parents=True, exist_ok=True)
    copy_image_store(artifacts.image_store, node.directory / "containerd")


def programs(
    layout: Layout, artifacts: Artifacts, kwok: Path | None = None, kube_router: Path | None = None
) -> list[Program]:
    """Everything supervisord keeps alive, in the order it is started. kwok: the directory of its build, when the
    sandbox is scaled; kube_router: that of its build, when NetworkPolicies are enforced."""
    grace = _grace(fake=kwok is not None)
    real = [*_control_plane(layout, artifacts.kubernetes, grace), *_workers(layout, artifacts.kubernetes)]
    real.append(_agent(layout))
    if kube_router:
        real += [_kube_router(layout, node, kube_router) for node in layout.nodes]
    return [*real, _kwok(layout, kwok)] if kwok else real


def _grace(*, fake: bool) -> str:
    return f"{stretched(_FAKE_GRACE if fake else _GRACE):.0f}s"


def containerd_name(node: NodeLayout) -> str:
    return f"containerd-{node.name}"


def kubelet_name(node: NodeLayout) -> str:
    return f"kubelet-{node.name}"


def kube_proxy_name(node: NodeLayout) -> str:
    return f"kube-proxy-{node.name}"


def _control_plane(layout: Layout, binaries: Path, grace: str) -> t.Iterator[Program]:
    node = layout.control_plane
    pki = layout.pki
    kubeconfigs = layout.state / "kubeconfigs"
    yield Program(
        "etcd",
        node,
        (f"{binaries}/etcd", "--data-dir", str(layout.state / "etcd"), "--unsafe-no-fsync", "--log-level", "warn"),
    )
    yield Program(
        "kube-apiserver",
        node,
        (
            f"{binaries}/kube-apiserver",
            f"--advertise-address={node.address}",
            "--etcd-servers=http://127.0.0.1:2379",
            f"--service-cluster-ip-range={layout.service_network}",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--client-ca-file={pki}/ca.crt",
            f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
            f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki}/sa.pub",
            f"--service-account-signing-key-file={pki}/sa.key",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged",
            f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
            f"--proxy-client-key-file={pki}/front-proxy-client.key",
            f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--audit-policy-file={layout.audit_policy}",
            f"--audit-log-path={layout.audit_log}",
            # In MB: at most 60 are on the disk.
            "--audit-log-maxsize=20",
            "--audit-log-maxbackup=2",
        ),
        stop_signal="KILL",  # its graceful end takes a minute
    )
    manager = f"{kubeconfigs}/controller-manager.conf"
    yield Program(
        "kube-controller-manager",
        node,
        (
            f"{binaries}/kube-controller-manager",
            f"--kubeconfig={manager}",
            f"--authentication-kubeconfig={manager}",
            f"--authorization-kubeconfig={manager}",
            f"--root-ca-file={pki}/ca.crt",
            f"--service-account-private-key-file={pki}/sa.key",
            "--use-service-account-credentials",
            f"--cluster-signing-cert-file={pki}/ca.crt",
            f"--cluster-signing-key-file={pki}/ca.key",
            "--leader-elect=false",
            f"--node-monitor-grace-period={grace}",
        ),
    )
    scheduler = f"{kubeconfigs}/scheduler.conf"
    yield Program(
        "kube-scheduler",
        node,
        (
            f"{binaries}/kube-scheduler",
            f"--kubeconfig={scheduler}",
            f"--authentication-kubeconfig={scheduler}",
            f"--authorization-kubeconfig={scheduler}",
            "--leader-elect=false",
        ),
    )


def kube_router_name(node: NodeLayout) -> str:
    return f"kube-router-{node.name}"


def _kube_router(layout: Layout, node: NodeLayout, directory: Path) -> Program:
    """Only what enforces NetworkPolicies: routes and Services are kube-proxy's and the sandbox's own."""
    return Program(
        kube_router_name(node),
        node,
        (
            f"{directory}/kube-router",
            f"--kubeconfig={layout.state}/kubeconfigs/super-admin.conf",
            f"--hostname-override={node.name}",
            "--run-firewall=true",
            *("--run-router=false", "--run-service-proxy=false", "--run-loadbalancer=false"),
            f"--service-cluster-ip-range={layout.service_network}",
            # Of /metrics and of its health: nobody asks, and all nodes' would be the same.
            *("--metrics-port=0", "--health-port=0"),
            "--iptables-sync-period=1m",
        ),
    )


def _kwok(layout: Layout, directory: Path) -> Program:
    stages = sorted(directory.glob("*.yaml"))
    return Program(
        "kwok",
        layout.control_plane,
        (
            f"{directory}/kwok",
            f"--kubeconfig={layout.state}/kubeconfigs/super-admin.conf",
            "--manage-all-nodes=false",
            f"--manage-nodes-with-annotation-selector={NODE_ANNOTATION}",
            "--node-lease-duration-seconds=0",
            *(f"--config={stage}" for stage in stages),
        ),
    )


def _agent(layout: Layout) -> Program:
    command = (sys.executable, "-m", "meshops_sandbox.node_agent", str(layout.state))
    return Program(node_agent.PROGRAM, layout.control_plane, command)


def _workers(layout: Layout, binaries: Path) -> t.Iterator[Program]:
    containerd = shutil.which("containerd") or "containerd"
    for node in layout.nodes:
        yield Program(containerd_name(node), node, (containerd, "-c", f"{node.directory}/containerd.toml"))
    for node in layout.nodes:
        yield Program(
            kubelet_name(node),
            node,
            (
                f"{binaries}/kubelet",
                f"--config={node.directory}/kubelet.yaml",
                f"--kubeconfig={layout.state}/kubeconfigs/kubelet-{node.name}.conf",
                f"--hostname-override={node.name}",
                f"--node-ip={node.address}",
                f"--root-dir={node.kubelet_root}",
                f"--cert-dir={node.directory}/kubelet-pki",
            ),
        )
        yield Program(
            kube_proxy_name(node), node, (f"{binaries}/kube-proxy", f"--config={node.directory}/kube-proxy.yaml")
        )
