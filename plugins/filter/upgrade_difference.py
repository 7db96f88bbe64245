# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: upgrade_difference
short_description: What changes for whom when the same mesh runs under another version of Istio
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Computes the plan of a mesh for two versions of Istio and returns what differs, for which clients, and why.
positional: to_version, from_version
options:
  _input:
    description:
      - The snapshot that M(meshops.locality.topology_info) returned, its whole result, or the text of the file it
        saved. For a large mesh the text is by far the fastest.
    type: raw
    required: true
  from_version:
    description: The version before, for example V(1.30). Without it that of the snapshot.
    type: str
  to_version:
    description: The version after, for example V(1.31).
    type: str
    required: true
seealso:
  - plugin: meshops.locality.locality_plan
    plugin_type: filter
  - plugin: meshops.locality.prediction_table
    plugin_type: filter
"""

EXAMPLES = r"""
- name: What will the upgrade change
  ansible.builtin.debug:
    msg: "{{ difference | meshops.locality.prediction_table }}"
  vars:
    difference: "{{ mesh.snapshot | meshops.locality.upgrade_difference('1.31') }}"
"""

RETURN = r"""
_value:
  description:
    - C(changes), each with C(what) differs (V(priorities), V(unready endpoints), V(panic threshold), …), C(before),
      C(after), C(why), the destination, how many C(clients) it concerns, their C(pods), and C(where) they are.
    - C(from_version), C(to_version), C(clients) (all there are) and C(assumptions).
    - C(checked) is false where no oracle has confirmed what is computed; C(unchecked) says in sentences what.
  type: dict
"""

import typing as t

from ansible_collections.meshops.locality.plugins.plugin_utils._snapshot import answered, read_snapshot, text

_NAME = "meshops.locality.upgrade_difference"


def upgrade_difference(snapshot: t.Any, to_version: t.Any = None, from_version: t.Any = None) -> dict[str, t.Any]:
    """Compare two versions; see DOCUMENTATION."""
    from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
    from ansible_collections.meshops.locality.plugins.module_utils._forecast import queries

    def ask() -> dict[str, t.Any]:
        before, after = text("from_version", from_version), text("to_version", to_version)
        if not after:
            raise InvalidInput("to_version is missing.", do="Name the version of Istio after the upgrade: '1.31'.")
        return queries.upgrade_difference(read_snapshot(snapshot), before, after)

    return answered(_NAME, ask)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"upgrade_difference": upgrade_difference}
