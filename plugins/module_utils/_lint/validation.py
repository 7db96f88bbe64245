# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ML9xx: objects that istiod refuses, and what could not be read.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._forecast.not_judged import judged
from ansible_collections.meshops.locality.plugins.module_utils._istio.validation_texts import NOT_A_REGION
from ansible_collections.meshops.locality.plugins.module_utils._istio.validation_verdict import Verdict
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import View
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    ERROR,
    ISTIO,
    WARNING,
    RuleResult,
    Where,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding_texts import count
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import rule

_VALIDATION = "https://istio.io/latest/docs/ops/common-problems/validation/"
#: Codes that rules with ids of their own speak of.
_ELSEWHERE = frozenset(
    (
        *(f"{setting}-{wrong}" for setting in ("failover", "zone-aware") for wrong in NOT_A_REGION),
        *("weight-sum", "weight-range", "distribute-and-failover", "failover-without-outlier-detection"),
        *("errors-deprecated", "failover-and-topology-key", "zone-aware-topology-key"),
    )
)
#: So many problems of one object are reported.
_MOST = 50


def _said(view: View, level: str) -> t.Iterator[tuple[str, Verdict]]:
    numbers: dict[str, int] = {}
    for name, said in view.verdicts:
        special = said.code in _ELSEWHERE
        if said.level != level or (special and level in ("error", "warning")):
            continue
        numbers[name] = numbers.get(name, 0) + 1
        if numbers[name] <= _MOST:
            yield name, said


#: What to do about what is not judged, by its code.
_GIVE = {
    "namespace-missing": "Give the Namespaces, with the labels that switch injection on.",
    "ambient": "Look at the waypoints' findings.",
    "ambient-without-waypoint": "Deploy a waypoint and label the namespace istio.io/use-waypoint, or use sidecars.",
    "ingress-waypoint": "Judge it by hand.",
    "other-clusters": "Give the other clusters' Services, pods and nodes as well, or suppress it with that reason.",
    "networks-without-gateway": "Give the gateway's Service with its address, or meshNetworks.",
    "gateway-class": "Give the GatewayClass, or judge them by hand.",
    "gateway-routes": "Give the Gateway; write the listeners of a ListenerSet into the Gateway, or judge them by hand.",
    "gateway-address": "Give the WorkloadEntry or the ServiceEntry another address, or judge these Gateways by hand.",
    "waypoint-routes": "Look at them by hand.",
    "gateway-without-pods": "Give the gateway's pods and Services, or a snapshot of the live mesh.",
    "several-networks": "Give the gateway's Service with its address; look at PeerAuthentications by hand.",
    "host-without-service": "Write a ServiceEntry for the host, or name a Service that there is.",
    "service-without-clients": "Import it in the Sidecars of its clients (egress hosts), or suppress it with a reason.",
    "service-without-endpoints": "Give the workloads behind it, or remove the Service.",
    "workload-not-read": "Give its pods (kubectl get pods -o yaml), or a snapshot of the live mesh.",
    "object-misspelt": "Correct apiVersion and kind.",
    "kind-not-read": "Judge it by hand.",
    "no-object": "Render it first, and give what comes out.",
    "file-passed-over": "Render or rename the file.",
    "no-file": "Take it out of the folder, or give the file that it leads to.",
    "kustomization": "Give what kubectl kustomize prints.",
}


#: What other rules report, and what speaks of requests alone.
_OF_OTHERS = (
    *("no-clients", "unreadable", "refused", "unknown-field", "replicas-without-node"),
    "port-without-protocol",
)


def _reported(view: View, level: str, what: str, why: str, fix: str) -> t.Iterator[RuleResult]:
    """Yield the verdicts of a level; `what` may name their {message} and the last part of their path, {field}."""
    for name, said in _said(view, level):
        field = said.path.rpartition(".")[2] or "The field"
        where = Where(name, f"spec.{said.path}" if said.path else "spec")
        yield RuleResult(where, what.format(message=said.message, field=field), why, fix)


@rule("ML901", ERROR, "istiod refuses the object", _VALIDATION)
def refused(view: View) -> t.Iterator[RuleResult]:
    """The admission webhook says no; without it istiod may read the object in another way than is meant."""
    why = "kubectl apply fails with these words; a GitOps controller keeps the old object."
    yield from _reported(view, "error", "istiod refuses the object: {message}.", why, "Correct the field.")


@rule("ML902", WARNING, "istiod warns", _VALIDATION)
def warned(view: View) -> t.Iterator[RuleResult]:
    """istiod accepts the object with a warning, which only who applies it by hand gets to see."""
    yield from _reported(
        view, "warning", "istiod warns: {message}.", "The object takes effect all the same.", "Correct the field."
    )


@rule("ML903", ERROR, "A field that does not exist", f"{ISTIO}/")
def unknown(view: View) -> t.Iterator[RuleResult]:
    """The API server drops it, or refuses the object when it validates strictly."""
    why = "kubectl refuses the object, other clients write it without the field."
    fix = "Correct the name, or move the field to where it belongs."
    yield from _reported(view, "unknown", "{field} is dropped: {message}.", why, fix)


@rule("ML904", ERROR, "A value of a wrong type", f"{ISTIO}/")
def wrong_type(view: View) -> t.Iterator[RuleResult]:
    """istiod cannot decode the object at all."""
    why = "kubectl apply fails; nothing of the object takes effect."
    yield from _reported(view, "type", "istiod cannot read the object: {message}.", why, "Correct the value.")


@rule("ML905", WARNING, "Something could not be read", _VALIDATION)
def unread(view: View) -> t.Iterator[RuleResult]:
    """What could not be read is missing here: what lint says about it may be wrong."""
    for problem in view.snapshot.problems:
        yield RuleResult(
            Where(problem.where, problem.path),
            f"{problem.message[:1].upper()}{problem.message[1:].rstrip('.')}.",
            "Findings about it may be missing or wrong.",
            "Correct the value: the API server does not take it."
            if problem.code == "unexpected-type"
            else "Do what the message says.",
        )


@rule("ML906", WARNING, "Something was not judged", _VALIDATION)
def not_looked_at(view: View) -> t.Iterator[RuleResult]:
    """Part of the mesh is not looked at; what is right or wrong with it is not known."""
    for entry in view.not_judged:
        if entry.code not in _OF_OTHERS:
            yield RuleResult(
                Where(f"({entry.code})"),
                entry.what,
                f"Not known because of it: {entry.hides}.",
                _GIVE[entry.code],
                severity=ERROR if entry.code == "object-misspelt" else "",  # kubectl refuses it
            )


@rule("ML907", ERROR, "Nothing could be judged", _VALIDATION)
def nothing_judged(view: View) -> t.Iterator[RuleResult]:
    """No client, no endpoint or no Node is known, so no rule about where requests go has anything to look at."""
    if not judged(view.planner):
        lacking = "client" if not view.planner.clients else "endpoint"
        number = len(view.snapshot.pods)
        yield RuleResult(
            Where("(mesh)"),
            f"No {lacking} is known here ({count(number, 'pod')}, {count(len(view.snapshot.services), 'Service')}).",
            "Only objects by themselves were checked: that nothing else was found says nothing about failover.",
            "Give the workloads and their Namespaces with their labels, or a snapshot of the mesh, as well.",
        )
    elif not view.snapshot.nodes and not any(client.locality for client in view.planner.clients):
        yield RuleResult(
            Where("(mesh)"),
            "No Node is known here, and no client is in a region.",
            "What is said of localities here, or is not, means nothing.",
            "Give the Nodes (kubectl get nodes -o yaml), or a snapshot of the mesh, as well.",
        )
