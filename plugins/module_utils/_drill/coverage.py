# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which losses of which Services have been drilled, and whether what was proven still holds.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import calendar
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import CLOSED, JournalRecord
from ansible_collections.meshops.locality.plugins.module_utils._drill.phases import FAILED, SUCCEEDED
from ansible_collections.meshops.locality.plugins.module_utils._drill.scope import Candidate
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import places
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality

Json = dict[str, t.Any]
#: `Kind namespace/name` → digest of its spec.
Digests = t.Mapping[str, str]


def drill(record: JournalRecord) -> Json:
    """Return what the history says of one drill."""
    result = record.result or {}
    return {
        "id": record.id,
        "namespace": record.namespace,
        "service": record.service,
        "title": record.title,
        "losses": list(record.asked),
        "fault": record.fault,
        "holder": record.holder,
        "started": record.started,
        "ended": str(result.get("ended") or ""),
        "open": record.state != CLOSED,
        "phase": record.phase,
        # A drill without a result is under way, or its process is gone.
        "outcome": str(result.get("outcome") or "PENDING"),
        "reason": str(result.get("reason") or ""),
        "requests": result.get("requests"),
        "failed_requests": result.get("failed"),
        "time_to_shift": result.get("time_to_shift"),
        "pods": [target.where for target in record.targets],
        "unsettled": [target.where for target in record.unsettled()],
    }


def places_key(namespace: str, service: str) -> str:
    """Return under which name the places of a Service's ready endpoints stand among the digests."""
    return f"Places of Service {namespace}/{service}"


def places_digest(candidates: t.Iterable[Candidate]) -> str:
    """Return the places that have ready endpoints, as one text. How many each has is in its workload's spec."""
    return ", ".join(sorted({candidate.place for candidate in candidates if candidate.ready}))


def never_drilled(
    namespace: str, service: str, candidates: t.Iterable[Candidate], entries: t.Iterable[Json]
) -> list[str]:
    """Return the losses of one place that the Service could survive and no drill has judged: `zone r1/z1`.

    A place is one of a level on which the Service's ready endpoints differ. `entries` are those of `coverage`.
    """
    judged = {entry["loss"] for entry in entries if (entry["namespace"], entry["service"]) == (namespace, service)}
    ready = [places(Locality.parse(candidate.place)) for candidate in candidates if candidate.ready]
    losses = []
    for level in ("subzone", "zone", "region"):
        names = {names_by_level[level] for names_by_level in ready} - {""}
        if len(names) > 1:
            losses += [text for text in (f"{level} {name}" for name in sorted(names)) if text not in judged]
    return losses


def coverage(records: t.Iterable[JournalRecord], now: Digests, moment: str) -> list[Json]:
    """Return one entry for each Service, loss and fault that a drill judged: the newest judgement applies.

    `proven`: it succeeded, and nothing that the proof rests on has changed since. `changed_since` names what has; `now`
    has the digests of today, and what is not in it is gone. `moment` is the time of today as journals have it.
    """
    newest: dict[tuple[str, str, str, str], JournalRecord] = {}
    for record in sorted(records, key=lambda record: record.started):
        if record.state == CLOSED and (record.result or {}).get("outcome") in (SUCCEEDED, FAILED):
            newest[record.namespace, record.service, ", then ".join(record.asked), record.fault] = record
    entries = []
    for (namespace, service, loss, fault), record in sorted(newest.items()):
        result = record.result or {}
        rules: Digests = result.get("rules") or {}
        changed = sorted(name for name, digest in rules.items() if now.get(name) != digest)
        # A rule that came later decides, too.
        kinds = (f"DestinationRule {namespace}/", f"VirtualService {namespace}/")
        changed += sorted(f"{name} (new)" for name in now if name.startswith(kinds) and name not in rules)
        entries.append(
            {
                "namespace": namespace,
                "service": service,
                "loss": loss,
                "fault": fault,
                "outcome": result["outcome"],
                "proven": result["outcome"] == SUCCEEDED and not changed,
                "drill": record.id,
                "when": str(result.get("ended") or record.started),
                "seconds_ago": round(max(0.0, _seconds(moment) - _seconds(str(result.get("ended") or record.started)))),
                "changed_since": changed,
            }
        )
    return entries


def _seconds(moment: str) -> float:
    """Return a time of a journal in seconds since 1970."""
    date, _t, clock = moment.rstrip("Z").partition("T")
    year, month, day = (int(part) for part in date.split("-"))
    hour, minute, second = clock.split(":")
    return calendar.timegm((year, month, day, int(hour), int(minute), 0)) + float(second)
