# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The assessment of a mesh: grades, the sentence, fixes, and that what was not judged is said."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._model.problems import Problem
from ansible_collections.meshops.locality.plugins.module_utils._report import assessment
from ansible_collections.meshops.locality.plugins.module_utils._report.assessment import assessment_text, grade
from ansible_collections.meshops.locality.plugins.module_utils._report.assessment_page import assessment_page
from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_queries import ask
from tests.unit.plugins.module_utils._forecast.story import ENOUGH, RETRIES, rule, snapshot

ENTRY = {
    "verdict": "spills",
    "until": "none",
    "overloaded": False,
    "lost_at_first": 0.0,
    "lost_in_the_end": 0.0,
    "moved": 0.5,
    "load": 1.5,
    "limit": 2.0,
    "limit_from": "assumed",
    "growth": 1.0,
}


def assessed(**options: t.Any) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", ask("assessment", snapshot(rule()), options))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"verdict": "untouched"}, assessment.UNTOUCHED),
        ({}, assessment.CARRIES_ON),
        ({"until": "ejection", "lost_at_first": 0.2}, assessment.SHORT),
        ({"overloaded": True}, assessment.OVERLOAD),
        ({"until": "ejection", "lost_at_first": 0.2, "overloaded": True}, assessment.OVERLOAD),
        ({"until": "readiness", "lost_at_first": 0.2}, assessment.LONG),
        ({"until": "never", "lost_at_first": 0.2}, assessment.LONG),
        ({"verdict": "dies", "lost_in_the_end": 1.0}, assessment.GONE),
    ],
)
def test_grades(change: dict[str, t.Any], expected: int) -> None:
    assert grade({**ENTRY, **change}) == expected


def test_the_tutorial_as_written_loses_requests_for_long() -> None:
    found = assessed()
    (row,) = found["rows"]
    assert row["name"] == "helloworld.sample:5000"
    assert [cell["level"] for cell in row["cells"]] == ["pod", "subzone", "zone", "region"]
    assert row["grade"] == assessment.LONG
    assert "1 of 1 Service loses requests" in found["sentence"]
    first = found["fixes"][0]
    assert (first["id"], first["names"]) == ("ML202", ["helloworld.sample:5000"])
    assert first["fix"].startswith("maxEjectionPercent: ")
    assert row["findings"][0]["id"] == "ML202"


def test_once_completed_it_is_better() -> None:
    fixed = ask("assessment", snapshot(rule(ENOUGH), RETRIES), {})
    assert fixed["rows"][0]["grade"] < assessed()["rows"][0]["grade"]
    assert "ML202" not in {one["id"] for one in fixed["fixes"]}


def test_clients_may_be_lost_with_their_place() -> None:
    assert assessed(lose_clients=True)["rows"][0]["cells"][1]["grade"] == assessment.UNTOUCHED
    assert assessed(lose_clients=False)["rows"][0]["cells"][1]["grade"] == assessment.LONG


def test_what_was_not_judged_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = dataclasses.replace(snapshot(rule()), problems=(Problem("nodes", "", "may not be listed"),))
    found = ask("assessment", broken, {})
    assert "nodes: may not be listed" in found["not_judged"]
    assert any(one.startswith("The loss of this whole cluster") for one in found["not_judged"])
    monkeypatch.setattr(assessment, "MOST_PODS", 3)
    found = assessed()
    assert found["levels"] == ["subzone", "zone", "region"]
    assert any(one.startswith("The loss of each single pod: 1 Services") for one in found["not_judged"])
    assert "too many" in assessment_text(found).replace("\n", " ")


def test_a_mesh_without_clients_is_no_all_clear() -> None:
    mesh = snapshot(rule())
    plain = tuple(dataclasses.replace(pod, proxy="") for pod in mesh.pods)
    found = ask("assessment", dataclasses.replace(mesh, pods=plain), {})
    assert found["sentence"] == "No Service could be judged."
    assert "no Service is judged" in " ".join(found["not_judged"])
    page = assessment_page(found)
    assert 'class="verdict calm"' in page
    assert "No Service could be judged." in page


def test_suppressed_findings_are_counted_as_not_judged() -> None:
    found = assessed(suppress=[{"id": "ML202", "object": "DestinationRule sample/helloworld", "reason": "known"}])
    assert "ML202" not in {one["id"] for one in found["fixes"]}
    assert "1 findings that somebody suppressed." in found["not_judged"]


def test_options_that_are_not_there() -> None:
    with pytest.raises(InvalidInput, match="no option pairs"):
        assessed(pairs=True)


def test_the_text_fits_its_width() -> None:
    text = assessment_text(assessed(), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "Not judged:" in text


def test_nothing_of_a_mesh_becomes_markup() -> None:
    found = assessed()
    found["sentence"] = found["rows"][0]["name"] = "</script><script>alert(1)</script>"
    assert "<script>alert" not in assessment_page(found)
