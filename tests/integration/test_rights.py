# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every action under exactly the rights that the filter rbac prints: nothing denied, nothing granted in vain.

What was used is read off the requests, which all go through a proxy; that is what an audit log of the API server holds.
"""

from __future__ import annotations

import time
import typing as t
import uuid
from pathlib import Path

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._model.least_rights import RIGHTS, least_rights
from tests.conftest import PlaybookRun

from .fault_proxy import FaultProxy, rights_used
from .mesh import Mesh

Json = dict[str, t.Any]
Right = tuple[str, str, str]


def test_requests_are_read_as_rights() -> None:
    assert rights_used(
        [
            "GET /api/v1/nodes?limit=500",
            "PATCH /api/v1/nodes/a",
            "GET /api/v1/namespaces/s/pods/p/exec?command=x",
            "GET /api/v1/namespaces/s",
            "GET /apis/apps/v1/namespaces/s/deployments",
            "GET /apis/networking.istio.io/v1",
            "GET /version",
        ]
    ) == {
        ("", "nodes", "list"),
        ("", "nodes", "patch"),
        ("", "pods/exec", "get"),
        ("", "namespaces", "get"),
        ("apps", "deployments", "list"),
    }


def until_granted(kubectl: t.Any, manifests: t.Sequence[Json], account: str) -> None:
    """Wait until the API server's authorizer knows every role: it learns of them later than they are written."""
    until = time.monotonic() + 60
    for manifest in manifests:
        for rule in manifest.get("rules", ())[:1]:
            group = f".{rule['apiGroups'][0]}" if rule["apiGroups"][0] else ""
            where = ("-n", manifest["metadata"]["namespace"]) if manifest["kind"] == "Role" else ("-A",)
            resource, _slash, sub = rule["resources"][0].partition("/")
            question = ("auth", "can-i", rule["verbs"][0], resource + group, f"--subresource={sub}", *where)
            question += ("--as", account)
            while "yes" not in kubectl(*question, check=False):
                assert time.monotonic() < until, question
                time.sleep(0.2)


@pytest.fixture
def account(mesh: Mesh, kubectl: t.Any, fault_proxy: FaultProxy) -> t.Iterator[t.Callable[..., Path]]:
    """Give a new ServiceAccount the rights of actions; returns its kubeconfig, through the proxy."""
    granted: list[Json] = []

    def grant(actions: str, *namespaces: str) -> Path:
        name = f"rights-{actions.replace(' ', '-')}-{uuid.uuid4().hex[:6]}"
        kubectl("-n", mesh.namespace, "create", "serviceaccount", name)
        manifests = least_rights(
            actions.split(),
            namespaces or [mesh.namespace],
            name=f"{mesh.namespace}-{name}",
            service_account=f"{mesh.namespace}/{name}",
        )
        granted.extend(manifests)
        kubectl("apply", "-f", "-", given=manifests)
        until_granted(kubectl, manifests, f"system:serviceaccount:{mesh.namespace}:{name}")
        token = kubectl("-n", mesh.namespace, "create", "token", name)
        return fault_proxy.kubeconfig_for(token)

    yield grant
    for manifest in granted:
        namespace = manifest["metadata"].get("namespace")
        where = ("-n", namespace) if namespace else ()
        kubectl("delete", manifest["kind"], manifest["metadata"]["name"], *where, "--ignore-not-found")


def tasks(mesh: Mesh, node: str, action: str) -> list[tuple[str, Json]]:
    """Return the modules that an action runs, and what goes back in the end."""
    where = {"namespace": mesh.namespace}
    host = f"rights.{mesh.namespace}.svc.cluster.local"
    policy = {**where, "name": "rights", "service_host": host, "failover": [{"from": "a", "to": "b"}]}
    ejects = {"outlier_detection": {"consecutive_5xx_errors": 1}, "retry_remote_localities": True}
    labels = {"nodes": {node: {"subzone": "rights"}}, "notify_istiod": True, "notify_namespaces": [mesh.namespace]}
    server = {**where, "label_selector": "app=helloworld,version=guangzhou"}
    actions: dict[str, list[tuple[str, Json]]] = {
        "label": [("node_topology", labels), ("node_topology", {**labels, "state": "previous"})],
        "apply": [
            ("failover_policy", {**policy, **ejects, "virtual_service_name": "rights"}),
            ("failover_policy", {**policy, "state": "absent"}),
        ],
        "verify": [
            ("endpoints_info", {**where, "label_selector": "app=sleep", "service_host": mesh.host}),
            ("traffic_probe", {**where, "label_selector": "app=sleep", "url": mesh.url, "requests": 5}),
        ],
        "predict": [("topology_info", {"all_namespaces": True})],
        "drain": [
            ("listener_drain", {**server, "graceful": True, "wait_timeout": 1}),
            ("listener_drain", {**server, "state": "restored", "wait_timeout": 120}),
        ],
    }
    return actions[action]


