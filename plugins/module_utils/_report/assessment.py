# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An assessment of a mesh, without any drill: what survives what, worst first, what to fix, and what was not judged.

It is put together from a resilience matrix and the findings of lint. Pure. Private to this collection: it may change
at any time; docs/assess.md describes the document.
"""

from __future__ import annotations

import textwrap
import typing as t
from functools import partial

from ansible_collections.meshops.locality.plugins.module_utils._forecast.loss_grade import LOSS_GRADES
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import covers, resolve
from ansible_collections.meshops.locality.plugins.module_utils._istio.network_gateways import Networks
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import INFO, SEVERITIES, WARNING
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot
from ansible_collections.meshops.locality.plugins.module_utils._report.forecast import short_places
from ansible_collections.meshops.locality.plugins.module_utils._report.not_judged import (
    not_judged_text,
    not_predicted_text,
)
from ansible_collections.meshops.locality.plugins.module_utils._report.table import columns

Json = dict[str, t.Any]
Part = t.Mapping[str, t.Any]

SCHEMA = "meshops.locality/assessment/v1"
#: The columns of the heat map. Loss of a cluster needs the endpoints of its peers, which a snapshot does not have.
LEVELS = ("pod", "subzone", "zone", "region")
#: More Services × pods than this are too many to lose each pod once.
MOST_PODS = 200_000
#: Rules about requests that fail before anything is lost: for such Services nothing else helps.
FAILING = ("ML120", "ML121", "ML230", "ML233", "ML235", "ML509", "ML524")
#: How many fixes are named, and how many losses, names and findings one sentence or cell has.
FIXES, NAMED = 5, 3
#: Grade (see _forecast/loss_grade.py) → (sign, word, what it means). The higher, the worse.
GRADES = (
    ("·", "untouched", "nothing of it is there"),
    ("✓", "carries on", "no client loses a request for longer than retries hide"),
    ("~", "short", "requests fail until Envoy has ejected what is lost"),
    ("▲", "overload", "the survivors get more than they can carry"),
    ("!", "long", "requests fail until something else than ejection ends it"),
    ("✗", "gone", "clients get no answer for as long as the loss lasts"),
    ("⊘", "fails today", "every request fails already, before anything is lost"),
)
UNTOUCHED, CARRIES_ON, SHORT, OVERLOAD, LONG, GONE, FAILS_TODAY = range(len(GRADES))
#: Grades with a share of requests that fails.
LOSING = (SHORT, LONG, GONE)
_UNTIL = {
    "ejection": "until Envoy has ejected what is lost",
    "readiness": "until readiness probes fail and Kubernetes takes the lost endpoints out",
    "removal": "until Kubernetes takes the lost endpoints out",
    "dns": "until DNS answers without them",
    "never": "for as long as the loss lasts",
    "none": "for a moment",
}


def default_levels(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the levels that are assessed when nobody says which: those of LEVELS, without pods when they are many."""
    if len(snapshot.services) * len(snapshot.pods) <= MOST_PODS:
        return LEVELS
    return LEVELS[1:]


def assessment(
    matrix: Part, findings: t.Sequence[Part], snapshot: Snapshot, asked: t.Sequence[str] | None = None
) -> Json:
    """Return the assessment: sentence, rows (the worst Service first), fixes, losses, and what was not judged.

    `matrix` is what resilience_matrix returned for single losses, `findings` what locality_lint did, both of this
    snapshot. `asked`: the levels that somebody asked for, None for the default ones.
    """
    live = [finding for finding in findings if not finding["suppressed"]]
    concerned = _concerned(live, snapshot)
    levels = [level for level in LEVELS if any(_level(loss) == level for loss in matrix["losses"])]
    only = _only_places(matrix["losses"], levels) if asked is None else {}
    levels = [level for level in levels if level not in only]
    names = _names(matrix["losses"])
    rows = [_row(row, matrix["losses"], levels, names) for row in matrix["rows"]]
    for row in rows:
        gravest = sorted(concerned.get(row["host"], ()), key=lambda finding: SEVERITIES.index(finding["severity"]))
        row["findings"] = gravest[:NAMED] if row["grade"] > CARRIES_ON else []
    rows.sort(key=lambda row: (-row["grade"], -row["badness"], row["name"]))
    losses = [loss for loss in _losses(matrix, names) if loss["level"] not in only]
    return {
        "kind": "assessment",
        "schema": SCHEMA,
        "istio_version": matrix["istio_version"],
        "taken": snapshot.taken,
        "checked": matrix["checked"],
        "sentence": _sentence(rows, losses, levels, only),
        "services": len(rows),
        "grades": {word: sum(row["grade"] == grade for row in rows) for grade, (_s, word, _m) in enumerate(GRADES)},
        "levels": levels,
        "only_places": only,
        "rows": rows,
        "losses": losses,
        "fixes": _fixes(live, rows, concerned),
        "findings": len(live),
        "not_judged": _not_judged(matrix, findings, snapshot, levels, asked),
        "assumptions": list(matrix["assumptions"]),
    }


