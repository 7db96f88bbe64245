# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What istiod sends each client's Envoy about each Service: priorities, weights, and the settings around them.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import functools
import typing as t
from collections import abc
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._istio.cluster_type import (
    discovery_type,
    dynamic,
    has_cluster,
    lb_policy,
    panic_threshold,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.destination_rules import MergedRule, Rule, Rules
from ansible_collections.meshops.locality.plugins.module_utils._istio.endpoints import Endpoints
from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_priorities import (
    Group,
    ambiguous,
    arrange,
    matches,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_settings import (
    DISTRIBUTION_KEYS,
    Setting,
    Unready,
    always_weighted,
    effective,
    enhanced_merge,
    headless_eds,
    traffic_distribution,
    unready,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.mutual_tls import MutualTls
from ansible_collections.meshops.locality.plugins.module_utils._istio.network_gateways import NetworkView, directly
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import (
    Client,
    PodLocalities,
    class_key,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.sidecar_scope import Scope, Scopes, port_of
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import (
    Policy,
    items,
    mapping,
    number,
    resolve,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import Semantics, semantics
from ansible_collections.meshops.locality.plugins.module_utils._model.object_cache import ObjectCache
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import (
    Json,
    Labels,
    Port,
    Service,
    Snapshot,
)


class Destination(t.NamedTuple):
    """What a client can send to: a host, a port, and a subset ('' for none)."""

    host: str
    port: int
    subset: str

    @property
    def cluster(self) -> str:
        """Envoy's name of the cluster."""
        return f"outbound|{self.port}|{self.subset}|{self.host}"


class Assignment(t.NamedTuple):
    """What istiod sends one client about one destination.

    `type`: EDS, STRICT_DNS, LOGICAL_DNS, ORIGINAL_DST or CLUSTER_PROVIDED; only the first three have groups.
    `entry` are the merged rules that apply (None: no rule), found in `tier`. `setting` is the locality setting that
    applies (None: off); `ordered`: it puts localities into an order of priorities.
    `panic_threshold` is in percent, None for Envoy's 50. `crash`: istiod of this version does not survive this.
    `chance`: istiod's answer differs from push to push.
    """

    destination: Destination
    service: Service
    type: str
    groups: tuple[Group, ...]
    entry: MergedRule | None
    tier: str
    policy: Policy
    cluster_policy: Policy
    setting: Setting | None
    ordered: bool
    locality_weighted: bool
    panic_threshold: float | None
    lb_policy: str
    sends_unready: bool
    traffic_distribution: str
    crash: bool = False
    chance: bool = False

    @property
    def rule(self) -> Rule | None:
        """The rule istiod names in the cluster: the first of the merged ones."""
        return self.entry.first if self.entry else None

    @property
    def outlier_detection(self) -> Json | None:
        """The outlierDetection block that Envoy gets, as written."""
        block = self.cluster_policy.outlier_detection
        return None if block is None else dict(block)

    @property
    def max_requests_per_connection(self) -> int:
        """connectionPool.http.maxRequestsPerConnection; 0 for no limit."""
        pool = mapping((self.cluster_policy.connection_pool or {}).get("http")) or {}
        return number(pool.get("maxRequestsPerConnection"))


@dataclass(frozen=True, eq=False)
class ClientClass:
    """Clients that get the same answer for every destination; equal only to itself.

    `representative` stands for all of them.
    """

    representative: Client
    members: tuple[Client, ...]


class Planner:
    """Computes assignments for one snapshot, under its own Istio version or another one."""

    def __init__(self, snapshot: Snapshot, version: str = "") -> None:
        """Raises InvalidInput for a version whose behaviour is not known."""
        self.snapshot = snapshot
        self.semantics: Semantics = semantics(version or snapshot.mesh.version)
        self.places = PodLocalities(snapshot, self.semantics)
        self.endpoints = Endpoints(snapshot, self.places)
        self.scopes = Scopes(snapshot, self.semantics)
        config = snapshot.mesh.config
        self.rules = Rules(
            [Rule.from_config(rule) for rule in snapshot.destination_rules],
            snapshot.mesh.root_namespace,
            [str(namespace) for namespace in items(config.get("defaultDestinationRuleExportTo"))] or None,
            enhanced=enhanced_merge(snapshot.mesh),
        )
        self._always_weighted = always_weighted(snapshot.mesh)
        default = mapping(config.get("defaultTrafficPolicy")) if self.semantics.default_traffic_policy else None
        self._default_policy = default
        self._common: ObjectCache[_Common | None] = ObjectCache()
        #: What was asked for once is asked for again: by the plan, the requests and the matrix.
        self._assignments: ObjectCache[Assignment | None] = ObjectCache()
        self._resolved: ObjectCache[_Resolved] = ObjectCache()

    @property
    def clients(self) -> tuple[Client, ...]:
        """Every proxy of the snapshot."""
        return self.places.clients

    @functools.cached_property
    def mutual_tls(self) -> MutualTls:
        """What the pods take of what clients send with or without mutual TLS."""
        return MutualTls(self.snapshot)

    @functools.cached_property
    def relevant_labels(self) -> frozenset[str]:
        """The labels of clients that any rule, route or setting looks at."""
        names = set(self.scopes.selector_labels())
        for config in self.snapshot.destination_rules:
            selector = mapping(config.spec.get("workloadSelector")) or {}
            names |= {str(name) for name in mapping(selector.get("matchLabels")) or {}}
            names |= _labels_named(config.spec)
        for route in self.scopes.all_routes:
            names |= _labels_named(route.spec)
        distributions = {service.traffic_distribution for service in self.snapshot.services}
        distributions |= {namespace.traffic_distribution for namespace in self.snapshot.namespaces}
        for distribution in distributions:
            names.update(DISTRIBUTION_KEYS.get(distribution, ()))
        names |= _labels_named(self.snapshot.mesh.config)
        return frozenset(names)

    @functools.cached_property
    def classes(self) -> tuple[ClientClass, ...]:
        """The clients, those with equal answers together."""
        by_node = any(service.node_local for service in self.snapshot.services)
        grouped: dict[tuple[t.Any, ...], list[Client]] = {}
        for client in self.clients:
            grouped.setdefault(class_key(client, self.relevant_labels, by_node), []).append(client)
        return tuple(ClientClass(members[0], tuple(members)) for members in grouped.values())

    def scope(self, client: Client) -> Scope:
        """Return the Services a client knows."""
        return self.scopes.of(client)

    def destinations(self, client: Client) -> list[Destination]:
        """Return everything a client can send to, without UDP ports and ExternalName Services."""
        destinations = []
        for host, service in self.scope(client).services.items():
            if service.resolution == "Alias":
                continue
            entry = self._entry(service, client)[0]
            subsets = entry.subsets if entry and not dynamic(service) else ()
            for port in service.ports:
                if has_cluster(service, port):
                    destinations.append(Destination(host, port.number, ""))
                    destinations += [Destination(host, port.number, name) for name in subsets]
        return destinations

    def subsets(self, client: Client, service: Service) -> list[Destination]:
        """Return what a client can send to of a Service's subsets, port by port."""
        entry = self._entry(service, client)[0]
        names = entry.subsets if entry and not dynamic(service) and service.resolution != "Alias" else ()
        return [
            Destination(service.host, port.number, name)
            for port in service.ports
            if has_cluster(service, port)
            for name in names
        ]

    def rule_entry(self, service: Service, client: Client) -> MergedRule | None:
        """Return the merged rules that apply to a client and a Service; None without any."""
        return self._entry(service, client)[0]

    def _entry(self, service: Service, client: Client) -> tuple[MergedRule | None, str]:
        rules = self.rules.find(service.host, service.namespace, client.namespace)
        entry = self.rules.select(rules, client.namespace, client.labels)
        return entry, rules.tier if entry else ""

    def assignment(self, client: Client, destination: Destination) -> Assignment | None:
        """Return what a client gets for a destination; None when it does not know it, or istiod makes no cluster."""
        return self._assignments.once(lambda: self._assignment(client, destination), (client,), destination)

    def _assignment(self, client: Client, destination: Destination) -> Assignment | None:
        service = self.scope(client).services.get(destination.host)
        if service is None or service.resolution == "Alias":
            return None
        port = port_of(service, destination.port)
        if port is None or not has_cluster(service, port):
            return None
        entry, tier = self._entry(service, client)
        if destination.subset and (entry is None or destination.subset not in entry.subsets or dynamic(service)):
            return None
        uncertain = destination.host in self.scopes.uncertain(client)
        node = client.node if service.node_local else None
        where = (client.network, client.families) if self.places.networks.several else None
        common = self._common.once(
            lambda: self._assign(client, destination, service, port, entry, tier, uncertain),
            (service, entry),
            destination,
            client.type,
            node,
            uncertain,
            where,
        )
        if common is None or common.setting is None:
            return common and common.plain
        return self._arranged(client, common)

    def _arranged(self, client: Client, common: _Common) -> Assignment:
        labels = client.labels
        place = (client.locality, bool(labels), tuple([labels.get(name, "") for name in common.keys]))
        assignment = common.arranged.get(place)
        if assignment is None:
            plain, setting = common.plain, common.setting
            groups = arrange(
                client.locality,
                labels,
                plain.groups,
                setting,
                common.enabled,
                self.semantics,
                failover_priority_applies=common.failover_priority_applies,
            )
            chance = setting is not None and any(
                matches(client.locality, entry.origin) and ambiguous(groups, entry) for entry in setting.distribute
            )
            assignment = plain._replace(groups=groups, chance=plain.chance or chance)
            common.arranged[place] = assignment
        return assignment

    def _resolve(self, service: Service, destination: Destination, entry: MergedRule | None) -> _Resolved:
        return self._resolved.once(
            lambda: self._resolved_policy(service, destination, entry),
            (service, entry),
            destination.port,
            destination.subset,
        )

    def _resolved_policy(self, service: Service, destination: Destination, entry: MergedRule | None) -> _Resolved:
        subset = entry.subsets[destination.subset][1] if entry and destination.subset else None
        eds, cds = resolve(
            entry.traffic_policy if entry else None,
            subset,
            destination.port,
            self._default_policy,
            subset_name=destination.subset,
        )
        namespace = self.snapshot.namespace_by_name.get(service.namespace)
        said = namespace.traffic_distribution if namespace else ""
        distribution = traffic_distribution(service, said, self.semantics)
        setting = effective(eds, service, distribution, self.snapshot.mesh, self.semantics)
        labels = mapping((subset or {}).get("labels")) or {}
        chosen = {str(name): str(value) for name, value in labels.items()}
        treatment = unready(distribution, self.snapshot.mesh, self.semantics)
        keeps_out = number((eds.outlier_detection or {}).get("minHealthPercent")) > 0
        sends = treatment.forced or (treatment.sent and not keeps_out)
        own = mapping((mapping((subset or {}).get("trafficPolicy")) or {}).get("loadBalancer")) or {}
        return _Resolved(eds, cds, distribution, setting, chosen, str(own.get("simple") or ""), treatment, sends)

    def _assign(
        self,
        client: Client,
        destination: Destination,
        service: Service,
        port: Port,
        entry: MergedRule | None,
        tier: str,
        uncertain: bool,
    ) -> _Common | None:
        """Return what clients of one type get wherever they are; None when istiod makes no cluster."""
        resolved = self._resolve(service, destination, entry)
        base = discovery_type(service, client, headless_eds(self.snapshot.mesh))
        inline = base in ("STRICT_DNS", "LOGICAL_DNS")
        node = client.node if service.node_local else None
        if inline and not self.endpoints.groups(service, port, None, unready=True, node=node, inline=True):
            return None
        # istiod's list of gateways for DNS clusters is filled when it reads the gateways once more, if ever: until then
        # their endpoints are reached directly. Source: istio 1.31 pilot/pkg/model/network.go, reload (`||`).
        view = None if inline else self._view(client, entry, destination)
        uncertain = uncertain or (inline and self._behind_gateways(client, service))
        passthrough = resolved.cluster_policy.simple == "PASSTHROUGH"
        if destination.subset:
            # A subset's cluster takes over the type of the whole one, and looks at its own policy before ports do.
            whole = self._resolve(service, destination._replace(subset=""), entry).cluster_policy
            if "PASSTHROUGH" in (whole.simple, resolved.subset_simple):
                base, inline = "ORIGINAL_DST", False
        kind = "ORIGINAL_DST" if passthrough and base != "CLUSTER_PROVIDED" else base
        treatment, sends = resolved.treatment, resolved.sends
        outlier = resolved.cluster_policy.outlier_detection
        if dynamic(service):
            panic, resolved_setting = None, None
        else:
            panic, resolved_setting = panic_threshold(outlier, treatment.forced, treatment.sent), resolved.setting
        setting = (
            None if resolved_setting and resolved_setting.zone_aware and client.type == "waypoint" else resolved_setting
        )
        enabled = (outlier if inline else resolved.policy.outlier_detection) is not None
        groups: tuple[Group, ...] = ()
        # Such a cluster has no common_lb_config, into which applyOutlierDetection writes all the same.
        crash = dynamic(service) and outlier is not None
        failover_priority_applies = not inline or (
            self.semantics.dns_failover_priority and not destination.subset and client.type != "waypoint"
        )
        if kind == "EDS" or inline:
            groups = self.endpoints.groups(
                service, port, resolved.labels, unready=sends, node=node, inline=inline, view=view
            )
            if inline and not groups:
                return None
            crash = (
                inline
                and failover_priority_applies
                and self._crashes(setting, enabled, groups, service, port, resolved.labels)
            )
            if kind == "ORIGINAL_DST":
                groups = ()
        plain = Assignment(
            destination,
            service,
            kind,
            groups,
            entry,
            tier,
            resolved.policy,
            resolved.cluster_policy,
            resolved_setting,
            _ordered(setting, enabled),
            not dynamic(service) and self._weighted(resolved_setting, outlier is not None, client),
            panic,
            lb_policy(resolved.cluster_policy, kind),
            sends,
            resolved.distribution,
            crash,
            uncertain,
        )
        keys = tuple(key.split("=")[0] for key in resolved.setting.failover_priority) if resolved.setting else ()
        return _Common(plain, None if crash else setting, enabled, failover_priority_applies, keys, {})

    def _view(self, client: Client, entry: MergedRule | None, destination: Destination) -> NetworkView | None:
        """Return by which addresses a client reaches endpoints of other networks; None where no gateway is known."""
        if not self.places.networks.several:
            return None
        mode = _tls_mode(entry, destination, inherits=self.semantics.subset_tls_inherits)
        return NetworkView(client.network, client.type == "sidecar", client.families, mode in (None, "ISTIO_MUTUAL", 3))

    def _behind_gateways(self, client: Client, service: Service) -> bool:
        """Whether a gateway stands for some endpoint of a Service, as soon as istiod knows it."""
        networks, cluster = self.places.networks, self.snapshot.cluster
        if not networks.several:
            return False
        view = NetworkView(client.network, client.type == "sidecar", client.families, True)
        return any(
            not directly(endpoint.network, view, networks.reaching(endpoint.network, cluster, sidecar=view.sidecar))
            for endpoint in self.endpoints.known(service)
        )

    def _crashes(
        self,
        setting: Setting | None,
        enabled: bool,
        groups: tuple[Group, ...],
        service: Service,
        port: Port,
        labels: Labels,
    ) -> bool:
        """Whether failoverPriority on a DNS cluster makes istiod read behind the end of a list (istio issue 61857)."""
        if setting is None or not setting.failover_priority or setting.distribute or not setting.enabled:
            return False
        if not setting.applies(enabled):
            return False
        return self.endpoints.unfiltered(service, port, labels) > len(groups[0].members)

    def _weighted(self, setting: Setting | None, outlier: bool, client: Client) -> bool:
        if setting is None:
            return self._always_weighted
        if setting.zone_aware:
            return client.type == "waypoint" and self._always_weighted
        return self._always_weighted or bool(setting.distribute) or ((outlier or setting.forced) and setting.weighted)


class _Resolved(t.NamedTuple):
    policy: Policy
    cluster_policy: Policy
    distribution: str
    setting: Setting | None
    labels: dict[str, str]
    subset_simple: str
    treatment: Unready
    sends: bool


class _Common(t.NamedTuple):
    """What clients of one type have in common for one destination.

    `plain` is the assignment before a client's place is looked at, by `setting` (None: it is not). `keys` are the
    labels of clients it looks at; `arranged` the answers so far, by a client's locality and these labels.
    """

    plain: Assignment
    setting: Setting | None
    enabled: bool
    failover_priority_applies: bool
    keys: tuple[str, ...]
    arranged: dict[tuple[t.Any, ...], Assignment]


def _ordered(setting: Setting | None, enabled: bool) -> bool:
    if setting is None or not setting.enabled or setting.distribute:
        return False
    return setting.applies(enabled)


def _tls_mode(entry: MergedRule | None, destination: Destination, *, inherits: bool) -> t.Any:
    """Return the mode of a rule's `tls` for a port and subset; None when it says nothing.

    `inherits`: a subset without one has that of the rule.

    Source: istio 1.31 pilot/pkg/xds/endpoints/mtls_checker.go, tlsModeForDestinationRule.
    """
    if entry is None:
        return None
    policies = [mapping(entry.traffic_policy)]
    if destination.subset:
        if destination.subset not in entry.subsets:
            return None
        own_policy = mapping(entry.subsets[destination.subset][1].get("trafficPolicy"))
        policies = [own_policy, *policies] if inherits else [own_policy]
    for policy in policies:
        tls = mapping((policy or {}).get("tls"))
        for given in items((policy or {}).get("portLevelSettings")):
            level = mapping(given) or {}
            own = mapping(level.get("tls"))
            if own is not None and number((mapping(level.get("port")) or {}).get("number")) == destination.port:
                tls = own
                break
        if tls is not None:
            return tls.get("mode", "DISABLE")
    return None


def _labels_named(value: t.Any, depth: int = 0) -> set[str]:
    """Return the label names of every failoverPriority and sourceLabels below a spec, wherever they stand."""
    names: set[str] = set()
    if depth > 12:
        return names
    if isinstance(value, abc.Mapping):
        for key, item in value.items():
            if key == "failoverPriority":
                names |= {str(label).partition("=")[0] for label in items(item)}
            elif key == "sourceLabels":
                names |= set(map(str, mapping(item) or ()))
            else:
                names |= _labels_named(item, depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            names |= _labels_named(item, depth + 1)
    return names
