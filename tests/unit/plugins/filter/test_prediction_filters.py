# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of the prediction: what they take, and that whatever else they get is told in a sentence."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.locality.plugins.filter.forecast_differences import forecast_differences
from ansible_collections.meshops.locality.plugins.filter.locality_forecast import locality_forecast
from ansible_collections.meshops.locality.plugins.filter.locality_plan import locality_plan
from ansible_collections.meshops.locality.plugins.filter.plan_differences import plan_differences
from ansible_collections.meshops.locality.plugins.filter.prediction_table import prediction_table
from ansible_collections.meshops.locality.plugins.filter.resilience_matrix import resilience_matrix
from ansible_collections.meshops.locality.plugins.filter.upgrade_difference import upgrade_difference
from ansible_collections.meshops.locality.plugins.module_utils._istio import snapshot_document
from tests.unit.plugins.module_utils._forecast.tutorial_mesh import document, rule

MESH = snapshot_document.write(document(rule()))


@pytest.mark.parametrize("given", [MESH, {"snapshot": MESH, "changed": False}, json.dumps(MESH)])
def test_a_snapshot_a_result_or_a_text(given: t.Any) -> None:
    assert len(locality_plan(given, "helloworld")) == 2


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "expected a dictionary, got NoneType"),
        (3, "expected a dictionary, got int"),
        ([], "expected a dictionary, got list"),
        ("mesh.json", "the text is no JSON"),
        ({}, "its schema is None"),
        ({"schema": "meshops.locality/snapshot/v9"}, "schema is 'meshops.locality/snapshot/v9'"),
        ({**MESH, "items": 3}, "snapshot.items: expected a list, got 3"),
        ({**MESH, "pods": []}, "there is no field 'pods'"),
        ({**MESH, "kind": "PodList"}, "snapshot.kind: expected 'List', got 'PodList'"),
        ({**MESH, "items": [{"apiVersion": "v1", "kind": "Secret"}]}, r"items\[0\]: 'Secret' of 'v1' is not a kind"),
        ({**MESH, "items": [{"apiVersion": "v1", "kind": "Pod"}]}, r"items\[0\]: metadata.name is missing"),
    ],
)
@pytest.mark.parametrize("ask", [locality_plan, locality_forecast, resilience_matrix])
def test_what_is_no_snapshot_is_told(ask: t.Callable[..., t.Any], given: t.Any, says: str) -> None:
    with pytest.raises(AnsibleFilterError, match=says):
        ask(given)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"service": 3}, "service must be a text or a list of texts, not 3"),
        ({"service": "cart"}, "no Service 'cart'"),
        ({"client": {"app": "sleep"}}, "client must be a text or a list of texts"),
        ({"namespace": ["a"]}, "namespace must be a text"),
        ({"port": "http"}, "port must be a number of at least 0, not 'http'"),
        ({"istio_version": 1.3}, "istio_version must be a text, not 1.3. Put it into quotes."),
        ({"istio_version": "2.0"}, "'2.0' is not among the versions"),
        ({"losses": 3}, "losses must be a list, not int"),
        ({"losses": ["zone nowhere"]}, "no zone 'nowhere'"),
        ({"levels": ["planet"]}, "no level 'planet'"),
        ({"pairs": "maybe"}, "pairs must be true or false, not 'maybe'"),
        ({"rate": 0}, "rate must be above 0"),
        ({"rate": "fast"}, "rate must be a number"),
        ({"rate": True}, "rate must be a number"),
        ({"capacity": 50}, "capacity must be a dictionary, not int"),
        ({"capacity": {"helloworld": -1}}, r"capacity\[helloworld\] must be a number of at least 0, not -1"),
        ({"headroom": "much"}, "headroom must be a number"),
        ({"lose_clients": 1}, "lose_clients must be true or false, not 1"),
        ({"faults": "fire"}, "no fault 'fire'"),
        ({"readiness_seconds": "soon"}, "readiness_seconds must be a number"),
        ({"watch": 30}, "watch must be a dictionary, not 30"),
        ({"watch": {"lead": 3}}, "watch.seconds must be a number"),
        ({"servise": "x"}, "There is no option servise. Did you mean service\\?"),
    ],
)
def test_a_wrong_option_is_told(options: dict[str, t.Any], says: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"meshops.locality.locality_forecast: .*{says}"):
        locality_forecast(MESH, **options)


def test_options_as_ansible_hands_them_over() -> None:
    prediction = locality_forecast(
        MESH, service="helloworld", port="5000", losses="subzone tianjin", pairs="false", rate="20", faults="drained"
    )
    assert [loss["loss"] for loss in prediction["rows"][0]["losses"]] == ["subzone cn-north-4/cn-north-4b/tianjin"]
    assert set(prediction["faults"]) == {"drained"}


def test_the_version_to_upgrade_to_is_needed() -> None:
    assert upgrade_difference(MESH, "1.31")["changes"] == []
    with pytest.raises(AnsibleFilterError, match="to_version is missing"):
        upgrade_difference(MESH)


@pytest.mark.parametrize(
    "given", [None, 3, "x", {}, {"kind": "matrix"}, {"kind": "forecast", "rows": [3]}, ["x"], [{}]]
)
def test_what_is_no_prediction_is_told(given: t.Any) -> None:
    with pytest.raises(AnsibleFilterError, match="This is no prediction"):
        prediction_table(given)


def test_a_narrow_matrix_is_folded() -> None:
    matrix = resilience_matrix(MESH, lose_clients=False)
    wide, narrow = prediction_table(matrix), prediction_table(matrix, width=40)
    assert "beijing  shenyang  tianjin" in wide
    assert "subzone: 1 beijing" in narrow
    assert "more kinds of losses, none of them worse." in narrow
    assert max(len(line) for line in narrow.splitlines() if "│" in line or "─" in line) <= 40


def test_differences_want_clients_and_probes() -> None:
    with pytest.raises(AnsibleFilterError, match="clients must be a list, not NoneType"):
        plan_differences(MESH)
    with pytest.raises(AnsibleFilterError, match="the forecast must be a dictionary, not list"):
        forecast_differences([], {})
    with pytest.raises(AnsibleFilterError, match="probe must be a dictionary, not NoneType"):
        forecast_differences({})


def test_lazy_values_of_templates_are_understood(run_playbook: t.Any) -> None:
    tasks = [
        {"name": "table", "ansible.builtin.debug": {"msg": "{{ mesh | meshops.locality.locality_plan('helloworld') "
         "| meshops.locality.prediction_table }}"}},
        {"name": "compare", "ansible.builtin.debug": {"msg": "{{ mesh | meshops.locality.plan_differences([]) }}"}},
        {"name": "matrix", "ansible.builtin.debug": {
            "msg": "{{ mesh | meshops.locality.resilience_matrix | meshops.locality.prediction_table }}"}},
        {"name": "upgrade", "ansible.builtin.debug": {
            "msg": "{{ mesh | meshops.locality.upgrade_difference('1.30') | meshops.locality.prediction_table }}"}},
    ]  # fmt: skip
    run = run_playbook([{"hosts": "all", "gather_facts": False, "vars": {"mesh": MESH}, "tasks": tasks}])
    assert run.rc == 0, run.failures()
    assert "P0        cn-north-4/cn-north-4b/tianjin" in run.results("table")[0]["msg"]
    assert run.results("compare")[0]["msg"] == []
    assert "Istio 1.31 → 1.30" in run.results("upgrade")[0]["msg"]
