# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: prediction_table
short_description: Show a plan, forecast, matrix or upgrade as text
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Renders what P(meshops.locality.locality_plan#filter), P(meshops.locality.locality_forecast#filter),
    P(meshops.locality.resilience_matrix#filter) or P(meshops.locality.upgrade_difference#filter) returned.
positional: width
options:
  _input:
    description: The prediction.
    type: raw
    required: true
  width:
    description:
      - How wide the matrix may be. Losses whose names do not fit are numbered, and columns that do not fit even then
        follow below.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: The matrix of the shop
  ansible.builtin.debug:
    msg: "{{ matrix | meshops.locality.prediction_table }}"
  vars:
    matrix: "{{ mesh.snapshot | meshops.locality.resilience_matrix(namespace='shop') }}"
"""

RETURN = r"""
_value:
  description: The text, several lines.
  type: str
"""

import typing as t

from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_queries import answered
from ansible_collections.meshops.locality.plugins.plugin_utils._option_readers import whole_number

_NAME = "meshops.locality.prediction_table"


def prediction_table(prediction: t.Any, width: t.Any = 120) -> str:
    """Render a prediction; see DOCUMENTATION."""
    from ansible_collections.meshops.locality.plugins.module_utils._model.plain_values import plain
    from ansible_collections.meshops.locality.plugins.module_utils._report import prediction_table as report

    return answered(_NAME, lambda: report.prediction_table(plain(prediction), whole_number("width", width, 40)))


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"prediction_table": prediction_table}
