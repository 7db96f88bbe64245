# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill, its history and its restoration with the rights of docs/examples/drill/rights.yml: nothing is denied."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.meshops.locality.plugins.module_utils._drill import journal
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import FIELD_MANAGER
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_journal import HISTORY
from ansible_collections.meshops.locality.plugins.module_utils._model import least_rights
from tests.audit_log import AuditLog
from tests.conftest import PlaybookRun
from tests.integration.mesh import Mesh, rule
from tests.service_account import until_granted

from .conftest import TIANJIN, View, replace

Json = dict[str, t.Any]


def closed(namespace: str, number: int) -> Json:
    """Return the journal of a drill that ended long ago."""
    record = journal.JournalRecord(
        id=f"old-{number}",
        holder="somebody",
        title="old",
        namespace=namespace,
        service="helloworld",
        fault="drain",
        asked=("subzone tianjin",),
        started=f"2026-01-{number + 1:02}T00:00:00.000Z",
        expires="2026-02-01T00:00:00.000Z",
        targets=(),
        state=journal.CLOSED,
    )
    labels = {"meshops.locality/drill": journal.CLOSED}
    metadata = {"name": f"meshops-drill-old-{number}", "labels": labels}
    data = {"journal.json": journal.write(record)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def test_nothing_is_denied(
    limited: str,
    drill: t.Any,
    run_module: t.Any,
    audit_log: AuditLog,
    mesh: Mesh,
    view: View,
    fresh: str,
    tmp_path: Path,
) -> None:
    """Nor is anything granted in vain: the audit log of the API server says what was used."""
    before = view.state()
    # The oldest has our label, but somebody else wrote it there: it is no journal of a drill, and stays.
    theirs, *ours = (closed(mesh.namespace, number) for number in range(HISTORY + 1))
    mesh.apply(theirs)
    manager = f"--field-manager={FIELD_MANAGER}"
    mesh.kubectl("-n", mesh.namespace, "apply", "-f", "-", manager, given=ours)
    token = yaml.safe_load(Path(limited).read_text(encoding="utf-8"))["users"][0]["user"]["token"]
    # The first drill of a mesh makes the Lease.
    mesh.kubectl("-n", "istio-system", "delete", "lease", "meshops-drill", "--ignore-not-found")
    # The documented place of the lock.
    more = {"kubeconfig": limited, "lock_namespace": "istio-system", "failback_timeout": 0, "error_budget": 0.2}
    done = drill(**more, evidence=str(tmp_path / "evidence"))
    # The token is nowhere: neither in the evidence, nor in the result, nor in the journal.
    (folder,) = (tmp_path / "evidence").iterdir()
    files = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert {"drill.json", "report.html", "journal.jsonl"} <= set(files)
    evidence = {**files, "result": json.dumps(done), "journal": json.dumps(view.journals("closed"))}
    payload = token.split(".")[1]
    assert [name for name, text in evidence.items() if token in text or payload in text] == []
    assert done["outcome"] in ("SUCCEEDED", "FAILED"), done["msg"]
    seen = done["drill"]
    assert seen["restore"]["snapshot"]["unread"] == []
    assert seen["measured"]["witnesses"]["unavailable"] == []
    assert not [gate_rule for gate_rule in seen["gate"] if "403" in gate_rule["what"]]
    assert not [problem for problem in seen["prediction"]["problems"] if "403" in problem["text"]]
    assert not [finding for finding in seen["findings"] if "403" in finding["what"]]
    info = run_module("failover_drill_info", kubeconfig=limited, all_namespaces=True)
    assert info["unread"] == []
    view.equals(before)
    restored = run_module("failover_restore", kubeconfig=limited, namespaces=[mesh.namespace])
    assert (restored["drills"], restored["unread"]) == ([], [])
    user = f"system:serviceaccount:{mesh.namespace}:drill"
    assert audit_log.denied(user) == []
    assert audit_log.in_vain(user, least_rights.RIGHTS["drill"], seldom=False) == set()
    left = {item["metadata"]["name"] for item in view.journals("closed")}
    assert len(left) == HISTORY + 1
    assert left & {"meshops-drill-old-0", "meshops-drill-old-1"} == {"meshops-drill-old-0"}, "our oldest is deleted"


def test_the_playbooks_drill_and_restore_are_denied_nothing(
    limited: str,
    run_playbook: t.Callable[..., PlaybookRun],
    start: t.Any,
    options: Json,
    audit_log: AuditLog,
    mesh: Mesh,
    view: View,
    fresh: str,
) -> None:
    """A whole drill; and another one that is killed in its middle, and put back."""
    user = f"system:serviceaccount:{mesh.namespace}:drill"
    before = view.state()
    variables = {f"failover_drill_{name}": value for name, value in options.items() if name != "kubeconfig"}
    variables |= {"failover_drill_scope": "subzone tianjin", "failover_drill_clients": "app=sleep"}
    variables |= {"failover_drill_lock_namespace": "istio-system", "failover_drill_error_budget": 1.0}
    done = run_playbook("drill", kubeconfig=limited, **variables)
    assert done.rc == 0, done.failures()
    assert audit_log.denied(user) == []
    view.equals(before)
    replace(mesh, TIANJIN)  # The client still holds the old pod as ejected: a drill would be refused.
    killed = start(duration=60, dead_mans_switch=300)
    killed.wait_for("phase", "observe")
    killed.kill()
    restored = run_playbook("restore", kubeconfig=limited, restore_namespaces=mesh.namespace)
    assert restored.rc == 0, restored.failures()
    assert audit_log.denied(user) == []
    assert view.journals() == []


def test_a_token_that_would_not_last(limited: str, drill: t.Any, mesh: Mesh, view: View, tmp_path: Path) -> None:
    config = yaml.safe_load(Path(limited).read_text(encoding="utf-8"))
    config["users"][0]["user"]["token"] = mesh.kubectl(
        "-n", mesh.namespace, "create", "token", "drill", "--duration=600s"
    )
    short = tmp_path / "short.yaml"
    short.write_text(yaml.safe_dump(config), encoding="utf-8")
    done = drill(kubeconfig=str(short), duration=600)
    assert done["outcome"] == "REFUSED"
    assert "The bearer token is valid for" in done["msg"]
    assert view.journals() == []


def test_a_second_person_approves_an_evacuation(limited: str, drill: t.Any, mesh: Mesh, view: View, fresh: str) -> None:
    """Nothing is denied to it, and nothing is lost."""
    before = view.state()
    kubectl, name = mesh.kubectl, mesh.namespace
    evacuation = {
        "lock_namespace": "istio-system",
        "fault": "evacuate",
        "accept_manual_restore": True,
        "error_budget": 0,
        "expect_prediction": False,
    }
    kubectl("label", "namespace", name, "--overwrite", "meshops.locality/drills=with-approval")
    try:
        assert "could approve it alone" in drill(check=True, **evacuation)["msg"]
        result = drill(check=True, kubeconfig=limited, **evacuation)["msg"]
        assert "Nobody has approved this drill." in result
        (command,) = re.findall(r"kubectl (annotate namespace .*) '(.*) until .*'", result)
        kubectl(*command[0].split(), f"{command[1]} until 2099-01-01T00:00:00Z")
        assert "another drill" in drill(check=True, kubeconfig=limited, **evacuation, duration=9)["msg"]
        done = drill(kubeconfig=limited, **evacuation)
    finally:
        kubectl("label", "namespace", name, "--overwrite", "meshops.locality/drills=allowed")
        kubectl("annotate", "namespace", name, "meshops.locality/drill-approval-")
    seen = done["drill"]["measured"]
    assert done["outcome"] == "SUCCEEDED", (done.get("msg", done["reason"]), seen["by_code"], seen["by_flag"])
    assert seen["failed"] == 0
    assert {shift["mechanism"] for shift in done["drill"]["shifts"]} == {"eds_removal"}
    (approval,) = done["drill"]["environment"]["approvals"]
    assert approval.endswith("until 2099-01-01T00:00:00Z")
    view.equals(before)
    assert view.journals() == []


def test_nodes_are_cordoned_and_pods_evicted(limited: str, drill: t.Any, mesh: Mesh, fresh: str, view: View) -> None:
    # A node that somebody else has cordoned stays so.
    node = mesh.get("pod", fresh)["spec"]["nodeName"]
    other = next(item["metadata"]["name"] for item in mesh.get("nodes")["items"] if item["metadata"]["name"] != node)
    mesh.kubectl("cordon", other)
    # A single request that met the pod before its endpoint was gone would eject it: one of two ways, by chance.
    mesh.apply(rule(maxEjectionPercent=100, baseEjectionTime="15s", consecutive5xxErrors=1000))
    try:
        options = {
            "lock_namespace": "istio-system",
            "accept_manual_restore": True,
            "expect_prediction": False,
            "error_budget": 0.2,
        }
        done = drill(fault="evict", kubeconfig=limited, **options)
        nodes = mesh.get("nodes")["items"]
    finally:
        mesh.kubectl("uncordon", other)
        mesh.apply(rule(maxEjectionPercent=100, baseEjectionTime="15s"))
    assert done["outcome"] == "SUCCEEDED", done.get("msg", done["reason"])
    assert [cordoned["metadata"]["name"] for cordoned in nodes if cordoned["spec"].get("unschedulable")] == [other]
    assert {shift["mechanism"] for shift in done["drill"]["shifts"]} <= {"eds_removal", "eds_health"}
    assert mesh.name(TIANJIN) != fresh
    assert view.journals() == []


def test_a_network_policy_that_nothing_enforces(limited: str, drill: t.Any, mesh: Mesh, view: View, fresh: str) -> None:
    before = view.state()
    options = {
        "lock_namespace": "istio-system",
        "accept_manual_restore": True,
        "expect_prediction": False,
        "error_budget": 1.0,
    }
    done = drill(fault="network_deny", kubeconfig=limited, **options)
    assert done["outcome"] == "REFUSED", done.get("msg", done["reason"])
    assert "Nothing enforces NetworkPolicies here" in done["msg"]
    assert mesh.get("networkpolicies")["items"] == []
    view.equals(before)
    assert view.journals() == []


@pytest.fixture
def losing_nodes(limited: str, mesh: Mesh) -> t.Iterator[str]:
    """The same kubeconfig, with what the fault node_loss needs on top."""
    who = f"{mesh.namespace}/drill"
    items = least_rights.least_rights(["node_loss"], [], name=f"node-loss-{mesh.namespace}", service_account=who)
    mesh.kubectl("apply", "-f", "-", given=items)
    until_granted(mesh.kubectl, items, f"system:serviceaccount:{mesh.namespace}:drill")
    yield limited
    mesh.kubectl("delete", "-f", "-", given=items)


def test_a_node_is_lost_and_comes_back(
    losing_nodes: str, drill: t.Any, audit_log: AuditLog, mesh: Mesh, view: View, apart: tuple[str, str]
) -> None:
    """With it everything on it; its agent, which the sandbox has, does it. Nobody is told: connections time out."""
    node, pod = apart
    options: Json = {"service": "apart", "fault": "node_loss", "duration": 12, "error_budget": 1.0}
    options |= {"expect_prediction": False, "kubeconfig": losing_nodes, "lock_namespace": "istio-system"}

    def annotations() -> Json:
        return t.cast(Json, mesh.get("node", node)["metadata"]["annotations"])

    before, marks = view.state(), annotations()
    assert drill(check=True, **options)["outcome"] == "PENDING"
    assert annotations() == marks
    beside = drill(**options | {"clients": [{"label_selector": "version=apart-tianjin"}]})
    assert (beside["outcome"], "in the scope of the drill" in beside["msg"]) == ("REFUSED", True), beside["msg"]
    image = ("--image=docker.io/curlimages/curl:latest", "--image-pull-policy=Never", "--restart=Never")
    where = json.dumps({"spec": {"nodeName": node}})
    mesh.kubectl("-n", "default", "run", "beside", *image, f"--overrides={where}", "--", "sleep", "infinity")
    try:
        result = drill(check=True, **options)["msg"]
    finally:
        mesh.kubectl("-n", "default", "delete", "pod", "beside", "--now")
    assert f"Node {node} also runs default/beside, whose namespace does not allow drills" in result
    done = drill(**options)
    seen = done["drill"]
    assert done["outcome"] == "SUCCEEDED", (done.get("msg", done["reason"]), seen["measured"]["by_code"])
    assert {(each["pod"], each["mechanism"]) for each in seen["shifts"]} == {(f"{mesh.namespace}/{pod}", "ejection")}
    assert [each["state"] for each in seen["restore"]["pods"]] == ["restored", "restored"]
    view.equals(before)
    assert annotations() == marks
    assert view.journals() == []
    user = f"system:serviceaccount:{mesh.namespace}:drill"
    assert audit_log.denied(user) == []
    assert audit_log.in_vain(user, least_rights.RIGHTS["node_loss"]) == set()


def test_every_right_is_used_by_some_fault(audit_log: AuditLog, mesh: Mesh, request: pytest.FixtureRequest) -> None:
    """Of all the drills that were done with these rights, here and in test_drill.py."""
    asked = {item.function.__name__ for item in request.session.items if isinstance(item, pytest.Function)}
    needed = {
        *("test_nothing_is_denied", "test_a_second_person_approves_an_evacuation"),
        *("test_nodes_are_cordoned_and_pods_evicted", "test_a_network_policy_that_nothing_enforces"),
        *("test_a_scaled_workload_comes_back", "test_clients_that_the_drill_brings_along"),
        "test_somebody_restores_in_the_middle",
    }
    assert needed <= asked, f"Run the whole folder: this judges what {needed - asked} did, too."
    vain = audit_log.in_vain(f"system:serviceaccount:{mesh.namespace}:drill", least_rights.RIGHTS["drill"])
    assert vain == set()
