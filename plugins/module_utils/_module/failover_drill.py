# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of failover_drill: break a place on purpose, watch, put everything back whatever happens, and judge.

One process owns requests, fault and undoing. What is to be undone is written to the cluster before it is done.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import os
import typing as t
from functools import partial
from pathlib import Path

from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import JournalRecord
from ansible_collections.meshops.locality.plugins.module_utils._drill.phases import (
    INTERRUPTED,
    PENDING,
    REFUSED,
    SUCCEEDED,
    Ended,
)
from ansible_collections.meshops.locality.plugins.module_utils._drill.scope import steps
from ansible_collections.meshops.locality.plugins.module_utils._errors import ClusterError, DrillEnded, LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_journal
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_faults import Application
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_journal import Stored
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_preflight import (
    check_application,
    check_targets,
    clients_of,
    targets_of,
    without_timer,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_targets import read_service_pods, state_of
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_watch import EnvoyWatch
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.document import (
    document,
    endpoint_view,
)
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.drill_run import DrillRun
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.gate import ask_gate
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.injection import (
    give_lock_back,
    inject_step,
    new_record,
    take_lock,
)
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.judgement import pass_verdict
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.network_enforcement import (
    check_direct_way,
)
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.observation import (
    start_watching,
    stop_watching,
    wait,
)
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.prediction import read_prediction
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.preflight import (
    check_interruption,
    check_options,
    check_permissions,
    client_answers,
    read_users_load,
    unhealthy_endpoints,
)
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.probe_clients import (
    choose_probe_clients,
    make_probe_clients,
    remove_probe_clients,
)
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.restoration import prove, put_back
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_report import write_evidence

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Params = t.Mapping[str, t.Any]
Json = dict[str, t.Any]


def run_drill(drill: DrillRun) -> Json:
    """Take the drill through its phases. Everything that goes wrong is in the document."""
    with drill.interruption:
        drill.append({"pid": os.getpid()}, create=True)
        try:
            prepare(drill)
            if drill.check_mode:
                raise Ended(PENDING, would_happen(drill), "phase")
            take_lock(drill)
        except Ended as ended:
            drill.ended = ended
        except LocalityError as error:
            drill.ended = Ended(REFUSED, str(error))
        if drill.ended is not None:
            drill.end_phase("done" if drill.ended.outcome == PENDING else "failed")
            drill.add_event("phase" if drill.check_mode else "abort", drill.ended.reason)
            return document(drill, drill.ended.outcome, drill.ended.reason)
        try:
            break_and_mend(drill)
        finally:
            give_lock_back(drill)
        return pass_verdict(drill)


def prepare(drill: DrillRun) -> None:
    """Do everything that changes nothing: preflight, snapshot, prediction, gate. Raises Ended when it may not begin."""
    params = drill.params
    drill.begin("preflight", f"Service {params['namespace']}/{params['service']}, fault {drill.fault.name}")
    check_options(drill)
    behind = drill.service_pods = read_service_pods(
        drill.cluster, params["namespace"], params["service"], params["port"]
    )
    drill.steps = steps(params["scope"], behind.candidates, params["cascade"])
    drill.targets = targets_of(drill.steps, drill.fault, behind, drill.cluster, drill.id)
    drill.clients = clients_of(
        drill.cluster, behind, params["clients"], {pod.uid for pod in drill.lost}, drill.lost_nodes
    )
    patience = params["restore_timeout"]
    proxies = check_targets(drill.cluster, drill.fault, drill.targets, behind, drill.id, patience)
    manual = without_timer(drill.cluster, drill.fault, proxies)
    drill.timers = drill.fault.timer and not manual
    if drill.fault.acts_on == "application":
        check_application(drill.cluster, drill.targets, t.cast(Application, drill.application))
    if drill.fault.acts_on == "network":
        check_direct_way(drill)
    check_permissions(drill)
    drill.add_event(
        "phase", f"{len(drill.targets)} target(s): {', '.join(target.where for target in drill.targets[:5])}"
    )
    check_interruption(drill)
    silent: list[str] = []
    if params["load"] == "users":
        read_users_load(drill)
    elif params["load"] == "injected":
        choose_probe_clients(drill)
    else:
        silent += [text for text in drill.cluster.map(partial(client_answers, drill), drill.clients) if text]
    drill.begin("snapshot", "the state that has to come back is read")
    drill.before = state_of(drill.cluster, behind.namespace, drill.unread)
    drill.watch = EnvoyWatch(
        drill.cluster, [client.proxy for client in drill.clients], drill.question.pattern(), drill.zero
    ).only(drill.question.wants)
    readings = drill.watch.look()
    drill.views["before"] = endpoint_view(drill, readings)
    drill.witnesses["counters"] = bool(readings)
    drill.witnesses["unavailable"] += [f"{name}: {why}" for name, why in drill.watch.errors.items()]
    silent += [f"The Envoy of {name} cannot be read: {why}" for name, why in drill.watch.errors.items()]
    silent += unhealthy_endpoints(drill, readings)
    check_interruption(drill)
    drill.begin("prediction")
    missing = read_prediction(drill)
    check_interruption(drill)
    drill.begin("gate")
    ask_gate(drill, silent, manual, missing)


def would_happen(drill: DrillRun) -> str:
    """Return what check mode says: what would be lost, and what it is predicted to cost."""
    pods = ", ".join(target.where for target in drill.targets[:5])
    cost = "not predicted"
    if drill.prediction is not None:
        cost = "{:.0f} to {:.0f} failed requests predicted".format(*drill.prediction["failed_between"])
    return (
        f"Would lose {drill.scopes_text()} ({drill.fault.name} at {pods}) for {drill.params['duration']} s and put it"
        f" back: {cost} of {drill.request_count():.0f}. Nothing was changed (check mode)."
    )


def break_and_mend(drill: DrillRun) -> None:
    """Everything from the journal to the proof. Whatever happens in between, the undoing follows."""
    params = drill.params
    try:
        drill.begin("journal", f"ConfigMap {params['namespace']}/{drill_journal.name_of(drill.id)}")
        record = new_record(drill).noted(drill_journal.now(), "journal", "The drill begins.")
        drill.stored = _written_journal(drill, record)
        drill.changed = True
        make_probe_clients(drill)
        start_watching(drill)
        for index, step in enumerate(drill.steps):
            inject_step(drill, index, step)
            drill.begin("observe", f"{params['duration']} s")
            wait(drill, params["duration"])
    except Ended as ended:
        cut_short(drill, ended)
    except LocalityError as error:
        cut_short(drill, Ended(INTERRUPTED, f"{error}"))
    try:
        if drill.stored is not None:
            put_back(drill)
            prove(drill)
    finally:
        stop_watching(drill)
        remove_probe_clients(drill)


def _written_journal(drill: DrillRun, record: JournalRecord) -> Stored:
    """Write the journal; where that was never answered it may be there all the same, and nothing but it is."""
    try:
        return drill_journal.create(drill.cluster, record, drill.holder)
    except ClusterError as error:
        drill.changed = error.unheard
        if error.unheard:
            error.do = f"{error.do} Run failover_restore: it closes a journal that is there.".strip()
        raise


def cut_short(drill: DrillRun, ended: Ended) -> None:
    """Note why the drill ends before its time."""
    drill.ended = ended
    drill.end_phase("aborted")
    drill.add_event(ended.kind, ended.reason)


def failover_drill(cluster: Cluster, params: Params, module: AnsibleModule) -> Json:
    """Run a drill and return {changed, outcome, reason, drill, evidence}.

    Raises DrillEnded, with the same in its details, unless it succeeded or is pending (check mode).
    """
    drill = DrillRun(cluster, params, module.check_mode)
    document = cluster.masked(run_drill(drill))
    outcome = document["outcome"]
    result: Json = {
        "changed": drill.changed or outcome == PENDING,
        "outcome": outcome,
        "reason": document["reason"],
        "evidence": _evidence(document, Path(params["evidence"]).expanduser()) if params["evidence"] else [],
        "drill": document,
    }
    if outcome not in (SUCCEEDED, PENDING):
        raise DrillEnded(f"{outcome}: {document['reason']}", **result)
    return result


def _evidence(document: Json, folder: Path) -> list[str]:
    """Write the evidence of a drill; a failure is reported in the result, and hides nothing."""
    own = folder / document["id"]
    try:
        written = write_evidence(document, own)
    except LocalityError as error:
        document["findings"].append(
            {"severity": "error", "what": f"No evidence was written: {error.what}", "do": error.do, "fix": ""}
        )
        return []
    return [str(own / name) for name in written.files]
