# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of listener_drain: take a pod's sidecar off the network, and bring it back without losing the pod.

A drain cannot be undone inside Envoy, whatever is sent to it: the process has to be replaced. `POST /quitquitquit` ends
it, and kubelet starts the sidecar's container again in the same pod, with the same address, next to the untouched
application.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin import parse_stats
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    ClusterError,
    Forbidden,
    InvalidInput,
    LocalityError,
    NotReady,
    Unauthorized,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.exec import run
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import POD, SERVICE
from ansible_collections.meshops.locality.plugins.module_utils._kube.proxies import Proxy, admin, read_proxies

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Params = t.Mapping[str, t.Any]
Json = dict[str, t.Any]

STATS = "stats?filter=%5Elistener_manager%5C.(listener_stopped%7Ctotal_listeners_active)%24"
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Outcome:
    """What happened to one pod. `verified` is None when no traffic was asked for; `error` is empty when all is well."""

    proxy: Proxy
    changed: bool = False
    stopped_before: int = 0
    stopped: int = 0
    restarts: int = 0
    seconds: float = 0.0
    verified: bool | None = None
    proof: str = ""
    note: str = ""
    error: str = ""
    graceful_pending: bool = False

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
            "error": self.error,
        }


@dataclass(frozen=True)
class Visitor:
    """Where requests that verify a pod come from, and what they ask for."""

    proxy: Proxy
    container: str
    port: int | None
    path: str

    def visit(self, cluster: Cluster, target: Proxy, port: int) -> tuple[int, str]:
        """Send one request to this very pod's address; return the status (0: no answer) and what was asked."""
        host = f"[{target.address}]" if ":" in target.address else target.address
        url = f"http://{host}:{port}{self.path}"
        command = ["curl", "-s", "-o", "/dev/null", "-m", "2", "-w", "%{http_code}", url]
        try:
            done = run(cluster, self.proxy.namespace, self.proxy.pod, self.container, command, seconds=15)
        except ClusterError as error:
            if "executable file not found" in error.what:
                raise InvalidInput(
                    f"Container {self.container} of pod {self.proxy.where} has no curl.",
                    do="Name another one in verify_from.",
                ) from error
            raise
        code = done.stdout.strip()[-3:]
        return int(code) if code.isdigit() else 0, url


def listener_drain(cluster: Cluster, params: Params, module: AnsibleModule) -> Json:
    """Bring the pods' listeners into the wanted state.

    Raises NotReady, with the outcome of every pod in its details, when one did not get there.
    """
    if params["state"] == "drained" and not params["pods"] and not params["label_selector"]:
        raise InvalidInput("Neither pods nor label_selector is given.", do="Name the pods to drain with one of them.")
    proxies = read_proxies(cluster, params["namespace"], params["pods"], params["label_selector"])
    named = params["pods"] or params["label_selector"]
    if not named:
        proxies = [proxy for proxy in proxies if proxy.kind]
    visitor = _visitor(cluster, params)
    drain = params["state"] == "drained"
    if drain:
        _refuse_all(cluster, params, proxies)
    step = _drain if drain else _restore
    outcomes = cluster.map(lambda proxy: _guarded(step, cluster, proxy, params, visitor, module.check_mode), proxies)
    pods = [outcome.as_dict() for outcome in outcomes]
    result = {
        "changed": any(outcome.changed for outcome in outcomes),
        "pods": pods,
        "diff": _diff(outcomes, drain),
    }
    if failed := [outcome for outcome in outcomes if outcome.error]:
        told = " ".join(f"{outcome.proxy.where}: {outcome.error}" for outcome in failed)
        raise NotReady(
            f"{len(failed)} of {len(outcomes)} pods are not {params['state']}. {told}",
            do="What is done stays done; a second run continues.",
            **result,
        )
    return result


def _guarded(step: t.Callable[..., Outcome], cluster: Cluster, proxy: Proxy, *more: t.Any) -> Outcome:
    try:
        return step(cluster, proxy, *more)
    except (Forbidden, Unauthorized, InvalidInput):
        raise
    except LocalityError as error:
        return Outcome(proxy, error=str(error))


def _stopped(cluster: Cluster, proxy: Proxy) -> tuple[int, int]:
    """Return how many listeners the running Envoy has stopped, and how many it has.

    Nothing else shows a drain: /ready, /listeners, /server_info and total_listeners_draining all stay as they were.
    """
    stats = parse_stats(admin(cluster, proxy, STATS, seconds=10))
    return stats.get("listener_manager.listener_stopped", 0), stats.get("listener_manager.total_listeners_active", 0)


