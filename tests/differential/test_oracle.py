# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle is right where the answer is known: from the tutorial, Istio's own unit tests and its documentation.

Where a case is Istio's own, its test is named (file of istio.io/istio at the version in go.mod).
"""

from __future__ import annotations

import typing as t

import pytest

from meshops_sandbox.build import lines
from tests.differential.known_meshes import (
    CLUSTER,
    HOST,
    PLACES,
    Json,
    cluster,
    endpoint_slice,
    entry,
    istio,
    node,
    pod,
    policy,
    priorities,
    rule,
    service,
    tutorial,
)
from tests.differential.oracle import Oracle

Oracles = t.Callable[..., Oracle]
FAILOVER = {"enabled": True, "failover": [{"from": "cn-north-4", "to": "cn-south-1"}]}
DB = "outbound|5000||db.example.com"

pytestmark = pytest.mark.parametrize("line", lines())


def computed(oracle: Oracles, line: str, mesh: Json, **env: str) -> Json:
    (answer,) = oracle(line, **env).ask([mesh])
    return answer


def test_tutorial(oracle: Oracles, line: str) -> None:
    """The seed's rule: the own subzone, then the region's others, then the other region."""
    connections = {"http": {"maxRequestsPerConnection": 1}}
    answer = computed(oracle, line, tutorial(rule(trafficPolicy=policy(FAILOVER, connectionPool=connections))))
    assert [client["locality"] for client in answer["clients"]] == list(PLACES.values())
    assert priorities(cluster(answer, "tianjin")) == {"10.0.0.1": 1, "10.0.0.2": 0, "10.0.0.3": 1, "10.0.0.4": 2}
    assert priorities(cluster(answer, "guangzhou")) == {"10.0.0.1": 1, "10.0.0.2": 1, "10.0.0.3": 1, "10.0.0.4": 0}
    received = cluster(answer, "tianjin")
    assert received["type"] == "EDS"
    assert received["rule"] == "sample/helloworld"
    assert received["lb_policy"] == "LEAST_REQUEST"
    assert received["locality_weighted"] is True
    assert received["max_requests_per_connection"] == 1
    assert received["connect_timeout"] == "10s"
    assert received["outlier_detection"]["consecutive_5xx"] == 1
    assert received["outlier_detection"]["base_ejection_time"] == "60s"
    assert "max_ejection_percent" not in received["outlier_detection"]
    labels = answer["clients"][1]["labels"]
    assert labels["topology.istio.io/subzone"] == "tianjin"
    assert labels["kubernetes.io/hostname"] == "tianjin"
    assert labels["topology.istio.io/cluster"] == "Kubernetes"


def test_without_outlier_detection_there_is_no_failover(oracle: Oracles, line: str) -> None:
    answer = cluster(computed(oracle, line, tutorial(rule(trafficPolicy=policy(FAILOVER, outlier=None)))))
    assert set(priorities(answer).values()) == {0}
    assert answer["locality_weighted"] is False
    assert answer["outlier_detection"] is None


def test_outlier_detection_alone_pins_to_the_locality(oracle: Oracles, line: str) -> None:
    """The mesh's own setting is enabled by default: priorities, but no locality-weighted configuration."""
    answer = cluster(computed(oracle, line, tutorial(rule(trafficPolicy=policy()))), "tianjin")
    assert priorities(answer) == {"10.0.0.1": 1, "10.0.0.2": 0, "10.0.0.3": 1, "10.0.0.4": 2}
    assert answer["locality_weighted"] is False
    off = tutorial(rule(trafficPolicy=policy()), mesh={"localityLbSetting": {"enabled": False}})
    assert set(priorities(cluster(computed(oracle, line, off))).values()) == {0}


ALL_PRIORITIES = {
    "1.1.1.1": ("region1/zone1/subzone1", 0),
    "1.1.1.2": ("region1/zone1/subzone2", 1),
    "1.1.1.3": ("region1/zone1/subzone3", 1),
    "1.1.1.4": ("region1/zone2", 2),
    "1.1.1.5": ("region2", 3),
    "1.1.1.6": ("region3", 4),
}


def fake_cluster() -> list[Json]:
    return [{"address": address, "locality": place} for address, (place, _priority) in ALL_PRIORITIES.items()]


def test_failover_all_priorities(oracle: Oracles, line: str) -> None:
    """loadbalancer_test.go, TestApplyLocalitySetting, "Failover: all priorities"."""
    setting = {"failover": [{"from": "region1", "to": "region2"}]}
    mesh = entry(fake_cluster(), rule("db", "db.example.com", trafficPolicy=policy(setting)))
    levels = priorities(cluster(computed(oracle, line, mesh), name=DB))
    assert levels == {address: priority for address, (_place, priority) in ALL_PRIORITIES.items()}


