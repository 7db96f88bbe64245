# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings as text, JSON, JUnit and SARIF; and the documentation of the rules."""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t
from xml.etree import ElementTree

import jsonschema
import pytest
from sarif_pydantic import Sarif

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._lint import result_json
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import Finding
from ansible_collections.meshops.locality.plugins.module_utils._lint.lint import all_rules, lint
from ansible_collections.meshops.locality.plugins.module_utils._report.lint import report
from tests.conftest import ROOT
from tests.unit.plugins.module_utils._lint.meshes import findings, snapshot, tutorial

FORMATS = ("text", "json", "junit", "sarif")
NAME = "DestinationRule sample/helloworld"
#: What the schema of SARIF 2.1.0 allows in the objects that we write; it forbids everything else.
PARTS = {
    "log": {"$schema", "version", "runs", "inlineExternalProperties", "properties"},
    "run": {"tool", "results", "columnKind", "artifacts", "invocations", "logicalLocations", "properties"},
    "driver": {"name", "informationUri", "rules", "version", "semanticVersion", "properties"},
    "rule": {
        *("id", "name", "shortDescription", "fullDescription", "help", "helpUri", "defaultConfiguration"),
        "properties",
    },
    "result": {
        *("ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints", "suppressions", "properties"),
    },
    "location": {"physicalLocation", "logicalLocations", "message", "id", "properties"},
}


@pytest.fixture(scope="module")
def mesh_findings() -> list[Finding]:
    wishes = [{"id": "ML220", "object": NAME, "reason": 'the clients retry <themselves> & "well"'}]
    return lint(snapshot(tutorial()), suppress=wishes, sources={NAME: "rules/hello world.yaml:12"})


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("some", [[], "mesh_findings"], ids=["nothing", "something"])
def test_every_format(kind: str, some: t.Any, mesh_findings: list[Finding]) -> None:
    assert report(mesh_findings if some else [], kind).strip()


def test_another_format_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="format: 'html' is not one of text, json, junit, sarif"):
        report([], "html")


def test_text(mesh_findings: list[Finding]) -> None:
    text = report(mesh_findings, "text")
    lines = text.splitlines()
    assert lines[0] == f"{NAME} (rules/hello world.yaml:12)"
    assert lines[1] == "  error   ML202 spec.trafficPolicy.outlierDetection.maxEjectionPercent [6 clients]"
    assert "    fix: maxEjectionPercent: 75" in lines
    assert 'suppressed ML220 DestinationRule sample/helloworld: the clients retry <themselves> & "well"' in text
    assert lines[-1] == "1 error, 0 warnings, 2 info, 1 suppressed."
    assert max(len(line) for line in lines if "see:" not in line) <= 110
    narrow = report(mesh_findings, "text", width=60).splitlines()
    indented = [line for line in narrow if line.startswith(" ")]
    assert all(len(line) <= 60 or max(len(word) for word in line.split()) > 30 for line in indented)
    assert report([], "text") == "No findings."


def test_json(mesh_findings: list[Finding]) -> None:
    document = json.loads(report(mesh_findings, "json"))
    jsonschema.validate(document, result_json.schema(), cls=jsonschema.Draft202012Validator)
    assert document["summary"] == {"error": 1, "warning": 0, "info": 2, "suppressed": 1}
    assert result_json.findings(document["findings"]) == mesh_findings
    document["findings"][0]["severity"] = "fatal"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, result_json.schema(), cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", "findings: expected a list, got str"),
        ([7], r"findings\[0\]: expected an object, got 7"),
        ([{"id": "ML202"}], r"findings\[0\]: the field 'severity' is missing"),
        ([{"id": 1}], r"findings\[0\].id: expected a string"),
    ],
)
def test_what_is_no_finding_is_named(value: t.Any, expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected):
        result_json.findings(value)


def test_junit(mesh_findings: list[Finding]) -> None:
    (suite,) = ElementTree.fromstring(report(mesh_findings, "junit"))
    cases = suite.findall("testcase")
    assert int(suite.get("tests", "")) == len(cases)
    assert len(cases) == len(all_rules()), "one for each rule without findings, and one for each rule and object"
    failures = {case.get("classname"): case for case in cases if case.find("failure") is not None}
    assert set(failures) == {"ML202 maxEjectionPercent allows no ejection at all"}
    (case,) = failures.values()
    assert case.get("name") == NAME
    assert case.get("file") == "rules/hello world.yaml"
    failure = case.find("failure")
    assert failure is not None
    assert "fix: maxEjectionPercent: 75" in (failure.text or "")
    (skipped,) = [case.find("skipped") for case in cases if case.find("skipped") is not None]
    assert skipped is not None
    assert skipped.get("message") == 'the clients retry <themselves> & "well"'
    assert (suite.get("failures"), suite.get("skipped")) == ("1", "1")


