# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""assessment.html: the heat map of Services and losses, with reasons, fixes, and what was not judged.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._report import page_style
from ansible_collections.meshops.locality.plugins.module_utils._report.assessment import (
    CARRIES_ON,
    GONE,
    GRADES,
    UNTOUCHED,
    percent,
)
from ansible_collections.meshops.locality.plugins.module_utils._report.assessment_page_template import STYLE, TEMPLATE
from ansible_collections.meshops.locality.plugins.module_utils._report.page_script import ASSESSMENT, COMMON
from ansible_collections.meshops.locality.plugins.module_utils._report.page_template import page

Part = t.Mapping[str, t.Any]

#: Rows that are there without JavaScript.
STATIC = 50
_TONES = ("calm", "good", "warn", "warn", "bad", "bad", "bad")


def assessment_page(assessed: Part) -> str:
    """Return the page of an assessment."""
    rows = assessed["rows"]
    worst = max((row["grade"] for row in rows), default=UNTOUCHED)
    shown = [
        (
            grade,
            {"sign": sign, "word": word, "meaning": meaning, "number": assessed["grades"][word], "tone": _TONES[grade]},
        )
        for grade, (sign, word, meaning) in reversed(list(enumerate(GRADES)))
        if grade != UNTOUCHED and (assessed["grades"][word] or grade in (CARRIES_ON, GONE))
    ]
    values = {
        "assessed": assessed,
        "grades": GRADES,
        "tone": "calm" if not rows else _TONES[max(worst, CARRIES_ON)],
        "shown_grades": shown[:4],
        "rows": rows[:STATIC],
        "rest": len(rows) > STATIC,
        "namespaces": sorted({row["namespace"] for row in rows}),
        "percent": percent,
        "data": _data(rows),
    }
    style = page_style.STYLE + STYLE
    return page(TEMPLATE, "Assessment: what survives what", style, COMMON + ASSESSMENT, values)


def _data(rows: t.Sequence[Part]) -> str:
    """Return all rows as JSON for the script: sentences stand in a list once, rows have their numbers."""
    sentences: dict[str, int] = {}

    def number(text: str) -> int:
        return sentences.setdefault(text, len(sentences))

    table = [
        [
            row["name"],
            row["namespace"],
            [
                [
                    cell["grade"],
                    percent(cell["share"]) if cell["share"] else "",
                    number(_cell_text(cell)) if cell["grade"] else -1,
                ]
                for cell in row["cells"]
            ],
            [
                number(f"{finding['title']} ({finding['id']}): {finding['fix'] or finding['object']}")
                for finding in row["findings"]
            ],
        ]
        for row in rows
    ]
    data = {"grades": [[sign, word] for sign, word, _meaning in GRADES], "rows": table, "sentences": list(sentences)}
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _cell_text(cell: Part) -> str:
    more = f" {cell['hurt']} of {cell['of']} such losses hurt." if cell["hurt"] > 1 else ""
    return f"{cell['reason']}{more}"
