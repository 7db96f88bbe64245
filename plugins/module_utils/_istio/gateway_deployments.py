# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Deployments and Services that istiod makes for Gateways of the Gateway API in manifests.

Source: istio 1.31 manifests/charts/istio-control/istio-discovery/files/kube-gateway.yaml and waypoint.yaml, and
pilot/pkg/config/kube/gatewaycommon/deploymentcontroller.go (extractServicePorts). What a Gateway's parametersRef
changes is not looked at.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_gateways import (
    WAYPOINT_CLASS,
    managed,
    of_istio,
    service_hosts,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import (
    KUBERNETES_GATEWAY,
    build,
    kind_of,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items, mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._model.assumptions import Assumption, assumption
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Json, Mesh

GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
#: The port of a gateway's readiness probe.
_STATUS_PORT = 15021


def deployed(given: t.Sequence[t.Any], objects: t.Sequence[t.Any], mesh: Mesh) -> tuple[list[Json], list[Assumption]]:
    """Return the Deployments and Services for the Gateways of `given` that `objects` has none of, and what is assumed.

    `given` are the objects of manifests, `objects` all there are. A Deployment has one replica, as istiod writes it.
    """
    wanted = {_key(item) for item in given if kind_of(item) == KUBERNETES_GATEWAY}
    if not wanted:
        return [], []
    some = [item for item in objects if kind_of(item) in (KUBERNETES_GATEWAY, "GatewayClass")]
    snapshot = build(some, mesh=mesh)
    there = {(item.get("kind"), *_key(item)) for item in objects if kind_of(item) in ("Deployment", "Service")}
    created: list[Json] = []
    named = []
    for gateway in snapshot.api_gateways:
        if (gateway.namespace, gateway.name) not in wanted:
            continue
        waypoint = gateway.spec.get("gatewayClassName") == WAYPOINT_CLASS
        if not (waypoint or of_istio(gateway, snapshot)) or not managed(gateway, snapshot):
            continue
        name = service_hosts(gateway, snapshot)[0].partition(".")[0]
        labels = {GATEWAY_NAME: gateway.name}
        metadata = {"name": name, "namespace": gateway.namespace, "labels": labels}
        if ("Deployment", gateway.namespace, name) not in there:
            container = {
                "name": "istio-proxy",
                "image": "auto",
                "args": ["proxy", "waypoint" if waypoint else "router"],
            }
            template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
            spec: Json = {"selector": {"matchLabels": labels}, "template": template}
            created.append({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
            named.append(str(gateway))
        if ("Service", gateway.namespace, name) not in there:
            numbers = dict.fromkeys(
                number((mapping(listener) or {}).get("port")) for listener in items(gateway.spec.get("listeners"))
            )
            ports = [
                {"name": f"port-{port}", "port": port, "targetPort": port, "protocol": "TCP"}
                for port in (_STATUS_PORT, *numbers)
                if port
            ]
            spec = {"type": "ClusterIP" if waypoint else "LoadBalancer", "ports": ports, "selector": labels}
            created.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    assumptions = [assumption("gateway-deployed", gateways=", ".join(named))] if named else []
    return created, assumptions


def _key(item: t.Any) -> tuple[str, str]:
    metadata = mapping(item.get("metadata")) or {}
    return str(metadata.get("namespace") or "default"), str(metadata.get("name") or "")
