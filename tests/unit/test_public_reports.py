# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Situations that people reported in public, as small meshes in tests/reports, each with what is right."""

from __future__ import annotations

import functools
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import (
    Ability,
    Selection,
    forecast,
    plan,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import Finding
from ansible_collections.meshops.locality.plugins.module_utils._lint.lint import lint
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot
from ansible_collections.meshops.locality.plugins.module_utils._module.topology_info import assembled
from ansible_collections.meshops.locality.plugins.module_utils._report.prediction import prediction_table
from ansible_collections.meshops.locality.plugins.module_utils._source import manifests
from ansible_collections.meshops.locality.plugins.module_utils._source.control_plane import Wanted
from tests.conftest import ROOT

Json = dict[str, t.Any]


@functools.cache
def mesh(number: str) -> Snapshot:
    """The mesh of the report whose folder begins with this number, as Istio 1.31."""
    (folder,) = (ROOT / "tests" / "reports").glob(f"{number}-*")
    return assembled(None, manifests.read([str(folder)]), Wanted(version="1.31"), "").snapshot


def findings(number: str) -> list[Finding]:
    return lint(mesh(number))


def ids(number: str) -> set[str]:
    return {one.id for one in findings(number)}


def losses(number: str, service: str, loss: str, *faults: str, rate: float = 20) -> list[Json]:
    """One entry for each kind of client of what a loss does."""
    found = forecast(
        mesh(number),
        Selection(services=(service,)),
        losses=[loss],
        faults=faults or ("refused",),
        ability=Ability(rate=rate, lose_clients=False),
    )
    assert found["rows"]
    return [row["losses"][0] for row in found["rows"]]


def test_a_cluster_ip_as_a_dns_endpoint_is_never_removed() -> None:
    for one in losses("12", "pay.global", "region us-west-2"):
        assert (one["verdict"], one["until"], one["lost_in_the_end"]) == ("dies", "never", 1.0)
        assert one["failover"]["refused"]["seconds"] is None
    rows = plan(mesh("12"), Selection(services=("pay.global",)))
    assert {row["ejection"]["endpoints"] for row in rows} == {2}
    assert any("may resolve to several addresses" in sentence for row in rows for sentence in row["unchecked"])


def test_hosts_outside_of_kubernetes_are_never_removed() -> None:
    rows = plan(mesh("15"), Selection(services=("bureau.example.com",)))
    assert all([one["priority"] for one in row["priorities"]] == [0, 1] for row in rows)
    for one in losses("15", "bureau.example.com", "pod one.bureau.example.com:443"):
        assert (one["until"], one["lost_in_the_end"], one["readiness_seconds"]) == ("never", 1.0, None)
    told = {one.id: one for one in findings("15")}
    assert "for ever" in told["ML202"].why
    assert not any("45 to 60 s" in one.why for one in told.values() if one.id.startswith("ML2"))


def test_endpoints_that_are_published_unready_are_never_removed() -> None:
    for one in losses("28", "peers.data", "zone east-a"):
        if one["verdict"] != "untouched":
            assert (one["until"], one["lost_in_the_end"]) == ("never", 1.0)
    assert any(one["until"] == "never" for one in losses("28", "peers.data", "zone east-a"))


def test_each_row_speaks_of_its_own_fault() -> None:
    faults = ("gateway_error", "server_error", "refused")
    (one,) = losses("08b", "hello-00008.apps", "pod hello-00008-assumed-0", *faults)
    assert one["failover"]["gateway_error"]["ends_by"] == "ejection"
    assert one["failover"]["server_error"]["ends_by"] == "never"
    assert one["failover"]["server_error"]["seconds"] is None
    assert one["failover"]["refused"]["ends_by"] == "ejection"
    found = forecast(
        mesh("08b"), Selection(services=("hello-00008.apps",)), losses=["pod hello-00008-assumed-0"], faults=faults
    )
    lines = [line for line in prediction_table(found).splitlines() if "server_error" in line]
    assert len(lines) == 1
    for words in (" never ", "for ever", "33.3 %"):
        assert words in lines[0]


@pytest.mark.parametrize("fault", ["gateway_error", "server_error", "hang"])
def test_a_pod_that_accepts_connections_stays_ready_unless_somebody_says_that_its_probe_notices(fault: str) -> None:
    selection = Selection(services=("quotes.shop",), clients=("*/us-west-2a*",))
    asked: Json = {"losses": ["zone us-west-2a"], "faults": [fault]}
    (one,) = forecast(mesh("04"), selection, **asked)["rows"][0]["losses"]
    assert one["until"] in ("ejection", "never")
    assert one["readiness_seconds"] is None
    (one,) = forecast(mesh("04"), selection, readiness=30.0, **asked)["rows"][0]["losses"]
    assert one["readiness_seconds"] == [30.0, 30.0]
    assert one["until"] in ("ejection", "readiness")
