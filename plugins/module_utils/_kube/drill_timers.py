# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead-man's switch in the targets' istio-proxy containers: started, renewed, ended.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill import dead_mans_switch
from ansible_collections.meshops.locality.plugins.module_utils._drill.faults import DrillFault
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import Target
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    ClusterError,
    Forbidden,
    NotReady,
    Unauthorized,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.exec import run
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import PROXY, Proxy

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster


def timer_usable(cluster: Cluster, proxy: Proxy) -> str:
    """Return why the proxy's container cannot run the dead-man's switch, '' when it can."""
    try:
        done = run(cluster, proxy.namespace, proxy.pod, PROXY, dead_mans_switch.usable(), seconds=15)
    except (Forbidden, Unauthorized):
        raise
    except ClusterError as error:
        return f"istio-proxy of {proxy.where} has no shell ({error.what})"
    return "" if done.code == 0 else f"istio-proxy of {proxy.where} lacks setsid, sleep or tr"


def start_timer(cluster: Cluster, target: Target, seconds: int, drill: str, fault: DrillFault) -> int:
    """Start the dead-man's switch of a target and return its process id. Raises NotReady when that fails."""
    command = dead_mans_switch.start(seconds, drill, fault.undo_admin)
    done = run(cluster, target.namespace, target.name, PROXY, command, seconds=15, repeat=False)
    text = done.stdout.strip()
    if done.code or not text.isdigit():
        raise NotReady(f"No timer could be started in istio-proxy of {target.where}: {done.stderr.strip() or text}.")
    return int(text)


def renew_timer(cluster: Cluster, target: Target, drill: str) -> bool:
    """Give the dead-man's switch a sign of life; False when it is not there any more: the container was restarted."""
    command = dead_mans_switch.renew(target.timer, drill)
    return run(cluster, target.namespace, target.name, PROXY, command, seconds=10).code != dead_mans_switch.ABSENT


def end_timer(cluster: Cluster, target: Target, drill: str) -> None:
    """End the dead-man's switch. One whose process id nobody wrote down may be there, too."""
    try:
        done = run(cluster, target.namespace, target.name, PROXY, dead_mans_switch.end(drill), seconds=10)
    except (Forbidden, Unauthorized):
        raise
    except ClusterError:
        if target.timer:
            raise
        return  # No shell, so there never was a timer.
    if done.code and target.timer:
        raise NotReady(f"The timer in istio-proxy of {target.where} could not be ended: {done.stderr.strip()}.")
