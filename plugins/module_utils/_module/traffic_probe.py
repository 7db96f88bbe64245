# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of traffic_probe: requests at a steady rate from a client pod, reported by three witnesses.

The client runs a small shell loop that starts one curl for each line it reads; this side writes a line whenever a
request is due, whether or not earlier ones have been answered (an open loop, so that a slow answer delays nobody).
When the connection ends, so does the loop: an interrupted probe leaves nothing behind.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import re
import threading
import time
import typing as t
import uuid
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from ansible_collections.meshops.locality.plugins.module_utils._envoy.access_log import AccessLogEntry, parse_access_log
from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import EnvoyEndpoint
from ansible_collections.meshops.locality.plugins.module_utils._envoy.probe_statistics import Answer, counted, tally
from ansible_collections.meshops.locality.plugins.module_utils._envoy.witnesses import (
    Log,
    Statements,
    compare,
    describe_counters,
    describe_log,
    growth,
)
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    ClusterError,
    InvalidInput,
    LocalityError,
    NotReady,
    Unreachable,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.exec import Session, lacks_program
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import POD
from ansible_collections.meshops.locality.plugins.module_utils._kube.request_loop import CURL_EXITS, LOOP
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import (
    PROXY,
    PodIndex,
    Proxy,
    namespaces_of,
    read_proxies,
)
from ansible_collections.meshops.locality.plugins.module_utils._module.endpoints_info import ClusterQuery, ask

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Params = t.Mapping[str, t.Any]

MAX_REQUESTS = 100_000
MAX_SECONDS = 3600
MAX_IN_FLIGHT = 1000
#: Envoy writes its access log at least once a second under Istio (--file-flush-interval-msec).
LOG_SECONDS = 4.0
LOG_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Plan:
    """What is going to be sent."""

    url: str
    host: str
    port: int
    requests: int
    rate: float
    timeout: float
    pattern: re.Pattern[str] | None

    @property
    def seconds(self) -> float:
        """How long sending takes."""
        return (self.requests - 1) / self.rate

    @classmethod
    def of(cls, params: Params) -> Plan:
        """Check the module's options. Raises InvalidInput, naming the option."""
        url = urlsplit(params["url"])
        if url.scheme != "http" or not url.hostname:
            raise InvalidInput(
                f"url is {params['url']!r}, which is not http://host[:port]/path.",
                do="Use plain HTTP: the sidecar encrypts on the way, and could not see requests inside TLS.",
            )
        try:
            port = url.port or 80
        except ValueError as error:
            raise InvalidInput(f"url is {params['url']!r}: {error}.") from error
        requests, rate, timeout = params["requests"], params["rate"], params["timeout"]
        if not 1 <= requests <= MAX_REQUESTS:
            raise InvalidInput(f"requests is {requests}; it must be 1 to {MAX_REQUESTS}.")
        if not 0 < rate <= MAX_IN_FLIGHT:
            raise InvalidInput(f"rate is {rate} per second; it must be more than 0 and at most {MAX_IN_FLIGHT}.")
        if not 0 < timeout <= 300:
            raise InvalidInput(f"timeout is {timeout} seconds; it must be more than 0 and at most 300.")
        if requests / rate > MAX_SECONDS:
            raise InvalidInput(
                f"{requests} requests at {rate} per second take {requests / rate:.0f} seconds, more than"
                f" {MAX_SECONDS}.",
                do="Send fewer, or faster.",
            )
        if min(requests, rate * timeout) > MAX_IN_FLIGHT:
            raise InvalidInput(
                f"With rate {rate} and timeout {timeout} up to {rate * timeout:.0f} requests wait at once, more than"
                f" {MAX_IN_FLIGHT}.",
                do="Lower the rate or the timeout.",
            )
        pattern = None
        if params["answer_pattern"]:
            try:
                pattern = re.compile(params["answer_pattern"])
            except re.error as error:
                raise InvalidInput(
                    f"answer_pattern {params['answer_pattern']!r} is not a regular expression: {error}."
                ) from error
            if not pattern.groups:
                raise InvalidInput(
                    f"answer_pattern {params['answer_pattern']!r} has no group.",
                    do="Put the pod's name into parentheses.",
                )
        return cls(params["url"], url.hostname, port, requests, float(rate), float(timeout), pattern)


