# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The capacity of the survivors: what the forecast says, and with so many more lost (N+1)."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._drill.prediction import overload

A, C = "r1/z1/a", "r2/z2/c"


def prediction(load: float, *, overloaded: bool = False) -> dict[str, t.Any]:
    capacity = {"load": load, "limit": 2.0, "limit_from": "assumed", "overloaded": overloaded}
    return {"capacity": capacity, "by_place_after": {A: 0.75, C: 0.25}}


@pytest.mark.parametrize(
    ("load", "left", "spare", "says"),
    [
        (1.5, {A: 1, C: 1}, 0, ""),
        (1.5, {A: 4, C: 2}, 1, ""),
        (1.5, {A: 3, C: 1}, 1, "the others would carry 2.2 times"),
        (1.5, {A: 1, C: 1}, 1, "r1/z1/a would carry most with 1 endpoint(s)"),
        (1.5, {A: 2, C: 9}, 2, "leaves none there"),
        (0.5, {A: 9, C: 2}, 1, ""),
    ],
)
def test_spare_pods(load: float, left: dict[str, int], spare: int, says: str) -> None:
    sentence = overload(prediction(load), left, spare)
    assert says in sentence
    assert bool(sentence) is bool(says)


def test_what_is_overloaded_already_is_said_as_the_forecast_says_it() -> None:
    sentence = overload(prediction(2.5, overloaded=True), {A: 9}, 1)
    assert "would carry 2.5 times" in sentence
    assert overload(None, {}, 1) == ""
