# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: endpoints_table
short_description: Show what the clients' Envoys hold
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Renders the clients that M(meshops.locality.endpoints_info) returned as tables, ordered by priority and locality.
options:
  _input:
    description: The value RV(meshops.locality.endpoints_info#module:clients).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Read the endpoints
  meshops.locality.endpoints_info:
    namespace: sample
    label_selector: app=sleep
  register: seen

- name: Show them
  ansible.builtin.debug:
    msg: "{{ seen.clients | meshops.locality.endpoints_table }}"
"""

RETURN = r"""
_value:
  description: The text, several lines.
  type: str
"""

import typing as t
from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._report.endpoints import endpoints_table as render


def endpoints_table(value: t.Any) -> str:
    """Render endpoints of clients; see DOCUMENTATION."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
        raise AnsibleFilterError(
            f"meshops.locality.endpoints_table needs a list of dictionaries, got {type(value).__name__}"
        )
    try:
        return render(value)
    except LocalityError as error:
        raise AnsibleFilterError(f"meshops.locality.endpoints_table: {error}") from error


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"endpoints_table": endpoints_table}
