# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ML23x: routes that lead to nothing, to one place only, or past the rule that is meant for their host.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import difflib
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._forecast.routed_requests import Requests
from ansible_collections.meshops.locality.plugins.module_utils._forecast.selectors import short
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import covers, resolve
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import ClientClass, Destination
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items, mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import Case, View, uncertain
from ansible_collections.meshops.locality.plugins.module_utils._lint.endpoint_spread import ordering
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    ERROR,
    ISTIO,
    WARNING,
    FieldChange,
    Found,
    Where,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.phrases import (
    clients_of,
    count,
    destinations,
    listed,
    percent,
    spread,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.precedence import failover_parts
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import rule
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Config, Service

_DESTINATION = f"{ISTIO}/virtual-service/#Destination"


def route_place(source: str) -> Where | None:
    """Return where a route was written, from its `source` (`VirtualService shop/web http[0]`); None for Istio's own."""
    kind, _space, rest = source.partition(" ")
    name, _space, entry = rest.partition(" ")
    if kind not in ("VirtualService", "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute") or not entry:
        return None
    return Where(f"{kind} {name}", f"spec.{entry}")


class _Target(t.NamedTuple):
    """A destination as a route names it: `path` leads to it, the host is complete, `port` 0 when none is named."""

    config: Config
    kind: str
    path: str
    host: str
    port: int
    subset: str


def _targets(view: View) -> t.Iterator[_Target]:
    """Yield every destination that routes name, those of gateways, too."""
    for config in view.snapshot.virtual_services:
        for protocol in ("http", "tls", "tcp"):
            for index, entry in enumerate(items(config.spec.get(protocol))):
                for position, one in enumerate(items((mapping(entry) or {}).get("route"))):
                    target = mapping((mapping(one) or {}).get("destination"))
                    if target is None or not target.get("host"):
                        continue
                    yield _Target(
                        config,
                        "VirtualService",
                        f"spec.{protocol}[{index}].route[{position}].destination",
                        resolve(str(target["host"]), config.namespace),
                        number((mapping(target.get("port")) or {}).get("number")),
                        str(target.get("subset") or ""),
                    )
    for kind, configs in view.snapshot.api_routes.items():
        for config in configs:
            for index, entry in enumerate(items(config.spec.get("rules"))):
                for position, one in enumerate(items((mapping(entry) or {}).get("backendRefs"))):
                    found = _backend(config, kind, f"spec.rules[{index}].backendRefs[{position}]", mapping(one) or {})
                    if found is not None:
                        yield found


def _backend(config: Config, kind: str, path: str, one: t.Mapping[str, t.Any]) -> _Target | None:
    group, of = str(one.get("group", "")), str(one.get("kind", "Service"))
    name, namespace = str(one.get("name") or ""), str(one.get("namespace") or config.namespace)
    if not name or (group, of) not in (("", "Service"), ("core", "Service"), ("networking.istio.io", "Hostname")):
        return None
    host = name if of == "Hostname" else f"{name}.{namespace}.svc.cluster.local"
    return _Target(config, kind, path, host, number(one.get("port")), "")


@rule("ML230", ERROR, "A route to something that does not exist", _DESTINATION)
def leads_nowhere(view: View) -> t.Iterator[Found]:
    """No such host, port or subset: Envoy answers every request of the route itself, with an error."""
    services: dict[str, list[Service]] = {}
    for service in view.snapshot.services:
        services.setdefault(service.host, []).append(service)
    hit = _failing(view)
    named: set[Where] = set()
    for target in _targets(view):
        told = _missing(view, services, target)
        if told is None:
            continue
        field, message, fix, patch = told
        where = Where(f"{target.kind} {target.config}", f"{target.path}.{field}")
        own = where._replace(path=target.path.partition("].")[0] + "]")
        named.add(own)
        clients, share, status = hit.get(own, ((), 0.0, 503))
        yield Found(
            where,
            message,
            f"{percent(share)} of the requests of {count(len(clients), 'client')} that take this route get {status} "
            "today, before anything is lost."
            if clients
            else "Every request that takes this destination gets an error.",
            fix,
            clients,
            *(uncertain(view) if field == "host" else ("", "")),
            patch=patch,
        )
    yield from _unseen(view, hit, named)


#: Where a route stands → (clients whose requests fail, the largest share of them, the status they get).
_Failing = dict[Where, tuple[tuple[Client, ...], float, int]]


def _failing(view: View) -> _Failing:
    """Return the routes whose destinations istiod does not know, for the clients that take them."""
    found: dict[Where, tuple[dict[ClientClass, ClientClass], float, int]] = {}
    for kind, one in view.routed:
        where = route_place(one.route.source) if one.route else None
        if one.route is None or where is None:
            continue
        missing = sum(share for to, share in one.route.shares if view.planner.assignment(kind.one, to) is None)
        if missing:
            kinds, share, _status = found.setdefault(where, ({}, 0.0, 0))
            kinds[kind] = kind
            found[where] = (kinds, max(share, missing), one.route.missing)
    return {
        where: (tuple(client for kind in kinds.values() for client in kind.members), share, status)
        for where, (kinds, share, status) in found.items()
    }


def _missing(
    view: View, services: t.Mapping[str, list[Service]], one: _Target
) -> tuple[str, str, str, tuple[FieldChange, ...]] | None:
    """Return (field, message, fix, patch) when the host, the port or the subset is not there; else None."""
    known = services.get(one.host) or []
    where = f"{one.kind} {one.config}"
    gateway_api = one.kind != "VirtualService"
    if not known:
        near = _near(one.host, services)
        field = "name" if gateway_api else "host"
        fix = f"{field}: {short(near[0]) if gateway_api else near[0]}" if near else "Correct the name"
        patch = (FieldChange(where, f"{one.path}.host", near[0]),) if near and not gateway_api else ()
        return (
            field,
            f"The route leads to {short(one.host)}, and no Service or ServiceEntry has that name here.",
            f"{fix}, or give the Service as well if it exists elsewhere.",
            patch,
        )
    ports = sorted({port.number for service in known for port in service.ports})
    if one.port and one.port not in ports:
        field = "port" if gateway_api else "port.number"
        only, named = ports[0] if len(ports) == 1 else 0, listed(str(port) for port in ports)
        return (
            field,
            f"The route leads to port {one.port} of {short(one.host)}, which has {named}.",
            f"{field}: {only}" if only else f"Name one of {named}.",
            (FieldChange(where, f"{one.path}.port.number", only),) if only and not gateway_api else (),
        )
    if not one.subset:
        return None
    subsets = {
        str((mapping(entry) or {}).get("name") or ""): rule_of
        for rule_of in view.rules.values()
        if covers(rule_of.host, one.host)
        for entry in rule_of.subsets
    }
    if one.subset in subsets:
        return None
    rules = [rule_of for rule_of in view.rules.values() if covers(rule_of.host, one.host)]
    near = difflib.get_close_matches(one.subset, sorted(subsets), 1, 0.8)
    there = f"the subsets are {listed(sorted(subsets))}" if subsets else "no DestinationRule for it has any subset"
    add = f"a subset {one.subset} in DestinationRule {rules[0]}" if rules else "a DestinationRule with that subset"
    return (
        "subset",
        f"The route leads to subset {one.subset} of {short(one.host)}, which no DestinationRule has: {there}.",
        f"subset: {near[0]}" if near else f"Name another subset, or write {add}.",
        (FieldChange(where, f"{one.path}.subset", near[0]),) if near else (),
    )


def _near(host: str, known: t.Iterable[str]) -> list[str]:
    """Return the known host that is nearly this one: with another first name that looks like it."""
    first, _dot, rest = host.partition(".")
    names = {one.partition(".")[0]: one for one in known if one.partition(".")[2] == rest}
    return [names[match] for match in difflib.get_close_matches(first, sorted(names), 1, 0.85)]


def _unseen(view: View, hit: _Failing, named: set[Where]) -> t.Iterator[Found]:
    """Yield the routes to what exists, but not for the clients that take them."""
    for where, (clients, share, status) in sorted(hit.items()):
        if where in named:
            continue
        told = [
            f"{short(to.host)}:{to.port}" + (f" (subset {to.subset})" if to.subset else "")
            for kind, one in view.routed
            if one.route and route_place(one.route.source) == where
            for to, _share in one.route.shares
            if view.planner.assignment(kind.one, to) is None
        ]
        yield Found(
            where,
            f"The route leads to {listed(told)}, which {count(len(clients), 'client')} that take it do not know.",
            f"{percent(share)} of their requests get {status} today, before anything is lost: exportTo, a Sidecar "
            "or the namespace of a DestinationRule hides it from them.",
            "Export the Service, and the DestinationRule with its subsets, to these clients.",
            clients,
        )


@rule("ML231", WARNING, "A route ties a host to one place", f"{ISTIO}/virtual-service/#HTTPRouteDestination")
def tied(view: View) -> t.Iterator[Found]:
    """All requests go to destinations whose endpoints are in one zone, although the host has more elsewhere."""
    found: dict[tuple[Where, str], tuple[dict[ClientClass, ClientClass], Requests, list[Case]]] = {}
    by_destination: dict[tuple[ClientClass, Destination], Case] = {}
    for case in view.cases:
        for kind in case.kinds:
            by_destination[kind, case.assignment.destination] = case
    for kind, one in view.routed:
        where = route_place(one.route.source) if one.route else None
        whole = by_destination.get((kind, one.destination))
        parts = [by_destination.get((kind, part.assignment.destination)) for part in one.parts]
        if where is None or whole is None or not parts or one.unfit or one.failing:
            continue
        cases = [case for case in parts if case is not None]
        if ordering(cases):
            continue  # ML520 says it
        zones = {(here.region, here.zone) for case in cases for here in case.counts}
        others = {(here.region, here.zone) for here in whole.counts} - zones
        # A whole Service that is in one place is ML520's.
        if len(zones) == 1 and others and all(case.assignment.destination.subset for case in cases):
            key = (where, one.destination.host)
            found.setdefault(key, ({}, one, cases))[0][kind] = kind
    for (where, host), (kinds, one, cases) in found.items():
        first, *_rest = kinds
        whole = by_destination[first, one.destination]
        ((region, zone),) = {(here.region, here.zone) for case in cases for here in case.counts}
        there = f"{region}/{zone}" if zone else region or "no locality"
        which = f" with {one.which}" if one.matches else ""
        number = sum(case.total for case in cases)
        yield Found(
            where.below("route"),
            f"All requests to {short(host)}{which} go to {destinations(cases)}, whose {count(number, 'endpoint')} "
            f"{'is' if number == 1 else 'are'} in {there}.",
            f"When {there} is lost, each of them gets 503, although {short(host)} has {spread(whole.counts)}: subsets "
            "have no failover into each other.",
            "Endpoints of the subset in a second zone, or a route to a subset that has some.",
            tuple(client for kind in kinds.values() for client in kind.members),
        )


@rule("ML232", WARNING, "Routes lead past a rule", _DESTINATION)
def bypassed(view: View) -> t.Iterator[Found]:
    """A DestinationRule with failover is for a host whose requests all go elsewhere."""
    reached = {(kind, case.assignment.destination) for case in view.used for kind in case.kinds}
    led = {one.destination.host: one for _kind, one in view.routed if not one.failing}
    for one in view.rules.values():
        if one.host.startswith("*") or one.host not in led:
            continue
        parts = failover_parts(one.policy)
        cases = [
            case
            for case in view.services.get(one.host, ())
            if case.assignment.entry is not None and one in case.assignment.entry.members
        ]
        if not parts or not cases:
            continue
        if any((kind, case.assignment.destination) in reached for case in cases for kind in case.kinds):
            continue
        route = led[one.host].route
        targets = list(dict.fromkeys(short(to.host) for to, _share in route.shares)) if route else []
        to = f" to {listed(targets)}" if targets else ""
        yield Found(
            view.place(one, "host"),
            f"No request takes this rule: {route.source if route else 'a route'} leads those for {short(one.host)}"
            f"{to}.",
            f"Its {' and '.join(parts)} {'do' if len(parts) > 1 else 'does'} nothing for the requests of "
            f"{count(len(clients_of(cases)), 'client')}.",
            f"Write the rule for {listed(targets) or 'where the requests go'}.",
            clients_of(cases),
        )
