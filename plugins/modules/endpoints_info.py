#!/usr/bin/python
# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: endpoints_info
short_description: What the Envoy of each client holds for a service
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Asks the sidecars of one or many client pods, in parallel, which endpoints they hold, and joins each endpoint
    with its pod and node.
  - Priorities, health and ejections differ from client to client, so the clients are what is asked, not istiod.
  - The answer comes from Envoy's C(/clusters), read by C(pilot-agent request) inside the container C(istio-proxy).
    This also works in distroless proxies.
  - C(/clusters) may run up to one second ahead of the data plane. Envoy never resets the counters, so take two
    readings and subtract.
extends_documentation_fragment:
  - meshops.locality.auth
  - meshops.locality.api_timeout
  - meshops.locality.attributes
attributes:
  check_mode:
    support: full
    details: The file O(path) is not written.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: The file O(path) is written each time. Without it this module only reads.
options:
  namespace:
    description:
      - Namespace of the clients.
    type: str
    required: true
  label_selector:
    description:
      - Label selector of the clients. Ended and deleted pods are left out.
      - One of O(pods) and O(label_selector) is required.
    type: str
  pods:
    description:
      - Names of the clients. One that does not exist is an error.
    type: list
    elements: str
  service_host:
    description:
      - The host whose endpoints are wanted, as C(name) (in O(namespace)), C(name.namespace) or its full name.
      - It is not called C(host) because that is the URL of the API server, see O(host).
      - "Default: all outbound clusters, see O(max_endpoints)."
    type: str
  port:
    description:
      - Only the clusters of this port of the service.
    type: int
  subset:
    description:
      - Only the clusters of this subset of a DestinationRule. The empty string means those without a subset.
    type: str
  include_settings:
    description:
      - Also return what Envoy's configuration says about outlier detection, panic threshold and locality weights.
    type: bool
    default: false
  max_endpoints:
    description:
      - At most so many endpoints are in the result, the same number for each client. Those that are not healthy or
        whose locality has changed come first. RV(clients[].endpoints_left_out) says how many are missing, and
        RV(problems) has a sentence when O(path) has not got them either.
    type: int
    default: 5000
  path:
    description:
      - File for all endpoints, whatever O(max_endpoints) says. Each client is one line of JSON with the keys of
        RV(clients), in the order in which they answered. A new file can be read by its owner only.
    type: path
seealso:
  - module: meshops.locality.traffic_probe
  - plugin: meshops.locality.envoy_clusters
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Where may the client in tianjin go
  meshops.locality.endpoints_info:
    namespace: sample
    label_selector: app=sleep
    service_host: helloworld
    port: 5000
  register: held

- name: Only endpoints of the client's own locality have priority 0
  ansible.builtin.assert:
    that:
      - held.problems | length == 0
      - >-
        held.clients[0].endpoints | selectattr('priority', 'equalto', 0) | map(attribute='locality') | unique
        == [held.clients[0].locality]
"""

RETURN = r"""
clients:
  description: One entry for each client, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    pod:
      description: Name of the pod.
      type: str
    namespace:
      description: Namespace of the pod.
      type: str
    node:
      description: Node the pod runs on.
      type: str
    address:
      description: IP address of the pod.
      type: str
    locality:
      description:
        - Where the labels of the pod and of its node place it now, as C(region/zone/subzone).
        - Envoy itself does not know its locality under Kubernetes; istiod looked it up when the proxy connected.
      type: str
    revision:
      description: Istio revision that injected the sidecar.
      type: str
    sidecar:
      description: V(native) (an init container that is always restarted), V(classic), or empty when there is none.
      type: str
    ready:
      description: Whether the container C(istio-proxy) is ready.
      type: bool
    problem:
      description: Why this client has no endpoints here, or should not be relied on. Empty when all is well.
      type: str
    endpoints:
      description: What its Envoy holds, sorted by cluster, priority, locality and address.
      type: list
      elements: dict
      contains:
        cluster:
          description: Envoy's name of the cluster.
          type: str
        direction:
          description: First part of the cluster's name, here always V(outbound).
          type: str
        host:
          description: Host part of the cluster's name.
          type: str
        port:
          description: Port part of the cluster's name.
          type: int
        subset:
          description: Subset part of the cluster's name, mostly empty.
          type: str
        address:
          description: Address as in the access log's C(UPSTREAM_HOST).
          type: str
        hostname:
          description: DNS name the address was resolved from, if any.
          type: str
        locality:
          description: Locality Envoy has for it.
          type: str
        priority:
          description: Envoy's priority; 0 is used first.
          type: int
        weight:
          description: Weight of the endpoint inside its locality.
          type: int
        health:
          description: V(healthy), V(degraded) or V(unhealthy), as the load balancer sees it.
          type: str
        health_reasons:
          description:
            - Envoy's health flags, for example V(failed_outlier_check) (ejected) or V(failed_eds_health) (not ready).
          type: list
          elements: str
        excluded:
          description: Whether Envoy leaves it out when it computes the health of the priority (draining).
          type: bool
        counters:
          description: Envoy's counters of this endpoint since it appeared.
          type: dict
        pod:
          description: Pod behind the address; empty when unknown.
          type: str
        pod_namespace:
          description: Namespace of that pod.
          type: str
        node:
          description: Node of that pod.
          type: str
        locality_now:
          description: Where labels place that pod now.
          type: str
        stale:
          description: Whether RV(clients[].endpoints[].locality_now) differs from what istiod sent to Envoy.
          type: bool
    endpoints_left_out:
      description: How many of its endpoints are not in RV(clients[].endpoints), because of O(max_endpoints).
      type: int
    stale:
      description: Addresses of the stale endpoints, also of those that are left out.
      type: list
      elements: str
    clusters:
      description: Settings of each cluster, by name, with O(include_settings).
      type: dict
revisions:
  description: Istio revision → number of clients.
  returned: success
  type: dict
problems:
  description: Problems, one sentence each. Empty when there is none.
  returned: success
  type: list
  elements: str
path:
  description: The file with all endpoints.
  returned: with O(path)
  type: str
"""

from ansible_collections.meshops.locality.plugins.module_utils._module_runner import run_module


def main() -> None:
    from ansible_collections.meshops.locality.plugins.module_utils._module.endpoints_info import endpoints_info

    run_module(
        endpoints_info,
        {
            "namespace": {"type": "str", "required": True},
            "label_selector": {"type": "str"},
            "pods": {"type": "list", "elements": "str"},
            "service_host": {"type": "str"},
            "port": {"type": "int"},
            "subset": {"type": "str"},
            "include_settings": {"type": "bool", "default": False},
            "max_endpoints": {"type": "int", "default": 5000},
            "path": {"type": "path"},
        },
        mutually_exclusive=[("pods", "label_selector")],
        required_one_of=[("pods", "label_selector")],
    )


if __name__ == "__main__":
    main()
