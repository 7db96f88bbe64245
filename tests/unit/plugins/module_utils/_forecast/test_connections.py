# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that are not HTTP: clients get no status, and Envoy sees of a connection only whether it comes about."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import (
    Ability,
    Selection,
    forecast,
    plan,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._lint.lint import lint
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Mesh, Snapshot
from ansible_collections.meshops.locality.plugins.module_utils._report.prediction_table import prediction_table

from .test_gateway_requests import istio, pod, service

Json = dict[str, t.Any]
POLICY = {
    "loadBalancer": {"localityLbSetting": {"enabled": True}},
    "outlierDetection": {"consecutive5xxErrors": 1, "maxEjectionPercent": 100},
}


def node(zone: str) -> Json:
    labels = {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": zone}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{zone}", "labels": labels}}


def mesh(protocol: str, *more: Json, zones: t.Sequence[str] = ("z1", "z2"), distribute: Json | None = None) -> Snapshot:
    """A client in z1, and the Service db with one pod in each zone; its port's name begins with a protocol."""
    pods = [pod(f"db-{zone}", "shop", zone, f"10.1.0.{index}") for index, zone in enumerate(zones, 1)]
    objects = service("db", "shop", pods, 5432)
    for item in objects:
        for port in (item["spec"] if item["kind"] == "Service" else item)["ports"]:
            port["name"] = protocol
    policy = POLICY if distribute is None else {**POLICY, "loadBalancer": {"localityLbSetting": distribute}}
    rule = istio("DestinationRule", "shop", "db", {"host": "db", "trafficPolicy": policy})
    client = pod("client-1", "shop", "z1", "10.4.0.1")
    return build([node("z1"), node("z2"), *pods, client, *objects, rule, *more], mesh=Mesh(version="1.31"))


def answer(snapshot: Snapshot, faults: t.Sequence[str] = ("refused",), loss: str = "zone r/z1") -> tuple[Json, str]:
    ability = Ability(rate=10, lose_clients=False)
    prediction = forecast(
        snapshot, Selection(services=("db",), clients=("client-1",)), losses=[loss], ability=ability, faults=faults
    )
    (row,) = prediction["rows"]
    return row, prediction_table(prediction)


@pytest.mark.parametrize(("protocol", "then"), [("http", "503"), ("tcp", "closed"), ("tls", "closed"), ("", "503")])
def test_a_client_of_a_tcp_port_gets_no_status(protocol: str, then: str) -> None:
    row, text = answer(mesh(protocol, zones=("z1",)))
    assert row["protocol"] == ("http" if then == "503" else "tcp")
    (line,) = [line for line in text.splitlines() if "✗ dies" in line]
    assert line.rstrip().endswith(then)
    assert ("503" in text) is (then == "503")
    assert f"10 {'requests' if then == '503' else 'connections'} a second of each client" in text
    assert f"failed {'requests' if then == '503' else 'connections'}" in text


@pytest.mark.parametrize(
    ("fault", "http", "tcp"),
    [
        ("refused", "ejection", "ejection"),
        ("blackhole", "ejection", "ejection"),
        ("reset", "ejection", "readiness"),
        ("gateway_error", "ejection", "never"),
        ("server_error", "ejection", "never"),
        ("hang", "never", "never"),
    ],
)
def test_what_comes_after_a_connection_stood_ejects_no_endpoint_of_a_tcp_port(fault: str, http: str, tcp: str) -> None:
    """Envoy itself is asked in tests/differential/test_envoy.py."""
    for protocol, ends_by in (("http", http), ("tcp", tcp)):
        row, _text = answer(mesh(protocol), (fault,))
        (loss,) = row["losses"]
        assert (protocol, fault, loss["until"]) == (protocol, fault, ends_by)


def test_what_a_client_gets_in_the_end_is_that_of_the_fault() -> None:
    snapshot = mesh("http", zones=("z1",))
    faults = ("gateway_error", "server_error", "hang")
    _row, text = answer(snapshot, faults)
    ends = [line.rstrip().rpartition("  ")[2].strip() for line in text.splitlines() if "✗ dies" in line]
    assert len(ends) == 3
    assert ends[-1] == "no answer"
    _row, text = answer(mesh("tcp", zones=("z1",)), ("refused", "hang"))
    ends = [line.rstrip().rpartition("  ")[2].strip() for line in text.splitlines() if "✗ dies" in line]
    assert ends == ["closed", "no answer"]


def test_findings_say_what_a_tcp_client_meets() -> None:
    zone_only = {"distribute": [{"from": "r/z1/*", "to": {"r/z1/*": 100}}]}
    nowhere = {"distribute": [{"from": "r/z1/*", "to": {"r/z9/*": 100}}]}
    for protocol in ("tcp", "http"):
        said = {
            finding.id: f"{finding.message} {finding.why}"
            for snapshot in (
                mesh(protocol, zones=("z1",)),
                mesh(protocol, distribute=zone_only),
                mesh(protocol, distribute=nowhere),
            )
            for finding in lint(snapshot)
        }
        for rule in ("ML120", "ML121", "ML520"):
            assert ("503" in said[rule]) is (protocol == "http"), said[rule]
            assert ("every connection is closed at once" in said[rule]) is (protocol == "tcp"), said[rule]


def test_a_plan_says_what_a_tcp_client_without_endpoint_meets() -> None:
    nowhere = {"distribute": [{"from": "r/z1/*", "to": {"r/z9/*": 100}}]}
    for protocol, fate in (("tcp", "every connection is closed at once"), ("http", "every request gets 503")):
        rows = plan(mesh(protocol, distribute=nowhere), Selection(services=("db",), clients=("client-1",)))
        assert any(fate in reason for row in rows for reason in row["why"])


def test_limits_of_the_connection_pool_are_assumed_to_be_kept() -> None:
    pool = {"tcp": {"maxConnections": 1}, "http": {"http1MaxPendingRequests": 2, "http2MaxRequests": 0}}
    limited = istio(
        "DestinationRule", "shop", "db", {"host": "db", "trafficPolicy": {**POLICY, "connectionPool": pool}}
    )
    objects = mesh("http")
    rules = build([limited], mesh=Mesh(version="1.31")).destination_rules
    prediction = forecast(dataclasses.replace(objects, destination_rules=rules), Selection(services=("db",)))
    said = {entry["code"]: entry["parameters"] for entry in prediction["assumptions"]}
    assert said["connection-pool-limits"] == {"fields": "tcp.maxConnections 1, http.http1MaxPendingRequests 2"}
    unlimited = forecast(objects, Selection(services=("db",)))
    assert "connection-pool-limits" not in {entry["code"] for entry in unlimited["assumptions"]}


def test_a_tcp_route_to_nothing_ends_connections() -> None:
    way = istio(
        "VirtualService",
        "shop",
        "way",
        {"hosts": ["db"], "tcp": [{"route": [{"destination": {"host": "db", "subset": "v9"}}]}]},
    )
    (finding,) = [finding for finding in lint(mesh("tcp", way)) if finding.id == "ML230"]
    assert "100 % of the connections" in finding.why
    assert "are closed at once today" in finding.why
    row, text = answer(mesh("tcp", way))
    assert (row["protocol"], row["now"]["none"]) == ("tcp", 1.0)
    assert "503" not in text
    assert "Every connection fails already" in text