def _only_places(losses: t.Sequence[Part], levels: t.Sequence[str]) -> dict[str, str]:
    """Return level → its place, for levels that have a single one: everything is lost with it, so it ranks nothing."""
    places: dict[str, set[str]] = {}
    for loss in losses:
        if _level(loss) != "pod":
            places.setdefault(_level(loss), set()).update(lost["place"] for lost in loss["losses"])
    return {level: next(iter(own)) for level, own in places.items() if len(own) == 1 and level in levels}


def _level(loss: Part) -> str:
    return str(loss["losses"][0]["level"]) if len(loss["losses"]) == 1 else ""


def _names(losses: t.Sequence[Part]) -> list[str]:
    """Return for each loss a name that is short and not that of another one of its level."""
    by_level: dict[str, list[str]] = {}
    for loss in losses:
        by_level.setdefault(_level(loss), []).extend(lost["place"] for lost in loss["losses"])
    short = {level: short_places(list(dict.fromkeys(places))) for level, places in by_level.items()}
    return [
        f"{_level(loss)} {' + '.join(short[_level(loss)][lost['place']] for lost in loss['losses'])}".strip()
        for loss in losses
    ]


def grade(entry: Part) -> int:
    """Return the grade of an entry of the matrix, as a number of GRADES."""
    return LOSS_GRADES.index(entry["grade"])


def failing(entry: Part) -> float:
    """Return the share of all clients' requests that is expected to fail at first (for good, where it does not end)."""
    return float(entry["for_good"] if entry["grade"] == LOSS_GRADES[GONE] else entry["failing"])


def _badness(entry: Part) -> float:
    return float(grade(entry) + failing(entry))


def _row(row: Part, losses: t.Sequence[Part], levels: t.Sequence[str], names: t.Sequence[str]) -> Json:
    cells = []
    for level in levels:
        own = [
            (entry, name)
            for loss, entry, name in zip(losses, row["entries"], names, strict=True)
            if _level(loss) == level
        ]
        worst, name = max(own, key=lambda pair: (grade(pair[0]), failing(pair[0]), pair[0]["failed_requests"] or 0.0))
        worst_grade = grade(worst)
        hurt = [other for entry, other in own if grade(entry) > CARRIES_ON]
        cells.append(
            {
                "level": level,
                "grade": worst_grade,
                "loss": name,
                "share": round(failing(worst), 4) if worst_grade in LOSING else 0.0,
                "seconds": worst.get("seconds"),
                "reason": _reason(row, worst, name),
                "hurt": len(hurt),
                "of": len(own),
            }
        )
    return {
        "name": row["name"],
        "namespace": row["namespace"],
        "host": row["service"],
        "endpoints": row["endpoints"],
        "clients": row["clients"],
        "grade": max(
            (cell["grade"] for cell in cells), default=FAILS_TODAY if row["failing_today"] >= 1 else UNTOUCHED
        ),
        "failing_today": row["failing_today"],
        "errors": row["errors"],
        "badness": round(max((_badness(entry) for entry in row["entries"]), default=0.0), 6),
        "cells": cells,
    }


def _reason(row: Part, worst: Part, name: str) -> str:
    if grade(worst) == FAILS_TODAY:
        return f"{today(row)} What losses do to it is not known."
    return reason(worst, name) if grade(worst) > UNTOUCHED else "No endpoint is lost."


