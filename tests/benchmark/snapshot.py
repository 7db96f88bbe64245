# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long and with how much memory a snapshot of a large mesh is taken, as a ratio to kubectl.

`python -m tests.benchmark.snapshot [--nodes 1000] [--rounds 7] [-- COMMAND …]` scales a sandbox (KWOK) and runs kubectl
and COMMAND (default: topology_info; `{kubeconfig}` in it is replaced) in turns on it. Both run in the same minutes, so
their ratio says something on any machine, however busy; seconds do not.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import click

from tests.benchmark.turns import Cost, in_turns, measure, summary

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / ".work" / "collections"
SANDBOX = Path(sys.executable).parent / "meshops-sandbox"
KINDS = "nodes,namespaces,pods,services,endpointslices"
MODULE = "ansible_collections.meshops.locality.plugins.modules.topology_info"


def sandbox(*arguments: str) -> str:
    """Return what `meshops-sandbox …` prints; its progress goes to the terminal."""
    done = subprocess.run([str(SANDBOX), *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"meshops-sandbox {' '.join(arguments)} ended with {done.returncode}")
    return done.stdout.strip()


@contextlib.contextmanager
def scaled(name: str, nodes: int, pods: int, services: int, keep: bool) -> t.Iterator[str]:
    """Yield the kubeconfig of a sandbox with so many fake objects; one that was not running is taken down again."""
    known = {line.split()[0]: line.split()[1] for line in sandbox("list").splitlines()}
    try:
        if known.get(name) != "running":
            sandbox("up", "--name", name)
        sandbox("scale", "--name", name, f"--nodes={nodes}", f"--pods={pods}", f"--services={services}")
        yield sandbox("kubeconfig", "--name", name)
    finally:
        if not keep and known.get(name) != "running":
            sandbox("down", "--name", name)


def kubectl(name: str) -> str:
    """Return the path of the sandbox's kubectl: started through meshops-sandbox, Python's start would be measured."""
    exports = dict(word.split("=", 1) for word in shlex.split(sandbox("env", "--name", name)) if "=" in word)
    binary = shutil.which("kubectl", path=exports["PATH"])
    if binary is None:
        raise click.ClickException(f"the sandbox {name} has no kubectl")
    return binary


def topology_info(kubeconfig: str, folder: Path) -> list[str]:
    """Return the command that runs the module as Ansible does, without Ansible's own start."""
    arguments = folder / "arguments.json"
    given = {"kubeconfig": kubeconfig, "all_namespaces": True, "return_snapshot": False}
    given["path"] = str(folder / "snapshot.json")
    arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {**given, "_ansible_remote_tmp": str(folder)}}))
    return [sys.executable, "-m", MODULE, str(arguments)]


@click.command(context_settings={"show_default": True})
@click.option("--name", default="benchmark", help="Sandbox; taken down afterwards when it was not running before.")
@click.option("--nodes", default=1000, help="Fake nodes.")
@click.option("--pods", default=5000, help="Fake pods.")
@click.option("--services", default=200, help="Services of the fake pods.")
@click.option("--rounds", default=7, type=click.IntRange(min=5), help="Rounds that count.")
@click.option("--keep", is_flag=True, help="Leave the sandbox as it is.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.argument("command", nargs=-1)
def main(
    name: str, nodes: int, pods: int, services: int, rounds: int, keep: bool, as_json: bool, command: tuple[str, ...]
) -> None:
    """Compare a snapshot of a scaled sandbox with kubectl, in turns."""
    with scaled(name, nodes, pods, services, keep) as kubeconfig:
        pairs = _compare(name, kubeconfig, rounds, command)
    summaries = summary(pairs)
    if as_json:
        click.echo(json.dumps(summaries, indent=1))
        return
    click.echo(f"{nodes} nodes, {pods} pods, {services} services; medians of {rounds} rounds")
    click.echo(f"{'':12}{'kubectl':>12}{'snapshot':>12}{'ratio':>8}  lowest–highest")
    for what, unit in (("seconds", "s"), ("cpu", "s cpu"), ("memory", "MB")):
        row = summaries[what]
        shown = [f"{row[side] / (1e6 if unit == 'MB' else 1):.1f}" for side in ("base", "other")]
        click.echo(
            f"{unit:12}{shown[0]:>12}{shown[1]:>12}{row['ratio']:>8.2f}  {row['lowest']:.2f}–{row['highest']:.2f}"
        )


def _compare(name: str, kubeconfig: str, rounds: int, command: tuple[str, ...]) -> list[tuple[Cost, ...]]:
    base = [kubectl(name), "--kubeconfig", kubeconfig, "get", KINDS, "-A", "-o", "json"]
    with tempfile.TemporaryDirectory(prefix="snapshot-benchmark-") as folder:
        other = [word.replace("{kubeconfig}", kubeconfig) for word in command]
        other = other or topology_info(kubeconfig, Path(folder))
        environment = {"PYTHONPATH": str(COLLECTIONS), "K8S_AUTH_KUBECONFIG": kubeconfig, "KUBECONFIG": kubeconfig}

        def show_costs(number: int, costs: tuple[Cost, ...]) -> None:
            first, second = costs
            click.echo(
                f"round {number}: kubectl {first.seconds:.1f} s {first.memory / 1e6:.0f} MB, "
                f"snapshot {second.seconds:.1f} s {second.memory / 1e6:.0f} MB",
                err=True,
            )

        return in_turns([lambda: measure(base), lambda: measure(other, environment)], rounds, show_costs)


if __name__ == "__main__":
    main()
