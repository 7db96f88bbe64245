# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API server lets us do, asked without doing it.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import Forbidden, NotFound
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import Kind

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

#: Every authenticated user may ask this about himself (the ClusterRole system:basic-user).
REVIEWS = Kind("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False)

RULES = Kind("authorization.k8s.io/v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", namespaced=False)


def may(cluster: Cluster, verb: str, kind: Kind, name: str = "", namespace: str = "", *, subresource: str = "") -> bool:
    """Return whether we may do something with one object, or with all of a namespace when no name is given.

    Raises Forbidden where not even this may be asked.
    """
    asked = {
        "verb": verb,
        "group": kind.group,
        "resource": kind.plural,
        "subresource": subresource,
        "name": name,
        "namespace": namespace,
    }
    body = {"apiVersion": REVIEWS.api_version, "kind": REVIEWS.kind, "spec": {"resourceAttributes": asked}}
    answer = cluster.request("create", "POST", REVIEWS.path(), body=body)
    return bool((answer.get("status") or {}).get("allowed"))


def may_list(cluster: Cluster, namespace: str) -> t.Callable[[Kind], bool | None]:
    """Return what tells whether we may list all objects of a kind in a namespace; None: only trying shows it.

    One question for all kinds. Source: Kubernetes API reference, SelfSubjectRulesReview: an authorizer that cannot list
    its rules makes the answer `incomplete`.
    """
    body = {"apiVersion": RULES.api_version, "kind": RULES.kind, "spec": {"namespace": namespace}}
    try:
        status = cluster.request("create", "POST", RULES.path(), body=body).get("status") or {}
    except (Forbidden, NotFound):
        return lambda kind: None
    rules = [rule for rule in status.get("resourceRules") or [] if {"list", "*"} & set(rule.get("verbs") or ())]

    def allowed(kind: Kind) -> bool | None:
        for rule in rules:
            groups, resources = set(rule.get("apiGroups") or ()), set(rule.get("resources") or ())
            if {kind.group, "*"} & groups and {kind.plural, "*"} & resources and not rule.get("resourceNames"):
                return True
        return None if status.get("incomplete") else False

    return allowed
