# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least rights for what somebody wants to do, as Roles and ClusterRoles.

Each right is one that a request of this collection needs; tests/integration/test_rights.py runs actions with exactly
these, and compares what was granted with what was used. Pure.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_names import (
    namespace_name,
    object_name,
)

Json = dict[str, t.Any]

#: Where a right is granted: in the whole cluster, in the namespaces of the workloads, in that of istiod.
CLUSTER, WORKLOADS, CONTROL_PLANE = "cluster", "workloads", "control plane"


@dataclass(frozen=True)
class Right:
    """`verbs` on `resources` of one API group. `seldom`: only needed when something gets in the way (a conflict)."""

    where: str
    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    seldom: tuple[str, ...] = ()


def _right(where: str, group: str, resources: str, verbs: str, seldom: str = "") -> Right:
    return Right(where, group, tuple(resources.split()), tuple(verbs.split()), tuple(seldom.split()))


_RULES = "destinationrules virtualservices"
_GATEWAY_API = "gateway.networking.k8s.io"
#: What a prediction is made of, and what it must at least name (_source/kinds_not_read.py): of Istio's root namespace,
#: whose objects count everywhere, and of the mesh.
_OF_ROOT = (
    ("networking.istio.io", f"{_RULES} serviceentries workloadentries sidecars gateways envoyfilters proxyconfigs"),
    ("security.istio.io", "authorizationpolicies peerauthentications requestauthentications"),
    ("extensions.istio.io", "trafficextensions wasmplugins"),
    (_GATEWAY_API, "listenersets backendtlspolicies"),
    ("gateway.networking.x-k8s.io", "xbackendtrafficpolicies"),
    ("inference.networking.k8s.io", "inferencepools"),
    ("networking.k8s.io", "ingresses networkpolicies"),
)
_MESH = (
    (_GATEWAY_API, "httproutes grpcroutes tcproutes tlsroutes gateways referencegrants"),
    *_OF_ROOT,
)
#: A command in a pod. Over a websocket it is a GET; Kubernetes 1.35 and later ask for `create` all the same.
_EXEC = _right(WORKLOADS, "", "pods/exec", "get create")
_PODS = _right(WORKLOADS, "", "pods", "list")
_NODES = _right(CLUSTER, "", "nodes", "list")
_INJECTORS = _right(CLUSTER, "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "list")
#: istiod's version, which decides where it places pods with the label topology.istio.io/locality.
_ISTIOD = _right(CONTROL_PLANE, "apps", "deployments", "", "list")

_DEPLOY = (
    _NODES,
    _INJECTORS,
    # Neither create nor delete: a Role needs the namespace to be there, and what was there stays.
    _right(CLUSTER, "", "namespaces", "get patch"),
    _right(WORKLOADS, "apps", "deployments", "get list create patch delete"),
    _right(WORKLOADS, "", "services serviceaccounts", "get list create patch delete"),
    _right(WORKLOADS, "apps", "replicasets", "list"),
    _PODS,
    _right(WORKLOADS, "", "events", "", "list"),
    _right(CONTROL_PLANE, "discovery.k8s.io", "endpointslices", "list"),
)

RIGHTS: dict[str, tuple[Right, ...]] = {
    "label": (
        _right(CLUSTER, "", "nodes", "list patch", "get"),
        _right(WORKLOADS, "discovery.k8s.io", "endpointslices", "list patch", "get"),
        _PODS,
    ),
    "deploy": _DEPLOY,
    # It makes its namespace, so no Role can be there before. Only who may list everything in it deletes it again.
    "deploy_namespace": (
        *(replace(right, where=CLUSTER) if right.where == WORKLOADS else right for right in _DEPLOY),
        _right(CLUSTER, "", "namespaces", "create"),
    ),
    "apply": (
        _right(WORKLOADS, "networking.istio.io", _RULES, "list create patch", "get delete"),
        _right(WORKLOADS, "", "services", "get"),
        _right(WORKLOADS, "discovery.k8s.io", "endpointslices", "list"),
        _right(WORKLOADS, "", "pods", "", "list"),
        _right(CLUSTER, "", "nodes", "", "get"),
        _ISTIOD,
    ),
    "verify": (_PODS, _NODES, _EXEC, _right(WORKLOADS, "", "pods/log", "", "get"), _ISTIOD),
    "predict": (
        _right(CLUSTER, "", "nodes pods services namespaces", "list"),
        _right(CLUSTER, "discovery.k8s.io", "endpointslices", "list"),
        _right(CLUSTER, "apps", "deployments statefulsets daemonsets", "list"),
        _right(CLUSTER, "autoscaling", "horizontalpodautoscalers", "list"),
        *(_right(CLUSTER, group, resources, "list") for group, resources in _MESH),
        _right(CLUSTER, _GATEWAY_API, "gatewayclasses", "list"),
        _right(CLUSTER, "networking.k8s.io", "ingressclasses", "list"),
        _right(CONTROL_PLANE, "", "configmaps", "get"),
    ),
    "drill": (
        _right(WORKLOADS, "", "pods", "get list", "patch create delete"),
        _EXEC,
        _right(WORKLOADS, "", "pods/log", "get"),
        _right(WORKLOADS, "", "pods/eviction", "", "create"),
        _right(WORKLOADS, "", "services", "get list", "patch create delete"),
        _right(WORKLOADS, "", "configmaps", "list create patch", "get delete"),
        _right(WORKLOADS, "discovery.k8s.io", "endpointslices", "list"),
        _right(WORKLOADS, "apps", "deployments statefulsets", "list", "get patch"),
        _right(WORKLOADS, "apps", "daemonsets", "list"),
        _right(WORKLOADS, "autoscaling", "horizontalpodautoscalers", "list"),
        _right(WORKLOADS, "networking.k8s.io", "networkpolicies", "", "get create delete"),
        *(_right(WORKLOADS, group, resources, "list") for group, resources in _MESH),
        *(_right(CONTROL_PLANE, group, resources, "list") for group, resources in _OF_ROOT),
        _right(CONTROL_PLANE, "coordination.k8s.io", "leases", "get create patch"),
        _right(CONTROL_PLANE, "apps", "deployments", "list"),
        _right(CONTROL_PLANE, "", "configmaps", "get"),
        _right(CLUSTER, "", "nodes", "list", "get patch"),
        _right(CLUSTER, "", "namespaces", "get list"),
        _right(CLUSTER, "", "configmaps", "list"),
        _right(CLUSTER, _GATEWAY_API, "gatewayclasses", "list"),
        _right(CLUSTER, "networking.k8s.io", "ingressclasses", "list"),
    ),
    # Reports in a ConfigMap: publish_config_map of the playbooks lint, forecast, assess and drill.
    "publish": (_right(WORKLOADS, "", "configmaps", "get create patch"),),
    # On top of `drill`: with a node the pods of others are lost, who must allow drills.
    "node_loss": (_right(CLUSTER, "", "pods", "list"),),
    "drain": (
        _right(WORKLOADS, "", "pods", "list get patch"),
        _right(WORKLOADS, "", "services", "list"),
        _right(CONTROL_PLANE, "coordination.k8s.io", "leases", "get patch", "create"),
        _EXEC,
    ),
    # What site would do, of the whole cluster: it has no namespace yet. Labels of nodes are tried (dry run).
    "preview": (
        _right(CLUSTER, "", "nodes", "list patch"),
        _right(CLUSTER, "", "namespaces", "get"),
        _INJECTORS,
        _right(CLUSTER, "discovery.k8s.io", "endpointslices", "list"),
        _right(CLUSTER, "", "pods", "list"),
    ),
    # It makes its namespace itself, so no Role can be there before: all is granted in the whole cluster.
    "site": (
        _right(CLUSTER, "", "namespaces", "get list create patch delete"),
        _right(CLUSTER, "", "nodes", "get list patch"),
        _right(CLUSTER, "", "services serviceaccounts", "get list create patch delete"),
        _right(CLUSTER, "", "configmaps", "get list create patch"),
        _right(CLUSTER, "", "pods", "get list"),
        _right(CLUSTER, "", "pods/exec", "get create"),
        _right(CLUSTER, "", "pods/log", "get"),
        _right(CLUSTER, "", "events", "", "list"),
        _right(CLUSTER, "apps", "deployments", "get list create patch delete"),
        _right(CLUSTER, "apps", "replicasets statefulsets daemonsets", "list"),
        _right(CLUSTER, "autoscaling", "horizontalpodautoscalers", "list"),
        _right(CLUSTER, "discovery.k8s.io", "endpointslices", "list", "patch get"),
        # Before it deletes its namespace, a quota counts in it what may not be listed, such as Secrets.
        _right(CLUSTER, "", "resourcequotas", "get list create delete"),
        _INJECTORS,
        _right(CLUSTER, "networking.istio.io", _RULES, "list create patch delete", "get"),
        *(_right(CLUSTER, group, resources, "list") for group, resources in _MESH),
        _right(CLUSTER, _GATEWAY_API, "gatewayclasses", "list"),
        _right(CLUSTER, "networking.k8s.io", "ingressclasses", "list"),
        _right(CONTROL_PLANE, "coordination.k8s.io", "leases", "get create patch"),
    ),
}


def least_rights(
    actions: t.Sequence[str],
    namespaces: t.Sequence[str],
    *,
    name: str = "meshops-locality",
    control_plane_namespace: str = "istio-system",
    service_account: str | None = None,
) -> list[Json]:
    """Return the manifests that grant the rights for `actions`: one ClusterRole, and a Role in each namespace.

    `service_account`, as "namespace/name": the bindings for it follow each role. Raises InvalidInput for an unknown
    action, for a name that is none, and without namespaces where there is something to grant in them.
    """
    unknown = sorted(set(actions) - set(RIGHTS))
    if unknown or not actions:
        raise InvalidInput(
            f"There is no action {', '.join(map(repr, unknown))}." if unknown else "No action is given.",
            do=f"Known are {', '.join(RIGHTS)}.",
        )
    name = object_name(name, "name")
    subject = _subject(service_account)
    rights = [right for action in dict.fromkeys(actions) for right in RIGHTS[action]]
    if any(right.where == WORKLOADS for right in rights) and not namespaces:
        raise InvalidInput("namespaces is empty.", do="Name those of the workloads.")
    places: dict[str, list[Right]] = {}
    for right in rights:
        if right.where == WORKLOADS:
            for namespace in namespaces:
                places.setdefault(namespace_name(namespace, "namespaces"), []).append(right)
        elif right.where == CONTROL_PLANE:
            places.setdefault(namespace_name(control_plane_namespace, "control_plane_namespace"), []).append(right)
    cluster_wide = _rules([right for right in rights if right.where == CLUSTER])
    manifests = []
    if cluster_wide:
        manifests += _role("ClusterRole", name, None, cluster_wide, subject)
    for namespace, given in places.items():
        granted = {
            (g, r, v)
            for rule in cluster_wide
            for g in rule["apiGroups"]
            for r in rule["resources"]
            for v in rule["verbs"]
        }
        if rules := _rules(given, granted):
            manifests += _role("Role", name, namespace, rules, subject)
    return manifests


def _subject(service_account: str | None) -> Json | None:
    if service_account is None:
        return None
    namespace, slash, account = service_account.partition("/")
    if not slash:
        raise InvalidInput(f"service_account is {service_account!r}.", do="Give it as namespace/name.")
    return {
        "kind": "ServiceAccount",
        "name": object_name(account, "service_account"),
        "namespace": namespace_name(namespace, "service_account"),
    }


def _rules(rights: t.Iterable[Right], granted: t.Collection[tuple[str, str, str]] = ()) -> list[Json]:
    """Return one rule for all resources of a group with the same verbs, without what is granted already."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for right in rights:
        for resource in right.resources:
            known = verbs.setdefault((right.group, resource), [])
            known += [
                verb
                for verb in (*right.verbs, *right.seldom)
                if verb not in known and (right.group, resource, verb) not in granted
            ]
    together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), of_resource in verbs.items():
        if of_resource:
            together.setdefault((group, tuple(sorted(of_resource))), []).append(resource)
    return [
        {"apiGroups": [group], "resources": sorted(resources), "verbs": list(of_group)}
        for (group, of_group), resources in sorted(together.items())
    ]


def _role(kind: str, name: str, namespace: str | None, rules: list[Json], subject: Json | None) -> list[Json]:
    api = "rbac.authorization.k8s.io"
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    role: Json = {"apiVersion": f"{api}/v1", "kind": kind, "metadata": metadata, "rules": rules}
    if subject is None:
        return [role]
    binding = {
        "apiVersion": f"{api}/v1",
        "kind": f"{kind}Binding",
        "metadata": dict(metadata),
        "roleRef": {"apiGroup": api, "kind": kind, "name": name},
        "subjects": [subject],
    }
    return [role, binding]
