# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule fires where it should, with the field and the numbers, and is silent in a mesh that is nearly the same."""

from __future__ import annotations

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._lint.lint import all_rules
from tests.unit.plugins.module_utils._lint.cases import CASES, CLEAN_OPTIONS, CLEAN_VERSION
from tests.unit.plugins.module_utils._lint.meshes import findings


@pytest.mark.parametrize("ident", sorted(CASES))
def test_it_fires(ident: str) -> None:
    case = CASES[ident]
    found = [
        one for one in findings(case.fires, case.version, mesh_config=case.mesh, **case.options) if one.id == ident
    ]
    assert found, "nothing found"
    told = [one for one in found if case.field in one.field and case.words in one.message]
    assert told, [(one.object, one.field, one.message) for one in found]
    assert all(one.why and one.fix and one.link.startswith("https://") for one in found)
    assert all("  " not in one.message and one.message.endswith(".") for one in found), found
    rule = all_rules()[ident]
    assert {(one.severity, one.title, one.link) for one in found} == {(rule.severity, rule.title, rule.link)}


@pytest.mark.parametrize("ident", sorted(CASES))
def test_it_is_silent(ident: str) -> None:
    case = CASES[ident]
    options = CLEAN_OPTIONS.get(ident, case.options)
    found = findings(case.clean, CLEAN_VERSION.get(ident, case.version), mesh_config=case.mesh, **options)
    assert [(one.field, one.message) for one in found if one.id == ident] == []


def test_every_rule_has_a_case() -> None:
    assert set(all_rules()) == set(CASES)
