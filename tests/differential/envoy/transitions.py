# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long failovers take and what they cost: P0 broken from the first request on, P1 sound, requests at a steady pace.

The model's shares are taken of the requests that were really sent in each phase: on a busy machine h2load falls behind.
Runs in which it fell far behind, or in which Envoy answered late, say nothing about Envoy: they are repeated, up to
TRIES times, and only calm runs count. Calm is judged by the pace alone, never by what failed.
Tolerance: the failures of all replicates together may differ from the model by 15 %, and 4 per replicate; the last
failure by 0.3 s on average. That is wide, but far from every other explanation: without the merge window the first row
would be 3 failures instead of 94, without ejection all of them.
"""

from __future__ import annotations

import itertools
import math
import statistics
import tempfile
import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import (
    ClientModel,
    Fault,
    Transition,
    transition,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import LocalityHosts
from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import Settings
from ansible_collections.meshops.locality.plugins.module_utils._envoy.retries import ISTIO_RETRY_ON, Retries

from .outlier_message import parse_outlier_detection
from .process import Broken, Envoy, Json, Ports, Request, bootstrap, ports

RATE = 100.0
SECONDS = 2.5
#: A run in which nothing took longer than this (seconds; retries wait up to 0.1 each) is calm.
CALM = 0.3
TRIES = 6
_PORT = {Fault.REFUSED: "nobody", Fault.GATEWAY_ERROR: "error", Fault.RESET: "close"}
_TYPE = "type.googleapis.com/envoy.extensions.retry"


@dataclass(frozen=True)
class Case:
    """One kind of transition: so many broken hosts in P0, three sound ones in P1.

    `sound`: sound hosts in P0, next to the broken ones. `further`: (broken, sound) hosts of P1, P2, …. `panic`: its
    threshold. `weights`: of the hosts in P0, the broken ones first; then there is no other priority, and no ejection.
    """

    name: str
    hosts: int
    fault: Fault
    retries: Retries | None = None
    detection: Json | None = None
    merge_window: float | None = None
    sound: int = 0
    further: t.Sequence[tuple[int, int]] = ((0, 3),)
    panic: int = 0
    weights: t.Sequence[int] = ()

    @property
    def priorities(self) -> list[tuple[int, int]]:
        """(broken, sound) hosts by priority."""
        return [(self.hosts, self.sound), *self.further]

    @property
    def client(self) -> ClientModel:
        """What the model is told."""
        return ClientModel(
            RATE,
            Settings(panic_threshold=self.panic),
            parse_outlier_detection(None if self.weights else self.message),
            self.retries,
            merge_window=1.0 if self.merge_window is None else self.merge_window,
        )

    @property
    def message(self) -> Json:
        """The outlier_detection message."""
        message = {"consecutive_5xx": 1, "interval": "10s", "base_ejection_time": "600s", "max_ejection_percent": 100}
        return {**message, **(self.detection or {})}

    @property
    def forecast(self) -> Transition:
        """What the model says."""
        groups = [LocalityHosts(number, None, sum(hosts)) for number, hosts in enumerate(self.priorities)]
        lost = [broken for broken, _sound in self.priorities]
        weighed = None
        if self.weights:
            share = sum(self.weights[: self.hosts]) / sum(self.weights)
            weighed = share, share
        return transition(groups, lost, self.fault, self.client, weighed=weighed)

    def expected(self, sent: t.Sequence[Request]) -> float:
        """Return the failures among these requests."""
        failures, begin = 0.0, 0.0
        for phase in self.forecast.phases:
            end = math.inf if phase.seconds is None else begin + phase.seconds
            failures += phase.failing * sum(begin <= request.sent < end for request in sent)
            begin = end
        return failures

    def cluster(self, name: str, used: Ports) -> Json:
        """The cluster's configuration."""

        def endpoint(priority: int, host: int, port: int) -> Json:
            address = {"address": f"127.40.{priority}.{host + 1}", "port_value": port}
            return {"endpoint": {"address": {"socket_address": address}}}

        def level(priority: int, broken: int, sound: int) -> Json:
            bad = getattr(used, _PORT[self.fault])
            hosts = [bad] * broken + [used.ok] * sound
            endpoints = [endpoint(priority, host, port) for host, port in enumerate(hosts)]
            for entry, weight in zip(endpoints, self.weights, strict=False):
                entry["load_balancing_weight"] = weight
            return {"priority": priority, "lb_endpoints": endpoints}

        common: Json = {"healthy_panic_threshold": {"value": self.panic}}
        if self.merge_window is not None:
            common["update_merge_window"] = f"{self.merge_window:g}s"
        return {
            "name": name,
            "type": "STATIC",
            "lb_policy": "LEAST_REQUEST",
            "connect_timeout": "5s",
            "common_lb_config": common,
            **({} if self.weights else {"outlier_detection": self.message}),
            # As istiod sets it; Envoy's own 3 retries at a time let many requests fail.
            "circuit_breakers": {"thresholds": [{"max_retries": 2**32 - 1}]},
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [level(number, *hosts) for number, hosts in enumerate(self.priorities)],
            },
        }

    @property
    def route(self) -> Json:
        """What the route says of retries, as istiod writes it."""
        if self.retries is None:
            return {}
        words = [word for word in self.retries.retry_on.split(",") if not word.isdigit()]
        policy: Json = {
            "retry_on": ",".join(words),
            "num_retries": self.retries.attempts,
            "host_selection_retry_max_attempts": self.retries.host_selection_attempts,
            "retriable_status_codes": [int(word) for word in self.retries.retry_on.split(",") if word.isdigit()],
        }
        if self.retries.previous_hosts:
            kind = f"{_TYPE}.host.previous_hosts.v3.PreviousHostsPredicate"
            predicate = {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {"@type": kind}}
            policy["retry_host_predicate"] = [predicate]
        if self.retries.remote_localities:
            kind = f"{_TYPE}.priority.previous_priorities.v3.PreviousPrioritiesConfig"
            policy["retry_priority"] = {
                "name": "envoy.retry_priorities.previous_priorities",
                "typed_config": {"@type": kind, "update_frequency": 2},
            }
        return {"retry_policy": policy}


