# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks as whole processes, in turns with an empty play: what a person at a terminal or a CI job waits for.

`python -m tests.benchmark.playbooks` needs no cluster. The mesh is that of plan.py: 5,000 endpoints, 200 Services, each
with a rule, and 1,000 clients; for lint it is small, and in 30 files.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import typing as t
from pathlib import Path

import click
import yaml

from tests.benchmark.meshes import mesh
from tests.benchmark.turns import Cost, in_turns, measure, summary

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / ".work" / "collections"
PLAYBOOK = str(Path(sys.executable).parent / "ansible-playbook")
EMPTY = "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug:\n"
#: Row → what the ratio to an empty play may be; goals of 4 s are 3.6 times the 1.1 s that an empty play took.
GOALS = {"lint of 30 files": 1.6, "plan": 3.6, "forecast": 3.6, "lint": 3.6}


def write_meshes(folder: Path) -> tuple[Path, Path]:
    """Write (a folder with 30 small files, a file with 5,000 pods) and return their paths."""
    small = mesh(services=24, endpoints=96, clients=12, nodes=36)["objects"]
    files = folder / "files"
    files.mkdir()
    for number in range(30):
        own = small[number::30]
        (files / f"part-{number}.yaml").write_text(yaml.safe_dump_all(own), encoding="utf-8")
    large = folder / "large.json"
    large.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": mesh()["objects"]}), encoding="utf-8")
    return files, large


def commands(folder: Path) -> dict[str, list[str]]:
    """Return the commands by row; the first is the empty play."""
    files, large = write_meshes(folder)
    empty = folder / "empty.yml"
    empty.write_text(EMPTY, encoding="utf-8")
    snapshot = folder / "snapshot.json"
    save = {"live": False, "manifests": [str(large)], "path": str(snapshot), "return_snapshot": False}
    play: list[t.Any] = [
        {"hosts": "localhost", "gather_facts": False, "tasks": [{"meshops.locality.topology_info": save}]}
    ]
    (folder / "save.yml").write_text(yaml.safe_dump(play), encoding="utf-8")
    measure([PLAYBOOK, str(folder / "save.yml")], environment(folder))

    def asked(name: str, **variables: t.Any) -> list[str]:
        options = {f"{name}_{key}": value for key, value in variables.items()}
        return [PLAYBOOK, f"meshops.locality.{name}", "-e", json.dumps(options)]

    return {
        "empty play": [PLAYBOOK, str(empty)],
        "lint of 30 files": asked("lint", manifests=str(files), fail_on="never"),
        "plan": asked("plan", snapshot=str(snapshot)),
        "forecast": asked("forecast", snapshot=str(snapshot)),
        "lint": asked("lint", snapshot=str(snapshot), fail_on="never"),
    }


def environment(folder: Path) -> dict[str, str]:
    """Return what is set for the plays: a home and compiled files of their own, and where collections are."""
    unset = {name: "" for name in os.environ if name.startswith("ANSIBLE_")}
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    return {**unset, **compiled, "HOME": str(folder), "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)}


@click.command(context_settings={"show_default": True})
@click.option("--rounds", default=5, type=click.IntRange(min=1), help="Rounds that count.")
@click.option("--row", "rows", multiple=True, type=click.Choice(list(GOALS)), help="Only these rows.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def main(rounds: int, rows: tuple[str, ...], as_json: bool) -> None:
    """Compare playbooks with an empty play, in turns."""
    with tempfile.TemporaryDirectory(prefix="playbook-benchmark-") as folder:
        wanted = {
            name: command
            for name, command in commands(Path(folder)).items()
            if name == "empty play" or not rows or name in rows
        }
        given = environment(Path(folder))

        def run(command: list[str]) -> t.Callable[[], Cost]:
            return lambda: measure(command, given)

        def show_costs(number: int, costs: tuple[Cost, ...]) -> None:
            shown = ", ".join(f"{name} {cost.seconds:.1f} s" for name, cost in zip(wanted, costs, strict=True))
            click.echo(f"round {number}: {shown}; load {os.getloadavg()[0]:.0f}", err=True)

        rounds_shown = in_turns([run(command) for command in wanted.values()], rounds, show_costs)
    ratios = {name: summary(rounds_shown, index) for index, name in enumerate(wanted) if index}
    if as_json:
        click.echo(json.dumps(ratios, indent=1))
        return
    click.echo(f"{'':18}{'empty play':>16}{'playbook':>16}{'ratio':>8}{'of cpu':>8}{'goal':>6}  memory")
    for name, row in ratios.items():
        seconds, cpu, memory = row["seconds"], row["cpu"], row["memory"]
        click.echo(
            f"{name:18}{seconds['base']:14.1f} s{seconds['other']:14.1f} s{seconds['ratio']:8.2f}{cpu['ratio']:8.2f}"
            f"{GOALS[name]:6.1f}  {memory['other'] / 1e6:.0f} MB"
        )


if __name__ == "__main__":
    main()
