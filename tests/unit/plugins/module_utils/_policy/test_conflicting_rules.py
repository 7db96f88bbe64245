# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which DestinationRule counts. The cases follow istio 1.31 pilot/pkg/model/push_context_test.go."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._istio.destination_rules import Rule
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import (
    covers,
    resolve,
    service_namespace,
)
from ansible_collections.meshops.locality.plugins.module_utils._policy.conflicting_rules import (
    ELSEWHERE,
    clashes,
    describe,
    effective,
    routes,
)

HOST = "h.sample.svc.cluster.local"


def rule(name: str, namespace: str = "sample", host: str = HOST, created: str = "2026-01-01", **more: t.Any) -> Rule:
    return Rule(namespace, name, host, created, **more)


def winner(rules: list[Rule], client: str, host: str = HOST) -> str | None:
    entry = effective(rules, host, "sample", client)
    return str(entry.policy) if entry and entry.policy else None


@pytest.mark.parametrize(
    ("host", "full"),
    [
        ("h", HOST),
        ("h.sample", "h.sample"),
        (HOST, HOST),
        ("*", "*"),
        ("*.local", "*.local"),
    ],
)
def test_only_names_without_a_dot_are_completed(host: str, full: str) -> None:
    assert resolve(host, "sample", "cluster.local") == full


@pytest.mark.parametrize(
    ("wide", "narrow", "does"),
    [
        ("*", HOST, True),
        ("*.local", HOST, True),
        ("*.sample.svc.cluster.local", HOST, True),
        ("*.other.svc.cluster.local", HOST, False),
        (HOST, HOST, True),
        (HOST, "*.local", False),
        ("*.local", "*.cluster.local", True),
    ],
)
def test_wildcards(wide: str, narrow: str, does: bool) -> None:
    assert covers(wide, narrow) is does


def test_the_namespace_of_a_service() -> None:
    assert service_namespace(HOST) == "sample"
    assert service_namespace("api.example.com") is None
    assert service_namespace("*.sample.svc.cluster.local") is None


def test_a_rule_in_the_clients_namespace_beats_the_owners_even_with_a_wider_host() -> None:
    rules = [rule("owner"), rule("mine", "client", "*.local")]
    assert winner(rules, "client") == "client/mine"
    assert winner(rules, "elsewhere") == "sample/owner"


def test_the_root_namespace_comes_last() -> None:
    rules = [rule("global", "istio-system", "*.local"), rule("owner")]
    assert winner(rules, "client") == "sample/owner"
    assert winner(rules[:1], "client") == "istio-system/global"


def test_rules_of_third_namespaces_never_apply() -> None:
    assert winner([rule("third", "third")], "client") is None
    assert winner([rule("third", "third")], "third") == "third/third"


def test_the_most_specific_host_counts_within_a_namespace() -> None:
    rules = [rule("all", host="*"), rule("wide", host="*.cluster.local"), rule("exact", created="2026-02-02")]
    assert winner(rules, "client") == "sample/exact"
    assert winner(rules[:2], "client") == "sample/wide"


def test_a_private_most_specific_rule_hides_the_wider_one_from_the_same_index_only() -> None:
    rules = [rule("private", export_to=frozenset({"."})), rule("public", host="*.local")]
    assert winner(rules, "client") == "sample/public"
    hidden = [rule("for-x", export_to=frozenset({"x"})), rule("public", host="*.local")]
    assert winner(hidden, "client") is None
    assert winner(hidden, "x") == "sample/for-x"


def test_the_oldest_traffic_policy_is_taken_whole() -> None:
    young, old = rule("a", created="2026-02-02"), rule("b", created="2026-01-01")
    assert winner([young, old], "client") == "sample/b"
    without = rule("b", created="2026-01-01", has_policy=False)
    assert winner([young, without], "client") == "sample/a"


def test_with_a_wider_export_the_second_rule_is_swallowed() -> None:
    first = rule("a", created="1", export_to=frozenset({"c1", "c3"}))
    second = rule("b", created="2", export_to=frozenset({"c1", "c2", "c3"}))
    assert winner([first, second], "c1") == "sample/a"
    assert winner([first, second], "c2") is None


def test_with_other_exports_each_client_gets_the_last_it_sees() -> None:
    first = rule("a", created="1", export_to=frozenset({"c1"}))
    second = rule("b", created="2", export_to=frozenset({"c2"}))
    assert winner([first, second], "c1") == "sample/a"
    assert winner([first, second], "c2") == "sample/b"


