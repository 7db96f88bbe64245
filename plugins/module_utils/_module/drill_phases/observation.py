# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""While the fault lasts: requests, watches, and every reason to end at once.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t
from functools import partial

from ansible_collections.meshops.locality.plugins.module_utils._drill import bystanders
from ansible_collections.meshops.locality.plugins.module_utils._drill.phases import FAILED, INTERRUPTED, Ended
from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import EnvoyEndpoint
from ansible_collections.meshops.locality.plugins.module_utils._envoy.probe_statistics import percentile
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_clients import ClientProbe, Request
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_preflight import DrillClient
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_targets import ServicePods
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_user_traffic import UserTraffic
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_watch import EnvoyWatch, TargetGuard
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import POD
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import Proxy
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.drill_run import DrillRun

TICK_SECONDS = 0.1
#: So often the Envoys of bystanders are read.
BYSTANDER_SECONDS = 2.0
PROGRESS_SECONDS = 5.0
#: A latency is judged over the requests of so many seconds.
RECENT_SECONDS = 5.0


def start_watching(drill: DrillRun) -> None:
    """Start guards, watches and clients, and see a steady state for the lead time. Raises Ended when there is none."""
    params = drill.params
    drill.target_guard = TargetGuard(
        drill.cluster, drill.fault, drill.id, params["dead_mans_switch"], drill.application
    )
    drill.target_guard.start()
    drill.watch.start()
    drill.bystander_watch = EnvoyWatch(
        drill.cluster, bystander_proxies(drill), "", drill.zero, pause=BYSTANDER_SECONDS
    ).only(partial(is_elsewhere, drill))
    drill.bystander_watch.look()
    drill.bystander_watch.start()
    drill.probes = [load_of(drill, index, client) for index, client in enumerate(drill.clients)]
    for probe in drill.probes:  # one after the other: that many sessions at once are more than a small cluster bears
        probe.start()
        probe.ready.wait(15)
    drill.begin("inject", f"{params['lead']} s of requests before the fault")
    wait(drill, params["lead"])
    sent = [sample for probe in drill.probes for sample in list(probe.samples)]
    failed = [sample for sample in sent if not sample.ok]
    if not sent:
        raise Ended(INTERRUPTED, f"No request was answered within {params['lead']} s; nothing was broken.")
    if len(failed) > params["error_budget"] * len(sent) and "error_budget" not in params["accept"]:
        raise Ended(
            INTERRUPTED,
            f"No steady state: {len(failed)} of {len(sent)} requests failed before the fault; nothing was broken.",
        )


def load_of(drill: DrillRun, index: int, client: DrillClient) -> ClientProbe | UserTraffic:
    """Return what sends a client's requests, or reads those of its users."""
    params = drill.params
    if params["load"] == "users":
        by_log = client.proxy.where in drill.logging
        count = len(drill.clients)
        return UserTraffic(drill.cluster, index, client.proxy, drill.watched, by_log, drill.zero, count)
    request = Request(drill.url, params["rate"], params["timeout"], drill.pattern)
    return ClientProbe(drill.cluster, index, client.proxy, client.container, request, drill.id, drill.zero)


def bystander_proxies(drill: DrillRun) -> list[Proxy]:
    """Return other members of the namespace whose errors are watched: at most ten."""
    taken = {target.uid for target in drill.lost} | {client.proxy.uid for client in drill.clients}
    behind = t.cast(ServicePods, drill.service_pods)
    proxies = [Proxy.of(pod) for pod in drill.cluster.list(POD, behind.namespace)]
    watched = [proxy for proxy in proxies if proxy.uid not in taken and proxy.node not in drill.lost_nodes]
    return [proxy for proxy in watched if proxy.kind and proxy.ready and not proxy.problem][:10]


def is_elsewhere(drill: DrillRun, endpoint: EnvoyEndpoint, _namespace: str) -> bool:
    """Whether an endpoint has nothing to do with what is lost."""
    lost = {target.address for target in drill.lost}
    return endpoint.name.direction == "outbound" and endpoint.ip not in lost


