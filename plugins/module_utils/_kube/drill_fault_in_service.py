# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault evacuate: endpoints leave the Service while their pods stay and go on to answer, so that nothing is lost.

First every pod of the Service gets a label, and the Service's selector asks for it: that changes no endpoint. Then the
label is taken off the pods in the scope: their endpoints leave. No workload notices, because its own selector does not
know the label. Pods that are made meanwhile lack it, and become endpoints when the selector is as before.

A sidecar that no Service selects loses its inbound cluster before its inbound listener, and answers 503 (response flag
NC) until clients know that the endpoint has left. So a headless Service of the drill's own, which istiod shows to no
client, selects all pods before and until all is back. Source: istio pilot/pkg/xds/delta.go PushOrder (clusters before
listeners), pilot/pkg/networking/core/listener_inbound.go; seen on 1.31.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import GONE, RESTORED, Target
from ansible_collections.meshops.locality.plugins.module_utils._drill.target_restoration import TargetRestoration
from ansible_collections.meshops.locality.plugins.module_utils._errors import Conflict, NotFound, NotReady
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_target_state import (
    create_own,
    delete_own,
    label_of,
    live_pod,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import POD, SERVICE
from ansible_collections.meshops.locality.plugins.module_utils._model.workload_problems import is_ready

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Json = dict[str, t.Any]

#: On the pods that serve while a drill evacuates others, and in the Service's selector.
LABEL = "meshops.locality/serving"
#: The kind of the target that is the Service of the drill's own.
INBOUND = "InboundService"
#: So often pods that came meanwhile are looked for before the selector is changed.
TRIES = 5
#: Between a change of labels and one of the selector, in either order. The controller of endpoints reads pods and
#: Services from two caches: with a new selector and old labels it would take every endpoint out for a moment.
#: Source: kubernetes pkg/controller/endpointslice/endpointslice_controller.go (podLister, serviceLister).
SETTLE_SECONDS = 2.0


def obstacle(cluster: Cluster, target: Target, drill: str) -> str:
    """Return why label, selector or Service cannot be written, '' when they can. Asks, and changes nothing."""
    if target.kind == INBOUND:
        _create(cluster, target, drill, dry_run=True)
        return ""
    if target.kind == "Service":
        service = _live_service(cluster, target)
        if service is None:
            return f"Service {target.where} was deleted."
        selector = service["spec"].get("selector") or {}
        if not selector:
            return f"Service {target.where} has no selector: its endpoints are not ours to choose."
        if LABEL in selector:
            return f"Service {target.where} is evacuated already: run the playbook meshops.locality.restore first."
        _select(cluster, target, service, drill, dry_run=True)
        return ""
    pod = live_pod(cluster, target)
    if pod is None:
        return f"Pod {target.where} was deleted."
    _mark(cluster, pod, drill, dry_run=True)
    return ""


def inject(cluster: Cluster, target: Target, drill: str, _seconds: float) -> str:
    """Select all pods once more; let the Service select by the label, which all have; or take the label off a pod."""
    if target.kind == INBOUND:
        _create(cluster, target, drill)
        return f"Service {target.where} selects all pods, so that their sidecars go on to serve."
    if target.kind != "Service":
        pod = live_pod(cluster, target)
        if pod is None or not _mark(cluster, pod, None):
            raise NotReady(f"Pod {target.where} was deleted or replaced before the fault.")
        return f"{target.where}: no endpoint of the Service any more; the pod stays."
    for _try in range(TRIES):
        service = _live_service(cluster, target)
        if service is None:
            raise NotReady(f"Service {target.where} was deleted before the fault.")
        selector = dict(service["spec"].get("selector") or {})
        if selector.get(LABEL) == drill:
            return f"Service {target.where} selects by {LABEL}, which all of its pods have."
        labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        pods = cluster.list(POD, target.namespace, labels=labels)
        without = [pod for pod in pods if label_of(pod, LABEL) != drill]
        if not without:
            _select(cluster, target, service, drill)
            continue
        cluster.map(lambda pod: _mark(cluster, pod, drill), without)
        time.sleep(SETTLE_SECONDS)
    raise NotReady(f"The pods of Service {target.where} change too fast: it was left as it is.")


def undo_once(cluster: Cluster, target: Target, drill: str, _changed: bool) -> TargetRestoration:
    """Put the label back on a pod; of the Service, the selector as it was, then take the label off every pod; delete
    the drill's own Service."""
    if target.kind == INBOUND:
        return delete_own(cluster, SERVICE, target, LABEL, drill)
    if target.kind == "Service":
        return _undo_service(cluster, target, drill)
    pod = live_pod(cluster, target)
    if pod is None:
        return TargetRestoration(
            target, GONE, "The pod was deleted or replaced meanwhile; its successor becomes an endpoint."
        )
    if label_of(pod, LABEL) != drill and _selects(cluster.get(SERVICE, target.part, target.namespace), drill):
        again = _mark(cluster, pod, drill)
        return TargetRestoration(target, "", error="The pod has its label again.", changed=again)
    if not is_ready(pod):
        return TargetRestoration(target, "", error="The pod is not ready.")
    return TargetRestoration(target, RESTORED, f"Same pod, ready; Service {target.part} selects it.")


def _undo_service(cluster: Cluster, target: Target, drill: str) -> TargetRestoration:
    service = _live_service(cluster, target)
    if service is not None and _selects(service, drill):
        _select(cluster, target, service, None)
        return TargetRestoration(target, "", error="The selector is as before.", changed=True)
    marked = cluster.list(POD, target.namespace, labels=f"{LABEL}={drill}")
    if marked:
        time.sleep(SETTLE_SECONDS)
        cluster.map(lambda pod: _mark(cluster, pod, None), marked)
        return TargetRestoration(target, "", error="The label is taken off the pods.", changed=True)
    if service is None:
        return TargetRestoration(target, GONE, f"Service {target.where} was deleted meanwhile; no pod has the label.")
    return TargetRestoration(
        target, RESTORED, f"The selector of Service {target.where} is as before; no pod has the label."
    )


def vanished(cluster: Cluster, target: Target, drill: str) -> str:
    """Return who ended the fault, '' while it lasts."""
    if target.kind == INBOUND:
        return ""  # without it requests may fail; the fault lasts
    if target.kind == "Service":
        selects = _selects(_live_service(cluster, target), drill)
        return "" if selects else f"The selector of Service {target.where} was set back by somebody else."
    pod = live_pod(cluster, target)
    if pod is None:
        return f"Pod {target.where} was deleted or replaced."
    return f"Pod {target.where} got its label back from somebody else." if label_of(pod, LABEL) == drill else ""


def _create(cluster: Cluster, target: Target, drill: str, *, dry_run: bool = False) -> None:
    service = cluster.get(SERVICE, target.part, target.namespace)
    if service is None:
        raise NotReady(f"Service {target.namespace}/{target.part} was deleted before the fault.")
    spec = service["spec"]
    ports = [{key: port[key] for key in port if key != "nodePort"} for port in spec.get("ports") or ()]
    body = {
        "metadata": {
            "name": target.name,
            "namespace": target.namespace,
            "annotations": {"networking.istio.io/exportTo": "~"},
        },
        "spec": {"clusterIP": "None", "ports": ports, "selector": spec.get("selector")},
    }
    create_own(cluster, SERVICE, body, LABEL, drill, dry_run=dry_run)


def _live_service(cluster: Cluster, target: Target) -> Json | None:
    item = cluster.get(SERVICE, target.name, target.namespace)
    return item if item is not None and item["metadata"].get("uid") == target.uid else None


def _selects(service: Json | None, drill: str) -> bool:
    return service is not None and (service["spec"].get("selector") or {}).get(LABEL) == drill


def _select(cluster: Cluster, target: Target, service: Json, drill: str | None, *, dry_run: bool = False) -> None:
    body = {
        "metadata": {"resourceVersion": service["metadata"]["resourceVersion"]},
        "spec": {"selector": {LABEL: drill}},
    }
    try:
        cluster.merge_patch(SERVICE, target.name, body, target.namespace, dry_run=dry_run)
    except Conflict as error:
        raise NotReady(f"Service {target.where} was changed by somebody else meanwhile.") from error


def _mark(cluster: Cluster, pod: Json, drill: str | None, *, dry_run: bool = False) -> bool:
    """Give this very pod the label, or take it off; False when the pod is gone or another one has its name."""
    metadata = pod["metadata"]
    body = {"metadata": {"uid": metadata["uid"], "labels": {LABEL: drill}}}
    try:
        cluster.merge_patch(POD, metadata["name"], body, metadata["namespace"], dry_run=dry_run)
    except (NotFound, Conflict):
        return False
    return True
