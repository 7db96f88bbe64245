# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes for whom when the same mesh runs under another version of Istio.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Assignment, Destination, Planner
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import NETWORK_LABEL
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot

#: Fields of a Change that lint has rules of their own for.
ISTIOD, UNREADY_ENDPOINTS, PANIC_THRESHOLD = "istiod", "unready endpoints", "panic threshold"


@dataclass(frozen=True)
class Change:
    """One difference of one destination. `clients` are the `namespace/name` it concerns; before and after are texts."""

    destination: Destination
    field: str
    before: str
    after: str
    why: str
    clients: tuple[str, ...]


def upgrade(snapshot: Snapshot, old: str, new: str) -> list[Change]:
    """Return the differences of all assignments between two versions. Raises InvalidInput for an unknown version."""
    before, after = Planner(snapshot, old), Planner(snapshot, new)
    by_key = {client.key: client for client in after.clients}
    changes: dict[tuple[Destination, str, str, str, str], list[str]] = {}
    for kind in before.classes:
        client = by_key[kind.representative.key]
        destinations = dict.fromkeys([*before.destinations(kind.representative), *after.destinations(client)])
        for destination in destinations:
            assignment = before.assignment(kind.representative, destination)
            other = after.assignment(client, destination)
            for field, was, becomes, why in _differences(assignment, other):
                key = (destination, field, was, becomes, why)
                changes.setdefault(key, []).extend(member.key for member in kind.members)
    return [
        Change(*key, tuple(sorted(clients)))
        for key, clients in sorted(changes.items(), key=lambda item: (item[0][0], item[0][1], item[0][2]))
    ]


def _differences(assignment: Assignment | None, other: Assignment | None) -> t.Iterator[tuple[str, str, str, str]]:
    if assignment is None or other is None:
        if assignment is not other:
            yield "cluster", _there(assignment), _there(other), "the Service is visible under one of the versions only"
        return
    if assignment.crash != other.crash:
        why = "failoverPriority on DNS clusters with several localities crashes istiod since 1.30 (istio issue 61857)"
        yield ISTIOD, _alive(assignment), _alive(other), why
    if _order(assignment) != _order(other):
        yield "priorities", _order(assignment), _order(other), _order_reason(assignment, other)
    if assignment.sends_unready != other.sends_unready:
        why = "unready endpoints are sent by default since 1.31, so that part of a locality's loss spills over"
        yield UNREADY_ENDPOINTS, _sent(assignment), _sent(other), why
    if assignment.panic_threshold != other.panic_threshold:
        why = "with unready endpoints sent, istiod 1.31 switches panic off where it is not set"
        yield PANIC_THRESHOLD, _percent(assignment), _percent(other), why
    if assignment.locality_weighted != other.locality_weighted:
        yield "locality weights", _on(assignment), _on(other), "another setting applies"
    was, becomes = assignment.outlier_detection is not None, other.outlier_detection is not None
    if was != becomes:
        why = "the mesh's defaultTrafficPolicy applies since 1.31"
        yield "outlier detection", "on" if was else "off", "on" if becomes else "off", why


def _order(assignment: Assignment) -> str:
    places: dict[int, list[str]] = {}
    for group in assignment.groups:
        if group.members:
            places.setdefault(group.priority, []).append(str(group.locality) or "(no locality)")
    return "; ".join(f"P{priority}: {', '.join(sorted(set(names)))}" for priority, names in sorted(places.items()))


def _order_reason(assignment: Assignment, other: Assignment) -> str:
    first, second = assignment.setting, other.setting
    if bool(first and first.zone_aware) != bool(second and second.zone_aware):
        return "zoneAwareLbSetting applies since 1.31 and is ignored before"
    if assignment.traffic_distribution != other.traffic_distribution:
        return "the namespace's annotation networking.istio.io/traffic-distribution applies since 1.30"
    if assignment.sends_unready != other.sends_unready:
        return "unready endpoints are sent by default since 1.31"
    if second and second.failover_priority[:1] == (NETWORK_LABEL,):
        return "topology.istio.io/network as the first key is preferred, not required, since 1.31"
    return "localities or labels are read differently (pod label topology.istio.io/locality applies since 1.29)"


def _there(assignment: Assignment | None) -> str:
    return "there" if assignment else "not there"


def _alive(assignment: Assignment) -> str:
    return "crashes" if assignment.crash else "works"


def _sent(assignment: Assignment) -> str:
    return "sent" if assignment.sends_unready else "left out"


def _percent(assignment: Assignment) -> str:
    return "50 % (Envoy's)" if assignment.panic_threshold is None else f"{assignment.panic_threshold:g} %"


def _on(assignment: Assignment) -> str:
    return "on" if assignment.locality_weighted else "off"
