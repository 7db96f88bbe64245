# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixes as changes of fields: applied to objects or to a snapshot, so that what they do can be looked at.

Pure. Private to this collection: it may change at any time; docs/lint.md describes the form.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import typing as t
from collections import abc

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import FieldChange
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Config, Snapshot

Json = dict[str, t.Any]

_STEP = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")
#: Kinds whose objects a snapshot has as they were written, by the name of its field.
CONFIGS = {"DestinationRule": "destination_rules", "VirtualService": "virtual_services", "Sidecar": "sidecars"}


def steps(field: str) -> list[str | int]:
    """Return the keys and positions of a path such as `spec.http[0].route` or `metadata.labels[a.b/c]`."""
    parts: list[str | int] = []
    for bracket, name in _STEP.findall(field):
        parts.append(name or (int(bracket) if bracket.isdecimal() else bracket))
    return parts


def apply(objects: t.Mapping[str, Json], changes: t.Iterable[FieldChange]) -> dict[str, Json]:
    """Return the objects (`Kind namespace/name` → object) with all changes made; those given stay as they are.

    A change of an object that is not there makes it. Raises InvalidInput for a path that leads through no object.
    """
    changed = dict(objects)
    given = list(changes)
    # Later positions first: what is taken out of a list moves those behind it.
    removals = sorted(
        (change for change in given if change.value is None), key=lambda change: _positions(change.field), reverse=True
    )
    copied: set[str] = set()
    for field_change in [*(change for change in given if change.value is not None), *removals]:
        if field_change.object not in copied:
            copied.add(field_change.object)
            changed[field_change.object] = (
                _copied(changed[field_change.object]) if field_change.object in changed else _new(field_change.object)
            )
        _change(changed[field_change.object], field_change)
    return changed


def _positions(field: str) -> list[tuple[int, int, str]]:
    return [(0, step, "") if isinstance(step, int) else (1, 0, step) for step in steps(field)]


def _copied(value: t.Any) -> t.Any:
    if isinstance(value, abc.Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, (list, tuple)) else value


def _new(name: str) -> Json:
    kind, _space, rest = name.partition(" ")
    namespace, _slash, own = rest.partition("/")
    metadata = {"name": own, "namespace": namespace}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": {}}


def _change(given: Json, change: FieldChange) -> None:
    path = steps(change.field)
    here: t.Any = given
    for step, following in itertools.pairwise(path):
        if isinstance(here, list) and isinstance(step, int) and step < len(here):
            here = here[step]
        elif isinstance(here, dict) and isinstance(step, str):
            if not isinstance(here.get(step), (dict, list)):
                here[step] = [] if isinstance(following, int) else {}
            here = here[step]
        else:
            raise InvalidInput(f"{change.object}: {change.field} leads nowhere.")
    last = path[-1]
    if isinstance(here, list) and isinstance(last, int):
        if change.value is None:
            del here[last : last + 1]
        elif last < len(here):
            here[last] = _copied(change.value)
        else:
            here.append(_copied(change.value))
    elif isinstance(here, dict) and isinstance(last, str):
        if change.value is None:
            here.pop(last, None)
        else:
            here[last] = _copied(change.value)
    else:
        raise InvalidInput(f"{change.object}: {change.field} leads nowhere.")


def patched(snapshot: Snapshot, changes: t.Sequence[FieldChange]) -> Snapshot:
    """Return a snapshot with changes of CONFIGS made, and of a Service's internalTrafficPolicy.

    Raises InvalidInput for a change of something else.
    """
    fields: dict[str, t.Any] = {}
    for kind, name in CONFIGS.items():
        own = [change for change in changes if change.object.partition(" ")[0] == kind]
        if own:
            fields[name] = _configs(kind, getattr(snapshot, name), own, snapshot.domain)
    rest = [change for change in changes if change.object.partition(" ")[0] not in CONFIGS]
    if any(change.field != "spec.internalTrafficPolicy" for change in rest):
        raise InvalidInput(f"A snapshot cannot be changed in {rest[0].object} {rest[0].field}.")
    wider = {change.object for change in rest}
    if wider:
        fields["services"] = tuple(
            dataclasses.replace(service, node_local=False) if service.source in wider else service
            for service in snapshot.services
        )
    return dataclasses.replace(snapshot, **fields)


def _configs(kind: str, given: tuple[Config, ...], changes: t.Sequence[FieldChange], domain: str) -> tuple[Config, ...]:
    by_name = {f"{kind} {config}": config for config in given}
    touched = {change.object for change in changes}
    objects = {
        name: {"metadata": {"name": config.name, "namespace": config.namespace}, "spec": dict(config.spec)}
        for name, config in by_name.items()
        if name in touched
    }
    configs = []
    for name, manifest in apply(objects, changes).items():
        old = by_name.get(name)
        namespace, own = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
        configs.append(
            dataclasses.replace(old, namespace=namespace, spec=manifest["spec"])
            if old
            else Config(namespace, own, manifest["spec"], domain=domain)
        )
    return (*(config for name, config in by_name.items() if name not in touched), *configs)
