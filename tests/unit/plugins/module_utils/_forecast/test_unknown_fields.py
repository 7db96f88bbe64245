# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A field that Istio does not know does nothing, so what was meant by it is missing in every answer: they say so."""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import Selection, forecast, resilience
from ansible_collections.meshops.locality.plugins.module_utils._lint.lint import lint
from ansible_collections.meshops.locality.plugins.module_utils._report.prediction_table import prediction_table

from .tutorial_mesh import rule, snapshot

Json = dict[str, t.Any]
FIELD = "DestinationRule sample/helloworld spec.trafficPolicy.outlierDetection.maxEjectionPercentage"
MISSPELT = snapshot(rule({"maxEjectionPercentage": 100}))


def said(answer: Json) -> list[Json]:
    return [entry for entry in answer["not_judged"] if entry["code"] == "unknown-field"]


def test_a_misspelt_field_is_named_at_the_top() -> None:
    for answer in (forecast(MISSPELT, Selection(), losses=["zone cn-north-4b"]), resilience(MISSPELT, Selection())):
        (entry,) = said(answer)
        assert (entry["count"], entry["parameters"]) == (1, {"fields": FIELD})
        assert FIELD in prediction_table(answer).splitlines()[0]


def test_a_field_that_this_version_knows_is_none() -> None:
    assert not said(resilience(snapshot(rule({"maxEjectionPercent": 100})), Selection()))


def test_lint_says_it_once() -> None:
    assert [finding.id for finding in lint(MISSPELT) if "maxEjectionPercentage" in str(finding)] == ["ML903"]
