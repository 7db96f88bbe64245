# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drill document: plain values, the same whatever the outcome.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import calendar
import os
import platform
import re
import time
import typing as t
from pathlib import Path

from ansible_collections.meshops.locality.plugins.module_utils._drill import measurements
from ansible_collections.meshops.locality.plugins.module_utils._drill.failover_mechanism import Shift, TrafficReading
from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_journal
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_targets import ServicePods
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.drill_run import DrillRun
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.restoration import (
    unexpected_differences,
)
from ansible_collections.meshops.locality.plugins.module_utils._report.drill_schema import SCHEMA

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Json = dict[str, t.Any]

#: The options that say what was asked for. The document is masked as a whole: a URL may have a password.
REQUEST = (
    "namespace", "service", "port", "scope", "cascade", "fault", "duration", "lead", "clients", "url", "path", "rate",
    "timeout", "error_budget", "max_time_to_shift", "max_time_to_restore", "max_latency", "expect_prediction", "accept",
    "accept_manual_restore", "dead_mans_switch", "max_pods", "max_places", "allowed_namespaces", "blocked_windows",
    "restore_timeout", "failback_timeout", "title", "bystander_error_budget", "load", "probe_image", "spare_pods",
)  # fmt: skip


def endpoint_view(drill: DrillRun, readings: t.Sequence[TrafficReading]) -> list[Json]:
    """Return what the clients' Envoys held last, one entry for each client and endpoint."""
    behind = t.cast(ServicePods, drill.service_pods)
    by_address = {candidate.address: candidate for candidate in behind.candidates}
    last = {reading.client: reading for reading in sorted(readings, key=lambda reading: reading.t)}
    return [
        {
            "client": client,
            "address": endpoint.address,
            "pod": by_address[endpoint.ip].where if endpoint.ip in by_address else "",
            "place": str(endpoint.locality),
            "priority": endpoint.priority,
            "health": endpoint.health,
            "flags": list(endpoint.health_reasons),
        }
        for client, reading in sorted(last.items())
        for endpoint in reading.endpoints
    ]


def document(drill: DrillRun, outcome: str, reason: str) -> Json:
    """Return the drill document: plain values, the same whatever the outcome."""
    params, behind = drill.params, drill.service_pods
    injected = drill.moments.injected
    seen = getattr(drill, "measured", None)
    places: dict[str, list[int]] = {}
    lost = {target.uid for target in drill.lost}
    for candidate in behind.candidates if behind else ():
        if candidate.ready:
            count = places.setdefault(candidate.place, [0, 0])
            count[0] += 1
            count[1] += candidate.uid in lost
    timer = {
        "seconds": params["dead_mans_switch"],
        "armed": drill.timers and injected is not None,
        "reason": "" if drill.timers else "The fault does not need it, or the targets cannot run it.",
    }
    return {
        "schema": SCHEMA,
        "id": drill.id,
        "title": params["title"] or (f"{drill.scopes_text()} is lost" if drill.steps else "nothing is lost"),
        "outcome": outcome,
        "reason": reason,
        "check_mode": drill.check_mode,
        "started": drill.started,
        "ended": drill_journal.now(),
        "seconds": round(drill.now(), 3),
        "holder": drill.holder,
        "phases": [{key: value for key, value in phase.items() if key != "ended"} for phase in drill.phases],
        "events": [event.as_dict() for event in drill.events],
        "fault": {
            "name": drill.fault.name,
            "what": drill.fault.what,
            "undo": drill.fault.undo,
            "ends_itself": drill.fault.ends_itself,
            "detection": list(drill.fault.detection),
            "seconds": params["duration"],
            "injected_t": measurements.rounded(injected),
            "ended_t": measurements.rounded(drill.moments.undone if injected is not None else None),
            "dead_mans_switch": timer,
        },
        "load": {
            "kind": params["load"],
            "url": "" if params["load"] == "users" else drill.url if behind else params["url"] or "",
            "rate": drill.rate,
            "clients": [
                {"name": client.proxy.where, "place": client.place, "node": client.proxy.node}
                for client in drill.clients
            ],
        },
        "scope": {
            "namespace": params["namespace"],
            "service": params["service"],
            "host": behind.host if behind else "",
            "port": behind.port if behind else params["port"],
            "asked": [step.asked for step in drill.steps],
            "steps": [{"asked": step.asked, "pods": [pod.where for pod in step.pods]} for step in drill.steps],
            "pods": [
                {
                    "namespace": pod.namespace,
                    "name": pod.name,
                    "uid": pod.uid,
                    "address": pod.address,
                    "node": pod.node,
                    "place": pod.place,
                    "workload": pod.workload,
                    "step": index,
                }
                for index, step in enumerate(drill.steps)
                for pod in step.pods
            ],
        },
        "places": [
            {"place": place, "endpoints": count[0], "targets": count[1]} for place, count in sorted(places.items())
        ],
        "prediction": drill.prediction,
        "samples": {"columns": list(measurements.COLUMNS), "rows": measurements.rows(drill.samples)},
        "measured": {**seen, "witnesses": drill.witnesses, "bystanders": drill.bystanders} if seen else None,
        "shifts": [shift_entry(drill, shift) for shift in drill.shifts],
        "endpoints": {name: drill.views.get(name, []) for name in ("before", "during", "after")},
        "criteria": [criterion.as_dict() for criterion in drill.criteria],
        "gate": [rule.as_dict() for rule in drill.gate],
        "restore": restored_entry(drill),
        "environment": environment(drill),
        "findings": drill.findings,
        "journal": journal_entries(drill),
    }


