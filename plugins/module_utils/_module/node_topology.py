# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Topology labels of nodes: read all, plan all, refuse or write all.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    Conflict,
    InvalidInput,
    LocalityError,
    NotFound,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube import notice_verification
from ansible_collections.meshops.locality.plugins.module_utils._kube.applied_objects import owns_metadata
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import FIELD_MANAGER
from ansible_collections.meshops.locality.plugins.module_utils._kube.istiod_notification import Notified, notify
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import NODE
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_names import chosen_namespaces
from ansible_collections.meshops.locality.plugins.module_utils._topology.node_labels import (
    LABELS,
    RECORD_ANNOTATION,
    LabelChange,
    LabelledNode,
    Record,
    plan_labels,
    plan_previous,
)
from ansible_collections.meshops.locality.plugins.module_utils._topology.node_selection import (
    Fields,
    NodeSelection,
    read_nodes,
    read_rules,
    select,
)

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster, Json

ATTEMPTS = 5

Plan = t.Callable[[LabelledNode], LabelChange]


def node_topology(cluster: Cluster, params: t.Mapping[str, t.Any], module: AnsibleModule) -> Json:
    """Body of the module node_topology; see its documentation for the options and the result.

    Every LocalityError carries `changed` and `changed_nodes`: what was written before it.
    """
    try:
        return _node_topology(cluster, params, module)
    except LocalityError as error:
        error.details = {"changed": False, "changed_nodes": [], **error.details}
        raise


def _node_topology(cluster: Cluster, params: t.Mapping[str, t.Any], module: AnsibleModule) -> Json:
    state: str = params["state"]
    # Everything that can be wrong with the input is found before the first request.
    given_nodes = read_nodes(params["nodes"] or {}, values=state == "present")
    given_rules = read_rules(params["rules"] or [], values=state == "present")
    notify_namespaces = chosen_namespaces(params, "notify_") if params["notify_istiod"] else None
    live = {node["metadata"]["name"]: node for node in cluster.list(NODE)}
    if state == "previous" and not given_nodes and not given_rules:
        selection = NodeSelection({name: dict.fromkeys(LABELS, "") for name, node in live.items() if _remembers(node)})
    else:
        labels = {name: node["metadata"].get("labels") or {} for name, node in live.items()}
        selection = select(labels, given_nodes, given_rules, may_be_gone=state != "present")

    plans = {name: _planner(fields, params) for name, fields in sorted(selection.nodes.items())}
    changes = [plan(read_node(live[name])) for name, plan in plans.items()]
    _refuse(changes)
    outcomes = cluster.map(lambda change: write(cluster, change, plans[change.node.name], module.check_mode), changes)
    gone = [*selection.gone]
    if state != "present":
        # A node that went away meanwhile took its labels along.
        gone += [outcome.change.node.name for outcome in outcomes if isinstance(outcome.error, NotFound)]
        outcomes = [outcome for outcome in outcomes if not isinstance(outcome.error, NotFound)]
    for name in gone:
        module.warn(f"Node {name} is not there any more, so it has no labels to take back.")
    done = [outcome.change for outcome in outcomes]
    _fail_if_partly_written(outcomes, module.check_mode)

    for where in selection.unmatched:
        module.warn(f"{where} matches no node of {cluster.server}.")
    not_restored = [label for change in done for label in change.not_restored]
    for entry in not_restored:
        module.warn(str(entry))
    notified = Notified()
    pending: dict[str, LabelledNode] = {}
    if params["notify_istiod"]:
        pending = {outcome.node.name: outcome.node for outcome in outcomes if outcome.node.record.pending}
        notified = _notify(cluster, pending, done, notify_namespaces, params["state"] == "previous", module.check_mode)
        if notified.unknown_sidecars:
            module.warn(f"sidecars_on_changed_nodes is empty because pods were not listed. {notified.unknown_sidecars}")
        if notified.sidecars:
            module.warn(
                f"{len(notified.sidecars)} sidecars run on the relabelled nodes. As clients they keep the old "
                "locality until they reconnect to istiod (within 30 minutes by default) or their pods are restarted; "
                "see sidecars_on_changed_nodes."
            )
    changed = any(change.changed for change in done) or bool(pending)
    relabelled = [change.node.name for change in done]
    verified, unverified = _verify(cluster, relabelled, params, module, notified, changed)
    if not module.check_mode:
        _clear(cluster, pending, done, notified.services)
    result: Json = {
        "changed": changed,
        "nodes": [
            {
                "name": change.node.name,
                "changed": change.changed,
                "before": str(change.node.locality),
                "after": str(change.after.locality),
            }
            for change in done
        ],
        "changed_nodes": [change.node.name for change in done if change.changed],
        "not_restored": [dataclasses.asdict(entry) for entry in not_restored],
        "services_notified": notified.services,
        "sidecars_on_changed_nodes": notified.sidecars,
        "endpoints_verified": verified,
        "not_verified": unverified,
        "unmatched_rules": list(selection.unmatched),
        "missing_nodes": sorted(gone),
    }
    if module._diff:
        different = [change for change in done if change.labels]
        result["diff"] = {
            "before": {change.node.name: change.node.topology for change in different},
            "after": {change.node.name: change.after.topology for change in different},
        }
    return result


