# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import (
    ClusterName,
    host_matches,
    ip_of,
    parse_clusters,
    parse_locality_weights,
    parse_settings,
    parse_stats,
)
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput

SAMPLES = Path(__file__).parent / "samples"
REVIEWS = "outbound|8080||reviews.default.svc.cluster.local"


def sample(name: str) -> str:
    return (SAMPLES / name).read_text(encoding="utf-8")


def by_address(name: str, cluster: str) -> dict:
    return {parsed.address: parsed for parsed in parse_clusters(sample(name)) if parsed.cluster == cluster}


def test_real_answer_of_an_envoy_with_an_ejected_priority():
    endpoints = by_address("clusters-ejected.json", REVIEWS)
    ejected = endpoints["127.7.0.1:8000"]
    assert (ejected.health, ejected.health_reasons, ejected.priority) == ("unhealthy", ("failed_outlier_check",), 0)
    assert str(ejected.locality) == "us-east1/us-east1-b"
    assert ejected.counters["rq_total"] == ejected.counters["rq_error"] + ejected.counters["rq_success"] > 0
    assert ejected.counters["rq_active"] == 0  # the key is there, its value is left out
    second = endpoints["127.7.1.1:8000"]
    assert (second.health, second.health_reasons, second.priority) == ("healthy", (), 1)
    assert str(second.locality) == "us-east1/us-east1-c/rack7"
    assert second.name == ClusterName("outbound", 8080, "", "reviews.default.svc.cluster.local")


@pytest.mark.parametrize("form", ["clusters-ejected.json", "clusters-ejected.txt"])
@pytest.mark.parametrize(
    ("address", "health", "reasons", "excluded"),
    [
        ("127.7.0.1:8000", "unhealthy", ["failed_outlier_check"], False),
        ("127.7.0.2:8000", "unhealthy", ["failed_eds_health"], False),
        ("127.7.0.3:8000", "degraded", ["degraded_eds_health"], False),
        ("127.7.1.1:8000", "unhealthy", ["eds_status_draining"], True),
        ("127.7.1.2:8000", "unhealthy", ["failed_eds_health"], False),
        ("127.7.1.3:8000", "healthy", [], False),
        ("[::1]:8000", "healthy", [], False),
        ("/var/run/pipe.sock", "unhealthy", ["failed_outlier_check"], False),
        ("envoy://connect_originate/10.244.1.7:8080", "unhealthy", ["failed_outlier_check"], False),
    ],
)
def test_every_kind_of_address_and_health(form, address, health, reasons, excluded):
    endpoint = by_address(form, "eds_mixed")[address].as_dict()
    assert (endpoint["health"], endpoint["health_reasons"], endpoint["excluded"]) == (health, reasons, excluded)


def test_active_health_checks():
    endpoints = by_address("clusters-ejected.json", "eds_hc")
    assert endpoints["127.7.0.3:8000"].health_reasons == ("failed_active_hc", "active_hc_timeout")
    assert endpoints["127.7.1.1:8000"].health == "degraded"


def test_text_and_json_forms_say_the_same():
    def facts(name: str) -> set:
        return {
            (e.cluster, e.address, e.hostname, e.locality, e.priority, e.weight, frozenset(e.health_reasons))
            for e in parse_clusters(sample(name))
        }

    assert facts("clusters-ejected.txt") == facts("clusters-ejected.json") != set()


def test_a_parsed_dictionary_is_taken_too():
    text = sample("clusters-ejected.json")
    assert parse_clusters(json.loads(text)) == parse_clusters(text)


@pytest.mark.parametrize(
    "wrong", ["no colons here", '{"version": "1"}', "{broken", '{"cluster_statuses": [1]}', 7, None]
)
def test_something_else_is_refused(wrong):
    with pytest.raises(InvalidInput, match=r"Not an answer of Envoy's /clusters"):
        parse_clusters(wrong)


