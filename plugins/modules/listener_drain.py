#!/usr/bin/python
# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: listener_drain
short_description: Take a pod's sidecar off the network and bring it back without losing the pod
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - V(drained) sends C(POST /drain_listeners) to the pod's Envoy, which then accepts no connections. The application
    runs on.
  - A plain drain also closes the port of the readiness probe (15021), so after some failed probes the pod is not
    ready and istiod takes it out. With O(inbound_only) only the clients notice.
  - Up to Envoy 1.39 connections that are open go on being served. A client that keeps them open never notices the
    drain; C(maxRequestsPerConnection=1) in its DestinationRule makes it notice.
  - Proven by Envoy's counter C(listener_manager.listener_stopped), the only place where a drain shows.
  - V(restored) sends C(POST /quitquitquit), because Envoy cannot undo a drain. Kubelet starts the sidecar's container
    again in the same pod. Proven by the pod's UID, the restarts of all containers, readiness, and the counter being
    zero.
  - Who drains takes the lock of the mesh for a moment (the Lease C(meshops-drill) in O(lock_namespace)), so nothing is
    drained while a drill runs, and two who drain at the same time do not take all pods of a Service together.
  - Before a drain is sent it is written down in the annotation C(meshops.locality/listener-drain) of the pod, as JSON -
    C(by) (who, on which machine), C(at), C(restarts) (of the sidecar, so it is known which process), C(graceful), and
    C(sent) (Envoy has accepted a graceful one). A pod on which that cannot be written is not drained. V(restored) takes
    the annotation away, on whatever machine it runs; with O(annotated_pods) it needs no name of a pod.
  - What could not be undone is refused before anything is sent - a pod of a Job, a sidecar that is an ordinary
    container in a pod with another C(restartPolicy) than V(Always), and a sidecar that kubelet would start again only
    after O(wait_timeout).
  - V(restored) has patience. Whatever the API server answers meanwhile is tried again until O(wait_timeout), or for
    three times O(api_timeout) if that is longer, also credentials that were accepted before.
  - Kubelet pauses longer before each restart (10 seconds, 20 seconds, …) when they follow each other within 10 minutes.
  - Clients that have ejected the pod wait for their C(baseEjectionTime) nevertheless.
extends_documentation_fragment:
  - meshops.locality.auth
  - meshops.locality.api_timeout
  - meshops.locality.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  namespace:
    description:
      - Namespace of the pods. Exactly one of O(namespace) and O(all_namespaces) is needed.
    type: str
  all_namespaces:
    description:
      - Look at the pods of all namespaces. Only for O(state=restored).
    type: bool
    default: false
  pods:
    description:
      - Names of the pods. Exactly one of O(pods), O(label_selector), O(all_pods) and O(annotated_pods) is needed.
    type: list
    elements: str
  label_selector:
    description:
      - Label selector of the pods. An empty one selects nothing, and is refused.
    type: str
  all_pods:
    description:
      - Look at all pods of the namespace that have a sidecar, and restore those with stopped listeners. Others that are
        not ready are left alone, and RV(pods) says so. Only for O(state=restored).
    type: bool
    default: false
  annotated_pods:
    description:
      - Restore the pods that carry the annotation C(meshops.locality/listener-drain), whoever drained them from
        whatever machine. No other sidecar is asked. Only for O(state=restored).
    type: bool
    default: false
  lock_namespace:
    description:
      - Namespace of the Lease, the same as that of the drills of this mesh. Restoring does not need it.
    type: str
    default: istio-system
  state:
    description:
      - V(drained) or V(restored).
    type: str
    choices: [drained, restored]
    default: drained
  inbound_only:
    description:
      - Stop only the inbound listeners. The pod stays ready.
    type: bool
    default: false
  graceful:
    description:
      - Ask clients to leave first (C(connection=close), GOAWAY), and stop the listeners when the proxy's drain time
        is over (45 seconds by default under Istio). Give O(wait_timeout) longer than that to see it proven.
      - Envoy does not show a graceful drain that is not over. V(restored) knows of it by the annotation of the pod.
    type: bool
    default: false
  wait_timeout:
    description:
      - Seconds to wait until the counter shows the drain, or until the restored sidecar is ready. With O(verify_from)
        as long again until it answers.
    type: int
    default: 120
  allow_all:
    description:
      - Allow to drain every ready pod of a Service. Otherwise this is refused. Pods with stopped listeners do not count
        as ready, also when only those for inbound connections are stopped.
    type: bool
    default: false
  verify_from:
    description:
      - A client that verifies the state with requests to this very pod's address. Restored, it must get an answer
        with a status below 500; drained, it must not.
      - That the client exists, has C(curl) and knows a port is checked before anything is drained, but after everything
        is restored. A failure says in RV(pods) what has been done.
      - Under C(PeerAuthentication) in mode V(STRICT) such requests are refused in either state.
    type: dict
    suboptions:
      namespace:
        description: Namespace of the client. Default is O(namespace). Needed with O(all_namespaces).
        type: str
      pod:
        description: Name of the client.
        type: str
      label_selector:
        description: Label selector of the client; the first ready pod by name is used.
        type: str
      container:
        description:
          - Container that has C(curl). Default is the client's annotation C(kubectl.kubernetes.io/default-container),
            else its first container that is not C(istio-proxy).
        type: str
      port:
        description: Port to ask. Default is the first TCP port that the drained pod's applications declare.
        type: int
      path:
        description: Path to ask for.
        type: str
        default: /
