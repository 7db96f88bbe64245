# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Codes of istiod's verdicts: what looks at them names codes that exist, and every code has its text and its use."""

from __future__ import annotations

import copy
import json
import re

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._istio.validation import validate
from ansible_collections.meshops.locality.plugins.module_utils._istio.validation_texts import TEXTS, coded
from ansible_collections.meshops.locality.plugins.module_utils._lint import validation as lint_validation
from ansible_collections.meshops.locality.plugins.module_utils._policy import intent_validation
from tests.conftest import ROOT


def test_whoever_asks_for_a_code_asks_for_one_that_exists() -> None:
    asked = {*intent_validation._TEXTS, *intent_validation._OURS, *lint_validation._ELSEWHERE}
    assert asked <= set(TEXTS)


@pytest.mark.parametrize("code", sorted(set(TEXTS)))
def test_every_code_is_said_somewhere(code: str) -> None:
    folder = ROOT / "plugins" / "module_utils" / "_istio"
    text = "".join(file.read_text() for file in folder.glob("*.py") if file.name != "validation_texts.py")
    wrong = code.removeprefix("failover-").removeprefix("zone-aware-")
    assert (
        f'"{code}"' in text or f'{{setting}}-{wrong}"' in text or ('{setting}-{code}"' in text and f'"{wrong}"' in text)
    )


def test_a_coded_text_is_a_text_in_every_way() -> None:
    text = coded("weight-sum", 90)
    assert text == "total locality weight 90 != 100"
    assert (text.code, text.parameters) == ("weight-sum", ("90",))
    again = copy.deepcopy(text)
    assert (again, again.code, json.dumps(text)) == (text, "weight-sum", json.dumps(str(text)))


def test_a_verdict_has_the_code_and_the_parameters_of_its_text() -> None:
    setting = {"distribute": [{"from": "r/*", "to": {"r/a": 60, "r/b": 30}}]}
    spec = {"host": "web", "trafficPolicy": {"loadBalancer": {"localityLbSetting": setting}}}
    (verdict,) = validate("DestinationRule", "shop", spec)
    assert (verdict.code, verdict.parameters) == ("weight-sum", ("90",))
    assert re.search(r"distribute\[0\]\.to$", verdict.path)