def test_distribution_between_subzones(oracle: Oracles, line: str) -> None:
    """loadbalancer_test.go, "distribution between subzones"; what no key names stays, without endpoints."""
    shares = {"region1/zone1/subzone1": 80, "region1/zone1/subzone2": 15, "region1/zone1/subzone3": 5}
    setting = {"distribute": [{"from": "region1/zone1/subzone1", "to": shares}]}
    mesh = entry(fake_cluster(), rule("db", "db.example.com", trafficPolicy=policy(setting, outlier=None)))
    answer = cluster(computed(oracle, line, mesh), name=DB)
    assert [(group["weight"], len(group["endpoints"])) for group in answer["groups"]] == [
        *((80, 1), (15, 1), (5, 1)),
        *[(1, 0)] * 3,
    ]
    assert answer["locality_weighted"] is True
    assert {group["priority"] for group in answer["groups"]} == {0}


def test_failover_priority_by_labels(oracle: Oracles, line: str) -> None:
    """loadbalancer_test.go, "FailoverPriority": an endpoint's priority is the number of keys not matched from the
    first mismatch on; a locality is split."""
    setting = {"failoverPriority": ["key", "tier"]}
    places = [
        {"address": "1.1.1.1", "locality": "region1/zone1/subzone1", "labels": {"tier": "gold"}},
        {"address": "2.2.2.2", "locality": "region1/zone1/subzone1", "labels": {"key": "value", "tier": "gold"}},
        {"address": "3.3.3.3", "locality": "region2/zone2/subzone2", "labels": {"key": "value", "tier": "iron"}},
    ]
    client = {"metadata": {"LABELS": {"key": "value", "tier": "gold"}}}
    mesh = entry(places, rule("db", "db.example.com", trafficPolicy=policy(setting)), client=client)
    answer = cluster(computed(oracle, line, mesh), name=DB)
    assert priorities(answer) == {"1.1.1.1": 2, "2.2.2.2": 0, "3.3.3.3": 1}
    assert len(answer["groups"]) == 3


def test_traffic_distribution_needs_no_rule(oracle: Oracles, line: str) -> None:
    """Priorities by network, region and zone without a rule; unready endpoints sent and never used in panic."""
    answer = computed(oracle, line, tutorial(trafficDistribution="PreferClose", unready=["hello-beijing"]))
    received = cluster(answer, "tianjin")
    assert priorities(received) == {"10.0.0.1": 0, "10.0.0.2": 0, "10.0.0.3": 0, "10.0.0.4": 1}
    assert received["locality_weighted"] is True
    assert received["panic_threshold"] == 0
    assert [group["endpoints"][0]["health"] for group in received["groups"]] == ["UNHEALTHY", *["HEALTHY"] * 3]


@pytest.mark.parametrize(("first", "second"), [("older", "younger"), ("younger", "older")])
def test_two_rules_for_one_host(oracle: Oracles, line: str, first: str, second: str) -> None:
    """The older rule's traffic policy wins whole, the subsets of both are there, whatever their order and names."""
    times = {"older": "2026-01-01T00:00:00Z", "younger": "2026-01-02T00:00:00Z"}
    subset = {"name": "v1", "labels": {"version": "tianjin"}}
    policies = {
        "older": {"trafficPolicy": policy(None, outlier=None, loadBalancer={"simple": "RANDOM"})},
        "younger": {"trafficPolicy": policy(FAILOVER), "subsets": [subset]},
    }
    rules = [rule(name, created=times[name], **policies[name]) for name in (first, second)]
    answer = computed(oracle, line, tutorial(*rules))
    received = cluster(answer)
    assert (received["lb_policy"], received["outlier_detection"]) == ("RANDOM", None)
    assert set(priorities(received).values()) == {0}
    assert list(priorities(cluster(answer, name=f"outbound|5000|v1|{HOST}"))) == ["10.0.0.2"]


def test_rules_are_looked_up_client_first_and_only_where_exported(oracle: Oracles, line: str) -> None:
    """The client's namespace, then the service's, then the root namespace; `exportTo: ["."]` hides a rule."""

    def simple(namespace: str, kind: str, *export: str) -> Json:
        balancer = {"loadBalancer": {"simple": kind}}
        return rule(f"in-{namespace}", namespace=namespace, exportTo=list(export), trafficPolicy=balancer)

    client = {"name": "other", "namespace": "other", "address": "10.9.9.9"}

    def subset_rules(*rules: Json) -> list[str]:
        mesh = tutorial(*rules)
        mesh["clients"] = [mesh["clients"][0], client]
        answer = computed(oracle, line, mesh)
        return [cluster(answer, number)["rule"] for number in (0, 1)]

    own, home, root = simple("other", "RANDOM"), simple("sample", "ROUND_ROBIN"), simple("istio-system", "RANDOM")
    assert subset_rules(own, home, root) == ["sample/in-sample", "other/in-other"]
    assert subset_rules(home, root) == ["sample/in-sample", "sample/in-sample"]
    assert subset_rules(simple("sample", "RANDOM", "."), root) == ["sample/in-sample", "istio-system/in-istio-system"]
    assert subset_rules(simple("sample", "RANDOM", "."), simple("istio-system", "RANDOM", ".")) == [
        "sample/in-sample",
        "",
    ]


