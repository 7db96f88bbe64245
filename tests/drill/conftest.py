# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the drill's tests: a mesh that may be drilled, and drills in processes that can be killed."""

from __future__ import annotations

import time
import typing as t
import uuid
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.integration.fault_proxy import FaultProxy
from tests.integration.mesh import CLIENT, PLACES, SERVER, Mesh, deployment, pod_template, rule
from tests.service_account import kubeconfig_with_token, until_granted

from .drill_process import DrillProcess

Json = dict[str, t.Any]
OFFERED = "meshops.locality/node-stop-offered-by"
TIANJIN = "app=helloworld,version=tianjin"
RIGHTS = ROOT / "docs" / "examples" / "drill" / "rights.yml"


@pytest.fixture(scope="session")
def mesh(kubectl: t.Any) -> t.Iterator[Mesh]:
    """helloworld in three places, a client in tianjin, a rule that ejects for 15 s, and the consent to drills."""
    new_mesh = Mesh(f"drill-{uuid.uuid4().hex[:10]}", kubectl)
    labels = {"istio-injection": "enabled", "meshops.locality/drills": "allowed"}
    kubectl(
        "apply",
        "-f",
        "-",
        given={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": new_mesh.namespace, "labels": labels}},
    )
    service = {"ports": [{"port": 5000, "name": "http"}], "selector": {"app": "helloworld"}}
    servers = []
    for place in PLACES:
        labels = {"app": "helloworld", "version": place}
        env = [{"name": "SERVICE_VERSION", "value": place}]
        template = pod_template(labels, {**SERVER, "env": env}, place)
        servers.append(deployment(f"helloworld-{place}", labels, template))
    sleep = {"app": "sleep"}
    new_mesh.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "helloworld"}, "spec": service},
        rule(maxEjectionPercent=100, baseEjectionTime="15s"),
        *servers,
        deployment("sleep", sleep, pod_template(sleep, CLIENT, "tianjin")),
    )
    try:
        kubectl("-n", new_mesh.namespace, "wait", "deployment", "--all", "--for=condition=Available", "--timeout=180s")
        yield new_mesh
    finally:
        kubectl("delete", "namespace", new_mesh.namespace, "--wait=false")


@pytest.fixture
def fault_proxy(kubeconfig: Path, tmp_path: Path) -> t.Iterator[FaultProxy]:
    """The real API server behind a proxy that can be told to misbehave."""
    proxy = FaultProxy(kubeconfig, tmp_path)
    yield proxy
    proxy.close()


@pytest.fixture
def fresh(mesh: Mesh) -> t.Iterator[str]:
    """The name of tianjin's pod, which is replaced after the test: kubelet restarts one pod's sidecar later and later.

    Nothing of the test is left behind: its journals are deleted, and the lock is free.
    """
    settle(mesh)
    yield mesh.name(TIANJIN)
    mesh.kubectl("-n", mesh.namespace, "delete", "configmap", "-l", "meshops.locality/drill", "--wait=true")
    mesh.kubectl("-n", mesh.namespace, "delete", "lease", "meshops-drill", "--ignore-not-found")
    replace(mesh, TIANJIN)


def settle(mesh: Mesh) -> None:
    """Wait until nothing that a test before has deleted is still on its way out: it would be in the state before."""
    until = time.monotonic() + 90
    while leaving := [
        item["metadata"]["name"]
        for item in mesh.get("pods,endpointslices")["items"]
        if item["metadata"].get("deletionTimestamp")
        or any(endpoint["conditions"].get("terminating") for endpoint in item.get("endpoints") or ())
    ]:
        assert time.monotonic() < until, f"still on their way out: {', '.join(leaving)}"
        time.sleep(0.2)


def replace(mesh: Mesh, labels: str) -> None:
    """Delete the pods with these labels and wait for their successors, and for the client's Envoy to know them."""
    before = {pod["metadata"]["name"] for pod in mesh.get("pods", "-l", labels)["items"]}
    mesh.kubectl("-n", mesh.namespace, "delete", "pod", "-l", labels, "--wait=true")
    until = time.monotonic() + 90
    while not (after := {pod["metadata"]["name"] for pod in mesh.get("pods", "-l", labels)["items"]} - before):
        assert time.monotonic() < until, "the pod is not replaced"
        time.sleep(0.2)
    mesh.kubectl("-n", mesh.namespace, "wait", "--for=condition=Ready", "--timeout=90s", *(f"pod/{p}" for p in after))
    address = mesh.pod(labels)["status"]["podIP"]
    enter = ("-n", mesh.namespace, "exec", mesh.name("app=sleep"), "-c", "istio-proxy", "--")
    while f"{address}:5000::health_flags::healthy" not in mesh.kubectl(
        *enter, "pilot-agent", "request", "GET", "clusters"
    ):
        assert time.monotonic() < until, "the client's Envoy does not hold the new pod as healthy"
        time.sleep(0.3)


