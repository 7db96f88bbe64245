# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: resilience_matrix
short_description: Services and losses, and what survives, what spills over, what dies
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Computes, without a cluster, for each Service and each loss the worst that happens to any client that is left, and
    whether the survivors can carry the load.
  - P(meshops.locality.prediction_table#filter) prints it so that it can be read at a glance.
positional: service, namespace, client
extends_documentation_fragment:
  - meshops.locality.snapshot_input
  - meshops.locality.snapshot_input.version
  - meshops.locality.selection
  - meshops.locality.losses
  - meshops.locality.losses.fault
seealso:
  - plugin: meshops.locality.locality_forecast
    plugin_type: filter
  - plugin: meshops.locality.prediction_table
    plugin_type: filter
"""

EXAMPLES = r"""
- name: The matrix
  ansible.builtin.debug:
    msg: "{{ mesh.snapshot | meshops.locality.resilience_matrix | meshops.locality.prediction_table }}"

- name: No Service of the shop dies with a zone, and none waits for Kubernetes
  ansible.builtin.assert:
    that: matrix.summary | length == 0
    fail_msg: "{{ matrix | meshops.locality.prediction_table }}"
  vars:
    matrix: "{{ mesh.snapshot | meshops.locality.resilience_matrix(namespace='shop', levels=['zone']) }}"
"""

RETURN = r"""
_value:
  description: The matrix.
  type: dict
  contains:
    kind:
      description: V(matrix).
      type: str
    istio_version:
      description: Version of Istio whose decisions these are.
      type: str
    checked:
      description: False where no oracle has confirmed what is computed.
      type: bool
    unchecked:
      description: What is not confirmed, and why.
      type: list
      elements: dict
      contains:
        code:
          description: Which of the codes of docs/codes.md, for programs.
          type: str
        text:
          description: The same as a sentence.
          type: str
        parameters:
          description: What the sentence is made of, by name.
          type: dict
    not_judged:
      description: >-
        What the result does not speak of, each entry with a code and what
        it hides.
      type: list
      elements: dict
    fault:
      description: What the lost endpoints do.
      type: dict
      contains:
        name:
          description: Name of the fault.
          type: str
        what:
          description: The same in words.
          type: str
    rate:
      description: Requests per second of each client.
      type: float
    losses:
      description: The losses, one for each column.
      type: list
      elements: dict
      contains:
        loss:
          description: Name of the loss.
          type: str
        losses:
          description: The places that are lost together.
          type: list
          elements: dict
          contains:
            level:
              description: V(pod), V(node), V(subzone), V(zone) or V(region).
              type: str
            place:
              description: The place.
              type: str
        name:
          description: Short name that no other loss has.
          type: str
    rows:
      description: One row for each Service, port and class of requests.
      type: list
      elements: dict
      contains:
        name:
          description: The destination, short, for people.
          type: str
        service:
          description: Host of the Service.
          type: str
        port:
          description: Port of the Service.
          type: int
        subset:
          description: Subset; empty for the whole Service.
          type: str
        cluster:
          description: Name of Envoy's cluster.
          type: str
        namespace:
          description: Namespace of the Service.
          type: str
        requests:
          description: >-
            The class of requests that the row is about, such as a path; empty
            for all requests.
          type: str
        endpoints:
          description: Number of endpoints.
          type: int
        clients:
          description: Number of clients.
          type: int
        failing_today:
          description: Share of the requests that fails before anything is lost.
          type: float
        errors:
          description: Why, as sentences.
          type: list
          elements: dict
          contains:
            code:
              description: Which of the codes of docs/codes.md, for programs.
              type: str
            text:
              description: The same as a sentence.
              type: str
            parameters:
              description: What the sentence is made of, by name.
              type: dict
        entries:
          description: One entry for each loss, in the order of the losses.
          type: list
          elements: dict
          contains:
            loss:
              description: Name of the loss.
              type: str
            sign:
              description: The character in the table.
              type: str
            grade:
              description: >-
                How bad it is - V(untouched), V(carries on), V(short) until
                ejection, V(overload), V(long), V(gone), or V(fails today), before
                anything is lost.
              type: str
            verdict:
              description: >-
                V(untouched), V(survives) in the same localities, V(spills) into
                others, V(dies_in_part), or V(dies). The worst over the clients that are left.
              type: str
            until:
              description: >-
                What ends the failures - V(ejection), V(readiness), V(dns),
                V(removal), V(never), or V(none) when there are none.
              type: str
            failing:
              description: >-
                Share of requests that fails at first because of the loss, with
                retries.
              type: float
            seconds:
              description: Seconds until the failures end; null for never.
              type: float
            for_good:
              description: Share of requests that fails in the end because of the loss.
              type: float
            failed_requests:
              description: >-
                Expected number of failed requests of a client until the failures
                end; null for no end.
              type: float
            lost_at_first:
              description: >-
                Share of requests that meets a lost endpoint at first, without
                retries.
              type: float
            lost_in_the_end:
              description: The same in the end.
              type: float
            moved:
              description: Share of requests that other localities answer.
              type: float
            load:
              description: >-
                Load of the busiest surviving pod, as a multiple of today's
                busiest pod.
              type: float
            limit:
              description: What a pod can carry, in the same unit.
              type: float
            limit_from:
              description: Where the limit comes from.
              type: str
            growth:
              description: How many times the pods that an autoscaler may add.
              type: float
            overloaded:
              description: Whether the load is above the limit.
              type: bool
            clients:
              description: Number of clients by verdict.
              type: dict
            worst_client:
              description: The client for which it is worst.
              type: str
    groups:
      description: Rows that are equal, together, the worst first.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the group.
          type: str
        names:
          description: Names of its rows.
          type: list
          elements: str
        rows:
          description: Positions of its rows in RV(_value.rows).
          type: list
          elements: int
    summary:
      description: >-
        For each loss that hurts, the Services that go down, wait, or are
        overloaded. What fails before anything is lost stands first, as the
        loss of V(nothing).
      type: list
      elements: dict
    skipped:
      description: What cannot be predicted, and why.
      type: list
      elements: dict
      contains:
        name:
          description: Host and port, short, with the subset.
          type: str
        service:
          description: The host.
          type: str
        port:
          description: The port.
          type: int
        subset:
          description: The subset, V('') for none.
          type: str
        cluster:
          description: The name of the cluster in Envoy.
          type: str
        code:
          description: Which of the codes of docs/codes.md, for programs.
          type: str
        text:
          description: The same as a sentence.
          type: str
        parameters:
          description: What the sentence is made of, by name.
          type: dict
        dies_with:
          description: The losses that take all of its pods.
          type: list
          elements: str
    assumptions:
      description: What was assumed.
      type: list
      elements: dict
      contains:
        code:
          description: Which assumption it is, for programs.
          type: str
        text:
          description: The same as a sentence.
          type: str
        parameters:
          description: What the sentence is made of, by name.
          type: dict
"""

import typing as t

from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_queries import filter_answer


def resilience_matrix(snapshot: t.Any, *values: t.Any, **options: t.Any) -> dict[str, t.Any]:
    """Compute a matrix; see DOCUMENTATION."""
    answer: dict[str, t.Any] = filter_answer(
        "meshops.locality.resilience_matrix", "matrix", snapshot, ("service", "namespace", "client"), values, options
    )
    return answer


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"resilience_matrix": resilience_matrix}
