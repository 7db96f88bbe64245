# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated scenarios (mesh, routes, fault, length) on the real Envoy, against the forecasts of locality_forecast.

Exit code 0 when every scenario went as forecast and every forecast that is wrong on purpose was noticed, 1 when not, 3
when the machinery did not work.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Play and compare."""
    sys.path.insert(0, str(ROOT))
    importlib.import_module("tests.conftest")  # makes the collection importable
    from meshops_sandbox.build import BuildError
    from tests.differential.envoy import programs, scenarios
    from tests.differential.envoy.process import Broken
    from tests.differential.oracle import OracleError

    known = programs.known_versions()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", type=int, default=60, help="how many (60)")
    parser.add_argument("--seed", type=int, help="repeats a run (a new one each time)")
    parser.add_argument("--version", choices=known, default=known[0], help=f"Envoy ({known[0]})")
    chosen = parser.parse_args()
    if chosen.scenarios < 1:
        parser.error("--scenarios must be at least 1")
    seed = random.SystemRandom().randrange(10**6) if chosen.seed is None else chosen.seed
    print(f"seed {seed}, Envoy {chosen.version}", flush=True)
    begin = time.monotonic()
    try:
        generated = scenarios.scenarios(chosen.scenarios, seed)
        verdict, again = scenarios.measure(chosen.version, generated, lambda line: print(f"… {line}", flush=True))
    except (Broken, BuildError, OracleError) as error:
        print(f"requests_oracle: {error}", flush=True)
        return 3
    for index in range(len(verdict.played)):
        print(verdict.line(index))
    left: list[int] = []
    if again is not None:
        print("once more:")
        left = sorted({*again.misses, *again.rejected})
        for index in range(len(again.played)):
            print(again.line(index))
    missed = [name for name, number in verdict.caught.items() if not number]
    sent = sum(len(scenario.sent) + scenario.counted for scenario in verdict.played)
    took = f"{len(verdict.played)} scenarios, {sent} requests, {time.monotonic() - begin:.0f} s"
    print(
        f"{took}: {len(verdict.misses)} outside the bounds of failed requests, {len(verdict.rejected)} of shares; "
        "wrong on purpose and noticed in so many scenarios: "
        + ", ".join(f"{name} {number}" for name, number in verdict.caught.items())
    )
    if again is not None:
        print(f"of those, {len(left)} were not as forecast when they were played again")
    if missed:
        print(f"not noticed, too few scenarios: {', '.join(missed)}")
    return 1 if left or missed else 0


if __name__ == "__main__":
    sys.exit(main())
