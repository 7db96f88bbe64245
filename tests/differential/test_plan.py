# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan says what istiod says: about generated meshes, and about each that it was once wrong about.

The numbers of the meshes follow from the commit, so that one commit always tests the same ones. MESHOPS_ORACLE_SEED is
another first number, MESHOPS_ORACLE_MESHES how many of each line; `tools/oracle.py plan` does more of the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from tests.differential import campaign
from tests.differential.oracle import Oracle
from tests.differential.rule_coverage import EXPECTED

ROOT = Path(__file__).resolve().parents[2]
REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.json"))
#: The line that most meshes run, and enough of the other one to notice its differences.
NUMBERS = {"1.31": 2000, "1.30": 300}

Oracles = t.Callable[..., Oracle]


def first_number() -> int:
    given = os.environ.get("MESHOPS_ORACLE_SEED")
    if given:
        return int(given)
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return int(done.stdout[:7], 16) if done.returncode == 0 else 0


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_what_was_wrong_once(oracle: Oracles, path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["why"]
    for line in record["istio"]:
        (answer,) = oracle(line, **record["features"]).ask([record["mesh"]])
        wrong, _plan = campaign.judge(record["mesh"], answer, line, record["features"])
        assert not wrong, f"Istio {line}: {record['why']}"


@pytest.mark.parametrize("line", NUMBERS)
def test_generated_meshes(oracle: Oracles, line: str) -> None:
    number = int(os.environ.get("MESHOPS_ORACLE_MESHES") or NUMBERS[line])
    first = first_number()
    sys.stdout.write(f"MESHOPS_ORACLE_SEED={first} MESHOPS_ORACLE_MESHES={number}\n")
    comparison = campaign.run(line, range(first, first + number), oracle, most=3)
    for mismatch in comparison.mismatches:
        with Oracle(line, campaign.PROFILES[mismatch.profile], timeout=15) as own:
            small = campaign.shrunk(mismatch, own)
            path = campaign.keep(mismatch, small, ROOT / ".work" / "differential")
            sys.stdout.write(f"{campaign.explained(mismatch, small, own)}\nwritten to {path}\n\n")
    assert not comparison.mismatches
    assert comparison.meshes == number
    assert comparison.refused < number / 20
    assert comparison.clusters > 3 * number
    if line == "1.31" and number >= 2000:
        assert not EXPECTED - comparison.traps.keys(), "the generator has gone blind"
