# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backends of routes of the Gateway API, as destinations of VirtualServices.

Source: istio 1.31 pilot/pkg/config/kube/gateway/conversion.go (buildDestination).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_parents import Permitted
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import number
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Config, Json

#: The annotation that VirtualServices of the Gateway API have, and those that people wrote do not.
SEMANTICS = {"internal.istio.io/route-semantics": "gateway"}


class RefusedRoute(Exception):
    """istiod makes nothing of a route."""


def is_gateway_api(route: Config) -> bool:
    """Whether a VirtualService was made of a route of the Gateway API."""
    return all(route.annotations.get(name) == value for name, value in SEMANTICS.items())


def destination_of(reference: t.Mapping[str, t.Any], route: Config, permitted: Permitted) -> tuple[Json, bool]:
    """Return a destination, and whether its kind is one that istiod reads and the route may name it.

    Raises RefusedRoute for a reference that istiod refuses the whole route for.
    """
    if not permitted(reference):
        return {"host": ""}, False
    kind = (str(reference.get("group", "")), str(reference.get("kind", "Service")))
    name = str(reference.get("name") or "")
    if kind in (("", "Service"), ("core", "Service"), ("multicluster.x-k8s.io", "ServiceImport")):
        if "." in name and kind[1] == "Service":
            raise RefusedRoute
        host = f"{name}.{reference.get('namespace') or route.namespace}.svc.{route.domain}"
    elif kind == ("networking.istio.io", "Hostname"):
        if reference.get("namespace") is not None:
            raise RefusedRoute
        host = name
    else:
        return {"host": ""}, False
    if reference.get("port") is None:
        raise RefusedRoute
    return {"host": host, "port": {"number": number(reference["port"])}}, True
