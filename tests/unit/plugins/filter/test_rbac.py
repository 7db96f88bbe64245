# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Least rights: what is granted where."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.locality.plugins.filter.rbac import DOCUMENTATION, rbac
from ansible_collections.meshops.locality.plugins.module_utils._model.least_rights import RIGHTS
from tests.conftest import ROOT

Json = dict[str, t.Any]


def verbs(manifest: Json) -> dict[str, list[str]]:
    return {
        f"{group}/{resource}": rule["verbs"]
        for rule in manifest["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_one_cluster_role_and_a_role_in_each_namespace() -> None:
    roles = rbac(["label"], ["shop", "web"], service_account="ci/meshops")
    assert [(m["kind"], m["metadata"].get("namespace")) for m in roles] == [
        *(("ClusterRole", None), ("ClusterRoleBinding", None)),
        *(("Role", "shop"), ("RoleBinding", "shop"), ("Role", "web"), ("RoleBinding", "web")),
    ]
    assert verbs(roles[0]) == {"/nodes": ["get", "list", "patch"]}
    assert verbs(roles[2]) == {"/pods": ["list"], "discovery.k8s.io/endpointslices": ["get", "list", "patch"]}
    assert roles[3]["subjects"] == [{"kind": "ServiceAccount", "name": "meshops", "namespace": "ci"}]


def test_what_is_granted_in_the_cluster_is_not_granted_again() -> None:
    roles = rbac(["predict", "label"], ["shop"])
    assert [manifest["kind"] for manifest in roles] == ["ClusterRole", "Role", "Role"]
    assert verbs(roles[1] if roles[1]["metadata"]["namespace"] == "shop" else roles[2]) == {
        "discovery.k8s.io/endpointslices": ["get", "patch"]
    }


@pytest.mark.parametrize("action", sorted(RIGHTS))
def test_nothing_is_granted_with_a_star_and_no_secret_is_read(action: str) -> None:
    for manifest in rbac([action], ["shop"]):
        for resource, granted in verbs(manifest).items():
            assert "*" not in resource
            assert "*" not in granted
            assert not resource.endswith("/secrets")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((["fly"], ["shop"]), "There is no action 'fly'"),
        (([], ["shop"]), "No action"),
        ((["label"], []), "namespaces is empty"),
        ((["label"], [""]), "namespaces is empty"),
        ((["label"], ["A"]), "not the name of a namespace"),
        (("label", ["shop"]), "must be a list"),
        ((["label"], ["shop"], "n", "istio-system", "meshops"), "Give it as namespace/name"),
    ],
)
def test_bad_input(given: t.Any, says: str) -> None:
    with pytest.raises(AnsibleFilterError, match=says):
        rbac(*given)


def test_the_documented_rights_of_drills_are_those_of_the_filter() -> None:
    documented: set[tuple[str, str, str]] = set()
    for item in yaml.safe_load_all((ROOT / "docs" / "examples" / "drill" / "rights.yml").read_text(encoding="utf-8")):
        if item["kind"] in ("Role", "ClusterRole"):
            where = item["metadata"].get("namespace", "")
            documented |= {(where, name, verb) for name, granted in verbs(item).items() for verb in granted}
    roles = [item for item in rbac(["drill"], ["sample"]) if "rules" in item]
    granted = {
        (rule["metadata"].get("namespace", ""), name, verb)
        for rule in roles
        for name, given in verbs(rule).items()
        for verb in given
    }
    # The filter grants nothing again in a namespace that it grants in the whole cluster.
    again = {(where, name, verb) for where, name, verb in documented if where and ("", name, verb) in documented}
    assert documented - again == granted


def test_every_action_is_documented() -> None:
    permissions = (ROOT / "docs" / "own-cluster.md").read_text(encoding="utf-8").partition("## Permissions")[2]
    assert {action for action in RIGHTS if f"`{action}`" not in permissions} == set()
    assert {action for action in RIGHTS if f"V({action})" not in DOCUMENTATION} == set()


def test_what_the_tutorial_seldom_needs_others_are_proven_to_need() -> None:
    """It runs their modules; tests/integration/test_rights.py proves for each that nothing is granted in vain."""

    def granted(action: str, seldom: bool) -> set[tuple[str, str, str]]:
        return {
            (right.group, name, verb)
            for right in RIGHTS[action]
            for name in right.resources
            for verb in (*right.seldom, *(() if seldom else right.verbs))
        }

    proven = granted("label", False) | granted("deploy", False) | granted("apply", False)
    assert granted("site", True) - proven == set()
