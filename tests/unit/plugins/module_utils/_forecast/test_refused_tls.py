# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests whose TLS the pods refuse: a DestinationRule's `tls` and PeerAuthentications that do not go together."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Mesh

from .test_gateway_requests import istio, mesh, rows

Json = dict[str, t.Any]


def peers(mode: str = "", namespace: str = "shop", created: str = "2026-01-01T00:00:00Z", **spec: t.Any) -> Json:
    metadata = {"name": f"{namespace}-{mode or len(spec)}", "namespace": namespace, "creationTimestamp": created}
    body = {**({"mtls": {"mode": mode}} if mode else {}), **spec}
    return {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": metadata, "spec": body}


def tls(mode: str) -> Json:
    return istio("DestinationRule", "shop", "tls", {"host": "web", "trafficPolicy": {"tls": {"mode": mode}}})


def share(*objects: Json) -> float:
    """The share of the client's requests that fails although what it asks for is not lost."""
    row = rows(mesh(*objects), "pod in/ingress-1", "client-1")["web.shop:80"]
    return t.cast("float", row["loss"]["lost_in_the_end"])


@pytest.mark.parametrize(
    ("mode", "sent", "failing"),
    [
        ("STRICT", "DISABLE", 1.0),
        ("STRICT", "SIMPLE", 1.0),
        ("STRICT", "ISTIO_MUTUAL", 0.0),
        ("PERMISSIVE", "DISABLE", 0.0),
        ("DISABLE", "ISTIO_MUTUAL", 1.0),
        ("DISABLE", "DISABLE", 0.0),
    ],
)
def test_requests_fail_that_no_pod_takes(mode: str, sent: str, failing: float) -> None:
    assert share(peers(mode), tls(sent)) == failing


def test_automatic_mutual_tls_always_fits() -> None:
    assert share(peers("STRICT")) == 0.0
    assert share(peers("DISABLE")) == 0.0


def test_of_some_pods_that_refuse_it_is_said() -> None:
    some = peers("STRICT", selector={"matchLabels": {"version": "v1"}})
    row = rows(mesh(some, tls("DISABLE")), "pod in/ingress-1", "client-1")["web.shop:80"]
    assert row["loss"]["lost_in_the_end"] == 0.0
    (some,) = row["unchecked"]
    assert some["code"] == "some-endpoints-need-mutual-tls"
    assert (some["parameters"]["refusing"], some["parameters"]["endpoints"]) == ("1", "2")
    assert some["text"].endswith("1 of 2 endpoints of web.shop.svc.cluster.local refuse it: not judged.")


def test_the_nearest_peer_authentication_counts_and_of_two_the_older() -> None:
    objects = [
        peers("STRICT", "istio-system"),
        peers("PERMISSIVE", created="2026-01-02T00:00:00Z"),
        peers("DISABLE", created="2026-01-03T00:00:00Z"),
        peers(selector={"matchLabels": {"app": "web"}}, portLevelMtls={"8080": {"mode": "STRICT"}}),
    ]
    for number, item in enumerate(objects):
        item["metadata"]["name"] = f"rule-{number}"

    def taken(*some: Json, port: int = 1) -> str:
        snapshot = mesh()
        authentications = build(list(some), mesh=Mesh(version="1.31")).peer_authentications
        planner = Planner(type(snapshot)(**{**vars(snapshot), "peer_authentications": authentications}))
        return planner.mutual_tls.accepted_mode(snapshot.pod_by_key["shop/web-1"], port)

    assert taken() == "PERMISSIVE"
    assert taken(objects[0]) == "STRICT"
    assert taken(*objects[:2]) == "PERMISSIVE"
    assert taken(*objects[:3]) == "PERMISSIVE"
    assert taken(*objects) == "PERMISSIVE"
    assert taken(*objects, port=8080) == "STRICT"
