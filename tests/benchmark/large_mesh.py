# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules cost on a large mesh, as ratios to what a user would do without them, in turns.

`python -m tests.benchmark.large_mesh [--nodes 1000] [--clients 13] [--rounds 5] [endpoints] [service] [labels]` scales
a sandbox (KWOK) and runs there

- endpoints: endpoints_info about everything that all clients have, and `istioctl proxy-config endpoints` for one client
  after the other;
- service: the same for one Service;
- labels: node_topology for new subzones of all nodes as a playbook, with Ansible's start, and the same patches sent by
  32 threads that do nothing else.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import click
import yaml

from tests.benchmark.snapshot import COLLECTIONS, SANDBOX, sandbox, scaled
from tests.benchmark.turns import Cost, in_turns, measure, summary
from tests.integration.mesh import CLIENT, deployment, pod_template

BIN = SANDBOX.parent
NAMESPACE = "benchmark-clients"
MODULE = "ansible_collections.meshops.locality.plugins.modules.endpoints_info"
MEASURED = ("endpoints", "service", "labels")
#: Sends the patches in its arguments: a kubeconfig, and JSON of node → subzone.
PATCHES = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from kubernetes import client, config
config.load_kube_config(sys.argv[1])
configuration = client.Configuration.get_default_copy()
configuration.connection_pool_maxsize = 32
api = client.CoreV1Api(client.ApiClient(configuration))
def patch(node):
    body = {"metadata": {"labels": {"topology.istio.io/subzone": node[1]}}}
    api.patch_node(node[0], body, _content_type="application/merge-patch+json", _preload_content=False)
with ThreadPoolExecutor(32) as pool:
    list(pool.map(patch, json.load(open(sys.argv[2])).items()))
"""


class Sandbox(t.NamedTuple):
    """A sandbox, the programs that go with it, and a folder for files of the runs."""

    kubeconfig: str
    kubectl: str
    istioctl: str
    folder: Path

    def run(self, *arguments: str, given: t.Any = None) -> str:
        """Run kubectl; return what it prints."""
        command = [self.kubectl, "--kubeconfig", self.kubeconfig, *arguments]
        text = None if given is None else json.dumps(given)
        return subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True).stdout


def programs(name: str, kubeconfig: str, folder: Path) -> Sandbox:
    """Return the sandbox with its kubectl and istioctl: through meshops-sandbox, Python's start would be measured."""
    exports = dict(word.split("=", 1) for word in shlex.split(sandbox("env", "--name", name)) if "=" in word)
    kubectl, istioctl = (shutil.which(program, path=exports["PATH"]) for program in ("kubectl", "istioctl"))
    if kubectl is None or istioctl is None:
        raise click.ClickException(f"the sandbox {name} has no kubectl or no istioctl")
    return Sandbox(kubeconfig, kubectl, istioctl, folder)


def start_clients(mesh: Sandbox, count: int) -> list[str]:
    """Start so many pods with a sidecar; return their names."""
    labels = {"name": NAMESPACE, "labels": {"istio-injection": "enabled"}}
    mesh.run("apply", "-f", "-", given={"apiVersion": "v1", "kind": "Namespace", "metadata": labels})
    clients = deployment("sleep", {"app": "sleep"}, pod_template({"app": "sleep"}, CLIENT))
    clients["spec"]["replicas"] = count
    mesh.run("-n", NAMESPACE, "apply", "-f", "-", given=clients)
    mesh.run("-n", NAMESPACE, "rollout", "status", "deployment/sleep", "--timeout=300s")
    pods = json.loads(mesh.run("-n", NAMESPACE, "get", "pods", "-l", "app=sleep", "-o", "json"))["items"]
    return [pod["metadata"]["name"] for pod in pods]


def endpoints(mesh: Sandbox, pods: t.Sequence[str], host: str = "") -> list[t.Callable[[], Cost]]:
    """Return two runs: istioctl for one client after the other, and the module for all of them."""
    wanted = f" --cluster 'outbound|80||{host}'" if host else ""
    asking = f"{mesh.istioctl} --kubeconfig {mesh.kubeconfig} proxy-config endpoints -n {NAMESPACE} -o json{wanted}"
    base = ["/bin/sh", "-ec", "; ".join(f"{asking} {pod}" for pod in pods)]
    given = {"kubeconfig": mesh.kubeconfig, "namespace": NAMESPACE, "label_selector": "app=sleep"}
    given |= {"service_host": host} if host else {"path": str(mesh.folder / "endpoints.jsonl")}
    arguments = mesh.folder / f"endpoints-{host}.json"
    arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {**given, "_ansible_remote_tmp": str(mesh.folder)}}))
    other = [sys.executable, "-m", MODULE, str(arguments)]
    return [lambda: measure(base), lambda: measure(other, {"PYTHONPATH": str(COLLECTIONS)})]


