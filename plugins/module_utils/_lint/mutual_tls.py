# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules about TLS that clients send and pods refuse.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.mutual_tls import Refusal
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import Case, View
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    ERROR,
    ISTIO,
    FieldChange,
    RuleResult,
    Where,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding_texts import clients_of, destinations
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import rule


@rule("ML235", ERROR, "A rule's TLS that the pods refuse", f"{ISTIO}/destination-rule/#ClientTLSSettings-TLSmode")
def refused_tls(view: View) -> t.Iterator[RuleResult]:
    """tls.mode of a rule and the pods' PeerAuthentications do not go together: every request to these pods fails."""
    by_place: dict[Where, tuple[list[Case], Refusal]] = {}
    for case in view.cases:
        where = view.block(case, "tls", cluster=True)
        if where is None:
            continue
        refusal = view.planner.mutual_tls.refused(case.assignment.cluster_policy.tls, case.assignment.groups)
        if refusal is not None:
            cases, worst = by_place.setdefault(where, ([], refusal))
            cases.append(case)
            by_place[where] = (
                cases,
                max(worst, refusal, key=lambda candidate: len(candidate.members) / candidate.total),
            )
    for where, (cases, refusal) in by_place.items():
        number = "All" if refusal.by_all else f"{len(refusal.members)} of"
        yield RuleResult(
            where.below("mode"),
            f"{number} {refusal.total} endpoints of {destinations(cases)} refuse every request: {refusal.why}.",
            "Requests to them fail today, before anything is lost.",
            "Leave tls out: Istio's automatic mutual TLS sends each pod what it takes.",
            clients_of(cases),
            patch=(FieldChange(where.object, where.path),) if view.planner.mutual_tls.automatic else (),
        )