def traffic_probe(cluster: Cluster, params: Params, module: AnsibleModule) -> dict[str, t.Any]:
    """Send the requests and return what the witnesses say; in check mode send nothing and say what would be sent."""
    plan = Plan.of(params)
    witnesses = set(params["witnesses"])
    client, container, where = _client(cluster, params, witnesses)
    summary = {"pod": client.pod, "namespace": client.namespace, "node": client.node, "container": container}
    if module.check_mode:
        message = (
            f"Would send {plan.requests} requests to {plan.url} at {plan.rate:g} per second ({plan.seconds:.0f}"
            f" seconds) from"
            f" container {container} of pod {client.where}."
        )
        return {"changed": False, "client": summary, "msg": message, "sent": 0}
    question = ClusterQuery(plan.host, plan.port)
    before, why_not = _counters(cluster, client, question) if witnesses else ([], "")
    run = f"probe-{uuid.uuid4().hex[:12]}"
    began = time.monotonic()
    answers, lag = _send(cluster, client, container, plan, run)
    after, why_not_after = _counters_again(cluster, client, question) if before else ([], why_not)
    log, why_no_log = None, "Not asked for."
    if "access_log" in witnesses:
        log, why_no_log = _access_log(cluster, client, run, answers, began)
    places = PodIndex(cluster, {client.namespace} | namespaces_of([*before, *after]))
    known = {endpoint.address: endpoint for endpoint in [*before, *after]}
    pods = {address: pod.pod for address, e in known.items() if (pod := places.behind(e.ip))}
    localities = {address: str(e.locality) for address, e in known.items()}
    answers = [_placed(answer, log.own if log else {}, pods, localities, places) for answer in answers]
    heard = "counters" in witnesses and bool(before) and bool(after)
    grown = growth(before, after) if heard else None
    verdict = compare(Statements(answers, grown, log, pods))
    if places.note:
        verdict.notes.append(places.note)
    if lag > 1:
        verdict.notes.append(f"The client could not keep the rate: requests started up to {lag:.1f} seconds late.")
    return {
        "changed": False,
        "client": {**summary, "locality": str(places.client_locality(client)), "others_matching": where},
        "run": run,
        "url": plan.url,
        **tally(answers),
        "by_flag": counted(entry.response_flags or "-" for entry in log.own.values()) if log else {},
        "failure_reasons": _reasons(answers),
        "witnesses": {
            "counters": {"available": True, **describe_counters(grown, pods)}
            if grown is not None
            else {
                "available": False,
                "reason": (why_not or why_not_after) if "counters" in witnesses else "Not asked for.",
            },
            "access_log": {"available": True, **describe_log(log, localities)}
            if log is not None
            else {"available": False, "reason": why_no_log},
        },
        "agree": not verdict.disagreements,
        "disagreements": verdict.disagreements,
        "notes": verdict.notes,
        "client_lag": round(lag, 3),
    }


