# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a drill and its undoing need, tried before anything is touched.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import time
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.meshops.locality.plugins.module_utils._drill.faults import DrillFault
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import Target
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    ClusterError,
    Forbidden,
    InvalidInput,
    LocalityError,
    NotReady,
    Unauthorized,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_fault_in_envoy import listeners_stopped
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_fault_in_service import INBOUND
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_faults import (
    STEPS,
    Application,
    application_fault,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_target_state import (
    WORKLOADS,
    container_of,
    container_state,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_targets import ServicePods
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_timers import timer_usable
from ansible_collections.meshops.locality.plugins.module_utils._kube.exec import lacks_program, run
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import NODE, SERVICE
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import (
    Proxy,
    read_proxies,
    restart_back_off,
    starts_late,
)

# Ansible loads every module_utils file without third-party libraries; run_module says that they are missing.
with contextlib.suppress(ImportError):
    import yaml

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._drill.scope import Step
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster, Json

Params = t.Mapping[str, t.Any]

MAX_CLIENTS = 50
_THREE = 'for each in 1 2 3; do curl -gs -o /dev/null -m "$1" -w "%{http_code} " "$2"; done'


@dataclass(frozen=True)
class DrillClient:
    """Who asks: the pod, the container that has curl, and where it is."""

    proxy: Proxy
    container: str
    place: str


def clients_of(
    cluster: Cluster,
    behind: ServicePods,
    given: t.Sequence[Params],
    lost: t.Collection[str],
    lost_nodes: t.Collection[str] = (),
) -> list[DrillClient]:
    """Return the clients that the option names; every ready pod of a selector. `lost` are uids of the targets.

    Raises InvalidInput or NotReady, naming the pod and what it lacks.
    """
    clients: dict[str, DrillClient] = {}
    for index, entry in enumerate(given):
        if bool(entry.get("pod")) == bool(entry.get("label_selector")):
            raise InvalidInput(f"clients[{index}] needs exactly one of pod and label_selector.")
        namespace = entry.get("namespace") or behind.namespace
        proxies = read_proxies(
            cluster, namespace, [entry["pod"]] if entry.get("pod") else None, entry.get("label_selector")
        )
        stay = {proxy.uid for proxy in proxies if proxy.uid not in lost and proxy.node not in lost_nodes}
        usable = [proxy for proxy in proxies if not proxy.problem and proxy.ready and proxy.uid in stay]
        if not usable:
            why = proxies[0].problem or (
                "Its istio-proxy is not ready." if proxies[0].uid in stay else "It is in the scope of the drill."
            )
            raise NotReady(f"clients[{index}]: pod {proxies[0].where} cannot ask. {why}", do="Choose another client.")
        for proxy in usable:
            container = entry.get("container") or proxy.default_container
            if container not in proxy.containers:
                raise InvalidInput(
                    f"clients[{index}]: pod {proxy.where} has no container {container}.",
                    do=f"It has {', '.join(proxy.containers)}.",
                )
            clients[proxy.uid] = DrillClient(proxy, container, behind.client_place(proxy))
    if not 0 < len(clients) <= MAX_CLIENTS:
        raise InvalidInput(f"clients names {len(clients)} pods; 1 to {MAX_CLIENTS} can ask.", do="Choose fewer.")
    return list(clients.values())


def answers(cluster: Cluster, client: DrillClient, url: str, timeout: float, container: str = "") -> str:
    """Let a client ask three times and return what is wrong, '' for three good answers. `container`: another one of
    its pod than that which sends the drill's requests.

    Raises NotReady when it cannot ask at all.
    """
    command = ["sh", "-c", _THREE, "sh", f"{timeout:g}", url]
    proxy, container = client.proxy, container or client.container
    try:
        done = run(cluster, proxy.namespace, proxy.pod, container, command, seconds=3 * timeout + 15)
    except (Forbidden, Unauthorized):
        raise
    except ClusterError as error:
        if lacks_program(error):
            raise NotReady(
                f"Container {container} of {proxy.where} has no shell.", do="Name another one in clients."
            ) from error
        raise
    if "not found" in done.stderr:
        raise NotReady(f"Container {container} of {proxy.where} has no curl.", do="Name another one in clients.")
    codes = done.stdout.split()
    if len(codes) == 3 and all(code.isdigit() and 200 <= int(code) < 400 for code in codes):
        return ""
    return f"{proxy.where} asked {url} three times and got {', '.join(codes) or 'nothing'}."


def targets_of(
    steps: t.Sequence[Step], fault: DrillFault, behind: ServicePods, cluster: Cluster, drill: str
) -> list[Target]:
    """Return what the fault changes: the pods of the steps, or the workloads that they belong to; their nodes, too, the
    Service, or a NetworkPolicy or another Service that is named after the drill.

    Raises InvalidInput for a workload that cannot be scaled, or that has ready pods outside of the scope.
    """
    pods = [
        Target(
            pod.namespace, pod.name, pod.uid, "Pod", pod.address, pod.node, pod.place, pod.workload, index,
            restarts=pod.restarts, container=pod.container,
        )
        for index, step in enumerate(steps)
        for pod in step.pods
    ]  # fmt: skip
    if fault.acts_on == "process":
        return [_with_process(pod, behind) for pod in pods]
    if fault.acts_on == "node":
        return [*_nodes(cluster, pods), *pods]
    if fault.acts_on == "machine":
        return [*_machines(cluster, pods, behind), *pods]
    if fault.acts_on == "network":
        name = f"meshops-drill-{drill}"
        return [Target(behind.namespace, name, f"NetworkPolicy {name}", "NetworkPolicy"), *pods]
    if fault.acts_on == "service":
        name = f"meshops-drill-{drill}"
        inbound = Target(behind.namespace, name, f"Service {name}", INBOUND, part=behind.service)
        return [inbound, _service(cluster, behind), *(replace(pod, part=behind.service) for pod in pods)]
    if fault.acts_on != "workload":
        return pods
    chosen = {pod.uid for pod in pods}
    targets: dict[str, Target] = {}
    for pod in pods:
        kind, _slash, name = pod.workload.partition("/")
        if kind not in WORKLOADS:
            raise InvalidInput(f"Pod {pod.where} belongs to {pod.workload or 'nobody'}, which cannot be scaled to 0.")
        others = [
            candidate
            for candidate in behind.candidates
            if candidate.workload == pod.workload and candidate.uid not in chosen
        ]
        if others:
            raise InvalidInput(
                f"{pod.workload} has pods outside of the scope, which it would lose, too: {others[0].where}.",
                do="Choose the whole workload, or another fault.",
            )
        item = cluster.get(WORKLOADS[kind], name, pod.namespace)
        if item is None:
            raise InvalidInput(f"{pod.workload} of pod {pod.where} does not exist.")
        uid = item["metadata"]["uid"]
        targets.setdefault(
            uid,
            Target(
                pod.namespace, name, uid, kind, place=pod.place, workload=pod.workload, step=pod.step,
                replicas=int(item["spec"].get("replicas", 1)),
            ),
        )  # fmt: skip
    return list(targets.values())


def _with_process(target: Target, behind: ServicePods) -> Target:
    """Return a pod's target with the container whose processes are ended, as it is now."""
    pod = behind.pods[target.uid]
    part = Proxy.of(pod).default_container
    restarts = int(container_state(pod, part).get("restartCount") or 0)
    return replace(target, part=part, restarts=restarts, container=container_of(pod, part))


def _node_of_each(cluster: Cluster, pods: t.Sequence[Target]) -> t.Iterator[tuple[Json, Target]]:
    """Yield (node, its first pod) of each node of the pods. Raises InvalidInput for one that is gone."""
    first_by_node: dict[str, Target] = {}
    for pod in pods:
        first_by_node.setdefault(pod.node, pod)
    for name, first in first_by_node.items():
        node = cluster.get(NODE, name)
        if node is None:
            raise InvalidInput(f"Node {name} does not exist.")
        yield node, first


def _nodes(cluster: Cluster, pods: t.Sequence[Target]) -> list[Target]:
    """Return the nodes of the pods that take new pods now, each in the step of its first pod."""
    targets = []
    for node, first in _node_of_each(cluster, pods):
        if not node["spec"].get("unschedulable"):
            name = node["metadata"]["name"]
            targets.append(Target("", name, node["metadata"]["uid"], "Node", place=first.place, step=first.step))
    return targets


def _machines(cluster: Cluster, pods: t.Sequence[Target], behind: ServicePods) -> list[Target]:
    """Return the nodes of the pods, each in the step of its first pod, with the namespace that is drilled."""
    step = {pod.uid: pod.step for pod in pods}
    targets = []
    for node, first in _node_of_each(cluster, pods):
        name = node["metadata"]["name"]
        for candidate in behind.candidates:
            if candidate.node == name and step.get(candidate.uid) != first.step:
                raise InvalidInput(
                    f"Node {name} also runs {candidate.where}, which would be lost with it.",
                    do=f"Choose the scope 'node {name}', or another fault.",
                )
        uid = node["metadata"]["uid"]
        targets.append(Target("", name, uid, "Node", place=first.place, step=first.step, part=behind.namespace))
    return targets


def _service(cluster: Cluster, behind: ServicePods) -> Target:
    item = cluster.get(SERVICE, behind.service, behind.namespace)
    if item is None:
        raise InvalidInput(f"Service {behind.namespace}/{behind.service} does not exist.")
    return Target(behind.namespace, behind.service, item["metadata"]["uid"], "Service")


def check_targets(
    cluster: Cluster,
    fault: DrillFault,
    targets: t.Sequence[Target],
    behind: ServicePods,
    drill: str,
    seconds: float,
) -> list[Proxy]:
    """Ask every target what its undoing needs, for which there are `seconds`, and return the proxies of pods.

    Raises NotReady with everything that is in the way.
    """
    if fault.acts_on == "workload":
        return []
    proxies = [Proxy.of(behind.pods[target.uid]) for target in targets if target.kind == "Pod"]
    wrong = [text for text in cluster.map(lambda proxy: _obstacle(cluster, fault, proxy, seconds), proxies) if text]
    if fault.acts_on in STEPS:
        look = STEPS[fault.acts_on].obstacle
        wrong += [text for text in cluster.map(lambda target: look(cluster, target, drill), targets) if text]
    if fault.acts_on == "process":
        wrong += [text for target in targets if (text := _starts_late(behind.pods[target.uid], target, seconds))]
    if wrong:
        raise NotReady(
            f"{len(wrong)} of {len(targets)} targets cannot be drilled. {' '.join(wrong[:5])}",
            do="Nothing was touched. Put this right, or choose a smaller scope.",
        )
    return proxies


def _obstacle(cluster: Cluster, fault: DrillFault, proxy: Proxy, seconds: float) -> str:
    if fault.acts_on != "proxy":
        return "" if not proxy.address or proxy.ready else f"Pod {proxy.where}: its istio-proxy is not ready."
    if proxy.problem:
        return f"Pod {proxy.where}: {proxy.problem}"
    if not proxy.ready:
        return f"Pod {proxy.where}: its istio-proxy is not ready."
    why, do = proxy.not_undone(seconds, "restore_timeout")
    if why:
        return f"Pod {proxy.where}: {why} {do}"
    if proxy.drains_gracefully:
        return f"Pod {proxy.where} is being drained gracefully: run the playbook meshops.locality.restore first."
    try:
        if listeners_stopped(cluster, proxy):
            return f"Pod {proxy.where} is drained already: run the playbook meshops.locality.restore first."
    except (Forbidden, Unauthorized):
        raise
    except LocalityError as error:
        return str(error)
    return ""


def _starts_late(pod: Json, target: Target, seconds: float) -> str:
    state = container_state(pod, target.part)
    back_off = restart_back_off(state)
    if back_off <= seconds:
        return ""
    why, do = starts_late(target.part, int(state["restartCount"]), back_off, seconds, "restore_timeout")
    return f"Pod {target.where}: {why} {do}"


def check_application(cluster: Cluster, targets: t.Sequence[Target], way: Application) -> None:
    """See that every target offers the application's faults and has none. Raises NotReady."""
    for target, mode in zip(
        targets, cluster.map(lambda attacked: application_fault(cluster, attacked, way), targets), strict=True
    ):
        if mode != "none":
            raise NotReady(f"The application of {target.where} has the fault {mode} already.", do="End it first.")


def without_timer(cluster: Cluster, fault: DrillFault, proxies: t.Sequence[Proxy]) -> list[str]:
    """Return why the fault would not end by itself, one sentence each."""
    if fault.ends_itself and not fault.timer:
        return []
    if not fault.timer:
        return [f"{fault.name} does not end by itself when the drill is gone."]
    obstacles = cluster.map(lambda proxy: timer_usable(cluster, proxy), proxies)
    return [f"No dead-man's switch: {text}." for text in obstacles if text]


def credential_seconds(cluster: Cluster, kubeconfig: t.Any) -> float | None:
    """Return how long the bearer token is still valid; None for one that is renewed, says nothing, or is not used.

    `kubeconfig`: the option, a path or a dictionary. A token is renewed when a user in it has a plugin or a token file.
    """
    if _renews(kubeconfig):
        return None
    token = str(cluster.headers().get("authorization") or "").removeprefix("Bearer ")
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"]) - time.time()
    except (ValueError, KeyError, TypeError):
        return None


def _renews(kubeconfig: t.Any) -> bool:
    given = kubeconfig or os.environ.get("K8S_AUTH_KUBECONFIG") or os.environ.get("KUBECONFIG") or "~/.kube/config"
    kubeconfigs = [given]
    if isinstance(given, str):
        kubeconfigs = []
        for name in given.split(os.pathsep):
            file = Path(name).expanduser()
            if not file.is_file():
                continue  # A FIFO gave its content to who read it first.
            try:
                kubeconfigs.append(yaml.safe_load(file.read_text(encoding="utf-8")))
            except (OSError, ValueError, yaml.YAMLError):
                continue  # Not a file that can be read: then the token did not come from it.
    users = [
        entry.get("user") or {}
        for parsed in kubeconfigs
        if isinstance(parsed, dict)
        for entry in parsed.get("users") or ()
    ]
    return any({"exec", "auth-provider", "tokenFile"} & set(user) for user in users)
