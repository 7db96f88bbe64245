# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of kinds that are not read and that change what becomes of requests are named, with what they hide."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._forecast.not_judged import not_judged
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._model.not_judged import NotJudged
from ansible_collections.meshops.locality.plugins.module_utils._module.topology_info import assembled
from ansible_collections.meshops.locality.plugins.module_utils._source import manifests
from ansible_collections.meshops.locality.plugins.module_utils._source.control_plane import WantedControlPlane

Json = dict[str, t.Any]


def item(version: str, kind: str, name: str = "thing", spec: Json | None = None, **metadata: t.Any) -> Json:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop", **metadata},
        "spec": spec or {},
    }


SERVICE = item("v1", "Service", "web", {"ports": [{"name": "http", "port": 80}], "clusterIP": "10.0.0.1"})


def named(*objects: Json) -> dict[str, NotJudged]:
    """Return what is not judged of these objects, by kind or else by code."""
    document = assembled(None, manifests.read([], [SERVICE, *objects]), WantedControlPlane(version="1.31"), "")
    entries = not_judged(Planner(document.snapshot))
    return {entry.parameters.get("kind", entry.code): entry for entry in entries}


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("networking.istio.io/v1alpha3", "EnvoyFilter"),
        ("networking.istio.io/v1beta1", "ProxyConfig"),
        ("extensions.istio.io/v1alpha1", "WasmPlugin"),
        ("extensions.istio.io/v1alpha1", "TrafficExtension"),
        ("security.istio.io/v1", "AuthorizationPolicy"),
        ("inference.networking.k8s.io/v1", "InferencePool"),
        ("gateway.networking.k8s.io/v1alpha2", "UDPRoute"),
        ("gateway.networking.k8s.io/v1", "BackendTLSPolicy"),
        ("gateway.networking.x-k8s.io/v1alpha1", "XBackendTrafficPolicy"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("keda.sh/v1alpha1", "ScaledObject"),
        ("flagger.app/v1beta1", "Canary"),
        ("v1", "ResourceQuota"),
    ],
)
def test_a_kind_that_is_not_read_is_named_with_what_it_hides(version: str, kind: str) -> None:
    entry = named(item(version, kind))[kind]
    assert (entry.code, entry.what) == ("kind-not-read", f"{kind} is not read: {kind} shop/thing.")
    assert entry.hides


ZONED: Json = {"nodeAffinity": {"required": {}}}
STORAGE = {**item("storage.k8s.io/v1", "StorageClass", "ssd"), "allowedTopologies": [{"matchLabelExpressions": []}]}
CLAIMS = item("apps/v1", "StatefulSet", "db", {"replicas": 0, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]})


@pytest.mark.parametrize(
    ("objects", "kind", "what"),
    [
        ([item("argoproj.io/v1alpha1", "Rollout", "web", {"workloadRef": {"name": "web"}})], "Rollout", "shop/web"),
        ([item("argoproj.io/v1alpha1", "Rollout", "web")], "Rollout", ""),
        ([STORAGE, CLAIMS], "StorageClass", "ssd"),
        ([STORAGE], "StorageClass", ""),
        ([item("storage.k8s.io/v1", "StorageClass", "ssd"), CLAIMS], "StorageClass", ""),
        ([item("v1", "PersistentVolume", "disk", ZONED), CLAIMS], "PersistentVolume", "disk"),
        ([item("v1", "PersistentVolume", "disk"), CLAIMS], "PersistentVolume", ""),
    ],
)
def test_a_kind_is_named_where_its_object_changes_something(objects: list[Json], kind: str, what: str) -> None:
    entry = named(*objects).get(kind)
    assert (entry.what if entry else "") == (f"{kind} is not read: {kind} {what}." if what else "")


def test_a_cron_job_is_a_workload_that_is_not_read() -> None:
    template = {"metadata": {"labels": {"app": "n"}}, "spec": {"containers": [{"name": "n"}]}}
    entry = named(item("batch/v1", "CronJob", "nightly", {"jobTemplate": {"spec": {"template": template}}}))
    assert entry["workload-not-read"].parameters["workloads"] == "CronJob shop/nightly"


def test_replicas_that_find_no_node_were_read() -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {"unschedulable": True}}
    entries = named(workload(), node)
    assert entries["replicas-without-node"].parameters["workloads"] == "Deployment shop/caller"
    assert "unreadable" not in entries


def test_kinds_that_do_nothing_to_requests_are_not_named() -> None:
    assert "Telemetry" not in named(item("telemetry.istio.io/v1", "Telemetry"))


def ingress(annotation: str | None = None, class_name: str | None = None) -> Json:
    annotations = {} if annotation is None else {"kubernetes.io/ingress.class": annotation}
    spec = {} if class_name is None else {"ingressClassName": class_name}
    return item("networking.k8s.io/v1", "Ingress", "shop", spec, annotations=annotations)