@pytest.mark.parametrize("action", ["label", "apply", "verify", "predict", "drain"])
def test_an_action_needs_what_is_granted_and_nothing_else(
    account: t.Any, mesh: Mesh, kubectl: t.Any, run_module: t.Any, fault_proxy: FaultProxy, action: str
) -> None:
    config = account(action)
    node = mesh.pod("app=helloworld,version=tianjin")["spec"]["nodeName"]  # it has endpoints
    spec = {"ports": [{"port": 80, "name": "http"}], "selector": {"app": "helloworld"}}
    mesh.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "rights"}, "spec": spec})
    fault_proxy.seen.clear()
    for module, options in tasks(mesh, node, action):
        done = run_module(module, params={"kubeconfig": str(config), **options})
        assert not done.get("failed"), f"{module}: {done['msg']}"
        denied = [text for text in done.get("warnings", []) if "Not allowed" in text and "all namespaces" not in text]
        assert denied == []
    rights = RIGHTS[action]
    granted = {(r.group, resource, verb) for r in rights for resource in r.resources for verb in r.verbs}
    seldom = {(r.group, resource, verb) for r in rights for resource in r.resources for verb in r.seldom}
    # A websocket is a GET; which of both verbs the API server asks for depends on its version.
    in_vain = granted - rights_used(fault_proxy.seen) - {("", "pods/exec", "create")}
    assert in_vain == set(), f"granted in vain for {action}"
    asked = rights_used(fault_proxy.seen) - granted - seldom
    # failover_policy asks for the rules of all namespaces first, and says so when it may not.
    assert {right for right in asked if right[2] != "list"} == set(), f"not granted for {action}"


def plays(mesh: Mesh, node: str, action: str, deployed: str) -> list[tuple[str, bool, Json]]:
    """Return the playbooks of an action: name, whether in check mode, variables."""
    policy = {
        "failover_policy_namespace": mesh.namespace,
        "failover_policy_name": "plays",
        "failover_policy_host": f"plays.{mesh.namespace}.svc.cluster.local",
        "failover_policy_failover": [{"from": "a", "to": "b"}],
    }
    verified = {
        "failover_verify_namespace": mesh.namespace,
        "failover_verify_clients": "app=sleep",
        "failover_verify_host": mesh.host,
        "failover_verify_url": mesh.url,
        "failover_verify_requests": 5,
        "failover_verify_rate": 5,
    }
    drilled = {
        "failover_drill_namespace": mesh.namespace,
        "failover_drill_allowed_namespaces": [mesh.namespace],
        "failover_drill_service": "helloworld",
        "failover_drill_scope": "subzone beijing",
        "failover_drill_clients": "app=sleep",
        "failover_drill_path": "/hello",
        "failover_drill_duration": 3,
        # Only what is denied is looked at here; tests/drill drills with these rights.
        "failover_drill_expected_outcomes": ["PENDING", "REFUSED"],
    }
    restored = {"restore_namespaces": mesh.namespace}
    labels = {
        "node_topology_nodes": {node: {"subzone": "plays"}},
        "node_topology_notify_namespaces": [mesh.namespace],
    }
    servers = {"workloads_namespace": deployed, "workloads_locations": ["plays"], "workloads_clients": ["plays"]}
    # The role made neither the namespace nor, with a Role in it, can it: it stays.
    everything = {
        **labels,
        **servers,
        **policy,
        "node_topology_notify_namespaces": [deployed],
        "failover_policy_namespace": deployed,
        "failover_policy_host": f"plays.{deployed}.svc.cluster.local",
    }
    live = {"lint_live": True, "lint_fail_on": "never"}
    actions: dict[str, list[tuple[str, bool, Json]]] = {
        "label": [("label", False, labels), ("label", False, {**labels, "node_topology_state": "previous"})],
        "label deploy apply": [
            ("label", False, everything),
            ("deploy", False, everything),
            ("apply", False, everything),
            ("teardown", False, everything),
        ],
        "apply": [("apply", False, policy), ("apply", False, {**policy, "failover_policy_state": "absent"})],
        "verify": [("verify", False, verified)],
        "predict": [
            ("plan", False, {}),
            ("assess", False, {}),
            ("forecast", False, {}),
            ("lint", False, live),
            ("upgrade", False, {"upgrade_to": "1.31"}),
        ],
        "drill": [
            ("drill", True, drilled),
            ("restore", False, {"restore_namespaces": mesh.namespace}),
            ("restore", False, {"restore_namespace": mesh.namespace, "restore_all_pods": True, **restored}),
        ],
    }
    return actions[action]


