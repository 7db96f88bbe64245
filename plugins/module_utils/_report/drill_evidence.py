# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the evidence folder of a drill. docs/evidence.md describes them.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._report.chart_svg import Draw
from ansible_collections.meshops.locality.plugins.module_utils._report.credential_removal import without_credentials
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_journal import (
    broken_line,
    journal_jsonl,
    sha256,
)
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_junit import drill_junit
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_report import drill_report
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_schema import check
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_timeline import timeline_csv

MANIFEST = "manifest.sha256"
FILES = ("drill.json", "journal.jsonl", "timeline.csv", "junit.xml", "report.html", MANIFEST)


def evidence_files(drill: t.Any, draw: Draw) -> tuple[dict[str, str], list[str]]:
    """Return the text of each file by its name, the manifest last, and sentences about what is missing in them.

    `draw` draws Vega-Lite specifications (see drill_report). `drill` is a document as drill_schema.py says; what looks
    like a credential is taken out of it first. The same document gives the same files. Raises InvalidInput when it is
    something else.
    """
    check(drill)
    document, removed = without_credentials(drill)
    files = {
        "drill.json": _json(document),
        "journal.jsonl": journal_jsonl(document),
        "timeline.csv": timeline_csv(document),
        "junit.xml": drill_junit(document),
    }
    hashes = {name: sha256(text) for name, text in files.items()}
    files["report.html"], notes = drill_report(document, draw, hashes=hashes, removed=removed)
    files[MANIFEST] = manifest(files)
    return files, notes


def manifest(files: t.Mapping[str, str]) -> str:
    """Return the hashes of files as `sha256sum --check` reads them."""
    return "".join(f"{sha256(text)}  {name}\n" for name, text in files.items() if name != MANIFEST)


def problems(files: t.Mapping[str, str]) -> list[str]:
    """Return what is wrong with the files of a folder, in sentences: missing, changed, or a journal that is cut.

    Raises InvalidInput when there is no manifest.
    """
    if MANIFEST not in files:
        raise InvalidInput(f"There is no {MANIFEST}, so nothing can be checked.", do="Give the folder of a drill.")
    wrong = []
    listed = {}
    for line in files[MANIFEST].splitlines():
        digest, _blanks, name = line.partition("  ")
        listed[name] = digest
    for name in FILES[:-1]:
        if name not in listed:
            wrong.append(f"{name} is not in {MANIFEST}.")
    for name, digest in listed.items():
        if name not in files:
            wrong.append(f"{name} is missing.")
        elif sha256(files[name]) != digest:
            wrong.append(f"{name} was changed after the drill.")
    number = broken_line(files.get("journal.jsonl", ""))
    if number:
        wrong.append(f"journal.jsonl: line {number} does not follow from the line before.")
    return wrong


def _json(document: t.Mapping[str, t.Any]) -> str:
    """Return JSON with a line for each part: a long drill has 200,000 samples, which fill one line instead of many."""
    parts = [f"{json.dumps(name)}: {json.dumps(part, ensure_ascii=False)}" for name, part in document.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"
