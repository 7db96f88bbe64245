# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh as the rules look at it: each distinct assignment once, with the clients that get it and where it was written.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import functools
import typing as t
from collections import Counter, abc
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_load import ClientLoad
from ansible_collections.meshops.locality.plugins.module_utils._forecast.endpoint_groups import SharedLayouts
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import Loss, places
from ansible_collections.meshops.locality.plugins.module_utils._forecast.not_judged import not_judged
from ansible_collections.meshops.locality.plugins.module_utils._forecast.removal import headless_hosts
from ansible_collections.meshops.locality.plugins.module_utils._forecast.routed_requests import (
    ONLY_ROUTED,
    Requests,
    client_requests,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.upgrade_difference import Change, upgrade
from ansible_collections.meshops.locality.plugins.module_utils._istio.cluster_type import WITH_LOCALITIES
from ansible_collections.meshops.locality.plugins.module_utils._istio.destination_rules import MergedRule, Rule
from ansible_collections.meshops.locality.plugins.module_utils._istio.endpoints import HEALTHY
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_hosts import GatewayHosts
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import covers
from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_priorities import Group
from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_settings import Setting
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import (
    Assignment,
    ClientClass,
    Destination,
    Planner,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.routes import Routes
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import (
    BlockOrigin,
    Part,
    items,
    mapping,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.validation import validate, validated
from ansible_collections.meshops.locality.plugins.module_utils._istio.validation_verdict import Verdict
from ansible_collections.meshops.locality.plugins.module_utils._istio.virtual_services import hosts
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import INFO, Suppression, Where
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.not_judged import NotJudged
from ansible_collections.meshops.locality.plugins.module_utils._model.object_cache import ObjectCache, distinct
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import (
    Config,
    Service,
    Snapshot,
)

Observed = t.Sequence[t.Mapping[str, t.Any]]
_LEVELS = ("subzone", "zone", "region")
#: What ends failures when Envoy does not eject all that is lost.
WAITING = ("readiness", "dns", "never")


class Shared:
    """What is computed once for assignments that differ only in the port."""

    def __init__(self, headless: t.Collection[str] = ()) -> None:
        """`headless`: the hosts of headless Services, see removal."""
        self._known = SharedLayouts(headless)
        self._client_loads: dict[t.Any, ClientLoad] = {}
        self._unhealthy: ObjectCache[int] = ObjectCache()
        self._losses: dict[ClientLoad, tuple[Loss, ...]] = {}
        self._waiting: dict[ClientLoad, tuple[Loss, ...]] = {}
        self._clients: dict[frozenset[ClientClass], tuple[Client, ...]] = {}

    def clients(self, kinds: frozenset[ClientClass]) -> tuple[Client, ...]:
        """Return the members of classes, by name. Most rules are for the same classes."""
        if kinds not in self._clients:
            members = (client for kind in kinds for client in kind.members)
            self._clients[kinds] = tuple(sorted(members, key=lambda client: client.key))
        return self._clients[kinds]

    def client_load(self, assignment: Assignment) -> ClientLoad:
        """Return what Envoy makes of an assignment, or of an equal one for another port."""
        groups = tuple((*group[:3], len(group.members), self._unhealthy_members(group)) for group in assignment.groups)
        # Two policies with equal blocks are one: most rules say the same for all their ports.
        detection = repr(assignment.outlier_detection)
        settings = (
            assignment.panic_threshold,
            assignment.lb_policy,
            assignment.locality_weighted,
            assignment.sends_unready,
        )
        key = (assignment.service.key, assignment.destination.subset, groups, detection, settings)
        if key not in self._client_loads:
            self._client_loads[key] = ClientLoad(assignment, self._known)
        return self._client_loads[key]

    def losses(self, client_load: ClientLoad) -> tuple[Loss, ...]:
        """Return the places that get requests now and can be lost without the loss of everything."""
        if client_load not in self._losses:
            localities = {cell.locality for cell in client_load.cells}
            self._losses[client_load] = tuple(
                Loss(level, place)
                for level in _LEVELS
                for place in sorted(client_load.busy_places(level))
                if any(places(locality)[level] != place for locality in localities)
            )
        return self._losses[client_load]

    def waiting(self, client_load: ClientLoad) -> tuple[Loss, ...]:
        """Return the losses after which Envoy does not eject all that is lost."""
        if client_load not in self._waiting:
            losses = self.losses(client_load)
            self._waiting[client_load] = tuple(loss for loss in losses if client_load.outcome((loss,)).gap in WAITING)
        return self._waiting[client_load]

    def _unhealthy_members(self, group: Group) -> int:
        members = group.members
        return self._unhealthy.once(lambda: sum(member.health != HEALTHY for member in members), (members,))


@dataclass
class Case:
    """One assignment, and the classes of clients that get it."""

    assignment: Assignment
    kinds: list[ClientClass] = field(default_factory=list)
    shared: Shared = field(default_factory=Shared)

    @property
    def clients(self) -> tuple[Client, ...]:
        """Every client that gets it."""
        return tuple(member for kind in self.kinds for member in kind.members)

    @property
    def service(self) -> Service:
        """The Service that it is for."""
        return self.assignment.service

    @property
    def setting(self) -> Setting | None:
        """The locality setting that applies."""
        return self.assignment.setting

    @functools.cached_property
    def legal(self) -> Assignment:
        """The assignment with a panic threshold that Envoy takes; istiod refuses rules with another one (ML901)."""
        threshold = self.assignment.panic_threshold
        if threshold is None or 0 <= threshold <= 100:
            return self.assignment
        return self.assignment._replace(panic_threshold=min(100.0, max(0.0, threshold)))

    @functools.cached_property
    def client_load(self) -> ClientLoad:
        """What Envoy makes of it. Ports of a Service that have the same endpoints share it."""
        return self.shared.client_load(self.legal)

    @functools.cached_property
    def localities(self) -> Counter[Locality]:
        """Its localities, and how many endpoints it has in each."""
        by_locality: Counter[Locality] = Counter()
        for group in self.assignment.groups:
            if group.members:
                by_locality[group.locality] += len(group.members)
        return by_locality

    @property
    def total(self) -> int:
        """How many endpoints it has."""
        return sum(self.localities.values())

    @property
    def priorities(self) -> int:
        """How many priorities have endpoints."""
        return len({group.priority for group in self.assignment.groups if group.members})

    @property
    def with_localities(self) -> bool:
        """Whether Envoy gets its endpoints by locality, so that they can have an order."""
        return self.assignment.type in WITH_LOCALITIES

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The places that get requests now and can be lost without the loss of everything, the smallest first."""
        return self.shared.losses(self.client_load)

    @property
    def waiting(self) -> tuple[Loss, ...]:
        """Those of them after which requests fail until Kubernetes takes the endpoints out."""
        return self.shared.waiting(self.client_load)


def _cases(planner: Planner) -> t.Iterable[Case]:
    """Return each assignment once. Clients for which a Service and its rule are the same are asked for only once."""
    shared = Shared(headless_hosts(planner.snapshot))
    by_assignment: ObjectCache[Case] = ObjectCache()
    known: ObjectCache[list[Case]] = ObjectCache()
    names = sorted(planner.relevant_labels)

    def cases(client: Client, by_host: _ByHost, host: str) -> list[Case]:
        answers = (planner.assignment(client, destination) for destination in by_host.of(host))
        return [
            by_assignment.once(functools.partial(Case, assignment, [], shared), (assignment,))
            for assignment in answers
            if assignment
        ]

    for kind in planner.classes:
        member = kind.representative
        own = (
            member.type,
            member.locality,
            member.node,
            bool(member.labels),
            *(member.labels.get(name) for name in names),
        )
        anywhere = (*own[:2], "", *own[3:])
        by_host = _ByHost(planner, member)
        for host, service in planner.scope(member).services.items():
            entry = planner.rules.select(
                planner.rules.find(host, service.namespace, member.namespace), member.namespace, member.labels
            )
            place = own if service.node_local else anywhere
            for case in known.once(functools.partial(cases, member, by_host, host), (service, entry), place):
                case.kinds.append(kind)
    return by_assignment.values()


class _ByHost:
    """The destinations of a client by host; looked up only when they are asked for."""

    def __init__(self, planner: Planner, client: Client) -> None:
        self._planner, self._client = planner, client

    @functools.cached_property
    def _destinations(self) -> dict[str, list[Destination]]:
        by_host: dict[str, list[Destination]] = {}
        for destination in self._planner.destinations(self._client):
            by_host.setdefault(destination.host, []).append(destination)
        return by_host

    def of(self, host: str) -> t.Sequence[Destination]:
        """Return the destinations with this host."""
        return self._destinations.get(host, ())


def uncertain(view: View) -> tuple[str, str]:
    """Return severity and doubt of a finding about endpoints that are missing here, and may be in other clusters."""
    if not view.other_clusters:
        return "", ""
    return INFO, "Endpoints of the mesh's other clusters are not here: with them this may be right."


class View:
    """Everything that rules look at. `observed` is what endpoints_info returned as clients; '' for no next version."""

    def __init__(self, planner: Planner, *, observed: Observed = (), next_version: str = "") -> None:
        self.planner = planner
        self.snapshot: Snapshot = planner.snapshot
        self.version = planner.semantics.version
        self.observed = observed
        self.next_version = next_version
        #: Set by lint(): all suppressions, then those that no finding of the other rules needs.
        self.suppressions: list[Suppression] = []
        self.unused_suppressions: list[Suppression] = []
        self.cases = sorted(_cases(planner), key=lambda case: case.assignment.destination)
        self.config = {(rule.namespace, rule.name): rule for rule in self.snapshot.destination_rules}

    @property
    def rules(self) -> dict[tuple[str, str], Rule]:
        """The DestinationRules by namespace and name, as istiod reads them."""
        return self.planner.rules.by_name

    @functools.cached_property
    def next_changes(self) -> list[Change]:
        """What changes with the next version of Istio; nothing without any."""
        return upgrade(self.snapshot, self.version, self.next_version) if self.next_version else []

    @functools.cached_property
    def not_judged(self) -> list[NotJudged]:
        """What of the mesh is not judged."""
        return not_judged(self.planner)

    @property
    def other_clusters(self) -> bool:
        """Whether endpoints of other clusters are missing here, so that what seems to be absent may exist."""
        return self.planner.places.networks.other_clusters

    @functools.cached_property
    def services(self) -> dict[str, list[Case]]:
        """Host → cases."""
        return _by_host(self.cases)

    @functools.cached_property
    def routes(self) -> Routes:
        """The routes of the planner's sidecars."""
        return Routes(self.planner)

    @functools.cached_property
    def routed(self) -> list[tuple[ClientClass, Requests]]:
        """The classes of requests of sidecars to hosts that a VirtualService or a route of the Gateway API leads.

        Hosts that no Service has are among them.
        """
        patterns = [name for route in self.planner.scopes.all_routes for name in hosts(route)]
        exact = {name for name in patterns if not name.startswith("*")}
        wild = [name for name in patterns if name.startswith("*")]
        led = {
            service.host
            for service in self.snapshot.services
            if service.host.lower() in exact or any(covers(name, service.host.lower()) for name in wild)
        }
        routes = self.routes
        if not led and not routes.outside:
            return []

        def wanted(service: Service) -> bool:
            return bool(routes.outside) or service.host in led

        return [
            (kind, requests)
            for kind in self.planner.classes
            if kind.representative.type == "sidecar"
            for requests in client_requests(self.planner, routes, kind.representative, wanted)
            if requests.destination.host in led or requests.service.registry == ONLY_ROUTED
        ]

    @functools.cached_property
    def used(self) -> list[Case]:
        """The cases that requests reach, as routes lead them; all of a gateway of which that is not known, and of a
        waypoint."""
        led: dict[ClientClass, set[str]] = {}
        reached: dict[ClientClass, set[Destination]] = {}
        for kind, requests in self.routed:
            led.setdefault(kind, set()).add(requests.destination.host)
            for target in requests.route.targets if requests.route else ():
                reached.setdefault(kind, set()).add(target.destination)
            for mirror, _share in requests.route.mirrors if requests.route else ():
                reached.setdefault(kind, set()).add(mirror)
        ways = GatewayHosts(self.planner, self.routes)
        by_gateway = {
            kind: ways.destinations(kind.representative)
            for kind in self.planner.classes
            if kind.representative.type == "router"
        }

        def asks(kind: ClientClass, where: Destination) -> bool:
            if kind.representative.type != "sidecar":
                behind = by_gateway.get(kind)
                return behind is None or where in behind
            return where in reached.get(kind, ()) or (not where.subset and where.host not in led.get(kind, ()))

        used = []
        for case in self.cases:
            own = [kind for kind in case.kinds if asks(kind, case.assignment.destination)]
            if own:
                used.append(case if len(own) == len(case.kinds) else Case(case.assignment, own, case.shared))
        return used

    @functools.cached_property
    def used_services(self) -> dict[str, list[Case]]:
        """Host → cases that requests reach."""
        return _by_host(self.used)

    @functools.cached_property
    def merged(self) -> list[MergedRule]:
        """The merged rules that apply to anything."""
        return distinct(case.assignment.entry for case in self.cases if case.assignment.entry)

    @property
    def mesh_config(self) -> Where:
        """Where istiod reads its mesh config from."""
        mesh = self.snapshot.mesh
        name = "istio" if mesh.revision in ("", "default") else f"istio-{mesh.revision}"
        return Where(f"ConfigMap {mesh.root_namespace}/{name}", "data.mesh")

    def place(self, rule: Rule, path: str = "") -> Where:
        """Return a field of a DestinationRule's spec."""
        return Where(f"DestinationRule {rule}", f"spec.{path}" if path else "spec")

    def subset(self, rule: Rule, name: str) -> str:
        """Return the path of a subset in a rule's spec."""
        config = self.config.get((rule.namespace, rule.name))
        for index, subset in enumerate(items(config.spec.get("subsets")) if config else ()):
            if isinstance(subset, abc.Mapping) and str(subset.get("name") or "") == name:
                return f"subsets[{index}]"
        return f"subsets[{name}]"

    def block(self, case: Case, name: str, *, cluster: bool = False) -> Where | None:
        """Return where the block of a policy that applies was written; None when there is none.

        `cluster`: of what Envoy's cluster is made of, which knows the mesh's defaultTrafficPolicy.
        """
        assignment = case.assignment
        origin = (assignment.cluster_policy if cluster else assignment.policy).origin.get(name)
        if origin and origin.by == "mesh":
            return self.mesh_config.below(f"{origin.path}.{name}")
        if origin is None or assignment.entry is None:
            return None
        where = self.origin_place(assignment.entry, origin)
        return where.below(name) if where else None

    def origin_place(self, entry: MergedRule, origin: BlockOrigin) -> Where | None:
        """Return where a block of merged rules was written; None when no rule has a trafficPolicy for all of them."""
        if origin.by == "rule":
            return self.place(entry.policy, origin.path) if entry.policy else None
        rule = entry.subsets[origin.subset][0]
        return self.place(rule, f"{self.subset(rule, origin.subset)}.{origin.path}")

    def rule_place(self, case: Case) -> Where:
        """Return the trafficPolicy that applies for a case, or the whole Service when there is no rule."""
        entry = case.assignment.entry
        if entry is None:
            return Where(case.service.source)
        if entry.policy is None:
            return self.place(entry.first, "trafficPolicy")
        return self.place(entry.policy, "trafficPolicy")

    def setting_place(self, case: Case) -> Where:
        """Return where the locality setting that applies was written."""
        setting = case.setting
        name = "zoneAwareLbSetting" if setting and setting.zone_aware else "localityLbSetting"
        if setting and setting.source == "trafficDistribution":
            return Where(case.service.source, "spec.trafficDistribution")
        if setting and setting.source == "meshConfig":
            return self.mesh_config.below(name)
        block = self.block(case, "loadBalancer")
        return block.below(name) if block else self.rule_place(case)

    def raw(self, case: Case) -> Part:
        """Return the locality setting that applies as it was written."""
        setting = case.setting
        if setting is None:
            return {}
        if setting.source == "meshConfig":
            name = "zoneAwareLbSetting" if setting.zone_aware else "localityLbSetting"
            return mapping(self.snapshot.mesh.config.get(name)) or {}
        policy = case.assignment.policy
        return (policy.zone_aware_lb if setting.zone_aware else policy.locality_lb) or {}

    def entries(self, case: Case, name: str) -> t.Iterator[tuple[int, Part]]:
        """Yield (index, object) of a list of the locality setting that applies, as it was written."""
        for index, entry in enumerate(items(self.raw(case).get(name))):
            if isinstance(entry, abc.Mapping):
                yield index, entry

    def wide(self, where: Where) -> bool:
        """Whether a setting at this place is for many Services: it is in the mesh config or for a host with `*`."""
        namespace, _slash, name = where.object.partition(" ")[2].partition("/")
        config = self.config.get((namespace, name))
        return config is None or str(config.spec.get("host") or "").startswith("*")

    def by_place(self, cases: t.Iterable[Case]) -> dict[Where, list[Case]]:
        """Return the cases by the place of their locality setting."""
        by_place: dict[Where, list[Case]] = {}
        for case in cases:
            by_place.setdefault(self.setting_place(case), []).append(case)
        return by_place

    def endpoints_in(self, service: Service, locality: Locality) -> int:
        """Return how many endpoints of a Service are in a locality, whatever rules say about them."""
        return self.planner.endpoints.per_locality(service)[locality]

    @functools.cached_property
    def verdicts(self) -> list[tuple[str, Verdict]]:
        """What istiod says about each object by itself: (object, verdict)."""
        return [
            (f"{kind} {config}", verdict)
            for kind, config in self.istio_objects
            for verdict in validate(kind, config.namespace, config.spec, self.version)
        ]

    @property
    def istio_objects(self) -> t.Iterator[tuple[str, Config]]:
        """Yield (kind, object) of what istiod validates here, and of what annotations suppress findings about."""
        return validated(self.snapshot)


def _by_host(cases: t.Iterable[Case]) -> dict[str, list[Case]]:
    by_host: dict[str, list[Case]] = {}
    for case in cases:
        by_host.setdefault(case.assignment.destination.host, []).append(case)
    return by_host
