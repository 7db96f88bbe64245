# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""workloads_info and the role workloads against a real cluster with a real injector."""

from __future__ import annotations

import typing as t
import uuid

import pytest

Json = dict[str, t.Any]
SUBZONE = "topology.istio.io/subzone"
IMAGE = "curlimages/curl"


@pytest.fixture
def info(run_module: t.Any, kubeconfig: t.Any) -> t.Callable[..., Json]:
    def call(**params: t.Any) -> Json:
        return t.cast(Json, run_module("workloads_info", kubeconfig=str(kubeconfig), **params))

    return call


@pytest.fixture
def worker(kubectl: t.Any) -> str:
    """A node that takes pods."""
    nodes = kubectl("get", "nodes", "-o", "json")["items"]
    return t.cast(str, next(n["metadata"]["name"] for n in nodes if not n["spec"].get("taints")))


def deployment(name: str, template: Json | None = None, *, annotations: Json | None = None, **container: t.Any) -> Json:
    spec = {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "main",
                "image": IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "command": ["/bin/sleep", "infinity"],
                **container,
            }
        ],
        **(template or {}),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}, "annotations": annotations or {}}, "spec": spec},
        },
    }


def problems(result: Json) -> dict[str, str]:
    """Deployment → what is said about it and its pods."""
    return {
        w["name"]: " ".join([w["problem"], *(pod["problem"] for pod in w["pods"])]).strip() for w in result["workloads"]
    }


def test_every_problem_is_named(info: t.Any, kubectl: t.Any, namespace: str, worker: str) -> None:
    kubectl("create", "-n", namespace, "-f", "-", given=deployment("too-old"))
    kubectl("rollout", "status", "-n", namespace, "deployment/too-old", "--timeout=60s")
    kubectl("label", "namespace", namespace, "istio-injection=enabled")
    nowhere = {"matchExpressions": [{"key": SUBZONE, "operator": "In", "values": ["nowhere"]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [nowhere]}}}
    failing = {"exec": {"command": ["/bin/false"]}, "periodSeconds": 1}
    bad = [
        deployment("no-node", {"affinity": affinity}),
        deployment("tainted", {"nodeSelector": {"node-role.kubernetes.io/control-plane": ""}}),
        deployment("too-big", resources={"requests": {"cpu": "1000"}}),
        deployment("no-image", image="localhost/does-not-exist:1", imagePullPolicy="Never"),
        deployment("crashing", command=["/bin/sh", "-c", "exit 7"]),
        deployment("not-ready", readinessProbe=failing),
        deployment("host-network", {"hostNetwork": True}),
        deployment("annotated", annotations={"sidecar.istio.io/inject": "false"}),
        deployment("fine"),
    ]
    kubectl("create", "-n", namespace, "-f", "-", given=bad)
    kubectl("rollout", "status", "-n", namespace, "deployment/fine", "--timeout=90s")
    ready = "jsonpath={.status.containerStatuses[?(@.name=='main')].state.waiting.reason}=CrashLoopBackOff"
    kubectl("wait", "-n", namespace, "pod", "-l", "app=crashing", f"--for={ready}", "--timeout=60s")

    result = info(namespace=namespace)
    assert not result["ready"]
    said = problems(result)
    assert f"Unschedulable: No node has the label {SUBZONE}=nowhere. {SUBZONE} is " in said["no-node"]
    assert f"on {worker}" in said["no-node"]
    assert "has a taint that the pod does not tolerate" in said["tainted"]
    assert "node-role.kubernetes.io/control-plane:NoSchedule" in said["tainted"]
    assert "Insufficient cpu" in said["too-big"]
    assert (
        "The image localhost/does-not-exist:1 of container main cannot be had (ErrImageNeverPull)" in said["no-image"]
    )
    assert "Container main keeps ending (exit code 7" in said["crashing"]
    assert "Running, but the readiness of main fails (Readiness probe" in said["not-ready"]
    assert "No sidecar: the pod uses hostNetwork" in said["host-network"]
    assert "No sidecar: the pod has the annotation sidecar.istio.io/inject=false" in said["annotated"]
    assert "it is older than the label of the namespace or than the injector" in said["too-old"]
    assert said["fine"] == ""
    fine = next(w for w in result["workloads"] if w["name"] == "fine")
    assert (fine["ready"], fine["injected"], fine["pods"][0]["ready"]) == (True, 1, True)

    assert info(namespace=namespace, deployments=["fine"], wait=True)["ready"]
    # Waiting for a sidecar that never comes is of no use, and is not done.
    result = info(namespace=namespace, deployments=["too-old"], wait=True, wait_timeout=100, timeout=60)
    assert result["failed"]
    assert result["error"] == "NotReady"
    assert "No use in waiting" in result["msg"]
    result = info(namespace=namespace, deployments=["too-big", "missing"], wait=True, wait_timeout=2)
    assert "Not ready after 2 s" in result["msg"]
    assert f"There is no Deployment missing in namespace {namespace}" in result["msg"]
    assert "Insufficient cpu" in result["msg"]


