# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The assessment of a mesh: grades, the sentence, fixes, and that what was not judged is said."""

from __future__ import annotations

import copy
import dataclasses
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._forecast.loss_grade import LOSS_GRADES, loss_grade
from ansible_collections.meshops.locality.plugins.module_utils._model.problems import Problem
from ansible_collections.meshops.locality.plugins.module_utils._report import assessment
from ansible_collections.meshops.locality.plugins.module_utils._report.assessment import assessment_text
from ansible_collections.meshops.locality.plugins.module_utils._report.assessment_page import assessment_page
from ansible_collections.meshops.locality.plugins.module_utils._report.prediction_table import prediction_table
from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_queries import ask
from tests.unit.plugins.module_utils._forecast.tutorial_mesh import ENOUGH, RETRIES, objects, rule, snapshot

HOST = "helloworld.sample.svc.cluster.local"
HARMLESS: dict[str, t.Any] = {
    "verdict": "spills",
    "ends_by": "none",
    "overloaded": False,
    "failing": 0.0,
    "failed": 0.0,
    "for_good": 0.0,
}
#: A loss that meets many, and costs requests.
COSTLY: dict[str, t.Any] = {"failing": 0.2, "failed": 12.0}


def assessed(**options: t.Any) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", ask("assessment", snapshot(rule()), options))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"verdict": "untouched"}, "untouched"),
        ({}, "carries on"),
        ({"ends_by": "ejection", **COSTLY}, "short"),
        ({"overloaded": True}, "overload"),
        ({"ends_by": "ejection", **COSTLY, "overloaded": True}, "overload"),
        ({"ends_by": "readiness", **COSTLY}, "long"),
        ({"ends_by": "never", "failing": 0.2, "failed": None}, "long"),
        # Retries hide all of it, whatever ends it.
        ({"ends_by": "readiness"}, "carries on"),
        ({"ends_by": "readiness", "failing": 0.2, "failed": 0.0001}, "carries on"),
        ({"verdict": "dies", "for_good": 1.0}, "gone"),
        ({"for_good": 0.1}, "gone"),
        ({"verdict": "dies", "for_good": 0.0, "today": 1.0}, "fails today"),
        ({"verdict": "spills", "today": 0.5}, "carries on"),
    ],
)
def test_grades(change: dict[str, t.Any], expected: str) -> None:
    assert loss_grade(**{**HARMLESS, **change}) == expected


def test_the_words_of_the_grades_are_those_of_the_matrix() -> None:
    assert tuple(word for _sign, word, _meaning in assessment.GRADES) == LOSS_GRADES


def test_matrix_forecast_and_assessment_grade_alike() -> None:
    """Retries that go elsewhere hide a loss that ejection does not end: all three say so."""
    mesh = snapshot(rule(), RETRIES)
    losses = {"losses": ["zone cn-north-4/cn-north-4b"], "lose_clients": False}
    (entry,) = ask("matrix", mesh, losses)["rows"][0]["entries"]
    one_by_one = {row["losses"][0]["grade"] for row in ask("forecast", mesh, losses)["rows"]}
    cells = ask("assessment", mesh, {"levels": ["zone"]})["rows"][0]["cells"]
    assert assessment.GRADES[cells[0]["grade"]][1] == entry["grade"]
    assert max(one_by_one, key=LOSS_GRADES.index) == entry["grade"]


def test_what_fails_already_is_no_loss_of_a_zone() -> None:
    """A route to a subset that does not exist: 503 for everybody, before anything is lost."""
    route = {"destination": {"host": HOST, "subset": "v9"}}
    spec = {"hosts": [HOST], "http": [{"route": [route]}]}
    lost = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "spec": spec}
    mesh = snapshot(rule(), {**lost, "metadata": {"name": "lost", "namespace": "sample"}})
    answer = ask("assessment", mesh, {})
    assert answer["sentence"] == "1 of 1 Service fails already, before anything is lost."
    assert answer["losses"] == []
    text = " ".join(assessment_text(answer).split())
    assert "VirtualService sample/lost http[0] leads to" in text
    assert "⊘ fails today" in text
    assert "is gone" not in text
    (row,) = ask("matrix", mesh, {"lose_clients": False})["rows"]
    assert (row["failing_today"], {entry["sign"] for entry in row["entries"]}) == (1.0, {"⊘"})
    answer = ask("matrix", mesh, {})
    assert [(entry["loss"], entry["dies"]) for entry in answer["summary"]] == [("nothing", ["helloworld.sample:5000"])]
    matrix = prediction_table(answer)
    assert "fail already, before anything is lost" in matrix
    assert "dies" not in matrix
    printed = prediction_table(ask("forecast", mesh, {"losses": ["zone cn-north-4/cn-north-4b"]}))
    assert "⊘ Every request fails already" in printed
    assert "✗ dies" not in printed


def test_the_only_region_ranks_nothing() -> None:
    places = ("region cn-north-4", "region cn-south-1")
    only = ask("matrix", snapshot(rule()), {"losses": places[:1], "lose_clients": False})
    answer = assessment.assessment(only, [], snapshot(rule()))
    assert answer["sentence"].startswith("Everything is in one region, cn-north-4: when it is lost, so is all of")
    assert answer["rows"][0]["cells"] == []
    assert any("it is the only one" in sentence for sentence in answer["not_judged"])
    two = ask("matrix", snapshot(rule()), {"losses": places, "lose_clients": False})
    assert assessment.assessment(two, [], snapshot(rule()))["levels"] == ["region"]


