#!/usr/bin/python
# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failover_policy
short_description: Write the DestinationRule that decides where traffic goes when a location is lost
version_added: 0.1.0
description:
  - Writes one DestinationRule and, when retries are asked for, the VirtualService that carries them.
  - Both are written with server-side apply under the field manager C(meshops.locality). What leaves the options
    leaves the objects. Fields, labels and annotations of somebody else stay.
  - Everything is checked before anything is written - first the options, by Istio's own rules, then the other rules
    for the same host, and at last both objects by the API server and istiod (dry run).
  - Warns about everything that Istio accepts although it does nothing, for example O(failover) without
    O(outlier_detection).
author:
  - meshops.locality contributors (@meshops)
extends_documentation_fragment:
  - meshops.locality.auth
  - meshops.locality.api_timeout
  - meshops.locality.attributes
attributes:
  check_mode:
    support: full
    details:
      - The API server and istiod's admission webhook check both objects (dry run). In a namespace that does not exist
        yet, the objects are returned as they would be sent.
  diff_mode:
    support: full
    details: Shows the objects without what the API server adds to them.
  idempotent:
    support: full
    details: With O(complete=true) the result follows the number of endpoints, which may have changed between two
      runs.
options:
  name:
    description:
      - Name of the DestinationRule. Without it, the first part of O(service_host).
    type: str
  namespace:
    description:
      - Namespace of the DestinationRule. Its clients use the rule in any case. Those of other namespaces use it only
        when this is the namespace of the Service, or the mesh's root namespace.
    type: str
    required: true
  service_host:
    description:
      - Host the rule is for (C(spec.host)). A name without a dot is completed by Istio with O(namespace). A name with
        a dot is taken as it is.
      - Required when O(state=present).
    type: str
  failover:
    description:
      - Where the clients of one region go when their own region has no healthy endpoint left
        (C(localityLbSetting.failover)). Within a region Istio prefers the client's own subzone, then its own zone,
        without any rule.
      - This is an order, not a restriction. Regions that are not named come last.
      - Only the first entry for each C(from) takes effect.
    type: list
    elements: dict
    suboptions:
      from:
        description: Region of the client.
        type: str
        required: true
      to:
        description: Region to prefer over all other regions.
        type: str
        required: true
  failover_priority:
    description:
      - Labels by which endpoints are ordered (C(localityLbSetting.failoverPriority)), each as C(key) or C(key=value).
        The first label that differs decides.
    type: list
    elements: str
  distribute:
    description:
      - Shares of the localities, for clients of one locality (C(localityLbSetting.distribute)).
      - Localities that are not named get nothing, even when all others are lost. Cannot stand next to O(failover).
    type: list
    elements: dict
    suboptions:
      from:
        description: Locality of the client, as C(region/zone/subzone) or its first parts. The last part may be V(*).
        type: str
        required: true
      to:
        description: The keys are localities, the values percentages that add up to 100.
        type: dict
        required: true
  outlier_detection:
    description:
      - When a client's proxy considers an endpoint failed (C(outlierDetection)). Without it there is no failover at
        all.
    type: dict
    suboptions:
      consecutive_5xx_errors:
        description: Ejects an endpoint after so many 5xx answers in a row. V(0) turns it off. Envoy's default is 5.
        type: int
      consecutive_gateway_errors:
        description: Ejects an endpoint after so many 502, 503 or 504 answers in a row.
        type: int
      consecutive_local_origin_failures:
        description: Ejects after so many failed connections in a row. Needs
          O(outlier_detection.split_external_local_origin_errors=true).
        type: int
      split_external_local_origin_errors:
        description: Whether failed connections and answers of the endpoint are counted apart.
        type: bool
      interval:
        description: Time between two sweeps, for example V(1s). Envoy's default is 10s.
        type: str
      base_ejection_time:
        description: How long an endpoint stays ejected, times the number of its ejections, for example V(1m).
        type: str
      max_ejection_percent:
        description:
          - How much of all endpoints, over all localities, may be ejected at a time. A locality with n of N endpoints
            can only be lost when this is at least 100 * n / N. Without it Envoy takes 10 percent, which is no endpoint
            when there are fewer than 10 endpoints.
          - O(complete=true) computes it.
        type: int
      min_health_percent:
        description: Below this share of healthy endpoints Envoy sends requests to all endpoints, failed ones included.
        type: int
  load_balancer:
    description:
      - How the endpoints of one priority share the requests (C(loadBalancer.simple)).
      - Anything else below C(loadBalancer) goes into O(traffic_policy).
    type: str
    choices: [LEAST_REQUEST, PASSTHROUGH, RANDOM, ROUND_ROBIN, UNSPECIFIED]
  max_requests_per_connection:
    description:
      - Requests after which a connection is closed (C(connectionPool.http.maxRequestsPerConnection)).
    type: int
  traffic_policy:
    description:
      - The rest of C(trafficPolicy), in Istio's own spelling. It is an error to set a field here that another option
        sets, too.
    type: dict
  subsets:
    description: The C(subsets) of the DestinationRule, in Istio's own spelling.
    type: list
    elements: dict
  export_to:
    description: Namespaces that see the rule and the VirtualService. V(.) is the rule's own, V(*) all namespaces.
    type: list
    elements: str
  complete:
    description:
      - Whether what was left out is filled in so that the loss named by O(survive) is survived. RV(completed) says
        what and why.
      - Fills O(outlier_detection.max_ejection_percent) from the endpoints there are now, O(retry_remote_localities),
        and O(outlier_detection.consecutive_5xx_errors) when there is no O(outlier_detection) at all. Options that are
        set stay as it is.
    type: bool
    default: false
  survive:
    description:
      - The largest loss that traffic has to survive. It is also what the warnings about too small limits refer to.
      - Without it V(region) when O(failover) is given, else the widest level in which the endpoints differ.
    type: str
    choices: [subzone, zone, region]
  retry_remote_localities:
    description:
      - Whether a failed request is tried again in the next locality (C(retries.retryRemoteLocalities) of a
        VirtualService). This is what saves the requests that fail before their endpoint is ejected.
      - V(false) keeps O(complete=true) from adding it.
    type: bool
  retries:
    description: Retries of failed requests, in a VirtualService.
    type: dict
    suboptions:
      attempts:
        description: How often a request is tried again. Istio's default is 2.
        type: int
      per_try_timeout:
        description: Time-out of each try, for example V(500ms).
        type: str
      retry_on:
        description: What is tried again, as comma separated list. Istio's default is meant for connections that fail.
        type: str
  virtual_service_name:
    description:
      - Name of the VirtualService. Without it, O(name). It is deleted when nothing asks for it any more.
      - A VirtualService of somebody else for the same host is never shadowed. That is an error.
    type: str
  force_conflicts:
    description:
      - Whether fields that another field manager owns are taken over, and whether V(absent) deletes an object that this
        policy made and others have added fields to.
      - What is taken over is written down first, in the annotation C(meshops.locality/previous) of the object.
      - An object that this policy has not made is never deleted.
    type: bool
    default: false
  owner:
    description:
      - Whose policy this is, for example a team. It becomes part of the field manager, C(meshops.locality:owner), so
        two owners who want different things of one object meet a conflict that names both, instead of overwriting each
        other.
      - Default is the user as whom the API server knows us. People who share a policy set the same owner. An API server
        that does not say (before Kubernetes 1.28) keeps nobody apart without it, which is a warning.
    type: str
  state:
    description:
      - V(present) writes the policy. When somebody else has made the DestinationRule or the VirtualService before, what
        it was is written down in its annotation C(meshops.locality/previous), in the same request. So are the fields
        that others have added to an object of this policy, when they are taken over.
      - V(absent) takes the policy away. What was written down is put back, and given back to its owner. What this
        policy made is deleted, unless it also holds fields of others. It is what has the annotation
        C(meshops.locality/failover-policy), written by the field manager of this policy.
      - V(previous) does the same, and does not delete what holds fields of others even with O(force_conflicts).
    type: str
    choices: [present, absent, previous]
    default: present