def labels(mesh: Sandbox, nodes: t.Sequence[str]) -> list[t.Callable[[], Cost]]:
    """Return two runs, each of which gives every node a subzone that it has not."""
    turn = iter(range(1_000_000))
    play = mesh.folder / "labels.yml"
    task = {"meshops.locality.node_topology": {"kubeconfig": mesh.kubeconfig, "nodes": "{{ wanted }}"}}
    play.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    given, program = mesh.folder / "wanted.json", mesh.folder / "patches.py"
    program.write_text(PATCHES)

    def raw() -> Cost:
        given.write_text(json.dumps(dict.fromkeys(nodes, f"raw-{next(turn)}")))
        return measure([sys.executable, str(program), mesh.kubeconfig, str(given)])

    def module() -> Cost:
        wanted = {node: {"subzone": f"module-{number}"} for number in [next(turn)] for node in nodes}
        given.write_text(json.dumps({"wanted": wanted}))
        environment = {"ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_LOCALHOST_WARNING": "False"}
        return measure([str(BIN / "ansible-playbook"), str(play), "-e", f"@{given}"], environment)

    return [raw, module]


@click.command(context_settings={"show_default": True})
@click.option("--name", default="benchmark", help="Sandbox; taken down afterwards when it was not running before.")
@click.option("--nodes", default=1000, help="Fake nodes.")
@click.option("--pods", default=5000, help="Fake pods.")
@click.option("--services", default=200, help="Services of the fake pods.")
@click.option("--clients", default=13, help="Real pods with a sidecar.")
@click.option("--rounds", default=5, type=click.IntRange(min=1), help="Rounds that count.")
@click.option("--keep", is_flag=True, help="Leave the sandbox as it is.")
@click.argument("measured", nargs=-1, type=click.Choice(MEASURED))
def main(
    name: str,
    nodes: int,
    pods: int,
    services: int,
    clients: int,
    rounds: int,
    keep: bool,
    measured: tuple[str, ...],
) -> None:
    """Compare modules on a scaled sandbox with istioctl and plain patches, in turns."""
    with (
        scaled(name, nodes, pods, services, keep) as kubeconfig,
        tempfile.TemporaryDirectory(prefix="large-mesh-benchmark-") as folder,
    ):
        mesh = programs(name, kubeconfig, Path(folder))
        for what in measured or MEASURED:
            _measure(mesh, what, clients, rounds)


def _measure(mesh: Sandbox, what: str, clients: int, rounds: int) -> None:
    if what == "labels":
        names = mesh.run("get", "nodes", "-l", "type=kwok", "-o", "jsonpath={.items[*].metadata.name}").split()
        about, runs = f"{len(names)} nodes", labels(mesh, names)
    else:
        listed = mesh.run("get", "services", "-A", "-o", "json") if what == "service" else ""
        fake = [item["metadata"] for item in json.loads(listed)["items"]] if listed else []
        hosts = [
            f"{item['name']}.{item['namespace']}.svc.cluster.local"
            for item in fake
            if item["namespace"].startswith("fake-")
        ]
        started = start_clients(mesh, clients)
        about, runs = f"{len(started)} clients", endpoints(mesh, started, hosts[0] if what == "service" else "")

    def show(number: int, costs: tuple[Cost, ...]) -> None:
        shown = ", ".join(f"{cost.seconds:.1f} s {cost.memory / 1e6:.0f} MB" for cost in costs)
        click.echo(f"{what}, round {number}: {shown}", err=True)

    rows = summary(in_turns(runs, rounds, show))
    click.echo(f"{what}, {about}; medians of {rounds} rounds: without, with, ratio, lowest–highest")
    for key, unit, by in (("seconds", "s", 1.0), ("cpu", "s cpu", 1.0), ("memory", "MB", 1e6)):
        row = rows[key]
        values = f"{row['base'] / by:12.1f}{row['other'] / by:12.1f}{row['ratio']:8.2f}"
        click.echo(f"{unit:8}{values}  {row['lowest']:.2f}–{row['highest']:.2f}")


if __name__ == "__main__":
    main()
