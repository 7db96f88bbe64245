#!/usr/bin/python
# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failover_drill
short_description: Lose endpoints of a Service on purpose, put everything back, and prove both
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - One operation in one process - preflight, snapshot, prediction, gate, lock, journal, fault, observation, undoing,
    proof, verdict.
  - What is going to be changed is written to a ConfigMap in the namespace before it is changed (the journal), so that
    M(meshops.locality.failover_restore) can undo it from any machine.
  - A timer inside each target's C(istio-proxy) container ends a drain when the drill gives no sign of life for
    O(dead_mans_switch) seconds, also when the drill, the API server and the network are gone.
  - C(SIGINT), C(SIGTERM), C(SIGHUP), the end of the process that started it, a lost lock, a silent API server, a
    stop by a person, a fault that vanishes, clients that ask no more and a used up error budget end it at once, and
    everything is put back.
  - A drain that could not be undone is refused before anything is touched - of a pod of a Job, of one whose sidecar
    would not be started again, or by kubelet only after O(restore_timeout), or that is draining gracefully.
  - The task fails unless the outcome is V(SUCCEEDED). In check mode everything up to the lock is done and nothing is
    written; the outcome is then V(PENDING).
  - While it runs, one line per event is shown.
extends_documentation_fragment:
  - meshops.locality.auth
  - meshops.locality.api_timeout
  - meshops.locality.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
