# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults under failover_policy: each ends with a sentence, and a second run repairs what is half done."""

from __future__ import annotations

import json
import time
import typing as t

import psutil
import pytest

Json = dict[str, t.Any]
#: One policy with both objects.
OPTIONS: Json = {
    "service_host": "bad-input",
    "failover": [{"from": "cn-north-4", "to": "cn-south-1"}],
    "outlier_detection": {"consecutive_5xx_errors": 1, "max_ejection_percent": 50},
    "retry_remote_localities": True,
}


class Shape:
    """failover_policy through the fault proxy, and what is in the namespace afterwards."""

    def __init__(self, namespace: str, fault_proxy: t.Any, run_module: t.Any, kubectl: t.Any) -> None:
        self.namespace = namespace
        self.proxy = fault_proxy
        self.kubectl = kubectl
        self._run = run_module

    def given(self, **options: t.Any) -> Json:
        return {"kubeconfig": str(self.proxy.kubeconfig), "namespace": self.namespace, **OPTIONS, **options}

    def __call__(self, *, check: bool = False, **options: t.Any) -> Json:
        return t.cast(Json, self._run("failover_policy", check=check, params=self.given(**options)))

    def refused(self, **options: t.Any) -> str:
        result = self(**options)
        assert result.get("failed"), result
        return str(result["msg"])

    def written(self) -> list[str]:
        """Return the kinds that are there."""
        names = self.kubectl("get", "destinationrules,virtualservices", "-n", self.namespace, "-o=json")
        return [item["kind"] for item in json.loads(names)["items"]]

    def repaired(self) -> None:
        """A second run, without faults, finishes the work; a third finds it done."""
        self.proxy.faults.clear()
        assert not self().get("failed")
        assert self.written() == ["DestinationRule", "VirtualService"]
        assert self()["changed"] is False


@pytest.fixture
def shape(namespace: str, fault_proxy: t.Any, run_module: t.Any, kubectl: t.Any) -> Shape:
    return Shape(namespace, fault_proxy, run_module, kubectl)


def test_the_namespace_is_missing(shape: Shape) -> None:
    error = shape.refused(namespace="not-made-yet")
    assert error.endswith("Namespace not-made-yet does not exist (404). Create it first, or correct its name.")


def test_the_namespace_is_terminating(shape: Shape) -> None:
    item: Json = {"metadata": {"name": "held", "finalizers": ["test/held"]}, "apiVersion": "v1", "kind": "ConfigMap"}
    shape.kubectl("apply", "-n", shape.namespace, "-f", "-", given=item)
    shape.kubectl("delete", "namespace", shape.namespace, "--wait=false")
    error = shape.refused()
    assert "because it is being terminated" in error
    assert "Wait until the namespace is gone" in error
    shape.kubectl("patch", "configmap", "held", "-n", shape.namespace, "-p", '{"metadata":{"finalizers":null}}')


def test_istio_is_not_installed(shape: Shape) -> None:
    shape.proxy.add("*", r"^/apis/networking\.istio\.io/", status=404, body={"message": "404 page not found"})
    error = shape.refused()
    assert "does not know destinationrules.networking.istio.io: Istio is not installed." in error


def test_istiod_is_down(shape: Shape) -> None:
    message = 'failed calling webhook "validation.istio.io": no endpoints available for service "istiod"'
    shape.proxy.add("PATCH", "/destinationrules/", status=500, body={"message": message})
    assert "check that it runs, then run again" in shape.refused()
    assert shape.written() == []
    shape.repaired()


@pytest.mark.parametrize("missing", ["destinationrules", "virtualservices"])
def test_the_missing_verb_is_named_and_nothing_is_written(shape: Shape, missing: str) -> None:
    """A real ServiceAccount that may do everything but patch one of the two kinds."""
    namespace, kubectl = shape.namespace, shape.kubectl
    other = {"destinationrules": "virtualservices", "virtualservices": "destinationrules"}[missing]
    both = ["destinationrules", "virtualservices"]
    rules = [
        {"apiGroups": ["networking.istio.io"], "resources": both, "verbs": ["get", "list"]},
        {"apiGroups": ["networking.istio.io"], "resources": [missing], "verbs": ["create"]},
        {"apiGroups": ["networking.istio.io"], "resources": [other], "verbs": ["create", "patch"]},
        {"apiGroups": ["", "discovery.k8s.io"], "resources": ["services", "endpointslices", "pods"], "verbs": ["*"]},
    ]
    name = f"{namespace}-{missing}"
    subject = {"kind": "ServiceAccount", "name": "limited", "namespace": namespace}
    rbac = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
        "subjects": [subject],
    }
    kubectl("create", "serviceaccount", "limited", "-n", namespace)
    kubectl("apply", "-f", "-", given=[role, binding])
    try:
        # A new binding takes some seconds until the API server honours it.
        user = f"--as=system:serviceaccount:{namespace}:limited"
        until = time.monotonic() + 60
        while (
            kubectl("auth", "can-i", "patch", f"{other}.networking.istio.io", "-n", namespace, user, check=False)
            != "yes"
        ):
            assert time.monotonic() < until
            time.sleep(0.5)
        limited = str(shape.proxy.kubeconfig_for(kubectl("create", "token", "limited", "-n", namespace)))
        error = shape.refused(kubeconfig=limited)
        assert f"Not allowed to patch /apis/networking.istio.io/v1/namespaces/{namespace}/{missing}/bad-input" in error
        assert f'cannot patch resource "{missing}"' in error
        assert "Grant the verb 'patch'" in error
        assert shape.written() == []
    finally:
        kubectl("delete", "clusterrole,clusterrolebinding", name)
    shape.repaired()


