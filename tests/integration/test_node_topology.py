# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""node_topology against a real API server, on Node objects without a machine behind them."""

from __future__ import annotations

import json
import re
import time
import typing as t
import uuid

import pytest

from .mesh import Mesh

Json = dict[str, t.Any]
REGION, ZONE, SUBZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"
RECORD = "meshops.locality/node-topology"


class Nodes:
    """Three nodes that only exist on paper, tainted, so that nothing is scheduled to them."""

    def __init__(self, kubectl: t.Any) -> None:
        self.kubectl = kubectl
        self.prefix = f"paper-{uuid.uuid4().hex[:6]}"
        self.names = [f"{self.prefix}-{place}" for place in ("beijing", "guangzhou", "tianjin")]
        kubectl("create", "-f", "-", given=[self.node(name) for name in self.names])

    def node(self, name: str) -> Json:
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {"paper": self.prefix, "place": name.rpartition("-")[2]}},
            "spec": {"taints": [{"key": "paper", "effect": "NoSchedule"}], "unschedulable": True},
        }

    def __call__(self, place: str) -> str:
        return f"{self.prefix}-{place}"

    def metadata(self, place: str) -> Json:
        got = self.kubectl("get", "node", self(place), "-o", "json", "--show-managed-fields")
        return t.cast(Json, got["metadata"])

    def topology(self, place: str) -> list[str | None]:
        labels = self.metadata(place)["labels"]
        return [labels.get(label) for label in (REGION, ZONE, SUBZONE)]

    def ours(self, place: str) -> list[Json]:
        """What the API server says this collection owns of the node; the controllers write to it all the time."""
        return [entry for entry in self.metadata(place)["managedFields"] if entry["manager"] == "meshops.locality"]

    def record(self, place: str) -> Json | None:
        text = self.metadata(place).get("annotations", {}).get(RECORD)
        return json.loads(text) if text else None


@pytest.fixture
def nodes(kubectl: t.Any) -> t.Iterator[Nodes]:
    fake_nodes = Nodes(kubectl)
    yield fake_nodes
    kubectl("delete", "node", "-l", f"paper={fake_nodes.prefix}", "--wait=false")


@pytest.fixture
def run(run_module: t.Any, kubeconfig: t.Any) -> t.Callable[..., Json]:
    def call(**params: t.Any) -> Json:
        return t.cast(Json, run_module("node_topology", **{"kubeconfig": str(kubeconfig), **params}))

    return call


def test_check_then_apply_then_again_then_previous(nodes: Nodes, run: t.Any) -> None:
    wanted = {
        "nodes": {nodes("beijing"): {"region": "cn-north-4", "zone": "cn-north-4b", "subzone": "beijing"}},
        "rules": [{"match_labels": {"paper": nodes.prefix, "place": "tianjin"}, "subzone": "tianjin"}],
    }
    before = {place: nodes.metadata(place) for place in ("beijing", "guangzhou", "tianjin")}

    dry = run(check=True, **wanted)
    assert dry["changed"], dry
    assert dry["changed_nodes"] == [nodes("beijing"), nodes("tianjin")]
    assert nodes.ours("beijing") == []
    assert nodes.metadata("beijing")["labels"] == before["beijing"]["labels"]

    done = run(**wanted)
    assert done["changed"]
    assert done["nodes"][0] == {
        "name": nodes("beijing"),
        "changed": True,
        "before": "",
        "after": "cn-north-4/cn-north-4b/beijing",
    }
    assert done["diff"] == dry["diff"]
    assert done["diff"]["before"] == {nodes("beijing"): {}, nodes("tianjin"): {}}
    assert done["diff"]["after"][nodes("tianjin")] == {SUBZONE: "tianjin"}
    assert nodes.topology("beijing") == ["cn-north-4", "cn-north-4b", "beijing"]
    assert nodes.topology("tianjin") == [None, None, "tianjin"]
    assert nodes.topology("guangzhou") == [None, None, None]
    assert nodes.ours("guangzhou") == []

    version = nodes.ours("beijing")
    again = run(**wanted)
    assert not again["changed"]
    assert again["diff"] == {"before": {}, "after": {}}
    assert nodes.ours("beijing") == version

    dry = run(check=True, state="previous", rules=[{"name_pattern": f"{nodes.prefix}-*"}])
    assert dry["changed_nodes"] == [nodes("beijing"), nodes("tianjin")]
    restored = run(state="previous", rules=[{"name_pattern": f"{nodes.prefix}-*"}])
    assert restored["changed_nodes"] == [nodes("beijing"), nodes("tianjin")]
    for place, metadata in before.items():
        now = nodes.metadata(place)
        assert now["labels"] == metadata["labels"]
        assert nodes.record(place) is None
    assert not run(state="previous", rules=[{"name_pattern": f"{nodes.prefix}-*"}])["changed"]


