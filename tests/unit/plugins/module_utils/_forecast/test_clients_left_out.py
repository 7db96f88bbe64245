# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sidecars that do not know a Service have no part in its rows: the answers say which ones, and why."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import (
    Selection,
    forecast,
    resilience,
)

from .test_gateway_requests import istio, mesh, pod

Json = dict[str, t.Any]
OTHER = pod("other-1", "ops", "z1", "10.5.0.1")
NARROW = istio("Sidecar", "ops", "narrow", {"egress": [{"hosts": ["out/*"]}]})


def said(*objects: Json, **chosen: t.Any) -> list[Json | None]:
    """Return the parameters of the assumption, of the forecast and of the matrix."""
    parameters: list[Json | None] = []
    for query in (forecast, resilience):
        answer = query(mesh(OTHER, *objects), Selection(**chosen), levels=["zone"])
        assumptions = [
            entry["parameters"] for entry in answer["assumptions"] if entry["code"] == "clients-without-service"
        ]
        parameters.append(assumptions[0] if assumptions else None)
    return parameters


def test_a_sidecar_resource_leaves_clients_out() -> None:
    left_out = {"services": "ingress.in, web.shop", "clients": "1 in ops (Sidecar ops/narrow)"}
    assert said(NARROW) == [left_out, left_out]


def test_only_chosen_services_and_clients_are_spoken_of() -> None:
    assert said(NARROW, services=("egress",)) == [None, None]
    assert said(NARROW, clients=("client-1",)) == [None, None]
    only = {"services": "web.shop", "clients": "1 in ops (Sidecar ops/narrow)"}
    assert said(NARROW, clients=("other-1",), services=("web",)) == [only, only]


def test_exports_leave_clients_out() -> None:
    ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
    spec = {"hosts": ["pay.example.com"], "ports": ports, "resolution": "STATIC", "exportTo": ["."]}
    left_out = {"services": "pay.example.com", "clients": "3 in shop (exportTo)"}
    assert said(istio("ServiceEntry", "ops", "pay", spec)) == [left_out, left_out]


def test_nothing_is_said_where_all_know_everything() -> None:
    assert said() == [None, None]
