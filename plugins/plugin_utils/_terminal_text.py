# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text on the standard output of ansible-playbook, as it is written: no quotes, no escaped line ends.

Ansible shows messages of tasks as values, and its callbacks decide how; a table is unreadable in most of them.
Private to this collection: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible import constants
from ansible.utils.display import Display

#: Callbacks whose output is read by programs: a line of text between would break it. The text is in the result.
_FOR_PROGRAMS = ("json", "jsonl")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
#: The beginning of a line, and the colour it has in a terminal.
_COLOURS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\s*error\b|\s*✗|FAILED|REFUSED"), "COLOR_ERROR"),
    (re.compile(r"\s*warning\b|\s*not judged\b|INTERRUPTED"), "COLOR_WARN"),
    (re.compile(r"SUCCEEDED"), "COLOR_OK"),
)


def print_text(text: str | t.Sequence[str], host: str = "") -> None:
    """Print a text or lines as they are, under the name of `host` when there is one.

    Nothing is printed when the callback of this run writes for programs.
    """
    if for_programs():
        return
    lines = text.splitlines() if isinstance(text, str) else [str(line) for line in text]
    display = Display()
    for raw in [*([f"{host}:"] if host else []), *lines, ""]:
        # Names come from manifests of others: they must not move the cursor or colour a log.
        line = _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", raw)
        colour = next((getattr(constants, name) for begins, name in _COLOURS if begins.match(line)), None)
        display.display(line, color=colour)


def for_programs() -> bool:
    """Return whether the stdout callback of this run writes for programs, which take texts from results."""
    callback = str(constants.config.get_config_value("DEFAULT_STDOUT_CALLBACK") or "")
    return callback.rpartition(".")[2] in _FOR_PROGRAMS


def heading(task_vars: t.Mapping[str, t.Any]) -> str:
    """Return the name that separates this host's text from others', '' when the play has one host only."""
    return (
        str(task_vars.get("inventory_hostname", "")) if len(task_vars.get("ansible_play_hosts_all") or ()) > 1 else ""
    )
