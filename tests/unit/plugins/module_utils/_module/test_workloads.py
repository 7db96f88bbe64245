# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a namespace is ours, what is deleted, and what an error in the middle says."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    Conflict,
    InvalidInput,
    LocalityError,
    Unreachable,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube import object_counts
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    NAMESPACE,
    POD,
    REPLICA_SET,
    RESOURCE_QUOTA,
    SERVICE_ACCOUNT,
    Kind,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.namespace_content import (
    content,
    content_with_counts,
    in_the_way,
    is_ours,
    marks,
    read_wanted,
)
from ansible_collections.meshops.locality.plugins.module_utils._module.workloads import workloads
from tests.unit.plugins.module_utils.cluster_in_memory import ClusterInMemory, module, owned

Json = dict[str, t.Any]
OURS = {"app.kubernetes.io/managed-by": "meshops.locality"}
SECRET = Kind("v1", "Secret", "secrets")


def item(name: str, labels: Json | None = None, namespace: str | None = "shop") -> Json:
    metadata: Json = {"name": name, "labels": labels or {}, "uid": f"uid-of-{name}"}
    return {"metadata": metadata | ({"namespace": namespace} if namespace else {})}


SHOP = owned(item("shop", OURS, None))


def test_a_label_that_was_copied_and_a_field_manager_alone_are_not_ours() -> None:
    assert is_ours(owned(item("a", marks("web"))), marks("web"))
    assert not is_ours(owned(item("a", marks("web")), "kubectl"), marks("web")), "the label was copied"
    changed_by_us = owned(owned(item("a", marks("web")), "kubectl"), spec=True)
    changed_by_us["metadata"]["managedFields"][1]["fieldsV1"] = {"f:spec": {"f:replicas": {}}}
    assert not is_ours(changed_by_us, marks("web")), "a drill has scaled it"
    assert not is_ours(owned(item("a")), marks("web")), "the label is missing"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("Secret/web", r"wanted\[1\] is no Deployment, Service, ServiceAccount\. Write it as Kind/name"),
        ("web", r"wanted\[1\] is no Deployment"),
        ("Service/", r"The name in wanted\[1\] is empty"),
        ("Service/a/b", r"The name in wanted\[1\] is 'a/b', which is not the name of an object"),
    ],
)
def test_what_is_wanted_is_a_kind_of_the_role_and_a_name(wanted: str, said: str) -> None:
    assert read_wanted(["ServiceAccount/web"]) == [(SERVICE_ACCOUNT, "web")]
    with pytest.raises(InvalidInput, match=rf"^{said}"):
        read_wanted(["Deployment/web", wanted])


def test_what_somebody_else_has_is_in_the_way() -> None:
    cluster = ClusterInMemory(
        (SERVICE_ACCOUNT, owned(item("web"), "helm")), (DEPLOYMENT, owned(item("web", marks("web"))))
    )
    wanted = read_wanted(["ServiceAccount/web", "Deployment/web", "Service/web"])
    (said,) = in_the_way(t.cast(t.Any, cluster), "shop", "web", wanted)
    assert said.startswith("ServiceAccount web exists in namespace shop and is not this role's: it was written by helm")


def test_what_a_namespace_holds_of_others() -> None:
    scaled = owned(owned(item("theirs", {"app": "theirs"}), "kubectl"))
    cluster = ClusterInMemory(
        (DEPLOYMENT, owned(item("web", OURS))),
        (DEPLOYMENT, scaled),
        (SERVICE_ACCOUNT, owned(item("copied", OURS), "helm")),
        (SERVICE_ACCOUNT, item("default")),
        (CONFIG_MAP, owned(item("meshops-drill-1", {"meshops.locality/drill": "closed"}))),
        (CONFIG_MAP, owned(item("faked", {"meshops.locality/drill": "closed"}), "kubectl")),
        (POD, owned(item("meshops-drill-1-0", {"meshops.locality/probe-of": "1"}))),
        (POD, owned(item("bare", {"meshops.locality/serving": "1"}))),
    )
    assert content(cluster, "shop").others == [
        "ConfigMap faked",
        "Deployment theirs",
        "Pod bare",
        "ServiceAccount copied",
    ]


@pytest.mark.parametrize(
    ("owners", "stays"),
    [
        (["apps/v1 Deployment web"], False),
        (["apps/v1 Deployment gone"], False),
        (["apps/v1beta1 Deployment web", "v1 Secret theirs"], False),
        (["capsule.clastix.io/v1beta2 Tenant them"], True),
        (["apps/v1 Deployment web", "v1 Node worker"], True),
        (["example.com/v1 Deployment web"], True),
        (["v1 ServiceAccount default"], True),
    ],
)
def test_what_is_owned_goes_only_with_objects_of_the_namespace(owners: list[str], stays: bool) -> None:
    parts = [owner.split() for owner in owners]
    references = [{"apiVersion": version, "kind": kind, "name": name, "uid": "u"} for version, kind, name in parts]
    theirs = owned(item("limits"), "them")
    theirs["metadata"]["ownerReferences"] = references
    for kind in (CONFIG_MAP, POD, REPLICA_SET):
        cluster = ClusterInMemory((DEPLOYMENT, owned(item("web", OURS))), (kind, theirs))
        assert content(t.cast(t.Any, cluster), "shop").others == ([f"{kind.kind} limits"] if stays else [])