def today(row: Part) -> str:
    """Say which share of a Service's requests fails before anything is lost, and why."""
    why = "; ".join(error["text"] for error in row["errors"]) or "no endpoint may answer them"
    return f"{percent(row['failing_today'])} of its requests fail already, before anything is lost: {why}."


def reason(entry: Part, loss: str) -> str:
    """Return in one sentence what a loss does to a Service."""
    worst, share = grade(entry), percent(failing(entry))
    time = _time(entry)
    if worst == GONE:
        return (
            f"Losing {loss}: {share} of its requests fail for as long as the loss lasts: no other endpoint may answer."
        )
    if worst == LONG:
        return f"Losing {loss}: {share} of its requests fail {_UNTIL[entry['until']]}{time}: Envoy may not eject them."
    load = f"×{entry['load']:.2g} of today's load on the busiest survivor, which can carry ×"
    load += f"{entry['limit'] * entry['growth']:.2g}"
    if worst == OVERLOAD:
        return f"Losing {loss}: {load}{' (assumed)' if entry['limit_from'] == 'assumed' else ''}."
    if worst == SHORT:
        return f"Losing {loss}: {share} of its requests fail {_UNTIL['ejection']}{time}."
    moved = f"{percent(entry['moved'])} of its requests go to other places" if entry["moved"] else "others carry it"
    return f"Losing {loss}: {moved}; none is lost for good."


def _time(entry: Part) -> str:
    value, failed = entry.get("seconds"), entry.get("failed_requests")
    if not isinstance(value, (int, float)) or not value:
        return ""
    time = f", about {value:.2g} s" if value < 10 else f", about {value:.0f} s"
    if not isinstance(failed, (int, float)):
        return time
    number = f"{failed:,.0f}" if failed >= 1 else "less than one"
    return f"{time} or {number} request{'s' if failed >= 1.5 else ''} of a client"


def percent(share: float) -> str:
    """Return a share as percent; a small one as such."""
    if 0 < share < 0.005:
        return "less than 1 %"
    return f"{100 * share:.0f} %"


def _losses(matrix: Part, names: t.Sequence[str]) -> list[Json]:
    """Return the losses of places that hurt, the worst first: how many Services have which grade, and their names."""
    hurting = []
    for index, (loss, name) in enumerate(zip(matrix["losses"], names, strict=True)):
        if _level(loss) == "pod":
            continue
        graded = [(grade(row["entries"][index]), row) for row in matrix["rows"]]
        gone = [row["name"] for worst, row in graded if worst == GONE]
        dying = {skipped["name"] for skipped in matrix["skipped"] if loss["loss"] in skipped["dies_with"]}
        gone += sorted(dying.difference(gone))
        losing = [row for worst, row in graded if worst in (LONG, SHORT)]
        overloaded = [row["name"] for worst, row in graded if worst == OVERLOAD]
        if not (gone or losing or overloaded):
            continue
        times = [row["entries"][index].get("seconds") for row in losing]
        known = [float(time) for time in times if isinstance(time, (int, float))]
        hurting.append(
            {
                "loss": loss["loss"],
                "name": name,
                "level": _level(loss),
                "gone": gone,
                "losing": [row["name"] for row in losing],
                "overloaded": overloaded,
                "seconds": max(known) if known and len(known) == len(times) else None,
            }
        )
    order = {"zone": 0, "subzone": 1, "region": 2}
    return sorted(
        hurting,
        key=lambda entry: (
            *(-len(entry["gone"]), -len(entry["losing"]), -len(entry["overloaded"])),
            order.get(entry["level"], len(order)),
        ),
    )


def places_judged(assessed: Part) -> bool:
    """Whether the loss of any place was judged, and not only that of pods."""
    return bool(assessed["only_places"]) or any(level in ("subzone", "zone", "region") for level in assessed["levels"])


