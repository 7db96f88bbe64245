# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which DestinationRule istiod takes for a client and a host, out of all there are.

Source: istio 1.31 pilot/pkg/model/push_context.go (destinationRule, setDestinationRules), destination_rule.go
(mergeDestinationRule) and sidecar.go (SidecarScope.DestinationRule).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import abc
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import most_specific, resolve
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import DOMAIN, Config, Json, Labels

ROOT_NAMESPACE = "istio-system"
#: Later than every creationTimestamp: a rule that is not written yet is the youngest.
NOT_YET = "~"


@dataclass(frozen=True)
class Rule:
    """What istiod looks at of a DestinationRule when it chooses one. `selector` None: for all workloads."""

    namespace: str
    name: str
    host: str
    created: str = NOT_YET
    export_to: frozenset[str] = frozenset()
    selector: tuple[tuple[str, str], ...] | None = None
    policy: Json | None = field(default=None, compare=False)
    subsets: tuple[Json, ...] = field(default=(), compare=False)
    has_policy: bool = True

    @classmethod
    def from_config(cls, config: Config) -> Rule:
        """Read a DestinationRule; parts of a wrong type are absent."""
        spec = config.spec
        given = spec.get("workloadSelector")
        selector = None
        if given is not None:
            labels = given.get("matchLabels") if isinstance(given, abc.Mapping) else None
            selector = tuple(
                sorted((str(k), str(v)) for k, v in (labels if isinstance(labels, abc.Mapping) else {}).items())
            )
        exported = spec.get("exportTo")
        policy, subsets = spec.get("trafficPolicy"), spec.get("subsets")
        return cls(
            config.namespace,
            config.name,
            resolve(str(spec.get("host") or ""), config.namespace, config.domain),
            config.created or NOT_YET,
            # A rule for some workloads is never exported.
            frozenset({"."})
            if selector is not None
            else frozenset(str(entry) for entry in (exported if isinstance(exported, (list, tuple)) else ())),
            selector,
            dict(policy) if isinstance(policy, abc.Mapping) else None,
            tuple(
                dict(subset)
                for subset in (subsets if isinstance(subsets, (list, tuple)) else ())
                if isinstance(subset, abc.Mapping)
            ),
            isinstance(policy, abc.Mapping),
        )

    @classmethod
    def from_manifest(cls, manifest: t.Mapping[str, t.Any], domain: str = DOMAIN) -> Rule:
        """Read a DestinationRule as the API server returns it, or one that is not written yet."""
        metadata, spec = manifest["metadata"], manifest.get("spec") or {}
        created = metadata.get("creationTimestamp") or ""
        return cls.from_config(Config(metadata["namespace"], metadata["name"], spec, created, domain=domain))

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def local(self) -> bool:
        """Whether clients of its own namespace see it."""
        return not self.export_to or bool(self.export_to & {"*", ".", self.namespace})

    def private(self, default_private: bool = False) -> bool:
        """Whether only clients of its own namespace see it; `default_private` is the mesh's default for none."""
        if not self.export_to:
            return default_private
        return self.export_to in ({"."}, {self.namespace})


@dataclass
class MergedRule:
    """Rules for one host that istiod has merged into one; `policy` is the one whose trafficPolicy applies."""

    first: Rule
    policy: Rule | None
    members: list[Rule]
    subsets: dict[str, tuple[Rule, Json]]

    @classmethod
    def of(cls, rule: Rule) -> MergedRule:
        """Return a new entry with one rule."""
        return cls(rule, rule if rule.has_policy else None, [rule], _named(rule))

    @property
    def traffic_policy(self) -> Json | None:
        """The trafficPolicy that applies, whole."""
        return self.policy.policy if self.policy else None

    def merge(self, rule: Rule) -> None:
        """Take in a younger rule: subsets with new names, and its trafficPolicy when there is none yet."""
        self.members.append(rule)
        if self.policy is None and rule.has_policy:
            self.policy = rule
        for name, subset in _named(rule).items():
            self.subsets.setdefault(name, subset)


