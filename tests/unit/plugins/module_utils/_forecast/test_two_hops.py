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
    first: Json | None = None,
    second: Json | None = None,
    webs: t.Sequence[str] = ("z1", "z2"),
    *http: Json,
    more: t.Sequence[Json] = (),
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
        *more,
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


def two_kinds(policy: Json | None, *, other_host: bool = False, ready: bool = True) -> Snapshot:
    """One pod of the gateway has the host; the other, in z2, has another one or none. `ready`: the first."""
    web = [server("web-1", "z1", "10.1.0.1")]
    egress = [
        pod("egress-a", "out", "z1", "10.2.0.1", "router"),
        pod("egress-b", "out", "z2", "10.2.0.2", "router", version="v2"),
    ]
    behind = service("egress", "out", egress, 8080)
    behind[1]["endpoints"][0]["conditions"] = {"ready": ready, "serving": ready, "terminating": False}
    gateways = [gateway("out", "eg", "egress", EXTERNAL, 8080), gateway("out", "other", "egress", "else.com", 8080)]
    for each, version in zip(gateways, ("v1", "v2"), strict=True):
        each["spec"]["selector"]["version"] = version
    http = [to(EGRESS, 8080, "mesh"), to(WEB, 80, "out/eg")]
    spec = {"hosts": [EXTERNAL], "gateways": ["mesh", "out/eg"], "http": http}
    rule = [istio("DestinationRule", "shop", "egress", {"host": EGRESS, "trafficPolicy": policy})] if policy else []
    return snapshot_of(
        *(*web, *service("web", "shop", web), pod("client-1", "shop", "z1", "10.4.0.1"), *egress, *behind, *rule),
        *gateways[: 1 + other_host],
        istio("VirtualService", "shop", "way", spec),
    )


@pytest.mark.parametrize("other_host", [True, False])
def test_a_pod_of_the_gateway_without_the_host_answers_with_an_error(other_host: bool) -> None:
    """As long as nothing is lost it gets no requests; when the other one is lost it gets them all."""
    own = row(two_kinds(EJECTION, other_host=other_host), "pod shop/web-1", "pod out/egress-a", "pod out/egress-b")
    assert own["now"]["pods"] == {"web-1": 1.0}
    assert [fate[0] for fate in fates(own)] == ["dies", "dies", "untouched"]


def test_half_of_the_requests_pass_a_pod_without_the_host() -> None:
    own = row(two_kinds(None, other_host=True), "pod out/egress-b")
    assert (own["now"]["none"], own["now"]["pods"]) == (0.5, {"web-1": 0.5})
    assert own["losses"][0]["settled"]["pods"] == {"web-1": 1.0}


def test_the_gateway_with_the_host_is_not_ready() -> None:
    own = row(two_kinds(EJECTION, other_host=True, ready=False), "pod shop/web-1")
    assert (own["now"]["none"], own["losses"][0]["grade"]) == (1.0, "fails today")


def test_a_part_that_the_other_gateway_cannot_reach_dies() -> None:
    """Half of the requests behind the gateways go to a Service that is in z1 alone, and stay in their zone."""
    half = route((WEB, "", 50), ("other.shop.svc.cluster.local", "", 50), match=[{"gateways": ["out/eg"]}])
    other = [server("other-1", "z1", "10.6.0.1")]
    rule = istio("DestinationRule", "shop", "other", {"host": "other", "trafficPolicy": PINNED})
    more = (*other, *service("other", "shop", other), rule)
    whole = mesh(EJECTION, PINNED, ("z1", "z2"), to(EGRESS, 8080, "mesh"), half, more=more)
    assert fates(row(whole, "pod out/egress-z1")) == [("dies_in_part", 1.0, 0.5)]
