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


def sarif(found: t.Sequence[Finding], rules: t.Mapping[str, LintRule]) -> Json:
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
                "results": [_result(one, index) for one in found],
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
        "help": {"text": f"See docs/lint.md, {rule.id}, and {rule.link}."},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(one: Finding, index: t.Mapping[str, int]) -> Json:
    result: Json = {
        "ruleId": one.id,
        "level": _LEVELS[one.severity],
        "message": {"text": " ".join(part for part in (one.message, one.why, one.fix and f"Fix: {one.fix}") if part)},
        "locations": [_location(one)],
        # The numbers of a message change with the mesh; rule, object and field say that it is the same finding.
        "partialFingerprints": {"ruleObjectField/v1": f"{one.id}|{one.object}|{one.field}"},
    }
    if one.id in index:
        result["ruleIndex"] = index[one.id]
    if one.suppressed:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": one.suppressed}]
    return result


def _location(one: Finding) -> Json:
    name = f"{one.object} {one.field}".strip()
    location: Json = {
        "logicalLocations": [{"fullyQualifiedName": name, "name": one.field or one.object, "kind": "object"}]
    }
    if one.source:
        file, _colon, line = one.source.rpartition(":")
        if not line.isdigit():
            file, line = one.source, ""
        physical: Json = {"artifactLocation": {"uri": urllib.parse.quote(file)}}
        if line and int(line) > 0:
            physical["region"] = {"startLine": int(line)}
        location["physicalLocation"] = physical
    return location
