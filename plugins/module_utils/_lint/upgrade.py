# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ML6xx: what another version of Istio understands in another way.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._forecast.selectors import short
from ansible_collections.meshops.locality.plugins.module_utils._forecast.upgrade_difference import (
    ISTIOD,
    PANIC_THRESHOLD,
    UNREADY_ENDPOINTS,
    Change,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import View
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    ERROR,
    INFO,
    ISTIO,
    WARNING,
    RuleResult,
    Where,
    issue,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding_texts import count, listed
from ansible_collections.meshops.locality.plugins.module_utils._lint.precedence import at_each_setting
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import rule
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import (
    LEGACY_REGION_LABEL,
    LEGACY_ZONE_LABEL,
    LOCALITY_LABEL,
    REGION_LABEL,
    ZONE_LABEL,
)

_NOTES = "https://istio.io/latest/news/releases/"
#: Fields of a change that ML602 and ML603 are about; ML601 is about all others.
_UNREADY, _CRASH = (UNREADY_ENDPOINTS, PANIC_THRESHOLD), (ISTIOD,)


def _results(view: View, concerns: t.Callable[[str], bool]) -> t.Iterator[RuleResult]:
    """Yield a result for each field that `concerns` wants, and each reason why it changes with the next version."""
    clients = {client.key: client for client in view.planner.clients}
    alike: dict[tuple[str, str], list[Change]] = {}
    for change in view.next_changes:
        if concerns(change.field):
            alike.setdefault((change.field, change.why), []).append(change)
    for (name, why), changes in alike.items():
        hosts = sorted({change.destination.host for change in changes})
        first = changes[0]
        keys = {key for change in changes for key in change.clients}
        source = next((service.source for service in view.snapshot.services if service.host == hosts[0]), hosts[0])
        yield RuleResult(
            Where(source if len(hosts) == 1 else f"Mesh {view.snapshot.cluster}", name),
            f"With Istio {view.next_version} {name} of {listed(short(host) for host in hosts)} "
            f"changes: {first.before or 'nothing'} now, then {first.after or 'nothing'}.",
            f"{why[0].upper()}{why[1:]}. It concerns {count(len(hosts), 'host')} and {count(len(keys), 'client')}.",
            "Compare the two with the forecast of the upgrade before it.",
            tuple(clients[key] for key in sorted(keys) if key in clients),
        )


@rule("ML601", WARNING, "The next version orders localities differently", _NOTES)
def order(view: View) -> t.Iterator[RuleResult]:
    """Priorities, weights or ejection change with the next version."""
    yield from _results(view, lambda field: field not in (*_UNREADY, *_CRASH))


@rule(
    "ML602", INFO, "The next version treats unready endpoints differently", "https://github.com/istio/istio/pull/60690"
)
def unready(view: View) -> t.Iterator[RuleResult]:
    """Unready endpoints are sent, and panic is off."""
    yield from _results(view, lambda field: field in _UNREADY)


@rule("ML603", ERROR, "The next version crashes on this mesh", issue(61857))
def crash(view: View) -> t.Iterator[RuleResult]:
    """istiod of the next version does not survive these objects."""
    yield from _results(view, lambda field: field in _CRASH)


@rule(
    "ML604",
    WARNING,
    "zoneAwareLbSetting is not known to this version",
    f"{ISTIO}/destination-rule/#ZoneAwareLoadBalancerSetting",
)
def zone_aware(view: View) -> t.Iterator[RuleResult]:
    """istiod before 1.31 takes no notice of it."""
    if view.planner.semantics.zone_aware:
        return
    for where in at_each_setting(view, "zoneAwareLbSetting"):
        yield RuleResult(
            where,
            f"istiod {view.version} does not know zoneAwareLbSetting and ignores it; it applies since 1.31.",
            "Until then localityLbSetting of the mesh applies to this rule.",
            "Use localityLbSetting, or upgrade first.",
        )


@rule("ML605", WARNING, "A locality label that this version does not know", "https://github.com/istio/istio/pull/58186")
def locality_label(view: View) -> t.Iterator[RuleResult]:
    """The pod label topology.istio.io/locality takes effect since 1.29."""
    if view.planner.semantics.locality_label:
        return
    labelled = [pod for pod in view.snapshot.pods if pod.labels.get(LOCALITY_LABEL)]
    if labelled:
        yield RuleResult(
            Where(f"Pod {labelled[0].key}", f"metadata.labels[{LOCALITY_LABEL}]"),
            f"{count(len(labelled), 'pod')} have the label {LOCALITY_LABEL}, which istiod "
            f"{view.version} does not look at.",
            "They are taken to be in the place of their node; with 1.29 they move.",
            "Use istio-locality until then.",
        )


@rule(
    "ML606",
    INFO,
    "Old topology labels",
    "https://kubernetes.io/docs/reference/labels-annotations-taints/#failure-domainbetakubernetesioregion",
)
def legacy_labels(view: View) -> t.Iterator[RuleResult]:
    """failure-domain.beta.kubernetes.io is all that places a node."""
    for current, old in ((REGION_LABEL, LEGACY_REGION_LABEL), (ZONE_LABEL, LEGACY_ZONE_LABEL)):
        nodes = [node.name for node in view.snapshot.nodes if node.labels.get(old) and not node.labels.get(current)]
        if nodes:
            yield RuleResult(
                Where(f"Node {nodes[0]}", f"metadata.labels[{old}]"),
                f"{count(len(nodes), 'node')} ({listed(nodes)}) have {old} and not {current}.",
                "Kubernetes calls the old label deprecated since 1.17, and ztunnel does not read it.",
                f"Label the nodes with {current}.",
            )
