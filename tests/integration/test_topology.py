# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""topology_info against a real mesh, compared with what kubectl says."""

from __future__ import annotations

import base64
import functools
import json
import re
import typing as t
from pathlib import Path

import jsonschema
import kubernetes
import pytest

from ansible_collections.meshops.locality.plugins.module_utils._istio import snapshot_document
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster
from ansible_collections.meshops.locality.plugins.module_utils._model.record_json import to_json
from ansible_collections.meshops.locality.plugins.module_utils._source import live_objects
from ansible_collections.meshops.locality.plugins.module_utils._source.control_plane import WantedControlPlane

from .mesh import PLACES, Mesh

Json = dict[str, t.Any]


@pytest.fixture
def info(run_module: t.Any, kubeconfig: Path) -> t.Callable[..., Json]:
    def call(**params: t.Any) -> Json:
        given = {"kubeconfig": str(kubeconfig), "all_namespaces": "namespaces" not in params, **params}
        return t.cast(Json, run_module("topology_info", params=given))

    return call


def names(kubectl: t.Any, kind: str, *more: str) -> set[str]:
    listed = kubectl("get", kind, *(more or ("--all-namespaces",)), "-o", "json")["items"]
    return {
        "/".join(part for part in (item["metadata"].get("namespace"), item["metadata"]["name"]) if part)
        for item in listed
    }


def lasting(objects: t.Iterable[str], mesh: Mesh) -> set[str]:
    """Leave out what is in the namespaces of other tests: they come and go while two readings are compared."""
    foreign = re.compile(rf"(?!{mesh.namespace}/)test-[0-9a-f]+/")
    return {name for name in objects if not foreign.match(name)}


@pytest.mark.alone
def test_the_live_mesh_is_what_kubectl_sees(info: t.Any, kubectl: t.Any, mesh: Mesh) -> None:
    result = info()
    assert not result.get("failed"), result
    assert (result["problems"], result["assumptions"]) == ([], [])
    snapshot = _seen(result)
    assert snapshot["sources"][0].startswith("the API server https://")
    assert {node["name"] for node in snapshot["nodes"]} == names(kubectl, "nodes")
    pods = {f"{pod['namespace']}/{pod['name']}": pod for pod in snapshot["pods"]}
    assert lasting(pods, mesh) == lasting(names(kubectl, "pods"), mesh)
    services = {service["source"].removeprefix("Service "): service for service in snapshot["services"]}
    assert lasting(services, mesh) == lasting(names(kubectl, "services"), mesh)
    rules = {f"{rule['namespace']}/{rule['name']}" for rule in snapshot["destination_rules"]}
    assert lasting(rules, mesh) == lasting(names(kubectl, "destinationrules"), mesh)
    # Each address of each EndpointSlice of the mesh's Service, with its pod and conditions.
    slices = mesh.get("endpointslices", "-l", "kubernetes.io/service-name=helloworld")["items"]
    wanted = {
        (address, f"{mesh.namespace}/{endpoint['targetRef']['name']}", endpoint["conditions"]["ready"])
        for item in slices
        for endpoint in item["endpoints"]
        for address in endpoint["addresses"]
    }
    endpoints = services[f"{mesh.namespace}/helloworld"]["endpoints"]
    assert {(endpoint["address"], endpoint["pod"], endpoint["ready"]) for endpoint in endpoints} == wanted
    assert len(endpoints) == 3
    istiod = kubectl("get", "deployment", "istiod", "-n", "istio-system", "-o", "json")
    image = istiod["spec"]["template"]["spec"]["containers"][0]["image"]
    assert snapshot["mesh"]["version"] == image.rpartition(":")[2]
    assert snapshot["mesh"]["revision"] == "default"


def test_the_clients_have_the_place_that_their_pods_name(info: t.Any, mesh: Mesh) -> None:
    clients = {c["pod"].rsplit("-", 2)[0]: c for c in info()["clients"] if c["namespace"] == mesh.namespace}
    assert {name: client["locality"] for name, client in clients.items()} == {
        "sleep": PLACES["tianjin"],
        **{f"helloworld-{place}": PLACES[place] for place in PLACES},
    }
    assert {client["type"] for client in clients.values()} == {"sidecar"}
    assert clients["sleep"]["node"] == mesh.pod("app=sleep")["spec"]["nodeName"]