def read_node(node: Json) -> LabelledNode:
    """Turn the JSON of a Node into what a plan needs."""
    metadata = node["metadata"]
    name = metadata["name"]
    return LabelledNode(
        name,
        metadata.get("labels") or {},
        Record.parse(name, (metadata.get("annotations") or {}).get(RECORD_ANNOTATION)),
        label_owners(metadata.get("managedFields") or []),
        frozenset(label for label in LABELS.values() if owns_metadata(node, FIELD_MANAGER, "labels", label)),
        metadata.get("resourceVersion", ""),
    )


def label_owners(managed_fields: t.Sequence[Json]) -> dict[str, tuple[str, ...]]:
    """Return the field managers of every label except this collection, from `metadata.managedFields`."""
    owners: dict[str, list[str]] = {}
    for entry in managed_fields:
        labels = (entry.get("fieldsV1") or {}).get("f:metadata", {}).get("f:labels", {})
        for key in labels:
            names = owners.setdefault(key.removeprefix("f:"), [])
            if entry.get("manager") not in (None, FIELD_MANAGER, *names):
                names.append(entry["manager"])
    return {label: tuple(names) for label, names in owners.items()}


@dataclasses.dataclass(frozen=True)
class NodeOutcome:
    """What became of one change: the node as it is now, or the error."""

    change: LabelChange
    node: LabelledNode
    error: LocalityError | None = None


def write(cluster: Cluster, change: LabelChange, plan: Plan, dry_run: bool) -> NodeOutcome:
    """Write one change. When the node was changed meanwhile, read it again, plan again, and try again (5 times).

    It may have been ourselves: when an answer gets lost, the client asks again and the version no longer fits.
    """
    for attempt in range(ATTEMPTS):
        try:
            if attempt:
                tried = change
                node = read_node(cluster.request("get", "GET", NODE.path(name=change.node.name)))
                change = plan(node)
                # The record shows it: nobody else writes the same one.
                if not change.changed and node.record == tried.record and node.topology == tried.after.topology:
                    return NodeOutcome(tried, node)
                _refuse([change], "It was changed by somebody else a moment ago.")
            if not change.changed:
                return NodeOutcome(change, change.node)
            written = cluster.merge_patch(NODE, change.node.name, change.patch(), dry_run=dry_run)
            return NodeOutcome(change, change.after if dry_run else read_node(written))
        except Conflict as error:
            conflict: LocalityError = error
        except LocalityError as error:
            return NodeOutcome(change, change.node, error)
    return NodeOutcome(
        change,
        change.node,
        Conflict(
            f"Node {change.node.name} was changed by somebody else {ATTEMPTS} times in a row while its "
            "labels were written.",
            do="Find out who (kubectl get node -o yaml --show-managed-fields), then run again.",
            status=409,
            reason=str(conflict),
        ),
    )


def _notify(
    cluster: Cluster,
    pending: t.Mapping[str, LabelledNode],
    done: t.Sequence[LabelChange],
    namespaces: t.Sequence[str] | None,
    undo: bool,
    dry_run: bool,
) -> Notified:
    """Tell istiod of the nodes. An error says what has been written before it."""
    try:
        return notify(
            cluster,
            {name: node.record.pending for name, node in pending.items()},
            namespaces,
            undo=undo,
            dry_run=dry_run,
        )
    except LocalityError as error:
        what = f"The labels of {', '.join(pending)} are in place, but istiod was not notified of all."
        do = "Then run again with notify_istiod: what is left to notify is remembered."
        what = "istiod could not be notified." if dry_run else what
        raise _incomplete(error, what, do, done, dry_run=dry_run) from error


def _clear(
    cluster: Cluster, pending: t.Mapping[str, LabelledNode], done: t.Sequence[LabelChange], services: t.Sequence[str]
) -> None:
    """Take the marks off the nodes that istiod was told of. An error says what has been written before it."""
    cleared: list[str] = []

    def clear(node: LabelledNode) -> None:
        _clear_pending(cluster, node)
        cleared.append(node.name)

    try:
        cluster.map(clear, list(pending.values()))
    except LocalityError as error:
        marked = ", ".join(name for name in pending if name not in cleared)
        what = f"The labels are in place, and istiod was notified, but {marked} could not be unmarked."
        do = "Then run again with notify_istiod, and the mark goes."
        raise _incomplete(error, what, do, done, services, also=bool(cleared)) from error


