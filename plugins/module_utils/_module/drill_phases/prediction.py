# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The prediction of a drill: a forecast about the live mesh, and what the lint says about it.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.prediction import PlannedDrill, predict
from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._forecast.expected_probe import Watch
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_targets import ServicePods
from ansible_collections.meshops.locality.plugins.module_utils._lint.lint import lint
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.drill_run import DrillRun
from ansible_collections.meshops.locality.plugins.module_utils._module.topology_info import assembled
from ansible_collections.meshops.locality.plugins.module_utils._source import live_objects, manifests
from ansible_collections.meshops.locality.plugins.module_utils._source.control_plane import (
    WantedControlPlane,
)


def read_prediction(drill: DrillRun) -> str:
    """Compute the prediction; return why there is none, '' when there is one."""
    if not drill.fault.forecast:
        drill.add_event("phase", f"{drill.fault.name} cannot be predicted: no forecast knows it")
        return f"What {drill.fault.name} costs cannot be predicted."
    params, behind = drill.params, t.cast(ServicePods, drill.service_pods)
    namespaces = sorted({behind.namespace, *(client.proxy.namespace for client in drill.clients)})
    wanted = WantedControlPlane(params["control_plane_namespace"], params["revision"], params["istio_version"])
    try:
        live = live_objects.read(drill.cluster, wanted, namespaces)
        nothing = manifests.Manifests()
        drill.mesh = assembled(live, nothing, wanted, drill.started).snapshot
        watch = Watch(drill.rate, params["lead"], drill.seconds_to_undoing())
        names = [(client.proxy.where, client.place) for client in drill.clients]
        asked = PlannedDrill(
            behind.host, behind.port, names, [target.where for target in drill.lost], watch, drill.lost_nodes
        )
        drill.prediction = predict(drill.mesh, asked, drill.fault, params["istio_version"] or "")
    except LocalityError as error:
        return f"The loss cannot be predicted: {error.what}"
    prediction = drill.prediction
    worst = prediction["seconds_between"][1]
    drill.add_event(
        "phase",
        f"{prediction['failed_between'][0]:.0f} to {prediction['failed_between'][1]:.0f} "
        "failed requests, the traffic is"
        f" elsewhere {'never' if worst is None else f'within {worst:.1f} s'} (by {prediction['until']})",
    )
    return ""


def predicted_failed(drill: DrillRun) -> float | None:
    """Return how many requests are predicted to fail; None when there is no end to it."""
    if drill.prediction is None:
        return 0.0
    if drill.prediction["seconds_between"][1] is None and drill.prediction["until"] == "never":
        return None
    return float(drill.prediction["failed_requests"])


def lint_errors(drill: DrillRun) -> list[str]:
    """Return the lint's errors about rules for this Service."""
    if drill.mesh is None:
        return []
    behind = t.cast(ServicePods, drill.service_pods)
    rules = {
        f"{kind} {config}"
        for kind, configs in (
            ("DestinationRule", drill.mesh.destination_rules),
            ("VirtualService", drill.mesh.virtual_services),
        )
        for config in configs
        if behind.service in str(config.spec.get("host") or config.spec.get("hosts"))
    }
    rules.add(f"Service {behind.namespace}/{behind.service}")
    findings = lint(drill.mesh, min_severity="error")
    return [
        f"{finding.id} {finding.object}: {finding.message}"
        for finding in findings
        if finding.object in rules and not finding.suppressed
    ]
