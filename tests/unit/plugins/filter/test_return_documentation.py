# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The RETURN block of a prediction filter names every key that the filter returns, and no other."""

from __future__ import annotations

import importlib
import typing as t

import pytest
import yaml

from ansible_collections.meshops.locality.plugins.module_utils._istio import snapshot_document
from tests.unit.plugins.module_utils._forecast.tutorial_mesh import document, rule

FILTERS = "ansible_collections.meshops.locality.plugins.filter"
MESH = snapshot_document.write(document(rule(), version="1.30.2", ready={"beijing", "tianjin"}))
ANSWERS: dict[str, dict[str, t.Any]] = {
    "resilience_matrix": {},
    "locality_forecast": {"losses": ["zone cn-north-4b"], "watch": {"lead": 5, "seconds": 40}},
    "locality_plan": {},
    "upgrade_difference": {"to_version": "1.31"},
}


def wrong_keys(value: t.Any, documented: t.Mapping[str, t.Any], path: str = "_value") -> list[str]:
    """Return the paths of keys that are returned and not documented, or documented and not returned."""
    contains = documented.get("contains")
    if contains is None:
        return []
    if isinstance(value, list):
        return [wrong for item in value for wrong in wrong_keys(item, documented, f"{path}[]")]
    if value is None:
        return []
    assert isinstance(value, dict), f"{path} is a {type(value).__name__}"
    missing = [f"{path}.{key} is not documented" for key in value if key not in contains]
    missing += [f"{path}.{key} is not returned" for key in contains if key not in value]
    return missing + [
        wrong
        for key, inner in value.items()
        if key in contains
        for wrong in wrong_keys(inner, contains[key], f"{path}.{key}")
    ]


@pytest.mark.parametrize("name", ANSWERS)
def test_every_key_is_documented(name: str) -> None:
    module = importlib.import_module(f"{FILTERS}.{name}")
    answer = getattr(module, name)(MESH, **ANSWERS[name])
    documented = yaml.safe_load(module.RETURN)["_value"]
    assert sorted(set(wrong_keys(answer, documented))) == []


def test_a_key_that_is_missing_is_noticed() -> None:
    documented: dict[str, t.Any] = {"contains": {"a": {"contains": {"b": {}}}, "c": {}}}
    assert wrong_keys({"a": {"x": 1}}, documented) == [
        "_value.c is not returned",
        "_value.a.x is not documented",
        "_value.a.b is not returned",
    ]