@pytest.fixture
def options(mesh: Mesh, kubeconfig: Path) -> Json:
    """Options of a short drill of tianjin. The lock is the tests' own."""
    return {
        "namespace": mesh.namespace,
        "service": "helloworld",
        "scope": [{"subzone": "tianjin"}],
        "clients": [{"label_selector": "app=sleep"}],
        "path": "/hello",
        "duration": 8,
        "lead": 2,
        # A busy machine answers late: that is no failure.
        "rate": 5,
        "timeout": 20,
        "failback_timeout": 0,
        "lock_namespace": mesh.namespace,
        "kubeconfig": str(kubeconfig),
    }


@pytest.fixture
def drill(run_module: t.Any, options: Json) -> t.Callable[..., Json]:
    """Run failover_drill to its end."""

    def call(check: bool = False, **params: t.Any) -> Json:
        return t.cast(Json, run_module("failover_drill", check=check, params={**options, **params}, timeout=500))

    return call


@pytest.fixture
def restore(run_module: t.Any, options: Json, mesh: Mesh) -> t.Callable[..., Json]:
    """Run failover_restore in the mesh's namespace."""

    def call(**params: t.Any) -> Json:
        given = {
            "namespaces": [mesh.namespace],
            "lock_namespace": mesh.namespace,
            "kubeconfig": options["kubeconfig"],
        }
        return t.cast(Json, run_module("failover_restore", params={**given, **params}, timeout=400))

    return call


@pytest.fixture
def start(options: Json, tmp_path: Path) -> t.Iterator[t.Callable[..., DrillProcess]]:
    """Start failover_drill in a process of its own; what still runs at the end is killed."""
    started: list[DrillProcess] = []

    def call(**params: t.Any) -> DrillProcess:
        folder = tmp_path / f"drill-{len(started)}"
        started.append(DrillProcess({**options, "error_budget": 1.0, **params}, folder))
        return started[-1]

    yield call
    for process in started:
        process.kill()


@pytest.fixture
def apart(mesh: Mesh) -> t.Iterator[tuple[str, str]]:
    """The Service `apart` with a pod in tianjin and one in guangzhou, each on a node without the client. Yields the
    node and the pod of tianjin. An Envoy waits 3 s for a connection: a lost node does not say that it is lost."""
    home = mesh.pod("app=sleep")["spec"]["nodeName"]
    nodes = [node["metadata"] for node in mesh.get("nodes")["items"] if OFFERED in node["metadata"]["annotations"]]
    names = sorted(node["name"] for node in nodes if node["name"] != home)
    items: list[Json] = [rule(maxEjectionPercent=100, baseEjectionTime="30s")]
    items[0]["metadata"]["name"] = items[0]["spec"]["host"] = "apart"
    items[0]["spec"]["trafficPolicy"]["connectionPool"]["tcp"] = {"connectTimeout": "3s"}
    service = {"ports": [{"port": 5000, "name": "http"}], "selector": {"app": "apart"}}
    items.append({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "apart"}, "spec": service})
    for place, name in zip(("tianjin", "guangzhou"), names, strict=False):
        template = pod_template({"app": "apart", "version": f"apart-{place}"}, SERVER, place)
        template["spec"]["nodeSelector"] = {"kubernetes.io/hostname": name}
        items.append(deployment(f"apart-{place}", template["metadata"]["labels"], template))
    mesh.apply(*items)
    mesh.kubectl("-n", mesh.namespace, "wait", "deployment", "--all", "--for=condition=Available", "--timeout=120s")
    for place in ("tianjin", "guangzhou"):
        mesh.wait_for_endpoint("apart", mesh.name(f"version=apart-{place}"))
    yield names[0], mesh.name("version=apart-tianjin")
    mesh.kubectl("-n", mesh.namespace, "delete", "configmap", "-l", "meshops.locality/drill", "--wait=true")
    mesh.kubectl("-n", mesh.namespace, "delete", "lease", "meshops-drill", "--ignore-not-found")
    kinds = "deployment/apart-tianjin,deployment/apart-guangzhou,service/apart,destinationrule/apart"
    mesh.kubectl("-n", mesh.namespace, "delete", *kinds.split(","), "--wait=true")


