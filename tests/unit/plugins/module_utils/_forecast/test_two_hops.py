# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that leave by an egress gateway: which of its pods they pass decides what they meet, also after a loss."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import Ability, Selection, forecast
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot

from .test_gateway_requests import istio, pod, route, service
from .test_matrix_of_unusual_meshes import EXTERNAL, WEB, codes, gateway, server, snapshot_of

Json = dict[str, t.Any]

EGRESS, SECOND = "egress.out.svc.cluster.local", "second.out.svc.cluster.local"
EJECTION: Json = {"outlierDetection": {"consecutive5xxErrors": 2, "maxEjectionPercent": 100}}
#: Nobody leaves its zone.
STAYING = [{"from": f"r/{zone}/*", "to": {f"r/{zone}/*": 100}} for zone in ("z1", "z2")]
PINNED: Json = {"loadBalancer": {"localityLbSetting": {"enabled": True, "distribute": STAYING}}}
MOSTLY: Json = {
    "loadBalancer": {
        "localityLbSetting": {"enabled": True, "distribute": [{"from": "r/*", "to": {"r/z1/*": 95, "r/z2/*": 5}}]}
    }
}


def to(host: str, port: int, by: str, **more: t.Any) -> Json:
    target = route((host, "", 100), match=[{"gateways": [by]}], **more)
    target["route"][0]["destination"]["port"] = {"number": port}
    return target


def mesh(
    first: Json | None = None, second: Json | None = None, webs: t.Sequence[str] = ("z1", "z2"), *http: Json
) -> Snapshot:
    """A client in z1, an egress gateway with a pod in each zone, and pods of web in some zones; two policies."""
    web = [server(f"web-{index}", zone, f"10.1.0.{index}") for index, zone in enumerate(webs, 1)]
    pods = {
        name: [pod(f"{name}-{zone}", "out", zone, f"10.{net}.0.{zone[1]}", "router") for zone in ("z1", "z2")]
        for name, net in (("egress", 2), ("second", 3))
    }
    policies = ((EGRESS, first), (WEB, second))
    rules = [
        istio("DestinationRule", "shop", f"rule-{index}", {"host": host, "trafficPolicy": policy})
        for index, (host, policy) in enumerate(policies)
        if policy
    ]
    routes = http or (to(EGRESS, 8080, "mesh"), to(WEB, 80, "out/eg"))
    spec = {"hosts": [EXTERNAL], "gateways": ["mesh", "out/eg", "out/second"], "http": list(routes)}
    return snapshot_of(
        *(*web, *service("web", "shop", web), pod("client-1", "shop", "z1", "10.4.0.1"), *rules),
        *(*pods["egress"], *service("egress", "out", pods["egress"], 8080)),
        *(*pods["second"], *service("second", "out", pods["second"], 8081)),
        gateway("out", "eg", "egress", EXTERNAL, 8080),
        gateway("out", "second", "second", EXTERNAL, 8081),
        istio("VirtualService", "shop", "way", spec),
    )


def row(snapshot: Snapshot, *losses: t.Any, **asked: t.Any) -> Json:
    ability = Ability(rate=10, lose_clients=False)
    result = forecast(snapshot, Selection(clients=("client-1",)), losses=list(losses), ability=ability, **asked)
    (own,) = [entry for entry in result["rows"] if (entry["service"], entry["port"]) == (EXTERNAL, 80)]
    return own


def fates(own: Json) -> list[tuple[str, float, float]]:
    """Return (verdict, share that fails at first, share that fails for good) of each loss."""
    courses = [next(iter(loss["failover"].values()), None) for loss in own["losses"]]
    return [
        (loss["verdict"], round(loss["lost_at_first"], 3), course["failing_for_good"] if course else 0.0)
        for loss, course in zip(own["losses"], courses, strict=True)
    ]


def test_the_gateway_that_is_left_has_no_endpoint() -> None:
    """All requests move to the gateway in z2, which may ask z2 alone, where nothing is."""
    own = row(mesh(EJECTION, PINNED, ("z1",)), "pod out/egress-z1", "pod out/egress-z2")
    assert own["now"]["localities"] == {"r/z1": 1.0}
    assert [fate[::2] for fate in fates(own)] == [("dies", 1.0), ("untouched", 0.0)]


def test_the_gateway_that_is_left_is_beside_what_is_left() -> None:
    """Half of the requests pass the gateway that is lost, to the endpoint that is lost; the others meet neither."""
    own = row(mesh(None, PINNED), "zone r/z1")
    assert [fate[1:] for fate in fates(own)] == [(0.5, 0.0)]
    assert own["losses"][0]["settled"]["localities"] == {"r/z2": 1.0}


def test_gateways_get_what_the_first_hop_gives_them() -> None:
    own = row(mesh(MOSTLY, PINNED), "pod shop/web-1")
    assert own["now"]["localities"] == {"r/z1": 0.95, "r/z2": 0.05}
    assert [hop["share"] for hop in own["destinations"][0]["onward"]] == [0.95, 0.05]
    assert fates(own) == [("dies_in_part", 0.95, 0.95)]


def test_a_third_hop_is_followed() -> None:
    ways = (to(EGRESS, 8080, "mesh"), to(SECOND, 8081, "out/eg"), to(WEB, 80, "out/second"))
    own = row(mesh(EJECTION, None, ("z1",), *ways), "pod shop/web-1", "zone r/z2")
    assert own["now"]["pods"] == {"web-1": 1.0}
    assert [fate[0] for fate in fates(own)] == ["dies", "survives"]


def test_gateways_that_lead_to_each_other_are_not_followed() -> None:
    ways = (to(EGRESS, 8080, "mesh"), to(SECOND, 8081, "out/eg"), to(EGRESS, 8080, "out/second"))
    assert "host-not-at-gateway" in codes(row(mesh(None, None, ("z1",), *ways), "zone r/z1")["unchecked"])


@pytest.mark.parametrize("status", [503, 200])
@pytest.mark.parametrize("hop", ["mesh", "out/eg"])
@pytest.mark.parametrize("fault", ["refused", "server_error", "hang", "removed"])
def test_a_route_that_aborts_all_requests(fault: str, hop: str, status: int) -> None:
    abort = {"fault": {"abort": {"percentage": {"value": 100}, "httpStatus": status}}}
    ways = (
        to(EGRESS, 8080, "mesh", **(abort if hop == "mesh" else {})),
        to(WEB, 80, "out/eg", **(abort if hop == "out/eg" else {})),
    )
    own = row(mesh(None, None, ("z1", "z2"), *ways), "zone r/z2", faults=[fault])
    assert own["now"]["none"] == (1.0 if status == 503 else 0.0)
