# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Istio's own bookinfo with its route reviews-80-20: v1 in one zone, v2 in another, v3 in a third gets nothing."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import (
    Ability,
    Selection,
    forecast,
    resilience,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Mesh, Snapshot

from .test_gateway_requests import istio, pod, route, service

Json = dict[str, t.Any]
ZONES = ("z1", "z2", "z3")
ASKS = Ability(lose_clients=False)


def bookinfo() -> Snapshot:
    reviews = [pod(f"reviews-v{n}", "shop", f"z{n}", f"10.1.0.{n}", version=f"v{n}") for n in (1, 2, 3)]
    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": f"node-{zone}",
                "labels": {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": zone},
            },
        }
        for zone in ZONES
    ]
    subsets = [{"name": f"v{n}", "labels": {"version": f"v{n}"}} for n in (1, 2, 3)]
    split = {"hosts": ["reviews"], "http": [route(("reviews", "v1", 80), ("reviews", "v2", 20))]}
    objects = [
        *nodes,
        *reviews,
        pod("productpage-1", "shop", "z1", "10.4.0.1"),
        *service("reviews", "shop", reviews, 9080),
        istio("DestinationRule", "shop", "reviews", {"host": "reviews", "subsets": subsets}),
        istio("VirtualService", "shop", "reviews", split),
    ]
    return build(objects, mesh=Mesh(version="1.31"))


def test_each_zone_takes_the_share_of_its_version() -> None:
    asked = Selection(services=("reviews",), clients=("app=productpage",))
    (row,) = forecast(bookinfo(), asked, levels=["zone"], ability=ASKS)["rows"]
    assert row["now"]["localities"] == {"r/z1": 0.8, "r/z2": 0.2}
    lost = {loss["loss"]: (loss["verdict"], loss["lost_in_the_end"]) for loss in row["losses"]}
    assert lost == {
        "zone r/z1": ("dies_in_part", 0.8),
        "zone r/z2": ("dies_in_part", 0.2),
        "zone r/z3": ("untouched", 0.0),
    }


def test_the_matrix_grades_each_zone() -> None:
    asked = Selection(services=("reviews",), clients=("app=productpage",))
    (row,) = resilience(bookinfo(), asked, levels=["zone"], ability=ASKS)["rows"]
    assert [(entry["loss"], entry["sign"], entry["for_good"]) for entry in row["entries"]] == [
        ("zone r/z1", "◐", 0.8),
        ("zone r/z2", "◐", 0.2),
        ("zone r/z3", "·", 0.0),
    ]