def _client(cluster: Cluster, params: Params, witnesses: set[str]) -> tuple[Proxy, str, list[str]]:
    """Return the pod to send from, its container, and the other pods that the selector matches."""
    names = [params["pod"]] if params["pod"] else None
    if not names and not params["label_selector"]:
        raise InvalidInput("Neither pod nor label_selector is given.", do="Name the client with one of them.")
    proxies = read_proxies(cluster, params["namespace"], names, params["label_selector"])
    usable = [proxy for proxy in proxies if not proxy.problem and proxy.ready]
    client = usable[0] if usable else proxies[0]
    if client.problem and (client.kind or witnesses):
        raise NotReady(
            f"Pod {client.where} cannot be the client. {client.problem}",
            do=""
            if client.kind
            else "Failover happens in the client's sidecar; give witnesses: [] to send without one.",
        )
    if client.kind and not client.ready:
        raise NotReady(
            f"Pod {client.where} cannot be the client: its istio-proxy container is not ready.",
            do=f"Wait for it (kubectl -n {client.namespace} describe pod {client.pod}), then run again.",
        )
    containers = list(client.containers)
    container = params["container"] or client.default_container
    if container not in containers:
        raise InvalidInput(
            f"Pod {client.where} has no container {container}.", do=f"It has {', '.join(containers) or 'none'}."
        )
    return client, container, [proxy.pod for proxy in proxies if proxy is not client]


def _counters(cluster: Cluster, client: Proxy, question: ClusterQuery) -> tuple[list[EnvoyEndpoint], str]:
    try:
        return ask(cluster, client, question), ""
    except InvalidInput as error:
        return [], str(error)


def _counters_again(cluster: Cluster, client: Proxy, question: ClusterQuery) -> tuple[list[EnvoyEndpoint], str]:
    """Read the counters after the probe: whatever goes wrong, the answers are returned."""
    try:
        return _counters(cluster, client, question)
    except LocalityError as error:
        return [], f"The counters could not be read a second time. {error}"


def _send(cluster: Cluster, client: Proxy, container: str, plan: Plan, run: str) -> tuple[list[Answer], float]:
    """Send all requests; return the answers and by how many seconds the client started one late at most."""
    command = ["sh", "-c", LOOP, "sh", run, f"{plan.timeout:g}", plan.url]
    # A client without processor time starts requests late: the lag shows it, and it is no reason to lose all answers.
    planned, silence = 20 + plan.seconds + plan.timeout + 10, plan.timeout + 20
    begun = time.monotonic()
    answers: list[Answer] = []
    due: list[float] = []
    lag = 0.0
    stop = threading.Event()
    broken: list[LocalityError] = []
    # The loop may be started twice: without its input it sends nothing, and ends.
    with Session(cluster, client.namespace, client.pod, container, command, repeat=True) as session:

        def tick() -> None:
            start = time.monotonic()
            try:
                for index in range(plan.requests):
                    if stop.wait(max(0.0, start + index / plan.rate - time.monotonic())):
                        return
                    due.append(time.monotonic())
                    session.write(f"{index}\n")
                session.write("end\n")
            except LocalityError as error:
                broken.append(error)

        ticker = threading.Thread(target=tick, daemon=True)
        try:
            for line in session.lines(begun + planned, silence=silence, latest=begun + 2 * planned):
                if line == "ready":
                    ticker.start()
                elif line == "no-curl":
                    raise NotReady(
                        f"{session.where} has no curl.".capitalize(),
                        do="Name another one with container, or another pod.",
                    )
                else:
                    answer = _answer(line, due, plan)
                    answers.append(answer)
                    lag = max(lag, time.monotonic() - due[answer.index] - answer.seconds)
        except Unreachable as error:
            raise _interrupted(error, len(answers), plan) from error
        except ClusterError as error:
            if lacks_program(error):
                raise NotReady(
                    f"Container {container} of pod {client.where} has no shell.",
                    do="Name another one with container, or another pod.",
                ) from error
            raise
        finally:
            stop.set()
    if broken:
        raise _interrupted(broken[0], len(answers), plan)
    if len(answers) != plan.requests:
        raise NotReady(
            f"Of {plan.requests} requests only {len(answers)} were reported by {session.where}"
            f" ({session.stderr.strip()[:200]}).",
            do="See whether the container was restarted or killed (memory limit?), then run again.",
        )
    return answers, lag


def _interrupted(error: LocalityError, answered: int, plan: Plan) -> Unreachable:
    return Unreachable(
        f"The probe was interrupted after {answered} of {plan.requests} answers. {error.what}",
        do="Nothing of it is left in the client. Run again.",
        status=getattr(error, "status", 0),
    )


