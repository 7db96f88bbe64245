# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests of a drill over time: by second, place and client, and as timeline.csv.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import csv
import io
import typing as t
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._drill.measurements import COLUMNS
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput

Drill = t.Mapping[str, t.Any]

HEADING = ("started", "second", "phase", "client", "client_place", *COLUMNS[2:])


class TimelineSample(t.NamedTuple):
    """What one client got in one second from one place with one code and flag. `client` is an index."""

    second: int
    client: int
    place: str
    code: str
    flag: str
    requests: int
    failed: int
    p50_ms: float | None
    max_ms: float | None


@dataclass
class Timeline:
    """Requests by second: answered ones by place, and failed ones; over all clients, and for each of them."""

    first: int
    last: int
    answered: dict[str, dict[int, int]] = field(default_factory=dict)
    failed: dict[int, int] = field(default_factory=dict)
    clients: dict[int, dict[int, list[int]]] = field(default_factory=dict)


def samples(drill: Drill) -> list[TimelineSample]:
    """Return the samples of a drill. Raises InvalidInput when a row is not what `columns` says."""
    given = list(drill["samples"]["columns"])
    missing = [name for name in COLUMNS if name not in given]
    rows = drill["samples"]["rows"]
    if missing:
        if not rows:
            return []
        raise InvalidInput(f"samples.columns lacks {', '.join(missing)}.", do=f"It needs {', '.join(COLUMNS)}.")
    at = [given.index(name) for name in COLUMNS]
    listed = []
    clients = len(drill["load"]["clients"])
    for number, row in enumerate(rows):
        try:
            second, client, place, code, flag, requests, failed, p50, longest = (row[index] for index in at)
            sample = TimelineSample(
                *(int(second), int(client), str(place), str(code), str(flag), int(requests), int(failed)),
                *(None if ms is None else float(ms) for ms in (p50, longest)),
            )
        except (IndexError, TypeError, ValueError) as error:
            raise InvalidInput(
                f"samples.rows[{number}] is {row!r}: {error}.", do=f"It needs {', '.join(given)}."
            ) from error
        if not (0 <= sample.client < clients and 0 <= sample.failed <= sample.requests):
            raise InvalidInput(
                f"samples.rows[{number}] is {row!r}: client {sample.client} of {clients}, "
                f"{sample.failed} of {sample.requests} "
                "requests failed."
            )
        listed.append(sample)
    return listed


def timeline(listed: t.Sequence[TimelineSample]) -> Timeline:
    """Sum samples up by second. An empty list is a timeline from 0 to 0 without requests."""
    traffic = Timeline(
        min((sample.second for sample in listed), default=0), max((sample.second for sample in listed), default=0)
    )
    for sample in listed:
        good = sample.requests - sample.failed
        if good:
            by_second = traffic.answered.setdefault(sample.place, {})
            by_second[sample.second] = by_second.get(sample.second, 0) + good
        if sample.failed:
            traffic.failed[sample.second] = traffic.failed.get(sample.second, 0) + sample.failed
        own = traffic.clients.setdefault(sample.client, {}).setdefault(sample.second, [0, 0])
        own[0] += sample.requests
        own[1] += sample.failed
    return traffic


def phase_at(drill: Drill, second: float) -> str:
    """Return the name of the phase of a second since the start; '' outside of all."""
    name = ""
    for phase in drill["phases"]:
        if phase["outcome"] != "skipped" and phase["t"] <= second + 0.5:
            name = str(phase["name"])
    return name


def timeline_csv(drill: Drill) -> str:
    """Return timeline.csv: one line for each second since `started`, client, place, code and flag, with a heading."""
    clients = drill["load"]["clients"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADING)
    for sample in sorted(samples(drill), key=lambda sample: sample[:5]):
        client = clients[sample.client]
        writer.writerow(
            [
                drill["started"],
                sample.second,
                phase_at(drill, sample.second),
                client["name"],
                client["place"],
                *sample[2:],
            ]
        )
    return text.getvalue()
