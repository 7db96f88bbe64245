# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""journal.jsonl: what a drill wrote down and what it saw, line by line, each with the hash of the line before.

Pure. Private to this collection: it may change at any time; docs/evidence.md describes the file.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

Drill = t.Mapping[str, t.Any]

#: What the first line has in place of the hash of a line before.
BEGIN = "0" * 64
#: Seconds.
DAY = 86400


def journal_jsonl(drill: Drill) -> str:
    """Return the entries of the journal and the events of a drill by time, one JSON object a line.

    Each has `number` from 1, `drill`, `t` (seconds since the start), `source` (journal or event) and what that one
    holds, and `previous`, the SHA-256 of the line before without its line end (64 zeros in the first).
    """
    begin = _second(drill["started"])
    entries = [(round((_second(entry["time"]) - begin) % DAY, 3), 0, "journal", entry) for entry in drill["journal"]]
    entries += [(event["t"], 1, "event", event) for event in drill["events"]]
    lines: list[str] = []
    previous = BEGIN
    for number, (at, _order, source, record) in enumerate(sorted(entries, key=lambda entry: entry[:2]), 1):
        line = json.dumps(
            {**record, "t": at, "number": number, "drill": drill["id"], "source": source, "previous": previous},
            ensure_ascii=False,
            sort_keys=True,
        )
        lines.append(line)
        previous = sha256(line)
    return "".join(f"{line}\n" for line in lines)


def _second(stamp: str) -> float:
    """Return the second of the day of an ISO 8601 time; no drill takes a day."""
    hours, minutes, seconds = stamp[11:].rstrip("Z").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def sha256(text: str) -> str:
    """Return the SHA-256 of a line without its end, or of a file, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def broken_line(text: str) -> int:
    """Return the number (from 1) of the first line that does not follow from the line before it; 0: there is none."""
    previous = BEGIN
    for number, line in enumerate(text.splitlines(), 1):
        try:
            entry = json.loads(line)
        except ValueError:
            return number
        if not isinstance(entry, dict) or entry.get("previous") != previous or entry.get("number") != number:
            return number
        previous = sha256(line)
    return 0