def test_the_summary_counts_what_is_there(info: t.Any, mesh: Mesh) -> None:
    summary = info()["summary"]
    assert summary["istio_version"].startswith("1.")
    beijing = summary["localities"][PLACES["beijing"]]
    assert (beijing["pods"], beijing["clients"], beijing["endpoints"]) >= (1, 1, 1)
    assert sum(place["endpoints"] for place in summary["localities"].values()) == summary["endpoints"]
    assert sum(place["nodes"] for place in summary["localities"].values()) == summary["nodes"]


@pytest.fixture
def user(fault_proxy: t.Any, kubectl: t.Any, namespace: str) -> t.Iterator[t.Callable[..., str]]:
    """Make a ServiceAccount with rules everywhere and in its namespace, and return its kubeconfig."""

    def make(everywhere: list[Json], here: t.Sequence[Json] = ()) -> str:
        subject = [{"kind": "ServiceAccount", "name": "limited", "namespace": namespace}]
        group = "rbac.authorization.k8s.io"
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "limited", "namespace": namespace},
        }
        manifests: list[Json] = [account]
        for prefix, rules, place in (("Cluster", everywhere, {}), ("", here, {"namespace": namespace})):
            reference = {"apiGroup": group, "kind": f"{prefix}Role", "name": namespace}
            metadata = {"name": namespace, **place}
            manifests += [
                {"apiVersion": f"{group}/v1", "kind": f"{prefix}Role", "metadata": metadata, "rules": list(rules)},
                {
                    "apiVersion": f"{group}/v1",
                    "kind": f"{prefix}RoleBinding",
                    "metadata": metadata,
                    "subjects": subject,
                    "roleRef": reference,
                },
            ]
        kubectl("apply", "-f", "-", given=manifests)
        token = kubectl("create", "token", "limited", "-n", namespace)
        return str(fault_proxy.kubeconfig_for(token))

    yield make
    kubectl("delete", "clusterrole,clusterrolebinding", namespace, "--ignore-not-found")


READING = {"apiGroups": ["*"], "verbs": ["list"], "resources": ["pods", "services", "endpointslices", "deployments"]}


def test_rights_that_are_missing_are_named_with_what_is_missing_because_of_them(
    info: t.Any, user: t.Any, mesh: Mesh, fault_proxy: t.Any
) -> None:
    result = info(kubeconfig=user([READING]))
    assert not result.get("failed"), result
    sentences = "\n".join(problem["text"] for problem in result["problems"])
    for text in (
        "nodes: may not be read (403): grant the verb 'list' on nodes. Without them a pod has a locality only by",
        "sidecars.networking.istio.io: may not be read (403): grant the verb 'list' on sidecars.networking.istio.io.",
        "configmaps/istio in istio-system: may not be read (403): grant the verb 'get'.",
        "namespaces: may not be read (403)",
    ):
        assert text in sentences
    assert "pods:" not in sentences
    assert result["snapshot"].get("nodes", []) == []
    clients = {c["pod"].rsplit("-", 2)[0]: c for c in result["clients"] if c["namespace"] == mesh.namespace}
    assert clients["sleep"]["locality"] == PLACES["tianjin"], "by the label of the pod"
    assert result["summary"]["istio_version"].startswith("1."), "from istiod's Deployment"
    assert fault_proxy.count("GET", "/secrets") == 0


def test_a_team_that_may_read_its_own_namespace_only(info: t.Any, user: t.Any, kubectl: t.Any, namespace: str) -> None:
    kubectl(
        "run",
        "lone",
        "-n",
        namespace,
        "--image=curlimages/curl",
        "--image-pull-policy=IfNotPresent",
        "--",
        "sleep",
        "9",
    )
    mine = {"apiGroups": ["*"], "verbs": ["list", "get"], "resources": ["*"]}
    kubeconfig = user([], [mine])
    assert "Grant the verb 'list' on pods" in info(kubeconfig=kubeconfig)["msg"]
    result = info(kubeconfig=kubeconfig, namespaces=[namespace])
    assert not result.get("failed"), result
    assert [pod["name"] for pod in _seen(result)["pods"]] == ["lone"]
    assert {"namespaces": namespace} in [
        assumption["parameters"] for assumption in result["assumptions"] if assumption["code"] == "some-namespaces-read"
    ]
    sentences = "\n".join(problem["text"] for problem in result["problems"])
    assert "namespaces: may not be read in istio-system (403): grant the verb 'get' on namespaces" in sentences
    assert "destinationrules.networking.istio.io: may not be read in istio-system (403)" in sentences
    missing = info(kubeconfig=str(kubeconfig), namespaces=[namespace, "no-such-namespace-here"])
    assert "may not be read in no-such-namespace-here" in str(missing.get("problems"))


