# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of objects that may be anything."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import Reading
from ansible_collections.meshops.locality.plugins.module_utils._model.problems import Problem


@pytest.mark.parametrize(
    ("value", "number", "noted"),
    [
        (8080, 8080, []),
        (None, 7, []),
        ("8080", 8080, ["expected a whole number, got '8080'"]),
        ("http", 7, ["expected a whole number, got 'http'"]),
        (True, 7, ["expected a whole number, got True"]),
    ],
)
def test_a_number_given_as_text_is_read_as_it_is_meant_and_noted(value: t.Any, number: int, noted: list[str]) -> None:
    problems: list[Problem] = []
    assert Reading("Service shop/web", problems).number(value, "spec.ports[0].port", 7) == number
    assert [problem.message for problem in problems] == noted