def wait(drill: DrillRun, seconds: float) -> None:
    """Wait, and look all the while whether the drill may go on. Raises Ended when it may not."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        check(drill)
        show_progress(drill)
        time.sleep(min(TICK_SECONDS, max(0.0, until - time.monotonic())))
    check(drill)


def check(drill: DrillRun) -> None:
    """Raise Ended with the reason when the drill must not go on."""
    check_signs_of_life(drill)
    if drill.target_guard.vanished:
        raise Ended(INTERRUPTED, drill.target_guard.vanished)
    for probe in drill.probes:
        if stalled := probe.stalled():
            raise Ended(INTERRUPTED, f"A client does not ask any more. {stalled}")
    check_budget(drill)
    check_bystanders(drill)


def check_signs_of_life(drill: DrillRun) -> None:
    """Raise Ended after a signal, without the lock, when a person stopped drills or the API server is silent."""
    if reason := drill.interruption.look():
        raise Ended(INTERRUPTED, reason, "signal")
    if trouble := drill.guard.trouble():
        kind, reason = trouble
        raise Ended(INTERRUPTED, reason, "api_trouble" if kind == "api_trouble" else "abort")


def check_bystanders(drill: DrillRun) -> None:
    """Raise Ended when others have more errors than they may; looked at once a second."""
    if time.monotonic() < drill.bystanders_due:
        return
    drill.bystanders_due = time.monotonic() + 1.0
    seen = bystanders.hurt(drill.bystander_watch.readings)
    if message := bystanders.beyond(seen, drill.params["bystander_error_budget"]):
        raise Ended(FAILED, message)


def check_budget(drill: DrillRun) -> None:
    """Raise Ended when more has failed than may, or answers take too long."""
    samples = [sample for probe in drill.probes for sample in list(probe.samples)]
    failed = sum(not sample.ok for sample in samples)
    allowed = drill.params["error_budget"] * drill.request_count()
    if failed > allowed:
        raise Ended(FAILED, f"The error budget is used up: {failed} requests failed, {allowed:.0f} of the drill's may.")
    limit = drill.params["max_latency"]
    recent = sorted(
        1000 * sample.seconds for sample in samples if sample.ok and sample.t >= drill.now() - RECENT_SECONDS
    )
    if limit and len(recent) >= 10:
        slow = percentile(recent, 99)
        if slow > limit:
            raise Ended(FAILED, f"Answers take too long: p99 is {slow:.0f} ms, max_latency {limit} ms.")


def show_progress(drill: DrillRun) -> None:
    """Show once in PROGRESS_SECONDS how many requests went where."""
    if time.monotonic() < drill.progress_due:
        return
    drill.progress_due = time.monotonic() + PROGRESS_SECONDS
    samples = [sample for probe in drill.probes for sample in list(probe.samples)]
    recent = (
        samples if len(samples) < 1 else [sample for sample in samples if sample.t >= drill.now() - PROGRESS_SECONDS]
    )
    failed = sum(not sample.ok for sample in recent)
    where: dict[str, int] = {}
    pods = pods_by_name(drill)
    for sample in recent:
        if sample.ok:
            name = pods.get(sample.pod, ("", ""))[1].rpartition("/")[2] or "unknown"
            where[name] = where.get(name, 0) + 1
    summary = ", ".join(f"{name} {count}" for name, count in sorted(where.items()))
    drill.add_event(
        "progress", f"{len(recent) / PROGRESS_SECONDS:.1f} requests/s, {failed} failed; {summary or 'no answer'}"
    )


def pods_by_name(drill: DrillRun) -> dict[str, tuple[str, str]]:
    """Return {name of a pod: (namespace/name, place)} of everything behind the Service."""
    behind = t.cast(ServicePods, drill.service_pods)
    return {candidate.name: (candidate.where, candidate.place) for candidate in behind.candidates}


def stop_watching(drill: DrillRun) -> None:
    """Look a last time, and end everything that runs beside the drill."""
    for ending in ("target_guard", "watch", "bystander_watch"):
        watcher = getattr(drill, ending, None)
        if watcher is None:
            continue
        if ending != "target_guard":
            watcher.look()
        watcher.end()
    for probe in drill.probes:
        probe.end(drill.params["timeout"] + 3)
    collect_samples(drill)


def collect_samples(drill: DrillRun) -> None:
    """Say of every request who answered it, as far as the answer itself says so."""
    pods = pods_by_name(drill)
    drill.samples = []
    for probe in drill.probes:
        for sample in list(probe.samples):
            where, place = pods.get(sample.pod, (sample.pod, ""))
            drill.samples.append(sample._replace(pod=where, place=place))
