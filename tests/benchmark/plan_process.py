# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What plan.py measures, as a program of its own: `python -m tests.benchmark.plan_process {plan|matrix} MESH ANSWER`.

It plans the mesh for every client, computes the resilience matrix if that was asked for, and writes a Counted to the
file ANSWER. PYTHONPATH has to name the collection and this checkout.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import all_losses
from ansible_collections.meshops.locality.plugins.module_utils._forecast.resilience_matrix import matrix
from ansible_collections.meshops.locality.plugins.module_utils._garbage_collection import paused
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot
from tests.benchmark.work_counts import Counted

LEVELS = ("subzone", "zone", "region")


def plan(snapshot: Snapshot) -> tuple[Planner, int]:
    """Return the planner, and how many assignments the classes of clients get."""
    planner = Planner(snapshot)
    assignments = (
        planner.assignment(kind.representative, destination)
        for kind in planner.classes
        for destination in planner.destinations(kind.representative)
    )
    return planner, sum(assignment is not None for assignment in assignments)


def work(snapshot: Snapshot, *, whole: bool) -> Counted:
    """Plan and, when `whole`, compute the matrix over every single loss of a subzone, zone or region."""
    begun = time.process_time()
    planner, assignments = plan(snapshot)
    planned = time.process_time()
    rows = losses = 0
    if whole:
        table = matrix(planner, [(loss,) for loss in all_losses(planner, LEVELS)])
        rows, losses = len(table.rows), len(table.losses)
    return Counted(assignments, rows, losses, planned - begun, time.process_time() - begun)


def main(what: str, mesh: str, answer: str) -> None:
    """Read the mesh, work, write the answer."""
    with paused():  # as all filters and the action answer
        counted = work(build(json.loads(Path(mesh).read_text())["objects"]), whole=what == "matrix")
    Path(answer).write_text(json.dumps(counted._asdict()))


if __name__ == "__main__":
    main(*sys.argv[1:])
