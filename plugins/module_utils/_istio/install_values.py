# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh config and istiod's variables as installers get them: IstioOperator, the Sail operator's Istio, Helm values.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import abc

from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import Reading

Object = t.Mapping[str, t.Any]


class InstallValues(t.NamedTuple):
    """What an installer is given. `variables` of istiod are texts; `version` and `revision` '' when not said."""

    where: str
    mesh: Object
    networks: Object
    variables: t.Mapping[str, str]
    revision: str = ""
    version: str = ""


def install_values(item: t.Any, source: str = "") -> InstallValues | None:
    """Return what this object or document gives to an installer of istiod; None when it is nothing of that kind.

    Helm values have neither apiVersion nor kind, and `meshConfig` (or `istiod` with it, as umbrella charts write it).
    Source: istio 1.31 manifests/charts/istio-control/istio-discovery/values.yaml; operator/pkg/apis/types.go.
    """
    if not isinstance(item, abc.Mapping):
        return None
    reading = Reading.silent()
    kind = item.get("kind")
    group = str(item.get("apiVersion") or "").rpartition("/")[0]
    metadata, spec = reading.mapping(item.get("metadata"), ""), reading.mapping(item.get("spec"), "")
    name = f"{metadata.get('namespace') or 'istio-system'}/{metadata.get('name') or ''}"
    if (group, kind) == ("install.istio.io", "IstioOperator"):
        values = reading.mapping(spec.get("values"), "")
        mesh = {**reading.mapping(values.get("meshConfig"), ""), **reading.mapping(spec.get("meshConfig"), "")}
        pilot = reading.mapping(reading.mapping(spec.get("components"), "").get("pilot"), "")
        given = reading.mapping(pilot.get("k8s"), "").get("env")
        variables = {
            str(variable.get("name")): str(variable.get("value"))
            for _path, variable in reading.mappings(given, "")
            if isinstance(variable.get("value"), str)
        }
        revision, version = spec.get("revision"), spec.get("tag")
        return _of(f"IstioOperator {name}", mesh, values, variables, revision, version)
    if (group, kind) == ("sailoperator.io", "Istio"):
        values = reading.mapping(spec.get("values"), "")
        return _of(f"Istio {metadata.get('name') or ''}", values.get("meshConfig"), values, {}, "", spec.get("version"))
    if kind is None and "apiVersion" not in item:
        values = item if "meshConfig" in item else reading.mapping(item.get("istiod"), "")
        if isinstance(values.get("meshConfig"), abc.Mapping):
            return _of(f"Helm values {source}".strip(), values["meshConfig"], values, {}, values.get("revision"), "")
    return None


def _of(
    where: str, mesh: t.Any, values: Object, variables: t.Mapping[str, str], revision: t.Any, version: t.Any
) -> InstallValues:
    reading = Reading.silent()
    env = reading.mapping(reading.mapping(values.get("pilot"), "").get("env"), "")
    environment = {**{str(key): str(value) for key, value in env.items()}, **variables}
    environment = {key: value.lower() if value in ("True", "False") else value for key, value in environment.items()}
    networks = reading.mapping(reading.mapping(values.get("global"), "").get("meshNetworks"), "")
    return InstallValues(
        where,
        reading.mapping(mesh, ""),
        networks,
        environment,
        revision if isinstance(revision, str) else "",
        version if isinstance(version, str) else "",
    )
