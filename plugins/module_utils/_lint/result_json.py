# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON form of findings: what the filter returns and files hold.

Pure. Private to this collection: it may change at any time; docs/lint.md describes the form.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import SEVERITIES, Finding
from ansible_collections.meshops.locality.plugins.module_utils._model.record_json import from_json

Json = dict[str, t.Any]

#: A change that older readers cannot read gets a new number.
SCHEMA = "meshops.locality/lint/v1"


def finding_as_json(finding: Finding) -> Json:
    """Return a finding as a dictionary with all its fields."""
    patch = [dataclasses.asdict(change) for change in finding.patch]
    return {**dataclasses.asdict(finding), "named": list(finding.named), "patch": patch}


def findings(value: t.Any) -> list[Finding]:
    """Read a list of what `finding_as_json` returned. Raises InvalidInput with the path of what is something else."""
    if not isinstance(value, (list, tuple)):
        raise InvalidInput(
            f"findings: expected a list, got {type(value).__name__}.", do="Give what locality_lint returned."
        )
    reported = []
    for index, entry in enumerate(value):
        finding = from_json(Finding, entry, f"findings[{index}]")
        if finding.severity not in SEVERITIES:
            raise InvalidInput(
                f"findings[{index}].severity: {finding.severity!r} is not one of {', '.join(SEVERITIES)}."
            )
        reported.append(finding)
    return reported


def numbers(reported: t.Iterable[Finding]) -> dict[str, int]:
    """Return how many findings there are of each severity, and how many are suppressed (these count there only)."""
    counted = dict.fromkeys((*SEVERITIES, "suppressed"), 0)
    for finding in reported:
        counted["suppressed" if finding.suppressed else finding.severity] += 1
    return counted


def document(reported: t.Sequence[Finding]) -> Json:
    """Return the JSON document of findings."""
    return {
        "schema": SCHEMA,
        "summary": numbers(reported),
        "findings": [finding_as_json(finding) for finding in reported],
    }


def schema() -> Json:
    """Return the JSON schema (draft 2020-12) of the document."""
    text, number = {"type": "string"}, {"type": "integer", "minimum": 0}
    kinds: dict[str, Json] = {"clients": number, "named": {"type": "array", "items": text}}
    change = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"object": text, "field": text, "value": {}},
        "required": ["object", "field", "value"],
    }
    kinds["patch"] = {"type": "array", "items": change}
    kinds["severity"] = {"enum": list(SEVERITIES)}
    names = [field.name for field in dataclasses.fields(Finding)]
    summary = dict.fromkeys((*SEVERITIES, "suppressed"), number)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SCHEMA,
        "type": "object",
        "additionalProperties": False,
        "required": ["schema", "summary", "findings"],
        "properties": {
            "schema": {"const": SCHEMA},
            "summary": {
                "type": "object",
                "additionalProperties": False,
                "properties": summary,
                "required": list(summary),
            },
            "findings": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {name: kinds.get(name, text) for name in names},
                    "required": names,
                },
            },
        },
    }
