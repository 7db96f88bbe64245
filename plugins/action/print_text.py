# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints a text as it is; see the documentation in plugins/modules/print_text.py."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.meshops.locality.plugins.plugin_utils._terminal_text import heading, print_text


class ActionModule(ActionBase):
    """The action print_text."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Print the text; return it as `msg`."""
        super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec({"text": {"type": "raw", "required": True}})
        text = args["text"]
        lines = [str(line) for line in text] if isinstance(text, (list, tuple)) else str(text).splitlines()
        print_text(lines, heading(task_vars or {}))
        return {"changed": False, "msg": "\n".join(lines)}
