# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The evidence of a drill: what the files say, that they fit together, and that they hold no credential."""

from __future__ import annotations

import copy
import csv
import hashlib
import io
import json
import re
import typing as t
from xml.etree import ElementTree

import jsonschema
import pytest

from ansible_collections.meshops.locality.plugins.module_utils._charts.vega_svg import NotDrawn, vega_svg
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._report import (
    drill_audit_controls,
    drill_formatting,
    drill_places_view,
    drill_schema,
    drill_summary,
)
from ansible_collections.meshops.locality.plugins.module_utils._report.credential_removal import without_credentials
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_charts import ticks
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_evidence import (
    FILES,
    evidence_files,
    problems,
)
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_journal import broken_line
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_timeline import samples, timeline
from tests.conftest import ROOT
from tests.unit.plugins.module_utils._report.drill_documents import FAILED, LARGE, drill, refused

PUBLISHED = ROOT / "docs" / "schemas" / "drill-v1.json"
TOKENS = {
    "jwt": "eyJhbGciOiJSUzI1NiIsImtpZCI6IkEifQ.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJlLXBsYW50ZWQ",
    "openshift": "sha256~plantedplantedplantedplanted",
    "github": "ghp_plantedplantedplantedplanted12",
    "bearer": "Authorization: Bearer planted-opaque-token",
    "address": "https://ops:planted-password@api.example:6443",
    "variable": "ansible-playbook x.yml -e k8s_auth_password=planted-secret",
    "key": "-----BEGIN RSA PRIVATE KEY-----\nplanted-key\n-----END RSA PRIVATE KEY-----",
}


def no_charts(specifications: t.Sequence[t.Any]) -> list[str]:
    raise NotDrawn("The library is missing.", do="Install it.")


def files(document: dict[str, t.Any]) -> dict[str, str]:
    return evidence_files(document, no_charts)[0]


def words(page: str) -> str:
    """Return a page as text, without tags, styles and scripts."""
    page = re.sub(r"<(style|script).*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


@pytest.mark.parametrize("document", [drill(), drill(FAILED), refused()], ids=["succeeded", "failed", "refused"])
def test_documents_fit_the_schema_and_are_rendered(document: dict[str, t.Any]) -> None:
    jsonschema.Draft202012Validator(drill_schema.schema()).validate(document)
    evidence = files(document)
    assert tuple(evidence) == FILES
    assert json.loads(evidence["drill.json"]) == document
    assert document["reason"] in words(evidence["report.html"])
    assert problems(evidence) == []


def test_the_schema_is_published() -> None:
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == drill_schema.schema()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outcome": "GREEN"}, "outcome is 'GREEN', not one of SUCCEEDED"),
        ({"seconds": "75"}, "seconds has to be of type number, not str"),
        ({"schema": "meshops.locality/drill/v2"}, "schema is 'meshops.locality/drill/v2'"),
        ({"places": [{"place": "a"}]}, "places[0] has no endpoints"),
        ({"places": [{"place": "a", "endpoints": -1, "targets": 0}]}, "places[0].endpoints is -1, less than 0"),
        ({"check_mode": None}, "check_mode has to be of type boolean"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, t.Any], said: str) -> None:
    document = drill(**change)
    assert list(jsonschema.Draft202012Validator(drill_schema.schema()).iter_errors(document))
    with pytest.raises(InvalidInput, match=re.escape(said)):
        files(document)


def test_samples_that_are_not_what_their_columns_say() -> None:
    document = drill()
    document["samples"] = {**document["samples"], "rows": [[1, 99, "a", "200", "", 1, 0, 1.0, 1.0]]}
    with pytest.raises(InvalidInput, match="client 99 of 2"):
        files(document)
    document["samples"]["rows"] = [[1, 0, "a", "200", "", 1, 2, 1.0, 1.0]]
    with pytest.raises(InvalidInput, match="2 of 1"):
        files(document)


def test_every_request_is_in_the_timeline() -> None:
    document = drill(FAILED)
    rows = list(csv.DictReader(io.StringIO(files(document)["timeline.csv"])))
    assert sum(int(row["requests"]) for row in rows) == document["measured"]["requests"]
    assert sum(int(row["failed"]) for row in rows) == document["measured"]["failed"] > 0
    assert {row["phase"] for row in rows if 15 <= int(row["second"]) < 45} == {"observe"}


