# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An assessment of a mesh, without any drill: what survives what, worst first, what to fix, and what was not judged.

It is put together from a resilience matrix and the findings of lint. Pure. Private to this collection: it may change
at any time; docs/assess.md describes the document.
"""

from __future__ import annotations

import fnmatch
import textwrap
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import SEVERITIES
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot
from ansible_collections.meshops.locality.plugins.module_utils._report.forecast import short_places
from ansible_collections.meshops.locality.plugins.module_utils._report.table import columns

Json = dict[str, t.Any]
Part = t.Mapping[str, t.Any]

SCHEMA = "meshops.locality/assessment/v1"
#: The columns of the heat map. Loss of a cluster needs the endpoints of its peers, which a snapshot does not have.
LEVELS = ("pod", "subzone", "zone", "region")
#: More Services × pods than this are too many to lose each pod once.
MOST_PODS = 200_000
#: How many fixes are told about, and how many losses, names and findings one sentence or cell has.
FIXES, NAMED = 5, 3
#: Grade → (sign, word, what it means). The higher, the worse.
GRADES = (
    ("·", "untouched", "nothing of it is there"),
    ("✓", "carries on", "no client loses a request for longer than retries hide"),
    ("~", "short", "requests fail until Envoy has ejected what is lost"),
    ("▲", "overload", "the survivors get more than they can carry"),
    ("!", "long", "requests fail until something else than ejection ends it"),
    ("✗", "gone", "clients get no answer for as long as the loss lasts"),
)
UNTOUCHED, CARRIES_ON, SHORT, OVERLOAD, LONG, GONE = range(len(GRADES))
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


def assessment(matrix: Part, findings: t.Sequence[Part], snapshot: Snapshot) -> Json:
    """Return the assessment: sentence, rows (the worst Service first), fixes, losses, and what was not judged.

    `matrix` is what resilience_matrix returned for single losses, `findings` what locality_lint did, both of this
    snapshot.
    """
    live = [one for one in findings if not one["suppressed"]]
    concerned = _concerned(live, snapshot)
    levels = [level for level in LEVELS if any(_level(loss) == level for loss in matrix["losses"])]
    names = _names(matrix["losses"])
    rows = [_row(row, matrix["losses"], levels, names) for row in matrix["rows"]]
    for row in rows:
        gravest = sorted(concerned.get(row["host"], ()), key=lambda one: SEVERITIES.index(one["severity"]))
        row["findings"] = gravest[:NAMED] if row["grade"] > CARRIES_ON else []
    rows.sort(key=lambda row: (-row["grade"], -row["badness"], row["name"]))
    losses = _losses(matrix, names)
    return {
        "kind": "assessment",
        "schema": SCHEMA,
        "istio_version": matrix["istio_version"],
        "taken": snapshot.taken,
        "checked": matrix["checked"],
        "sentence": _sentence(rows, losses, levels),
        "services": len(rows),
        "grades": {word: sum(row["grade"] == grade for row in rows) for grade, (_s, word, _m) in enumerate(GRADES)},
        "levels": levels,
        "rows": rows,
        "losses": losses,
        "fixes": _fixes(live, rows, concerned),
        "findings": len(live),
        "not_judged": _not_judged(matrix, findings, snapshot, levels),
        "assumptions": list(matrix["assumptions"]),
    }


def _level(loss: Part) -> str:
    return str(loss["losses"][0]["level"]) if len(loss["losses"]) == 1 else ""


def _names(losses: t.Sequence[Part]) -> list[str]:
    """Return for each loss a name that is short and not that of another one of its level."""
    by_level: dict[str, list[str]] = {}
    for loss in losses:
        by_level.setdefault(_level(loss), []).extend(one["place"] for one in loss["losses"])
    short = {level: short_places(list(dict.fromkeys(places))) for level, places in by_level.items()}
    return [
        f"{_level(loss)} {' + '.join(short[_level(loss)][one['place']] for one in loss['losses'])}".strip()
        for loss in losses
    ]


def grade(entry: Part) -> int:
    """Return the grade of an entry of the matrix."""
    if entry["verdict"] == "dies":
        return GONE
    if entry["until"] in ("readiness", "removal", "dns", "never"):
        return LONG
    if entry["overloaded"]:
        return OVERLOAD
    if entry["until"] == "ejection" and failing(entry):
        return SHORT
    return UNTOUCHED if entry["verdict"] == "untouched" else CARRIES_ON


def failing(entry: Part) -> float:
    """Return the share of all clients' requests that is expected to fail at first (for good, where it does not end)."""
    if entry["verdict"] == "dies":
        return float(entry.get("for_good", entry["lost_in_the_end"]))
    return float(entry.get("failing", entry["lost_at_first"]))


def _badness(entry: Part) -> float:
    return float(entry.get("badness", grade(entry) + failing(entry)))


