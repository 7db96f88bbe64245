# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gate is asked about: the facts of the cluster and of the options.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t
from collections import Counter

from ansible_collections.meshops.locality.plugins.module_utils._drill import approval, gate
from ansible_collections.meshops.locality.plugins.module_utils._drill.gate import (
    CONSENT_LABEL,
    CONSENT_WITH_APPROVAL,
    CONSENTS,
    DAYS,
    Facts,
)
from ansible_collections.meshops.locality.plugins.module_utils._drill.phases import Ended
from ansible_collections.meshops.locality.plugins.module_utils._drill.prediction import overload
from ansible_collections.meshops.locality.plugins.module_utils._kube import access_review, drill_journal, lease
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_targets import ServicePods
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import NAMESPACE
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.drill_run import DrillRun
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.prediction import (
    lint_errors,
    predicted_failed,
)

Json = dict[str, t.Any]


def ask_gate(drill: DrillRun, silent: t.Sequence[str], manual: t.Sequence[str], missing: str) -> None:
    """Gather the facts, ask every rule, and raise Ended when one speaks against the drill."""
    params, behind = drill.params, t.cast(ServicePods, drill.service_pods)
    lock = lease.read(drill.cluster, params["lock_namespace"])
    journals = drill_journal.find(drill.cluster, state="open")
    if journals.unread:
        journals = drill_journal.find(drill.cluster, [behind.namespace], state="open")
    namespace = drill.cluster.get(NAMESPACE, behind.namespace) or {"metadata": {}}
    labels = namespace["metadata"].get("labels") or {}
    wanted = approval.token(behind.namespace, behind.service, drill.fault.name, drill.scope_list(), params["duration"])
    unapproved = ""
    if manual and labels.get(CONSENT_LABEL) == CONSENT_WITH_APPROVAL:
        unapproved = approval_problem(drill, namespace, wanted)
        if not unapproved:
            drill.approvals.append(str(namespace["metadata"]["annotations"][approval.ANNOTATION]))
    lost = {target.uid for target in drill.lost}
    left = Counter(candidate.place for candidate in behind.candidates if candidate.ready and candidate.uid not in lost)
    drill.facts = Facts(
        now=_time(),
        namespace=behind.namespace,
        service=behind.service,
        endpoints=[
            gate.GatedEndpoint(candidate.uid, candidate.place) for candidate in behind.candidates if candidate.ready
        ],
        targets=frozenset(target.uid for target in drill.lost),
        consent=behind.namespace in params["allowed_namespaces"] or labels.get(CONSENT_LABEL) in CONSENTS,
        max_pods=params["max_pods"],
        max_places=params["max_places"],
        windows=params["blocked_windows"],
        stop=lock.stop if lock else "",
        open_journals=[f"{journal.namespace}/{journal.name}" for journal in journals.journals],
        unreadable_journals=" ".join(journals.unread),
        lint_errors=lint_errors(drill),
        predicted_failed=predicted_failed(drill),
        requests=drill.request_count(),
        error_budget=params["error_budget"],
        prediction_error=missing,
        overload=overload(drill.prediction, left, params["spare_pods"]),
        unhealthy=silent,
        irreversible=manual,
        accept_manual_restore=params["accept_manual_restore"],
        approval_problem=unapproved,
        approve=f"Somebody else approves it with: {approval.command(behind.namespace, wanted)}",
        accept=frozenset(params["accept"]),
    )
    drill.gate = gate.judge(drill.facts)
    for rule in drill.gate:
        if not rule.passed:
            drill.add_event("finding", f"{rule.rule}: {rule.what} {'(accepted)' if rule.accepted else rule.do}")
    against = gate.refusal(drill.gate)
    if against:
        raise Ended(*against)
    drill.add_event("phase", f"all {len(drill.gate)} rules let the drill begin")


def approval_problem(drill: DrillRun, namespace: Json, wanted: str) -> str:
    """Return why a Namespace's annotation is no approval by a second person, '' when it is one.

    Whoever drills must not be able to write it: the API server is asked (SelfSubjectAccessReview, which everybody may).
    """
    metadata = namespace["metadata"]
    name = metadata["name"]
    able = [verb for verb in ("patch", "update") if access_review.may(drill.cluster, verb, NAMESPACE, name)]
    if able:
        return (
            f"Whoever runs this drill may {' and '.join(able)} the Namespace {name}, and so could approve it alone: run"
            " it with rights that do not include that (the filter rbac, action drill)."
        )
    annotation = str((metadata.get("annotations") or {}).get(approval.ANNOTATION) or "")
    return approval.problem(annotation, wanted, drill_journal.now()[:19] + "Z")


def _time() -> gate.Time:
    now = time.gmtime()
    return gate.Time(DAYS[now.tm_wday], time.strftime("%Y-%m-%d", now), time.strftime("%H:%M", now))
