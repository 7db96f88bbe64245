# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`changed` is true when anything was written before the error. The other modules' are next to what writes."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._drill import journal
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import JournalRecord, Target
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    ClusterError,
    Forbidden,
    NotReady,
    Unreachable,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_faults, drill_journal
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_fault_in_network import LABEL
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import CONFIG_MAP, LEASE, NETWORK_POLICY
from ansible_collections.meshops.locality.plugins.module_utils._module.failover_restore import failover_restore
from tests.unit.plugins.module_utils.cluster_in_memory import ClusterInMemory, module, owned

LOCK: dict[str, t.Any] = {"metadata": {"name": "meshops-drill", "namespace": "istio-system"}, "spec": {}}
EVERY_DRILL: dict[str, t.Any] = {
    "stop": None,
    "lock_namespace": "istio-system",
    "wait_timeout": 1,
    "drills": None,
    "expired": False,
    "namespaces": ["shop"],
    "all_namespaces": False,
}


@pytest.mark.parametrize("check_mode", [True, False])
def test_drills_are_stopped_and_then_no_journal_may_be_read(check_mode: bool) -> None:
    cluster = ClusterInMemory((LEASE, LOCK))
    cluster.forbidden = {"configmaps"}
    params = {**EVERY_DRILL, "stop": "fire"}
    with pytest.raises(Forbidden, match="No journal may be read") as caught:
        failover_restore(t.cast(t.Any, cluster), params, module(check_mode=check_mode))
    assert caught.value.details.get("changed", False) is not check_mode


def unheard() -> ClusterError:
    error = Unreachable("The API server does not answer.")
    error.unheard = True
    return error


@pytest.mark.parametrize(
    ("left", "error", "changed"),
    [
        (True, Forbidden("Not allowed to patch.", status=403), True),
        (False, Forbidden("Not allowed to patch.", status=403), False),
        (False, unheard(), True),
    ],
)
def test_what_was_put_back_is_said_although_the_journal_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, left: bool, error: ClusterError, changed: bool
) -> None:
    """Of a drill's policy, which is deleted, or was gone before."""
    monkeypatch.setattr(drill_faults, "POLL_SECONDS", 0)
    at, name = "2026-01-01T00:00:00.000Z", drill_journal.name_of("d")
    target = Target("shop", "policy", "u", "NetworkPolicy", state=journal.INJECTED)
    record = JournalRecord("d", "ann", "title", "shop", "web", "network_deny", (), at, at, (target,))
    metadata = {"name": name, "namespace": "shop", "labels": {drill_journal.LABEL: "open"}}
    cluster = ClusterInMemory(
        (CONFIG_MAP, owned({"metadata": metadata, "data": {drill_journal.KEY: journal.write(record)}}))
    )
    if left:
        own = {"name": "policy", "namespace": "shop", "uid": "u", "labels": {LABEL: "d"}}
        cluster.put(NETWORK_POLICY, owned({"metadata": own}))
    cluster.fails["merge_patch"] = [error] * 9
    with pytest.raises(NotReady, match="1 of 1 drills are not restored") as caught:
        failover_restore(t.cast(t.Any, cluster), EVERY_DRILL, module())
    (drill,) = caught.value.details["drills"]
    assert (drill["closed"], drill["error"]) == (False, str(error))
    assert [(entry["pod"], entry["state"]) for entry in drill["targets"]] == [("shop/policy", journal.GONE)]
    assert caught.value.details["changed"] is changed
    assert cluster.list(NETWORK_POLICY) == []