def test_of_two_that_a_client_sees_the_last_counts() -> None:
    first = rule("a", created="1", export_to=frozenset({"c1", "c2"}))
    second = rule("b", created="2", export_to=frozenset({"c1", "c3"}))
    assert winner([first, second], "c1") == "sample/b"


def test_a_rule_that_is_exported_to_others_only_does_not_count_at_home() -> None:
    rules = [rule("owner"), rule("for-others", "client", export_to=frozenset({"others"}))]
    assert winner(rules, "client") == "sample/owner"


def test_a_rule_for_some_workloads_swallows_a_private_one_for_all() -> None:
    some = rule("some", created="2", selector=(("app", "x"),), export_to=frozenset({"."}))
    private = rule("all", created="1", export_to=frozenset({"."}))
    assert winner([some, private], "sample") is None
    assert winner([some, rule("all", created="1")], "sample") == "sample/all"


def test_a_private_rule_of_the_root_namespace_counts_for_its_own_clients() -> None:
    rules = [rule("own", "istio-system", "*.local", export_to=frozenset({"."})), rule("owner")]
    assert winner(rules, "istio-system") == "istio-system/own"
    assert winner(rules, "client") == "sample/owner"


def test_manifests_are_read_as_istiod_does() -> None:
    read = Rule.from_manifest(
        {
            "metadata": {"name": "n", "namespace": "sample", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {
                "host": "h",
                "exportTo": ["*"],
                "workloadSelector": {"matchLabels": {"b": "2", "a": "1"}},
                "trafficPolicy": {"tls": {}},
            },
        }
    )
    assert read == Rule(
        "sample", "n", HOST, "2026-01-01T00:00:00Z", frozenset({"."}), (("a", "1"), ("b", "2")), has_policy=True
    )


def test_an_older_rule_makes_ours_useless() -> None:
    ours = Rule("sample", "ours", HOST)
    [clash] = clashes(ours, [rule("older")])
    assert (clash.rule, clash.wins, clash.everywhere) == ("sample/older", "sample/older", True)
    assert clash.clients == ["sample", ELSEWHERE]
    assert "the oldest" in clash.why
    assert describe(clash, str(ours)) == (
        f"DestinationRule sample/older wins over sample/ours for host {HOST} and clients in all namespaces (among them "
        f"sample): {clash.why}."
    )


def test_ours_hides_a_younger_one() -> None:
    ours = rule("ours", created="2025-01-01")
    [clash] = clashes(ours, [rule("younger")])
    assert (clash.wins, clash.everywhere) == ("sample/ours", False)


def test_a_clients_own_rule_hides_ours_for_that_client_only() -> None:
    [clash] = clashes(rule("ours"), [rule("mine", "client", "*.local")])
    assert (clash.wins, clash.clients, clash.everywhere) == ("client/mine", ["client"], False)
    assert "the client's own namespace" in clash.why


def test_a_mesh_wide_default_is_hidden_by_ours() -> None:
    [clash] = clashes(rule("ours"), [rule("default", "istio-system", "*.local")])
    assert clash.wins == "sample/ours"
    assert ELSEWHERE in clash.clients


def test_no_clash_with_other_hosts_or_with_ourselves() -> None:
    assert clashes(rule("ours"), [rule("other", host="x.sample.svc.cluster.local"), rule("ours")]) == []


def test_a_rule_without_a_policy_is_no_clash() -> None:
    assert clashes(Rule("sample", "ours", HOST), [rule("subsets", has_policy=False)]) == []


def service(name: str, namespace: str = "sample", **spec: t.Any) -> dict[str, t.Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"hosts": ["h"], **spec}}


def test_routes_that_are_in_the_way() -> None:
    remote = {"retries": {"attempts": 2, "retryRemoteLocalities": True}}
    rendered = routes(
        HOST,
        "sample",
        [
            service("short", http=[remote]),
            service("gateway", gateways=["istio-system/gw"]),
            service("both", gateways=["istio-system/gw", "mesh"], http=[remote, {}]),
            service("other-host", hosts=["x"]),
            service("elsewhere", "client", hosts=[HOST], exportTo=["."]),
            service("wide", "client", hosts=["*.local"]),
            service("tcp", tcp=[{}]),
        ],
    )
    assert [(route.name, route.public, route.retries_remote) for route in rendered] == [
        ("short", True, True),
        ("both", True, False),
        ("elsewhere", False, False),
        ("wide", True, False),
        ("tcp", True, False),
    ]


def test_short_hosts_of_routes_are_in_the_domain_of_the_cluster() -> None:
    host = "h.sample.svc.corp.example"
    assert [route.host for route in routes(host, "sample", [service("short")], "corp.example")] == [host]
    assert routes(host, "sample", [service("short")]) == []
