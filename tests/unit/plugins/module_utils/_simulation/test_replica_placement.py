# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where replicas of manifests go, and which endpoints they become."""

from __future__ import annotations

import copy
import itertools
import typing as t
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot
from ansible_collections.meshops.locality.plugins.module_utils._simulation.replica_placement import Placed, place
from ansible_collections.meshops.locality.plugins.module_utils._simulation.workload_pods import (
    Template,
    revision_injected,
)

Json = dict[str, t.Any]
ZONE, REGION, SUBZONE = "topology.kubernetes.io/zone", "topology.kubernetes.io/region", "topology.istio.io/subzone"
INJECT = "sidecar.istio.io/inject"
HOST = "kubernetes.io/hostname"
HARD = "requiredDuringSchedulingIgnoredDuringExecution"
SOFT = "preferredDuringSchedulingIgnoredDuringExecution"


def node(name: str, zone: str = "", taints: t.Sequence[Json] = (), **labels: str) -> Json:
    given_labels = {HOST: name, **({ZONE: zone} if zone else {}), **labels}
    metadata = {"name": name, "labels": given_labels}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": list(taints)}}


def nodes(zones: int = 3, each: int = 2) -> list[Json]:
    return [node(f"n{zone}{number}", f"z{zone}") for zone, number in itertools.product(range(zones), range(each))]


def workload(name: str = "web", replicas: int | None = 3, kind: str = "Deployment", **spec: t.Any) -> Json:
    labels = {"app": name}
    template: Json = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main"}], **spec}}
    count = {} if replicas is None else {"replicas": replicas}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"namespace": "shop", "name": name},
        "spec": {**count, "template": template},
    }


def placed_on(manifests: list[Json], more: list[Json]) -> tuple[Placed, dict[str, str]]:
    result = place(manifests, [*more, *manifests])
    pods = [item for item in result.objects if item["kind"] == "Pod"]
    return result, {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in pods}


def zones_of(placements: dict[str, str]) -> list[int]:
    return sorted(Counter(name[1] for name in placements.values()).values())


def spread_over(key: str, skew: int = 1, **more: t.Any) -> Json:
    constraint = {"maxSkew": skew, "topologyKey": key, "labelSelector": {"matchLabels": {"app": "web"}}}
    return {"topologySpreadConstraints": [{**constraint, "whenUnsatisfiable": "DoNotSchedule", **more}]}


def test_replicas_are_even_over_zones_and_then_nodes() -> None:
    result, placements = placed_on([workload(replicas=6)], nodes())
    assert sorted(placements.values()) == ["n00", "n01", "n10", "n11", "n20", "n21"]
    assert (result.problems, len(result.assumptions)) == ([], 2)
    assert "6 pods that do not exist" in result.assumptions[0].text
    assert result.assumptions[1].code == "namespaces-without-labels"
    assert zones_of(placed_on([workload(replicas=5)], nodes())[1]) == [1, 2, 2]


def test_the_same_manifests_are_placed_the_same_way() -> None:
    workloads = [workload(f"w{number}", 4) for number in range(3)]
    first = place(workloads, [*nodes(), *workloads])
    assert first == place(list(reversed(workloads)), [*reversed(nodes()), *reversed(workloads)])


def test_pods_that_are_there_count() -> None:
    there = [
        {**pod, "metadata": {**pod["metadata"], "name": f"old-{number}", "ownerReferences": []}}
        for number, pod in enumerate(
            place([workload(replicas=1)], [node("n00", "z0"), workload(replicas=1)]).objects * 3
        )
    ]
    spec = spread_over(ZONE)
    _result, placements = placed_on([workload(replicas=2, **spec)], [*nodes(), *there])
    assert {name[1] for name in placements.values()} == {"1", "2"}


