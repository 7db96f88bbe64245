#!/usr/bin/python
# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_probe
short_description: Requests from a client pod, who answered, and whether Envoy reports the same
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Sends requests at a steady rate with the C(curl) of a client pod and reports who answered, what failed and when, and
    how long it took.
  - Requests are sent when they are due, whether or not earlier ones have been answered, so a slow endpoint does not
    make the others look better.
  - Two more witnesses report on the same requests, Envoy's own counters of each endpoint (the difference of two
    readings) and
    the access log of the client's sidecar, joined request by request over the header C(x-request-id). They agree,
    or RV(disagreements) says in what they do not.
  - The shell loop in the pod ends with the connection, so an interrupted probe leaves nothing behind.
  - A request succeeds when the answer is complete and its status is 2xx or 3xx.
extends_documentation_fragment:
  - meshops.locality.auth
  - meshops.locality.api_timeout
  - meshops.locality.attributes
attributes:
  check_mode:
    support: full
    details: Checks the client and the options, says what would be sent, and sends nothing.
  diff_mode:
    support: N/A
    details: Changes nothing in the cluster.
  idempotent:
    support: N/A
    details: Changes nothing in the cluster; every run sends its requests.
options:
  namespace:
    description:
      - Namespace of the client.
    type: str
    required: true
  pod:
    description:
      - Name of the client. One of O(pod) and O(label_selector) is required.
    type: str
  label_selector:
    description:
      - Label selector of the client. When several pods match, the first ready one by name is used.
    type: str
  container:
    description:
      - Container that has C(curl) and C(sh). Default is the pod's annotation
        C(kubectl.kubernetes.io/default-container), else its first container that is not C(istio-proxy).
    type: str
  url:
    description:
      - What to request, plain HTTP. The sidecar adds mutual TLS on the way.
    type: str
    required: true
  requests:
    description:
      - Number of requests, at most 100000.
    type: int
    default: 20
  rate:
    description:
      - Requests per second. O(requests) divided by O(rate) may be one hour at most.
    type: float
    default: 10
  timeout:
    description:
      - Seconds until the client gives up one request. O(rate) times O(timeout) may be 1000 at most.
    type: float
    default: 5
  answer_pattern:
    description:
      - Regular expression that finds the name of the pod in the first 300 bytes of an answer, in the group C(pod), or
        else in the first group. Empty when answers do not name their pod; the access log then shows who answered.
    type: str
    default: 'instance: (?P<pod>[\w.-]+)'
  witnesses:
    description:
      - Whom to ask besides the client. With an empty list the client needs no sidecar.
    type: list
    elements: str
    choices: [counters, access_log]
    default: [counters, access_log]
seealso:
  - module: meshops.locality.endpoints_info
  - module: meshops.locality.listener_drain
"""

EXAMPLES = r"""
- name: A minute of requests while something happens
  meshops.locality.traffic_probe:
    namespace: sample
    label_selector: app=sleep
    url: http://helloworld.sample:5000/hello
    requests: 600
    rate: 10
  async: 120
  poll: 0
  register: started

- name: What became of them
  ansible.builtin.async_status:
    jid: "{{ started.ansible_job_id }}"
  register: probe
  until: probe is finished
  retries: 60
  delay: 2

- name: Nobody noticed
  ansible.builtin.assert:
    that:
      - probe.failed_requests == 0
      - probe.agree
"""

RETURN = r"""
client:
  description: The pod the requests were sent from, with its C(namespace), C(node), C(container) and C(locality).
  returned: success
  type: dict
run:
  description: First part of each request's C(x-request-id), to find them in any log of the mesh.
  returned: when requests were sent
  type: str
url:
  description: What was asked for. M(meshops.locality.traffic_probe) asks with GET and no header of its own.
  returned: when requests were sent
  type: str
sent:
  description: Number of requests sent.
  returned: success
  type: int
succeeded:
  description: Complete answers with a 2xx or 3xx status.
  returned: when requests were sent
  type: int
failed_requests:
  description: All others. (It is not called C(failed), because that would make the task fail.)
  returned: when requests were sent
  type: int
by_pod:
  description: Pod → number of its successful answers.
  returned: when requests were sent
  type: dict
by_locality:
  description: Locality, as the client's Envoy has it → number of successful answers.
  returned: when requests were sent
  type: dict
by_code:
  description: HTTP status, or C(curl N) when there was no complete answer → number of requests.
  returned: when requests were sent
  type: dict
by_flag:
  description: Envoy's response flags in the access log → number of requests; V(-) is none.
  returned: when requests were sent
  type: dict
failure_reasons:
  description: Why requests failed → number of requests.
  returned: when requests were sent
  type: dict
first_failure:
  description: When the first failed request was sent, in seconds since the first request. Null without a failure.
  returned: when requests were sent
  type: float
last_failure:
  description: When the last failed request was sent, in seconds since the first request. Null without a failure.
  returned: when requests were sent
  type: float
outage:
  description:
    - Length, in seconds, of the longest run of consecutive seconds in each of which a request that was sent then
      failed.
    - Seconds in which no request was due are not in the run and do not end it.
  returned: when requests were sent
  type: int
latency:
  description:
    - C(min), C(p50), C(p90), C(p99) and C(max) of the successful requests in milliseconds, as curl measured them
      (nearest rank).
  returned: when requests were sent
  type: dict
timeline:
  description: One entry for each second with C(second), C(sent), C(failed) and C(by_locality).
  returned: when requests were sent
  type: list
  elements: dict
witnesses:
  description:
    - C(counters) with C(rq_success), C(rq_error), C(rq_total), C(cx_connect_fail) and C(endpoints), and C(access_log)
      with C(by_upstream_host), C(by_locality), C(by_code), C(by_flag), C(by_upstream_cluster) and
      C(requests_of_others).
    - Each has C(available); when it is false, C(reason) says why and what to do.
  returned: when requests were sent
  type: dict
agree:
  description: Whether no two witnesses contradict each other.
  returned: when requests were sent
  type: bool
disagreements:
  description: How they disagree, one sentence each.
  returned: when requests were sent
  type: list
  elements: str
notes:
  description: What has to be known to read the numbers, for example retried attempts or requests of others.
  returned: when requests were sent
  type: list
  elements: str
client_lag:
  description: By how many seconds the client started a request late, at most.
  returned: when requests were sent
  type: float
"""

from ansible_collections.meshops.locality.plugins.module_utils._module_runner import run_module


def main() -> None:
    from ansible_collections.meshops.locality.plugins.module_utils._module.traffic_probe import traffic_probe

    run_module(
        traffic_probe,
        {
            "namespace": {"type": "str", "required": True},
            "pod": {"type": "str"},
            "label_selector": {"type": "str"},
            "container": {"type": "str"},
            "url": {"type": "str", "required": True},
            "requests": {"type": "int", "default": 20},
            "rate": {"type": "float", "default": 10},
            "timeout": {"type": "float", "default": 5},
            "answer_pattern": {"type": "str", "default": r"instance: (?P<pod>[\w.-]+)"},
            "witnesses": {
                "type": "list",
                "elements": "str",
                "choices": ["counters", "access_log"],
                "default": ["counters", "access_log"],
            },
        },
        mutually_exclusive=[("pod", "label_selector")],
        required_one_of=[("pod", "label_selector")],
    )


if __name__ == "__main__":
    main()
