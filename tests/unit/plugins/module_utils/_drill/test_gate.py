# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._drill import gate
from ansible_collections.meshops.locality.plugins.module_utils._drill.gate import (
    Facts,
    GatedEndpoint,
    Time,
    blocked_window,
    judge,
    refusal,
)
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput

NOW = Time("Thu", "2026-11-26", "16:40")


def facts(**changes: t.Any) -> Facts:
    endpoints = [GatedEndpoint("a", "r/z/s"), GatedEndpoint("b", "r/z/s2"), GatedEndpoint("c", "r2/z/s")]
    good = Facts(NOW, "shop", "cart", endpoints, frozenset({"a"}), True, 5, 1, requests=100, error_budget=0.01)
    return dataclasses.replace(good, **changes)


def test_nothing_speaks_against_it() -> None:
    criteria = judge(facts())
    assert len(criteria) == len(gate.RULES)
    assert all(criterion.passed for criterion in criteria)
    assert refusal(criteria) is None


@pytest.mark.parametrize(
    ("changes", "rule", "says"),
    [
        ({"stop": "an incident"}, "stop_switch", "Drills are stopped: an incident."),
        ({"open_journals": ["shop/meshops-drill-x"]}, "open_journals", "shop/meshops-drill-x"),
        ({"consent": False}, "consent", "kubectl label namespace shop meshops.locality/drills=allowed"),
        ({"targets": frozenset({"a", "b", "c"}), "max_places": 3}, "last_place", "nothing would be left that answers"),
        ({"max_pods": 0}, "limits", "max_pods is 0"),
        ({"targets": frozenset({"a", "b"})}, "limits", "2 pod(s) in 2 place(s)"),
        ({"windows": [{"days": ["Thu"], "from": "16:00"}]}, "blocked_windows", "days Thu, from 16:00"),
        ({"unhealthy": ["It fails."]}, "steady_state", "It fails."),
        ({"irreversible": ["No shell."]}, "dead_mans_switch", "accept_manual_restore: true"),
        (
            {"irreversible": ["No."], "accept_manual_restore": True, "approval_problem": "Nobody.", "approve": "Do."},
            "approval",
            "Nobody. Do.",
        ),
        ({"lint_errors": ["X"]}, "lint", "1 error(s)"),
        ({"prediction_error": "Nobody knows."}, "prediction", "Nobody knows."),
        ({"predicted_failed": 2.0}, "error_budget", "Of 100 requests 2 are predicted to fail"),
        ({"predicted_failed": None}, "error_budget", "without an end"),
    ],
)
def test_each_rule_says_what_would_have_to_change(changes: t.Any, rule: str, says: str) -> None:
    criteria = judge(facts(**changes))
    assert [criterion.rule for criterion in criteria if not criterion.passed] == [rule]
    against = refusal(criteria)
    assert against is not None
    assert against[0] == "REFUSED"
    assert says in against[1]


def test_capacity_has_an_outcome_of_its_own() -> None:
    against = refusal(judge(facts(overload="Too much.")))
    assert against == ("CAPACITY_CHECK_FAILED", "Too much. Add replicas there, or say accept: [capacity].")
    assert refusal(judge(facts(overload="Too much.", stop="no")))[0] == "REFUSED"  # type: ignore[index]


def test_what_a_person_may_accept() -> None:
    accepted = facts(lint_errors=["X"], overload="Y", accept=frozenset({"lint", "capacity"}))
    criteria = judge(accepted)
    assert refusal(criteria) is None
    assert [criterion.rule for criterion in criteria if criterion.accepted] == ["lint", "capacity"]
    everything = frozenset({"last_place", "consent", *gate.ACCEPTABLE})
    never = facts(targets=frozenset({"a", "b", "c"}), max_places=3, accept=everything)
    assert "last_place" not in gate.ACCEPTABLE
    assert refusal(judge(dataclasses.replace(never, accept=frozenset(gate.ACCEPTABLE)))) is not None


@pytest.mark.parametrize(
    ("window", "blocked"),
    [
        ({}, True),
        ({"days": ["Mon", "Thu"]}, True),
        ({"days": ["Mon"]}, False),
        ({"from": "16:40", "to": "16:40"}, True),
        ({"from": "16:41"}, False),
        ({"from": "22:00", "to": "06:00"}, False),
        ({"from": "16:00", "to": "06:00"}, True),
        ({"first": "2026-11-26", "last": "2026-11-26"}, True),
        ({"first": "2026-11-27"}, False),
        ({"last": "2026-11-25"}, False),
    ],
)
def test_windows(window: t.Any, blocked: bool) -> None:
    assert blocked_window(window, NOW) is blocked


@pytest.mark.parametrize("window", [{"day": ["Mon"]}, {"days": ["Monday"]}, {"from": "8:00"}, {"last": "tomorrow"}])
def test_a_window_that_is_none(window: t.Any) -> None:
    with pytest.raises(InvalidInput, match="blocked_windows"):
        blocked_window(window, NOW)