def test_unready_endpoints(oracle: Oracles, line: str) -> None:
    """Sent as UNHEALTHY since 1.31, before only by PILOT_SEND_UNHEALTHY_ENDPOINTS."""
    mesh = tutorial(rule(trafficPolicy=policy(FAILOVER)), unready=["hello-tianjin"])
    threshold = {**policy(FAILOVER)["outlierDetection"], "minHealthPercent": 30}
    unready_mesh = tutorial(rule(trafficPolicy=policy(FAILOVER, outlier=threshold)), unready=["hello-tianjin"])
    answer = cluster(computed(oracle, line, mesh), "tianjin")
    health = {endpoint["health"] for group in answer["groups"] for endpoint in group["endpoints"]}
    if line == "1.30":
        assert priorities(answer) == {"10.0.0.1": 0, "10.0.0.3": 0, "10.0.0.4": 1}
        answer = cluster(computed(oracle, line, mesh, PILOT_SEND_UNHEALTHY_ENDPOINTS="true"), "tianjin")
        health = {endpoint["health"] for group in answer["groups"] for endpoint in group["endpoints"]}
    assert priorities(answer) == {"10.0.0.1": 1, "10.0.0.2": 0, "10.0.0.3": 1, "10.0.0.4": 2}
    assert health == {"HEALTHY", "UNHEALTHY"}
    assert answer["panic_threshold"] == 0
    answer = cluster(computed(oracle, line, unready_mesh), "tianjin")
    assert "10.0.0.2" not in priorities(answer)
    assert answer["panic_threshold"] == 30


def test_zone_aware(oracle: Oracles, line: str) -> None:
    """The mesh's zoneAwareLbSetting since 1.31; 1.30 does not know it."""
    answer = computed(oracle, line, tutorial(mesh={"zoneAwareLbSetting": {"minClusterSize": 4}}))
    received = cluster(answer, "tianjin")
    if line == "1.30":
        assert received["zone_aware"] is None
        assert set(priorities(received).values()) == {0}
    else:
        assert received["zone_aware"] == {"min_cluster_size": "4"}
        assert priorities(received) == {"10.0.0.1": 0, "10.0.0.2": 0, "10.0.0.3": 0, "10.0.0.4": 1}


def test_a_sidecar_limits_what_a_client_is_told(oracle: Oracles, line: str) -> None:
    limited = istio("Sidecar", "default", {"egress": [{"hosts": ["other/*"]}]})
    answer = computed(oracle, line, tutorial(limited))
    assert [client["clusters"] for client in answer["clients"]] == [[]] * 4


def test_retries(oracle: Oracles, line: str) -> None:
    """VirtualService `retries`; `retryRemoteLocalities` is Envoy's previous-priorities predicate."""
    mesh = {**tutorial(), "settings": {"routes": True}}
    (default,) = computed(oracle, line, mesh)["clients"][0]["retries"]
    assert (default["cluster"], default["num_retries"], default["retry_priority"]) == (CLUSTER, 2, None)
    route = {"destination": {"host": "helloworld"}}
    http = [{"route": [route], "retries": {"attempts": 3, "retryOn": "5xx", "retryRemoteLocalities": True}}]
    mesh["objects"].append(istio("VirtualService", "helloworld", {"hosts": ["helloworld"], "http": http}))
    (retry,) = computed(oracle, line, mesh)["clients"][0]["retries"]
    assert (retry["num_retries"], retry["retry_on"]) == (3, "5xx")
    assert retry["retry_priority"] == "envoy.retry_priorities.previous_priorities"


