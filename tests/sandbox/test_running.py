# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One small running sandbox: what it says of itself, what it hands out, and how it heals."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
import typing as t
import uuid
from pathlib import Path

import psutil
import pytest
import yaml

from meshops_sandbox import cgroups
from meshops_sandbox.layout import RUN_ROOT
from meshops_sandbox.topology import DEFAULT_TOPOLOGY
from tests.sandbox.conftest import SMALL, Command

TOPOLOGY_LABELS = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone")


def until(condition: t.Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.3)


def kubectl(sandbox: Command, name: str, *arguments: str) -> t.Any:
    return json.loads(sandbox.works("kubectl", "--name", name, *arguments, "-o", "json"))


def process(name: str, program: str) -> int:
    for pid in sorted(cgroups.processes(f"meshops-sandbox/{name}")):
        with contextlib.suppress(psutil.Error):
            if re.match(f"{program} .*/{name}(/|$)", " ".join(psutil.Process(pid).cmdline())):
                return pid
    return 0


def containers(name: str) -> set[int]:
    """Processes in pods, not the daemons. There are some: istiod and CoreDNS."""
    pids = cgroups.processes(f"meshops-sandbox/{name}/nodes")
    programs = {Path(os.readlink(f"/proc/{pid}/exe")).name for pid in pids}
    assert {"pilot-discovery", "coredns"} <= programs, f"the pods of {name} are not in its cgroup: {programs}"
    return pids


def test_status(sandbox: Command, small: str) -> None:
    status = sandbox.status(small)
    assert status["state"] == "running"
    assert status["nodes"] == {"control-plane": True, "east": True, "west": True}
    assert status["istiod"] is True
    assert set(status["processes"].values()) == {"RUNNING"}
    assert status["memory_bytes"] < 4 * 1024**3
    assert {"API server", "nodes ready", "Istio installed, istiod ready"} <= set(status["times"])
    assert sandbox("status", "--name", small).returncode == 0


def test_the_tutorials_five_nodes_fit_a_small_machine(sandbox: Command, tell: t.Callable[[str], None]) -> None:
    name = f"t-{uuid.uuid4().hex[:6]}"
    try:
        sandbox.works("up", "--name", name)
        status = sandbox.status(name)
    finally:
        sandbox("down", "--name", name)
    assert status["state"] == "running"
    assert status["nodes"] == dict.fromkeys(("control-plane", "beijing", "tianjin", "shenyang", "guangzhou"), True)
    assert status["ready_after"] >= max(status["times"].values()) > 0
    assert 0 < status["memory_bytes"] < 4 * 1024**3
    tell(f"five nodes ready after {status['ready_after']} s, {status['memory_bytes'] / 1024**2:.0f} MiB")


def test_the_nodes_carry_no_topology_labels(sandbox: Command, small: str) -> None:
    for node in kubectl(sandbox, small, "get", "nodes")["items"]:
        assert not set(TOPOLOGY_LABELS) & set(node["metadata"]["labels"]), node["metadata"]["name"]
        taints = [taint["key"] for taint in node["spec"].get("taints", [])]
        expected = ["node-role.kubernetes.io/control-plane"] if node["metadata"]["name"] == "control-plane" else []
        assert taints == expected


def test_a_second_up_does_nothing(sandbox: Command, small: str, tell: t.Callable[[str], None]) -> None:
    everything = cgroups.processes(f"meshops-sandbox/{small}")
    before = sandbox.status(small)["times"], containers(small)
    times = []
    for _ in range(3):
        begun = time.monotonic()
        done = sandbox("up", "--name", small, "--topology", str(SMALL))
        times.append(time.monotonic() - begun)
        assert done.returncode == 0
        assert "is up already" in done.stderr
    assert (sandbox.status(small)["times"], containers(small)) == before
    assert cgroups.processes(f"meshops-sandbox/{small}") == everything
    tell(f"up of a running sandbox took {min(times):.1f} s")


def test_another_topology_or_istio_is_refused(sandbox: Command, small: str) -> None:
    done = sandbox("up", "--name", small, "--topology", str(DEFAULT_TOPOLOGY), "--istio", "1.30")
    assert done.returncode == 3
    assert "is running with another topology and another Istio line (it has 1.31)" in done.stderr
    assert f"meshops-sandbox down --name {small}" in done.stderr


def test_up_tells_that_it_was_made_from_other_builds(sandbox: Command, small: str) -> None:
    file = Path(sandbox.environment["MESHOPS_SANDBOX_STATE"]) / small / "sandbox.json"
    text = file.read_text()
    try:
        file.write_text(text.replace('"istio_version": "', '"istio_version": "0.'))
        said = sandbox("up", "--name", small).stderr
    finally:
        file.write_text(text)
    assert f"`meshops-sandbox reset --name {small}` takes these" in said
    assert "is up already" in said
    assert "other builds" not in sandbox("up", "--name", small).stderr


