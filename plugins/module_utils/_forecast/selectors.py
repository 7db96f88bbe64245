# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Services, clients and losses a person means: names as people write them, and near names when there is none.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import difflib
import typing as t
from collections import abc
from fnmatch import fnmatchcase

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import (
    LEVELS,
    Loss,
    Losses,
    place_of,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import ClientClass, Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Service

#: How many near names an error has.
_NEAR = 5


def names_of(service: Service) -> tuple[str, ...]:
    """Return what people call a Service: its host, and for one of Kubernetes `name`, `name.namespace`, `….svc`."""
    if service.registry != "Kubernetes":
        return (service.host,)
    name = service.host.partition(".")[0]
    return service.host, name, f"{name}.{service.namespace}", f"{name}.{service.namespace}.svc"


def short(host: str) -> str:
    """Return the host of a Service of Kubernetes as `name.namespace`, any other as it is."""
    name, separator, _domain = host.partition(".svc.")
    return name if separator and name.count(".") == 1 else host


def services(planner: Planner, wanted: t.Sequence[str], namespace: str = "") -> list[Service]:
    """Return the Services that some of the names or globs mean, in the snapshot's order; without names all.

    `namespace`: only those of it. Raises InvalidInput, with near names, when a name means none.
    """
    within = [service for service in planner.snapshot.services if not namespace or service.namespace == namespace]
    if namespace and not within:
        known = sorted({service.namespace for service in planner.snapshot.services})
        raise InvalidInput(f"There is no Service in namespace {namespace!r}{_near(namespace, known)}.")
    if not wanted:
        return within
    chosen: dict[tuple[str, str, str], Service] = {}
    for name in wanted:
        matching = [service for service in within if any(fnmatchcase(known, name) for known in names_of(service))]
        if not matching:
            known = sorted({short(service.host) for service in within})
            where = f" in namespace {namespace}" if namespace else ""
            raise InvalidInput(
                f"There is no Service {name!r}{where}{_near(name, known)}.",
                do="Write a host, name.namespace, or a glob of them.",
            )
        chosen.update({(*service.key, service.source): service for service in matching})
    return [service for service in within if (*service.key, service.source) in chosen]


def clients(planner: Planner, wanted: t.Sequence[str]) -> list[ClientClass]:
    """Return the classes of clients with those members that some of the texts mean; without texts all.

    A text with `=` is a label selector (`app=sleep,version!=v1`); any other is a name or glob of `namespace/pod`, of
    the pod alone, or of the locality. Raises InvalidInput when one means nobody.
    """
    if not wanted:
        return list(planner.classes)
    keys: set[str] = set()
    for text in wanted:
        meant = {client.key for client in planner.clients if _meant(client, text)}
        if not meant:
            known = sorted(
                {client.key for client in planner.clients} | {str(client.locality) for client in planner.clients}
            )
            raise InvalidInput(
                f"There is no client {text!r}{_near(text, known)}.",
                do="Write namespace/pod, a locality, a glob of them, or a label selector: app=sleep.",
            )
        keys |= meant
    narrowed = []
    for kind in planner.classes:
        members = tuple(member for member in kind.members if member.key in keys)
        if members:
            narrowed.append(ClientClass(members[0], members))
    return narrowed


def _meant(client: Client, text: str) -> bool:
    if "=" in text:
        return all(_labelled(client, part.strip()) for part in text.split(",") if part.strip())
    return any(fnmatchcase(name, text) for name in (client.key, client.name, str(client.locality)))


def _labelled(client: Client, part: str) -> bool:
    name, unequal, value = part.partition("!=")
    if unequal:
        return client.labels.get(name.strip()) != value.strip()
    name, equal, value = part.replace("==", "=", 1).partition("=")
    label = client.labels.get(name.strip())
    return label == value.strip() if equal else label is not None


def losses(planner: Planner, wanted: t.Sequence[t.Any]) -> list[Losses]:
    """Read losses as people write them.

    Each is a text `zone cn-north-4b`, a dictionary {level, place} or {zone: cn-north-4b}, or several at once: a list
    of these, or a text with ` + ` between them. A place may be the last part of its name; a glob is everything that
    matches, lost together. Raises InvalidInput for a place that does not exist, with near names.
    """
    known: dict[str, list[str]] = {}
    return [_together(planner, entry, known, f"losses[{index}]") for index, entry in enumerate(wanted)]


def _together(planner: Planner, given: t.Any, known: dict[str, list[str]], where: str) -> Losses:
    parts: t.Sequence[t.Any] = given if isinstance(given, (list, tuple)) else [given]
    if isinstance(given, str):
        parts = given.split(" + ")
    joint: dict[Loss, None] = {}
    for part in parts:
        level, place = _level_and_place(part, where)
        if level not in known:
            known[level] = places_at(planner, level)
        joint.update(dict.fromkeys(Loss(level, name) for name in _places(level, place, known[level])))
    if not joint:
        raise InvalidInput(f"{where} names nothing.", do="Write a level and a place: `zone r1/z1`.")
    return tuple(joint)


def _level_and_place(part: t.Any, where: str) -> tuple[str, str]:
    if isinstance(part, abc.Mapping):
        if set(part) == {"level", "place"}:
            level, place = str(part["level"]), str(part["place"])
        elif len(part) == 1:
            level, place = next((str(key), str(value)) for key, value in part.items())
        else:
            raise InvalidInput(
                f"{where} has the keys {', '.join(map(str, part)) or '(none)'}.", do="Give level and place, no more."
            )
    elif isinstance(part, str):
        level, _blank, place = part.strip().partition(" ")
    else:
        raise InvalidInput(f"{where} is {part!r}.", do="Write a level and a place: `zone r1/z1`.")
    if level not in LEVELS or not place.strip():
        raise InvalidInput(
            f"{where}: {part!r} is no loss.",
            do=f"Write a level ({', '.join(LEVELS)}) and a place: `zone r1/z1`, `node n1`, `pod shop/cart-0`. "
            """Behind -e a value with a blank has to be JSON: -e '{"forecast_losses": ["zone r1/z1"]}'.""",
        )
    return level, place.strip()


def places_at(planner: Planner, level: str) -> list[str]:
    """Return the names of all places of a level that hold a node, a client or an endpoint."""
    snapshot = planner.snapshot
    places = {place_of(level, client.locality, client.key, client.node) for client in planner.clients}
    for service in snapshot.services:
        for known in planner.endpoints.known(service):
            locality = Locality.parse(known.locality)
            if level == "pod" and not known.pod:
                places |= {f"{known.address}:{number}" for _name, number in known.ports}
            else:
                places.add(place_of(level, locality, known.pod, known.node))
    if level != "pod":
        places |= {place_of(level, node.locality, "", node.name) for node in snapshot.nodes}
    return sorted(places - {""})


def _places(level: str, place: str, known: t.Sequence[str]) -> list[str]:
    if place in known:
        return [place]
    ends = [name for name in known if name.endswith(f"/{place}")]
    if len(ends) == 1:
        return ends
    if len(ends) > 1:
        raise InvalidInput(f"{level} {place} is one of {', '.join(ends[:_NEAR])}.", do="Write the whole name.")
    if any(sign in place for sign in "*?["):
        matching = [name for name in known if fnmatchcase(name, place) or fnmatchcase(name.rpartition("/")[2], place)]
        if matching:
            return matching
    raise InvalidInput(f"There is no {level} {place!r}{_near(place, known)}.")


def _near(name: str, known: t.Sequence[str]) -> str:
    """Return `; near: …` with names that come close, else some of those there are."""
    tails = {place.rpartition("/")[2]: place for place in known}
    close = difflib.get_close_matches(name, known, n=_NEAR) or [
        tails[tail] for tail in difflib.get_close_matches(name, tails, n=_NEAR)
    ]
    if close:
        return f"; near: {', '.join(close)}"
    some = ", ".join(known[:_NEAR])
    more = " …" if len(known) > _NEAR else ""
    return f"; there are {some}{more}" if known else "; there is none"
