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
  _input:
    description:
      - The snapshot that M(meshops.locality.topology_info) returned, its whole result, or the text of the file it
        saved. For a large mesh the text is by far the fastest.
    type: raw
    required: true
  service:
    description:
      - Only these Services, a name or a list of them. Each is a host, C(name.namespace), C(name), or a glob of these.
      - Without it all.
    type: raw
  namespace:
    description: Only Services of this namespace.
    type: str
  client:
    description:
      - Only these clients, a text or a list of them. A text with C(=) is a label selector (V(app=sleep,version!=v1));
        any other is C(namespace/pod), a pod's name, a locality, or a glob of these.
      - Without it all.
    type: raw
  port:
    description: Only this port of the Services.
    type: int
  subset:
    description: Only this subset. Without it the whole Services.
    type: str
  losses:
    description:
      - What is lost, one text for each loss, C(level place). Levels are V(pod), V(node), V(subzone), V(zone) and
        V(region). A place is V(namespace/name) of a pod, a node's name, or the parts of a locality
        (V(zone cn-north-4/cn-north-4b)); its last part is enough where that is unique. A glob is everything that
        matches, lost together.
      - Several at once are a list, or are written with C( + ) between them.
    type: list
    elements: raw
  levels:
    description:
      - Every single place of these levels is lost, one after the other, in addition to O(losses).
      - When neither is given, V(subzone), V(zone) and V(region).
    type: list
    elements: str
  pairs:
    description: Every two of the places are lost together, too.
    type: bool
    default: false
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
  rate:
    description: Requests per second of each client.
    type: float
    default: 20.0
  capacity:
    description:
      - Requests per second that one pod of a Service can answer, by Service (names as in O(service)).
      - Where it is not given and an autoscaler keeps the pods at a percent of their requested CPU, that and the
        limits of the pods say what they can carry.
    type: dict
    default: {}
  headroom:
    description: Where neither is known, a pod is assumed to carry this many times what the busiest one carries now.
    type: float
    default: 2.0
  watch:
    description:
      - A probe that runs while the loss happens, with C(lead) (seconds before it) and C(seconds) (in all), at
        O(rate). What it should count is returned as C(probe).
    type: dict
  lose_clients:
    description:
      - Whether the clients in a lost place are lost, too, and ask no more, so that their requests load nobody. When
        false only endpoints are lost, as when servers are drained.
    type: bool
    default: true
  istio_version:
    description:
      - Version of Istio whose decisions are wanted, for example V(1.30). In quotes, because YAML makes V(1.3) of it.
      - Without it the version in the snapshot counts.
    type: str
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
    - Each loss has C(verdict) (V(untouched), V(survives) in the same localities, V(spills) into others, V(dies)),
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

from ansible_collections.meshops.locality.plugins.plugin_utils._snapshot import (
    answered,
    flag,
    number,
    read_snapshot,
    text,
    texts,
)

_NAME = "meshops.locality.locality_forecast"


def locality_forecast(
    snapshot: t.Any,
    service: t.Any = None,
    namespace: t.Any = None,
    client: t.Any = None,
    *,
    port: t.Any = None,
    subset: t.Any = None,
    losses: t.Any = None,
    levels: t.Any = None,
    pairs: t.Any = False,
    faults: t.Any = ("refused",),
    readiness_seconds: t.Any = None,
    rate: t.Any = 20.0,
    capacity: t.Any = None,
    headroom: t.Any = 2.0,
    lose_clients: t.Any = True,
    watch: t.Any = None,
    istio_version: t.Any = None,
) -> dict[str, t.Any]:
    """Compute a forecast; see DOCUMENTATION."""
    from ansible_collections.meshops.locality.plugins.module_utils._forecast.expected_probe import Watch
    from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import Selection, forecast
    from ansible_collections.meshops.locality.plugins.plugin_utils._losses import ability, listed

    def ask() -> dict[str, t.Any]:
        seen = None
        if watch is not None:
            given = watch if isinstance(watch, t.Mapping) else {}
            seen = Watch(
                number("rate", rate),
                number("watch.lead", given.get("lead", 0)),
                number("watch.seconds", given.get("seconds")),
            )
        return forecast(
            read_snapshot(snapshot),
            Selection(
                texts("service", service),
                text("namespace", namespace),
                texts("client", client),
                int(number("port", port or 0)),
                text("subset", subset),
            ),
            losses=listed(losses),
            levels=texts("levels", levels),
            both=flag("pairs", pairs),
            faults=texts("faults", faults),
            readiness=None if readiness_seconds is None else number("readiness_seconds", readiness_seconds),
            ability=ability(rate, capacity, headroom, lose_clients),
            watch=seen,
            version=text("istio_version", istio_version),
        )

    return answered(_NAME, ask)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"locality_forecast": locality_forecast}