def test_kinds_that_only_another_version_of_their_group_has_are_looked_at() -> None:
    """And those of both once, in the version that the group prefers."""
    looked: list[Kind] = []

    class Watched(ClusterInMemory):
        def list(self, kind: Kind, namespace: str | None = None, **_selectors: str) -> t.Any:
            looked.append(kind)
            return super().list(kind, namespace)

    envoy_filter = Kind("networking.istio.io/v1alpha3", "EnvoyFilter", "envoyfilters")
    cluster = Watched((envoy_filter, owned(item("theirs"), "kubectl")))
    assert content(t.cast(t.Any, cluster), "shop").others == ["EnvoyFilter theirs"]
    assert [kind for kind in looked if "istio" in kind.group] == [DESTINATION_RULE, envoy_filter]


def absent(cluster: ClusterInMemory, *items: tuple[Kind, str], check_mode: bool = False) -> Json:
    objects = [
        {"api_version": kind.api_version, "kind": kind.kind, "name": name, "uid": f"uid-of-{name}"}
        for kind, name in items
    ]
    params = {"state": "absent", "objects": objects, "namespace": "shop", "wait": True, "wait_timeout": 1}
    return workloads(t.cast(t.Any, cluster), params, module(check_mode=check_mode))


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("labels", [{}, OURS])
def test_what_we_have_not_made_is_not_deleted(labels: Json, check_mode: bool) -> None:
    cluster = ClusterInMemory((SERVICE_ACCOUNT, owned(item("sleep", labels), "helm")))
    with pytest.raises(Conflict, match="written by helm") as caught:
        absent(cluster, (SERVICE_ACCOUNT, "sleep"), check_mode=check_mode)
    assert caught.value.details["not_deleted"] == ["ServiceAccount sleep"]
    assert cluster.writes == []


def test_a_namespace_with_something_of_somebody_else_stays() -> None:
    cluster = ClusterInMemory((NAMESPACE, SHOP), (CONFIG_MAP, owned(item("theirs"), "kubectl")))
    with pytest.raises(Conflict, match="holds ConfigMap theirs") as caught:
        absent(cluster, (NAMESPACE, "shop"))
    assert caught.value.details["others"] == ["ConfigMap theirs"]
    assert cluster.writes == []
    del cluster.items["configmaps", "shop", "theirs"]
    assert absent(cluster, (NAMESPACE, "shop"))["deleted"] == ["Namespace shop"]


@pytest.mark.parametrize(
    ("used", "others", "unseen"),
    [
        ({"count/secrets": "0"}, [], []),
        ({"count/secrets": "2"}, ["secrets (2)"], []),
        ({}, [], ["secrets"]),
    ],
)
def test_what_may_not_be_listed_is_counted(
    monkeypatch: pytest.MonkeyPatch, used: Json, others: list[str], unseen: list[str]
) -> None:
    monkeypatch.setattr(object_counts, "WAIT_SECONDS", 0.0)
    cluster = ClusterInMemory((NAMESPACE, SHOP))
    cluster.forbidden = {"secrets"}
    create = cluster.create

    def counting(kind: Kind, body: Json, **options: t.Any) -> Json:
        assert kind is RESOURCE_QUOTA
        return create(kind, body | {"status": {"used": used}}, **options)

    monkeypatch.setattr(cluster, "create", counting)
    inside = content_with_counts(t.cast(t.Any, cluster), "shop")
    assert (inside.others, inside.unseen) == (others, unseen)
    assert cluster.list(RESOURCE_QUOTA) == [], "the quota is deleted"


@pytest.mark.parametrize(
    ("writer", "others", "unseen"),
    [("meshops.locality", [], []), ("kubectl", ["ResourceQuota meshops-locality-count"], ["secrets"])],
)
def test_a_quota_that_a_killed_run_left_is_replaced_and_that_of_somebody_else_stays(
    monkeypatch: pytest.MonkeyPatch, writer: str, others: list[str], unseen: list[str]
) -> None:
    monkeypatch.setattr(object_counts, "WAIT_SECONDS", 0.0)
    left = owned(item(object_counts.NAME, OURS), writer)
    cluster = ClusterInMemory((NAMESPACE, SHOP), (RESOURCE_QUOTA, left))
    cluster.forbidden = {"secrets"}
    create = cluster.create

    def counting(kind: Kind, body: Json, **options: t.Any) -> Json:
        return create(kind, body | {"status": {"used": {"count/secrets": "0"}}}, **options)

    monkeypatch.setattr(cluster, "create", counting)
    inside = content_with_counts(t.cast(t.Any, cluster), "shop")
    assert (inside.others, inside.unseen) == (others, unseen)
    assert len(cluster.list(RESOURCE_QUOTA)) == (writer == "kubectl")


def test_an_error_after_the_creation_says_that_something_was_changed() -> None:
    """The POST was answered, the apply that follows it was not."""
    cluster = ClusterInMemory()
    cluster.fails = {"apply": [Unreachable("No answer from the API server.")]}
    definitions = [
        {"apiVersion": "v1", "kind": "ServiceAccount", **item("web", OURS)},
        {"apiVersion": "v1", "kind": "ServiceAccount", **item("rest", OURS)},
    ]
    params = {"state": "present", "definitions": definitions}
    with pytest.raises(LocalityError) as caught:
        workloads(t.cast(t.Any, cluster), params, module())
    details = caught.value.details
    assert details["changed"] is True
    assert details["written"] == ["ServiceAccount web"]
    assert details["not_written"] == ["ServiceAccount web", "ServiceAccount rest"]
    assert "A second run finishes." in str(caught.value)
    again = workloads(t.cast(t.Any, cluster), params, module())
    assert again["written"] == ["ServiceAccount rest"]
