# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A forecast as text: where requests go now, and under each loss what fails, for how long, and who takes over.

Pure: takes what the filter locality_forecast returns. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._forecast.loss_grade import FAILS_TODAY
from ansible_collections.meshops.locality.plugins.module_utils._model.name_lists import first_names
from ansible_collections.meshops.locality.plugins.module_utils._model.place_names import short_names
from ansible_collections.meshops.locality.plugins.module_utils._report.not_judged import (
    not_judged_line,
    not_predicted_text,
)
from ansible_collections.meshops.locality.plugins.module_utils._report.plan import who
from ansible_collections.meshops.locality.plugins.module_utils._report.table import columns

Part = t.Mapping[str, t.Any]

_HEADING = ("loss", "outcome", "lost at first", "ends by", "failed {units}", "seconds", "lost in the end", "then")
#: What clients send, by protocol.
_UNITS = {"http": "requests", "tcp": "connections"}
#: What a client gets, by protocol: where no endpoint may answer, and from endpoints with a fault (another: the same).
_UNANSWERED = {"http": "503", "tcp": "closed"}
_FROM_FAULTY = {("http", "server_error"): "500", ("http", "hang"): "no answer", ("tcp", "hang"): "no answer"}
#: From how many losses on that touch nothing they are only counted; how many places are named.
CALM, PLACES = 3, 4
#: Names of several places that are longer than this are cut.
LONG = 60
_OUTCOMES = {
    "untouched": "· untouched",
    "survives": "✓ survives",
    "spills": "→ spills",
    "dies_in_part": "◐ dies in part",
    "dies": "✗ dies",
}


#: Mark of a loss by who is left of the clients.
_STARS = {"all": "", "some": " *", "none": " **"}


def _clients_left(row: Part, loss: Part) -> str:
    if not loss["clients_lost"]:
        return "all"
    return "none" if loss["clients_lost"] >= row["client"]["clients"] else "some"


def forecast_table(forecast: Part) -> str:
    """Return one table for each kind of client and Service; several faults have a line each."""
    names = short_places(_localities(forecast["rows"]))
    blocks = [_block(row, forecast, names) for row in forecast["rows"]]
    if not blocks:
        blocks = [["No client gets anything for this."]]
    lines = [line for block in blocks for line in ["", *block]][1:]
    hidden = [not_judged_line(entry) for entry in forecast["not_judged"]]
    lines = [*hidden, *([""] if hidden else []), *lines]
    if forecast["skipped"]:
        lines += [
            "",
            *(f"Not predicted: {entry['name']}: {not_predicted_text(entry)}" for entry in forecast["skipped"]),
        ]
    return "\n".join(lines)


def _localities(rows: t.Iterable[Part]) -> set[str]:
    """Return every locality of a forecast: names are short and unambiguous in all of its tables."""
    localities: set[str] = set()
    for row in rows:
        localities.add(row["client"]["locality"])
        localities.update(row["now"]["localities"])
        for loss in row["losses"]:
            localities.update(loss["settled"]["localities"])
    return localities


def _block(row: Part, forecast: Part, names: t.Mapping[str, str]) -> list[str]:
    several, units = len(forecast["faults"]) > 1, _UNITS[row["protocol"]]
    lines = [
        f"{row['name']} for {who(row['client'])}",
        f"  {forecast['rate']:g} {units} a second of each client; Istio {forecast['istio_version']}"
        + ("" if several else f"; {next(iter(forecast['faults'].values()))}"),
    ]
    lines += [f"  {line}" for line in _route(row)]
    if row["answered_by_envoy"] == 1:
        return [*lines, f"  {row['route']}: Envoy answers all of them itself, without an error; no loss changes that."]
    if row["losses"] and all(loss["grade"] == FAILS_TODAY for loss in row["losses"]):
        why = "" if row["errors"] else ": no endpoint may answer them"
        return [*lines, f"  ⊘ Every {units[:-1]} fails already, before anything is lost{why}."]
    table: list[tuple[str, ...]] = [
        (*(name.format(units=units) for name in _HEADING), "busiest pod"),
        (
            *("(now)", "", "", "", "", "", _percent(row["now"]["none"])),
            _places(row["now"], names, _UNANSWERED[row["protocol"]]),
            "",
        ),
    ]
    calm = [loss for loss in row["losses"] if loss["verdict"] == "untouched"]
    for loss in row["losses"]:
        if len(calm) > CALM and loss["verdict"] == "untouched":
            continue
        faults = list(loss["failover"].items()) or [("", None)]
        for number, (fault, course) in enumerate(faults):
            name = f"{_name(loss)}, {fault}" if several and fault else _name(loss)
            name += _STARS[_clients_left(row, loss)]
            unanswered = _unanswered(row, loss["settled"] if course is None else course["settled"], fault)
            table.append((name, *_loss(loss, course, names, unanswered, first=not number)))
    lines += [f"  {line}" for line in columns(_without_empty_columns(table))]
    shown = {_clients_left(row, loss) for loss in row["losses"] if loss not in calm or len(calm) <= CALM}
    if "some" in shown:
        lines.append("  * this loss also takes out some of these clients; the row covers the rest.")
    if "none" in shown:
        lines.append("  ** this loss also takes out all of these clients; the row is what they would meet.")
    if len(calm) > CALM:
        lines.append(f"  Untouched by {len(calm)} other losses.")
    if row["ejection"]:
        lines.append(f"  {row['ejection']['why']}")
    lines += [f"  not checked: {entry['text']}" for entry in row["unchecked"]]
    return lines


