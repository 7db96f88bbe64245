# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""istiod as its Deployment and its ConfigMap describe it: version, mesh config, feature variables, cluster.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t
from collections import abc
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio.install_values import InstallValues
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import DEFAULT
from ansible_collections.meshops.locality.plugins.module_utils._model.assumptions import Assumption, assumption
from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import Reading, labels_of, name_of
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_objects import Object
from ansible_collections.meshops.locality.plugins.module_utils._model.label_selector import selector_matches
from ansible_collections.meshops.locality.plugins.module_utils._model.problems import Problem, problem
from ansible_collections.meshops.locality.plugins.module_utils._model.sidecar_injection import REVISION_LABEL, argument
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import CLUSTER, DOMAIN, Json, Mesh

#: The variables of istiod that _istio looks at; the values of others are not read.
FEATURES = (
    "PILOT_SEND_UNHEALTHY_ENDPOINTS",
    "PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS",
    "ENABLE_LOCALITY_WEIGHTED_LB_CONFIG",
    "PILOT_PERSISTENT_SESSION_LABEL",
    "PILOT_PERSISTENT_SESSION_HEADER_LABEL",
    "PILOT_DRAINING_LABEL",
    "PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES",
    "ENABLE_ENHANCED_DESTINATIONRULE_MERGE",
    "ENABLE_PROXY_FIND_POD_BY_IP",
)
_CLUSTER_ID = "CLUSTER_ID"
_SHARED = "SHARED_MESH_CONFIG"
#: The fields of the mesh config that are read; the rest (providers, tracing, tokens) does not decide where requests go.
MESH_FIELDS = (
    "rootNamespace",
    "defaultServiceExportTo",
    "defaultVirtualServiceExportTo",
    "defaultDestinationRuleExportTo",
    "localityLbSetting",
    "zoneAwareLbSetting",
    "defaultTrafficPolicy",
    "defaultHttpRetryPolicy",
    "outboundTrafficPolicy",
    "discoverySelectors",
    "serviceSettings",
    "connectTimeout",
    "enableAutoMtls",
    "trustDomain",
    "ingressClass",
    "ingressControllerMode",
)
_VERSION = re.compile(r"v?\d+\.\d+")
_OPERATORS = {"In": True, "NotIn": True, "Exists": False, "DoesNotExist": False}


@dataclass(frozen=True)
class ControlPlane:
    """What istiod reads of its own settings, and where it runs."""

    mesh: Mesh
    cluster: str = CLUSTER
    domain: str = DOMAIN
    problems: tuple[Problem, ...] = ()
    assumptions: tuple[Assumption, ...] = ()


def is_istiod(item: t.Any, namespace: str) -> bool:
    """Whether an object is the Deployment of an istiod of this namespace."""
    if not isinstance(item, abc.Mapping) or item.get("kind") != "Deployment":
        return False
    metadata = item.get("metadata")
    if not isinstance(metadata, abc.Mapping) or metadata.get("namespace") != namespace:
        return False
    labels = metadata.get("labels")
    return isinstance(labels, abc.Mapping) and labels.get("app") == "istiod"


def revision_of(deployment: Object) -> str:
    """Return the revision of an istiod's Deployment."""
    labels = labels_of(deployment)
    return labels.get(REVISION_LABEL, "") or "default"


def choose_istiod(
    deployments: t.Sequence[Object], revision: str | None
) -> tuple[Object | None, str, tuple[Assumption, ...]]:
    """Return the Deployment of istiod that applies, its revision, and what the choice assumes.

    Without `revision` it is the only one, or that of the revision `default`. Raises InvalidInput when that names none.
    """
    by_revision = {revision_of(deployment): deployment for deployment in reversed(deployments)}
    listed = ", ".join(sorted(by_revision))
    if revision is not None:
        if by_revision and revision not in by_revision:
            raise InvalidInput(
                f"There is no istiod of revision {revision!r}.", do=f"The revisions are {listed}; give one as revision."
            )
        return by_revision.get(revision), revision, ()
    if len(by_revision) == 1:
        return next(iter(by_revision.values())), next(iter(by_revision)), ()
    if not by_revision:
        return None, "default", ()
    if "default" not in by_revision:
        raise InvalidInput(
            f"There are several istiods, of the revisions {listed}, and none is called default.",
            do="Say whose decisions are wanted: give one of them as revision.",
        )
    return by_revision["default"], "default", (assumption("one-of-several-istiods", revisions=listed),)