def test_junit_strict() -> None:
    reported = findings(tutorial())
    (suite,) = ElementTree.fromstring(report(reported, "junit"))
    (strict,) = ElementTree.fromstring(report(reported, "junit", strict=True))
    assert (suite.get("failures"), strict.get("failures")) == ("1", "2")


def test_names_that_no_xml_can_hold() -> None:
    finding = Finding("ML905", "warning", "x", "Pod a/\x00\x1b\ufffe", "y", "z \x08.", suppressed="")
    assert "\x00" not in report([finding], "junit")
    ElementTree.fromstring(report([finding], "junit"))


def test_sarif(mesh_findings: list[Finding]) -> None:
    """The whole schema is in no package; the models of sarif-pydantic and the allowed names stand in for it."""
    log = json.loads(report(mesh_findings, "sarif"))
    Sarif.model_validate(log)
    assert set(log) <= PARTS["log"]
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert set(run) <= PARTS["run"]
    assert set(driver) <= PARTS["driver"]
    assert [rule["id"] for rule in driver["rules"]] == sorted(all_rules())
    for rule in driver["rules"]:
        assert set(rule) <= PARTS["rule"]
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note")
        assert rule["helpUri"].startswith("https://")
        assert all(rule[name]["text"] for name in ("shortDescription", "fullDescription", "help"))
    assert len(run["results"]) == len(mesh_findings)
    for result, finding in zip(run["results"], mesh_findings, strict=True):
        assert set(result) <= PARTS["result"]
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == finding.id
        assert result["message"]["text"].startswith(finding.message)
        (location,) = result["locations"]
        assert set(location) <= PARTS["location"]
        assert location["logicalLocations"][0]["fullyQualifiedName"].startswith(finding.object)
    first, second = run["results"][0], next(result for result in run["results"] if result["ruleId"] == "ML220")
    assert first["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "rules/hello%20world.yaml"},
        "region": {"startLine": 12},
    }
    assert second["suppressions"] == [
        {"kind": "external", "status": "accepted", "justification": 'the clients retry <themselves> & "well"'}
    ]
    assert "suppressions" not in first


def test_the_fingerprint_stays_when_numbers_change(mesh_findings: list[Finding]) -> None:
    changed = [dataclasses.replace(finding, message=finding.message.replace("4", "5")) for finding in mesh_findings]
    prints = [
        [result["partialFingerprints"] for result in json.loads(report(some, "sarif"))["runs"][0]["results"]]
        for some in (mesh_findings, changed)
    ]
    assert prints[0] == prints[1]


def test_every_rule_is_documented() -> None:
    """Its heading says severity and title, and its section has an example, a fix and the source."""
    text = (ROOT / "docs" / "lint.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (ML\d+ .*)\n((?:(?!^##).*\n)*)", text, re.MULTILINE))
    wanted = {f"{rule.id} {rule.severity}: {rule.title}": rule for rule in all_rules().values()}
    assert set(sections) == set(wanted)
    for heading, rule in wanted.items():
        section = sections[heading]
        assert f"<{rule.link}>" in section, heading
        assert "```" in section, heading
        assert "Fix: " in section, heading
    assert [name.split(" ", 1)[0] for name in sections] == sorted(all_rules())


def test_ids_are_grouped_by_hundreds() -> None:
    assert all(re.fullmatch(r"ML[1-69]\d\d", ident) for ident in all_rules())


def test_the_documented_run_is_the_real_one() -> None:
    """What docs/lint.md shows of the tutorial's rule is what comes out."""
    text = (ROOT / "docs" / "lint.md").read_text(encoding="utf-8")
    shown = re.findall(r"```text\n(.*?)```", text, re.DOTALL)[0]
    real = report([finding for finding in findings(tutorial()) if finding.severity != "info"], "text")
    assert shown.split() == real.rpartition("\n\n")[0].split()


def test_findings_alike_are_folded() -> None:
    some = findings(tutorial())
    assert "alike" not in report(some, "text")
    folded = next(finding for finding in some if finding.id == "ML202")
    many = [dataclasses.replace(folded, object=f"DestinationRule shop/r{number}") for number in range(300)]
    lines = report(many, "text").splitlines()
    assert len(lines) < 40
    assert any(line.startswith("… and 298 alike: ML202 spec.trafficPolicy.outlierDetection.maxEject") for line in lines)
    assert lines[-1] == "300 errors, 0 warnings, 0 info."
