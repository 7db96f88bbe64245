# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was seen becomes measurements, findings, criteria and a verdict.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import replace

from ansible_collections.meshops.locality.plugins.module_utils._drill import bystanders, measurements, verdict
from ansible_collections.meshops.locality.plugins.module_utils._drill.coverage import places_digest, places_key
from ansible_collections.meshops.locality.plugins.module_utils._drill.failover_mechanism import EVENTS, first, shifts
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import CLOSED
from ansible_collections.meshops.locality.plugins.module_utils._drill.measurements import Sample
from ansible_collections.meshops.locality.plugins.module_utils._drill.phases import Event
from ansible_collections.meshops.locality.plugins.module_utils._drill.verdict import SuccessCriteria
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    Conflict,
    Forbidden,
    LocalityError,
    NotFound,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_journal
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_clients import logged
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_journal import JournalChanged
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_targets import ServicePods
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_user_traffic import UserTraffic
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.document import (
    document,
    endpoint_view,
)
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.drill_run import DrillRun
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.observation import pods_by_name
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.restoration import (
    lost_names,
    note_foreign_restoration,
    unexpected_differences,
)

Json = dict[str, t.Any]


def read_access_logs(drill: DrillRun) -> None:
    """Add response flags, and who answered where the answer does not say it, from the access logs."""
    behind = t.cast(ServicePods, drill.service_pods)
    by_address = {candidate.address: candidate for candidate in behind.candidates}
    drill.samples = []
    pods = pods_by_name(drill)
    for probe in drill.probes:
        if isinstance(probe, UserTraffic):
            drill.samples += [_named(sample, pods) for sample in list(probe.samples)]
            drill.witnesses["unavailable"] += list(filter(None, [probe.clock(), _without_log(probe)]))
            continue
        entries, why = logged(drill.cluster, probe, drill.now())
        if why:
            drill.witnesses["unavailable"].append(why)
        for sample, number in zip(list(probe.samples), list(probe.numbers), strict=False):
            where, place = pods.get(sample.pod, (sample.pod, ""))
            entry = entries.get(number)
            flag = entry.response_flags if entry else ""
            known = by_address.get(entry.upstream_host.rpartition(":")[0].strip("[]")) if entry else None
            if known is not None and where and known.where != where and sample.ok:
                text = f"An answer names {where}, the access log of {probe.proxy.where} {known.where}."
                if text not in drill.witnesses["disagreements"]:
                    drill.witnesses["disagreements"].append(text)
            if known is not None and (not where or not place):
                where, place = known.where, known.place
            drill.samples.append(sample._replace(pod=where, place=place, flag=flag))
    drill.samples.sort(key=lambda sample: sample.t)


def _named(sample: Sample, pods: t.Mapping[str, tuple[str, str]]) -> Sample:
    where, place = pods.get(sample.pod, (sample.pod, ""))
    return sample._replace(pod=where, place=place)


def _without_log(probe: UserTraffic) -> str:
    if probe.by_log:
        return ""
    return (
        f"The access log of {probe.proxy.where} is off, so its requests are attempts at endpoints: an attempt that a"
        " retry made good is a failure, what Envoy answered itself is missing, and how long answers took is not known."
    )


def pass_verdict(drill: DrillRun) -> Json:
    """Turn what was seen into criteria and an outcome, close the journal, and return the document."""
    drill.begin("verdict")
    read_access_logs(drill)
    lost = lost_names(drill)
    drill.witnesses["probe"] = bool(drill.samples)
    drill.measured = measurements.measured(drill.samples, drill.moments, lost)
    attribute_shifts(drill)
    judge_bystanders(drill)
    unexpected = len(unexpected_differences(drill))
    restored = drill.stored is None or (
        not drill.record.unsettled() and (drill.compared > 0 or drill.moments.injected is None)
    )
    params = drill.params
    wanted = SuccessCriteria(
        params["error_budget"], params["max_time_to_shift"], params["max_time_to_restore"], params["expect_prediction"]
    )
    moments, planned = drill.moments, None
    if moments.injected is not None and moments.undone is not None:
        planned = drill.rate * (moments.undone - moments.injected) * len(drill.clients)
    drill.criteria = verdict.judge(wanted, drill.measured, drill.prediction, restored, unexpected, planned)
    outcome, reason = verdict.outcome(drill.ended, drill.criteria, drill.scopes_text(), drill.measured)
    if drill.ended is not None and drill.moments.injected is None and restored and not unexpected:
        outcome, reason = drill.ended.outcome, f"{drill.ended.reason} Nothing was broken."
    explain_findings(drill)
    close_journal(drill, outcome, reason, restored)
    drill.add_event("phase", f"{outcome}: {reason}")
    drill.end_phase("done")
    return document(drill, outcome, reason)