def test_inventory(sandbox: Command, small: str) -> None:
    host = yaml.safe_load(sandbox.works("inventory", "--name", small))["sandboxes"]["hosts"][small]
    assert host == {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "kubeconfig": sandbox.works("kubeconfig", "--name", small).strip(),
        "node_topology_nodes": {
            "east": {"region": "region-1", "zone": "zone-1", "subzone": "east"},
            "west": {"region": "region-2", "zone": "zone-2", "subzone": "west"},
        },
        "node_topology_notify_all_namespaces": True,
    }
    assert json.loads(sandbox.works("topology", "--name", small, "--json")) == host["node_topology_nodes"]


def test_kubeconfig_and_env_work_with_plain_tools(sandbox: Command, small: str) -> None:
    lines = sandbox.works("env", "--name", small)
    script = f"{lines}\nkubectl config current-context; istioctl version --short; echo $K8S_AUTH_KUBECONFIG"
    context, *_, path = subprocess.run(
        ["sh", "-euc", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert context == f"meshops-{small}"
    assert path == sandbox.works("kubeconfig", "--name", small).strip()
    assert Path(path).stat().st_mode & 0o077 == 0


def test_shell_is_on_the_node(sandbox: Command, small: str) -> None:
    out = sandbox.works(
        "shell", "--name", small, "east", "--", "sh", "-c", "hostname -I; ctr containers list -q | wc -l"
    )
    status = sandbox.status(small)
    first_three = ".".join(status["network"].split(".")[:2]) + ".0."
    assert out.split()[0].startswith(first_three)
    wrong = sandbox("shell", "--name", small, "nowhere")
    assert wrong.returncode == 1
    assert "has no node 'nowhere'" in wrong.stderr
    assert "control-plane, east, west" in wrong.stderr


def test_logs(sandbox: Command, small: str) -> None:
    out = sandbox.works("logs", "--name", small, "--lines", "2", "kubelet-east", "kube-apiserver")
    assert {line.split(":")[0] for line in out.splitlines()} == {"kubelet-east", "kube-apiserver"}
    wrong = sandbox("logs", "--name", small, "kubelet-nowhere")
    assert "There is no log of kubelet-nowhere" in wrong.stderr
    assert "kubelet-east" in wrong.stderr


def test_pods_run_are_injected_and_find_each_other(sandbox: Command, small: str) -> None:
    """The whole way: webhook, injection, istio-init's iptables, DNS, mTLS between two nodes, exec and logs through
    the API server."""
    sandbox.works("kubectl", "--name", small, "create", "namespace", "reach")
    sandbox.works("kubectl", "--name", small, "label", "namespace", "reach", "istio-injection=enabled")
    for node, image, command in (
        ("east", "docker.io/curlimages/curl:latest", ["sleep", "infinity"]),
        ("west", "docker.io/istio/examples-helloworld-v1:latest", []),
    ):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": node, "namespace": "reach", "labels": {"app": node}},
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": node},
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {
                        "name": "app",
                        "image": image,
                        "imagePullPolicy": "Never",
                        **({"command": command} if command else {}),
                    }
                ],
            },
        }
        subprocess.run(
            sandbox.line("kubectl", "--name", small, "create", "-f", "-"),
            input=json.dumps(pod),
            env=sandbox.environment,
            text=True,
            check=True,
            capture_output=True,
        )
    sandbox.works(
        "kubectl", "--name", small, "-n", "reach", "expose", "pod", "west", "--port", "5000", "--name", "http-west"
    )
    sandbox.works(
        "kubectl", "--name", small, "-n", "reach", "wait", "pod", "--all", "--for=condition=Ready", "--timeout=60s"
    )
    for pod in kubectl(sandbox, small, "-n", "reach", "get", "pods")["items"]:
        assert "istio-proxy" in [each["name"] for each in pod["spec"]["initContainers"]]
    out = ""

    def answered() -> bool:
        nonlocal out
        out = sandbox(
            "kubectl",
            "--name",
            small,
            "-n",
            "reach",
            "exec",
            "east",
            "-c",
            "app",
            "--",
            "curl",
            "-s",
            "http://http-west:5000/hello",
        ).stdout
        return out.startswith("Hello version:")

    until(answered, 20)
    assert "instance: west" in out
    sandbox.works("kubectl", "--name", small, "-n", "reach", "logs", "west", "-c", "istio-proxy", "--tail=1")


def answers(sandbox: Command, name: str, node: str) -> bool:
    """Whether the kubelet of a node accepts a connection; silence is no answer, and anything else fails the test."""
    (address,) = (
        each["address"]
        for each in kubectl(sandbox, name, "get", "node", node)["status"]["addresses"]
        if each["type"] == "InternalIP"
    )
    try:
        socket.create_connection((address, 10250), timeout=2).close()
    except TimeoutError:
        return False
    return True


