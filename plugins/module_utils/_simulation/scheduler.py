# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which node each replica of a workload would get, if the nodes had room: labels, taints, affinities and spreading.

Deterministic, and near to the default scheduler without its look at resources: hard constraints hold, then every
constraint keeps its domains even, then zones, then nodes. Source: Kubernetes documentation, "Pod Topology Spread
Constraints" (its cluster-level defaults spread over zones and hosts), "Assigning Pods to Nodes".

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import Reading
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_objects import Object
from ansible_collections.meshops.locality.plugins.module_utils._model.label_selector import (
    read_requirements,
    read_selector,
    requirement_met,
    selector_matches,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import HOSTNAME_LABEL, ZONE_LABEL
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Json, Labels
from ansible_collections.meshops.locality.plugins.module_utils._simulation.node_fit import fitting_nodes

#: What tolerates every taint.
EVERYTHING = ({"operator": "Exists"},)
_HARD = "requiredDuringSchedulingIgnoredDuringExecution"
_SOFT = "preferredDuringSchedulingIgnoredDuringExecution"


class Term(t.NamedTuple):
    """The pods that a constraint is about: those of some namespaces that a selector matches, by their nodes' `key`."""

    key: str
    selector: Json
    namespaces: tuple[str, ...]


class Even(t.NamedTuple):
    """A constraint that keeps the domains of `term.key` even; `skew` is the largest difference, 0 when it is soft."""

    term: Term
    skew: int
    honours_taints: bool


@dataclass(frozen=True)
class Wish:
    """What a pod template asks of its nodes. `spec` is fit for the functions of node_fit.py."""

    namespace: str
    labels: Labels
    spec: Json
    node_name: str
    even: tuple[Even, ...]
    apart: tuple[Term, ...]
    together: tuple[Term, ...]
    preferred: tuple[tuple[int, Json], ...]
    #: Whether zones are kept even: not by constraints of its own that are about other pods, or none; they switch the
    #: scheduler's defaults off. Source: Kubernetes 1.35 podtopologyspread/scoring.go, initPreScoreState.
    zones: bool


@dataclass
class Load:
    """The pods that have a node already: by namespace their labels and nodes, and how many there are on each node."""

    pods: dict[str, list[tuple[Labels, str]]] = field(default_factory=lambda: defaultdict(list))
    on_node: Counter[str] = field(default_factory=Counter)

    def add(self, namespace: str, labels: Labels, node: str) -> None:
        """Take note of one more pod."""
        self.pods[namespace].append((labels, node))
        self.on_node[node] += 1


def wish(spec: Object, namespace: str, labels: Labels, reading: Reading) -> Wish:
    """Read what a PodSpec asks of nodes; what cannot be read is noted and left out."""
    affinity = reading.mapping(spec.get("affinity"), "affinity")
    node_affinity = reading.mapping(affinity.get("nodeAffinity"), "affinity.nodeAffinity")
    required = reading.mapping(node_affinity.get(_HARD), f"affinity.nodeAffinity.{_HARD}")
    terms = [
        _node_term(term, reading, path)
        for path, term in reading.mappings(required.get("nodeSelectorTerms"), "affinity.nodeAffinity.nodeSelectorTerms")
    ]
    tolerations = [
        {name: value for name, value in toleration.items() if isinstance(value, str)}
        for _path, toleration in reading.mappings(spec.get("tolerations"), "tolerations")
    ]
    clean: Json = {
        "nodeSelector": reading.labels(spec.get("nodeSelector"), "nodeSelector"),
        "tolerations": tolerations,
    }
    if terms:
        clean["affinity"] = {"nodeAffinity": {_HARD: {"nodeSelectorTerms": terms}}}
    apart = reading.mapping(affinity.get("podAntiAffinity"), "affinity.podAntiAffinity")
    together = reading.mapping(affinity.get("podAffinity"), "affinity.podAffinity")
    even = [
        _even(constraint, namespace, labels, reading, path)
        for path, constraint in reading.mappings(spec.get("topologySpreadConstraints"), "topologySpreadConstraints")
    ]
    zones = not even or any(selector_matches(constraint.term.selector, labels) for constraint in even)
    even += [
        Even(_term(_inner(preference, "podAffinityTerm", reading, path), namespace, reading, path), 0, False)
        for path, preference in reading.mappings(apart.get(_SOFT), f"affinity.podAntiAffinity.{_SOFT}")
    ]
    return Wish(
        namespace,
        labels,
        clean,
        reading.text(spec.get("nodeName"), "nodeName"),
        tuple(even),
        tuple(
            _term(term, namespace, reading, path)
            for path, term in reading.mappings(apart.get(_HARD), "podAntiAffinity")
        ),
        tuple(
            _term(term, namespace, reading, path) for path, term in reading.mappings(together.get(_HARD), "podAffinity")
        ),
        tuple(
            (
                reading.number(preference.get("weight"), f"{path}.weight"),
                _node_term(_inner(preference, "preference", reading, path), reading, path),
            )
            for path, preference in reading.mappings(node_affinity.get(_SOFT), f"affinity.nodeAffinity.{_SOFT}")
        ),
        zones,
    )


def _inner(item: t.Mapping[str, t.Any], name: str, reading: Reading, path: str) -> t.Mapping[str, t.Any]:
    return reading.mapping(item.get(name), f"{path}.{name}")


def _node_term(term: t.Mapping[str, t.Any], reading: Reading, path: str) -> Json:
    return {
        "matchExpressions": read_requirements(term.get("matchExpressions"), reading, f"{path}.matchExpressions"),
        "matchFields": read_requirements(term.get("matchFields"), reading, f"{path}.matchFields"),
    }


def _term(term: t.Mapping[str, t.Any], namespace: str, reading: Reading, path: str) -> Term:
    return Term(
        reading.text(term.get("topologyKey"), f"{path}.topologyKey"),
        read_selector(term.get("labelSelector"), reading, f"{path}.labelSelector"),
        reading.texts(term.get("namespaces"), f"{path}.namespaces") or (namespace,),
    )


def _even(constraint: t.Mapping[str, t.Any], namespace: str, labels: Labels, reading: Reading, path: str) -> Even:
    term = _term({**constraint, "namespaces": None}, namespace, reading, path)
    for name in reading.texts(constraint.get("matchLabelKeys"), f"{path}.matchLabelKeys"):
        if name in labels:
            term.selector["matchLabels"][name] = labels[name]
    hard = constraint.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule"
    skew = max(reading.number(constraint.get("maxSkew"), f"{path}.maxSkew", 1), 1) if hard else 0
    return Even(term, skew, constraint.get("nodeTaintsPolicy") == "Honor")


def spread(wanted: int, wish: Wish, nodes: t.Sequence[Json], load: Load) -> list[str]:
    """Return the nodes of at most `wanted` replicas, one name for each that has a place, and add them to the load.

    `nodes` are raw Node objects with a name and labels.
    """
    fitting = set(fitting_nodes(wish.spec, nodes))
    if wish.node_name:
        fitting = {wish.node_name} & {node["metadata"]["name"] for node in nodes}
    return _Spread(wish, nodes, fitting, load).place(wanted)


class _Spread:
    """Places the replicas of one workload. Nodes that differ only in their names form a group."""

    def __init__(self, wish: Wish, nodes: t.Sequence[Json], fitting: set[str], load: Load) -> None:
        self._wish = wish
        self._load = load
        self._labels: dict[str, Labels] = {
            node["metadata"]["name"]: node["metadata"].get("labels") or {} for node in nodes
        }
        reachable = set(fitting_nodes({**wish.spec, "tolerations": EVERYTHING}, nodes))
        self._even = []
        for constraint in wish.even:
            # Domains without any pod count too, those of tainted nodes unless the constraint says otherwise.
            domains = self._count(constraint.term)
            values = {
                self._value(name, constraint.term.key) for name in (fitting if constraint.honours_taints else reachable)
            }
            self._even.append((constraint, Counter({value: domains[value] for value in values if value is not None})))
        self._apart = [(term, set(self._count(term))) for term in wish.apart]
        self._together = [(term, set(self._count(term))) for term in wish.together]
        self._zones: Counter[str] = Counter()
        self._own: Counter[str] = Counter()
        terms = [*(constraint.term for constraint in wish.even), *wish.apart, *wish.together]
        keys = [*(term.key for term in terms if term.key != HOSTNAME_LABEL), ZONE_LABEL]
        #: Whether a placement may change what other groups may take: then nothing is remembered.
        self._moving = any(
            constraint.term.key == HOSTNAME_LABEL and constraint.skew for constraint in wish.even
        ) or any(term.key == HOSTNAME_LABEL for term in wish.together)
        groups: dict[tuple[t.Any, ...], list[str]] = defaultdict(list)
        for name in sorted(fitting):
            groups[(self._preferred(name), *(self._value(name, key) for key in keys))].append(name)
        self._groups = list(groups.values())
        self._best: list[tuple[t.Any, ...] | None] = [None] * len(self._groups)

    def place(self, wanted: int) -> list[str]:
        """Return the nodes of the replicas, as many as find one."""
        placed = []
        for _replica in range(wanted):
            choices = []
            for index, group in enumerate(self._groups):
                if not self._allowed(group[0], host=False):
                    continue
                if self._best[index] is None:
                    allowed = (name for name in group if self._allowed(name, host=True))
                    self._best[index] = min((self._score(name, host=True) for name in allowed), default=())
                if self._best[index]:
                    choices.append((self._score(group[0], host=False), self._best[index], index))
            if not choices:
                break
            _score, node, index = min(choices)
            name = t.cast(str, t.cast("tuple[t.Any, ...]", node)[-1])
            self._take(name)
            placed.append(name)
            self._best = [None] * len(self._groups) if self._moving else self._best
            self._best[index] = None
        return placed

    def _value(self, node: str, key: str) -> str | None:
        labels = self._labels.get(node)
        if labels is None:
            return None
        return labels.get(key, node if key == HOSTNAME_LABEL else None)

    def _count(self, term: Term) -> Counter[str]:
        """Return how many pods a term matches in each of its domains."""
        domains: Counter[str] = Counter()
        for namespace in term.namespaces:
            for labels, node in self._load.pods.get(namespace, ()):
                value = self._value(node, term.key)
                if value is not None and selector_matches(term.selector, labels):
                    domains[value] += 1
        return domains

    def _matches_itself(self, term: Term) -> bool:
        return self._wish.namespace in term.namespaces and selector_matches(term.selector, self._wish.labels)

    def _preferred(self, node: str) -> int:
        """Return minus the weights of the preferences that a node meets, so that the best come first."""
        return -sum(
            weight
            for weight, term in self._wish.preferred
            if all(requirement_met(expression, self._labels[node]) for expression in term["matchExpressions"])
            and all(requirement_met(matchfield, {"metadata.name": node}) for matchfield in term["matchFields"])
        )

    def _allowed(self, node: str, host: bool) -> bool:
        """Whether the hard constraints on nodes (`host`), or on larger domains, let one more replica be here."""
        for constraint, domains in self._even:
            if constraint.skew and (constraint.term.key == HOSTNAME_LABEL) is host:
                value = self._value(node, constraint.term.key)
                if value is None:
                    return False
                if (
                    domains[value] + self._matches_itself(constraint.term) - min(domains.values(), default=0)
                    > constraint.skew
                ):
                    return False
        for term, taken in self._apart:
            if (term.key == HOSTNAME_LABEL) is host and self._value(node, term.key) in taken:
                return False
        for term, there in self._together:
            if (term.key == HOSTNAME_LABEL) is host:
                value = self._value(node, term.key)
                # The first of a group that wants to be with its like may go anywhere.
                if value is None or (value not in there and (there or not self._matches_itself(term))):
                    return False
        return True

    def _score(self, node: str, host: bool) -> tuple[t.Any, ...]:
        """Return what the smaller of is better: constraints in their order, then evenly over zones, then nodes."""
        counted = []
        for constraint, domains in self._even:
            if (constraint.term.key == HOSTNAME_LABEL) is host:
                value = self._value(node, constraint.term.key)
                counted.append((value is None, domains[value] if value is not None else 0))
        if host:
            return (tuple(counted), self._own[node], self._load.on_node[node], node)
        zone = self._value(node, ZONE_LABEL) if self._wish.zones else None
        return (tuple(counted), self._preferred(node), self._zones[zone] if zone is not None else 0)

    def _take(self, node: str) -> None:
        self._own[node] += 1
        if (zone := self._value(node, ZONE_LABEL)) is not None:
            self._zones[zone] += 1
        for constraint, domains in self._even:
            if (value := self._value(node, constraint.term.key)) is not None and self._matches_itself(constraint.term):
                domains[value] += 1
        for term, values in (*self._apart, *self._together):
            if (value := self._value(node, term.key)) is not None and self._matches_itself(term):
                values.add(value)
        self._load.add(self._wish.namespace, self._wish.labels, node)