"""

EXAMPLES = r"""
- name: The tutorial's rule exactly as written
  meshops.locality.failover_policy:
    namespace: sample
    service_host: helloworld.sample.svc.cluster.local
    max_requests_per_connection: 1
    load_balancer: ROUND_ROBIN
    failover:
      - from: cn-north-4
        to: cn-south-1
    outlier_detection:
      consecutive_5xx_errors: 1
      interval: 1s
      base_ejection_time: 1m

- name: The same rule, completed so that the loss of the whole region is survived
  meshops.locality.failover_policy:
    namespace: sample
    service_host: helloworld.sample.svc.cluster.local
    max_requests_per_connection: 1
    load_balancer: ROUND_ROBIN
    failover: "{{ ['cn-north-4', 'cn-south-1'] | meshops.locality.failover_rules }}"
    outlier_detection:
      consecutive_5xx_errors: 1
      interval: 1s
      base_ejection_time: 1m
    complete: true
    survive: region

- name: Delete the policy and its VirtualService
  meshops.locality.failover_policy:
    name: helloworld
    namespace: sample
    state: absent
"""

RETURN = r"""
destination_rule:
  description:
    - The DestinationRule as it is now (in check mode, as it would be). Empty after O(state=absent), unless it was there
      before.
  returned: success
  type: dict
