# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every action under exactly the rights that the filter rbac prints: nothing denied, nothing granted in vain.

What was used and what was denied is read off the audit log of the API server.
"""

from __future__ import annotations

import time
import typing as t
import uuid
from pathlib import Path

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._model.least_rights import RIGHTS, least_rights
from tests.audit_log import AuditLog
from tests.conftest import ROOT, PlaybookRun
from tests.service_account import until_granted

from .fault_proxy import FaultProxy
from .mesh import BARE, Mesh

Json = dict[str, t.Any]


class Account(t.NamedTuple):
    """A ServiceAccount with the rights of some actions: its name for the API server, and its kubeconfig."""

    user: str
    kubeconfig: Path


@pytest.fixture
def account(mesh: Mesh, kubectl: t.Any, fault_proxy: FaultProxy) -> t.Iterator[t.Callable[..., Account]]:
    """Give a new ServiceAccount the rights of actions; its kubeconfig leads through the proxy."""
    granted: list[Json] = []

    def grant(actions: str, *namespaces: str) -> Account:
        name = f"rights-{actions.translate(str.maketrans(' _', '--'))}-{uuid.uuid4().hex[:6]}"
        kubectl("-n", mesh.namespace, "create", "serviceaccount", name)
        manifests = least_rights(
            actions.split(),
            namespaces or [mesh.namespace],
            name=f"{mesh.namespace}-{name}",
            service_account=f"{mesh.namespace}/{name}",
        )
        granted.extend(manifests)
        kubectl("apply", "-f", "-", given=manifests)
        user = f"system:serviceaccount:{mesh.namespace}:{name}"
        until_granted(kubectl, manifests, user)
        token = kubectl("-n", mesh.namespace, "create", "token", name)
        return Account(user, fault_proxy.kubeconfig_for(token))

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


@pytest.fixture
def meanwhile(mesh: Mesh, kubectl: t.Any, fault_proxy: FaultProxy, action: str) -> t.Iterator[None]:
    """What makes an action need its seldom rights: somebody else writes meanwhile, or a pod says where it is."""
    node = mesh.pod("app=helloworld,version=tianjin")["spec"]["nodeName"]
    label = ("label", "--overwrite", "-n", mesh.namespace)
    # Istio before 1.29 does not read this label, so istiod is asked for its version.
    labels = {"app": "located", "topology.istio.io/locality": "cn-north-4.cn-north-4b.tianjin"}
    metadata: Json = {"name": "located", "labels": labels, "annotations": {"sidecar.istio.io/inject": "false"}}
    mesh.apply({**BARE, "metadata": metadata})
    mesh.kubectl("-n", mesh.namespace, "wait", "pod/located", "--for=condition=Ready", "--timeout=90s")
    if action == "label":
        fault_proxy.add("PATCH", "/nodes/", times=1, before=lambda: kubectl(*label, "node", node, "theirs=1"))
        slices = (*label, "endpointslices", "--all", "theirs=1")
        fault_proxy.add("PATCH", "/endpointslices/", times=1, before=lambda: kubectl(*slices))
    if action == "apply":
        rule = ("virtualservice", "rights", "theirs=1")
        fault_proxy.add("DELETE", "/virtualservices/", times=1, before=lambda: kubectl(*label, *rule))
    yield
    mesh.kubectl("-n", mesh.namespace, "delete", "pod", "located", "--wait=true")
    kubectl(*label, "node", node, "theirs-")
    kubectl(*label, "endpointslices", "--all", "theirs-")


@pytest.mark.parametrize("action", ["label", "apply", "verify", "predict", "drain"])
@pytest.mark.usefixtures("meanwhile")
def test_an_action_needs_what_is_granted_and_nothing_else(
    account: t.Any, mesh: Mesh, run_module: t.Any, audit_log: AuditLog, action: str
) -> None:
    user, config = account(action)
    node = mesh.pod("app=helloworld,version=tianjin")["spec"]["nodeName"]  # it has endpoints
    spec = {"ports": [{"port": 80, "name": "http"}], "selector": {"app": "located"}}
    mesh.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "rights"}, "spec": spec})
    for module, options in tasks(mesh, node, action):
        done = run_module(module, params={"kubeconfig": str(config), **options})
        assert not done.get("failed"), f"{module}: {done['msg']}"
    assert audit_log.denied(user) == []
    assert audit_log.in_vain(user, RIGHTS[action]) == set()
    granted = {(r.group, name, verb) for r in RIGHTS[action] for name in r.resources for verb in (*r.verbs, *r.seldom)}
    assert audit_log.used(user) - granted == set(), f"not granted for {action}"


def plays(mesh: Mesh, node: str, action: str, deployed: str) -> list[tuple[str, bool, Json]]:
    """Return the playbooks of an action: name, whether in check mode, variables."""
    policy = {
        "failover_policy_namespace": mesh.namespace,
        "failover_policy_name": "plays",
        "failover_policy_host": f"plays.{mesh.namespace}.svc.cluster.local",
        "failover_policy_failover": [{"from": "a", "to": "b"}],
        "failover_policy_outlier_detection": {"consecutive_5xx_errors": 1},
        "failover_policy_retry_remote_localities": True,
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


ACTIONS = ("label", "label deploy apply", "apply", "verify", "predict", "drill")


@pytest.mark.parametrize("action", ACTIONS)
def test_a_playbook_is_denied_nothing(
    account: t.Any,
    mesh: Mesh,
    run_playbook: t.Callable[..., PlaybookRun],
    audit_log: AuditLog,
    namespace: str,
    action: str,
) -> None:
    """What the API server denies is counted, whatever the playbook makes of it.

    tests/drill drills with these rights. tests/story plays site and preview with theirs."""
    deploys = "deploy" in action
    user, config = account(action, namespace) if deploys else account(action)
    node = mesh.pod("app=helloworld,version=tianjin")["spec"]["nodeName"]
    mesh.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "plays"}, "spec": {"ports": [{"port": 80}]}}
    )
    for playbook, check, variables in plays(mesh, node, action, namespace):
        done = run_playbook(playbook, kubeconfig=config, check=check, extra_vars=variables)
        assert done.rc == 0, (playbook, done.failures())
    assert audit_log.denied(user) == []
    if deploys:
        late: Json = {"workloads_namespace": namespace, "workloads_locations": [node], "workloads_clients": [node]}
        late |= {"workloads_location_label": "kubernetes.io/hostname", "workloads_wait_timeout": 3}
        late |= {"workloads_server_image": "nowhere.invalid/none"}
        assert "Not ready after 3 s" in str(run_playbook("deploy", kubeconfig=config, extra_vars=late).failures())
        assert audit_log.denied(user) == []
        assert audit_log.in_vain(user, RIGHTS["deploy"]) == set()
    elif action != "drill":  # it is not drilled here, but in tests/drill
        # What is seldom needed, the modules need above.
        assert audit_log.in_vain(user, RIGHTS[action], seldom=False) == set()


STAYS = "The namespace stays, because it holds what is not this role's"


def test_a_namespace_of_its_own_is_made_filled_and_emptied(
    account: t.Any, mesh: Mesh, run_playbook: t.Callable[..., PlaybookRun], audit_log: AuditLog, kubectl: t.Any
) -> None:
    """`deploy` makes the namespace, writes again, cannot start a pod in time, and takes its workloads back.

    It may not list everything in it, so it says that the namespace stays."""
    user, config = account("deploy_namespace")
    node = mesh.pod("app=helloworld,version=tianjin")["spec"]["nodeName"]
    own = f"{mesh.namespace}-own"
    workloads: Json = {"workloads_namespace": own, "workloads_locations": [node], "workloads_clients": [node]}
    workloads["workloads_location_label"] = "kubernetes.io/hostname"
    late = {**workloads, "workloads_wait_timeout": 3, "workloads_server_image": "nowhere.invalid/none"}
    try:
        for _time in range(2):
            done = run_playbook("deploy", kubeconfig=config, extra_vars=workloads)
            assert done.rc == 0, done.failures()
        assert "Not ready after 3 s" in str(run_playbook("deploy", kubeconfig=config, extra_vars=late).failures())
        for locations in ([], [node]):  # a server that has left the list is removed, and comes back
            moved = {**workloads, "workloads_locations": locations}
            done = run_playbook("deploy", kubeconfig=config, extra_vars=moved)
            assert done.rc == 0, done.failures()
        done = run_playbook("deploy", kubeconfig=config, extra_vars={**workloads, "workloads_state": "absent"})
        assert done.rc == 0, done.failures()
        assert "they may not be listed" in str(done.results(STAYS))
        assert kubectl("get", "deployments,services", "-n", own, "-o", "json")["items"] == []
        assert kubectl("get", "namespace", own)
    finally:
        kubectl("delete", "namespace", own, "--ignore-not-found", "--wait=false")
    assert audit_log.denied(user) == []
    assert audit_log.in_vain(user, RIGHTS["deploy_namespace"], everywhere=False) == set()


#: In tests/story. `report` only reads files.
ELSEWHERE = {"preview", "site", "report"}


def test_every_playbook_is_run_with_its_rights() -> None:
    mesh = Mesh("any", None)
    run = {name for action in ACTIONS for name, _check, _variables in plays(mesh, "node", action, "any")}
    assert run | ELSEWHERE == {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    assert run & ELSEWHERE == set()


def test_reports_are_published_in_a_config_map_of_nobody_else(
    account: t.Any, mesh: Mesh, run_playbook: t.Callable[..., PlaybookRun], audit_log: AuditLog, tmp_path: Path
) -> None:
    user, config = account("predict publish")
    page = tmp_path / "assessment.html"
    publish = {"assess_html": str(page), "publish_config_map": f"{mesh.namespace}/published"}
    theirs: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}, "data": {"a": "1"}}
    mesh.apply(theirs)
    foreign = {**publish, "publish_config_map": f"{mesh.namespace}/theirs"}
    for _time in range(2):  # creates, then writes again
        done = run_playbook("assess", kubeconfig=config, extra_vars=publish)
        assert done.rc == 0, done.failures()
    (text,) = mesh.get("configmap", "published")["data"].values()
    assert text == page.read_text(encoding="utf-8").rstrip("\n")
    refused = run_playbook("assess", kubeconfig=config, extra_vars=foreign)
    assert refused.rc != 0
    assert "is somebody else's" in str(refused.failures())
    assert mesh.get("configmap", "theirs")["data"] == {"a": "1"}
    assert audit_log.denied(user) == []
    assert audit_log.in_vain(user, RIGHTS["publish"]) == set()


def test_a_namespace_is_looked_through_without_the_right_to_read_secrets(
    account: t.Any, kubectl: t.Any, run_module: t.Any, audit_log: AuditLog
) -> None:
    """A quota counts what may not be listed: a Secret of somebody else keeps the namespace, and nobody reads it."""
    user, config = account("site")
    name = f"counted-{uuid.uuid4().hex[:8]}"
    labels = {"app.kubernetes.io/managed-by": "meshops.locality"}
    definition = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    through = {"kubeconfig": str(config)}
    try:
        done = run_module("workloads", params={**through, "definitions": [definition]})
        assert not done.get("failed"), done
        uid = kubectl("get", "namespace", name, "-o", "json")["metadata"]["uid"]
        objects = [{"api_version": "v1", "kind": "Namespace", "name": name, "uid": uid}]
        delete = {**through, "state": "absent", "objects": objects, "wait": False}
        kubectl("-n", name, "create", "secret", "generic", "theirs", "--from-literal=a=1")
        refused = run_module("workloads", params=delete)
        assert (refused.get("failed"), refused.get("error")) == (True, "Conflict"), refused
        assert (refused["others"], refused["others_unseen"]) == (["secrets (1)"], [])
        assert kubectl("-n", name, "get", "resourcequotas", "-o", "name") == ""
        kubectl("-n", name, "delete", "secret", "theirs")
        done = run_module("workloads", params=delete)
        assert done.get("deleted") == [f"Namespace {name}"], done
        assert audit_log.denied(user) == []
    finally:
        kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def test_a_command_in_a_pod_needs_both_verbs(account: t.Any, mesh: Mesh, kubectl: t.Any, run_module: t.Any) -> None:
    """The audit log shows one of them only, but without the other one the API server denies it."""
    user, config = account("verify")
    name = f"{mesh.namespace}-{user.rpartition(':')[2]}"
    role = kubectl("-n", mesh.namespace, "get", "role", name, "-o", "json")
    for rule in role["rules"]:
        if rule["resources"] == ["pods/exec"]:
            rule["verbs"].remove("create")
    kubectl("apply", "-f", "-", given=[role])
    asked = ("auth", "can-i", "create", "pods", "--subresource=exec", "-n", mesh.namespace, "--as", user)
    until = time.monotonic() + 60
    while "yes" in kubectl(*asked, check=False):
        assert time.monotonic() < until
        time.sleep(0.2)
    _module, options = tasks(mesh, "", "verify")[0]
    result = run_module("endpoints_info", params={"kubeconfig": str(config), **options})
    assert "403" in str(result), result


def test_two_operators_do_not_overwrite_each_other_unasked(
    account: t.Any, mesh: Mesh, run_module: t.Any, kubeconfig: Path
) -> None:
    """Neither names an owner: the API server knows who they are."""
    other = str(account("apply").kubeconfig)
    host = f"shared.{mesh.namespace}.svc.cluster.local"
    policy = {"namespace": mesh.namespace, "name": "shared", "service_host": host, "retry_remote_localities": True}
    mine = {**policy, "failover": [{"from": "a", "to": "b"}], "outlier_detection": {"interval": "1s"}}
    theirs = {**policy, "failover": [{"from": "a", "to": "c"}], "outlier_detection": {"interval": "9s"}}
    assert run_module("failover_policy", kubeconfig=str(kubeconfig), params=mine)["changed"]
    try:
        rule = mesh.get("destinationrule", "shared")["spec"]
        refused = run_module("failover_policy", kubeconfig=other, params=theirs)
        assert (refused.get("failed"), refused.get("error")) == (True, "Conflict"), refused
        (owner,) = {conflict["manager"] for conflict in refused["conflicts"]}
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
    config = account("predict").kubeconfig
    # Longer than kubelet waits before it starts a sidecar again that another test has ended.
    options = {**tasks(mesh, "any", "drain")[0][1], "wait_timeout": 60}
    refused = run_module("listener_drain", params={"kubeconfig": str(config), **options})
    assert (refused.get("failed"), refused.get("error")) == (True, "Forbidden"), refused
