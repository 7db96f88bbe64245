# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules see of a live Service is what the plan says about it: one function decides."""

from __future__ import annotations

import typing as t
from collections import Counter

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import Forbidden
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._kube.service_endpoints import find_endpoints
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import PodIndex
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent import Intent

Json = dict[str, t.Any]
HOST = "web.shop.svc.cluster.local"
NODE = {"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/region": "r"}}}


class Listed:
    """An API server that answers list and get from what it was given; a kind that is an exception is raised."""

    def __init__(self, **kinds: t.Any) -> None:
        self.kinds = kinds

    def list(self, kind: t.Any, namespace: str | None = None, **_selectors: t.Any) -> list[Json]:
        listed = self.kinds.get(kind.plural, [])
        if isinstance(listed, Exception):
            raise listed
        return [item for item in listed if not namespace or item["metadata"].get("namespace") == namespace]

    def each(
        self, kind: t.Any, take: t.Callable[[Json], t.Any], namespace: str | None = None, *, lean: bool = False
    ) -> t.Sequence[t.Any]:
        return [take(item) for item in self.list(kind, namespace)]

    def get(self, kind: t.Any, name: str, namespace: str | None = None) -> Json | None:
        return next((item for item in self.list(kind, namespace) if item["metadata"]["name"] == name), None)

    def map(self, function: t.Callable[[t.Any], t.Any], items: t.Iterable[t.Any]) -> t.Sequence[t.Any]:
        return [function(item) for item in items]


def service(**port: t.Any) -> Json:
    ports = [{"name": "tcp-x", "port": 80, **port}]
    metadata = {"name": "web", "namespace": "shop"}
    return {"metadata": metadata, "spec": {"selector": {"app": "web"}, "clusterIP": "10.1.0.1", "ports": ports}}


def pod(name: str, address: str, **labels: str) -> Json:
    metadata = {"name": name, "namespace": "shop", "labels": {"app": "web", **labels}}
    status = {"podIP": address, "podIPs": [{"ip": address}], "conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": metadata, "spec": {"nodeName": "n1", "containers": []}, "status": status}


def endpoint(address: str, name: str = "", **conditions: bool) -> Json:
    reference = {"targetRef": {"kind": "Pod", "namespace": "shop", "name": name}} if name else {}
    return {"addresses": [address], "conditions": {"ready": True, **conditions}, **reference}


