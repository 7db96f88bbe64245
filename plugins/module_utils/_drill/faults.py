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

    `acts_on`: `proxy` (Envoy's admin interface of each target), `workload` (its replicas) or `application` (an address
    of the workload's own that makes it fail). `undo` and `ends_itself` are sentences; the second is '' where only
    somebody's hand ends the fault. `admin` and `undo_admin` are what is posted to Envoy. `timer`: a dead-man's switch
    in the proxy container can end it. `forecast` is the fault's name in a forecast, '' where none fits.
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
