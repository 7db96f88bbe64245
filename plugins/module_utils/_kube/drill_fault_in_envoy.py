# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults drain and drain_inbound: a target's Envoy stops listening, by its admin interface.

The command is started in every target first, and waits there for one line: so the fault comes to all of them at the
same moment, and the time that the API server and kubelet need to start a command is no part of what is measured.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.faults import DrillFault
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import GONE, RESTORED, Target
from ansible_collections.meshops.locality.plugins.module_utils._drill.target_restoration import TargetRestoration
from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import parse_stats
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    ClusterError,
    Forbidden,
    LocalityError,
    NotReady,
    Unauthorized,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_target_state import (
    container_of,
    live_pod,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_timers import end_timer
from ansible_collections.meshops.locality.plugins.module_utils._kube.exec import Session
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import PROXY, Proxy, admin
from ansible_collections.meshops.locality.plugins.module_utils._model.workload_problems import is_ready

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

STOPPED = "stats?filter=%5Elistener_manager%5C.listener_stopped%24"
#: How long the counter is watched for a drain.
SEEN_SECONDS = 10.0
#: How long a container may take to start the command that waits.
START_SECONDS = 10.0
_READY = "ready"
#: $1: what is posted to Envoy. When the connection is lost before the line has come, nothing is done.
_WAIT = f'echo {_READY}; read -r line && exec pilot-agent request POST "$1"'


class Prepared:
    """The command of a fault in a target's istio-proxy, started, and waiting for a line before it does anything."""

    def __init__(self, proxy: Proxy, session: Session) -> None:
        self.proxy = proxy
        self._session = session
        self._lost: LocalityError | None = None
        #: When Envoy had answered, by time.monotonic(); None: it is not known.
        self.answered: float | None = None

    def begin(self) -> None:
        """Let the command do its work, and do not wait for it."""
        try:
            self._session.write("\n")
        except LocalityError as error:
            self._lost = error

    def wait(self) -> None:
        """Wait for the end of the command. Raises LocalityError when it did not begin, or fails."""
        with self._session:
            if self._lost is not None:
                raise self._lost
            self._session.output(time.monotonic() + START_SECONDS)
        if self._session.code:
            raise NotReady(f"The command in {self._session.where} ended with {self._session.code}.")
        self.answered = time.monotonic()

    def leave(self) -> None:
        """End the command; before `begin`, nothing was done."""
        # Whatever is wrong with its connection: the end of it ends the command.
        with contextlib.suppress(Exception), self._session:
            pass


def prepare(cluster: Cluster, target: Target, fault: DrillFault) -> Prepared | None:
    """Start the command of a fault in a target, so that it waits; None where it cannot wait (no shell, for example)
    and where the pod is another one.

    Raises Forbidden and Unauthorized.
    """
    try:
        proxy = _proxy(cluster, target)
        if proxy is None:
            return None
        command = ["sh", "-c", _WAIT, "sh", fault.admin]
        session = Session(cluster, proxy.namespace, proxy.pod, PROXY, command, repeat=True)
    except (Forbidden, Unauthorized):
        raise
    except ClusterError:
        return None
    prepared = Prepared(proxy, session)
    try:
        if next(session.lines(time.monotonic() + START_SECONDS), "") == _READY:
            return prepared
    except LocalityError:
        pass  # It is too slow, or has no shell.
    prepared.leave()
    return None


def listeners_stopped(cluster: Cluster, proxy: Proxy) -> int:
    """Return how many listeners the running Envoy has stopped, the only place where a drain shows."""
    return parse_stats(admin(cluster, proxy, STOPPED, seconds=10)).get("listener_manager.listener_stopped", 0)


def inject(cluster: Cluster, target: Target, fault: DrillFault, prepared: Prepared | None) -> str:
    """Put the fault in and see it in Envoy's counter. Raises NotReady when it is not seen."""
    proxy = prepared.proxy if prepared is not None else _proxy(cluster, target)
    if proxy is None:
        raise NotReady(f"Pod {target.where} was deleted or replaced before the fault.")
    lost: LocalityError | None = None
    try:
        if prepared is None or not _was_heard(cluster, proxy, prepared):
            admin(cluster, proxy, fault.admin, method="POST", seconds=10)
    except (Forbidden, Unauthorized):
        raise
    except LocalityError as error:
        lost = error  # It may have been heard nevertheless: what counts is seen below.
    until = time.monotonic() + SEEN_SECONDS
    while not listeners_stopped(cluster, proxy):
        if time.monotonic() >= until:
            raise NotReady(f"Envoy of {target.where} shows no sign of {fault.name}. {lost or ''}".strip())
        time.sleep(0.2)
    return f"{target.where}: {fault.what}."


def _proxy(cluster: Cluster, target: Target) -> Proxy | None:
    pod = live_pod(cluster, target)
    return Proxy.of(pod) if pod is not None else None


def _was_heard(cluster: Cluster, proxy: Proxy, prepared: Prepared) -> bool:
    """Wait for a command that has begun; False when its connection was lost and nothing of the fault is seen."""
    try:
        prepared.wait()
    except LocalityError:
        return listeners_stopped(cluster, proxy) > 0
    return True


def undo_once(cluster: Cluster, target: Target, fault: DrillFault, drill: str, ended: bool) -> TargetRestoration:
    """Take one step towards the undoing of a fault in an Envoy, and say where it is.

    `ended`: its Envoy was ended before; until kubelet shows another container, the pod's readiness is that of the old.
    """
    pod = live_pod(cluster, target)
    if pod is None:
        return TargetRestoration(
            target, GONE, "The pod was deleted or replaced meanwhile; its successor never had the fault."
        )
    proxy = Proxy.of(pod)
    same = container_of(pod) == target.container
    restarts = proxy.restarts - target.restarts
    if proxy.problem:
        return TargetRestoration(target, "", error=proxy.problem)
    if listeners_stopped(cluster, proxy):
        try:
            admin(cluster, proxy, fault.undo_admin, method="POST", seconds=10)
        except (Forbidden, Unauthorized):
            raise
        except LocalityError:
            pass  # The container may be gone before the answer is; what counts is seen the next time.
        return TargetRestoration(target, "", error="Its Envoy is being restarted.", changed=True)
    if same and ended:
        return TargetRestoration(target, "", error="kubelet does not show its new istio-proxy yet.")
    if same and fault.timer:
        end_timer(cluster, target, drill)
    if not proxy.ready:
        return TargetRestoration(target, "", error="Its istio-proxy container is not ready yet.")
    if not is_ready(pod):
        return TargetRestoration(target, "", error="The pod is not ready yet.")
    proof = (
        f"Same pod, same address, the fault is not there, ready; istio-proxy restarted {restarts} time(s) since the"
        " drill looked first."
    )
    return TargetRestoration(target, RESTORED, proof, restarts=restarts)