def _incomplete(
    error: LocalityError,
    what: str,
    do: str,
    done: t.Sequence[LabelChange],
    services: t.Sequence[str] = (),
    *,
    dry_run: bool = False,
    also: bool = False,
) -> LocalityError:
    """Return the error of a run that stopped at `what`: with what was written before. `also`: besides labels."""
    written = [change.node.name for change in done if change.changed and not dry_run]
    notified = error.details.get("services_notified", services)
    return type(error)(
        f"{what} {error.what}",
        do=f"{error.do} {do}".strip(),
        **{
            **error.details,
            "services_notified": list(notified),
            "changed": not dry_run and bool(written or notified or also),
            "changed_nodes": written,
        },
    )


def _verify(
    cluster: Cluster,
    nodes: t.Collection[str],
    params: t.Mapping[str, t.Any],
    module: AnsibleModule,
    notified: Notified,
    changed: bool,
) -> tuple[int | None, str]:
    """Return how many endpoints on the nodes clients hold where they are now, and why that is not known (or "").

    Clients that the user names have to hold them. Without any, a few are chosen, where that is allowed: None where
    nothing was compared. Raises NotReady when a client goes on holding them elsewhere.
    """
    given = params["verify_notice"]
    if module.check_mode or not (given or notified.services):
        return None, ""
    if given:
        try:
            clients = notice_verification.named_clients(cluster, given)
            compared = notice_verification.wait_for_localities(cluster, nodes, clients, given["wait_timeout"])
        except LocalityError as error:
            raise type(error)(error.what, do=error.do, **{**error.details, "changed": changed}) from error
        if compared:
            return compared, ""
        module.warn("verify_notice: the clients hold no endpoint on these nodes, so nothing was verified.")
        return 0, "the clients hold no endpoint on these nodes"
    compared = 0
    try:
        namespaces = {name.partition("/")[0] for name in (*notified.services, *notified.sidecars)}
        clients, why = notice_verification.find_clients(cluster, namespaces)
        if clients:
            compared = notice_verification.wait_for_localities(cluster, nodes, clients, notice_verification.SECONDS)
            asked = ", ".join(client.where for client in clients)
            why = "" if compared else f"{asked} hold no endpoint on these nodes"
    except LocalityError as error:
        if "old_localities" in error.details:
            raise type(error)(error.what, do=error.do, **{**error.details, "changed": changed}) from error
        why = str(error).rstrip(".")
    if why:
        module.warn(
            f"istiod was told of the nodes, but it is not verified that clients hold the new localities: {why}. Name"
            " clients with verify_notice."
        )
    return compared or None, why


def _planner(fields: Fields, params: t.Mapping[str, t.Any]) -> Plan:
    labels = {LABELS[key]: value for key, value in fields.items()}
    if params["state"] == "previous":
        return lambda node: plan_previous(node, labels, notify=params["notify_istiod"])
    wanted = labels if params["state"] == "present" else dict.fromkeys(labels)
    return lambda node: plan_labels(
        node,
        wanted,
        overwrite_foreign=params["overwrite_foreign"],
        notify=params["notify_istiod"],
    )


def _remembers(node: Json) -> bool:
    return RECORD_ANNOTATION in (node["metadata"].get("annotations") or {})


def _refuse(changes: t.Sequence[LabelChange], written: str = "No node was changed.") -> None:
    reasons = [reason for change in changes for reason in change.refused]
    if reasons:
        raise InvalidInput(
            f"Refused, because these labels belong to somebody else: {'; '.join(reasons)}. {written}",
            do="Schedulers and volumes depend on region and zone. Leave them out and set only the subzone, "
            "or set overwrite_foreign if you are sure.",
            refused=reasons,
        )


def _fail_if_partly_written(outcomes: t.Sequence[NodeOutcome], dry_run: bool) -> None:
    failed = [outcome for outcome in outcomes if outcome.error]
    if not failed:
        return
    first = t.cast(LocalityError, failed[0].error)
    written = [
        outcome.change.node.name for outcome in outcomes if not outcome.error and outcome.change.changed and not dry_run
    ]
    raise type(first)(
        f"{len(failed)} of {len(outcomes)} nodes could not be labelled: "
        f"{', '.join(o.change.node.name for o in failed)} "
        f"({first.what}) Written before or beside: {', '.join(written) or 'none'}.",
        do=f"{first.do} Then run again: what is written is found done.".strip(),
        **first.details,
        changed=bool(written),
        changed_nodes=written,
        failed_nodes=[{"name": outcome.change.node.name, "error": str(outcome.error)} for outcome in failed],
    )


def _clear_pending(cluster: Cluster, node: LabelledNode) -> None:
    """Take the pending mark off a node. A node that went away meanwhile needs none."""
    pending = node.record.pending
    for attempt in range(ATTEMPTS):
        if node.record.pending != pending:
            return  # Somebody relabelled it meanwhile: their mark, their notice.
        body = {"annotations": {RECORD_ANNOTATION: Record(node.record.entries).text()}}
        try:
            cluster.merge_patch(NODE, node.name, {"metadata": {**body, "resourceVersion": node.resource_version}})
            return
        except NotFound:
            return
        except Conflict:
            if attempt == ATTEMPTS - 1:
                raise
        live = cluster.get(NODE, node.name)
        if live is None:
            return
        node = read_node(live)