def config_map_names(deployment: Object | None, revision: str) -> tuple[str, ...]:
    """Return the names of the ConfigMaps that istiod reads its mesh config from; a later one wins field by field.

    Source: istio 1.31 pilot/pkg/bootstrap/mesh.go, getMeshConfigMapName, getConfigurationSources.
    """
    own = "istio" if revision in ("", "default") else f"istio-{revision}"
    shared = _variables(deployment).get(_SHARED) if deployment else None
    return (shared, own) if shared else (own,)


def read(
    deployment: Object | None,
    configs: t.Sequence[tuple[str, t.Any, t.Any]],
    *,
    namespace: str,
    revision: str,
    version: str | None = None,
    assumptions: t.Sequence[Assumption] = (),
    installs: t.Sequence[InstallValues] = (),
) -> ControlPlane:
    """Return the control plane of a Deployment (None: not known) and of its ConfigMaps.

    `configs` are (name, its `mesh`, its `meshNetworks`), both parsed, in the order of `config_map_names`. `version` is
    what the user says, which wins over what the Deployment says. `installs`: what installers were given; what was
    installed wins over it.
    """
    problems: list[Problem] = []
    assumed = list(assumptions)
    config: Json = {}
    networks: Json = {}
    for install in installs:
        config |= {key: install.mesh[key] for key in MESH_FIELDS if key in install.mesh}
        networks |= install.networks
    for name, mesh, more in configs:
        reading = Reading(f"ConfigMap {namespace}/{name}", problems)
        given = reading.mapping(mesh, "data.mesh")
        config |= {key: given[key] for key in MESH_FIELDS if key in given}
        networks |= reading.mapping(reading.mapping(more, "data.meshNetworks").get("networks"), "data.meshNetworks")
    # Source: istio 1.31 pilot/pkg/bootstrap/server.go: the root namespace is istiod's own unless it is set.
    if not isinstance(config.get("rootNamespace"), str) or not config["rootNamespace"]:
        config["rootNamespace"] = namespace
    features = {key: install.variables[key] for install in installs for key in FEATURES if install.variables.get(key)}
    cluster, domain, deployed = CLUSTER, DOMAIN, ""
    if deployment is not None:
        where = name_of(deployment, 0)
        variables = _variables(deployment)
        for key in (*FEATURES, _CLUSTER_ID):
            value = variables.get(key, "")
            if value is None:
                assumed.append(assumption("default-istiod-variable", object=where, variable=key))
            elif value and key != _CLUSTER_ID:
                features[key] = value
        cluster = variables.get(_CLUSTER_ID) or CLUSTER
        domain = next((argument(container, "--domain") for container in _containers(deployment)), "") or domain
        deployed = istiod_version(deployment)
    if not deployed:
        deployed = next(
            (install.version.removeprefix("v") for install in installs if _VERSION.match(install.version)), ""
        )
    if not version and not deployed:
        assumed.append(assumption("default-istio-version", version=DEFAULT))
    remote = _remote(networks, cluster)
    if remote or cluster != CLUSTER:
        others = f", others {', '.join(remote)}" if remote else ""
        assumed.append(assumption("other-clusters-missing", cluster=cluster, others=others))
    mesh_settings = Mesh(version or deployed, revision, config, features, remote, dict(networks))
    return ControlPlane(mesh_settings, cluster, domain, tuple(problems), tuple(assumed))


def _containers(deployment: Object) -> t.Iterator[Object]:
    reading = Reading.silent()
    spec = reading.mapping(deployment.get("spec"), "")
    inner = reading.mapping(reading.mapping(spec.get("template"), "").get("spec"), "")
    for _path, container in reading.mappings(inner.get("containers"), ""):
        if container.get("name") == "discovery":
            yield container


