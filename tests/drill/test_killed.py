# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill that is killed or interrupted at any step: the mesh is as before, every time.

The steps are requests of the drill to the API server, which a proxy in front of it catches: at that very moment the
signal is sent.
"""

from __future__ import annotations

import signal
import time
import typing as t

import pytest

from tests.integration.fault_proxy import FaultProxy
from tests.integration.mesh import Mesh

from .conftest import View
from .drill_process import DrillProcess

Json = dict[str, t.Any]

JOURNAL = "/configmaps/meshops-drill-"
EXEC = "/pods/helloworld-.*/exec.*"
#: Name of the step → (method, path, how many of these requests come before it).
STEPS = {
    "before the targets are written down": ("PATCH", JOURNAL, 0),
    "before the timers are started": ("GET", EXEC + "setsid%20sh|setsid\\+sh", 0),
    "before the timers are written down": ("PATCH", JOURNAL, 1),
    "before the fault": ("GET", EXEC + "drain_listeners", 0),
    "before the fault is written down": ("PATCH", JOURNAL, 2),
    "before the undoing": ("GET", EXEC + "=quitquitquit", 0),
    "before the undoing is written down": ("PATCH", JOURNAL, 3),
    "before the journal is closed": ("PATCH", JOURNAL, 4),
}


def caught(proxy: FaultProxy, step: str, action: t.Callable[[], object]) -> list[float]:
    """Let `action` happen at a step; the list gets the time at which it did."""
    method, path, before = STEPS[step]
    moments: list[float] = []

    def act() -> None:
        moments.append(time.monotonic())
        action()

    if before:
        proxy.add(method, path, times=before)
    proxy.add(method, path, times=1, before=act)
    return moments


@pytest.mark.parametrize("step", STEPS)
def test_sigkill_and_a_restoration_from_elsewhere(
    step: str, start: t.Any, restore: t.Any, mesh: Mesh, view: View, fresh: str, fault_proxy: FaultProxy
) -> None:
    before = view.state()
    processes: list[DrillProcess] = []
    moments = caught(fault_proxy, step, lambda: processes[0].kill())  # noqa: PLW0108 # it is not started yet
    processes.append(start(kubeconfig=str(fault_proxy.kubeconfig), duration=3))
    processes[0].process.wait(timeout=120)
    assert moments, (step, fault_proxy.seen[-30:], processes[0].output())
    assert processes[0].process.returncode == -signal.SIGKILL
    # The request that was caught still gets through: with the last one the drill has closed its journal.
    left = int(step != list(STEPS)[-1])
    assert len(view.journals()) == left, "the journal says whether there is something to restore"

    done = restore()
    assert [drill["closed"] for drill in done["drills"]] == [True] * left, done
    assert view.stopped(fresh) == 0
    assert view.timers(fresh) == 0, "no timer is left that would restart the sidecar later"
    view.equals(before)
    assert restore() == {**done, "changed": False, "drills": []}
    assert (len(view.journals()), len(view.journals("closed"))) == (0, 1)


@pytest.mark.parametrize(
    ("step", "number"),
    [
        *((step, signal.SIGTERM) for step in STEPS),
        ("before the fault", signal.SIGINT),
        ("before the undoing", signal.SIGHUP),
    ],
)
def test_a_signal_at_any_step(
    step: str,
    number: signal.Signals,
    start: t.Any,
    mesh: Mesh,
    view: View,
    fresh: str,
    fault_proxy: FaultProxy,
) -> None:
    before = view.state()
    processes: list[DrillProcess] = []
    moments = caught(fault_proxy, step, lambda: processes[0].send(number))
    processes.append(start(kubeconfig=str(fault_proxy.kubeconfig), duration=3))
    result = processes[0].result()
    assert moments, (step, result["reason"], fault_proxy.seen[-30:])
    if step in list(STEPS)[:5]:
        assert result["outcome"] == "INTERRUPTED", result["msg"]
        assert number.name in result["reason"]
    assert (view.stopped(fresh), view.timers(fresh)) == (0, 0)
    view.equals(before)
    assert (len(view.journals()), len(view.journals("closed"))) == (0, 1)


def test_sigkill_and_nobody_else(start: t.Any, restore: t.Any, mesh: Mesh, view: View, fresh: str) -> None:
    """Nothing of ours is left: the timer in the target ends the fault."""
    before = view.state()
    process = start(duration=60, dead_mans_switch=8)
    process.wait_for("phase", "observe")
    assert view.stopped(fresh) > 0
    assert view.timers(fresh) == 1
    process.kill()
    killed = time.monotonic()
    until = killed + 60
    while (number := restarts(mesh, fresh)) == 0 and time.monotonic() < until:
        time.sleep(0.5)
    took = time.monotonic() - killed
    assert number == 1
    assert took < 25
    view.equals(before)
    assert (view.stopped(fresh), view.timers(fresh)) == (0, 0)
    assert restore(expired=True)["drills"] == [], "its time is not over yet"
    done = restore()
    assert done["drills"][0]["closed"]
    assert not done["drills"][0]["targets"][0]["changed"], "there was nothing left to do"
    assert restarts(mesh, fresh) == 1


def restarts(mesh: Mesh, pod: str) -> int:
    status = mesh.get("pod", pod)["status"]
    states = [*status["containerStatuses"], *status.get("initContainerStatuses", [])]
    return int(next(state["restartCount"] for state in states if state["name"] == "istio-proxy"))
