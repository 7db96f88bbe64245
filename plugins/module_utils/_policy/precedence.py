# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which DestinationRule istiod takes for a host, and who is in whose way.

Source: istio 1.31 pilot/pkg/model/push_context.go (destinationRule, setDestinationRules), destination_rule.go
(mergeDestinationRule) and sidecar.go (SidecarScope.DestinationRule).

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

ROOT_NAMESPACE = "istio-system"
#: Stands for the clients in every namespace that has no rule of its own.
ELSEWHERE = "*"
#: Later than every creationTimestamp: a rule that is not written yet is the youngest.
NOT_YET = "~"


def resolve(host: str, namespace: str, domain: str = "cluster.local") -> str:
    """Return a rule's host as istiod reads it: only a name without any dot is completed, with the rule's namespace.

    Source: istio 1.31 pilot/pkg/model/virtualservice.go, ResolveShortnameToFQDN.
    """
    return host if "." in host or host == "*" else f"{host}.{namespace}.svc.{domain}"


def covers(wide: str, narrow: str) -> bool:
    """Whether a host, which may start with a `*`, matches another one. Source: istio 1.31 pkg/config/host/name.go."""
    if not wide.startswith("*"):
        return wide == narrow
    return len(narrow) >= len(wide) and narrow.removeprefix("*").endswith(wide[1:])


def service_namespace(host: str) -> str | None:
    """Return the namespace in `name.namespace.svc.domain`, or None when the host is not that of a Service."""
    parts = host.split(".")
    return parts[1] if len(parts) > 3 and parts[2] == "svc" and parts[0] != "*" else None


@dataclass(frozen=True)
class Rule:
    """What counts of a DestinationRule when istiod chooses one."""

    namespace: str
    name: str
    host: str
    created: str = NOT_YET
    export_to: frozenset[str] = frozenset()
    selector: tuple[tuple[str, str], ...] | None = None
    has_policy: bool = True

    @classmethod
    def from_manifest(cls, manifest: t.Mapping[str, t.Any]) -> Rule:
        """Read a DestinationRule as the API server returns it, or one that is not written yet."""
        metadata, spec = manifest["metadata"], manifest.get("spec") or {}
        namespace = metadata["namespace"]
        selector = spec.get("workloadSelector")
        return cls(
            namespace,
            metadata["name"],
            resolve(str(spec.get("host", "")), namespace),
            metadata.get("creationTimestamp") or NOT_YET,
            # A rule for some workloads is never exported.
            frozenset({"."} if selector else spec.get("exportTo") or ()),
            None if not selector else tuple(sorted((selector.get("matchLabels") or {}).items())),
            bool(spec.get("trafficPolicy")),
        )

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def private(self) -> bool:
        """Whether only clients of its own namespace see it."""
        return self.export_to in ({"."}, {self.namespace})

    @property
    def local(self) -> bool:
        """Whether clients of its own namespace see it."""
        return not self.export_to or bool(self.export_to & {"*", ".", self.namespace})


@dataclass
class Entry:
    """Rules for one host that istiod has merged into one."""

    first: Rule
    policy: Rule | None
    members: list[Rule] = field(default_factory=list)


def _merge(rules: t.Iterable[Rule]) -> dict[str, list[Entry]]:
    index: dict[str, list[Entry]] = {}
    for rule in sorted(rules, key=lambda r: (r.selector is None, r.created, r.name, r.namespace)):
        entries = index.setdefault(rule.host, [])
        separate = True
        for entry in entries:
            known = entry.first.export_to
            if rule.export_to == known:
                separate = False
            elif known and rule.export_to >= known:
                separate = True
            else:
                separate = True
                continue
            if rule.selector is not None and entry.first.selector is not None and rule.selector != entry.first.selector:
                separate = True
                continue
            if (rule.selector is None) == (entry.first.selector is None):
                separate = False
            entry.members.append(rule)
            if entry.policy is None and rule.has_policy:
                entry.policy = rule
        if separate:
            entries.append(Entry(rule, rule if rule.has_policy else None, [rule]))
    return index


def _most_specific(index: dict[str, list[Entry]], host: str) -> list[Entry]:
    if host in index:
        return index[host]
    wild = [key for key in index if key.startswith("*") and covers(key, host)]
    return index[max(wild, key=lambda key: (len(key), key))] if wild else []


