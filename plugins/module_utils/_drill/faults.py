# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults: what each does, what undoes it, what ends it without us, and what notices it.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput


class DrillFault(t.NamedTuple):
    """A way to lose endpoints.

    `acts_on`: `proxy` (Envoy's admin interface of each target), `workload` (its replicas), `application` (an address
    of the workload's own that makes it fail), `process` (of the application's container), `node`, `machine` (under a
    node), `network` or `service` (its selector). `undo` and `ends_itself` are sentences; the second is '' where only
    somebody's hand ends the fault. `admin` and `undo_admin` are what is posted to Envoy. `timer`: a dead-man's switch
    in the proxy container can end it. `forecast` is the fault's name in a forecast, '' where none fits. `order` are the
    kinds of targets in the order in which they are changed, `undo_order` that of the undoing; all at once without it.
    """

    name: str
    acts_on: str
    what: str
    undo: str
    ends_itself: str
    detection: tuple[str, ...]
    forecast: str
    admin: str = ""
    undo_admin: str = ""
    timer: bool = False
    order: tuple[str, ...] = ()
    undo_order: tuple[str, ...] = ()


_RESTART = "POST /quitquitquit ends the drained Envoy; kubelet starts istio-proxy again in the same pod."
_TIMER = "A timer in istio-proxy does the same when the drill has given no sign of life for the given seconds."

FAULTS: dict[str, DrillFault] = {
    fault.name: fault
    for fault in (
        DrillFault(
            "drain_inbound",
            "proxy",
            "Envoy's inbound listeners are closed; the pod stays ready",
            _RESTART,
            _TIMER,
            ("ejection",),
            "drained",
            admin="drain_listeners?inboundonly",
            undo_admin="quitquitquit",
            timer=True,
        ),
        DrillFault(
            "drain",
            "proxy",
            "all of Envoy's listeners are closed, that of the readiness probe too",
            _RESTART,
            _TIMER,
            ("ejection", "eds_health"),
            "drained",
            admin="drain_listeners",
            undo_admin="quitquitquit",
            timer=True,
        ),
        DrillFault(
            "scale_to_zero",
            "workload",
            "the workload has no replicas any more",
            "The recorded number of replicas is set again, if it is still 0.",
            "",
            ("eds_removal",),
            "removed",
        ),
        DrillFault(
            "process_kill",
            "process",
            "the processes of the application's container are ended, once",
            "None is needed: kubelet starts the container again, and the drill waits until the pod is ready.",
            "kubelet starts the container again.",
            ("ejection", "eds_health"),
            "",
        ),
        DrillFault(
            "evict",
            "node",
            "the nodes take no new pods, and the pods are evicted",
            "Nodes that the drill cordoned are uncordoned.",
            "",
            ("eds_health", "eds_removal"),
            "removed",
            order=("Node", "Pod"),
            undo_order=("Node", "Pod"),
        ),
        DrillFault(
            "node_loss",
            "machine",
            "the nodes vanish with all their pods: packets to them and from them are dropped",
            "The stop that the Node asks for is taken back; the node's agent starts it.",
            "The node's agent starts it after the given seconds.",
            ("ejection", "eds_health", "eds_removal"),
            "blackhole",
            order=("Node", "Pod"),
            undo_order=("Node", "Pod"),
        ),
        DrillFault(
            "network_deny",
            "network",
            "a NetworkPolicy lets nothing in to the pods",
            "The policy is deleted, and the label that it selects is taken off the pods.",
            "",
            ("ejection",),
            "blackhole",
            order=("NetworkPolicy", "Pod"),
            undo_order=("Pod", "NetworkPolicy"),
        ),
        DrillFault(
            "evacuate",
            "service",
            "the endpoints leave the Service; the pods stay and answer",
            "The Service's selector is as before, and the label that it asked for is taken off the pods.",
            "",
            ("eds_removal",),
            "removed",
            order=("InboundService", "Service", "Pod"),
            undo_order=("Pod", "Service", "InboundService"),
        ),
        DrillFault(
            "application_error",
            "application",
            "the application answers 503",
            "DELETE on the application's own fault address.",
            "The application ends it after the given seconds.",
            ("ejection",),
            "gateway_error",
        ),
        DrillFault(
            "application_delay",
            "application",
            "the application answers late",
            "DELETE on the application's own fault address.",
            "The application ends it after the given seconds.",
            (),
            "",
        ),
        DrillFault(
            "application_hang",
            "application",
            "the application accepts requests and never answers",
            "DELETE on the application's own fault address.",
            "The application ends it after the given seconds.",
            ("ejection",),
            "hang",
        ),
    )
}


def fault_named(name: str) -> DrillFault:
    """Return a fault. Raises InvalidInput for one that does not exist."""
    if name not in FAULTS:
        raise InvalidInput(f"There is no fault {name!r}.", do=f"The faults are {', '.join(FAULTS)}.")
    return FAULTS[name]


def in_order(kinds: t.Sequence[str], order: t.Sequence[str]) -> list[list[int]]:
    """Return indexes of targets, by their kinds, in groups that are changed one after the other."""
    if not order:
        return [list(range(len(kinds)))]
    order = [*order, *sorted(set(kinds) - set(order))]
    groups = [[index for index, kind in enumerate(kinds) if kind == wanted] for wanted in order]
    return [group for group in groups if group]
