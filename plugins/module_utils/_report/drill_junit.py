# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill as JUnit XML, which CI systems show: the outcome, each rule of the gate, each criterion, the restore.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ansible_collections.meshops.locality.plugins.module_utils._report.xml_text import xml_text

Drill = t.Mapping[str, t.Any]


def drill_junit(drill: Drill) -> str:
    """Return the XML. What did not pass is a failure; what could not be judged is an error, never a pass.

    A drill that only checked (check mode) has its criteria skipped.
    """
    suite = Element("testsuite", name="meshops.locality.drill", timestamp=str(drill["started"])[:19])
    name = xml_text(f"drill {drill['scope']['namespace']}/{drill['scope']['service']}")
    outcome = drill["outcome"] == "SUCCEEDED" or (drill["outcome"] == "PENDING" and drill["check_mode"])
    _case(suite, f"{name} outcome", str(drill["title"]), outcome, str(drill["reason"]), drill["seconds"])
    for rule in drill["gate"]:
        _case(suite, f"{name} gate", rule["rule"], rule["passed"], f"{rule['what']} {rule['do']}".strip())
    for criterion in drill["criteria"]:
        said = f"wanted: {criterion['wanted']}; observed: {criterion['observed']}"
        _case(suite, f"{name} criteria", criterion["name"], criterion["passed"], said, skipped=drill["check_mode"])
    restore = drill["restore"]
    if restore is not None:
        for pod in restore.get("pods") or ():
            problem = str(pod.get("error") or "")
            _case(suite, f"{name} restore", pod["pod"], not problem, problem or str(pod.get("proof") or ""))
        _case(suite, f"{name} restore", "everything is back", restore["done"], _differences(restore))
    numbers = {"tests": len(suite)}
    for kind, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        numbers[plural] = len(suite.findall(f"testcase/{kind}"))
    for plural, number in numbers.items():
        suite.set(plural, str(number))
    suites = Element("testsuites")
    suites.append(suite)
    indent(suites)
    return tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _differences(restore: t.Mapping[str, t.Any]) -> str:
    compared = restore.get("snapshot")
    if compared is None:
        return "The state after the drill was not compared with the state before."
    unexpected = [difference for difference in compared["differences"] if not difference["expected"]]
    changes = [
        f"{difference['object']} {difference['field']}: {difference['before']} → {difference['after']}"
        for difference in unexpected
    ]
    return (
        f"{compared['compared']} objects compared, {len(unexpected)} unexpected differences. {'; '.join(changes)}"
    ).strip()


def _case(
    suite: Element, kind: str, name: str, passed: bool | None, said: str, seconds: float = 0, *, skipped: bool = False
) -> None:
    case = SubElement(suite, "testcase", classname=xml_text(kind), name=xml_text(name), time=f"{seconds:g}")
    said = xml_text(said)
    if skipped and passed is None:
        SubElement(case, "skipped", message=said)
    elif passed is None:
        SubElement(case, "error", message=f"could not be judged: {said}", type="unknown")
    elif not passed:
        SubElement(case, "failure", message=said, type="failed").text = said
    else:
        SubElement(case, "system-out").text = said
