# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much processor a plan and a resilience matrix take, as a ratio to istiod's own code, and how that grows.

`python -m tests.benchmark.plan [--rounds 7]` runs three programs in turns, each a fresh process on one core that reads
the same mesh from a file: the oracle of tests/differential (istiod's Go code, which computes the load assignments for
one client of each locality), the plan, and the plan with the matrix. Then it runs the last one on other meshes.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import tempfile
import typing as t
from pathlib import Path

import click

from meshops_sandbox.build import BuildError, PlainReport, ensure_oracle
from tests.benchmark import meshes
from tests.benchmark.turns import Cost, in_turns, measure, summary
from tests.benchmark.work_counts import Counted

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / ".work" / "collections"
ENVIRONMENT = {"PYTHONPATH": f"{COLLECTIONS}:{ROOT}"}
LOSSES = 48  # of a subzone, a zone or a region: 36 + 9 + 3

#: What the mesh is varied in: name → (argument of meshes.mesh, values). The first value is what the others are
#: compared with.
SCALES: t.Mapping[str, tuple[str, tuple[int, ...]]] = {
    "endpoints": ("endpoints", (5000, 10000, 20000)),
    "localities of clients": ("localities", (9, 18, 36)),
    "clients": ("clients", (1000, 4000)),
}


class Scaled(t.NamedTuple):
    """One value of a scale. `ratio`: the cost as a multiple of that of the first value, the median over the rounds."""

    value: int
    cpu: float
    ratio: float
    lowest: float
    highest: float


def one_of_each_locality(mesh: meshes.Json) -> meshes.Json:
    """Return the mesh as a question for the oracle: of all clients in one locality the first asks."""
    first: dict[tuple[str, str, str], meshes.Json] = {}
    for client in mesh["clients"]:
        node = int(client["metadata"]["NODE_NAME"].removeprefix("node-"))
        first.setdefault(meshes.place(node), client)
    return {**mesh, "id": "benchmark", "clients": list(first.values())}


def write(mesh: meshes.Json, path: Path) -> Path:
    """Write a mesh for both programs, one line of JSON."""
    path.write_text(json.dumps(one_of_each_locality(mesh)) + "\n")
    return path


def planned(mesh: Path, what: t.Literal["plan", "matrix"]) -> tuple[Cost, Counted]:
    """Run the plan, or plan and matrix, in a process of its own. Returns what the process cost, and what it counted."""
    with tempfile.TemporaryDirectory(prefix="plan-benchmark-") as folder:
        answer = Path(folder) / "answer.json"
        cost = measure(
            [sys.executable, "-m", "tests.benchmark.plan_process", what, str(mesh), str(answer)], ENVIRONMENT
        )
        return cost, Counted(**json.loads(answer.read_text()))


def scaled(values: t.Sequence[int], rounds: t.Sequence[tuple[Cost, ...]]) -> list[Scaled]:
    """Sum up what the runs with these values cost, as ratios to the first of the same round."""
    points = []
    for number, value in enumerate(values):
        summaries = summary(rounds, number)["cpu"]
        points.append(Scaled(value, summaries["other"], summaries["ratio"], summaries["lowest"], summaries["highest"]))
    return points


@contextlib.contextmanager
def one_core() -> t.Iterator[None]:
    """Keep this process and its children on one core."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@click.command(context_settings={"show_default": True})
@click.option("--rounds", default=7, type=click.IntRange(min=5), help="Rounds that count, in turns with istiod's code.")
@click.option("--scale-rounds", default=5, type=click.IntRange(min=3), help="Rounds that count, of the other meshes.")
@click.option("--line", default="1.31", help="Istio line of the oracle.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def main(rounds: int, scale_rounds: int, line: str, as_json: bool) -> None:
    """Compare plan and matrix with istiod's own code, in turns, and say how they grow."""
    try:
        program = ensure_oracle(line, report=PlainReport())
    except BuildError as error:
        raise click.ClickException(str(error)) from None
    with one_core(), tempfile.TemporaryDirectory(prefix="plan-benchmark-") as folder:
        ratios = compare(program, write(meshes.mesh(), Path(folder) / "mesh.json"), rounds)
        grows = {name: grow(name, scale_rounds, Path(folder)) for name in SCALES}
    if as_json:
        scales = {name: [value._asdict() for value in values] for name, values in grows.items()}
        click.echo(json.dumps({**ratios, "scales": scales}, indent=1))
        return
    click.echo("\n".join([*comparison(ratios, rounds), "", *growth(grows, scale_rounds)]))


