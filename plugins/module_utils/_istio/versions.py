# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between the releases of Istio, as far as it decides where requests go.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._model.unchecked import Unchecked, unchecked

#: The release whose behaviour is computed when nobody says which one.
DEFAULT = "1.31"


@dataclass(frozen=True)
class Semantics:
    """How one release line of istiod decides.

    `checked`: generated meshes were compared with this very istiod (tests/differential); without it the line is the
    nearest checked one with the documented differences taken back. `envoy` is the line of its proxies.
    """

    version: str
    envoy: str
    checked: bool
    #: Pod label topology.istio.io/locality. Source: istio PR 58186.
    locality_label: bool = True
    #: failoverPriority on DNS clusters (with a crash when they have several localities). Source: istio PR 58674.
    dns_failover_priority: bool = True
    #: Namespace annotation networking.istio.io/traffic-distribution. Source: istio PR 58701.
    namespace_distribution: bool = True
    #: First key topology.istio.io/network: preferred, not required. Source: istio PR 60829.
    network_preferred: bool = True
    #: zoneAwareLbSetting in rules and mesh config. Source: istio PRs 60765, 61146.
    zone_aware: bool = True
    #: PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS exists and is on: unready endpoints are sent. Source: istio PR 60690.
    auto_send_unhealthy: bool = True
    #: Mesh config defaultTrafficPolicy. Source: istio PR 60664.
    default_traffic_policy: bool = True
    #: A Sidecar's egress hosts `~namespace/name` leave something out.
    egress_exclusion: bool = True
    #: A subset without `tls` takes that of its rule for what gateways of other networks lead to.
    #: Source: pilot/pkg/xds/endpoints/mtls_checker.go, tlsModeForDestinationRule.
    subset_tls_inherits: bool = True
    #: What an HTTPRoute's rule without any backend answers. Source: pilot/pkg/config/kube/gateway/conversion.go.
    no_backends_status: int = 500
    #: A TCP listener of a Gateway of the Gateway API needs PILOT_ENABLE_ALPHA_GATEWAY_API.
    alpha_tcp_listeners: bool = False
    #: Istio's Gateways of other namespaces do not apply to pods of a Gateway of the Gateway API.
    #: Source: pilot/pkg/model/push_context.go, filterStrictGatewayMerging.
    strict_gateway_merging: bool = True
    #: Whether it is newer than every line that is known here, and computed as the newest of these.
    newer: bool = False

    @property
    def unchecked(self) -> Unchecked | None:
        """What nobody has compared; None for a checked line."""
        if self.checked:
            return None
        if self.newer:
            return unchecked("istio-version-newer", version=self.version, computed_as=NEWEST)
        return unchecked("istio-version-not-compared", version=self.version)

    def knows(self, since: str) -> bool:
        """Whether something that came with a line (`1.32`) is there."""
        return _number(self.version) >= _number(since)


def _number(line: str) -> tuple[int, int]:
    major, _dot, minor = line.partition(".")
    return int(major), int(minor)


_131 = Semantics("1.31", "1.39", True)
_130 = replace(
    _131,
    version="1.30",
    envoy="1.38",
    network_preferred=False,
    zone_aware=False,
    auto_send_unhealthy=False,
    default_traffic_policy=False,
    egress_exclusion=False,
    subset_tls_inherits=False,
    no_backends_status=404,
    alpha_tcp_listeners=True,
    strict_gateway_merging=False,
)
_129 = replace(
    _130, version="1.29", envoy="1.37", checked=False, dns_failover_priority=False, namespace_distribution=False
)
_128 = replace(_129, version="1.28", envoy="1.36", locality_label=False)
_127 = replace(_128, version="1.27", envoy="1.35")

VERSIONS: t.Mapping[str, Semantics] = {release.version: release for release in (_127, _128, _129, _130, _131)}
NEWEST = list(VERSIONS)[-1]


def semantics(version: str) -> Semantics:
    """Return how an istiod of this version (`1.31`, `1.30.4`, `1.31.0-rc.0`, '' for DEFAULT) decides.

    A newer line of Istio 1 than those known is computed as the newest of them, and marked. Raises InvalidInput for an
    older one and for what is no version.
    """
    if not version:
        return VERSIONS[DEFAULT]
    match = re.match(r"v?(\d+)\.(\d+)(?![\d])", version)
    line = f"{match[1]}.{match[2]}" if match else ""
    if match and match[1] == "1" and _number(line) > _number(NEWEST):
        return replace(VERSIONS[NEWEST], version=line, checked=False, newer=True)
    if line not in VERSIONS:
        raise InvalidInput(
            f"Istio {version!r} is not among the versions whose behaviour is known here.",
            do=f"Give one of {', '.join(VERSIONS)} as istio_version; the nearest one is an assumption of yours then.",
        )
    return VERSIONS[line]