def test_levels_that_nobody_asked_for_are_no_excuse() -> None:
    answer = assessed(levels=["zone"])
    reason = next(sentence for sentence in answer["not_judged"] if "each pod" in sentence)
    assert reason == "The loss of each pod and each subzone and each region: not among the levels that were asked for."
    assert not any("too many" in sentence for sentence in answer["not_judged"])


def test_the_tutorial_as_written_loses_requests_for_long() -> None:
    answer = assessed()
    (row,) = answer["rows"]
    assert row["name"] == "helloworld.sample:5000"
    assert [cell["level"] for cell in row["cells"]] == ["pod", "subzone", "zone", "region"]
    assert row["grade"] == assessment.LONG
    assert "1 of 1 Service loses requests" in answer["sentence"]
    first = answer["fixes"][0]
    assert (first["id"], first["names"]) == ("ML202", ["helloworld.sample:5000"])
    assert first["fix"].startswith("maxEjectionPercent: ")
    assert row["findings"][0]["id"] == "ML202"


def test_once_completed_it_is_better() -> None:
    fixed = ask("assessment", snapshot(rule(ENOUGH), RETRIES), {})
    assert fixed["rows"][0]["grade"] < assessed()["rows"][0]["grade"]
    assert "ML202" not in {fix["id"] for fix in fixed["fixes"]}


def test_a_single_replica_of_which_no_rule_speaks_is_named_among_what_helps() -> None:
    mesh = snapshot(replicas={"beijing": 0, "shenyang": 0, "guangzhou": 0})
    answer = ask("assessment", mesh, {"levels": ["zone"]})
    (fix,) = answer["fixes"]
    assert (fix["id"], fix["services"], fix["names"]) == ("", 1, ["helloworld.sample:5000"])
    assert fix["message"] == "zone cn-north-4b has its only endpoint."
    assert fix["fix"] == "Run replicas outside of zone cn-north-4b, too."
    text = " ".join(assessment_text(answer).split())
    assert "1. Nothing is left to answer: 1 Service that loses something (helloworld.sample:5000)." in text
    assert "zone cn-north-4b has its only endpoint. Run replicas outside" in text
    assert "<small>()</small>" not in assessment_page(answer)


def test_clients_may_be_lost_with_their_place() -> None:
    assert assessed(lose_clients=True)["rows"][0]["cells"][1]["grade"] == assessment.UNTOUCHED
    assert assessed(lose_clients=False)["rows"][0]["cells"][1]["grade"] == assessment.LONG


def test_what_was_not_judged_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = dataclasses.replace(
        snapshot(rule()), problems=(Problem("nodes", "", "may not be listed", "kind-forbidden"),)
    )
    answer = ask("assessment", broken, {})
    assert "nodes: may not be listed" in answer["not_judged"]
    assert any(sentence.startswith("The loss of this whole cluster") for sentence in answer["not_judged"])
    monkeypatch.setattr(assessment, "MOST_PODS", 3)
    answer = assessed()
    assert answer["levels"] == ["subzone", "zone", "region"]
    assert any(sentence.startswith("The loss of each single pod: 1 Service and") for sentence in answer["not_judged"])
    assert "too many" in assessment_text(answer).replace("\n", " ")


def test_a_headless_service_counts_as_gone_without_its_pods() -> None:
    """It has no row, since clients choose its endpoints themselves; without any, nobody answers."""
    named, slices = copy.deepcopy(objects()[-2:])
    for item in (named, slices):
        item["metadata"]["name"] = "db"
    slices["metadata"]["labels"] = {"kubernetes.io/service-name": "db"}
    slices["endpoints"] = slices["endpoints"][:3]
    named["spec"]["clusterIP"] = "None"
    mesh = snapshot(rule(ENOUGH), RETRIES, named, slices)
    answer = ask("assessment", mesh, {"levels": ["zone"]})
    assert [(loss["name"], loss["gone"]) for loss in answer["losses"] if loss["gone"]] == [
        ("zone cn-north-4b", ["db.sample:5000"])
    ]
    assert "of 2 Services" in answer["sentence"]
    assert any("db.sample:5000: " in text and "fail for good" in text for text in answer["not_judged"])


def test_a_mesh_without_clients_is_no_all_clear() -> None:
    mesh = snapshot(rule())
    plain = tuple(dataclasses.replace(pod, proxy="") for pod in mesh.pods)
    answer = ask("assessment", dataclasses.replace(mesh, pods=plain), {})
    assert answer["sentence"] == "No Service could be judged."
    assert "no Service is judged" in " ".join(answer["not_judged"])
    page = assessment_page(answer)
    assert 'class="verdict calm"' in page
    assert "No Service could be judged." in page


def test_suppressed_findings_are_counted_as_not_judged() -> None:
    answer = assessed(suppress=[{"id": "ML202", "object": "DestinationRule sample/helloworld", "reason": "known"}])
    assert "ML202" not in {fix["id"] for fix in answer["fixes"]}
    assert "1 finding that somebody suppressed." in answer["not_judged"]


def test_options_that_are_not_there() -> None:
    with pytest.raises(InvalidInput, match="no option pairs"):
        assessed(pairs=True)


def test_the_text_fits_its_width() -> None:
    text = assessment_text(assessed(), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "Not judged:" in text


def test_nothing_of_a_mesh_becomes_markup() -> None:
    answer = assessed()
    answer["sentence"] = answer["rows"][0]["name"] = "</script><script>alert(1)</script>"
    assert "<script>alert" not in assessment_page(answer)
