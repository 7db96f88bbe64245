# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make test` and its parts: `run_tests.py [STEP or GROUP …]`; without names everything, the last line is the count."""

from __future__ import annotations

import signal
import sys
import threading

from testrun.runner import Run, State
from testrun.steps import all_steps, choose
from testrun.view import View


def main() -> int:
    """Run the chosen steps; 0 when all passed, 1 when one failed, 130 when interrupted."""
    names = sys.argv[1:]
    try:
        steps = choose(all_steps(), names)
    except KeyError as error:
        known = ", ".join(step.name for step in all_steps())
        sys.exit(f"run_tests: there is no step {error}; the steps are: {known}; groups: sandbox, molecule, lint.")
    view = View(verbose=bool(names))
    run = Run(steps, view)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: run.stop())
    # The steps run in a thread of their own: a signal reaches only the main thread, which must stay free for it.
    worker = threading.Thread(target=run.run)
    with view.watching(run):
        worker.start()
        while worker.is_alive():
            worker.join(0.2)
    view.close(run)
    if run.interrupted:
        return 130
    return 0 if all(outcome.state is State.PASSED for outcome in run.outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
