# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ML236 and ML237: routes of a VirtualService that are in another one, and do not get there.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.traffic_policy import items, mapping
from ansible_collections.meshops.locality.plugins.module_utils._istio.virtual_services import effective
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import View, uncertain
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    ERROR,
    INFO,
    ISTIO,
    WARNING,
    FieldChange,
    RuleResult,
    Where,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding_texts import listed
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import rule
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Config

_LINK = f"{ISTIO}/virtual-service/#Delegate"


class _Delegation(t.NamedTuple):
    """A route of `root` (at `path`) that names a delegate; `config` is None where there is no such VirtualService."""

    root: Config
    path: str
    entry: t.Mapping[str, t.Any]
    namespace: str
    name: str
    config: Config | None


def _delegations(view: View) -> t.Iterator[_Delegation]:
    by_name = {(config.namespace, config.name): config for config in view.snapshot.virtual_services}
    for root in view.snapshot.virtual_services:
        if not items(root.spec.get("hosts")):
            continue
        for index, part in enumerate(items(root.spec.get("http"))):
            entry = mapping(part) or {}
            reference = mapping(entry.get("delegate"))
            if reference is not None:
                key = (str(reference.get("namespace") or root.namespace), str(reference.get("name") or ""))
                yield _Delegation(root, f"spec.http[{index}].delegate", entry, *key, by_name.get(key))


def _taken(view: View, delegation: _Delegation, delegate: Config) -> bool:
    """Whether any route of a delegate gets into its root by this one of the root's routes."""
    root = dataclasses.replace(delegation.root, spec={**delegation.root.spec, "http": [delegation.entry]})
    alone = dataclasses.replace(
        view.snapshot,
        virtual_services=(root, delegate),
        http_routes=(),
        grpc_routes=(),
        tcp_routes=(),
        tls_routes=(),
    )
    return any(
        items(config.spec.get("http"))
        for config in effective(alone, (), view.planner.semantics)
        if str(config) == str(root)
    )


@rule("ML236", ERROR, "A delegate whose routes do not get there", _LINK)
def not_delegated(view: View) -> t.Iterator[RuleResult]:
    """The delegate is not there, has hosts of its own, is hidden from its root, or their matches contradict."""
    for delegation in _delegations(view):
        root, delegate = delegation.root, delegation.config
        where = Where(f"VirtualService {root}", delegation.path)
        named = f"VirtualService {delegation.namespace}/{delegation.name}"
        lost = "istiod leaves this route out: requests for it take a later route, or get 404."
        if delegate is None:
            yield _absent(view, delegation, where, named, lost)
        elif items(delegate.spec.get("hosts")):
            yield RuleResult(
                where.below("name"),
                f"{named} has hosts of its own, {listed(map(str, items(delegate.spec['hosts'])))}: it is no delegate.",
                lost,
                "Delegate to a VirtualService without hosts that has these routes.",
            )
        elif not _taken(view, delegation, delegate):
            visible = dataclasses.replace(delegate, spec={**delegate.spec, "exportTo": ["*"]})
            if _taken(view, delegation, visible):
                exported = [str(name) for name in items(delegate.spec.get("exportTo"))]
                wanted = [*exported, root.namespace] if exported else [".", root.namespace]
                setting = "its exportTo" if exported else "defaultVirtualServiceExportTo of the mesh config"
                yield RuleResult(
                    where,
                    f"{named} is not exported to namespace {root.namespace}: {setting} leaves it out.",
                    lost,
                    f"exportTo: [{', '.join(wanted)}] in {named}",
                    patch=(FieldChange(named, "spec.exportTo", wanted),),
                )
            elif items(delegate.spec.get("http")):
                yield RuleResult(
                    where,
                    f"No match of {named} goes with those of this route: istiod puts both together, and they "
                    "contradict each other.",
                    lost,
                    "Matches in the delegate that are narrower than the root's, or none.",
                )


def _absent(view: View, delegation: _Delegation, where: Where, named: str, lost: str) -> RuleResult:
    root = delegation.root
    without_hosts = [config for config in view.snapshot.virtual_services if not items(config.spec.get("hosts"))]
    names = [config.name for config in without_hosts if config.namespace == delegation.namespace]
    near = difflib.get_close_matches(delegation.name, sorted(names), 1, 0.8)
    severity, doubt = uncertain(view)
    if not doubt and any(assumed.code == "some-namespaces-read" for assumed in view.snapshot.assumptions):
        severity, doubt = INFO, "Only some namespaces were read: it may be in another one."
    return RuleResult(
        where.below("name"),
        f"There is no {named}.",
        lost,
        f"name: {near[0]}" if near else "Correct the name, or give the VirtualService as well if it exists elsewhere.",
        severity=severity,
        doubt=doubt,
        patch=(FieldChange(f"VirtualService {root}", f"{delegation.path}.name", near[0]),) if near else (),
    )


@rule("ML237", WARNING, "A VirtualService without hosts that no other delegates to", _LINK)
def without_root(view: View) -> t.Iterator[RuleResult]:
    """It is nobody's delegate, and without hosts it is nothing else."""
    named = {(delegation.namespace, delegation.name) for delegation in _delegations(view)}
    for config in view.snapshot.virtual_services:
        if items(config.spec.get("hosts")) or (config.namespace, config.name) in named:
            continue
        yield RuleResult(
            Where(f"VirtualService {config}", "spec.hosts"),
            f"VirtualService {config} has no hosts, and none with hosts delegates to it.",
            "None of its routes takes any request.",
            "Give it hosts, or delegate to it.",
            (),
            *uncertain(view),
        )