options:
  namespace:
    description:
      - Namespace of the Service. It has to allow drills with the label C(meshops.locality/drills=allowed), unless it
        is in O(allowed_namespaces). With the value C(with-approval) faults that do not end by themselves need the
        approval of somebody who may annotate the Namespace, which whoever drills may not.
    type: str
    required: true
  service:
    description: Name of the Service whose endpoints are lost.
    type: str
    required: true
  port:
    description: Port of the Service. Default is its first TCP port.
    type: int
  scope:
    description:
      - What is lost, one text C(level place) for each. Levels are V(pod), V(workload) (C(Kind/name)), V(label_selector)
        (C(key=value)), V(node), V(subzone), V(zone) and V(region).
      - A subzone or zone is whole (V(zone r1/z1)), or its last part where that is unique. A dictionary with one key
        does as well, for example C(zone) with the value V(r1/z1).
      - All at once, or one after the other with O(cascade).
    type: list
    elements: raw
    required: true
  cascade:
    description:
      - Lose the entries of O(scope) one after the other, each for O(duration) seconds on top of those before. They
        are put back in the opposite order.
    type: bool
    default: false
  fault:
    description:
      - V(drain_inbound) closes Envoy's inbound listeners; the pod stays ready. Found out by outlier detection.
      - V(drain) closes all listeners, also that of the readiness probe.
      - V(scale_to_zero) scales the Deployment or StatefulSet to 0. It does not end by itself.
      - V(process_kill) ends the processes of the application's container once; kubelet starts it again. What it costs
        cannot be predicted.
      - V(evict) cordons the nodes of the pods and evicts the pods. It does not end by itself.
      - V(node_loss) loses the nodes of the pods with everything on them. Only where an agent stops nodes, as that of
        the sandbox does, which also starts them again when the drill and its undoing should be over. All namespaces
        with pods there have to allow drills; clients there do not ask.
      - V(network_deny) denies the pods everything that comes in with a NetworkPolicy; where nothing enforces it, the
        drill is refused after it was tried. It does not end by itself.
      - V(evacuate) lets the endpoints leave the Service, by a label that its selector asks for; the pods stay and
        answer, and no request should fail. It does not end by itself.
      - V(application_error), V(application_delay) and V(application_hang) ask the application itself to fail, at
        O(fault_path).
    type: str
    default: drain_inbound
    choices:
      - drain_inbound
      - drain
      - scale_to_zero
      - process_kill
      - evict
      - node_loss
      - network_deny
      - evacuate
      - application_error
      - application_delay
      - application_hang
  duration:
    description: Seconds that the fault lasts, of each step of a cascade.
    type: int
    default: 30
  lead:
    description: Seconds of requests before the fault, which show the steady state.
    type: int
    default: 5
  clients:
    description:
      - Pods that ask. All ready pods of a label selector; those in the scope are left out.
    type: list
    elements: dict
    required: true
    suboptions:
      namespace:
        description: Namespace of the client. Default is O(namespace).
        type: str
      pod:
        description: Name of the pod.
        type: str
      label_selector:
        description: Label selector of the pods.
        type: str
      container:
        description:
          - Container with C(sh) and C(curl). Default is the pod's annotation
            C(kubectl.kubernetes.io/default-container), else its first container that is not C(istio-proxy).
        type: str
  url:
    description: What the clients ask. Default is made of Service, port and O(path).
    type: str
  path:
    description: Path that the clients ask for when there is no O(url).
    type: str
    default: /
  load:
    description:
      - V(probe) - the clients ask with C(curl), at O(rate).
      - V(users) - no request of ours. Those that the clients send to the Service by themselves are read from the access
        logs of their Envoys. Where a log is off, the counters of endpoints are read; they are of attempts, so that one
        which a retry made good is a failure. A status below 500 is no failure.
      - V(injected) - one pod for each place of the clients, on the same node, with O(probe_image), asks with C(curl) at
        O(rate) and is removed afterwards. For places whose own pods have neither shell nor curl.
    type: str
    default: probe
    choices: [probe, users, injected]
  probe_image:
    description: Image with C(sh), C(sleep) and C(curl) for O(load=injected).
    type: str
    default: curlimages/curl
  rate:
    description: Requests per second of each client.
    type: float
    default: 10.0
  timeout:
    description: Seconds a client waits for an answer.
    type: float
    default: 5.0
  answer_pattern:
    description:
      - Regular expression that finds the name of the pod in the first 300 bytes of an answer, in the group C(pod), or
        else in the first group. Empty when answers do not name their pod; the access log then tells who answered.
    type: str
    default: 'instance: (?P<pod>[\w.-]+)'
  error_budget:
    description:
      - Share of all requests that may fail. A drill that is predicted to cost more is refused, one that costs more
        is ended.
    type: float
    default: 0.01
  bystander_error_budget:
    description:
      - Share of the requests of bystanders, up to ten other members of the namespace, that may fail at endpoints which
        are not lost. With more, and at least five, the drill is ended.
    type: float
    default: 0.01
  max_time_to_shift:
    description: Seconds within which no request may fail or be answered by a lost pod any more. Not judged without it.
    type: float
  max_time_to_restore:
    description: Seconds within which the undoing has to be done. Not judged without it.
    type: float
  max_latency:
    description: Milliseconds. When the slowest percent of the answers of 5 seconds takes longer, the drill is ended.
    type: float
  expect_prediction:
    description: Whether failed requests and the time of the shift have to be as predicted.
    type: bool
    default: true
  accept:
    description:
      - Rules of the gate that may speak against it - V(lint), V(prediction), V(error_budget) and V(capacity). The
        others cannot be accepted.
    type: list
    elements: str
    default: []
  accept_manual_restore:
    description: Begin also when the fault would not end by itself.
    type: bool
    default: false
  dead_mans_switch:
    description: Seconds without a sign of life after which the target itself ends the fault.
    type: int
    default: 30
  max_pods:
    description: Refuse to lose more pods.
    type: int
    default: 20
  max_places:
    description: Refuse to lose pods of more localities.
    type: int
    default: 3
  spare_pods:
    description:
      - So many more endpoints of the place that would carry most could be lost while it lasts, and the others still
        carry the load (V(1) is N+1). Otherwise the outcome is V(CAPACITY_CHECK_FAILED).
    type: int
    default: 0
  allowed_namespaces:
    description: Namespaces that allow drills without the label.
    type: list
    elements: str
    default: []
  blocked_windows:
    description:
      - Times (UTC) at which no drill begins, each with C(days) (list of C(Mon) to C(Sun)), C(from) and C(to)
        (C("08:00")), C(first) and C(last) (C("2026-12-24")). What is left out does not restrict.
    type: list
    elements: dict
    default: []
  restore_timeout:
    description: Seconds until the undoing gives up, and again as long for the proof.
    type: int
    default: 180
  failback_timeout:
    description: Seconds to wait until the lost pods answer again; a client's C(baseEjectionTime) keeps them away.
    type: int
    default: 90
  title:
    description: What to call the drill.
    type: str
  lock_namespace:
    description: Namespace of the Lease that one drill of the mesh holds at a time.
    type: str
    default: istio-system
  control_plane_namespace:
    description: Namespace of istiod, for the prediction.
    type: str
    default: istio-system
  revision:
    description: Revision of the control plane, where there are several.
    type: str
  istio_version:
    description: Version of Istio to predict with. Default is istiod's own.
    type: str
  fault_path:
    description: Address at which the application takes faults, see the guide.
    type: str
    default: /fault
  fault_port:
    description: Port of that address. Default is the target port of the Service.
    type: int
  evidence:
    description: Folder in which a folder for this drill is made.
    type: path
  progress:
    description:
      - File to which each event is appended as a line of JSON while the drill runs. The action plugin gives one
        itself and shows its lines.
    type: path