def attribute_shifts(drill: DrillRun) -> None:
    """Say of each shift which mechanism made it, and add its moments to events and measurements."""
    injected, undone = drill.moments.injected, drill.moments.undone
    if injected is None or undone is None:
        return
    addresses = {target.address for target in drill.lost if target.address}
    drill.shifts = shifts(drill.watch.readings, addresses, injected, undone)
    for mechanism, moment in first(drill.shifts).items():
        first_shift = next(each for each in drill.shifts if each.mechanism == mechanism and each.t == moment)
        drill.events.append(
            Event(
                moment,
                "observe",
                EVENTS[mechanism],
                f"{first_shift.evidence} at {first_shift.client}",
                client=first_shift.client,
            )
        )
    for name in ("first_error", "first_success_elsewhere", "all_shifted"):
        at = drill.measured[f"{name}_t"]
        if at is not None:
            drill.events.append(Event(at, "observe", name, name.replace("_", " ")))
    drill.events.sort(key=lambda event: event.t)
    drill.measured["first_ejection_t"] = first(drill.shifts).get("ejection")
    moments = [shift.t for shift in drill.shifts if shift.t is not None]
    drill.measured["time_to_detect"] = round(min(moments) - injected, 3) if moments else None
    readings = drill.watch.readings
    drill.views["during"] = endpoint_view(drill, [reading for reading in readings if injected <= reading.t <= undone])
    drill.views["after"] = endpoint_view(drill, [reading for reading in readings if reading.t > undone])


def judge_bystanders(drill: DrillRun) -> None:
    """Sum up by how much the error counters of bystanders grew."""
    watch = getattr(drill, "bystander_watch", None)
    if watch is None:
        return
    drill.bystanders["unavailable"] = [f"{name}: {why}" for name, why in watch.errors.items()]
    drill.bystanders |= bystanders.hurt(watch.readings)


def explain_findings(drill: DrillRun) -> None:
    """Turn what the gate, the prediction and the witnesses say into findings."""
    for rule in drill.gate:
        if not rule.passed:
            drill.add_finding("warning", f"{rule.rule} was accepted: {rule.what}", rule.do)
    if drill.prediction and not drill.prediction["can_be_ejected"] and drill.fault.forecast == "drained":
        drill.add_finding(
            "error",
            "Envoy may not eject the lost endpoints: maxEjectionPercent is over all endpoints of the Service.",
            "Set outlierDetection.maxEjectionPercent: 100, or let failover_policy complete the rule.",
        )
    if relapses := failed_again(drill):
        drill.add_finding(
            "warning",
            f"{len(relapses)} requests failed from {relapses[0].t - (drill.moments.injected or 0):.1f} s after the"
            " fault on, when the traffic had been elsewhere already: Envoy tries an ejected endpoint again after"
            " baseEjectionTime, and a retry does not leave its priority.",
            "Let failover_policy complete the rule (retryRemoteLocalities), or lengthen baseEjectionTime.",
        )
    for probe in drill.probes:
        if slow := probe.slowness():
            drill.add_finding("warning", slow, "Choose a client with more CPU, or a smaller rate.")
    for text in drill.witnesses["disagreements"]:
        drill.add_finding("warning", text, "")
    for text in drill.bystanders["hurt"]:
        drill.add_finding("warning", f"A bystander had errors: {text}", "See whether the drill made them.")


def failed_again(drill: DrillRun) -> list[Sample]:
    """Return the requests that failed while the fault lasted, after the traffic had been elsewhere."""
    shifted = drill.measured["all_shifted_t"]
    return [
        sample
        for sample in drill.samples
        if shifted is not None
        and not sample.ok
        and sample.t > shifted
        and measurements.period(sample, drill.moments) == "during"
    ]


def close_journal(drill: DrillRun, outcome: str, reason: str, restored: bool) -> None:
    """Close the journal when nothing is left to restore."""
    if drill.stored is None or not drill.stored.open:
        return
    until = time.monotonic() + drill.params["restore_timeout"]
    result = {
        "outcome": outcome,
        "reason": reason,
        "ended": drill_journal.now(),
        "requests": drill.measured["requests"],
        "failed": drill.measured["failed"],
        "time_to_shift": drill.measured["time_to_shift"],
        "rules": rule_digests(drill),
    }
    record = replace(drill.record, result=result)
    if not record.unsettled():
        record = replace(record, state=CLOSED)
    try:
        drill.write(record, "verdict", outcome, until=until)
        drill_journal.prune(drill.cluster, drill.record.namespace)
    except JournalChanged as error:
        note_foreign_restoration(drill, error)
    except (Conflict, NotFound, Forbidden, LocalityError) as error:
        drill.add_finding("error", f"The journal was not closed: {error}", "Run the playbook meshops.locality.restore.")


def rule_digests(drill: DrillRun) -> dict[str, str]:
    """Return the digests of what the proof rests on, so that it can be seen later whether it still holds."""
    behind = t.cast(ServicePods, drill.service_pods)
    kinds = ("Service ", "DestinationRule ", "VirtualService ", "Deployment ", "StatefulSet ")
    own = {
        candidate.workload.replace("/", f" {candidate.namespace}/", 1)
        for candidate in behind.candidates
        if candidate.workload
    }
    digests = {places_key(behind.namespace, behind.service): places_digest(behind.candidates)}
    return digests | {
        name: fields["spec"]
        for name, fields in drill.before.items()
        if name.startswith(kinds) and (not name.startswith(("Deployment", "StatefulSet")) or name in own)
    }