def _route(row: Part) -> list[str]:
    """Return where a route sends requests; nothing when that is the Service's own cluster."""
    own = [destination["name"] for destination in row["destinations"]] == [f"{row['name'].partition(' [')[0]}"]
    lines = []
    if row["destinations"] and not (own and not row["errors"]):
        shares = ", ".join(
            f"{_percent(destination['share'])} to {destination['name']}" for destination in row["destinations"]
        )
        lines.append(f"{row['route'] or 'routed'}: {shares}" if row["route"] else shares)
    for destination in row["destinations"]:
        hops: dict[str, None] = {}
        for hop in destination.get("onward") or ():
            next_hops = [f"{_percent(next_hop['share'])} to {next_hop['name']}" for next_hop in hop["destinations"]]
            fates = ", ".join([*next_hops, *(error["text"] for error in hop["errors"])])
            hops[f"from the gateway {destination['name']} on, {hop['route']}: {fates}"] = None
        lines += hops
    return [*lines, *(f"{error['text']}." for error in row["errors"])]


def _without_empty_columns(table: t.Sequence[t.Sequence[str]]) -> list[list[str]]:
    """Leave out columns that say nothing."""
    shown = [at for at in range(len(table[0])) if any(row[at] not in ("", "-") for row in table[1:])]
    return [[row[at] for at in shown] for row in table]


def _name(entry: Part) -> str:
    """Return the name of a loss; of many places together the first one and how many they are."""
    if len(entry["loss"]) <= LONG or len(entry["losses"]) == 1:
        return str(entry["loss"])
    levels = {loss["level"] for loss in entry["losses"]}
    what = f"{len(entry['losses'])} {levels.pop()}s" if len(levels) == 1 else f"{len(entry['losses'])} places"
    return f"{what}: {entry['losses'][0]['place']} …"


def _unanswered(row: Part, settled: Part, fault: str) -> str:
    """Return what a client gets in the end whose requests nobody answers: of Envoy, or of endpoints with the fault."""
    timeout = row["retries"]["timeout"]
    if not settled["dead"] or settled["none"] > settled["dead"]:
        return _UNANSWERED[row["protocol"]]
    if fault == "hang" and row["protocol"] == "http" and timeout:
        return "504"
    return _FROM_FAULTY.get((row["protocol"], fault), _UNANSWERED[row["protocol"]])


def _loss(
    entry: Part, course: Part | None, names: t.Mapping[str, str], unanswered: str, *, first: bool
) -> tuple[str, ...]:
    """Return the cells of one loss and one fault; each line speaks of its own fault."""
    own = course or {**entry, "ends_by": entry["until"]}
    failed = seconds = "-"
    if course is not None:
        failed = _between(course["failed_requests"], course["failed_requests_between"], "for ever")
        seconds = _between(course["seconds"], course["seconds_between"], "for ever")
    return (
        _OUTCOMES[own["verdict"]],
        _percent(entry["lost_at_first"]),
        "-" if own["ends_by"] == "none" else own["ends_by"],
        failed,
        seconds,
        _percent(own["lost_in_the_end"]),
        _places(own["settled"], names, unanswered) if own["verdict"] != "dies" else unanswered,
        _load(entry["capacity"]) if first else "",
    )


def _load(capacity: Part | None) -> str:
    if capacity is None or not capacity["load"]:
        return "-"
    limit = capacity["limit"] * capacity["growth"]
    return f"{'▲ ' if capacity['overloaded'] else ''}×{capacity['load']:.2g} of ×{limit:.2g}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share else "-"


def _between(value: float | None, bounds: t.Sequence[float | None], never: str) -> str:
    if value is None:
        return never
    low, high = bounds
    if low is None or high is None or low == high:
        return _number(value)
    return f"{_number(value)} ({_number(low)} to {_number(high)})"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _places(state: Part, names: t.Mapping[str, str], unanswered: str) -> str:
    """Return places with percent; the shared beginning of their names is left out. `unanswered`: for no place."""
    shares = {name: share for name, share in state["localities"].items() if share}
    if not shares:
        return unanswered if state["none"] else "-"
    largest = sorted(shares, key=lambda name: (-shares[name], name))
    return first_names((f"{names[name]} {100 * shares[name]:.3g} %" for name in largest), PLACES)


def short_places(names: t.Collection[str]) -> dict[str, str]:
    """Return for each locality the shortest end of its name that no other of them has."""
    return {name: short or "no locality" for name, short in short_names(names).items()}