def _row(row: Part, losses: t.Sequence[Part], levels: t.Sequence[str], names: t.Sequence[str]) -> Json:
    cells = []
    for level in levels:
        own = [
            (entry, name)
            for loss, entry, name in zip(losses, row["entries"], names, strict=True)
            if _level(loss) == level
        ]
        worst, name = max(own, key=lambda one: (grade(one[0]), failing(one[0])))
        worst_grade = grade(worst)
        hurt = [other for entry, other in own if grade(entry) > CARRIES_ON]
        cells.append(
            {
                "level": level,
                "grade": worst_grade,
                "loss": name,
                "share": round(failing(worst), 4) if worst_grade in LOSING else 0.0,
                "seconds": worst.get("seconds"),
                "reason": reason(worst, name) if worst_grade > UNTOUCHED else "No endpoint is lost.",
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
        "grade": max((cell["grade"] for cell in cells), default=UNTOUCHED),
        "badness": round(max((_badness(entry) for entry in row["entries"]), default=0.0), 6),
        "cells": cells,
    }


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
    value = entry.get("seconds")
    if not isinstance(value, (int, float)) or not value:
        return ""
    return f", about {value:.2g} s" if value < 10 else f", about {value:.0f} s"


def percent(share: float) -> str:
    """Return a share as percent; a small one as such."""
    if 0 < share < 0.005:
        return "less than 1 %"
    return f"{100 * share:.0f} %"


def _losses(matrix: Part, names: t.Sequence[str]) -> list[Json]:
    """Return the losses of places that hurt, the worst first: how many Services have which grade, and their names."""
    told = []
    for index, (loss, name) in enumerate(zip(matrix["losses"], names, strict=True)):
        if _level(loss) == "pod":
            continue
        graded = [(grade(row["entries"][index]), row) for row in matrix["rows"]]
        gone = [row["name"] for worst, row in graded if worst == GONE]
        losing = [row for worst, row in graded if worst in (LONG, SHORT)]
        overloaded = [row["name"] for worst, row in graded if worst == OVERLOAD]
        if not (gone or losing or overloaded):
            continue
        times = [row["entries"][index].get("seconds") for row in losing]
        known = [float(one) for one in times if isinstance(one, (int, float))]
        told.append(
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
        told,
        key=lambda one: (
            *(-len(one["gone"]), -len(one["losing"]), -len(one["overloaded"])),
            order.get(one["level"], len(order)),
        ),
    )


def places_judged(levels: t.Sequence[str]) -> bool:
    """Whether the loss of any place is among the levels that were judged, and not only that of pods."""
    return any(level in ("subzone", "zone", "region") for level in levels)


def _sentence(rows: t.Sequence[Part], losses: t.Sequence[Part], levels: t.Sequence[str]) -> str:
    """Return the one sentence for a manager: what the worst zone's loss does; without zones, the worst of all."""
    if not rows:
        return "No Service could be judged."
    if not places_judged(levels):
        return "No loss of a zone or region could be judged: no pod is in a place, because no node has their labels."
    number = f"{len(rows):,} Service{'s' if len(rows) != 1 else ''}"
    one_pod = sum(cell["level"] == "pod" and cell["grade"] > CARRIES_ON for row in rows for cell in row["cells"])
    pods = (
        f" When a single pod is lost, {one_pod:,} of {number} lose{'s' if one_pod == 1 else ''} requests."
        if one_pod
        else ""
    )
    if not losses:
        return f"None of {number} loses requests for long when any single place is lost.{pods}"
    worst = next((one for one in losses if one["level"] == "zone"), losses[0])
    parts = []
    if worst["losing"]:
        time = f" for about {worst['seconds']:.0f} s" if worst["seconds"] else " for a while"
        parts.append(
            f"{len(worst['losing']):,} of {number} lose{'s' if len(worst['losing']) == 1 else ''} requests{time}"
        )
    if worst["gone"]:
        parts.append(f"{len(worst['gone']):,} {'is' if len(worst['gone']) == 1 else 'are'} gone until it is back")
    if worst["overloaded"]:
        they = "it" if len(worst["overloaded"]) == 1 else "they"
        parts.append(f"{len(worst['overloaded']):,} get more load than {they} can carry")
    if not worst["losing"]:
        parts[0] = parts[0].replace(" ", f" of {number} ", 1)
    return f"If {worst['name']} is lost tonight, {' and '.join(parts)}.{pods}"


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
            patterns = [_full(str(one), config.namespace) for one in (named if isinstance(named, list) else [])]
            hosts[f"{kind} {config}"] = [
                host
                for pattern in patterns
                for host in (fnmatch.filter(known, pattern) if "*" in pattern else {pattern} & known)
            ]
    found: dict[str, list[Json]] = {}
    for one in findings:
        told = {
            name: one[name] for name in ("id", "severity", "title", "object", "field", "message", "why", "fix", "link")
        }
        for host in hosts.get(str(one["object"]), ()):
            found.setdefault(host, []).append(told)
    return found


def _full(host: str, namespace: str) -> str:
    return host if "." in host or "*" in host else f"{host}.{namespace}.svc.cluster.local"


def _fixes(findings: t.Sequence[Part], rows: t.Sequence[Part], concerned: t.Mapping[str, list[Json]]) -> list[Json]:
    """Return the FIXES kinds of findings with the most and worst Services that lose something, the best first."""
    hurt = {row["host"]: row for row in rows if row["grade"] > CARRIES_ON}
    by_id: dict[str, dict[str, Json]] = {}
    for host, row in hurt.items():
        for one in concerned.get(host, ()):
            by_id.setdefault(one["id"], {})[host] = {**one, "row": row}
    ranked = sorted(by_id.items(), key=lambda one: (-sum(_weight(each) for each in one[1].values()), one[0]))
    told = []
    for ident, services in ranked[:FIXES]:
        some = sorted(services.values(), key=lambda each: (-each["row"]["grade"], each["row"]["name"]))
        told.append(
            {
                "id": ident,
                "title": some[0]["title"],
                "services": len(services),
                "names": [each["row"]["name"] for each in some[:NAMED]],
                "object": some[0]["object"],
                "field": some[0]["field"],
                "message": some[0]["message"],
                "why": some[0]["why"],
                "fix": some[0]["fix"],
                "link": some[0]["link"],
            }
        )
    return told


def _weight(finding: Part) -> int:
    """Return how much a finding of a Service counts: the graver it is, and the more the Service loses."""
    return int((len(SEVERITIES) - SEVERITIES.index(finding["severity"])) ** 2 * finding["row"]["grade"])


def _not_judged(matrix: Part, findings: t.Sequence[Part], snapshot: Snapshot, levels: t.Sequence[str]) -> list[str]:
    """Return what the assessment says nothing about, in sentences."""
    told = [f"{one['what']} That hides {one['hides']}." for one in matrix.get("not_judged", ())]
    told += list(matrix["unchecked"])
    told += [f"{one['cluster']}: {one['why']}." for one in matrix["skipped"][: 10 * NAMED]]
    if len(matrix["skipped"]) > 10 * NAMED:
        told.append(f"{len(matrix['skipped']) - 10 * NAMED} more are not predicted.")
    told += [str(one) for one in snapshot.problems]
    if not matrix["rows"]:
        told.append("No client with a sidecar asks any Service here, so no Service is judged.")
    if "pod" not in levels:
        told.append(
            f"The loss of each single pod: {len(snapshot.services):,} Services and {len(snapshot.pods):,} pods are "
            "too many at once. Ask for one namespace."
        )
    if snapshot.mesh.remote_clusters:
        told.append("The loss of this whole cluster: the endpoints of the others are not in the snapshot.")
    else:
        told.append("The loss of this whole cluster: with it, all its Services are gone.")
    suppressed = sum(bool(one["suppressed"]) for one in findings)
    if suppressed:
        told.append(f"{suppressed} findings that somebody suppressed.")
    return list(dict.fromkeys(told))


def assessment_text(found: Part, width: int = 110) -> str:
    """Return the assessment as text: the sentence, the worst Services, the fixes, what was not judged."""
    lines = textwrap.wrap(found["sentence"], width)
    bad = [row for row in found["rows"] if row["grade"] > CARRIES_ON]
    if found["rows"]:
        lines += [
            "",
            f"Services: {', '.join(f'{number} {word}' for word, number in found['grades'].items() if number)}",
        ]
    if bad:
        table = [("service", *found["levels"])]
        for row in bad[:20]:
            table.append((row["name"], *(_cell(cell) for cell in row["cells"])))
        lines += ["", *columns(table)]
        if len(bad) > 20:
            lines.append(f"… and {len(bad) - 20} more that lose something.")
        used = sorted({cell["grade"] for row in bad[:20] for cell in row["cells"]})
        lines += textwrap.wrap("; ".join(f"{GRADES[one][0]} {GRADES[one][1]}: {GRADES[one][2]}" for one in used), width)
        lines += ["", "Worst first:"]
        for row in bad[:5]:
            cell = max(row["cells"], key=lambda one: (one["grade"], one["share"]))
            lines += textwrap.wrap(
                f"{row['name']}: {cell['reason']}", width, initial_indent="  - ", subsequent_indent="    "
            )
    if found["fixes"]:
        lines += ["", "What helps most:"]
        for number, one in enumerate(found["fixes"], 1):
            lines += textwrap.wrap(
                f"{one['title']} ({one['id']}): {one['services']} Service{'s' if one['services'] != 1 else ''} that "
                f"lose{'s' if one['services'] == 1 else ''} something ({', '.join(one['names'])}"
                f"{' …' if one['services'] > NAMED else ''}). {one['object']}: {one['fix']}",
                width,
                initial_indent=f"  {number}. ",
                subsequent_indent="     ",
            )
    lines += ["", "Not judged:"]
    for sentence in found["not_judged"]:
        lines += textwrap.wrap(sentence, width, initial_indent="  - ", subsequent_indent="    ")
    return "\n".join(lines)


def _cell(cell: Part) -> str:
    sign, word, _meaning = GRADES[cell["grade"]]
    share = f" {percent(cell['share'])}" if cell["share"] else ""
    return f"{sign} {word}{share}" if cell["grade"] > UNTOUCHED else sign
