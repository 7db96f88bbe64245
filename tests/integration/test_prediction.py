# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is predicted from a snapshot is what real clients hold, and where their requests really go."""

from __future__ import annotations

import time
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._forecast.forecast_against_probe import (
    forecast_differences,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.plan_against_envoy import plan_differences
from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import Selection, forecast, plan
from ansible_collections.meshops.locality.plugins.module_utils._istio import snapshot_document
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot

from .mesh import PLACES, SERVER, Mesh, deployment

Json = dict[str, t.Any]

#: A Service of its own with the same servers, so that the rules here are nobody else's.
SERVICE = "prediction"
OUTLIER = {"consecutive5xxErrors": 5, "interval": "1s", "baseEjectionTime": "5s", "maxEjectionPercent": 100}


def rule(name: str, locality: Json | None = None, **more: t.Any) -> Json:
    policy: Json = {"outlierDetection": OUTLIER}
    if locality is not None:
        policy["loadBalancer"] = {"localityLbSetting": locality}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": name},
        "spec": {"host": name, "trafficPolicy": policy, **more},
    }


def service(name: str, selector: Json, **more: t.Any) -> Json:
    spec = {"ports": [{"port": 5000, "name": "http"}], "selector": selector, **more}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


class Predicted:
    """A mesh, the modules that look at it, and what is computed from the one for the other."""

    def __init__(self, mesh: Mesh, run_module: t.Any, kubeconfig: str) -> None:
        self.mesh, self._run, self._kubeconfig = mesh, run_module, kubeconfig

    def run(self, module: str, **params: t.Any) -> Json:
        result: Json = self._run(module, params={"kubeconfig": self._kubeconfig, **params})
        assert not result.get("failed"), result
        return result

    def snapshot(self, **more: t.Any) -> Snapshot:
        saved = self.run("topology_info", namespaces=[self.mesh.namespace], **more)["snapshot"]
        return snapshot_document.read(saved).snapshot

    def seen_by_clients(self, name: str) -> list[Json]:
        result = self.run(
            "endpoints_info",
            namespace=self.mesh.namespace,
            label_selector="app=sleep",
            service_host=name,
            include_settings=True,
        )
        return t.cast(list[Json], result["clients"])

    def differences(self, name: str, seconds: float = 20) -> list[str]:
        """Return the differences that are left when clients have had time to be told."""
        planned, deadline = self.snapshot(), time.monotonic() + seconds
        while (differences := plan_differences(planned, self.seen_by_clients(name))) and time.monotonic() < deadline:
            time.sleep(1)
        return differences

    def priorities(self, name: str, subset: str = "") -> dict[str, int]:
        selection = Selection((f"{name}.{self.mesh.namespace}",), clients=("app=sleep",), subset=subset)
        (row,) = plan(self.snapshot(), selection)
        return {
            place["locality"].rpartition("/")[2]: priority["priority"]
            for priority in row["priorities"]
            for place in priority["localities"]
        }

    def shares(self, name: str, requests: int = 150) -> tuple[Json, list[str]]:
        """Return the shares that are forecast, and in what a probe differs from them."""
        selection = Selection((f"{name}.{self.mesh.namespace}",), clients=("app=sleep",))
        prediction = forecast(self.snapshot(), selection, levels=["zone"])
        probe = self.run(
            "traffic_probe",
            namespace=self.mesh.namespace,
            label_selector="app=sleep",
            url=f"http://{name}.{self.mesh.namespace}:5000/hello",
            requests=requests,
            rate=25,
        )
        now = {name.rpartition("/")[2]: share for name, share in prediction["rows"][0]["now"]["localities"].items()}
        return now, forecast_differences(prediction, probe)


@pytest.fixture
def predicted(mesh: Mesh, run_module: t.Any, kubeconfig: t.Any) -> t.Iterator[Predicted]:
    mesh.apply(service(SERVICE, {"app": "helloworld"}))
    yield Predicted(mesh, run_module, str(kubeconfig))
    for kind, name in (("destinationrule", SERVICE), ("service", SERVICE)):
        mesh.kubectl("-n", mesh.namespace, "delete", kind, name, "--ignore-not-found")


REGION_AND_ZONE = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"]
MOSTLY_HERE = {"from": "cn-north-4/*", "to": {PLACES["tianjin"]: 70, PLACES["beijing"]: 30}}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (None, {"tianjin": 0, "beijing": 1, "guangzhou": 2}),
        ({"failover": [{"from": "cn-north-4", "to": "cn-south-1"}]}, {"tianjin": 0, "beijing": 1, "guangzhou": 2}),
        ({"failoverPriority": REGION_AND_ZONE}, {"tianjin": 0, "beijing": 0, "guangzhou": 1}),
        ({"failoverPriority": ["version=guangzhou"]}, {"guangzhou": 0, "tianjin": 1, "beijing": 1}),
        ({"distribute": [MOSTLY_HERE]}, {"tianjin": 0, "beijing": 0}),
        ({"enabled": False}, {"tianjin": 0, "beijing": 0, "guangzhou": 0}),
    ],
)
def test_the_plan_is_what_the_client_holds(
    predicted: Predicted, setting: Json | None, expected: dict[str, int]
) -> None:
    predicted.mesh.apply(rule(SERVICE, setting))
    assert predicted.differences(SERVICE) == []
    assert predicted.priorities(SERVICE) == expected


def test_without_a_rule_and_with_traffic_distribution(predicted: Predicted) -> None:
    assert predicted.differences(SERVICE) == []
    assert set(predicted.priorities(SERVICE).values()) == {0}
    predicted.mesh.apply(service(SERVICE, {"app": "helloworld"}, trafficDistribution="PreferClose"))
    assert predicted.differences(SERVICE) == []
    assert predicted.priorities(SERVICE) == {"tianjin": 0, "beijing": 0, "guangzhou": 1}