def test_kinds_that_the_api_server_does_not_know(info: t.Any, fault_proxy: t.Any, mesh: Mesh) -> None:
    fault_proxy.add("GET", "networking.istio.io/v1/sidecars", status=404)
    result = info(kubeconfig=str(fault_proxy.kubeconfig))
    (problem,) = result["problems"]
    assert (
        "the API server does not know Sidecar of networking.istio.io/v1 (404). Without them every client"
        in problem["text"]
    )
    assert problem["code"] == "kind-unknown"
    assert result["summary"]["clients"] >= 4


def test_a_cluster_without_istio(info: t.Any, fault_proxy: t.Any, namespace: str) -> None:
    for group in ("networking.istio.io", "security.istio.io"):
        fault_proxy.add("GET", group, status=404)
    given = {"kubeconfig": str(fault_proxy.kubeconfig), "namespaces": [namespace], "control_plane_namespace": "nowhere"}
    message = info(**given)["msg"]
    assert message.startswith("Istio is not installed in the cluster https://")
    assert "Check the kubeconfig and control_plane_namespace, or give manifests." in message
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
    assert not info(**given, definitions=[service]).get("failed")


def _cluster(fault_proxy: t.Any, page: int) -> t.Any:
    """The client through the proxy, with small pages."""
    configuration = kubernetes.client.Configuration()
    load: t.Any = kubernetes.config.load_kube_config
    load(str(fault_proxy.kubeconfig), client_configuration=configuration)
    cluster = Cluster(kubernetes.client.ApiClient(configuration), {})
    cluster.each = functools.partial(cluster.each, page=page)  # type: ignore[method-assign]
    return cluster


def _pods(live: live_objects.Live) -> list[str]:
    metadata = [item["metadata"] for item in live.objects if item["kind"] == "Pod"]
    return [f"{fields['namespace']}/{fields['name']}" for fields in metadata]


def _pods_of(mesh: Mesh) -> set[str]:
    return {f"{mesh.namespace}/{pod['metadata']['name']}" for pod in mesh.get("pods")["items"]}


@pytest.mark.alone
def test_faults_in_the_middle_of_paging(fault_proxy: t.Any, mesh: Mesh) -> None:
    faults = [
        fault_proxy.add("GET", "/pods.*continue=", status=429, times=1, headers={"Retry-After": "1"}),
        fault_proxy.add("GET", "/pods.*continue=", status=500, times=1),
        fault_proxy.add("GET", "/services.*continue=", reset=True, times=1),
        fault_proxy.add("GET", "/configmaps/istio", status=503, times=1),
    ]
    live = live_objects.read(_cluster(fault_proxy, 2), WantedControlPlane())
    assert [fault.times for fault in faults] == [0, 0, 0, 0]
    assert live.problems == []
    pods = _pods(live)
    assert len(pods) == len(set(pods))
    assert {name for name in pods if name.startswith(mesh.namespace)} == _pods_of(mesh)


def test_a_list_that_expires_while_it_is_read_starts_over(fault_proxy: t.Any, mesh: Mesh) -> None:
    expired = fault_proxy.add("GET", "/pods.*continue=", status=410, times=1)
    live = live_objects.read(_cluster(fault_proxy, 2), WantedControlPlane())
    assert expired.times == 0
    pods = _pods(live)
    assert len(pods) == len(set(pods)), "what the first pages had is not there twice"
    assert {name for name in pods if name.startswith(mesh.namespace)} == _pods_of(mesh)


