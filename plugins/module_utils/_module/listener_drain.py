# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of listener_drain: take a pod's sidecar off the network, and bring it back without losing the pod.

A drain cannot be undone inside Envoy, whatever is sent to it: the process has to be replaced. `POST /quitquitquit` ends
it, and kubelet starts the sidecar's container again in the same pod, with the same address, next to the untouched
application.

Who drains takes the lock of the mesh, looks whether every Service keeps a pod, and writes on each pod that it is
drained, before anything is sent. The lock is given back then: the next one sees what is written on the pods.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
import typing as t
import uuid
from dataclasses import dataclass, replace

from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import parse_stats
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    LocalityError,
    NotFound,
    NotReady,
    Unauthorized,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube import lease
from ansible_collections.meshops.locality.plugins.module_utils._kube.applied_objects import ATTEMPTS
from ansible_collections.meshops.locality.plugins.module_utils._kube.drain_note import DRAIN_ANNOTATION, DrainNote
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import POD, SERVICE
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import Proxy, admin, read_proxies
from ansible_collections.meshops.locality.plugins.module_utils._kube.verification_client import Visitor, find_visitor
from ansible_collections.meshops.locality.plugins.module_utils._module_runner import PATIENCE

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Params = t.Mapping[str, t.Any]
Json = dict[str, t.Any]

STATS = "stats?filter=%5Elistener_manager%5C.(listener_stopped%7Ctotal_listeners_active)%24"
POLL_SECONDS = 0.5
#: How long after the request to end a sidecar it is sent again, if the same process still runs.
AGAIN_SECONDS = 6.0
#: How long the counter is watched for a drain whose answer did not come.
LOST_SECONDS = 5.0
#: Words of Envoy's /drain_listeners, and the options that ask for them.
WORDS = {"inboundonly": "inbound_only", "graceful": "graceful"}


class NotDrained(NotReady):
    """The counter was read, and shows no drain."""


@dataclass(frozen=True)
class DrainOutcome:
    """What happened to one pod.

    `stopped_before` and `stopped` are None while that is not known, `verified` when no traffic was asked for, `error`
    when all is well. `written` is the annotation that this run has put in place of the proxy's; empty without.
    """

    proxy: Proxy
    changed: bool = False
    stopped_before: int | None = None
    stopped: int | None = None
    restarts: int = 0
    seconds: float = 0.0
    verified: bool | None = None
    proof: str = ""
    note: str = ""
    error: LocalityError | None = None
    graceful_pending: bool = False
    to_drain: bool = False
    written: str = ""

    def as_dict(self) -> Json:
        """Return it as plain values."""
        return {
            "pod": self.proxy.pod,
            "namespace": self.proxy.namespace,
            "address": self.proxy.address,
            "sidecar": self.proxy.kind,
            "changed": self.changed,
            "listeners_stopped": self.stopped,
            "restarts": self.restarts,
            "seconds": round(self.seconds, 1),
            "verified": self.verified,
            "proof": self.proof,
            "note": self.note,
            "error": str(self.error or ""),
        }


