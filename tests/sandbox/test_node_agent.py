# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the node agent understands of annotations, and what it leaves alone. What it does is in test_running.py."""

from __future__ import annotations

import math

import pytest

from meshops_sandbox.node_agent import ASKED, STOPPED, asked, stopped_by


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"by": "a drill", "seconds": 5}', ("a drill", 5.0)),
        ('{"by": "somebody"}', ("somebody", math.inf)),
        ('{"by": "a drill", "seconds": 0}', None),
        ('{"by": "a drill", "seconds": -1}', None),
        ('{"by": "a drill", "seconds": 86401}', None),
        ('{"by": "a drill", "seconds": "NaN"}', None),
        ('{"by": "a drill", "seconds": null}', None),
        ('{"seconds": 5}', None),
        ('["by"]', None),
        ("yes", None),
        ("", None),
    ],
)
def test_who_asks_for_a_stop_and_for_how_long(text: str, wanted: tuple[str, float] | None) -> None:
    assert asked({ASKED: text}) == wanted


def test_nobody_asks() -> None:
    assert asked({}) is None
    assert stopped_by({}) is None
    assert stopped_by({STOPPED: '{"by": "a drill", "until": null}'}) == "a drill"
