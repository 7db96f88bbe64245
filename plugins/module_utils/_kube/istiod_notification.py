# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes istiod notice relabelled nodes, for the Services concerned only.

istiod takes the locality of an endpoint from its node when it builds the endpoint, and a change of the node's labels
does not make it build again (istio 1.31 kube/controller/controller.go, onNodeEvent). Every update of an EndpointSlice
does (endpointslice.go, onEventInternal). An annotation on the Service is not enough: it only works when Kubernetes
rewrites the slice because of it, which it does for a changed zone, but not for a changed region or subzone.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import hashlib
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    Conflict,
    Forbidden,
    LocalityError,
    NotFound,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import ENDPOINT_SLICE, POD
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_objects import SERVICE_NAME

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster, Json

#: The annotation of an EndpointSlice whose change makes istiod look again.
NOTICE_ANNOTATION = "meshops.locality/nodes-relabelled"

#: istiod's injector puts it on every pod with a sidecar.
INJECTED = "security.istio.io/tlsMode=istio"
#: istiod watches nodes and slices separately: the news about the node has to arrive first.
HEAD_START = 1.0
#: How often a slice is read and judged again when Kubernetes writes it meanwhile.
ATTEMPTS = 10


@dataclass(frozen=True)
class Notified:
    """`services`: "namespace/name" whose endpoints istiod was made to build again; `sidecars`: "namespace/pod".

    `unknown_sidecars` says why the sidecars could not be listed, or is empty.
    """

    services: list[str] = field(default_factory=list)
    sidecars: list[str] = field(default_factory=list)
    unknown_sidecars: str = ""


def notify(
    cluster: Cluster,
    nodes: t.Mapping[str, str],
    namespaces: t.Sequence[str] | None,
    *,
    undo: bool = False,
    dry_run: bool = False,
) -> Notified:
    """Touch the EndpointSlices that have endpoints on `nodes` (name → mark of its change).

    The annotation's value is made of the marks, so a notice that was interrupted goes on where it stopped. With `undo`
    the annotation is taken away instead, which istiod notices just as well; where there is none it comes and goes.

    Each slice is written as it was judged, guarded by its version; one that was changed meanwhile is read and judged
    again. Raises the first error of a write; the Services that were notified nevertheless are its detail
    `services_notified`.
    """
    if not nodes:
        return Notified()
    places: t.Sequence[str | None] = list(namespaces) if namespaces else [None]
    slices = [item for place in places for item in cluster.list(ENDPOINT_SLICE, place)]
    touches = [(item, values) for item in slices if (values := _notice(item, nodes, undo))]
    sidecars: list[str] = []
    unknown = ""
    try:
        sidecars = [
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            for place in places
            for pod in cluster.list(POD, place, labels=INJECTED)
            if pod["spec"].get("nodeName") in nodes
        ]
    except Forbidden as error:
        unknown = str(error)  # For information only: no reason to leave istiod in the dark.
    if touches and not dry_run:
        time.sleep(HEAD_START)

    def touch(item: Json) -> tuple[bool, LocalityError | None]:
        return _touch(cluster, item, nodes, undo=undo, dry_run=dry_run)

    touched = cluster.map(touch, [item for item, _values in touches])
    services = sorted(
        {
            f"{item['metadata']['namespace']}/{item['metadata']['labels'][SERVICE_NAME]}"
            for (item, _values), (written, error) in zip(touches, touched, strict=True)
            if written or not error  # istiod builds again with the first of two writes.
        }
    )
    if first := next((error for _written, error in touched if error), None):
        raise type(first)(first.what, do=first.do, **{**first.details, "services_notified": services})
    return Notified(services, sorted(sidecars), unknown)


def _touch(
    cluster: Cluster, item: Json, nodes: t.Mapping[str, str], *, undo: bool, dry_run: bool
) -> tuple[bool, LocalityError | None]:
    """Write what _notice says of one slice; return whether anything was written, and the error."""
    written = False
    name, namespace = item["metadata"]["name"], item["metadata"]["namespace"]
    live: Json | None = item
    last: LocalityError | None = None
    for _attempt in range(ATTEMPTS):
        if live is None:
            return written, None  # Gone or replaced: istiod has built the new one with the new labels.
        values = _notice(live, nodes, undo)
        if undo and written:
            values = values[-1:]  # It came already; what is left is that it goes.
        try:
            for value in values:
                guard = {key: live["metadata"][key] for key in ("uid", "resourceVersion")}
                body = {"metadata": {**guard, "annotations": {NOTICE_ANNOTATION: value}}}
                answer = cluster.merge_patch(ENDPOINT_SLICE, name, body, namespace, dry_run=dry_run)
                live, written = (live if dry_run else answer), not dry_run
            return written, None
        except NotFound:
            return written, None
        except Conflict as error:
            last = error
        except LocalityError as error:
            return written, error
        try:
            live = cluster.get(ENDPOINT_SLICE, name, namespace)
        except LocalityError as error:
            return written, error
    return written, Conflict(
        f"EndpointSlice {namespace}/{name} was changed by somebody else {ATTEMPTS} times in a row.",
        do="Run again.",
        status=409,
        reason=str(last),
    )


def _notice(item: Json, nodes: t.Mapping[str, str], undo: bool) -> list[str | None]:
    """Return the values the annotation gets one after the other (None: remove it); none without anything to notify."""
    metadata = item["metadata"]
    if SERVICE_NAME not in (metadata.get("labels") or {}):
        return []
    concerned = {endpoint.get("nodeName") for endpoint in item.get("endpoints") or []} & set(nodes)
    if not concerned:
        return []
    marks = ",".join(f"{name}:{nodes[name]}" for name in sorted(t.cast("set[str]", concerned)))
    value = hashlib.sha256(marks.encode()).hexdigest()[:16]
    live = (metadata.get("annotations") or {}).get(NOTICE_ANNOTATION)
    if undo:
        return [None] if live else [value, None]
    return [] if live == value else [value]
