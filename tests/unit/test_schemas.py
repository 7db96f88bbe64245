# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/schemas has the JSON schemas that documents are written and checked by.

`UPDATE_SCHEMAS=1 pytest tests/unit/test_schemas.py` writes them anew.
"""

from __future__ import annotations

import json
import os
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._istio import snapshot_document
from ansible_collections.meshops.locality.plugins.module_utils._lint import result_json
from tests.conftest import ROOT

FOLDER = ROOT / "docs" / "schemas"


@pytest.mark.parametrize(
    ("name", "schema"),
    [("snapshot.v1.json", snapshot_document.schema()), ("lint.v1.json", result_json.schema())],
)
def test_the_published_schema_is_the_one_in_use(name: str, schema: dict[str, t.Any]) -> None:
    text = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_SCHEMAS"):
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / name).write_text(text, encoding="utf-8")
    assert (FOLDER / name).read_text(encoding="utf-8") == text