def test_the_same_drill_gives_the_same_files() -> None:
    assert files(drill()) == files(copy.deepcopy(drill()))


def test_the_journal_is_a_chain() -> None:
    text = files(drill())["journal.jsonl"]
    lines = text.splitlines()
    assert len(lines) == len(drill()["events"]) + len(drill()["journal"])
    assert json.loads(lines[1])["previous"] == hashlib.sha256(lines[0].encode()).hexdigest()
    assert broken_line(text) == 0
    # Nothing follows the last line: the manifest has its hash.
    assert broken_line(text.replace("its own clients again", "nobody")) == 0
    assert broken_line(text.replace("Timers armed", "No timers")) > 1
    assert broken_line("".join(f"{line}\n" for line in lines[:2] + lines[3:])) == 3


def test_a_changed_a_missing_and_a_cut_file_are_found() -> None:
    evidence = files(drill())
    assert problems({**evidence, "drill.json": evidence["drill.json"].replace("SUCCEEDED", "FAILED")}) == [
        "drill.json was changed after the drill."
    ]
    assert problems({name: text for name, text in evidence.items() if name != "junit.xml"}) == ["junit.xml is missing."]
    cut = "".join(f"{line}\n" for line in evidence["journal.jsonl"].splitlines()[1:])
    assert len(problems({**evidence, "journal.jsonl": cut})) == 2
    with pytest.raises(InvalidInput, match=r"no manifest\.sha256"):
        problems({})


def test_junit_counts_what_did_not_pass_and_what_was_not_judged() -> None:
    suite = ElementTree.fromstring(files(drill())["junit.xml"])[0]
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    suite = ElementTree.fromstring(files(drill(FAILED))["junit.xml"])[0]
    assert int(suite.get("failures", "0")) == 4  # outcome, budget, time, prediction
    suite = ElementTree.fromstring(files(refused())["junit.xml"])[0]
    assert (suite.get("failures"), suite.get("errors")) == ("2", "1")


def test_no_planted_credential_is_in_any_file() -> None:
    document = drill(FAILED)
    document["environment"]["repeat"] = " ".join(TOKENS.values())
    document["environment"]["request"] = {**TOKENS, "api_key": "planted-key-value", "nested": [{"password": "planted"}]}
    document["events"][0]["message"] = TOKENS["bearer"]
    document["findings"][0]["fix"] = TOKENS["key"]
    document["journal"][0]["what"] = TOKENS["jwt"]
    for name, text in files(document).items():
        assert "planted" not in text, name
        assert "cGxhbnRlZA" not in text, name  # planted, in base64
    assert "looked like a credential were removed" in words(files(document)["report.html"])


def test_what_is_no_credential_stays() -> None:
    text = "token bucket, passwords are not in here; subzone cn-north-4b/tianjin at 10.0.0.1:5000; secretName: x"
    harmless = {"message": text, "uid": "0f1e2d3c-aaaa-bbbb-cccc-0123456789ab", "seconds": 4.0, "none": None}
    assert without_credentials(harmless) == (harmless, 0)


def test_nothing_of_a_document_becomes_markup() -> None:
    document = drill()
    document["title"] = document["reason"] = "<script>alert(1)</script>"
    document["load"]["clients"][0]["place"] = "</script><img src=x>"
    page = files(document)["report.html"]
    assert "<script>alert" not in page
    assert "<img" not in page


def test_without_the_library_tables_stand_for_charts() -> None:
    evidence, notes = evidence_files(drill(), no_charts)
    assert notes == ["The charts are missing, tables stand for them. The library is missing. Install it."]
    assert notes[0] in words(evidence["report.html"])
    assert "<path" not in evidence["report.html"].partition("<main>")[2].partition("What moved")[0]
    assert evidence["report.html"].count('<th scope="row">−') > 3


