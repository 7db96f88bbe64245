# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one client's Envoy holds of one destination, and where its requests go: now, at the moment of a loss, and after.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import Fault
from ansible_collections.meshops.locality.plugins.module_utils._envoy.host_shares import Host, State, host_shares
from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import (
    ClusterHosts,
    GroupShares,
    HostCounts,
    LostHosts,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier_detection import Failure, OutlierDetection
from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import POLICIES
from ansible_collections.meshops.locality.plugins.module_utils._forecast.endpoint_groups import (
    EndpointGroup,
    SharedLayouts,
    takes_any,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import Losses
from ansible_collections.meshops.locality.plugins.module_utils._forecast.removal import Removal, removal
from ansible_collections.meshops.locality.plugins.module_utils._istio.endpoints import DRAINING, UNHEALTHY, is_healthy
from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_priorities import Member
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Assignment
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.object_cache import ObjectCache
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import INJECTED_PROBE, ReadinessProbe

#: A share below this is none: rounding of Envoy's percent is far above.
NOTHING = 1e-9
#: From what harms least to what harms most; of what ends an outage, from the fastest to none.
VERDICTS = ("untouched", "survives", "spills", "dies_in_part", "dies")
GAPS = ("none", "removal", "ejection", "readiness", "dns", "never")

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
    (other localities take over), dies (every request fails for good). `gap`: what ends the failures of the moment:
    `none` is needed, `removal` (the fault is itself one), `ejection` by Envoy, `readiness` (only when Kubernetes takes
    the endpoints out), `dns` (only when their name stops resolving to them), or `never`.
    `at_risk` is the share of requests that go to lost endpoints at first; `lost` the share that fails in the end, and
    `stuck` that part of it which goes to endpoints that nothing takes out (both without retries);
    `flows` are the cells that get any, before or in the end; `moved` is the share that localities answer in the end and
    did not before; `gone` are the lost endpoints by cell, of all cells, and `staying` those that nothing removes.
    """

    verdict: str
    gap: str
    at_risk: float
    lost: float
    flows: tuple[Flow, ...]
    moved: float = 0.0
    gone: tuple[LostHosts, ...] = ()
    staying: tuple[LostHosts, ...] = ()
    removal: Removal = "readiness"
    stuck: float = 0.0
    #: The share of requests that goes to lost endpoints in the end, by cell.
    dead: t.Mapping[int, float] = {}
    #: How many of the lost endpoints of which cell count as unhealthy in the end, and how many are not there.
    unhealthy: tuple[LostHosts, ...] = ()
    removed: tuple[LostHosts, ...] = ()


class ClientLoad:
    """An assignment as Envoy holds it. Computed once; every loss is an arithmetic on its numbers of endpoints."""

    def __init__(self, assignment: Assignment, known: SharedLayouts | None = None) -> None:
        """`known` is shared by all that are made of one plan: much of it is the same for every client."""
        self.assignment = assignment
        self._known = SharedLayouts() if known is None else known
        self._layout = self._known.layout(assignment.groups)
        self.common, priorities, weights = self._layout
        self.priorities, self.weights = priorities, weights
        self.predictable = assignment.lb_policy in POLICIES
        self.settings = self._known.settings(assignment)
        self.total = self.common.total
        self._hosts = ClusterHosts(priorities, self.common.hosts, weights, self.settings)
        self._outcomes: dict[tuple[t.Any, ...], Outcome] = {}
        self._ways: dict[tuple[Fault, bool | None], list[list[Removal]]] = {}

    @functools.cached_property
    def cells(self) -> list[EndpointGroup]:
        """The cells one by one."""
        return self._layout.cells()

    @property
    def detection(self) -> OutlierDetection | None:
        """Envoy's outlier detection."""
        return self._known.detection(self.assignment)

    @functools.cached_property
    def now(self) -> GroupShares:
        """The shares of the cells as everything is now."""
        return self.after((), removed=False)

    def busy_places(self, level: str) -> set[str]:
        """Return the places of a level at which endpoints get requests now."""
        known = self.common.places(level)
        return {place for cell, share in self.now.shares.items() if share > NOTHING for place in known[cell]}

    def after(self, gone: t.Sequence[LostHosts], *, removed: bool, losses: Losses = ()) -> GroupShares:
        """Return the shares when these many endpoints of each cell are known to be dead.

        `removed`: they are not sent any more; otherwise they are unhealthy (ejected, or sent as unready). Which
        ones they are matters only where weights differ: those that `losses` take come first.
        """
        if not self.common.uniform:
            return self._by_host(gone, removed, losses)
        return self._hosts.shares(gone, removed=removed)

    def hosts(
        self, unhealthy: t.Sequence[LostHosts] = (), removed: t.Sequence[LostHosts] = (), losses: Losses = ()
    ) -> list[list[Host]]:
        """Return the hosts of each cell, with these many of the healthy ones unhealthy, and these many left out."""
        bad, out = dict(unhealthy), dict(removed)
        listed = []
        for number, cell in enumerate(self.cells):
            order = sorted(cell.members, key=lambda member: not takes_any(losses, cell.locality, member))
            ill, gone = bad.get(number, 0), out.get(number, 0)
            hosts = []
            for member in order:
                state = _STATES.get(member.health, "healthy")
                if state == "healthy" and gone:
                    gone -= 1
                    continue
                if state == "healthy" and ill:
                    ill -= 1
                    state = "unhealthy"
                hosts.append(
                    Host(member.host, cell.priority, cell.locality, cell.hosts.weight or 0, state, member.weight)
                )
            listed.append(hosts)
        return listed

    def _by_host(self, gone: t.Sequence[LostHosts], removed: bool, losses: Losses) -> GroupShares:
        listed = self.hosts(() if removed else gone, gone if removed else (), losses)
        group_shares = host_shares([host for hosts in listed for host in hosts], self.settings)
        shares, dead, start = {}, {}, 0
        for number, hosts in enumerate(listed):
            own = slice(start, start + len(hosts))
            shares[number], dead[number] = sum(group_shares.shares[own]), sum(group_shares.dead[own])
            start += len(hosts)
        busy = {number: share for number, share in shares.items() if share}
        return GroupShares(busy, {number: share for number, share in dead.items() if share}, group_shares.none)

    def outcome(
        self,
        losses: Losses,
        fault: Fault = Fault.REFUSED,
        failure: Failure | None = Failure.REFUSED,
        *,
        probed: bool | None = False,
    ) -> Outcome:
        """Return what a loss does to the requests of this client.

        `fault`: what becomes of the lost endpoints, and `failure` as what Envoy sees it (see failure_of); `probed`: a
        readiness probe notices it (see removal); None: nothing but the pods' own probes can, and some have none.
        """
        gone = self.common.lost(losses)
        if not gone:
            return self._partly_behind(losses) if self.common.with_gateways else self._untouched
        if self._by_probes(losses):
            probed = probed or None
        # Which of the endpoints are lost matters only where they differ.
        alike = self.common.uniform and self._one_way(fault, probed)
        key: tuple[t.Any, ...] = (gone,)
        if not (alike and fault is Fault.REFUSED and failure is Failure.REFUSED and probed is False):
            key = (gone, fault, failure, probed, () if alike else losses)
        if key not in self._outcomes:
            self._outcomes[key] = self._outcome(gone, losses, fault, failure, probed)
        return self._outcomes[key]

    def _by_probes(self, losses: Losses) -> bool:
        """Whether only pods' readiness probes notice a loss, and some have another one."""
        return bool(self._known.probes) and all(loss.level == "pod" for loss in losses)

    def lost_probes(self, losses: Losses) -> list[tuple[int, int]]:
        """Return the probes that notice a loss of pods, each once."""
        probes: set[ReadinessProbe | None] = set()
        if self._by_probes(losses):
            pods = {member.pod for group in self.common.counted for member in group.members}
            probes = {self._known.probes.get(loss.place, INJECTED_PROBE) for loss in losses if loss.place in pods}
        return sorted(filter(None, probes)) or [INJECTED_PROBE]

    def _removals(self, fault: Fault, probed: bool | None) -> list[list[Removal]]:
        """Return for each cell what takes its endpoints out, one entry where it is the same for all of them."""
        key = (fault, probed)
        if key not in self._ways:
            self._ways[key] = self.common.removals(
                (fault, probed, self.assignment.service.publish_not_ready),
                lambda member: self._removal(member, fault, probed),
            )
        return self._ways[key]

    def _removal(self, member: Member, fault: Fault, probed: bool | None) -> Removal:
        if probed is None and self._known.probes.get(member.pod, True) is None:
            return "never"  # only its probe would notice, and it has none
        return removal(self.assignment.service, member, fault, self._known.headless, probed=bool(probed))

    def _one_way(self, fault: Fault, probed: bool | None) -> Removal | None:
        if fault is Fault.REFUSED and probed is False:
            return self._way_of_refused
        return self._only_way(fault, probed)

    @functools.cached_property
    def _way_of_refused(self) -> Removal | None:
        return self._only_way(Fault.REFUSED, False)

    def _only_way(self, fault: Fault, probed: bool | None) -> Removal | None:
        ways = {way for listed in self._removals(fault, probed) for way in listed}
        return next(iter(ways)) if len(ways) == 1 else None

    def _staying(
        self, gone: tuple[LostHosts, ...], losses: Losses, fault: Fault, probed: bool | None
    ) -> tuple[tuple[LostHosts, ...], Removal]:
        """Return those of the lost endpoints that nothing takes out, and what takes out the last of the others."""
        way = self._one_way(fault, probed)
        if fault is Fault.REMOVED or way == "readiness":
            return (), "readiness"
        if way is not None:
            return (gone, "never") if way == "never" else ((), way)
        staying, slowest = [], "never"
        ways = self._removals(fault, probed)
        for cell, _count in gone:
            members, own = self.common.counted[cell].members, ways[cell]
            listed = own if len(own) == len(members) else own * len(members)
            place = self.common.localities[cell]
            hit = [
                removal
                for member, removal in zip(members, listed, strict=True)
                if is_healthy(member) and takes_any(losses, place, member)
            ]
            if number := hit.count("never"):
                staying.append(LostHosts(cell, number))
            if "dns" in hit or ("readiness" in hit and slowest == "never"):
                slowest = "dns" if "dns" in hit else "readiness"
        return tuple(staying), t.cast(Removal, slowest)

    @functools.cached_property
    def _untouched(self) -> Outcome:
        flows = self._flows(self.now)
        if self.now.none > 1 - NOTHING:
            return Outcome("dies", "never", 0.0, 1.0, flows)
        return Outcome("untouched", "none", 0.0, self.now.none, flows)

    def _partly_behind(self, losses: Losses) -> Outcome:
        """Return the outcome when only a part of what a gateway into another network leads to is lost.

        The gateway goes on and sends requests to the lost endpoints until they are removed.
        """
        parts = self.common.behind_gateways(losses)
        at_risk = sum(self.now.shares.get(cell, 0.0) * part for cell, part in parts.items())
        if at_risk < NOTHING:
            return self._untouched
        return self._untouched._replace(verdict="survives", gap="readiness", at_risk=at_risk)

    def _flows(self, settled: GroupShares) -> tuple[Flow, ...]:
        before, after, places = self.now.shares, settled.shares, self.common.localities
        busy = sorted({*before, *after})
        return tuple([Flow(cell, places[cell], before.get(cell, 0.0), after.get(cell, 0.0)) for cell in busy])

    def _outcome(
        self, gone: tuple[LostHosts, ...], losses: Losses, fault: Fault, failure: Failure | None, probed: bool | None
    ) -> Outcome:
        at_risk = self._at_risk(gone, losses)
        if at_risk < NOTHING:
            return self._untouched._replace(gone=gone)
        staying, way = self._staying(gone, losses, fault, probed)
        ejected, enough = self._ejections(gone, losses, failure)
        sends = self.assignment.sends_unready
        if fault is Fault.REMOVED:
            gap = "removal"
        elif enough and not self._panics(ejected, losses):
            gap = "ejection"
        else:
            gap = "never" if staying else way
        if gap != "never":
            # Who ends the failures is one thing; where requests go in the end does not depend on it.
            settled = self.after(gone, removed=not sends, losses=losses)
            out = gone if sends or staying else ()
            return self._settled(at_risk, settled, gap, gone, staying, way, {}, out, () if out else gone)
        by_cell = dict(staying)
        left = tuple(
            [LostHosts(cell, number - by_cell.get(cell, 0)) for cell, number in gone if number > by_cell.get(cell, 0)]
        )
        hosts = self._hosts
        if left:
            hosts = ClusterHosts(
                self._layout.priorities, self._without(left, sends), self._layout.weights, self.settings
            )
            ejected, _enough = self._ejections(
                staying, losses, failure, hosts, sum(sum(group) for group in hosts.hosts)
            )
        known = tuple([LostHosts(cell, number) for cell, number in ejected.items() if number])
        settled = (
            self._by_host(known, False, losses)
            if not self.common.uniform and not left
            else hosts.shares(known, removed=False)
        )
        dead = {}
        for cell, number in staying:
            hidden, alive = number - ejected.get(cell, 0), hosts.hosts[cell].healthy - ejected.get(cell, 0)
            if hidden and settled.shares.get(cell):
                dead[cell] = settled.shares[cell] * self._part(cell, hidden, alive, ejected.get(cell, 0), losses)
        unhealthy = dict(known)
        for cell, number in left if sends else ():
            unhealthy[cell] = unhealthy.get(cell, 0) + number
        return self._settled(
            at_risk,
            settled,
            gap,
            gone,
            staying,
            way,
            dead,
            tuple([LostHosts(cell, number) for cell, number in sorted(unhealthy.items())]),
            () if sends else left,
        )

    def _panics(self, ejected: t.Mapping[int, int], losses: Losses) -> bool:
        """Whether a panic goes on sending requests to hosts that were ejected."""
        if not self.settings.panic_threshold:
            return False
        shares = self.after([LostHosts(*entry) for entry in ejected.items()], removed=False, losses=losses)
        return any(shares.dead.get(cell, 0.0) > self.now.dead.get(cell, 0.0) + NOTHING for cell in ejected)

    def _settled(
        self,
        at_risk: float,
        settled: GroupShares,
        gap: str,
        gone: tuple[LostHosts, ...],
        staying: tuple[LostHosts, ...],
        way: Removal,
        dead: t.Mapping[int, float],
        unhealthy: tuple[LostHosts, ...],
        removed: tuple[LostHosts, ...],
    ) -> Outcome:
        flows, stuck = self._flows(settled), sum(dead.values())
        lost = settled.failing + stuck
        own = {flow.place for flow in flows if flow.before > NOTHING}
        after = {flow.place for flow in flows if flow.after > NOTHING}
        verdict = "spills" if after - own else "survives"
        if lost > 1 - NOTHING:
            verdict, gap, lost = "dies", "never", 1.0
        return Outcome(
            verdict, gap, at_risk, lost, flows, moved(flows), gone, staying, way, stuck, dead, unhealthy, removed
        )

    def _without(self, left: t.Iterable[LostHosts], unready: bool) -> list[HostCounts]:
        """Return the hosts of each cell without these; `unready`: they are still sent, as unhealthy."""
        hosts = list(self.common.hosts)
        for cell, number in left:
            good, partly, bad, out = hosts[cell]
            hosts[cell] = HostCounts(good - number, partly, bad + (number if unready else 0), out)
        return hosts

    def _part(self, cell: int, hidden: int, alive: int, ejected: int, losses: Losses) -> float:
        """Return which part of a cell's share so many lost endpoints get that Envoy still takes for healthy."""
        own = self.common.counted[cell]
        if own.uniform:
            return hidden / alive if alive else 0.0
        healthy = [member for member in own.members if is_healthy(member)]
        dying = [member for member in healthy if takes_any(losses, self.common.localities[cell], member)]
        counted = sum(member.weight for member in healthy) - sum(member.weight for member in dying[:ejected])
        return sum(member.weight for member in dying[ejected : ejected + hidden]) / counted if counted else 0.0

    def _at_risk(self, gone: tuple[LostHosts, ...], losses: Losses) -> float:
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
                alive = [member for member in own.members if is_healthy(member)]
                dying = [member for member in alive if takes_any(losses, self.common.localities[number], member)]
                risk += share * sum(member.weight for member in dying) / sum(member.weight for member in alive)
        return risk

    def _ejections(
        self,
        gone: tuple[LostHosts, ...],
        losses: Losses,
        failure: Failure | None,
        hosts: ClusterHosts | None = None,
        total: int = 0,
    ) -> tuple[dict[int, int], bool]:
        """Return how many of the lost endpoints of each cell Envoy ejects, and whether nothing reaches the others.

        `hosts`, `total`: what is left of the cluster, when that is not all of it.
        """
        ejected = {number: 0 for number, _count in gone}
        detection = self.detection
        if failure is None or detection is None or detection.errors_to_eject(failure) is None:
            return ejected, False
        # Ejections follow the traffic: as long as lost endpoints get requests, one more is ejected, if it may be.
        budget = detection.ejectable(total if hosts else self.total)
        wanted = dict(gone)
        if sum(wanted.values()) <= budget:
            return wanted, True
        while True:
            known = [LostHosts(number, count) for number, count in ejected.items() if count]
            busy = hosts.shares(known, removed=False) if hosts else self.after(known, removed=False, losses=losses)
            hit = [
                number for number, count in gone if count > ejected[number] and busy.shares.get(number, 0.0) > NOTHING
            ]
            if not hit:
                return ejected, True
            for number in hit:
                step = min(wanted[number] - ejected[number], budget)
                ejected[number] += step
                budget -= step
            if budget <= 0 and any(wanted[number] > ejected[number] for number in hit):
                return ejected, False


def moved(flows: t.Iterable[Flow]) -> float:
    """Return the share of the requests that localities answer in the end and did not before."""
    old: dict[Locality, float] = {}
    new: dict[Locality, float] = {}
    for _cell, place, before, after in flows:
        old[place] = old.get(place, 0.0) + before
        new[place] = new.get(place, 0.0) + after
    return sum([share - old[place] for place, share in new.items() if share > old[place]], 0.0)


class ClientLoads:
    """What Envoy makes of the assignments of one plan: of equal ones once."""

    def __init__(
        self, headless: t.Collection[str] = (), probes: t.Mapping[str, ReadinessProbe | None] | None = None
    ) -> None:
        """`headless`: the hosts of headless Services, see removal; `probes`: the snapshot's other_probes."""
        self._known = SharedLayouts(headless, probes)
        self._held: ObjectCache[ClientLoad] = ObjectCache()

    def of(self, assignment: Assignment) -> ClientLoad:
        """Return what Envoy holds of an assignment."""
        return self._held.once(
            lambda: ClientLoad(assignment, self._known),
            (assignment.groups, assignment.cluster_policy),
            assignment.service.publish_not_ready,
            assignment.panic_threshold,
            assignment.locality_weighted,
            assignment.lb_policy,
            assignment.sends_unready,
        )
