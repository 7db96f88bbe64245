# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects and fields that change an answer and that lint passed over once."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import Finding
from tests.unit.plugins.module_utils._lint.cases import FAR, web
from tests.unit.plugins.module_utils._lint.meshes import Json, findings, istio


def of(ident: str, objects: list[t.Any], **options: t.Any) -> list[Finding]:
    return [finding for finding in findings(objects, **options) if finding.id == ident]


ENTRY = {
    "hosts": ["pay.example.com"],
    "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
    "resolution": "DNS",
    "endpoints": [{"address": f"{number}.pay.example.com"} for number in range(2)],
}


@pytest.mark.parametrize(
    ("kind", "spec", "refused"),
    [
        ("ServiceEntry", ENTRY, False),
        ("ServiceEntry", {**ENTRY, "resolution": "DNS_ROUND_ROBIN"}, True),
        ("ServiceEntry", {**ENTRY, "resolution": "NONE"}, True),
        # It is left out where endpoints are read.
        ("ServiceEntry", {**ENTRY, "hosts": []}, True),
        ("WorkloadEntry", {"address": "10.9.0.1"}, False),
        ("WorkloadEntry", {"address": ""}, True),
    ],
)
def test_each_kind_that_istiod_validates_is_validated(kind: str, spec: Json, refused: bool) -> None:
    findings_of = {finding.object for finding in of("ML901", web(FAR, istio(kind, "pay", "shop", spec)))}
    assert findings_of == ({f"{kind} shop/pay"} if refused else set())


def test_each_of_them_may_carry_a_suppression() -> None:
    annotations = {"meshops.locality/lint-ignore": "ML901: the gateway of old"}
    (finding,) = of("ML901", web(FAR, istio("WorkloadEntry", "pay", "shop", {}, annotations=annotations)))
    assert finding.suppressed == "the gateway of old"


@pytest.mark.parametrize("kind", ["DestinationRule", "ServiceEntry", "WorkloadEntry"])
def test_what_cannot_be_read_is_said_once(kind: str) -> None:
    said = [finding.field for finding in of("ML905", web(FAR, {**istio(kind, "pay", "shop", {}), "spec": 7}))]
    assert said == ["spec"]
