# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.locality.plugins.filter.probes_side_by_side import probes_side_by_side
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._report.probes import probe_of_drill, side_by_side

from .drill_documents import FAILED, PLACES, drill


def probe(*seconds: tuple[int, dict[str, int]], **more: t.Any) -> dict[str, t.Any]:
    """Return a result of traffic_probe from one (failed, answers by locality) per second."""
    timeline = [
        {"second": second, "sent": failed + sum(answers.values()), "failed": failed, "by_locality": answers}
        for second, (failed, answers) in enumerate(seconds)
    ]
    by_locality: dict[str, int] = {}
    for _failed, answers in seconds:
        for locality, count in answers.items():
            by_locality[locality] = by_locality.get(locality, 0) + count
    failed = sum(second for second, _answers in seconds)
    return {
        "sent": failed + sum(by_locality.values()),
        "failed_requests": failed,
        "outage": 1 if failed else 0,
        "by_locality": by_locality,
        "by_code": {"200": sum(by_locality.values())} | ({"503": failed} if failed else {}),
        "by_flag": {"UF": failed} if failed else {},
        "latency": {"p50": 3.2, "p99": 8.9},
        "agree": True,
        "timeline": timeline,
        **more,
    }


TIANJIN, BEIJING, SHENYANG = (f"cn-north-4/cn-north-4b/{name}" for name in ("tianjin", "beijing", "shenyang"))
WRITTEN = probe((0, {TIANJIN: 10}), (10, {}), (4, {BEIJING: 3, SHENYANG: 3}), (0, {BEIJING: 5, SHENYANG: 5}))
COMPLETED = probe((0, {TIANJIN: 10}), (0, {BEIJING: 5, SHENYANG: 5}))


def test_each_second_has_one_sign() -> None:
    lines = side_by_side([{"title": "as written", "probe": WRITTEN}, {"title": "completed", "probe": COMPLETED}])
    strips = lines.splitlines()[-2:]
    assert strips == ["as written  t✗✗*", "completed   t*"]


def test_the_table_has_a_column_per_run() -> None:
    text = side_by_side([{"title": "as written", "probe": WRITTEN}, {"title": "completed", "probe": COMPLETED}])
    rows = {line.split("  ")[0]: line for line in text.splitlines() if line and not line.startswith(" ")}
    assert "14 (35.0 %)" in rows["failed"]
    assert rows["failed"].endswith("0")
    assert "1 s" in rows["outage"]
    assert "503 ×14; UF ×14" in rows["failed with"]
    assert rows["from tianjin"].split()[2:] == ["10", "10"]
    assert rows["from beijing"].split()[2:] == ["8", "5"]
    assert "agree" in rows["witnesses"]


def test_witnesses_that_differ_are_shouted() -> None:
    assert "DISAGREE" in side_by_side([{"title": "x", "probe": probe((0, {TIANJIN: 1}), agree=False)}])


def test_a_probe_without_any_answer() -> None:
    text = side_by_side([{"title": "dead", "probe": probe((2, {}), latency={"p50": None, "p99": None})}])
    assert text.splitlines()[-1] == "dead  ✗"
    assert "- / -" in text


def test_places_with_the_same_first_letter_get_different_signs() -> None:
    places = [(0, {f"r/z/{name}": 1}) for name in ("shenyang", "shanghai", "s")]
    text = side_by_side([{"title": "x", "probe": probe(*places)}])
    strip = text.splitlines()[-1].split("  ")[1]
    assert len(set(strip)) == 3


PREDICTION = {
    "sent": 80,
    "failed_requests": 15.2,
    "failed_between": [12.0, 18.4],
    "outage": 1.0,
    "outage_between": [1.0, 1.0],
    "by_locality": {TIANJIN: 10, BEIJING: 7, "cn-south-1/cn-south-1a/guangzhou": 2},
    "by_locality_between": {TIANJIN: [10, 10], BEIJING: [5, 9], "cn-south-1/cn-south-1a/guangzhou": [2, 2]},
}


def test_what_was_predicted_stands_below_what_was_measured() -> None:
    runs = [
        {"title": "as written", "probe": WRITTEN, "prediction": PREDICTION},
        {"title": "completed", "probe": COMPLETED, "prediction": None},
    ]
    lines = side_by_side(runs).splitlines()
    below = {lines[at - 1].split("  ")[0]: line.split() for at, line in enumerate(lines) if "predicted" in line}
    assert below == {
        "failed": ["predicted", "12", "to", "18"],
        "outage": ["predicted", "1", "s"],
        "from tianjin": ["predicted", "10"],
        "from beijing": ["predicted", "5", "to", "9"],
        "from shenyang": ["predicted", "0"],
        "from guangzhou": ["predicted", "2"],
    }
    assert "predicted" not in side_by_side([{"title": "x", "probe": WRITTEN}])


@pytest.mark.parametrize("prediction", [3, "x", {}, {**PREDICTION, "failed_between": [1]}])
def test_what_is_no_prediction_is_refused(prediction: t.Any) -> None:
    with pytest.raises(InvalidInput, match="prediction"):
        side_by_side([{"title": "x", "probe": WRITTEN, "prediction": prediction}])


@pytest.mark.parametrize("runs", [[], [{"title": "x"}], [{"probe": {}}], ["x"], [{"title": "x", "probe": 3}]])
def test_what_is_no_probe_is_refused(runs: list[t.Any]) -> None:
    with pytest.raises(InvalidInput, match="probe"):
        side_by_side(runs)


def test_a_drill_stands_next_to_a_probe() -> None:
    document = drill(FAILED)
    text = side_by_side([{"title": "as written", "drill": document}, {"title": "completed", "probe": COMPLETED}])
    rows = {line.split("  ")[0]: line for line in text.splitlines() if line and not line.startswith(" ")}
    assert str(document["measured"]["requests"]) in rows["requests"]
    assert f"{document['measured']['failed']} (" in rows["failed"]
    assert "22 s" in rows["outage"]
    strip = text.splitlines()[-2].removeprefix("as written  ")
    assert strip.count("✗") == 22
    assert strip.index("✗") == FAILED.fault[0] - min(row[0] for row in document["samples"]["rows"])


def test_who_answered_while_the_fault_lasted_is_not_mixed_with_what_came_after_it() -> None:
    document = drill(FAILED)
    seen = probe_of_drill(document, "x")
    lost = PLACES[1]
    second, place, requests, failed = (
        document["samples"]["columns"].index(name) for name in ("second", "place", "requests", "failed")
    )
    own = [row for row in document["samples"]["rows"] if row[place] == lost]
    before = sum(row[requests] - row[failed] for row in own if row[second] < FAILED.fault[0])
    assert seen["by_locality"][lost] == before
    assert before < sum(row[requests] - row[failed] for row in own)
    seconds = {row[second] for row in document["samples"]["rows"]}
    assert len(seen["timeline"]) == max(seconds) - min(seconds) + 1


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (drill(measured=None), "'x' measured nothing"),
        ({}, "'x' is no drill"),
        ({"measured": {}, "samples": {"columns": ["second"], "rows": [[1, 2]]}}, "'x' is no drill"),
    ],
)
def test_what_is_no_drill_is_refused(document: t.Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        side_by_side([{"title": "x", "drill": document}])


@pytest.mark.parametrize("value", ["text", {"title": "x"}, 3, None])
def test_the_filter_wants_a_list(value: t.Any) -> None:
    with pytest.raises(AnsibleFilterError, match="needs a list"):
        probes_side_by_side(value)
