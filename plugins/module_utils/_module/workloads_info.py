# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of workloads: rolled out, injected, ready, or what is in the way.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._errors import NotFound, NotReady
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import pod_locality
from ansible_collections.meshops.locality.plugins.module_utils._kube.istiod_version import semantics_for
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import (
    DEPLOYMENT,
    DESTINATION_RULE,
    ENDPOINT_SLICE,
    EVENT,
    MUTATING_WEBHOOK,
    NAMESPACE,
    NODE,
    POD,
    REPLICA_SET,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.namespace_content import (
    Content,
    content,
    in_the_way,
    is_made_by_us,
    own_objects,
    read_wanted,
)
from ansible_collections.meshops.locality.plugins.module_utils._model import sidecar_injection
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.workload_problems import (
    deployment_problem,
    is_ready,
    pod_problem,
    rolled_out,
)
from ansible_collections.meshops.locality.plugins.module_utils._simulation.node_fit import (
    fitting_nodes,
    placement_obstacle,
)

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster, Json

POLL = 1.0


@dataclass(frozen=True)
class Surroundings:
    """What workloads depend on: their namespace (None: absent), the nodes, the injector's webhooks."""

    namespace: Json | None
    nodes: list[Json]
    webhooks: list[sidecar_injection.Webhook]

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the namespace."""
        return self.metadata.get("labels") or {}

    @property
    def metadata(self) -> Json:
        """The metadata of the namespace, {} without one."""
        return (self.namespace or {}).get("metadata") or {}

    @property
    def phase(self) -> str:
        """Active, Terminating or absent."""
        if self.namespace is None:
            return "absent"
        return t.cast(str, (self.namespace.get("status") or {}).get("phase", "Active"))


def workloads_info(cluster: Cluster, params: t.Mapping[str, t.Any], module: AnsibleModule) -> Json:
    """Body of the module workloads_info; see its documentation for the options and the result."""
    namespace: str = params["namespace"]
    wanted = read_wanted(params["wanted"] or [])
    around = Surroundings(
        cluster.get(NAMESPACE, namespace),
        cluster.list(NODE),
        sidecar_injection.injectors(cluster.list(MUTATING_WEBHOOK)),
    )
    obstacles, locations = _obstacles(cluster, around, params)
    own: list[Json] = []
    others = Content([], [])
    if params["part_of"] and around.namespace is not None:
        obstacles += in_the_way(cluster, namespace, params["part_of"], wanted)
        own = own_objects(cluster, namespace, params["part_of"])
    ours = around.namespace is not None and is_made_by_us(around.namespace)
    if params["look_for_others"] and ours:
        others = content(cluster, namespace)
    end = time.monotonic() + (params["wait_timeout"] if params["wait"] else 0)
    while True:
        workloads, note = _workloads(cluster, around, params)
        problems = obstacles + [problem for workload in workloads for problem in _sentences(workload)]
        if around.namespace is None and (params["wait"] or params["deployments"]):
            problems.insert(0, f"The namespace {namespace} does not exist.")
        ready = not problems and all(workload["ready"] for workload in workloads)
        # A pod without a sidecar never gets one, and obstacles do not go away by waiting.
        hopeless = bool(obstacles) or around.namespace is None or any(w["uninjected"] for w in workloads)
        if ready or hopeless or time.monotonic() >= end:
            break
        time.sleep(POLL)
    injected = (
        "" if not params["require_injection"] else sidecar_injection.injection_obstacle(around.webhooks, around.labels)
    )
    for workload in workloads:
        del workload["uninjected"]
    if note:
        module.warn(note)
    result: Json = {
        "changed": False,
        "namespace": {
            "name": namespace,
            "phase": around.phase,
            "labels": around.labels,
            "annotations": around.metadata.get("annotations") or {},
            "uid": str(around.metadata.get("uid") or ""),
            "ours": ours,
        },
        "own": own,
        "others": others.others,
        "others_unseen": others.unseen,
        "mesh": {
            "installed": bool(around.webhooks) or _knows_istio(cluster),
            "injectors": [
                {"name": name, "revision": revision}
                for name, revision in sorted({(w.configuration, w.revision) for w in around.webhooks})
            ],
        },
        "injection": {
            "enabled": sidecar_injection.injector_for(around.webhooks, around.labels, {}) is not None,
            "problem": injected,
        },
        "locations": locations,
        "workloads": workloads,
        "obstacles": obstacles,
        "problems": problems,
        "ready": ready,
    }
    if params["wait"] and not ready:
        waited = "No use in waiting" if hopeless else f"Not ready after {params['wait_timeout']} s"
        raise NotReady(f"{waited} for the workloads of namespace {namespace}: {' '.join(problems)}", **result)
    return result


def _obstacles(cluster: Cluster, around: Surroundings, params: t.Mapping[str, t.Any]) -> tuple[list[str], list[Json]]:
    """Return what would keep workloads from being deployed, and the nodes of every location asked for."""
    obstacles = []
    if around.phase == "Terminating":
        obstacles.append(
            f"The namespace {params['namespace']} is being deleted (Terminating). Wait until it is gone, or find out "
            "what holds it: kubectl get namespace -o yaml shows its finalizers and conditions."
        )
    if params["require_injection"]:
        wanted = sidecar_injection.wanted_labels(around.labels, params["revision"])
        why = sidecar_injection.injection_obstacle(around.webhooks, wanted)
        if why and not around.webhooks:
            why += (
                " Istio is installed, but without automatic injection: install it with sidecar injector."
                if _knows_istio(cluster)
                else " Istio is not installed in this cluster: install it first (istioctl install)."
            )
        if why:
            obstacles.append(why)
        elif webhook := sidecar_injection.injector_for(around.webhooks, wanted, {}):
            obstacles += _dead_injector(cluster, webhook)
    locations = []
    for name in params["locations"] or []:
        spec = {"nodeSelector": {params["location_label"]: name}, "tolerations": params["tolerations"] or []}
        problem = placement_obstacle(spec, around.nodes)
        locations.append({"name": name, "nodes": fitting_nodes(spec, around.nodes), "problem": problem})
        if problem:
            obstacles.append(f"Location {name} has no node. {problem}")
    return obstacles, locations


def _dead_injector(cluster: Cluster, webhook: sidecar_injection.Webhook) -> list[str]:
    if not webhook.service:
        return []
    namespace, name = webhook.service
    slices = cluster.list(ENDPOINT_SLICE, namespace, labels=f"kubernetes.io/service-name={name}")
    endpoints = [endpoint for item in slices for endpoint in item.get("endpoints") or []]
    # An unknown readiness counts as ready (API reference, EndpointConditions).
    if any((endpoint.get("conditions") or {}).get("ready") is not False for endpoint in endpoints):
        return []
    problem = (
        f"The injector {webhook.configuration} does not work: its Service {namespace}/{name} has no ready endpoint."
    )
    return [f"{problem} Look at istiod: kubectl -n {namespace} get pods."]


def _knows_istio(cluster: Cluster) -> bool:
    try:
        cluster.discovery(f"/apis/{DESTINATION_RULE.api_version}")
    except NotFound:
        return False
    return True


def _workloads(cluster: Cluster, around: Surroundings, params: t.Mapping[str, t.Any]) -> tuple[list[Json], str]:
    """Return the workloads, and what had to be assumed about their places ('' for nothing)."""
    if around.namespace is None:
        return [], ""
    namespace = params["namespace"]
    deployments = {item["metadata"]["name"]: item for item in cluster.list(DEPLOYMENT, namespace)}
    # Pods belong to ReplicaSets, and these to Deployments.
    owner = {item["metadata"]["uid"]: _owner(item) for item in cluster.list(REPLICA_SET, namespace)}
    pods: dict[str, list[Json]] = {}
    for pod in cluster.list(POD, namespace):
        if not pod["metadata"].get("deletionTimestamp"):
            pods.setdefault(owner.get(_owner(pod), ""), []).append(pod)
    semantics, note = semantics_for(cluster, [pod for of_workload in pods.values() for pod in of_workload])
    names = sorted(deployments) if params["deployments"] is None else params["deployments"]
    unready = any(not is_ready(pod) for owned in pods.values() for pod in owned)
    warnings = _warnings(cluster, namespace) if unready else {}
    nodes = {node["metadata"]["name"]: node["metadata"].get("labels") or {} for node in around.nodes}
    result = []
    for name in names:
        deployment = deployments.get(name)
        if deployment is None:
            gone = {"name": name, "desired": 0, "ready": False, "injected": 0, "ready_replicas": 0, "pods": []}
            gone |= {"problem": f"There is no Deployment {name} in namespace {namespace}.", "uninjected": False}
            result.append(gone)
            continue
        rows = []
        for pod in sorted(pods.get(deployment["metadata"]["uid"], []), key=lambda pod: pod["metadata"]["name"]):
            metadata, spec = pod["metadata"], pod["spec"]
            problem = pod_problem(
                pod, lambda spec: placement_obstacle(spec, around.nodes), warnings.get(metadata["uid"], "")
            )
            injected = sidecar_injection.proxy_container(spec) is not None
            if params["require_injection"] and not injected:
                problem = sidecar_injection.missing_sidecar(pod, around.webhooks, around.labels)
            node = spec.get("nodeName", "")
            rows.append(
                {
                    "name": metadata["name"],
                    "node": node,
                    "locality": str(
                        Locality.parse(pod_locality(metadata.get("labels") or {}, nodes.get(node), semantics))
                    ),
                    "address": (pod.get("status") or {}).get("podIP", ""),
                    "ready": is_ready(pod),
                    "injected": injected,
                    "problem": problem,
                }
            )
        complete = rolled_out(deployment)
        problem = deployment_problem(deployment)
        if not complete and not problem and not any(pod["problem"] for pod in rows):
            problem = "The rollout is not complete yet."
        uninjected = params["require_injection"] and any(pod["ready"] and not pod["injected"] for pod in rows)
        result.append(
            {
                "name": name,
                "desired": deployment["spec"].get("replicas", 1),
                "ready": complete and not any(pod["problem"] for pod in rows),
                "ready_replicas": (deployment.get("status") or {}).get("readyReplicas") or 0,
                "injected": sum(pod["injected"] for pod in rows),
                "problem": problem,
                "pods": rows,
                # During a rollout the pods of the old template may lack one.
                "uninjected": uninjected and complete,
            }
        )
    return result, note


def _owner(item: Json) -> str:
    owners = item["metadata"].get("ownerReferences") or []
    return next((owner["uid"] for owner in owners if owner.get("controller")), "")


def _warnings(cluster: Cluster, namespace: str) -> dict[str, str]:
    """Return the newest warning per pod (by uid)."""
    events = cluster.list(EVENT, namespace, fields="type=Warning,involvedObject.kind=Pod")
    events.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    return {event["involvedObject"].get("uid", ""): event.get("message", "") for event in events}


def _sentences(workload: Json) -> list[str]:
    sentences = [f"Deployment {workload['name']}: {workload['problem']}"] if workload["problem"] else []
    return sentences + [f"Pod {pod['name']}: {pod['problem']}" for pod in workload["pods"] if pod["problem"]]