@pytest.mark.parametrize("state", ["previous", "absent"])
def test_a_node_that_is_gone_keeps_no_other_from_its_labels(
    nodes: Nodes, run: t.Any, kubectl: t.Any, state: str, fault_proxy: t.Any
) -> None:
    places = {nodes(place): {"subzone": place} for place in ("beijing", "guangzhou", "tianjin")}
    assert run(nodes=places)["changed"]
    kubectl("delete", "node", nodes("beijing"))
    gone = f"/nodes/{nodes('guangzhou')}"
    fault_proxy.add("PATCH", gone, times=1, before=lambda: kubectl("delete", "node", nodes("guangzhou")))
    done = run(state=state, nodes={name: {} for name in places}, kubeconfig=str(fault_proxy.kubeconfig))
    assert (done.get("failed", False), done["changed"], done["changed_nodes"]) == (False, True, [nodes("tianjin")]), (
        done
    )
    assert done["missing_nodes"] == [nodes("beijing"), nodes("guangzhou")]
    assert len(done["warnings"]) == 2
    assert nodes.topology("tianjin") == [None, None, None]


def test_previous_restores_values_over_several_changes(nodes: Nodes, run: t.Any, kubectl: t.Any) -> None:
    kubectl("label", "node", nodes("beijing"), f"{SUBZONE}=old")
    for subzone in ("a", "b"):
        assert run(nodes={nodes("beijing"): {"subzone": subzone}})["changed"]
    assert run(state="absent", nodes={nodes("beijing"): {}})["changed"]
    assert nodes.topology("beijing") == [None, None, None]
    assert not run(state="absent", nodes={nodes("beijing"): {}})["changed"]
    assert run(state="previous", nodes={nodes("beijing"): {}})["changed"]
    assert nodes.topology("beijing") == [None, None, "old"]
    assert nodes.record("beijing") is None


def test_what_somebody_else_changed_is_kept_and_reported(nodes: Nodes, run: t.Any, kubectl: t.Any) -> None:
    run(nodes={nodes("beijing"): {"zone": "z", "subzone": "s"}})
    kubectl("label", "node", nodes("beijing"), f"{SUBZONE}=theirs", "--overwrite")
    result = run(state="previous", nodes={nodes("beijing"): {}})
    assert nodes.topology("beijing") == [None, None, "theirs"]
    assert result["not_restored"] == [
        {
            "node": nodes("beijing"),
            "label": SUBZONE,
            "value": "theirs",
            "set": "s",
            "before": None,
            "owners": ["kubectl-label"],
        }
    ]
    assert "somebody else changed it" in result["warnings"][0]
    assert nodes.record("beijing") is None


