# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drills of any size as drill.json has them, worked out request by request from a small model, always the same."""

from __future__ import annotations

import random
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._model.assumptions import assumption

REGION = "cn-north-4"
PLACES = (
    f"{REGION}/cn-north-4b/beijing",
    f"{REGION}/cn-north-4b/tianjin",
    f"{REGION}/cn-north-4a/shenyang",
    "cn-south-1/cn-south-1a/shenzhen",
    "cn-south-1/cn-south-1b/guangzhou",
    "cn-east-3/cn-east-3a/shanghai",
    "cn-east-3/cn-east-3b/hangzhou",
    "cn-east-3/cn-east-3c/nanjing",
)
FIX = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: helloworld
  namespace: sample
spec:
  trafficPolicy:
    outlierDetection:
      maxEjectionPercent: 100
"""
COLUMNS = ["second", "client", "place", "code", "flag", "requests", "failed", "p50_ms", "max_ms"]


class Size(t.NamedTuple):
    """How large a drill is. `slow`: seconds until clients are elsewhere, in which requests fail."""

    clients: int = 2
    places: int = 3
    pods: int = 1
    seconds: int = 75
    rate: int = 10
    fault: tuple[int, int] = (15, 45)
    slow: int = 0


SMALL = Size()
FAILED = Size(slow=22)
LARGE = Size(clients=50, places=8, pods=50, seconds=1800, fault=(300, 1500), slow=3)


def drill(size: Size = SMALL, **changes: t.Any) -> dict[str, t.Any]:
    """Return a drill in which tianjin is lost from second fault[0] to fault[1]; `changes` replace whole parts."""
    dice = random.Random(7)
    places = list(PLACES[: size.places])
    lost = places[1]
    survivors = [place for place in places if place != lost]
    clients: list[dict[str, t.Any]] = [
        {
            "name": f"sample/sleep-{index:02}",
            "place": places[1 if index % 3 == 0 else index % len(places)],
            "node": f"node-{index}",
        }
        for index in range(size.clients)
    ]
    begin, end = size.fault
    rows: list[list[t.Any]] = []
    failures = 0
    answered: dict[str, dict[str, int]] = {stage: {} for stage in ("before", "during", "after")}
    requests = 0
    for second in range(4, size.seconds - 2):
        stage = "before" if second < begin else "during" if second < end else "after"
        for index, client in enumerate(clients):
            home = client["place"]
            number = size.rate
            requests += number
            failed = 0
            if home == lost and begin <= second < begin + size.slow:
                failed = dice.randint(number // 2, number)
            target = home
            if home == lost and begin <= second < end:
                target = survivors[0] if second % 5 else survivors[-1]
            if failed:
                rows.append([second, index, lost, "503", "UF", failed, failed, 2.0, 5.0])
            good = number - failed
            if good:
                rows.append(
                    [
                        second,
                        index,
                        target,
                        "200",
                        "",
                        good,
                        0,
                        round(3 + dice.random() * 2, 1),
                        round(6 + dice.random() * 9, 1),
                    ]
                )
                answered[stage][target] = answered[stage].get(target, 0) + good
            failures += failed
    pods = [
        {
            "namespace": "sample",
            "name": f"helloworld-tianjin-{index}",
            "uid": f"5f0c-{index:04}",
            "address": f"10.0.2.{index + 1}",
            "node": f"node-{index % 9}",
            "place": lost,
            "workload": "Deployment/helloworld-tianjin",
            "step": 0,
        }
        for index in range(size.pods)
    ]
    by_stage: dict[str, list[dict[str, t.Any]]] = {stage: [] for stage in answered}
    for stage, listed in by_stage.items():
        for client in clients[:8]:
            for at, place in enumerate(places):
                for index in range(size.pods):
                    gone = stage == "during" and place == lost
                    listed.append(
                        {
                            "client": client["name"],
                            "address": f"10.0.{at + 1}.{index + 1}:5000",
                            "pod": f"sample/helloworld-{place.rpartition('/')[2]}-{index}",
                            "place": place,
                            "priority": 0 if place == client["place"] else 1,
                            "health": "unhealthy" if gone else "healthy",
                            "flags": ["failed_outlier_check"] if gone else [],
                        }
                    )
    shift = float(size.slow) + 0.4
    home = [client for client in clients if client["place"] == lost]
    passed = failures / requests <= 0.01
    predicted = {
        "failed_requests": 1.0,
        "failed_between": [0, 4],
        "seconds_until_shifted": 0.5,
        "seconds_between": [0.2, 1.3],
    }
    share = {place: sum(client["place"] == place for client in clients) / len(clients) for place in places}
    after = {place: part for place, part in share.items() if place != lost}
    after[survivors[0]] = after.get(survivors[0], 0) + share[lost] * 0.8
    after[survivors[-1]] = after.get(survivors[-1], 0) + share[lost] * 0.2
    phases = [
        ("preflight", 0, 1.2),
        ("snapshot", 1.2, 0.8),
        ("prediction", 2, 0.4),
        ("gate", 2.4, 0.3),
        ("lock", 2.7, 0.1),
    ]
    phases += [
        ("journal", 2.8, 0.2),
        ("inject", begin - 0.6, 0.6),
        ("observe", begin, end - begin),
        ("restore", end, 5.1),
    ]
    phases += [("proof", end + 5.1, 2.2), ("verdict", size.seconds - 0.2, 0.2)]
    document: dict[str, t.Any] = {
        "schema": "meshops.locality/drill/v1",
        "id": "d-20261126-164012-3f9a2c",
        "title": "tianjin is lost",
        "outcome": "SUCCEEDED" if passed else "FAILED",
        "reason": f"Losing subzone {lost} cost {failures} of {requests} requests. "
        f"Traffic was elsewhere after {shift:.1f} s. "
        "Everything is back, proven by comparing 214 objects.",
        "check_mode": False,
        "started": "2026-11-26T16:40:12.123Z",
        "ended": "2026-11-26T16:41:27.201Z",
        "seconds": float(size.seconds),
        "holder": "ops@jump-1 (pid 4711)",
        "phases": [{"name": name, "t": at, "seconds": seconds, "outcome": "done"} for name, at, seconds in phases],
        "events": [
            {
                "t": 0.0,
                "phase": "preflight",
                "kind": "phase",
                "message": "preflight begins",
                "client": "",
                "place": "",
                "pod": "",
            },
            {
                "t": begin - 0.1,
                "phase": "inject",
                "kind": "fault",
                "message": f"The inbound listeners of {size.pods} pods in {lost} drain.",
                "client": "",
                "place": lost,
                "pod": "",
            },
            *(
                [
                    {
                        "t": begin + 0.1,
                        "phase": "observe",
                        "kind": "first_error",
                        "message": "The first request failed: 503 UF.",
                        "client": clients[0]["name"],
                        "place": lost,
                        "pod": "",
                    }
                ]
                if size.slow
                else []
            ),
            {
                "t": begin + 0.2,
                "phase": "observe",
                "kind": "first_ejection",
                "message": "Envoy ejected the first endpoint.",
                "client": clients[0]["name"],
                "place": lost,
                "pod": "sample/helloworld-tianjin-0",
            },
            {
                "t": begin + shift - 0.1,
                "phase": "observe",
                "kind": "first_success_elsewhere",
                "message": f"The first answer from {survivors[0]}.",
                "client": clients[0]["name"],
                "place": survivors[0],
                "pod": "",
            },
            {
                "t": begin + shift,
                "phase": "observe",
                "kind": "all_shifted",
                "message": "No client is answered by a lost place any more.",
                "client": "",
                "place": "",
                "pod": "",
            },
            {
                "t": end + 5.1,
                "phase": "restore",
                "kind": "restored",
                "message": "All targets are Ready and listen again.",
                "client": "",
                "place": "",
                "pod": "",
            },
            {
                "t": end + 8.0,
                "phase": "proof",
                "kind": "failed_back",
                "message": f"{lost} answers its own clients again.",
                "client": "",
                "place": lost,
                "pod": "",
            },
        ],
        "fault": {
            "name": "drain_inbound",
            "undo": "The sidecar is restarted, the pod stays.",
            "ends_itself": "A timer in the sidecar restarts it.",
            "detection": ["ejection"],
            "seconds": float(end - begin),
            "injected_t": float(begin),
            "ended_t": float(end),
            "dead_mans_switch": {"seconds": 30, "armed": True, "reason": ""},
        },
        "load": {
            "kind": "probe",
            "url": "http://helloworld.sample:5000/hello",
            "rate": float(size.rate),
            "clients": clients,
        },
        "scope": {
            "namespace": "sample",
            "service": "helloworld",
            "host": "helloworld.sample.svc.cluster.local",
            "port": 5000,
            "asked": ["subzone tianjin"],
            "steps": [{"asked": "subzone tianjin", "pods": [f"sample/{pod['name']}" for pod in pods]}],
            "pods": pods,
        },
        "places": [
            {"place": place, "endpoints": size.pods, "targets": size.pods if place == lost else 0} for place in places
        ],
        "prediction": {
            "loss": f"subzone {lost}",
            "verdict": "spills",
            "until": "ejection",
            "can_be_ejected": True,
            **predicted,
            "by_place_before": share,
            "by_place_after": {place: part for place, part in after.items() if part},
            "clients": [
                {"name": client["name"], **predicted, "before": {client["place"]: 1.0}, "after": {survivors[0]: 1.0}}
                for client in home
            ],
            "capacity": {"load": 1.5, "limit": 2.0, "overloaded": False},
            "assumptions": [assumption("rate-of-one-client", rate=10).as_json()],
            "unchecked": [],
            "problems": [],
        },
        "samples": {"columns": COLUMNS, "rows": rows},
        "measured": {
            "requests": requests,
            "failed": failures,
            "failed_ratio": failures / requests,
            "by_code": {"200": requests - failures, **({"503": failures} if failures else {})},
            "by_flag": {"UF": failures} if failures else {},
            "failed_by_place": {lost: failures} if failures else {},
            "latency_ms": {stage: {"p50": 3.1, "p99": 9.4 + at} for at, stage in enumerate(answered)},
            "first_error_t": begin + 0.1 if size.slow else None,
            "first_ejection_t": begin + 0.2,
            "first_success_elsewhere_t": begin + shift - 0.1,
            "all_shifted_t": begin + shift,
            "restored_t": end + 5.1,
            "failed_back_t": end + 8.0,
            "time_to_detect": 0.2,
            "time_to_shift": shift,
            "time_to_restore": 5.1,
            "by_place": answered,
            "witnesses": {"probe": True, "counters": True, "disagreements": [], "unavailable": []},
            "bystanders": {"watched": 3, "requests": 1200, "errors": 0, "hurt": [], "unavailable": []},
        },
        "shifts": [
            {
                "client": client["name"],
                "pod": f"sample/{pod['name']}",
                "address": f"{pod['address']}:5000",
                "place": lost,
                "mechanism": "ejection" if not size.slow or index % 2 == 0 else "eds_removal",
                "t": begin + shift,
                "evidence": "failed_outlier_check in /clusters"
                if not size.slow or index % 2 == 0
                else "gone from /clusters",
            }
            for client in home
            for index, pod in enumerate(pods)
        ],
        "endpoints": by_stage,
        "criteria": [
            {
                "name": "error_budget",
                "wanted": "at most 1 % failed",
                "observed": f"{100 * failures / requests:.2g} %",
                "passed": passed,
                "limit": 0.01,
                "value": failures / requests,
                "unit": "ratio",
            },
            {
                "name": "time_to_shift",
                "wanted": "at most 10 s",
                "observed": f"{shift:.1f} s",
                "passed": shift <= 10,
                "limit": 10.0,
                "value": shift,
                "unit": "seconds",
            },
            {
                "name": "prediction",
                "wanted": "0 to 4 failed requests",
                "observed": str(failures),
                "passed": failures <= 4,
            },
            {
                "name": "restored",
                "wanted": "no unexpected difference",
                "observed": "none of 214 objects",
                "passed": True,
            },
        ],
        "gate": [
            {"rule": "lint", "passed": True, "what": "No finding of severity error.", "do": ""},
            {"rule": "last_place", "passed": True, "what": f"{len(survivors)} places go on answering.", "do": ""},
            {"rule": "capacity", "passed": True, "what": "The survivors carry ×1.5 of ×2.", "do": ""},
        ],
        "restore": {
            "done": True,
            "seconds": 5.1,
            "pods": [
                {
                    "pod": f"sample/{pod['name']}",
                    "uid_same": True,
                    "restarts": 1,
                    "proof": "Ready, and it listens on 5000 again.",
                    "error": "",
                }
                for pod in pods
            ],
            "snapshot": {
                "compared": 214,
                "differences": [
                    {
                        "object": f"Pod sample/{pod['name']}",
                        "field": "restartCount of istio-proxy",
                        "before": "0",
                        "after": "1",
                        "expected": True,
                    }
                    for pod in pods
                ],
            },
        },
        "environment": {
            "collection": "0.1.0",
            "kubernetes": "v1.35.3",
            "istio": "1.31.0",
            "envoy": "1.39.3",
            "server": "https://10.1.0.1:6443",
            "python": "3.11.2",
            "ansible": "2.19.14",
            "holder": "ops@jump-1 (pid 4711)",
            "approvals": [],
            "awx_job": "",
            "repeat": "ansible-playbook meshops.locality.drill -e drill_service=helloworld -e drill_scope=tianjin",
            "request": {
                "service": "helloworld",
                "namespace": "sample",
                "scope": ["subzone tianjin"],
                "fault": "drain_inbound",
            },
        },
        "findings": []
        if passed
        else [
            {
                "severity": "error",
                "what": "Requests failed for 22 s because Envoy may eject only 10 % of the endpoints.",
                "do": "Let Envoy eject all of them, and retry in other localities.",
                "fix": FIX,
            }
        ],
        "journal": [
            {
                "time": "2026-11-26T16:40:15.023Z",
                "phase": "journal",
                "what": "Everything that will be changed is written down.",
            },
            {
                "time": "2026-11-26T16:40:26.623Z",
                "phase": "inject",
                "what": "Timers armed, drain begins.",
            },
            {"time": "2026-11-26T16:41:02.223Z", "phase": "restore", "what": "Closed."},
        ],
        "references": {
            "ticket": "OPS-4711",
            "function": "Greeting customers",
            "rto_seconds": 30,
            "owner": "Team Hello",
            "due": "2026-12-10",
            "third_parties": [],
            "note": "",
        },
    }
    return {**document, **changes}


def refused() -> dict[str, t.Any]:
    """Return a drill that the gate refused: nothing was injected, nothing measured."""
    small = drill()
    return {
        **small,
        "outcome": "REFUSED",
        "reason": "The gate refused: subzone tianjin is the last healthy place of helloworld.",
        "seconds": 2.7,
        "ended": "2026-11-26T16:40:14.823Z",
        "phases": [
            {**phase, "outcome": "failed" if phase["name"] == "gate" else "done"} for phase in small["phases"][:4]
        ],
        "events": small["events"][:1],
        "fault": {**small["fault"], "injected_t": None, "ended_t": None, "dead_mans_switch": None},
        "samples": {"columns": [], "rows": []},
        "gate": [
            *small["gate"][:1],
            {
                "rule": "last_place",
                "passed": False,
                "what": "No other place would answer.",
                "do": "Run a replica in another zone.",
            },
            {"rule": "capacity", "passed": None, "what": "No CPU limit is known.", "do": "Give `capacity`."},
        ],
        "prediction": None,
        "measured": None,
        "shifts": [],
        "endpoints": {"before": small["endpoints"]["before"], "during": [], "after": []},
        "criteria": [],
        "restore": None,
        "findings": [],
        "journal": [],
        "references": None,
    }
