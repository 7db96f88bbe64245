# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which differences the undoing of a drill itself makes. Real drills are in tests/drill."""

from __future__ import annotations

import types
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import GONE, RESTORED, Target
from ansible_collections.meshops.locality.plugins.module_utils._drill.target_restoration import TargetRestoration
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.restoration import (
    expected_differences,
)

POD = Target("shop", "db-0", "uid-0", workload="StatefulSet/db")
STATEFUL_SET = Target("shop", "db", "uid-db", "StatefulSet", workload="StatefulSet/db")
BEFORE = {"Pod shop/db-0": {"uid": "uid-0", "labels": "a", "ready": "True", "restarts of db": "2"}}
#: What a pod's successor of the same name has of its own.
REPLACED = {"", "uid", "address", "node", "restarts of db"}


@pytest.mark.parametrize(
    ("target", "state", "fields"),
    [
        (STATEFUL_SET, RESTORED, REPLACED),  # scaled to 0 and back
        (POD, GONE, REPLACED),  # evicted, or deleted by somebody
        (POD, RESTORED, set()),
    ],
)
def test_a_pod_that_a_stateful_set_makes_anew_has_its_predecessors_name(
    target: Target, state: str, fields: set[str]
) -> None:
    drill: t.Any = types.SimpleNamespace(
        lost=[POD], undone={target.uid: TargetRestoration(target, state)}, before=BEFORE
    )
    differing = {field for name, field in expected_differences(drill) if name == "Pod shop/db-0"}
    assert differing - {"restarts of istio-proxy", "restarts of "} == fields