def listener_drain(cluster: Cluster, params: Params, module: AnsibleModule) -> Json:
    """Bring the pods' listeners into the wanted state.

    Nothing is drained unless everything can be checked afterwards; everything is restored before anything else is
    asked. Raises, with the outcome of every pod in the details, when one did not get there: NotReady, or the error
    that all failed pods have in common.
    """
    drain = params["state"] == "drained"
    named = not (params["all_pods"] or params["annotated_pods"])
    given_client = params["verify_from"]
    if bool(params["namespace"]) == params["all_namespaces"]:
        raise InvalidInput("Exactly one of namespace and all_namespaces is needed.", do="Name the namespace.")
    if drain and params["all_namespaces"]:
        raise InvalidInput("all_namespaces is for restoring only.", do="Name the namespace to drain in.")
    for option in ("all_pods", "annotated_pods"):
        if drain and params[option]:
            raise InvalidInput(
                f"{option} is for restoring only.", do="Name the pods to drain with pods or label_selector."
            )
    ways = (bool(params["pods"]), params["label_selector"] is not None, params["all_pods"], params["annotated_pods"])
    if sum(ways) != 1:
        raise InvalidInput(
            "Exactly one of pods, label_selector, all_pods and annotated_pods is needed.",
            do="Name the pods to drain." if drain else "Name the pods, or say annotated_pods: true.",
        )
    if params["all_namespaces"] and given_client and not given_client["namespace"]:
        raise InvalidInput("verify_from.namespace is missing.", do="With all_namespaces it has no default.")
    if not drain:
        # Nothing is worth more patience than what brings traffic back.
        deadline = time.monotonic() + max(params["wait_timeout"], PATIENCE * params["api_timeout"])
        cluster = cluster.until(deadline)
    proxies = read_proxies(cluster, params["namespace"], params["pods"], params["label_selector"])
    if not named:
        proxies = [proxy for proxy in proxies if proxy.kind and (params["all_pods"] or proxy.drain_annotation)]
    given, unverified = given_client, None
    if drain:
        for proxy in proxies:
            _refuse_to_drain(proxy, params)
        visitor = find_visitor(cluster, given, params["namespace"]) if given else None
        for proxy in proxies if visitor else ():
            t.cast(Visitor, visitor).port_of(proxy)
        outcomes = _drain_all(cluster, proxies, params, visitor, module.check_mode)
    else:
        outcomes = cluster.map(
            lambda proxy: _restore(cluster, proxy, deadline, named=named, check_mode=module.check_mode), proxies
        )
        if given:
            outcomes, unverified = _verify_all(cluster, outcomes, params, module.check_mode)
    result = {
        "changed": any(outcome.changed for outcome in outcomes),
        "pods": [outcome.as_dict() for outcome in outcomes],
        "diff": _diff(outcomes, drain),
    }
    _fail(outcomes, unverified, result, params["state"])
    return result


def _fail(outcomes: t.Sequence[DrainOutcome], unverified: LocalityError | None, result: Json, state: str) -> None:
    errors = [(outcome.proxy.where, outcome.error) for outcome in outcomes if outcome.error]
    if errors:
        reasons = [f"{where}: {error}" for where, error in errors] + ([str(unverified)] if unverified else [])
        kinds = {type(error) for _where, error in errors}
        kind = kinds.pop() if len(kinds) == 1 and kinds <= {Forbidden, Unauthorized, InvalidInput} else NotReady
        raise kind(
            f"{len(errors)} of {len(outcomes)} pods are not {state}. {' '.join(reasons)}",
            do="What is done stays done; a second run continues.",
            **result,
        )
    if unverified:
        raise type(unverified)(
            f"Every pod was looked at and restored where needed, but not verified. {unverified.what}",
            do=unverified.do,
            **{**unverified.details, **result},
        )


def _next_step(step: t.Callable[[DrainOutcome], DrainOutcome], done: DrainOutcome) -> DrainOutcome:
    """Take the next step; its error is added to what was done before instead of replacing it."""
    try:
        return step(done)
    except LocalityError as error:
        return replace(done, error=error)


def _stopped(cluster: Cluster, proxy: Proxy) -> tuple[int, int]:
    """Return how many listeners the running Envoy has stopped, and how many it has.

    Nothing else shows a drain: /ready, /listeners, /server_info and total_listeners_draining all stay as they were.
    """
    stats = parse_stats(admin(cluster, proxy, STATS, seconds=10))
    return stats.get("listener_manager.listener_stopped", 0), stats.get("listener_manager.total_listeners_active", 0)


