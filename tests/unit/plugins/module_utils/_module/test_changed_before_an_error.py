# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`changed` is true when anything was written before the error. The other modules' are next to what writes."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import Forbidden
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import LEASE
from ansible_collections.meshops.locality.plugins.module_utils._module.failover_restore import failover_restore
from tests.unit.plugins.module_utils.cluster_in_memory import ClusterInMemory, module

LOCK: dict[str, t.Any] = {"metadata": {"name": "meshops-drill", "namespace": "istio-system"}, "spec": {}}


@pytest.mark.parametrize("check_mode", [True, False])
def test_drills_are_stopped_and_then_no_journal_may_be_read(check_mode: bool) -> None:
    cluster = ClusterInMemory((LEASE, LOCK))
    cluster.forbidden = {"configmaps"}
    params = {"stop": "fire", "lock_namespace": "istio-system", "wait_timeout": 1, "drills": None, "expired": False}
    params |= {"namespaces": ["shop"], "all_namespaces": False}
    with pytest.raises(Forbidden, match="No journal may be read") as caught:
        failover_restore(t.cast(t.Any, cluster), params, module(check_mode=check_mode))
    assert caught.value.details.get("changed", False) is not check_mode
