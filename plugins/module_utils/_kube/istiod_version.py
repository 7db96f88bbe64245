# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the istiod of a cluster decides, by its version: asked for only where the versions differ.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import Forbidden, InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio.control_plane import (
    choose_istiod,
    istiod_version,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import DEFAULT, Semantics, semantics
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import DEPLOYMENT
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import LOCALITY_LABEL

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster, Json

CONTROL_PLANE_NAMESPACE = "istio-system"


def semantics_for(cluster: Cluster, pods: t.Iterable[Json]) -> tuple[Semantics, str]:
    """Return how istiod places these Pod objects, and a sentence when that had to be assumed ('' otherwise).

    Versions place pods differently only when one has the label topology.istio.io/locality. Without such a pod istiod
    is not looked at, which needs no right to list its Deployment.
    """
    labelled = next((pod for pod in pods if LOCALITY_LABEL in (pod["metadata"].get("labels") or {})), None)
    if labelled is None:
        return semantics(DEFAULT), ""
    name = f"{labelled['metadata'].get('namespace', '')}/{labelled['metadata']['name']}"
    assumed = f"Pod {name} has the label {LOCALITY_LABEL}, which Istio before 1.29 ignores; {DEFAULT} was assumed"
    try:
        deployments = cluster.list(DEPLOYMENT, CONTROL_PLANE_NAMESPACE, labels="app=istiod")
    except Forbidden:
        return semantics(DEFAULT), f"{assumed}, because deployments in {CONTROL_PLANE_NAMESPACE} may not be listed."
    try:
        deployment, _revision, _notes = choose_istiod(deployments, None)
        version = istiod_version(deployment) if deployment is not None else ""
        if version:
            return semantics(version), ""
    except InvalidInput as error:
        return semantics(DEFAULT), f"{assumed}. {error}"
    return semantics(DEFAULT), f"{assumed}: no istiod in {CONTROL_PLANE_NAMESPACE} says its version."