def _drain_all(
    cluster: Cluster, proxies: t.Sequence[Proxy], params: Params, visitor: Visitor | None, check_mode: bool
) -> list[DrainOutcome]:
    """Drain the pods that are not drained yet. Raises Conflict while a drill, or somebody else who drains, has the lock
    of the mesh, and InvalidInput where a Service would be left without a pod; nothing has been sent then.
    """
    outcomes = cluster.map(lambda proxy: _look(cluster, proxy, params), proxies)
    if any(outcome.to_drain for outcome in outcomes):
        outcomes = _write_notes(cluster, proxies, outcomes, params, check_mode)
    else:
        refuse_all(cluster, params, proxies)

    def drain(outcome: DrainOutcome) -> DrainOutcome:
        if outcome.to_drain and not outcome.error:
            if check_mode:
                return replace(outcome, changed=True, proof="Nothing was sent (check mode).")
            outcome = _next_step(lambda done: _send(cluster, done, params), outcome)
        elif outcome.graceful_pending and not check_mode:
            outcome = _next_step(lambda done: _see_pending(cluster, done, params), outcome)
        if visitor is None or check_mode or outcome.error or outcome.graceful_pending:
            return outcome
        return _next_step(lambda done: _verify_drained(cluster, done, visitor), outcome)

    return cluster.map(drain, outcomes)


def _look(cluster: Cluster, proxy: Proxy, params: Params) -> DrainOutcome:
    """Look whether a pod is drained already."""
    note = "" if proxy.ready else "Its istio-proxy container was not ready before."

    def look(outcome: DrainOutcome) -> DrainOutcome:
        if proxy.problem:
            raise NotReady(proxy.problem)
        before, listeners = _stopped(cluster, proxy)
        outcome = replace(outcome, stopped_before=before, stopped=before)
        # A drain of the inbound listeners only is not yet one of all.
        if before and (params["inbound_only"] or before >= listeners):
            return replace(outcome, proof=f"{before} listeners were stopped before.")
        if params["graceful"] and proxy.drain_note is not None and proxy.drain_note.sent:
            return replace(outcome, graceful_pending=True, proof="A graceful drain was sent before, and is not over.")
        return replace(outcome, to_drain=True)

    return _next_step(look, DrainOutcome(proxy, restarts=proxy.restarts, note=note))


def _write_notes(
    cluster: Cluster,
    proxies: t.Sequence[Proxy],
    outcomes: t.Sequence[DrainOutcome],
    params: Params,
    check_mode: bool,
) -> list[DrainOutcome]:
    """Write on every pod that will be drained that it is; one on which that cannot be written gets an error.

    Two who drain different pods of one Service must not both think that the other's pods remain: so this is done with
    the lock of the mesh, and what is written counts as drained.
    """
    # Two containers may have one name and the same process ids.
    who = f"listener_drain by {socket.gethostname()} (pid {os.getpid()}, {uuid.uuid4().hex[:8]})"
    lock = lease.acquire(cluster, params["lock_namespace"], who, dry_run=check_mode)

    def write(outcome: DrainOutcome) -> DrainOutcome:
        proxy = outcome.proxy
        note = DrainNote(
            by=who,
            at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            restarts=proxy.restarts,
            graceful=params["graceful"] or proxy.drains_gracefully,
        )
        _annotate(cluster, proxy, proxy.drain_annotation, note.text(), dry_run=check_mode)
        return replace(outcome, written=note.text())

    try:
        refuse_all(cluster, params, proxies)
        written = cluster.map(
            lambda outcome: _next_step(write, outcome) if outcome.to_drain else outcome, list(outcomes)
        )
        if not check_mode:
            try:
                lease.renew(cluster, lock)
            except LocalityError as error:
                cluster.map(lambda outcome: _take_note_back(cluster, outcome), written)
                raise type(error)(f"Nothing was drained. {error.what}", do="Run again.", **error.details) from error
    finally:
        if not check_mode:
            _give_back(cluster, lock)
    return written


def _give_back(cluster: Cluster, lock: lease.Lease) -> None:
    """Give the lock back; where that fails, it is free as soon as its time is over."""
    with contextlib.suppress(LocalityError):
        lease.release(cluster, lock)