def _sentence(
    rows: t.Sequence[Part], losses: t.Sequence[Part], levels: t.Sequence[str], only: t.Mapping[str, str]
) -> str:
    """Return the one sentence for a manager: what the worst zone's loss does; without zones, the worst of all."""
    if not rows:
        return "No Service could be judged."
    broken = sum(row["grade"] == FAILS_TODAY for row in rows)
    names = [row["name"] for row in rows]
    names += {name for loss in losses for name in loss["gone"]}.difference(names)
    number = _services(len(names), kinds=any(" [" in name for name in names))
    first = (
        f"{broken:,} of {number} fail{'s' if broken == 1 else ''} already, before anything is lost. " if broken else ""
    )
    if broken == len(rows):
        return first.strip()
    one_pod = sum(
        cell["level"] == "pod" and CARRIES_ON < cell["grade"] < FAILS_TODAY for row in rows for cell in row["cells"]
    )
    pods = (
        f" When a single pod is lost, {one_pod:,} of {number} lose{'s' if one_pod == 1 else ''} requests."
        if one_pod
        else ""
    )
    if not any(level != "pod" for level in levels):
        if not only:
            return (
                f"{first}No loss of a zone or region could be judged: no pod is in a place, because no node has "
                "their labels."
            )
        level = next(known_level for known_level in ("zone", "subzone", "region") if known_level in only)
        return f"{first}Everything is in one {level}, {only[level]}: when it is lost, so is all of {number}.{pods}"
    if not losses:
        return f"{first}None of {number} loses requests for long when any single place is lost.{pods}"
    worst = next((loss for loss in losses if loss["level"] == "zone"), losses[0])
    parts = []
    if worst["losing"]:
        time = f" for about {worst['seconds']:.0f} s" if (worst["seconds"] or 0.0) >= 0.95 else " for a moment"
        time = " for as long as it lasts" if worst["seconds"] is None else time
        parts.append(
            f"{len(worst['losing']):,} of {number} lose{'s' if len(worst['losing']) == 1 else ''} requests{time}"
        )
    if worst["gone"]:
        parts.append(f"{len(worst['gone']):,} {'is' if len(worst['gone']) == 1 else 'are'} gone until it is back")
    if worst["overloaded"]:
        few = len(worst["overloaded"]) == 1
        parts.append(
            f"{len(worst['overloaded']):,} get{'s' if few else ''} more load than {'it' if few else 'they'} can carry"
        )
    if not worst["losing"]:
        parts[0] = parts[0].replace(" ", f" of {number} ", 1)
    return f"{first}If {worst['name']} is lost tonight, {' and '.join(parts)}.{pods}"


def _services(number: int, *, kinds: bool = False) -> str:
    """Return how many Services. `kinds`: routes make several rows of one, so rows are kinds of requests."""
    if kinds:
        return f"{number:,} kind{'s' if number != 1 else ''} of requests"
    return f"{number:,} Service{'s' if number != 1 else ''}"


def _concerned(findings: t.Sequence[Part], snapshot: Snapshot) -> dict[str, list[Json]]:
    """Return the findings of each Service (by host): those about itself, and about the rules for it."""
    hosts: dict[str, list[str]] = {}
    for service in snapshot.services:
        hosts.setdefault(service.source, []).append(service.host)
    known = {service.host for service in snapshot.services}
    for kind, configs in (
        ("DestinationRule", snapshot.destination_rules),
        ("VirtualService", snapshot.virtual_services),
    ):
        for config in configs:
            spec = config.spec if isinstance(config.spec, t.Mapping) else {}
            named = [spec.get("host")] if kind == "DestinationRule" else spec.get("hosts")
            patterns = [
                resolve(str(name), config.namespace, config.domain)
                for name in (named if isinstance(named, list) else [])
            ]
            hosts[f"{kind} {config}"] = [
                host
                for pattern in patterns
                for host in (filter(partial(covers, pattern), known) if "*" in pattern else {pattern} & known)
            ]
    for kind, routes in snapshot.api_routes.items():
        for config in routes:
            parents = config.spec.get("parentRefs") if isinstance(config.spec, t.Mapping) else None
            hosts[f"{kind} {config}"] = [
                f"{parent.get('name')}.{parent.get('namespace') or config.namespace}.svc.{config.domain}"
                for parent in (parents if isinstance(parents, list) else [])
                if isinstance(parent, t.Mapping) and parent.get("kind") == "Service"
            ]
    by_host: dict[str, list[Json]] = {}
    for finding in findings:
        shown = {
            name: finding[name]
            for name in ("id", "severity", "title", "object", "field", "message", "why", "fix", "link")
        }
        for host in hosts.get(str(finding["object"]), ()):
            by_host.setdefault(host, []).append(shown)
    return by_host


