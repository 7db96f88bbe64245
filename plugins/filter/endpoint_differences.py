# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: endpoint_differences
short_description: Compare what clients' Envoys hold with what is expected
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Says in what the clients that M(meshops.locality.endpoints_info) returned differ from an expectation.
positional: priorities, healthy
options:
  _input:
    description: The value RV(meshops.locality.endpoints_info#module:clients).
    type: list
    elements: dict
    required: true
  priorities:
    description:
      - Locality → priority that every client must hold for it. Every locality must be named.
      - Without it priorities are not compared.
    type: dict
  healthy:
    description: Localities whose endpoints must all be healthy.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Is tianjin first
  ansible.builtin.assert:
    that: seen.clients | meshops.locality.endpoint_differences(wanted) | length == 0
  vars:
    wanted:
      cn-north-4/cn-north-4b/tianjin: 0
      cn-north-4/cn-north-4b/beijing: 1
"""

RETURN = r"""
_value:
  description: One sentence for each difference; empty when there is none.
  type: list
  elements: str
"""

import typing as t
from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.locality.plugins.module_utils._envoy import endpoint_differences as comparison
from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError


def endpoint_differences(value: t.Any, priorities: t.Any = None, healthy: t.Any = ()) -> list[str]:
    """Compare clients with an expectation; see DOCUMENTATION."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
        raise AnsibleFilterError(f"meshops.locality.endpoint_differences needs a list, got {type(value).__name__}")
    try:
        return comparison.endpoint_differences(value, priorities, healthy)
    except LocalityError as error:
        raise AnsibleFilterError(f"meshops.locality.endpoint_differences: {error}") from error


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"endpoint_differences": endpoint_differences}
