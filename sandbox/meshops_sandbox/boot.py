# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a sandbox up: everything that can happen at the same time does."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import subprocess
import time
import typing as t
from pathlib import Path

import requests

from meshops_sandbox import network, node_agent, node_stops, nodes, pki, templating
from meshops_sandbox.api_server import ApiServer
from meshops_sandbox.build import Artifacts
from meshops_sandbox.errors import BootError
from meshops_sandbox.layout import Layout, NodeLayout
from meshops_sandbox.processes import Program, Supervisor, tail
from meshops_sandbox.progress import Progress
from meshops_sandbox.time_limits import factor, stretched

_API = "API server"
_NODES = "nodes ready"
_MESH = "Istio installed, istiod ready"
_DNS = "CoreDNS ready"
_POLICIES = "NetworkPolicies enforced"
_PEOPLE = "kubeconfig accepted"


def boot(layout: Layout, artifacts: Artifacts, progress: Progress, *, mesh: bool) -> None:
    """From nothing to Ready nodes, CoreDNS and istiod. The state directory and the registry entry exist already.

    Raises BootError naming the step that failed, with the end of the log that matters."""
    tools = _Tools(layout, artifacts)
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        try:
            _boot(pool, tools, layout, artifacts, progress, mesh=mesh)
        except BaseException:
            tools.stop()  # or the pool would wait for them
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def repair(layout: Layout, programs: t.Sequence[Program], progress: Progress, *, mesh: bool) -> bool:
    """Make a sandbox that was up complete again without losing what is in it: supervisord, stopped programs, then
    wait until all is
    ready. Returns whether something had to be started. Raises BootError when it does not become ready."""
    supervisor = Supervisor(layout)
    states = supervisor.states()
    stopped = [name for name, each in states.items() if each.state not in ("RUNNING", "STARTING", "BACKOFF")]
    if not states:
        progress.note("supervisord was gone: it and all it supervises are started again, containers go on")
        supervisor.relaunch(programs)
    elif stopped:
        progress.note(f"started again: {', '.join(stopped)}")
        supervisor.start(*stopped)
    api = ApiServer(layout)
    _wait_for_api(layout, api, progress)
    halted = node_stops.stopped(api)
    for name, by in halted.items():
        progress.note(f"node {name} is stopped by {by}, and stays so")
    _wait_for_nodes(layout, api, progress, besides=halted)
    _wait_for_deployment(layout, api, progress, "kube-system", "coredns", _DNS)
    if mesh:
        _wait_for_deployment(layout, api, progress, "istio-system", "istiod", _MESH)
    return not states or bool(stopped)


def wait_for_network_policies(layout: Layout, progress: Progress) -> None:
    """Wait until kube-router has its rules in the network of every node. Raises BootError when it does not."""

    def enforced() -> bool:
        return all(
            "KUBE-ROUTER-FORWARD" in network.in_namespace(node.namespace, "iptables", "-w", "-S", "FORWARD")
            for node in layout.nodes
        )

    routers = [nodes.kube_router_name(node) for node in layout.nodes]
    with progress.step(_POLICIES):
        _wait(enforced, 90, _POLICIES, lambda: _logs(layout, *routers), progress, "waiting for the rules of all nodes")


def _boot(
    pool: concurrent.futures.Executor,
    tools: _Tools,
    layout: Layout,
    artifacts: Artifacts,
    progress: Progress,
    *,
    mesh: bool,
) -> None:
    supervisor = Supervisor(layout)
    wires = pool.submit(_timed, progress, "network", network.create, layout)
    kubeadm = artifacts.kubernetes / "kubeadm"
    certificates = pool.submit(
        _timed, progress, "certificates", pki.create, layout, kubeadm, artifacts.kubernetes_version
    )
    wires.result()
    supervisor.launch(nodes.programs(layout, artifacts))
    supervisor.start("etcd")
    certificates.result()
    supervisor.start("kube-apiserver")
    stores = pool.submit(_timed, progress, "image stores", _prepare_nodes, layout, artifacts, supervisor)
    api = ApiServer(layout)
    with progress.step(_API):
        _wait_for_api(layout, api, progress)
    supervisor.start("kube-controller-manager", "kube-scheduler")
    stores.result()
    plane = layout.control_plane
    supervisor.start(nodes.kubelet_name(plane), nodes.kube_proxy_name(plane))
    base = pool.submit(_apply_base, layout, artifacts, tools)
    workers = [node for node in layout.nodes if node is not plane]
    supervisor.start(*(nodes.kubelet_name(node) for node in workers))
    base.result()
    installed = pool.submit(_timed, progress, _MESH, _install_mesh, layout, artifacts, tools, api) if mesh else None
    supervisor.start(*(nodes.kube_proxy_name(node) for node in workers))
    with progress.step(_NODES):
        _wait_for_nodes(layout, api, progress)
    _mark_control_plane(plane, api)
    supervisor.start(node_agent.PROGRAM)
    with progress.step(_DNS):
        _wait_for_deployment(layout, api, progress, "kube-system", "coredns", _DNS)
    if installed:
        installed.result()
    with progress.step(_PEOPLE):
        _wait(tools.accepted, 60, _PEOPLE, list, progress, "waiting for its roles")


