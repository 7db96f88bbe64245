# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the client, Envoy's counters and Envoy's access log report the same requests?

What each can see: the client sees the outcome of every request; the counters see every attempt that reached an endpoint
(retries included, rejected requests not) together with everybody else's; the log sees every request of everybody once,
with the last endpoint tried.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._envoy.access_log import AccessLogEntry, count_upstreams
from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import EnvoyEndpoint
from ansible_collections.meshops.locality.plugins.module_utils._envoy.probe_statistics import Answer, counted

COUNTED = ("rq_success", "rq_error", "rq_total", "cx_connect_fail")


@dataclass(frozen=True)
class Growth:
    """How the counters of one endpoint grew between two readings.

    `partial`: the endpoint appeared, vanished or was created again in between, so the numbers are a lower bound.
    """

    address: str
    locality: str
    counters: t.Mapping[str, int]
    partial: bool = False


def growth(before: t.Iterable[EnvoyEndpoint], after: t.Iterable[EnvoyEndpoint]) -> list[Growth]:
    """Return the differences per address, summed over clusters (subsets share endpoints), in the order of addresses."""
    old = {(endpoint.cluster, endpoint.address): endpoint for endpoint in before}
    new = {(endpoint.cluster, endpoint.address): endpoint for endpoint in after}
    sums: dict[str, Counter[str]] = {}
    places: dict[str, str] = {}
    partial: dict[str, bool] = {}
    for key in [*old, *(key for key in new if key not in old)]:
        earlier, later = old.get(key), new.get(key)
        then = earlier.counters if earlier else {}
        now = later.counters if later else {}
        # A host object that Envoy created again (after a change of locality, say) starts at zero again.
        anew = any(now.get(name, 0) < then.get(name, 0) for name in COUNTED)
        own = sums.setdefault(key[1], Counter())
        for name in COUNTED:
            own[name] += now.get(name, 0) - (0 if anew else then.get(name, 0)) if later else 0
        partial[key[1]] = partial.get(key[1], False) or anew or later is None
        places[key[1]] = str((later or earlier or EnvoyEndpoint("", "")).locality)
    return [Growth(address, places[address], dict(sums[address]), partial[address]) for address in sorted(sums)]


@dataclass
class WitnessVerdict:
    """What the witnesses contradict each other in, and what has to be known to read their numbers."""

    disagreements: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Log:
    """The access log's part of the story: `own` entries by index of the request, `foreign` ones of others meanwhile.

    `edge` are others' entries of which nobody knows whether the counters' two readings include them.
    """

    own: t.Mapping[int, AccessLogEntry]
    foreign: t.Sequence[AccessLogEntry] = ()
    edge: t.Sequence[AccessLogEntry] = ()


@dataclass(frozen=True)
class Statements:
    """What the witnesses said. A witness that was not heard is None. `pods` names the pod behind an address."""

    answers: t.Sequence[Answer]
    grown: t.Sequence[Growth] | None
    log: Log | None
    pods: t.Mapping[str, str]

    def pod(self, address: str) -> str:
        """Return the pod behind an address, or the address."""
        return self.pods.get(address) or address


def compare(statements: Statements) -> WitnessVerdict:
    """Return where the witnesses contradict each other; silence and what others did are notes, not contradictions."""
    verdict = WitnessVerdict()
    if statements.log is not None:
        _client_and_log(statements, statements.log.own, verdict)
    if statements.grown is not None:
        _counters(statements, statements.grown, verdict)
    return verdict


def _some(indexes: t.Sequence[int]) -> str:
    shown = ", ".join(str(index) for index in indexes[:5])
    return f"{shown}, …" if len(indexes) > 5 else shown


def _client_and_log(statements: Statements, log: t.Mapping[int, AccessLogEntry], verdict: WitnessVerdict) -> None:
    answered = [answer for answer in statements.answers if answer.curl == 0]
    if missing := [answer.index for answer in answered if answer.index not in log]:
        verdict.disagreements.append(
            f"{len(missing)} answered requests are not in the access log (requests {_some(missing)});"
            " it may have been rotated or filtered."
        )
    codes = [
        answer.index for answer in answered if answer.index in log and log[answer.index].response_code != answer.code
    ]
    if codes:
        first = next(answer for answer in answered if answer.index == codes[0])
        verdict.disagreements.append(
            f"{len(codes)} requests have another status in the access log than the client saw (requests {_some(codes)};"
            f" the first: client {first.code}, log {log[codes[0]].response_code})."
        )
    others = [
        answer
        for answer in answered
        if answer.pod
        and answer.index in log
        and statements.pods.get(log[answer.index].upstream_host, answer.pod) != answer.pod
    ]
    if others:
        first = others[0]
        verdict.disagreements.append(
            f"{len(others)} answers name another pod than the access log's UPSTREAM_HOST (requests"
            f" {_some([answer.index for answer in others])}; the first: answer {first.pod}, log"
            f" {statements.pod(log[first.index].upstream_host)})."
        )
    unknown = Counter(
        entry.upstream_cluster
        for entry in log.values()
        if entry.upstream_cluster and not _is_outbound(entry.upstream_cluster)
    )
    for cluster, count in sorted(unknown.items()):
        verdict.notes.append(
            f"{count} requests left through Envoy's cluster {cluster}, which is not a service of the mesh."
        )


