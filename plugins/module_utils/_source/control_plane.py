# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane of istiod's Deployments and ConfigMaps as they come from an API server or from files.

Needs no cluster. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio import control_plane
from ansible_collections.meshops.locality.plugins.module_utils._istio.control_plane import ControlPlane
from ansible_collections.meshops.locality.plugins.module_utils._istio.install_values import InstallValues
from ansible_collections.meshops.locality.plugins.module_utils._model.assumptions import assumption
from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import name_of
from ansible_collections.meshops.locality.plugins.module_utils._model.problems import Problem, problem
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Json
from ansible_collections.meshops.locality.plugins.module_utils._source.yaml_documents import documents

MESH, NETWORKS = "mesh", "meshNetworks"


class WantedControlPlane(t.NamedTuple):
    """Whose control plane is wanted: its namespace, its revision (None: the only one), a version that overrides."""

    namespace: str = "istio-system"
    revision: str | None = None
    version: str | None = None


def control_plane_of(
    wanted: WantedControlPlane,
    deployments: t.Sequence[Json],
    config_maps: t.Sequence[Json],
    unread: t.Container[str] = (),
    installs: t.Sequence[InstallValues] = (),
) -> ControlPlane:
    """Return the control plane; of several objects with one name the later is taken.

    `unread` are names of ConfigMaps that exist or not, nobody knows. `installs`: what installers were given. Raises
    InvalidInput when `wanted` names none.
    """
    problems: list[Problem] = []
    by_name = {_name(deployment): deployment for deployment in deployments}
    deployment, revision, assumptions = control_plane.choose_istiod(list(by_name.values()), wanted.revision)
    maps = {_name(config_map): config_map for config_map in config_maps if _namespace(config_map) == wanted.namespace}
    if not by_name and wanted.revision is None and "istio" not in maps:
        own = sorted(name.removeprefix("istio-") for name in maps if name.startswith("istio-"))
        revision = own[0] if own else revision
        if len(own) > 1:
            assumptions = (
                *assumptions,
                assumption("one-of-several-mesh-configs", revisions=", ".join(own), revision=revision),
            )
    installs = [install for install in installs if wanted.revision is None or install.revision in ("", wanted.revision)]
    configs = []
    for name in control_plane.config_map_names(deployment, revision):
        if name in maps:
            configs.append(_parsed(name, maps[name], problems))
        elif installs:
            assumptions = (
                *assumptions,
                assumption("mesh-config-of-installer", objects=", ".join(install.where for install in installs)),
            )
        elif name not in unread:
            assumptions = (*assumptions, assumption("default-mesh-config", config_map=f"{wanted.namespace}/{name}"))
    plane = control_plane.read(
        deployment,
        configs,
        namespace=wanted.namespace,
        revision=revision,
        version=wanted.version,
        assumptions=assumptions,
        installs=installs,
    )
    return dataclasses.replace(plane, problems=(*problems, *plane.problems))


def _parsed(name: str, config_map: Json, problems: list[Problem]) -> tuple[str, t.Any, t.Any]:
    data = config_map.get("data")
    parsed: list[t.Any] = []
    for key in (MESH, NETWORKS):
        text = data.get(key) if isinstance(data, dict) else None
        value = None
        if isinstance(text, str):
            try:
                value = next(documents(text, f"data.{key}"), None)
            except InvalidInput as error:
                where = name_of(config_map, 0)
                problems.append(problem("mesh-config-unreadable", where, f"data.{key}", error=error.what))
        parsed.append(value)
    return name, parsed[0], parsed[1]


def _name(item: Json) -> str:
    return str((item.get("metadata") or {}).get("name") or "")


def _namespace(item: Json) -> str:
    return str((item.get("metadata") or {}).get("namespace") or "")