def _answer(line: str, due: t.Sequence[float], plan: Plan) -> Answer:
    index, curl, code, seconds, body = (line + "    ").split(" ", 4)
    try:
        number = int(index)
        sent = due[number] - due[0]
        match = plan.pattern.search(body) if plan.pattern else None
        pod = (match.groupdict().get("pod") or match.group(1) or "") if match else ""
        return Answer(number, sent, int(code), int(curl), float(seconds), pod)
    except (ValueError, IndexError) as error:
        raise NotReady(f"The client answered something that is not a result: {line[:200]!r}.") from error


def _placed(
    answer: Answer, log: t.Mapping[int, AccessLogEntry], pods: Params, localities: Params, places: PodIndex
) -> Answer:
    """Say who answered: the pod its body names, else the one the log names; the locality Envoy has for it."""
    address = log[answer.index].upstream_host if answer.index in log else ""
    pod = answer.pod or (str(pods.get(address, "")) if answer.code else "")
    locality = ""
    if pod:
        locality = next((str(localities[where]) for where, name in pods.items() if name == pod), "")
        if not locality and (known := places.named(pod)):
            locality = str(places.locality(known))
    elif answer.code:
        locality = str(localities.get(address, ""))
    return replace(answer, pod=pod, locality=locality)


def _reasons(answers: t.Iterable[Answer]) -> dict[str, int]:
    return counted(
        f"no complete answer: {CURL_EXITS.get(answer.curl, 'see the manual of curl')} (curl {answer.curl})"
        if answer.curl
        else f"status {answer.code}"
        for answer in answers
        if not answer.ok
    )


def _access_log(
    cluster: Cluster, client: Proxy, run: str, answers: t.Sequence[Answer], began: float
) -> tuple[Log | None, str]:
    """Return the run's entries by index and those of others to the same clusters, or None and why there are none."""
    wanted = sum(answer.curl == 0 for answer in answers)
    until = time.monotonic() + LOG_SECONDS
    while True:
        query = {"container": PROXY, "sinceSeconds": int(time.monotonic() - began) + 2, "limitBytes": LOG_BYTES}
        try:
            text = cluster.text("get", POD.path(client.namespace, client.pod, "log"), query=query)
        except ClusterError as error:
            return None, f"The log of istio-proxy cannot be read. {error}"
        entries = parse_access_log(text)
        own: dict[int, AccessLogEntry] = {}
        for entry in entries:
            token, _dash, index = entry.request_id.rpartition("-")
            if token == run and index.isdigit():
                own[int(index)] = entry
        # One that the client gave up is logged too, but later: it is not waited for.
        if len(own) >= wanted or time.monotonic() >= until:
            break
        time.sleep(0.4)
    if not own and wanted:
        reason = (
            "The access log has other requests but none of these: it is filtered, or its format lacks the request id."
            if entries
            else "The access log is off. Set meshConfig.accessLogFile to /dev/stdout, or apply a Telemetry"
            " resource with accessLogging: [{providers: [{name: envoy}]}]."
        )
        return None, reason
    return Log(own, *_foreign(entries, own)), ""


def _foreign(
    entries: t.Sequence[AccessLogEntry], own: t.Mapping[int, AccessLogEntry]
) -> tuple[list[AccessLogEntry], list[AccessLogEntry]]:
    """Return others' requests to the same clusters: those between our first and last, and those at the edges.

    Whether the two readings of the counters include one at the edge cannot be known.
    """
    clusters = {entry.upstream_cluster for entry in own.values()}
    ids = {entry.request_id for entry in own.values()}
    others = [entry for entry in entries if entry.upstream_cluster in clusters and entry.request_id not in ids]
    starts = [entry.start_time for entry in own.values()]
    inside = [entry for entry in others if starts and min(starts) <= entry.start_time <= max(starts)]
    return inside, [entry for entry in others if entry not in inside]
