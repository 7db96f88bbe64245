# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a document in Markdown shows: its commands and its files."""

from __future__ import annotations

import re

BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"^```text\n\$ (?P<command>ansible-playbook [^\n]*)\n(?P<shown>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: str, *languages: str) -> list[str]:
    """Return the code blocks in these languages, in their order."""
    return [block["text"] for block in BLOCK.finditer(document) if block["language"] in languages]


def files(document: str) -> dict[str, str]:
    """Return the files among the examples by the name in their first comment (`# name.yml`)."""
    named = {}
    for text in blocks(document, "yaml", "ini"):
        match = re.fullmatch(r"# ([\w.-]+\.(?:yml|yaml|cfg))", text.splitlines()[0])
        if match:
            named[match[1]] = text
    return named


def commands(document: str) -> list[str]:
    """Return the commands of the console blocks, which hold nothing else. A line that ends with a backslash goes on."""
    lines = [line for text in blocks(document, "console") for line in text.replace("\\\n", "").splitlines()]
    assert all(line.startswith("$ ") for line in lines), "a console block holds only commands"
    return [line[2:] for line in lines]


def shown(document: str) -> list[tuple[str, list[str]]]:
    """Return the commands of text blocks and the lines that are shown below them."""
    return [(block["command"], block["shown"].splitlines()) for block in SHOWN.finditer(document)]


def missing(lines: list[str], printed: list[str]) -> list[str]:
    """Return what of `lines` is not in `printed` in the same order; `…` alone stands for lines left out."""
    rest = iter([line.rstrip() for line in printed])
    return [line for line in lines if line.strip() not in ("", "…") and line not in rest]