def shift_entry(drill: DrillRun, shift: Shift) -> Json:
    """Return one entry of the document's `shifts`."""
    pod = next((each for each in drill.lost if each.address == shift.address), None)
    return {
        "client": shift.client,
        "pod": pod.where if pod else "",
        "address": shift.address,
        "place": pod.place if pod else "",
        "mechanism": shift.mechanism,
        "t": measurements.rounded(shift.t),
        "evidence": shift.evidence,
    }


def restored_entry(drill: DrillRun) -> Json | None:
    """Return the document's `restore`, None when nothing was written to the cluster."""
    if drill.stored is None:
        return None
    undone, restored = drill.moments.undone, drill.moments.restored
    touched = unexpected_differences(drill)
    return {
        "done": not drill.record.unsettled(),
        "seconds": measurements.rounded(restored - undone if restored is not None and undone is not None else None),
        "pods": [restored_pod.as_dict() for restored_pod in drill.undone.values()],
        "snapshot": {
            "compared": drill.compared,
            "unread": drill.unread,
            "differences": [
                {**difference.as_dict(), "ours": difference in touched} for difference in drill.differences
            ],
        },
    }


def environment(drill: DrillRun) -> Json:
    """Return the document's `environment`: versions, who, and what was asked for."""
    mesh = drill.mesh
    return {
        "collection": _collection_version(),
        "kubernetes": _kubernetes_version(drill.cluster),
        "istio": mesh.mesh.version if mesh else "",
        "server": drill.cluster.server,
        "python": platform.python_version(),
        "holder": drill.holder,
        "approvals": drill.approvals,
        "awx_job": os.environ.get("JOB_ID", "") if "AWX_HOST" in os.environ else "",
        "request": {name: value for name, value in drill.params.items() if name in REQUEST},
    }


def journal_entries(drill: DrillRun) -> list[Json]:
    """Return the document's `journal`, seconds since the start of the drill."""
    if drill.stored is None or drill.stored.record is None:
        return []
    return [
        {"t": _since(drill.started, entry.time), "time": entry.time, "phase": entry.phase, "what": entry.what}
        for entry in drill.stored.record.entries
    ]


def _since(start: str, moment: str) -> float:
    """Return the seconds between two times of a journal."""
    first, last = (
        calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) + float(text[19:-1]) for text in (start, moment)
    )
    return round(last - first, 3)


def _collection_version() -> str:
    """Return the version in the collection's own MANIFEST.json or galaxy.yml, '' when neither is there."""
    root = Path(__file__).resolve().parents[4]
    for name, pattern in (("MANIFEST.json", r'"version":\s*"([^"]+)"'), ("galaxy.yml", r"(?m)^version:\s*(\S+)")):
        try:
            match = re.search(pattern, (root / name).read_text(encoding="utf-8"))
        except OSError:
            continue
        if match:
            return match[1]
    return ""


def _kubernetes_version(cluster: Cluster) -> str:
    try:
        return str(cluster.discovery("/version").get("gitVersion") or "")
    except LocalityError:
        return ""
