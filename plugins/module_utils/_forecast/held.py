# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one client's Envoy holds of one destination, and where its requests go: now, at the moment of a loss, and after.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import dataclasses
import functools
import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._envoy.assignment import Host, State, host_shares
from ansible_collections.meshops.locality.plugins.module_utils._envoy.load import (
    POLICIES,
    LocalityHosts,
    Settings,
    Shares,
    locality_shares,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier import Failure, OutlierDetection
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import Losses, place_of, places, takes
from ansible_collections.meshops.locality.plugins.module_utils._istio.endpoints import DRAINING, UNHEALTHY
from ansible_collections.meshops.locality.plugins.module_utils._istio.outlier import outlier_detection
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Assignment
from ansible_collections.meshops.locality.plugins.module_utils._istio.priorities import Member
from ansible_collections.meshops.locality.plugins.module_utils._topology.locality import Locality

#: A share below this is none: rounding of Envoy's percent is far above.
NOTHING = 1e-9


class Cell(t.NamedTuple):
    """The endpoints of one locality in one priority, as Envoy holds them."""

    priority: int
    locality: Locality
    hosts: LocalityHosts
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Outcome:
    """What becomes of a client's requests to a destination when something is lost.

    `verdict`: untouched (nothing lost gets traffic), survives (the rest of the same localities takes over), spills
    (other localities take over), dies (nobody is left). `gap`: what ends the failures of the moment: `none` is needed,
    `ejection` by Envoy, `readiness` (only when Kubernetes takes the endpoints out), or `never`.
    `at_risk` is the share of requests that go to lost endpoints at first; `lost` the share that fails in the end;
    `shares` are the settled shares by cell, `before` those of now; `gone` the lost endpoints of each cell.
    """

    verdict: str
    gap: str
    at_risk: float
    lost: float
    before: tuple[float, ...]
    shares: tuple[float, ...]
    gone: tuple[int, ...]
    #: The cells that get requests before or after, by position.
    busy: tuple[int, ...] = ()


class Held:
    """An assignment as Envoy holds it. Computed once; every loss is an arithmetic on its counts."""

    def __init__(self, made: Assignment, known: Known | None = None) -> None:
        """`known` is shared by all that are made of one plan: much of it is the same for every client."""
        self.made = made
        known = Known() if known is None else known
        self.cells = _cells(made, known)
        #: Tells apart which endpoints these are, in whatever order.
        self.members = tuple(sorted([id(cell.members) for cell in self.cells]))
        self.groups = [cell.hosts for cell in self.cells]
        self.predictable = made.lb_policy in POLICIES
        self.settings = Settings(
            panic_threshold=50.0 if made.panic_threshold is None else made.panic_threshold,
            locality_weighted=made.locality_weighted,
            policy=made.lb_policy if self.predictable else "ROUND_ROBIN",
        )
        self.total = sum(sum(group[2:]) for group in self.groups)
        #: Whether all endpoints weigh the same, so that counting them is enough.
        self.uniform = len({cell.members[0].weight for cell in self.cells}) <= 1 and all(
            _counted(cell.members, known)[3] for cell in self.cells
        )
        self._outcomes: dict[tuple[int, ...], Outcome] = {}

    @functools.cached_property
    def detection(self) -> OutlierDetection | None:
        """Envoy's outlier detection."""
        return outlier_detection(self.made.outlier_detection)

    @functools.cached_property
    def now(self) -> Shares:
        """The shares of the cells as everything is now."""
        return self.after((0,) * len(self.cells), removed=False)

    def busy_places(self, level: str) -> set[str]:
        """Return the places of a level at which endpoints get requests now."""
        found: set[str] = set()
        for cell, share in zip(self.cells, self.now.shares, strict=True):
            if share > NOTHING:
                if level in ("pod", "node"):
                    found.update(place_of(level, cell.locality, one.pod or one.host, one.node) for one in cell.members)
                else:
                    found.add(places(cell.locality)[level])
        return found - {""}

    def gone(self, losses: Losses) -> tuple[int, ...] | None:
        """Return how many healthy endpoints of each cell are lost; None when none is."""
        wide = [loss for loss in losses if loss.level not in ("pod", "node")]
        if len(losses) == 1 and wide:
            level, place = losses[0]
            counts = [
                cell[2][2] if places(cell[1])[level] == place else 0  # hosts.healthy, locality: this runs most often
                for cell in self.cells
            ]
            return tuple(counts) if any(counts) else None
        counts = []
        for cell in self.cells:
            if any(places(cell.locality)[loss.level] == loss.place for loss in wide):
                counts.append(cell.hosts.healthy)
            else:
                able = (one for one in cell.members if one.health not in (UNHEALTHY, DRAINING))
                counts.append(sum(_lost(cell.locality, one, losses) for one in able))
        return tuple(counts) if any(counts) else None

    def after(self, gone: t.Sequence[int], *, removed: bool, losses: Losses = ()) -> Shares:
        """Return the shares when these many endpoints of each cell are known to be dead.

        `removed`: they are not sent any more; otherwise they count as unhealthy (ejected, or sent as unready). Which
        ones they are matters only where weights differ: those that `losses` take come first.
        """
        if not self.uniform:
            return self._by_host(gone, removed, losses)
        return locality_shares(
            [
                group
                if not count
                else group._replace(
                    healthy=group.healthy - count, unhealthy=group.unhealthy + (0 if removed else count)
                )
                for group, count in zip(self.groups, gone, strict=True)
            ],
            self.settings,
        )

    def hosts(self, gone: t.Sequence[int], removed: bool, losses: Losses = ()) -> list[list[Host]]:
        """Return the hosts of each cell, with these many of the healthy ones dead; `removed` ones are left out."""
        listed = []
        for cell, count in zip(self.cells, gone, strict=True):
            order = sorted(cell.members, key=lambda member: not _lost(cell.locality, member, losses))
            left = count
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

    def _by_host(self, gone: t.Sequence[int], removed: bool, losses: Losses) -> Shares:
        listed = self.hosts(gone, removed, losses)
        found = host_shares([host for hosts in listed for host in hosts], self.settings)
        shares, dead, start = [], [], 0
        for hosts in listed:
            shares.append(sum(found.shares[start : start + len(hosts)]))
            dead.append(sum(found.dead[start : start + len(hosts)]))
            start += len(hosts)
        return Shares(shares, dead, found.none)

    def outcome(self, losses: Losses) -> Outcome:
        """Return what a loss does to the requests of this client."""
        gone = self.gone(losses)
        if gone is None:
            return self._untouched
        if not self.uniform:
            return self._outcome(gone, losses)
        if gone not in self._outcomes:
            self._outcomes[gone] = self._outcome(gone, ())
        return self._outcomes[gone]

    @functools.cached_property
    def _untouched(self) -> Outcome:
        none = (0,) * len(self.cells)
        shares = tuple(self.now.shares)
        busy = tuple(number for number, share in enumerate(shares) if share)
        if self.now.none > 1 - NOTHING:
            return Outcome("dies", "never", 0.0, 1.0, shares, shares, none, busy)
        return Outcome("untouched", "none", 0.0, self.now.none, shares, shares, none, busy)

    def _outcome(self, gone: tuple[int, ...], losses: Losses) -> Outcome:
        before = self.now.shares
        at_risk = self._at_risk(gone, losses)
        if at_risk < NOTHING:
            return dataclasses.replace(self._untouched, gone=gone)
        settled = self.after(gone, removed=not self.made.sends_unready, losses=losses)
        lost = settled.none + sum(settled.dead)
        gap = self._gap(gone, losses)
        busy = tuple(
            number for number, both in enumerate(zip(before, settled.shares, strict=True)) if both[0] or both[1]
        )
        if lost > 1 - NOTHING:
            return Outcome("dies", "never", at_risk, 1.0, tuple(before), tuple(settled.shares), gone, busy)
        own = {self.cells[number].locality for number in busy if before[number] > NOTHING}
        new = any(settled.shares[number] > NOTHING and self.cells[number].locality not in own for number in busy)
        verdict = "spills" if new else "survives"
        return Outcome(verdict, gap, at_risk, lost, tuple(before), tuple(settled.shares), gone, busy)

    def _at_risk(self, gone: tuple[int, ...], losses: Losses) -> float:
        """Return the share of requests that go to these endpoints as long as nobody knows that they are dead."""
        if self.uniform:
            return sum(
                share * count / group.healthy
                for share, count, group in zip(self.now.shares, gone, self.groups, strict=True)
                if count and share
            )
        risk = 0.0
        for cell, count, share in zip(self.cells, gone, self.now.shares, strict=True):
            if count and share:
                able = [member for member in cell.members if member.health not in (UNHEALTHY, DRAINING)]
                lost = [member for member in able if _lost(cell.locality, member, losses)]
                risk += share * sum(one.weight for one in lost) / sum(one.weight for one in able)
        return risk

    def _gap(self, gone: tuple[int, ...], losses: Losses) -> str:
        """Say what ends the failures: Envoy's own ejections, or only Kubernetes' readiness."""
        detection = self.detection
        if detection is None or detection.errors_to_eject(Failure.REFUSED) is None:
            return "readiness"
        # Ejections follow the traffic: as long as lost endpoints get requests, one more is ejected, if it may be.
        budget = detection.ejectable(self.total)
        if sum(gone) <= budget:
            return "ejection"
        ejected = [0] * len(gone)
        while True:
            shares = self.after(ejected, removed=False, losses=losses)
            hit = [
                number
                for number, count in enumerate(gone)
                if count > ejected[number] and shares.shares[number] > NOTHING
            ]
            if not hit:
                return "ejection"
            for number in hit:
                step = min(gone[number] - ejected[number], budget)
                ejected[number] += step
                budget -= step
            if budget <= 0 and any(gone[number] > ejected[number] for number in hit):
                return "readiness"


_STATES: t.Mapping[str, State] = {UNHEALTHY: "unhealthy", DRAINING: "excluded"}


def _lost(locality: Locality, member: Member, losses: Losses) -> bool:
    return any(takes(loss, locality, member) for loss in losses)


class Known:
    """What is the same for many clients: counts of members that share a group, and whether addresses come twice."""

    def __init__(self) -> None:
        self.counts: dict[int, tuple[tuple[Member, ...], int, int, bool]] = {}
        self.doubled: dict[tuple[int, ...], bool] = {}


def _cells(made: Assignment, known: Known) -> list[Cell]:
    """Return the cells that Envoy makes of the groups: equal addresses once, equal priority and locality together.

    Source: see _envoy/assignment.py, which does the same for single hosts.
    """
    groups = [group for group in made.groups if group.members]
    key = tuple(sorted([id(group.members) for group in groups]))
    doubled = known.doubled.get(key)
    if doubled is None:
        hosts = [member.host for group in groups for member in group.members]
        doubled = known.doubled[key] = len(set(hosts)) < len(hosts)
        for group in groups:  # keeps the tuples alive, so that their ids stay theirs
            _counted(group.members, known)
    if not doubled and len({group[:2] for group in groups}) == len(groups):
        return [_cell(locality, priority, weight or None, own, known) for locality, priority, weight, own in groups]
    weights: dict[tuple[int, Locality], int] = {}
    for group in made.groups:
        if group.weight:
            weights[group.priority, group.locality] = group.weight
    members: dict[tuple[int, Locality], tuple[Member, ...]] = {}
    seen: set[str] = set()
    for group in groups:
        own = group.members
        if doubled:
            own = tuple(member for member in own if member.host not in seen)
            seen.update(member.host for member in own)
        place = (group.priority, group.locality)
        members[place] = members[place] + own if place in members else own
    return [
        _cell(locality, priority, weights.get((priority, locality)), own, known)
        for (priority, locality), own in members.items()
        if own
    ]


def _cell(locality: Locality, priority: int, weight: int | None, members: tuple[Member, ...], known: Known) -> Cell:
    _own, bad, out, _uniform = _counted(members, known)
    hosts = LocalityHosts(priority, weight, len(members) - bad - out, 0, bad, out)
    return Cell(priority, locality, hosts, members)


def _counted(members: tuple[Member, ...], known: Known) -> tuple[tuple[Member, ...], int, int, bool]:
    found = known.counts.get(id(members))
    if found is None or found[0] is not members:
        bad = sum(member.health == UNHEALTHY for member in members)
        out = sum(member.health == DRAINING for member in members)
        uniform = all(member.weight == members[0].weight for member in members)
        found = known.counts[id(members)] = (members, bad, out, uniform)
    return found