def test_quota(info: t.Any, kubectl: t.Any, namespace: str) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    kubectl("create", "-n", namespace, "-f", "-", given=quota)
    kubectl("create", "-n", namespace, "-f", "-", given=deployment("web"))
    kubectl("wait", "-n", namespace, "deployment/web", "--for=condition=ReplicaFailure", "--timeout=60s")
    said = problems(info(namespace=namespace, require_injection=False))["web"]
    assert said.startswith("Pods cannot be created (FailedCreate): ")
    assert "exceeded quota: none" in said


def test_injection_of_the_namespace(info: t.Any, kubectl: t.Any, namespace: str) -> None:
    assert (
        "neither the label istio-injection=enabled nor istio.io/rev"
        in info(namespace=namespace)["injection"]["problem"]
    )
    assert info(namespace=namespace)["obstacles"] == [], "the label is what a deployment would add"
    result = info(namespace=namespace, revision="no-such", deployments=[])
    assert "No injector answers for istio.io/rev=no-such; installed are the revisions default" in result["obstacles"][0]
    kubectl("label", "namespace", namespace, "istio-injection=disabled")
    assert "istio-injection=disabled of the namespace keeps sidecars out" in info(namespace=namespace)["obstacles"][0]
    absent = info(namespace="no-such-namespace", wait=True)
    assert absent["failed"]
    assert "The namespace no-such-namespace does not exist." in absent["msg"]


class Role:
    """Runs the role on a namespace of its own."""

    def __init__(self, run_playbook: t.Any, kubeconfig: t.Any, namespace: str) -> None:
        self.namespace = namespace
        self._run = run_playbook
        self.kubeconfig = kubeconfig

    def __call__(self, *, check: bool = False, **variables: t.Any) -> t.Any:
        play = {
            "hosts": "all",
            "gather_facts": False,
            "roles": ["meshops.locality.workloads"],
            "vars": {
                "workloads_namespace": self.namespace,
                "workloads_locations": [],
                "workloads_clients": [],
                **variables,
            },
        }
        return self._run([play], kubeconfig=self.kubeconfig, check=check)


@pytest.fixture
def place(kubectl: t.Any, worker: str) -> t.Iterator[Json]:
    """A label that only one node has, so that the test does not depend on (or change) its topology labels."""
    label = f"test-{uuid.uuid4().hex[:8]}/place"
    kubectl("label", "node", worker, f"{label}=here")
    yield {
        "workloads_server_grace_period": 0,
        "workloads_location_label": label,
        "workloads_locations": ["here"],
        "workloads_clients": ["here"],
    }
    kubectl("label", "node", worker, f"{label}-")


@pytest.fixture
def role(run_playbook: t.Any, kubeconfig: t.Any, kubectl: t.Any) -> t.Iterator[Role]:
    new_role = Role(run_playbook, kubeconfig, f"test-{uuid.uuid4().hex[:10]}")
    yield new_role
    kubectl("delete", "namespace", new_role.namespace, "--wait=false", "--ignore-not-found")


def test_role_refuses_before_anything_is_made(role: Role, place: Json, kubectl: t.Any) -> None:
    run = role(**{**place, "workloads_locations": ["here", "wuhan"]})
    assert run.rc != 0
    label = place["workloads_location_label"]
    assert (
        f"Nothing was deployed. Location wuhan has no node. No node has the label {label}=wuhan." in run.failures()[0]
    )
    assert "'here' on " in run.failures()[0]
    run = role(**place, workloads_revision="no-such")
    assert "No injector answers for istio.io/rev=no-such" in run.failures()[0]
    assert "NotFound" in kubectl("get", "namespace", role.namespace, check=False)