def _is_outbound(cluster: str) -> bool:
    return cluster.startswith(("outbound|", "outbound_."))


def _counters(statements: Statements, grown: t.Sequence[Growth], verdict: WitnessVerdict) -> None:
    seen = {endpoint.address for endpoint in grown}
    partial = [statements.pod(endpoint.address) for endpoint in grown if endpoint.partial]
    if partial:
        verdict.notes.append(
            f"The counters of {', '.join(partial)} started anew or vanished: their numbers are lower bounds."
        )
    successes = Counter({endpoint.address: endpoint.counters.get("rq_success", 0) for endpoint in grown})
    unsure = sum(answer.curl != 0 for answer in statements.answers)
    if statements.log is not None:
        own, foreign, edge = (
            Counter(entry.upstream_host for entry in entries if 0 < entry.response_code < 500)
            for entries in (statements.log.own.values(), statements.log.foreign, statements.log.edge)
        )
        if others := sum(foreign[address] for address in seen):
            verdict.notes.append(f"{others} requests of others went through the same sidecar to the same endpoints.")
        if elsewhere := sum(count for address, count in own.items() if address and address not in seen):
            verdict.notes.append(f"{elsewhere} answers came from endpoints whose counters were not read.")
        for endpoint in grown:
            answered, leeway = own[endpoint.address] + foreign[endpoint.address], unsure + edge[endpoint.address]
            who = statements.pod(endpoint.address)
            _judge(who, successes[endpoint.address], answered, leeway, endpoint.partial, "access log", verdict)
        _attempts(statements.log, grown, verdict)
        return
    by_pod = Counter(
        answer.pod for answer in statements.answers if answer.pod and answer.curl == 0 and answer.code < 500
    )
    named = all(answer.pod for answer in statements.answers if answer.ok)
    pairs = [(endpoint, statements.pods.get(endpoint.address)) for endpoint in grown]
    if named and by_pod and all(pod for _one, pod in pairs):
        shares = [
            (str(pod), successes[endpoint.address], by_pod[str(pod)], endpoint.partial) for endpoint, pod in pairs
        ]
    else:
        ok = sum(answer.ok for answer in statements.answers)
        shares = [("all endpoints together", sum(successes.values()), ok, bool(partial))]
    for who, counters, client, lower in shares:
        if counters > client and not lower:
            verdict.notes.append(
                f"Envoy counted {counters} successes at {who}, the client {client}: without the access log"
                " requests of others cannot be told apart."
            )
        else:
            _judge(who, counters, client, unsure, lower, "client", verdict)


def _judge(
    who: str, counters: int, reported: int, unsure: int, lower: bool, teller: str, verdict: WitnessVerdict
) -> None:
    """`unsure` requests may be in the counters only: the client gave them up, or they are others' at the edges."""
    if counters < reported and not lower:
        verdict.disagreements.append(f"Envoy counted {counters} successes at {who}, the {teller} {reported}.")
    elif counters > reported + unsure:
        verdict.disagreements.append(f"Envoy counted {counters} successes at {who}, the {teller} only {reported}.")


def _attempts(log: Log, grown: t.Sequence[Growth], verdict: WitnessVerdict) -> None:
    errors = sum(endpoint.counters.get("rq_error", 0) for endpoint in grown)
    seen = {endpoint.address for endpoint in grown}
    lost, foreign, edge = (
        sum(entry.upstream_host in seen and entry.response_code >= 500 for entry in entries)
        for entries in (log.own.values(), log.foreign, log.edge)
    )
    if errors < lost and not any(endpoint.partial for endpoint in grown):
        verdict.disagreements.append(
            f"The access log has {lost} requests that failed at an endpoint, Envoy's counters only {errors} errors."
        )
    if (retried := errors - lost - foreign - edge) > 0:
        verdict.notes.append(
            f"Envoy retried: besides the requests that failed, {retried} attempts failed at an endpoint."
        )


def describe_counters(grown: t.Sequence[Growth], pods: t.Mapping[str, str]) -> dict[str, t.Any]:
    """Return what the counters say as plain values: totals and one entry per endpoint."""
    return {
        **{name: sum(endpoint.counters.get(name, 0) for endpoint in grown) for name in COUNTED},
        "endpoints": [
            {
                "address": endpoint.address,
                "pod": pods.get(endpoint.address, ""),
                "locality": endpoint.locality,
                **{name: endpoint.counters.get(name, 0) for name in COUNTED},
                "partial": endpoint.partial,
            }
            for endpoint in grown
        ],
    }


def describe_log(log: Log, localities: t.Mapping[str, str]) -> dict[str, t.Any]:
    """Return what the log says about the run's requests as plain values. `localities` is address → locality."""
    entries = list(log.own.values())
    return {
        **count_upstreams(entries),
        "by_locality": counted(
            localities.get(entry.upstream_host, "") for entry in entries if 0 < entry.response_code < 400
        ),
        "requests_of_others": len(log.foreign),
    }
