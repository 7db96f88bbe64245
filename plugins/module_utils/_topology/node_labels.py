# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which topology labels a node gets, which it loses, what was there before, and when to keep the hands off.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput, LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import (
    LEGACY_REGION_LABEL,
    LEGACY_ZONE_LABEL,
    REGION_LABEL,
    SUBZONE_LABEL,
    ZONE_LABEL,
    Locality,
)

#: The annotation of a Node that remembers what this collection changed.
RECORD_ANNOTATION = "meshops.locality/node-topology"

LABELS = {"region": REGION_LABEL, "zone": ZONE_LABEL, "subzone": SUBZONE_LABEL}
LEGACY = {REGION_LABEL: LEGACY_REGION_LABEL, ZONE_LABEL: LEGACY_ZONE_LABEL}

# Kubernetes documentation, "Labels and Selectors", syntax of values.
_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")

Labels = t.Mapping[str, str]
#: Label → the value it shall have; None: the label shall not be there.
WantedLabels = t.Mapping[str, "str | None"]


def check_value(value: object, where: str) -> str:
    """Return `value` as text; `where` (node or rule, and field) goes into the message of the InvalidInput."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise InvalidInput(f"{where} is {value!r}, which is not text.", do="Give the name of the place as a string.")
    text = str(value)
    if not text:
        raise InvalidInput(f"{where} is empty.", do="Leave the field out, or remove the label with state=absent.")
    if len(text) > 63:
        raise InvalidInput(
            f"{where} is {text!r}: {len(text)} characters long, and a label value has at most 63.", do="Shorten it."
        )
    if not _VALUE.fullmatch(text):
        raise InvalidInput(
            f"{where} is {text!r}, which is not a legal label value.",
            do="Use letters, digits, '-', '_' and '.'; the first and the last character must be a letter or a digit.",
        )
    return text


@dataclass(frozen=True)
class RecordEntry:
    """One changed label: its value before the first change, and the one last set (None: absent)."""

    before: str | None
    set: str | None


@dataclass(frozen=True)
class Record:
    """The content of the annotation.

    `pending` is the resourceVersion of the node before a change of which istiod has not been notified yet; else empty.
    """

    entries: t.Mapping[str, RecordEntry] = field(default_factory=dict)
    pending: str = ""

    @classmethod
    def parse(cls, node: str, text: str | None) -> Record:
        """Read the annotation of a node. Raises LocalityError when somebody has damaged it."""
        if not text:
            return cls()
        try:
            data = json.loads(text)
            entries = {
                str(label): RecordEntry(entry["before"], entry["set"]) for label, entry in data["labels"].items()
            }
            if any(not isinstance(value, (str, type(None))) for e in entries.values() for value in (e.before, e.set)):
                raise TypeError("values must be strings or null")
            return cls(entries, str(data.get("pending", "")))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LocalityError(
                f"The annotation {RECORD_ANNOTATION} of node {node} cannot be read: {error!r}.",
                do=f"Repair it, or forget what was there before: kubectl annotate node {node} {RECORD_ANNOTATION}-",
            ) from error

    def text(self) -> str | None:
        """Return the annotation's value; None when there is nothing left to remember."""
        if not self.entries and not self.pending:
            return None
        labels = {label: {"before": entry.before, "set": entry.set} for label, entry in sorted(self.entries.items())}
        data: dict[str, t.Any] = {"labels": labels}
        if self.pending:
            data["pending"] = self.pending
        return json.dumps(data, separators=(",", ":"))


@dataclass(frozen=True)
class LabelledNode:
    """What the plan needs of a Node.

    `owners` names, per label, the field managers that own it (managedFields) but for this collection's; `ours` are the
    labels that this collection's own.
    """

    name: str
    labels: Labels
    record: Record = Record()
    owners: t.Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ours: frozenset[str] = frozenset()
    resource_version: str = ""

    @property
    def locality(self) -> Locality:
        return Locality.from_node_labels(self.labels)

    @property
    def topology(self) -> dict[str, str]:
        """The topology labels alone."""
        return {label: self.labels[label] for label in LABELS.values() if label in self.labels}


