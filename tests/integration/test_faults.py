# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults at every single request of every operation that writes, and SIGKILL: what the cluster is afterwards.

Kinds of faults: PASSING of fault_proxy.py, an API server that is silent, and SIGKILL of the module, before the server
has done what it was asked and after.

First an operation runs through the proxy without faults: that is its list of requests, and what the cluster shall be in
the end. Then, for each of its requests and each kind of fault, the cluster is put back to the beginning, the operation
runs with that one fault, runs again without any, and the objects are compared whole. A playbook runs again only when
its first run did not leave the cluster as it shall be: it takes long, and patience has to be enough.

`make integration` takes a sample that includes every operation and every kind of fault; with MESHOPS_FAULTS=all
(`make faults`) every request meets every fault. MESHOPS_FAULTS_PART=2/6 takes the second of six parts of the kinds: the
runs of the deployment are long, and several processes play it at once. Both print the counts. Whole drills meet faults
in `make soak`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import typing as t
import uuid
from pathlib import Path

import pytest
import yaml

from ansible_collections.meshops.locality.plugins.module_utils._drill import journal
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import INJECTED, JournalRecord, Target
from tests import module_process
from tests.conftest import BIN, ansible_environment

from .fault_proxy import PASSING, Fault, FaultProxy
from .mesh import CLIENT, SERVER, deployment, pod_template

Json = dict[str, t.Any]

MANAGED, OURS = "app.kubernetes.io/managed-by", "meshops.locality"

#: Kind of fault → how the proxy does it. Of every kind one: the request after it goes through.
KINDS: dict[str, Json] = {**PASSING, "silent": {}, "SIGKILL before": {}, "SIGKILL after": {}}
KILLS = {"SIGKILL before", "SIGKILL after"}
#: Nothing comes, longer than a request waits; it waits less than a user's would, but not in a playbook.
WAITS, WAITS_IN_A_PLAYBOOK = 3, 30
#: Without a kill, patience alone has to be enough: the first run ends well.
SURVIVED = set(KINDS) - KILLS
_SEED = int(os.environ.get("MESHOPS_FAULTS_SEED", "1"))
_ALL = os.environ.get("MESHOPS_FAULTS") == "all"
_PART, _PARTS = (int(number) for number in os.environ.get("MESHOPS_FAULTS_PART", "1/1").split("/"))
#: How many kinds of faults each operation of the sample meets; three operations in a row meet all of them.
_SAMPLE = 5
#: How many faults an operation that takes long meets in the sample.
_FEW = 2
#: What a playbook reads again and again while it waits for pods.
ASKED_AGAIN = re.compile(r"/(deployments|replicasets|pods|events)\?limit=\d+(&fieldSelector=[^&]*)?$")


@dataclasses.dataclass(frozen=True)
class Operation:
    """A module with its options, and what has to be there before."""

    name: str
    module: str
    options: Json
    #: Runs of the same module that come first, for an operation that takes something back.
    before: tuple[Json, ...] = ()
    #: kubectl's arguments that list what the operation deletes, as workloads_info would have seen it.
    deletes: tuple[str, ...] = ()
    given: tuple[Json, ...] = ()
    #: Whether each run takes many seconds.
    slow: bool = False


