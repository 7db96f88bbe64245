# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the objects of a failover policy, each as it was judged, and deletes them.

An object is tried (dry run), created or applied (server-side apply), or given back to whom it was taken from. What
somebody else owns, or wrote in between, is a conflict, unless it is forced.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import Conflict, LocalityError, NotFound
from ansible_collections.meshops.locality.plugins.module_utils._kube.applied_objects import (
    BEGUN,
    owned_as_applied,
    owns_metadata,
    requests_of_one_object,
    written_by,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import Kind
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent import Json
from ansible_collections.meshops.locality.plugins.module_utils._policy.istio_objects import (
    MADE_ANNOTATION,
    OWNER_ANNOTATION,
)
from ansible_collections.meshops.locality.plugins.module_utils._policy.previous_rule import (
    PREVIOUS_ANNOTATION,
    Previous,
    digest,
    merge_difference,
    spec_of_others,
    spec_owners,
    without,
)

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

#: How often a write is repeated when somebody else wrote the same object in between.
ATTEMPTS = 4

Result = t.TypeVar("Result")


class Steps:
    """Writes one object after the other. An error in the middle says what was written before it, and what was not."""

    def __init__(self, check_mode: bool) -> None:
        self._check_mode = check_mode
        self._written: list[str] = []
        self._changed = False

    def take(
        self, what: str, step: t.Callable[[], Result], rest: t.Sequence[str] = (), *, changes: bool = True
    ) -> Result:
        """Take a step; `rest` names what would have followed, `changes` says whether it changes something."""
        try:
            done = step()
        except LocalityError as error:
            begun = error.details.pop(BEGUN, False)
            if not (self._written or begun) or self._check_mode:
                raise
            left = ", ".join([what, *rest])
            before = f" Written before it: {', '.join(self._written)}." if self._written else ""
            raise type(error)(
                f"{error.what}{before}{f' {what} was begun.' if begun else ''} Not written: {left}.",
                do=f"{error.do} A second run finishes.".strip(),
                **{
                    **error.details,
                    "changed": self._changed or begun,
                    "written": list(self._written),
                    "not_written": [what, *rest],
                },
            ) from error
        self._written.append(what)
        self._changed = self._changed or changes
        return done


def field_manager(cluster: Cluster, params: t.Mapping[str, t.Any], warn: t.Callable[[str], None]) -> str:
    """Return the field manager of the policy's owner: the API server tells two of them apart, and says who is who.

    Without the option `owner` it is the user that the API server knows us as, so that two people who write a policy for
    one host meet a conflict and not each other's rule. Where it does not say who we are, everybody shares one: `warn`
    gets a sentence.
    """
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import FIELD_MANAGER

    owner = params.get("owner") or cluster.user()
    # The API server takes at most 128 printable characters (apimachinery, ValidateFieldManager).
    name = "".join(character for character in owner if character.isprintable())
    if name:
        return f"{FIELD_MANAGER}:{name}"[:128]
    warn(
        "The API server does not say who we are (SelfSubjectReview): whoever writes this policy without owner"
        " overwrites it without a conflict. Set owner."
    )
    return FIELD_MANAGER


def annotated(wanted: Json, live: Json | None, previous: Previous | None, manager: str) -> Json:
    """Return a wanted manifest with what is written down along with it: who made it, what it was before this policy.

    `live` is the object as it is now, None when it will be made.
    """
    metadata = wanted["metadata"]
    annotations = dict(metadata.get("annotations") or {})
    if live is None or is_made(live, manager):
        annotations[MADE_ANNOTATION] = metadata["name"]
    if previous:
        annotations[PREVIOUS_ANNOTATION] = previous.text()
    return {**wanted, "metadata": {**metadata, "annotations": annotations}} if annotations else wanted


def is_made(live: Json, manager: str) -> bool:
    """Return whether the policy of this field manager has made an object: it has its mark, and has written that."""
    annotations = live["metadata"].get("annotations") or {}
    return MADE_ANNOTATION in annotations and owns_metadata(live, manager, "annotations", MADE_ANNOTATION)


def take_back(
    cluster: Cluster, kind: Kind, live: Json, manager: str, *, force: bool, force_deletion: bool, dry_run: bool
) -> Json | None:
    """Make an object what it was before this policy: delete it, or put back what was somebody else's.

    Returns the object as it is then, None without one. Raises Conflict for one that the policy has not made, and for
    one that others have changed: `force` restores it all the same, `force_deletion` deletes it with their fields.
    """
    previous = Previous.of(live)
    if previous and previous.whole:
        return restore_previous(cluster, kind, live, previous, manager, force=force, dry_run=dry_run)
    with requests_of_one_object() as written:
        if previous:
            live = _give_back_fields(cluster, kind, live, previous, manager, dry_run)
            written.append("fields")
        delete_as_judged(cluster, kind, live, manager, force=force_deletion, dry_run=dry_run)
    return None


def _give_back_fields(
    cluster: Cluster, kind: Kind, live: Json, previous: Previous, manager: str, dry_run: bool
) -> Json:
    """Put back the fields that a forced change has taken from others, in the name of their owner; return the object.

    A field that somebody else owns again stays.
    """
    name, namespace = live["metadata"]["name"], live["metadata"]["namespace"]
    for _attempt in range(ATTEMPTS):
        metadata = {"resourceVersion": live["metadata"]["resourceVersion"], "annotations": {PREVIOUS_ANNOTATION: None}}
        body = {"metadata": metadata, "spec": without(previous.spec, spec_of_others(live, manager))}
        try:
            return cluster.merge_patch(kind, name, body, namespace, manager=previous.manager, dry_run=dry_run)
        except Conflict:
            existing = cluster.get(kind, name, namespace)
            if existing is None:
                raise
            live = existing
    raise _written_again_and_again(f"{kind.kind} {namespace}/{name}")


def restore_previous(
    cluster: Cluster, kind: Kind, live: Json, previous: Previous, manager: str, *, force: bool, dry_run: bool
) -> Json:
    """Make the object what it was before this policy, and give its fields back to who owned them.

    Two requests: the old values, in the name of their owner; then away with what is only ours. The annotation goes with
    the second one, so that a run that is cut off between both is finished by the next. Returns the object as it is
    then. Raises Conflict when somebody else has changed it since and `force` is not set, or keeps writing it.
    """
    name, namespace = live["metadata"]["name"], live["metadata"]["namespace"]
    where = f"{kind.kind} {namespace}/{name}"
    with requests_of_one_object() as written:
        for _attempt in range(ATTEMPTS):
            changed = digest(live.get("spec")) not in (previous.written, digest(previous.spec))
            if changed and not force:
                raise Conflict(
                    f"{where} was changed by {', '.join(_foreign_owners(live, manager)) or 'somebody else'} since this"
                    " policy was written: it is left as it is.",
                    do=f"What it was before stands in its annotation {PREVIOUS_ANNOTATION}: put it back by hand.",
                    status=409,
                )
            try:
                difference = merge_difference(live.get("spec") or {}, previous.spec)
                if difference:
                    body = {"metadata": {"resourceVersion": live["metadata"]["resourceVersion"]}, "spec": difference}
                    live = cluster.merge_patch(kind, name, body, namespace, manager=previous.manager, dry_run=dry_run)
                    written.append("values")
                if not dry_run:
                    guard = {key: live["metadata"][key] for key in ("uid", "resourceVersion")}
                    metadata = {"name": name, "namespace": namespace, **guard}
                    live = cluster.apply(kind, {"metadata": metadata}, manager=manager)
            except Conflict:
                existing = cluster.get(kind, name, namespace)
                if existing is None:
                    raise
                live = existing
                continue
            if digest(live.get("spec")) != digest(previous.spec):
                raise Conflict(f"{where} is not yet what it was before this policy.", do="Look at it.", status=409)
            return {"apiVersion": kind.api_version, "kind": kind.kind, **live}
        raise _written_again_and_again(where)


def write_as_judged(
    cluster: Cluster, kind: Kind, wanted: Json, live: Json | None, expected: Json, manager: str, *, force: bool
) -> Json:
    """Apply one object as it was judged: `live` as it was read, `expected` as a dry run has shown it will be.

    What somebody else writes in between is neither overwritten nor left out of what is written down: Conflict. An
    object that was not there is created: the one that somebody else has made since, be it equal, was not judged.
    """
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import contains

    if live is None:
        return _create(cluster, kind, wanted, manager)
    where = f"{kind.kind} {wanted['metadata']['namespace']}/{wanted['metadata']['name']}"
    judged = owned_as_applied(cluster, kind, live, manager)
    for _attempt in range(ATTEMPTS):
        version = {"resourceVersion": judged["metadata"]["resourceVersion"]}
        try:
            return cluster.apply(
                kind, {**wanted, "metadata": {**wanted["metadata"], **version}}, manager=manager, force=force
            )
        except Conflict as error:
            if fields := _owned_fields(error):
                raise _owned_by_others(where, fields, wanted, judged) from error
            existing = cluster.get(kind, wanted["metadata"]["name"], wanted["metadata"]["namespace"])
            if (
                existing
                and manager in spec_owners(existing)
                and contains(existing, {**wanted, "spec": expected.get("spec")})
            ):
                return existing  # The answer to an earlier try got lost: it was ourselves.
            if existing is None or _judged(existing) != _judged(live):
                who = ", ".join(_foreign_owners(existing, manager)) if existing else ""
                raise Conflict(
                    f"{where} was {'changed' if existing else 'deleted'} by {who or 'somebody else'} "
                    "since it was read: it"
                    " is left as it is.",
                    do="Run again: what is there now is read first.",
                    status=409,
                ) from error
            judged = existing  # Only its status, or a label: not what was judged.
    raise _written_again_and_again(where)


def _create(cluster: Cluster, kind: Kind, wanted: Json, manager: str) -> Json:
    name, namespace = wanted["metadata"]["name"], wanted["metadata"]["namespace"]
    existing: Json | None
    try:
        created = cluster.create(kind, wanted, manager=manager)
    except Conflict:
        existing = cluster.get(kind, name, namespace)
    else:
        existing = created  # Not ours when the answer to the first try got lost, and an equal one is there.
        if written_by(created, manager):
            with requests_of_one_object() as written:
                written.append("create")
                guard = {"uid": owned_as_applied(cluster, kind, created, manager)["metadata"]["uid"]}
                # A create owns a little more than an apply: without this one the next run would write once more.
                return cluster.apply(kind, {**wanted, "metadata": {**wanted["metadata"], **guard}}, manager=manager)
    who = ", ".join(_foreign_owners(existing, manager)) if existing else ""
    raise Conflict(
        f"{kind.kind} {namespace}/{name} was created by {who or 'somebody else'} since it was looked for: it is left as"
        " it is.",
        do="Run again: what is there now is read first.",
        status=409,
    )


def _judged(manifest: Json) -> Json:
    """Return what a write was decided by: the object itself, its spec, and who owns that."""
    annotations = manifest["metadata"].get("annotations") or {}
    return {
        "uid": manifest["metadata"].get("uid"),
        "spec": manifest.get("spec"),
        "owners": sorted(spec_owners(manifest)),
        "previous": annotations.get(PREVIOUS_ANNOTATION),
        "policy": annotations.get(OWNER_ANNOTATION),
        "made": annotations.get(MADE_ANNOTATION),
    }


def dry_run_apply(
    cluster: Cluster, kind: Kind, wanted: Json, live: Json | None, manager: str, *, force: bool, check_mode: bool
) -> Json:
    """Return what the API server would make of an apply (dry run): nothing is written.

    Where nobody else owns anything of the spec, nobody is forced: a creation that was cut off owns fields by another
    operation of the same manager, which would be a conflict with ourselves. With `check_mode` a namespace that is
    missing is taken as made by an earlier task. Raises Conflict, with the fields, when others own what is wanted.
    """
    where = f"{kind.kind} {wanted['metadata']['namespace']}/{wanted['metadata']['name']}"
    force = force or bool(live and not _foreign_owners(live, manager))
    for attempt in range(ATTEMPTS):
        try:
            return cluster.apply(kind, wanted, manager=manager, force=force, dry_run=True)
        except NotFound as error:
            if check_mode and error.details.get("kind") == "namespaces":
                # An earlier task of the same play would have made the namespace.
                return wanted
            raise
        except Conflict as error:
            if fields := _owned_fields(error):
                raise _owned_by_others(where, fields, wanted, live) from error
            if attempt == ATTEMPTS - 1:
                raise _written_again_and_again(where) from error
    raise RuntimeError("unreachable: the last attempt returns or raises")


def _owned_fields(error: Conflict) -> list[Json]:
    """Return the fields of an apply that others own, as the API server tells them."""
    return [cause for cause in error.details.get("causes", []) if cause.get("reason") == "FieldManagerConflict"]


def _written_again_and_again(where: str) -> Conflict:
    return Conflict(
        f"Somebody else keeps writing {where} (409): given up after {ATTEMPTS} attempts.",
        do="Find out who, then run again.",
        status=409,
    )


def _owned_by_others(where: str, fields: list[Json], wanted: Json, live: Json | None) -> Conflict:
    conflicts = [
        {
            "manager": str(cause.get("message", "")).partition('"')[2].partition('"')[0],
            "field": str(cause.get("field", "")).lstrip("."),
            "live": _at(live, str(cause.get("field", ""))),
            "wanted": _at(wanted, str(cause.get("field", ""))),
        }
        for cause in fields
    ]
    disputed = "; ".join(
        f"{entry['field']} is {entry['live']!r} by {entry['manager']}, wanted {entry['wanted']!r}"
        for entry in conflicts
    )
    return Conflict(
        f"{where} has fields that somebody else owns: {disputed}.",
        do="Let the owner change them, leave them out here, act in the owner's name (owner: what follows"
        " meshops.locality: in it), or take them over with force_conflicts: true (what it was is then written down, and"
        " state: previous puts it back).",
        status=409,
        conflicts=conflicts,
    )


def _at(manifest: Json | None, path: str) -> t.Any:
    """Return the value at `.spec.a.b`, or None; paths with list keys end at the list."""
    value: t.Any = manifest
    for part in path.strip(".").split("."):
        if not isinstance(value, dict):
            return value
        value = value.get(part)
    return value


def _foreign_owners(manifest: Json, manager: str) -> list[str]:
    """Return the other field managers that own something of the spec."""
    return sorted(owner for owner in spec_owners(manifest) if owner != manager)


def delete_as_judged(cluster: Cluster, kind: Kind, live: Json, manager: str, *, force: bool, dry_run: bool) -> None:
    """Delete exactly the object that was judged; when it changed meanwhile, judge it again.

    Raises Conflict when this policy has not made it, when others own something of its spec and `force` is not set, or
    when somebody keeps writing it.
    """
    name, namespace = live["metadata"]["name"], live["metadata"]["namespace"]
    current: Json | None = live
    for _attempt in range(ATTEMPTS):
        if current is None:
            return
        owners = _foreign_owners(current, manager)
        if not is_made(current, manager):
            raise Conflict(
                f"{kind.kind} {namespace}/{name} was not made by this policy, but by"
                f" {', '.join(owners) or 'somebody unknown'}.",
                do="It is left as it is. To act in such a name, set owner to what follows the colon.",
                status=409,
                conflicts=[{"manager": owner} for owner in owners],
            )
        if owners and not force:
            raise Conflict(
                f"{kind.kind} {namespace}/{name} also holds fields of {', '.join(owners)}.",
                do="It is left as it is. Remove those fields, or the whole object, in their name.",
                status=409,
                conflicts=[{"manager": owner} for owner in owners],
            )
        try:
            cluster.delete(
                kind, name, namespace, resource_version=current["metadata"].get("resourceVersion"), dry_run=dry_run
            )
            return
        except Conflict:
            current = cluster.get(kind, name, namespace)
    raise Conflict(
        f"Somebody else keeps writing {kind.kind} {namespace}/{name}: it was not deleted after {ATTEMPTS} attempts.",
        do="Find out who, then run again.",
        status=409,
    )