def _drain(cluster: Cluster, proxy: Proxy, params: Params, visitor: Visitor | None, check_mode: bool) -> Outcome:
    if proxy.problem:
        raise NotReady(proxy.problem)
    note = "" if proxy.ready else "Its istio-proxy container was not ready before."
    before, listeners = _stopped(cluster, proxy)
    # A drain of the inbound listeners only is not yet one of all.
    if before and (params["inbound_only"] or before >= listeners):
        outcome = Outcome(
            proxy, False, before, before, proxy.restarts, note=note, proof=f"{before} listeners were stopped before."
        )
        return _verify_drained(cluster, outcome, params, visitor) if not check_mode else outcome
    if check_mode:
        return Outcome(proxy, True, before, before, proxy.restarts, note=note, proof="Nothing was sent (check mode).")
    words = [
        word for word, wanted in (("inboundonly", params["inbound_only"]), ("graceful", params["graceful"])) if wanted
    ]
    start = time.monotonic()
    admin(cluster, proxy, "drain_listeners" + ("?" + "&".join(words) if words else ""), method="POST")
    until = start + params["wait_timeout"]
    # The workers stop one listener after the other, so the number may be read too early.
    now, last = _stopped(cluster, proxy)[0], -1
    while (now <= before or now != last) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
        now, last = _stopped(cluster, proxy)[0], now
    outcome = Outcome(proxy, True, before, now, proxy.restarts, time.monotonic() - start, note=note)
    if now > before:
        proof = f"listener_manager.listener_stopped rose from {before} to {now}."
        return _verify_drained(cluster, replace(outcome, proof=proof), params, visitor)
    if params["graceful"]:
        return replace(
            outcome,
            graceful_pending=True,
            proof=f"Envoy accepted the graceful drain. Its listeners stop when the proxy's drain time is over; within"
            f" {params['wait_timeout']} seconds none did.",
        )
    raise NotReady(
        f"Envoy accepted the drain, but listener_manager.listener_stopped stayed {before} for"
        f" {params['wait_timeout']} seconds.",
        do="Perhaps it has no inbound listener: see its /listeners." if params["inbound_only"] else "",
    )


def _verify_drained(cluster: Cluster, outcome: Outcome, params: Params, visitor: Visitor | None) -> Outcome:
    if visitor is None:
        return outcome
    port = visitor.port or _port(cluster, outcome.proxy)
    code, url = visitor.visit(cluster, outcome.proxy, port)
    answered = 0 < code < 500
    told = f"{visitor.proxy.where} asked {url} and got {'status ' + str(code) if code else 'no answer'}."
    if answered:
        raise NotReady(f"The listeners are stopped, but {told}", do="Is the pod's port excluded from the sidecar?")
    return replace(outcome, verified=True, proof=f"{outcome.proof} {told}")


def _restore(cluster: Cluster, proxy: Proxy, params: Params, visitor: Visitor | None, check_mode: bool) -> Outcome:
    if not proxy.kind or not proxy.address:
        raise NotReady(proxy.problem or "The pod has no address.")
    start = time.monotonic()
    until = start + params["wait_timeout"]
    stopped = 0
    if not proxy.problem:
        stopped, _listeners = _stopped(cluster, proxy)
    if not stopped and proxy.ready:
        outcome = Outcome(proxy, False, 0, 0, proxy.restarts, proof="No listener was stopped.")
        return outcome if check_mode else _verify_restored(cluster, outcome, params, visitor, until)
    if stopped and proxy.kind == "classic" and proxy.restart_policy != "Always":
        raise NotReady(
            f"Its sidecar is an ordinary container and the pod's restartPolicy is {proxy.restart_policy}:"
            " once ended it would not be started again, and a drain cannot be undone otherwise.",
            do="Recreate the pod (of a Job: delete it, or let it finish).",
        )
    if check_mode:
        return Outcome(proxy, bool(stopped), stopped, stopped, proxy.restarts, proof="Nothing was sent (check mode).")
    if stopped:
        try:
            admin(cluster, proxy, "quitquitquit", method="POST", seconds=10)
        except (Forbidden, Unauthorized):
            raise
        except LocalityError:
            pass  # The container may be gone before the answer is; what counts is seen below.
    back = _wait_back(cluster, proxy, proxy.restarts + bool(stopped), until)
    outcome = Outcome(back, bool(stopped), stopped, 0, back.restarts, time.monotonic() - start)
    proof = (
        f"Same pod, applications untouched, istio-proxy restarted {back.restarts - proxy.restarts} time(s), ready,"
        " no listener stopped."
    )
    return _verify_restored(cluster, replace(outcome, proof=proof), params, visitor, until)