KINDS = "nodes,namespaces,pods,services,endpointslices,deployments,statefulsets,daemonsets,hpa"
RULES = "destinationrules,virtualservices,serviceentries,workloadentries,sidecars"


def _seen(result: Json) -> Json:
    """What istiod sees in a snapshot, as plain values."""
    return t.cast(Json, to_json(snapshot_document.read(result["snapshot"]).snapshot))


def _of(result: Json, namespace: str) -> Json:
    """What a snapshot says about one namespace, the nodes and the control plane."""
    plain = _seen(result)
    listed = ("pods", "services", "workloads", "destination_rules", "virtual_services", "sidecars")
    mine = {
        name: [endpoint for endpoint in plain.get(name, []) if endpoint["namespace"] == namespace] for name in listed
    }
    return {**mine, "nodes": plain["nodes"], "mesh": plain["mesh"], "problems": plain.get("problems")}


@pytest.mark.alone
def test_what_kubectl_exports_gives_the_same_snapshot_without_cluster_and_library(
    info: t.Any, run_module: t.Any, kubectl: t.Any, mesh: Mesh, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    (tmp_path / "none" / "kubernetes").mkdir(parents=True)
    (tmp_path / "none" / "kubernetes" / "__init__.py").write_text("raise ImportError('no kubernetes here')")
    env = {"PYTHONPATH": str(tmp_path / "none"), "HOME": str(tmp_path), "KUBECONFIG": "/nowhere"}

    def labels_of_nodes() -> list[Json]:
        return [node["metadata"]["labels"] for node in kubectl("get", "nodes", "-o", "json")["items"]]

    for _attempt in range(5):  # tests that run meanwhile label nodes: both have to be of the same labels
        before = labels_of_nodes()
        (folder / "kinds.yaml").write_text(kubectl("get", KINDS, "--all-namespaces", "-o", "yaml"))
        (folder / "rules.json").write_text(json.dumps(kubectl("get", RULES, "--all-namespaces", "-o", "json")))
        (folder / "mesh.yaml").write_text(kubectl("get", "configmap", "istio", "-n", "istio-system", "-o", "yaml"))
        live = info()
        if labels_of_nodes() == before:
            break
    offline = run_module("topology_info", env=env, params={"live": False, "manifests": [str(folder)]})
    assert not offline.get("failed"), offline
    # Tests that run meanwhile have namespaces of their own, with pods that no node takes.
    sentences = [assumption["text"] for assumption in (*offline["assumptions"], *offline["problems"])]
    assert [
        sentence
        for sentence in sentences
        if mesh.namespace in sentence or not re.search(r"\btest-[0-9a-f]{10}/", sentence)
    ] == []
    assert _of(offline, mesh.namespace) == _of(live, mesh.namespace)
    assert [c for c in offline["clients"] if c["namespace"] == mesh.namespace] == [
        c for c in live["clients"] if c["namespace"] == mesh.namespace
    ]
    needs = run_module("topology_info", env=env, params={"live": True, "all_namespaces": True})
    assert "kubernetes" in needs["msg"]
    assert "Traceback" not in needs["msg"]


@pytest.mark.alone
def test_manifests_alone_come_near_to_what_the_cluster_makes_of_them(
    info: t.Any, kubectl: t.Any, mesh: Mesh, tmp_path: Path
) -> None:
    """Replicas, their proxies, and what the EndpointSlice controller would make of ports and selectors."""
    (tmp_path / "app.json").write_text(json.dumps(mesh.get("deployments,services,destinationrules")))
    (tmp_path / "cluster.json").write_text(json.dumps(kubectl("get", "nodes,namespaces", "-o", "json")))
    offline = info(live=False, manifests=[str(tmp_path)], istio_version="1.31")
    live = info()

    def seen(result: Json) -> t.Any:
        plain = _of(result, mesh.namespace)
        pods = {
            (pod["workload"], pod.get("proxy", ""), pod.get("revision", ""), pod["labels"]["app"])
            for pod in plain["pods"]
        }
        endpoints = sorted(
            (endpoint["ports"], endpoint["ready"], endpoint["serving"])
            for service in plain["services"]
            for endpoint in service["endpoints"]
        )
        clients = sorted((c["locality"], c["type"]) for c in result["clients"] if c["namespace"] == mesh.namespace)
        return pods, endpoints, clients, plain["workloads"], plain["destination_rules"], plain["nodes"]

    assert seen(offline) == seen(live)
    assert offline["summary"]["assumed_pods"] == 5
    assert all(pod["node"] for pod in _of(offline, mesh.namespace)["pods"])


def test_what_if(info: t.Any, kubectl: t.Any, mesh: Mesh) -> None:
    """Objects of manifests replace those of the cluster; new workloads are placed on its nodes."""
    node = mesh.pod("app=sleep")["spec"]["nodeName"]
    rule = mesh.get("destinationrule", "helloworld")
    rule["spec"]["trafficPolicy"] = {"outlierDetection": {"consecutive5xxErrors": 7}}
    labels = {"app": "helloworld", "version": "new"}
    container = {"name": "main", "image": "x", "env": [{"name": "PASSWORD", "value": "hunter2-hunter2"}]}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "helloworld-new", "namespace": mesh.namespace},
        "spec": {
            "replicas": 2,
            "template": {
                "metadata": {"labels": labels},
                "spec": {"nodeSelector": {"kubernetes.io/hostname": node}, "containers": [container]},
            },
        },
    }
    result = info(definitions=[rule, deployment])
    plain = _of(result, mesh.namespace)
    assert plain["destination_rules"][0]["spec"]["trafficPolicy"] == rule["spec"]["trafficPolicy"]
    new = [pod for pod in plain["pods"] if pod.get("assumed")]
    assert {(pod["node"], pod["proxy"]) for pod in new} == {(node, "sidecar")}
    (service,) = [
        plain_service for plain_service in plain["services"] if plain_service["source"].endswith("/helloworld")
    ]
    assert len(service["endpoints"]) == 3 + len(new) == 5
    assert "2 pods that do not exist are put in for Deployment" in "\n".join(
        assumption["text"] for assumption in result["assumptions"]
    )
    assert "hunter2" not in json.dumps(result["snapshot"])


