# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which endpoints of a large view are in the result: Envoys that hold odd ones cannot be had on order."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import EnvoyEndpoint
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import PodIndex, Proxy
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._module import endpoints_info

from .test_sidecar_proxies import HOST, NODE, POD, FakeCluster


def test_what_is_not_as_it_should_be_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Locality("r", "z2")
    endpoints = [EnvoyEndpoint(HOST, f"10.9.0.{number}:80", locality=place) for number in range(1, 9)]
    endpoints[6] = dataclasses.replace(endpoints[6], health_reasons=("failed_outlier_check",))
    endpoints.append(EnvoyEndpoint(HOST, "10.0.0.1:80", locality=Locality("r", "z1"), priority=1))
    monkeypatch.setattr(endpoints_info, "read_endpoints", lambda *_given: list(endpoints))
    cluster: t.Any = FakeCluster(pods=[POD], nodes=[NODE])
    params = {"service_host": None, "port": None, "subset": None, "include_settings": False}
    view = endpoints_info._view(cluster, params, PodIndex(cluster, ()), 3, None, Proxy.of(POD))
    assert [entry["address"] for entry in view.client["endpoints"]] == ["10.9.0.7:80", "10.0.0.1:80", "10.9.0.1:80"]
    assert (view.client["endpoints_left_out"], view.client["stale"]) == (6, ["10.0.0.1:80"])
    assert len(view.moved) == 1
