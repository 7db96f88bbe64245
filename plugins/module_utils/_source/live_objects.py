# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads of an API server what a snapshot is made of. Only `get` and `list`; no Secret is ever asked for.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._errors import Forbidden, InvalidInput, NotFound
from ansible_collections.meshops.locality.plugins.module_utils._istio import control_plane
from ansible_collections.meshops.locality.plugins.module_utils._istio.network_gateways import (
    is_gateway_between_networks,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import (
    AUTOSCALER,
    CONFIG_MAP,
    DAEMON_SET,
    DEPLOYMENT,
    DESTINATION_RULE,
    ENDPOINT_SLICE,
    GATEWAY,
    GATEWAY_CLASS,
    GRPC_ROUTE,
    HTTP_ROUTE,
    INGRESS,
    INGRESS_CLASS,
    KUBERNETES_GATEWAY,
    NAMESPACE,
    NODE,
    OLDER_VERSIONS,
    PEER_AUTHENTICATION,
    POD,
    REFERENCE_GRANT,
    SERVICE,
    SERVICE_ENTRY,
    SIDECAR,
    STATEFUL_SET,
    TCP_ROUTE,
    TLS_ROUTE,
    VIRTUAL_SERVICE,
    WORKLOAD_ENTRY,
    Kind,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.assumptions import Assumption, assumption
from ansible_collections.meshops.locality.plugins.module_utils._model.field_filter import relevant_fields
from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import labels_of
from ansible_collections.meshops.locality.plugins.module_utils._model.not_judged import NotJudged
from ansible_collections.meshops.locality.plugins.module_utils._model.problems import Problem, problem
from ansible_collections.meshops.locality.plugins.module_utils._model.sidecar_injection import proxy_container
from ansible_collections.meshops.locality.plugins.module_utils._source.control_plane import (
    WantedControlPlane,
    control_plane_of,
)
from ansible_collections.meshops.locality.plugins.module_utils._source.istio_ingresses import Ingresses
from ansible_collections.meshops.locality.plugins.module_utils._source.kinds_not_read import (
    KINDS_NOT_READ,
    KindNotRead,
    not_judged,
)

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster, Json

#: At most so many lists at a time. With two cores four take as long as sixteen; each holds up to two pages.
WORKERS = 6

#: What is read, the long lists first, and what the answer lacks without each.
READ: dict[Kind, str] = {
    POD: "there are no clients and no endpoints with a place",
    ENDPOINT_SLICE: "Services have no endpoints",
    NODE: "a pod has a locality only by a label of its own",
    SERVICE: "there are no Services of Kubernetes",
    DEPLOYMENT: "nothing is known about replicas and how they are spread",
    STATEFUL_SET: "nothing is known about replicas and how they are spread",
    DAEMON_SET: "nothing is known about replicas and how they are spread",
    AUTOSCALER: "the limits of autoscaling are not known",
    NAMESPACE: "labels of namespaces (network, trafficDistribution, discoverySelectors) have no effect",
    DESTINATION_RULE: "no rule orders localities or ejects endpoints",
    VIRTUAL_SERVICE: "routes and retries are not known",
    PEER_AUTHENTICATION: "whether pods take what clients send without mutual TLS is not known",
    HTTP_ROUTE: "routes of the Gateway API are not known",
    GRPC_ROUTE: "routes of the Gateway API are not known",
    TCP_ROUTE: "routes of the Gateway API are not known",
    TLS_ROUTE: "routes of the Gateway API are not known",
    KUBERNETES_GATEWAY: "which requests enter by a gateway of the Gateway API is not known",
    GATEWAY_CLASS: "only the class istio is known as Istio's",
    REFERENCE_GRANT: "routes of gateways into other namespaces are taken to be refused",
    SERVICE_ENTRY: "hosts of ServiceEntries are missing",
    WORKLOAD_ENTRY: "endpoints outside of Kubernetes are missing",
    SIDECAR: "every client is taken to see every Service",
    GATEWAY: "which requests enter by a gateway is not known",
}
#: Kinds of a mesh without which nothing is missing.
OPTIONAL = (HTTP_ROUTE, GRPC_ROUTE, TCP_ROUTE, TLS_ROUTE, KUBERNETES_GATEWAY, GATEWAY_CLASS, REFERENCE_GRANT)
ISTIO = (DESTINATION_RULE, VIRTUAL_SERVICE, SERVICE_ENTRY, WORKLOAD_ENTRY, SIDECAR, GATEWAY, PEER_AUTHENTICATION)


@dataclass
class Live:
    """What was read: `objects` of all kinds, cut down to the fields that are read (_model/field_filter.py).

    `istiods` are the Deployments of istiod and `config_maps` their mesh configs, whole; `unread` are names of
    ConfigMaps that may not be read.
    """

    server: str
    objects: list[Json] = field(default_factory=list)
    istiods: list[Json] = field(default_factory=list)
    config_maps: list[Json] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    assumptions: list[Assumption] = field(default_factory=list)
    #: Objects of kinds that are not read, although they change what becomes of requests.
    not_judged: list[NotJudged] = field(default_factory=list)
    ingresses: Ingresses = field(default_factory=Ingresses)
    #: Whether anything of Istio was found: istiod, one of its kinds, or a proxy.
    istio: bool = True


class _Outcome(t.NamedTuple):
    kind: Kind
    namespace: str | None
    objects: list[Json]
    error: Forbidden | NotFound | None = None
    absent: bool = False


def read(cluster: Cluster, wanted: WantedControlPlane, namespaces: t.Sequence[str] | None = None) -> Live:
    """Read the whole mesh, or only some `namespaces` (plus Istio's rules in the root namespace).

    A kind that may not be listed, or that the API server does not know, becomes a problem. Raises Forbidden when
    neither pods nor Services can be read, InvalidInput for a namespace that does not exist or an unknown revision.
    """
    live = Live(cluster.server)
    root = _control_plane(cluster, wanted, live)
    outcomes = cluster.map(lambda task: _list(cluster, *task), _tasks(namespaces, root), workers=WORKERS)
    for outcome in outcomes:
        if outcome.kind is NAMESPACE and outcome.namespace in (namespaces or ()) and outcome.absent:
            raise InvalidInput(f"The namespace {outcome.namespace} does not exist.", do="Correct namespaces.")
    refused = {outcome.kind: outcome.error for outcome in outcomes if isinstance(outcome.error, Forbidden)}
    readable = {outcome.kind for outcome in outcomes if outcome.error is None}
    if POD in refused and SERVICE in refused and not {POD, SERVICE} & readable:
        raise refused[POD]
    live.objects = [item for outcome in outcomes for item in outcome.objects]
    live.problems += _problems(outcomes)
    _kinds_not_read(cluster, namespaces, root, live)
    live.istio = bool(live.istiods or live.config_maps or readable & set(ISTIO)) or any(
        item["kind"] == "Pod" and proxy_container(item.get("spec")) for item in live.objects
    )
    if namespaces:
        live.assumptions.append(assumption("some-namespaces-read", namespaces=", ".join(namespaces)))
    if any(is_gateway_between_networks(labels_of(item)) for item in live.objects if item["kind"] == "Service"):
        live.assumptions.append(assumption("gateway-to-other-networks"))
    return live


def _tasks(namespaces: t.Sequence[str] | None, root: str) -> list[tuple[Kind, str | None]]:
    tasks: list[tuple[Kind, str | None]] = []
    for kind in READ:
        if namespaces is None or kind in (NODE, GATEWAY_CLASS):
            tasks.append((kind, None))
        else:
            # Rules in the root namespace apply everywhere.
            more = [root] if kind in (*ISTIO, NAMESPACE) and root not in namespaces else []
            tasks += [(kind, namespace) for namespace in (*namespaces, *more)]
    return tasks


def _list(cluster: Cluster, kind: Kind, namespace: str | None) -> _Outcome:
    """Read one list; of a single namespace the Namespace itself is asked for, which needs fewer rights."""
    try:
        if kind is NAMESPACE and namespace is not None:
            namespace_object = cluster.get(kind, namespace)
            return _Outcome(
                kind,
                namespace,
                [relevant_fields(namespace_object)] if namespace_object else [],
                absent=namespace_object is None,
            )
        return _Outcome(kind, namespace, cluster.each(kind, lambda item: _typed(kind, item), namespace, lean=True))
    except (Forbidden, NotFound) as error:
        older = OLDER_VERSIONS.get(kind)
        if older is not None and isinstance(error, NotFound):
            return _list(cluster, older, namespace)._replace(kind=kind)
        return _Outcome(kind, namespace, [], error)


def _kinds_not_read(cluster: Cluster, namespaces: t.Sequence[str] | None, root: str, live: Live) -> None:
    """Note the objects of KINDS_NOT_READ; that a kind may not be listed is a problem: nothing is known of it then."""
    places: list[str | None] = [None] if namespaces is None else [*dict.fromkeys((*namespaces, root))]
    asked = [each for each in KINDS_NOT_READ if each.live]
    tasks = [(each, kind, place) for each in asked for kind in each.versions for place in places]
    listed: dict[KindNotRead, dict[str, None]] = {}
    forbidden: dict[KindNotRead, None] = {}
    for each, names in cluster.map(lambda task: (task[0], _names(cluster, *task[1:])), tasks, workers=WORKERS):
        if names is None:
            forbidden[each] = None
        else:
            listed.setdefault(each, {}).update(dict.fromkeys(names))
    _ingresses(cluster, places, live)
    live.not_judged = not_judged({each: list(names) for each, names in listed.items()})
    for each in forbidden:
        resource = f"{each.versions[0].plural}.{each.group}"
        lacking = f"{each.kind} objects are not known, nor {each.hides}"
        live.problems.append(
            problem("kind-forbidden", resource, scope="", verb="list", resource=resource, lacking=lacking)
        )


def _ingresses(cluster: Cluster, places: t.Sequence[str | None], live: Live) -> None:
    """Note the Ingresses and their classes, of which istiod may make routes."""
    asked: list[tuple[Kind, str | None]] = [(INGRESS, place) for place in places]
    for kind, place in [(INGRESS_CLASS, None), *asked]:
        try:
            for item in cluster.each(kind, lambda item: item, place, lean=True):
                live.ingresses.note({**item, "kind": kind.kind})
        except NotFound:
            continue
        except Forbidden:
            resource = f"{kind.plural}.{kind.group}"
            lacking = "requests that enter by Ingresses of Istio are not named"
            entry = problem("kind-forbidden", resource, scope="", verb="list", resource=resource, lacking=lacking)
            if entry not in live.problems:
                live.problems.append(entry)


def _names(cluster: Cluster, kind: Kind, namespace: str | None) -> list[str] | None:
    """Return the objects of a kind, as people read them: [] when the API server does not know it, None when refused."""

    def name(item: Json) -> str:
        return f"{kind.kind} {item['metadata']['namespace']}/{item['metadata']['name']}"

    try:
        return cluster.each(kind, name, namespace, lean=True)
    except NotFound:
        return []
    except Forbidden:
        return None


def _typed(kind: Kind, item: Json) -> Json:
    """Items of a list do not say what they are."""
    item["apiVersion"], item["kind"] = kind.api_version, kind.kind
    return t.cast("Json", relevant_fields(item))


def _problems(outcomes: t.Sequence[_Outcome]) -> list[Problem]:
    """Return one problem for each kind that could not be read, with the namespaces it could not be read in."""
    problems = []
    for kind, lacking in READ.items():
        failed = [outcome for outcome in outcomes if outcome.kind is kind and outcome.error is not None]
        if kind in OPTIONAL:
            failed = [outcome for outcome in failed if isinstance(outcome.error, Forbidden)]
        if not failed:
            continue
        error = failed[0].error
        places = [outcome.namespace for outcome in failed if outcome.namespace]
        where = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
        scope = f" in {', '.join(places)}" if places else ""
        verb = "get" if kind is NAMESPACE and places else "list"
        if isinstance(error, Forbidden):
            own = problem("kind-forbidden", where, scope=scope, verb=verb, resource=where, lacking=lacking)
        else:
            own = problem("kind-unknown", where, kind=kind.kind, api_version=kind.api_version, lacking=lacking)
        problems.append(own)
    return problems


def _control_plane(cluster: Cluster, wanted: WantedControlPlane, live: Live) -> str:
    """Read istiod's Deployments and ConfigMaps, and return the root namespace."""
    try:
        live.istiods = cluster.list(DEPLOYMENT, wanted.namespace, labels="app=istiod")
    except Forbidden:
        lacking = "istiod's version and feature variables"
        live.problems.append(_unread(f"deployments.apps in {wanted.namespace}", "list", lacking))
    deployment, revision, _told = control_plane.choose_istiod(live.istiods, wanted.revision)
    for name in control_plane.config_map_names(deployment, revision):
        try:
            config_map = cluster.get(CONFIG_MAP, name, wanted.namespace)
        except Forbidden:
            live.unread.append(name)
            live.problems.append(_unread(f"configmaps/{name} in {wanted.namespace}", "get", "the mesh config"))
        else:
            live.config_maps += [config_map] if config_map is not None else []
    return control_plane_of(wanted, live.istiods, live.config_maps, live.unread).mesh.root_namespace


def _unread(what: str, verb: str, lacking: str) -> Problem:
    return problem("control-plane-forbidden", what, verb=verb, lacking=lacking)
