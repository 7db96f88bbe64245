# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels of a namespace that is there already: somebody else's are a conflict, and what we add can be taken back.

A field manager of its own owns these labels, so they come and go without touching what else is written in a namespace.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import Conflict, LocalityError, NotFound
from ansible_collections.meshops.locality.plugins.module_utils._kube.applied_objects import (
    owns_metadata,
    requests_of_one_object,
    writers,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import FIELD_MANAGER
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import NAMESPACE

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster, Json

MANAGER = f"{FIELD_MANAGER}:injection"
#: On a Namespace: the labels that were overwritten by force, each with its value and its owner before.
PREVIOUS_ANNOTATION = "meshops.locality/previous-labels"
#: How often the namespace is read and judged again when somebody else writes it meanwhile.
ATTEMPTS = 5

Labels = dict[str, str]


def add_labels(
    cluster: Cluster, name: str, wanted: t.Mapping[str, str], *, force: bool, dry_run: bool
) -> tuple[Labels, Labels]:
    """Give a namespace the labels that it has not; return all its labels before and after.

    A label that is there with another value is somebody else's: Conflict with the owner's name, unless `force` is set.
    Then what it was is written down in the same request. Raises NotFound without the namespace, LocalityError when what
    was written down is damaged.
    """
    for _attempt in range(ATTEMPTS):
        live = cluster.get(NAMESPACE, name)
        if live is None:
            raise NotFound(f"Namespace {name} does not exist (404).", status=404)
        there = _labels(live)
        if wanted.items() <= there.items():
            return there, there
        taken = {key: _owners(live, key) for key, value in wanted.items() if key in there and there[key] != value}
        foreign = {key: owners for key, owners in taken.items() if owners}
        if foreign and not force:
            raise _owned(name, there, wanted, foreign)
        previous = _previous(live)
        previous |= {key: {"value": there[key], "manager": owners[0]} for key, owners in foreign.items()}
        ours = {key: value for key, value in wanted.items() if there.get(key) != value or _is_ours(live, key)}
        metadata: Json = {"labels": ours}
        if previous:
            metadata["annotations"] = {PREVIOUS_ANNOTATION: json.dumps(previous, separators=(",", ":"))}
        try:
            return there, _labels(_apply(cluster, live, metadata, dry_run))
        except Conflict as error:
            last = error
    raise _written_again_and_again(name) from last


def take_labels_back(cluster: Cluster, name: str, *, dry_run: bool) -> tuple[Labels, Labels]:
    """Take our labels off a namespace, and put back what they were written over; return all labels before and after.

    What somebody else has changed since stays. A namespace that is gone has none. A run that is cut off in the middle
    is finished by the next one.
    """
    before: Labels | None = None
    with requests_of_one_object() as written:
        for _attempt in range(ATTEMPTS):
            live = cluster.get(NAMESPACE, name)
            there = _labels(live) if live else {}
            before = there if before is None else before
            if live is None or MANAGER not in writers(live):
                return before, there
            back = {key: entry for key, entry in _previous(live).items() if _is_ours(live, key)}
            only_ours = {key for key in there if _is_ours(live, key) and not _owners(live, key)}
            after = {key: value for key, value in there.items() if key not in only_ours}
            after |= {key: entry["value"] for key, entry in back.items()}
            try:
                for key, entry in () if dry_run else back.items():
                    # In the name of its owner: it is his again.
                    metadata = {"labels": {key: entry["value"]}, "resourceVersion": live["metadata"]["resourceVersion"]}
                    live = cluster.merge_patch(NAMESPACE, name, {"metadata": metadata}, manager=entry["manager"])
                    written.append(key)
                _apply(cluster, live, {}, dry_run)
                return before, after
            except Conflict as error:
                last = error
        raise _written_again_and_again(name) from last


def _apply(cluster: Cluster, live: Json, metadata: Json, dry_run: bool) -> Json:
    """Apply to the namespace as it was judged. Forced: who owns what has been decided, and the version says so."""
    guard = {key: live["metadata"][key] for key in ("name", "uid", "resourceVersion")}
    return cluster.apply(NAMESPACE, {"metadata": {**guard, **metadata}}, manager=MANAGER, force=True, dry_run=dry_run)


def _labels(namespace: Json) -> Labels:
    return dict(namespace["metadata"].get("labels") or {})


def _is_ours(namespace: Json, key: str) -> bool:
    return owns_metadata(namespace, MANAGER, "labels", key)


def _owners(namespace: Json, key: str) -> list[str]:
    """Return who else has written a label; "somebody unknown" when nobody says so."""
    owners = [manager for manager in writers(namespace) if owns_metadata(namespace, manager, "labels", key)]
    return [each for each in owners if each not in (FIELD_MANAGER, MANAGER)] if owners else ["somebody unknown"]


def _previous(namespace: Json) -> dict[str, Json]:
    text = (namespace["metadata"].get("annotations") or {}).get(PREVIOUS_ANNOTATION)
    if not text:
        return {}
    try:
        entries = {
            str(key): {"value": entry["value"], "manager": entry["manager"]} for key, entry in json.loads(text).items()
        }
        if not all(isinstance(text, str) for entry in entries.values() for text in entry.values()):
            raise TypeError("value and manager must be strings")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        name = namespace["metadata"]["name"]
        raise LocalityError(
            f"The annotation {PREVIOUS_ANNOTATION} of namespace {name} cannot be read: {error!r}.",
            do=f"Repair it, or forget what was there before: kubectl annotate namespace {name} {PREVIOUS_ANNOTATION}-",
        ) from error
    return entries


def _owned(
    name: str, there: t.Mapping[str, str], wanted: t.Mapping[str, str], foreign: t.Mapping[str, list[str]]
) -> Conflict:
    disputed = "; ".join(
        f"{key} is {there[key]!r} by {' and '.join(owners)}, wanted {wanted[key]!r}" for key, owners in foreign.items()
    )
    return Conflict(
        f"Namespace {name} has labels that somebody else owns: {disputed}.",
        do="Let the owner change them, wish for what is there, or take them over with force_conflicts: true (what they"
        " were is then written down, and put back when the labels are taken back).",
        status=409,
        conflicts=[
            {"manager": owner, "field": f"metadata.labels.{key}", "live": there[key], "wanted": wanted[key]}
            for key, owners in foreign.items()
            for owner in owners
        ],
    )


def _written_again_and_again(name: str) -> Conflict:
    return Conflict(
        f"Somebody else keeps writing namespace {name} (409): given up after {ATTEMPTS} attempts.",
        do="Find out who, then run again.",
        status=409,
    )
