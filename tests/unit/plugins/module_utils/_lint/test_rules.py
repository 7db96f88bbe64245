# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule fires where it should, with the field and the numbers, and is silent in a mesh that is nearly the same."""

from __future__ import annotations

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._lint.lint import all_rules
from tests.unit.plugins.module_utils._lint.cases import CASES, CLEAN_OPTIONS, CLEAN_VERSION, FAR, web
from tests.unit.plugins.module_utils._lint.meshes import findings


@pytest.mark.parametrize("ident", sorted(CASES))
def test_it_fires(ident: str) -> None:
    case = CASES[ident]
    reported = [
        finding
        for finding in findings(case.fires, case.version, mesh_config=case.mesh, **case.options)
        if finding.id == ident
    ]
    assert reported, "nothing found"
    matching = [finding for finding in reported if case.field in finding.field and case.words in finding.message]
    assert matching, [(finding.object, finding.field, finding.message) for finding in reported]
    assert all(finding.why and finding.fix and finding.link.startswith("https://") for finding in reported)
    assert all("  " not in finding.message and finding.message.endswith(".") for finding in reported), reported
    rule = all_rules()[ident]
    assert {(finding.severity, finding.title, finding.link) for finding in reported} == {
        (rule.severity, rule.title, rule.link)
    }


@pytest.mark.parametrize("ident", sorted(CASES))
def test_it_is_silent(ident: str) -> None:
    case = CASES[ident]
    options = CLEAN_OPTIONS.get(ident, case.options)
    reported = findings(case.clean, CLEAN_VERSION.get(ident, case.version), mesh_config=case.mesh, **options)
    assert [(finding.field, finding.message) for finding in reported if finding.id == ident] == []


def test_every_rule_has_a_case() -> None:
    assert set(all_rules()) == set(CASES)


def test_a_port_of_udp_with_the_number_of_one_of_http_hides_nothing() -> None:
    """HTTP/3 has such ports: QUIC over UDP and HTTP over TCP on one number, in whatever order."""
    ports = [
        {"name": "quic", "port": 80, "targetPort": 80, "protocol": "UDP"},
        {"name": "http-80", "port": 80, "targetPort": 80, "protocol": "TCP"},
    ]
    for listed in (ports, ports[::-1]):
        assert "ML220" in {finding.id for finding in findings(web(FAR, service_spec={"ports": listed}))}