@pytest.fixture
def limited(mesh: Mesh, kubeconfig: Path, tmp_path: Path) -> t.Iterator[str]:
    """The kubeconfig of the ServiceAccount with the documented rights, in the mesh's namespace."""
    items = list(yaml.safe_load_all(RIGHTS.read_text(encoding="utf-8").replace("sample", mesh.namespace)))
    for item in items:
        if item["kind"].startswith("Cluster"):
            item["metadata"]["name"] += f"-{mesh.namespace}"
        if item["kind"] == "ClusterRoleBinding":
            item["roleRef"]["name"] += f"-{mesh.namespace}"
    mesh.kubectl("apply", "-f", "-", given=items)
    token = mesh.kubectl("-n", mesh.namespace, "create", "token", "drill", "--duration=3600s")
    path = kubeconfig_with_token(kubeconfig, token, tmp_path / "limited.yaml")
    until_granted(mesh.kubectl, items, f"system:serviceaccount:{mesh.namespace}:drill")
    yield str(path)
    mesh.kubectl("delete", "-f", "-", given=items)


class View:
    """The tests' own view of the mesh, to compare before and after."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh

    def stopped(self, pod: str) -> int:
        """Return how many listeners a pod's Envoy has stopped."""
        enter = ("-n", self._mesh.namespace, "exec", pod, "-c", "istio-proxy", "--")
        text = self._mesh.kubectl(*enter, "pilot-agent", "request", "GET", "stats?filter=listener_stopped")
        return int(text.split(": ")[1])

    def timers(self, pod: str) -> int:
        """Return how many dead-man's switches run in a pod."""
        enter = ("-n", self._mesh.namespace, "exec", pod, "-c", "istio-proxy", "--")
        script = "for each in /proc/[0-9]*; do tr '\\0' ' ' <$each/cmdline 2>/dev/null; echo; done"
        lines = self._mesh.kubectl(*enter, "sh", "-c", script).splitlines()
        return sum(" meshops-drill " in line and line.endswith("quitquitquit ") for line in lines)

    def state(self) -> Json:
        """Return everything of the namespace that a drill has to put back, without what a restart changes."""
        kinds = "pods,services,endpointslices,deployments,destinationrules,virtualservices"
        by_name = {}
        for item in self._mesh.get(kinds)["items"]:
            metadata = item["metadata"]
            state: Json = {"uid": metadata["uid"], "labels": metadata.get("labels"), "spec": item.get("spec")}
            if item["kind"] == "Pod":
                status = item["status"]
                state["ready"] = [
                    condition["status"] for condition in status["conditions"] if condition["type"] == "Ready"
                ]
                state["address"] = status["podIP"]
                states = status["containerStatuses"]
                state["restarts"] = {s["name"]: s["restartCount"] for s in states if s["name"] != "istio-proxy"}
            if item["kind"] == "EndpointSlice":
                state["endpoints"] = sorted(
                    (endpoint["addresses"][0], endpoint["conditions"]["ready"]) for endpoint in item["endpoints"] or ()
                )
            by_name[f"{item['kind']}/{metadata['name']}"] = state
        return by_name

    def equals(self, before: Json, seconds: float = 60) -> None:
        """Wait until the namespace is as before; fail with what is not."""
        until = time.monotonic() + seconds
        while (now := self.state()) != before and time.monotonic() < until:
            time.sleep(0.5)
        different = {name: (before.get(name), now.get(name)) for name in {*before, *now}}
        assert {name: pair for name, pair in different.items() if pair[0] != pair[1]} == {}

    def journals(self, state: str = "open") -> list[Json]:
        """Return the journals as the cluster has them."""
        return t.cast("list[Json]", self._mesh.get("configmaps", "-l", f"meshops.locality/drill={state}")["items"])


@pytest.fixture
def view(mesh: Mesh) -> View:
    """The tests' own view of the mesh."""
    return View(mesh)
