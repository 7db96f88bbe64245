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
    "failover_policy": {"namespace": "default", "service_host": "bad-input", "failover": [{"from": "a", "to": "b"}]},
    "endpoints_info": {"namespace": "default", "label_selector": "app=bad-input"},
    "traffic_probe": {"namespace": "default", "label_selector": "app=bad-input", "url": "http://bad-input/"},
    "listener_drain": {"namespace": "default", "label_selector": "app=bad-input"},
    "topology_info": {},
}
#: Actions of the controller and a module without a cluster; the drill's modules have tests/drill.
ELSEWHERE = {
    *("drill_report", "known_variables", "mesh_query", "print_text"),
    *("failover_drill", "failover_drill_info", "failover_restore"),
}


class Told(dict[str, str]):
    """Module → its message."""

    def everywhere(self, *wanted: str, modules: t.Collection[str] = MODULES.keys()) -> None:
        """Each module failed, and its message has all of these texts."""
        assert set(self) == set(modules)
        assert {name: text for name, text in self.items() if not all(part in text for part in wanted)} == {}
        assert not [text for text in self.values() if "Traceback" in text or "MODULE FAILURE" in text]


@pytest.fixture
def tell(run_module: t.Any) -> t.Callable[..., Told]:
    """Run all modules in check mode with some more options, and return what they say when they fail."""

    def run(modules: t.Collection[str] = MODULES.keys(), **options: t.Any) -> Told:
        results = {
            name: run_module(name, check=True, params={**given, **options})
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
    told = tell(kubeconfig=str(fault_proxy.kubeconfig_for(token)))
    told.everywhere("(403)", "Grant the verb '", f"system:serviceaccount:{namespace}:nobody")
    assert "Grant the verb 'list'" in told["failover_policy"]
    assert 'cannot list resource "destinationrules"' in told["failover_policy"]


def test_an_api_server_that_is_busy_is_asked_again(tell: t.Any, fault_proxy: t.Any) -> None:
    fault = fault_proxy.add("*", "", status=429, times=2, headers={"Retry-After": "1"})
    told = tell(kubeconfig=str(fault_proxy.kubeconfig))
    assert not any("429" in text for text in told.values()), told
    assert fault.times == 0


def test_an_api_server_that_never_recovers(tell: t.Any, fault_proxy: t.Any) -> None:
    fault_proxy.add("*", "", status=500, body={"message": "etcdserver: request timed out"})
    # All modules send their requests through one client; each takes 12 s to give up.
    some = ("failover_policy", "endpoints_info")
    tell(some, kubeconfig=str(fault_proxy.kubeconfig)).everywhere(
        "kept answering 500", "etcdserver: request timed out", "Run again when it has recovered", modules=some
    )


def test_connections_that_break(tell: t.Any, fault_proxy: t.Any) -> None:
    fault_proxy.add("*", "", reset=True)
    tell(kubeconfig=str(fault_proxy.kubeconfig)).everywhere("No answer from the API server", "then run again")


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
