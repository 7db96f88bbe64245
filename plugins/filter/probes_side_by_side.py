# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: probes_side_by_side
short_description: Show traffic probes and drills next to each other
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Renders results of M(meshops.locality.traffic_probe) and drills of M(meshops.locality.failover_drill) as a table
    with one column each, followed by one line each with one sign per second, so that an outage can be seen at a glance.
  - Who answered and the latency of a drill are those of the time until its undoing began; everything else is of the
    whole drill.
options:
  _input:
    description:
      - The runs, each a dictionary with C(title) and either C(probe), a result of M(meshops.locality.traffic_probe), or
        C(drill), what M(meshops.locality.failover_drill) returns as C(drill). With C(prediction), what
        P(meshops.locality.locality_forecast#filter) returned as C(probe) of a loss (its option C(watch)), the predicted
        numbers stand below the measured ones.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show two rules under the same fault
  ansible.builtin.debug:
    msg: "{{ [{'title': 'as written', 'probe': first}, {'title': 'completed', 'probe': second}]
      | meshops.locality.probes_side_by_side }}"
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
from ansible_collections.meshops.locality.plugins.module_utils._report.probes import side_by_side


def probes_side_by_side(value: t.Any) -> str:
    """Render traffic probes and drills next to each other; see DOCUMENTATION."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
        raise AnsibleFilterError(
            f"meshops.locality.probes_side_by_side needs a list of dictionaries, got {type(value).__name__}"
        )
    try:
        return side_by_side(value)
    except LocalityError as error:
        raise AnsibleFilterError(f"meshops.locality.probes_side_by_side: {error}") from error


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"probes_side_by_side": probes_side_by_side}