def test_subsets(predicted: Predicted) -> None:
    subsets = [{"name": place, "labels": {"version": place}} for place in ("beijing", "guangzhou")]
    predicted.mesh.apply(rule(SERVICE, None, subsets=subsets))
    assert predicted.differences(SERVICE) == []
    assert predicted.priorities(SERVICE, "guangzhou") == {"guangzhou": 0}
    assert {endpoint["subset"] for endpoint in predicted.seen_by_clients(SERVICE)[0]["endpoints"]} == {
        "",
        "beijing",
        "guangzhou",
    }


def test_another_rule_than_the_one_in_force_is_noticed(predicted: Predicted) -> None:
    predicted.mesh.apply(rule(SERVICE, {"failoverPriority": REGION_AND_ZONE}))
    assert predicted.differences(SERVICE) == []
    other = rule(SERVICE, {"failover": [{"from": "cn-north-4", "to": "cn-south-1"}]})
    other["metadata"]["namespace"] = predicted.mesh.namespace
    differences = plan_differences(predicted.snapshot(definitions=[other]), predicted.seen_by_clients(SERVICE))
    assert any(
        f"{PLACES['beijing']} has priority 0, the plan says priority 1." in sentence for sentence in differences
    ), differences


def test_weights_are_kept_to_as_forecast(predicted: Predicted) -> None:
    predicted.mesh.apply(rule(SERVICE, {"distribute": [MOSTLY_HERE]}))
    assert predicted.differences(SERVICE) == []
    now, shares = predicted.shares(SERVICE)
    assert now == {"tianjin": pytest.approx(0.7), "beijing": pytest.approx(0.3)}
    assert shares == []


@pytest.fixture
def half_ready(predicted: Predicted) -> t.Iterator[str]:
    """A Service with one ready and one unready server in tianjin, and one server in beijing, without sidecars."""
    name, never = "half-ready", {"exec": {"command": ["/bin/false"]}}
    # Without a probe Kubernetes calls a server ready before it listens.
    listens = {"httpGet": {"path": "/health", "port": 5000}, "periodSeconds": 1}
    mesh = predicted.mesh
    objects = []
    for part, place in (("ready", "tianjin"), ("unready", "tianjin"), ("far", "beijing")):
        labels = {"group": name, "part": part}
        container: Json = {
            **SERVER,
            "imagePullPolicy": "IfNotPresent",
            "env": [{"name": "SERVICE_VERSION", "value": part}],
            "readinessProbe": never if part == "unready" else listens,
        }
        template = {
            "metadata": {
                "labels": {
                    **labels,
                    "sidecar.istio.io/inject": "false",
                    "topology.istio.io/locality": PLACES[place].replace("/", "."),
                }
            },
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
        }
        objects.append(deployment(f"{name}-{part}", labels, template))
    mesh.apply(service(name, {"group": name}), rule(name), *objects)
    for part in ("ready", "far"):
        mesh.kubectl("-n", mesh.namespace, "rollout", "status", f"deployment/{name}-{part}", "--timeout=120s")
    running = ("--for=jsonpath={.status.phase}=Running", "--timeout=120s")
    mesh.kubectl("-n", mesh.namespace, "wait", "pod", "-l", f"group={name}", *running)
    yield name
    for kind in ("deployment", "service", "destinationrule"):
        names = [f"{name}-{part}" for part in ("ready", "unready", "far")] if kind == "deployment" else [name]
        mesh.kubectl("-n", mesh.namespace, "delete", kind, *names, "--wait=false")


def test_an_unready_endpoint_spills_as_forecast_and_less_so_after_scaling(
    predicted: Predicted, half_ready: str
) -> None:
    assert predicted.differences(half_ready) == []
    (cell,) = [
        endpoint
        for endpoint in predicted.seen_by_clients(half_ready)[0]["endpoints"]
        if endpoint["health"] == "unhealthy"
    ]
    assert cell["health_reasons"] == ["failed_eds_health"]
    now, shares = predicted.shares(half_ready)
    # One of two is ready: 140 % of that is 70.
    assert now == {"tianjin": pytest.approx(0.7), "beijing": pytest.approx(0.3)}
    assert shares == []
    scaled = f"deployment/{half_ready}-ready"
    predicted.mesh.kubectl("-n", predicted.mesh.namespace, "scale", scaled, "--replicas=3")
    predicted.mesh.kubectl("-n", predicted.mesh.namespace, "rollout", "status", scaled, "--timeout=120s")
    assert predicted.differences(half_ready) == []
    now, shares = predicted.shares(half_ready)
    assert now == {"tianjin": 1.0}
    assert shares == []


def test_a_wrong_forecast_is_noticed(predicted: Predicted) -> None:
    predicted.mesh.apply(rule(SERVICE))
    assert predicted.differences(SERVICE) == []
    selection = Selection((f"{SERVICE}.{predicted.mesh.namespace}",), clients=("app=sleep",))
    other = rule(SERVICE, {"enabled": False})
    other["metadata"]["namespace"] = predicted.mesh.namespace
    wrong = forecast(predicted.snapshot(definitions=[other]), selection, levels=["zone"])
    probe = predicted.run(
        "traffic_probe",
        namespace=predicted.mesh.namespace,
        label_selector="app=sleep",
        url=f"http://{SERVICE}.{predicted.mesh.namespace}:5000/hello",
        requests=60,
        rate=25,
    )
    differences = forecast_differences(wrong, probe)
    assert any(
        f"60 of 60 requests were answered by {PLACES['tianjin']}; 33.3 %" in sentence for sentence in differences
    )
