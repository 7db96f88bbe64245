# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a sandbox up: everything that can happen at the same time does."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import time
import typing as t

import requests

from meshops_sandbox import network, nodes, pki, templating
from meshops_sandbox.api import ApiServer
from meshops_sandbox.build import Artifacts
from meshops_sandbox.errors import BootError
from meshops_sandbox.layout import Layout, NodeLayout
from meshops_sandbox.processes import Supervisor, tail
from meshops_sandbox.progress import Progress

_API = "API server"
_NODES = "nodes ready"
_MESH = "Istio installed, istiod ready"
_DNS = "CoreDNS ready"
_PEOPLE = "kubeconfig accepted"


def boot(layout: Layout, artifacts: Artifacts, progress: Progress, *, mesh: bool) -> None:
    """From nothing to Ready nodes, CoreDNS and istiod. The state directory and the registry entry exist already.

    Raises BootError naming the step that failed, with the end of the log that matters."""
    supervisor = Supervisor(layout)
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        wires = pool.submit(_timed, progress, "network", network.create, layout)
        certificates = pool.submit(
            _timed, progress, "certificates", pki.create, layout, artifacts.kubernetes / "kubeadm", artifacts.kubernetes_version
        )
        wires.result()
        supervisor.launch(nodes.programs(layout, artifacts))
        supervisor.start("etcd")
        certificates.result()
        supervisor.start("kube-apiserver")
        stores = pool.submit(_timed, progress, "image stores", _prepare_nodes, layout, artifacts, supervisor)
        api = ApiServer(layout)
        with progress.step(_API):
            _wait(api.ready, 90, _API, lambda: _logs(layout, "kube-apiserver", "etcd"), progress, "waiting for /readyz")
        supervisor.start("kube-controller-manager", "kube-scheduler")
        stores.result()
        plane = layout.control_plane
        supervisor.start(nodes.kubelet_name(plane), nodes.kube_proxy_name(plane))
        base = pool.submit(_apply_base, layout, artifacts)
        for node in layout.nodes:
            if node is not plane:
                supervisor.start(nodes.kubelet_name(node))
        base.result()
        installed = pool.submit(_timed, progress, _MESH, _install_mesh, layout, artifacts, api) if mesh else None
        for node in layout.nodes:
            if node is not plane:
                supervisor.start(nodes.kube_proxy_name(node))
        with progress.step(_NODES):
            _wait_for_nodes(layout, api, progress)
        _mark_control_plane(plane, api)
        with progress.step(_DNS):
            dns = lambda: api.available("kube-system", "coredns")  # noqa: E731
            _wait(dns, 90, _DNS, lambda: _logs(layout, nodes.kubelet_name(plane)), progress, "waiting for its pod")
        if installed:
            installed.result()
        with progress.step(_PEOPLE):
            _wait(lambda: _accepted(layout, artifacts), 60, _PEOPLE, lambda: [], progress, "waiting for its roles")


def _prepare_nodes(layout: Layout, artifacts: Artifacts, supervisor: Supervisor) -> None:
    plane_first = sorted(layout.nodes, key=lambda node: node.role != "control-plane")
    for node in plane_first:  # one disk: doing it in parallel is no faster
        nodes.prepare(layout, node, artifacts)
        supervisor.start(nodes.containerd_name(node))


def _apply_base(layout: Layout, artifacts: Artifacts) -> None:
    manifest = layout.state / "base.yaml"
    templating.write(manifest, "base.yaml.j2", layout=layout, image=artifacts.images["coredns"])
    _tool(layout, artifacts.kubernetes / "kubectl", "apply", "--server-side", "-f", str(manifest), step="cluster base")


def _install_mesh(layout: Layout, artifacts: Artifacts, api: ApiServer) -> None:
    operator = layout.state / "istio.yaml"
    templating.write(operator, "istio.yaml.j2", layout=layout, hub=artifacts.istio_hub, tag=artifacts.istio_version)
    _tool(
        layout, artifacts.istio / "istioctl", "install", "-y", "-f", str(operator), "--readiness-timeout", "3m", step=_MESH
    )
    if not api.available("istio-system", "istiod"):
        raise BootError("istioctl says that Istio is installed, but istiod is not available.", "See `meshops-sandbox kubectl -n istio-system get pods`.")


def _mark_control_plane(node: NodeLayout, api: ApiServer) -> None:
    """kubelet may not give itself this label (NodeRestriction)."""
    api.merge(f"/api/v1/nodes/{node.name}", {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}})


def _wait_for_nodes(layout: Layout, api: ApiServer, progress: Progress) -> None:
    wanted = {node.name for node in layout.nodes}
    missing = wanted

    def ready() -> bool:
        nonlocal missing
        missing = wanted - {name for name, is_ready in api.nodes().items() if is_ready}
        progress.detail(_NODES, f"waiting for {', '.join(sorted(missing))}")
        return not missing

    _wait(ready, 90, _NODES, lambda: _logs(layout, *(nodes.kubelet_name(layout.node(name)) for name in sorted(missing))), progress, "")


def _accepted(layout: Layout, artifacts: Artifacts) -> bool:
    done = subprocess.run(
        [str(artifacts.kubernetes / "kubectl"), "get", "--raw", "/api/v1/namespaces?limit=1"],
        env={**os.environ, "KUBECONFIG": str(layout.kubeconfig)},
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def _wait(
    condition: t.Callable[[], bool],
    seconds: float,
    step: str,
    logs: t.Callable[[], list[str]],
    progress: Progress,
    detail: str,
) -> None:
    deadline = time.monotonic() + seconds
    last = ""
    while True:
        try:
            if condition():
                return
        except (requests.RequestException, OSError) as error:
            last = str(error)
        if time.monotonic() > deadline:
            raise BootError(
                f"{step}: not reached within {seconds:.0f} s.",
                "See `meshops-sandbox logs`; `meshops-sandbox reset` starts afresh.",
                ([last] if last else []) + logs(),
            )
        if detail:
            progress.detail(step, detail)
        time.sleep(0.2)


def _tool(layout: Layout, tool: os.PathLike[str], *arguments: str, step: str) -> None:
    done = subprocess.run(
        [str(tool), *arguments],
        env={**os.environ, "KUBECONFIG": str(layout.state / "kubeconfigs" / "super-admin.conf")},
        capture_output=True,
        text=True,
        check=False,
    )
    log = layout.logs / f"{os.path.basename(tool)}.log"
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        raise BootError(f"{step} failed: {os.path.basename(tool)} {arguments[0]} ended with {done.returncode}.", f"See {log}.", tail(log, 10))


def _logs(layout: Layout, *programs: str) -> list[str]:
    return [f"{program}: {line}" for program in programs for line in tail(layout.logs / f"{program}.log", 4)]


def _timed(progress: Progress, title: str, work: t.Callable[..., None], *arguments: t.Any) -> None:
    with progress.step(title):
        work(*arguments)