def ingress_class(name: str, controller: str) -> Json:
    return {**item("networking.k8s.io/v1", "IngressClass", name, {"controller": controller})}


def mesh_config(text: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": text},
    }


@pytest.mark.parametrize(
    ("objects", "of_istio"),
    [
        ([ingress("istio")], True),
        ([ingress("nginx")], False),
        ([ingress(class_name="istio")], True),
        ([ingress(class_name="nginx")], False),
        ([ingress(class_name="public"), ingress_class("public", "istio.io/ingress-controller")], True),
        ([ingress(class_name="istio"), ingress_class("istio", "k8s.io/ingress-nginx")], False),
        # The annotation goes before the field.
        ([ingress("nginx", "istio")], False),
        ([ingress()], False),
        ([ingress(), mesh_config("ingressControllerMode: DEFAULT")], True),
        ([ingress("edge"), mesh_config("ingressClass: edge")], True),
        ([ingress("istio"), mesh_config("ingressControllerMode: OFF")], False),
    ],
)
def test_an_ingress_of_istios_class_is_named(objects: list[Json], of_istio: bool) -> None:
    entry = named(*objects).get("Ingress")
    assert (entry is not None) is of_istio
    if entry is not None:
        assert (entry.code, entry.what) == ("kind-not-read", "Ingress is not read: Ingress shop/shop.")
        assert entry.hides == "requests that enter by them"


@pytest.mark.parametrize(
    ("backend", "name"),
    [
        (
            {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "llm", "port": 80},
            "InferencePool shop/llm of HTTPRoute shop/way",
        ),
        ({"group": "example.com", "kind": "Bucket", "name": "b"}, "Bucket shop/b of HTTPRoute shop/way"),
        ({"name": "web", "port": 80}, ""),
        # istiod refuses it, and that is judged.
        ({"name": "web"}, ""),
        ({"group": "networking.istio.io", "kind": "Hostname", "name": "web.example.com", "port": 80}, ""),
    ],
)
def test_a_backend_of_a_kind_that_is_not_read_is_named(backend: Json, name: str) -> None:
    parents = [{"group": "", "kind": "Service", "name": "web"}]
    spec = {"parentRefs": parents, "rules": [{"backendRefs": [backend]}]}
    entry = named(item("gateway.networking.k8s.io/v1", "HTTPRoute", "way", spec)).get("backend-not-read")
    assert (entry.parameters["backends"] if entry else "") == name


def workload(**annotations: str) -> Json:
    """Return a Deployment whose pods get a sidecar, with annotations of the injector."""
    metadata = {
        "labels": {"app": "caller", "sidecar.istio.io/inject": "true"},
        "annotations": {name.replace("__", "/").replace("_", "."): text for name, text in annotations.items()},
    }
    template = {"metadata": metadata, "spec": {"containers": [{"name": "app"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "caller"}}, "template": template}
    return item("apps/v1", "Deployment", "caller", spec)


@pytest.mark.parametrize(
    ("annotations", "past"),
    [
        ({"traffic_sidecar_istio_io__excludeOutboundPorts": "80,3306"}, "excludeOutboundPorts 80,3306"),
        ({"traffic_sidecar_istio_io__includeOutboundIPRanges": "10.0.0.0/8"}, "includeOutboundIPRanges 10.0.0.0/8"),
        ({"sidecar_istio_io__interceptionMode": "NONE"}, "interceptionMode NONE"),
        # What the injector itself writes with Istio's CNI.
        (
            {
                "traffic_sidecar_istio_io__excludeOutboundPorts": "",
                "traffic_sidecar_istio_io__includeOutboundIPRanges": "*",
                "sidecar_istio_io__interceptionMode": "REDIRECT",
            },
            "",
        ),
    ],
)
def test_a_pod_whose_connections_go_past_its_envoy_is_named(annotations: dict[str, str], past: str) -> None:
    entry = named(workload(**annotations)).get("past-envoy")
    assert (entry.parameters["pods"] if entry else "") == (f"Deployment shop/caller ({past})" if past else "")


def test_of_a_pod_that_runs_its_own_annotations_count() -> None:
    running = item(
        "v1",
        "Pod",
        "caller-1",
        {"nodeName": "n", "containers": [{"name": "istio-proxy", "args": ["proxy", "sidecar"]}]},
        annotations={"traffic.sidecar.istio.io/excludeOutboundIPRanges": "10.0.0.1/32"},
    )
    running["status"] = {"podIP": "10.4.0.1"}
    assert named(running)["past-envoy"].parameters["pods"] == "Pod shop/caller-1 (excludeOutboundIPRanges 10.0.0.1/32)"
    running["spec"]["containers"] = [{"name": "app"}]
    assert "past-envoy" not in named(running)
