# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which section of report.html answers which question of an auditor.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

Drill = t.Mapping[str, t.Any]
Json = dict[str, t.Any]


class Control(t.NamedTuple):
    """What auditors ask for, where they ask for it, and the sections of the report that are evidence for it."""

    asked: str
    sources: str
    sections: tuple[str, ...]
    there: t.Callable[[Drill], bool]


def _given(name: str) -> t.Callable[[Drill], bool]:
    return lambda drill: bool((drill.get("references") or {}).get(name))


def _measured(drill: Drill) -> bool:
    return bool(drill["measured"] and drill["measured"]["requests"])


RTS = "RTS (EU) 2024/1774 Art. 25"


CONTROLS = (
    Control(
        "A unique identity, dates, duration, systems in scope",
        f"{RTS}; NIST SP 800-84",
        ("environment", "verdict"),
        lambda _drill: True,
    ),
    Control(
        "The scenario and how it was brought about",
        f"DORA Art. 24–25; {RTS}; ISO 22301 8.5",
        ("environment",),
        lambda _drill: True,
    ),
    Control(
        "The business function it matters to", f"{RTS} (business impact analysis)", ("environment",), _given("function")
    ),
    Control(
        "Objectives, assumptions, expected results",
        f"{RTS}; ISO 22301 8.5; NIST SP 800-84",
        ("prediction", "criteria"),
        lambda drill: drill["prediction"] is not None,
    ),
    Control(
        "Approval and safeguards before the start",
        "DORA Art. 24; NIST SP 800-84",
        ("criteria", "environment"),
        lambda drill: bool(drill["gate"]),
    ),
    Control(
        "Switchover to redundant capacity", "DORA Art. 11(6); " + RTS, ("timeline", "places", "mechanism"), _measured
    ),
    Control(
        "What was done, step by step",
        f"{RTS}; NIST SP 800-84",
        ("timeline",),
        lambda drill: bool(drill["events"] or drill["journal"]),
    ),
    Control(
        "Actual recovery time against the objective",
        "SOC 2 A1.3; NIST SP 800-53 CP-4",
        ("verdict", "timeline"),
        lambda drill: _measured(drill) and _given("rto_seconds")(drill),
    ),
    Control("Deviations, analysed", f"{RTS}; ISO 22301 8.5; SOC 2 CC7.5", ("prediction", "findings"), _measured),
    Control(
        "Actions, with owner and date",
        f"{RTS}; ISO 22301 8.5; NIST SP 800-84",
        ("findings", "environment"),
        lambda drill: _given("owner")(drill) and _given("due")(drill),
    ),
    Control(
        "Return to normal operation",
        "SOC 2 CC7.5; NIST SP 800-53 CP-4",
        ("restore",),
        lambda drill: drill["restore"] is not None and bool(drill["restore"].get("snapshot")),
    ),
    Control("Comparison with the last test", "ISO 22301 8.5", ("criteria",), lambda drill: bool(drill.get("previous"))),
    Control("Integrity of the records", "good practice", ("integrity",), lambda _drill: True),
)


SECTIONS = {
    "verdict": "Verdict",
    "timeline": "Timeline",
    "prediction": "Prediction",
    "places": "Places",
    "mechanism": "What moved the traffic",
    "findings": "Findings",
    "criteria": "Criteria and gate",
    "restore": "Proof of restore",
    "environment": "Environment",
    "integrity": "Files and hashes",
    "auditors": "For auditors",
}


def controls(drill: Drill) -> list[Json]:
    """Return what auditors ask for, with the sections that show it, and whether this drill has it."""
    return [
        {
            "asked": control.asked,
            "sources": control.sources,
            "sections": [{"id": name, "title": SECTIONS[name]} for name in control.sections],
            "there": control.there(drill),
        }
        for control in CONTROLS
    ]
