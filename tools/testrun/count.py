# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Count the tests of a step from what its own tool wrote."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from xml.etree import ElementTree

from testrun.steps import Count, Step


@dataclasses.dataclass(frozen=True)
class Tally:
    """How many tests of one step passed and failed, and the names of those that failed, each with its reason."""

    passed: int = 0
    failed: int = 0
    names: tuple[str, ...] = ()


#: Characters of the beginning of a reason: enough of both sides of a comparison.
_REASON = 400
#: And of its end: what a command printed last says why it failed.
_END = 800


def _reason(broken: ElementTree.Element) -> str:
    """Return where a test failed and why, '' where the report does not say.

    A log may be gone when somebody reads the result of a pipeline: its last lines have to say what happened.
    """
    text = (broken.text or "").strip().splitlines()
    *_, place = text or [""]
    # Since 9.2, pytest's `message` is only the beginning of what it marks with an E in the text.
    lines = [line[1:] for line in text if line.startswith("E ")] or [broken.get("message") or ""]
    message = " ".join(" ".join(lines).split())
    whole = len(message) <= _REASON + _END
    short = message if whole else f"{message[:_REASON]} … {message[-_END:]}"
    return "".join(f": {part}" for part in (place.strip()[:_REASON], short) if part)


def _cases(folder: Path, *, skipped_fails: bool) -> Tally:
    passed, names = 0, []
    for file in sorted(folder.glob("*.xml")):
        try:
            cases = list(ElementTree.parse(file).iter("testcase"))
        except ElementTree.ParseError as error:  # its writer was ended in the middle
            names.append(f"{file.name} is not a whole report: {error}")
            continue
        for case in cases:
            name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
            broken = next((part for kind in ("failure", "error") for part in case.findall(kind)), None)
            if broken is not None:
                names.append(name + _reason(broken))
            elif case.find("skipped") is None:
                passed += 1
            elif skipped_fails:
                names.append(f"{name} (skipped)")
    return Tally(passed, len(names), tuple(names))


def _go(log: Path) -> Tally:
    results = re.findall(r"^--- (PASS|FAIL): (\S+)", log.read_text(errors="replace"), flags=re.MULTILINE)
    names = tuple(name for word, name in results if word == "FAIL")
    return Tally(len(results) - len(names), len(names), names)


def count(step: Step, returncode: int) -> Tally:
    """Return the tally of a step that has ended.

    A step that ended badly has at least one failed test, and so has one that should have run tests and ran none:
    a crash before the first test must not look like success.
    """
    if step.count in (Count.JUNIT, Count.SANITY):
        tally = _cases(step.reports, skipped_fails=step.count is Count.JUNIT)
    elif step.count is Count.GO:
        tally = _go(step.log)
    else:
        tally = Tally(passed=1 if step.count is Count.ONE and not returncode else 0)
    none_ran = step.count not in (Count.NOTHING, Count.ONE) and not tally.passed
    if not tally.failed and (returncode or none_ran):
        reason = f"exit code {returncode}" if returncode else "no test ran"
        return Tally(tally.passed, 1, (f"{step.name} ({reason})",))
    return tally
