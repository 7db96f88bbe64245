# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one client's Envoy holds of one destination, and where its requests go: now, at the moment of a loss, and after.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.host_shares import Host, State, host_shares
from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import Busy, ClusterHosts, Lost
from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier_detection import Failure, OutlierDetection
from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import POLICIES
from ansible_collections.meshops.locality.plugins.module_utils._forecast.endpoint_groups import (
    Cell,
    Known,
    able,
    takes_any,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import Losses
from ansible_collections.meshops.locality.plugins.module_utils._istio.endpoints import DRAINING, UNHEALTHY
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Assignment
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality

#: A share below this is none: rounding of Envoy's percent is far above.
NOTHING = 1e-9

_STATES: t.Mapping[str, State] = {UNHEALTHY: "unhealthy", DRAINING: "excluded"}


class Flow(t.NamedTuple):
    """The share of a client's requests that one cell (by position) gets, before and after a loss."""

    cell: int
    place: Locality
    before: float
    after: float


class Outcome(t.NamedTuple):
    """What becomes of a client's requests to a destination when something is lost.

    `verdict`: untouched (nothing lost gets traffic), survives (the rest of the same localities takes over), spills
    (other localities take over), dies (nobody is left). `gap`: what ends the failures of the moment: `none` is needed,
    `ejection` by Envoy, `readiness` (only when Kubernetes takes the endpoints out), or `never`.
    `at_risk` is the share of requests that go to lost endpoints at first; `lost` the share that fails in the end;
    `flows` are the cells that get any, before or in the end; `moved` is the share that localities answer in the end and
    did not before; `gone` are the lost endpoints by cell, of all cells.
    """

    verdict: str
    gap: str
    at_risk: float
    lost: float
    flows: tuple[Flow, ...]
    moved: float = 0.0
    gone: tuple[Lost, ...] = ()


class Held:
    """An assignment as Envoy holds it. Computed once; every loss is an arithmetic on its counts."""

    def __init__(self, made: Assignment, known: Known | None = None) -> None:
        """`known` is shared by all that are made of one plan: much of it is the same for every client."""
        self.made = made
        self._known = Known() if known is None else known
        self._layout = self._known.layout(made.groups)
        self.common, priorities, weights = self._layout
        self.predictable = made.lb_policy in POLICIES
        self.settings = self._known.settings(made)
        self.total = self.common.total
        self._hosts = ClusterHosts(priorities, self.common.hosts, weights, self.settings)
        self._outcomes: dict[tuple[Lost, ...], Outcome] = {}

    @functools.cached_property
    def cells(self) -> list[Cell]:
        """The cells one by one."""
        return self._layout.cells()

    @property
    def detection(self) -> OutlierDetection | None:
        """Envoy's outlier detection."""
        return self._known.detection(self.made)

    @functools.cached_property
    def now(self) -> Busy:
        """The shares of the cells as everything is now."""
        return self.after((), removed=False)

    def busy_places(self, level: str) -> set[str]:
        """Return the places of a level at which endpoints get requests now."""
        known = self.common.places(level)
        return {place for cell, share in self.now.shares.items() if share > NOTHING for place in known[cell]}

    def after(self, gone: t.Sequence[Lost], *, removed: bool, losses: Losses = ()) -> Busy:
        """Return the shares when these many endpoints of each cell are known to be dead.

        `removed`: they are not sent any more; otherwise they count as unhealthy (ejected, or sent as unready). Which
        ones they are matters only where weights differ: those that `losses` take come first.
        """
        if not self.common.uniform:
            return self._by_host(gone, removed, losses)
        return self._hosts.shares(gone, removed=removed)

    def hosts(self, gone: t.Sequence[Lost], removed: bool, losses: Losses = ()) -> list[list[Host]]:
        """Return the hosts of each cell, with these many of the healthy ones dead; `removed` ones are left out."""
        counts = dict(gone)
        listed = []
        for number, cell in enumerate(self.cells):
            order = sorted(cell.members, key=lambda member: not takes_any(losses, cell.locality, member))
            left = counts.get(number, 0)
            hosts = []
            for member in order:
                state = _STATES.get(member.health, "healthy")
                if state == "healthy" and left:
                    left -= 1
                    if removed:
                        continue
                    state = "unhealthy"
                hosts.append(
                    Host(member.host, cell.priority, cell.locality, cell.hosts.weight or 0, state, member.weight)
                )
            listed.append(hosts)
        return listed

    def _by_host(self, gone: t.Sequence[Lost], removed: bool, losses: Losses) -> Busy:
        listed = self.hosts(gone, removed, losses)
        found = host_shares([host for hosts in listed for host in hosts], self.settings)
        shares, dead, start = {}, {}, 0
        for number, hosts in enumerate(listed):
            own = slice(start, start + len(hosts))
            shares[number], dead[number] = sum(found.shares[own]), sum(found.dead[own])
            start += len(hosts)
        busy = {number: share for number, share in shares.items() if share}
        return Busy(busy, {number: share for number, share in dead.items() if share}, found.none)

    def outcome(self, losses: Losses) -> Outcome:
        """Return what a loss does to the requests of this client."""
        gone = self.common.lost(losses)
        if not gone:
            return self._untouched
        if not self.common.uniform:
            return self._outcome(gone, losses)
        if gone not in self._outcomes:
            self._outcomes[gone] = self._outcome(gone, ())
        return self._outcomes[gone]

    @functools.cached_property
    def _untouched(self) -> Outcome:
        flows = self._flows(self.now)
        if self.now.none > 1 - NOTHING:
            return Outcome("dies", "never", 0.0, 1.0, flows)
        return Outcome("untouched", "none", 0.0, self.now.none, flows)

    def _flows(self, settled: Busy) -> tuple[Flow, ...]:
        before, after, places = self.now.shares, settled.shares, self.common.localities
        busy = sorted({*before, *after})
        return tuple([Flow(cell, places[cell], before.get(cell, 0.0), after.get(cell, 0.0)) for cell in busy])

    def _outcome(self, gone: tuple[Lost, ...], losses: Losses) -> Outcome:
        at_risk = self._at_risk(gone, losses)
        if at_risk < NOTHING:
            return self._untouched._replace(gone=gone)
        settled = self.after(gone, removed=not self.made.sends_unready, losses=losses)
        lost, gap, flows = settled.failing, self._gap(gone, losses), self._flows(settled)
        if lost > 1 - NOTHING:
            return Outcome("dies", "never", at_risk, 1.0, flows, _moved(flows), gone)
        own = {flow.place for flow in flows if flow.before > NOTHING}
        after = {flow.place for flow in flows if flow.after > NOTHING}
        return Outcome("spills" if after - own else "survives", gap, at_risk, lost, flows, _moved(flows), gone)

    def _at_risk(self, gone: tuple[Lost, ...], losses: Losses) -> float:
        """Return the share of requests that go to these endpoints as long as nobody knows that they are dead."""
        shares = self.now.shares
        risk = 0.0
        for number, count in gone:
            share = shares.get(number)
            if not share:
                continue
            own = self.common.counted[number]
            if self.common.uniform:
                risk += share * count / own.hosts.healthy
            else:
                alive = [member for member in own.members if able(member)]
                dying = [member for member in alive if takes_any(losses, self.common.localities[number], member)]
                risk += share * sum(one.weight for one in dying) / sum(one.weight for one in alive)
        return risk

    def _gap(self, gone: tuple[Lost, ...], losses: Losses) -> str:
        """Say what ends the failures: Envoy's own ejections, or only Kubernetes' readiness."""
        detection = self.detection
        if detection is None or detection.errors_to_eject(Failure.REFUSED) is None:
            return "readiness"
        # Ejections follow the traffic: as long as lost endpoints get requests, one more is ejected, if it may be.
        budget = detection.ejectable(self.total)
        if sum(count for _cell, count in gone) <= budget:
            return "ejection"
        ejected = {number: 0 for number, _count in gone}
        while True:
            known = [Lost(number, count) for number, count in ejected.items() if count]
            shares = self.after(known, removed=False, losses=losses).shares
            hit = [number for number, count in gone if count > ejected[number] and shares.get(number, 0.0) > NOTHING]
            if not hit:
                return "ejection"
            wanted = dict(gone)
            for number in hit:
                step = min(wanted[number] - ejected[number], budget)
                ejected[number] += step
                budget -= step
            if budget <= 0 and any(wanted[number] > ejected[number] for number in hit):
                return "readiness"


def _moved(flows: t.Iterable[Flow]) -> float:
    old: dict[Locality, float] = {}
    new: dict[Locality, float] = {}
    for _cell, place, before, after in flows:
        old[place] = old.get(place, 0.0) + before
        new[place] = new.get(place, 0.0) + after
    return sum([share - old[place] for place, share in new.items() if share > old[place]], 0.0)


class KnownHeld:
    """What the clients of one plan hold: of equal assignments once."""

    def __init__(self) -> None:
        self._known = Known()
        self._held: dict[tuple[t.Any, ...], Held] = {}

    def held(self, made: Assignment) -> Held:
        """Return what Envoy holds of an assignment."""
        settings = (made.panic_threshold, made.locality_weighted, made.lb_policy, made.sends_unready)
        # Planner makes equal groups one object; Held.made keeps it, so that the id stays its own.
        key = (id(made.groups), id(made.cluster_policy), *settings)
        found = self._held.get(key)
        if found is None:
            found = self._held[key] = Held(made, self._known)
        return found
