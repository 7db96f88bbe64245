# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit log of the sandbox's API server: which rights somebody used, and what was denied.

Source: https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/, and for the annotations
https://kubernetes.io/docs/reference/labels-annotations-taints/audit-annotations/.
"""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest

if t.TYPE_CHECKING:  # conftest.py reads this file before the collection can be imported
    from ansible_collections.meshops.locality.plugins.module_utils._model import least_rights

Json = dict[str, t.Any]
Right = tuple[str, str, str]
#: Where a right is granted, as in least_rights.py; istiod's namespace in the tests' clusters.
CLUSTER, WORKLOADS, CONTROL_PLANE = "cluster", "workloads", "control plane"
ISTIOD = "istio-system"

#: What is asked for within a request, so that no audit log shows it; tests/integration/test_rights.py proves each.
#: A websocket is a GET, and Kubernetes 1.35 and later ask for `create`, too.
EXEC = ("", "pods/exec", "create")


class AuditLog:
    """What one user did, since the log began."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def events(self, user: str) -> list[Json]:
        """Return the events of a user about resources, the oldest first; of a rotated log what is still there."""
        events = []
        for file in (*sorted(self._path.parent.glob("audit-*.log")), self._path):
            # The API server may be at its last line just now.
            whole, _newline, _rest = file.read_text(encoding="utf-8").rpartition("\n")
            for line in whole.splitlines():
                event = json.loads(line)
                if event["user"].get("username") == user and "objectRef" in event:
                    events.append(event)
        assert events, f"the audit log {self._path} has nothing of {user}"
        return events

    def used(self, user: str) -> set[Right]:
        """Return (group, resource, verb) of what was allowed, but for what every user may (roles system:…)."""
        return {_right(event) for event in self.events(user) if not _denied(event) and not _everybody(event)}

    def in_vain(
        self, user: str, rights: t.Iterable[least_rights.Right], *, seldom: bool = True, everywhere: bool = True
    ) -> set[tuple[str, ...]]:
        """Return (where, group, resource, verb) of what was granted and not used there.

        What is granted in the whole cluster is used by a request of no namespace: else a Role would do. Without
        `everywhere` by any request: of namespaces that are not there yet no Role can be.
        """
        used = {
            (where, *_right(event))
            for event in self.events(user)
            if not _denied(event) and not _everybody(event)
            for where in ((_where(event),) if everywhere else {_where(event), CLUSTER})
        }
        granted = {
            (right.where, right.group, name, verb)
            for right in rights
            for name in right.resources
            for verb in (*right.verbs, *(right.seldom if seldom else ()))
        }
        return {right for right in granted - used if right[1:] != EXEC}

    def denied(self, user: str) -> list[str]:
        """Return "verb uri" of what was forbidden."""
        return [f"{event['verb']} {event['requestURI']}" for event in self.events(user) if _denied(event)]


def _right(event: Json) -> Right:
    what = event["objectRef"]
    resource = what["resource"] + (f"/{what['subresource']}" if what.get("subresource") else "")
    return (what.get("apiGroup", ""), resource, event["verb"])


def _where(event: Json) -> str:
    what = event["objectRef"]
    if "namespace" not in what or what["resource"] == "namespaces":
        return CLUSTER
    return CONTROL_PLANE if what["namespace"] == ISTIOD else WORKLOADS


def _denied(event: Json) -> bool:
    decision = (event.get("annotations") or {}).get("authorization.k8s.io/decision")
    return decision == "forbid" or (event.get("responseStatus") or {}).get("code") == 403


def _everybody(event: Json) -> bool:
    reason = (event.get("annotations") or {}).get("authorization.k8s.io/reason", "")
    return 'ClusterRole "system:' in reason


def audit_log_of(kubeconfig: Path) -> AuditLog:
    """Return the audit log next to a sandbox's kubeconfig, or the one that $MESHOPS_TEST_AUDIT_LOG names."""
    named = os.environ.get("MESHOPS_TEST_AUDIT_LOG")
    path = Path(named) if named else kubeconfig.parent / "audit" / "audit.log"
    if not path.is_file():
        pytest.fail(f"There is no audit log {path}. Name that of the cluster with MESHOPS_TEST_AUDIT_LOG.")
    return AuditLog(path)