def test_where_a_node_selector_and_taints_leave_nodes() -> None:
    closed = node("closed", "z9", [{"key": "dedicated", "value": "x", "effect": "NoSchedule"}], disk="ssd")
    there = [*nodes(), node("fast", "z8", disk="ssd"), closed]
    selector = {"nodeSelector": {"disk": "ssd"}}
    assert set(placed_on([workload(**selector)], there)[1].values()) == {"fast"}
    tolerating = {**selector, "tolerations": [{"key": "dedicated", "operator": "Exists"}]}
    assert set(placed_on([workload(**tolerating)], there)[1].values()) == {"fast", "closed"}
    assert set(placed_on([workload(nodeName="closed")], there)[1].values()) == {"closed"}
    result, placements = placed_on([workload(nodeSelector={"disk": "tape"})], there)
    assert not placements
    assert (
        "3 of 3 replicas find no node. No node has the label disk=tape. disk is 'ssd' on closed, fast, absent on n00"
        in str(result.problems[0])
    )


def test_nodes_that_take_no_pods() -> None:
    cordoned, broken = node("cordoned", "z1"), node("broken", "z2")
    cordoned["spec"]["unschedulable"] = True
    broken["status"] = {"conditions": [{"type": "Ready", "status": "Unknown"}]}
    there = [node("n00", "z0"), cordoned, broken]
    assert set(placed_on([workload()], there)[1].values()) == {"n00"}
    assert set(placed_on([workload(kind="DaemonSet", replicas=None)], there)[1].values()) == {
        "n00",
        "cordoned",
        "broken",
    }


def test_a_hard_spread_leaves_replicas_over() -> None:
    tainted = node("n30", "z3", [{"key": "x", "effect": "NoSchedule"}])
    result, placements = placed_on([workload(replicas=9, **spread_over(ZONE))], [*nodes(), tainted])
    # The tainted node's zone stays empty, so every other takes maxSkew at most.
    assert zones_of(placements) == [1, 1, 1]
    assert "6 of 9 replicas find no node" in str(result.problems[0])
    honoured = workload(replicas=9, **spread_over(ZONE, nodeTaintsPolicy="Honor"))
    assert zones_of(placed_on([honoured], [*nodes(), tainted])[1]) == [3, 3, 3]
    assert zones_of(placed_on([workload(replicas=9, **spread_over(ZONE, 4))], [*nodes(), tainted])[1]) == [3, 3, 3]
    assert len(placed_on([workload(replicas=9, **spread_over(HOST))], nodes())[1]) == 9


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"matchLabels": {"app": "web"}}, [2, 2]),
        ({}, [2, 2]),
        # Without a selector, or with one for other pods, it keeps nothing even, nor does the scheduler by itself.
        (None, [1, 3]),
        ({"matchLabels": {"app": "web", "version": "v1"}}, [1, 3]),
    ],
)
def test_a_spread_is_of_the_pods_that_its_selector_matches(selector: Json | None, expected: list[int]) -> None:
    web = workload(replicas=4, **spread_over(ZONE, labelSelector=selector))
    lopsided = [node("z0n0", "z0"), *(node(f"z1n{number}", "z1") for number in range(3))]
    result, placements = placed_on([web], lopsided)
    assert not result.problems
    assert zones_of(placements) == expected


def test_pods_that_keep_apart_or_together() -> None:
    term = {"labelSelector": {"matchLabels": {"app": "web"}}}
    apart = {"affinity": {"podAntiAffinity": {HARD: [{**term, "topologyKey": HOST}]}}}
    assert len(set(placed_on([workload(replicas=9, **apart)], nodes())[1].values())) == 6
    zonal = {"affinity": {"podAntiAffinity": {HARD: [{**term, "topologyKey": ZONE}]}}}
    assert len(placed_on([workload(replicas=9, **zonal)], nodes())[1]) == 3
    soft = {"affinity": {"podAntiAffinity": {SOFT: [{"weight": 1, "podAffinityTerm": {**term, "topologyKey": HOST}}]}}}
    assert len(placed_on([workload(replicas=9, **soft)], nodes())[1]) == 9
    together = {"affinity": {"podAffinity": {HARD: [{**term, "topologyKey": ZONE}]}}}
    follower = workload("cache", 3, **together)
    web = workload("web", 1, nodeSelector={ZONE: "z2"})
    placements = placed_on([follower, web], nodes())[1]
    assert {name[:2] for name in placements.values()} == {"n2"}
    assert zones_of(placed_on([workload(replicas=4, **together)], nodes())[1]) == [4]
    assert placed_on([follower], nodes())[1] == {}


