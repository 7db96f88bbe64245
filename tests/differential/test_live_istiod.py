# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle is told what a real cluster has, and says what a real istiod told a real Envoy.

This is the judge of the oracle itself: of the objects that it is given, and of the node that it takes a client for.
"""

from __future__ import annotations

import time
import typing as t
import uuid

import pytest

from tests.differential.known_meshes import OUTLIER, PLACES, Json, istio, policy, rule
from tests.differential.live_mesh import envoy, istiod, oracles_cluster, oracles_retries, question
from tests.differential.oracle import Oracle
from tests.integration.mesh import CLIENT, SERVER, deployment

LABELS = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone")
TWO_PORTS = [{"name": "http", "port": 5000}, {"name": "tcp-raw", "port": 5001, "targetPort": 5000}]
FAILOVER = {"failover": [{"from": "cn-north-4", "to": "cn-south-1"}]}
UNREADY = {"exec": {"command": ["/bin/false"]}, "periodSeconds": 1}


def template(labels: Json, container: Json, on: str = "", place: str = "") -> Json:
    """Pods on a node (any without), perhaps with a locality label of their own."""
    own = {"topology.istio.io/locality": place.replace("/", ".")} if place else {}
    placed = {"nodeName": on} if on else {}
    return {
        "metadata": {"labels": {**labels, **own}},
        "spec": {
            **placed,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"imagePullPolicy": "IfNotPresent", **container}],
        },
    }


def service(name: str, annotations: Json | None = None, **spec: t.Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {"selector": {"app": "helloworld"}, "ports": TWO_PORTS, **spec},
    }


def workloads() -> list[Json]:
    """helloworld on every node, once with a locality label, once not ready; clients on two nodes, one with a label."""
    generated = []
    for place in PLACES:
        labels = {"app": "helloworld", "version": place}
        generated.append(deployment(f"helloworld-{place}", labels, template(labels, SERVER, on=place)))
    labels = {"app": "helloworld", "version": "elsewhere"}
    generated.append(
        deployment("helloworld-elsewhere", labels, template(labels, SERVER, place="eu-west/eu-west-1/dublin"))
    )
    labels = {"app": "helloworld", "version": "unready"}
    unready = {**SERVER, "readinessProbe": UNREADY}
    generated.append(deployment("helloworld-unready", labels, template(labels, unready, on="shenyang")))
    for name, on, place in (("tianjin", "tianjin", ""), ("guangzhou", "guangzhou", ""), ("label", "", "eu-west/x/y")):
        labels = {"app": "client", "at": name}
        generated.append(deployment(f"client-{name}", labels, template(labels, CLIENT, on=on, place=place)))
    return generated


def configuration(namespace: str) -> list[Json]:
    """Rules of every kind, two for one host, entries of three resolutions, a Sidecar, retries."""
    spread = {"distribute": [{"from": "cn-north-4/*", "to": {"cn-north-4/*": 70, "cn-south-1/*": 30}}]}
    by_label = {"failoverPriority": [LABELS[0], "version=tianjin"]}
    port = {"number": 5000, "name": "http", "protocol": "HTTP"}
    endpoints: list[Json] = [
        {"address": f"192.0.2.{number}", "locality": place, "labels": {"version": name}, "weight": number}
        for number, (name, place) in enumerate(PLACES.items(), 1)
    ]
    named = [{**endpoint, "address": f"{endpoint['labels']['version']}.example.invalid"} for endpoint in endpoints]
    entries = [
        istio(
            "ServiceEntry",
            name,
            {"hosts": [f"{name}.example.com"], "ports": [port], "resolution": resolution, **some},
            namespace,
        )
        for name, resolution, some in (
            ("fixed", "STATIC", {"endpoints": endpoints}),
            ("named", "DNS", {"endpoints": named}),
            ("open", "NONE", {}),
        )
    ]
    machine = {"address": "192.0.2.99", "labels": {"app": "helloworld"}, "locality": "eu-west/eu-west-1/machine"}
    http = [
        {
            "route": [{"destination": {"host": "helloworld", "subset": "north"}}],
            "retries": {"attempts": 4, "retryOn": "5xx", "retryRemoteLocalities": True},
        }
    ]
    limited = {
        "workloadSelector": {"labels": {"at": "label"}},
        "egress": [{"hosts": [f"./helloworld.{namespace}.svc.cluster.local", "istio-system/*"]}],
    }
    tcp = {"connectionPool": {"tcp": {"connectTimeout": "3s"}, "http": {"maxRequestsPerConnection": 7}}}
    return [
        rule(
            "a-younger",
            "helloworld",
            namespace,
            trafficPolicy=policy(by_label),
            subsets=[{"name": "north", "labels": {"version": "tianjin"}, "trafficPolicy": policy(spread)}],
        ),
        rule("api", "api", namespace, trafficPolicy={"outlierDetection": {**OUTLIER, "minHealthPercent": 25}, **tcp}),
        rule("fixed", "fixed.example.com", namespace, trafficPolicy=policy(FAILOVER)),
        rule("named", "named.example.com", namespace, trafficPolicy=policy(spread, outlier=None)),
        *entries,
        istio("WorkloadEntry", "machine", machine, namespace),
        istio("VirtualService", "helloworld", {"hosts": ["helloworld"], "http": http}, namespace),
        istio("Sidecar", "limited", limited, namespace),
    ]


@pytest.fixture(scope="module")
def labelled(kubectl: t.Any) -> t.Iterator[None]:
    """The tutorial's nodes in the tutorial's places."""
    before = {
        node["metadata"]["name"]: node["metadata"]["labels"] for node in kubectl("get", "nodes", "-o", "json")["items"]
    }
    for name, place in PLACES.items():
        pairs = [f"{label}={value}" for label, value in zip(LABELS, place.split("/"), strict=True)]
        kubectl("label", "node", name, "--overwrite", *pairs)
    yield
    for name in PLACES:
        former = [f"{label}={before[name][label]}" if label in before[name] else f"{label}-" for label in LABELS]
        kubectl("label", "node", name, "--overwrite", *former)


@pytest.fixture(scope="module")
def mesh(kubectl: t.Any, labelled: None) -> t.Iterator[str]:
    """The namespace with the workloads and the configuration; its younger rule is younger by more than a second."""
    name = f"test-live-{uuid.uuid4().hex[:8]}"
    metadata = {"name": name, "labels": {"istio-injection": "enabled"}}
    kubectl("apply", "-f", "-", given={"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    try:
        headless = service("headless", clusterIP="None")
        near = service("near", trafficDistribution="PreferClose")
        node = service("node", {"networking.istio.io/traffic-distribution": "PreferSameNode"})
        older = rule(
            "z-older",
            "helloworld",
            name,
            trafficPolicy=policy({"failover": [{"from": "cn-north-4", "to": "cn-south-1"}]}),
        )
        local = service("local", internalTrafficPolicy="Local")
        plain = [service("helloworld"), service("api"), near, node, local, headless]
        kubectl("-n", name, "apply", "-f", "-", given=[*plain, older])
        kubectl("-n", name, "apply", "-f", "-", given=workloads())
        time.sleep(1.1)  # creation times have seconds
        kubectl("-n", name, "apply", "-f", "-", given=configuration(name))
        ready = [f"deployment/helloworld-{place}" for place in (*PLACES, "elsewhere")]
        ready += [f"deployment/client-{client}" for client in ("tianjin", "guangzhou", "label")]
        kubectl("-n", name, "wait", *ready, "--for=condition=Available", "--timeout=150s")
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


def differences(answer: Json, real: Json) -> list[str]:
    """In what Envoy's configuration differs from the oracle's answer, one line each."""
    ours = {cluster["name"]: oracles_cluster(cluster) for cluster in answer["clusters"]}
    pairs: list[tuple[str, dict[t.Any, t.Any], dict[t.Any, t.Any]]] = [
        ("clusters", dict.fromkeys(ours, 0), dict.fromkeys(real["clusters"], 0))
    ]
    pairs += [(name, ours[name], real["clusters"][name]) for name in sorted(ours.keys() & real["clusters"].keys())]
    pairs += [("retries", oracles_retries(answer), real["retries"])]
    return [
        f"{where}: {key}: oracle {expected.get(key)}, Envoy {other.get(key)}"
        for where, expected, other in pairs
        for key in expected.keys() | other.keys()
        if expected.get(key) != other.get(key)
    ]


def test_the_oracle_says_what_istiod_told_envoy(kubectl: t.Any, mesh: str) -> None:
    line, variables = istiod(kubectl)
    pods = kubectl("-n", mesh, "get", "pods", "-l", "app=client", "-o", "json")["items"]
    names = {pod["metadata"]["labels"]["at"]: pod["metadata"]["name"] for pod in pods}
    assert sorted(names) == ["guangzhou", "label", "tianjin"]
    clients = [{"name": at, "namespace": mesh, "pod": name} for at, name in names.items()]
    left: dict[str, list[str]] = {}
    with Oracle(line, variables) as oracle:
        # istiod waits for more changes before it tells anything, so the first answers may be older than the question.
        for _attempt in range(10):
            asked = question(kubectl, clients)
            (answer,) = oracle.ask([asked])
            assert not answer["error"]
            assert not answer.get("notes")
            real = {at: envoy(kubectl, mesh, name) for at, name in names.items()}
            left = {client["name"]: differences(client, real[client["name"]]) for client in answer["clients"]}
            if not any(left.values()):
                break
            time.sleep(3)
    if differing := [f"{at}: {entry}" for at, some in left.items() for entry in some]:
        pytest.fail("\n".join(differing), pytrace=False)

    # The comparison was one of something.
    by_name = {client["name"]: client for client in answer["clients"]}
    assert by_name["tianjin"]["locality"] == PLACES["tianjin"]
    assert by_name["label"]["locality"] == "eu-west/x/y"
    assert len(by_name["label"]["clusters"]) < len(by_name["tianjin"]["clusters"])
    clusters = {cluster["name"]: cluster for cluster in by_name["tianjin"]["clusters"]}
    assert clusters[f"outbound|5000||helloworld.{mesh}.svc.cluster.local"]["rule"] == f"{mesh}/z-older"
    kinds = {cluster["type"] for cluster in clusters.values()}
    assert kinds >= {"EDS", "STRICT_DNS", "ORIGINAL_DST"}
    assert len({group["priority"] for cluster in clusters.values() for group in cluster["groups"]}) > 2
