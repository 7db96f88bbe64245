# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is in whose way: DestinationRules and VirtualServices for one host. Which of them applies, _istio decides.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.destination_rules import (
    ROOT_NAMESPACE,
    MergedRule,
    Rule,
    Rules,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import (
    covers,
    resolve,
    service_namespace,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import DOMAIN

#: Stands for the clients in every namespace that has no rule of its own.
ELSEWHERE = "*"


def effective(
    rules: t.Iterable[Rule], host: str, owner: str, client: str, root: str = ROOT_NAMESPACE
) -> MergedRule | None:
    """Return the rules that apply to clients in namespace `client` without a rule made for their workload only.

    `owner` is the namespace of the Service. None: no rule applies, Envoy's and the mesh's defaults do.
    """
    rules_found = Rules(list(rules), root).find(host, owner, client)
    general = [entry for entry in rules_found.entries if entry.first.selector is None]
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

    `everywhere`: our trafficPolicy applies to no client at all because of that rule.
    """
    near = [r for r in others if (covers(r.host, ours.host) or covers(ours.host, r.host)) and str(r) != str(ours)]
    clashing = []
    for other in near:
        host = other.host if covers(ours.host, other.host) else ours.host
        owner = service_namespace(host) or ours.namespace
        places = [*sorted({ours.namespace, other.namespace, owner} | {r.namespace for r in near}), ELSEWHERE]
        everyone = [*near, ours]
        lost, won, stays = [], [], False
        for client in places:
            now = _policy(effective(everyone, host, owner, client, root))
            without_other = _policy(effective([r for r in everyone if r != other], host, owner, client, root))
            without_ours = _policy(effective([r for r in everyone if r != ours], host, owner, client, root))
            stays = stays or now == ours
            if now != ours and without_other == ours:
                lost.append(client)
            elif now == ours and without_ours == other:
                won.append(client)
        for clients, winner, loser in ((lost, other, ours), (won, ours, other)):
            if clients:
                why = _why(winner, loser, owner)
                clashing.append(
                    Clash(
                        str(other), host, str(winner), clients, why, winner is other and not stays and host == ours.host
                    )
                )
    return clashing


def _policy(entry: MergedRule | None) -> Rule | None:
    return entry.policy if entry else None


def _why(winner: Rule, loser: Rule, owner: str) -> str:
    if winner.namespace == loser.namespace:
        if winner.host != loser.host:
            return f"in one namespace the most specific host applies: {winner.host} before {loser.host}"
        if winner.selector != loser.selector:
            return "istiod merges a rule for all workloads into the one for some, with the same exportTo"
        if winner.export_to != loser.export_to:
            return "the two have different exportTo, and istiod keeps the last one that a client may see"
        return "istiod merges rules for one host, and takes the whole trafficPolicy of the oldest that has one"
    if winner.namespace == owner:
        return "without a rule in the client's namespace, the one in the Service's namespace applies"
    return "a rule in the client's own namespace goes before any other, even with a less specific host"


def describe(clash: Clash, ours: str) -> str:
    """Return one sentence about a clash for a human."""
    named = [name for name in clash.clients if name != ELSEWHERE]
    where = ", ".join(named)
    if ELSEWHERE in clash.clients:
        where = f"all namespaces{f' (among them {where})' if named else ''}"
    loser = ours if clash.wins != ours else clash.rule
    return f"DestinationRule {clash.wins} wins over {loser} for host {clash.host} and clients in {where}: {clash.why}."


class ConflictingRoute(t.NamedTuple):
    """A VirtualService of somebody else that routes the same host inside the mesh."""

    name: str
    namespace: str
    host: str
    public: bool
    retries_remote: bool


def routes(
    host: str, namespace: str, manifests: t.Iterable[t.Mapping[str, t.Any]], domain: str = DOMAIN
) -> list[ConflictingRoute]:
    """Return the VirtualServices that routes of sidecars to `host` are taken from already.

    `retries_remote`: all their http routes have retries.retryRemoteLocalities.
    """
    wanted = resolve(host, namespace, domain)
    conflicting = []
    for manifest in manifests:
        metadata, spec = manifest["metadata"], manifest.get("spec") or {}
        if "mesh" not in (spec.get("gateways") or ["mesh"]):
            continue
        exported = set(spec.get("exportTo") or ["*"])
        for entry in spec.get("hosts") or []:
            full = resolve(str(entry), metadata["namespace"], domain)
            if covers(full, wanted) or covers(wanted, full):
                http = spec.get("http") or []
                remote = bool(http) and all((r.get("retries") or {}).get("retryRemoteLocalities") for r in http)
                public = bool(exported & {"*", namespace}) or metadata["namespace"] == namespace
                conflicting.append(ConflictingRoute(metadata["name"], metadata["namespace"], full, public, remote))
                break
    return conflicting
