# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake objects of a scaled sandbox: how many, where, and which numbers are refused."""

from __future__ import annotations

import collections
import ipaddress
import itertools
import typing as t

import pytest

from meshops_sandbox import fake_objects
from meshops_sandbox.errors import PreflightError

BIG = fake_objects.Scale(nodes=1000, pods=5000, services=200)
PLACE = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone")


def place(node: fake_objects.Object) -> tuple[str, ...]:
    return tuple(node["metadata"]["labels"][label] for label in PLACE)


def test_nodes_are_spread_evenly_over_all_places() -> None:
    counted = collections.Counter(place(node) for node in fake_objects.nodes(BIG).values())
    assert len(counted) == 3 * 3 * 4
    assert max(counted.values()) - min(counted.values()) <= 1
    # A zone belongs to one region: its name says which.
    assert len({zone for _, zone, _ in counted}) == 9


def test_pods_are_on_nodes_and_in_namespaces_that_exist_and_belong_to_services() -> None:
    nodes, services, pods = fake_objects.nodes(BIG), fake_objects.services(BIG), fake_objects.pods(BIG)
    assert (len(nodes), len(services), len(pods), len(fake_objects.namespaces(BIG))) == (1000, 200, 5000, 10)
    assert {item["metadata"]["namespace"] for item in (*services.values(), *pods.values())} == set(
        fake_objects.namespaces(BIG)
    )
    assert {pod["spec"]["nodeName"] for pod in pods.values()} == set(nodes)
    behind = collections.Counter(
        (pod["metadata"]["namespace"], pod["metadata"]["labels"]["app"]) for pod in pods.values()
    )
    selected = {(service["metadata"]["namespace"], service["spec"]["selector"]["app"]) for service in services.values()}
    assert set(behind) == selected
    assert set(behind.values()) == {25}


def test_pods_of_one_service_are_in_many_places() -> None:
    nodes = fake_objects.nodes(BIG)
    places = collections.defaultdict(set)
    for pod in fake_objects.pods(BIG).values():
        places[pod["metadata"]["labels"]["app"]].add(place(nodes[pod["spec"]["nodeName"]]))
    assert min(len(each) for each in places.values()) >= 24


def test_addresses_are_unique_and_nobodys() -> None:
    nodes = fake_objects.nodes(fake_objects.Scale(nodes=fake_objects.MAX_NODES)).values()
    networks = [ipaddress.IPv4Network(node["spec"]["podCIDR"]) for node in nodes]
    assert all(first.broadcast_address < second.network_address for first, second in itertools.pairwise(networks))
    assert networks[-1].subnet_of(ipaddress.IPv4Network("100.64.0.0/10"))
    addresses = [ipaddress.IPv4Address(node["status"]["addresses"][0]["address"]) for node in nodes]
    assert len(set(addresses)) == len(addresses)
    assert all(address in ipaddress.IPv4Network("198.18.0.0/15") for address in addresses)


def test_the_scheduler_keeps_off_and_kwok_knows_its_nodes() -> None:
    (node,) = fake_objects.nodes(fake_objects.Scale(nodes=1)).values()
    assert fake_objects.NODE_ANNOTATION in node["metadata"]["annotations"]
    assert [taint["effect"] for taint in node["spec"]["taints"]] == ["NoSchedule"]


def test_other_numbers_make_other_names_only_where_something_moves() -> None:
    more = fake_objects.pods(fake_objects.Scale(nodes=1000, pods=5200, services=200))
    assert set(fake_objects.services(BIG)) == set(
        fake_objects.services(fake_objects.Scale(nodes=1000, pods=5200, services=200))
    )
    by_name = {name: pod["spec"]["nodeName"] for name, pod in fake_objects.pods(BIG).items()}
    assert all(more[name]["spec"]["nodeName"] == node for name, node in by_name.items() if name in more)


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ({"nodes": -1}, "--nodes -1 is not possible: it must be from 0 to 10000"),
        ({"nodes": 10_001}, "--nodes 10001 is not possible"),
        ({"nodes": 2, "pods": 501, "services": 1}, "--pods 501 is not possible: it must be from 0 to 500"),
        ({"nodes": 0, "pods": 1, "services": 1}, "--pods 1 is not possible: it must be from 0 to 0"),
        ({"nodes": 2, "pods": 5, "services": 6}, "--services 6 is not possible: it must be from 0 to 5"),
        ({"nodes": 2, "pods": 5}, "every pod belongs to a service"),
        ({"nodes": 2, "zones": 0}, "--zones 0 is not possible: it must be from 1 to 100"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(numbers: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(PreflightError) as error:
        fake_objects.Scale(**numbers)
    assert sentence in error.value.sentence


def test_only_ready_endpoints_are_counted() -> None:
    slices = [
        {"endpoints": [{"conditions": {"ready": True}}, {"conditions": {"ready": False}}, {"conditions": {}}]},
        {"endpoints": None},
        {"endpoints": [{"conditions": {"ready": True, "serving": True}}]},
    ]
    assert fake_objects.ready_endpoints(slices) == 2