def test_preferred_nodes_come_first() -> None:
    term = {"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["z1"]}]}
    spec = {"affinity": {"nodeAffinity": {SOFT: [{"weight": 10, "preference": term}]}}}
    assert set(placed_on([workload(replicas=3, **spec)], nodes())[1].values()) == {"n10", "n11"}


def test_numbers_of_replicas() -> None:
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 4},
    }
    assert len(placed_on([workload(replicas=None)], nodes())[1]) == 1
    assert len(placed_on([workload(replicas=0)], nodes())[1]) == 0
    result, placements = placed_on([workload(replicas=None), scaler], nodes())
    assert len(placements) == 2
    assert "Deployment shop/web is taken to have 2 replicas, as its autoscaler allows." in [
        assumption.text for assumption in result.assumptions
    ]
    assert len(placed_on([workload(replicas=9), scaler], nodes())[1]) == 4
    assert set(placed_on([workload("db", 2, "StatefulSet")], nodes())[1]) == {"db-0", "db-1"}
    with pytest.raises(InvalidInput, match="ask for 1000000000 pods"):
        placed_on([workload(replicas=10**9)], nodes())


def test_workloads_with_pods_are_left_alone() -> None:
    manifest = workload()
    pods = place([manifest], [*nodes(), manifest]).objects
    result, placements = placed_on([manifest], [*nodes(), *pods])
    assert not placements
    text = result.assumptions[0].text
    assert text.startswith("These have pods in the cluster already, which stay as they are")
    assert text.endswith(": Deployment shop/web.")
    # A dump has both, and nothing has to be said.
    result, placements = placed_on([manifest, *pods], nodes())
    assert (placements, result.assumptions) == ({}, [])


def test_a_pod_of_the_manifests_that_runs_nowhere_yet() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": "shop", "name": "lone", "labels": {"app": "x"}},
        "spec": {"nodeSelector": {ZONE: "z1"}, "containers": [{"name": "main"}]},
    }
    assert placed_on([pod], nodes())[1] == {"lone": "n10"}


def test_without_nodes_places_are_invented_or_unknown() -> None:
    term = {
        "matchExpressions": [
            {"key": SUBZONE, "operator": "In", "values": ["beijing"]},
            {"key": ZONE, "operator": "In", "values": ["z1", "z2"]},
            {"key": REGION, "operator": "In", "values": ["r"]},
        ]
    }
    placed = {"affinity": {"nodeAffinity": {HARD: {"nodeSelectorTerms": [term]}}}}
    apart = {"podAntiAffinity": {HARD: [{"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": "web"}}}]}}
    web = workload(replicas=4, affinity={**placed["affinity"], **apart})
    result, placements = placed_on([web, workload("anywhere", 2), workload("ssd", 1, nodeSelector={"disk": "ssd"})], [])
    assert Counter(placements.values()) == {"": 3, "assumed-beijing-z1-r": 2, "assumed-beijing-z2-r": 2}
    invented = [item["metadata"]["labels"] for item in result.objects if item["kind"] == "Node"]
    assert invented == [{SUBZONE: "beijing", ZONE: zone, REGION: "r"} for zone in ("z1", "z2")]
    assert not result.problems
    assert "no-nodes" in [assumption.code for assumption in result.assumptions]


def snapshot_of(manifests: list[Json], more: list[Json]) -> Snapshot:
    placed = place(manifests, [*more, *manifests])
    return build([*more, *manifests, *placed.objects])


def service(**spec: t.Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}], **spec},
    }


def test_services_get_their_endpoints() -> None:
    ports = [{"name": "http", "port": 80, "targetPort": "www"}, {"name": "tcp", "port": 90, "targetPort": 9090}]
    web = workload(containers=[{"name": "main", "ports": [{"name": "www", "containerPort": 8080}]}])
    other = workload("other", 1, containers=[{"name": "main", "ports": [{"name": "www", "containerPort": 8081}]}])
    other["spec"]["template"]["metadata"]["labels"] = {"app": "web"}
    snapshot = snapshot_of([service(ports=ports), web, other], nodes())
    (built,) = snapshot.services
    assert Counter(endpoint.ports for endpoint in built.endpoints) == {
        (("http", 8080), ("tcp", 9090)): 3,
        (("http", 8081), ("tcp", 9090)): 1,
    }
    assert all(endpoint.ready and snapshot.pod_by_key[endpoint.pod].assumed for endpoint in built.endpoints)
    assert len({endpoint.address for endpoint in built.endpoints}) == 4
    assert snapshot.problems == ()