def test_a_library_that_ends_is_an_error_and_no_end(monkeypatch: pytest.MonkeyPatch, tmp_path: t.Any) -> None:
    (tmp_path / "vl_convert.py").write_text("import os\nos.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(NotDrawn, match="ended with -6"):
        vega_svg([{}])
    (tmp_path / "vl_convert.py").write_text("raise ImportError\n")
    with pytest.raises(NotDrawn, match="pip install vl-convert-python"):
        vega_svg([{}])


def test_the_large_report_is_small_and_loads_nothing() -> None:
    evidence, notes = evidence_files(drill(LARGE), vega_svg)
    page = evidence["report.html"]
    assert notes == []
    assert len(page.encode()) < 1_500_000
    assert "<svg" in page
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?!#)|url\(|@import|https?://(?!helloworld|10\.)", words_free(page))


def words_free(page: str) -> str:
    """Return only the tags and the style of a page: what could load something."""
    style = "".join(re.findall(r"<style>.*?</style>", page, re.DOTALL))
    return style + "".join(re.findall(r"<[a-z][^>]*>", page)).replace('href="#', "")


def test_places_are_compared_once_all_was_shifted() -> None:
    document = drill()
    listed, places = samples(document), drill_formatting.place_names(document)
    comparison = drill_places_view.predicted(document, listed, places)
    assert comparison is not None
    assert all(row["inside"] for row in comparison["rows"])
    document["prediction"]["by_place_after"] = {places[0]: 1.0}
    wrong = drill_places_view.predicted(document, listed, places)
    assert wrong is not None
    assert [row["name"] for row in wrong["rows"] if row["inside"] is False] == [
        "Answered by beijing",
        "Answered by shenyang",
    ]
    assert "answered by shenyang" in wrong["sentence"]


def test_nothing_measured_is_no_agreement() -> None:
    document = {**drill(), "measured": None, "samples": {"columns": [], "rows": []}}
    comparison = drill_places_view.predicted(document, [], drill_formatting.place_names(drill()))
    assert comparison is not None
    assert {row["inside"] for row in comparison["rows"]} == {None}
    assert drill_summary.tiles(document)[0]["value"] == "not measured"


@pytest.mark.parametrize(
    ("change", "value", "tone"),
    [
        ({}, "yes", "good"),
        ({"restore": None}, "not known", "bad"),
        ({"restore": {"done": False, "snapshot": None}}, "no", "bad"),
        ({"restore": {"done": True, "snapshot": None}}, "yes", "warn"),
        (
            {
                "restore": {
                    "done": True,
                    "snapshot": {
                        "compared": 3,
                        "differences": [{"object": "x", "field": "y", "before": 1, "after": 2, "expected": False}],
                    },
                }
            },
            "no",
            "bad",
        ),
    ],
)
def test_what_is_not_proven_to_be_back_is_never_green(change: dict[str, t.Any], value: str, tone: str) -> None:
    tile = drill_summary.tiles(drill(**change))[3]
    assert (tile["value"], tile["tone"]) == (value, tone)


def test_auditors_are_shown_what_is_not_there() -> None:
    there = {control["asked"]: control["there"] for control in drill_audit_controls.controls(drill())}
    assert there["Switchover to redundant capacity"]
    assert not there["Comparison with the last test"]
    there = {control["asked"]: control["there"] for control in drill_audit_controls.controls(refused())}
    assert not there["Switchover to redundant capacity"]
    assert not there["Return to normal operation"]


def test_places_show_what_clients_hold() -> None:
    document = drill()
    stages = drill_places_view.stages(document, drill_formatting.place_names(document))
    tianjin = [
        subzone
        for stage in stages
        for region in stage["regions"]
        for zone in region["zones"]
        for subzone in zone["subzones"]
    ]
    assert [place["words"] for place in tianjin if place["name"] == "tianjin"] == [
        "1 healthy",
        "1 ejected",
        "1 healthy",
    ]
    document["endpoints"]["during"] = [
        endpoint for endpoint in document["endpoints"]["during"] if endpoint["health"] == "healthy"
    ]
    during = drill_places_view.stages(document, drill_formatting.place_names(document))[1]
    assert "1 removed" in json.dumps(during)


def test_sums_over_seconds() -> None:
    document = drill(FAILED)
    per_second = timeline(samples(document))
    assert sum(per_second.failed.values()) == document["measured"]["failed"]
    assert min(per_second.failed) == 15


def test_ticks_are_round_and_inside() -> None:
    assert ticks(-11, 58, 990) == [-10, -5, 0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55]
    assert ticks(-300, 1500, 290) == [0, 600, 1200]
