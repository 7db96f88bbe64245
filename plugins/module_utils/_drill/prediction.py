# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a forecast says about the requests of a drill's clients, and whether the survivors can carry them.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.faults import DrillFault
from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import MERGE_WINDOW
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._forecast.expected_probe import Watch
from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import (
    Ability,
    Selection,
    forecast,
    plan,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.envoy_outlier_detection import (
    envoy_outlier_detection,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.assumptions import Assumption, assumption
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot

Json = dict[str, t.Any]


class PlannedDrill(t.NamedTuple):
    """What the drill will do: `clients` and `pods` (the lost ones) are `namespace/name`; the watch is of one client."""

    host: str
    port: int
    clients: t.Sequence[tuple[str, str]]
    pods: t.Sequence[str]
    watch: Watch
    #: Those that are lost with all their pods: Kubernetes finds that out by their silence, not by the pods' probes.
    nodes: t.Sequence[str] = ()


def predict(snapshot: Snapshot, asked: PlannedDrill, fault: DrillFault, version: str = "") -> Json:
    """Return the drill document's `prediction`; clients are (namespace/name, place).

    Raises InvalidInput when the snapshot has no such client, pod or Service.
    """
    names = tuple(name for name, _place in asked.clients)
    selection = Selection((asked.host,), clients=names, port=asked.port, subset="")
    prediction = forecast(
        snapshot,
        selection,
        losses=[[f"node {node}" for node in asked.nodes] or [f"pod {pod}" for pod in asked.pods]],
        faults=(fault.forecast,),
        ability=Ability(rate=asked.watch.rate, lose_clients=False),
        watch=asked.watch,
        version=version,
    )
    detections = [planned["outlier_detection"] for planned in plan(snapshot, selection, version)]
    times = max((_returns(detection, asked.watch.seconds - asked.watch.lead) for detection in detections), default=0)
    clients = [_client(prediction["rows"], name, place, fault, asked, times) for name, place in asked.clients]
    worst = next((client for client in clients if client["seconds_between"][1] is None), None) or max(
        clients, key=lambda client: client["seconds_between"][1] or 0.0
    )
    rows = prediction["rows"]
    lost = rows[0]["losses"][0]
    capacities = [row["losses"][0]["capacity"] for row in rows if row["losses"][0]["capacity"]]
    return {
        "loss": lost["loss"],
        "verdict": worst["verdict"],
        "until": worst["until"],
        "can_be_ejected": all(row["losses"][0]["can_be_ejected"] for row in rows),
        "failed_requests": _sum(client["failed_requests"] for client in clients),
        "failed_between": [_sum(client["failed_between"][index] for client in clients) or 0.0 for index in (0, 1)],
        "seconds_until_shifted": worst["seconds_until_shifted"],
        "seconds_between": worst["seconds_between"],
        "by_place_before": _mean([client["before"] for client in clients]),
        "by_place_after": _mean([client["after"] for client in clients]),
        "clients": clients,
        "capacity": max(
            capacities,
            key=lambda capacity: capacity["load"] / capacity["limit"] if capacity["limit"] else 0,
            default=None,
        ),
        "assumptions": [
            *prediction["assumptions"],
            *prediction["model"],
            *(each.as_json() for each in _return_assumptions(times)),
        ],
        "unchecked": list({entry["text"]: entry for row in rows for entry in row["unchecked"]}.values()),
        "problems": [problem.as_json() for problem in snapshot.problems],
    }


def _returns(detection: Json | None, seconds: float) -> int:
    """Return how often a lost endpoint's ejection ends within the time of the fault, at most."""
    settings = envoy_outlier_detection(detection)
    if settings is None:
        return 0
    passed, count = 0.0, 0
    while passed + (least := settings.ejection_seconds(count + 1)[0]) < seconds and least > 0:
        passed, count = passed + least, count + 1
    return count


def _return_assumptions(times: int) -> list[Assumption]:
    return [assumption("tried-again-during-fault", times=times, seconds=float(MERGE_WINDOW))] if times else []


def _client(rows: t.Sequence[Json], name: str, place: str, fault: DrillFault, asked: PlannedDrill, times: int) -> Json:
    namespace, _slash, pod = name.partition("/")
    own = [row for row in rows if row["client"]["namespace"] == namespace]
    row = next(
        (row for row in own if pod in row["client"]["pods"]),
        next((row for row in own if row["client"]["locality"] == place), None),
    )
    if row is None:
        raise InvalidInput(
            f"The forecast has no row for client {name} and {asked.host}:{asked.port}.",
            do="Does its sidecar see the Service (Sidecar objects, exportTo)?",
        )
    lost = row["losses"][0]
    course, probe = lost["failover"].get(fault.forecast), lost["probe"]
    still = fault.forecast == "removed"  # They still answer while they leave.
    seconds: float | None = course["seconds"] if course else 0.0
    between: list[float | None] = course["seconds_between"] if course else [0.0, 0.0]
    own_pods: t.Mapping[str, float] = row["now"]["pods"]
    lost_pods = {pod.rpartition("/")[2] for pod in asked.pods}
    # Another endpoint of the same priority, or a retry that leaves it, answers instead.
    rescued = any(share > 0 and pod.rpartition("/")[2] not in lost_pods for pod, share in own_pods.items())
    again = lost["until"] in ("none", "ejection") and not still and not rescued and lost["verdict"] != "untouched"
    more = 0.0
    if again and not row["retries"]["remote_localities"]:
        more = times * MERGE_WINDOW * asked.watch.rate
    return {
        "name": name,
        "verdict": lost["verdict"],
        "until": lost["until"],
        "failed_requests": 0.0 if still else round(probe["failed_requests"] + more / 2, 1),
        "failed_between": [0.0, 0.0] if still else [probe["failed_between"][0], probe["failed_between"][1] + more],
        "seconds_until_shifted": seconds,
        "seconds_between": between,
        "before": row["now"]["localities"],
        "after": lost["settled"]["localities"],
    }


def _sum(values: t.Iterable[float]) -> float:
    return round(sum(values), 1)


def _mean(parts: t.Sequence[t.Mapping[str, float]]) -> dict[str, float]:
    places = sorted({place for part in parts for place in part})
    return {place: round(sum(part.get(place, 0.0) for part in parts) / len(parts), 6) for place in places}


def overload(prediction: Json | None, left: t.Mapping[str, int], spare: int) -> str:
    """Return the sentence about survivors that cannot carry the load, '' when they can or nothing is known.

    `left`: place → ready endpoints that survive; `spare`: so many of them in the busiest place may be lost, too (N+1).
    """
    capacity = prediction["capacity"] if prediction else None
    if prediction is None or not capacity:
        return ""
    if spare and not capacity["overloaded"]:
        return _without_spare(prediction["by_place_after"], capacity, left, spare)
    if not capacity["overloaded"]:
        return ""
    return (
        f"The busiest survivor would carry {capacity['load']:.1f} times what the busiest pod carries now; "
        f"{capacity['limit']:.1f} times is what it can ({capacity['limit_from']})."
    )


def _without_spare(shares: t.Mapping[str, float], capacity: Json, left: t.Mapping[str, int], spare: int) -> str:
    """Say whether the place whose endpoints carry most could lose more of them. Its other endpoints take over."""
    known = [place for place in shares if left.get(place)]
    busiest = max(known, key=lambda place: shares[place] / left[place], default="")
    if not busiest:
        return ""
    count = left[busiest]
    if count <= spare:
        return f"{busiest} would carry most with {count} endpoint(s): {spare} fewer (spare_pods) leaves none there."
    load = capacity["load"] * count / (count - spare)
    if load <= capacity["limit"]:
        return ""
    return (
        f"If {busiest} lost {spare} more of its {count} endpoints (spare_pods), the others would carry {load:.1f}"
        f" times what the busiest pod carries now; {capacity['limit']:.1f} times is what it can"
        f" ({capacity['limit_from']})."
    )
