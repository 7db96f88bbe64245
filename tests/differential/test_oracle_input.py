# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle says what istiod's validation says, and what is wrong with a question."""

from __future__ import annotations

import typing as t

import pytest

from meshops_sandbox.build import lines
from tests.differential.known_meshes import Json, istio, policy, rule, tutorial
from tests.differential.oracle import Oracle

Oracles = t.Callable[..., Oracle]
FAILOVER = {"enabled": True, "failover": [{"from": "cn-north-4", "to": "cn-south-1"}]}

pytestmark = pytest.mark.parametrize("line", lines())


def computed(oracle: Oracles, line: str, mesh: Json) -> Json:
    (answer,) = oracle(line).ask([mesh])
    return answer


def test_validation(oracle: Oracles, line: str) -> None:
    """What istiod's webhook says, and unknown fields."""
    wrong = {"failover": [{"from": "r1", "to": "r1"}]}
    shares = {"distribute": [{"from": "r1/*", "to": {"r1/*": 80, "r2/*": 10}}]}
    sane, same, short, unknown, empty = oracle(line).validate(
        [
            rule(trafficPolicy=policy(FAILOVER)),
            rule(trafficPolicy=policy(wrong)),
            rule(trafficPolicy=policy(shares)),
            rule(trafficPolicy=policy({"enable": True})),
            istio("ServiceEntry", "none", {"hosts": []}),
        ]
    )
    assert sane == {"errors": [], "warnings": [], "schema": []}
    assert same["errors"] == ["locality lb failover settings must specify different regions"]
    assert short["errors"] == ["total locality weight 90 != 100"]
    assert "unknown field" in unknown["errors"][0]
    assert "enable" in unknown["errors"][0]
    assert empty["errors"]
    assert unknown["schema"] == ['unknown field "spec.trafficPolicy.loadBalancer.localityLbSetting.enable"']
    assert any("spec.hosts" in item for item in empty["schema"])
    # Only the CRD's own rules say this.
    bad = {
        "hosts": ["a.example.com"],
        "resolution": "DNS_ROUND_ROBIN",
        "endpoints": [{"address": "x"}, {"address": "y"}],
    }
    (several,) = oracle(line).validate([istio("ServiceEntry", "several", bad)])
    assert several["schema"]


def test_unknown_fields_are_noted_and_left_out_as_istiod_does(oracle: Oracles, line: str) -> None:
    mesh = tutorial(rule(trafficPolicy=policy({"enable": False})), mesh={"localityLbSettings": {}})
    answer = computed(oracle, line, mesh)
    assert not answer["error"]
    assert len(answer["notes"]) == 2
    assert any("localityLbSettings" in note for note in answer["notes"])
    assert any("enable" in note and "DestinationRule sample/helloworld" in note for note in answer["notes"])


def test_bad_input_says_what_is_wrong(oracle: Oracles, line: str) -> None:
    meshes = [
        {"objects": [{"apiVersion": "v1", "kind": "Toaster"}], "clients": []},
        {**tutorial(), "clients": [{"name": "x", "namespace": "sample", "pod": "absent"}]},
        {"objects": [], "klients": []},
        {"objects": [], "mesh": {"localityLbSetting": {"failover": [{"from": "a", "to": "a"}]}}, "clients": []},
    ]
    kind, absent, field, settings = (answer["error"] for answer in oracle(line).ask(meshes))
    assert "objects[0]" in kind
    assert "Toaster" in kind
    assert "there is no pod sample/absent" in absent
    assert "klients" in field
    assert "different regions" in settings