def test_role_makes_and_removes_its_namespace(role: Role, place: Json, kubectl: t.Any) -> None:
    assert role(check=True, **place).changed == 1
    assert "NotFound" in kubectl("get", "namespace", role.namespace, check=False)
    first = role(**place)
    assert (first.rc, first.failures()) == (0, [])
    assert role(**place).changed == 0
    assert role(check=True, **place).changed == 0
    # A key that leaves the input leaves the object.
    assert role(**place, workloads_server_env={"EXTRA": 1}).changed == 1
    assert role(**place).changed == 1
    server = kubectl("get", "deployment", "-n", role.namespace, "helloworld-here", "-o", "json")
    assert [env["name"] for env in server["spec"]["template"]["spec"]["containers"][0]["env"]] == ["SERVICE_VERSION"]
    assert role(**place, workloads_state="absent").changed == 1
    assert role(**place, workloads_state="absent").changed == 0
    assert "NotFound" in kubectl("get", "namespace", role.namespace, check=False)


def test_role_leaves_a_foreign_namespace_as_it_was(role: Role, place: Json, kubectl: t.Any) -> None:
    kubectl("create", "namespace", role.namespace)
    theirs = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "theirs"}}
    kubectl("create", "-n", role.namespace, "-f", "-", given=theirs)
    before = kubectl("get", "namespace", role.namespace, "-o", "json")["metadata"]["labels"]
    run = role(**place)
    assert (run.rc, run.failures()) == (0, [])
    assert (
        kubectl("get", "namespace", role.namespace, "-o", "json")["metadata"]["labels"]["istio-injection"] == "enabled"
    )
    assert role(**place).changed == 0
    run = role(**place, workloads_state="absent")
    assert (run.rc, run.failures()) == (0, [])
    assert kubectl("get", "namespace", role.namespace, "-o", "json")["metadata"]["labels"] == before
    left = kubectl("get", "deployment,service,serviceaccount", "-n", role.namespace, "-o", "name")
    assert sorted(left.split()) == ["serviceaccount/default", "serviceaccount/theirs"]
    assert role(**place, workloads_state="absent").changed == 0


def test_equal_objects_of_somebody_else_are_not_adopted(role: Role, place: Json, kubectl: t.Any) -> None:
    """As in Istio's own samples: server-side apply would take them over without a conflict."""
    kubectl("create", "namespace", role.namespace)
    sample = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sleep"}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "sleep", "labels": {"app": "sleep", "service": "sleep"}},
            "spec": {"ports": [{"port": 80, "name": "http"}], "selector": {"app": "sleep"}},
        },
    ]
    kubectl("apply", "-n", role.namespace, "-f", "-", given=sample)
    run = role(**place)
    assert run.rc != 0
    for what in (
        "ServiceAccount sleep exists",
        "Service sleep exists",
        "kubectl-client-side-apply",
        "Nothing was deployed",
    ):
        assert what in run.failures()[0]
    # Our labels alone do not make them ours.
    marks = ["managed-by=meshops.locality", "component=workloads", "part-of=helloworld"]
    kubectl("-n", role.namespace, "label", "service", "sleep", *(f"app.kubernetes.io/{mark}" for mark in marks))
    assert role(**place, workloads_state="absent").changed == 0
    left = kubectl("get", "service,serviceaccount", "-n", role.namespace, "-o", "name")
    assert sorted(left.split()) == ["service/sleep", "serviceaccount/default", "serviceaccount/sleep"]