def _fixes(findings: t.Sequence[Part], rows: t.Sequence[Part], concerned: t.Mapping[str, list[Json]]) -> list[Json]:
    """Return the FIXES kinds of findings with the most and worst Services that lose something, the best first."""
    hurt: dict[str, Part] = {}
    for row in rows:  # the worst first
        if row["grade"] > CARRIES_ON:
            hurt.setdefault(row["host"], row)
    by_id: dict[str, dict[str, Json]] = {}
    for host, row in hurt.items():
        for finding in concerned.get(host, ()):
            if finding["severity"] == INFO or (row["grade"] == FAILS_TODAY and finding["id"] not in FAILING):
                continue
            by_id.setdefault(finding["id"], {})[host] = {**finding, "row": row}
        if _without_another(row) and not any(host in services for services in by_id.values()):
            by_id.setdefault("", {})[host] = {**_elsewhere(row), "row": row}
    ranked = sorted(by_id.items(), key=lambda item: (-sum(_weight(each) for each in item[1].values()), item[0]))
    fixes = []
    for ident, services in ranked[:FIXES]:
        some = sorted(services.values(), key=lambda each: (-each["row"]["grade"], each["row"]["name"]))
        fixes.append(
            {
                "id": ident,
                "title": some[0]["title"],
                "services": len(services),
                "names": [each["row"]["name"].partition(" [")[0] for each in some[:NAMED]],
                "object": some[0]["object"],
                "field": some[0]["field"],
                "message": some[0]["message"],
                "why": some[0]["why"],
                "fix": some[0]["fix"],
                "link": some[0]["link"],
            }
        )
    return fixes


def _without_another(row: Part) -> list[Part]:
    """Return the cells of losses with which every request of a Service fails for as long as they last."""
    return [cell for cell in row["cells"] if cell["grade"] == GONE and cell["share"] == 1]


def _elsewhere(row: Part) -> Json:
    """Return what helps a Service of which no rule has a finding: nothing is written wrong, it has too few places."""
    # The narrowest place that has them all.
    places = ("subzone", "zone", "region", "pod")
    cell = min(_without_another(row), key=lambda cell: places.index(cell["level"]))
    only = f"{cell['loss']} has its only endpoint."
    return {
        "id": "",
        "severity": WARNING,
        "title": "Nothing is left to answer",
        "object": f"Service {row['namespace']}/{row['host'].partition('.')[0]}",
        "field": "",
        "message": only if row["endpoints"] == 1 else f"Without {cell['loss']} no endpoint may answer.",
        "why": cell["reason"],
        "fix": f"Run replicas outside of {cell['loss']}, too.",
        "link": "https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/",
    }


def _weight(finding: Part) -> int:
    """Return how much a finding of a Service counts: the graver it is, and the more the Service loses."""
    return int((len(SEVERITIES) - SEVERITIES.index(finding["severity"])) ** 2 * finding["row"]["grade"])


