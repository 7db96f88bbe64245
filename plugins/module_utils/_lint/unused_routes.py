# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ML238: routes of another protocol than the ports that they are for.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._forecast.selectors import short
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_parents import MESH
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import covers, resolve
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items, mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._istio.virtual_services import gateways
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import View
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import ISTIO, WARNING, RuleResult, Where
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding_texts import listed
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import rule
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Config, Port

#: Block of routes → what the ports speak that take them, for people.
_SPOKEN = {"http": "HTTP", "tls": "TLS", "tcp": "TCP without TLS"}
_BLOCK_OF = {"TLS": "tls", "HTTPS": "tls"}


def _takes(port: Port, block: str) -> bool:
    """Whether a port takes routes of a block. One whose protocol Istio finds out takes any.

    Source: istio 1.31 pilot/pkg/networking/core/tls.go, buildSidecarOutboundTLSFilterChainOpts and
    buildSidecarOutboundTCPFilterChainOpts; _istio/routes.py decides for a client.
    """
    return not port.protocol or block == ("http" if port.may_be_http else _BLOCK_OF.get(port.protocol, "tcp"))


@rule("ML238", WARNING, "Routes of another protocol than their ports", f"{ISTIO}/virtual-service/#VirtualService")
def other_protocol(view: View) -> t.Iterator[RuleResult]:
    """`tcp` routes for HTTP ports, `http` routes for ports of TCP or TLS: istiod never looks at them."""
    for config in view.snapshot.virtual_services:
        if set(gateways(config)) != {MESH}:
            continue  # a gateway's servers have protocols of their own
        ports = _ports(view, config)
        for block, spoken in _SPOKEN.items():
            entries = [mapping(entry) or {} for entry in items(config.spec.get(block))]
            meant = {name: port for entry in entries for name, port in ports.items() if _for(entry, port)}
            if not entries or not meant or any(_takes(port, block) for port in meant.values()):
                continue
            right = sorted({other for other in _SPOKEN for port in meant.values() if _takes(port, other)})
            speaking = " or ".join(_SPOKEN[other] for other in right)
            yield RuleResult(
                Where(f"VirtualService {config}", f"spec.{block}"),
                f"Routes under {block} are for ports that speak {spoken}; {listed(meant)} "
                f"{'speaks' if len(meant) == 1 else 'speak'} {speaking}.",
                "No request takes any of them, and nothing says so: requests go where they would without them.",
                f"Write them under {' or '.join(right)}, or name the port for what it carries ({block}, appProtocol).",
            )


def _ports(view: View, config: Config) -> dict[str, Port]:
    """Return the ports of the hosts of a VirtualService by name for people, without those of UDP."""
    names = [resolve(str(host), config.namespace, config.domain).lower() for host in items(config.spec.get("hosts"))]
    return {
        f"{short(service.host)}:{port.number}": port
        for service in view.snapshot.services
        if any(covers(name, service.host.lower()) for name in names)
        for port in service.ports
        if port.protocol != "UDP"
    }


def _for(entry: t.Mapping[str, t.Any], port: Port) -> bool:
    """Whether a route is for a port: one that its matches name, or any when one of them names none."""
    wanted = [number((mapping(match) or {}).get("port")) for match in items(entry.get("match"))]
    return not wanted or any(given in (0, port.number) for given in wanted)