def test_foreign_zone_is_refused_for_all_before_anything_is_written(nodes: Nodes, run: t.Any, kubectl: t.Any) -> None:
    kubectl("label", "node", nodes("tianjin"), f"{ZONE}=cloud-a", "--field-manager", "cloud-node-controller")
    wanted = {nodes("beijing"): {"subzone": "b"}, nodes("tianjin"): {"zone": "cloud-b", "subzone": "t"}}
    refused = run(nodes=wanted)
    assert refused["failed"]
    assert f"{nodes('tianjin')}: {ZONE} is 'cloud-a', set by cloud-node-controller, wanted 'cloud-b'" in refused["msg"]
    assert "Schedulers and volumes depend on" in refused["msg"]
    assert "overwrite_foreign" in refused["msg"]
    assert (refused["changed"], refused["changed_nodes"]) == (False, [])
    assert nodes.topology("beijing") == [None, None, None]

    assert run(nodes={nodes("tianjin"): {"zone": "cloud-a", "subzone": "t"}})["changed"], "the same zone is no conflict"
    assert run(nodes=wanted, overwrite_foreign=True)["changed"]
    assert nodes.topology("tianjin") == [None, "cloud-b", "t"]
    # From now on the zone is ours, and needs no permission any more.
    assert run(nodes={nodes("tianjin"): {"zone": "cloud-c"}})["changed"]
    assert run(state="previous", nodes={nodes("tianjin"): {}})["changed"]
    assert nodes.topology("tianjin") == [None, "cloud-a", None]
    refused = run(state="absent", nodes={nodes("tianjin"): {"zone": None}})
    assert "wanted absent" in refused["msg"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"nodes": {"{p}-bejing": {"zone": "z"}}},
            "There is no node {p}-bejing in the cluster; close to it: {p}-beijing",
        ),
        (
            {"nodes": {"{p}-beijing": {"zone": "cn north"}}},
            "nodes[{p}-beijing].zone is 'cn north', which is not a legal label value",
        ),
        (
            {"rules": [{"name_pattern": "*", "subzone": "x" * 64}]},
            "64 characters long, and a label value has at most 63",
        ),
        ({"nodes": {"{p}-beijing": {"rack": "1"}}}, "nodes[{p}-beijing] has the unknown field rack"),
        ({"rules": [{"zone": "z"}]}, "rules[0] has neither name_pattern nor match_labels"),
        (
            {"nodes": {"{p}-beijing": {"zone": "a"}}, "rules": [{"name_pattern": "{p}-b*", "zone": "b"}]},
            "Node {p}-beijing: nodes[{p}-beijing] wants zone 'a', but rules[0] wants 'b'",
        ),
        ({}, "nodes, rules"),
    ],
)
def test_bad_input_names_the_place(nodes: Nodes, run: t.Any, params: Json, message: str) -> None:
    given = json.loads(json.dumps(params).replace("{p}", nodes.prefix))
    result = run(**given)
    assert result["failed"]
    assert message.replace("{p}", nodes.prefix) in result["msg"]
    assert all(nodes.record(place) is None for place in ("beijing", "guangzhou", "tianjin"))


def test_rule_without_nodes_is_a_warning(nodes: Nodes, run: t.Any) -> None:
    result = run(rules=[{"name_pattern": f"{nodes.prefix}-x*", "zone": "z"}])
    assert not result["changed"]
    assert result["unmatched_rules"] == ["rules[0]"]
    assert "rules[0] matches no node" in result["warnings"][0]


def test_damaged_record(nodes: Nodes, run: t.Any, kubectl: t.Any) -> None:
    kubectl("annotate", "node", nodes("beijing"), f"{RECORD}=oops")
    result = run(state="previous", nodes={nodes("beijing"): {}})
    assert f"The annotation {RECORD} of node {nodes('beijing')} cannot be read" in result["msg"]


def _serving(nodes: Nodes, namespace: str, name: str, place: str) -> list[Json]:
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"ports": [{"port": 80}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"port": 80}],
            "endpoints": [{"addresses": ["192.0.2.9"], "nodeName": nodes(place)}],
        },
    ]


def test_istiod_is_told_for_the_services_concerned(nodes: Nodes, run: t.Any, kubectl: t.Any, namespace: str) -> None:
    kubectl(
        "create",
        "-f",
        "-",
        given=_serving(nodes, namespace, "here", "beijing") + _serving(nodes, namespace, "there", "tianjin"),
    )

    def notice(name: str) -> str | None:
        printed = kubectl("get", "endpointslice", "-n", namespace, name, "-o", "json")["metadata"]
        return t.cast("str | None", printed.get("annotations", {}).get("meshops.locality/nodes-relabelled"))

    wanted = {"nodes": {nodes("beijing"): {"subzone": "b"}, nodes("tianjin"): {"subzone": "t"}}}
    assert run(nodes={nodes("tianjin"): {"subzone": "t"}})["services_notified"] == []
    dry = run(check=True, notify_istiod=True, notify_namespaces=[namespace], **wanted)
    # tianjin was labelled without telling istiod: that is still to be done.
    assert dry["services_notified"] == [f"{namespace}/here", f"{namespace}/there"]
    assert notice("here") is None
    result = run(notify_istiod=True, notify_namespaces=[namespace], **wanted)
    assert result["services_notified"] == dry["services_notified"]
    assert result["changed_nodes"] == [nodes("beijing")]
    first = notice("here")
    assert first
    again = run(notify_istiod=True, notify_all_namespaces=True, **wanted)
    assert (again["changed"], again["services_notified"]) == (False, [])
    assert "pending" not in t.cast(Json, nodes.record("tianjin"))

    run(nodes={nodes("beijing"): {"subzone": "c"}}, notify_istiod=True, notify_namespaces=["default"])
    assert notice("here") == first, "another namespace was asked for"
    only = run(nodes={nodes("beijing"): {"subzone": "d"}}, notify_istiod=True, notify_all_namespaces=True)
    assert only["services_notified"] == [f"{namespace}/here"]
    assert notice("here") not in (None, first)
    run(state="previous", rules=[{"name_pattern": f"{nodes.prefix}-*"}], notify_istiod=True, notify_all_namespaces=True)
    assert notice("here") is None
    assert nodes.record("beijing") is None