def _wait_back(cluster: Cluster, proxy: Proxy, restarts: int, until: float) -> Proxy:
    """Wait until the sidecar runs anew and is ready, in the same pod, with the applications untouched."""
    why = "It did not restart."
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


def _verify_restored(
    cluster: Cluster, outcome: Outcome, params: Params, visitor: Visitor | None, until: float
) -> Outcome:
    if visitor is None:
        return outcome
    port = visitor.port or _port(cluster, outcome.proxy)
    start = time.monotonic()
    while True:
        code, url = visitor.visit(cluster, outcome.proxy, port)
        told = f"{visitor.proxy.where} asked {url} and got {'status ' + str(code) if code else 'no answer'}."
        if 0 < code < 500:
            seconds = outcome.seconds + time.monotonic() - start
            return replace(outcome, verified=True, seconds=seconds, proof=f"{outcome.proof} {told}")
        if time.monotonic() >= until:
            raise NotReady(
                f"The listeners are back, but {told}",
                do="Check port and path of verify_from; a PeerAuthentication in mode STRICT refuses such requests.",
            )
        time.sleep(1)


def _visitor(cluster: Cluster, params: Params) -> Visitor | None:
    given = params["verify_from"]
    if not given:
        return None
    if bool(given["pod"]) == bool(given["label_selector"]):
        raise InvalidInput("verify_from needs exactly one of pod and label_selector.")
    if not given["path"].startswith("/"):
        raise InvalidInput(f"verify_from.path is {given['path']!r}; it must start with a slash.")
    namespace = given["namespace"] or params["namespace"]
    found = read_proxies(cluster, namespace, [given["pod"]] if given["pod"] else None, given["label_selector"])
    proxy = next((one for one in found if one.ready or not one.kind), found[0])
    container = given["container"] or proxy.default_container
    if container not in proxy.containers:
        raise InvalidInput(
            f"verify_from: pod {proxy.where} has no container {container}.", do=f"It has {', '.join(proxy.containers)}."
        )
    return Visitor(proxy, container, given["port"], given["path"])


def _port(cluster: Cluster, proxy: Proxy) -> int:
    """Return the first port the pod's applications declare."""
    pod = cluster.get(POD, proxy.pod, proxy.namespace) or {}
    for container in (pod.get("spec") or {}).get("containers") or ():
        if container["name"] in proxy.containers:
            for port in container.get("ports") or ():
                if port.get("protocol", "TCP") == "TCP":
                    return int(port["containerPort"])
    raise InvalidInput(f"Pod {proxy.where} declares no port.", do="Give verify_from.port.")


def _refuse_all(cluster: Cluster, params: Params, proxies: t.Sequence[Proxy]) -> None:
    """Raise InvalidInput when a Service would be left without a ready pod."""
    if params["allow_all"]:
        return
    targets = {proxy.pod for proxy in proxies}
    pods = cluster.list(POD, params["namespace"])
    for service in cluster.list(SERVICE, params["namespace"]):
        selector = (service.get("spec") or {}).get("selector") or {}
        if not selector:
            continue
        ready = {
            pod["metadata"]["name"]
            for pod in pods
            if selector.items() <= (pod["metadata"].get("labels") or {}).items() and _is_ready(pod)
        }
        if ready and ready <= targets:
            name = service["metadata"]["name"]
            raise InvalidInput(
                f"This would drain every ready pod of Service {params['namespace']}/{name}:"
                f" {', '.join(sorted(ready))}.",
                do="Choose fewer pods, or say allow_all: true.",
            )


def _is_ready(pod: Json) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return not pod["metadata"].get("deletionTimestamp") and any(
        condition.get("type") == "Ready" and condition.get("status") == "True" for condition in conditions
    )


def _diff(outcomes: t.Sequence[Outcome], drain: bool) -> dict[str, dict[str, str]]:
    def state(stopped: bool) -> str:
        return "listeners stopped" if stopped else "listening"

    before, after = {}, {}
    for outcome in outcomes:
        if not outcome.error:
            name = outcome.proxy.pod
            before[name] = state(bool(outcome.stopped_before))
            after[name] = state(drain if outcome.changed else bool(outcome.stopped_before))
            if drain and outcome.graceful_pending:
                after[name] = "draining gracefully"
    return {"before": before, "after": after}
