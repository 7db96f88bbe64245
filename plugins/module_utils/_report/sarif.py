# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings as SARIF 2.1.0, which code hosts show next to the lines they are about.

Source: OASIS SARIF 2.1.0 (2020-03-27). Own code, because a collection brings no library to its users' controllers.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
import urllib.parse

from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import Finding
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import LintRule

Json = dict[str, t.Any]

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_PROJECT = "https://github.com/meshops/locality"


def sarif(findings: t.Sequence[Finding], rules: t.Mapping[str, LintRule]) -> Json:
    """Return the SARIF log of one run. All rules are in it, also those that found nothing."""
    listed = list(rules.values())
    index = {rule.id: position for position, rule in enumerate(listed)}
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "meshops.locality.lint",
                        "informationUri": _PROJECT,
                        "rules": [_rule(rule) for rule in listed],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding, index) for finding in findings],
            }
        ],
    }


def _rule(rule: LintRule) -> Json:
    return {
        "id": rule.id,
        "name": "".join(word[:1].upper() + word[1:] for word in rule.title.replace("-", " ").split() if word.isalnum()),
        "shortDescription": {"text": f"{rule.title}."},
        "fullDescription": {"text": (rule.check.__doc__ or rule.title).strip()},
        "helpUri": rule.link,
        "help": {"text": f"See {_PROJECT}/blob/main/docs/lint.md, {rule.id}, and {rule.link}."},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(finding: Finding, index: t.Mapping[str, int]) -> Json:
    result: Json = {
        "ruleId": finding.id,
        "level": _LEVELS[finding.severity],
        "message": {
            "text": " ".join(
                part for part in (finding.message, finding.why, finding.fix and f"Fix: {finding.fix}") if part
            )
        },
        "locations": [_location(finding)],
        # The numbers of a message change with the mesh; rule, object and field say that it is the same finding.
        "partialFingerprints": {"ruleObjectField/v1": f"{finding.id}|{finding.object}|{finding.field}"},
    }
    if finding.id in index:
        result["ruleIndex"] = index[finding.id]
    if finding.suppressed:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": finding.suppressed}]
    return result


def _location(finding: Finding) -> Json:
    name = f"{finding.object} {finding.field}".strip()
    location: Json = {
        "logicalLocations": [{"fullyQualifiedName": name, "name": finding.field or finding.object, "kind": "object"}]
    }
    if finding.source:
        file, _colon, line = finding.source.rpartition(":")
        if not line.isdigit():
            file, line = finding.source, ""
        physical: Json = {"artifactLocation": {"uri": urllib.parse.quote(file)}}
        if line and int(line) > 0:
            physical["region"] = {"startLine": int(line)}
        location["physicalLocation"] = physical
    return location