def effective(
    rules: t.Collection[Rule], host: str, owner: str, client: str, root: str = ROOT_NAMESPACE
) -> Entry | None:
    """Return the rules that count for clients in namespace `client` without a rule made for their workload only.

    `owner` is the namespace of the Service. None: no rule counts, Envoy's and the mesh's defaults do.
    """
    if client == root:
        found = _most_specific(_merge(r for r in rules if r.namespace == root and r.private), host)
    else:
        found = _most_specific(_merge(r for r in rules if r.namespace == client and r.local), host)
    for namespace in (owner, root):
        if found:
            break
        exported = _most_specific(_merge(r for r in rules if r.namespace == namespace and not r.private), host)
        found = [e for e in exported if not e.first.export_to or e.first.export_to & {"*", client}]
    general = [entry for entry in found if entry.first.selector is None]
    return general[-1] if general else None


class Clash(t.NamedTuple):
    """Two rules for one host. `clients` are namespaces; `*` stands for all that have no rule of their own."""

    rule: str
    host: str
    wins: str
    clients: list[str]
    why: str
    everywhere: bool


def clashes(ours: Rule, others: t.Collection[Rule], root: str = ROOT_NAMESPACE) -> list[Clash]:
    """Return who is in our rule's way, and in whose way it is. `wins` is `namespace/name`.

    `everywhere`: our trafficPolicy counts for no client at all because of that rule.
    """
    near = [r for r in others if (covers(r.host, ours.host) or covers(ours.host, r.host)) and str(r) != str(ours)]
    found = []
    for other in near:
        host = other.host if covers(ours.host, other.host) else ours.host
        owner = service_namespace(host) or ours.namespace
        places = [*sorted({ours.namespace, other.namespace, owner} | {r.namespace for r in near}), ELSEWHERE]
        everyone = [*near, ours]
        lost, won, kept = [], [], False
        for client in places:
            now = _policy(effective(everyone, host, owner, client, root))
            without_other = _policy(effective([r for r in everyone if r != other], host, owner, client, root))
            without_ours = _policy(effective([r for r in everyone if r != ours], host, owner, client, root))
            kept = kept or now == ours
            if now != ours and without_other == ours:
                lost.append(client)
            elif now == ours and without_ours == other:
                won.append(client)
        for clients, winner, loser in ((lost, other, ours), (won, ours, other)):
            if clients:
                why = _why(winner, loser, owner)
                found.append(
                    Clash(
                        str(other), host, str(winner), clients, why, winner is other and not kept and host == ours.host
                    )
                )
    return found


def _policy(entry: Entry | None) -> Rule | None:
    return entry.policy if entry else None


def _why(winner: Rule, loser: Rule, owner: str) -> str:
    if winner.namespace == loser.namespace:
        if winner.host != loser.host:
            return f"in one namespace the most specific host counts: {winner.host} before {loser.host}"
        if winner.selector != loser.selector:
            return "istiod merges a rule for all workloads into the one for some, with the same exportTo"
        if winner.export_to != loser.export_to:
            return "the two have different exportTo, and istiod keeps the last one that a client may see"
        return "istiod merges rules for one host, and takes the whole trafficPolicy of the oldest that has one"
    if winner.namespace == owner:
        return "without a rule in the client's namespace, the one in the Service's namespace counts"
    return "a rule in the client's own namespace counts before any other, even with a less specific host"


def describe(clash: Clash, ours: str) -> str:
    """Return one sentence about a clash for a human."""
    named = [name for name in clash.clients if name != ELSEWHERE]
    where = ", ".join(named)
    if ELSEWHERE in clash.clients:
        where = f"all namespaces{f' (among them {where})' if named else ''}"
    loser = ours if clash.wins != ours else clash.rule
    return f"DestinationRule {clash.wins} wins over {loser} for host {clash.host} and clients in {where}: {clash.why}."


class Route(t.NamedTuple):
    """A VirtualService of somebody else that routes the same host inside the mesh."""

    name: str
    namespace: str
    host: str
    public: bool
    retries_remote: bool


def routes(host: str, namespace: str, manifests: t.Iterable[t.Mapping[str, t.Any]]) -> list[Route]:
    """Return the VirtualServices that routes of sidecars to `host` are taken from already.

    `retries_remote`: all their http routes have retries.retryRemoteLocalities.
    """
    wanted = resolve(host, namespace)
    found = []
    for manifest in manifests:
        metadata, spec = manifest["metadata"], manifest.get("spec") or {}
        if "mesh" not in (spec.get("gateways") or ["mesh"]):
            continue
        exported = set(spec.get("exportTo") or ["*"])
        for entry in spec.get("hosts") or []:
            full = resolve(str(entry), metadata["namespace"])
            if covers(full, wanted) or covers(wanted, full):
                http = spec.get("http") or []
                remote = bool(http) and all((r.get("retries") or {}).get("retryRemoteLocalities") for r in http)
                public = bool(exported & {"*", namespace}) or metadata["namespace"] == namespace
                found.append(Route(metadata["name"], metadata["namespace"], full, public, remote))
                break
    return found