def _named(rule: Rule) -> dict[str, tuple[Rule, Json]]:
    named: dict[str, tuple[Rule, Json]] = {}
    for subset in rule.subsets:
        named.setdefault(str(subset.get("name") or ""), (rule, subset))
    return named


Index = dict[str, list[MergedRule]]


def order(rule: Rule) -> tuple[bool, str, str, str]:
    """Return what istiod sorts rules by: those for some workloads first, then the oldest."""
    return (rule.selector is None, rule.created, rule.name, rule.namespace)


def merged(rules: t.Iterable[Rule], enhanced: bool = True) -> Index:
    """Return host → entries of rules that share an index (one namespace, one visibility).

    `enhanced`: exportTo is looked at, too (istiod's ENABLE_ENHANCED_DESTINATIONRULE_MERGE).
    """
    index: Index = {}
    for rule in sorted(rules, key=order):
        entries = index.setdefault(rule.host, [])
        separate = True
        for entry in entries:
            known = entry.first.export_to
            if enhanced and rule.export_to == known:
                separate = False
            elif enhanced:
                separate = True
                if not known or not rule.export_to >= known:
                    continue
            if rule.selector is not None and entry.first.selector is not None and rule.selector != entry.first.selector:
                separate = True
                continue
            if (rule.selector is None) == (entry.first.selector is None):
                separate = False
            entry.merge(rule)
        if separate:
            entries.append(MergedRule.of(rule))
    return index


class VisibleRules(t.NamedTuple):
    """The entries for a host that a client namespace sees, and the tier they were found in ('' for none)."""

    entries: tuple[MergedRule, ...]
    tier: str


_NONE = VisibleRules((), "")


class Rules:
    """All DestinationRules of a mesh, indexed as istiod indexes them."""

    def __init__(
        self,
        rules: t.Collection[Rule],
        root: str = ROOT_NAMESPACE,
        default_export: t.Collection[str] | None = None,
        *,
        enhanced: bool = True,
    ) -> None:
        """`default_export`: the mesh's exportTo for rules without one; `enhanced`: see `merged`."""
        self.root = root
        #: Every rule by namespace and name.
        self.by_name = {(rule.namespace, rule.name): rule for rule in rules}
        private_default = default_export is not None and "." in default_export
        local: dict[str, list[Rule]] = {}
        exported: dict[str, list[Rule]] = {}
        private_root: list[Rule] = []
        for rule in rules:
            if rule.local:
                local.setdefault(rule.namespace, []).append(rule)
            if not rule.private(private_default):
                exported.setdefault(rule.namespace, []).append(rule)
            elif rule.namespace == root:
                private_root.append(rule)
        self._local = {namespace: merged(some, enhanced) for namespace, some in local.items()}
        self._exported = {namespace: merged(some, enhanced) for namespace, some in exported.items()}
        self._private_root = merged(private_root, enhanced)
        self._known: dict[tuple[str, str, str], VisibleRules] = {}

    def find(self, host: str, owner: str, client: str) -> VisibleRules:
        """Return the entries for a Service's host and clients in a namespace; `owner` is the Service's namespace."""
        key = (host, owner, client)
        if key not in self._known:
            self._known[key] = self._find(host, owner, client)
        return self._known[key]

    def _find(self, host: str, owner: str, client: str) -> VisibleRules:
        own = self._private_root if client == self.root else self._local.get(client, {})
        if (entries := most_specific(own, host)) is not None:
            return VisibleRules(tuple(entries), "client")
        for tier, namespace in (("service", owner), ("root", self.root)):
            entries = most_specific(self._exported.get(namespace, {}), host) or []
            seen = [e for e in entries if not e.first.export_to or e.first.export_to & {"*", client}]
            if seen:
                return VisibleRules(tuple(seen), tier)
        return _NONE

    def select(self, rules: VisibleRules, client: str, labels: Labels) -> MergedRule | None:
        """Return the entry for one client: the first made for its workload, else the last one for all workloads."""
        general = None
        for entry in rules.entries:
            if entry.first.selector is None:
                general = entry
            elif entry.first.namespace == client and all(labels.get(k) == v for k, v in entry.first.selector):
                return entry
        return general
