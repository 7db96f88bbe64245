# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: locality_forecast
short_description: Where requests go now and under losses, and what a loss costs
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Computes, without a cluster, the shares of requests by locality and pod, for each kind of client and each Service,
    now and after every loss asked for.
  - For each loss it says whether Envoy may eject the lost endpoints at all, which share of requests fails at first
    and in the end, how many failed requests and seconds are expected until nothing is sent to them any more, and
    whether the survivors can carry the load.
  - Failed requests and seconds are the expected values of a model. Its assumptions are in the result.
positional: service, namespace, client
options:
  faults:
    description:
      - What becomes of the lost endpoints, one or several of V(refused), V(drained), V(reset), V(gateway_error),
        V(server_error), V(blackhole), V(hang) and V(removed).
    type: list
    elements: str
    default: [refused]
  readiness_seconds:
    description:
      - After how many seconds Kubernetes takes lost endpoints out. Without it 45 to 60 s for pods (a sidecar's
        readiness probe) and 40 to 55 s for all else (a node that gives no sign of life).
    type: float
  watch:
    description:
      - A probe that runs while the loss happens, with C(lead) (seconds before it) and C(seconds) (in all), at
        O(rate). What it should count is returned as C(probe).
    type: dict
extends_documentation_fragment:
  - meshops.locality.snapshot_input
  - meshops.locality.snapshot_input.version
  - meshops.locality.selection
  - meshops.locality.losses
seealso:
  - plugin: meshops.locality.resilience_matrix
    plugin_type: filter
  - plugin: meshops.locality.forecast_differences
    plugin_type: filter
  - plugin: meshops.locality.prediction_table
    plugin_type: filter
"""

EXAMPLES = r"""
- name: What does the loss of a zone cost the clients in it
  ansible.builtin.debug:
    msg: "{{ mesh.snapshot | meshops.locality.locality_forecast(service='helloworld', client='*/cn-north-4b/*',
      losses=['zone cn-north-4b', 'node beijing + node tianjin']) | meshops.locality.prediction_table }}"

- name: Nothing is lost for ever in any zone
  ansible.builtin.assert:
    that: item.losses | selectattr('lost_in_the_end', 'gt', 0) | length == 0
  loop: "{{ (mesh.snapshot | meshops.locality.locality_forecast(levels=['zone'])).rows }}"
"""

RETURN = r"""
_value:
  description:
    - C(rows), one for each kind of client and Service as in P(meshops.locality.locality_plan#filter), with C(now) and
      C(losses). C(now) and each loss' C(settled) have shares by C(localities) and by C(pods), C(none) (no endpoint,
      503) and C(dead) (sent to endpoints that cannot answer).
    - A row is what requests to a host and port meet. C(destinations) are those of their C(route) with C(share),
      C(rule), C(setting) and C(ejection), the largest first; C(errors) says what Envoy itself answers with an error,
      and why, C(answered_by_envoy) which share it answers without one. Where a route looks at requests there is a row
      for each class of them; C(requests) says which one, it is empty for those that no other row takes.
    - Each loss has C(verdict) (V(untouched), V(survives) in the same localities, V(spills) into others,
      V(dies_in_part) when one destination of the route has nobody left, V(dies)),
      C(until) (what ends the failures - V(ejection), V(readiness), V(never), V(none) when there are none),
      C(can_be_ejected), C(lost_at_first), C(lost_in_the_end), and C(capacity) with C(load) and C(limit) as multiples
      of today's busiest pod, C(growth) by autoscaling and C(overloaded).
    - C(failover) has for each fault C(failed_requests) and C(seconds) (expected, null when the failures never end),
      both also C(_between), the C(phases) and the C(assumptions) of the model.
    - C(assumptions) hold for everything, C(model) are those of all failovers together, C(skipped) is what cannot be
      predicted.
    - C(checked) is false where no oracle has confirmed what is computed; C(unchecked) says in sentences what.
  type: dict
"""

import typing as t

from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_queries import filter_answer


def locality_forecast(snapshot: t.Any, *values: t.Any, **options: t.Any) -> dict[str, t.Any]:
    """Compute a forecast; see DOCUMENTATION."""
    answer: dict[str, t.Any] = filter_answer(
        "meshops.locality.locality_forecast", "forecast", snapshot, ("service", "namespace", "client"), values, options
    )
    return answer


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"locality_forecast": locality_forecast}