virtual_service:
  description:
    - The VirtualService of the policy, or after O(state=absent) what it was before. Empty when it has none.
  returned: success
  type: dict
written:
  description: What had been written when the next object could not be.
  returned: on failure after something was written
  type: list
  elements: str
not_written:
  description: What had not, or only half. A second run finishes.
  returned: on failure after something was written
  type: list
  elements: str
completed:
  description: What O(complete) filled in.
  returned: success
  type: list
  elements: dict
  contains:
    field:
      description: Path of the field.
      type: str
      sample: DestinationRule.spec.trafficPolicy.outlierDetection.maxEjectionPercent
    value:
      description: Its value.
      type: raw
      sample: 75
    why:
      description: Why it is needed.
      type: str
conflicts:
  description:
    - Other DestinationRules for the same host, and who wins.
    - On failure, the other owners of wanted fields or of the object, or the VirtualServices in the way.
  returned: success, and on failure because of a conflict
  type: list
  elements: dict
  contains:
    rule:
      description: The other DestinationRule, as C(namespace/name).
      type: str
    host:
      description: The host both are for.
      type: str
    wins:
      description: The rule that applies, as C(namespace/name).
      type: str
    clients:
      description: Namespaces of the clients to which it applies. V(*) stands for all that have no rule of their own.
      type: list
      elements: str
    why:
      description: Why that rule applies.
      type: str
    manager:
      description: The field manager that owns a field. Only on failure.
      type: str
    field:
      description: Path of the field. Only on failure.
      type: str
    live:
      description: Value of the field in the cluster. Only on failure.
      type: raw
    wanted:
      description: Value of the field in the options. Only on failure.
      type: raw
endpoints:
  description: Number of endpoints of the host by locality, as istiod places them.
  returned: success
  type: dict
  sample:
    cn-north-4/cn-north-4b/beijing: 1
    cn-south-1/cn-south-1a/guangzhou: 1
problems:
  description: Everything that is wrong with the options, as C(field) and C(problem).
  returned: on failure because of an option
  type: list
  elements: dict
"""

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._module_runner import run_module
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent import OPTIONS

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster


def main() -> None:
    def body(cluster: Cluster, params: t.Mapping[str, t.Any], module: AnsibleModule) -> dict[str, t.Any]:
        from ansible_collections.meshops.locality.plugins.module_utils._module.failover_policy import failover_policy

        return failover_policy(cluster, params, module)

    run_module(
        body,
        {
            **OPTIONS,
            "force_conflicts": {"type": "bool", "default": False},
            "owner": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent", "previous"], "default": "present"},
        },
        required_if=[
            ("state", "present", ("service_host",)),
            ("state", "absent", ("name", "service_host"), True),
            ("state", "previous", ("name", "service_host"), True),
        ],
    )


if __name__ == "__main__":
    main()