#: A server-side apply of what is new is a PATCH, and needs the verb create as well.
APPLIED = {("apps", "deployments", "create"), ("", "services", "create"), ("", "serviceaccounts", "create")}


@pytest.mark.parametrize("action", ["label", "label deploy apply", "apply", "verify", "predict", "drill"])
def test_a_playbook_is_denied_nothing(
    account: t.Any,
    mesh: Mesh,
    run_playbook: t.Callable[..., PlaybookRun],
    fault_proxy: FaultProxy,
    namespace: str,
    action: str,
) -> None:
    """What the API server answers with 403 is counted, whatever the playbook makes of it. Not site and preview: they
    make their namespace themselves, so no Role can be there before. tests/drill drills with these rights."""
    deploys = "deploy" in action
    config = account(action, namespace) if deploys else account(action)
    node = mesh.pod("app=helloworld,version=tianjin")["spec"]["nodeName"]
    fault_proxy.seen.clear()
    for playbook, check, variables in plays(mesh, node, action, namespace):
        done = run_playbook(playbook, kubeconfig=config, check=check, extra_vars=variables)
        assert done.rc == 0, (playbook, done.failures())
    # Rules of all namespaces are asked for first; without that right conflicts are looked for in the policy's own.
    everywhere = {f"GET /apis/networking.istio.io/v1/{kind}" for kind in ("destinationrules", "virtualservices")}
    denied = [line for line in fault_proxy.denied if "apply" not in action or line.partition("?")[0] not in everywhere]
    assert denied == []
    if deploys:
        granted = {(r.group, name, verb) for r in RIGHTS["deploy"] for name in r.resources for verb in r.verbs}
        assert granted - rights_used(fault_proxy.seen) - APPLIED == set(), "granted in vain for deploy"


def test_two_operators_do_not_overwrite_each_other_unasked(
    account: t.Any, mesh: Mesh, run_module: t.Any, kubeconfig: Path
) -> None:
    """Neither names an owner: the API server knows who they are."""
    other = str(account("apply"))
    host = f"shared.{mesh.namespace}.svc.cluster.local"
    policy = {"namespace": mesh.namespace, "name": "shared", "service_host": host, "retry_remote_localities": True}
    mine = {**policy, "failover": [{"from": "a", "to": "b"}], "outlier_detection": {"interval": "1s"}}
    theirs = {**policy, "failover": [{"from": "a", "to": "c"}], "outlier_detection": {"interval": "9s"}}
    assert run_module("failover_policy", kubeconfig=str(kubeconfig), params=mine)["changed"]
    try:
        rule = mesh.get("destinationrule", "shared")["spec"]
        refused = run_module("failover_policy", kubeconfig=other, params=theirs)
        assert (refused.get("failed"), refused.get("error")) == (True, "Conflict"), refused
        (owner,) = {one["manager"] for one in refused["conflicts"]}
        assert owner.startswith("meshops.locality:")
        assert owner in refused["msg"]
        left = run_module("failover_policy", kubeconfig=other, params={**policy, "state": "absent"})
        assert (left.get("failed"), left.get("error")) == (True, "Conflict"), left
        assert owner in left["msg"]
        assert mesh.get("destinationrule", "shared")["spec"] == rule
        assert mesh.get("virtualservice", "shared")
        named = run_module(
            "failover_policy", kubeconfig=other, params={**theirs, "owner": owner.removeprefix("meshops.locality:")}
        )
        assert named["changed"], "whoever names the owner acts in that name"
    finally:
        run_module("failover_policy", kubeconfig=str(kubeconfig), params={**policy, "state": "absent"})


def test_without_its_rights_an_action_fails(account: t.Any, mesh: Mesh, run_module: t.Any) -> None:
    """The test itself: who may only predict may not drain."""
    config = account("predict")
    # Longer than kubelet waits before it starts a sidecar again that another test has ended.
    options = {**tasks(mesh, "any", "drain")[0][1], "wait_timeout": 60}
    refused = run_module("listener_drain", params={"kubeconfig": str(config), **options})
    assert (refused.get("failed"), refused.get("error")) == (True, "Forbidden"), refused
