# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests without pods: the pods they would have, on nodes that fit, and the endpoints of the Services in front.

Everything that is put in is reported as a sentence. Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import itertools
import re
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._model import kubernetes_objects
from ansible_collections.meshops.locality.plugins.module_utils._model.assumptions import Assumption, assumption
from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import Reading, labels_of, name_of
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_objects import Object
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import (
    HOSTNAME_LABEL,
    PLACE_LABELS,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.name_lists import first_names
from ansible_collections.meshops.locality.plugins.module_utils._model.problems import Problem, problem
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Json, Pod
from ansible_collections.meshops.locality.plugins.module_utils._simulation.node_fit import placement_obstacle
from ansible_collections.meshops.locality.plugins.module_utils._simulation.scheduler import (
    Load,
    Wish,
    spread,
    wish,
)
from ansible_collections.meshops.locality.plugins.module_utils._simulation.workload_pods import (
    Selectable,
    Template,
    pod_of,
    slices_of,
)

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
#: More pods than this are not put in for manifests.
MOST = 20_000
#: More objects than this are counted, not named.
NAMED = 8
#: Documentation addresses (RFC 3849): nobody takes them for real ones.
_ADDRESSES = ipaddress.IPv6Address("2001:db8::")
#: Labels that kubelet sets on every node and that nobody writes by hand.
_KUBELET = ("kubernetes.io/os", "kubernetes.io/arch", HOSTNAME_LABEL)
#: Source: Kubernetes pkg/controller/daemon/util, AddOrUpdateDaemonPodTolerations.
_DAEMON_TOLERATIONS = tuple(
    {"key": f"node.kubernetes.io/{name}", "operator": "Exists"}
    for name in ("not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")
)


@dataclass
class Placed:
    """What was put in: pods (with the annotation meshops.locality/assumed), invented nodes, EndpointSlices."""

    objects: list[Json] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    assumptions: list[Assumption] = field(default_factory=list)


def place(given: t.Sequence[t.Any], objects: t.Iterable[t.Any]) -> Placed:
    """Return pods and EndpointSlices for those workloads, Pods and Services of `given` that have none.

    `given` are the objects of manifests, `objects` all there are (of two with one name the later is taken). Raises
    InvalidInput when the manifests ask for more than 20,000 pods.
    """
    if not any(_kind(item) in (*WORKLOADS, "Pod", "Service") for item in given):
        return Placed()
    return _Placement(given, objects).run()


def _kind(item: t.Any) -> str:
    kind = item.get("kind") if isinstance(item, t.Mapping) else None
    return kind if isinstance(kind, str) else ""


def _key(item: Object) -> tuple[str, str]:
    metadata = item.get("metadata")
    metadata = metadata if isinstance(metadata, t.Mapping) else {}
    namespace, name = metadata.get("namespace"), metadata.get("name")
    return (namespace if isinstance(namespace, str) else "", name if isinstance(name, str) else "")


class _Job(t.NamedTuple):
    """A workload or bare Pod of the manifests whose pods are to be put in; `replicas` is None for a DaemonSet."""

    where: str
    template: Template
    wish: Wish
    replicas: int | None


class _Placement:
    def __init__(self, given: t.Sequence[t.Any], objects: t.Iterable[t.Any]) -> None:
        self._result = Placed()
        self._by_kind: dict[str, dict[tuple[str, str], Object]] = {}
        for item in objects:
            if (kind := _kind(item)) and _key(item)[1]:
                self._by_kind.setdefault(kind, {})[_key(item)] = item
        self._given = {(_kind(item), *_key(item)) for item in given if _kind(item) and _key(item)[1]}
        self._nodes = [_node(name, item) for (_none, name), item in sorted(self._of("Node").items())]
        self._namespaces = {name: labels_of(item) for (_none, name), item in self._of("Namespace").items()}
        self._pods: dict[tuple[str, str], Pod] = {}
        for key, item in self._of("Pod").items():
            if not kubernetes_objects.ended(item):
                self._pods[key] = kubernetes_objects.pod(item, Reading.silent())
        taken = {address for pod in self._pods.values() for address in pod.addresses}
        self._addresses = (ip for number in itertools.count(1) if (ip := str(_ADDRESSES + number)) not in taken)
        self._load = Load()

    def _of(self, kind: str) -> dict[tuple[str, str], Object]:
        return self._by_kind.get(kind, {})

    def run(self) -> Placed:
        jobs = [*self._workloads(), *self._bare_pods()]
        bare = {(job.template.namespace, job.template.name) for job in jobs if not job.template.kind}
        for key, pod in self._pods.items():
            if pod.node and key not in bare:
                self._load.add(pod.namespace, pod.labels, pod.node)
        if any(label in repr(job.template.spec) for job in jobs for label in _KUBELET):
            self._result.assumptions.append(assumption("default-node-platform"))
        total = sum(len(self._nodes) if job.replicas is None else job.replicas for job in jobs)
        if total > MOST:
            raise InvalidInput(
                f"The manifests ask for {total} pods; {MOST} at most are put in for manifests.",
                do="Lower spec.replicas, or give fewer of the workloads.",
            )
        # A pod that wants to be with others comes after them.
        jobs.sort(key=lambda job: bool(job.wish.together))
        pods = [pod for job in jobs for pod in self._place(job)]
        self._result.objects += pods
        self._expose(pods)
        self._tell(jobs, pods)
        return self._result

    def _workloads(self) -> list[_Job]:
        """Return the workloads of the manifests that have no pods, in the order of their names."""
        owners = {(pod.namespace, pod.workload) for pod in self._pods.values() if pod.workload}
        elsewhere = {
            (pod.namespace, pod.workload)
            for key, pod in self._pods.items()
            if pod.workload and ("Pod", *key) not in self._given
        }
        limits = [
            kubernetes_objects.scaling(autoscaler, Reading.silent())
            for autoscaler in self._of("HorizontalPodAutoscaler").values()
        ]
        jobs, staying = [], []
        for kind in WORKLOADS:
            for key, item in sorted(self._of(kind).items()):
                owner = (key[0], f"{kind}/{key[1]}")
                if (kind, *key) not in self._given:
                    continue
                if owner in elsewhere:
                    staying.append(name_of(item, 0))
                elif owner not in owners:
                    jobs.append(self._job(kind, key, item, limits))
        if staying:
            self._result.assumptions.append(assumption("pods-in-cluster-stay", objects=_listed(staying)))
        return jobs

    def _job(
        self, kind: str, key: tuple[str, str], item: Object, limits: t.Sequence[kubernetes_objects.Scaling]
    ) -> _Job:
        where = name_of(item, 0)
        silent = Reading.silent()
        spec = silent.mapping(item.get("spec"), "")
        template = silent.mapping(spec.get("template"), "")
        metadata = silent.mapping(template.get("metadata"), "")
        inner = silent.mapping(template.get("spec"), "")
        labels = silent.labels(metadata.get("labels"), "")
        workload_template = Template(
            key[0], kind, key[1], labels, silent.labels(metadata.get("annotations"), ""), inner
        )
        replicas: int | None = max(silent.number(spec.get("replicas"), "", 1), 0)
        for autoscaler in (
            limit for limit in limits if (limit.namespace, limit.workload) == (key[0], f"{kind}/{key[1]}")
        ):
            replicas = min(max(replicas or 0, autoscaler.minimum), max(autoscaler.maximum, autoscaler.minimum))
            self._result.assumptions.append(assumption("replicas-of-autoscaler", object=where, replicas=replicas))
        wanted = wish(inner, key[0], labels, _Below(where, "spec.template.spec", self._result.problems))
        if kind == "DaemonSet":
            tolerations = [*wanted.spec["tolerations"], *_DAEMON_TOLERATIONS]
            wanted = dataclasses.replace(wanted, spec={**wanted.spec, "tolerations": tolerations}, even=())
            replicas = None
        return _Job(where, workload_template, wanted, replicas)

    def _bare_pods(self) -> list[_Job]:
        """Return the Pods of the manifests that run nowhere yet."""
        jobs = []
        for key, item in sorted(self._of("Pod").items()):
            pod = self._pods.get(key)
            if pod is None or ("Pod", *key) not in self._given or pod.addresses:
                continue
            silent = Reading.silent()
            metadata, spec = silent.mapping(item.get("metadata"), ""), silent.mapping(item.get("spec"), "")
            if metadata.get("ownerReferences"):
                continue  # the dump of a pod that waits for its node
            annotations = silent.labels(metadata.get("annotations"), "")
            pod_template = Template(key[0], "", key[1], pod.labels, annotations, spec)
            where = name_of(item, 0)
            jobs.append(
                _Job(
                    where, pod_template, wish(spec, key[0], pod.labels, _Below(where, "spec", self._result.problems)), 1
                )
            )
        return jobs

    def _place(self, job: _Job) -> list[Json]:
        """Return the pods of one job."""
        nodes = self._nodes or self._invented(job)
        if not nodes:
            names = [""] * (job.replicas or 0)
        elif not self._nodes:
            # An invented node stands for a place, so nothing keeps pods apart on it.
            names = spread(job.replicas or len(nodes), _without_hosts(job.wish), nodes, self._load)
            names += [""] * ((job.replicas or 0) - len(names))
        elif job.replicas is None:
            names = [name for node in nodes for name in spread(1, job.wish, [node], self._load)]
        else:
            names = spread(job.replicas, job.wish, nodes, self._load)
        if self._nodes and job.replicas and len(names) < job.replicas:
            why = placement_obstacle(job.wish.spec, nodes) or "Its affinities or spreading constraints leave no node."
            missing = job.replicas - len(names)
            self._result.problems.append(
                problem("no-node-for-replicas", job.where, missing=missing, replicas=job.replicas, why=why)
            )
        labels = self._namespaces.get(job.template.namespace, {})
        return [
            pod_of(job.template, self._name(job.template, number), node, next(self._addresses), labels)
            for number, node in enumerate(names)
        ]

    def _name(self, template: Template, number: int) -> str:
        if not template.kind:
            return template.name
        return f"{template.name}-{number}" if template.kind == "StatefulSet" else f"{template.name}-assumed-{number}"

    def _invented(self, job: _Job) -> list[Json]:
        """Return nodes with exactly the labels a workload asks for, when among them is one of a place."""
        invented = []
        for labels in _required_labels(job.wish.spec):
            if not any(name in labels for name in PLACE_LABELS):
                continue
            name = labels.get(HOSTNAME_LABEL) or re.sub(
                r"[^A-Za-z0-9.-]+", "-", "-".join(("assumed", *labels.values()))
            )
            node: Json = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
            invented.append(node)
            if node not in self._result.objects:
                self._result.objects.append(node)
        return invented

    def _expose(self, new_pods: list[Json]) -> None:
        """Add EndpointSlices for the pods that were made, and for all pods behind Services that have no slice yet."""
        new: dict[str, list[Selectable]] = {}
        for pod in new_pods:
            namespace, name = _key(pod)
            selectable = Selectable(
                namespace, name, pod["metadata"]["labels"], pod["status"]["podIP"], True, pod["spec"]
            )
            new.setdefault(namespace, []).append(selectable)
        old: dict[str, list[Selectable]] = {}
        for key, there in self._pods.items():
            item = self._of("Pod")[key]
            metadata = Reading.silent().mapping(item.get("metadata"), "")
            if there.addresses and not metadata.get("deletionTimestamp"):
                spec = Reading.silent().mapping(item.get("spec"), "")
                selectable = Selectable(key[0], key[1], there.labels, there.addresses[0], there.ready, spec)
                old.setdefault(key[0], []).append(selectable)
        sliced = Counter(kubernetes_objects.slice_service(item) for item in self._of("EndpointSlice").values())
        for key, service in sorted(self._of("Service").items()):
            pods = list(new.get(key[0], ()))
            if ("Service", *key) in self._given and key not in sliced:
                pods += old.get(key[0], ())
            self._result.objects += slices_of(service, pods, sliced[key])

    def _tell(self, jobs: t.Sequence[_Job], pods: t.Sequence[Json]) -> None:
        assumptions = self._result.assumptions
        if pods:
            objects = _listed([job.where for job in jobs])
            assumptions.append(assumption("pods-of-manifests", count=len(pods), objects=objects))
        unknown = sorted({job.template.namespace for job in jobs} - set(self._namespaces))
        if unknown:
            assumptions.append(assumption("namespaces-without-labels", namespaces=_listed(unknown)))
        if pods and not self._nodes:
            assumptions.append(assumption("no-nodes"))


class _Below(Reading):
    """Notes problems with fields below some path."""

    def __init__(self, where: str, base: str, problems: list[Problem]) -> None:
        super().__init__(where, problems)
        self._base = base

    def wrong(self, path: str, code: str, **parameters: object) -> None:
        super().wrong(f"{self._base}.{path}", code, **parameters)


def _node(name: str, item: Object) -> Json:
    """Return a node as node_fit.py wants it, with the taints that its state brings."""
    silent = Reading.silent()
    spec, status = silent.mapping(item.get("spec"), ""), silent.mapping(item.get("status"), "")
    taints = []
    for _path, taint in silent.mappings(spec.get("taints"), ""):
        key, effect, value = taint.get("key"), taint.get("effect"), taint.get("value")
        if isinstance(key, str) and isinstance(effect, str):
            taints.append({"key": key, "effect": effect, "value": value if isinstance(value, str) else ""})
    ready = [
        condition.get("status")
        for _path, condition in silent.mappings(status.get("conditions"), "")
        if condition.get("type") == "Ready"
    ]
    for state, present in (
        ("unschedulable", spec.get("unschedulable") is True),
        ("not-ready", ready and ready[-1] != "True"),
    ):
        key = f"node.kubernetes.io/{state}"
        if present and not any(taint["key"] == key for taint in taints):
            taints.append({"key": key, "effect": "NoSchedule", "value": ""})
    # What kubelet sets on every node (kubernetes 1.35 pkg/kubelet/kubelet_node_status.go, initialNode) stands on none
    # that is written by hand.
    labels = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", HOSTNAME_LABEL: name, **labels_of(item)}
    return {"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}}


def _required_labels(spec: Json) -> list[dict[str, str]]:
    """Return the sets of labels that a nodeSelector and each term of the required affinity ask for, at most 64."""
    fixed = dict(spec["nodeSelector"])
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    requested: list[dict[str, str]] = []
    for term in required.get("nodeSelectorTerms") or [{}]:
        wanted = [
            [(expression["key"], value) for value in (expression["values"] if expression["operator"] == "In" else [""])]
            for expression in term.get("matchExpressions") or ()
            if expression["operator"] == "Exists" or (expression["operator"] == "In" and expression["values"])
        ]
        for choice in itertools.islice(itertools.product(*wanted), 64):
            labels = {**dict(choice), **fixed}
            if labels not in requested and all(fixed.get(key, value) == value for key, value in choice):
                requested.append(labels)
    return requested[:64]


def _without_hosts(wish: Wish) -> Wish:
    return dataclasses.replace(
        wish,
        even=tuple(constraint for constraint in wish.even if constraint.term.key != HOSTNAME_LABEL),
        apart=tuple(term for term in wish.apart if term.key != HOSTNAME_LABEL),
        together=tuple(term for term in wish.together if term.key != HOSTNAME_LABEL),
    )


def _listed(names: t.Sequence[str]) -> str:
    return first_names(names, NAMED)