@pytest.mark.parametrize("kind", ["namespace", "serviceaccount", "service"])
def test_what_somebody_else_makes_meanwhile_is_not_adopted(
    role: Role, place: Json, kubectl: t.Any, fault_proxy: t.Any, kind: str
) -> None:
    """Between looking and writing: the very request that would write comes after theirs."""
    role.kubeconfig = fault_proxy.kubeconfig
    where = () if kind == "namespace" else ("-n", role.namespace)
    name = role.namespace if kind == "namespace" else "sleep"
    kinds = {"namespace": "Namespace", "serviceaccount": "ServiceAccount", "service": "Service"}
    theirs: Json = {"apiVersion": "v1", "kind": kinds[kind], "metadata": {"name": name, "labels": {"theirs": "1"}}}
    if kind == "service":
        theirs["spec"] = {"ports": [{"port": 80, "name": "http"}], "selector": {"app": "sleep"}}
    objects: list[Json] = []

    def look() -> Json:
        return t.cast(Json, kubectl(*where, "get", kind, name, "-o", "json", "--show-managed-fields"))

    def make() -> None:
        if not objects:
            kubectl(*where, "create", "--field-manager=their-hands", "-f", "-", given=theirs)
            objects.append(look())

    if kind != "namespace":
        kubectl("create", "namespace", role.namespace)
    # What creates names the kind, what patches the object, too.
    fault_proxy.add("POST", f"/{kind}s\\?", times=1, after=int(kind == "service"), before=make)
    fault_proxy.add("PATCH", f"/{kind}s/{name}\\?", times=1, before=make)
    run = role(**place)
    assert run.rc != 0
    (said,) = run.failures()
    assert f"{theirs['kind']} {name} exists" in said
    assert "was written by their-hands" in said
    before = {"namespace": "nothing", "serviceaccount": "Service helloworld", "service": "ServiceAccount sleep"}[kind]
    assert "Written before: " in said
    assert before in said
    live = look()
    assert live["metadata"].get("labels") == objects[0]["metadata"].get("labels")
    assert {each["manager"] for each in live["metadata"]["managedFields"]} == {"their-hands"}
    kubectl("delete", kind, name, *where)
    fault_proxy.faults.clear()
    again = role(**place)
    assert (again.rc, again.failures()) == (0, []), "the second run finishes"


def test_a_namespace_that_holds_what_is_not_ours_stays(role: Role, place: Json, kubectl: t.Any, worker: str) -> None:
    """Also what an object outside of namespaces owns, and a kind that its group's preferred version has not."""
    first = role(**place)
    assert (first.rc, first.failures()) == (0, [])

    def config_map(name: str, *owner: str) -> Json:
        of = kubectl("get", *owner, "-n", role.namespace, "-o", "json") if owner else {}
        owners = [{**{key: of[key] for key in ("apiVersion", "kind")}, **of["metadata"]}] if owner else []
        owners = [{key: each[key] for key in ("apiVersion", "kind", "name", "uid")} for each in owners]
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": owners}}

    theirs = [
        config_map("theirs"),
        config_map("of-the-node", "node", worker),
        config_map("of-our-server", "deployment", "helloworld-here"),
        {"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": {"name": "theirs"}},
    ]
    kubectl("create", "-n", role.namespace, "-f", "-", given=theirs)
    run = role(**place, workloads_state="absent")
    assert (run.rc, run.failures()) == (0, [])
    said = [result["msg"] for result in run.results("The namespace stays, because it holds what is not this role's")]
    assert "It holds ConfigMap of-the-node, ConfigMap theirs, EnvoyFilter theirs." in said[0]
    assert kubectl("get", "namespace", role.namespace, "-o", "json")["status"]["phase"] == "Active"
    left = kubectl("get", "deployment,service,serviceaccount,configmap", "-n", role.namespace, "-o", "name").split()
    assert "configmap/theirs" in left
    assert not [name for name in left if "helloworld" in name or "sleep" in name]
    kubectl("delete", "-n", role.namespace, "configmap/theirs", "configmap/of-the-node", "envoyfilter/theirs")
    assert role(**place, workloads_state="absent").changed == 1
    assert "NotFound" in kubectl("get", "namespace", role.namespace, check=False)


def test_a_namespace_whose_label_is_a_copy_is_nobody_elses_to_delete(role: Role, place: Json, kubectl: t.Any) -> None:
    labels = {"app.kubernetes.io/managed-by": "meshops.locality"}
    theirs = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": role.namespace, "labels": labels}}
    kubectl("create", "--field-manager=their-hands", "-f", "-", given=theirs)
    first = role(**place)
    assert (first.rc, first.failures()) == (0, [])
    run = role(**place, workloads_state="absent")
    assert (run.rc, run.failures()) == (0, [])
    assert kubectl("get", "namespace", role.namespace, "-o", "json")["status"]["phase"] == "Active"


