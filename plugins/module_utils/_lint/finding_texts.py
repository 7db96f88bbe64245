# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of findings.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.meshops.locality.plugins.module_utils._forecast.selectors import short
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.routes import EnvoyRoute
from ansible_collections.meshops.locality.plugins.module_utils._istio.sidecar_scope import port_of
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import Case
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.name_lists import first_names
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Port

#: How many names of a list are written out.
_SHOWN = 4


def count(number: int, what: str, many: str = "") -> str:
    """Return `1 client`, `2 clients`."""
    return f"{number} {what if number == 1 else many or what + 's'}"


def listed(names: t.Iterable[str]) -> str:
    """Return names with commas, the first few of many."""
    unique = list(dict.fromkeys(names))
    # "and 1 more" would be as long as the name.
    return first_names(unique, len(unique) if len(unique) == _SHOWN + 1 else _SHOWN)


def place(locality: Locality) -> str:
    """Return a locality, or words for none."""
    return str(locality) or "no locality"


def destinations(cases: t.Iterable[Case]) -> str:
    """Return the hosts, ports and subsets of cases: `web.a (ports 80, 443; subset v1)`."""
    ports: dict[str, dict[int, None]] = {}
    subsets: dict[str, dict[str, None]] = {}
    for case in sorted(cases, key=lambda case: case.assignment.destination):
        host, port, subset = case.assignment.destination
        ports.setdefault(host, {})[port] = None
        if subset:
            subsets.setdefault(host, {})[subset] = None
    sentences = []
    for host, numbers in ports.items():
        parts = []
        if len(numbers) > 1 or host in subsets:
            parts.append(f"port{'s' if len(numbers) > 1 else ''} {listed(str(number) for number in numbers)}")
        if host in subsets:
            many = "s" if len(subsets[host]) > 1 else ""
            parts.append(f"subset{many} {listed(subsets[host])}")
        sentences.append(short(host) + (f" ({'; '.join(parts)})" if parts else ""))
    return listed(sentences)


def spread(by_locality: t.Mapping[Locality, int]) -> str:
    """Return how many endpoints are where: `2 in r1/z1, 1 in r2`."""
    return listed(f"{number} in {place(locality)}" for locality, number in sorted(by_locality.items()))


def regions(by_locality: t.Mapping[Locality, int]) -> str:
    """Return how many endpoints are in which region."""
    summed: Counter[str] = Counter()
    for locality, number in by_locality.items():
        summed[locality.region] += number
    return listed(f"{number} in {name or 'no region'}" for name, number in sorted(summed.items()))


def unanswered(ports: t.Iterable[Port | None]) -> str:
    """Return what becomes of requests to these ports when no endpoint may answer: `every request gets 503`."""
    http = {port is None or port.may_be_http for port in ports}
    if http == {False}:
        return "every connection is closed at once"
    return "every request gets 503" + (", every connection to a TCP port is closed" if False in http else "")


def unanswered_cases(cases: t.Iterable[Case]) -> str:
    """Return what becomes of the requests of cases when no endpoint may answer them."""
    return unanswered(port_of(case.service, case.assignment.destination.port) for case in cases)


def in_vain(route: EnvoyRoute | None, status: int = 503) -> tuple[str, str]:
    """Return what a route takes, and what becomes of it without endpoints: (requests, get 503) for HTTP."""
    if route is not None and route.protocol != "http":
        return "connections", "are closed at once"
    return "requests", f"get {status}"


def clients_of(cases: t.Iterable[Case]) -> tuple[Client, ...]:
    """Return the clients of cases, each once, by name."""
    listed_cases = list(cases)
    kinds = frozenset(kind for case in listed_cases for kind in case.kinds)
    return listed_cases[0].shared.clients(kinds) if listed_cases else ()


def percent(share: float) -> str:
    """Return a share as `25 %`."""
    return f"{100 * share:.3g} %"
