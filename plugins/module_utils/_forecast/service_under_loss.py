# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of one Service's requests under one loss, summed up over its clients.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_load import (
    GAPS,
    NOTHING,
    VERDICTS,
    Outcome,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.expected_failures import ExpectedFailures
from ansible_collections.meshops.locality.plugins.module_utils._forecast.loss_grade import (
    FAILS_TODAY,
    GONE,
    LONG,
    OVERLOAD,
    loss_grade,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import Losses
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Destination


class ServiceUnderLoss(t.NamedTuple):
    """One Service (port, subset) under one loss.

    `verdict` and `gap` are the worst over the clients that are left; `clients` how many of them have which verdict.
    `at_risk`: share of all requests that go to lost endpoints at first; `lost`: share that fails in the end; `moved`:
    share that other localities answer than before. `load`: the busiest surviving pod's load, as a multiple of the
    busiest pod's load of today; `limit` what it may be, known from `basis` (given, autoscaler, or assumed); `growth`
    what autoscaling may still add to the pods.
    """

    destination: Destination
    losses: Losses
    verdict: str
    gap: str
    clients: t.Mapping[str, int]
    at_risk: float
    lost: float
    moved: float
    load: float
    limit: float
    growth: float
    worst: str = ""
    basis: str = "assumed"
    #: Requests of one client that are expected to fail until it settles, on average; None: no end.
    failed: float | None = 0.0
    #: How long until it settles, for the client that it takes longest for; None: never.
    seconds: float | None = 0.0
    #: Shares of the requests of all clients that fail because of the loss, right after it and for good, with retries.
    failing: float = 0.0
    for_good: float = 0.0
    #: Share that fails before anything is lost: what their route leads to is not there.
    today: float = 0.0

    @property
    def overloaded(self) -> bool:
        """Whether the survivors cannot carry it, with all the pods autoscaling may add."""
        return self.load > self.limit * self.growth + NOTHING

    def with_load_of(self, everybody: ServiceUnderLoss) -> ServiceUnderLoss:
        """Return it with what the survivors get and may get when all clients are counted; as it is when no client of
        its own is left."""
        if not self.clients:
            return self
        return self._replace(load=everybody.load, limit=everybody.limit, growth=everybody.growth, basis=everybody.basis)

    @property
    def badness(self) -> tuple[float, float, float]:
        """What to sort by, the worst last: failing for good, failing until it settles, load."""
        until = self.failing if self.failed is None else self.failed
        return self.for_good, until, self.load if self.overloaded else 0.0

    @property
    def grade(self) -> str:
        """How bad it is, see loss_grade."""
        return loss_grade(
            self.verdict,
            self.gap,
            failing=self.failing,
            failed=self.failed,
            for_good=self.for_good,
            overloaded=self.overloaded,
            today=self.today,
        )

    @property
    def sign(self) -> str:
        """One character for the matrix."""
        if not self.clients:
            return "-"
        grade = self.grade
        if grade == GONE:
            return "✗" if self.verdict == "dies" else "◐"
        if grade in _SIGNS:
            return _SIGNS[grade]
        return {"untouched": "·", "spills": "→"}.get(self.verdict, "✓")


_SIGNS = {FAILS_TODAY: "⊘", LONG: "!", OVERLOAD: "▲"}
#: The worst rank of a client: verdict, and what ends its failures.
_DEAD = (VERDICTS.index("dies"), GAPS.index("never"))


@dataclass
class LossSums:
    """What the clients of a destination meet under one loss. Numbers of clients, times shares of their requests.

    `verdicts`: how many clients have which; `total`: those that are left; `lost`: what fails in the end, `today` of
    that what failed before; `loads`: localities (or cells) whose load is not today's; `gone`: lost endpoints by
    locality. The others are as in ServiceUnderLoss.
    """

    verdicts: dict[str, int]
    total: float
    lost: float
    today: float
    loads: dict[t.Hashable, float] = field(default_factory=dict)
    gone: dict[t.Hashable, int] = field(default_factory=dict)
    at_risk: float = 0.0
    moved: float = 0.0
    failing: float = 0.0
    for_good: float = 0.0
    failed: float | None = 0.0
    seconds: float | None = 0.0
    rank: tuple[int, int] = (-1, -1)
    worst: str = ""

    def add_verdict(self, verdict: str, clients: int) -> None:
        """Some more clients have this verdict."""
        self.verdicts[verdict] = self.verdicts.get(verdict, 0) + clients

    def add_cut_off(self, verdict: str, clients: int, failing: float, who: str) -> None:
        """Add clients whose gateways or waypoints are all lost; `failing`: the share of their requests that failed
        before, with that verdict."""
        dead = clients * (1 - failing)
        self.lost += clients
        self.at_risk += dead
        self.failing += dead
        self.for_good += dead
        if dead > NOTHING:
            verdict, self.failed, self.seconds = "dies", None, None
            self.rank, self.worst = _DEAD, who
        self.add_verdict(verdict, clients)

    def add(self, outcome: Outcome, expected: ExpectedFailures, clients: float, failing: float) -> None:
        """Add clients that meet this; `failing`: the share of their requests that failed before."""
        if outcome.at_risk > NOTHING:
            self.failing += clients * (expected.at_first - failing)
            self.for_good += clients * (expected.for_good - failing)
            if self.failed is not None:
                self.failed = None if expected.failed is None else self.failed + clients * expected.failed
            if self.seconds is not None:
                self.seconds = None if expected.seconds is None else max(self.seconds, expected.seconds)
        else:
            self.for_good += clients * (outcome.lost - failing)
        self.at_risk += clients * outcome.at_risk
        self.lost += clients * outcome.lost
        self.moved += clients * outcome.moved

    def add_worst(self, verdict: str, gap: str, who: str) -> None:
        """Remember who fares worst."""
        rank = VERDICTS.index(verdict), GAPS.index(gap)
        if rank > self.rank:
            self.rank, self.worst = rank, who

    def entry(
        self, destination: Destination, losses: Losses, load: float, limit: float, growth: float, basis: str
    ) -> ServiceUnderLoss:
        """Return the sums as shares of all requests of the clients that are left; there has to be a client."""
        total = self.total
        if self.today / total > 1 - NOTHING:
            self.verdicts, self.rank = {"dies": sum(self.verdicts.values())}, _DEAD
        verdict = max((name for name, number in self.verdicts.items() if number > 0), key=VERDICTS.index)
        gap = GAPS[self.rank[1]] if self.rank[1] >= 0 else "never" if verdict == "dies" else "none"
        return ServiceUnderLoss(
            destination,
            losses,
            verdict,
            gap,
            {name: self.verdicts[name] for name in VERDICTS if self.verdicts.get(name, 0) > 0},
            self.at_risk / total,
            max(0.0, self.lost / total),
            self.moved / total,
            load,
            limit,
            growth,
            self.worst,
            basis,
            None if self.failed is None else self.failed / total,
            self.seconds,
            max(0.0, self.failing / total),
            min(1.0, max(0.0, self.for_good / total)),
            max(0.0, self.today / total),
        )
