# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests' own reading of an audit log: a right too many is seen, and one that is granted too widely."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._model.least_rights import (
    CLUSTER,
    CONTROL_PLANE,
    WORKLOADS,
    Right,
)
from tests import audit_log
from tests.audit_log import AuditLog

USER = "system:serviceaccount:shop:ci"


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    """Pods were listed in a namespace and in istiod's, Services everywhere; a Namespace was read, a Node denied."""
    requests: list[tuple[str, str, str | None, str]] = [
        ("list", "pods", "shop", "allow"),
        ("list", "pods", "istio-system", "allow"),
        ("list", "services", None, "allow"),
        ("get", "namespaces", "shop", "allow"),
        ("get", "nodes", None, "forbid"),
    ]
    path = tmp_path / "audit.log"
    with path.open("w", encoding="utf-8") as stream:
        for verb, resource, namespace, decision in requests:
            what: dict[str, t.Any] = {"resource": resource, **({"namespace": namespace} if namespace else {})}
            event = {"user": {"username": USER}, "verb": verb, "objectRef": what, "requestURI": f"/{resource}"}
            stream.write(json.dumps({**event, "annotations": {"authorization.k8s.io/decision": decision}}) + "\n")
    return AuditLog(path)


def test_places_are_those_of_the_rights() -> None:
    assert (audit_log.CLUSTER, audit_log.WORKLOADS, audit_log.CONTROL_PLANE) == (CLUSTER, WORKLOADS, CONTROL_PLANE)


@pytest.mark.parametrize(
    ("where", "resource", "verb", "in_vain"),
    [
        (WORKLOADS, "pods", "list", False),
        (CONTROL_PLANE, "pods", "list", False),
        (WORKLOADS, "pods", "delete", True),
        (CLUSTER, "pods", "list", True),
        (CLUSTER, "services", "list", False),
        (WORKLOADS, "services", "list", True),
        (CLUSTER, "namespaces", "get", False),
        (CLUSTER, "nodes", "get", True),
    ],
)
def test_what_is_granted_in_vain(log: AuditLog, where: str, resource: str, verb: str, in_vain: bool) -> None:
    always, seldom = Right(where, "", (resource,), (verb,)), Right(where, "", (resource,), (), (verb,))
    vain = {(where, "", resource, verb)} if in_vain else set()
    assert log.in_vain(USER, [always]) == log.in_vain(USER, [seldom]) == vain
    assert log.in_vain(USER, [seldom], seldom=False) == set()


def test_a_right_of_the_whole_cluster_may_be_used_in_a_namespace_that_was_not_there(log: AuditLog) -> None:
    assert log.in_vain(USER, [Right(CLUSTER, "", ("pods",), ("list", "get"))], everywhere=False) == {
        (CLUSTER, "", "pods", "get")
    }
    assert log.denied(USER) == ["get /nodes"]