class _Tools:
    """kubectl and istioctl against one sandbox; `stop` ends those that run."""

    def __init__(self, layout: Layout, artifacts: Artifacts) -> None:
        self._layout = layout
        self._artifacts = artifacts
        self._running: set[subprocess.Popen[str]] = set()
        # Both keep a cache of what the API server offers, in ~/.kube/cache: it goes with the sandbox.
        self._home = str(layout.state / "home")

    def kubectl(self, step: str, *arguments: str) -> None:
        self._run(self._artifacts.kubernetes / "kubectl", step, *arguments)

    def istioctl(self, step: str, *arguments: str) -> None:
        self._run(self._artifacts.istio / "istioctl", step, *arguments)

    def accepted(self) -> bool:
        """Whether the kubeconfig for people is (its group was bound only after the API server had come up)."""
        done = subprocess.run(
            [str(self._artifacts.kubernetes / "kubectl"), "get", "--raw", "/api/v1/namespaces?limit=1"],
            env={**os.environ, "KUBECONFIG": str(self._layout.kubeconfig), "HOME": self._home},
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def stop(self) -> None:
        for process in list(self._running):
            process.kill()

    def _run(self, tool: Path, step: str, *arguments: str) -> None:
        kubeconfig = self._layout.state / "kubeconfigs" / "super-admin.conf"
        log = self._layout.logs / f"{tool.name}.log"
        with open(log, "a", encoding="utf-8") as output:
            process = subprocess.Popen(
                [str(tool), *arguments],
                env={**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": self._home},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
            )
            self._running.add(process)
            code = process.wait()
            self._running.discard(process)
        if code:
            raise BootError(
                f"{step} failed: {tool.name} {arguments[0]} ended with {code}.", f"See {log}.", tail(log, 10)
            )


def _prepare_nodes(layout: Layout, artifacts: Artifacts, supervisor: Supervisor) -> None:
    plane_first = sorted(layout.nodes, key=lambda node: node.role != "control-plane")
    for node in plane_first:  # one disk: doing it in parallel is no faster
        nodes.prepare(layout, node, artifacts)
        supervisor.start(nodes.containerd_name(node))


def _apply_base(layout: Layout, artifacts: Artifacts, tools: _Tools) -> None:
    manifest = layout.state / "base.yaml"
    templating.write(
        manifest, "base.yaml.j2", layout=layout, image=artifacts.images["coredns"], probe_seconds=round(stretched(1))
    )
    tools.kubectl("cluster base", "apply", "--server-side", "-f", str(manifest))


def _install_mesh(layout: Layout, artifacts: Artifacts, tools: _Tools, api: ApiServer) -> None:
    operator = layout.state / "istio.yaml"
    templating.write(operator, "istio.yaml.j2", layout=layout, hub=artifacts.istio_hub, tag=artifacts.istio_version)
    install = ("install", "-y", "-f", str(operator), "--readiness-timeout", f"{stretched(180):.0f}s")
    # istioctl has limits of its own (15 s for a request), which no option changes: on a slow machine it tries again.
    for _ in range(2 if factor() > 1 else 0):
        with contextlib.suppress(BootError):
            tools.istioctl(_MESH, *install)
            break
    else:
        tools.istioctl(_MESH, *install)
    if not api.available("istio-system", "istiod"):
        raise BootError(
            "istioctl says that Istio is installed, but istiod is not available.",
            "See `meshops-sandbox kubectl -n istio-system get pods`.",
        )


def _mark_control_plane(node: NodeLayout, api: ApiServer) -> None:
    """kubelet may not give itself this label (NodeRestriction)."""
    api.merge(f"/api/v1/nodes/{node.name}", {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}})


def _wait_for_nodes(layout: Layout, api: ApiServer, progress: Progress, besides: t.Collection[str] = ()) -> None:
    wanted = {node.name for node in layout.nodes} - set(besides)
    missing = wanted

    def ready() -> bool:
        nonlocal missing
        missing = wanted - {name for name, is_ready in api.nodes().items() if is_ready}
        progress.detail(_NODES, f"waiting for {', '.join(sorted(missing))}")
        return not missing

    _wait(
        ready,
        90,
        _NODES,
        lambda: _logs(layout, *(nodes.kubelet_name(layout.node(name)) for name in sorted(missing))),
        progress,
        "",
    )


def _wait_for_api(layout: Layout, api: ApiServer, progress: Progress) -> None:
    _wait(api.ready, 90, _API, lambda: _logs(layout, "kube-apiserver", "etcd"), progress, "waiting for /readyz")


def _wait_for_deployment(
    layout: Layout, api: ApiServer, progress: Progress, namespace: str, name: str, step: str
) -> None:
    kubelet = nodes.kubelet_name(layout.control_plane)
    _wait(
        lambda: api.available(namespace, name),
        90,
        step,
        lambda: _logs(layout, kubelet),
        progress,
        "waiting for its pod",
    )


def _wait(
    condition: t.Callable[[], bool],
    seconds: float,
    step: str,
    logs: t.Callable[[], list[str]],
    progress: Progress,
    detail: str,
) -> None:
    limit = stretched(seconds)
    deadline = time.monotonic() + limit
    last = ""
    while True:
        try:
            if condition():
                return
        except (requests.RequestException, OSError) as error:
            last = str(error)
        if time.monotonic() > deadline:
            raise BootError(
                f"{step}: not reached within {limit:.0f} s.",
                "See `meshops-sandbox logs`; `meshops-sandbox reset` starts afresh.",
                ([last] if last else []) + logs(),
            )
        if detail:
            progress.detail(step, detail)
        time.sleep(0.2)


def _logs(layout: Layout, *programs: str) -> list[str]:
    return [f"{program}: {line}" for program in programs for line in tail(layout.logs / f"{program}.log", 4)]


def _timed(progress: Progress, title: str, work: t.Callable[..., None], *arguments: t.Any) -> None:
    with progress.step(title):
        work(*arguments)