def _not_judged(
    matrix: Part,
    findings: t.Sequence[Part],
    snapshot: Snapshot,
    levels: t.Sequence[str],
    asked: t.Sequence[str] | None,
) -> list[str]:
    """Return what the assessment says nothing about, in sentences."""
    sentences = [not_judged_text(entry) for entry in matrix.get("not_judged", ())]
    sentences += [sentence["text"] for sentence in matrix["unchecked"]]
    sentences += [f"{skipped['name']}: {not_predicted_text(skipped)}" for skipped in matrix["skipped"][: 10 * NAMED]]
    if len(matrix["skipped"]) > 10 * NAMED:
        sentences.append(f"{len(matrix['skipped']) - 10 * NAMED} more are not predicted.")
    sentences += [str(problem) for problem in snapshot.problems]
    if not matrix["rows"]:
        sentences.append("None has both a client with an Envoy and an endpoint here, so no Service is judged.")
    if asked is not None:
        left = [level for level in LEVELS if level not in asked]
        if left:
            sentences.append(f"The loss of each {' and each '.join(left)}: not among the levels that were asked for.")
    elif "pod" not in default_levels(snapshot):
        sentences.append(
            f"The loss of each single pod: {_services(len(snapshot.services))} and {len(snapshot.pods):,} pods are "
            "too many at once. Ask for them with assess_levels=pod and one assess_namespace."
        )
    for level, place in (_only_places(matrix["losses"], LEVELS) if asked is None else {}).items():
        sentences.append(f"The loss of {level} {place}: it is the only one, so everything is lost with it.")
    if Networks(snapshot).other_clusters:
        sentences.append("The loss of this whole cluster: the endpoints of the others are not in the snapshot.")
    else:
        sentences.append("The loss of this whole cluster: with it, all its Services are gone.")
    suppressed = sum(bool(finding["suppressed"]) for finding in findings)
    if suppressed:
        sentences.append(f"{suppressed} finding{'s' if suppressed != 1 else ''} that somebody suppressed.")
    return list(dict.fromkeys(sentences))


def assessment_text(assessed: Part, width: int = 110) -> str:
    """Return the assessment as text: the sentence, the worst Services, the fixes, what was not judged."""
    lines = textwrap.wrap(assessed["sentence"], width)
    bad = [row for row in assessed["rows"] if row["grade"] > CARRIES_ON]
    partly = [row for row in assessed["rows"] if row["failing_today"] and row["grade"] != FAILS_TODAY]
    for row in partly[:NAMED]:
        lines += textwrap.wrap(f"{row['name']}: {today(row)}", width, subsequent_indent="  ")
    if assessed["rows"]:
        lines += [
            "",
            f"Services: {', '.join(f'{number} {word}' for word, number in assessed['grades'].items() if number)}",
        ]
    if bad and assessed["levels"]:
        table = [("service", *assessed["levels"])]
        for row in bad[:20]:
            table.append((row["name"], *(_cell(cell) for cell in row["cells"])))
        lines += ["", *columns(table)]
        if len(bad) > 20:
            lines.append(f"… and {len(bad) - 20} more that lose something.")
        used = sorted({cell["grade"] for row in bad[:20] for cell in row["cells"]})
        lines += textwrap.wrap(
            "; ".join(f"{GRADES[number][0]} {GRADES[number][1]}: {GRADES[number][2]}" for number in used), width
        )
    if bad:
        lines += ["", "Worst first:"]
        for row in bad[:5]:
            cell = max(row["cells"], key=lambda cell: (cell["grade"], cell["share"]), default=None)
            explanation = cell["reason"] if cell else today(row)
            lines += textwrap.wrap(
                f"{row['name']}: {explanation}", width, initial_indent="  - ", subsequent_indent="    "
            )
    if assessed["fixes"]:
        lines += ["", "What helps most:"]
        for number, fix in enumerate(assessed["fixes"], 1):
            first = f"  {number}. "
            lines += textwrap.wrap(_fix_text(fix), width, initial_indent=first, subsequent_indent="     ")
    lines += ["", "Not judged:"]
    for sentence in assessed["not_judged"]:
        lines += textwrap.wrap(sentence, width, initial_indent="  - ", subsequent_indent="    ")
    return "\n".join(lines)


def _fix_text(fix: Part) -> str:
    number, names = fix["services"], ", ".join(fix["names"])
    more = " …" if number > NAMED else ""
    rule = f" ({fix['id']})" if fix["id"] else ""
    what = fix["fix"] if fix["id"] else f"{fix['message']} {fix['fix']}"
    services = "1 Service that loses" if number == 1 else f"{number} Services that lose"
    return f"{fix['title']}{rule}: {services} something ({names}{more}). {fix['object']}: {what}"


def _cell(cell: Part) -> str:
    sign, word, _meaning = GRADES[cell["grade"]]
    share = f" {percent(cell['share'])}" if cell["share"] else ""
    return f"{sign} {word}{share}" if cell["grade"] > UNTOUCHED else sign