def _send(cluster: Cluster, outcome: DrainOutcome, params: Params) -> DrainOutcome:
    """Send the drain to one pod on which it is written, and see it."""
    words = [word for word, option in WORDS.items() if params[option]]
    path = "drain_listeners" + ("?" + "&".join(words) if words else "")
    start = time.monotonic()
    sent = replace(outcome, changed=True, stopped=None)
    try:
        admin(cluster, outcome.proxy, path, method="POST", repeat=True)  # drained twice is drained
    except (Forbidden, Unauthorized):
        _take_note_back(cluster, outcome)
        raise
    except LocalityError as error:
        return _next_step(lambda done: _look_for(cluster, done, params, start), replace(sent, error=error))
    if params["graceful"]:
        sent = _note_sent(cluster, sent)
    return _next_step(lambda done: _see(cluster, done, params, start), sent)


def _note_sent(cluster: Cluster, outcome: DrainOutcome) -> DrainOutcome:
    """Write down that Envoy has accepted a graceful drain, so that the next run need not send it again.

    Where that fails, the next run sends it again, and Envoy, which drains already, ignores it.
    Source: envoy 1.39 source/server/admin/listeners_handler.cc, handlerDrainListeners.
    """
    note = DrainNote.parse(outcome.written)
    if note is None:
        return outcome
    text = replace(note, sent=True).text()
    with contextlib.suppress(LocalityError):
        _annotate(cluster, outcome.proxy, outcome.written, text)
        return replace(outcome, written=text)
    return outcome


def _see_pending(cluster: Cluster, outcome: DrainOutcome, params: Params) -> DrainOutcome:
    """Wait until a graceful drain of an earlier run is over."""
    seen = _see(cluster, replace(outcome, graceful_pending=False), params, time.monotonic())
    return replace(seen, proof=outcome.proof) if seen.graceful_pending else seen


def _look_for(cluster: Cluster, outcome: DrainOutcome, params: Params, start: float) -> DrainOutcome:
    """See whether a drain happened whose answer did not come. A graceful one may have: nothing shows it yet."""
    try:
        return replace(
            _see(cluster, outcome, {**params, "graceful": False, "wait_timeout": LOST_SECONDS}, start), error=None
        )
    except NotDrained:
        if not params["graceful"]:
            _take_note_back(cluster, outcome)
        return replace(outcome, changed=params["graceful"], stopped=outcome.stopped_before)


def _see(cluster: Cluster, outcome: DrainOutcome, params: Params, start: float) -> DrainOutcome:
    """Wait until the counter shows the drain that was sent."""
    before = outcome.stopped_before or 0
    # The workers stop one listener after the other, so the number may be read too early.
    now, last = _stopped(cluster, outcome.proxy)[0], -1
    while (now <= before or now != last) and time.monotonic() < start + params["wait_timeout"]:
        time.sleep(POLL_SECONDS)
        now, last = _stopped(cluster, outcome.proxy)[0], now
    outcome = replace(outcome, stopped=now, seconds=time.monotonic() - start)
    if now > before:
        return replace(outcome, proof=f"listener_manager.listener_stopped rose from {before} to {now}.")
    if params["graceful"]:
        return replace(
            outcome,
            graceful_pending=True,
            proof=f"Envoy accepted the graceful drain. Its listeners stop when the proxy's drain time is over; within"
            f" {params['wait_timeout']} seconds none did.",
        )
    raise NotDrained(
        f"Envoy accepted the drain, but listener_manager.listener_stopped stayed {before} for"
        f" {params['wait_timeout']} seconds.",
        do="Perhaps it has no inbound listener: see its /listeners." if params["inbound_only"] else "",
    )


def _verify_drained(cluster: Cluster, outcome: DrainOutcome, visitor: Visitor) -> DrainOutcome:
    code, answer = visitor.visit(cluster, outcome.proxy)
    if 0 < code < 500:
        raise NotReady(f"The listeners are stopped, but {answer}", do="Is the pod's port excluded from the sidecar?")
    return replace(outcome, verified=True, proof=f"{outcome.proof} {answer}")


