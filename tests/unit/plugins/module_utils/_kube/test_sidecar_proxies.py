# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import EnvoyEndpoint
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    Forbidden,
    InvalidInput,
    NotFound,
    NotReady,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import (
    PodIndex,
    Proxy,
    namespaces_of,
    no_cluster,
    read_proxies,
)
from ansible_collections.meshops.locality.plugins.module_utils._module import listener_drain
from ansible_collections.meshops.locality.plugins.module_utils._module.endpoints_info import ClusterQuery, join

POD = {
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "uid": "u1",
        "labels": {"app": "web"},
        "annotations": {"sidecar.istio.io/status": '{"revision": "canary"}'},
    },
    "spec": {
        "nodeName": "n1",
        "restartPolicy": "Always",
        "containers": [{"name": "web"}, {"name": "istio-proxy"}],
    },
    "status": {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [
            {"name": "web", "ready": True, "restartCount": 2, "state": {"running": {}}},
            {"name": "istio-proxy", "ready": True, "restartCount": 1, "state": {"running": {}}},
        ],
    },
}
NODE = {
    "metadata": {"name": "n1", "labels": {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z2"}}
}
HOST = "outbound|80||web.shop.svc.cluster.local"


def pod(**changes) -> dict:
    """A copy of POD; `changes` are path (with dots as __) → value, None removes."""
    copied = copy.deepcopy(POD)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place: t.Any = copied
        for name in parents:
            place = place[name]
        place[last] = value
    return copied


class FakeCluster:
    """Answers list and get from what it was given; a kind that is an exception is raised."""

    def __init__(self, **kinds) -> None:
        self.kinds = kinds

    def list(self, kind, namespace=None, *, labels=None, fields=None):
        listed = self.kinds.get(kind.plural, [])
        if isinstance(listed, Exception):
            raise listed
        return [item for item in listed if not namespace or item["metadata"].get("namespace", namespace) == namespace]

    def each(self, kind, take, namespace=None, *, lean=False):
        return [take(item) for item in self.list(kind, namespace)]

    def get(self, kind, name, namespace=None):
        return next((item for item in self.list(kind, namespace) if item["metadata"]["name"] == name), None)

    def map(self, function, items, workers=16):
        return [function(item) for item in items]


def test_a_pod_with_a_classic_sidecar():
    proxy = Proxy.of(POD)
    assert (proxy.kind, proxy.ready, proxy.restarts, proxy.problem) == ("classic", True, 1, "")
    assert (proxy.revision, proxy.containers, proxy.default_container) == ("canary", ("web",), "web")
    assert proxy.app_restarts == {"web": 2}


def test_a_pod_with_a_native_sidecar():
    status = {"name": "istio-proxy", "ready": True, "restartCount": 4, "state": {"running": {}}}
    native = pod(
        spec__containers=[{"name": "web"}],
        spec__initContainers=[{"name": "istio-proxy", "restartPolicy": "Always"}],
        status__initContainerStatuses=[status],
        status__containerStatuses=[],
    )
    assert (Proxy.of(native).kind, Proxy.of(native).restarts, Proxy.of(native).problem) == ("native", 4, "")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"spec__containers": [{"name": "web"}]}, "no Istio sidecar"),
        ({"metadata__deletionTimestamp": "2026-11-23T00:00:00Z"}, "being deleted"),
        ({"status__phase": "Succeeded"}, "has ended"),
        ({"spec__nodeName": ""}, "not scheduled"),
        ({"status__containerStatuses": []}, "not started yet"),
        (
            {
                "status__containerStatuses": [
                    {
                        "name": "istio-proxy",
                        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                    }
                ]
            },
            "CrashLoopBackOff: back-off 10s",
        ),
    ],
)
def test_why_a_sidecar_cannot_be_asked(changes, says):
    assert says in Proxy.of(pod(**changes)).problem


def test_a_broken_status_annotation_is_no_reason_to_fail():
    labels = {"istio.io/rev": "default"}
    broken = pod(metadata__annotations={"sidecar.istio.io/status": "{broken"}, metadata__labels=labels)
    assert Proxy.of(broken).revision == "default"


def test_reading_by_name_and_by_selector():
    cluster = FakeCluster(pods=[POD, pod(metadata__name="web-0"), pod(metadata__name="done", status__phase="Failed")])
    assert [proxy.pod for proxy in read_proxies(cluster, "shop", None, "app=web")] == ["web-0", "web-1"]
    assert [proxy.pod for proxy in read_proxies(cluster, "shop", ["web-1", "web-1"])] == ["web-1"]


def test_names_that_do_not_exist():
    cluster = FakeCluster(pods=[POD], namespaces=[{"metadata": {"name": "shop"}}])
    with pytest.raises(NotFound, match=r"Pod web-2 does not exist in namespace shop\. Did you mean web-1\?"):
        read_proxies(cluster, "shop", ["web-2"])
    with pytest.raises(NotFound, match=r"Namespace shopp does not exist"):
        read_proxies(cluster, "shopp", None, "app=web")
    with pytest.raises(NotFound, match="No running pod in namespace shop matches the label selector"):
        read_proxies(FakeCluster(namespaces=[{"metadata": {"name": "shop"}}]), "shop", None, "app=nothing")