def test_a_stopped_node_is_silent_and_comes_back(sandbox: Command, small: str) -> None:
    """Nobody is told, neither by a reset nor by "unreachable". What has an end comes back although nobody asks."""
    here = ("--name", small)
    assert answers(sandbox, small, "east")
    stop = json.dumps({"by": "a test", "seconds": 5})
    sandbox.works("kubectl", *here, "annotate", "node", "east", f"meshops.locality/node-stop={stop}")
    until(lambda: "east" in sandbox.status(small)["stopped"])
    victim = process(small, r"[^ ]*python[^ ]* -m meshops_sandbox.node_agent")
    assert victim
    os.kill(victim, signal.SIGKILL)
    sandbox.works("node", "stop", *here, "west")
    assert not answers(sandbox, small, "west")
    assert sandbox.status(small)["stopped"]["west"] == "meshops-sandbox node stop"
    assert sandbox.status(small)["state"] == "running"
    assert "is stopped already" in sandbox("node", "stop", *here, "west").stderr
    assert "west is stopped by meshops-sandbox node stop, and stays so" in sandbox("up", *here).stderr
    until(lambda: "east" not in sandbox.status(small)["stopped"])
    assert answers(sandbox, small, "east")
    assert "meshops.locality/node-stop" not in kubectl(sandbox, small, "get", "node", "east")["metadata"]["annotations"]
    sandbox.works("node", "start", *here, "west")
    assert answers(sandbox, small, "west")
    status = sandbox.status(small)
    assert (status["stopped"], status["nodes"]) == ({}, {"control-plane": True, "east": True, "west": True})
    assert "is not stopped" in sandbox("node", "start", *here, "west").stderr


def test_nodes_that_cannot_be_stopped(sandbox: Command, small: str) -> None:
    for node, why in (("control-plane", "is the control plane"), ("nowhere", "has no node 'nowhere'")):
        done = sandbox("node", "stop", "--name", small, node)
        assert (done.returncode, why in done.stderr) == (1, True), done.stderr


@pytest.mark.soak
def test_a_stopped_node_is_lost_for_kubernetes(sandbox: Command, small: str) -> None:
    """The node is not Ready any more when its kubelet was silent for 50 s, nor are its pods, nor is their endpoint."""
    here = ("--name", small)
    image = ("--image=docker.io/curlimages/curl:latest", "--image-pull-policy=Never", "--port=80")
    where = json.dumps({"spec": {"nodeSelector": {"kubernetes.io/hostname": "west"}}})
    command = ("--command", "--", "sleep", "infinity")
    sandbox.works("kubectl", *here, "run", "lost", *image, f"--overrides={where}", "--expose", *command)
    sandbox.works("kubectl", *here, "wait", "pod/lost", "--for=condition=Ready", "--timeout=60s")

    def endpoint_is_ready() -> bool:
        slices = kubectl(sandbox, small, "get", "endpointslices", "-l", "kubernetes.io/service-name=lost")["items"]
        (endpoint,) = (endpoint for each in slices for endpoint in each["endpoints"] or ())
        return bool(endpoint["conditions"]["ready"])

    until(endpoint_is_ready)
    sandbox.works("node", "stop", *here, "west")
    assert sandbox.status(small)["nodes"]["west"] is True
    until(lambda: not sandbox.status(small)["nodes"]["west"], 120)
    until(lambda: not endpoint_is_ready())
    sandbox.works("node", "start", *here, "west")
    assert sandbox.status(small)["nodes"]["west"] is True
    until(endpoint_is_ready)
    sandbox.works("kubectl", *here, "delete", "pod,service", "lost", "--now")


@pytest.mark.parametrize("program", ["kubelet", "containerd"])
def test_a_killed_daemon_comes_back_and_containers_stay(sandbox: Command, small: str, program: str) -> None:
    before = containers(small)
    pattern = r"[^ ]*/kubelet" if program == "kubelet" else r"[^ ]*containerd -c"
    victim = process(small, pattern)
    assert victim
    os.kill(victim, signal.SIGKILL)
    until(lambda: process(small, pattern) not in (0, victim))
    until(lambda: set(sandbox.status(small)["processes"].values()) == {"RUNNING"})
    assert containers(small) >= before
    sandbox.works("kubectl", "--name", small, "wait", "nodes", "--all", "--for=condition=Ready", "--timeout=30s")


def test_a_killed_supervisor_is_replaced_by_up_and_containers_stay(sandbox: Command, small: str) -> None:
    before = containers(small)
    os.kill(int((RUN_ROOT / small / "supervisord.pid").read_text()), signal.SIGKILL)
    until(lambda: sandbox.status(small)["state"] == "broken")
    assert "supervisord does not run" in sandbox.status(small)["problems"]
    done = sandbox("up", "--name", small)
    assert done.returncode == 0, done.stderr
    assert "supervisord was gone" in done.stderr
    assert sandbox.status(small)["state"] == "running"
    assert containers(small) >= before