def _restore(cluster: Cluster, proxy: Proxy, until: float, *, named: bool, check_mode: bool) -> DrainOutcome:
    """Bring one sidecar back. What fails on the way is tried again until `until`, a time.monotonic()."""
    start = time.monotonic()

    pending = proxy.drains_gracefully

    def end(outcome: DrainOutcome) -> DrainOutcome:
        stopped: int | None = None
        if proxy.kind and not proxy.problem:
            stopped = _stopped_at_last(cluster, proxy)
        outcome = replace(outcome, stopped_before=stopped, stopped=stopped)
        if not stopped and not pending and proxy.ready:
            if not check_mode:
                _replace_note(cluster, proxy, proxy.drain_annotation, "")
            return replace(outcome, proof="No listener was stopped.")
        if not stopped and not pending and not named and not proxy.ended_well:
            why = proxy.problem or "Its istio-proxy container is not ready."
            return replace(outcome, note=f"{why} That is no drain's work, and it was not named: left alone.")
        if not proxy.kind or not proxy.address:
            raise NotReady(proxy.problem or "The pod has no address.")
        drained = bool(stopped or (pending and proxy.kind and not proxy.problem))
        if drained and (why := proxy.not_started_again):
            raise NotReady(why, do="Recreate the pod (of a Job: delete it, or let it finish).")
        if check_mode:
            return replace(outcome, changed=drained, proof="Nothing was sent (check mode).")
        if drained:
            _end(cluster, proxy)
            outcome = replace(outcome, stopped=None)
        return _next_step(back, replace(outcome, changed=drained))

    def back(outcome: DrainOutcome) -> DrainOutcome:
        now = _wait_back(cluster, proxy, proxy.restarts + outcome.changed, until)
        # Not what somebody else has written since: the note of the next drain.
        _replace_note(cluster, proxy, proxy.drain_annotation, "")
        proof = (
            f"Same pod, applications untouched, istio-proxy restarted {now.restarts - proxy.restarts} time(s), ready,"
            " no listener stopped."
        )
        seconds = time.monotonic() - start
        return replace(outcome, proxy=now, stopped=0, restarts=now.restarts, seconds=seconds, proof=proof)

    return _next_step(end, DrainOutcome(proxy, restarts=proxy.restarts))


def _end(cluster: Cluster, proxy: Proxy) -> None:
    """End the sidecar's process. It may be gone before the answer is: what counts is what is seen afterwards."""
    try:
        # A POST is not sent twice by itself: the second one could hit the process that has just come back.
        admin(cluster, proxy, "quitquitquit", method="POST", seconds=10)
    except (Forbidden, Unauthorized):
        raise
    except LocalityError:
        pass


def _stopped_at_last(cluster: Cluster, proxy: Proxy) -> int:
    """Return how many listeners are stopped, asking up to three times an Envoy that does not answer."""
    for _try in range(2):
        try:
            return _stopped(cluster, proxy)[0]
        except NotReady:
            time.sleep(POLL_SECONDS)
    return _stopped(cluster, proxy)[0]


def _annotate(cluster: Cluster, proxy: Proxy, before: str, after: str, *, dry_run: bool = False) -> None:
    """Write on the pod what is known of its drain: `after`, in place of `before` (empty: nothing).

    Raises Conflict when something else stands there now, NotFound when the pod is gone, Forbidden with what that means.
    """
    for _attempt in range(ATTEMPTS):
        pod = cluster.get(POD, proxy.pod, proxy.namespace)
        if pod is None or pod["metadata"].get("uid") != proxy.uid:
            raise NotFound(f"Pod {proxy.where} was deleted or replaced meanwhile.", status=404)
        if Proxy.of(pod).drain_annotation != before:
            break
        guard = {"uid": proxy.uid, "resourceVersion": pod["metadata"]["resourceVersion"]}
        body = {"metadata": {**guard, "annotations": {DRAIN_ANNOTATION: after or None}}}
        try:
            cluster.merge_patch(POD, proxy.pod, body, proxy.namespace, dry_run=dry_run)
            return
        except Conflict:
            pass  # Its status changes, too: look again.
        except Forbidden as error:
            raise Forbidden(
                f"The drain of pod {proxy.where} cannot be written down, so it is not drained. {error.what}",
                do="Grant the verb patch on pods: who restores, from whatever machine, reads it there.",
                status=error.status,
            ) from error
    raise Conflict(
        f"Somebody else drains or restores pod {proxy.where}, or keeps writing it.", do="Run again.", status=409
    )


