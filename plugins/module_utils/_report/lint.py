# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings as text a person reads at a glance, and as JSON.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import textwrap
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import SEVERITIES, Finding
from ansible_collections.meshops.locality.plugins.module_utils._lint.lint import all_rules
from ansible_collections.meshops.locality.plugins.module_utils._lint.result_json import document, numbers
from ansible_collections.meshops.locality.plugins.module_utils._model.name_lists import first_names
from ansible_collections.meshops.locality.plugins.module_utils._report.code_quality import code_quality
from ansible_collections.meshops.locality.plugins.module_utils._report.junit import junit
from ansible_collections.meshops.locality.plugins.module_utils._report.sarif import sarif

#: The width of the text.
WIDTH = 110
#: From how many findings alike (rule, field and fix) on only the first few are shown whole, and the others are named.
ALIKE, SHOWN, NAMED = 6, 2, 6


def text(findings: t.Sequence[Finding], width: int = WIDTH) -> str:
    """Return the findings one after the other, grouped by object, and a summary line; `width` in characters."""
    lines: list[str] = []
    shown, folded = _folded([finding for finding in findings if not finding.suppressed])
    for name in dict.fromkeys(finding.object for finding in shown):
        own = [finding for finding in shown if finding.object == name]
        source = next((finding.source for finding in own if finding.source), "")
        lines += [f"{name}{f' ({source})' if source else ''}"]
        for finding in own:
            lines += _finding(finding, width)
        lines.append("")
    for finding, names in folded:
        sentence = (
            f"… and {len(names)} alike: {finding.id} {finding.field}, fix: {finding.fix}".rstrip(".")
            + f". {first_names(names, NAMED)}"
        )
        lines += _wrapped(sentence, "", "  ", width)
    if folded:
        lines.append("")
    suppressed = [finding for finding in findings if finding.suppressed]
    for finding in suppressed:
        lines += _wrapped(f"suppressed {finding.id} {finding.object}: {finding.suppressed}", "", "  ", width)
    if suppressed:
        lines.append("")
    return "\n".join([*lines, summary(findings)])


def _folded(findings: t.Sequence[Finding]) -> tuple[list[Finding], list[tuple[Finding, list[str]]]]:
    """Return the findings to show whole, and those alike: (one of them, names of the objects)."""
    alike: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        kind = finding.object.partition(" ")[0]
        alike.setdefault((finding.id, finding.severity, kind, finding.field, finding.fix), []).append(finding)
    whole: set[int] = set()
    folded = []
    for own in alike.values():
        shown = own if len(own) <= ALIKE else own[:SHOWN]
        whole |= {id(finding) for finding in shown}
        if len(own) > len(shown):
            folded.append(
                (own[0], [finding.object.partition(" ")[2] or finding.object for finding in own[len(shown) :]])
            )
    return [finding for finding in findings if id(finding) in whole], folded


def _finding(finding: Finding, width: int) -> list[str]:
    field = f" {finding.field}" if finding.field else ""
    clients = f" [{finding.clients} client{'s' if finding.clients != 1 else ''}]" if finding.clients else ""
    lines = _wrapped(f"{finding.severity:7} {finding.id}{field}{clients}", "  ", "  ", width)
    lines += _wrapped(finding.message, "    ", "    ", width)
    for label, words in (("why", finding.why), ("fix", finding.fix)):
        if words:
            lines += _wrapped(f"{label}: {words}", "    ", "         ", width)
    return [*lines, f"    see: {finding.link}"] if finding.link else lines


def _wrapped(words: str, first: str, rest: str, width: int) -> list[str]:
    return textwrap.wrap(
        words, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    ) or [first.rstrip()]


def summary(findings: t.Iterable[Finding]) -> str:
    """Return one line: how many findings of which severity."""
    counted = numbers(findings)
    if not any(counted.values()):
        return "No findings."
    sentences = [f"{counted[name]} {name}{'s' if name != 'info' and counted[name] != 1 else ''}" for name in SEVERITIES]
    if counted["suppressed"]:
        sentences.append(f"{counted['suppressed']} suppressed")
    return ", ".join(sentences) + "."


def report(findings: t.Sequence[Finding], kind: str, *, strict: bool = False, width: int = WIDTH) -> str:
    """Return findings as text, json, junit, sarif or code_quality.

    `strict`: warnings are failures of JUnit, too. `width`: of text.

    Raises InvalidInput for another format.
    """
    if kind == "text":
        return text(findings, width)
    if kind == "json":
        return json.dumps(document(findings), indent=2, ensure_ascii=False) + "\n"
    if kind == "junit":
        return junit(findings, all_rules(), strict=strict)
    if kind == "sarif":
        return json.dumps(sarif(findings, all_rules()), indent=2, ensure_ascii=False) + "\n"
    if kind == "code_quality":
        return json.dumps(code_quality(findings), indent=2, ensure_ascii=False) + "\n"
    raise InvalidInput(f"format: {kind!r} is not one of text, json, junit, sarif, code_quality.")
