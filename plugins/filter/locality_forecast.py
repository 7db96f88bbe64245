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
  - meshops.locality.losses.fault
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
  description: The forecast.
  type: dict
  contains:
    kind:
      description: V(forecast).
      type: str
    istio_version:
      description: Version of Istio whose decisions these are.
      type: str
    checked:
      description: False where no oracle has confirmed what is computed.
      type: bool
    not_judged:
      description: >-
        What the result does not speak of, each entry with a code and what
        it hides.
      type: list
      elements: dict
    rate:
      description: Requests per second of each client.
      type: float
    faults:
      description: The faults by their names, in words.
      type: dict
    rows:
      description: >-
        One row for each class of clients, Service, port and class of
        requests.
      type: list
      elements: dict
      contains:
        client:
          description: >-
            The class of clients that the row is about. All of them get the
            same assignment.
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
        requests:
          description: >-
            The class of requests that the row is about, such as a path; empty
            for all requests.
          type: str
        matches:
          description: >-
            The same for programs; a request has to meet one of them. Empty for
            all requests. What stands behind a
            C(-) must not be there. Values are left out.
          type: list
          elements: dict
          contains:
            path:
              description: The C(type) of match and its C(value).
              type: dict
            headers:
              description: Headers, and C(:method), C(:authority), C(:scheme).
              type: list
              elements: str
            query:
              description: Parameters of the query.
              type: list
              elements: str
            claims:
              description: Claims of a JSON web token.
              type: list
              elements: str
        protocol:
          description: >-
            V(http), or V(tcp) for connections that Envoy forwards as they are;
            of these, requests are connections.
          type: str
        destinations:
          description: Where the route sends these requests.
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
            share:
              description: Share of the requests.
              type: float
            rule:
              description: The DestinationRule that applies.
              type: str
            setting:
              description: The locality setting that applies.
              type: dict
              contains:
                source:
                  description: Where it is written.
                  type: str
                kind:
                  description: >-
                    Its kind, such as V(failover), V(failoverPriority) or
                    V(distribute).
                  type: str
                applies:
                  description: Whether it changes where requests of these clients go.
                  type: bool
            onward:
              description: >-
                Where the destination's pods are gateways, what each kind of
                them does next with these requests.
              type: list
              elements: dict
              contains:
                gateway:
                  description: A pod of the gateway, as namespace/name.
                  type: str
                share:
                  description: Share of the requests that its kind takes.
                  type: float
                which:
                  description: The class of requests there; empty for the default.
                  type: str
                route:
                  description: The route there.
                  type: str
                destinations:
                  description: Where it leads, each with C(name) and C(share).
                  type: list
                  elements: dict
                errors:
                  description: What the gateway itself answers with an error.
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
            ejection:
              description: >-
                What maxEjectionPercent allows; null without outlierDetection.
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
                  description: >-
                    The percentage that lets all endpoints of the first priority be
                    ejected.
                  type: int
                errors:
                  description: >-
                    How many refused connections eject an endpoint; null for none.
                  type: int
                why:
                  description: The same as a sentence.
                  type: str
        route:
          description: The route that applies.
          type: str
        errors:
          description: Requests that Envoy itself answers with an error, and why.
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
        answered_by_envoy:
          description: >-
            Share of requests that Envoy answers itself, such as redirects.
          type: float
        rule:
          description: The DestinationRule that applies, C(namespace/name).
          type: str
        setting:
          description: The locality setting that applies.
          type: dict
          contains:
            source:
              description: Where it is written.
              type: str
            kind:
              description: >-
                Its kind, such as V(failover), V(failoverPriority) or
                V(distribute).
              type: str
            applies:
              description: Whether it changes where requests of these clients go.
              type: bool
        ejection:
          description: >-
            What maxEjectionPercent allows; null without outlierDetection.
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
              description: >-
                The percentage that lets all endpoints of the first priority be
                ejected.
              type: int
            errors:
              description: >-
                How many refused connections eject an endpoint; null for none.
              type: int
            why:
              description: The same as a sentence.
              type: str
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
              description: >-
                Seconds for the request with all retries; null for no limit.
              type: float
            source:
              description: Where it is written.
              type: str
        now:
          description: Where requests go now.
          type: dict
          contains:
            localities:
              description: Share by locality.
              type: dict
            pods:
              description: Share by pod or address.
              type: dict
            none:
              description: >-
                Share for which there is no endpoint; HTTP gets 503, a TCP
                connection is closed.
              type: float
            dead:
              description: Share that is sent to endpoints that cannot answer.
              type: float
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
        losses:
          description: What each loss does.
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
            grade:
              description: >-
                How bad it is - V(untouched), V(carries on), V(short) until
                ejection, V(overload), V(long), V(gone), or V(fails today), before
                anything is lost.
              type: str
            verdict:
              description: >-
                V(untouched), V(survives) in the same localities, V(spills) into
                others, V(dies_in_part), or V(dies).
              type: str
            until:
              description: >-
                What ends the failures - V(ejection), V(readiness), V(dns),
                V(removal), V(never), or V(none) when there are none. That of the
                first fault.
              type: str
            can_be_ejected:
              description: Whether Envoy may eject the lost endpoints.
              type: bool
            lost_at_first:
              description: Share of requests that meets a lost endpoint at first.
              type: float
            lost_in_the_end:
              description: Share of requests that fails in the end.
              type: float
            clients_lost:
              description: Number of clients of this class that are lost, too.
              type: int
            settled:
              description: Where requests go in the end.
              type: dict
              contains:
                localities:
                  description: Share by locality.
                  type: dict
                pods:
                  description: Share by pod or address.
                  type: dict
                none:
                  description: >-
                    Share for which there is no endpoint; HTTP gets 503, a TCP
                    connection is closed.
                  type: float
                dead:
                  description: Share that is sent to endpoints that cannot answer.
                  type: float
            readiness_seconds:
              description: >-
                Seconds until Kubernetes removes the endpoints. The least and the
                most.
              type: list
              elements: float
            failover:
              description: >-
                For each fault the verdict, its end, failed requests, seconds with
                their bounds, phases and assumptions.
              type: dict
            capacity:
              description: Whether the survivors can carry the load.
              type: dict
              contains:
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
            probe:
              description: >-
                What a probe with O(watch) should count; missing without it.
              type: dict
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
    model:
      description: Assumptions of the model of failovers, each with C(code), C(text) and C(parameters).
      type: list
      elements: dict
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
