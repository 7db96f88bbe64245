# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The resilience matrix as text: Services down, losses across; a cell says how much fails and for how long.

Equal rows and equal losses stand together, the worst first, so that a large mesh fits on a screen.

Pure: takes what the filter resilience_matrix returns. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import textwrap
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._forecast.loss_grade import (
    FAILS_TODAY,
    LITTLE,
    NOTHING_LOST,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.name_lists import first_names
from ansible_collections.meshops.locality.plugins.module_utils._report.not_judged import (
    not_judged_line,
    not_predicted_text,
)

Part = t.Mapping[str, t.Any]

LEGEND = (
    ("·", "untouched"),
    ("✓", "survives in the same localities"),
    ("→", "spills into others"),
    ("▲", "the survivors are overloaded"),
    ("%", "share of all clients' requests that fails at first, and seconds until it settles"),
    ("✗", "share that fails for good"),
    ("◐", "a part of its requests fails for good"),
    ("-", "its clients are lost, too"),
)
#: How many Services one sentence names, how many losses it names, and how many rows and columns are shown.
NAMED, TOLD, ROWS, COLUMNS = 6, 8, 16, 20


#: What a matrix hides when it takes clients to be lost with their place.
_LOST_CLIENTS = ", when clients in a lost place are lost with it (without: lose_clients=false)"


def matrix_table(matrix: Part, width: int = 120) -> str:
    """Return the matrix with lines of at most `width` characters where that is possible.

    Losses are named when all names fit into one line, else numbered, with the names below. Rows that nothing touches
    are counted only.
    """
    broken = [row for row in matrix["rows"] if row["failing_today"]]
    judged = [group for group in matrix["groups"] if not _fails_today(matrix["rows"][group["rows"][0]])]
    groups = [group for group in judged if _touched(matrix["rows"][group["rows"][0]])]
    untouched = [group for group in judged if not _touched(matrix["rows"][group["rows"][0]])]
    calm = sum(len(group["rows"]) for group in untouched)
    lines = [*map(not_judged_line, matrix["not_judged"]), *([""] if matrix["not_judged"] else [])]
    if matrix["fault"]["name"] != "refused":
        lines += [f"What becomes of the lost endpoints: {matrix['fault']['what']}.", ""]
    lines += [line for row in broken[:ROWS] for line in _today(row, width)]
    if len(broken) > ROWS:
        lines.append(f"… and {len(broken) - ROWS} more Services of which requests fail before anything is lost.")
    lines += [""] if broken and (groups or calm) else []
    lines += _grid(matrix, groups, width) if groups else []
    if calm:
        more = f"{calm} more" if groups else str(calm)
        stop = any(assumption["code"] == "lost-clients-stop" for assumption in matrix["assumptions"])
        verb = "Service is" if calm == 1 else "Services are"
        entries = (entry for group in untouched for entry in matrix["rows"][group["rows"][0]]["entries"])
        alone = ", or all clients are lost, too" if any(entry["sign"] == "-" for entry in entries) else ""
        lost = alone + (_LOST_CLIENTS if stop else "")
        lines.append(f"{more} {verb} not touched by any of these losses{lost}.")
    lines += ["", *_summary(matrix)]
    for text in dict.fromkeys(map(not_predicted_text, matrix["skipped"])):
        own = [entry["name"] for entry in matrix["skipped"] if not_predicted_text(entry) == text]
        lines.append(f"Not predicted: {_names(own)}: {text}")
    lines += [f"Not checked: {sentence['text']}" for sentence in matrix["unchecked"]]
    return "\n".join(lines)


def _fails_today(row: Part) -> bool:
    return any(entry["grade"] == FAILS_TODAY for entry in row["entries"])


def _today(row: Part, width: int) -> list[str]:
    """Say that requests fail before anything is lost, and why."""
    why = "; ".join(error["text"] for error in row["errors"]) or "no endpoint may answer them"
    share = _percent(row["failing_today"])
    text = f"{row['name']}: {share} of its requests fail already, before anything is lost: {why}."
    return textwrap.wrap(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _touched(row: Part) -> bool:
    return any(entry["sign"] not in ("·", "-") for entry in row["entries"])


def cell(entry: Part) -> str:
    """Return what a cell shows: how much fails for good, else how much at first and for how long, else a sign."""
    load = "▲" if entry["overloaded"] else ""
    if entry["sign"] in ("-", "·"):
        return str(entry["sign"])
    if entry["for_good"] >= LITTLE:
        return f"✗ {_percent(entry['for_good'])}{load}"
    if entry["failing"] >= LITTLE and (entry["failed_requests"] or 0) >= LITTLE:
        return f"{_percent(entry['failing'])} {_seconds(entry['seconds'])}{load}"
    return load or {"survives": "✓", "spills": "→", "dies": "✗ 100%"}.get(entry["verdict"], "·")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share >= 0.095 else f"{100 * share:.2g}%"


def _seconds(seconds: float | None) -> str:
    return "for ever" if seconds is None else f"{seconds:.0f}s" if seconds >= 0.95 else f"{seconds:.1g}s"


def _grid(matrix: Part, groups: t.Sequence[Part], width: int) -> list[str]:
    """Return the table of the worst rows and losses, and what is left out of it."""
    shown = groups[:ROWS]
    table = [[cell(entry) for entry in matrix["rows"][group["rows"][0]]["entries"]] for group in shown]
    columns = _columns(matrix, groups, table)
    left = max(len("service"), *(len(_name(group)) for group in shown))
    key: list[str] = []
    wide = [max(len(matrix["losses"][own[0]]["name"]), *(len(row[own[0]]) for row in table)) for own in columns]
    heads = [_head(matrix["losses"], own) for own in columns]
    if left + sum(max(len(head), size) + 3 for head, size in zip(heads, wide, strict=True)) > width:
        numbers = [str(number) for number in range(1, len(columns) + 1)]
        fit = _fitting(numbers, columns, table, left, width)
        cut = len(columns) - fit
        columns, numbers = _by_level(columns[:fit], matrix["losses"]), numbers[:fit]
        key = _key(numbers, columns, matrix["losses"], width)
        if cut:
            key.append(f"… and {cut} more kinds of losses, none of them worse.")
        heads = numbers
    levels = [_level(matrix["losses"][own[0]]) for own in columns]
    lines = _block([_name(group) for group in shown], table, columns, heads, levels, left)
    more = sum(len(group["rows"]) for group in groups[ROWS:])
    if more:
        lines.append(f"… and {more} more Services in {len(groups) - ROWS} more kinds of rows, none of them worse.")
    used = {sign for row in table for own in columns for sign, _meaning in LEGEND if sign in row[own[0]]}
    lines += ["", "; ".join(f"{sign} {meaning}" for sign, meaning in LEGEND if sign in used)]
    for group in shown:
        if len(group["rows"]) > 1:
            lines.append(f"{_name(group)}: {_names(group['names'])}.")
    return [*lines, *(["", *key] if key else [])]


def _name(group: Part) -> str:
    return str(group["name"])


def _by_level(columns: t.Sequence[list[int]], losses: t.Sequence[Part]) -> list[list[int]]:
    """Return the columns with those of one level together, the level of the worst first."""
    order = list(dict.fromkeys(_level(losses[own[0]]) for own in columns))
    return sorted(columns, key=lambda own: order.index(_level(losses[own[0]])))


def _columns(matrix: Part, groups: t.Sequence[Part], table: t.Sequence[t.Sequence[str]]) -> list[list[int]]:
    """Return equal losses together; in the order given when they are few, else the worst first."""
    together: dict[tuple[t.Any, ...], list[int]] = {}
    for index, loss in enumerate(matrix["losses"]):
        own = tuple(row[index] for row in table)
        key = (_level(loss), own) if len(matrix["losses"]) > COLUMNS else (index,)
        together.setdefault(key, []).append(index)
    columns = list(together.values())
    if len(matrix["losses"]) <= COLUMNS:
        return columns
    rows = [matrix["rows"][group["rows"][0]]["entries"] for group in groups]
    weight = [len(group["rows"]) for group in groups]

    def badness(own: t.Sequence[int]) -> tuple[float, float]:
        hurt = [(row[own[0]], number) for row, number in zip(rows, weight, strict=True)]
        return (
            sum(entry["for_good"] * number for entry, number in hurt),
            sum((entry["failed_requests"] or 0.0) * number for entry, number in hurt),
        )

    return sorted(columns, key=badness, reverse=True)


def _head(losses: t.Sequence[Part], own: t.Sequence[int]) -> str:
    name = str(losses[own[0]]["name"])
    return name if len(own) == 1 else f"{name} +{len(own) - 1}"


def _fitting(
    heads: t.Sequence[str],
    columns: t.Sequence[t.Sequence[int]],
    table: t.Sequence[t.Sequence[str]],
    left: int,
    width: int,
) -> int:
    """Return how many columns fit into the width, at least one."""
    taken = left
    for number, (head, own) in enumerate(zip(heads, columns, strict=True)):
        taken += 3 + max(len(head), *(len(row[own[0]]) for row in table))
        if taken > width and number:
            return number
    return len(columns)


def _block(
    names: t.Sequence[str],
    table: t.Sequence[t.Sequence[str]],
    columns: t.Sequence[t.Sequence[int]],
    heads: t.Sequence[str],
    levels: t.Sequence[str],
    left: int,
) -> list[str]:
    widths = [max(len(head), *(len(row[own[0]]) for row in table)) for head, own in zip(heads, columns, strict=True)]
    above, heading = " " * left, "service".ljust(left)
    gaps = []
    for position, level in enumerate(levels):
        first = position == 0 or level != levels[position - 1]
        if first:  # the level's own name has to fit above
            last = next((at for at in range(position, len(levels)) if levels[at] != level), len(levels))
            room = sum(widths[position:last]) + 2 * (last - position - 1)
            widths[last - 1] += max(0, len(level) - room)
        gaps.append(" │" if first else "  ")
        heading += gaps[-1] + heads[position].ljust(widths[position])
        above = above.ljust(len(heading) - widths[position] - 2) + (f" │{level}" if first else "")
    rule = "─" * left + "".join("─" * (size + 2) for size in widths)
    lines = [above.rstrip(), heading.rstrip(), rule]
    for name, row in zip(names, table, strict=True):
        line = name.ljust(left)
        for gap, own, size in zip(gaps, columns, widths, strict=True):
            line += gap + row[own[0]].ljust(size)
        lines.append(line.rstrip())
    return lines


def _level(loss: Part) -> str:
    levels = [lost["level"] for lost in loss["losses"]]
    return str(levels[0]) if len(levels) == 1 else "at once"


def _key(
    numbers: t.Sequence[str], columns: t.Sequence[t.Sequence[int]], losses: t.Sequence[Part], width: int
) -> list[str]:
    """Return what the numbers mean, in lines of the width."""
    lines: list[str] = []
    level = ""
    for number, own in zip(numbers, columns, strict=True):
        loss = losses[own[0]]
        text = f"{number} {loss['name']}" + (f" and {len(own) - 1} alike" if len(own) > 1 else "")
        if _level(loss) != level:
            level = _level(loss)
            lines.append(f"{level}: {text}")
        elif len(lines[-1]) + 2 + len(text) > width:
            lines.append(f"{' ' * len(level)}  {text}")
        else:
            lines[-1] += f", {text}"
    return lines


def _summary(matrix: Part) -> list[str]:
    """Return a sentence for each loss that hurts, the worst first."""
    hurt = sorted(
        (loss for loss in matrix["summary"] if loss["loss"] != NOTHING_LOST),
        key=lambda loss: (-len(loss["dies"]), -len(loss["partly"]), -len(loss["waits"]), -len(loss["overloaded"])),
    )
    if not matrix["rows"] and not hurt:
        return ["No Service was judged."]
    if not hurt:
        whole = sum(not _fails_today(row) for row in matrix["rows"])
        if not whole:
            return ["What losses do is not shown: every request fails without any."]
        losses = f"any of {_count(len(matrix['losses']), 'loss', 'losses')}"
        verbs = "dies, waits or is overloaded in"
        return [
            f"None of {whole} Services {verbs} {losses}."
            if whole > 1
            else f"The Service neither dies nor waits nor is overloaded in {losses}."
        ]
    lines = []
    for loss in hurt[:TOLD]:
        parts = [
            f"{len(loss[kind])} {singular if len(loss[kind]) == 1 else plural} ({_names(loss[kind])})"
            for kind, singular, plural in (
                ("dies", "Service dies", "Services die"),
                ("partly", "Service loses a part of its requests", "Services lose a part of their requests"),
                ("waits", "Service waits for readiness", "Services wait for readiness"),
                ("overloaded", "Service overloads its survivors", "Services overload their survivors"),
            )
            if loss[kind]
        ]
        lines.append(f"{loss['loss']}: {'; '.join(parts)}.")
    if len(hurt) > TOLD:
        lines.append(f"… and {len(hurt) - TOLD} more losses that hurt.")
    return lines


def _count(number: int, singular: str, many: str) -> str:
    return f"{number} {singular if number == 1 else many}"


def _names(names: t.Sequence[str]) -> str:
    return first_names(names, NAMED)
