# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: envoy_clusters
short_description: Read an answer of Envoy's /clusters
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Turns what Envoy's admin interface answers to C(/clusters) or C(/clusters?format=json) into a list of endpoints.
  - Use it for answers you have in a file; M(meshops.locality.endpoints_info) asks the clients itself.
options:
  _input:
    description: The answer, as text or, for the JSON form, as a dictionary.
    type: raw
    required: true
seealso:
  - module: meshops.locality.endpoints_info
"""

EXAMPLES = r"""
- name: Which endpoints are ejected
  ansible.builtin.debug:
    msg: >-
      {{ lookup('ansible.builtin.file', 'clusters.json') | meshops.locality.envoy_clusters
         | selectattr('health_reasons', 'contains', 'failed_outlier_check') | map(attribute='address') }}
"""

RETURN = r"""
_value:
  description:
    - One dictionary for each endpoint, in Envoy's order, with C(cluster), C(direction), C(host), C(port), C(subset),
      C(address), C(hostname), C(locality), C(priority), C(weight), C(health), C(health_reasons), C(excluded) and
      C(counters), as in RV(meshops.locality.endpoints_info#module:clients[].endpoints).
  type: list
  elements: dict
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import parse_clusters
from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError


def envoy_clusters(value: t.Any) -> list[dict[str, t.Any]]:
    """Read an answer of /clusters; see DOCUMENTATION."""
    try:
        return [endpoint.as_dict() for endpoint in parse_clusters(value)]
    except LocalityError as error:
        raise AnsibleFilterError(f"meshops.locality.envoy_clusters: {error}") from error


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"envoy_clusters": envoy_clusters}
