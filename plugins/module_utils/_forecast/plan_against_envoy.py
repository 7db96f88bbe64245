# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does what was predicted agree with what is observed? A plan with clients' Envoys, one sentence for each difference.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier_detection import MAX_EJECTION_PERCENT
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio.endpoints import is_healthy
from ansible_collections.meshops.locality.plugins.module_utils._istio.envoy_outlier_detection import (
    envoy_outlier_detection,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import is_ip
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Assignment, Planner
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Json, Snapshot

#: Envoy's health flag of an endpoint that istiod sends as unready.
UNREADY = "failed_eds_health"


class LocalityEndpoints(t.NamedTuple):
    """The endpoints of a locality in a priority. `addresses`: address → (weight, ready), None when not known."""

    endpoints: int
    ready: int
    weight: int | None
    addresses: t.Mapping[str, tuple[int, bool]] | None


Cells = dict[tuple[str, int], LocalityEndpoints]


class ExpectedCluster(t.NamedTuple):
    """One cluster as it is expected. `settings` are those of endpoints_info that are compared."""

    host: str
    port: int
    subset: str
    cells: Cells
    settings: Json


def plan_differences(plan: Snapshot | t.Sequence[t.Any], clients: t.Sequence[t.Any], version: str = "") -> list[str]:
    """Return in what clients (as endpoints_info returns them) hold something else than planned.

    `plan`: a Snapshot, which knows every address, or rows of locality_plan. Compared are localities, priorities,
    numbers of endpoints, readiness, and, where they are known, addresses, weights and the settings of clusters.
    Ejections are not: they are Envoy's own. DNS clusters and those without endpoints of their own are left out.
    Raises InvalidInput when something else was given.
    """
    try:
        find = _of_snapshot(plan, version) if isinstance(plan, Snapshot) else _of_rows(plan)
        return [sentence for client in clients for sentence in _client(client, find)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"Cannot compare: {type(error).__name__} {error}.",
            do="Give a snapshot or what locality_plan returned, and the clients that endpoints_info returned.",
        ) from error


class _Unknown(Exception):
    """A client about which the plan says nothing; the message is the sentence to show."""


Find = t.Callable[[t.Mapping[str, t.Any]], dict[str, ExpectedCluster]]


def _of_snapshot(snapshot: Snapshot, version: str) -> Find:
    planner = Planner(snapshot, version)
    by_key = {client.key: client for client in planner.clients}

    def find(client: t.Mapping[str, t.Any]) -> dict[str, ExpectedCluster]:
        key = f"{client['namespace']}/{client['pod']}"
        if key not in by_key:
            raise _Unknown(f"{key} is no client in the snapshot.")
        hosts = {str(endpoint["host"]) for endpoint in client["endpoints"]}
        by_cluster = {}
        for destination in planner.destinations(by_key[key]):
            if destination.host in hosts:
                assignment = planner.assignment(by_key[key], destination)
                if assignment is not None and assignment.type == "EDS":
                    by_cluster[destination.cluster] = _expected_cluster(assignment)
        return by_cluster

    return find


def _expected_cluster(assignment: Assignment) -> ExpectedCluster:
    places: dict[tuple[str, int], dict[str, tuple[int, bool]]] = {}
    weights: dict[tuple[str, int], int] = {}
    seen: set[str] = set()
    for group in assignment.groups:
        for member in group.members:
            if member.host not in seen and is_ip(member.address):
                seen.add(member.host)
                key = (str(group.locality), group.priority)
                weights[key] = group.weight
                ready = is_healthy(member)
                places.setdefault(key, {})[member.host] = (member.weight, ready)
    cells = {
        key: LocalityEndpoints(
            len(addresses), sum(ready for _weight, ready in addresses.values()), weights[key], addresses
        )
        for key, addresses in places.items()
    }
    detection = envoy_outlier_detection(assignment.outlier_detection)
    settings = {
        "lb_policy": assignment.lb_policy,
        "locality_weighted": assignment.locality_weighted,
        "panic_threshold": assignment.panic_threshold,
        "max_requests_per_connection": assignment.max_requests_per_connection or None,
        "max_ejection_percent": None if detection is None else detection.max_ejection_percent,
    }
    return ExpectedCluster(
        assignment.destination.host, assignment.destination.port, assignment.destination.subset, cells, settings
    )


def _of_rows(rows: t.Sequence[t.Any]) -> Find:
    def find(client: t.Mapping[str, t.Any]) -> dict[str, ExpectedCluster]:
        key = f"{client['namespace']}/{client['pod']}"
        own = [row for row in rows if row["client"]["namespace"] == client["namespace"]]
        named = [row for row in own if client["pod"] in row["client"]["pods"]]
        near = [row for row in own if row["client"]["locality"] == client["locality"]]
        if not named and len({str(row["client"]) for row in near}) > 1:
            raise _Unknown(f"The plan has several kinds of clients where {key} is, and names only some of them.")
        by_cluster = {}
        for row in named or near:
            if row["type"] == "EDS":
                cells = {
                    (str(place["locality"]), int(priority["priority"])): LocalityEndpoints(
                        int(place["endpoints"]), int(place["healthy"]), int(place["weight"]), None
                    )
                    for priority in row["priorities"]
                    for place in priority["localities"]
                }
                by_cluster[str(row["cluster"])] = ExpectedCluster(
                    str(row["service"]), int(row["port"]), str(row["subset"]), cells, {}
                )
        if not named and not near:
            raise _Unknown(f"The plan says nothing about {key} in {client['locality'] or 'no locality'}.")
        return by_cluster

    return find


def _client(client: t.Mapping[str, t.Any], find: Find) -> t.Iterator[str]:
    who = f"{client['namespace']}/{client['pod']}"
    if client["problem"]:
        yield f"{who}: {client['problem']}"
    if not client["endpoints"]:
        if not client["problem"]:
            yield f"{who} holds no endpoint."
        return
    try:
        wanted = find(client)
    except _Unknown as error:
        yield str(error)
        return
    by_cluster: dict[str, list[t.Mapping[str, t.Any]]] = {}
    for endpoint in client["endpoints"]:
        by_cluster.setdefault(str(endpoint["cluster"]), []).append(endpoint)
    asked = {
        (str(endpoint["host"]), int(endpoint["port"])) for endpoint in client["endpoints"] if not endpoint["subset"]
    }
    for cluster in sorted({*wanted, *by_cluster}):
        if cluster not in by_cluster:
            expected = wanted[cluster]
            # Without the whole Service among them, only a subset was asked for.
            if expected.cells and (expected.host, expected.port) in asked:
                yield f"{who} holds nothing of {cluster}; the plan has {_places_text(expected.cells)}."
        elif cluster in wanted:
            settings = (client.get("clusters") or {}).get(cluster) or {}
            yield from (
                f"{who}, {cluster}: {difference}"
                for difference in _cluster(by_cluster[cluster], wanted[cluster], settings)
            )


def _places_text(cells: Cells) -> str:
    return ", ".join(
        f"P{priority} {locality or 'no locality'}" for priority, locality in sorted((key[1], key[0]) for key in cells)
    )


def _cluster(
    endpoints: t.Sequence[t.Mapping[str, t.Any]], wanted: ExpectedCluster, settings: t.Mapping[str, t.Any]
) -> t.Iterator[str]:
    seen: dict[tuple[str, int], dict[str, tuple[int, bool]]] = {}
    for endpoint in endpoints:
        place = seen.setdefault((str(endpoint["locality"]), int(endpoint["priority"])), {})
        place[str(endpoint["address"])] = (
            int(endpoint["weight"]),
            UNREADY not in endpoint["health_reasons"] and not endpoint["excluded"],
        )
    for locality in sorted({name for name, _priority in {*seen, *wanted.cells}}):
        have = {priority for name, priority in seen if name == locality}
        want = {priority for name, priority in wanted.cells if name == locality}
        name = locality or "no locality"
        if have != want:
            yield f"{name} has {_priorities(have)}, the plan says {_priorities(want)}."
            continue
        for priority in sorted(want):
            yield from (
                f"{name} (P{priority}): {difference}"
                for difference in _cell(seen[locality, priority], wanted.cells[locality, priority])
            )
    yield from _settings(settings, wanted)


def _priorities(numbers: t.Collection[int]) -> str:
    return ("priority " + ", ".join(str(number) for number in sorted(numbers))) if numbers else "no endpoint"


def _cell(seen: t.Mapping[str, tuple[int, bool]], wanted: LocalityEndpoints) -> t.Iterator[str]:
    if wanted.addresses is None:
        ready = sum(healthy for _weight, healthy in seen.values())
        if len(seen) != wanted.endpoints:
            yield f"{len(seen)} endpoints, the plan says {wanted.endpoints}."
        elif ready != wanted.ready:
            yield f"{ready} of {len(seen)} endpoints are ready, the plan says {wanted.ready}."
        return
    for address in sorted({*seen, *wanted.addresses}):
        if address not in wanted.addresses:
            yield f"{address} is not in the plan."
        elif address not in seen:
            yield f"{address} is missing."
        else:
            (weight, ready), (other, should) = seen[address], wanted.addresses[address]
            if weight != other:
                yield f"{address} has weight {weight}, the plan says {other}."
            if ready != should:
                yield f"{address} is {_ready(ready)}, the plan says {_ready(should)}."


def _ready(value: bool) -> str:
    return "ready" if value else "not ready"


def _settings(settings: t.Mapping[str, t.Any], wanted: ExpectedCluster) -> t.Iterator[str]:
    """Compare what include_settings of endpoints_info returns."""
    if not settings or settings.get("problem"):
        return
    detection = settings.get("outlier_detection")
    have = {**settings, "max_ejection_percent": None}
    if detection is not None:
        have["max_ejection_percent"] = outlier_percent(detection)
    for name, value in wanted.settings.items():
        if have.get(name) != value:
            yield f"{name} is {_value(have.get(name))}, the plan says {_value(value)}."
    weights = {
        (str(weight["locality"]), int(weight["priority"])): weight["weight"] for weight in settings["locality_weights"]
    }
    for key, cell in sorted(wanted.cells.items()):
        if cell.weight is not None and key in weights and weights[key] != cell.weight:
            yield f"{key[0]} has locality weight {weights[key]}, the plan says {cell.weight}."


def outlier_percent(detection: t.Mapping[str, t.Any]) -> int:
    """Return max_ejection_percent of a cluster's JSON, Envoy's default where it is absent."""
    given = detection.get("max_ejection_percent", detection.get("maxEjectionPercent"))
    return MAX_EJECTION_PERCENT if given is None else int(given)


def _value(value: t.Any) -> str:
    return "not set" if value is None else str(value)