@dataclass(frozen=True)
class UnrestoredLabel:
    """A label that `previous` does not restore, because somebody else changed it meanwhile, or owns it as well."""

    node: str
    label: str
    value: str | None
    set: str | None
    before: str | None
    owners: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.value == self.set:
            return (
                f"Node {self.node}: {self.label} is {_shown(self.value)}, as this collection set it, but owned by "
                f"{' and '.join(self.owners) or 'an unknown owner'} now, so it stays and is not restored to "
                f"{_shown(self.before)}."
            )
        return (
            f"Node {self.node}: {self.label} is now {_shown(self.value)}, but this collection set {_shown(self.set)}; "
            f"somebody else changed it, so it stays and is not restored to {_shown(self.before)}."
        )


@dataclass(frozen=True)
class LabelChange:
    """The plan for one node: `labels` only holds what differs (None: remove), `refused` why it must not be done."""

    node: LabelledNode
    labels: WantedLabels
    record: Record
    not_restored: tuple[UnrestoredLabel, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.labels) or self.record != self.node.record

    @property
    def after(self) -> LabelledNode:
        """The node as it will be."""
        labels = {label: value for label, value in {**self.node.labels, **self.labels}.items() if value is not None}
        ours = (self.node.ours | set(self.labels)) & set(labels)
        return replace(self.node, labels=labels, record=self.record, ours=ours)

    def patch(self) -> dict[str, t.Any]:
        """Return the JSON merge patch, guarded by the version of the node that was planned with."""
        metadata: dict[str, t.Any] = {"resourceVersion": self.node.resource_version}
        if self.labels:
            metadata["labels"] = dict(self.labels)
        if self.record != self.node.record:
            metadata["annotations"] = {RECORD_ANNOTATION: self.record.text()}
        return {"metadata": metadata}


def plan_labels(
    node: LabelledNode, wanted: WantedLabels, *, overwrite_foreign: bool = False, notify: bool = False
) -> LabelChange:
    """Plan that the labels in `wanted` get their values (or go), remembering what was there before.

    A region or zone with another value is only changed when the record says that this collection set it (managedFields
    cannot tell: after a restore they name this collection as the owner of a value that it only put back). A legacy
    failure-domain.beta label is the region or zone as well. `notify`: istiod is to be notified of the change
    afterwards.
    """
    changes: dict[str, str | None] = {}
    entries = dict(node.record.entries)
    refused = []
    for label, value in wanted.items():
        live = node.labels.get(label)
        reason = "" if overwrite_foreign else _foreign(node, label, value)
        if reason:
            refused.append(reason)
            continue
        if live == value:
            continue
        changes[label] = value
        entry = entries.get(label)
        before = entry.before if entry and entry.set == live else live
        if before == value:
            entries.pop(label, None)
        else:
            entries[label] = RecordEntry(before, value)
    return LabelChange(node, changes, _record(node, changes, entries, notify), refused=tuple(refused))


def plan_previous(node: LabelledNode, labels: t.Collection[str], *, notify: bool = False) -> LabelChange:
    """Plan that the given labels get back the values they had before this collection changed them.

    A label that somebody else changed meanwhile, or owns although its value is the one that was set, stays, is
    reported, and is no longer remembered.
    """
    changes: dict[str, str | None] = {}
    entries = dict(node.record.entries)
    foreign = []
    for label, entry in node.record.entries.items():
        if label not in labels:
            continue
        live = node.labels.get(label)
        del entries[label]
        if live == entry.before:
            continue
        owners = node.owners.get(label, ())
        if live == entry.set and (live is None or (label in node.ours and not owners)):
            changes[label] = entry.before
        else:
            foreign.append(UnrestoredLabel(node.name, label, live, entry.set, entry.before, owners))
    return LabelChange(node, changes, _record(node, changes, entries, notify), not_restored=tuple(foreign))


def _record(node: LabelledNode, changes: WantedLabels, entries: t.Mapping[str, RecordEntry], notify: bool) -> Record:
    # Without a wish to notify, the mark is left for a later run, but it alone is no reason to keep the annotation.
    pending = node.resource_version if changes else node.record.pending
    return Record(entries, pending if entries or notify else "")


def _foreign(node: LabelledNode, label: str, value: str | None) -> str:
    if label not in LEGACY:
        return ""
    key = label if label in node.labels else LEGACY[label]
    live = node.labels.get(key)
    if live is None or live == value or (value is None and key != label):
        return ""
    entry = node.record.entries.get(label)
    if key == label and entry and entry.set == live:
        return ""
    owners = node.owners.get(key, ())
    return (
        f"{node.name}: {key} is {live!r}, set by {' and '.join(owners) or 'an unknown owner'}, wanted {_shown(value)}"
    )


def _shown(value: str | None) -> str:
    return "absent" if value is None else repr(value)
