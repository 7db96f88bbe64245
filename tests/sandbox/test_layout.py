# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and addresses: every sandbox and node has its own, and they fit into what the kernel allows."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from meshops_sandbox.errors import PreflightError
from meshops_sandbox.layout import MAX_SANDBOXES, Layout, check_name, network_of
from meshops_sandbox.topology import MAX_NODES, Node, Topology

BIG = Topology(nodes=(Node(name="p", role="control-plane"), *(Node(name=f"n{i}") for i in range(MAX_NODES - 1))))


def layout(index: int, name: str = "one") -> Layout:
    return Layout(name, index, network_of(index), BIG, Path("/state") / name)


def test_networks_of_a_sandbox_do_not_overlap() -> None:
    third = layout(3)
    ranges = [third.node_network, third.pod_network, third.service_network]
    assert not any(first.overlaps(second) for first, second in itertools.combinations(ranges, 2))
    assert all(each.subnet_of(third.network) for each in ranges)
    assert third.dns in third.service_network


def test_every_node_has_its_own_addresses() -> None:
    nodes = layout(0).nodes
    assert len({node.address for node in nodes}) == len(nodes)
    assert all(node.address in layout(0).node_network for node in nodes)
    assert not any(first.pods.overlaps(second.pods) for first, second in itertools.combinations(nodes, 2))
    assert all(node.pods.subnet_of(layout(0).pod_network) for node in nodes)


def test_sandboxes_share_nothing() -> None:
    first, second = layout(0, "one"), layout(1, "one-two")
    assert not first.network.overlaps(second.network)
    for attribute in ("namespace", "link", "containerd_socket", "cgroup"):
        assert not {getattr(n, attribute) for n in first.nodes} & {getattr(n, attribute) for n in second.nodes}
    # The namespaces of `one` must not be found as those of `one-two`, nor the other way round.
    assert not any(node.namespace.startswith("ms-one.") for node in second.nodes)


def test_names_fit_into_the_kernels_limits() -> None:
    last = layout(MAX_SANDBOXES - 1, "a" * 20)
    assert all(len(node.link) <= 15 for node in last.nodes)
    assert len(str(last.supervisor_socket)) < 100
    longest = Topology(nodes=(Node(name="n" * 32, role="control-plane"),))
    node = Layout("a" * 20, 0, network_of(0), longest, Path("/s")).nodes[0]
    assert len(f"{node.containerd_socket}.ttrpc") < 108
    # kubelet gives its socket a random name of up to ten digits first (cri-client, CreateListener).
    assert len(f"{node.kubelet_root}/pod-resources/4294967295") < 108


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a.b", "../a", "a" * 21, "a b", "ä"])
def test_illegal_names(name: str) -> None:
    with pytest.raises(PreflightError, match="cannot be the name of a sandbox"):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "default", "a-1", "a" * 20])
def test_legal_names(name: str) -> None:
    assert check_name(name) == name
