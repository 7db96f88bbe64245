# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a failover policy: the DestinationRule, and the VirtualService with its retries.

Both are created, and written with server-side apply from then on. The order is: read, judge, let the server try both
(dry run), write both. A run that was cut off between the two writes is finished by the next one.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from functools import partial

from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    LocalityError,
    NotFound,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.destination_rules import Rule
from ansible_collections.meshops.locality.plugins.module_utils._kube.applied_objects import (
    owned_as_applied,
    written_by,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import (
    DESTINATION_RULE,
    VIRTUAL_SERVICE,
    Kind,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.service_endpoints import find_endpoints
from ansible_collections.meshops.locality.plugins.module_utils._policy import completion, conflicting_rules
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent import Intent, Json
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent_validation import check
from ansible_collections.meshops.locality.plugins.module_utils._policy.istio_objects import (
    OWNER_ANNOTATION,
    destination_rule,
    virtual_service,
)
from ansible_collections.meshops.locality.plugins.module_utils._policy.previous_rule import (
    PREVIOUS_ANNOTATION,
    Previous,
    digest,
    merge_difference,
    previous_of,
    spec_owners,
)

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

#: How often a write is repeated when somebody else wrote the same object in between.
ATTEMPTS = 4
_NOISE = ("kubectl.kubernetes.io/last-applied-configuration", PREVIOUS_ANNOTATION)


def failover_policy(cluster: Cluster, params: t.Mapping[str, t.Any], module: AnsibleModule) -> Json:
    """Body of the module: bring one policy into the wanted state. Returns what the module documents."""
    intent = Intent.from_options(params)
    if params["state"] in ("absent", "previous"):
        return _absent(cluster, intent, params, module)
    check(intent)
    return _present(cluster, intent, params, module)


def _present(cluster: Cluster, intent: Intent, params: t.Mapping[str, t.Any], module: AnsibleModule) -> Json:
    rules = _readable(cluster, DESTINATION_RULE, intent.namespace, module)
    services = _readable(cluster, VIRTUAL_SERVICE, intent.namespace, module)
    live_rule = _named(rules, intent.namespace, intent.name)
    own = [manifest for manifest in services if _is_own(manifest, intent)]

    discovered = find_endpoints(cluster, intent)
    completed: list[completion.Completed] = []
    if intent.complete:
        if discovered.per_locality is None or not sum(discovered.per_locality.values()):
            raise InvalidInput(
                f"complete: host {intent.host} has no endpoints to compute from. {' '.join(discovered.notes)}".rstrip(),
                do="Deploy the workload first, or give outlier_detection.max_ejection_percent and leave out complete.",
            )
        intent, completed = completion.complete(intent, discovered.per_locality, http=discovered.http)
    others = [manifest for manifest in services if manifest not in own]
    intent, completed, notes = _without_needless_routes(intent, completed, others)

    wanted_rule, wanted_service = destination_rule(intent), virtual_service(intent)
    ours = Rule.from_manifest(_dated(wanted_rule, live_rule))
    clashes = conflicting_rules.clashes(ours, [Rule.from_manifest(manifest) for manifest in rules])
    for clash in clashes:
        if clash.everywhere:
            raise Conflict(
                conflicting_rules.describe(clash, str(ours)) + " This policy would have no effect.",
                do=f"Move what it says into DestinationRule {clash.rule}, or delete that one.",
                status=409,
                conflicts=[entry._asdict() for entry in clashes],
            )
    notes += discovered.notes + [conflicting_rules.describe(clash, str(ours)) for clash in clashes]
    for note in [*notes, *completion.warnings(intent, discovered.per_locality)]:
        module.warn(note)

    writes = [(DESTINATION_RULE, wanted_rule, live_rule)]
    surplus = own
    if wanted_service:
        live_service = _named(services, intent.namespace, intent.virtual_service_name)
        if live_service and live_service not in own:
            raise Conflict(
                f"VirtualService {intent.namespace}/{intent.virtual_service_name} exists and is not this policy's.",
                do="Choose another virtual_service_name.",
                status=409,
            )
        surplus = [manifest for manifest in own if manifest is not live_service]
        writes.append((VIRTUAL_SERVICE, wanted_service, live_service))
    manager, force = _manager(cluster, params), bool(params["force_conflicts"])
    after = [_tried(cluster, *write, manager, force=force, check_mode=module.check_mode) for write in writes]
    previous = previous_of(live_rule, after[0], manager)
    if previous:
        writes[0] = (DESTINATION_RULE, _with_previous(wanted_rule, previous), live_rule)
    steps = _Steps(module.check_mode)
    if not module.check_mode:
        after = [
            steps.take(
                f"{kind.kind} {wanted['metadata']['name']}",
                partial(_write, cluster, kind, wanted, live, after[number], manager, force=force),
                [f"{later.kind} {body['metadata']['name']}" for later, body, _live in writes[number + 1 :]],
                changes=tidy(live) != tidy(after[number]),
            )
            for number, (kind, wanted, live) in enumerate(writes)
        ]
    for manifest in surplus:
        steps.take(
            f"VirtualService {manifest['metadata']['name']}",
            partial(_delete, cluster, VIRTUAL_SERVICE, manifest, manager, force=True, dry_run=module.check_mode),
        )

    before_state = {DESTINATION_RULE.kind: [tidy(live_rule)], VIRTUAL_SERVICE.kind: [tidy(m) for m in own]}
    after_state = {DESTINATION_RULE.kind: [tidy(after[0])], VIRTUAL_SERVICE.kind: [tidy(m) for m in after[1:]]}
    return {
        **_result(before_state, after_state),
        "conflicts": [{key: value for key, value in c._asdict().items() if key != "everywhere"} for c in clashes],
        "completed": [entry._asdict() for entry in completed],
        "endpoints": {str(place): number for place, number in sorted((discovered.per_locality or {}).items())},
    }


def _absent(cluster: Cluster, intent: Intent, params: t.Mapping[str, t.Any], module: AnsibleModule) -> Json:
    if not intent.name:
        raise InvalidInput("name: is missing, and cannot be made of a missing service_host.")
    try:
        services = _list(cluster, VIRTUAL_SERVICE, intent.namespace)
    except NotFound:  # an API server that does not know the kind has none of them
        services = []
    own = [manifest for manifest in services if _is_own(manifest, intent)]
    live = cluster.get(DESTINATION_RULE, intent.name, intent.namespace)
    previous = Previous.of(live)
    manager, check_mode = _manager(cluster, params), module.check_mode
    force = bool(params["force_conflicts"])
    steps = _Steps(check_mode)
    # The VirtualService first: without it the rule is only less complete, the other way round nobody would find it.
    rest = [f"{DESTINATION_RULE.kind} {intent.name}"] if live else []
    for manifest in own:
        steps.take(
            f"{VIRTUAL_SERVICE.kind} {manifest['metadata']['name']}",
            partial(_delete, cluster, VIRTUAL_SERVICE, manifest, manager, force=force, dry_run=check_mode),
            rest,
        )
    after: Json | None = None
    if live and previous:
        after = steps.take(
            rest[0], lambda: _give_back(cluster, live, previous, manager, force=force, dry_run=check_mode)
        )
    elif live and manager not in spec_owners(live):
        module.warn(
            f"DestinationRule {intent.namespace}/{intent.name} is not this policy's (its fields are owned by"
            f" {', '.join(spec_owners(live)) or 'nobody'}): it is left alone. To act in such a name, set owner to what"
            " follows the colon."
        )
        after = live
    elif live:
        only_ours = params["state"] == "previous"
        steps.take(
            rest[0],
            lambda: _delete(
                cluster, DESTINATION_RULE, live, manager, force=force and not only_ours, dry_run=check_mode
            ),
        )
    before = {DESTINATION_RULE.kind: [tidy(live)], VIRTUAL_SERVICE.kind: [tidy(manifest) for manifest in own]}
    then = {DESTINATION_RULE.kind: [tidy(after)]} if after else {}
    return {**_result(before, then), "conflicts": [], "completed": [], "endpoints": {}}


Result = t.TypeVar("Result")


class _Steps:
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
            if not self._written or self._check_mode:
                raise
            left = ", ".join([what, *rest])
            raise type(error)(
                f"{error.what} Written before it: {', '.join(self._written)}. Not written: {left}.",
                do=f"{error.do} A second run finishes.".strip(),
                **{
                    **error.details,
                    "changed": self._changed,
                    "written": list(self._written),
                    "not_written": [what, *rest],
                },
            ) from error
        self._written.append(what)
        self._changed = self._changed or changes
        return done


def _manager(cluster: Cluster, params: t.Mapping[str, t.Any]) -> str:
    """Return the field manager of the policy's owner: the API server tells two of them apart, and says who is who.

    Without the option `owner` it is the user that the API server knows us as, so that two people who write a policy for
    one host meet a conflict and not each other's rule.
    """
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import FIELD_MANAGER

    owner = params.get("owner") or cluster.user()
    # The API server takes at most 128 printable characters (apimachinery, ValidateFieldManager).
    name = "".join(character for character in owner if character.isprintable())
    return f"{FIELD_MANAGER}:{name}"[:128] if name else FIELD_MANAGER


def _with_previous(wanted: Json, previous: Previous) -> Json:
    metadata = wanted["metadata"]
    annotations = {**(metadata.get("annotations") or {}), PREVIOUS_ANNOTATION: previous.text()}
    return {**wanted, "metadata": {**metadata, "annotations": annotations}}


def _give_back(cluster: Cluster, live: Json, previous: Previous, manager: str, *, force: bool, dry_run: bool) -> Json:
    """Make the rule what it was before this policy, and give its fields back to who owned them.

    Two requests: the old values, in the name of their owner; then away with what is only ours. The annotation goes with
    the second one, so that a run that is cut off between both is finished by the next.
    """
    name, namespace = live["metadata"]["name"], live["metadata"]["namespace"]
    where = f"{DESTINATION_RULE.kind} {namespace}/{name}"
    for _attempt in range(ATTEMPTS):
        changed = digest(live.get("spec")) not in (previous.written, digest(previous.spec))
        if changed and not force:
            raise Conflict(
                f"{where} was changed by {', '.join(_foreign_owners(live, manager)) or 'somebody else'} since this"
                " policy was written: it is kept.",
                do=f"What it was before stands in its annotation {PREVIOUS_ANNOTATION}: put it back by hand.",
                status=409,
            )
        try:
            difference = merge_difference(live.get("spec") or {}, previous.spec)
            if difference:
                body = {"metadata": {"resourceVersion": live["metadata"]["resourceVersion"]}, "spec": difference}
                live = cluster.merge_patch(
                    DESTINATION_RULE, name, body, namespace, manager=previous.manager, dry_run=dry_run
                )
            if not dry_run:
                live = cluster.apply(
                    DESTINATION_RULE, {"metadata": {"name": name, "namespace": namespace}}, manager=manager
                )
        except Conflict:
            existing = cluster.get(DESTINATION_RULE, name, namespace)
            if existing is None:
                raise
            live = existing
            continue
        if digest(live.get("spec")) != digest(previous.spec):
            raise Conflict(f"{where} is not yet what it was before this policy.", do="Look at it.", status=409)
        return {"apiVersion": DESTINATION_RULE.api_version, "kind": DESTINATION_RULE.kind, **live}
    raise Conflict(f"Somebody else keeps writing {where} (409).", do="Find out who, then run again.", status=409)


def _result(before: t.Mapping[str, list[Json]], after: t.Mapping[str, list[Json]]) -> Json:
    def shown(state: t.Mapping[str, list[Json]]) -> list[Json]:
        return sorted(
            (manifest for manifests in state.values() for manifest in manifests if manifest),
            key=lambda manifest: (manifest["kind"], manifest["metadata"]["name"]),
        )

    return {
        "changed": shown(before) != shown(after),
        "destination_rule": (after.get(DESTINATION_RULE.kind) or [{}])[0],
        "virtual_service": (after.get(VIRTUAL_SERVICE.kind) or [{}])[0],
        "diff": {"before": {"objects": shown(before)}, "after": {"objects": shown(after)}},
    }


def tidy(manifest: Json | None) -> Json:
    """Return an object without what the API server adds to it; {} for None."""
    if manifest is None:
        return {}
    metadata = manifest["metadata"]
    identity = {key: metadata[key] for key in ("name", "namespace", "labels") if metadata.get(key)}
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key not in _NOISE}
    if annotations:
        identity["annotations"] = annotations
    return {
        "apiVersion": manifest["apiVersion"],
        "kind": manifest["kind"],
        "metadata": identity,
        "spec": manifest.get("spec") or {},
    }


def _list(cluster: Cluster, kind: Kind, namespace: str | None) -> list[Json]:
    """List one of Istio's kinds, with kind and apiVersion in each item, as a GET has them."""
    try:
        items = cluster.list(kind, namespace)
    except NotFound as error:
        raise NotFound(
            f"The API server {cluster.server} does not know {kind.plural}.{kind.group}: Istio is not installed.",
            do="Install Istio (at least its CRDs and istiod) in this cluster first.",
            status=404,
        ) from error
    return [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in items]


def _readable(cluster: Cluster, kind: Kind, namespace: str, module: AnsibleModule) -> list[Json]:
    """List a kind in all namespaces, or in the policy's own when the user may not look at the others."""
    try:
        return _list(cluster, kind, None)
    except Forbidden:
        items = _list(cluster, kind, namespace)
        module.warn(
            f"Not allowed to list {kind.plural} of all namespaces: conflicts are looked for in {namespace} only. "
            f"Grant the verb 'list' on {kind.plural} cluster-wide to see them all."
        )
        return items


def _named(manifests: list[Json], namespace: str, name: str) -> Json | None:
    for manifest in manifests:
        if manifest["metadata"]["namespace"] == namespace and manifest["metadata"]["name"] == name:
            return manifest
    return None


def _is_own(manifest: Json, intent: Intent) -> bool:
    metadata = manifest["metadata"]
    return (
        metadata["namespace"] == intent.namespace
        and (metadata.get("annotations") or {}).get(OWNER_ANNOTATION) == intent.name
    )


def _dated(wanted: Json, live: Json | None) -> Json:
    """Return the wanted rule with the age it has, or will have."""
    if live is None:
        return wanted
    created = live["metadata"].get("creationTimestamp")
    spec = {
        **({"workloadSelector": live["spec"]["workloadSelector"]} if "workloadSelector" in live["spec"] else {}),
        **wanted["spec"],
    }
    return {**wanted, "metadata": {**wanted["metadata"], "creationTimestamp": created}, "spec": spec}


def _without_needless_routes(
    intent: Intent, completed: list[completion.Completed], others: list[Json]
) -> tuple[Intent, list[completion.Completed], list[str]]:
    """Refuse to shadow another VirtualService; leave ours out when that one retries in other localities already."""
    if not intent.wants_virtual_service:
        return intent, completed, []
    in_the_way = conflicting_rules.routes(intent.host, intent.namespace, others)
    notes = [
        f"Clients in namespace {route.namespace} may take the routes of VirtualService {route.namespace}/{route.name} "
        f"for host {route.host} instead of this policy's retries."
        for route in in_the_way
        if not route.public
    ]
    in_the_way = [route for route in in_the_way if route.public]
    if in_the_way and not intent.retries and all(route.retries_remote for route in in_the_way):
        rest = [entry for entry in completed if not entry.field.startswith("VirtualService.")]
        return Intent(**{**intent.__dict__, "retry_remote_localities": None}), rest, notes
    if in_the_way:
        names = ", ".join(f"{route.namespace}/{route.name} (host {route.host})" for route in in_the_way)
        raise Conflict(
            f"VirtualService {names} routes host {intent.host} already: a second one with retries would shadow it, or "
            "be ignored, because sidecars take the oldest.",
            do="Set retries.retryRemoteLocalities: true on its http routes, or give retry_remote_localities: false.",
            status=409,
            conflicts=[route._asdict() for route in in_the_way],
        )
    return intent, completed, notes


def _write(
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
    try:
        created = cluster.create(kind, wanted, manager=manager)
        if written_by(created, manager):
            guard = {"uid": owned_as_applied(cluster, kind, created, manager)["metadata"]["uid"]}
            # A create owns a little more than an apply: without this one the next run would write once more.
            return cluster.apply(kind, {**wanted, "metadata": {**wanted["metadata"], **guard}}, manager=manager)
        existing: Json | None = created  # The answer to the first try got lost, and an equal one is there: not ours.
    except Conflict:
        existing = cluster.get(kind, name, namespace)
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
    }


def _tried(
    cluster: Cluster, kind: Kind, wanted: Json, live: Json | None, manager: str, *, force: bool, check_mode: bool
) -> Json:
    """Return what the API server would make of an apply (dry run): nothing is written.

    Where nobody else owns anything of the spec, nobody is forced: a creation that was cut off owns fields by another
    operation of the same manager, which would be a conflict with ourselves.
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


def _delete(cluster: Cluster, kind: Kind, live: Json, manager: str, *, force: bool, dry_run: bool) -> None:
    """Delete exactly the object that was judged; when it changed meanwhile, judge it again."""
    name, namespace = live["metadata"]["name"], live["metadata"]["namespace"]
    current: Json | None = live
    for _attempt in range(ATTEMPTS):
        if current is None:
            return
        owners = [] if force else _foreign_owners(current, manager)
        if owners:
            raise Conflict(
                f"{kind.kind} {namespace}/{name} also holds fields of {', '.join(owners)}.",
                do="It is kept. Remove those fields, or the whole object, in their name.",
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