def test_a_snapshot_in_a_file(info: t.Any, kubectl: t.Any, mesh: Mesh, tmp_path: Path) -> None:
    path = tmp_path / "mesh.json"
    given = {"namespaces": [mesh.namespace], "path": str(path)}
    first = info(**given)
    assert (first["changed"], first["path"]) == (True, str(path))
    plain = json.loads(path.read_text(encoding="utf-8"))
    assert plain == first["snapshot"]
    jsonschema.Draft202012Validator(snapshot_document.schema()).validate(plain)
    labelled = kubectl("label", "--local", "-f", str(path), "seen=by-kubectl", "-o", "name")
    assert len(labelled.split()) == len(plain["items"]), "kubectl reads each object of it"
    second = info(**given, return_snapshot=False)
    assert not second["changed"], "only the time is another one"
    assert not {"snapshot", "clients"} & set(second)
    again = info(live=False, manifests=[str(path)])
    assert again["snapshot"] == plain
    assert again["clients"] == first["clients"]
    assert "Set live to false, or leave the snapshot out." in info(manifests=[str(path)])["msg"]


def test_check_mode_writes_no_file(run_module: t.Any, kubeconfig: Path, mesh: Mesh, tmp_path: Path) -> None:
    params = {"kubeconfig": str(kubeconfig), "namespaces": [mesh.namespace], "path": str(tmp_path / "x.json")}
    result = run_module("topology_info", check=True, params=params)
    assert result["changed"]
    assert _seen(result)["pods"]
    assert not (tmp_path / "x.json").exists()


def test_no_secret_gets_in(info: t.Any, kubectl: t.Any, namespace: str) -> None:
    secret = "hunter2-hunter2"
    encoded = base64.b64encode(secret.encode()).decode()
    pod = {
        "metadata": {"name": "p", "annotations": {"note": secret}},
        "spec": {
            "containers": [
                {
                    "name": "main",
                    "image": "curlimages/curl",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/bin/sleep", "60"],
                    "args": [secret],
                    "env": [{"name": "PASSWORD", "value": secret}],
                }
            ]
        },
    }
    route = {
        "hosts": ["x"],
        "http": [
            {"headers": {"request": {"set": {"authorization": secret}}}, "route": [{"destination": {"host": "x"}}]}
        ],
    }
    rules: list[Json] = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": secret}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": secret}},
        {"apiVersion": "v1", "kind": "Pod", **pod},
        {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "x"}, "spec": route},
    ]
    kubectl("apply", "-n", namespace, "-f", "-", given=rules)
    result = info(namespaces=[namespace])
    output = json.dumps(result["snapshot"])
    assert [route["name"] for route in _seen(result)["virtual_services"]] == ["x"]
    assert secret not in output
    assert encoded not in output
    # What kubectl apply and the injector write down is no part of it either.
    assert "last-applied-configuration" not in output
    assert "kube-api-access" not in output