def test_what_a_drill_has_changed_is_still_somebody_elses(role: Role, place: Json, kubectl: t.Any) -> None:
    """Their Deployment, scaled in our name, keeps the namespace as any of their objects does; so does a policy."""
    first = role(**place)
    assert (first.rc, first.failures()) == (0, [])
    kubectl("create", "-n", role.namespace, "-f", "-", given={**deployment("theirs"), "spec": paused()})
    scale = '{"spec":{"replicas":0}}'
    where = ("-n", role.namespace, "--field-manager=meshops.locality", "--type=merge", "-p")
    kubectl("patch", "deployment", "theirs", *where, scale)
    run = role(**place, workloads_state="absent")
    assert (run.rc, run.failures()) == (0, [])
    said = [result["msg"] for result in run.results("The namespace stays, because it holds what is not this role's")]
    assert "It holds Deployment theirs." in said[0]
    assert kubectl("get", "deployment", "theirs", "-n", role.namespace, "-o", "json")["metadata"]["uid"]


def paused() -> Json:
    """Return the spec of a Deployment that makes no pods."""
    return {**deployment("theirs")["spec"], "replicas": 1, "paused": True}


def test_a_revision_that_somebody_else_wrote_is_a_conflict(role: Role, place: Json, kubectl: t.Any) -> None:
    def label() -> str:
        return str(kubectl("get", "namespace", role.namespace, "-o", "json")["metadata"]["labels"].get("istio.io/rev"))

    def owners() -> set[str]:
        live = kubectl("get", "namespace", role.namespace, "-o", "json", "--show-managed-fields")
        return {
            entry["manager"]
            for entry in live["metadata"]["managedFields"]
            if "f:istio.io/rev" in entry["fieldsV1"].get("f:metadata", {}).get("f:labels", {})
        }

    kubectl("create", "namespace", role.namespace)
    kubectl("label", "namespace", role.namespace, "--field-manager=their-hands", "istio.io/rev=theirs")
    wanted = {**place, "workloads_revision": "default"}
    for check in (True, False):
        refused = role(check=check, **wanted)
        assert refused.rc != 0
        assert "istio.io/rev is 'theirs' by their-hands, wanted 'default'" in refused.failures()[0]
        assert "force_conflicts" in refused.failures()[0]
    assert label() == "theirs"
    assert kubectl("get", "deployments", "-n", role.namespace, "-o", "name") == ""
    forced = role(**wanted, workloads_force_conflicts=True)
    assert (forced.rc, forced.failures()) == (0, [])
    assert label() == "default"
    again = role(**wanted)
    assert (again.rc, again.changed) == (0, 0), "what was taken over is ours now"
    gone = role(**wanted, workloads_state="absent")
    assert (gone.rc, gone.failures()) == (0, [])
    assert (label(), owners()) == ("theirs", {"their-hands"})
    assert "previous-labels" not in str(kubectl("get", "namespace", role.namespace, "-o", "json"))
    assert role(**wanted, workloads_state="absent").changed == 0


def test_a_label_that_somebody_writes_meanwhile_is_judged_again(
    run_module: t.Any, kubectl: t.Any, namespace: str, fault_proxy: t.Any
) -> None:
    """Read without a label, written over after somebody else has set it: that is seen, and refused."""
    label = ("label", "namespace", namespace, "--overwrite", "--field-manager=their-hands")
    fault_proxy.add("PATCH", f"/namespaces/{namespace}", times=1, before=lambda: kubectl(*label, "istio.io/rev=theirs"))
    wanted = {"namespace": namespace, "state": "labelled", "labels": {"istio.io/rev": "default"}}
    refused = run_module("workloads", kubeconfig=str(fault_proxy.kubeconfig), **wanted)
    assert (refused.get("failed"), refused.get("error")) == (True, "Conflict"), refused
    assert [each["manager"] for each in refused["conflicts"]] == ["their-hands"]
    assert not refused["changed"]
    assert kubectl("get", "namespace", namespace, "-o", "json")["metadata"]["labels"]["istio.io/rev"] == "theirs"


