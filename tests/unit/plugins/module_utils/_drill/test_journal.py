# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._drill import journal
from ansible_collections.meshops.locality.plugins.module_utils._drill.coverage import (
    coverage,
    drill,
    never_drilled,
    places_digest,
)
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import (
    CLOSED,
    GONE,
    INJECTED,
    INJECTING,
    RESTORED,
    JournalRecord,
    Target,
)
from ansible_collections.meshops.locality.plugins.module_utils._drill.scope import Candidate
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput

TARGET = Target("shop", "cart-0", "u1", address="10.0.0.1", restarts=2, container="containerd://x")
RECORD = JournalRecord(
    "20261126-164000-abc", "me@here", "a is lost", "shop", "cart", "drain_inbound", ("zone a",),
    "2026-11-26T16:40:00.000Z", "2026-11-26T16:50:00.000Z", (TARGET, replace(TARGET, uid="u2", name="cart-1")),
    prediction={"failed_requests": 0.0},
)  # fmt: skip

NOW = "2026-11-27T16:31:30.000Z"


def test_there_and_back() -> None:
    record = RECORD.marked({"u1": INJECTING}).timed({"u1": 77}).noted("2026-11-26T16:40:01.000Z", "inject", "…")
    assert journal.read(journal.write(record), "here") == record
    assert [pending.name for pending in record.unsettled()] == ["cart-0"]
    assert record.targets[0].timer == 77
    assert record.phase == "inject"


def test_only_what_may_be_changed_is_unsettled() -> None:
    assert RECORD.unsettled() == []
    assert len(RECORD.marked({"u1": INJECTED, "u2": INJECTING}).unsettled()) == 2
    assert RECORD.marked({"u1": RESTORED, "u2": GONE}).unsettled() == []


def test_expiry() -> None:
    assert not RECORD.expired("2026-11-26T16:49:59.999Z")
    assert RECORD.expired("2026-11-26T16:50:00.000Z")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        journal.write(RECORD).replace("/v1", "/v9"),
        journal.write(replace(RECORD, expires="soon")),
        json.dumps({**json.loads(journal.write(RECORD)), "more": 1}),
    ],
)
def test_a_text_that_is_no_journal(text: str) -> None:
    with pytest.raises(InvalidInput, match="ConfigMap shop/x"):
        journal.read(text, "ConfigMap shop/x")


def test_coverage_says_what_has_changed_since() -> None:
    rules = {"DestinationRule shop/cart": "1", "Service shop/cart": "2"}
    won = replace(
        RECORD, state=CLOSED, result={"outcome": "SUCCEEDED", "rules": rules, "ended": "2026-11-26T16:30:00.000Z"}
    )
    (covered,) = coverage([won], rules, NOW)
    assert (covered["proven"], covered["changed_since"], covered["loss"]) == (True, [], "zone a")
    assert covered["seconds_ago"] == 86400 + 90
    (covered,) = coverage([won], {**rules, "DestinationRule shop/cart": "3", "VirtualService shop/new": "4"}, NOW)
    assert covered["proven"] is False
    assert covered["changed_since"] == ["DestinationRule shop/cart", "VirtualService shop/new (new)"]
    (covered,) = coverage([won], {}, NOW)
    assert covered["changed_since"] == sorted(rules)
    lost = replace(won, started="2026-11-27T00:00:00.000Z", result={"outcome": "FAILED", "rules": rules})
    assert [row["proven"] for row in coverage([lost, won], rules, NOW)] == [False], "the newest judgement applies"
    cut = replace(lost, started="2026-11-28T00:00:00.000Z", result={"outcome": "INTERRUPTED"})
    assert coverage([cut], rules, NOW) == []


def test_what_was_never_drilled() -> None:
    """cart is in two subzones of one zone: its zone is all there is, and cannot be lost."""
    pods = [
        Candidate("shop", f"cart-{place}", place, "", "n", f"r1/z1/{place}", "Deployment/cart", ready)
        for place, ready in (("s1", True), ("s2", True), ("s3", False))
    ]
    assert places_digest(pods) == "r1/z1/s1, r1/z1/s2"
    assert never_drilled("shop", "cart", pods, []) == ["subzone r1/z1/s1", "subzone r1/z1/s2"]
    entry = {"namespace": "shop", "service": "cart", "loss": "subzone r1/z1/s1"}
    assert never_drilled("shop", "cart", pods, [entry]) == ["subzone r1/z1/s2"]
    assert never_drilled("shop", "other", pods[:1], [entry]) == []


def test_history_of_a_drill_whose_process_is_gone() -> None:
    result = drill(RECORD.marked({"u1": INJECTED}))
    assert (result["outcome"], result["open"], result["unsettled"]) == ("PENDING", True, ["shop/cart-0"])
