# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The approval of a second person: for this drill, in this form, until then."""

from __future__ import annotations

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._drill.approval import problem, token

NOW = "2026-11-26T16:40:00Z"
TOKEN = token("shop", "web", "evict", ["zone r1/z1"], 30)


def test_it_is_for_this_drill_until_then() -> None:
    assert problem(f"{TOKEN} until 2026-11-26T16:41:00Z", TOKEN, NOW) == ""


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        ("", "Nobody has approved"),
        ("yes", "is not of the form"),
        (TOKEN, "is not of the form"),
        (f"{TOKEN} until tomorrow", "is not of the form"),
        (f"{TOKEN} until 2026-11-26T16:40:00Z", "ended at"),
        ("0123456789ab until 2026-11-26T16:41:00Z", "another drill"),
    ],
)
def test_anything_else_is_none(annotation: str, says: str) -> None:
    assert says in problem(annotation, TOKEN, NOW)


@pytest.mark.parametrize(
    "other",
    [
        ("shop2", "web", "evict", ["zone r1/z1"], 30),
        ("shop", "api", "evict", ["zone r1/z1"], 30),
        ("shop", "web", "scale_to_zero", ["zone r1/z1"], 30),
        ("shop", "web", "evict", ["zone r1/z2"], 30),
        ("shop", "web", "evict", ["zone r1/z1"], 300),
    ],
)
def test_another_drill_has_another_token(other: tuple[str, str, str, list[str], int]) -> None:
    assert token(*other) != TOKEN
