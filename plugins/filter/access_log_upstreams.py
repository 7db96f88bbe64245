# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: access_log_upstreams
short_description: Count the requests in an Envoy access log by upstream host
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Reads the access log of an Istio sidecar (the container C(istio-proxy)) in Istio's default text format or in its
    JSON encoding, and counts its requests.
  - Lines that are something else are left out.
options:
  _input:
    description: The log.
    type: str
    required: true
  request_id:
    description:
      - Count only requests whose C(x-request-id) begins with this, for example
        RV(meshops.locality.traffic_probe#module:run).
    type: str
    default: ''
seealso:
  - module: meshops.locality.traffic_probe
"""

EXAMPLES = r"""
- name: Who answered, by UPSTREAM_HOST
  ansible.builtin.debug:
    msg: "{{ (log | meshops.locality.access_log_upstreams).by_upstream_host }}"
"""

RETURN = r"""
_value:
  description:
    - The number of C(requests), and how many there are C(by_upstream_host), C(by_upstream_cluster), C(by_code) and
      C(by_flag). The key V(-) means none.
  type: dict
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.locality.plugins.module_utils._envoy.access_log import (
    count_upstreams,
    parse_access_log,
)


def access_log_upstreams(value: t.Any, request_id: str = "") -> dict[str, t.Any]:
    """Count the requests of a log; see DOCUMENTATION."""
    if not isinstance(value, str):
        raise AnsibleFilterError(f"meshops.locality.access_log_upstreams needs text, got {type(value).__name__}")
    return count_upstreams(entry for entry in parse_access_log(value) if entry.request_id.startswith(request_id))


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"access_log_upstreams": access_log_upstreams}