def test_selections_across_registries(oracle: Oracles, line: str) -> None:
    """A ServiceEntry that selects pods, a Service that selects WorkloadEntries: what istiod hears last."""
    servers = [pod(f"server-{number}", "n1", f"10.0.0.{number}", app="db") for number in range(1, 31)]
    external = {
        "hosts": ["db.example.com"],
        "ports": [{"number": 5000, "name": "http", "protocol": "HTTP"}],
        "resolution": "STATIC",
        "workloadSelector": {"labels": {"app": "db"}},
    }
    machines = [
        istio(
            "WorkloadEntry",
            f"vm-{number}",
            {"address": f"10.1.0.{number}", "labels": {"app": "helloworld"}, "locality": "region1/zone2/subzone1"},
        )
        for number in range(1, 31)
    ]
    mesh = {
        "objects": [
            node("n1", "region1/zone1/subzone1"),
            *servers,
            istio("ServiceEntry", "db", external),
            *machines,
            service(),
        ],
        "mesh": {},
        "clients": [{"name": "client", "namespace": "sample"}],
    }
    answers = oracle(line).ask([mesh] * 20)
    for answer in answers:
        assert len(priorities(cluster(answer, name=DB))) == 30
        assert len(priorities(cluster(answer))) == 30
    assert cluster(answers[0], name=DB)["groups"][0]["zone"] == "zone1"
    assert cluster(answers[0])["groups"][0]["zone"] == "zone2"


def test_two_clusters_on_two_networks(oracle: Oracles, line: str) -> None:
    """A remote network is its gateway's address, at the remote locality; on one network it is the pods."""
    local, remote = pod("here", "n1", "10.0.0.1", app="helloworld"), pod("there", "n2", "10.5.0.1", app="helloworld")
    mesh: Json = {
        "objects": [node("n1", "region1/zone1/"), local, service(), endpoint_slice([local])],
        "clusters": {"far": [node("n2", "region2/zone2/"), remote, service(), endpoint_slice([remote])]},
        "mesh": {},
        "clients": [{"name": "client", "namespace": "sample", "pod": "here", "metadata": {"NETWORK": "near"}}],
    }
    answer = cluster(computed(oracle, line, mesh))
    assert sorted(priorities(answer)) == ["10.0.0.1", "10.5.0.1"]
    mesh["networks"] = {
        "networks": {
            "near": {"endpoints": [{"fromRegistry": "Kubernetes"}]},
            "distant": {
                "endpoints": [{"fromRegistry": "far"}],
                "gateways": [{"address": "192.0.2.1", "port": 15443}],
            },
        }
    }
    answer = cluster(computed(oracle, line, mesh))
    # istiod sends no endpoint through a gateway that has no mutual TLS: these pods have no sidecar.
    assert sorted(priorities(answer)) == ["10.0.0.1"]
    remote["metadata"]["labels"]["security.istio.io/tlsMode"] = "istio"
    answer = cluster(computed(oracle, line, mesh))
    assert [(group["region"], group["endpoints"][0]["address"]) for group in answer["groups"]] == [
        ("region1", "10.0.0.1:5000"),
        ("region2", "192.0.2.1:15443"),
    ]


def test_a_crash_of_istiod_is_an_answer(oracle: Oracles, line: str) -> None:
    """failoverPriority on a DNS cluster (istio issue 61857): the mesh says so, the other clusters are told, and the
    process goes on."""
    labelled = {"failoverPriority": ["key"]}
    places = [
        {"address": "a.example.com", "locality": "region1/zone1", "labels": {"key": "x"}},
        {"address": "b.example.com", "locality": "region1/zone1", "labels": {"key": "y"}},
        {"address": "c.example.com", "locality": "region1/zone2", "labels": {"key": "z"}},
    ]
    client = {"metadata": {"LABELS": {"key": "x"}}}
    mesh = entry(places, rule("db", "db.example.com", trafficPolicy=policy(labelled)), client=client, resolution="DNS")
    mesh["objects"] += [service()]
    answers = oracle(line).ask([mesh, tutorial()])
    assert not answers[1]["error"]
    if not answers[0]["error"]:
        pytest.fail(f"istiod did not crash: {answers[0]}")
    assert answers[0]["error"].startswith("panic: ")
    panics = {group["name"]: group.get("panic", "") for group in answers[0]["clients"][0]["clusters"]}
    assert panics == {DB: answers[0]["error"], CLUSTER: ""}


def test_outlier_detection_for_a_dynamic_dns_host_crashes_istiod(oracle: Oracles, line: str) -> None:
    """core/cluster_traffic_policy.go, applyOutlierDetection: such a cluster has no common_lb_config to write to."""
    wild = {
        "hosts": ["*.example.com"],
        "ports": [{"number": 5000, "name": "http", "protocol": "HTTP"}],
        "resolution": "DYNAMIC_DNS",
        "location": "MESH_EXTERNAL",
    }
    mesh = tutorial(istio("ServiceEntry", "wild", wild), rule("wild", "*.example.com", trafficPolicy=policy()))
    answer = computed(oracle, line, mesh)
    assert "nil pointer dereference" in answer["error"]
    assert "applyOutlierDetection" in answer["error"]
