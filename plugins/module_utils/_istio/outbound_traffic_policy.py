# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sidecar does with requests to a host that is not among the Services it knows: outboundTrafficPolicy.

Source: istio 1.31 pilot/pkg/model/sidecar.go (initSidecarScopeInternalIndexes:
a Sidecar's own policy, else the mesh's mode alone), pilot/pkg/networking/core/httproute.go (buildCatchAllVirtualHost),
pilot/pkg/networking/core/listener_builder.go (buildOutboundCatchAllNetworkFiltersOnly).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Destination
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Config, Json

ALLOW_ANY, REGISTRY_ONLY, DYNAMIC_DNS = "ALLOW_ANY", "REGISTRY_ONLY", "ALLOW_ANY_DYNAMIC_DNS"
_BY_NUMBER = (REGISTRY_ONLY, ALLOW_ANY, DYNAMIC_DNS)


class OutboundTrafficPolicy(t.NamedTuple):
    """What becomes of requests to hosts that a sidecar does not know.

    `mode`: ALLOW_ANY (passed on to the address that the client asked for, or to `egress_proxy`), REGISTRY_ONLY (502,
    connections end at once), ALLOW_ANY_DYNAMIC_DNS (HTTP goes where the host's name resolves to, all else as with
    ALLOW_ANY; since Istio 1.31, of the mesh only). `source`: where it is written, for people.
    """

    mode: str
    egress_proxy: Destination | None
    source: str


def outbound_traffic_policy(sidecar: Config | None, mesh_config: Json) -> OutboundTrafficPolicy:
    """Return the policy of a client with this Sidecar resource (None: without) in a mesh with this config."""
    own = mapping(sidecar.spec.get("outboundTrafficPolicy")) if sidecar else None
    if sidecar is None or own is None:
        given = mapping(mesh_config.get("outboundTrafficPolicy"))
        return OutboundTrafficPolicy(_mode(given), None, "meshConfig.outboundTrafficPolicy")
    mode = _mode(own)
    proxy = mapping(own.get("egressProxy")) if mode == ALLOW_ANY else None
    egress = None
    if proxy is not None:
        port = number((mapping(proxy.get("port")) or {}).get("number"))
        egress = Destination(str(proxy.get("host") or ""), port, str(proxy.get("subset") or ""))
    return OutboundTrafficPolicy(mode, egress, f"Sidecar {sidecar} outboundTrafficPolicy")


def _mode(given: t.Mapping[str, t.Any] | None) -> str:
    """Return the mode of a policy; Istio's default where there is none, the first of its enum where it names none."""
    if given is None:
        return ALLOW_ANY
    value = given.get("mode", REGISTRY_ONLY)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(_BY_NUMBER):
        return _BY_NUMBER[value]
    return value if value in _BY_NUMBER else REGISTRY_ONLY