seealso:
  - module: meshops.locality.traffic_probe
"""

EXAMPLES = r"""
- name: Drain tianjin as the tutorial does
  meshops.locality.listener_drain:
    namespace: sample
    label_selector: app=helloworld,version=tianjin

- name: Bring back whatever is drained in the namespace
  meshops.locality.listener_drain:
    namespace: sample
    all_pods: true
    state: restored

- name: Bring back whatever somebody drained, in all namespaces
  meshops.locality.listener_drain:
    all_namespaces: true
    annotated_pods: true
    state: restored

- name: Bring it back, and see a client reach it
  meshops.locality.listener_drain:
    namespace: sample
    label_selector: app=helloworld,version=tianjin
    state: restored
    verify_from:
      label_selector: app=sleep
      path: /hello
"""

RETURN = r"""
pods:
  description: One entry for each pod. Also returned when some pods failed.
  returned: when pods were found
  type: list
  elements: dict
  contains:
    pod:
      description: Name of the pod.
      type: str
    namespace:
      description: Namespace of the pod.
      type: str
    address:
      description: IP address of the pod.
      type: str
    sidecar:
      description: V(native) or V(classic).
      type: str
    changed:
      description: Whether this pod was changed, also when RV(pods[].error) is not empty.
      type: bool
    listeners_stopped:
      description:
        - Listeners the running Envoy has stopped, as last counted by itself. Null while that is not known, as when its
          Envoy could not be asked; RV(pods[].error) or RV(pods[].note) then says why.
      type: int
    restarts:
      description: How often C(istio-proxy) has been restarted since the pod was created.
      type: int
    seconds:
      description: How long it took until the state was seen.
      type: float
    verified:
      description: Whether traffic has shown the state. Null without O(verify_from).
      type: bool
    proof:
      description: What has been seen, in words.
      type: str
    note:
      description: What was unusual before, or why the pod was left alone.
      type: str
    error:
      description: Why the pod is not in the wanted state. Empty when it is.
      type: str
"""

from ansible_collections.meshops.locality.plugins.module_utils._module_runner import run_module


def main() -> None:
    from ansible_collections.meshops.locality.plugins.module_utils._module.listener_drain import listener_drain

    run_module(
        listener_drain,
        {
            "namespace": {"type": "str"},
            "all_namespaces": {"type": "bool", "default": False},
            "pods": {"type": "list", "elements": "str"},
            "label_selector": {"type": "str"},
            "all_pods": {"type": "bool", "default": False},
            "annotated_pods": {"type": "bool", "default": False},
            "lock_namespace": {"type": "str", "default": "istio-system"},
            "state": {"type": "str", "choices": ["drained", "restored"], "default": "drained"},
            "inbound_only": {"type": "bool", "default": False},
            "graceful": {"type": "bool", "default": False},
            "wait_timeout": {"type": "int", "default": 120},
            "allow_all": {"type": "bool", "default": False},
            "verify_from": {
                "type": "dict",
                "options": {
                    "namespace": {"type": "str"},
                    "pod": {"type": "str"},
                    "label_selector": {"type": "str"},
                    "container": {"type": "str"},
                    "port": {"type": "int"},
                    "path": {"type": "str", "default": "/"},
                },
            },
        },
        mutually_exclusive=[("pods", "label_selector"), ("pods", "all_namespaces")],
    )


if __name__ == "__main__":
    main()
