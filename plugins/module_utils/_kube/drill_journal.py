# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Journals of drills in the cluster: a ConfigMap each, in the namespace of what is drilled.

Every write is guarded by the version that was read, so two writers never overwrite each other.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.meshops.locality.plugins.module_utils._drill import journal
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import CLOSED, OPEN, JournalRecord
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.applied_objects import owns_metadata
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import FIELD_MANAGER
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import CONFIG_MAP

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Json = dict[str, t.Any]

LABEL = "meshops.locality/drill"
KEY = "journal.json"
#: So many closed journals of a namespace stay, as history.
HISTORY = 20
#: Of one thing that was done; a drill of a hundred pods fits into a ConfigMap.
MOST_LETTERS = 2000


class JournalChanged(Conflict):
    """Somebody else wrote the journal meanwhile: a restoration from elsewhere."""


@dataclass(frozen=True)
class Stored:
    """A journal and the version of its ConfigMap. `problem` says why its text cannot be read; then no record.

    `ours`: our field manager has written its label.
    """

    namespace: str
    name: str
    version: str
    record: JournalRecord | None
    problem: str = ""
    open: bool = True
    ours: bool = False


class JournalListing(t.NamedTuple):
    """Journals, and what could not be looked at."""

    journals: list[Stored]
    unread: list[str]


def name_of(drill: str) -> str:
    """Return the name of the ConfigMap of a drill."""
    return f"meshops-drill-{drill}"


def now() -> str:
    """Return the time as journals have it."""
    return later(0)


def later(seconds: float) -> str:
    """Return the time in so many seconds as journals have it."""
    moment = time.time() + seconds
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z"


def create(cluster: Cluster, record: JournalRecord, writer: str, *, dry_run: bool = False) -> Stored:
    """Write the first version of a journal. Raises Conflict when there is one of that name."""
    record = _masked(cluster, replace(record, writer=writer, revision=1))
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name_of(record.id), "namespace": record.namespace, "labels": {LABEL: record.state}},
        "data": {KEY: journal.write(record)},
    }
    query = {"dryRun": "All" if dry_run else None}
    try:
        item = cluster.request("create", "POST", CONFIG_MAP.path(record.namespace), query=query, body=body)
    except Conflict:
        # The answer to the first try may have been lost: then what is there is what we wrote.
        item = cluster.get(CONFIG_MAP, name_of(record.id), record.namespace) or {}
        if _stored(item).record != record if item else True:
            raise
    return _stored(item)


def save(cluster: Cluster, stored: Stored, record: JournalRecord, writer: str) -> Stored:
    """Write the next version of a journal.

    Raises JournalChanged when somebody else wrote it since `stored` was read.
    """
    if stored.record is None:
        raise AssertionError("only a journal that could be read is written again")
    record = _masked(cluster, replace(record, writer=writer, revision=stored.record.revision + 1))
    version = stored.version
    while True:
        body = {
            "metadata": {"resourceVersion": version, "labels": {LABEL: record.state}},
            "data": {KEY: journal.write(record)},
        }
        try:
            return _stored(cluster.merge_patch(CONFIG_MAP, stored.name, body, stored.namespace))
        except Conflict:
            live = get(cluster, stored.namespace, stored.name)
            if live is None:
                raise NotFound(
                    f"The journal {stored.namespace}/{stored.name} was deleted meanwhile.", status=404
                ) from None
            if live.record == record:
                return live
            if live.record != stored.record:
                who = live.record.writer if live.record else "somebody"
                raise JournalChanged(
                    f"{who} wrote the journal {stored.namespace}/{stored.name} meanwhile.", status=409
                ) from None
            version = live.version


def get(cluster: Cluster, namespace: str, name: str) -> Stored | None:
    """Return one journal; None when it does not exist."""
    item = cluster.get(CONFIG_MAP, name, namespace)
    return _stored(item) if item is not None else None


def find(cluster: Cluster, namespaces: t.Sequence[str] | None = None, *, state: str = "") -> JournalListing:
    """Return the journals of all namespaces, or of some. `state` is open, closed or '' for both.

    Namespaces that may not be read are in `unread`, the whole cluster, too.
    """
    journals, unread = [], []
    labels = f"{LABEL}={state}" if state else f"{LABEL} in ({OPEN},{CLOSED})"
    places: list[str | None] = list(namespaces) if namespaces else [None]
    for place in places:
        try:
            journals += [_stored(item) for item in cluster.list(CONFIG_MAP, place, labels=labels)]
        except Forbidden as error:
            unread.append(f"{'Namespace ' + place if place else 'The whole cluster'} was not looked at: {error}")
    return JournalListing(sorted(journals, key=lambda entry: (entry.namespace, entry.name)), unread)


def prune(cluster: Cluster, namespace: str, keep: int = HISTORY) -> None:
    """Delete the oldest closed journals of a namespace beyond `keep`: those whose label our field manager wrote."""
    closed = [entry for entry in find(cluster, [namespace], state=CLOSED).journals if entry.record and entry.ours]
    closed.sort(key=lambda entry: entry.record.started if entry.record else "")
    for entry in closed[: max(0, len(closed) - keep)]:
        cluster.delete(CONFIG_MAP, entry.name, namespace, resource_version=entry.version)


def _masked(cluster: Cluster, record: JournalRecord) -> JournalRecord:
    """Return a record without secrets in its sentences; what the undoing needs stays as it is."""
    return replace(
        record,
        title=cluster.masked(record.title),
        result=cluster.masked(record.result),
        entries=tuple(replace(entry, what=cluster.masked(entry.what)[:MOST_LETTERS]) for entry in record.entries),
    )


def _stored(item: Json) -> Stored:
    metadata = item["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    record, problem = None, ""
    try:
        record = journal.read((item.get("data") or {}).get(KEY) or "", f"ConfigMap {namespace}/{name}")
    except InvalidInput as error:
        problem = str(error)
    state = (metadata.get("labels") or {}).get(LABEL)
    return Stored(
        namespace,
        name,
        str(metadata.get("resourceVersion") or ""),
        record,
        problem,
        state != CLOSED if record is None else record.state == OPEN,
        owns_metadata(item, FIELD_MANAGER, "labels", LABEL),
    )
