# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings as JUnit XML, which CI systems show: one test case for each rule and object.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import ERROR, WARNING, Finding
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import LintRule
from ansible_collections.meshops.locality.plugins.module_utils._report.xml_text import xml_text


def junit(findings: t.Sequence[Finding], rules: t.Mapping[str, LintRule], *, strict: bool = False) -> str:
    """Return the XML. Errors are failures, with `strict` warnings as well; other findings are test cases that pass.

    A rule that found nothing is one test case that passes; suppressed findings are skipped, with their reason.
    """
    failing = (ERROR, WARNING) if strict else (ERROR,)
    suite = Element("testsuite", name="meshops.locality.lint")
    grouped: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        grouped.setdefault((finding.id, finding.object), []).append(finding)
    failures = skipped = 0
    for rule in rules.values():
        if not any(ident == rule.id for ident, _name in grouped):
            _case(suite, "nothing found", f"{rule.id} {rule.title}")
    for (ident, name), some in grouped.items():
        case = _case(suite, name, f"{ident} {some[0].title}", some[0].source)
        live = [finding for finding in some if not finding.suppressed]
        if not live:
            skipped += 1
            SubElement(case, "skipped", message=xml_text(some[0].suppressed))
            continue
        details = "\n\n".join(_finding_text(finding) for finding in live)
        if live[0].severity in failing:
            failures += 1
            failure = SubElement(case, "failure", message=xml_text(live[0].message), type=live[0].severity)
            failure.text = xml_text(details)
        else:
            SubElement(case, "system-out").text = xml_text(details)
    total = len(suite)
    for name, number in (("tests", total), ("failures", failures), ("errors", 0), ("skipped", skipped)):
        suite.set(name, str(number))
    suites = Element("testsuites")
    suites.append(suite)
    indent(suites)
    return tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: Element, name: str, classname: str, source: str = "") -> Element:
    case = SubElement(suite, "testcase", name=xml_text(name), classname=xml_text(classname), time="0")
    file = source.rpartition(":")[0] if source.rpartition(":")[2].isdigit() else source
    if file:
        case.set("file", xml_text(file))
    return case


def _finding_text(finding: Finding) -> str:
    lines = [f"{finding.severity}: {finding.message}", f"field: {finding.field}" if finding.field else "", finding.why]
    lines += [f"fix: {finding.fix}" if finding.fix else "", finding.link]
    return "\n".join(line for line in lines if line)
