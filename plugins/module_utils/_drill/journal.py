# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cluster remembers of a drill, so that anybody can put everything back from anywhere.

A record is written before each change that it describes. Its JSON form is the data of a ConfigMap; nothing else is
needed for a restoration, and only what stands in it is ever restored.

Pure. Private to this collection: it may change at any time; the JSON form carries a version.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput

SCHEMA = "meshops.locality/drill-journal/v1"
#: Times: UTC with milliseconds, so that they sort as texts.
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
#: `open` until everything is proven to be back.
OPEN, CLOSED = "open", "closed"

#: What is known about one target. `injecting` is written before the change: it may have happened or not.
RECORDED, INJECTING, INJECTED, RESTORED, GONE = "recorded", "injecting", "injected", "restored", "gone"
#: States in which a target has to be looked at by a restoration.
UNSETTLED = (INJECTING, INJECTED)


@dataclass(frozen=True)
class Target:
    """One object that the drill changes: a pod, a workload that is scaled (`kind`, then with its `replicas`), a Node,
    a Service, or what the drill makes itself: a NetworkPolicy, an InboundService (it keeps sidecars serving),
    or a ProbePod (a client of its own, in step -1).

    `restarts` and `container` are those of the pod's istio-proxy before, or of the container that `part` names; for an
    evacuation `part` is the Service, for a lost Node the drilled namespace. `timer` is the process id of the dead-man's
    switch in istio-proxy (0: none). `step` counts the scopes of a cascade.
    """

    namespace: str
    name: str
    uid: str
    kind: str = "Pod"
    address: str = ""
    node: str = ""
    place: str = ""
    workload: str = ""
    step: int = 0
    restarts: int = 0
    container: str = ""
    timer: int = 0
    replicas: int = 0
    part: str = ""
    state: str = RECORDED

    @property
    def where(self) -> str:
        """`namespace/name`; only the name where there is no namespace."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True)
class JournalEntry:
    """One line of what was done: `time` in UTC, ISO 8601."""

    time: str
    phase: str
    what: str


@dataclass(frozen=True)
class JournalRecord:
    """A drill as the cluster remembers it.

    `expires` is the UTC time after which nobody works on it any more; `revision` counts the writes, `writer` is who
    wrote last. `reach` says how the application's own faults are reached (a client and an address). `result` is what is
    left of a closed drill: outcome, reason and a few numbers.
    """

    id: str
    holder: str
    title: str
    namespace: str
    service: str
    fault: str
    asked: tuple[str, ...]
    started: str
    expires: str
    targets: tuple[Target, ...]
    phase: str = "journal"
    state: str = OPEN
    undo: str = ""
    reach: t.Mapping[str, t.Any] | None = None
    ends_itself: str = ""
    lock: str = ""
    writer: str = ""
    revision: int = 0
    prediction: t.Mapping[str, t.Any] | None = None
    result: t.Mapping[str, t.Any] | None = None
    entries: tuple[JournalEntry, ...] = ()

    def unsettled(self) -> list[Target]:
        """Return the targets that may be changed and are not proven to be back."""
        return [target for target in self.targets if target.state in UNSETTLED]

    def expired(self, now: str) -> bool:
        """Whether nobody works on it any more, unless that process still runs without a sign of life.

        `now` is UTC as `TIME` has it: such texts sort as their times do.
        """
        return now >= self.expires

    def marked(self, states: t.Mapping[str, str]) -> JournalRecord:
        """Return it with new states of targets, by uid."""
        return replace(
            self,
            targets=tuple(replace(target, state=states.get(target.uid, target.state)) for target in self.targets),
        )

    def timed(self, timers: t.Mapping[str, int]) -> JournalRecord:
        """Return it with the process ids of dead-man's switches, by uid."""
        return replace(
            self, targets=tuple(replace(target, timer=timers.get(target.uid, target.timer)) for target in self.targets)
        )

    def noted(self, time: str, phase: str, what: str) -> JournalRecord:
        """Return it in a phase, with one more line of what was done."""
        return replace(self, phase=phase, entries=(*self.entries, JournalEntry(time, phase, what)))


def write(record: JournalRecord) -> str:
    """Return the JSON text of a record."""
    return json.dumps({"schema": SCHEMA, **_plain(record)}, sort_keys=True, separators=(",", ":"))


def _plain(value: t.Any) -> t.Any:
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return dict(value) if isinstance(value, t.Mapping) else value


def read(text: str, where: str) -> JournalRecord:
    """Read the JSON text of a record. Raises InvalidInput, naming `where` it stands, when it is none."""
    try:
        given = json.loads(text)
        schema = given.pop("schema")
        if schema != SCHEMA:
            raise InvalidInput(
                f"{where} has the schema {schema}; this version of meshops.locality reads {SCHEMA}.",
                do="Restore with the version that made it.",
            )
        given["targets"] = tuple(Target(**target) for target in given["targets"])
        given["entries"] = tuple(JournalEntry(**entry) for entry in given["entries"])
        given["asked"] = tuple(given["asked"])
        record = JournalRecord(**given)
        if not TIME.fullmatch(record.expires):
            raise ValueError(f"expires is {record.expires!r}")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput(
            f"{where} is no journal of a drill: {type(error).__name__} {error}.",
            do="Somebody edited it. See its data, restore what it names by hand, then delete it.",
        ) from error
    return record
