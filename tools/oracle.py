# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The istiod oracle of the differential tests.

`oracle.py build [LINE …]` builds it and prints the path of each program. `oracle.py plan` compares what we say about
generated meshes with what istiod says, and shrinks what differs.

Exit code 0 when nothing differs, 1 when something does, 3 when the machinery did not work.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import typing as t
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from meshops_sandbox.build import BuildError, PlainReport, ensure_oracle, lines

if t.TYPE_CHECKING:
    from tests.differential.campaign import Campaign
    from tests.differential.oracle import Oracle

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".work" / "differential"


def main() -> int:
    """Do what was asked for."""
    asked = arguments()
    try:
        return build(asked.line) if asked.what == "build" else plan(asked)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 3


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    builds = commands.add_parser("build", help="build the programs and print their paths")
    builds.add_argument("line", nargs="*", help=f"Istio lines: {', '.join(lines())} (default: all)")
    plans = commands.add_parser("plan", help="compare generated meshes")
    plans.add_argument("--meshes", type=int, default=10_000, help="how many (10000)")
    plans.add_argument("--seed", type=int, help="number of the first one; repeats a run (a new one each time)")
    plans.add_argument("--istio", action="append", choices=lines(), help="line, more than once for more (all)")
    plans.add_argument("--most", type=int, default=10, help="end a line after so many that differ (10)")
    plans.add_argument("--workers", type=int, default=2, help="meshes that istiod computes at once (2)")
    plans.add_argument("--traps", action="store_true", help="say how many meshes met which rule")
    chosen = parser.parse_args()
    if chosen.what == "plan" and (chosen.meshes < 1 or chosen.most < 1 or chosen.workers < 1):
        parser.error("--meshes, --most and --workers must be at least 1")
    return chosen


def build(wanted: t.Sequence[str]) -> int:
    """Build the lines asked for, all without."""
    for line in wanted or lines():
        print(ensure_oracle(line, report=PlainReport()), flush=True)
    return 0


def plan(asked: argparse.Namespace) -> int:
    """Compare, line by line."""
    sys.path.insert(0, str(ROOT))
    importlib.import_module("tests.conftest")  # makes the collection importable
    from tests.differential.oracle import Oracle, OracleError

    console = Console(highlight=False, soft_wrap=True)
    first = random.SystemRandom().randrange(10**9) if asked.seed is None else asked.seed
    bad = 0
    for line in asked.istio or lines():
        running: dict[tuple[tuple[str, str], ...], Oracle] = {}

        def oracle(line: str, running: dict[tuple[tuple[str, str], ...], Oracle] = running, **features: str) -> Oracle:
            key = tuple(sorted(features.items()))
            if key not in running:
                running[key] = Oracle(line, features, workers=asked.workers)
            return running[key]

        try:
            bad += compare(line, range(first, first + asked.meshes), oracle, asked, console)
        except OracleError as error:
            console.print(f"Istio {line}, seed {first}: {error}", style="red", markup=False)
            return 3
        finally:
            for process in running.values():
                process.close()
    return 1 if bad else 0


def compare(
    line: str, seeds: range, oracle: t.Callable[..., Oracle], asked: argparse.Namespace, console: Console
) -> int:
    """Compare the meshes of one line, with a bar; returns how many differ."""
    from tests.differential import campaign
    from tests.differential.oracle import Oracle

    columns = (
        TextColumn("Istio {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}, {task.fields[bad]} differ"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(line, total=len(seeds), rate="", bad=0)

        def show_progress(comparison: Campaign) -> None:
            if comparison.meshes % 20 == 0 or comparison.meshes == len(seeds):
                rate = f"{comparison.meshes / max(comparison.seconds, 1e-9):.0f}/s"
                progress.update(bar, completed=comparison.meshes, rate=rate, bad=len(comparison.mismatches))
                if not console.is_terminal and comparison.meshes % 2000 == 0:
                    console.print(f"{comparison.meshes} of {len(seeds)}, {rate}, {len(comparison.mismatches)} differ")

        comparison = campaign.run(line, seeds, oracle, progress=show_progress, most=asked.most)
    console.print(
        f"Istio {line}, seed {seeds.start}: {comparison.meshes} meshes with {comparison.clusters} clusters and "
        f"the routes of {comparison.routes} hosts in "
        f"{comparison.seconds:.0f} s ({comparison.meshes / max(comparison.seconds, 1e-9):.0f}/s), "
        f"{len(comparison.mismatches)} differ; "
        f"istiod refused {comparison.refused}",
        markup=False,
    )
    if asked.traps:
        for name, number in comparison.traps.most_common():
            console.print(f"  {number:7} {name}", markup=False)
    for mismatch in comparison.mismatches:
        with Oracle(line, campaign.PROFILES[mismatch.profile], timeout=15) as own:
            small = campaign.shrunk(mismatch, own)
            path = campaign.keep(mismatch, small, KEPT)
            console.print(f"\n{campaign.explained(mismatch, small, own)}\nwritten to {path}", markup=False)
    return len(comparison.mismatches)


if __name__ == "__main__":
    sys.exit(main())
