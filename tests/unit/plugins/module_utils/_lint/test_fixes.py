# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixes that are followed to the letter: the objects are changed, read, planned and linted again."""

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._lint import lint as lint_module
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import SEVERITIES, FieldChange, Finding
from ansible_collections.meshops.locality.plugins.module_utils._lint.patches import apply, patched, steps
from tests.conftest import ROOT
from tests.unit.plugins.module_utils._lint.cases import CASES, FAR, HOST, OTHER_PODS, Case, locality, policy, web
from tests.unit.plugins.module_utils._lint.meshes import Json, findings, service, snapshot

#: The rules whose finding of CASES has a fix that can be applied by a program. All others give advice in words.
APPLICABLE = {
    *("ML101", "ML103", "ML104", "ML110", "ML127", "ML201", "ML202", "ML203", "ML204", "ML205", "ML207", "ML210"),
    *(
        "ML211",
        "ML213",
        "ML220",
        "ML221",
        "ML222",
        "ML223",
        "ML224",
        "ML230",
        "ML234",
        "ML235",
        "ML236",
        "ML301",
        "ML302",
        "ML304",
        "ML305",
        "ML306",
        "ML401",
    ),
    *("ML403", "ML405", "ML406", "ML524"),
}


def named(objects: list[t.Any]) -> dict[str, Json]:
    return {
        f"{item['kind']} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}": item
        for item in objects
        if isinstance(item, dict)
    }


def linted(case: Case, objects: list[t.Any] | None = None) -> list[Finding]:
    return findings(case.fires if objects is None else objects, case.version, mesh_config=case.mesh, **case.options)


def places(some: t.Iterable[Finding]) -> set[tuple[str, str, str]]:
    return {(finding.id, finding.object, finding.field) for finding in some}


def test_the_rules_with_a_fix_that_can_be_applied() -> None:
    having = {
        ident for ident, case in CASES.items() if any(finding.patch for finding in linted(case) if finding.id == ident)
    }
    assert having == APPLICABLE
    text = (ROOT / "docs" / "lint.md").read_text(encoding="utf-8")
    listed = text.partition("These rules have a `patch`: ")[2].partition(".")[0]
    assert set(re.findall(r"ML\d+", listed)) == APPLICABLE


@pytest.mark.parametrize("ident", sorted(APPLICABLE))
def test_followed_to_the_letter_the_finding_goes_and_no_worse_one_comes(ident: str) -> None:
    case = CASES[ident]
    before = linted(case)
    for finding in before:
        if finding.id != ident or not finding.patch:
            continue
        changed = list(apply(named(case.fires), finding.patch).values())
        after = linted(case, changed)
        assert (finding.id, finding.object, finding.field) not in places(after)
        new = [other for other in after if (other.id, other.object, other.field) not in places(before)]
        rank = SEVERITIES.index(finding.severity)
        assert [other for other in new if SEVERITIES.index(other.severity) <= rank] == []


def test_a_fix_that_brings_a_worse_finding_is_not_offered() -> None:
    """A detector alone would not do: without a percentage nothing can be ejected."""
    nothing = policy("{outlierDetection: {consecutive5xxErrors: 0}}")
    (reported,) = [finding for finding in findings(web(nothing)) if finding.id == "ML201"]
    assert [change.field.rpartition(".")[2] for change in reported.patch] == [
        "consecutive5xxErrors",
        "maxEjectionPercent",
    ]
    less = reported.patch[:1]  # without the percentage nothing could be ejected: ML202
    after = findings(list(apply(named(web(nothing)), less).values()))
    assert "ML202" in {other.id for other in after}


def test_two_fixes_of_one_list_do_not_move_each_other() -> None:
    twice = locality("{failover: [{from: r1, to: r2}, {from: r1, to: r9}, {from: r7, to: r2}]}")
    some = [finding for finding in findings(web(twice)) if finding.id in ("ML103", "ML104")]
    assert [len(finding.patch) for finding in some] == [1, 1]
    changed = apply(named(web(twice)), [change for finding in some for change in finding.patch])
    setting = changed["DestinationRule shop/web"]["spec"]["trafficPolicy"]["loadBalancer"]["localityLbSetting"]
    assert setting["failover"] == [{"from": "r1", "to": "r2"}]


def test_paths_and_changes() -> None:
    assert steps("spec.http[0].route") == ["spec", "http", 0, "route"]
    assert steps("metadata.labels[topology.kubernetes.io/zone]") == [
        "metadata",
        "labels",
        "topology.kubernetes.io/zone",
    ]
    mesh = snapshot(web(FAR))
    changed = patched(mesh, [FieldChange("VirtualService shop/new", "spec", {"hosts": [HOST]})])
    assert [str(virtual) for virtual in changed.virtual_services] == ["shop/new"]
    assert mesh.virtual_services == ()
    with pytest.raises(InvalidInput, match="cannot be changed"):
        patched(mesh, [FieldChange("Node n0", "metadata.labels[a]", "b")])
    with pytest.raises(InvalidInput, match="leads nowhere"):
        patched(mesh, [FieldChange("DestinationRule shop/web", "spec.host.deep[0].down", 1)])


def test_in_a_large_mesh_two_of_those_alike_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lint_module, "_MANY", 1)
    other = {**service("other", "shop")}
    without = policy("{outlierDetection: {consecutive5xxErrors: 5}}")
    some = [finding for finding in findings(web(without, other, *OTHER_PODS)) if finding.id == "ML202"]
    assert [change.field.rpartition(".")[2] for finding in some for change in finding.patch] == ["maxEjectionPercent"]
    tried: list[Finding] = []

    def noted(_part: t.Any, finding: Finding, _found: t.Any, _asked: t.Any) -> Finding:
        tried.append(finding)
        return finding

    monkeypatch.setattr(lint_module, "_completed", noted)
    findings(web(without, other, *OTHER_PODS))
    assert {finding.id for finding in tried} >= {"ML202"}
