# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many clients one drill can let ask at once, and what of a core that costs the drill itself.

`python -m tests.benchmark.drill_clients [--clients 50] [--rate 10] [--seconds 10] [--pods 5]` starts the drill's own
clients (`ClientProbe`, a session each) in pods of a sandbox, and counts how many of the requests that were due were
answered and how late they were sent. Clients, Envoys and API server share the machine with the drill here; in a real
cluster they do not. So what the drill's own process needs is told apart: CPU time for each request.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import typing as t
import uuid
from pathlib import Path

import click

from tests.integration.mesh import CLIENT, SERVER, deployment, pod_template

SANDBOX = Path(sys.executable).parent / "meshops-sandbox"
Json = dict[str, t.Any]


def kubectl(name: str, *arguments: str, given: t.Any = None) -> str:
    """Run the sandbox's kubectl; return what it prints."""
    done = subprocess.run(
        [str(SANDBOX), "kubectl", "--name", name, "--", *arguments],
        input=json.dumps(given) if given is not None else None,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def build(name: str, namespace: str, pods: int) -> None:
    """Make a server and so many client pods, and wait until they are ready."""
    labels = {"istio-injection": "enabled"}
    kubectl(name, "apply", "-f", "-", given={"apiVersion": "v1", "kind": "Namespace",
                                             "metadata": {"name": namespace, "labels": labels}})  # fmt: skip
    service = {"ports": [{"port": 5000, "name": "http"}], "selector": {"app": "helloworld"}}
    clients = deployment("sleep", {"app": "sleep"}, pod_template({"app": "sleep"}, CLIENT))
    clients["spec"]["replicas"] = pods
    items: list[Json] = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "helloworld"}, "spec": service},
        deployment("helloworld", {"app": "helloworld"}, pod_template({"app": "helloworld"}, SERVER)),
        clients,
    ]
    kubectl(name, "-n", namespace, "apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": items})
    kubectl(name, "-n", namespace, "wait", "deployment", "--all", "--for=condition=Available", "--timeout=300s")


def ask(kubeconfig: str, namespace: str, clients: int, rate: float, seconds: float) -> Json:
    """Let so many clients ask; return what was due, answered and late, and the CPU time of this process."""
    import kubernetes

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster
    from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_clients import ClientProbe, Request
    from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import read_proxies

    cluster = Cluster(kubernetes.config.new_client_from_config(kubeconfig), {})
    read = read_proxies(cluster, namespace, None, "app=sleep")
    proxies = [proxy for proxy in read if proxy.ready and not proxy.problem]
    if not proxies:
        why = (
            "; ".join(f"{proxy.where}: {proxy.problem or 'not ready'}" for proxy in read) or "there is no pod app=sleep"
        )
        raise click.ClickException(f"No client can ask: {why}. Nothing was measured.")
    request = Request("http://helloworld:5000/hello", rate, 5.0, None)
    zero = time.monotonic()
    probes = [
        ClientProbe(cluster, index, proxies[index % len(proxies)], "sleep", request, f"benchmark-{index}", zero)
        for index in range(clients)
    ]
    for probe in probes:
        probe.start()
        probe.ready.wait(120)
    begun, cpu = time.monotonic(), time.process_time()
    # As a drill does: clients that do not keep up are stopped, or their curls would pile up.
    while time.monotonic() < begun + seconds and not any(probe.stalled() for probe in probes):
        time.sleep(0.2)
    took, used = time.monotonic() - begun, time.process_time() - cpu
    in_time = sum(1 for probe in probes for sample in list(probe.samples) if begun <= sample.t + zero <= begun + took)
    late = sorted({why for probe in probes if (why := probe.stalled())})
    for probe in probes:
        probe.end(0)
    for probe in probes:
        probe.end(10)
    answered = [sample for probe in probes for sample in probe.samples]
    return {
        "due": round(clients * rate * took),
        "answered_in_time": in_time,
        "failed": sum(not answer.ok for answer in answered),
        "seconds": round(took, 1),
        "stopped": late,
        "cpu_ms_per_request": round(1000 * used / max(1, in_time), 2),
        "cores": round(used / max(took, 0.001), 2),
    }


@click.command(context_settings={"show_default": True})
@click.option("--name", default="default", help="A sandbox that runs.")
@click.option("--clients", default=50, help="Clients that ask at once.")
@click.option("--rate", default=10.0, help="Requests a second of each.")
@click.option("--seconds", default=10.0, help="How long.")
@click.option("--pods", default=5, help="Pods that the clients share.")
def main(name: str, clients: int, rate: float, seconds: float, pods: int) -> None:
    """Measure how many clients one drill can let ask at once."""
    import tests.conftest  # noqa: F401 # makes the collection importable

    kubeconfig = subprocess.run(
        [str(SANDBOX), "kubeconfig", "--name", name], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    namespace = f"benchmark-{uuid.uuid4().hex[:8]}"
    try:
        build(name, namespace, pods)
        result = ask(kubeconfig, namespace, clients, rate, seconds)
    finally:
        kubectl(name, "delete", "namespace", namespace, "--wait=false", "--ignore-not-found")
    click.echo(report(result, clients, rate))


def report(result: Json, clients: int, rate: float) -> str:
    """Return what `ask` measured as text. Raises ClickException when no request was answered in time: then nothing was
    measured."""
    behind = "; ".join(result["stopped"]) or "no client fell behind"
    if not result["due"] or not result["answered_in_time"]:
        raise click.ClickException(
            f"None of {result['due']} requests was answered within {result['seconds']} s: {behind}. "
            "Nothing was measured."
        )
    share = result["answered_in_time"] / result["due"]
    return (
        f"{clients} clients at {rate:g} a second: "
        f"{result['answered_in_time']} of {result['due']} requests, {share:.2f}\n"
        f"the drill's own process: {result['cpu_ms_per_request']} ms of CPU a request, {result['cores']} cores\n"
        f"{result['failed']} failed within {result['seconds']} s; {behind}"
    )


if __name__ == "__main__":
    main()