def _replace_note(cluster: Cluster, proxy: Proxy, before: str, after: str) -> None:
    """Replace what is written about a drain, if it still stands there. Left there it does no harm: it names a process
    that is gone, or one whose counter says that nothing is stopped.
    """
    if before:
        with contextlib.suppress(NotFound, Forbidden, Conflict):
            _annotate(cluster, proxy, before, after)


def _take_note_back(cluster: Cluster, outcome: DrainOutcome) -> None:
    """After a drain that was not sent, or did nothing: leave on the pod what stood there before this run."""
    _replace_note(cluster, outcome.proxy, outcome.written, outcome.proxy.drain_annotation)


def _refuse_to_drain(proxy: Proxy, params: Params) -> None:
    """Raise InvalidInput for a pod whose drain could not be undone. Nothing has been sent to it."""
    why, do = proxy.not_undone(params["wait_timeout"], "wait_timeout")
    if why:
        raise InvalidInput(f"Pod {proxy.where} is not drained, because that could not be undone. {why}", do=do)


def _wait_back(cluster: Cluster, proxy: Proxy, restarts: int, until: float) -> Proxy:
    """Wait until the sidecar runs anew and is ready, in the same pod, with the applications untouched."""
    why = "It did not restart."
    sent = time.monotonic()
    while True:
        pod = cluster.get(POD, proxy.pod, proxy.namespace)
        if pod is None or pod["metadata"].get("uid") != proxy.uid:
            raise NotReady(
                "The pod was deleted or replaced meanwhile.", do="See its events; its successor is not drained."
            )
        now = Proxy.of(pod)
        touched = [name for name, count in now.app_restarts.items() if count != proxy.app_restarts.get(name, 0)]
        if touched:
            raise NotReady(
                f"Container {', '.join(touched)} restarted too.", do="See its log of before (kubectl logs --previous)."
            )
        why = now.problem or ("Its istio-proxy container is not ready yet." if not now.ready else why)
        if now.restarts < restarts and not now.problem and time.monotonic() - sent > AGAIN_SECONDS:
            # The request to end may have got lost.
            _end(cluster, proxy)
            sent = time.monotonic()
        if now.restarts >= restarts and now.ready and not now.problem:
            try:
                stopped, _listeners = _stopped(cluster, now)
            except NotReady as error:
                why = str(error)
            else:
                if not stopped:
                    return now
                why = f"Its Envoy has still {stopped} listeners stopped."
        if time.monotonic() >= until:
            raise NotReady(
                f"The sidecar did not come back in time. {why}",
                do="CrashLoopBackOff is kubelet's pause after many restarts: give a longer wait_timeout and run again."
                if "BackOff" in why
                else "See the pod's events and the log of istio-proxy, then run again.",
            )
        time.sleep(POLL_SECONDS)


def _verify_all(
    cluster: Cluster, outcomes: list[DrainOutcome], params: Params, check_mode: bool
) -> tuple[list[DrainOutcome], LocalityError | None]:
    """See the restored pods answer. Returns the outcomes, and why no client could be found to see it."""
    try:
        visitor = find_visitor(cluster, params["verify_from"], params["namespace"])
    except LocalityError as error:
        return outcomes, error
    if check_mode:
        return outcomes, None

    def verify(outcome: DrainOutcome) -> DrainOutcome:
        if outcome.error or outcome.note:
            return outcome
        return _next_step(lambda done: _verify_restored(cluster, done, visitor, params["wait_timeout"]), outcome)

    return cluster.map(verify, outcomes), None


