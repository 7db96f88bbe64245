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
from ansible_collections.meshops.locality.plugins.module_utils._istio.gateway_api_backends import (
    RefusedRoute,
    destination_of,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import covers, resolve
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import ClientClass, Destination
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.route_source import RouteSource
from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items, mapping, number
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import Case, View, uncertain
from ansible_collections.meshops.locality.plugins.module_utils._lint.endpoint_spread import ordering
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    ERROR,
    ISTIO,
    WARNING,
    FieldChange,
    RuleResult,
    Where,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding_texts import (
    clients_of,
    count,
    destinations,
    in_vain,
    listed,
    percent,
    spread,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.precedence import failover_parts
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import rule
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Config, Service

_DESTINATION = f"{ISTIO}/virtual-service/#Destination"


def route_place(source: str) -> Where | None:
    """Return where a route is written, from its `source`; None for Istio's own and settings."""
    return Where(source.object, f"spec.{source.field}") if isinstance(source, RouteSource) else None


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
                for position, destination in enumerate(items((mapping(entry) or {}).get("route"))):
                    target = mapping((mapping(destination) or {}).get("destination"))
                    if target is None or not target.get("host"):
                        continue
                    yield _Target(
                        config,
                        "VirtualService",
                        f"spec.{protocol}[{index}].route[{position}].destination",
                        resolve(str(target["host"]), config.namespace, config.domain),
                        number((mapping(target.get("port")) or {}).get("number")),
                        str(target.get("subset") or ""),
                    )
    for kind, configs in view.snapshot.api_routes.items():
        for config in configs:
            for index, entry in enumerate(items(config.spec.get("rules"))):
                for position, backend in enumerate(items((mapping(entry) or {}).get("backendRefs"))):
                    backend_target = _backend(
                        config, kind, f"spec.rules[{index}].backendRefs[{position}]", mapping(backend) or {}
                    )
                    if backend_target is not None:
                        yield backend_target


def _backend(config: Config, kind: str, path: str, backend: t.Mapping[str, t.Any]) -> _Target | None:
    try:
        destination, exists = destination_of(backend, config, lambda _reference: True)
    except RefusedRoute:
        return None
    if not exists or not backend.get("name"):
        return None
    return _Target(config, kind, path, destination["host"], destination["port"]["number"], "")


@rule("ML230", ERROR, "A route to something that does not exist", _DESTINATION)
def leads_nowhere(view: View) -> t.Iterator[RuleResult]:
    """No such host, port or subset: Envoy answers every request of the route itself, with an error."""
    services: dict[str, list[Service]] = {}
    for service in view.snapshot.services:
        services.setdefault(service.host, []).append(service)
    hit = _failing(view)
    named: set[Where] = set()
    for target in _targets(view):
        missing = _missing(view, services, target)
        if missing is None:
            continue
        field, message, fix, patch = missing
        where = Where(f"{target.kind} {target.config}", f"{target.path}.{field}")
        own = where._replace(path=target.path.partition("].")[0] + "]")
        named.add(own)
        clients, share, (units, fate) = hit.get(own, ((), 0.0, in_vain(None)))
        yield RuleResult(
            where,
            message,
            f"{percent(share)} of the {units} of {count(len(clients), 'client')} that take this route {fate} "
            "today, before anything is lost."
            if clients
            else "Every request that takes this destination gets an error.",
            fix,
            clients,
            *(uncertain(view) if field == "host" else ("", "")),
            patch=patch,
        )
    yield from _unseen(view, hit, named)


#: Where a route stands → (clients whose requests fail, the largest share of them, what becomes of them: see in_vain).
_Failing = dict[Where, tuple[tuple[Client, ...], float, tuple[str, str]]]


def _failing(view: View) -> _Failing:
    """Return the routes whose destinations istiod does not know, for the clients that take them."""
    by_place: dict[Where, tuple[dict[ClientClass, ClientClass], float, tuple[str, str]]] = {}
    for kind, requests in view.routed:
        where = route_place(requests.route.source) if requests.route else None
        if requests.route is None or where is None:
            continue
        missing = sum(
            share for to, share in requests.route.shares if view.planner.assignment(kind.representative, to) is None
        )
        if missing:
            fate = in_vain(requests.route, requests.route.missing)
            kinds, share, _fate = by_place.setdefault(where, ({}, 0.0, fate))
            kinds[kind] = kind
            by_place[where] = (kinds, max(share, missing), fate)
    return {
        where: (tuple(client for kind in kinds.values() for client in kind.members), share, fate)
        for where, (kinds, share, fate) in by_place.items()
    }


def _missing(
    view: View, services: t.Mapping[str, list[Service]], target: _Target
) -> tuple[str, str, str, tuple[FieldChange, ...]] | None:
    """Return (field, message, fix, patch) when the host, the port or the subset is not there; else None."""
    known = services.get(target.host) or []
    where = f"{target.kind} {target.config}"
    gateway_api = target.kind != "VirtualService"
    if not known:
        near = _near(target.host, services)
        name = short(target.host) if target.host.endswith(f".svc.{view.snapshot.domain}") else target.host
        field = "name" if gateway_api else "host"
        fix = f"{field}: {short(near[0]) if gateway_api else near[0]}" if near else "Correct the name"
        patch = (FieldChange(where, f"{target.path}.host", near[0]),) if near and not gateway_api else ()
        return (
            field,
            f"The route leads to {name}, and no Service or ServiceEntry has that name here.",
            f"{fix}, or give the Service as well if it exists elsewhere.",
            patch,
        )
    ports = sorted({port.number for service in known for port in service.ports})
    if target.port and target.port not in ports:
        field = "port" if gateway_api else "port.number"
        only, named = ports[0] if len(ports) == 1 else 0, listed(str(port) for port in ports)
        return (
            field,
            f"The route leads to port {target.port} of {short(target.host)}, which has {named}.",
            f"{field}: {only}" if only else f"Name one of {named}.",
            (FieldChange(where, f"{target.path}.port.number", only),) if only and not gateway_api else (),
        )
    if not target.subset:
        return None
    subsets = {
        str((mapping(entry) or {}).get("name") or ""): rule_of
        for rule_of in view.rules.values()
        if covers(rule_of.host, target.host)
        for entry in rule_of.subsets
    }
    if target.subset in subsets:
        return None
    rules = [rule_of for rule_of in view.rules.values() if covers(rule_of.host, target.host)]
    near = difflib.get_close_matches(target.subset, sorted(subsets), 1, 0.8)
    there = f"the subsets are {listed(sorted(subsets))}" if subsets else "no DestinationRule for it has any subset"
    add = f"a subset {target.subset} in DestinationRule {rules[0]}" if rules else "a DestinationRule with that subset"
    return (
        "subset",
        f"The route leads to subset {target.subset} of {short(target.host)}, which no DestinationRule has: {there}.",
        f"subset: {near[0]}" if near else f"Name another subset, or write {add}.",
        (FieldChange(where, f"{target.path}.subset", near[0]),) if near else (),
    )


def _near(host: str, known: t.Iterable[str]) -> list[str]:
    """Return the known host that is nearly this one: with another first name that looks like it."""
    first, _dot, rest = host.partition(".")
    names = {other.partition(".")[0]: other for other in known if other.partition(".")[2] == rest}
    return [names[match] for match in difflib.get_close_matches(first, sorted(names), 1, 0.85)]


def _unseen(view: View, hit: _Failing, named: set[Where]) -> t.Iterator[RuleResult]:
    """Yield the routes to what exists, but not for the clients that take them."""
    for where, (clients, share, (units, fate)) in sorted(hit.items()):
        if where in named:
            continue
        targets = [
            f"{short(to.host)}:{to.port}" + (f" (subset {to.subset})" if to.subset else "")
            for kind, requests in view.routed
            if requests.route and route_place(requests.route.source) == where
            for to, _share in requests.route.shares
            if view.planner.assignment(kind.representative, to) is None
        ]
        yield RuleResult(
            where,
            f"The route leads to {listed(targets)}, which {count(len(clients), 'client')} that take it do not know.",
            f"{percent(share)} of their {units} {fate} today, before anything is lost: exportTo, a Sidecar "
            "or the namespace of a DestinationRule hides it from them.",
            "Export the Service, and the DestinationRule with its subsets, to these clients.",
            clients,
        )


@rule("ML231", WARNING, "A route ties a host to one place", f"{ISTIO}/virtual-service/#HTTPRouteDestination")
def tied(view: View) -> t.Iterator[RuleResult]:
    """All requests go to destinations whose endpoints are in one zone, although the host has more elsewhere."""
    by_place: dict[tuple[Where, str], tuple[dict[ClientClass, ClientClass], Requests, list[Case]]] = {}
    by_destination: dict[tuple[ClientClass, Destination], Case] = {}
    for case in view.cases:
        for kind in case.kinds:
            by_destination[kind, case.assignment.destination] = case
    for kind, requests in view.routed:
        where = route_place(requests.route.source) if requests.route else None
        whole = by_destination.get((kind, requests.destination))
        parts = [by_destination.get((kind, part.assignment.destination)) for part in requests.parts]
        if where is None or whole is None or not parts or requests.unfit or requests.failing:
            continue
        cases = [case for case in parts if case is not None]
        if ordering(cases):
            continue  # ML520 says it
        zones = {(here.region, here.zone) for case in cases for here in case.localities}
        others = {(here.region, here.zone) for here in whole.localities} - zones
        # A whole Service that is in one place is ML520's.
        if len(zones) == 1 and others and all(case.assignment.destination.subset for case in cases):
            key = (where, requests.destination.host)
            by_place.setdefault(key, ({}, requests, cases))[0][kind] = kind
    for (where, host), (kinds, requests, cases) in by_place.items():
        first, *_rest = kinds
        whole = by_destination[first, requests.destination]
        ((region, zone),) = {(here.region, here.zone) for case in cases for here in case.localities}
        there = f"{region}/{zone}" if zone else region or "no locality"
        which = f" with {requests.which}" if requests.matches else ""
        number = sum(case.total for case in cases)
        units, fate = in_vain(requests.route)
        yield RuleResult(
            where.below("route"),
            f"All {units} to {short(host)}{which} go to {destinations(cases)}, whose {count(number, 'endpoint')} "
            f"{'is' if number == 1 else 'are'} in {there}.",
            f"When {there} is lost, they {fate}, although {short(host)} has {spread(whole.localities)}: "
            "subsets have no failover into each other.",
            "Endpoints of the subset in a second zone, or a route to a subset that has some.",
            tuple(client for kind in kinds.values() for client in kind.members),
        )


@rule("ML232", WARNING, "Routes lead past a rule", _DESTINATION)
def bypassed(view: View) -> t.Iterator[RuleResult]:
    """A DestinationRule with failover is for a host whose requests all go elsewhere."""
    reached = {(kind, case.assignment.destination) for case in view.used for kind in case.kinds}
    led = {
        requests.destination.host: requests
        for _kind, requests in view.routed
        if requests.route and requests.route.targets and not requests.failing
    }
    for destination_rule in view.rules.values():
        if destination_rule.host.startswith("*") or destination_rule.host not in led:
            continue
        parts = failover_parts(destination_rule.policy)
        cases = [
            case
            for case in view.services.get(destination_rule.host, ())
            if case.assignment.entry is not None and destination_rule in case.assignment.entry.members
        ]
        if not parts or not cases:
            continue
        if any((kind, case.assignment.destination) in reached for case in cases for kind in case.kinds):
            continue
        route = led[destination_rule.host].route
        targets = list(dict.fromkeys(short(to.host) for to, _share in route.shares)) if route else []
        to = f" to {listed(targets)}" if targets else ""
        yield RuleResult(
            view.place(destination_rule, "host"),
            f"No request takes this rule: {route.source if route else 'a route'} leads those "
            f"for {short(destination_rule.host)}"
            f"{to}.",
            f"Its {' and '.join(parts)} {'do' if len(parts) > 1 else 'does'} nothing for the requests of "
            f"{count(len(clients_of(cases)), 'client')}.",
            f"Write the rule for {listed(targets) or 'where the requests go'}.",
            clients_of(cases),
        )
