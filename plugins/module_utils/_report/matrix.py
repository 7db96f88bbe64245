# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The resilience matrix as text: Services down, losses across, one sign for each; then what hurts, in sentences.

Pure: takes what the filter resilience_matrix returns. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._report.not_judged import not_judged_line

Part = t.Mapping[str, t.Any]

LEGEND = (
    ("·", "untouched"),
    ("✓", "survives in the same localities"),
    ("→", "spills into others"),
    ("▲", "the survivors are overloaded"),
    ("!", "tries fail until Kubernetes' readiness takes the lost endpoints out: Envoy may not eject them"),
    ("✗", "dies"),
)
#: How many Services one sentence names, and how many losses are told about.
NAMED, TOLD = 6, 20


def matrix_table(matrix: Part, width: int = 120) -> str:
    """Return the matrix with lines of at most `width` characters where that is possible.

    Losses are named when all names fit into one line, else numbered, with the names below. Rows that nothing touches
    are counted only.
    """
    rows = [row for row in matrix["rows"] if any(entry["sign"] != "·" for entry in row["entries"])]
    calm = len(matrix["rows"]) - len(rows)
    lines = [*map(not_judged_line, matrix["not_judged"]), *([""] if matrix["not_judged"] else [])]
    lines += _grid(matrix["losses"], rows, width) if rows else []
    if calm:
        more = f"{calm} more" if rows else str(calm)
        lines.append(f"{more} {'Services are' if calm != 1 else 'Service is'} not touched by any of these losses.")
    used = {entry["sign"] for row in rows for entry in row["entries"]}
    if used:
        lines += ["", "; ".join(f"{sign} {meaning}" for sign, meaning in LEGEND if sign in used)]
    lines += ["", *_summary(matrix)]
    if matrix["skipped"]:
        lines.append(
            f"Not predicted: {', '.join(one['cluster'] for one in matrix['skipped'][:NAMED])}"
            f"{_more(len(matrix['skipped']))}."
        )
    lines += [f"Not checked: {sentence}" for sentence in matrix["unchecked"]]
    return "\n".join(lines)


def _grid(losses: t.Sequence[Part], rows: t.Sequence[Part], width: int) -> list[str]:
    names = [_short(one) for one in losses]
    levels = [_level(one) for one in losses]
    left = max(len("service"), *(len(row["name"]) for row in rows))
    key: list[str] = []
    if left + sum(len(name) + 2 for name in names) > width:
        numbers = [str(number) for number in range(1, len(losses) + 1)]
        key = _key(numbers, losses, width)
        names = numbers
    blocks: list[list[int]] = [[]]
    taken = left
    for index, name in enumerate(names):
        own = len(name) + 2
        if blocks[-1] and taken + own > width:
            blocks.append([])
            taken = left
        blocks[-1].append(index)
        taken += own
    lines: list[str] = []
    for block in blocks:
        if lines:
            lines.append("")
        lines += _block(rows, block, names, levels, left)
    return [*lines, *(["", *key] if key else [])]


def _block(
    rows: t.Sequence[Part], block: t.Sequence[int], names: t.Sequence[str], levels: t.Sequence[str], left: int
) -> list[str]:
    widths = [len(names[index]) for index in block]
    above, heading = " " * left, "service".ljust(left)
    for position, index in enumerate(block):
        first = position == 0 or levels[index] != levels[block[position - 1]]
        gap = " │" if first else "  "
        heading += gap + names[index].ljust(widths[position])
        above = above.ljust(len(heading) - widths[position] - 2) + (f" │{levels[index]}" if first else "")
    rule = "─" * left + "".join("─" * (size + 2) for size in widths)
    lines = [above.rstrip(), heading.rstrip(), rule]
    for row in rows:
        line = row["name"].ljust(left)
        for position, index in enumerate(block):
            first = position == 0 or levels[index] != levels[block[position - 1]]
            line += (" │" if first else "  ") + row["entries"][index]["sign"].ljust(widths[position])
        lines.append(line.rstrip())
    return lines


def _short(loss: Part) -> str:
    return " + ".join(one["place"].rpartition("/")[2] for one in loss["losses"])


def _level(loss: Part) -> str:
    levels = [one["level"] for one in loss["losses"]]
    return str(levels[0]) if len(levels) == 1 else "at once"


def _key(numbers: t.Sequence[str], losses: t.Sequence[Part], width: int) -> list[str]:
    """Return what the numbers mean, level by level, in lines of the width."""
    lines: list[str] = []
    level = ""
    for number, loss in zip(numbers, losses, strict=True):
        places = " + ".join(one["place"] for one in loss["losses"])
        text = f"{number} {places}"
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
    hurt = sorted(matrix["summary"], key=lambda one: (-len(one["dies"]), -len(one["waits"]), -len(one["overloaded"])))
    if not hurt:
        number = len(matrix["losses"])
        return [f"None of {len(matrix['rows'])} Services dies, waits or is overloaded in any of {number} losses."]
    lines = []
    for one in hurt[:TOLD]:
        parts = [
            f"{len(one[kind])} {singular if len(one[kind]) == 1 else plural} ({_names(one[kind])})"
            for kind, singular, plural in (
                ("dies", "Service dies", "Services die"),
                ("waits", "Service waits for readiness", "Services wait for readiness"),
                ("overloaded", "Service overloads its survivors", "Services overload their survivors"),
            )
            if one[kind]
        ]
        lines.append(f"{one['loss']}: {'; '.join(parts)}.")
    if len(hurt) > TOLD:
        lines.append(f"… and {len(hurt) - TOLD} more losses that hurt.")
    return lines


def _names(names: t.Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + _more(len(names))


def _more(number: int) -> str:
    return f" and {number - NAMED} more" if number > NAMED else ""
