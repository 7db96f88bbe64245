# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real Envoy judges the forecasts of `_envoy`: .venv/bin/python tools/envoy_oracle.py --help.

Exit code 0 when Envoy did everything as forecast and every forecast that is wrong on purpose was noticed, 1 when not,
3 when the machinery did not work.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)


def arguments(known: t.Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Compare the forecasts of load, ejection and failover with the real Envoy."
    )
    parser.add_argument("--configs", type=int, default=300, help="clusters whose shares are compared (300)")
    parser.add_argument("--requests", type=int, default=5000, help="requests to each of them (5000)")
    parser.add_argument("--seed", type=int, help="repeats a run (a new one each time)")
    parser.add_argument("--ejections", type=int, default=180, help="clusters of broken hosts (180)")
    parser.add_argument("--replicates", type=int, default=5, help="runs of each failover (5)")
    parser.add_argument("--version", action="append", choices=known, help="Envoy, more than once for more (all)")
    chosen = parser.parse_args()
    if chosen.configs < 0 or chosen.ejections < 0 or chosen.replicates < 0 or chosen.requests < 4:
        parser.error("numbers must not be negative, and --requests at least 4")
    chosen.requests -= chosen.requests % 4  # four connections share them evenly
    if chosen.seed is None:
        chosen.seed = random.SystemRandom().randrange(10**6)
    return chosen


def main() -> int:
    """Run what was asked for."""
    sys.path.insert(0, str(ROOT))
    importlib.import_module("tests.conftest")  # makes the collection importable
    from meshops_sandbox.build.artifacts import BuildError
    from tests.differential.envoy import ejection, programs, shares, transitions
    from tests.differential.envoy.process import Broken

    chosen = arguments(programs.known_versions())
    say(f"seed {chosen.seed}")
    good = True
    try:
        for version in chosen.version or programs.known_versions():
            say(f"Envoy {version}")
            if chosen.configs:
                verdict = shares.judge(
                    version, chosen.configs, chosen.seed, chosen.requests, lambda line: say(f"  … {line}")
                )
                for line in verdict.lines():
                    say(f"  {line}")
                missed = [name for name, number in verdict.caught.items() if not number]
                if missed:
                    say(f"  not noticed, too few configurations or requests: {'; '.join(missed)}")
                good = good and not verdict.rejected and not missed
            if chosen.ejections:
                begin = time.monotonic()
                ejected = ejection.provoke(version, chosen.ejections, chosen.seed)
                wrong = [cluster for cluster in ejected if not cluster.fits]
                other = sum(cluster.ejected != cluster.case.wrong for cluster in ejected)
                say(
                    f"  ejection: {len(ejected)} clusters, {len(wrong)} not as forecast, "
                    f"{time.monotonic() - begin:.0f} s (a limit that is rounded up would be wrong in {other})"
                )
                for cluster in wrong:
                    say(f"    {cluster}")
                good = good and not wrong
            if chosen.replicates:
                begin = time.monotonic()
                measured = transitions.measure(version, chosen.replicates)
                outside = [transition for transition in measured if not transition.fits]
                say(
                    f"  failovers: {len(measured)} kinds, {chosen.replicates} runs each, {len(outside)} outside the "
                    f"tolerance, {time.monotonic() - begin:.0f} s"
                )
                for case in measured:
                    say(f"    {'ok ' if case.fits else 'NOT'} {case}")
                good = good and not outside
    except (Broken, BuildError) as error:
        say(f"envoy_oracle: {error}")
        return 3
    say("everything as forecast" if good else "NOT everything as forecast")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