def test_input_that_makes_no_sense(run_playbook: t.Any, kubeconfig: Path) -> None:
    wanted: dict[str, Json] = {
        "There is nothing to make a snapshot of: live is false": {"live": False},
        "There is no file or folder /no/such/folder.": {"live": False, "manifests": ["/no/such/folder"]},
        "manifests and definitions have no object that is read": {
            "live": False,
            "definitions": [{"kind": "ConfigMap"}],
        },
        "Istio '2.7' is not among the versions": {"istio_version": "2.7", "all_namespaces": True},
        "There is no istiod of revision 'none'. The revisions are default": {
            "revision": "none",
            "all_namespaces": True,
        },
        "The namespace no-such-namespace-here does not exist.": {"namespaces": ["no-such-namespace-here"]},
    }
    tasks = [
        {"name": sentence.split()[-1], "meshops.locality.topology_info": params, "ignore_errors": True}
        for sentence, params in wanted.items()
    ]
    play = {"hosts": "all", "gather_facts": False, "tasks": tasks}
    messages = [result["msg"] for result in run_playbook([play], kubeconfig=kubeconfig).results()]
    assert len(messages) == len(wanted)
    assert [wording for wording, message in zip(wanted, messages, strict=True) if wording not in message] == []


def test_a_version_of_istiod_that_is_not_known(info: t.Any, kubectl: t.Any) -> None:
    istiod = kubectl("get", "deployment", "istiod", "-n", "istio-system", "-o", "json")
    istiod["spec"]["template"]["spec"]["containers"][0]["image"] = "istio/pilot:1.99.0"
    result = info(definitions=[istiod])
    assert result["summary"]["istio_version"] == "1.99.0"
    assert not result["problems"]


def test_objects_that_change_requests_and_are_not_read_are_named(info: t.Any, mesh: Mesh) -> None:
    """Without this a mesh whose EnvoyFilter takes outlier detection away gets the same forecast as any other."""

    def not_read() -> list[Json]:
        result = info(namespaces=[mesh.namespace])
        assert result["problems"] == []
        return [entry for entry in result["not_judged"] if entry["code"] == "kind-not-read"]

    assert not_read() == []
    mesh.apply(
        {
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "EnvoyFilter",
            "metadata": {"name": "other-outliers"},
            "spec": {
                "workloadSelector": {"labels": {"app": "nobody"}},
                "configPatches": [
                    {"applyTo": "CLUSTER", "patch": {"operation": "MERGE", "value": {"connect_timeout": "5s"}}}
                ],
            },
        },
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"name": "deny"},
            "spec": {"action": "DENY", "selector": {"matchLabels": {"app": "nobody"}}, "rules": [{}]},
        },
        *(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {"name": name, "annotations": {"kubernetes.io/ingress.class": name}},
                "spec": {"defaultBackend": {"service": {"name": "nobody", "port": {"number": 80}}}},
            }
            for name in ("istio", "nginx")
        ),
    )
    applied = ("envoyfilter/other-outliers", "authorizationpolicy/deny", "ingress/istio", "ingress/nginx")
    try:
        policy, filter_, ingress = not_read()
    finally:
        mesh.kubectl("-n", mesh.namespace, "delete", *applied)
    assert ingress["what"] == f"Ingress is not read: Ingress {mesh.namespace}/istio."
    assert filter_["what"] == f"EnvoyFilter is not read: EnvoyFilter {mesh.namespace}/other-outliers."
    assert policy["what"] == f"AuthorizationPolicy is not read: AuthorizationPolicy {mesh.namespace}/deny."
    assert policy["hides"] == "requests that it denies"
