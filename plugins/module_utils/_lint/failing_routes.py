# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ML233, ML234 and ML239: routes whose requests fail today although everything that they name exists.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._forecast.routed_requests import Requests
from ansible_collections.meshops.locality.plugins.module_utils._forecast.selectors import short
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import ClientClass, Destination
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.routes import EnvoyRoute
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import View, uncertain
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    ERROR,
    INFO,
    ISTIO,
    WARNING,
    FieldChange,
    RuleResult,
    Where,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding_texts import count, in_vain, percent
from ansible_collections.meshops.locality.plugins.module_utils._lint.routes import route_place
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import rule


class _Hit(t.NamedTuple):
    """Who meets a failing route: `share` of the requests that take it, `which` they are, '' for all others."""

    share: float
    which: str
    kinds: dict[ClientClass, ClientClass]
    route: EnvoyRoute | None

    @property
    def clients(self) -> tuple[Client, ...]:
        return tuple(client for kind in self.kinds for client in kind.members)

    @property
    def requests(self) -> str:
        named = f" with {self.which}" if self.which else ""
        return f"{percent(self.share)} of the {in_vain(self.route)[0]}{named} of {count(len(self.clients), 'client')}"


@rule("ML233", ERROR, "A route to a subset without endpoints", f"{ISTIO}/destination-rule/#Subset")
def leads_to_no_endpoint(view: View) -> t.Iterator[RuleResult]:
    """The subset is there and its labels fit no endpoint, while the host has endpoints."""
    hits: dict[tuple[Where, str, str], _Hit] = {}
    totals: dict[str, int] = {}
    for kind, requests in view.routed:
        where = route_place(requests.route.source) if requests.route else None
        if where is None:
            continue
        for part in requests.parts:
            to = part.assignment.destination
            if not to.subset or any(group.members for group in part.assignment.groups):
                continue
            whole = view.planner.assignment(kind.representative, to._replace(subset=""))
            total = sum(len(group.members) for group in whole.groups) if whole else 0
            if not total:
                continue  # A Service without any endpoint is named as not judged.
            totals[to.host] = total
            hit = hits.setdefault((where, to.host, to.subset), _Hit(part.share, requests.which, {}, requests.route))
            hit.kinds[kind] = kind
    for (where, host, subset), hit in hits.items():
        yield RuleResult(
            where.below("route"),
            f"The route leads to subset {subset} of {short(host)}, whose labels none of "
            f"{count(totals[host], 'endpoint')} has.",
            f"{hit.requests} that take this route {in_vain(hit.route)[1]} today, before anything is lost.",
            "Deploy pods with the subset's labels before requests are led there, or take the destination out.",
            hit.clients,
            *uncertain(view),
        )


@rule("ML234", WARNING, "A fault that a route injects", f"{ISTIO}/virtual-service/#HTTPFaultInjection-Abort")
def aborts(view: View) -> t.Iterator[RuleResult]:
    """A VirtualService answers requests with an error on purpose: a test that was left in, most of the time."""
    hits: dict[Where, tuple[_Hit, int]] = {}
    for kind, requests in view.routed:
        where = route_place(requests.route.source) if requests.route else None
        if where is None or requests.route is None:
            continue
        fault = requests.route.fault
        if not fault.abort or fault.status < 400:
            continue
        # istiod refuses a fault with neither an abort nor a delay.
        place = where.below("fault.abort" if fault.delay else "fault")
        hit, _status = hits.setdefault(place, (_Hit(fault.abort, requests.which, {}, requests.route), fault.status))
        hit.kinds[kind] = kind
    for place, (hit, status) in hits.items():
        yield RuleResult(
            place,
            f"The route aborts {percent(hit.share)} of its requests with {status}.",
            f"{hit.requests} that take it fail today, before anything is lost. A client's Envoy sees no endpoint fail: "
            "nothing is ejected, and no request goes elsewhere.",
            "Take the fault out when its test is over, or suppress this with a reason.",
            hit.clients,
            patch=(FieldChange(place.object, place.path, None),),
        )


@rule(
    "ML239", ERROR, "Requests that no route takes, or one without a destination", f"{ISTIO}/virtual-service/#HTTPRoute"
)
def without_destination(view: View) -> t.Iterator[RuleResult]:
    """No endpoint is at fault, and Envoy answers requests with 404, or with 500 for a rule without backends."""
    by_host: dict[tuple[ClientClass, Destination], list[Requests]] = {}
    for kind, requests in view.routed:
        by_host.setdefault((kind, requests.destination), []).append(requests)
    hits: dict[tuple[Where, str, Destination], tuple[Requests, bool, list[ClientClass]]] = {}
    for (kind, destination), classes in by_host.items():
        places = [place for requests in classes if requests.route and (place := route_place(requests.route.source))]
        for requests in classes:
            codes = {error.code for error in requests.errors}
            if "no-route" in codes and places:
                where, code = places[0]._replace(path=places[0].path.partition("[")[0]), "no-route"
            elif "route-answers" in codes and requests.route and "VirtualService" not in requests.route.source:
                own = route_place(requests.route.source)
                if own is None:
                    continue
                where, code = own, "route-answers"
            else:
                continue  # a VirtualService that answers an error itself says so
            others = any(other.failing < 1 for other in classes)
            hits.setdefault((where, code, destination), (requests, others, []))[2].append(kind)
    for (where, code, destination), (requests, others, kinds) in hits.items():
        clients = tuple(client for kind in kinds for client in kind.members)
        host = f"{short(destination.host)}:{destination.port}"
        of_gateway_api = not where.object.startswith("VirtualService")
        if code == "no-route":
            yield RuleResult(
                where,
                f"Requests for {host} that match none of its routes get 404: there is no route for all others.",
                f"Once routes are for a host, Envoy has no other; {count(len(clients), 'client')} "
                f"{'has' if len(clients) == 1 else 'have'} them.",
                "A last rule without matches, with backendRefs."
                if of_gateway_api
                else "A last route without match, to the host itself.",
                clients,
                # Where others are answered, it may be meant.
                severity=INFO if others else "",
            )
            continue
        which = f" with {requests.which}" if requests.which else ""
        status = requests.route.status if requests.route else 500
        yield RuleResult(
            where,
            f"The rule has no backend for requests for {host}{which}, and no redirect: Envoy answers {status}.",
            f"Every such request of {count(len(clients), 'client')} fails today, before anything is lost.",
            "Add backendRefs, or a filter RequestRedirect.",
            clients,
        )