def test_a_short_outage_is_survived(shape: Shape) -> None:
    shape.proxy.add("PATCH", "/destinationrules/.*force=false$", status=503, times=2)
    shape.proxy.add("PATCH", "/virtualservices/", reset=True, times=1)
    shape.proxy.add("GET", "/destinationrules", status=429, times=1, headers={"Retry-After": "1"})
    assert shape()["changed"]
    shape.repaired()


def test_a_lost_answer_is_no_second_change(shape: Shape) -> None:
    """The server wrote the rule, but the client never heard of it and asked again."""
    lost = shape.proxy.add("POST", "/destinationrules", lost=True, times=1)
    assert shape()["changed"]
    assert lost.times == 0
    assert shape.proxy.count("POST", "/destinationrules") == 2
    shape.repaired()


def test_an_api_server_that_does_not_say_who_we_are_keeps_nobody_apart_and_that_is_said(shape: Shape) -> None:
    shape.proxy.add("POST", "/selfsubjectreviews", status=404)
    for options in ({}, {"state": "absent"}):
        result = shape(**options)
        assert result["changed"]
        assert "overwrites it without a conflict. Set owner." in str(result["warnings"])
    shape.repaired()


def test_a_refused_second_object_keeps_the_first_from_being_written(shape: Shape) -> None:
    shape.proxy.add("PATCH", "/virtualservices/", status=422, body={"message": "not this one"})
    assert "not this one" in shape.refused()
    assert shape.written() == []
    shape.repaired()


def test_an_outage_between_the_two_writes(shape: Shape) -> None:
    shape.proxy.add("POST", "/virtualservices", status=500)
    refused = shape(api_timeout=1)
    assert refused["changed"], refused
    assert (refused["written"], refused["not_written"]) == (
        ["DestinationRule bad-input"],
        ["VirtualService bad-input"],
    )
    assert "Written before it: DestinationRule bad-input. Not written: VirtualService bad-input." in refused["msg"]
    assert shape.written() == ["DestinationRule"]
    shape.repaired()


def test_killed_between_the_two_writes(shape: Shape, run_playbook: t.Any) -> None:
    killed: list[int] = []

    def kill() -> None:
        for process in psutil.Process().children(recursive=True):
            if any("AnsiballZ_failover_policy" in word for word in process.cmdline()):
                process.kill()
                killed.append(process.pid)

    shape.proxy.add("POST", "/virtualservices", before=kill, status=503, times=1)
    task = {"meshops.locality.failover_policy": shape.given()}
    play = {"hosts": "all", "gather_facts": False, "tasks": [task]}
    assert run_playbook([play], env={"PYTHONPATH": ""}).rc != 0
    assert killed
    assert shape.written() == ["DestinationRule"]
    shape.repaired()


def test_two_people_write_the_same_rule(shape: Shape) -> None:
    busy = {"message": "the object has been modified; please apply your changes to the latest version"}
    shape.proxy.add("PATCH", "/destinationrules/", status=409, times=2, body=busy)
    assert shape()["changed"]
    shape.repaired()
    shape.proxy.add("PATCH", "/destinationrules/", status=409, body=busy)
    error = shape.refused(load_balancer="RANDOM")
    assert "Somebody else keeps writing DestinationRule" in error
    assert "given up after 4 attempts" in error
    shape.repaired()


def test_somebody_adds_a_field_while_we_delete(shape: Shape) -> None:
    """A real 409: between our look and our delete the rule gets a field of somebody else, and is kept."""
    shape()
    patch = '{"spec":{"trafficPolicy":{"tls":{"mode":"ISTIO_MUTUAL"}}}}'
    command = ("patch", "destinationrule", "bad-input", "-n", shape.namespace, "--type=merge", "-p", patch)
    shape.proxy.add("DELETE", "/destinationrules/", times=1, before=lambda: shape.kubectl(*command))
    error = shape.refused(state="absent")
    assert "also holds fields of kubectl-patch" in error
    assert shape.written() == ["DestinationRule"]
    assert shape(state="absent", force_conflicts=True)["changed"]
    assert shape.written() == []