def test_terminating_namespace(role: Role, info: t.Any, kubectl: t.Any) -> None:
    kubectl("create", "namespace", role.namespace)
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["test/hold"]}}
    kubectl("create", "-n", role.namespace, "-f", "-", given=config_map)
    kubectl("delete", "namespace", role.namespace, "--wait=false")
    try:
        assert f"The namespace {role.namespace} is being deleted (Terminating)" in role().failures()[0]
        assert "No use in waiting" in info(namespace=role.namespace, wait=True)["msg"]
    finally:
        patch = '{"metadata":{"finalizers":null}}'
        kubectl("patch", "configmap", "-n", role.namespace, "held", "--type=merge", "-p", patch)


def test_deletion_by_uid(run_module: t.Any, kubeconfig: t.Any, kubectl: t.Any, namespace: str) -> None:
    """Another object of the name stays; what is not gone in time is said; check mode deletes nothing."""
    ours = {"app.kubernetes.io/managed-by": "meshops.locality"}
    for name in ("one", "two", "copied", "unmarked"):
        labels = {} if name == "unmarked" else ours
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "labels": labels}}
        manager = "helm" if name == "copied" else "meshops.locality"
        kubectl("create", "-n", namespace, f"--field-manager={manager}", "-f", "-", given=account)
    uids = {
        item["metadata"]["name"]: item["metadata"]["uid"]
        for item in kubectl("get", "serviceaccounts", "-n", namespace, "-o", "json")["items"]
    }

    def delete(*objects: tuple[str, str], fails: bool = False, **options: t.Any) -> Json:
        listed = [
            {"api_version": "v1", "kind": options.pop("kind", "ServiceAccount"), "name": name, "uid": uid}
            for name, uid in objects
        ]
        where = {"namespace": namespace, "kubeconfig": str(kubeconfig), "state": "absent", **options}
        result = t.cast(Json, run_module("workloads", objects=listed, **where))
        assert bool(result.get("failed")) == fails, result
        return result

    def left() -> set[str]:
        items = kubectl("get", "serviceaccounts", "-n", namespace, "-o", "json")["items"]
        return {item["metadata"]["name"] for item in items} & {"one", "two"}

    for name in ("copied", "unmarked"):
        for check in (True, False):
            refused = delete((name, uids[name]), fails=True, check=check)
            assert f"ServiceAccount {name} exists in namespace {namespace} and is not this role's" in refused["msg"]
    assert "written by helm" in delete(("copied", uids["copied"]), fails=True)["msg"]
    assert kubectl("get", "serviceaccount", "copied", "unmarked", "-n", namespace, "-o", "name")
    assert "objects[0].uid is blank" in delete(("one", " "), fails=True)["msg"]
    assert "objects[0] is no Namespace" in delete(("one", "u"), fails=True, kind="Secret")["msg"]
    assert "namespace" in delete(("one", uids["one"]), fails=True, namespace=None)["msg"]
    done = delete(("one", uids["one"]), check=True)
    assert (done["changed"], done["deleted"], left()) == (True, ["ServiceAccount one"], {"one", "two"})
    done = delete(("one", uids["one"]), ("two", uids["one"]), fails=True)
    assert (done["changed"], done["deleted"]) == (True, ["ServiceAccount one"])
    assert done["not_deleted"] == ["ServiceAccount two"]
    assert "ServiceAccount two was not deleted" in done["msg"]
    assert left() == {"two"}
    finalized = ("serviceaccount", "two", "-n", namespace, "--type=merge", "-p")
    kubectl("patch", *finalized, '{"metadata":{"finalizers":["example.com/kept"]}}')
    done = delete(("two", uids["two"]), fails=True, wait_timeout=1)
    assert (done["changed"], done["deleted"], done["not_deleted"]) == (True, ["ServiceAccount two"], [])
    assert "still there after 1 s" in done["msg"]
    assert "failed" not in delete(("two", uids["two"]), wait=False)
    kubectl("patch", *finalized, '{"metadata":{"finalizers":null}}')
    assert delete(("one", uids["one"]), ("two", uids["two"]))["deleted"] in ([], ["ServiceAccount two"])
    assert left() == set()
