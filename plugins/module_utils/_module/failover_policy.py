# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module failover_policy does: composes the DestinationRule and the VirtualService with its retries.

The order is: read, judge, let the server try both (dry run), write both, answer; how they are written is in
failover_policy_writes.py. A run that was cut off between the two writes is finished by the next one.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import contextlib
import typing as t
from functools import partial

from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.destination_rules import Rule
from ansible_collections.meshops.locality.plugins.module_utils._istio.host_names import domain_of
from ansible_collections.meshops.locality.plugins.module_utils._kube.access_review import may
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import (
    DESTINATION_RULE,
    VIRTUAL_SERVICE,
    Kind,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.service_endpoints import find_endpoints
from ansible_collections.meshops.locality.plugins.module_utils._module.failover_policy_writes import (
    Steps,
    annotated,
    dry_run_apply,
    field_manager,
    is_made,
    take_back,
    write_as_judged,
)
from ansible_collections.meshops.locality.plugins.module_utils._policy import completion, conflicting_rules
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent import Intent, Json
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent_validation import check
from ansible_collections.meshops.locality.plugins.module_utils._policy.istio_objects import (
    MADE_ANNOTATION,
    OWNER_ANNOTATION,
    destination_rule,
    virtual_service,
)
from ansible_collections.meshops.locality.plugins.module_utils._policy.previous_rule import (
    PREVIOUS_ANNOTATION,
    Previous,
    previous_of,
    spec_owners,
)

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

_NOISE = ("kubectl.kubernetes.io/last-applied-configuration", PREVIOUS_ANNOTATION, MADE_ANNOTATION)


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
    domain = domain_of(intent.host) or discovered.domain
    intent, completed, notes = _without_needless_routes(intent, completed, others, domain)

    wanted_rule, wanted_service = destination_rule(intent), virtual_service(intent)
    ours = Rule.from_manifest(_dated(wanted_rule, live_rule), domain)
    clashes = conflicting_rules.clashes(ours, [Rule.from_manifest(manifest, domain) for manifest in rules])
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
    manager, force = field_manager(cluster, params, module.warn), bool(params["force_conflicts"])
    after = [dry_run_apply(cluster, *write, manager, force=force, check_mode=module.check_mode) for write in writes]
    writes = [
        (kind, annotated(wanted, live, previous_of(live, planned, manager), manager), live)
        for (kind, wanted, live), planned in zip(writes, after, strict=True)
    ]
    steps = Steps(module.check_mode)
    if not module.check_mode:
        after = [
            steps.take(
                f"{kind.kind} {wanted['metadata']['name']}",
                partial(write_as_judged, cluster, kind, wanted, live, after[number], manager, force=force),
                [f"{later.kind} {body['metadata']['name']}" for later, body, _live in writes[number + 1 :]],
                changes=tidy(live) != tidy(after[number]),
            )
            for number, (kind, wanted, live) in enumerate(writes)
        ]
    for manifest in surplus:
        left = steps.take(
            f"VirtualService {manifest['metadata']['name']}",
            partial(
                take_back,
                cluster,
                VIRTUAL_SERVICE,
                manifest,
                manager,
                force=force,
                force_deletion=force,
                dry_run=module.check_mode,
            ),
        )
        after += [left] if left else []

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
    manager, check_mode = field_manager(cluster, params, module.warn), module.check_mode
    force = bool(params["force_conflicts"])
    steps = Steps(check_mode)
    give_back = partial(
        take_back,
        cluster,
        manager=manager,
        force=force,
        force_deletion=force and params["state"] == "absent",
        dry_run=check_mode,
    )
    after: list[Json | None] = []
    # The VirtualService first: without it the rule is only less complete, the other way round nobody would find it.
    rest = [f"{DESTINATION_RULE.kind} {intent.name}"] if live else []
    for manifest in own:
        what = f"{VIRTUAL_SERVICE.kind} {manifest['metadata']['name']}"
        after.append(steps.take(what, partial(give_back, VIRTUAL_SERVICE, manifest), rest))
    if live and not Previous.of(live) and not is_made(live, manager):
        module.warn(
            f"DestinationRule {intent.namespace}/{intent.name} is not this policy's (its fields are owned by"
            f" {', '.join(spec_owners(live)) or 'nobody'}): it is left alone. To act in such a name, set owner to what"
            " follows the colon."
        )
        after.append(live)
    elif live:
        after.append(steps.take(rest[0], partial(give_back, DESTINATION_RULE, live)))
    before = {DESTINATION_RULE.kind: [tidy(live)], VIRTUAL_SERVICE.kind: [tidy(manifest) for manifest in own]}
    then = {
        kind.kind: [tidy(item) for item in after if item and item["kind"] == kind.kind]
        for kind in (DESTINATION_RULE, VIRTUAL_SERVICE)
    }
    return {**_result(before, then), "conflicts": [], "completed": [], "endpoints": {}}


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
    with contextlib.suppress(Forbidden):  # also where nobody may ask what he may
        if may(cluster, "list", kind):
            return _list(cluster, kind, None)
    module.warn(
        f"Not allowed to list {kind.plural} of all namespaces: conflicts are looked for in {namespace} only. "
        f"Grant the verb 'list' on {kind.plural} cluster-wide to see them all."
    )
    return _list(cluster, kind, namespace)


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
    intent: Intent, completed: list[completion.Completed], others: list[Json], domain: str
) -> tuple[Intent, list[completion.Completed], list[str]]:
    """Refuse to shadow another VirtualService; leave ours out when that one retries in other localities already."""
    if not intent.wants_virtual_service:
        return intent, completed, []
    in_the_way = conflicting_rules.routes(intent.host, intent.namespace, others, domain)
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
