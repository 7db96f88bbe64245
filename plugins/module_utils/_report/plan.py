# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan as text: what istiod sends each kind of client about each Service, and why.

Pure: takes what the filter locality_plan returns. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._report.table import columns

Part = t.Mapping[str, t.Any]

HEADING = ("priority", "locality", "weight", "endpoints", "pods")
#: How many pods of one locality are named.
SHOWN = 3


#: From how many blocks on those that say the same of several Services stand together, and how many are shown.
MANY, BLOCKS = 12, 12


def plan_table(rows: t.Sequence[Part]) -> str:
    """Return one block for each Service and kind of answer; clients with the same answer stand together.

    Of many blocks those that differ in names only stand together, without the names of pods, and the rest is counted.
    """
    if not rows:
        return "No client gets anything for this."
    blocks: dict[tuple[str, ...], list[Part]] = {}
    for row in rows:
        blocks.setdefault((str(row["name"]), *_body(row)), []).append(row)
    lines: list[str] = []
    if len(blocks) <= MANY:
        for block, own in blocks.items():
            clients = [who(row["client"]) for row in own]
            lines += ["", block[0], *(f"  for {client}" for client in clients), *(f"  {line}" for line in block[1:])]
        return "\n".join(lines[1:])
    alike: dict[tuple[str, ...], list[Part]] = {}
    for own in blocks.values():
        body = tuple(_body(own[0], named=False))
        alike.setdefault((*body, str([who(row["client"]) for row in own])), []).extend(own)
    groups = sorted(alike.values(), key=lambda own: -len({row["name"] for row in own}))
    for own in groups[:BLOCKS]:
        names = list(dict.fromkeys(str(row["name"]) for row in own))
        several = f"{len(names)} Services alike: " if len(names) > 1 else ""
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        clients = list(dict.fromkeys(who(row["client"]) for row in own))
        lines += ["", f"{several}{', '.join(names[:SHOWN])}{more}"]
        lines += [f"  for {client}" for client in clients[:SHOWN]]
        if len(clients) > SHOWN:
            lines.append(f"  and {len(clients) - SHOWN} more kinds of clients")
        lines += [f"  {line}" for line in _body(own[0], named=len(names) == 1)]
    if len(groups) > BLOCKS:
        left = len({row["name"] for own in groups[BLOCKS:] for row in own})
        lines += ["", f"… and {len(groups) - BLOCKS} more kinds of answers, for {left} Services: ask for a service,"]
        lines.append("  a namespace or a client, or write all of it to a file.")
    return "\n".join(lines[1:])


def who(client: Part) -> str:
    """Return which clients these are, with the first pods' names."""
    number, pods = client["clients"], list(client["pods"])
    kind = {"router": "gateway"}.get(client["type"], client["type"])
    labels = "".join(f", {name}={value}" for name, value in client["labels"].items())
    more = " …" if number > len(pods) else ""
    place = client["locality"] or "no locality"
    kinds = kind if number == 1 else f"{kind}s"
    return f"{number} {kinds} in {client['namespace']} at {place}{labels}: {', '.join(pods)}{more}"


def _body(row: Part, *, named: bool = True) -> t.Iterator[str]:
    """Yield the lines of an answer; `named`: with the names of rules, pods and Services."""
    yield "; ".join(_facts(row, named=named))
    table = [HEADING]
    for priority in row["priorities"]:
        for place in priority["localities"]:
            healthy, total, pods = place["healthy"], place["endpoints"], place["pods"]
            more = f" … ({len(pods)})" if len(pods) > SHOWN else ""
            table.append(
                (
                    f"P{priority['priority']}",
                    place["locality"] or "(no locality)",
                    str(place["weight"]) if row["locality_weighted"] else "-",
                    str(total) if healthy == total else f"{total}, {total - healthy} not ready",
                    ", ".join(pods[:SHOWN]) + more if named else "",
                )
            )
    if len(table) > 1:
        yield from columns(table)
    yield from _listed("requests:", list(_requests(row)))
    if row["ejection"]:
        yield f"ejection: {_ejection(row['ejection'])}"
    if named:
        yield from _listed("because", row["why"])
    if not row["checked"]:
        yield from _listed("not checked:", [sentence["text"] for sentence in row["unchecked"]])


def _requests(row: Part) -> t.Iterator[str]:
    """Say where requests go when a route sends them elsewhere than to this cluster, a sentence for each class."""
    classes = list(row["requests"])
    if (
        len(classes) == 1
        and [destination["name"] for destination in classes[0]["destinations"]] == [row["name"]]
        and not classes[0]["errors"]
    ):
        return
    for request_class in classes:
        shares = [f"{100 * to['share']:.3g} % to {to['name']}" for to in request_class["destinations"]]
        which = f"those with {request_class['which']}: " if request_class["which"] else ""
        source = f" ({request_class['route']})" if request_class["route"] else ""
        fates = [*shares, *(error["text"] for error in request_class["errors"])]
        yield f"{which}{', '.join(fates) or 'answered by Envoy'}{source}"


def _facts(row: Part, *, named: bool) -> t.Iterator[str]:
    rules = row["rules"] if named else row["rules"] and ["of its own"]
    yield f"rule {' + '.join(rules)} ({row['tier']})" if rules else "no rule"
    setting = row["setting"]
    if setting["source"]:
        applies = "" if setting["applies"] else ", without effect"
        yield f"{setting['kind']} of {setting['source']}{applies}"
    else:
        yield "locality load balancing off"
    yield str(row["lb_policy"]) if row["type"] == "EDS" else f"{row['type']}, {row['lb_policy']}"
    yield f"panic below {row['panic_threshold']:g} %" if row["panic_threshold"] else "no panic"
    again = row["retries"]
    where = " in other localities" if again["remote_localities"] else ""
    yield f"{again['attempts']} retries{where}" if again["attempts"] else "no retries"
    yield f"Istio {row['istio_version']}"


def _ejection(ejection: Part) -> str:
    enough = (
        ""
        if ejection["ejectable"] * 100 >= ejection["needed"] * ejection["endpoints"]
        else (f" All endpoints of P0 need {ejection['needed']} %.")
    )
    never = "" if ejection["errors"] is not None else " Refused connections never eject."
    return f"{ejection['why']}{enough}{never}"


def _listed(title: str, sentences: t.Sequence[str]) -> t.Iterator[str]:
    for number, sentence in enumerate(sentences):
        yield f"{title if not number else ' ' * len(title)} {sentence}"
