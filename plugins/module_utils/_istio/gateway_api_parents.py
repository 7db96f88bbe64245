# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parents of routes of the Gateway API: Services and ServiceEntries inside the mesh, listeners of Gateways.

Source: istio 1.31 pilot/pkg/config/kube/gateway/conversion.go (extractParentReferenceInfo, referenceAllowed,
hostnameAllowedByIsolation, filteredReferences) and pilot/pkg/config/kube/gatewaycommon/references.go (BackendAllowed).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_gateways import (
    Listener,
    Parent,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import covers, overlaps
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items, mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._model.field_filter import GATEWAY_API
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Config, Snapshot

Part = t.Mapping[str, t.Any]
#: Whether a route may name a backend.
Permitted = t.Callable[[Part], bool]

#: The gateway that stands for all sidecars.
MESH = "mesh"
_SERVICES = (("", "Service"), ("core", "Service"))
_ENTRIES = (("networking.istio.io", "ServiceEntry"),)
#: (group, kind) of the parents of routes for requests inside the mesh.
PARENTS_IN_THE_MESH = (*_SERVICES, *_ENTRIES)


class RouteParent(t.NamedTuple):
    """A parent of a route that takes it. Of the mesh: `hosts` are its own, `port` the one it is for, 0 for all.

    Of a Gateway: `listener`, and in `banned` the hostnames of its other listeners on the same port.
    """

    gateway: str
    hosts: tuple[str, ...] = ()
    port: int = 0
    listener: Parent | None = None
    banned: frozenset[str] = frozenset()

    def allows(self, host: str) -> bool:
        """Whether requests for a route's host come to this listener, and not to one that names the host better."""
        own = self.listener.hostname if self.listener else ""
        if own and not own.startswith("*"):
            return True
        if own and not overlaps(host, own):
            return False
        return not any(len(own) <= len(other) and covers(other, host) for other in self.banned)


def parents(route: Config, kind: str, snapshot: Snapshot, listeners: t.Sequence[Listener]) -> list[RouteParent]:
    """Return the parents that take a route, in istiod's order."""
    attached: list[tuple[str, str, RouteParent]] = []
    hostnames = [str(hostname) for hostname in items(route.spec.get("hostnames"))] or ["*"]
    for parentref in items(route.spec.get("parentRefs")):
        reference = mapping(parentref) or {}
        of = (str(reference.get("group", GATEWAY_API)), str(reference.get("kind", "Gateway")))
        name, namespace = str(reference.get("name") or ""), str(reference.get("namespace") or route.namespace)
        section, port = str(reference.get("sectionName") or ""), number(reference.get("port"))
        text = "/".join((*of, name, section, f"{port}.{namespace}"))
        if of in _SERVICES or of in _ENTRIES:
            hosts = _hosts(of[1], namespace, name, snapshot)
            if hosts:
                attached.append((MESH, text, RouteParent(MESH, tuple(hosts), port)))
        elif of == (GATEWAY_API, "Gateway"):
            own = [listener.parent for listener in listeners if listener.gateway == f"{namespace}/{name}"]
            for listener in own:
                if _takes(listener, kind, route.namespace, hostnames, section, port):
                    others = (sibling for sibling in own if sibling is not listener)
                    banned = {other.hostname for other in others if other[-2:] == listener[-2:]} - {listener.hostname}
                    parent = RouteParent(listener.name, listener=listener, banned=frozenset(banned))
                    attached.append((listener.name, text, parent))
    return [parent for _name, _text, parent in sorted(attached, key=lambda entry: entry[:2])]


def _takes(listener: Parent, kind: str, namespace: str, hostnames: list[str], section: str, port: int) -> bool:
    if port not in (0, listener.port) or section not in ("", listener.section) or kind not in listener.kinds:
        return False
    for entry in listener.hosts:
        place, _slash, host = entry.partition("/")
        if place in ("*", namespace) and any(overlaps(host, name) for name in hostnames):
            return True
    return False


def _hosts(kind: str, namespace: str, name: str, snapshot: Snapshot) -> list[str]:
    source = f"{kind} {namespace}/{name}"
    hosts = [service.host for service in snapshot.services if service.source == source]
    return [f"{name}.{namespace}.svc.{snapshot.domain}"] if hosts and kind == "Service" else list(dict.fromkeys(hosts))


def permitted_backends(route: Config, kind: str, snapshot: Snapshot, parent: RouteParent) -> Permitted:
    """Return what says whether a route may name a backend.

    Inside the mesh it may name those of any namespace; of a Gateway those of others only by a ReferenceGrant.
    """
    if parent.gateway == MESH:
        return lambda _reference: True

    def permitted(reference: Part) -> bool:
        place = reference.get("namespace")
        if place is None or place == route.namespace:
            return True
        wanted = _of(reference, "Service")
        return any(
            grant.namespace == place
            and any(
                _of(source, "") == (GATEWAY_API, kind) and source.get("namespace") == route.namespace
                for source in (mapping(entry) or {} for entry in items(grant.spec.get("from")))
            )
            and any(
                _of(target, "") == wanted == ("", "Service") and target.get("name") in (None, reference.get("name"))
                for target in (mapping(entry) or {} for entry in items(grant.spec.get("to")))
            )
            for grant in snapshot.reference_grants
        )

    return permitted


def _of(reference: Part, kind: str) -> tuple[str, str]:
    group = str(reference.get("group", ""))
    return "" if group == "core" else group, str(reference.get("kind", kind))
