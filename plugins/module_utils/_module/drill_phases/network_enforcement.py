# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does anything enforce NetworkPolicies? Seen by asking pods at their own addresses before and after one denies it.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import Target
from ansible_collections.meshops.locality.plugins.module_utils._drill.phases import REFUSED, Ended
from ansible_collections.meshops.locality.plugins.module_utils._errors import NotReady
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_preflight import answers
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_targets import ServicePods
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import PROXY
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.drill_run import DrillRun
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.observation import check

#: So long a pod has to answer at its own address.
DIRECT_SECONDS = 2.0
#: So long whatever enforces NetworkPolicies has to hear of one.
ENFORCED_SECONDS = 10.0


def check_direct_way(drill: DrillRun) -> None:
    """See that each target answers at its own address, as only then its silence shows a denied network.

    Raises NotReady.
    """
    for target in drill.targets:
        if target.kind == "Pod" and (wrong := ask_directly(drill, target)):
            raise NotReady(
                f"Whether a NetworkPolicy has an effect cannot be tried: {wrong}",
                do="The pod has to answer at its own address, as it does without STRICT mutual TLS.",
            )


def ask_directly(drill: DrillRun, target: Target) -> str:
    """Let the first client ask a pod by its address; return what is wrong, '' when it answers.

    Its istio-proxy container asks, where that has a shell and curl: what it sends goes past its Envoy. An Envoy asks
    over a connection that it has already, and what enforces policies may let that live.
    """
    behind = t.cast(ServicePods, drill.service_pods)
    host = f"[{target.address}]" if ":" in target.address else target.address
    url = f"http://{host}:{behind.target_port or behind.port}{drill.params['path']}"
    try:
        return answers(drill.cluster, drill.clients[0], url, DIRECT_SECONDS, PROXY)
    except NotReady:
        return answers(drill.cluster, drill.clients[0], url, DIRECT_SECONDS)


def check_enforcement(drill: DrillRun, targets: t.Sequence[Target]) -> None:
    """Ask the denied pods by their addresses until they are silent. Raises Ended when they go on to answer."""
    until = time.monotonic() + ENFORCED_SECONDS
    while any(answered := [target for target in targets if target.kind == "Pod" and not ask_directly(drill, target)]):
        if time.monotonic() >= until:
            raise Ended(
                REFUSED,
                f"Nothing enforces NetworkPolicies here: {answered[0].where} still answers"
                f" {drill.clients[0].proxy.where} {ENFORCED_SECONDS:.0f} s after one denied it.",
            )
        check(drill)
        time.sleep(0.5)
