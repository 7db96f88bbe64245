# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small mesh for tests: one service in three places, clients, and pods that are special in one way each."""

from __future__ import annotations

import time
import typing as t
import uuid
from dataclasses import dataclass

import pytest

Json = dict[str, t.Any]

PLACES = {
    "tianjin": "cn-north-4/cn-north-4b/tianjin",
    "beijing": "cn-north-4/cn-north-4b/beijing",
    "guangzhou": "cn-south-1/cn-south-1a/guangzhou",
}


@dataclass(frozen=True)
class Mesh:
    """Where the workloads are, and the tests' own view of them."""

    namespace: str
    kubectl: t.Any

    @property
    def host(self) -> str:
        return f"helloworld.{self.namespace}.svc.cluster.local"

    @property
    def url(self) -> str:
        return f"http://helloworld.{self.namespace}:5000/hello"

    def get(self, *arguments: str) -> Json:
        return t.cast(Json, self.kubectl("-n", self.namespace, "get", *arguments, "-o", "json"))

    def apply(self, *manifests: Json) -> None:
        self.kubectl("-n", self.namespace, "apply", "-f", "-", given=list(manifests))

    def pod(self, labels: str) -> Json:
        """The one pod with these labels."""
        (pod,) = self.get("pods", "-l", labels)["items"]
        return t.cast(Json, pod)

    def name(self, labels: str) -> str:
        return t.cast(str, self.pod(labels)["metadata"]["name"])

    def wait_for_endpoint(self, service: str, pod: str) -> None:
        """Wait until a Service has this pod as a ready endpoint: its EndpointSlice follows it by a moment."""
        until = time.monotonic() + 30
        while True:
            slices = self.get("endpointslices", "-l", f"kubernetes.io/service-name={service}")["items"]
            endpoints = [endpoint for item in slices for endpoint in item.get("endpoints") or []]
            if any(each["targetRef"]["name"] == pod and each["conditions"].get("ready") for each in endpoints):
                return
            assert time.monotonic() < until, slices
            time.sleep(0.2)


def pod_template(labels: Json, container: Json, place: str = "", annotations: Json | None = None) -> Json:
    locality = {"topology.istio.io/locality": PLACES[place].replace("/", ".")} if place else {}
    return {
        "metadata": {"labels": {**labels, **locality}, "annotations": annotations or {}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"imagePullPolicy": "IfNotPresent", **container}]},
    }


def deployment(name: str, labels: Json, template: Json) -> Json:
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


SERVER = {"name": "helloworld", "image": "docker.io/istio/examples-helloworld-v1", "ports": [{"containerPort": 5000}]}
CLIENT = {"name": "sleep", "image": "curlimages/curl", "command": ["/bin/sleep", "infinity"]}

#: A pod without a sidecar whose container has a shell, but no curl.
BARE = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "bare", "labels": {"app": "bare"}, "annotations": {"sidecar.istio.io/inject": "false"}},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                **CLIENT,
                "imagePullPolicy": "IfNotPresent",
                "command": [
                    "/bin/sh",
                    "-c",
                    "/bin/mkdir /tmp/bin; /bin/ln -s /bin/sh /tmp/bin/sh; exec /bin/sleep 3600",
                ],
                "env": [{"name": "PATH", "value": "/tmp/bin"}],
            }
        ],
    },
}


def rule(**outlier_detection: t.Any) -> Json:
    """The tutorial's DestinationRule with another outlier detection."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "helloworld"},
        "spec": {
            "host": "helloworld",
            "trafficPolicy": {
                "connectionPool": {"http": {"maxRequestsPerConnection": 1}},
                "loadBalancer": {
                    "simple": "ROUND_ROBIN",
                    "localityLbSetting": {"enabled": True, "failover": [{"from": "cn-north-4", "to": "cn-south-1"}]},
                },
                "outlierDetection": {
                    "consecutive5xxErrors": 1,
                    "interval": "1s",
                    "baseEjectionTime": "5s",
                    **outlier_detection,
                },
            },
        },
    }


@pytest.fixture(scope="session")
def mesh(kubectl: t.Any) -> t.Iterator[Mesh]:
    """helloworld in three places, a client in tianjin, and the rule; `app=plain` has no sidecar.

    The server in tianjin has a native sidecar, the others and the client have classic ones.
    """
    new_mesh = Mesh(f"test-{uuid.uuid4().hex[:10]}", kubectl)
    injected = {"metadata": {"name": new_mesh.namespace, "labels": {"istio-injection": "enabled"}}}
    kubectl("apply", "-f", "-", given={"apiVersion": "v1", "kind": "Namespace", **injected})
    service = {"ports": [{"port": 5000, "name": "http"}], "selector": {"app": "helloworld"}}
    servers = []
    for place in PLACES:
        labels = {"app": "helloworld", "version": place}
        native = {"sidecar.istio.io/nativeSidecar": str(place == "tianjin").lower()}
        env = [{"name": "SERVICE_VERSION", "value": place}]
        servers.append(
            deployment(f"helloworld-{place}", labels, pod_template(labels, {**SERVER, "env": env}, place, native))
        )
    sleep, plain = {"app": "sleep"}, {"app": "plain"}
    classic, none = {"sidecar.istio.io/nativeSidecar": "false"}, {"sidecar.istio.io/inject": "false"}
    new_mesh.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "helloworld"}, "spec": service},
        rule(maxEjectionPercent=100),
        *servers,
        deployment("sleep", sleep, pod_template(sleep, CLIENT, "tianjin", classic)),
        deployment("plain", plain, pod_template(plain, CLIENT, "", none)),
    )
    try:
        kubectl("-n", new_mesh.namespace, "wait", "deployment", "--all", "--for=condition=Available", "--timeout=120s")
        yield new_mesh
    finally:
        kubectl("delete", "namespace", new_mesh.namespace, "--wait=false")


@pytest.fixture
def bare(mesh: Mesh) -> t.Iterator[str]:
    """The name of a pod without curl."""
    mesh.apply(BARE)
    mesh.kubectl("-n", mesh.namespace, "wait", "pod/bare", "--for=condition=Ready", "--timeout=60s")
    yield "bare"
    mesh.kubectl("-n", mesh.namespace, "delete", "pod", "bare", "--wait=true")
