# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad clusters, one by one: every module ends with a sentence that says what to do, and leaves nothing half done."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

Json = dict[str, t.Any]

#: Every module of the collection with the least it needs to send its first request.
MODULES: dict[str, Json] = {
    "node_topology": {"rules": [{"name_pattern": "*", "subzone": "x"}]},
    "workloads_info": {"namespace": "default"},
    "workloads": {"definitions": [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bad-input"}}]},
    "failover_policy": {"namespace": "default", "service_host": "bad-input", "failover": [{"from": "a", "to": "b"}]},
    "endpoints_info": {"namespace": "default", "label_selector": "app=bad-input"},
    "traffic_probe": {"namespace": "default", "label_selector": "app=bad-input", "url": "http://bad-input/"},
    "listener_drain": {"namespace": "default", "label_selector": "app=bad-input"},
    "topology_info": {"all_namespaces": True},
    "failover_drill": {
        "namespace": "default",
        "service": "bad-input",
        "scope": ["subzone x"],
        "clients": [{"label_selector": "app=bad-input"}],
    },
    "failover_drill_info": {"all_namespaces": True},
    "cluster_object": {"kind": "Node"},
    # Restoring has the longest patience: it is asked to have less.
    "failover_restore": {"wait_timeout": 2, "all_namespaces": True},
}
#: Actions of the controller and a module without a cluster.
ELSEWHERE = {"drill_report", "known_variables", "mesh_query", "print_text"}


class Told(dict[str, str]):
    """Module → its message."""

    def everywhere(self, *wanted: str, modules: t.Collection[str] = MODULES.keys()) -> None:
        """Each module failed, and its message has all of these texts."""
        assert set(self) == set(modules)
        assert {name: text for name, text in self.items() if not all(part in text for part in wanted)} == {}
        assert not [text for text in self.values() if "Traceback" in text or "MODULE FAILURE" in text]


@pytest.fixture
def tell(run_module: t.Any) -> t.Callable[..., Told]:
    """Run all modules in check mode with some more options, and return what they say when they fail.

    They ask again for a second, and not for a minute.
    """

    def run(modules: t.Collection[str] = MODULES.keys(), **options: t.Any) -> Told:
        results = {
            name: run_module(name, check=True, params={"api_timeout": 1, **given, **options})
            for name, given in MODULES.items()
            if name in modules
        }
        return Told({name: result["msg"] for name, result in results.items() if result.get("failed")})

    return run


def test_every_module_is_here() -> None:
    there = Path(__file__).parents[2] / "plugins" / "modules"
    assert {path.stem for path in there.glob("*.py")} == set(MODULES) | ELSEWHERE


def test_no_such_kubeconfig(tell: t.Any, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.yaml")
    tell(kubeconfig=missing).everywhere(f"No usable cluster configuration in {missing}", "Check the options kubeconfig")


def test_a_kubeconfig_that_is_none(tell: t.Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("{ this: is [not yaml", encoding="utf-8")
    tell(kubeconfig=str(broken)).everywhere(f"No usable cluster configuration in {broken}")


def test_no_such_context(tell: t.Any, kubeconfig: Path) -> None:
    tell(kubeconfig=str(kubeconfig), context="elsewhere").everywhere("No usable cluster configuration", "elsewhere")


def test_nobody_answers(tell: t.Any, kubeconfig: Path) -> None:
    config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    tell(kubeconfig=config).everywhere("No answer from the API server https://127.0.0.1:1", "Check the address")


def test_a_wrong_certificate_authority(tell: t.Any, kubeconfig: Path, fault_proxy: t.Any) -> None:
    config = yaml.safe_load(fault_proxy.kubeconfig.read_text(encoding="utf-8"))
    real = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))["clusters"][0]["cluster"]
    del config["clusters"][0]["cluster"]["certificate-authority"]
    config["clusters"][0]["cluster"]["certificate-authority-data"] = real["certificate-authority-data"]
    tell(kubeconfig=config).everywhere("No answer from the API server", "CERTIFICATE_VERIFY_FAILED")


def test_an_expired_token(tell: t.Any, fault_proxy: t.Any) -> None:
    """The real API server answers 401 to a token that it does not accept (any more)."""
    expired = fault_proxy.kubeconfig_for("expired")
    tell(kubeconfig=str(expired)).everywhere("does not accept the credentials (401)", "renew the token")


def test_a_user_without_any_right(tell: t.Any, fault_proxy: t.Any, kubectl: t.Any, namespace: str) -> None:
    kubectl("create", "serviceaccount", "nobody", "-n", namespace)
    token = kubectl("create", "token", "nobody", "-n", namespace)
    sentence = tell(kubeconfig=str(fault_proxy.kubeconfig_for(token)))
    sentence.everywhere("(403)", "Grant the verb '", f"system:serviceaccount:{namespace}:nobody")
    assert "Grant the verb 'list'" in sentence["failover_policy"]
    assert 'cannot list resource "destinationrules"' in sentence["failover_policy"]


def test_an_api_server_that_is_busy_is_asked_again(tell: t.Any, fault_proxy: t.Any) -> None:
    fault = fault_proxy.add("*", "", status=429, times=2, headers={"Retry-After": "1"})
    sentence = tell(kubeconfig=str(fault_proxy.kubeconfig), api_timeout=20)
    assert not any("429" in text for text in sentence.values()), sentence
    assert fault.times == 0


def test_an_api_server_that_never_recovers(tell: t.Any, fault_proxy: t.Any) -> None:
    fault_proxy.add("*", "", status=500, body={"message": "etcdserver: request timed out"})
    # All modules send their requests through one client.
    some = ("failover_policy", "endpoints_info")
    tell(some, kubeconfig=str(fault_proxy.kubeconfig)).everywhere(
        "kept answering 500", "etcdserver: request timed out", "Run again when it has recovered", modules=some
    )


def test_connections_that_break(tell: t.Any, fault_proxy: t.Any) -> None:
    fault_proxy.add("*", "", reset=True)
    tell(kubeconfig=str(fault_proxy.kubeconfig)).everywhere("No answer from the API server", "then run again")


#: Module or playbook → what is blank, as a form leaves it, and the option that the message names.
BLANK: list[tuple[str, Json, str]] = [
    ("failover_drill", {"namespace": ""}, "namespace"),
    # Blank scopes of a Service that exists: tests/unit/plugins/module_utils/_drill/test_scope.py.
    ("failover_drill", {"service": " "}, "service is empty"),
    ("failover_drill", {"lock_namespace": ""}, "lock_namespace is empty"),
    ("failover_drill", {"allowed_namespaces": [""]}, "allowed_namespaces[0] is empty"),
    ("failover_restore", {"lock_namespace": " "}, "lock_namespace is empty"),
    ("listener_drain", {"lock_namespace": " "}, "lock_namespace is empty"),
    ("workloads_info", {"context": ""}, "context is empty"),
    ("workloads_info", {"deployments": [" "]}, "deployments[0] is empty"),
    ("endpoints_info", {"kubeconfig": ""}, "kubeconfig is empty"),
    ("topology_info", {"host": " "}, "host is empty"),
    ("listener_drain", {"impersonate_user": ""}, "impersonate_user is empty"),
    ("failover_drill", {"clients": [{"label_selector": ""}]}, "label_selector"),
    ("failover_restore", {"namespaces": [""], "all_namespaces": False}, "namespace"),
    ("failover_restore", {"namespaces": [], "all_namespaces": False}, "Exactly one of namespaces and all_namespaces"),
    ("failover_restore", {"drills": []}, "drills is empty"),
    ("failover_restore", {"drills": [""]}, "drill"),
    ("failover_drill_info", {"namespaces": [" "], "all_namespaces": False}, "namespaces[0] is empty"),
    *(
        (module, given, "Exactly one of namespaces and all_namespaces is needed. Name the namespaces, or say")
        for module in ("topology_info", "failover_drill_info")
        for given in (
            {"all_namespaces": False},
            {"namespaces": [], "all_namespaces": False},
            {"namespaces": ["default"]},
        )
    ),
    ("topology_info", {"namespaces": [""], "all_namespaces": False}, "namespaces[0] is empty"),
    ("node_topology", {"notify_istiod": True}, "Exactly one of notify_namespaces and notify_all_namespaces"),
    ("node_topology", {"notify_istiod": True, "notify_namespaces": []}, "Exactly one of notify_namespaces"),
    ("node_topology", {"notify_istiod": True, "notify_namespaces": [" "]}, "notify_namespaces[0] is empty"),
    ("node_topology", {"nodes": {"": {}}, "state": "previous"}, "The name of nodes[] is empty"),
    (
        "node_topology",
        {"rules": [{"name_pattern": "", "match_labels": {"a": "b"}}], "state": "absent"},
        "rules[0].name_pattern is blank",
    ),
    ("listener_drain", {"namespace": ""}, "namespace"),
    ("listener_drain", {"label_selector": ""}, "label_selector"),
    ("failover_policy", {"namespace": ""}, "namespace"),
    ("workloads_info", {"namespace": ""}, "namespace"),
    ("workloads_info", {"wanted": ["Secret/x"]}, "wanted[0] is no Deployment, Service, ServiceAccount"),
    ("workloads_info", {"wanted": ["Service/ "]}, "The name in wanted[0] is empty"),
    ("workloads", {"definitions": [{"kind": "Secret"}]}, "definitions[0] is no Namespace"),
    (
        "workloads",
        {"definitions": [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": ""}}]},
        "definitions[0].metadata.namespace is empty",
    ),
    ("endpoints_info", {"namespace": ""}, "namespace"),
    ("traffic_probe", {"label_selector": " "}, "label_selector"),
]


@pytest.mark.parametrize(("module", "blank", "named"), BLANK)
def test_a_blank_scope_is_no_scope(module: str, blank: Json, named: str, run_module: t.Any, fault_proxy: t.Any) -> None:
    given = {"kubeconfig": str(fault_proxy.kubeconfig), **MODULES[module], **blank}
    result = run_module(module, params=given)
    assert result.get("failed"), result
    assert named in result["msg"]
    assert "Traceback" not in result["msg"]
    assert [line for line in fault_proxy.seen if not line.startswith("GET")] == []


#: Not teardown: after the refusal it goes on and takes labels of nodes back, which other tests rely on.
PLAYBOOKS: list[tuple[str, Json, str]] = [
    ("restore", {"restore_namespace": ""}, "restore_namespace"),
    ("restore", {"restore_namespace": "default"}, "restore_all_pods"),
    ("restore", {"restore_namespace": "default", "restore_targets": " "}, "restore_targets"),
    ("restore", {"restore_targets": "app=x"}, "restore_namespace"),
    ("restore", {"restore_all_namespaces": True}, "restore_all_pods"),
    ("restore", {"restore_namespaces": ""}, "restore_namespaces"),
    ("restore", {"restore_drills": ""}, "restore_drills"),
    ("assess", {"assess_namespaces": ""}, "assess_namespaces is empty"),
    ("forecast", {"forecast_namespaces": []}, "forecast_namespaces is empty"),
    ("lint", {"lint_namespaces": ""}, "lint_namespaces is empty"),
    ("upgrade", {"upgrade_to": "1.31", "upgrade_namespaces": ""}, "upgrade_namespaces is empty"),
    ("plan", {"plan_namespaces": []}, "plan_namespaces is empty"),
    ("plan", {"plan_namespaces": " "}, "plan_namespaces[0] is empty"),
    (
        "verify",
        {
            "failover_verify_namespace": "default",
            "failover_verify_clients": "app=x",
            "failover_verify_host": "x",
            "failover_verify_plan": True,
            "failover_verify_plan_namespaces": [],
        },
        "Exactly one of namespaces and all_namespaces",
    ),
    (
        "label",
        {"node_topology_nodes": {"x": {"subzone": "y"}}, "node_topology_notify_namespaces": []},
        "Exactly one of notify_namespaces and notify_all_namespaces",
    ),
    (
        "drill",
        {"failover_drill_namespace": "", "failover_drill_service": "x", "failover_drill_scope": "pod x"},
        "namespace",
    ),
    ("deploy", {"workloads_namespace": "", "workloads_locations": ["x"]}, "namespace"),
    ("apply", {"failover_policy_namespace": "", "failover_policy_host": "x"}, "namespace"),
    (
        "verify",
        {"failover_verify_namespace": "", "failover_verify_clients": "app=x", "failover_verify_host": "x"},
        "namespace",
    ),
]


@pytest.mark.parametrize(("playbook", "variables", "named"), PLAYBOOKS)
def test_a_blank_field_of_a_form_is_no_scope(
    playbook: str, variables: Json, named: str, run_playbook: t.Any, fault_proxy: t.Any
) -> None:
    more = {"failover_drill_clients": "app=x"} if playbook == "drill" else {}
    done = run_playbook(playbook, kubeconfig=fault_proxy.kubeconfig, **variables, **more)
    assert done.rc != 0
    assert any(named in text for text in done.failures()), done.failures()
    assert done.changed == 0
    assert [line for line in fault_proxy.seen if not line.startswith("GET")] == []


@pytest.mark.parametrize("variable", ["kubeconfig", "context", "kubeconfig_context"])
def test_a_blank_variable_of_the_inventory_is_no_other_cluster(
    variable: str, run_playbook: t.Any, fault_proxy: t.Any
) -> None:
    """It would be the default kubeconfig, or its current context."""
    host = {"kubeconfig": str(fault_proxy.kubeconfig), variable: ""}
    done = run_playbook("lint", hosts={"east": host}, lint_live=True)
    assert done.rc != 0
    named = "K8S_AUTH_KUBECONFIG is empty" if variable == "kubeconfig" else "K8S_AUTH_CONTEXT is empty"
    assert any(named in text for text in done.failures()), done.failures()
    assert fault_proxy.seen == []


@pytest.fixture
def without_sidecar(kubectl: t.Any, namespace: str) -> str:
    """A namespace with one running pod, app=bad-input, that Istio did not inject."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bad-input", "labels": {"app": "bad-input"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "main",
                    "image": "curlimages/curl",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/bin/sleep", "infinity"],
                }
            ],
        },
    }
    kubectl("apply", "-n", namespace, "-f", "-", given=pod)
    kubectl("wait", "pod/bad-input", "-n", namespace, "--for=condition=Ready", "--timeout=90s")
    return namespace


@pytest.mark.parametrize("module", ["endpoints_info", "traffic_probe", "listener_drain"])
def test_a_pod_without_a_sidecar(module: str, run_module: t.Any, kubeconfig: Path, without_sidecar: str) -> None:
    given = {**MODULES[module], "namespace": without_sidecar, "kubeconfig": str(kubeconfig)}
    result = run_module(module, params=given)
    assert "has no Istio sidecar" in str(result)
    assert "istio-injection=enabled" in str(result), "says what to do"
    assert not result.get("changed")


@pytest.mark.parametrize("module", ["endpoints_info", "traffic_probe", "listener_drain"])
def test_no_such_pod(module: str, run_module: t.Any, kubeconfig: Path, namespace: str) -> None:
    result = run_module(module, params={**MODULES[module], "namespace": namespace, "kubeconfig": str(kubeconfig)})
    assert result["failed"]
    assert f"namespace {namespace}" in result["msg"]
    assert "app=bad-input" in result["msg"]
