# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a snapshot and what is asked, as a person writes it, to the answers: plan, forecast, matrix, upgrade.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import Fault
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._forecast import result_json, selectors
from ansible_collections.meshops.locality.plugins.module_utils._forecast.capacity import HEADROOM, Capacity
from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_forecast import Question
from ansible_collections.meshops.locality.plugins.module_utils._forecast.client_load import NOTHING
from ansible_collections.meshops.locality.plugins.module_utils._forecast.expected_probe import Watch, expected_probe
from ansible_collections.meshops.locality.plugins.module_utils._forecast.loss_grade import (
    GONE,
    LITTLE,
    LONG,
    NOTHING_LOST,
    OVERLOAD,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.losses import (
    LEVELS,
    Losses,
    all_losses,
    pairs,
    without_istiod,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.not_judged import NAMED, as_json, not_judged
from ansible_collections.meshops.locality.plugins.module_utils._forecast.resilience_matrix import (
    Matrix,
    matrix,
    with_load_of,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.routed_outlook import routed_outlook
from ansible_collections.meshops.locality.plugins.module_utils._forecast.routed_requests import (
    ONLY_ROUTED,
    Requests,
    client_requests,
)
from ansible_collections.meshops.locality.plugins.module_utils._forecast.service_under_loss import ServiceUnderLoss
from ansible_collections.meshops.locality.plugins.module_utils._forecast.upgrade_difference import upgrade
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import (
    Assignment,
    ClientClass,
    Destination,
    Planner,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.routes import Routes
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import NEWEST, VERSIONS, semantics
from ansible_collections.meshops.locality.plugins.module_utils._model.assumptions import Assumption, assumption
from ansible_collections.meshops.locality.plugins.module_utils._model.coded_sentence import as_json as sentences_json
from ansible_collections.meshops.locality.plugins.module_utils._model.name_lists import first_names
from ansible_collections.meshops.locality.plugins.module_utils._model.object_cache import ObjectCache
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Json, Service, Snapshot
from ansible_collections.meshops.locality.plugins.module_utils._model.unchecked import unchecked

#: What is lost when nobody says what: each place of these levels.
DEFAULT_LEVELS = ("subzone", "zone", "region")
#: More losses than this are a mistake (pairs of pods, mostly), and no person reads them.
MOST_LOSSES = 20000


class Selection(t.NamedTuple):
    """Which Services and clients are asked for, as people write it (see _forecast/selectors.py).

    `port` 0 is any. `subset`: None for the whole Services and all their subsets, '' for no subset, or a name.
    """

    services: tuple[str, ...] = ()
    namespace: str = ""
    clients: tuple[str, ...] = ()
    port: int = 0
    subset: str | None = None


class Ability(t.NamedTuple):
    """What pods can carry: requests per second of one pod by Service, else `headroom` times what the busiest carries.

    `rate`: requests per second of each client.
    """

    per_pod: t.Mapping[str, float] = {}
    headroom: float = HEADROOM
    rate: float = 1.0
    #: Whether clients in a lost place ask no more.
    lose_clients: bool = True


def planned(
    planner: Planner, selection: Selection, kinds: t.Sequence[ClientClass]
) -> t.Iterator[tuple[ClientClass, Assignment]]:
    """Yield the assignments of the chosen clients for the chosen Services: by Service, then by client."""
    wanted = {service.key for service in selectors.services(planner, selection.services, selection.namespace)}
    rows = []
    for number, kind in enumerate(kinds):
        for destination in planner.destinations(kind.representative):
            if selection.port and destination.port != selection.port:
                continue
            if selection.subset is not None and destination.subset != selection.subset:
                continue
            if planner.scope(kind.representative).services[destination.host].key not in wanted:
                continue
            assignment = planner.assignment(kind.representative, destination)
            if assignment is not None:
                rows.append((destination, number, kind, assignment))
    for _destination, _number, kind, assignment in sorted(rows, key=lambda row: row[:2]):
        yield kind, assignment


def _selected_requests(
    planner: Planner, selection: Selection, kinds: t.Sequence[ClientClass]
) -> t.Iterator[tuple[ClientClass, Requests]]:
    """Yield the classes of requests of the chosen clients to the chosen Services: by Service, then by client."""
    wanted = {service.key for service in selectors.services(planner, selection.services, selection.namespace)}
    routes = Routes(planner)
    rows = []
    for number, kind in enumerate(kinds):
        some = client_requests(
            planner,
            routes,
            kind.representative,
            lambda service: service.key in wanted,
            selection.port,
            selection.subset,
        )
        rows += [(requests.destination, number, position, kind, requests) for position, requests in enumerate(some)]
    for _destination, _number, _position, kind, requests in sorted(rows, key=lambda row: row[:3]):
        yield kind, requests


def plan(snapshot: Snapshot, selection: Selection, version: str = "") -> list[Json]:
    """Return one row for each class of clients and destination (see result_json.plan_row)."""
    planner = Planner(snapshot, version)
    kinds = selectors.clients(planner, selection.clients)
    who = {kind: result_json.client_class(planner, kind) for kind in kinds}
    groups: ObjectCache[Json] = ObjectCache()
    routes = Routes(planner)
    return [
        result_json.plan_row(planner, kind, assignment, who[kind], groups, routes)
        for kind, assignment in planned(planner, selection, kinds)
    ]


def forecast(
    snapshot: Snapshot,
    selection: Selection,
    *,
    losses: t.Sequence[t.Any] | None = None,
    levels: t.Sequence[str] | None = None,
    both: bool = False,
    faults: t.Sequence[str] = ("refused",),
    readiness: float | None = None,
    ability: Ability | None = None,
    watch: Watch | None = None,
    version: str = "",
) -> Json:
    """Return where requests go now and under each loss, for each class of clients and destination.

    `losses` and `levels` as in _losses; `both` adds every two of them. `watch`: a probe whose counts are wanted, too.
    """
    planner = Planner(snapshot, version)
    ability = ability or Ability()
    listed = _losses(planner, losses, levels, both)
    named = _faults(faults)
    question = Question(ability.rate, named, readiness)
    kinds = selectors.clients(planner, selection.clients)
    who = {kind: result_json.client_class(planner, kind) for kind in kinds}
    if selection.subset is None:
        selection = selection._replace(subset="")
    together = _matrix(planner, selection._replace(clients=()), listed, ability, question)
    capacity = {(row.destination, row.requests): row.entries for row in together.rows}
    without = _without_istiod(planner, listed)
    rows, assumptions = [], {}
    asked: list[tuple[Destination, Service]] = []
    skipped: set[Destination] = set()
    for kind, requests in _selected_requests(planner, selection, kinds):
        if requests.unfit:
            skipped.add(requests.destination)
            continue
        now, forecasts, assumed = routed_outlook(planner, kind.representative, requests, listed, question)
        assumptions.update(dict.fromkeys(assumed))
        asked.append((requests.destination, requests.service))
        entries: t.Sequence[ServiceUnderLoss | None] = [None] * len(listed)
        entries = capacity.get((requests.destination, requests.which)) or entries
        outcomes = []
        for predicted, entry in zip(forecasts, entries, strict=True):
            outcomes.append(result_json.forecast(predicted, entry, kind, now.none))
            if watch is not None:
                outcomes[-1]["probe"] = expected_probe(now, predicted, named[0].name.lower(), watch)
        row = result_json.requests_row(planner, kind, requests, now)
        row["unchecked"] += without
        row["checked"] = row["checked"] and not without
        rows.append({"client": who[kind], **row, "losses": outcomes})
    return {
        "kind": "forecast",
        "istio_version": planner.semantics.version,
        "checked": all(row["checked"] for row in rows),
        "not_judged": as_json(not_judged(planner)),
        "rate": ability.rate,
        "faults": {fault.name.lower(): fault.value for fault in named},
        "rows": rows,
        "skipped": [result_json.skipped(*entry) for entry in together.skipped if entry[0] in skipped],
        "assumptions": sentences_json(
            [*_left_out(planner, selection, kinds), *_unlisted(asked), *assumptions, *_ability_assumptions(ability)]
        ),
        "model": list({sentence["text"]: sentence for row in rows for sentence in _course_assumptions(row)}.values()),
    }


def _without_istiod(planner: Planner, listed: t.Sequence[Losses]) -> list[Json]:
    gone = [result_json.loss_name(joint) for joint in without_istiod(planner, listed)]
    return sentences_json([unchecked("istiod-lost", losses=first_names(gone, NAMED))] if gone else [])


def _course_assumptions(row: Json) -> t.Iterator[Json]:
    for loss in row["losses"]:
        for course in loss["failover"].values():
            yield from course["assumptions"]


def resilience(
    snapshot: Snapshot,
    selection: Selection,
    *,
    losses: t.Sequence[t.Any] | None = None,
    levels: t.Sequence[str] | None = None,
    both: bool = False,
    faults: t.Sequence[str] = ("refused",),
    readiness: float | None = None,
    ability: Ability | None = None,
    version: str = "",
) -> Json:
    """Return the matrix of Services and losses, by the first of `faults`; see _losses for what is lost."""
    planner = Planner(snapshot, version)
    ability = ability or Ability()
    listed = _losses(planner, losses, levels, both)
    if selection.subset is None:
        selection = selection._replace(subset="")
    fault = _faults(faults)[0]
    judged = _matrix(planner, selection, listed, ability, Question(ability.rate, (fault,), readiness))
    sentences = [*result_json.unchecked_matrix(planner), *judged.unfollowed]
    unchecked = [*sentences_json(sentences), *_without_istiod(planner, listed)]
    return {
        "kind": "matrix",
        "istio_version": planner.semantics.version,
        "checked": not unchecked,
        "unchecked": unchecked,
        "not_judged": as_json(not_judged(planner)),
        "fault": {"name": fault.name.lower(), "what": fault.value},
        "rate": ability.rate,
        "losses": [
            {"loss": result_json.loss_name(joint), "losses": result_json.loss_data(joint), "name": name}
            for joint, name in zip(listed, result_json.loss_names(listed), strict=True)
        ],
        "rows": [result_json.matrix_row(row) for row in judged.rows],
        "groups": result_json.matrix_groups(judged.rows),
        "summary": _summary(judged),
        "skipped": [result_json.skipped(*entry) for entry in judged.skipped],
        "assumptions": sentences_json(
            [
                *_left_out(planner, selection, selectors.clients(planner, selection.clients)),
                *_unlisted((row.destination, row.service) for row in judged.rows),
                assumption("every-client-asks"),
                assumption("lost-clients-stop" if ability.lose_clients else "lost-clients-go-on"),
                *([assumption("intermediaries-lost")] if any(it.type != "sidecar" for it in planner.clients) else []),
                *(
                    [assumption("tried-again-after-ejection", seconds=judged.tried_again)]
                    if judged.tried_again is not None
                    else []
                ),
                *_ability_assumptions(ability),
                *snapshot.assumptions,
            ]
        ),
    }


def upgrade_difference(snapshot: Snapshot, before: str, after: str) -> Json:
    """Return what changes for whom when the same mesh runs under another version of Istio."""
    if not before:
        before = snapshot.mesh.version
        if not before:
            raise InvalidInput(
                "The version of this mesh is not known, so there is nothing to compare with.",
                do="Name the version before the upgrade (from_version; upgrade_from for the playbook).",
            )
    old, new = semantics(before), semantics(after)
    if new.newer and not old.newer:
        raise InvalidInput(
            f"What Istio {new.version} changes is not known here: it would be computed as {NEWEST}.",
            do=f"Compare with one of {', '.join(VERSIONS)}.",
        )
    places = {client.key: (client.namespace, str(client.locality)) for client in Planner(snapshot, before).clients}
    unchecked = sentences_json(line.unchecked for line in (old, new) if line.unchecked)
    return {
        "kind": "upgrade",
        "from_version": old.version,
        "to_version": new.version,
        "checked": not unchecked,
        "unchecked": unchecked,
        "clients": len(places),
        "changes": [result_json.change(change, places) for change in upgrade(snapshot, before, after)],
        "assumptions": sentences_json([assumption("only-version-changes"), *snapshot.assumptions]),
    }


def _losses(
    planner: Planner, losses: t.Sequence[t.Any] | None, levels: t.Sequence[str] | None, both: bool
) -> list[Losses]:
    """Return given losses and every place of given levels (without both: of DEFAULT_LEVELS), then every two of them."""
    single = selectors.losses(planner, losses or ())
    if levels or not single:
        single += [(loss,) for loss in all_losses(planner, levels or DEFAULT_LEVELS)]
    single = list(dict.fromkeys(single))
    if both:
        alone = [joint[0] for joint in single if len(joint) == 1]
        if len(alone) * (len(alone) - 1) // 2 > MOST_LOSSES:
            raise InvalidInput(
                f"Every two of {len(alone)} places are more than {MOST_LOSSES} losses.",
                do="Ask for fewer levels, or without pairs.",
            )
        single += pairs(alone)
    if not single and not planner.clients and not any(service.endpoints for service in planner.snapshot.services):
        snapshot = planner.snapshot
        raise InvalidInput(
            f"Nothing can be lost: no client and no endpoint is known here ({len(snapshot.pods)} pods, "
            f"{len(snapshot.services)} Services, {len(snapshot.nodes)} nodes).",
            do="Give the workloads, and their Namespaces and nodes with labels, or a snapshot of the mesh.",
        )
    if not single:
        raise InvalidInput(
            f"Nothing of the levels {', '.join(levels or DEFAULT_LEVELS)} is in the snapshot, so nothing can be lost.",
            do=f"Label the nodes with region, zone and subzone, or ask for other levels: {', '.join(LEVELS)}.",
        )
    return single


def _faults(names: t.Sequence[str]) -> tuple[Fault, ...]:
    known = {fault.name.lower(): fault for fault in Fault}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise InvalidInput(
            f"There is no fault {unknown[0]!r}." if unknown else "No fault is given.",
            do=f"The faults are {', '.join(known)}.",
        )
    return tuple(known[name] for name in dict.fromkeys(names))


def _matrix(
    planner: Planner, selection: Selection, listed: t.Sequence[Losses], ability: Ability, question: Question
) -> Matrix:
    wanted = {service.key for service in selectors.services(planner, selection.services, selection.namespace)}
    given: dict[str, float] = {}
    for name, number in ability.per_pod.items():
        given.update({service.host: number for service in selectors.services(planner, [name])})

    def is_wanted(service: Service) -> bool:
        return service.key in wanted

    judged = matrix(
        planner,
        listed,
        capacity=Capacity(ability.headroom, ability.rate, given),
        services=is_wanted,
        clients=selectors.clients(planner, selection.clients),
        port=selection.port,
        subset=selection.subset,
        lose_clients=ability.lose_clients,
        rate=ability.rate,
        fault=question.faults[0],
        readiness=question.readiness,
    )
    if not selection.clients:
        return judged
    everybody = _matrix(planner, selection._replace(clients=()), listed, ability, question)
    return with_load_of(judged, everybody)


def _left_out(planner: Planner, selection: Selection, kinds: t.Iterable[ClientClass]) -> t.Iterator[Assumption]:
    """Say which sidecars are in no row of a Service that others know, and why they do not know it."""
    sidecars: dict[tuple[str, str], list[ClientClass]] = {}
    for kind in kinds:
        client = kind.representative
        if client.type == "sidecar":
            sidecars.setdefault((client.namespace, str(planner.scopes.sidecar(client) or "")), []).append(kind)
    wanted = selectors.services(planner, selection.services, selection.namespace)
    known = {
        host
        for kind in planner.classes
        if kind.representative.type == "sidecar"
        for host in planner.scope(kind.representative).services
    }
    hosts: dict[str, None] = {}
    without: dict[str, int] = {}
    for (namespace, sidecar), some in sidecars.items():
        own = planner.scope(some[0].representative).services
        missing = [service for service in wanted if service.host in known and service.host not in own]
        if not missing:
            continue
        hosts.update(dict.fromkeys(selectors.short(service.host) for service in missing))
        imported = any(planner.scopes.visible(service, namespace) for service in missing)
        hidden = not all(planner.scopes.visible(service, namespace) for service in missing)
        why = [f"Sidecar {sidecar}"] * (imported and bool(sidecar)) + ["exportTo"] * hidden
        who = f"in {namespace} ({' and '.join(why)})"
        without[who] = without.get(who, 0) + sum(len(kind.members) for kind in some)
    if without:
        left_out = first_names([f"{number} {who}" for who, number in without.items()], NAMED)
        yield assumption("clients-without-service", services=first_names(hosts, NAMED), clients=left_out)


def _unlisted(asked: t.Iterable[tuple[Destination, Service]]) -> t.Iterator[Assumption]:
    """Say which hosts and ports only a VirtualService has."""
    names = {f"{to.host}:{to.port}" for to, service in asked if service.registry == ONLY_ROUTED}
    if names:
        yield assumption("host-without-service", hosts=first_names(sorted(names), NAMED))


def _ability_assumptions(ability: Ability) -> list[Assumption]:
    return [
        *([assumption("rate-against-capacities", rate=ability.rate)] if ability.per_pod else []),
        assumption("autoscaler-cpu"),
        assumption("headroom", headroom=ability.headroom),
    ]


def _summary(judged: Matrix) -> list[Json]:
    """Return for each loss that hurts: which Services die, in part, go on failing without ejection, or are overloaded.

    What fails before anything is lost stands first, as the loss of NOTHING_LOST, and those Services in no other.
    """
    names = [result_json.named(row.destination, which=row.requests)["name"] for row in judged.rows]
    today: dict[str, list[str]] = {"dies": [], "partly": [], "waits": [], "overloaded": []}
    for row, name in zip(judged.rows, names, strict=True):
        if row.failing_today >= LITTLE:
            today["dies" if row.failing_today > 1 - NOTHING else "partly"].append(name)
    summary: list[Json] = [{"loss": NOTHING_LOST, **today}] if any(today.values()) else []
    for index, joint in enumerate(judged.losses):
        dying = [result_json.named(to)["name"] for to, _why, losses in judged.skipped if joint in losses]
        hurt: dict[str, list[str]] = {"dies": dying, "partly": [], "waits": [], "overloaded": []}
        for row, name in zip(judged.rows, names, strict=True):
            entry = row.entries[index]
            part = "dies" if entry.verdict == "dies" else "partly"
            kind = {GONE: part, LONG: "waits", OVERLOAD: "overloaded"}.get(entry.grade) if entry.clients else None
            if kind and name not in hurt[kind]:
                hurt[kind].append(name)
        if any(hurt.values()):
            summary.append({"loss": result_json.loss_name(joint), **hurt})
    return summary