def compare(program: Path, mesh: Path, rounds: int) -> dict[str, t.Any]:
    """Run the oracle, the plan, and the plan with the matrix in turns. Returns {"plan", "matrix"}: summaries with the
    oracle as base, and {"inside"}: the medians of what plan and matrix took without start, reading and snapshot."""
    inside: list[Counted] = []

    def istiod() -> Cost:
        return measure([str(program), "-workers", "1", "-log", "none"], {"GOMAXPROCS": "1"}, mesh)

    def plan() -> Cost:
        return planned(mesh, "plan")[0]

    def matrix() -> Cost:
        cost, counted = planned(mesh, "matrix")
        expected = (200 * meshes.PLACES, 200, LOSSES)
        if counted[:3] != expected:
            raise click.ClickException(f"assignments, rows, losses: {counted[:3]}, not {expected}")
        inside.append(counted)
        return cost

    def progress(number: int, costs: tuple[Cost, ...]) -> None:
        cpu = [f"{cost.cpu:.2f}" for cost in costs]
        click.echo(f"round {number}: istiod {cpu[0]} s, plan {cpu[1]} s, plan and matrix {cpu[2]} s", err=True)

    measured = in_turns([istiod, plan, matrix], rounds, progress)
    counted = inside[1:]  # as in_turns
    return {
        "plan": summary(measured, 1),
        "matrix": summary(measured, 2),
        "inside": {name: statistics.median([getattr(work, name) for work in counted]) for name in ("plan", "cpu")},
    }


def grow(name: str, rounds: int, folder: Path) -> list[Scaled]:
    """Compare what plan and matrix take (without start, reading and snapshot) on meshes that differ in one thing."""
    argument, values = SCALES[name]

    def run(value: int) -> t.Callable[[], Cost]:
        mesh = write(meshes.mesh(**{argument: value}), folder / f"{argument}-{value}.json")

        def measured() -> Cost:
            cost, counted = planned(mesh, "matrix")
            return Cost(cost.seconds, counted.cpu, cost.memory)

        return measured

    def progress(number: int, costs: tuple[Cost, ...]) -> None:
        listed = ", ".join(f"{value:,}: {cost.cpu:.2f} s" for value, cost in zip(values, costs, strict=True))
        click.echo(f"{name}, round {number}: {listed}", err=True)

    return scaled(values, in_turns([run(value) for value in values], rounds, progress))


def comparison(summaries: t.Mapping[str, t.Any], rounds: int) -> t.Iterator[str]:
    """Yield the lines of the comparison with istiod."""
    yield f"200 Services, 5,000 endpoints, 1,000 clients in 36 localities, {LOSSES} losses; medians of {rounds} rounds"
    yield f"{'whole process, one core':26}{'istiod':>10}{'ours':>10}{'ratio':>8}  lowest–highest"
    for name, title in (("plan", "plan"), ("matrix", "plan and matrix")):
        for what, unit, each in (("cpu", "s cpu", 1.0), ("memory", "MB", 1e6)):
            row = summaries[name][what]
            sides = "".join(f"{row[side] / each:>10.2f}" for side in ("base", "other"))
            limits = f"{row['lowest']:.2f}–{row['highest']:.2f}"
            yield f"{f'{title}, {unit}':26}{sides}{row['ratio']:>8.2f}  {limits}"
    inside = summaries["inside"]
    yield (
        "Without Python's start, reading the file and making the snapshot: "
        f"plan {inside['plan']:.2f} s, plan and matrix {inside['cpu']:.2f} s."
    )


def growth(grows: t.Mapping[str, t.Sequence[Scaled]], rounds: int) -> t.Iterator[str]:
    """Yield the lines of the scaling table."""
    yield f"Plan and matrix as the mesh grows in one thing, on one core; medians of {rounds} rounds"
    yield f"{'':26}{'':>10}{'s cpu':>10}{'ratio':>8}  lowest–highest"
    for name, values in grows.items():
        for value in values:
            limits = f"{value.lowest:.2f}–{value.highest:.2f}"
            yield f"{name:26}{value.value:>10,}{value.cpu:>10.2f}{value.ratio:>8.2f}  {limits}"


if __name__ == "__main__":
    main()
