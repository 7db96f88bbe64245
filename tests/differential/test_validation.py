# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What we say about broken objects is what istiod's own webhook says: refused or not, and with which words.

Every kind of mistake of broken_objects.py, and generated objects with several of them. MESHOPS_ORACLE_SEED repeats
a run, MESHOPS_ORACLE_OBJECTS says how many are generated.
"""

from __future__ import annotations

import os
import random
import re
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._istio.validation import validate
from meshops_sandbox.build import lines
from tests.differential.broken_objects import MISTAKES, RULE, SIDECAR, Json, generate, mistaken
from tests.differential.oracle import Oracle

SEED = int(os.environ.get("MESHOPS_ORACLE_SEED") or random.SystemRandom().randrange(10**6))
NUMBER = int(os.environ.get("MESHOPS_ORACLE_OBJECTS") or 3000)
#: Of the others not all warnings are looked at.
WARNED = (RULE, SIDECAR)
#: istiod goes through the keys of `to` in random order, so that either of two that overlap may be named.
OVERLAP = re.compile("^locality .* overlap with")

pytestmark = pytest.mark.parametrize("line", lines())


def words(messages: t.Iterable[str]) -> set[str]:
    return {OVERLAP.sub("locality … overlap with", message) for message in messages}


def difference(item: Json, answer: Json, line: str) -> str:
    """Return in what our answer differs from istiod's; '' when they agree."""
    said = validate(item["kind"], "a", item["spec"], line)
    ours = {
        level: words(verdict.message for verdict in said if verdict.level == level)
        for level in ("error", "warning", "chance")
    }
    undecodable = any(verdict.level == "type" for verdict in said)
    errors = [message for message in answer["errors"] if not message.startswith("unknown field")]
    if undecodable or any("decod" in message for message in errors):
        return "" if undecodable == bool(errors) else f"decoding: ours {said}, istiod's {errors}"
    if any(verdict.level == "unknown" for verdict in said) != (len(errors) < len(answer["errors"])):
        return f"unknown fields: ours {said}, istiod's {answer['errors']}"
    if words(errors) - ours["chance"] != ours["error"] - ours["chance"]:
        return f"errors: ours {said}, istiod's {errors}"
    if item["kind"] in WARNED and ours["warning"] != words(answer["warnings"]):
        return f"warnings: ours {said}, istiod's {answer['warnings']}"
    return ""


def test_istiod_says_the_same(oracle: t.Callable[..., Oracle], line: str) -> None:
    items = [mistaken(mistake, value) for mistake in MISTAKES for value in mistake[2]]
    items += [generate(random.Random(SEED + number)) for number in range(NUMBER)]
    validations = oracle(line).validate(items)
    assert len(validations) == len(items)
    refused = sum(bool(validation["errors"]) for validation in validations)
    assert 0.5 < refused / len(items) < 0.97, "the objects are all alike"
    differences = [
        f"{item}: {deviation}"
        for item, verdict in zip(items, validations, strict=True)
        if (deviation := difference(item, verdict, line))
    ]
    assert not differences, f"MESHOPS_ORACLE_SEED={SEED}: {len(differences)} of {len(items)}, first {differences[:3]}"


def test_there_are_enough_kinds_of_mistakes(line: str) -> None:
    assert len(MISTAKES) >= 140
    assert line