def endpoint_slice(*endpoints: Json, name: str = "web-1") -> Json:
    metadata = {"name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}}
    return {
        "metadata": metadata,
        "addressType": "IPv4",
        "ports": [{"name": "tcp-x", "port": 80}],
        "endpoints": endpoints,
    }


def istiod(version: str) -> Json:
    template = {"spec": {"containers": [{"name": "discovery", "image": f"example/pilot:{version}"}]}}
    labels = {"app": "istiod", "istio.io/rev": "default"}
    return {
        "metadata": {"name": "istiod", "namespace": "istio-system", "labels": labels},
        "spec": {"template": template},
    }


def intent(**options: t.Any) -> Intent:
    return Intent.from_options({"namespace": "shop", "service_host": HOST, **options})


@pytest.mark.parametrize(
    ("port", "http"),
    [
        ({"name": "http"}, True),
        ({"name": "grpc-web-x"}, True),
        ({"name": "web"}, True),
        ({"name": "tcp"}, False),
        ({"name": "http", "protocol": "UDP"}, False),
        # Well-known ports are TCP only without a name that says more; 9093 is none of them.
        ({"name": "web", "port": 53}, False),
        ({"name": "web", "port": 27017}, False),
        ({"name": "web", "port": 25}, False),
        ({"name": "web", "port": 9093}, True),
        ({"name": "http", "port": 3306}, True),
        # A secure web socket is TLS to Istio, a plain one HTTP.
        ({"name": "web", "appProtocol": "kubernetes.io/wss"}, False),
        ({"name": "web", "appProtocol": "kubernetes.io/ws"}, True),
        ({"name": "tcp", "appProtocol": "kubernetes.io/h2c"}, True),
    ],
)
def test_whether_a_port_is_http_is_what_the_plan_says(port: Json, http: bool) -> None:
    manifest = service(**port)
    endpoints = find_endpoints(Listed(services=[manifest]), intent())
    (planned,) = build([{"apiVersion": "v1", "kind": "Service", **manifest}]).services
    assert endpoints.http is planned.ports[0].may_be_http is http


@pytest.mark.parametrize(("version", "place"), [("1.31.0", "a/b/c"), ("1.29.3", "a/b/c"), ("1.28.1", "r")])
def test_a_pods_own_locality_label_takes_effect_from_istio_1_29(version: str, place: str) -> None:
    pods = [pod("web-1", "10.0.0.1", **{"topology.istio.io/locality": "a.b.c"})]
    slices = [endpoint_slice(endpoint("10.0.0.1", "web-1"))]
    cluster = Listed(
        services=[service()], endpointslices=slices, pods=pods, nodes=[NODE], deployments=[istiod(version)]
    )
    assert find_endpoints(cluster, intent()).per_locality == Counter({Locality.parse(place): 1})
    index = PodIndex(cluster, ["shop"])
    behind = index.behind("10.0.0.1")
    assert behind is not None
    assert str(index.locality(behind)) == place
    assert not index.note


def test_without_such_a_label_istiod_is_not_looked_at() -> None:
    slices = [endpoint_slice(endpoint("10.0.0.1", "web-1"))]
    refused = Forbidden("no", status=403)
    known = {"services": [service()], "endpointslices": slices, "nodes": [NODE], "deployments": refused}
    endpoints = find_endpoints(Listed(**known, pods=[pod("web-1", "10.0.0.1")]), intent())
    assert (endpoints.per_locality, endpoints.notes) == (Counter({Locality("r"): 1}), [])
    labelled = pod("web-1", "10.0.0.1", **{"topology.istio.io/locality": "a.b.c"})
    endpoints = find_endpoints(Listed(**known, pods=[labelled]), intent())
    assert endpoints.per_locality == Counter({Locality("a", "b", "c"): 1})
    (note,) = endpoints.notes
    assert "1.31 was assumed, because deployments in istio-system may not be listed" in note


def test_a_version_that_nobody_knows_is_said() -> None:
    labelled = pod("web-1", "10.0.0.1", **{"topology.istio.io/locality": "a.b.c"})
    slices = [endpoint_slice(endpoint("10.0.0.1", "web-1"))]
    known = {"services": [service()], "endpointslices": slices, "nodes": [NODE], "pods": [labelled]}
    cases: tuple[tuple[list[Json], str], ...] = (
        ([istiod("9.9.9")], "9.9.9"),
        ([istiod("latest")], "says its version"),
        ([], "no istiod"),
    )
    for deployments, says in cases:
        (note,) = find_endpoints(Listed(**known, deployments=deployments), intent()).notes
        assert says in note


def test_which_endpoints_a_service_has() -> None:
    """As istiod: not those that are ending, not those whose pod is gone, a dual-stack pod once."""
    slices = [
        endpoint_slice(
            endpoint("10.0.0.1", "web-1"),
            endpoint("10.0.0.2", "web-2", ready=False, terminating=False),
            endpoint("10.0.0.3", "web-3", ready=False, terminating=True),
            endpoint("10.0.0.4", "gone"),
            endpoint("10.0.0.5"),
        ),
        endpoint_slice(endpoint("fd00::1", "web-1"), name="web-2"),
    ]
    pods = [pod(f"web-{number}", f"10.0.0.{number}") for number in (1, 2, 3)]
    endpoints = find_endpoints(Listed(services=[service()], endpointslices=slices, pods=pods, nodes=[NODE]), intent())
    assert endpoints.per_locality == Counter({Locality("r"): 2, Locality(): 1})


def test_a_right_that_is_missing_is_a_note_unless_the_numbers_are_needed() -> None:
    cluster = Listed(services=[service()], endpointslices=Forbidden("no", status=403))
    assert find_endpoints(cluster, intent()).per_locality is None
    with pytest.raises(Forbidden):
        find_endpoints(cluster, intent(complete=True))


@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_the_domain_is_what_the_sidecars_were_given(kind: str) -> None:
    sidecar = {
        "name": "istio-proxy",
        "restartPolicy": "Always",
        "args": ["proxy", "sidecar", "--domain", "$(POD_NAMESPACE).svc.corp.example", "--proxyLogLevel=warning"],
    }
    behind = pod("web-a", "10.0.0.1")
    behind["spec"] |= {kind: [sidecar]}
    cluster = Listed(
        services=[service()],
        endpointslices=[endpoint_slice(endpoint("10.0.0.1", "web-a"))],
        pods=[behind],
        nodes=[NODE],
    )
    assert find_endpoints(t.cast(t.Any, cluster), intent()).domain == "corp.example"
    behind["spec"][kind] = []
    assert find_endpoints(t.cast(t.Any, cluster), intent()).domain == "cluster.local"
