# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault process_kill: the processes of a pod's application container are ended; kubelet starts it again.

A command in a container cannot send SIGKILL to its first process: the kernel leaves that one alone unless it handles
the signal (pid_namespaces(7), "The namespace's init process"). So every other process gets SIGKILL, and the first one
those signals for which it has a handler. A pod without either is refused before anything is touched.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import GONE, RESTORED, Target
from ansible_collections.meshops.locality.plugins.module_utils._drill.target_restoration import TargetRestoration
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    ClusterError,
    Forbidden,
    LocalityError,
    NotReady,
    Unauthorized,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_target_state import (
    container_of,
    container_state,
    live_pod,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.exec import run
from ansible_collections.meshops.locality.plugins.module_utils._model.workload_problems import is_ready

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

#: How long kubelet has to show that the container ended.
SEEN_SECONDS = 15.0
#: Signals that end a process unless it says otherwise, the gentlest last: HUP 1, INT 2, QUIT 3, ABRT 6, TERM 15.
SIGNALS = {"QUIT": 3, "ABRT": 6, "INT": 2, "TERM": 15, "HUP": 1}
#: Prints the mask of handled signals of the first process, and how many other processes live: one that has ended stays
#: in /proc as a zombie until its parent asks for it, and a first process that never asks keeps its zombies for ever.
LOOK = """
while read -r name value; do case $name in SigCgt:) echo "$value";; esac; done </proc/1/status
others=0
for each in /proc/[0-9]*; do
  case ${each#/proc/} in 1|$$) continue;; esac
  while read -r name value; do
    case $name in State:) case $value in Z*|X*) ;; *) others=$((others + 1));; esac; break;; esac
  done 2>/dev/null <$each/status
done
echo $others
"""
KILL = "kill -9 -1 2>/dev/null; for each in $1; do kill -$each 1 2>/dev/null; done; exit 0"


def handled(mask: str) -> list[str]:
    """Return which of SIGNALS a process handles, by the mask that /proc/PID/status calls SigCgt."""
    bits = int(mask, 16)
    return [name for name, number in SIGNALS.items() if bits >> (number - 1) & 1]


def obstacle(cluster: Cluster, target: Target, _drill: str) -> str:
    """Return why the container's processes cannot be ended, '' when they can."""
    pod = live_pod(cluster, target)
    if pod is None:
        return f"Pod {target.where} was deleted."
    spec = pod["spec"]
    if spec.get("shareProcessNamespace"):
        return f"Pod {target.where} shares its processes among its containers: more than {target.part} would end."
    if spec.get("restartPolicy", "Always") != "Always":
        return f"Pod {target.where} has the restartPolicy {spec['restartPolicy']}: {target.part} may not come back."
    try:
        signals, others = _look(cluster, target)
    except (Forbidden, Unauthorized):
        raise
    except LocalityError as error:
        return f"The processes of {target.part} in {target.where} cannot be seen: {error.what}"
    if not signals and not others:
        return (
            f"The only process of {target.part} in {target.where} handles none of {', '.join(SIGNALS)}: from inside its"
            " container it cannot be ended."
        )
    return ""


def _look(cluster: Cluster, target: Target) -> tuple[list[str], int]:
    done = run(cluster, target.namespace, target.name, target.part, ["sh", "-c", LOOK], seconds=15)
    words = done.stdout.split()
    if len(words) != 2 or not words[1].isdigit():
        raise NotReady(f"/proc says {(done.stdout or done.stderr).strip()!r}.")
    return handled(words[0]), int(words[1])


def inject(cluster: Cluster, target: Target, _drill: str, _seconds: float) -> str:
    """End the processes and see that the container ended. Raises NotReady when it did not."""
    signals, _others = _look(cluster, target)
    try:
        command = ["sh", "-c", KILL, "sh", " ".join(signals)]
        run(cluster, target.namespace, target.name, target.part, command, seconds=10, repeat=False)
    except (Forbidden, Unauthorized):
        raise
    except ClusterError:
        pass  # The command ends with the container; what counts is seen below.
    until = time.monotonic() + SEEN_SECONDS
    while True:
        pod = live_pod(cluster, target)
        if pod is None:
            raise NotReady(f"Pod {target.where} was deleted or replaced meanwhile.")
        state = container_state(pod, target.part)
        if container_of(pod, target.part) != target.container or "terminated" in (state.get("state") or {}):
            return f"{target.where}: the processes of {target.part} were ended."
        if time.monotonic() >= until:
            raise NotReady(f"{target.part} of {target.where} still runs after {', '.join(signals) or 'KILL'}.")
        time.sleep(0.2)


def undo_once(cluster: Cluster, target: Target, _drill: str, _changed: bool) -> TargetRestoration:
    """See whether kubelet has started the container again and the pod is ready."""
    pod = live_pod(cluster, target)
    if pod is None:
        return TargetRestoration(
            target, GONE, "The pod was deleted or replaced meanwhile; its successor never had the fault."
        )
    state = container_state(pod, target.part)
    restarts = int(state.get("restartCount") or 0) - target.restarts
    if "running" not in (state.get("state") or {}):
        return TargetRestoration(
            target, "", error=f"kubelet has not started {target.part} again yet.", restarts=restarts
        )
    if not is_ready(pod):
        return TargetRestoration(target, "", error="The pod is not ready yet.", restarts=restarts)
    return TargetRestoration(
        target,
        RESTORED,
        f"Same pod, same address, ready; kubelet has started {target.part} {restarts} time(s) since the drill began.",
        restarts=restarts,
    )


def vanished(cluster: Cluster, target: Target, _drill: str) -> str:
    """Return that the pod is another one; that kubelet starts the container again is how this fault ends."""
    return "" if live_pod(cluster, target) is not None else f"Pod {target.where} was deleted or replaced."