@pytest.mark.parametrize("nothing", ["", "{}", '{"cluster_statuses": []}', {"cluster_statuses": [{"name": "a"}]}])
def test_an_envoy_without_endpoints(nothing):
    assert parse_clusters(nothing) == []


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("outbound|80|v1|a.b.svc.cluster.local", ClusterName("outbound", 80, "v1", "a.b.svc.cluster.local")),
        ("outbound_.80_._.a.b.svc.cluster.local", ClusterName("outbound", 80, "", "a.b.svc.cluster.local")),
        ("outbound_.80_.v1_.a.b.svc", ClusterName("outbound", 80, "v1", "a.b.svc")),
        ("inbound|5000||", ClusterName("inbound", 5000, "", "")),
        ("PassthroughCluster", ClusterName(host="PassthroughCluster")),
        ("a|b|c", ClusterName(host="a|b|c")),
    ],
)
def test_cluster_names(name, parts):
    assert ClusterName.parse(name) == parts


@pytest.mark.parametrize(
    ("wanted", "namespace", "matches"),
    [
        ("web", "shop", True),
        ("web", "other", False),
        ("web.shop", "other", True),
        ("web.shop.svc", "other", True),
        ("web.shop.svc.cluster.local", "other", True),
        ("web.other", "shop", False),
        ("we", "shop", False),
        ("web.shop.svc.other.domain", "shop", False),
    ],
)
def test_host_matches_as_a_client_would_say_it(wanted, namespace, matches):
    assert host_matches(wanted, "web.shop.svc.cluster.local", namespace) is matches


def test_an_external_host_has_one_name():
    assert host_matches("api.example.com", "api.example.com", "shop")
    assert not host_matches("api", "api.example.com", "example")


@pytest.mark.parametrize(
    ("address", "ip"),
    [
        ("10.0.0.1:80", "10.0.0.1"),
        ("[fd00::1]:80", "fd00::1"),
        ("envoy://connect_originate/10.244.1.7:8080", "10.244.1.7"),
        ("/var/run/pipe.sock", "/var/run/pipe.sock"),
    ],
)
def test_ip_of(address, ip):
    assert ip_of(address) == ip


def test_stats_leave_histograms_out():
    text = "listener_manager.listener_stopped: 13\nlistener_manager.lds.update_duration: P0(nan,0) P25(nan,0)\n"
    text += 'listener_manager.lds.version_text: "2026-11-23T00:40:57Z/48"\n'
    assert parse_stats(text) == {"listener_manager.listener_stopped": 13}


def test_settings_of_a_real_config_dump():
    settings = parse_settings(sample("config_dump-cluster-one.json"))[REVIEWS]
    assert settings["outlier_detection"]["max_ejection_percent"] == 100
    assert settings["panic_threshold"] == 0.0  # present and empty means 0, absent means Envoy's 50
    assert settings["locality_weighted"] is True
    assert settings["max_requests_per_connection"] is None


def test_locality_weights_of_a_real_config_dump():
    weights = parse_locality_weights(sample("config_dump-eds-one.json"))[REVIEWS]
    assert weights["us-east1/us-east1-b", 0] == 3
    assert {priority for _locality, priority in weights} == {0, 1, 2}


def test_an_answer_is_read_cluster_by_cluster_however_it_is_written() -> None:
    text = (SAMPLES / "clusters-ejected.json").read_text()
    whole = json.loads(text)
    read = parse_clusters(text)
    assert [parse_clusters(json.dumps(whole, indent=indent)) for indent in (None, 1)] == [read, read]
    assert parse_clusters(json.dumps({"other": 1, **whole})) == read
    assert len({endpoint.cluster for endpoint in read}) > 1
    for end in (text.index('{"name":"eds_hc"'), len(text) - 2, len(text) - 40):
        with pytest.raises(InvalidInput, match="Not an answer of Envoy's /clusters"):
            parse_clusters(text[:end])