def test_istiod_reads_the_new_subzone(nodes: Nodes, run: t.Any, kubectl: t.Any, namespace: str, mesh: Mesh) -> None:
    """The claim behind notify_istiod, on the real istiod: it keeps the old subzone until it is told.

    verify_notice asks a client's Envoy, which holds what istiod has sent.
    """
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": namespace, "labels": {"app": "web"}},
        "spec": {
            "nodeName": nodes("beijing"),
            "serviceAccountName": "default",
            "automountServiceAccountToken": False,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "web", "image": "none"}],
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"ports": [{"port": 80, "name": "http"}], "selector": {"app": "web"}},
    }
    for _attempt in range(50):  # The ServiceAccount of a new namespace takes a moment.
        if "NotFound" not in kubectl("get", "serviceaccount", "-n", namespace, "default", check=False):
            break
        time.sleep(0.2)
    run(nodes={nodes("beijing"): {"region": "r", "zone": "z", "subzone": "old"}})
    kubectl("create", "-f", "-", given=[service, pod])
    ready = {"phase": "Running", "podIP": "192.0.2.7", "podIPs": [{"ip": "192.0.2.7"}]}
    ready["conditions"] = [{"type": "Ready", "status": "True"}]
    kubectl(
        "patch",
        "pod",
        "-n",
        namespace,
        "web",
        "--subresource=status",
        "--type=merge",
        "-p",
        json.dumps({"status": ready}),
    )

    def seen() -> str | None:
        istiod = ["exec", "-n", "istio-system", "deploy/istiod", "--", "pilot-discovery"]
        shards = json.loads(kubectl(*istiod, "request", "GET", "/debug/endpointShardz"))
        for shard in shards.get(f"web.{namespace}.svc.cluster.local", {}).get(namespace, {}).get("Shards", {}).values():
            for endpoint in shard:
                return t.cast(str, endpoint["Locality"]["Label"])
        return None

    def sees(locality: str, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if seen() == locality:
                return True
            time.sleep(0.3)
        return False

    try:
        assert sees("r/z/old", 20)
        run(nodes={nodes("beijing"): {"subzone": "new"}})
        assert not sees("r/z/new", 4), "istiod noticed by itself: notify_istiod is no longer needed"
        clients = {"namespace": mesh.namespace, "label_selector": "app=sleep"}
        hoped = run(nodes={nodes("beijing"): {"subzone": "new"}}, verify_notice={**clients, "wait_timeout": 1})
        assert (hoped.get("error"), hoped["changed"]) == ("NotReady", False), hoped
        assert "192.0.2.7:80 of web." in hoped["msg"]
        assert "in r/z/old, not in r/z/new" in hoped["msg"]
        result = run(
            nodes={nodes("beijing"): {"subzone": "new"}},
            notify_istiod=True,
            notify_all_namespaces=True,
            verify_notice={**clients, "wait_timeout": 60},
        )
        assert result["services_notified"] == [f"{namespace}/web"]
        assert (result["endpoints_verified"], result["not_verified"]) == (1, "")
        assert sees("r/z/new", 10)
        nobody = run(nodes={nodes("tianjin"): {"subzone": "x"}}, verify_notice=clients)
        assert nobody["endpoints_verified"] == 0
        assert any("nothing was verified" in text for text in nobody["warnings"])
    finally:
        kubectl("delete", "pod", "-n", namespace, "web", "--force", "--grace-period=0")


def test_somebody_else_changes_the_node_meanwhile(
    nodes: Nodes, run_module: t.Any, kubectl: t.Any, fault_proxy: t.Any
) -> None:
    """A real 409: between our read and our write, the node gets a label and the zone gets an owner."""
    path = f"/nodes/{nodes('beijing')}"
    fault_proxy.add("PATCH", path, times=1, before=lambda: kubectl("label", "node", nodes("beijing"), "theirs=1"))
    wanted = {"nodes": {nodes("beijing"): {"zone": "z", "subzone": "s"}}}
    done = run_module("node_topology", kubeconfig=str(fault_proxy.kubeconfig), **wanted)
    assert done["changed"], done
    assert sum(f"PATCH {'/api/v1'}{path}" in line for line in fault_proxy.seen) == 2
    assert nodes.metadata("beijing")["labels"]["theirs"] == "1"
    assert nodes.topology("beijing") == [None, "z", "s"]

    label = ("label", "node", nodes("tianjin"), f"{ZONE}=cloud")
    fault_proxy.add("PATCH", f"/nodes/{nodes('tianjin')}", times=1, before=lambda: kubectl(*label))
    refused = run_module(
        "node_topology", kubeconfig=str(fault_proxy.kubeconfig), nodes={nodes("tianjin"): {"zone": "z"}}
    )
    assert refused["failed"]
    assert "set by kubectl-label" in refused["msg"]
    assert nodes.topology("tianjin") == [None, "cloud", None]


@pytest.mark.parametrize("state", ["present", "previous"])
def test_a_lost_answer_is_a_change_nevertheless(nodes: Nodes, run: t.Any, fault_proxy: t.Any, state: str) -> None:
    """The server wrote the labels, but the client never heard of it, asked again and got a 409."""
    wanted = {"nodes": {nodes("beijing"): {"zone": "z", "subzone": "s"}}}
    if state == "previous":
        assert run(**wanted)["changed"]
    lost = fault_proxy.add("PATCH", f"/nodes/{nodes('beijing')}", lost=True, times=1)
    done = run(**{"kubeconfig": str(fault_proxy.kubeconfig), "state": state, **wanted})
    assert lost.times == 0
    assert (done["changed"], done["changed_nodes"]) == (True, [nodes("beijing")]), done
    assert nodes.topology("beijing") == ([None, "z", "s"] if state == "present" else [None, None, None])
    if state == "present":
        assert done["nodes"][0]["after"].endswith("z/s")
    assert not run(state=state, **wanted)["changed"]


def test_previous_takes_the_notice_away_where_none_was(
    nodes: Nodes, run: t.Any, kubectl: t.Any, namespace: str
) -> None:
    """The labels were set without a notice, so there is none to take away; istiod must notice nevertheless."""
    kubectl("create", "-f", "-", given=_serving(nodes, namespace, "here", "beijing"))
    find = ("get", "endpointslice", "-n", namespace, "here", "-o", "json")
    run(nodes={nodes("beijing"): {"subzone": "b"}})
    before = kubectl(*find)["metadata"]
    result = run(state="previous", nodes={nodes("beijing"): {}}, notify_istiod=True, notify_all_namespaces=True)
    after = kubectl(*find)["metadata"]
    assert result["services_notified"] == [f"{namespace}/here"]
    assert after["resourceVersion"] != before["resourceVersion"]
    assert "meshops.locality/nodes-relabelled" not in after.get("annotations", {})
    assert nodes.record("beijing") is None


def test_never_ending_conflict_ends(nodes: Nodes, run_module: t.Any, kubectl: t.Any, fault_proxy: t.Any) -> None:
    counter = iter(range(100))

    def meddle() -> None:
        kubectl("label", "node", nodes("beijing"), f"theirs={next(counter)}", "--overwrite")

    fault_proxy.add("PATCH", f"/nodes/{nodes('beijing')}", before=meddle)
    result = run_module(
        "node_topology", kubeconfig=str(fault_proxy.kubeconfig), nodes={nodes("beijing"): {"subzone": "s"}}
    )
    assert result["failed"]
    assert result["error"] == "Conflict"
    assert f"Node {nodes('beijing')} was changed by somebody else 5 times in a row" in result["msg"]


def test_server_fails_in_the_middle_and_a_second_run_repairs(
    nodes: Nodes, run: t.Any, run_module: t.Any, kubectl: t.Any, namespace: str, fault_proxy: t.Any
) -> None:
    kubectl("create", "-f", "-", given=_serving(nodes, namespace, "here", "beijing"))
    names = {"beijing": nodes("beijing"), "tianjin": nodes("tianjin")}
    wanted = {
        "nodes": {name: {"subzone": place} for place, name in names.items()},
        "notify_istiod": True,
        "notify_namespaces": [namespace],
    }
    fault_proxy.add("PATCH", f"/nodes/{names['beijing']}", status=429, times=2, headers={"Retry-After": "1"})
    fault_proxy.add("PATCH", f"/nodes/{names['tianjin']}", status=500)
    result = run_module("node_topology", kubeconfig=str(fault_proxy.kubeconfig), **wanted)
    assert result["failed"]
    assert result["changed"]
    assert result["changed_nodes"] == [names["beijing"]]
    assert [failed["name"] for failed in result["failed_nodes"]] == [names["tianjin"]]
    assert "1 of 2 nodes could not be labelled" in result["msg"]
    assert "kept answering 500 to patch" in result["msg"]
    assert "run again" in result["msg"]

    # The labels get through, the notice does not.
    fault_proxy.faults.clear()
    fault_proxy.add("PATCH", "/endpointslices/", status=503)
    result = run_module("node_topology", kubeconfig=str(fault_proxy.kubeconfig), **wanted)
    assert result["failed"]
    assert (result["changed"], result["changed_nodes"]) == (True, [names["tianjin"]])
    assert "istiod was not notified of all" in result["msg"]
    assert result["services_notified"] == []
    assert nodes.topology("tianjin") == [None, None, "tianjin"]

    repaired = run(**wanted)
    assert repaired["changed"]
    assert repaired["services_notified"] == [f"{namespace}/here"]
    assert not run(**wanted)["changed"]

    # The notice gets through, and the node's mark stays.
    fault_proxy.faults.clear()
    fault_proxy.add("PATCH", f"/nodes/{names['beijing']}", status=503, after=1)
    moved = {**wanted, "nodes": {names["beijing"]: {"subzone": "moved"}}}
    result = run_module("node_topology", kubeconfig=str(fault_proxy.kubeconfig), **moved)
    assert (result["failed"], result["changed"]) == (True, True)
    assert f"istiod was notified, but {names['beijing']} could not be unmarked" in result["msg"]
    assert result["services_notified"] == [f"{namespace}/here"]
    assert run(**moved)["changed"]
    assert not run(**moved)["changed"]


def test_missing_permission_is_named(nodes: Nodes, run: t.Any, kubectl: t.Any, namespace: str) -> None:
    reader = f"reader-{nodes.prefix}"
    kubectl("create", "clusterrole", reader, "--verb=get,list", "--resource=nodes")
    kubectl("create", "clusterrolebinding", reader, f"--clusterrole={reader}", f"--user={reader}")
    wanted = {"nodes": {nodes("beijing"): {"subzone": "s"}}, "impersonate_user": reader}
    try:
        for _attempt in range(60):  # A new binding takes a while to be honoured.
            result = run(**wanted)
            if "list" not in result["msg"]:
                break
            time.sleep(0.5)
        assert result["error"] == "Forbidden"
        assert re.search(f"Not allowed to patch .*{nodes('beijing')}", result["msg"])
        assert "verb 'patch'" in result["msg"]
        assert result["failed_nodes"][0]["name"] == nodes("beijing")
        assert (result["changed"], result["changed_nodes"]) == (False, [])
    finally:
        kubectl("delete", "clusterrolebinding,clusterrole", reader)


def test_who_may_not_list_pods_is_told_and_istiod_too(
    nodes: Nodes, run_module: t.Any, kubectl: t.Any, namespace: str, fault_proxy: t.Any
) -> None:
    kubectl("create", "-f", "-", given=_serving(nodes, namespace, "here", "beijing"))
    fault_proxy.add("GET", f"/namespaces/{namespace}/pods", status=403)
    wanted = {"nodes": {nodes("beijing"): {"subzone": "s"}}, "notify_istiod": True, "notify_namespaces": [namespace]}
    done = run_module("node_topology", kubeconfig=str(fault_proxy.kubeconfig), **wanted)
    assert done["services_notified"] == [f"{namespace}/here"], done
    assert done["sidecars_on_changed_nodes"] == []
    assert any("Grant the verb 'list'" in warning for warning in done["warnings"])
