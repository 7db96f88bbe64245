# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What findings about requests say of gateways: they send those that their Gateways and routes let in."""

from __future__ import annotations

import pytest

from tests.unit.plugins.module_utils._lint.cases import HOST, failover, gateways, web
from tests.unit.plugins.module_utils._lint.meshes import Json, findings, istio


def gateway(tls: Json | None = None) -> Json:
    port: Json = {"number": 80, "name": "http", "protocol": "HTTP"}
    if tls is not None:
        port = {"number": 15443, "name": "tls", "protocol": "TLS"}
    server: Json = {"port": port, "hosts": ["*.example.com"], **({"tls": tls} if tls is not None else {})}
    return istio("Gateway", "in", "edge", {"selector": {"app": "gw"}, "servers": [server]})


def led_to(host: str, **entry: Json) -> Json:
    route = {"route": [{"destination": {"host": host}}], **entry}
    return istio("VirtualService", "in", "edge", {"hosts": ["a.example.com"], "gateways": ["in"], "http": [route]})


@pytest.mark.parametrize(
    ("objects", "asks"),
    [
        ([], True),  # what leads there is not known
        ([gateway()], False),
        ([gateway(), led_to("other.shop.svc.cluster.local")], False),
        ([gateway(), led_to(HOST)], True),
        ([gateway(), led_to("other.shop.svc.cluster.local", mirror={"host": HOST})], True),
        ([gateway({"mode": "AUTO_PASSTHROUGH"})], True),
    ],
)
def test_a_gateway_asks_for_what_its_routes_lead_to(objects: list[Json], asks: bool) -> None:
    mesh = [*web(failover("[{from: r1, to: r2}]")), *gateways("n0"), *objects]
    (finding,) = [finding for finding in findings(mesh) if finding.id == "ML220"]
    assert ("edge/gw-0" in finding.named) is asks