def _verify_restored(cluster: Cluster, outcome: DrainOutcome, visitor: Visitor, seconds: float) -> DrainOutcome:
    start = time.monotonic()
    while True:
        code, answer = visitor.visit(cluster, outcome.proxy)
        if 0 < code < 500:
            took = outcome.seconds + time.monotonic() - start
            return replace(outcome, verified=True, seconds=took, proof=f"{outcome.proof} {answer}")
        if time.monotonic() >= start + seconds:
            raise NotReady(
                f"The listeners are back, but {answer}",
                do="Check port and path of verify_from; a PeerAuthentication in mode STRICT refuses such requests.",
            )
        time.sleep(1)


def refuse_all(cluster: Cluster, params: Params, proxies: t.Sequence[Proxy]) -> None:
    """Raise InvalidInput when a Service would be left without a pod that serves: ready, and no listener stopped.

    Without its inbound listeners a pod serves nobody, but stays ready. One that somebody else has just written down to
    drain counts as drained.
    """
    if params["allow_all"]:
        return
    targets = {proxy.identity for proxy in proxies}
    pods = cluster.list(POD, params["namespace"])
    known: dict[tuple[str, str, str], bool] = {}

    def serves(pod: Json) -> bool:
        proxy = Proxy.of(pod)
        if proxy.identity not in known:
            noted = proxy.drains_gracefully if proxy.identity in targets else proxy.drain_note is not None
            try:
                known[proxy.identity] = not (proxy.kind and (noted or _stopped(cluster, proxy)[0]))
            except NotReady:
                # Unknown: what is to be drained might serve, what is to remain might not.
                known[proxy.identity] = proxy.identity in targets
        return known[proxy.identity]

    for service in cluster.list(SERVICE, params["namespace"]):
        selector = (service.get("spec") or {}).get("selector") or {}
        if not selector:
            continue
        ready = [
            pod for pod in pods if selector.items() <= (pod["metadata"].get("labels") or {}).items() and _is_ready(pod)
        ]
        taken = [pod for pod in ready if Proxy.of(pod).identity in targets]
        if not taken or any(serves(pod) for pod in ready if pod not in taken):
            continue
        if names := sorted(pod["metadata"]["name"] for pod in taken if serves(pod)):
            drained = " (the others are drained already)" if len(taken) < len(ready) else ""
            name = service["metadata"]["name"]
            raise InvalidInput(
                f"This would drain every ready pod of Service {params['namespace']}/{name}:"
                f" {', '.join(names)}{drained}.",
                do="Choose fewer pods, or say allow_all: true.",
            )


def _is_ready(pod: Json) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return not pod["metadata"].get("deletionTimestamp") and any(
        condition.get("type") == "Ready" and condition.get("status") == "True" for condition in conditions
    )


def _diff(outcomes: t.Sequence[DrainOutcome], drain: bool) -> dict[str, dict[str, str]]:
    def state(stopped: bool | int | None) -> str:
        if stopped is None:
            return "not known"
        return "listeners stopped" if stopped else "listening"

    before, after = {}, {}
    for outcome in outcomes:
        if outcome.error and not outcome.changed:
            continue
        name = outcome.proxy.pod
        before[name] = state(outcome.stopped_before)
        after[name] = state(drain if outcome.changed else outcome.stopped_before)
        if outcome.graceful_pending:
            after[name] = "draining gracefully"
        elif outcome.error and drain and (outcome.stopped or 0) <= (outcome.stopped_before or 0):
            after[name] = "drain sent, not seen"
        elif outcome.error and not drain and outcome.stopped != 0:
            after[name] = "sidecar ended, not seen back"
    return {"before": before, "after": after}