_REMOTE = Retries(remote_localities=True)
_WITH_503 = Retries(retry_on=f"{ISTIO_RETRY_ON},503")
CASES = (
    Case("3 hosts refuse, no retries", 3, Fault.REFUSED),
    Case("3 hosts refuse, Istio's retries", 3, Fault.REFUSED, Retries()),
    Case("3 hosts refuse, retryRemoteLocalities", 3, Fault.REFUSED, _REMOTE),
    Case("1 host refuses, no retries", 1, Fault.REFUSED),
    Case("1 host refuses, Istio's retries", 1, Fault.REFUSED, Retries()),
    Case("3 hosts answer 503, no retries", 3, Fault.GATEWAY_ERROR),
    Case("3 hosts answer 503, Istio's retries", 3, Fault.GATEWAY_ERROR, Retries()),
    Case("3 hosts answer 503, Istio's retries and 503", 3, Fault.GATEWAY_ERROR, _WITH_503),
    Case(
        "3 hosts answer 503, retryRemoteLocalities and 503",
        3,
        Fault.GATEWAY_ERROR,
        replace(_WITH_503, remote_localities=True),
    ),
    Case("3 hosts close, no retries", 3, Fault.RESET),
    Case("3 hosts close, Istio's retries", 3, Fault.RESET, Retries()),
    Case("3 hosts close, retries on reset", 3, Fault.RESET, Retries(retry_on=f"{ISTIO_RETRY_ON},reset")),
    Case("3 hosts refuse, 5 in a row", 3, Fault.REFUSED, detection={"consecutive_5xx": 5}),
    Case("3 hosts refuse, no merge window", 3, Fault.REFUSED, merge_window=0.0),
    Case("1 of 2 hosts refuses in P0 and in P1", 1, Fault.REFUSED, sound=1, further=((1, 1), (0, 1))),
    Case("3 of 3 hosts refuse in P0, 1 of 1 in P1", 3, Fault.REFUSED, further=((1, 0), (0, 3))),
    Case("2 of 2 hosts refuse in P0, 1 of 3 in P1", 2, Fault.REFUSED, further=((1, 2), (0, 1))),
    Case(
        "1 of 2 hosts answers 503 in P0 and in P1, 3 in a row",
        1,
        Fault.GATEWAY_ERROR,
        detection={"consecutive_5xx": 3},
        sound=1,
        further=((1, 1), (0, 1)),
    ),
    Case("3 hosts refuse, at most 10 % ejected", 3, Fault.REFUSED, detection={"max_ejection_percent": 10}),
    Case("4 of 6 hosts refuse, panic below 70 %", 4, Fault.REFUSED, Retries(), sound=2, further=(), panic=70),
    Case(
        "the host of weight 9 refuses, that of weight 1 does not", 1, Fault.REFUSED, sound=1, further=(), weights=(9, 1)
    ),
    Case(
        "a host of weight 20 refuses, Istio's retries",
        1,
        Fault.REFUSED,
        Retries(),
        sound=1,
        further=(),
        weights=(20, 1),
    ),
)