def rule(namespace: str) -> Json:
    """A DestinationRule of somebody else."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "faults", "namespace": namespace, "labels": {"theirs": "1"}},
        "spec": {
            "host": "faults",
            "trafficPolicy": {"tls": {"mode": "DISABLE"}, "outlierDetection": {"interval": "9s"}},
        },
    }


class Bench:
    """The cluster, the proxy and the module process."""

    def __init__(self, kubeconfig: Path, kubectl: t.Any, tmp_path: Path, proxy: FaultProxy) -> None:
        self.kubectl = kubectl
        self.proxy = proxy
        self.home = tmp_path
        self.namespace = f"faults-{uuid.uuid4().hex[:8]}"
        self.deployed = f"{self.namespace}-deployed"
        self.nodes = [f"{self.namespace}-{number}" for number in range(2)]
        kubectl("create", "namespace", self.namespace)
        nodes = kubectl("get", "nodes", "-o", "json")["items"]
        self.worker = next(node["metadata"]["name"] for node in nodes if not node["spec"].get("taints"))

    def close(self) -> None:
        self.kubectl("delete", "namespace", self.namespace, self.deployed, "--wait=false", "--ignore-not-found")
        self.kubectl("delete", "node", "-l", f"faults={self.namespace}", "--wait=false")
        self.kubectl("label", "node", self.worker, f"{self.namespace}/place-")

    def operations(self) -> list[Operation]:
        """What this collection writes, each with its way back."""
        policy = {
            "namespace": self.namespace,
            "service_host": "faults",
            "failover": [{"from": "a", "to": "b"}],
            "outlier_detection": {"consecutive_5xx_errors": 1, "interval": "1s"},
            "retry_remote_localities": True,
            "force_conflicts": True,
        }
        labels = {"nodes": {name: {"region": "r", "zone": "z", "subzone": name[-1]} for name in self.nodes}}
        options = {**labels, "notify_istiod": True, "notify_namespaces": [self.namespace]}
        theirs = rule(self.namespace)
        return [
            Operation("policy", "failover_policy", policy),
            Operation("policy over another", "failover_policy", policy, given=(theirs,)),
            Operation(
                "policy taken back",
                "failover_policy",
                {**policy, "state": "absent"},
                before=(policy,),
            ),
            Operation(
                "rule put back",
                "failover_policy",
                {**policy, "state": "previous"},
                before=(policy,),
                given=(theirs,),
            ),
            Operation("labels", "node_topology", options),
            Operation(
                "labels taken back",
                "node_topology",
                {**options, "state": "previous"},
                before=(options,),
            ),
            *self._drains(),
            *self._namespace_labels(),
            Operation(
                "report published",
                "cluster_object",
                {
                    "kind": "ConfigMap",
                    "namespace": self.namespace,
                    "name": "reports",
                    "state": "present",
                    "data": {"report.txt": "x"},
                },
            ),
            Operation(
                "drill restored",
                "failover_restore",
                {"namespaces": [self.namespace], "lock_namespace": self.namespace},
                slow=True,
            ),
            Operation(
                "workloads written",
                "workloads",
                {"definitions": self._written()},
            ),
            Operation(
                "workloads deleted",
                "workloads",
                {"state": "absent", "namespace": self.deployed},
                before=({"definitions": self._written()},),
                deletes=("deployments,services,serviceaccounts", "-n", self.deployed, "-l", f"{MANAGED}={OURS}"),
            ),
            Operation(
                "namespace deleted",
                "workloads",
                {"state": "absent"},
                before=({"definitions": self._written()},),
                deletes=("namespaces", "--field-selector", f"metadata.name={self.deployed}"),
            ),
            Operation(
                "workloads deployed",
                "deploy",
                {
                    "workloads_namespace": self.deployed,
                    "workloads_location_label": f"{self.namespace}/place",
                    "workloads_locations": ["here"],
                    "workloads_clients": ["here"],
                },
                slow=True,
            ),
        ]

    def _written(self) -> list[Json]:
        """Return what the role workloads writes with its module, without pods."""

        def made(api_version: str, kind: str, name: str, **content: t.Any) -> Json:
            metadata = {"name": name, "labels": {MANAGED: OURS, "app": "web"}}
            if kind != "Namespace":
                metadata["namespace"] = self.deployed
            return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}

        web = {**deployment("web", {"app": "web"}, pod_template({"app": "web"}, SERVER))["spec"], "replicas": 0}
        ports = [{"port": 80, "name": "http"}]
        return [
            made("v1", "Namespace", self.deployed),
            made("v1", "ServiceAccount", "web"),
            made("v1", "Service", "web", spec={"ports": ports, "selector": {"app": "web"}}),
            made("apps/v1", "Deployment", "web", spec=web),
        ]

    def _namespace_labels(self) -> list[Operation]:
        """Labels of a namespace that is there, one of them over somebody else's, and their way back."""
        metadata = {"name": self.deployed, "labels": {"istio-injection": "disabled", "theirs": "1"}}
        theirs = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        labels = {"istio-injection": "enabled", "topology.istio.io/network": "n"}
        labelled = {"state": "labelled", "namespace": self.deployed, "labels": labels, "force_conflicts": True}
        unlabelled = {"state": "unlabelled", "namespace": self.deployed}
        return [
            Operation("namespace labelled", "workloads", labelled, given=(theirs,)),
            Operation("namespace unlabelled", "workloads", unlabelled, before=(labelled,), given=(theirs,)),
        ]

    def _drains(self) -> list[Operation]:
        drained = {"namespace": self.namespace, "label_selector": "app=web", "state": "drained", "inbound_only": True}
        restored = {"namespace": self.namespace, "label_selector": "app=web", "state": "restored"}
        drained |= {"allow_all": True, "lock_namespace": self.namespace}
        drain = Operation("drain", "listener_drain", drained, slow=True)
        return [
            drain,
            dataclasses.replace(drain, name="drain, gracefully", options={**drained, "graceful": True}),
            dataclasses.replace(drain, name="drain restored", options=restored, before=(drain.options,)),
        ]

    def web(self) -> None:
        """Replace the pod that is drained; the first time, make it."""
        labels = {"app": "web"}
        where = ("-n", self.namespace)
        self.kubectl("label", "namespace", self.namespace, "istio-injection=enabled", "--overwrite")
        template = pod_template(labels, SERVER)
        # A graceful drain takes this long.
        template["metadata"]["annotations"] = {"proxy.istio.io/config": '{"drainDuration": "2s"}'}
        self.kubectl(*where, "apply", "-f", "-", given=deployment("web", labels, template))
        old = [pod["metadata"]["name"] for pod in self.kubectl(*where, "get", "pods", "-o", "json")["items"]]
        if old:
            self.kubectl(*where, "delete", "pod", "-l", "app=web", "--wait=true")
        self._until_new("app=web", old)

    def _until_new(self, labels: str, old: list[str]) -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            pods = self.kubectl("-n", self.namespace, "get", "pods", "-l", labels, "-o", "json")["items"]
            new = [pod["metadata"]["name"] for pod in pods if pod["metadata"]["name"] not in old]
            if new:
                ready = "--for=condition=Ready"
                self.kubectl("-n", self.namespace, "wait", f"pod/{new[0]}", ready, "--timeout=120s")
                return
            time.sleep(0.2)
        pytest.fail(f"no new pod {labels}")

    def scaled_away(self) -> None:
        """Make a workload without pods, and the open journal of the drill that took them."""
        where = ("-n", self.namespace)
        self.kubectl(*where, "delete", "deployments,configmaps", "-l", "faults=drill", "--wait=true")
        lost = deployment("lost", {"app": "lost"}, pod_template({"app": "lost"}, {**CLIENT, "name": "lost"}))
        lost["metadata"]["labels"] = {"faults": "drill"}
        lost["spec"]["replicas"] = 0
        self.kubectl(*where, "apply", "-f", "-", given=lost)
        uid = self.kubectl(*where, "get", "deployment", "lost", "-o", "json")["metadata"]["uid"]
        target = Target(self.namespace, "lost", uid, kind="Deployment", replicas=1, state=INJECTED)
        record = JournalRecord(
            id="faults",
            holder="a machine that is gone",
            title="lost",
            namespace=self.namespace,
            service="faults",
            fault="scale_to_zero",
            asked=("workload Deployment/lost",),
            started="2026-01-01T00:00:00.000Z",
            expires="2026-01-01T00:10:00.000Z",
            targets=(target,),
        )
        metadata = {"name": "meshops-drill-faults", "labels": {"meshops.locality/drill": "open", "faults": "drill"}}
        data = {"journal.json": journal.write(record)}
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        self.kubectl(*where, "create", "-f", "-", given=config)

    def begin(self, operation: Operation) -> Operation:
        """Put the cluster to where the operation begins, and return the operation with the options for that."""
        if operation.module == "listener_drain":
            self.web()
        elif operation.module == "failover_restore":
            self.scaled_away()
        elif operation.module in ("deploy", "workloads"):
            self.kubectl("delete", "namespace", self.deployed, "--ignore-not-found", "--wait=true")
            self.kubectl("label", "node", self.worker, f"{self.namespace}/place=here", "--overwrite")
            if operation.given:
                self.kubectl("apply", "-f", "-", given=list(operation.given))
        else:
            self._paper(operation)
        for options in operation.before:
            done = self.run(operation.module, options)
            assert not done.get("failed"), done["msg"]
        return dataclasses.replace(operation, options=self._deleted(operation))

    def _paper(self, operation: Operation) -> None:
        """Nodes and endpoints that are only objects."""
        self.kubectl("delete", "destinationrules,virtualservices", "--all", "-n", self.namespace)
        self.kubectl("delete", "configmaps", "-l", f"{MANAGED}={OURS}", "-n", self.namespace)
        self.kubectl("delete", "node", "-l", f"faults={self.namespace}", "--wait=true")
        nodes = [
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": {"faults": self.namespace}},
                "spec": {"taints": [{"key": "paper", "effect": "NoSchedule"}], "unschedulable": True},
            }
            for name in self.nodes
        ]
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "faults", "namespace": self.namespace}}
        service["spec"] = {"ports": [{"port": 80, "name": "http"}]}
        points = [{"addresses": [f"192.0.2.{number + 1}"], "nodeName": name} for number, name in enumerate(self.nodes)]
        endpoints = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "faults",
                "namespace": self.namespace,
                "labels": {"kubernetes.io/service-name": "faults"},
            },
            "addressType": "IPv4",
            "ports": [{"port": 80, "name": "http"}],
            "endpoints": points,
        }
        self.kubectl("apply", "-f", "-", given=[*nodes, service, endpoints, *operation.given])

    def _deleted(self, operation: Operation) -> Json:
        """Return the options of an operation that deletes: with what workloads_info has seen."""
        if operation.module != "workloads" or operation.options.get("state") != "absent":
            return operation.options
        items = self.kubectl("get", *operation.deletes, "-o", "json")["items"]
        objects = [
            {
                "api_version": item["apiVersion"],
                "kind": item["kind"],
                "name": item["metadata"]["name"],
                "uid": item["metadata"]["uid"],
            }
            for item in items
        ]
        return {**operation.options, "objects": objects}

    def how(self, operation: Operation, kind: str) -> Json:
        """Return how the proxy does a kind of fault: the fields of a Fault."""
        if kind == "SIGKILL before":
            return {"before": self.kill, "delay": 0.2, "reset": True}
        if kind == "SIGKILL after":
            # The server has done it, and whoever asked is gone.
            return {"done": self.kill, "lost": True}
        if kind == "silent":
            waits = WAITS_IN_A_PLAYBOOK if operation.module == "deploy" else WAITS
            return {"delay": waits + 1, "reset": True}
        return KINDS[kind]

    def run(self, module: str, options: Json, *, kill: bool = False, silent: bool = False) -> Json:
        """Run the module in a process of its own; with `kill`, the proxy ends it. Returns {} then.

        `silent`: it waits for an answer for less time than it would for a user.
        """
        environment = ansible_environment(self.home)
        if silent:
            environment[module_process.SILENCE] = str(WAITS)
        if module != "deploy" or kill:
            # What is killed has to be the module itself, and not a process that waits for its fork.
            environment.pop("MESHOPS_TEST_MODULES", None)
        if module == "deploy":
            return self._play(module, options, environment, kill=kill)
        given = {"kubeconfig": str(self.proxy.kubeconfig), **options, "_ansible_remote_tmp": str(self.home)}

        def started(pid: int) -> None:
            self.process = pid

        done = module_process.run(
            module, {"ANSIBLE_MODULE_ARGS": given}, environment, self.home, self.home, timeout=180, started=started
        )
        if kill and done.returncode == -signal.SIGKILL:
            return {}
        try:
            return t.cast(Json, json.loads(done.stdout))
        except ValueError:
            ended = f"{module} ended with {done.returncode} and no result."
            pytest.fail(f"{ended} {done.stdout[-500:]} {done.stderr[-1500:]}")

    def _play(self, playbook: str, options: Json, environment: dict[str, str], *, kill: bool) -> Json:
        inventory = self.home / "inventory.yml"
        host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory.write_text(yaml.safe_dump({"all": {"hosts": {"sandbox": host}}}), encoding="utf-8")
        environment["K8S_AUTH_KUBECONFIG"] = str(self.proxy.kubeconfig)
        process = subprocess.Popen(
            [
                str(BIN / "ansible-playbook"),
                *("-i", str(inventory), "-e", json.dumps(options), f"meshops.locality.{playbook}"),
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.process = process.pid
        out, _err = process.communicate(timeout=300)
        if kill and process.returncode == -signal.SIGKILL:
            return {}
        changed = '"changed": true' in out
        return {"failed": True, "msg": out[-1500:]} if process.returncode else {"changed": changed}

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(self.process) == self.process:
                os.killpg(self.process, signal.SIGKILL)
            else:
                os.kill(self.process, signal.SIGKILL)

    def state(self, operation: Operation) -> list[Json]:
        """Return the objects whole, without what differs between two equal histories."""
        place = self.deployed if operation.module in ("deploy", "workloads") else self.namespace
        whole = ("-o", "json", "--show-managed-fields")
        items = self.kubectl("get", COMPARED, "-n", place, *whole)["items"]
        if place == self.deployed:
            here = ("--field-selector", f"metadata.name={place}")
            items += self.kubectl("get", "namespaces", *here, *whole)["items"]
        if operation.module == "node_topology":
            items += self.kubectl("get", "nodes", "-l", f"faults={self.namespace}", *whole)["items"]
        listeners = [self._listeners()] if operation.module == "listener_drain" else []
        return [_whole(item) for item in items if not _of_a_controller(item)] + listeners

    def _listeners(self) -> Json:
        """Return whether the one pod's listeners are stopped, and whether its application was restarted."""
        where = ("-n", self.namespace)
        (pod,) = self.kubectl(*where, "get", "pods", "-l", "app=web", "-o", "json")["items"]
        enter = (*where, "exec", pod["metadata"]["name"], "-c", "istio-proxy", "--", "pilot-agent", "request", "GET")
        stopped = self.kubectl(*enter, "stats?filter=listener_stopped").strip().rpartition(": ")[2]
        states = pod["status"]["containerStatuses"]
        return {
            "stopped": stopped not in ("", "0"),
            "note": "meshops.locality/listener-drain" in pod["metadata"]["annotations"],
            "restarts": sum(state["restartCount"] for state in states if state["name"] != "istio-proxy"),
        }


#: Every kind that an operation may write into a namespace; pods are compared by what is in them.
COMPARED = (
    "destinationrules,virtualservices,deployments,services,serviceaccounts,configmaps,leases,networkpolicies,"
    "endpointslices"
)


def _of_a_controller(item: Json) -> bool:
    """Whether Kubernetes or istiod makes an object in every namespace, or for every Service, when they please."""
    name, labels = item["metadata"]["name"], item["metadata"].get("labels") or {}
    named = {"ServiceAccount": ("default",), "ConfigMap": ("kube-root-ca.crt", "istio-ca-root-cert")}
    return name in named.get(item["kind"], ()) or "endpointslice.kubernetes.io/managed-by" in labels


def _whole(item: Json) -> Json:
    metadata = {key: value for key, value in item["metadata"].items() if key not in _HISTORY}
    annotations = {
        name: value
        for name, value in (metadata.get("annotations") or {}).items()
        # Kubernetes' own controllers write these to nodes when they please.
        if not name.startswith(("node.alpha.kubernetes.io/", "volumes.kubernetes.io/"))
    }
    # The record of a node's labels names a version of the node while istiod is to be told: only whether it does.
    if text := annotations.get("meshops.locality/node-topology"):
        record = json.loads(text)
        annotations["meshops.locality/node-topology"] = {**record, "pending": bool(record.get("pending"))}
    # A notice of relabelled nodes has a hash of such versions.
    if "meshops.locality/nodes-relabelled" in annotations:
        annotations["meshops.locality/nodes-relabelled"] = True
    metadata["annotations"] = annotations
    spec = item.get("spec") or {}
    if item["kind"] == "Node":
        spec = {}
    if item["kind"] == "Service":
        spec = {key: value for key, value in spec.items() if key not in ("clusterIP", "clusterIPs")}
    if text := (item.get("data") or {}).get("journal.json"):
        record = json.loads(text)
        spec = {"state": record["state"], "targets": [target["state"] for target in record["targets"]]}
    if item["kind"] == "Lease":
        spec = {}  # who had it, and when: one whose holder was killed is taken over when its time is over
    rest = {key: item.get(key) for key in ("endpoints", "ports", "addressType", "secrets")}
    rest["phase"] = (item.get("status") or {}).get("phase")
    rest["managers"] = [] if item["kind"] == "Lease" else _managers(item["metadata"])
    data = {key: value for key, value in (item.get("data") or {}).items() if key != "journal.json"}
    return {"kind": item["kind"], "metadata": metadata, "spec": spec, "data": data, **rest}


def _managers(metadata: Json) -> list[Json]:
    """Return which fields belong to whom, without when, and without those of Kubernetes' and istiod's controllers."""
    return sorted(
        (
            {key: value for key, value in entry.items() if key != "time"}
            for entry in metadata.get("managedFields") or ()
            if entry.get("subresource") != "status" and entry["manager"] not in _CONTROLLERS
        ),
        key=lambda entry: (entry["manager"], entry["operation"]),
    )


_CONTROLLERS = {"kube-controller-manager", "pilot-discovery", "kubelet", "istiod"}
_HISTORY = {"resourceVersion", "uid", "creationTimestamp", "generation", "managedFields"}


@pytest.fixture
def bench(kubeconfig: Path, kubectl: t.Any, tmp_path: Path, fault_proxy: FaultProxy) -> t.Iterator[Bench]:
    new_bench = Bench(kubeconfig, kubectl, tmp_path, fault_proxy)
    yield new_bench
    new_bench.close()


class Request(t.NamedTuple):
    """A request of an undisturbed run: of those that `method` and the regular expression `path` fit, the one that
    `after` others precede; of those that come `behind` another request, if there is one."""

    method: str
    path: str
    after: int
    text: str
    behind: Request | None = None

    def meets(self, proxy: FaultProxy, fault: Fault) -> None:
        """Let the request meet a fault."""
        if self.behind is None:
            proxy.faults.append(fault)
        else:
            arms = functools.partial(proxy.faults.append, fault)
            proxy.faults.append(
                Fault(self.behind.method, self.behind.path, times=1, after=self.behind.after, done=arms)
            )


def requests_of(bench: Bench, operation: Operation) -> list[Request]:
    """Return the requests of an undisturbed run, in order, and check that it ends well.

    A module asks the same requests each time: they are known by their number. How often a playbook asks for pods that
    come depends on the machine: there they are known by what they ask, and those that only ask again are left out.
    """
    bench.proxy.seen.clear()
    done = bench.run(operation.module, operation.options)
    assert not done.get("failed"), done
    assert done["changed"]
    seen = list(bench.proxy.seen)
    if operation.module != "deploy":
        return [Request("*", "", number, text) for number, text in enumerate(seen)]
    requests: list[Request] = []
    other = None
    for number, text in enumerate(seen):
        method, _, path = text.partition(" ")
        exactly = f"^{re.escape(path)}$"
        if not ASKED_AGAIN.search(path):
            other = Request(method, exactly, seen[:number].count(text), text)
            requests.append(other)
        elif not any((request.text, request.behind) == (text, other) for request in requests):
            requests.append(Request(method, exactly, 0, text, other))
    return requests


def cases(operation: Operation, requests: list[Request], choose: random.Random) -> list[tuple[Request, str]]:
    """Return which of an operation's requests meets which fault: all, or a sample."""
    if _ALL:
        return [(request, kind) for request in requests for kind in list(KINDS)[_PART - 1 :: _PARTS]]
    count = _FEW if operation.slow else _SAMPLE
    first = OPERATIONS.index(operation.name) * _SAMPLE
    kinds = [list(KINDS)[(first + place) % len(KINDS)] for place in range(count)]
    return [(choose.choice(requests), kind) for kind in kinds]


OPERATIONS = [
    *("policy", "policy over another", "policy taken back", "rule put back", "labels", "labels taken back"),
    *("drain", "drain, gracefully", "drain restored", "namespace labelled", "namespace unlabelled"),
    *("report published", "drill restored", "workloads written", "workloads deleted", "namespace deleted"),
    "workloads deployed",
]


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_fault_leaves_the_cluster_as_it_shall_be(
    bench: Bench, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    operation = next(each for each in bench.operations() if each.name == name)
    operation = bench.begin(operation)
    requests = requests_of(bench, operation)
    wanted = bench.state(operation)
    injected = 0
    different: list[str] = []
    gave_up: list[str] = []
    wanted_cases = cases(operation, requests, random.Random(f"{_SEED} {name}"))
    for count, (request, kind) in enumerate(wanted_cases):
        if _ALL and count and not count % 20:
            with capsys.disabled():
                sys.stdout.write(f"\n{name}: {count} of {len(wanted_cases)} cases, {len(different)} clusters differ")
                sys.stdout.flush()
        operation = bench.begin(operation)
        fault = Fault(request.method, request.path, times=1, after=request.after, **bench.how(operation, kind))
        request.meets(bench.proxy, fault)
        first = bench.run(operation.module, operation.options, kill=kind in KILLS, silent=kind == "silent")
        injected += not fault.times
        bench.proxy.faults.clear()
        if kind in SURVIVED and first.get("failed"):
            gave_up.append(f"{kind} at {request.text}: {first['msg']}")
        if operation.module == "deploy" and first.get("changed") and bench.state(operation) == wanted:
            continue
        again = bench.run(operation.module, operation.options)
        state = bench.state(operation)
        if again.get("failed") or state != wanted:
            different.append(f"{kind} at {request.text}: {again.get('msg', '')} {state}")
    with capsys.disabled():
        sys.stdout.write(
            f"\n{name}: {len(requests)} requests, {injected} of {len(wanted_cases)} faults injected,"
            f" {len(gave_up)} first runs gave up,"
            f" {len(different)} clusters differ\n"
        )
    assert injected
    assert different == []
    assert gave_up == []


def test_a_difference_would_be_seen(bench: Bench) -> None:
    """The comparison itself: one changed value in one object is a difference."""
    operation = bench.operations()[0]
    bench.begin(operation)
    bench.run(operation.module, operation.options)
    wanted = bench.state(operation)
    patch = '{"spec":{"trafficPolicy":{"outlierDetection":{"interval":"3s"}}}}'
    where = ("-n", bench.namespace)
    bench.kubectl("patch", "destinationrule", "faults", *where, "--type=merge", "-p", patch)
    assert bench.state(operation) != wanted
    pods = {**deployment("other", {"a": "b"}, pod_template({"a": "b"}, CLIENT))["spec"], "replicas": 0}
    others: list[tuple[str, str, Json]] = [
        ("v1", "ConfigMap", {"data": {"a": "1"}}),
        ("v1", "ServiceAccount", {}),
        ("v1", "Service", {"spec": {"ports": [{"port": 80}]}}),
        ("apps/v1", "Deployment", {"spec": pods}),
        ("coordination.k8s.io/v1", "Lease", {"spec": {"holderIdentity": "x"}}),
        ("networking.k8s.io/v1", "NetworkPolicy", {"spec": {"podSelector": {}}}),
        ("discovery.k8s.io/v1", "EndpointSlice", {"addressType": "IPv4", "endpoints": []}),
    ]
    for api_version, kind, content in others:
        wanted = bench.state(operation)
        new = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "other"}, **content}
        bench.kubectl(*where, "create", "-f", "-", given=new)
        assert bench.state(operation) != wanted, kind
    wanted = bench.state(operation)
    bench.kubectl(*where, "annotate", "endpointslice", "faults", "meshops.locality/nodes-relabelled=x")
    assert bench.state(operation) != wanted
    # The same content, and somebody else says that it is his.
    wanted = bench.state(operation)
    content = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}, "data": {"a": "1"}}
    bench.kubectl(*where, "apply", "--server-side", "--field-manager=x", "-f", "-", given=content)
    assert bench.state(operation) != wanted


@pytest.mark.parametrize("killed", ["before", "after"])
def test_the_server_has_done_what_a_module_did_not_live_to_hear(bench: Bench, killed: str) -> None:
    """The kinds of kill: after the one the rule is not there, after the other it is, and nobody is left to know."""
    operation = bench.begin(bench.operations()[0])
    write = r"/destinationrules(/faults)?\?(?!.*dryRun=All).*fieldManager"
    fault = Fault("*", write, times=1, **bench.how(operation, f"SIGKILL {killed}"))
    bench.proxy.faults.append(fault)
    assert bench.run(operation.module, operation.options, kill=True) == {}
    assert fault.times == 0
    rules = bench.kubectl("get", "destinationrules", "-n", bench.namespace, "-o", "json")["items"]
    assert len(rules) == (killed == "after")