notes:
  - Needs the rights that the guide lists (docs/drill.md).
seealso:
  - module: meshops.locality.failover_restore
  - module: meshops.locality.failover_drill_info
"""

EXAMPLES = r"""
- name: What would happen, and what would it cost
  meshops.locality.failover_drill: &drill
    namespace: sample
    service: helloworld
    scope: [subzone tianjin]
    clients: [{label_selector: 'app=sleep,location=tianjin'}]
    path: /hello
    evidence: drills
  check_mode: true

- name: Lose tianjin for 30 seconds, and prove that nobody notices
  meshops.locality.failover_drill: *drill
"""

RETURN = r"""
outcome:
  description:
    - V(SUCCEEDED), V(FAILED), V(INTERRUPTED) (cut short, so nothing is proven), V(CAPACITY_CHECK_FAILED),
      V(REFUSED), or V(PENDING) in check mode.
  returned: always
  type: str
reason:
  description: The outcome in a sentence or two.
  returned: always
  type: str
evidence:
  description: Files that were written.
  returned: always
  type: list
  elements: str
drill:
  description:
    - Everything that was decided, done and seen; schema C(meshops.locality/drill/v1).
  returned: always
  type: dict
"""

from ansible_collections.meshops.locality.plugins.module_utils._module_runner import run_module

CLIENT = ("namespace", "pod", "label_selector", "container")


def main() -> None:
    from ansible_collections.meshops.locality.plugins.module_utils._drill.faults import FAULTS
    from ansible_collections.meshops.locality.plugins.module_utils._module.failover_drill import failover_drill

    run_module(
        failover_drill,
        {
            "namespace": {"type": "str", "required": True},
            "service": {"type": "str", "required": True},
            "port": {"type": "int"},
            "scope": {"type": "list", "elements": "raw", "required": True},
            "cascade": {"type": "bool", "default": False},
            "fault": {"type": "str", "default": "drain_inbound", "choices": list(FAULTS)},
            "duration": {"type": "int", "default": 30},
            "lead": {"type": "int", "default": 5},
            "clients": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {name: {"type": "str"} for name in CLIENT},
            },
            "url": {"type": "str"},
            "path": {"type": "str", "default": "/"},
            "load": {"type": "str", "default": "probe", "choices": ["probe", "users", "injected"]},
            "probe_image": {"type": "str", "default": "curlimages/curl"},
            "rate": {"type": "float", "default": 10.0},
            "timeout": {"type": "float", "default": 5.0},
            "answer_pattern": {"type": "str", "default": r"instance: (?P<pod>[\w.-]+)"},
            "error_budget": {"type": "float", "default": 0.01},
            "bystander_error_budget": {"type": "float", "default": 0.01},
            "max_time_to_shift": {"type": "float"},
            "max_time_to_restore": {"type": "float"},
            "max_latency": {"type": "float"},
            "expect_prediction": {"type": "bool", "default": True},
            "accept": {"type": "list", "elements": "str", "default": []},
            "accept_manual_restore": {"type": "bool", "default": False},
            "dead_mans_switch": {"type": "int", "default": 30},
            "max_pods": {"type": "int", "default": 20},
            "max_places": {"type": "int", "default": 3},
            "spare_pods": {"type": "int", "default": 0},
            "allowed_namespaces": {"type": "list", "elements": "str", "default": []},
            "blocked_windows": {"type": "list", "elements": "dict", "default": []},
            "restore_timeout": {"type": "int", "default": 180},
            "failback_timeout": {"type": "int", "default": 90},
            "title": {"type": "str"},
            "lock_namespace": {"type": "str", "default": "istio-system"},
            "control_plane_namespace": {"type": "str", "default": "istio-system"},
            "revision": {"type": "str"},
            "istio_version": {"type": "str"},
            "fault_path": {"type": "str", "default": "/fault"},
            "fault_port": {"type": "int"},
            "evidence": {"type": "path"},
            "progress": {"type": "path"},
        },
    )


if __name__ == "__main__":
    main()