@dataclass(frozen=True)
class Outcome:
    """What came out of one case: the requests of each replicate."""

    case: Case
    replicates: t.Sequence[t.Sequence[Request]]

    @property
    def failed(self) -> list[int]:
        """The failures of each replicate."""
        return [sum(request.status >= 500 for request in sent) for sent in self.replicates]

    @property
    def expected(self) -> float:
        """The model's failures of one replicate, on average."""
        return statistics.mean(self.case.expected(sent) for sent in self.replicates)

    @property
    def last(self) -> float:
        """The second of the last failure, on average."""
        return statistics.mean(
            max((request.sent for request in sent if request.status >= 500), default=0.0) for sent in self.replicates
        )

    def like(self, expected: float) -> bool:
        """Whether so many failures are within the tolerance."""
        return abs(statistics.mean(self.failed) - expected) <= 0.15 * expected + 4

    @property
    def fits(self) -> bool:
        """Whether the model is within the tolerance."""
        if not self.like(self.expected):
            return False
        prediction = self.case.forecast
        if prediction.seconds_until_shifted is None or prediction.phases[-1].failing < 0.4:
            return True  # the last failure tells the end only where requests fail all the way to it
        end = prediction.seconds_until_shifted
        before = statistics.mean(
            max(request.sent for request in sent if request.sent <= end) for sent in self.replicates
        )
        return abs(self.last - before) <= 0.3

    def __str__(self) -> str:
        seconds = self.case.forecast.seconds_until_shifted
        model = "never" if seconds is None else f"{seconds:.2f} s"
        failed = f"{', '.join(map(str, self.failed))} (mean {statistics.mean(self.failed):.1f})"
        return (
            f"{self.case.name}: model {self.expected:.1f} failures, over after {model}; "
            f"measured {failed}, last at {self.last:.2f} s"
        )


def restlessness(sent: t.Sequence[Request]) -> float:
    """Return the longest time (seconds) that h2load let pass between two requests or Envoy took to answer one."""
    pauses = [later.sent - earlier.sent for earlier, later in itertools.pairwise(sent)]
    return max(*pauses, *(request.took for request in sent))


def measure(version: str, replicates: int, listed: t.Sequence[Case] = CASES, at_once: int = 5) -> list[Outcome]:
    """Run each case so many times, some of them next to each other. Raises Broken when that did not work."""
    calm: dict[tuple[int, int], list[Request]] = {}
    wanted = [(index, replicate) for replicate in range(replicates) for index in range(len(listed))]
    for _attempt in range(TRIES):
        left = [key for key in wanted if key not in calm]
        for key, sent in _run(version, listed, left, at_once):
            if restlessness(sent) <= CALM:
                calm[key] = sent
    outcomes = []
    for index, case in enumerate(listed):
        sound = [calm[index, replicate] for replicate in range(replicates) if (index, replicate) in calm]
        if not sound:
            raise Broken(
                f"{case.name}: in none of {TRIES} times {replicates} runs requests could be sent at a steady pace: the "
                "machine is too busy to measure seconds. Run it again when less is going on."
            )
        outcomes.append(Outcome(case, sound))
    return outcomes


def _run(
    version: str, listed: t.Sequence[Case], keys: t.Sequence[tuple[int, int]], at_once: int
) -> t.Iterator[tuple[tuple[int, int], list[Request]]]:
    """Run cases, each as a cluster of its own in one Envoy."""
    if not keys:
        return
    used = ports()
    names = {key: f"t{key[0]}r{key[1]}" for key in keys}
    with tempfile.TemporaryDirectory(prefix="envoy-oracle-") as folder:
        clusters = {name: listed[key[0]].cluster(name, used) for key, name in names.items()}
        routes = {name: listed[key[0]].route for key, name in names.items()}
        with Envoy(version, bootstrap(clusters, routes, used), Path(folder)) as envoy:
            for start in range(0, len(keys), at_once):
                together = keys[start : start + at_once]
                answered = envoy.paced([names[key] for key in together], RATE, SECONDS)
                for key in together:
                    yield key, answered[names[key]]