def endpoint(address: str = "10.0.0.1:80", zone: str = "z1", cluster: str = HOST) -> EnvoyEndpoint:
    from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality

    return EnvoyEndpoint(cluster, address, locality=Locality("r", zone))


def test_an_endpoint_is_joined_with_its_pod_and_a_relabelled_node_makes_it_stale():
    places = PodIndex(FakeCluster(pods=[POD], nodes=[NODE]), {"shop"})
    joined = join(endpoint(zone="z1"), places)
    assert (joined["pod"], joined["node"], joined["locality_now"], joined["stale"]) == ("web-1", "n1", "r/z2", True)
    assert join(endpoint(zone="z2"), places)["stale"] is False
    assert join(endpoint("[fd00::1]:80", "z2"), places)["pod"] == "web-1"


def test_an_unknown_address_is_not_stale():
    joined = join(endpoint("10.9.9.9:80"), PodIndex(FakeCluster(pods=[POD], nodes=[NODE]), {"shop"}))
    assert (joined["pod"], joined["stale"]) == ("", False)


def test_what_may_not_be_read_is_unknown_and_no_failure():
    places = PodIndex(FakeCluster(pods=Forbidden("no"), nodes=Forbidden("no")), {"shop"})
    assert (places.unreadable, places.nodes) == (["shop"], {})
    assert join(endpoint(), places)["stale"] is False


def test_which_clusters_are_asked_for():
    v1 = endpoint(cluster="outbound|80|v1|web.shop.svc.cluster.local")
    assert ClusterQuery("web", 80).wants(v1, "shop")
    assert not ClusterQuery("web", 80, "").wants(v1, "shop")
    assert not ClusterQuery("web", 81).wants(v1, "shop")
    assert not ClusterQuery("web").wants(endpoint(cluster="inbound|80||"), "shop")
    assert ClusterQuery().wants(v1, "anywhere")


def test_namespaces_of_endpoints():
    external = endpoint(cluster="outbound|443||api.example.com")
    assert namespaces_of([endpoint(), external, endpoint(cluster="inbound|80||")]) == {"shop"}


def test_an_unknown_host_names_those_that_come_near():
    endpoints = [endpoint(), endpoint(cluster="outbound|80||other.shop.svc.cluster.local")]
    near = "Near: web.shop.svc.cluster.local:80."
    assert str(no_cluster("webb", 80, None, endpoints)) == f"Envoy holds no endpoint for host webb, port 80. {near}"
    assert str(no_cluster("web", 81, "v1", endpoints)).endswith(f"port 81, subset v1. {near}")
    assert "Check the name" in str(no_cluster("reviews", None, None, endpoints))


def drain_guard(targets: list[str], ready: dict[str, bool], allow_all: bool = False, drained: str = "") -> None:
    pods = []
    for name, is_ready in ready.items():
        item = pod(metadata__name=name)
        item["status"]["conditions"][0]["status"] = str(is_ready)
        pods.append(item)
    service = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": {"app": "web"}}}
    cluster = FakeCluster(pods=pods, services=[service, {"metadata": {"name": "headless-external"}, "spec": {}}])
    proxies = [Proxy.of(pod_object) for pod_object in pods if pod_object["metadata"]["name"] in targets]

    def stopped(_cluster, proxy) -> tuple[int, int]:
        if proxy.pod == "silent":
            raise NotReady("no answer")
        return int(proxy.pod in drained), 2

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listener_drain, "_stopped", stopped)
        listener_drain.refuse_all(cluster, {"namespace": "shop", "allow_all": allow_all}, proxies)


def test_a_service_keeps_a_ready_pod():
    drain_guard(["a"], {"a": True, "b": True})
    with pytest.raises(InvalidInput, match="every ready pod of Service shop/web: a, b"):
        drain_guard(["a", "b"], {"a": True, "b": True})
    with pytest.raises(InvalidInput, match="every ready pod of Service shop/web: a"):
        drain_guard(["a"], {"a": True, "b": False})
    drain_guard(["a", "b"], {"a": True, "b": True}, allow_all=True)


def test_a_drained_pod_that_is_ready_does_not_remain():
    with pytest.raises(InvalidInput, match=r"Service shop/web: a \(the others are drained already\)"):
        drain_guard(["a"], {"a": True, "b": True}, drained="b")
    drain_guard(["a"], {"a": True, "b": True, "c": True}, drained="b")
    drain_guard(["a", "b"], {"a": True, "b": True}, drained="ab")  # nothing is taken that was there
    with pytest.raises(InvalidInput, match="Service shop/web: a"):
        drain_guard(["a"], {"a": True, "silent": True})
    with pytest.raises(InvalidInput, match="Service shop/web: silent"):
        drain_guard(["silent"], {"silent": True})


def test_the_first_port_and_how_the_sidecar_ended():
    ports = [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 80}]
    own = {"name": "istio-proxy", "ports": [{"containerPort": 15090}]}
    assert Proxy.of(pod(spec__containers=[own, {"name": "web", "ports": ports}])).port == 80
    assert Proxy.of(pod(spec__containers=[own, {"name": "web"}])).port is None
    for code, well in ((0, True), (137, False)):
        state = {"name": "istio-proxy", "state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": code}}}
        assert Proxy.of(pod(status__containerStatuses=[state])).ended_well is well
    assert Proxy.of(POD).ended_well is False
