# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot as it is saved: a Kubernetes List of objects, with the control plane, problems and assumptions next to it.

The objects are those of the API server or of manifests, cut down to the fields that are read
(_model/field_filter.py), so kubectl, jq and topology_info read them alike. Everything else is computed from them.

Pure. Private to this collection: it may change at any time; the form of the JSON carries a version and has a schema
(docs/schemas/snapshot.v1.json).
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import (
    KINDS,
    build,
    kind_of,
    unique,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.assumptions import Assumption
from ansible_collections.meshops.locality.plugins.module_utils._model.not_judged import NotJudged
from ansible_collections.meshops.locality.plugins.module_utils._model.problems import Problem
from ansible_collections.meshops.locality.plugins.module_utils._model.record_json import describe, from_json, to_json
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import (
    CLUSTER,
    DOMAIN,
    Json,
    Mesh,
    Snapshot,
)

#: A change that older readers cannot read gets a new number.
SCHEMA = "meshops.locality/snapshot/v1"
#: What makes the document a List that kubectl reads.
_LIST = {"apiVersion": "v1", "kind": "List"}


@dataclasses.dataclass(frozen=True)
class SnapshotDocument:
    """A mesh at one moment. `taken` is an ISO time or ''; `sources` say where it was read from, one sentence each.

    `cluster` and `domain` are istiod's names of them. `problems` are objects or fields that could not be read: what
    depends on them is missing. `assumptions` say what was put in for what the sources do not say.
    `not_judged` is what was passed over in files. `items` are the objects, each kind, namespace and name once.
    """

    cluster: str = CLUSTER
    domain: str = DOMAIN
    taken: str = ""
    sources: tuple[str, ...] = ()
    control_plane: Mesh = dataclasses.field(default_factory=Mesh)
    problems: tuple[Problem, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    not_judged: tuple[NotJudged, ...] = ()
    items: tuple[Json, ...] = ()

    @functools.cached_property
    def snapshot(self) -> Snapshot:
        """What istiod sees in these objects; its problems are those of the document, and of the objects."""
        snapshot = build(
            self.items,
            mesh=self.control_plane,
            cluster=self.cluster,
            taken=self.taken,
            sources=self.sources,
            assumptions=self.assumptions,
            domain=self.domain,
        )
        problems = tuple(dict.fromkeys((*self.problems, *snapshot.problems)))
        return dataclasses.replace(snapshot, problems=problems, not_judged=self.not_judged)


def write(document: SnapshotDocument) -> Json:
    """Return the JSON of a document, with its schema's name; objects that are not read are left out.

    The problems of its objects are in it, for those who look at it without this collection.
    """
    whole = dataclasses.replace(document, problems=document.snapshot.problems, items=())
    return {"schema": SCHEMA, **_LIST, **to_json(whole), "items": unique(document.items)}


def read(value: t.Any) -> SnapshotDocument:
    """Read the JSON of a document. Raises InvalidInput when it is something else, or of another version."""
    if not isinstance(value, collections.abc.Mapping):
        raise InvalidInput(
            f"Not a snapshot: expected a dictionary, got {type(value).__name__}.",
            do="Give what meshops.locality.topology_info returned as snapshot.",
        )
    schema_name = value.get("schema")
    if schema_name != SCHEMA:
        raise InvalidInput(
            f"Not a snapshot of this version: its schema is {schema_name!r}, this collection reads {SCHEMA}.",
            do="Take the snapshot again with meshops.locality.topology_info.",
        )
    for name, wanted in _LIST.items():
        if value.get(name) != wanted:
            raise InvalidInput(f"snapshot.{name}: expected {wanted!r}, got {value.get(name)!r}.")
    if "items" not in value:
        raise InvalidInput("snapshot: the field 'items' is missing.")
    fields = {name: inner for name, inner in value.items() if name != "schema" and name not in _LIST}
    document = from_json(SnapshotDocument, fields, "snapshot")
    for position, item in enumerate(document.items):
        _check_item(item, f"snapshot.items[{position}]")
    return document


def _check_item(item: Json, path: str) -> None:
    """Refuse what `unique` would leave out: nothing that was saved may be passed over in silence."""
    if not kind_of(item):
        raise InvalidInput(
            f"{path}: {item.get('kind')!r} of {item.get('apiVersion')!r} is not a kind that snapshots have.",
            do="Take the snapshot again; give other objects as manifests.",
        )
    metadata = item.get("metadata")
    name = metadata.get("name") if isinstance(metadata, collections.abc.Mapping) else None
    if not isinstance(name, str) or not name:
        raise InvalidInput(f"{path}: metadata.name is missing.")


def schema() -> Json:
    """Return the JSON schema (draft 2020-12) of a document."""
    body, definitions = describe(SnapshotDocument)
    items = {
        "type": "array",
        "description": "Kubernetes objects with the fields that decide where requests go.",
        "items": {
            "type": "object",
            "required": ["apiVersion", "kind", "metadata"],
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"enum": sorted({kind for _group, kind in KINDS})},
                "metadata": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string", "minLength": 1}},
                },
            },
        },
    }
    head = {"schema": {"const": SCHEMA}, **{name: {"const": value} for name, value in _LIST.items()}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SCHEMA,
        **body,
        "properties": {**head, **body["properties"], "items": items},
        "required": [*head, "items"],
        "$defs": definitions,
    }