def test_a_new_service_selects_pods_that_are_there_and_an_old_one_pods_that_are_new() -> None:
    manifest = workload()
    there = [*nodes(), manifest, *place([manifest], [*nodes(), manifest]).objects]
    (built,) = snapshot_of([service()], there).services
    assert len(built.endpoints) == 3
    more = workload("more", 2)
    more["spec"]["template"]["metadata"]["labels"] = {"app": "web"}
    sliced = place([service()], [*there, service()]).objects
    (built,) = snapshot_of([more], [*there, service(), *sliced]).services
    assert len(built.endpoints) == 5
    (built,) = snapshot_of([service(type="ExternalName", externalName="x.y")], there).services
    assert built.endpoints == ()


@pytest.mark.parametrize(
    ("namespace", "labels", "annotations", "revision"),
    [
        ({}, {}, {}, ""),
        ({"istio-injection": "enabled"}, {}, {}, "default"),
        ({"istio-injection": "enabled"}, {INJECT: "false"}, {}, ""),
        ({"istio-injection": "enabled"}, {}, {INJECT: "false"}, ""),
        ({"istio-injection": "enabled"}, {INJECT: "true"}, {INJECT: "false"}, "default"),
        ({"istio-injection": "disabled"}, {INJECT: "true"}, {}, ""),
        ({"istio-injection": "enabled", "istio.io/rev": "new"}, {}, {}, "default"),
        ({"istio.io/rev": "new"}, {}, {}, "new"),
        ({}, {INJECT: "true"}, {}, "default"),
        ({}, {"istio.io/rev": "new"}, {}, "new"),
        ({}, {}, {INJECT: "true"}, ""),
    ],
)  # fmt: skip
def test_who_gets_a_sidecar(namespace: Json, labels: Json, annotations: Json, revision: str) -> None:
    template = Template("shop", "Deployment", "web", labels, annotations, {})
    assert revision_injected(template, namespace) == revision
    assert revision_injected(Template("shop", "", "", labels, annotations, {"hostNetwork": True}), namespace) == ""
    assert revision_injected(Template("kube-system", "", "", labels, annotations, {}), namespace) == ""


def test_proxies_of_sidecars_and_gateways() -> None:
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "shop", "labels": {"istio.io/rev": "new"}},
    }
    gateway = workload("gateway", 1, containers=[{"name": "istio-proxy", "image": "auto"}])
    gateway["spec"]["template"]["metadata"]["annotations"] = {"inject.istio.io/templates": "gateway"}
    own = workload("own", 1, containers=[{"name": "istio-proxy", "args": ["proxy", "router"]}])
    own["spec"]["template"]["metadata"]["labels"]["sidecar.istio.io/inject"] = "false"
    snapshot = snapshot_of([namespace, workload("web", 1), gateway, own], nodes())
    assert {pod.workload: (pod.proxy, pod.revision) for pod in snapshot.pods} == {
        "Deployment/web": ("sidecar", "new"),
        "Deployment/gateway": ("router", "new"),
        "Deployment/own": ("router", ""),
    }


@settings(deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 12),
    st.sampled_from([{}, spread_over(ZONE), spread_over(HOST), spread_over(ZONE, 2)]),
)
def test_every_replica_is_placed_once_and_evenly(zones: int, each: int, replicas: int, spec: Json) -> None:
    result, placements = placed_on([workload(replicas=replicas, **copy.deepcopy(spec))], nodes(zones, each))
    assert len(placements) == replicas
    assert not result.problems
    for part in (slice(0, 2), slice(0, 3)):
        places = {live_node["metadata"]["name"][part] for live_node in nodes(zones, each)}
        counted = [sum(name[part] == where for name in placements.values()) for where in places]
        assert max(counted) - min(counted) <= 1 or (part == slice(0, 3) and "topologySpreadConstraints" not in spec)
