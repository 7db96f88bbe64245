# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients share of the endpoints is what each of them would count, and what losses take is counted once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import HostCounts, LostHosts
from ansible_collections.meshops.locality.plugins.module_utils._forecast.endpoint_groups import SharedLayouts, takes_any
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import Loss, place_of
from ansible_collections.meshops.locality.plugins.module_utils._istio.endpoints import (
    DRAINING,
    HEALTHY,
    UNHEALTHY,
    is_healthy,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_priorities import (
    Group,
    Groups,
    Member,
    failover,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from tests.differential.envoy import load_assignment as envoy

LEVELS = ("pod", "node", "subzone", "zone", "region")
localities = st.builds(Locality, st.sampled_from("ab"), st.sampled_from(["", "1", "2"]), st.sampled_from(["", "x"]))
members = st.builds(
    lambda address, health, weight, node: Member(f"10.0.0.{address}", 80, health, weight, {}, f"ns/p{address}", node),
    st.integers(1, 12),
    st.sampled_from([HEALTHY, HEALTHY, UNHEALTHY, DRAINING]),
    st.integers(1, 2),
    st.sampled_from(["n1", "n2", "n3"]),
)
groups = st.lists(
    st.builds(Group, localities, st.integers(0, 2), st.integers(0, 3), st.lists(members, max_size=4).map(tuple)),
    max_size=6,
)


@given(groups, st.lists(localities, min_size=1, max_size=3))
def test_cells_are_what_envoy_holds(sent: list[Group], clients: list[Locality]) -> None:
    """Whether a client is the first to be asked for or not, and whether groups are ordered by its place or not."""
    known, base = SharedLayouts(), Groups.of(sent)
    for hosts in (base, tuple(sent), *(failover(client, base, ()) for client in clients), base):
        entries = [
            envoy.LocalityLbEndpoints(
                [envoy.LbEndpoint(m.host, envoy.EDS_STATES[m.health], m.weight) for m in group.members],
                group.locality,
                group.priority,
                group.weight or None,
            )
            for group in hosts
        ]
        wanted = envoy.locality_hosts(envoy.assignment(entries))
        layout = known.layout(tuple(hosts) if not isinstance(hosts, Groups) else hosts).cells()
        assert {(cell.priority, cell.locality): cell.hosts for cell in layout} == wanted
        assert len(layout) == len(wanted)


@given(groups, st.data())
def test_what_losses_take_is_counted_once(sent: list[Group], data: st.DataObject) -> None:
    common = SharedLayouts().layout(tuple(sent)).common
    places = [
        Loss(level, place)
        for locality, number in zip(common.localities, common.counted, strict=True)
        for member in number.members
        for level in LEVELS
        if (place := place_of(level, locality, member.pod, member.node))
    ]
    for _again in range(2):
        losses = tuple(data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=3))) if places else ()
        wanted = [
            LostHosts(cell, sum(is_healthy(member) and takes_any(losses, locality, member) for member in hosts.members))
            for cell, (locality, hosts) in enumerate(zip(common.localities, common.counted, strict=True))
        ]
        assert list(common.lost(losses)) == [number for number in wanted if number.hosts]
    assert [sum(host) for host in common.hosts] == [len(number.members) for number in common.counted]
    assert all(isinstance(host, HostCounts) for host in common.hosts)


@given(groups, localities, localities)
def test_an_order_does_not_depend_on_who_asked_before(sent: list[Group], client: Locality, other: Locality) -> None:
    base = Groups.of(sent)
    failover(other, base, ())
    loads = failover(client, base, ())
    assert tuple(loads) == tuple(failover(client, sent, ()))
    assert failover(client, base, ()) is loads
