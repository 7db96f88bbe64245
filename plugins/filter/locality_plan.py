# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: locality_plan
short_description: What istiod sends each client for each Service, computed from a snapshot
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Computes, without a cluster, which rule and setting apply to each kind of client and each Service, port and subset,
    and which priorities, weights and endpoints follow, with the reasons.
  - It decides as istiod of the given version does; generated meshes are compared with istiod's own code.
positional: service, namespace, client
options:
  subset:
    description:
      - Only this subset; an empty text is the whole Service without subsets. Without it both.
    type: str
extends_documentation_fragment:
  - meshops.locality.snapshot_input
  - meshops.locality.snapshot_input.version
  - meshops.locality.selection
seealso:
  - module: meshops.locality.topology_info
  - plugin: meshops.locality.plan_differences
    plugin_type: filter
  - plugin: meshops.locality.prediction_table
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Read the mesh
  meshops.locality.topology_info:
    all_namespaces: true
  register: mesh

- name: What would the clients in tianjin get for helloworld
  ansible.builtin.debug:
    msg: "{{ mesh.snapshot | meshops.locality.locality_plan(service='helloworld', client='*/tianjin')
      | meshops.locality.prediction_table }}"

- name: Every client has its own locality first
  ansible.builtin.assert:
    that: item.priorities[0].localities | map(attribute='locality') | unique == [item.client.locality]
  loop: "{{ mesh.snapshot | meshops.locality.locality_plan(service='helloworld') }}"
"""

RETURN = r"""
_value:
  description: One row for each class of clients and each destination.
  type: list
  elements: dict
  contains:
    client:
      description: The class of clients that the row is about. All of them get the same assignment.
      type: dict
      contains:
        namespace:
          description: Namespace of the clients.
          type: str
        type:
          description: Type of the proxies, V(sidecar), V(router) or V(waypoint).
          type: str
        locality:
          description: Locality of the clients.
          type: str
        labels:
          description: Labels of the clients that some rule looks at.
          type: dict
        clients:
          description: Number of clients.
          type: int
        pods:
          description: Names of the first few.
          type: list
          elements: str
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
    type:
      description: Envoy's discovery type of the cluster, V(EDS), V(STRICT_DNS) or V(ORIGINAL_DST).
      type: str
    rule:
      description: The DestinationRule that applies, C(namespace/name).
      type: str
    rules:
      description: All DestinationRules that istiod merges.
      type: list
      elements: str
    tier:
      description: Namespace in which the rule was looked up - V(client), V(service) or V(root).
      type: str
    setting:
      description: The locality setting that applies.
      type: dict
      contains:
        source:
          description: Where it is written.
          type: str
        kind:
          description: Its kind, such as V(failover), V(failoverPriority) or V(distribute).
          type: str
        applies:
          description: Whether it changes where requests of these clients go.
          type: bool
    ordered:
      description: Whether endpoints are ordered by locality.
      type: bool
    priorities:
      description: The endpoints by priority, P0 first.
      type: list
      elements: dict
      contains:
        priority:
          description: The priority.
          type: int
        localities:
          description: The localities of this priority.
          type: list
          elements: dict
          contains:
            locality:
              description: The locality.
              type: str
            weight:
              description: Its load balancing weight.
              type: int
            endpoints:
              description: Number of endpoints.
              type: int
            healthy:
              description: Number of endpoints that are healthy.
              type: int
            pods:
              description: Names of the pods, or addresses.
              type: list
              elements: str
    locality_weighted:
      description: Whether weights of localities decide within a priority.
      type: bool
    lb_policy:
      description: Envoy's load balancing policy.
      type: str
    panic_threshold:
      description: Panic threshold in percent.
      type: float
    outlier_detection:
      description: outlierDetection as written; null when it is not set.
      type: dict
    ejection:
      description: What maxEjectionPercent allows; null without outlierDetection.
      type: dict
      contains:
        endpoints:
          description: Number of all endpoints of the cluster.
          type: int
        percent:
          description: The percentage that Envoy uses.
          type: int
        ejectable:
          description: How many endpoints can be ejected at a time.
          type: int
        needed:
          description: The percentage that lets all endpoints of the first priority be ejected.
          type: int
        errors:
          description: How many refused connections eject an endpoint; null for none.
          type: int
        why:
          description: The same as a sentence.
          type: str
    sends_unready:
      description: Whether istiod sends endpoints that are not ready.
      type: bool
    max_requests_per_connection:
      description: Requests after which a connection is closed; 0 for no limit.
      type: int
    requests:
      description: Where requests to this host and port go, the default ones first; empty for a subset.
      type: list
      elements: dict
      contains:
        which:
          description: Which requests; empty for all that no other entry takes.
          type: str
        route:
          description: Where the route is written.
          type: str
        destinations:
          description: The destinations of the route with the share of the requests that each gets.
          type: list
          elements: dict
          contains:
            name:
              description: Service, port and subset.
              type: str
            share:
              description: From 0 to 1.
              type: float
        errors:
          description: What Envoy itself answers with an error, or why nothing can be said.
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
    retries:
      description: What Envoy retries.
      type: dict
      contains:
        attempts:
          description: Number of retries; 0 for none.
          type: int
        retry_on:
          description: The conditions.
          type: str
        remote_localities:
          description: Whether a retry may leave the priority.
          type: bool
        per_try_timeout:
          description: Seconds for one try; null for no limit.
          type: float
        timeout:
          description: Seconds for the request with all retries; null for no limit.
          type: float
        source:
          description: Where it is written.
          type: str
    connect_timeout:
      description: Seconds until a connection attempt is given up.
      type: float
    why:
      description: The reasons, one sentence each.
      type: list
      elements: str
    chance:
      description: Whether istiod's own answer differs from push to push.
      type: bool
    crash:
      description: Whether istiod crashes because of the rule.
      type: bool
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
"""

import typing as t

from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_queries import filter_answer


def locality_plan(snapshot: t.Any, *values: t.Any, **options: t.Any) -> list[dict[str, t.Any]]:
    """Compute a plan; see DOCUMENTATION."""
    answer: list[dict[str, t.Any]] = filter_answer(
        "meshops.locality.locality_plan", "plan", snapshot, ("service", "namespace", "client"), values, options
    )
    return answer


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"locality_plan": locality_plan}