def _variables(deployment: Object | None) -> dict[str, str | None]:
    """Return the variables of istiod; None is one whose value stands elsewhere."""
    variables: dict[str, str | None] = {}
    for container in _containers(deployment) if deployment is not None else ():
        for _path, variable in Reading.silent().mappings(container.get("env"), ""):
            name, value = variable.get("name"), variable.get("value")
            if isinstance(name, str):
                variables[name] = (
                    None if variable.get("valueFrom") is not None else value if isinstance(value, str) else ""
                )
    return variables


def istiod_version(deployment: Object) -> str:
    """Return the version in the image's tag, else in the labels that istioctl or the chart set; '' when none has one.

    Charts from a build tree say 1.0.0 in app.kubernetes.io/version, so the tag comes first.
    """
    labels = labels_of(deployment)
    images = [container.get("image") for container in _containers(deployment)]
    tags = [image.partition("@")[0].rpartition("/")[2].partition(":")[2] for image in images if isinstance(image, str)]
    named = (labels.get("operator.istio.io/version", ""), labels.get("app.kubernetes.io/version", ""))
    return next((tag.removeprefix("v") for tag in (*tags, *named) if _VERSION.match(tag)), "")


def _remote(networks: t.Mapping[str, t.Any], cluster: str) -> tuple[str, ...]:
    """Return the clusters other than this one that meshNetworks names, else its networks when there are several."""
    reading = Reading.silent()
    names = {
        str(endpoint["fromRegistry"])
        for network in networks.values()
        for _path, endpoint in reading.mappings(reading.mapping(network, "").get("endpoints"), "")
        if isinstance(endpoint.get("fromRegistry"), str)
    }
    others = names - {cluster}
    return tuple(sorted(others)) or (tuple(sorted(map(str, networks))) if len(networks) > 1 else ())


def discovered(
    objects: t.Iterable[t.Any], mesh: Mesh, problems: list[Problem]
) -> tuple[list[t.Any], tuple[Assumption, ...]]:
    """Leave out what istiod does not look at: objects of namespaces that no discoverySelector of the mesh selects.

    Returns the objects left, and what was left out. Namespaces and nodes stay. Selectors that istiod would refuse
    select all.
    Source: istio 1.31 pkg/kube/namespace/filter.go.
    """
    given = list(objects)
    selectors = mesh.config.get("discoverySelectors")
    if not selectors:
        return given, ()
    if not isinstance(selectors, list) or not all(_is_selector(selector) for selector in selectors):
        problems.append(problem("discovery-selectors-void", "mesh config", "discoverySelectors"))
        return given, ()
    reading = Reading.silent()
    out: set[str] = set()
    for item in given:
        if isinstance(item, abc.Mapping) and item.get("kind") == "Namespace":
            metadata = reading.mapping(item.get("metadata"), "")
            labels = reading.labels(metadata.get("labels"), "")
            if not any(selector_matches(selector, labels) for selector in selectors):
                out.add(reading.text(metadata.get("name"), ""))
    left = [item for item in given if _namespace(item) not in out]
    if not out:
        return left, ()
    return left, (assumption("namespaces-not-discovered", namespaces=", ".join(sorted(out))),)


def _namespace(item: t.Any) -> str | None:
    metadata = item.get("metadata") if isinstance(item, abc.Mapping) else None
    namespace = metadata.get("namespace") if isinstance(metadata, abc.Mapping) else None
    return namespace if isinstance(namespace, str) else None


def _is_selector(value: t.Any) -> bool:
    if not isinstance(value, abc.Mapping):
        return False
    labels, expressions = value.get("matchLabels"), value.get("matchExpressions")
    if labels is not None and not isinstance(labels, abc.Mapping):
        return False
    if expressions is not None and not isinstance(expressions, list):
        return False
    return all(
        isinstance(expression, abc.Mapping)
        and isinstance(expression.get("key"), str)
        and isinstance(expression.get("operator"), str)
        and expression["operator"] in _OPERATORS
        and isinstance(expression.get("values") or [], list)
        and bool(expression.get("values")) == _OPERATORS[expression["operator"]]
        for expression in expressions or []
    )
