# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality

PART = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="-_."), max_size=8)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("", "", "")),
        ("cn-north-4", ("cn-north-4", "", "")),
        ("cn-north-4/cn-north-4b", ("cn-north-4", "cn-north-4b", "")),
        ("cn-north-4/cn-north-4b/tianjin", ("cn-north-4", "cn-north-4b", "tianjin")),
        ("/cn-north-4b/", ("", "cn-north-4b", "")),
        ("a/b/c/d", ("a", "b", "c")),
    ],
)
def test_parse(text: str, parts: tuple[str, str, str]) -> None:
    assert Locality.parse(text) == Locality(*parts)


@given(PART, PART, PART)
def test_text_and_back(region: str, zone: str, subzone: str) -> None:
    locality = Locality(region, zone, subzone)
    assert Locality.parse(str(locality)) == locality
    assert bool(locality) == bool(str(locality))


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ({}, ""),
        (
            {
                "topology.kubernetes.io/region": "r",
                "topology.kubernetes.io/zone": "z",
                "topology.istio.io/subzone": "s",
            },
            "r/z/s",
        ),
        ({"failure-domain.beta.kubernetes.io/region": "r", "failure-domain.beta.kubernetes.io/zone": "z"}, "r/z"),
        ({"topology.kubernetes.io/region": "new", "failure-domain.beta.kubernetes.io/region": "old"}, "new"),
        ({"topology.kubernetes.io/region": "", "failure-domain.beta.kubernetes.io/region": "old"}, "old"),
        ({"topology.istio.io/subzone": "s"}, "//s"),
    ],
)
def test_node_labels(labels: dict[str, str], text: str) -> None:
    assert str(Locality.from_node_labels(labels)) == text
